"""TFRecord files and the messages in them, read without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasetfiles import counted, example, record, varint
from GlobalLocalAlignmentLib.datasets.example import read_example
from GlobalLocalAlignmentLib.datasets.tfrecord import LANE, TABLE, crc32c, masked_checksum, read_records
from GlobalLocalAlignmentLib.errors import InputError
from hypothesis import given
from hypothesis import strategies as some

HERE = Path("a.tfrecords")


def byte_by_byte(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state = int(TABLE[(state ^ byte) & 0xFF]) ^ state >> 8
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_checksums_are_those_of_the_standard(data: bytes, checksum: int):
    assert crc32c(data) == checksum


@pytest.mark.parametrize("length", [LANE - 1, LANE, LANE + 1, 2 * LANE, 3 * LANE + 5, 20 * LANE - 1])
def test_long_strings_have_the_checksum_that_they_have_byte_by_byte(length: int):
    data = np.random.default_rng(length).bytes(length)
    assert crc32c(data) == byte_by_byte(data)


def test_records_come_back(tmp_path: Path):
    path = tmp_path / "two.tfrecords"
    path.write_bytes(record(b"first") + record(bytes(3000)) + record(b""))
    assert read_records(path) == [b"first", bytes(3000), b""]


@pytest.mark.parametrize("length", [1, 7, 11, 12, 20, 2000])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, length: int):
    path = tmp_path / "cut.tfrecords"
    path.write_bytes(record(bytes(3000))[:length])
    with pytest.raises(InputError, match=r"cut.tfrecords: is cut short \(\d+ bytes\)"):
        read_records(path)


@pytest.mark.parametrize("position", [0, 8, 12, 1500, -1])
def test_a_changed_byte_is_refused(tmp_path: Path, position: int):
    path, content = tmp_path / "bad.tfrecords", bytearray(record(bytes(3000)))
    content[position] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError, match="bad.tfrecords: is damaged: the checksum"):
        read_records(path)


def test_an_empty_file_is_refused(tmp_path: Path):
    (tmp_path / "a.tfrecords").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        read_records(tmp_path / "a.tfrecords")


def test_features_come_back():
    features = {"volume": b"\x00\x01", "count": 300, "offset": -17, "many": b"x" * 500}
    assert read_example(example(features), HERE) == {name: [value] for name, value in features.items()}


def test_numbers_may_stand_one_by_one_and_other_fields_are_passed_over():
    numbers = varint(1 << 3) + varint(7) + varint(1 << 3) + varint(8)
    entry = counted(1, b"size") + counted(2, counted(3, numbers)) + varint(9 << 3 | 5) + bytes(4)
    rates = counted(1, b"rate") + counted(2, counted(2, counted(1, bytes(4))))
    assert read_example(counted(1, counted(1, entry) + counted(1, rates)), HERE) == {"size": [7, 8]}


@given(some.binary(max_size=80))
def test_whatever_the_bytes_are_they_are_read_or_refused(data: bytes):
    for content in (data, counted(1, data), counted(1, counted(1, data)), counted(1, counted(1, counted(2, data)))):
        try:
            read_example(content, HERE)
        except InputError as error:
            assert "something else than an Example" in str(error)


def test_a_real_file_of_sifa_has_right_checksums(shared_data: Path):
    for path in sorted((shared_data / "mmwhs_sifa").glob("*.tfrecords")):
        (data,) = read_records(path)
        assert masked_checksum(data) == int.from_bytes(path.read_bytes()[-4:], "little")
        features = read_example(data, path)
        assert [features[f"dsize_dim{axis}"] for axis in range(3)] == [[256], [256], [3]]
        assert len(features["data_vol"][0]) == len(features["label_vol"][0]) == 256 * 256 * 3 * 4
