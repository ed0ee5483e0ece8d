"""The README's programs run, one after the other, and print what their comments say."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from oracle import assert_close
from pytorch import torch

import tinygrad_bn as tg
from tinygrad_bn.data import DataLoader, TensorDataset

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.S)


def promised(program):
    """What it says that it prints: a comment behind a print, and those on the lines below it."""
    lines, printing = [], False
    for line in program.splitlines():
        code, _, comment = line.partition("#")
        if code.strip():
            printing = code.lstrip().startswith(("print(", "net("))
        if printing and comment:
            lines.append(comment.strip())
    return lines


def test_what_a_program_promises_is_found():
    program = "x = 1  # not this\nprint(x)  # 1\nprint(y, x)\n# 2\n# 1\nz = 0\n# nor this\n"
    assert promised(program) == ["1", "2", "1"]
    assert sum(len(promised(program)) for program in PROGRAMS) >= 7


def test_every_program_prints_what_it_promises(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # one of them saves a file
    names = {}
    for program in PROGRAMS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(program, names)
        printed = iter(out.getvalue().splitlines())
        for line in promised(program):
            start = line.removesuffix("…")
            found = next((text for text in printed if text.startswith(start)), None)
            assert found is not None, f"{line!r} is not in {out.getvalue()!r}"
            assert start != line or found == line
    assert (tmp_path / "model.safetensors").is_file()


# --- how PyTorch's tutorials port -------------------------------------------------------------


def ported():
    """The rows of the table: what a tutorial writes, and what is written here; lists of code."""
    table = TEXT.partition("| in a tutorial |")[2].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        there, here, _ = re.findall(r"\|([^|]*)(?=\|)", row)
        yield [re.findall(r"`([^`]+)`", cell) for cell in (there, here)]


ROWS = list(ported())


def names_of(library):
    """What a tutorial's line may use, under one of the two libraries."""
    w = library.tensor([[0.5, 1.0], [2.0, -1.0]], requires_grad=True)
    (w * w).sum().backward()
    names = {"torch": library, "np": np, "w": w, "array": np.array([[1.0, 2.0]])}
    names |= {"nn": library.nn, "F": library.nn.functional, "optim": library.optim}
    names["x"] = library.tensor([[1.0, -2.0], [3.0, 4.0]])
    names["scores"] = library.tensor([[1.0, 2.0, 0.0], [0.5, 0.0, -1.0]])
    names["labels"] = library.tensor([1, 2])
    names["model"] = library.nn.Sequential(library.nn.Linear(2, 2))
    return names


def result_of(code, names):
    """The value of an expression; of a statement, what w is afterwards; of a module, its kind."""
    try:
        value = eval(code, names)
    except SyntaxError:
        exec(code, names)
        value = names["w"]
    return type(value).__name__ if isinstance(value, names["nn"].Module) else value


def written_here():
    """The names of this package, as a program imports them."""
    public = {name: getattr(tg, name) for name in tg.__all__}
    mine = {"DataLoader": DataLoader, "dataset": TensorDataset(tg.ones(3, 2))}
    return names_of(tg) | public | mine


def test_the_table_has_its_rows():
    assert len(ROWS) == 13
    assert all(there for there, _ in ROWS)
    assert all(len(here) in (0, len(there)) for there, here in ROWS)


@pytest.mark.parametrize("code", [code for there, _ in ROWS for code in there])
def test_what_is_said_not_to_run_does_not(code):
    with pytest.raises((AttributeError, TypeError, ValueError)):
        result_of(code, written_here() | {"torch": tg})


PAIRS = [pair for there, here in ROWS if here for pair in zip(there, here, strict=True)]


@pytest.mark.parametrize(("there", "here"), PAIRS)
def test_what_is_written_instead_gives_the_same(there, here):
    ours = result_of(here, written_here())
    if torch is None or "DataLoader" in there:
        assert ours is not None
        return
    theirs = result_of(there, names_of(torch))
    if isinstance(ours, tuple):
        ours, theirs = ours[0], theirs[0]
    if isinstance(ours, str | float):
        assert ours == theirs
    elif "rand" in there:
        assert ours.shape == theirs.shape
    else:
        assert_close(ours.detach(), theirs.detach().numpy(), 1e-6)


# --- the reading guide ------------------------------------------------------------------------

GUIDE = re.findall(r"\| \[\S+\]\((tinygrad_bn/\S*)\) \| .*? \| (\d+) \|", TEXT)
MINUTES = {path: int(minutes) for path, minutes in GUIDE}


@pytest.mark.parametrize("path", MINUTES)
def test_the_reading_guide_counts_25_lines_a_minute(path):
    place = README.parent / path
    files = [f for f in place.glob("*.py") if f.name != "plain.py"] if place.is_dir() else [place]
    lines = [line for f in files for line in f.read_text(encoding="utf-8").splitlines()]
    exact = sum(bool(line.strip()) for line in lines) / 25
    assert abs(MINUTES[path] - exact) <= max(1, exact / 20)


def test_the_reading_guide_adds_up():
    hours, minutes = re.search(r"(\d+) hours and (\d+) minutes for the book", TEXT).groups()
    book = sum(MINUTES[path] for path in MINUTES if "kernels" not in path)
    assert abs(int(hours) * 60 + int(minutes) - book) <= 5


# --- what there is ----------------------------------------------------------------------------

LISTED = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", TEXT, re.M))
PACKAGES = {"autograd", "data", "functional", "nn", "optim"}  # have rows of their own


@pytest.mark.parametrize("name", ["nn", "optim", "data", "autograd", "tinygrad_bn"])
def test_the_table_lists_everything_that_there_is(name):
    module = tg if name == "tinygrad_bn" else getattr(tg, name)
    public = set(module.__all__) - PACKAGES
    if name == "optim":
        public |= set(tg.optim.lr_scheduler.__all__)
    assert set(re.findall(r"`([\w.]+)`", LISTED[name])) == public
