"""[13] A compiler: the same values and gradients, in fewer passes over memory.

Layers know nothing of each other: each reads all of its input and writes all of its output, and for
small kernels it is this that takes the time, not the arithmetic. A compiler sees what stands side
by side, and uses what it knows about it. Here that is three facts:

1. Where a function f never decreases, max f(x_i) = f(max x_i). So after max-pooling a ReLU has only
   a quarter of the numbers to do, and batch normalization with γ > 0 and a ReLU likewise: what they
   would have made of the other three quarters nobody ever reads. The statistics are those of all.
2. Batch normalization's gradient does not need its output, so the ReLU after it may overwrite it.
3. At inference batch normalization is an affine map of each channel: new weights for the layer
   before it (Algorithm 2, line 11).

Each is a rewrite: a pattern of layers in a `Sequential`, a condition, and what replaces it. To add
one, add it to the table at the end.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import checks, kernels
from .batchnorm import (
    BatchNorm,
    BatchNorm1d,
    BatchNorm2d,
    gradients,
    in_training,
)
from .conv import Conv2d, MaxPool2d, pool_window, route
from .engine import OUTPUT, Array, is_grad_enabled
from .inference import folded, forward_of
from .layers import Linear, ReLU
from .module import Module, Sequential, one_by_one, runner
from .tensor import Tensor, masked, record_joint, wrap

# --- what replaces a pattern ----------------------------------------------------------------------


def pool_relu(x: Tensor, relu: Module, pool: Module) -> Any:
    """ReLU after max-pooling instead of before."""
    return relu(pool(x))


def norm_relu_pool(
    x: Tensor,
    norm: Any,
    relu: Module,
    pool: Any = None,
) -> Any:
    """Of each window the largest x, and what batch normalization and ReLU make of it.

    Without a pooling layer: batch normalization and ReLU.
    """
    if norm.training and x.numel() > 0:
        before = in_training.set(functools.partial(norm_relu_pool_train, pool))
        try:
            return norm(x)
        finally:
            in_training.reset(before)
    return relu(norm(x if pool is None else pool(x)))


def norm_relu_pool_train(
    pool: Any,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Array, Array]:
    """The operation in training, with the statistics of all x. Returns these too.

    The gradient goes back through ReLU where y > 0, through the pooling to the winners among x, and
    then through batch normalization as in chapter 11.
    """
    window = None
    largest: Any = None
    if pool is not None:
        window = pool_window(x.shape[2:], pool.kernel_size, pool.stride, 0, pool.dilation)
        checks.kernel_fits(window)
        largest = kernels.max_pool2d(x.data, window)
    y, mean, var = kernels.batch_norm(x.data, weight.data, bias.data, eps, largest)
    kernels.relu(y, y)
    inputs = (x, weight, bias)

    def derivative(g: Tensor, y: Tensor, needed: Sequence[bool]) -> list[Tensor | None]:
        g = masked(g, y.data <= 0)
        if window is not None:
            g = route(g, x, wrap(largest), window)
        return gradients(g, inputs, mean, var, eps, needed)

    used = (x, weight, OUTPUT)
    out = record_joint("batch_norm_relu", y, inputs, derivative, used, eps=eps, window=window)
    return out, mean, var


def affine_norm(x: Tensor, before: Any, norm: BatchNorm) -> Any:
    """At inference: the layer before it, with other weights.

    Not where gradients may be wanted, nor where to make these weights would take longer than batch
    normalization: if each is used for fewer results than it is a sum of.
    """
    weights = before.weight.data
    if is_grad_enabled() or x.ndim != weights.ndim:
        return norm(before(x))
    places = x.numel() // x.shape[1]
    if places < weights[0].size:
        return norm(before(x))
    weight, bias = map(wrap, folded(before, norm))
    changed = copy.copy(before)
    vars(changed).update(weight=weight, bias=bias)
    return changed(x)


# --- whether that is the same ---------------------------------------------------------------------


def has_no_padding(relu: Module, pool: MaxPool2d) -> bool:
    """Whether the windows of the pooling lie inside the image."""
    return pool.padding in (0, (0, 0)) and not pool.ceil_mode


def is_whole(norm: BatchNorm, *others: Module) -> bool:
    """Whether it has what it usually has: γ, β, and running statistics."""
    return None not in (norm.weight, norm.bias, norm.running_mean, norm.running_var)


def never_decreases(norm: Any, relu: Module, pool: MaxPool2d) -> bool:
    """Whether y grows with x: γ > 0 in all channels. With γ < 0 the smallest x would win."""
    usual = is_whole(norm) and has_no_padding(relu, pool)
    return usual and bool((norm.weight.data > 0).all())


def is_affine(before: Any, norm: BatchNorm) -> bool:
    """Whether batch normalization is a fixed affine map of what the layer before it makes."""
    return is_whole(norm) and not norm.training and len(before.weight) == norm.num_features


# The pattern; whether its layers, as they are now, can be replaced; and by what, a function of the
# input and the layers. The first that fits is taken.
REWRITES: list[tuple[Any, ...]] = [
    ([Conv2d, BatchNorm2d], is_affine, affine_norm),
    ([Linear, BatchNorm1d], is_affine, affine_norm),
    ([BatchNorm2d, ReLU, MaxPool2d], never_decreases, norm_relu_pool),
    ([BatchNorm2d, ReLU], is_whole, norm_relu_pool),
    ([BatchNorm1d, ReLU], is_whole, norm_relu_pool),
    ([ReLU, MaxPool2d], has_no_padding, pool_relu),
]


# --- the compiler ---------------------------------------------------------------------------------

Joining = Callable[..., Any] | None  # of the input and the layers; None for a layer on its own


def groups(layers: list[Module]) -> Iterator[tuple[Joining, list[Module]]]:
    """The layers in order: those that are joined with what joins them, the others one by one."""
    while layers:
        function, count = joined_first(layers)
        yield function, layers[:count]
        layers = layers[count:]


def joined_first(layers: list[Module]) -> tuple[Joining, int]:
    """What joins the first of the layers, and how many; None and 1, if nothing does."""
    for pattern, fits, joined in REWRITES:
        group = layers[: len(pattern)]
        same = list(map(type, group)) == pattern  # exactly: a subclass may compute something else
        if same and not any(map(is_watched, group)) and fits(*group):
            return joined, len(group)
    return None, 1


def is_watched(layer: Module) -> bool:
    """Whether somebody has hooked into what it computes, or replaced it."""
    return bool(layer._forward_hooks) or "forward" in vars(layer)


def run(layers: list[Module], input: Any) -> Any:
    """The same as `one_by_one`."""
    for function, group in groups(layers):
        if function and isinstance(input, Tensor):
            input = function(input, *group)
        else:
            input = one_by_one(group, input)
    return input


def compile(model: Module) -> Module:
    """The model, so that calling it takes fewer passes: the same values, gradients and statistics.

    It shares all that the model has: parameters, buffers, mode, the keys of `state_dict`. What can
    be joined is decided anew at each call; the rest runs as it is. Printed, it shows what is joined
    in the mode that it is in.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.ReLU())
    >>> compile(model)
    Compiled(Sequential(
      (0): Linear(in_features=3, out_features=2, bias=True)
      (1): BatchNorm1d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
      (2): ReLU()
    ))
    joined: 1 BatchNorm1d + 2 ReLU
    """
    if not isinstance(model, Module):
        raise TypeError(f"compile takes a module, not {type(model).__name__}")
    kind: Any = type("Compiled", (Joined, type(model)), {})  # the model's class, run in another way
    compiled: Any = kind.__new__(kind)
    compiled.__dict__ = vars(model)  # the same: what is set in one of them is set in both
    compiled._orig_mod = model
    return compiled  # type: ignore[no-any-return]


class Joined:
    """What a compiled model has before what its own class has."""

    __slots__ = ("_orig_mod",)
    _orig_mod: Any  # PyTorch's name for the model that was compiled

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's, with every Sequential in it run by the compiler."""
        before = runner.set(run)
        try:
            return self._orig_mod.forward(*args, **kwargs)
        finally:
            runner.reset(before)

    def __reduce__(self) -> Any:
        """A copy shares with a copy of the model, not with the model."""
        return compile, (self._orig_mod,)

    def __repr__(self) -> str:
        """The model, and the layers that are joined."""
        lines = [f"joined: {text}" for text in joins(self._orig_mod)]
        return "\n".join([f"Compiled({self._orig_mod!r})", *lines])


def joins(model: Module) -> Iterator[str]:
    """The layers that are joined, with their names, at all depths."""
    for prefix, module in model._walk():
        if forward_of(module) is Sequential.forward:
            children = module._submodules()
            names = (prefix + name for name, _ in children)
            for _, group in groups([child for _, child in children]):
                labels = [f"{next(names)} {type(layer).__name__}" for layer in group]
                if len(group) > 1:
                    yield " + ".join(labels)
