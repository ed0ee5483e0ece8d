"""Faults of sync_batchnorm.py: statistics, sums and gradients of one rank for those of all."""

FAULTS = {
    "all_reduce": {
        "of-one": ("summed(x.data)", "x.data.copy()"),
        "gradient-of-one": ("lambda g, y: all_reduce(g)", "lambda g, y: g"),
    },
    "batch_norm_composed": {
        "count-of-one": (
            "all_reduce(wrap(np.array(x.numel() / x.shape[1])))",
            "wrap(np.array(x.numel() / x.shape[1]))",
        ),
        "mean-of-one": ("all_reduce(x.sum(axes, keepdim=True)) / m", "x.mean(axes, keepdim=True)"),
        "eps-lost": ("var + eps", "var"),
    },
    "own_moments": {
        "nothing-in-an-empty-share": ("x.size == 0", "False"),
        "variance-for-squares": ("m * var", "var"),
        "count-of-rows": ("x.size // channels", "len(x)"),
        "in-float32": ("dtype=float", "dtype=np.float32"),
    },
    "moments": {
        "means-not-weighted": ("(counts * means).sum(0) / max(1, m)", "means.mean(0)"),
        "between-ranks-left-out": ("squares += counts * (means - mean) ** 2", "pass"),
        "between-not-weighted": ("counts * (means - mean) ** 2", "(means - mean) ** 2"),
        "unbiased": ("squares.sum(0) / max(1, m)", "squares.sum(0) / max(1, m - 1)"),
    },
    "batch_norm_train": {
        "one-value": ("m == 1", "False"),
        "eps-lost-in-training": ("var + eps", "var"),
        "gamma-left-out-forward": ("gamma.data * inv_std", "inv_std"),
        "beta-left-out": ("y += across(beta.data, y)", "pass"),
    },
    "gradients": {
        "sums-of-one": ("summed(own)", "own"),
        "divided-by-own-rows": ("max(1, m)", "x.numel() // x.shape[1]"),
        "gamma-left-out-backward": ("gamma.data * inv_std", "inv_std"),
        "first-derivatives-only": ("is_grad_enabled()", "False"),
        "not-asked": ("wrap(array) if need else None", "wrap(array)"),
    },
    "projected": {
        "not-projected": ("out *= -slope[block, None].astype(g.dtype)", "out *= 0"),
        "mean-kept": ("out -= offset[block, None].astype(g.dtype)", "pass"),
        "one-block": ("rows_of_g[block]", "rows_of_g[: len(out)]"),
        "not-scaled": ("out *= scale[block, None].astype(g.dtype)", "pass"),
    },
    "batch_norm_train.<locals>.derivative": {
        "relu-forgotten": ("relu", "False"),
        "pool-forgotten": ("window is not None", "False"),
    },
    "sync_relu_pool": {
        "in-eval-too": ("norm.training", "True"),
        "never": ("norm.training", "False"),
    },
    "SyncBatchNorm.forward": {
        "evaluates-in-training": ("has_statistics and not self.training", "has_statistics"),
        "trains-in-eval": ("has_statistics and not self.training", "False"),
    },
    "SyncBatchNorm.by_the_batch": {
        "any-input": ("checks.channels(self, input, self.kinds)", "pass"),
        "no-gamma": (
            "ones(self.num_features, dtype=input.dtype)",
            "zeros(self.num_features, dtype=input.dtype)",
        ),
        "ones-of-float32": (
            "ones(self.num_features, dtype=input.dtype)",
            "ones(self.num_features)",
        ),
        "keeps-in-eval": (
            "self.training and self.track_running_stats and m > 0",
            "self.track_running_stats and m > 0",
        ),
        "keeps-when-switched-off": (
            "self.training and self.track_running_stats and m > 0",
            "self.training and m > 0",
        ),
        "counts-nothing": (
            "self.training and self.track_running_stats and m > 0",
            "self.training and self.track_running_stats",
        ),
        "biased": ("var * m / (m - 1)", "var"),
        "not-counted": ("self.num_batches_tracked.data += 1", "pass"),
    },
    "SyncBatchNorm.convert_sync_batchnorm": {
        "outermost-only": ("vars(module)[name] = cls.convert_sync_batchnorm(child)", "pass"),
        "of-its-own": (
            "vars(synchronised).update(vars(module))",
            "cls.__init__(synchronised, module.num_features)",
        ),
    },
}
