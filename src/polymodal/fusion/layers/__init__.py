"""Layers that several fusions are made of."""
