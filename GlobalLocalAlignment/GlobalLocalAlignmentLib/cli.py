"""Command line: ``gla`` and ``python -m GlobalLocalAlignmentLib``."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from .commands import screen
from .commands.comparing import ablate, sweep
from .commands.data import check, prepare
from .commands.models import evaluate, inspect, predict, synthesize
from .commands.training import demo, estimate, report, train
from .datatext import LARGEST_TEXT, read_bounded
from .errors import ExitCode, InputError, StopRequested
from .machinefaults import MachineFault, Refusal, machine_fault
from .privacy import HiddenFolders

UsageError = typer.BadParameter.__base__
"""What typer raises for words it does not know; it has had several homes, its heir is found at one place."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

REMEDIES = {
    Refusal.SPACE: "make space there and give the command again",
    Refusal.MEMORY: "free memory, lower the batch size or choose another --device",
    Refusal.GPU: "give the command again once it is back, or choose another --device",
}

INTERRUPTED = 130
"""What newer versions of typer return after Ctrl-C; older ones raise ``Abort``."""


@app.callback()
def common(
    events: Annotated[
        bool, typer.Option("--events", help="Progress as JSON lines on standard output, for programs that watch.")
    ] = False,
) -> None:
    """Train a segmenter for one modality from labels of another, and segment with it."""
    screen.watched_by_program = events


for _command_function in (
    *(train, check, prepare, estimate, predict, synthesize, evaluate),
    *(ablate, sweep, inspect, report, demo),
):
    app.command()(_command_function)


def main() -> None:
    """Run a command and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # names of files may hold bytes that are no text, and no output of a name is worth a failure
        with suppress(AttributeError, OSError):
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code; nothing but the command's own text reaches the screen."""
    try:
        arguments = from_files(arguments)
        # without arguments the help is what was asked for
        code = app(arguments or ["--help"], standalone_mode=False)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else ExitCode.DONE
    except typer.Abort:
        return _interrupted(arguments)
    except UsageError as error:
        words = f"gla {_command(arguments)}" if error.ctx and error.ctx.parent else "gla"
        _say(f"error: {' '.join(error.format_message().split()).rstrip('.')}; see {words} --help", "red")
        return ExitCode.INPUT_ERROR
    except StopRequested:
        again = "the same command" if _command(arguments) in ("demo", "ablate", "sweep", "predict") else "--resume"
        _say(f"stopped; go on with {again}")
        return ExitCode.STOPPED
    except Exception as error:
        known = error if isinstance(error, InputError) else machine_fault(error, _subject(arguments), REMEDIES)
        return _unexpected(error, arguments) if known is None else _refused(known, arguments)
    return _interrupted(arguments) if code == INTERRUPTED else ExitCode.DONE


def _interrupted(arguments: list[str]) -> int:
    goes_on = "; go on with the same command" if _command(arguments) == "prepare" else ""
    _say(f"interrupted{goes_on}")
    return ExitCode.STOPPED


def _command(arguments: list[str]) -> str:
    return next((word for word in arguments if not word.startswith("-")), "")


def from_files(arguments: list[str]) -> list[str]:
    """Arguments with the lines of a file in the place of a first ``@FILE``, for calls too long for a command line.

    Further on an argument that begins with ``@`` is the name of a file, as a folder may hold one.

    Raises:
        InputError: the file cannot be read.
    """
    if not arguments or not arguments[0].startswith("@"):
        return arguments
    path = Path(arguments[0][1:])
    try:
        text = read_bounded(path, LARGEST_TEXT).decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({error})", "write one argument a line in UTF-8") from error
    # at line feeds alone: other signs that end a line may be parts of names
    return [*text.removesuffix("\n").split("\n"), *arguments[1:]] if text else arguments[1:]


def _output(arguments: list[str]) -> Path | None:
    return next((Path(after) for before, after in pairwise(arguments) if before in ("-o", "--output")), None)


def _subject(arguments: list[str]) -> str:
    """What something happened to that names no file: the folder that the command writes, or the command."""
    return str(_output(arguments) or f"gla {_command(arguments)}")


def _refused(error: InputError, arguments: list[str]) -> int:
    if isinstance(error, MachineFault) and error.refusal is Refusal.GPU:
        # it may still be a fault of ours
        _keep_trace(arguments)
    for line in str(error).splitlines():
        _say(f"error: {line}", "red")
    return ExitCode.INPUT_ERROR


def _unexpected(error: Exception, arguments: list[str]) -> int:
    place = _keep_trace(arguments)
    if place is None:
        _say(traceback.format_exc())
    _say(f"internal error: {type(error).__name__}: {error}; the details are in {place or 'this screen'}", "red")
    return ExitCode.INTERNAL_ERROR


def _keep_trace(arguments: list[str]) -> Path | None:
    """Add the traceback to the log in the output folder; None where there is none that can be written."""
    folder = _output(arguments)
    if folder is None or not folder.is_dir():
        return None
    try:
        with open(folder / "log.txt", "a", encoding="utf-8") as stream:
            # the log may be passed on, and these lines name folders of this computer
            stream.write(HiddenFolders(map(Path, arguments))(traceback.format_exc()))
    except OSError:
        return None
    return folder / "log.txt"


def _say(text: str, style: str | None = None) -> None:
    """Print to standard error; where that is a file on a full disk the exit code alone says how it ended."""
    with suppress(OSError):
        screen.errors.print(text, markup=False, soft_wrap=True, style=style)
