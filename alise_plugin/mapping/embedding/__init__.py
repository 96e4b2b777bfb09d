"""From an image series to an embedding raster."""
