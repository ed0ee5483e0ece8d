"""Faults of kernels/window.py: sizes, margins, strides of views."""

SAME = "((top, height - top), (left, width - left))"

FAULTS = {
    "Window.of": {
        "kernel-not-checked": (
            "pair('kernel_size', kernel_size, 1)",
            "pair('kernel_size', kernel_size, 0)",
        ),
        "stride-not-checked": ("pair('stride', stride, 1)", "pair('stride', stride, 0)"),
        "dilation-not-checked": ("pair('dilation', dilation, 1)", "pair('dilation', dilation, 0)"),
        "stride-and-dilation": (
            "known(image, kernel, steps, spread, border, groups)",
            "known(image, kernel, spread, steps, border, groups)",
        ),
        "groups-lost": (
            "known(image, kernel, steps, spread, border, groups)",
            "known(image, kernel, steps, spread, border)",
        ),
    },
    "Window.extent": {
        "extent-off-by-one": ("dh * (kh - 1) + 1", "dh * (kh - 1)"),
        "extent-not-dilated": ("dw * (kw - 1) + 1", "kw"),
        "extent-of-dilated-pixels": ("dh * (kh - 1) + 1", "dh * kh"),
    },
    "Window.output": {
        "size-off-by-one": (
            "(padded - self.extent[axis]) // self.stride[axis] + 1",
            "(padded - self.extent[axis]) // self.stride[axis]",
        ),
        "size-one-margin": ("sum(self.padding[axis])", "self.padding[axis][0]"),
        "size-of-one-stride": ("self.stride[axis]", "self.stride[0]"),
        "size-rounded-up": (
            "(padded - self.extent[axis]) // self.stride[axis] + 1",
            "-((self.extent[axis] - padded) // self.stride[axis]) + 1",
        ),
        "size-axes": ("(places[0], places[1])", "(places[1], places[0])"),
    },
    "Window.offsets": {
        "offsets-by-column": (
            "list(itertools.product(range(kh), range(kw)))",
            "[(u, v) for v in range(kw) for u in range(kh)]",
        ),
        "offsets-without-the-last": (
            "list(itertools.product(range(kh), range(kw)))",
            "list(itertools.product(range(kh), range(kw)))[:-1] or [(0, 0)]",
        ),
    },
    "Window.is_disjoint": {
        "overlap-by-one": ("sh >= height", "sh >= height - 1"),
        "overlap-in-a-row": ("sh >= height and sw >= width", "sh >= height"),
        "overlap-in-a-column": ("sh >= height and sw >= width", "sw >= width"),
    },
    "Window.frame": {
        "margin-sides": (
            "frame[:, top : top + height, left : left + width]",
            "frame[:, bottom : bottom + height, right : right + width]",
        ),
        "margin-axes": ("top + height + bottom", "left + height + right", 0),
        "margin-once": ("left + width + right", "left + width + left"),
        "frame-dtype": ("np.empty(shape, dtype)", "np.empty(shape)"),
    },
    "Window.framed": {
        "padding-above": ("frame[:, :top] = fill", "pass"),
        "padding-below": ("frame[:, top + height :] = fill", "pass"),
        "padding-left": ("frame[:, :, :left] = fill", "pass"),
        "padding-right": ("frame[:, :, left + width :] = fill", "pass"),
        "padded-sideways": ("self.padding == NO_PADDING", "self.padding[0] == (0, 0)"),
        "padded-below": ("self.padding == NO_PADDING", "self.padding[1] == (0, 0)"),
        "images-not-copied": ("inside[...] = x", "pass"),
        "framed-axes": ("x.transpose(1, 2, 3, 0)", "x.transpose(1, 3, 2, 0)"),
    },
    "Window.rounded_up": {
        "rounded-down": ("-(-rest // step)", "rest // step"),
        "window-in-the-padding": ("further * step >= inside", "False"),
        "window-at-the-end": ("further * step >= inside", "further * step > inside"),
        "padding-below-0-too": ("max(further * step - rest, 0)", "further * step - rest"),
        "rounded-in-one-axis": ("(wider[0], wider[1])", "(wider[1], wider[1])"),
    },
    "Window.patches": {
        "patches-dilation-axis": ("w * dw", "w * dh"),
        "patches-dilation-axis-vertical": ("h * dh", "h * dw"),
        "patches-stride-axis": ("w * sw", "w * sh"),
        "patches-stride-axis-vertical": ("h * sh", "h * sw"),
        "patches-row-column": ("c, h, w, n = frame.strides", "c, w, h, n = frame.strides"),
        "patches-stride-and-dilation": (
            "(c, h * dh, w * dw, h * sh, w * sw, n)",
            "(c, h * sh, w * sw, h * dh, w * dw, n)",
        ),
        "patches-kernel-axes": (
            "(channels, *self.kernel, *self.output, images)",
            "(channels, *self.kernel[::-1], *self.output, images)",
        ),
    },
    "Window.by_offset": {"each-shifted-transposed": ("patches[:, u, v]", "patches[:, -1 - u, v]")},
    "Window.add_to_each": {
        "shifted-overwritten": (
            "patches[:, u, v] += values[:, u, v]",
            "patches[:, u, v] = values[:, u, v]",
        ),
        "shifted-subtracted": (
            "patches[:, u, v] += values[:, u, v]",
            "patches[:, u, v] -= values[:, u, v]",
        ),
        "shifted-of-another-place": ("values[:, u, v]", "values[:, -1 - u, -1 - v]"),
    },
    "Window.taps": {
        "taps-from-the-first-row": ("h * rows.start", "0"),
        "taps-from-the-first-place": ("w * self.stride[1] * places.start", "0"),
        "taps-a-pixel-for-a-place": ("w * self.stride[1] * places.start", "w * places.start"),
        "taps-across-without-stride": ("w * self.stride[1]", "w", 0),
        "taps-across-without-dilation": ("w * self.dilation[1]", "w"),
        "taps-of-the-first-group": ("c * channels", "0"),
    },
    "pair": {
        "pair-of-three": ("len(both) == 2", "len(both) >= 2"),
        "pair-exchanged": ("(int(both[0]), int(both[1]))", "(int(both[1]), int(both[0]))"),
        "pair-in-a-list": ("(tuple, list)", "tuple"),
        "pair-of-anything": ("is_integer(both[0], least)", "True"),
        "pair-half-checked": ("is_integer(both[1], least)", "True"),
        "pair-of-numpys-numbers": ("(int(both[0]), int(both[1]))", "(both[0], both[1])"),
    },
    "is_integer": {
        "true-is-1": ("not isinstance(value, bool)", "value is not False"),
        "false-is-0": ("not isinstance(value, bool)", "value is not True"),
        "numpy-is-no-integer": ("(int, np.integer)", "int"),
        "any-integer": ("return value >= least", "return True"),
        "any-integer-of-numpys": ("bool(value >= least)", "True"),
        "least-excluded": ("return value >= least", "return value > least"),
        "least-excluded-of-numpys": ("bool(value >= least)", "bool(value > least)"),
    },
    "margins": {
        "valid-is-same": ("NO_PADDING", "((1, 1), (1, 1))"),
        "same-extra-row": (SAME, "((height - top, top), (left, width - left))"),
        "same-extra-column": (SAME, "((top, height - top), (width - left, left))"),
        "same-dilation": ("d * (k - 1)", "k - 1"),
        "same-with-a-stride": ("stride != (1, 1)", "False"),
        "same-with-a-vertical-stride": ("stride != (1, 1)", "stride[1] != 1"),
        "same-of-two-halves": ("height // 2", "height", 0),
        "padding-axes": (
            "((vertical, vertical), (horizontal, horizontal))",
            "((horizontal, horizontal), (vertical, vertical))",
        ),
        "padding-below-0": ("pair('padding', padding, 0)", "pair('padding', padding, -1)"),
        "padding-of-any-name": ("isinstance(padding, str)", "False"),
    },
}
