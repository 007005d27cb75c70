"""Encoders: one modality, (B, ...) -> (B, d). One file an encoder, one folder a modality, and parts
that several share.

An encoder that also knows a vector of each word, patch or frame gives them by `tokens`, (B, ...) ->
`Tokens`, from the same parameters.
"""
