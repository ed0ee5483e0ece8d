"""Sums of float32 numbers: as exact as PyTorch's, however many there are and wherever they lie.

The error of a sum is measured against float64. It may be four times PyTorch's, and 8 units in the
last place of the largest term more.
"""

import math

import numpy as np
import pytest
from oracle import around

import tinygrad_bn as tg
from tinygrad_bn import kernels, nn
from tinygrad_bn.kernels import reductions

F = nn.functional


def drawn(number):
    """An array of 1 to 4 axes in any memory order, with an offset, and some of its axes."""
    rng = np.random.default_rng(number)
    ndim = int(rng.integers(1, 5))
    longest = int(rng.integers(0, ndim))
    shape = [int(rng.integers(1, 9)) for _ in range(ndim)]
    shape[longest] = int(2 ** rng.uniform(1, 17 - math.log2(math.prod(shape) / shape[longest])))
    order = rng.permutation(ndim)
    array = rng.standard_normal([shape[axis] for axis in order], np.float32)
    array += np.float32(rng.choice([0, 1, 100, -1e4, 3e6]))
    array = array.transpose(np.argsort(order))
    if rng.random() < 0.2:
        array = array[::-1]
    if rng.random() < 0.2 and array.shape[-1] > 1:
        array = array[..., ::2]
    axes = tuple(axis for axis in range(ndim) if axis == longest or rng.random() < 0.5)
    return array, axes


def unit(terms):
    """In the last place of the largest of them."""
    return float(np.spacing(np.abs(terms).max().astype(np.float32)))


def assert_as_exact(found, theirs, exact, one_unit, divisor=1.0):
    error = np.abs(found.detach().numpy().astype(np.float64) - exact).max()
    allowed = 4 * np.abs(theirs.detach().numpy().astype(np.float64) - exact).max()
    assert error <= allowed + 8 * one_unit / divisor, (error, allowed, one_unit)


@pytest.mark.parametrize("number", range(200))
def test_sum_mean_and_var_are_as_exact_as_pytorchs(torch, number):
    array, axes = drawn(number)
    x, wide = around(array), array.astype(np.float64)
    y = torch.from_numpy(array.copy())
    assert_as_exact(x.sum(axes), y.sum(axes), wide.sum(axes), unit(array))
    assert_as_exact(x.mean(axes), y.mean(axes), wide.mean(axes), unit(array))
    found, theirs = x.var(axes, correction=0), y.var(axes, correction=0)
    squares = (wide - wide.mean(axes, keepdims=True)) ** 2
    assert_as_exact(found, theirs, wide.var(axes), unit(squares))


@pytest.mark.parametrize("number", range(40))
def test_the_gradient_of_a_bias_is_as_exact_as_pytorchs(torch, number):
    rng = np.random.default_rng(number)
    rows, out = int(2 ** rng.uniform(1, 17)), int(rng.integers(1, 8))
    g = rng.standard_normal((rows, out)).astype(np.float32) + np.float32(rng.choice([0, 1, 50]))
    if number % 2:
        g = np.asfortranarray(g)
    grads = []
    for m in (tg, torch):
        x, w = m.zeros(rows, 2), m.zeros(out, 2)
        b = m.zeros(out, requires_grad=True)
        y = (F if m is tg else m.nn.functional).linear(x, w, b)
        y.backward(around(g) if m is tg else m.from_numpy(g.copy()))
        grads.append(b.grad)
    assert_as_exact(*grads, g.astype(np.float64).sum(0), unit(g))


@pytest.mark.parametrize(
    "shape", [(64, 3, 28, 28), (8, 5, 128, 120), (4000, 3, 1, 1), (3, 2, 7, 5)]
)
@pytest.mark.parametrize("order", ["batch last", "batch first"])
def test_the_gradient_of_a_convolutions_bias_is_as_exact_as_pytorchs(torch, rng, shape, order):
    g = rng.standard_normal(shape).astype(np.float32) + 1
    if order == "batch last":
        g = np.ascontiguousarray(g.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
    grads = []
    for m in (tg, torch):
        x, w = m.zeros(shape[0], 1, *shape[2:]), m.zeros(shape[1], 1, 1, 1)
        b = m.zeros(shape[1], requires_grad=True)
        y = (F if m is tg else m.nn.functional).conv2d(x, w, b)
        y.backward(around(g) if m is tg else m.from_numpy(g.copy()))
        grads.append(b.grad)
    assert_as_exact(*grads, g.astype(np.float64).sum((0, 2, 3)), unit(g))


@pytest.mark.parametrize(
    "shape", [(128, 2, 56, 56), (100_000, 3), (7, 3, 1000), (1025, 2), (4, 2, 2)]
)
@pytest.mark.parametrize("offset", [0, 30])
def test_the_statistics_of_batch_normalization_are_as_exact_as_pytorchs(torch, rng, shape, offset):
    """After a ReLU, as they mostly are: all terms have one sign."""
    array = np.maximum(rng.standard_normal(shape), 0).astype(np.float32) + np.float32(offset)
    axes = (0, *range(2, array.ndim))
    channels = shape[1]
    m = array.size // channels
    found = []
    for library, x in ((tg, around(array)), (torch, torch.from_numpy(array))):
        functions = F if library is tg else library.nn.functional
        mean, var = library.zeros(channels), library.ones(channels)
        functions.batch_norm(x, mean, var, training=True, momentum=1.0)
        found.append((mean, var))
    wide = array.astype(np.float64)
    (mean, var), (their_mean, their_var) = found
    assert_as_exact(mean, their_mean, wide.mean(axes), unit(array) / 8)
    exact = wide.var(axes, ddof=1)
    assert_as_exact(var, their_var, exact, unit(exact) * m / (m - 1))


@pytest.mark.parametrize("number", range(200))
def test_batch_normalization_is_as_exact_as_pytorchs_in_any_memory_order(torch, number):
    """PyTorch adds up in float64, so that its error can be next to nothing by luck."""
    rng = np.random.default_rng(number)
    channels, length = int(rng.integers(1, 4)), int(rng.integers(1, 400))
    shape = (int(rng.integers(2, 40)), channels, length)
    order = rng.permutation(3)
    arrays = rng.standard_normal((2, *[shape[axis] for axis in order]), np.float32)
    arrays += rng.choice([0, 1, 100, -1e4], (2, 1, 1, 1)).astype(np.float32)
    array, g = arrays.transpose(0, *(1 + np.argsort(order)))
    found = []
    for library, to in ((tg, around), (torch, lambda a: torch.from_numpy(a.copy()))):
        mean, var, bias = library.zeros(channels), library.ones(channels), library.zeros(channels)
        bias.requires_grad = True
        functions = F if library is tg else library.nn.functional
        y = functions.batch_norm(to(array), mean, var, None, bias, training=True, momentum=1.0)
        y.backward(to(g))
        found.append((mean, var, bias.grad))
    means, variances, gradients = zip(*found, strict=True)
    wide, m = array.astype(np.float64), array.size // channels
    squares = (wide - wide.mean((0, 2), keepdims=True)) ** 2
    assert_as_exact(*means, wide.mean((0, 2)), unit(array))
    assert_as_exact(*variances, squares.sum((0, 2)) / (m - 1), unit(squares) * m / (m - 1))
    assert_as_exact(*gradients, g.sum((0, 2), np.float64), unit(g))


@pytest.mark.parametrize("height", [40, 3000, 200_000])
def test_the_gradient_of_a_kernel_is_as_exact_as_pytorchs_in_high_images(torch, height):
    x = np.random.default_rng(0).random((1, 2, height, 3), np.float32) + 1
    grads = []
    for m, functions in ((tg, F), (torch, torch.nn.functional)):
        w = m.ones(2, 2, 1, 1, requires_grad=True)
        functions.conv2d(m.tensor(x), w).sum().backward()
        grads.append(w.grad)
    exact = np.broadcast_to(x.sum((0, 2, 3), np.float64), (2, 2))[:, :, None, None]
    assert_as_exact(*grads, exact, unit(x))


def test_sums_keep_shape_and_dtype():
    for dtype, total in (("float32", "float32"), ("float64", "float64"), ("bool", "int64")):
        x = np.ones((2, 40, 3), dtype)
        for axes, keepdims, shape in (
            ((1,), False, (2, 3)),
            ((1,), True, (2, 1, 3)),
            ((0, 1, 2), False, ()),
            ((0, 2), True, (1, 40, 1)),
            ((), False, (2, 40, 3)),
        ):
            y = np.asarray(kernels.sum_over(x, axes, keepdims))
            assert (y.shape, y.dtype) == (shape, total)
            assert (y == 240 / max(y.size, 1)).all()
        assert np.asarray(kernels.sum_over(np.ones((0, 3), dtype), (0,))).tolist() == [0, 0, 0]


def test_ones_are_counted_beyond_what_one_by_one_could():
    x = tg.ones(20_000_000, 2)
    assert x.sum(0).tolist() == [2e7, 2e7]
    assert x.mean(0).tolist() == [1, 1]


def test_long_rows_lose_at_most_one_unit_in_the_last_place(rng):
    rows = rng.random((2, 1_000_000), np.float32)
    wide = rows.astype(np.float64)
    for found, exact in (
        (reductions.row_sums(rows), wide.sum(1)),
        (reductions.row_products(rows, rows), (wide * wide).sum(1)),
    ):
        assert (np.abs(found - exact) <= np.spacing(found)).all()


def test_rows_are_summed_in_pieces_whatever_their_length(rng):
    piece = reductions.PIECE
    for m in (1, piece - 1, piece, piece + 1, 2 * piece, 3 * piece - 72):
        a, b = rng.standard_normal((2, 500, m))  # not few, but for the shortest
        np.testing.assert_allclose(reductions.row_sums(a), a.sum(1), rtol=1e-12)
        np.testing.assert_allclose(reductions.row_products(a, b), (a * b).sum(1), rtol=1e-12)
        single = reductions.row_products(a.astype("float32"), b.astype("float32"))
        assert single.dtype == np.float32
