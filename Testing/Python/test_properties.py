"""What holds for every geometry, every setting, every event and every card, tried on many that nobody thought of."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.bundle import ModelCard, read_card
from GlobalLocalAlignmentLib.config import (
    Configuration,
    assignments,
    configuration,
    load_file,
    load_preset,
    merge,
    setting_names,
)
from GlobalLocalAlignmentLib.datatext import read_json, read_yaml
from GlobalLocalAlignmentLib.errors import UNSEEN, InputError, one_line
from GlobalLocalAlignmentLib.slicegrid import SliceGrid
from GlobalLocalAlignmentLib.training.events import EventLog, read_events
from GlobalLocalAlignmentLib.volumes import Volume, check_same_geometry, read_volume, write_volume
from GlobalLocalAlignmentSlicerLib.models.modelcard import ModelCardError, readModelCard
from GlobalLocalAlignmentSlicerLib.training.runwatcher import RunWatcher
from hypothesis import given, settings
from hypothesis import strategies as some

FEW, MANY = settings(max_examples=15), settings(max_examples=50)

angles = some.floats(-np.pi, np.pi)
lengths = some.floats(0.3, 8.0)
plain = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def shown(text: str) -> bool:
    """Whether a text is one line without signs that steer a screen."""
    return len(text.splitlines()) <= 1 and not UNSEEN.search(text)


@some.composite
def volumes(draw: some.DrawFn) -> Volume:
    """Small volumes anywhere, turned by any angles, mirrored or not, of any voxels."""
    shape = draw(some.tuples(*[some.integers(2, 9)] * 3))
    x, y, z = (draw(angles) for _ in range(3))
    turn = np.eye(3)
    for axis, angle in enumerate((x, y, z)):
        first, second = [other for other in range(3) if other != axis]
        step = np.eye(3)
        step[[first, first, second, second], [first, second, first, second]] = (
            *(np.cos(angle), -np.sin(angle)),
            *(np.sin(angle), np.cos(angle)),
        )
        turn = turn @ step
    matrix = np.eye(4)
    spacing = np.array([draw(lengths) for _ in range(3)]) * (draw(some.sampled_from([1, -1])), 1, 1)
    matrix[:3, :3] = turn * spacing
    matrix[:3, 3] = [draw(some.floats(-500, 500)) for _ in range(3)]
    values = np.random.default_rng(draw(some.integers(0, 99))).integers(-1000, 1000, shape)
    values.flat[0], values.flat[1] = -1001, 1001
    return Volume(values.astype(np.int16), matrix)


@MANY
@given(volumes(), some.sampled_from(["axial", "coronal", "sagittal", "acquisition"]))
def test_planes_of_any_volume_come_back_where_they_were(volume: Volume, orientation: str):
    grid = SliceGrid.for_volume(volume, orientation, 2.0, (32, 32), "volume")
    planes = grid.from_volume(volume.array)
    assert planes.shape == (grid.slice_count, *grid.native_size)
    assert np.array_equal(grid.to_volume(planes), volume.array)


@FEW
@given(volumes(), some.sampled_from(["axial", "coronal", "sagittal"]))
def test_labels_on_a_fine_grid_come_back_voxel_by_voxel(volume: Volume, orientation: str):
    """A grid of a third of the finest voxel that covers the whole volume loses nothing on the way there and back."""
    labels = (volume.array > 0).astype(np.uint8)
    step = min(volume.spacing) / 3
    extent = int(np.ceil(max(np.array(volume.shape) * volume.spacing) / step / 8) + 2) * 8
    if extent > 640:
        return
    grid = SliceGrid.for_volume(volume, orientation, step, (max(extent, 32),) * 2, "volume")
    slices = grid.extract(grid.from_volume(labels), "nearest", 0)
    shares = torch.nn.functional.one_hot(slices.long(), 2).movedim(-1, 1).float()
    back = grid.restore(shares, 0.0).argmax(dim=1).numpy().astype(np.uint8)
    assert np.array_equal(grid.to_volume(back), labels)


@FEW
@given(volumes(), some.sampled_from([".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"]))
def test_any_volume_is_read_as_it_was_written(volume: Volume, suffix: str):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        write_volume(volume, path)
        again = read_volume(path)
        assert np.array_equal(again.array, volume.array) and again.array.dtype == volume.array.dtype
        check_same_geometry(volume, again)
        assert np.allclose(again.ijk_to_ras, volume.ijk_to_ras, atol=2e-3)


@FEW
@given(volumes(), some.binary(min_size=1, max_size=6), some.integers(0, 351))
def test_any_bytes_in_a_header_are_read_or_refused_in_a_line(volume: Volume, noise: bytes, place: int):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.nii"
        content = nibabel.Nifti1Image(volume.array, volume.ijk_to_ras, dtype=np.int16).to_bytes()
        path.write_bytes(content[:place] + noise + content[place + len(noise) :])
        try:
            read_volume(path)
        except InputError as error:
            assert shown(str(error))


@MANY
@given(some.dictionaries(some.sampled_from(sorted(Configuration.model_fields)), plain, max_size=3))
def test_any_settings_are_taken_and_come_back_or_are_refused_in_a_line(changes: dict):
    try:
        taken = configuration(changes)
    except InputError as error:
        assert shown(str(error)) and len(str(error)) < 2000
        return
    text = json.dumps(taken.dump(), allow_nan=False)
    assert configuration(read_json(text)) == taken


@MANY
@given(some.sampled_from(setting_names()), plain)
def test_any_value_of_any_setting_is_taken_and_comes_back_or_is_refused(name: str, value: object):
    changes = value
    for part in reversed(name.split(".")):
        changes = {part: changes}
    try:
        taken = configuration(merge(load_preset("phantom"), changes))
    except InputError as error:
        assert str(error).startswith("setting ") and shown(str(error))
        return
    assert configuration(read_json(json.dumps(taken.dump(), allow_nan=False))) == taken


@MANY
@given(some.text(max_size=60) | some.text("[]{}:,-&*!|>'\"%@`#?\n 0a=.", max_size=40))
def test_any_text_of_settings_is_read_or_refused(text: str):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.yaml"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        for read in (lambda: load_file(path), lambda: assignments([f"training.seed={text}"])):
            try:
                read()
            except InputError as error:
                assert shown(str(error))


@MANY
@given(some.binary(max_size=60))
def test_json_and_yaml_readers_raise_nothing_but_value_errors(content: bytes):
    for read in (lambda: read_json(content), lambda: read_yaml(content.decode("latin-1"))):
        try:
            read()
        except ValueError:
            continue


@MANY
@given(some.text(max_size=40))
def test_a_line_is_one_and_any_screen_shows_it(text: str):
    line = one_line(text)
    assert shown(line) and line.encode() is not None
    assert one_line(line) == line


names = some.text(some.characters(codec="utf-8"), min_size=1, max_size=12)
events = some.tuples(names, names, some.dictionaries(names, some.floats() | some.integers(-(10**9), 10**9), max_size=3))


@FEW
@given(some.lists(some.tuples(events, some.binary(max_size=30)), max_size=6))
def test_events_come_back_whatever_stands_between_them(entries: list[tuple[tuple, bytes]]):
    """Broken lines are passed over, whole ones are all there, in order."""
    with tempfile.TemporaryDirectory() as folder:
        log = EventLog(Path(folder), hidden=str)
        for (event, stage, values), noise in entries:
            log.emit(event, stage, values=values)
            with open(Path(folder) / "events.jsonl", "ab") as stream:
                stream.write(b"\x00" + noise.replace(b"\n", b"").replace(b"{", b"") + b"\n")
        found = list(read_events(Path(folder) / "events.jsonl"))
        assert [(entry["event"], entry["stage"]) for entry in found] == [entry[:2] for entry, _ in entries]
        for entry, ((_, _, values), _) in zip(found, entries, strict=True):
            assert entry["values"] == {key: value if np.isfinite(value) else None for key, value in values.items()}


KINDS = ["run_started", "stage_started", "progress", "validation", "preview", "warning", "failed", "stopped"]
FIELDS = ["iteration", "of", "rate", "seconds_left", "values", "message", "file", "stage", "schema", "device"]


@MANY
@given(
    some.lists(some.tuples(some.sampled_from(KINDS), some.dictionaries(some.sampled_from(FIELDS), plain)), max_size=5)
)
def test_a_run_is_watched_whatever_its_events_hold(entries: list[tuple[str, dict]]):
    with tempfile.TemporaryDirectory() as folder:
        lines = [json.dumps({"event": kind, **fields}) for kind, fields in entries]
        (Path(folder) / "events.jsonl").write_text("\n".join(lines) + "\n")
        watcher = RunWatcher(Path(folder))
        watcher.poll()
        state = watcher.state
        assert all(np.isfinite([state.iteration, state.of, state.rate]))
        assert all(np.isfinite(curve).all() for curves in state.curves.values() for curve in curves.values())


@pytest.fixture(scope="module")
def card() -> dict:
    """The card of a model of the preset phantom."""
    preset = configuration(merge(load_preset("phantom"), {"labels": [{"value": 1, "name": "liver"}]}))
    domains = {
        role: {"modality": name, "intensity": preset.intensity_by_modality[name].model_dump()}
        for role, name in (("source", "MR"), ("target", "CT"))
    }
    parts = preset.dump()
    return {
        "format_version": 1,
        "networks": ["segmenter"],
        "provenance": {},
        "scores": {},
        **{key: parts[key] for key in ("labels", "plane", "synthesis", "segmentation")},
        **domains,
    }


def model_file(path: Path, card: object) -> Path:
    """A file with a card and no weights."""
    header = {"__metadata__": {"format": "GlobalLocalAlignment", "card": json.dumps(card)}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


def test_the_card_that_others_are_made_of_is_good(card: dict, tmp_path: Path):
    assert read_card(model_file(tmp_path / "m", card)) == ModelCard.model_validate(card)
    assert readModelCard(tmp_path / "m").target == "CT"


@MANY
@given(some.data())
def test_any_card_is_read_or_refused_in_a_line_by_the_core_and_by_slicer(card: dict, data: some.DataObject):
    changed = json.loads(json.dumps(card))
    place = changed
    for _ in range(data.draw(some.integers(0, 3))):
        inner = [value for value in (place.values() if isinstance(place, dict) else place) if value]
        inner = [value for value in inner if isinstance(value, (dict, list))]
        if not inner:
            break
        place = data.draw(some.sampled_from(inner))
    key = data.draw(some.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(plain)
    with tempfile.TemporaryDirectory() as folder:
        path = model_file(Path(folder) / "m.safetensors", changed)
        for read, refusal in ((read_card, InputError), (readModelCard, ModelCardError)):
            try:
                read(path)
            except refusal as error:
                assert shown(str(error))
