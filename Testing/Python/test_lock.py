"""One process trains a run at a time: the second one is refused, a killed one leaves nothing that matters."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import filelock
import pytest
from GlobalLocalAlignmentLib.cli import run as run_command
from GlobalLocalAlignmentLib.config import configuration
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.training import lock as module
from GlobalLocalAlignmentLib.training import owner as owners
from GlobalLocalAlignmentLib.training import run as training
from GlobalLocalAlignmentLib.training.lock import RunLock, is_locked
from GlobalLocalAlignmentLib.training.owner import STALE, Owner
from GlobalLocalAlignmentLib.training.run import NO_LOCKS, train
from GlobalLocalAlignmentLib.training.runfolder import refuse_used_folder, start_run
from readycore import ReadyCore

PACKAGE = Path(__file__).resolve().parents[2] / "GlobalLocalAlignment"
HOLDER = """
import sys
from pathlib import Path
from GlobalLocalAlignmentLib.training.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a lock that is not let go."""
    monkeypatch.setattr(module, "PATIENCE", 0)


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """Copy of a finished run."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def held(folder: Path) -> RunLock:
    lock = RunLock(folder)
    lock.acquire()
    assert lock.held
    return lock


def events(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def test_a_second_process_is_refused_in_a_line_and_touches_nothing(run: Path, capsys: pytest.CaptureFixture):
    (run / "stop").touch()
    lock = held(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert run_command(["train", "--resume", "-o", str(run)]) == 2
    assert capsys.readouterr().err == (
        f"error: {run}: is being trained by another process (pid {os.getpid()}); wait for it or stop it\n"
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    lock.release()
    assert run_command(["train", "--resume", "-o", str(run)]) == 0


def as_torchrun_starts_them(count: int) -> list[dict[str, str]]:
    """Environments of the processes of a distributed run on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    whole = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0"}
    whole |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "GROUP_WORLD_SIZE": "1", "OMP_NUM_THREADS": "1"}
    whole |= os.environ | {"PYTHONPATH": str(PACKAGE)}
    return [whole | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")
def test_every_process_of_a_distributed_run_is_refused(run: Path, tmp_path: Path, ready_core: ReadyCore):
    lock = held(run)
    command = [sys.executable, "-u", "-m", "GlobalLocalAlignmentLib", "train", "--resume", "-o", str(run)]
    with open(tmp_path / "said.txt", "wb") as said:
        streams = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": subprocess.STDOUT}
        processes = [
            ready_core.start(command, **streams, env=environment, start_new_session=True)
            for environment in as_torchrun_starts_them(2)
        ]
    codes = [process.wait(120) for process in processes]
    lock.release()
    assert 0 not in codes
    assert (tmp_path / "said.txt").read_text().count("is being trained by another process") == 1


def test_a_process_that_is_not_the_first_takes_no_lock_and_gets_the_answer_of_the_first(
    run: Path, monkeypatch: pytest.MonkeyPatch
):
    (run / "lock").unlink()
    other = SimpleNamespace(launch=lambda: None, is_global_zero=False, broadcast=lambda value: None)
    monkeypatch.setattr(training, "make_fabric", lambda device, precision: other)
    with pytest.raises(InputError, match="see what the first process says"):
        train(run, None)
    assert not (run / "lock").exists()


def test_the_lock_is_held_while_a_run_trains_and_let_go_at_its_end(run: Path):
    seen, notes = set(), []

    def look(entry: dict) -> None:
        seen.add(is_locked(run))
        notes.append(json.loads((run / "owner.json").read_text()))

    train(run, None, [look])
    assert seen == {True}
    assert notes[0]["pid"] == os.getpid() and platform.node() not in json.dumps(notes[0])
    assert not is_locked(run) and not (run / "owner.json").exists()


def test_the_lock_is_let_go_when_a_run_fails(run: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(training, "run_stage", fail)
    # or there would be nothing left to do
    (run / "model.safetensors").unlink()
    with pytest.raises(ZeroDivisionError):
        train(run, None)
    assert not is_locked(run) and not (run / "owner.json").exists()


def test_a_killed_process_leaves_no_lock(tmp_path: Path):
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert is_locked(tmp_path)
        with pytest.raises(InputError, match=rf"pid {holder.pid}\)"):
            RunLock(tmp_path).acquire()
        holder.kill()
    assert (tmp_path / "owner.json").exists()
    assert not is_locked(tmp_path)
    # what it left behind keeps no new run out
    refuse_used_folder(tmp_path)
    held(tmp_path).release()


def test_a_note_that_cannot_be_read_does_not_matter(tmp_path: Path):
    lock = held(tmp_path)
    (tmp_path / "owner.json").write_text("{")
    with pytest.raises(InputError, match="by another process; wait"):
        RunLock(tmp_path).acquire()
    lock.release()


def test_a_folder_in_which_another_process_came_first_is_refused(tiny_settings: dict, tmp_path: Path):
    settings, folder = configuration(tiny_settings), tmp_path / "run"
    lock = RunLock(folder)
    start_run(folder, settings, lock)
    begun = (folder / "config.json").read_bytes()
    other = settings.model_copy(update={"preset": "other"})
    with pytest.raises(InputError, match="is being trained"):
        start_run(folder, other, RunLock(folder))
    lock.release()
    late = RunLock(folder)
    with pytest.raises(InputError, match="holds another run"):
        start_run(folder, other, late)
    late.release()
    assert (folder / "config.json").read_bytes() == begun


@pytest.mark.parametrize("error", [NotImplementedError("no flock"), OSError(95, "not supported")])
def test_where_there_are_no_locks_a_run_goes_on_with_a_warning(
    run: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    (run / "lock").touch()

    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    train(run, None)
    assert not is_locked(run)
    last = events(run)
    start = max(index for index, entry in enumerate(last) if entry["event"] == "run_started")
    assert (last[start + 1]["event"], last[start + 1]["message"]) == ("warning", NO_LOCKS)
    assert last[-1]["event"] == "run_finished"


def test_the_stand_in_for_locks_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    lock = RunLock(tmp_path)
    lock.acquire()
    assert not lock.held
    assert [path.name for path in tmp_path.iterdir()] == ["owner.json"]
    lock.release()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks; notes settle at once."""

    def fail(*arguments: object, **options: object) -> None:
        raise NotImplementedError("no flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    monkeypatch.setattr(module, "SETTLED", 0)


def noted(folder: Path, **changes: object) -> Owner:
    """Leave a note of this process in a folder, but for some changes."""
    owner = replace(Owner.of_this_process(), **changes)
    owner.write(folder)
    return owner


def gone_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_without_locks_the_note_of_a_process_that_works_keeps_others_out(without_locks: None, tmp_path: Path):
    first = RunLock(tmp_path)
    first.acquire()
    assert not first.held and is_locked(tmp_path)
    with pytest.raises(InputError, match=rf"by another process \(pid {os.getpid()}\); wait for it or stop it$"):
        RunLock(tmp_path).acquire()
    first.release()
    assert not is_locked(tmp_path)
    RunLock(tmp_path).acquire()


@pytest.mark.parametrize("gone", ["pid", "process_started"])
def test_the_note_of_a_process_that_is_gone_or_whose_number_another_program_has_keeps_nobody_out(
    without_locks: None, tmp_path: Path, gone: str
):
    noted(tmp_path, **{gone: gone_process() if gone == "pid" else 1000.0})
    assert not is_locked(tmp_path)
    lock = RunLock(tmp_path)
    lock.acquire()
    assert Owner.of(tmp_path).pid == os.getpid() and is_locked(tmp_path)
    lock.release()


def test_the_note_of_another_computer_counts_for_as_long_as_it_is_renewed(
    without_locks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    noted(tmp_path, computer="salt 0123456789abcdef", pid=gone_process())
    assert is_locked(tmp_path)
    with pytest.raises(InputError, match="on another computer.*remove owner.json"):
        RunLock(tmp_path).acquire()
    old = (tmp_path / "owner.json").stat().st_mtime - STALE - 1
    os.utime(tmp_path / "owner.json", (old, old))
    assert not is_locked(tmp_path)
    # one that works renews its own
    monkeypatch.setattr(owners, "RENEWED", 0.01)
    lock = RunLock(tmp_path)
    lock.acquire()
    os.utime(tmp_path / "owner.json", (old, old))
    while (tmp_path / "owner.json").stat().st_mtime == old:
        pass
    lock.release()


def test_of_two_that_leave_their_notes_at_once_one_works(
    without_locks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module.time, "sleep", lambda seconds: noted(tmp_path, pid=1))
    lock = RunLock(tmp_path)
    with pytest.raises(InputError, match=r"\(pid 1\)"):
        lock.acquire()
    lock.release()
    assert Owner.of(tmp_path).pid == 1


def test_where_there_is_a_lock_a_note_that_was_left_behind_does_not_count(tmp_path: Path):
    noted(tmp_path, computer="salt 0123456789abcdef")
    lock = held(tmp_path)
    assert Owner.of(tmp_path).here
    lock.release()


def test_a_lock_says_what_is_done_with_the_folder(tmp_path: Path):
    lock = held(tmp_path)
    with pytest.raises(InputError, match="is being written by another process"):
        RunLock(tmp_path, "written").acquire()
    lock.release()


def test_looking_for_a_lock_writes_nothing_and_does_not_take_it(tmp_path: Path):
    assert not is_locked(tmp_path / "missing") and not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []
    held(tmp_path).release()
    assert not is_locked(tmp_path)
    held(tmp_path).release()


def test_slicers_process_can_ask_for_the_lock_with_nothing_installed(tmp_path: Path):
    program = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'pydantic', 'yaml', 'lightning_fabric', 'rich', 'typer', 'filelock'):\n"
        "    sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from GlobalLocalAlignmentLib.training.lock import is_locked\n"
        "print(is_locked(Path(sys.argv[1])))\n"
    )
    (tmp_path / "lock").touch()
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
