"""Every file of the corpus of bad files through gla predict, check and evaluate: what was tried, survived and lost.

    python Testing/Benchmarks/fault_corpus.py [--only WORDS] [--verbose]

A file has survived a command where the command ended with exit code 2 and one line that says what is wrong, or with a
right result; where it took less than a minute and less than a GiB beyond what the good volume takes; and where a
refused file left no other file behind. Linux alone: each call is a process of its own that has loaded the core before.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from environment import ROOT, describe
from untrained import write_untrained_model

sys.path.insert(0, str(ROOT / "Testing"))

from badfiles import BadFile, all_cases, truth  # noqa: E402
from badfiles.case import AFFINE, good  # noqa: E402
from GlobalLocalAlignmentLib import cli  # noqa: E402
from GlobalLocalAlignmentLib.batches.batchlist import LABELS_NAME, LIST_NAME  # noqa: E402
from GlobalLocalAlignmentLib.errors import ExitCode, InputError  # noqa: E402
from GlobalLocalAlignmentLib.evaluation import read_scores  # noqa: E402
from GlobalLocalAlignmentLib.training.lock import LOCK_NAME  # noqa: E402
from GlobalLocalAlignmentLib.training.owner import OWNER_NAME  # noqa: E402
from GlobalLocalAlignmentLib.volumes import read_volume  # noqa: E402

PATIENCE_SECONDS = 60
MOST_MEMORY = 1 << 30
DONE_WELL, DONE_WRONG, CRASHED = 100, 101, 102
BAD_NAMES = ("place: a name in an old code page",)
COMMANDS = ("read", "predict", "check images", "check labels", "evaluate")


@dataclass
class Place:
    """Folders of one call."""

    home: Path
    bad: Path
    model: Path

    @property
    def output(self) -> Path:
        return self.home / "output"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="files with these words in their names")
    parser.add_argument("--verbose", action="store_true", help="say what became of each file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = [case for case in all_cases() if options.only in case.name]
    tried, lost = Counter(), {}
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory() as home:
        model = write_untrained_model("phantom", Path(home) / "model.safetensors")
        for command in COMMANDS:
            for case in cases:
                problem, told = _try(command, case, model)
                tried[command, case.name.partition(":")[0]] += 1
                if problem:
                    lost[command, case.name] = problem
                if options.verbose or problem:
                    print(f"{command}: {case.name}: {problem or told}", flush=True)
    _print_table(cases, tried, lost)
    sys.exit(bool(lost))


def _print_table(cases: list[BadFile], tried: Counter, lost: dict[tuple[str, str], str]) -> None:
    print(f"\n{len(cases)} files\n\n| command | format | tried | survived | lost |\n|---|---|---|---|---|")
    for command in COMMANDS:
        for kind in dict.fromkeys(case.name.partition(":")[0] for case in cases):
            gone = sum(known == command and name.startswith(f"{kind}:") for known, name in lost)
            number = tried[command, kind]
            print(f"| {command} | {kind} | {number} | {number - gone} | {gone} |")
    print(f"| all | all | {sum(tried.values())} | {sum(tried.values()) - len(lost)} | {len(lost)} |")


def _results(output: Path) -> set[str]:
    """Names of what a command wrote, but for what a batch notes of each case, a refused one too."""
    return {path.name for path in output.rglob("*")} - {LIST_NAME, LABELS_NAME, LOCK_NAME, OWNER_NAME}


def _try(command: str, case: BadFile, model: Path) -> tuple[str, str]:
    """Why a command did not survive a file, empty where it did; and what it said."""
    home = Path(tempfile.mkdtemp())
    try:
        (home / "bad").mkdir()
        array = truth(labels=command in ("check labels", "evaluate"))
        place = Place(home, case.make(home / "bad", array), model)
        before = len(list((home / "bad").rglob("*")))
        code, text, grown, seconds = _call(lambda: _work(command, case, place))
        # where files are paired by name this one has had to get a good one
        renamed = case.name in BAD_NAMES and command in ("check labels", "evaluate")
        # a batch takes one series of a study, and says which
        chosen = case.name == "dicom: two series" and command == "predict"
        readable = True if renamed or chosen else case.readable
        problem = _problem(readable, code, text, grown, seconds)
        if not problem and code == ExitCode.INPUT_ERROR and _results(place.output):
            problem = "a file was written"
        # by their number: a command that pairs files by name may have had to give this one another
        if not problem and len(list((home / "bad").rglob("*"))) != before:
            problem = "something was written beside the input"
        return problem, text.strip()
    finally:
        shutil.rmtree(home)


def _problem(readable: bool | None, code: int, text: str, grown: int, seconds: float) -> str:
    if code == -signal.SIGKILL:
        return f"killed after {seconds:.0f} s"
    if grown > MOST_MEMORY:
        return f"took {grown / 2**20:.0f} MiB"
    wanted = {True: (DONE_WELL,), False: (ExitCode.INPUT_ERROR,), None: (DONE_WELL, ExitCode.INPUT_ERROR)}
    if code not in wanted[readable]:
        return f"ended with {code}: {text[-1500:]}"
    lines = [line for line in text.splitlines() if line.strip()]
    if code == ExitCode.INPUT_ERROR and (len(lines) != 1 or not lines[0].startswith("error: ")):
        return f"said {len(lines)} lines: {text[:500]}"
    return ""


def _call(work: Callable[[], int]) -> tuple[int, str, int, float]:
    """Exit code, standard error, growth of memory in bytes and time of something done in a process of its own."""
    with tempfile.TemporaryFile() as output:
        started, (receive, send) = time.monotonic(), os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            before, code = _peak(), CRASHED
            # what is asked for and not touched is no memory taken, but it must not be asked for without a limit
            resource.setrlimit(resource.RLIMIT_AS, (_mapped() + 4 * MOST_MEMORY,) * 2)
            try:
                code = work()
            except BaseException:
                traceback.print_exc()
            sys.stderr.flush()
            os.write(send, str(_peak() - before).encode())
            os._exit(int(code))
        os.close(send)
        status = None
        while time.monotonic() - started < PATIENCE_SECONDS and status is None:
            done, ended = os.waitpid(child, os.WNOHANG)
            status = ended if done else None
            time.sleep(0.01)
        if status is None:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
        grown = int(os.read(receive, 64) or 0)
        os.close(receive)
        output.seek(0)
        text = output.read().decode(errors="replace")
        return os.waitstatus_to_exitcode(status), text, grown, time.monotonic() - started


def _peak() -> int:
    return _status("VmHWM")


def _mapped() -> int:
    return _status("VmSize")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _work(command: str, case: BadFile, place: Place) -> int:
    """Exit code of a command; ``DONE_WELL`` where its result is right."""
    if command == "read":
        try:
            volume = read_volume(place.bad)
        except InputError as error:
            print(f"error: {str(error)}", file=sys.stderr)
            return ExitCode.INPUT_ERROR
        right = np.array_equal(volume.array, truth()) and np.allclose(volume.ijk_to_ras, AFFINE, atol=1e-3)
        return DONE_WELL if right else DONE_WRONG
    if command == "predict":
        words = ["--model", str(place.model), "--input", str(place.bad), "--output", str(place.output)]
        code = cli.run(["predict", *words, "--device", "cpu", "--precision", "32"])
        results = list(place.output.glob("*_segmentation.nii.gz")) if code == ExitCode.DONE else []
        return _rated(code, len(results) == 1 and np.allclose(read_volume_of(results[0]), AFFINE, atol=1e-3))
    if command == "check images":
        return _rated(cli.run(["check", "--preset", "phantom", "--target-images", str(place.bad)]), True)
    if command == "check labels":
        image = good(place.home / "image.nii.gz", truth())
        # the label map is that of the image whatever it is called
        labels = _called(place, "image")
        words = ["--source-images", str(image), "--source-labels", str(labels), "--set", "labels=[]"]
        return _rated(cli.run(["check", "--preset", "phantom", *words]), True)
    good(place.home / "references" / "case.nii.gz", truth(labels=True))
    labels = _called(place, "case")
    table = place.output / "scores.csv"
    words = ["--predictions", str(labels), "--references", str(place.home / "references"), "--output", str(table)]
    code = cli.run(["evaluate", *words])
    return _rated(code, code == ExitCode.DONE and all(score.dice == 1 for score in read_scores(table)))


def read_volume_of(path: Path) -> np.ndarray:
    """Where a label map lies."""
    from GlobalLocalAlignmentLib.volumes import read_labelmap

    return read_labelmap(path).ijk_to_ras


def _called(place: Place, name: str) -> Path:
    """The bad file under another name, where its name is not what is wrong with it."""
    suffix = "".join(place.bad.suffixes[-2:]) if place.bad.name.endswith(".nii.gz") else place.bad.suffix
    path = place.bad.with_name(f"{name}{suffix}")
    if path != place.bad and os.path.lexists(place.bad):
        place.bad.rename(path)
    return path


def _rated(code: int, right: bool) -> int:
    if code != ExitCode.DONE:
        return code
    return DONE_WELL if right else DONE_WRONG


if __name__ == "__main__":
    main()
