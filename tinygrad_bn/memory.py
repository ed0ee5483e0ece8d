"""[2] Memory: large arrays, used again.

The first touch of a fresh array of some megabytes costs more than the arithmetic on it: the
operating system finds, clears and maps every page. But training asks for the same sizes at every
step. So large results are written into blocks that earlier arrays have left behind.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .engine import Array

_LARGE = 1 << 16  # bytes; below this, NumPy's own allocation is faster
_STALE = 2_000  # requests after which a block that nobody wanted is let go
_free: dict[int, list[tuple[int, Array]]] = {}  # idle blocks by size, with the time they came in
_requests = 0


class _Lease:
    """A block on loan. Arrays made from it keep it alive; when the last is gone, it comes back."""

    __slots__ = ("__array_interface__", "block")

    def __init__(self, block: Array) -> None:
        self.block = block
        self.__array_interface__ = block.__array_interface__

    def __del__(self, free: dict[int, list[tuple[int, Array]]] = _free) -> None:
        free.setdefault(self.block.size, []).append((_requests, self.block))


def _take(size: int) -> Array:
    """An idle block of `size` bytes, or a new one."""
    global _requests
    _requests += 1
    try:
        return _free[size].pop()[1]
    except (KeyError, IndexError):
        for idle in _free.values():
            idle[:] = [entry for entry in idle if _requests - entry[0] < _STALE]
        return np.empty(size, np.uint8)


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """As `numpy.empty`, in used memory if the array is large."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE:
        return np.empty(shape, dtype)
    return np.asarray(_Lease(_take(size))).view(dtype).reshape(shape)


def empty_like(x: Array, dtype: Any = None) -> Array:
    """As `numpy.empty_like`: the axes lie in memory in the same order as those of `x`."""
    dtype = x.dtype if dtype is None else dtype
    if x.nbytes < _LARGE:
        return np.empty_like(x, dtype)
    if x.flags.c_contiguous:
        return empty(x.shape, dtype)
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    back = sorted(range(x.ndim), key=order.__getitem__)
    return empty(tuple(x.shape[axis] for axis in order), dtype).transpose(back)


def apply(f: Any, x: Array, *others: Any) -> Any:
    """`f(x, *others)` for a ufunc f, into used memory if the result is large and shaped like x."""
    if x.nbytes < _LARGE or any(np.shape(other) not in ((), x.shape) for other in others):
        return f(x, *others)
    return f(x, *others, out=empty_like(x))
