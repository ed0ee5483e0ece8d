"""What is measured, and how: each setting in turn, round by round.

A setting is so many processes with so many rows each. All are at work in the same run, one at a
time, as in examples/benchmarks/turns.py: what else the machine does meets all of them alike, and
the ratio of two of them, taken round by round, means more than either.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from machine_rates import SGEMM
from mnist_cnn import build
from peers import installed
from tqdm import tqdm
from turns import ASLEEP
from worker import THREADS, Worker, available_cores, spawn
from workloads import EXAMPLE_CNN_128

HERE = Path(__file__).parent

# What a process can be
ALONE = "compile(model)"  # one process, as the examples train without ranks
SYNCHRONISED = "SyncBatchNorm, DistributedDataParallel, one rank"
PAIR = "two such at a time that do not know of each other"
RANKS = "ranks"
LIBRARIES = ("tinygrad_bn compiled", "PyTorch channels_last")  # each on two threads

BATCHES = (128, 64)  # of strong scaling: of all ranks together
WEAK = 64  # the rows of each rank in weak scaling
ROWS = (4, 16, 32, 64, 128)  # from which the computation's line over the rows is fitted
TWO = 2  # processes, or threads, that are compared: there are as many cores
OVERSUBSCRIBED = 4  # ranks, on fewer cores

# Exchanges between two ranks; the bytes that each brings
FITTED = (16, 128, 1024, 8192, 65_536, 524_288, 4_194_304)
LEFT_OUT = (24_576, 196_608, 1_572_864)  # and the messages of a step
REPETITIONS = 30  # of one size in a turn

MODEL = build()
PARAMETERS = sum(parameter.numel() for parameter in MODEL.parameters())
CHANNELS = [layer.num_features for layer in MODEL.modules() if hasattr(layer, "num_features")]


class Setting(NamedTuple):
    who: str
    processes: int
    rows: int  # of each process

    @property
    def batch(self) -> int:
        """The rows of all processes together."""
        return self.processes * self.rows


def on_ranks(ranks: int, rows: int) -> Setting:
    """One rank is a process that knows of no ranks."""
    return Setting(ALONE if ranks == 1 else RANKS, ranks, rows)


def series() -> dict[str, list[Setting]]:
    """On 1, 2 and 4 ranks: strong scaling, where the batch stays, and weak, where it grows."""
    numbers = (1, TWO, OVERSUBSCRIBED)
    found = {
        f"strong, batch {batch}": [on_ranks(n, batch // n) for n in numbers] for batch in BATCHES
    }
    found[f"weak, {WEAK} a rank"] = [on_ranks(n, WEAK) for n in numbers]
    return found


def settings() -> list[Setting]:
    """All that are measured, each once."""
    found = [Setting(who, 1, rows) for who in (ALONE, SYNCHRONISED) for rows in ROWS]
    found += [Setting(PAIR, TWO, batch // TWO) for batch in BATCHES]
    found += [setting for line in series().values() for setting in line]
    names = [name for name in LIBRARIES if name in installed()]
    found += [Setting(name, 1, batch) for name in names for batch in BATCHES]
    return list(dict.fromkeys(found))


# --- the workers ----------------------------------------------------------------------------------


class Trainer(Worker):
    """Ranks at work, or one process: trainer.py, each with one thread, all on the same cores."""

    def __init__(self, ranks: int) -> None:
        one_each = dict.fromkeys(THREADS, "1")
        command = [str(HERE / "trainer.py"), str(ranks)]
        self.started = time.perf_counter()
        self.process = spawn(command, max(TWO, ranks), **one_each)


class Task(NamedTuple):
    """A setting with those who work on it."""

    build: Callable[[], float]  # returns the seconds of a step
    steps: Callable[[int], dict[str, Any]]


def trainers_task(workers: Sequence[Trainer], setting: Setting) -> Task:
    """All workers at the same time."""
    name, synchronised = str(setting), setting.who != ALONE

    def ask(*order: Any) -> list[Any]:
        with ThreadPoolExecutor(len(workers)) as pool:
            return list(pool.map(lambda worker: worker.ask(*order), workers))

    def build() -> float:
        return max(ask("build", name, setting.rows, synchronised))

    def steps(count: int) -> dict[str, Any]:
        answers = ask("steps", name, count)
        times = [time for answer in answers for time in answer["times"]]
        return answers[0] | {"times": times}

    return Task(build, steps)


def library_task(worker: Worker, setting: Setting) -> Task:
    """See examples/benchmarks/torch_style.py: the same network and recipe."""
    work = EXAMPLE_CNN_128._replace(batch=setting.rows)

    def build() -> float:
        worker.ask("build", work)
        return worker.ask("warm_up")

    return Task(build, lambda count: {"times": worker.ask("steps", count)})


def tasks(stack: ExitStack, wanted: Sequence[Setting]) -> tuple[dict[Setting, Task], Trainer]:
    """Who works on what; and two ranks, which can be asked for exchanges as well."""
    sizes = (1, 1, TWO, OVERSUBSCRIBED)
    alone, other, two, four = [stack.enter_context(Trainer(ranks)) for ranks in sizes]
    trainers = {ALONE: [alone], SYNCHRONISED: [alone], PAIR: [alone, other]}
    found = {}
    for setting in wanted:
        if setting.who in LIBRARIES:
            worker = stack.enter_context(Worker(setting.who, TWO))
            found[setting] = library_task(worker, setting)
        else:
            ranks = [two if setting.processes == TWO else four]
            found[setting] = trainers_task(trainers.get(setting.who, ranks), setting)
    return found, two


# --- in turn --------------------------------------------------------------------------------------


class Exchange(NamedTuple):
    operation: str  # MPI's name
    size: int  # bytes of each rank


def exchanges() -> dict[Exchange, str]:
    """All that are measured, and what each is: "fitted", "left out" or a message of a step."""
    found = {Exchange("Iallreduce", size): "fitted" for size in FITTED}
    found |= {Exchange("Iallreduce", size): "left out" for size in LEFT_OUT}
    found[Exchange("Iallgather", 8)] = "rows"
    for channels in CHANNELS:
        found[Exchange("Iallgather", 8 * (1 + 2 * channels))] = "forward"
        found[Exchange("Iallreduce", 16 * channels)] = "backward"
    found[Exchange("Iallreduce", 4 * PARAMETERS)] = "gradients"
    return found


class Results(NamedTuple):
    """What was measured, a list over the rounds for each."""

    turns: dict[Setting, list[dict[str, Any]]]  # see Trainer.steps in trainer.py
    exchanges: dict[Exchange, list[float]]  # seconds, between two ranks
    rate: float  # matrix products of one core, floating-point operations a second
    library: str  # MPI's name and version

    def rounds(self, setting: Setting) -> list[float]:
        """Seconds of a step: each round's median."""
        return [statistics.median(turn["times"]) for turn in self.turns[setting]]

    def step(self, setting: Setting) -> float:
        """Seconds of a step: the median over the rounds."""
        return statistics.median(self.rounds(setting))

    def speed(self, setting: Setting) -> float:
        """Images a second."""
        return setting.batch / self.step(setting)

    def communication(self, setting: Setting, kind: str, which: str) -> float:
        """Seconds a step in exchanges of a kind; which: "inside" or "last", see trainer.py."""
        return statistics.median([turn[which][kind] for turn in self.turns[setting]])

    def ratios(self, setting: Setting, other: Setting) -> list[float]:
        """Round by round, one's step by the other's."""
        pairs = zip(self.rounds(setting), self.rounds(other), strict=True)
        return [a / b for a, b in pairs]

    def exchange(self, exchange: Exchange) -> float:
        """Seconds of it: the median over the rounds."""
        return statistics.median(self.exchanges[exchange])


def matrix_products() -> float:
    """NumPy's rate on one core, operations a second."""
    with spawn(["-c", SGEMM], 1) as process:
        return float(process.communicate()[0])


def measure(rounds: int, turn: float) -> Results:
    """All settings, each for at least `turn` seconds a round, every other round backwards."""
    wanted = settings()
    turns: dict[Setting, list[dict[str, Any]]] = {setting: [] for setting in wanted}
    spent: dict[Exchange, list[float]] = {exchange: [] for exchange in exchanges()}
    rate = matrix_products()
    with ExitStack() as stack:
        work, two = tasks(stack, wanted)
        library = two.ask("library")
        counts = {}
        for setting, task in tqdm(work.items(), "building", leave=False, disable=None):
            counts[setting] = math.ceil(turn / task.build())
        for i in tqdm(range(rounds), "rounds", leave=False, disable=None):
            for setting in wanted[:: -1 if i % 2 else 1]:
                time.sleep(ASLEEP)
                turns[setting].append(work[setting].steps(counts[setting]))
            for exchange, found in spent.items():
                found.append(two.ask("exchange", *exchange, REPETITIONS))
    return Results(turns, spent, rate, library)


def is_oversubscribed(processes: int) -> bool:
    return processes > len(available_cores())
