"""What services agree on about models: loading, likelihood, scoring of options (needs torch)."""
