"""Data parallel training: N ranks do what one process does. The programs: support/together.py.

Each number of ranks is started once for all tests that need it, with one thread of BLAS's for each.
"""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import together
from numpy.testing import assert_allclose
from safetensors.numpy import load_file

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.autograd import gradcheck, gradgradcheck
from tinygrad_bn.extras.distributed import (
    DistributedDataParallel,
    DistributedSampler,
    SyncBatchNorm,
    all_reduce,
)
from tinygrad_bn.extras.ranks import cores

PROGRAM = Path(together.__file__)
EXAMPLES = PROGRAM.parents[2] / "examples"
MPIEXEC = Path(sys.executable).with_name("mpiexec")
on_ranks = pytest.mark.skipif(
    find_spec("mpi4py") is None or not MPIEXEC.exists(), reason="mpi4py and mpich: the extra [mpi]"
)
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
RANKS = (1, 2, 3, 4)
TOLERANCE = 1e-10


def start(command, threads=ONE_THREAD, **environment):
    """The command in a group of its own, as a terminal starts it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS", "OMP", "MKL"))}
    paths = os.pathsep.join([str(PROGRAM.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        list(map(str, command)),
        env={**kept, **threads, **environment, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def on(ranks, *program):
    return [MPIEXEC, "-n", ranks, sys.executable, *program]


def result(process, seconds=120):
    """(exit status, what it printed, its errors); a failure if it takes longer."""
    try:
        printed, errors = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, printed, errors


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """outcome(kind, ranks): what `together.py kind` writes on so many ranks."""

    @functools.cache
    def run(kind, ranks):
        path = tmp_path_factory.mktemp(kind) / "found.npz"
        status, _, errors = result(start(on(ranks, PROGRAM, kind, path)))
        assert status == 0, errors
        return dict(np.load(path))

    return run


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """failures(ranks): of each rank, the checks that fail, with how."""

    @functools.cache
    def run(ranks):
        folder = tmp_path_factory.mktemp("failures")
        status, _, errors = result(start(on(ranks, PROGRAM, "failures", folder)))
        assert status == 0, errors
        return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]

    return run


@functools.cache
def whole_batch(torch, name, momentum):
    return together.train(torch, name, momentum=momentum)


def differences(found, torch):
    """{"mlp 9+3 0.1 loss 0": the largest difference from one process with the whole batch}."""
    for key, value in found.items():
        name, _, momentum, quantity = key.split(" ", 3)
        given = None if momentum == "None" else float(momentum)
        expected = whole_batch(torch, name, given)[quantity]
        assert value.shape == expected.shape and value.dtype == expected.dtype, key
        yield key, float(np.abs(value - expected).max(initial=0))


# --- the same numbers -------------------------------------------------------------------------


@on_ranks
@pytest.mark.parametrize("ranks", RANKS)
def test_ranks_do_what_one_process_does(outcome, ranks):
    """Losses, gradients, weights, statistics; even shares, uneven ones, ranks without rows."""
    found = outcome("synchronised", ranks)
    assert len(found) > 150
    assert {k: d for k, d in differences(found, tg) if not d <= TOLERANCE} == {}


@on_ranks
@pytest.mark.parametrize("ranks", RANKS)
def test_ranks_do_what_pytorch_does_with_the_whole_batch(outcome, torch, ranks):
    found = outcome("synchronised", ranks)
    assert {k: d for k, d in differences(found, torch) if not d <= TOLERANCE} == {}


@on_ranks
@pytest.mark.parametrize("ranks", [2, 4])
def test_plain_batch_normalization_trains_another_model_there(outcome, ranks):
    """By how much: of 12 rows each rank sees 6 or 3, and the fourth loss is off by over 0.1%.

    The gradients are averaged all the same; it is the statistics that are not the batch's.
    """
    off = dict(differences(outcome("plain", ranks), tg))
    even = "+".join(map(str, together.SHARES[ranks][0]))
    for name in together.MODELS:
        loss = whole_batch(tg, name, 0.1)["loss 3"]
        assert off[f"{name} {even} 0.1 loss 3"] > 1e-3 * loss
        statistics = [d for key, d in off.items() if key.startswith(name) and "running_var" in key]
        assert min(statistics) > 1e-3


# --- one check each, on all ranks -------------------------------------------------------------


@on_ranks
@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("check", [check.__name__ for check in together.CHECKS])
def test_on_all_ranks(failures, check, ranks):
    for rank, found in enumerate(failures(ranks)):
        assert check not in found, f"rank {rank}: {found[check]}"


def test_the_checks_hold_without_mpi():
    """The same program in one process that no mpiexec has started: nothing is imported for it."""
    program = f"""
import sys
sys.path.insert(0, {str(PROGRAM.parent)!r})
import together
found = together.failures()
assert not found, found
assert not [name for name in sys.modules if name.startswith("mpi4py")]
"""
    status, _, errors = result(start([sys.executable, "-c", program]))
    assert status == 0, errors


# --- one rank ---------------------------------------------------------------------------------


def statistics_of(layer):
    return {name: value.data for name, value in layer.state_dict().items()}


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 4, 5)])
@pytest.mark.parametrize(
    "options",
    [{}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}, {"bias": False}],
)
def test_alone_it_is_batch_normalization(shape, options):
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    plain, synchronised = kind(3, **options).double(), SyncBatchNorm(3, **options).double()
    given = np.random.default_rng(0).standard_normal(shape) * 3 + 100
    found = []
    for layer in (plain, synchronised):
        x = tg.tensor(given, requires_grad=True)
        for _ in range(2):
            y = layer(x)
        (y**3).sum().backward()
        gradients = [p.grad.data for p in layer.parameters()]
        evaluated = layer.eval()(x)
        found.append([y.data, x.grad.data, *gradients, evaluated.data])
        found[-1] += list(statistics_of(layer).values())
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("memory", ["rows first", "rows last"])
def test_its_derivatives_are_difference_quotients(memory):
    layer = SyncBatchNorm(2, eps=0.1).double()
    x = np.random.default_rng(1).standard_normal((3, 2, 2))
    if memory == "rows last":
        x = np.asfortranarray(x)
    inputs = [tg.tensor(x, requires_grad=True), *layer.parameters()]
    for tensor in inputs[1:]:
        tensor.data[...] = [0.7, -1.3]

    def loss(x, *_):
        return layer(x)

    assert gradcheck(loss, inputs)
    assert gradgradcheck(loss, inputs)
    assert gradcheck(lambda x: all_reduce(x * x), inputs[:1])


def test_float32_keeps_its_dtype_and_the_differences_of_large_numbers():
    """An offset of 1,000 that all have in common takes three digits, not all."""
    x = np.random.default_rng(2).standard_normal((64, 2)).astype(np.float32)
    layer = SyncBatchNorm(2)
    y, expected = layer(tg.tensor(x + np.float32(1000))), nn.BatchNorm1d(2)(tg.tensor(x))
    assert y.dtype == np.float32 and layer.running_var.dtype == np.float32
    assert_allclose(y.data, expected.data, atol=1e-3)
    assert_allclose(layer.running_var.data, 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-4)


def test_converting_shares_what_the_layers_have():
    inner = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, eps=0.5, momentum=None))
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, affine=False), inner)
    inner[1].eval()
    before = model.state_dict()
    parameters = list(model.parameters())
    converted = SyncBatchNorm.convert_sync_batchnorm(model)
    assert converted is model and list(model.parameters()) == parameters
    assert list(model.state_dict()) == list(before)
    for name, value in model.state_dict().items():
        assert value.data is before[name].data
    kinds = [type(m).__name__ for m in model.modules()]
    assert kinds == [
        "Sequential",
        "Conv2d",
        "SyncBatchNorm",
        "Sequential",
        "Linear",
        "SyncBatchNorm",
    ]
    layer = model[2][1]
    assert (layer.eps, layer.momentum, layer.training) == (0.5, None, False)
    assert type(SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(2))) is SyncBatchNorm


def test_its_inputs_are_those_of_pytorch():
    layer = SyncBatchNorm(3)
    for shape in [(3,), (2, 4), (2, 4, 5)]:
        with pytest.raises(ValueError, match="takes"):
            layer(tg.ones(*shape))


def test_what_is_no_module_and_no_batch_size_is_refused():
    with pytest.raises(TypeError, match="takes modules"):
        DistributedDataParallel(tg.ones(2))
    for size in (0, -1, 2.5, True):
        with pytest.raises((ValueError, TypeError), match="batch_size"):
            DistributedSampler(range(3), size)


# --- how it ends ------------------------------------------------------------------------------


@on_ranks
@pytest.mark.parametrize(
    ("how", "status", "messages"),
    [
        ("raises", 1, ["rank 1 of 2 ends all:", "ArithmeticError: the number of this rank is odd"]),
        ("exits", 1, ["this rank has had enough", "rank 0 waits for rank 1, which has ended"]),
        ("returns", 1, ["rank 0 waits for rank 1, which has ended"]),
        ("is killed", 9, ["Killed (signal 9)"]),
    ],
)
def test_a_rank_that_ends_is_the_end_of_all(how, status, messages):
    """What several ranks print comes in any order."""
    began = time.monotonic()
    found, printed, errors = result(start(on(2, PROGRAM, "fail", how)), seconds=20)
    assert time.monotonic() - began < 10
    assert printed.startswith("in the middle\n")
    assert found == status
    for message in messages:
        assert message in printed + errors


@on_ranks
def test_who_has_taken_part_may_leave_before_the_others_are_done():
    """The last act is an exchange, which some ranks finish before others."""
    program = "import numpy; from tinygrad_bn.extras.ranks import gathered; gathered(numpy.ones(9))"
    runs = [start(on(4, "-c", program)) for _ in range(6)]
    assert [result(run)[0] for run in runs] == [0] * 6


@on_ranks
def test_ctrl_c_ends_all_ranks_with_one_message():
    process = start(on(3, PROGRAM, "fail", "not at all"))
    assert process.stdout.readline() == "in the middle\n"
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    status, _, errors = result(process, seconds=20)
    assert time.monotonic() - began < 10
    assert status == 130
    assert errors.count("interrupted: all ranks end") == 1
    assert "Traceback" not in errors


@on_ranks
def test_more_threads_than_processors_are_mentioned_once():
    program = "import numpy; from tinygrad_bn.extras.ranks import summed; summed(numpy.ones(1))"
    processors = cores()
    crowded = f"2 ranks take {2 * processors} threads, and there are {processors} processors"
    for threads, expected in (({}, 1), ({"OMP_NUM_THREADS": str(processors)}, 1)):
        _, _, errors = result(start(on(2, "-c", program), threads))
        assert errors.count(crowded) == expected
    if processors > 1:
        assert result(start(on(2, "-c", program)))[1:] == ("", "")


@on_ranks
def test_a_launched_rank_has_its_share_of_the_threads_before_numpy_is_loaded():
    rank = (
        "import os; a, b = os.environ['OPENBLAS_NUM_THREADS'], os.environ['OMP_NUM_THREADS'];"
        "print(a, b) if os.environ['PMI_RANK'] == '1' else None"
    )
    program = f"from tinygrad_bn.extras.ranks import launch; launch(2, ['-c', {rank!r}])"
    share = max(1, cores() // 2)
    told = {"OMP_NUM_THREADS": "7"}  # what has been chosen stays
    for threads, expected in (({}, f"{share} {share}\n"), (told, f"{share} 7\n")):
        status, printed, errors = result(start([sys.executable, "-c", program], threads))
        assert (status, printed) == (0, expected), errors


# --- without it -------------------------------------------------------------------------------


def test_mpi4py_is_imported_only_by_ranks_and_missed_by_name():
    program = """
import os, sys
sys.modules["mpi4py"] = None
import tinygrad_bn, tinygrad_bn.extras.distributed as distributed
assert (distributed.get_rank(), distributed.get_world_size()) == (0, 1)
os.environ["PMI_SIZE"] = "2"
try:
    distributed.get_rank()
except ImportError as error:
    print(error)
"""
    status, printed, errors = result(start([sys.executable, "-c", program]))
    assert status == 0, errors
    assert "pip install 'tinygrad_bn[mpi]'" in printed


# --- the examples -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with the first few of MNIST's images, in its format."""
    folder = tmp_path_factory.mktemp("digits")
    for part, count in (("train", 150), ("t10k", 50)):
        dataset = tg.data.MNIST(train=part == "train", part=slice(count))
        images = np.array([2051, count, 28, 28], ">i4").tobytes() + dataset.images.tobytes()
        labels = np.array([2049, count], ">i4").tobytes()
        labels += dataset.labels.astype(np.uint8).tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    return folder


def trained(command, digits, path):
    options = ["--epochs", 2, "--lr", 0.02, "--batch-size", 37, "--data", digits, "--save", path]
    status, printed, errors = result(start([*command, *options]))
    assert status == 0, errors
    return printed.splitlines(), load_file(path), errors


@on_ranks
def test_the_same_script_on_one_process_and_on_several(digits, tmp_path):
    """The same lines (but for the seconds) and the same weights, from the first process alone.

    The last of the batches of 37 has 2 images: of three processes one gets none.
    """
    script = EXAMPLES / "mnist_mlp.py"
    alone, weights, _ = trained([sys.executable, script], digits, tmp_path / "1")
    commands = [
        on(2, script),
        on(3, script),
        [sys.executable, script, "--processes", 2],
    ]
    for i, command in enumerate(commands):
        lines, found, errors = trained(command, digits, tmp_path / f"several {i}")
        assert [line.partition(" s")[0] for line in lines[:-1]] == [
            line.partition(" s")[0] for line in alone[:-1]
        ]
        assert lines[-1].startswith(alone[-1][:20])
        assert list(found) == list(weights)
        for name, value in found.items():
            assert value.dtype == weights[name].dtype
            assert_allclose(value, weights[name], rtol=1e-3, atol=1e-3)
        if command[0] != MPIEXEC:
            assert errors == ""


@on_ranks
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", 0], "--epochs must be at least 1"),
        (["--epochs", "two"], "invalid int value: 'two'"),
        (["--processes", 3], "--processes 3: mpiexec has started 2"),
        (["--data", "nowhere"], "no file train-images"),
    ],
)
def test_a_wrong_option_is_said_once(options, message):
    status, printed, errors = result(start(on(2, EXAMPLES / "mnist_mlp.py", *options)))
    assert status == 2 and printed == ""
    assert errors.count(message) == 1 and errors.count("usage:") == 1
