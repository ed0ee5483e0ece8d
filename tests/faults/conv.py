"""Faults of conv.py: the three derivatives of T, options on their way, pooling."""

FAULTS = {
    "convolution": {
        "input-gradient-sign": ("input_gradient(w, g, window)", "-input_gradient(w, g, window)"),
        "bias-gradient-of-one-image": ("g.sum((0, 2, 3))", "g[0].sum((1, 2))"),
        "weight-gradient-sign": ("weight_gradient(x, g, window)", "-weight_gradient(x, g, window)"),
    },
    "weight_gradient": {
        "second-of-weights-by-x": ("input_gradient(h, g, window)", "-input_gradient(h, g, window)"),
        "second-of-weights-by-g": ("convolution(x, h, window)", "-convolution(x, h, window)"),
        "weights-constant-in-x": (
            "(x, lambda h, y: input_gradient(h, g, window), g)",
            "(x.detach(), lambda h, y: input_gradient(h, g, window))",
        ),
    },
    "input_gradient": {
        "second-of-input-by-w": ("weight_gradient(h, g, window)", "-weight_gradient(h, g, window)"),
        "second-of-input-by-g": ("convolution(h, w, window)", "-convolution(h, w, window)"),
        "input-constant-in-w": (
            "(w, lambda h, y: weight_gradient(h, g, window), g)",
            "(w.detach(), lambda h, y: weight_gradient(h, g, window))",
        ),
    },
    "conv2d": {
        "bias-forgotten": (
            "convolution(x, weight, window, bias)",
            "convolution(x, weight, window)",
        ),
        "unbatched-stays-batched": ("y.squeeze(0) if input.ndim == 3 else y", "y"),
        "kernel-axes": ("weight.shape[2:]", "weight.shape[2:][::-1]"),
        "not-checked": ("checks.conv2d(x, weight, bias, groups)", "input.shape[2:]"),
        "kernel-does-not-fit": ("checks.kernel_fits(window)", "pass"),
    },
    "Conv2d.__init__": {
        "layer-not-checked": (
            "checks.conv2d_layer(in_channels, out_channels, groups, padding_mode)",
            "pass",
        ),
        "layer-fan-in": ("math.prod(shape[1:])", "shape[1]"),
        "layer-bias-fan-in": (
            "initial((out_channels,), fan_in)",
            "initial((out_channels,), out_channels)",
        ),
        "layer-groups": ("in_channels // groups", "in_channels"),
        "layer-padding-axes": (
            "pair('padding', padding, 0)",
            "pair('padding', padding, 0)[::-1]",
        ),
        "layer-same-is-fixed": (
            "padding if isinstance(padding, str) else pair('padding', padding, 0)",
            "tuple([before for before, _ in window.padding])",
        ),
        "layer-always-a-bias": (
            "initial((out_channels,), fan_in) if bias else None",
            "initial((out_channels,), fan_in)",
        ),
        "layer-stride": ("self.stride = window.stride", "self.stride = (1, 1)"),
        "layer-dilation": ("self.dilation = window.dilation", "self.dilation = (1, 1)"),
    },
    "Conv2d.forward": {
        "layer-options": (
            "(self.stride, self.padding, self.dilation, self.groups)",
            "(self.dilation, self.padding, self.stride, self.groups)",
        ),
        "layer-one-group": ("self.groups", "1"),
        "layer-bias": ("self.bias", "None"),
    },
    "Conv2d.extra_repr": {
        "layer-usual-options-printed": ("value != default", "True"),
        "layer-bias-not-printed": (
            "text if self.bias is not None else f'{text}, bias=False'",
            "text",
        ),
    },
    "max_pool2d": {
        "pool-unbatched-stays": ("y.squeeze(0) if input.ndim == 3 else y", "y"),
        "pool-not-checked": ("checks.images('max_pool2d', input)", "input.shape[2:]"),
        "pool-does-not-fit": ("checks.kernel_fits(window)", "pass"),
        "pool-gradient": ("route(g, x, y, window)", "-route(g, x, y, window)"),
    },
    "route": {"pool-second": ("collect(h, x, y, window)", "-collect(h, x, y, window)")},
    "collect": {"pool-third": ("route(g, x, y, window)", "-route(g, x, y, window)")},
    "covered": {
        "covered-beyond": (
            "np.pad(np.ones(size), np.subtract(window.padding, counted))",
            "np.ones(np.add(size, 9))",
        ),
        "covered-without-padding": ("counted.sum(1)", "0"),
        "covered-twice": ("np.subtract(window.padding, counted)", "window.padding"),
        "covered-across": ("counted.sum(1)", "counted.sum(0)"),
        "covered-transposed": ("(0, 1, 2, 5)", "(0, 3, 4, 5)"),
    },
    "avg_pool2d": {
        "average-of-all": ("wrap(pixels)", "math.prod(window.kernel)"),
        "average-with-padding": (
            "window.padding if count_include_pad else NO_PADDING",
            "window.padding",
        ),
        "average-floor": ("window.rounded_up()", "window"),
        "average": ("convolution(x, wrap(ones), window) / wrap(pixels)", "wrap(pixels)"),
        "average-over-channels": ("groups=channels", "groups=1"),
        "average-unbatched-stays": ("y.squeeze(0) if input.ndim == 3 else y", "y"),
        "average-not-checked": ("checks.images('avg_pool2d', input)", "input.shape[2:]"),
        "average-does-not-fit": ("checks.kernel_fits(window)", "pass"),
    },
    "pool_window": {
        "pool-default-stride": (
            "kernel_size if stride is None else stride",
            "1 if stride is None else stride",
        ),
        "pool-padding-not-checked": ("checks.pool_padding(window)", "pass"),
        "pool-never-dilated": (
            "Window.of(image, kernel_size, steps, padding, dilation, groups)",
            "Window.of(image, kernel_size, steps, padding, 1, groups)",
        ),
    },
    "Pooling.__init__": {
        "layer-pool-not-checked": (
            "pool_window((1, 1), kernel_size, stride, padding, dilation)",
            "pass",
        ),
        "layer-pool-stride": (
            "kernel_size if stride is None else stride",
            "1 if stride is None else stride",
        ),
    },
    "MaxPool2d.__init__": {
        "layer-pool-dilation-not-checked": (
            "super().__init__(kernel_size, stride, padding, ceil_mode, dilation)",
            "super().__init__(kernel_size, stride, padding, ceil_mode)",
        ),
    },
    "MaxPool2d.forward": {
        "layer-pool-options": (
            "(self.stride, self.padding, self.dilation, self.ceil_mode)",
            "(self.dilation, self.padding, self.stride, self.ceil_mode)",
        )
    },
    "MaxPool2d.extra_repr": {
        "layer-pool-dilation-printed": (
            "f'{super().extra_repr()}, dilation={self.dilation}, ceil_mode={self.ceil_mode}'",
            "super().extra_repr()",
        )
    },
    "AvgPool2d.forward": {
        "layer-average-padding": (
            "(self.stride, self.padding, self.ceil_mode, self.count_include_pad)",
            "(self.stride, 0, self.ceil_mode, self.count_include_pad)",
        )
    },
}
