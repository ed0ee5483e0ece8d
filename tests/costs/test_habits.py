"""What the package promises about itself: its order, its size, its imports, its manners."""

import ast
import re
import sys
from pathlib import Path

import pytest
from programs import answer, start

import tinygrad_bn

PACKAGE = Path(tinygrad_bn.__file__).parent
FILES = sorted(PACKAGE.glob("*.py"))


def reading_order():
    """The list of files in the package's docstring: "… reading order: engine, tensor, …"."""
    listed = re.search(r"reading order: ([\w,\s]+)\.", tinygrad_bn.__doc__)
    assert listed, "the package's docstring no longer lists its files in reading order"
    return re.split(r",\s*", listed[1].strip())


def imported_files(source):
    """The package's own files that a source text imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")
            if node.level == 0 and module[0] == "tinygrad_bn":
                module = module[1:] or [""]
            elif node.level == 0:
                continue
            found |= {module[0]} if module[0] else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            parts = [alias.name.split(".") for alias in node.names]
            found |= {[*part, "__init__"][1] for part in parts if part[0] == "tinygrad_bn"}
    return found


def test_the_search_for_imports_finds_every_kind():
    source = """
from .a import x
from . import b, c as d
from tinygrad_bn.e import y
from tinygrad_bn import f
import tinygrad_bn.g as h, numpy
import tinygrad_bn
from numpy import z
def function():
    from .i.j import k
if TYPE_CHECKING:
    from .l import m
"""
    assert imported_files(source) == {*"abcefgil", "__init__"}


def test_every_file_is_in_the_reading_order_once():
    assert sorted([*reading_order(), "__init__"]) == [path.stem for path in FILES]


@pytest.mark.parametrize("number", range(len(FILES) - 1))
def test_a_file_imports_only_files_before_it_and_opens_with_its_number(number):
    order = reading_order()
    source = (PACKAGE / f"{order[number]}.py").read_text()
    later = imported_files(source) - set(order[:number])
    assert not later, f"{order[number]}.py imports {later}, which come later"
    assert source.splitlines()[0].startswith(f'"""[{number + 1}] ')


def test_the_package_is_short_enough_to_read():
    lines = {path.name: path.read_text().count("\n") for path in FILES}
    assert sum(lines.values()) <= 2500, lines


def test_no_line_is_longer_than_100_columns():
    too_long = [
        f"{path.name}:{number}"
        for path in FILES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 100
    ]
    assert not too_long


def test_no_function_is_longer_than_a_page():
    functions = [
        (path.name, node.name, node.end_lineno - node.lineno + 1)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(functions) > 100  # the search works
    assert [found for found in functions if found[2] > 60] == []


@pytest.fixture(scope="module")
def imported():
    """The modules that importing the package brings, beside those that NumPy needs itself."""
    program = """
import sys, numpy.random
before = set(sys.modules)
import tinygrad_bn
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    return answer(start(program))


def test_importing_the_package_imports_numpy_and_nothing_else_from_outside(imported):
    roots = {name.split(".")[0] for name in imported}
    assert roots - set(sys.stdlib_module_names) - {"numpy"} == {"tinygrad_bn"}


def test_importing_the_package_is_quick_for_it_brings_little_of_the_standard_library(imported):
    """Its own files take a few milliseconds; what takes long is concurrent, unittest, asyncio..."""
    found = [name for name in imported if name.split(".")[0] not in ("tinygrad_bn", "numpy")]
    assert len(found) <= 10, found


def test_no_file_mentions_the_machine_it_was_written_on():
    path_of_a_machine = re.compile(r"/(?:home|Users|root|tmp|work|mnt)/|\b[A-Z]:\\\\?\w")
    assert path_of_a_machine.findall(r"/home/me, C:\Users") == ["/home/", "C:\\U"]
    texts = [*FILES, *PACKAGE.glob("**/*.md"), PACKAGE / "py.typed"]
    found = {path.name: path_of_a_machine.findall(path.read_text()) for path in texts}
    assert not any(found.values()), found
