"""Segmentation of labelled series: linear probe, fine-tuning, supervision (Table II and III)."""
