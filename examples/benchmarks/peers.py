"""How each library does a piece of work: one function per library, which builds what it needs once
and returns a function without arguments, the training step or the inference that is measured.

Each is written as a user of that library would write it, and all compute the same: `run.py --check`
compares their results. A library is imported inside its function, in a process of its own.
"""

import os
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, NamedTuple

from work import PAPER_MLP, Work, shapes

SGD = {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
EPS, NEWEST = 1e-5, 0.1  # of batch normalization: PyTorch's defaults
Call = Callable[[], Any]


def numbers(result: Any) -> Any:
    """What a call returned, the loss or the scores, as a NumPy array."""
    import numpy as np

    result = result.detach() if hasattr(result, "detach") else result
    return np.asarray(result.numpy() if hasattr(result, "numpy") else result)


# --- tinygrad_bn and PyTorch: the same program ----------------------------------------------------


def network(nn: Any, work: Work) -> Any:
    """The network, from the layers of either library."""
    make = {
        "conv": lambda n, m: nn.Conv2d(n, m, 3, padding=1, bias=False),
        "linear": lambda n, m, bias: nn.Linear(n, m, bias=bias),
        "bn1d": nn.BatchNorm1d,
        "bn2d": nn.BatchNorm2d,
        "relu": nn.ReLU,
        "sigmoid": nn.Sigmoid,
        "pool": lambda: nn.MaxPool2d(2),
        "flatten": nn.Flatten,
        "dropout": nn.Dropout,
    }
    return nn.Sequential(*(make[kind](*sizes) for kind, *sizes in work.layers))


def program(lib: Any, work: Work, model: Any, x: Any, y: Any) -> Call:
    model.train(work.training)
    optimizer = lib.SGD(model.parameters(), **SGD)

    def step() -> Any:
        optimizer.zero_grad()
        loss = lib.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def infer() -> Any:
        with lib.no_grad():
            return model(x)

    return step if work.training else infer


def tinygrad_bn(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Call:
    from tinygrad_bn import nn, no_grad, optim, tensor
    from tinygrad_bn.nn.functional import cross_entropy

    model = network(nn, work)
    model.load_state_dict(weights)
    lib = SimpleNamespace(SGD=optim.SGD, cross_entropy=cross_entropy, no_grad=no_grad)
    return program(lib, work, model, tensor(x), tensor(y))


def pytorch(work: Work, weights: dict[str, Any], x: Any, y: Any, order: str = "") -> Call:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = network(torch.nn, work)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    if order:
        model, x = (v.to(memory_format=getattr(torch, order)) for v in (model, x))
    cross_entropy = torch.nn.functional.cross_entropy
    lib = SimpleNamespace(SGD=torch.optim.SGD, cross_entropy=cross_entropy, no_grad=torch.no_grad)
    return program(lib, work, model, x, y)


def pytorch_channels_last(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Call:
    return pytorch(work, weights, x, y, order="channels_last")


# --- JAX and autograd: the loss as a function of the parameters -----------------------------------


def functional(np: Any, ops: dict[str, Any], work: Work, values: Any, x: Any) -> tuple[Any, Any]:
    """The scores, and the new running statistics. np: NumPy, as the library offers it.

    Channels come last, in images and in matrices: the mean is over all axes but the last.
    """
    running = {}
    for i, (kind, *sizes) in enumerate(work.layers):
        if kind == "linear":
            x = x @ values[f"{i}.weight"].T
            x = x + values[f"{i}.bias"] if sizes[2] else x
        elif kind.startswith("bn"):
            mean, var = values[f"{i}.running_mean"], values[f"{i}.running_var"]
            if work.training:
                axes, n = tuple(range(x.ndim - 1)), x.size // sizes[0]
                old_mean, old_var, mean = mean, var, np.mean(x, axes)
                var = np.mean((x - mean) ** 2, axes)
                running[f"{i}.running_mean"] = old_mean + NEWEST * (mean - old_mean)
                running[f"{i}.running_var"] = old_var + NEWEST * (var * n / (n - 1) - old_var)
            scale = values[f"{i}.weight"] / np.sqrt(var + EPS)
            x = x * scale + (values[f"{i}.bias"] - mean * scale)
        elif kind == "relu":
            x = np.maximum(x, 0)
        elif kind == "sigmoid":
            x = 1 / (1 + np.exp(-x))
        elif kind == "flatten":
            x = np.reshape(x, (len(x), -1))
        else:  # convolution, pooling, dropout
            x = ops[kind](i, values, x)
    return x, running


def surprise(np: Any, scores: Any, y: Any) -> Any:
    """Cross-entropy, from scores and labels."""
    shifted = scores - np.max(scores, 1, keepdims=True)
    logp = shifted - np.log(np.sum(np.exp(shifted), 1, keepdims=True))
    return -np.sum(np.where(y[:, None] == np.arange(logp.shape[1]), logp, 0.0)) / len(y)


def trained(weights: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights as parameters and as running statistics."""
    parameters = {k: v for k, v in weights.items() if k.endswith(("weight", "bias"))}
    running = {k: v for k, v in weights.items() if "running" in k}
    return parameters, running


def channels_last(work: Work, weights: dict[str, Any]) -> dict[str, Any]:
    """The weights for images (N, H, W, C): kernels, and the first matrix after the images."""
    weights, image = dict(weights), None
    for i, (layer, shape) in enumerate(shapes(work)):
        name = f"{i}.weight"
        if layer[0] == "conv":
            weights[name] = weights[name].transpose(2, 3, 1, 0)
        elif layer[0] == "linear" and image:
            kernels = weights[name].reshape(-1, *image).transpose(0, 2, 3, 1)
            weights[name] = kernels.reshape(len(kernels), -1)
        image = shape if len(shape) == 3 else image if layer[0] in ("flatten", "dropout") else None
    return weights


def jax_layers(work: Work) -> dict[str, Any]:
    """Images as (N, H, W, C) and pooling as a maximum over reshaped axes.

    So it is fastest on a CPU: with (N, C, H, W) and `reduce_window`, a step of the example CNN at
    batch 128 took 78 ms where this took 20.
    """
    import jax

    def conv(i: int, values: Any, x: Any) -> Any:
        numbers = ("NHWC", "HWIO", "NHWC")
        kernels = values[f"{i}.weight"]
        return jax.lax.conv_general_dilated(x, kernels, (1, 1), "SAME", dimension_numbers=numbers)

    def pool(i: int, values: Any, x: Any) -> Any:
        n, h, w, c = x.shape
        x = x[:, : h // 2 * 2, : w // 2 * 2]
        return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))

    def dropout(i: int, values: Any, x: Any) -> Any:
        if not work.training:
            return x
        p = work.layers[i][1]
        kept = jax.random.bernoulli(values["key"], 1 - p, x.shape)
        return jax.numpy.where(kept, x / (1 - p), 0.0)

    return {"conv": conv, "pool": pool, "dropout": dropout}


def jax(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Call:
    import jax
    import jax.numpy as np

    ops = jax_layers(work)

    def loss_of(parameters: Any, running: Any, key: Any, x: Any, y: Any) -> tuple[Any, Any]:
        scores, running = functional(np, ops, work, {**parameters, **running, "key": key}, x)
        return surprise(np, scores, y), running

    def train(state: Any, x: Any, y: Any) -> tuple[Any, Any]:
        parameters, velocity, running, key = state
        key, here = jax.random.split(key)
        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, running), g = gradient(parameters, running, here, x, y)
        g = jax.tree.map(lambda g, p: g + SGD["weight_decay"] * p, g, parameters)
        velocity = jax.tree.map(lambda v, g: SGD["momentum"] * v + g, velocity, g)
        parameters = jax.tree.map(
            lambda p, v, g: p - SGD["lr"] * (g + SGD["momentum"] * v), parameters, velocity, g
        )
        return (parameters, velocity, running, key), loss

    parameters, running = jax.tree.map(np.asarray, trained(channels_last(work, weights)))
    x, y = np.asarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x), np.asarray(y)
    state = (parameters, jax.tree.map(np.zeros_like, parameters), running, jax.random.key(0))
    jitted = jax.jit(train, donate_argnums=0)
    apply = jax.jit(lambda values, x: functional(np, ops, work, values, x)[0])

    def step() -> Any:
        nonlocal state
        state, loss = jitted(state, x, y)
        return jax.block_until_ready((state, loss))[1]

    def infer() -> Any:
        return apply({**parameters, **running}, x).block_until_ready()

    return step if work.training else infer


class NumpySGD:
    """For the libraries that come without an optimizer: the update of steps in place."""

    def __init__(self, parameters: list[Any]) -> None:
        self.parameters = parameters
        self.velocity = [0 * p for p in parameters]

    def step(self, gradients: list[Any]) -> None:
        for p, v, g in zip(self.parameters, self.velocity, gradients, strict=True):
            g = g + SGD["weight_decay"] * p
            v *= SGD["momentum"]
            v += g
            p -= SGD["lr"] * (g + SGD["momentum"] * v)


def autograd(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Call:
    import autograd
    import autograd.numpy as np
    from autograd.tracer import getval

    parameters, running = trained(weights)
    optimizer = NumpySGD(list(parameters.values()))

    def loss_of(parameters: dict[str, Any]) -> Any:
        scores, new = functional(np, {}, work, {**parameters, **running}, x)
        running.update({name: getval(value) for name, value in new.items()})
        return surprise(np, scores, y)

    gradient = autograd.value_and_grad(loss_of)

    def step() -> Any:
        loss, gradients = gradient(parameters)
        optimizer.step([gradients[name] for name in parameters])
        return loss

    return step


# --- tinygrad -------------------------------------------------------------------------------------


def tinygrad(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Call:
    from tinygrad import Context, Device, Tensor, TinyJit, nn

    make = {
        "conv": lambda n, m: nn.Conv2d(n, m, 3, padding=1, bias=False),
        "linear": lambda n, m, bias: nn.Linear(n, m, bias=bias),
        "bn1d": nn.BatchNorm,
        "bn2d": nn.BatchNorm,
        "relu": lambda: Tensor.relu,
        "sigmoid": lambda: Tensor.sigmoid,
        "pool": lambda: Tensor.max_pool2d,
        "flatten": lambda: lambda x: x.flatten(1),
        "dropout": lambda p: lambda x: x.dropout(p),
    }
    layers = [make[kind](*sizes) for kind, *sizes in work.layers]
    arrays = {name: Tensor(array).realize() for name, array in weights.items()}
    nn.state.load_state_dict(layers, arrays, verbose=False)
    x, y = Tensor(x).realize(), Tensor(y).realize()
    optimizer = nn.optim.SGD(nn.state.get_parameters(layers), **SGD)

    @TinyJit
    def train(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = x.sequential(layers).sparse_categorical_crossentropy(y).backward()
        return loss.realize(*optimizer.schedule_step())

    @TinyJit
    def apply(x: Any) -> Any:
        return x.sequential(layers).realize()

    def call() -> Any:
        with Context(TRAINING=int(work.training)):
            result = train(x, y) if work.training else apply(x)
        Device[Device.DEFAULT].synchronize()
        return result

    return call


# --- MyGrad ---------------------------------------------------------------------------------------


def mygrad(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Call:
    import mygrad as mg
    import numpy as np
    from mygrad.nnet import batchnorm, conv_nd, max_pool, relu, sigmoid, softmax_crossentropy

    mg.turn_memory_guarding_off()  # its documentation's advice for speed
    rng = np.random.default_rng(0)
    values = {name: mg.tensor(array) for name, array in trained(weights)[0].items()}
    running = trained(weights)[1]
    optimizer = NumpySGD([value.data for value in values.values()])

    def normalized(i: int, x: Any) -> Any:
        gamma, beta = values[f"{i}.weight"], values[f"{i}.bias"]
        mean, var = running[f"{i}.running_mean"], running[f"{i}.running_var"]
        if not work.training:
            shape = (1, -1, *(1,) * (x.ndim - 2))
            scale = gamma.data / np.sqrt(var + EPS)
            return x * scale.reshape(shape) + (beta.data - mean * scale).reshape(shape)
        y = batchnorm(x, gamma=gamma, beta=beta, eps=EPS)
        n = x.size // x.shape[1]
        mean += NEWEST * (y.creator.mean - mean)
        var += NEWEST * (y.creator.var * n / (n - 1) - var)
        return y

    def scores(x: Any) -> Any:
        for i, (kind, *sizes) in enumerate(work.layers):
            if kind == "linear":
                x = mg.matmul(x, values[f"{i}.weight"].T)
                x = x + values[f"{i}.bias"] if sizes[2] else x
            elif kind == "conv":
                x = conv_nd(x, values[f"{i}.weight"], stride=1, padding=1)
            elif kind.startswith("bn"):
                x = normalized(i, x)
            elif kind == "pool":  # it takes even sizes only
                x = max_pool(x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2], (2, 2), 2)
            elif kind == "flatten":
                x = x.reshape(len(x), -1)
            elif kind == "dropout" and work.training:
                kept = rng.random(x.shape, np.float32) >= sizes[0]
                x = x * (kept / np.float32(1 - sizes[0]))
            elif kind in ("relu", "sigmoid"):
                x = relu(x) if kind == "relu" else sigmoid(x)
        return x

    def step() -> Any:
        loss = softmax_crossentropy(scores(x), y)
        loss.backward()
        optimizer.step([value.grad for value in values.values()])
        return loss

    def infer() -> Any:
        with mg.no_autodiff:
            return scores(mg.tensor(x))

    return step if work.training else infer


# --- NumPy ----------------------------------------------------------------------------------------


def by_hand(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Call:
    from by_hand import MLP

    widths = [layer[1] for layer in work.layers if layer[0] == "linear"] + [10]
    mlp = MLP(widths, work.batch, weights)
    return lambda: mlp.step(x, y)


# --- all of them ----------------------------------------------------------------------------------


class Peer(NamedTuple):
    build: Callable[[Work, dict[str, Any], Any, Any], Call]
    package: str  # the name under which it is installed
    imports: str  # what a program that trains with it imports


PEERS = {
    "tinygrad_bn": Peer(tinygrad_bn, "tinygrad_bn", "import tinygrad_bn"),
    "NumPy by hand": Peer(by_hand, "numpy", "import numpy"),
    "PyTorch": Peer(pytorch, "torch", "import torch"),
    "PyTorch channels_last": Peer(pytorch_channels_last, "torch", "import torch"),
    "JAX": Peer(jax, "jax", "import jax, jax.numpy"),
    "tinygrad": Peer(tinygrad, "tinygrad", "from tinygrad import Tensor, TinyJit, nn"),
    "MyGrad": Peer(mygrad, "mygrad", "import mygrad, mygrad.nnet"),
    "autograd": Peer(autograd, "autograd", "import autograd, autograd.numpy"),
}


def installed() -> list[str]:
    return [name for name, peer in PEERS.items() if find_spec(peer.package)]


def cannot(name: str, work: Work) -> str:
    """Why a library sits out a piece of work; empty if it takes part."""
    images = any(layer[0] == "conv" for layer in work.layers)
    if name == "NumPy by hand" and work.name != PAPER_MLP.name:
        return "written for the paper's MLP only"
    if name == "PyTorch channels_last" and not images:
        return "some of it has no images"
    if name == "autograd" and images:
        return "it has no fast convolution"
    return ""
