"""Batch normalization by hand: one batch of 4 rows and 2 features, with every number shown.

    python examples/bn/by_hand.py

Forward is Algorithm 1 of the paper (arXiv 1502.03167), backward the six equations of its section 3,
in plain NumPy and under the paper's names. Automatic differentiation then finds the same.
"""

import numpy as np
from console import any_console
from numpy import ndarray as Array

from tinygrad_bn import Tensor, grad, nn, tensor

EPS = 1e-5  # ε keeps the root away from 0. The paper names no value; this is PyTorch's
X = np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 30.0], [7.0, 50.0]])  # one row per example
GAMMA, BETA = np.array([2.0, 0.5]), np.array([1.0, -1.0])
DY = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -2.0], [2.0, 2.0]])  # ∂L/∂y: made up
FORMULAS = {
    "x": "the mini-batch",
    "μ": "mini-batch mean, Σx/m",
    "σ²": "mini-batch variance, Σ(x − μ)²/m",
    "x̂": "normalize: (x − μ)/√(σ² + ε)",
    "y": "scale and shift: γx̂ + β",
    "∂y": "given",
    "∂x̂": "∂y·γ",
    "∂σ²": "Σ ∂x̂·(x − μ)·(−½)·(σ² + ε)^(−3/2)",
    "∂μ": "Σ −∂x̂/√(σ² + ε) + ∂σ²·Σ−2(x − μ)/m",
    "∂x": "∂x̂/√(σ² + ε) + ∂σ²·2(x − μ)/m + ∂μ/m",
    "∂γ": "Σ ∂y·x̂",
    "∂β": "Σ ∂y",
}


def forward(x: Array, gamma: Array, beta: Array) -> dict[str, Array]:
    """Algorithm 1: each feature (column) is normalised on its own, over the m rows."""
    mean = x.mean(0)
    centred = x - mean
    var = (centred**2).mean(0)  # divided by m, not by m − 1
    x_hat = centred / np.sqrt(var + EPS)
    y = gamma * x_hat + beta
    return {"μ": mean, "x − μ": centred, "σ²": var, "x̂": x_hat, "y": y}


def backward(dy: Array, gamma: Array, f: dict[str, Array]) -> dict[str, Array]:
    """Section 3: the chain rule through Algorithm 1, from its last line to its first."""
    m = len(dy)
    centred = f["x − μ"]
    std = np.sqrt(f["σ²"] + EPS)
    d_x_hat = dy * gamma
    d_var = (d_x_hat * centred * (-1 / 2) * std**-3).sum(0)
    d_mean = (-d_x_hat / std).sum(0)
    d_mean += d_var * (-2 * centred).sum(0) / m  # which is 0
    d_x = d_x_hat / std  # by way of x̂
    d_x += d_var * 2 * centred / m  # by way of σ²
    d_x += d_mean / m  # by way of μ
    d_gamma = (dy * f["x̂"]).sum(0)
    d_beta = dy.sum(0)
    return {"∂x̂": d_x_hat, "∂σ²": d_var, "∂μ": d_mean, "∂x": d_x, "∂γ": d_gamma, "∂β": d_beta}


def by_autograd() -> dict[str, Tensor]:
    """Algorithm 1 in tensors: the gradient towards each intermediate can be asked for."""
    x = tensor(X, requires_grad=True)
    gamma = tensor(GAMMA, requires_grad=True)
    beta = tensor(BETA, requires_grad=True)
    mean = x.mean(0)
    var = ((x - mean) ** 2).mean(0)
    x_hat = (x - mean) / (var + EPS).sqrt()
    y = gamma * x_hat + beta
    found = grad(y, (x_hat, var, mean, x, gamma, beta), tensor(DY))
    names = ("∂x̂", "∂σ²", "∂μ", "∂x", "∂γ", "∂β")
    return {"y": y, **dict(zip(names, found, strict=True))}


def by_layer(gamma: Array, beta: Array) -> dict[str, Tensor]:
    """The package's layer, in float64: its output for X, and the gradients found through it."""
    bn = nn.BatchNorm1d(2, eps=EPS).double()
    bn.load_state_dict(bn.state_dict() | {"weight": tensor(gamma), "bias": tensor(beta)})
    x = tensor(X, requires_grad=True)
    y = bn(x)
    y.backward(tensor(DY))
    return {"y": y, "∂x": x.grad, "∂γ": bn.weight.grad, "∂β": bn.bias.grad}


def padded(text: str, width: int) -> str:
    """To so many columns: the hat of x̂ is a character that takes none."""
    return text.ljust(width + text.count("\u0302"))


def show(numbers: dict[str, Array]) -> None:
    for name, value in numbers.items():
        label = padded(name, 5) + padded(FORMULAS.get(name, ""), 40)
        print(label, np.array2string(value, precision=5, suppress_small=True, prefix=" " * 46))


def difference(by_hand: dict[str, Array], found: dict[str, Tensor]) -> float:
    """The largest one, over all numbers found."""
    return max(
        np.abs(by_hand[name] - value.detach().numpy()).max() for name, value in found.items()
    )


def main() -> None:
    f = forward(X, GAMMA, BETA)
    g = backward(DY, GAMMA, f)
    print(f"Algorithm 1, forward, with γ = {GAMMA}, β = {BETA}, ε = {EPS}")
    show({"x": X, **f})
    print("\nSection 3, backward; ∂a is short for ∂L/∂a")
    show({"∂y": DY, **g})
    print("\nLargest difference between the numbers above and")
    print(f"  autograd through Algorithm 1, y and all six:  {difference(f | g, by_autograd()):.0e}")
    layer = by_layer(GAMMA, BETA)
    print(f"  autograd through BatchNorm1d, y, ∂x, ∂γ, ∂β:  {difference(f | g, layer):.0e}")
    identity = by_layer(np.sqrt(f["σ²"] + EPS), f["μ"])
    same = difference({"y": X}, {"y": identity["y"]})
    print("The layer can be the identity: with γ = √(σ² + ε) and β = μ,")
    print(f"|y − x| is at most {same:.0e}.")


if __name__ == "__main__":
    any_console()
    main()
