"""Numbers as text, as PyTorch prints them: four digits, one width, the edges of what is long."""

import math
from collections.abc import Callable

import numpy as np

from .layout import Array

LINE = 80  # columns
LONG = 1000  # elements: of more than these, only the edges are printed
EDGE = 3  # elements at either end of an axis
INDENT = len("tensor(")


Write = Callable[[float], str]


def tensor_text(array: Array, suffixes: list[str]) -> str:
    """`tensor(`, the numbers, what is to be said of them, `)`; new lines where one is full."""
    shown = edges_of(array) if array.size > LONG else array
    write, width = style_for(shown)
    numbers = nested(shown, array.shape, INDENT, write, width) if array.size > 0 else "[]"
    text = f"tensor({numbers}"
    last_line = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if last_line + len(suffix) + 2 > LINE:
            text += f",\n{' ' * INDENT}{suffix}"
            last_line = INDENT + len(suffix)
        else:
            text += f", {suffix}"
            last_line += len(suffix) + 2
    return f"{text})"


def edges_of(array: Array) -> Array:
    """The first and the last ones along each axis."""
    for axis, size in enumerate(array.shape):
        if size > 2 * EDGE:
            edges = [*range(EDGE), *range(size - EDGE, size)]
            array = array.take(edges, axis)
    return array


def nested(
    array: Array,
    shape: tuple[int, ...],  # larger than the array's where only the edges are shown
    indent: int,
    write: Write,
    width: int,
) -> str:
    """Brackets in brackets; the last axis in lines of as many numbers as there is room for."""
    if array.ndim == 0:
        return write(array.item()).rjust(width)
    parts = [nested(part, shape[1:], indent + 1, write, width) for part in array]
    per_line = max(1, (LINE - indent) // (width + 2)) if array.ndim == 1 else 1
    if len(array) < shape[0]:
        parts.insert(EDGE, " ..." if array.ndim == 1 else "...")
    starts = range(0, len(parts), per_line)
    lines = [", ".join(parts[i : i + per_line]) for i in starts]
    new_lines = "\n" * max(array.ndim - 1, 1)
    margin = " " * (indent + 1)
    return f"[{f',{new_lines}{margin}'.join(lines)}]"


def style_for(array: Array) -> tuple[Write, int]:
    """How to write the numbers of an array, and in which width."""
    write: Write = str
    if array.dtype.kind == "f":
        array = array[np.isfinite(array) & (array != 0)]
        write = float_style(np.abs(array).astype(np.float64))
    widths = [len(write(value)) for value in array.reshape(-1).tolist()]
    return write, max(widths, default=1)


def float_style(sizes: Array) -> Write:
    """The style "1.", "1.0000" or "1.0000e+00", by how far the (finite) numbers are from 0."""
    if sizes.size == 0:
        return whole_number
    smallest, largest = sizes.min(), sizes.max()
    if largest > 1000 * smallest or largest > 1e8 or smallest < 1e-4:
        return "{:.4e}".format
    whole = (sizes == np.floor(sizes)).all()
    return whole_number if whole else "{:.4f}".format


def whole_number(value: float) -> str:
    """With the point that tells it from an integer."""
    return f"{value:.0f}." if math.isfinite(value) else f"{value}"
