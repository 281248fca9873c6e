"""Documents to a licensed, cleaned, deduplicated and filtered corpus."""
