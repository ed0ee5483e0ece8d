"""Inference as the paper has it: the population's statistics (Algorithm 2), and folding."""

import bn_checks as checks
import numpy as np
import pytest
from bn_checks import batches_of, known, norms, state
from oracle import assert_close

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.data import DataLoader

# --- the population's statistics ----------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("case", checks.POPULATION.keys())
def test_the_population_statistics_follow_the_table(case, momentum):
    checks.check_population_statistics_follow_the_table(case, momentum)


@pytest.mark.parametrize("assigned", ["abcdef", "fedcba", "dafbec"])
def test_each_layer_is_fed_by_the_ones_before_it_as_at_inference(assigned):
    """In whatever order the layers were assigned; and without dropout."""
    checks.check_layers_are_fed_by_the_ones_before_as_at_inference(assigned)


@pytest.mark.parametrize("training", [(True,) * 3, (False,) * 3, (True, False, True)], ids=str)
def test_nothing_is_set_but_the_statistics(training):
    checks.check_population_statistics_set_nothing_but_the_statistics(training)


@pytest.mark.parametrize("case", checks.BROKEN.keys())
def test_an_error_midway_changes_nothing(case):
    checks.check_an_error_midway_changes_nothing(case)


class Frozen(nn.BatchNorm1d):
    """As batch normalization is usually frozen."""

    def train(self, mode=True):
        return super().train(False)


def switched_off(features):
    layer = nn.BatchNorm1d(features)
    layer.track_running_stats = False
    return layer


def without_statistics(features):
    layer = nn.BatchNorm1d(features)
    layer.running_mean = layer.running_var = None
    return layer


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(3, 2),
        nn.BatchNorm1d(3, track_running_stats=False),
        switched_off(3),
        without_statistics(3),
    ],
)
def test_a_model_without_running_statistics_is_refused(model):
    with pytest.raises(ValueError, match="0 layers"):
        tg.population_statistics(model, [tg.ones(2, 3)])


@pytest.mark.parametrize("kind", [Frozen, switched_off])
def test_a_layer_that_does_not_learn_its_statistics_keeps_them(kind):
    model = nn.Sequential(kind(2), nn.BatchNorm1d(2))
    model[0].running_mean.fill_(5.0)
    model[0].running_var.fill_(4.0)
    x = tg.tensor([[5.0, 7.0], [9.0, 7.0]])
    tg.population_statistics(model.train(), [x])
    assert model[0].running_mean.tolist() == [5.0, 5.0]
    assert model[0].running_var.tolist() == [4.0, 4.0]
    assert_close(model[1].running_mean, np.array([1.0, 1.0], "f4"), 1e-5)  # of (0, 1) and (2, 1)
    assert_close(model[1].running_var, np.array([2.0, 0.0], "f4"), 1e-5)


class Rows:
    """A dataset of rows and labels."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], tg.tensor(np.asarray(index))


WAYS = {  # to give the batches of x: 5, 5 and 2 rows
    "generator": lambda parts: (part for part in parts),
    "tuples": lambda parts: [(part, "labels") for part in parts],
    "lists": lambda parts: ([part, None] for part in parts),
    "DataLoader": lambda parts: DataLoader(Rows(tg.cat(parts)), batch_size=5),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_batches_can_come_in_any_way(way):
    parts = batches_of((5, 5, 2))
    expected = checks.Chain("abcdef").double()
    found = checks.Chain("abcdef").double()
    found.load_state_dict(state(expected))
    tg.population_statistics(expected, parts)
    tg.population_statistics(found, way(parts))
    checks.assert_unchanged(found, state(expected))


def test_a_layer_that_the_first_batch_does_not_reach_is_found_later():
    """A model may do different things with different batches."""

    class Fork(nn.Module):
        def __init__(self):
            self.pairs, self.others = nn.BatchNorm1d(1), nn.BatchNorm1d(1)

        def forward(self, x):
            return (self.pairs if len(x) == 2 else self.others)(x)

    model = Fork().double()
    tg.population_statistics(model, [checks.column(b) for b in ([0, 4], [1, 2, 6])])
    assert_close(model.pairs.running_mean, [2])
    assert_close(model.others.running_mean, [3])


def test_a_layer_that_is_called_twice_averages_over_both():
    """On x and on x + 10, with means 2 and 12 and variance 8: all four batches weigh the same."""

    class Twice(nn.Module):
        def __init__(self):
            self.bn = nn.BatchNorm1d(1)

        def forward(self, x):
            return self.bn(x) + self.bn(x + 10)

    model = Twice().double()
    tg.population_statistics(model, [checks.column([0, 4]), checks.column([2, 2])])
    assert_close(model.bn.running_mean, [7])
    assert_close(model.bn.running_var, [4])


def test_an_empty_batch_has_no_weight():
    layer = nn.BatchNorm1d(1).double()
    empty = tg.zeros(0, 1, dtype=tg.float64)
    tg.population_statistics(layer, [empty, checks.column([0, 4]), empty])
    assert_close(layer.running_mean, [2])
    assert_close(layer.running_var, [8])


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


def test_it_repairs_the_collapse_in_eval_of_a_short_training():
    """After eight steps the running averages still hold 0.9⁸ = 43 % of what they started from."""
    x = (20 + 0.5 * checks.normal(240, 5)).astype(np.float32)
    labels, x = tg.tensor((x.sum(1) > 100).astype(int)), tg.tensor(x)
    model = nn.Sequential(
        nn.Linear(5, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 16),
        nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2),
    )  # fmt: skip
    optimizer = tg.optim.SGD(model.parameters(), lr=1.0)

    def accuracy(scores):
        return (scores.data.argmax(1) == labels.data).mean()

    for _ in range(8):
        optimizer.zero_grad()
        scores = model(x)
        nn.CrossEntropyLoss()(scores, labels).backward()
        optimizer.step()
    assert accuracy(scores) > 0.9
    assert accuracy(model.eval()(x)) < 0.6
    tg.population_statistics(model, [x[i : i + 60] for i in range(0, 240, 60)])
    assert accuracy(model(x)) > 0.9


# --- folding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", checks.FOLDABLE.keys())
def test_folding_leaves_the_output_and_the_original_as_they_were(case, dtype):
    checks.check_folding_leaves_the_output_as_it_was(case, dtype)


class Block(nn.Sequential):
    """A Sequential of one's own, with options of its own."""

    def __init__(self, features):
        super().__init__(nn.Linear(features, features), nn.BatchNorm1d(features), nn.ReLU())


class Fixed(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 4), nn.BatchNorm1d(4))


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Backwards(nn.Sequential):
    def forward(self, x):
        for module in reversed(list(self.children())):
            x = module(x)
        return x


class Rectified(nn.Linear):
    def forward(self, x):
        return super().forward(x).relu()


class Doubled(nn.BatchNorm1d):
    def forward(self, x):
        return 2 * super().forward(x)


def hooked(place):
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    model[place].register_forward_hook(lambda module, args, output: 2 * output)
    return model


class Listing(nn.Module):
    def __init__(self, model):
        self.blocks = nn.ModuleList([model])

    def forward(self, x):
        return self.blocks[0](x)


def with_a_list():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    return Listing(model)


def tied():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4))
    model[3].weight = model[0].weight
    return model


FOLDED_OR_REFUSED = {
    "a Sequential with options of its own": lambda: nn.Sequential(Block(4), nn.Linear(4, 4)),
    "a Sequential without options": Fixed,
    "a Sequential that does more": lambda: Residual(nn.Linear(4, 4), nn.BatchNorm1d(4)),
    "a Sequential that goes backwards": lambda: Backwards(nn.Linear(4, 4), nn.BatchNorm1d(4)),
    "a Linear that does more": lambda: nn.Sequential(Rectified(4, 4), nn.BatchNorm1d(4)),
    "a batch normalization that does more": lambda: nn.Sequential(nn.Linear(4, 4), Doubled(4)),
    "a hook after the Linear": lambda: hooked(0),
    "a hook after the batch normalization": lambda: hooked(1),
    "a list of modules among them": with_a_list,
    "eps of NumPy's": lambda: nn.Sequential(
        nn.Linear(4, 4), nn.BatchNorm1d(4, eps=np.float64(0.1))
    ),
    "tied weights": tied,
}


@pytest.mark.parametrize("build", FOLDED_OR_REFUSED.values(), ids=FOLDED_OR_REFUSED.keys())
def test_what_is_unusual_is_folded_or_refused_but_never_wrong(build):
    model, x = known(build().double()), batches_of(features=4)[0]
    try:
        folded = tg.fold_batch_norm(model)
    except ValueError as refusal:
        assert "cannot be folded" in str(refusal)  # noqa: PT017
    else:
        assert norms(folded) == []
        assert_close(folded(x), model(x))


class Transposed(nn.Module):
    """Has a weight as a Linear has, but is none."""

    def __init__(self):
        self.weight, self.bias = nn.Parameter(tg.randn(4, 4)), None

    def forward(self, x):
        return x @ self.weight


class Custom(nn.Module):
    """What its forward does, no one can see from outside."""

    def __init__(self):
        self.linear, self.bn = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x):
        return self.bn(self.linear(x).relu())


def in_training(*layers):
    """All in eval mode but the last."""
    model = nn.Sequential(*layers).eval()
    layers[-1].train()
    return model


def twice(*layers):
    return nn.Sequential(*layers, nn.ReLU(), *layers)


NOT_FOLDABLE = {  # the model, and the name and the reason that are to be given
    "in training mode": (
        lambda: in_training(nn.Linear(4, 4), nn.BatchNorm1d(4)),
        r"^1 cannot.*BatchNorm1d\(4.*training mode",
    ),
    "keeps no statistics": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)),
        r"^1 cannot.*BatchNorm1d\(4.*no statistics",
    ),
    "comes first": (
        lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4)),
        r"^0 cannot.*BatchNorm1d\(4.*follows no Linear or Conv2d",
    ),
    "follows another": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4)),
        r"^2 cannot.*follows no Linear or Conv2d",
    ),
    "after a ReLU, nested": (
        lambda: nn.Sequential(
            nn.Flatten(), nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4))
        ),
        r"^1\.2 cannot.*follows no Linear or Conv2d",
    ),
    "after a dropout": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.BatchNorm1d(4)),
        r"^2 cannot.*follows no Linear or Conv2d",
    ),
    "in a custom module": (
        lambda: nn.Sequential(Custom()),
        r"^0\.bn cannot.*follows no Linear or Conv2d",
    ),
    "after a custom layer with a weight": (
        lambda: nn.Sequential(Transposed(), nn.BatchNorm1d(4)),
        r"^1 cannot.*follows no Linear or Conv2d",
    ),
    "of other channels than the layer before": (
        lambda: nn.Sequential(nn.Linear(4, 1), nn.BatchNorm1d(5)),
        r"^1 cannot.*BatchNorm1d\(5",
    ),
    "used twice": (
        lambda: twice(nn.Linear(4, 4), nn.BatchNorm1d(4)),
        r"^1 cannot.*used more than once",
    ),
    "the layer before is used twice": (
        lambda: nn.Sequential(*(linear := [nn.Linear(4, 4)]), nn.BatchNorm1d(4), *linear),
        r"^1 cannot.*used more than once",
    ),
    "its block is used twice": (
        lambda: twice(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))),
        r"^0\.1 cannot.*used more than once",
    ),
    "in a list": (
        lambda: nn.ModuleList([nn.Linear(4, 4), nn.BatchNorm1d(4)]),
        r"^1 cannot.*follows no Linear or Conv2d",
    ),
    "does more": (lambda: nn.Sequential(nn.Linear(4, 4), Doubled(4)), "^1 cannot.*of its own"),
    "has a hook": (lambda: hooked(1), "^1 cannot.*forward hook"),
    "follows a hook": (lambda: hooked(0), "^1 cannot.*forward hook"),
    "is the model": (lambda: nn.BatchNorm1d(4), r"cannot.*BatchNorm1d\(4"),
}


@pytest.mark.parametrize("case", NOT_FOLDABLE.keys())
def test_what_cannot_be_folded_is_refused_by_name(case):
    build, named = NOT_FOLDABLE[case]
    model = build()
    model = model if case == "in training mode" else model.eval()
    before = state(model)
    with pytest.raises(ValueError, match=named):
        tg.fold_batch_norm(model)
    checks.assert_unchanged(model, before)


def test_a_model_in_training_mode_is_refused_whole():
    with pytest.raises(ValueError, match=r"^1 cannot.*training mode.*eval"):
        tg.fold_batch_norm(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))


def test_a_model_without_batch_normalization_is_copied():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    folded = tg.fold_batch_norm(model)
    assert repr(folded) == repr(model)
    assert folded is not model
    checks.assert_unchanged(folded, state(model))


def test_a_folded_model_can_be_folded_again_saved_and_loaded():
    layers, shape = checks.FOLDABLE["several, nested"]
    model = known(nn.Sequential(*layers()))
    folded = tg.fold_batch_norm(model)
    again = tg.fold_batch_norm(folded)
    checks.assert_unchanged(again, state(folded))
    other = tg.fold_batch_norm(known(nn.Sequential(*layers())))
    other.load_state_dict(folded.state_dict())
    x = tg.tensor(checks.normal(3, *shape).astype(np.float32))
    np.testing.assert_array_equal(other(x).data, folded(x).data)


def test_what_cannot_be_folded_is_named_by_its_whole_path():
    inner = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(2))
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), inner)).eval()
    with pytest.raises(ValueError, match=r"^0\.1\.1 cannot be folded: BatchNorm1d"):
        tg.fold_batch_norm(model)


@pytest.mark.parametrize("features", [5, 7])
def test_a_linear_on_more_axes_is_folded_for_two_axes_only(features):
    """(N, L, C): the Linear works on C, batch normalization on L, which may be as long."""
    model = nn.Sequential(nn.Linear(features, 5), nn.BatchNorm1d(5))
    for _ in range(3):
        model(tg.randn(6, 5, features))
    folded = tg.fold_batch_norm(model.eval())
    with pytest.raises(ValueError, match=r"takes \(N, C\), not \(6, 5, 5\)"):
        folded(tg.randn(6, 5, features))
    x = tg.randn(6, features)
    assert_close(folded(x), model(x), 1e-5)


def test_folding_keeps_the_dtype_and_what_is_frozen():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, eps=np.float64(0.1))).eval()
    folded = tg.fold_batch_norm(model)
    assert {p.dtype for p in folded.parameters()} == {tg.float32}
    assert all(p.requires_grad for p in folded.parameters())
    model[0].weight.requires_grad = model[0].bias.requires_grad = False
    assert not any(p.requires_grad for p in tg.fold_batch_norm(model).parameters())


def stages():
    return nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2), nn.BatchNorm1d(2)


def test_a_layer_whose_bias_or_statistics_another_uses_too_is_not_folded():
    first, norm, second, other = stages()
    second.bias = first.bias
    with pytest.raises(ValueError, match="used more than once"):
        tg.fold_batch_norm(nn.Sequential(first, norm, second, other).eval())
    first, norm, second, other = stages()
    with pytest.raises(ValueError, match="used more than once"):
        tg.fold_batch_norm(nn.Sequential(first, norm, second, norm).eval())
    other.running_var = norm.running_var
    with pytest.raises(ValueError, match="used more than once"):
        tg.fold_batch_norm(nn.Sequential(first, norm, second, other).eval())


def test_the_population_is_seen_without_recording_and_watched_no_longer_than_that():
    seen = []

    class Watched(nn.Module):
        def forward(self, x):
            seen.append(tg.is_grad_enabled())
            return x

    model = nn.Sequential(Watched(), nn.BatchNorm1d(1))
    tg.population_statistics(model, [tg.tensor([[1.0], [2.0]])])
    assert seen
    assert not any(seen)


def test_batches_without_a_value_have_no_part_in_the_population():
    model = nn.Sequential(nn.BatchNorm1d(1))
    empty, batch = tg.zeros(0, 1), tg.tensor([[1.0], [3.0]])
    tg.population_statistics(model, [empty, batch, empty])
    assert (model[0].running_mean.item(), model[0].running_var.item()) == (2.0, 2.0)
    model = nn.Sequential(nn.BatchNorm1d(1))
    tg.population_statistics(model, [empty, empty])
    assert (model[0].running_mean.item(), model[0].running_var.item()) == (0.0, 1.0)


def test_a_layer_that_is_called_again_later_comes_in_the_order_of_its_first_call():
    """a, b, a: a's statistics are taken while b is as at the start, and b's while a is done."""
    a, b = (nn.BatchNorm1d(1, affine=False, eps=0.0) for _ in "ab")
    x = np.array([[1.0], [2.0], [6.0]], np.float32)
    tg.population_statistics(nn.Sequential(a, b, a), [tg.tensor(x)])

    def of(values):
        return np.array([values.mean(), values.var(ddof=1)])

    normal_x = (x - x.mean()) / x.std()
    mean, var = (of(x) + of(normal_x)) / 2  # a is called twice, on 3 values each time; b is 1·x + 0
    assert_close([a.running_mean.item(), a.running_var.item()], np.array([mean, var], float), 1e-5)
    after_a = (x - mean) / np.sqrt(var)
    assert_close([b.running_mean.item(), b.running_var.item()], of(after_a).astype(float), 1e-5)


def test_a_layer_of_another_sequential_is_not_the_one_before():
    model = nn.Sequential(
        nn.Sequential(nn.Linear(2, 3)), nn.ReLU(), nn.Sequential(nn.BatchNorm1d(3))
    )
    with pytest.raises(ValueError, match=r"2\.0 cannot be folded.*follows no Linear"):
        tg.fold_batch_norm(model.eval())
