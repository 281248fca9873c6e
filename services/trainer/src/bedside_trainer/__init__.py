"""Base model import and continual pre-training (CPT)."""
