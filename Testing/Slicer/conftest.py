"""Starts the host for these tests, or says why they are skipped; a test fails for whatever the host saw go wrong."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# for subprocesses and plain runs alike, whatever the folder pytest was started in
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

NEEDED = {"slicer_core": "slicer-core", "PySide6": "PySide6-Essentials"}
MISSING = [name for module, name in NEEDED.items() if find_spec(module) is None]
REASON = f"{' and '.join(MISSING)} not installed: pip install -e .[slicer]"

if TYPE_CHECKING:
    from SlicerHost.host import Host


def pytest_configure(config: pytest.Config) -> None:
    """Start the host before the test files are read, which import slicer and qt; not where tests are handed out."""
    if not MISSING and not config.getoption("numprocesses", None):
        from SlicerHost.host import start

        start()


class Skipped(pytest.Module):
    """A file that is not even read, because what it imports is not there."""

    def _getobj(self) -> None:
        pytest.skip(REASON, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return Skipped.from_parent(parent, path=module_path) if MISSING else None


@pytest.fixture(autouse=True)
def slicer_host() -> Iterator[Host]:
    """The host, empty; the test fails afterwards if something went wrong where nobody could see it."""
    from SlicerHost.host import start

    host = start()
    # once more: what the test before was given lives until after its end
    host.reset()
    host.verdict()
    yield host
    host.process_events()
    seen = host.verdict()
    host.reset()
    seen += host.verdict()
    if seen:
        pytest.fail("while the test ran:\n" + "\n".join(seen), pytrace=False)


@pytest.fixture(autouse=True)
def processes_that_are_ready(request: pytest.FixtureRequest) -> None:
    """Processes of the core are forked, but those of tests that are marked ``cold_start``."""
    if request.node.get_closest_marker("cold_start") is None:
        request.getfixturevalue("forked_core")


@pytest.fixture(scope="module", autouse=True)
def what_stays() -> None:
    """What is loaded by now stays: no collection of garbage after a test of this file has to look at it again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture
def panel(slicer_host: Host):
    """The open panel of the segmenting module."""
    from segmentpanel import MODULE

    slicer_host.load_module(MODULE)
    return slicer_host.open_module("GlobalLocalAlignment")
