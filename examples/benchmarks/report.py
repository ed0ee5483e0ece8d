"""The report: Markdown tables, what the numbers mean, and the machine they come from."""

import os
import platform
from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers import PEERS, cannot
from rates import Rates
from rounds import Outcome
from start import Start
from work import Work, flops, traffic

NOTES = (
    "Each library works in a process of its own, on as many cores as it has threads, the same "
    "cores for all. They are asked in turn, round by round, for at least a tenth of a second of "
    "steps; the first step of each turn is not counted. A step: zero_grad, forward, cross-entropy, "
    "backward, SGD with Nesterov momentum and weight decay, always on the same float32 batch. "
    "Settings of the calling shell that choose kernels or threads, such as OPENBLAS_CORETYPE, are "
    "removed, so that each library picks what it thinks best for this machine. PyTorch is eager "
    "(NCHW, unless channels_last is said), JAX compiles the whole step, tinygrad uses its JIT. "
    "tinygrad_bn tells the C library to keep the memory that it frees; no other does, though all "
    "may gain by it. MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_, set in the calling shell, "
    "tell it so for all of them; here they are "
)


def notes() -> str:
    names = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    values = dict.fromkeys(os.environ.get(name, "not set") for name in names)
    return f"{NOTES}{' and '.join(values)}."


class Report:
    """Prints lines as they come, and keeps them in a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.lines = path, []
        path.parent.mkdir(parents=True, exist_ok=True)

    def say(self, text: str = "") -> None:
        print(text, flush=True)
        self.lines.append(text)
        self.path.write_text("\n".join(self.lines) + "\n")

    def table(self, head: Iterable[Any], rows: Iterable[Iterable[Any]] = ()) -> None:
        """Rows may be lazy: each is printed when it has been measured. An empty line closes it."""
        head = list(head)
        self.row(head)
        self.row(["---"] * len(head))
        for row in rows:
            self.row(row)
        self.say()

    def row(self, cells: Iterable[Any]) -> None:
        self.say("| " + " | ".join(map(str, cells)) + " |")

    def problems(self, failed: dict[str, str]) -> None:
        for what, why in failed.items():
            self.say(f"- {what} failed: {why}")
        if failed:
            self.say()


# --- the machine ----------------------------------------------------------------------------------


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
    found: dict[str, str] = {}
    for key, _, value in lines:
        found.setdefault(key.strip(), value.strip())
    name = found.get("model name", platform.machine())
    if "cpu family" in found:  # the name alone may be that of many
        name += f" (family {found['cpu family']}, model {found['model']})"
    return name


def machine() -> str:
    """One line: for the head of the report, and of the pictures."""
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()}; {date.today()}"


def versions(names: list[str], blas: str) -> str:
    packages = dict.fromkeys(PEERS[name].package for name in names)
    listed = [f"{package} {version(package)}" for package in packages]
    return f"Python {platform.python_version()}, {', '.join(listed)}; NumPy's BLAS: {blas}"


# --- numbers --------------------------------------------------------------------------------------


def ms(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:,.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f}"


def times_cell(outcome: Outcome, name: str) -> str:
    if name not in outcome.measured:
        return "failed" if name in outcome.failed else "–"
    first, middle, last = map(ms, outcome.measured[name].quartiles)
    return f"{middle} [{first}, {last}]"


def ratio_cell(outcome: Outcome, name: str) -> str:
    """To PyTorch in its usual order of axes / to the faster of its two."""
    torch = [m.median for n, m in outcome.measured.items() if n.startswith("PyTorch")]
    if "PyTorch" not in outcome.measured or name not in outcome.measured:
        return "–"
    own = outcome.measured[name].median
    return f"{own / outcome.measured['PyTorch'].median:.2f} / {own / min(torch):.2f}"


def skipped(names: list[str], works: list[Work]) -> list[str]:
    """Who sits out what, and why, in a line each."""
    reasons = {(name, cannot(name, work)): None for work in works for name in names}
    return [f"- {name} sits out some of the work: {why}" for name, why in reasons if why]


def in_threads(n: int) -> str:
    return f"{n} thread{'s' * (n > 1)}"


def start_row(name: str, found: Start) -> list[str]:
    first = "–" if found.first_step is None else f"{found.first_step:.2f}"
    memory = "–" if found.memory is None else f"{found.memory / 1e6:,.0f}"
    return [name, f"{found.imported:.3f}", first, memory]


def share_row(work: Work, outcome: Outcome, limits: Rates) -> list[str]:
    """The shares of the machine's rates that tinygrad_bn reaches, and the faster PyTorch."""
    cells = [work.name, f"{flops(work) / 1e9:.3g}", f"{traffic(work) / 1e6:.3g}"]
    for library in ("tinygrad_bn", "PyTorch"):
        medians = [m.median for name, m in outcome.measured.items() if name.startswith(library)]
        if medians:
            compute = flops(work) / min(medians) / limits.sgemm
            moved = traffic(work) / min(medians) / limits.memory
            cells += [ms(min(medians)), f"{compute:.0%}", f"{moved:.0%}"]
        else:
            cells += ["–"] * 3
    return cells
