"""Cases and structures of a training, its run, and what is watched of it."""
