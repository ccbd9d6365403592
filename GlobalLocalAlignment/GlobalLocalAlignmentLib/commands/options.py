"""Options that several commands have, and the settings that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..config import Configuration, assignments, configuration, load_file, load_preset, merge, preset_names
from ..errors import InputError

PresetOption = Annotated[str | None, typer.Option(help=f"Settings to start from: {', '.join(preset_names())}.")]
ConfigOption = Annotated[Path | None, typer.Option(help="JSON or YAML file with settings, over the preset.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, over everything else.")]
SourceImagesOption = Annotated[list[Path] | None, typer.Option(help="Labelled images: folder or files.")]
TargetImagesOption = Annotated[list[Path] | None, typer.Option(help="Images of the other modality.")]
ValidationImagesOption = Annotated[list[Path] | None, typer.Option(help="Target images to watch Dice on.")]
LabelsOption = Annotated[list[Path] | None, typer.Option(help="Their labelmaps.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")]
ModelOption = Annotated[Path, typer.Option("--model", "-m", help="model.safetensors of a training run.")]
InputOption = Annotated[list[Path], typer.Option("--input", "-i", help="Volume, folder or DICOM series; repeatable.")]
CaseOption = Annotated[list[str], typer.Option("--case", help="Only this case; repeatable.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:NUMBER or mps.")]
PrecisionOption = Annotated[str, typer.Option(help="auto, 32 or bf16.")]
DeviceSetting = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:NUMBER or mps.")]
PrecisionSetting = Annotated[str | None, typer.Option("--precision", help="auto, 32 or bf16.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Slices at once.")]


def gather(preset: str | None, config: Path | None, options: dict[str, Any], changes: list[str]) -> Configuration:
    """Preset, then file, then options, then ``--set``: each over the one before."""
    from_file = load_file(config) if config is not None else {}
    name = preset or from_file.get("preset")
    base = load_preset(name) if name else {}
    settings = merge(merge(merge(base, from_file), options), assignments(changes))
    return configuration(settings)


def varied(texts: list[str]) -> dict[str, list[str]]:
    """Values of each setting of ``section.key=VALUE,VALUE`` texts."""
    values: dict[str, list[str]] = {}
    for text in texts:
        name, separator, listed = text.partition("=")
        if not separator or not name.strip():
            raise InputError(f"--vary {text}", "is not of the form section.key=VALUE,VALUE", "write the values after =")
        values.setdefault(name.strip(), []).extend(part.strip() for part in listed.split(",") if part.strip())
    return values


def own_settings(texts: list[str]) -> dict[str, dict[str, Any]]:
    """Settings by method of ``METHOD:section.key=value`` texts."""
    changes: dict[str, list[str]] = {}
    for text in texts:
        method, _, change = text.partition(":")
        name, separator, _ = change.partition("=")
        if not separator or not name.strip():
            raise InputError(
                f"--set-for {text}",
                "is not of the form METHOD:section.key=value",
                "write for example stargan_v2_d1_d2:synthesis.iterations=6000",
            )
        changes.setdefault(method.strip(), []).append(change)
    return {method: assignments(listed, f"--set-for {method}:") for method, listed in changes.items()}


def volume_options(volumes: dict[str, tuple[list[Path] | None, list[Path] | None]]) -> dict[str, Any]:
    """Settings for the images and labelmaps of each role, where they are given."""
    return {
        role: {key: list(map(str, paths)) for key, paths in zip(("images", "labelmaps"), pair, strict=True) if paths}
        for role, pair in volumes.items()
    }


def device_options(device: str | None, precision: str | None) -> dict[str, Any]:
    """Settings for device and precision, where they are given."""
    return {"training": {k: v for k, v in (("device", device), ("precision", precision)) if v is not None}}
