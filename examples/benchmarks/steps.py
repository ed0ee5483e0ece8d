"""The time of a training step, or of an inference, in every library: the two main tables."""

from argparse import Namespace
from collections.abc import Iterator

import machine_rates
from report import Report, in_threads, ms
from turns import Outcome, measure

Steps = dict[int, dict[str, Outcome]]  # by threads, then by the name of the work


def times_cell(outcome: Outcome, name: str) -> str:
    if name not in outcome.measured:
        return "failed" if name in outcome.failed else "-"
    first, middle, last = map(ms, outcome.measured[name].quartiles)
    return f"{middle} [{first}, {last}]"


def ratio_cell(outcome: Outcome, name: str) -> str:
    """To PyTorch in its usual order of axes / to the faster of its two."""
    torch = [m.median for n, m in outcome.measured.items() if n.startswith("PyTorch")]
    if "PyTorch" not in outcome.measured or name not in outcome.measured:
        return "-"
    own = outcome.measured[name].median
    return f"{own / outcome.measured['PyTorch'].median:.2f} / {own / min(torch):.2f}"


def run(args: Namespace, names: list[str], report: Report) -> Steps:
    return {threads: with_threads(threads, args, names, report) for threads in args.threads}


def with_threads(
    threads: int, args: Namespace, names: list[str], report: Report
) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}

    def rows() -> Iterator[list[str]]:
        for work in args.works:
            outcome = outcomes[work.name] = measure(names, work, threads, args.rounds)
            yield [work.name, *(times_cell(outcome, name) for name in names)]

    report.say(f"\n### {in_threads(threads)}: median ms per step [quartiles]\n")
    report.table(["work", *names], rows())
    failed = {f"{n}, {w}": why for w, o in outcomes.items() for n, why in o.failed.items()}
    report.problems(failed)
    report.say("As a multiple of PyTorch's time / of the faster of its two orders of axes:\n")
    ratios = [[w, *(ratio_cell(o, name) for name in names)] for w, o in outcomes.items()]
    report.table(["work", *names], ratios)
    machine_rates.say(args.works, outcomes, threads, report)
    return outcomes
