"""[8a] What every optimizer is: groups of parameters with options, and a state for each parameter.

A subclass writes `step`, and states its options in the dictionary `defaults`. See the README for
Adam in a dozen lines.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from .. import checks
from ..checks import State
from ..module import Module, clear_grads, numbers
from ..tensor import Tensor, wrap

Group = State  # {"params": [tensors], and an option by each of its names}
SET_BY_SCHEDULES = {"initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"}


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
        if isinstance(params, Tensor | Module | dict):
            raise TypeError(
                f"{name} takes a list of tensors or groups, as model.parameters(), "
                f"not a {type(params).__name__}"
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{name} got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: defaultdict[Tensor, State] = defaultdict(dict)
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Optimise further tensors, with options of their own."""
        checks.param_group(param_group)
        group = self.defaults | param_group
        self.check_names(group)
        params = group["params"]
        group["params"] = [params] if isinstance(params, Tensor) else list(params)
        self.check_options(group)
        known = {id(p) for p in self._parameters()}
        checks.parameters(group["params"], known, Tensor)
        self.param_groups.append(group)

    def check_names(self, group: Group) -> None:
        """ValueError if an option of the group is neither this optimizer's nor a schedule's."""
        unknown = set(group) - set(self.defaults) - {"params"} - SET_BY_SCHEDULES
        if unknown:
            raise ValueError(f"unknown options {sorted(unknown)} in a parameter group")

    def check_options(self, group: Group) -> None:
        """Raise an error if an option of the group is out of range; for subclasses to define."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters by their gradients; for subclasses to define."""
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def state_dict(self) -> State:
        """The options of the groups, and the state of each parameter, which has a number there.

        As PyTorch has it: {"state": {0: {...}, 1: {...}}, "param_groups": [{"lr": ..., "params":
        [0, 1]}]}. The tensors share memory with the optimizer's.
        """
        places = {p: i for i, p in enumerate(self._parameters())}
        groups = []
        for group in self.param_groups:
            its_places = [places[p] for p in group["params"]]
            groups.append(group | {"params": its_places})
        state = {places[p]: dict(values) for p, values in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: State) -> None:
        """Go on from a `state_dict`: parameters are matched by their order. Tensors are copied.

        ValueError, before anything changes, if the groups are of other sizes, or an option is one
        that this optimizer does not have (unless it is None or False: PyTorch saves a few more).
        """
        checks.saved(self, state_dict, "param_groups", "state")
        saved = state_dict["param_groups"]
        checks.saved_groups(self.param_groups, saved)
        groups = list(map(with_saved_options, self.param_groups, saved))
        for group in groups:
            self.check_names(group)
            self.check_options(group)
        places = [place for group in saved for place in group["params"]]
        state: defaultdict[Tensor, State] = defaultdict(dict)
        for p, place in zip(self._parameters(), places, strict=True):
            remembered = state_dict["state"].get(place, {})
            for name, value in remembered.items():
                state[p][name] = loaded(name, value, p)
        self.param_groups = groups
        self.state = state

    def _parameters(self) -> list[Tensor]:
        """All that it optimises, in order."""
        return [p for group in self.param_groups for p in group["params"]]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        clear_grads(self._parameters(), set_to_none)

    def __repr__(self) -> str:
        """The options of each group."""
        lines = []
        for i, group in enumerate(self.param_groups):
            options = {name: value for name, value in group.items() if name != "params"}
            lines.append(f"  group {i}, {len(group['params'])} tensors: {options}")
        return "\n".join([f"{type(self).__name__} (", *lines, ")"])


def with_saved_options(group: Group, saved: Group) -> Group:
    """A group with the options that were saved for it, and with its own parameters."""
    options = {name: value for name, value in saved.items() if value or name in group}
    return group | options | {"params": group["params"]}


def loaded(name: str, value: Any, parameter: Tensor) -> Any:
    """A copy of what was remembered for a parameter: a number, or a tensor of its shape."""
    if not hasattr(value, "shape"):
        return copy.deepcopy(value)
    array = numbers(name, value).astype(parameter.dtype)
    checks.remembered(name, array, parameter)
    return wrap(array)
