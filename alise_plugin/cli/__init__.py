"""The algorithms on the command line, without QGIS: one command per file."""
