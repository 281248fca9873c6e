"""What identifies a person in a text: finding it, and what then becomes of the document."""
