"""Faults of kernels/convolution.py: columns, groups, rows of a block."""

FAULTS = {
    "columns": {
        "groups-of-columns": (
            "patches.reshape(groups, k, rows, ow * images)",
            "patches.reshape(k, groups, rows, ow * images).swapaxes(0, 1)",
        ),
        "rows-and-columns": (
            "patches.reshape(groups, k, rows, ow * images).swapaxes(1, 2)",
            "patches.reshape(groups, k, rows, ow * images)[:, :, ::-1].swapaxes(1, 2)",
        ),
    },
    "by_row": {
        "groups-of-rows": (
            "x.reshape(groups, channels // groups, height, width * images)",
            "x.reshape(channels // groups, groups, height, width * images).swapaxes(0, 1)",
        ),
        "rows-in-reverse": (
            "x.reshape(groups, channels // groups, height, width * images).swapaxes(1, 2)",
            "x.reshape(groups, channels // groups, height, width * images).swapaxes(1, 2)[:, ::-1]",
        ),
    },
    "blocks_of_rows": {
        "rows-left-out": ("patches.shape[3]", "max(patches.shape[3] - 1, 1)"),
    },
    "conv2d": {
        "padding-fill": ("window.framed(x, 0)", "window.framed(x, 1)"),
        "groups-of-weights": (
            "w.reshape(groups, 1, outputs // groups, -1)",
            "w.reshape(outputs // groups, 1, groups, -1).swapaxes(0, 2)",
        ),
        "first-rows-again": (
            "patches[:, :, :, rows]",
            "patches[:, :, :, : rows.stop - rows.start]",
        ),
        "values-of-first-rows": ("rows_of_y[:, rows]", "rows_of_y[:, : rows.stop - rows.start]"),
        "first-group-of-weights": (
            "np.matmul(weights, cols, out=rows_of_y[:, rows])",
            "np.matmul(weights[:1], cols, out=rows_of_y[:, rows])",
        ),
        "dtype": ("x.dtype", "float"),
        "batch-stays-last": ("batch_first(y)", "y"),
    },
    "conv2d_weight_gradient": {
        "padding-fill-of-weight-gradient": ("window.framed(x, 0)", "window.framed(x, 1)"),
        "last-rows-only": ("dw + products.sum(1, np.float64)", "products.sum(1, np.float64)"),
        "first-row-of-each-block": ("products.sum(1, np.float64)", "products[:, 0]"),
        "rows-one-by-one": ("products.sum(1, np.float64)", "products.sum(1)"),
        "weight-gradient-axes": ("dw.swapaxes(1, 2)", "dw"),
        "weight-gradient-of-first-rows": (
            "rows_of_g[:, rows]",
            "rows_of_g[:, : rows.stop - rows.start]",
        ),
        "weight-gradient-of-first-inputs": (
            "patches[:, :, :, rows]",
            "patches[:, :, :, : rows.stop - rows.start]",
        ),
        "weight-gradient-dtype": (
            "np.ascontiguousarray(dw.swapaxes(1, 2), x.dtype)",
            "np.ascontiguousarray(dw.swapaxes(1, 2))",
        ),
        "weight-gradient-of-first-group": (
            "cols @ rows_of_g[:, rows]",
            "cols @ rows_of_g[:1, rows]",
        ),
    },
    "conv2d_input_gradient": {
        "frame-of-old-values": ("frame[...] = 0", "pass"),
        "frame-of-ones": ("frame[...] = 0", "frame[...] = 1"),
        "first-group-of-weights-back": ("weights[group]", "weights[0]"),
        "first-group-of-slopes": ("rows_of_g[group, rows]", "rows_of_g[0, rows]"),
        "first-channels-of-frame": (
            "frame[group * channels : (group + 1) * channels]",
            "frame[:channels]",
        ),
        "overlap-lost": ("window.add_to_each(places, values)", "places[...] = values"),
        "input-gradient-of-first-rows": (
            "rows_of_g[group, rows]",
            "rows_of_g[group, : rows.stop - rows.start]",
        ),
        "input-gradient-to-first-rows": (
            "patches[:, :, :, rows]",
            "patches[:, :, :, : rows.stop - rows.start]",
        ),
        "input-gradient-rows": ("back.swapaxes(0, 1)", "back"),
        "groups-of-weights-back": (
            "w.reshape(groups, outputs // groups, -1)",
            "w.reshape(outputs // groups, groups, -1).swapaxes(0, 1)",
        ),
        "padding-handed-back": ("inside", "frame[:, : window.image[0], : window.image[1]]", 1),
    },
}
