"""[7] Losses: log-softmax, cross-entropy and the mean squared error.

A classifier's scores x become probabilities by the softmax, p_c = e^(x_c) / Σ_k e^(x_k). How wrong
they are is measured by how surprising the true class is, −log p_c. Both together have a gradient
that could not be simpler: the probabilities minus the target.
"""

import math

import numpy as np

from . import checks, kernels
from .engine import OUTPUT, Array
from .module import Module
from .tensor import Tensor, record, where, wrap

# --- softmax --------------------------------------------------------------------------------------


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """x_i − log Σ_j e^(x_j) along `dim`, without forming softmax (whose log could be −∞).

    >>> F.log_softmax(tensor([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    checks.one_float_dtype("log_softmax", input=input)
    axes = checks.axes(checks.axis(dim, input.ndim), input.ndim)
    if input.numel() == 0:
        return input.clone()
    shifted = input.data - input.data.max(axes, keepdims=True)  # so that nothing overflows
    return record(
        "log_softmax",
        shifted - np.log(kernels.sum_over(np.exp(shifted), axes, True)),
        (input, lambda g, y: g - y.exp() * g.sum(dim, keepdim=True), OUTPUT),
        dim=dim,
    )


def softmax(input: Tensor, dim: int) -> Tensor:
    """e^(x_i) / Σ_j e^(x_j) along `dim`: positive numbers whose sum is 1.

    >>> F.softmax(tensor([0.0, 0.0]), 0)
    tensor([0.5000, 0.5000])
    """
    return log_softmax(input, dim).exp()


class Softmax(Module):
    """See `softmax`.

    >>> nn.Softmax(1)(zeros(1, 2))
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """See `softmax`."""
        return softmax(input, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """See `log_softmax`.

    >>> nn.LogSoftmax(1)(zeros(1, 2))
    tensor([[-0.6931, -0.6931]])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See `log_softmax`."""
        return log_softmax(input, self.dim)


# --- cross-entropy --------------------------------------------------------------------------------


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−Σ_c w_c t_c log softmax(x)_c: how surprised the scores x are by the true classes.

    input: scores (C,), (N, C) or (N, C, d1, …). target: class indices of the same shape without C,
    or class probabilities of the same shape. weight: (C,). label_smoothing s: the target becomes
    (1 − s)·t + s/C. The mean over indices is weighted: Σ loss / Σ w_target over those not ignored.

    >>> F.cross_entropy(tensor([[0.0, 0.0]]), tensor([1]))
    tensor(0.6931)
    """
    checks.loss_options(reduction, label_smoothing)
    checks.are_tensors("cross_entropy", input=input, target=target, weight=weight)
    ignore_index = checks.integer("ignore_index", ignore_index)
    one_sample = input.ndim == 1
    if one_sample:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
    classes = checks.class_scores(input, weight)
    if weight is not None:
        weight = weight.reshape(1, -1, *[1] * (input.ndim - 2))
    kept, for_each = 1 - label_smoothing, label_smoothing / classes
    divisor = None  # of the mean: the number of losses
    if target.is_floating_point():
        checks.class_probabilities(input, target, ignore_index)
        wanted = target.to(input.dtype) * kept + for_each
    else:
        checks.class_indices(input, target)
        labels = target.data[:, None]  # (N, 1, …)
        used = labels != ignore_index  # (N, 1, …), True or False
        one_hot = one_hot_rows(labels, used, classes)
        wanted = wrap(np.empty_like(input.data))
        wanted.data[...] = one_hot
        if label_smoothing > 0:
            wanted.data[...] = one_hot * kept + used * for_each
        if weight is not None or not 0 < np.count_nonzero(used) == used.size:
            divisor = total_weight(one_hot, weight)
            input = where(used, input, 0.0)  # no gradient for the ignored, whatever they hold
    if weight is not None:
        wanted = wanted * weight
    losses = soft_cross_entropy(input, wanted)
    return reduced(losses.squeeze(0) if one_sample else losses, reduction, divisor)


def soft_cross_entropy(input: Tensor, wanted: Tensor) -> Tensor:
    """−Σ_c t_c log softmax(x)_c over axis 1, where 0 · log 0 is 0: the idea in three lines."""
    logp = log_softmax(input, 1)
    terms = np.zeros_like(logp.data)
    np.multiply(logp.data, wanted.data, out=terms, where=wanted.data != 0)

    def by_input(g: Tensor, y: Tensor) -> Tensor:
        """Σ_k t_k · softmax(x)_c − t_c: the probabilities minus the target, if Σ t = 1."""
        total = wanted.sum(1, keepdim=True)
        return (logp.exp() * total - wanted) * g.unsqueeze(1)

    return record(
        "cross_entropy",
        -kernels.sum_over(terms, (1,)),
        (input, by_input, wanted),
        (wanted, lambda g, y: -g.unsqueeze(1) * logp),
    )


def one_hot_rows(labels: Array, used: Array, classes: int) -> Array:
    """Class indices (N, 1, …) as rows (N, C, …) with a single True; none for an unused one."""
    indices = np.arange(classes).reshape(-1, *[1] * (labels.ndim - 2))
    one_hot: Array = (labels == indices) & used
    checks.known_classes(labels, used, one_hot)
    return one_hot


def total_weight(one_hot: Array, weight: Tensor | None) -> float:
    """What a weighted mean divides by: the weights of the true classes, added up; NaN for 0."""
    weights = one_hot if weight is None else one_hot * weight.data
    return float(weights.sum(dtype=np.float64)) or math.nan


def reduced(losses: Tensor, reduction: str, divisor: float | None = None) -> Tensor:
    """Their mean (or Σ / divisor), their sum, or the losses as they are."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    return losses.mean() if divisor is None else losses.sum() / divisor


class CrossEntropyLoss(Module):
    """How surprised the scores are by the true classes; see `cross_entropy`.

    >>> nn.CrossEntropyLoss()(tensor([[0.0, 0.0]]), tensor([1]))
    tensor(0.6931)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        checks.loss_options(reduction, label_smoothing)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """See `cross_entropy`."""
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


# --- mean squared error ---------------------------------------------------------------------------


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(x − t)², averaged, summed, or as it is. Shapes must agree.

    >>> F.mse_loss(tensor([1.0, 3.0]), tensor([1.0, 1.0]))
    tensor(2.)
    """
    checks.loss_options(reduction)
    checks.are_tensors("mse_loss", input=input, target=target)
    checks.has_shape("mse_loss", input.shape, target=target)
    difference = input - target
    checks.one_float_dtype("mse_loss", difference=difference)
    return reduced(difference * difference, reduction)


class MSELoss(Module):
    """The mean squared error; see `mse_loss`.

    >>> nn.MSELoss()(ones(2), zeros(2))
    tensor(1.)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        checks.loss_options(reduction)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """See `mse_loss`."""
        return mse_loss(input, target, reduction=self.reduction)
