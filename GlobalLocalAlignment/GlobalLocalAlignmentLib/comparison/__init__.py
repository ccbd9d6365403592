"""The method beside its bounds, its parts and other methods: the same data, schedule, segmenter and evaluation."""
