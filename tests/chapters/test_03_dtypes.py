"""Dtypes and numbers of which PyTorch's own samples showed that they were treated otherwise."""

import numpy as np
import pytest

import tinygrad_bn as tg

NO_BOOLS = [
    "b.abs()",
    "b.relu()",
    "b.argmax()",
    "b @ b",
    "b**b",
    "True**b",
    "m.arange(2, dtype=m.bool)",
]


@pytest.mark.parametrize("expression", NO_BOOLS)
def test_what_is_not_for_bools_in_pytorch_refuses_them_here(torch, expression):
    for m, expected in ((torch, RuntimeError), (tg, TypeError)):
        with pytest.raises(expected):
            eval(expression, {"m": m, "b": m.tensor([True, False])})


def test_integers_have_no_negative_powers():
    for base, exponent in (
        (tg.tensor([2, 3]), -1),
        (2, tg.tensor([1, -2])),
        (tg.tensor(2), tg.tensor(-2)),
    ):
        with pytest.raises(ValueError, match="negative powers of integers"):
            base**exponent
    assert (tg.tensor([2.0]) ** -1).item() == 0.5


def test_a_matrix_product_is_of_one_dtype(torch):
    for m, expected in ((torch, RuntimeError), (tg, TypeError)):
        for a, b in ((m.ones(2, 2), m.ones(2, 2, dtype=m.float64)), (m.ones(2), m.tensor([1, 2]))):
            with pytest.raises(expected):
                a @ b
            with pytest.raises(expected):
                b @ a
    array = np.ones(2)
    assert (array @ tg.ones(2)).dtype == (tg.ones(2) @ array).dtype == np.float64


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_larger_of_two_tensors_is_no_axis(name):
    x = tg.tensor([[1, 2], [3, 4]])
    for other in (x, tg.tensor(1)):  # the latter would pass for an axis
        with pytest.raises(TypeError, match=f"{name} takes an axis, not a tensor"):
            getattr(x, name)(other)


@pytest.mark.parametrize(
    "steps", [(0, -8.1, -4.0), (1.5, 5.5, 2), (2.1, -2.9, -1.0), (3.9,), (0, 9, 2.5)]
)
def test_arange_of_integers_cuts_off_first(torch, steps):
    expected = torch.arange(*steps, dtype=torch.int64).tolist()
    assert tg.arange(*steps, dtype=tg.int64).tolist() == expected


def test_arange_of_integers_needs_whole_steps():
    with pytest.raises(ValueError, match=r"steps of 0\.5 are no steps between integers"):
        tg.arange(0, 2, 0.5, dtype=tg.int64)


def test_to_takes_no_flags_of_pytorchs():
    with pytest.raises(TypeError, match="non_blocking and copy are left out"):
        tg.ones(2).to(tg.float64, False)


def test_no_correction_is_the_usual_one(torch):
    for m in (tg, torch):
        assert m.tensor([1.0, 3.0]).var(correction=None).item() == 2.0


def test_the_absolute_value_hands_no_nan_back(torch):
    for m in (tg, torch):
        x = m.tensor([float("nan"), -2.0, 0.0], requires_grad=True)
        abs(x).sum().backward()
        assert x.grad.tolist() == [0, -1, 0]


def test_numbers_that_no_integer_is_are_refused(torch):
    for m in (torch, tg):
        with pytest.raises((ValueError, RuntimeError), match="convert"):
            m.tensor([1.0, float("nan")], dtype=m.int64)
        with pytest.raises((OverflowError, RuntimeError)):
            m.tensor(1e30, dtype=m.int64)
    assert tg.tensor([2**53 + 1]).item() == 2**53 + 1


def test_bytes_are_no_numbers():
    """The state of the generator is the one tensor of uint8."""
    state = tg.get_rng_state()
    assert (state == state).tolist() == [True] * len(state)
    for expression in ("s + 1", "s + m.ones(1)", "m.ones(1) * s", "s / s", "s == 1", "-s + 1"):
        with pytest.raises(TypeError, match="dtype uint8: convert to float32"):
            eval(expression, {"s": state, "m": tg})
    assert state.float().tolist() == state.tolist()


def test_what_is_no_dtype_is_named():
    with pytest.raises(TypeError, match="dtype cuda: convert to float32, float64, int64 or bool"):
        tg.tensor([1], dtype="cuda")
    with pytest.raises(TypeError, match="dtype 7: convert to float32"):
        tg.tensor([1], dtype=7)


@pytest.mark.parametrize("ragged", [[[1, 2], [3]], [1, [2]], [[[1.0]], [[1.0, 2.0]]]])
def test_lists_of_unequal_lengths_are_refused(torch, ragged):
    with pytest.raises((ValueError, TypeError)):
        torch.tensor(ragged)
    with pytest.raises(ValueError, match="lists in a tensor must be of equal lengths"):
        tg.tensor(ragged)
