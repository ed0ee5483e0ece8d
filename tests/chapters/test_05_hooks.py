"""[5] register_forward_hook: the one way to watch a module's calls, with PyTorch's meaning.

A scenario runs under both libraries and returns what it has seen, which must be the same.
"""

import copy

import numpy as np
import pytest
from oracle import normal

import tinygrad_bn as tg
from tinygrad_bn import nn


def watched(m):
    """A small model, its input, and a list in which hooks can note what they see."""
    model = m.nn.Sequential(m.nn.Linear(2, 3), m.nn.ReLU(), m.nn.Linear(3, 1))
    return model, m.ones(4, 2), []


def hooks_run_in_the_order_in_which_they_were_registered(m):
    model, x, seen = watched(m)
    for number in range(3):
        model.register_forward_hook(lambda *_, number=number: seen.append(number))
    model(x)
    return seen


def a_hook_gets_the_module_its_arguments_as_a_tuple_and_its_output(m):
    model, x, seen = watched(m)
    layer = model[0]

    def hook(*arguments):
        module, args, output = arguments
        seen.extend([module is layer, type(args) is tuple, len(args), args[0] is x])
        seen.append(tuple(output.shape))

    layer.register_forward_hook(hook)
    model(x)
    return seen


def inner_modules_are_seen_before_the_outer_one_is_done(m):
    model, x, seen = watched(m)
    for name, module in [("outer", model), *((str(i), child) for i, child in enumerate(model))]:
        module.register_forward_hook(lambda *_, name=name: seen.append(name))
    model(x)
    return seen


def what_a_hook_returns_replaces_the_output(m):
    _, x, seen = watched(m)
    layer = m.nn.Identity()
    layer.register_forward_hook(lambda module, args, output: output * 2)
    layer.register_forward_hook(lambda module, args, output: seen.append(output.tolist()))
    layer.register_forward_hook(lambda module, args, output: output + 1)
    return layer(x[0]).tolist(), seen


def the_next_module_gets_the_replacement(m):
    model = m.nn.Sequential(m.nn.Identity(), m.nn.ReLU())
    model[0].register_forward_hook(lambda module, args, output: -output)
    return model(m.tensor([1.0, -2.0])).tolist()


def none_keeps_the_output_and_other_empty_values_do_not(m):
    layer = m.nn.Identity()
    layer.register_forward_hook(lambda module, args, output: None)
    kept = layer(m.ones(1)).tolist()
    layer.register_forward_hook(lambda module, args, output: 0)
    return kept, layer(m.ones(1))


def a_removed_hook_is_not_called_any_more(m):
    model, x, seen = watched(m)
    handles = [
        model.register_forward_hook(lambda *_, number=number: seen.append(number))
        for number in range(3)
    ]
    model(x)
    handles[1].remove()
    model(x)
    handles[1].remove()  # again: nothing happens
    handles[0].remove()
    model(x)
    return seen


def a_hook_may_remove_itself_while_it_runs(m):
    model, x, seen = watched(m)

    def once(*_):
        seen.append("once")
        handle.remove()

    handle = model.register_forward_hook(once)
    model.register_forward_hook(lambda *_: seen.append("always"))
    model(x)
    model(x)
    return seen


def one_function_registered_twice_runs_twice_and_is_removed_once(m):
    model, x, seen = watched(m)

    def hook(*_):
        seen.append(1)

    model.register_forward_hook(hook)
    model.register_forward_hook(hook).remove()
    model(x)
    return seen


def a_shared_module_is_seen_at_each_of_its_calls(m):
    layer, seen = m.nn.Identity(), []
    model = m.nn.Sequential(layer, m.nn.ReLU(), layer)
    layer.register_forward_hook(lambda *_: seen.append(len(seen)))
    model(m.ones(1))
    return seen


def forward_called_by_itself_is_not_seen(m):
    model, x, seen = watched(m)
    model.register_forward_hook(lambda *_: seen.append(1))
    model.forward(x)
    return seen


def hooks_are_called_in_training_and_in_evaluation_with_and_without_recording(m):
    model, x, seen = watched(m)
    model.register_forward_hook(lambda module, *_: seen.append(module.training))
    model(x)
    model.eval()(x)
    with m.no_grad():
        model(x)
    return seen


def hooks_are_neither_state_nor_parameters_nor_children(m):
    model, _, _ = watched(m)
    before = [*model.state_dict()], len([*model.parameters()]), len([*model.modules()]), repr(model)
    model.register_forward_hook(lambda *_: None)
    after = [*model.state_dict()], len([*model.parameters()]), len([*model.modules()]), repr(model)
    return before == after


def a_deep_copy_has_hooks_of_its_own(m):
    model, x, seen = watched(m)
    handle = model.register_forward_hook(lambda *_: seen.append("first"))
    twin = copy.deepcopy(model)
    twin(x)
    handle.remove()
    model(x)
    twin(x)
    twin.register_forward_hook(lambda *_: seen.append("second"))
    model(x)
    return seen


SCENARIOS = [
    hooks_run_in_the_order_in_which_they_were_registered,
    a_hook_gets_the_module_its_arguments_as_a_tuple_and_its_output,
    inner_modules_are_seen_before_the_outer_one_is_done,
    what_a_hook_returns_replaces_the_output,
    the_next_module_gets_the_replacement,
    none_keeps_the_output_and_other_empty_values_do_not,
    a_removed_hook_is_not_called_any_more,
    a_hook_may_remove_itself_while_it_runs,
    one_function_registered_twice_runs_twice_and_is_removed_once,
    a_shared_module_is_seen_at_each_of_its_calls,
    forward_called_by_itself_is_not_seen,
    hooks_are_called_in_training_and_in_evaluation_with_and_without_recording,
    hooks_are_neither_state_nor_parameters_nor_children,
    a_deep_copy_has_hooks_of_its_own,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda function: function.__name__)
def test_a_hook_is_what_it_is_in_pytorch(torch, scenario):
    assert scenario(tg) == scenario(torch)


# --- the same for where PyTorch is not installed ----------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (hooks_run_in_the_order_in_which_they_were_registered, [0, 1, 2]),
        (inner_modules_are_seen_before_the_outer_one_is_done, ["0", "1", "2", "outer"]),
        (what_a_hook_returns_replaces_the_output, ([3, 3], [[2, 2]])),
        (the_next_module_gets_the_replacement, [0, 2]),
        (a_removed_hook_is_not_called_any_more, [0, 1, 2, 0, 2, 2]),
        (a_hook_may_remove_itself_while_it_runs, ["once", "always", "always"]),
        (a_shared_module_is_seen_at_each_of_its_calls, [0, 1]),
        (forward_called_by_itself_is_not_seen, []),
        (a_deep_copy_has_hooks_of_its_own, ["first", "first"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_hooks_see_by_hand(scenario, expected):
    assert scenario(tg) == expected


def test_gradients_flow_through_a_replacement():
    layer = nn.Linear(2, 1).double()
    layer.register_forward_hook(lambda module, args, output: output * 3)
    x = normal(4, 2)
    layer(tg.tensor(x)).sum().backward()
    np.testing.assert_allclose(layer.weight.grad, 3 * x.sum(0, keepdims=True))


def test_an_error_in_a_hook_reaches_the_caller_and_the_module_works_on():
    layer = nn.Identity()

    def hook(*_):
        raise LookupError("of the hook")

    handle = layer.register_forward_hook(hook)
    with pytest.raises(LookupError, match="of the hook"):
        layer(tg.ones(1))
    handle.remove()
    assert layer(tg.ones(1)).tolist() == [1]


def test_a_hook_sees_activations_as_one_uses_it():
    """The usual purpose: the mean and deviation of every layer's output."""
    model, seen = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU()), {}
    handles = [
        child.register_forward_hook(
            lambda module, args, output: seen.update({type(module).__name__: output.detach()})
        )
        for child in model
    ]
    y = model(tg.randn(64, 3))
    assert list(seen) == ["Linear", "BatchNorm1d", "ReLU"]
    np.testing.assert_allclose(seen["BatchNorm1d"].mean(0), np.zeros(4), atol=1e-6)
    np.testing.assert_array_equal(seen["ReLU"], y.detach())
    for handle in handles:
        handle.remove()
