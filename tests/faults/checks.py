"""Faults of checks.py: a condition switched off, or moved by one."""

PLACES = "min(window.output + window.image) < 1"

FAULTS = {
    "supported_dtype": {
        "any-dtype": ("found in SUPPORTED", "True"),
        "no-dtype-at-all": ("found = dtype", "raise"),
        "dtype-not-numpys": ("return found", "return dtype"),
    },
    "number_dtype": {
        "truth-is-an-integer": ("(bool, bool_)", "(bool, int64)"),
        "python-float-is-double": ("(float, float32)", "(float, float64)"),
        "anything-is-a-number": (
            "raise TypeError(f'cannot combine a tensor with {type(value).__name__} {value!r}')",
            "return float32",
        ),
    },
    "one_float_dtype": {
        "float-dtypes-mixed": ("dtypes.count(first) != len(dtypes)", "False"),
        "integers-of-one-dtype": ("first not in (float32, float64)", "False"),
        "missing-tensor-is-no-dtype": ("t is not None", "True", 0),
    },
    "module_dtype": {"module-of-integers": ("np.dtype(dtype) not in (float32, float64)", "False")},
    "may_require_grad": {
        "truth-of-grad": ("flag(requires_grad=value)", "pass"),
        "grad-of-integers": ("tensor.dtype.kind != 'f'", "False"),
        "history-cut-off": ("tensor.grad_fn is not None", "False"),
        "constant-stays": ("not value", "True", 0),
    },
    "positive_integers": {
        "any-size": ("not is_integer(size, 1)", "False"),
        "size-0": ("is_integer(size, 1)", "is_integer(size, 0)"),
    },
    "in_range": {
        "text-in-range": ("not hasattr(value, '__float__')", "False"),
        "nan-in-range": ("not least <= value <= most", "value < least or value > most"),
        "below-the-range": ("not least <= value <= most", "not value <= most"),
        "above-the-range": ("not least <= value <= most", "not least <= value"),
        "border-refused": ("not least <= value <= most", "not least < value < most"),
    },
    "single_number": {
        "many-numbers": ("getattr(value, 'ndim', 0) > 0", "False"),
        "numbers-only": ("getattr(value, 'ndim', 0) > 0", "getattr(value, 'ndim', -1) >= 0"),
    },
    "one_for_each": {
        "too-few-values": ("len(values) != len(groups)", "len(values) > len(groups)"),
        "any-number-of-values": ("len(values) != len(groups)", "False"),
        "values-of-the-first": ("own[name] = one", "own[name] = values[0]"),
        "any-values": ("in_range(0, math.inf, **{name: one})", "pass"),
        "first-option-checked": (
            "in_range(0, math.inf, **{name: one})",
            "in_range(0, math.inf, **(own or {name: one}))",
        ),
        "tuples-are-one-value": ("isinstance(value, list | tuple)", "isinstance(value, list)"),
    },
    "axis": {
        "first-negative-axis": (
            "not -existing <= place < existing",
            "not -existing < place < existing",
        ),
        "axis-after-last": (
            "not -existing <= place < existing",
            "not -existing <= place <= existing",
        ),
        "no-axis-at-all": ("max(ndim, 1)", "ndim"),
        "axis-stays-negative": ("place % existing", "place"),
        "any-axis": ("integer('dim', dim)", "dim"),
    },
    "axes": {
        "axis-twice": ("len(set(found)) != len(found)", "False"),
        "axes-of-0d": ("found if ndim else ()", "found"),
        "one-axis-is-none": ("dim if isinstance(dim, (tuple, list)) else [dim]", "dim"),
        "none-is-no-axis": ("tuple(range(ndim))", "()"),
    },
    "reduced_axes": {"no-axes": ("axes(dim, ndim) or tuple(range(ndim))", "axes(dim, ndim)")},
    "every_axis": {"some-axes": ("len(dims) != ndim", "False")},
    "integer": {
        "true-is-1": ("isinstance(value, bool | np.bool_)", "False"),
        "half-an-integer": ("not hasattr(value, '__index__')", "not hasattr(value, '__int__')"),
    },
    "are_tensors": {
        "nothing-is-a-tensor": ("value is not None", "False"),
        "none-is-no-tensor": ("value is not None", "True"),
    },
    "flag": {"any-flag": ("isinstance(value, bool)", "True")},
    "holds_float64": {
        "floats-of-numpys-not-seen": ("types <= {int, float, bool}", "True"),
        "lists-not-looked-into": (
            "any(holds_float64(part) for part in data)",
            "np.float64 in types",
        ),
        "no-dtype-is-float64": ("getattr(data, 'dtype', float32)", "getattr(data, 'dtype', None)"),
    },
    "only_cpu": {
        "any-device": ("str(device) != 'cpu'", "False"),
        "no-device-is-one": ("device is not None", "True"),
    },
    "dtype_to": {
        "devices-are-dtypes": ("value not in np.sctypeDict", "False"),
        "dtypes-are-devices": ("value not in np.sctypeDict", "True"),
        "flags-are-dtypes": ("isinstance(value, bool)", "False"),
        "device-not-looked-at": ("only_cpu(device)", "pass"),
    },
    "no_bools": {
        "bools-subtracted": ("isinstance(operand, bool)", "False"),
        "bool-tensors-subtracted": ("getattr(operand, 'dtype', None) == bool_", "False"),
    },
    "bound": {"bounds-of-any-kind": ("isinstance(value, int | float | np.number | None)", "True")},
    "matmul_dtype": {
        "product-of-two-dtypes": ("other != dtype", "False"),
        "product-of-bools": ("dtype == bool_", "False"),
        "product-with-an-array": ("hasattr(b, 'grad_fn')", "hasattr(b, 'dtype')"),
    },
    "steps": {
        "steps-between-bools": ("dtype == bool_", "False"),
        "steps-cut-off-to-none": ("whole and int(step) == 0", "False"),
        "steps-of-anything": ("in_range(-most, most, start=start, end=end, step=step)", "pass"),
        "steps-beyond-int64": (
            "np.iinfo(int64).max if whole else sys.float_info.max",
            "sys.float_info.max",
        ),
        "steps-of-large-floats-refused": (
            "np.iinfo(int64).max if whole else sys.float_info.max",
            "np.iinfo(int64).max",
        ),
        "steps-standing-still": ("step == 0", "False"),
        "steps-backwards": ("(end - start) * step < 0", "False"),
    },
    "integers": {
        "integers-in-brackets": (
            "len(given) == 1 and isinstance(given[0], (tuple, list))",
            "False",
        ),
        "integers-in-a-list": ("(tuple, list)", "tuple"),
        "integers-of-any-kind": ("set(map(type, values)) <= {int}", "True"),
    },
    "extreme": {
        "extreme-of-a-tensor": ("hasattr(dim, 'grad_fn')", "False"),
        "extreme-keeps-no-dim": ("keepdim and dim is None", "False"),
        "extreme-keeps-nothing": ("dim is None", "True"),
    },
    "has_powers": {
        "negative-powers": ("(b.data < 0).any()", "False"),
        "negative-powers-of-floats-refused": ("a.data.dtype == int64", "True"),
    },
    "equal_shapes": {
        "stacked-as-they-are": ("len({tensor.shape for tensor in tensors}) > 1", "False")
    },
    "can_be_an_index": {
        "several-as-an-index": ("tensor.data.size != 1", "False"),
        "float-as-an-index": ("tensor.data.dtype.kind == 'f'", "False"),
    },
    "has_no_graph": {"graphs-copied": ("tensor.grad_fn is not None", "False")},
    "stays": {"replaced-by-none-refused": ("kind | None", "kind")},
    "module": {"anything-is-a-module": ("not isinstance(value, kind)", "False")},
    "new_buffer": {
        "buffer-of-anything": ("stays(owner, name, value, kind)", "pass"),
        "buffer-with-a-dot": ("'.' in name", "False"),
        "buffer-over-an-attribute": ("hasattr(owner, name)", "False"),
        "buffer-not-replaced": ("name not in owner._buffers", "True"),
    },
    "saved": {
        "state-of-any-type": ("not isinstance(state, Mapping)", "False"),
        "state-of-nothing": ("name not in state", "False"),
    },
    "param_group": {
        "group-of-any-type": ("not isinstance(group, dict)", "False"),
        "group-without-parameters": ("'params' not in group", "False"),
        "group-without-order": ("isinstance(group['params'], set)", "False"),
    },
    "schedule_state": {
        "schedule-state-of-nothing": ("saved(schedule, state, 'base_lrs', 'last_epoch')", "pass"),
        "schedule-state-of-another": ("unknown", "False", 1),
        "schedule-state-unset-refused": (
            "value and not option.startswith('_')",
            "not option.startswith('_')",
        ),
        "schedule-state-private-refused": ("value and not option.startswith('_')", "value"),
    },
    "has_a_cycle": {"cycle-of-nothing": ("'max_lr' not in group", "False")},
    "saved_groups": {"saved-groups-of-any-size": ("sizes != saved_sizes", "False")},
    "remembered": {
        "remembered-of-any-shape": ("array.shape != parameter.shape", "False"),
        "remembered-numbers-refused": ("array.ndim > 0", "True"),
    },
    "features_are_channels": {"features-anywhere": ("input.ndim != 2", "False")},
    "sizes": {
        "sizes-negative": ("min(found, default=0) < least", "False"),
        "sizes-of-nothing": ("default=0", "default=-9"),
    },
    "axis_with_elements": {
        "extreme-of-nothing": (
            "tensor.numel() == 0 and (place is None or tensor.shape[place] == 0)",
            "False",
        ),
        "extreme-along-nothing": ("place is None or tensor.shape[place] == 0", "True"),
        "extreme-of-all-nothing": ("place is None", "False"),
        "extreme-of-0d-along": ("tensor.numel() == 0", "True"),
        "extreme-outside": ("axis(dim, tensor.ndim)", "int(dim) % max(tensor.ndim, 1)"),
    },
    "condition": {"numbers-as-condition": ("array.dtype != bool_", "False")},
    "joinable": {
        "nothing-joined": ("len(tensors) == 0", "False"),
        "one-tensor-joined": ("isinstance(tensors, kind)", "False"),
        "arrays-joined": ("not isinstance(tensor, kind)", "False"),
    },
    "matmul_shapes": {
        "matmul-of-0d": ("min(a.ndim, b.ndim) == 0", "False"),
        "matmul-of-any-shapes": ("a.shape[-1] != b.shape[rows_of_b]", "False"),
    },
    "not_recorded": {
        "refused-though-nothing-is-recorded": ("not recording.get()", "False"),
        "never-refused": ("not recording.get()", "True"),
        "leaf-changed": ("target.requires_grad and target.grad_fn is None", "False"),
        "recorded-target-changed": (
            "target.requires_grad or result.requires_grad",
            "result.requires_grad",
        ),
        "recorded-result-written": (
            "target.requires_grad or result.requires_grad",
            "target.requires_grad",
        ),
        "any-tensor-is-a-leaf": ("target.grad_fn is None", "True"),
    },
    "can_hold": {
        "no-room": ("np.broadcast_shapes(target.shape, result.shape) != target.shape", "False"),
        "floats-into-integers": (
            "not np.can_cast(result.dtype, target.dtype, 'same_kind')",
            "False",
        ),
        "into-fewer-bits-refused": ("'same_kind'", "'safe'"),
        "integers-into-bools": ("'same_kind'", "'unsafe'"),
        "shared-elements": ("not target.data.flags.writeable", "False"),
    },
    "has_shape": {
        "any-shape": ("tensor.data.shape != shape", "False"),
        "missing-has-no-shape": ("tensor is not None", "True"),
        "shapes-of-one-rank": ("tensor.data.shape != shape", "tensor.ndim != len(shape)"),
    },
    "is_constant": {"constants-need-grad": ("tensor.requires_grad", "False")},
    "linear": {
        "linear-weight-of-any-rank": ("weight.ndim != 2", "False"),
        "linear-input-of-any-size": ("input.shape[-1] != weight.shape[1]", "False"),
        "linear-of-0d": ("input.ndim == 0", "False"),
        "linear-bias-of-any-shape": ("has_shape('linear', weight.shape[:1], bias=bias)", "pass"),
        "linear-dtypes-mixed": (
            "one_float_dtype('linear', input=input, weight=weight, bias=bias)",
            "pass",
        ),
        "linear-bias-of-any-dtype": ("bias=bias", "bias=None", 1),
    },
    "images": {
        "images-of-any-rank": ("input.ndim not in (3, 4)", "False"),
        "images-dtypes-mixed": ("one_float_dtype(function, input=input, **others)", "pass"),
        "images-other-dtypes": (
            "one_float_dtype(function, input=input, **others)",
            "one_float_dtype(function, input=input)",
        ),
    },
    "conv2d": {
        "kernels-of-any-rank": ("weight.ndim != 4", "False"),
        "channels-do-not-fit": ("channels != weight.shape[1] * groups", "False"),
        "no-channels": ("min(channels, outputs) < 1", "False"),
        "groups-of-any-kind": ("positive_integers(groups=groups)", "pass"),
        "no-outputs": ("min(channels, outputs)", "channels"),
        "outputs-and-groups": ("outputs % groups", "0"),
        "conv-bias-of-any-shape": ("has_shape('conv2d', (outputs,), bias=bias)", "pass"),
        "conv-bias-of-any-dtype": ("bias=bias", "bias=None", 0),
    },
    "conv2d_layer": {
        "layer-sizes": (
            "positive_integers(in_channels=channels, out_channels=outputs, groups=groups)",
            "pass",
        ),
        "layer-groups-not-checked": ("groups=groups", "groups=1"),
        "layer-inputs-and-groups": ("channels % groups", "0"),
        "layer-outputs-and-groups": ("outputs % groups", "0"),
        "layer-padding-mode": ("padding_mode != 'zeros'", "False"),
    },
    "kernel_fits": {
        "no-place-for-the-kernel": (PLACES, "False"),
        "place-in-one-axis": (PLACES, "max(window.output) < 1"),
        "one-place-is-none": (PLACES, "min(window.output) < 2"),
        "images-of-no-pixels": (PLACES, "min(window.output) < 1"),
    },
    "pool_padding": {
        "windows-of-padding": (
            "2 * top > window.kernel[0] or 2 * left > window.kernel[1]",
            "False",
        ),
        "half-of-the-kernel": ("2 * top > window.kernel[0]", "2 * top >= window.kernel[0]"),
        "padding-above-only": ("2 * left > window.kernel[1]", "False"),
        "padding-left-only": ("2 * top > window.kernel[0]", "False"),
    },
    "loss_options": {
        "any-reduction": ("reduction not in ('mean', 'sum', 'none')", "False"),
        "any-smoothing": ("in_range(0, 1, label_smoothing=label_smoothing)", "pass"),
    },
    "class_scores": {
        "no-classes": ("input.shape[1] == 0", "False"),
        "scores-of-any-rank": ("input.ndim < 2", "False"),
        "weights-of-another-dtype": (
            "one_float_dtype('cross_entropy', input=input, weight=weight)",
            "pass",
        ),
        "weights-of-any-shape": (
            "has_shape('cross_entropy', input.shape[1:2], weight=weight)",
            "pass",
        ),
        "weights-need-grad": ("is_constant('cross_entropy', weight=weight)", "pass"),
    },
    "class_probabilities": {
        "probabilities-of-any-shape": ("target.shape != input.shape", "False"),
        "probabilities-with-an-index": ("ignore_index >= 0", "False"),
        "index-0-for-probabilities": ("ignore_index >= 0", "ignore_index > 0"),
    },
    "class_indices": {
        "indices-of-bools": ("target.dtype != int64", "False"),
        "indices-of-any-shape": (
            "has_shape('cross_entropy', (input.shape[0], *input.shape[2:]), target=target)",
            "pass",
        ),
    },
    "known_classes": {
        "unknown-classes": ("np.count_nonzero(one_hot) != np.count_nonzero(used)", "False"),
        "first-label-named": ("labels[used & ~one_hot.any(1, keepdims=True)]", "labels[used]"),
        "ignored-label-named": (
            "labels[used & ~one_hot.any(1, keepdims=True)]",
            "labels[~one_hot.any(1, keepdims=True)]",
        ),
        "known-labels-refused": (
            "np.count_nonzero(one_hot) != np.count_nonzero(used)",
            "np.count_nonzero(one_hot) != used.size",
        ),
    },
    "batch_norm": {
        "vectors-normalized": ("input.ndim < 2", "False"),
        "eps-below-0": ("in_range(0, math.inf, eps=eps)", "pass"),
        "dtypes-mixed": (
            "one_float_dtype('batch_norm', input=input, **affine, **statistics)",
            "pass",
        ),
        "statistics-of-another-dtype": (
            "one_float_dtype('batch_norm', input=input, **affine, **statistics)",
            "one_float_dtype('batch_norm', input=input, **affine)",
        ),
        "statistics-of-any-shape": (
            "has_shape('batch_norm', input.shape[1:2], **affine, **statistics)",
            "has_shape('batch_norm', input.shape[1:2], **affine)",
        ),
        "gamma-of-any-shape": (
            "has_shape('batch_norm', input.shape[1:2], **affine, **statistics)",
            "has_shape('batch_norm', input.shape[1:2], **statistics)",
        ),
        "moving-statistic-needs-grad": ("is_constant('batch_norm', **statistics)", "pass"),
    },
    "values_per_channel": {
        "one-value": ("count == 1", "False"),
        "one-image": ("shape[0] * math.prod(shape[2:])", "shape[0]"),
        "no-value": ("count == 1", "count <= 1"),
        "two-values": ("count == 1", "count == 2"),
    },
    "channels": {
        "any-rank": ("input.ndim not in kinds", "False"),
        "any-channels": ("input.shape[1] != layer.num_features", "False"),
    },
    "parameters": {
        "array-optimised": ("not isinstance(parameter, kind)", "False"),
        "computed-optimised": ("parameter.grad_fn is not None", "False"),
        "optimised-twice": ("id(parameter) in known", "False"),
        "twice-in-one-group": ("known.add(id(parameter))", "pass"),
    },
    "has_momentum": {"no-momentum": ("'momentum' not in optimizer.defaults", "False")},
}
