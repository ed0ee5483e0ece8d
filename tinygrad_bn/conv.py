"""[4] Convolution and pooling, as matrix products and strided views.

    y[n, o, i, j] = b[o] + Σ_{c,u,v} w[o, c, u, v] · x[n, c, i·s + u·d − p, j·s + v·d − p]

with stride s, dilation d and padding p. `conv2d_naive` is that sentence as loops. `conv2d` copies
the inputs of every output position into one row of a matrix (im2col), so that a matrix product with
the weights does all the sums at once.

The interface is NCHW, as in PyTorch. In memory the kernels keep the channels last, (N, H, W, C):
an image row is then one contiguous run, and a row of the im2col matrix is KH such runs.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .engine import Array
from .memory import empty
from .tensor import Tensor, check_floats, is_integer, record, wrap

Pair = tuple[int, int]
Winners = Callable[[], Iterator[Array]]
_CHUNK_BYTES = 2 << 20  # an im2col matrix of this size is still in the cache when it is multiplied
_FEW_CHANNELS = 4  # below this, copying image rows is faster than copying runs of channels


def pair(name: str, value: Any, least: int) -> Pair:
    """`value`, or the same for both axes, as (vertical, horizontal)."""
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(is_integer(v, least) for v in both):
        raise ValueError(f"{name} must be an integer ≥ {least} or a pair of them, not {value!r}")
    return int(both[0]), int(both[1])


@dataclass(frozen=True)
class Window:
    """How a kernel moves over an image; pairs are (vertical, horizontal).

    padding: ((top, bottom), (left, right)). In memory the channels come last.
    """

    image: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[Pair, Pair]

    def per_axis(self) -> Iterator[tuple[int, int, int, int, Pair]]:
        return zip(self.image, self.kernel, self.stride, self.dilation, self.padding, strict=True)

    @cached_property
    def output(self) -> Pair:
        """In how many places the kernel fits; ValueError if in none."""
        h, w = ((n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, d, p in self.per_axis())
        if h < 1 or w < 1:
            raise ValueError(f"the kernel does not fit into the padded image: {self}")
        return h, w

    def frame(self, images: int, channels: int, dtype: Any, fill: float) -> tuple[Array, Array]:
        """Padded images (N, H', W', C) full of `fill`, and the view where the images go."""
        (h, w), ((top, bottom), (left, right)) = self.image, self.padding
        frame = empty((images, top + h + bottom, left + w + right, channels), dtype)
        frame.fill(fill)
        return frame, frame[:, top : top + h, left : left + w]

    def framed(self, x: Array, fill: float) -> Array:
        """NCHW images, padded; no copy if there is no padding."""
        x = x.transpose(0, 2, 3, 1)
        if self.padding == ((0, 0), (0, 0)):
            return x
        frame, inside = self.frame(len(x), x.shape[3], x.dtype, fill)
        inside[...] = x
        return frame

    def taps(self, frame: Array) -> Iterator[Array]:
        """For each kernel element, the view (N, OH, OW, C) of the values it meets."""
        (oh, ow), (sh, sw), (dh, dw) = self.output, self.stride, self.dilation
        for u, v in itertools.product(*map(range, self.kernel)):
            rows = slice(u * dh, u * dh + (oh - 1) * sh + 1, sh)
            yield frame[:, rows, v * dw : v * dw + (ow - 1) * sw + 1 : sw]

    def patches(self, frame: Array, groups: int) -> Array:
        """All taps as one view (N, OH, OW, KH, KW, G, C/G); nothing is copied."""
        (sh, sw), (dh, dw) = self.stride, self.dilation
        reach = [d * (k - 1) + 1 for _, k, _, d, _ in self.per_axis()]
        view = np.lib.stride_tricks.sliding_window_view(frame, reach, (1, 2))
        view = view[:, ::sh, ::sw, :, ::dh, ::dw]  # (N, OH, OW, C, KH, KW)
        grouped = view.reshape(*view.shape[:3], groups, frame.shape[3] // groups, *self.kernel)
        return grouped.transpose(0, 1, 2, 5, 6, 3, 4)

    def chunks(self, images: int, channels: int, itemsize: int) -> list[slice]:
        """The batch in pieces whose patches, copied, stay in the cache."""
        per_image = math.prod(self.output + self.kernel) * channels * itemsize
        step = max(1, _CHUNK_BYTES // max(per_image, 1))
        return [slice(start, min(start + step, images)) for start in range(0, images, step)]


def conv2d_naive(
    x: Array, w: Array, b: Array | None, stride: Pair = (1, 1), padding: Pair = (0, 0),
    dilation: Pair = (1, 1), groups: int = 1,
) -> Array:  # fmt: skip
    """The definition, one output value at a time: for reading, and as the test of the fast one."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    n, _, h, width = x.shape
    out_channels, per_group, kh, kw = w.shape
    oh = (h - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (width - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, out_channels, oh, ow), x.dtype)
    for image, o, i, j, k, u, v in np.ndindex(*y.shape, per_group, kh, kw):
        channel = o // (out_channels // groups) * per_group + k
        row, column = i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1]
        y[image, o, i, j] += w[o, k, u, v] * x[image, channel, row, column]
    return y if b is None else y + b[:, None, None]


def _columns(x: Array, window: Window, groups: int) -> Iterator[tuple[slice, Array]]:
    """im2col for some images at a time: (images, matrix (G, M, K)); the next overwrites the last.

    A row holds the K = KH · KW · C/G inputs of one of M = images · OH · OW output positions.
    """
    x = x.transpose(0, 2, 3, 1)
    channels = x.shape[-1]
    chunks = window.chunks(len(x), channels, x.itemsize)
    frame, inside = window.frame(chunks[0].stop if chunks else 0, channels, x.dtype, 0)
    patches = window.patches(frame, groups)
    few = channels // groups < _FEW_CHANNELS
    order = (5, 3, 4, 6, 0, 1, 2) if few else (5, 0, 1, 2, 3, 4, 6)
    buffer = empty((patches.size,), x.dtype)
    for images in chunks:
        inside[: images.stop - images.start] = x[images]
        taken = patches[: images.stop - images.start].transpose(order)
        copied = buffer[: taken.size].reshape(taken.shape)
        copied[...] = taken
        matrix = copied.reshape(groups, math.prod(taken.shape[1:4]), -1)
        yield images, matrix.swapaxes(1, 2) if few else matrix


def _by_group(y: Array, groups: int) -> Array:
    """(N, OH, OW, O) as (G, M, O/G)."""
    return y.reshape(math.prod(y.shape[:3]), groups, -1).swapaxes(0, 1)


@dataclass(frozen=True)
class Convolution:
    """The trilinear form T(x, w, g) = Σ conv(x, w) · g, for one geometry.

    Convolution, its input gradient and its weight gradient are T's derivatives by g, x and w. Each
    is linear in two of the three, so the derivatives of any one of them are the other two.
    """

    window: Window
    groups: int

    def output(self, x: Tensor, w: Tensor) -> Tensor:
        grouped = w.data.reshape(self.groups, -1, *w.shape[1:])  # (G, O/G, C/G, KH, KW)
        weights = grouped.transpose(0, 3, 4, 2, 1).reshape(self.groups, -1, grouped.shape[1])
        y = empty((len(x), *self.window.output, len(w)), x.dtype)
        for images, columns in _columns(x.data, self.window, self.groups):
            np.matmul(columns, weights, out=_by_group(y[images], self.groups))
        by_x = (x, lambda g, y: self.input_gradient(w, g))
        by_w = (w, lambda g, y: self.weight_gradient(x, g))
        return record("conv2d", y.transpose(0, 3, 1, 2), by_x, by_w)

    def weight_gradient(self, x: Tensor, g: Tensor) -> Tensor:
        kernel, outputs = self.window.kernel, g.shape[1] // self.groups
        total = np.zeros((self.groups, *kernel, x.shape[1] // self.groups, outputs), x.dtype)
        flat = total.reshape(self.groups, -1, outputs)
        slopes = np.ascontiguousarray(g.data.transpose(0, 2, 3, 1))
        for images, columns in _columns(x.data, self.window, self.groups):
            flat += columns.swapaxes(1, 2) @ _by_group(slopes[images], self.groups)
        dw = total.transpose(0, 4, 3, 1, 2).reshape(-1, total.shape[3], *kernel)
        by_x = (x, lambda h, y: self.input_gradient(h, g))
        return record("conv2d_weight_gradient", dw, by_x, (g, lambda h, y: self.output(x, h)))

    def input_gradient(self, w: Tensor, g: Tensor) -> Tensor:
        """Each tap's share of the gradient is added where the tap had read."""
        groups, window = self.groups, self.window
        grouped = w.data.reshape(groups, -1, w.shape[1], math.prod(window.kernel))
        weights = np.ascontiguousarray(grouped.transpose(3, 0, 1, 2))  # (KH·KW, G, O/G, C/G)
        slopes = np.ascontiguousarray(g.data.transpose(0, 2, 3, 1))
        channels = groups * w.shape[1]
        dx = empty((len(g), *window.image, channels), g.dtype)
        for images in window.chunks(len(g), channels, g.dtype.itemsize):
            part = _by_group(slopes[images], groups)
            frame, inside = window.frame(images.stop - images.start, channels, g.dtype, 0)
            share = empty((part.shape[1], groups, w.shape[1]), g.dtype)
            for tap, weight in zip(window.taps(frame), weights, strict=True):
                np.matmul(part, weight, out=share.swapaxes(0, 1))
                tap += share.reshape(tap.shape)
            dx[images] = inside
        by_w = (w, lambda h, y: self.weight_gradient(h, g))
        by_g = (g, lambda h, y: self.output(h, w))
        return record("conv2d_input_gradient", dx.transpose(0, 3, 1, 2), by_w, by_g)


def margins(padding: Any, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Numbers, 'valid' or 'same' as ((top, bottom), (left, right))."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"padding='same' needs stride 1, not {stride}")
        h, w = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
        return (h // 2, h - h // 2), (w // 2, w - w // 2)
    if isinstance(padding, str):
        raise ValueError(f"padding must be a number, a pair, 'same' or 'valid', not {padding!r}")
    h, w = pair("padding", padding, 0)
    return (h, h), (w, w)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Pair = 1,
    padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Convolve images (N, C, H, W), or one (C, H, W), with kernels (O, C/groups, KH, KW).

    stride, dilation and padding: one number or (vertical, horizontal). 'same' pads so that the
    output keeps the size (an odd total puts the extra row below and to the right). Output size:
    ⌊(H + 2p − d(KH − 1) − 1)/s⌋ + 1. bias: (O,).
    """
    if input.ndim == 3 and weight.ndim == 4:
        y = conv2d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups)
        return y.squeeze(0)
    image = _check_images("conv2d", input, weight=weight, bias=bias)
    if weight.ndim != 4:
        raise ValueError(f"conv2d: kernels are (O, C/groups, KH, KW), not {weight.shape}")
    channels, outputs = input.shape[1], weight.shape[0]
    fits = min(groups, channels, outputs) > 0 and channels == weight.shape[1] * groups
    if not fits or outputs % groups:
        raise ValueError(f"conv2d: {channels} channels do not fit {weight.shape}, {groups=}")
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"conv2d: bias must have shape ({outputs},), not {bias.shape}")
    kernel = (weight.shape[2], weight.shape[3])
    stride, dilation = pair("stride", stride, 1), pair("dilation", dilation, 1)
    window = Window(image, kernel, stride, dilation, margins(padding, kernel, stride, dilation))
    y = Convolution(window, groups).output(input, weight)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


# --- pooling --------------------------------------------------------------------------------------
# Once it is known which input is the largest, max pooling is linear: an output is the sum of its
# taps, with weight 1 for the one that won and 0 for the others. `_collect` is that sum; `_route` is
# its transpose. `winners()` gives for each tap in turn where it won.


def _collect(x: Tensor, window: Window, winners: Winners) -> Tensor:
    """Each window's winner."""
    y = empty((len(x), *window.output, x.shape[1]), x.dtype)
    y.fill(0)
    for tap, won in zip(window.taps(window.framed(x.data, 0)), winners(), strict=True):
        y += tap * won
    y = y.transpose(0, 3, 1, 2)
    return record("pool", y, (x, lambda g, y: _route(g, window, winners)))


def _route(g: Tensor, window: Window, winners: Winners) -> Tensor:
    """Each output's gradient, handed to the input that won."""
    values = g.data.transpose(0, 2, 3, 1)
    frame, inside = window.frame(len(g), g.shape[1], g.dtype, 0)
    disjoint = all(s > d * (k - 1) for _, k, s, d, _ in window.per_axis())
    for tap, won in zip(window.taps(frame), winners(), strict=True):
        if disjoint:  # nothing was written there before
            np.multiply(values, won, out=tap)
        else:
            tap += values * won
    dx = inside.transpose(0, 3, 1, 2)
    return record("pool_gradient", dx, (g, lambda h, y: _collect(h, window, winners)))


def _winners(frame: Array, y: Array, window: Window) -> Iterator[Array]:
    """For each tap, where it is the (first) maximum of its window."""
    undecided = np.ones(y.shape, bool)
    for tap in window.taps(frame):
        won = tap == y
        won &= undecided
        undecided ^= won
        yield won


def pool_window(
    image: Pair, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Window:
    """The window of a pooling over images of this size; ValueError for an option out of range."""
    kernel, (h, w) = pair("kernel_size", kernel_size, 1), pair("padding", padding, 0)
    step = kernel if stride is None else pair("stride", stride, 1)
    if 2 * h > kernel[0] or 2 * w > kernel[1]:
        raise ValueError(f"padding {padding} is more than half of kernel_size {kernel_size}")
    return Window(image, kernel, step, pair("dilation", dilation, 1), ((h, h), (w, w)))


def _check_images(function: str, input: Tensor, **others: Tensor | None) -> Pair:
    """The size (H, W) of images (N, C, H, W); an error for anything else, or mixed dtypes."""
    if input.ndim != 4:
        raise ValueError(f"{function}: images are (N, C, H, W) or (C, H, W), not {input.shape}")
    check_floats(function, input=input, **others)
    return input.shape[2], input.shape[3]


def max_pool2d(
    input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None,
    padding: int | Pair = 0, dilation: int | Pair = 1,
) -> Tensor:  # fmt: skip
    """The largest value of each window of (N, C, H, W) or (C, H, W) images.

    stride defaults to kernel_size; padding never wins. The gradient goes to the first maximum.
    """
    if input.ndim == 3:
        return max_pool2d(input.unsqueeze(0), kernel_size, stride, padding, dilation).squeeze(0)
    image = _check_images("max_pool2d", input)
    window = pool_window(image, kernel_size, stride, padding, dilation)
    frame = window.framed(input.data, -np.inf)
    y = empty((len(input), *window.output, input.shape[1]), input.dtype)
    y.fill(-np.inf)
    for tap in window.taps(frame):
        np.maximum(y, tap, out=y)
    won = (input, lambda g, _: _route(g, window, lambda: _winners(frame, y, window)))
    return record("max_pool2d", y.transpose(0, 3, 1, 2), won)


def avg_pool2d(
    input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None,
    padding: int | Pair = 0,
) -> Tensor:  # fmt: skip
    """The mean of each window, the padding counted as 0: a convolution with equal weights."""
    if input.ndim == 3:
        return avg_pool2d(input.unsqueeze(0), kernel_size, stride, padding).squeeze(0)
    channels, image = input.shape[1], _check_images("avg_pool2d", input)
    window = pool_window(image, kernel_size, stride, padding)
    weight = np.full((channels, 1, *window.kernel), 1 / math.prod(window.kernel), input.dtype)
    return Convolution(window, channels).output(input, wrap(weight))
