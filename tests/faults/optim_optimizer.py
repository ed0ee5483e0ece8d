"""Faults of optim/optimizer.py: groups of parameters, options, state."""

FAULTS = {
    "Optimizer.__init__": {
        "one-tensor-accepted": ("isinstance(params, Tensor | Module | dict)", "False"),
        "a-model-for-parameters": ("Tensor | Module | dict", "Tensor | dict"),
        "a-group-for-groups": ("Tensor | Module | dict", "Tensor | Module"),
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
    "Optimizer.check_names": {"set-by-schedules-unknown": ("SET_BY_SCHEDULES", "set()")},
    "Optimizer.state_dict": {
        "state-by-parameters": (
            "{places[p]: dict(values) for p, values in self.state.items()}",
            "dict(self.state)",
        ),
        "places-of-the-first-group": (
            "[places[p] for p in group['params']]",
            "list(range(len(group['params'])))",
        ),
    },
    "Optimizer.load_state_dict": {
        "loaded-groups-of-any-size": ("checks.saved_groups(self.param_groups, saved)", "pass"),
        "loaded-names-not-checked": ("self.check_names(group)", "pass"),
        "loaded-options-not-checked": ("self.check_options(group)", "pass"),
        "state-ignored": ("state[p][name] = loaded(name, value, p)", "pass"),
    },
    "with_saved_options": {
        "loaded-options-ignored": ("group | options", "group"),
        "pytorchs-options-refused": ("value or name in group", "True"),
        "unset-options-not-loaded": ("value or name in group", "value"),
        "loaded-into-the-group": ("group | options", "(group.update(options), group)[1]"),
        "parameters-loaded": (
            "group | options | {'params': group['params']}",
            "group | options",
        ),
    },
    "loaded": {
        "state-not-copied": ("numbers(name, value).astype(parameter.dtype)", "value.data"),
        "state-in-64-bits": (
            "numbers(name, value).astype(parameter.dtype)",
            "numbers(name, value)",
        ),
        "state-of-any-shape": ("checks.remembered(name, array, parameter)", "pass"),
    },
    "Optimizer.add_param_group": {
        "group-options": ("self.defaults | param_group", "param_group | self.defaults"),
        "no-defaults": ("self.defaults | param_group", "dict(param_group)"),
        "group-of-the-caller": (
            "self.defaults | param_group",
            "param_group.update(self.defaults | param_group) or param_group",
        ),
        "unknown-options": ("self.check_names(group)", "pass"),
        "tensor-as-group": (
            "[params] if isinstance(params, Tensor) else list(params)",
            "list(params)",
        ),
        "options-not-checked": ("self.check_options(group)", "pass"),
        "parameters-not-checked": ("checks.parameters(group['params'], known, Tensor)", "pass"),
        "known-in-this-group-only": ("{id(p) for p in self._parameters()}", "set()"),
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
        "first-group-zeroed": ("self._parameters()", "self.param_groups[0]['params']"),
        "always-none": ("set_to_none", "True"),
    },
    "Optimizer.__repr__": {
        "options-of-the-first-group": ("group.items()", "self.param_groups[0].items()"),
        "parameters-printed": ("name != 'params'", "True"),
    },
}
