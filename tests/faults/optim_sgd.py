"""Faults of optim/sgd.py: signs, orders, whose memory is changed."""

STEP = "p.data -= self.direction(p, g.data, group) * lr"

FAULTS = {
    "SGD.__init__": {
        "decay-forgotten": (
            "super().__init__(params, defaults)",
            "super().__init__(params, defaults | {'weight_decay': 0})",
        ),
        "maximize-forgotten": (
            "super().__init__(params, defaults)",
            "super().__init__(params, defaults | {'maximize': False})",
        ),
    },
    "SGD.check_options": {
        "rates-not-checked": (
            "checks.in_range(0, math.inf, lr=lr, momentum=momentum, weight_decay=group['weight_decay'])",
            "pass",
        ),
        "decay-not-checked": ("weight_decay=group['weight_decay']", "weight_decay=0"),
        "momentum-not-checked": ("momentum=momentum", "momentum=0"),
        "dampening-not-checked": (
            "checks.in_range(-math.inf, math.inf, dampening=dampening)",
            "pass",
        ),
        "nesterov-without-momentum": ("momentum == 0", "False"),
        "nesterov-dampened": ("dampening != 0", "False"),
    },
    "SGD.step": {
        "ascends": (STEP, STEP.replace("-=", "+=")),
        "rebinds": (STEP, "p.data = p.data - self.direction(p, g.data, group) * lr"),
        "rate-promotes": ("float(group['lr'])", "group['lr']"),
        "rate-of-all-groups": ("float(group['lr'])", "float(self.defaults['lr'])"),
        "closure-unrecorded": ("grad_mode(True)", "grad_mode(False)"),
        "closure-not-called": ("None if closure is None else grad_mode(True)(closure)()", "None"),
        "closure-value": ("return loss", "return None"),
        "step-without-gradient": ("g is not None", "True"),
        "step-unnoticed": ("p.version.number += 1", "pass"),
        "first-group-only": ("self.param_groups", "self.param_groups[:1]"),
        "closure-called-twice": (
            "grad_mode(True)(closure)()",
            "(grad_mode(True)(closure)(), grad_mode(True)(closure)())[1]",
        ),
    },
    "SGD.direction": {
        "maximize-never": ("group['maximize']", "False"),
        "negative-gradient-in-place": ("g = -g", "g *= -1"),
        "decay-sign": (
            "p.data * float(group['weight_decay']) + g",
            "g - p.data * float(group['weight_decay'])",
        ),
        "decay-in-the-gradient": (
            "g = p.data * float(group['weight_decay']) + g",
            "g += p.data * float(group['weight_decay'])",
        ),
        "no-decay": ("group['weight_decay']", "False", 0),
        "decay-promotes": ("float(group['weight_decay'])", "group['weight_decay']"),
        "momentum-promotes": ("float(group['momentum'])", "group['momentum']"),
        "momentum-of-all-groups": ("float(group['momentum'])", "float(self.defaults['momentum'])"),
        "momentum-sum": ("v *= momentum", "pass"),
        "dampening": ("1 - float(group['dampening'])", "float(group['dampening'])"),
        "dampening-ignored": (
            "g * (1 - float(group['dampening'])) if group['dampening'] else g",
            "g",
        ),
        "first-step-dampened": ("np.array(g)", "np.array(g) * (1 - group['dampening'])"),
        "buffer-is-the-gradient": ("np.array(g)", "g"),
        "nesterov-always": ("group['nesterov']", "True"),
        "nesterov-never": ("group['nesterov']", "False"),
        "nesterov-term": ("v * momentum + g", "v + g"),
        "one-buffer-for-all": ("self.state[p]", "self.state[self.param_groups[0]['params'][0]]"),
        "buffer-under-another-name": ("'momentum_buffer'", "'momentum'", 0),
    },
}
