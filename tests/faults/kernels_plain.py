"""Faults of kernels/plain.py: the fast kernels are compared with it, and so it must be right."""

FAULTS = {
    "max_pool2d_collect": {
        "collected-from-all": ("under * winners(x, y, window)", "under"),
        "collected-along-one-axis": ("(-2, -1)", "-1"),
    },
}
