"""Compares runs: python src/compare.py <run folders, sweep folders or globs> [output=<folder>]."""

from polymodal.sweeps.compare import main

if __name__ == "__main__":
    main()
