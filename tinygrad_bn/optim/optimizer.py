"""[8a] What every optimizer is: groups of parameters with options, and a state for each parameter.

A subclass writes `step`, and states its options in the dictionary `defaults`. See the README for
Adam in a dozen lines.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from .. import checks
from ..module import clear_grads
from ..tensor import Tensor

Group = dict[str, Any]  # {"params": [tensors], and an option by each of its names}


class Optimizer:
    """Base class, as `torch.optim.Optimizer`.

    params: tensors, or groups: dicts with "params" and options of their own (a common use:
    weight_decay=0 for biases and batch normalization). defaults: the options of all other groups.
    param_groups: the list of groups. state: for each parameter a dict, for what is remembered.

    >>> class Descent(optim.Optimizer):
    ...     def __init__(self, params, lr):
    ...         super().__init__(params, {"lr": lr})
    ...     @no_grad()
    ...     def step(self):
    ...         for group in self.param_groups:
    ...             for p in group["params"]:
    ...                 if p.grad is not None:  # it had no part in the loss
    ...                     p -= group["lr"] * p.grad
    >>> p = tensor([3.0], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> Descent([p], lr=0.25).step(); p
    tensor([1.5000], requires_grad=True)
    """

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise TypeError(
                f"{name} takes a list of tensors, or model.parameters(), not one tensor"
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{name} got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Optimise further tensors, with options of their own."""
        group = self.defaults | param_group
        unknown = set(group) - set(self.defaults) - {"params", "initial_lr"}  # which schedules set
        if unknown:
            raise ValueError(f"unknown options {sorted(unknown)} in a parameter group")
        params = group["params"]
        group["params"] = [params] if isinstance(params, Tensor) else list(params)
        self.check_options(group)
        known = {id(p) for other in self.param_groups for p in other["params"]}
        checks.parameters(group["params"], known, Tensor)
        self.param_groups.append(group)

    def check_options(self, group: Group) -> None:
        """Raise an error if an option of the group is out of range; for subclasses to define."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters by their gradients; for subclasses to define."""
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        for group in self.param_groups:
            clear_grads(group["params"], set_to_none)

    def __repr__(self) -> str:
        """The options of each group."""
        lines = []
        for i, group in enumerate(self.param_groups):
            options = {name: value for name, value in group.items() if name != "params"}
            lines.append(f"  group {i}, {len(group['params'])} tensors: {options}")
        return "\n".join([f"{type(self).__name__} (", *lines, ")"])
