"""Serve a promoted model: the vLLM engine behind a gateway that speaks the OpenAI API."""
