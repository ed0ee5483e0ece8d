"""[5] Batch normalization (Ioffe & Szegedy 2015, arXiv 1502.03167): the centre piece.

After this file you know what it computes in training (Algorithm 1) and at inference (Algorithm 2),
its gradient, and how it disappears into the layer before it. For the m values x_i of a feature:

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

import copy
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from .conv import channel_rows
from .engine import Array, grad, is_grad_enabled, no_grad
from .machine import in_blocks
from .tensor import Tensor, check_floats, check_range, ones, record, wrap, zeros

# --- Algorithm 1, twice ---------------------------------------------------------------------------


def per_channel(v: Tensor, like: Tensor) -> Tensor:
    return v.reshape(1, -1, *(1,) * (like.ndim - 2))


def batch_norm_composed(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5
) -> Tensor:
    """Algorithm 1, line for line, in tensor operations; its gradients follow by themselves."""
    axes = tuple(i for i in range(x.ndim) if i != 1)
    mean = x.mean(axes, keepdim=True)
    var = x.var(axes, correction=0, keepdim=True)
    x_hat = (x - mean) / (var + eps).sqrt()
    y = x_hat if weight is None else x_hat * per_channel(weight, x)
    return y if bias is None else y + per_channel(bias, x)


def batch_norm_train(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5
) -> tuple[Tensor, Array, Array]:
    """Algorithm 1 as one operation on (N, C, …). Returns y, and the batch's μ and σ², (C,)."""
    rows = channel_rows(x.data)
    (c, m), y, ones = rows.shape, np.empty_like(rows), np.ones(rows.shape[1], rows.dtype)
    mean, var, inv_std = np.empty((3, c, 1), rows.dtype)
    gamma = np.ones_like(mean) if weight is None else weight.data.reshape(c, 1)

    def normalize(channels: slice) -> None:
        # Measured from a value of its own, a channel's common offset does not drown the
        # differences, and a constant's mean is exact. Two passes: E[x²] − E[x]² would cancel.
        first = rows[channels, :1]
        centred = np.subtract(rows[channels], first, out=y[channels])
        offset = (centred @ ones)[:, None] / m
        mean[channels] = first + offset
        centred -= offset
        var[channels] = np.vecdot(centred, centred)[:, None] / m
        inv_std[channels] = 1 / np.sqrt(var[channels] + eps)
        centred *= gamma[channels] * inv_std[channels]
        if bias is not None:
            centred += bias.data[channels, None]

    in_blocks(normalize, c, 2 * rows[:1].nbytes)

    inputs = {k: t for k, t in enumerate((x, weight, bias)) if t is not None}
    known: dict[Tensor, Any] = {}  # asked for by each input, worked out once

    def gradient(g: Tensor, k: int) -> Any:
        if g not in known:
            known.clear()
            if is_grad_enabled():  # to be differentiated again: through the composed form
                copies = {i: t.clone() for i, t in inputs.items()}
                centred = copies[0] - per_channel(wrap(mean), x)
                y = batch_norm_composed(centred, copies.get(1), copies.get(2), eps)
                asked = {i: t for i, t in copies.items() if t.requires_grad}
                known[g] = dict(zip(asked, grad(y, [*asked.values()], g, None, True), strict=True))
            else:
                slopes = channel_rows(g.data)
                dx, *rest = closed_form(slopes, rows, mean, inv_std, gamma, x.requires_grad)
                known[g] = [wrap(_unrows(dx, x.shape)), *map(wrap, rest)]
        return known[g][k]

    towards = ((t, lambda g, _, k=k: gradient(g, k)) for k, t in inputs.items())
    return record("batch_norm", _unrows(y, x.shape), *towards), mean[:, 0], var[:, 0]


def six_equations(g: Array, x: Array, gamma: Array, eps: float = 1e-5) -> tuple[Array, ...]:
    """∂L/∂x, ∂L/∂γ and ∂L/∂β for x and g = ∂L/∂y of shape (m, C), as section 3 prints them."""
    m, mean, var = len(x), x.mean(0), x.var(0)
    x_hat = (x - mean) / np.sqrt(var + eps)
    d_x_hat = g * gamma
    d_var = (d_x_hat * (x - mean)).sum(0) * -0.5 * (var + eps) ** -1.5
    d_mean = -d_x_hat.sum(0) / np.sqrt(var + eps) + d_var * (-2 * (x - mean)).sum(0) / m
    d_x = d_x_hat / np.sqrt(var + eps) + d_var * 2 * (x - mean) / m + d_mean / m
    return d_x, (g * x_hat).sum(0), g.sum(0)


def closed_form(
    g: Array, x: Array, mean: Array, inv_std: Array, gamma: Array, to_x: bool = True
) -> tuple[Array, Array, Array]:
    """The same, simplified, for x and g with a row for each channel: (C, m); the others (C, 1).

        ∂γ = Σ g·x̂        ∂β = Σ g        ∂x = γ/√(σ² + ε) · (g − ∂β/m − x̂·∂γ/m)

    The bracket is a projection: shifting or scaling the batch does not change x̂, so g loses its
    mean, along 1, and its correlation with x̂. If nobody asks (to_x=False), ∂x is left unfinished.
    """
    (c, m), ones = x.shape, np.ones(x.shape[1], x.dtype)
    dx, dgamma, dbeta = np.empty(x.shape, x.dtype), np.empty(c, x.dtype), np.empty(c, x.dtype)

    def work(channels: slice) -> None:
        g_here, inv_std_here = g[channels], inv_std[channels]
        d = np.subtract(x[channels], mean[channels], out=dx[channels])
        dgamma[channels] = np.vecdot(g_here, d) * inv_std_here[:, 0]
        dbeta[channels] = g_here @ ones
        if to_x:
            d *= -inv_std_here * dgamma[channels, None] / m
            d += g_here
            d -= dbeta[channels, None] / m
            d *= gamma[channels] * inv_std_here

    in_blocks(work, c, 3 * x[:1].nbytes)
    return dx, dgamma, dbeta


def _unrows(rows: Array, shape: tuple[int, ...]) -> Array:
    """The rows as an array of `shape` (N, C, …) again."""
    return rows.reshape(*shape[1:], shape[0]).transpose(-1, *range(len(shape) - 1))


# --- inference and the population's statistics ----------------------------------------------------


def batch_norm_eval(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Inference: y = γ·(x − mean)/√(var + ε) + β, a fixed affine map of each channel.

    It depends on x alone, not on what else is in the batch. mean and var are constants here, so the
    gradient towards x is just g·γ/√(var + ε): nothing is projected out.
    """
    inv_std = wrap(1 / np.sqrt(var.data + eps))
    scale = inv_std if weight is None else inv_std * weight
    y = (x - per_channel(mean, x)) * per_channel(scale, x)
    return y if bias is None else y + per_channel(bias, x)


def check_batch(shape: tuple[int, ...], layer: Any) -> None:
    """ValueError if a channel has a single value: normalizing would make it 0, whatever it is."""
    if shape[0] * math.prod(shape[2:]) == 1:
        tip = ". Is it a last batch of one sample? Use drop_last=True, or .eval() for inference"
        raise ValueError(f"{layer}: training needs more than 1 value per channel, not {shape}{tip}")


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Batch normalization of (N, C, …), per channel; all other tensors are (C,).

    training: normalize by the batch's own statistics, and move the running ones, if given, by
    running ← (1 − momentum)·running + momentum·batch. The variance stored estimates that of the
    population: it is the unbiased one, m/(m − 1) times the one used. Otherwise: normalize by them.
    """
    if input.ndim < 2:
        raise ValueError(f"batch_norm needs (N, C, …), not {input.shape}")
    check_range(0, math.inf, eps=(eps := float(eps)))
    c, state = input.shape[1], {"running_mean": running_mean, "running_var": running_var}
    check_floats("batch_norm", input=input, weight=weight, bias=bias, **state)
    for name, v in (*state.items(), ("weight", weight), ("bias", bias)):
        if v is not None and (v.shape != (c,) or (name in state and v.requires_grad)):
            raise ValueError(f"batch_norm: {name} {v.shape} must be ({c},), a statistic constant")
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm needs running_mean and running_var when not training")
        return batch_norm_eval(input, running_mean, running_var, weight, bias, eps)
    if input.numel() == 0:
        return batch_norm_eval(input, zeros(c), ones(c), weight, bias, eps)
    check_batch(input.shape, "batch_norm")
    y, mean, var = batch_norm_train(input, weight, bias, eps)
    m = input.numel() // c
    for running, batch in ((running_mean, mean), (running_var, var * (m / (m - 1)))):
        if running is not None:
            running.data *= 1 - momentum
            running.data += momentum * batch
    return y


def population_statistics(model: Any, batches: Iterable[Any]) -> None:
    """Algorithm 2, lines 8–10: set the statistics for inference from batches of training inputs.

    Running averages follow the weights while these still move: they are for watching a training.
    When it is over, average over many batches: E[x] ← E_B[μ_B] and Var[x] ← E_B[σ_B² · m/(m − 1)],
    each batch weighted by its m. Layer by layer, in the order in which they are called: a layer is
    fed by the ones before it as they will be at inference. batches: inputs of the model, or tuples
    that begin with them. All is worked out on a copy, so that an error or a mode changes nothing.
    """
    inputs = [batch[0] if isinstance(batch, tuple | list) else batch for batch in batches]
    trial = copy.deepcopy(model).eval()
    layers = [m for m in trial.modules() if getattr(m, "running_var", None) is not None]
    if not inputs or not layers:
        raise ValueError(f"{len(inputs)} batches for {len(layers)} layers with running statistics")
    seen: dict[Any, int] = {}  # values by layer, in the order of the layers' first calls

    def weighting(layer: Any, x: Tensor) -> Any:
        seen[layer] = seen.get(layer, 0) + x.numel()
        layer.momentum = x.numel() / max(seen[layer], 1)  # the running average is the plain one
        return type(layer).forward(layer, x)

    with no_grad():
        for layer in layers:
            layer.forward = partial(weighting, layer)
        for x in inputs:
            trial(x)
        for layer in list(seen):
            seen[layer] = 0
            layer.train().reset_running_stats()
            for x in inputs:
                trial(x)
            layer.eval()
    for mine, found in zip(model.buffers(), trial.buffers(), strict=True):
        mine.data[...] = found.data


def _says(layer: Any, name: str) -> bool:
    """Whether `name` is set by the class whose `forward` the layer runs, not by a base class."""
    return next((name in vars(c) for c in type(layer).__mro__ if "forward" in vars(c)), False)


def _children(module: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any, Any]]:
    """(dotted name, parent, the child before it in a Sequential, child), at all depths."""
    before = None
    for name, child in module.named_children():
        yield prefix + name, module, before, child
        yield from _children(child, f"{prefix}{name}.")
        before = child if _says(module, "in_order") else None


def fold_batch_norm(model: Any) -> Any:
    """A copy for inference, each batch normalization folded into the layer before it.

    At inference it is an affine map (Algorithm 2, line 11), and so is a Linear or Conv2d; two in a
    row are one, with W' = W·γ/√(Var + ε) and b' = (b − E)·γ/√(Var + ε) + β. An empty Sequential is
    left in its place. ValueError names the first that cannot be folded. Inputs are (N, C, …).
    """
    folded = copy.deepcopy(model)
    uses = Counter(tensor for _, tensor in folded._tensors())
    for path, parent, before, bn in [("the model", None, None, folded), *_children(folded)]:
        if not hasattr(bn, "running_var"):
            continue
        if not _says(before, "is_linear") or len(before.weight) != bn.num_features:
            problem = "follows no Linear or Conv2d of as many channels in a Sequential"
        elif bn.training or bn.running_var is None:
            problem = "is in training mode, or keeps no statistics: call eval() first"
        elif uses[before.weight] > 1 or uses[before.bias] > 1 or uses[bn.running_var] > 1:
            problem = "or the layer before it is used more than once"
        else:
            w, scale = before.weight, 1 / np.sqrt(bn.running_var.data + bn.eps)
            scale *= 1 if bn.weight is None else bn.weight.data
            shift = (0 if before.bias is None else before.bias.data) - bn.running_mean.data
            shift = shift * scale + (0 if bn.bias is None else bn.bias.data)
            w.data = w.data * scale.reshape(-1, *(1,) * (w.ndim - 1))
            before.bias = type(w)(wrap(shift))
            setattr(parent, path.rpartition(".")[2], parent[:0])
            continue
        raise ValueError(f"{path} cannot be folded: {bn!r} {problem}")
    return folded
