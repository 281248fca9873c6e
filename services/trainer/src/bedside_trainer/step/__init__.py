"""One optimizer step: attention within pieces, the loss in chunks, what is kept, AdamW."""
