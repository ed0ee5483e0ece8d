"""Checks of batch normalization, shared by its tests and by the mutants that must fail them.

A test gives a check its cases; the mutants take the defaults. The package's names are looked up
when a check runs, so that it meets whatever has been put in their place.
"""

import numpy as np
import pytest
from definitions import six_equations
from oracle import array, assert_all_close, assert_close, leaf, normal

import tinygrad_bn as tg
from tinygrad_bn import batchnorm, kernels, nn
from tinygrad_bn.autograd import gradcheck, gradgradcheck

F = tg.nn.functional


# --- tools ------------------------------------------------------------------------------------


def inputs_for(shape, affine=True, seed=0):
    """x, and γ (of both signs) and β if wanted: float64 tensors that require a gradient."""
    arrays = [3 * normal(*shape, seed=seed) - 2]
    if affine:
        arrays += [normal(shape[1], seed=seed + 1), normal(shape[1], seed=seed + 2)]
    return [leaf(a) for a in arrays]


def state(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def layer_for(shape, **options):
    return (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(shape[1], **options)


def assert_unchanged(model, before):
    for name, value in state(model).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def fused(x, *affine, eps=1e-5):
    """The fused operation, by its public name."""
    return F.batch_norm(x, None, None, *affine, training=True, eps=eps)


def composed(x, *affine, eps=1e-5):
    return batchnorm.batch_norm_composed(x, *(affine or (None, None)), eps)


def batch_axes(shape):
    """All axes but that of the channels."""
    return (0, *range(2, len(shape)))


def across(v, ndim):
    """(C,) shaped to be broadcast over (N, C, …)."""
    return np.reshape(v, (1, -1, *(1,) * (ndim - 2)))


def over_batch(f, x):
    """f of each channel, shaped to be broadcast: `over_batch(np.mean, x)`."""
    return f(x, axis=batch_axes(x.shape), keepdims=True)


def spread(values, n, *locations):
    """Values (C, m) as a batch (n, C, *locations)."""
    return np.moveaxis(np.reshape(values, (len(values), n, *locations)), 0, 1).astype(float)


# --- Algorithm 1 ------------------------------------------------------------------------------

# One batch of four values in two channels, by hand. With ε = 4:
#   1, 3, 5, 7    mean 4, variance (9 + 1 + 1 + 9)/4 = 5,   √(5 + 4) = 3,   x̂ = −1, −⅓, ⅓, 1
#   0, 0, 0, 8    mean 2, variance (4 + 4 + 4 + 36)/4 = 12, √(12 + 4) = 4,  x̂ = −½, −½, −½, 1½
BATCH = [[1, 3, 5, 7], [0, 0, 0, 8]]
MEAN, VAR, EPS = [4.0, 2.0], [5.0, 12.0], 4.0
GAMMA, BETA = np.array([6.0, -2.0]), np.array([10.0, 1.0])
NORMALIZED = [[4, 8, 12, 16], [2, 2, 2, -2]]


def check_one_batch_by_hand(layout=(2, 1, 2)):
    """The same in every layout: the statistics are those of the batch and all its locations."""
    for form in (fused, composed):
        y = form(*map(tg.tensor, (spread(BATCH, *layout), GAMMA, BETA)), eps=EPS)
        assert_close(y, spread(NORMALIZED, *layout), 1e-14)


def cotangents_for(tensors):
    """u for y, which has the shape of x, and a v for each ∂(u·y)."""
    shapes = [t.shape for t in (tensors[0], *tensors)]
    return [normal(*shape, seed=seed) for seed, shape in enumerate(shapes, 19)]


def second_derivatives(form, tensors, cotangents, library=tg):
    """∂/∂(tensors, u) of Σ v·(∂(u·y)/∂tensor): every block of the second derivative at once."""
    u, *vs = cotangents
    first = library.grad(form(*tensors), tensors, u, create_graph=True)
    total = sum((g * v).sum() for g, v in zip(first, vs, strict=True))
    found = library.grad(total, [*tensors, u], allow_unused=True)
    pairs = zip(found, [*tensors, u], strict=True)
    return [np.zeros(t.shape) if g is None else g for g, t in pairs]  # u·y is linear in β


def check_fused_is_composed(shape=(4, 3, 5), affine=True):
    tensors = inputs_for(shape, affine)
    u, *vs = map(leaf, cotangents_for(tensors))
    found, expected = (
        [y := form(*tensors), *tg.grad(y, tensors, u), *second_derivatives(form, tensors, [u, *vs])]
        for form in (fused, composed)
    )
    assert_all_close(found, expected, 1e-12)


def check_derivatives_are_difference_quotients(shape=(2, 2, 2), affine=True):
    for form in (fused, composed):
        assert gradcheck(form, inputs_for(shape, affine))
        assert gradgradcheck(form, inputs_for(shape, affine))


def by_six_equations(g, x, gamma, beta, eps):
    return six_equations(g, x, gamma, eps)


def by_closed_form(g, x, gamma, beta, eps):
    return kernels.batch_norm_gradients(g, x, x.mean(0), 1 / np.sqrt(x.var(0) + eps), gamma, True)


def by_autograd(g, x, gamma, beta, eps, form=composed):
    tensors = [leaf(a) for a in (x, gamma, beta)]
    return tg.grad(form(*tensors, eps=eps), tensors, tg.tensor(g))


GRADIENTS = {
    "the six equations": by_six_equations,
    "the closed form": by_closed_form,
    "autograd of the composed form": by_autograd,
    "the fused operation": lambda *batch: by_autograd(*batch, form=fused),
}


def batch_for_gradients(rows=6, eps=1e-5):
    """g = ∂L/∂y, x, γ, β and ε."""
    x, gamma, beta = (t.data for t in inputs_for((rows, 3)))
    return normal(rows, 3, seed=9), x, gamma, beta, eps


def check_all_forms_of_the_gradient_agree(rows=6, eps=1e-5):
    batch = batch_for_gradients(rows, eps)
    expected = by_six_equations(*batch)
    for gradients in GRADIENTS.values():
        assert_all_close(gradients(*batch), expected)


def check_gamma_and_beta_can_make_it_the_identity(shape=(4, 3, 5), eps=0.1):
    """γ = √(Var[x] + ε), β = E[x]. Were y = γx + β, as often copied, it would not be."""
    x = inputs_for(shape)[0]
    axes = batch_axes(shape)
    y = fused(x, tg.tensor(np.sqrt(x.data.var(axes) + eps)), tg.tensor(x.data.mean(axes)), eps=eps)
    assert_close(y, x)


# --- exact properties -------------------------------------------------------------------------


def check_the_moments_of_x_hat(shape=(4, 3, 5), eps=0.5):
    """Σx̂ = 0, and mean x̂² = σ²/(σ² + ε) = 1 − ε/(σ² + ε)."""
    x = inputs_for(shape)[0].data
    x_hat = fused(tg.tensor(x), eps=eps).data
    assert_close(over_batch(np.sum, x_hat), np.zeros_like(over_batch(np.sum, x)))
    expected = 1 - eps / (over_batch(np.var, x) + eps)
    assert_close(over_batch(np.mean, x_hat**2), expected)


def check_what_is_left_of_the_gradient_along_one_and_along_x_hat(shape=(4, 3, 5), eps=0.5):
    """Σ∂x = 0, and Σ∂x·x̂ = γ/√(σ² + ε) · Σ(g·x̂) · ε/(σ² + ε).

    Of ∂x = s·(g − ḡ − x̂·Σ(g·x̂)/m), with s = γ/√(σ² + ε). Summed: Σg − mḡ = 0, and Σx̂ = 0 too.
    Times x̂ and summed: s·(Σ(g·x̂) − ḡ·0 − Σ(g·x̂)·Σx̂²/m), and Σx̂²/m = 1 − ε/(σ² + ε), as above:
    of Σ(g·x̂) the part ε/(σ² + ε) is left, which is all of it for a constant channel, none at ε = 0.
    """
    tensors, g = inputs_for(shape), normal(*shape, seed=9)
    x, gamma = tensors[0].data, across(tensors[1].data, len(shape))
    (dx,) = tg.grad(fused(*tensors, eps=eps), tensors[0], tg.tensor(g))
    total = over_batch(np.var, x) + eps
    x_hat = (x - over_batch(np.mean, x)) / np.sqrt(total)
    assert_close(over_batch(np.sum, dx.data), np.zeros_like(total))
    expected = gamma / np.sqrt(total) * over_batch(np.sum, g * x_hat) * eps / total
    assert_close(over_batch(np.sum, dx.data * x_hat), expected)


BEFORE = {  # the layer before: u, W, and how they are joined
    "linear": ((7, 4), (3, 4), F.linear),
    "conv2d": ((3, 2, 5, 4), (3, 2, 3, 2), F.conv2d),
}


def check_the_scale_of_the_weights_before_does_not_matter(kind="linear", a=(1e-2, 3, 50)):
    """BN((aW)u) = BN(Wu), equal ∂/∂u, ∂/∂(aW) = (1/a)·∂/∂W; hence ⟨W, ∂W⟩ = 0. All at ε = 0.

    The last is the derivative by a of what does not depend on a, for each channel at a = 1.
    """
    shape_u, shape_w, join = BEFORE[kind]
    u, w = normal(*shape_u), normal(*shape_w, seed=1)
    a = np.reshape(a, (-1, *(1,) * (w.ndim - 1)))

    def through(w):
        tensors = [leaf(u), leaf(w)]
        y = fused(join(*tensors), *inputs_for((1, 3))[1:], eps=0.0)
        return y, *tg.grad(y, tensors, tg.tensor(normal(*y.shape, seed=9)))

    y, du, dw = map(array, through(w))
    assert_all_close(through(a * w), (y, du, dw / a))
    assert_close((w * dw).reshape(3, -1).sum(1), np.zeros(3))
    assert np.abs(dw).max() > 0.1  # it is not 0 for want of a gradient


def check_a_bias_before_it_has_zero_gradient(kind="linear"):
    shape_u, shape_w, join = BEFORE[kind]
    bias = leaf(normal(3, seed=2))
    y = fused(join(tg.tensor(normal(*shape_u)), tg.tensor(normal(*shape_w)), bias))
    assert_close(tg.grad(y, bias, tg.tensor(normal(*y.shape, seed=9)))[0], np.zeros(3))


def check_a_constant_channel_becomes_exactly_beta(
    shape=(7, 3), dtype="float32", value=2735997.0, memory="C"
):
    """The value by default: seven times it, rounded to float32 and divided by 7, is another one."""
    x = normal(*shape).astype(dtype)
    x[:, 1] = value
    beta = np.array([0.1, 1 / 3, 0.3], dtype)
    mean, var = tg.zeros(3, dtype=dtype), tg.ones(3, dtype=dtype)
    weight = tg.tensor(np.array([1, 1e6, 1], dtype))
    x = tg.tensor(np.asarray(x, order=memory))
    y = F.batch_norm(x, mean, var, weight, tg.tensor(beta), training=True, momentum=1.0)
    assert (y.data[:, 1] == beta[1]).all()
    assert (mean.data[1], var.data[1]) == (x.data[0, 1].flat[0], 0)


def check_a_large_offset_leaves_unit_deviation(shape=(20, 3, 7, 9)):
    """Mean 10,000 and deviation 0.1, in float32, through a layer as it comes."""
    layer = layer_for(shape)
    y = layer(tg.tensor((1e4 + 0.1 * normal(*shape)).astype(np.float32))).data
    assert y.dtype == np.float32
    assert_close(y.astype(float).std(batch_axes(shape)), np.ones(shape[1]), 1e-3)


def check_one_value_per_channel_is_refused(shape=(1, 3), momentum=0.1):
    """By name and with the likely cause, before anything has moved."""
    layer = layer_for(shape, momentum=momentum)
    layer(tg.ones(4, *shape[1:]))
    before = state(layer)
    cause = r"BatchNorm[12]d\(3, .*more than 1 value per channel.*last batch of one.*drop_last"
    with pytest.raises(ValueError, match=cause):
        layer(tg.tensor(normal(*shape).astype(np.float32)))
    assert_unchanged(layer, before)


# --- the running statistics -------------------------------------------------------------------

# Means 2, 3, 0; unbiased variances 8/1, (4 + 1 + 9)/2, 2/1: two or three values each.
BATCHES = [[0.0, 4.0], [1.0, 2.0, 6.0], [-1.0, 1.0]]
RUNNING = {  # momentum: (running mean, running variance) after each batch
    0.1: [(0.2, 0.9 + 0.8), (0.18 + 0.3, 1.53 + 0.7), (0.432 + 0, 2.007 + 0.2)],
    1.0: [(2, 8), (3, 7), (0, 2)],
    None: [(2, 8), (5 / 2, 15 / 2), (5 / 3, 17 / 3)],
}


def column(values):
    return tg.tensor(np.reshape(values, (-1, 1)).astype(float))


def check_the_running_statistics_follow_the_table(momentum=0.1):
    layer = nn.BatchNorm1d(1, momentum=momentum).double()
    for batch, (mean, var) in zip(BATCHES, RUNNING[momentum], strict=True):
        layer(column(batch))
        assert_close(layer.running_mean, [mean], 1e-15)
        assert_close(layer.running_var, [var], 1e-15)


def check_the_cumulative_average_follows_the_table():
    check_the_running_statistics_follow_the_table(None)


def check_the_unbiased_variance_is_stored_and_the_biased_one_used():
    """0 and 4: variance 4 among themselves, 8 as an estimate of what they were drawn from."""
    layer = nn.BatchNorm1d(1, eps=0.0, momentum=1.0).double()
    assert_close(layer(column([0, 4])), [[-1], [1]])
    assert layer.running_var.tolist() == [8]


def check_no_grad_does_not_stop_the_statistics_and_eval_does():
    layer = nn.BatchNorm1d(1, eps=0.0, momentum=1.0).double()
    with tg.no_grad():
        assert_close(layer(column([0, 4])), [[-1], [1]])
    layer.eval()(column([5, 7]))
    assert [buffer.item() for buffer in layer.buffers()] == [2, 8, 1]


def check_stacked_layers_shrink_in_eval(layers=20, rows=64, expected=0.8543):
    """By (1 − 1/m)^(L/2): each divides by √(m/(m − 1)) times what it divided by in training."""
    options = {"affine": False, "eps": 0.0, "momentum": 1.0}
    model = nn.Sequential(*(nn.BatchNorm1d(2, **options) for _ in range(layers))).double()
    x = tg.tensor(normal(rows, 2))
    trained, evaluated = model(x).data, model.eval()(x).data
    assert_close(evaluated, trained * (1 - 1 / rows) ** (layers / 2), 1e-10)
    assert_close(evaluated.std(0), [expected] * 2, 5e-5)


# --- inference --------------------------------------------------------------------------------


def known_layer():
    """In eval mode, with the statistics of the batch worked out by hand, its γ, β and ε."""
    layer = nn.BatchNorm1d(2, eps=EPS).double().eval()
    values = {"weight": GAMMA, "bias": BETA, "running_mean": MEAN, "running_var": VAR}
    layer.load_state_dict(values, strict=False)
    return layer


def check_inference_by_hand():
    assert_close(known_layer()(tg.tensor(spread(BATCH, 4))), spread(NORMALIZED, 4), 1e-14)


def check_inference_depends_on_the_sample_alone():
    """Not on the others in its batch, nor on the calls before: to the last bit."""
    layer, x = known_layer(), 100 * normal(5, 2)
    before, together = state(layer), layer(tg.tensor(x)).data
    alone = [layer(tg.tensor(row[None])).data for row in x]
    np.testing.assert_array_equal(np.concatenate(alone), together)
    np.testing.assert_array_equal(layer(tg.tensor(x)).data, together)
    assert_unchanged(layer, before)


def check_the_gradient_of_inference(shape=(4, 3, 5), affine=True):
    """∂x = g·γ/√(var + ε), ∂γ = Σ g·(x − mean)/√(var + ε), ∂β = Σg: nothing is projected out."""
    tensors, g = inputs_for(shape, affine), normal(*shape, seed=9)
    mean, var = normal(shape[1], seed=3), normal(shape[1], seed=4) ** 2
    y = F.batch_norm(tensors[0], tg.tensor(mean), tg.tensor(var), *tensors[1:], eps=0.1)
    std = across(np.sqrt(var + 0.1), len(shape))
    gamma = across(tensors[1].data, len(shape)) if affine else 1.0
    d_gamma = g * (tensors[0].data - across(mean, len(shape))) / std
    expected = [g * gamma / std, *(d.sum(batch_axes(shape)) for d in (d_gamma, g))]
    assert_all_close(tg.grad(y, tensors, tg.tensor(g)), expected[: len(tensors)])


# --- Algorithm 2: the population's statistics -------------------------------------------------

# Weighted by how many values a channel has in each batch.
POPULATION = {  # batches as (N, …), the mean and the variance, by hand
    # Means 2 and 3 and variances 8 and 7, as above, of 2 and 3 rows.
    "rows": ([[0, 4], [1, 2, 6]], (2 * 2 + 3 * 3) / 5, (2 * 8 + 3 * 7) / 5),
    # Means 2 and 4, variances 8 and (9 + 4 + 4 + 9)/3, of 1 and 2 signals of length 2.
    "signals": ([[[0, 4]], [[1, 2], [6, 7]]], (2 + 2 * 4) / 3, (8 + 2 * 26 / 3) / 3),
    "images": ([[[[0, 4]]], [[[1], [2]], [[6], [7]]]], (2 + 2 * 4) / 3, (8 + 2 * 26 / 3) / 3),
    "lengths": ([[[0, 4]], [[1, 2, 6]]], (2 * 2 + 3 * 3) / 5, (2 * 8 + 3 * 7) / 5),
    "equal sizes": ([[0, 4], [-1, 1]], 1, 5),
    "one batch": ([[1, 2, 6]], 3, 7),
}


def check_population_statistics_follow_the_table(case="rows", momentum=0.1):
    batches, mean, var = POPULATION[case]
    inputs = [tg.tensor(np.array(b, float)).unsqueeze(1) for b in batches]
    layer = layer_for(inputs[0].shape, momentum=momentum).double()
    layer(inputs[0] + 100)  # what was there before is forgotten
    tg.population_statistics(layer, inputs)
    assert_close(layer.running_mean, [mean], 1e-14)
    assert_close(layer.running_var, [var], 1e-14)
    assert layer.momentum == momentum


class Chain(nn.Module):
    """Layers called one after the other, but assigned in any order."""

    def __init__(self, assigned):
        layers = {
            "a": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)),
            "b": nn.Tanh(),
            "c": nn.Dropout(0.5),
            "d": nn.BatchNorm1d(4),
            "e": nn.Linear(4, 2),
            "f": nn.BatchNorm1d(2, momentum=None),
        }
        for name in assigned:
            setattr(self, name, layers[name])

    def forward(self, x):
        for name in "abcdef":
            x = getattr(self, name)(x)
        return x


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


def batches_of(sizes=(5, 2, 9), features=3):
    """Unlike each other, so that it matters how they are weighted."""
    return [tg.tensor((i + 1) * normal(n, features, seed=i) + i) for i, n in enumerate(sizes)]


def check_layers_are_fed_by_the_ones_before_as_at_inference(assigned="fedcba"):
    """In eval mode, what reaches each layer has the statistics that the layer holds."""
    model, batches = Chain(assigned).double(), batches_of()
    tg.population_statistics(model, batches)
    assert len(norms(model)) == 3
    for bn in norms(model.eval()):
        reached = []
        bn.forward = lambda x, bn=bn, to=reached: (to.append(x.data), type(bn).forward(bn, x))[1]
        for batch in batches:
            model(batch)
        sizes = [len(x) for x in reached]
        assert_close(bn.running_mean, np.average([x.mean(0) for x in reached], 0, sizes))
        assert_close(bn.running_var, np.average([x.var(0, ddof=1) for x in reached], 0, sizes))


def check_population_statistics_set_nothing_but_the_statistics(training=(True, False, True)):
    """Modes (mixed ones too), momenta, parameters and gradients stay as they are."""
    model = Chain("abcdef").double()
    model(batches_of()[0]).sum().backward()
    for module, mode in zip(norms(model.train(training[0])), training, strict=True):
        module.training = mode

    def everything_else():
        modes = [m.training for m in model.modules()]
        momenta = [bn.momentum for bn in norms(model)]
        arrays = [(p.data.tolist(), p.grad.data.tolist()) for p in model.parameters()]
        return modes, momenta, arrays, tg.is_grad_enabled(), vars(model).keys(), repr(model)

    before = everything_else()
    tg.population_statistics(model, batches_of())
    assert everything_else() == before


def interrupted():
    yield from batches_of()
    raise RuntimeError("the disk is full")


BROKEN = {  # batches, and what the error says
    "a batch of one row": (lambda: batches_of((5, 2, 1)), "more than 1 value"),
    "a batch of another width": (lambda: [*batches_of(), *batches_of(features=2)], "linear"),
    "the batches stop midway": (interrupted, "the disk is full"),
    "no batches": (list, "0 batches"),
}


def check_an_error_midway_changes_nothing(case="a batch of another width"):
    model = Chain("abcdef").double()
    model(batches_of()[0])
    norms(model)[1].eval()
    batches, says = BROKEN[case]
    before, modes = state(model), [m.training for m in model.modules()]
    momenta = [bn.momentum for bn in norms(model)]
    with pytest.raises((ValueError, RuntimeError), match=says):
        tg.population_statistics(model, batches())
    assert_unchanged(model, before)
    assert [m.training for m in model.modules()] == modes
    assert [bn.momentum for bn in norms(model)] == momenta


# --- folding ----------------------------------------------------------------------------------

FOLDABLE = {  # a model and the shape of its input; γ gets both signs
    "Linear": (lambda: [nn.Linear(4, 6), nn.BatchNorm1d(6)], (4,)),
    "Linear without bias": (lambda: [nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6)], (4,)),
    "Conv2d": (lambda: [nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6)], (4, 6, 5)),
    "Conv2d without bias": (lambda: [nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6)], (4, 6, 5)),
    "grouped Conv2d": (lambda: [nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)], (4, 6, 5)),
    "depthwise Conv2d": (lambda: [nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4)], (4, 6, 5)),
    "no affine": (lambda: [nn.Linear(4, 6), nn.BatchNorm1d(6, affine=False)], (4,)),
    "no β": (lambda: [nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6, bias=False)], (4,)),
    "large ε": (lambda: [nn.Linear(4, 6), nn.BatchNorm1d(6, eps=10.0)], (4,)),
    "several, nested": (
        lambda: [
            nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
            nn.Sequential(nn.Sequential(nn.Conv2d(6, 5, 2), nn.BatchNorm2d(5)), nn.Tanh()),
            nn.Flatten(),
            nn.Linear(5 * 3 * 2, 6),
            nn.BatchNorm1d(6),
        ],
        (4, 6, 5),
    ),
}


def known(model):
    """In eval mode; the parameters and statistics of its batch normalizations are made up."""
    for i, bn in enumerate(norms(model)):
        c = bn.num_features
        for tensor, values in (
            (bn.weight, normal(c, seed=i) * (-1) ** np.arange(c)),
            (bn.bias, normal(c, seed=i + 1)),
            (bn.running_mean, normal(c, seed=i + 2)),
            (bn.running_var, normal(c, seed=i + 3) ** 2 + 0.1),
        ):
            if tensor is not None:
                tensor.data[...] = values
    return model.eval()


def check_folding_leaves_the_output_as_it_was(case="Linear", dtype="float64"):
    layers, shape = FOLDABLE[case]
    model = known(nn.Sequential(*layers()).to(dtype))
    x = tg.tensor(normal(8, *shape).astype(dtype))
    before, text, expected = state(model), repr(model), model(x).data
    folded = tg.fold_batch_norm(model)
    assert norms(folded) == []
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    difference = np.abs(folded(x).data - expected).max() / np.abs(expected).max()
    assert difference <= tolerance, difference
    assert folded(x).dtype == dtype
    for parameter in folded.parameters():  # the copy shares no memory with the original
        parameter.data *= 2
    assert_unchanged(model, before)
    assert repr(model) == text
    np.testing.assert_array_equal(model(x).data, expected)


def checks():
    """Every check, by name in words."""
    prefix = "check_"
    found = {name: f for name, f in globals().items() if name.startswith(prefix)}
    return {name.removeprefix(prefix).replace("_", " "): f for name, f in found.items()}
