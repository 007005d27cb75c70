"""Text encoders: (B, T) int64 token ids padded with `PAD` -> (B, d)."""
