"""From a trained model to a model package: ONNX graphs, model.json, MODEL_CARD.md."""
