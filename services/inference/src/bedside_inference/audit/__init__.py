"""The audit: one record per request, hash-chained and signed, never content."""
