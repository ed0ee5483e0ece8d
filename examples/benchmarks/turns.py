"""Several workers at the same piece of work, asked in turn, round by round.

What else the machine does, and how warm it is, changes from minute to minute; in turn it meets all
of them alike. So the ratio of two medians of one run means more than either of them.
"""

import itertools
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

from peers import takes_part
from worker import Worker, WorkerError
from workloads import Work

TURN = 0.1  # seconds: how long a worker works, at least, before it is the next one's turn
ASLEEP = 0.05  # seconds: after this, no thread of the one before spins any more in wait for work


class Measured(NamedTuple):
    rounds: list[list[float]]  # seconds of each step of each round
    memory: int  # bytes at the peak, of the whole process

    @property
    def times(self) -> list[float]:
        return [time for times in self.rounds for time in times]

    @property
    def quartiles(self) -> list[float]:
        few = len(self.times) < 2
        return self.times * 3 if few else statistics.quantiles(self.times, method="inclusive")

    @property
    def median(self) -> float:
        return statistics.median(self.times)


class Outcome(NamedTuple):
    """What came of one piece of work: of each library, numbers or the reason why there are none."""

    measured: dict[str, Measured]
    failed: dict[str, str]


def take_turns(
    workers: dict[str, Worker], work: Work, rounds: int, clock: str = "perf_counter"
) -> Outcome:
    """Build and warm up, then `rounds` rounds, every other one in reversed order."""
    counts: dict[str, int] = {}  # how many steps to ask for
    measured: dict[str, Measured] = {}
    failed: dict[str, str] = {}
    for i in range(-1, rounds):
        for name in [*workers][:: -1 if i % 2 else 1]:
            worker = workers[name]
            try:
                if name in failed:
                    continue
                if i < 0:
                    worker.ask("build", work)
                    counts[name] = math.ceil(TURN / worker.ask("warm_up"))
                    measured[name] = Measured([], 0)
                else:
                    time.sleep(ASLEEP)
                    measured[name].rounds.append(worker.ask("steps", counts[name], clock))
                if i == rounds - 1:
                    measured[name] = measured[name]._replace(memory=worker.ask("peak_memory"))
            except WorkerError as error:
                failed[name] = str(error)
                measured.pop(name, None)
    return Outcome({name: measured[name] for name in workers if name in measured}, failed)


def in_turn(
    names: list[str], repetitions: int, measure: Callable[[str, int], list[Any]]
) -> tuple[dict[str, list[list[Any]]], dict[str, str]]:
    """What `measure` finds of each library in so many rounds; and what failed."""
    found: dict[str, list[list[Any]]] = defaultdict(list)
    failed: dict[str, str] = {}
    for i, name in itertools.product(range(repetitions), names):
        try:
            found[name].append(measure(name, i))
        except WorkerError as error:
            failed[name] = str(error)
    return found, failed


def measure(names: list[str], work: Work, threads: int, rounds: int) -> Outcome:
    """In new processes, which are stopped afterwards: nobody's memory or threads stay around."""
    with ExitStack() as stack:
        able = [name for name in names if takes_part(name, work)]
        workers = {name: stack.enter_context(Worker(name, threads)) for name in able}
        return take_turns(workers, work, rounds)
