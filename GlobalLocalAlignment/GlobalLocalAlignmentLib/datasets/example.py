"""``tf.train.Example`` messages without TensorFlow: named lists of bytes or whole numbers.

The messages, by their definition in ``tensorflow/core/example``: Example {1: Features}, Features {1: map entries},
entry {1: name, 2: Feature}, Feature {1: BytesList, 2: FloatList, 3: Int64List}, each list {1: values}. The wire format
is that of protocol buffers: keys and lengths as variable-length whole numbers of seven bits a byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError

VARINT, EIGHT_BYTES, COUNTED, FOUR_BYTES = 0, 1, 2, 5
BYTES_LIST, INTEGER_LIST = 1, 3
FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
LONGEST_VARINT = 10


def read_example(data: bytes, path: Path) -> dict[str, list[bytes] | list[int]]:
    """Values of each feature of bytes or of whole numbers; lists of floating-point numbers are left out.

    Args:
        data: a record.
        path: where it is from, for messages.

    Raises:
        InputError: it is no such message.
    """
    features: dict[str, list[bytes] | list[int]] = {}
    try:
        for entry in _values(data, 1, 1):
            (name,), (feature,) = _values(entry, 1), _values(entry, 2)
            for kind, values in _fields(feature):
                if kind == BYTES_LIST:
                    features[name.decode()] = _values(values, 1)
                elif kind == INTEGER_LIST:
                    features[name.decode()] = list(_integers(values))
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(path, "holds something else than an Example of TensorFlow", "download it again") from error
    return features


def _values(message: bytes, *path: int) -> list[bytes]:
    """Strings and messages that stand in a field of a message, or in a field of its fields."""
    found = [message]
    for wanted in path:
        found = [value for outer in found for field, value in _fields(outer) if field == wanted]
        if not all(isinstance(value, bytes) for value in found):
            raise ValueError("a number stands where a message should")
    return found


def _integers(message: bytes) -> Iterator[int]:
    """Values of an Int64List, packed or not."""
    for _, value in _fields(message):
        position = 0
        if isinstance(value, int):
            yield _signed(value)
            continue
        while position < len(value):
            number, position = _varint(value, position)
            yield _signed(number)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and content of each field of a message.

    Raises:
        ValueError, IndexError: the bytes are no message.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        field, wire = key >> 3, key & 7
        if wire == VARINT:
            number, position = _varint(message, position)
            yield field, number
            continue
        if wire == COUNTED:
            length, position = _varint(message, position)
        elif wire in FIXED:
            length = FIXED[wire]
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(message):
            raise ValueError("a field is longer than its message")
        yield field, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """A variable-length whole number, and where it ends."""
    number = 0
    for place in range(LONGEST_VARINT):
        byte = message[position + place]
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, position + place + 1
    raise ValueError("a number is too long")
