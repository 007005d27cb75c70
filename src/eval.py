"""Judges a trained model again: python src/eval.py checkpoint=<run folder or file>."""

from polymodal.evaluate import main

if __name__ == "__main__":
    main()
