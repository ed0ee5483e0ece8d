"""Faults of replay.py: changes that are not noticed, memory used too early, too much or too little."""

FAULTS = {
    "": {"one-kind-more": ("KINDS = 8", "KINDS = 9")},
    "Surroundings.__init__": {
        "other-objects-watched": ("self.visit(part, False)", "self.visit(part, True)"),
        "call-passed-over": ("(function, *methods_of(function))", "(function,)"),
    },
    "Surroundings.visit": {
        "steps-in-a-step-not-watched": ("value = value.step", "pass"),
        "leaves-behind-a-graph-missed": ("self.visit(value.grad_fn, False)", "pass"),
        "modules-of-others-not-watched": ("is_watched = True", "pass"),
        "methods-passed-over": ("self.visit(method, True)", "pass"),
    },
    "Surroundings.is_changed": {
        "arrays-not-compared": ("tensor.data is not data", "False"),
        "frozen-unnoticed": ("tensor.requires_grad is not requires_grad", "False"),
        "longer-unnoticed": ("len(now) != len(before)", "False"),
        "equal-is-the-same": ("map(operator.is_, now, before)", "map(operator.eq, now, before)"),
    },
    "methods_of": {"inherited-passed-over": ("type(value).__mro__", "type(value).__mro__[:1]")},
    "parts_of": {
        "dictionaries-have-no-parts": ("isinstance(value, dict)", "False"),
        "keys-forgotten": ("(*value, *value.values())", "(*value.values(),)"),
        "sets-have-no-parts": ("list | tuple | set", "list | tuple"),
        "arguments-of-a-partial-forgotten": (
            "(value.func, *value.args, *value.keywords.values())",
            "(value.func, *value.keywords.values())",
        ),
        "keywords-of-a-partial-forgotten": (
            "(value.func, *value.args, *value.keywords.values())",
            "(value.func, *value.args)",
        ),
        "methods-have-no-function": (
            "(value.__self__, *methods_of(value.__self__))",
            "(value.__self__,)",
        ),
    },
    "is_of_package": {
        "by-its-module": (
            'own and getattr(module, "__dict__", None) is function.__globals__',
            "own",
        ),
    },
    "global_names": {
        "of-inner-functions-forgotten": ("isinstance(constant, types.CodeType)", "False"),
    },
    "meanings": {"keyword-defaults-forgotten": ("function.__kwdefaults__", "None")},
    "content": {"nothing-yet": ("return None", "raise")},
    "random_states": {
        "of-numpy-forgotten": ("[random.getstate(), repr(old)]", "[random.getstate()]"),
    },
    "State.__init__": {"read-only-restored": ("data.flags.writeable", "True")},
    "State.restore": {
        "gradients-not-restored": ("x._grad = grad", "pass"),
        "chance-not-restored": ("set_rng_state(self.random)", "pass"),
    },
    "State.numbers": {"chance-not-compared": ("[*arrays, get_rng_state().data]", "arrays")},
    "ordered": {
        "decisions-in-their-place": ("call.function is look", "False"),
        "read-after-it-is-changed": ("own & changed", "False"),
        "own-changes-decide": ("its_changes & notes.outside", "False"),
        "changes-forgotten": ("changed |= its_changes", "pass"),
    },
    "with_beginnings": {
        "put-back-too-late": (
            "set(map(key_of, call.arrays())) & waiting.keys()",
            "set(map(key_of, call.changed)) & waiting.keys()",
        ),
    },
    "Plan.move": {
        "all-moves": ("id(memory) not in self.moving", "False"),
        "from-the-beginning": (
            "np.ndarray(array.shape, array.dtype, place, start, array.strides)",
            "np.ndarray(array.shape, array.dtype, place, 0, array.strides)",
        ),
    },
    "Plan.take": {"never-again": ("not fitting", "True")},
    "Program.__init__": {
        "half-a-step-stays": ("before.restore()", "pass", 0),
        "error-of-the-step-hidden": ("step(*args, **options)", "pass"),
        "refused-but-done": ("before.restore()", "pass", 1),
    },
    "Program.note": {
        "caught-errors-forgotten": ("notes.error is not None", "False"),
        "other-chance-unnoticed": ("chance != random_states()", "False"),
        "replaced-arrays-unnoticed": (
            "replaced or self.around.is_changed()",
            "self.around.is_changed()",
        ),
        "changes-outside-unnoticed": ("replaced or self.around.is_changed()", "replaced"),
        "constant-gradients-not-put-back": ("key_of(array) in notes.constant", "False"),
        "no-version": ("key_of(data) in changed", "False"),
    },
    "Program.enter": {
        "parameters-may-change": ("requires_grad", "False", 1),
        "gradients-may-be-added": ("tensor._grad is not None", "False"),
    },
    "Program.leave": {
        "gradients-stay-noted": ("tensor._grad.data = owned(tensor._grad.data)", "pass"),
    },
    "Program.input.<locals>.own": {
        "given-twice": ("id(array) not in known", "True"),
        "in-memory-of-the-callers": ('np.array(array, order="K")', "array"),
        "argument-in-rows": ('order="K"', 'order="C"'),
        "argument-may-change": (
            'notes.fixed[id(copied)] = "the step changes an argument in place: change a clone()"',
            "pass",
        ),
    },
    "Program.take_gradients": {
        "all-are-left": ("x._grad is not grad", "True"),
        "all-are-to-be-missing": (
            "[x for x, grad in before if grad is None]",
            "[x for x, grad in before]",
        ),
        "graphs-of-gradients": ("grad.grad_fn is not None", "False"),
    },
    "Program.references": {
        "array-kept": ("sys.getrefcount(data)", "0"),
        "of-the-parameter-too": ("x._grad is grad", "0"),
    },
    "Program.fits": {
        "changes-unnoticed": ("self.around.is_changed()", "False"),
        "changing-arguments-unnoticed": (
            "any(key_of(x.data) in self.changing for x in tensors)",
            "False",
        ),
        "gradients-unnoticed": ("all(x._grad is None for x in self.without)", "True"),
    },
    "Program.run": {
        "gradients-of-an-earlier-step": ("x._grad = None", "pass"),
        "versions-stay": ("x.version.number += 1", "pass"),
    },
    "map_tensors": {
        "lists-become-tuples": (
            "parts if isinstance(value, list) else tuple(parts)",
            "tuple(parts)",
        ),
        "named-tuples-become-tuples": ('hasattr(value, "_fields")', "False"),
    },
    "plain_value": {"anything": ("isinstance(value, bool | int | float | str)", "True")},
    "owned": {"a-view-of-itself": ("same_place(memory, array)", "False")},
    "check_argument": {
        "gradient-of-an-argument": ("x.requires_grad", "False"),
        "shared-with-an-argument": ("key_of(x.data) in notes.memory", "False"),
        "with-gaps": ("steps(copied) != steps(x.data)", "False"),
    },
    "steps": {"of-axes-that-nobody-walks": ("size > 1", "True")},
    "numbers_of": {
        "shapes-only": (
            "x.data.shape, x.data.dtype, x.data.tobytes()",
            "x.data.shape, x.data.dtype",
        ),
    },
    "own_result": {"graph-returned": ("x.grad_fn is not None and x.grad_fn.parents", "False")},
    "copied": {
        "memory-of-the-program": ('x.data.copy(order="K")', "x.data"),
        "result-in-rows": ('order="K"', 'order="C"'),
    },
    "kind_of": {
        "dtype-not-asked": (
            "data.shape, data.dtype, data.strides, value.requires_grad",
            "data.shape, data.strides, value.requires_grad",
        ),
        "layout-not-asked": (
            "data.shape, data.dtype, data.strides, value.requires_grad",
            "data.shape, data.dtype, value.requires_grad",
        ),
        "gradient-not-asked": (
            "data.shape, data.dtype, data.strides, value.requires_grad",
            "data.shape, data.dtype, data.strides",
        ),
        "lists-are-tuples": ("type(value)", "tuple"),
        "names-not-asked": ("tuple(map(repr, value))", "()"),
        "equal-names-are-alike": ("tuple(map(repr, value))", "tuple(value)"),
        "equal-is-alike": ("repr(plain_value(value))", "plain_value(value)"),
        "text-is-a-number": ("repr(plain_value(value))", "str(plain_value(value))"),
    },
    "repeated": {"by-the-tensors": ("id(x.data)", "id(x)")},
    "Replay.__init__": {"attributes-of-the-step": ("updated=()", "updated=('__dict__',)")},
    "Replay.__call__": {
        "noted-while-noted": ("active.get() is not nobody", "False"),
        "two-at-a-time": ("not self.in_use.acquire(blocking=False)", "False"),
    },
    "Replay.next": {
        "recording-not-asked": ("recording.get()", "None"),
        "the-first-is-forgotten": (
            "program = self.programs[kind] = self.programs.pop(kind)",
            "program = self.programs[kind]",
        ),
    },
    "Replay.first": {
        "all-kinds-kept": ("len(self.programs) == KINDS", "False"),
        "last-one-dropped": ("next(iter(self.programs))", "next(reversed(self.programs))"),
    },
    "Replay.noted": {
        "several-at-a-time": ("not one_at_a_time.acquire(blocking=False)", "False"),
        "waits-for-others": ("blocking=False", "blocking=True"),
        "told-again-and-again": ("self.times == OFTEN", "self.times >= OFTEN"),
        "result-of-the-program": ("map_tensors(program.result, copied)", "program.result"),
    },
    "Replay.compared": {
        "step-after-the-replay": ("before.restore()", "pass"),
        "state-not-compared": ("numbers != before.numbers()", "False"),
        "compared-for-ever": ("program.is_checked = True", "pass"),
    },
}
