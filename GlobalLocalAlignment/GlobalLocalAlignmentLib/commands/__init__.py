"""The commands of ``gla``, by what they are for; ``cli`` gathers them and says how they ended."""
