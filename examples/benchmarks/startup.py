"""What a library costs before it has trained anything: import, first step, memory."""

import statistics
from argparse import Namespace
from time import perf_counter

from peers import PEERS, takes_part
from report import Report, in_threads
from turns import in_turn
from worker import Worker, WorkerError, spawn
from workloads import EXAMPLE_CNN_128

STEPS = 20  # the memory is that after so many


def measure(name: str, threads: int) -> list[float]:
    """Seconds of the import; seconds from nothing to the end of the first step, and megabytes."""
    code = f"import timeit; print(timeit.timeit({PEERS[name].imports!r}, number=1))"
    with spawn(["-c", code], threads) as process:
        output = process.communicate()[0]
    if process.returncode:
        raise WorkerError(f"its import ended with code {process.returncode}")
    if not takes_part(name, EXAMPLE_CNN_128):
        return [float(output)]
    with Worker(name, threads) as worker:
        worker.ask("build", EXAMPLE_CNN_128)
        worker.ask("steps", 1)
        seconds = perf_counter() - worker.started
        worker.ask("steps", STEPS - 2)  # and one that is not timed
        return [float(output), seconds, worker.ask("peak_memory") / 1e6]


def run(args: Namespace, names: list[str], report: Report) -> None:
    repetitions, threads = 1 if args.quick else 5, args.threads[-1]
    found, failed = in_turn(names, repetitions, lambda name, _: measure(name, threads))
    report.say(
        f"With {in_threads(threads)}; medians of {repetitions}. First step, and memory after "
        f"{STEPS} steps: of the example CNN at batch 128.\n"
    )
    head = ["library", "import, s", "start to end of first step, s", "peak memory, MB"]
    forms = ("{:.3f}", "{:.2f}", "{:,.0f}")
    rows = []
    for name, times in found.items():
        medians = map(statistics.median, zip(*times, strict=True))
        cells = [form.format(value) for form, value in zip(forms, medians, strict=False)]
        rows.append([name, *cells, *["-"] * (3 - len(cells))])
    report.table(head, rows)
    report.problems(failed)
