"""What the tests of extras/distributed.py run: on many ranks, in one process, and under PyTorch.

    mpiexec -n 3 python together.py synchronised FILE   what comes of the trainings: an npz, by name
    mpiexec -n 3 python together.py plain FILE          the same without SyncBatchNorm
    mpiexec -n 3 python together.py failures FOLDER     the checks that fail: a JSON of each rank
    mpiexec -n 2 python together.py fail "is killed"    what may happen to a rank

`train` is one program for all: it gets PyTorch or tinygrad_bn, and all rows or a rank's.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import compile, nn
from tinygrad_bn.data import DataLoader, TensorDataset
from tinygrad_bn.extras import distributed
from tinygrad_bn.extras.distributed import (
    DistributedDataParallel,
    DistributedSampler,
    SyncBatchNorm,
    all_reduce,
    get_rank,
    get_world_size,
)
from tinygrad_bn.extras.ranks import broadcast, gathered, summed
from tinygrad_bn.extras.replay import ReplayError, replay

STEPS, CLASSES, LR = 4, 3, 0.1
BATCH = 12  # rows of all ranks together
# Which part of the batch each rank has, by the number of ranks: even, uneven, and none at all.
SHARES = {
    1: [[12]],
    2: [[6, 6], [9, 3], [12, 0]],
    3: [[4, 4, 4], [7, 1, 4], [0, 12, 0]],
    4: [[3, 3, 3, 3], [5, 1, 4, 2], [6, 0, 6, 0]],
}


def mlp(nn, **options):
    return nn.Sequential(
        nn.Linear(5, 7, bias=False),
        nn.BatchNorm1d(7, **options),
        nn.ReLU(),
        nn.Linear(7, 6),
        nn.BatchNorm1d(6, eps=1e-3, **options),
        nn.Tanh(),
        nn.Linear(6, CLASSES),
    )


def cnn(nn, **options):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4, **options),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.BatchNorm2d(6, affine=False, **options),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 2 * 2, CLASSES),
    )


def residual(nn, **options):
    class Block(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(channels, **options)

        def forward(self, x):
            return (x + self.norm(self.conv(x))).relu()

    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3, **options),
        Block(3),
        Block(3),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(3 * 2 * 2, CLASSES),
    )


MODELS = {"mlp": mlp, "cnn": cnn, "residual": residual}


def numbers(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape)


def batch_of(name, step):
    """The whole batch of a step: (inputs, labels). Rows of different sizes, so that they count."""
    shape = (BATCH, 5) if name == "mlp" else (BATCH, 1, 8, 8)
    spread = np.linspace(0.5, 3, BATCH).reshape(-1, *[1] * (len(shape) - 1))
    labels = np.random.default_rng(100 + step).integers(0, CLASSES, BATCH)
    return 1 + spread * numbers(shape, step), labels


def start(model):
    """Parameters that are drawn from their names' places; γ among them far from 1."""
    for i, parameter in enumerate(model.parameters()):
        yield parameter, 0.5 * numbers(tuple(parameter.shape), 1000 + i)


def train(torch, name, rows=slice(None), wrap=lambda model: model, momentum=0.1, dtype="float64"):
    """The program. Losses, last gradients and the state at the end, by name."""
    model = MODELS[name](torch.nn, momentum=momentum).to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter, value in start(model):
            parameter.copy_(torch.tensor(value))
    wrapped = wrap(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=0.01)
    found = {}
    for step in range(STEPS):
        inputs, labels = batch_of(name, step)
        x = torch.tensor(inputs[rows]).to(getattr(torch, dtype))
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(wrapped(x), torch.tensor(labels[rows]))
        loss.backward()
        optimizer.step()
        found[f"loss {step}"] = loss.detach().numpy()
    for key, parameter in model.named_parameters():
        found[f"gradient of {key}"] = parameter.grad.numpy()
    for key, value in model.state_dict().items():
        found[key] = value.numpy()
    return {key: np.array(value) for key, value in found.items()}


# --- on ranks ---------------------------------------------------------------------------------


def rows_of(rank, shares):
    first = sum(shares[:rank])
    return slice(first, first + shares[rank])


def synchronised(model):
    return DistributedDataParallel(SyncBatchNorm.convert_sync_batchnorm(model))


def in_parallel(model):
    """With plain batch normalization: each rank has statistics of its own."""
    return DistributedDataParallel(model)


def trainings(wrap):
    """What comes of all of them, on all ranks: {"mlp 9+3 0.1 loss 0": …}."""
    found = {}
    shared = SHARES[get_world_size()]
    for shares in shared if wrap is synchronised else shared[:1]:
        rows, share = rows_of(get_rank(), shares), shares[get_rank()]
        for name in MODELS:
            for momentum in (0.1, None):
                case = f"{name} {'+'.join(map(str, shares))} {momentum}"
                result = train(tg, name, rows, wrap, momentum)
                for key, value in result.items():
                    if key.startswith(
                        "loss"
                    ):  # the mean over this rank's rows: nan, if it has none
                        value = summed(value * share if share else np.zeros(())) / BATCH
                    elif wrap is synchronised or "running" not in key:
                        every = gathered(value)
                        assert (every == every[0]).all(), f"{case}: ranks have different {key}"
                    found[f"{case} {key}"] = value
    return found


# --- checks on all ranks: each is a function that fails, if it does ---------------------------


class Named(NamedTuple):
    only: object


def close(a, b, tolerance=1e-10):
    a, b = (np.asarray(x.detach() if isinstance(x, tg.Tensor) else x) for x in (a, b))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def all_reduce_sums_values_and_gradients():
    rank, ranks = get_rank(), get_world_size()
    x = tg.tensor([1.0 + rank, 10.0], dtype=tg.float64, requires_grad=True)
    y = all_reduce(x)
    close(y, [ranks + ranks * (ranks - 1) / 2, 10.0 * ranks])
    weight = 2.0 + rank
    (weight * y * y).sum().backward()
    close(x.grad, 2 * y.data * (2 * ranks + ranks * (ranks - 1) / 2))


def all_reduce_can_be_differentiated_twice():
    """L = Σ w·y³ with y = Σ x: L' = 3W·y², and of the sum of its squares (L'² each) 36W²·y³."""
    rank, ranks = get_rank(), get_world_size()
    x = tg.tensor([0.5 + rank], dtype=tg.float64, requires_grad=True)
    y = all_reduce(x)
    (first,) = tg.grad(((1.0 + rank) * y**3).sum(), x, create_graph=True)
    total = ranks + ranks * (ranks - 1) / 2
    close(first, 3 * total * y.data**2)
    (second,) = tg.grad((first * first).sum(), x)
    close(second, ranks * 36 * total**2 * y.data**3)


def any_memory_order_is_summed():
    rows = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    for array in (rows, rows.T[::-1], rows[:, ::2]):
        close(summed(array), get_world_size() * array)
        assert all((got == array).all() for got in gathered(array))
        close(broadcast(array + get_rank()), array)


def whole(values):
    """The rows of all ranks, in the order of the ranks."""
    counts = gathered(np.array(len(values)))
    padded = np.zeros((counts.max(), *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return np.concatenate(
        [part[:count] for part, count in zip(gathered(padded), counts, strict=True)]
    )


def layer_and_input(rows, **options):
    layer = SyncBatchNorm(3, **options).double()
    x = numbers((rows, 3, 2, 2), 7 + get_rank()) * (2 + get_rank()) + 5 * get_rank()
    return layer, tg.tensor(x, requires_grad=True)


def a_layer_alone_is_batch_norm_of_all_rows():
    """Values, the gradient towards x, statistics; with options, and where a rank has no rows."""
    for options in ({}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}):
        for rows in (2, 1 + get_rank(), 3 * (get_rank() == 0)):
            layer, x = layer_and_input(rows, **options)
            plain = nn.BatchNorm2d(3, **options).double()
            everything = tg.tensor(whole(x.data), requires_grad=True)
            for _ in range(2):
                y, expected = layer(x), plain(everything)
                close(whole(y.data), expected)
            (y * y * y).sum().backward()
            (expected * expected * expected).sum().backward()
            close(whole(x.grad.data), everything.grad)
            for name, value in plain.state_dict().items():
                close(layer.state_dict()[name], value)
            if plain.weight is not None:
                close(summed(layer.weight.grad.data), plain.weight.grad)
                close(summed(layer.bias.grad.data), plain.bias.grad)


def second_derivatives_of_a_layer_are_those_of_all_rows():
    layer, x = layer_and_input(1 + get_rank())
    plain, everything = nn.BatchNorm2d(3).double(), tg.tensor(whole(x.data), requires_grad=True)
    found = []
    for norm, given in ((layer, x), (plain, everything)):
        weights = tg.tensor(np.cos(given.data))
        (g,) = tg.grad((weights * norm(given) ** 3).sum(), given, create_graph=True)
        (g * g * weights).sum().backward()
        found.append(given.grad.data)
    close(whole(found[0]), found[1])


def a_gradient_penalty_is_that_of_one_process():
    """The gradient of all rows, squared, as part of the loss: second derivatives of everything."""
    shares = SHARES[get_world_size()][0]
    for rows, wrap in ((rows_of(get_rank(), shares), synchronised), (slice(None), lambda m: m)):
        model = mlp(nn).double()
        with tg.no_grad():
            for parameter, value in start(model):
                parameter.copy_(tg.tensor(value))
        inputs, labels = batch_of("mlp", 0)
        x, t = tg.tensor(inputs[rows]), tg.tensor(labels[rows])
        loss = nn.functional.cross_entropy(wrap(model)(x), t)
        parameters = list(model.parameters())
        gradients = tg.grad(loss, parameters, create_graph=True)
        (loss + sum((g * g).sum() for g in gradients)).backward()
        if wrap is synchronised:
            found = [parameter.grad for parameter in parameters]
    for got, parameter in zip(found, parameters, strict=True):
        close(got, parameter.grad)


def a_gradient_penalty_of_uneven_shares_is_refused():
    model, rows = synchronised(mlp(nn)), 2 + get_rank()
    loss = model(tg.randn(rows, 5)).sum()
    if get_world_size() > 1:
        with pytest.raises(RuntimeError, match="as many rows on each rank"):
            loss.backward(create_graph=True)


def nobody_is_asked_in_eval_mode_or_without_gradients():
    """Only rank 0 calls: it would wait for ever, if it asked."""
    model = synchronised(cnn(nn).double())
    inputs, _ = batch_of("cnn", 0)
    x = tg.tensor(inputs)
    model(x[: 3 + get_rank()])
    model.eval()
    if get_rank() == 0:
        with tg.no_grad():
            model(x)
            compile(model)(x)
        layer, x = layer_and_input(4)
        layer.eval()(x).sum().backward()


def a_frozen_layer_keeps_its_statistics():
    model = synchronised(mlp(nn).double())
    model.module[1].eval()
    before = {name: value.clone() for name, value in model.module[1].state_dict().items()}
    inputs, labels = batch_of("mlp", 0)
    x, t = tg.tensor(inputs[get_rank() :: 2]), tg.tensor(labels[get_rank() :: 2])
    nn.functional.cross_entropy(model(x), t).backward()
    for name, value in model.module[1].state_dict().items():
        close(value, before[name], 0)
    assert int(model.module[4].num_batches_tracked) == 1


def all_start_from_rank_0():
    tg.manual_seed(get_rank())
    model = residual(nn)
    model[1].running_mean += get_rank()
    first = {name: broadcast(value.data) for name, value in model.state_dict().items()}
    model = synchronised(model)
    for name, value in model.module.state_dict().items():
        assert (value.data == first[name]).all(), name


def what_is_not_used_has_no_gradient_and_what_one_rank_uses_has_one():
    class Branches(nn.Module):
        def __init__(self):
            self.always, self.never = nn.Linear(2, 2).double(), nn.Linear(2, 2)
            self.first, self.frozen = nn.Linear(2, 2).double(), nn.Linear(2, 2).double()
            self.frozen.weight.requires_grad = False

        def forward(self, x):
            y = self.always(x) + self.frozen(x)
            return self.first(y) if get_rank() == 0 else y

    model = DistributedDataParallel(Branches())
    model(tg.ones(2, 2, dtype=tg.float64)).sum().backward()
    assert model.module.never.weight.grad is None and model.module.frozen.weight.grad is None
    for name in ("always", "first"):
        gradient = getattr(model.module, name).weight.grad.data
        assert (gradient != 0).any() and (gathered(gradient) == gradient).all(), name
    close(model.module.frozen.bias.grad, broadcast(model.module.frozen.bias.grad.data))


def a_parameter_that_is_used_twice_or_outside_counts_once_for_each():
    """Tied weights, and a penalty on them that every rank adds to its loss."""
    layer = nn.Linear(3, 3, bias=False).double()
    model = DistributedDataParallel(nn.Sequential(layer, nn.Tanh(), layer))
    x = tg.tensor(numbers((2, 3), get_rank()))
    (model(x).sum() / 2 + (layer.weight**2).sum()).backward()
    alone = nn.Linear(3, 3, bias=False).double()
    alone.load_state_dict(layer.state_dict())
    everything = tg.tensor(whole(x.data))
    y = alone(alone(everything).tanh())
    (y.sum() / len(everything) + (alone.weight**2).sum()).backward()
    close(layer.weight.grad, alone.weight.grad)
    assert vars(layer)["weight"] is next(layer.parameters()), "the parameter itself is back"


def gradients_are_added_up_over_several_backwards():
    model = synchronised(mlp(nn).double())
    inputs, _ = batch_of("mlp", 1)
    x = tg.tensor(inputs[get_rank() :: 2])
    loss = (model(x) ** 2).mean()
    loss.backward(retain_graph=True)
    once = [parameter.grad.clone() for parameter in model.parameters()]
    loss.backward()
    for parameter, gradient in zip(model.parameters(), once, strict=True):
        close(parameter.grad, 2 * gradient)


def each_backward_brings_its_own_gradients_only():
    """Two outputs of one forward: what the first has left is not brought again by the second."""

    class Two(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(2, 1).double(), nn.Linear(2, 1).double()

        def forward(self, x):
            return self.a(x), self.b(x)

    model = DistributedDataParallel(Two())
    first, second = model(tg.tensor(numbers((2, 2), get_rank())))
    first.sum().backward(retain_graph=True)
    once = model.module.a.weight.grad.clone()
    second.sum().backward()
    close(model.module.a.weight.grad, once, 0)
    assert model.module.b.weight.grad is not None


def outputs_of_any_form_are_weighted_by_rows():
    """Dictionaries, lists and named tuples: the gradient of the mean over all uneven rows."""

    class Forms(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(tg.ones(1, dtype=tg.float64))

        def forward(self, x):
            return {"all": [x * self.scale, Named(x * self.scale**2)], "count": len(x)}

    model = DistributedDataParallel(Forms())
    x = tg.tensor(numbers((1 + 2 * get_rank(), 2), 30 + get_rank()))
    found = model(x)
    assert found["count"] == len(x)
    (found["all"][0].mean() + found["all"][1].only.mean()).backward()
    close(model.module.scale.grad, [3 * whole(x.data).mean()])


def each_gradient_has_the_dtype_of_its_parameter():
    class Mixed(nn.Module):
        def __init__(self):
            self.narrow, self.wide = nn.Linear(2, 1), nn.Linear(2, 1).double()

        def forward(self, x):
            return self.narrow(x.float()).sum().double() + self.wide(x).sum()

    model = DistributedDataParallel(Mixed())
    model(tg.tensor(numbers((2, 2), get_rank()))).backward()
    for parameter in model.parameters():
        assert parameter.grad.dtype == parameter.dtype


def random_numbers_are_of_each_rank_and_follow_from_one_seed():
    drawn = []
    for _ in range(2):
        tg.manual_seed(5)
        DistributedDataParallel(nn.Linear(1, 1))
        drawn.append(gathered(tg.randn(4).data))
    close(*drawn, 0)
    assert len(np.unique(drawn[0])) == 4 * get_world_size()
    tg.manual_seed(5)
    nn.Linear(1, 1)
    close(tg.randn(4), drawn[0][0], 0)  # rank 0's are those of one process


def every_sample_is_read_once_and_in_the_batches_of_one_process():
    for n, batch_size in ((23, 6), (24, 6), (25, 8), (1, 4), (7, 20)):
        for shuffle in (False, True):
            tg.manual_seed(3)
            dataset = TensorDataset(tg.arange(n))
            expected = [b[0].tolist() for b in DataLoader(dataset, batch_size, shuffle)]
            tg.manual_seed(3 + 10 * get_rank())  # only rank 0's counts
            mine = DistributedSampler(dataset, batch_size, shuffle)
            batches = list(DataLoader(dataset, batch_size=None, sampler=mine))
            assert len(batches) == len(mine) == len(expected)
            for (own,), together in zip(batches, expected, strict=True):
                assert sorted(whole(own.data).tolist()) == sorted(together)
                assert abs(len(own) - len(together) / get_world_size()) < 1
            whole_only = DistributedSampler(dataset, batch_size, drop_last=True)
            assert len(list(whole_only)) == len(whole_only) == n // batch_size


def replaying_a_step_that_asks_others_is_refused():
    model, x = synchronised(mlp(nn)), tg.randn(4, 5)
    step = replay(lambda x: model(x).sum().backward())
    step(x)  # called itself
    with pytest.raises(ReplayError, match="other processes"):
        step(x)


def a_compiled_model_keeps_the_statistics_of_all():
    """Of a rank without rows too."""
    inputs, labels = batch_of("cnn", 2)
    rows = slice(get_rank() - 1, None, get_world_size()) if get_world_size() > 1 else slice(None)
    if get_rank() == 0 < get_world_size() - 1:
        rows = slice(0)
    x, t = tg.tensor(inputs[rows]), tg.tensor(labels[rows])
    found = []
    for number in range(3):
        tg.manual_seed(8)
        model = SyncBatchNorm.convert_sync_batchnorm(cnn(nn).double())
        whole_model = DistributedDataParallel(compile(model) if number == 1 else model)
        called = compile(whole_model) if number == 2 else whole_model
        for _ in range(2):
            nn.functional.cross_entropy(called(x), t).backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        found.append([*gradients, *model.state_dict().values()])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            close(a, b)


def one_value_in_all_is_refused_by_all():
    layer = SyncBatchNorm(2)
    x = tg.ones(1 if get_rank() == 0 else 0, 2)
    with pytest.raises(ValueError, match="more than 1 value"):
        layer(x)
    assert int(layer.num_batches_tracked) == 0
    if get_world_size() > 1:
        layer(tg.ones(1, 2))  # one for each rank are several


def nothing_at_all_counts_as_no_batch():
    model = synchronised(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    y = model(tg.ones(0, 2))
    y.sum().backward()
    assert y.shape == (0, 2) and int(model.module[1].num_batches_tracked) == 0
    close(model.module[0].weight.grad, np.zeros((2, 2)))


def different_models_are_told_apart():
    """By what differs: a shape, a name, a dtype, what is trained, how much there is."""
    last = get_rank() == get_world_size() - 1

    def frozen():
        model = nn.Linear(2, 2)
        model.weight.requires_grad = not last
        return model

    cases = [
        (lambda: nn.Linear(2, 3 if last else 2), r"weight: float32 \(3, 2\)"),
        (lambda: nn.ModuleList([nn.Linear(2, 2)]) if last else nn.Linear(2, 2), "0.weight"),
        (lambda: nn.Linear(2, 2).double() if last else nn.Linear(2, 2), "float64"),
        (frozen, r"\(2, 2\)'"),
        (lambda: nn.Linear(2, 2, bias=not last), "nothing more"),
    ]
    for build, expected in cases if get_world_size() > 1 else []:
        message = f"rank 0 has .*rank {get_world_size() - 1}.*{expected}"
        with pytest.raises(RuntimeError, match=message):
            DistributedDataParallel(build())


def different_versions_are_told_apart():
    if get_rank() == get_world_size() - 1 > 0:
        distributed.__version__ = "0.0.9"
    try:
        if get_world_size() > 1:
            with pytest.raises(RuntimeError, match=r"tinygrad_bn 0\.0\.9"):
                DistributedDataParallel(nn.Linear(1, 1))
    finally:
        distributed.__version__ = tg.__version__


CHECKS = [
    all_reduce_sums_values_and_gradients,
    all_reduce_can_be_differentiated_twice,
    any_memory_order_is_summed,
    a_layer_alone_is_batch_norm_of_all_rows,
    second_derivatives_of_a_layer_are_those_of_all_rows,
    a_gradient_penalty_is_that_of_one_process,
    a_gradient_penalty_of_uneven_shares_is_refused,
    nobody_is_asked_in_eval_mode_or_without_gradients,
    a_frozen_layer_keeps_its_statistics,
    all_start_from_rank_0,
    what_is_not_used_has_no_gradient_and_what_one_rank_uses_has_one,
    a_parameter_that_is_used_twice_or_outside_counts_once_for_each,
    gradients_are_added_up_over_several_backwards,
    each_backward_brings_its_own_gradients_only,
    outputs_of_any_form_are_weighted_by_rows,
    each_gradient_has_the_dtype_of_its_parameter,
    random_numbers_are_of_each_rank_and_follow_from_one_seed,
    every_sample_is_read_once_and_in_the_batches_of_one_process,
    replaying_a_step_that_asks_others_is_refused,
    a_compiled_model_keeps_the_statistics_of_all,
    one_value_in_all_is_refused_by_all,
    nothing_at_all_counts_as_no_batch,
    different_models_are_told_apart,
    different_versions_are_told_apart,
]


def failures():
    """The checks that fail, each with how. All ranks go on to the next, so all must fail alike."""
    found = {}
    for check in CHECKS:
        try:
            check()
        except (AssertionError, pytest.fail.Exception):
            found[check.__name__] = traceback.format_exc()
    return found


def fail(how):
    """What may happen to rank 1 in the middle of a training."""
    model = synchronised(mlp(nn))
    for step in range(10_000):
        if step == 20 and get_rank() == 0:
            print("in the middle", flush=True)
        if step == 20 and get_rank() == 1:
            if how == "raises":
                raise ArithmeticError("the number of this rank is odd")
            if how == "exits":
                sys.exit("this rank has had enough")
            if how == "returns":
                return
            if how == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
        model(tg.randn(4, 5)).sum().backward()


if __name__ == "__main__":
    kind, path = sys.argv[1:]
    if kind == "failures":
        Path(path, f"{get_rank()}.json").write_text(json.dumps(failures()))
    elif kind == "fail":
        fail(path)
    else:
        results = trainings({"synchronised": synchronised, "plain": in_parallel}[kind])
        if get_rank() == 0:
            np.savez(path, **results)
