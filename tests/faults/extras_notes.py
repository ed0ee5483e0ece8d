"""Faults of notes.py: calls that are not noted, noted wrongly, or not refused."""

FAULTS = {
    "": {
        "int-read-unnoticed": (
            '{"__float__", "__format__", "__index__", "__int__", "item", "tobytes", "tolist"}',
            '{"__float__", "__format__", "__index__", "item", "tobytes", "tolist"}',
        ),
        "lock-lost-in-a-fork": ("held_across_forks(threading.Lock())", "threading.Lock()"),
    },
    "mapped": {
        "arrays-in-lists-missed": ("isinstance(value, tuple | list)", "isinstance(value, tuple)"),
    },
    "memory_of": {"strided-views-are-strangers": ('getattr(base, "base", None)', "None")},
    "same_place": {
        "same-beginning": (
            "a.__array_interface__ == b.__array_interface__",
            'a.__array_interface__["data"] == b.__array_interface__["data"]',
        ),
    },
    "copy_result": {"options-forgotten": ("function(*args, **options)", "function(*args)")},
    "with_dots": {"numbers-are-copies": ("array[(*parts, ...)]", "array[index]")},
    "put_back": {"what-it-has-become": ("array.copy()", "array")},
    "look": {
        "decided-for-good": ("raise Differs", "pass"),
        "options-forgotten-in-looking": ("function(*args, **options)", "function(*args)"),
    },
    "with_place": {
        "ufunc-changes-nothing": ("changed=(target,)", "changed=()"),
        "order-by-its-place-ignored": ('{"order", "F"}', '{"order"}'),
        "any-copy-by-rows": ('name == "reshape"', "True"),
        "safe-casts-only": ('{"casting": "unsafe"}', "{}"),
    },
    "Notes.__init__": {"generator-unknown": ("self.know(self.generator)", "pass")},
    "Notes.know": {
        "memory-of-the-view": ("memory = memory_of(array)", "memory = array"),
    },
    "Notes.refuse": {
        "the-last-error": ("self.error or ReplayError(message)", "ReplayError(message)"),
    },
    "Notes.made": {
        "one-result-only": (
            "tuple([self.made(part, is_constant) for part in result])",
            "self.made(result[0], is_constant)",
        ),
        "constant-forgotten": ("self.constant.add(id(memory))", "pass"),
        "views-own-memory": ("array is memory", "True"),
    },
    "Notes.plain": {"strangers-are-used": ("key not in self.memory", "False")},
    "Notes.call": {
        "out-not-noted": ('options.get("out") is not None', "False"),
        "views-are-copies": ("same_memory(result, array)", "False"),
        "one-number-is-a-copy": ("isinstance(result, np.generic)", "False"),
        "counts-are-one-decision": (
            "name in DECIDERS and not isinstance(result, np.ndarray)",
            "name in DECIDERS",
        ),
        "changed-without-a-note": ("name in MAKERS", "False"),
        "view-of-the-same": (
            "given if result is array else result.view(Noted)",
            "result.view(Noted)",
        ),
    },
    "Notes.new": {
        "values-are-shapes": (
            'arrays[1:] if name.endswith("_like") else arrays',
            '[] if name.endswith("_like") else arrays',
        ),
        "shapes-are-values": ('arrays[1:] if name.endswith("_like") else arrays', "arrays"),
        "chance-changes-nothing": (
            "made._replace(changed=(*made.changed, self.generator))",
            "made",
        ),
        "masks-allowed": ("any(array.dtype == bool for array in arrays[1:])", "False"),
        "parts-of-masks-refused": (
            "any(array.dtype == bool for array in arrays[1:])",
            "any(array.dtype == bool for array in arrays)",
        ),
        "unknown-allowed": ("not known", "False"),
        "several-results-allowed": ("isinstance(result, tuple) and not is_constant", "False"),
    },
    "Notes.is_constant": {
        "one-is-enough": (
            "{key_of(array) for array in arrays} <= self.constant",
            "any(key_of(array) in self.constant for array in arrays)",
        ),
    },
    "Notes.note": {"errors-ignored": ("errors != self.errors", "False")},
    "Notes.write": {
        "all-arguments-change": ("call.args[:1]", "call.args"),
        "constant-not-put-back": ("self.beginnings[id(memory)] = put_back(memory)", "pass"),
        "view-is-put-back": ("put_back(memory)", "put_back(array)"),
        "several-places-are-one": (
            "given[0] if len(given) == 1 else tuple(given)",
            "given[0] if given else ()",
        ),
    },
    "Notes.read": {
        "read-for-good": ("name in READERS", "False"),
        "decision-not-noted": ("self.note(Call(look, (*call[:3], value), {}))", "pass"),
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
    "Noted.__setitem__": {"nothing-is-set": ("same_place(place, value)", "True")},
    "Door.__getattr__": {
        "arrays-are-not-arrays": ("found is np.ndarray", "False"),
        "constants-behind-the-door": ("not callable(found)", "False"),
    },
    "refused_array": {
        "arrays-of-tensors-unwatched": ("isinstance(notes, Notes)", "False"),
        "refused-to-others-too": ("isinstance(notes, Notes)", "True"),
        "copies-share-memory": ("to_array(x, dtype, copy)", "to_array(x, dtype)"),
    },
    "uses_of": {
        "doors-stay": ("value.original if isinstance(value, Door) else value", "value"),
        "in-all-modules": ('path.startswith("tinygrad_bn.")', "True"),
    },
}
