"""Every name that the package shows has an example in its docstring, and every example is true."""

import doctest
import importlib
import inspect
import re

import pytest
import source

import tinygrad_bn as tg
from tinygrad_bn import data, nn, optim

F = nn.functional
# What an example may use without importing it: all that `tinygrad_bn` shows, and F.
GIVEN = {name: getattr(tg, name) for name in tg.__all__} | {"F": F, "tinygrad_bn": tg}


def dotted(name):
    return ".".join(["tinygrad_bn", *name.split("/")]).removesuffix(".__init__")


EXAMPLES = [
    pytest.param(test, id=test.name)
    for name in source.files()
    for test in doctest.DocTestFinder(exclude_empty=True).find(
        importlib.import_module(dotted(name)), extraglobs=GIVEN
    )
    if test.examples
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_shows_what_happens(example):
    report = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=report.append)
    assert not report, "".join(report)


def test_there_are_examples():
    assert len(EXAMPLES) > 40


SHOWN = {
    f"{module.__name__.removeprefix('tinygrad_bn').lstrip('.')}.{name}".lstrip("."): value
    for module in (tg, nn, F, optim, optim.lr_scheduler, data)
    for name, value in vars(module).items()
    if name in module.__all__
    if callable(value) and not name.startswith("_")
}


def function_of(layer):
    """The function that a layer without state applies: MaxPool2d's is max_pool2d."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", layer.removesuffix("Loss")).lower()
    names = (snake, f"{snake}_loss")
    return next((getattr(F, name) for name in names if hasattr(F, name)), None)


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_has_an_example(name):
    """A layer without state may leave it to its function."""
    text = inspect.getdoc(SHOWN[name]) or ""
    if ">>>" not in text and name.startswith("nn."):
        text = inspect.getdoc(function_of(name.rpartition(".")[2])) or ""
    assert ">>>" in text
