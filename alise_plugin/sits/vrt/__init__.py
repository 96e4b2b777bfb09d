"""Writes an image series as a VRT."""
