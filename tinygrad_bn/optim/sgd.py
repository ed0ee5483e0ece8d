"""[9] Stochastic gradient descent, in PyTorch's exact order of operations.

g ← ∇L (−∇L to maximize) + weight_decay · p
v ← momentum · v + (1 − dampening) · g          at the first step: v ← g
p ← p − lr · (g + momentum · v if nesterov else v)
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..engine import Array, grad_mode
from ..module import clear_grads
from ..tensor import Tensor, check_range

Group = dict[str, Any]


class SGD:
    """Gradient descent with momentum, weight decay and parameter groups.

    params: tensors, or groups: dicts with "params" and any of the other arguments, for that group
    (a common use: weight_decay=0 for biases and batch normalization).
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        self.defaults: Group = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        }  # fmt: skip
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, Array] = {}  # the momentum buffer of each parameter
        if isinstance(params, Tensor):
            raise TypeError("SGD takes a list of tensors, or model.parameters(), not one tensor")
        groups = list(params)
        if not groups:
            raise ValueError("SGD got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Optimise further tensors, with options of their own."""
        group = self.defaults | param_group
        params = group["params"]
        group["params"] = [params] if isinstance(params, Tensor) else list(params)
        if unknown := set(group) - set(self.defaults) - {"params", "initial_lr"}:
            raise ValueError(f"unknown options {sorted(unknown)} in a parameter group")
        check_range(0, math.inf, **{k: group[k] for k in ("lr", "momentum", "weight_decay")})
        check_range(-math.inf, math.inf, dampening=group["dampening"])
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            given = f"momentum={group['momentum']}, dampening={group['dampening']}"
            raise ValueError(f"nesterov needs a momentum > 0 and no dampening, not {given}")
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for i, p in enumerate(group["params"]):
            if not isinstance(p, Tensor):
                raise TypeError(f"parameter {i} is {p!r}, not a tensor")
            if p.grad_fn is not None:
                raise ValueError(f"parameter {i}, shape {p.shape}, is not a leaf")
            if id(p) in known:
                raise ValueError(f"parameter {i}, shape {p.shape}, is optimised already")
            known.add(id(p))
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            clear_grads(group["params"], set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter with a gradient, in place; call `closure` for the loss before."""
        loss = None if closure is None else grad_mode(True)(closure)()
        for group in self.param_groups:
            options = {name: float(group[name]) for name in self.defaults}
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, p.grad.data, **options)
        return loss

    def _update(
        self, p: Tensor, g: Array, *, lr: float, momentum: float, dampening: float,
        weight_decay: float, nesterov: float, maximize: float,
    ) -> None:  # fmt: skip
        if maximize:
            g = -g
        if weight_decay:
            g = p.data * weight_decay + g
        if momentum:
            v = self.state.get(p)
            if v is None:
                v = self.state[p] = np.array(g)
            else:
                v *= momentum
                v += g * (1 - dampening) if dampening else g
            g = v * momentum + g if nesterov else v
        p.data -= g * lr
