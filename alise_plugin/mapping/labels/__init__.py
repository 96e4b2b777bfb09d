"""Polygons, points and rasters with classes or measured values."""
