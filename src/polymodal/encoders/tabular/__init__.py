"""Encoders of tables: (B, columns) float -> (B, d)."""
