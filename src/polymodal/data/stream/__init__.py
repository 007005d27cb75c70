"""Samples that come one after the other."""
