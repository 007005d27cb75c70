"""Loggers that need more than Lightning's own class: all the others are named in configs/logger."""
