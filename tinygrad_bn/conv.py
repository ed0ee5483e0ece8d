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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .engine import Array
from .tensor import Tensor, record

Pair = tuple[int, int]
_CHUNK_BYTES = 1 << 20  # an im2col matrix of this size is still in the cache when it is multiplied
_FEW_CHANNELS = 4  # below this, copying image rows is faster than copying runs of channels


def _pair(name: str, value: int | tuple[int, ...], least: int) -> Pair:
    """`value`, or the same for both axes, as (vertical, horizontal)."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v >= least for v in pair):
        raise ValueError(f"{name} must be one integer ≥ {least} or a pair of them, not {value!r}")
    return pair


@dataclass(frozen=True)
class Window:
    """How a kernel moves over images of one size; every pair is (vertical, horizontal)."""

    image: Pair
    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]  # ((top, bottom), (left, right))
    dilation: Pair
    output: Pair

    @staticmethod
    def fit(
        image: Pair, kernel: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair,
        ceil_mode: bool = False,
    ) -> Window:  # fmt: skip
        """Work out the output size; ValueError if the kernel does not fit the padded image.

        ceil_mode: count a last window that hangs over the far edge, if it starts before the edge.
        """
        output, padded = [], []
        for n, k, s, (before, after), d in zip(
            image, kernel, stride, padding, dilation, strict=True
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
            padded.append((before, after + max((size - 1) * s - room, 0)))
        return Window(
            image, kernel, stride, (padded[0], padded[1]), dilation, (output[0], output[1])
        )

    def frame(self, images: int, channels: int, fill: float, dtype: Any) -> tuple[Array, Array]:
        """An array for padded images, filled with `fill`, and the view of its inside."""
        (top, bottom), (left, right) = self.padding
        h, w = self.image
        padded = np.full((images, top + h + bottom, left + w + right, channels), fill, dtype)
        return padded, padded[:, top : top + h, left : left + w]

    def taps(self, padded: Array) -> Iterator[Array]:
        """For each kernel position (u, v), the view (N, OH, OW, C) of the inputs it multiplies."""
        (sh, sw), (dh, dw), (oh, ow) = self.stride, self.dilation, self.output
        for u, v in itertools.product(*map(range, self.kernel)):
            rows = slice(u * dh, u * dh + (oh - 1) * sh + 1, sh)
            yield padded[:, rows, v * dw : v * dw + (ow - 1) * sw + 1 : sw]

    def patches(self, padded: Array, groups: int) -> Array:
        """All taps as one view (N, OH, OW, KH, KW, G, C/G); nothing is copied."""
        n, _, _, c = padded.shape
        sn, sy, sx, sc = padded.strides
        (sh, sw), (dh, dw) = self.stride, self.dilation
        shape = (n, *self.output, *self.kernel, groups, c // groups)
        strides = (sn, sh * sy, sw * sx, dh * sy, dw * sx, c // groups * sc, sc)
        return np.lib.stride_tricks.as_strided(padded, shape, strides)


def channels_last(x: Array) -> Array:
    """NCHW values as a contiguous (N, H, W, C) array: no copy if they already lie so."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def channels_first(x: Array) -> Array:
    """The NCHW view of an (N, H, W, C) array."""
    return x.transpose(0, 3, 1, 2)


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


@dataclass(frozen=True)
class Convolution:
    """The trilinear form T(x, w, g) = Σ conv(x, w) · g, for one geometry.

    Convolution, its input gradient and its weight gradient are T's derivatives by g, x and w. Each
    is linear in two of the three, so the derivatives of any one of them are the other two.
    """

    window: Window
    groups: int
    channels: int

    def output(self, x: Tensor, w: Tensor) -> Tensor:
        return record(
            "conv2d",
            self._output(x.data, w.data),
            (x, lambda g, y: self.input_gradient(w, g)),
            (w, lambda g, y: self.weight_gradient(x, g)),
        )

    def input_gradient(self, w: Tensor, g: Tensor) -> Tensor:
        return record(
            "conv2d_input_gradient",
            self._input_gradient(w.data, g.data),
            (w, lambda h, y: self.weight_gradient(h, g)),
            (g, lambda h, y: self.output(h, w)),
        )

    def weight_gradient(self, x: Tensor, g: Tensor) -> Tensor:
        return record(
            "conv2d_weight_gradient",
            self._weight_gradient(x.data, g.data),
            (x, lambda h, y: self.input_gradient(h, g)),
            (g, lambda h, y: self.output(x, h)),
        )

    # The same three on arrays. Per group, with M = images · OH · OW and K = KH · KW · C/G:
    # columns (M, K), weights (K, O/G), outputs and their gradient (M, O/G).

    def _chunks(self, images: int, itemsize: int) -> Iterator[slice]:
        """The batch in pieces whose im2col matrix stays in the cache."""
        per_image = int(np.prod(self.window.output + self.window.kernel)) * self.channels * itemsize
        step = max(1, _CHUNK_BYTES // max(per_image, 1))
        return (slice(i, min(i + step, images)) for i in range(0, images, step))

    def _columns(self, x: Array) -> Iterator[tuple[slice, Array]]:
        """im2col, chunk by chunk: (images, matrix (G, M, K)). The memory is used again."""
        x = channels_last(x)
        chunks = list(self._chunks(len(x), x.itemsize))
        if not chunks:
            return
        window, g, per_group = self.window, self.groups, self.channels // self.groups
        padded, inside = window.frame(chunks[0].stop, self.channels, 0, x.dtype)
        patches = window.patches(padded, g)
        buffer = np.empty(patches.size, x.dtype)
        for images in chunks:
            n = images.stop - images.start
            inside[:n] = x[images]
            flat = buffer[: patches[:n].size]
            if per_group < _FEW_CHANNELS:  # (G, K, M) in memory: copy along image rows
                columns = flat.reshape(g, *window.kernel, per_group, n, *window.output)
                columns[...] = patches[:n].transpose(5, 3, 4, 6, 0, 1, 2)
                matrix = flat.reshape(g, np.prod(columns.shape[1:4]), -1).swapaxes(1, 2)
            else:  # (G, M, K) in memory: copy KW · C/G values at a time
                columns = flat.reshape(g, n, *window.output, *window.kernel, per_group)
                columns[...] = patches[:n].transpose(5, 0, 1, 2, 3, 4, 6)
                matrix = flat.reshape(g, -1, np.prod(columns.shape[4:]))
            yield images, matrix

    def _by_group(self, y: Array) -> Array:
        """(N, OH, OW, O) as (G, M, O/G)."""
        return y.reshape(-1, self.groups, y.shape[-1] // self.groups).swapaxes(0, 1)

    def _weights(self, w: Array) -> Array:
        """(O, C/G, KH, KW) as (G, K, O/G)."""
        split = w.reshape(self.groups, -1, *w.shape[1:]).transpose(0, 3, 4, 2, 1)
        return split.reshape(self.groups, -1, split.shape[-1])

    def _output(self, x: Array, w: Array) -> Array:
        y = np.empty((len(x), *self.window.output, len(w)), x.dtype)
        weights = self._weights(w)
        for images, columns in self._columns(x):
            np.matmul(columns, weights, out=self._by_group(y[images]))
        return channels_first(y)

    def _weight_gradient(self, x: Array, g: Array) -> Array:
        g = channels_last(g)
        total = np.zeros(
            (self.groups, *self.window.kernel, self.channels // self.groups,
             g.shape[-1] // self.groups), x.dtype,
        )  # fmt: skip
        flat = total.reshape(self.groups, -1, total.shape[-1])
        for images, columns in self._columns(x):
            flat += columns.swapaxes(1, 2) @ self._by_group(g[images])
        return total.transpose(0, 4, 3, 1, 2).reshape(-1, total.shape[3], *self.window.kernel)

    def _input_gradient(self, w: Array, g: Array) -> Array:
        """col2im: each value of the columns' gradient is added where it was copied from."""
        g = channels_last(g)
        window = self.window
        weights = self._weights(w).swapaxes(1, 2)
        dx = np.empty((len(g), *window.image, self.channels), g.dtype)
        for images in self._chunks(len(g), g.itemsize):
            columns = self._by_group(g[images]) @ weights
            n = images.stop - images.start
            by_tap = columns.reshape(self.groups, n, *window.output, np.prod(window.kernel), -1)
            padded, inside = window.frame(n, self.channels, 0, g.dtype)
            for k, tap in enumerate(window.taps(padded)):
                grouped = tap.reshape(*tap.shape[:3], self.groups, -1)
                grouped += by_tap[..., k, :].transpose(1, 2, 3, 0, 4)
            dx[images] = inside
        return channels_first(dx)


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
    window = Window.fit((input.shape[2], input.shape[3]), kernel, stride, margins, dilation)
    y = Convolution(window, groups, channels).output(input, weight)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


# --- pooling --------------------------------------------------------------------------------------
# Both poolings are, once the maxima are known, a weighted sum over the taps: weight 1 for the tap
# that won and 0 for the others, or 1 for all. `_collect` is that sum and `_route` its transpose.


def _weight(winner: Array | None, k: int) -> Any:
    return 1 if winner is None else winner == k


def _collect(x: Tensor, window: Window, winner: Array | None) -> Tensor:
    """Σ_k weight_k · tap_k(x), where weight_k is 1 for the winning tap (for all, if None)."""
    padded, inside = window.frame(len(x), x.shape[1], 0, x.dtype)
    inside[...] = x.data.transpose(0, 2, 3, 1)
    y = np.zeros((len(x), *window.output, x.shape[1]), x.dtype)
    for k, tap in enumerate(window.taps(padded)):
        y += tap * _weight(winner, k)
    return record("pool", channels_first(y), (x, lambda g, y: _route(g, window, winner)))


def _route(g: Tensor, window: Window, winner: Array | None) -> Tensor:
    """Each output's gradient, handed to the inputs it was collected from."""
    values = channels_last(g.data)
    padded, inside = window.frame(len(g), g.shape[1], 0, g.dtype)
    for k, tap in enumerate(window.taps(padded)):
        tap += values * _weight(winner, k)
    dx = channels_first(np.ascontiguousarray(inside))
    return record("pool_gradient", dx, (g, lambda h, y: _collect(h, window, winner)))


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
    return Window.fit(image, kernel, step, margins, _pair("dilation", dilation, 1), ceil)


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
    padded, inside = window.frame(len(input), input.shape[1], -np.inf, input.dtype)
    inside[...] = input.data.transpose(0, 2, 3, 1)
    taps = list(window.taps(padded))
    y = taps[0].copy()
    winner = np.zeros(y.shape, np.min_scalar_type(len(taps)))
    for k, tap in enumerate(taps[1:], 1):
        np.copyto(winner, k, where=tap > y, casting="unsafe")
        np.maximum(y, tap, out=y)
    return record("max_pool2d", channels_first(y), (input, lambda g, y: _route(g, window, winner)))


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
    if divisor_override is not None:
        if divisor_override < 1:
            raise ValueError(f"divisor_override must be ≥ 1, not {divisor_override}")
        return _collect(input, window, None) / divisor_override
    counted, inside = window.frame(1, 1, 0, input.dtype)
    inside[...] = 1
    if count_include_pad:
        pad_h, pad_w = _pair("padding", padding, 0)
        h, w = window.image
        counted[:, : h + 2 * pad_h, : w + 2 * pad_w] = 1
    divisor = sum(tap.copy() for tap in window.taps(counted))
    return _collect(input, window, None) / Tensor(channels_first(np.asarray(divisor)))
