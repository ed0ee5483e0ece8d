"""Processes that work together, and what they ask of each other, by MPI.

    mpiexec -n 4 python train.py

starts four processes, called ranks, that run the same script. MPI carries numbers between them, on
one machine or on many. What one rank asks of the others, all must ask in the same order: alone it
would wait for ever. So an error in one rank is the end of all, and so is a rank that leaves while
another still waits for it.

mpi4py is Python's way to MPI; it is imported when a rank first asks for the others.
"""

import atexit
import functools
import os
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from ..kernels.layout import Array
from .notes import Notes, active

SOON = 0.0005  # seconds in which an answer is waited for without pause
LEFT = 1  # the tag of the message with which a rank says that it leaves
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # what tells BLAS how many

# --- who they are ---------------------------------------------------------------------------------


def is_launched() -> bool:
    """Whether an mpiexec has started this process, which its environment says. Else it is alone.

    >>> is_launched()
    False
    """
    return any(name in os.environ for name in ("PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE"))


@functools.cache
def mpi() -> Any:
    """The module mpi4py.MPI. ImportError, if it is missing, or MPI itself."""
    os.environ.setdefault("MPIR_CVAR_SUPPRESS_ABORT_MESSAGE", "1")  # it is said here what happened
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # the latter: mpi4py is there, but no MPI
        raise ImportError(
            f"more than one process needs mpi4py and MPI: pip install 'tinygrad_bn[mpi]' ({error})"
        ) from None
    sys.excepthook = end_all
    atexit.register(leave)
    return MPI


def get_rank() -> int:
    """The number of this process among all, from 0.

    >>> get_rank()
    0
    """
    return int(mpi().COMM_WORLD.rank) if is_launched() else 0


def get_world_size() -> int:
    """How many processes there are: 1 without mpiexec.

    >>> get_world_size()
    1
    """
    return int(mpi().COMM_WORLD.size) if is_launched() else 1


def launch(processes: int, command: Sequence[str]) -> NoReturn:
    """Become `mpiexec -n processes python command`, each with its share of BLAS's threads."""
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise FileNotFoundError("there is no mpiexec: pip install 'tinygrad_bn[mpi]'")
    share = max(1, cores() // processes)
    for name in THREADS:  # now, because BLAS reads them when NumPy is loaded
        os.environ.setdefault(name, str(share))
    sys.stdout.flush()
    os.execv(mpiexec, [mpiexec, "-n", str(processes), sys.executable, *command])


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def is_crowded() -> bool:
    """Whether the ranks of this machine take more threads than it has processors.

    Then one of them says so.
    """
    neighbours = mpi().COMM_WORLD.Split_type(mpi().COMM_TYPE_SHARED)
    told = [os.environ[name] for name in THREADS if os.environ.get(name, "").isdigit()]
    threads = neighbours.allreduce(int(told[0]) if told else cores())
    if threads <= cores():
        return False
    if neighbours.rank == 0:
        advice = f"start no more than {cores()} ranks"
        if neighbours.size <= cores():
            advice = f"set {THREADS[0]}={cores() // neighbours.size}"
        print(
            f"{neighbours.size} ranks take {threads} threads, and there are {cores()} processors, "
            f"so they wait for each other: {advice}",
            file=sys.stderr,
        )
    return True


# --- the end --------------------------------------------------------------------------------------


def end_all(
    kind: type[BaseException],
    error: BaseException,
    where: TracebackType | None,
) -> None:
    """In the place of sys.excepthook: print the error of this rank, and end all of them.

    Where several have one, as after Ctrl-C, the lowest speaks for all: the others wait a little.
    """
    time.sleep(min(get_rank(), 5))
    interrupted = issubclass(kind, KeyboardInterrupt)
    text = "interrupted: all ranks end\n"
    if not interrupted:
        trace = "".join(traceback.format_exception(kind, error, where))
        text = f"rank {get_rank()} of {get_world_size()} ends all:\n{trace}"
    sys.stdout.flush()
    print(text, end="", file=sys.stderr, flush=True)
    time.sleep(0.5)  # until mpiexec has passed on what this rank and the others have said
    mpi().COMM_WORLD.Abort(130 if interrupted else 1)


def leave() -> None:
    """At exit: say goodbye to the other ranks, and wait until they have said it too."""
    ranks = mpi().COMM_WORLD
    others = [rank for rank in range(ranks.size) if rank != ranks.rank]
    messages = [ranks.isend(taken, rank, LEFT) for rank in others]
    while len(left) < len(others):
        hear_goodbye()
    for message in messages:
        message.wait()


def hear_goodbye() -> None:
    """Note which rank has ended, and in how many exchanges it took part."""
    status = mpi().Status()
    count = mpi().COMM_WORLD.recv(tag=LEFT, status=status)
    left[status.Get_source()] = count


# --- what they ask of each other ------------------------------------------------------------------

taken = 0  # the exchanges in which this rank takes part, or has done so
left: dict[int, int] = {}  # the ranks that have ended, each with its number of exchanges


def exchange(operation: str, array: Array) -> None:
    """One of MPI's collective operations, in place, begun and waited for. All ranks must call it.

    It asks again and again whether all is done, so that Ctrl-C is heard; and so is a rank that has
    ended without it, which is a RuntimeError.
    """
    global taken
    notes = active.get()
    if isinstance(notes, Notes):
        notes.refuse("the step asks other processes for numbers, which replaying it would not")
    if not is_launched():
        return
    taken += 1
    patience = 0.0 if is_crowded() else time.monotonic() + SOON
    ranks, here = mpi().COMM_WORLD, mpi().IN_PLACE
    start = getattr(ranks, operation)
    request = start(array) if operation == "Ibcast" else start(here, array)
    while not request.Test():
        if ranks.Iprobe(tag=LEFT):
            hear_goodbye()
        missing = [rank for rank, count in left.items() if count < taken]
        if missing:
            raise RuntimeError(
                f"rank {get_rank()} waits for rank {missing[0]}, which has ended: all must take "
                "the same steps"
            )
        if time.monotonic() < patience:
            os.sched_yield()  # it takes a tenth of the time of the other
        else:
            time.sleep(0)  # so that another process may work


def summed(array: Array) -> Array:
    """Σ over the ranks of their arrays, which have one shape and dtype."""
    total = np.array(array, order="C")
    exchange("Iallreduce", total)
    return total


def gathered(array: Array) -> Array:
    """The arrays of all ranks, which have one shape and dtype: (ranks, …)."""
    every = np.empty((get_world_size(), *array.shape), array.dtype)
    every[get_rank()] = array
    exchange("Iallgather", every)
    return every


def broadcast(array: Array) -> Array:
    """The array of rank 0; those of the others must be of its shape and dtype."""
    same = np.array(array, order="C")
    exchange("Ibcast", same)
    return same
