"""The networks of the paper: synthesis subnet, discriminators, segmentation subnet."""

from .discriminators import FeatureDiscriminator, ImageDiscriminator, OutputDiscriminator
from .segmenter import DeepLabSegmenter, SegmenterOutput, local_feature_mask
from .synthesis import SynthesisNetwork

__all__ = [
    "DeepLabSegmenter",
    "FeatureDiscriminator",
    "ImageDiscriminator",
    "OutputDiscriminator",
    "SegmenterOutput",
    "SynthesisNetwork",
    "local_feature_mask",
]
