"""Faults of layers.py: linear, the activations, flatten and dropout."""

FAULTS = {
    "linear": {
        "linear-checks-nothing": ("checks.linear(input, weight, bias)", "pass"),
        "many-axes-stay-rows": (
            "linear(rows, weight, bias).reshape(*leading, len(weight))",
            "linear(rows, weight, bias)",
        ),
        "many-axes-without-bias": ("linear(rows, weight, bias)", "linear(rows, weight, None)"),
        "bias-left-out": ("bias.data", "0 * bias.data"),
        "bias-gradient": ("lambda g, y: g", "lambda g, y: -g"),
        "input-gradient": ("g @ weight", "-g @ weight"),
        "weight-gradient": ("g.T @ input", "-g.T @ input"),
        "bias-not-recorded": ("(bias, lambda g, y: g)", "(bias.detach(), lambda g, y: g)"),
    },
    "initial": {
        "initial-range": ("1 / math.sqrt(fan_in)", "1 / fan_in"),
        "initial-range-on-one-side": ("-bound", "0"),
        "initial-dtype": (
            "generator.uniform(-bound, bound, shape).astype(float32)",
            "generator.uniform(-bound, bound, shape)",
        ),
        "initial-normal": (
            "generator.uniform(-bound, bound, shape)",
            "generator.normal(0, bound, shape)",
        ),
    },
    "Linear.__init__": {
        "sizes-not-checked": (
            "checks.positive_integers(in_features=in_features, out_features=out_features)",
            "pass",
        ),
        "weight-transposed": ("(out_features, in_features)", "(in_features, out_features)"),
        "weight-fan-in": (
            "initial((out_features, in_features), in_features)",
            "initial((out_features, in_features), out_features)",
        ),
        "bias-fan-in": (
            "initial((out_features,), in_features)",
            "initial((out_features,), out_features)",
        ),
        "always-a-bias": (
            "initial((out_features,), in_features) if bias else None",
            "initial((out_features,), in_features)",
        ),
    },
    "Linear.forward": {"forward-without-bias": ("self.bias", "None")},
    "Linear.extra_repr": {
        "bias-always-printed": ('f"{sizes}, bias={self.bias is not None}"', 'f"{sizes}, bias=True"')
    },
    "relu": {"relu-is-abs": ("input.relu()", "input.abs()")},
    "sigmoid": {"sigmoid-is-tanh": ("input.sigmoid()", "input.tanh()")},
    "tanh": {"tanh-is-sigmoid": ("input.tanh()", "input.sigmoid()")},
    "ReLU.forward": {"layer-relu-is-abs": ("relu(input)", "input.abs()")},
    "Sigmoid.forward": {"layer-sigmoid-is-tanh": ("sigmoid(input)", "input.tanh()")},
    "Tanh.forward": {"layer-tanh-is-sigmoid": ("tanh(input)", "input.sigmoid()")},
    "Identity.forward": {"identity-is-a-copy": ("return input", "return input.clone()")},
    "Flatten.__init__": {
        "flatten-the-batch": ("1", "0", 0),
        "flatten-one-axis-less": ("-1", "-2"),
    },
    "Flatten.forward": {
        "flatten-to-the-end": (
            "input.flatten(self.start_dim, self.end_dim)",
            "input.flatten(self.start_dim)",
        )
    },
    "dropout": {
        "probability-not-checked": ("checks.in_range(0, 1, p=p)", "pass"),
        "dropout-of-integers": ("checks.one_float_dtype('dropout', input=input)", "pass"),
        "dropout-share": ("p * 65536", "p * 32768"),
        "dropout-rounded-down": ("round(p * 65536)", "int(p * 10) * 6554"),
        "dropout-scale": ("1 / (1 - p)", "1.0"),
        "dropout-in-eval": ("not training", "False"),
        "dropout-of-all-is-nan": ("p == 1", "False"),
        "dropout-dtype": (
            "input.dtype.type(scale)",
            "float(scale) * wrap(kept).double().data.dtype.type(1)",
        ),
        "dropout-gradient": (
            "input * wrap(kept * input.dtype.type(scale))",
            "input + wrap(input.data * (kept * scale - 1).astype(input.dtype))",
        ),
    },
    "Dropout.__init__": {"layer-probability-not-checked": ("checks.in_range(0, 1, p=p)", "pass")},
    "Dropout.forward": {
        "dropout-mode": ("self.training", "True"),
        "dropout-default": ("self.p", "0.5"),
    },
}
