"""Trains and tests a model: python src/train.py experiment=clip_small (--help lists all
choices).
"""

from polymodal.cli.train import main

if __name__ == "__main__":
    main()
