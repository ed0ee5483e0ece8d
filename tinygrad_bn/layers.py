"""[6] Layers: linear, the activations, flatten and dropout, each function beside its layer.

A layer is a thin thing: it owns parameters and options, and its `forward` calls the function. Where
the function is a method of Tensor, as with relu, chapter 3 has its derivative. Defaults and initial
distributions are PyTorch's.
"""

import math
from typing import Any

from . import checks, kernels
from .checks import float32
from .engine import Shape
from .module import Module, Parameter
from .tensor import Tensor, generator, record, wrap

# --- linear ---------------------------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b for x (…, in), W (out, in) and b (out,).

    >>> F.linear(tensor([[1.0, 2.0]]), tensor([[3.0, 4.0]]), tensor([0.5]))
    tensor([[11.5000]])
    """
    checks.linear(input, weight, bias)
    if input.ndim != 2:
        *leading, features = input.shape
        rows = input.reshape(
            math.prod(leading), features
        )  # not -1, which 0 features would not tell
        return linear(rows, weight, bias).reshape(*leading, len(weight))
    y = kernels.linear(input.data, weight.data, None if bias is None else bias.data)
    by_bias = () if bias is None else ((bias, lambda g, y: g),)  # the walk adds up the N rows
    return record(
        "linear",
        y,
        (input, lambda g, y: g @ weight, weight),  # (N, out) @ (out, in)
        (weight, lambda g, y: g.T @ input, input),  # (out, N) @ (N, in)
        *by_bias,
    )


def initial(shape: Shape, fan_in: int) -> Parameter:
    """Uniform in ±1/√fan_in: what PyTorch's Linear and Conv2d start from, weight and bias."""
    bound = 1 / math.sqrt(fan_in)
    return Parameter(generator.uniform(-bound, bound, shape).astype(float32))


class Linear(Module):
    """y = x Wᵀ + b: (…, in_features) → (…, out_features); weight (out, in), bias (out,).

    >>> nn.Linear(3, 2)(zeros(5, 3)).shape
    (5, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        checks.positive_integers(in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = initial((out_features, in_features), in_features)
        self.bias = initial((out_features,), in_features) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        """See `linear`."""
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


# --- activations ----------------------------------------------------------------------------------


def relu(input: Tensor) -> Tensor:
    """max(x, 0), element by element.

    >>> F.relu(tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    checks.are_tensors("relu", input=input)
    return input.relu()


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^(−x)), element by element.

    >>> F.sigmoid(zeros(1))
    tensor([0.5000])
    """
    checks.are_tensors("sigmoid", input=input)
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, element by element.

    >>> F.tanh(zeros(1))
    tensor([0.])
    """
    checks.are_tensors("tanh", input=input)
    return input.tanh()


class ReLU(Module):
    """max(x, 0); see `relu`.

    >>> nn.ReLU()(tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See `relu`."""
        return relu(input)


class Sigmoid(Module):
    """1 / (1 + e^(−x)); see `sigmoid`."""

    def forward(self, input: Tensor) -> Tensor:
        """See `sigmoid`."""
        return sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent; see `tanh`."""

    def forward(self, input: Tensor) -> Tensor:
        """See `tanh`."""
        return tanh(input)


# --- shapes ---------------------------------------------------------------------------------------


class Identity(Module):
    """Returns its input. Takes and ignores any arguments, to stand in for any layer.

    >>> nn.Identity(54, unused=0)(ones(1))
    tensor([1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is kept of them."""

    def forward(self, input: Any) -> Any:
        """The input."""
        return input


class Flatten(Module):
    """Joins the axes start_dim … end_dim into one: by default, all but the batch.

    >>> nn.Flatten()(zeros(5, 1, 28, 28)).shape
    (5, 784)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """See `Tensor.flatten`."""
        checks.are_tensors("Flatten", input=input)
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


# --- dropout --------------------------------------------------------------------------------------


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """In training, zero each element with probability p and scale the rest by 1/(1 − p).

    The scale keeps the mean as it is, so that at inference there is nothing to correct. p is
    rounded to 1/65,536: sixteen random bits decide about an element.

    >>> F.dropout(ones(1000), p=0.25).mean().item() > 0.9
    True
    """
    checks.in_range(0, 1, p=p)
    checks.flag(training=training)
    checks.one_float_dtype("dropout", input=input)
    share = round(p * 65536)
    if not training or share == 0:
        return input
    kept = kernels.kept_by_dropout(input.data, share, generator)  # True or False for each
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return input * wrap(kept * input.dtype.type(scale))


class Dropout(Module):
    """In training, zeroes each element with probability p and scales the rest by 1/(1 − p).

    >>> nn.Dropout(0.5).eval()(ones(2))
    tensor([1., 1.])
    """

    def __init__(self, p: float = 0.5) -> None:
        checks.in_range(0, 1, p=p)
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        """See `dropout`."""
        return dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
