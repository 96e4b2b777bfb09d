"""From an image series to rasters: the tile loop, and one module per map."""
