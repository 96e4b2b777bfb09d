"""Facts of Sentinel-2 and of the model that more than one room needs."""

from __future__ import annotations

from datetime import date

# The ten bands of 10 m and 20 m that the model reads, in the order of an image series.
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")

# Day 0 of the model's day encoding, as in the ALISE paper's published configuration.
REFERENCE_DATE = date(2014, 3, 3)
