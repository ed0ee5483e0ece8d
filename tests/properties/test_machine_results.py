"""However an operation is divided into blocks and between threads, its results are the same.

The arrays of other tests are mostly too small to be divided. Here everything is, down to blocks of
a single item and shares of none.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from layouts import LAYOUTS, repeated
from oracle import around, assert_all_close, assert_close, normal

import tinygrad_bn as tg
from tinygrad_bn import machine
from tinygrad_bn.conv import conv2d_naive

F = tg.nn.functional
LARGE = 1 << 40


class OthersFirst:
    """Instead of threads: what it is given is done at once, and so before the caller's share."""

    def __init__(self):
        self.given = 0

    def submit(self, work, *arguments):
        self.given += 1
        done = Future()
        done.set_result(work(*arguments))
        return done


@contextmanager
def divided(threads, cache, helpers=None):
    """Operations of any size are shared between `threads`, in blocks of `cache` bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "threads", lambda: threads)
        patch.setattr(machine, "_WORTH", 0)
        patch.setattr(machine, "_CACHE", cache)
        patch.setattr(machine.blocks, "__defaults__", (cache,))
        if helpers is not None:
            patch.setattr(machine, "_helpers", lambda: helpers)
        yield


def undivided():
    return divided(1, LARGE)


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield threads


# --- the division itself ----------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_shares_are_all_of_it_once_and_results_come_in_their_order(threads, pool):
    for helpers in (OthersFirst(), pool):
        with divided(threads, LARGE, helpers):
            for count in range(12):
                found = machine.parallel(lambda share: [*range(12)][share], count, 1)
                assert [i for share in found for i in share] == [*range(count)]
                assert len(found) == max(min(threads, count), 1)


@pytest.mark.parametrize("share", [slice(0, 0), slice(0, 1), slice(0, 10), slice(3, 10)], ids=str)
def test_blocks_are_all_of_a_share_once_in_order(share):
    for nbytes in (0, 1, 2, 3, 7, 100):
        for cache in (1, 6, 7, LARGE):
            found = list(machine.blocks(share, nbytes, cache))
            assert [i for b in found for i in range(b.start, b.stop)] == [*range(10)][share]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_in_blocks_meets_every_item_once(threads):
    for count in range(12):
        for cache in (1, 2, LARGE):
            times = np.zeros(count, int)
            with divided(threads, cache, OthersFirst()):
                machine.in_blocks(lambda block, times=times: np.add.at(times, block, 1), count, 3)
            assert (times == 1).all()


# --- what is computed by it -------------------------------------------------------------------


def with_padding(x, w, b):
    return F.conv2d(x, w, b, padding=1)


def with_everything(x, w, b):
    return F.conv2d(x, w, b, stride=(2, 1), padding=(1, 3), dilation=(1, 2), groups=2)


def batch_norm(x, weight=None, bias=None):
    return F.batch_norm(x, None, None, weight, bias, training=True)


# name: (function, shapes of its arguments)
OPERATIONS = {
    "convolution": (with_padding, (3, 5, 7, 6), (4, 5, 3, 3), (4,)),
    "convolution, every option": (with_everything, (2, 6, 9, 13), (4, 3, 2, 5), (4,)),
    "convolution, one row": (lambda x, w: F.conv2d(x, w), (2, 3, 3, 6), (2, 3, 3, 2)),
    "depthwise": (lambda x, w: F.conv2d(x, w, groups=5), (2, 5, 6, 6), (10, 1, 3, 3)),
    "no images": (with_padding, (0, 3, 6, 6), (2, 3, 3, 3), (2,)),
    "max pooling": (lambda x: F.max_pool2d(x, 2), (3, 7, 6, 6)),
    "max pooling, overlapping": (lambda x: F.max_pool2d(x, 3, 2, 1), (3, 7, 9, 8)),
    "max pooling, dilated": (lambda x: F.max_pool2d(x, 2, 1, 1, 2), (2, 5, 6, 7)),
    "average pooling": (lambda x: F.avg_pool2d(x, 3, 2, 1), (2, 5, 9, 8)),
    "batch norm, (N, C)": (batch_norm, (9, 7), (7,), (7,)),
    "batch norm, (N, C, L)": (batch_norm, (3, 7, 5), (7,), (7,)),
    "batch norm, images": (batch_norm, (3, 7, 4, 5), (7,), (7,)),
    "batch norm, no γ and β": (batch_norm, (3, 7, 4, 5)),
    "linear": (F.linear, (9, 5), (7, 5), (7,)),
    "matrix product": (lambda a, b: a @ b, (9, 5), (5, 7)),
    "matrix product, transposed": (lambda a, b: a.T @ b.T, (5, 9), (7, 5)),
}
operations = pytest.mark.parametrize("name", OPERATIONS)
DIVISIONS = [(1, 1), (1, 1000), (1, 5000), (2, 1), (2, 2000), (2, LARGE), (3, 1), (3, LARGE)]
divisions = pytest.mark.parametrize(("threads", "cache"), DIVISIONS)


def results(name):
    """The output, the first derivatives (by both ways of batch norm), and theirs."""
    function, *shapes = OPERATIONS[name]
    # tenths: of several equal maxima, the first takes the gradient
    arrays = [normal(*shape, seed=i).round(1) for i, shape in enumerate(shapes)]
    leaves = [tg.tensor(a, requires_grad=True) for a in arrays]
    y = function(*leaves)
    g = tg.tensor(normal(*y.shape, seed=99), requires_grad=True)
    first = tg.grad(y, leaves, g, retain_graph=True)
    again = tg.grad(y, leaves, g, create_graph=True)
    cotangents = [tg.tensor(normal(*d.shape, seed=i)) for i, d in enumerate(again)]
    total = sum((d * c).sum() for d, c in zip(again, cotangents, strict=True))
    second = tg.grad(total, (*leaves, g), allow_unused=True)
    return [t.detach().numpy() for t in (y, *first, *again, *second) if t is not None]


@operations
@divisions
def test_divided_results_are_those_in_one_piece(name, threads, cache):
    with undivided():
        expected = results(name)
    helpers = OthersFirst()
    with divided(threads, cache, helpers):
        found = results(name)
    assert_all_close(found, expected)
    assert (helpers.given > 0) == (threads > 1)


@operations
@pytest.mark.parametrize("cache", [1, LARGE])
def test_results_of_threads_are_those_in_one_piece_and_always_the_same_bits(name, cache, pool):
    with undivided():
        expected = results(name)
    with divided(3, cache, pool):
        found, again = results(name), results(name)
    assert_all_close(found, expected)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, other)


@divisions
def test_a_divided_convolution_is_its_definition(threads, cache):
    x, w, b = normal(2, 6, 9, 13), normal(4, 3, 2, 5, seed=1), normal(4, seed=2)
    with divided(threads, cache, OthersFirst()):
        y = with_everything(tg.tensor(x), tg.tensor(w), tg.tensor(b))
    assert_close(y.numpy(), conv2d_naive(x, w, b, (2, 1), (1, 3), (1, 2), 2))


@divisions
def test_a_divided_batch_norm_moves_the_statistics_of_every_channel(threads, cache):
    x = normal(3, 7, 4, 5)
    mean, var = tg.zeros(7).double(), tg.ones(7).double()
    with divided(threads, cache, OthersFirst()):
        F.batch_norm(tg.tensor(x), mean, var, training=True, momentum=0.5)
    axes = (0, 2, 3)
    assert_close(mean.numpy(), x.mean(axes) / 2)
    assert_close(var.numpy(), (1 + x.var(axes, ddof=1)) / 2)


@divisions
def test_a_divided_batch_norm_measures_a_channel_from_a_value_of_its_own(threads, cache):
    """Near 10,000, float32 numbers are 0.001 apart; but their differences are exact."""
    offsets = 1e4 * np.arange(7).reshape(7, 1, 1)
    x = (offsets + 0.1 * normal(9, 7, 4, 5)).astype(np.float32)
    exact = x.astype(float) - x.mean((0, 2, 3), dtype=float, keepdims=True)
    exact /= exact.std((0, 2, 3), keepdims=True)
    with divided(threads, cache, OthersFirst()):
        y = F.batch_norm(tg.tensor(x), None, None, training=True, eps=0)
    np.testing.assert_allclose(y.numpy(), exact, rtol=0, atol=1e-4)


WAYS = [LAYOUTS[name] for name in ("contiguous", "column by column", "backwards")]
WAYS += [repeated, lambda array: repeated(array, axis=1)]


@divisions
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_a_divided_matrix_product_is_numpys(threads, cache, dtype):
    shapes = [((9, 5), (5, 7)), ((1, 5), (5, 1)), ((9, 1), (1, 7)), ((0, 5), (5, 7))]
    shapes += [((9, 0), (0, 7)), ((9, 5), (5, 0)), ((2, 3, 5), (5, 4)), ((5, 4), (2, 4, 3))]
    for (a, b), by_a in [(s, layout) for s in shapes for layout in WAYS]:
        a, b = ((3 * normal(*s, seed=i)).astype(dtype) for i, s in enumerate((a, b)))
        for by_b in WAYS:
            left, right = (v if v.ndim > 2 else f(v) for v, f in ((a, by_a), (b, by_b)))
            with divided(threads, cache, OthersFirst()):
                found = (around(left) @ around(right)).numpy()
            np.testing.assert_allclose(found, left @ right, rtol=1e-5, atol=1e-5, strict=True)


# --- memory -----------------------------------------------------------------------------------


@operations
def test_what_the_memory_held_before_is_in_no_result(name, monkeypatch):
    """NumPy's empty arrays hold old numbers, but often zeros, which would hide a forgotten one."""
    with undivided():
        expected = results(name)

    def full(make, *arguments, **options):
        array = make(*arguments, **options)
        array.fill(np.nan if array.dtype.kind == "f" else 1)
        return array

    monkeypatch.setattr(np, "empty", partial(full, np.empty))
    monkeypatch.setattr(np, "empty_like", partial(full, np.empty_like))
    for threads in (1, 2):
        with divided(threads, 1, OthersFirst()):
            found = results(name)
        assert_all_close(found, expected)
