"""Batch normalization against Algorithm 1 of its paper, tables made by hand, and PyTorch."""

import copy

import numpy as np
import pytest
from bn_checks import composed, cotangents_for, fused, inputs_for, layer_for, second_derivatives
from layouts import ANY_LAYOUT
from oracle import around, assert_all_close, assert_close, assert_same_as_torch, leaf, normal

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.autograd import gradcheck, gradgradcheck

F = tg.nn.functional
SHAPES = [(5, 3), (2, 3), (4, 3, 5), (1, 3, 4), (3, 4, 2, 5), (1, 2, 3, 3), (6, 1)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
affine_or_not = pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])


# --- the function -----------------------------------------------------------------------------


@affine_or_not
@shapes
def test_the_output_is_algorithm_1(shape, affine):
    """Computed channel by channel, from the paper's four lines."""
    x, *rest = inputs_for(shape, affine)
    gamma, beta = (t.data for t in rest) if affine else (np.ones(shape[1]), np.zeros(shape[1]))
    y = fused(x, *rest).detach().numpy()
    assert y.shape == shape
    for c in range(shape[1]):
        values = x.data[:, c].ravel()
        mean = sum(values) / len(values)
        variance = sum((values - mean) ** 2) / len(values)
        expected = gamma[c] * (values - mean) / (variance + 1e-5) ** 0.5 + beta[c]
        assert_close(y[:, c].ravel(), expected)


@affine_or_not
@shapes
def test_gradients_are_those_of_the_composed_form(shape, affine):
    inputs, u = inputs_for(shape, affine), tg.tensor(normal(*shape, seed=9))
    found, expected = (tg.grad(form(*inputs), inputs, u) for form in (fused, composed))
    assert_all_close(found, expected)


@affine_or_not
@shapes
def test_second_derivatives_are_those_of_the_composed_form(shape, affine):
    inputs = inputs_for(shape, affine)
    cotangents = [leaf(a) for a in cotangents_for(inputs)]
    found, expected = (second_derivatives(form, inputs, cotangents) for form in (fused, composed))
    assert_all_close(found, expected)


@affine_or_not
@pytest.mark.parametrize("shape", [(3, 2), (2, 2, 2), (2, 2, 1, 2)])
@pytest.mark.parametrize("form", [fused, composed])
def test_first_and_second_derivatives_are_difference_quotients(form, shape, affine):
    assert gradcheck(form, inputs_for(shape, affine))
    assert gradgradcheck(form, inputs_for(shape, affine))


@affine_or_not
@shapes
def test_output_and_first_and_second_derivatives_are_pytorchs(torch, shape, affine):
    def in_torch(x, *rest):
        return torch.nn.functional.batch_norm(x, None, None, *rest, training=True)

    inputs = inputs_for(shape, affine)
    arrays = [t.data for t in inputs]
    assert_same_as_torch(torch, fused, in_torch, *arrays)

    theirs, cotangents = (
        [torch.tensor(a, requires_grad=True) for a in group]
        for group in (arrays, cotangents_for(inputs))
    )
    found = second_derivatives(fused, inputs, [leaf(a) for a in cotangents_for(inputs)])
    assert_all_close(found, second_derivatives(in_torch, theirs, cotangents, torch.autograd))


def test_a_large_eps_is_that_of_the_second_derivatives_too():
    for form in (fused, composed):
        assert gradgradcheck(
            lambda *leaves, form=form: form(*leaves, eps=0.5), inputs_for((4, 2), affine=True)
        )
    leaves = inputs_for((4, 2), affine=True)
    g = tg.tensor(normal(4, 2, seed=9))
    found = tg.grad(fused(*leaves, eps=0.5), leaves, g, create_graph=True)
    expected = tg.grad(composed(*leaves, eps=0.5), leaves, g)
    for f, e in zip(found, expected, strict=True):
        assert_close(f.detach().numpy(), e.numpy())


@shapes
def test_a_retained_graph_is_walked_with_one_cotangent_after_another(shape):
    """What was worked out for one is not handed out for the next."""
    leaves = inputs_for(shape, affine=True)
    y = fused(*leaves)
    for seed in (1, 2):
        g = tg.tensor(normal(*shape, seed=seed))
        found = tg.grad(y, leaves, g, retain_graph=True)
        for f, e in zip(found, tg.grad(composed(*leaves), leaves, g), strict=True):
            assert_close(f.numpy(), e.numpy())


@pytest.mark.parametrize("asking", [0, 1, 2])
@pytest.mark.parametrize("create_graph", [False, True])
def test_the_gradient_of_one_input_alone_is_what_it_is_among_the_others(asking, create_graph):
    leaves = inputs_for((4, 3, 2, 2), affine=True)
    cotangent = tg.tensor(normal(4, 3, 2, 2, seed=9))
    expected = tg.grad(fused(*leaves), leaves, cotangent)[asking]
    for i, t in enumerate(leaves):
        t.requires_grad = i == asking
    fused(*leaves).backward(cotangent, create_graph=create_graph)
    assert_close(leaves[asking].grad.detach().numpy(), expected.numpy())


@pytest.mark.parametrize("create_graph", [False, True])
def test_one_tensor_as_both_gamma_and_beta_gets_the_sum_of_their_gradients(create_graph):
    x, gamma, _ = inputs_for((5, 3), affine=True)
    g = tg.tensor(normal(5, 3, seed=9))
    apart = tg.grad(fused(x, gamma, gamma.detach().requires_grad_()), gamma, g)[0].numpy()
    x_hat = (x.data - x.data.mean(0)) / np.sqrt(x.data.var(0) + 1e-5)
    assert_close(apart, (g.data * x_hat).sum(0))
    (found,) = tg.grad(fused(x, gamma, gamma), gamma, g, create_graph=create_graph)
    assert_close(found.detach().numpy(), apart + g.data.sum(0))


@shapes
def test_the_parameters_of_a_first_layer_get_pytorchs_gradients(torch, shape):
    """Nobody asks for the gradient towards its input, so that is not worked out."""
    leaves = inputs_for(shape, affine=True)
    leaves[0].requires_grad = False
    theirs = [torch.tensor(t.data, requires_grad=t.requires_grad) for t in leaves]
    g = normal(*shape, seed=9)
    fused(*leaves).backward(tg.tensor(g))
    x, *rest = theirs
    y = torch.nn.functional.batch_norm(x, None, None, *rest, training=True)
    y.backward(torch.tensor(g))
    assert leaves[0].grad is None
    for ours, their in zip(leaves[1:], rest, strict=True):
        assert_close(ours.grad.numpy(), their.grad.numpy())


@shapes
def test_the_gradient_towards_x_has_no_part_along_one_or_along_x(shape):
    """Adding a constant, or scaling, changes nothing in y (if ε = 0), so the gradient is ⟂ both."""
    x, *rest = inputs_for(shape, affine=True)
    y = fused(x, *rest, eps=0.0)
    (dx,) = tg.grad(y, x, tg.tensor(normal(*shape, seed=9)))
    axes = (0, *range(2, len(shape)))
    np.testing.assert_allclose(dx.numpy().sum(axes), 0, atol=1e-11)
    np.testing.assert_allclose((dx.numpy() * x.data).sum(axes), 0, atol=1e-11)


def test_with_eps_0_the_variance_is_exactly_1():
    y = fused(*inputs_for((50, 3), affine=False), eps=0.0).detach().numpy()
    assert_close(y.var(0), np.ones(3), 1e-12)


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 5), (2, 3, 4, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_channel_becomes_exactly_beta(shape, dtype):
    x = normal(*shape).astype(dtype)
    x[:, 1] = 7.3  # no binary number: a mean with a rounding error would show
    beta = np.array([0.1, 0.2, 0.3], dtype)
    weight = tg.tensor(np.array([1.0, 1e6, 1.0], dtype))
    y = fused(tg.tensor(x), weight, tg.tensor(beta))
    assert (y.numpy()[:, 1] == beta[1]).all()


@pytest.mark.parametrize("shape", [(64, 3), (1000, 3), (16, 3, 8, 8)])
@pytest.mark.parametrize("memory", ["channels first", "channels last"])
def test_a_large_offset_costs_float32_no_digits(shape, memory):
    """Mean 10,000 and sd 0.1: E[x²] − E[x]² in float32 would be noise."""
    x = (1e4 + 0.1 * normal(*shape)).astype(np.float32)
    if memory == "channels last":
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    y = fused(around(x), eps=1e-12).numpy()
    axes = (0, *range(2, len(shape)))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.astype(float).std(axes), 1, atol=1e-3)
    exact = x.astype(float)  # what float32 could hold of the data, in float64 from here on
    exact = (exact - exact.mean(axes, keepdims=True)) / exact.std(axes, keepdims=True)
    # float32 numbers near 10,000 are 0.001 apart, so that a mean among them may be 0.005 sd off
    np.testing.assert_allclose(y, exact, atol=6e-3)


def test_a_large_offset_costs_second_derivatives_no_digits():
    """Float32 numbers near 1e6 are 0.06 apart, and so a mean is wrong: it is taken off first."""
    x = (1e6 + 4 * normal(8, 3)).astype(np.float32)
    g, h = normal(2, 8, 3).astype(np.float32)
    gamma = np.array([1.0, 2.0, 0.5], np.float32)
    found = []
    for dtype in (np.float64, np.float32):
        leaves = [tg.tensor(a.astype(dtype), requires_grad=True) for a in (x, gamma)]
        (first,) = tg.grad(fused(*leaves), leaves[0], tg.tensor(g.astype(dtype)), create_graph=True)
        found.append([first.detach(), *tg.grad(first, leaves, tg.tensor(h.astype(dtype)))])
    for exact, single in zip(*found, strict=True):
        assert single.dtype == np.float32
        scale = np.abs(exact.numpy()).max()
        np.testing.assert_allclose(single.numpy(), exact.numpy(), rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("shape", [(300, 64), (40, 16, 14, 14)])
def test_large_float32_batches_agree_with_float64_in_every_result(shape):
    results = []
    for dtype in (np.float64, np.float32):
        leaves = [
            tg.tensor(t.data.astype("f4").astype(dtype)) for t in inputs_for(shape, affine=True)
        ]
        for t in leaves:
            t.requires_grad = True
        y = fused(*leaves)
        y.backward(tg.tensor(normal(*shape, seed=9).astype("f4").astype(dtype)))
        results.append([y.detach().numpy(), *(t.grad.numpy() for t in leaves)])
    for exact, found in zip(*results, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())


def test_an_empty_batch_gives_an_empty_result_and_leaves_the_statistics():
    """As in PyTorch, where the empty rest of some selection passes through a model."""
    layer = nn.BatchNorm1d(3)
    x = tg.zeros(0, 3, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 3)
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert layer.running_var.tolist() == [1, 1, 1]


@pytest.mark.parametrize("layout", ANY_LAYOUT.values(), ids=ANY_LAYOUT.keys())
@pytest.mark.parametrize("shape", [(6, 4), (4, 3, 6, 5)])
def test_how_the_arrays_lie_in_memory_does_not_matter(shape, layout):
    x, g = layout(normal(*shape)), layout(normal(*shape, seed=1))
    results = []
    for array, cotangent in ((x, g), (np.ascontiguousarray(x), np.ascontiguousarray(g))):
        leaf = around(array)
        leaf.requires_grad = True
        y = fused(leaf)
        results.append([y.detach().numpy(), tg.grad(y, leaf, around(cotangent))[0].numpy()])
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected)


def test_inputs_are_left_alone_and_results_are_not_overwritten_by_the_next_call():
    kept = []
    for seed in range(4):
        leaves = inputs_for((16, 8, 12, 12), affine=True, seed=10 * seed)
        before = [t.data.copy() for t in leaves]
        y = fused(*leaves)
        grads = tg.grad(y, leaves, tg.tensor(normal(*y.shape, seed=seed)))
        for t, b in zip(leaves, before, strict=True):
            np.testing.assert_array_equal(t.data, b)
        arrays = [y.data, *(g.data for g in grads)]
        kept.append((arrays, [a.copy() for a in arrays]))
    for arrays, copies in kept:
        for array, duplicate in zip(arrays, copies, strict=True):
            np.testing.assert_array_equal(array, duplicate)


def test_inference_is_one_affine_map_per_channel():
    mean, var = np.array([1.0, -2.0]), np.array([4.0, 0.25])
    gamma, beta = np.array([2.0, 3.0]), np.array([10.0, 20.0])
    x = np.array([[5.0, -2.0], [1.0, -1.0]])  # x̂ = 2, 0; 0, 2
    y = F.batch_norm(*map(tg.tensor, (x, mean, var, gamma, beta)), eps=0.0)
    assert_close(y.numpy(), np.array([[14.0, 20.0], [10.0, 26.0]]))


@affine_or_not
@pytest.mark.parametrize("mean", [0, 1, -100, 1e4])
def test_inference_in_float32_keeps_its_digits_however_far_the_mean_is_from_0(mean, affine):
    """The mean is subtracted first: s·x − s·mean would leave little but the terms' roundings."""
    x = (mean + normal(64, 8, 6, 6)).astype(np.float32)
    state = [mean + 0.01 * normal(8, seed=1), np.exp(normal(8, seed=2))]
    state += [normal(8, seed=3), normal(8, seed=4)] if affine else []
    arrays = [x, *(a.astype(np.float32) for a in state)]
    found = F.batch_norm(*map(tg.tensor, arrays)).numpy()
    mean, var, gamma, beta = [*(a.astype(float)[:, None, None] for a in arrays[1:]), 1, 0][:4]
    scale = gamma / np.sqrt(var + 1e-5)
    terms = scale * (x - mean), beta
    assert found.dtype == np.float32
    largest = 4 * np.finfo(np.float32).eps * sum(map(np.abs, terms))
    assert (np.abs(found - sum(terms)) <= largest).all()


@pytest.mark.parametrize("shape", [(3, 2), (2, 2, 2), (2, 2, 2, 1), (1, 2)])
def test_derivatives_of_inference_are_difference_quotients(shape):
    mean, var = tg.tensor(np.array([0.3, -0.2])), tg.tensor(np.array([0.5, 2.0]))

    def infer(x, gamma, beta):
        return F.batch_norm(x, mean, var, gamma, beta)

    assert gradcheck(infer, inputs_for(shape, affine=True))
    assert gradgradcheck(infer, inputs_for(shape, affine=True))


def test_the_function_moves_the_running_statistics_only_when_training():
    x = tg.tensor([[1.0], [3.0]])  # mean 2, unbiased variance 2
    mean, var = tg.zeros(1), tg.ones(1)
    F.batch_norm(x, mean, var, training=False)
    assert (mean.item(), var.item()) == (0, 1)
    F.batch_norm(x, mean, var, training=True, momentum=0.5)
    assert (mean.item(), var.item()) == (1, 1.5)


def test_running_statistics_stay_where_they_are_in_memory():
    layer = nn.BatchNorm1d(1, momentum=0.5)
    state = layer.state_dict()
    layer(tg.tensor([[1.0], [3.0]]))
    assert (state["running_mean"].item(), state["running_var"].item()) == (1, 1.5)


@pytest.mark.parametrize("training", [False, True])
def test_an_eps_of_numpys_does_not_make_float64_of_float32(training):
    x, mean, var = tg.tensor([[1.0], [3.0]], requires_grad=True), tg.zeros(1), tg.ones(1)
    runs = []
    for eps in (np.float64(0.1), 0.1):
        y = F.batch_norm(x, mean, var, training=training, momentum=0.0, eps=eps)
        (dx,) = tg.grad(y, x, tg.tensor([[1.0], [0.0]]))
        assert y.dtype == dx.dtype == mean.dtype == var.dtype == tg.float32
        runs.append((y.tolist(), dx.tolist()))
    assert runs[0] == runs[1]


# --- the layers -------------------------------------------------------------------------------

# One channel. Means 2, 3, 6; unbiased variances 2/1, 18/2, 2/1.
BATCHES = [[1.0, 3.0], [0.0, 3.0, 6.0], [5.0, 7.0]]
RUNNING = {  # momentum: (running mean, running variance) after each batch, by hand
    0.1: [(0.2, 0.9 + 0.2), (0.18 + 0.3, 0.99 + 0.9), (0.432 + 0.6, 1.701 + 0.2)],
    1.0: [(2, 2), (3, 9), (6, 2)],
    0.0: [(0, 1), (0, 1), (0, 1)],
    None: [(2, 2), (5 / 2, 11 / 2), (11 / 3, 13 / 3)],
}


@pytest.mark.parametrize("layout", ["(N, C)", "(N, C, L)", "(N, C, H, W)"])
@pytest.mark.parametrize("momentum", RUNNING.keys())
def test_running_statistics_follow_the_table(momentum, layout):
    """The same values as a batch, along a signal, and in an image; a second channel is negated."""
    layer = (nn.BatchNorm2d if "H" in layout else nn.BatchNorm1d)(2, momentum=momentum).double()
    for count, (batch, (mean, var)) in enumerate(
        zip(BATCHES, RUNNING[momentum], strict=True), start=1
    ):
        values = np.stack([batch, np.negative(batch)])  # (C, m)
        x = {"(N, C)": values.T, "(N, C, L)": values[None], "(N, C, H, W)": values[None, :, None]}
        layer(tg.tensor(x[layout]))
        assert_close(layer.running_mean.numpy(), np.array([mean, -mean], float), 1e-14)
        assert_close(layer.running_var.numpy(), np.array([var, var], float), 1e-14)
        assert layer.num_batches_tracked.item() == count


def test_evaluation_uses_the_running_statistics_and_changes_nothing():
    layer = nn.BatchNorm1d(1, momentum=None, eps=0.0)
    for batch in BATCHES:
        layer(tg.tensor(batch).unsqueeze(1))
    before = copy.deepcopy(layer.state_dict())
    layer.eval()
    y = layer(tg.tensor([[11 / 3], [11 / 3 + 2 * (13 / 3) ** 0.5]]))  # one value is enough, too
    np.testing.assert_allclose(y.detach().numpy(), [[0.0], [2.0]], atol=1e-6)
    np.testing.assert_allclose(layer(tg.tensor([[11 / 3]])).item(), 0, atol=1e-6)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())


def test_no_grad_does_not_stop_the_statistics_but_eval_does():
    """They are two switches: one for gradients, one for behaviour."""
    x = tg.tensor([[1.0], [3.0]])
    layer = nn.BatchNorm1d(1)
    with tg.no_grad():
        y = layer(x)
    np.testing.assert_allclose(y.numpy(), [[-1], [1]], atol=1e-5)  # the batch's own statistics
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    assert layer(x).requires_grad  # γ and β still want a gradient
    assert layer.num_batches_tracked.item() == 1


def test_a_frozen_layer_still_gives_its_parameters_and_input_a_gradient():
    layer = nn.BatchNorm1d(3).double().eval()
    x = tg.tensor(normal(4, 3), requires_grad=True)
    g = normal(4, 3, seed=1)
    layer(x).backward(tg.tensor(g))
    assert_close(x.grad.numpy(), g / np.sqrt(1 + 1e-5))
    assert_close(layer.weight.grad.numpy(), (g * x.data).sum(0) / np.sqrt(1 + 1e-5))
    assert_close(layer.bias.grad.numpy(), g.sum(0))


def test_without_running_statistics_evaluation_uses_the_batch():
    layer = nn.BatchNorm1d(2, track_running_stats=False)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert layer.running_mean is layer.running_var is layer.num_batches_tracked is None
    x = tg.tensor(normal(5, 2))
    layer.double()
    trained, evaluated = layer(x), layer.eval()(x)
    assert_close(evaluated.detach().numpy(), trained.detach().numpy())
    assert_close(evaluated.detach().numpy().mean(0), np.zeros(2), 1e-12)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(x[:1])


def test_without_affine_there_are_no_parameters():
    layer = nn.BatchNorm2d(3, affine=False)
    assert layer.weight is layer.bias is None
    assert list(layer.parameters()) == []
    assert list(layer.state_dict()) == ["running_mean", "running_var", "num_batches_tracked"]


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_without_bias_there_is_only_a_scale(kind):
    """`bias` is keyword-only, as in PyTorch."""
    layer = kind(3, bias=False)
    assert layer.bias is None
    assert list(layer.state_dict())[:2] == ["weight", "running_mean"]
    assert list(kind(3, affine=False, bias=True).parameters()) == []
    with pytest.raises(TypeError):
        kind(3, 1e-5, 0.1, True, True, False)


def test_a_new_layer_starts_from_pytorchs_state():
    state = {name: value.tolist() for name, value in nn.BatchNorm1d(2).state_dict().items()}
    assert state == {
        "weight": [1, 1],
        "bias": [0, 0],
        "running_mean": [0, 0],
        "running_var": [1, 1],
        "num_batches_tracked": 0,
    }


def test_reset_running_stats_goes_back_to_the_start_and_keeps_the_parameters():
    layer = nn.BatchNorm1d(1)
    layer.weight.data[...] = 5
    layer(tg.tensor([[1.0], [3.0]]))
    layer.reset_running_stats()
    state = [value.tolist() for value in layer.state_dict().values()]
    assert state == [[5], [0], [0], [1], 0]


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)])
@pytest.mark.parametrize("tracking", [True, False])
def test_one_value_per_channel_is_refused_and_changes_nothing(shape, tracking):
    """PyTorch has counted the batch by then; here nothing is changed before an error."""
    layer = layer_for(shape, track_running_stats=tracking)
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(ValueError, match=r"BatchNorm.d\(3.*more than 1 value.*\(1, 3"):
        layer(tg.tensor(normal(*shape).astype(np.float32)))
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())


@pytest.mark.parametrize(
    ("layer", "shape", "named"),
    [
        (nn.BatchNorm1d(3), (4,), r"(?=.*BatchNorm1d)(?=.*\(4,\))"),
        (nn.BatchNorm1d(3), (2, 3, 4, 4), r"(?=.*BatchNorm1d)(?=.*\(2, 3, 4, 4\))"),
        (nn.BatchNorm2d(3), (2, 3), r"(?=.*BatchNorm2d)(?=.*\(2, 3\))"),
        (nn.BatchNorm2d(3), (3, 4, 4), r"(?=.*BatchNorm2d)(?=.*\(3, 4, 4\))"),
        (nn.BatchNorm1d(3), (2, 4), r"(?=.*BatchNorm1d\(3)(?=.*\(2, 4\))"),
        (nn.BatchNorm2d(3), (2, 5, 4, 4), r"(?=.*BatchNorm2d\(3)(?=.*\(2, 5, 4, 4\))"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_a_wrong_input_is_refused_by_name_and_changes_nothing(layer, shape, named, training):
    layer.train(training)
    with pytest.raises(ValueError, match=named):
        layer(tg.zeros(*shape))
    assert layer.num_batches_tracked.item() == 0
    assert layer.running_mean.tolist() == [0, 0, 0]


def test_an_input_of_another_dtype_is_refused_and_changes_nothing():
    """float64 data in a float32 layer would otherwise turn the rest of the network to float64."""
    for layer in (nn.BatchNorm1d(2), nn.BatchNorm1d(2).eval()):
        for dtype in ("float64", "int64"):
            with pytest.raises((TypeError, ValueError), match=dtype):
                layer(tg.ones(4, 2, dtype=dtype))
        assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"running_mean": tg.zeros(3)}, r"(?=.*running_mean)(?=.*\(2,\))(?=.*\(3,\))"),
        ({"running_var": tg.zeros(1)}, r"(?=.*running_var)(?=.*\(2,\))(?=.*\(1,\))"),
        ({"weight": tg.zeros(2, 1)}, r"(?=.*weight)(?=.*\(2,\))(?=.*\(2, 1\))"),
        ({"bias": tg.zeros(3)}, r"(?=.*bias)(?=.*\(2,\))(?=.*\(3,\))"),
        ({"eps": -1e-5}, "eps.*-1e-05"),
        ({"running_mean": None, "training": False}, "running_mean"),
        ({"running_var": None, "training": False}, "running_var"),
        ({"input": tg.zeros(4)}, r"\(4,\)"),
        ({"input": tg.zeros(4, 2, dtype=tg.int64)}, "int64"),
        ({"input": tg.zeros(1, 2)}, r"more than 1 value.*\(1, 2\)"),
    ],
)
def test_wrong_arguments_of_the_function_are_refused_by_name(options, named):
    right = {
        "input": tg.zeros(4, 2),
        "running_mean": tg.zeros(2),
        "running_var": tg.ones(2),
        "training": True,
    }
    F.batch_norm(**right)
    with pytest.raises((TypeError, ValueError), match=named):
        F.batch_norm(**right | options)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["running_mean", "running_var"])
def test_running_statistics_that_ask_for_a_gradient_are_refused(name, training):
    statistics = {"running_mean": tg.zeros(3), "running_var": tg.ones(3)}
    statistics[name].requires_grad = True
    with pytest.raises(ValueError, match=f"{name}.*constant"):
        F.batch_norm(tg.randn(4, 3), **statistics, training=training)
    assert statistics["running_mean"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 5), (3, 3, 4, 4)])
@pytest.mark.parametrize("tracking", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_through_training_and_evaluation_is_pytorchs(
    torch, shape, dtype, momentum, tracking, bias
):
    options = {"momentum": momentum, "track_running_stats": tracking, "bias": bias}
    ours = layer_for(shape, **options).to(dtype)
    theirs = getattr(torch.nn, type(ours).__name__)(3, **options).to(getattr(torch, dtype))
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for step in range(4):
        if step == 3:
            ours.eval(), theirs.eval()
        x = (2 * normal(*shape, seed=step) + step).astype(dtype)
        g = normal(*shape, seed=step + 10).astype(dtype)
        y, t = ours(tg.tensor(x)), theirs(torch.tensor(x))
        y.backward(tg.tensor(g))
        t.backward(torch.tensor(g))
        assert_close(y.detach().numpy(), t.detach().numpy(), tolerance)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert_close(p.grad.numpy(), q.grad.numpy(), tolerance)
        state, expected = ours.state_dict(), theirs.state_dict()
        assert list(state) == list(expected)
        for name, value in state.items():
            assert_close(value.numpy(), expected[name].numpy(), tolerance)


def test_a_bias_before_batch_normalization_has_no_effect_and_no_gradient():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double()
    x = tg.tensor(normal(6, 3))
    y = model(x)
    y.backward(tg.tensor(normal(6, 2, seed=1)))
    np.testing.assert_allclose(model[0].bias.grad.numpy(), 0, atol=1e-12)
    model[0].bias.data += 100
    np.testing.assert_allclose(model(x).detach().numpy(), y.detach().numpy(), atol=1e-9)
