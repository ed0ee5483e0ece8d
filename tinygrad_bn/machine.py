"""[2] The machine: memory that is used again, and work divided between the cores.

A training step asks for the same large arrays again and again. Freed, they would go back to the
operating system, which has to find, clear and map every page anew: half of a step's time. So the C
library is told to keep them (on Linux, that is glibc; elsewhere its own rules hold).

NumPy's arithmetic runs on one core; only BLAS, the library behind its matrix products, uses more.
Here large operations are divided, a share for each thread, and BLAS is held to a single thread: two
ways of dividing the same cores get in each other's way. There are as many threads as BLAS had, so
the switch is BLAS's own: OPENBLAS_NUM_THREADS=1 (or OMP_NUM_THREADS=1) in the environment. Shares
do not depend on timing: the same number of threads gives the same bits.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .engine import Array

_WORTH = 3 << 20  # bytes: what takes less time than this is not worth handing over
_CACHE = 1 << 20  # bytes that stay in a core's own cache while they are worked on


_blas: Any = None  # NumPy's own; another one keeps its threads, and nothing is divided here
for _path in Path(np.__file__).parents[1].glob("numpy.libs/*openblas*"):
    if hasattr(_found := ctypes.CDLL(str(_path)), "scipy_openblas_set_num_threads64_"):
        _blas = _found
_COUNT = int(_blas.scipy_openblas_get_num_threads64_()) if _blas else 1


@cache
def threads() -> int:
    """Set the machine up, once; how many threads share the work."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: arrays up to this size come from the heap,
        libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: and what is free at its end is kept
    if _blas:
        _blas.scipy_openblas_set_num_threads64_(1)
    return _COUNT


@cache
def _helpers() -> Any:
    from concurrent.futures import ThreadPoolExecutor  # here, for importing it takes 5 ms

    return ThreadPoolExecutor(threads() - 1)  # the caller is one of the threads


if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def parallel(work: Callable[[slice], Any], count: int, cost: int) -> list[Any]:
    """`work(share)` for slices that cover range(count), one for each thread, at the same time.

    cost of an item: the bytes that could be copied meanwhile. No two shares write to one place.
    """
    n = min(count, threads())
    if n < 2 or count * cost < _WORTH:
        return [work(slice(0, count))]
    first, *rest = [slice(i * count // n, (i + 1) * count // n) for i in range(n)]
    others: list[Any] = []
    with suppress(RuntimeError):  # raised while the interpreter ends, which takes nothing more
        others.extend(_helpers().submit(copy_context().run, work, share) for share in rest)
    try:
        mine = [work(share) for share in (first, *rest[len(others) :])]
    finally:  # an error, too, leaves only when nobody is writing any more
        for other in others:
            other.exception()
    return [mine[0], *(other.result() for other in others), *mine[1:]]


def blocks(share: slice, nbytes: int, cache: int = _CACHE) -> Iterator[slice]:
    """The share in slices that stay in the cache, if an item is `nbytes` large."""
    step = max(1, cache // max(nbytes, 1))
    for start in range(share.start, share.stop, step):
        yield slice(start, min(start + step, share.stop))


def in_blocks(work: Callable[[slice], Any], count: int, nbytes: int) -> None:
    """`work` on each share by blocks: long calls, for short ones meet too often at the GIL."""
    parallel(lambda share: [work(b) for b in blocks(share, nbytes, 4 * _CACHE)], count, nbytes)


def matmul(a: Array, b: Array) -> Any:
    """`a @ b`; the product of two matrices lies in memory as `a` does."""
    if not a.ndim == b.ndim == 2:
        return np.matmul(a, b)
    if flip := a.strides[0] < a.strides[1]:
        a, b = b.T, a.T
    y = np.empty((len(a), b.shape[1]), a.dtype)
    parallel(lambda rows: np.matmul(a[rows], b, out=y[rows]), len(a), b.size // 3)
    return y.T if flip else y
