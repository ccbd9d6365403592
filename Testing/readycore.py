"""A process with the core loaded, which forks whenever a test starts one: most of a tiny training is loading PyTorch.

The forked process is one like any other: it has its own number, leads a group, gets words, environment and folder as
they are, loads ``sitecustomize`` of a test first, and can be killed. What it has not done is to load its libraries.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import select
import selectors
import socket
import subprocess
import sys
import traceback
from typing import Any

from GlobalLocalAlignmentSlicerLib.background.backgroundprocess import coreEnvironment

LONGEST_CALL = 1 << 20
POLL_SECONDS = 0.02
FORKED = (
    "GlobalLocalAlignmentLib",
    "GlobalLocalAlignmentLib.masks.segmentcomparison",
    "GlobalLocalAlignmentLib.phantoms.phantomfiles",
    "GlobalLocalAlignmentSlicerLib.surfaces.closedsurfaces",
)
"""Modules that are called by their names, and are begun by a fork."""

LOADED = (
    *("cli", "commands.models", "commands.training", "prediction", "batches.predictionbatch", "report", "training.run"),
    *("phantom", "formats.segmentationfile", "masks.bentgrids", "masks.maskgrids", "masks.segmentcomparison"),
)
"""Of the core, what these processes begin with."""


class ReadyCore:
    """Starts processes of the core, in place of ``subprocess.Popen``."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-u", __file__, str(theirs.fileno())]
        self._server = subprocess.Popen(
            command, env=coreEnvironment(os.environ), pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()

    def start(self, command: list[str], stdin: Any, stdout: Any, stderr: Any, env: dict[str, str], **group: Any) -> Any:
        """A process as ``subprocess.Popen`` would have started it."""
        known = command[:3] == [sys.executable, "-u", "-m"] and command[3] in FORKED
        if not known or not group.get("start_new_session"):
            return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=env, **group)
        ended, ending = os.pipe()
        call = {"module": command[3], "words": command[4:], "environment": env, "folder": os.getcwd()}
        socket.send_fds(self._link, [json.dumps(call).encode()], [stdout.fileno(), ending])
        os.close(ending)
        return ForkedProcess(int(self._link.recv(64)), ended)

    def close(self) -> None:
        """End the process that forks; those that it started run on."""
        self._link.close()
        self._server.wait()


class ForkedProcess:
    """What is asked of a process of ``subprocess``."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid, self.returncode = pid, None
        self._ended = ended
        os.set_blocking(ended, False)

    def poll(self) -> int | None:
        """Exit code as ``subprocess`` gives it, None while the process runs."""
        if self.returncode is None:
            try:
                told = os.read(self._ended, 16)
            except BlockingIOError:
                return None
            self.returncode = int(told)
            os.close(self._ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, once there is one; TimeoutError after so many seconds without."""
        if self.returncode is None and not select.select([self._ended], [], [], timeout)[0]:
            raise TimeoutError(f"process {self.pid} runs after {timeout} s")
        return self.poll()


def serve(link: socket.socket) -> None:
    """Fork for each call, and tell whose process has ended, until nobody listens."""
    running: dict[int, int] = {}
    chooser = selectors.DefaultSelector()
    chooser.register(link, selectors.EVENT_READ)
    while True:
        if chooser.select(POLL_SECONDS if running else None):
            text, files, _, _ = socket.recv_fds(link, LONGEST_CALL, 2)
            if not text:
                return
            pid = os.fork()
            if pid == 0:
                link.close()
                for other in running.values():
                    os.close(other)
                os.close(files[1])
                become(json.loads(text), files[0])
            os.close(files[0])
            running[pid] = files[1]
            link.send(str(pid).encode())
        for pid in list(running):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                os.write(running[pid], str(os.waitstatus_to_exitcode(status)).encode())
                os.close(running.pop(pid))


def become(call: dict[str, Any], output: int) -> None:
    """Do in this process, which was just forked, what a new one would have done; it ends with this."""
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(call["environment"])
    os.chdir(call["folder"])
    folders = call["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*folders, *(path for path in sys.path[1:] if path not in folders)]
    sys.argv[:] = [call["module"], *call["words"]]
    code = 1
    try:
        with contextlib.suppress(ModuleNotFoundError):
            # that of a test, which Python would have loaded before everything else
            sys.modules.pop("sitecustomize", None)
            importlib.import_module("sitecustomize")
        runpy.run_module(call["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    for name in LOADED:
        importlib.import_module(f"GlobalLocalAlignmentLib.{name}")
    serve(socket.socket(fileno=int(sys.argv[1])))
