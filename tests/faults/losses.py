"""Faults of losses.py: softmax, cross-entropy and the mean squared error."""

FAULTS = {
    "log_softmax": {
        "softmax-of-integers": ("checks.one_float_dtype('log_softmax', input=input)", "pass"),
        "overflow": ("input.data.max(axes, keepdims=True)", "0"),
        "softmax-of-nothing": ("input.numel() == 0", "False"),
        "softmax-of-nothing-is-not-copied": ("input.clone()", "input"),
        "softmax-gradient-term": ("y.exp() * g.sum(dim, keepdim=True)", "y.exp()"),
        "softmax-gradient-sign": (
            "g - y.exp() * g.sum(dim, keepdim=True)",
            "g + y.exp() * g.sum(dim, keepdim=True)",
        ),
        "softmax-over-all": (
            "kernels.sum_over(np.exp(shifted), axes, True)",
            "np.exp(shifted).sum(keepdims=True)",
        ),
    },
    "softmax": {"softmax-is-its-log": ("log_softmax(input, dim).exp()", "log_softmax(input, dim)")},
    "Softmax.forward": {
        "layer-softmax-is-its-log": ("softmax(input, self.dim)", "log_softmax(input, self.dim)")
    },
    "LogSoftmax.forward": {"layer-log-softmax-axis": ("self.dim", "-1")},
    "cross_entropy": {
        "reduction-not-checked": (
            "checks.loss_options(reduction, label_smoothing)",
            "checks.loss_options('sum', label_smoothing)",
        ),
        "ignored-is-no-integer": ("checks.integer('ignore_index', ignore_index)", "ignore_index"),
        "smoothing-not-checked": (
            "checks.loss_options(reduction, label_smoothing)",
            "checks.loss_options(reduction)",
        ),
        "unbatched-row": ("losses.squeeze(0) if one_sample else losses", "losses"),
        "scores-not-checked": ("checks.class_scores(input, weight)", "input.shape[1]"),
        "probabilities-not-checked": (
            "checks.class_probabilities(input, target, ignore_index)",
            "pass",
        ),
        "indices-not-checked": ("checks.class_indices(input, target)", "pass"),
        "probabilities-dtype": ("target.to(input.dtype)", "target"),
        "smooth-given": (
            "target.to(input.dtype) * kept + for_each",
            "target.to(input.dtype) * kept",
        ),
        "given-not-smoothed": (
            "target.to(input.dtype) * kept + for_each",
            "target.to(input.dtype) + for_each",
        ),
        "class-axis": ("target.data[:, None]", "target.data[..., None]"),
        "ignored-class": ("labels != ignore_index", "labels != -100"),
        "smoothing": ("one_hot * kept", "one_hot"),
        "smooth-share": ("used * for_each", "0"),
        "smooth-ignored": ("used * for_each", "for_each"),
        "ignored-gradient": ("input = where(used, input, 0.0)", "pass"),
        "weighted-mean": (
            "divisor = total_weight(one_hot, weight)",
            "divisor = total_weight(one_hot, None)",
        ),
        "mean-over-ignored": ("divisor = total_weight(one_hot, weight)", "pass"),
        "some-ignored": ("not 0 < np.count_nonzero(used) == used.size", "not used.any()"),
        "no-samples": ("not 0 < np.count_nonzero(used) == used.size", "not used.all()"),
        "weights-left-out": (
            "wanted = wanted * weight",
            "pass",
        ),
        "weights-on-the-last-axis": ("weight.reshape(1, -1, *[1] * (input.ndim - 2))", "weight"),
        "target-dtype": ("np.empty_like(input.data)", "np.empty(input.shape)"),
    },
    "soft_cross_entropy": {
        "zero-weight": ("where=wanted.data != 0", "where=True"),
        "loss-sign": ("-kernels.sum_over(terms, (1,))", "kernels.sum_over(terms, (1,))"),
        "target-gradient": ("-g.unsqueeze(1) * logp", "g.unsqueeze(1) * logp"),
        "target-gradient-of-probabilities": (
            "-g.unsqueeze(1) * logp",
            "-g.unsqueeze(1) * logp.exp()",
        ),
    },
    "soft_cross_entropy.<locals>.by_input": {
        "gradient": ("logp.exp() * total - wanted", "logp.exp() * total + wanted"),
        "gradient-of-weights": ("logp.exp() * total", "logp.exp()"),
        "gradient-of-one": ("g.unsqueeze(1)", "1.0"),
    },
    "one_hot_rows": {
        "wrong-class": ("checks.known_classes(labels, used, one_hot)", "pass"),
        "ignored-has-a-row": ("(labels == indices) & used", "labels == indices"),
        "classes-from-1": ("np.arange(classes)", "np.arange(1, classes + 1)"),
    },
    "total_weight": {
        "mean-of-nothing": (
            "float(weights.sum(dtype=np.float64)) or math.nan",
            "float(weights.sum(dtype=np.float64))",
        ),
        "counted-without-weights": ("one_hot * weight.data", "one_hot"),
        "weights-without-counts": ("one_hot * weight.data", "weight.data"),
    },
    "reduced": {
        "mean": ("losses.sum() / divisor", "losses.mean()"),
        "sum-is-mean": ("losses.sum()", "losses.mean()", 0),
        "none-is-mean": ("reduction == 'none'", "False"),
        "mean-without-divisor": ("losses.mean()", "losses.sum()"),
    },
    "CrossEntropyLoss.__init__": {
        "layer-reduction-not-checked": (
            "checks.loss_options(reduction, label_smoothing)",
            "checks.loss_options('sum', label_smoothing)",
        ),
        "layer-smoothing-not-checked": (
            "checks.loss_options(reduction, label_smoothing)",
            "checks.loss_options(reduction)",
        ),
        "layer-weight-is-no-buffer": (
            "self.register_buffer('weight', weight)",
            "self.weight = weight",
        ),
    },
    "CrossEntropyLoss.forward": {
        "layer-weight-left-out": ("self.weight", "None"),
        "layer-ignores-the-usual": ("ignore_index=self.ignore_index", "ignore_index=-100"),
        "layer-always-mean": ("reduction=self.reduction", "reduction='mean'"),
        "layer-never-smooth": ("label_smoothing=self.label_smoothing", "label_smoothing=0.0"),
    },
    "mse_loss": {
        "mse-reduction-not-checked": ("checks.loss_options(reduction)", "pass"),
        "mse-broadcasts": ("checks.has_shape('mse_loss', input.shape, target=target)", "pass"),
        "mse-of-integers": (
            "checks.one_float_dtype('mse_loss', difference=difference)",
            "pass",
        ),
        "mse-is-absolute": ("difference * difference", "difference.abs()"),
        "mse-always-mean": (
            "reduced(difference * difference, reduction)",
            "reduced(difference * difference, 'mean')",
        ),
    },
    "MSELoss.__init__": {"layer-mse-not-checked": ("checks.loss_options(reduction)", "pass")},
    "MSELoss.forward": {"layer-mse-always-mean": ("reduction=self.reduction", "reduction='mean'")},
}
