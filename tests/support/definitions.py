"""Definitions as they are printed, in loops: slow, and the test of everything that is fast."""

import numpy as np


def conv2d_naive(
    x,  # (N, C, H, W)
    w,  # (O, C/groups, KH, KW)
    b,  # (O,), or None
    stride=(1, 1),
    padding=(0, 0),
    dilation=(1, 1),
    groups=1,
):  # (N, O, OH, OW)
    """y[n, o, i, j] = b[o] + Σ_{c,u,v} w[o, c, u, v] · x[n, c, i·s + u·d − p, j·s + v·d − p]."""
    (ph, pw), (sh, sw), (dh, dw) = padding, stride, dilation
    border = ((ph, ph), (pw, pw))
    x = np.pad(x, ((0, 0), (0, 0), *border))
    images, _, height, width = x.shape
    outputs, per_group, kh, kw = w.shape
    oh = (height - dh * (kh - 1) - 1) // sh + 1
    ow = (width - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((images, outputs, oh, ow), x.dtype)
    for n, o, i, j in np.ndindex(y.shape):
        first = o // (outputs // groups) * per_group  # channel of this kernel's group
        for c, u, v in np.ndindex(per_group, kh, kw):
            value = x[n, first + c, i * sh + u * dh, j * sw + v * dw]
            y[n, o, i, j] += w[o, c, u, v] * value
    return y if b is None else y + b[:, None, None]
