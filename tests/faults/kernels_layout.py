"""Faults of kernels/layout.py: axes, and blocks that leave out or repeat."""

FAULTS = {
    "batch_last": {
        "image-axes": ("(*range(1, x.ndim), 0)", "(1, *range(2, x.ndim)[::-1], 0)"),
        "batch-stays-first": ("x.transpose(axes)", "x"),
    },
    "batch_first": {
        "axes-back": ("(-1, *range(x.ndim - 1))", "(-1, 0, *range(1, x.ndim - 1)[::-1])")
    },
    "channel_rows": {
        "image-axes-of-rows": (
            "batch_last(x)",
            "np.ascontiguousarray(x.transpose(1, *range(2, x.ndim)[::-1], 0))",
        ),
        "channels-mixed": ("rows.reshape(len(rows), -1)", "rows.reshape(-1, len(rows)).T.copy()"),
        "batch-as-channels": ("batch_last(x)", "x"),
    },
    "from_channel_rows": {
        "rows-back": (
            "batch_first(rows.reshape(*rest, images))",
            "rows.reshape(*rest, images).transpose(-1, 0, *range(1, len(rest))[::-1])",
        ),
        "images-and-channels": (
            "rows.reshape(*rest, images)",
            "rows.reshape(images, *rest).swapaxes(0, -1).reshape(*rest, images)",
        ),
    },
    "blocks": {
        "last-item": ("min(start + step, count)", "min(start + step, count - 1)"),
        "last-block": ("range(0, count, step)", "range(0, count - step + 1, step)"),
        "from-0": ("slice(start, min(start + step, count))", "slice(0, min(start + step, count))"),
        "beyond-the-end": ("min(start + step, count)", "start + step"),
        "first-block-only": ("range(0, count, step)", "range(0, min(count, step), step)"),
        "overlapping": (
            "slice(start, min(start + step, count))",
            "slice(max(start - 1, 0), min(start + step, count))",
        ),
        "nothing-in-an-item": ("max(nbytes, 1)", "nbytes"),
        "item-larger-than-the-cache": (
            "max(1, cache // max(nbytes, 1))",
            "cache // max(nbytes, 1)",
        ),
    },
}
