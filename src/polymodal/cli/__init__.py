"""From a command line to a function. Nothing in here imports torch before the checks."""
