"""[1] The engine: each operation once, newest first; nothing left behind, nothing touched by error.

Cotangents are random throughout: with ones, a sum that should be weighted looks right.
"""

import contextvars
import gc
import itertools
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracle import leaf

import tinygrad_bn as tg
from tinygrad_bn.engine import grad_mode
from tinygrad_bn.tensor import record


def constant(array):
    return tg.Tensor(np.array(array, np.float64))


def probe(calls, *parents, refused=()):
    """Σ parents as an operation that notes whose gradient is asked for."""

    def vjp(k):
        def pull_back(g, y):
            assert k not in refused, f"nobody wants the gradient of parent {k}"
            calls.append(k)
            return g

        return pull_back

    total = sum(p.data for p in parents)
    return record("probe", total, *((p, vjp(k)) for k, p in enumerate(parents)))


# --- the order of the walk ---------------------------------------------------------------------


def test_a_diamond_is_walked_once_with_the_whole_gradient():
    a, calls = leaf(1.0), []
    b = probe(calls, a, a)  # two contributions from one visit
    c = b + b
    c.backward(constant(1.7))
    assert calls == [0, 1]
    assert_allclose(a.grad.data, 4 * 1.7)


def test_a_diamond_of_2_to_the_30_paths():
    x = leaf(1.0)
    y = x
    for _ in range(30):
        y = y + y
    y.backward(constant(0.3))
    assert_allclose(x.grad.data, 0.3 * 2**30)


def test_an_operation_waits_for_its_slowest_consumer():
    # depth-first order would visit b when only the short path (d = b·3) has arrived
    a = leaf(0.7)
    b = a * a
    c = b
    for _ in range(5):
        c = c.tanh()
    (c + b * 3).backward()
    c, slope = 0.7**2, 1.0
    for _ in range(5):
        c = np.tanh(c)
        slope *= 1 - c * c
    assert_allclose(a.grad.data, (slope + 3) * 2 * 0.7)


BINARY = ["a + b", "a * b", "a - b", "(a * 0.3).tanh() * b"]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(BINARY), st.integers(0, 99), st.integers(0, 99)),
        min_size=1,
        max_size=12,
    )
)
def test_any_graph_has_pytorchs_gradient(torch, steps):
    def gradients(lib):
        values = [lib.tensor(v, dtype=lib.float64, requires_grad=True) for v in (0.3, -0.8, 1.1)]
        leaves = values[:]
        for expression, i, j in steps:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(eval(expression, {"a": a, "b": b}))
        weighted = sum(v * (k + 0.5) for k, v in enumerate(values))
        weighted.backward()
        return [float(x.grad.item()) for x in leaves]

    assert_allclose(gradients(tg), gradients(torch), rtol=1e-10)


@pytest.mark.parametrize("end", ["backward", "grad", "dropped"])
def test_a_chain_of_100_000_operations(end, no_garbage_collector):
    # each of the three would exceed the recursion limit, or the C stack, if it recursed
    x = leaf(2.0)
    y = x
    for _ in range(50_000):
        y = y * 1.00001 + 0.5
    middle = weakref.ref(y)
    if end == "backward":
        y.backward()
        assert_allclose(x.grad.data, 1.00001**50_000)
    elif end == "grad":
        assert_allclose(tg.grad(y, x)[0].data, 1.00001**50_000)
    del y
    assert middle() is None


def test_a_leaf_is_its_own_derivative():
    x = leaf([1.0, 2.0])
    x.backward(constant([0.3, -4.0]))
    assert_array_equal(x.grad.data, [0.3, -4.0])
    assert_array_equal(tg.grad(x, x, constant([5.0, 6.0]))[0].data, [5.0, 6.0])


# --- .grad -------------------------------------------------------------------------------------


def test_gradients_accumulate_over_backward_calls():
    x = leaf([3.0, 5.0])
    (x * x).backward(constant([1.0, 10.0]))
    assert_array_equal(x.grad.data, [6.0, 100.0])
    (x * 7.0).backward(constant([2.0, 1.0]))
    assert_array_equal(x.grad.data, [20.0, 107.0])


def test_only_leaves_that_require_it_get_a_grad():
    x, c = leaf(2.0), constant(3.0)
    h = x * c
    y = h * h
    y.backward()
    assert_array_equal(x.grad.data, 36.0)
    assert (c.grad, h.grad, y.grad) == (None, None, None)


def test_a_grad_is_a_tensor_without_history_in_the_leafs_shape_and_dtype():
    x = tg.Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    (x * 2).sum().backward()
    assert isinstance(x.grad, tg.Tensor)
    assert (x.grad.shape, x.grad.dtype) == ((2, 3), tg.float32)
    assert not x.grad.requires_grad
    assert x.grad.grad_fn is None


SHARED = {
    "a + b": lambda a, b: a + b,
    "reshape": lambda a, b: a.reshape(3, -1) + b.reshape(3, -1),
    "one of them reshaped": lambda a, b: (a.reshape(-1) + b.reshape(-1)).reshape(*a.shape) + a,
    "sum": lambda a, b: a.sum() + b.sum(),
    "sum along an axis": lambda a, b: a.sum(0) + b.sum(0),
    "expand": lambda a, b: a.expand(4, *a.shape) + b.expand(4, *b.shape),
    "expand back": lambda a, b: a.sum(0).expand(*a.shape) + b.sum(0).expand(*b.shape),
    "transpose": lambda a, b: a.T + b.T,
    "permute and unsqueeze": lambda a, b: a.permute(1, 0).unsqueeze(0) + b.T.unsqueeze(0),
    "clone": lambda a, b: a.clone() + b.clone(),
    "cat": lambda a, b: tg.cat([a, b]),
    "stack": lambda a, b: tg.stack([a, b]),
    "slices": lambda a, b: a[:] + b[:],
    "halves of one cotangent": lambda a, b: tg.cat([a.reshape(-1), b.reshape(-1)]),
    "no operation at all": lambda a, b: a + b.detach() + (b - a.detach()),
}


@pytest.mark.parametrize("shape", [(2, 3), (60, 200)])  # large arrays are allocated differently
@pytest.mark.parametrize("fn", SHARED.values(), ids=SHARED)
def test_no_two_grads_share_memory(fn, shape, rng):
    a, b = (tg.Tensor(rng.standard_normal(shape), requires_grad=True) for _ in range(2))
    y = fn(a, b)
    u = constant(rng.standard_normal(y.shape))
    y.backward(u)
    for p, q in itertools.combinations([a, b, a.grad, b.grad, u], 2):
        assert not np.shares_memory(p.data, q.data)
    kept = [t.data.copy() for t in (a, b, b.grad, u)]
    a.grad.data[...] = 99.0  # and it can be written to: not a broadcast view
    b.grad.data[...] += 0.0
    for t, before in zip((a, b, b.grad, u), kept, strict=True):
        assert_array_equal(t.data, before)


def test_the_users_gradient_is_not_adopted_as_grad():
    x, u = leaf([1.0, 2.0]), constant([3.0, 4.0])
    x.backward(u)
    u.data[:] = 0.0
    assert_array_equal(x.grad.data, [3.0, 4.0])
    x.backward(constant([1.0, 1.0]))
    assert_array_equal(u.data, [0.0, 0.0])


def test_an_accumulated_grad_does_not_write_into_the_first():
    x = leaf([1.0, 2.0])
    (first,) = tg.grad(x * 3.0, x, constant([1.0, 2.0]))
    x.grad = first
    (x * 3.0).backward(constant([1.0, 2.0]))
    assert_array_equal(x.grad.data, [6.0, 12.0])
    x.grad = None
    (x * 3.0).backward(constant([1.0, 2.0]))
    assert_array_equal(x.grad.data, [3.0, 6.0])


# --- the graph is released, or kept -------------------------------------------------------------


def test_a_second_backward_says_retain_graph_and_changes_nothing():
    x, w = leaf(3.0), leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()
    # here the newest part of the graph is still alive, and must not be spent before the error
    with pytest.raises(RuntimeError, match="retain_graph"):
        (y * w).backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        tg.grad(y * w, (x, w))
    assert_array_equal(x.grad.data, 6.0)
    assert w.grad is None


@pytest.mark.parametrize("kept_by", ["retain_graph", "create_graph"])
def test_a_retained_graph_can_be_walked_again(kept_by):
    x = leaf(3.0)
    y = x.exp() * x
    slope = np.exp(3.0) * 4.0
    y.backward(**{kept_by: True})
    y.backward(**{kept_by: True})
    assert_allclose(x.grad.data, 2 * slope)
    assert_allclose(tg.grad(y, x, retain_graph=True)[0].data, slope)
    y.backward()
    assert_allclose(x.grad.data, 3 * slope)
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()
    x.grad = None  # with create_graph it holds x, and x it: a cycle, as in PyTorch


def test_grad_releases_the_graph_unless_told_otherwise():
    x = leaf(3.0)
    y = x * x
    tg.grad(y, x, retain_graph=True)
    tg.grad(y, x)
    with pytest.raises(RuntimeError, match="retain_graph"):
        tg.grad(y, x)
    y = x * x
    tg.grad(y, x, create_graph=True)  # implies retain_graph
    y = y * 2.0
    tg.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match="retain_graph"):
        tg.grad(y, x)


def test_what_lies_beyond_the_wanted_inputs_stays_usable():
    x = leaf(3.0)
    h = x * x
    assert_array_equal(tg.grad(h * h, h)[0].data, 18.0)
    h.backward()
    assert_array_equal(x.grad.data, 6.0)


def test_a_released_graph_beyond_the_wanted_input_does_not_matter():
    x = leaf(3.0)
    h = x * x
    h.backward()
    assert_array_equal(tg.grad(h * h, h)[0].data, 18.0)


# --- gradients of gradients ---------------------------------------------------------------------


def test_three_derivatives_of_x_to_the_fourth_with_grad():
    x, u = leaf([1.5, -2.0]), np.array([0.7, 1.3])
    y = x**4
    (first,) = tg.grad(y, x, constant(u), create_graph=True)
    (second,) = tg.grad(first, x, constant(u), create_graph=True)
    (third,) = tg.grad(second, x, constant(u))
    assert_allclose(first.data, u * 4 * x.data**3)
    assert_allclose(second.data, u**2 * 12 * x.data**2)
    assert_allclose(third.data, u**3 * 24 * x.data)
    assert x.grad is None
    assert second.requires_grad
    assert not third.requires_grad


def test_three_derivatives_of_x_to_the_fourth_with_backward():
    x = leaf(1.5)
    y = x**4
    for power in (4 * 1.5**3, 12 * 1.5**2, 24 * 1.5):
        y.backward(create_graph=True)
        assert_allclose(x.grad.data, power)
        y, x.grad = x.grad, None


def test_with_create_graph_grads_accumulate_as_expressions():
    x = leaf(1.5)
    (x**4).backward(create_graph=True)
    (x**3).backward(create_graph=True)
    total, x.grad = x.grad, None
    assert_allclose(tg.grad(total, x)[0].data, 12 * 1.5**2 + 6 * 1.5)


def test_a_gradient_is_differentiable_towards_its_weights(rng):
    # the vjp uᵀJ is linear in u, so its transpose applied to v is the forward product J·v
    x, u = leaf([0.4, -0.9, 1.2]), leaf([1.0, 2.0, 3.0])
    (g,) = tg.grad(x.tanh() * x, x, u, create_graph=True)
    v = rng.standard_normal(3)
    (jv,) = tg.grad(g, u, constant(v))
    t = np.tanh(x.data)
    assert_allclose(jv.data, (t + (1 - t * t) * x.data) * v)


def test_a_gradient_penalty_reaches_the_weights(torch, rng):
    def penalty(lib):
        random = np.random.default_rng(5)
        x, w = (lib.tensor(random.standard_normal(s), requires_grad=True) for s in ((4, 3), (3, 2)))
        y = (x @ w).tanh()
        g = tg.grad if lib is tg else torch.autograd.grad
        (slope,) = g(y, x, lib.tensor(random.standard_normal((4, 2))), create_graph=True)
        ((slope * slope).sum(1).sqrt() - 1).sum().backward()
        return np.asarray(w.grad)

    assert_allclose(penalty(tg), penalty(torch), rtol=1e-10)


# --- grad() ------------------------------------------------------------------------------------


def test_grad_returns_a_tuple_and_touches_no_grad():
    x, w = leaf(3.0), leaf(2.0)
    w.grad = constant(42.0)
    result = tg.grad(x * w, [w, x])
    assert isinstance(result, tuple)
    assert [g.item() for g in result] == [3.0, 2.0]
    assert x.grad is None
    assert w.grad.item() == 42.0


def test_grad_sums_over_several_outputs_each_with_its_weights():
    a, b = leaf([2.0, 3.0]), leaf(5.0)
    u, v = constant([0.5, -1.0]), constant(0.25)
    da, db = tg.grad((a * b, b * b), (a, b), (u, v))
    assert_allclose(da.data, [2.5, -5.0])
    assert_allclose(db.data, 0.5 * 2 - 3 + 0.25 * 10)
    y = a * a
    (twice,) = tg.grad([y, y], a, [u, u])  # one output named twice counts twice
    assert_allclose(twice.data, [4.0, -12.0])
    (scalar,) = tg.grad([b * b, b * 3], b, [None, v])
    assert_allclose(scalar.data, 10 + 0.75)


def test_grad_towards_an_intermediate_and_what_it_came_from():
    x = leaf(3.0)
    h = x * x
    y = h * x
    dh, dx = tg.grad(y, (h, x))
    assert (dh.item(), dx.item()) == (3.0, 27.0)
    assert tg.grad(h, h)[0].item() == 1.0


def test_grad_of_an_unused_input_is_an_error_or_none():
    x, w = leaf(3.0), leaf([1.0, 2.0])
    y = x * x
    with pytest.raises(RuntimeError, match=r"input 1.*\(2,\)"):
        tg.grad(y, (x, w), retain_graph=True)
    g, unused = tg.grad(y, (x, w), allow_unused=True)
    assert g.item() == 6.0
    assert unused is None


def test_grad_of_an_input_that_needs_none_is_an_error():
    x, c = leaf(3.0), constant([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"input 1.*\(2,\).*require"):
        tg.grad((x * c).sum(), (x, c))
    with pytest.raises(RuntimeError, match="require"):
        tg.grad(c.sum(), x)


def test_grad_wants_as_many_weights_as_outputs():
    x = leaf(3.0)
    with pytest.raises(RuntimeError, match="2 outputs but 1"):
        tg.grad((x * 2, x * 3), x, (constant(1.0),))


# --- what backward refuses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gradient", "named"),
    [
        (None, r"\(2, 3\)"),
        (np.ones((3, 2)), r"\(3, 2\).*\(2, 3\)"),
        (np.ones(3), r"\(3,\).*\(2, 3\)"),  # would broadcast, and must not
        (np.ones((2, 3), np.float32), "float32.*float64"),
    ],
    ids=["none", "transposed", "broadcastable", "float32"],
)
def test_backward_refuses_a_gradient_that_does_not_fit(gradient, named):
    x = tg.Tensor(np.ones((2, 3)), requires_grad=True)
    y = x * 2
    with pytest.raises(RuntimeError, match=named):
        y.backward(None if gradient is None else tg.Tensor(gradient))
    assert x.grad is None
    y.sum().backward()  # the refused call released nothing
    assert_array_equal(x.grad.data, np.full((2, 3), 2.0))


@pytest.mark.parametrize("gradient", [1.0, np.ones(2)], ids=["float", "ndarray"])
def test_a_gradient_that_is_no_tensor_is_refused_by_type(gradient):
    x = leaf([1.0, 2.0])
    for call in (lambda y: y.backward(gradient), lambda y: tg.grad(y, x, gradient)):
        with pytest.raises((TypeError, RuntimeError), match=type(gradient).__name__):
            call(x * 2)
    assert x.grad is None


def test_one_number_in_any_shape_needs_no_gradient():
    x = tg.Tensor(np.full((1, 1), 3.0), requires_grad=True)
    (x * x).backward()
    assert_array_equal(x.grad.data, [[6.0]])


def test_backward_refuses_a_tensor_that_needs_no_gradient():
    with pytest.raises(RuntimeError, match="requires_grad"):
        constant(1.0).backward()
    with tg.no_grad():
        y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match="no_grad"):
        y.backward()
    with pytest.raises(RuntimeError, match="requires_grad"):
        (leaf(1.0) * 2).detach().backward()


def test_an_error_inside_a_vjp_leaves_grads_and_recording_alone():
    x = leaf(1.0)
    good = x * 2.0
    bad = probe([], x, refused=(0,))
    with pytest.raises(AssertionError, match="nobody wants"):
        (good + bad).backward()
    assert x.grad is None
    assert tg.is_grad_enabled()


def test_a_gradient_of_another_dtype_is_refused_and_names_the_operation():
    x = tg.ones(2, requires_grad=True)
    y = record("careless", x.data * 2, (x, lambda g, y: g.double() * 2))
    with pytest.raises(RuntimeError, match="careless: float64 gradient for float32 input"):
        y.sum().backward()
    assert x.grad is None


# --- no_grad ------------------------------------------------------------------------------------


def recorded():
    y = leaf(2.0) * 3.0
    assert (y.grad_fn is not None) == y.requires_grad
    return y.requires_grad


def test_no_grad_as_a_context_manager_nests():
    assert recorded()
    with tg.no_grad():
        assert not tg.is_grad_enabled()
        assert not recorded()
        with tg.no_grad():
            assert not recorded()
        assert not recorded()  # the inner block must not switch recording on
    assert tg.is_grad_enabled()
    assert recorded()


def test_no_grad_as_a_decorator_keeps_name_arguments_and_result():
    @tg.no_grad()
    def evaluate(a, *, b):
        """Doc."""
        return a + b, recorded()

    assert evaluate(1, b=2) == (3, False)
    assert evaluate(1, b=2) == (3, False)  # every call anew
    assert (evaluate.__name__, evaluate.__doc__) == ("evaluate", "Doc.")
    assert recorded()


def test_recording_is_restored_after_an_exception():
    @tg.no_grad()
    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert tg.is_grad_enabled()
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert tg.is_grad_enabled()


def test_one_no_grad_object_may_be_entered_again_and_inside_itself():
    mode = tg.no_grad()
    with mode:
        with mode:
            assert not recorded()
        assert not recorded()
    assert recorded()
    with tg.no_grad(), grad_mode(True), mode:
        assert not recorded()
    assert recorded()
    again = grad_mode(True)
    with tg.no_grad():
        with again:
            with tg.no_grad(), again:
                assert recorded()
            assert recorded()
        assert not recorded()


def test_no_grad_covers_the_body_of_a_generator_and_not_its_caller():
    @tg.no_grad()
    def three(first):
        seen = [recorded()]
        got = yield first
        seen += [recorded(), got]
        try:
            yield "second"
        except KeyError as error:
            seen += [recorded(), error.args]
        yield "third"
        return seen

    steps = three("first")
    assert steps.send(None) == "first"
    assert recorded()  # the caller goes on as before
    assert steps.send("sent") == "second"
    assert recorded()
    assert steps.throw(KeyError("thrown")) == "third"
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == [False, False, "sent", False, ("thrown",)]
    assert recorded()


def test_a_generator_under_no_grad_is_closed_in_its_mode():
    seen = []

    @tg.no_grad()
    def endless():
        try:
            while True:
                yield
        finally:
            seen.append(recorded())

    steps = endless()
    next(steps)
    steps.close()
    assert seen == [False]
    assert recorded()


def test_a_block_that_a_generator_has_opened_may_be_closed_in_another_context():
    def opens():
        with tg.no_grad():
            yield

    steps = opens()
    contextvars.Context().run(next, steps)
    contextvars.Context().run(steps.close)
    thread = threading.Thread(target=opens().close)
    thread.start()
    thread.join()
    assert recorded()


def test_recording_is_switched_per_thread():
    seen, inside, checked = {}, threading.Event(), threading.Event()

    def other():
        seen["new thread"] = recorded()
        with tg.no_grad():
            seen["its own no_grad"] = recorded()
            inside.set()
            checked.wait(10)

    with tg.no_grad():
        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(10)
        seen["main under no_grad"] = recorded()
    seen["main"] = recorded()  # while the other thread is still inside its no_grad
    checked.set()
    thread.join()
    assert seen == {
        "new thread": True,
        "its own no_grad": False,
        "main under no_grad": False,
        "main": True,
    }


def test_backward_works_under_no_grad_on_a_graph_from_before():
    x = leaf(3.0)
    y = x * x
    with tg.no_grad():
        y.backward()
    assert x.grad.item() == 6.0


def test_backward_records_only_with_create_graph():
    x = leaf(3.0)
    (x * x).backward()
    assert not x.grad.requires_grad
    x.grad = None
    y = x * x
    with tg.no_grad():  # create_graph asks for recording, wherever backward is called
        y.backward(create_graph=True)
    assert x.grad.requires_grad
    x.grad = None


def test_a_leaf_made_under_no_grad_is_a_leaf_all_the_same():
    with tg.no_grad():
        x = leaf(3.0)
    assert x.is_leaf
    (x * x).backward()
    assert x.grad.item() == 6.0


# --- only what is wanted ------------------------------------------------------------------------


def test_the_gradient_of_a_constant_operand_is_never_computed():
    x, c, calls = leaf(1.0), constant(2.0), []
    probe(calls, x, c, refused=(1,)).backward()
    assert calls == [0]
    assert c.grad is None


def test_grad_leaves_other_leaves_and_their_branches_alone():
    x, w, calls, other = leaf(1.0), leaf(2.0), [], []
    y = probe(calls, x, w, refused=(1,)) + probe(other, w)
    (g,) = tg.grad(y, x, constant(0.3))
    assert g.item() == 0.3
    assert calls == [0]
    assert other == []
    assert (x.grad, w.grad) == (None, None)


def test_the_walk_stops_at_the_wanted_intermediate():
    x, before, after = leaf(1.0), [], []
    h = probe(before, x)
    tg.grad(probe(after, h), h)
    assert (before, after) == ([], [0])


# --- memory -------------------------------------------------------------------------------------


def test_memory_is_flat_over_10_000_steps(no_garbage_collector):
    random = np.random.default_rng(0)
    x = tg.Tensor(random.standard_normal((4, 3)))
    w = tg.Tensor(random.standard_normal((3, 5)), requires_grad=True)
    v = tg.Tensor(random.standard_normal((5, 1)), requires_grad=True)

    def train(steps):
        for step in range(steps):
            y = ((x @ w).relu() @ v).sigmoid()
            loss = (y * y - y.exp() / 2.0).mean()
            if step % 4 == 0:
                continue  # dropped without backward
            if step % 4 == 1:
                tg.grad(loss, (w, v))
                continue
            loss.backward()
            with tg.no_grad():
                w.data -= 0.01 * w.grad.data
                v.data -= 0.01 * v.grad.data
            w.grad = v.grad = None

    def tensors():
        return sum(type(o) is tg.Tensor for o in gc.get_objects())

    train(10_000)  # until the free lists are full: of tuples, Python keeps 2,000 of each length
    before, blocks = tensors(), sys.getallocatedblocks()
    train(10_000)
    assert not gc.isenabled()
    assert tensors() == before
    assert sys.getallocatedblocks() - blocks < 500  # one object per step would be 10,000


def test_second_derivatives_leave_no_garbage_either(no_garbage_collector):
    x = leaf([1.0, 2.0])

    def penalty():
        (g,) = tg.grad((x.tanh() ** 3).sum(), x, create_graph=True)
        tg.grad((g * g).sum(), x)

    penalty()
    before = len(gc.get_objects())
    for _ in range(200):
        penalty()
    assert len(gc.get_objects()) - before < 50


def test_dropping_the_result_frees_the_intermediates_at_once(no_garbage_collector):
    x = leaf([1.0, 2.0])
    h = x.exp()
    y = (h * h).sum()
    ref, array = weakref.ref(h), weakref.ref(h.data)
    del h
    assert ref() is not None  # y needs it
    del y
    assert ref() is None
    assert array() is None


@pytest.mark.parametrize("how", ["backward", "grad"])
def test_backward_frees_the_intermediates_though_the_loss_is_kept(how, no_garbage_collector):
    x = leaf([1.0, 2.0])
    h = x.exp()
    loss = (h * h).sum()
    ref = weakref.ref(h)
    del h
    loss.backward() if how == "backward" else tg.grad(loss, x)
    assert ref() is None
    assert loss.item() > 0


def test_under_no_grad_an_intermediate_dies_at_once(no_garbage_collector):
    x = leaf([1.0, 2.0])
    with tg.no_grad():
        h = x.exp()
        y = (h * h).sum()
        ref = weakref.ref(h)
        del h
        assert ref() is None
        assert y.item() > 0


def test_a_given_gradient_is_not_recorded_unless_that_is_asked_for():
    x, u = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True)
    for create_graph in (False, True):
        (found,) = tg.grad(x.clone(), x, u, create_graph=create_graph)
        assert found.requires_grad is create_graph
        assert found is not u


def test_a_gradient_of_another_dtype_is_refused_before_the_walk():
    x = tg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a gradient of float64 for a tensor of float32"):
        x.exp().backward(tg.ones(2, dtype=tg.float64))
    with pytest.raises(RuntimeError, match="a gradient of float64 for a tensor of float32"):
        tg.grad(x, x, tg.ones(2, dtype=tg.float64))
