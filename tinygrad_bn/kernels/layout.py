"""Where numbers lie in memory: the batch last, and no more at a time than a cache holds.

The interface is NCHW, as in PyTorch. In memory the kernels keep the batch last, (C, H, W, N): what
happens to a pixel happens to the same pixel of all images, so that every loop of NumPy's runs over
contiguous numbers, and a feature map is one row of a matrix.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]

L3_CACHE = 4 << 20  # bytes that stay in the cache while they are worked on


def batch_last(x: Array) -> Array:
    """(N, C, …) as (C, …, N): no copy if it lies so in memory."""
    axes = (*range(1, x.ndim), 0)
    return np.ascontiguousarray(x.transpose(axes))


def batch_first(x: Array) -> Array:
    """(C, …, N) as (N, C, …): a view."""
    axes = (-1, *range(x.ndim - 1))
    return x.transpose(axes)


def channel_rows(x: Array) -> Array:
    """(N, C, …) with a row for each channel, (C, m)."""
    rows = batch_last(x)
    return rows.reshape(len(rows), -1)


def from_channel_rows(
    rows: Array,  # (C, m)
    shape: tuple[int, ...],  # (N, C, …)
) -> Array:
    """The rows as an array of `shape` again: a view."""
    images, *rest = shape
    return batch_first(rows.reshape(*rest, images))


def blocks(
    count: int,
    nbytes: int,  # of one item
    cache: int,  # bytes
) -> Iterator[slice]:
    """range(count) in slices that stay in the cache."""
    step = max(1, cache // max(nbytes, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
