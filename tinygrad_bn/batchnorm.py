"""[11] Batch normalization (Ioffe & Szegedy 2015, arXiv 1502.03167): the centre piece.

After this file you know what it computes in training (Algorithm 1), its gradient, why there are γ
and β, and what the layer remembers for inference. For the m values x_i of a feature:

    μ_B  = (1/m) Σ x_i                      mini-batch mean
    σ_B² = (1/m) Σ (x_i − μ_B)²             mini-batch variance: biased, 1/m and not 1/(m − 1)
    x̂_i  = (x_i − μ_B) / √(σ_B² + ε)        normalize
    y_i  = γ x̂_i + β                        scale and shift

Each feature is normalized on its own, because to whiten all of them jointly would take the inverse
square root of a covariance matrix at every step, and its derivative; and a mini-batch smaller than
the number of features has no invertible covariance. γ and β are learned, because normalizing alone
takes something away: a sigmoid, say, would only ever see its nearly linear middle. With
γ = √(Var[x] + ε) and β = E[x] the layer is the identity: nothing the network could be is lost.
(A summary that is often copied prints y = γx + β. That slip leaves out the whole normalization.)

In a convolution every location shares the weights, so it must share the statistics too (section
3.2): the m values of a feature map are those of all images and all locations. One rule serves
(N, C), (N, C, L) and (N, C, H, W): reduce over every axis but axis 1.
"""

import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np

from . import checks, kernels
from .checks import int64
from .engine import Array, grad, is_grad_enabled
from .module import Module, Parameter
from .tensor import Tensor, ones, record_joint, wrap, zeros

Operation = Callable[..., tuple[Tensor, Array, Array]]  # x, γ, β, ε ↦ y, and the batch's μ and σ²

# What `batch_norm` does in training instead of `batch_norm_train`: the compiler has other ways.
in_training: ContextVar[Operation | None] = ContextVar("in_training", default=None)

# --- Algorithm 1, twice ---------------------------------------------------------------------------


def per_channel(v: Tensor, ndim: int) -> Tensor:
    """(C,) as (1, C, 1, …), so that it is broadcast along axis 1 of a tensor of `ndim` axes."""
    return v.reshape(1, -1, *[1] * (ndim - 2))


def batch_norm_composed(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5
) -> Tensor:
    """Algorithm 1, line for line, in tensor operations; its gradients follow by themselves.

    x: (N, C, …). weight, bias: γ and β, (C,), or None for 1 and 0.
    """
    axes = [axis for axis in range(x.ndim) if axis != 1]
    mean = x.mean(axes, keepdim=True)
    var = x.var(axes, correction=0, keepdim=True)
    y = (x - mean) / (var + eps).sqrt()
    if weight is not None:
        y = y * per_channel(weight, x.ndim)
    if bias is not None:
        y = y + per_channel(bias, x.ndim)
    return y


def batch_norm_train(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5
) -> tuple[Tensor, Array, Array]:
    """Algorithm 1 as one operation on (N, C, …). Returns y, and the batch's μ and σ², (C,).

    γ, β and x share most of the work of their gradients: one joint derivative gives all three.
    """
    channels = x.shape[1]
    gamma = ones(channels, dtype=x.dtype) if weight is None else weight
    beta = zeros(channels, dtype=x.dtype) if bias is None else bias
    y, mean, var = kernels.batch_norm(x.data, gamma.data, beta.data, eps)
    inputs = (x, gamma, beta)

    def derivative(g: Tensor, y: Tensor, needed: Sequence[bool]) -> list[Tensor | None]:
        return gradients(g, inputs, mean, var, eps, needed)

    out = record_joint("batch_norm", y, inputs, derivative, (x, gamma), eps=eps)
    return out, mean, var


# --- its gradient ---------------------------------------------------------------------------------
#
# From the six equations of section 3 to the three lines that the kernel computes (the six as code
# are in tests/support/definitions.py, and held against all other forms). Write s for √(σ² + ε), so
# that x − μ = s·x̂, and g for ∂L/∂y. First,
#
#     ∂L/∂γ = Σ g·x̂        ∂L/∂β = Σ g                                    (equations 5 and 6)
#
# With ∂L/∂x̂ = γ·g (equation 1) the other sums are these again:
#
#     ∂L/∂σ² = Σ γ·g · s·x̂ · (−1/2) s⁻³  =  −γ/(2s²) · ∂L/∂γ              (equation 2)
#     ∂L/∂μ  = −Σ γ·g / s + ∂L/∂σ² · 0   =  −γ/s · ∂L/∂β                  (equation 3)
#
# where the 0 is Σ −2(x − μ)/m: differences from a mean add up to nothing. Put into
#
#     ∂L/∂x  = ∂L/∂x̂ / s + ∂L/∂σ² · 2(x − μ)/m + ∂L/∂μ / m                (equation 4)
#            = γ·g/s − γ/(2s²)·∂L/∂γ · 2s·x̂/m − γ/s · ∂L/∂β / m
#            = γ/s · (g − ∂L/∂β / m − x̂ · ∂L/∂γ / m)
#
# The bracket is a projection: shifting or scaling the batch does not change x̂, so g loses its mean,
# along 1, and its correlation with x̂.


def gradients(
    g: Tensor,
    inputs: Sequence[Tensor],
    mean: Array,
    var: Array,
    eps: float,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """∂L/∂x, ∂L/∂γ and ∂L/∂β from g = ∂L/∂y, the inputs x, γ and β, and the batch's μ and σ²."""
    if is_grad_enabled():  # by create_graph: they are to be differentiated again
        return gradients_composed(g, inputs, mean, eps)
    x, gamma, _ = inputs
    inv_std = 1 / np.sqrt(var + eps)
    found = kernels.batch_norm_gradients(g.data, x.data, mean, inv_std, gamma.data, to_x=needed[0])
    return [wrap(array) if need else None for array, need in zip(found, needed, strict=True)]


def gradients_composed(
    g: Tensor,
    inputs: Sequence[Tensor],
    mean: Array,
    eps: float,
    composed: Any = batch_norm_composed,
) -> list[Tensor | None]:
    """The same as tensors with a history, by `grad` of the composed form: for second derivatives.

    `grad` stops at copies of the inputs, and what comes after knows the inputs behind them. The
    batch's mean is subtracted first, as a constant: that changes no result, and a large offset
    common to all x does not drown their differences.
    """
    copies = [tensor.clone() for tensor in inputs]
    x, gamma, beta = copies
    shifted = x - per_channel(wrap(mean), x.ndim)
    y = composed(shifted, gamma, beta, eps)
    asked = [copy for copy in copies if copy.requires_grad]
    found = dict(zip(asked, grad(y, asked, g, create_graph=True), strict=True))
    return [found.get(copy) for copy in copies]


# --- inference ------------------------------------------------------------------------------------


def batch_norm_eval(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float = 1e-5,
) -> Tensor:
    """Inference: y = γ·(x − mean)/√(var + ε) + β, a fixed affine map of each channel.

    It depends on x alone, not on what else is in the batch. mean and var are constants here, so the
    gradient towards x is just g·γ/√(var + ε): nothing is projected out.
    """
    scale = wrap(1 / np.sqrt(var.data + eps))
    if weight is not None:
        scale = scale * weight
    y = (x - per_channel(mean, x.ndim)) * per_channel(scale, x.ndim)
    return y if bias is None else y + per_channel(bias, x.ndim)


def move_towards(running: Tensor | None, batch: Array, momentum: float) -> None:
    """running ← (1 − momentum)·running + momentum·batch, in place."""
    if running is not None:
        running.data *= 1 - momentum
        running.data += momentum * batch
        running.version.number += 1


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalization of (N, C, …), per channel; all other tensors are (C,).

    training: normalize by the batch's own statistics, and move the running ones, if given, by
    running ← (1 − momentum)·running + momentum·batch. The variance stored estimates that of the
    population: it is the unbiased one, m/(m − 1) times the one used. Not training: normalize by
    running_mean and running_var.

    >>> x = tensor([[1.0], [3.0]])
    >>> F.batch_norm(x, None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    eps = float(eps)
    checks.flag(training=training)
    affine = {"weight": weight, "bias": bias}
    statistics = {"running_mean": running_mean, "running_var": running_var}
    checks.batch_norm(input, eps, affine, statistics)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm needs running_mean and running_var when not training")
        return batch_norm_eval(input, running_mean, running_var, weight, bias, eps)
    channels = input.shape[1]
    if input.numel() == 0:
        return batch_norm_eval(input, zeros(channels), ones(channels), weight, bias, eps)
    m = checks.values_per_channel(input.shape, "batch_norm")
    operation = in_training.get() or batch_norm_train
    y, mean, var = operation(input, weight, bias, eps)
    move_towards(running_mean, mean, momentum)
    move_towards(running_var, var * (m / (m - 1)), momentum)
    return y


# --- the layers -----------------------------------------------------------------------------------


class BatchNorm(Module):
    """Batch normalization per channel, over all axes but axis 1; see `batch_norm`.

    momentum: the weight of the newest batch in the running statistics (0.1: 0.9·running +
    0.1·batch); None: their plain average. affine: learn γ (weight) and β (bias).
    track_running_stats=False: always use the batch's own.
    """

    kinds: ClassVar[dict[int, str]]  # the inputs that it takes, by their number of axes
    optional = ("num_batches_tracked",)  # which checkpoints of other programs may lack
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ) -> None:
        checks.positive_integers(num_features=num_features)
        checks.in_range(0, 1, momentum=0 if momentum is None else momentum)
        checks.in_range(0, math.inf, eps=eps)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = tracks = track_running_stats
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine and bias else None
        self.register_buffer("running_mean", zeros(num_features) if tracks else None)
        self.register_buffer("running_var", ones(num_features) if tracks else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype=int64) if tracks else None)

    def reset_running_stats(self) -> None:
        """As at the start: mean 0, variance 1, no batches seen; if it tracks them."""
        start = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}
        for name, value in start.items():
            buffer = getattr(self, name)
            if self.track_running_stats and buffer is not None:
                buffer.fill_(value)

    def forward(self, input: Tensor) -> Tensor:
        """By the batch's statistics in training, or where there are no others; see `batch_norm`."""
        checks.channels(self, input, self.kinds)
        has_statistics = self.running_mean is not None or self.running_var is not None
        use_batch = self.training or not has_statistics
        if use_batch:
            checks.values_per_channel(input.shape, self)
        keeps = self.track_running_stats or not self.training  # it may be switched off later
        y = batch_norm(
            input,
            self.running_mean if keeps else None,
            self.running_var if keeps else None,
            self.weight,
            self.bias,
            use_batch,
            self.weight_of_newest_batch(),
            self.eps,
        )
        counts = self.training and keeps and input.numel() > 0
        if counts and self.num_batches_tracked is not None:
            self.num_batches_tracked.data += 1
        return y

    def weight_of_newest_batch(self) -> float:
        """The momentum; without one 1/n for the n-th batch, which makes a plain average."""
        if self.momentum is not None:
            return self.momentum
        if self.num_batches_tracked is None:
            return 0.0
        return 1 / (int(self.num_batches_tracked) + 1)

    def extra_repr(self) -> str:
        """The options."""
        text = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"
        text += f", affine={self.affine}, bias={self.bias is not None}"
        return f"{text}, track_running_stats={self.track_running_stats}"


class BatchNorm1d(BatchNorm):
    """Batch normalization of (N, C) or (N, C, L).

    >>> nn.BatchNorm1d(1, eps=0)(tensor([[1.0], [3.0]]))
    tensor([[-1.],
            [ 1.]], grad_fn=<batch_norm>)
    """

    kinds: ClassVar = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(BatchNorm):
    """Batch normalization of (N, C, H, W): one γ and β per feature map.

    >>> nn.BatchNorm2d(16)(zeros(5, 16, 14, 14)).shape
    (5, 16, 14, 14)
    """

    kinds: ClassVar = {4: "(N, C, H, W)"}
