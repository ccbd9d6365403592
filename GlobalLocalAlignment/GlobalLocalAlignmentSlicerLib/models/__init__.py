"""A model file and its card, as people read it."""
