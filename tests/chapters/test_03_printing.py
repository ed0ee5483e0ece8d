"""[3] How a tensor prints: as in PyTorch, to the character, whatever it holds.

What differs is only what has another name: a dtype is `float64`, not `torch.float64`, and the
operation that made a tensor is named as it is named here.
"""

import re

import numpy as np
import pytest

import tinygrad_bn as tg


def both(torch, array, requires_grad=False):
    """The text of an array in either library."""
    ours = repr(tg.tensor(array, requires_grad=requires_grad))
    theirs = repr(torch.tensor(array, requires_grad=requires_grad))
    if "dtype" in theirs:  # the longer name may have to go to a line of its own
        ours, theirs = (re.sub(r",\n {7}(?=dtype|requires)", ", ", text) for text in (ours, theirs))
    return ours, theirs.replace("torch.", "")


KINDS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "small": lambda rng, shape: rng.standard_normal(shape) * 10.0 ** rng.integers(-9, 0),
    "large": lambda rng, shape: rng.standard_normal(shape) * 10.0 ** rng.integers(1, 12),
    "of all sizes": lambda rng, shape: (
        rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 7, shape)
    ),
    "whole": lambda rng, shape: rng.integers(-20, 20, shape).astype(float),
    "whole and large": lambda rng, shape: rng.integers(-(10**9), 10**9, shape).astype(float),
    "halves": lambda rng, shape: rng.integers(-9, 9, shape) / 2,
    "mostly zeros": lambda rng, shape: rng.standard_normal(shape) * (rng.random(shape) < 0.2),
    "zeros": lambda rng, shape: np.zeros(shape),
    "near one": lambda rng, shape: 1 + rng.standard_normal(shape) * 1e-6,
    "positive": lambda rng, shape: rng.uniform(0, 1, shape),
    "powers of ten": lambda rng, shape: 10.0 ** rng.integers(-5, 9, shape),
    "with inf and nan": lambda rng, shape: rng.choice(
        [np.nan, np.inf, -np.inf, 1.0, -2.5, 1e-7, 3e5], shape
    ),
    "inf, nan and whole": lambda rng, shape: rng.choice([np.nan, np.inf, -np.inf, 3, 40], shape),
    "nothing finite": lambda rng, shape: rng.choice([np.nan, np.inf, -np.inf], shape),
}
SHAPES = [(), (1,), (3,), (7,), (30,), (2, 3), (4, 1), (1, 12), (2, 3, 2), (2, 1, 2, 2), (9, 20)]
LONG = [(1000,), (1001,), (5000,), (40, 40), (1, 1001), (3, 400, 2), (200, 2, 3), (7, 8, 9, 10)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_floats_print_as_in_pytorch(torch, kind, dtype, seed):
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        array = np.asarray(KINDS[kind](rng, shape), dtype)
        for requires_grad in (False, True):
            ours, theirs = both(torch, array, requires_grad)
            assert ours == theirs


@pytest.mark.parametrize("kind", ["normal", "of all sizes", "whole", "mostly zeros", "halves"])
@pytest.mark.parametrize("shape", LONG, ids=str)
def test_long_ones_are_summarised_as_in_pytorch(torch, shape, kind):
    """More than 1,000 numbers: three at either end of every axis, whose format they decide."""
    array = np.asarray(KINDS[kind](np.random.default_rng(1), shape), "float32")
    array.reshape(-1)[array.size // 2] = 123456.789  # in the part that is left out
    for requires_grad in (False, True):
        ours, theirs = both(torch, array, requires_grad)
        assert ours == theirs


def test_where_the_brackets_leave_no_room_there_is_one_number_in_a_line(torch):
    """64 axes are the most that both libraries have; the margin alone takes 71 columns."""
    ours, theirs = both(torch, np.full((*[1] * 63, 2), 1.5e-7, "float32"), False)
    assert ours == theirs


@pytest.mark.parametrize("shape", [*SHAPES, *LONG], ids=str)
@pytest.mark.parametrize("top", [2, 10, 1000, 2**40])
def test_integers_and_bools_print_as_in_pytorch(torch, shape, top):
    rng = np.random.default_rng(2)
    for array in (rng.integers(-top, top, shape), rng.integers(0, 2, shape).astype(bool)):
        ours, theirs = both(torch, np.asarray(array))
        assert ours == theirs


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0), (1, 0, 4)])
def test_empty_ones_print_as_in_pytorch(torch, shape, dtype):
    ours, theirs = both(torch, np.zeros(shape, dtype))
    assert ours == theirs


@pytest.mark.parametrize("values", [[0.0, -0.0], [1e-5], [99999999.0], [100000001.0], [1e38]])
def test_borders_of_the_formats_print_as_in_pytorch(torch, values):
    for dtype in ("float32", "float64"):
        for array in (np.array(values, dtype), np.array(values[0], dtype)):
            ours, theirs = both(torch, array)
            assert ours == theirs


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (lambda: tg.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (lambda: tg.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: tg.tensor(3.0), "tensor(3.)"),
        (lambda: tg.tensor(0.12345678), "tensor(0.1235)"),
        (lambda: tg.tensor([1e-8, 1.0]), "tensor([1.0000e-08, 1.0000e+00])"),
        (lambda: tg.tensor([float("nan"), 1.0]), "tensor([nan, 1.])"),
        (lambda: tg.tensor([1, -20]), "tensor([  1, -20])"),
        (lambda: tg.tensor([True, False]), "tensor([ True, False])"),
        (lambda: tg.zeros(0), "tensor([])"),
        (lambda: tg.zeros(0, 3), "tensor([], size=(0, 3))"),
        (lambda: tg.ones(2, dtype=tg.float64), "tensor([1., 1.], dtype=float64)"),
        (lambda: tg.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
        (lambda: tg.zeros(2, 2), "tensor([[0., 0.],\n        [0., 0.]])"),
    ],
)
def test_by_hand(made, shown):
    """From PyTorch's own output, for where it is not installed."""
    assert repr(made()) == str(made()) == shown


def test_a_result_names_the_operation_that_made_it():
    y = tg.ones(2, requires_grad=True) * 2
    assert repr(y) == f"tensor([2., 2.], grad_fn=<{y.grad_fn.name}>)"


def test_printing_changes_no_setting_of_numpys():
    before = np.get_printoptions()
    repr(tg.randn(40, 40))
    assert np.get_printoptions() == before
    with np.printoptions(precision=2, suppress=True, threshold=5):
        assert repr(tg.tensor([0.123456] * 7)) == f"tensor([{', '.join(['0.1235'] * 7)}])"


@pytest.mark.parametrize("values", [[0.5, 500.0], [0.5, 500.5], [0.001, 1.0], [1.5, 1500.0]])
def test_at_the_border_of_exponents_as_in_pytorch(torch, values):
    ours, theirs = both(torch, np.array(values, np.float32))
    assert ours == theirs


@pytest.mark.parametrize("shape", [(6, 200), (7, 200), (200, 6), (5, 7, 6, 7), (1001,)])
def test_the_edges_of_axes_about_six_long_as_in_pytorch(torch, shape):
    ours, theirs = both(torch, np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    assert ours == theirs


@pytest.mark.parametrize("digits", range(1, 8))
@pytest.mark.parametrize("count", range(1, 30))
def test_a_suffix_goes_to_a_line_of_its_own_where_it_does_in_pytorch(torch, digits, count):
    ours, theirs = both(torch, np.full(count, 10.0**digits, np.float32), requires_grad=True)
    assert ours == theirs


def fitted(body, suffixes):
    """By the rule: behind what is there, if the line stays below its 80 columns; else below it."""
    lines = [*f"tensor({body}".splitlines()]
    for i, suffix in enumerate(suffixes):
        end = ")" if i == len(suffixes) - 1 else ""
        if len(lines[-1]) + 2 + len(suffix) + 1 > 80:
            lines[-1] += ","
            lines.append(" " * 7 + suffix + end)
        else:
            lines[-1] += f", {suffix}{end}"
    return "\n".join(lines)


@pytest.mark.parametrize("count", range(1, 24))
def test_two_suffixes_stand_side_by_side_where_there_is_room(count):
    x = tg.tensor(np.full(count, 1.0), requires_grad=True)
    body = repr(tg.ones(count)).removeprefix("tensor(").removesuffix(")")
    assert repr(x) == fitted(body, ["dtype=float64", "requires_grad=True"])
    assert max(map(len, repr(x).splitlines())) <= 80
