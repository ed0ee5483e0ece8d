"""[4] Convolution and pooling, as matrix products and strided views.

    y[n, o, i, j] = b[o] + Σ_{c,u,v} w[o, c, u, v] · x[n, c, i·s + u·d − p, j·s + v·d − p]

with stride s, dilation d and padding p. `conv2d_naive` is that sentence as loops. `conv2d` copies
the inputs of every output position into one row of a matrix (im2col), so that a matrix product with
the weights does all the sums at once.

The interface is NCHW, as in PyTorch. In memory the kernels keep the channels last, (N, H, W, C):
an image row is then one contiguous run, and a row of the im2col matrix is KH such runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .engine import Array
from .memory import empty
from .tensor import Tensor, record, wrap

Pair = tuple[int, int]
Weights = Callable[[], Iterator[Any]]
_CHUNK_BYTES = 2 << 20  # an im2col matrix of this size is still in the cache when it is multiplied
_FEW_CHANNELS = 4  # below this, copying image rows is faster than copying runs of channels


def _pair(name: str, value: int | tuple[int, ...], least: int) -> Pair:
    """`value`, or the same for both axes, as (vertical, horizontal)."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v >= least for v in pair):
        raise ValueError(f"{name} must be one integer ≥ {least} or a pair of them, not {value!r}")
    return pair


@dataclass(frozen=True)
class Window:
    """How a kernel moves over images of one size; every pair is (vertical, horizontal).

    The images stand in a frame with `margin` zeros before and after them (a negative margin cuts
    into the image), and with their pixels `spread` apart, zeros between.
    """

    image: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    margin: tuple[Pair, Pair]  # ((top, bottom), (left, right))
    output: Pair
    spread: Pair = (1, 1)

    @staticmethod
    def fit(
        image: Pair, kernel: Pair, stride: Pair, dilation: Pair, padding: tuple[Pair, Pair],
        ceil_mode: bool = False,
    ) -> Window:  # fmt: skip
        """Work out the output size; ValueError if the kernel does not fit the padded image.

        ceil_mode: count a last window that hangs over the far edge, if it starts before the edge.
        """
        output, margin = [], []
        for n, k, s, d, (before, after) in zip(
            image, kernel, stride, dilation, padding, strict=True
        ):
            room = n + before + after - d * (k - 1) - 1
            size = (room + (s - 1 if ceil_mode else 0)) // s + 1
            if ceil_mode and (size - 1) * s >= n + before:
                size -= 1
            if size < 1:
                raise ValueError(
                    f"kernel {kernel} with dilation {dilation} does not fit an image of {image}"
                    f" with padding {padding}"
                )
            output.append(size)
            margin.append((before, max(after, after + (size - 1) * s - room)))
        return Window(
            image, kernel, stride, dilation, (margin[0], margin[1]), (output[0], output[1])
        )

    def transposed(self) -> Window:
        """The window through which the output's gradient, spread by the stride, meets the image.

        Input i takes part in output j through tap u when i = j·s + u·d − p. Seen from the input,
        with the kernel turned round, that is again a correlation, at stride 1.
        """
        margin = []
        for n, k, s, d, (before, _), out in zip(
            self.image, self.kernel, self.stride, self.dilation, self.margin, self.output,
            strict=True,
        ):  # fmt: skip
            first = d * (k - 1) - before
            margin.append((first, n + d * (k - 1) - first - (out - 1) * s - 1))
        return Window(
            self.output, self.kernel, (1, 1), self.dilation, (margin[0], margin[1]), self.image,
            self.stride,
        )  # fmt: skip

    def frame(
        self, images: int, channels: int, dtype: Any, fill: float = 0
    ) -> tuple[Array, Array, tuple[slice, slice]]:
        """An empty frame for `images`, the view where they belong, and which part of them does."""
        sizes, places, parts = [], [], []
        for n, (before, after), gap in zip(self.image, self.margin, self.spread, strict=True):
            size = before + (n - 1) * gap + 1 + after
            first = max(0, -(before // gap))
            last = min(n - 1, (size - 1 - before) // gap)
            start, stop = before + gap * first, before + gap * last + 1
            sizes.append(size)
            places.append(slice(start, max(start, stop), gap))
            parts.append(slice(first, max(first, last + 1)))
        frame = empty((images, *sizes, channels), dtype)
        frame.fill(fill)
        return frame, frame[:, places[0], places[1]], (parts[0], parts[1])

    def framed(self, x: Array, fill: float = 0) -> Array:
        """The NCHW images `x` in their frame, channels last; no copy if there is no margin."""
        if self.margin == ((0, 0), (0, 0)):
            return x.transpose(0, 2, 3, 1)
        frame, inside, (rows, columns) = self.frame(len(x), x.shape[1], x.dtype, fill)
        inside[...] = x.transpose(0, 2, 3, 1)[:, rows, columns]
        return frame

    def taps(self, frame: Array) -> Iterator[Array]:
        """For each kernel position (u, v), the view (N, OH, OW, C) of the values it meets."""
        (sh, sw), (dh, dw), (oh, ow) = self.stride, self.dilation, self.output
        for u, v in itertools.product(*map(range, self.kernel)):
            rows = slice(u * dh, u * dh + (oh - 1) * sh + 1, sh)
            yield frame[:, rows, v * dw : v * dw + (ow - 1) * sw + 1 : sw]

    def patches(self, frame: Array, groups: int) -> Array:
        """All taps as one view (N, OH, OW, KH, KW, G, C/G); nothing is copied."""
        n, _, _, c = frame.shape
        sn, sy, sx, sc = frame.strides
        (sh, sw), (dh, dw) = self.stride, self.dilation
        shape = (n, *self.output, *self.kernel, groups, c // groups)
        strides = (sn, sh * sy, sw * sx, dh * sy, dw * sx, c // groups * sc, sc)
        return np.lib.stride_tricks.as_strided(frame, shape, strides)


# --- convolution ----------------------------------------------------------------------------------


def conv2d_naive(
    x: Array, w: Array, b: Array | None, stride: Pair = (1, 1), padding: Pair = (0, 0),
    dilation: Pair = (1, 1), groups: int = 1,
) -> Array:  # fmt: skip
    """The definition, one output value at a time: for reading, and as the test of the fast one."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    n, c, h, width = x.shape
    out_channels, per_group, kh, kw = w.shape
    oh = (h - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (width - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, out_channels, oh, ow), x.dtype)
    for image, o, i, j in np.ndindex(y.shape):
        first = o // (out_channels // groups) * per_group  # the group's first input channel
        for k, u, v in np.ndindex(per_group, kh, kw):
            row, column = i * stride[0] + u * dilation[0], j * stride[1] + v * dilation[1]
            y[image, o, i, j] += w[o, k, u, v] * x[image, first + k, row, column]
    return y if b is None else y + b[:, None, None]


def _columns(x: Array, window: Window, groups: int) -> Iterator[tuple[slice, Array]]:
    """im2col: (images, matrix (G, M, K)) for a few images at a time, so that it stays in the cache.

    A row holds the K = KH · KW · C/G inputs of one of M = images · OH · OW output positions. The
    next matrix is written over the last.
    """
    x = x.transpose(0, 2, 3, 1)
    channels = x.shape[-1]
    per_image = math.prod(window.output + window.kernel) * channels * x.itemsize
    step = min(len(x), max(1, _CHUNK_BYTES // max(per_image, 1)))
    frame, inside, (rows, columns) = window.frame(step, channels, x.dtype)
    patches = window.patches(frame, groups)
    few = channels // groups < _FEW_CHANNELS
    order = (5, 3, 4, 6, 0, 1, 2) if few else (5, 0, 1, 2, 3, 4, 6)
    buffer = empty((patches.size,), x.dtype)
    for start in range(0, len(x), step):
        images = slice(start, min(start + step, len(x)))
        n = images.stop - start
        inside[:n] = x[images, rows, columns]
        taken = patches[:n].transpose(order)
        matrix = buffer[: taken.size].reshape(taken.shape)
        matrix[...] = taken
        if few:  # in memory (G, K, M): whole image rows were copied
            yield images, matrix.reshape(groups, math.prod(taken.shape[1:4]), -1).swapaxes(1, 2)
        else:  # in memory (G, M, K): runs of KW · C/G values were copied
            yield images, matrix.reshape(groups, math.prod(taken.shape[1:4]), -1)


def _by_group(y: Array, groups: int) -> Array:
    """(N, OH, OW, O) as (G, M, O/G)."""
    return y.reshape(math.prod(y.shape[:3]), groups, -1).swapaxes(0, 1)


def _correlate(x: Array, weights: Array, window: Window) -> Array:
    """Slide `weights` (G, K, O/G) over NCHW images; the result is NCHW with channels last in memory."""
    groups, _, per_group = weights.shape
    y = empty((len(x), *window.output, groups * per_group), x.dtype)
    for images, columns in _columns(x, window, groups):
        np.matmul(columns, weights, out=_by_group(y[images], groups))
    return y.transpose(0, 3, 1, 2)


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
        return record(
            "conv2d",
            _correlate(x.data, weights, self.window),
            (x, lambda g, y: self.input_gradient(w, g)),
            (w, lambda g, y: self.weight_gradient(x, g)),
        )

    def input_gradient(self, w: Tensor, g: Tensor) -> Tensor:
        grouped = w.data.reshape(self.groups, -1, *w.shape[1:])[..., ::-1, ::-1]
        weights = grouped.transpose(0, 3, 4, 1, 2).reshape(self.groups, -1, w.shape[1])
        return record(
            "conv2d_input_gradient",
            _correlate(g.data, weights, self.window.transposed()),
            (w, lambda h, y: self.weight_gradient(h, g)),
            (g, lambda h, y: self.output(h, w)),
        )

    def weight_gradient(self, x: Tensor, g: Tensor) -> Tensor:
        kernel, outputs = self.window.kernel, g.shape[1] // self.groups
        total = np.zeros((self.groups, *kernel, x.shape[1] // self.groups, outputs), x.dtype)
        flat = total.reshape(self.groups, -1, outputs)
        slopes = np.ascontiguousarray(g.data.transpose(0, 2, 3, 1))
        for images, columns in _columns(x.data, self.window, self.groups):
            flat += columns.swapaxes(1, 2) @ _by_group(slopes[images], self.groups)
        return record(
            "conv2d_weight_gradient",
            total.transpose(0, 4, 3, 1, 2).reshape(-1, total.shape[3], *kernel),
            (x, lambda h, y: self.input_gradient(h, g)),
            (g, lambda h, y: self.output(x, h)),
        )


def _conv_padding(padding: Any, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
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
    h, w = _pair("padding", padding, 0)
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
    if input.ndim != 4 or weight.ndim != 4:
        raise ValueError(
            "conv2d needs images (N, C, H, W) or (C, H, W) and kernels (O, C/groups, KH, KW),"
            f" not {input.shape} and {weight.shape}"
        )
    channels, outputs = input.shape[1], weight.shape[0]
    if groups < 1 or channels != weight.shape[1] * groups or outputs % groups:
        raise ValueError(
            f"conv2d: {channels} input channels and kernels {weight.shape} do not fit groups={groups}"
        )
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"conv2d: bias must have shape ({outputs},), not {bias.shape}")
    if input.dtype != weight.dtype or not input.is_floating_point():
        raise TypeError(f"conv2d: input is {input.dtype} and weight {weight.dtype}")
    kernel = (weight.shape[2], weight.shape[3])
    stride, dilation = _pair("stride", stride, 1), _pair("dilation", dilation, 1)
    margins = _conv_padding(padding, kernel, stride, dilation)
    window = Window.fit((input.shape[2], input.shape[3]), kernel, stride, dilation, margins)
    y = Convolution(window, groups).output(input, weight)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


# --- pooling --------------------------------------------------------------------------------------
# Once it is known which input was the largest, both poolings are linear: each output is the sum of
# its taps, with weight 1 for the tap that won and 0 for the others; or 1 for all. `_collect` is that
# sum, and `_route` its transpose. `weights()` gives the weight of each tap in turn.


def _collect(x: Tensor, window: Window, weights: Weights) -> Tensor:
    """Σ_k weight_k · tap_k(x)."""
    y = empty((len(x), *window.output, x.shape[1]), x.dtype)
    y.fill(0)
    for tap, weight in zip(window.taps(window.framed(x.data)), weights(), strict=True):
        y += tap * weight
    y = y.transpose(0, 3, 1, 2)
    return record("pool", y, (x, lambda g, y: _route(g, window, weights)))


def _route(g: Tensor, window: Window, weights: Weights) -> Tensor:
    """Each output's gradient, handed to the inputs it was collected from."""
    values = g.data.transpose(0, 2, 3, 1)
    frame, inside, _ = window.frame(len(g), g.shape[1], g.dtype)
    disjoint = all(
        s > d * (k - 1)
        for s, d, k in zip(window.stride, window.dilation, window.kernel, strict=True)
    )
    for tap, weight in zip(window.taps(frame), weights(), strict=True):
        if disjoint:  # nothing was written there before
            np.multiply(values, weight, out=tap)
        else:
            tap += values * weight
    dx = inside.transpose(0, 3, 1, 2)
    return record("pool_gradient", dx, (g, lambda h, y: _collect(h, window, weights)))


def _winners(frame: Array, y: Array, window: Window) -> Iterator[Array]:
    """For each tap, where it is the (first) maximum of its window."""
    undecided = np.ones(y.shape, bool)
    for tap in window.taps(frame):
        won = tap == y
        won &= undecided
        undecided ^= won
        yield won


def _pool_window(
    name: str, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> Window:
    if input.ndim != 4 or not input.is_floating_point():
        raise ValueError(
            f"{name} needs floating-point images (N, C, H, W) or (C, H, W),"
            f" not {input.shape} of {input.dtype}"
        )
    kernel = _pair("kernel_size", kernel_size, 1)
    step = kernel if stride is None else _pair("stride", stride, 1)
    pad_h, pad_w = _pair("padding", padding, 0)
    if 2 * pad_h > kernel[0] or 2 * pad_w > kernel[1]:
        raise ValueError(f"padding {padding} is more than half of kernel_size {kernel_size}")
    margins = ((pad_h, pad_h), (pad_w, pad_w))
    image = (input.shape[2], input.shape[3])
    return Window.fit(image, kernel, step, _pair("dilation", dilation, 1), margins, ceil)


def max_pool2d(
    input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None,
    padding: int | Pair = 0, dilation: int | Pair = 1, ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """The largest value of each window of (N, C, H, W) or (C, H, W) images.

    stride defaults to kernel_size; padding never wins. The gradient goes to the first maximum.
    """
    if input.ndim == 3:
        pooled = max_pool2d(
            input.unsqueeze(0), kernel_size, stride, padding, dilation, ceil_mode
        )
        return pooled.squeeze(0)
    window = _pool_window("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode)
    frame = window.framed(input.data, -np.inf)
    y = empty((len(input), *window.output, input.shape[1]), input.dtype)
    y.fill(-np.inf)
    for tap in window.taps(frame):
        np.maximum(y, tap, out=y)

    def winners() -> Iterator[Array]:
        return _winners(frame, y, window)

    return record(
        "max_pool2d", y.transpose(0, 3, 1, 2), (input, lambda g, y: _route(g, window, winners))
    )


def avg_pool2d(
    input: Tensor, kernel_size: int | Pair, stride: int | Pair | None = None,
    padding: int | Pair = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window of (N, C, H, W) or (C, H, W) images.

    count_include_pad: whether padding counts as values; divisor_override: divide by this instead.
    """
    if input.ndim == 3:
        pooled = avg_pool2d(
            input.unsqueeze(0), kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override,
        )  # fmt: skip
        return pooled.squeeze(0)
    window = _pool_window("avg_pool2d", input, kernel_size, stride, padding, 1, ceil_mode)
    total = _collect(input, window, lambda: itertools.repeat(1, math.prod(window.kernel)))
    if divisor_override is not None:
        if divisor_override < 1:
            raise ValueError(f"divisor_override must be ≥ 1, not {divisor_override}")
        return total / divisor_override
    counted, inside, _ = window.frame(1, 1, input.dtype)
    inside[...] = 1
    if count_include_pad:
        pad_h, pad_w = _pair("padding", padding, 0)
        h, w = window.image
        counted[:, : h + 2 * pad_h, : w + 2 * pad_w] = 1
    divisor = sum(tap.copy() for tap in window.taps(counted))
    return total / wrap(np.asarray(divisor).transpose(0, 3, 1, 2))
