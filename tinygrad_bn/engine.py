"""[1] The engine: reverse-mode automatic differentiation as one walk over a recorded graph.

After this file you know how a framework finds the gradient of a number by all that it was computed
from. An operation y = f(x) has a Jacobian ∂y/∂x, far too large to write down; but all the chain
rule asks of it is one product: given g = ∂L/∂y, the gradient towards x is

    ∂L/∂x = gᵀ · ∂y/∂x        the vector-Jacobian product (vjp)

While the program runs forward, each operation records a `Node`: its inputs, and for each of them
the function (g, y) ↦ gᵀ·∂y/∂x. Backward then visits the recorded operations newest first, so that
an operation is reached only when every contribution to its own g has arrived:

    a = 1;  b = a + a;  c = b + b        b is visited once, with g = 2, and not twice with g = 1

A vjp is itself written in tensor operations. Record those too (`create_graph=True`) and the
gradient can be differentiated again.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]
Vjp = Callable[[Any, Any], Any]

recording: ContextVar[bool] = ContextVar("recording", default=True)
_creation_order = itertools.count()


class Node:
    """One recorded operation: its inputs, and one vjp for each; neither, once it is released.

    No vjp refers to the operation's own output (the walk passes it in), so there is no reference
    cycle: a graph that is dropped is freed at once, without the garbage collector.
    """

    __slots__ = ("name", "number", "parents", "vjps")

    def __init__(self, name: str, parents: tuple[Any, ...], vjps: tuple[Vjp, ...]) -> None:
        self.name, self.parents, self.vjps = name, parents, vjps
        self.number = next(_creation_order)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded (in this thread)."""
    return recording.get()


@contextmanager
def grad_mode(enabled: bool) -> Iterator[None]:
    """Switch recording on or off inside a `with` block or a decorated function."""
    token = recording.set(enabled)
    try:
        yield
    finally:
        recording.reset(token)


def no_grad() -> Any:
    """Do not record: `with no_grad(): ...`, or `@no_grad()` above a function.

    It saves memory. Layers do not look at it: how they behave, `train()` and `eval()` say.
    """
    return grad_mode(False)


def _operations(outputs: Sequence[Any], inputs: dict[int, Any]) -> list[Any]:
    """The recorded tensors that `outputs` were computed from, oldest first.

    An operation can only use tensors that already exist, so the order of creation is a topological
    order: no recursion, no depth limit, and each tensor once however many paths lead to it.
    """
    found: dict[int, Any] = {}
    stack = list(outputs)
    while stack:
        tensor = stack.pop()
        node = tensor.grad_fn
        if node is None or id(tensor) in found:
            continue
        if node.vjps:
            found[id(tensor)] = tensor
            stack.extend(node.parents)
        elif id(tensor) not in inputs:  # at an input, what lies behind does not matter
            help = "compute it again, or use retain_graph=True the first time"
            raise RuntimeError(f"an earlier backward() released the graph of {node.name!r}: {help}")
    return sorted(found.values(), key=lambda tensor: tensor.grad_fn.number)


def _fitted(g: Any, parent: Any, name: str) -> Any:
    """`g`, fitted to an input that broadcasting has repeated: for every operation, done here.

    Repeating a value is the linear map x ↦ (x, …, x); its transpose adds the gradients up.
    """
    shape = parent.data.shape
    if g.data.shape != shape:
        new = g.data.ndim - len(shape)
        stretched = (new + i for i, n in enumerate(shape) if n == 1 != g.data.shape[new + i])
        g = g.sum((*range(new), *stretched)).reshape(shape)
    if g.data.dtype != parent.data.dtype:
        raise RuntimeError(f"{name}: {g.data.dtype} gradient for {parent.data.dtype} input")
    return g


def _walk(
    outputs: Sequence[Any], seeds: Sequence[Any], inputs: Sequence[Any] | None, retain_graph: bool,
    create_graph: bool,
) -> list[tuple[Any, Any]]:  # fmt: skip
    """Pairs (tensor, gradient) for the `inputs` that were reached; for all leaves if None."""
    wanted = {id(t): t for t in inputs or ()}
    order = _operations(outputs, wanted)
    if inputs is None:
        candidates = itertools.chain(outputs, *(t.grad_fn.parents for t in order))
        wanted = {id(t): t for t in candidates if t._requires_grad and t.grad_fn is None}
    useful, steps = set(wanted), []  # useful: what a wanted tensor is reached through
    for tensor in order:
        if not useful.isdisjoint(map(id, tensor.grad_fn.parents)):
            useful.add(id(tensor))
            steps.append(tensor)

    grads: dict[int, Any] = {}
    for out, seed in zip(outputs, seeds, strict=True):
        grads[id(out)] = grads[id(out)] + seed if id(out) in grads else seed
    with grad_mode(create_graph):
        while steps:
            out = steps.pop()
            key, node = id(out), out.grad_fn
            g = grads[key] if key in wanted else grads.pop(key)
            for parent, vjp in zip(node.parents, node.vjps, strict=True):
                if (key := id(parent)) in useful:
                    part = _fitted(vjp(g, out), parent, node.name)
                    grads[key] = grads[key] + part if key in grads else part
            if not retain_graph:  # let go of the inputs, and of the arrays the vjps kept
                node.parents = node.vjps = ()
    return [(tensor, grads[key]) for key, tensor in wanted.items() if key in grads]


def _seed(out: Any, gradient: Any, create_graph: bool) -> Any:
    """The gradient to start from: 1 for a single number, else a copy of what the caller gave."""
    if not out.requires_grad:
        why = "computed under no_grad(), or from no tensor with requires_grad=True"
        raise RuntimeError(f"this tensor does not require a gradient: it was {why}")
    if gradient is None:
        if out.data.size != 1:
            raise RuntimeError(f"{out.data.shape} is not a single number: pass a gradient")
        return type(out)(np.ones_like(out.data))
    if not hasattr(gradient, "grad_fn"):
        raise TypeError(f"a gradient must be a tensor, not {type(gradient).__name__}")
    if gradient.data.shape != out.data.shape or gradient.data.dtype != out.data.dtype:
        given, wanted = ((t.data.dtype, t.data.shape) for t in (gradient, out))
        raise RuntimeError(f"the gradient is {given}, the tensor is {wanted}")
    with grad_mode(create_graph):
        return gradient.clone()


def backward(out: Any, gradient: Any, retain_graph: bool, create_graph: bool) -> None:
    """Add ∂(gradient · out)/∂leaf to the `.grad` of every leaf that requires one."""
    seeds = [_seed(out, gradient, create_graph)]
    owned: set[int] = set()
    found = _walk([out], seeds, None, retain_graph or create_graph, create_graph)
    with grad_mode(create_graph):
        for leaf, g in found:
            if leaf.grad is not None:
                g = leaf.grad + g
            elif g.data.base is not None or id(g.data) in owned:
                g = g.clone()  # each .grad has memory of its own: changing one changes no other
            owned.add(id(g.data))
            leaf.grad = g


def grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
    create_graph: bool = False, *, allow_unused: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """∂(grad_outputs · outputs)/∂inputs as a tuple, one tensor per input; no `.grad` is touched.

    `outputs`, `inputs` and `grad_outputs` are each a tensor or a sequence of tensors. With
    `create_graph` the result can be differentiated again; `retain_graph` defaults to it. Only the
    operations between inputs and outputs are visited. Raises RuntimeError for an input that
    requires no gradient, or that the outputs do not depend on; with `allow_unused` that gives None.
    """
    outs, ins, gs = (
        list(value) if isinstance(value, tuple | list) else [value]
        for value in (outputs, inputs, grad_outputs)
    )
    gs = [None] * len(outs) if grad_outputs is None else gs
    if len(gs) != len(outs):
        raise RuntimeError(f"{len(outs)} outputs but {len(gs)} grad_outputs")
    for i, tensor in enumerate(ins):
        if not tensor.requires_grad:
            raise RuntimeError(f"input {i} of shape {tensor.data.shape} does not require grad")
    seeds = [_seed(out, g, create_graph) for out, g in zip(outs, gs, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    result = {id(t): g for t, g in _walk(outs, seeds, ins, retain, create_graph)}
    for i, tensor in enumerate(ins):
        if id(tensor) not in result and not allow_unused:
            raise RuntimeError(f"the outputs do not depend on input {i}, shape {tensor.data.shape}")
    return tuple(result.get(id(tensor)) for tensor in ins)
