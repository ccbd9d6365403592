"""What a person reads of the device before a run starts."""

from __future__ import annotations

from slicer.i18n import tr as _

from .devicefinder import Devices, Gpu

GIGABYTE = 1 << 30


def describeDevice(device: str, devices: Devices, neededBytes: int) -> str:
    """A line on where the networks will run, and what speaks against it; empty where there is nothing to say.

    Args:
        device: as the core names it, ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: what was found.
        neededBytes: about so much memory of a GPU is wanted.
    """
    if device == "cpu" or (devices.torchBuild == "rocm" and device != "mps"):
        # the driver of NVIDIA knows nothing of GPUs of AMD
        return ""
    if device == "mps" or (device == "auto" and devices.mps):
        return _("Runs on the GPU of this Mac.") if devices.mps else _absent(device)
    if not devices.cuda:
        return (
            _absent(device) if device != "auto" else _("No GPU was found: runs on the processor, which takes longer.")
        )
    # the core takes the first one that the driver offers; where there are several it is judged by the best
    gpu = max(devices.cuda, key=lambda gpu: gpu.freeBytes or 0)
    if devices.torchBuild == "cpu":
        return _(
            "{gpu} cannot be used: the installed PyTorch is one for the processor alone. The module PyTorch Utils can"
            " uninstall it and install another."
        ).format(gpu=gpu.name)
    if gpu.freeBytes is not None and gpu.freeBytes < neededBytes:
        return _(
            "{memory}, about {needed:.0f} GB are wanted: close other programs, take fewer slices at once, or choose"
            " the device cpu."
        ).format(memory=_memory(gpu), needed=neededBytes / GIGABYTE)
    return _("Runs on {memory}.").format(memory=_memory(gpu))


def _absent(device: str) -> str:
    return _("This computer has no device {device}: choose auto.").format(device=device)


def _memory(gpu: Gpu) -> str:
    if gpu.freeBytes is None or gpu.totalBytes is None:
        return gpu.name
    return _("{gpu} with {free:.1f} of {total:.1f} GB free").format(
        gpu=gpu.name, free=gpu.freeBytes / GIGABYTE, total=gpu.totalBytes / GIGABYTE
    )
