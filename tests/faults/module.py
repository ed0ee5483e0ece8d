"""Faults of module.py: names, hooks, saving and loading, switches, printing."""

FAULTS = {
    "Parameter.__init__": {
        "parameter-is-a-copy": ("self.data = data.data", "pass"),
        "parameter-always-trained": ("requires_grad", "True"),
    },
    "Parameter.__repr__": {
        "parameter-printed-as-a-tensor": (
            'f"Parameter containing:\\n{super().__repr__()}"',
            "super().__repr__()",
        )
    },
    "RemovableHandle.remove": {
        "hook-stays": ("self.hooks.pop(self, None)", "pass"),
        "all-hooks-go": ("self.hooks.pop(self, None)", "self.hooks.clear()"),
        "removed-twice-is-an-error": ("self.hooks.pop(self, None)", "self.hooks.pop(self)"),
    },
    "Module.__call__": {
        "no-hooks": ("list(self._forward_hooks.values())", "[]"),
        "hooks-in-reverse": (
            "list(self._forward_hooks.values())",
            "list(self._forward_hooks.values())[::-1]",
        ),
        "hooks-removed-meanwhile": (
            "list(self._forward_hooks.values())",
            "self._forward_hooks.values()",
        ),
        "replacement-ignored": ("output = replacement", "pass"),
        "none-replaces": ("replacement is not None", "True"),
        "hook-of-another-module": ("hook(self, args, output)", "hook(None, args, output)"),
        "hook-without-brackets": ("hook(self, args, output)", "hook(self, args[0], output)"),
        "options-lost": ("self.forward(*args, **kwargs)", "self.forward(*args)"),
    },
    "Module.register_forward_hook": {
        "hooks-of-the-class": (
            "vars(self).setdefault('_forward_hooks', {})",
            "type(self).__dict__.get('_forward_hooks') or setattr(type(self), '_forward_hooks', {})"
            " or type(self)._forward_hooks",
        ),
        "one-hook-only": (
            "vars(self).setdefault('_forward_hooks', {})",
            "self.__dict__.update(_forward_hooks={}) or self._forward_hooks",
        ),
    },
    "Module.__delattr__": {
        "deleted-and-still-a-buffer": ("buffer != name", "True"),
        "all-buffers-deleted": ("buffer != name", "False"),
    },
    "Module.register_buffer": {
        "buffers-of-anything": ("checks.new_buffer(self, name, tensor, Tensor)", "pass"),
        "last-buffer-only": ("(*self._buffers, name)", "(name,)"),
        "buffer-twice": ("name not in self._buffers", "True"),
        "buffers-in-reverse": ("(*self._buffers, name)", "(name, *self._buffers)"),
    },
    "Module.__setattr__": {
        "parameter-replaced-by-a-tensor": (
            "checks.stays(self, name, value, kind)",
            "pass",
        ),
        "module-replaced-by-anything": ("(Parameter, Module)", "(Parameter,)"),
        "buffer-replaced-by-anything": ("name in self._buffers", "False"),
    },
    "each_once": {
        "twice": ("value not in seen", "True"),
        "first-one-only": ("seen.add(value)", "seen.update(dict(named).values())"),
        "by-another-name": ("(name, value)", "(named[-1][0], value)", 0),
    },
    "Module.named_children": {
        "shared-child-twice": ("each_once(self._submodules())", "iter(self._submodules())")
    },
    "Module._submodules": {
        "children-in-reverse": ("vars(self).items()", "reversed(vars(self).items())"),
    },
    "Module._walk": {
        "module-itself-left-out": ("yield prefix, self", "pass"),
        "children-only": ("child._walk(f'{prefix}{name}.')", "[(f'{prefix}{name}.', child)]"),
        "prefix-of-parent-lost": ("f'{prefix}{name}.'", "f'{name}.'"),
    },
    "Module.modules": {
        "shared-module-twice": (
            "dict.fromkeys([module for _, module in self._walk()])",
            "[module for _, module in self._walk()]",
        ),
    },
    "Module._own_tensors": {
        "no-buffers": ("self._buffers", "()"),
        "empty-buffers-too": ("value is not None", "True"),
        "constants-are-parameters": ("isinstance(value, Parameter)", "isinstance(value, Tensor)"),
    },
    "Module._tensors": {
        "own-prefix-lost": ("prefix + name", "name"),
    },
    "Module.named_parameters": {
        "shared-parameter-twice": ("each_once(named)", "iter(named)"),
        "buffers-are-parameters": ("isinstance(value, Parameter)", "True"),
        "shared-parameter-forgotten": ("each_once(named)", "each_once(named[::-1])"),
    },
    "Module.buffers": {
        "parameters-are-buffers": ("not isinstance(tensor, Parameter)", "True"),
        "shared-buffer-twice": (
            "dict.fromkeys([tensor for _, tensor in self._tensors()])",
            "[tensor for _, tensor in self._tensors()]",
        ),
    },
    "Module.state_dict": {
        "state-is-a-copy": ("value.detach()", "value.detach().clone()"),
        "state-with-history": ("value.detach()", "value"),
    },
    "Module.load_state_dict": {
        "load-rebinds": ("own[name].data[...] = array", "own[name].data = array"),
        "load-never-strict": ("strict", "False"),
        "load-always-strict": ("strict", "True"),
        "missing-unnoticed": ('f"missing: {name}"', "name"),
        "unexpected-loaded": ("name not in own", "False"),
        "missing-not-reported": ("name not in not_missed", "False"),
        "optional-reported": ("{*state_dict, *optional}", "{*state_dict}"),
        "optional-of-children-only": ("prefix + name", "name", 0),
        "results-exchanged": ("LoadResult(missing, unexpected)", "LoadResult(unexpected, missing)"),
        "shapes-not-compared": ("array.shape != own[name].shape", "False"),
        "first-problem-only": (
            "'\\n  '.join(problems)",
            "'\\n  '.join(problems[:2])",
        ),
        "broadcast-when-loaded": ("array.shape != own[name].shape", "array.ndim != own[name].ndim"),
        "shapes-exchanged": (
            'f"{name}: its shape is {array.shape}, the model\'s {own[name].shape}"',
            'f"{name}: its shape is {own[name].shape}, the model\'s {array.shape}"',
        ),
    },
    "Module.train": {
        "mode-of-anything": ("checks.flag(mode=mode)", "pass"),
        "train-only-self": ("child.train(mode)", "pass"),
        "train-always": ("child.train(mode)", "child.train()"),
        "mode-of-children-only": ("self.training = mode", "pass"),
    },
    "Module.eval": {"eval-trains": ("self.train(False)", "self.train(True)")},
    "Module.zero_grad": {
        "zero-grad-to-none": (
            "clear_grads(self.parameters(), set_to_none)",
            "clear_grads(self.parameters(), True)",
        ),
    },
    "Module.apply": {
        "apply-not-to-self": ("fn(self)", "pass"),
        "apply-to-children-only": ("child.apply(fn)", "fn(child)"),
    },
    "Module.to": {
        "to-forgets-grads": ("(value, value.grad)", "(value,)"),
        "to-changes-integers": ("tensor.is_floating_point()", "True"),
        "any-dtype-for-a-module": ("checks.module_dtype(dtype)", "pass"),
        "to-copies": ("copy=False", "copy=True"),
    },
    "Module.float": {"module-float-is-double": ("float32", "float64")},
    "Module.double": {"module-double-is-float": ("float64", "float32")},
    "Module.__repr__": {
        "options-of-a-parent-not-printed": ("[self.extra_repr(), *lines]", "lines"),
        "options-not-printed": (
            'f"{type(self).__name__}({self.extra_repr()})"',
            'f"{type(self).__name__}()"',
        ),
        "children-not-indented": (
            "f\"{type(self).__name__}(\\n{indent(inside, '  ')}\\n)\"",
            'f"{type(self).__name__}(\\n{inside}\\n)"',
        ),
    },
    "numbers": {
        "numbers-of-any-kind": ("array.dtype.kind not in 'biuf'", "False"),
        "no-unsigned-numbers": ("'biuf'", "'bif'"),
        "large-integers-rounded": ("array.copy()", "array.astype(float64)"),
        "numbers-shared": ("array.copy()", "array"),
        "load-needs-no-detach": ("value.detach() if hasattr(value, 'detach') else value", "value"),
    },
    "clear_grads": {
        "grads-kept": ("parameter.grad = None", "pass"),
        "zeros-for-none": ("parameter.grad is not None", "True"),
        "never-zeros": ("set_to_none", "True"),
        "zeroed-in-place": (
            "parameter.grad = wrap(np.zeros_like(parameter.grad.data))",
            "parameter.grad.data = np.ones_like(parameter.grad.data)",
        ),
    },
    "warn_of_plain_lists": {
        "dicts-not-seen": ("list | tuple | dict", "list | tuple"),
        "lists-of-anything-warned-of": ("isinstance(part, Module)", "True"),
    },
    "Numbered.append": {
        "functions-as-modules": (
            "checks.module(self, number, module, Module)",
            "module",
        ),
        "appended-over-another": ("hasattr(self, str(number))", "False"),
    },
    "ModuleList.__getitem__": {
        "slice-of-modules-is-a-list": (
            "ModuleList(chosen) if isinstance(chosen, list) else chosen",
            "chosen",
        ),
    },
    "one_by_one": {
        "last-module-only": ("input = layer(input)", "output = layer(input)"),
    },
    "Numbered.__len__": {"length-of-children": ("self._submodules()", "list(self.children())")},
    "Sequential.__getitem__": {
        "modules-from-the-end": ("list(self)[index]", "list(self)[::-1][index]"),
        "slice-renumbered": ("setattr(chosen, name, module)", "chosen.append(module)"),
    },
}
