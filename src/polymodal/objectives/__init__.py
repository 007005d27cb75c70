"""Objectives: a loss on X and/or Y together with the metrics that evaluate it."""
