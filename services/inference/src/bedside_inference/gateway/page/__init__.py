"""The clinician page."""
