"""From the corpus to the rows of every optimizer step: tokens, rows and order, all on disk."""
