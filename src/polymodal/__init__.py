"""polymodal: a Lightning + Hydra research template for multimodal models."""

__version__ = "0.1.0"
