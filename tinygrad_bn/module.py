"""[5] Modules: objects that own parameters and buffers, and what can be asked of them.

A module is an ordinary object. Its parameters, buffers and submodules are its attributes, in the
order in which they were assigned; there is nothing hidden behind `__getattr__`, and `__setattr__`
does nothing but refuse. Names and the keys of `state_dict` are PyTorch's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from textwrap import indent
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from . import checks
from .checks import float32, float64
from .engine import Array
from .tensor import Tensor, wrap


class Parameter(Tensor):
    """A tensor that a module trains. Shares its memory with `data`, if that is a tensor.

    >>> nn.Parameter(zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data)
        if isinstance(data, Tensor):
            self.data = data.data
            self.version = data.version
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        """As a tensor, named for what it is."""
        return f"Parameter containing:\n{super().__repr__()}"


class LoadResult(NamedTuple):
    """What `load_state_dict` found: both lists are empty if it was strict."""

    missing_keys: list[str]
    unexpected_keys: list[str]


Hook = Callable[..., Any]  # of (module, arguments, output)
Named = Iterator[tuple[str, Tensor]]  # tensors with their names


V = TypeVar("V")


def each_once(named: list[tuple[str, V]]) -> Iterator[tuple[str, V]]:
    """Values with their names; what has several, under the first of them."""
    seen = set()
    for name, value in named:
        if value not in seen:
            seen.add(value)
            yield name, value


class RemovableHandle:
    """Takes a hook away again."""

    def __init__(self, hooks: dict[RemovableHandle, Hook]) -> None:
        self.hooks = hooks  # the module's, by the handles that take them away

    def remove(self) -> None:
        """The hook is not called any more. A second time, nothing happens."""
        self.hooks.pop(self, None)


class Module:
    """Base class of all layers and models: assign attributes, and define `forward`.

    training: set by `train()` and `eval()`, which reach every submodule; says how Dropout and
    BatchNorm behave. Whether gradients are recorded is another matter: see `no_grad`.

    >>> class Twice(nn.Module):
    ...     def __init__(self):
    ...         self.inner = nn.Linear(2, 2)
    ...     def forward(self, x):
    ...         return self.inner(self.inner(x))
    >>> [name for name, _ in Twice().named_parameters()]
    ['inner.weight', 'inner.bias']
    """

    training: bool = True
    forward: Callable[..., Any]
    _forward_hooks: Mapping[RemovableHandle, Hook] = {}  # a module's own are made for its first
    _buffers: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()  # of its tensors, those that a checkpoint may lack

    def __init__(self) -> None:
        """Nothing to prepare: a subclass may call it, as PyTorch's must, or not."""

    def __setattr__(self, name: str, value: Any) -> None:
        """`module.name = value`; TypeError where a parameter or a submodule would vanish by it."""
        there = vars(self).get(name)
        for kind in (Parameter, Module):
            if isinstance(there, kind):
                checks.stays(self, name, value, kind)
        if name in self._buffers:
            checks.stays(self, name, value, Tensor)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        """`del module.name`: free for anything; no buffer any more, if it was one."""
        super().__delattr__(name)
        self._buffers = tuple([buffer for buffer in self._buffers if buffer != name])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward`, and then the hooks."""
        output = self.forward(*args, **kwargs)
        for hook in list(self._forward_hooks.values()):  # a list: a hook may remove itself
            replacement = hook(self, args, output)
            if replacement is not None:
                output = replacement
        return output

    def register_forward_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, args, output)` after every `forward`: the way to watch a module.

        What it returns replaces the output, unless that is None. `handle.remove()` ends it.
        """
        hooks = vars(self).setdefault("_forward_hooks", {})
        handle = RemovableHandle(hooks)
        hooks[handle] = hook
        return handle

    # --- what is inside ---------------------------------------------------------------------------

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """A tensor that is state but not trained: saved with the parameters, never optimised."""
        checks.new_buffer(self, name, tensor, Tensor)
        if name not in self._buffers:
            self._buffers = (*self._buffers, name)
        setattr(self, name, tensor)

    def _submodules(self) -> list[tuple[str, Module]]:
        """The modules among its attributes, each under all of its names."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules among its attributes, each once, under the first of its names."""
        return each_once(self._submodules())

    def children(self) -> Iterator[Module]:
        """The modules among its attributes, each once."""
        return (child for _, child in self.named_children())

    def _walk(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each under all of its names: "", "0.", "0.inner."."""
        yield prefix, self
        for name, child in self._submodules():
            yield from child._walk(f"{prefix}{name}.")

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return iter(dict.fromkeys([module for _, module in self._walk()]))

    def _own_tensors(self) -> Named:
        """Its parameters, then its buffers, without those of its children."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield name, value
        for name in self._buffers:
            value = getattr(self, name)
            if value is not None:
                yield name, value

    def _tensors(self) -> Named:
        """All parameters and buffers, at all depths; a shared one under each of its names."""
        for prefix, module in self._walk():
            for name, tensor in module._own_tensors():
                yield prefix + name, tensor

    def named_parameters(self) -> Named:
        """Each parameter once, under the first of its names.

        A warning, if there are modules in a plain list, whose parameters are not found.
        """
        for module in self.modules():
            warn_of_plain_lists(module)
        named = [(name, value) for name, value in self._tensors() if isinstance(value, Parameter)]
        return each_once(named)

    def parameters(self) -> Iterator[Tensor]:
        """Each parameter once."""
        return (parameter for _, parameter in self.named_parameters())

    def buffers(self) -> Iterator[Tensor]:
        """Each buffer once."""
        tensors = dict.fromkeys([tensor for _, tensor in self._tensors()])
        return (tensor for tensor in tensors if not isinstance(tensor, Parameter))

    # --- saving and loading -----------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Every parameter and buffer by name. The tensors share memory with the module's."""
        return {name: value.detach() for name, value in self._tensors()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy values in by name, from tensors or arrays of the same shapes.

        strict: all names must match. RuntimeError lists every mismatch before anything is changed.
        """
        checks.saved(self, state_dict)
        own = dict(self._tensors())
        optional = [prefix + name for prefix, module in self._walk() for name in module.optional]
        not_missed = {*state_dict, *optional}
        missing = [name for name in own if name not in not_missed]
        unexpected = [name for name in state_dict if name not in own]
        arrays = {name: numbers(name, state_dict[name]) for name in own if name in state_dict}
        problems = [f"cannot load {type(self).__name__}:"]
        problems += [
            f"{name}: its shape is {array.shape}, the model's {own[name].shape}"
            for name, array in arrays.items()
            if array.shape != own[name].shape
        ]
        if strict:
            problems += [f"missing: {name}" for name in missing]
            problems += [f"unexpected: {name}" for name in unexpected]
        if len(problems) > 1:
            raise RuntimeError("\n  ".join(problems))
        for name, array in arrays.items():
            own[name].data[...] = array
            own[name].version.number += 1
        return LoadResult(missing, unexpected)

    # --- switches ---------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Training mode for this module and all below; returns self."""
        checks.flag(mode=mode)
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Inference mode: the same as `train(False)`."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients, or set them to zero."""
        clear_grads(self.parameters(), set_to_none)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every submodule, children first, and on this one; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, dtype: Any = None, device: Any = None) -> Self:
        """Every floating-point parameter and buffer, and its gradient, in another dtype.

        A device may be given as in PyTorch: `to("cpu")` changes nothing, others are refused.
        """
        dtype = checks.dtype_to(args, dtype, device)
        if dtype is None:
            return self
        checks.module_dtype(dtype)
        for _, value in self._tensors():
            for tensor in (value, value.grad):
                if tensor is not None and tensor.is_floating_point():
                    tensor.data = tensor.data.astype(dtype, copy=False)
        return self

    def cpu(self) -> Self:
        """Itself: there is no other device."""
        return self

    def float(self) -> Self:
        """In float32; see `to`."""
        return self.to(float32)

    def double(self) -> Self:
        """In float64; see `to`."""
        return self.to(float64)

    # --- printing ---------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the brackets of `repr`: a layer's options."""
        return ""

    def __repr__(self) -> str:
        """The class with its options; below it, its children."""
        lines = [f"({name}): {child!r}" for name, child in self._submodules()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        inside = "\n".join(filter(None, [self.extra_repr(), *lines]))
        return f"{type(self).__name__}(\n{indent(inside, '  ')}\n)"


def numbers(name: str, value: Any) -> Array:
    """A tensor (from here or from PyTorch), an array or numbers, as an array: a copy."""
    problem = f"{name}: {type(value).__name__} is no array of numbers"
    try:
        array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError) as error:
        raise RuntimeError(problem) from error
    if array.dtype.kind not in "biuf":  # bools, integers with and without a sign, floats
        raise RuntimeError(problem)
    return array.copy()


def clear_grads(parameters: Iterable[Tensor], set_to_none: bool) -> None:
    """Forget the accumulated gradients, or set them to zero."""
    for parameter in parameters:
        if set_to_none:
            parameter.grad = None
        elif parameter.grad is not None:
            parameter.grad = wrap(np.zeros_like(parameter.grad.data))


def warn_of_plain_lists(module: Module) -> None:
    """A warning for each attribute that holds modules in a plain list, tuple or dict."""
    for name, value in vars(module).items():
        parts = value.values() if isinstance(value, dict) else value
        plain = isinstance(value, list | tuple | dict)
        if plain and any(isinstance(part, Module) for part in parts):
            warnings.warn(
                f"{type(module).__name__}.{name} is a plain {type(value).__name__}: the modules in "
                "it are not found, trained or saved. Use nn.ModuleList",
                stacklevel=4,
            )


class Numbered(Module):
    """What ModuleList and Sequential have in common: submodules by number."""

    def append(self, module: Module) -> Self:
        """One more at the end; returns self."""
        number = len(self)
        while hasattr(self, str(number)):  # a slice of a Sequential keeps the names of the whole
            number += 1
        setattr(self, str(number), checks.module(self, number, module, Module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Several more at the end; returns self."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self) -> int:
        """The number of modules; one that is used twice counts twice."""
        return len(self._submodules())

    def __iter__(self) -> Iterator[Module]:
        """One after the other."""
        return (module for _, module in self._submodules())


class ModuleList(Numbered):
    """Modules in a list, so that they are found, trained and saved.

    What is done with them, the `forward` of the module that has the list says.

    >>> blocks = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(blocks), len(list(blocks.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        """One of the modules, or several as a ModuleList of their own."""
        chosen = list(self)[index]
        return ModuleList(chosen) if isinstance(chosen, list) else chosen


def one_by_one(layers: list[Module], input: Any) -> Any:
    """The first module's output is the second one's input, and so on."""
    for layer in layers:
        input = layer(input)
    return input


# How a Sequential runs its modules. While a compiled model is called, its compiler does.
runner: ContextVar[Callable[[list[Module], Any], Any]] = ContextVar("runner", default=one_by_one)


class Sequential(Numbered):
    """Modules applied one after the other; `model[0]` is the first, `model[:2]` the first two.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> model(zeros(5, 2)).shape
    (5, 3)
    """

    def __init__(self, *modules: Module) -> None:
        self.extend(modules)

    def forward(self, input: Any) -> Any:
        """One after the other; see `one_by_one`."""
        layers = [module for _, module in self._submodules()]
        return runner.get()(layers, input)

    def __getitem__(self, index: int | slice) -> Any:
        """One of the modules, or several as a Sequential of their own, under their names here."""
        if not isinstance(index, slice):
            return list(self)[index]
        chosen = Sequential()
        for name, module in self._submodules()[index]:
            setattr(chosen, name, module)
        return chosen
