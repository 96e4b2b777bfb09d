"""Satellite image time series: grids, acquisitions, and reading a window as an array."""
