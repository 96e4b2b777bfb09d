"""Maps made of features: classes, values, similarity, images of any day."""
