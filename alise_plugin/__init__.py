"""ALISE for QGIS: from a pile of Sentinel-2 scenes to a map."""
