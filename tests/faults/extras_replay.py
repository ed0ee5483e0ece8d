"""Faults of replay.py: changes that are not noticed, memory used too early, too much or too little."""

FAULTS = {
    "": {
        "one-kind-more": ("KINDS = 8", "KINDS = 9"),
    },
    "Surroundings.__init__": {
        "other-objects-watched": ("self.visit(part, False)", "self.visit(part, True)"),
    },
    "Surroundings.visit": {
        "tensors-not-found": (
            "self.tensors.append((value, value.data, value.requires_grad))",
            "pass",
        ),
        "forward-passed-over": ("self.visit(type(value).forward, True)", "pass"),
        "modules-of-others-not-watched": ("is_watched or isinstance(value, Module)", "is_watched"),
        "all-watched": ("is_watched or isinstance(value, Module)", "True"),
        "parts-of-others-watched": ("self.visit(part, is_watched)", "self.visit(part, True)"),
    },
    "Surroundings.keep": {
        "unused-tensors-watched": (
            "[found for found in self.tensors if key_of(found[1]) in used]",
            "self.tensors",
        ),
    },
    "Surroundings.is_changed": {
        "arrays-not-compared": ("tensor.data is not data", "False"),
        "frozen-unnoticed": ("tensor.requires_grad is not requires_grad", "False"),
        "longer-unnoticed": ("len(now) != len(before)", "False"),
        "equal-is-the-same": ("map(operator.is_, now, before)", "map(operator.eq, now, before)"),
    },
    "parts_of": {
        "dictionaries-have-no-parts": ("isinstance(value, dict)", "False"),
        "lists-have-no-parts": ("isinstance(value, list | set)", "isinstance(value, set)"),
        "sets-have-no-parts": ("isinstance(value, list | set)", "isinstance(value, list)"),
        "methods-have-no-function": ("(value.__self__, value.__func__)", "(value.__self__,)"),
    },
    "is_of_package": {
        "by-its-module": (
            'own and getattr(module, "__dict__", None) is function.__globals__',
            "own",
        ),
        "all-functions": (
            'own and getattr(module, "__dict__", None) is function.__globals__',
            'getattr(module, "__dict__", None) is function.__globals__',
        ),
    },
    "global_names": {
        "of-inner-functions-forgotten": ("isinstance(constant, types.CodeType)", "False"),
    },
    "meanings": {
        "closure-forgotten": ("[content(cell) for cell in function.__closure__ or ()]", "[]"),
        "defaults-forgotten": ("function.__defaults__", "None"),
        "keyword-defaults-forgotten": ("function.__kwdefaults__", "None"),
    },
    "content": {"nothing-yet": ("return None", "raise")},
    "State.__init__": {
        "read-only-restored": ("data.flags.writeable", "True"),
    },
    "State.restore": {
        "array-not-restored": ("x.data = data", "pass"),
        "gradients-not-restored": ("x._grad = grad", "pass"),
        "chance-not-restored": ("set_rng_state(self.random)", "pass"),
    },
    "State.numbers": {
        "tensors-not-compared": ("[data for _, data, _ in self.arrays]", "[]"),
        "gradients-not-compared": (
            "[x._grad.data for x, _ in self.grads if x._grad is not None]",
            "[]",
        ),
        "chance-not-compared": ("[*arrays, get_rng_state().data]", "arrays"),
    },
    "ordered": {
        "decisions-in-their-place": ("call.function is look", "False"),
        "read-after-it-is-changed": ("own & changed", "False"),
        "own-changes-decide": ("its_changes & notes.outside", "False"),
        "one-step-back-only": ("needed |= own", "needed = own"),
        "changes-forgotten": ("changed |= its_changes", "pass"),
        "first-ones-twice": ("id(call) not in early", "True"),
    },
    "with_beginnings": {
        "put-back-each-time": ("waiting.pop(key)", "waiting[key]"),
        "put-back-too-late": (
            "set(map(key_of, call.arrays())) & waiting.keys()",
            "set(map(key_of, call.changed)) & waiting.keys()",
        ),
    },
    "Plan.moved": {
        "never-free": ("self.last[key] == i", "False"),
    },
    "Plan.move": {
        "all-moves": ("id(memory) not in self.moving", "False"),
        "from-the-beginning": (
            "np.ndarray(array.shape, array.dtype, place, start, array.strides)",
            "np.ndarray(array.shape, array.dtype, place, 0, array.strides)",
        ),
    },
    "Plan.take": {
        "never-again": ("not fitting", "True"),
    },
    "Program.__init__": {
        "half-a-step-stays": ("before.restore()", "pass", 0),
        "error-of-the-step-hidden": ("step(*args, **options)", "pass"),
        "refused-but-done": ("before.restore()", "pass", 1),
    },
    "Program.note": {
        "replaced-arrays-unnoticed": ("replaced", "False", 1),
        "changes-outside-unnoticed": ("self.around.is_changed()", "False"),
        "beginnings-forgotten": (
            "with_beginnings(ordered(notes), notes.beginnings)",
            "ordered(notes)",
        ),
        "constant-gradients-not-put-back": ("key_of(array) in notes.constant", "False"),
        "no-version": ("key_of(data) in changed", "False"),
        "all-versions": ("key_of(data) in changed", "True"),
        "constants-are-moved": (
            "set(notes.memory) - notes.outside - notes.constant",
            "set(notes.memory) - notes.outside",
        ),
        "results-are-moved": ("[*arrays_of(self.result), *new]", "[*new]"),
    },
    "Program.enter": {
        "parameters-may-change": ("requires_grad", "False", 1),
        "statistics-may-not-change": ("requires_grad", "True", 1),
        "gradients-may-be-added": ("tensor._grad is not None", "False"),
    },
    "Program.leave": {
        "last-one-only": (
            "replaced |= not same_place(tensor.data, data)",
            "replaced = not same_place(tensor.data, data)",
        ),
        "array-stays-noted": ("tensor.data = data", "pass"),
    },
    "Program.input.<locals>.own": {
        "gradient-of-an-argument": ("x.requires_grad", "False"),
        "in-memory-of-the-callers": ('np.array(x.data, order="K")', "x.data"),
        "argument-in-rows": ('order="K"', 'order="C"'),
        "argument-may-change": (
            'notes.fixed[id(array)] = "the step changes an argument in place: change a clone()"',
            "pass",
        ),
    },
    "Program.take_gradients": {
        "never-clears": ("grad is not None", "False"),
        "nothing-to-be-found": ("x._grad is grad or not clears", "False"),
        "cleared-outside": ("x._grad is grad or not clears", "x._grad is grad"),
    },
    "Program.references": {
        "gradient-kept": ("sys.getrefcount(grad)", "0"),
        "of-the-parameter-too": ("x._grad is grad", "0"),
    },
    "Program.fits": {
        "changes-unnoticed": ("self.around.is_changed()", "False"),
        "kept-gradients-unnoticed": ("self.references() != self.at_rest", "False"),
        "gradients-unnoticed": ("all(x._grad is grad for x, grad in self.found)", "True"),
    },
    "Program.run": {
        "versions-stay": ("x.version.number += 1", "pass"),
        "results-of-the-programs": ("map_tensors(self.result, copied)", "self.result"),
    },
    "map_tensors": {
        "lists-become-tuples": (
            "parts if isinstance(value, list) else tuple(parts)",
            "tuple(parts)",
        ),
    },
    "plain_value": {
        "anything": ("isinstance(value, bool | int | float | str)", "True"),
    },
    "owned": {"a-view-of-itself": ("same_place(memory, array)", "False")},
    "own_result": {
        "graph-returned": ("x.grad_fn is not None and x.grad_fn.parents", "False"),
        "finished-graph-refused": ("x.grad_fn.parents", "True"),
    },
    "copied": {
        "memory-of-the-program": ('x.data.copy(order="K")', "x.data"),
        "result-in-rows": ('order="K"', 'order="C"'),
    },
    "kind_of": {
        "dtype-not-asked": (
            "value.data.shape, value.data.dtype, value.data.strides",
            "value.data.shape, value.data.strides",
        ),
        "layout-not-asked": (
            "value.data.shape, value.data.dtype, value.data.strides",
            "value.data.shape, value.data.dtype",
        ),
        "names-not-asked": ("(name, kind_of(part, tensors))", "kind_of(part, tensors)"),
        "type-not-asked": ("(type(value), plain_value(value))", "plain_value(value)"),
    },
    "Replay.__init__": {
        "attributes-of-the-step": ("updated=()", "updated=('__dict__',)"),
    },
    "Replay.__call__": {
        "noted-while-noted": ("active.get() is not nobody", "False"),
        "two-at-a-time": ("not self.in_use.acquire(blocking=False)", "False"),
    },
    "Replay.next": {
        "recording-not-asked": (
            "(recording.get(), kind_of((args, options), tensors))",
            "kind_of((args, options), tensors)",
        ),
        "result-of-the-program": ("map_tensors(program.result, copied)", "program.result"),
        "always-fits": ("not program.fits()", "False"),
    },
    "Replay.first": {
        "all-kinds-kept": ("len(self.programs) == KINDS", "False"),
        "last-one-dropped": ("next(iter(self.programs))", "next(reversed(self.programs))"),
    },
    "Replay.compared": {
        "step-after-the-replay": ("before.restore()", "pass"),
        "results-not-compared": ("all(alike)", "True"),
        "state-not-compared": ("numbers != before.numbers()", "False"),
        "compared-for-ever": ("program.is_checked = True", "pass"),
    },
}
