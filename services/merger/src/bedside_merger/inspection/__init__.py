"""How far training has moved each tensor, and by which formula SLERP would merge it."""
