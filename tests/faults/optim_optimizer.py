"""Faults of optim/optimizer.py: groups of parameters, options, state."""

FAULTS = {
    "Optimizer.__init__": {
        "one-tensor-accepted": ("isinstance(params, Tensor)", "False"),
        "no-parameters": ("not groups", "False"),
        "groups-not-told-from-tensors": ("not isinstance(groups[0], dict)", "True"),
        "iterator-used-up": ("list(params)", "list(params) and list(params)"),
        "first-group-only": (
            "self.add_param_group(group)",
            "self.param_groups or self.add_param_group(group)",
        ),
        "state-of-no-defaults": ("defaultdict(dict)", "{}"),
        "one-state-for-all": ("defaultdict(dict)", "defaultdict(lambda shared={}: shared)"),
    },
    "Optimizer.add_param_group": {
        "group-options": ("self.defaults | param_group", "param_group | self.defaults"),
        "no-defaults": ("self.defaults | param_group", "dict(param_group)"),
        "group-of-the-caller": (
            "self.defaults | param_group",
            "param_group.update(self.defaults | param_group) or param_group",
        ),
        "unknown-options": ("set(group) - set(self.defaults) - {'params', 'initial_lr'}", "set()"),
        "initial-lr-unknown": ("{'params', 'initial_lr'}", "{'params'}"),
        "tensor-as-group": (
            "[params] if isinstance(params, Tensor) else list(params)",
            "list(params)",
        ),
        "options-not-checked": ("self.check_options(group)", "pass"),
        "parameters-not-checked": ("checks.parameters(group['params'], known, Tensor)", "pass"),
        "known-in-this-group-only": (
            "{id(p) for other in self.param_groups for p in other['params']}",
            "set()",
        ),
        "added-before-it-is-checked": (
            "self.check_options(group)",
            "self.param_groups.append(group)\nself.check_options(group)\nself.param_groups.pop()",
        ),
    },
    "Optimizer.step": {
        "step-does-nothing": (
            'raise NotImplementedError(f"{type(self).__name__} does not define step()")',
            "return None",
        )
    },
    "Optimizer.zero_grad": {
        "first-group-zeroed": ("self.param_groups", "self.param_groups[:1]"),
        "always-none": ("set_to_none", "True"),
    },
    "Optimizer.__repr__": {
        "options-of-the-first-group": ("group.items()", "self.param_groups[0].items()"),
        "parameters-printed": ("name != 'params'", "True"),
    },
}
