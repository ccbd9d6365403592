"""The phantoms of the demo as files for Slicer's sample data.

``python -m GlobalLocalAlignmentLib.phantoms.phantomfiles FOLDER COHORT`` makes them.

Not a command of ``gla``: Slicer calls it before anything is installed, and its own Python has what this takes, NumPy,
SciPy and SimpleITK.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import ExitCode, InputError
from .phantomcohorts import COHORTS, files_of, patient_seed

TASK = "abdomen"


def write_missing(folder: Path, name: str, on_done: Callable[[int, int], None]) -> None:
    """Write the files of a cohort that are not in the folder; each is there as a whole or not at all.

    Args:
        folder: where to; it is made.
        name: of the cohort.
        on_done: called with the number of patients whose files are there, and of all.

    Raises:
        InputError: the folder cannot be written.
    """
    from ..formats.segmentationfile import write_segmentation
    from ..formats.volumewriters import write_volume
    from ..knownstructures import KNOWN_STRUCTURES
    from ..phantom import render_phantom

    cohort = COHORTS[name]
    for index, files in enumerate(files_of(cohort)):
        if not all((folder / file).is_file() for file in files.names):
            image, labelmap = render_phantom(TASK, cohort.modality, patient_seed(cohort.seed(), index))
            if files.segmentation:
                write_segmentation(labelmap, KNOWN_STRUCTURES[TASK], folder / files.segmentation)
            write_volume(image, folder / files.image)
        on_done(index + 1, cohort.count)


def main(arguments: list[str]) -> int:
    """Write a cohort, with progress and faults as ``gla --events`` says them; returns the exit code."""
    if len(arguments) != 2 or arguments[1] not in COHORTS:
        print(f"error: give a folder and one of {', '.join(COHORTS)}")
        return ExitCode.INPUT_ERROR

    # ends as an error does, so that nothing half-written is left in the folder
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(ExitCode.STOPPED))

    def tell(done: int, of: int) -> None:
        print(json.dumps({"event": "progress", "stage": "phantoms", "iteration": done, "of": of}), flush=True)

    try:
        write_missing(Path(arguments[0]), arguments[1], tell)
    except ImportError as error:
        print(f"error: {error.name or error}: cannot be imported by Slicer's Python; repair or reinstall Slicer")
        return ExitCode.INPUT_ERROR
    except InputError as error:
        print(f"error: {error}")
        return ExitCode.INPUT_ERROR
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
