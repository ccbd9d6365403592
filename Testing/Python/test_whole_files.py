"""Files are there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from GlobalLocalAlignmentLib.wholefiles import whole_file


def test_the_content_is_there_when_the_block_has_ended_and_not_before(tmp_path: Path):
    path = tmp_path / "folder" / "file.txt"
    with whole_file(path) as stream:
        stream.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_failure_leaves_the_earlier_file_and_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="half way"), whole_file(path) as stream:
        stream.write(b"new")
        raise ValueError("half way")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_it_is_synced_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda number, sync=os.fsync: (done.append("sync"), sync(number)))
    monkeypatch.setattr(os, "replace", lambda old, new, move=os.replace: (done.append("name"), move(old, new)))
    with whole_file(tmp_path / "file.txt") as stream:
        stream.write(b"new")
    assert done[:2] == ["sync", "name"]


def test_an_error_names_the_file(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"), whole_file(tmp_path / "file" / "table.csv"):
        raise AssertionError("nothing can be written here")
