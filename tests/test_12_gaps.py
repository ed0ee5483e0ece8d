"""What planted faults and uncovered branches showed to be untested (see mutants.py)."""

from collections import defaultdict

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.lr_scheduler import CosineAnnealingLR, StepLR
from tinygrad_bn.memory import Block
from tinygrad_bn.optim import SGD
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


def test_idle_memory_is_at_most_twice_what_was_ever_in_use(monkeypatch):
    monkeypatch.setattr(Block, "idle", defaultdict(list))
    for counter in ("held", "in_use", "peak"):
        monkeypatch.setattr(Block, counter, 0)
    for size in range(100_000, 110_000, 100):
        Block(size)  # and gone at once: never is more than this in use
        assert sum(m.size for idle in Block.idle.values() for m in idle) <= 2 * size


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
