"""What planted faults and uncovered branches showed to be untested (see mutants.py)."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.data import DataLoader
from tinygrad_bn.nn import functional as F
from tinygrad_bn.optim import SGD
from tinygrad_bn.optim.lr_scheduler import CosineAnnealingLR, StepLR
from tinygrad_bn.tensor import record


def test_requires_grad_takes_true_or_false_and_nothing_like_it():
    x = tg.ones(2)
    with pytest.raises(TypeError, match="requires_grad must be True or False, not 1"):
        x.requires_grad = 1
    assert x.requires_grad is False


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("dim", [0, -1])
def test_a_number_is_its_own_extreme_at_index_0(name, dim):
    x = tg.tensor(3.0, requires_grad=True)
    values, indices = getattr(x, name)(dim)
    assert values.item() == 3
    assert (indices.item(), indices.shape, indices.dtype) == (0, (), tg.int64)
    (5 * values).backward()
    assert x.grad.item() == 5


def test_a_parameter_says_in_its_repr_that_it_is_one():
    shown = repr(nn.Parameter(tg.tensor([1.0, 2.0])))
    assert shown == "Parameter containing:\ntensor([1., 2.], requires_grad=True)"


def test_a_gradient_of_another_dtype_is_refused_and_names_the_operation():
    x = tg.ones(2, requires_grad=True)
    y = record("careless", x.data * 2, (x, lambda g, y: g.double() * 2))
    with pytest.raises(RuntimeError, match="careless: float64 gradient for float32 input"):
        y.sum().backward()
    assert x.grad is None


def test_the_variance_of_no_values_is_not_a_number_whatever_the_correction():
    with np.errstate(invalid="ignore"):
        for correction in (0, 1, 2):
            assert np.isnan(tg.zeros(0).var(correction=correction).item())


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


@pytest.mark.parametrize("squeeze", [lambda x: x.squeeze(), lambda x: x.squeeze((0, 2))])
def test_squeezing_leaves_axes_of_size_0(squeeze):
    x = tg.zeros(0, 3, 1, requires_grad=True)
    y = squeeze(x)
    assert y.shape == (0, 3)
    y.sum().backward()
    assert x.grad.shape == (0, 3, 1)


def test_population_statistics_forget_what_the_layer_had_seen_even_if_it_was_nan(rng):
    batches = rng.standard_normal((3, 8, 2))
    model = nn.Sequential(nn.BatchNorm1d(2)).double()
    model[0].running_mean.data[:] = np.nan
    model[0].running_var.data[:] = np.inf
    tg.population_statistics(model, [tg.tensor(batch) for batch in batches])
    expected = {"running_mean": batches.mean((0, 1)), "running_var": batches.var(1, ddof=1).mean(0)}
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(model[0], name).numpy(), value, rtol=1e-12)


def test_population_statistics_count_their_own_batches_alone():
    model = nn.Sequential(nn.BatchNorm1d(2))
    for _ in range(5):
        model(tg.randn(8, 2))
    tg.population_statistics(model, [tg.randn(8, 2), tg.randn(8, 2), tg.randn(8, 2)])
    assert model[0].num_batches_tracked.item() == 3


def test_a_second_schedule_starts_from_the_rate_before_the_first():
    optimizer = SGD([tg.ones(1, requires_grad=True)], lr=0.5)
    first = StepLR(optimizer, step_size=1)
    first.step()
    assert optimizer.param_groups[0]["lr"] == 0.05
    assert CosineAnnealingLR(optimizer, T_max=4).base_lrs == [0.5]


@pytest.mark.parametrize(
    "misread",
    [
        lambda: F.cross_entropy(tg.ones(2, 3), tg.zeros(2, dtype=tg.int64), None, 1),
        lambda: nn.CrossEntropyLoss(None, 1),
        lambda: F.mse_loss(tg.ones(2), tg.ones(2), "sum"),
        lambda: nn.MSELoss("sum"),
        lambda: DataLoader(range(4), 2, False, True),
        lambda: tg.grad(tg.ones(()), tg.ones(()), None, None, False, True),
    ],
)
def test_an_argument_that_stands_elsewhere_in_pytorch_is_not_taken_by_position(misread):
    with pytest.raises(TypeError, match="positional argument"):
        misread()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["running_mean", "running_var"])
def test_running_statistics_that_ask_for_a_gradient_are_refused(name, training):
    statistics = {"running_mean": tg.zeros(3), "running_var": tg.ones(3)}
    statistics[name].requires_grad = True
    with pytest.raises(ValueError, match=f"{name}.*constant"):
        F.batch_norm(tg.randn(4, 3), **statistics, training=training)
    assert statistics["running_mean"].tolist() == [0, 0, 0]


def test_sizes_are_integers_of_python_or_numpy_but_not_truth_values():
    conv = nn.Conv2d(np.int64(2), 3, np.int32(3), stride=(np.int64(2), 1))
    assert repr(conv) == "Conv2d(2, 3, kernel_size=(3, 3), stride=(2, 1))"
    for make in (
        lambda: nn.Conv2d(2, 3, True),
        lambda: nn.Conv2d(True, 3, 1),
        lambda: nn.MaxPool2d((2, True)),
        lambda: nn.Conv2d(2, 3, 2.0),
    ):
        with pytest.raises(ValueError, match=r"True|2\.0"):
            make()


def test_no_classes_and_no_channels_are_refused_with_the_shape():
    with pytest.raises(ValueError, match=r"\(2, 0\) has no axis of at least one class"):
        F.cross_entropy(tg.zeros(2, 0), tg.zeros(2, 0))
    with pytest.raises(ValueError, match=r"no axis of at least one class"):
        F.cross_entropy(tg.tensor(1.0), tg.tensor(0))
    with pytest.raises(ValueError, match=r"0 channels do not fit \(2, 0, 3, 3\)"):
        F.conv2d(tg.zeros(1, 0, 4, 4), tg.zeros(2, 0, 3, 3))
    with pytest.raises(ValueError, match=r"2 channels do not fit \(0, 2, 3, 3\)"):
        F.conv2d(tg.zeros(1, 2, 4, 4), tg.zeros(0, 2, 3, 3))


@pytest.mark.parametrize("name", ["max", "min", "argmax"])
def test_the_extreme_of_nothing_is_an_error_that_says_so(name):
    nothing = tg.zeros(0, 3)
    for dim in (None, 0):
        with pytest.raises(IndexError, match=rf"{name}\(dim={dim}\).*\(0, 3\)"):
            getattr(nothing, name)(dim)
    found = getattr(nothing, name)(1)
    assert (found if name == "argmax" else found.values).shape == (0,)


def test_a_convolution_names_the_dtypes_that_do_not_go_together():
    images, kernels = tg.ones(1, 1, 3, 3), tg.ones(1, 1, 2, 2).double()
    with pytest.raises(TypeError, match=r"conv2d needs one.*input float32, weight float64"):
        F.conv2d(images, kernels)
    with pytest.raises(TypeError, match=r"avg_pool2d needs one.*int64"):
        F.avg_pool2d(tg.ones(1, 1, 3, 3, dtype=tg.int64), 2)


def test_a_star_import_brings_the_layers_and_the_functions():
    names: dict[str, object] = {}
    exec("from tinygrad_bn.nn import *\nfrom tinygrad_bn.nn.functional import *", names)
    assert {"Linear", "Conv2d", "BatchNorm2d", "Sequential", "Module", "relu", "conv2d"} <= set(
        names
    )
