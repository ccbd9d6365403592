"""Commands as a user types them: what they leave behind, exit codes, one line for bad input."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.config import assignments, configuration, load_preset, merge, preset_names
from GlobalLocalAlignmentLib.demo import demo_configuration
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.evaluation import read_scores
from GlobalLocalAlignmentLib.phantom import PHANTOM_LABELS
from GlobalLocalAlignmentLib.volumes import Volume, read_labelmap, read_volume, write_volume

PACKAGE = Path(__file__).resolve().parents[2] / "GlobalLocalAlignment"


@pytest.fixture
def train_arguments(tiny_settings: dict, tmp_path: Path) -> list[str]:
    """Arguments of a tiny training into ``tmp_path / "run"``."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(configuration(tiny_settings).dump()))
    return ["train", "--config", str(file), "--output", str(tmp_path / "run")]


def fails(capsys: pytest.CaptureFixture, arguments: list[str], *words: str, lines: int = 1) -> None:
    """The command ends with exit code 2 and a line for each bad input, which holds the words."""
    capsys.readouterr()
    assert run(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(errors) == lines, errors
    assert all(line.startswith("error: ") and ";" in line for line in errors)
    for word in words:
        assert any(word in line for line in errors), (word, errors)


def copied(cohorts: Path, folder: Path) -> Path:
    """Copy of the source cohort that a test may spoil."""
    import shutil

    shutil.copytree(cohorts / "source", folder)
    return folder


def use(arguments: list[str], folder: Path) -> list[str]:
    return [*arguments, "--source-images", str(folder / "images"), "--source-labels", str(folder / "labels")]


def test_predict_evaluate_synthesize_and_inspect_work_one_after_the_other(
    tiny_run: Path, cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    model, images = str(tiny_run / "model.safetensors"), str(cohorts / "target" / "images")
    out = tmp_path / "out"
    assert run(["predict", "-m", model, "-i", images, "-o", str(out), "--feature-mask", "--device", "cpu"]) == 0
    assert sorted(path.name for path in out.glob("*.nii.gz")) == [
        f"case_0{case}_{name}.nii.gz" for case in (0, 1) for name in ("feature_mask", "segmentation")
    ]
    table = tmp_path / "scores.csv"
    references = str(cohorts / "target" / "labels")
    assert run(["evaluate", "--predictions", str(out), "--references", references, "-o", str(table), "-m", model]) == 0
    scores = read_scores(table)
    assert {score.case for score in scores} == {"case_00", "case_01"}
    assert {score.name for score in scores} == {"liver", "right kidney", "left kidney", "spleen"}
    assert run(["synthesize", "-m", model, "-i", images, "-o", str(tmp_path / "mr"), "--to", "source"]) == 0
    assert len(list((tmp_path / "mr").iterdir())) == 2
    capsys.readouterr()
    assert run(["inspect", model]) == 0
    assert "right kidney" in capsys.readouterr().out


def test_training_writes_a_model_and_a_report(train_arguments: list[str], tmp_path: Path):
    assert run(train_arguments) == 0
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert "Stage two" in (tmp_path / "run" / "report.html").read_text()
    assert not list((tmp_path / "run").glob(".*"))


TORCHRUN = """
import sys
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.training.run import train
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
# what torchrun --standalone --nproc-per-node 2 does, but that both processes are forked with everything loaded
launch = LaunchConfig(1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="localhost:0", start_method="fork", max_restarts=0)
sys.exit(max(elastic_launch(launch, run)(sys.argv[1:]).values()))
"""


def test_two_processes_train_one_run(train_arguments: list[str], tmp_path: Path):
    short = ["--set", "segmentation.style_transfer=false"]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TORCHRUN, *train_arguments, *short]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.safetensors").is_file()
    kinds = [json.loads(line)["event"] for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert kinds.count("run_started") == kinds.count("run_finished") == 1


def test_the_module_is_a_command_of_its_own():
    done = subprocess.run(
        [sys.executable, "-m", "GlobalLocalAlignmentLib", "--help"],
        cwd=PACKAGE,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    for command in ("demo", "check", "estimate", "train", "predict", "evaluate", "synthesize", "inspect", "report"):
        assert command in done.stdout


def test_a_used_output_folder_is_refused(train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    fails(capsys, train_arguments, "holds another run", "--resume")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_resume_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture):
    fails(capsys, ["train", "--resume", "-o", str(tmp_path)], "holds no run to resume")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("training.sead=1", ("training.sead", "did you mean training.seed")),
        ("synthesys.width=8", ("synthesys", "did you mean synthesis")),
        ("training.seed=many", ("training.seed", "'many'")),
        ("plane.size=[30,32]", ("plane.size", "multiples of 8")),
        ("segmentation.mask_target=both", ("segmentation.mask_target",)),
        ("training.seed", ("section.key=value",)),
        ("learning_rate=1", ("did you mean synthesis.learning_rate or segmentation.learning_rate",)),
        ("source.intensity={rule: window, lo: 1}", ("source.intensity.lo", "did you mean source.intensity.low")),
        ("intensity_by_modality.CT.hihg=3", ("did you mean intensity_by_modality.CT.high",)),
        ("segmentation.blocks=[3,4,6,1]", ("segmentation.blocks", "two bottlenecks")),
    ],
)
def test_a_wrong_setting_is_named_with_the_nearest_right_one(
    train_arguments: list[str], capsys: pytest.CaptureFixture, change: str, words: tuple[str, ...]
):
    fails(capsys, [*train_arguments, "--set", change], *words)


def test_a_precision_can_be_given_as_the_number_it_is(train_arguments: list[str]):
    assert configuration(assignments(["training.precision=32"])).training.precision == "32"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], ("--output", "see gla train --help")),
        (["predict", "--batch-size", "0", "-m", "a", "-i", "b", "-o", "c"], ("--batch-size",)),
        (["segment"], ("segment", "see gla --help")),
        (["train", "--colour", "red"], ("--colour",)),
    ],
)
def test_words_that_a_command_does_not_know_are_one_line(
    capsys: pytest.CaptureFixture, arguments: list[str], words: tuple[str, ...]
):
    fails(capsys, arguments, *words)


def test_without_words_the_help_is_shown(capsys: pytest.CaptureFixture):
    assert run([]) == 0
    assert "predict" in capsys.readouterr().out


def test_a_volume_that_its_intensity_rule_leaves_blank_is_refused_before_anything_is_written(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
):
    rule = "target.intensity={rule: window, low: -1.0e+9, high: 1.0e+9}"
    fails(capsys, [*train_arguments, "--set", rule], "shows nothing", "target.intensity", lines=2)
    assert not (tmp_path / "run").exists()


def test_references_without_a_prediction_are_named(cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    labels = cohorts / "target" / "labels"
    write_volume(read_labelmap(labels / "case_00.nii.gz"), tmp_path / "predictions" / "case_00.nii.gz")
    arguments = ["evaluate", "--predictions", str(tmp_path / "predictions"), "--references", str(labels)]
    assert run([*arguments, "-o", str(tmp_path / "scores.csv")]) == 0
    assert "1 references have no prediction and no score: case_01" in capsys.readouterr().err


def test_structures_that_were_not_found_are_counted(cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    labels = read_labelmap(cohorts / "target" / "labels" / "case_00.nii.gz")
    found = Volume(np.where(labels.array == 4, 0, labels.array), labels.ijk_to_ras)
    write_volume(labels, tmp_path / "references" / "case_00.nii.gz")
    write_volume(found, tmp_path / "predictions" / "case_00.nii.gz")
    arguments = ["evaluate", "--predictions", str(tmp_path / "predictions"), "-o", str(tmp_path / "scores.csv")]
    assert run([*arguments, "--references", str(tmp_path / "references")]) == 0
    assert "1 structures were not found at all" in capsys.readouterr().out


def test_a_feature_mask_of_a_model_without_d1_is_refused(
    train_arguments: list[str], cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    changes = ["segmentation.style_transfer=false", "segmentation.feature_discriminator=false"]
    assert run([*train_arguments, *(word for change in changes for word in ("--set", change))]) == 0
    arguments = ["predict", "-m", str(tmp_path / "run" / "model.safetensors"), "-o", str(tmp_path / "out")]
    arguments += ["-i", str(cohorts / "target" / "images" / "case_00.nii.gz"), "--feature-mask"]
    fails(capsys, arguments, "no local feature mask")
    assert not (tmp_path / "out").exists()


def test_the_folder_of_another_demo_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "demo.json").write_text('{"task": "abdomen", "seed": 0}')
    fails(capsys, ["demo", "-o", str(folder), "--seed", "5"], "holds another demo (task abdomen, seed 0)")
    fails(capsys, ["demo", "-o", str(folder / "demo.json")], "is not the folder of a demo")
    fails(capsys, ["demo", "-o", str(tmp_path / "new"), "--device", "cuda:77"], "device cuda:77")
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_an_unknown_preset_is_named_with_the_nearest_one(tmp_path: Path, capsys: pytest.CaptureFixture):
    fails(capsys, ["train", "--preset", "abdomen-gpu", "-o", str(tmp_path / "run")], "did you mean abdomen-cpu")


@pytest.mark.parametrize("device", ["cuda:77", "tpu"])
def test_a_device_that_is_not_there_is_refused(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture, device: str
):
    fails(capsys, [*train_arguments, "--device", device], f"device {device}")
    assert not (tmp_path / "run").exists()


def test_every_bad_case_is_named_before_anything_is_written(
    train_arguments: list[str], cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    folder = copied(cohorts, tmp_path / "data")
    first, second = (folder / "images" / f"case_0{index}.nii.gz" for index in (0, 1))
    first.write_bytes(first.read_bytes()[:400])
    volume = read_volume(second)
    write_volume(Volume(np.full(volume.shape, 3, np.int16), volume.ijk_to_ras), second)
    fails(
        capsys, use(train_arguments, folder), "case_00.nii.gz: cannot be read", "case_01.nii.gz: is constant", lines=2
    )
    assert not (tmp_path / "run").exists()


def test_an_image_and_a_label_of_different_geometry_are_refused(
    train_arguments: list[str], cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    folder = copied(cohorts, tmp_path / "data")
    path = folder / "labels" / "case_01.nii.gz"
    labels = read_labelmap(path)
    write_volume(Volume(labels.array[:-1], labels.ijk_to_ras), path)
    fails(capsys, use(train_arguments, folder), "labels/case_01.nii.gz", "another geometry")


def test_a_label_value_that_the_mapping_does_not_know_is_refused_and_can_be_mapped(
    train_arguments: list[str], cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    folder = copied(cohorts, tmp_path / "data")
    path = folder / "labels" / "case_01.nii.gz"
    labels = read_labelmap(path)
    write_volume(Volume(np.where(labels.array == 4, 77, labels.array).astype(np.uint8), labels.ijk_to_ras), path)
    fails(capsys, use(train_arguments, folder), "label value 77", "source.label_mapping")
    short = ["--set", "segmentation.style_transfer=false"]
    assert run([*use(train_arguments, folder), *short, "--set", "source.label_mapping={77: 4}"]) == 0


def test_a_class_that_no_case_has_is_refused(
    train_arguments: list[str], cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    folder = copied(cohorts, tmp_path / "data")
    for path in (folder / "labels").iterdir():
        labels = read_labelmap(path)
        write_volume(Volume(np.where(labels.array == 4, 0, labels.array).astype(np.uint8), labels.ijk_to_ras), path)
    fails(capsys, use(train_arguments, folder), "no voxel of spleen")


def test_a_case_without_its_label_is_refused(
    train_arguments: list[str], cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    folder = copied(cohorts, tmp_path / "data")
    (folder / "labels" / "case_01.nii.gz").unlink()
    fails(capsys, use(train_arguments, folder), "no label map for case case_01")


def test_no_case_at_all_is_refused(train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "empty").mkdir()
    fails(capsys, [*train_arguments, "--target-images", str(tmp_path / "empty")], "target images", "no case")


def test_a_model_for_other_labels_than_the_references_is_refused(
    tiny_run: Path, cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    labels = read_labelmap(cohorts / "target" / "labels" / "case_00.nii.gz")
    references = tmp_path / "references"
    write_volume(Volume((labels.array * 30).astype(np.uint8), labels.ijk_to_ras), references / "case_00.nii.gz")
    write_volume(labels, tmp_path / "predictions" / "case_00.nii.gz")
    arguments = ["evaluate", "--predictions", str(tmp_path / "predictions"), "--references", str(references)]
    arguments += ["-o", str(tmp_path / "scores.csv"), "-m", str(tiny_run / "model.safetensors")]
    fails(capsys, arguments, "label value 30", "other labels")
    assert not (tmp_path / "scores.csv").exists()


def test_the_rest_of_a_batch_is_predicted(tiny_run: Path, cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = copied(cohorts, tmp_path / "data")
    (folder / "images" / "case_00.nii.gz").write_text("no volume")
    model = str(tiny_run / "model.safetensors")
    fails(capsys, ["predict", "-m", model, "-i", str(folder / "images"), "-o", str(tmp_path / "out")], "case_00.nii.gz")
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == ["case_01_segmentation.nii.gz"]


def test_an_unexpected_failure_leaves_its_trace_in_the_log(
    train_arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    from GlobalLocalAlignmentLib.training import run as module

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(module, "build_store", fail)
    assert run(train_arguments) == 1
    assert "a fault of ours" in (tmp_path / "run" / "log.txt").read_text()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_valid_configuration(name: str):
    settings = configuration(load_preset(name))
    assert settings.preset == name
    assert set(settings.intensity_by_modality) == {"CT", "MR"}
    # seven parts of scheme, code and meaning, as Slicer writes a term; one that is misspelt would be "Tissue" there
    for label in settings.labels:
        context, *codes = label.terminology.split("~")
        assert context.startswith("Segmentation category and type - ") and len(codes) == 6
        assert all(re.fullmatch(r"SCT\^\d+\^[\w ]+|\^\^", code) for code in (*codes[:3], *codes[4:])), codes


@pytest.mark.parametrize("task", PHANTOM_LABELS)
def test_the_structures_of_a_demo_have_terms_and_colours_of_their_own(task: str, tmp_path: Path):
    labels = demo_configuration(tmp_path, task, 0, "cpu").labels
    assert {label.value: label.name for label in labels} == PHANTOM_LABELS[task]
    assert len({label.terminology for label in labels} - {""}) == len({label.color for label in labels}) == 4


@pytest.mark.parametrize(("name", "size"), [("cardiac", (256, 256)), ("abdomen", (512, 512))])
def test_the_paper_presets_have_the_papers_sizes_and_weights(name: str, size: tuple[int, int]):
    settings = configuration(load_preset(name))
    assert settings.plane.size == size
    weights = settings.synthesis.weights
    assert (weights.image_reconstruction, weights.cycle) == (20, 20)
    assert (weights.content_reconstruction, weights.adversarial) == (1, 1)
    assert (settings.synthesis.batch_size, settings.synthesis.iterations) == (8, 50000)
    assert (settings.synthesis.learning_rate, settings.synthesis.weight_decay) == (2e-4, 1e-4)
    assert (settings.segmentation.feature_weight, settings.segmentation.output_weight) == (0.01, 0.01)
    assert (settings.segmentation.momentum, settings.segmentation.weight_decay) == (0.9, 5e-4)
    assert (settings.synthesis.width, settings.segmentation.width) == (64, 64)


def test_assignments_are_read_as_yaml():
    assert assignments(["a.b=[1, 2]", "a.c=x", "d=null"]) == {"a": {"b": [1, 2], "c": "x"}, "d": None}


def test_merging_leaves_its_arguments_alone():
    base = {"a": {"b": 1}}
    assert merge(base, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}
    assert base == {"a": {"b": 1}}


def test_an_unreadable_settings_file_is_refused(tmp_path: Path):
    from GlobalLocalAlignmentLib.config import load_file

    path = tmp_path / "settings.yaml"
    path.write_text("a: [1")
    with pytest.raises(InputError, match="cannot be read as JSON or YAML"):
        load_file(path)


def test_progress_goes_out_as_json_lines_for_a_program_that_watches(
    tiny_run: Path, cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    model, images = str(tiny_run / "model.safetensors"), str(cohorts / "target" / "images")
    call = ["predict", "-m", model, "-i", images, "-o", str(tmp_path / "out"), "--device", "cpu"]
    assert run(["--events", *call]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    entries = [json.loads(line) for line in lines]
    assert entries[0]["event"] == "stage_started" and entries[-1]["event"] == "stage_finished"
    assert {"iteration", "of", "seconds_left"} <= entries[1].keys()
    # the next call is for a person again
    assert run(call) == 0
    assert "{" not in capsys.readouterr().out


def test_arguments_are_read_from_a_file_one_a_line(
    tiny_run: Path, cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    folder = tmp_path / "Ergebnisse für Müller"
    call = ["predict", "-m", tiny_run / "model.safetensors", "-i", cohorts / "target" / "images", "-o", folder]
    file = tmp_path / "call.txt"
    file.write_text("\n".join(map(str, call)), encoding="utf-8")
    assert run([f"@{file}", "--device", "cpu"]) == 0
    assert len(list(folder.glob("*.nii.gz"))) == 2
    fails(capsys, [f"@{tmp_path / 'nothing.txt'}"], "nothing.txt")
