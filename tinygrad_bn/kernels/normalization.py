"""Batch normalization on a matrix with a row for each channel, (C, m).

A block of channels at a time, so that the passes over it find it in the cache.
"""

import numpy as np

from .layout import L3_CACHE, Array, blocks, channel_rows, from_channel_rows
from .reductions import row_products, row_sums


def batch_norm(
    x: Array,  # (N, C, …)
    gamma: Array,  # (C,)
    beta: Array,  # (C,)
    eps: float,
    chosen: Array | None = None,  # (N, C, …), of another size
) -> tuple[Array, Array, Array]:  # y, of the shape of `chosen`; and μ and σ² (C,)
    """γ·(x − μ)/√(σ² + ε) + β for (N, C, …), with the μ and σ² (C,) of this batch.

    Six passes, all but the first in place: subtract a first value; sum; subtract the mean; sum the
    squares; multiply; add. The first value is the channel's own: measured from it, a common offset
    does not drown the differences, and a constant's mean is exact. Two passes for the variance,
    because E[x²] − E[x]² would cancel.

    chosen: what is to be normalized by the statistics of x, in its place. Of x then four passes are
    made, on a copy of a block at a time, which stays in the cache.
    """
    rows = channel_rows(x)
    rows_of_y = rows if chosen is None else channel_rows(chosen)
    channels, m = rows.shape
    y = np.empty_like(rows_of_y)
    mean, var = np.empty((2, channels, 1), x.dtype)
    for block in blocks(channels, 2 * rows[:1].nbytes, L3_CACHE):
        part, out = rows[block], y[block]
        centred = out if chosen is None else np.empty_like(part)
        first = part[:, :1]
        np.subtract(part, first, out=centred)
        offset = row_sums(centred)[:, None] / m
        mean[block] = first + offset
        centred -= offset  # now x − μ
        var[block] = row_products(centred, centred)[:, None] / m
        if chosen is not None:
            np.subtract(rows_of_y[block], first, out=out)
            out -= offset
        inv_std = 1 / np.sqrt(var[block] + eps)
        out *= gamma[block, None] * inv_std  # now γ·x̂
        out += beta[block, None]
    shape = x.shape if chosen is None else chosen.shape
    return from_channel_rows(y, shape), mean[:, 0], var[:, 0]


def batch_norm_gradients(
    g: Array,  # (N, C, …)
    x: Array,  # (N, C, …)
    mean: Array,  # (C,)
    inv_std: Array,  # (C,)
    gamma: Array,  # (C,)
    to_x: bool,
) -> tuple[Array, Array, Array]:  # ∂x, ∂γ, ∂β
    """∂L/∂x, ∂L/∂γ and ∂L/∂β, by the closed form. Seven passes.

    Three, if nobody asks for ∂x: then x − μ stands in its place.
    """
    rows, rows_of_g = channel_rows(x), channel_rows(g)
    channels, m = rows.shape
    dx = np.empty_like(rows)
    dgamma = np.empty(channels, x.dtype)
    dbeta = np.empty(channels, x.dtype)
    scale = gamma * inv_std
    for block in blocks(channels, 3 * rows[:1].nbytes, L3_CACHE):
        out, g_block = dx[block], rows_of_g[block]
        np.subtract(rows[block], mean[block, None], out=out)  # x − μ
        dgamma[block] = row_products(g_block, out) * inv_std[block]
        dbeta[block] = row_sums(g_block)
        if to_x:
            slope = -inv_std[block] * dgamma[block] / m
            out *= slope[:, None]  # −x̂·∂γ/m
            out += g_block
            out -= dbeta[block, None] / m
            out *= scale[block, None]
    return from_channel_rows(dx, x.shape), dgamma, dbeta
