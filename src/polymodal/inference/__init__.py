"""What a trained model is used for: evaluation, vectors, predictions, search."""
