"""[7] The functions of `torch.nn.functional`: layers without state.

Activations, the softmax family, losses and dropout. Convolution, pooling and batch normalization
are re-exported from the two files before.
"""

from __future__ import annotations

import numpy as np

from .batchnorm import batch_norm, check_batch, check_eps
from .conv import Pair, avg_pool2d, check_pool, conv2d, margins, max_pool2d, pair
from .engine import Array
from .tensor import Tensor, generator, int64, record, wrap

__all__ = [
    "Pair", "avg_pool2d", "batch_norm", "check_batch", "check_eps", "check_pool", "conv2d",
    "margins", "max_pool2d", "pair",
]  # fmt: skip
relu, sigmoid, tanh = Tensor.relu, Tensor.sigmoid, Tensor.tanh


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b for x (…, in), W (out, in) and b (out,)."""
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: input {input.shape} does not fit weight {weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias must have shape {weight.shape[:1]}, not {bias.shape}")
    if not input.dtype == weight.dtype == (weight if bias is None else bias).dtype:
        raise TypeError(f"linear: input is {input.dtype}, weight {weight.dtype}; use .to(dtype)")
    y = input.data @ weight.data.T
    inputs = [
        (input, lambda g, y: g @ weight),
        (weight, lambda g, y: _as_rows(g).T @ _as_rows(input)),
    ]
    if bias is not None:
        y += bias.data
        inputs.append((bias, lambda g, y: g))
    return record("linear", y, *inputs)


def _as_rows(x: Tensor) -> Tensor:
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def softmax(input: Tensor, dim: int) -> Tensor:
    """e^(x_i) / Σ_j e^(x_j) along `dim`; the maximum is subtracted first, so nothing overflows."""
    e = np.exp(input.data - input.data.max(dim, keepdims=True))
    y = e / e.sum(dim, keepdims=True)
    return record("softmax", y, (input, lambda g, y: y * (g - (g * y).sum(dim, keepdim=True))))


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """x_i − log Σ_j e^(x_j) along `dim`, without forming softmax (whose log could be −∞)."""
    shifted = input.data - input.data.max(dim, keepdims=True)
    y = shifted - np.log(np.exp(shifted).sum(dim, keepdims=True))
    return record("log_softmax", y, (input, lambda g, y: g - y.exp() * g.sum(dim, keepdim=True)))


def _reduced(losses: Tensor, reduction: str, divisor: float | None = None) -> Tensor:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / (divisor or losses.numel())


def check_reduction(reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")


def check_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be between 0 and 1, not {value}")


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(x − t)², averaged, summed, or as it is. Shapes must agree."""
    check_reduction(reduction)
    if input.shape != target.shape:
        raise ValueError(f"mse_loss: input {input.shape} and target {target.shape} differ")
    difference = input - target
    return _reduced(difference * difference, reduction)


def _one_hot(labels: Array, classes: int, ignore_index: int) -> Array:
    """Class indices (N, …) as rows (N, C, …) with a single 1; all 0 for an ignored one."""
    ignored = labels == ignore_index
    wrong = ((labels < 0) | (labels >= classes)) & ~ignored
    if wrong.any():
        raise ValueError(f"cross_entropy: {labels[wrong][0]} is no class index in [0, {classes})")
    one_hot = np.arange(classes) == np.where(ignored, -1, labels)[..., None]
    return np.moveaxis(one_hot, -1, 1)


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """−Σ_c w_c t_c log softmax(x)_c: how surprised the scores x are by the true classes.

    input: scores (C,), (N, C) or (N, C, d1, …). target: class indices of the same shape without C,
    or class probabilities of the same shape. weight: (C,). label_smoothing s: the target becomes
    (1 − s)·t + s/C. The mean over indices is weighted: Σ loss / Σ w_target over those not ignored.
    """
    check_reduction(reduction)
    check_fraction("label_smoothing", label_smoothing)
    if input.ndim == 1:
        row = (input.unsqueeze(0), target.unsqueeze(0), weight, ignore_index)
        loss = cross_entropy(*row, reduction, label_smoothing)
        return loss.squeeze(0) if reduction == "none" else loss
    classes = input.shape[1] if input.ndim else 0
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"cross_entropy: weight must have shape ({classes},), not {weight.shape}")
    w = 1.0 if weight is None else weight.data.reshape(-1, *(1,) * (input.ndim - 2))
    if target.is_floating_point():
        if target.shape != input.shape:
            raise ValueError(f"cross_entropy: input {input.shape}, probabilities {target.shape}")
        smooth = target * (1 - label_smoothing) + label_smoothing / classes
        losses = -(log_softmax(input, 1) * smooth * w).sum(1)
        return _reduced(losses, reduction)
    expected = (input.shape[0], *input.shape[2:])
    if target.dtype != int64 or target.shape != expected:
        given = f"{target.dtype} {target.shape}"
        raise ValueError(f"cross_entropy: {given} target; {input.shape} needs int64 {expected}")
    one_hot = _one_hot(target.data, classes, ignore_index)
    uniform = label_smoothing / classes * one_hot.any(1, keepdims=True)
    weighted = ((1 - label_smoothing) * one_hot + uniform) * w
    losses = -(log_softmax(input, 1) * wrap(weighted.astype(input.dtype))).sum(1)
    return _reduced(losses, reduction, float((one_hot * w).sum()))


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero each element with probability p and scale the rest by 1/(1 − p); identity in eval."""
    check_fraction("p", p)
    if not training or p == 0:
        return input
    kept = generator().random(input.shape, np.float32) >= p
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return input * wrap((kept * scale).astype(input.dtype))
