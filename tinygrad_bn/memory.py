"""[2] Memory: large arrays, used again.

The first touch of a fresh array of some megabytes costs more than the arithmetic on it: the
operating system finds, clears and maps every page. But training asks for the same sizes at every
step. So large results are written into blocks that earlier arrays have left behind.
"""

import math
from collections import defaultdict
from typing import Any, ClassVar

import numpy as np

from .engine import Array

_LARGE = 1 << 16  # bytes; below this, NumPy's own allocation is faster


class Block:
    """Memory on loan: it comes back when the last array on it is gone, up to twice the peak use."""

    __slots__ = ("__array_interface__", "memory")
    idle: ClassVar[defaultdict[int, list[Array]]] = defaultdict(list)  # by size
    held = in_use = peak = 0  # bytes

    def __init__(self, size: int) -> None:
        Block.in_use += size
        Block.peak = max(Block.peak, Block.in_use)
        if not Block.idle[size]:
            if Block.held + size > 2 * Block.peak:  # the sizes have changed: start anew
                Block.idle.clear()
                Block.held = Block.in_use - size
            Block.held += size
            Block.idle[size].append(np.empty(size, np.uint8))
        self.memory = Block.idle[size].pop()
        self.__array_interface__ = self.memory.__array_interface__

    def __del__(self) -> None:
        Block.in_use -= self.memory.size
        Block.idle[self.memory.size].append(self.memory)


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """As `numpy.empty`, in used memory if the array is large."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < _LARGE:
        return np.empty(shape, dtype)
    array: Array = np.asarray(Block(size)).view(dtype)
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


def matmul(a: Array, b: Array) -> Any:
    """`a @ b`, into used memory if both are matrices."""
    if a.ndim == b.ndim == 2:
        return np.matmul(a, b, out=empty((len(a), b.shape[1]), a.dtype))
    return np.matmul(a, b)
