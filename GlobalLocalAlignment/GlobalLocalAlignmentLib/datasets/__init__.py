"""Data sets as their sites publish them, turned into folders of images and labels; no part of the method."""

DATA_SETS = ("mmwhs", "sifa", "btcv", "chaos")
"""Names for ``gla prepare``; what each is stands in the module of its name."""
