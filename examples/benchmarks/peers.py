"""The libraries: which there are, where each does its work, and what each cannot do.

Each has a file peer_*.py, written as a user of that library would write it, with a function
`build(work, weights, x, y)`. It builds what it needs once, and returns a function without
arguments: the training step or the inference that is measured. All compute the same, and
`run.py --check` shows it. A library is imported in processes of its own only.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from workloads import PAPER_MLP, Work


class Peer(NamedTuple):
    package: str  # the name under which it is installed
    imports: str  # what a program that trains with it imports
    module: str  # the file that has it at work
    variant: str = ""  # an object in that file

    def load(self) -> Any:
        module = import_module(self.module)
        return getattr(module, self.variant) if self.variant else module


PEERS = {
    "tinygrad_bn": Peer("tinygrad_bn", "import tinygrad_bn", "peer_tinygrad_bn", "usual"),
    "tinygrad_bn compiled": Peer(
        "tinygrad_bn",
        "import tinygrad_bn",
        "peer_tinygrad_bn",
        "compiled",
    ),
    "tinygrad_bn replayed": Peer(
        "tinygrad_bn",
        "import tinygrad_bn, tinygrad_bn.extras.replay",
        "peer_tinygrad_bn",
        "replayed",
    ),
    "NumPy by hand": Peer("numpy", "import numpy", "peer_numpy"),
    "PyTorch": Peer("torch", "import torch", "peer_pytorch", "usual"),
    "PyTorch channels_last": Peer("torch", "import torch", "peer_pytorch", "channels_last"),
    "JAX": Peer("jax", "import jax, jax.numpy", "peer_jax"),
    "tinygrad": Peer("tinygrad", "from tinygrad import Tensor, TinyJit, nn", "peer_tinygrad"),
    "MyGrad": Peer("mygrad", "import mygrad, mygrad.nnet", "peer_mygrad"),
}


def installed() -> list[str]:
    return [name for name, peer in PEERS.items() if find_spec(peer.package)]


def takes_part(name: str, work: Work) -> bool:
    """Channels can be last in images only; the others say in their files what they leave out."""
    images = any(layer[0] == "conv" for layer in work.layers)
    able = {"NumPy by hand": work.name == PAPER_MLP.name, "PyTorch channels_last": images}
    return able.get(name, name != "MyGrad" or work.training)
