"""Model packages and onnxruntime: load, check, choose the device, encode."""
