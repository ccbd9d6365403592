"""Folders of volumes through a model, without the scene."""
