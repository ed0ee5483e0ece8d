"""[1] The engine: reverse-mode automatic differentiation as one walk over a recorded graph.

After this file you know how a framework finds the gradient of a number by all that it was computed
from. An operation y = f(x) has a Jacobian ∂y/∂x, far too large to write down; but all the chain
rule asks of it is one product: given g = ∂L/∂y, the gradient towards x is

    ∂L/∂x = gᵀ · ∂y/∂x        the vector-Jacobian product (vjp)

While the program runs forward, each operation records a `Node`: its inputs, and its derivative, a
function (g, y) ↦ gᵀ·∂y/∂x for each of them. Backward then visits the recorded operations newest
first, so that an operation is reached only when every contribution to its own g has arrived:

    a = 1;  b = a + a;  c = b + b        b is visited once, with g = 2, and not twice with g = 1

A derivative is itself written in tensor operations. Record those too (`create_graph=True`) and the
gradient can be differentiated again.
"""

import functools
import inspect
import itertools
import threading
from collections.abc import Callable, Generator, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import numpy as np

from .kernels.forks import held_across_forks

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]
Shape = tuple[int, ...]

# --- what is recorded -----------------------------------------------------------------------------

recording: ContextVar[bool] = ContextVar("recording", default=True)
_creation_order = itertools.count()


class Version:
    """How often a piece of memory has been changed in place: one for all tensors that lie in it."""

    number = 0


# What the engine works on is a tensor, whose class is in chapter 3. It asks of one:
# - data: the numbers, an array. version: of the memory that they are in.
# - grad_fn: the node of the operation that made it; None for a leaf. requires_grad.
# - grad: the gradient of a leaf, which `backward` leaves in _grad.
# - `a + b`, and the methods sum, reshape, clone and detach.
# Leaves are keys of the walk's dictionaries: they are hashed, and so told apart, by identity.
Tensor = Any


class Differentiable(Protocol):
    """How those who call `grad` know their tensors again in what it returns."""

    grad_fn: "Node | None"


T = TypeVar("T", bound=Differentiable)
Derivative = Callable[[Tensor, Tensor], Tensor]  # (g, y) ↦ gᵀ·∂y/∂x, for one input x
# (g, y, needed) ↦ the gradients towards all inputs at once; `needed` says for each whether to.
JointDerivative = Callable[[Tensor, Tensor, Sequence[bool]], Sequence[Tensor | None]]


Source = Any  # an operation, which made a tensor; or a leaf, which none has made


class Output:
    """Stands for the operation's own output y, where it is said what a derivative uses."""

    version = Version()


OUTPUT = Output()
# What the derivatives use: (which of them, None for a joint one; a tensor or OUTPUT; its version).
Used = Sequence[tuple[int | None, Any, int]]


class Node:
    """One recorded operation.

    name, arguments: what was done, as "permute" and {"dims": (1, 0)}.
    shapes, dtypes: of its inputs. These four stay, so that a graph can be drawn at any time.
    parents: what each input came from: the operation that made it, or a leaf, which is the input
    itself; None for an input that required no gradient at the time. derivative: a tuple with one
    for each of them, None for such an input; or a joint one for all.
    used: the tensors whose values a derivative needs: (which one, tensor, its version then).
    output: the values of its own output y, if a derivative needs them. `release` lets go of these
    four.

    A graph of operations, not of tensors: numbers that no derivative needs are freed as soon as the
    program lets go of them. And no derivative refers to y (the walk passes it in), so there is no
    reference cycle: a graph that is dropped is freed at once, without the garbage collector.
    """

    def __init__(
        self,
        name: str,
        arguments: dict[str, Any],
        inputs: Sequence[Any],
        derivative: tuple[Derivative | None, ...] | JointDerivative,
        used: Used,
        output: Any,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.parents = tuple([(x.grad_fn or x) if x._requires_grad else None for x in inputs])
        self.derivative = derivative
        self.used = used
        self.output = output
        self.shapes = tuple([tensor.data.shape for tensor in inputs])
        self.dtypes = tuple([tensor.data.dtype for tensor in inputs])
        self.number = next(_creation_order)

    def gradients(self, g: Tensor, needed: Sequence[bool]) -> Sequence[Tensor | None]:
        """The gradient towards each input that needs one, given the gradient g of the output."""
        self.check_unchanged(needed)
        y = self.output
        if y is not None and recording.get():  # to be differentiated again: y has a history too
            y = y.detach()
            y.grad_fn, y._requires_grad = self, True
        if not isinstance(self.derivative, tuple):
            return self.derivative(g, y, needed)
        pairs = zip(self.derivative, needed, strict=True)
        return [derivative(g, y) if derivative and need else None for derivative, need in pairs]

    def check_unchanged(self, needed: Sequence[bool]) -> None:
        """RuntimeError if a value that a derivative will use has been changed since."""
        for i, tensor, version in self.used:
            changed = self.output if tensor is OUTPUT else tensor
            if changed.version.number != version and (i is None or needed[i]):
                raise RuntimeError(
                    f"{self.name}: {self.role_of(tensor)}, {changed.data.dtype} "
                    f"{changed.data.shape}, has been modified by an inplace operation, and its "
                    "gradient needs the value from before: call backward() first, or change a "
                    "clone()"
                )

    def role_of(self, tensor: Any) -> str:
        """What a used tensor is to this operation, for the message."""
        if tensor is OUTPUT:
            return "its output"
        source = source_of(tensor)
        places = [i for i, parent in enumerate(self.parents) if parent is source]
        return f"input {places[0]}" if places else "a tensor that it remembers"

    def release(self) -> None:
        """Let go of the inputs, and of the arrays that the derivatives keep."""
        self.parents = self.derivative = self.used = ()
        self.output = None

    def __repr__(self) -> str:
        inputs = zip(self.dtypes, self.shapes, strict=True)
        return f"<{self.name} of {', '.join(f'{dtype} {shape}' for dtype, shape in inputs)}>"


def is_grad_enabled() -> bool:
    """Whether operations are being recorded: each thread has a switch of its own.

    >>> is_grad_enabled()
    True
    """
    return recording.get()


Function = TypeVar("Function", bound=Callable[..., Any])


class grad_mode:  # noqa: N801  # used as `no_grad` is, which is PyTorch's name
    """Switch recording on or off inside `with` blocks, decorated functions and generators.

    One object may be entered several times, one inside the other too.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.before: list[bool] = []

    def __enter__(self) -> None:
        """Remember how it was, and switch."""
        self.before.append(recording.get())
        recording.set(self.enabled)

    def __exit__(self, *error: object) -> None:
        """As it was before."""
        recording.set(self.before.pop())

    def __call__(self, function: Function) -> Function:
        """`function`, with all that its body does in this mode."""
        is_generator = inspect.isgeneratorfunction(function)

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with grad_mode(self.enabled):
                result = function(*args, **kwargs)
            return self.resumed(result) if is_generator else result

        return decorated  # type: ignore[return-value]

    def resumed(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """A generator in this mode: switched at each step, and back while the caller goes on."""
        resume, argument = steps.send, None
        while True:
            try:
                with grad_mode(self.enabled):
                    value = resume(argument)
            except StopIteration as stop:
                return stop.value
            try:
                resume, argument = steps.send, (yield value)
            except BaseException as error:  # thrown in by the caller, or GeneratorExit by close()
                resume, argument = steps.throw, error


def no_grad() -> grad_mode:
    """Do not record: `with no_grad(): ...`, or `@no_grad()` above a function.

    It saves memory. It does not change how layers behave: that is for `train()` and `eval()`.

    >>> with no_grad():
    ...     is_grad_enabled()
    False
    """
    return grad_mode(False)


# --- the walk, step by step -----------------------------------------------------------------------

Steps = list[tuple[Node, list[bool]]]  # operations, and for which of their inputs gradients are due


def source_of(tensor: Tensor) -> Source:
    """What it came from: a gradient towards a tensor is one towards its source."""
    return tensor.grad_fn or tensor


def operations_behind(outputs: Sequence[Source], wanted: Sequence[Source]) -> list[Node]:
    """The recorded operations by which `outputs` were computed, oldest first.

    An operation can only use what already exists, so the order of creation is a topological order:
    no recursion, no depth limit, and each operation once however many paths lead to it.
    """
    found: set[Node] = set()
    stack = list(outputs)
    while stack:
        source = stack.pop()
        if not isinstance(source, Node) or source in found:
            continue
        if source.parents:
            found.add(source)
            stack.extend(source.parents)
        elif source not in set(wanted):  # released; but what lies behind that is not needed
            raise RuntimeError(
                f"an earlier backward() released the graph of {source.name!r}: "
                "compute it again, or use retain_graph=True the first time"
            )
    return sorted(found, key=lambda node: node.number)


def leaves_of(outputs: Sequence[Source], operations: Sequence[Node]) -> list[Source]:
    """The tensors that require a gradient and were not computed: where the graph begins."""
    sources = dict.fromkeys(outputs)  # an ordered set
    for node in operations:
        sources.update(dict.fromkeys(node.parents))
    leaves = [source for source in sources if not isinstance(source, Node | None)]
    return [leaf for leaf in leaves if leaf.requires_grad]


def steps_towards(wanted: set[Source], operations: Sequence[Node]) -> Steps:
    """The operations on a path to what is wanted, and for each of their inputs whether it is too.

    What leads nowhere, such as the gradient towards the images, is never computed.
    """
    on_path = set(wanted)
    steps = []
    for node in operations:  # oldest first: all is known of the inputs when it is asked
        needed = [parent in on_path for parent in node.parents]
        if any(needed):
            on_path.add(node)
            steps.append((node, needed))
    return steps


def unbroadcast(g: Tensor, shape: Shape) -> Tensor:
    """The gradient towards an input of `shape` that an operation has broadcast to that of `g`.

    Broadcasting is the linear map x ↦ (x, …, x); its transpose adds the copies' gradients up. The
    walk does it for every operation, so that derivatives need not know of it.
    """
    new = g.data.ndim - len(shape)
    repeated = [new + axis for axis, size in enumerate(shape) if size == 1]
    total = g.sum((*range(new), *repeated))
    return total if total.data.shape == shape else total.reshape(shape)


def hand_back(grads: dict[Source, Tensor], node: Node, parts: Sequence[Tensor | None]) -> None:
    """Add what an operation's derivative has found for its inputs to their gradients.

    Over all the paths from an input to the output, the chain rule sums.
    """
    inputs = zip(node.parents, node.shapes, node.dtypes, parts, strict=True)
    for parent, shape, dtype, part in inputs:
        if part is None:
            continue
        if part.data.dtype != dtype:
            raise RuntimeError(f"{node.name}: {part.data.dtype} gradient for {dtype} input")
        if part.data.shape != shape:
            part = unbroadcast(part, shape)
        grads[parent] = grads[parent] + part if parent in grads else part


def differentiate(
    outputs: Sequence[Source],
    seeds: Sequence[Tensor],
    wanted: Sequence[Source] | None,
    retain_graph: bool,
    create_graph: bool,
) -> dict[Source, Tensor]:
    """The walk: the gradients of Σ seed·output towards what is wanted, or all leaves, if None.

    What the outputs do not depend on is left out of the result.
    """
    operations = operations_behind(outputs, wanted or ())
    if wanted is None:
        wanted = leaves_of(outputs, operations)
    kept = set(wanted)  # any other gradient is let go when it has been handed on
    steps = steps_towards(kept, operations)
    del operations  # so that each array is freed as soon as the last step that needs it is done
    grads: dict[Source, Tensor] = {}
    for output, seed in zip(outputs, seeds, strict=True):
        grads[output] = grads[output] + seed if output in grads else seed
    with grad_mode(create_graph):
        while steps:
            node, needed = steps.pop()  # the newest
            g = grads[node] if node in kept else grads.pop(node)
            hand_back(grads, node, node.gradients(g, needed))
            if not retain_graph:
                node.release()
    return {source: grads[source] for source in wanted if source in grads}


# --- from outside ---------------------------------------------------------------------------------

adding_up = held_across_forks(threading.RLock())  # several threads may add to one leaf's gradient


def check_gradient(gradient: Tensor, tensor: Tensor) -> None:
    """TypeError or RuntimeError unless it is a tensor, and of the shape and dtype of the other."""
    if not hasattr(gradient, "grad_fn"):
        raise TypeError(f"a gradient must be a Tensor or None, not {type(gradient).__name__}")
    if gradient.data.shape != tensor.data.shape:
        raise RuntimeError(
            f"a gradient of shape {gradient.data.shape} for a tensor of {tensor.data.shape}"
        )
    if gradient.data.dtype != tensor.data.dtype:
        raise RuntimeError(
            f"a gradient of {gradient.data.dtype} for a tensor of {tensor.data.dtype}"
        )


def seed_for(output: Tensor, gradient: Tensor | None, create_graph: bool) -> Tensor:
    """The gradient to start from: 1 for a single number, else a copy of what the caller gave."""
    if not output.requires_grad:
        raise RuntimeError(
            "this tensor does not require a gradient: it was computed under "
            "no_grad(), or from no tensor with requires_grad=True"
        )
    if gradient is None:
        if output.data.size != 1:
            raise RuntimeError(f"{output.data.shape} is not a single number: pass a gradient")
        one = output.detach()  # a tensor of the same class, which is not known here
        one.data = np.ones_like(output.data)
        return one
    check_gradient(gradient, output)
    with grad_mode(create_graph):
        return gradient.clone()


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add the gradient of (gradient · self) to `.grad` of every leaf that requires one.

    This is a method: chapter 3 gives it to its class of tensors. gradient: of the shape of self;
    needed unless self is a single number. The graph is released, unless `retain_graph` or
    `create_graph` is set; with the latter, the gradients can be differentiated again. RuntimeError
    without a graph, or if it was released before.
    """
    seed = seed_for(self, gradient, create_graph)
    retain = retain_graph or create_graph
    found = differentiate([source_of(self)], [seed], None, retain, create_graph)
    taken = set()  # the arrays that are some leaf's .grad already
    with grad_mode(create_graph), adding_up:
        for leaf, g in found.items():
            before = leaf.grad
            if before is not None:
                g = before + g
            elif g.data.base is not None or id(g.data) in taken:
                g = g.clone()  # each .grad has memory of its own: changing one changes no other
            taken.add(id(g.data))
            leaf._grad = g  # not `leaf.grad = g`, which would check again what hand_back has


def as_list(value: Any) -> list[Any]:
    """One tensor, or a sequence of them, as a list."""
    return list(value) if isinstance(value, tuple | list) else [value]


def grad(
    outputs: T | Sequence[T],
    inputs: T | Sequence[T],
    grad_outputs: T | Sequence[T | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    allow_unused: bool = False,
) -> tuple[T, ...]:
    """∂(grad_outputs · outputs)/∂inputs as a tuple, one tensor per input; no `.grad` is touched.

    `outputs`, `inputs` and `grad_outputs` are each a tensor or a sequence of tensors. With
    `create_graph` the result can be differentiated again; `retain_graph` defaults to it. Only the
    operations between inputs and outputs are visited. Raises RuntimeError for an input that
    requires no gradient, or that the outputs do not depend on; with `allow_unused` that gives None.

    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> grad((x * x).sum(), x)
    (tensor([2., 4.]),)
    """
    outs, ins = as_list(outputs), as_list(inputs)
    given = [None] * len(outs) if grad_outputs is None else as_list(grad_outputs)
    if len(given) != len(outs):
        raise RuntimeError(f"{len(outs)} outputs but {len(given)} grad_outputs")
    for i, tensor in enumerate(ins):
        if not tensor.requires_grad:
            raise RuntimeError(f"input {i} of shape {tensor.data.shape} does not require grad")
    seeds = [seed_for(out, g, create_graph) for out, g in zip(outs, given, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    sources = list(map(source_of, ins))
    found = differentiate(list(map(source_of, outs)), seeds, sources, retain, create_graph)
    for i, source in enumerate(sources):
        if source not in found and not allow_unused:
            shape = ins[i].data.shape
            raise RuntimeError(f"the outputs do not depend on input {i}, shape {shape}")
    return tuple(map(found.get, sources))  # type: ignore[arg-type]
