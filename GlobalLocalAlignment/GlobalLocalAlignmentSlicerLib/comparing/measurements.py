"""What the comparison with ground truth measures: names, titles, descriptions, units and codes."""

from __future__ import annotations

from slicer.i18n import tr as _

SURFACE_KEYS = ("assd_voxel", "pooled_asd_voxel", "assd_mm", "pooled_asd_mm", "hd95_mm")
VOLUME_KEYS = ("volume_difference_mm3", "false_positive_mm3", "false_negative_mm3")

Measurement = tuple[str, str, str, str, dict[str, tuple[str, str, str]]]
"""Name, title, description, units and codes (value, scheme, meaning)."""


def measurements() -> dict[str, Measurement]:
    """Each measurement by its key.

    Codes are given where Slicer's own plugins have them; for Dice and surface distances we know of none.
    """
    millimetre, cubic = ("mm", "UCUM", "millimeter"), ("mm3", "UCUM", "cubic millimeter")
    volume, mean = ("118565006", "SCT", "Volume"), ("373098007", "SCT", "Mean")
    percentile = ("371889001", "SCT", "Ninety-fifth percentile")
    inMillimetres = {"unitsDicomCode": millimetre, "derivationDicomCode": mean}
    inVoxels = {"unitsDicomCode": ("voxels", "UCUM", "voxels"), "derivationDicomCode": mean}
    ofVolume = {"quantityDicomCode": volume, "unitsDicomCode": cubic}
    symmetric = _("Mean of the two mean distances from one surface to the other.")
    pooled = _("Mean over the distances of the voxels of both surfaces together.")
    return {
        "reference_segment": (
            "Reference segment",
            _("Reference segment"),
            _("Segment of the reference that this one is compared with: that of its term or name."),
            "",
            {},
        ),
        "dice": (
            "Dice",
            _("Dice"),
            _("Dice coefficient: 1 where both are the same and 0 where they share no voxel."),
            "",
            {"unitsDicomCode": ("1", "UCUM", "no units")},
        ),
        "assd_mm": ("ASD symmetric mm", _("ASD (symmetric)"), symmetric, _("mm"), inMillimetres),
        "pooled_asd_mm": ("ASD pooled mm", _("ASD (pooled)"), pooled, _("mm"), inMillimetres),
        "hd95_mm": (
            "HD95 mm",
            _("HD95"),
            _("95 % Hausdorff distance: the larger of the 95th percentiles of the distances in both directions."),
            _("mm"),
            {"unitsDicomCode": millimetre, "derivationDicomCode": percentile},
        ),
        "volume_difference_mm3": (
            "Volume difference mm3",
            _("Volume difference"),
            _("Volume of the segment less that of the reference: positive where too much was segmented."),
            _("mm3"),
            {"unitsDicomCode": cubic},
        ),
        "false_positive_mm3": (
            "False positive volume mm3",
            _("False positive volume"),
            _("Volume of the segment outside the reference."),
            _("mm3"),
            ofVolume,
        ),
        "false_negative_mm3": (
            "False negative volume mm3",
            _("False negative volume"),
            _("Volume of the reference outside the segment."),
            _("mm3"),
            ofVolume,
        ),
        "assd_voxel": ("ASD symmetric voxels", _("ASD (symmetric)"), symmetric, _("voxels"), inVoxels),
        "pooled_asd_voxel": ("ASD pooled voxels", _("ASD (pooled)"), pooled, _("voxels"), inVoxels),
        "comparison_note": (
            "Comparison note",
            _("Comparison note"),
            _("What there is to know about the comparison: no counterpart or several; a grid that was resampled."),
            "",
            {},
        ),
    }
