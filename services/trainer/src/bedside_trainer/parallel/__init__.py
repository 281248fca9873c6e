"""Several processes that train one model: who they are, how they start, who holds which part."""
