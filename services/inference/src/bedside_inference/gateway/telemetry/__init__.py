"""What the house may know of its traffic: metrics and traces."""
