"""Trainings that are killed with SIGKILL and resumed: how many end bit for bit as one that was never killed.

    python Testing/Benchmarks/kill_and_resume.py [--kills 20] [--seed 0]

Each of the trainings, on a tiny phantom and both stages long, is killed once, at a moment that the seed draws, and then
resumed to its end; every third one while a checkpoint is written, the others in each stage by turns. One more training
is killed again and again on its way. Moments are counted and not timed, see ``Testing/killing.py``, so they are the
same on every machine. Compared are the model, its card but for the date, every checkpoint that is left, the panels, the
curves and the names of all files. POSIX and CPU alone.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import defaultdict
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import ROOT, describe

sys.path.insert(0, str(ROOT / "Testing"))

from GlobalLocalAlignmentLib.bundle import read_card
from GlobalLocalAlignmentLib.config import Configuration, configuration
from GlobalLocalAlignmentLib.report.content import read_run
from GlobalLocalAlignmentLib.training.run import train
from GlobalLocalAlignmentLib.training.runfolder import CONFIGURATION_NAME, MODEL_NAME
from killing import KILLED, Tick, Ticks, in_a_process, load_modules
from safetensors.torch import load_file
from tinyrun import settings_of, write_cohorts

CHECKPOINT_SHARE = 3
"""Every so-manieth training is killed while a checkpoint is written."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = configuration(settings_of(write_cohorts(folder / "cohorts")))
        ticks = _reference(folder, settings)
        expected = _outcome(folder / "reference")
        lost = 0
        for index, tick in enumerate(_moments(ticks, options.kills, options.seed)):
            run = folder / f"run {index}"
            found = _killed_and_resumed(run, settings, [tick.number])
            lost += found != expected
            _say(f"killed {tick.number:5} of {len(ticks)}, {tick.place}, {tick.what}", found, expected)
        often = _often(len(ticks), options.kills, options.seed)
        found = _killed_and_resumed(folder / "often", settings, often)
        lost += found != expected
        _say(f"killed {len(often)} times on its way", found, expected)
    tried = options.kills + 1
    print(f"{tried} trainings, {tried - lost} survived, {lost} lost")
    sys.exit(1 if lost else 0)


def _reference(folder: Path, settings: Configuration) -> list[Tick]:
    """Train once without a kill, and return all its moments."""
    code = _train(folder / "reference", settings, None, folder / "ticks.json")
    if code:
        sys.exit(f"the training that is not killed ended with exit code {code}")
    load_modules(folder / "ticks.json")
    noted = json.loads((folder / "ticks.json").read_text())["ticks"]
    return [Tick(number, place, what) for number, (place, what) in enumerate(noted, 1)]


def _moments(ticks: list[Tick], count: int, seed: int) -> list[Tick]:
    """By turns while a checkpoint is written and elsewhere, where each stage comes in its turn: most ticks are pieces
    of checkpoints."""
    chance, elsewhere = random.Random(seed), defaultdict(list)
    for tick in ticks:
        if not tick.in_checkpoint:
            elsewhere[tick.place].append(tick)
    in_checkpoints, turns = [tick for tick in ticks if tick.in_checkpoint], cycle(elsewhere.values())
    return [chance.choice(next(turns) if index % CHECKPOINT_SHARE else in_checkpoints) for index in range(count)]


def _often(ticks: int, count: int, seed: int) -> list[int]:
    """Moments, counted from each start, of which most come before the end."""
    chance = random.Random(seed + 1)
    return [chance.randint(1, max(2, ticks // 4)) for _ in range(count)]


def _killed_and_resumed(run: Path, settings: Configuration, kills: list[int]) -> dict[str, Any] | str:
    """What a run leaves that was killed at each of some moments, counted from its start; or what went wrong."""
    for kill in kills:
        code = _train(run, settings, kill)
        if code == 0:
            # it was done before
            break
        if code != KILLED:
            return f"it ended with exit code {code} in the place of being killed"
    code = _train(run, settings, None)
    return f"it could not be resumed: exit code {code}" if code else _outcome(run)


def _train(run: Path, settings: Configuration, kill: int | None, note: Path | None = None) -> int:
    """Exit code of a process that begins a run, or goes on with it."""

    def work() -> None:
        ticks = Ticks(kill, note)
        ticks.install()
        begun = (run / CONFIGURATION_NAME).exists()
        train(run, None if begun else settings, [ticks.listen])
        ticks.save()

    return in_a_process(work)


def _outcome(run: Path) -> dict[str, Any]:
    """Everything that a finished run holds, by name; tensors as bytes, so that they can be compared."""
    found: dict[str, Any] = {f"model {name}": _bytes(value) for name, value in load_file(run / MODEL_NAME).items()}
    card = read_card(run / MODEL_NAME)
    card.provenance.pop("date")
    found["card"] = card.model_dump_json()
    for path in sorted((run / "checkpoints").glob("*.pt")):
        content = torch.load(path, weights_only=True)
        found |= {f"{path.name} {name}": value for name, value in _flat(content).items()}
    for path in sorted((run / "panels").glob("*.npz")):
        with np.load(path, allow_pickle=False) as panel:
            found |= {f"{path.name} {name}": panel[name].tobytes() for name in panel}
    found["curves"] = json.dumps(read_run(run).curves)
    found["files"] = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.name != "lock")
    return found


def _flat(content: Any, name: str = "") -> dict[str, Any]:
    if isinstance(content, torch.Tensor):
        return {name: _bytes(content)}
    if isinstance(content, dict | list | tuple):
        entries = content.items() if isinstance(content, dict) else enumerate(content)
        return {key: value for part, entry in entries for key, value in _flat(entry, f"{name}.{part}").items()}
    return {name: content}


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def _say(what: str, found: dict[str, Any] | str, expected: dict[str, Any]) -> None:
    if isinstance(found, str):
        outcome = f"lost: {found}"
    else:
        differing = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
        outcome = f"lost: {sorted(differing)[:3]} and {len(differing)} in all differ" if differing else "survived"
    print(f"{what}: {outcome}", flush=True)


if __name__ == "__main__":
    main()
