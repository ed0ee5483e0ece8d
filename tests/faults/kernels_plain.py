"""Faults of kernels/plain.py: the fast kernels are compared with it, and so it must be right."""

FAULTS = {
    "max_pool2d_collect": {
        "padding-collected": ("padded(h, window, 0)", "padded(h, window, 1)"),
        "collected-from-all": ("under * winners(x, y, window)", "under"),
        "collected-along-one-axis": ("(-2, -1)", "-1"),
    },
}
