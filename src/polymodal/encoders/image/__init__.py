"""Image encoders: (B, C, H, W) float, normalised -> (B, d)."""
