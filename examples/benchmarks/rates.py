"""What the machine can do at most, as NumPy reaches it: matrix products and moving memory.

    python examples/benchmarks/rates.py

A training step is held against both: how much of either rate does it reach?
"""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

SIZE = 2048  # of the matrices
BYTES = 64 << 20  # of the arrays that are copied


class Rates(NamedTuple):
    sgemm: float  # floating-point operations per second
    memory: float  # bytes read and written per second
    blas: str  # the library behind NumPy, and its kernels


def best(action: Any, seconds: float = 1.0) -> float:
    """The shortest time of several."""
    action()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 5:
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def sgemm() -> float:
    import numpy as np

    a, b = np.random.default_rng(0).standard_normal((2, SIZE, SIZE), np.float32)
    c = np.empty_like(a)
    return 2 * SIZE**3 / best(lambda: np.matmul(a, b, out=c))


def copy_rate(threads: int) -> float:
    """Each thread copies its part of the array; a copy does not hold Python's lock."""
    import numpy as np

    source, target = np.ones(BYTES, np.uint8), np.empty(BYTES, np.uint8)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        seconds = best(lambda: list(pool.map(lambda part: np.copyto(*part), parts)))
    return 2 * BYTES / seconds


def blas() -> str:
    import numpy as np

    found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        kernels = ""
    else:
        kernels = "".join(f", {i['architecture']} kernels" for i in threadpool_info()[:1])
    return f"{found['name']} {found['version']}{kernels}"


def measure(threads: int) -> Rates:
    from process import HERE, spawn

    with spawn([str(HERE / "rates.py")], threads) as process:
        return Rates(*json.loads(process.communicate()[0]))


if __name__ == "__main__":
    print(json.dumps(Rates(sgemm(), copy_rate(int(os.environ.get("OMP_NUM_THREADS", 1))), blas())))
