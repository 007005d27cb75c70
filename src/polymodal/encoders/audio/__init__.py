"""Audio encoders: (B, samples) float waveforms, one channel, padded with zeros at the end -> (B,
d).
"""
