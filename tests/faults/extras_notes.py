"""Faults of notes.py: calls that are not noted, noted wrongly, or not refused."""

FAULTS = {
    "": {
        "fill-not-noted": (
            '{"__setitem__", "at", "copyto", "fill"}',
            '{"__setitem__", "at", "copyto"}',
        ),
        "allclose-unknown": (
            '{"__bool__", "allclose", "array_equal", "count_nonzero"}',
            '{"__bool__", "array_equal", "count_nonzero"}',
        ),
        "int-read-unnoticed": (
            '{"__float__", "__index__", "__int__", "item", "tolist"}',
            '{"__float__", "__index__", "item", "tolist"}',
        ),
        "accumulate-refused": (
            '{"__call__", "accumulate", "reduce"}',
            '{"__call__", "reduce"}',
        ),
        "dot-unnoticed": ('{"dot", "nonzero"}', '{"nonzero"}'),
        "lock-lost-in-a-fork": ("held_across_forks(threading.Lock())", "threading.Lock()"),
    },
    "mapped": {
        "arrays-in-lists-missed": ("isinstance(value, tuple | list)", "isinstance(value, tuple)"),
        "lists-become-tuples": (
            "parts if isinstance(value, list) else tuple(parts)",
            "tuple(parts)",
        ),
    },
    "memory_of": {
        "strided-views-are-strangers": ('getattr(base, "base", None)', "None"),
    },
    "same_place": {
        "same-beginning": (
            "a.__array_interface__ == b.__array_interface__",
            'a.__array_interface__["data"] == b.__array_interface__["data"]',
        ),
    },
    "copy_result": {"options-forgotten": ("function(*args, **options)", "function(*args)")},
    "put_back": {"what-it-has-become": ("array.copy()", "array")},
    "look": {"decided-for-good": ("raise Differs", "pass")},
    "with_place": {
        "ufunc-changes-nothing": ("changed=(target,)", "changed=()"),
        "copy-changes-nothing": (
            'Call(np.copyto, (place, source), {"casting": "unsafe"}, (target,))',
            'Call(np.copyto, (place, source), {"casting": "unsafe"})',
        ),
        "result-changes-nothing": (
            "Call(copy_result, (target, *call[:3]), {}, (target,))",
            "Call(copy_result, (target, *call[:3]), {})",
        ),
        "order-ignored": ('"order" not in call.options', "True"),
        "any-copy-by-rows": ('name == "reshape"', "True"),
        "flattened-by-broadcasting": ("place.shape == source.shape", "True"),
        "safe-casts-only": ('{"casting": "unsafe"}', "{}"),
    },
    "Notes.__init__": {"generator-unknown": ("self.know(self.generator)", "pass")},
    "Notes.know": {
        "memory-of-the-view": ("memory = memory_of(array)", "memory = array"),
        "outside-forgotten": ("self.outside.add(id(memory))", "pass"),
    },
    "Notes.made": {
        "one-result-only": (
            "tuple([self.made(part, is_constant) for part in result])",
            "self.made(result[0], is_constant)",
        ),
        "constant-forgotten": ("self.constant.add(id(memory))", "pass"),
        "views-own-memory": ("array is memory", "True"),
        "owners-are-views": ("array is memory", "False"),
    },
    "Notes.plain": {
        "refused-is-used": ("key in self.refused", "False"),
        "strangers-are-used": ("key not in self.memory", "False"),
    },
    "Notes.call": {
        "out-not-noted": ('options.get("out") is not None', "False"),
        "views-are-copies": ("same_memory(result, array)", "False"),
        "view-of-the-same": ("return given", "return result.view(Noted)"),
        "anything-is-a-number": ("not is_numbers(result)", "True"),
        "chance-is-constant": ("not is_random", "True", 0),
        "chance-changes-nothing": (
            "made._replace(changed=(*made.changed, self.generator))",
            "made",
        ),
    },
    "Notes.is_constant": {
        "one-is-enough": (
            "{key_of(array) for array in arrays} <= self.constant",
            "any(key_of(array) in self.constant for array in arrays)",
        ),
    },
    "Notes.check": {
        "masks-allowed": ('name == "__getitem__" and masks', "False"),
        "masks-refused-everywhere": ('name == "__getitem__"', "True"),
        "parts-of-masks-refused": ("call.arrays()[1:]", "call.arrays()"),
        "unknown-allowed": ("not known", "False"),
        "several-results-allowed": ("isinstance(result, tuple) and not is_constant", "False"),
        "several-constants-refused": ("not is_constant", "True"),
    },
    "Notes.note": {
        "errors-ignored": ("errors != self.errors", "False"),
    },
    "Notes.write": {
        "all-arguments-change": ("call.args[:1]", "call.args"),
        "fixed-is-changed": ("id(memory) in self.fixed", "False"),
        "constant-for-ever": ("self.constant.remove(id(memory))", "pass"),
        "constant-not-put-back": ("self.beginnings[id(memory)] = put_back(memory)", "pass"),
        "view-is-put-back": ("put_back(memory)", "put_back(array)"),
    },
    "Notes.read": {
        "constants-are-not-read": ("self.is_constant(call.arrays())", "False"),
        "read-for-good": ("name in READERS", "False"),
        "decision-not-noted": (
            "self.note(Call(look, (call.function, call.args, value), {}))",
            "pass",
        ),
    },
    "Nobody.call": {
        "noted-arrays-again": ("unnoted(args)", "args"),
        "noted-options-again": ("unnoted(options)", "options"),
    },
    "is_numbers": {
        "a-tuple-of-anything": (
            "result if isinstance(result, tuple) else (result,)",
            "(np.zeros(1),) if isinstance(result, tuple) else (result,)",
        ),
    },
    "AnyArray.__instancecheck__": {
        "only-noted-arrays": ("issubclass(type(value), np.ndarray)", "type(value) is Noted"),
    },
    "AnyArray.__call__": {
        "view-not-noted": (
            'active.get().call(np.ndarray, "ndarray", args, options)',
            "np.ndarray(*args, **options)",
        ),
    },
    "Noted.base": {"never-its-own": ("None if self.is_owner else super().base", "super().base")},
    "Noted.__array_ufunc__": {"methods-as-calls": ('method == "__call__"', "True")},
    "Noted.__setitem__": {
        "nothing-is-set": ("same_place(place, value)", "True"),
    },
    "Door.__getattr__": {
        "arrays-are-not-arrays": ("found is np.ndarray", "False"),
        "constants-behind-the-door": ("not callable(found)", "False"),
    },
    "noting": {
        "generator-not-noted": ("(np, generator)", "(np,)"),
        "doors-stay": ("setattr(module, name, original)", "pass"),
    },
    "uses_of": {
        "in-all-modules": ('path.startswith("tinygrad_bn.")', "True"),
        "in-this-folder-too": ('path.startswith("tinygrad_bn.extras.")', "False"),
    },
}
