"""What runs in the environment of vLLM."""
