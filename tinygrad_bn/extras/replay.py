"""A step that is done again without Python: only the calls of NumPy, into the same memory.

A small network's step takes more time to say what is to be done than to do it: Python walks through
layers and checks, records a graph and walks back. The next step takes the same way again, with
other numbers. So it can be replayed: what `replay(step)` gives, calls

- once `step` itself, which makes what is only made once, such as the window of a convolution;
- once `step` while every call of NumPy is noted, and its memory: see notes.py;
- once both, from the same state, to compare all that they give bit for bit;
- from then on only the noted calls.

It is what CUDA graphs and tinygrad's JIT do. The calls stay the same where only numbers in memory
differ: the arguments', the parameters', random ones. All else is looked at before each replay: the
shapes of the arguments, the options of layers, what the names in the step mean. Where that has
changed, the step is called itself, and noted anew.
"""

import dis
import functools
import operator
import random
import sys
import threading
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine import recording
from ..kernels.layout import Array
from ..module import Module
from ..tensor import Tensor, get_rng_state, set_rng_state, wrap
from .notes import (
    Call,
    Differs,
    Notes,
    ReplayError,
    active,
    key_of,
    look,
    mapped,
    memory_of,
    nobody,
    noting,
    one_at_a_time,
    put_back,
    same_place,
    unnoted,
)

Function = Callable[..., Any]

# --- what a step finds outside itself -------------------------------------------------------------


class Surroundings:
    """What a function gets at by its names, and how it was: to see whether it has changed.

    Watched are what the names in it mean, in its closure and globally; and of what is found there,
    the attributes of modules, the items of lists, tuples, sets and dictionaries, and the names in
    functions and methods. Of other objects, only the tensors and modules in them are looked for:
    that an attribute of one has changed is not noticed.
    """

    def __init__(self, function: Function) -> None:
        self.tensors: list[tuple[Tensor, Array, bool]] = []
        self.watched: list[tuple[Function, list[Any]]] = []
        self.seen: dict[int, Any] = {}  # by id, which is why they are kept
        self.others: list[Any] = []
        for part in (function, *methods_of(function)):
            self.visit(part, True)
        while self.others:
            for part in list(vars(self.others.pop()).values()):
                self.visit(part, False)
        self.seen.clear()

    def visit(self, value: Any, is_watched: bool) -> None:
        """Remember how it is, and go on to its parts; `is_watched`: these must stay the same."""
        if isinstance(value, Replay):
            value = value.step
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        if isinstance(value, Tensor):
            self.tensors.append((value, value.data, value.requires_grad))
            self.visit(value.grad_fn, False)  # whose graph may have leaves
            return
        if isinstance(value, Module):
            is_watched = True
            for method in methods_of(value):
                self.visit(method, True)
        parts = parts_of(value)
        if parts is not None:
            now = list(parts())
            if is_watched:
                self.watched.append((parts, now))
            for part in now:
                self.visit(part, is_watched)
        elif hasattr(value, "__dict__") and not isinstance(value, NOT_FOLLOWED):
            self.others.append(value)

    def is_changed(self) -> bool:
        """Whether anything is not what it was. Not its numbers: those may change."""
        for tensor, data, requires_grad in self.tensors:
            if tensor.data is not data or tensor.requires_grad is not requires_grad:
                return True
        for parts, before in self.watched:
            now = parts()
            if len(now) != len(before) or not all(map(operator.is_, now, before)):
                return True
        return False


NOT_FOLLOWED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)


def methods_of(value: Any) -> list[types.FunctionType]:
    """The functions of its classes, but for the package's own."""
    found = [part for kind in type(value).__mro__ for part in vars(kind).values()]
    functions = [part for part in found if isinstance(part, types.FunctionType)]
    return [function for function in functions if not is_of_package(function)]


def parts_of(value: Any) -> Function | None:
    """A function that gives the parts of a value, as they are at the time; None without parts."""
    if isinstance(value, Module):
        return lambda: vars(value).values()
    if isinstance(value, dict):
        return lambda: (*value, *value.values())
    if isinstance(value, list | tuple | set):
        return lambda: tuple(value)
    if isinstance(value, functools.partial):
        return lambda: (value.func, *value.args, *value.keywords.values())
    if isinstance(value, types.MethodType):
        return lambda: (value.__self__, *methods_of(value.__self__))
    if isinstance(value, types.FunctionType) and not is_of_package(value):
        return functools.partial(meanings, value, global_names(value.__code__))
    return None


def is_of_package(function: types.FunctionType) -> bool:
    """Whether it is the package's own: what it finds by its names does not change."""
    name = function.__module__ or ""  # there is none in code that is executed as text
    module = sys.modules.get(name)
    own = name.startswith("tinygrad_bn.")
    return own and getattr(module, "__dict__", None) is function.__globals__


def global_names(code: types.CodeType) -> list[str]:
    """The global names that a function, or one inside it, looks up."""
    found = [i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found += global_names(constant)
    return found


def meanings(function: types.FunctionType, names: list[str]) -> list[Any]:
    """What a function's names mean at present: in its closure, globally, and by default."""
    cells = [content(cell) for cell in function.__closure__ or ()]
    found = [function.__globals__.get(name) for name in names]
    return [*cells, *found, function.__defaults__, function.__kwdefaults__]


def content(cell: types.CellType) -> Any:
    """What a name in a closure means; None, if nothing yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def random_states() -> list[Any]:
    """Of the generators that are not the package's: Python's, and NumPy's old one."""
    old = np.random.get_state()  # noqa: NPY002  # to see whether somebody has used it
    return [random.getstate(), repr(old)]


class State:
    """What a step may change: the numbers in tensors, gradients, random numbers."""

    def __init__(self, around: Surroundings) -> None:
        found = [(x, data) for x, data, _ in around.tensors if data.flags.writeable]
        self.arrays = [(x, data, data.copy()) for x, data in found]
        self.grads = [(x, x._grad) for x, _, _ in around.tensors]
        self.random = get_rng_state()

    def restore(self) -> None:
        """As it was."""
        for x, data, before in self.arrays:
            x.data = data
            data[...] = before
        for x, grad in self.grads:
            x._grad = grad
        set_rng_state(self.random)

    def numbers(self) -> list[bytes]:
        """All numbers in it at present, to be compared bit for bit."""
        arrays = [data for _, data, _ in self.arrays]
        arrays += [x._grad.data for x, _ in self.grads if x._grad is not None]
        return [array.tobytes() for array in [*arrays, get_rng_state().data]]


# --- the program: calls in order, in memory of their own ------------------------------------------


def ordered(notes: Notes) -> list[Call]:
    """The calls that decisions depend on, and the looks at these, first; then the others.

    So a step that would decide otherwise, or raise an error, is called itself before anything has
    been changed. ReplayError if a decision depends on what the step changes.
    """
    needed: set[int] = set()  # memory that the first calls read or change
    changed: set[int] = set()
    first: list[Call] = []
    for call in reversed(notes.calls):
        own, its_changes = set(map(key_of, call.arrays())), set(map(key_of, call.changed))
        # `own & changed`: one of the first calls will change what this one reads or writes before.
        if call.function is look or its_changes & needed or own & changed:
            if its_changes & notes.outside:
                raise ReplayError(
                    "how the step goes on depends on numbers that it changes itself, such as "
                    "running statistics or random numbers: decide by arguments and parameters"
                )
            needed |= own
            changed |= its_changes
            first.append(call)
    early = set(map(id, first))
    return [*reversed(first), *(call for call in notes.calls if id(call) not in early)]


def with_beginnings(calls: list[Call], beginnings: dict[int, Call]) -> list[Call]:
    """The calls; before the first on a constant that they change, the one that puts it back."""
    waiting, result = dict(beginnings), []
    for call in calls:
        for key in set(map(key_of, call.arrays())) & waiting.keys():
            result.append(waiting.pop(key))
        result.append(call)
    return result


class Plan:
    """Where each array of a program lies: memory that nobody needs any more is used again.

    An array is needed from the first call that has to do with it to the last. Only the arrays in
    `moving` are given other places; the others are seen from outside, or keep what they hold from
    one replay to the next.
    """

    def __init__(self, calls: list[Call], moving: set[int]) -> None:
        self.moving = moving
        self.places: dict[int, Array] = {}  # of what is needed at the call that is being moved
        self.free: list[Array] = []
        self.last = {key_of(array): i for i, call in enumerate(calls) for array in call.arrays()}
        self.calls = [self.moved(i, call) for i, call in enumerate(calls)]

    def moved(self, i: int, call: Call) -> Function:
        """The call on the arrays' new places."""
        args, options = mapped((call.args, call.options), self.move)
        for key in set(map(key_of, call.arrays())) & self.places.keys():
            if self.last[key] == i:
                self.free.append(self.places.pop(key))
        return functools.partial(call.function, *args, **options)

    def move(self, array: Array) -> Array:
        """The same view of the array's new place."""
        memory = memory_of(array)
        if id(memory) not in self.moving:
            return array
        if id(memory) not in self.places:
            self.places[id(memory)] = self.take(max(memory.nbytes, 1))
        start = array.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
        place = self.places[id(memory)]
        return np.ndarray(array.shape, array.dtype, place, start, array.strides)

    def take(self, nbytes: int) -> Array:
        """The smallest free piece that is large enough, and not far too large; or a new one."""
        fitting = [piece for piece in self.free if nbytes <= piece.nbytes <= 2 * nbytes]
        if not fitting:
            return np.empty(nbytes, np.uint8)
        piece = min(reversed(fitting), key=len)  # of equals the latest, which may be in the cache
        self.free = [other for other in self.free if other is not piece]
        return piece


class Program:
    """The calls of one step; and where its arguments, results and gradients are."""

    def __init__(self, step: Function, args: Sequence[Any], options: dict[str, Any]) -> None:
        """Call the step, and note what it does. Its result is then `result`."""
        self.around = Surroundings(step)
        self.is_checked = False
        before = State(self.around)
        try:
            self.note(step, args, options, before.grads)
        except ReplayError:
            before.restore()
            step(*args, **options)  # again: an error of its own comes before this one
            before.restore()
            raise
        self.at_rest = self.references()  # one more means that somebody keeps a gradient

    def note(self, step: Function, args: Any, options: Any, grads: list[Any]) -> None:
        """Call the step, and turn what it does into a program."""
        self.inputs: list[Array] = []
        chance = random_states()
        with noting() as notes:
            try:
                self.enter(notes)
                own_args, own_options = map_tensors((args, options), self.input(notes))
                result = step(*own_args, **own_options)
            finally:
                replaced = self.leave()
        if notes.error is not None:  # which the step has caught
            raise notes.error
        if chance != random_states():
            raise ReplayError(
                "the step draws random numbers of Python's or NumPy's own, which would be the same "
                "ones each time: use the package's, as randn does, or give them as arguments"
            )
        if replaced or self.around.is_changed():
            raise ReplayError(
                "the step changes something outside itself, such as an attribute of a module, an "
                "item of a list, or the array of a tensor, which would only happen while it is "
                "noted: do that outside"
            )
        self.result = map_tensors(result, own_result)
        self.take_gradients(grads)
        new = [data for _, _, data in self.new]
        calls = with_beginnings(ordered(notes), notes.beginnings)
        calls += [put_back(array) for array in new if key_of(array) in notes.constant]
        changed = {key_of(array) for call in calls for array in call.changed}
        self.changed = [x for x, data, _ in self.around.tensors if key_of(data) in changed]
        self.changing = {key_of(x.data) for x in self.changed}
        seen = set(map(key_of, [*arrays_of(self.result), *new]))
        self.calls = Plan(calls, set(notes.memory) - notes.outside - notes.constant - seen).calls

    def enter(self, notes: Notes) -> None:
        """While a step is noted, the arrays of the tensors outside are noted ones."""
        for tensor, data, requires_grad in self.around.tensors:
            if requires_grad:
                notes.fixed[key_of(data)] = (
                    f"the step changes a tensor that requires a gradient, {data.dtype} "
                    f"{data.shape}: call optimizer.step() outside, after it"
                )
            if tensor._grad is not None:
                notes.know(tensor._grad.data)
                notes.refused[key_of(tensor._grad.data)] = (
                    "the step adds to gradients that were there before: clear them in it, by "
                    "optimizer.zero_grad(set_to_none=True), or before each call"
                )
            tensor.data = notes.know(data)

    def leave(self) -> bool:
        """NumPy's own arrays again. Returns whether the array of a tensor has been replaced."""
        replaced = False
        for tensor, data, _ in self.around.tensors:
            replaced |= not same_place(tensor.data, data)
            tensor.data = data
            if tensor._grad is not None:
                tensor._grad.data = owned(tensor._grad.data)
        return replaced

    def input(self, notes: Notes) -> Function:
        """A function that makes of an argument one in memory of the program's."""
        known: dict[int, Tensor] = {}

        def own(x: Tensor) -> Tensor:
            array = x.data
            if id(array) not in known:  # the same one, if it is given twice
                copied = np.array(array, order="K")
                check_argument(x, copied, notes)
                notes.fixed[id(copied)] = "the step changes an argument in place: change a clone()"
                known[id(array)] = wrap(notes.know(copied))
            argument = known[id(array)]
            self.inputs.append(unnoted(argument.data))
            return argument

        return own

    def take_gradients(self, before: list[tuple[Tensor, Tensor | None]]) -> None:
        """left: (parameter, the gradient that the step leaves). without: where it must find none.

        Where there was one, the step has cleared it, or it has nothing to do with it. new: of those
        left, (parameter, gradient, its array).
        """
        self.left = [(x, x._grad) for x, grad in before if x._grad is not grad]
        self.new = [(x, grad, grad.data) for x, grad in self.left if grad is not None]
        self.without = [x for x, grad in before if grad is None]
        for _, grad, data in self.new:
            if grad.grad_fn is not None:
                raise ReplayError("a gradient has a graph, by create_graph: use grad() instead")
            if memory_of(data) is not data:
                raise ReplayError(
                    "a gradient is a view of other memory: set .grad to a clone() of it"
                )

    def references(self) -> list[tuple[int, int]]:
        """How many hold each gradient, not counting the parameter, and how many its array."""
        return [
            (sys.getrefcount(grad) - (x._grad is grad), sys.getrefcount(data))
            for x, grad, data in self.new
        ]

    def fits(self, tensors: list[Tensor]) -> bool:
        """Whether all is as it was, and nobody keeps a gradient, which would be overwritten."""
        if self.around.is_changed() or self.references() != self.at_rest:
            return False
        if any(grad.data is not data or grad.requires_grad for _, grad, data in self.new):
            return False  # somebody has changed a gradient otherwise than in place
        if any(key_of(x.data) in self.changing for x in tensors):
            return False
        return all(x._grad is None for x in self.without)

    def run(self, tensors: list[Tensor]) -> Any:
        """Replay; Differs, before anything is changed, where the step would decide otherwise."""
        for place, tensor in zip(self.inputs, tensors, strict=True):
            np.copyto(place, tensor.data)
        for x, _ in self.left:
            x._grad = None  # so that an error leaves none that are wrong
        for call in self.calls:
            call()
        for x, grad in self.left:
            x._grad = grad
        for x in self.changed:
            x.version.number += 1
        return map_tensors(self.result, copied)


# --- arguments and results ------------------------------------------------------------------------


def map_tensors(value: Any, function: Function) -> Any:
    """What a step takes or returns, each tensor in it replaced by function(it)."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {name: map_tensors(part, function) for name, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [map_tensors(part, function) for part in value]
        if hasattr(value, "_fields"):
            return type(value)(*parts)
        return parts if isinstance(value, list) else tuple(parts)
    return plain_value(value)


def plain_value(value: Any) -> Any:
    """A value that is no tensor, and says all by itself."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ReplayError(
        "a step takes and returns tensors, numbers, text and None, alone or in lists, tuples and "
        f"dictionaries, not {type(value).__name__}"
    )


def arrays_of(value: Any) -> list[Array]:
    """The arrays of the tensors in it."""
    found: list[Array] = []
    map_tensors(value, lambda x: found.append(x.data))
    return found


def owned(array: Array) -> Array:
    """NumPy's own array in the place of a noted one."""
    memory = memory_of(array)
    plain: Array = memory if same_place(memory, array) else unnoted(array)
    return plain


def check_argument(x: Tensor, copied: Array, notes: Notes) -> None:
    """ReplayError unless the copy of it can stand for it."""
    if x.requires_grad:
        raise ReplayError(
            "an argument requires a gradient, which another tensor would get: detach() it"
        )
    if key_of(x.data) in notes.memory:
        raise ReplayError(
            "an argument shares memory with a tensor that the step uses: give a clone() of it"
        )
    if steps(copied) != steps(x.data):
        raise ReplayError("an argument does not lie densely in memory: give a clone() of it")


def steps(array: Array) -> list[int]:
    """From one number to the next along each axis that has several."""
    return [step for size, step in zip(array.shape, array.strides, strict=True) if size > 1]


def numbers_of(x: Tensor) -> tuple[Any, ...]:
    """To be compared bit for bit."""
    return x.data.shape, x.data.dtype, x.data.tobytes()


def own_result(x: Tensor) -> Tensor:
    """A result without its history, which must be over."""
    if x.grad_fn is not None and x.grad_fn.parents:
        raise ReplayError(
            "the step returns a tensor with its graph: call backward() in it, or use no_grad(), or "
            "return x.detach()"
        )
    return wrap(owned(x.data))


def copied(x: Tensor) -> Tensor:
    """A result that the next replay does not change."""
    return wrap(x.data.copy(order="K"))


def kind_of(value: Any, tensors: list[Tensor]) -> Any:
    """What must be the same for the calls to be; the tensors are put into the list, in order."""
    if isinstance(value, Tensor):
        tensors.append(value)
        data = value.data
        return data.shape, data.dtype, data.strides, value.requires_grad
    if isinstance(value, tuple | list):
        return type(value), tuple([kind_of(part, tensors) for part in value])
    if isinstance(value, dict):
        parts = kind_of(list(value.values()), tensors)
        return dict, tuple(map(repr, value)), parts
    return repr(plain_value(value))  # which tells 1, 1.0, True and "1" apart, and 0.0 from -0.0


def repeated(tensors: list[Tensor]) -> tuple[int, ...]:
    """For each tensor, where its array is given first: which of them are the same."""
    arrays = [id(x.data) for x in tensors]
    return tuple(map(arrays.index, arrays))


# --- from outside ---------------------------------------------------------------------------------

KINDS = 8  # of arguments, for each of which a program is kept
OFTEN = 20  # times that a step is noted make one wonder


class Replay:
    """A step that is replayed; see `replay`.

    For each kind of arguments there is an entry in `programs`, or none yet:

        none              the step itself is called; the entry is then None
        None              the step is noted, as a program
        not yet checked   the program and the step are compared
        checked           the program is run, as long as it fits; else all begins anew
    """

    def __init__(self, step: Function) -> None:
        self.step = step
        self.programs: dict[Any, Program | None] = {}  # by the kind of the arguments
        self.in_use = threading.Lock()
        self.times = 0  # that it has been noted
        functools.update_wrapper(self, step, updated=())

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The step, or its replay. Tensors in the result are detached."""
        # A step inside a step is part of it. And memory serves one at a time: others do not wait.
        is_inside = active.get() is not nobody
        if is_inside or not self.in_use.acquire(blocking=False):
            return self.step(*args, **options)
        try:
            return self.next(args, options)
        finally:
            self.in_use.release()

    def __reduce__(self) -> Any:
        """A copy begins anew."""
        return replay, (self.step,)

    def next(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What comes next for arguments of this kind."""
        tensors: list[Tensor] = []
        kind = (recording.get(), kind_of((args, options), tensors), repeated(tensors))
        if kind not in self.programs:
            return self.first(kind, args, options)
        program = self.programs[kind] = self.programs.pop(kind)  # now the last to be forgotten
        if program is None:
            return self.noted(kind, args, options)
        if not program.fits(tensors):
            return self.first(kind, args, options)
        try:
            if program.is_checked:
                return program.run(tensors)
            return self.compared(program, tensors, args, options)
        except Differs:
            return self.first(kind, args, options)

    def first(self, kind: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The step itself; the next call with arguments of this kind is noted."""
        self.programs.pop(kind, None)
        result = map_tensors(self.step(*args, **options), own_result)
        if len(self.programs) == KINDS:
            self.programs.pop(next(iter(self.programs)))
        self.programs[kind] = None  # it is to be noted the next time
        return map_tensors(result, copied)

    def noted(self, kind: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The step, noted; but the step itself, if another one is being noted at present."""
        if not one_at_a_time.acquire(blocking=False):
            return map_tensors(self.step(*args, **options), own_result)
        try:
            program = self.programs[kind] = Program(self.step, args, options)
        finally:
            one_at_a_time.release()
        self.times += 1
        if self.times == OFTEN:
            warnings.warn(
                f"this step has been noted {OFTEN} times, because something that it uses changes "
                "again and again: as it is, replaying makes it slower",
                stacklevel=4,
            )
        return map_tensors(program.result, copied)

    def compared(
        self, program: Program, tensors: list[Tensor], args: tuple[Any, ...], options: Any
    ) -> Any:
        """The replay, and the step itself from the same state: all numbers must be the same."""
        before = State(program.around)
        replayed = program.run(tensors)
        numbers = before.numbers()
        before.restore()
        result = map_tensors(self.step(*args, **options), own_result)
        alike = map_tensors(replayed, numbers_of) == map_tensors(result, numbers_of)
        if not alike or numbers != before.numbers():
            raise ReplayError(
                "the same calls gave other numbers than the step: it uses something that is "
                "neither an argument nor a tensor, such as random numbers of NumPy's own"
            )
        program.is_checked = True
        return map_tensors(result, copied)


def replay(step: Function) -> Replay:
    """`step`, so that from its fourth call on only the noted calls of NumPy are made.

    The results, the gradients, the running statistics and the random numbers are the same to the
    bit; tensors in the result are detached copies. The optimizer stays outside, and with it all
    schedules. What is not done by NumPy on tensors happens in the first three calls only: printing,
    say. And nobody sees that an attribute has changed of an object that is no nn.Module, of a class
    or of a Python module, nor what an iterator or a deque gives next: give such values as
    arguments. np.asarray(x.data) leaves the notes, x.numpy() does not. For a method, in __init__:
    self.step = replay(self.step).

    Raises ReplayError for a step that cannot be done again by the same calls, which says why. While
    it is noted, a step keeps all of its arrays; then memory is used again.

    >>> model = nn.Linear(3, 1)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> @replay
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = F.mse_loss(model(x), y)
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(30):
    ...     loss = step(ones(2, 3), ones(2, 1))
    ...     optimizer.step()
    >>> round(loss.item(), 3)
    0.0
    """
    return Replay(step)
