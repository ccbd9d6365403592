"""Who the phantoms are: their anatomies, the cohorts of the demo, and their files."""
