"""[3] The Tensor: every operation against PyTorch, against finite differences, and by hand.

An operation is written once, as an expression in which `m` is the library. Its operands are random:
a, b, c normal, and p, q in [0.5, 2] where only positive values make sense. One table of expressions
drives all the tests that hold for every operation.
"""

import re
import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from oracle import array

import tinygrad_bn as tg
from tinygrad_bn.autograd import gradcheck, gradgradcheck

DTYPES = ["bool", "int64", "float32", "float64"]
NAN, INF = np.nan, np.inf
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def each(text):
    """The expressions in a text, separated by semicolons."""
    return [expression.strip() for expression in text.split(";")]


def case(expression, **shapes):
    return pytest.param(expression, shapes, id=" ".join([expression, *map(str, shapes.values())]))


def operands(shapes, dtype="float64", seed=7):
    rng = np.random.default_rng(seed)
    draw = {
        name: rng.uniform(0.5, 2.0, shape) if name in "pq" else rng.standard_normal(shape)
        for name, shape in shapes.items()
    }
    return {name: np.asarray(array, dtype) for name, array in draw.items()}


def evaluate(expression, lib, arrays, requires_grad=True):
    """The result of `expression` under a library, and the tensors it was computed from."""
    tensors = {k: lib.tensor(v, requires_grad=requires_grad) for k, v in arrays.items()}
    return eval(expression, {"m": lib, **tensors}), list(tensors.values())


def like(expected):
    """The dtype and shape of a torch tensor, comparable with ours."""
    return str(expected.dtype).removeprefix("torch."), tuple(expected.shape)


BINARY = [
    case(f"{a} {op} {b}", **{a: s, b: t})
    for a, op, b in ["a+b", "a-b", "a*b", "a/p", ["p", "**", "b"]]
    for s, t in [((2, 3), (2, 3)), ((2, 1), (1, 3)), ((), (2, 3)), ((2, 3), (1,)), ((), ())]
]
SCALAR = [
    case(e, a=(2, 3), p=(3,))
    for e in each("""
        a + 1 + 0 * p; a - 0.5 + p; p * (2 - a); p * a * -3; a / 4 + p; a + 3 / p; a + 1.5 ** p;
        2 ** a * p; p ** -1.5 * a; a ** 2 + p; a ** 3 * p ** 0; a + p ** 1; -a * p; abs(a) + p;
        (True + a) * p
    """)
]
MATMUL = [
    case("a @ b", a=s, b=t)
    for s, t in [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 2)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 1)),
        ((1, 2, 3), (5, 3, 2)),
        ((4, 1, 2, 3), (2, 3, 2)),
        ((2, 2, 1, 3), (3,)),
        ((3,), (2, 2, 3, 1)),
        ((1, 1), (1, 1)),
        ((2, 0), (0, 3)),
        ((0, 3), (3, 2)),
    ]
]
UNARY = [
    case(e, **{e[0]: s})
    for e in each("""
        a.abs(); a.exp(); p.log(); p.sqrt(); a.relu(); a.sigmoid(); a.tanh(); a.clone();
        a.clamp(-0.5, 0.5); a.clamp(min=0.1); a.clamp(max=0.3); a.clamp(1, -1)
    """)
    for s in [(2, 3), ()]
]
DIMS = each("""
    ; 0; -1; (0, 2); [2, 1]; dim=1, keepdim=True; (-1, 0), keepdim=True; dim=None, keepdim=True;
    dim=()
""")
REDUCTION = [
    *(
        case(f"a.{name}({dims})", a=(2, 3, 2))
        for name in ["sum", "mean", "var"]
        for dims in DIMS
        if (name, dims) != ("var", "dim=()")  # whose gradient is infinite in PyTorch
    ),
    *(
        case(f"a.var({d}correction={c})", a=(4, 3))
        for d in ["", "1, ", "(0, 1), "]
        for c in range(3)
    ),
    case("a.var((0, 1), keepdim=True, correction=2)", a=(4, 3)),
    *(case(e, a=()) for e in each("a.sum(); a.sum(0); a.mean(-1); a.max(); a.var(correction=0)")),
    *(
        case(e, a=(1, 3))
        for e in each("a.sum(0); a.mean(0); a.max(0).values; a.var(0, correction=0)")
    ),
]
EXTREME = [
    case(f"a.{name}({rest}", a=(2, 3, 2))
    for name in ["max", "min"]
    for rest in each("); 0).values; dim=-1)[0]; 1, keepdim=True).values; -2, True)[0]")
]
WHERE = [
    case("m.where(a > 0, a, b)", a=(2, 3), b=(2, 3)),
    case("m.where(a > b, a * b, b)", a=(2, 1), b=(3,)),
    case("m.where(m.tensor([[True, False, True], [False, False, True]]), a, p)", a=(3,), p=()),
    case("m.where(a > 0, a, 0.5)", a=(2, 3)),
    case("m.where(a > 0, 2, a)", a=(2, 3)),
]
SHAPE = [
    *(
        case(f"a.{method}", a=(2, 3, 1))
        for method in each("""
            reshape(3, 2); reshape((6,)); reshape(-1, 2); reshape([1, 6, 1]);
            permute(2, 0, 1); permute((1, 2, 0)); permute(0, -1, 1);
            transpose(0, 1); transpose(-1, 0); transpose(1, 1);
            flatten(); flatten(1); flatten(0, 1); flatten(-2, -1); flatten(1, 1);
            squeeze(); squeeze(2); squeeze(0); squeeze(-1); squeeze((0, 2));
            unsqueeze(0); unsqueeze(-1); unsqueeze(3); unsqueeze(-3);
            expand(2, 3, 4); expand(5, 2, 3, 1); expand((-1, 3, 2)); expand(2, -1, -1)
        """)
    ),
    *(
        case(f"a.{method}", a=())
        for method in each("flatten(); unsqueeze(-1); squeeze(0); transpose(0, -1); expand(2, 3)")
    ),
    case("a.T", a=(2, 3)),
    case("a.reshape(())", a=(1, 1)),
    case("a.expand(0, 3)", a=(1, 3)),
]
INDEX = [
    case(f"a[{index}]", a=(3, 4, 2))
    for index in each("""
        1; -1; 1, 2; 2, 3, 1; 1:; :, 1:3; ::2; :, 1::2, 0; 3:; -2:, :-1; 1:2;
        None; ..., 0; 0, ..., None; :, None, 1; ...; 1, None, ..., -1;
        [0, 2]; [1, 1, 0, 1]; :, [3, 3]; [0, 1], [1, 1]; [0, 0], :, [1, 1]; [2, 0], 1:3; [-1, 2];
        []; 0, [1, 2, 1]; ..., [1, 0, 1]; [[0], [1]], [2, 3];
        m.tensor(1); m.tensor([0, 2, 0]); m.tensor([[0, 1], [2, 2]]);
        m.tensor([[0, 1]]), m.tensor([[3], [3]]); m.tensor([1, 1]), m.tensor([0, 0]), 1;
        [True, False, True]; :, m.tensor([True, False, True, True]); a > 0; a[..., 0] > 0
    """)
]
JOIN = [
    case("m.cat([a, b])", a=(2, 3), b=(1, 3)),
    case("m.cat((a, b, a), dim=-1)", a=(2, 1), b=(2, 3)),
    case("m.cat([a, b], 1)", a=(2, 0), b=(2, 3)),
    case("m.cat([a])", a=(2,)),
    case("m.stack([a, b])", a=(2, 3), b=(2, 3)),
    case("m.stack((a, b, a), dim=1)", a=(2,), b=(2,)),
    case("m.stack([a, b], -1)", a=(2, 2), b=(2, 2)),
    case("m.stack([a, b])", a=(), b=()),
]
COMPOSED = [
    case("(((a @ b).relu() + c).tanh().mean(0) * c).var()", a=(4, 3), b=(3, 2), c=(2,)),
    case("(a - a.mean(0)) / (a.var(0, correction=0) + 1e-5).sqrt()", a=(5, 2)),
    case("a.exp() / a.exp().sum(-1, keepdim=True)", a=(2, 4)),
    case("(a.T[1:] @ m.stack([b, b * 2], 1)).sum((0, 1)) ** 2", a=(3, 3), b=(3,)),
]
DIFFERENTIABLE = [*BINARY, *SCALAR, *MATMUL, *UNARY, *REDUCTION, *EXTREME, *WHERE]
DIFFERENTIABLE += [*SHAPE, *INDEX, *JOIN, *COMPOSED]


# --- what holds for every operation ------------------------------------------------------------


@pytest.mark.parametrize(("expression", "shapes"), DIFFERENTIABLE)
def test_values_and_gradients_are_pytorchs(expression, shapes, torch):
    for dtype, rtol in [("float64", 1e-11), ("float32", 2e-4)]:
        arrays = operands(shapes, dtype)
        y, inputs = evaluate(expression, tg, arrays)
        expected, their_inputs = evaluate(expression, torch, arrays)
        assert (y.dtype, y.shape) == like(expected)
        assert_allclose(array(y), array(expected), rtol, atol=rtol)
        u = np.random.default_rng(3).standard_normal(y.shape).astype(dtype)
        y.backward(tg.tensor(u))
        expected.backward(torch.tensor(u))
        for x, theirs in zip(inputs, their_inputs, strict=True):
            assert (x.grad is None) == (theirs.grad is None)
            if x.grad is not None:
                assert (x.grad.dtype, x.grad.shape) == (x.dtype, x.shape)
                assert x.grad.data.flags.writeable  # clipping and the like work in place
                assert_allclose(array(x.grad), array(theirs.grad), rtol, atol=rtol)


@pytest.mark.parametrize(("expression", "shapes"), DIFFERENTIABLE)
def test_first_and_second_derivatives_are_finite_differences(expression, shapes):
    inputs = [tg.tensor(v, requires_grad=True) for v in operands(shapes).values()]

    def fn(*tensors):
        return eval(expression, {"m": tg, **dict(zip(shapes, tensors, strict=True))})

    assert gradcheck(fn, inputs)
    assert gradgradcheck(fn, inputs)


@pytest.mark.parametrize(("expression", "shapes"), DIFFERENTIABLE)
def test_nothing_is_recorded_under_no_grad_or_for_constants(expression, shapes):
    arrays = operands(shapes)
    y, _ = evaluate(expression, tg, arrays)
    assert y.requires_grad
    assert not y.is_leaf
    with tg.no_grad():
        unrecorded, _ = evaluate(expression, tg, arrays)
    constant, _ = evaluate(expression, tg, arrays, requires_grad=False)
    for z in (unrecorded, constant):
        assert (z.requires_grad, z.grad_fn, z.is_leaf) == (False, None, True)
        assert_array_equal(z.data, y.data)


@pytest.mark.parametrize(("expression", "shapes"), DIFFERENTIABLE)
def test_no_operation_changes_its_operands(expression, shapes):
    arrays = operands(shapes)
    y, inputs = evaluate(expression, tg, arrays)
    y.backward(tg.tensor(np.random.default_rng(3).standard_normal(y.shape)))
    for x, before in zip(inputs, arrays.values(), strict=True):
        assert_array_equal(x.data, before)


@pytest.mark.parametrize(("expression", "shapes"), DIFFERENTIABLE)
def test_a_result_is_freed_when_it_is_dropped(expression, shapes, no_garbage_collector):
    # a vjp that closes over its own output keeps tensor → operation → vjp → tensor alive
    y, inputs = evaluate(expression, tg, operands(shapes))
    refs = [weakref.ref(y), weakref.ref(y.data)]
    del y
    assert [r() for r in refs] == [None, None]
    assert all(x.is_leaf for x in inputs)


# --- large arrays ------------------------------------------------------------------------------

# Large results are written into memory that earlier ones have left: garbage, unless all of it is
# written. Their rows, one at a time, are small enough to take the other way.
LARGE = (70, 200)
ELEMENTWISE = each("""
    a + p; a - p; a * p; a / p; p ** a; -a; a + 1; 2 - a; a / 3; 3 / p; a.abs(); a.exp(); p.log();
    p.sqrt(); a.relu(); a.sigmoid(); a.tanh(); a.clamp(-0.5, 0.5); a.clone(); m.where(a > 0, a, p);
    (a * p).tanh() * a + p; a.sum(-1); a.mean(-1); a.var(-1); a.max(-1).values;
    a[..., 3:] * p[..., :-3]
""")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("expression", ELEMENTWISE)
def test_a_large_result_equals_its_rows_one_at_a_time(expression, dtype):
    used = [name for name in "ap" if re.search(rf"\b{name}\b", expression)]
    arrays = operands(dict.fromkeys(used, LARGE), dtype)
    rng = np.random.default_rng(3)
    for _ in range(2):  # the second time in used memory
        y, inputs = evaluate(expression, tg, arrays)
        u = rng.standard_normal(y.shape).astype(dtype)
        y.backward(tg.Tensor(u))
        for i in range(0, LARGE[0], 23):
            row, row_inputs = evaluate(expression, tg, {k: v[i] for k, v in arrays.items()})
            row.backward(tg.Tensor(u[i]))
            assert_allclose(y.data[i], row.data, rtol=1e-6, atol=1e-6)
            for x, row_x in zip(inputs, row_inputs, strict=True):
                assert_allclose(x.grad.data[i], row_x.grad.data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "expression",
    each("""
        a.T + p.T; (a.T * 2).T - p; a + p[0]; a[0] + p; a[:, :1] * p; a.mean() * p; p / a.var();
        a.T.tanh().T * p; (a[::2] * p[1::2]).exp(); a.expand(2, *a.shape) * p; a @ p.T;
        a.permute(1, 0).reshape(*a.shape) * p; a[:, ::3] + 1 + 0 * p.sum()
    """),
)
def test_large_arrays_in_any_layout_agree_with_pytorch(expression, torch):
    arrays = operands({"a": LARGE, "p": LARGE})
    for _ in range(2):
        y, inputs = evaluate(expression, tg, arrays)
        expected, their_inputs = evaluate(expression, torch, arrays)
        u = np.random.default_rng(3).standard_normal(y.shape)
        y.backward(tg.tensor(u))
        expected.backward(torch.tensor(u))
        assert_allclose(array(y), array(expected), rtol=1e-9)
        for x, theirs in zip(inputs, their_inputs, strict=True):
            assert_allclose(array(x.grad), array(theirs.grad), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dtype", ["bool", "int64"])
def test_large_integers_and_bools_are_computed_as_small_ones(dtype):
    values = np.arange(np.prod(LARGE) * 8).reshape(8, -1) % 7
    n = tg.Tensor(values.astype(dtype))
    expressions = ["n + n", "n * n", "n + 2", "n * 0.5", "n / 2", "n.float() - n", "n * True"]
    for expression in expressions:
        if dtype == "bool" and "-" in expression:
            continue  # refused, as in PyTorch
        big = eval(expression, {"n": n})
        small = eval(expression, {"n": tg.Tensor(n.data[5, :50])})
        assert big.dtype == small.dtype
        assert_array_equal(big.data[5, :50], small.data)


@pytest.mark.parametrize(
    "operation",
    [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b],
    ids="+-*/",
)
def test_a_large_row_is_repeated_down_a_column(operation):
    row, column = np.arange(1.0, 20_001).reshape(1, -1), np.array([[1.0], [2.0], [4.0]])
    for a, b in ((row, column), (column, row)):
        found = operation(tg.tensor(a), tg.tensor(b)).numpy()
        np.testing.assert_array_equal(found, operation(a, b), strict=True)


@pytest.mark.parametrize(
    "keep",
    [
        lambda y: y.data[3:5],
        lambda y: y.data.T.reshape(-1)[7:9],
        lambda y: y.data.T[2],
        lambda y: y.detach(),
        lambda y: y.reshape(-1)[4:].data,
        lambda y: np.asarray(y.T)[1:],
        lambda y: memoryview(y.data),
        lambda y: y.data.view(np.int64),
    ],
)
def test_what_a_view_still_shows_is_not_written_over(keep):
    x = tg.Tensor(np.full(LARGE, 1.5))
    kept = keep(x * 2)  # the tensor itself is gone
    before = np.array(getattr(kept, "data", kept) if isinstance(kept, tg.Tensor) else kept)
    others = [(x * float(k)).exp() for k in range(5)]
    after = getattr(kept, "data", kept) if isinstance(kept, tg.Tensor) else kept
    assert_array_equal(np.array(after), before)
    assert len(others) == 5


def test_living_results_never_share_memory():
    x = tg.Tensor(np.full(LARGE, 0.5), requires_grad=True)
    for _ in range(3):
        alive = [x, x * 2, x + 1, x.exp(), (x * x).tanh(), -x, x.relu()]
        alive += [t.clone() for t in alive] + list(tg.grad(x.sigmoid().sum(), x))
        for i, s in enumerate(alive):
            assert not any(np.shares_memory(s.data, t.data) for t in alive[:i])


def test_results_of_ever_new_sizes_do_not_pile_up():
    # 150 batches of different lengths, 1 MB each: kept for reuse, they would be 150 MB
    x = tg.ones(280_000)
    tracemalloc.start()
    try:
        for n in range(150):
            x[n:] * 2.0
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 40e6


# --- broadcasting ------------------------------------------------------------------------------

# Independent of any implementation: the gradient is the adjoint of the derivative,
# ⟨u, ∂y·v⟩ = ⟨∂yᵀ·u, v⟩ for all directions v. By hand, ∂y·v towards a and towards b:
DIRECTIONAL = {
    "a + b": (lambda a, b, v: v, lambda a, b, v: v),
    "a - b": (lambda a, b, v: v, lambda a, b, v: -v),
    "a * b": (lambda a, b, v: v * b, lambda a, b, v: a * v),
    "a / b": (lambda a, b, v: v / b, lambda a, b, v: -a * v / b**2),
    "a ** b": (lambda a, b, v: b * a ** (b - 1) * v, lambda a, b, v: a**b * np.log(a) * v),
}


@pytest.mark.parametrize("expression", DIRECTIONAL)
@quick
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_dims=4, max_side=3))
def test_the_gradient_is_the_adjoint_of_broadcasting(expression, shapes):
    rng = np.random.default_rng(0)
    a, b, va, vb = (rng.uniform(0.5, 2, s) for s in shapes.input_shapes * 2)
    y, (ta, tb) = evaluate(expression, tg, {"a": a, "b": b})
    assert y.shape == shapes.result_shape
    u = rng.standard_normal(y.shape)
    ga, gb = tg.grad(y, (ta, tb), tg.Tensor(u))
    along_a, along_b = DIRECTIONAL[expression]
    for g, x, v, along in [(ga, a, va, along_a), (gb, b, vb, along_b)]:
        assert g.shape == x.shape
        forward = np.broadcast_to(along(a, b, v), y.shape)
        assert_allclose((u * forward).sum(), (g.data * v).sum(), rtol=1e-9, atol=1e-9)


@st.composite
def array_and_index(draw):
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    index = draw(
        hnp.basic_indices(shape, allow_newaxis=True)
        | hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=4))
        | hnp.arrays(np.bool_, shape)
    )
    return shape, index


@quick
@given(array_and_index())
def test_any_index_selects_as_numpy_does_and_scatters_back(drawn):
    shape, index = drawn
    rng = np.random.default_rng(0)
    x = tg.Tensor(rng.standard_normal(shape), requires_grad=True)
    y = x[index]
    assert_array_equal(y.data, x.data[index])
    u, v = rng.standard_normal(y.shape), rng.standard_normal(shape)
    (g,) = tg.grad(y, x, tg.Tensor(u))
    assert_allclose((u * v[index]).sum(), (g.data * v).sum(), atol=1e-12)


def test_an_index_used_twice_gets_both_gradients():
    x = tg.Tensor(np.zeros(3), requires_grad=True)
    x[[0, 2, 0]].backward(tg.Tensor(np.array([1.0, 10.0, 100.0])))
    assert_array_equal(x.grad.data, [101.0, 0.0, 10.0])


@pytest.mark.parametrize("squeeze", [lambda x: x.squeeze(), lambda x: x.squeeze((0, 2))])
def test_squeezing_leaves_axes_of_size_0(squeeze):
    x = tg.zeros(0, 3, 1, requires_grad=True)
    y = squeeze(x)
    assert y.shape == (0, 3)
    y.sum().backward()
    assert x.grad.shape == (0, 3, 1)


# --- construction ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [tg.Tensor, tg.tensor])
@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        (3, "int64"),
        (True, "bool"),
        ([1.0, 2], "float32"),
        ([[1, 2], [3, 4]], "int64"),
        ([True, False], "bool"),
        ((1, 2.5), "float32"),
        ([], "float32"),
        *((np.ones((2, 2), d), d) for d in DTYPES),
        *((np.ones((), d)[()], d) for d in DTYPES),
    ],
)
def test_python_floats_become_float32_and_arrays_keep_their_dtype(make, data, dtype):
    t = make(data)
    assert t.dtype == dtype
    assert t.shape == np.shape(data)
    assert_array_equal(t.data, np.array(data))
    assert (t.requires_grad, t.grad, t.grad_fn) == (False, None, None)


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int32", "complex128", "object", "<U1"])
def test_an_unsupported_dtype_is_refused_by_name(dtype):
    value = np.zeros(2, dtype)
    for make in (tg.Tensor, tg.tensor):
        with pytest.raises(TypeError, match=str(value.dtype)):
            make(value)
    for make in (tg.zeros, tg.ones, tg.arange, tg.Tensor([1.0]).to):
        with pytest.raises(TypeError, match=str(value.dtype)):
            make(np.dtype(dtype)) if make.__name__ == "to" else make(2, dtype=np.dtype(dtype))


def test_an_explicit_dtype_converts():
    assert tg.Tensor([1, 2], dtype=tg.float64).dtype == tg.float64
    assert tg.tensor(1.7, dtype=tg.int64).item() == 1
    assert tg.Tensor(np.ones(2), dtype=tg.float32, requires_grad=True).dtype == "float32"
    assert tg.tensor([0, 2], dtype=tg.bool).tolist() == [False, True]


def test_the_constructor_copies():
    source = np.array([1.0, 2.0])
    copies = [tg.Tensor(source), tg.tensor(source)]
    copies += [tg.Tensor(copies[0]), tg.tensor(source, dtype=tg.float64)]
    source[0] = 9.0
    copies[0].data[1] = 7.0
    assert [c.data[0] for c in copies] == [1.0] * 4
    assert copies[2].data[1] == 2.0


@pytest.mark.parametrize("data", [1, [1, 2], True, np.zeros(2, np.int64)])
def test_integers_cannot_require_a_gradient(data):
    with pytest.raises(RuntimeError, match=r"int64|bool"):
        tg.Tensor(data, requires_grad=True)
    t = tg.tensor(data)
    with pytest.raises(RuntimeError, match=r"int64|bool"):
        t.requires_grad_()
    assert not t.requires_grad


def test_requires_grad_is_switched_on_leaves_only():
    x = tg.tensor([1.0])
    assert x.requires_grad_() is x
    y = x * 2
    with pytest.raises(RuntimeError, match="detach"):
        y.requires_grad = False
    assert not x.requires_grad_(False).requires_grad


def test_requires_grad_takes_true_or_false_and_nothing_like_it():
    x = tg.ones(2)
    with pytest.raises(TypeError, match="requires_grad must be True or False, not 1"):
        x.requires_grad = 1
    assert x.requires_grad is False


@pytest.mark.parametrize(
    "expression",
    each("""
        m.zeros(2, 3); m.zeros((2, 3)); m.zeros([2]); m.zeros(()); m.zeros(0, 2); m.zeros(3);
        m.zeros(2, dtype=m.float64); m.ones(2, 3); m.ones((2,), dtype=m.int64);
        m.ones(2, dtype=m.bool); m.ones(()); m.arange(5); m.arange(2, 5); m.arange(1, 10, 3);
        m.arange(5, 0, -2); m.arange(5.0); m.arange(0, 1, 0.25); m.arange(0, 2, 0.3); m.arange(0);
        m.arange(3, dtype=m.float64); m.arange(1, 4, dtype=m.float32);
        m.arange(1, 2, 0.1, dtype=m.float64)
    """),
)
def test_factories_make_what_pytorchs_make(expression, torch):
    ours, theirs = (eval(expression, {"m": lib}) for lib in (tg, torch))
    assert (ours.dtype, ours.shape) == like(theirs)
    assert_allclose(ours.data, array(theirs), rtol=1e-6)


@pytest.mark.parametrize("make", [tg.zeros, tg.ones, tg.randn, tg.arange])
def test_factories_make_leaves_that_can_require_grad(make):
    x = make(3, dtype=tg.float64, requires_grad=True)
    assert (x.requires_grad, x.is_leaf, x.dtype) == (True, True, tg.float64)
    with pytest.raises((RuntimeError, TypeError), match="int64"):
        make(3, dtype=tg.int64, requires_grad=True)


def test_randn_is_standard_normal_and_reproducible():
    first, second = tg.randn(100, 100), tg.randn(100, 100)
    assert (first.dtype, first.shape) == (tg.float32, (100, 100))
    assert abs(first.data.mean()) < 0.05
    assert abs(first.data.var() - 1) < 0.05
    assert not np.array_equal(first.data, second.data)
    tg.manual_seed(0)
    assert_array_equal(tg.randn((100, 100)).data, first.data)
    assert_array_equal(tg.randn([100, 100]).data, second.data)
    tg.manual_seed(1)
    assert not np.array_equal(tg.randn(100, 100).data, first.data)
    assert tg.randn().shape == ()
    assert tg.randn(2, dtype=tg.float64).dtype == tg.float64


def test_manual_seed_leaves_numpys_own_generator_alone():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    tg.manual_seed(5)
    tg.randn(10)
    assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


# --- dtypes ------------------------------------------------------------------------------------

PROMOTING = each("""
    a + b; a * b; a - b; a / b; a ** b; a == b; a < b; b + a; b - a; b / a; b ** a;
    m.where(m.tensor([True, False]), a, b)
""")
SCALARS = {"True": True, "2": 2, "2.5": 2.5}
SCALARS |= {f"np.{d}": np.dtype(d).type(2) for d in DTYPES[1:]}
PAIRS = [
    pytest.param(np.ones(s, d), np.full(t, 2).astype(e), id=f"{d}{s}-{e}{t}")
    for d in DTYPES
    for e in DTYPES
    for s in [(), (2,)]
    for t in [(), (2,)]
] + [
    pytest.param(np.ones(s, d), b, id=f"{d}{s}-{name}")
    for d in DTYPES
    for s in [(), (2,)]
    for name, b in SCALARS.items()
]


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_mixed_dtypes_promote_as_pytorchs(a, b, torch):
    def result(expression, lib):
        other = lib.tensor(b) if isinstance(b, np.ndarray) else b
        return eval(expression, {"m": lib, "a": lib.tensor(a), "b": other})

    for expression in PROMOTING:
        if "**" in expression and a.dtype == np.asarray(b).dtype == bool:
            continue  # a power of bools is an int64 here, as in mathematics
        try:
            expected = result(expression, torch)
        except (RuntimeError, NotImplementedError):
            continue  # refused, as the difference of two bools is
        found = result(expression, tg)
        assert (found.dtype, found.shape) == like(expected), expression
        assert_allclose(found.data, array(expected), rtol=1e-6, err_msg=expression)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "expression",
    [
        *each("""
            a.sum(); a.sum(0); a.mean(); a.var(); a.max(); a.min(0).values; a.max(1).indices;
            a.argmax(); a.argmax(-1); -a; a.abs(); a.exp(); a.log(); a.sqrt(); a.relu();
            a.sigmoid(); a.tanh(); a.clamp(min=1); a.clamp(max=1.5); a.clamp(0, 2.5); a @ a; a / 2;
            a ** 2; a ** 0.5; 2 ** a; 1 / a; a.float(); a.double(); a.to(m.int64); a.to(m.bool);
            a.reshape(4); a.T; a[0]; a[a > 1]; m.stack([a, a]); a.clone()
        """),
        *(f"m.cat([a, m.ones(1, 2, dtype=m.{d})])" for d in DTYPES),
        *(f"m.stack([m.ones(2, 2, dtype=m.{d}), a])" for d in DTYPES),
    ],
)
def test_each_dtype_gives_pytorchs_dtype_and_values(expression, dtype, torch):
    a = np.array([[1, 2], [3, 1]]).astype(dtype)
    try:
        expected, _ = evaluate(expression, torch, {"a": a}, requires_grad=False)
    except (RuntimeError, NotImplementedError):
        return  # what PyTorch refuses may be refused or not
    found, _ = evaluate(expression, tg, {"a": a}, requires_grad=False)
    assert (found.dtype, found.shape) == like(expected)
    assert_allclose(found.data, array(expected), rtol=1e-6)


@pytest.mark.parametrize(
    "expression", [*PROMOTING, "-a", "a @ b", "abs(a)", "a.relu()", "a.mean()"]
)
@pytest.mark.parametrize("dtype", ["bool", "int64"])
def test_no_operation_invents_a_fifth_dtype(expression, dtype):
    a = b = tg.Tensor(np.ones(2, dtype))
    try:
        result = eval(expression, {"m": tg, "a": a, "b": b})
    except (TypeError, RuntimeError):
        return
    assert str(result.dtype) in DTYPES


def test_each_operand_gets_its_gradient_in_its_own_dtype():
    x = tg.Tensor(np.array([1.0, 2.0], np.float32), requires_grad=True)
    z = tg.Tensor(np.array([3.0, 4.0]), requires_grad=True)
    n = tg.tensor([5, 6])
    y = x * z * n
    assert y.dtype == tg.float64
    y.backward(tg.Tensor(np.array([0.5, -1.0])))
    assert (x.grad.dtype, z.grad.dtype) == (tg.float32, tg.float64)
    assert_array_equal(x.grad.data, [7.5, -24.0])
    assert_array_equal(z.grad.data, [2.5, -12.0])


def test_casts_return_self_or_a_copy_that_passes_the_gradient():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert x.float() is x
    assert x.to(tg.float32) is x
    assert x.to("float32") is x
    y = x.double()
    assert y.dtype == tg.float64
    y.backward(tg.Tensor(np.array([0.1, 3.0])))
    assert x.grad.dtype == tg.float32
    assert_allclose(x.grad.data, [0.1, 3.0], rtol=1e-6)
    for integers in (x.to(tg.int64), x.to(tg.bool)):
        assert not integers.requires_grad


def test_second_derivatives_pass_through_a_cast_and_a_mixed_product():
    x = tg.tensor([1.5, -2.0], requires_grad=True)
    u = tg.Tensor(np.array([0.7, 1.3]))
    for y in (x.double() ** 3, x * x.double() * x):
        (first,) = tg.grad(y, x, u, create_graph=True)
        (second,) = tg.grad(first, x, tg.tensor([2.0, -3.0]))
        assert_allclose(second.data, 6 * x.data * u.data * [2.0, -3.0], rtol=1e-6)


# --- comparisons -------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">="])
def test_comparisons_give_bools_and_no_gradient(op):
    values = np.array([1.0, 2.0, 3.0])
    x = tg.Tensor(values, requires_grad=True)
    for a, b, expected in [
        (x, 2, eval(f"values {op} 2", {"values": values})),
        (2, x, eval(f"2 {op} values", {"values": values})),
        (x, x.detach()[:, None], eval(f"v {op} v[:, None]", {"v": values})),
        (values[::-1], x, eval(f"v[::-1] {op} v", {"v": values})),
    ]:
        result = eval(f"a {op} b", {"a": a, "b": b})
        assert isinstance(result, tg.Tensor)
        assert (result.dtype, result.requires_grad) == (tg.bool, False)
        assert_array_equal(result.data, expected)


def test_a_tensor_is_not_none_and_hashes_by_identity():
    x, y = tg.tensor([1.0]), tg.tensor([1.0])
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert len({x, y, x}) == 2


# --- ties, borders, NaN and infinity -----------------------------------------------------------


def test_equal_maxima_share_the_gradient_but_along_an_axis_the_first_takes_it():
    values, u = np.array([[3.0, 3.0, 1.0], [2.0, 3.0, 2.0]]), np.array([0.5, 7.0])
    x = tg.Tensor(values, requires_grad=True)
    (g,) = tg.grad(x.max(), x, tg.Tensor(np.array(0.6)))
    assert_allclose(g.data, [[0.2, 0.2, 0], [0, 0.2, 0]])
    y, indices = x.min(1)
    assert (indices.tolist(), indices.dtype) == ([2, 0], tg.int64)
    assert_array_equal(tg.grad(y, x, tg.Tensor(u))[0].data, [[0, 0, 0.5], [7.0, 0, 0]])
    result = x.max(dim=1)
    assert result.indices.tolist() == [0, 1]
    assert_array_equal(tg.grad(result.values, x, tg.Tensor(u))[0].data, [[0.5, 0, 0], [0, 7.0, 0]])


@pytest.mark.parametrize(
    "expression",
    each("""
        argmax(); argmax(0); argmax(dim=-1, keepdim=True); argmax(keepdim=True); max(0).indices;
        min(1, keepdim=True).indices; min(-2)[1]
    """),
)
def test_the_first_of_equals_is_named(expression, torch):
    values = np.random.default_rng(0).integers(0, 3, (4, 5)).astype(np.float64)
    ours, theirs = (eval(f"x.{expression}", {"x": m.tensor(values)}) for m in (tg, torch))
    assert (ours.dtype, ours.shape) == like(theirs)
    assert_array_equal(ours.data, array(theirs))


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("dim", [0, -1])
def test_a_number_is_its_own_extreme_at_index_0(name, dim):
    x = tg.tensor(3.0, requires_grad=True)
    values, indices = getattr(x, name)(dim)
    assert values.item() == 3
    assert (indices.item(), indices.shape, indices.dtype) == (0, (), tg.int64)
    (5 * values).backward()
    assert x.grad.item() == 5


def test_the_variance_of_no_values_is_not_a_number_whatever_the_correction():
    with np.errstate(invalid="ignore"):
        for correction in (0, 1, 2):
            assert np.isnan(tg.zeros(0).var(correction=correction).item())


def test_the_derivative_on_a_border_is_pytorchs(torch):
    arrays, u = {"a": np.array([-1.0, 0.0, 0.5, 1.0])}, np.array([2.0, 3.0, 5.0, 7.0])
    for expression in [
        "a.relu()",
        "abs(a)",
        "a.clamp(0, 1)",
        "a.clamp(max=0)",
        "a.clamp(0.5, 0.5)",
    ]:
        y, (x,) = evaluate(expression, tg, arrays)
        expected, (theirs,) = evaluate(expression, torch, arrays)
        y.backward(tg.tensor(u))
        expected.backward(torch.tensor(u))
        assert_array_equal(x.grad.data, array(theirs.grad), err_msg=expression)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0, 3.0, -1.0])
def test_powers_of_zero_have_pytorchs_derivatives(exponent, torch):
    arrays = {"a": np.array([0.0, 2.0]), "b": np.array([exponent, exponent])}
    u = np.array([1.5, -0.5])
    with np.errstate(all="ignore"):
        y, inputs = evaluate("a ** b", tg, arrays)
        y.backward(tg.tensor(u))
    expected, theirs = evaluate("a ** b", torch, arrays)
    expected.backward(torch.tensor(u))
    assert_array_equal(y.data, array(expected))
    for x, their in zip(inputs, theirs, strict=True):
        assert_allclose(x.grad.data, array(their.grad), rtol=1e-12)


def test_second_derivatives_of_powers_at_zero_are_finite():
    x = tg.Tensor(np.array(0.0), requires_grad=True)
    for n, second in [(0, 0.0), (1, 0.0), (2, 2.0), (3, 0.0)]:
        (g,) = tg.grad(x**n, x, create_graph=True)
        assert tg.grad(g, x)[0].item() == second


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_and_tanh_saturate_without_a_warning(dtype):
    x = tg.Tensor(np.array([-1000.0, -INF, 0.0, 1000.0, INF], dtype), requires_grad=True)
    assert_array_equal(x.sigmoid().data, [0, 0, 0.5, 1, 1])
    assert_array_equal(x.tanh().data, [-1, -1, 0, 1, 1])
    u = np.array([1.0, 2.0, 3.0, 4.0, 5.0], dtype)
    assert_array_equal(tg.grad(x.sigmoid(), x, tg.Tensor(u))[0].data, [0, 0, 0.75, 0, 0])
    assert_array_equal(tg.grad(x.tanh(), x, tg.Tensor(u))[0].data, [0, 0, 3, 0, 0])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a.relu()", [0.0, NAN, 2.0]),
        ("a.max()", NAN),
        ("a.min()", NAN),
        ("a.max(0).values", NAN),
        ("a.min(0).values", NAN),
        ("a.clamp(0, 1)", [0.0, NAN, 1.0]),
        ("a.sum()", NAN),
        ("a.sigmoid()[1]", NAN),
        ("abs(a)", [1.0, NAN, 2.0]),
    ],
)
def test_nan_is_not_swallowed(expression, expected):
    y, _ = evaluate(expression, tg, {"a": np.array([-1.0, NAN, 2.0])})
    assert_array_equal(y.data, expected)


@pytest.mark.parametrize("expression", ["a.relu()", "a.max(0).values", "a.max()", "a.clamp(0, 1)"])
def test_the_gradient_at_nan_is_pytorchs(expression, torch):
    # who reads a NaN loss should find the NaN's element in the gradient too
    arrays = {"a": np.array([-1.0, NAN, 0.5])}
    y, (x,) = evaluate(expression, tg, arrays)
    expected, (theirs,) = evaluate(expression, torch, arrays)
    u = np.random.default_rng(3).standard_normal(y.shape)
    y.backward(tg.tensor(u))
    expected.backward(torch.tensor(u))
    assert_allclose(x.grad.data, array(theirs.grad))


@pytest.mark.parametrize(
    "expression",
    each("""
        a.relu(); a.clamp(min=0); m.where(a > 0, a, 0.0); m.where(a <= 0, 0.0, a);
        a.max(0).values; a[1:]
    """),
)
@pytest.mark.parametrize("upstream", [INF, -INF, NAN])
def test_what_is_masked_out_gets_zero_even_from_an_infinite_gradient(expression, upstream):
    # log(relu(x)) at x < 0 passes g = 1/0 down: multiplied by 0 it would turn the weights into NaN
    y, (x,) = evaluate(expression, tg, {"a": np.array([-1.0, 2.0])})
    (gradient,) = tg.grad(y, x, tg.Tensor(np.full(y.shape, upstream)))
    assert_array_equal(gradient.data, [0.0, upstream])


# --- out to Python and NumPy -------------------------------------------------------------------


def test_item_tolist_and_the_number_protocols():
    assert type(tg.tensor(2.5).item()) is float
    assert type(tg.tensor([[3]]).item()) is int
    assert tg.tensor(True).item() is True
    assert tg.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert tg.tensor(1.5).tolist() == 1.5
    assert (float(tg.tensor([2.5])), int(tg.tensor(2.9)), bool(tg.tensor(0.0))) == (2.5, 2, False)


def test_numpy_and_detach_share_memory_and_clone_does_not():
    x = tg.tensor([1.0, 2.0])
    assert x.numpy() is x.data
    assert np.shares_memory(np.asarray(x), x.data)
    assert np.shares_memory(x.detach().data, x.data)
    assert not np.shares_memory(x.clone().data, x.data)
    assert not np.shares_memory(np.array(x), x.data)
    x.numpy()[0] = 5.0
    assert x.tolist() == [5.0, 2.0]


def test_numpy_refuses_what_would_lose_a_gradient():
    x = tg.tensor([1.0], requires_grad=True)
    for convert in (tg.Tensor.numpy, np.asarray):
        with pytest.raises(RuntimeError, match="detach"):
            convert(x)
        with pytest.raises(RuntimeError, match="detach"):
            convert(x * 2)
    assert x.detach().numpy().tolist() == [1.0]
    assert x.item() == 1.0  # a single number may leave, as in PyTorch


def test_detach_cuts_the_history():
    x = tg.Tensor(np.array(3.0), requires_grad=True)
    y = x * x
    z = y.detach() * x
    assert (y.detach().requires_grad, y.detach().is_leaf) == (False, True)
    z.backward()
    assert x.grad.item() == 9.0


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_combined_with_a_tensor_gives_a_tensor(dtype):
    x = tg.Tensor(np.array([2.0, 4.0]), requires_grad=True)
    n = np.array([1, 2]).astype(dtype)
    for op in ["+", "-", "*", "/", "**", "@"]:
        for left, right in [(n, x), (x, n), (n[0], x), (x, n[0])]:
            if op == "@" and 0 in (np.ndim(left), np.ndim(right)):
                continue
            if op == "-" and dtype == "bool":
                continue
            result = eval(f"a {op} b", {"a": left, "b": right})
            plain = eval(
                f"a {op} b",
                {
                    k: np.asarray(getattr(v, "data", v), float)
                    for k, v in (("a", left), ("b", right))
                },
            )
            assert isinstance(result, tg.Tensor), op
            assert result.requires_grad, op
            assert_allclose(result.data, plain, err_msg=op)
    (g,) = tg.grad(np.array([1, 2]) - x, x, tg.Tensor(np.array([0.5, 3.0])))
    assert_array_equal(g.data, [-0.5, -3.0])


def test_sizes_and_length():
    x = tg.zeros(2, 3)
    assert (x.shape, x.size(), x.size(1), x.size(-2)) == ((2, 3), (2, 3), 3, 2)
    assert (x.ndim, x.dim(), x.numel(), len(x)) == (2, 2, 6, 2)
    assert [x.is_floating_point(), tg.arange(2).is_floating_point()] == [True, False]
    with pytest.raises(TypeError, match=r"length|len"):
        len(tg.tensor(1.0))


def test_iteration_walks_the_first_axis_and_keeps_the_history():
    x = tg.Tensor(np.array([[1.0, 2.0], [3.0, 4.0]]), requires_grad=True)
    first, second = x
    assert (first.tolist(), second.tolist()) == ([1.0, 2.0], [3.0, 4.0])
    second.backward(tg.Tensor(np.array([5.0, 7.0])))
    assert_array_equal(x.grad.data, [[0, 0], [5, 7]])
    with pytest.raises(TypeError):
        iter(tg.tensor(1.0))


def test_the_truth_of_several_values_is_ambiguous():
    assert bool(tg.tensor([[1.0]]))
    assert not tg.tensor([0])
    for shape in [(2,), (0,), (1, 2)]:
        with pytest.raises(RuntimeError, match=re.escape(str(shape))):
            bool(tg.zeros(shape))


def test_repr_shows_values_dtype_and_history():
    x = tg.tensor([1.5, -2.0], requires_grad=True)
    assert repr(tg.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(tg.tensor(True)) == "tensor(True)"
    assert re.fullmatch(r"tensor\(\[ ?1\.50*, -2\.0* ?\], requires_grad=True\)", repr(x))
    assert "grad_fn" in repr(x * 2)
    assert "requires_grad=True" not in repr(x * 2)
    assert "dtype=float64" in repr(x.double())
    assert "float32" not in repr(x)
    assert repr(tg.tensor([[1, 2], [3, 4]])) == "tensor([[1, 2],\n        [3, 4]])"  # aligned


def test_a_number_formats_as_a_number():
    loss = tg.tensor(0.12345, requires_grad=True)
    assert f"{loss:.3f} {loss * 2:>8.2f} {tg.tensor(7):03d}" == "0.123     0.25 007"
    assert f"{tg.tensor([1, 2])}" == "tensor([1, 2])"
    with pytest.raises((TypeError, ValueError)):
        f"{tg.tensor([1.0, 2.0]):.3f}"


# --- errors name what was wrong ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "error", "named"),
    [
        *((f"x {op} m.zeros(2)", (ValueError, RuntimeError), ["(2, 3)", "(2,)"]) for op in "+-*/"),
        ("x ** m.zeros(2)", (ValueError, RuntimeError), ["(2, 3)", "(2,)"]),
        ("x < m.zeros(4)", (ValueError, RuntimeError), ["(2, 3)", "(4,)"]),
        ("m.where(x > 0, x, m.zeros(2))", (ValueError, RuntimeError), ["(2, 3)", "(2,)"]),
        ("x @ x", (ValueError, RuntimeError), ["(2, 3)"]),
        ("x @ m.zeros(2)", (ValueError, RuntimeError), ["(2, 3)", "(2,)"]),
        ("m.zeros(2) @ m.zeros(3)", (ValueError, RuntimeError), ["(2,)", "(3,)"]),
        ("m.zeros(4, 2, 3) @ m.zeros(5, 3, 2)", (ValueError, RuntimeError), ["4", "5"]),
        ("x @ m.tensor(2.0)", (ValueError, RuntimeError), ["()"]),
        ("x @ 2", (ValueError, RuntimeError, TypeError), ["2"]),
        *(
            (f"x.{method}", IndexError, [dim, "2"])
            for method, dim in [
                ("sum(2)", "2"),
                ("mean(-3)", "-3"),
                ("var((0, 5))", "5"),
                ("max(2)", "2"),
                ("argmax(-4)", "-4"),
                ("squeeze(7)", "7"),
                ("transpose(0, 2)", "2"),
                ("permute(0, 9)", "9"),
                ("flatten(3)", "3"),
                ("size(4)", "4"),
            ]
        ),
        ("x.unsqueeze(-4)", IndexError, ["-4"]),
        ("x.unsqueeze(3)", IndexError, ["3"]),
        ("x.max((0, 1))", (TypeError, ValueError), ["(0, 1)"]),
        ("x.argmax((0, 1))", (TypeError, ValueError), ["(0, 1)"]),
        ("m.zeros(0).max()", (ValueError, RuntimeError, IndexError), ["empty|(0,)"]),
        ("m.zeros(0).argmax()", (ValueError, RuntimeError, IndexError), ["empty|(0,)"]),
        ("x.permute()", (TypeError, ValueError, RuntimeError), ["2|dims"]),
        ("m.tensor(1.0).sum(1)", IndexError, ["1"]),
        ("m.tensor(1.0).argmax(1)", IndexError, ["1"]),
        ("m.tensor(1.0).max(-2)", IndexError, ["-2"]),
        ("m.stack([x, x], 3)", IndexError, ["3"]),
        ("m.cat([x, x], -3)", IndexError, ["-3"]),
        ("x.sum((0, 0))", (ValueError, RuntimeError), ["(0, 0)"]),
        ("x.permute(0, 0)", (ValueError, RuntimeError), ["(0, 0)"]),
        ("x.permute(1)", (ValueError, RuntimeError), ["1"]),
        ("x.reshape(4)", (ValueError, RuntimeError), ["6", "(4,)"]),
        ("x.reshape(-1, 4)", (ValueError, RuntimeError), ["6", "4"]),
        ("x.flatten(1, 0)", (ValueError, RuntimeError), ["1", "0"]),
        ("x.expand(2, 4)", (ValueError, RuntimeError), ["(2, 3)", "(2, 4)"]),
        ("x.expand(3)", (ValueError, RuntimeError), ["(2, 3)", "3"]),
        ("x.expand(-1, 2, 3)", (ValueError, RuntimeError), ["-1"]),
        ("x[2]", IndexError, ["2"]),
        ("x[:, 3]", IndexError, ["3"]),
        ("x[[0, 5]]", IndexError, ["5"]),
        ("x[0, 0, 0]", IndexError, ["3", "2"]),
        ("x[m.zeros(3) > 0]", IndexError, ["3"]),
        ("x[0.5]", (IndexError, TypeError), ["ind"]),
        ("x.item()", RuntimeError, ["(2, 3)"]),
        ("float(x)", RuntimeError, ["(2, 3)"]),
        ("m.cat([])", (ValueError, RuntimeError), ["at least one"]),
        ("m.stack([])", (ValueError, RuntimeError), ["at least one|non-empty"]),
        ("m.cat([x, m.zeros(2, 4)])", (ValueError, RuntimeError), ["3", "4"]),
        ("m.stack([x, m.zeros(3)])", (ValueError, RuntimeError), ["(2, 3)", "(3,)"]),
        ("m.where(x, x, x)", (TypeError, RuntimeError), ["float32"]),
        ("m.arange(3).mean()", (TypeError, RuntimeError), ["int64"]),
        ("m.arange(3).var()", (TypeError, RuntimeError), ["int64"]),
        ("x.clamp(m.zeros(3))", TypeError, ["Tensor"]),
        ("x.clamp()", (ValueError, RuntimeError), ["min", "max"]),
        ("x + 'one'", TypeError, ["str"]),
        ("x * [1, 2, 3]", TypeError, ["list"]),
        ("x < None", TypeError, ["None"]),
        ("m.tensor([[1.0], [2.0, 3.0]])", (ValueError, TypeError), ["shape|length"]),
        ("m.tensor(None)", (TypeError, RuntimeError), ["object|None"]),
        ("m.arange(5, 2)", (ValueError, RuntimeError), ["5", "2"]),
        ("m.arange(0, 1, 0)", (ValueError, RuntimeError), ["step"]),
        ("m.cat([x, 3])", TypeError, ["int"]),
        ("m.zeros(-1)", (ValueError, RuntimeError), ["neg|-1"]),
        ("x.to('int8')", TypeError, ["int8"]),
    ],
)
def test_errors_name_what_was_wrong(expression, error, named):
    x = tg.ones(2, 3, requires_grad=True)
    with pytest.raises(error) as info:
        eval(expression, {"m": tg, "x": x})
    message = re.sub(r"(?<=\d),(?=\d)", ", ", str(info.value))  # NumPy writes shapes as (2,3)
    for word in named:
        assert any(w in message for w in word.split("|")), message
    assert x.tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize("name", ["max", "min", "argmax"])
def test_the_extreme_of_nothing_is_an_error_that_says_so(name):
    nothing = tg.zeros(0, 3)
    for dim in (None, 0):
        with pytest.raises(IndexError, match=rf"{name}\(dim={dim}\).*\(0, 3\)"):
            getattr(nothing, name)(dim)
    found = getattr(nothing, name)(1)
    assert (found if name == "argmax" else found.values).shape == (0,)


def test_ieee_results_match_pytorchs(torch):
    # NumPy announces these as warnings; the values are what matters
    a = np.array([0.0, -1.0, INF, NAN])
    for expression in [
        "1 / a",
        "a.log()",
        "a.sqrt()",
        "a / a",
        "a.exp()",
        "(a * 1e5).exp()",
        "a ** -1",
    ]:
        with np.errstate(all="ignore"):
            found, _ = evaluate(expression, tg, {"a": a}, requires_grad=False)
        expected, _ = evaluate(expression, torch, {"a": a}, requires_grad=False)
        assert_array_equal(found.data, array(expected), err_msg=expression)


def test_T_of_more_axes_reverses_them_all():
    x = tg.randn(2, 3, 4, requires_grad=True)
    assert x.T.shape == (4, 3, 2)
    np.testing.assert_array_equal(x.T.detach().numpy(), x.data.transpose())
    g = np.arange(24.0, dtype="f4").reshape(4, 3, 2)
    np.testing.assert_array_equal(tg.grad(x.T, x, tg.tensor(g))[0].numpy(), g.transpose())


def test_numpys_own_way_to_ask_for_an_array_can_name_a_dtype():
    assert tg.ones(2).__array__(np.float64).dtype == np.float64
    assert tg.ones(2).__array__().dtype == np.float32


def test_a_tensor_may_be_copied_out_of_one_that_requires_a_gradient():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = tg.Tensor(x)
    assert y.tolist() == [1.0, 2.0]
    assert not y.requires_grad
    assert not np.shares_memory(x.data, y.data)


def test_a_number_comes_out_with_all_its_digits():
    assert float(tg.tensor(0.1, dtype=tg.float64)) == 0.1
    assert int(tg.tensor(2**53 + 1)) == 2**53 + 1


def test_only_a_tensor_without_axes_is_formatted_as_a_number(torch):
    for m in (tg, torch):
        assert f"{m.tensor(1.25):.1f}" in ("1.2", "1.3")
        assert f"{m.tensor([1.5])}" == "tensor([1.5000])"


def test_an_array_before_at_is_the_left_factor():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(9.0).reshape(3, 3)
    assert_array_equal((a @ tg.Tensor(b)).data, a @ b)
    assert_array_equal((b @ tg.Tensor(b.T)).data, b @ b.T)


@pytest.mark.parametrize("shape", [(3,), (2, 1), (1, 1), ()])
def test_the_condition_of_where_is_broadcast_in_the_gradient_too(torch, shape):
    mask = np.resize([True, False, True], shape)
    found = []
    for m in (tg, torch):
        a, b = (m.tensor(np.arange(6.0).reshape(2, 3) + k, requires_grad=True) for k in (0, 9))
        y = m.where(m.tensor(mask), a, b)
        y.backward(m.tensor(np.arange(1.0, 7.0).reshape(2, 3)))
        found.append([y.detach().tolist(), a.grad.tolist(), b.grad.tolist()])
    assert found[0] == found[1]


def test_the_condition_of_where_is_recorded_as_it_was_used():
    y = tg.where(tg.tensor([True, False]), tg.ones(2, 2, requires_grad=True), 0.0)
    assert y.grad_fn.arguments["condition"].tolist() == [[True, False], [True, False]]


# --- the largest and smallest, by what once went unnoticed ----------------------------------------


def test_an_extreme_has_memory_of_its_own():
    for x, found in (
        (tg.tensor([1.0, 3.0]), lambda x: x.max()),
        (tg.tensor(3.0), lambda x: x.max(0)[0]),
    ):
        found(x).zero_()
        assert x.max().item() == 3.0


def test_an_extreme_loses_its_axis_and_no_other():
    x = tg.ones(2, 1)
    for pair in (x.max(0), x.min(0), x.max(-2), x.min(-2)):
        assert [part.shape for part in pair] == [(1,), (1,)]


def test_extremes_say_which_they_are():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert [x.max().grad_fn.name, x.min().grad_fn.name] == ["max", "min"]


def test_an_axis_of_a_tensor_without_axes_is_looked_at_too():
    with pytest.raises(IndexError, match="dim 3 is out of range for a tensor of 0 dimensions"):
        tg.tensor(1.0).max(3)
    with pytest.raises(TypeError, match="dim must be an integer"):
        tg.tensor(1.0).min(True)


def test_bounds_of_numpys_do_not_change_the_dtype():
    assert tg.ones(2).clamp(np.float64(0.5), np.float64(0.75)).dtype == tg.float32
    assert tg.tensor([1, 5]).clamp(max=np.int64(3)).dtype == tg.int64


def test_means_of_no_rows_are_none():
    assert tg.ones(0, 3).mean(1).shape == (0,)
    assert tg.ones(0, 3).mean(1, keepdim=True).shape == (0, 1)
