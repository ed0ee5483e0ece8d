"""torch.optim's names: a face, without code of its own."""

from . import lr_scheduler
from .sgd import SGD

__all__ = ["SGD", "lr_scheduler"]
