"""What a library costs before it has trained anything: import, first step, memory.

Always in processes made for the purpose, since a second import is free, a second step is already
compiled, and memory that was once used is not given back.
"""

import statistics
import time
from collections import defaultdict
from typing import NamedTuple

from peers import PEERS, cannot
from process import PeerError, Process, spawn
from work import EXAMPLE_CNN_128

STEPS = 20  # the memory is that after so many


class Start(NamedTuple):
    """Medians; None if the library does not do this work."""

    imported: float  # seconds
    first_step: float | None  # seconds from before the process was started
    memory: float | None  # bytes


def import_seconds(name: str, threads: int) -> float:
    """As the program itself sees it, not counting the start of Python."""
    clock = "import time; t = time.perf_counter()"
    code = f"{clock}; {PEERS[name].imports}; print(time.perf_counter() - t)"
    with spawn(["-c", code], threads) as process:
        output = process.communicate()[0]
    if process.returncode:
        raise PeerError(f"its import ended with code {process.returncode}")
    return float(output)


def first_steps(name: str, threads: int) -> tuple[float, int]:
    """Seconds to the end of the first step of the example CNN, and bytes after some more."""
    with Process(name, threads) as process:
        process.ask("build", EXAMPLE_CNN_128)
        process.ask("steps", 1)
        seconds = time.perf_counter() - process.started
        process.ask("steps", STEPS - 2)  # and one that is not timed
        return seconds, process.ask("memory")


def measure(names: list[str], threads: int, repetitions: int) -> tuple[dict[str, Start], dict]:
    """Of each library, or why not; the libraries in turn, so that none has the better minutes."""
    imported, first, memory = (defaultdict(list) for _ in range(3))
    failed: dict[str, str] = {}
    for _ in range(repetitions):
        for name in names:
            if name in failed:
                continue
            try:
                imported[name].append(import_seconds(name, threads))
                if not cannot(name, EXAMPLE_CNN_128):
                    seconds, peak = first_steps(name, threads)
                    first[name].append(seconds)
                    memory[name].append(peak)
            except PeerError as error:
                failed[name] = str(error)

    def median(values: list[float]) -> float | None:
        return statistics.median(values) if values else None

    found = {
        name: Start(*(median(values[name]) for values in (imported, first, memory)))
        for name in names
        if imported[name]
    }
    return found, failed
