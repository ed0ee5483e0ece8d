"""Convolution as matrix products (im2col), of which only a third is copied.

A column holds the values under the kernel at one place, so that the product of the weights with the
columns does all the sums at once. For G groups and K = KH · KW · C/G:

    columns (G, OH, K, OW · N)        weights (G, O/G, K)        output (G, OH, O/G, OW · N)

From one row of the output to the next, the kernel moves down by one row of the image: the values
under it are those of before, without the first row, and with a further one. So each row of the
image is copied once for each place across the kernel, KW times and not KH · KW. Laid out one after
the other, the rows under the kernel are already the columns: a view, which BLAS takes as it is.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .layout import Array, batch_first, batch_last, blocks
from .window import Window

BLOCK = 2 << 20  # bytes that are copied at a time: half as many, or twice, take some percent longer
SMALL = 10**6  # multiplications: where OpenBLAS has AVX-512, it takes no copies for so few
NARROW = 256  # columns that stay in the cache while all of the weights meet them


def columns(
    x: Array,  # (N, C, H, W)
    window: Window,
    across: int,  # places of an output's row at a time
) -> Iterator[tuple[slice, slice, Array]]:  # some rows of the output, some places, their columns
    """im2col: pad, and copy the rows. As many at a time as a cache holds, which bounds memory."""
    frame = window.framed(x, 0)
    (height, _), (step, _) = window.extent, window.stride
    bytes_of_row = step * window.kernel[1] * frame[:, 0, :across].nbytes
    for places in blocks(window.output[1], 1, across):
        for rows in blocks(window.output[0], bytes_of_row, BLOCK):
            under = slice(rows.start * step, (rows.stop - 1) * step + height)
            taps = np.ascontiguousarray(window.taps(frame, under, places))
            yield rows, places, columns_of(taps, rows.stop - rows.start, window)


def columns_of(
    taps: Array,  # (G, H', KW, C/G, W', N), contiguous
    rows: int,
    window: Window,
) -> Array:  # (G, rows, K, W' · N)
    """KH rows under each other for each row of the output: a view, unless a dilation skips some."""
    groups, height, kw, channels, places, images = taps.shape
    kh = window.kernel[0]
    run = places * images * taps.itemsize  # bytes
    row = kw * channels * run
    down, further = row * window.stride[0], row * window.dilation[0]
    shape = (groups, rows, kh, kw * channels, places * images)
    strides = (height * row, down, further, run, taps.itemsize)
    under_kernel = np.ndarray(shape, taps.dtype, taps, 0, strides)
    return under_kernel.reshape(groups, rows, kh * kw * channels, places * images)


def by_row(
    x: Array,  # (C, H, W, N)
    groups: int,
) -> Array:  # (G, H, C/G, W · N)
    """A view, with a matrix for each row of the images."""
    channels, height, width, images = x.shape
    return x.reshape(groups, channels // groups, height, width * images).swapaxes(1, 2)


def conv2d(
    x: Array,  # (N, C, H, W)
    w: Array,  # (O, C/G, KH, KW)
    b: Array | None,  # (O,)
    window: Window,
) -> Array:  # (N, O, OH, OW)
    """Each output is the product of the weights with the values under the kernel, and a bias.

    Two passes and the product: pad (nothing to do without padding), copy the rows, multiply. The
    result lies in memory with the batch last, (O, OH, OW, N), as do those of all kernels here.

    Not a whole row of the output in one product, but a few of its places: that takes BLAS a tenth
    to a third less.
    """
    groups, outputs = window.groups, len(w)
    weights = w.transpose(0, 2, 3, 1).reshape(groups, 1, outputs // groups, -1)
    y = np.empty((outputs, *window.output, len(x)), x.dtype)
    for rows, places, cols in columns(x, window, places_at_once(w, len(x), groups)):
        part = y[:, rows, places]
        np.matmul(weights, cols, out=by_row(part, groups))
        if b is not None:
            part += b[:, None, None, None]
    return batch_first(y)


def places_at_once(
    w: Array,  # (O, C/G, KH, KW)
    images: int,
    groups: int,
) -> int:
    """How many places of an output's row are computed in one product."""
    images = max(images, 1)  # there may be none
    of_one_place = w.size // groups * images
    return SMALL // of_one_place or max(1, NARROW // images)


def conv2d_weight_gradient(
    g: Array,  # (N, O, OH, OW)
    x: Array,  # (N, C, H, W)
    window: Window,
) -> Array:  # (O, C/G, KH, KW)
    """Σ over images and places of g · x: the same columns, multiplied by the output's gradient.

    The rows are copied once more: to keep them would take KW times the memory of x.
    """
    outputs = g.shape[1]
    g = batch_last(g)
    total: Any = 0.0  # float64, for the rows lie along a slow axis: see reductions.py
    for rows, places, cols in columns(x, window, window.output[1]):
        rows_of_g = by_row(g[:, rows, places], window.groups)
        products = cols @ rows_of_g.swapaxes(2, 3)  # (G, rows, K, O/G)
        total = total + products.sum(1, np.float64)
    by_output = total.swapaxes(1, 2).reshape(outputs, *window.kernel, -1)
    dw: Array = np.ascontiguousarray(by_output.transpose(0, 3, 1, 2), x.dtype)
    return dw


def conv2d_input_gradient(
    g: Array,  # (N, O, OH, OW)
    w: Array,  # (O, C/G, KH, KW)
    window: Window,
) -> Array:  # (N, C, H, W)
    """Each value's gradient, handed back to the inputs under the kernel.

    At stride 1 it is a convolution: an input was met by the kernel's first weight where the output
    is furthest below, and so on, so the kernel is turned by 180 degrees. Channels and outputs
    change places.
    """
    back = window.backwards()
    if back is None:
        return handed_back(g, w, window)
    return conv2d(g, turned(w, window.groups), None, back)


def turned(
    w: Array,  # (O, C/G, KH, KW)
    groups: int,
) -> Array:  # (C, O/G, KH, KW)
    """Each kernel turned by 180 degrees; in each group, channels and outputs change places."""
    outputs, channels, kh, kw = w.shape
    of_groups = w.reshape(groups, outputs // groups, channels, kh, kw)
    exchanged = of_groups.swapaxes(1, 2)[..., ::-1, ::-1]
    return exchanged.reshape(groups * channels, outputs // groups, kh, kw)


def handed_back(
    g: Array,  # (N, O, OH, OW)
    w: Array,  # (O, C/G, KH, KW)
    window: Window,
) -> Array:  # (N, C, H, W)
    """The same at any stride: columns of gradients, added to where they were copied from (col2im).

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
        patches = window.patches(part)  # (C/G, KH, KW, OH, OW, N)
        for rows in blocks(window.output[0], patches[:, :, :, 0].nbytes, BLOCK):
            places = patches[:, :, :, rows]
            back = weights[group] @ rows_of_g[group, rows]  # (rows, K, OW · N)
            values = back.swapaxes(0, 1).reshape(places.shape)
            window.add_to_each(places, values)
    return batch_first(np.ascontiguousarray(inside))
