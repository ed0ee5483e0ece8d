"""Definitions as they are printed: slow, or long, and the test of everything that is fast."""

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


def six_equations(g, x, gamma, eps=1e-5):
    """∂L/∂x, ∂L/∂γ and ∂L/∂β for x and g = ∂L/∂y of shape (m, C), as section 3 prints them."""
    m = len(x)
    centred = x - x.mean(0)
    std = np.sqrt(x.var(0) + eps)
    d_x_hat = g * gamma
    d_var = (d_x_hat * centred).sum(0) * -0.5 * std**-3
    d_mean = -d_x_hat.sum(0) / std + d_var * (-2 * centred).sum(0) / m
    d_x = d_x_hat / std + d_var * 2 * centred / m + d_mean / m
    d_gamma = (g * centred / std).sum(0)
    d_beta = g.sum(0)
    return d_x, d_gamma, d_beta
