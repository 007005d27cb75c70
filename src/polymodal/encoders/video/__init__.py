"""Video encoders: (B, T, C, H, W) float frames, normalised, T the same for all of a batch -> (B,
d).
"""
