"""Matrix products that keep the batch last in memory."""

from typing import Any

import numpy as np

from .layout import Array


def matmul(a: Array, b: Array) -> Any:
    """`a @ b`; the product of two matrices lies in memory as `a` does. One call of BLAS."""
    matrices = a.ndim == b.ndim == 2
    if matrices and a.strides[0] < a.strides[1]:
        return np.matmul(b.T, a.T).T
    return np.matmul(a, b)


def linear(
    x: Array,  # (N, in)
    w: Array,  # (out, in)
    b: Array | None,  # (out,)
) -> Array:  # (N, out)
    """x Wᵀ + b for (N, in) and (out, in), computed as W xᵀ so that the batch lies last."""
    y: Array = matmul(w, x.T)
    if b is not None:
        y += b[:, None]
    return y.T
