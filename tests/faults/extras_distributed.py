"""Faults of distributed.py: gradients, beginnings and shares that are not those of one process."""

FAULTS = {
    "DistributedDataParallel.__init__": {
        "any-module": ("checks.module(self, 0, module, Module)", "module"),
        "not-compared": ("check_agreement(module)", "pass"),
        "each-from-its-own": ("tensor.data[...] = broadcast(tensor.data)", "pass"),
        "same-masks": ("draw_on_ones_own()", "pass"),
    },
    "DistributedDataParallel.forward": {
        "asks-without-gradients": ("not is_grad_enabled()", "False"),
        "not-weighted": ("(counts == rows).all()", "True"),
        "by-all-rows": ("counts.mean()", "counts.sum()"),
        "gradients-of-one": ("replicated(self.module)", "contextmanager(lambda: (yield))()"),
    },
    "draw_on_ones_own": {
        "rank-0-too": ("get_rank() > 0", "True"),
        "all-others-alike": ("[seed, get_rank()]", "[seed, 1]"),
        "no-seed": ("np.random.PCG64([seed, get_rank()])", "np.random.PCG64()"),
        "rank-0-draws": ("np.random.Generator(bits.jumped())", "generator"),
    },
    "check_agreement": {
        "frozen-alike": ("' requires_grad' if tensor.requires_grad else ''", "''"),
        "shorter-is-alike": (
            "itertools.zip_longest(first, other, fillvalue='nothing more')",
            "zip(first, other)",
        ),
        "versions": ("[f'tinygrad_bn {__version__}', f'NumPy {np.__version__}']", "[]"),
    },
    "replicated": {
        "not-put-back": ("attributes[name] = value", "pass"),
    },
    "replicas.<locals>.average": {
        "kept-for-the-next": ("arrived.pop(i, None)", "arrived.get(i)"),
    },
    "averaged": {
        "summed": ("total /= ranks", "pass"),
        "of-one": (
            "summed(np.concatenate([*parts, missing], dtype=dtype))",
            "np.concatenate([*parts, missing], dtype=dtype)",
        ),
        "in-memory-order": ("g.data.ravel()", "g.data.ravel(order='K')"),
        "unused-is-zero": ("share == 1", "False"),
        "what-one-has-not-none-has": ("share == 1", "share > 0"),
        "dtype-of-the-message": (
            "mean.reshape(p.shape).astype(p.dtype, copy=False)",
            "mean.reshape(p.shape)",
        ),
        "second-derivatives-summed": (
            "all_reduce(zeros(p.shape, dtype=p.dtype) if g is None else g) / ranks",
            "all_reduce(zeros(p.shape, dtype=p.dtype) if g is None else g)",
        ),
        "first-derivatives-only": ("is_grad_enabled()", "False"),
    },
    "weighted": {
        "not-in-dictionaries": ("isinstance(output, dict)", "False"),
        "not-in-lists": ("isinstance(output, tuple | list)", "False"),
        "no-named-tuples": ("hasattr(output, '_fields')", "False"),
    },
    "weighted_tensor.<locals>.derivative": {
        "twice": ("is_grad_enabled()", "False"),
        "no-weight": ("g * weight", "g"),
    },
    "DistributedSampler.__init__": {
        "any-size": ("checks.positive_integers(batch_size=batch_size)", "pass"),
    },
    "DistributedSampler.__len__": {
        "last-lost": ("whole + (rest > 0 and not self.drop_last)", "whole"),
        "last-kept": ("rest > 0 and not self.drop_last", "rest > 0"),
        "one-batch-more": ("rest > 0", "True"),
    },
    "DistributedSampler.__iter__": {
        "each-its-own-order": ("order = broadcast(order)", "pass"),
        "never-shuffled": ("self.shuffle", "False"),
        "shuffled-otherwise": (
            "generator.permutation(len(order))",
            "generator.permutation(len(order))[::-1]",
        ),
        "all-for-each": ("batch[get_rank()::get_world_size()]", "batch"),
        "by-blocks": (
            "batch[get_rank()::get_world_size()]",
            "batch[get_rank() * len(batch) // get_world_size():][:len(batch) // get_world_size()]",
        ),
    },
}
