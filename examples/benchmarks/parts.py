"""The five parts of the report: each measures, and says what came of it."""

from argparse import Namespace
from collections.abc import Iterator

import accuracy
import curves
import rates
import rounds
import start
from report import Report, in_threads, ms, ratio_cell, share_row, skipped, start_row, times_cell

Names = list[str]
Steps = dict[int, dict[str, rounds.Outcome]]  # by threads, then by the name of the work
Scaling = dict[str, dict[str, curves.Points]]  # by the name of the curve, then by library


def steps(args: Namespace, names: Names, report: Report) -> Steps:
    """The times of steps: a table for each number of threads, and another of the ratios."""
    for line in skipped(names, args.works):
        report.say(line)
    return {threads: steps_with(threads, args, names, report) for threads in args.threads}


def steps_with(
    threads: int, args: Namespace, names: Names, report: Report
) -> dict[str, rounds.Outcome]:
    outcomes: dict[str, rounds.Outcome] = {}

    def rows() -> Iterator[list[str]]:
        for work in args.works:
            outcome = outcomes[work.name] = rounds.measure(names, work, threads, args.rounds)
            yield [work.name, *(times_cell(outcome, name) for name in names)]

    report.say(f"\n### {in_threads(threads)}: median ms per step [quartiles]\n")
    report.table(["work", *names], rows())
    for work, outcome in outcomes.items():
        report.problems({f"{name}, {work}": why for name, why in outcome.failed.items()})
    report.say(
        "As a multiple of PyTorch's time / of that of the faster of its two orders of axes:\n"
    )
    ratios = [[w, *(ratio_cell(o, name) for name in names)] for w, o in outcomes.items()]
    report.table(["work", *names], ratios)
    return outcomes


def beginnings(args: Namespace, names: Names, report: Report) -> None:
    """What it takes to begin: import, first step, memory."""
    repetitions, threads = 1 if args.quick else 5, args.threads[-1]
    found, failed = start.measure(names, threads, repetitions)
    report.say(
        f"With {in_threads(threads)}; medians, each of so many new processes: {repetitions}. The "
        "first step, counted from before the process was started, and the peak memory of the "
        f"process after {start.STEPS} steps are those of the example CNN at batch 128. tinygrad "
        "keeps compiled kernels on disk from one process to the next.\n"
    )
    head = ["library", "import, s", "start to end of first step, s", "peak memory, MB"]
    report.table(head, [start_row(*item) for item in found.items()])
    report.problems(failed)


def learning(args: Namespace, names: Names, report: Report) -> None:
    """The time to an accuracy."""
    goals, seeds = ([98.0], 1) if args.quick else ([98.0, 99.0], 3)
    threads = args.threads[-1]
    if args.quick:
        names = [name for name in names if name != "PyTorch"]  # in its faster order only
    runs, failed = accuracy.measure(names, goals, seeds, threads)
    report.say(
        f"Seconds from the start of the process, {in_threads(threads)}: median [least, most], and "
        f"the steps of the median run; seeds: {seeds}. The recipe is that of "
        "examples/mnist_cnn.py; all begin with the same weights and take the images in the same "
        "order. They are tested four times per epoch, which counts.\n"
    )
    head = ["library", *(f"{goal:g} % of the test images" for goal in goals)]
    rows = [[name, *(accuracy.in_words(r, goal) for goal in goals)] for name, r in runs.items()]
    report.table(head, rows)
    report.problems(failed)


def scaling(args: Namespace, names: Names, report: Report) -> Scaling:
    """The curves: times and exponents in a table, then the memory."""
    threads, repetitions = args.threads[-1], 1 if args.quick else 3
    results: Scaling = {}
    failed: dict[str, str] = {}

    def rows() -> Iterator[list[str]]:
        for curve in curves.CURVES:
            found, bad = curves.measure(curve, names, threads, repetitions, args.quick)
            results[curve.name] = found
            failed.update(bad)
            for name, points in found.items():
                times = ", ".join(f"{x:,}: {ms(t)}" for x, t in points.times.items())
                k = f"{curves.exponent(points.times):.2f}"
                yield [f"{curve.name}: {curve.setting}", name, times, k]

    report.say(
        f"With {in_threads(threads)}. The exponent k of t ~ x^k is fitted to the upper half of the "
        "range of log x by least squares.\n"
    )
    report.table(["x", "library", "x: median ms per step", "k"], rows())
    for name, points in results["batch"].items():
        base, slope, error = curves.line(points.memory)
        report.say(
            f"- Peak memory of {name} over the batch: {base / 1e6:,.0f} MB + {slope / 1e3:,.0f} kB "
            f"per image, to {error:.1%} of the largest; k = {curves.exponent(points.memory):.2f}, "
            f"or {curves.exponent(points.memory, base):.2f} without the constant"
        )
    report.say()
    report.problems(failed)
    return results


def shares(args: Namespace, names: Names, report: Report, known: Steps) -> None:
    """How much of what the machine can do a step makes use of."""
    report.say(
        "The machine's rates are those of NumPy: the product of two 2,048 × 2,048 float32 "
        "matrices, and copying 64 MB (read + written), the best of several. A step's operations "
        "are those of its matrix products and convolutions; its traffic is that of a program in "
        "which every layer reads its input from memory and writes its output there, forward and "
        "backward: with layers joined into one, or in the cache, less will do.\n"
    )
    names = [name for name in names if name == "tinygrad_bn" or name.startswith("PyTorch")]
    shares = ["of sgemm", "of memory"]
    head = ["work", "GFLOP", "MB", "tinygrad_bn, ms", *shares, "PyTorch's faster, ms", *shares]
    for threads in args.threads:
        limits = rates.measure(threads)
        sgemm, memory = f"{limits.sgemm / 1e9:,.0f} GFLOP/s", f"{limits.memory / 1e9:.1f} GB/s"
        report.say(f"### {in_threads(threads)}: {sgemm}, {memory}\n")
        outcomes = (
            known.get(threads, {}).get(work.name)
            or rounds.measure(names, work, threads, args.rounds)
            for work in args.works
        )
        rows = (share_row(*pair, limits) for pair in zip(args.works, outcomes, strict=True))
        report.table(head, rows)
