"""Faults of optim/lr_scheduler.py: where a schedule begins, turns and ends."""

FAULTS = {
    "cosine": {
        "cosine-sign": ("1 + math.cos(math.pi * done)", "1 - math.cos(math.pi * done)"),
        "cosine-whole": ("math.pi * done", "2 * math.pi * done"),
        "cosine-span": ("(a - b) / 2", "a / 2"),
    },
    "straight": {"straight-backwards": ("a + (b - a) * done", "b + (a - b) * done")},
    "LRScheduler.__init__": {
        "no-first-step": ("self.step()", "self.last_epoch += 1"),
        "one-step-ahead": ("-1", "0"),
    },
    "LRScheduler.state_dict": {
        "state-without-new-groups": ("self._note_base_lrs()", "pass"),
        "state-shared": ("copy.deepcopy(known | steps)", "known | steps"),
        "state-with-the-optimizer": ("name != 'optimizer'", "True"),
        "state-without-last-rates": ("known | steps", "known"),
    },
    "LRScheduler.load_state_dict": {
        "any-schedules-state": (
            "checks.schedule_state(self, state_dict)",
            "pass",
        ),
        "state-of-other-groups": (
            "checks.one_for_each(self.optimizer.param_groups, base_lrs=state_dict['base_lrs'])",
            "pass",
        ),
        "loaded-state-shared": ("copy.deepcopy(state_dict[name])", "state_dict[name]"),
    },
    "LRScheduler.get_last_lr": {"last-rate-is-the-first": ("group['lr']", "group['initial_lr']")},
    "LRScheduler._note_base_lrs": {
        "schedule-on-a-schedule": (
            "group.setdefault('initial_lr', group['lr'])",
            "group['initial_lr'] = group['lr']",
        ),
        "base-rate-is-the-current": (
            "self.base_lrs.append(group['initial_lr'])",
            "self.base_lrs.append(group['lr'])",
        ),
        "later-groups-forgotten": (
            "self.optimizer.param_groups[known:]",
            "self.optimizer.param_groups if self.last_epoch < 0 else []",
        ),
    },
    "LRScheduler.step": {
        "steps-without-end": ("self.last_epoch >= self.total_steps", "False"),
        "one-step-more": (
            "self.last_epoch >= self.total_steps",
            "self.last_epoch > self.total_steps",
        ),
        "one-step-less": (
            "self.last_epoch >= self.total_steps",
            "self.last_epoch >= self.total_steps - 1",
        ),
        "rates-not-set": ("group['lr'] = lr", "pass"),
    },
    "StepLR.__init__": {
        "step-size-not-checked": ("checks.positive_integers(step_size=step_size)", "pass"),
        "gamma-not-checked": ("checks.in_range(0, math.inf, gamma=gamma)", "pass"),
    },
    "StepLR.get_lr": {
        "step-of-the-first-group": ("self.base_lrs", "self.base_lrs[:1] * len(self.base_lrs)"),
        "step-off-by-one": (
            "self.last_epoch // self.step_size",
            "(self.last_epoch + 1) // self.step_size",
        ),
        "step-exponent": (
            "self.gamma ** (self.last_epoch // self.step_size)",
            "self.gamma * (self.last_epoch // self.step_size)",
        ),
        "steps-not-whole": (
            "self.last_epoch // self.step_size",
            "self.last_epoch / self.step_size",
        ),
    },
    "CosineAnnealingLR.get_lr": {
        "cosine-upside-down": (
            "cosine(lr, self.eta_min, done)",
            "cosine(self.eta_min, lr, done)",
        ),
        "cosine-straight": ("cosine(lr, self.eta_min, done)", "straight(lr, self.eta_min, done)"),
        "cosine-stops": ("self.last_epoch / self.T_max", "min(self.last_epoch / self.T_max, 1)"),
        "cosine-floor": ("cosine(lr, self.eta_min, done)", "cosine(lr, 0, done)"),
    },
    "CosineAnnealingLR.__init__": {
        "cosine-length-not-checked": ("checks.positive_integers(T_max=T_max)", "pass"),
        "cosine-floor-not-checked": (
            "checks.in_range(-math.inf, math.inf, eta_min=eta_min)",
            "pass",
        ),
        "cosine-floor-forgotten": ("self.eta_min = eta_min", "self.eta_min = 0.0"),
    },
    "OneCycleLR.__init__": {
        "cycle-without-length": ("epochs is None or steps_per_epoch is None", "False"),
        "cycle-epochs": ("epochs * steps_per_epoch", "epochs + steps_per_epoch"),
        "cycle-length-not-checked": ("checks.positive_integers(total_steps=total_steps)", "pass"),
        "cycle-share-not-checked": ("checks.in_range(0, 1, pct_start=pct_start)", "pass"),
        "cycle-factors-not-checked": (
            "checks.in_range(1e-300, math.inf, div_factor=div_factor, final_div_factor=final_div_factor)",
            "pass",
        ),
        "cycle-strategy-not-checked": (
            "anneal_strategy not in ('cos', 'linear')",
            "False",
        ),
        "cycle-peaks-exchanged": ("max_lr=max_lr", "max_lr=max_momentum"),
        "cycle-momenta-exchanged": (
            "checks.one_for_each(groups, max_lr=max_lr, base_momentum=base_momentum, max_momentum=max_momentum)",
            "checks.one_for_each(groups, max_lr=max_lr, base_momentum=max_momentum, max_momentum=base_momentum)",
        ),
        "cycle-without-momentum": ("checks.has_momentum(optimizer)", "pass"),
        "cycle-needs-momentum": ("cycle_momentum", "True", 1),
        "cycle-start": ("own['max_lr'] / div_factor", "own['max_lr'] / final_div_factor"),
        "cycle-last-rate": ("start / final_div_factor", "own['max_lr'] / final_div_factor"),
        "cycle-options-forgotten": (
            "group.update(own, initial_lr=start, min_lr=start / final_div_factor)",
            "group.update(initial_lr=start, min_lr=start / final_div_factor)",
        ),
        "cycle-endless": ("self.total_steps = total_steps", "pass"),
    },
    "OneCycleLR.between": {
        "cycle-up-from-the-end": (
            "curve(first, peak, t / top if top != 0 else 1.0)",
            "curve(final, peak, t / top if top != 0 else 1.0)",
        ),
        "cycle-never-down": ("t <= top", "True"),
        "cycle-at-the-top": ("t <= top", "t < top"),
        "cycle-top-at-0": ("top != 0", "True"),
        "cycle-top-at-0-is-the-start": ("1.0", "0.0", 0),
        "cycle-beyond-its-end": ("t < last", "True"),
        "cycle-down-too-early": ("(t - top) / (last - top)", "t / last"),
        "cycle-top": ("self.pct_start * self.total_steps - 1", "self.pct_start * self.total_steps"),
        "cycle-end": ("self.total_steps - 1", "self.total_steps"),
        "cycle-always-cosine": ("cosine if self.anneal_strategy == 'cos' else straight", "cosine"),
        "cycle-one-step-late": ("self.last_epoch", "max(self.last_epoch - 1, 0)"),
    },
    "OneCycleLR.step": {
        "cycle-momentum-always": ("self.cycle_momentum", "True"),
        "cycle-momentum-never": ("self.cycle_momentum", "False"),
        "cycle-comes-back": (
            "self.between(group, 'max_momentum', 'base_momentum', 'max_momentum')",
            "self.between(group, 'max_momentum', 'base_momentum', 'base_momentum')",
        ),
        "cycle-of-later-groups": ("checks.has_a_cycle(groups)", "pass"),
    },
    "OneCycleLR.get_lr": {
        "cycle-without-its-end": (
            "self.between(group, 'initial_lr', 'max_lr', 'min_lr')",
            "self.between(group, 'initial_lr', 'max_lr', 'initial_lr')",
        ),
    },
}
