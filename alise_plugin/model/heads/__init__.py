"""Heads: small graphs from features to classes or values."""
