"""What services agree on about each kind of artifact: file names, columns, hashes, formats."""
