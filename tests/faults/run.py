"""Would the tests notice? Plants faults in a copy of the package, one by one, and runs the tests.

    python tests/faults/run.py                        all faults
    python tests/faults/run.py --jobs 2               two at a time
    python tests/faults/run.py --only conv/no-bias    one fault; `conv` means the whole list; may be
                                                      given several times
    python tests/faults/run.py --sample 15 --seed 7   fifteen of them
    python tests/faults/run.py --first                only by the tests that most probably notice
    python tests/faults/run.py --limit 600            the tests pass without a fault: do not try it
                                                      again, and stop each run after so many seconds
    python tests/faults/run.py --list                 what there is; runs nothing
    python tests/faults/run.py --check                do they all fit the package? runs nothing

Beside this file stands a list for each file of the package: engine.py for engine.py,
kernels_convolution.py for kernels/convolution.py. A list is a dict by function, and each fault is
"name": (right, wrong) or (right, wrong, nth); support/planting.py says what they mean.

Every fault changes a result: a number, a shape, a dtype, an error, or whose memory it is. None is
a mere change of speed. One that no test notices is a test that is missing: the exit status is then
1. It is 2 if a list itself is wrong, or if the tests fail without a fault. tests/costs/ stays out:
that a step makes one array more does not tell that a result is wrong.
"""

import argparse
import multiprocessing
import os
import queue
import random
import re
import runpy
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
if __name__ == "__main__":  # not this folder: its lists have the names of many a module
    sys.path[0] = str(HERE.parent / "support")

from planting import Fault, planted  # noqa: E402

IGNORED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
PYTEST = ["-x", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider"]
ALL_TESTS = ["tests/chapters", "tests/properties", "tests/oracle"]
FAILED = re.compile(r"(?:FAILED|ERROR) (?:tests/)?([^\[\s]+(?:\[.*?\](?= - |$))?)")

# Which tests run first, by a part of the list's name; the others follow only if these pass.
FIRST = {
    "kernels": ["properties/test_kernels.py"],
    "convolution": ["chapters/test_10_conv.py"],
    "window": ["chapters/test_10_conv.py"],
    "pooling": ["chapters/test_10_conv.py"],
    "normalization": ["chapters/test_11_batchnorm.py", "properties/test_bn_properties.py"],
    "batchnorm": ["chapters/test_11_batchnorm.py", "properties/test_bn_properties.py"],
    "elementwise": ["chapters/test_03_tensor.py", "chapters/test_06_layers.py"],
    "products": ["chapters/test_03_tensor.py", "chapters/test_06_layers.py"],
    "engine": ["chapters/test_01_node.py"],
    "checks": ["chapters/test_02_checks.py", "chapters/test_03_in_place.py"],
    "tensor": ["chapters/test_03_in_place.py", "chapters/test_03_printing.py"],
    "module": ["chapters/test_05_hooks.py"],
    "optim": ["chapters/test_08_optim.py", "chapters/test_08_optimizer.py"],
}

# Each run is a fork of one process that has imported what is slow to import, but not the package.
CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()
PROCESSES = multiprocessing.get_context("forkserver" if CAN_FORK else "spawn")


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


def run_tests(root: Path, arguments: list[str], output: Path) -> None:
    """In a process of its own: pytest on the copy at `root`."""
    os.chdir(root)
    sys.path.insert(0, str(root))
    os.environ["PYTHONPATH"] = str(root)
    sys.dont_write_bytecode = False
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    import pytest

    status = pytest.main([*PYTEST, *arguments])
    package = sys.modules.get("tinygrad_bn")
    print(f"\nimported from {package and package.__file__}", flush=True)
    sys.exit(status)


class Copy:
    """The working tree once more, where the package can be spoilt."""

    def __init__(self, folder: Path) -> None:
        self.root, self.output = folder / "tree", folder / "output"
        shutil.copytree(ROOT, self.root, ignore=IGNORED)

    def failing_test(self, *arguments: str, limit: float) -> str | None:
        """The first test that fails; None if all pass."""
        run = PROCESSES.Process(target=run_tests, args=(self.root, [*arguments], self.output))
        run.start()
        run.join(limit)
        if run.is_alive():
            run.kill()
            run.join()
            return f"the time limit of {limit:.0f} s"
        if run.exitcode < 0:
            return f"a crash by signal {-run.exitcode}"
        lines = self.output.read_text().splitlines()
        failed = [line for line in lines if FAILED.match(line)]
        if run.exitcode not in (0, 1, 2) or bool(failed) != (run.exitcode > 0):
            raise RuntimeError(f"pytest ended with {run.exitcode}:\n" + "\n".join(lines))
        # The copy must be what the tests import: to be seen, not believed.
        if not failed and lines[-1] != f"imported from {self.root / 'tinygrad_bn/__init__.py'}":
            raise RuntimeError(f"the tests do not import the copy in {self.root}: {lines[-1]}")
        return FAILED.match(failed[0])[1] if failed else None

    def caught_by(self, fault: Fault, limit: float, only_first: bool) -> str | None:
        """The first test that notices the fault; None if it survives them all."""
        package = self.root / "tinygrad_bn"
        file = package / fault.file
        right = file.read_text(encoding="utf-8")
        for cache in package.rglob("__pycache__"):  # the new text may be as old
            shutil.rmtree(cache)
        file.write_text(planted(fault, right), encoding="utf-8")
        try:
            first = first_tests(fault, self.root)
            others = [f"--ignore={name}" for name in first]
            found = self.failing_test(*first, limit=limit) if first else None
            if found or only_first:
                return found
            return self.failing_test(*ALL_TESTS, *others, limit=limit)
        finally:
            file.write_text(right, encoding="utf-8")


def limit_for(copy: Copy, jobs: int) -> float:
    """How long a run may take, by how long it takes without a fault; no result if one fails then."""
    start = time.perf_counter()
    if found := copy.failing_test(*ALL_TESTS, limit=3600):
        print(f"without any fault, the tests fail: {found}")
        sys.exit(2)
    taken = time.perf_counter() - start
    print(f"without a fault all pass, in {taken:.0f} s", flush=True)
    return 60 + 5 * jobs * taken


def survivors_of(
    faults: list[Fault], jobs: int, limit: float | None, only_first: bool
) -> list[Fault]:
    """Plant each fault and report on it; returns those that survive."""
    copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()

    def verdict(fault: Fault) -> str | None:
        copy = copies.get()
        try:
            return copy.caught_by(fault, limit, only_first)
        finally:
            copies.put(copy)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        for number in range(jobs):
            copies.put(Copy(Path(folder).resolve() / str(number)))
        copy = copies.get()
        print(f"in copies such as {copy.root}", flush=True)
        limit = limit or limit_for(copy, jobs)
        copies.put(copy)
        survivors = []
        for fault, test in zip(faults, pool.map(verdict, faults), strict=True):
            print(f"{fault.name:44} {test or 'SURVIVES'}", flush=True)
            if test is None:
                survivors.append(fault)
    return survivors


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
    parser.add_argument(
        "--limit", type=float, help="seconds a run may take; no run without a fault"
    )
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
    PROCESSES.set_forkserver_preload(["numpy", "torch"])
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before they are imported
    os.environ.pop("TINYGRAD_BN_KERNELS", None)  # the faults of kernels are those of the fast ones
    start = time.perf_counter()
    survivors = survivors_of(faults, options.jobs, options.limit, options.first)
    taken = time.perf_counter() - start
    print(f"{len(faults)} faults, {len(faults) - len(survivors)} caught, in {taken:.0f} s")
    for fault in survivors:
        print(f"SURVIVES {described(fault)}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
