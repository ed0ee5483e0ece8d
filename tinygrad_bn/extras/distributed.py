"""Data parallel training: each process has the same model, and a share of every batch.

N ranks that have b rows each do what one process does with all N·b rows: the same losses,
gradients, weights and statistics, but for the last digits, because N partial sums are added in
another order than their terms. Two things are sums over all rows, and so over all ranks:

- the gradients: `DistributedDataParallel` adds them up;
- the statistics of batch normalization: `SyncBatchNorm` finds those of the whole batch.

ranks.py says what ranks are, how they are started, and what they ask of each other;
sync_batchnorm.py has the sum over ranks as an operation, and batch normalization by it.
"""

import copy
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import __version__, checks
from ..engine import Array, is_grad_enabled
from ..module import Module, Parameter
from ..tensor import (
    Tensor,
    generator,
    record,
    record_joint,
    record_view,
    wrap,
    zeros,
)
from .ranks import broadcast, gathered, get_rank, get_world_size, is_launched, launch, summed
from .sync_batchnorm import SyncBatchNorm, all_reduce

__all__ = [
    "DistributedDataParallel",
    "DistributedSampler",
    "SyncBatchNorm",
    "all_reduce",
    "get_rank",
    "get_world_size",
    "is_launched",
    "launch",
]

# --- the same model on all ranks ------------------------------------------------------------------


class DistributedDataParallel(Module):
    """A model whose gradients are those of the whole batch: the average over the rows of all ranks.

    module: the same on all ranks, or RuntimeError says where they differ; it starts from rank 0's
    parameters and buffers. From then on each rank draws random numbers of its own, for dropout; all
    of them follow from rank 0's seed. Buffers stay alike only if all ranks compute the same:
    convert batch normalization to SyncBatchNorm first.

    A loss is taken to be a mean over rows: in the gradients each rank's counts by the number of its
    rows, which are those of its first argument. `backward` averages them, so all ranks must call
    it; where no gradients are recorded, no rank asks another.

    >>> model = DistributedDataParallel(nn.Linear(2, 1))
    >>> model(tensor([[1.0, 2.0]])).shape
    (1, 1)
    """

    def __init__(self, module: Module) -> None:
        self.module = checks.module(self, 0, module, Module)
        check_agreement(module)
        for _, tensor in module._tensors():
            tensor.data[...] = broadcast(tensor.data)
            tensor.version.number += 1
        draw_on_ones_own()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """That of the module."""
        if not is_grad_enabled():
            return self.module(*args, **kwargs)
        rows = next((len(x) for x in args if isinstance(x, Tensor) and x.ndim > 0), 1)
        counts = gathered(np.array(rows))
        with replicated(self.module):
            output = self.module(*args, **kwargs)
        if (counts == rows).all():  # every rank's loss counts as much
            return output
        return weighted(output, rows / float(counts.mean()))


def draw_on_ones_own() -> None:
    """Give the ranks independent random numbers, by the state of rank 0, which keeps its own."""
    bits: Any = generator.bit_generator
    elsewhere = np.random.Generator(bits.jumped())
    seed = int(broadcast(elsewhere.integers(1 << 62, size=1))[0])
    if get_rank() > 0:
        bits.state = np.random.PCG64([seed, get_rank()]).state


def check_agreement(module: Module) -> None:
    """RuntimeError on all ranks, if their versions, or the model's tensors, are not the same."""
    lines = [f"tinygrad_bn {__version__}", f"NumPy {np.__version__}"]
    for name, tensor in module._tensors():
        trained = " requires_grad" if tensor.requires_grad else ""
        lines.append(f"{name}: {tensor.dtype} {tensor.shape}{trained}")
    text = "\n".join(lines).encode()
    width = int(gathered(np.array(len(text))).max())
    texts = gathered(np.frombuffer(text.ljust(width), np.uint8))
    first, *others = [bytes(row).decode().rstrip().split("\n") for row in texts]
    for rank, other in enumerate(others, 1):
        for a, b in itertools.zip_longest(first, other, fillvalue="nothing more"):
            if a != b:
                raise RuntimeError(f"the ranks disagree: rank 0 has {a!r}, rank {rank} {b!r}")


@contextmanager
def replicated(module: Module) -> Iterator[None]:
    """While it lasts, each parameter is a copy of itself whose gradient is averaged on its way."""
    places = [
        (vars(owner), name, value)
        for owner in module.modules()
        for name, value in vars(owner).items()
        if isinstance(value, Parameter) and value.requires_grad
    ]
    copies = replicas(list(dict.fromkeys([value for *_, value in places])))
    try:
        for attributes, name, value in places:
            attributes[name] = copies[value]
        yield
    finally:
        for attributes, name, value in places:
            attributes[name] = value


def replicas(parameters: list[Parameter]) -> dict[Parameter, Parameter]:
    """A copy of each in the same memory. Backward, their gradients are averaged over the ranks.

    To hand the same numbers to all ranks is an operation, whose transpose is to add up what comes
    back from them. It is recorded as one with many outputs, which the graph does not know: all
    copies come from one `source`, older than they. So it is visited when they have all left their
    gradients, which then travel together: few large messages instead of many small ones.
    """
    arrived: dict[int, Tensor] = {}

    def average(g: Tensor, y: Tensor, needed: Sequence[bool]) -> list[Tensor | None]:
        mine = [arrived.pop(i, None) for i in range(len(parameters))]
        return averaged(mine, parameters)

    source = record_joint("replicas", np.zeros(()), tuple(parameters), average, ())
    copies = {}
    for i, parameter in enumerate(parameters):

        def arrive(g: Tensor, y: Tensor, i: int = i) -> Tensor:
            arrived[i] = g
            return wrap(np.zeros(()))

        replica = copy.copy(parameter)
        replica.grad_fn = record("replica", parameter.data, (source, arrive)).grad_fn
        copies[parameter] = replica
    return copies


def averaged(gradients: list[Tensor | None], parameters: list[Parameter]) -> list[Tensor | None]:
    """The mean of each gradient over the ranks; None for what no rank has used.

    All travel in one message, which ends with the share of the ranks that have none.
    """
    ranks = get_world_size()
    if is_grad_enabled():  # by create_graph: they are to be differentiated again
        pairs = zip(gradients, parameters, strict=True)
        return [
            all_reduce(zeros(p.shape, dtype=p.dtype) if g is None else g) / ranks for g, p in pairs
        ]
    missing = [gradient is None for gradient in gradients]
    parts = [
        np.zeros(p.numel()) if g is None else g.data.ravel()  # whatever its order in memory
        for g, p in zip(gradients, parameters, strict=True)
    ]
    dtype = np.result_type(*[parameter.dtype for parameter in parameters])
    total = summed(np.concatenate([*parts, missing], dtype=dtype))
    total /= ranks
    *means, unused = np.split(total, np.cumsum([part.size for part in parts]))
    return [
        None if share == 1 else wrap(mean.reshape(p.shape).astype(p.dtype, copy=False))
        for mean, share, p in zip(means, unused, parameters, strict=True)
    ]


def weighted(output: Any, weight: float) -> Any:
    """The output of a model, each tensor in it; the gradient that comes back counts `weight`."""
    if isinstance(output, Tensor):
        return weighted_tensor(output, weight)
    if isinstance(output, dict):
        return {name: weighted(part, weight) for name, part in output.items()}
    if isinstance(output, tuple | list):
        parts = [weighted(part, weight) for part in output]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    return output


def weighted_tensor(x: Tensor, weight: float) -> Tensor:
    """x itself. A loss that is `weight` times as large would have the same gradient."""

    def derivative(g: Tensor, y: Tensor) -> Tensor:
        if is_grad_enabled():  # the weight is the loss's, and would be taken for the output's
            raise RuntimeError("second derivatives need as many rows on each rank")
        return g * weight

    return record_view("weighted", x.data, (x, derivative))


# --- a share of every batch -----------------------------------------------------------------------


class DistributedSampler:
    """For each batch the indices of this rank's samples: of the whole batch every N-th.

    For a DataLoader with batch_size=None. batch_size: of all ranks together. Nothing is read twice
    or left out: a last batch is smaller, and may have no rows for some ranks. shuffle: a new order
    at each pass, which rank 0 draws, so that it is the order of one process with the same seed.

    >>> dataset = data.TensorDataset(arange(5))
    >>> mine = DistributedSampler(dataset, batch_size=2, shuffle=False)  # of one rank: all
    >>> list(data.DataLoader(dataset, batch_size=None, sampler=mine))
    [(tensor([0, 1]),), (tensor([2, 3]),), (tensor([4]),)]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> None:
        checks.positive_integers(batch_size=batch_size)
        self.dataset, self.batch_size = dataset, batch_size
        self.shuffle, self.drop_last = shuffle, drop_last

    def __len__(self) -> int:
        """The number of batches, the same on all ranks."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        """One pass over the data set."""
        order: Array = np.arange(len(self.dataset))
        if self.shuffle:
            if get_rank() == 0:
                order = generator.permutation(len(order))
            order = broadcast(order)
        for first in range(0, len(self) * self.batch_size, self.batch_size):
            batch = order[first : first + self.batch_size]
            yield batch[get_rank() :: get_world_size()].tolist()
