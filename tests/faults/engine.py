"""Faults of engine.py: what is recorded, the order of the walk, who owns a gradient."""

FAULTS = {
    "Node.__init__": {
        "node-without-name": ("self.name = name", "self.name = ''"),
        "node-without-arguments": ("self.arguments = arguments", "self.arguments = {}"),
        "node-shapes-reversed": ("tensor.data.shape", "tensor.data.shape[::-1]"),
        "node-dtypes-of-arrays": ("tensor.data.dtype", "np.dtype('float32')"),
        "node-number-of-all": ("next(_creation_order)", "0"),
        "edges-to-tensors": ("x.grad_fn or x", "x"),
        "edges-to-constants": ("x._requires_grad", "True"),
    },
    "Node.gradients": {
        "vjp-swapped": ("derivative(g, y)", "derivative(y, g)"),
        "joint-needed-reversed": (
            "self.derivative(g, y, needed)",
            "self.derivative(g, y, needed[::-1])",
        ),
        "joint-swapped": ("self.derivative(g, y, needed)", "self.derivative(y, g, needed)"),
        "output-without-history": ("y is not None and recording.get()", "False"),
        "output-made-by-nobody": ("(self, True)", "(None, True)"),
    },
    "Node.release": {
        "release-keeps-the-derivatives": (
            "self.parents = self.derivative = self.used = ()",
            "self.parents = self.used = ()",
        ),
        "release-keeps-the-inputs": (
            "self.parents = self.derivative = self.used = ()",
            "self.derivative = self.used = ()",
        ),
        "release-keeps-the-used": (
            "self.parents = self.derivative = self.used = ()",
            "self.parents = self.derivative = ()",
        ),
        "release-keeps-the-output": ("self.output = None", "pass"),
        "release-forgets-the-shapes": (
            "self.parents = self.derivative = self.used = ()",
            "self.parents = self.derivative = self.used = self.shapes = ()",
        ),
        "release-forgets-the-arguments": (
            "self.parents = self.derivative = self.used = ()",
            "self.parents = self.derivative = self.used = ()\nself.arguments = {}",
        ),
    },
    "Node.__repr__": {
        "node-printed-without-inputs": (
            "f\"<{self.name} of {', '.join(f'{dtype} {shape}' for dtype, shape in inputs)}>\"",
            'f"<{self.name}>"',
        ),
    },
    "is_grad_enabled": {"always-enabled": ("recording.get()", "True")},
    "grad_mode.__enter__": {
        "grad-mode-ignored": ("recording.set(self.enabled)", "recording.set(True)"),
        "grad-mode-entered-once": (
            "self.before.append(recording.get())",
            "self.before[:] = [True]",
        ),
    },
    "grad_mode.__exit__": {
        "no-grad-nested": ("self.before.pop()", "True"),
        "no-grad-for-ever": ("recording.set(self.before.pop())", "pass"),
        "no-grad-first-entered": ("self.before.pop()", "self.before.pop(0)"),
    },
    "grad_mode.__call__": {
        "no-grad-generator-outside": ("inspect.isgeneratorfunction(function)", "False"),
    },
    "grad_mode.resumed": {
        "generator-without-result": ("return stop.value", "return None"),
        "generator-sent-nothing": (
            "steps.send, (yield value)",
            "steps.send, ((yield value), None)[1]",
        ),
        "generator-error-swallowed": ("steps.throw, error", "steps.send, None"),
        "generator-recording": ("grad_mode(self.enabled)", "grad_mode(True)"),
    },
    "Node.check_unchanged": {
        "changes-unnoticed": ("changed.version.number != version", "False"),
        "unneeded-refused": ("i is None or needed[i]", "True"),
        "joint-changes-unnoticed": ("i is None or needed[i]", "i is not None and needed[i]"),
        "output-unnoticed": ("self.output if tensor is OUTPUT else tensor", "tensor"),
    },
    "Node.role_of": {
        "role-of-the-first": ("parent is source", "True"),
        "output-called-remembered": ("tensor is OUTPUT", "False"),
    },
    "no_grad": {"no-grad-records": ("grad_mode(False)", "grad_mode(True)")},
    "operations_behind": {
        "oldest-first": ("node.number", "-node.number"),
        "released-graph-unnoticed": ("source.parents", "True", 0),
        "input-behind-release": ("source not in set(wanted)", "True"),
        "released-graph-passed-over": ("source not in set(wanted)", "False"),
    },
    "leaves_of": {
        "grads-for-operations": ("isinstance(source, Node | None)", "source is None"),
        "grads-for-constants": ("leaf.requires_grad", "True"),
        "leaf-as-output": ("dict.fromkeys(outputs)", "{}"),
    },
    "steps_towards": {
        "one-step-only": ("on_path.add(node)", "pass"),
        "only-next-to-the-wanted": ("parent in on_path", "parent in set(wanted)"),
    },
    "unbroadcast": {
        "unaligned-broadcast": ("new + axis", "axis"),
        "leading-axes-kept": ("(*range(new), *repeated)", "(*repeated,)"),
        "repeated-axes-kept": ("size == 1", "size < 1"),
        "all-axes-are-new": ("g.data.ndim - len(shape)", "g.data.ndim"),
    },
    "hand_back": {
        "last-path-only": ("grads[parent] + part", "part"),
        "paths-subtracted": ("grads[parent] + part", "grads[parent] - part"),
        "gradient-dtype": ("part.data.dtype != dtype", "False"),
        "same-rank-not-unbroadcast": (
            "part.data.shape != shape",
            "part.data.ndim != len(shape)",
        ),
        "only-the-first-input": ("part is None", "part is None or parent is not node.parents[0]"),
    },
    "differentiate": {
        "same-output-twice": ("grads[output] + seed", "seed"),
        "inner-input-lost": (
            "grads[node] if node in kept else grads.pop(node)",
            "grads.pop(node)",
        ),
        "oldest-step-first": ("steps.pop()", "steps.pop(0)"),
        "never-released": ("not retain_graph", "False"),
        "always-released": ("not retain_graph", "True"),
        "always-recorded": ("grad_mode(create_graph)", "grad_mode(True)"),
        "never-recorded": ("grad_mode(create_graph)", "grad_mode(False)"),
        "given-inputs-unknown-to-the-search": ("wanted or ()", "()"),
    },
    "check_gradient": {
        "array-as-gradient": ("not hasattr(gradient, 'grad_fn')", "False"),
        "gradient-of-another-shape": ("gradient.data.shape != tensor.data.shape", "False"),
        "gradient-of-another-dtype": ("gradient.data.dtype != tensor.data.dtype", "False"),
    },
    "seed_for": {
        "nothing-recorded-unnoticed": ("not output.requires_grad", "False"),
        "vector-of-one": ("output.data.size != 1", "output.data.ndim"),
        "vector-without-gradient": ("output.data.size != 1", "False"),
        "seed-of-zeros": ("np.ones_like(output.data)", "np.zeros_like(output.data)"),
        "seed-in-memory-of-the-output": (
            "one.data = np.ones_like(output.data)",
            "one.data[...] = 1",
        ),
        "seed-of-anything": ("check_gradient(gradient, output)", "pass"),
        "seed-of-caller": ("gradient.clone()", "gradient"),
        "seed-without-history": ("grad_mode(create_graph)", "grad_mode(False)"),
        "seed-always-recorded": ("grad_mode(create_graph)", "grad_mode(True)"),
    },
    "backward": {
        "create-releases": ("retain_graph or create_graph", "retain_graph"),
        "retain-forgotten": ("retain_graph or create_graph", "create_graph"),
        "create-forgotten": (
            "differentiate([source_of(self)], [seed], None, retain, create_graph)",
            "differentiate([self], [seed], None, retain, False)",
        ),
        "no-accumulation": ("before + g", "g"),
        "shared-grads": ("id(g.data) in taken", "False"),
        "shared-grads-forgotten": ("taken.add(id(g.data))", "pass"),
        "read-only-grads": ("g.data.base is not None", "False"),
        "views-as-grads": ("g.data.base is not None", "not g.data.flags.writeable"),
        "grads-without-history": ("grad_mode(create_graph)", "grad_mode(False)"),
        "accumulated-in-place": ("g = before + g", "before.data += g.data\ng = before"),
    },
    "as_list": {
        "tuple-is-one-tensor": ("isinstance(value, tuple | list)", "isinstance(value, list)")
    },
    "grad": {
        "one-gradient-for-many-outputs": ("len(given) != len(outs)", "False"),
        "input-without-grad": ("not tensor.requires_grad", "False"),
        "retain-by-default": ("create_graph if retain_graph is None else retain_graph", "True"),
        "create-does-not-retain": (
            "create_graph if retain_graph is None else retain_graph",
            "bool(retain_graph)",
        ),
        "retain-has-no-say": (
            "create_graph if retain_graph is None else retain_graph",
            "create_graph",
        ),
        "unused-is-an-error": ("not allow_unused", "True"),
        "unused-is-never-an-error": ("not allow_unused", "False"),
        "gradients-reversed": (
            "tuple(map(found.get, sources))",
            "tuple(map(found.get, sources[::-1]))",
        ),
        "given-gradients-ignored": ("as_list(grad_outputs)", "[None] * len(outs)"),
        "seeds-of-the-first": (
            "seed_for(out, g, create_graph)",
            "seed_for(out, given[0], create_graph)",
        ),
    },
}
