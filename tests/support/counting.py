"""What one training step of each example costs, counted instead of timed.

    python tests/support/counting.py            # a table
    python tests/support/counting.py --lines    # and the lines of the package behind it

A time depends on the machine and its mood. How often a step asks for memory, goes over a large
array, records an operation or calls a function does not: these numbers are the same in every run
and on every machine, so that a change by one is a change of the program. tests/costs/test_costs.py
holds the package to them.

While `counting()`, the package's modules find another `np`, whose functions return `Counted`
arrays. Whatever is computed from such an array passes through its methods, is counted and done by
NumPy itself, and comes out as a `Counted` array. What happens inside a call of NumPy is not seen:
its small buffers, a copy that BLAS needs, a temporary that is used again for the result.
"""

import argparse
import gc
import importlib.util
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from tinygrad_bn import Tensor, manual_seed, nn
from tinygrad_bn.nn.functional import cross_entropy
from tinygrad_bn.optim import SGD, lr_scheduler

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXAMPLES = {
    "MLP, batch 128": ("mnist_mlp.py", 128),
    "CNN, batch 64": ("mnist_cnn.py", 64),
}
WARM_UP = 3  # steps: the first ones also make what is kept, such as the optimizer's momentum
LARGE = 64 << 10  # bytes: an array below this stays in a core's cache, and costs a call, no traffic

# --- the instrument -------------------------------------------------------------------------------


class Event(NamedTuple):
    line: str  # of the package, as "tensor:83"
    name: str  # of NumPy's function
    nbytes: int


@dataclass
class Costs:
    """What was counted."""

    allocations: list[Event] = field(default_factory=list)  # arrays with memory of their own
    passes: list[Event] = field(default_factory=list)  # calls that read or write a large array
    operations: list[str] = field(default_factory=list)  # the names of all, recorded or not
    recorded: int = 0
    calls: int = 0  # of the package's functions

    def clear(self) -> None:
        vars(self).update(vars(Costs()))

    def figures(self) -> dict[str, int]:
        large = [event for event in self.allocations if event.nbytes >= LARGE]
        return {
            "arrays allocated": len(self.allocations),
            "their bytes": sum(event.nbytes for event in self.allocations),
            "large arrays allocated": len(large),
            "bytes of large arrays": sum(event.nbytes for event in large),
            "passes over large arrays": len(self.passes),
            "bytes passed over": sum(event.nbytes for event in self.passes),
            "operations recorded": self.recorded,
            "Python calls": self.calls,
        }


costs = Costs()  # where everything is counted at present


def package_line() -> str:
    """Where in the package the call comes from that is being counted."""
    frame: FrameType | None = sys._getframe(1)
    while frame and not frame.f_globals["__name__"].startswith("tinygrad_bn."):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).stem}:{frame.f_lineno}" if frame else "outside"


def reach(array: Any) -> int:
    """The bytes that a loop over the array meets; a value that is only repeated counts once."""
    sizes = zip(array.shape, array.strides, strict=True)
    return array.itemsize * math.prod(n for n, stride in sizes if stride)


def arrays(value: Any) -> Iterator[Any]:
    """All arrays in an argument, or in a sequence of them."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from arrays(part)


def count_pass(name: str, *operands: Any) -> None:
    """A call that reads or writes all of these; what is no array is left out."""
    sizes = [reach(operand) for operand in arrays(operands)]
    if max(sizes, default=0) >= LARGE:
        costs.passes.append(Event(package_line(), name, sum(sizes)))


def bare(value: Any) -> Any:
    """As NumPy is to see it: with its own arrays instead of counted ones."""
    if type(value) is Counted:
        return value.view(np.ndarray)
    if isinstance(value, tuple | list):
        return type(value)(map(bare, value))
    return {k: bare(v) for k, v in value.items()} if isinstance(value, dict) else value


def counted(array: Any) -> Any:
    """A new array, counted as allocated. Numbers, and what else NumPy returns, stay as they are."""
    if not isinstance(array, np.ndarray):
        return array
    costs.allocations.append(Event(package_line(), "", array.nbytes))
    own = array.view(Counted)
    own.owner = True
    return own


def overlap(a: Any, b: Any) -> bool:
    both = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    return both and np.may_share_memory(a, b)


def run(function: Callable[..., Any], name: str, args: Any, options: Any = None) -> Any:
    """Call a function of NumPy that is no ufunc, and count what it allocates and moves."""
    plain = bare(args)
    result = function(*plain, **bare(options or {}))
    for given, seen in zip(args, plain, strict=True):
        if overlap(result, seen):  # the same one, or a view: nothing is moved
            return given if result is seen else result.view(Counted)
    if not name.startswith("empty"):
        count_pass(name, *plain, result)
    return counted(result)


class AnyArray(type):
    """Any array is an instance: `isinstance` must not tell that np.ndarray has been replaced."""

    def __instancecheck__(cls, value: Any) -> bool:
        return issubclass(type(value), np.ndarray)


class Counted(np.ndarray, metaclass=AnyArray):
    """An array whose allocation and uses are counted."""

    owner = False  # whether its memory was allocated for it; not so for its views

    @property
    def base(self) -> Any:
        """None for an owner, as without the instrument, which itself only has views."""
        return None if self.owner else super().base

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        result = getattr(ufunc, method)(*bare(inputs), **bare(options))
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        count_pass(name, *inputs, options.get("where"), result)
        return options["out"][0] if "out" in options else counted(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return run(function, function.__name__, args, kwargs)

    def __setitem__(self, index: Any, value: Any) -> None:
        target = self.view(np.ndarray)
        place, value = target[index], bare(value)
        if overlap(place, value) and place.__array_interface__ == value.__array_interface__:
            return  # the end of `a[i] += 1`, after the addition in place: NumPy copies nothing
        target[index] = value
        count_pass("assignment", place, value)


def watched(name: str) -> Callable[..., Any]:
    method = getattr(np.ndarray, name)
    return lambda self, *args, **options: run(method, name, (self, *args), options)


# The methods that may copy, or that read without being ufuncs; sum, max, any, … end in ufuncs.
METHODS = (
    "__getitem__", "argmax", "argmin", "argsort", "astype", "copy", "cumsum", "fill", "flatten",
    "item", "nonzero", "ravel", "repeat", "reshape", "round", "take", "tolist",
)  # fmt: skip
for method in METHODS:
    setattr(Counted, method, watched(method))


class Watched:
    """NumPy, a module of it, or its random generator: with functions that return counted arrays."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.original, name)
        if isinstance(found, ModuleType):
            return Watched(found)
        if found is np.ndarray:
            return Counted
        if isinstance(found, type | np.ufunc) or not callable(found):
            return found
        return lambda *args, **options: run(found, name, args, options)


@contextmanager
def no_garbage_collector() -> Iterator[None]:
    """When it runs depends on what went before, and it may call functions to clear that up."""
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def counting() -> Iterator[Costs]:
    """Count what the package does in the block, with the arrays that it makes in the block."""

    def watched_record(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def record(name: str, *args: Any, **arguments: Any) -> Tensor:
            out = original(name, *args, **arguments)
            costs.operations.append(name)
            costs.recorded += out.grad_fn is not None
            return out

        return record

    def profile(frame: FrameType, event: str, _: Any) -> None:
        ours = frame.f_globals.get("__name__", "").startswith("tinygrad_bn.")
        # comprehensions are not functions in every version of Python
        if ours and event == "call" and not frame.f_code.co_name.endswith(("comp>", "expr>")):
            costs.calls += 1

    tensor = sys.modules["tinygrad_bn.tensor"]
    replaced = {"np": Watched(np), "generator": Watched(tensor.generator)}
    replaced["record"] = watched_record(tensor.record)
    replaced["record_joint"] = watched_record(tensor.record_joint)
    costs.clear()
    before = sys.getprofile()
    with no_garbage_collector(), ExitStack() as stack:
        for module in [m for name, m in sys.modules.items() if name.startswith("tinygrad_bn.")]:
            for name in vars(module).keys() & replaced.keys():
                stack.enter_context(patch.object(module, name, replaced[name]))
        sys.setprofile(profile)
        try:
            yield costs
        finally:
            sys.setprofile(before)


# --- the examples ---------------------------------------------------------------------------------


class Training(NamedTuple):
    """An example's network, a batch, and a function that makes one step and returns the loss."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    step: Callable[[], Tensor]


def training(file: str, batch: int) -> Training:
    """As in the example's `train`, on random images: what a step costs does not depend on them."""
    specification = importlib.util.spec_from_file_location(Path(file).stem, FOLDER / file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    manual_seed(0)
    rng = np.random.default_rng(0)
    images = Tensor(rng.standard_normal((batch, 1, 28, 28), np.float32))
    labels = Tensor(rng.integers(0, 10, batch))
    model = module.build()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=100)

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    return Training(model, images, labels, step)


def measure(file: str, batch: int) -> Costs:
    """The costs of one step, after a few others."""
    with counting() as costs:
        step = training(file, batch).step
        for _ in range(WARM_UP):
            step()
        costs.clear()
        step()
    return Costs(**vars(costs))


# --- the table ------------------------------------------------------------------------------------


def lines(costs: Costs) -> Iterator[str]:
    """The lines of the package that go over the most bytes, with the functions that they call."""
    passes: Counter[tuple[str, str]] = Counter()
    nbytes: Counter[tuple[str, str]] = Counter()
    for event in costs.passes:
        passes[event.line, event.name] += 1
        nbytes[event.line, event.name] += event.nbytes
    for (line, name), total in nbytes.most_common():
        yield f"| {line} | {name} | {passes[line, name]} | {total / 1e6:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", action="store_true", help="the passes by line of the package")
    args = parser.parse_args()
    found = {name: measure(*example) for name, example in EXAMPLES.items()}
    figures = {name: costs.figures() for name, costs in found.items()}
    print("|", " | ".join(["one training step", *found]), "|\n|---|" + "---|" * len(found))
    for figure in next(iter(figures.values())):
        print(
            "|",
            " | ".join([figure, *(f"{row[figure]:,}" for row in figures.values())]),
            "|",
        )
    print(f"\nLarge: at least {LARGE >> 10} KB.")
    for name, costs in found.items() if args.lines else ():
        print(f"\n{name}:\n\n| line | function | passes | MB |\n|---|---|---|---|")
        print(*lines(costs), sep="\n")


if __name__ == "__main__":
    main()
