"""[1] What a recorded operation says of itself: enough to draw a graph, whatever is released."""

import dataclasses
import gc
import weakref

import numpy as np
import pytest
from oracle import leaf, normal_leaf

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.autograd import gradcheck
from tinygrad_bn.engine import Node
from tinygrad_bn.tensor import record

F = tg.nn.functional


def described(node):
    return node.name, node.shapes, tuple(str(dtype) for dtype in node.dtypes)


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (lambda a, b: a + b[0], ((2, 3), (3,))),
        (lambda a, b: a * b, ((2, 3), (2, 3))),
        (lambda a, b: a @ b.T, ((2, 3), (3, 2))),
        (lambda a, b: a.exp(), ((2, 3),)),
        (lambda a, b: a.sum(), ((2, 3),)),
        (lambda a, b: a.permute(1, 0), ((2, 3),)),
        (lambda a, b: tg.cat([a, b, a]), ((2, 3), (2, 3), (2, 3))),
        (lambda a, b: tg.where(a > 0, a, b), None),
        (lambda a, b: F.linear(a, b), None),
    ],
)
def test_the_shapes_and_dtypes_of_the_inputs_stay_when_the_graph_is_released(make, shapes):
    y = make(normal_leaf(2, 3), normal_leaf(2, 3, seed=1))
    before = described(y.grad_fn)
    if shapes is not None:
        assert before[1:] == (shapes, ("float64",) * len(shapes))
    y.sum().backward()
    assert not y.grad_fn.parents
    assert described(y.grad_fn) == before
    assert repr(y.grad_fn)  # and can be shown


def test_inputs_of_two_dtypes_are_told_apart():
    y = leaf([1.0, 2.0]) * tg.tensor([3.0, 4.0], requires_grad=True)
    assert set(map(str, y.grad_fn.dtypes)) <= {"float32", "float64"}
    y.sum().backward()
    assert len(y.grad_fn.dtypes) == len(y.grad_fn.shapes) == 2


WEIGHT = tg.ones(2, 2, 2, 3, dtype=tg.float64)
ARGUMENTS = [  # what was asked for, beside the tensors: every number of it must be found again
    (lambda x: x.permute(2, 0, 1), {(2, 0, 1)}),
    (lambda x: x.sum(1), {1}),
    (lambda x: x.sum(-1), {2}),
    (lambda x: x.sum(), {(0, 1, 2)}),
    (lambda x: x.mean(-1), {2}),
    (lambda x: x.permute(-1, 0, 1), {(2, 0, 1)}),
    (lambda x: x.reshape(-1, 3), {(8, 3)}),
    (lambda x: x.expand(5, -1, 3, -1), {(5, 2, 3, 4)}),
    (lambda x: tg.cat([x, x], -1), {2}),
    (lambda x: x.transpose(-1, 0), {0, 2}),
    (lambda x: x.sum((0, 2), keepdim=True), {(0, 2), True}),
    (lambda x: x.reshape(4, 6), {(4, 6)}),
    (lambda x: x.expand(5, 2, 3, 4), {(5, 2, 3, 4)}),
    (lambda x: x[1], {1}),
    (lambda x: x.clamp(-0.5, 0.25), {-0.5, 0.25}),
    (lambda x: tg.cat([x, x], 2), {2}),
    (
        lambda x: F.conv2d(x[None], tg.ones(2, 2, 2, 3).double(), stride=(2, 1), padding=3),
        {(2, 1), 3},
    ),
    (lambda x: F.max_pool2d(x[None], 2, 1), {2, 1}),
    (lambda x: F.batch_norm(x[None], None, None, training=True, eps=0.125), {0.125}),
]


def parts(value):
    """A value, and what it is made of: a tuple's parts, a record's fields."""
    yield value
    if dataclasses.is_dataclass(value):
        value = tuple(vars(value).values())
    for part in value if isinstance(value, tuple | list) else ():
        yield from parts(part)


def values_in(arguments):
    return [part for value in arguments.values() for part in parts(value)]


def says(arguments, wanted):
    found = values_in(arguments)
    if isinstance(wanted, tuple):
        return wanted in [tuple(v) for v in found if isinstance(v, tuple | list)]
    return any(value is wanted if isinstance(wanted, bool) else value == wanted for value in found)


@pytest.mark.parametrize(("make", "wanted"), ARGUMENTS)
def test_a_node_knows_what_was_asked_for_also_when_it_is_released(make, wanted):
    y = make(normal_leaf(2, 3, 4))
    node = y.grad_fn
    assert all(says(node.arguments, value) for value in wanted), node.arguments
    before = dict(node.arguments)
    y.sum().backward()
    assert node.arguments == before


def test_it_is_printed_with_its_name_and_its_inputs():
    x = normal_leaf(2, 3)
    assert repr((x @ x.T).grad_fn) == "<matmul of float64 (2, 3), float64 (3, 2)>"
    assert repr(tg.ones(4, requires_grad=True).exp().grad_fn) == "<exp of float32 (4,)>"


def test_arguments_of_ones_own_operation_are_those_given_by_keyword():
    x = leaf([1.0, 2.0])
    y = record("shift", x.data + 3, (x, lambda g, y: g), by=3, mode="exact")
    assert (y.grad_fn.name, y.grad_fn.arguments) == ("shift", {"by": 3, "mode": "exact"})
    assert described(y.grad_fn) == ("shift", ((2,),), ("float64",))
    y.sum().backward()
    assert y.grad_fn.arguments == {"by": 3, "mode": "exact"}


def test_arguments_hold_no_tensor_and_no_large_array_alive():
    """They stay when the arrays are let go: so they must not be arrays themselves."""
    x = normal_leaf(1, 2, 6, 6)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2))
    y = model.double()(x)
    stack, seen = [y.grad_fn], 0
    while stack:
        node = stack.pop()
        if isinstance(node, Node):
            seen += 1
            stack += node.parents
            assert not [v for v in values_in(node.arguments) if hasattr(v, "dtype") and v.size > 1]
    assert seen >= 4


def test_names_tell_operations_apart():
    x = normal_leaf(2, 2)
    made = [
        x + 1,
        x - 1,
        x * 2,
        x / 2,
        x**2,
        x @ x,
        -x,
        x.exp(),
        (x * x).log(),
        x.tanh(),
        x.sum(),
        x.T,
    ]
    made += [x.mean(), x.max(), x.reshape(4), x[0], x.clamp(0.0), x.relu(), F.softmax(x, 1)]
    names = [y.grad_fn.name for y in made]
    assert all(isinstance(name, str) and name for name in names)
    assert len(set(names)) >= len(names) - 1, names  # a softmax may end in another operation


def test_after_backward_a_graph_keeps_no_tensor_that_a_derivative_used():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    e = x.exp()
    product = e * e
    noticed = weakref.ref(e)
    del e
    loss = product.sum()
    loss.backward()
    assert product.grad_fn is not None
    assert noticed() is None


# --- what a graph keeps -------------------------------------------------------------------------


def kept_after(operation, x):
    """Whether the output of `operation` is still in memory, when only a ReLU of it is held."""
    middle = operation(x)
    array = weakref.ref(middle.data if middle.data.base is None else middle.data.base)
    y = middle.relu()
    del middle
    gc.collect()
    return array() is not None, y


@pytest.mark.parametrize(
    ("operation", "kept"),
    [
        (lambda x: x + 1.0, False),
        (lambda x: F.batch_norm(x, None, None, training=True), False),
        (lambda x: F.linear(x, tg.ones(3, 3, dtype=tg.float64)), False),
        (lambda x: x.exp(), True),  # its own derivative needs it
    ],
)
def test_numbers_that_no_derivative_needs_are_freed(operation, kept):
    x = normal_leaf(4, 3)
    found, y = kept_after(operation, x)
    assert found == kept
    assert gradcheck(lambda x: operation(x).relu(), x)
    y.sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.sum(1),
        lambda x: x.mean(1),
        lambda x: x[:, 0] * 1.0,
        lambda x: x.float().double(),
    ],
)
def test_the_input_of_an_operation_that_only_needs_its_shape_is_freed(operation):
    x = normal_leaf(4, 3)
    middle = x + 1.0
    array = weakref.ref(middle.data)
    y = operation(middle)
    del middle
    gc.collect()
    assert array() is None or y.data.base is array()
    y.sum().backward()
    assert x.grad.shape == (4, 3)


def test_an_output_that_its_derivative_needs_has_a_history_where_it_is_differentiated_again():
    x = leaf([0.3, -0.2])
    (g,) = tg.grad(x.tanh(), x, tg.ones(2, dtype=tg.float64), create_graph=True)
    (h,) = tg.grad(g, x, tg.ones(2, dtype=tg.float64))
    y = np.tanh([0.3, -0.2])
    np.testing.assert_allclose(h.numpy(), -2 * y * (1 - y**2), rtol=1e-12)


def test_a_constant_that_no_derivative_needs_is_freed():
    x, constant = normal_leaf(4, 3), tg.randn(4, 3).double()
    array = weakref.ref(constant.data)
    y = x + constant
    del constant
    gc.collect()
    assert array() is None
    y.sum().backward()
    assert x.grad.tolist() == np.ones((4, 3)).tolist()


def test_a_released_operation_lets_go_of_its_output():
    y = normal_leaf(4, 3).exp()
    node, array = y.grad_fn, weakref.ref(y.data)
    y.sum().backward()
    del y
    gc.collect()
    assert array() is None
    assert node.name == "exp"
