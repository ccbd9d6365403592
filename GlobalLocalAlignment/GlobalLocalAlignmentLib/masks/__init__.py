"""Two masks: on one grid, their scores, and their comparison in a process of its own."""
