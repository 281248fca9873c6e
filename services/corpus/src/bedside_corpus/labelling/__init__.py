"""A labelled set: documents drawn from the sources, labelled, split, and looked at by people."""
