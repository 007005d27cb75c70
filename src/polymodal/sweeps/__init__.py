"""Many runs: grids, seeds and searches, each run in a process and a folder of its own, and one
table of all.
"""
