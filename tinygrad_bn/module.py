"""[7] Modules: layers that own parameters and buffers, and call the functions of file 6.

A module is an ordinary object. Its parameters, buffers and submodules are its attributes, in the
order in which they were assigned; there is nothing hidden behind `__getattr__`. Names, defaults,
initial distributions and the keys of `state_dict` are PyTorch's.
"""

from __future__ import annotations

import itertools
import math
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partialmethod
from textwrap import indent
from typing import Any, ClassVar, Self, dataclass_transform

import numpy as np


from . import losses as F
from .tensor import (
    Tensor, check_positive, check_range, float32, float64, generator, int64, ones, wrap, zeros,
)  # fmt: skip


class Parameter(Tensor):
    """A tensor that a module trains. Shares its memory with `data`, if that is a tensor."""

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data)
        self.data = data.data if isinstance(data, Tensor) else self.data
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


LoadResult = namedtuple("LoadResult", "missing_keys unexpected_keys")


class Module:
    """Base class of all layers and models: assign attributes, and define `forward`.

    training: set by `train()` and `eval()`, which reach every submodule; says how Dropout and
    BatchNorm behave. Whether gradients are recorded is another matter: see `no_grad`.
    """

    training: bool = True
    forward: Callable[..., Any]

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

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        below = itertools.chain.from_iterable(child.modules() for child in self.children())
        return iter(dict.fromkeys([self, *below]))

    def _tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Parameters, buffers, then those of the children; a shared one under each of its names."""
        inside = vars(self)
        parameters = [name for name, value in inside.items() if isinstance(value, Parameter)]
        for name in (*parameters, *inside.get("_buffers", ())):
            if inside[name] is not None:
                yield prefix + name, inside[name]
        for name, child in self.named_children():
            yield from child._tensors(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Each parameter once, under the first of its names."""
        first: dict[Tensor, str] = {}
        for name, tensor in self._tensors():
            if isinstance(tensor, Parameter):
                first.setdefault(tensor, name)
        return ((name, tensor) for tensor, name in first.items())

    def parameters(self) -> Iterator[Tensor]:
        return (parameter for _, parameter in self.named_parameters())

    def buffers(self) -> Iterator[Tensor]:
        tensors = dict.fromkeys(tensor for _, tensor in self._tensors())
        return (tensor for tensor in tensors if not isinstance(tensor, Parameter))

    # --- saving and loading -------------------------------------------------------------------
    def state_dict(self) -> dict[str, Tensor]:
        """Every parameter and buffer by name. The tensors share memory with the module's."""
        return {name: value.detach() for name, value in self._tensors()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy values in by name, from tensors or arrays of the same shapes.

        strict: all names must match. RuntimeError lists every mismatch before anything is changed.
        """
        own = dict(self._tensors())
        arrays = {name: _numbers(name, state_dict[name]) for name in own if name in state_dict}
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        problems = [
            f"{name}: its shape is {array.shape}, the model's {own[name].shape}"
            for name, array in arrays.items()
            if array.shape != own[name].shape
        ]
        if strict:
            problems += [f"missing: {name}" for name in missing]
            problems += [f"unexpected: {name}" for name in unexpected]
        if problems:
            raise RuntimeError("\n  ".join([f"cannot load {type(self).__name__}:", *problems]))
        for name, array in arrays.items():
            own[name].data[...] = array
        return LoadResult(missing, unexpected)

    # --- switches -----------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Self:
        """Training mode for this module and all below; returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Inference mode: the same as `train(False)`."""
        return self.train(False)

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

    float = partialmethod(to, float32)
    double = partialmethod(to, float64)

    def extra_repr(self) -> str:
        """What stands in the brackets of `repr`: by default, the options of a dataclass."""
        options: tuple[Any, ...] = fields(self) if is_dataclass(self) else ()
        return ", ".join(f"{o.name}={getattr(self, o.name)!r}" for o in options if o.repr)

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}" for name, child in self.named_children()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        inside = "\n".join(filter(None, [self.extra_repr(), *lines]))
        return f"{type(self).__name__}(\n{indent(inside, '  ')}\n)"


def _numbers(name: str, value: Any) -> Any:
    """A tensor (from here or from PyTorch), an array or numbers, as an array of numbers."""
    try:
        array = np.asarray(value.detach() if hasattr(value, "detach") else value)
        return array.astype(float64, casting="same_kind")
    except (TypeError, ValueError) as error:
        raise RuntimeError(f"{name}: {type(value).__name__} is no array of numbers") from error


def clear_grads(parameters: Iterable[Tensor], set_to_none: bool) -> None:
    """Forget the accumulated gradients, or set them to zero."""
    for p in parameters:
        p.grad = None if set_to_none or p.grad is None else wrap(np.zeros_like(p.grad.data))


class Sequential(Module):
    """Modules applied one after the other; `model[0]` is the first, `model[:2]` the first two."""

    in_order = True  # the children are applied one after the other

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

    def __getitem__(self, index: int | slice) -> Module:
        chosen = list(self.children())[index]
        return Sequential(*chosen) if isinstance(chosen, list) else chosen


def _uniform(shape: tuple[int, ...], fan_in: int) -> Parameter:
    """Uniform in ±1/√fan_in: what PyTorch's Linear and Conv2d start from, weight and bias."""
    bound = 1 / math.sqrt(fan_in)
    return Parameter(generator.uniform(-bound, bound, shape).astype(float32))


class Linear(Module):
    """y = x Wᵀ + b: (…, in_features) → (…, out_features); weight (out, in), bias (out,)."""

    is_linear = True

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        check_positive(in_features=in_features, out_features=out_features)
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

    is_linear = True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | F.Pair,
        stride: int | F.Pair = 1, padding: int | F.Pair | str = 0, dilation: int | F.Pair = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
    ) -> None:  # fmt: skip
        check_positive(in_channels=in_channels, out_channels=out_channels, groups=groups)
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

    momentum: the weight of the newest batch in the running statistics (0.1: 0.9·running +
    0.1·batch); None: their plain average. affine: learn γ (weight) and β (bias).
    track_running_stats=False: always use the batch's own.
    """

    sizes: ClassVar[dict[int, str]]  # what it takes, by the number of axes
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
        affine: bool = True, track_running_stats: bool = True, *, bias: bool = True,
    ) -> None:  # fmt: skip
        check_positive(num_features=num_features)
        check_range(0, 1, momentum=momentum or 0)
        check_range(0, math.inf, eps=eps)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine and bias else None
        state = {"running_mean": zeros(num_features), "running_var": ones(num_features)}
        state["num_batches_tracked"] = zeros((), dtype=int64)
        for name, tensor in state.items():
            self.register_buffer(name, tensor if track_running_stats else None)

    def reset_running_stats(self) -> None:
        """As at the start: mean 0, variance 1, no batches seen."""
        for buffer in self.buffers():
            buffer.data[...] = buffer is self.running_var

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.sizes or input.shape[1] != self.num_features:
            takes = " or ".join(self.sizes.values())
            raise ValueError(f"{self!r} takes {takes}, C = {self.num_features}, not {input.shape}")
        use_batch = self.training or self.running_mean is None
        if use_batch:
            F.check_batch(input.shape, self)
        count, factor = self.num_batches_tracked, self.momentum
        if factor is None:
            factor = 0.0 if count is None else 1 / (int(count) + 1)
        statistics = (self.running_mean, self.running_var)
        y = F.batch_norm(input, *statistics, self.weight, self.bias, use_batch, factor, self.eps)
        if self.training and count is not None:
            count.data += input.numel() > 0
        return y

    def extra_repr(self) -> str:
        text = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"
        text += f", affine={self.affine}, bias={self.bias is not None}"
        return f"{text}, track_running_stats={self.track_running_stats}"


class BatchNorm1d(_BatchNorm):
    """Batch normalization of (N, C) or (N, C, L)."""

    sizes: ClassVar = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """Batch normalization of (N, C, H, W): one γ and β per feature map."""

    sizes: ClassVar = {4: "(N, C, H, W)"}


# --- layers without parameters --------------------------------------------------------------------


@dataclass_transform()
class _Function(Module):
    """Applies `function` to its input, with the layer's own options: the fields of a dataclass."""

    function: ClassVar[Callable[..., Tensor]]
    _options: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        made: Any = dataclass(eq=False, repr=False)(cls)
        cls._options = tuple(option.name for option in fields(made))

    def forward(self, *inputs: Any) -> Any:
        return type(self).function(*inputs, **{o: getattr(self, o) for o in self._options})


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


class Softmax(_Function):
    function = F.softmax
    dim: int


class LogSoftmax(_Function):
    function = F.log_softmax
    dim: int


class Flatten(_Function):
    """Joins the axes start_dim … end_dim into one: by default, all but the batch."""

    function = Tensor.flatten
    start_dim: int = 1
    end_dim: int = -1


@dataclass(eq=False, repr=False)
class Dropout(Module):
    """In training, zeroes each element with probability p and scales the rest by 1/(1 − p)."""

    p: float = 0.5

    def __post_init__(self) -> None:
        check_range(0, 1, p=self.p)

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)


class _Pool(_Function):
    kernel_size: int | F.Pair
    stride: int | F.Pair | None = None
    padding: int | F.Pair = 0

    def __post_init__(self) -> None:
        self.stride = self.kernel_size if self.stride is None else self.stride
        F.pool_window((1, 1), **vars(self))


class AvgPool2d(_Pool):
    """The mean of each window; see `functional.avg_pool2d`."""

    function = F.avg_pool2d


class MaxPool2d(_Pool):
    """The largest value of each window; see `functional.max_pool2d`."""

    function = F.max_pool2d
    dilation: int | F.Pair = 1


class CrossEntropyLoss(_Function):
    """The negative log-likelihood of the true classes; see `functional.cross_entropy`."""

    function = F.cross_entropy
    weight: Tensor | None = field(default=None, repr=False)
    ignore_index: int = field(default=-100, repr=False, kw_only=True)
    reduction: str = field(default="mean", repr=False, kw_only=True)
    label_smoothing: float = field(default=0.0, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        F.check_reduction(self.reduction)
        check_range(0, 1, label_smoothing=self.label_smoothing)
        self.register_buffer("weight", self.weight)


class MSELoss(_Function):
    """The mean squared error; see `functional.mse_loss`."""

    function = F.mse_loss
    reduction: str = field(default="mean", repr=False, kw_only=True)

    def __post_init__(self) -> None:
        F.check_reduction(self.reduction)
