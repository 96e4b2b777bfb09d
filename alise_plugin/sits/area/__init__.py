"""From an area and two dates to images on this machine: STAC search and windows of its assets."""
