"""[8] The base class of optimizers: what is written on PyTorch's runs on ours, unchanged."""

import numpy as np
import pytest
from oracle import assert_close, normal

import tinygrad_bn as tg


def define_adam(optim, no_grad):
    """Adam (Kingma and Ba 2015), written as one writes it on torch.optim.Optimizer."""

    class Adam(optim.Optimizer):
        def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
            super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

        @no_grad()
        def step(self):
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if not state:
                        state.update(step=0, m=p.clone().zero_(), v=p.clone().zero_())
                    state["step"] += 1
                    m, v = state["m"], state["v"]
                    m += (1 - beta1) * (p.grad - m)
                    v += (1 - beta2) * (p.grad * p.grad - v)
                    m_hat = m / (1 - beta1 ** state["step"])
                    v_hat = v / (1 - beta2 ** state["step"])
                    p -= group["lr"] * m_hat / (v_hat.sqrt() + group["eps"])

    return Adam


SHAPES = [(3, 2), (2,), (2, 1)]


def model_loss(m, params, x):
    w, b, u = params
    return (((x @ w + b).tanh() @ u) ** 2).mean()


def trained(m, make, steps=20):
    """The parameters after each step, from one start, on one batch."""
    params = [m.tensor(normal(*s, seed=i), requires_grad=True) for i, s in enumerate(SHAPES)]
    x, optimizer = m.tensor(normal(8, 3, seed=9)), make(params)
    for _ in range(steps):
        optimizer.zero_grad()
        model_loss(m, params, x).backward()
        optimizer.step()
        yield [p.detach().clone() for p in params]


def in_groups(params):
    return [{"params": params[:1], "lr": 0.05}, {"params": params[1:], "betas": (0.5, 0.9)}]


@pytest.mark.parametrize("groups", [list, in_groups], ids=["one group", "two groups"])
def test_an_adam_written_on_the_base_class_is_pytorchs_for_20_steps(torch, groups):
    ours = define_adam(tg.optim, tg.no_grad)
    theirs = define_adam(torch.optim, torch.no_grad)
    runs = [
        trained(tg, lambda params: ours(groups(params), lr=0.02)),
        trained(torch, lambda params: theirs(groups(params), lr=0.02)),
        trained(torch, lambda params: torch.optim.Adam(groups(params), lr=0.02)),
    ]
    for found, same_code, same_method in zip(*runs, strict=True):
        for p, q, r in zip(found, same_code, same_method, strict=True):
            assert_close(p, q, 1e-12)
            assert_close(p, r, 1e-9)  # the same numbers, in another order of operations


def test_the_first_step_of_adam_is_the_learning_rate_by_hand():
    """m/(1 − β₁) = g and v/(1 − β₂) = g², so each number moves by lr·g/(|g| + ε)."""
    Adam = define_adam(tg.optim, tg.no_grad)
    p = tg.tensor([1.0, -2.0, 3.0], dtype=tg.float64, requires_grad=True)
    (p * tg.tensor([5.0, -0.1, 1000.0], dtype=tg.float64)).sum().backward()
    Adam([p], lr=0.5).step()
    np.testing.assert_allclose(p.tolist(), [0.5, -1.5, 2.5], rtol=1e-6)


def test_state_is_a_dictionary_for_each_parameter_made_when_asked_for():
    p, q = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True)
    optimizer = define_adam(tg.optim, tg.no_grad)([p, q])
    assert len(optimizer.state) == 0
    p.grad = tg.ones(2)
    optimizer.step()
    assert list(optimizer.state) == [p]
    assert set(optimizer.state[p]) == {"step", "m", "v"}
    assert optimizer.state[q] == {}


def test_the_momentum_of_sgd_is_a_tensor_of_its_own_in_the_state(torch):
    states = []
    for m in (tg, torch):
        p = m.tensor([1.0, 2.0], requires_grad=True)
        optimizer = m.optim.SGD([p], lr=0.1, momentum=0.5)
        for step in range(3):
            p.grad = m.tensor([1.0, -2.0]) * (step + 1)
            optimizer.step()
        assert list(optimizer.state[p]) == ["momentum_buffer"]
        buffer = optimizer.state[p]["momentum_buffer"]
        assert isinstance(buffer, m.Tensor)
        assert not buffer.requires_grad
        assert not np.shares_memory(buffer.numpy(), p.grad.numpy())
        states.append(buffer.tolist())
    assert states[0] == states[1] == [4.25, -8.5]  # ((1·½ + 2)·½ + 3)


def test_without_momentum_there_is_no_buffer():
    p = tg.ones(2, requires_grad=True)
    p.grad = tg.ones(2)
    optimizer = tg.optim.SGD([p], lr=0.1)
    optimizer.step()
    assert optimizer.state[p].get("momentum_buffer") is None


def test_sgd_is_an_optimizer_and_a_schedule_sets_the_rate_of_any():
    Adam = define_adam(tg.optim, tg.no_grad)
    assert issubclass(tg.optim.SGD, tg.optim.Optimizer)
    optimizer = Adam([tg.ones(1, requires_grad=True)], lr=0.8)
    schedule = tg.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0.4


def test_a_group_takes_the_options_it_does_not_name_from_the_defaults():
    Adam = define_adam(tg.optim, tg.no_grad)
    p, q = tg.ones(1, requires_grad=True), tg.ones(1, requires_grad=True)
    optimizer = Adam([{"params": [p], "lr": 0.5}], eps=1e-3)
    optimizer.add_param_group({"params": q, "betas": (0.5, 0.5)})
    first, second = optimizer.param_groups
    assert (first["lr"], first["eps"], first["betas"]) == (0.5, 1e-3, (0.9, 0.999))
    assert (second["lr"], second["eps"], second["betas"]) == (1e-3, 1e-3, (0.5, 0.5))
    assert (first["params"], second["params"]) == ([p], [q])


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad_is_there_without_being_written(set_to_none):
    p = tg.ones(2, requires_grad=True)
    p.grad = tg.ones(2)
    define_adam(tg.optim, tg.no_grad)([p]).zero_grad(set_to_none)
    assert p.grad is None if set_to_none else p.grad.tolist() == [0, 0]


def test_a_class_without_step_says_so(torch):
    for m in (tg, torch):
        optimizer = m.optim.Optimizer([m.ones(1, requires_grad=True)], {})
        with pytest.raises(NotImplementedError):
            optimizer.step()


@pytest.mark.parametrize(
    ("params", "error", "named"),
    [
        (lambda p: [], ValueError, "empty"),
        (lambda p: p, TypeError, "Tensor|tensor"),
        (lambda p: [3.0], TypeError, "3.0|float"),
        (lambda p: [p * 2], ValueError, "leaf"),
        (lambda p: [p, p], ValueError, "already|duplicate|more than one"),
        (lambda p: [{"params": [p]}, {"params": [p]}], ValueError, "already|more than one"),
    ],
)
def test_wrong_parameters_are_refused_by_the_base_class_for_every_optimizer(params, error, named):
    Adam = define_adam(tg.optim, tg.no_grad)
    with pytest.raises(error, match=named):
        Adam(params(tg.ones(2, requires_grad=True)))


def test_the_options_of_each_group_are_printed_and_not_its_tensors():
    p, q, r = (tg.ones(1, requires_grad=True) for _ in range(3))
    optimizer = tg.optim.Optimizer([{"params": [p, q]}, {"params": r, "lr": 0.5}], {"lr": 0.1})
    assert repr(optimizer) == (
        "Optimizer (\n  group 0, 2 tensors: {'lr': 0.1}\n  group 1, 1 tensors: {'lr': 0.5}\n)"
    )


def test_a_group_that_is_given_is_left_as_it_was():
    """So that it can be given to another optimizer, which has other defaults."""
    given = {"params": [tg.ones(1, requires_grad=True)], "momentum": 0.5}
    before = dict(given)
    for lr in (0.1, 0.2):
        (group,) = tg.optim.SGD([given], lr=lr).param_groups
        assert (group["lr"], group["momentum"]) == (lr, 0.5)
        group["momentum"] = 0.9
    assert given == before


def test_a_group_may_say_from_which_rate_a_schedule_begins(torch):
    """As when a training is taken up again."""
    for m in (tg, torch):
        group = {"params": [m.ones(1, requires_grad=True)], "lr": 0.3, "initial_lr": 0.8}
        schedule = m.optim.lr_scheduler.StepLR(m.optim.SGD([group]), step_size=1, gamma=0.5)
        assert schedule.base_lrs == [0.8]
