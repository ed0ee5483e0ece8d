"""Would the tests notice? Plants faults in the package, one by one, and runs the tests.

    python tests/faults/run.py                        all faults
    python tests/faults/run.py --jobs 2               two at a time
    python tests/faults/run.py --only conv/no-bias    one fault; `conv` means the whole list; may be
                                                      given several times
    python tests/faults/run.py --sample 15 --seed 7   fifteen of them
    python tests/faults/run.py --first                only by the quick tests of the chapter: what
                                                      survives may be noticed by others
    python tests/faults/run.py --trust                the tests still pass without a fault: they are
                                                      not tried again, though a file has changed
    python tests/faults/run.py --list                 what there is; runs nothing
    python tests/faults/run.py --check                do they all fit the package? runs nothing

Beside this file stands a list for each file of the package: engine.py for engine.py,
kernels_convolution.py for kernels/convolution.py. A list is a dict by function, and each fault is
"name": (right, wrong) or (right, wrong, nth); support/planting.py says what they mean.

Every fault changes a result: a number, a shape, a dtype, an error, or whose memory it is. None is
a mere change of speed. One that no test notices is a test that is missing: the exit status is then
1. It is 2 if a list itself is wrong, or if the tests fail without a fault. tests/costs/ stays out:
that a step makes one array more does not tell that a result is wrong.

The tests are collected once. For each fault this process forks; the child gives the function its
faulty code, and runs the tests until one fails: first those of the function's chapter, the quick
ones before the slow ones. The few faults that are in no function's code (a constant, a default)
are written into a copy of the package instead.
"""

import argparse
import gc
import hashlib
import json
import os
import random
import re
import runpy
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
if __name__ == "__main__":  # not this folder: its lists have the names of many a module
    sys.path[0] = str(HERE.parent / "support")

from planting import Fault, live_codes, planted  # noqa: E402

IGNORED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
PYTEST = ["-x", "-q", "-s", "-rfE", "--tb=no", "-p", "no:cacheprovider"]
KNOWN = ROOT / ".pytest_cache" / "faults.json"  # how long each test takes without a fault
# Their tests start other processes, which import the package from its files: faults are written there.
IN_OTHER_PROCESSES = {f"extras/{name}.py" for name in ("ranks", "sync_batchnorm", "distributed")}
ALL_TESTS = ["tests/chapters", "tests/properties", "tests/oracle"]
FAILED = re.compile(r"(?:FAILED|ERROR) (?:tests/)?([^\[\s]+(?:\[.*?\](?= - |$))?)")

# Which tests run first, by a part of the list's name; the others follow only if these pass.
FIRST = {
    "kernels": ["properties/test_kernels.py"],
    "convolution": ["chapters/test_10_conv.py", "properties/test_reductions.py"],
    "window": [
        *(f"chapters/test_{name}.py" for name in ("10_conv", "02_arguments", "06_layers")),
    ],
    "pooling": ["chapters/test_10_conv.py"],
    "normalization": ["chapters/test_11_batchnorm.py", "properties/test_bn_properties.py"],
    "batchnorm": [
        *("chapters/test_11_batchnorm.py", "properties/test_bn_properties.py"),
        *("chapters/test_05_protocol.py", "chapters/test_02_checks.py"),
    ],
    "state": ["chapters/test_03_copies.py"],
    "ranks": ["chapters/test_extras_distributed.py"],
    "sync": ["chapters/test_extras_distributed.py"],
    "idx": ["chapters/test_09_data.py", "chapters/test_09_loading.py"],
    "reductions": ["properties/test_reductions.py"],
    "elementwise": ["chapters/test_03_tensor.py", "chapters/test_06_layers.py"],
    "products": ["chapters/test_03_tensor.py", "chapters/test_06_layers.py"],
    "engine": ["chapters/test_01_node.py", "chapters/test_01_versions.py"],
    "checks": [f"chapters/{path.name}" for path in (ROOT / "tests" / "chapters").glob("*.py")],
    "tensor": [
        *(f"chapters/test_03_{name}.py" for name in ("in_place", "printing", "copies")),
        *(f"chapters/{name}.py" for name in ("test_01_versions", "test_01_node")),
        "chapters/test_02_arguments.py",
        *(f"properties/test_{name}.py" for name in ("refusals", "reductions")),
    ],
    "module": ["chapters/test_05_hooks.py", "chapters/test_05_protocol.py"],
    "layers": ["chapters/test_02_checks.py"],
    "losses": ["chapters/test_06_layers.py"],
    "conv": ["chapters/test_06_layers.py", "chapters/test_02_checks.py"],
    "optim": [
        *(f"chapters/test_08_{name}.py" for name in ("optim", "optimizer", "state")),
    ],
    "data": ["chapters/test_09_loading.py"],
    "notes": ["chapters/test_extras_replay.py"],
}


# --- the lists --------------------------------------------------------------------------------


def package_files(root: Path = ROOT) -> dict[str, str]:
    """The files of the package by the name of their list."""
    package = root / "tinygrad_bn"
    paths = [path.relative_to(package) for path in sorted(package.rglob("*.py"))]
    return {"_".join(path.with_suffix("").parts): str(path) for path in paths}


def read_lists(folder: Path = HERE) -> list[Fault]:
    """Every fault of every list; its name is that of the list, "/", and its own."""
    faults, files = [], package_files()
    for path in sorted(folder.glob("*.py")):
        if path.name == Path(__file__).name or path.name.startswith("test_"):
            continue
        file = files.get(path.stem, f"{path.stem}.py, which is not in the package")
        for function, entries in runpy.run_path(str(path))["FAULTS"].items():
            faults += [
                Fault(f"{path.stem}/{name}", file, function, *entry)
                for name, entry in entries.items()
            ]
    return faults


def mistakes_in(faults: list[Fault], root: Path = ROOT) -> list[str]:
    """What is wrong with the faults: one line for each that cannot be planted or told apart."""
    found = []
    for fault in faults:
        path = root / "tinygrad_bn" / fault.file
        try:
            planted(fault, path.read_text(encoding="utf-8") if path.exists() else "")
        except ValueError as error:
            found.append(str(error))
    names = Counter(fault.name for fault in faults)
    return found + [f"{name}: {count} times" for name, count in names.items() if count > 1]


def is_meant(fault: Fault, only: list[str]) -> bool:
    return not only or fault.name in only or fault.name.partition("/")[0] in only


def first_tests(fault: Fault, root: Path) -> list[str]:
    """The test files that most probably notice it, as pytest takes them."""
    tests, names = root / "tests", []
    list_name = fault.name.partition("/")[0]
    for part in (list_name, *list_name.split("_")):
        names += FIRST.get(part, [])
        names += [f"chapters/{p.name}" for p in (tests / "chapters").glob(f"test_*_{part}.py")]
    return [f"tests/{name}" for name in dict.fromkeys(names) if (tests / name).exists()]


# --- the runs ---------------------------------------------------------------------------------


class TooLongError(Exception):
    """A test takes longer than it may."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TooLongError

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Runner:
    """A plugin for pytest: instead of the loop over the tests, one over the faults."""

    def __init__(self, faults: list[Fault], jobs: int, only_first: bool, trust: bool) -> None:
        self.trust = trust
        self.faults, self.jobs, self.only_first = faults, jobs, only_first
        self.failed: list[str] = []  # in a child: the tests that failed
        self.survivors: list[Fault] = []
        self.durations: dict[str, float] = {}
        self.limit = 3600.0

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_runtestloop(self, session) -> bool:
        where = Path(sys.modules["tinygrad_bn"].__file__).parent
        if where != ROOT / "tinygrad_bn":
            raise RuntimeError(f"the tests import the package from {where}")
        if session.testsfailed:
            raise session.Failed("not all tests can be collected")
        self.durations = self.durations_of(session.items)
        self.limit = 60 + 5 * self.jobs * sum(self.durations.values())
        gc.freeze()  # what is here already stays shared with the children
        self.try_all(session.items)
        return True

    def durations_of(self, items: list) -> dict[str, float]:
        """How long each test takes without a fault, from the last run if nothing has changed."""
        key = digest()
        if KNOWN.exists():
            known = json.loads(KNOWN.read_text())
            if known["key"] == key or self.trust:
                return known["durations"]
        start = time.perf_counter()
        durations, found = self.in_child(lambda: self.measured(items))
        if found:
            print(f"without any fault, the tests fail: {found}", file=OUT)
            sys.exit(2)
        taken = time.perf_counter() - start
        print(f"without a fault all pass, in {taken:.0f} s", file=OUT, flush=True)
        KNOWN.parent.mkdir(exist_ok=True)
        KNOWN.write_text(json.dumps({"key": key, "durations": durations}))
        return durations

    # --- in a child ---

    def measured(self, items: list) -> tuple[dict[str, float], str | None]:
        """How long each test takes, and which one fails."""
        durations = {}
        for i, item in enumerate(items):
            start = time.perf_counter()
            self.run_one(item, items[i + 1] if i + 1 < len(items) else None)
            durations[item.nodeid] = time.perf_counter() - start
            if self.failed:
                return durations, self.failed[0]
        return durations, None

    def usual(self, item) -> float:
        return self.durations.get(item.nodeid, 0.1)

    def run_one(self, item, following) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def noticed(self, codes: list, items: list) -> str | None:
        """The first test that fails when the functions have these codes; None if all pass."""
        for function, code in codes:
            function.__code__ = code
        for item in items:
            allowed = 20 + 20 * self.usual(item)
            try:
                with at_most(allowed):
                    self.run_one(item, None)
            except TooLongError:
                return f"{short(item.nodeid)}: more than {allowed:.0f} s"
            if self.failed:
                return short(self.failed[0])
        return None

    # --- in this process ---

    def in_child(self, work: Callable[[], object]) -> object:
        return self.result_of(*self.started(work))

    def started(self, work: Callable[[], object]) -> tuple[int, int]:
        """Fork; the child does the work and writes its result, as JSON, into a pipe."""
        reading, writing = os.pipe()
        child = os.fork()
        if child:
            os.close(writing)
            return child, reading
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        try:
            os.write(writing, json.dumps(work()).encode())
        finally:
            os._exit(0)

    def result_of(self, child: int, reading: int) -> object:
        with os.fdopen(reading, "rb") as pipe:
            text = pipe.read()
        _, status = os.waitpid(child, 0)
        if text:
            return json.loads(text)
        return f"a crash by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "an end"

    def try_all(self, items: list) -> None:
        running: dict[int, tuple[Fault, int]] = {}  # by the pipe
        waiting = list(reversed(self.faults))
        while waiting or running:
            while waiting and len(running) < self.jobs:
                fault = waiting.pop()
                source = (ROOT / "tinygrad_bn" / fault.file).read_text(encoding="utf-8")
                name = ".".join(["tinygrad_bn", *Path(fault.file).with_suffix("").parts])
                codes = live_codes(fault, source, sys.modules[name])
                if not codes or fault.file in IN_OTHER_PROCESSES:
                    self.report(fault, caught_in_a_copy(fault, self.limit, self.only_first))
                    continue
                chosen = self.in_order(fault, items)
                child, pipe = self.started(lambda c=codes, t=chosen: self.noticed(c, t))
                running[pipe] = fault, child
            for pipe in select.select(list(running), [], [])[0]:
                fault, child = running.pop(pipe)
                self.report(fault, self.result_of(child, pipe))

    def in_order(self, fault: Fault, items: list) -> list:
        """The tests in the order in which they are tried: the quick ones before the slow ones, and
        one that is not about the file of the fault only where it is ten times quicker."""
        first = first_tests(fault, ROOT)

        def is_first(item) -> bool:
            return item.nodeid.partition("::")[0] in first

        if self.only_first:
            items = [item for item in items if is_first(item) and self.usual(item) < 1]
        return sorted(items, key=lambda item: self.usual(item) * (1 if is_first(item) else 10))

    def report(self, fault: Fault, found: str | None) -> None:
        print(
            f"{time.perf_counter() - START:7.1f} {fault.name:44} {found or 'SURVIVES'}",
            file=OUT,
            flush=True,
        )
        if found is None:
            self.survivors.append(fault)


def digest() -> str:
    """Of all that the tests without a fault depend on."""
    found = hashlib.sha256()
    for folder in ("tests", "tinygrad_bn"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.parent != HERE:
                found.update(path.read_bytes())
    return found.hexdigest()


def short(nodeid: str) -> str:
    return nodeid.removeprefix("tests/")


def caught_in_a_copy(fault: Fault, limit: float, only_first: bool) -> str | None:
    """The first test that fails in a copy of everything, with the fault written into its file."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "tree"
        shutil.copytree(ROOT, root, ignore=IGNORED)
        file = root / "tinygrad_bn" / fault.file
        file.write_text(planted(fault, file.read_text(encoding="utf-8")), encoding="utf-8")
        first = first_tests(fault, root)
        rest = [*ALL_TESTS, *[f"--ignore={name}" for name in first]]
        for arguments in [first] if only_first else [first, rest]:
            command = [sys.executable, "-m", "pytest", *PYTEST, *arguments]
            environment = os.environ | {"PYTHONPATH": str(root)}
            try:
                run = subprocess.run(
                    command,
                    cwd=root,
                    env=environment,
                    capture_output=True,
                    timeout=limit,
                    text=True,
                )
            except subprocess.TimeoutExpired:
                return f"the time limit of {limit:.0f} s"
            if run.returncode:
                failed = filter(None, map(FAILED.match, run.stdout.splitlines()))
                return next((match[1] for match in failed), f"pytest's status {run.returncode}")
    return None


def run_all(faults: list[Fault], jobs: int, only_first: bool, trust: bool) -> list[Fault]:
    """Plant each fault and report on it; returns those that survive."""
    import pytest

    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    runner = Runner(faults, jobs, only_first, trust)
    with suppress(ImportError):
        import torch

        torch.set_num_threads(1)  # a fork of many threads can wait for one that is not there
    status = pytest.main([*PYTEST, *ALL_TESTS], plugins=[runner])
    if status:
        sys.exit(2)
    return runner.survivors


OUT = sys.stdout
START = time.perf_counter()


def described(fault: Fault) -> str:
    place = f"{fault.file}: {fault.function or 'module'}"
    return f"{fault.name:44} {place}: {fault.right!r} -> {fault.wrong!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Plants faults in a copy; runs the tests on it.")
    parser.add_argument("--only", action="append", default=[], help="this fault, or this list")
    parser.add_argument("--sample", type=int, metavar="K", help="only so many, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="for the sample (0)")
    parser.add_argument("--list", action="store_true", help="print the faults, and run nothing")
    parser.add_argument("--check", action="store_true", help="see that all fit, and run nothing")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time (1)")
    parser.add_argument(
        "--first", action="store_true", help="only the tests that most likely notice"
    )
    parser.add_argument("--trust", action="store_true", help="the tests pass without a fault")
    options = parser.parse_args()
    everything = read_lists()
    if mistakes := mistakes_in(everything):
        print("the lists of faults do not fit the package:", *mistakes, sep="\n  ")
        return 2
    faults = [fault for fault in everything if is_meant(fault, options.only)]
    if unknown := [name for name in options.only if not any(is_meant(f, [name]) for f in faults)]:
        print(f"no fault and no list is called {', '.join(unknown)}: see --list")
        return 2
    if options.sample is not None:
        chosen = random.Random(options.seed).sample(faults, min(options.sample, len(faults)))
        faults = [fault for fault in faults if fault in chosen]
    if options.check or options.list:
        for fault in faults if options.list else []:
            print(described(fault))
        print(f"{len(faults)} faults, and each fits the package")
        return 0
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # for the imports
    os.environ.pop("TINYGRAD_BN_KERNELS", None)  # the faults of kernels are those of the fast ones
    start = time.perf_counter()
    survivors = run_all(faults, options.jobs, options.first, options.trust)
    taken = time.perf_counter() - start
    print(f"{len(faults)} faults, {len(faults) - len(survivors)} caught, in {taken:.0f} s")
    for fault in survivors:
        print(f"SURVIVES {described(fault)}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
