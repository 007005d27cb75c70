"""The plots of a run: curves, retrieval galleries, confusion matrix, embedding map."""
