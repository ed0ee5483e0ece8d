"""What a training step costs, counted: a change that makes it cost more has to say so here.

Times differ from run to run by more than most changes do; these numbers do not differ at all (see
tests/support/counting.py, which counts them). They are those of the fast kernels.
"""

import sys
from collections import Counter

import counting as costs
import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.compiler import compile

F = tg.nn.functional
# What a step cost when this was last changed. To lower a limit, or to raise one for a good reason,
# run `python tests/support/counting.py` and copy its table; with --lines it shows what costs.
LIMITS = {
    "MLP, batch 128": {
        "arrays allocated": 143,
        "their bytes": 6_983_456,
        "large arrays allocated": 24,
        "bytes of large arrays": 6_782_976,
        "passes over large arrays": 58,
        "bytes passed over": 28_968_960,
        "operations recorded": 10,
        "Python calls": 518,
    },
    "CNN, batch 64": {
        "arrays allocated": 327,
        "their bytes": 58_316_448,
        "large arrays allocated": 61,
        "bytes of large arrays": 57_561_088,
        "passes over large arrays": 177,
        "bytes passed over": 294_925_888,
        "operations recorded": 17,
        "Python calls": 1_023,
    },
}
MLP, CNN = costs.EXAMPLES.values()


@pytest.fixture
def counting():
    with costs.counting() as counts:
        yield counts


def operations(example, prepare=lambda training: None):
    """How often a step of the example does what, by name, after `prepare` has changed something."""
    with costs.counting() as counts:
        training = costs.training(*example)
        prepare(training)
        training.step()
    return Counter(counts.operations)


# --- the counts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIMITS)
def test_a_step_costs_no_more_than_it_did(name):
    found = costs.measure(*costs.EXAMPLES[name]).figures()
    assert found.keys() == LIMITS[name].keys()
    more = [
        f"{figure}: {limit:,} before, {found[figure]:,} now"
        for figure, limit in LIMITS[name].items()
        if found[figure] > limit
    ]
    assert not more, "\n".join([f"one training step of the {name} costs more", *more])


def test_the_gradient_of_scores_lies_in_memory_as_they_do():
    """The target is made so: with arrays of two memory orders, elementwise work takes longer."""
    layer = nn.Linear(4, 10)
    scores = layer(tg.randn(60, 4))  # the batch last
    assert scores.data.strides == (4, 240)
    loss = F.cross_entropy(scores, tg.zeros(60, dtype=tg.int64))
    (gradient,) = tg.grad(loss, scores)
    assert gradient.data.strides == scores.data.strides


def test_two_counts_are_equal():
    first, second = costs.measure(*MLP), costs.measure(*MLP)
    assert first == second
    assert first is not second


@pytest.mark.parametrize("name", LIMITS)
def test_counting_changes_no_bit_of_the_losses_and_gradients(name):
    def train():
        training = costs.training(*costs.EXAMPLES[name])
        losses = [training.step().item() for _ in range(4)]
        return losses, {n: p.grad.data.tobytes() for n, p in training.model.named_parameters()}

    expected = train()
    with costs.counting() as counts:
        found = train()
    assert found == expected
    assert len(set(found[0])) == 4
    assert counts.calls > 0


# --- the instrument -------------------------------------------------------------------------------


def test_what_is_counted_is_taken_away_again():
    modules = [module for name, module in sys.modules.items() if name.startswith("tinygrad_bn.")]
    before, profile = [dict(vars(module)) for module in modules], sys.getprofile()
    try:
        with costs.counting():
            assert [dict(vars(module)) for module in modules] != before
            assert sys.getprofile() is not profile
            raise KeyError
    except KeyError:
        pass
    assert [dict(vars(module)) for module in modules] == before
    assert sys.getprofile() is profile


def test_no_array_of_a_training_escapes(counting):
    """An array of NumPy's own type would go on to others, and none of their uses would count."""
    training = costs.training(*CNN)
    loss = training.step()
    tensors = [loss, *(t for _, t in training.model._tensors())]
    tensors += [p.grad for p in training.model.parameters()]
    assert {type(t.data) for t in tensors} == {costs.Counted}


SIDE = 128  # an array of so many squared float32 numbers has 64 KB: it is just large
SIZE = 4 * SIDE**2


@pytest.mark.parametrize(
    ("use", "allocated", "passed_over"),
    [
        (lambda x: x + x, [SIZE], [3 * SIZE]),
        (lambda x: x[1:] + x[1:], [SIZE - 512], []),  # not large
        (lambda x: x.sum(), [4], [SIZE]),  # and its result, made an array
        (lambda x: x.T.reshape(-1), [SIZE], [2 * SIZE]),
        (lambda x: x.T[0].reshape(4, -1), [], []),
        (lambda x: x.expand(10, SIDE, SIDE).sum(), [4], [SIZE]),  # repeated: read once
        (lambda x: x.data.fill(1), [], [SIZE]),
        (lambda x: x.data.__setitem__(slice(None), x.data.T), [], [2 * SIZE]),
        (lambda x: x.data.__setitem__(slice(None), x.data[:]), [], []),  # onto itself
        (lambda x: x.data.astype(np.float64), [2 * SIZE], [3 * SIZE]),
        (lambda x: x.data.astype(np.float32, copy=False), [], []),
        (lambda x: x[np.arange(SIDE)[::-1]], [SIZE], [2 * SIZE + 8 * SIDE]),
        (lambda x: tg.stack([x, x]), [2 * SIZE], [4 * SIZE]),
        (lambda x: np.argmax(x.data), [], [SIZE]),
    ],
)
def test_the_instrument_counts_what_numpy_does(counting, use, allocated, passed_over):
    x = tg.ones(SIDE, SIDE)
    counting.clear()
    use(x)
    assert [event.nbytes for event in counting.allocations] == allocated
    assert [event.nbytes for event in counting.passes] == passed_over


def test_views_have_a_base_and_new_arrays_have_none_as_without_the_instrument(counting):
    x = tg.ones(4, 4)
    assert x.data.base is None
    assert (x + 1).data.base is None
    assert x.T.data.base is not None
    assert x.reshape(-1).data.base is not None


def test_the_package_cannot_tell_its_arrays_from_others(counting):
    numpy = sys.modules["tinygrad_bn.tensor"].np
    x = numpy.ones(4)
    assert numpy.asarray(x) is numpy.ascontiguousarray(x) is x
    assert type(x) is numpy.ndarray
    assert isinstance(x, numpy.ndarray)
    assert isinstance(np.ones(4), numpy.ndarray)
    assert not isinstance(4.0, numpy.ndarray)
    assert type(numpy.ndarray((2, 2), x.dtype, x)) is costs.Counted  # another view of the same
    assert type(numpy.lib.stride_tricks.as_strided(x, (2, 2))) is costs.Counted


def test_calls_and_recorded_operations_are_counted(counting):
    x = tg.ones(2, requires_grad=True)
    counting.clear()
    y = x.exp()
    assert (counting.operations, counting.recorded) == (["exp"], 1)
    calls = counting.calls
    y = x.exp()
    assert counting.calls == 2 * calls > 0
    with tg.no_grad():
        y.exp()
    assert (counting.operations, counting.recorded) == (["exp"] * 3, 2)


# --- what nobody asked for is not computed --------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "operation"),
    [(MLP, "matmul"), (CNN, "conv2d_input_gradient")],
    ids=LIMITS,
)
def test_the_gradient_towards_the_images_is_computed_only_if_it_is_required(example, operation):
    without = operations(example)
    required = operations(example, lambda training: training.images.requires_grad_())
    assert required[operation] == without[operation] + 1
    assert without[operation] == {"matmul": 5, "conv2d_input_gradient": 1}[operation]


@pytest.mark.parametrize(
    ("example", "layer", "operation"),
    [
        (MLP, 4, "matmul"),
        (MLP, 7, "matmul"),
        (CNN, 0, "conv2d_weight_gradient"),
        (CNN, 4, "conv2d_weight_gradient"),
    ],
)
def test_the_gradient_towards_a_frozen_weight_is_not_computed(example, layer, operation):
    def freeze(training):
        training.model[layer].weight.requires_grad = False

    usual, frozen = operations(example), operations(example, freeze)
    assert frozen[operation] == usual[operation] - 1


def test_nothing_is_computed_backwards_below_the_lowest_weight_that_is_trained():
    def freeze(training):
        for parameter in training.model[:8].parameters():  # both blocks of convolution
            parameter.requires_grad = False

    backwards = {name for name in operations(CNN) if name.endswith(("_gradient", "_route"))}
    assert backwards == {
        "conv2d_input_gradient",
        "conv2d_weight_gradient",
        "max_pool2d_route",
    }
    assert not backwards & operations(CNN, freeze).keys()


def test_batch_normalization_takes_four_passes_more_if_its_input_requires_a_gradient(
    counting,
):
    """A first layer's does not: its differences from the mean serve γ alone."""
    passes = {}
    for required in (False, True):
        x, g = tg.randn(64, 8, 16, 16, requires_grad=required), tg.randn(64, 8, 16, 16)
        affine = tg.ones(8, requires_grad=True), tg.zeros(8, requires_grad=True)
        y = F.batch_norm(x, None, None, *affine, training=True)
        counting.clear()
        tg.grad(y, [x, *affine] if required else affine, g)
        passes[required] = Counter(event.name for event in counting.passes)
    assert passes[True] - passes[False] == Counter(multiply=2, add=1, subtract=1)
    assert not passes[False] - passes[True]


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
def test_inference_of_batch_normalization_is_its_formula_and_no_pass_more(counting, affine):
    x, layer = tg.randn(64, 8, 16, 16), nn.BatchNorm2d(8, affine=affine).eval()
    counting.clear()
    layer(x)
    expected = ["subtract", "multiply", "add"] if affine else ["subtract", "multiply"]
    assert [event.name for event in counting.passes] == expected


@pytest.mark.parametrize("example", [MLP, CNN], ids=LIMITS)
def test_evaluation_without_gradients_records_nothing(counting, example):
    model, images, labels, _ = costs.training(*example)
    model.eval()
    counting.clear()
    with tg.no_grad():
        scores = model(images)
        (scores.argmax(1) == labels).sum().item()
    assert scores.grad_fn is None
    assert len(counting.operations) >= 8
    assert counting.recorded == 0


@pytest.mark.parametrize("training", [True, False])
def test_a_compiled_model_takes_fewer_passes_and_less_memory(training):
    x = tg.tensor(np.ones((64, 1, 28, 28), np.float32))
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers).train(training)
    found = []
    for called in (compile(model), model):
        with costs.counting() as counts, tg.no_grad():
            called(x)
        events = (counts.passes, counts.allocations)
        found.append([sum(event.nbytes for event in those) for those in events])
    joined, by_itself = found
    assert joined[0] < 0.85 * by_itself[0]
    assert joined[1] < 0.8 * by_itself[1]
