"""Axes, sizes, flags, numbers, dtypes and devices as arguments: what is taken, and what is refused.

What is taken gives what it gives in PyTorch. Truth values are no integers, nothing is rounded, and
no index, size or default integer depends on the platform.
"""

import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn

F = nn.functional
SHAPED = tg.ones(2, 3)

# --- integers ---------------------------------------------------------------------------------

AXES = {
    "sum": lambda x, dim: x.sum(dim),
    "sum, of several": lambda x, dim: x.sum((0, dim)),
    "mean": lambda x, dim: x.mean(dim),
    "var": lambda x, dim: x.var((dim,)),
    "max": lambda x, dim: x.max(dim),
    "min": lambda x, dim: x.min(dim),
    "argmax": lambda x, dim: x.argmax(dim),
    "size": lambda x, dim: x.size(dim),
    "permute": lambda x, dim: x.permute(0, dim),
    "transpose": lambda x, dim: x.transpose(0, dim),
    "transpose, first": lambda x, dim: x.transpose(dim, 0),
    "flatten": lambda x, dim: x.flatten(dim),
    "flatten, end": lambda x, dim: x.flatten(0, dim),
    "squeeze": lambda x, dim: x.squeeze(dim),
    "unsqueeze": lambda x, dim: x.unsqueeze(dim),
    "cat": lambda x, dim: tg.cat([x, x], dim),
    "stack": lambda x, dim: tg.stack([x, x], dim),
    "softmax": lambda x, dim: F.softmax(x, dim),
    "log_softmax": lambda x, dim: F.log_softmax(x, dim),
    "Softmax": lambda x, dim: nn.Softmax(dim)(x),
    "Flatten": lambda x, dim: nn.Flatten(dim)(x),
}
NONE_MEANS_ALL = {"sum", "mean", "max", "min", "argmax", "size", "squeeze"}


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("dim", [True, False, np.True_, 1.0, "1", None, [0.5], tg.tensor(1.0)])
def test_an_axis_is_an_integer(name, dim):
    if dim is None and name in NONE_MEANS_ALL:
        return
    if isinstance(dim, tg.Tensor) and name in ("max", "min"):
        return
    if isinstance(dim, bool) and name == "var":
        dim = (dim,)
    with pytest.raises(TypeError, match=r"must be an integer, not|single integer"):
        AXES[name](SHAPED, dim)


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("dim", [1, -1, np.int64(1), np.int32(1), np.uint8(1), tg.tensor(1)])
def test_an_axis_may_be_of_any_type_of_integer(name, dim):
    if isinstance(dim, tg.Tensor) and name in ("max", "min"):
        with pytest.raises(TypeError, match=r"where\(a > b, a, b\) takes two"):
            AXES[name](SHAPED, dim)  # which in PyTorch is the larger of two tensors
        return
    AXES[name](SHAPED, dim)


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("dim", [7, -7])
def test_an_axis_that_is_not_there_is_an_index_error(name, dim):
    with pytest.raises(IndexError, match="out of range"):
        AXES[name](SHAPED, dim)


@pytest.mark.parametrize("softmax", [F.softmax, F.log_softmax])
def test_the_softmax_of_nothing_has_axes_too(softmax):
    empty = tg.ones(0, 3)
    assert softmax(empty, 1).shape == (0, 3)
    with pytest.raises(IndexError, match="out of range"):
        softmax(empty, 2)
    with pytest.raises(TypeError, match="must be an integer, not None"):
        softmax(empty, None)


SIZES = {
    "zeros": tg.zeros,
    "ones": tg.ones,
    "randn": tg.randn,
    "reshape": lambda *size: tg.ones(6).reshape(*size),
    "view": lambda *size: tg.ones(6).view(*size),
    "expand": lambda *size: tg.ones(3).expand(*size),
    "Linear": lambda *size: nn.Linear(size[0], 2),
    "Linear, out": lambda *size: nn.Linear(2, size[0]),
    "BatchNorm1d": lambda *size: nn.BatchNorm1d(size[0]),
    "Conv2d": lambda *size: nn.Conv2d(size[0], 1, 1),
    "Conv2d, kernel": lambda *size: nn.Conv2d(1, 1, size[0]),
    "Conv2d, stride": lambda *size: nn.Conv2d(1, 1, 1, size[0]),
    "Conv2d, padding": lambda *size: nn.Conv2d(1, 1, 1, padding=(size[0], 1)),
    "Conv2d, all padding": lambda *size: nn.Conv2d(1, 1, 1, padding=size[0]),
    "max_pool2d, padding": lambda *size: F.max_pool2d(tg.ones(1, 1, 3, 3), 2, padding=size[0]),
    "AvgPool2d, padding": lambda *size: nn.AvgPool2d(2, padding=size[0]),
    "ignore_index": lambda *size: F.cross_entropy(
        tg.ones(1, 2), tg.tensor([0]), ignore_index=None if size[0] == -2 else size[0]
    ),
    "Conv2d, dilation": lambda *size: nn.Conv2d(1, 1, 1, dilation=size[0]),
    "Conv2d, groups": lambda *size: nn.Conv2d(2, 2, 1, groups=size[0]),
    "conv2d, groups": lambda *size: F.conv2d(
        tg.ones(1, 2, 3, 3), tg.ones(2, 2, 1, 1), groups=size[0]
    ),
    "MaxPool2d": lambda *size: nn.MaxPool2d(size[0]),
    "avg_pool2d": lambda *size: F.avg_pool2d(tg.ones(1, 1, 3, 3), size[0]),
    "StepLR": lambda *size: tg.optim.lr_scheduler.StepLR(tg.optim.SGD([SHAPED]), size[0]),
    "DataLoader": lambda *size: tg.data.DataLoader([1], "None" if size[0] is None else size[0]),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("size", [True, False, np.True_, np.False_, 2.0, "2", None])
def test_a_size_is_an_integer(name, size):
    with pytest.raises((TypeError, ValueError), match=r"integer|must be a number"):
        SIZES[name](size)


@pytest.mark.parametrize("name", [name for name in SIZES if name != "expand"])
@pytest.mark.parametrize("size", [-2, (-2,)])
def test_no_size_is_negative(name, size):
    with pytest.raises((TypeError, ValueError), match=r"must be"):
        SIZES[name](*size) if isinstance(size, tuple) else SIZES[name](size)


@pytest.mark.parametrize("size", [(2, 3), [2, 3], (np.int32(2), tg.tensor(3))])
def test_sizes_come_one_by_one_or_together(size):
    for make in (tg.zeros, tg.ones, tg.randn):
        assert make(size).shape == make(*size).shape == (2, 3)
    assert tg.ones(6).reshape(size).shape == tg.ones(6).view(*size).shape == (2, 3)
    assert tg.ones(3).expand(size).shape == (2, 3)


def test_groups_are_an_integer_of_the_function_too():
    with pytest.raises(ValueError, match="groups must be a positive integer"):
        F.conv2d(tg.ones(1, 2, 3, 3), tg.ones(2, 2, 1, 1), groups=1.0)


# --- flags ------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", [1, 0, None, "no"])
def test_training_is_a_truth_value(flag):
    mean, var = tg.zeros(3), tg.ones(3)
    with pytest.raises(TypeError, match="training must be True or False, not"):
        F.dropout(SHAPED, 0.5, flag)
    with pytest.raises(TypeError, match="training must be True or False, not"):
        F.batch_norm(SHAPED, mean, var, training=flag)
    assert mean.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "min", "argmax"])
@pytest.mark.parametrize("flag", [3, 1, 0, None, "yes"])
def test_keepdim_is_a_truth_value_so_that_a_second_axis_is_not_taken_for_one(name, flag):
    arguments = (1, 1, flag) if name == "var" else (1, flag)
    with pytest.raises(TypeError, match="keepdim must be True or False, not"):
        getattr(tg.ones(2, 3, 4, 5), name)(*arguments)


@pytest.mark.parametrize("name", ["max", "min"])
def test_without_a_dim_none_can_be_kept(torch, name):
    for m in (tg, torch):
        with pytest.raises(TypeError, match="keepdim"):
            getattr(m.ones(2, 3), name)(keepdim=True)
    assert getattr(SHAPED, name)(keepdim=False).item() == 1


def test_var_does_not_take_pytorchs_unbiased_for_an_axis(torch):
    for unbiased in (True, False):
        with pytest.raises(TypeError, match=f"give correction={int(unbiased)}"):
            SHAPED.var(unbiased)


# --- no axis, no shape ------------------------------------------------------------------------


def test_an_empty_list_of_axes_is_pytorchs(torch):
    x, y = tg.ones(1, 1, 3), torch.ones(1, 1, 3)
    for nothing in ((), []):
        assert x.squeeze(nothing).shape == tuple(y.squeeze(tuple(nothing)).shape)
        assert x.sum(nothing).shape == tuple(y.sum(nothing).shape)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4,), r"\(4,\) does not hold the 6 elements of \(2, 3\)"),
        ((4, -1), r"\(4, -1\) does not hold the 6"),
        ((-1, -1), r"\(-1, -1\) does not"),
        ((-2, 2), r"must be >= -1, not \(-2, 2\)"),
        ((), r"\(\) does not hold"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused_with_both(shape, message):
    for method in (SHAPED.reshape, SHAPED.view):
        with pytest.raises(ValueError, match=message):
            method(shape)


BINARY = ["a + b", "a - b", "a * b", "a / b", "a ** b", "a < b", "a == b", "m.where(a > 0, a, b)"]


@pytest.mark.parametrize("expression", BINARY)
def test_what_cannot_be_broadcast_is_named_by_its_shapes(expression):
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(4,\).*cannot be broadcast"):
        eval(expression, {"m": tg, "a": tg.ones(2, 3), "b": tg.ones(4)})


@pytest.mark.parametrize("size", [(4, 3), (2, 2), (5, 2, 4)])
def test_what_cannot_be_expanded_is_named_by_its_shape(size):
    with pytest.raises(ValueError, match=r"no such shape for \(2, 3\)"):
        SHAPED.expand(size)


def test_negative_powers_of_integers_are_refused(torch):
    for m in (tg, torch):
        x = m.tensor([1, 2])
        with pytest.raises((ValueError, RuntimeError), match=r"(?i)negative"):
            x**-1
        assert (x**0).tolist() == [1, 1]
        assert (x.float() ** -1).tolist() == (x**-1.0).tolist() == [1.0, 0.5]
    with pytest.raises(ValueError, match=r"use .float\(\)"):
        2 ** tg.tensor([1, -1])


def test_what_cannot_be_joined_is_named_by_its_shapes():
    with pytest.raises(ValueError, match=r"cat: shapes \[\(2, 3\), \(4, 4\)\] .* dim.* 1.* 3 .* 4"):
        tg.cat([tg.ones(2, 3), tg.ones(4, 4)])
    with pytest.raises(ValueError, match=r"cat: shapes \[\(2, 3\), \(3,\)\] .* 2 dim.* 1 dim"):
        tg.cat([tg.ones(2, 3), tg.ones(3)], 1)
    with pytest.raises(ValueError, match="at least one tensor"):
        tg.stack([])
    with pytest.raises(TypeError, match="only tensors can be joined, not ndarray"):
        tg.stack([np.ones(2)])
    with pytest.raises(ValueError, match="zero-dimensional arrays cannot be concatenated"):
        tg.cat([tg.tensor(1.0), tg.tensor(2.0)])
    for join in (tg.cat, tg.stack):
        with pytest.raises(TypeError, match="a list of tensors is needed, not one tensor"):
            join(SHAPED)


# --- numbers ----------------------------------------------------------------------------------

NUMBERS = [
    "m.tensor([1, 2, 3]).clamp(1.5, 3)",
    "m.tensor([1, 2, 3]).clamp(1, 2.5)",
    "m.tensor([1, 2, 3]).clamp(max=2.5)",
    "m.tensor([1, 2, 3]).clamp(2)",
    "m.tensor([1, 2, 3]).clamp(2, True)",
    "m.tensor([2**62 + 1, -2**62 - 1]).clamp(-2**62, 2**62)",
    "m.tensor([1.0, 2.0], dtype=m.float64).clamp(0, 1)",
    "m.tensor([1, 2]).clamp(2.0**70)",
    "m.tensor([float('nan'), 9.0]).clamp(0, 1)",
    "m.tensor([1.0, 5.0]).clamp(3, 2)",
    "m.arange(np.int64(5))",
    "m.arange(np.int32(2), np.int64(7), np.int8(2))",
    "m.arange(m.tensor(5))",
    "m.arange(m.tensor(3.0))",
    "m.arange(np.float32(3))",
    "m.arange(0, 1, 0.25)",
    "m.arange(3, dtype=m.float64)",
    "m.tensor([np.float64(1)])",
    "m.tensor([1.0, np.float64(1)])",
    "m.tensor([[1.0], [np.float64(1)]])",
    "m.tensor([np.float32(1)])",
    "m.tensor([np.float32(1), 2.0])",
    "m.tensor(np.float64(1))",
    "m.tensor([m.tensor(1.0), m.tensor(2)])",
    "m.tensor([np.int64(1), 2])",
    "m.tensor([True, False])",
    "m.tensor([])",
    "m.tensor([[]])",
    "m.ones(2) + True",
    "m.tensor([1.0, 2.0]) * m.tensor([True, False])",
]


@pytest.mark.parametrize("expression", NUMBERS)
def test_numbers_of_every_kind_give_pytorchs_values_and_dtype(torch, expression):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (eval(expression, {"m": m, "np": np}) for m in (tg, torch))
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_steps_are_not_added_up_in_float32():
    """Each is rounded once: PyTorch's may be off by a unit in the last place."""
    values = tg.arange(0, 3000, 0.1)
    exact = np.arange(30_000) * 0.1
    np.testing.assert_array_equal(values.numpy(), exact.astype(np.float32))


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [(1e6, 1e6 + 100, 0.1), (-7.5, 20, 0.01), (5, -5, -1 / 3), (0, 9, 1.5)],
)
def test_no_step_is_more_than_a_rounding_away_from_its_place(torch, start, end, step):
    values = tg.arange(start, end, step, dtype=tg.float64).numpy()
    assert len(values) == len(torch.arange(start, end, step))
    places = np.array([float(Fraction(start) + i * Fraction(step)) for i in range(len(values))])
    assert np.abs(values - places).max() <= np.spacing(np.abs(places).max())


BOOLS = ["x - True", "True - x", "x - b", "b - x", "b - b", "-b", "b - 1"]


@pytest.mark.parametrize("expression", BOOLS)
def test_bools_are_not_subtracted(torch, expression):
    for m in (tg, torch):
        names = {"x": m.ones(2), "b": m.tensor([True, False]), "np": np}
        with pytest.raises((TypeError, RuntimeError)):
            eval(expression, names)
    with pytest.raises(TypeError, match="not for bools: convert"):
        eval(expression, {"x": tg.ones(2), "b": tg.tensor([True, False]), "np": np})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SHAPED.clamp(tg.ones(3)), TypeError, "clamp: min must be a number, not Tensor"),
        (lambda: SHAPED.clamp(max=np.ones(3)), TypeError, "clamp: max must be a number, not nd"),
        (lambda: SHAPED.clamp("0"), TypeError, "clamp: min must be a number, not str"),
        (lambda: SHAPED.clamp(), ValueError, "needs min, max or both"),
        (lambda: tg.arange("3"), TypeError, "end must be a number, not '3'"),
        (lambda: tg.arange(0, None, 2), TypeError, None),
        (lambda: tg.arange(float("inf")), ValueError, "end must be between .*, not inf"),
        (lambda: tg.arange(0, 1, float("nan")), ValueError, "step must be between .*, not nan"),
        (lambda: tg.arange(0, 5, 0), ValueError, "steps of 0"),
        (lambda: tg.arange(2**63), ValueError, "end must be .* and 9223372036854775807, not 922"),
        (
            lambda: tg.arange(-(2**63) - 1, 0),
            ValueError,
            "start must be between -922",
        ),
        (lambda: tg.arange(2.0**64, 0, 2**62), ValueError, "do not lead"),
        (lambda: tg.arange(5, 2), ValueError, "do not lead from 5 to 2"),
        (lambda: tg.arange(0.0, 5.0, 0.0), ValueError, "steps of 0.0 do not lead from 0.0 to 5.0"),
    ],
)
def test_what_is_no_number_or_no_range_is_refused(call, error, message):
    if message is None:
        assert call().tolist() == []
        return
    with pytest.raises(error, match=message):
        call()


# --- comparisons and indices ------------------------------------------------------------------


@pytest.mark.parametrize(
    "other", ["same", np.str_("same"), b"", None, [1.0, 2.0], (1.0,), nn.ReLU, object(), {}]
)
def test_a_comparison_with_something_else_is_pythons(torch, other):
    for m in (tg, torch):
        x = m.tensor([1.0, 2.0])
        assert (x == other) is False
        assert (x != other) is True
        assert other not in [x, x]
        with pytest.raises(TypeError):
            x < other  # noqa: B015


INDICES = ["[7, 8, 9][i]", "range(5)[i]", "'abc'[i]", "[7, 8, 9][i:]", "x[i]", "x[i:]", "hex(i)"]


@pytest.mark.parametrize("expression", INDICES)
def test_a_tensor_of_one_integer_is_an_index(torch, expression):
    results = []
    for m in (tg, torch):
        found = eval(expression, {"i": m.tensor(1), "x": m.tensor([4.0, 5.0, 6.0])})
        results.append(found.tolist() if hasattr(found, "tolist") else found)
    assert results[0] == results[1]
    assert [4, 5][tg.tensor([[1]])] == 5
    assert [4, 5][tg.tensor(True)] == 5


@pytest.mark.parametrize("wrong", [tg.tensor(1.0), tg.tensor([0, 1]), tg.zeros(0, dtype=tg.int64)])
def test_anything_else_is_not(wrong):
    with pytest.raises(TypeError, match="only a single integer can be an index"):
        [4, 5][wrong]


# --- devices ----------------------------------------------------------------------------------

MAKERS = {
    "tensor": lambda **options: tg.tensor([1.0], **options),
    "zeros": lambda **options: tg.zeros(1, **options),
    "ones": lambda **options: tg.ones(1, **options),
    "randn": lambda **options: tg.randn(1, **options),
    "arange": lambda **options: tg.arange(1.0, **options),
    "Tensor.to": lambda **options: tg.ones(1).to(**options),
    "Module.to": lambda **options: nn.Linear(1, 1).to(**options).weight,
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_processor_may_be_named_and_nothing_else(name):
    assert MAKERS[name](device="cpu").dtype == tg.float32
    assert MAKERS[name](device=None).device == "cpu"
    for device in ("cuda", "cuda:0", "mps", 0):
        with pytest.raises(ValueError, match=f"device {device!r}: CPU only"):
            MAKERS[name](device=device)


def test_to_takes_dtypes_devices_and_tensors_in_pytorchs_ways(torch):
    for m in (tg, torch):
        x, layer = m.ones(2, requires_grad=True), m.nn.Linear(2, 2)
        wide = m.ones(1, dtype=m.float64)
        assert x.to("cpu") is x.to(m.float32) is x.cpu() is x.to(x) is x
        assert layer.to("cpu") is layer.cpu() is layer
        for found in (x.to(m.float64), x.to(dtype=m.float64), x.to("cpu", m.float64), x.to(wide)):
            assert found.dtype == m.float64
            assert found.requires_grad
        assert layer.to(wide).weight.dtype == m.float64
        assert layer.to(device="cpu", dtype=m.float32).weight.dtype == m.float32
    assert tg.ones(1).to("float64").dtype == tg.float64
    for thing in (x, nn.Linear(1, 1)):
        with pytest.raises((ValueError, RuntimeError, AssertionError), match=r"CPU only|CUDA"):
            thing.to("cuda")


# --- other platforms --------------------------------------------------------------------------


class NarrowNumPy:
    """NumPy as on a platform of 32 bits: integers of Python's, and indices, are int32 there."""

    def __getattr__(self, name):
        value = getattr(np, name)
        if name not in ("asarray", "argmax", "argmin", "arange"):
            return value

        def narrow(*args, **options):
            found = value(*args, **options)
            chosen = name != "asarray" or not isinstance(args[0], np.ndarray | np.generic)
            asked = "dtype" in options or (name in ("asarray", "array") and len(args) > 1)
            if chosen and not asked and found.dtype == np.int64:
                return found.astype(np.int32)
            return found

        return narrow


def test_integers_are_int64_where_numpys_own_are_narrower(monkeypatch):
    monkeypatch.setattr(sys.modules["tinygrad_bn.tensor"], "np", NarrowNumPy())
    x = tg.tensor([[3.0, 5.0], [7.0, 1.0]])
    integers = {
        "tensor": tg.tensor([1, 2]),
        "number": tg.tensor(3),
        "arange": tg.arange(3),
        "sum": tg.tensor([1, 2]).sum(),
        "sum of bools": tg.tensor([True, False]).sum(0),
        "argmax": x.argmax(),
        "argmax along": x.argmax(1),
        "indices of max": x.max(1).indices,
        "indices of min": x.min(0, keepdim=True).indices,
        "arithmetic": tg.tensor([1, 2]) * 2 + 1,
    }
    assert {name: str(t.dtype) for name, t in integers.items()} == dict.fromkeys(integers, "int64")
    assert x.max(1).values.tolist() == [5.0, 7.0]
