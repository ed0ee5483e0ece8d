"""[8c] Learning-rate schedules: how large a step to take, as a function of the steps taken.

Each schedule is a function of the step t. Its class sets `group["lr"]` by it in an optimizer's
groups: when made, and by `step()` after each step.
"""

import copy
import math
from collections.abc import Callable

from .. import checks
from ..checks import PerGroup, State
from .optimizer import Group, Optimizer

__all__ = ["CosineAnnealingLR", "LRScheduler", "OneCycleLR", "StepLR"]

# --- the curves --------------------------------------------------------------------------------


def cosine(a: float, b: float, done: float) -> float:
    """From a (done = 0) to b (done = 1), slowly at both ends."""
    return b + (a - b) / 2 * (1 + math.cos(math.pi * done))


def straight(a: float, b: float, done: float) -> float:
    """From a (done = 0) to b (done = 1), evenly."""
    return a + (b - a) * done


# --- the schedulers -------------------------------------------------------------------------------


class LRScheduler:
    """Base class. A subclass says in `get_lr` what each group's rate is at step `last_epoch`.

    >>> class Halving(optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [lr / 2**self.last_epoch for lr in self.base_lrs]
    >>> schedule = Halving(optim.SGD([zeros(1)], lr=1.0))
    >>> schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    total_steps: float = math.inf  # how often `step` may be called
    get_lr: Callable[[], list[float]]

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.last_epoch = -1  # the first step, which is taken below, is number 0
        self.base_lrs: list[float] = []
        self.step()

    def get_last_lr(self) -> list[float]:
        """The rates now in force, one per parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Go on to the next step, and set its rates."""
        if self.last_epoch >= self.total_steps:
            raise ValueError(f"the schedule's {self.total_steps} steps are over")
        self._note_base_lrs()
        self.last_epoch += 1
        rates = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr

    def _note_base_lrs(self) -> None:
        """From where the groups begin that are new: at first all, later those that were added."""
        known = len(self.base_lrs)
        for group in self.optimizer.param_groups[known:]:
            group.setdefault("initial_lr", group["lr"])  # a second schedule starts from the same
            self.base_lrs.append(group["initial_lr"])

    def state_dict(self) -> State:
        """What it has to know to go on, as PyTorch has it; the rates are in the optimizer's."""
        self._note_base_lrs()
        known = {name: value for name, value in vars(self).items() if name != "optimizer"}
        steps = {"_step_count": self.last_epoch + 1, "_last_lr": self.get_last_lr()}
        return copy.deepcopy(known | steps)

    def load_state_dict(self, state_dict: State) -> None:
        """Go on from there. Load the optimizer's state too: it holds the rates now in force.

        What PyTorch saved may be loaded: options that it names otherwise stay as they are.
        ValueError, before anything changes, if it is the state of another kind of schedule.
        """
        checks.schedule_state(self, state_dict)
        checks.one_for_each(self.optimizer.param_groups, base_lrs=state_dict["base_lrs"])
        known = vars(self).keys() & state_dict.keys()
        vars(self).update({name: copy.deepcopy(state_dict[name]) for name in known})


class StepLR(LRScheduler):
    """Multiply the rate by gamma every step_size steps: lr_t = lr_0 · gamma^⌊t / step_size⌋.

    >>> schedule = optim.lr_scheduler.StepLR(optim.SGD([zeros(1)], lr=1.0), step_size=1, gamma=0.5)
    >>> schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        checks.positive_integers(step_size=step_size)
        checks.in_range(0, math.inf, gamma=gamma)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        """The rates of this step."""
        decay = self.gamma ** (self.last_epoch // self.step_size)
        return [lr * decay for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """lr_t = eta_min + (lr_0 − eta_min)·(1 + cos(π t / T_max)) / 2.

    >>> schedule = optim.lr_scheduler.CosineAnnealingLR(optim.SGD([zeros(1)], lr=1.0), T_max=2)
    >>> schedule.step(); round(schedule.get_last_lr()[0], 6)
    0.5
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        checks.positive_integers(T_max=T_max)
        checks.in_range(-math.inf, math.inf, eta_min=eta_min)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        """The rates of this step."""
        done = self.last_epoch / self.T_max
        return [cosine(lr, self.eta_min, done) for lr in self.base_lrs]


class OneCycleLR(LRScheduler):
    """Up from max_lr/div_factor to max_lr, then down to a tiny rate, in total_steps steps.

    The rise takes the fraction pct_start of the steps; the end is at the start's rate divided by
    final_div_factor. Momentum goes the other way, from max_momentum down to base_momentum and back
    (cycle_momentum). total_steps may be given as epochs · steps_per_epoch. max_lr, base_momentum
    and max_momentum may be lists, with a value for each parameter group.

    >>> optimizer = optim.SGD([zeros(1)], momentum=0.9)
    >>> schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> round(schedule.get_last_lr()[0], 6)
    0.04
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: PerGroup,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: PerGroup = 0.85,
        max_momentum: PerGroup = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("give total_steps, or both epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        checks.positive_integers(total_steps=total_steps)
        checks.in_range(0, 1, pct_start=pct_start)
        checks.in_range(1e-300, math.inf, div_factor=div_factor, final_div_factor=final_div_factor)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}")
        groups = optimizer.param_groups
        options = checks.one_for_each(
            groups, max_lr=max_lr, base_momentum=base_momentum, max_momentum=max_momentum
        )
        if cycle_momentum:
            checks.has_momentum(optimizer)
        self.total_steps = total_steps
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        for group, own in zip(groups, options, strict=True):
            start = own["max_lr"] / div_factor
            group.update(own, initial_lr=start, min_lr=start / final_div_factor)
        super().__init__(optimizer)

    def step(self) -> None:
        """Go on to the next step; set its rates, and the momenta that belong to them."""
        groups = self.optimizer.param_groups
        checks.has_a_cycle(groups)
        super().step()
        if self.cycle_momentum:
            for group in groups:
                momentum = self.between(group, "max_momentum", "base_momentum", "max_momentum")
                group["momentum"] = momentum

    def get_lr(self) -> list[float]:
        """The rates of this step."""
        groups = self.optimizer.param_groups
        return [self.between(group, "initial_lr", "max_lr", "min_lr") for group in groups]

    def between(self, group: Group, *names: str) -> float:
        """What an option of the group is now, on its way through three of the group's values.

        The first is that of step 0, the second that of `top`, the third that of the last step.
        """
        values: list[float] = [group[name] for name in names]
        first, peak, final = values
        curve = cosine if self.anneal_strategy == "cos" else straight
        t, last = self.last_epoch, self.total_steps - 1
        top = self.pct_start * self.total_steps - 1  # any number from -1 on
        if t <= top:  # 1. up
            return curve(first, peak, t / top if top != 0 else 1.0)
        if t < last:  # 2. down
            return curve(peak, final, (t - top) / (last - top))
        return final  # 3. the step after the last one, whose rate nobody uses
