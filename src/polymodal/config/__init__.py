"""The command line and the checks of a composed config. Nothing in here imports torch."""
