"""Volumes of the scene through a model, one after the other."""
