"""The part of 3D Slicer that its modules need, without Slicer: see README.md in this folder."""
