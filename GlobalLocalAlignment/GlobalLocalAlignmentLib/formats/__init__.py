"""Files of volumes and segmentations: how they are read and written, and what is broken in them."""
