"""Linear maps, activations and dropout; then what holds for every layer, of later chapters too."""

import math

import numpy as np
import pytest
from models import define_nested
from oracle import assert_close, assert_same_as_torch, normal, normal_leaf

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.autograd import gradcheck, gradgradcheck

F = tg.nn.functional


# --- linear -----------------------------------------------------------------------------------

linear_shapes = pytest.mark.parametrize("shape", [(4,), (3, 4), (0, 4), (2, 3, 4), (2, 1, 3, 4)])


@linear_shapes
def test_linear_is_a_sum_of_products_for_any_number_of_leading_axes(shape):
    x, w, b = normal(*shape), normal(5, 4, seed=1), normal(5, seed=2)
    expected = np.zeros((*shape[:-1], 5))
    for i in np.ndindex(shape[:-1]):
        for o in range(5):
            expected[(*i, o)] = sum(x[(*i, k)] * w[o, k] for k in range(4)) + b[o]
    assert_close(F.linear(tg.tensor(x), tg.tensor(w), tg.tensor(b)).numpy(), expected)
    assert_close(F.linear(tg.tensor(x), tg.tensor(w)).numpy(), expected - b)


@linear_shapes
def test_linear_and_its_gradients_are_pytorchs(torch, shape):
    arrays = normal(*shape), normal(5, 4, seed=1), normal(5, seed=2)
    assert_same_as_torch(torch, F.linear, torch.nn.functional.linear, *arrays)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 3)])
def test_first_and_second_derivatives_of_linear_are_difference_quotients(shape):
    inputs = normal_leaf(*shape), normal_leaf(2, 3, seed=1), normal_leaf(2, seed=2)
    assert gradcheck(F.linear, inputs)
    assert gradgradcheck(F.linear, inputs)


def test_a_bias_is_not_changed_by_the_sum_it_is_added_to():
    x, w, b = tg.ones(2, 3), tg.ones(4, 3), tg.ones(4)
    assert F.linear(x, w, b).tolist() == [[4.0] * 4] * 2
    assert b.tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("shapes", "error", "named"),
    [
        (((2, 3), (5, 4)), ValueError, r"(?=.*\(2, 3\))(?=.*\(5, 4\))"),
        (((3,), (5, 4)), ValueError, r"(?=.*\(3,\))(?=.*\(5, 4\))"),
        (((2, 4), (5, 4), (4,)), ValueError, r"(?=.*\(5,\))(?=.*\(4,\))"),
        (((2, 4), (5, 4), (5, 1)), ValueError, r"(?=.*\(5,\))(?=.*\(5, 1\))"),
        (((), (5, 4)), ValueError, r"(?=.*\(\))(?=.*\(5, 4\))"),
    ],
)
def test_shapes_that_do_not_fit_linear_are_refused_by_name(shapes, error, named):
    with pytest.raises(error, match=named):
        F.linear(*(tg.zeros(shape) for shape in shapes))


@pytest.mark.parametrize("dtypes", [("f8", "f4", "f4"), ("f4", "f8", "f4"), ("f4", "f4", "f8")])
def test_mixed_dtypes_in_linear_are_refused_by_name(dtypes):
    shapes = (2, 3), (4, 3), (4,)
    with pytest.raises(TypeError, match="float64"):
        F.linear(*(tg.zeros(s, dtype=d) for s, d in zip(shapes, dtypes, strict=True)))


# --- activations ------------------------------------------------------------------------------

ACTIVATIONS = {
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
}
activations = pytest.mark.parametrize("name", ACTIVATIONS)


@activations
def test_an_activation_is_its_formula_element_by_element(name):
    x = 3 * normal(2, 3, 4)
    expected = np.vectorize(ACTIVATIONS[name])(x)
    assert_close(getattr(F, name)(tg.tensor(x)).numpy(), expected)


@activations
def test_derivatives_of_an_activation_are_difference_quotients(name):
    assert gradcheck(getattr(F, name), normal_leaf(3, 4))
    assert gradgradcheck(getattr(F, name), normal_leaf(3, 4))


@activations
def test_an_activation_and_its_gradient_are_pytorchs(torch, name):
    x = np.concatenate([normal(10), [0.0, -0.0, 50.0, -50.0, 1000.0, -1000.0]])
    assert_same_as_torch(torch, getattr(F, name), getattr(torch.nn.functional, name), x)


def test_far_out_activations_reach_their_limits_without_a_warning():
    x = tg.tensor([-1e4, 1e4], requires_grad=True)
    for name, limits in (("sigmoid", [0, 1]), ("tanh", [-1, 1]), ("relu", [0, 1e4])):
        y = getattr(F, name)(x)
        assert y.tolist() == limits
        (slope,) = tg.grad(y, x, tg.tensor([3.0, 7.0]))
        assert slope.tolist() == ([0, 7] if name == "relu" else [0, 0])


def test_relu_has_slope_0_at_0():
    x = tg.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    F.relu(x).backward(tg.tensor([5.0, 7.0, 11.0]))
    assert x.grad.tolist() == [0, 0, 11]


# --- dropout ----------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_zeroes_with_probability_p_and_keeps_the_mean(p):
    n = 100_000
    y = F.dropout(tg.ones(n), p).numpy()
    zeros = (y == 0).sum()
    assert abs(zeros - n * p) < 5 * math.sqrt(n * p * (1 - p))  # five standard deviations
    np.testing.assert_allclose(y[y != 0], 1 / (1 - p), rtol=1e-6)
    assert y.dtype == np.float32


def test_dropout_takes_elements_independently_of_each_other():
    y = F.dropout(tg.ones(200, 200), 0.5).numpy() - 1  # +1 or -1
    for shift in ((0, 1), (1, 0), (1, 1)):
        correlation = (y * np.roll(y, shift, (0, 1))).mean()
        assert abs(correlation) < 5 / 200


def test_dropout_repeats_with_the_seed_and_differs_without_it():
    x = tg.ones(1000)
    tg.manual_seed(3)
    first, second = F.dropout(x).tolist(), F.dropout(x).tolist()
    tg.manual_seed(3)
    assert F.dropout(x).tolist() == first
    assert first != second


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_dropout_passes_where_the_value_did(dtype):
    x = tg.tensor(normal(50).astype(dtype), requires_grad=True)
    g = normal(50, seed=1).astype(dtype)
    y = F.dropout(x, 0.3)
    y.backward(tg.tensor(g))
    scale = (y.detach().numpy() != 0) / 0.7
    np.testing.assert_allclose(y.detach().numpy(), x.data * scale, rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), g * scale, rtol=1e-6)
    assert y.dtype == x.grad.dtype == dtype
    assert 0 < (scale == 0).sum() < 50


def test_dropout_is_the_identity_in_evaluation_and_at_0_and_nothing_is_left_at_1():
    x = tg.tensor(normal(20), requires_grad=True)
    for y in (F.dropout(x, 0.9, training=False), F.dropout(x, 0.0)):
        assert y.tolist() == x.tolist()
    gone = F.dropout(x, 1.0)
    assert gone.tolist() == [0] * 20
    (g,) = tg.grad(gone, x, tg.tensor(normal(20, seed=1)))
    assert g.tolist() == [0] * 20


@pytest.mark.parametrize("p", [-0.1, 1.5, math.nan])
@pytest.mark.parametrize("training", [True, False])
def test_a_wrong_probability_is_refused_by_name(p, training):
    with pytest.raises(ValueError, match=f"p .*{p}"):
        F.dropout(tg.ones(3), p, training)


def test_dropout_of_integers_is_refused_by_name():
    """In PyTorch as well: 1/(1 - p) does not fit in an integer."""
    with pytest.raises((TypeError, ValueError), match="int64"):
        F.dropout(tg.arange(4), 0.3)


# --- every layer: how it prints -------------------------------------------------------------------


LAYERS = {
    "Linear": lambda nn: nn.Linear(2, 3),
    "Linear without bias": lambda nn: nn.Linear(2, 3, bias=False),
    "Conv2d": lambda nn: nn.Conv2d(4, 6, 3),
    "Conv2d with everything": lambda nn: nn.Conv2d(
        4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2, bias=False
    ),
    "Conv2d same": lambda nn: nn.Conv2d(4, 6, 3, padding="same"),
    "BatchNorm1d": lambda nn: nn.BatchNorm1d(5),
    "BatchNorm1d without bias": lambda nn: nn.BatchNorm1d(5, bias=False),
    "BatchNorm2d": lambda nn: nn.BatchNorm2d(5, 1e-3, None, False, False),
    "ReLU": lambda nn: nn.ReLU(),
    "Sigmoid": lambda nn: nn.Sigmoid(),
    "Tanh": lambda nn: nn.Tanh(),
    "Softmax": lambda nn: nn.Softmax(1),
    "LogSoftmax": lambda nn: nn.LogSoftmax(dim=-1),
    "MaxPool2d": lambda nn: nn.MaxPool2d(2),
    "MaxPool2d with everything": lambda nn: nn.MaxPool2d((3, 2), 2, 1, 2),
    "AvgPool2d": lambda nn: nn.AvgPool2d(3, stride=(1, 2), padding=1),
    "Flatten": lambda nn: nn.Flatten(),
    "Dropout": lambda nn: nn.Dropout(0.25),
    "Identity": lambda nn: nn.Identity(3, anything=4),
    "CrossEntropyLoss": lambda nn: nn.CrossEntropyLoss(),
    "MSELoss": lambda nn: nn.MSELoss(),
    "Sequential of nothing": lambda nn: nn.Sequential(),
    "nested Sequential": lambda nn: nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())), nn.Flatten()
    ),
}


def text_of(theirs):
    """What PyTorch prints, without the two options that do not exist here."""
    return repr(theirs).replace(", inplace=False", "")


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_a_layer_prints_as_in_pytorch(torch, make):
    assert repr(make(nn)) == text_of(make(torch.nn))


def test_a_model_of_every_layer_prints_as_in_pytorch(torch):
    def build(nn):
        return nn.Sequential(*(make(nn) for make in LAYERS.values()), define_nested(nn))

    assert repr(build(nn)) == text_of(build(torch.nn))


# --- every layer: how it starts -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (lambda: nn.Linear(400, 300), 400),
        (lambda: nn.Conv2d(16, 64, (3, 5)), 16 * 15),
        (lambda: nn.Conv2d(64, 256, 3, groups=8), 8 * 9),
    ],
)
def test_weights_start_uniform_within_one_over_the_root_of_fan_in(make, fan_in):
    layer, bound = make(), 1 / math.sqrt(fan_in)
    for p in layer.parameters():
        values = p.detach().numpy().ravel()
        assert p.dtype == tg.float32
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > bound * (1 - 20 / values.size)
        # the mean of n uniform values has sd bound/√(3n); that of their squares bound²·√(4/45n)
        assert abs(values.mean()) < 5 * bound / math.sqrt(3 * values.size)
        expected, spread = bound**2 / 3, bound**2 * math.sqrt(4 / 45 / values.size)
        assert abs((values.astype(float) ** 2).mean() - expected) < 5 * spread


def test_initial_weights_repeat_with_the_seed():
    def build(seed):
        tg.manual_seed(seed)
        state = nn.Sequential(nn.Linear(3, 4), nn.Conv2d(2, 4, 3)).state_dict()
        return [value.tolist() for value in state.values()]

    assert build(5) == build(5)
    assert all(a != b for a, b in zip(build(5), build(6), strict=True))


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_a_layer_starts_with_the_shapes_of_pytorch(torch, make):
    def shapes(state):
        return {name: tuple(value.shape) for name, value in state.items()}

    assert shapes(make(nn).state_dict()) == shapes(make(torch.nn).state_dict())


# --- every layer: at work -------------------------------------------------------------------------


FORWARD = {  # name: (layer in either library, shape of a batch, may the batch axis be left out)
    "Linear": (lambda nn: nn.Linear(4, 3), (2, 4), True),
    "Linear on more axes": (lambda nn: nn.Linear(4, 3), (2, 3, 4), False),
    "Conv2d": (lambda nn: nn.Conv2d(4, 2, 3, (2, 1), (1, 2), (1, 2), 2), (2, 4, 7, 6), True),
    "Conv2d same": (lambda nn: nn.Conv2d(4, 2, 3, padding="same"), (2, 4, 7, 6), True),
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(4), (5, 4), False),
    "BatchNorm1d on signals": (lambda nn: nn.BatchNorm1d(4), (3, 4, 6), False),
    "BatchNorm1d without bias": (lambda nn: nn.BatchNorm1d(4, bias=False), (5, 4), False),
    "BatchNorm2d": (lambda nn: nn.BatchNorm2d(4), (3, 4, 3, 2), False),
    "BatchNorm2d without bias": (lambda nn: nn.BatchNorm2d(4, bias=False), (3, 4, 3, 2), False),
    "ReLU": (lambda nn: nn.ReLU(), (3, 4), True),
    "Sigmoid": (lambda nn: nn.Sigmoid(), (3, 4), True),
    "Tanh": (lambda nn: nn.Tanh(), (3, 4), True),
    "Softmax": (lambda nn: nn.Softmax(-1), (3, 4), True),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(-1), (3, 4), True),
    "MaxPool2d": (lambda nn: nn.MaxPool2d(3, 2, 1, 2), (2, 3, 6, 7), True),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(3, 2, 1), (2, 3, 6, 7), True),
    "Flatten": (lambda nn: nn.Flatten(), (2, 3, 4, 5), False),
    "Flatten the middle": (lambda nn: nn.Flatten(1, 2), (2, 3, 4, 5), False),
    "Identity": (lambda nn: nn.Identity(), (2, 3), True),
    "Dropout in evaluation": (lambda nn: nn.Dropout(0.5).eval(), (2, 3), True),
}


forward_cases = pytest.mark.parametrize(
    ("make", "shape", "unbatched"), FORWARD.values(), ids=FORWARD.keys()
)


@forward_cases
def test_a_layer_and_its_gradients_are_pytorchs(torch, make, shape, unbatched):
    ours, theirs = make(nn).double(), make(torch.nn).double()
    ours.load_state_dict(theirs.state_dict())
    x = normal(*shape)
    for array in (x, x[0]) if unbatched else (x,):
        mine, other = tg.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        y, t = ours(mine), theirs(other)
        assert y.shape == tuple(t.shape)
        g = normal(*y.shape, seed=1)
        y.backward(tg.tensor(g))
        t.backward(torch.tensor(g))
        pairs = [(y.detach(), t.detach()), (mine.grad, other.grad)]
        parameters = zip(ours.parameters(), theirs.parameters(), strict=True)
        pairs += [(p.grad, q.grad) for p, q in parameters]
        for found, expected in pairs:
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", [name for name, case in FORWARD.items() if case[2]])
def test_a_single_sample_is_a_batch_of_one(name):
    make, shape, _ = FORWARD[name]
    layer, x = make(nn).double(), normal(*shape)
    np.testing.assert_allclose(
        layer(tg.tensor(x[0])).detach().numpy(),
        layer(tg.tensor(x[:1])).detach().numpy()[0],
        rtol=1e-12,
    )


@forward_cases
def test_a_layer_calls_its_function_with_all_its_settings(make, shape, unbatched):
    """Without PyTorch: the derivatives of the layer as a whole, in evaluation mode."""
    layer = make(nn).double().eval()
    x = tg.tensor(normal(*shape), requires_grad=True)
    assert gradcheck(lambda x, *_: layer(x), [x, *layer.parameters()])


def test_every_parameter_gets_a_finite_gradient_that_is_not_zero():
    model = define_nested(nn)
    y = model(tg.randn(4, 1, 13, 7))
    y.backward(tg.randn(*y.shape))
    for name, p in model.named_parameters():
        assert p.grad.shape == p.shape
        assert np.isfinite(p.grad.numpy()).all(), name
        if name == "head.1.bias":
            continue  # batch normalization subtracts it again: its gradient is 0
        assert (np.abs(p.grad.numpy()) > 0).any(axis=0).all(), name


@pytest.mark.parametrize("p", [0.25, 0.75])
def test_dropout_is_by_its_own_probability(p):
    y = nn.Dropout(p)(tg.ones(10_000))
    kept = y.numpy()[y.numpy() > 0]
    np.testing.assert_allclose(kept, 1 / (1 - p), rtol=1e-6)
    assert abs(len(kept) / 10_000 - (1 - p)) < 0.03  # seven standard deviations


def test_dropout_follows_train_and_eval():
    layer, x = nn.Dropout(0.5), tg.ones(100)
    assert 0 in layer(x).tolist()
    assert layer.eval()(x).tolist() == [1] * 100
    with tg.no_grad():  # is another matter
        assert 0 in layer.train()(x).tolist()


def test_a_wrong_input_is_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"(?=.*\(2, 5\))(?=.*\(3, 4\))"):
        nn.Linear(4, 3)(tg.zeros(2, 5))
    with pytest.raises(ValueError, match=r"(?=.*\b2\b)(?=.*\(1, 3, 2, 2\))"):
        nn.Conv2d(3, 1, 2)(tg.zeros(1, 2, 4, 4))
    with pytest.raises(TypeError, match=r"(?=.*float64)(?=.*float32)"):
        nn.Linear(4, 3)(tg.zeros(2, 4, dtype=tg.float64))
    with pytest.raises(TypeError, match=r"(?=.*float64)(?=.*float32)"):
        nn.Conv2d(1, 1, 1).double()(tg.zeros(1, 1, 2, 2))


def test_an_identity_returns_the_very_input():
    x = tg.ones(2)
    assert nn.Identity()(x) is x


@pytest.mark.parametrize("p", [0.25, 0.05, 0.99])
def test_dropout_drops_the_share_it_was_asked_for(p):
    """100,000 draws: within five standard deviations, √(p(1 − p)/100,000) each."""
    tg.manual_seed(1)
    dropped = (F.dropout(tg.ones(100_000), p).data == 0).mean()
    assert abs(dropped - p) < 5 * math.sqrt(p * (1 - p) / 100_000)
