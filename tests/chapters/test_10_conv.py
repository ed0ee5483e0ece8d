"""Convolution and pooling against their definitions, written as loops, and against PyTorch."""

import itertools
import re

import numpy as np
import pytest
from definitions import conv2d_naive
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import ANY_LAYOUT
from oracle import around, assert_close, assert_same_as_torch, normal

import tinygrad_bn as tg
from tinygrad_bn import conv as chapter
from tinygrad_bn import nn
from tinygrad_bn.autograd import gradcheck, gradgradcheck

F = tg.nn.functional
TORCH_WARNING = "ignore:Using padding='same' with even kernel"  # it warns of a copy, no more


# --- convolution: (shape of x, shape of w, options) -------------------------------------------

CONVOLUTIONS = {
    "plain": ((2, 3, 6, 7), (4, 3, 3, 3), {}),
    "one pixel kernel": ((2, 3, 4, 5), (4, 3, 1, 1), {}),
    "kernel as large as the image": ((2, 3, 4, 5), (2, 3, 4, 5), {}),
    "stride": ((2, 3, 7, 8), (4, 3, 3, 3), {"stride": 2}),
    "stride pair that leaves a rest": ((2, 2, 8, 9), (3, 2, 3, 2), {"stride": (3, 2)}),
    "stride longer than the kernel": ((2, 2, 9, 9), (3, 2, 2, 2), {"stride": 4}),
    "padding": ((2, 3, 5, 4), (4, 3, 3, 3), {"padding": 1}),
    "padding pair": ((2, 3, 5, 4), (4, 3, 3, 3), {"padding": (0, 2)}),
    "padding wider than the kernel": ((1, 2, 3, 3), (2, 2, 2, 2), {"padding": 3}),
    "valid": ((2, 3, 5, 6), (4, 3, 3, 2), {"padding": "valid"}),
    "same, odd kernel": ((2, 3, 5, 6), (4, 3, 3, 5), {"padding": "same"}),
    "same, even kernel": ((2, 3, 5, 6), (4, 3, 2, 4), {"padding": "same"}),
    "same, even kernel, dilated": (
        (1, 2, 6, 7),
        (2, 2, 2, 4),
        {"padding": "same", "dilation": 3},
    ),
    "dilation": ((2, 3, 8, 9), (4, 3, 3, 3), {"dilation": 2}),
    "dilation pair": ((2, 3, 8, 9), (4, 3, 3, 2), {"dilation": (3, 1)}),
    "groups of few channels": ((2, 4, 6, 5), (6, 2, 3, 3), {"groups": 2}),
    "groups of many channels": ((2, 12, 5, 5), (4, 6, 3, 3), {"groups": 2}),
    "depthwise": ((2, 5, 6, 6), (5, 1, 3, 3), {"groups": 5}),
    "depthwise, two outputs each": ((2, 3, 6, 6), (6, 1, 3, 3), {"groups": 3}),
    "rectangles everywhere": (
        (2, 4, 9, 13),
        (6, 2, 2, 5),
        {"stride": (2, 1), "padding": (1, 3), "dilation": (1, 2), "groups": 2},
    ),
    "one image": ((1, 3, 6, 6), (2, 3, 3, 3), {"padding": 1}),
    "no images": ((0, 3, 6, 6), (2, 3, 3, 3), {"padding": 1}),
    "a single pixel": ((2, 3, 1, 1), (2, 3, 1, 1), {}),
}
convolutions = pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"), CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys()
)


def by_definition(x, w, b, stride=1, padding=0, dilation=1, groups=1):
    """The documented sentence, through the naive loops. 'same' puts an odd row below and right."""
    dilation = (dilation,) * 2 if isinstance(dilation, int) else dilation
    stride = (stride,) * 2 if isinstance(stride, int) else stride
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
        x = np.pad(x, [(0, 0), (0, 0), *((t // 2, t - t // 2) for t in total)])
    padding = 0 if isinstance(padding, str) else padding
    padding = (padding,) * 2 if isinstance(padding, int) else padding
    return conv2d_naive(x, w, b, stride, padding, dilation, groups)


@pytest.mark.parametrize("convolve", [conv2d_naive, F.conv2d])
def test_convolution_of_a_worked_example(convolve):
    """Two input channels, worked out by hand. The kernel is not flipped."""
    x = np.array([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]]], float)
    w = np.array([[[[1, 0], [0, -1]], [[10, 20], [30, 40]]]], float)
    b = np.array([0.5])
    # The first channel, x[i, j] - x[i+1, j+1], is -4 everywhere; the second 50, 30, 20, 50.
    expected = np.array([[[[46.5, 26.5], [16.5, 46.5]]]])
    if convolve is F.conv2d:
        assert_close(F.conv2d(tg.tensor(x), tg.tensor(w), tg.tensor(b)).numpy(), expected)
    else:
        assert_close(conv2d_naive(x, w, b), expected)


@convolutions
def test_convolution_is_its_definition(x_shape, w_shape, options):
    x, w, b = normal(*x_shape), normal(*w_shape, seed=1), normal(w_shape[0], seed=2)
    for bias in (b, None):
        y = F.conv2d(
            tg.tensor(x),
            tg.tensor(w),
            bias if bias is None else tg.tensor(b),
            **options,
        )
        assert_close(y.numpy(), by_definition(x, w, bias, **options))


@pytest.mark.filterwarnings(TORCH_WARNING)
@convolutions
def test_convolution_and_all_its_gradients_are_pytorchs(torch, x_shape, w_shape, options):
    assert_same_as_torch(
        torch,
        lambda x, w, b: F.conv2d(x, w, b, **options),
        lambda x, w, b: torch.nn.functional.conv2d(x, w, b, **options),
        normal(*x_shape),
        normal(*w_shape, seed=1),
        normal(w_shape[0], seed=2),
    )


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        ((2, 2, 4, 3), (2, 2, 2, 2), {"padding": 1, "stride": 2}),
        ((1, 4, 4, 3), (2, 2, 2, 2), {"groups": 2, "dilation": (2, 1)}),
        ((1, 5, 3, 3), (1, 5, 2, 2), {"padding": "same"}),
    ],
)
def test_first_and_second_derivatives_of_convolution_are_difference_quotients(
    x_shape, w_shape, options
):
    inputs = [
        tg.tensor(normal(*shape, seed=i), requires_grad=True)
        for i, shape in enumerate((x_shape, w_shape, w_shape[:1]))
    ]
    assert gradcheck(lambda x, w, b: F.conv2d(x, w, b, **options), inputs)
    assert gradgradcheck(lambda x, w, b: F.conv2d(x, w, b, **options), inputs)


@pytest.mark.parametrize(
    ("channels", "groups", "stride"),
    [(16, 1, 1), (16, 4, 1), (1, 1, 1), (3, 3, 2), (40, 1, 1)],
)
def test_many_images_and_their_gradients_are_those_of_each_image_alone(channels, groups, stride):
    """70 images need several pieces of im2col memory, and the last piece is a short one."""
    x = tg.tensor(normal(70, channels, 28, 28), requires_grad=True)
    w = tg.tensor(normal(2 * groups, channels // groups, 3, 3, seed=1), requires_grad=True)
    options = {"stride": stride, "padding": 1, "groups": groups}
    y = F.conv2d(x, w, **options)
    g = tg.tensor(normal(*y.shape, seed=2))
    dx, dw = tg.grad(y, (x, w), g)
    total = np.zeros(w.shape)
    for i in range(70):
        alone = tg.tensor(x.data[i : i + 1], requires_grad=True)
        y_alone = F.conv2d(alone, w, **options)
        assert_close(y.data[i : i + 1], y_alone.detach().numpy())
        dx_alone, dw_alone = tg.grad(y_alone, (alone, w), g[i : i + 1])
        assert_close(dx.numpy()[i : i + 1], dx_alone.numpy())
        total += dw_alone.numpy()
    assert_close(dw.numpy(), total, 1e-9)


@pytest.mark.parametrize("asking", [0, 1, 2])
def test_the_gradient_of_one_input_alone_is_what_it_is_among_the_others(asking):
    """The first layer of a network needs no gradient towards the images."""
    arrays = normal(3, 4, 6, 6), normal(5, 4, 3, 3, seed=1), normal(5, seed=2)
    g = tg.tensor(normal(3, 5, 4, 4, seed=3))
    every = [tg.tensor(a, requires_grad=True) for a in arrays]
    expected = tg.grad(F.conv2d(*every), every, g)[asking]
    one = [tg.tensor(a, requires_grad=i == asking) for i, a in enumerate(arrays)]
    F.conv2d(*one).backward(g)
    assert_close(one[asking].grad.numpy(), expected.numpy())
    assert all(t.grad is None for i, t in enumerate(one) if i != asking)


def test_float32_loses_no_more_than_its_rounding():
    """576 products a sum, of numbers of size 1: errors of some 1e-7 each, adding up randomly."""
    x, w, g = (
        normal(4, 64, 14, 14),
        normal(8, 64, 3, 3, seed=1),
        normal(4, 8, 12, 12, seed=2),
    )
    results = []
    for dtype in (np.float64, np.float32):
        inputs = [tg.Tensor(a.astype(np.float32).astype(dtype), True) for a in (x, w)]
        y = F.conv2d(*inputs)
        y.backward(tg.tensor(g.astype(np.float32).astype(dtype)))
        results.append([y.detach().numpy(), *(t.grad.numpy() for t in inputs)])
    for exact, found in zip(*results, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-4)


def test_many_images_and_their_gradients_are_pytorchs(torch):
    assert_same_as_torch(
        torch,
        lambda x, w: F.conv2d(x, w, padding=1) * 0.1,
        lambda x, w: torch.nn.functional.conv2d(x, w, padding=1) * 0.1,
        normal(70, 16, 28, 28) * 0.1,
        normal(8, 16, 3, 3, seed=1) * 0.1,
    )


def test_a_result_is_not_overwritten_by_the_next_call():
    """Scratch memory is used again, and must not be what the caller was given."""
    w = tg.tensor(normal(8, 4, 3, 3), requires_grad=True)
    kept = []
    for seed in range(4):
        x = tg.tensor(normal(20, 4, 16, 16, seed=seed), requires_grad=True)
        y = F.max_pool2d(F.conv2d(x, w, padding=1), 2)
        arrays = [
            y.data,
            *(g.data for g in tg.grad(y, (x, w), tg.tensor(normal(*y.shape)))),
        ]
        kept.append((arrays, [a.copy() for a in arrays]))
    for arrays, copies in kept:
        for array, copy in zip(arrays, copies, strict=True):
            np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("layout", ANY_LAYOUT.values(), ids=ANY_LAYOUT.keys())
@pytest.mark.parametrize("channels", [2, 6])
def test_how_the_input_lies_in_memory_does_not_matter(layout, channels):
    x, w = layout(normal(3, channels, 8, 8)), normal(4, channels, 3, 3, seed=1)
    flipped = w[:, :, ::-1, ::-1]
    y = F.conv2d(around(x), around(flipped), padding=1)
    assert_close(y.numpy(), conv2d_naive(x, flipped, None, padding=(1, 1)))
    plain = tg.tensor(np.ascontiguousarray(x))
    for pool in (F.max_pool2d, F.avg_pool2d):
        assert_close(pool(around(x), 3, 2, 1).numpy(), pool(plain, 3, 2, 1).numpy())


def test_gradients_that_are_not_contiguous_are_used_correctly():
    x, w = normal(2, 3, 6, 6), normal(4, 3, 3, 3, seed=1)
    g = normal(2, 4, 4, 4, seed=2)
    results = []
    for cotangent in (tg.tensor(g), around(np.asfortranarray(g))):
        inputs = [tg.tensor(a, requires_grad=True) for a in (x, w)]
        results.append(tg.grad(F.conv2d(*inputs), inputs, cotangent))
    for one, other in zip(*results, strict=True):
        assert_close(one.numpy(), other.numpy())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "function",
    [
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
        lambda x, w, b: F.max_pool2d(x, 2, 1, 1),
        lambda x, w, b: F.avg_pool2d(x, 2, 1, 1),
    ],
)
def test_dtypes_are_kept_and_inputs_left_alone(function, dtype):
    arrays = [normal(*s).astype(dtype) for s in ((2, 3, 5, 5), (4, 3, 3, 3), (4,))]
    inputs = [tg.tensor(a, requires_grad=True) for a in arrays]
    y = function(*inputs)
    g = tg.tensor(normal(*y.shape).astype(dtype))
    kept = g.numpy().copy()
    y.backward(g)
    assert y.dtype == dtype
    assert all(t.grad.dtype == dtype for t in inputs if t.grad is not None)
    assert inputs[0].grad is not None
    for t, a in zip([*inputs, g], [*arrays, kept], strict=True):
        np.testing.assert_array_equal(t.data, a)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.conv2d(x, tg.tensor(normal(4, 3, 3, 3)), tg.tensor(normal(4)), padding=1),
        lambda x: F.max_pool2d(x, 3, 2, 1, 2),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
    ],
    ids=["conv2d", "max_pool2d", "avg_pool2d"],
)
def test_one_image_without_a_batch_is_a_batch_of_one(function):
    x = normal(3, 6, 7)
    single, batch = (
        tg.tensor(x, requires_grad=True),
        tg.tensor(x[None], requires_grad=True),
    )
    y, expected = function(single), function(batch)
    assert y.ndim == 3
    assert_close(y.detach().numpy(), expected.detach().numpy()[0])
    g = normal(*y.shape, seed=3)
    y.backward(tg.tensor(g))
    expected.backward(tg.tensor(g[None]))
    assert_close(single.grad.numpy(), batch.grad.numpy()[0])


def conv(
    x=(1, 4, 5, 5),
    w=(2, 4, 3, 3),
    b=None,
    x_dtype="float32",
    w_dtype="float32",
    **options,
):
    bias = None if b is None else tg.zeros(*b)
    return F.conv2d(tg.zeros(*x, dtype=x_dtype), tg.zeros(*w, dtype=w_dtype), bias, **options)


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"x": (5, 5)}, ValueError, r"\(5, 5\)"),
        ({"w": (4, 3, 3)}, ValueError, r"\(4, 3, 3\)"),
        ({"x": (1, 3, 5, 5)}, ValueError, r"(?=.*\b3\b)(?=.*\(2, 4, 3, 3\))"),
        ({"b": (3,)}, ValueError, r"(?=.*\(2,\))(?=.*\(3,\))"),
        ({"b": (2, 1)}, ValueError, r"\(2, 1\)"),
        ({"w": (2, 4, 6, 3)}, ValueError, r"(?=.*\(6, 3\))(?=.*\(5, 5\))"),
        ({"w": (2, 4, 3, 3), "dilation": 3}, ValueError, r"\(3, 3\)"),
        ({"stride": 0}, ValueError, "stride.*0"),
        ({"stride": -1}, ValueError, "stride.*-1"),
        ({"stride": (1, 2, 3)}, ValueError, r"stride.*\(1, 2, 3\)"),
        ({"stride": 1.5}, (TypeError, ValueError), r"stride.*1\.5"),
        ({"stride": (1, 1.5)}, (TypeError, ValueError), r"stride.*1\.5"),
        ({"dilation": 0}, ValueError, "dilation.*0"),
        ({"padding": -1}, ValueError, "padding.*-1"),
        ({"padding": (0, -2)}, ValueError, "padding.*-2"),
        ({"padding": "full"}, ValueError, "padding.*'full'"),
        ({"padding": "same", "stride": 2}, ValueError, "same.*stride"),
        ({"groups": 0}, ValueError, "groups must be.*0"),
        ({"groups": 3}, ValueError, "groups=3"),
        ({"w": (3, 2, 3, 3), "groups": 2}, ValueError, "groups=2"),
        ({"x_dtype": "int64", "w_dtype": "int64"}, TypeError, "int64"),
        ({"x_dtype": "float64"}, TypeError, r"(?=.*float64)(?=.*float32)"),
    ],
)
def test_a_wrong_convolution_is_refused_by_name(arguments, error, named):
    conv()  # what is common to all rows is right
    with pytest.raises(error, match=named):
        conv(**arguments)


def test_no_channels_are_refused_with_the_shape():
    with pytest.raises(ValueError, match=r"0 channels do not fit \(2, 0, 3, 3\)"):
        F.conv2d(tg.zeros(1, 0, 4, 4), tg.zeros(2, 0, 3, 3))
    with pytest.raises(ValueError, match=r"2 channels do not fit \(0, 2, 3, 3\)"):
        F.conv2d(tg.zeros(1, 2, 4, 4), tg.zeros(0, 2, 3, 3))


def test_the_bias_of_a_convolution_must_be_of_the_same_dtype():
    x, w = tg.zeros(1, 1, 3, 3), tg.zeros(2, 1, 2, 2)
    with pytest.raises(TypeError, match="float64"):
        F.conv2d(x, w, tg.zeros(2, dtype=tg.float64))


def test_a_convolution_names_the_dtypes_that_do_not_go_together():
    images, kernels = tg.ones(1, 1, 3, 3), tg.ones(1, 1, 2, 2).double()
    with pytest.raises(TypeError, match=r"conv2d needs one.*input float32, weight float64"):
        F.conv2d(images, kernels)
    with pytest.raises(TypeError, match=r"avg_pool2d needs one.*int64"):
        F.avg_pool2d(tg.ones(1, 1, 3, 3, dtype=tg.int64), 2)


# --- pooling ----------------------------------------------------------------------------------

POOLINGS = {
    "plain": ((2, 3, 6, 6), {"kernel_size": 2}),
    "a rest that no window covers": ((2, 3, 7, 8), {"kernel_size": 3}),
    "overlap": ((2, 3, 7, 6), {"kernel_size": 3, "stride": 1}),
    "overlap, rectangles": ((2, 3, 7, 9), {"kernel_size": (2, 4), "stride": (1, 3)}),
    "gaps": ((2, 3, 9, 9), {"kernel_size": 2, "stride": 4}),
    "padding": ((2, 3, 5, 5), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "padding pair": (
        (2, 3, 5, 5),
        {"kernel_size": (2, 4), "stride": 1, "padding": (0, 2)},
    ),
    "overlap that leaves a rest": ((2, 3, 7, 8), {"kernel_size": 3, "stride": 2}),
    "gaps, padding": ((1, 2, 5, 5), {"kernel_size": 2, "stride": 3, "padding": 1}),
    "padding that leaves a rest": (
        (2, 2, 6, 7),
        {"kernel_size": 4, "stride": 3, "padding": 2},
    ),
    "kernel larger than the image": (
        (1, 2, 2, 3),
        {"kernel_size": 4, "stride": 3, "padding": 2},
    ),
    "whole image": ((2, 3, 4, 5), {"kernel_size": (4, 5)}),
    "one pixel": ((2, 3, 4, 5), {"kernel_size": 1}),
    "no images": ((0, 3, 4, 4), {"kernel_size": 2}),
    "more than 255 taps": ((1, 1, 18, 18), {"kernel_size": 17, "stride": 1}),
}
POOLINGS_WITH_DILATION = {
    **POOLINGS,
    "dilation": ((2, 3, 8, 8), {"kernel_size": 3, "dilation": 2, "stride": 1}),
    "dilation pair, padding": (
        (1, 2, 9, 10),
        {"kernel_size": 3, "dilation": (2, 3), "padding": 1, "stride": 2},
    ),
}


def pool_by_definition(reduce, fill, x, kernel_size, stride=None, padding=0, dilation=1):
    """Each output is `reduce` of the values of its window in the image padded with `fill`."""

    def pair(v):
        return (v, v) if isinstance(v, int) else v

    k, p, d = pair(kernel_size), pair(padding), pair(dilation)
    s = k if stride is None else pair(stride)
    x = np.pad(x, ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])), constant_values=fill)
    sizes = [(x.shape[2 + a] - d[a] * (k[a] - 1) - 1) // s[a] + 1 for a in (0, 1)]
    y = np.empty((*x.shape[:2], *sizes))
    for i, j in np.ndindex(*sizes):
        rows = [i * s[0] + u * d[0] for u in range(k[0])]
        columns = [j * s[1] + v * d[1] for v in range(k[1])]
        y[:, :, i, j] = reduce(x[:, :, rows][..., columns], axis=(2, 3))
    return y


@pytest.mark.parametrize(
    ("shape", "options"),
    POOLINGS_WITH_DILATION.values(),
    ids=POOLINGS_WITH_DILATION.keys(),
)
def test_max_pooling_is_the_maximum_of_each_window(shape, options):
    x = normal(*shape) - 3  # mostly below the zero that padding must not win with
    found = F.max_pool2d(tg.tensor(x), **options)
    assert_close(found.numpy(), pool_by_definition(np.max, -np.inf, x, **options), 0)


@pytest.mark.parametrize(("shape", "options"), POOLINGS.values(), ids=POOLINGS.keys())
def test_average_pooling_is_the_mean_of_each_window(shape, options):
    x = normal(*shape)
    found = F.avg_pool2d(tg.tensor(x), **options)
    assert_close(found.numpy(), pool_by_definition(np.mean, 0, x, **options))


def test_padding_counts_in_the_mean():
    """A row of three is padded to 0 1 | 2 3 | 0, of which the last has no whole window."""
    x = tg.tensor([[[[1.0, 2.0, 3.0]]]])
    options = {"kernel_size": (1, 2), "stride": (1, 2), "padding": (0, 1)}
    assert F.avg_pool2d(x, **options).tolist() == [[[[0.5, 2.5]]]]
    x = tg.tensor([[[[1.0, 2.0, 3.0, 4.0]]]])  # 0 1 | 2 3 | 4 0
    assert F.avg_pool2d(x, **options).tolist() == [[[[0.5, 2.5, 2.0]]]]


@pytest.mark.parametrize(
    ("shape", "options"),
    POOLINGS_WITH_DILATION.values(),
    ids=POOLINGS_WITH_DILATION.keys(),
)
def test_max_pooling_and_its_gradient_are_pytorchs(torch, shape, options):
    assert_same_as_torch(
        torch,
        lambda x: F.max_pool2d(x, **options),
        lambda x: torch.nn.functional.max_pool2d(x, **options),
        normal(*shape),
    )


@pytest.mark.parametrize(("shape", "options"), POOLINGS.values(), ids=POOLINGS.keys())
def test_average_pooling_and_its_gradient_are_pytorchs(torch, shape, options):
    assert_same_as_torch(
        torch,
        lambda x: F.avg_pool2d(x, **options),
        lambda x: torch.nn.functional.avg_pool2d(x, **options),
        normal(*shape),
    )


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: F.max_pool2d(x, 3, 1, 1),
        lambda x: F.max_pool2d(x, 2, dilation=2, stride=1),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, 2, 1, 1),
    ],
)
def test_first_and_second_derivatives_of_pooling_are_difference_quotients(pool):
    # distinct values, far apart for the step of the difference quotient
    x = np.random.default_rng(0).permutation(2 * 2 * 4 * 5).reshape(2, 2, 4, 5) / 10
    x = tg.tensor(x, requires_grad=True)
    assert gradcheck(pool, x)
    assert gradgradcheck(lambda x: pool(x * x), x)  # pooling is linear between two ties


def test_of_equal_maxima_the_first_takes_the_gradient():
    """First in reading order, as in PyTorch; windows overlap, so one pixel may win several."""
    x = tg.tensor([[[[1.0, 5.0, 5.0], [5.0, 5.0, 0.0]]]], requires_grad=True)
    y = F.max_pool2d(x, 2, 1)
    assert y.tolist() == [[[[5.0, 5.0]]]]
    y.backward(tg.tensor([[[[2.0, 3.0]]]]))
    assert x.grad.tolist() == [[[[0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]]]


def test_a_window_of_nan_alone_is_nan_and_its_last_input_takes_the_gradient():
    nan = np.nan
    x = tg.tensor([[[[nan, nan, 1.0, 2.0], [nan, nan, 4.0, 3.0]]]], requires_grad=True)
    y = F.max_pool2d(x, 2)
    np.testing.assert_equal(y.tolist(), [[[[nan, 4.0]]]])
    y.backward(tg.tensor([[[[5.0, 7.0]]]]))
    assert x.grad.tolist() == [[[[0, 0, 0, 0], [0, 5, 7, 0]]]]


@pytest.mark.parametrize(
    "options", [{}, {"stride": 1}, {"stride": 3}, {"stride": 1, "dilation": 2}]
)
def test_images_of_nan_alone_get_the_gradient_where_pytorch_sends_it(torch, options):
    assert_same_as_torch(
        torch,
        lambda x: F.max_pool2d(x, 2, **options),
        lambda x: torch.nn.functional.max_pool2d(x, 2, **options),
        np.full((2, 3, 6, 5), np.nan),
    )


def test_each_window_hands_its_whole_gradient_to_one_input_whatever_it_holds(torch):
    """All windows of these values. PyTorch sends it to the last NaN, if there is one."""
    windows = np.array(list(itertools.product([np.nan, -np.inf, 0.0, 1.0, np.inf], repeat=4)))
    x = tg.tensor(windows.reshape(-1, 1, 2, 2), requires_grad=True)
    t = torch.tensor(x.data, requires_grad=True)
    y, expected = F.max_pool2d(x, 2), torch.nn.functional.max_pool2d(t, 2)
    y.backward(tg.ones(*y.shape, dtype=tg.float64))
    expected.backward(torch.ones_like(expected))
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
    found, theirs = (g.numpy().reshape(-1, 4) for g in (x.grad, t.grad))
    assert (np.sort(found) == [0, 0, 0, 1]).all()
    with_nan = np.isnan(windows).any(1)
    np.testing.assert_array_equal(found[~with_nan], theirs[~with_nan])
    assert (found[with_nan] == [0, 0, 0, 1]).all()


def test_ties_among_zeros_go_where_pytorch_sends_them(torch):
    """Images after ReLU are mostly ties at 0."""
    assert_same_as_torch(
        torch,
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: torch.nn.functional.max_pool2d(x, 3, 2, 1),
        normal(3, 4, 9, 9).round().clip(0),
    )


def test_the_maximum_of_minus_infinities_and_padding_is_minus_infinity():
    x = tg.tensor(np.full((1, 1, 2, 2), -np.inf))
    assert F.max_pool2d(x, 2, 2, 1).tolist() == x.tolist()


@pytest.mark.parametrize("corner", list(np.ndindex(2, 2)))
def test_pooling_passes_on_infinities_and_nan(corner):
    for value in (np.nan, np.inf, -np.inf):
        x = np.ones((1, 1, 2, 2))
        x[0, 0][corner] = value
        expected = 1.0 if value == -np.inf else value
        np.testing.assert_equal(F.max_pool2d(tg.tensor(x), 2).item(), expected)
        np.testing.assert_equal(F.avg_pool2d(tg.tensor(x), 2).item(), value)


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
@pytest.mark.parametrize(
    ("shape", "options", "error", "named"),
    [
        ((4, 4), {"kernel_size": 2}, ValueError, r"\(4, 4\)"),
        ((1, 1, 1, 4, 4), {"kernel_size": 2}, ValueError, r"\(1, 1, 1, 4, 4\)"),
        ((1, 1, 4, 4), {"kernel_size": 0}, ValueError, "kernel_size.*0"),
        ((1, 1, 4, 4), {"kernel_size": (2, -1)}, ValueError, "kernel_size.*-1"),
        (
            (1, 1, 4, 4),
            {"kernel_size": 2.5},
            (TypeError, ValueError),
            r"kernel_size.*2\.5",
        ),
        ((1, 1, 4, 4), {"kernel_size": 5}, ValueError, r"(?=.*\(5, 5\))(?=.*\(4, 4\))"),
        ((1, 1, 4, 4), {"kernel_size": 2, "stride": 0}, ValueError, "stride.*0"),
        (
            (1, 1, 4, 4),
            {"kernel_size": 2, "padding": 2},
            ValueError,
            r"padding \(2, 2\).*half",
        ),
        ((1, 1, 4, 4), {"kernel_size": 2, "padding": -1}, ValueError, "padding.*-1"),
    ],
)
def test_a_wrong_pooling_is_refused_by_name(pool, shape, options, error, named):
    with pytest.raises(error, match=named):
        pool(tg.zeros(*shape), **options)


def test_a_wrong_dilation_of_pooling_is_refused_by_name():
    with pytest.raises(ValueError, match=r"dilation.*0"):
        F.max_pool2d(tg.zeros(1, 1, 4, 4), 2, dilation=0)


@pytest.mark.parametrize("stride", [(1, 2), (2, 1), (1, 3), (3, 1), (2, 2), (1, 1)])
def test_the_gradient_of_windows_that_overlap_in_one_axis_is_added_up(torch, stride, rng):
    x = rng.permutation(2 * 7 * 8).reshape(1, 2, 7, 8).astype(float)
    grads = []
    for m, functions in ((tg, F), (torch, torch.nn.functional)):
        leaf = m.tensor(x, requires_grad=True)
        y = functions.max_pool2d(leaf, 2, stride)
        y.backward(m.tensor(np.arange(1.0, y.numel() + 1)).reshape(y.shape))
        grads.append(leaf.grad)
    assert_close(*grads)


def test_what_collects_from_the_winners_has_the_derivative_that_routes_to_them(rng):
    """The third step: pooling, its gradient, and the gradient of that."""
    x = tg.tensor(rng.permutation(16).reshape(1, 1, 4, 4).astype(float))
    window = chapter.pool_window((4, 4), 2, None, 0)
    y = F.max_pool2d(x, 2)
    h = tg.tensor(rng.standard_normal((1, 1, 4, 4)), requires_grad=True)
    assert gradcheck(lambda h: chapter.collect(h, x, y, window), h)
    g = tg.tensor(rng.standard_normal((1, 1, 2, 2)), requires_grad=True)
    assert gradcheck(lambda g: chapter.route(g, x, y, window), g)


# --- windows that reach beyond the border, and padding that does not count ---------------------


@settings(max_examples=300)
@given(st.data())
def test_pooling_with_every_option_is_pytorchs(torch, data):
    kernel, stride, dilation = (
        data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4))) for _ in range(3)
    )
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    if dilation != (1, 1):  # a window could have nothing but padding, where PyTorch reads beyond
        padding = (0, 0)
    shape = (data.draw(st.integers(1, 2)), 2, *data.draw(st.tuples(*[st.integers(1, 9)] * 2)))
    values = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(np.prod(shape))
    ceil_mode, include = data.draw(st.booleans()), data.draw(st.booleans())
    largest = data.draw(st.booleans())
    name, options = "avg_pool2d", (kernel, stride, padding, ceil_mode, include)
    if largest:
        name, options = "max_pool2d", (kernel, stride, padding, dilation, ceil_mode)
    found = []
    for m, functions in ((tg, F), (torch, torch.nn.functional)):
        x = m.tensor(values.reshape(shape) / 7, requires_grad=True)
        try:
            y = getattr(functions, name)(x, *options)
        except (ValueError, RuntimeError):
            found.append(None)
            continue
        u = m.tensor(np.random.default_rng(1).standard_normal(y.shape), requires_grad=True)
        (g,) = m.autograd.grad((y * u).sum(), [x], create_graph=True)
        (second,) = m.autograd.grad((g * g * g).sum(), [u])
        found.append([y, g, second])
    if found[0] is None or found[1] is None:
        assert found == [None, None]
        return
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("kernel", [2, 3, 5, 7])
def test_an_average_is_a_sum_that_is_divided_once(kernel):
    """Of whole numbers the sum is exact, and so the mean is the float32 nearest to the true one."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 4 * kernel, 4 * kernel))
    exact = pixels.reshape(2, 3, 4, kernel, 4, kernel).mean((3, 5))
    found = F.avg_pool2d(tg.tensor(pixels).float(), kernel)
    np.testing.assert_array_equal(found.numpy(), exact.astype(np.float32))
    ones = F.avg_pool2d(tg.ones(1, 1, 9, 9), kernel, ceil_mode=True)
    assert ones.numpy().min() == ones.numpy().max() == 1


@pytest.mark.parametrize("value", [True, False])
def test_truth_values_are_no_numbers_of_pixels(value):
    for option in ("kernel_size", "stride", "padding"):
        for number in (value, (value, 1)):
            with pytest.raises(ValueError, match=rf"{option} must be an integer.*{value}"):
                nn.MaxPool2d(**{"kernel_size": 2, option: number})


@pytest.mark.parametrize("size", [(4, 0), (0, 4)])
def test_images_of_no_pixels_are_refused(torch, size):
    for m in (tg, torch):
        x, f = m.ones(1, 1, *size), m.nn.functional
        calls = [
            lambda x=x, f=f: f.avg_pool2d(x, 2, padding=1),
            lambda x=x, f=f: f.max_pool2d(x, 2, padding=1),
            lambda x=x, f=f, m=m: f.conv2d(x, m.ones(1, 1, 2, 2), padding=1),
        ]
        for call in calls:
            with pytest.raises((ValueError, RuntimeError)):
                call()
    with pytest.raises(ValueError, match=rf"does not fit into .*image={re.escape(str(size))}"):
        F.avg_pool2d(tg.ones(1, 1, *size), 2, padding=1)


def test_a_last_window_covers_what_is_left():
    x = tg.arange(1, 26).float().reshape(1, 1, 5, 5)
    assert F.max_pool2d(x, 2, ceil_mode=True).tolist() == [
        [[[7.0, 9.0, 10.0], [17.0, 19.0, 20.0], [22.0, 24.0, 25.0]]]
    ]
    assert F.avg_pool2d(x, 2, ceil_mode=True).tolist() == [
        [[[4.0, 6.0, 7.5], [14.0, 16.0, 17.5], [21.5, 23.5, 25.0]]]
    ]


def test_the_layers_hand_their_options_on(torch):
    for m in (tg, torch):
        x = m.ones(1, 1, 5, 5)
        assert tuple(m.nn.MaxPool2d(2, ceil_mode=True)(x).shape) == (1, 1, 3, 3)
        assert tuple(m.nn.AvgPool2d(2, 2, 0, True)(x).shape) == (1, 1, 3, 3)
        assert m.nn.AvgPool2d(2, 2, 1, False, False)(x).tolist() == [[[[1.0] * 3] * 3]]
        assert repr(m.nn.MaxPool2d(2, ceil_mode=True)) == (
            "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=True)"
        )


@pytest.mark.parametrize("name", ["ceil_mode", "count_include_pad"])
def test_an_option_of_pooling_is_a_truth_value(name):
    x = tg.ones(1, 1, 4, 4)
    for make in (F.avg_pool2d, F.max_pool2d)[: 1 if name == "count_include_pad" else 2]:
        with pytest.raises(TypeError, match=f"{name} must be True or False, not 1"):
            make(x, 2, **{name: 1})
    with pytest.raises(TypeError, match=f"{name} must be True or False"):
        nn.AvgPool2d(2, **{name: None})
    if name == "ceil_mode":
        with pytest.raises(TypeError, match="ceil_mode must be True or False"):
            nn.MaxPool2d(2, ceil_mode="yes")


def test_an_average_with_padding_along_one_axis_only():
    y = F.avg_pool2d(tg.ones(1, 1, 2, 2), 2, stride=1, padding=(1, 0))
    assert y.tolist() == [[[[0.5], [1.0], [0.5]]]]
