"""Translators of other papers, within the same framework: same data, schedule, segmenter and evaluation as ours."""
