"""Missing modalities: X (B, m, d) and its mask -> both with absent rows filled, for the fusion. One
file a way.
"""
