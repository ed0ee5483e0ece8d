"""Faults of inference.py: the population's statistics, and folding."""

FAULTS = {
    "population_statistics": {
        "population-in-place": ("copy.deepcopy(model).eval()", "model.eval()"),
        "population-recorded": ("copy.deepcopy(model).eval()", "copy.deepcopy(model).train()"),
        "population-of-tuples": ("batch[0] if isinstance(batch, tuple | list) else batch", "batch"),
        "population-of-nothing": ("not inputs", "False"),
        "population-of-no-layers": ("not layers", "False"),
        "population-not-handed-back": ("layer.load_state_dict(tried.state_dict())", "pass"),
        "population-of-the-last-layer": (
            "dict.fromkeys(called)",
            "list(dict.fromkeys(called))[-1:]",
        ),
        "population-in-reverse": ("dict.fromkeys(called)", "list(dict.fromkeys(called))[::-1]"),
        "order-of-definition": ("dict.fromkeys(called)", "trials"),
        "order-of-names": (
            "dict.fromkeys(called)",
            "[layer for layer in trials if layer in called]",
        ),
        "order-of-last-calls": (
            "dict.fromkeys(called)",
            "list(dict.fromkeys(called[::-1]))[::-1]",
        ),
        "population-with-a-graph": (
            "no_grad()",
            "copy.copy(__import__('contextlib').nullcontext())",
        ),
    },
    "tracking_layers": {
        "layers-without-statistics": ("layer.running_var is not None", "True"),
        "layers-switched-off": ("layer.track_running_stats", "True"),
        "layers-of-the-top": ("model.modules()", "model.children()"),
    },
    "watched": {
        "first-batch-only": ("inputs", "inputs[:1]"),
        "last-layer-only": ("layers", "layers[-1:]"),
    },
    "average_over": {
        "population-momentum": ("layer.momentum = 1.0", "pass"),
        "population-mode": ("layer.eval()", "pass"),
        "population-unweighted": ("np.average(means, 0, counts)", "np.average(means, 0)"),
        "population-variance-unweighted": (
            "np.average(variances, 0, counts)",
            "np.average(variances, 0)",
        ),
        "population-variance-biased": (
            "np.average(variances, 0, counts)",
            "np.average(variances, 0, counts) * (1 - len(means) / sum(counts))",
        ),
        "population-never-trains": ("layer.train()", "pass"),
        "population-of-frozen-layers": ("not layer.training", "False"),
        "population-not-reset": ("layer.reset_running_stats()", "pass"),
        "population-of-the-last-batch": (
            "layer.running_mean.copy_(np.average(means, 0, counts))",
            "pass",
        ),
        "population-variance-of-the-last": (
            "layer.running_var.copy_(np.average(variances, 0, counts))",
            "pass",
        ),
        "population-of-empty-batches": ("found", "True", 1),
    },
    "average_over.<locals>.note": {
        "population-empty-batches": ("output.numel() > 0", "True"),
        "population-same-arrays": (
            "(layer.running_mean.clone(), layer.running_var.clone())",
            "(layer.running_mean, layer.running_var)",
        ),
        "population-counts": ("(output.numel(), mean, var)", "(1, mean, var)"),
    },
    "fold_batch_norm": {
        "fold-in-place": ("copy.deepcopy(model)", "model"),
        "fold-model-itself": ("isinstance(result, BatchNorm)", "False"),
        "fold-not-checked": ("problem", "False", 1),
        "fold-identity": ("setattr(parent, path.rpartition('.')[2], place)", "pass"),
        "fold-on-any-axis": ("isinstance(before, Linear)", "False"),
        "fold-nothing": (
            "before.bias = Parameter(wrap(bias), before.weight.requires_grad)",
            "pass",
        ),
        "fold-unfreezes": (
            "Parameter(wrap(bias), before.weight.requires_grad)",
            "Parameter(wrap(bias))",
        ),
        "fold-full-path": ("path.rpartition('.')[2]", "path"),
    },
    "neighbours": {
        "fold-in-no-order": ("forward_of(parent) is Sequential.forward", "True"),
        "fold-first-only": ("before = child", "pass"),
        "fold-prefix": ("prefix + name", "name"),
        "fold-flat": ("model._walk()", "[('', model)]"),
        "fold-across-parents": ("before = None", "before = locals().get('before')"),
        "fold-after-subclass": (
            "forward_of(parent) is Sequential.forward",
            "isinstance(parent, Sequential)",
        ),
    },
    "forward_of": {
        "fold-beside-lists": ("getattr(type(module), 'forward', None)", "type(module).forward"),
    },
    "why_not": {
        "fold-what-does-more": ("forward_of(layer) is not BatchNorm.forward", "False"),
        "fold-before-a-hook": ("before._forward_hooks", "False"),
        "fold-a-hook": ("layer._forward_hooks", "False"),
        "fold-any-layer": (
            "not is_affine",
            "not hasattr(before, 'weight') or before.weight is None",
        ),
        "fold-any-size": ("len(before.weight) != layer.num_features", "False"),
        "fold-in-training": ("layer.training", "False"),
        "fold-untracked": ("layer.running_var is None", "False"),
        "fold-shared-weight": ("uses[before.weight]", "0"),
        "fold-shared": (
            "max(uses[before.weight], uses[before.bias], uses[layer.running_var]) > 1",
            "False",
        ),
        "fold-shared-layer": ("uses[layer.running_var]", "0"),
        "fold-shared-bias": ("uses[before.bias]", "0"),
        "fold-subclasses": (
            "forward_of(before)",
            "getattr(next((kind for kind in (Linear, Conv2d) if isinstance(before, kind)), None), 'forward', None)",
        ),
        "fold-linear-only": ("(Linear.forward, Conv2d.forward)", "(Linear.forward,)"),
    },
    "folded": {
        "fold-mean": ("bias - layer.running_mean.data", "bias + layer.running_mean.data"),
        "fold-eps": ("layer.running_var.data + float(layer.eps)", "layer.running_var.data"),
        "fold-eps-promotes": ("float(layer.eps)", "layer.eps"),
        "fold-shift": (
            "(bias - layer.running_mean.data) * scale",
            "bias - layer.running_mean.data",
        ),
        "fold-gamma": ("scale * layer.weight.data", "scale"),
        "fold-beta": ("shift + layer.bias.data", "shift"),
        "fold-axis": (
            "scale.reshape(-1, *[1] * (weight.ndim - 1))",
            "scale.reshape(1, -1, *[1] * (weight.ndim - 2))",
        ),
        "fold-bias-before": ("0 if before.bias is None else before.bias.data", "0"),
        "fold-weight": ("weight * scale.reshape(-1, *[1] * (weight.ndim - 1))", "weight"),
    },
}
