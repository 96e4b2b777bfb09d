"""Find or install onnxruntime and scikit-learn for QGIS's own Python."""
