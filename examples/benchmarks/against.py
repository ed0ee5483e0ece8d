"""This checkout of tinygrad_bn against another one: the time of each work, as a ratio.

Two long-lived processes, a thread each, take turns, the order exchanged each round. What counts
is their processor time, without what else the machine runs meanwhile. Still, two processes of the
same program differ by some percent for as long as they live. Where a heap begins depends on the
length of paths, and on some processors a copy between unlucky addresses runs at a tenth of its
speed: from folders with names of different length the same code differed from itself by 7 to 12 %.
So both packages are copied into folders with names of equal length, and compiled there. Which pages
of memory a process gets is chance. So every work is done by several such pairs.
"""

import compileall
import os
import shutil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from report import ms, row
from turns import Measured, take_turns
from worker import HERE, Worker, WorkerError
from workloads import Work

PAIRS = 6
THIS = HERE.parent.parent  # the checkout that this file belongs to


def copied(checkout: Path, folder: Path) -> Path:
    shutil.copytree(checkout / "tinygrad_bn", folder / "tinygrad_bn")
    compileall.compile_dir(folder, quiet=1)
    return folder


def worker(folder: Path) -> Worker:
    """One that imports the package from this folder, before any other."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return Worker("tinygrad_bn", 1, PYTHONPATH=path, PYTHONHASHSEED="0")


def pair(folders: dict[str, Path], work: Work, rounds: int) -> dict[str, Measured]:
    """The times of two new processes; the first of the two folders has the first turn."""
    (x, here), (y, there) = folders.items()
    with worker(here) as a, worker(there) as b:
        for process, folder in ((a, here), (b, there)):
            if folder not in Path(process.ask("build", work)).parents:
                raise WorkerError(f"it was not the tinygrad_bn in {folder} that was imported")
        outcome = take_turns({x: a, y: b}, work, rounds, "process_time")
    if outcome.failed:
        raise WorkerError(f"{work.name}: {outcome.failed}")
    return outcome.measured


def cells(folders: dict[str, Path], work: Work, rounds: int) -> list[str]:
    medians: dict[str, list[float]] = {"this": [], "other": []}  # of every round of every pair
    for i in range(PAIRS):
        order = dict(reversed(folders.items())) if i % 2 else folders
        for name, measured in pair(order, work, rounds).items():
            medians[name] += map(median, measured.rounds)
    this, other = medians.values()
    ratios = [a / b for a, b in zip(this, other, strict=True)]
    best = f"{min(this) / min(other):.3f}"
    return [work.name, *map(ms, (min(this), min(other))), best, f"{median(ratios):.3f}"]


def compare(other: Path, works: list[Work], rounds: int) -> None:
    """Print the table: below 1, this checkout is the faster one."""
    print(f"This checkout against {other}: {PAIRS} pairs of processes, {rounds} rounds each, one")
    print("thread. Best: the best round's median step. Below 1, this checkout is faster.\n")
    head = ["work", "this, best ms", "other, best ms", "ratio of best", "median ratio of rounds"]
    print(f"{row(head)}\n{row(['---'] * len(head))}")
    with TemporaryDirectory() as folder:
        folders = {
            "this": copied(THIS, Path(folder, "a")),
            "other": copied(other, Path(folder, "b")),
        }
        for work in works:
            print(row(cells(folders, work, rounds)), flush=True)
