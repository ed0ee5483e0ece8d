"""For every public function: an argument of the wrong type, dtype, rank or size is named.

One table: what is called, with right arguments, and which of them are tensors. Each of these is
replaced by things that it cannot be. Either PyTorch takes it too and the result is right, or the
message names the argument, in words of this package: no attribute of something else, no text of
NumPy's, nothing changed before.
"""

import re

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn

F = nn.functional


def images(*shape):
    return tg.ones(*(shape or (2, 3, 4, 4)))


# name: (function, its right arguments, by name)
CALLS = {
    "linear": (F.linear, {"input": tg.ones(2, 3), "weight": tg.ones(4, 3), "bias": tg.ones(4)}),
    "conv2d": (F.conv2d, {"input": images(), "weight": images(4, 3, 2, 2), "bias": tg.ones(4)}),
    "max_pool2d": (lambda input: F.max_pool2d(input, 2), {"input": images()}),
    "avg_pool2d": (lambda input: F.avg_pool2d(input, 2), {"input": images()}),
    "batch_norm": (
        F.batch_norm,
        {
            "input": images(),
            "running_mean": tg.zeros(3),
            "running_var": tg.ones(3),
            "weight": tg.ones(3),
            "bias": tg.ones(3),
        },
    ),
    "log_softmax": (lambda input: F.log_softmax(input, 1), {"input": tg.ones(2, 3)}),
    "softmax": (lambda input: F.softmax(input, 1), {"input": tg.ones(2, 3)}),
    "dropout": (F.dropout, {"input": tg.ones(2, 3)}),
    "relu": (F.relu, {"input": tg.ones(2)}),
    "sigmoid": (F.sigmoid, {"input": tg.ones(2)}),
    "tanh": (F.tanh, {"input": tg.ones(2)}),
    "cross_entropy": (
        F.cross_entropy,
        {"input": tg.ones(2, 3), "target": tg.tensor([0, 1]), "weight": tg.ones(3)},
    ),
    "mse_loss": (F.mse_loss, {"input": tg.ones(2, 3), "target": tg.ones(2, 3)}),
}
LAYERS = {
    "Linear": (nn.Linear(3, 2), tg.ones(2, 3)),
    "Conv2d": (nn.Conv2d(3, 2, 2), images()),
    "BatchNorm1d": (nn.BatchNorm1d(3), tg.randn(2, 3)),
    "BatchNorm2d": (nn.BatchNorm2d(3), tg.randn(2, 3, 4, 4)),
    "MaxPool2d": (nn.MaxPool2d(2), images()),
    "AvgPool2d": (nn.AvgPool2d(2), images()),
    "ReLU": (nn.ReLU(), tg.ones(2)),
    "Sigmoid": (nn.Sigmoid(), tg.ones(2)),
    "Tanh": (nn.Tanh(), tg.ones(2)),
    "Dropout": (nn.Dropout(), tg.ones(2)),
    "Flatten": (nn.Flatten(), tg.ones(2, 3)),
    "Softmax": (nn.Softmax(1), tg.ones(2, 3)),
    "LogSoftmax": (nn.LogSoftmax(1), tg.ones(2, 3)),
}
for _name, (_layer, _input) in LAYERS.items():
    CALLS[_name] = (_layer, {"input": _input})

NO_TENSORS = {
    "ndarray": lambda t: t.numpy().copy(),
    "list": lambda t: t.tolist(),
    "float": lambda t: 1.0,
    "str": lambda t: "images",
    "Linear": lambda t: nn.Linear(1, 1),
}
FOREIGN = re.compile(
    r"has no attribute|memoryview|not subscriptable|unsupported operand|'<' not|numpy|newaxis"
    r"|object is not|array with"
)
ARGUMENTS = [(call, name) for call, (_, given) in CALLS.items() for name in given]


def error_of(call, **changed):
    """The error of a call with some arguments changed, or None."""
    function, given = CALLS[call]
    values = {**given, **changed}
    try:
        if isinstance(function, nn.Module):
            function(values["input"])
        else:
            function(**values)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        return error
    return None


@pytest.mark.parametrize("call", CALLS)
def test_the_right_arguments_are_taken(call):
    assert error_of(call) is None


@pytest.mark.parametrize("kind", NO_TENSORS)
@pytest.mark.parametrize(("call", "name"), ARGUMENTS)
def test_what_is_no_tensor_is_refused_by_its_name_and_type(call, name, kind):
    wrong = NO_TENSORS[kind](CALLS[call][1][name])
    error = error_of(call, **{name: wrong})
    assert isinstance(error, TypeError), error
    assert re.search(rf"\b{name}\b.*must be a Tensor, not {type(wrong).__name__}\b", str(error))


DTYPES = [(call, name) for call, name in ARGUMENTS if call not in ("relu", "ReLU", "Flatten")]
# Functions of a single tensor that are defined for integers too, by way of float32.
OF_INTEGERS = {"sigmoid", "tanh", "Sigmoid", "Tanh", "mse_loss"}


@pytest.mark.parametrize(("call", "name"), DTYPES)
def test_a_wrong_dtype_is_named(call, name):
    right = CALLS[call][1][name]
    others = [tg.int64, tg.bool] if right.dtype != tg.int64 else [tg.bool]
    if len(CALLS[call][1]) > 1 and right.dtype != tg.int64:
        others.append(tg.float64)
    for dtype in others:
        error = error_of(call, **{name: right.to(dtype)})
        if error is None:
            assert call in OF_INTEGERS
            continue
        assert isinstance(error, TypeError | ValueError), error
        assert str(dtype) in str(error)
        assert not FOREIGN.search(str(error)), error


def test_labels_that_are_floats_are_told_what_labels_are():
    error = error_of("cross_entropy", target=tg.tensor([0.0, 1.0]))
    assert re.search(r"target of floats.*\(2, 3\), not \(2,\); class indices are int64", str(error))


RANKS = [
    (call, name) for call, name in ARGUMENTS if call.lower() not in ("relu", "sigmoid", "tanh")
]
ANY_RANK = {"dropout", "Dropout", "softmax", "log_softmax", "Softmax", "LogSoftmax", "Flatten"}


@pytest.mark.parametrize(("call", "name"), RANKS)
@pytest.mark.parametrize("more", [-1, 1, 3])
def test_a_wrong_rank_is_named_with_the_shape(call, name, more):
    right = CALLS[call][1][name]
    shape = right.shape[-more:] if more < 0 else (1,) * more + right.shape
    if more < 0:
        shape = right.shape[: right.ndim + more]
    wrong = right[(0,) * (right.ndim - len(shape))] if more < 0 else right.reshape(shape)
    error = error_of(call, **{name: wrong})
    if error is None:  # one sample as a batch of one, more leading axes, (N, C, L)
        assert name == "input"
        return
    assert isinstance(error, ValueError | IndexError), error
    assert not FOREIGN.search(str(error)), error
    if call not in ANY_RANK and name != "input":  # else another may be named that does not fit it
        assert str(wrong.shape) in str(error) or "fit" in str(error), error


SIZES = [(call, name) for call, name in ARGUMENTS if len(CALLS[call][1]) > 1]


@pytest.mark.parametrize(("call", "name"), SIZES)
def test_a_wrong_size_is_named_with_the_shape(call, name):
    right = CALLS[call][1][name]
    for axis in range(right.ndim):
        if (call, name, axis) in {("linear", "input", 0), ("batch_norm", "input", 0)}:
            continue
        if call in ("conv2d", "batch_norm") and name == "input" and axis != 1:
            continue  # any number of images, of any size
        if call == "conv2d" and name == "weight" and axis > 1:
            continue
        wrong = tg.cat([right, right, right], axis)
        error = error_of(call, **{name: wrong})
        assert isinstance(error, ValueError), (axis, error)
        assert re.search(r"\(\d+,[\d, ]*\)", str(error)), error
        assert not FOREIGN.search(str(error)), error


@pytest.mark.parametrize("call", [call for call in CALLS if call.endswith("batch_norm")])
def test_a_refused_call_changes_no_statistics(call):
    mean, var = tg.zeros(3), tg.ones(3)
    for changed in ({"weight": tg.ones(2)}, {"bias": "b"}, {"input": images(2, 4, 4, 4)}):
        given = {**CALLS[call][1], "running_mean": mean, "running_var": var, **changed}
        with pytest.raises((TypeError, ValueError)):
            F.batch_norm(**given, training=True)
    assert (mean.tolist(), var.tolist()) == ([0.0] * 3, [1.0] * 3)


# --- arrays and tensors together --------------------------------------------------------------

OPERATORS = ["+", "-", "*", "/", "**", "@", "<", "<=", ">", ">=", "==", "!="]


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_array_beside_a_tensor_is_as_a_tensor(operator):
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0, 1.0], [3.0, 0.5]])
    expected = eval(f"a {operator} b")
    for left, right in ((a, tg.tensor(b)), (tg.tensor(a), b)):
        found = eval("left " + operator + " right", {"left": left, "right": right})
        assert isinstance(found, tg.Tensor)
        np.testing.assert_allclose(found.numpy(), expected)
    scalar = (
        eval("s " + operator + " t", {"s": np.float64(2), "t": tg.tensor(b)})
        if (operator != "@")
        else None
    )
    assert scalar is None or isinstance(scalar, tg.Tensor)


def test_an_array_is_not_changed_by_a_tensor():
    w = tg.ones(2, requires_grad=True)
    w.grad = tg.ones(2)
    with pytest.raises(TypeError, match=r"with no_grad\(\): w -= \.\.\.`, not w\.data"):
        w.data -= 0.1 * w.grad
    assert w.tolist() == [1.0, 1.0]
    for function in (np.exp, np.sqrt, np.maximum):
        arguments = (w, w)[: function.nin]
        with pytest.raises(TypeError, match=rf"numpy\.{function.__name__} is not for a Tensor"):
            function(*arguments)
    with pytest.raises(TypeError, match=r"numpy\.add is not for a Tensor"):
        np.add(w, np.ones(2))
    with pytest.raises(TypeError, match=r"numpy\.add is not for a Tensor"):
        np.add.reduce(w)
