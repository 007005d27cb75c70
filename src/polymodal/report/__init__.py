"""The pictures of a run: curves, retrieval galleries, confusion matrix, embedding map."""
