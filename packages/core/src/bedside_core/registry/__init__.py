"""The registry: artifacts, runs, and the signed log of what was decided about them."""
