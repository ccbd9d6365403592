"""Coverage-guided fuzzing of what reads files of others: model files, run folders, headers, settings, records.

    python Testing/Benchmarks/fuzz_readers.py [--target NAME ...] [--minutes N]

Needs atheris, which is no part of the test extra: pip install atheris. Each target runs in a process of its own for so
many minutes; what raises anything but its own refusal, takes more than 2 GiB or hangs for 20 seconds ends it, and the
input is kept in the folder that is named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("bundle", "events", "headers", "settings", "records")
OURS = ["GlobalLocalAlignmentLib", "GlobalLocalAlignmentSlicerLib"]
RUNS = re.compile(rb"Done (\d+) runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: pip install atheris")
    if options.inside:
        _fuzz(options.target[0], Path(options.inside), round(60 * options.minutes))
        return
    lost = []
    print("| target | minutes | inputs | lost |\n|---|---|---|---|", flush=True)
    for target in options.target:
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
        words = ["--target", target, "--minutes", str(options.minutes), "--inside", str(folder)]
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True)
        runs = RUNS.search(done.stderr + done.stdout)
        failed = done.returncode != 0 or runs is None
        print(f"| {target} | {options.minutes:g} | {int(runs[1]) if runs else 0} | {int(failed)} |", flush=True)
        if failed:
            lost.append(target)
            print((done.stdout + done.stderr).decode(errors="replace")[-3000:], f"\nsee {folder}", flush=True)
    sys.exit(bool(lost))


def _fuzz(target: str, folder: Path, seconds: int) -> None:
    """Fuzz until the time is over or something is found; does not come back."""
    import atheris

    with atheris.instrument_imports(include=OURS):
        read, seeds = globals()[f"_{target}"](folder)
    (folder / "seeds").mkdir()
    for number, seed in enumerate(seeds):
        (folder / "seeds" / str(number)).write_bytes(seed)
    limits = [
        f"-max_total_time={seconds}",
        "-max_len=8192",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", str(folder / "seeds")], read)
    atheris.Fuzz()


Target = tuple[Callable[[bytes], None], list[bytes]]


def _bundle(folder: Path) -> Target:
    """The first byte says whether the rest is a file, its header, or the card in it."""
    from GlobalLocalAlignmentLib.bundle import load_bundle
    from GlobalLocalAlignmentLib.config import configuration, load_preset
    from GlobalLocalAlignmentLib.errors import InputError
    from GlobalLocalAlignmentSlicerLib.models.modelcard import ModelCardError, readModelCard

    path = folder / "model.safetensors"
    preset = configuration({**load_preset("phantom"), "labels": [{"value": 1, "name": "liver"}]})
    parts = preset.dump()
    domain = {"modality": "CT", "intensity": parts["intensity_by_modality"]["CT"]}
    card = {"format_version": 1, "networks": ["segmenter"], "provenance": {}, "scores": {}, "source": domain}
    card |= {"target": domain} | {key: parts[key] for key in ("labels", "plane", "synthesis", "segmentation")}
    text = json.dumps(card).encode()

    def header(card_text: bytes) -> bytes:
        entry = {"format": "GlobalLocalAlignment", "card": card_text.decode("latin-1")}
        return json.dumps({"__metadata__": entry}).encode()

    def read(content: bytes) -> None:
        kind, rest = content[:1], content[1:]
        if kind == b"c":
            rest = header(rest)
        if kind in (b"c", b"h"):
            rest = struct.pack("<Q", len(rest)) + rest
        path.write_bytes(rest)
        for reader, refusal in ((load_bundle, InputError), (readModelCard, ModelCardError)):
            try:
                reader(path)
            except refusal:
                continue

    whole = struct.pack("<Q", len(header(text))) + header(text)
    return read, [b"c" + text, b"h" + header(text), b"f" + whole, b"c{}", b'h{"a":{"dtype":"F32"}}']


def _events(folder: Path) -> Target:
    """The events of a run folder, for the report and for Slicer."""
    from GlobalLocalAlignmentLib.report.content import read_run
    from GlobalLocalAlignmentLib.report.page import _displacement, _header, _warnings
    from GlobalLocalAlignmentSlicerLib.training.runwatcher import RunWatcher

    def read(content: bytes) -> None:
        (folder / "events.jsonl").write_bytes(content)
        run = read_run(folder)
        _header(run, "title")
        _warnings(run)
        _displacement(run.last("displacement"))
        RunWatcher(folder).poll()

    kinds = ("run_started", "progress", "validation", "preview", "warning", "failed", "displacement", "run_finished")
    values = {"iteration": 3, "of": 9, "rate": 1.5, "seconds_left": 2, "values": {"loss": 0.5}, "file": "a.png"}
    values |= {"message": "m", "median_mm": 1.0, "moved_share": 0.1, "windows": 4, "seconds": 3, "device": "cpu"}
    lines = [json.dumps({"schema": 1, "time": 1.0, "event": kind, "stage": "synthesis", **values}) for kind in kinds]
    return read, [("\n".join(lines) + "\n").encode(), *(line.encode() + b"\n" for line in lines)]


def _headers(folder: Path) -> Target:
    """Headers of MetaImage, NRRD and DICOM, as far as they are ours to check."""
    from GlobalLocalAlignmentLib.errors import InputError
    from GlobalLocalAlignmentLib.formats.dicomchecks import check_nesting
    from GlobalLocalAlignmentLib.formats.textheaders import check_metaimage, check_nrrd

    path = folder / "file"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for check in (check_metaimage, check_nrrd, check_nesting):
            try:
                check(path)
            except InputError:
                continue

    sys.path.insert(0, str(ROOT / "Testing"))
    import dicombytes
    import numpy as np
    from badfiles.headers import meta_text, nrrd_text

    slice_file = dicombytes.dicom_bytes(dicombytes.slice_header(np.zeros((4, 4), np.int16), 0, 1))
    return read, [meta_text({}) + bytes(64), nrrd_text({}) + b"\n" + bytes(64), slice_file]


def _settings(folder: Path) -> Target:
    """A file of settings."""
    from GlobalLocalAlignmentLib.config import configuration, load_file, merge
    from GlobalLocalAlignmentLib.errors import InputError

    path = folder / "settings.yaml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            configuration(merge({}, load_file(path)))
        except InputError:
            pass

    presets = ROOT / "GlobalLocalAlignment" / "GlobalLocalAlignmentLib" / "presets"
    return read, [preset.read_bytes() for preset in sorted(presets.glob("*.yaml"))]


def _records(folder: Path) -> Target:
    """Messages of a TFRecord file, and the file itself."""
    from GlobalLocalAlignmentLib.datasets.example import read_example
    from GlobalLocalAlignmentLib.datasets.tfrecord import read_records
    from GlobalLocalAlignmentLib.errors import InputError

    path = folder / "a.tfrecords"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for reader in (lambda: read_example(content, path), lambda: read_records(path)):
            try:
                reader()
            except InputError:
                continue

    sys.path.insert(0, str(ROOT / "Testing"))
    from datasetfiles import example, record

    message = example({"data_vol": b"0123", "dsize_dim0": 256, "bias": -17})
    return read, [message, record(message)]


if __name__ == "__main__":
    main()
