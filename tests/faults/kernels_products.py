"""Faults of kernels/products.py."""

FAULTS = {
    "matmul": {
        "operands": ("np.matmul(a, b)", "np.matmul(b, a)"),
        "flipped-operands": ("np.matmul(b.T, a.T)", "np.matmul(a, b)"),
        "not-back": ("np.matmul(b.T, a.T).T", "np.matmul(b.T, a.T)"),
        "flipped-vectors": ("a.ndim == b.ndim == 2", "a.ndim > 1"),
    },
    "linear": {
        "bias-sign": ("y += b[:, None]", "y -= b[:, None]"),
        "one-row": ("x.T", "x[-1:].T"),
        "weights-back": ("matmul(w, x.T)", "matmul(w[::-1], x.T)"),
        "transposed": ("y.T", "y"),
        "bias-of-the-first": ("b[:, None]", "b[0]"),
    },
}
