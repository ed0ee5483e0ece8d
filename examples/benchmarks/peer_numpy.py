"""The training step of an MLP with batch normalization and sigmoid in plain NumPy: no framework.

What is left of a step if nothing is recorded or checked: the price of a framework is the
difference. All parameters lie in one vector, and so do all gradients, so that the update is a few
operations on long arrays.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from workloads import EPS, MOMENTUM, SGD, Work, split


class NumpySGD:
    """Updates arrays in place. To get memory for new ones took longer than to compute them."""

    def __init__(self, parameters: list[Any]) -> None:
        self.parameters = parameters
        self.velocity = [np.zeros_like(p) for p in parameters]
        self.scratch = [np.zeros_like(p) for p in parameters]

    def step(self, gradients: list[Any]) -> None:
        of_each = zip(self.parameters, gradients, self.velocity, self.scratch, strict=True)
        for p, g, v, scratch in of_each:
            np.multiply(p, SGD["weight_decay"], out=scratch)
            scratch += g
            v *= SGD["momentum"]
            v += scratch
            scratch *= SGD["lr"]  # p -= lr (g + momentum v), in two parts
            p -= scratch
            np.multiply(v, SGD["lr"] * SGD["momentum"], out=scratch)
            p -= scratch


def views(vector: Any, like: dict[str, Any]) -> dict[str, Any]:
    """The parts of a long vector, in the shapes of some arrays and under their names."""
    ends = np.cumsum([array.size for array in like.values()])[:-1]
    parts = zip(like.items(), np.split(vector, ends), strict=True)
    return {name: part.reshape(array.shape) for (name, array), part in parts}


def build(work: Work, weights: dict[str, Any], x: Any, y: Any) -> Callable[[], Any]:
    """For (Linear, BatchNorm1d, Sigmoid) × hidden layers, Linear. p: parameters; d: gradients."""
    start, running = split(weights)
    parameters = np.concatenate([array.ravel() for array in start.values()])
    gradients = np.zeros_like(parameters)
    p, d = views(parameters, start), views(gradients, start)
    optimizer = NumpySGD([parameters])
    hidden = range(0, len(work.layers) - 1, 3)  # the places of the hidden linear layers
    last, m, rows = len(work.layers) - 1, len(x), np.arange(len(x))

    def step() -> Any:
        a, kept = x, []
        for i in hidden:
            x_hat = a @ p[f"{i}.weight"].T
            mean = x_hat.mean(0)
            x_hat -= mean
            var = np.einsum("ij,ij->j", x_hat, x_hat) / m
            std = np.sqrt(var + EPS)
            x_hat /= std
            for name, value in (("mean", mean), ("var", var * (m / (m - 1)))):
                average = running[f"{i + 1}.running_{name}"]
                average += MOMENTUM * (value - average)
            below, a = a, x_hat * -p[f"{i + 1}.weight"]  # sigmoid(z) = 1 / (1 + e^(-z))
            a -= p[f"{i + 1}.bias"]
            np.exp(a, out=a)
            a += 1
            np.reciprocal(a, out=a)
            kept.append((i, below, x_hat, std, a))

        z = a @ p[f"{last}.weight"].T
        z += p[f"{last}.bias"]
        z -= z.max(1, keepdims=True)
        g = np.exp(z)
        total = g.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - z[rows, y]).mean()
        g /= total  # softmax; less the one-hot labels it is the gradient by the scores
        g[rows, y] -= 1
        g /= m

        np.matmul(g.T, a, out=d[f"{last}.weight"])
        g.sum(0, out=d[f"{last}.bias"])
        g = g @ p[f"{last}.weight"]
        for i, below, x_hat, std, a in reversed(kept):
            gamma, d_gamma, d_beta = p[f"{i + 1}.weight"], d[f"{i + 1}.weight"], d[f"{i + 1}.bias"]
            g *= a
            g *= 1 - a  # through the sigmoid: a (1 - a)
            g.sum(0, out=d_beta)
            np.einsum("ij,ij->j", g, x_hat, out=d_gamma)
            g -= d_beta / m
            g -= x_hat * (d_gamma / m)
            g *= gamma / std
            np.matmul(g.T, below, out=d[f"{i}.weight"])
            if i:
                g = g @ p[f"{i}.weight"]
        optimizer.step([gradients])
        return loss

    return step
