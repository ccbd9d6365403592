"""Bits of a voxel in a comparison of a segment with its reference."""

MISSED, EXTRA, CORRECT = 1, 2, 4
"""In the reference alone, in the compared segment alone, in both."""
