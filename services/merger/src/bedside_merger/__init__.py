"""Merge of a base model and its continually pre-trained checkpoint."""
