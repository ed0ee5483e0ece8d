"""Faults of kernels/normalization.py: terms, blocks of channels, what is left unfinished."""

FAULTS = {
    "batch_norm": {
        "large-offset": ("first = rows[block, :1]", "first = 0 * rows[block, :1]"),
        "mean-term": ("first + offset", "offset"),
        "offset-kept": ("out -= offset", "pass"),
        "offset-m": ("row_sums(out)[:, None] / m", "row_sums(out)[:, None] / (m - 1)"),
        "unbiased": (
            "row_products(out, out)[:, None] / m",
            "row_products(out, out)[:, None] / (m - 1)",
        ),
        "eps-outside": ("1 / np.sqrt(var[block] + eps)", "1 / (np.sqrt(var[block]) + eps)"),
        "gamma": ("gamma[block, None] * inv_std", "inv_std"),
        "beta": ("out += beta[block, None]", "out -= beta[block, None]"),
        "first-of-first-block": ("rows[block, :1]", "rows[: len(out), :1]"),
        "values-of-first-block": ("rows[block]", "rows[: len(out)]"),
        "to-the-first-block": ("y[block]", "y[: block.stop - block.start]"),
        "gamma-of-first-block": ("gamma[block, None]", "gamma[: len(out), None]"),
        "beta-of-first-block": ("beta[block, None]", "beta[: len(out), None]"),
        "mean-and-variance-exchanged": (
            "(from_channel_rows(y, x.shape), mean[:, 0], var[:, 0])",
            "(from_channel_rows(y, x.shape), var[:, 0], mean[:, 0])",
        ),
        "statistics-dtype": ("x.dtype", "float", 0),
        "last-channel-left-out": (
            "blocks(channels, 2 * rows[:1].nbytes, L3_CACHE)",
            "blocks(max(channels - 1, 1), 2 * rows[:1].nbytes, L3_CACHE)",
        ),
    },
    "batch_norm_gradients": {
        "x-hat-sign": ("-inv_std[block] * dgamma[block] / m", "inv_std[block] * dgamma[block] / m"),
        "x-hat-term": ("-inv_std[block] * dgamma[block] / m", "-dgamma[block] / m"),
        "mean-sign": ("out -= dbeta[block, None] / m", "out += dbeta[block, None] / m"),
        "mean-term-dropped": ("out -= dbeta[block, None] / m", "pass"),
        "g-dropped": ("out += g_block", "pass"),
        "dgamma": ("row_products(g_block, out) * inv_std[block]", "row_products(g_block, out)"),
        "scale": ("out *= scale[block, None]", "pass"),
        "gamma-of-gradient": ("gamma * inv_std", "inv_std"),
        "inv-std-of-gradient": ("gamma * inv_std", "gamma"),
        "dbeta-of-first-block": ("dbeta[block, None]", "dbeta[: len(out), None]"),
        "dgamma-of-first-block": ("dgamma[block]", "dgamma[: len(out)]", 1),
        "scale-of-first-block": ("scale[block, None]", "scale[: len(out), None]"),
        "mean-of-first-block": ("mean[block, None]", "mean[: len(out), None]"),
        "g-of-first-block": ("rows_of_g[block]", "rows_of_g[: block.stop - block.start]"),
        "never-unfinished": ("to_x", "False"),
        "dgamma-and-dbeta-exchanged": (
            "(from_channel_rows(dx, x.shape), dgamma, dbeta)",
            "(from_channel_rows(dx, x.shape), dbeta, dgamma)",
        ),
    },
}
