"""What NumPy is asked to do while a function runs: every call, what it reads and where it writes.

Two things see to it that no call is missed. While `noting`, the package's modules find another
`np`, a `Door`, whose functions note what they do. And the arrays that come through it are `Noted`
arrays: NumPy itself hands every operation on one of those, such as x + 1, x[2:] or x.sum(), to the
methods of its class, which note it too.

A note is a `Call`: a function that finds the place of its result among its arguments, so that to
call it again is to compute the same into the same memory. A view of an array needs no note: made
once, it shows whatever is in that memory.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..kernels.forks import held_across_forks
from ..kernels.layout import Array
from ..tensor import Tensor, generator

Function = Callable[..., Any]


class ReplayError(RuntimeError):
    """A step does what the same calls could not do again; says what, and what to do instead."""


class Differs(Exception):  # noqa: N818  # nothing is wrong
    """Numbers are not as they were when the step was noted: another way has to be taken."""


class Call(NamedTuple):
    """A call of NumPy: the function, its arguments, and those of the arrays that it changes."""

    function: Function
    args: tuple[Any, ...]
    options: dict[str, Any]
    changed: tuple[Array, ...] = ()

    def arrays(self) -> list[Array]:
        """All that it reads or changes."""
        return arrays_in((self.args, self.options, self.changed))


# --- arrays and their memory ----------------------------------------------------------------------


def mapped(value: Any, function: Function) -> Any:
    """`value`, with each array in it, at any depth of its containers, replaced by function(it)."""
    if isinstance(value, np.ndarray):
        return function(value)
    if isinstance(value, dict):
        return {name: mapped(part, function) for name, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [mapped(part, function) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value


def arrays_in(value: Any) -> list[Array]:
    """The arrays in it."""
    found: list[Array] = []
    mapped(value, found.append)
    return found


def unnoted(value: Any) -> Any:
    """With NumPy's own arrays in the place of noted ones."""
    return mapped(value, lambda array: array.view(np.ndarray))


def memory_of(array: Array) -> Array:
    """The array that the memory of this one, perhaps a view, belongs to."""
    base = np.ndarray.base.__get__(array)
    if not isinstance(base, np.ndarray):  # None; or what `as_strided` puts between the two
        base = getattr(base, "base", None)
    return memory_of(base) if isinstance(base, np.ndarray) else array


def key_of(array: Array) -> int:
    """By what its memory is known."""
    return id(memory_of(array))


def same_memory(a: Array, b: Array) -> bool:
    """Whether the memory of two arrays belongs to the same one."""
    return memory_of(a) is memory_of(b)


def same_place(a: Any, b: Any) -> bool:
    """Whether two arrays are views of the same numbers in the same order."""
    both = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    return both and bool(a.__array_interface__ == b.__array_interface__)


# --- what is done again ---------------------------------------------------------------------------

# Functions of NumPy and methods of its arrays, by name. What is not named is refused, unless its
# result is a view of an argument, which needs no note.
WRITERS = {"__setitem__", "at", "copyto", "fill"}  # change their first argument
DECIDERS = {"__bool__", "allclose", "array_equal", "count_nonzero"}  # are there to decide by
READERS = {"__float__", "__format__", "__index__", "__int__", "item", "tobytes", "tolist"}
UFUNCS = {"__call__", "accumulate", "reduce"}  # take a place for their result
# Their result is a copy of their first argument, or that itself:
COPIES = {
    "array",
    "asarray",
    "ascontiguousarray",
    "astype",
    "copy",
    "flatten",
    "ravel",
    "reshape",
}
# Their results are new arrays, of a size that no number decides:
MAKERS = {
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "average",
    "clip",
    "concatenate",
    "cumsum",
    "einsum",
    "empty",
    "empty_like",
    "full",
    "full_like",
    "indices",
    "nan_to_num",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "round",
    "stack",
    "take",
    "where",
    "zeros",
    "zeros_like",
}
# Methods that are not to be missed, though they are refused:
REFUSED = {"dot", "nonzero", "partition", "put", "repeat", "resize", "searchsorted", "sort"}
# All methods that are noted, but for `clip`, which ends in a ufunc.
METHODS = {"__getitem__"} | WRITERS | DECIDERS | READERS | COPIES | MAKERS | REFUSED
METHODS -= {"__setitem__", "clip"}


def copy_result(target: Array, function: Function, args: Any, options: Any) -> None:
    """For functions that take no place for their result."""
    np.copyto(target, function(*args, **options))


def with_dots(array: Array, index: Any) -> Any:
    """array[index], where that is one number: as a view of it."""
    parts = index if isinstance(index, tuple) else (index,)
    return array[(*parts, ...)]


def put_back(array: Array) -> Call:
    """The call that makes the array again what it is now."""
    return Call(np.copyto, (array, array.copy()), {}, (array,))


def look(function: Function, args: Any, options: Any, value: Any) -> None:
    """Look again at what the program has decided by."""
    if function(*args, **options) != value:
        raise Differs


def with_place(call: Call, name: str, target: Array) -> Call:
    """The call, so that its result comes to be in `target`."""
    if name in UFUNCS:
        return call._replace(options=call.options | {"out": target}, changed=(target,))
    source: Any = call.args[0] if call.args else None
    if name in COPIES and isinstance(source, np.ndarray):
        # To reshape is to copy row by row: into the target as the source is seen.
        by_rows = name == "reshape" and not {"order", "F"} & {*call.args[2:], *call.options}
        place = target.reshape(source.shape) if by_rows else target
        if place.shape == source.shape:
            return Call(np.copyto, (place, source), {"casting": "unsafe"}, (target,))
    return Call(copy_result, (target, *call[:3]), {}, (target,))


class Notes:
    """All calls, in order, and what is known of the memory that they work on.

    What is computed from no argument, tensor or random number is a constant: nothing is noted for
    it, it just stays. If somebody changes it in place, a call puts back first what was in it.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.memory: dict[int, Array] = {}  # all that may be used, by its key
        self.outside: set[int] = set()  # what was there before
        self.fixed: dict[int, str] = {}  # what must not be changed, and why
        self.refused: dict[int, str] = {}  # what must not be used at all, and why
        self.constant: set[int] = set()  # arrays, not values: by their keys
        self.beginnings: dict[int, Call] = {}  # the calls that put constants back
        self.error: ReplayError | None = None  # the first, for the step may catch it
        self.errors = np.geterr()
        self.generator = np.empty(0)  # stands for the state of the random generator
        self.know(self.generator)

    def know(self, array: Array) -> Any:
        """A Noted view of an array that is there already; its memory may be used from now on."""
        memory = memory_of(array)
        self.memory[id(memory)] = memory
        self.outside.add(id(memory))
        return array.view(Noted)

    def refuse(self, message: str) -> NoReturn:
        """Raise a ReplayError, and remember it."""
        self.error = self.error or ReplayError(message)
        raise self.error

    def made(self, result: Any, is_constant: bool) -> Any:
        """A Noted array around what a call has made: an array, a number, or several of them."""
        if isinstance(result, tuple):
            return tuple([self.made(part, is_constant) for part in result])
        array = np.asarray(result)
        memory = memory_of(array)
        self.memory[id(memory)] = memory
        if is_constant:
            self.constant.add(id(memory))
        noted: Any = array.view(Noted)
        noted.is_owner = array is memory
        return noted

    def plain(self, array: Array) -> Array:
        """As NumPy is to see it; ReplayError if nobody knows where it comes from."""
        key = key_of(array)
        if key in self.refused:
            self.refuse(self.refused[key])
        if key not in self.memory:
            self.refuse(
                f"an array is used that belongs to no tensor, {array.dtype} {array.shape}, and may "
                "hold other numbers the next time: give it as an argument, as a tensor"
            )
        return array.view(np.ndarray)

    def call(self, function: Function, name: str, args: Any, options: Any) -> Any:
        """Call a function of NumPy's, and note what has to be done to have its result again."""
        call = Call(function, *mapped((args, options), self.plain))
        if name in WRITERS or options.get("out") is not None:
            return self.write(call, options)
        result = function(*call.args, **call.options)
        if name in READERS or (name in DECIDERS and not isinstance(result, np.ndarray)):
            return self.read(call, name, result)
        if name == "__getitem__" and isinstance(result, np.generic):
            result = with_dots(*call.args)
        pairs = zip(arrays_in((args, options)), call.arrays(), strict=True)
        for given, array in pairs if isinstance(result, np.ndarray) else ():
            if same_memory(result, array):
                if name in MAKERS:  # it has changed its argument
                    self.refuse_function(call, name)
                return given if result is array else result.view(Noted)  # no need to do it again
        if not call.arrays() and not is_numbers(result):
            return result
        return self.new(call, name, result)

    def new(self, call: Call, name: str, result: Any) -> Any:
        """What a call has made, as a Noted array, and the note of it."""
        arrays, is_random = call.arrays(), is_drawn(call.function)
        values = arrays[1:] if name.endswith("_like") else arrays  # the first only gives the shape
        is_constant = not is_random and self.is_constant(values)
        if name == "__getitem__" and any(array.dtype == bool for array in arrays[1:]):
            self.refuse(
                "x[mask] has as many elements as there are True ones, which may be others the next "
                "time: use where(mask, x, 0.0), or x * mask"
            )
        known = name in {"__getitem__"} | COPIES | UFUNCS | MAKERS or is_random
        if not known or not is_numbers(result) or (isinstance(result, tuple) and not is_constant):
            self.refuse_function(call, name)
        empty = name.startswith("empty")  # to be filled by others: nothing to do again
        noted = self.made(result, is_constant and not empty)
        if not is_constant:
            made = with_place(call, name, self.plain(noted))
            self.note(made._replace(changed=(*made.changed, self.generator)) if is_random else made)
        return noted

    def refuse_function(self, call: Call, name: str) -> NoReturn:
        """Refuse one that cannot be done again."""
        self.refuse(
            f"numpy's {getattr(call.function, '__name__', name)} cannot be replayed: call it "
            "outside the step, and give the result as an argument"
        )

    def is_constant(self, arrays: list[Array]) -> bool:
        """Whether none of them depends on anything."""
        return {key_of(array) for array in arrays} <= self.constant

    def note(self, call: Call) -> None:
        """Add a call. With NumPy's settings for errors, if they are not those of the beginning."""
        errors = np.geterr()
        if errors != self.errors:
            call = call._replace(function=np.errstate(**errors)(call.function))
        self.calls.append(call)

    def write(self, call: Call, options: Any) -> Any:
        """A call that changes an array in place, which is no constant any more."""
        changed = tuple(arrays_in(call.options.get("out", call.args[:1])))
        for array in changed:
            memory = memory_of(array)
            if id(memory) in self.fixed:
                self.refuse(self.fixed[id(memory)])
            if id(memory) in self.constant:
                self.constant.remove(id(memory))
                self.beginnings[id(memory)] = put_back(memory)
        self.note(call._replace(changed=changed))
        call.function(*call.args, **call.options)
        given = arrays_in(options.get("out"))
        return given[0] if len(given) == 1 else tuple(given)

    def read(self, call: Call, name: str, value: Any) -> Any:
        """Numbers leave NumPy: by those of constants, nothing is decided that could change."""
        if self.is_constant(call.arrays()):
            return value
        if name in READERS:
            self.refuse(
                f"the step reads numbers out of a tensor, by {name.strip('_')}(), which would only "
                "happen while it is noted: return the tensor, and read it outside"
            )
        self.note(Call(look, (*call[:3], value), {}))
        return value


class Nobody:
    """Notes nothing."""

    def call(self, function: Function, name: str, args: Any, options: Any) -> Any:
        """Just the call."""
        return function(*unnoted(args), **unnoted(options))


def is_numbers(result: Any) -> bool:
    """Whether it is an array or a number of NumPy's, or a tuple of these."""
    parts = result if isinstance(result, tuple) else (result,)
    return any(isinstance(part, np.ndarray | np.generic) for part in parts)


def is_drawn(function: Function) -> bool:
    """Whether it draws random numbers: a method of the package's generator."""
    return getattr(function, "__self__", None) is generator


nobody = Nobody()
active: ContextVar[Notes | Nobody] = ContextVar("active", default=nobody)

# --- arrays whose operations are noted ------------------------------------------------------------


class AnyArray(type):
    """Any array is an instance of it, because `np.ndarray` is this class while noting."""

    def __instancecheck__(cls, value: Any) -> bool:
        return issubclass(type(value), np.ndarray)

    def __call__(cls, *args: Any, **options: Any) -> Any:
        """np.ndarray(shape, dtype, buffer, …): a view of another array."""
        return active.get().call(np.ndarray, "ndarray", args, options)


class Noted(np.ndarray, metaclass=AnyArray):
    """An array whose operations are noted, while there is somebody who notes."""

    is_owner = False  # whether its memory was made for it; not so for its views

    @property
    def base(self) -> Any:
        """None for an owner, as of an array of NumPy's own; this one is always a view of such.

        It is asked for where views share a version, and where a gradient gets memory of its own.
        """
        return None if self.is_owner else super().base

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return active.get().call(function, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return active.get().call(function, function.__name__, args, options)

    def __setitem__(self, index: Any, value: Any) -> None:
        place = unnoted(self)[unnoted(index)]
        # Python ends `a[i] += 1` with `a[i] = the result`, which is in its place already.
        if not same_place(place, value):
            active.get().call(np.ndarray.__setitem__, "__setitem__", (self, index, value), {})


def noted_method(name: str) -> Function:
    """The method of NumPy's arrays, noted."""
    method = getattr(np.ndarray, name)

    def noted(*args: Any, **options: Any) -> Any:
        return active.get().call(method, name, args, options)

    return noted


for method in METHODS & set(vars(np.ndarray)):
    setattr(Noted, method, noted_method(method))


# --- the other np ---------------------------------------------------------------------------------


class Door:
    """NumPy, or the random generator, as the package's modules find it while somebody notes."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.original, name)
        if found is np.ndarray:
            return Noted
        if isinstance(found, type | np.ufunc) or not callable(found):
            return found
        return lambda *args, **options: active.get().call(found, name, args, options)


one_at_a_time = held_across_forks(threading.Lock())
to_array = Tensor.__array__


def refused_array(x: Tensor, dtype: Any = None, copy: bool | None = None) -> Array:
    """What `np.asarray(x)` calls: an array of NumPy's own, which nobody would watch."""
    notes = active.get()
    if isinstance(notes, Notes):
        notes.refuse("np.asarray(x) of a tensor is not noted: use x.numpy(), or give it back")
    return to_array(x, dtype, copy)


@contextmanager
def noting() -> Iterator[Notes]:
    """Note all that is asked of NumPy in the block, by this thread. One block at a time."""
    notes = Notes()
    doors = {id(thing): Door(thing) for thing in (np, generator)}
    token = active.set(notes)
    try:
        for module, name, original in list(uses_of(doors)):
            setattr(module, name, doors[id(original)])
        Tensor.__array__ = refused_array  # type: ignore[method-assign, assignment]
        yield notes
    finally:
        active.reset(token)
        Tensor.__array__ = to_array  # type: ignore[method-assign]
        for module, name, original in list(uses_of(doors)):
            setattr(module, name, original)


def uses_of(things: dict[int, Any]) -> Iterator[tuple[Any, str, Any]]:
    """Where the package's modules have them, or doors to them: (module, name, thing)."""
    for path, module in list(sys.modules.items()):
        if path.startswith("tinygrad_bn.") and not path.startswith("tinygrad_bn.extras."):
            for name, value in vars(module).items():
                original = value.original if isinstance(value, Door) else value
                if id(original) in things:
                    yield module, name, original
