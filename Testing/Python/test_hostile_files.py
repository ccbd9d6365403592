"""Files that someone made to do harm: models, settings, run folders, tables, archives. They are data and no more."""

from __future__ import annotations

import csv
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from GlobalLocalAlignmentLib import cli
from GlobalLocalAlignmentLib.batches.batch import file_words
from GlobalLocalAlignmentLib.bundle import DomainCard, load_bundle, make_card, read_card, save_bundle
from GlobalLocalAlignmentLib.comparison.tables import _latex, markdown_table
from GlobalLocalAlignmentLib.config import configuration, load_file, load_preset, merge, read_configuration
from GlobalLocalAlignmentLib.console import score_table, text_table
from GlobalLocalAlignmentLib.datasets.sifa import _read_npz
from GlobalLocalAlignmentLib.datasets.tfrecord import read_records
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.evaluation import ClassScore, evaluate_folders, read_scores, write_scores
from GlobalLocalAlignmentLib.report import write_report
from GlobalLocalAlignmentLib.training.checkpoints import load_latest, save_checkpoint
from GlobalLocalAlignmentLib.training.events import EventLog, describe
from GlobalLocalAlignmentLib.training.segmentation import SegmentationNetworks
from GlobalLocalAlignmentLib.volumes import Volume, write_volume
from GlobalLocalAlignmentSlicerLib.background.backgroundprocess import callCore, coreEnvironment
from GlobalLocalAlignmentSlicerLib.background.linetail import LONGEST_BYTES, LineTail
from GlobalLocalAlignmentSlicerLib.models.modelcard import ModelCardError, readModelCard
from GlobalLocalAlignmentSlicerLib.training.runwatcher import RunWatcher
from rich.console import Console

SIZES = {"width": 4, "blocks": [1, 1, 1, 2], "discriminator_width": 4}
LABELS = [{"value": 1, "name": "liver"}, {"value": 2, "name": "spleen"}]
MEMORY = 64 << 20
"""Bytes that reading a small file may take at most."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, not trained."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    changes = {"labels": LABELS, "segmentation": SIZES, "plane": {"size": [32, 40], "spacing": 8}}
    settings = configuration(merge(load_preset("phantom"), changes))
    domains = [DomainCard(modality=name, intensity=settings.intensity_by_modality[name]) for name in ("MR", "CT")]
    networks = SegmentationNetworks(settings)
    parts = {"segmenter": networks.segmenter, "feature_discriminator": networks.feature_discriminator}
    save_bundle(path, make_card(settings, *domains, None, {"seed": 1}, {"dice": float("nan")}), parts)
    return path


def rewritten(model: Path, path: Path, change: Callable[[dict], object], header: Callable[[dict], object] = id) -> Path:
    """The model with another card, and another header."""
    content = model.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    entries = json.loads(content[8 : 8 + length])
    card = json.loads(entries["__metadata__"]["card"])
    change(card)
    entries["__metadata__"]["card"] = json.dumps(card)
    header(entries)
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


def test_the_model_that_all_others_are_made_of_is_good(model: Path, tmp_path: Path):
    assert read_card(rewritten(model, tmp_path / "same", id)).names == {1: "liver", 2: "spleen"}
    assert load_bundle(model).card.scores == {"dice": None}
    assert readModelCard(model).labels[0].name == "liver"


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["segmentation"].update(width=10**9),
        lambda card: card["segmentation"].update(blocks=[10**9] * 4),
        lambda card: card["plane"].update(size=[1 << 30, 1 << 30]),
        lambda card: card["plane"].update(spacing=1e-300),
        lambda card: card["synthesis"].update(model="/etc/passwd"),
        lambda card: card["target"].update(modality="../../CT"),
        lambda card: card["target"].update(modality=r"\\server\share"),
        lambda card: card["target"]["intensity"].update(high=1e999),
        lambda card: card.update(labels=[]),
        lambda card: card["labels"][0].update(value=2),
        lambda card: card["labels"][0].update(value=300),
        lambda card: card["labels"][0].update(name=""),
        lambda card: card["labels"][0].update(name="liver\x1b[2J"),
        lambda card: card["labels"][0].update(name="liver\u202egnp"),
        lambda card: card["labels"][0].update(name="l" * 100_000),
        lambda card: card["labels"][0].update(color=[1, 2, 1000]),
        lambda card: card["labels"][0].update(terminology="t" * 100_000),
        lambda card: card.update(networks=["../synthesis"]),
        lambda card: card.update(provenance={"all": deep(100)}),
        lambda card: card.update(provenance={str(number): number for number in range(5000)}),
        lambda card: card.update(format_version=1e999),
        lambda card: card.update(format_version=[1]),
        lambda card: card.update(synthesis_domains=["PET", "US"]),
        lambda card: card.update(command="rm"),
    ],
)
def test_a_card_with_what_no_training_writes_is_refused_in_a_line(
    model: Path, tmp_path: Path, change: Callable[[dict], None]
):
    path = rewritten(model, tmp_path / "bad.safetensors", change)
    for read in (read_card, load_bundle):
        with pytest.raises(InputError, match="bad.safetensors: has a damaged model card") as caught:
            read(path)
        assert len(str(caught.value)) < 1000 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["labels"][0].update(name="liver\x1b[2J"),
        lambda card: card["labels"][0].update(name="l" * 100_000),
        lambda card: card["labels"][0].update(value=2),
        lambda card: card["labels"][0].update(value=0),
        lambda card: card["target"].update(modality=7),
        lambda card: card["plane"].update(spacing=1e999),
        lambda card: card.update(labels=[]),
        lambda card: card.update(format_version=1e999),
        lambda card: card.update(networks=[["segmenter"]]),
    ],
)
def test_slicer_shows_no_such_card(model: Path, tmp_path: Path, change: Callable[[dict], None]):
    with pytest.raises(ModelCardError, match="damaged model card"):
        readModelCard(rewritten(model, tmp_path / "bad.safetensors", change))


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"__metadata__": ' + b"[" * 100_000, b'{"a": {"b": 1e999}}'])
def test_a_header_nested_without_an_end_is_refused(tmp_path: Path, text: bytes):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(InputError, match="not a model"):
        read_card(path)
    with pytest.raises(ModelCardError, match="no model"):
        readModelCard(path)


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path: Path):
    path = tmp_path / "bad.safetensors"
    with open(path, "wb") as stream:
        stream.write(struct.pack("<Q", 90_000_000) + b"{")
        stream.truncate(90_000_100)
    with pytest.raises(InputError, match="header is too long"):
        read_card(path)


def test_sizes_are_compared_before_a_network_takes_memory(model: Path, tmp_path: Path, monkeypatch):
    """A card that asks for a network of some ten gigabytes, beside the weights of a tiny one."""
    path = rewritten(model, tmp_path / "bad.safetensors", lambda card: card["segmentation"].update(width=1024))
    taken = []
    monkeypatch.setattr(torch.Tensor, "clone", lambda tensor: taken.append(tensor.nbytes) or tensor)
    with pytest.raises(InputError, match="has no fitting weights for segmenter.extractor"):
        load_bundle(path)
    assert sum(taken) == 0
    assert all(value.device.type == "meta" for value in _first_network(path).state_dict().values())


def _first_network(path: Path) -> torch.nn.Module:
    from GlobalLocalAlignmentLib.bundle import _networks

    return _networks(read_card(path))["segmenter"]


def test_weights_of_another_type_or_that_are_no_numbers_are_refused(model: Path, tmp_path: Path):
    def retype(header: dict) -> None:
        entry = next(entry for name, entry in header.items() if name.endswith("weight") and len(entry["shape"]) == 4)
        entry["dtype"] = "I32"

    with pytest.raises(InputError, match="no fitting weights"):
        load_bundle(rewritten(model, tmp_path / "a.safetensors", id, retype))
    content = bytearray(model.read_bytes())
    content[-4:] = struct.pack("<f", float("nan"))
    (tmp_path / "b.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="weights that are no numbers"):
        load_bundle(tmp_path / "b.safetensors")


class Trap:
    """What is done when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_no_model_and_no_checkpoint(tmp_path: Path, protocol: int):
    sprung = tmp_path / "sprung"
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Trap(sprung), protocol))
    with pytest.raises(InputError, match="pickled PyTorch file"):
        load_bundle(tmp_path / "model.safetensors")
    torch.save({"iteration": 3, "state": Trap(sprung)}, tmp_path / "synthesis_0000003.pt", pickle_protocol=protocol)
    (tmp_path / "synthesis_0000002.pt").write_bytes(pickle.dumps(Trap(sprung), protocol))
    warnings: list[str] = []
    assert load_latest(tmp_path, "synthesis", warnings.append) is None
    assert len(warnings) == 2 and not sprung.exists()


def test_a_checkpoint_that_unpacks_to_more_than_it_is_is_not_read(tmp_path: Path):
    save_checkpoint(tmp_path, "synthesis", 4, {"network": torch.ones(3)})
    path = save_checkpoint(tmp_path, "synthesis", 5, {"network": torch.zeros(1 << 16)})
    with zipfile.ZipFile(path) as plain:
        parts = {entry.filename: plain.read(entry) for entry in plain.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    warnings: list[str] = []
    iteration, _ = load_latest(tmp_path, "synthesis", warnings.append)
    assert iteration == 4 and "synthesis_0000005.pt is damaged" in warnings[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a [x, x]\nb: &b [*a, *a]\nlabels: [*b, *b]", "alias"),
        ("!!python/object/apply:os.mkdir [sprung]", "constructor"),
        ("[" * 2000, "nested too deeply"),
        ("a: " + "x" * (2 << 20), "more than"),
        ("preset: 2020-99-99", "month"),
        ("preset: !!int ''", "out of range"),
        ("preset: !!timestamp x", "NoneType|'groupdict'|not be converted|timestamp"),
        ("\x00", "special characters"),
        ("- 1", "holds no settings"),
    ],
)
def test_settings_that_are_none_are_refused_in_a_line(tmp_path: Path, text: str, words: str):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InputError, match=f"bad.yaml: .*({words})"):
        load_file(tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    "change",
    [
        {"source": {"modality": "../../CT"}},
        {"source": {"modality": "C:CT"}},
        {"target": {"modality": ".."}},
        {"intensity_by_modality": {"a/b": {"rule": "window", "low": 0, "high": 1}}},
        {"labels": [{"value": 1, "name": "two\nlines"}]},
        {"preset": "\x1b[2J"},
        {"plane": {"size": [1 << 20, 1 << 20]}},
        {"segmentation": {"width": 10**6}},
        {"synthesis": {"learning_rate": float("inf")}},
        {"labels": [{"value": 1, "name": "x" * 10_000_000}]},
    ],
)
def test_settings_beyond_their_limits_are_refused(change: dict):
    with pytest.raises(InputError, match="^setting ") as caught:
        configuration(merge(load_preset("phantom"), change))
    assert len(str(caught.value)) < 500


def test_a_run_folder_with_settings_nested_without_an_end_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"labels": ' + "[" * 100_000)
    with pytest.raises(InputError, match="nested too deeply"):
        read_configuration(tmp_path)
    assert RunWatcher(tmp_path).configuration() == {}


def score(case: str, name: str) -> ClassScore:
    return ClassScore(case, 1, name, 0.5, 1.0, 1.0, 2.0, 2.0, 3.0, 10, 10)


def test_no_cell_of_a_table_is_a_formula_and_names_come_back(tmp_path: Path):
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''", "'", "\t=1", "plain", "", "'plain"]
    write_scores([score(name, name) for name in names], tmp_path / "scores.csv")
    with open(tmp_path / "scores.csv", encoding="utf-8", newline="") as stream:
        cells = [row["case"] for row in csv.DictReader(stream)]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert [entry.case for entry in read_scores(tmp_path / "scores.csv")] == names


def test_an_image_in_the_place_of_a_label_map_is_not_scored_value_by_value(tmp_path: Path):
    values = np.arange(12 * 12 * 6, dtype=np.int16).reshape(12, 12, 6)
    for folder in ("predictions", "references"):
        write_volume(Volume(values, np.eye(4)), tmp_path / folder / "case.nii.gz")
    scores, (error,) = evaluate_folders(tmp_path / "predictions", tmp_path / "references")
    assert scores == [] and "hold 863 label values" in str(error)


def test_names_of_structures_give_file_names_of_their_own():
    words = file_words({0: "background", 1: "肝", 2: "脾", 3: "a/../b", 4: "A B", 5: "a b", 6: "n" * 300})
    assert len({word.lower() for word in words.values()}) == 7
    assert all(word.replace("_", "").isalnum() and word.isascii() and len(word) < 60 for word in words.values())


def test_no_name_is_markup_of_the_terminal_a_command_of_latex_or_a_column():
    console = Console(file=open(os.devnull, "w"), width=200, record=True)
    console.print(score_table("[red]title", {"[/b]": {"[bold]x": 1.0}}, ["[bold]x"]))
    console.print(text_table(("[i]head",), [("[/i]cell",)]))
    text = console.export_text()
    assert all(word in text for word in ("[red]title", "[/b]", "[bold]x", "[i]head", "[/i]cell"))
    assert _latex(r"\input{/etc/passwd}%^~") == (
        r"\textbackslash{}input\{/etc/passwd\}\%\textasciicircum{}\textasciitilde{}"
    )
    assert markdown_table(["a|b\nc"], []).splitlines()[0] == "| a/b c |"


def test_a_log_has_a_line_for_each_event_and_steers_no_terminal(tmp_path: Path):
    entry = {"time": 0.0, "event": "warning", "stage": "check", "message": "a\nfake line\x1b[2J\u202e"}
    assert describe(entry).isprintable()
    EventLog(tmp_path).emit("warning", "check", message="a\nb", name="\udcfc")
    assert len((tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()) == 1


EVENTS = [
    b'{"event": "run_started", "time": 1e999}',
    b'{"event": "run_started", "time": "now", "device": "<script>"}',
    b'{"event": "run_started", "time": -1e30}',
    b'{"event": "run_finished", "time": 1, "seconds": "many"}',
    b'{"event": "displacement", "time": 1, "median_mm": 1e300, "moved_share": [1], "windows": {}}',
    b'{"event": "displacement", "time": 1, "median_mm": 1, "moved_share": 0.5, "windows": "x"}',
    b'{"event": "progress", "iteration": 1e999, "of": 1e999, "values": {"loss": 1e999}}',
    b'{"event": "progress", "iteration": ' + b"9" * 400 + b', "of": NaN, "values": {"loss": ' + b"9" * 400 + b"}}",
    b'{"event": "progress", "iteration": Infinity, "of": -Infinity, "rate": {}, "values": 3}',
    b'{"event": ["warning"]}',
    b'{"event": ' + b"[" * 100_000,
    b"[" * 100_000,
    b"\xff\xfe\x00",
    b'{"event": "warning", "message": {"a": [1]}}',
    b'{"event": "failed", "message": "/data/Doe^Jane.nii.gz: is broken"}',
    b'{"event": "preview", "file": "../../../etc/passwd.png"}',
    b"x" * (3 << 20),
]


def test_events_that_nobody_of_us_wrote_do_no_harm(tmp_path: Path):
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(EVENTS) + b'\n{"event": "run_finished", "time": 5}\n')
    watcher = RunWatcher(tmp_path)
    for _ in range(9):
        watcher.poll()
    assert watcher.state.status == "finished" and watcher.state.of == 0
    assert watcher.state.previews == {} and not any(watcher.state.curves.values())
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Doe^Jane" not in text and "log.txt in its folder says which" in text


def test_a_line_without_an_end_is_read_in_portions(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"first\n" + b"x" * (9 * LONGEST_BYTES) + b"\nlast\n")
    tail, lines, looks = LineTail(path), [], 0
    while "last" not in lines:
        before = tail._place
        lines += tail.read(100)
        looks += 1
        assert tail._place - before <= 4 * LONGEST_BYTES and len(tail._rest) <= 2 * LONGEST_BYTES
    assert lines[0] == "first" and max(map(len, lines)) <= 2 * LONGEST_BYTES and looks > 1


def damaged_run(folder: Path) -> None:
    """A run folder in which every file is something else than it should be."""
    (folder / "config.json").write_text(json.dumps({"labels": [{"color": "red", "name": "<b>"}], "source": [], "x": 1}))
    (folder / "metrics.csv").write_bytes(
        b"stage,iteration,name,value\nsynthesis,1,cycle,1e999\nsynthesis,9e9,cycle,x\n\xff,\0"
    )
    (folder / "metrics.csv").open("ab").write(b"\nsegmentation," + b"9" * 300_000 + b",dice,1\n")
    (folder / "panels").mkdir()
    arrays = {
        "segmentation_flat": {"image": np.zeros(3), "prediction": np.zeros(3)},
        "segmentation_words": {"image": np.zeros((1, 2, 2)), "prediction": np.full((1, 2, 2), "x")},
        "segmentation_other": {"image": np.zeros((1, 2, 2)), "prediction": np.zeros((1, 3, 2))},
        "segmentation_empty": {"image": np.zeros((0, 2, 2)), "prediction": np.zeros((0, 2, 2))},
        "segmentation_wide": {"image": np.zeros((1, 1, 9999)), "prediction": np.zeros((1, 1, 9999))},
        "translation_some": {"source": np.zeros((1, 2, 2))},
    }
    for name, content in arrays.items():
        np.savez_compressed(folder / "panels" / f"{name}.npz", **content)
    np.savez(folder / "panels" / "segmentation_pickle.npz", image=np.array([Trap(folder / "sprung")], object))
    (folder / "scores").mkdir()
    rows = [score("a", f"$\\frac{{{number}}}$") for number in range(3)]
    write_scores(rows, folder / "scores" / "<i>$x$.csv")
    (folder / "scores" / "ours.csv").write_text("case,label\n" * 5)


def test_a_report_of_a_run_folder_of_anybody_is_written_and_nothing_of_it_is_run(tmp_path: Path):
    damaged_run(tmp_path)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<i>" not in text.replace('<i style="', "") and "&lt;i&gt;$x$" in text
    assert "Local alignment" not in text and not (tmp_path / "sprung").exists()


def test_panels_that_unpack_to_more_than_panels_have_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "panels").mkdir()
    path = tmp_path / "panels" / "segmentation_ours.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("image.npy", "prediction.npy"):
            with archive.open(name, "w") as stream:
                for _ in range(3):
                    stream.write(bytes(1 << 20))
    monkeypatch.setattr("GlobalLocalAlignmentLib.report.content.MOST_PANEL_BYTES", 5 << 20)
    monkeypatch.setattr(np, "load", lambda *arguments, **options: pytest.fail("it was unpacked"))
    assert "Local alignment" not in write_report(tmp_path).read_text(encoding="utf-8")


def test_an_archive_of_a_data_set_larger_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "ct_1003.npz"
    np.savez_compressed(path, arr_0=np.zeros((300, 200, 200), np.float32), arr_1=np.zeros((300, 200, 200), np.uint8))
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 10 << 20})())
    with pytest.raises(InputError, match=r"ct_1003.npz: takes 0.1 GiB of memory, 0.0 GiB are free"):
        _read_npz(path)


def test_a_record_file_without_an_end_is_refused(tmp_path: Path):
    path = tmp_path / "ct_train.tfrecords"
    with open(path, "wb") as stream:
        stream.truncate(65 << 20)
    with pytest.raises(InputError, match="is no slice of a data set"):
        read_records(path)


SECRETS = {
    "GITHUB_TOKEN": "ghp_x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_PROFILE": "x", "my_password": "x", "PGPASSWORD": "x",
    "MYSQL_PWD": "x", "SSH_AUTH_SOCK": "/tmp/agent", "OPENAI_API_KEY": "x", "NPM_AUTH": "x", "GPG_AGENT_INFO": "x",
    "AZURE_CLIENT_ID": "x", "KUBECONFIG": "x", "SESSION_COOKIE": "x", "SIGNING_KEY": "x", "SENTRY_DSN": "x",
    "DATABASE_URL": "postgres://jane:secret@host/db", "KEY_PASSPHRASE": "x", "CONNECTION_STRING": "x",
}  # fmt: skip
NEEDED = {
    "PATH": "/bin", "HOME": "/home/x", "PWD": "/x", "CUDA_VISIBLE_DEVICES": "0", "NVIDIA_DRIVER_CAPABILITIES": "all",
    "https_proxy": "http://user:word@proxy:8080", "HTTP_PROXY": "http://proxy", "NO_PROXY": "x", "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": "/lib", "OMP_NUM_THREADS": "2", "SSL_CERT_FILE": "/x", "TMPDIR": "/tmp", "SYSTEMROOT": "C:",
    "PYTORCH_CUDA_ALLOC_CONF": "x", "DISPLAY": ":0", "KEYBOARD": "de", "COMPASS": "n", "HOMEPATH": "x",
}  # fmt: skip


def test_the_core_is_told_no_secret_and_all_that_it_needs():
    kept = coreEnvironment(SECRETS | NEEDED)
    assert not SECRETS.keys() & kept.keys()
    assert NEEDED.items() <= kept.items()


def test_no_name_becomes_an_option_of_the_core(tmp_path: Path):
    with pytest.raises(OSError, match="end of a line"):
        callCore(["predict", "--input", "a\n--output=/etc"], tmp_path, print, print, print)
    assert not (tmp_path / "call.txt").exists()
    listed = tmp_path / "@options.txt"
    listed.write_text("--help\n")
    assert cli.from_files(["predict", f"@{listed}"]) == ["predict", f"@{listed}"]
    (tmp_path / "call.txt").write_bytes("predict\r\n--input\na\u2028b\x85c\x0bd\n".encode())
    assert cli.from_files([f"@{tmp_path / 'call.txt'}", "-x"]) == ["predict", "--input", "a\u2028b\x85c\x0bd", "-x"]


def test_messages_are_one_line_that_any_screen_shows():
    text = str(InputError("a\x1b]0;title\x07\udcfc\u202e.nii", "is\nbroken\r\n", "x"))
    assert text.isprintable() and text.encode() and "is broken" in text


def test_yaml_of_ours_needs_no_aliases(tmp_path: Path):
    same = [1.0, 2.0]
    text = yaml.safe_dump({"a": same, "b": same})
    assert "*" in text, "this is what the loader refuses"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(configuration(load_preset("phantom")).dump()))
    assert load_file(tmp_path / "config.yaml")["preset"] == "phantom"
