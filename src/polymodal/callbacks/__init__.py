"""Callbacks that Lightning does not have: throughput, zero-shot, the report."""
