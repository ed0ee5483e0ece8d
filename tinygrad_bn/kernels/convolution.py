"""Convolution as matrix products (im2col), a few rows of the output at a time.

The values under the kernel are copied into columns, so that the product of the weights with them
does all the sums at once. BLAS takes a matrix for each row of the output: small enough for the
columns to stay in the cache between the copy and the product. For G groups and K = C/G · KH · KW:

    columns (G, OH, K, OW · N)        weights (G, O/G, K)        output (G, OH, O/G, OW · N)
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .layout import L2_CACHE, Array, batch_first, batch_last, blocks
from .window import Window


def columns(
    patches: Array,  # (C, KH, KW, rows, OW, N)
    groups: int,
) -> Array:  # (G, rows, K, OW · N)
    """im2col: one copy, of runs of N contiguous numbers."""
    channels, kh, kw, rows, ow, images = patches.shape
    k = channels // groups * kh * kw
    return patches.reshape(groups, k, rows, ow * images).swapaxes(1, 2)


def by_row(
    x: Array,  # (C, H, W, N)
    groups: int,
) -> Array:  # (G, H, C/G, W · N)
    """A view, with a matrix for each row of the images."""
    channels, height, width, images = x.shape
    return x.reshape(groups, channels // groups, height, width * images).swapaxes(1, 2)


def blocks_of_rows(patches: Array) -> Iterator[slice]:
    """Slices of the output's rows, each so many that their columns stay in the cache."""
    bytes_of_row = patches[:, :, :, 0].nbytes
    return blocks(patches.shape[3], bytes_of_row, L2_CACHE)


def conv2d(
    x: Array,  # (N, C, H, W)
    w: Array,  # (O, C/G, KH, KW)
    window: Window,
) -> Array:  # (N, O, OH, OW)
    """Each output is the product of the weights with the values under the kernel.

    Two passes and the product: pad (nothing to do without padding), copy the columns, multiply.
    The result lies in memory with the batch last, (O, OH, OW, N), as do those of all kernels here.
    """
    groups, outputs = window.groups, len(w)
    patches = window.patches(window.framed(x, 0))
    weights = w.reshape(groups, 1, outputs // groups, -1)
    y = np.empty((outputs, *window.output, len(x)), x.dtype)
    rows_of_y = by_row(y, groups)
    for rows in blocks_of_rows(patches):
        cols = columns(patches[:, :, :, rows], groups)
        np.matmul(weights, cols, out=rows_of_y[:, rows])
    return batch_first(y)


def conv2d_weight_gradient(
    g: Array,  # (N, O, OH, OW)
    x: Array,  # (N, C, H, W)
    window: Window,
) -> Array:  # (O, C/G, KH, KW)
    """Σ over images and places of g · x: the same columns, multiplied by the output's gradient.

    The columns are copied once more: to keep them would take KH · KW times the memory of x.
    """
    groups, outputs = window.groups, g.shape[1]
    patches = window.patches(window.framed(x, 0))
    rows_of_g = by_row(batch_last(g), groups)
    rows_of_g = rows_of_g.swapaxes(2, 3)  # (G, OH, OW · N, O/G)
    dw: Any = 0.0  # float64, for the rows lie along a slow axis: see reductions.py
    for rows in blocks_of_rows(patches):
        cols = columns(patches[:, :, :, rows], groups)
        products = cols @ rows_of_g[:, rows]  # (G, rows, K, O/G)
        dw = dw + products.sum(1, np.float64)
    by_output: Array = np.ascontiguousarray(dw.swapaxes(1, 2), x.dtype)
    return by_output.reshape(outputs, -1, *window.kernel)


def conv2d_input_gradient(
    g: Array,  # (N, O, OH, OW)
    w: Array,  # (O, C/G, KH, KW)
    window: Window,
) -> Array:  # (N, C, H, W)
    """Each value's gradient, handed back to the inputs that its column was copied from (col2im).

    A pass to clear the frame, and for a block of rows at a time, which stay in the cache, the
    product and KH · KW additions; without padding, the frame itself is the result.
    """
    groups, outputs = window.groups, len(w)
    channels = w.shape[1]  # of a group
    weights = w.reshape(groups, outputs // groups, -1)
    weights = weights.swapaxes(1, 2)  # (G, K, O/G)
    rows_of_g = by_row(batch_last(g), groups)
    frame, inside = window.frame(groups * channels, len(g), g.dtype)
    frame[...] = 0
    for group in range(groups):
        part = frame[group * channels : (group + 1) * channels]
        patches = window.patches(part)
        for rows in blocks_of_rows(patches):
            places = patches[:, :, :, rows]
            back = weights[group] @ rows_of_g[group, rows]  # (rows, K, OW · N)
            values = back.swapaxes(0, 1).reshape(places.shape)
            window.add_to_each(places, values)
    return batch_first(np.ascontiguousarray(inside))
