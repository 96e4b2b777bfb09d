"""Where vectors come from: an image series with its encoder, or an embedding raster."""
