"""Learning-rate schedules: tables by hand, closed forms, and PyTorch step by step."""

import math

import pytest

import tinygrad_bn as tg
from tinygrad_bn.optim import SGD, lr_scheduler
from tinygrad_bn.optim.lr_scheduler import CosineAnnealingLR, StepLR


def optimizer(*rates, **options):
    """One parameter in a group of its own for each rate."""
    return SGD([{"params": [tg.zeros(1)], "lr": lr} for lr in rates or (1.0,)], **options)


def run(schedule, steps):
    """The first group's rate at the start and after each step."""
    rates = [schedule.get_last_lr()[0]]
    for _ in range(steps):
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    return rates


def test_the_import_path_is_pytorchs():
    """`from torch.optim import lr_scheduler` works with `tinygrad_bn` for `torch`; see above."""
    assert tg.optim.lr_scheduler is lr_scheduler


# --- by hand ----------------------------------------------------------------------------------


def test_step_lr_multiplies_every_step_size_steps():
    rates = run(lr_scheduler.StepLR(optimizer(8.0), step_size=2, gamma=0.5), 6)
    assert rates == [8, 8, 4, 4, 2, 2, 1]
    assert run(lr_scheduler.StepLR(optimizer(1.0), 1), 2) == pytest.approx([1, 0.1, 0.01])


@pytest.mark.parametrize(("T_max", "eta_min"), [(5, 0.0), (5, 0.1), (1, 0.0), (4, 2.0)])
def test_cosine_annealing_is_its_formula_and_goes_up_again_beyond_its_end(T_max, eta_min):
    rates = run(lr_scheduler.CosineAnnealingLR(optimizer(1.0), T_max, eta_min), 17)
    expected = [
        eta_min + (1 - eta_min) * (1 + math.cos(math.pi * t / T_max)) / 2 for t in range(18)
    ]
    assert rates == pytest.approx(expected, abs=1e-12)


def test_one_cycle_rises_and_falls_in_straight_lines():
    """11 steps, 0 to 10; the peak is at pct_start · total - 1 = 4 - 1e-15; 6 steps down."""
    opt = optimizer(1.0, momentum=0.9)
    schedule = lr_scheduler.OneCycleLR(
        opt, 5.0, 11, pct_start=5 / 11, anneal_strategy="linear", div_factor=5, final_div_factor=10
    )
    momenta = []
    rates = [schedule.get_last_lr()[0]]
    for _ in range(10):
        momenta.append(opt.param_groups[0]["momentum"])
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    down = [5 - (5 - 0.1) * i / 6 for i in range(7)]
    assert rates == pytest.approx([1, 2, 3, 4, *down], abs=1e-12)
    expected = [0.95, 0.925, 0.9, 0.875, *(0.85 + 0.1 * i / 6 for i in range(6))]
    assert momenta == pytest.approx(expected, abs=1e-12)


def test_one_cycle_by_default_rises_and_falls_along_cosines():
    """20 steps: up for 0.3 of them, to step 5; then 14 steps down."""
    rates = run(lr_scheduler.OneCycleLR(optimizer(1.0), 1.0, epochs=4, steps_per_epoch=5), 19)
    low, end = 1 / 25, 1 / 25 / 1e4
    up = [low + (1 - low) * (1 - math.cos(math.pi * i / 5)) / 2 for i in range(5)]
    down = [end + (1 - end) * (1 + math.cos(math.pi * i / 14)) / 2 for i in range(15)]
    assert rates == pytest.approx(up + down, abs=1e-12)


def test_one_cycle_of_two_steps_is_the_peak_and_the_end():
    """The rise has no length, so that its end is reached at once (PyTorch divides by zero)."""
    rates = run(lr_scheduler.OneCycleLR(optimizer(1.0), 1.0, 2, pct_start=0.5), 1)
    assert rates == pytest.approx([1, 1 / 25 / 1e4])


def test_a_schedule_leaves_momentum_alone_if_asked():
    opt = optimizer(1.0, momentum=0.7)
    run(lr_scheduler.OneCycleLR(opt, 1.0, 5, cycle_momentum=False), 4)
    assert opt.param_groups[0]["momentum"] == 0.7


def test_a_loop_may_step_the_schedule_after_every_batch_to_the_last():
    """The usual loop calls step() total_steps times, once more than there are rates to set."""
    opt = optimizer(1.0)
    schedule = lr_scheduler.OneCycleLR(opt, 1.0, total_steps=4)
    used = []
    for _ in range(4):
        used.append(opt.param_groups[0]["lr"])
        opt.step()
        schedule.step()
    assert used[0] == pytest.approx(1 / 25)
    assert used[-1] == pytest.approx(1 / 25 / 1e4)


def test_a_step_beyond_the_end_is_refused_and_changes_nothing():
    opt = optimizer(1.0, 2.0)
    schedule = lr_scheduler.OneCycleLR(opt, 1.0, total_steps=4)
    for _ in range(4):
        schedule.step()
    before = [dict(group) for group in opt.param_groups], schedule.last_epoch
    for _ in range(2):
        with pytest.raises(ValueError, match=r"\b4\b"):
            schedule.step()
        assert ([dict(group) for group in opt.param_groups], schedule.last_epoch) == before


def test_a_second_schedule_starts_from_the_rate_before_the_first():
    optimizer = SGD([tg.ones(1, requires_grad=True)], lr=0.5)
    first = StepLR(optimizer, step_size=1)
    first.step()
    assert optimizer.param_groups[0]["lr"] == 0.05
    assert CosineAnnealingLR(optimizer, T_max=4).base_lrs == [0.5]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda opt: lr_scheduler.StepLR(opt, 0), "step_size.*0"),
        (lambda opt: lr_scheduler.StepLR(opt, 2.5), r"step_size.*2\.5"),
        (lambda opt: lr_scheduler.StepLR(opt, 2, gamma=-1.0), r"gamma.*-1\.0"),
        (lambda opt: lr_scheduler.CosineAnnealingLR(opt, 0), "T_max.*0"),
        (lambda opt: lr_scheduler.CosineAnnealingLR(opt, -5), "T_max.*-5"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, 1.0), "total_steps"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, epochs=3), "steps_per_epoch"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, 0), "total_steps.*0"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, epochs=0, steps_per_epoch=5), "must be.*0"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, 10, pct_start=1.5), r"pct_start.*1\.5"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, 10, pct_start=math.nan), "pct_start.*nan"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, 10, anneal_strategy="exp"), "'exp'"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, [1.0], 10), "2 groups"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, 10, max_momentum=[0.9] * 3), "2 groups"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, -0.5, 10), r"max_lr.*-0\.5"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, 10, div_factor=0), "div_factor.*0"),
        (lambda opt: lr_scheduler.OneCycleLR(opt, 1.0, 10, final_div_factor=-1), "final_div.*-1"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_the_optimizer_left_alone(make, named):
    opt = optimizer(1.0, 2.0, momentum=0.5)
    before = [dict(group) for group in opt.param_groups]
    with pytest.raises(ValueError, match=named):
        make(opt)
    assert [dict(group) for group in opt.param_groups] == before


# --- PyTorch ----------------------------------------------------------------------------------

SCHEDULES = {
    "StepLR": lambda m, opt: m.StepLR(opt, 3, 0.5),
    "StepLR every step": lambda m, opt: m.StepLR(opt, 1),
    "CosineAnnealingLR": lambda m, opt: m.CosineAnnealingLR(opt, 5),
    "CosineAnnealingLR, eta_min": lambda m, opt: m.CosineAnnealingLR(opt, 7, eta_min=0.2),
    "CosineAnnealingLR, T_max 1": lambda m, opt: m.CosineAnnealingLR(opt, 1),
    "OneCycleLR": lambda m, opt: m.OneCycleLR(opt, 3.0, 20),
    "OneCycleLR, epochs": lambda m, opt: m.OneCycleLR(opt, 3.0, epochs=4, steps_per_epoch=5),
    "OneCycleLR, linear": lambda m, opt: m.OneCycleLR(opt, 3.0, 20, anneal_strategy="linear"),
    "OneCycleLR, two rates": lambda m, opt: m.OneCycleLR(
        opt, [3.0, 0.5], 20, base_momentum=[0.8, 0.1], max_momentum=[0.9, 0.2], pct_start=0.33
    ),
    "OneCycleLR, factors": lambda m, opt: m.OneCycleLR(
        opt, 3.0, 20, div_factor=4.0, final_div_factor=7.0, cycle_momentum=False
    ),
    "OneCycleLR, all down": lambda m, opt: m.OneCycleLR(opt, 3.0, 20, pct_start=0.0),
    "OneCycleLR, all up": lambda m, opt: m.OneCycleLR(opt, 3.0, 20, pct_start=1.0),
}


def as_in_both(torch, steps, make):
    """(rates, momenta) at every step, for this library and for PyTorch."""
    runs = []
    for sgd, module, zeros in (
        (SGD, lr_scheduler, tg.zeros),
        (torch.optim.SGD, torch.optim.lr_scheduler, torch.zeros),
    ):
        groups = [{"params": [zeros(1)], "lr": 0.7}, {"params": [zeros(2)], "lr": 0.3}]
        opt = sgd(groups, momentum=0.6)
        schedule = make(module, opt)
        history = []
        for step in range(steps + 1):
            rates = [group["lr"] for group in opt.param_groups]
            assert schedule.get_last_lr() == rates
            history.append(rates + [group["momentum"] for group in opt.param_groups])
            if step < steps:
                opt.step()
                schedule.step()
        runs.append(history)
    return runs


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_and_momenta_are_pytorchs_over_a_whole_run(torch, name):
    steps = 19 if name.startswith("OneCycleLR") else 20  # PyTorch's turns, or divides by zero
    ours, theirs = as_in_both(torch, steps, SCHEDULES[name])
    for step, (found, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-15), f"at step {step}"
