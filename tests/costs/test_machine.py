"""Who uses which cores, and that the bits do not depend on it.

BLAS's threads and the helpers belong to a whole process, so most tests run a program in a new one.
They compare counts and bits, never times.
"""

import contextvars
import functools
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from programs import TRAINING, answer, start

import tinygrad_bn as tg
from tinygrad_bn import machine

ON_LINUX = sys.platform == "linux"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
OPENBLAS = list(Path(np.__file__).parents[1].glob("numpy.libs/*openblas*"))

on_linux = pytest.mark.skipif(not ON_LINUX, reason="reads /proc")
needs_openblas = pytest.mark.skipif(not OPENBLAS, reason="NumPy has another BLAS")
needs_two_cores = pytest.mark.skipif(CORES < 2, reason="BLAS takes no more threads than cores")

# Parts of the programs. They begin with BLAS, which does not import the package.
BLAS = """
import ctypes, json, os, sys, threading, time
import numpy as np

def blas_threads():
    return blas.scipy_openblas_get_num_threads64_()

def tasks():
    "How many threads the operating system knows of, Python's and others."
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else None

for path in {paths}:
    blas = ctypes.CDLL(path)
""".replace("{paths}", repr([str(path) for path in OPENBLAS]))
CONVOLUTION = """
import tinygrad_bn as tg
from tinygrad_bn import machine
from tinygrad_bn.nn import functional as F

x, w = tg.randn(64, 8, 28, 28), tg.randn(16, 8, 3, 3, requires_grad=True)

def large_convolution():
    w.grad = None
    F.max_pool2d(F.conv2d(x, w, padding=1), 2).sum().backward()
    return w.grad.data
"""


# --- threads --------------------------------------------------------------------------------------


@needs_openblas
def test_importing_the_package_changes_nothing_about_threads():
    program = """
before = blas_threads(), threading.active_count(), tasks()
import tinygrad_bn
print(json.dumps([before, [blas_threads(), threading.active_count(), tasks()]]))
"""
    before, after = answer(start(BLAS + program, threads=2))
    assert after == before
    assert before[:2] == [min(2, CORES), 1]


@needs_openblas
def test_with_one_thread_nothing_ever_runs_beside_it():
    program = """
large_convolution()
print(json.dumps([machine.threads(), blas_threads(), threading.active_count(), tasks()]))
"""
    found = answer(start(BLAS + CONVOLUTION + program, threads=1))
    assert found == [1, 1, 1, 1 if ON_LINUX else None]


@needs_openblas
@needs_two_cores
def test_a_large_operation_starts_the_helpers_and_leaves_blas_one_thread():
    program = """
small = tg.randn(4, 4) + 1
before = threading.active_count()
large_convolution()
print(json.dumps([before, machine.threads(), blas_threads(), threading.active_count()]))
"""
    found = answer(start(BLAS + CONVOLUTION + program, threads=2))
    assert found == [1, 2, 1, 2]  # the second is the one helper


@on_linux
@needs_openblas
@needs_two_cores
def test_with_two_threads_two_work_and_never_a_third():
    """Were BLAS to divide the shares once more, its own threads would take time, too."""
    program = """
def seconds():
    "The time on a core of each of the process's threads."
    found = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/stat") as file:
            ticks = file.read().rpartition(")")[2].split()[11:13]
        found[task] = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return found

large_convolution()
before = seconds()
while sum(seconds().values()) < sum(before.values()) + 0.8:
    large_convolution()
print(json.dumps([taken - before.get(task, 0) for task, taken in seconds().items()]))
"""
    first, second, *others = sorted(answer(start(BLAS + CONVOLUTION + program, 2)), reverse=True)
    assert second > 0.2 * first  # not half: some of the work is not divided
    assert sum(others) < 0.05


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """All numbers of a network after five steps at batch 128, of two runs for 1 and 2 threads."""
    folder, running = tmp_path_factory.mktemp("trained"), {}
    for threads in (1, 2):
        for run in "ab":
            file = str(folder / f"{threads}{run}.npz")
            program = f"""
train(128, 5)
np.savez({file!r}, **{{name: t.numpy() for name, t in model.state_dict().items()}})
print(threading.active_count())
"""
            running[threads, run] = file, start(TRAINING + program, threads)
    found = {}
    for key, (file, process) in running.items():
        with_helper = answer(process) == 2
        with np.load(file) as arrays:
            found[key] = with_helper, dict(arrays)
    return found


@needs_openblas
@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=needs_two_cores)])
def test_as_many_threads_give_the_same_bits(trained, threads):
    (helped, first), (_, second) = trained[threads, "a"], trained[threads, "b"]
    assert helped == (threads == 2)
    assert len(first) == 15
    for name, array in first.items():
        assert array.tobytes() == second[name].tobytes(), name


@needs_openblas
@needs_two_cores
def test_one_and_two_threads_agree(trained):
    (_, one), (_, two) = trained[1, "a"], trained[2, "a"]
    for name, array in one.items():
        np.testing.assert_allclose(array, two[name], rtol=1e-5, atol=1e-5, err_msg=name)
    assert any(array.tobytes() != two[name].tobytes() for name, array in one.items())


@pytest.fixture
def two_threads(monkeypatch):
    """One helper, whatever the machine; it is gone afterwards."""
    (two := functools.cache(lambda: 2))()
    monkeypatch.setattr(machine, "threads", two)
    machine._helpers.cache_clear()
    yield
    machine._helpers().shutdown()
    machine._helpers.cache_clear()


WORTH_DIVIDING = 1 << 30  # a cost that is


def test_two_shares_cover_all_and_are_worked_on_at_the_same_time(two_threads):
    both = threading.Barrier(2)

    def work(share):
        both.wait(timeout=10)
        return share, threading.get_ident()

    (first, caller), (second, helper) = machine.parallel(work, 5, WORTH_DIVIDING)
    assert [*range(5)[first], *range(5)[second]] == [0, 1, 2, 3, 4]
    assert caller == threading.get_ident() != helper


def test_what_is_small_is_not_divided(two_threads):
    assert machine.parallel(lambda share: share, 5, cost=1000) == [slice(0, 5)]


@pytest.mark.parametrize("failing", [0, 1], ids=["the caller's share", "the helper's share"])
def test_an_exception_reaches_the_caller(two_threads, failing):
    def work(share):
        if (share.start > 0) == failing:
            raise LookupError(f"no item {share.start}")

    with pytest.raises(LookupError, match=f"no item {failing}"):
        machine.parallel(work, 2, WORTH_DIVIDING)
    assert machine.parallel(lambda share: share.start, 2, WORTH_DIVIDING) == [0, 1]


def test_an_error_leaves_only_when_nobody_is_writing_any_more(two_threads):
    y = np.zeros(2)

    def work(share):
        if share.start == 0:
            raise LookupError("no item 0")
        time.sleep(0.1)  # much longer than the error takes
        y[share] = 1

    with pytest.raises(LookupError, match="no item 0"):
        machine.parallel(work, 2, WORTH_DIVIDING)
    assert y.tolist() == [0, 1]


def test_an_error_of_one_helper_waits_for_the_other_helpers(monkeypatch):
    (three := functools.cache(lambda: 3))()
    monkeypatch.setattr(machine, "threads", three)
    machine._helpers.cache_clear()
    finished = []

    def work(share):
        if share.start == 1:
            raise LookupError("no item 1")
        time.sleep(0.1 * share.start)
        finished.append(share.start)

    try:
        with pytest.raises(LookupError, match="no item 1"):
            machine.parallel(work, 3, WORTH_DIVIDING)
        assert finished == [0, 2]
    finally:
        machine._helpers().shutdown()
        machine._helpers.cache_clear()


def test_helpers_that_take_nothing_more_are_done_without(two_threads):
    """A thread may be at work while the interpreter begins to end: the main one is alive still."""
    machine._helpers().shutdown()
    found = machine.parallel(lambda share: share.start, 2, WORTH_DIVIDING)
    assert found == [0, 1]


def test_helpers_see_the_switches_of_the_caller(two_threads):
    """NumPy's error handling and recording are kept per context, of which a thread has its own."""
    mark = contextvars.ContextVar("mark", default="none")

    def work(share):
        return np.geterr()["over"], tg.is_grad_enabled(), mark.get()

    usual = (np.geterr()["over"], True, "none")
    assert machine.parallel(work, 2, WORTH_DIVIDING) == [usual] * 2
    token = mark.set("mine")
    with np.errstate(over="raise"), tg.no_grad():
        assert machine.parallel(work, 2, WORTH_DIVIDING) == [("raise", False, "mine")] * 2
        large = np.full(2, 1e300)
        with pytest.raises(FloatingPointError, match="overflow"):  # in the helper's share alone
            machine.parallel(lambda share: large[share] * [1, 1e300][share.start], 2, 1 << 30)
    mark.reset(token)
    assert machine.parallel(work, 2, WORTH_DIVIDING) == [usual] * 2


@on_linux
@needs_openblas
@needs_two_cores
def test_a_forked_process_starts_helpers_of_its_own():
    """It has none of its parent's threads: work handed to those would wait for ever."""
    program = """
expected = large_convolution().tobytes()
assert threading.active_count() == 2
pid = os.fork()
if pid == 0:
    same = large_convolution().tobytes() == expected
    os._exit(0 if same and threading.active_count() == 2 else 1)
for _ in range(2000):  # 20 seconds
    time.sleep(0.01)
    if (ended := os.waitpid(pid, os.WNOHANG)) != (0, 0):
        break
else:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
print(json.dumps([ended == (pid, 0), large_convolution().tobytes() == expected]))
"""
    assert answer(start(BLAS + CONVOLUTION + program, threads=2)) == [True, True]


AT_THE_END = {
    "a thread that outlives the main one": """
def outlive():
    while threading.main_thread().is_alive():
        time.sleep(0.01)
    at_the_end()

threading.Thread(target=outlive).start()
""",
    "a function called at exit": """
import atexit
atexit.register(at_the_end)
""",
}


@needs_openblas
@needs_two_cores
@pytest.mark.parametrize("who", AT_THE_END)
@pytest.mark.parametrize("helpers", [0, 1])
def test_when_the_main_thread_has_ended_the_caller_does_every_share(who, helpers):
    """No thread can be started then, and those that there were have ended, too."""
    program = f"""
expected = large_convolution().tobytes()
if not {helpers}:
    machine._helpers().shutdown()
    machine._helpers.cache_clear()
assert threading.active_count() == 1 + {helpers}

def at_the_end():
    print(json.dumps([large_convolution().tobytes() == expected for _ in range(2)]))
"""
    found = answer(start(BLAS + CONVOLUTION + program + AT_THE_END[who], threads=2))
    assert found == [True, True]
