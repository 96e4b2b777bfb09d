"""QGIS Processing algorithms, one per file."""
