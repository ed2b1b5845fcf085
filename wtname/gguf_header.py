"""Read a GGUF file's header without llama.cpp: what the model is, and whether the file is whole."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from wtname.errors import ModelError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
# ggml type: values in a block, bytes in a block.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 30: (1, 2),
}  # fmt: skip
_MOST = 1 << 20  # of anything counted: our models have a few thousand words and some dozens of tensors


class Header(NamedTuple):
    """A model's metadata (arrays as their lengths) and its number of parameters."""

    metadata: dict[str, object]
    parameters: int

    def text(self, key: str) -> str | None:
        """A value of the metadata as text."""
        value = self.metadata.get(key)
        return None if value is None else str(value)


def read(path: Path) -> Header:
    """The header of a GGUF file; ModelError where it is not one or is cut short."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelError(f"{path} is not a GGUF file; get the model again")
            return _read(file, path.stat().st_size)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except (struct.error, ValueError, OverflowError) as error:
        raise ModelError(f"{path} is damaged or cut short; get the model again") from error


def _read(file: BinaryIO, size: int) -> Header:
    version, tensors, pairs = _unpack(file, "<IQQ")
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version}")
    metadata = {}
    for _ in range(_counted(pairs)):
        key = _string(file)
        metadata[key] = _value(file, _unpack(file, "<I")[0])
    parameters = end = 0
    for _ in range(_counted(tensors)):
        _string(file)
        (dimensions,) = _unpack(file, "<I")
        count = math.prod(_unpack(file, f"<{_counted(dimensions)}Q"))
        kind, offset = _unpack(file, "<IQ")
        values, length = _BLOCKS.get(kind, (1, 0))
        parameters += count
        end = max(end, offset + count // values * length)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError("alignment")
    if -(-file.tell() // alignment) * alignment + end > size:
        raise ValueError("cut short")
    return Header(metadata, parameters)


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _counted(count: int) -> int:
    if count > _MOST:
        raise ValueError("too many")
    return count


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<Q")
    data = file.read(_counted(length))
    if len(data) != length:
        raise ValueError("cut short")
    return data.decode("utf-8", "replace")


def _value(file: BinaryIO, kind: int) -> object:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        inner, count = _unpack(file, "<IQ")
        if inner == _ARRAY:
            raise ValueError("an array in an array")
        for _ in range(_counted(count)):
            _value(file, inner)
        return count
    if kind not in _SCALARS:
        raise ValueError("unknown kind")
    return _unpack(file, "<" + _SCALARS[kind])[0]
