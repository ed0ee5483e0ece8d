"""Every kernel once more, as a few lines of obvious NumPy: the same numbers, slowly.

`TINYGRAD_BN_KERNELS=plain` in the environment takes these instead of the fast ones. Whoever wants
to know what a kernel computes reads it here; whoever wants to step through a training runs it so.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .layout import Array
from .reductions import sum_over
from .window import Window

# --- products and masks ---------------------------------------------------------------------------


def matmul(a: Array, b: Array) -> Any:
    """a @ b."""
    return a @ b


def linear(
    x: Array,  # (N, in)
    w: Array,  # (out, in)
    b: Array | None,  # (out,)
) -> Array:  # (N, out)
    """x Wᵀ + b."""
    y = x @ w.T
    return y if b is None else y + b


def relu(x: Array, out: Array | None = None) -> Array:
    """max(x, 0); into `out`, if it is given."""
    y: Array = np.maximum(x, 0, out=out)
    return y


def masked(g: Array, mask: Array) -> Array:
    """`g`, but 0 where the mask is True."""
    return np.where(mask, 0, g)


def kept_by_dropout(x: Array, share: int, generator: np.random.Generator) -> Array:
    """For each element of x whether it stays: all but share/65,536 of them."""
    drawn = generator.integers(1 << 16, size=x.shape[::-1], dtype=np.uint16)
    kept: Array = drawn.T.astype(int) >= share
    return kept


# --- windows --------------------------------------------------------------------------------------
#
# patches[n, c, h, w, u, v] is what lies under place (u, v) of the kernel at place (h, w) of the
# output. In the einsums, g is the group, c its channel and o its output channel.


def padded(x: Array, window: Window, fill: float) -> Array:
    """(N, C, H, W) with a border."""
    widths = ((0, 0), (0, 0), *window.padding)
    return np.pad(x, widths, constant_values=fill)


def without_padding(x: Array, window: Window) -> Array:
    """The image inside the border."""
    height, width = window.image
    (top, _), (left, _) = window.padding
    return x[:, :, top : top + height, left : left + width]


def patches(
    x: Array,  # (N, C, H', W')
    window: Window,
) -> Array:  # (N, C, OH, OW, KH, KW)
    """(N, C, OH, OW, KH, KW), a view of padded images."""
    views = sliding_window_view(x, window.extent, axis=(2, 3), writeable=True)
    (sh, sw), (dh, dw) = window.stride, window.dilation
    views = views[:, :, ::sh, ::sw]
    return views[..., ::dh, ::dw]


def add_to_patches(
    x: Array,  # (N, C, H', W')
    window: Window,
    values: Array,  # (N, C, OH, OW, KH, KW)
) -> None:
    """Add a value to each. One place in the kernel at a time: there, no two patches meet."""
    under = patches(x, window)
    for u, v in window.offsets:
        under[..., u, v] += values[..., u, v]


def grouped(
    x: Array,  # (N, C, …), or kernels (O, …)
    axis: int,
    window: Window,
) -> Array:  # (N, G, C/G, …), or (G, O/G, …)
    """The channels along an axis in groups."""
    before, channels, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    groups = window.groups
    return x.reshape(*before, groups, channels // groups, *after)


def conv2d(
    x: Array,  # (N, C, H, W)
    w: Array,  # (O, C/G, KH, KW)
    b: Array | None,  # (O,)
    window: Window,
) -> Array:  # (N, O, OH, OW)
    """y = b + Σ over c, u, v of w · x."""
    under = grouped(patches(padded(x, window, 0), window), 1, window)
    y: Array = np.einsum("ngchwuv,gocuv->ngohw", under, grouped(w, 0, window))
    y = y.reshape(len(x), len(w), *window.output)
    return y if b is None else y + b[:, None, None]


def conv2d_weight_gradient(
    g: Array,  # (N, O, OH, OW)
    x: Array,  # (N, C, H, W)
    window: Window,
) -> Array:  # (O, C/G, KH, KW)
    """∂w = Σ over n, h, w of x · g."""
    under = grouped(patches(padded(x, window, 0), window), 1, window)
    gs = grouped(g, 1, window)
    dw: Array = np.einsum("ngchwuv,ngohw->gocuv", under, gs, dtype=np.float64)
    groups, outputs, channels = dw.shape[:3]
    return dw.reshape(groups * outputs, channels, *window.kernel).astype(x.dtype)


def conv2d_input_gradient(
    g: Array,  # (N, O, OH, OW)
    w: Array,  # (O, C/G, KH, KW)
    window: Window,
) -> Array:  # (N, C, H, W)
    """∂x: at each place w · g, added to every input that was under the kernel there."""
    parts = np.einsum("ngohw,gocuv->ngchwuv", grouped(g, 1, window), grouped(w, 0, window))
    images, groups, channels, *rest = parts.shape
    shape = (images, groups * channels)
    dx = padded(np.zeros((*shape, *window.image), g.dtype), window, 0)
    add_to_patches(dx, window, parts.reshape(*shape, *rest))
    return without_padding(dx, window)


def max_pool2d(
    x: Array,  # (N, C, H, W)
    window: Window,
) -> Array:  # (N, C, OH, OW)
    """The largest value under the kernel; padding never wins."""
    under = patches(padded(x, window, -np.inf), window)
    y: Array = under.max((-2, -1))
    return y


def winners(
    x: Array,  # (N, C, H, W)
    y: Array,  # (N, C, OH, OW)
    window: Window,
) -> Array:  # (N, C, OH, OW, KH, KW)
    """Where under the kernel the (first) maximum is; the last place, where none is (NaN)."""
    under = patches(padded(x, window, -np.inf), window)
    equal = under == y[..., None, None]
    equal = equal.reshape(*y.shape, len(window.offsets))
    equal[..., -1] |= ~equal.any(-1)
    first = equal.argmax(-1, keepdims=True)
    mask: Array = np.arange(equal.shape[-1]) == first
    return mask.reshape(under.shape)


def max_pool2d_route(
    g: Array,  # (N, C, OH, OW)
    x: Array,  # (N, C, H, W)
    y: Array,  # (N, C, OH, OW)
    window: Window,
) -> Array:  # (N, C, H, W)
    """Each output's gradient, handed to the input that won."""
    dx = padded(np.zeros_like(x), window, 0)
    values = g[..., None, None] * winners(x, y, window)
    add_to_patches(dx, window, values)
    return without_padding(dx, window)


def max_pool2d_collect(
    h: Array,  # (N, C, H, W)
    x: Array,  # (N, C, H, W)
    y: Array,  # (N, C, OH, OW)
    window: Window,
) -> Array:  # (N, C, OH, OW)
    """The value of `h` where x won."""
    under = patches(padded(h, window, 0), window)
    chosen = under * winners(x, y, window)
    total: Array = chosen.sum((-2, -1))
    return total


# --- batch normalization --------------------------------------------------------------------------


def per_channel(
    v: Array,  # (C,)
    like: Array,  # (N, C, …)
) -> Array:  # (1, C, 1, …)
    """(C,) as (1, C, 1, …)."""
    return v.reshape(1, -1, *[1] * (like.ndim - 2))


def all_but_channels(x: Array) -> Any:
    """Every axis but axis 1."""
    return (0, *range(2, x.ndim))


def batch_norm(
    x: Array,  # (N, C, …)
    gamma: Array,  # (C,)
    beta: Array,  # (C,)
    eps: float,
    chosen: Array | None = None,  # (N, C, …)
) -> tuple[Array, Array, Array]:  # y, and μ and σ² (C,)
    """Algorithm 1, for x or for what was chosen of it.

    Measured from a first value, so that a constant's mean is exact.
    """
    axes = all_but_channels(x)
    images, channels = x.shape[:2]
    first = per_channel(x.reshape(images, channels, -1)[0, :, 0], x)
    centred = x - first
    m = x.size // channels
    offset = sum_over(centred, axes, keepdims=True) / m
    mean = first + offset
    centred -= offset  # x - mean, without the rounding of the mean
    var = sum_over(np.square(centred), axes, keepdims=True) / m
    if chosen is not None:
        centred = chosen - first - offset
    x_hat = centred / np.sqrt(var + eps)
    y = per_channel(gamma, x) * x_hat + per_channel(beta, x)
    return y, mean.reshape(-1), var.reshape(-1)


def batch_norm_gradients(
    g: Array,  # (N, C, …)
    x: Array,  # (N, C, …)
    mean: Array,  # (C,)
    inv_std: Array,  # (C,)
    gamma: Array,  # (C,)
    to_x: bool,
) -> tuple[Array, Array, Array]:  # ∂x, ∂γ, ∂β
    """∂γ = Σ g·x̂, ∂β = Σ g and ∂x = γ/√(σ² + ε) · (g − ∂β/m − x̂·∂γ/m).

    If nobody asks for ∂x, x − μ stands in its place.
    """
    axes = all_but_channels(x)
    centred = x - per_channel(mean, x)
    x_hat = centred * per_channel(inv_std, x)
    dgamma = sum_over(g * x_hat, axes)
    dbeta = sum_over(g, axes)
    if not to_x:
        return centred, dgamma, dbeta
    m = x.size // x.shape[1]
    bracket = g - per_channel(dbeta / m, x) - x_hat * per_channel(dgamma / m, x)
    return per_channel(gamma * inv_std, x) * bracket, dgamma, dbeta
