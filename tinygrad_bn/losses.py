"""[6] The functions of `torch.nn.functional`: layers without state.

Activations, the softmax family, losses and dropout. Convolution, pooling and batch normalization
are re-exported from the two files before.
"""

import math

import numpy as np

from .batchnorm import batch_norm, check_batch, per_channel
from .conv import Pair, avg_pool2d, conv2d, margins, max_pool2d, pair, pool_window
from .engine import Array
from .machine import matmul
from .tensor import Tensor, check_floats, check_range, generator, int64, record, where, wrap

__all__ = [
    "Pair", "avg_pool2d", "batch_norm", "check_batch", "conv2d", "cross_entropy", "dropout",
    "linear", "log_softmax", "margins", "max_pool2d", "mse_loss", "pair", "pool_window", "relu",
    "sigmoid", "softmax", "tanh",
]  # fmt: skip
relu, sigmoid, tanh = Tensor.relu, Tensor.sigmoid, Tensor.tanh


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b for x (…, in), W (out, in) and b (out,)."""
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: input {input.shape} does not fit weight {weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias must have shape {weight.shape[:1]}, not {bias.shape}")
    check_floats("linear", input=input, weight=weight, bias=bias)
    if input.ndim != 2:
        rows = input.reshape(math.prod(input.shape[:-1]), input.shape[-1])
        return linear(rows, weight, bias).reshape(*input.shape[:-1], len(weight))
    y = matmul(weight.data, input.data.T).T  # in memory, the batch comes last
    if bias is not None:
        y += bias.data
    towards = [(input, lambda g, y: g @ weight), (weight, lambda g, y: g.T @ input)]
    return record("linear", y, *towards, *([] if bias is None else [(bias, lambda g, y: g)]))


def softmax(input: Tensor, dim: int) -> Tensor:
    """e^(x_i) / Σ_j e^(x_j) along `dim`; the maximum is subtracted first, so nothing overflows."""
    return log_softmax(input, dim).exp()


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """x_i − log Σ_j e^(x_j) along `dim`, without forming softmax (whose log could be −∞)."""
    check_floats("log_softmax", input=input)
    if input.numel() == 0:
        return input.clone()
    shifted = input.data - input.data.max(dim, keepdims=True)
    y = shifted - np.log(np.exp(shifted).sum(dim, keepdims=True))
    return record("log_softmax", y, (input, lambda g, y: g - y.exp() * g.sum(dim, keepdim=True)))


def _reduced(losses: Tensor, reduction: str, divisor: float | None = None) -> Tensor:
    if reduction != "mean":
        return losses.sum() if reduction == "sum" else losses
    return losses.mean() if divisor is None else losses.sum() / divisor


def check_reduction(reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(x − t)², averaged, summed, or as it is. Shapes must agree."""
    check_reduction(reduction)
    if input.shape != target.shape:
        raise ValueError(f"mse_loss: input {input.shape} and target {target.shape} differ")
    difference = input - target
    return _reduced(difference * difference, reduction)


def _one_hot(labels: Array, classes: int, used: Array) -> Array:
    """Class indices (N, 1, …) as rows (N, C, …) with a single True; none for an unused one."""
    one_hot: Array = labels == np.arange(classes).reshape(-1, *(1,) * (labels.ndim - 2))
    one_hot &= used
    if np.count_nonzero(one_hot) != np.count_nonzero(used):
        wrong = labels[used & ~one_hot.any(1, keepdims=True)][0]
        raise ValueError(f"cross_entropy: {wrong} is no class index in [0, {classes})")
    return one_hot


def _surprise(input: Tensor, weights: Tensor) -> Tensor:
    """−Σ_c w_c log softmax(x)_c, where 0 · log 0 is 0."""
    logp = log_softmax(input, 1)
    terms = np.zeros_like(logp.data)
    np.multiply(logp.data, weights.data, out=terms, where=weights.data != 0)

    def by_input(g: Tensor, _: Tensor) -> Tensor:  # softmax minus the target, if Σ w = 1
        return (logp.exp() * weights.sum(1, keepdim=True) - weights) * g.unsqueeze(1)

    by_weights = (weights, lambda g, y: -g.unsqueeze(1) * logp)
    return record("surprise", -terms.sum(1), (input, by_input), by_weights)


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = -100,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """−Σ_c w_c t_c log softmax(x)_c: how surprised the scores x are by the true classes.

    input: scores (C,), (N, C) or (N, C, d1, …). target: class indices of the same shape without C,
    or class probabilities of the same shape. weight: (C,). label_smoothing s: the target becomes
    (1 − s)·t + s/C. The mean over indices is weighted: Σ loss / Σ w_target over those not ignored.
    """
    check_reduction(reduction)
    check_range(0, 1, label_smoothing=label_smoothing)
    if one := input.ndim == 1:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
    if input.ndim < 2 or input.shape[1] == 0:
        raise ValueError(f"cross_entropy: {input.shape} has no axis of at least one class")
    classes, divisor = input.shape[1], None
    check_floats("cross_entropy", input=input, weight=weight)
    if weight is not None and (weight.shape != (classes,) or weight.requires_grad):
        given = f"{weight.shape}, requires_grad={weight.requires_grad}"
        raise ValueError(f"cross_entropy: weight must be ({classes},) and constant, not {given}")
    w = 1.0 if weight is None else per_channel(weight, input).data
    share = label_smoothing / classes
    if target.is_floating_point():
        if target.shape != input.shape or ignore_index >= 0:
            raise ValueError(f"cross_entropy: {target.shape} for {input.shape}, {ignore_index=}")
        smooth = target.to(input.dtype) * (1 - label_smoothing) + share
    else:
        expected = (input.shape[0], *input.shape[2:])
        if target.dtype != int64 or target.shape != expected:
            given = f"{target.dtype} {target.shape}"
            raise ValueError(f"cross_entropy: {given} target; {input.shape} needs int64 {expected}")
        labels = target.data[:, None]
        one_hot = _one_hot(labels, classes, used := labels != ignore_index)
        smooth = wrap((one_hot * (1 - label_smoothing) + used * share).astype(input.dtype))
        if weight is not None or np.count_nonzero(used) < max(used.size, 1):
            divisor = float((one_hot * w).sum()) or math.nan
            input = where(wrap(used), input, 0.0)  # no gradient for the ignored, whatever they hold
    losses = _surprise(input, smooth if weight is None else smooth * w)
    return _reduced(losses.squeeze(0) if one else losses, reduction, divisor)


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero each element with probability p and scale the rest by 1/(1 − p); identity in eval."""
    check_range(0, 1, p=p)
    check_floats("dropout", input=input)
    if not training or p == 0:
        return input
    kept = np.empty_like(input.data, bool)  # lies in memory as the input does: the batch is last
    drawn = generator.integers(1 << 16, size=input.shape[::-1], dtype=np.uint16).T
    np.greater_equal(drawn, round(p * (1 << 16)), out=kept)
    scale = input.dtype.type(0.0 if p == 1 else 1 / (1 - p))
    return input * wrap(kept * scale)
