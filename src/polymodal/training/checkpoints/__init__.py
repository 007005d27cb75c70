"""Checkpoints: found, read as plain data, written whole."""
