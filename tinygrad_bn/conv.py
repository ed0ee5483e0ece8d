"""[4] Convolution and pooling, as matrix products and strided views.

    y[n, o, i, j] = b[o] + Σ_{c,u,v} w[o, c, u, v] · x[n, c, i·s + u·d − p, j·s + v·d − p]

with stride s, dilation d and padding p. `conv2d_naive` is that sentence as loops. `conv2d` copies
the inputs of every output position into one column of a matrix (im2col), so that the product of the
weights with it does all the sums at once.

The interface is NCHW, as in PyTorch. In memory the kernels keep the batch last, (C, H, W, N): what
happens to a pixel happens to the same pixel of all images, so that every loop of NumPy's runs over
contiguous numbers, and a feature map is one row of a matrix.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .engine import Array
from .machine import blocks, in_blocks, parallel
from .tensor import Tensor, check_floats, is_integer, record, wrap

Pair = tuple[int, int]
Winners = Callable[[slice], Iterator[Array]]


def pair(name: str, value: Any, least: int) -> Pair:
    """`value`, or the same for both axes, as (vertical, horizontal)."""
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not (is_integer(both[0], least) and is_integer(both[1], least)):
        raise ValueError(f"{name} must be an integer ≥ {least} or a pair of them, not {value!r}")
    return int(both[0]), int(both[1])


def channel_rows(x: Array) -> Array:
    """(N, C, …) with a row for each channel, (C, m): no copy if the batch lies last in memory."""
    return np.ascontiguousarray(x.transpose(*range(1, x.ndim), 0)).reshape(x.shape[1], -1)


@dataclass(frozen=True)
class Window:
    """How a kernel moves over an image: (vertical, horizontal); padding: two (before, after)."""

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

    def frame(self, channels: int, images: int, dtype: Any) -> tuple[Array, Array]:
        """Room for padded images (C, H', W', N), and the view where the images go."""
        (h, w), ((top, bottom), (left, right)) = self.image, self.padding
        frame = np.empty((channels, top + h + bottom, left + w + right, images), dtype)
        return frame, frame[:, top : top + h, left : left + w]

    def framed(self, x: Array, fill: float) -> Array:
        """NCHW images as (C, H', W', N), padded; no copy if they lie so and need no padding."""
        x = x.transpose(1, 2, 3, 0)
        if self.padding == ((0, 0), (0, 0)):
            return np.ascontiguousarray(x)
        frame, inside = self.frame(len(x), x.shape[3], x.dtype)
        (h, w), ((top, _), (left, _)) = self.image, self.padding
        frame[:, :top] = frame[:, top + h :] = frame[:, :, :left] = frame[:, :, left + w :] = fill
        inside[...] = x
        return frame

    def taps(self, frame: Array) -> Array:
        """For each kernel element the values it meets, (C, KH, KW, OH, OW, N): all one view.

        One kernel element further is d pixels further; one output position further, s pixels.
        """
        c, h, w, n = frame.strides
        (sh, sw), (dh, dw) = self.stride, self.dilation
        shape = (len(frame), *self.kernel, *self.output, frame.shape[3])
        strides = (c, h * dh, w * dw, h * sh, w * sw, n)
        return np.ndarray(shape, frame.dtype, frame, 0, strides)


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


def _by_row(taps: Array, rows: slice) -> Iterator[tuple[Array, slice]]:
    """A few rows of the output at a time: what they meet, which fits the cache, and which rows."""
    return ((taps[:, :, :, r], r) for r in blocks(rows, taps[:, :, :, :1].nbytes))


def _each(taps: Array) -> Iterator[Array]:
    return (tap for row in taps.swapaxes(0, 1) for tap in row.swapaxes(0, 1))


@dataclass(frozen=True)
class Convolution:
    """The trilinear form T(x, w, g) = Σ conv(x, w) · g, for one geometry.

    Convolution, its input gradient and its weight gradient are T's derivatives by g, x and w. Each
    is linear in two of the three, so the derivatives of any one of them are the other two.
    """

    window: Window
    groups: int

    def _rows(self, y: Array) -> Array:
        """NCHW as (G, H, C/G, W · N): a matrix for each row, for BLAS is faster with small ones."""
        rows = channel_rows(y).reshape(self.groups, y.shape[1] // self.groups, y.shape[2], -1)
        return rows.swapaxes(1, 2)

    def _columns(self, met: Array) -> Array:
        """im2col: for each row the K = C/G · KH · KW inputs of its values, (G, rows, K, OW · N)."""
        k, values = math.prod(met.shape[:3]) // self.groups, math.prod(met.shape[4:])
        return met.reshape(self.groups, k, met.shape[3], values).swapaxes(1, 2)

    def output(self, x: Tensor, w: Tensor) -> Tensor:
        taps = self.window.taps(self.window.framed(x.data, 0))
        weights = w.data.reshape(self.groups, 1, len(w) // self.groups, -1)  # (G, 1, O/G, K)
        y = np.empty((len(w), *self.window.output, len(x)), x.dtype).transpose(3, 0, 1, 2)
        result = self._rows(y)  # a view: that is how y lies in memory

        def work(rows: slice) -> None:
            for met, here in _by_row(taps, rows):
                np.matmul(weights, self._columns(met), out=result[:, here])

        parallel(work, taps.shape[3], 4 * taps[:, :, :, :1].nbytes)
        by_x = (x, lambda g, y: self.input_gradient(w, g))
        return record("conv2d", y, by_x, (w, lambda g, y: self.weight_gradient(x, g)))

    def weight_gradient(self, x: Tensor, g: Tensor) -> Tensor:
        taps = self.window.taps(self.window.framed(x.data, 0))
        slopes = self._rows(g.data).swapaxes(2, 3)  # (G, OH, OW · N, O/G)

        def work(rows: slice) -> Any:
            return sum((self._columns(met) @ slopes[:, r]).sum(1) for met, r in _by_row(taps, rows))

        total: Any = sum(parallel(work, taps.shape[3], 4 * taps[:, :, :, :1].nbytes))
        dw = total.swapaxes(1, 2).reshape(g.shape[1], -1, *self.window.kernel)
        by_x = (x, lambda h, y: self.input_gradient(h, g))
        return record("conv2d_weight_gradient", dw, by_x, (g, lambda h, y: self.output(x, h)))

    def input_gradient(self, w: Tensor, g: Tensor) -> Tensor:
        """Each value's gradient is handed back to the inputs that its column was copied from."""
        outputs, channels = len(w) // self.groups, w.shape[1]
        weights, slopes = w.data.reshape(self.groups, outputs, channels, -1), self._rows(g.data)
        frame, inside = self.window.frame(self.groups * channels, len(g), g.dtype)
        frames = frame.reshape(self.groups, channels, *frame.shape[1:])

        def work(share: slice) -> None:
            for i in range(self.groups):
                frames[i, share] = 0
                back = weights[i, :, share].reshape(outputs, -1).T  # (K, O/G)
                taps = self.window.taps(frames[i, share])
                for met, here in _by_row(taps, slice(0, taps.shape[3])):
                    columns = (back @ slopes[i, here]).swapaxes(0, 1).reshape(met.shape)
                    for tap, part in zip(_each(met), _each(columns), strict=True):
                        tap += part

        parallel(work, channels, 4 * weights[0, 0, :1].size * slopes.nbytes // outputs)
        dx = np.ascontiguousarray(inside).transpose(3, 0, 1, 2)
        by_w = (w, lambda h, y: self.weight_gradient(h, g))
        by_g = (g, lambda h, y: self.output(h, w))
        return record("conv2d_input_gradient", dx, by_w, by_g)


def margins(padding: Any, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Numbers, 'valid' or 'same' as ((top, bottom), (left, right))."""
    padding = 0 if padding == "valid" else padding
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
    channels, (outputs, per_group, kh, kw) = input.shape[1], weight.shape
    if min(groups, channels, outputs) < 1 or channels != per_group * groups or outputs % groups:
        raise ValueError(f"conv2d: {channels} channels do not fit {weight.shape}, {groups=}")
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"conv2d: bias must have shape ({outputs},), not {bias.shape}")
    stride, dilation = pair("stride", stride, 1), pair("dilation", dilation, 1)
    window = Window(image, (kh, kw), stride, dilation, margins(padding, (kh, kw), stride, dilation))
    y = Convolution(window, groups).output(input, weight)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


# --- pooling --------------------------------------------------------------------------------------
# Once it is known which input is the largest, max pooling is linear: an output is the sum of its
# taps, with weight 1 for the one that won and 0 for the others. `_collect` is that sum; `_route` is
# its transpose. `winners(channels)` gives for each tap in turn where it won.


def _collect(x: Tensor, window: Window, winners: Winners) -> Tensor:
    """Each window's winner."""
    taps = window.taps(window.framed(x.data, 0))
    y = np.empty((len(taps), *taps.shape[3:]), x.dtype)

    def work(channels: slice) -> None:
        y[channels] = 0
        for tap, won in zip(_each(taps[channels]), winners(channels), strict=True):
            y[channels] += tap * won

    in_blocks(work, len(taps), 2 * taps[:1].nbytes)
    return record("pool", y.transpose(3, 0, 1, 2), (x, lambda g, y: _route(g, window, winners)))


def _route(g: Tensor, window: Window, winners: Winners) -> Tensor:
    """Each output's gradient, handed to the input that won."""
    slopes = g.data.transpose(1, 2, 3, 0)
    frame, inside = window.frame(len(slopes), len(g), g.dtype)
    taps = window.taps(frame)
    disjoint = all(s > d * (k - 1) for _, k, s, d, _ in window.per_axis())

    def work(channels: slice) -> None:
        if not disjoint or taps.size < frame.size:  # else the taps fill the whole frame
            frame[channels] = 0
        for tap, won in zip(_each(taps[channels]), winners(channels), strict=True):
            if disjoint:  # nothing was written there before
                np.multiply(slopes[channels], won, out=tap)
            else:
                tap += slopes[channels] * won

    in_blocks(work, len(taps), 2 * taps[:1].nbytes)
    dx = np.ascontiguousarray(inside).transpose(3, 0, 1, 2)
    return record("pool_gradient", dx, (g, lambda h, y: _collect(h, window, winners)))


def _winners(taps: Array, y: Array) -> Iterator[Array]:
    """For each tap, where it is the (first) maximum of its window: the last, where no other is."""
    undecided = np.ones(y.shape, bool)
    for tap in list(_each(taps))[:-1]:
        won = tap == y
        won &= undecided
        undecided ^= won
        yield won
    yield undecided


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
    taps = window.taps(window.framed(input.data, -np.inf))
    y = np.empty((len(taps), *taps.shape[3:]), input.dtype)

    def work(channels: slice) -> None:
        first, *others = _each(taps[channels])
        y[channels] = first
        for tap in others:
            np.maximum(y[channels], tap, out=y[channels])

    in_blocks(work, len(taps), 2 * taps[:1].nbytes)
    route = (input, lambda g, _: _route(g, window, lambda part: _winners(taps[part], y[part])))
    return record("max_pool2d", y.transpose(3, 0, 1, 2), route)


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
