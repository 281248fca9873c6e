"""A hospital's own items, looked at before they are sealed."""
