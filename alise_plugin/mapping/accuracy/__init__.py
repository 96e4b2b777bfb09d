"""How right a class map is, and where to look to find out."""
