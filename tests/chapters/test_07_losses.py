"""Softmax and the losses: by hand, by difference quotients, by PyTorch."""

import math

import numpy as np
import pytest
from oracle import assert_close, assert_same_as_torch, normal, normal_leaf

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.autograd import gradcheck, gradgradcheck

F = tg.nn.functional


# --- softmax ----------------------------------------------------------------------------------

softmax_cases = pytest.mark.parametrize(
    ("shape", "dim"), [((4,), 0), ((3, 4), 1), ((3, 4), 0), ((3, 4), -2), ((2, 3, 4), 1)]
)


@softmax_cases
def test_softmax_is_its_formula(shape, dim):
    x = normal(*shape)
    e = np.exp(x)
    expected = e / e.sum(dim, keepdims=True)
    assert_close(F.softmax(tg.tensor(x), dim).numpy(), expected)
    assert_close(F.log_softmax(tg.tensor(x), dim).numpy(), np.log(expected))


@softmax_cases
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_and_its_gradient_are_pytorchs(torch, name, shape, dim):
    assert_same_as_torch(
        torch,
        lambda x: getattr(F, name)(x, dim),
        lambda x: getattr(torch.nn.functional, name)(x, dim),
        3 * normal(*shape),
    )


@softmax_cases
@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_derivatives_of_softmax_are_difference_quotients(function, shape, dim):
    assert gradcheck(lambda x: function(x, dim), normal_leaf(*shape))
    assert gradgradcheck(lambda x: function(x, dim), normal_leaf(*shape))


def test_softmax_of_huge_scores_neither_overflows_nor_loses_its_logarithm():
    x = tg.tensor([[1e4, 0.0, -1e4], [-1e30, -1e30, -1e30]])
    third = 1 / 3
    np.testing.assert_allclose(F.softmax(x, 1).numpy(), [[1, 0, 0], [third] * 3], rtol=1e-6)
    expected = [[0, -1e4, -2e4], [-math.log(3)] * 3]
    np.testing.assert_allclose(F.log_softmax(x, 1).numpy(), expected, rtol=1e-6)


def test_a_score_of_minus_infinity_is_a_probability_of_0():
    """The usual way of masking a class."""
    x = tg.tensor([0.0, -math.inf, 0.0])
    assert F.softmax(x, 0).tolist() == [0.5, 0, 0.5]
    assert F.log_softmax(x, 0).tolist()[1] == -math.inf


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_a_wrong_softmax_is_refused_by_name(function):
    with pytest.raises((IndexError, ValueError), match="2"):
        function(tg.zeros(3, 4), 2)
    with pytest.raises((TypeError, ValueError), match="int64"):
        function(tg.arange(3), 0)


# --- losses -----------------------------------------------------------------------------------

reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
score_shapes = pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 5, 2), (2, 5, 3, 2)], ids=str)
smoothings = pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
weightings = pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])


def labels_for(shape, classes=5, ignore=None):
    """Class indices for scores of `shape`, every third of them ignored if asked."""
    labels = np.random.default_rng(7).integers(0, classes, shape[:1] * (len(shape) > 1) + shape[2:])
    if ignore is not None and labels.ndim:
        labels.flat[::3] = ignore
    return labels


def probabilities_for(shape):
    e = np.exp(normal(*shape, seed=8))
    return e / e.sum(0 if len(shape) == 1 else 1, keepdims=True)


CLASS_WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0])


def cross_entropy_by_definition(x, target, weight, ignore_index, reduction, label_smoothing):
    """Sample by sample, from PyTorch's documentation."""
    if x.ndim == 1:
        x, target = x[None], np.asarray(target)[None]
    classes = x.shape[1]
    indices = target.dtype.kind == "i"
    places = np.moveaxis(x, 1, -1)[..., 0].shape
    losses, total = np.zeros(places), 0.0
    for at in np.ndindex(places):
        scores = x[(at[0], slice(None), *at[1:])]
        logp = [s - math.log(sum(math.exp(v) for v in scores)) for s in scores]
        if indices:
            label = target[at]
            if label == ignore_index:
                continue
            t = [float(c == label) for c in range(classes)]
            total += weight[label]
        else:
            t = target[(at[0], slice(None), *at[1:])]
            total += 1
        t = [(1 - label_smoothing) * p + label_smoothing / classes for p in t]
        losses[at] = -sum(weight[c] * t[c] * logp[c] for c in range(classes))
    if reduction == "none":
        return losses
    return losses.sum() / (total if reduction == "mean" else 1)


@reductions
@smoothings
@weightings
@pytest.mark.parametrize("kind", ["indices", "ignoring 2", "ignoring -100", "probabilities"])
@pytest.mark.parametrize("shape", [(4, 5), (3, 5, 2)])
def test_cross_entropy_is_its_definition(shape, kind, weighted, label_smoothing, reduction):
    ignore = {"ignoring 2": 2, "ignoring -100": -100}.get(kind)
    x = normal(*shape)
    target = probabilities_for(shape) if kind == "probabilities" else labels_for(shape, 5, ignore)
    options = {
        "ignore_index": -100 if ignore is None else ignore,
        "reduction": reduction,
        "label_smoothing": label_smoothing,
    }
    w = CLASS_WEIGHTS if weighted else np.ones(5)
    found = F.cross_entropy(
        tg.tensor(x), tg.tensor(target), tg.tensor(w) if weighted else None, **options
    )
    expected = cross_entropy_by_definition(x, target, w, **options)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


@reductions
@smoothings
@weightings
@score_shapes
@pytest.mark.parametrize("ignore", [None, 2, -100])
def test_cross_entropy_of_class_indices_is_pytorchs(
    torch, shape, weighted, label_smoothing, reduction, ignore
):
    labels = labels_for(shape, 5, ignore)
    options = {"reduction": reduction, "label_smoothing": label_smoothing}
    if ignore is not None:
        options["ignore_index"] = ignore
    assert_same_as_torch(
        torch,
        lambda x: F.cross_entropy(
            x, tg.tensor(labels), tg.tensor(CLASS_WEIGHTS) if weighted else None, **options
        ),
        lambda x: torch.nn.functional.cross_entropy(
            x, torch.tensor(labels), torch.tensor(CLASS_WEIGHTS) if weighted else None, **options
        ),
        normal(*shape),
    )


@reductions
@smoothings
@weightings
@score_shapes
def test_cross_entropy_of_class_probabilities_is_pytorchs(
    torch, shape, weighted, label_smoothing, reduction
):
    """They may want a gradient, too (distillation)."""
    options = {"reduction": reduction, "label_smoothing": label_smoothing}
    assert_same_as_torch(
        torch,
        lambda x, t: F.cross_entropy(
            x, t, tg.tensor(CLASS_WEIGHTS) if weighted else None, **options
        ),
        lambda x, t: torch.nn.functional.cross_entropy(
            x, t, torch.tensor(CLASS_WEIGHTS) if weighted else None, **options
        ),
        normal(*shape),
        probabilities_for(shape),
    )


def test_cross_entropy_of_a_worked_example():
    """Scores 0, ln 2, ln 5: probabilities 1/8, 2/8, 5/8."""
    scores = tg.tensor([[0.0, math.log(2), math.log(5)]] * 2, dtype=tg.float64, requires_grad=True)
    loss = F.cross_entropy(scores, tg.tensor([1, 2]))
    assert loss.item() == pytest.approx((math.log(4) + math.log(8 / 5)) / 2, abs=1e-15)
    loss.backward()  # (probability - one hot) / 2
    np.testing.assert_allclose(
        scores.grad.numpy(), np.array([[1, -6, 5], [1, 2, -3]]) / 16, atol=1e-15
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": tg.tensor(CLASS_WEIGHTS[:3])},
        {"label_smoothing": 0.2, "ignore_index": 1},
        {"reduction": "none"},
    ],
)
def test_derivatives_of_cross_entropy_are_difference_quotients(options):
    labels = tg.tensor([2, 1, 0])
    scores = normal_leaf(3, 3)
    assert gradcheck(lambda x: F.cross_entropy(x, labels, **options), scores)
    assert gradgradcheck(lambda x: F.cross_entropy(x, labels, **options), scores)


def test_huge_scores_give_a_finite_loss_and_gradient_in_float32():
    scores = tg.tensor([[1e4, -1e4], [1e4, -1e4]], requires_grad=True)
    loss = F.cross_entropy(scores, tg.tensor([0, 1]), reduction="none")
    assert loss.tolist() == [0, 2e4]
    (g,) = tg.grad(loss, scores, tg.tensor([3.0, 5.0]))
    assert g.tolist() == [[0, 0], [5, -5]]


def test_a_class_masked_with_minus_infinity_costs_nothing_unless_it_is_the_label():
    scores = tg.tensor([[0.0, -math.inf, 0.0]], requires_grad=True)
    loss = F.cross_entropy(scores, tg.tensor([0]))
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert scores.grad.tolist() == [[-0.5, 0, 0.5]]
    assert F.cross_entropy(scores, tg.tensor([1])).item() == math.inf


def test_float32_scores_give_a_float32_loss_and_gradient():
    for target in (tg.tensor([1, 0]), tg.tensor([[0.5, 0.5], [1.0, 0.0]])):
        for weight in (None, tg.tensor([1.0, 2.0])):
            scores = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
            loss = F.cross_entropy(scores, target, weight, label_smoothing=0.1)
            loss.backward()
            assert loss.dtype == scores.grad.dtype == tg.float32


@pytest.mark.parametrize(("scores", "target"), [("float32", "float64"), ("float64", "float32")])
def test_probabilities_may_be_of_the_other_precision(scores, target):
    """Loss and gradients are of the dtype of what they belong to; the values do not change."""
    arrays = normal(3, 4).astype(scores), (np.abs(normal(3, 4, seed=1)) / 2).astype(target)
    x, t = (tg.tensor(a, requires_grad=True) for a in arrays)
    loss = F.cross_entropy(x, t)
    loss.backward()
    shifted = arrays[0].astype(float) - np.log(
        np.exp(arrays[0].astype(float)).sum(1, keepdims=True)
    )
    np.testing.assert_allclose(loss.item(), -(arrays[1] * shifted).sum() / 3, rtol=1e-5)
    assert (loss.dtype, x.grad.dtype, t.grad.dtype) == (x.dtype, x.dtype, t.dtype)
    np.testing.assert_allclose(t.grad.numpy(), -shifted / 3, rtol=1e-5)


@reductions
@smoothings
@weightings
def test_an_ignored_sample_costs_nothing_whatever_its_scores_are(
    reduction, label_smoothing, weighted
):
    """Not even NaN or an infinity gets past: loss and gradient are those of the others alone."""
    scores, used = normal(5, 5), [0, 2]
    scores[1], scores[3], scores[4] = math.nan, -math.inf, [math.inf, 0, -math.inf, math.nan, 1]
    weight = tg.tensor(CLASS_WEIGHTS) if weighted else None
    options = {"reduction": reduction, "label_smoothing": label_smoothing}
    every, others = (tg.tensor(a, requires_grad=True) for a in (scores, scores[used]))
    loss = F.cross_entropy(every, tg.tensor([1, -100, 4, -100, -100]), weight, **options)
    expected = F.cross_entropy(others, tg.tensor([1, 4]), weight, **options)
    g = normal(5, seed=9) if reduction == "none" else np.array(3.0)
    loss.backward(tg.tensor(g))
    expected.backward(tg.tensor(g[used] if reduction == "none" else g))
    if reduction == "none":
        assert loss[[1, 3, 4]].tolist() == [0, 0, 0]
        loss = loss[used]
    assert_close(loss.detach().numpy(), expected.detach().numpy())
    assert_close(every.grad.numpy()[used], others.grad.numpy())
    assert every.grad[[1, 3, 4]].tolist() == [[0] * 5] * 3


@reductions
@pytest.mark.parametrize("score", [0.0, math.nan, math.inf])
def test_a_batch_of_ignored_samples_alone_gets_a_gradient_of_0(reduction, score):
    """Also through the mean, which is NaN."""
    scores = tg.tensor([[score] * 3] * 2, requires_grad=True)
    loss = F.cross_entropy(scores, tg.tensor([-100, -100]), reduction=reduction)
    loss.sum().backward()
    np.testing.assert_equal(loss.sum().item(), math.nan if reduction == "mean" else 0)
    assert scores.grad.tolist() == [[0] * 3] * 2


@pytest.mark.filterwarnings("ignore:invalid value")  # 0/0 is what is asked for here
def test_the_mean_of_no_losses_is_nan_as_in_pytorch():
    scores, ignored = tg.zeros(2, 3), tg.tensor([-100, -100])
    assert math.isnan(F.cross_entropy(scores, ignored).item())
    weightless = tg.tensor([0.0, 1.0, 1.0])
    assert math.isnan(F.cross_entropy(scores, tg.tensor([0, 0]), weightless).item())
    assert F.cross_entropy(scores, ignored, reduction="sum").item() == 0
    assert F.cross_entropy(scores, ignored, reduction="none").tolist() == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"target": tg.tensor([0, 3])}, r"\b3\b.*\[0, 3\)"),
        ({"target": tg.tensor([0, -1])}, r"-1\b"),
        ({"target": tg.tensor([0, -100]), "ignore_index": -1}, "-100"),
        ({"target": tg.tensor([-100, 7])}, r"\b7\b"),  # not the ignored one before it
        ({"target": tg.tensor([0, 1, 2])}, r"\(3,\)"),
        ({"target": tg.tensor([[0, 1]])}, r"\(1, 2\)"),
        ({"target": tg.tensor([True, False])}, "bool"),
        ({"target": tg.tensor([0.0, 1.0])}, r"\(2,\)"),
        ({"weight": tg.ones(2)}, r"(?=.*weight)(?=.*\(3,\))(?=.*\(2,\))"),
        ({"weight": tg.ones(3, dtype=tg.float64)}, "float64"),
        ({"reduction": "average"}, "'average'"),
        ({"label_smoothing": -0.1}, r"label_smoothing.*-0\.1"),
        ({"label_smoothing": 1.5}, r"label_smoothing.*1\.5"),
        ({"label_smoothing": math.nan}, "label_smoothing.*nan"),
        ({"input": tg.zeros(2, 3, dtype=tg.int64)}, "int64"),
        ({"input": tg.tensor(1.0)}, r"\(\)"),
    ],
)
def test_a_wrong_cross_entropy_is_refused_by_name(arguments, named):
    right = {"input": tg.zeros(2, 3), "target": tg.tensor([0, 1])}
    F.cross_entropy(**right)
    with pytest.raises((TypeError, ValueError), match=named):
        F.cross_entropy(**right | arguments)


def test_no_classes_are_refused_with_the_shape():
    with pytest.raises(ValueError, match=r"\(2, 0\) has no axis of at least one class"):
        F.cross_entropy(tg.zeros(2, 0), tg.zeros(2, 0))
    with pytest.raises(ValueError, match=r"no axis of at least one class"):
        F.cross_entropy(tg.tensor(1.0), tg.tensor(0))


@reductions
def test_mean_squared_error_by_hand(reduction):
    x, t = tg.tensor([[1.0, 2.0], [3.0, 5.0]]), tg.tensor([[1.0, 0.0], [0.0, 1.0]])
    expected = {"mean": 29 / 4, "sum": 29, "none": [[0, 4], [9, 16]]}[reduction]
    assert F.mse_loss(x, t, reduction=reduction).tolist() == expected
    assert F.mse_loss(x, t).item() == 29 / 4  # the mean is the default


@reductions
def test_mean_squared_error_and_its_gradients_are_pytorchs(torch, reduction):
    assert_same_as_torch(
        torch,
        lambda x, t: F.mse_loss(x, t, reduction=reduction),
        lambda x, t: torch.nn.functional.mse_loss(x, t, reduction=reduction),
        normal(3, 4),
        normal(3, 4, seed=1),
    )


def test_derivatives_of_mean_squared_error_are_difference_quotients():
    assert gradcheck(F.mse_loss, (normal_leaf(2, 3), normal_leaf(2, 3, seed=1)))
    assert gradgradcheck(F.mse_loss, (normal_leaf(2, 3), normal_leaf(2, 3, seed=1)))


def test_a_wrong_mean_squared_error_is_refused_by_name():
    """(N, 1) against (N,) would silently become an (N, N) of differences."""
    with pytest.raises(ValueError, match=r"(?=.*\(3, 1\))(?=.*\(3,\))"):
        F.mse_loss(tg.zeros(3, 1), tg.zeros(3))
    with pytest.raises(ValueError, match="'avg'"):
        F.mse_loss(tg.zeros(3), tg.zeros(3), reduction="avg")


# --- the layers -----------------------------------------------------------------------------------


def test_loss_layers_pass_on_all_their_settings():
    x, labels = tg.randn(4, 3), tg.tensor([0, 1, 2, 1])
    options = {
        "weight": tg.tensor([1.0, 2.0, 3.0]),
        "ignore_index": 1,
        "reduction": "sum",
        "label_smoothing": 0.1,
    }
    found = nn.CrossEntropyLoss(**options)(x, labels).item()
    assert found == F.cross_entropy(x, labels, **options).item()
    for name in options:  # and each of them matters
        rest = {k: v for k, v in options.items() if k != name}
        assert found != F.cross_entropy(x, labels, **rest).item()
    assert (
        nn.CrossEntropyLoss()(x[0], labels[0]).item() == F.cross_entropy(x[:1], labels[:1]).item()
    )
    t = tg.randn(4, 3)
    assert nn.MSELoss(reduction="sum")(x, t).item() == pytest.approx(12 * nn.MSELoss()(x, t).item())


def test_layers_take_their_own_axis():
    x = tg.tensor(normal(3, 4))
    assert_close(nn.Softmax(0)(x).sum(0), np.ones(4))
    assert_close(nn.LogSoftmax(0)(x).exp().sum(0), np.ones(4))


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (0, 0)])
def test_softmax_along_an_axis_of_nothing(torch, shape):
    for m in (torch, tg):
        assert tuple(m.nn.functional.log_softmax(m.ones(*shape), 1).shape) == shape


def test_the_mean_of_no_samples_is_nan_without_a_warning():
    loss = F.cross_entropy(tg.ones(0, 3), tg.zeros(0, dtype=tg.int64))
    assert math.isnan(loss.item())


def test_softmax_of_nothing_is_a_new_tensor():
    x = tg.zeros(0, 3)
    assert F.log_softmax(x, 1) is not x
    assert F.log_softmax(x, 1).shape == (0, 3)


def test_the_weights_of_a_loss_are_saved_and_converted_with_it():
    loss = nn.CrossEntropyLoss(tg.tensor([1.0, 2.0]))
    assert list(loss.state_dict()) == ["weight"]
    assert loss.double().weight.dtype == tg.float64
    assert list(loss.parameters()) == []


@pytest.mark.parametrize("wrong", [True, 1.0, None, "1"])
def test_the_ignored_class_is_an_integer(torch, wrong):
    for m in (tg, torch):
        with pytest.raises(TypeError, match=r"must be (an integer|int), not"):
            m.nn.CrossEntropyLoss(ignore_index=wrong)(m.zeros(2, 3), m.tensor([0, 1]))


def test_a_squared_error_is_not_of_integers(torch):
    for m, expected in ((tg, TypeError), (torch, RuntimeError)):
        whole = m.tensor([1, 2])
        for reduction in ("none", "sum", "mean"):
            with pytest.raises(expected):
                m.nn.functional.mse_loss(whole, whole, reduction=reduction)
        assert m.nn.functional.mse_loss(whole, m.ones(2)).item() == 0.5
