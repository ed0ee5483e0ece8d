"""Faults of compiler.py: what is joined though it may not be, and what is joined wrongly."""

FAULTS = {
    "pool_relu": {"no-relu": ("relu(pool(x))", "pool(x)")},
    "norm_relu_pool": {
        "training-as-inference": ("norm.training and x.numel() > 0", "False"),
        "nothing-normalized": ("x.numel() > 0", "True"),
        "inference-as-training": ("norm.training", "True"),
        "pooling-forgotten": ("x if pool is None else pool(x)", "x"),
        "relu-forgotten": (
            "relu(norm(x if pool is None else pool(x)))",
            "norm(x if pool is None else pool(x))",
        ),
    },
    "norm_relu_pool_train": {
        "kernel-larger-than-the-image": ("checks.kernel_fits(window)", "pass"),
        "stride-forgotten": ("pool.stride", "pool.kernel_size"),
        "dilation-forgotten": ("pool.dilation", "1"),
        "statistics-of-the-largest": (
            "kernels.batch_norm(x.data, weight.data, bias.data, eps, largest)",
            "kernels.batch_norm(x.data if largest is None else largest, weight.data, bias.data, eps)",
        ),
        "no-relu-in-training": ("kernels.relu(y, y)", "pass"),
        "output-not-noted": ("(x, weight, OUTPUT)", "(x, weight)"),
        "input-not-noted": ("(x, weight, OUTPUT)", "(weight, OUTPUT)"),
        "weight-not-noted": ("(x, weight, OUTPUT)", "(x, OUTPUT)"),
    },
    "norm_relu_pool_train.<locals>.derivative": {
        "gradient-through-relu": ("masked(g, y.data <= 0)", "g"),
        "gradient-at-0": ("y.data <= 0", "y.data < 0"),
        "gradient-not-routed": ("window is not None", "False"),
        "gradient-of-other-statistics": (
            "gradients(g, inputs, mean, var, eps, needed)",
            "gradients(g, inputs, mean, var + 1, eps, needed)",
        ),
    },
    "affine_norm": {
        "folded-while-recorded": ("is_grad_enabled()", "False"),
        "other-axes-folded": ("x.ndim != weights.ndim", "False"),
        "never-folded": ("places < weights[0].size", "True"),
        "weights-changed-for-good": ("copy.copy(before)", "before"),
        "weight-as-it-was": (
            "vars(changed).update(weight=weight, bias=bias)",
            "vars(changed).update(bias=bias)",
        ),
        "bias-as-it-was": (
            "vars(changed).update(weight=weight, bias=bias)",
            "vars(changed).update(weight=weight)",
        ),
    },
    "has_no_padding": {
        "padding": ("pool.padding in (0, (0, 0))", "True"),
        "padding-of-zeros": ("(0, (0, 0))", "(0,)"),
        "ceil-mode": ("not pool.ceil_mode", "True"),
    },
    "is_whole": {
        "nothing-there": (
            "None not in (norm.weight, norm.bias, norm.running_mean, norm.running_var)",
            "True",
        ),
    },
    "never_decreases": {
        "gamma-of-any-sign": ("(norm.weight.data > 0).all()", "True"),
        "gamma-of-0": ("norm.weight.data > 0", "norm.weight.data >= 0"),
        "gamma-of-one-channel": ("(norm.weight.data > 0).all()", "(norm.weight.data > 0).any()"),
        "pooling-with-padding": ("has_no_padding(relu, pool)", "True"),
        "half-a-layer": ("is_whole(norm)", "True"),
    },
    "is_affine": {
        "affine-in-training": ("not norm.training", "True"),
        "affine-without-statistics": ("is_whole(norm)", "True"),
        "other-channels": ("len(before.weight) == norm.num_features", "True"),
    },
    "is_watched": {
        "hooked": ("bool(layer._forward_hooks)", "False"),
        "replaced": ("'forward' in vars(layer)", "False"),
    },
    "groups": {"layers-twice": ("layers[count:]", "layers[1:]")},
    "joined_first": {
        "any-kinds": ("list(map(type, group)) == pattern", "len(group) == len(pattern)"),
        "hooks-ignored": ("any(map(is_watched, group))", "False"),
        "conditions-ignored": ("fits(*group)", "True"),
        "nothing-joined": ("list(map(type, group)) == pattern", "False"),
        "the-first-kind-only": (
            "list(map(type, group)) == pattern",
            "list(map(type, group))[:1] == pattern[:1]",
        ),
    },
    "run": {"no-tensor": ("isinstance(input, Tensor)", "True")},
    "compile": {
        "anything": ("not isinstance(model, Module)", "False"),
        "attributes-of-its-own": (
            "compiled.__dict__ = vars(model)",
            "compiled.__dict__ = dict(vars(model))",
        ),
        "methods-of-no-model": ("(Joined, type(model))", "(Joined, Module)"),
    },
    "Joined.forward": {
        "not-joined": ("runner.set(run)", "runner.set(runner.get())"),
        "joined-for-ever": ("runner.reset(before)", "pass"),
    },
    "Joined.__reduce__": {
        "a-copy-is-the-model": ("(compile, (self._orig_mod,))", "(type(self._orig_mod), ())"),
    },
    "Joined.__repr__": {"joins-not-shown": ("joins(self._orig_mod)", "()")},
    "joins": {
        "a-forward-of-its-own": (
            "forward_of(module) is Sequential.forward",
            "isinstance(module, Sequential)",
        ),
        "names-without-path": ("prefix + name", "name"),
        "only-the-top": ("model._walk()", "[('', model)]"),
        "all-layers-shown": ("len(group) > 1", "True"),
    },
}
