"""The package as text: its files in reading order, what they import, and how dense they are."""

import ast
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

import tinygrad_bn

PACKAGE = Path(tinygrad_bn.__file__).parent
NOT_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}
# of f-strings and t-strings, in those versions of Python that take them apart
STARTS = {vars(tokenize)[n] for n in ("FSTRING_START", "TSTRING_START") if n in vars(tokenize)}
ENDS = {vars(tokenize)[n] for n in ("FSTRING_END", "TSTRING_END") if n in vars(tokenize)}


def name_of(path):
    """As the reading order has it: "tensor", "optim/sgd", "kernels/__init__"."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def files(part=""):
    """Name and text of every file in a part of the package: "kernels", "extras", or "" for all."""
    paths = sorted((PACKAGE / part).rglob("*.py"))
    return {name_of(path): path.read_text(encoding="utf-8") for path in paths}


def root_files():
    """All outside kernels/ and extras/."""
    return {name: text for name, text in files().items() if storey(name) == "root"}


def storey(name):
    first = name.partition("/")[0]
    return first if first in ("kernels", "extras") else "root"


def reading_order(text=tinygrad_bn.__doc__):
    """The list of files in the package's docstring: "… reading order: engine, checks, …"."""
    listed = re.search(r"reading order: ([\w/,\s]+)\.", text)
    assert listed, "the package's docstring no longer lists its files in reading order"
    return re.split(r",\s*", listed[1].strip())


def chapter_numbers(order):
    """ "3" for a file; "8a", "8b", … for the files of a folder, which is one chapter."""
    folders = Counter(name.partition("/")[0] for name in order)
    chapters, numbers, inside = [], [], Counter()
    for name in order:
        first = name.partition("/")[0]
        if first not in chapters:
            chapters.append(first)
        letter = "abcdefgh"[inside[first]] if folders[first] > 1 else ""
        inside[first] += 1
        numbers.append(f"{len(chapters)}{letter}")
    return numbers


# --- imports ----------------------------------------------------------------------------------


def imported(name, text, known):
    """What the file imports, wherever the import stands: files of the package, "numpy." of others.

    known: the names of all files of the package; `from .a import b` means the file a/b if there is
    one, and else the file a.
    """
    here = ["tinygrad_bn", *name.split("/")[:-1]]
    paths = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            paths += [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            paths += [[*base, alias.name] for alias in node.names]
    return {file_of(path, known) for path in paths}


def file_of(path, known):
    """The file that an absolute path leads to; of other packages, the first name and a dot."""
    if path[0] != "tinygrad_bn":
        return f"{path[0]}."
    for length in range(len(path), 0, -1):
        inside = "/".join(path[1:length])
        for name in (inside, f"{inside}/__init__".lstrip("/")):
            if name in known:
                return name
    return "/".join(path)


# --- density ----------------------------------------------------------------------------------


def tokens_of(text):
    """Python's own tokens, but an f-string is one: from Python 3.12 on it comes in its parts."""
    inside = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if inside == 0:
            yield token
        inside += (token.type in STARTS) - (token.type in ENDS)


def code_tokens(text):
    """How many tokens of code stand on each line: no comments, no docstrings, no layout."""
    found, logical_line = Counter(), []
    for token in tokens_of(text):
        if token.type not in NOT_CODE:
            logical_line.append(token)
        elif token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if [part.type for part in logical_line] != [tokenize.STRING]:  # not a docstring
                found.update(part.start[0] for part in logical_line)
            logical_line = []
    return found


def functions(text):
    """Name and number of code lines below the signature, of every function."""
    lines = code_tokens(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = range(node.body[0].lineno, node.end_lineno + 1)
            yield node.name, sum(line in lines for line in body)


def is_declared(node):
    """Whether all that it does is `...`."""
    return len(node.body) == 1 and ast.unparse(node.body[0]) == "..."


def public_definitions(text):
    """The docstrings, or "", of every public function, class and method by name.

    Of a property that can be set, the getter's; nothing of what a protocol only declares by `...`.
    """
    found = {}

    def collect(body, prefix):
        for node in body:
            defines = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if defines and not node.name.startswith("_") and not is_declared(node):
                found.setdefault(prefix + node.name, ast.get_docstring(node) or "")
                if isinstance(node, ast.ClassDef):
                    collect(node.body, f"{prefix}{node.name}.")

    collect(ast.parse(text).body, "")
    return found
