"""What a training will take and bring, before it is begun."""
