"""Would the tests notice? Wrong versions of batch normalization, each of which must fail a check.

Most are mistakes that some framework has shipped. A wrong version is made of the right one, and
takes its place while every check in bn_checks.py runs.
"""

import copy
import sys
from functools import cache

import bn_checks
import numpy as np
import pytest
from bn_checks import norms

import tinygrad_bn as tg
from tinygrad_bn import batchnorm, kernels, nn

CHECKS = bn_checks.checks()
OWNERS = {
    "tg": tg,
    "functional": tg.nn.functional,
    "batchnorm": batchnorm,
    "kernels": kernels,
    "layer": batchnorm.BatchNorm,
}


def put(patch, where, make):
    """Replace the function `where` stands, and wherever else it was imported, by `make` of it."""
    owner, name = where.split(".")
    right = getattr(OWNERS[owner], name)
    wrong = make(right)
    patch.setattr(OWNERS[owner], name, wrong)
    for path, module in list(sys.modules.items()):
        if path.startswith("tinygrad_bn") and getattr(module, name, None) is right:
            patch.setattr(module, name, wrong)


def fails(check):
    try:
        check()
    except (AssertionError, pytest.fail.Exception):
        return True
    return False


@cache
def failed_by(where, make):
    """The names of the checks that a wrong version does not pass."""
    with pytest.MonkeyPatch.context() as patch:
        put(patch, where, make)
        return {name for name, check in CHECKS.items() if fails(check)}


# --- ways to be wrong: where, and what is made of the function that stands there ------------------


def rows_of(x):
    """(N, C, …) as (m, C)."""
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def gradient(d_x):
    """Another ∂x, worked out from g, x̂, s = γ/√(σ² + ε) and 1/√(σ² + ε)."""

    def make(right):
        def wrong(g, x, mean, inv_std, gamma, to_x):
            x_hat = (rows_of(x) - mean) * inv_std
            dx = d_x(rows_of(g), x_hat, gamma * inv_std, inv_std)
            dx = np.moveaxis(dx.reshape(np.moveaxis(x, 1, -1).shape), -1, 1)
            return dx.copy(), *right(g, x, mean, inv_std, gamma, to_x)[1:]

        return wrong

    return "kernels.batch_norm_gradients", make


def bracket(g, x_hat):
    return g - g.mean(0) - x_hat * (g * x_hat).mean(0)


def d_gamma_of_centred(right):
    def wrong(g, x, mean, inv_std, gamma, to_x):
        dx, d_gamma, d_beta = right(g, x, mean, inv_std, gamma, to_x)
        return dx, d_gamma / inv_std, d_beta

    return wrong


def composed_detached(_):
    def wrong(x, weight, bias, eps=1e-5):
        constant, axes = x.detach(), bn_checks.batch_axes(x.shape)
        moments = constant.mean(axes), constant.var(axes, 0)
        return batchnorm.batch_norm_eval(x, *moments, weight, bias, eps)

    return wrong


def output(y):
    """Another y, composed of x, its mean and variance, γ, β and ε; the gradient is that of y."""

    def make(train):
        def wrong(x, weight, bias, eps=1e-5):
            axes = bn_checks.batch_axes(x.shape)
            moments = x.mean(axes, keepdim=True), x.var(axes, 0, keepdim=True)
            gamma = 1.0 if weight is None else batchnorm.per_channel(weight, x.ndim)
            beta = 0.0 if bias is None else batchnorm.per_channel(bias, x.ndim)
            return y(x, *moments, gamma, beta, eps), *train(x, weight, bias, eps)[1:]

        return wrong

    return "batchnorm.batch_norm_train", make


def algorithm_1(x, mean, var, gamma, beta, eps):
    return (x - mean) / (var + eps).sqrt() * gamma + beta


def mean_of_squares(x, mean, _, *rest):
    square = (x * x).mean(bn_checks.batch_axes(x.shape), keepdim=True)
    return algorithm_1(x, mean, (square - mean * mean).clamp(min=0.0), *rest)


def unbiased(x, mean, var, *rest):
    m = x.numel() / x.shape[1]
    return algorithm_1(x, mean, var * (m / (m - 1)), *rest)


def per_location(x, mean, var, *rest):
    return algorithm_1(x, x.mean(0, keepdim=True), x.var(0, 0, keepdim=True), *rest)


def statistics(change):
    """Another mean and variance (biased) to be stored, of m values."""

    def make(train):
        def wrong(x, *rest):
            y, mean, var = train(x, *rest)
            return y, *change(mean, var, x.numel() / x.shape[1])

        return wrong

    return "batchnorm.batch_norm_train", make


def momentum(change):
    """Another momentum than the one given."""

    def make(batch_norm):
        def wrong(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
            return batch_norm(x, mean, var, weight, bias, training, change(momentum), eps)

        return wrong

    return "functional.batch_norm", make


def layer_momentum(change):
    """Another momentum than that of the layer, which has seen n batches."""

    def make(forward):
        def wrong(self, x):
            kept, n = self.momentum, self.num_batches_tracked.item()
            self.momentum = change(kept, n)
            try:
                return forward(self, x)
            finally:
                self.momentum = kept

        return wrong

    return "layer.forward", make


def counted_although_refused(forward):
    def wrong(self, x):
        try:
            return forward(self, x)
        except ValueError:
            self.num_batches_tracked.data += 1
            raise

    return wrong


def inference(y):
    """Another y in inference, with the help of the right function."""
    return "batchnorm.batch_norm_eval", lambda right: lambda *arguments: y(right, *arguments)


def population(*others):
    """Algorithm 2 with other functions in place while it runs."""

    def make(population_statistics):
        def wrong(model, batches):
            with pytest.MonkeyPatch.context() as patch:
                for other in others:
                    put(patch, *other)
                population_statistics(model, batches)

        return wrong

    return "tg.population_statistics", make


def all_layers_at_once(_):
    """Each is fed by the ones before it as they are in training."""

    def wrong(model, batches):
        trial, batches, seen = copy.deepcopy(model).eval(), list(batches), 0
        for bn in norms(trial):
            bn.train().reset_running_stats()
        for x in batches:
            seen += len(x)
            for bn in norms(trial):
                bn.momentum = len(x) / seen
            trial(x)
        model.load_state_dict(trial.state_dict())

    return wrong


def on_the_model_itself(population_statistics):
    def wrong(model, batches):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(copy, "deepcopy", lambda value: value)
            population_statistics(model, batches)

    return wrong


def fold(change):
    """A change after folding: to a layer, which was once `old` and whose weight was scaled by s."""

    def make(fold_batch_norm):
        def wrong(model):
            folded = fold_batch_norm(model)
            for old, new in zip(model.modules(), folded.modules(), strict=True):
                if isinstance(old, nn.Linear | nn.Conv2d):
                    s = (new.weight.data / old.weight.data).reshape(len(new.weight), -1)[:, 0]
                    change(new, old, s)
            return folded

        return wrong

    return "tg.fold_batch_norm", make


def forget_to_scale_the_bias(new, old, s):
    new.bias.data += (1 - s) * (0 if old.bias is None else old.bias.data)


def forget_the_sign(new, old, s):
    new.weight.data = (new.weight.data.T * np.sign(s)).T


def change_the_original(new, old, s):
    old.weight.data = new.weight.data


# --- the mutants, and the least of the checks that must notice them -------------------------------

QUOTIENTS = "derivatives are difference quotients"
FORMS = "all forms of the gradient agree"
PROJECTION = "what is left of the gradient along one and along x hat"
TABLE, AVERAGE = (
    "the running statistics follow the table",
    "the cumulative average follows the table",
)
STORED = "the unbiased variance is stored and the biased one used"
BY_HAND = "one batch by hand"
POPULATION = "population statistics follow the table"
FED = "layers are fed by the ones before as at inference"
FOLDING = "folding leaves the output as it was"

MUTANTS = {
    "zero gradient": (gradient(lambda g, x_hat, s, _: 0 * g), {QUOTIENTS, FORMS}),
    "no variance term": (
        gradient(lambda g, x_hat, s, _: s * (g - g.mean(0))),
        {QUOTIENTS, FORMS, PROJECTION},
    ),
    "no mean term": (
        gradient(lambda g, x_hat, s, _: s * (g - x_hat * (g * x_hat).mean(0))),
        {QUOTIENTS, FORMS, PROJECTION},
    ),
    "no γ/σ": (gradient(lambda g, x_hat, s, _: bracket(g, x_hat)), {QUOTIENTS, FORMS}),
    "×100": (gradient(lambda g, x_hat, s, _: 100 * s * bracket(g, x_hat)), {QUOTIENTS, FORMS}),
    "statistics detached": (
        gradient(lambda g, x_hat, s, _: s * g),
        {QUOTIENTS, FORMS, PROJECTION, "a bias before it has zero gradient"},
    ),
    "γ missing in ∂x only": (
        gradient(lambda g, x_hat, s, inv_std: inv_std * bracket(g, x_hat)),
        {QUOTIENTS, FORMS},
    ),
    "∂γ without 1/σ": (("kernels.batch_norm_gradients", d_gamma_of_centred), {QUOTIENTS, FORMS}),
    "statistics detached in the second derivative": (
        ("batchnorm.batch_norm_composed", composed_detached),
        {QUOTIENTS, "fused is composed"},
    ),
    "y = γx + β": (
        output(lambda x, mean, var, gamma, beta, eps: gamma * x + beta),
        {BY_HAND, "gamma and beta can make it the identity"},
    ),
    "ε outside the root": (
        output(
            lambda x, mean, var, gamma, beta, eps: gamma * (x - mean) / (var.sqrt() + eps) + beta
        ),
        {BY_HAND, "the moments of x hat"},
    ),
    "normalized by the unbiased variance": (output(unbiased), {BY_HAND, STORED}),
    "statistics of each location": (output(per_location), {BY_HAND}),
    "variance as E[x²] − E[x]²": (
        output(mean_of_squares),
        {"a large offset leaves unit deviation"},
    ),
    "mean of a constant rounded": (
        output(algorithm_1),
        {"a constant channel becomes exactly beta"},
    ),
    "biased running variance": (
        statistics(lambda mean, var, m: (mean, var * (m - 1) / m)),
        {TABLE, AVERAGE, STORED, POPULATION, "stacked layers shrink in eval"},
    ),
    "mean scaled by m/(m − 1)": (
        statistics(lambda mean, var, m: (mean * m / (m - 1), var)),
        {TABLE, AVERAGE, POPULATION},
    ),
    "cumulative average inverted": (
        layer_momentum(lambda given, n: n / (n + 1) if given is None else given),
        {AVERAGE},
    ),
    "momentum convention swapped": (momentum(lambda given: 1 - given), {TABLE}),
    "no_grad stops the statistics": (
        momentum(lambda given: given if tg.is_grad_enabled() else 0.0),
        {"no grad does not stop the statistics and eval does"},
    ),
    "a refused batch is counted": (
        ("layer.forward", counted_although_refused),
        {"one value per channel is refused"},
    ),
    "inference with the batch's statistics": (
        inference(lambda f, x, mean, var, *rest: batchnorm.batch_norm_composed(x, *rest)),
        {"inference depends on the sample alone", "the gradient of inference"},
    ),
    "inference without ε": (
        inference(lambda f, x, mean, var, weight, bias, eps: f(x, mean, var, weight, bias, 0.0)),
        {"inference by hand", "the gradient of inference"},
    ),
    "population variance biased": (
        population(statistics(lambda mean, var, m: (mean, var * (m - 1) / m))),
        {POPULATION, FED},
    ),
    "batches weighted one for one": (
        population(layer_momentum(lambda given, n: 1 / (n + 1))),
        {POPULATION, FED},
    ),
    "all layers' statistics at once": (("tg.population_statistics", all_layers_at_once), {FED}),
    "population statistics worked out on the model itself": (
        ("tg.population_statistics", on_the_model_itself),
        {
            "an error midway changes nothing",
            "population statistics set nothing but the statistics",
        },
    ),
    "folded without the bias scaled": (fold(forget_to_scale_the_bias), {FOLDING}),
    "folded without the sign of γ": (fold(forget_the_sign), {FOLDING}),
    "the original is folded, too": (fold(change_the_original), {FOLDING}),
}


def test_the_right_version_passes_every_check():
    assert [name for name, check in CHECKS.items() if fails(check)] == []


RIGHT = {
    "gradient": gradient(lambda g, x_hat, s, _: s * bracket(g, x_hat)),
    "statistics": statistics(lambda mean, var, m: (mean, var)),
    "momentum": momentum(lambda given: given),
    "layer_momentum": layer_momentum(lambda given, n: given),
    "inference": inference(lambda f, *arguments: f(*arguments)),
    "population": population(),
    "fold": fold(lambda new, old, s: None),
}


@pytest.mark.parametrize("way", RIGHT.keys())
def test_a_right_version_in_the_place_of_a_mutant_passes_every_check(way):
    """So it is for what they compute that mutants fail, not for how they are put there."""
    assert failed_by(*RIGHT[way]) == set()


@pytest.mark.parametrize("mutant", MUTANTS.keys())
def test_the_checks_notice(mutant):
    (where, make), noticed_by = MUTANTS[mutant]
    failed = failed_by(where, make)
    assert failed, f"the mutant survives: {mutant}"
    assert noticed_by <= failed, f"not noticed by: {noticed_by - failed}"


def test_every_check_notices_some_mutant():
    """One that never fails would check nothing."""
    noticing = set().union(*(failed_by(*mutant) for mutant, _ in MUTANTS.values()))
    assert noticing == set(CHECKS)
