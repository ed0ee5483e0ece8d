"""SGD: two steps by hand, and PyTorch for every combination of its options."""

import itertools
import math

import numpy as np
import pytest
from oracle import normal

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.optim import SGD


def parameter(value, grad=None, dtype=tg.float64):
    p = tg.tensor(value, dtype=dtype, requires_grad=True)
    p.grad = None if grad is None else tg.tensor(grad, dtype=dtype)
    return p


# From p = 1 with gradients 2 and then 1, at a rate of 0.1, worked out by hand.
BY_HAND = {
    "plain": ({}, 0.8, 0.7),
    "momentum": ({"momentum": 0.9}, 0.8, 0.8 - 0.1 * (1.8 + 1)),
    "momentum, dampening": (  # the first gradient is not dampened
        {"momentum": 0.9, "dampening": 0.5},
        0.8,
        0.8 - 0.1 * (1.8 + 0.5),
    ),
    "nesterov": (
        {"momentum": 0.9, "nesterov": True},
        1 - 0.1 * (2 + 0.9 * 2),
        1 - 0.1 * (2 + 0.9 * 2) - 0.1 * (1 + 0.9 * 2.8),
    ),
    "weight decay": ({"weight_decay": 0.1}, 1 - 0.1 * 2.1, 0.79 - 0.1 * 1.079),
    "weight decay goes into the momentum": (
        {"weight_decay": 0.1, "momentum": 0.5},
        1 - 0.1 * 2.1,
        0.79 - 0.1 * (0.5 * 2.1 + 1.079),
    ),
    "maximize": ({"maximize": True}, 1.2, 1.3),
    "maximize, weight decay": (  # the decay still pulls to 0
        {"maximize": True, "weight_decay": 0.1},
        1 - 0.1 * (-2 + 0.1),
        1.19 - 0.1 * (-1 + 0.119),
    ),
    "a rate of 0": ({"lr": 0.0}, 1, 1),
}


@pytest.mark.parametrize(("options", "first", "second"), BY_HAND.values(), ids=BY_HAND.keys())
def test_two_steps_by_hand(options, first, second):
    p = parameter(1.0)
    opt = SGD([p], **{"lr": 0.1} | options)
    for gradient, expected in ((2.0, first), (1.0, second)):
        p.grad = tg.tensor(gradient, dtype=tg.float64)
        opt.step()
        assert p.item() == pytest.approx(expected, abs=1e-15)
        assert p.grad.item() == gradient  # a step does not change it


COMBINATIONS = [
    {
        "momentum": momentum,
        "dampening": dampening,
        "weight_decay": decay,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    for momentum, dampening, decay, nesterov, maximize in itertools.product(
        (0, 0.9), (0, 0.3), (0, 0.05), (False, True), (False, True)
    )
    if not nesterov or (momentum and not dampening)
]


@pytest.mark.parametrize("options", COMBINATIONS, ids=str)
def test_five_steps_are_pytorchs(torch, options):
    start = [normal(3, 2), normal(4, seed=1)]
    ours, theirs = [parameter(a) for a in start], [torch.tensor(a) for a in start]
    mine, other = SGD(ours, 0.1, **options), torch.optim.SGD(theirs, 0.1, **options)
    for step in range(5):
        for i, (p, t) in enumerate(zip(ours, theirs, strict=True)):
            g = normal(*p.shape, seed=10 * step + i)
            p.grad, t.grad = tg.tensor(g), torch.tensor(g)
        mine.step()
        other.step()
        for p, t in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.data, t.numpy(), rtol=1e-12, atol=1e-12)


def test_groups_with_options_of_their_own_are_pytorchs(torch):
    start = [normal(3, seed=i) for i in range(4)]
    runs = []
    for sgd, make in ((SGD, tg.tensor), (torch.optim.SGD, torch.tensor)):
        ps = [make(a) for a in start]
        opt = sgd(
            [
                {"params": ps[:2], "lr": 0.2, "nesterov": True},
                {"params": ps[2], "momentum": 0, "maximize": True},
            ],
            lr=0.1,
            momentum=0.9,
            weight_decay=0.01,
        )
        for step in range(6):
            if step == 2:
                opt.add_param_group({"params": [ps[3]], "weight_decay": 0, "dampening": 0.2})
            if step == 4:  # a schedule's way in
                opt.param_groups[1]["lr"] = 0.5
            for i, p in enumerate(ps):
                p.grad = make(normal(3, seed=10 * step + i))
            opt.step()
        runs.append([p.numpy() for p in ps])
    for found, expected in zip(*runs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_the_defaults_are_pytorchs():
    (group,) = SGD([parameter(1.0)]).param_groups
    del group["params"]
    assert group == {
        "lr": 1e-3,
        "momentum": 0,
        "dampening": 0,
        "weight_decay": 0,
        "nesterov": False,
        "maximize": False,
    }


def test_a_group_takes_what_it_does_not_say_from_the_defaults():
    p, q, r = parameter(1.0, 1.0), parameter(1.0, 1.0), parameter(1.0, 1.0)
    opt = SGD([{"params": [p]}, {"params": q, "lr": 0.5}], lr=0.1)
    opt.add_param_group({"params": [r], "weight_decay": 1.0})
    opt.step()
    assert [p.item(), q.item(), r.item()] == pytest.approx([0.9, 0.5, 0.8])


def test_parameters_without_a_gradient_are_skipped():
    """Not even their weights decay, and their momentum begins with their first gradient."""
    p, q = parameter(1.0, 1.0), parameter(1.0)
    opt = SGD([p, q], lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.1)
    opt.step()
    assert q.item() == 1
    q.grad = tg.tensor(2.0, dtype=tg.float64)
    opt.step()
    assert q.item() == pytest.approx(1 - 0.1 * 2.1)


def test_momentum_keeps_a_memory_of_its_own():
    """The first gradient becomes the momentum buffer; changing the gradient must not change it."""
    p = parameter([1.0], [2.0])
    opt = SGD([p], lr=0.1, momentum=0.9)
    opt.step()
    p.grad.data[...] = 1.0
    opt.step()
    assert p.item() == pytest.approx(0.8 - 0.1 * (1.8 + 1))


def test_a_step_works_in_place_and_is_not_recorded():
    p = parameter([1.0, 2.0], [1.0, 1.0])
    memory = p.data
    SGD([p], lr=0.5).step()
    assert p.data is memory
    assert memory.tolist() == [0.5, 1.5]
    assert p.is_leaf
    assert p.requires_grad


@pytest.mark.parametrize("number", [float, np.float64])
def test_float32_parameters_stay_float32(number):
    p = parameter([1.0], [1.0], dtype=tg.float32)
    opt = SGD([p], number(0.1), momentum=number(0.9), weight_decay=number(0.01), nesterov=True)
    for _ in range(3):
        opt.step()
    assert p.dtype == p.grad.dtype == tg.float32


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_numbers_of_numpy_give_the_same_bits_as_pythons(options):
    """Beside a float32 array, NumPy's float64 would be calculated with, and kept, in float64."""
    runs = []
    for number in (float, np.float64):
        p = parameter(normal(1000).tolist(), normal(1000, seed=1).tolist(), dtype=tg.float32)
        chosen = {"lr": 0.1, "weight_decay": 0.01} | options
        opt = SGD([p], **{name: number(value) for name, value in chosen.items()})
        for _ in range(3):
            opt.step()
        assert all(v["momentum_buffer"].dtype == tg.float32 for v in opt.state.values())
        runs.append(p.tolist())
    assert runs[0] == runs[1]


def test_a_closure_recomputes_the_loss_even_under_no_grad():
    p = parameter(3.0)
    opt = SGD([p], lr=0.1)
    calls = []

    def closure():
        calls.append(1)
        opt.zero_grad()
        loss = p * p
        loss.backward()
        return loss

    with tg.no_grad():
        loss = opt.step(closure)
    assert loss.item() == 9
    assert p.item() == pytest.approx(3 - 0.1 * 6)
    assert len(calls) == 1
    assert opt.step() is None


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad_forgets_every_gradient(set_to_none):
    p, q, r = parameter(1.0, 1.0), parameter([1.0, 2.0], [3.0, 4.0]), parameter(1.0)
    opt = SGD([{"params": [p]}, {"params": [q, r]}])
    opt.zero_grad(set_to_none=set_to_none)
    found = [None if t.grad is None else t.grad.tolist() for t in (p, q, r)]
    assert found == ([None] * 3 if set_to_none else [0, [0, 0], None])
    q.grad = tg.ones(2, dtype=q.dtype)
    opt.zero_grad()
    assert q.grad is None


def test_sgd_finds_the_minimum_of_a_quadratic():
    """With every option at once, down to where the decay balances the pull."""
    target, p = tg.tensor([1.0, -2.0], dtype=tg.float64), parameter([0.0, 0.0])
    opt = SGD([p], lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.5)
    for _ in range(300):
        opt.zero_grad()
        ((p - target) * (p - target)).sum().backward()
        opt.step()
    np.testing.assert_allclose(p.data, np.array([1.0, -2.0]) * 2 / 2.5, rtol=1e-8)


def test_model_parameters_can_be_given_as_they_come():
    model = nn.Linear(2, 1)
    opt = SGD(model.parameters(), lr=1.0)
    before = model.weight.data.copy()
    model(tg.ones(1, 2)).backward(tg.ones(1, 1))
    opt.step()
    np.testing.assert_allclose(model.weight.data, before - 1)


SHARED = parameter(1.0)


@pytest.mark.parametrize(
    ("make", "error", "named"),
    [
        (lambda: SGD([SHARED], lr=-0.1), ValueError, r"lr.*-0\.1"),
        (lambda: SGD([SHARED], lr=math.nan), ValueError, "lr.*nan"),
        (lambda: SGD([SHARED], momentum=-1), ValueError, "momentum.*-1"),
        (lambda: SGD([SHARED], momentum=math.nan), ValueError, "momentum.*nan"),
        (lambda: SGD([SHARED], weight_decay=-1e-4), ValueError, "weight_decay.*-0.0001"),
        (lambda: SGD([SHARED], dampening=math.nan), ValueError, "dampening.*nan"),
        (lambda: SGD([SHARED], nesterov=True), ValueError, "nesterov.*momentum=0"),
        (
            lambda: SGD([SHARED], momentum=0.9, dampening=0.1, nesterov=True),
            ValueError,
            r"nesterov.*dampening=0\.1",
        ),
        (lambda: SGD([]), ValueError, "empty"),
        (lambda: SGD(nn.ReLU().parameters()), ValueError, "empty"),
        (lambda: SGD(SHARED), TypeError, "takes a list of tensors or groups.*not a Tensor"),
        (lambda: SGD(nn.Linear(1, 1)), TypeError, r"model\.parameters\(\), not a Linear"),
        (lambda: SGD(nn.Sequential(nn.ReLU())), TypeError, "not a Sequential"),
        (lambda: SGD({"params": [SHARED]}), TypeError, "list of tensors or groups.*not a dict"),
        (lambda: SGD([{"params": {SHARED}}]), TypeError, "set has no order"),
        (lambda: SGD([{"params": [SHARED]}, SHARED]), TypeError, "is a dict, not a Tensor"),
        (lambda: SGD([SHARED], lr="0.1"), TypeError, r"lr must be a number, not '0\.1'"),
        (lambda: SGD([SHARED], momentum=None), TypeError, "momentum must be a number, not None"),
        (lambda: SGD([SHARED, 3.0]), TypeError, r"parameter 1.*3\.0"),
        (lambda: SGD(["weight"]), TypeError, "parameter 0.*weight"),
        (lambda: SGD([SHARED, SHARED]), ValueError, "parameter 1"),
        (lambda: SGD([{"params": SHARED}, {"params": [SHARED]}]), ValueError, "parameter 0"),
        (lambda: SGD([SHARED, SHARED * 2]), ValueError, "parameter 1.*leaf"),
        (lambda: SGD([{"params": [SHARED], "speed": 3}]), ValueError, "speed"),
        (lambda: SGD([{"lr": 0.1}]), ValueError, r"needs 'params', beside \['lr'\]"),
        (lambda: SGD([{"params": [SHARED], "lr": -2}]), ValueError, "lr.*-2"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(make, error, named):
    with pytest.raises(error, match=named):
        make()


def test_a_refused_group_leaves_the_optimizer_as_it_was():
    p = parameter(1.0, 1.0)
    opt = SGD([p], lr=0.1)
    for group in ({"params": [p]}, {"params": [parameter(1.0)], "lr": -1}, {"params": [1.0]}):
        with pytest.raises((TypeError, ValueError)):
            opt.add_param_group(group)
    assert len(opt.param_groups) == 1
    opt.step()
    assert p.item() == pytest.approx(0.9)
