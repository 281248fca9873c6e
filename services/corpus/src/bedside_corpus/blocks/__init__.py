"""What happens to documents one by one: each module is a block, `base` has their contract."""
