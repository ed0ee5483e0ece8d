"""[2] Memory: large arrays, used again.

The first touch of a fresh array of some megabytes costs more than the arithmetic on it: the
operating system finds, clears and maps every page. But training asks for the same sizes at every
step. So large results are written into blocks that earlier arrays have left behind.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

from .engine import Array

_LARGE = 1 << 16  # bytes; below this, NumPy's own allocation is faster


class _Pool:
    """Blocks by size. All together hold at most twice what was ever in use at one time."""

    def __init__(self) -> None:
        self.idle: defaultdict[int, list[Array]] = defaultdict(list)
        self.held = self.in_use = self.peak = 0  # bytes

    def take(self, size: int) -> Array:
        self.in_use += size
        self.peak = max(self.peak, self.in_use)
        if self.idle[size]:
            return self.idle[size].pop()
        if self.held + size > 2 * self.peak:  # the sizes have changed: start anew
            self.idle.clear()
            self.held = self.in_use - size
        self.held += size
        return np.empty(size, np.uint8)

    def put_back(self, block: Array) -> None:
        self.in_use -= block.size
        self.idle[block.size].append(block)


_pool = _Pool()


class _Lease:
    """A block on loan. Arrays made from it keep it alive; when the last is gone, it comes back."""

    __slots__ = ("__array_interface__", "block")

    def __init__(self, block: Array) -> None:
        self.block, self.__array_interface__ = block, block.__array_interface__

    def __del__(self, pool: _Pool = _pool) -> None:
        pool.put_back(self.block)


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """As `numpy.empty`, in used memory if the array is large."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < _LARGE:
        return np.empty(shape, dtype)
    array: Array = np.asarray(_Lease(_pool.take(size))).view(dtype)
    return array.reshape(shape)


def empty_like(x: Array) -> Array:
    """As `numpy.empty_like`: the axes lie in memory in the same order as those of `x`."""
    if x.flags.c_contiguous:
        return empty(x.shape, x.dtype)
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    back = sorted(range(x.ndim), key=order.__getitem__)
    return empty(tuple(x.shape[axis] for axis in order), x.dtype).transpose(back)


def apply(f: Any, x: Array, *others: Any) -> Any:
    """`f(x, *others)` for a ufunc f, into used memory if the result is large and shaped like x."""
    if x.nbytes < _LARGE or any(np.shape(other) not in ((), x.shape) for other in others):
        return f(x, *others)
    return f(x, *others, out=empty_like(x))
