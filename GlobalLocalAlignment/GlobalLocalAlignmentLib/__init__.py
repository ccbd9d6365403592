"""Global-Local Union Alignment: unsupervised cross-modality segmentation (Su et al., "Mind The Gap").

This package is the core of the 3D Slicer extension. It imports nothing of Slicer, Qt or VTK, so that the same
code trains on a cluster, in a terminal and in the background of Slicer.
"""

__version__ = "0.1.0"
