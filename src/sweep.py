"""Runs many trainings and compares them: python src/sweep.py sweep=grid fusion=sum,concat (--help
says more).
"""

from polymodal.sweeps.command import main

if __name__ == "__main__":
    main()
