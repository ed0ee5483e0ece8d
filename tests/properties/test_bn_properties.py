"""What is exactly true of batch normalization, and of its gradient in every form.

Most of what is checked here stands in bn_checks.py, to be shown to the mutants as well.
"""

import bn_checks as checks
import numpy as np
import pytest
from bn_checks import F, inputs_for
from oracle import array, assert_all_close, assert_close, leaf, normal

import tinygrad_bn as tg
from tinygrad_bn import nn

# Ranks 2 to 6; batches of 2 to 128 values, odd and even; few channels and many; r = 1, 2, 4, 64.
SHAPES = [
    (5, 3), (2, 3), (64, 2), (6, 1), (3, 70), (4, 3, 5), (1, 2, 3), (32, 3, 2), (3, 4, 2, 5),
    (1, 2, 3, 3), (2, 3, 2, 2, 3), (2, 2, 1, 2, 1, 2),
]  # fmt: skip
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
affine_or_not = pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
layouts = pytest.mark.parametrize("layout", [(4,), (2, 2), (1, 4), (2, 1, 2), (1, 2, 2)], ids=str)
eps = pytest.mark.parametrize("eps", [0.0, 1e-5, 0.5])


# --- Algorithm 1 and its gradient ---------------------------------------------------------------


@layouts
def test_one_batch_by_hand_in_every_layout(layout):
    checks.check_one_batch_by_hand(layout)


@affine_or_not
@shapes
def test_the_fused_form_is_the_composed_one_to_the_second_derivative(shape, affine):
    checks.check_fused_is_composed(shape, affine)


@affine_or_not
@pytest.mark.parametrize("shape", [(3, 2), (2, 2, 2), (2, 2, 1, 2)], ids=str)
def test_first_and_second_derivatives_are_difference_quotients(shape, affine):
    checks.check_derivatives_are_difference_quotients(shape, affine)


@eps
@pytest.mark.parametrize("rows", [4, 6, 128])
def test_the_gradient_is_the_same_in_all_its_forms(rows, eps):
    checks.check_all_forms_of_the_gradient_agree(rows, eps)


@pytest.mark.parametrize("form", checks.GRADIENTS.values(), ids=checks.GRADIENTS.keys())
@pytest.mark.parametrize("rows", [4, 6, 128])
def test_the_gradient_is_pytorchs_in_each_of_its_forms(torch, form, rows):
    batch = g, *arrays, eps = checks.batch_for_gradients(rows, eps=0.5)
    x, gamma, beta = (torch.tensor(a, requires_grad=True) for a in arrays)
    y = torch.nn.functional.batch_norm(x, None, None, gamma, beta, True, eps=eps)
    y.backward(torch.tensor(g))
    assert_all_close(form(*batch), [t.grad.numpy() for t in (x, gamma, beta)])


def test_one_tensor_can_be_both_gamma_and_beta():
    """Its gradient is then the sum of the two."""
    x, gamma, beta = inputs_for((4, 2))
    g = tg.tensor(normal(4, 2, seed=9))
    d_gamma, d_beta = tg.grad(checks.fused(x, gamma, beta), (gamma, beta), g)
    both = tg.grad(checks.fused(x, gamma, gamma), gamma, g)[0]
    assert_close(both, d_gamma + d_beta)


@shapes
def test_gamma_and_beta_can_make_it_the_identity(shape):
    checks.check_gamma_and_beta_can_make_it_the_identity(shape)


@pytest.mark.parametrize("locations", [(4,), (2, 3), (2, 1, 3)], ids=str)
def test_a_feature_map_is_one_feature_wherever_its_values_stand(locations):
    """Shuffled among all images and locations, each value becomes what it was in its place."""
    x = normal(5, 3, *locations)
    order = np.random.default_rng(1).permutation(x[:, 0].size)

    def shuffled(x):
        values = np.moveaxis(x, 1, 0).reshape(3, -1)[:, order]
        return checks.spread(values, 5, *locations)

    y = checks.fused(tg.tensor(x), *inputs_for((1, 3))[1:]).data
    z = checks.fused(tg.tensor(shuffled(x)), *inputs_for((1, 3))[1:]).data
    assert_close(z, shuffled(y))


# --- exact properties ---------------------------------------------------------------------------


@eps
@shapes
def test_the_sum_of_x_hat_is_0_and_its_mean_square_is_short_of_1_by_epsilons_part(shape, eps):
    checks.check_the_moments_of_x_hat(shape, eps)


@eps
@shapes
def test_the_gradient_sums_to_0_and_keeps_epsilons_part_along_x_hat(shape, eps):
    checks.check_what_is_left_of_the_gradient_along_one_and_along_x_hat(shape, eps)


@pytest.mark.parametrize("a", [(1, 1, 1), (1e-2, 3, 50), (1e-5, 1e5, 0.7)], ids=str)
@pytest.mark.parametrize("kind", ["linear", "conv2d"])
def test_the_scale_of_the_weights_before_does_not_matter(kind, a):
    checks.check_the_scale_of_the_weights_before_does_not_matter(kind, a)


@pytest.mark.parametrize("kind", ["linear", "conv2d"])
def test_a_bias_before_it_has_zero_gradient(kind):
    checks.check_a_bias_before_it_has_zero_gradient(kind)


@pytest.mark.parametrize("memory", ["C", "F"])
@pytest.mark.parametrize("value", [1e7, 1e7 / 3, 0.1, 1 / 3, -7.3, 1e-30, 0.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 3), (7, 3), (100, 3), (5, 3, 9), (10, 3, 7, 3)], ids=str)
def test_a_constant_channel_becomes_exactly_beta(shape, dtype, value, memory):
    """Counts that are no powers of two, so that the mean of a sum would be rounded."""
    checks.check_a_constant_channel_becomes_exactly_beta(shape, dtype, value, memory)


@pytest.mark.parametrize(
    "shape", [(64, 3), (1000, 3), (101, 3, 5), (20, 3, 7, 9), (16, 3, 8, 8), (300, 70)], ids=str
)
def test_a_large_offset_leaves_unit_deviation_in_float32(shape):
    checks.check_a_large_offset_leaves_unit_deviation(shape)


HARD = {
    "a constant channel": np.full((7, 3), 1e7 / 3, np.float32),
    "a large offset": (1e4 + 0.1 * normal(64, 3)).astype(np.float32),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("x", HARD.values(), ids=HARD.keys())
def test_the_gradient_of_hard_float32_values_is_that_of_float64(x, create_graph):
    """Also if it is to be differentiated again."""

    def gradient(dtype):
        t, g = leaf(x.astype(dtype)), tg.tensor(normal(*x.shape, seed=9).astype(dtype))
        return tg.grad(checks.fused(t), t, g, create_graph=create_graph)[0].data.astype(float)

    assert_close(gradient("float32"), gradient("float64"), 1e-3)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)], ids=str)
def test_one_value_per_channel_is_refused_by_name_before_anything_moves(shape, momentum):
    checks.check_one_value_per_channel_is_refused(shape, momentum)


# --- the running statistics ---------------------------------------------------------------------


@pytest.mark.parametrize("momentum", checks.RUNNING.keys())
def test_the_running_statistics_follow_the_table(momentum):
    checks.check_the_running_statistics_follow_the_table(momentum)


def test_the_unbiased_variance_is_stored_and_the_biased_one_used():
    checks.check_the_unbiased_variance_is_stored_and_the_biased_one_used()


def test_no_grad_does_not_stop_the_statistics_and_eval_does():
    checks.check_no_grad_does_not_stop_the_statistics_and_eval_does()


@pytest.mark.parametrize(
    ("layers", "rows", "expected"),
    [(20, 64, 0.8543), (1, 2, 0.7071), (4, 3, 0.4444), (3, 5, 0.7155)],
)
def test_stacked_layers_shrink_in_eval(layers, rows, expected):
    checks.check_stacked_layers_shrink_in_eval(layers, rows, expected)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_an_empty_batch_does_not_count_in_the_statistics(momentum):
    """Or the cumulative average would be half of what the layer started from."""
    layers = [nn.BatchNorm1d(1, momentum=momentum).double() for _ in range(2)]
    layers[0](tg.zeros(0, 1, dtype=tg.float64))
    for layer in layers:
        layer(checks.column([0, 4]))
    found, expected = ([layer.running_mean, layer.running_var] for layer in layers)
    assert_all_close(found, expected)


# --- inference ----------------------------------------------------------------------------------


def test_inference_by_hand():
    checks.check_inference_by_hand()


def test_inference_depends_on_the_sample_alone():
    checks.check_inference_depends_on_the_sample_alone()


def test_in_training_a_sample_depends_on_the_others_in_its_batch():
    """What inference is free of; so the test before this one could fail."""
    x = leaf(normal(4, 2))
    (dx,) = tg.grad(checks.fused(x)[0].sum(), x)
    assert (np.abs(dx.data[1:]) > 1e-3).all()


@affine_or_not
@shapes
def test_the_gradient_of_inference_is_that_of_a_fixed_affine_map(shape, affine):
    checks.check_the_gradient_of_inference(shape, affine)


@affine_or_not
@shapes
def test_inference_and_its_gradient_are_pytorchs(torch, shape, affine):
    tensors, g = inputs_for(shape, affine), normal(*shape, seed=9)
    statistics = normal(shape[1], seed=3), normal(shape[1], seed=4) ** 2
    y = F.batch_norm(tensors[0], *map(tg.tensor, statistics), *tensors[1:], eps=0.1)
    theirs = [torch.tensor(t.data, requires_grad=True) for t in tensors]
    running = map(torch.tensor, statistics)
    expected = torch.nn.functional.batch_norm(theirs[0], *running, *theirs[1:], eps=0.1)
    found = [array(y), *map(array, tg.grad(y, tensors, tg.tensor(g)))]
    gradients = torch.autograd.grad(expected, theirs, torch.tensor(g))
    assert_all_close(found, [t.detach().numpy() for t in (expected, *gradients)])
