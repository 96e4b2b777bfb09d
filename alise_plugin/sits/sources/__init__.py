"""Readers: each turns one kind of input into `SourceBand` records, and knows no other kind."""
