"""Fixtures that several tests share: tiny phantoms, a tiny trained model, the folder of real volumes."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from GlobalLocalAlignmentSlicerLib.background import backgroundprocess
from readycore import ReadyCore

# what takes seconds to load is imported where it is used: the process that hands out the tests needs none of it


def pytest_configure(config: pytest.Config) -> None:
    """One thread a process, the same examples on every machine, and no example that fails for being slow."""
    if config.getoption("numprocesses", None):
        return
    import torch
    from hypothesis import settings as hypothesis_settings

    torch.set_num_threads(1)
    hypothesis_settings.register_profile("repeatable", derandomize=True, deadline=None)
    hypothesis_settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Every test draws the same random numbers, alone and in any order."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two MR source cases and two CT target cases, each with images and labels."""
    from tinyrun import write_cohorts

    return write_cohorts(tmp_path_factory.mktemp("cohorts"))


@pytest.fixture(scope="session")
def tiny_settings(cohorts: Path) -> dict:
    """Settings of a training that takes seconds."""
    from tinyrun import settings_of

    return settings_of(cohorts)


@pytest.fixture(scope="session")
def tiny_words() -> str:
    """What makes a training on the preset ``phantom`` a tiny one, as text: one ``section.key=value`` a line."""
    from tinyrun import TINY

    sections = {section: values for section, values in TINY.items() if section != "labels"}
    return "\n".join(
        f"{section}.{name}={json.dumps(value)}"
        for section, values in sections.items()
        for name, value in values.items()
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_settings: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished tiny run."""
    from GlobalLocalAlignmentLib.config import configuration
    from GlobalLocalAlignmentLib.training.run import train

    run = tmp_path_factory.mktemp("runs") / "tiny"
    train(run, configuration(tiny_settings))
    return run


@pytest.fixture(scope="session")
def untrained_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model from MR to CT whose networks learnt nothing, with names, colours and terms of the abdomen."""
    import torch
    from GlobalLocalAlignmentLib.bundle import DomainCard, make_card, save_bundle
    from GlobalLocalAlignmentLib.config import configuration, load_preset, merge
    from GlobalLocalAlignmentLib.training.segmentation import SegmentationNetworks
    from tinyrun import TINY

    labels = {"labels": load_preset("abdomen")["labels"]}
    settings = configuration(merge(merge(load_preset("phantom"), TINY), labels))
    torch.manual_seed(0)
    networks = SegmentationNetworks(settings).eval()
    domains = [DomainCard(modality=name, intensity=settings.intensity_by_modality[name]) for name in ("MR", "CT")]
    parts = {"segmenter": networks.segmenter, "feature_discriminator": networks.feature_discriminator}
    path = tmp_path_factory.mktemp("untrained") / "model.safetensors"
    save_bundle(path, make_card(settings, *domains, None, {}), parts)
    return path


@pytest.fixture(scope="session")
def ready_core() -> Iterator[ReadyCore]:
    """What starts processes of the core without the seconds that each of them would load libraries for."""
    core = ReadyCore()
    yield core
    core.close()


@pytest.fixture
def forked_core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Background processes of the test are forked from one that is ready, where the system can do it safely."""
    if sys.platform == "linux":
        core = request.getfixturevalue("ready_core")
        names = {name: getattr(subprocess, name) for name in ("DEVNULL", "STDOUT")}
        monkeypatch.setattr(backgroundprocess, "subprocess", SimpleNamespace(Popen=core.start, **names))


@pytest.fixture
def shared_data() -> Path:
    """Real volumes beside the checkout; the test is skipped where they are not."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real volumes is not beside the checkout")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of 16 MiB, which a test can fill."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a disk that can be filled is mounted by root on Linux alone")
    yield folder
    # what still writes to it may go on
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
