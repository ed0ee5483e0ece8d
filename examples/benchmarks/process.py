"""A library in a process of its own, which works when asked: this file is both ends of the pipe.

The parent makes a `Process` and asks; the child (`python process.py NAME`) answers. A line is a
list in JSON, [command, argument, …], and so is its answer. Libraries that are being compared never
share a process, and never work at the same time.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peers import PEERS, Call, numbers
from work import Work, batch, weights

# Settings of the calling shell that would choose the kernels or the threads of a library for it.
REMOVED = (
    *("OPENBLAS_", "GOTO_", "BLIS_", "MKL_", "NVPL_", "NPY_"),  # NumPy and its BLAS
    *("OMP_", "GOMP_", "KMP_", "ATEN_", "DNNL_", "ONEDNN_", "XLA_", "JAX_"),  # the others
)
HERE = Path(__file__).parent


class PeerError(Exception):
    """A library could not do the work; says why in one line."""


# --- the parent's end -----------------------------------------------------------------------------


def available_cores() -> list[int]:
    """The cores that this program may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@functools.cache
def kernels() -> tempfile.TemporaryDirectory[str]:
    """Where tinygrad keeps what it compiled: a new folder, so that no run profits from another."""
    return tempfile.TemporaryDirectory()


def environment(threads: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(REMOVED)}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUM_CPU_THREADS")
    devices = {"DEV": "CPU", "JAX_PLATFORMS": "cpu", "CACHEDB": f"{kernels().name}/tinygrad.db"}
    return kept | dict.fromkeys(names, str(threads)) | devices


def spawn(arguments: list[str], threads: int) -> subprocess.Popen[str]:
    """Run Python on so many cores: the same ones for everybody, whatever a library makes of them.

    A library that has no setting for its threads, such as JAX, counts the cores it was given.
    """

    def pin() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, available_cores()[-threads:])

    pipe = subprocess.PIPE
    command = [sys.executable, *arguments]
    return subprocess.Popen(
        command, env=environment(threads), preexec_fn=pin, stdin=pipe, stdout=pipe, text=True
    )


class Process:
    """The parent's view of a library at work; used in a `with` statement."""

    def __init__(self, name: str, threads: int) -> None:
        self.started = time.perf_counter()
        self.process = spawn([str(HERE / "process.py"), name], threads)

    def ask(self, command: str, *arguments: Any) -> Any:
        try:
            print(json.dumps([command, *arguments]), file=self.process.stdin, flush=True)
            answer, error = json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):  # nobody there, or gone before answering
            raise PeerError(f"its process ended with code {self.process.wait()}") from None
        if error:
            raise PeerError(error)
        return answer

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.communicate()  # ends its input, and waits


# --- the child's end ------------------------------------------------------------------------------


def timed(call: Call, count: int) -> list[float]:
    """The seconds of each of `count` calls, after one that does not count if there are several.

    That one brings code and data back into the cache, from which the others have pushed them.
    """
    if count > 1:
        call()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def warmed_up(call: Call) -> float:
    """Call until all is compiled and allocated; the shortest time says about how long one takes."""
    times: list[float] = []
    while len(times) < 4 or sum(times) < 0.2:
        times += timed(call, 1)
    return min(times)


def peak_memory() -> int:
    """Bytes. Where Linux tells, that of this program alone: `ru_maxrss` knows its parent's too."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def serve(name: str) -> None:
    """Answer every line with [answer, None], or with [None, what went wrong]."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library itself prints is no answer
    call: Call
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        answer, error = None, None
        try:
            if command == "build":
                work = Work(*arguments[0])
                call = PEERS[name].build(work, weights(work), *batch(work))
            elif command == "warm up":
                answer = warmed_up(call)
            elif command == "steps":
                answer = timed(call, arguments[0])
            elif command == "results":
                answer = [numbers(call()).ravel().tolist() for _ in range(arguments[0])]
            elif command == "memory":
                answer = peak_memory()
        except Exception as failure:  # whatever it is, it is reported, and the others go on
            error = f"{type(failure).__name__}: {failure}".splitlines()[0]
        print(json.dumps([answer, error]), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
