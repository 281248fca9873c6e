"""What German and French letters look like: patterns and the words around them."""
