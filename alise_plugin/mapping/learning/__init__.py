"""Classifiers, regressions and clusters learned from samples."""
