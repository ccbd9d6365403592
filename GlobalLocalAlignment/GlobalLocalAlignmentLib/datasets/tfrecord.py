"""TFRecord files without TensorFlow: a row of byte strings, each with its length and two checksums.

Layout of a record, little-endian: length (8 bytes), masked CRC-32C of the length (4), data, masked CRC-32C of the data
(4), as TensorFlow documents it in ``tensorflow/core/lib/io/record_writer.h``.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ..datatext import read_bounded
from ..errors import InputError

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, bits reversed."""

MASK_DELTA = 0xA282EAD8
LENGTH_BYTES, CHECKSUM_BYTES = 8, 4
LANE = 512
"""Bytes that are gone through one after the other; the lanes of a long string are gone through side by side."""

LARGEST_FILE = 64 << 20
"""Bytes; a slice with its label has one and a half million."""

AGAIN = "download it again"


def read_records(path: Path) -> list[bytes]:
    """The data of all records of a file.

    Raises:
        InputError: the file cannot be read, is cut short, or a checksum is wrong.
    """
    try:
        content = read_bounded(path, LARGEST_FILE)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check its permissions") from error
    except ValueError as error:
        raise InputError(path, f"is no slice of a data set ({error})", AGAIN) from error
    if not content:
        raise InputError(path, "is empty, it has no bytes", AGAIN)
    records, position = [], 0
    while position < len(content):
        length, position = _part(path, content, position, LENGTH_BYTES)
        data, position = _part(path, content, position, int.from_bytes(length, "little"))
        records.append(data)
    return records


def _part(path: Path, content: bytes, start: int, length: int) -> tuple[bytes, int]:
    """Bytes that a checksum follows, and where the next part begins."""
    end = start + length
    if end + CHECKSUM_BYTES > len(content):
        raise InputError(path, f"is cut short ({len(content)} bytes) or no TFRecord file", AGAIN)
    part = content[start:end]
    if masked_checksum(part) != struct.unpack_from("<I", content, end)[0]:
        raise InputError(path, f"is damaged: the checksum of the {length} bytes from {start} is wrong", AGAIN)
    return part, end + CHECKSUM_BYTES


def masked_checksum(data: bytes) -> int:
    """CRC-32C, turned by 15 bits and shifted, as it stands in the file."""
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + MASK_DELTA) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of a byte string.

    A checksum is linear over its bits: that of two strings in a row is that of the first, moved by as many zero bytes
    as the second has, XOR that of the second. So many short lanes are computed at once and joined pair by pair.
    """
    if len(data) < LANE:
        state = 0xFFFFFFFF
        for byte in data:
            state = int(TABLE[(state ^ byte) & 0xFF]) ^ state >> 8
        return state ^ 0xFFFFFFFF
    lanes = 1 << (-(-len(data) // LANE) - 1).bit_length()
    # zeros in front do not count, as the state that every lane starts with is zero
    columns = np.zeros(lanes * LANE, np.uint8)
    first = len(columns) - len(data)
    columns[first:] = np.frombuffer(data, np.uint8)
    # the state that a string as a whole starts with
    columns[first : first + 4] ^= 0xFF
    states = np.zeros(lanes, np.uint32)
    for column in np.ascontiguousarray(columns.reshape(lanes, LANE).T):
        states = TABLE[(states ^ column) & 0xFF] ^ states >> 8
    moved = _moves(LANE)
    while len(states) > 1:
        states = _move(states[::2], moved) ^ states[1::2]
        moved = _move(moved, moved)
    return int(states[0]) ^ 0xFFFFFFFF


def _table() -> np.ndarray:
    """(256,) states after one byte."""
    states = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        states = np.where(states & 1, states >> 1 ^ POLYNOMIAL, states >> 1).astype(np.uint32)
    return states


def _moves(count: int) -> np.ndarray:
    """(32,) what each bit of a state becomes after ``count`` zero bytes, a power of two."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    moved = TABLE[bits & 0xFF] ^ bits >> 8
    for _ in range(count.bit_length() - 1):
        moved = _move(moved, moved)
    return moved


def _move(states: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """States after the zero bytes that ``moved`` stands for."""
    result = np.zeros_like(states)
    for bit, image in enumerate(moved):
        result ^= (states >> np.uint32(bit) & np.uint32(1)) * image
    return result


TABLE = _table()
