"""[3] In-place operations: what they change, whose memory it is, and where they are refused.

A program is a few statements in which `m` is the library and F, i, b are tensors of floats,
integers and bools, none of which requires a gradient. It runs under both libraries; afterwards
every tensor it knows must be the same in both.
"""

import re

import numpy as np
import pytest
from oracle import assert_close, leaf

import tinygrad_bn as tg

FLOATS, INTEGERS, BOOLS = [[1.5, -2.0, 3.0], [4.0, 0.5, -6.0]], [3, -1, 2], [True, False, True]


def namespace(m, dtype="float32"):
    return {
        "m": m,
        "x": m.tensor(FLOATS, dtype=getattr(m, dtype)),
        "y": m.tensor([[0.5, 2.0, -1.0], [3.0, 4.0, 0.25]], dtype=getattr(m, dtype)),
        "row": m.tensor([10.0, 20.0, 30.0], dtype=getattr(m, dtype)),
        "i": m.tensor(INTEGERS),
        "b": m.tensor(BOOLS),
    }


def tensors(names, m):
    """By name: dtype, shape and values (as text: NaN too) of what the program knows."""
    return {
        name: (str(t.dtype).removeprefix("torch."), tuple(t.shape), repr(t.detach().tolist()))
        for name, t in sorted(names.items())
        if isinstance(t, m.Tensor)
    }


def run(program, m, dtype="float32"):
    names = namespace(m, dtype)
    exec(program, names)
    return tensors(names, m)


# --- values -----------------------------------------------------------------------------------

PROGRAMS = [
    *(f"x {op} {operand}" for op in ("+=", "-=", "*=", "/=") for operand in ("y", "row", "2", "x")),
    *(f"x.{name}_({operand})" for name in ("add", "sub", "mul", "div") for operand in ("y", "3")),
    *("x.zero_()", "x.fill_(7)", "x.fill_(i[0])", "x.copy_(y)", "x.copy_(row)", "x.copy_(3.0)"),
    *("x.add_(y, alpha=0.5)", "x.sub_(row, alpha=2)"),
    "x += y.to(m.float64)",  # the tensor that is changed keeps its dtype
    "x.to(m.float64).mul_(y)",
    *("x += i", "x *= b", "x /= i", "x.copy_(b)", "i += 2", "i *= i", "i -= b.to(m.int64)"),
    *("b += True", "b *= False", "i += True", "i.mul_(b)"),
    *("i.copy_(row)", "i.copy_(y[0])", "i.fill_(2.75)", "i.zero_()", "b.fill_(3)", "b.copy_(i)"),
    "x.zero_().add_(1).mul_(3).sub_(y)",
    "x *= float('nan')",
    "x -= x.mean()",
    "x /= (x * x).sum().sqrt()",
    *("x[0] = 5", "x[-1] = y[0]", "x[:, 1] = y[:, 0]", "x[1, 2] = 8.0", "x[...] = row", "x[:] = 1"),
    *(
        "x[x > 1] = 0",
        "x[x > 1] = row[:1]",
        "x[m.tensor([1, 0])] = y",
        "x[[0, 1], [2, 0]] = row[:2]",
    ),
    *("x[0, 1] += 1", "x[-1] *= 2", "x[x < 0] *= -1", "x[..., 0] -= y[..., 1]", "x[:, 1:] /= 4"),
    *("x[[0, 0], [1, 1]] += 1", "x[:0] = 9.0", "x[..., None] = 2.0", "x[::2] = 0", "x[0] = x[1]"),
    *(
        "x[i[1]] = 0.5",
        "x[0][1] = 7.0",
        "x.T[0] = 0",
        "x[0] = i",
        "x[1] = b",
        "i[0] = 2.75",
        "b[1] = 2",
    ),
    *("i[:2] = row[1:]", "i[b] = 0", "x[:, b] = -1", "x[0] = y[1].to(m.float64)"),
    "for k in range(3):\n    x[:, k] = k",
    "x[:, :2] = x[:, 1:].clone()",
    "z = x\nz += 1",  # two names of one tensor
    "z = x\nz = z + 1",  # not in place
    "z = m.zeros(0, 3)\nz += 1\nz.fill_(2)\nz[:] = 3",
    "z = m.tensor(2.0)\nz *= 3\nz += y[0, 0]\nz.sub_(1)",
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_values_and_dtypes_are_pytorchs(torch, program, dtype):
    assert run(program, tg, dtype) == run(program, torch, dtype)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("x += 1", [[2.5, -1, 4], [5, 1.5, -5]]),
        ("x *= row", [[15, -40, 90], [40, 10, -180]]),
        ("x[:, 1] = 0", [[1.5, 0, 3], [4, 0, -6]]),
        ("x[x < 0] = 9", [[1.5, 9, 3], [4, 0.5, 9]]),
        ("x.copy_(row)", [[10, 20, 30], [10, 20, 30]]),
        ("x.zero_().sub_(2)", [[-2, -2, -2], [-2, -2, -2]]),
    ],
)
def test_values_by_hand(program, expected):
    names = namespace(tg)
    exec(program, names)
    assert names["x"].tolist() == expected


@pytest.mark.parametrize(
    "statement",
    [
        *(
            "x += 1",
            "x -= y",
            "x *= y",
            "x /= 2",
            "x.add_(1)",
            "x.sub_(y)",
            "x.mul_(2)",
            "x.div_(y)",
        ),
        *("x.zero_()", "x.fill_(2)", "x.copy_(y)", "x[0] = 1", "x[x > 0] = y[x > 0]"),
    ],
)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_tensor_and_memory_stay_the_same_and_nothing_is_recorded(statement, requires_grad):
    names = namespace(tg)
    x = names["x"].requires_grad_(requires_grad)
    array = x.data
    with tg.no_grad():
        exec(statement, names)
    assert names["x"] is x
    assert x.data is array
    assert (x.grad_fn, x.requires_grad, x.is_leaf) == (None, requires_grad, True)


@pytest.mark.parametrize(
    "call",
    ["add_(1)", "sub_(1)", "mul_(2)", "div_(2)", "zero_()", "fill_(1)", "copy_(x * 2)"],
)
def test_a_method_returns_its_tensor_so_that_calls_can_be_chained(call):
    x = tg.ones(2)
    assert eval(f"x.{call}", {"x": x}) is x


# --- whose memory it is -----------------------------------------------------------------------

VIEWS = [
    *(
        "x.detach()",
        "x[0]",
        "x[:, 1:]",
        "x[:, 1]",
        "x[..., None]",
        "x[::2]",
        "x.T",
        "x.reshape(-1)",
    ),
    *("x.reshape(3, 2)", "x.transpose(0, 1)", "x.permute(1, 0)", "x.flatten()", "x.unsqueeze(0)"),
    *("x.unsqueeze(0).squeeze(0)", "x[0:1].squeeze()", "x.detach().detach()[1]", "x.T[0].detach()"),
]
COPIES = ["x.clone()", "x * 1", "x[[0, 1]]", "x[x > 0]", "m.tensor(x.tolist())", "m.cat([x])"]


@pytest.mark.parametrize("view", [*VIEWS, *COPIES])
@pytest.mark.parametrize("changed", ["v", "x"])
def test_what_shares_memory_sees_the_change_and_what_does_not_does_not(torch, view, changed):
    program = f"v = {view}\n{changed} += 1\n{changed}.mul_(2)\n{changed}[0] = 5"
    assert run(program, tg) == run(program, torch)


@pytest.mark.parametrize("view", VIEWS)
def test_a_change_of_a_view_is_a_change_of_the_tensor(view):
    names = namespace(tg)
    exec(f"v = {view}\nv.fill_(77)", names)
    assert 77 in names["x"].data
    names["x"].zero_()
    assert not names["v"].data.any()


@pytest.mark.parametrize("statement", ["v += 1", "v.add_(1)", "v.zero_()", "v[0] = 1"])
def test_a_tensor_that_repeats_its_memory_cannot_be_changed(statement):
    x = tg.ones(3)
    with pytest.raises((RuntimeError, ValueError)):
        exec(statement, {"v": x.expand(4, 3)})
    assert x.tolist() == [1, 1, 1]


def test_a_detached_tensor_changes_the_parameter_it_shares_memory_with():
    w = leaf([1.0, 2.0])
    w.detach().add_(1)  # recording, but nothing here requires a gradient
    w.detach()[0] = 9
    assert w.tolist() == [9, 3]
    assert w.requires_grad
    (w * w).sum().backward()
    assert w.grad.tolist() == [18, 6]


def test_gradients_can_be_changed_while_recording():
    """Clipping, as it is usually written."""
    w = leaf([3.0, 4.0])
    (w * w / 2).sum().backward()
    grad = w.grad
    w.grad *= 2 / (w.grad * w.grad).sum().sqrt()
    assert w.grad is grad
    np.testing.assert_allclose(grad.tolist(), [1.2, 1.6])
    w.grad.zero_()
    assert grad.tolist() == [0, 0]


# --- where a gradient is recorded -------------------------------------------------------------

CHANGES = [
    *("w += 1", "w -= 1", "w *= c", "w /= 2", "w.add_(1)", "w.sub_(c)", "w.mul_(2)", "w.div_(2)"),
    *("w.zero_()", "w.fill_(2)", "w.copy_(c)", "w[0] = 9", "w[:] = c", "w += w", "w.add_(w)"),
]


@pytest.mark.parametrize("statement", CHANGES)
def test_a_leaf_that_requires_a_gradient_refuses_while_recording_and_is_unchanged(torch, statement):
    message = "leaf Variable that requires grad is being used in an in-place operation"
    for m in (tg, torch):
        w = m.tensor([1.0, 2.0, 3.0], requires_grad=True)
        names = {"w": w, "c": m.tensor([5.0, 6.0, 7.0])}
        with pytest.raises(RuntimeError, match=message):
            exec(statement, names)
        assert names["w"] is w
        assert w.tolist() == [1, 2, 3]
        assert w.requires_grad
        with m.no_grad():
            exec(statement, names)
        assert w.tolist() != [1, 2, 3]


@pytest.mark.parametrize(
    "program",
    [
        "y = w * 2\ny += 1",
        "y = w * 2\ny -= w",
        "y = w * w\ny *= w",
        "y = w * 2\ny /= w",
        "y = w * 3\ny *= y",
        "y = m.ones(3)\ny += w",
        "y = m.ones(3)\ny *= 2\ny *= w",
        "y = w.exp()\nfor k in range(3):\n    y *= w\n    y += k",
        "y = 0\nfor k in range(3):\n    y += w * k",
    ],
)
def test_an_operator_on_a_recorded_result_is_recorded_too(torch, program):
    """The name means a new tensor then: values and gradients are as if `y = y + 1` stood there.

    PyTorch really works in place, and so refuses where the old values are still needed.
    """
    spelled_out = re.sub(r"y ([-+*/])= (.*)", r"y = y \1 (\2)", program)
    found = []
    for m, text in ((tg, program), (torch, spelled_out)):
        names = {"m": m, "w": m.tensor([1.0, 2.0, 3.0], requires_grad=True)}
        exec(text, names)
        names["y"].sum().backward()
        found.append([names["y"], names["w"].grad])
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, 1e-6)


def test_after_an_operator_on_a_recorded_result_the_old_one_is_as_it_was():
    w = leaf([1.0, 2.0])
    y = old = w.exp()
    y += 1
    assert y is not old
    np.testing.assert_array_equal(old.detach(), np.exp([1.0, 2.0]))
    old.sum().backward()
    np.testing.assert_allclose(w.grad, np.exp([1.0, 2.0]))


@pytest.mark.parametrize(
    "statement",
    [
        *(
            "y.add_(1)",
            "y.sub_(1)",
            "y.mul_(2)",
            "y.div_(2)",
            "y.zero_()",
            "y.fill_(1)",
            "y.copy_(c)",
        ),
        *(
            "y[0] = 1",
            "y[y > 0] = 0",
            "c.add_(y)",
            "c.mul_(w)",
            "c.copy_(w)",
            "c[0] = w[0]",
            "c[:] = y",
        ),
    ],
)
def test_a_method_that_would_have_to_be_recorded_is_refused_and_changes_nothing(statement):
    w, c = leaf([1.0, 2.0]), tg.tensor([5.0, 6.0])
    y = w * 2
    with pytest.raises(RuntimeError, match=r"in.place"):
        exec(statement, {"w": w, "y": y, "c": c})
    assert (w.tolist(), y.tolist(), c.tolist()) == ([1, 2], [2, 4], [5, 6])
    y.sum().backward()
    assert w.grad.tolist() == [2, 2]


def test_under_no_grad_a_recorded_result_can_be_changed():
    w = leaf([1.0, 2.0])
    y = w + 1
    with tg.no_grad():
        y *= 10
        y[0] = 0
    assert y.tolist() == [0, 30]


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "error", "named"),
    [
        ("x += m.ones(4, 2, 3)", (RuntimeError, ValueError), ["(2, 3)", "(4, 2, 3)"]),
        ("x.add_(m.ones(4, 2, 3))", (RuntimeError, ValueError), ["(2, 3)", "(4, 2, 3)"]),
        ("x *= m.ones(2)", (RuntimeError, ValueError), ["(2, 3)", "(2,)"]),
        ("x.copy_(m.ones(4))", (RuntimeError, ValueError), ["(2, 3)", "(4,)"]),
        ("row.copy_(x)", (RuntimeError, ValueError), ["(3,)", "(2, 3)"]),
        ("x[0] = m.ones(4)", (RuntimeError, ValueError), ["3", "4"]),
        ("x[:, 0] = m.ones(2, 3)", (RuntimeError, ValueError), ["2", "3"]),
        ("x[5] = 1", IndexError, ["5"]),
        ("x[0, 7] += 1", IndexError, ["7"]),
        ("x.fill_(row)", (RuntimeError, TypeError, ValueError), ["fill_"]),
        ("i += 1.5", (RuntimeError, TypeError), ["int64", "float32"]),
        ("i /= 2", (RuntimeError, TypeError), ["int64", "float32"]),
        ("i.mul_(0.5)", (RuntimeError, TypeError), ["int64", "float32"]),
        ("i += row", (RuntimeError, TypeError), ["int64", "float32"]),
        ("i *= row.to(m.float64)", (RuntimeError, TypeError), ["int64", "float64"]),
        ("b += 1", (RuntimeError, TypeError), ["bool", "int64"]),
        ("b.add_(i)", (RuntimeError, TypeError), ["bool", "int64"]),
        ("x += 'one'", TypeError, ["str"]),
        ("x += None", TypeError, ["None"]),
        ("x[0] = None", TypeError, ["None|object"]),
        ("x.copy_('one')", TypeError, ["str|<U"]),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_changes_nothing(torch, statement, error, named):
    names = namespace(tg)
    with pytest.raises(error) as info:
        exec(statement, names)
    message = re.sub(r"(?<=\d),(?=\d)", ", ", str(info.value))  # NumPy writes shapes as (2,3)
    for word in named:
        assert any(w in message for w in word.split("|")), message
    assert tensors(names, tg) == tensors(namespace(tg), tg)
    with pytest.raises((RuntimeError, TypeError, IndexError)):
        exec(statement, namespace(torch))


IN_PLACE = {
    "+=": lambda x, y: x.__iadd__(y),
    "-=": lambda x, y: x.__isub__(y),
    "*=": lambda x, y: x.__imul__(y),
    "/=": lambda x, y: x.__itruediv__(y),
    "add_": lambda x, y: x.add_(y),
    "sub_": lambda x, y: x.sub_(y),
    "mul_": lambda x, y: x.mul_(y),
    "div_": lambda x, y: x.div_(y),
    "copy_": lambda x, y: x.copy_(y),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_refusal_names_the_operation_and_what_it_is_about(name):
    operation = IN_PLACE[name]
    x, wide = tg.ones(2), tg.ones(3, 2)
    leaf_, result = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True) * 1
    start = re.escape(f"{name}: ")
    with pytest.raises(RuntimeError, match=rf"^{start}output with shape \(2,\)"):
        operation(x, wide)
    with pytest.raises(RuntimeError, match=rf"^{start}a leaf Variable"):
        operation(leaf_, x)
    with pytest.raises(RuntimeError, match=rf"^{start}its elements share memory"):
        operation(tg.ones(1).expand(2), x)
    if name.endswith("_"):
        with pytest.raises(RuntimeError, match=rf"^{start}what is changed in place"):
            operation(result, x)


def test_what_is_copied_in_does_not_bring_its_history():
    x, y = tg.zeros(2), tg.ones(2, requires_grad=True) * 3
    with tg.no_grad():
        x.copy_(y)
    assert x.tolist() == [3.0, 3.0]
    assert x.grad_fn is None
    assert not x.requires_grad


def test_a_single_number_that_fills_keeps_its_fraction():
    x = tg.zeros(2)
    x.fill_(tg.tensor(2.75))
    assert x.tolist() == [2.75, 2.75]
    assert tg.zeros(1).fill_(np.float64(0.5)).item() == 0.5


def test_integers_are_not_divided_in_place(torch):
    for m in (tg, torch):
        with pytest.raises(RuntimeError, match="result type"):
            m.tensor([1, 2]).div_(2)


@pytest.mark.parametrize("index", [0, -1, (1,), (0, ...), (..., 2)])
def test_a_single_number_is_a_view_too(torch, index):
    """NumPy's own x[0] of one axis is a copy: what is written into it would be lost."""
    for m in (tg, torch):
        x = m.tensor([1.0, 2.0, 3.0])
        x[index].add_(10.0)
        assert x.sum().item() == 16.0
        two = m.tensor([[1.0, 2.0, 3.0]])
        two[0, 1].mul_(0)
        assert two.tolist() == [[1.0, 0.0, 3.0]]
    y = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    z = y * 1.0
    loss = z[0] * z[0]
    with tg.no_grad():
        z[0].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
