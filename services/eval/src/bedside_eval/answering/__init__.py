"""Answers that models write, by the engine that would serve them, and what is made of them."""
