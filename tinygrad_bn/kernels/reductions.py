"""Sums that stay right however many numbers there are, and wherever these lie in memory.

Added one by one, float32 numbers of one size soon stand beside a total that is too large to notice
them: after 16,777,216 ones, another one changes nothing. NumPy adds in pairs of pairs along the
fastest axis, which avoids most of that, but one by one along any other. Here totals are float64.

Batch normalization sums so much that BLAS does it, which adds in a few dozen sums side by side. It
gets a piece of each row at a time, and the pieces are added in float64.
"""

from typing import Any

import numpy as np

from .layout import Array

PIECE = 192  # terms are few enough for one product of BLAS's, and enough to be fast
SHORT = 128  # terms are so few that BLAS may add them in any order
FEW = 1 << 16  # terms in all take float64 some microseconds


def sum_over(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Any:
    """Σ x over `axes`, in the dtype of x; of integers and bools, in int64. One pass.

    Of float64 it is NumPy's own sum, one by one along a slow axis: its rounding is half a billion
    times finer, so that millions of numbers lose little, and nothing wider is there everywhere.
    """
    if x.dtype.kind != "f":
        return x.sum(axes, np.int64, keepdims=keepdims)
    return x.sum(axes, np.float64, keepdims=keepdims).astype(x.dtype, copy=False)


def row_sums(
    rows: Array,  # (C, m)
) -> Any:  # (C,)
    """Σ of each row, as a product with ones: at BLAS's speed.

    Long rows by `vecdot`: `rows @ ones` has fewer sums side by side, and is three times less exact.
    Short ones in one call for all of them, and few in float64: the fewer pieces there are, the less
    do their errors cancel. The ones are a piece long, and stay in the cache.
    """
    m = rows.shape[1]
    if m <= SHORT:
        return rows @ np.ones(m, rows.dtype)
    if rows.size <= FEW:
        return sum_over(rows, (1,))
    return row_products(rows, np.ones((1, min(m, PIECE)), rows.dtype))


def row_products(
    a: Array,  # (C, m)
    b: Array,  # (C, m), or (1, PIECE): a piece that all of them are multiplied by
) -> Any:  # (C,)
    """Σ a·b of each row, a piece at a time."""
    m = a.shape[1]
    if m <= PIECE:
        return np.vecdot(a, b)
    rest = m % PIECE
    whole = m - rest
    a_pieces = a[:, :whole].reshape(len(a), -1, PIECE)
    b_pieces = b[:, :whole].reshape(len(b), -1, PIECE)
    total = np.vecdot(a_pieces, b_pieces).sum(1, np.float64)
    if rest:
        total += np.vecdot(a[:, whole:], b[:, -rest:])
    return total.astype(a.dtype)
