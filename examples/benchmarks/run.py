"""tinygrad_bn measured against other libraries: one command.

    python examples/benchmarks/run.py                     # all of it: some 20 minutes
    python examples/benchmarks/run.py --quick             # 3 minutes, for a first look
    python examples/benchmarks/run.py --only steps --threads "1 2 4"
    python examples/benchmarks/run.py --check             # do all libraries compute the same?

The peers are PyTorch, JAX, tinygrad (which needs clang), MyGrad, autograd, and NumPy by hand; those
that are not installed are skipped. The report is printed as it grows, and written to
results/benchmark.md with two pictures beside it (by matplotlib).
"""

import argparse
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import parts
import rates
from peers import PEERS, cannot, installed
from process import HERE, PeerError, Process, available_cores, spawn
from report import Report, machine, notes, versions
from work import WORKS, without_dropout

Say = Callable[[str], None]
TITLES = {
    "steps": "Time of a step",
    "start": "Import, first step, memory",
    "accuracy": "Time to an accuracy",
    "scaling": "How a step grows",
    "rates": "Shares of the machine's rates",
}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = len(available_cores())
    parser.add_argument("--rounds", type=int, help="how often each library has its turn")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--only", choices=TITLES, help="one part of the report")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="a folder")
    parser.add_argument("--threads", help='numbers of threads, as "1 2"; most parts use the last')
    parser.add_argument("--check", action="store_true", help="compare results, not times")
    args = parser.parse_args()
    usual = [min(2, cores)] if args.quick else [n for n in (1, 2) if n <= cores]
    args.threads = [int(n) for n in args.threads.split()] if args.threads else usual
    args.rounds = args.rounds or (3 if args.quick else 11)
    args.works = [WORKS[i] for i in (0, 2, 5)] if args.quick else WORKS
    if max(args.threads) > cores:
        parser.error(f"{max(args.threads)} threads: this program may use {cores} cores")
    return args


def present(say: Say) -> list[str]:
    """The libraries that take part; a line for each that does not."""
    names = installed()
    for name in PEERS:
        if name not in names:
            say(f"- {name} is not installed: skipped")
    with spawn([str(HERE / "by_hand.py")], threads=1) as process:
        process.communicate()
    if process.returncode:
        say("- NumPy by hand does not compute what tinygrad_bn does: left out")
        names.remove("NumPy by hand")
    return names


def check(names: list[str], threads: int, calls: int = 4, tolerance: float = 1e-3) -> bool:
    """Whether all compute the same: four training steps without dropout, or the scores."""
    agreed = True
    for work in map(without_dropout, WORKS):
        results: dict[str, list[list[float]]] = {}
        for name in [name for name in names if not cannot(name, work)]:
            try:
                with Process(name, threads) as process:
                    process.ask("build", work)
                    results[name] = process.ask("results", calls)
            except PeerError as error:
                print(f"{work.name}: {name} failed: {error}", flush=True)
                agreed = False
        for name, result in results.items():
            expected = results.get("PyTorch", next(iter(results.values())))
            difference = max(
                max(abs(a - b) for a, b in zip(*rows, strict=True)) / max(map(abs, rows[1]))
                for rows in zip(result, expected, strict=True)
            )
            agreed &= difference < tolerance
            print(f"{work.name}: {name} differs by {difference:.1e}", flush=True)
    return agreed


def draw(args: argparse.Namespace, steps: parts.Steps, scaling: parts.Scaling, say: Say) -> None:
    if not find_spec("matplotlib"):
        return say("matplotlib is not installed: no pictures")
    import pictures

    if steps and find_spec("torch"):  # the bars are multiples of its time
        pictures.steps(steps, machine(), args.out / "steps.png")
        say("![Time of a step in each library, as a multiple of PyTorch's](steps.png)\n")
    if scaling:
        pictures.scaling(scaling, machine(), args.out / "scaling.png")
        say("![Time of a step over batch, image side, channels and depth](scaling.png)\n")
    return None


def main() -> None:
    args = options()
    if args.check:
        sys.exit(not check(present(print), args.threads[-1]))
    report = Report(args.out / "benchmark.md")
    report.say(f"# tinygrad_bn and other libraries\n\n{machine()}.\n")
    names = present(report.say)
    report.say(f"- {versions(names, rates.measure(1).blas)}\n\n{notes()}\n")
    steps: parts.Steps = {}
    scaling: parts.Scaling = {}
    for part, title in TITLES.items():
        if args.only in (None, part):
            report.say(f"## {title}\n")
            if part == "steps":
                steps = parts.steps(args, names, report)
            elif part == "start":
                parts.beginnings(args, names, report)
            elif part == "accuracy":
                parts.learning(args, names, report)
            elif part == "scaling":
                scaling = parts.scaling(args, names, report)
            else:
                parts.shares(args, names, report, steps)
    draw(args, steps, scaling, report.say)


if __name__ == "__main__":
    main()
