"""[3] Tensors that are copied, pickled, or used in a process that forks."""

import copy
import json
import os
import pickle
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.engine import adding_up
from tinygrad_bn.kernels.forks import held_across_forks
from tinygrad_bn.tensor import generator

WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}
every_way = pytest.mark.parametrize("way", WAYS)


@every_way
@pytest.mark.parametrize("holder", [lambda y: y, lambda y: [y], lambda y: {"y": y}])
def test_a_result_with_its_graph_is_refused(way, holder):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    if way == "copy" and holder(y) is not y:
        return  # of the list alone: nothing of the tensor is copied
    with pytest.raises(RuntimeError, match=r"grad_fn=exp.*\.detach\(\) or \.clone\(\)"):
        WAYS[way](holder(y))


def test_a_model_that_holds_a_deep_result_is_refused_by_a_sentence_not_by_recursion():
    model = nn.Linear(2, 2)
    y = model(tg.ones(1, 2))
    for _ in range(2000):
        y = y + 1
    model.last_output = y
    with pytest.raises(RuntimeError, match="cannot be copied or pickled"):
        copy.deepcopy(model)
    model.last_output = y.detach()
    assert copy.deepcopy(model).last_output.shape == (1, 2)


@every_way
@pytest.mark.parametrize("kind", [tg.Tensor, nn.Parameter])
def test_a_leaf_is_copied_with_its_gradient(way, kind):
    x = kind(np.array([1.0, 2.0], np.float32), True)
    x.grad = tg.tensor([3.0, 4.0])
    twin = WAYS[way](x)
    assert type(twin) is kind
    assert twin.requires_grad
    assert twin.is_leaf
    assert_array_equal(twin.detach().numpy(), [1.0, 2.0])
    assert_array_equal(twin.grad.numpy(), [3.0, 4.0])
    (twin * twin).sum().backward()
    assert_array_equal(twin.grad.numpy(), [5.0, 8.0])
    assert_array_equal(x.grad.numpy(), [3.0, 4.0])


@every_way
def test_a_copy_notices_changes_of_its_own_memory_only(way):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    twin = WAYS[way](x)
    loss = (x * x).sum()
    with tg.no_grad():
        twin.mul_(2)
    if way == "copy":  # of the tensor, not of its memory
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
    else:
        loss.backward()
        assert_array_equal(x.grad.numpy(), [2.0, 4.0])


@every_way
def test_a_gradient_with_a_graph_is_not_copied(way):
    x = nn.Parameter(tg.tensor([1.0, 2.0]))
    (x * x * x).sum().backward(create_graph=True)
    assert WAYS[way](x).grad is None
    assert x.grad.grad_fn is not None


def test_a_parameter_in_two_places_is_one_in_the_copy():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    twin = copy.deepcopy(model)
    assert twin[0].weight is twin[1].weight
    assert twin[0].weight is not model[0].weight


# --- forks ------------------------------------------------------------------------------------

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
forking_is_meant = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def in_child(work):
    """Whether `work` ends in a forked child, without an error and within ten seconds."""
    child = os.fork()
    if child == 0:
        signal_free = threading.Thread(target=work, daemon=True)
        signal_free.start()
        signal_free.join(10)
        os._exit(1 if signal_free.is_alive() else 0)
    return os.waitpid(child, 0)[1] == 0


@forks
@forking_is_meant
@pytest.mark.parametrize(
    ("lock", "work"),
    [
        (generator.bit_generator.lock, lambda: tg.randn(3)),
        (adding_up, lambda: (tg.ones(1, requires_grad=True) * 2).backward()),
    ],
    ids=["random numbers", "sums into leaves"],
)
def test_a_fork_waits_for_a_lock_so_that_the_child_finds_it_free(lock, work):
    taken, done = threading.Event(), threading.Event()

    def hold():
        with lock:
            taken.set()
            done.wait(0.3)  # the fork below waits for this thread

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(10)
    assert in_child(work)
    thread.join()
    assert lock.acquire(blocking=False)  # and the parent has it back
    lock.release()


@forks
@forking_is_meant
def test_without_that_a_child_would_hang():
    """The lock of the check itself: one that nobody holds across forks stays taken."""
    lock = threading.Lock()
    with lock:
        assert not in_child_nowait(lock)
    lock = held_across_forks(threading.RLock())
    assert in_child_nowait(lock)


def in_child_nowait(lock):
    child = os.fork()
    if child == 0:
        os._exit(0 if lock.acquire(blocking=False) else 1)
    return os.waitpid(child, 0)[1] == 0


# --- the state of the random generator --------------------------------------------------------


@pytest.mark.parametrize("drawn", [0, 1, 7])
def test_a_state_brings_the_same_numbers_again(drawn):
    """Also half a word: some draws take 32 of 64 bits and keep the others."""
    tg.manual_seed(3)
    tg.randn(drawn, dtype=tg.float64)
    generator.integers(9, dtype=np.int32)
    assert generator.bit_generator.state["has_uint32"]
    state = tg.get_rng_state()
    first = [generator.integers(9, dtype=np.int32), *tg.randn(50).tolist(), generator.random()]
    tg.manual_seed(0)
    tg.set_rng_state(state)
    again = [generator.integers(9, dtype=np.int32), *tg.randn(50).tolist(), generator.random()]
    assert first == again
    for stored in (state.numpy(), pickle.loads(pickle.dumps(state))):
        tg.set_rng_state(stored)
        assert generator.integers(9, dtype=np.int32) == first[0]


def test_a_state_is_bytes_of_its_own(torch):
    for m in (tg, torch):
        state = m.get_rng_state()
        assert str(state.dtype).endswith("uint8")
        before = state.tolist()
        m.randn(100)
        assert state.tolist() == before != m.get_rng_state().tolist()
        m.set_rng_state(state)


def changed_state(**parts):
    """The bytes of a state of which some parts are others."""
    state = json.loads(tg.get_rng_state().numpy().tobytes())
    return np.frombuffer(json.dumps(state | parts).encode(), np.uint8)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (tg.ones(64), TypeError),
        (np.zeros(64, np.uint8), ValueError),
        (np.frombuffer(b"[1]", np.uint8), ValueError),
        (np.frombuffer(b'{"bit_generator": "PCG64"}', np.uint8), ValueError),
        (changed_state(bit_generator="MT19937"), ValueError),
        (changed_state(uinteger=2**40), ValueError),
        (changed_state(has_uint32="yes"), ValueError),
        (tg.get_rng_state().numpy()[:-1], ValueError),
        ("state", TypeError),
    ],
)
def test_anything_else_is_no_state_and_changes_nothing(wrong, error):
    before = tg.get_rng_state().tolist()
    with pytest.raises(error, match=r"uint8|are not from get_rng_state"):
        tg.set_rng_state(wrong)
    assert tg.get_rng_state().tolist() == before


def test_a_tensor_made_of_an_array_lies_row_by_row():
    """So that its bytes are what a file of weights holds, however the array was made."""
    for array in (np.arange(6.0).reshape(2, 3).T, np.asfortranarray(np.ones((3, 2)))):
        assert tg.tensor(array).data.flags.c_contiguous
        assert nn.Parameter(tg.tensor(array)).data.flags.c_contiguous
