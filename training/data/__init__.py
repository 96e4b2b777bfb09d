"""Readers of real series for pre-training, and the mixing of sources."""
