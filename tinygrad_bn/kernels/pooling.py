"""Max pooling as comparisons of whole images: one pass for each place in the kernel.

A block of channels at a time, so that what the passes share stays in the cache.
"""

from collections.abc import Iterator

import numpy as np

from .layout import L3_CACHE, Array, batch_first, batch_last, blocks
from .window import Window


def patches_of(x: Array, window: Window) -> Array:
    """The values under the kernel; padding never wins."""
    return window.patches(window.framed(x, -np.inf))


def blocks_of_channels(patches: Array) -> Iterator[slice]:
    """Slices of channels whose patches, and results of the same size, stay in the cache."""
    return blocks(len(patches), 2 * patches[:1].nbytes, L3_CACHE)


def max_pool2d(
    x: Array,  # (N, C, H, W)
    window: Window,
) -> Array:  # (N, C, OH, OW)
    """The largest value under the kernel at each place: KH · KW passes over the output."""
    patches = patches_of(x, window)
    y = np.empty((len(patches), *patches.shape[3:]), x.dtype)
    for channels in blocks_of_channels(patches):
        first, *others = window.by_offset(patches[channels])
        out = y[channels]
        out[...] = first
        for shifted in others:
            np.maximum(out, shifted, out=out)
    return batch_first(y)


def winners(
    patches: Array,  # (C, KH, KW, OH, OW, N)
    y: Array,  # (C, OH, OW, N)
    window: Window,
) -> Iterator[Array]:  # each (C, OH, OW, N)
    """For each place under the kernel, where the (first) maximum is there.

    The last place takes it where no other does, as with NaN. Three passes of bytes for each.
    """
    undecided = np.ones(y.shape, bool)
    *others, _ = window.by_offset(patches)
    for shifted in others:
        won = shifted == y
        won &= undecided
        undecided ^= won
        yield won
    yield undecided


def max_pool2d_route(
    g: Array,  # (N, C, OH, OW)
    x: Array,  # (N, C, H, W)
    y: Array,  # (N, C, OH, OW)
    window: Window,
) -> Array:  # (N, C, H, W)
    """Each output's gradient, handed to the input that won: KH · KW products.

    Where windows do not overlap they are written to their places at once; else they are added.
    """
    patches, y, g = patches_of(x, window), batch_last(y), batch_last(g)
    frame, inside = window.frame(len(patches), len(x), g.dtype)
    places = window.patches(frame)
    if not window.is_disjoint or places.size < frame.size:
        frame[...] = 0  # else all of it is written below
    for channels in blocks_of_channels(patches):
        won_in_block = winners(patches[channels], y[channels], window)
        places_in_block = window.by_offset(places[channels])
        for place, won in zip(places_in_block, won_in_block, strict=True):
            if window.is_disjoint:  # nothing was written there before
                np.multiply(g[channels], won, out=place)
            else:
                place += g[channels] * won
    return batch_first(np.ascontiguousarray(inside))
