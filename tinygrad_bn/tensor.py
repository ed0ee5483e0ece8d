"""[3] The Tensor: an array that remembers how it was computed, and its primitive operations.

Each operation is one function: the forward computation on arrays, then for each input its
vector-Jacobian product (g, y) ↦ gᵀ·∂y/∂x, side by side. Everything else in this package is built
from these. Names, arguments, dtypes and results are PyTorch's.
"""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from functools import partialmethod
from typing import Any

import numpy as np

from .engine import Array, Node, Vjp, recording
from .engine import backward as _backward
from .machine import matmul

float32, float64, int64, bool_ = map(np.dtype, ("float32", "float64", "int64", "bool"))
_RANK = {bool_: 0, int64: 1, float32: 2, float64: 3}  # what a mixed operation promotes to: the last
_ARRAYS = (np.ndarray, np.generic)
_ONE_FLOAT = ({float32}, {float64})
Dim = int | tuple[int, ...] | list[int] | None

generator = np.random.default_rng()  # behind randn, initialisation, dropout and shuffling


def manual_seed(seed: int) -> None:
    """Start the one random generator of this package anew."""
    generator.bit_generator.state = np.random.PCG64(seed).state


def _supported(dtype: Any) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(dtype)
    if found in _RANK:
        return found
    raise TypeError(f"dtype {found}: convert to float32, float64, int64 or bool (with .astype)")


def is_integer(value: Any, least: int) -> bool:
    """Whether `value` is an integer ≥ `least`, of Python's or NumPy's; True is no number."""
    return isinstance(value, int | np.integer) and value is not True and bool(value >= least)


def check_positive(**sizes: Any) -> None:
    for name, size in sizes.items():
        if not is_integer(size, 1):
            raise ValueError(f"{name} must be a positive integer, not {size!r}")


def check_range(least: float, most: float, **values: Any) -> None:
    for name, value in values.items():
        if not least <= value <= most:  # NaN too
            raise ValueError(f"{name} must be between {least} and {most}, not {value}")


def check_floats(function: str, **tensors: Tensor | None) -> None:
    """TypeError unless all are of the same floating-point dtype."""
    if {t.data.dtype for t in tensors.values() if t is not None} not in _ONE_FLOAT:
        given = ", ".join(f"{name} {t.dtype}" for name, t in tensors.items() if t is not None)
        raise TypeError(f"{function} needs one floating-point dtype, not {given}: use .to(dtype)")


def wrap(array: Array) -> Tensor:
    """A tensor around an existing array, without copying it."""
    out = Tensor.__new__(Tensor)
    out.data = array if type(array) is np.ndarray else np.asarray(array)  # NumPy scalars: 0-d
    out.grad = out.grad_fn = None
    out._requires_grad = False
    return out


def record(name: str, data: Array, *inputs: tuple[Tensor, Vjp]) -> Tensor:
    """The result `data` of an operation on `inputs`, each given with its vjp."""
    out = wrap(data)
    if recording.get():
        for tensor, _ in inputs:
            if tensor._requires_grad:
                out.grad_fn, out._requires_grad = Node(name, *zip(*inputs, strict=True)), True
                break
    return out


def _common_dtype(a: Tensor, b: Tensor) -> np.dtype[Any]:
    """The dtype of an operation on `a` and `b`: the later of bool, int64, float32, float64.

    One with no axes counts like a Python number: it makes floats of integers, not 64 bits of 32.
    """
    early, late = sorted((a, b), key=lambda tensor: _RANK[tensor.dtype])
    if late.ndim == 0 < early.ndim and _RANK[early.dtype] == 2:
        return early.dtype
    return late.dtype


def _operands(a: Tensor, b: Any, least: Any = bool_) -> tuple[Tensor, Tensor]:
    """`a` and `b` as tensors of one dtype, which is `least` or a later one."""
    if isinstance(b, Tensor) and a.data.dtype is b.data.dtype and least is bool_:
        return a, b  # the usual case
    if isinstance(b, _ARRAYS):
        b = b.item() if isinstance(b, np.generic) else Tensor(b)
    if isinstance(b, Tensor):
        dtype = _common_dtype(a, b)
    elif isinstance(b, bool | int | float):
        kind = 2 if isinstance(b, float) else int(not isinstance(b, bool))
        dtype = a.dtype if _RANK[a.dtype] >= kind else (int64 if kind == 1 else float32)
    else:
        raise TypeError(f"cannot combine a tensor with {type(b).__name__} {b!r}")
    dtype = dtype if _RANK[dtype] >= _RANK[least] else least
    return a.to(dtype), b.to(dtype) if isinstance(b, Tensor) else wrap(np.array(b, dtype))


def _axis(dim: int, ndim: int) -> int:
    """`dim` as a non-negative axis."""
    if isinstance(dim, tuple | list):
        raise TypeError(f"a single dim is needed, not {dim}")
    return (*_axes(dim, ndim), 0)[0]


def _axes(dim: Dim, ndim: int) -> tuple[int, ...]:
    """`dim` (None for all) as non-negative axes; IndexError for one that is not there."""
    if dim is None:
        return tuple(range(ndim))
    axes = (dim,) if isinstance(dim, int | np.integer) else tuple(dim)
    for axis in axes:
        if not -max(ndim, 1) <= axis < max(ndim, 1):
            raise IndexError(f"dim {axis} is out of range for a tensor of {ndim} dimensions")
    axes = tuple(axis % max(ndim, 1) for axis in axes) if ndim else ()
    if len(set(axes)) != len(axes):
        raise ValueError(f"dim {dim} names an axis twice")
    return axes if axes or ndim == 0 else tuple(range(ndim))


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given as `f(2, 3)` or as `f((2, 3))`."""
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape


def gate(g: Tensor, mask: Array) -> Tensor:
    """`g` where the mask of its shape is True, or is a number > 0 (or NaN); else 0.

    By its bits: ∞ · 0 would be NaN, and `np.where` is slow.
    """
    bits = np.dtype(f"i{g.dtype.itemsize}")
    shut = np.less_equal(mask, 0).view(np.int8)
    y = np.subtract(shut, 1, dtype=bits)  # -1 has all bits set
    y &= g.data.view(bits)
    return record("gate", y.view(g.dtype), (g, lambda gg, _: gate(gg, mask)))


def _unary(name: str, f: Any, vjp: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    """The operation y = f(x), with integers taken as float32."""

    def operation(self: Tensor) -> Tensor:
        x = self if self.is_floating_point() else self.float()
        return record(name, f(x.data), (x, lambda g, y: vjp(g, x, y)))

    return operation


def _binary(
    name: str, f: Any, by_a: Callable[..., Tensor], by_b: Callable[..., Tensor], least: Any = bool_
) -> Callable[[Tensor, Any], Tensor]:
    """The operation y = f(a, b), whose dtype is `least` or a later one."""

    def operation(self: Tensor, other: Any) -> Tensor:
        a, b = _operands(self, other, least)
        towards = (a, lambda g, y: by_a(g, a, b, y)), (b, lambda g, y: by_b(g, a, b, y))
        return record(name, f(a.data, b.data), *towards)

    return operation


def _reflected(operation: Callable[[Tensor, Any], Tensor]) -> Callable[[Tensor, Any], Tensor]:
    """The same with its operands exchanged: what `2 - x` calls."""
    return lambda self, other: operation(_operands(self, other)[1], self)


def _comparison(f: np.ufunc) -> Callable[[Tensor, Any], Any]:
    def operation(self: Tensor, other: Any) -> Any:
        a, b = (self, None) if other is None else _operands(self, other)
        return NotImplemented if b is None else wrap(f(a.data, b.data))

    return operation


MinMax = namedtuple("MinMax", "values indices")  # what max and min along a dimension return


class Tensor:
    """An n-dimensional array with a gradient.

    data: the NumPy array. grad: the accumulated gradient, a Tensor of the same shape, or None.
    requires_grad: whether operations on this tensor are recorded. grad_fn: the operation that
    made it; None for a leaf. The constructor copies `data`; Python floats become float32, and
    arrays keep their dtype, which must be float32, float64, int64 or bool (else TypeError).
    """

    __slots__ = ("__weakref__", "_requires_grad", "data", "grad", "grad_fn")
    __array_ufunc__ = None  # ndarray + Tensor is left to Tensor.__radd__

    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None) -> None:
        array = np.asarray(data.data if isinstance(data, Tensor) else data)
        if dtype is None and array.dtype == float64 and not isinstance(data, _ARRAYS):
            dtype = float32
        self.data: Array = np.array(array, _supported(array.dtype if dtype is None else dtype))
        self.grad: Tensor | None = None
        self.grad_fn: Node | None = None
        self._requires_grad = False
        self.requires_grad = requires_grad

    # --- what it is ---------------------------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"requires_grad must be True or False, not {value!r}")
        if value and _RANK[self.data.dtype] < 2:
            raise RuntimeError(f"{self.dtype} cannot require a gradient: use .float()")
        if not value and self.grad_fn is not None:
            raise RuntimeError("requires_grad can be switched off on leaves only; use .detach()")
        self._requires_grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        return self.grad_fn is None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    def dim(self) -> int:
        return self.data.ndim

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[_axes(dim, self.ndim)[0]]

    def numel(self) -> int:
        return self.data.size

    def is_floating_point(self) -> bool:
        return _RANK[self.data.dtype] >= 2

    # --- out to Python and NumPy, and back ----------------------------------------------------
    def numpy(self) -> Array:
        """The array itself, not a copy; RuntimeError if a gradient would be lost by it."""
        if self.requires_grad:
            raise RuntimeError("this tensor requires grad: use .detach().numpy()")
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        if self.data.size != 1:
            raise RuntimeError(f"a tensor of shape {self.shape} is not a single value")
        return self.data.item()

    def tolist(self) -> Any:
        return self.data.tolist()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else format(str(self), spec)

    def __repr__(self) -> str:
        text = np.array2string(self.data, separator=", ", prefix="tensor(")
        dtype = "" if self.dtype in (float32, int64, bool_) else f", dtype={self.dtype}"
        if self.grad_fn is not None:
            return f"tensor({text}{dtype}, grad_fn=<{self.grad_fn.name}>)"
        return f"tensor({text}{dtype}{', requires_grad=True' if self.requires_grad else ''})"

    __hash__ = object.__hash__  # by identity: == compares element by element

    def detach(self) -> Tensor:
        """The same values, without their history."""
        return wrap(self.data)

    def clone(self) -> Tensor:
        """A copy in memory of its own; the gradient passes through."""
        return record("clone", self.data.copy(order="K"), (self, lambda g, y: g))

    def to(self, dtype: Any) -> Tensor:
        """In another dtype; the gradient comes back in this one."""
        if dtype is self.data.dtype or (dtype := _supported(dtype)) == self.data.dtype:
            return self
        data = self.data.astype(dtype)
        if _RANK[dtype] < 2:
            return wrap(data)
        return record("to", data, (self, lambda g, y: g.to(self.dtype)))

    float = partialmethod(to, float32)
    double = partialmethod(to, float64)

    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add the gradient of (gradient · self) to `.grad` of every leaf that requires one.

        gradient: of the shape of self; needed unless self is a single number. The graph is
        released, unless `retain_graph` or `create_graph` is set; with the latter, the gradients can
        be differentiated again. RuntimeError without a graph, or if it was released before.
        """
        _backward(self, gradient, retain_graph, create_graph)

    # --- elementwise functions y = f(x), with their vjp ---------------------------------------
    exp = _unary("exp", np.exp, lambda g, x, y: g * y)
    log = _unary("log", np.log, lambda g, x, y: g / x)
    sqrt = _unary("sqrt", np.sqrt, lambda g, x, y: g / (2.0 * y))
    tanh = _unary("tanh", np.tanh, lambda g, x, y: g * (1.0 - y * y))

    # --- arithmetic: y = f(a, b), broadcast as in NumPy; then the vjps towards a and b ---------
    __add__ = _binary("add", np.add, lambda g, a, b, y: g, lambda g, a, b, y: g)
    __sub__ = _binary("sub", np.subtract, lambda g, a, b, y: g, lambda g, a, b, y: -g)
    __mul__ = _binary("mul", np.multiply, lambda g, a, b, y: g * b, lambda g, a, b, y: g * a)
    __truediv__ = _binary(
        "div", np.divide, lambda g, a, b, y: g / b, lambda g, a, b, y: -g * y / b, least=float32
    )
    # By convention the derivative by a is 0 where b = 0, and the one by b is 0 where a = 0 ≤ b.
    __pow__ = _binary(
        "pow",
        np.power,
        lambda g, a, b, y: g * b * a ** where((a == 0) * (b == 0), 1.0, b - 1),
        lambda g, a, b, y: g * y * where((a == 0) * (b >= 0), 1.0, a).log(),
        least=int64,
    )
    __radd__, __rmul__ = __add__, __mul__
    __rsub__, __rtruediv__ = _reflected(__sub__), _reflected(__truediv__)
    __rpow__ = _reflected(__pow__)

    def __neg__(self) -> Tensor:
        return record("neg", -self.data, (self, lambda g, y: -g))

    def __matmul__(self, other: Any) -> Tensor:
        """Matrix product; leading axes are broadcast, and a 1-d operand is a row or a column."""
        a, b = _operands(self, other)
        if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
            raise ValueError(f"@: shapes {a.shape} and {b.shape} do not fit: (…, n, k) @ (…, k, m)")
        if a.ndim == 1:
            return (a.unsqueeze(0) @ b).squeeze(-2 if b.ndim > 1 else 0)
        if b.ndim == 1:
            return (a @ b.unsqueeze(1)).squeeze(-1)
        by_a = (a, lambda g, y: g @ b.transpose(-1, -2))
        by_b = (b, lambda g, y: a.transpose(-1, -2) @ g)
        return record("matmul", matmul(a.data, b.data), by_a, by_b)

    __rmatmul__ = _reflected(__matmul__)

    # --- comparisons: bool tensors, no gradient -----------------------------------------------
    __lt__, __le__ = _comparison(np.less), _comparison(np.less_equal)
    __gt__, __ge__ = _comparison(np.greater), _comparison(np.greater_equal)
    __eq__, __ne__ = _comparison(np.equal), _comparison(np.not_equal)

    def abs(self) -> Tensor:
        sign = wrap(np.sign(self.data)) if self.is_floating_point() else self
        return record("abs", np.abs(self.data), (self, lambda g, y: g * sign))

    __abs__ = abs

    def sigmoid(self) -> Tensor:
        """1 / (1 + e^(−x))."""
        x = self if self.is_floating_point() else self.float()
        with np.errstate(over="ignore"):  # where e^(−x) overflows to ∞, 0 is right
            y = 1 / (1 + np.exp(-x.data))
        return record("sigmoid", y, (x, lambda g, y: g * y * (1.0 - y)))

    def relu(self) -> Tensor:
        """max(x, 0); its derivative at 0 is taken to be 0."""
        y = np.maximum(self.data, self.data.dtype.type(0))
        return record("relu", y, (self, lambda g, y: gate(g, y.data)))

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        """Limited to [min, max], either of which may be left out; derivative 1 on the border."""
        if min is None and max is None:
            raise ValueError("clamp() needs min, max or both")
        lo, hi = -math.inf if min is None else min, math.inf if max is None else max
        x = self.to(_operands(self, min if max is None else max)[0].dtype)
        y = np.minimum(np.maximum(x.data, lo), hi).astype(x.dtype, copy=False)
        return record("clamp", y, (x, lambda g, y: gate(g, (x.data >= lo) & (x.data <= hi))))

    # --- reductions over `dim`: an axis, several, or None for all -----------------------------
    def _spread(self, like: Tensor, axes: tuple[int, ...]) -> Tensor:
        """self, reduced from `like` over `axes`, repeated to its shape: the transpose of sum."""
        kept = (1 if i in axes else n for i, n in enumerate(like.shape))
        return self.reshape(*kept).expand(*like.shape)

    def sum(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        axes = _axes(dim, self.ndim)
        y = self.data.sum(axes, keepdims=keepdim)
        return record("sum", y, (self, lambda g, y: g._spread(self, axes)))

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        check_floats("mean", input=self)
        axes = _axes(dim, self.ndim)
        n = math.prod(self.shape[i] for i in axes)
        y = self.data.sum(axes, keepdims=keepdim) / n
        return record("mean", y, (self, lambda g, y: (g / max(n, 1))._spread(self, axes)))

    def var(self, dim: Dim = None, correction: int = 1, keepdim: bool = False) -> Tensor:
        """Σ(x − mean)² / (n − correction): 1 for an unbiased estimate, 0 for the mean square."""
        n = math.prod(self.shape[i] for i in _axes(dim, self.ndim))
        centred = self - self.mean(dim, keepdim=True)
        return (centred * centred).sum(dim, keepdim) / max(n - correction, 0)

    def _check_some(self, function: str, dim: int | None) -> None:
        if (self.numel() if dim is None or self.ndim == 0 else self.size(dim)) == 0:
            raise IndexError(f"{function}(dim={dim}) of no values: the shape is {self.shape}")

    def _extreme(self, arg: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        """The largest or smallest element; with `dim`, a pair (values, indices) along that axis.

        Over all elements, equal extremes share the gradient; along an axis the first one takes it.
        """
        x, name = self.data, arg.__name__[3:]
        self._check_some(name, dim)
        if dim is None:
            y = np.asarray(x.reshape(-1)[arg(x)])
            tied = np.isnan(x) if np.isnan(y) else x == y
            count = np.count_nonzero(tied)
            return record(name, y, (self, lambda g, y: gate((g / count).expand(*x.shape), tied)))
        axis = _axis(dim, self.ndim)
        if self.ndim == 0:
            return MinMax(self.clone(), wrap(np.zeros((), int64)))
        index = arg(x, axis=axis, keepdims=True)
        chosen = np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - 1 - axis)) == index
        y = np.take_along_axis(x, index, axis)
        y, index = (v if keepdim else v.squeeze(axis) for v in (y, index))
        pick = (self, lambda g, y: gate(g._spread(self, (axis,)), chosen))
        return MinMax(record(name, y, pick), wrap(index))

    max = partialmethod(_extreme, np.argmax)
    min = partialmethod(_extreme, np.argmin)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the (first) maximum is: along `dim`, or in the flattened tensor."""
        self._check_some("argmax", dim)
        axis = None if dim is None or self.ndim == 0 else _axis(dim, self.ndim)
        return wrap(np.argmax(self.data, axis=axis, keepdims=keepdim))

    # --- shapes -------------------------------------------------------------------------------
    def reshape(self, *shape: Any) -> Tensor:
        y = self.data.reshape(_sizes(shape))
        return record("reshape", y, (self, lambda g, y: g.reshape(*self.shape)))

    def permute(self, *dims: Any) -> Tensor:
        axes = _axes(_sizes(dims), self.ndim)
        if len(_sizes(dims)) != self.ndim:
            raise ValueError(f"permute{_sizes(dims)}: {self.ndim} axes are needed, each once")
        y = self.data.transpose(axes)
        return record("permute", y, (self, lambda g, y: g.permute(*np.argsort(axes).tolist())))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        i, j = _axis(dim0, self.ndim), _axis(dim1, self.ndim)
        y = self.data.swapaxes(i, j) if self.ndim else self.data[...]
        return record("transpose", y, (self, lambda g, y: g.transpose(i, j)))

    @property
    def T(self) -> Tensor:
        return record("T", self.data.T, (self, lambda g, y: g.T))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        if self.ndim == 0:
            return self.reshape(1)
        i, j = _axis(start_dim, self.ndim), _axis(end_dim, self.ndim)
        if i > j:
            raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
        joined = math.prod(self.shape[i : j + 1])
        return self.reshape(*self.shape[:i], joined, *self.shape[j + 1 :])

    def squeeze(self, dim: Dim = None) -> Tensor:
        """Without the axes of size 1 (among `dim`, if given)."""
        drop = [i for i in _axes(dim, self.ndim) if self.shape[i] == 1]
        return self.reshape(tuple(n for i, n in enumerate(self.shape) if i not in drop))

    def unsqueeze(self, dim: int) -> Tensor:
        axis = _axis(dim, self.ndim + 1)
        return self.reshape(*self.shape[:axis], 1, *self.shape[axis:])

    def expand(self, *shape: Any) -> Tensor:
        """Repeated along axes of size 1 (and new leading ones) to `shape`; -1 keeps a size."""
        sizes = _sizes(shape)
        old = (-1,) * (len(sizes) - self.ndim) + self.shape
        if len(old) != len(sizes) or any(n == o == -1 for n, o in zip(sizes, old, strict=True)):
            raise ValueError(f"expand{sizes}: there is no such shape for {self.shape}")
        kept = tuple(o if n == -1 else n for n, o in zip(sizes, old, strict=True))
        y = np.broadcast_to(self.data, kept)
        return record("expand", y, (self, lambda g, y: g))

    def __getitem__(self, index: Any) -> Tensor:
        """Indexing as in NumPy: integers, slices, None, ..., integer and boolean arrays."""
        parts = index if isinstance(index, tuple) else (index,)
        plain = tuple(p.data if isinstance(p, Tensor) else p for p in parts)
        y = self.data[plain]
        return record("getitem", y, (self, lambda g, y: _scatter(g, plain, self.shape)))


def _scatter(g: Tensor, index: tuple[Any, ...], shape: tuple[int, ...]) -> Tensor:
    """Zeros of `shape` with `g` added at `index`: the transpose of indexing."""
    y = np.zeros(shape, g.dtype)
    if all(isinstance(part, slice | int | None) or part is Ellipsis for part in index):
        y[index] = g.data
    else:
        np.add.at(y, index, g.data)  # an index array may name an element more than once
    return record("scatter", y, (g, lambda gg, y: gg[index]))


def where(condition: Any, input: Any, other: Any) -> Tensor:
    """`input` where `condition` holds and `other` elsewhere; all three are broadcast."""
    mask = condition.data if isinstance(condition, Tensor) else np.asarray(condition)
    if mask.dtype != bool_:
        raise TypeError(f"where() needs a bool condition, not {mask.dtype}")
    if isinstance(input, Tensor) or not isinstance(other, Tensor):
        a, b = _operands(input if isinstance(input, Tensor) else Tensor(input), other)
    else:
        b, a = _operands(other, input)
    y = np.where(mask, a.data, b.data)
    mask = np.broadcast_to(mask, y.shape)
    return record("where", y, (a, lambda g, y: gate(g, mask)), (b, lambda g, y: gate(g, ~mask)))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joined along the existing axis `dim`; the other sizes must agree."""
    if len(tensors) == 0:
        raise ValueError("at least one tensor is needed")
    if wrong := [type(t).__name__ for t in tensors if not isinstance(t, Tensor)]:
        raise TypeError(f"only tensors can be joined, not {', '.join(wrong)}")
    axis = _axis(dim, tensors[0].ndim)
    dtype = max((t.dtype for t in tensors), key=_RANK.__getitem__)
    tensors = [t.to(dtype) for t in tensors]
    y = np.concatenate([t.data for t in tensors], axis)
    ends = np.cumsum([t.shape[axis] for t in tensors]).tolist()

    def part(t: Tensor, end: int) -> tuple[Tensor, Vjp]:
        here = (slice(None),) * axis + (slice(end - t.shape[axis], end),)
        return t, lambda g, y: g[here]

    return record("cat", y, *map(part, tensors, ends))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joined along a new axis `dim`; all shapes must agree."""
    if len({t.shape for t in tensors}) > 1:
        raise ValueError(f"stack() needs equal shapes, not {[t.shape for t in tensors]}")
    return cat([t.unsqueeze(dim) for t in tensors], dim)


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor holding a copy of `data`: a number, nested lists, or an array."""
    return Tensor(data, requires_grad, dtype)


def _filled(fill: Callable[..., Any]) -> Callable[..., Tensor]:
    def make(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        """A tensor of size (2, 3) for `make(2, 3)` or `make((2, 3))`; float32 by default."""
        return Tensor(fill(_sizes(size), _supported(dtype or float32)), requires_grad)

    return make


zeros, ones, randn = _filled(np.zeros), _filled(np.ones), _filled(generator.standard_normal)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, … below `end`; `arange(n)` counts from 0. int64 if all are integers."""
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: steps of {step} do not lead from {start} to {end}")
    integers = all(isinstance(v, int) for v in (start, end, step))
    values = np.arange(start, end, step, dtype=int64 if integers else float64)
    return Tensor(values, requires_grad, dtype or (int64 if integers else float32))
