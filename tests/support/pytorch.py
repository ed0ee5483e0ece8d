"""PyTorch, the oracle, on one thread; None where it is not installed."""

try:
    import torch
except ImportError:  # what needs it is marked `torch` and left out; the run's last lines say so
    torch = None
else:
    torch.set_num_threads(1)
