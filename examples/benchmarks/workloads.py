"""The works: networks and batches as plain data, from which every library builds its own.

A network is a list of layers, each a name and its sizes, such as ("conv", 1, 16). Its weights are a
dictionary of NumPy arrays under PyTorch's names, such as "0.weight", so that every library starts
from the same ones.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

Layer = tuple[Any, ...]
Shape = tuple[int, ...]


class Work(NamedTuple):
    """One network, one batch size, and whether a call is a training step or an inference."""

    name: str
    layers: list[Layer]
    batch: int
    sample: Shape = (1, 28, 28)  # the shape of one input
    training: bool = True


# Of the optimizer, and of batch normalization: PyTorch's names
SGD = {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
EPS, MOMENTUM = 1e-5, 0.1


def block(n: int, m: int, activation: str = "relu") -> list[Layer]:
    """A linear layer, batch normalization (so no bias before it), and an activation."""
    return [("linear", n, m, False), ("bn1d", m), (activation,)]


def mlp(*widths: int, activation: str) -> list[Layer]:
    *hidden, (last, classes) = pairwise(widths)
    blocks = [layer for n, m in hidden for layer in block(n, m, activation)]
    return [*blocks, ("linear", last, classes, True)]


def convolutions(*channels: int) -> list[Layer]:
    """Blocks of 3×3 convolution, batch normalization, ReLU and pooling."""
    return [
        layer
        for c, d in pairwise((1, *channels))
        for layer in (("conv", c, d), ("bn2d", d), ("relu",), ("pool",))
    ]


def example_cnn(side: int = 28, dropout: float = 0.3) -> list[Layer]:
    """The network of examples/mnist_cnn.py."""
    flat = 32 * (side // 2 // 2) ** 2
    head = [("flatten",), ("dropout", dropout), *block(flat, 128), ("linear", 128, 10, True)]
    return [*convolutions(16, 32), *head]


# Twice and four times the channels of the example: more arithmetic per byte.
DEEPER_CNN = [*convolutions(32, 64, 128), ("flatten",), ("linear", 128 * 3 * 3, 10, True)]
WORKS = [
    Work("paper MLP, batch 60", mlp(784, 100, 100, 100, 10, activation="sigmoid"), 60, (784,)),
    Work("wide MLP, batch 128", mlp(784, 512, 256, 10, activation="relu"), 128, (784,)),
    Work("example CNN, batch 64", example_cnn(), 64),
    Work("example CNN, batch 128", example_cnn(), 128),
    Work("deeper CNN, batch 64", DEEPER_CNN, 64),
    Work("inference, batch 1", example_cnn(), 1, training=False),
    Work("inference, batch 1,000", example_cnn(), 1000, training=False),
]
PAPER_MLP, EXAMPLE_CNN_128 = WORKS[0], WORKS[3]


def shapes(work: Work) -> Iterator[tuple[Layer, Shape]]:
    """Each layer with the shape of what it makes of one sample."""
    shape = tuple(work.sample)
    for layer in work.layers:
        if layer[0] == "linear":
            shape = (layer[2],)
        elif layer[0] == "conv":
            shape = (layer[2], *shape[1:])
        elif layer[0] == "pool":
            shape = (shape[0], shape[1] // 2, shape[2] // 2)
        elif layer[0] == "flatten":
            shape = (math.prod(shape),)
        yield layer, shape


def weights(work: Work, seed: int = 0) -> dict[str, Any]:
    """Parameters and buffers under PyTorch's names, drawn as PyTorch draws them."""
    import numpy as np  # not at the top: a library's own import is part of what is measured

    rng, found = np.random.default_rng(seed), {}
    for i, (kind, *sizes) in enumerate(work.layers):
        if kind in ("linear", "conv"):
            n, m = sizes[:2]
            shape = (m, n) if kind == "linear" else (m, n, 3, 3)
            bound = 1 / math.sqrt(math.prod(shape[1:]))
            found[f"{i}.weight"] = rng.uniform(-bound, bound, shape).astype(np.float32)
            if kind == "linear" and sizes[2]:
                found[f"{i}.bias"] = rng.uniform(-bound, bound, m).astype(np.float32)
        elif kind.startswith("bn"):
            ones = np.ones(sizes[0], np.float32)
            found |= {f"{i}.weight": ones, f"{i}.bias": 0 * ones}
            found |= {f"{i}.running_mean": 0 * ones, f"{i}.running_var": 1 * ones}
            found[f"{i}.num_batches_tracked"] = np.array(0)
            if not work.training:  # as if it had been trained
                found[f"{i}.running_mean"] = rng.normal(0, 0.1, len(ones)).astype(np.float32)
                found[f"{i}.running_var"] = rng.uniform(0.5, 1.5, len(ones)).astype(np.float32)
    return found


def batch(work: Work, seed: int = 0) -> tuple[Any, Any]:
    """Random inputs and labels: how long a step takes does not depend on what is in them."""
    import numpy as np

    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((work.batch, *work.sample), np.float32)
    return inputs, rng.integers(0, 10, work.batch)


def split(weights: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights as parameters and as running statistics."""
    parameters = {k: v for k, v in weights.items() if k.endswith(("weight", "bias"))}
    running = {k: v for k, v in weights.items() if "running" in k}
    return parameters, running
