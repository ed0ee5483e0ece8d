"""[3] The gradient checker: it must pass what is right and, above all, refuse what is wrong.

Each wrong gradient is a mistake that is easily made, planted in an operation of its own.
"""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from oracle import leaf, normal_leaf

import tinygrad_bn as tg
from tinygrad_bn.autograd import gradcheck, gradgradcheck
from tinygrad_bn.engine import OUTPUT
from tinygrad_bn.gradcheck import difference_quotients, random_weights
from tinygrad_bn.tensor import record


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def normalized(z):
    return (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)


def once(array):
    """A vjp's result computed on arrays."""
    return tg.Tensor(np.asarray(array))


def scale_one_element(g):
    g = g.data.copy()
    g.flat[-1] *= 1.001
    return once(g)


def swapped(x):
    """x @ A with a fixed square A, so that a forgotten transpose still has the right shape."""
    a = np.random.default_rng(9).standard_normal((3, 3))
    return record("matmul", x.data @ a, (x, lambda g, y: once(g.data @ a)))


WRONG = {
    "off by 0.1 %": lambda x: record("square", x.data**2, (x, lambda g, y: g * x * 2.002)),
    "of the wrong sign": lambda x: record("neg", -x.data, (x, lambda g, y: g)),
    "transposed": swapped,
    "missing one term of a product": lambda x: record("x·x", x.data**2, (x, lambda g, y: g * x)),
    "missing the sum in softmax": lambda x: record(
        "softmax", softmax(x.data), (x, lambda g, y: g * y, OUTPUT)
    ),
    "missing the variance in batch norm": lambda x: record(
        "batch_norm",
        normalized(x.data),
        (x, lambda g, y: once((g.data - g.data.mean(0)) / np.sqrt(x.data.var(0) + 1e-5))),
    ),
    "wrong on one element": lambda x: record(
        "clone", x.data.copy(), (x, lambda g, y: scale_one_element(g))
    ),
    "zero for softmax": lambda x: record("softmax", softmax(x.data), (x, lambda g, y: g * 0.0)),
    "zero for batch norm": lambda x: record(
        "batch_norm", normalized(x.data), (x, lambda g, y: g * 0.0)
    ),
    "NaN": lambda x: record("double", x.data * 2, (x, lambda g, y: g * np.nan)),
    "NaN on one element": lambda x: record(
        "clone", x.data.copy(), (x, lambda g, y: g * tg.Tensor(np.array([1, 1, np.nan])))
    ),
    "infinite": lambda x: record("double", x.data * 2, (x, lambda g, y: g * np.inf)),
    "cut by detach in one factor": lambda x: x * x.detach(),
    "cut by detach altogether": lambda x: (x * x).detach(),
    "cut by no_grad altogether": tg.no_grad()(lambda x: x * x),
}


@pytest.mark.parametrize("fn", WRONG.values(), ids=WRONG)
def test_a_wrong_gradient_is_refused(fn):
    # square, so that the transposed product has the right shape
    with pytest.raises(AssertionError, match="finite differences"):
        gradcheck(fn, normal_leaf(3, 3))


RIGHT = {
    "square": lambda x: record("square", x.data**2, (x, lambda g, y: g * x * 2)),
    "softmax": lambda x: record(
        "softmax",
        softmax(x.data),
        (x, lambda g, y: y * (g - (g * y).sum(-1, keepdim=True)), OUTPUT),
    ),
    "constant sum": lambda x: x - x.mean(),
    "constant": lambda x: x * 0.0,
    "large": lambda x: (x * 3).exp() * 1e4,
    "small": lambda x: x.tanh() * 1e-6,
    "one number": lambda x: (x * x).mean(),
    "a tuple": lambda x: (x.exp(), x.tanh().sum(0)),
    "a list": lambda x: [x.exp(), x.sum()],
    "a tuple with a constant": lambda x: (x.exp(), x.max(0).indices, tg.ones(2)),
    "max": lambda x: x.max(1).values,
}


@pytest.mark.parametrize("fn", RIGHT.values(), ids=RIGHT)
def test_a_right_gradient_is_accepted(fn):
    assert gradcheck(fn, normal_leaf(3, 3)) is True
    assert gradcheck(fn, [normal_leaf(3, 3, seed=1)], seed=5) is True


@pytest.mark.parametrize("wrong", [0, 1])
def test_every_input_is_checked_and_the_wrong_one_named(wrong):
    def fn(a, b):
        factor = [2.0, 2.0]
        factor[wrong] = 2.002
        pairs = zip((a, b), factor, strict=True)
        vjps = [(t, lambda g, y, f=f: g * f) for t, f in pairs]
        return record("2(a + b)", 2 * (a.data + b.data), *vjps)

    a, b = normal_leaf(2, seed=1), normal_leaf(2, seed=2)
    with pytest.raises(AssertionError, match=f"input {wrong}"):
        gradcheck(fn, (a, b))
    (a, b)[wrong].requires_grad = False  # what requires no gradient is not checked
    assert gradcheck(fn, (a, b))


@pytest.mark.parametrize("wrong", [0, 1])
def test_every_output_is_checked(wrong):
    bad = WRONG["off by 0.1 %"]
    outputs = [lambda x: x * x, lambda x: x * x]
    outputs[wrong] = bad
    with pytest.raises(AssertionError):
        gradcheck(lambda x: tuple(f(x) for f in outputs), normal_leaf(3))


def test_an_output_that_lost_its_history_beside_a_good_one_is_refused():
    with pytest.raises(AssertionError):
        gradcheck(lambda x: (x * x, (x * 3).detach()), normal_leaf(3))


def test_the_error_names_the_worst_element_and_both_values():
    x = tg.Tensor(np.array([[1.0, 2.0], [3.0, 4.0]]), requires_grad=True)
    factor = tg.Tensor(np.array([[1.0, 1.0], [1.5, 1.001]]))
    with pytest.raises(AssertionError) as info:
        gradcheck(lambda x: record("sum", x.data.sum(), (x, lambda g, y: g * factor)), x)
    message = str(info.value)
    assert "(1, 0)" in message
    found, expected = map(float, re.findall(r"-?\d+\.\d+", message))
    assert found / expected == pytest.approx(1.5)


def test_where_the_gradient_is_nan_is_worse_than_anything_else():
    factor = tg.Tensor(np.array([5.0, 1.0, np.nan, 2.0]))
    with pytest.raises(AssertionError, match=r"element \(2,\).*nan"):
        gradcheck(
            lambda x: record("sum", x.data.sum(), (x, lambda g, y: g * factor)), normal_leaf(4)
        )


def test_difference_quotients_are_those_of_float64():
    """Of 3x⁴ at 1: 12, and the error 12 ε² of central differences; float32 has 7 digits."""
    array = np.array([1.0])
    found = difference_quotients(lambda: 3 * array[0] ** 4, array, 1e-5)
    assert found.dtype == np.float64
    assert abs(found[0] - 12) < 5e-9


def test_the_seed_draws_the_weights():
    outputs = [tg.zeros(2, 3), tg.zeros(4)]
    first, again, other = (random_weights(outputs, seed) for seed in (0, 0, 1))
    assert [w.shape for w in first] == [(2, 3), (4,)]
    for a, b, c in zip(first, again, other, strict=True):
        assert a.tolist() == b.tolist()
        assert (a.data != c.data).all()


def test_a_gradient_error_is_an_assertion_error():
    with pytest.raises(AssertionError):
        gradcheck(WRONG["NaN"], normal_leaf(3))


def test_tolerances_are_the_callers():
    bad = WRONG["off by 0.1 %"]
    assert gradcheck(bad, normal_leaf(3), rtol=1e-2)
    with pytest.raises(AssertionError):
        gradcheck(bad, normal_leaf(3), rtol=1e-4)
    assert gradcheck(bad, normal_leaf(3), atol=1.0)


# --- second derivatives --------------------------------------------------------------------------


def cube(second):
    """x³ with its derivative g·3x², whose own derivative towards x is gg·second(x, g)."""

    def pull_back(g, x):
        slope = 3 * x.data**2
        towards_g = (g, lambda gg, _: gg * slope)
        return record("cube'", g.data * slope, towards_g, (x, lambda gg, _: gg * second(x, g)))

    return lambda x: record("cube", x.data**3, (x, lambda g, y: pull_back(g, x)))


WRONG_SECOND = {
    "off by 0.1 %": cube(lambda x, g: g * x * 6.006),
    "zero": cube(lambda x, g: g * 0.0),
    "without the weights": cube(lambda x, g: x * 6.0),
    "NaN": cube(lambda x, g: g * np.nan),
    "not recorded": lambda x: record(
        "cube", x.data**3, (x, lambda g, y: once(g.data * 3 * x.data**2))
    ),
    "recorded towards the weights alone": lambda x: record(
        "cube", x.data**3, (x, lambda g, y: g * once(3 * x.data**2))
    ),
    "recorded towards the input alone": lambda x: record(
        "cube", x.data**3, (x, lambda g, y: once(g.data) * 3 * x * x)
    ),
}


@pytest.mark.parametrize("fn", WRONG_SECOND.values(), ids=WRONG_SECOND)
def test_a_wrong_second_derivative_is_refused_though_the_first_is_right(fn):
    assert gradcheck(fn, normal_leaf(3))
    with pytest.raises(AssertionError, match="finite differences"):
        gradgradcheck(fn, normal_leaf(3))


def test_a_wrong_first_derivative_fails_gradcheck_but_not_gradgradcheck():
    # 2.002·x·g is a consistent function: only gradcheck compares it with x²
    assert gradgradcheck(WRONG["off by 0.1 %"], normal_leaf(3))


def test_tolerances_of_second_derivatives_are_the_callers():
    bad = WRONG_SECOND["off by 0.1 %"]
    assert gradgradcheck(bad, normal_leaf(3), rtol=1e-2)
    with pytest.raises(AssertionError):
        gradgradcheck(bad, normal_leaf(3), rtol=1e-4)


def test_right_second_derivatives_are_accepted():
    assert gradgradcheck(cube(lambda x, g: g * x * 6.0), normal_leaf(3)) is True
    assert gradgradcheck(lambda x: x * 2, normal_leaf(3))  # linear: the second derivative is zero
    assert gradgradcheck(
        lambda a, b: (a @ b, (a * a).sum()), (normal_leaf(2, 3), normal_leaf(3, 2))
    )
    constant = tg.Tensor(np.array([1.0, 2.0]))
    assert gradgradcheck(lambda a, c: a.exp() * c, (normal_leaf(2), constant))


# --- what it asks of its inputs, and leaves of them ----------------------------------------------


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_float32_inputs_are_too_coarse(check):
    x, z = normal_leaf(2), tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="input 1 is float32"):
        check(lambda a, b: a * b, (x, z))
    assert check(lambda a, b: a * b, (x, z.detach()))  # as a constant it may be anything
    assert check(lambda a, n: a[n], (x, tg.tensor([1, 0, 1])))


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_an_input_must_require_a_gradient(check):
    with pytest.raises(ValueError, match="requires_grad"):
        check(lambda x: x * 2, tg.Tensor(np.ones(2)))


def failing_after(calls):
    def fn(x):
        fn.calls += 1
        if fn.calls > calls:
            raise ZeroDivisionError
        return x * x

    fn.calls = 0
    return fn


@pytest.mark.parametrize(
    ("fn", "error"),
    [(RIGHT["softmax"], None), (WRONG["off by 0.1 %"], AssertionError)]
    + [(failing_after(n), ZeroDivisionError) for n in (1, 2)],
    ids=["accepted", "refused", "fn fails above", "fn fails below"],
)
def test_inputs_grads_and_generators_are_as_they_were(fn, error):
    x = normal_leaf(2, 3)
    x.grad = kept = tg.Tensor(np.full((2, 3), 7.0))
    before = x.data.copy()
    expected_draw = tg.randn(3).data
    tg.manual_seed(0)
    if error:
        with pytest.raises(error):
            gradcheck(fn, x)
    else:
        assert gradcheck(fn, x)
        assert gradgradcheck(fn, x)
    assert_array_equal(x.data, before)
    assert x.grad is kept
    assert_array_equal(kept.data, np.full((2, 3), 7.0))
    assert tg.is_grad_enabled()
    assert_array_equal(tg.randn(3).data, expected_draw)


def test_inputs_of_any_layout_are_moved_in_place():
    square = WRONG["off by 0.1 %"]
    for array in (np.array(0.5), np.arange(6.0).reshape(2, 3).T, np.arange(1.0, 9.0)[::2]):
        x = tg.Tensor(array, requires_grad=True)
        assert gradcheck(lambda x: x**2, x)
        with pytest.raises(AssertionError):  # an array that is copied, not moved, has slope 0
            gradcheck(square, x)
    x = tg.tensor(0.0, dtype=tg.float64, requires_grad=True)
    x.data = np.arange(1.0, 9.0).reshape(2, 4).T[::2]  # a view of memory that is not contiguous
    assert gradcheck(lambda x: x**2, x)
    with pytest.raises(AssertionError):
        gradcheck(square, x)


def test_the_seed_chooses_the_weights():
    """The error says the gradient, which is that of another sum for each seed."""

    def message(seed):
        x = leaf([0.5, -1.0])
        with pytest.raises(AssertionError) as error:
            gradcheck(lambda x: record("neg", -x.data, (x, lambda g, y: g)), x, seed=seed)
        return str(error.value)

    assert message(0) == message(0)
    assert message(0) != message(1)
