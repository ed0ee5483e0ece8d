"""Batch normalization by the statistics of a batch that is spread over processes.

Where each of N ranks has b rows, plain batch normalization has N batches of b: other means, other
variances, other gradients than one process has with N·b rows. Here it is one batch. All that takes
is one operation, a sum over ranks.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import checks, compiler, kernels
from ..batchnorm import BatchNorm, gradients_composed, move_towards, per_channel
from ..conv import Conv2d, MaxPool2d, pool_window, route
from ..engine import OUTPUT, Array, is_grad_enabled
from ..kernels.layout import L3_CACHE, blocks, channel_rows, from_channel_rows
from ..layers import Linear, ReLU
from ..module import Module
from ..tensor import (
    Tensor,
    masked,
    ones,
    record,
    record_joint,
    wrap,
    zeros,
)
from .ranks import gathered, summed

# --- a sum over ranks, as an operation ------------------------------------------------------------


def all_reduce(x: Tensor) -> Tensor:
    """Σ over the ranks of x, on each rank: an operation like any other. x: of one shape on all.

    Each x is part of the sum on every rank, so its gradient is the sum of what comes back from
    all of them: the operation is its own transpose. It must be recorded by all ranks or by none.

    >>> all_reduce(tensor([1.0, 2.0]))  # of one rank
    tensor([1., 2.])
    """
    return record(
        "all_reduce",
        summed(x.data),
        (x, lambda g, y: all_reduce(g)),
    )


# --- the statistics of a batch that is spread over ranks ------------------------------------------


def batch_norm_composed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> Tensor:
    """Algorithm 1, line for line, where each Σ is over all ranks; its gradients follow.

    SyncBatchNorm computes this; as written here it also gives the second derivatives.
    """
    axes = [axis for axis in range(x.ndim) if axis != 1]
    m = all_reduce(wrap(np.array(x.numel() / x.shape[1])))
    mean = all_reduce(x.sum(axes, keepdim=True)) / m
    squares = (x - mean) ** 2
    var = all_reduce(squares.sum(axes, keepdim=True)) / m
    x_hat = (x - mean) / (var + eps).sqrt()
    gamma = per_channel(weight, x.ndim)
    beta = per_channel(bias, x.ndim)
    return gamma * x_hat + beta


def own_moments(x: Array, eps: float) -> Array:
    """(1 + 2C,): of this rank's rows the values m in a channel, their mean, Σ (x − mean)²."""
    channels = x.shape[1]
    if x.size == 0:
        return np.zeros(1 + 2 * channels)
    m = x.size // channels
    no_rows = x[:0]  # nothing is to be normalized yet
    unused = np.zeros(channels, x.dtype)
    _, mean, var = kernels.batch_norm(x, unused, unused, eps, no_rows)
    return np.concatenate([[m], mean, m * var], dtype=float)


def moments(x: Array, eps: float) -> tuple[int, Array, Array]:
    """How many values a channel of the whole batch has, their mean and their variance, (C,).

    In one exchange. What the ranks have is put together by the formula for parallel variances,

        Σ (x − μ)² = Σ_ranks ( Σ (x − μ_rank)² + m_rank·(μ_rank − μ)² )

    and not by E[x²] − E[x]², which cancels. In float64, and in one order: all ranks find the same.
    """
    ends = (1, 1 + x.shape[1])
    every = gathered(own_moments(x, eps))
    counts, means, squares = np.split(every, ends, axis=1)
    m = int(counts.sum())
    mean = (counts * means).sum(0) / max(1, m)
    squares += counts * (means - mean) ** 2
    var = squares.sum(0) / max(1, m)
    return m, mean, var


def across(v: Array, x: Array) -> Array:
    """(C,) as (1, C, 1, …), in the dtype of x: to be broadcast along its axis 1."""
    after = [1] * (x.ndim - 2)
    return v.astype(x.dtype).reshape(1, -1, *after)


def batch_norm_train(
    inputs: tuple[Tensor, Tensor, Tensor],
    eps: float,
    relu: bool = False,
    pool: Any = None,
) -> tuple[Tensor, int, Array, Array]:
    """Algorithm 1 of x, γ and β as one operation. Returns y, and the whole batch's m, μ and σ².

    relu, pool: what follows it, joined to it as in chapter 13.
    """
    x, gamma, beta = inputs
    m, mean, var = moments(x.data, eps)
    if m == 1:
        raise ValueError("SyncBatchNorm: training needs more than 1 value per channel in all ranks")
    inv_std = 1 / np.sqrt(var + eps)
    window, chosen = None, x.data
    if pool is not None:
        window = pool_window(x.shape[2:], pool.kernel_size, pool.stride, 0, pool.dilation)
        checks.kernel_fits(window)
        chosen = kernels.max_pool2d(x.data, window)
    y = chosen - across(mean, chosen)
    y *= across(gamma.data * inv_std, y)
    y += across(beta.data, y)
    if relu:
        kernels.relu(y, y)

    def derivative(
        g: Tensor,
        y: Tensor,
        needed: Sequence[bool],
    ) -> list[Tensor | None]:
        if relu:
            g = masked(g, y.data <= 0)
        if window is not None:
            g = route(g, x, wrap(chosen), window)
        return gradients(g, inputs, m, mean, inv_std, eps, needed)

    used = (x, gamma, OUTPUT) if relu else (x, gamma)
    out = record_joint(
        "sync_batch_norm",
        y,
        inputs,
        derivative,
        used,
        eps=eps,
        window=window,
    )
    return out, m, mean, var


def gradients(
    g: Tensor,
    inputs: tuple[Tensor, ...],
    m: int,
    mean: Array,
    inv_std: Array,
    eps: float,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """∂L/∂x, ∂L/∂γ and ∂L/∂β, as in chapter 11 but for two sums, which are made in one exchange.

    Towards γ and β they are of this rank's rows, as every parameter's. Towards x, the projection
    takes away what the whole batch has in common: Σ g and Σ g·x̂ are those of all ranks.
    """
    x, gamma, _ = inputs
    mu = mean.astype(x.dtype)
    if is_grad_enabled():  # by create_graph
        return gradients_composed(g, inputs, mu, eps, batch_norm_composed)
    dx: Any
    dx, dgamma, dbeta = kernels.batch_norm_gradients(
        g.data,
        x.data,
        mu,
        inv_std.astype(x.dtype),
        gamma.data,
        to_x=False,
    )
    if needed[0]:
        own = np.array([dgamma, dbeta], float)
        slope, offset = summed(own) / max(1, m)
        scale = gamma.data * inv_std
        dx = projected(g.data, dx, inv_std * slope, offset, scale)
    found = zip((dx, dgamma, dbeta), needed, strict=True)
    return [wrap(array) if need else None for array, need in found]


def projected(
    g: Array,
    centred: Array,
    slope: Array,
    offset: Array,
    scale: Array,
) -> Array:
    """scale·(g − offset − slope·(x − μ)), per channel, into the memory of x − μ."""
    rows, rows_of_g = channel_rows(centred), channel_rows(g)
    for block in blocks(len(rows), 2 * rows[:1].nbytes, L3_CACHE):
        out = rows[block]
        out *= -slope[block, None].astype(g.dtype)
        out += rows_of_g[block]
        out -= offset[block, None].astype(g.dtype)
        out *= scale[block, None].astype(g.dtype)
    return from_channel_rows(rows, centred.shape)


class SyncBatchNorm(BatchNorm):
    """Batch normalization of (N, C, …) by the statistics of the whole batch, over all ranks.

    As BatchNorm1d and BatchNorm2d in all else. The ranks may have different numbers of rows, even
    none. In training all ranks must call it, forward and backward; in eval mode it asks nobody.

    >>> SyncBatchNorm(1, eps=0)(tensor([[1.0], [3.0]]))  # of one rank
    tensor([[-1.],
            [ 1.]], grad_fn=<sync_batch_norm>)
    """

    kinds: ClassVar = {2: "(N, C)", 3: "(N, C, L)", 4: "(N, C, H, W)"}

    def forward(self, input: Tensor) -> Tensor:
        """By the statistics of the whole batch in training; see BatchNorm."""
        has_statistics = self.running_mean is not None or self.running_var is not None
        if has_statistics and not self.training:
            return super().forward(input)
        return self.by_the_batch(input)

    def by_the_batch(
        self,
        input: Tensor,
        relu: bool = False,
        pool: Module | None = None,
    ) -> Tensor:
        """The same as in training, and the layers that follow it, if they are given."""
        checks.channels(self, input, self.kinds)
        gamma: Any = self.weight
        beta: Any = self.bias
        if gamma is None:
            gamma = ones(self.num_features, dtype=input.dtype)
        if beta is None:
            beta = zeros(self.num_features, dtype=input.dtype)
        inputs = (input, gamma, beta)
        y, m, mean, var = batch_norm_train(inputs, float(self.eps), relu, pool)
        if self.training and self.track_running_stats and m > 0:
            momentum = self.weight_of_newest_batch()
            move_towards(self.running_mean, mean, momentum)
            move_towards(self.running_var, var * m / (m - 1), momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.data += 1
        return y

    @classmethod
    def convert_sync_batchnorm(cls, module: Module) -> Module:
        """The model with a SyncBatchNorm in the place of each batch normalization.

        They share the parameters, buffers and options of those whose place they take. Convert a
        model before it is compiled.

        >>> SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(2)))[0]
        SyncBatchNorm(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
        """
        if isinstance(module, BatchNorm):
            synchronised = cls.__new__(cls)
            vars(synchronised).update(vars(module))
            return synchronised
        for name, child in module._submodules():
            vars(module)[name] = cls.convert_sync_batchnorm(child)
        return module


# --- joined with its neighbours -------------------------------------------------------------------


def sync_relu_pool(
    x: Tensor,
    norm: SyncBatchNorm,
    relu: Module,
    pool: Any = None,
) -> Any:
    """`compiler.norm_relu_pool` by the statistics of the whole batch."""
    if norm.training:
        return norm.by_the_batch(x, True, pool)
    return relu(norm(x if pool is None else pool(x)))


compiler.REWRITES += [
    ([Conv2d, SyncBatchNorm], compiler.is_affine, compiler.affine_norm),
    ([Linear, SyncBatchNorm], compiler.is_affine, compiler.affine_norm),
    ([SyncBatchNorm, ReLU, MaxPool2d], compiler.never_decreases, sync_relu_pool),
    ([SyncBatchNorm, ReLU], compiler.is_whole, sync_relu_pool),
]
