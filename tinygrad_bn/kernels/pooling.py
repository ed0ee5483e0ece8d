"""Max pooling as comparisons of whole images: one pass for each place in the kernel.

A block of channels at a time, so that what the passes share stays in the cache.
"""

from collections.abc import Iterator

import numpy as np

from .layout import L3_CACHE, Array, batch_first, batch_last, blocks
from .window import Window


def taps_of(x: Array, window: Window) -> Array:
    """The values under the kernel; padding never wins."""
    return window.taps(window.framed(x, -np.inf))


def blocks_of_channels(taps: Array) -> Iterator[slice]:
    """Slices of channels whose taps, and results of the same size, stay in the cache."""
    return blocks(len(taps), 2 * taps[:1].nbytes, L3_CACHE)


def max_pool2d(
    x: Array,  # (N, C, H, W)
    window: Window,
) -> Array:  # (N, C, OH, OW)
    """The largest value under the kernel at each place: (N, C, H, W) → (N, C, OH, OW)."""
    taps = taps_of(x, window)
    y = np.empty((len(taps), *taps.shape[3:]), x.dtype)
    for channels in blocks_of_channels(taps):
        first, *others = window.each_tap(taps[channels])
        here = y[channels]
        here[...] = first
        for tap in others:
            np.maximum(here, tap, out=here)
    return batch_first(y)


def winners(
    taps: Array,  # (C, KH, KW, OH, OW, N)
    y: Array,  # (C, OH, OW, N)
    window: Window,
) -> Iterator[Array]:  # each (C, OH, OW, N)
    """For each tap, where it is the (first) maximum of its window: the last, where no other is."""
    undecided = np.ones(y.shape, bool)
    *others, _ = window.each_tap(taps)
    for tap in others:
        won = tap == y
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
    """Each output's gradient, handed to the input that won: (N, C, OH, OW) → (N, C, H, W)."""
    taps, y, g = taps_of(x, window), batch_last(y), batch_last(g)
    frame, inside = window.frame(len(taps), len(x), g.dtype)
    places = window.taps(frame)
    if not window.is_disjoint or places.size < frame.size:
        frame[...] = 0  # else all of it is written below
    for channels in blocks_of_channels(taps):
        won_here = winners(taps[channels], y[channels], window)
        places_here = window.each_tap(places[channels])
        for place, won in zip(places_here, won_here, strict=True):
            if window.is_disjoint:  # nothing was written there before
                np.multiply(g[channels], won, out=place)
            else:
                place += g[channels] * won
    return batch_first(np.ascontiguousarray(inside))


def max_pool2d_collect(
    h: Array,  # (N, C, H, W)
    x: Array,  # (N, C, H, W)
    y: Array,  # (N, C, OH, OW)
    window: Window,
) -> Array:  # (N, C, OH, OW)
    """The value of `h` where x won, for each window: (N, C, H, W) → (N, C, OH, OW)."""
    taps, y = taps_of(x, window), batch_last(y)
    values = window.taps(window.framed(h, 0))
    collected = np.zeros_like(y)
    for channels in blocks_of_channels(taps):
        won_here = winners(taps[channels], y[channels], window)
        values_here = window.each_tap(values[channels])
        for value, won in zip(values_here, won_here, strict=True):
            collected[channels] += value * won
    return batch_first(collected)
