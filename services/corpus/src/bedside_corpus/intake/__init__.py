"""From any file of a source to records; `read.py` is the way in, `formats.py` lists the formats."""
