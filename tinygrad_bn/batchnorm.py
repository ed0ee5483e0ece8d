"""[5] Batch normalization (Ioffe & Szegedy 2015, arXiv 1502.03167): the centre piece.

For one feature with values x_1 … x_m in a mini-batch, Algorithm 1 of the paper computes

    μ = (1/m) Σ x_i         σ² = (1/m) Σ (x_i − μ)²         mini-batch mean and variance
    x̂_i = (x_i − μ) / √(σ² + ε)                             normalize
    y_i = γ x̂_i + β                                         scale and shift

The m values of a channel are its values over all axes but axis 1: the batch for (N, C), the batch
and every location for (N, C, L) and (N, C, H, W).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from .engine import Array, grad, is_grad_enabled
from .memory import empty
from .tensor import Tensor, record, wrap


def _per_channel(v: Tensor, ndim: int) -> Tensor:
    """A (C,) tensor shaped to be broadcast over (N, C, …)."""
    return v.reshape(1, -1, *(1,) * (ndim - 2))


def batch_norm_composed(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5
) -> Tensor:
    """Algorithm 1, line for line, in tensor operations; its derivatives follow by themselves."""
    axes = tuple(i for i in range(x.ndim) if i != 1)
    mean = x.mean(axes, keepdim=True)
    var = x.var(axes, correction=0, keepdim=True)
    x_hat = (x - mean) / (var + eps).sqrt()
    y = x_hat if weight is None else x_hat * _per_channel(weight, x.ndim)
    return y if bias is None else y + _per_channel(bias, x.ndim)


# The kernels see (N, C, …) as a matrix (m, C), one row per value of each channel. A ufunc's inner
# loop is one row long, so they take the matrix as (m/r, r·C) and repeat what is per channel r times.


def _wide(x: Array, r: int) -> Array:
    """(N, C, …) as a matrix (m/r, r·C): no copy if the channels already lie last in memory."""
    if x.ndim > 2:
        x = x.transpose(0, *range(2, x.ndim), 1)
    return np.ascontiguousarray(x).reshape(-1, r * x.shape[-1])


def _unwide(matrix: Array, shape: tuple[int, ...]) -> Array:
    """The matrix as an array of `shape` (N, C, …) again."""
    if len(shape) == 2:
        return matrix.reshape(shape)
    last = matrix.reshape(shape[0], *shape[2:], shape[1])
    return last.transpose(0, last.ndim - 1, *range(1, last.ndim - 1))


def _repeats(m: int, c: int) -> int:
    """How many of the m rows of C values to take as one."""
    return math.gcd(m, 64) if c < 64 else 1


def _sum(matrix: Array, r: int) -> Array:
    """The sum over each channel. A product with ones is the fastest sum over rows there is."""
    total = np.ones(len(matrix), matrix.dtype) @ matrix
    return total if r == 1 else total.reshape(r, -1).sum(0)


def _centre(x: Array, mean: Array, r: int) -> Array:
    """x − mean, in memory of its own."""
    return np.subtract(x, np.tile(mean, r), out=empty(x.shape, x.dtype))


def batch_norm_train(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5
) -> tuple[Tensor, Array, Array]:
    """Algorithm 1 as one operation. Returns y, and the batch's mean and biased variance (C,)."""
    m, c = x.numel() // max(x.shape[1], 1), x.shape[1]
    r = _repeats(m, c)
    rows = _wide(x.data, r)
    # Measured from a value of its own, a channel's large common offset costs no digits, and the
    # mean of a constant channel is exact.
    first = rows[0, :c]
    mean = first + _sum(_centre(rows, first, r), r) / m
    centred = _centre(rows, mean, r)
    var = _sum(np.multiply(centred, centred, out=empty(rows.shape, rows.dtype)), r) / m
    inv_std = 1 / np.sqrt(var + eps)
    y = np.multiply(
        centred,
        np.tile(inv_std if weight is None else inv_std * weight.data, r),
        out=empty(rows.shape, rows.dtype),
    )
    if bias is not None:
        y += np.tile(bias.data, r)
    inputs = [t for t in (x, weight, bias) if t is not None]

    @lru_cache(maxsize=1)  # asked once for each input, worked out once
    def gradients(g: Tensor) -> dict[int, Tensor]:
        if is_grad_enabled():  # to be differentiated again: go by way of the composed form
            wanted = [t for t in inputs if t.requires_grad]
            y = batch_norm_composed(x, weight, bias, eps)
            found = grad(y, wanted, g, create_graph=True)
            return {id(t): d for t, d in zip(wanted, found, strict=True)}
        gamma = None if weight is None else weight.data
        dx, dgamma, dbeta = _backward(_wide(g.data, r), rows, mean, inv_std, gamma, r)
        return {id(x): wrap(_unwide(dx, x.shape)), id(weight): wrap(dgamma), id(bias): wrap(dbeta)}

    towards = [(t, lambda g, _, t=t: gradients(g)[id(t)]) for t in inputs]
    return record("batch_norm", _unwide(y, x.shape), *towards), mean, var


def _backward(
    g: Array, x: Array, mean: Array, inv_std: Array, gamma: Array | None, r: int
) -> tuple[Array, Array, Array]:
    """The paper's gradients in closed form: remove from g its parts along 1 and x̂.

    ∂γ = Σ g·x̂,  ∂β = Σ g,  ∂x = γ/√(σ² + ε) · (g − ∂β/m − x̂·∂γ/m)
    """
    m = len(g) * r
    centred = _centre(x, mean, r)
    dbeta = _sum(g, r)
    dx = np.multiply(g, centred, out=empty(g.shape, g.dtype))
    dgamma = _sum(dx, r) * inv_std
    scale = inv_std if gamma is None else inv_std * gamma
    np.multiply(centred, np.tile(-scale * inv_std * dgamma / m, r), out=centred)
    np.multiply(g, np.tile(scale, r), out=dx)
    dx += centred
    dx -= np.tile(scale * dbeta / m, r)
    return dx, dgamma, dbeta


def batch_norm_eval(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Inference: a fixed affine map per channel, y = γ·(x − mean)/√(var + ε) + β."""
    inv_std = 1.0 / (var + eps).sqrt()
    scale = inv_std if weight is None else inv_std * weight
    y = (x - _per_channel(mean, x.ndim)) * _per_channel(scale, x.ndim)
    return y if bias is None else y + _per_channel(bias, x.ndim)


def check_eps(eps: float) -> None:
    if not eps >= 0:
        raise ValueError(f"eps must be ≥ 0, not {eps}")


def check_batch(shape: tuple[int, ...], layer: str) -> None:
    """ValueError if a channel has a single value: normalising would make it 0, whatever it is."""
    if shape[0] * math.prod(shape[2:]) == 1:
        raise ValueError(
            f"{layer}: expected more than 1 value per channel when training, got input size"
            f" {shape}. Usually the last batch of an epoch has a single sample: drop it"
            " (drop_last=True), or call .eval() to use the running statistics"
        )


def update_running(running: Any, batch: Array, factor: float) -> None:
    """running ← (1 − factor)·running + factor·batch, in place."""
    running.data *= 1 - factor
    running.data += factor * batch


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Batch normalization of (N, C, …), per channel.

    training: normalise by the batch's own statistics, and move the running ones, if given, by
    running ← (1 − momentum)·running + momentum·batch; the variance stored is the unbiased one,
    m/(m − 1) times that used. Otherwise: normalise by the running statistics, which are needed.
    """
    if input.ndim < 2 or not input.is_floating_point():
        raise ValueError(f"batch_norm needs floating (N, C, …), not {input.dtype} {input.shape}")
    c = input.shape[1]
    for name, v in (
        ("running_mean", running_mean), ("running_var", running_var), ("weight", weight),
        ("bias", bias),
    ):  # fmt: skip
        if v is not None and v.shape != (c,):
            raise ValueError(f"batch_norm: {name} must have shape ({c},), not {v.shape}")
    check_eps(eps)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm needs running_mean and running_var when not training")
        return batch_norm_eval(input, running_mean, running_var, weight, bias, eps)
    check_batch(input.shape, "batch_norm")
    y, mean, var = batch_norm_train(input, weight, bias, eps)
    m = input.numel() // max(c, 1)
    if running_mean is not None:
        update_running(running_mean, mean, momentum)
    if running_var is not None:
        update_running(running_var, var * (m / (m - 1)), momentum)
    return y
