"""[8b] Stochastic gradient descent, in PyTorch's exact order of operations.

g ← ∇L (−∇L to maximize) + weight_decay · p
v ← momentum · v + (1 − dampening) · g          at the first step: v ← g
p ← p − lr · (g + momentum · v if nesterov else v)
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import checks
from ..engine import Array, grad_mode
from ..tensor import Tensor, wrap
from .optimizer import Group, Optimizer


class SGD(Optimizer):
    """Gradient descent with momentum, weight decay and parameter groups; see `Optimizer`.

    >>> p = tensor([3.0], requires_grad=True)
    >>> optimizer = optim.SGD([p], lr=0.25)
    >>> (p * p).sum().backward()
    >>> optimizer.step(); p
    tensor([1.5000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, group: Group) -> None:
        """Rates and weights are not negative; nesterov needs a momentum."""
        lr, momentum, dampening = group["lr"], group["momentum"], group["dampening"]
        checks.in_range(0, math.inf, lr=lr, momentum=momentum, weight_decay=group["weight_decay"])
        checks.in_range(-math.inf, math.inf, dampening=dampening)
        if group["nesterov"] and (momentum == 0 or dampening != 0):
            raise ValueError(
                f"nesterov needs a momentum > 0 and no dampening, not {momentum=}, {dampening=}"
            )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter with a gradient, in place; call `closure` for the loss before."""
        loss = None if closure is None else grad_mode(True)(closure)()
        for group in self.param_groups:
            lr = float(group["lr"])  # a NumPy number would make float64 of float32
            for p in group["params"]:
                g = p.grad
                if g is not None:
                    p.data -= self.direction(p, g.data, group) * lr
                    p.version.number += 1
        return loss

    def direction(self, p: Tensor, g: Array, group: Group) -> Array:
        """What lr is multiplied by: from p's gradient g and, with momentum, those before."""
        momentum = float(group["momentum"])
        if group["maximize"]:
            g = -g
        if group["weight_decay"]:
            g = p.data * float(group["weight_decay"]) + g
        if momentum == 0:
            return g
        state = self.state[p]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = wrap(np.array(g))  # a copy: g is the .grad itself
            v: Array = g
        else:
            v = state["momentum_buffer"].data
            v *= momentum
            v += g * (1 - float(group["dampening"])) if group["dampening"] else g
        return v * momentum + g if group["nesterov"] else v
