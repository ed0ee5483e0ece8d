"""[3] The Tensor: an array that remembers how it was computed, and its primitive operations.

Every operation is written in the same way: a sentence, the forward computation on arrays, and then
for each input its derivative (g, y) ↦ gᵀ·∂y/∂x, where y is the output and g = ∂L/∂y. A derivative
is written in tensor operations, so that it can be differentiated too. Everything else in this
package is built from these. Names, arguments, dtypes and results are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np

from . import checks, kernels
from .checks import DType, float32, float64, int64
from .engine import (
    OUTPUT,
    Array,
    JointDerivative,
    Node,
    Shape,
    Version,
    check_gradient,
    recording,
)
from .engine import backward as _backward
from .kernels.forks import held_across_forks

Operand = Any  # what can stand beside a tensor in a + b: a tensor, an array, a number
Dim = int | Sequence[int] | None

# The one random generator: behind randn, initial weights, dropout and shuffling.
generator = np.random.default_rng()
held_across_forks(generator.bit_generator.lock)


def manual_seed(seed: int) -> None:
    """Start the one random generator of this package anew.

    >>> manual_seed(0); first = randn(3)
    >>> manual_seed(0); (randn(3) == first).tolist()
    [True, True, True]
    """
    generator.bit_generator.state = np.random.PCG64(seed).state


def get_rng_state() -> Tensor:
    """The state of the random generator as bytes (uint8), for a checkpoint.

    >>> state = get_rng_state(); first = randn(3)
    >>> set_rng_state(state); (randn(3) == first).tolist()
    [True, True, True]
    """
    return wrap(kernels.state_bytes(generator))


def set_rng_state(new_state: Any) -> None:
    """Put the random generator back into a state that `get_rng_state` has given.

    >>> set_rng_state(get_rng_state())
    """
    kernels.set_state(generator, np.asarray(new_state))


# --- how an operation becomes part of the graph ---------------------------------------------------


def wrap(array: Array) -> Tensor:
    """A tensor around an existing array, without copying it."""
    out = Tensor.__new__(Tensor)  # not Tensor(array), which would check it and copy it
    out.data = np.asarray(array)  # a sum of NumPy's over all axes is a scalar, not an array
    out.version = Version()
    out._grad = out.grad_fn = None
    out._requires_grad = False
    return out


Input = tuple[Any, ...]  # (tensor, its derivative, and each tensor whose values that uses)


def record(name: str, data: Array, *inputs: Input, **arguments: Any) -> Tensor:
    """The result `data` of an operation on `inputs`, each with its derivative.

    Each is given as (tensor, derivative, the tensors whose values the derivative uses): when one of
    these is changed in place before `backward`, the gradient would be wrong, and is refused. The
    output y is called OUTPUT among them, for it does not exist yet; it is None for a derivative
    that does not name it, and its numbers need not be kept.
    arguments: what else the operation was told, for those who draw or export the graph.
    """
    out = wrap(data)
    if not recording.get():
        return out
    required = [given[0]._requires_grad for given in inputs]
    if any(required):
        tensors, derivatives, used, output = [], [], [], None
        for i, (tensor, derivative, *uses) in enumerate(inputs):
            tensors.append(tensor)
            derivatives.append(derivative if required[i] else None)  # nor what it would keep
            for other in uses if required[i] else ():
                used.append((i, other, other.version.number))
                if other is OUTPUT:
                    output = wrap(out.data)
                    output.version = out.version
        node = Node(name, arguments, tensors, tuple(derivatives), used, output)
        out.grad_fn = node
        out._requires_grad = True
    return out


def record_view(name: str, data: Array, input: Input, **arguments: Any) -> Tensor:
    """The same where `data` may lie in the memory of x: a change in one of them is one in both."""
    view = record(name, data, input, **arguments)
    x, owner = input[0], data.base  # None, if it has memory of its own: reshape may have to copy
    if owner is x.data or (owner is not None and owner is x.data.base):
        view.version = x.version
    return view


def record_joint(
    name: str,
    data: Array,
    parents: tuple[Tensor, ...],
    derivative: JointDerivative,
    used: Sequence[Any],
    **arguments: Any,
) -> Tensor:
    """The same for an operation whose gradients share their work: one function gives them all."""
    out = wrap(data)
    if recording.get() and any([tensor._requires_grad for tensor in parents]):
        by_all = [(None, tensor, tensor.version.number) for tensor in used]
        output = out.detach() if any(tensor is OUTPUT for tensor in used) else None
        out.grad_fn = Node(name, arguments, parents, derivative, by_all, output)
        out._requires_grad = True
    return out


# --- which dtype an operation has -----------------------------------------------------------------


def promoted(a: Tensor, b: Operand) -> DType:
    """The dtype in which a and b are combined: the later of the two in this table's heading.

        a \\ b    | bool     int64    float32  float64
        ---------+-----------------------------------
        bool     | bool     int64    float32  float64
        int64    | int64    int64    float32  float64
        float32  | float32  float32  float32  float64
        float64  | float64  float64  float64  float64

    A number, or a tensor without axes beside one with axes, only brings its kind: it makes floats
    of integers, but not 64 bits of 32.
    """
    first = a.data.dtype
    if not isinstance(b, Tensor):
        return max(first, checks.number_dtype(b), key=checks.rank)
    second = b.data.dtype
    if first.kind == second.kind == "f" and (a.ndim == 0) != (b.ndim == 0):
        return second if a.ndim == 0 else first
    return max(first, second, key=checks.rank)


def operands(a: Tensor, b: Operand) -> tuple[Tensor, Tensor]:
    """`a` and `b` as tensors of the dtype that their operation has."""
    dtype = a.data.dtype
    if isinstance(b, Tensor) and b.data.dtype is dtype:  # the usual case: nothing to do
        return a, b
    if dtype.kind == "f" and type(b) in (int, float):  # the next usual case
        return a, wrap(np.array(b, dtype))
    if isinstance(b, np.generic):
        b = b.item()
    elif isinstance(b, np.ndarray):
        b = Tensor(b)
    dtype = promoted(a, b)
    second = converted(b, dtype) if isinstance(b, Tensor) else wrap(np.array(b, dtype))
    return converted(a, dtype), second


def converted(x: Tensor, dtype: DType) -> Tensor:
    """x in another dtype; itself, if it has it. The gradient comes back in the dtype of x."""
    before = x.data.dtype
    if dtype is before:
        return x
    data = x.data.astype(dtype)
    if dtype.kind != "f":
        return wrap(data)
    return record(
        "to",
        data,
        (x, lambda g, y: converted(g, before)),
        dtype=dtype,
    )


def as_tensor(value: Operand) -> Tensor:
    """A tensor as it is, anything else as a new one."""
    return value if isinstance(value, Tensor) else Tensor(value)


def compared(compare: np.ufunc, a: Tensor, b: Operand) -> Tensor:
    """A bool tensor; there is nothing to differentiate. Python decides about what is no number."""
    if not isinstance(b, (Tensor, np.ndarray, np.number, np.bool_, int, float)):
        return NotImplemented  # type: ignore[no-any-return]
    a, b = operands(a, b)
    return wrap(combined(compare.__name__, compare, a, b))


def default_dtype(dtype: DType, data: Any) -> DType:
    """Of Python's numbers: float32 and int64 on every platform."""
    if dtype.kind == "f":
        return float64 if checks.holds_float64(data) else float32
    return int64 if dtype.kind == "i" else dtype


def combined(name: str, ufunc: np.ufunc, a: Tensor, b: Tensor) -> Any:
    """ufunc(a, b) on the arrays; ValueError if they cannot be broadcast."""
    try:
        return ufunc(a.data, b.data)
    except ValueError:
        raise ValueError(f"{name}: {a.shape} and {b.shape} cannot be broadcast") from None


# What is asked of the tensor in `array + tensor`, by the name of NumPy's function.
REFLECTED = {
    "add": "__radd__",
    "subtract": "__rsub__",
    "multiply": "__rmul__",
    "divide": "__rtruediv__",
    "power": "__rpow__",
    "matmul": "__rmatmul__",
    "less": "__gt__",
    "less_equal": "__ge__",
    "greater": "__lt__",
    "greater_equal": "__le__",
    "equal": "__eq__",
    "not_equal": "__ne__",
}


class MinMax(NamedTuple):
    """What `max` and `min` along a dimension return."""

    values: Tensor
    indices: Tensor


class Tensor:
    """An n-dimensional array with a gradient.

    data: the NumPy array. grad: the accumulated gradient, a Tensor of the same shape, or None.
    requires_grad: whether operations on this tensor are recorded. grad_fn: the operation that
    made it; None for a leaf. version: counts changes in place, which `backward` refuses if it needs
    the old values (what NumPy itself writes into `data` is not seen). The constructor copies
    `data`; Python floats become float32, and arrays keep their dtype, which must be float32,
    float64, int64 or bool (else TypeError).

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    tensor([2., 4., 6.])
    """

    __slots__ = ("__weakref__", "_grad", "_requires_grad", "data", "grad_fn", "version")

    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None) -> None:
        source = data.data if isinstance(data, Tensor) else data
        try:
            array = np.asarray(source)
        except ValueError as error:
            raise ValueError(f"lists in a tensor must be of equal lengths ({error})") from None
        if dtype is None:
            dtype = array.dtype
            if not isinstance(source, np.ndarray | np.generic):  # chosen by NumPy
                dtype = default_dtype(dtype, source)
            source = array  # lists are gone through once
        self.data: Array = np.array(source, checks.supported_dtype(dtype), order="C")
        self.version = Version()
        self._grad: Tensor | None = None
        self.grad_fn: Node | None = None
        self.requires_grad = requires_grad

    # --- what it is -------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        checks.may_require_grad(self, value)
        self._requires_grad = value

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has left here, of the shape and dtype of the tensor."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            check_gradient(value, self)
        self._grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad`; returns self."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was given rather than computed."""
        return self.grad_fn is None

    @property
    def shape(self) -> Shape:
        """The size of each axis."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, float64, int64 or bool."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def device(self) -> str:
        """Always "cpu"."""
        return "cpu"

    def dim(self) -> int:
        """The number of axes."""
        return self.ndim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        return self.shape if dim is None else self.shape[checks.axis(dim, self.ndim)]

    def numel(self) -> int:
        """The number of elements."""
        return self.data.size

    def is_floating_point(self) -> bool:
        """Whether its dtype is float32 or float64."""
        return self.dtype.kind == "f"

    # --- out to Python and NumPy, and back --------------------------------------------------------

    def numpy(self) -> Array:
        """The array itself, not a copy; RuntimeError if a gradient would be lost by it."""
        if self.requires_grad:
            raise RuntimeError("this tensor requires grad: use .detach().numpy()")
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """What `np.asarray(tensor)` calls."""
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """`array + tensor` is `tensor.__radd__(array)`; NumPy's other functions are refused."""
        reflected = REFLECTED.get(ufunc.__name__)
        if reflected is None or method != "__call__" or options or inputs[-1] is not self:
            raise TypeError(
                f"numpy.{ufunc.__name__} is not for a Tensor: use x.detach().numpy(), and to "
                "change a weight in place `with no_grad(): w -= ...`, not w.data"
            )
        return getattr(self, reflected)(inputs[0])

    def item(self) -> Any:
        """The single number in it, as Python's."""
        if self.data.size != 1:
            raise RuntimeError(f"a tensor of shape {self.shape} is not a single value")
        return self.data.item()

    def tolist(self) -> Any:
        """Its numbers as nested lists."""
        return self.data.tolist()

    def __bool__(self) -> bool:
        """Of a single number."""
        return bool(self.item())

    def __index__(self) -> int:
        """What `names[label]` calls: of a single integer."""
        checks.can_be_an_index(self)
        return int(self.item())

    def __int__(self) -> int:
        """Of a single number."""
        return int(self.item())

    def __float__(self) -> float:
        """Of a single number."""
        return float(self.item())

    def __len__(self) -> int:
        """The size of the first axis."""
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        """Along the first axis."""
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        """As a number, if it has no axes."""
        return format(self.item() if self.ndim == 0 else str(self), spec)

    def __repr__(self) -> str:
        """As PyTorch prints it: four digits."""
        suffixes = []
        if self.data.size == 0 and self.ndim != 1:
            suffixes.append(f"size={self.shape}")
        if self.dtype == float64 or (self.data.size == 0 and self.dtype != float32):
            suffixes.append(f"dtype={self.dtype}")
        if self.grad_fn is not None:
            suffixes.append(f"grad_fn=<{self.grad_fn.name}>")
        elif self.requires_grad:
            suffixes.append("requires_grad=True")
        return kernels.tensor_text(self.data, suffixes)

    __hash__ = object.__hash__  # by identity: == compares element by element

    def __getstate__(self) -> Any:
        """What `copy`, `deepcopy` and `pickle` take; RuntimeError for a result with its graph."""
        checks.has_no_graph(self)
        state: Any = super().__getstate__()
        attributes, slots = state
        if self.grad is not None and self.grad.grad_fn is not None:
            slots["_grad"] = None  # a copy of the gradient would need one of its graph
        return attributes, slots

    # --- the graph --------------------------------------------------------------------------------

    backward = _backward

    def detach(self) -> Tensor:
        """The same values, in the same memory, without their history."""
        out = wrap(self.data)
        out.version = self.version
        return out

    def clone(self) -> Tensor:
        """A copy in memory of its own; the gradient passes through."""
        return record(
            "clone",
            self.data.copy(order="K"),
            (self, lambda g, y: g),
        )

    def to(self, *args: Any, dtype: Any = None, device: Any = None) -> Tensor:
        """In another dtype, or that of another tensor; the gradient comes back in this one.

        A device may be given as in PyTorch: `to("cpu")` changes nothing, others are refused.
        """
        dtype = checks.dtype_to(args, dtype, device)
        return self if dtype is None else converted(self, checks.supported_dtype(dtype))

    def cpu(self) -> Tensor:
        """Itself: there is no other device."""
        return self

    def float(self) -> Tensor:
        """In float32."""
        return converted(self, float32)

    def double(self) -> Tensor:
        """In float64."""
        return converted(self, float64)

    def _floats(self) -> Tensor:
        """Itself, or integers as float32: functions such as exp have no integer results."""
        return self if self.dtype.kind == "f" else converted(self, float32)

    # --- elementwise functions --------------------------------------------------------------------

    def exp(self) -> Tensor:
        """e^x."""
        x = self._floats()
        return record(
            "exp",
            np.exp(x.data),
            (x, lambda g, y: g * y, OUTPUT),
        )

    def log(self) -> Tensor:
        """The natural logarithm."""
        x = self._floats()
        return record(
            "log",
            np.log(x.data),
            (x, lambda g, y: g / x, x),
        )

    def sqrt(self) -> Tensor:
        """√x."""
        x = self._floats()
        return record(
            "sqrt",
            np.sqrt(x.data),
            (x, lambda g, y: g / (2.0 * y), OUTPUT),
        )

    def tanh(self) -> Tensor:
        """The hyperbolic tangent."""
        x = self._floats()
        return record(
            "tanh",
            np.tanh(x.data),
            (x, lambda g, y: g * (1.0 - y * y), OUTPUT),
        )

    def sigmoid(self) -> Tensor:
        """1 / (1 + e^(−x))."""
        x = self._floats()
        with np.errstate(over="ignore"):  # where e^(−x) overflows to ∞, 0 is right
            y = 1 / (1 + np.exp(-x.data))
        return record(
            "sigmoid",
            y,
            (x, lambda g, y: g * y * (1.0 - y), OUTPUT),
        )

    def relu(self) -> Tensor:
        """max(x, 0); its derivative at 0 is taken to be 0."""
        checks.no_bools("relu", self)
        return record(
            "relu",
            kernels.relu(self.data),
            (self, lambda g, y: masked(g, y.data <= 0), OUTPUT),
        )

    def abs(self) -> Tensor:
        """|x|; its derivative at 0, and at NaN, is taken to be 0."""
        checks.no_bools("abs", self)
        return record(
            "abs",
            np.abs(self.data),
            (self, lambda g, y: g * wrap(np.nan_to_num(np.sign(self.data))), self),
        )

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """Limited to [min, max], either of which may be left out; derivative 1 on the border."""
        if min is None and max is None:
            raise ValueError("clamp() needs min, max or both")
        checks.bound("min", min)
        checks.bound("max", max)
        x = self
        for bound in (min, max):
            if bound is not None:
                x, _ = operands(x, bound)
        y = np.clip(x.data, min, max).astype(x.dtype, copy=False)
        return record(
            "clamp",
            y,
            (x, lambda g, y: masked(g, y.data != x.data), x, OUTPUT),  # 0 where it was changed
            min=min,
            max=max,
        )

    # --- arithmetic: a and b are broadcast as in NumPy --------------------------------------------

    def __neg__(self) -> Tensor:
        """−x."""
        checks.no_bools("-", self)
        return record(
            "neg",
            -self.data,
            (self, lambda g, y: -g),
        )

    __abs__ = abs  # what `abs(x)` calls

    def __add__(self, other: Operand) -> Tensor:
        """a + b."""
        a, b = operands(self, other)
        return record(
            "add",
            combined("+", np.add, a, b),
            (a, lambda g, y: g),
            (b, lambda g, y: g),
        )

    def __sub__(self, other: Operand) -> Tensor:
        """a − b."""
        checks.no_bools("-", self, other)
        a, b = operands(self, other)
        return record(
            "sub",
            combined("-", np.subtract, a, b),
            (a, lambda g, y: g),
            (b, lambda g, y: -g),
        )

    def __mul__(self, other: Operand) -> Tensor:
        """a · b, element by element."""
        a, b = operands(self, other)
        return record(
            "mul",
            combined("*", np.multiply, a, b),
            (a, lambda g, y: g * b, b),
            (b, lambda g, y: g * a, a),
        )

    def __truediv__(self, other: Operand) -> Tensor:
        """a / b; integers are divided as float32."""
        a, b = operands(self, other)
        if a.data.dtype.kind != "f":
            a, b = a * 1.0, b * 1.0
        return record(
            "div",
            combined("/", np.true_divide, a, b),
            (a, lambda g, y: g / b, b),
            (b, lambda g, y: -g * y / b, b, OUTPUT),
        )

    def __pow__(self, other: Operand) -> Tensor:
        """a^b. By convention ∂a is 0 where b = 0, and ∂b is 0 where a = 0 ≤ b."""
        a, b = operands(self, other)
        checks.no_bools("**", a)
        checks.has_powers(a, b)

        def by_a(g: Tensor, y: Tensor) -> Tensor:
            exponent = where((a == 0) * (b == 0), 1.0, b - 1)
            return g * b * a**exponent

        def by_b(g: Tensor, y: Tensor) -> Tensor:
            base = where((a == 0) * (b >= 0), 1.0, a)
            return g * y * base.log()

        return record(
            "pow",
            combined("**", np.power, a, b),
            (a, by_a, a, b),
            (b, by_b, a, b, OUTPUT),
        )

    def __rsub__(self, other: Operand) -> Tensor:
        """What `2 - x` calls."""
        checks.no_bools("-", other)
        return operands(self, other)[1] - self

    __radd__, __rmul__ = __add__, __mul__  # what `2 + x` and `2 * x` call

    def __rtruediv__(self, other: Operand) -> Tensor:
        """What `2 / x` calls."""
        return operands(self, other)[1] / self

    def __rpow__(self, other: Operand) -> Tensor:
        """What `2 ** x` calls."""
        return operands(self, other)[1] ** self

    def __matmul__(self, other: Operand) -> Tensor:
        """Matrix product (…, n, k) @ (…, k, m) → (…, n, m); a 1-d operand is a row or a column."""
        checks.matmul_dtype(self, other)
        a, b = operands(self, other)
        checks.matmul_shapes(a.data, b.data)
        if b.data.ndim == 1:
            return (a @ b.unsqueeze(1)).squeeze(-1)
        if a.data.ndim == 1:
            return (a.unsqueeze(0) @ b).squeeze(-2)
        return record(
            "matmul",
            kernels.matmul(a.data, b.data),
            (a, lambda g, y: g @ b.transpose(-1, -2), b),
            (b, lambda g, y: a.transpose(-1, -2) @ g, a),
        )

    def __rmatmul__(self, other: Operand) -> Tensor:
        """What `array @ x` calls."""
        b, a = operands(self, other)
        return a @ b

    # --- in place: only where nothing is recorded -------------------------------------------------

    def _write(self, name: str, result: Tensor) -> Tensor:
        """Put `result` into this tensor's own memory; returns self."""
        checks.not_recorded(name, self, result)
        checks.can_hold(name, self, result)
        self.data[...] = result.data
        self.version.number += 1
        return self

    def _write_or_rebind(self, name: str, result: Tensor) -> Tensor:
        """What `x += y` gives: x, changed in place; but where it is recorded, a new tensor.

        Not where x is a leaf that requires a gradient: that is refused, as in PyTorch.
        """
        if result.grad_fn is not None and (self.grad_fn is not None or not self._requires_grad):
            return result
        return self._write(name, result)

    def __iadd__(self, other: Operand) -> Tensor:
        """`x += y`: in place, unless it is recorded; see `add_`."""
        return self._write_or_rebind("+=", self + other)

    def __isub__(self, other: Operand) -> Tensor:
        """`x -= y`: in place, unless it is recorded; see `sub_`."""
        return self._write_or_rebind("-=", self - other)

    def __imul__(self, other: Operand) -> Tensor:
        """`x *= y`: in place, unless it is recorded; see `mul_`."""
        return self._write_or_rebind("*=", self * other)

    def __itruediv__(self, other: Operand) -> Tensor:
        """`x /= y`: in place, unless it is recorded; see `div_`."""
        return self._write_or_rebind("/=", self / other)

    def add_(self, other: Operand, *, alpha: Operand = 1) -> Tensor:
        """Add alpha·other in place; RuntimeError where a gradient would be recorded."""
        return self._write("add_", self + (other if alpha == 1 else other * alpha))

    def sub_(self, other: Operand, *, alpha: Operand = 1) -> Tensor:
        """Subtract alpha·other in place; RuntimeError where a gradient would be recorded."""
        return self._write("sub_", self - (other if alpha == 1 else other * alpha))

    def mul_(self, other: Operand) -> Tensor:
        """Multiply in place; RuntimeError where a gradient would be recorded."""
        return self._write("mul_", self * other)

    def div_(self, other: Operand) -> Tensor:
        """Divide in place; RuntimeError where a gradient would be recorded."""
        return self._write("div_", self / other)

    def copy_(self, src: Operand) -> Tensor:
        """Take the values of `src`, broadcast, in this tensor's dtype."""
        return self._write("copy_", as_tensor(src).to(self.dtype))

    def fill_(self, value: Operand) -> Tensor:
        """Set every element to one number."""
        return self.copy_(checks.single_number(value))

    def zero_(self) -> Tensor:
        """Set every element to 0."""
        return self.fill_(0)

    def __setitem__(self, index: Any, value: Operand) -> None:
        """`x[index] = value`, in place, with an index as `x[index]` takes it."""
        source = as_tensor(value)
        checks.not_recorded("x[...] = y", self, source)
        self.data[plain_index(index)] = source.data
        self.version.number += 1

    # --- comparisons: bool tensors, no gradient ---------------------------------------------------

    def __lt__(self, other: Operand) -> Tensor:
        """a < b."""
        return compared(np.less, self, other)

    def __le__(self, other: Operand) -> Tensor:
        """a ≤ b."""
        return compared(np.less_equal, self, other)

    def __gt__(self, other: Operand) -> Tensor:
        """a > b."""
        return compared(np.greater, self, other)

    def __ge__(self, other: Operand) -> Tensor:
        """a ≥ b."""
        return compared(np.greater_equal, self, other)

    def __eq__(self, other: Operand) -> Any:
        """a = b, element by element; False beside what is no number, array or tensor."""
        return compared(np.equal, self, other)

    def __ne__(self, other: Operand) -> Any:
        """a ≠ b, element by element; True beside what is no number, array or tensor."""
        return compared(np.not_equal, self, other)

    # --- reductions over `dim`: an axis, several, or None for all ---------------------------------

    def sum(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Σ x."""
        checks.flag(keepdim=keepdim)
        axes, shape = checks.reduced_axes(dim, self.ndim), self.data.shape
        return record(
            "sum",
            kernels.sum_over(self.data, axes, keepdim),
            (self, lambda g, y: spread(g, shape, axes)),  # not self.shape: it would keep self
            dim=axes,
            keepdim=keepdim,
        )

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Σ x / n."""
        checks.one_float_dtype("mean", input=self)
        checks.flag(keepdim=keepdim)
        axes, shape = checks.reduced_axes(dim, self.ndim), self.data.shape
        total = kernels.sum_over(self.data, axes, keepdim)
        n = self.numel() // max(total.size, 1)  # elements that go into one mean
        return record(
            "mean",
            total / n,
            (self, lambda g, y: spread(g / max(n, 1), shape, axes)),
            dim=axes,
            keepdim=keepdim,
        )

    def var(self, dim: Dim = None, correction: int | None = 1, keepdim: bool = False) -> Tensor:
        """Σ(x − mean)² / (n − correction): 1 for an unbiased estimate, 0 for the mean square."""
        if isinstance(dim, bool):
            raise TypeError(f"var({dim}): for PyTorch's unbiased={dim} give correction={int(dim)}")
        correction = 1 if correction is None else correction
        mean = self.mean(dim, keepdim=True)
        n = self.numel() // max(mean.numel(), 1)
        centred = self - mean
        centred = centred - centred.mean(dim, keepdim=True)  # what the mean was rounded by
        return (centred * centred).sum(dim, keepdim) / max(n - correction, 0)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The largest element; with `dim`, a pair (values, indices) along that axis.

        Over all elements, equal maxima share the gradient; along an axis the first one takes it.
        """
        return extreme("max", self, np.argmax, dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The smallest element; with `dim`, a pair (values, indices) along that axis."""
        return extreme("min", self, np.argmin, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the (first) maximum is: along `dim`, or in the flattened tensor."""
        checks.flag(keepdim=keepdim)
        checks.no_bools("argmax", self)
        axis = checks.axis_with_elements("argmax", self, dim)
        index = np.argmax(self.data, axis, keepdims=keepdim)
        return wrap(np.asarray(index, int64))

    # --- shapes -----------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements, row by row, in another shape; one size may be -1."""
        sizes, before = checks.sizes(shape, least=-1), self.data.shape
        try:
            y = self.data.reshape(sizes)
        except ValueError:
            raise ValueError(
                f"reshape: {sizes} does not hold the {self.numel()} elements of {self.shape}"
            ) from None
        return record_view(
            "reshape",
            y,
            (self, lambda g, y: g.reshape(before)),
            shape=y.shape,
        )

    view = reshape  # where memory has another order, it is copied, not refused

    def permute(self, *dims: Any) -> Tensor:
        """The axes in another order."""
        axes = checks.every_axis(checks.integers("dim", dims), self.ndim)
        back = np.argsort(axes).tolist()
        return record_view(
            "permute",
            self.data.transpose(axes),
            (self, lambda g, y: g.permute(back)),
            dims=axes,
        )

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Two axes exchanged."""
        i, j = checks.axis(dim0, self.ndim), checks.axis(dim1, self.ndim)
        y = self.data.swapaxes(i, j) if self.ndim else self.data[...]
        return record_view(
            "transpose",
            y,
            (self, lambda g, y: g.transpose(i, j)),
            dim0=i,
            dim1=j,
        )

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return record_view(
            "T",
            self.data.T,
            (self, lambda g, y: g.T),
        )

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes start_dim … end_dim joined into one."""
        i, j = checks.axis(start_dim, self.ndim), checks.axis(end_dim, self.ndim)
        if i > j:
            raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
        joined = math.prod(self.shape[i : j + 1])
        return self.reshape(*self.shape[:i], joined, *self.shape[j + 1 :])

    def squeeze(self, dim: Dim = None) -> Tensor:
        """Without the axes of size 1 (among `dim`, if given)."""
        axes = checks.axes(dim, self.ndim)
        sizes = enumerate(self.shape)
        return self.reshape([size for axis, size in sizes if size != 1 or axis not in axes])

    def unsqueeze(self, dim: int) -> Tensor:
        """With a new axis of size 1 at `dim`."""
        axis = checks.axis(dim, self.ndim + 1)
        return self.reshape(*self.shape[:axis], 1, *self.shape[axis:])

    def expand(self, *shape: Any) -> Tensor:
        """Repeated along axes of size 1 (and new leading ones) to `shape`; -1 keeps a size."""
        wanted = checks.sizes(shape, least=-1)
        there = (-1,) * (len(wanted) - self.ndim) + self.shape
        pairs = zip(wanted, there, strict=False)
        sizes = tuple([old if size == -1 else size for size, old in pairs])
        try:
            y = np.broadcast_to(self.data, sizes)
        except ValueError:
            raise ValueError(f"expand{sizes}: there is no such shape for {self.shape}") from None
        return record_view(
            "expand",
            y,
            (self, lambda g, y: g),  # the walk adds up the copies' gradients
            shape=sizes,
        )

    def __getitem__(self, index: Any) -> Tensor:
        """Indexing as in NumPy: integers, slices, None, ..., integer and boolean arrays."""
        index, shape = plain_index(index), self.data.shape
        y = self.data[index]
        if not isinstance(y, np.ndarray):  # a copy of one number: the dots make a view of it
            y = self.data[(*index, ...)]
        return record_view(
            "getitem",
            y,
            (self, lambda g, y: scatter(g, index, shape)),
            index=index,
        )


# --- the linear maps that the derivatives above are made of ---------------------------------------
# Each is the transpose of another operation, which is therefore its derivative. In it the gradient
# is called h, for g is taken.


def masked(g: Tensor, mask: Array) -> Tensor:
    """`g`, but 0 where the mask of its shape is True. It is its own transpose."""
    return record(
        "masked",
        kernels.masked(g.data, mask),
        (g, lambda h, _: masked(h, mask)),
    )


def spread(g: Tensor, shape: Shape, axes: Shape) -> Tensor:
    """`g`, which was reduced from `shape` over `axes`, repeated: the transpose of a sum."""
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    return record(
        "spread",
        np.broadcast_to(g.data.reshape(kept), shape),
        (g, lambda h, _: h.sum(axes).reshape(g.shape)),
    )


def scatter(g: Tensor, index: tuple[Any, ...], shape: Shape) -> Tensor:
    """Zeros of `shape` with `g` added at `index`: the transpose of indexing."""
    y = np.zeros(shape, g.dtype)
    if all(isinstance(part, slice | int | EllipsisType | None) for part in index):
        y[index] = g.data
    else:
        np.add.at(y, index, g.data)  # an index array may name an element more than once
    return record(
        "scatter",
        y,
        (g, lambda h, _: h[index]),
        index=index,
    )


def plain_index(index: Any) -> tuple[Any, ...]:
    """An index as a tuple in which tensors and lists are arrays, which nobody else can change."""
    parts = index if isinstance(index, tuple) else (index,)
    return tuple([index_array(part) for part in parts])


def index_array(part: Any) -> Any:
    """A copy of an index array, as an array; anything else as it is."""
    if isinstance(part, Tensor):
        part = part.data
    elif isinstance(part, list):
        part = np.array(part, None if part else int64)
    return part.copy() if isinstance(part, np.ndarray) else part


def extreme(
    name: str, x: Tensor, arg: Callable[..., Any], dim: int | None, keepdim: bool
) -> Tensor | MinMax:
    """The largest or smallest element, by argmax or argmin; with `dim`, those along that axis.

    They are taken by indexing with where they are, so the first of equal ones takes the gradient.
    """
    checks.extreme(name, dim, keepdim)
    axis = checks.axis_with_elements(name, x, dim)
    if axis is None:
        return extreme_of_all(name, x, arg)
    if x.ndim == 0:
        return extreme(name, x.reshape(1), arg, 0, keepdim=False)
    index = arg(x.data, axis=axis, keepdims=True)
    place = list(np.indices(index.shape, sparse=True))  # of each result; along `axis`, its index
    place[axis] = index
    found = MinMax(x[tuple(place)], wrap(index.astype(int64, copy=False)))
    return found if keepdim else MinMax(*[part.squeeze(axis) for part in found])


def extreme_of_all(name: str, x: Tensor, arg: Callable[..., Any]) -> Tensor:
    """The largest or smallest of all elements; equal ones share the gradient."""
    y = x.data.reshape(-1)[arg(x.data)]
    others = ~np.isnan(x.data) if np.isnan(y) else x.data != y  # NaN is not equal to itself
    count = np.count_nonzero(~others)
    return record(
        name,
        y,
        (x, lambda g, y: masked((g / count).expand(x.shape), others)),
    )


# --- functions of several tensors -----------------------------------------------------------------


def where(condition: Any, input: Any, other: Any) -> Tensor:
    """`input` where `condition` holds and `other` elsewhere; all three are broadcast.

    >>> x = tensor([-1.0, 2.0])
    >>> where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    mask = checks.condition(condition.data if isinstance(condition, Tensor) else condition)
    if isinstance(other, Tensor):  # a number takes its dtype from the tensor beside it
        b, a = operands(other, input)
    else:
        a, b = operands(as_tensor(input), other)
    try:
        y = np.where(mask, a.data, b.data)
    except ValueError:
        shapes = f"{mask.shape}, {a.shape} and {b.shape}"
        raise ValueError(f"where: {shapes} cannot be broadcast") from None
    mask = np.broadcast_to(mask, y.shape)
    return record(
        "where",
        y,
        (a, lambda g, y: masked(g, ~mask)),
        (b, lambda g, y: masked(g, mask)),
        condition=mask,
    )


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joined along the existing axis `dim`; the other sizes must agree.

    >>> cat([ones(2), zeros(1)])
    tensor([1., 1., 0.])
    """
    checks.joinable(tensors, Tensor)
    axis = checks.axis(dim, tensors[0].ndim)
    dtype = max([t.dtype for t in tensors], key=checks.rank)
    tensors = [t.to(dtype) for t in tensors]
    try:
        y = np.concatenate([t.data for t in tensors], axis)
    except ValueError as error:  # NumPy knows which of the shapes does not fit, and why
        shapes = [t.shape for t in tensors]
        raise ValueError(f"cat: shapes {shapes} cannot be joined: {error}") from None
    parts = []
    end = 0
    for t in tensors:
        start, end = end, end + t.shape[axis]
        part = (slice(None),) * axis + (slice(start, end),)
        parts.append((t, lambda g, y, part=part: g[part]))  # its own part, not the last one
    return record(
        "cat",
        y,
        *parts,
        dim=axis,
    )


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joined along a new axis `dim`; all shapes must agree.

    >>> stack([ones(2), zeros(2)])
    tensor([[1., 1.],
            [0., 0.]])
    """
    checks.joinable(tensors, Tensor)
    checks.equal_shapes(tensors)
    return cat([t.unsqueeze(dim) for t in tensors], dim)


# --- tensors from nothing -------------------------------------------------------------------------


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor holding a copy of `data`: a number, nested lists, or an array.

    >>> tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    checks.only_cpu(device)
    return Tensor(data, requires_grad, dtype)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of size (2, 3) for `zeros(2, 3)` or `zeros((2, 3))`; float32 by default.

    >>> zeros(2)
    tensor([0., 0.])
    """
    checks.only_cpu(device)
    return Tensor(np.zeros(checks.sizes(size), dtype or float32), requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones, of a size as in `zeros`.

    >>> ones(1, 2)
    tensor([[1., 1.]])
    """
    checks.only_cpu(device)
    return Tensor(np.ones(checks.sizes(size), dtype or float32), requires_grad)


def randn(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Drawn from the normal distribution of mean 0 and variance 1; of a size as in `zeros`.

    >>> randn(2, 3).shape
    (2, 3)
    """
    checks.only_cpu(device)
    numbers = generator.standard_normal(checks.sizes(size), dtype or float32)
    return Tensor(numbers, requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … below `end`; `arange(n)` counts from 0. int64 if all are integers.

    With dtype=int64, what follows the point in these three is cut off first, as in PyTorch.

    >>> arange(3)
    tensor([0, 1, 2])
    >>> arange(1, 2, 0.5)
    tensor([1.0000, 1.5000])
    """
    checks.only_cpu(device)
    if end is None:
        start, end = 0, start
    given = (start, end, step)  # numbers; those of NumPy's, and tensors of one element, as Python's
    start, end, step = [value.item() if hasattr(value, "item") else value for value in given]
    integers = all(isinstance(value, int) for value in (start, end, step))
    wanted = checks.supported_dtype(dtype or (int64 if integers else float32))
    whole = integers or wanted == int64
    checks.steps(start, end, step, wanted, whole)
    if whole:
        values: Array = np.arange(int(start), int(end), int(step), dtype=int64)
    else:  # not NumPy's arange: it adds up a step that was rounded beside `start`
        values = start + np.arange(math.ceil((end - start) / step)) * step
    return Tensor(values, requires_grad, wanted)
