"""Fusions: X (B, m, d) and its presence mask (B, m) -> one vector a sample. One file a fusion."""
