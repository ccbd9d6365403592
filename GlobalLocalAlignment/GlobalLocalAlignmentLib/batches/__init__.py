"""Many volumes through a model: what is found, what is done, and what becomes of each."""
