"""A library in a process of its own, which works when asked: this file is both ends of the pipe.

The parent makes a `Worker` and asks; the child (`python worker.py NAME`) answers. A line is a list
in JSON, [command, argument, …], and so is its answer. Libraries that are being compared never share
a process, and never work at the same time.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import PEERS
from workloads import Work, batch, weights

# Settings of the calling shell that would choose the kernels or the threads of a library for it.
REMOVED = (
    *("OPENBLAS_", "GOTO_", "BLIS_", "MKL_", "NVPL_", "NPY_"),  # NumPy and its BLAS
    *("OMP_", "GOMP_", "KMP_", "ATEN_", "DNNL_", "ONEDNN_", "XLA_", "JAX_"),  # the others
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUM_CPU_THREADS")
TINYGRADS = tempfile.TemporaryDirectory()  # new, so that it profits from no earlier compilation
DEVICES = {"DEV": "CPU", "JAX_PLATFORMS": "cpu", "CACHEDB": f"{TINYGRADS.name}/tinygrad.db"}
HERE = Path(__file__).parent


class WorkerError(Exception):
    """A library could not do the work; says why in one line."""


def available_cores() -> list[int]:
    """The cores that this program may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def spawn(arguments: list[str], threads: int, **variables: str) -> subprocess.Popen[str]:
    """Run Python on so many cores: the same ones for everybody, whatever a library makes of them.

    A library that has no setting for its threads, such as JAX, counts the cores it was given.
    """

    def pin() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, available_cores()[-threads:])

    kept = {name: value for name, value in os.environ.items() if not name.startswith(REMOVED)}
    env = kept | dict.fromkeys(THREADS, str(threads)) | DEVICES | variables
    command, pipe = [sys.executable, *arguments], subprocess.PIPE
    return subprocess.Popen(command, env=env, preexec_fn=pin, stdin=pipe, stdout=pipe, text=True)


class Worker:
    """The parent's view of a library at work; used in a `with` statement."""

    def __init__(self, name: str, threads: int, **variables: str) -> None:
        self.started = time.perf_counter()
        self.process = spawn([str(HERE / "worker.py"), name], threads, **variables)

    def ask(self, command: str, *arguments: Any) -> Any:
        try:
            print(json.dumps([command, *arguments]), file=self.process.stdin, flush=True)
            answer, error = json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):  # nobody there, or gone before answering
            raise WorkerError(f"its process ended with code {self.process.wait()}") from None
        if error:
            raise WorkerError(error)
        return answer

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.communicate()  # ends its input, and waits


class Child:
    """What a library can be asked: each method is a command."""

    def __init__(self, name: str) -> None:
        self.peer = PEERS[name]

    def build(self, layout: list[Any]) -> str:
        """The file from which the library was imported."""
        work = Work(*layout)
        self.call: Callable[[], Any] = self.peer.load().build(work, weights(work), *batch(work))
        return sys.modules[self.peer.package].__file__

    def steps(self, count: int, clock: str = "perf_counter") -> list[float]:
        """The seconds of each of `count` calls, after one that does not count if there are several.

        That one brings code and data back into the cache, from which the others have pushed them.
        """
        now = getattr(time, clock)
        if count > 1:
            self.call()
        times = []
        for _ in range(count):
            start = now()
            self.call()
            times.append(now() - start)
        return times

    def warm_up(self) -> float:
        """Call until all is compiled and allocated; the shortest time says what a call takes."""
        times: list[float] = []
        while len(times) < 4 or sum(times) < 0.2:
            times += self.steps(1)
        return min(times)

    def results(self, count: int) -> list[list[float]]:
        """What some calls return, the losses or the scores, as numbers."""
        import numpy as np  # not at the top: a library's own import is part of what is measured

        found = [self.call() for _ in range(count)]
        found = [value.detach().numpy() if hasattr(value, "numpy") else value for value in found]
        return [np.asarray(value).ravel().tolist() for value in found]

    def learn(self, seed: int, goals: list[float]) -> list[tuple[float, int]]:
        return self.peer.load().learn(seed, goals)

    def peak_memory(self) -> float:
        """Bytes. Only Linux tells that of this program without that of its parent."""
        status = Path("/proc/self/status")
        if not status.exists():
            return float("nan")
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])


def serve(name: str) -> None:
    """Answer every line with [answer, None], or with [None, what went wrong]."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library itself prints is no answer
    child = Child(name)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        answer, error = None, None
        try:
            answer = getattr(child, command)(*arguments)
        except Exception as failure:  # whatever it is, it is reported, and the others go on
            error = f"{type(failure).__name__}: {failure}".splitlines()[0]
        print(json.dumps([answer, error]), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
