"""Paired comparison of logs that anybody's lm-eval or Inspect wrote; needs no run and no registry.

`docs/compare.md` says what is read, computed and refused.
"""
