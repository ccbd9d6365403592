"""What holds for the repository as a whole: what the core imports, what is packaged."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import GlobalLocalAlignmentLib
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "GlobalLocalAlignment" / "GlobalLocalAlignmentLib"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FORBIDDEN = {
    "slicer",
    "qt",
    "ctk",
    "vtk",
    "vtkmodules",
    "mrml",
    "PythonQt",
    "PySide6",
    "GlobalLocalAlignmentSlicerLib",
    "GlobalLocalAlignmentTraining",
}
HEAVY = {"torch", "numpy", "scipy", "SimpleITK", "nibabel", "matplotlib", "lightning_fabric", "safetensors"}
DISTRIBUTIONS = {"yaml": "pyyaml"}
"""Distributions whose name is not that of the package they bring."""


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports, at any depth in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


def module_name(path: Path) -> str:
    """Dotted name under which a file is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def run_python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints that has the core on its path."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_imports_nothing_of_slicer_qt_or_vtk(path: Path):
    assert not imported(path) & FORBIDDEN


def test_every_module_of_the_core_loads_where_slicer_qt_and_vtk_cannot_be_imported():
    code = """
import importlib, pkgutil, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
import GlobalLocalAlignmentLib as package
print(package.__name__)
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""
    loaded = run_python(code, *sorted(FORBIDDEN)).split()
    assert sorted(loaded) == sorted(module_name(path) for path in SOURCES if path.name != "__main__.py")


@pytest.mark.parametrize("module", ["GlobalLocalAlignmentLib", "GlobalLocalAlignmentLib.cli"])
def test_the_package_and_its_command_line_start_without_heavy_libraries(module: str):
    loaded = run_python(f"import sys, {module}; print(*sys.modules)").split()
    assert module in loaded
    assert not set(loaded) & HEAVY


def test_a_prediction_starts_without_what_trainings_and_reports_need_alone():
    modules = ["GlobalLocalAlignmentLib.batches.batch", "GlobalLocalAlignmentLib.devices"]
    loaded = run_python(f"import sys, {', '.join(modules)}; print(*sys.modules)").split()
    assert set(modules) <= set(loaded)
    assert not set(loaded) & {"lightning_fabric", "matplotlib"}


def test_the_core_imports_what_it_declares_and_declares_what_it_imports(project: dict):
    outside = set().union(*map(imported, SOURCES)) - set(sys.stdlib_module_names) - {PACKAGE.name}
    texts = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dicom"]]
    declared = {canonicalize_name(Requirement(text).name) for text in texts}
    assert {DISTRIBUTIONS.get(name, canonicalize_name(name)) for name in outside} == declared


def test_every_declared_dependency_is_pinned_within_its_bound(project: dict):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    extras = project["project"]["optional-dependencies"].values()
    for text in [*project["project"]["dependencies"], *(text for extra in extras for text in extra)]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), text


def test_dependencies_have_lower_bounds_alone(project: dict):
    for text in project["project"]["dependencies"]:
        assert [specifier.operator for specifier in Requirement(text).specifier] == [">="], text


def test_every_data_file_of_the_package_is_packaged(project: dict):
    patterns = project["tool"]["setuptools"]["package-data"][PACKAGE.name]
    left_out = ("__pycache__", ".ruff_cache", ".DS_Store")
    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".py"]
    files = [path for path in files if not set(path.parts) & set(left_out)]
    assert {path.suffix for path in files} >= {".yaml"}
    assert [path for path in files if not any(fnmatch(path.as_posix(), pattern) for pattern in patterns)] == []


def test_every_folder_with_modules_is_a_package():
    assert [path.parent for path in SOURCES if not (path.parent / "__init__.py").is_file()] == []


def test_the_version_is_written_in_one_place_and_the_citation_agrees(project: dict):
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "GlobalLocalAlignmentLib.__version__"}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == GlobalLocalAlignmentLib.__version__


def test_continuous_integration_can_run_its_script():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
