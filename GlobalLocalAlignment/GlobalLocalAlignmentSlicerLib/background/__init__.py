"""Processes beside Slicer and work in small steps: start, listen, stop; what they need on this computer."""
