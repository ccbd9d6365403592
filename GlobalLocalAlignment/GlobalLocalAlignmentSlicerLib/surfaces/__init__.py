"""Closed surfaces of results, made in a process of their own and handed in one at a time."""
