"""Losses: pure functions of tensors, each tested against an independent reference."""
