"""Faults of kernels/plain.py: the fast kernels are compared with it, and so it must be right."""

FAULTS = {
    "conv2d_naive": {
        "dilation": ("i * sh + u * dh", "i * sh + u * dw"),
        "groups": ("first + c", "c"),
        "padding": ("((ph, ph), (pw, pw))", "((pw, pw), (ph, ph))"),
        "stride": ("j * sw + v * dw", "j * sh + v * dw"),
    },
}
