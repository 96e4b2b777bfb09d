"""Simulated Sentinel-2 series with known truth: spectra, phenology, space, observation."""
