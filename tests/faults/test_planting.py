"""A planted fault goes where it is meant to go, however the source is written, or says why not."""

import runpy
from pathlib import Path
from types import ModuleType

import pytest
from planting import Fault, live_codes, planted

run = runpy.run_path(str(Path(__file__).with_name("run.py")), run_name="run")

SOURCE = '''"""A file."""
LIMIT = 1 + 2


class Box:
    size = 1 + 2

    def add(self, x, scale=3):
        return self.size + x * scale

    @property
    def twice(self):
        self.seen = True
        return 2 * self.size


def outer(x, y):
    def inner(z):
        return x - z

    total = x - y  # σ of both
    total += abs(x - y)
    return f"{total}", inner(total), max(x, y, key=abs)
'''


def fault(function, right, wrong, nth=None):
    return Fault("a-name", "file.py", function, right, wrong, nth)


@pytest.mark.parametrize(
    ("function", "right", "wrong", "before", "after"),
    [
        ("", "1 + 2", "1 - 2", "LIMIT = 1 + 2", "LIMIT = (1 - 2)"),
        ("Box", "1 + 2", "0", "size = 1 + 2", "size = (0)"),
        ("Box.add", "x * scale", "x / scale", "x * scale", "(x / scale)"),
        ("Box.add", "self.size + x * scale", "x", "self.size + x * scale", "(x)"),
        ("Box.add", "3", "4", "scale=3", "scale=(4)"),
        ("Box.twice", "self.seen = True", "pass", "self.seen = True", "pass"),
        ("outer.<locals>.inner", "x - z", "z - x", "x - z", "(z - x)"),
        ("outer", "total = x - y", "total = y\nx = 0", "total = x - y", "total = y\n    x = 0"),
        ("outer", "key=abs", "key=None", "key=abs", "key=None"),
        ("outer", "total += abs(x - y)", "pass", "total += abs(x - y)", "pass"),
        ("outer", 'f"{total}"', "x", 'f"{total}"', "(x)"),
    ],
)
def test_an_expression_a_statement_or_an_argument_is_replaced_and_nothing_else(
    function, right, wrong, before, after
):
    assert SOURCE.count(before) == 1
    assert planted(fault(function, right, wrong), SOURCE) == SOURCE.replace(before, after)


@pytest.mark.parametrize(
    ("nth", "before", "after"),
    [(0, "total = x - y", "total = (0)"), (1, "abs(x - y)", "abs((0))")],
)
def test_the_nth_of_several_is_counted_in_the_order_of_the_source(nth, before, after):
    assert planted(fault("outer", "x - y", "0", nth), SOURCE) == SOURCE.replace(before, after)


@pytest.mark.parametrize(
    "written",
    [
        "return self.size + x * scale",
        "return (self.size + (x * scale))",
        "return self.size + x*scale  # of x",
        "return (\n            # in two lines\n            self.size\n            + x  # γ\n"
        "            * scale\n        )",
    ],
)
@pytest.mark.parametrize(
    "right", ["x * scale", "(x*scale)", "x \\\n  * scale", "x  # why\n* scale"]
)
def test_comments_brackets_and_line_breaks_never_make_a_fault_stale(written, right):
    source = SOURCE.replace("return self.size + x * scale", written)
    box = {}
    exec(planted(fault("Box.add", right, "x - scale"), source), box)
    assert box["Box"]().add(10) == 3 + 10 - 3


def test_a_line_that_is_not_ascii_does_not_shift_the_place():
    source = 'def f(x):\n    return "σ²·ε", x + 1\n'
    assert planted(fault("f", "x + 1", "x"), source) == source.replace("x + 1", "(x)")


@pytest.mark.parametrize(
    ("function", "right", "wrong", "nth", "said"),
    [
        ("outer", "x + y", "x", None, "0 × 'x \\+ y' in 'outer' of file.py"),
        ("outer", "x - z", "x", None, "it is in 'outer.<locals>.inner'"),
        ("outer", "x - y", "x", None, "2 × 'x - y'"),
        ("outer", "x - y", "x", 2, "no number 2 of 2"),
        ("gone", "x", "y", None, "there is no 'gone' in file.py"),
        ("outer", "x -", "y", None, "'x -' is no Python"),
        ("outer", "max(x, y, key=abs)", "max(", None, "it is no Python"),
        ("outer", "max(x, y, key=abs)", "max(x, y, key=(abs))", None, "changes nothing"),
        ("outer", "total", "0", None, "'total' in 'outer'"),
    ],
)
def test_a_fault_that_does_not_say_exactly_where_is_refused(function, right, wrong, nth, said):
    with pytest.raises(ValueError, match=f"a-name.*{said}" if "no Python" not in said else said):
        planted(fault(function, right, wrong, nth), SOURCE)


LIVE = """
from contextlib import contextmanager

class Box:
    size = 3

    def area(self, factor=2):
        return self.size * factor

    @property
    def twice(self):
        return self.size * 2

    @twice.setter
    def twice(self, value):
        self.size = value / 2

    @classmethod
    def of(cls, size):
        box = cls()
        box.size = size
        return box

@contextmanager
def opened(size):
    yield Box.of(size)

def outer(x):
    def inner(y):
        return x + y
    return [inner(z) for z in (1, 2)]
"""


@pytest.mark.parametrize(
    ("function", "right", "wrong", "call", "before", "after"),
    [
        ("Box.area", "self.size * factor", "self.size", "Box().area()", 6, 3),
        ("Box.twice", "self.size * 2", "self.size", "Box().twice", 6, 3),
        ("Box.twice", "value / 2", "value", "setattr(b := Box(), 'twice', 8) or b.size", 4, 8),
        ("Box.of", "box.size = size", "pass", "Box.of(5).size", 5, 3),
        ("opened", "Box.of(size)", "Box()", "opened(5).__enter__().size", 5, 3),
        ("outer", "(1, 2)", "(1,)", "outer(1)", [2, 3], [2]),
        ("outer.<locals>.inner", "x + y", "x - y", "outer(1)", [2, 3], [0, -1]),
    ],
)
def test_a_function_that_is_imported_already_gets_the_faulty_code(
    function, right, wrong, call, before, after
):
    module = ModuleType("live")
    exec(compile(LIVE, "live", "exec"), vars(module))
    assert eval(call, vars(module)) == before
    for live, code in live_codes(fault(function, right, wrong), LIVE, module):
        live.__code__ = code
    assert eval(call, vars(module)) == after


@pytest.mark.parametrize(
    ("function", "right", "wrong"),
    [("Box", "size = 3", "size = 4"), ("Box.area", "2", "3"), ("", "LIMIT = 1", "LIMIT = 2")],
)
def test_a_fault_that_is_in_no_functions_code_is_not_put_there(function, right, wrong):
    source = f"{LIVE}\nLIMIT = 1\n"
    module = ModuleType("live")
    exec(compile(source, "live", "exec"), vars(module))
    assert live_codes(fault(function, right, wrong), source, module) == []


def test_the_lists_fit_the_package():
    assert run["mistakes_in"](run["read_lists"]()) == []


def test_a_list_without_a_file_and_a_name_given_twice_are_mistakes(tmp_path):
    (tmp_path / "nowhere.py").write_text('FAULTS = {"f": {"one": ("a", "b")}}')
    faults = run["read_lists"](tmp_path)
    mistakes = run["mistakes_in"](faults * 2)
    assert "there is no 'f' in nowhere.py, which is not in the package" in mistakes[0]
    assert mistakes[-1] == "nowhere/one: 2 times"


def test_every_fault_is_first_shown_to_the_tests_of_its_chapter():
    for key in run["package_files"]():
        probe = Fault(f"{key}/any", "", "", "", "")
        found = run["first_tests"](probe, run["ROOT"])
        chapter = key.rpartition("_")[2]
        assert any(chapter in name for name in found) or not list(
            (run["ROOT"] / "tests" / "chapters").glob(f"test_*_{chapter}.py")
        )
