"""MyGrad: automatic differentiation on NumPy. Its batch normalization is for training only."""

from collections.abc import Callable
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet import batchnorm, conv_nd, max_pool, relu, sigmoid, softmax_crossentropy
from peer_numpy import NumpySGD
from workloads import EPS, MOMENTUM, Work, split

mg.turn_memory_guarding_off()  # its documentation's advice for speed


def build(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    parameters, running = split(weights)
    values = {name: mg.tensor(array) for name, array in parameters.items()}
    optimizer = NumpySGD([value.data for value in values.values()])

    def normalized(i: int, x: Any) -> Any:
        gamma, beta = values[f"{i}.weight"], values[f"{i}.bias"]
        mean, var = running[f"{i}.running_mean"], running[f"{i}.running_var"]
        y = batchnorm(x, gamma=gamma, beta=beta, eps=EPS)
        n = x.size // x.shape[1]
        mean += MOMENTUM * (y.creator.mean - mean)
        var += MOMENTUM * (y.creator.var * n / (n - 1) - var)
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
            elif kind == "dropout":
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

    return step
