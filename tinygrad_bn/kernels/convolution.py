"""Convolution as matrix products (im2col), a few rows of the output at a time.

The values under the kernel are copied into columns, so that the product of the weights with them
does all the sums at once. BLAS takes a matrix for each row of the output: small enough for the
columns to stay in the cache between the copy and the product. For G groups and K = C/G · KH · KW:

    columns (G, OH, K, OW · N)        weights (G, O/G, K)        output (G, OH, O/G, OW · N)
"""

from collections.abc import Iterator

import numpy as np

from .layout import L2_CACHE, Array, batch_first, batch_last, blocks
from .window import Window


def columns(
    taps: Array,  # (C, KH, KW, rows, OW, N)
    groups: int,
) -> Array:  # (G, rows, K, OW · N)
    """im2col: (C, KH, KW, rows, OW, N) as (G, rows, K, OW · N), a copy."""
    channels, kh, kw, rows, ow, images = taps.shape
    k = channels // groups * kh * kw
    return taps.reshape(groups, k, rows, ow * images).swapaxes(1, 2)


def by_row(
    x: Array,  # (C, H, W, N)
    groups: int,
) -> Array:  # (G, H, C/G, W · N)
    """(C, H, W, N) as (G, H, C/G, W · N): a view, with a matrix for each row of the images."""
    channels, height, width, images = x.shape
    return x.reshape(groups, channels // groups, height, width * images).swapaxes(1, 2)


def blocks_of_rows(taps: Array) -> Iterator[slice]:
    """Slices of the output's rows, each so many that their columns stay in the cache."""
    bytes_of_row = taps[:, :, :, 0].nbytes
    return blocks(taps.shape[3], bytes_of_row, L2_CACHE)


def conv2d(
    x: Array,  # (N, C, H, W)
    w: Array,  # (O, C/G, KH, KW)
    window: Window,
) -> Array:  # (N, O, OH, OW)
    """(N, C, H, W) and (O, C/G, KH, KW) → (N, O, OH, OW): pad, copy the columns, multiply."""
    groups, outputs = window.groups, len(w)
    taps = window.taps(window.framed(x, 0))
    weights = w.reshape(groups, 1, outputs // groups, -1)
    y = np.empty((outputs, *window.output, len(x)), x.dtype)
    rows_of_y = by_row(y, groups)
    for rows in blocks_of_rows(taps):
        here = columns(taps[:, :, :, rows], groups)
        np.matmul(weights, here, out=rows_of_y[:, rows])
    return batch_first(y)


def conv2d_weight_gradient(
    g: Array,  # (N, O, OH, OW)
    x: Array,  # (N, C, H, W)
    window: Window,
) -> Array:  # (O, C/G, KH, KW)
    """Σ over images and places of g · x: the same columns, multiplied by the output's gradient."""
    groups, outputs = window.groups, g.shape[1]
    taps = window.taps(window.framed(x, 0))
    rows_of_g = by_row(batch_last(g), groups)
    rows_of_g = rows_of_g.swapaxes(2, 3)  # (G, OH, OW · N, O/G)
    dw = np.zeros((), x.dtype)
    for rows in blocks_of_rows(taps):
        here = columns(taps[:, :, :, rows], groups)
        products = here @ rows_of_g[:, rows]  # (G, rows, K, O/G)
        dw = dw + products.sum(1)
    return dw.swapaxes(1, 2).reshape(outputs, -1, *window.kernel)


def conv2d_input_gradient(
    g: Array,  # (N, O, OH, OW)
    w: Array,  # (O, C/G, KH, KW)
    window: Window,
) -> Array:  # (N, C, H, W)
    """Each value's gradient, handed back to the inputs that its column was copied from (col2im)."""
    groups, outputs = window.groups, len(w)
    channels = w.shape[1]  # of a group
    weights = w.reshape(groups, outputs // groups, -1)
    weights = weights.swapaxes(1, 2)  # (G, K, O/G)
    rows_of_g = by_row(batch_last(g), groups)
    frame, inside = window.frame(groups * channels, len(g), g.dtype)
    frame[...] = 0
    for group in range(groups):
        part = frame[group * channels : (group + 1) * channels]
        taps = window.taps(part)
        for rows in blocks_of_rows(taps):
            places = taps[:, :, :, rows]
            back = weights[group] @ rows_of_g[group, rows]  # (rows, K, OW · N)
            values = back.swapaxes(0, 1).reshape(places.shape)
            window.add_to_each(places, values)
    return batch_first(np.ascontiguousarray(inside))
