"""[10] Convolution and pooling.

    y[n, o, i, j] = b[o] + Σ_{c,u,v} w[o, c, u, v] · x[n, c, i·s + u·d − p, j·s + v·d − p]

with stride s, dilation d and padding p. `conv2d` in kernels/plain.py is that sentence as one sum of
products. The fast kernel copies the inputs of every output position into one column of a matrix
(im2col), so that the product of the weights with it does all the sums at once.

A convolution is linear in the images x and in the weights w. Add a third factor g, of the shape of
the output, and sum:

    T(x, w, g) = Σ conv(x, w) · g

is linear in each of the three. So T's derivative by one of them no longer depends on that one, and
is linear in the other two. By g it is the convolution itself; by x it is the gradient towards the
images, when g is the gradient of the output; by w, that towards the weights. Differentiate one of
these three, and the other two come out. That is all of this chapter's calculus.
"""

import math

import numpy as np

from . import checks, kernels
from .engine import OUTPUT, Array, Shape
from .kernels.window import NO_PADDING, Option, Window, pair
from .layers import initial
from .module import Module
from .tensor import Input, Tensor, record, wrap

# --- T's three derivatives ------------------------------------------------------------------------


def convolution(x: Tensor, w: Tensor, window: Window, b: Tensor | None = None) -> Tensor:
    """∂T/∂g: x (N, C, H, W) and w (O, C/groups, KH, KW) → (N, O, OH, OW); plus b (O,)."""
    y = kernels.conv2d(x.data, w.data, None if b is None else b.data, window)
    inputs: list[Input] = [
        (x, lambda g, y: input_gradient(w, g, window), w),
        (w, lambda g, y: weight_gradient(x, g, window), x),
    ]
    if b is not None:
        inputs.append((b, lambda g, y: g.sum((0, 2, 3))))
    return record("conv2d", y, *inputs, window=window)


def weight_gradient(x: Tensor, g: Tensor, window: Window) -> Tensor:
    """∂T/∂w: x and g (N, O, OH, OW) → (O, C/groups, KH, KW).

    Each weight has met these inputs, and had a part in these outputs. h is of the shape of w.
    """
    return record(
        "conv2d_weight_gradient",
        kernels.conv2d_weight_gradient(g.data, x.data, window),
        (x, lambda h, y: input_gradient(h, g, window), g),
        (g, lambda h, y: convolution(x, h, window), x),
        window=window,
    )


def input_gradient(w: Tensor, g: Tensor, window: Window) -> Tensor:
    """∂T/∂x: w and g → (N, C, H, W).

    Each output's gradient goes back, by the weights, to the inputs it came from. At stride 1 that
    is itself a convolution, of g with every kernel turned by 180 degrees: an input that lies below
    and to the right of an output has that output above and to its left. h is of the shape of x.
    """
    return record(
        "conv2d_input_gradient",
        kernels.conv2d_input_gradient(g.data, w.data, window),
        (w, lambda h, y: weight_gradient(h, g, window), g),
        (g, lambda h, y: convolution(h, w, window), w),
        window=window,
    )


# --- convolution ----------------------------------------------------------------------------------


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Option = 1,
    padding: Option | str = 0,
    dilation: Option = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve images (N, C, H, W), or one (C, H, W), with kernels (O, C/groups, KH, KW).

    stride, dilation and padding: one number or (vertical, horizontal). 'same' pads so that the
    output keeps the size (an odd total puts the extra row below and to the right). Output size:
    ⌊(H + 2p − d(KH − 1) − 1)/s⌋ + 1. bias: (O,).

    >>> F.conv2d(ones(1, 1, 2, 3), ones(1, 1, 1, 2))
    tensor([[[[2., 2.],
              [2., 2.]]]])
    """
    checks.images("conv2d", input, weight=weight, bias=bias)
    x = input.unsqueeze(0) if input.ndim == 3 else input
    checks.conv2d(x, weight, bias, groups)
    image, kernel = x.shape[2:], weight.shape[2:]
    window = Window.of(image, kernel, stride, padding, dilation, groups)
    checks.kernel_fits(window)
    y = convolution(x, weight, window, bias)
    return y.squeeze(0) if input.ndim == 3 else y


class Conv2d(Module):
    """Convolution of (N, C, H, W) or (C, H, W) images; see `conv2d`.

    weight (out_channels, in_channels/groups, KH, KW), bias (out_channels,). Images are padded with
    zeros; PyTorch's other padding modes are refused.

    >>> nn.Conv2d(1, 16, 3, padding=1)(zeros(5, 1, 28, 28)).shape
    (5, 16, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Option,
        stride: Option = 1,
        padding: Option | str = 0,
        dilation: Option = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        checks.conv2d_layer(in_channels, out_channels, groups, padding_mode)
        window = Window.of((1, 1), kernel_size, stride, padding, dilation)  # of any image
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        self.kernel_size = window.kernel
        self.stride = window.stride
        self.dilation = window.dilation
        self.padding = padding if isinstance(padding, str) else pair("padding", padding, 0)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        self.weight = initial(shape, fan_in)
        self.bias = initial((out_channels,), fan_in) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        """See `conv2d`."""
        options = (self.stride, self.padding, self.dilation, self.groups)
        return conv2d(input, self.weight, self.bias, *options)

    def extra_repr(self) -> str:
        """The sizes, and the options that are not the usual ones."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        usual = {"padding": (0, 0), "dilation": (1, 1), "groups": 1}
        for name, default in usual.items():
            value = getattr(self, name)
            if value != default:
                text += f", {name}={value}"
        return text if self.bias is not None else f"{text}, bias=False"


# --- pooling --------------------------------------------------------------------------------------
#
# The largest value of each window. Once it is known where that was, the mask, all is linear:
#
#       x           mask          y = Σ mask·x        ∂L/∂x = mask·g
#     1   7        0   1                                  0   g
#     3   2        0   0               7                  0   0
#
# `route` hands g to the place of the winner; `collect`, its transpose, takes what lies there. Both
# work the mask out anew from x and y, which is cheaper than to keep it.


def max_pool2d(
    input: Tensor,
    kernel_size: Option,
    stride: Option | None = None,
    padding: Option = 0,
    dilation: Option = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest value of each window of (N, C, H, W) or (C, H, W) images.

    stride defaults to kernel_size; padding never wins. The gradient goes to the first maximum.
    ceil_mode: a last window may reach beyond the border, so that no pixel is left out.

    >>> F.max_pool2d(tensor([[[[1.0, 7.0], [3.0, 2.0]]]]), 2)
    tensor([[[[7.]]]])
    """
    checks.images("max_pool2d", input)
    x = input.unsqueeze(0) if input.ndim == 3 else input
    window = pool_window(x.shape[2:], kernel_size, stride, padding, dilation)
    checks.flag(ceil_mode=ceil_mode)
    if ceil_mode:
        window = window.rounded_up()
    checks.kernel_fits(window)
    y = record(
        "max_pool2d",
        kernels.max_pool2d(x.data, window),
        (x, lambda g, y: route(g, x, y, window), x, OUTPUT),
        window=window,
    )
    return y.squeeze(0) if input.ndim == 3 else y


def route(g: Tensor, x: Tensor, y: Tensor, window: Window) -> Tensor:
    """Each output's gradient, handed to the input that won: (N, C, OH, OW) → (N, C, H, W)."""
    return record(
        "max_pool2d_route",
        kernels.max_pool2d_route(g.data, x.data, y.data, window),
        (g, lambda h, _: collect(h, x, y, window), x, y),
        window=window,
    )


def collect(h: Tensor, x: Tensor, y: Tensor, window: Window) -> Tensor:
    """What `h` holds in the places where x won: (N, C, H, W) → (N, C, OH, OW)."""
    return record(
        "max_pool2d_collect",
        kernels.max_pool2d_collect(h.data, x.data, y.data, window),
        (h, lambda g, _: route(g, x, y, window), x, y),
        window=window,
    )


def avg_pool2d(
    input: Tensor,
    kernel_size: Option,
    stride: Option | None = None,
    padding: Option = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window, the padding counted as 0: a convolution with ones, divided.

    ceil_mode: a last window may reach beyond the border, and is the mean of what it covers inside.
    count_include_pad=False: the padding is not counted.

    >>> F.avg_pool2d(tensor([[[[1.0, 7.0], [3.0, 1.0]]]]), 2)
    tensor([[[[3.]]]])
    """
    checks.images("avg_pool2d", input)
    checks.flag(ceil_mode=ceil_mode, count_include_pad=count_include_pad)
    x = input.unsqueeze(0) if input.ndim == 3 else input
    channels = x.shape[1]
    window = pool_window(x.shape[2:], kernel_size, stride, padding, groups=channels)
    counted = np.array(window.padding if count_include_pad else NO_PADDING)
    if ceil_mode:
        window = window.rounded_up()
    checks.kernel_fits(window)
    ones = np.ones((channels, 1, *window.kernel), input.dtype)
    pixels = covered(window, counted).astype(input.dtype)
    y = convolution(x, wrap(ones), window) / wrap(pixels)
    return y.squeeze(0) if input.ndim == 3 else y


def covered(window: Window, counted: Array) -> Array:
    """How many pixels of the image, or of its counted padding, each window covers: (OH, OW)."""
    size = np.add(window.image, counted.sum(1))
    inside = np.pad(np.ones(size), np.subtract(window.padding, counted))
    under = window.patches(inside[np.newaxis, :, :, np.newaxis])  # (1, KH, KW, OH, OW, 1)
    pixels: Array = under.sum((0, 1, 2, 5))
    return pixels


def pool_window(
    image: Shape,
    kernel_size: Option,
    stride: Option | None,
    padding: Option,
    dilation: Option = 1,
    groups: int = 1,
) -> Window:
    """The window of a pooling; the stride is the kernel's size, if none is given."""
    steps = kernel_size if stride is None else stride
    window = Window.of(image, kernel_size, steps, padding, dilation, groups)
    checks.pool_padding(window)
    return window


class Pooling(Module):
    """The options that pooling layers have in common; stride defaults to kernel_size."""

    def __init__(
        self,
        kernel_size: Option,
        stride: Option | None,
        padding: Option,
        ceil_mode: bool,
        dilation: Option = 1,
    ) -> None:
        pool_window((1, 1), kernel_size, stride, padding, dilation)  # an error for what cannot be
        checks.flag(ceil_mode=ceil_mode)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        """The options."""
        text = f"kernel_size={self.kernel_size}, stride={self.stride}"
        return f"{text}, padding={self.padding}"


class MaxPool2d(Pooling):
    """The largest value of each window; see `max_pool2d`.

    >>> nn.MaxPool2d(2)(zeros(5, 1, 28, 28)).shape
    (5, 1, 14, 14)
    """

    def __init__(
        self,
        kernel_size: Option,
        stride: Option | None = None,
        padding: Option = 0,
        dilation: Option = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, dilation)
        self.dilation = dilation

    def forward(self, input: Tensor) -> Tensor:
        """See `max_pool2d`."""
        options = (self.stride, self.padding, self.dilation, self.ceil_mode)
        return max_pool2d(input, self.kernel_size, *options)

    def extra_repr(self) -> str:
        """The options."""
        return f"{super().extra_repr()}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class AvgPool2d(Pooling):
    """The mean of each window; see `avg_pool2d`.

    >>> nn.AvgPool2d(2)(zeros(5, 1, 28, 28)).shape
    (5, 1, 14, 14)
    """

    def __init__(
        self,
        kernel_size: Option,
        stride: Option | None = None,
        padding: Option = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        checks.flag(count_include_pad=count_include_pad)
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """See `avg_pool2d`."""
        options = (self.stride, self.padding, self.ceil_mode, self.count_include_pad)
        return avg_pool2d(input, self.kernel_size, *options)
