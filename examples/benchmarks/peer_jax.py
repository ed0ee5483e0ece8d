"""JAX, which compiles the whole step; images are (N, H, W, C)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as np
from workloads import EPS, MOMENTUM, SGD, Work, split


def scores(work: Work, values: Any, x: Any) -> tuple[Any, Any]:
    """What the network makes of x, and the new running statistics.

    Channels come last, in images (N, H, W, C) and in matrices: so it is fastest on a CPU.
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
                running[f"{i}.running_mean"] = old_mean + MOMENTUM * (mean - old_mean)
                running[f"{i}.running_var"] = old_var + MOMENTUM * (var * n / (n - 1) - old_var)
            scale = values[f"{i}.weight"] / np.sqrt(var + EPS)
            x = x * scale + (values[f"{i}.bias"] - mean * scale)
        elif kind == "relu":
            x = jax.nn.relu(x)
        elif kind == "sigmoid":
            x = jax.nn.sigmoid(x)
        elif kind == "flatten":
            x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # as the weights expect it
        elif kind == "conv":
            axes = ("NHWC", "OIHW", "NHWC")
            kernels = values[f"{i}.weight"]
            x = jax.lax.conv_general_dilated(x, kernels, (1, 1), "SAME", dimension_numbers=axes)
        elif kind == "pool":  # `reduce_window` took four times as long for a step
            n, h, w, c = x.shape
            x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
        elif kind == "dropout" and work.training:
            kept = jax.random.bernoulli(values["key"], 1 - sizes[0], x.shape)
            x = np.where(kept, x / (1 - sizes[0]), 0.0)
    return x, running


def build(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Callable[[], Any]:
    def loss_of(parameters: Any, running: Any, key: Any, x: Any, y: Any) -> tuple[Any, Any]:
        z, running = scores(work, {**parameters, **running, "key": key}, x)
        expected = jax.nn.one_hot(y, z.shape[1])
        return -(expected * jax.nn.log_softmax(z)).sum() / len(y), running

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

    parameters, running = jax.tree.map(np.asarray, split(weights))
    x, y = np.asarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x), np.asarray(y)
    state = (parameters, jax.tree.map(np.zeros_like, parameters), running, jax.random.key(0))
    jitted = jax.jit(train, donate_argnums=0)
    apply = jax.jit(lambda values, x: scores(work, values, x)[0])

    def step() -> Any:
        nonlocal state
        state, loss = jitted(state, x, y)
        return jax.block_until_ready((state, loss))[1]

    def infer() -> Any:
        return apply({**parameters, **running}, x).block_until_ready()

    return step if work.training else infer
