"""[7] Modules: layers that own parameters and buffers, and call the functions of file 6.

A module is an ordinary object. Its parameters, buffers and submodules are its attributes, in the
order in which they were assigned; there is nothing hidden behind `__getattr__`. Names, defaults,
initial distributions and the keys of `state_dict` are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from . import functional as functional
from .batchnorm import check_batch_norm_input
from .conv import Pair, _conv_padding, _pair
from .functional import check_reduction
from .tensor import Scalar, Tensor, _supported, float32, float64, generator, int64, wrap, zeros

F = functional


class Parameter(Tensor):
    """A tensor that a module trains. Shares its memory with `data`, if that is a tensor."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data)
        if isinstance(data, Tensor):
            self.data = data.data
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class LoadResult(NamedTuple):
    """The names that `load_state_dict(strict=False)` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


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
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it with dotted names, each once even if shared."""
        seen: set[int] = set()
        for name, module in self._all_modules(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def _all_modules(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self.named_children():
            yield from child._all_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def _own_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters, then buffers, without those of submodules."""
        buffers = vars(self).get("_buffers", {})
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield name, value
        for name in buffers:
            if isinstance(value := getattr(self, name), Tensor):
                yield name, value

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter and buffer with its dotted name; a shared one under each name."""
        for prefix, module in self._all_modules(""):
            for name, value in module._own_tensors():
                yield f"{prefix}.{name}" if prefix else name, value

    def _unique(self, parameters: bool) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for name, value in self._named_tensors():
            if isinstance(value, Parameter) == parameters and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        return self._unique(parameters=True)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return self._unique(parameters=False)

    def parameters(self) -> Iterator[Tensor]:
        return (value for _, value in self.named_parameters())

    def buffers(self) -> Iterator[Tensor]:
        return (value for _, value in self.named_buffers())

    # --- saving and loading -------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Every parameter and buffer by name. The tensors share memory with the module's."""
        return {name: value.detach() for name, value in self._named_tensors()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy values in by name, from tensors or arrays of the same shapes.

        strict: every name must match. Raises RuntimeError listing all that is missing, unexpected
        or of the wrong shape, before anything is changed.
        """
        own = dict(self._named_tensors())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        arrays = {name: np.asarray(state_dict[name]) for name in own if name in state_dict}
        problems = [
            f"{name}: shape {array.shape} in the file, {own[name].shape} in the model"
            for name, array in arrays.items()
            if array.shape != own[name].shape
        ]
        if strict:
            problems += [f"missing: {name}" for name in missing]
            problems += [f"unexpected: {name}" for name in unexpected]
        if problems:
            lines = "\n  ".join(problems)
            raise RuntimeError(f"cannot load into {type(self).__name__}:\n  {lines}")
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
        """Inference mode for this module and all below; returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters():
            clear_grad(parameter, set_to_none)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every submodule, children first, and on this one; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, dtype: Any) -> Self:
        """Every floating-point parameter and buffer, and its gradient, in another dtype."""
        if _supported(dtype) not in (float32, float64):
            raise TypeError(f"a module can be of dtype float32 or float64, not {dtype}")
        for _, value in self._named_tensors():
            for tensor in (value, value.grad):
                if tensor is not None and tensor.is_floating_point():
                    tensor.data = tensor.data.astype(dtype, copy=False)
        return self

    def float(self) -> Self:
        return self.to(float32)

    def double(self) -> Self:
        return self.to(float64)

    def extra_repr(self) -> str:
        """What stands in the brackets of `repr`."""
        return ""

    def __repr__(self) -> str:
        children = [
            f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()
        ]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        return "\n  ".join([f"{type(self).__name__}(", *children]) + "\n)"


def clear_grad(parameter: Tensor, set_to_none: bool) -> None:
    """Forget the accumulated gradient, or set it to zero in place."""
    if set_to_none:
        parameter.grad = None
    elif parameter.grad is not None:
        parameter.grad = wrap(np.zeros_like(parameter.grad.data))


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
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Module:
        chosen = list(self.children())[index]
        return Sequential(*chosen) if isinstance(chosen, list) else chosen


def _uniform(shape: tuple[int, ...], fan_in: int) -> Parameter:
    """Uniform in ±1/√fan_in: what PyTorch's Linear and Conv2d start from, weight and bias."""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
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
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Conv2d(Module):
    """Convolution of (N, C, H, W) or (C, H, W) images; see `functional.conv2d`.

    weight (out_channels, in_channels/groups, KH, KW), bias (out_channels,). Images are padded with
    zeros; PyTorch's other padding modes are refused.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | Pair,
        stride: int | Pair = 1, padding: int | Pair | str = 0, dilation: int | Pair = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
    ) -> None:  # fmt: skip
        _positive(in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups={groups} must divide in_channels={in_channels} and"
                f" out_channels={out_channels}"
            )
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode must be 'zeros', not {padding_mode!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = _pair("kernel_size", kernel_size, 1)
        self.stride = _pair("stride", stride, 1)
        self.dilation = _pair("dilation", dilation, 1)
        _conv_padding(padding, self.kernel_size, self.stride, self.dilation)
        self.padding = padding if isinstance(padding, str) else _pair("padding", padding, 0)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        self.weight = _uniform(shape, fan_in)
        self.bias = _uniform((out_channels,), fan_in) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else f"{text}, bias=False"


class _BatchNorm(Module):
    """Batch normalization per channel, over all axes but axis 1; see `functional.batch_norm`.

    eps: ε under the root. momentum: the weight of the newest batch in the running statistics
    (0.1: running ← 0.9·running + 0.1·batch); None: the plain average of all batches so far.
    affine: learn γ (weight) and β (bias). track_running_stats=False: always use the batch's own.
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
        affine: bool = True, track_running_stats: bool = True,
    ) -> None:  # fmt: skip
        _positive(num_features=num_features)
        if eps < 0 or (momentum is not None and not 0 <= momentum <= 1):
            raise ValueError(f"eps={eps} must be ≥ 0, and momentum={momentum} in [0, 1] or None")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(np.ones(num_features, float32)) if affine else None
        self.bias = Parameter(np.zeros(num_features, float32)) if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features) if tracked else None)
        self.register_buffer("running_var", zeros(num_features) + 1 if tracked else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype=int64) if tracked else None)

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def reset_running_stats(self) -> None:
        """As at the start: mean 0, variance 1, no batches seen."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.data[...] = 0
            self.running_var.data[...] = 1
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.data[...] = 0

    def _check_input(self, input: Tensor) -> None:
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        self._check_input(input)
        if input.shape[1] != self.num_features:
            raise ValueError(f"{self!r}: the input {input.shape} has {input.shape[1]} channels")
        training = self.training or self.running_mean is None
        check_batch_norm_input(input.shape, training, repr(self))
        factor = 0.0 if self.momentum is None else self.momentum
        track = self.training and self.track_running_stats
        if track and self.num_batches_tracked is not None:
            self.num_batches_tracked.data += 1
            if self.momentum is None:
                factor = 1 / int(self.num_batches_tracked)
        used = track or not training
        return F.batch_norm(
            input, self.running_mean if used else None, self.running_var if used else None,
            self.weight, self.bias, training, factor, self.eps,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine},"
            f" track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalization of (N, C) or (N, C, L)."""

    def _check_input(self, input: Tensor) -> None:
        if input.ndim not in (2, 3):
            raise ValueError(f"{self!r} needs (N, C) or (N, C, L), not {input.shape}")


class BatchNorm2d(_BatchNorm):
    """Batch normalization of (N, C, H, W): one γ and β per feature map."""

    def _check_input(self, input: Tensor) -> None:
        if input.ndim != 4:
            raise ValueError(f"{self!r} needs (N, C, H, W), not {input.shape}")


class ReLU(Module):
    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input)


class Sigmoid(Module):
    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Tanh(Module):
    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Identity(Module):
    """Returns its input. Any arguments are accepted, as in PyTorch, to stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs

    def forward(self, input: Any) -> Any:
        return input


class Softmax(Module):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


class Flatten(Module):
    """Joins the axes start_dim … end_dim into one; by default all but the batch."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Dropout(Module):
    """In training, zeroes each element with probability p and scales the rest by 1/(1 − p)."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p must be between 0 and 1, not {p}")
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class MaxPool2d(Module):
    """The largest value of each window; see `functional.max_pool2d`."""

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None,
        padding: int | Pair = 0, dilation: int | Pair = 1, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.ceil_mode = padding, dilation, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding},"
            f" dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window; see `functional.avg_pool2d`."""

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None,
        padding: int | Pair = 0, ceil_mode: bool = False, count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class CrossEntropyLoss(Module):
    """The negative log-likelihood of the true classes; see `functional.cross_entropy`."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean",
        label_smoothing: Scalar = 0.0,
    ) -> None:  # fmt: skip
        check_reduction(reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing must be between 0 and 1, not {label_smoothing}")
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction = ignore_index, reduction
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class MSELoss(Module):
    """The mean squared error; see `functional.mse_loss`."""

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction(reduction)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, self.reduction)
