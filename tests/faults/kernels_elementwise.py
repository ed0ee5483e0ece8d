"""Faults of kernels/elementwise.py."""

FAULTS = {
    "relu": {
        "relu-of-nan": ("x.clip(0, largest, out=out)", "np.fmax(x, 0, out=out)"),
        "relu-dtype": ("x.clip(0, largest, out=out)", "np.clip(x, np.float64(0), largest)"),
        "relu-of-integers": ("x.dtype.kind == 'f'", "True"),
        "relu-elsewhere": ("out=out", "out=None"),
    },
    "masked": {
        "mask-reversed": (
            "np.subtract(mask.view(np.int8), 1, dtype=bits)",
            "np.negative(mask.view(np.int8), dtype=bits)",
        ),
        "sign-kept": (
            "np.subtract(mask.view(np.int8), 1, dtype=bits)",
            "np.subtract(mask.view(np.int8), 1, dtype=bits) | np.array(1, bits) << (8 * bits.itemsize - 1)",
        ),
        "some-bits": (
            "np.subtract(mask.view(np.int8), 1, dtype=bits)",
            "np.subtract(1, mask.view(np.int8), dtype=bits)",
        ),
        "gradient-changed-in-place": (
            "opened &= g.view(bits)",
            "g.view(bits)[...] &= opened\nopened = g.view(bits)",
        ),
        "32-bits-only": ('np.dtype(f"i{g.dtype.itemsize}")', 'np.dtype("i4")'),
    },
    "kept_by_dropout": {
        "inverted": (
            "np.greater(drawn.T, share - 1, out=kept)",
            "np.less(drawn.T, share, out=kept)",
        ),
        "one-more": ("share - 1", "share"),
        "fifteen-bits": ("1 << 16", "1 << 15"),
        "other-generator": (
            "generator.integers(1 << 16, size=x.shape[::-1], dtype=np.uint16)",
            "np.random.default_rng().integers(1 << 16, size=x.shape[::-1], dtype=np.uint16)",
        ),
        "axes": ("drawn.T", "drawn.reshape(x.shape)"),
    },
}
