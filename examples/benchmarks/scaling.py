"""How the time of a step grows with the work: batch, image, channels, depth; and the memory.

Each curve is described by the exponent k of t ~ x^k that fits its upper half best. At the lower end
a step costs what its operations cost whatever their size, and the curve is flat.
"""

import math
import statistics
from argparse import Namespace
from collections.abc import Iterator
from typing import NamedTuple

from peers import takes_part
from report import Report, in_threads, ms
from turns import Measured, measure
from workloads import Layer, Work, example_cnn


def two_convolutions(c: int) -> list[Layer]:
    """From c channels to c, twice; what follows is small."""
    block = [("conv", c, c), ("bn2d", c), ("relu",)]
    return [*block, *block, ("pool",), ("flatten",), ("linear", c * 14 * 14, 10, True)]


def chain(n: int) -> list[Layer]:
    """So little arithmetic that a step is all bookkeeping: n operations, one after the other."""
    return [("linear", 32, 32, False), *n * [("relu",)], ("linear", 32, 10, True)]


class Curve(NamedTuple):
    name: str  # of what grows
    setting: str
    works: dict[int, Work]


BATCHES = {n: Work(f"batch {n}", example_cnn(), n) for n in (2, 4, 16, 64, 256, 1024, 4096)}
SIDES = {n: Work(f"side {n}", example_cnn(n), 16, (1, n, n)) for n in (14, 20, 28, 40, 56, 80, 112)}
CHANNELS = {
    n: Work(f"{n} channels", two_convolutions(n), 16, (n, 28, 28)) for n in (8, 16, 32, 64, 128)
}
DEPTHS = {n: Work(f"depth {n}", chain(n), 32, (32,)) for n in (1, 3, 10, 30, 100, 300, 1000)}
CURVES = [
    Curve("batch", "example CNN", BATCHES),
    Curve("image side", "example CNN, batch 16", SIDES),
    Curve("channels", "two convolutions c -> c, batch 16", CHANNELS),
    Curve("depth", "a chain of ReLUs of 32 x 32", DEPTHS),
]
Points = dict[int, Measured]  # of one library along one curve
Scaling = dict[str, dict[str, Points]]  # by the name of the curve, then by library


def exponent(points: Points) -> float:
    """The slope of log t over log x by least squares, over the upper half of log x."""
    middle = math.sqrt(min(points) * max(points))
    upper = max(2, sum(x >= middle for x in points))
    logs = [(math.log(x), math.log(point.median)) for x, point in [*points.items()][-upper:]]
    return statistics.linear_regression(*zip(*logs, strict=True)).slope


def per_image(points: Points) -> float:
    """The bytes that one more image of a batch takes, by least squares."""
    return statistics.linear_regression([*points], [p.memory for p in points.values()]).slope


def run(args: Namespace, names: list[str], report: Report) -> Scaling:
    """tinygrad_bn along the curves, and PyTorch in its faster order."""
    threads, rounds, few = args.threads[-1], 1 if args.quick else 3, 3 if args.quick else None
    results: Scaling = {}
    failed: dict[str, str] = {}

    def rows() -> Iterator[list[str]]:
        for curve in CURVES:
            images = takes_part("PyTorch channels_last", curve.works[max(curve.works)])
            peer = "PyTorch channels_last" if images else "PyTorch"
            found = results[curve.name] = {n: {} for n in ("tinygrad_bn", peer) if n in names}
            for x, work in [*curve.works.items()][:few]:
                outcome = measure([*found], work, threads, rounds)
                for name, measured in outcome.measured.items():
                    found[name][x] = measured
                failed.update({f"{name}, {work.name}": e for name, e in outcome.failed.items()})
            for name, points in found.items():
                times = ", ".join(f"{x:,}: {ms(p.median)}" for x, p in points.items())
                k = f"{exponent(points):.2f}"
                yield [f"{curve.name}: {curve.setting}", name, times, k]

    report.say(
        f"With {in_threads(threads)}. The exponent k of t ~ x^k is fitted to the upper half of the "
        "range of log x by least squares.\n"
    )
    report.table(["x", "library", "x: median ms per step", "k"], rows())
    for name, points in results["batch"].items():
        size = per_image(points) / 1e3
        report.say(f"- Peak memory of {name} over the batch: {size:,.0f} kB more per image")
    report.say()
    report.problems(failed)
    return results
