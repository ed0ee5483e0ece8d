"""How the time of a step grows with the work: batch, image, channels, depth; and the memory.

Each curve is described by the exponent k of t ~ x^k that fits its upper half best. At the lower end
a step costs what its operations cost whatever their size, and the curve is flat. The smallest batch
is 2: batch normalization cannot train on one sample.
"""

import math
import statistics
from contextlib import ExitStack
from typing import NamedTuple

import rounds
from peers import cannot
from work import Layer, Work, example_cnn


def squares(c: int) -> list[Layer]:
    """Two convolutions from c channels to c; what follows them is small."""
    return [
        *(("conv", c, c), ("bn2d", c), ("relu",), ("conv", c, c), ("bn2d", c), ("relu",)),
        *(("pool",), ("flatten",), ("linear", c * 14 * 14, 10, True)),
    ]


def chain(n: int) -> list[Layer]:
    """So little arithmetic that a step is all bookkeeping: n operations, one after the other.

    ReLUs, because nothing grows or fades from one to the next, as it would over so many layers
    with weights.
    """
    return [("linear", 32, 32, False), *n * [("relu",)], ("linear", 32, 10, True)]


class Curve(NamedTuple):
    name: str
    setting: str
    points: dict[int, Work]


CURVES = [
    Curve(
        "batch",
        "example CNN",
        {n: Work(f"batch {n}", example_cnn(), n) for n in (2, 4, 16, 64, 256, 1024, 4096)},
    ),
    Curve(
        "image side",
        "example CNN, batch 16",
        {
            n: Work(f"side {n}", example_cnn(n), 16, (1, n, n))
            for n in (14, 20, 28, 40, 56, 80, 112)
        },
    ),
    Curve(
        "channels",
        "two convolutions c → c, batch 16",
        {n: Work(f"{n} channels", squares(n), 16, (n, 28, 28)) for n in (8, 16, 32, 64, 128)},
    ),
    Curve(
        "depth",
        "a chain of ReLUs of 32 × 32",
        {n: Work(f"depth {n}", chain(n), 32, (32,)) for n in (1, 3, 10, 30, 100, 300, 1000)},
    ),
]


class Points(NamedTuple):
    """One library along one curve: medians in seconds, and the peak memory in bytes."""

    times: dict[int, float]
    memory: dict[int, float]


def exponent(points: dict[int, float], constant: float = 0) -> float:
    """The slope of log(y − constant) over log x by least squares, over the upper half of log x."""
    middle = math.sqrt(min(points) * max(points))
    upper = max(2, sum(x >= middle for x in points))
    pairs = [(math.log(x), math.log(y - constant)) for x, y in [*points.items()][-upper:]]
    return statistics.linear_regression(*zip(*pairs, strict=True)).slope


def line(points: dict[int, float]) -> tuple[float, float, float]:
    """y = a + b x by least squares, and the largest error as a share of the largest y."""
    fit = statistics.linear_regression(list(points), list(points.values()))
    errors = [abs(y - fit.intercept - fit.slope * x) for x, y in points.items()]
    return fit.intercept, fit.slope, max(errors) / max(points.values())


def measure(
    curve: Curve, names: list[str], threads: int, repetitions: int, few: bool
) -> tuple[dict[str, Points], dict[str, str]]:
    """tinygrad_bn along a curve, and PyTorch in its faster order; few: at three points only.

    Each batch size has processes of its own, whose peak memory it alone has made.
    """
    works = dict([*curve.points.items()][: 6 if few else None : 2 if few else 1])
    first = next(iter(works.values()))
    peer = "PyTorch" if cannot("PyTorch channels_last", first) else "PyTorch channels_last"
    names = [name for name in ("tinygrad_bn", peer) if name in names]
    found = {name: Points({}, {}) for name in names}
    failed: dict[str, str] = {}
    with ExitStack() as stack:
        processes = {} if curve.name == "batch" else rounds.start(stack, names, first, threads)
        for x, work in works.items():
            if processes:
                outcome = rounds.take_turns(processes, work, repetitions)
            else:
                outcome = rounds.measure(names, work, threads, repetitions)
            for name, measured in outcome.measured.items():
                found[name].times[x], found[name].memory[x] = measured.median, measured.memory
            failed |= {f"{name}, {work.name}": why for name, why in outcome.failed.items()}
    return {name: points for name, points in found.items() if len(points.times) > 1}, failed
