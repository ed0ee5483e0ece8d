"""Several libraries at the same piece of work, asked in turn, round by round.

What else the machine does, and how warm it is, changes from minute to minute; in turn it meets all
of them alike. So the ratio of two medians of one run means more than either of them.
"""

import math
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from peers import cannot
from process import PeerError, Process
from work import Work

REQUEST = 0.1  # seconds: how long a library works, at least, before it is the next one's turn
ASLEEP = 0.05  # seconds: after this, no thread of the one before spins any more in wait for work


class Measured(NamedTuple):
    times: list[float]  # seconds of each step, of all rounds
    memory: int  # bytes at the peak, of the whole process

    @property
    def quartiles(self) -> list[float]:
        return statistics.quantiles(self.times, n=4) if len(self.times) > 1 else self.times * 3

    @property
    def median(self) -> float:
        return statistics.median(self.times)


class Outcome(NamedTuple):
    """What came of one piece of work: of each library, numbers or the reason why there are none."""

    measured: dict[str, Measured]
    failed: dict[str, str]


def take_turns(processes: dict[str, Process], work: Work, rounds: int) -> Outcome:
    counts: dict[str, int] = {}  # how many steps to ask for
    times: dict[str, list[float]] = {name: [] for name in processes}
    memory: dict[str, int] = {}
    failed: dict[str, str] = {}

    def each(do: Callable[[str, Process], None], names: list[str]) -> None:
        """For every library that has not failed yet."""
        for name in names:
            if name not in failed:
                try:
                    do(name, processes[name])
                except PeerError as error:
                    failed[name] = str(error)

    def prepare(name: str, process: Process) -> None:
        process.ask("build", work)
        counts[name] = math.ceil(REQUEST / process.ask("warm up"))

    def take_steps(name: str, process: Process) -> None:
        time.sleep(ASLEEP)
        times[name] += process.ask("steps", counts[name])

    def look_at_memory(name: str, process: Process) -> None:
        memory[name] = process.ask("memory")

    names = list(processes)
    each(prepare, names)
    for i in range(rounds):
        each(take_steps, names[::-1] if i % 2 else names)
    each(look_at_memory, names)
    done = [name for name in names if name not in failed]
    return Outcome({name: Measured(times[name], memory[name]) for name in done}, failed)


def start(stack: ExitStack, names: list[str], work: Work, threads: int) -> dict[str, Process]:
    """A process for each library that can do the work."""
    able = [name for name in names if not cannot(name, work)]
    return {name: stack.enter_context(Process(name, threads)) for name in able}


def measure(names: list[str], work: Work, threads: int, rounds: int) -> Outcome:
    """In new processes, which are stopped afterwards: nobody's memory or threads stay around."""
    with ExitStack() as stack:
        return take_turns(start(stack, names, work, threads), work, rounds)
