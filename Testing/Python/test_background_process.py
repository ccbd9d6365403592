"""The core started, watched and ended from Slicer: nothing is lost of what it says, nothing of it is left behind."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from GlobalLocalAlignmentSlicerLib.background import backgroundprocess
from GlobalLocalAlignmentSlicerLib.background.backgroundprocess import BackgroundProcess, coreEnvironment
from GlobalLocalAlignmentSlicerLib.background.linetail import LineTail

PATIENCE_SECONDS = 60.0


class Watched:
    """A process with everything that it said."""

    def __init__(self, folder: Path, arguments: list[str] = [], program: str | None = None, **options) -> None:  # noqa: B006
        self.events: list[dict] = []
        self.text: list[str] = []
        self.codes: list[int] = []
        self.timerRunning = False
        self.process = BackgroundProcess(
            arguments,
            folder / "output.txt",
            self.events.append,
            self.text.append,
            self.codes.append,
            startTimer=self._startTimer,
            **options,
        )
        if program is not None:
            self.process.command = [sys.executable, "-u", "-c", program]
        self.process.start()

    def _startTimer(self, function: Callable[[], None], milliseconds: int) -> Callable[[], None]:
        self.timerRunning = True
        return lambda: setattr(self, "timerRunning", False)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < end, (self.events, self.text, self.codes)
            self.process.poll()
            time.sleep(0.01)

    def toTheEnd(self) -> int:
        self.until(lambda: bool(self.codes))
        assert len(self.codes) == 1
        assert not self.process.running and not self.timerRunning
        return self.codes[0]


def alive(number: int) -> bool:
    """Whether a process does anything; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_of_the_core_says_its_events_and_its_exit_code(tiny_run: Path, cohorts: Path, tmp_path: Path):
    images, out = cohorts / "target" / "images", tmp_path / "out"
    call = ["predict", "-m", tiny_run / "model.safetensors", "-i", images, "-o", out, "--device", "cpu"]
    watched = Watched(tmp_path, ["--events", *call])
    assert watched.toTheEnd() == 0
    assert [watched.events[place]["event"] for place in (0, -1)] == ["stage_started", "stage_finished"]
    assert any("2 segmented" in line for line in watched.text)


def test_bad_input_arrives_as_the_line_that_the_core_prints(tmp_path: Path, forked_core: None):
    watched = Watched(tmp_path, ["inspect", str(tmp_path / "no.safetensors")])
    assert watched.toTheEnd() == 2
    assert any(line.startswith("error: ") and "no.safetensors" in line for line in watched.text)


def test_lines_that_are_no_events_are_text_whatever_they_hold(tmp_path: Path):
    lines = ['{"event": "progress", "iteration": 1}', '{"event": 3}', "{broken", "[1, 2]", '{"other": 1}', "ü 100 %"]
    program = f"import sys\nfor line in {lines!r}: print(line)\nsys.stdout.buffer.write(b'\\xff no text\\nlast')"
    watched = Watched(tmp_path, program=program)
    assert watched.toTheEnd() == 0
    assert watched.events == [{"event": "progress", "iteration": 1}]
    assert watched.text == [*lines[1:], "\ufffd no text", "last"]


def test_a_flood_of_lines_arrives_whole_in_portions(tmp_path: Path):
    watched = Watched(tmp_path, program="for number in range(5000): print(number)")
    portions = []
    while not watched.codes:
        before = len(watched.text)
        watched.process.poll()
        portions.append(len(watched.text) - before)
    assert watched.text == [str(number) for number in range(5000)]
    assert max(portions) <= 200


def test_the_stop_file_asks_and_a_second_stop_ends(tmp_path: Path):
    stop = tmp_path / "stop"
    obedient = f"import pathlib, time\nwhile not pathlib.Path({str(stop)!r}).exists(): time.sleep(0.01)\nexit(3)"
    watched = Watched(tmp_path, program=obedient, stopFile=stop)
    watched.process.stop()
    assert watched.toTheEnd() == 3
    stop.unlink()
    deaf = Watched(tmp_path, program="import time\ntime.sleep(600)", stopFile=stop)
    deaf.process.stop()
    deaf.process.poll()
    assert deaf.process.running
    deaf.process.stop()
    assert deaf.toTheEnd() != 0


@pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX systems")
def test_ending_takes_the_whole_tree_even_when_it_ignores_the_polite_way(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("GlobalLocalAlignmentSlicerLib.background.backgroundprocess.GRACE_SECONDS", 0.1)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(600)"
    program = (
        "import subprocess, sys, time, signal\n"
        f"child = subprocess.Popen([sys.executable, '-u', '-c', {stubborn!r}])\n"
        "print('child', child.pid)\ntime.sleep(600)"
    )
    watched = Watched(tmp_path, program=program)
    watched.until(lambda: "ready" in watched.text)
    child = next(int(line.split()[1]) for line in watched.text if line.startswith("child"))
    assert alive(child)
    watched.process.stop()
    watched.toTheEnd()
    watched.until(lambda: not alive(child))


def test_on_windows_a_process_has_no_window_and_its_tree_is_ended_with_taskkill(tmp_path: Path, monkeypatch):
    """Windows as far as this file meets it: its flags, its processes, its way to end them."""
    started = []

    class Popen:
        pid, returncode = 4711, None

        def __init__(self, command: list[str], **options) -> None:
            started.append((command, options))

        def poll(self) -> int | None:
            return self.returncode

    windows = SimpleNamespace(
        Popen=Popen, DEVNULL=-3, STDOUT=-2, CREATE_NEW_PROCESS_GROUP=0x200, CREATE_NO_WINDOW=0x8000000
    )
    monkeypatch.setattr(backgroundprocess, "subprocess", windows)
    monkeypatch.setattr(backgroundprocess, "os", SimpleNamespace(name="nt", environ={}, pathsep=";"))
    monkeypatch.setattr(backgroundprocess, "GRACE_SECONDS", 0.0)
    watched = Watched(tmp_path, ["inspect"])
    (_, options), *_ = started
    assert options["creationflags"] == 0x8000200 and "start_new_session" not in options
    watched.process.stop()
    # what does not go is told again
    watched.process.poll()
    for command, options in started[1:]:
        assert command == ["taskkill", "/PID", "4711", "/T", "/F"]
        assert options["creationflags"] == windows.CREATE_NO_WINDOW
    assert len(started) == 3 and watched.codes == []
    Popen.returncode = 1
    watched.process.poll()
    assert watched.codes == [1]


def test_a_process_that_is_left_runs_on_and_is_heard_no_more(tmp_path: Path):
    done = tmp_path / "done"
    program = f"import time, pathlib\nprint('one'); time.sleep(0.5); print('two'); pathlib.Path({str(done)!r}).touch()"
    watched = Watched(tmp_path, program=program)
    watched.until(lambda: watched.text == ["one"])
    watched.process.leave()
    assert not watched.timerRunning
    watched.until(done.exists)
    assert watched.text == ["one"] and watched.codes == []
    assert (tmp_path / "output.txt").read_text() == "one\ntwo\n"


def test_the_core_gets_no_secrets_and_finds_its_package():
    given = {"PATH": "/bin", "GITHUB_TOKEN": "x", "my_password": "x", "PYTHONPATH": "/elsewhere"}
    kept = coreEnvironment(given)
    assert "GITHUB_TOKEN" not in kept and "my_password" not in kept
    assert kept["PATH"] == "/bin" and kept["PYTHONUTF8"] == "1"
    first, second = kept["PYTHONPATH"].split(os.pathsep)
    assert (Path(first) / "GlobalLocalAlignmentLib" / "__main__.py").is_file()
    assert second == "/elsewhere"


def test_half_a_line_waits_for_its_other_half(tmp_path: Path):
    path = tmp_path / "lines.txt"
    tail = LineTail(path)
    assert tail.read(10) == []
    with open(path, "wb", buffering=0) as stream:
        stream.write("one\r\ntwo ü".encode()[:-1])
        assert tail.read(10) == ["one"]
        stream.write("ü".encode()[1:] + b" end\n\nthree")
        assert tail.read(10) == ["two ü end"]
    assert tail.read(10) == []
    assert tail.read(10, atEnd=True) == ["three"]
