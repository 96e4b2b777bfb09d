"""Which labelled pixels to learn from, their features and their groups."""
