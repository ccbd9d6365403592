"""Stand-in for slicer.packaging: asks before it installs, as Slicer does; pip itself is the host's to allow."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import shlex
from pathlib import Path

import slicer.util
from packaging.requirements import Requirement

Requirements = str | Requirement | list[str | Requirement]


def load_requirements(path: str | Path) -> list[Requirement]:
    """The requirements of a file; comments, empty lines and options of pip are passed over."""
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def _as_list(requirements: Requirements) -> list[Requirement]:
    if isinstance(requirements, str):
        requirements = shlex.split(requirements)
    elif isinstance(requirements, Requirement):
        requirements = [requirements]
    return [item if isinstance(item, Requirement) else Requirement(item) for item in requirements]


def pip_check(requirements: Requirements) -> bool:
    """True if all are installed, in a version that will do."""
    return all(map(_is_installed, _as_list(requirements)))


def _is_installed(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False


def pip_ensure(
    requirements: Requirements,
    constraints: str | Path | None = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> list[str] | None:
    """Install what is missing after the user agreed; RuntimeError if the user did not."""
    missing = [item for item in _as_list(requirements) if not pip_check(item)]
    if not missing:
        return None
    names = "\n".join(f"- {item}" for item in missing)
    if skip_in_testing and slicer.app.testingEnabled():
        logging.info("testing: not installed\n%s", names)
        return None
    title = f"{requester} - Install Python Packages" if requester else "Install Python Packages"
    question = f"{len(missing)} Python packages need to be installed. Continue?"
    if prompt_install and not slicer.util.confirmOkCancelDisplay(question, title, detailedText=names):
        raise RuntimeError("the user declined the installation")
    return pip_install(
        missing,
        constraints=constraints,
        skip_packages=skip_packages,
        requester=requester,
        show_progress=show_progress,
    )


def pip_install(
    requirements: Requirements,
    constraints: str | Path | None = None,
    skip_packages: list[str] | None = None,
    blocking: bool = True,
    show_progress: bool = False,
    requester: str | None = None,
) -> list[str] | None:
    """Run pip install."""
    # pip's options are allowed in a string, as in Slicer
    words = shlex.split(requirements) if isinstance(requirements, str) else [str(item) for item in requirements]
    options = ["-c", str(constraints)] if constraints is not None else []
    slicer.util.executePythonModule("pip", ["install", *words, *options])
    importlib.invalidate_caches()
    return [] if skip_packages else None


def pip_uninstall(requirements: Requirements, blocking: bool = True) -> None:
    """Run pip uninstall."""
    names = [item.name for item in _as_list(requirements)]
    slicer.util.executePythonModule("pip", ["uninstall", *names, "--yes"])
