"""The example CNN in training, alone or on several ranks, measured when asked.

    python trainer.py 2

becomes two ranks under mpiexec. The first reads orders from standard input, as
examples/benchmarks/worker.py does, and hands them on; all ranks carry them out, and the first
answers. Between orders nobody works: the first waits for its input, and the others look only now
and then whether there is an order, so that they leave the cores to whoever is being measured.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

from mnist_cnn import build
from torch_style import Library, network
from workloads import EXAMPLE_CNN_128, SGD, Work, batch

import tinygrad_bn
from tinygrad_bn import compile, manual_seed, nn, optim, tensor
from tinygrad_bn.extras import ranks
from tinygrad_bn.extras.distributed import (
    DistributedDataParallel,
    SyncBatchNorm,
    get_rank,
    get_world_size,
    is_launched,
    launch,
)

Array = np.ndarray
ORDER, DONE = 11, 12  # the tags of messages about orders
PAUSE = 0.02  # seconds between two looks at whether there is an order
WARM_UP = 3  # steps before the first that is measured

# What a step asks of the other ranks, by the dtype in which it travels
KIND = {"int64": "rows", "float64": "batch normalization", "float32": "gradients"}
KINDS = list(KIND.values())


# --- what is measured -----------------------------------------------------------------------------


class Exchanges:
    """Stands in the place of ranks.exchange, and notes how long each takes, of which kind it is."""

    def __init__(self) -> None:
        self.original = ranks.exchange
        self.noted: list[tuple[str, float]] = []

    def __call__(self, operation: str, array: Array) -> None:
        start = time.perf_counter()
        self.original(operation, array)
        self.noted.append((KIND[array.dtype.name], time.perf_counter() - start))


def training_step(rows: int, synchronised: bool) -> Callable[[], Any]:
    """A step of training on this rank's rows of a batch, always the same ones.

    synchronised: as the examples train on several ranks; else as they do in one process.
    """
    manual_seed(0)
    model = build()
    if synchronised:
        model = SyncBatchNorm.convert_sync_batchnorm(model)
    model = compile(model)
    if synchronised:
        model = DistributedDataParallel(model)
    optimizer = optim.SGD(model.parameters(), **SGD)
    cross_entropy = nn.functional.cross_entropy
    whole = EXAMPLE_CNN_128._replace(batch=rows * get_world_size())
    images, labels = [tensor(array[get_rank() :: get_world_size()]) for array in batch(whole)]

    def step() -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


class Together(Library):
    """tinygrad_bn on several ranks, by the recipe of the others in examples/benchmarks."""

    def __init__(self) -> None:
        super().__init__(tinygrad_bn, tensor)

    def model(self, work: Work, weights: dict[str, Any]) -> Any:
        model = network(nn, work)
        model.load_state_dict(weights)
        return DistributedDataParallel(compile(SyncBatchNorm.convert_sync_batchnorm(model)))

    def share(self, indices: Array) -> Array:
        return indices[get_rank() :: get_world_size()]

    def in_all(self, number: float) -> float:
        return float(ranks.summed(np.array(number)))


class Trainer:
    """What can be asked: each method is an order, and its answer is that of rank 0."""

    def __init__(self) -> None:
        self.trained: dict[str, Callable[[], Any]] = {}

    def library(self) -> str:
        """MPI's name and version."""
        return " ".join(ranks.mpi().Get_library_version().split()[:3])

    def build(self, name: str, rows: int, synchronised: bool) -> float:
        """Make ready to train, under a name. Returns the seconds of the quickest step of a few."""
        step = self.trained[name] = training_step(rows, synchronised)
        return min([seconds(step) for _ in range(WARM_UP)])

    def learn(self, seed: int, goals: list[float]) -> list[tuple[float, int]]:
        """See torch_style.Library.learn."""
        return Together().learn(seed, goals)

    def steps(self, name: str, count: int) -> dict[str, Any]:
        """So many steps, after one that does not count, and the exchanges in them, by kind.

        times: seconds of each step, of rank 0. Of each kind of exchange, in seconds a step:
        inside: how long a rank was in them, on average over the ranks. last: how long the rank was
        that came last to each, so that it had to wait for nobody.
        """
        step = self.trained[name]
        step()
        ranks.exchange = exchanges = Exchanges()
        try:
            times = [seconds(step) for _ in range(count)]
        finally:
            ranks.exchange = exchanges.original
        kinds = np.array([kind for kind, _ in exchanges.noted])
        every = ranks.gathered(np.array([spent for _, spent in exchanges.noted]))
        inside, last = every.mean(0), every.min(0)
        return {
            "times": times,
            "inside": {kind: inside[kinds == kind].sum() / count for kind in KINDS},
            "last": {kind: last[kinds == kind].sum() / count for kind in KINDS},
        }

    def exchange(self, operation: str, size: int, count: int) -> float:
        """Seconds of an exchange: the median of `count`, each the average over the ranks.

        size: the bytes that each rank brings, of float32. They begin together, as nearly as ranks
        can, after a message to all.
        """
        every = get_world_size() if operation == "Iallgather" else 1
        array = np.zeros((every, size // 4), np.float32)
        together, times = np.zeros(1), []
        for _ in range(count):
            ranks.exchange("Iallreduce", together)
            start = time.perf_counter()
            ranks.exchange(operation, array)
            times.append(time.perf_counter() - start)
        return float(np.median(ranks.gathered(np.array(times)).mean(0)))


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# --- who is asked ---------------------------------------------------------------------------------


def orders() -> Iterator[str]:
    """Each order, on all ranks: rank 0 reads it, and tells the others."""
    if not is_launched():
        yield from sys.stdin
        return
    comm = ranks.mpi().COMM_WORLD
    others = range(1, comm.size)
    if comm.rank == 0:
        for line in sys.stdin:
            for other in others:
                comm.send(line, other, ORDER)
            yield line
        for other in others:
            comm.send(None, other, ORDER)
        return
    while True:
        while not comm.Iprobe(0, ORDER):
            time.sleep(PAUSE)
        line = comm.recv(None, 0, ORDER)
        if line is None:
            return
        yield line


def all_done() -> None:
    """Rank 0 goes on when the others have nothing to do any more."""
    if not is_launched():
        return
    comm = ranks.mpi().COMM_WORLD
    if comm.rank > 0:
        comm.send(None, 0, DONE)
    else:
        for other in range(1, comm.size):
            comm.recv(None, other, DONE)


def serve() -> None:
    """Answer each order with [answer, null]. An error ends all ranks: see ranks.end_all."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anybody prints is no answer
    trainer = Trainer()
    for line in orders():
        command, *arguments = json.loads(line)
        answer = getattr(trainer, command)(*arguments)
        all_done()
        if get_rank() == 0:
            print(json.dumps([answer, None]), file=answers, flush=True)


if __name__ == "__main__":
    processes = int(sys.argv[1])
    if processes > 1 and not is_launched():
        launch(processes, sys.argv)
    serve()
