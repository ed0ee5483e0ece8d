"""The report: Markdown tables, and the machine that the numbers come from."""

import os
import platform
import re
from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers import PEERS


class Report:
    """Prints lines as they come, and keeps them in a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.lines = path, []
        path.parent.mkdir(parents=True, exist_ok=True)

    def say(self, text: str = "") -> None:
        print(text, flush=True)
        self.lines.append(text)
        self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")

    def table(self, head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> None:
        """Rows may be lazy: each is printed when it has been measured."""
        head = list(head)
        for cells in (head, ["---"] * len(head)):
            self.say(row(cells))
        for cells in rows:
            self.say(row(cells))
        self.say()

    def problems(self, failed: dict[str, str]) -> None:
        if failed:
            self.say("\n".join(f"- {what} failed: {why}" for what, why in failed.items()) + "\n")


def row(cells: Iterable[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def ms(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:,.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f}"


def in_threads(n: int) -> str:
    return f"{n} thread{'s' * (n > 1)}"


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    found = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", text, re.MULTILINE))
    named = (
        "{model name} (family {cpu family}, model {model})"  # the name alone may be that of many
    )
    return named.format_map(found) if len(found) == 3 else platform.machine()


def instructions() -> str:
    """The widest vector instructions that NumPy has found, such as X86_V3, which is AVX2."""
    import numpy as np

    known = np.show_config(mode="dicts")["SIMD Extensions"]
    return [*known.get("baseline", []), *known.get("found", [])][-1]


def machine() -> str:
    """One line: for the head of the report, and of the pictures."""
    where = f"{processor()}, {instructions()}, {os.cpu_count()} cores, {platform.system()}"
    return f"{where}; {date.today()}"


def versions(names: list[str]) -> str:
    import numpy as np

    packages = dict.fromkeys(PEERS[name].package for name in names)
    listed = [f"{package} {version(package)}" for package in packages]
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    named = f"{blas['name']} {blas['version']}"
    return f"Python {platform.python_version()}, {', '.join(listed)}; NumPy's BLAS: {named}"
