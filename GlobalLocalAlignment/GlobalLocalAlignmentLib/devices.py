"""Choice of device and precision, and launch on several devices, through lightning-fabric."""

from __future__ import annotations

import logging
import os
import warnings
from typing import TYPE_CHECKING

import torch

from .errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import Tensor

DEVICE_NAMES = ("auto", "cpu", "cuda", "mps")


def resolve_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` as a device that is there.

    Raises:
        InputError: no such device on this machine.
    """
    kind, _, number = name.partition(":")
    if kind not in DEVICE_NAMES or (number and not number.isdigit()):
        raise InputError(f"device {name}", "is not known", f"choose one of {', '.join(DEVICE_NAMES)} or cuda:NUMBER")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(number or 0) >= count:
        raise InputError(
            f"device {name}",
            f"is not there, this machine has {count} of that kind",
            "choose another --device, cpu is always there",
        )
    return torch.device(f"{kind}:{int(number)}" if number else kind)


def resolve_precision(name: str, device: torch.device) -> str:
    """``auto``, ``32`` or ``bf16`` as ``32`` or ``bf16``; ``auto`` takes bf16 where the hardware computes in it."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "32"
    return "32"


def make_fabric(device: torch.device, precision: str) -> Fabric:
    """Fabric on one device, or on all that ``torchrun`` started this process for."""
    # two seconds of a processor that predictions, which need the device alone, do not wait for
    from lightning_fabric import Fabric

    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning_fabric")
    flag = "bf16-mixed" if precision == "bf16" else "32-true"
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return Fabric(
            accelerator=device.type,
            devices=int(os.environ["LOCAL_WORLD_SIZE"]),
            num_nodes=int(os.environ["GROUP_WORLD_SIZE"]),
            precision=flag,
        )
    devices = [device.index] if device.type == "cuda" and device.index is not None else 1
    return Fabric(accelerator=device.type, devices=devices, precision=flag)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the processor on a device, which is not waited for: a GPU may have steps of work before it.

    A plain copy to a GPU returns when all that it had to do before is done, and it would idle until the next step.
    """
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def device_description(device: torch.device) -> str:
    """Name and memory of the device for reports; nothing that identifies the computer."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'' if threads == 1 else 's'}"
