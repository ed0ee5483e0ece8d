"""[12] Inference: the population's statistics (Algorithm 2), and batch normalization folded away.

In training a sample's output depends on the others in its batch. At inference that is neither
needed nor wanted: the layer normalizes by the statistics of the whole population, estimated once.
Then it is a fixed affine map, and can become part of the layer before it.
"""

import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from . import checks
from .batchnorm import BatchNorm
from .conv import Conv2d
from .engine import Array, no_grad
from .layers import Identity, Linear
from .module import Hook, Module, Parameter, Sequential
from .tensor import Tensor, wrap

# --- Algorithm 2, lines 8-10 ----------------------------------------------------------------------


def population_statistics(model: Module, batches: Iterable[Any]) -> None:
    """Set the statistics for inference from batches of training inputs.

    Running averages follow the weights while these still move: they are for watching a training.
    When it is over, average over many batches: E[x] ← E_B[μ_B] and Var[x] ← E_B[σ_B² · m/(m − 1)],
    each batch weighted by its m. Layer by layer, in the order in which they are called: a layer is
    fed by the ones before it as they will be at inference. batches: inputs of the model, or tuples
    that begin with them. All is worked out on a copy, so that an error or a mode changes nothing.

    >>> model = nn.Sequential(nn.BatchNorm1d(1))
    >>> population_statistics(model, [tensor([[1.0], [3.0]]), tensor([[5.0], [7.0]])])
    >>> model[0].running_mean, model[0].running_var
    (tensor([4.]), tensor([2.]))
    """
    inputs = [batch[0] if isinstance(batch, tuple | list) else batch for batch in batches]
    trial = copy.deepcopy(model).eval()
    layers, trials = tracking_layers(model), tracking_layers(trial)
    if not inputs or not layers:
        raise ValueError(f"{len(inputs)} batches for {len(layers)} layers with running statistics")
    called: list[BatchNorm] = []
    with no_grad():
        watched(trials, trial, inputs, lambda layer, *_: called.append(layer))
        for layer in dict.fromkeys(called):  # in the order of their first calls
            average_over(layer, trial, inputs)
    for layer, tried in zip(layers, trials, strict=True):
        layer.load_state_dict(tried.state_dict())


def tracking_layers(model: Module) -> list[BatchNorm]:
    """The batch normalizations that keep statistics."""
    layers = [module for module in model.modules() if isinstance(module, BatchNorm)]
    return [
        layer for layer in layers if layer.track_running_stats and layer.running_var is not None
    ]


def watched(
    layers: list[BatchNorm],
    model: Module,
    inputs: list[Any],
    note: Hook,
) -> None:
    """Run the model on all inputs; `note` is the hook that is called after each of the layers."""
    handles = [layer.register_forward_hook(note) for layer in layers]
    for x in inputs:
        model(x)
    for handle in handles:
        handle.remove()


def average_over(layer: Any, model: Module, inputs: list[Any]) -> None:
    """Set one layer's statistics, while all the others stay as they are at inference.

    A layer that is frozen, which is one whose `train` leaves it in eval mode, keeps its own.
    """
    layer.train()
    if not layer.training:
        return
    found = []

    def note(layer: Any, args: Any, output: Tensor) -> None:
        if output.numel() > 0:
            mean, var = layer.running_mean.clone(), layer.running_var.clone()
            found.append((output.numel(), mean, var))

    layer.momentum = 1.0  # so that the running statistics are those of the batch just seen
    layer.reset_running_stats()
    watched([layer], model, inputs, note)
    layer.eval()
    if found:
        counts, means, variances = zip(*found, strict=True)
        layer.running_mean.copy_(np.average(means, 0, counts))
        layer.running_var.copy_(np.average(variances, 0, counts))


# --- folding (Algorithm 2, line 11) ---------------------------------------------------------------


def fold_batch_norm(model: Module) -> Module:
    """A copy for inference, each batch normalization folded into the layer before it.

    At inference it is an affine map, and so is a Linear or Conv2d; two in a row are one, with
    W' = W·γ/√(Var + ε) and b' = (b − E)·γ/√(Var + ε) + β. An identity is left in its place.
    ValueError names the first that cannot be folded. After a Linear, inputs must be (N, C): where
    there are more axes, it works along the last one, and batch normalization along axis 1.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval()
    >>> fold_batch_norm(model)
    Sequential(
      (0): Linear(in_features=3, out_features=2, bias=True)
      (1): Folded()
    )
    """
    result = copy.deepcopy(model)
    uses = Counter([tensor for _, tensor in result._tensors()])  # how many names each one has
    if isinstance(result, BatchNorm):
        raise ValueError(f"the model cannot be folded: {result!r} follows no layer")
    for path, parent, before, layer in list(neighbours(result)):
        if isinstance(layer, BatchNorm):
            problem = why_not(before, layer, uses)
            if problem:
                raise ValueError(f"{path} cannot be folded: {layer!r} {problem}")
            before.weight.data, bias = folded(before, layer)
            before.bias = Parameter(wrap(bias), before.weight.requires_grad)
            place = Folded() if isinstance(before, Linear) else Identity()
            setattr(parent, path.rpartition(".")[2], place)
    return result


class Folded(Identity):
    """Left in the place of a batch normalization that has been folded into a Linear."""

    def forward(self, input: Tensor) -> Tensor:
        """The input; ValueError if its channels are not the features of the Linear."""
        checks.features_are_channels(input)
        return input


def neighbours(model: Module) -> Iterator[tuple[str, Module, Any, Module]]:
    """(dotted name, parent, the child before it in a Sequential, child), at all depths."""
    for prefix, parent in model._walk():
        before = None
        for name, child in parent._submodules():
            yield prefix + name, parent, before, child
            if forward_of(parent) is Sequential.forward:
                before = child


def forward_of(module: Any) -> Any:
    """What it computes, for `isinstance` is not enough: a subclass may have its own `forward`."""
    return getattr(type(module), "forward", None)  # a ModuleList has none


def why_not(before: Any, layer: BatchNorm, uses: Counter[Tensor]) -> str:
    """What stands against folding the layer into the one before it; empty if nothing does."""
    is_affine = forward_of(before) in (Linear.forward, Conv2d.forward)
    if not is_affine or len(before.weight) != layer.num_features:
        return "follows no Linear or Conv2d of as many channels in a Sequential"
    if forward_of(layer) is not BatchNorm.forward:
        return "has a forward of its own"
    if before._forward_hooks or layer._forward_hooks:
        return "or the layer before it has a forward hook: remove it first"
    if layer.training or layer.running_var is None:
        return "is in training mode, or keeps no statistics: call eval() first"
    if max(uses[before.weight], uses[before.bias], uses[layer.running_var]) > 1:
        return "or the layer before it is used more than once"
    return ""


def folded(before: Any, layer: Any) -> tuple[Array, Array]:
    """Weight and bias of a Linear or Conv2d that does what both of them do: W' and b'."""
    scale = 1 / np.sqrt(layer.running_var.data + float(layer.eps))
    if layer.weight is not None:
        scale = scale * layer.weight.data
    bias = 0 if before.bias is None else before.bias.data
    shift = (bias - layer.running_mean.data) * scale
    if layer.bias is not None:
        shift = shift + layer.bias.data
    weight = before.weight.data
    return weight * scale.reshape(-1, *[1] * (weight.ndim - 1)), shift
