"""Train, evaluate and export ALISE models (PyTorch)."""
