"""The form of requests, answers and events, and its description."""
