"""Heads: the fused vector (B, d) -> Y (B, p)."""
