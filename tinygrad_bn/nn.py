"""[8] Modules: layers that own parameters and buffers, and call the functions of file 7.

A module is an ordinary object. Its parameters, buffers and submodules are its attributes, in the
order in which they were assigned; there is nothing hidden behind `__getattr__`. Names, defaults,
initial distributions and the keys of `state_dict` are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from textwrap import indent
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import numpy as np

from . import functional
from . import functional as F
from .tensor import Scalar, Tensor, float32, float64, generator, int64, ones, wrap, zeros

__all__ = ["functional"]
T = TypeVar("T")


class Parameter(Tensor):
    """A tensor that a module trains. Shares its memory with `data`, if that is a tensor."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data)
        self.data = data.data if isinstance(data, Tensor) else self.data
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


LoadResult = NamedTuple("LoadResult", [("missing_keys", list[str]), ("unexpected_keys", list[str])])


class Module:
    """Base class of all layers and models: assign attributes, and define `forward`.

    training: whether the module is in training mode; set it with `train()` and `eval()`, which
    reach every submodule. It says how Dropout and BatchNorm behave; it has nothing to do with
    `no_grad`, which says whether gradients are recorded.
    """

    training: bool = True

    def forward(self, *args: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # --- what is inside -----------------------------------------------------------------------

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """A tensor that is state but not trained: saved with the parameters, never optimised."""
        self.__dict__.setdefault("_buffers", {})[name] = None
        setattr(self, name, tensor)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, with dotted names; a shared one once."""
        return _once(self._all_modules(prefix))

    def _all_modules(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self.named_children():
            yield from child._all_modules(_join(prefix, name))

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Per module, its parameters and then its buffers; a shared one under each of its names."""
        for prefix, module in self._all_modules(""):
            inside = vars(module)
            names = [name for name, value in inside.items() if isinstance(value, Parameter)]
            for name in (*names, *inside.get("_buffers", ())):
                if inside[name] is not None:
                    yield _join(prefix, name), inside[name]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        return _once((n, t) for n, t in self._tensors() if isinstance(t, Parameter))

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return _once((n, t) for n, t in self._tensors() if not isinstance(t, Parameter))

    def parameters(self) -> Iterator[Tensor]:
        return (parameter for _, parameter in self.named_parameters())

    def buffers(self) -> Iterator[Tensor]:
        return (buffer for _, buffer in self.named_buffers())

    # --- saving and loading -------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Every parameter and buffer by name. The tensors share memory with the module's."""
        return {name: value.detach() for name, value in self._tensors()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy values in by name, from tensors or arrays of the same shapes.

        strict: every name must match. Raises RuntimeError listing all that is missing, unexpected
        or of the wrong shape, before anything is changed.
        """
        own = dict(self._tensors())
        arrays = {name: np.asarray(state_dict[name]) for name in own if name in state_dict}
        result = LoadResult(
            [name for name in own if name not in state_dict],
            [name for name in state_dict if name not in own],
        )
        problems = [
            f"{name}: its shape is {array.shape}, the model's {own[name].shape}"
            for name, array in arrays.items()
            if array.shape != own[name].shape
        ]
        if strict:
            problems += [f"missing: {name}" for name in result.missing_keys]
            problems += [f"unexpected: {name}" for name in result.unexpected_keys]
        if problems:
            raise RuntimeError("\n  ".join([f"cannot load {type(self).__name__}:", *problems]))
        for name, array in arrays.items():
            own[name].data[...] = array
        return result

    # --- switches -----------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Training mode for this module and all below; returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Inference mode for this module and all below; returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        clear_grads(self.parameters(), set_to_none)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every submodule, children first, and on this one; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, dtype: Any) -> Self:
        """Every floating-point parameter and buffer, and its gradient, in another dtype."""
        if np.dtype(dtype) not in (float32, float64):
            raise TypeError(f"a module can be of dtype float32 or float64, not {dtype}")
        for _, value in self._tensors():
            for tensor in (value, value.grad):
                if tensor is not None and tensor.is_floating_point():
                    tensor.data = tensor.data.astype(dtype, copy=False)
        return self

    def float(self) -> Self:
        return self.to(float32)

    def double(self) -> Self:
        return self.to(float64)

    def extra_repr(self) -> str:
        """What stands in the brackets of `repr`: by default, the options of a dataclass."""
        options: tuple[Any, ...] = fields(self) if is_dataclass(self) else ()
        return ", ".join(f"{o.name}={getattr(self, o.name)!r}" for o in options if o.repr)

    def __repr__(self) -> str:
        name, children = type(self).__name__, list(self.named_children())
        if not children:
            return f"{name}({self.extra_repr()})"
        lines = "\n".join(f"({child_name}): {child!r}" for child_name, child in children)
        return f"{name}(\n{indent(lines, '  ')}\n)"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _once(pairs: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """The pairs whose value has not come before."""
    seen: set[int] = set()
    for name, value in pairs:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def clear_grads(parameters: Iterable[Tensor], set_to_none: bool) -> None:
    """Forget the accumulated gradients, or set them to zero."""
    for p in parameters:
        p.grad = None if set_to_none or p.grad is None else wrap(np.zeros_like(p.grad.data))


class Sequential(Module):
    """Modules applied one after the other; `model[0]` is the first, `model[:2]` the first two."""

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"Sequential takes modules; argument {i} is {module!r}")
            setattr(self, str(i), module)

    def forward(self, input: Any) -> Any:
        for module in self.children():
            input = module(input)
        return input

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Module:
        chosen = list(self.children())[index]
        return Sequential(*chosen) if isinstance(chosen, list) else chosen


# --- layers with parameters -----------------------------------------------------------------------


def _uniform(shape: tuple[int, ...], fan_in: int) -> Parameter:
    """Uniform in ±1/√fan_in: what PyTorch's Linear and Conv2d start from, weight and bias."""
    bound = 1 / math.sqrt(fan_in)
    return Parameter(generator().uniform(-bound, bound, shape).astype(float32))


def _positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{name} must be a positive integer, not {size!r}")


class Linear(Module):
    """y = x Wᵀ + b: (…, in_features) → (…, out_features); weight (out, in), bias (out,)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        _positive(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = _uniform((out_features, in_features), in_features)
        self.bias = _uniform((out_features,), in_features) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class Conv2d(Module):
    """Convolution of (N, C, H, W) or (C, H, W) images; see `functional.conv2d`.

    weight (out_channels, in_channels/groups, KH, KW), bias (out_channels,). Images are padded with
    zeros; PyTorch's other padding modes are refused.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | F.Pair,
        stride: int | F.Pair = 1, padding: int | F.Pair | str = 0, dilation: int | F.Pair = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
    ) -> None:  # fmt: skip
        _positive(in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"groups={groups} must divide {in_channels=} and {out_channels=}")
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode must be 'zeros', not {padding_mode!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = F.pair("kernel_size", kernel_size, 1)
        self.stride, self.dilation = F.pair("stride", stride, 1), F.pair("dilation", dilation, 1)
        F.margins(padding, self.kernel_size, self.stride, self.dilation)
        self.padding = padding if isinstance(padding, str) else F.pair("padding", padding, 0)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = _uniform(shape, math.prod(shape[1:]))
        self.bias = _uniform((out_channels,), math.prod(shape[1:])) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        for name, usual in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text if self.bias is not None else f"{text}, bias=False"


class _BatchNorm(Module):
    """Batch normalization per channel, over all axes but axis 1; see `functional.batch_norm`.

    eps: ε under the root. momentum: the weight of the newest batch in the running statistics
    (0.1: running ← 0.9·running + 0.1·batch); None: the plain average of all batches so far.
    affine: learn γ (weight) and β (bias). track_running_stats=False: always use the batch's own.
    """

    sizes: dict[int, str]  # what it takes, by the number of axes
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self, num_features: int, eps: Scalar = 1e-5, momentum: Scalar | None = 0.1,
        affine: bool = True, track_running_stats: bool = True,
    ) -> None:  # fmt: skip
        _positive(num_features=num_features)
        F.check_fraction("momentum", 0 if momentum is None else momentum)
        F.check_eps(eps)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None
        self.register_buffer("running_mean", zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", ones(num_features) if track_running_stats else None)
        self.register_buffer(
            "num_batches_tracked", zeros((), dtype=int64) if track_running_stats else None
        )

    def reset_running_stats(self) -> None:
        """As at the start: mean 0, variance 1, no batches seen."""
        for name, buffer in self.named_buffers():
            buffer.data[...] = 1 if name == "running_var" else 0

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.sizes or input.shape[1] != self.num_features:
            takes = " or ".join(self.sizes.values())
            raise ValueError(f"{self!r} takes {takes}, C = {self.num_features}, not {input.shape}")
        use_batch = self.training or self.running_mean is None
        if use_batch:
            F.check_batch(input.shape, repr(self))
        factor = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.data += 1
            factor = 1 / int(self.num_batches_tracked) if factor is None else factor
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, use_batch,
            factor or 0.0, self.eps,
        )  # fmt: skip

    def extra_repr(self) -> str:
        text = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"
        return f"{text}, affine={self.affine}, track_running_stats={self.track_running_stats}"


class BatchNorm1d(_BatchNorm):
    """Batch normalization of (N, C) or (N, C, L)."""

    sizes = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """Batch normalization of (N, C, H, W): one γ and β per feature map."""

    sizes = {4: "(N, C, H, W)"}


# --- layers without parameters --------------------------------------------------------------------

_options = dataclass(eq=False, repr=False)


@_options
class _Function(Module):
    """Applies `function` to its input, followed by its own options in their order."""

    function: ClassVar[Callable[..., Tensor]]

    def forward(self, *inputs: Any) -> Any:
        return type(self).function(*inputs, *(getattr(self, o.name) for o in fields(self)))


class ReLU(_Function):
    function = Tensor.relu


class Sigmoid(_Function):
    function = Tensor.sigmoid


class Tanh(_Function):
    function = Tensor.tanh


class Identity(_Function):
    """Returns its input. Takes and ignores any arguments, to stand in for any layer."""

    function = staticmethod(lambda input: input)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs


@_options
class Softmax(_Function):
    function = F.softmax
    dim: int


@_options
class LogSoftmax(_Function):
    function = F.log_softmax
    dim: int


@_options
class Flatten(_Function):
    """Joins the axes start_dim … end_dim into one: by default, all but the batch."""

    function = Tensor.flatten
    start_dim: int = 1
    end_dim: int = -1


@_options
class Dropout(Module):
    """In training, zeroes each element with probability p and scales the rest by 1/(1 − p)."""

    p: float = 0.5

    def __post_init__(self) -> None:
        F.check_fraction("p", self.p)

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)


@_options
class MaxPool2d(_Function):
    """The largest value of each window; see `functional.max_pool2d`."""

    function = F.max_pool2d
    kernel_size: int | F.Pair
    stride: int | F.Pair | None = None
    padding: int | F.Pair = 0
    dilation: int | F.Pair = 1
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        self.stride = self.kernel_size if self.stride is None else self.stride
        F.check_pool(self.kernel_size, self.stride, self.padding, self.dilation)


@_options
class AvgPool2d(_Function):
    """The mean of each window; see `functional.avg_pool2d`."""

    function = F.avg_pool2d
    kernel_size: int | F.Pair
    stride: int | F.Pair | None = None
    padding: int | F.Pair = 0
    ceil_mode: bool = field(default=False, repr=False)
    count_include_pad: bool = field(default=True, repr=False)

    def __post_init__(self) -> None:
        self.stride = self.kernel_size if self.stride is None else self.stride
        F.check_pool(self.kernel_size, self.stride, self.padding, 1)


@_options
class CrossEntropyLoss(_Function):
    """The negative log-likelihood of the true classes; see `functional.cross_entropy`."""

    function = F.cross_entropy
    weight: Tensor | None = field(default=None, repr=False)
    ignore_index: int = field(default=-100, repr=False)
    reduction: str = field(default="mean", repr=False)
    label_smoothing: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        F.check_reduction(self.reduction)
        F.check_fraction("label_smoothing", self.label_smoothing)
        self.register_buffer("weight", self.weight)


@_options
class MSELoss(_Function):
    """The mean squared error; see `functional.mse_loss`."""

    function = F.mse_loss
    reduction: str = field(default="mean", repr=False)

    def __post_init__(self) -> None:
        F.check_reduction(self.reduction)
