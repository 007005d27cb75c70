"""The folder of a run on disk: who has it, what is in it, how it is resumed. Nothing in here
imports torch.
"""
