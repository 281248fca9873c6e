"""Which language a document is written in, found without a network."""
