"""The kernels and their plain twins: one and the same operation, in blocks of any size.

The arrays of other tests are mostly too small to be divided into blocks. Here everything is, down
to blocks of a single item. Memory that a kernel gets from NumPy holds garbage; here, always.
"""

from functools import partial

import numpy as np
import pytest
from definitions import conv2d_naive
from layouts import LAYOUTS, repeated
from oracle import around, assert_all_close, assert_close, normal
from programs import answer, start

import tinygrad_bn as tg
from tinygrad_bn import kernels, nn
from tinygrad_bn.compiler import norm_relu_pool_train
from tinygrad_bn.kernels import convolution, normalization, plain, pooling

F = tg.nn.functional
WITH_BLOCKS = [convolution, normalization, pooling]
TWINS = [
    name
    for name in kernels.__all__
    if getattr(getattr(plain, name, None), "__module__", "") == plain.__name__
]


def in_blocks_of(cache, monkeypatch):
    """As if so many bytes were all that a cache holds."""
    for module in WITH_BLOCKS:
        right = module.blocks
        monkeypatch.setattr(
            module,
            "blocks",
            lambda count, nbytes, _, right=right: right(count, nbytes, cache),
        )


def with_plain_kernels(monkeypatch):
    for name in TWINS:
        monkeypatch.setattr(kernels, name, getattr(plain, name))


def with_padding(x, w, b):
    return F.conv2d(x, w, b, padding=1)


def with_everything(x, w, b):
    return F.conv2d(x, w, b, stride=(2, 1), padding=(1, 3), dilation=(1, 2), groups=2)


def batch_norm(x, weight=None, bias=None):
    return F.batch_norm(x, None, None, weight, bias, training=True)


def dropped(x):
    tg.manual_seed(3)
    return F.dropout(x, 0.3)


def normalized_winners(x, gamma, beta):
    """As the compiler joins batch normalization, ReLU and max-pooling."""
    y, _, _ = norm_relu_pool_train(nn.MaxPool2d(2), x, gamma, beta, 1e-5)
    return y


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
    "batch norm, the largest of windows": (normalized_winners, (3, 7, 6, 6), (7,), (7,)),
    "linear": (F.linear, (9, 5), (7, 5), (7,)),
    "matrix product": (lambda a, b: a @ b, (9, 5), (5, 7)),
    "matrix product, transposed": (lambda a, b: a.T @ b.T, (5, 9), (7, 5)),
    "relu": (lambda x: x.relu(), (3, 70, 90)),
    "minimum and maximum": (lambda x: x.clamp(-0.5, 0.5), (7, 9)),
    "dropout": (dropped, (5, 7, 6)),
}
operations = pytest.mark.parametrize("name", OPERATIONS)


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
def test_fast_and_plain_kernels_give_the_same_values_and_first_and_second_derivatives(
    name, monkeypatch
):
    expected = results(name)
    with_plain_kernels(monkeypatch)
    assert_all_close(results(name), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_masked_has_the_bits_of_0_and_the_rest_its_own(dtype):
    g = np.array([1.5, -1.5, np.inf, -np.inf, np.nan, -0.0, 0.0, -1e-40], dtype)
    for mask in (np.arange(8) % 2 == 0, np.arange(8) % 2 == 1, np.ones(8, bool), np.zeros(8, bool)):
        found, expected = kernels.masked(g, mask), plain.masked(g, mask)
        assert found.dtype == dtype
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("share", [1, 2, 1000, 32768, 65535, 65536])
def test_of_all_that_can_be_drawn_just_a_share_is_dropped(share):
    """For each of the 65,536 numbers, drawn once."""

    class Everything:
        def integers(self, high, *, size, dtype):
            assert (high, size) == (65536, (256, 256))
            return np.arange(high).astype(dtype).reshape(size)

    for kernel in (kernels.kept_by_dropout, plain.kept_by_dropout):
        kept = kernel(np.zeros((256, 256), np.float32), share, Everything())
        assert kept.dtype == bool
        np.testing.assert_array_equal(kept.T.ravel(), np.arange(65536) >= share)


def test_every_kernel_has_a_twin_that_the_switch_takes():
    others = {
        "sum_over",
        "tensor_text",
        "set_state",
        "state_bytes",
    }  # the plain way is the fast one
    assert set(kernels.__all__) - others == set(TWINS)
    program = f"""
import tinygrad_bn.kernels as kernels
print(json.dumps([getattr(kernels, name).__module__ for name in {TWINS}]))
"""
    assert set(answer(start(program, kernels="plain"))) == {plain.__name__}
    fast = answer(start(program, kernels="fast"))
    alone = [name for name, module in zip(TWINS, fast, strict=True) if module == plain.__name__]
    assert alone == ["max_pool2d_collect"]  # for second derivatives only: it need not be fast


@operations
@pytest.mark.parametrize("cache", [1, 1000, 5000])
def test_results_do_not_depend_on_the_size_of_the_blocks(name, cache, monkeypatch):
    in_blocks_of(1 << 40, monkeypatch)
    expected = results(name)
    monkeypatch.undo()
    in_blocks_of(cache, monkeypatch)
    assert_all_close(results(name), expected)


blocks = pytest.mark.parametrize("cache", [1, 1000, 5000])


@blocks
def test_a_convolution_in_blocks_is_its_definition(cache, monkeypatch):
    in_blocks_of(cache, monkeypatch)
    x, w, b = normal(2, 6, 9, 13), normal(4, 3, 2, 5, seed=1), normal(4, seed=2)
    y = with_everything(tg.tensor(x), tg.tensor(w), tg.tensor(b))
    assert_close(y, conv2d_naive(x, w, b, (2, 1), (1, 3), (1, 2), 2))


@blocks
def test_batch_norm_in_blocks_moves_the_statistics_of_every_channel(cache, monkeypatch):
    in_blocks_of(cache, monkeypatch)
    x = normal(3, 7, 4, 5)
    mean, var = tg.zeros(7).double(), tg.ones(7).double()
    F.batch_norm(tg.tensor(x), mean, var, training=True, momentum=0.5)
    axes = (0, 2, 3)
    assert_close(mean, x.mean(axes) / 2)
    assert_close(var, (1 + x.var(axes, ddof=1)) / 2)


@blocks
def test_batch_norm_in_blocks_measures_a_channel_from_a_value_of_its_own(cache, monkeypatch):
    """Near 10,000, float32 numbers are 0.001 apart; but their differences are exact."""
    in_blocks_of(cache, monkeypatch)
    offsets = 1e4 * np.arange(7).reshape(7, 1, 1)
    x = (offsets + 0.1 * normal(9, 7, 4, 5)).astype(np.float32)
    exact = x.astype(float) - x.mean((0, 2, 3), dtype=float, keepdims=True)
    exact /= exact.std((0, 2, 3), keepdims=True)
    y = F.batch_norm(tg.tensor(x), None, None, training=True, eps=0)
    np.testing.assert_allclose(y.numpy(), exact, rtol=0, atol=1e-4)


WAYS = [LAYOUTS[name] for name in ("contiguous", "column by column", "backwards")]
WAYS += [repeated, lambda array: repeated(array, axis=1)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_a_matrix_product_is_numpys_however_its_operands_lie(dtype):
    shapes = [((9, 5), (5, 7)), ((1, 5), (5, 1)), ((9, 1), (1, 7)), ((0, 5), (5, 7))]
    shapes += [
        ((9, 0), (0, 7)),
        ((9, 5), (5, 0)),
        ((2, 3, 5), (5, 4)),
        ((5, 4), (2, 4, 3)),
    ]
    for (a, b), by_a in [(s, layout) for s in shapes for layout in WAYS]:
        a, b = ((3 * normal(*s, seed=i)).astype(dtype) for i, s in enumerate((a, b)))
        for by_b in WAYS:
            left, right = (v if v.ndim > 2 else f(v) for v, f in ((a, by_a), (b, by_b)))
            found = (around(left) @ around(right)).numpy()
            np.testing.assert_allclose(found, left @ right, rtol=1e-5, atol=1e-5, strict=True)


@operations
def test_what_the_memory_held_before_is_in_no_result(name, monkeypatch):
    """NumPy's empty arrays hold old numbers, but often zeros, which would hide a forgotten one."""
    expected = results(name)

    def full(make, *arguments, **options):
        array = make(*arguments, **options)
        array.fill(np.nan if array.dtype.kind == "f" else 1)
        return array

    monkeypatch.setattr(np, "empty", partial(full, np.empty))
    monkeypatch.setattr(np, "empty_like", partial(full, np.empty_like))
    in_blocks_of(1, monkeypatch)
    assert_all_close(results(name), expected)
