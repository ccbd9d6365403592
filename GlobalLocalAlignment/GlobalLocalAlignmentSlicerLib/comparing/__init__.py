"""Results against ground truth: scores, plots, errors, and the plugin of Segment Statistics."""
