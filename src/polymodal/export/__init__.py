"""What a trained model is written as, for use without this repository, without Python, or within
open_clip.
"""
