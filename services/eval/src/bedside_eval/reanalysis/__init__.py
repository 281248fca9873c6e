"""What a paper's printed scores can show, and what not, without its answers."""
