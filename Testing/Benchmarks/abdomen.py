"""Real abdomens, CT to MR and MR to CT: ``gla ablate`` with the cases that every figure of docs/results.md is for.

    python Testing/Benchmarks/abdomen.py --data FOLDER --output RESULTS [any option of gla ablate]

FOLDER holds ``ct`` and ``mr`` with ``image_NN`` and ``label_NN`` (1 liver, 2 right kidney, 3 left kidney, 4 spleen).
Without other words it takes the preset abdomen-cpu. The validation cases are in no training, neither their labels nor,
as unlabelled target slices, their images. They were watched while the presets were chosen, so they are no test.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from environment import describe
from GlobalLocalAlignmentLib.cli import run

VALIDATION = {"ct": ["25", "26", "27", "29"], "mr": ["34", "36", "37", "39"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options, others = parser.parse_known_args()
    words = ["ablate", *([] if "--preset" in others else ["--preset", "abdomen-cpu"])]
    for role, modality in (("source", "ct"), ("target", "mr")):
        folder = str(options.data / modality)
        words += [f"--{role}-images", folder, f"--{role}-labels", folder]
        words += ["--set", f"{role}.modality={modality.upper()}"]
        words += [word for case in VALIDATION[modality] for word in (f"--{role}-test", case)]
    print(describe())
    sys.exit(run(words + others))


if __name__ == "__main__":
    main()
