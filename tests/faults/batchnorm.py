"""Faults of batchnorm.py: the paper's equations, running statistics, the layers."""

FAULTS = {
    "per_channel": {
        "last-axis": ("v.reshape(1, -1, *[1] * (ndim - 2))", "v.reshape(1, *[1] * (ndim - 2), -1)")
    },
    "batch_norm_composed": {
        "composed-unbiased": ("correction=0", "correction=1"),
        "composed-axes": ("axis != 1", "axis != 0"),
        "composed-eps-outside": (
            "(x - mean) / (var + eps).sqrt()",
            "(x - mean) / (var.sqrt() + eps)",
        ),
        "composed-variance": ("(x - mean) / (var + eps).sqrt()", "(x - mean) / (var + eps)"),
        "composed-bias": ("y + per_channel(bias, x.ndim)", "y - per_channel(bias, x.ndim)"),
        "composed-gamma": ("y * per_channel(weight, x.ndim)", "y + per_channel(weight, x.ndim)"),
    },
    "batch_norm_train": {
        "no-gamma-is-0": ("ones(channels, dtype=x.dtype)", "zeros(channels, dtype=x.dtype)"),
        "no-beta-is-1": ("zeros(channels, dtype=x.dtype)", "ones(channels, dtype=x.dtype)"),
        "no-gamma-dtype": ("ones(channels, dtype=x.dtype)", "ones(channels, dtype='float64')"),
        "gamma-and-beta-exchanged": ("(x, gamma, beta)", "(x, beta, gamma)"),
        "eps-not-recorded": ("eps=eps", "eps=0"),
    },
    "gradients": {
        "second-derivative-of-0": ("is_grad_enabled()", "False"),
        "gradient-eps": ("1 / np.sqrt(var + eps)", "1 / np.sqrt(var)"),
        "gradient-nobody-asks-for": ("to_x=needed[0]", "to_x=not needed[0]"),
        "gradient-asked-for-gamma": ("to_x=needed[0]", "to_x=needed[1]"),
        "needed-in-reverse": (
            "zip(found, needed, strict=True)",
            "zip(found, needed[::-1], strict=True)",
        ),
        "composed-of-other-inputs": (
            "gradients_composed(g, inputs, mean, eps)",
            "gradients_composed(g, [inputs[0], *inputs[:0:-1]], mean, eps)",
        ),
    },
    "gradients_composed": {
        "composed-without-history": ("create_graph=True", "create_graph=False"),
        "composed-not-centred": ("x - per_channel(wrap(mean), x.ndim)", "x"),
        "composed-on-the-inputs": ("tensor.clone()", "tensor"),
        "composed-for-constants": ("copy.requires_grad", "True"),
        "composed-eps-lost": (
            "composed(shifted, gamma, beta, eps)",
            "composed(shifted, gamma, beta, 1e-5)",
        ),
        "composed-in-reverse": (
            "dict(zip(asked, grad(y, asked, g, create_graph=True), strict=True))",
            "dict(zip(asked, grad(y, asked, g, create_graph=True)[::-1], strict=True))",
        ),
        "composed-without-gradient": (
            "grad(y, asked, g, create_graph=True)",
            "grad(y, asked, g.detach(), create_graph=True)",
        ),
    },
    "batch_norm_eval": {
        "eval-eps": ("1 / np.sqrt(var.data + eps)", "1 / np.sqrt(var.data)"),
        "eval-mean": ("x - per_channel(mean, x.ndim)", "x + per_channel(mean, x.ndim)"),
        "eval-bias": ("y + per_channel(bias, x.ndim)", "y - per_channel(bias, x.ndim)"),
        "eval-gamma": ("scale * weight", "scale"),
        "eval-variance": ("1 / np.sqrt(var.data + eps)", "1 / (var.data + eps)"),
    },
    "move_towards": {
        "momentum-old": ("running.data *= 1 - momentum", "running.data *= momentum"),
        "momentum-new": (
            "running.data += momentum * batch",
            "running.data += (1 - momentum) * batch",
        ),
        "running-rebound": (
            "running.data *= 1 - momentum",
            "running.data = running.data * (1 - momentum)",
        ),
        "running-missing": ("running is not None", "True"),
    },
    "batch_norm": {
        "not-checked": ("checks.batch_norm(input, eps, affine, statistics)", "pass"),
        "running-biased": ("var * (m / (m - 1))", "var"),
        "running-m": ("checks.values_per_channel(input.shape, 'batch_norm')", "input.shape[0]"),
        "running-exchanged": (
            "move_towards(running_mean, mean, momentum)",
            "move_towards(running_mean, var, momentum)",
        ),
        "empty-batch": ("input.numel() == 0", "False"),
        "trains-in-eval": ("not training", "False"),
        "eval-without-statistics": ("running_mean is None or running_var is None", "False"),
        "eval-without-variance": ("running_var is None", "False"),
        "eval-eps-lost": (
            "batch_norm_eval(input, running_mean, running_var, weight, bias, eps)",
            "batch_norm_eval(input, running_mean, running_var, weight, bias)",
        ),
        "train-eps-lost": (
            "operation(input, weight, bias, eps)",
            "batch_norm_train(input, weight, bias)",
        ),
        "numpy-eps-promotes": ("float(eps)", "eps"),
    },
    "BatchNorm.__init__": {
        "features-not-checked": ("checks.positive_integers(num_features=num_features)", "pass"),
        "momentum-not-checked": (
            "checks.in_range(0, 1, momentum=0 if momentum is None else momentum)",
            "pass",
        ),
        "eps-not-checked": ("checks.in_range(0, math.inf, eps=eps)", "pass"),
        "gamma-zero": ("Parameter(ones(num_features))", "Parameter(zeros(num_features))"),
        "beta-one": ("Parameter(zeros(num_features))", "Parameter(ones(num_features))"),
        "beta-without-affine": ("affine and bias", "bias"),
        "beta-always": ("affine and bias", "affine"),
        "variance-zero": (
            "ones(num_features) if tracks else None",
            "zeros(num_features) if tracks else None",
        ),
        "count-of-floats": ("zeros((), dtype=int64)", "zeros(())"),
        "always-tracked": (
            "self.track_running_stats = tracks = track_running_stats",
            "self.track_running_stats = track_running_stats\ntracks = True",
        ),
    },
    "BatchNorm.reset_running_stats": {
        "reset-when-switched-off": ("self.track_running_stats", "True"),
        "reset-variance": (
            "{'running_mean': 0, 'running_var': 1, 'num_batches_tracked': 0}",
            "{'running_mean': 0, 'running_var': 0, 'num_batches_tracked': 0}",
        ),
        "reset-mean": (
            "{'running_mean': 0, 'running_var': 1, 'num_batches_tracked': 0}",
            "{'running_var': 1, 'num_batches_tracked': 0}",
        ),
        "reset-count": (
            "{'running_mean': 0, 'running_var': 1, 'num_batches_tracked': 0}",
            "{'running_mean': 0, 'running_var': 1}",
        ),
    },
    "BatchNorm.forward": {
        "channels-not-checked": ("checks.channels(self, input, self.kinds)", "pass"),
        "one-value-not-checked": ("checks.values_per_channel(input.shape, self)", "pass"),
        "untracked-eval": ("self.training or not has_statistics", "self.training"),
        "statistics-in-training": (
            "self.training or not has_statistics",
            "not has_statistics",
        ),
        "one-statistic-is-none": ("self.running_var is not None", "False"),
        "counts-in-eval": ("self.training", "True", 1),
        "counts-empty": ("input.numel() > 0", "True"),
        "keeps-when-switched-off": ("self.track_running_stats or not self.training", "True"),
        "switched-off-evaluates-by-the-batch": (
            "self.track_running_stats or not self.training",
            "self.track_running_stats",
        ),
        "counts-when-switched-off": (
            "self.training and keeps and input.numel() > 0",
            "self.training and input.numel() > 0",
        ),
        "counts-twice": (
            "self.num_batches_tracked.data += 1",
            "self.num_batches_tracked.data += 2",
        ),
        "eps-lost": ("self.eps", "1e-5"),
        "weight-lost": ("self.weight", "None"),
        "bias-lost": ("self.bias", "None"),
        "momentum-lost": ("self.weight_of_newest_batch()", "0.1"),
    },
    "BatchNorm.weight_of_newest_batch": {
        "newest-of-n": (
            "int(self.num_batches_tracked) + 1",
            "max(int(self.num_batches_tracked), 1)",
        ),
        "plain-average-without-count": ("self.num_batches_tracked is None", "False"),
        "momentum-0-is-none": ("self.momentum is not None", "self.momentum"),
    },
    "BatchNorm.extra_repr": {
        "momentum-not-printed": (
            "f'{self.num_features}, eps={self.eps}, momentum={self.momentum}'",
            "f'{self.num_features}, eps={self.eps}'",
        ),
    },
    "BatchNorm1d": {
        "1d-takes-images": (
            "{2: '(N, C)', 3: '(N, C, L)'}",
            "{2: '(N, C)', 3: '(N, C, L)', 4: '(N, C, H, W)'}",
        )
    },
    "BatchNorm2d": {
        "2d-takes-vectors": ("{4: '(N, C, H, W)'}", "{2: '(N, C)', 4: '(N, C, H, W)'}")
    },
}
