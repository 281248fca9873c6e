"""The report that a medical director signs, in three languages, from the evidence alone."""
