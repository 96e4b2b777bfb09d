"""What changed between two years."""
