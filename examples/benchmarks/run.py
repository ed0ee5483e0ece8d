"""tinygrad_bn measured against other libraries: one command.

    python examples/benchmarks/run.py                     # all of it: some 20 minutes
    python examples/benchmarks/run.py --quick             # a first look
    python examples/benchmarks/run.py --only steps --threads "1 2 4"
    python examples/benchmarks/run.py --check             # do all libraries compute the same?
    python examples/benchmarks/run.py --against FOLDER    # this checkout against another one

README.md, beside this file, says what is measured and how.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import against
import scaling
import startup
import steps
import time_to_accuracy
from peers import PEERS, installed, takes_part
from report import Report, machine, versions
from worker import HERE, Worker, WorkerError, available_cores
from workloads import WORKS

PARTS = {
    "steps": ("Time of a step", steps.run),
    "start": ("Import, first step, memory", startup.run),
    "accuracy": ("Time to an accuracy", time_to_accuracy.run),
    "scaling": ("How a step grows", scaling.run),
}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = len(available_cores())
    parser.add_argument("--rounds", type=int, help="how often each has its turn")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--only", choices=PARTS, help="one part of the report")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="a folder")
    parser.add_argument("--threads", help='numbers of threads, as "1 2"; most parts use the last')
    parser.add_argument("--check", action="store_true", help="compare results, not times")
    parser.add_argument("--against", type=Path, help="another checkout of tinygrad_bn")
    args = parser.parse_args()
    usual = [min(2, cores)] if args.quick else [n for n in (1, 2) if n <= cores]
    args.threads = [int(n) for n in args.threads.split()] if args.threads else usual
    args.rounds = args.rounds or (3 if args.quick else 11)
    args.works = [WORKS[i] for i in (0, 2, 5)] if args.quick else WORKS
    if max(args.threads) > cores:
        parser.error(f"{max(args.threads)} threads: this program may use {cores} cores")
    if args.against and not (args.against / "tinygrad_bn").is_dir():
        parser.error(f"--against: no folder tinygrad_bn in {args.against}")
    return args


def check(names: list[str], threads: int, calls: int = 4, tolerance: float = 1e-3) -> bool:
    """Whether all compute the same: the losses of some training steps, or the scores."""
    agreed = True
    for work in WORKS:
        # every library draws dropout's masks in its own way
        steady = [layer for layer in work.layers if layer[0] != "dropout"]
        expected: list[list[float]] = []
        for name in [name for name in names if takes_part(name, work)]:
            try:
                with Worker(name, threads) as worker:
                    worker.ask("build", work._replace(layers=steady))
                    results = worker.ask("results", calls)
            except WorkerError as error:
                print(f"{work.name}: {name} failed: {error}", flush=True)
                agreed = False
                continue
            expected = expected or results
            difference = max(
                max(abs(a - b) for a, b in zip(*rows, strict=True)) / max(map(abs, rows[1]))
                for rows in zip(results, expected, strict=True)
            )
            agreed &= difference < tolerance
            print(f"{work.name}: {name} differs by {difference:.1e}", flush=True)
    return agreed


def draw(results: dict[str, Any], folder: Path, report: Report) -> None:
    import plots

    if "steps" in results and find_spec("torch"):  # the bars are multiples of its time
        plots.steps(results["steps"], folder / "steps.png")
        report.say("![Time of a step in each library, as a multiple of PyTorch's](steps.png)\n")
    if "scaling" in results:
        plots.scaling(results["scaling"], folder / "scaling.png")
        report.say("![Time of a step over batch, image side, channels and depth](scaling.png)\n")


def main() -> None:
    args, names = options(), installed()
    if args.against:
        return against.compare(args.against.resolve(), args.works, args.rounds)
    if args.check:
        sys.exit(not check(names, args.threads[-1]))
    report = Report(args.out / "benchmark.md")
    report.say(f"# tinygrad_bn and other libraries\n\n{machine()}.\n")
    for name in [name for name in PEERS if name not in names]:
        report.say(f"- {name} is not installed: skipped")
    report.say(f"- {versions(names)}\n- [What is measured, and how](../README.md)\n")
    results: dict[str, Any] = {}
    for part in [args.only] if args.only else PARTS:
        title, run = PARTS[part]
        report.say(f"## {title}\n")
        results[part] = run(args, names, report)
    if find_spec("matplotlib"):
        return draw(results, args.out, report)
    return report.say("matplotlib is not installed: no pictures")


if __name__ == "__main__":
    main()
