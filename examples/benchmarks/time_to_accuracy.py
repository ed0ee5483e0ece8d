"""How long until the example CNN reads 98 % and 99 % of the test images right?

The first weights and the order of the images are the same for both libraries; what dropout draws is
not. The clock starts before the process does, and testing four times per epoch counts.
"""

from argparse import Namespace

from report import Report, in_threads
from turns import in_turn
from worker import Worker

LIBRARIES = ("tinygrad_bn", "PyTorch", "PyTorch channels_last")
Reached = tuple[float, int]  # seconds and steps


def measure(name: str, seed: int, goals: list[float], threads: int) -> list[Reached]:
    with Worker(name, threads) as worker:
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
    found, failed = in_turn(names, seeds, lambda name, seed: measure(name, seed, goals, threads))
    report.say(
        f"Seconds from the start of the process, {in_threads(threads)}: median [least, most], and "
        f"the steps of the median run; seeds: {seeds}.\n"
    )
    head = ["library", *(f"{goal:g} % of the test images" for goal in goals)]
    rows = ([name, *map(in_words, zip(*each, strict=True))] for name, each in found.items())
    report.table(head, rows)
    report.problems(failed)
