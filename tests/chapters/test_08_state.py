"""[8] Optimizers and schedules that are saved, and go on: here, and in PyTorch."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from oracle import assert_close

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.optim import SGD, lr_scheduler

OPTIONS = {
    "plain": {"lr": 0.1},
    "momentum": {"lr": 0.1, "momentum": 0.9},
    "all": {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
}
START = [np.array([1.0, -2.0]), np.array([[0.5], [3.0]])]


def parameters(m):
    return [m.tensor(array, requires_grad=True) for array in START]


def train(m, params, opt, steps, schedule=None):
    """Σ (p³) by gradient descent; the third of the steps leaves the second parameter out."""
    for i in steps:
        opt.zero_grad()
        loss = (params[0] * params[0] * params[0]).sum()
        if i != 2:
            loss = loss + (params[1] * params[1]).sum()
        loss.backward()
        opt.step()
        if schedule is not None:
            schedule.step()


def values(params):
    return [np.array(p.detach().tolist()) for p in params]


def converted(state, m):
    """The same with the tensors of the other library."""
    if isinstance(state, dict):
        return {key: converted(value, m) for key, value in state.items()}
    if isinstance(state, list):
        return [converted(value, m) for value in state]
    return m.tensor(np.array(state.tolist())) if hasattr(state, "tolist") else state


@pytest.mark.parametrize("options", OPTIONS)
def test_an_optimizer_goes_on_as_if_it_had_not_been_interrupted(options):
    whole = parameters(tg)
    opt = SGD(whole, **OPTIONS[options])
    train(tg, whole, opt, range(3))
    state = opt.state_dict()
    twins = [tg.tensor(p.detach().numpy(), requires_grad=True) for p in whole]
    again = SGD(twins, lr=5.0)
    again.load_state_dict(state)
    assert again.param_groups[0].items() >= OPTIONS[options].items()
    train(tg, whole, opt, range(3, 6))
    train(tg, twins, again, range(3, 6))
    for p, twin in zip(whole, twins, strict=True):
        assert_array_equal(p.detach().numpy(), twin.detach().numpy())


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_a_state_goes_from_one_library_to_the_other(torch, options, first):
    a, b = (tg, torch) if first == "ours" else (torch, tg)
    begun, uninterrupted = parameters(a), parameters(torch)
    opt = a.optim.SGD(begun, **OPTIONS[options])
    train(a, begun, opt, range(3))
    reference = torch.optim.SGD(uninterrupted, **OPTIONS[options])
    train(torch, uninterrupted, reference, range(6))
    on = [b.tensor(array, requires_grad=True) for array in values(begun)]
    other = b.optim.SGD(on, lr=3.0)
    other.load_state_dict(converted(opt.state_dict(), b))
    train(b, on, other, range(3, 6))
    for found, expected in zip(values(on), values(uninterrupted), strict=True):
        assert_close(found, expected)


def test_the_layout_is_pytorchs(torch):
    states = []
    for m in (tg, torch):
        params = parameters(m)
        opt = m.optim.SGD([{"params": params[:1], "lr": 0.5}, {"params": params[1:]}], momentum=0.9)
        train(m, params, opt, range(2))
        states.append(opt.state_dict())
    ours, theirs = states
    assert ours.keys() == theirs.keys()
    assert ours["state"].keys() == theirs["state"].keys()
    for i, state in theirs["state"].items():
        assert ours["state"][i].keys() == state.keys()
        assert_close(ours["state"][i]["momentum_buffer"], state["momentum_buffer"])
    for group, expected in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert group.items() <= expected.items()


def test_a_state_is_copied_when_it_is_loaded():
    params = parameters(tg)
    opt = SGD(params, lr=0.1, momentum=0.9)
    train(tg, params, opt, range(2))
    state = opt.state_dict()
    other = SGD(parameters(tg), lr=0.1, momentum=0.9)
    other.load_state_dict(state)
    before = copy.deepcopy(state)
    train(tg, other.param_groups[0]["params"], other, range(2))
    for i in (0, 1):
        was, now = (s["state"][i]["momentum_buffer"].numpy() for s in (before, state))
        assert_array_equal(was, now)
    assert state["param_groups"][0]["params"] == [0, 1]


def test_options_that_are_zero_or_false_are_loaded_too(torch):
    for m in (tg, torch):
        saved = m.optim.SGD(parameters(m), lr=0.1).state_dict()
        other = m.optim.SGD(parameters(m), lr=0.2, momentum=0.9, nesterov=True, weight_decay=0.1)
        other.load_state_dict(saved)
        group = other.param_groups[0]
        found = [group[name] for name in ("lr", "momentum", "nesterov", "weight_decay")]
        assert found == [0.1, 0, False, 0]


def test_a_momentum_is_loaded_in_the_parameters_dtype():
    p = tg.zeros(2, requires_grad=True)
    opt = SGD([p], momentum=0.9)
    opt.load_state_dict(
        {"state": {0: {"momentum_buffer": np.array([1.0, 2.0])}}, "param_groups": [{"params": [0]}]}
    )
    assert opt.state[p]["momentum_buffer"].dtype == tg.float32
    opt.load_state_dict(
        {"state": {0: {"momentum_buffer": None}}, "param_groups": [{"params": [0]}]}
    )
    p.grad = tg.ones(2)
    opt.step()
    assert opt.state[p]["momentum_buffer"].tolist() == [1.0, 1.0]


def test_a_number_is_remembered_for_a_parameter_of_any_shape():
    """PyTorch's Adam counts its steps in a tensor without axes."""
    p = tg.zeros(2, requires_grad=True)
    opt = SGD([p])
    state = {0: {"step": tg.tensor(3.0), "sum": tg.tensor([1.0, 2.0])}}
    opt.load_state_dict({"state": state, "param_groups": [{"params": [0]}]})
    assert {name: value.tolist() for name, value in opt.state[p].items()} == {
        "step": 3.0,
        "sum": [1.0, 2.0],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["param_groups"].append(s["param_groups"][0]), r"\[2, 2\].*\[2\]"),
        (lambda s: s["param_groups"][0].update(params=[0]), r"\[1\].*\[2\]"),
        (lambda s: s["param_groups"][0].update(betas=(0.9, 0.99)), "betas"),
        (lambda s: s["param_groups"][0].update(lr=-1.0), "lr.*-1"),
        (lambda s: s["state"][1].update(momentum_buffer=np.zeros(3)), r"\(3,\).*\(2, 1\)"),
        (lambda s: s["state"][1].update(momentum_buffer=np.array("x")), "momentum_buffer"),
        (lambda s: s.pop("state"), "SGD: no 'state' in .*param_groups"),
        (lambda s: s.pop("param_groups"), "SGD: no 'param_groups'"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, message):
    params = parameters(tg)
    opt = SGD(params, lr=0.1, momentum=0.9)
    train(tg, params, opt, range(2))
    state = copy.deepcopy(opt.state_dict())
    before = copy.deepcopy(state)
    change(state)
    with pytest.raises((ValueError, RuntimeError), match=message):
        opt.load_state_dict(state)
    after = opt.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for i, values in before["state"].items():
        now = after["state"][i]["momentum_buffer"].numpy()
        assert_array_equal(now, values["momentum_buffer"].numpy())


def test_an_optimizer_of_ones_own_is_saved_likewise():
    class Counting(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"betas": (0.9, 0.99)})

        def step(self):
            for p in self.param_groups[0]["params"]:
                state = self.state[p]
                state["t"] = state.get("t", 0) + 1
                state["m"] = tg.ones(*p.shape)

    params = parameters(tg)
    opt = Counting(params)
    opt.step()
    other = Counting(parameters(tg))
    other.load_state_dict(opt.state_dict())
    other.step()
    assert [s["t"] for s in other.state_dict()["state"].values()] == [2, 2]
    assert other.param_groups[0]["betas"] == (0.9, 0.99)


# --- schedules --------------------------------------------------------------------------------

SCHEDULES = {
    "StepLR": lambda m, opt: m.StepLR(opt, 2, 0.5),
    "CosineAnnealingLR": lambda m, opt: m.CosineAnnealingLR(opt, 5, 0.01),
    "OneCycleLR": lambda m, opt: m.OneCycleLR(opt, 0.5, 8),
    "OneCycleLR, linear": lambda m, opt: m.OneCycleLR(opt, 0.5, 8, anneal_strategy="linear"),
}


def rates(opt):
    return [(group["lr"], group["momentum"]) for group in opt.param_groups]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("way", ["ours to ours", "ours to theirs", "theirs to ours"])
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*:UserWarning")
def test_a_schedule_goes_on_as_if_it_had_not_been_interrupted(torch, name, way):
    libraries = {"ours": tg, "theirs": torch}
    a, b = (libraries[which] for which in way.split(" to "))

    def begin(m):
        opt = m.optim.SGD([{"params": [p]} for p in parameters(m)], lr=0.1, momentum=0.9)
        return opt, SCHEDULES[name](m.optim.lr_scheduler, opt)

    opt, schedule = begin(a)
    for _ in range(3):
        schedule.step()
    other, on = begin(b)
    other.load_state_dict(converted(opt.state_dict(), b))
    on.load_state_dict(converted(schedule.state_dict(), b))
    assert on.last_epoch == 3
    assert rates(other) == rates(opt)
    assert list(on.get_last_lr()) == list(schedule.get_last_lr())
    for _ in range(4):
        schedule.step()
        on.step()
        assert np.allclose(rates(other), rates(opt), rtol=1e-12)


def test_a_schedules_state_is_its_own():
    schedule = lr_scheduler.StepLR(SGD(parameters(tg), lr=0.1), 2)
    state = schedule.state_dict()
    state["base_lrs"][0] = 7.0
    assert schedule.base_lrs == [0.1]
    schedule.load_state_dict(state)
    state["base_lrs"][0] = 8.0
    assert schedule.base_lrs == [7.0]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"last_epoch": 3}, "StepLR: no 'base_lrs'"),
        ({"base_lrs": [0.1]}, "StepLR: no 'last_epoch'"),
        ({"last_epoch": 3, "base_lrs": [0.1], "T_max": 4}, "StepLR has no T_max"),
        ({"last_epoch": 3, "base_lrs": [0.1, 0.2]}, "1 groups"),
        ({}, r"StepLR: no 'base_lrs' in \[\]"),
    ],
)
def test_the_state_of_another_schedule_is_refused_and_changes_nothing(state, message):
    schedule = lr_scheduler.StepLR(SGD(parameters(tg), lr=0.1), 2)
    before = schedule.state_dict()
    with pytest.raises(ValueError, match=message):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


@pytest.mark.parametrize(
    "owner",
    [nn.Linear(1, 1), SGD(nn.Linear(1, 1).parameters()), lr_scheduler.StepLR(SGD([tg.ones(1)]), 2)],
)
@pytest.mark.parametrize("wrong", [None, [("weight", 1)], nn.Linear(1, 1), "model.pt"])
def test_what_is_no_dict_is_no_state(owner, wrong):
    name = type(owner).__name__
    message = f"{name}: a state_dict is a dict, not {type(wrong).__name__}"
    with pytest.raises(TypeError, match=message):
        owner.load_state_dict(wrong)


def test_a_state_saved_between_a_new_group_and_the_next_step_goes_on(torch):
    for m in (tg, torch):
        first, second = parameters(m)[:2]

        def begin(m, *groups):
            opt = m.optim.SGD([{"params": [p]} for p in groups], lr=0.1)
            return opt, m.optim.lr_scheduler.StepLR(opt, 1, 0.5)

        opt, schedule = begin(m, first)
        opt.add_param_group({"params": [second], "lr": 0.4})
        other, on = begin(m, first, second)
        other.load_state_dict(opt.state_dict())
        on.load_state_dict(schedule.state_dict())
        other.step()
        on.step()
        assert list(on.get_last_lr()) == pytest.approx([0.05, 0.2])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda opt: lr_scheduler.StepLR(opt, 2, None), TypeError, "gamma must be a number"),
        (lambda opt: lr_scheduler.CosineAnnealingLR(opt, 2, "0"), TypeError, "eta_min"),
        (lambda opt: lr_scheduler.CosineAnnealingLR(opt, 2, np.nan), ValueError, "eta_min.*nan"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, None, 3), TypeError, "max_lr.*None"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, -1.0, 3), ValueError, "max_lr"),
        (
            lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, 3, base_momentum="low"),
            TypeError,
            "base_momentum.*'low'",
        ),
        (
            lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, 3, max_momentum=-0.5),
            ValueError,
            r"max_momentum.*-0\.5",
        ),
    ],
)
def test_a_schedule_refuses_what_is_no_rate_before_it_sets_one(make, error, message):
    opt = SGD(parameters(tg), lr=0.1, momentum=0.9)
    before = repr(opt)
    with pytest.raises(error, match=message):
        make(opt)
    assert repr(opt) == before


def test_one_cycle_needs_a_momentum_to_cycle():
    class Plain(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": 0.1})

    opt = Plain(parameters(tg))
    with pytest.raises(ValueError, match="Plain has no momentum: use cycle_momentum=False"):
        lr_scheduler.OneCycleLR(opt, 1.0, 3)
    assert opt.param_groups[0].keys() == {"lr", "params"}
    lr_scheduler.OneCycleLR(opt, 1.0, 3, cycle_momentum=False)


# --- groups that come later, and the end ------------------------------------------------------


@pytest.mark.parametrize("name", ["StepLR", "CosineAnnealingLR"])
def test_a_group_that_comes_later_takes_the_course_from_its_own_rate(name):
    """As if it had been there from the start: its rate is that of step 0."""
    a, b, c = (tg.zeros(1) for _ in "abc")
    late, early = SGD([a], lr=0.1), SGD([{"params": [b]}, {"params": [c], "lr": 0.02}], lr=0.1)
    schedules = [SCHEDULES[name](lr_scheduler, opt) for opt in (late, early)]
    for schedule in schedules:
        schedule.step()
    late.add_param_group({"params": [c], "lr": 0.02})
    for _ in range(6):
        for schedule in schedules:
            schedule.step()
        assert schedules[0].get_last_lr() == schedules[1].get_last_lr()


def test_a_group_that_comes_after_one_cycle_was_made_is_refused_before_anything_changes():
    opt = SGD([tg.zeros(1)], lr=0.1, momentum=0.9)
    schedule = lr_scheduler.OneCycleLR(opt, 1.0, 8)
    schedule.step()
    opt.add_param_group({"params": [tg.zeros(1)]})
    before = rates(opt)
    with pytest.raises(ValueError, match=r"group 1 was added after.*make a new schedule"):
        schedule.step()
    assert rates(opt) == before
    assert schedule.last_epoch == 1


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_step_after_the_last_stays_at_the_end_and_the_next_is_refused(strategy, share):
    opt = SGD([tg.zeros(1)], momentum=0.9)
    schedule = lr_scheduler.OneCycleLR(opt, 1.0, 6, pct_start=share, anneal_strategy=strategy)
    for _ in range(5):
        schedule.step()
    at_the_end = rates(opt)
    assert at_the_end[0] == pytest.approx((1 / 25e4, 0.95) if share < 1 else (1.0, 0.85))
    schedule.step()
    assert np.array(rates(opt)).min() > 0
    if share < 1:
        assert rates(opt) == at_the_end
    with pytest.raises(ValueError, match="6 steps are over"):
        schedule.step()


def test_two_groups_each_have_their_rates_and_momenta():
    a, b = nn.Linear(1, 1), nn.Linear(1, 1)
    groups = [{"params": a.parameters()}, {"params": b.parameters()}]
    opt = SGD(groups, lr=0.1, momentum=0.9)
    schedule = lr_scheduler.OneCycleLR(
        opt, [1.0, 0.1], 3, pct_start=2 / 3, base_momentum=[0.5, 0.6], max_momentum=[0.8, 0.9]
    )
    assert rates(opt) == [pytest.approx((0.04, 0.8)), pytest.approx((0.004, 0.9))]
    schedule.step()
    assert rates(opt) == [pytest.approx((1.0, 0.5)), pytest.approx((0.1, 0.6))]
    schedule.step()
    assert rates(opt) == [pytest.approx((4e-6, 0.8)), pytest.approx((4e-7, 0.9))]
