"""Metrics: metrics that depend neither on the batch size nor on the number of processes."""
