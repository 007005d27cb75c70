"""Encoders: one modality, (B, ...) -> (B, d). One file an encoder, one folder a modality."""
