"""Cleaning that respects clinical notation: named rules, each counted by what it changed.

Read `clean.py` first; it lists the rules in order.
"""
