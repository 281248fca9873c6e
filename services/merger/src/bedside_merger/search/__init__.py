"""The search for a merge that keeps more of the training's gain, at a bound on drift."""
