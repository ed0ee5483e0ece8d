"""torch.autograd's names for what the chapters define: a face, without code of its own."""

from .engine import grad, no_grad
from .gradcheck import gradcheck, gradgradcheck

__all__ = ["grad", "gradcheck", "gradgradcheck", "no_grad"]
