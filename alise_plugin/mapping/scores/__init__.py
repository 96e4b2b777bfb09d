"""Figures on accuracy and area, and their charts and tables."""
