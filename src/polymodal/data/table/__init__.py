"""Samples that are the rows of a table."""
