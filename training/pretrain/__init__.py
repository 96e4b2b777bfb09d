"""Pre-training: `python -m training pretrain --config FILE`."""
