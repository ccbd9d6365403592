"""Phantoms: of Slicer's Sample Data module, and of the demo as a scene."""
