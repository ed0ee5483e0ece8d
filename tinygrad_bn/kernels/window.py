"""How a kernel moves over an image, and the views of memory that follow from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Self

import numpy as np

from .layout import Array

Pair = tuple[int, int]
Option = int | tuple[int, ...]  # one number for both axes, or (vertical, horizontal)
NO_PADDING = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Window:
    """Each option as (vertical, horizontal); padding as ((top, bottom), (left, right)).

    groups: the channels are divided into so many, each with kernels of its own.
    """

    image: tuple[int, ...]
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[Pair, Pair]
    groups: int = 1

    @staticmethod
    def of(
        image: tuple[int, ...],
        kernel_size: Option,
        stride: Option,
        padding: Option | str,
        dilation: Option,
        groups: int = 1,
    ) -> Window:
        """From options as a user gives them; ValueError for one that is out of range."""
        kernel = pair("kernel_size", kernel_size, 1)
        steps = pair("stride", stride, 1)
        spread = pair("dilation", dilation, 1)
        border = margins(padding, kernel, steps, spread)
        return known(image, kernel, steps, spread, border, groups)

    def rounded_up(self) -> Self:
        """With so much more padding below and to the right that no pixel is left out at the end.

        A further window has to begin inside the image, or in the padding before it.
        """
        wider = []
        for axis in (0, 1):
            before, after = self.padding[axis]
            inside, step = self.image[axis] + before, self.stride[axis]
            rest = inside + after - self.extent[axis]
            further = -(-rest // step)  # windows after the first
            if further * step >= inside:
                further -= 1
            wider.append((before, after + max(further * step - rest, 0)))
        return replace(self, padding=(wider[0], wider[1]))

    def backwards(self) -> Self | None:
        """From output to input: the way of the gradient. None where that is no convolution."""
        wider = [
            (size - 1 - before, size - 1 - after)
            for size, (before, after) in zip(self.extent, self.padding, strict=True)
        ]
        if self.stride != (1, 1) or min(min(wider)) < 0:
            return None
        return replace(self, image=self.output, padding=(wider[0], wider[1]))

    @cached_property
    def extent(self) -> Pair:
        """From the first to the last pixel under the kernel, (height, width)."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    @cached_property
    def output(self) -> Pair:
        """In how many places the kernel fits; not a positive number, if in none."""
        places = []
        for axis in (0, 1):
            padded = self.image[axis] + sum(self.padding[axis])
            places.append((padded - self.extent[axis]) // self.stride[axis] + 1)
        return places[0], places[1]

    @cached_property
    def offsets(self) -> list[Pair]:
        """The places inside the kernel, row by row."""
        kh, kw = self.kernel
        return list(itertools.product(range(kh), range(kw)))

    @cached_property
    def is_disjoint(self) -> bool:
        """Whether no pixel is met by two windows."""
        (sh, sw), (height, width) = self.stride, self.extent
        return sh >= height and sw >= width

    def frame(
        self,
        channels: int,
        images: int,
        dtype: Any,
    ) -> tuple[Array, Array]:
        """Room for padded images, (C, H', W', N), not filled; and the view where the images go."""
        height, width = self.image
        (top, bottom), (left, right) = self.padding
        shape = (channels, top + height + bottom, left + width + right, images)
        frame = np.empty(shape, dtype)
        return frame, frame[:, top : top + height, left : left + width]

    def framed(self, x: Array, fill: float) -> Array:
        """(N, C, H, W) as (C, H', W', N), padded; no copy if it lies so and needs no padding."""
        x = x.transpose(1, 2, 3, 0)
        if self.padding == NO_PADDING:
            return np.ascontiguousarray(x)
        channels, height, width, images = x.shape
        frame, inside = self.frame(channels, images, x.dtype)
        (top, _), (left, _) = self.padding
        frame[:, :top] = fill
        frame[:, top + height :] = fill
        frame[:, :, :left] = fill
        frame[:, :, left + width :] = fill
        inside[...] = x
        return frame

    def patches(self, frame: Array) -> Array:
        """For each place in the kernel, the values under it: (C, KH, KW, OH, OW, N), all one view.

        One place further in the kernel is d pixels further; one output further, s pixels.
        """
        channels, images = frame.shape[0], frame.shape[3]
        c, h, w, n = frame.strides
        (sh, sw), (dh, dw) = self.stride, self.dilation
        shape = (channels, *self.kernel, *self.output, images)
        strides = (c, h * dh, w * dw, h * sh, w * sw, n)
        return np.ndarray(shape, frame.dtype, frame, 0, strides)

    def taps(self, frame: Array, rows: slice, places: slice) -> Array:
        """Some rows, for each place across the kernel: (G, rows, KW, C/G, places, N), one view.

        places: those of an output's row.
        """
        channels = len(frame) // self.groups  # of a group
        c, h, w, n = frame.strides
        shape = (
            self.groups,
            rows.stop - rows.start,
            self.kernel[1],
            channels,
            places.stop - places.start,
            frame.shape[3],
        )
        strides = (
            c * channels,
            h,
            w * self.dilation[1],
            c,
            w * self.stride[1],
            n,
        )
        start = h * rows.start + w * self.stride[1] * places.start
        return np.ndarray(shape, frame.dtype, frame, start, strides)

    def by_offset(self, patches: Array) -> Iterator[Array]:
        """The patches one by one: (C, OH, OW, N)."""
        return (patches[:, u, v] for u, v in self.offsets)

    def add_to_each(self, patches: Array, values: Array) -> None:
        """Add a value to each. One place in the kernel at a time: there, no two patches meet."""
        for u, v in self.offsets:
            patches[:, u, v] += values[:, u, v]


known = lru_cache(Window)  # made once for a layer, with all that follows from its options


def pair(name: str, value: Any, least: int) -> Pair:
    """`value`, or the same for both axes, as (vertical, horizontal)."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) == 2 and is_integer(both[0], least) and is_integer(both[1], least):
        return int(both[0]), int(both[1])
    raise ValueError(f"{name} must be an integer >= {least} or a pair of them, not {value!r}")


def is_integer(value: Any, least: int) -> bool:
    """Whether `value` is an integer >= `least`, of Python's or NumPy's; True and False are none."""
    if type(value) is int:  # the usual case
        return value >= least
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return integer and bool(value >= least)


def margins(
    padding: Any,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
) -> tuple[Pair, Pair]:
    """Numbers, 'valid' or 'same' as ((top, bottom), (left, right))."""
    if padding == "valid":
        return NO_PADDING
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"padding='same' needs stride 1, not {stride}")
        height, width = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        top, left = height // 2, width // 2  # an odd one goes below, and to the right
        return (top, height - top), (left, width - left)
    if isinstance(padding, str):
        raise ValueError(f"padding must be a number, a pair, 'same' or 'valid', not {padding!r}")
    vertical, horizontal = pair("padding", padding, 0)
    return (vertical, vertical), (horizontal, horizontal)
