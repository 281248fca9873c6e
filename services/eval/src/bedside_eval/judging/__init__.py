"""Answers judged by other models of the house: two beside each other, or one for its failures.

A judge sits an exam of its own first (`card`); what a judge without a passed card says is advisory.
"""
