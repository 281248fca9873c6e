"""The statistics of the verdict: pure functions of numbers, a cluster being the unit of chance.

Gains everywhere: a positive difference means that the candidate is better. docs/statistics.md says
what is estimated, by which methods and why, and how often they err.
"""
