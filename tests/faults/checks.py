"""Faults of checks.py: a condition switched off, or moved by one."""

FAULTS = {
    "supported_dtype": {
        "any-dtype": ("found in RANK", "True"),
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
        "float-dtypes-mixed": (
            "set(dtypes.values()) not in ({float32}, {float64})",
            "not set(dtypes.values()) <= {float32, float64}",
        ),
        "integers-of-one-dtype": (
            "set(dtypes.values()) not in ({float32}, {float64})",
            "len(set(dtypes.values())) > 1",
        ),
        "missing-tensor-is-no-dtype": ("t is not None", "True"),
    },
    "module_dtype": {"module-of-integers": ("np.dtype(dtype) not in (float32, float64)", "False")},
    "may_require_grad": {
        "truth-of-grad": ("not isinstance(value, bool)", "False"),
        "grad-of-integers": ("tensor.dtype.kind != 'f'", "False"),
        "history-cut-off": ("tensor.grad_fn is not None", "False"),
        "constant-stays": ("not value", "True", 0),
    },
    "positive_integers": {
        "any-size": ("not is_integer(size, 1)", "False"),
        "size-0": ("is_integer(size, 1)", "is_integer(size, 0)"),
    },
    "in_range": {
        "nan-in-range": ("not least <= value <= most", "value < least or value > most"),
        "below-the-range": ("not least <= value <= most", "not value <= most"),
        "above-the-range": ("not least <= value <= most", "not least <= value"),
        "border-refused": ("not least <= value <= most", "not least < value < most"),
    },
    "one_of": {
        "any-choice": ("value not in choices", "False"),
        "last-choice-not-named": ("repr", "str"),
    },
    "single_number": {
        "many-numbers": ("getattr(value, 'ndim', 0) > 0", "False"),
        "numbers-only": ("getattr(value, 'ndim', 0) > 0", "getattr(value, 'ndim', -1) >= 0"),
    },
    "one_for_each": {
        "too-few-values": ("len(values) == len(groups)", "len(values) <= len(groups)"),
        "any-number-of-values": ("len(values) == len(groups)", "True"),
        "tuples-are-one-value": ("isinstance(value, list | tuple)", "isinstance(value, list)"),
    },
    "axis": {
        "first-negative-axis": (
            "not -existing <= dim < existing",
            "not -existing < dim < existing",
        ),
        "axis-after-last": ("not -existing <= dim < existing", "not -existing <= dim <= existing"),
        "no-axis-at-all": ("max(ndim, 1)", "ndim"),
        "axis-stays-negative": ("int(dim) % existing", "int(dim)"),
        "several-for-one": ("isinstance(dim, tuple | list)", "False"),
    },
    "axes": {
        "axis-twice": ("len(set(found)) != len(found)", "False"),
        "axes-of-0d": ("found if ndim else ()", "found"),
        "numpy-axis": ("isinstance(dim, int | np.integer)", "isinstance(dim, int)"),
        "none-is-no-axis": ("tuple(range(ndim))", "()"),
    },
    "reduced_axes": {"no-axes": ("axes(dim, ndim) or tuple(range(ndim))", "axes(dim, ndim)")},
    "every_axis": {"some-axes": ("len(dims) != ndim", "False")},
    "sizes": {
        "sizes-in-brackets": ("len(shape) == 1 and isinstance(shape[0], tuple | list)", "False"),
        "sizes-in-a-list": ("tuple | list", "tuple"),
    },
    "expanded_shape": {
        "expand-keeps-1": ("size == -1", "False"),
        "expand-loses-axes": ("new < 0", "False"),
        "expand-new-axis-of-1": ("-1 in result", "False"),
    },
    "has_elements": {
        "extreme-of-nothing": ("(tensor.numel() if whole else tensor.size(dim)) == 0", "False"),
        "extreme-along-nothing": ("dim is None or tensor.ndim == 0", "True"),
        "extreme-of-0d-along": ("tensor.ndim == 0", "False"),
    },
    "is_basic_index": {
        "arrays-are-basic": ("isinstance(part, basic) or part is Ellipsis", "True"),
        "ellipsis-is-an-array": ("slice | int | None", "slice | int | None | list"),
    },
    "condition": {"numbers-as-condition": ("array.dtype != bool_", "False")},
    "joinable": {
        "nothing-joined": ("len(tensors) == 0", "False"),
        "arrays-joined": ("not isinstance(tensor, kind)", "False"),
    },
    "matmul_shapes": {
        "matmul-of-0d": ("min(a.ndim, b.ndim) == 0", "False"),
        "matmul-of-any-shapes": ("a.shape[-1] != b.shape[rows_of_b]", "False"),
    },
    "not_recorded": {
        "refused-though-nothing-is-recorded": ("not recording", "False"),
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
            "kinds.index(result.dtype.kind) > kinds.index(target.dtype.kind)",
            "False",
        ),
        "integers-refused-by-floats": (
            "kinds.index(result.dtype.kind) > kinds.index(target.dtype.kind)",
            "result.dtype.kind != target.dtype.kind",
        ),
        "bools-are-integers": ("'bif'", "'ibf'"),
        "shared-elements": ("not target.data.flags.writeable", "False"),
    },
    "has_shape": {
        "any-shape": ("tensor.shape != shape", "False"),
        "missing-has-no-shape": ("tensor is not None", "True"),
        "shapes-of-one-rank": ("tensor.shape != shape", "tensor.ndim != len(shape)"),
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
        "images-of-any-rank": ("input.ndim != 4", "False"),
        "images-dtypes-mixed": ("one_float_dtype(function, input=input, **others)", "pass"),
        "images-other-dtypes": (
            "one_float_dtype(function, input=input, **others)",
            "one_float_dtype(function, input=input)",
        ),
    },
    "conv2d": {
        "kernels-of-any-rank": ("weight.ndim != 4", "False"),
        "channels-do-not-fit": ("channels != weight.shape[1] * groups", "False"),
        "no-channels": ("min(groups, channels, outputs) < 1", "False"),
        "no-groups": ("min(groups, channels, outputs)", "min(channels, outputs)"),
        "no-outputs": ("min(groups, channels, outputs)", "min(groups, channels)"),
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
        "no-place-for-the-kernel": ("min(window.output) < 1", "False"),
        "place-in-one-axis": ("min(window.output) < 1", "max(window.output) < 1"),
        "one-place-is-none": ("min(window.output) < 1", "min(window.output) < 2"),
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
