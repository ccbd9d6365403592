"""What 3D Slicer and its Extensions Index ask of the repository: CMake files, catalogue entry, icons, size."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("GlobalLocalAlignment", "GlobalLocalAlignmentTraining")
STAND_IN = ROOT / "Testing" / "SlicerConfig"
ICONS = ["GlobalLocalAlignment.png", *(f"{module}/Resources/Icons/{module}.png" for module in MODULES)]
THUMBNAILS = [
    f"GlobalLocalAlignment/Resources/Icons/GlobalLocalAlignmentPhantoms{name}.png"
    for name in ("Source", "Target", "Test")
]
NOT_PACKED = re.compile(r"(^|/)(\.[^/]*|__pycache__|[^/]*\.egg-info)(/|$)|^CMakeLists\.txt$")
"""What lies in the folder of a module and is not part of the package."""
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#"
)

Record = dict[tuple[str, str], list[str]]
"""(kind, module or variable) -> the values that the stand-in for Slicer's CMake files was given."""


def find_cmake() -> str | None:
    """The CMake beside this Python, or else the one on the path."""
    folders = [sysconfig.get_path("scripts"), os.environ.get("PATH", "")]
    return shutil.which("cmake", path=os.pathsep.join(folders))


@pytest.fixture(scope="module")
def cmake() -> str:
    """A CMake that is new enough for Slicer 5.12."""
    program = find_cmake()
    if program is None:
        pytest.skip("cmake is missing: pip install cmake")
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"(\d+)\.(\d+)\.\d+", text)
    if tuple(map(int, version.groups())) < (3, 28):
        pytest.skip(f"cmake {version[0]} is older than 3.28: pip install cmake")
    return program


def run_cmake(cmake: str, source: Path, build: Path) -> subprocess.CompletedProcess[str]:
    """Configures an extension with the stand-in for Slicer; nothing is compiled, so no compiler need be there."""
    command = [cmake, "-S", str(source), "-B", str(build), "-G", "Unix Makefiles", f"-DCMAKE_MAKE_PROGRAM={cmake}"]
    for language in ("C", "CXX"):
        command += [f"-DCMAKE_{language}_COMPILER={cmake}", f"-DCMAKE_{language}_COMPILER_FORCED=ON"]
    command += [f"-DSlicer_DIR={STAND_IN}", "-DBUILD_TESTING=ON", "-Werror=dev"]
    return subprocess.run(command, capture_output=True, text=True)


def configure(cmake: str, source: Path, build: Path) -> Record:
    """What an extension tells Slicer when it is configured."""
    done = run_cmake(cmake, source, build)
    assert done.returncode == 0, done.stderr
    record = defaultdict(list)
    for line in (build / "extension.txt").read_text(encoding="utf-8").splitlines():
        kind, owner, value = line.split("\t")
        record[kind, owner].append(value)
    return dict(record)


@pytest.fixture(scope="module")
def extension(cmake: str, tmp_path_factory: pytest.TempPathFactory) -> Record:
    return configure(cmake, ROOT, tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def entry() -> dict:
    return json.loads((ROOT / "GlobalLocalAlignment.json").read_text(encoding="utf-8"))


def files_of(module: str) -> set[str]:
    """Files in the folder of a module that belong into the package."""
    folder = ROOT / module
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {file for file in files if not NOT_PACKED.search(file)}


def test_every_folder_with_a_module_is_part_of_the_extension(extension: Record):
    folders = {path.parent for path in ROOT.glob("*/CMakeLists.txt")}
    assert {folder.name for folder in folders} == set(MODULES)
    assert {owner: Path(*value) for (kind, owner), value in extension.items() if kind == "module"} == {
        folder.name: folder for folder in folders
    }
    assert ("packaged", "GlobalLocalAlignment") in extension


@pytest.mark.parametrize("module", MODULES)
def test_the_scripts_of_a_module_are_those_in_its_folder(extension: Record, module: str):
    listed = extension.get(("script", module), [])
    assert Counter(listed) == Counter(file for file in files_of(module) if file.endswith(".py"))


@pytest.mark.parametrize("module", MODULES)
def test_the_resources_of_a_module_are_those_in_its_folder(extension: Record, module: str):
    listed = extension.get(("resource", module), [])
    assert Counter(listed) == Counter(file for file in files_of(module) if not file.endswith(".py"))


def test_no_file_of_a_module_takes_the_place_of_another_modules_file(extension: Record):
    packed = [value for (kind, _), values in extension.items() if kind in ("script", "resource") for value in values]
    assert [file for file, count in Counter(packed).items() if count > 1] == []


def test_scripts_have_names_that_no_other_extension_uses(extension: Record):
    # all extensions are on one Python path in Slicer
    scripts = [value for (kind, _), values in extension.items() if kind == "script" for value in values]
    assert [script for script in scripts if not script.startswith("GlobalLocalAlignment")] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_registers_the_generic_tests_and_its_own(extension: Record, module: str):
    assert extension["generic_tests", module] == ["TRUE"]
    assert extension["unittest", module] == [f"{module}.py"]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_a_script_of_its_own_name(extension: Record, module: str):
    assert f"{module}.py" in extension["script", module]


def test_the_extension_says_what_the_catalogue_shows(extension: Record):
    for name in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"):
        assert len(extension["extension", name]) == 1, name
    assert extension["extension", "CONTRIBUTORS"] == ["GlobalLocalAlignment contributors"]
    # Slicer takes the category from the catalogue entry alone
    assert ("extension", "CATEGORY") not in extension


def test_the_catalogue_entry_and_the_cmake_file_agree(extension: Record, entry: dict):
    assert entry == {
        "$schema": SCHEMA,
        "build_dependencies": extension["extension", "DEPENDS"],
        "build_subdirectory": ".",
        "category": "Segmentation",
        "scm_revision": "main",
        "scm_url": extension["extension", "HOMEPAGE"][0],
        "tier": 1,
    }


def test_the_extension_depends_on_pytorch_alone(extension: Record):
    assert extension["extension", "DEPENDS"] == ["PyTorch"]


def test_the_repository_has_a_name_that_the_index_accepts(entry: dict):
    assert re.fullmatch(r"https://[\w.-]+(/[\w.-]+)*/SlicerGlobalLocalAlignment", entry["scm_url"])


def test_the_addresses_of_pictures_lead_to_files_of_the_repository(extension: Record, entry: dict):
    base = f"{entry['scm_url']}/raw/{entry['scm_revision']}/"
    icon = extension["extension", "ICONURL"][0]
    screenshots = extension["extension", "SCREENSHOTURLS"][0].split()
    assert icon == base + "GlobalLocalAlignment.png"
    for address in screenshots:
        assert address.startswith(base)
        assert (ROOT / address.removeprefix(base)).is_file(), address


def test_all_addresses_follow_one_variable(cmake: str, extension: Record, tmp_path: Path):
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    old, new = extension["extension", "HOMEPAGE"][0], "https://example.net/other/SlicerGlobalLocalAlignment"
    changed, count = re.subn(r'(?<=set\(REPOSITORY_URL ")[^"]*(?="\))', new, text)
    assert count == 1
    changed = re.sub(r"add_subdirectory\(.*\)", "", changed)
    (tmp_path / "CMakeLists.txt").write_text(changed, encoding="utf-8")
    moved = configure(cmake, tmp_path, tmp_path / "build")
    for name in ("HOMEPAGE", "ICONURL", "SCREENSHOTURLS"):
        assert moved["extension", name][0] == extension["extension", name][0].replace(old, new), name


@pytest.mark.parametrize("path", ICONS)
def test_an_icon_has_the_size_that_slicer_asks_for_and_is_not_blank(path: str):
    with Image.open(ROOT / path) as picture:
        assert (picture.format, picture.size) == ("PNG", (128, 128))
        pixels = np.asarray(picture.convert("RGBA").resize((24, 24)), dtype=float)
    visible = pixels[pixels[..., 3] > 128][:, :3]
    assert len(visible) > 24 * 24 / 2
    assert visible.mean(axis=1).std() > 20


def test_icons_differ():
    pictures = [np.asarray(Image.open(ROOT / path).convert("RGB").resize((24, 24)), dtype=float) for path in ICONS]
    for index, picture in enumerate(pictures):
        assert all(np.abs(picture - other).mean() > 5 for other in pictures[:index])


@pytest.mark.parametrize(("script", "pictures"), [("draw_icons", ICONS), ("draw_thumbnails", THUMBNAILS)])
def test_the_pictures_are_those_that_the_scripts_draw(script: str, pictures: list[str], tmp_path: Path):
    command = [sys.executable, str(ROOT / "docs" / "images" / f"{script}.py"), "--output", str(tmp_path)]
    subprocess.run(command, check=True)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")} == set(pictures)
    for path in pictures:
        kept, drawn = (np.asarray(Image.open(root / path), dtype=float) for root in (ROOT, tmp_path))
        # another version of the drawing library may set an edge a little differently
        assert np.abs(kept - drawn).mean() < 2, path


def test_licence_and_readme_are_where_the_index_looks_for_them():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Apache License" in (ROOT / "LICENSE.txt").read_text(encoding="utf-8")
    assert readme.startswith("# GlobalLocalAlignment\n")
    assert "[Apache License 2.0](LICENSE.txt)" in readme


def test_a_clone_with_its_history_is_smaller_than_100_megabytes():
    if shutil.which("git") is None:
        pytest.skip("git is missing")

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no git repository to measure: {done.stderr.strip()}")
        return done.stdout

    files = [ROOT / name for name in git("ls-files", "-z").split("\0") if name]
    history = int(git("rev-list", "--disk-usage", "--objects", "HEAD"))
    assert sum(path.stat().st_size for path in files if path.is_file()) + history < 100e6
