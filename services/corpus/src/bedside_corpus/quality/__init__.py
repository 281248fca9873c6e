"""Whether a text looks like one: counts of its words and lines, with limits per language."""
