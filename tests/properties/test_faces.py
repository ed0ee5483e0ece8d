"""The faces: files without code, under which PyTorch's paths lead to what the chapters define."""

import ast
import importlib
from pathlib import Path

import pytest

import tinygrad_bn as tg

FACES = ["nn", "nn.functional", "optim", "autograd"]
AUTOGRAD = {"grad", "gradcheck", "gradgradcheck", "no_grad"}


@pytest.mark.parametrize("path", FACES)
def test_a_face_has_no_code_of_its_own(path):
    module = importlib.import_module(f"tinygrad_bn.{path}")
    docstring, *statements = ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    for node in statements:
        is_list = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        assert isinstance(node, ast.ImportFrom) or is_list, ast.unparse(node)


@pytest.mark.parametrize("path", FACES)
def test_a_face_shows_each_of_its_names_and_no_name_twice(path):
    module = importlib.import_module(f"tinygrad_bn.{path}")
    assert len(module.__all__) == len(set(module.__all__))
    for name in module.__all__:
        assert hasattr(module, name), name


def test_autograd_shows_the_gradient_its_checks_and_the_switch():
    autograd = importlib.import_module("tinygrad_bn.autograd")
    assert set(autograd.__all__) == AUTOGRAD
    assert autograd.grad is tg.grad
    assert autograd.no_grad is tg.no_grad


def test_imports_written_for_pytorch_work_with_the_name_changed():
    names: dict[str, object] = {}
    exec(
        "import tinygrad_bn.nn as nn\n"
        "import tinygrad_bn.nn.functional as F\n"
        "from tinygrad_bn import optim\n"
        "from tinygrad_bn.optim import SGD, Optimizer, lr_scheduler\n"
        "from tinygrad_bn.optim.lr_scheduler import StepLR\n"
        "from tinygrad_bn.autograd import grad, gradcheck, gradgradcheck\n",
        names,
    )
    assert names["F"] is tg.nn.functional
    assert names["lr_scheduler"] is tg.optim.lr_scheduler
    assert issubclass(names["SGD"], names["Optimizer"])


def test_a_program_in_pytorchs_words_runs_on_gradcheck(torch):
    for m in (tg, torch):
        autograd = importlib.import_module(f"{m.__name__}.autograd")
        x = m.tensor([0.5, -1.5, 2.0], dtype=m.float64, requires_grad=True)
        assert autograd.gradcheck(lambda x: (x * x).tanh(), (x,))
        assert autograd.gradgradcheck(lambda x: (x * x).tanh(), (x,))
        (slope,) = autograd.grad((x * x).sum(), x)
        assert slope.tolist() == [1, -3, 4]
