"""Faults of kernels/convolution.py: columns, groups, rows of a block."""

FAULTS = {
    "columns": {
        "padding-fill": ("window.framed(x, 0)", "window.framed(x, 1)"),
        "rows-left-out": ("window.output[0]", "max(window.output[0] - 1, 1)", 0),
        "rows-from-the-first": ("rows.start * step", "0"),
        "places-left-out": ("window.output[1]", "max(window.output[1] - 1, 1)"),
        "rows-of-one-output-apart": (
            "(rows.stop - 1) * step + height",
            "(rows.stop - 1) * step + height + 1",
        ),
    },
    "columns_of": {
        "rows-of-stride-1": ("row * window.stride[0]", "row"),
        "rows-of-dilation-1": ("row * window.dilation[0]", "row"),
        "stride-and-dilation-exchanged": (
            "(row * window.stride[0], row * window.dilation[0])",
            "(row * window.dilation[0], row * window.stride[0])",
        ),
        "first-group-of-columns": ("height * row", "0"),
        "places-across-first": ("kw * channels * run", "channels * run"),
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
    "conv2d": {
        "groups-of-weights": (
            "w.transpose(0, 2, 3, 1).reshape(groups, 1, outputs // groups, -1)",
            "w.transpose(0, 2, 3, 1).reshape(outputs // groups, 1, groups, -1).swapaxes(0, 2)",
        ),
        "weights-as-they-are": ("w.transpose(0, 2, 3, 1)", "w"),
        "values-of-first-rows": ("y[:, rows, places]", "y[:, : rows.stop - rows.start, places]"),
        "values-of-first-places": (
            "y[:, rows, places]",
            "y[:, rows, : places.stop - places.start]",
        ),
        "bias-left-out": ("b is not None", "False"),
        "bias-subtracted": ("part += b[:, None, None, None]", "part -= b[:, None, None, None]"),
        "bias-added-to-all-again": (
            "part += b[:, None, None, None]",
            "y += b[:, None, None, None]",
        ),
        "first-group-of-weights": ("weights", "weights[:1]", 1),
        "dtype": ("x.dtype", "float"),
        "batch-stays-last": ("batch_first(y)", "y"),
    },
    "conv2d_weight_gradient": {
        "last-rows-only": ("total + products.sum(1, np.float64)", "products.sum(1, np.float64)"),
        "first-row-of-each-block": ("products.sum(1, np.float64)", "products[:, 0]"),
        "rows-one-by-one": ("products.sum(1, np.float64)", "products.sum(1)"),
        "weight-gradient-axes": ("total.swapaxes(1, 2)", "total"),
        "weight-gradient-channels-last": (
            "by_output.transpose(0, 3, 1, 2)",
            "by_output.reshape(g.shape[1], -1, *window.kernel)",
        ),
        "weight-gradient-of-first-rows": (
            "g[:, rows, places]",
            "g[:, : rows.stop - rows.start, places]",
        ),
        "weight-gradient-dtype": (
            "np.ascontiguousarray(by_output.transpose(0, 3, 1, 2), x.dtype)",
            "np.ascontiguousarray(by_output.transpose(0, 3, 1, 2))",
        ),
        "weight-gradient-of-first-group": (
            "rows_of_g.swapaxes(2, 3)",
            "rows_of_g[:1].swapaxes(2, 3)",
        ),
    },
    "conv2d_input_gradient": {
        "never-handed-back": ("back is None", "False"),
        "kernels-not-turned": (
            "turned(w, window.groups)",
            "turned(w[..., ::-1, ::-1], window.groups)",
        ),
        "turned-in-one-group": ("turned(w, window.groups)", "turned(w, 1)"),
    },
    "turned": {
        "turned-upside-down-only": (
            "of_groups.swapaxes(1, 2)[..., ::-1, ::-1]",
            "of_groups.swapaxes(1, 2)[..., ::-1, :]",
        ),
        "channels-not-exchanged": (
            "of_groups.swapaxes(1, 2)[..., ::-1, ::-1]",
            "of_groups[..., ::-1, ::-1]",
        ),
    },
    "handed_back": {
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
