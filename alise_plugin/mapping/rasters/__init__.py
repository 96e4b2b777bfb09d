"""GeoTIFFs as this plugin writes them: forms, overviews, destinations and styles."""
