"""What a corpus is, on paper and for machines: its passport; never a text."""
