"""How long until the example CNN reads 98 % and 99 % of the test images right?

The first weights and the order of the images are the same for both libraries; what dropout draws is
not. The clock starts before the process does, and testing four times per epoch counts. tinygrad_bn
also learns on as many ranks as the others have threads: see ../distributed.
"""

import sys
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

from report import Report, in_threads
from turns import in_turn
from worker import Worker

LIBRARIES = ("tinygrad_bn", "tinygrad_bn compiled", "PyTorch", "PyTorch channels_last")
ON_RANKS = "tinygrad_bn compiled, on ranks"
Reached = tuple[float, int]  # seconds and steps


def worker_of(name: str, threads: int) -> Worker:
    if name != ON_RANKS:
        return Worker(name, threads)
    sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "distributed")]
    from measure import Trainer

    return Trainer(threads)


def measure(name: str, seed: int, goals: list[float], threads: int) -> list[Reached]:
    with worker_of(name, threads) as worker:
        return [(t - worker.started, steps) for t, steps in worker.ask("learn", seed, goals)]


def in_words(trainings: tuple[Reached, ...]) -> str:
    """Seconds, the median over the seeds [least, most]; and the steps of the median training."""
    each = sorted(trainings)
    seconds = [f"{t:.1f}" if steps else "never" for t, steps in each]
    middle = (len(each) - 1) // 2
    return f"{seconds[middle]} [{seconds[0]}, {seconds[-1]}], {each[middle][1]:,} steps"


def run(args: Namespace, names: list[str], report: Report) -> None:
    (goals, seeds), threads = ([98.0], 1) if args.quick else ([98.0, 99.0], 3), args.threads[-1]
    names = [name for name in LIBRARIES if name in names]
    if find_spec("mpi4py") and threads > 1:
        names.append(ON_RANKS)
    found, failed = in_turn(names, seeds, lambda name, seed: measure(name, seed, goals, threads))
    report.say(
        f"Seconds from the start of the process, {in_threads(threads)}: median [least, most], and "
        f"the steps of the median run; seeds: {seeds}.\n"
    )
    head = ["library", *(f"{goal:g} % of the test images" for goal in goals)]
    rows = ([name, *map(in_words, zip(*each, strict=True))] for name, each in found.items())
    report.table(head, rows)
    report.problems(failed)
