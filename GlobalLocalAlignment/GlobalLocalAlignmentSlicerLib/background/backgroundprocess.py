"""The core in a process of its own: started, watched and ended from Slicer, whose window never waits for it."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..translation import tr as _
from .diskspace import fullFolder, noSpaceIn
from .linetail import LineTail

POLL_MILLISECONDS = 100
LINES_A_POLL = 200
"""At most so many lines are handled at once, so that a talkative process does not hold up the window."""

GRACE_SECONDS = 5.0
"""Time to leave by itself that a process gets before it is ended by force."""

SECRET_WORDS = (
    *("TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "COOKIE", "SESSION_KEY"),
    *("APIKEY", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY", "SIGNING_KEY", "ENCRYPTION_KEY", "CONNECTION_STRING"),
)
SECRET_NAMES = re.compile(
    r"(.*_)?(PAT|PWD|PASS|AUTH|KEY|DSN)|(AWS|AZURE|GCP|GOOGLE|GH|GITHUB|GITLAB|CI)_.*|SSH_.*|GPG_.*|KUBECONFIG|NETRC"
)
"""Environment variables with such a word in their names, or with such names, are not handed on: the core needs none."""

SECRET_VALUE = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)
"""An address with a password in it; none is handed on but that of a proxy."""

KEPT_NAMES = re.compile(r"PWD|OLDPWD|(HTTPS?|FTP|ALL|NO)_PROXY|CUDA_.*|NVIDIA_.*|(REQUESTS|CURL)_CA_BUNDLE|SSL_CERT_.*")
"""What is handed on whatever else is said of it: proxies, certificates, and what chooses a GPU."""

KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL) if hasattr(signal, "SIGKILL") else ()
"""Exit codes of a process that was killed, and of a launcher whose child was."""

COMMAND_LINE = "GlobalLocalAlignmentLib"
CORE_FOLDER = Path(__file__).resolve().parents[2]
"""Folder that holds the core's package."""

StartTimer = Callable[[Callable[[], None], int], Callable[[], None]]
"""Starts calling a function every so many milliseconds; what it returns ends this."""


class BackgroundProcess:
    """One call of the core.

    What the process prints goes to a file that ``poll`` reads, so it can run on when nobody watches any longer. Lines
    that are JSON objects with an ``event`` are events, all others are text for the log. The callbacks run where
    ``poll`` is called, which a timer does on the main thread.

    Args:
        arguments: words after ``python -m MODULE``; they are passed as they are, without a shell.
        output: file for what the process prints; an earlier one is overwritten.
        onEvent: called with each event.
        onText: called with each other line.
        onFinished: called once, with the exit code, after the last line.
        stopFile: file whose existence asks the core to stop cleanly; without one, stopping ends the process.
        startTimer: the timer of Qt where it is not given.
        python: interpreter, Slicer's own where it is not given.
        module: what is called, the core's command line where it is not given.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        output: Path,
        onEvent: Callable[[dict[str, Any]], None],
        onText: Callable[[str], None],
        onFinished: Callable[[int], None],
        stopFile: Path | None = None,
        startTimer: StartTimer | None = None,
        python: str | None = None,
        module: str = COMMAND_LINE,
    ) -> None:
        self.command = [python or sys.executable, "-u", "-m", module, *map(str, arguments)]
        self.output, self.stopFile = output, stopFile
        self.onEvent, self.onText, self.onFinished = onEvent, onText, onFinished
        self._startTimer = startTimer or startQtTimer
        self._stopTimer: Callable[[], None] = lambda: None
        self._process: subprocess.Popen | None = None
        self._forceAt: float | None = None
        self.stopAsked = False

    @property
    def running(self) -> bool:
        """Whether ``onFinished`` is still to come."""
        return self._process is not None

    def start(self) -> None:
        """Start the process.

        Raises:
            OSError: it cannot be started, or its output file not be written.
        """
        group: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        self.stopAsked, self._forceAt = False, None
        with open(self.output, "wb") as stream:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=coreEnvironment(os.environ),
                **group,
            )
        self._tail = LineTail(self.output)
        self._stopTimer = self._startTimer(self.poll, POLL_MILLISECONDS)

    def poll(self) -> None:
        """Hand on what the process has said, and its end; end it by force where it was told to go and did not."""
        process = self._process
        if process is None:
            return
        # asked before the lines are read: what a process said before it ended is read after it
        ended = process.poll() is not None
        lines = self._tail.read(LINES_A_POLL, atEnd=ended)
        for line in lines:
            event = parseEvent(line)
            if event is None:
                self.onText(line)
            else:
                self.onEvent(event)
        if self._process is None:
            # a callback has left the process to itself
            return
        if self._forceAt is not None and (ended or time.monotonic() >= self._forceAt):
            _signalGroup(process, force=True)
        if ended and len(lines) < LINES_A_POLL:
            self._process = None
            self._stopTimer()
            self.onFinished(process.returncode)

    def stop(self) -> None:
        """Ask for a clean stop; without a stop file, or when asked twice, end the process and all it started."""
        if not self.running:
            return
        again, self.stopAsked = self.stopAsked, True
        if self.stopFile is not None and not again:
            self.stopFile.touch()
        else:
            self.end()

    def end(self) -> None:
        """End the process and all it started, after a moment by force. ``onFinished`` still comes."""
        if self._process is not None and self._forceAt is None:
            self._forceAt = time.monotonic() + GRACE_SECONDS
            _signalGroup(self._process, force=False)

    def leave(self) -> None:
        """Watch no longer and let the process run on; ``onFinished`` does not come."""
        self._stopTimer()
        self._process = None


def callCore(
    words: Sequence[str],
    folder: Path,
    onEvent: Callable[[dict[str, Any]], None],
    onText: Callable[[str], None],
    onFinished: Callable[[int], None],
    stopFile: Path | None = None,
    startTimer: StartTimer | None = None,
    python: str | None = None,
) -> BackgroundProcess:
    """Start the core in the background, with its words in a file of a folder and what it prints in another.

    A command line is too short for many words on some systems, and its encoding may not know a path. For the other
    arguments see ``BackgroundProcess``.

    Raises:
        OSError: the folder cannot be written, or the process not be started.
    """
    call = folder / "call.txt"
    if any("\n" in word or "\r" in word for word in words):
        # its second line would be an option of its own
        raise OSError(errno.EINVAL, _("a name with the end of a line in it cannot be used"))
    call.write_text("\n".join(["--events", *words]), encoding="utf-8")
    process = BackgroundProcess(
        [f"@{call}"], folder / "output.txt", onEvent, onText, onFinished, stopFile, startTimer, python
    )
    process.start()
    return process


def parseEvent(line: str) -> dict[str, Any] | None:
    """The event in a line, None where the line is something else."""
    if not line.startswith("{"):
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("event"), str) else None


def reasonOf(code: int, *folders: Path | None, lower: str | None = "") -> str:
    """Why a process ended that has said nothing itself.

    Args:
        code: its exit code.
        folders: where it writes; it may have had no place for what it wanted to say.
        lower: what takes less memory where it is lower, the batch size where it is not given, None where nothing does.
    """
    if code in KILLED and lower is None:
        return _("the process was ended from outside, most often because memory ran out; free memory and try again")
    if code in KILLED:
        text = _("the process was ended from outside, most often because memory ran out; free memory or lower {what}")
        return text.format(what=lower or _("the batch size"))
    full = fullFolder(*folders)
    if full is not None:
        return noSpaceIn(full)
    if code < 0:
        return _("the process was ended by signal {number}").format(number=-code)
    return _("the process ended with exit code {code}; the log has the details").format(code=code)


def coreEnvironment(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment for the core: it finds its package, speaks UTF-8 at once, and knows no secrets of the user."""
    kept = {name: value for name, value in environment.items() if not _isSecret(name.upper(), value)}
    paths = [str(CORE_FOLDER), *filter(None, [kept.get("PYTHONPATH", "")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def _isSecret(name: str, value: str) -> bool:
    """Whether a variable, its name in capitals, may hold what only its owner should know."""
    if KEPT_NAMES.fullmatch(name):
        return False
    named = any(word in name for word in SECRET_WORDS) or SECRET_NAMES.fullmatch(name)
    return bool(named or SECRET_VALUE.search(value))


def _signalGroup(process: subprocess.Popen, force: bool) -> None:
    """Tell a process and all it started to end: Slicer's Python is a launcher, and its child does the work."""
    if os.name == "nt":
        # Windows has no other way that reaches a process without a window
        subprocess.Popen(
            ["taskkill", "/PID", str(process.pid), "/T", "/F"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
        return
    try:
        os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        # nobody of the group is left; some systems say it in the second way
        pass


def startQtTimer(function: Callable[[], None], milliseconds: int) -> Callable[[], None]:
    """Call a function again and again on the main thread; returns what ends this."""
    import qt

    timer = qt.QTimer()
    timer.setInterval(milliseconds)
    timer.connect("timeout()", function)
    timer.start()

    def stop() -> None:
        timer.stop()
        timer.disconnect("timeout()", function)

    return stop
