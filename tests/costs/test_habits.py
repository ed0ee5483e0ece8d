"""What the package promises about itself: its order, its size, its density, imports and manners.

Measured is code: docstrings, comments and blank lines are free. How wide lines are and how they are
broken, `ruff format` decides, which the continuous integration runs.
"""

import ast
import re
import sys
from collections import Counter

import pytest
import source
from programs import answer, start

FILES = source.files()
ORDER = source.reading_order()
FACES = {"__init__", "autograd", "nn/__init__", "nn/functional", "optim/__init__"}
TOKENS = {"root": 28_000, "kernels": 7_500, "extras": 12_000}
TOKENS_A_LINE, TOKENS_IN_ONE_LINE, LINES_OF_A_FUNCTION = 10, 30, 40
every_file = pytest.mark.parametrize("name", FILES)


# --- the order --------------------------------------------------------------------------------


def test_every_file_is_in_the_reading_order_once_or_is_a_face():
    assert sorted([*ORDER, *FACES]) == sorted(source.root_files())


@pytest.mark.parametrize("number", range(len(ORDER)))
def test_a_file_opens_with_its_number_and_imports_only_files_before_it_and_kernels(number):
    name, chapter = ORDER[number], source.chapter_numbers(ORDER)[number]
    assert FILES[name].startswith(f'"""[{chapter}] ')
    found = source.imported(name, FILES[name], FILES)
    own = {other for other in found if not other.endswith(".") and other != "kernels/__init__"}
    later = {other for other in own - set(ORDER[:number]) if source.storey(other) != "kernels"}
    assert not later, f"{name}.py imports {later}, which come later"


@pytest.mark.parametrize("name", source.files("kernels"))
def test_a_kernel_imports_numpy_the_standard_library_and_other_kernels(name):
    found = source.imported(name, FILES[name], FILES)
    others = {other for other in found if source.storey(other) != "kernels"}
    assert not {other for other in others if other.rstrip(".") not in {"numpy", *STANDARD}}


STANDARD = sys.stdlib_module_names


@every_file
def test_nothing_imports_an_extra(name):
    found = source.imported(name, FILES[name], FILES)
    own = source.storey(name) == "extras"
    assert own or not {other for other in found if source.storey(other) == "extras"}


def test_the_search_for_imports_finds_every_kind():
    text = """
from .a import x
from . import b, c as d
from .. import top
from ..sub.e import y
from tinygrad_bn import f
import tinygrad_bn.g as h, numpy
from numpy import z
def function():
    from .i.j import k
if TYPE_CHECKING:
    from ..sub import l
"""
    known = ["here/a", "here/b", "here/c", "top", "sub/e", "sub/__init__", "sub/l", "f", "g"]
    known += ["here/i/j", "__init__"]
    found = source.imported("here/this", text, known)
    assert found == {*known, "numpy."} - {"sub/__init__", "__init__"}


def test_a_folder_is_one_chapter():
    assert source.chapter_numbers(["a", "b/x", "b/y", "c"]) == ["1", "2a", "2b", "3"]


# --- size and density -------------------------------------------------------------------------


@pytest.mark.parametrize("storey", TOKENS)
def test_a_storey_is_no_larger_than_its_walls(storey):
    counts = {
        name: source.code_tokens(text).total()
        for name, text in FILES.items()
        if source.storey(name) == storey
    }
    assert sum(counts.values()) <= TOKENS[storey], counts


@every_file
def test_lines_are_not_dense(name):
    tokens = source.code_tokens(FILES[name])
    dense = {line: count for line, count in tokens.items() if count > TOKENS_IN_ONE_LINE}
    assert not dense
    assert tokens.total() <= TOKENS_A_LINE * len(tokens), tokens.total() / len(tokens)


@every_file
def test_functions_are_short(name):
    assert [f for f in source.functions(FILES[name]) if f[1] > LINES_OF_A_FUNCTION] == []


@every_file
def test_the_formatter_is_never_switched_off(name):
    assert not re.search(r"#\s*(fmt|yapf):", FILES[name])


def test_what_is_measured_is_code():
    text = '''"""A docstring, of several
lines."""

x = 1  # four tokens? three


def f(a, b=2):
    """Another."""
    # a comment
    text = """a string
    of two lines"""

    return a + g(
        b,
    )
'''
    assert source.code_tokens(text) == {4: 3, 7: 10, 10: 3, 13: 5, 14: 2, 15: 1}
    assert list(source.functions(text)) == [("f", 4)]


def test_an_f_string_is_one_token_in_every_version_of_python():
    text = """x = f"{a + b:{width}} {f'{c}'}" "and more"
y = f'''
{d}
'''
"""
    assert source.code_tokens(text) == {1: 4, 2: 3}


# --- docstrings -------------------------------------------------------------------------------


@every_file
def test_every_public_class_function_and_method_has_a_docstring(name):
    found = source.public_definitions(FILES[name])
    assert [definition for definition, docstring in found.items() if not docstring] == []


# --- manners ----------------------------------------------------------------------------------


# What it uses of the standard library beyond what Python and NumPy have loaded, version by version.
USED = ["__future__", "copy", "dataclasses", "gzip", "pathlib"]


@pytest.fixture(scope="module")
def imported():
    """The modules that importing the package brings, beside those that NumPy and USED need."""
    program = f"""
import sys, numpy.random, {", ".join(USED)}
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
    assert [name for name in imported if name.split(".")[0] not in ("tinygrad_bn", "numpy")] == []


def test_no_file_mentions_the_machine_it_was_written_on():
    path_of_a_machine = re.compile(r"/(?:home|Users|root|tmp|work|mnt)/|\b[A-Z]:\\\\?\w")
    assert path_of_a_machine.findall(r"/home/me, C:\Users") == ["/home/", "C:\\U"]
    texts = FILES | {
        path.name: path.read_text(encoding="utf-8") for path in source.PACKAGE.glob("**/*.md")
    }
    found = {name: path_of_a_machine.findall(text) for name, text in texts.items()}
    assert not any(found.values()), found


# --- nothing is left over -------------------------------------------------------------------------


def defined_and_used(texts):
    """Names of plain functions and classes; and all names in the texts, each as often as it is."""
    defined, used = set(), Counter()
    for text in texts:
        tree = ast.parse(text)
        kinds = ast.FunctionDef | ast.ClassDef
        defined |= {node.name for node in tree.body if isinstance(node, kinds)}
        for node in ast.walk(tree):
            used[getattr(node, "id", None)] += 1
            used[getattr(node, "attr", None)] += 1
            if isinstance(node, ast.Constant):  # as in __all__
                used[node.value] += 1
            used.update(
                [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            )
    return defined, used


def test_every_function_is_used_or_public():
    defined, used = defined_and_used(FILES.values())
    assert len(defined) > 100
    assert {name for name in defined if not used[name]} == set()


def test_the_search_for_unused_functions_finds_one():
    text = "def f(): g()\ndef g(): pass\nclass C: pass\nx.h(C)\ndef h(): pass"
    defined, used = defined_and_used([text])
    assert {name for name in defined if not used[name]} == {"f"}
