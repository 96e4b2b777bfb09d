"""The networks: one small module for each part of the paper's section III-A."""
