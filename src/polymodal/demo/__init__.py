"""A local page that shows what a trained model can do. Start: `src/demo.py`."""
