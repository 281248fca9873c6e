"""Watching a training: what each step was, on the terminal and in files that others read."""
