"""The IDX format, in which MNIST and its like are published: arrays of unsigned bytes."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .layout import Array

CHUNK = 16 << 20  # bytes that are read at a time


def read_idx(path: str | Path) -> Array:
    """The array of unsigned bytes in an IDX file, gzipped or not.

    The format: two zero bytes, 0x08 for unsigned bytes, the number of axes, the size of each axis
    as a big-endian 32-bit integer, then the values. ValueError, naming the file, for anything else;
    no more is read than the header announces.

    >>> read_idx(tinygrad_bn.data.SHIPPED / "t10k-labels-idx1-ubyte.gz")[:3]
    array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: not a file that can be read from beginning to end")
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            return idx_array(path, gzip.open(file) if zipped else file)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: damaged or incomplete gzip file ({error})") from error


def idx_array(
    path: Path,
    stream: Any,  # the open file, or what unzips it
) -> Array:
    """Header and values."""
    start = stream.read(4)
    if len(start) < 4 or start[:3] != b"\x00\x00\x08":
        raise ValueError(
            f"{path}: not an IDX file of bytes: starts '{start.hex(' ')}', not '00 00 08'"
        )
    axes = start[3]
    header = stream.read(4 * axes)
    if len(header) < 4 * axes:
        raise ValueError(f"{path}: ends inside its header of {4 + 4 * axes} bytes")
    shape = struct.unpack(f">{axes}I", header)
    expected = math.prod(shape)
    values = bytearray()
    while chunk := stream.read(min(CHUNK, expected + 1 - len(values))):
        values += chunk
    if len(values) != expected:
        found = f"{len(values)} values" if len(values) < expected else "more values"
        raise ValueError(f"{path}: {found}, but its header says {shape}: {expected}")
    try:
        return np.frombuffer(values, np.uint8).reshape(shape)
    except ValueError as error:  # as for more than 64 axes
        raise ValueError(f"{path}: no array has the shape {shape} ({error})") from error
