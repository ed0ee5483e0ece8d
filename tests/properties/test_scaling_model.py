"""The cost model of examples/distributed/model.py: by hand, at its limits, and its fit."""

import importlib.util
import math
from pathlib import Path

import pytest

from tinygrad_bn import nn, randn
from tinygrad_bn.extras.distributed import DistributedDataParallel, SyncBatchNorm

FILE = Path(__file__).parents[2] / "examples" / "distributed" / "model.py"
specification = importlib.util.spec_from_file_location("scaling_model", FILE)
model = importlib.util.module_from_spec(specification)
specification.loader.exec_module(model)

NETWORK = model.Network("by hand", latency=1.0, per_byte=0.01)
NOTHING = model.Network("takes no time", 0.0, 0.0)
LINE = model.Line(2.0, 0.5)
# 40 bytes of gradients; statistics of 8·(1 + 2·3) = 56 and 8·(1 + 2·5) = 88 bytes
SMALL = model.Workload("small", LINE, LINE, parameters=10, channels=[3, 5])
EVEN = SMALL._replace(alone=model.Line(0, 0.5), shared=model.Line(0, 0.5))


# --- messages -------------------------------------------------------------------------------------


def test_a_ring_of_four_sends_a_quarter_six_times():
    cost = model.ring(4, 1000, NETWORK)
    assert cost == pytest.approx((6 * 1.0, 6 * 250 * 0.01))
    assert cost.seconds == pytest.approx(21)


def test_a_tree_of_four_sends_all_of_it_twice():
    assert model.tree(4, 1000, NETWORK) == pytest.approx((2.0, 2 * 1000 * 0.01))


def test_halving_and_doubling_sends_a_half_then_a_quarter_and_both_again():
    assert model.halving(4, 1000, NETWORK) == pytest.approx((4.0, 2 * (500 + 250) * 0.01))


def test_an_all_gather_among_four_receives_from_three():
    assert model.all_gather(4, 100, NETWORK) == pytest.approx((2.0, 3 * 100 * 0.01))


@pytest.mark.parametrize(("ranks", "rounds"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (4096, 12)])
def test_so_many_rounds_reach_all(ranks, rounds):
    assert model.rounds(ranks) == rounds
    assert 2**rounds >= ranks


def test_an_all_reduce_takes_the_quickest_way():
    short, long = (model.all_reduce(8, size, NETWORK) for size in (1, 1e6))
    assert short == model.tree(8, 1, NETWORK)
    assert long == model.halving(8, 1e6, NETWORK)
    no_latency = NETWORK._replace(latency=0.0)
    least = model.ring(8, 1e6, no_latency)  # in which each byte travels least
    assert model.all_reduce(8, 1e6, no_latency) == pytest.approx(least)


# --- a step ---------------------------------------------------------------------------------------


def test_the_messages_of_a_step_between_two_ranks_by_hand():
    found = model.messages(SMALL, 2, NETWORK)
    assert found["rows"] == pytest.approx((1, 0.08))
    assert found["forward"] == pytest.approx((2, 0.01 * (56 + 88)))
    assert found["backward"] == pytest.approx((2, 0.01 * (48 + 80)))
    assert found["gradients"] == pytest.approx((1, 0.4))
    assert model.step_time(SMALL, 4, 2, NETWORK) == pytest.approx(2 + 4 * 0.5 + 6 + 3.2)


def test_the_messages_are_those_that_a_step_sends(monkeypatch):
    """In one process nothing travels, but all is asked: so many bytes from each rank."""
    sent = []
    exchange = "tinygrad_bn.extras.ranks.exchange"
    monkeypatch.setattr(exchange, lambda name, array: sent.append((name, array.nbytes)))
    layers = [nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 5), nn.BatchNorm1d(5)]
    net = SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(*layers))
    trained = DistributedDataParallel(net)
    sent.clear()  # it begins with asking whether all have the same
    trained(randn(4, 2)).sum().backward()
    tensors = list(net.parameters())
    parameters = sum(p.numel() for p in tensors)
    rows, forward = ("Iallgather", 8), [("Iallgather", 56), ("Iallgather", 88)]
    backward = [("Iallreduce", 80), ("Iallreduce", 48)]
    gradients = ("Iallreduce", 4 * parameters + 4 * len(tensors))
    assert sent == [rows, *forward, *backward, gradients]


def test_one_rank_sends_nothing():
    assert set(model.messages(SMALL, 1, NETWORK).values()) == {(0, 0)}
    assert model.step_time(SMALL, 4, 1, NETWORK) == LINE(4) == 4


def test_a_process_alone_does_not_compute_as_a_rank_does():
    workload = SMALL._replace(shared=model.Line(3.0, 0.75))
    assert model.step_time(workload, 4, 1, NOTHING) == 4
    assert model.step_time(workload, 4, 2, NOTHING) == 6


def test_the_bytes_of_the_all_gathers_grow_with_the_ranks_and_those_of_the_all_reduces_do_not():
    network = model.Network("no latency", 0.0, 0.01)
    few, many = (model.parts(SMALL, 4, ranks, network) for ranks in (2, 1024))
    assert many[model.GATHERED] == pytest.approx(1023 * few[model.GATHERED])
    assert many[model.REDUCED] < 2 * few[model.REDUCED]
    assert many[model.GRADIENTS_BYTES] < 2 * few[model.GRADIENTS_BYTES]


def test_gradients_that_overlap_cost_what_backward_leaves_of_them():
    overlapping = model.Plan(overlap=True)
    large = SMALL._replace(parameters=1000)  # 1 + 40 seconds; of 4, backward takes 8/3
    parts = model.parts(large, 4, 2, NETWORK, overlapping)
    visible = parts[model.GRADIENTS_LATENCY] + parts[model.GRADIENTS_BYTES]
    assert visible == pytest.approx(41 - 8 / 3)
    parts = model.parts(SMALL, 4, 2, NETWORK, overlapping)
    assert parts[model.GRADIENTS_LATENCY] == parts[model.GRADIENTS_BYTES] == 0
    assert parts[model.SMALL] == 5  # the others cannot


def test_in_groups_the_statistics_cost_what_they_cost_a_group():
    grouped = model.messages(SMALL, 1024, NETWORK, model.Plan(group=4))
    alone = model.messages(SMALL, 4, NETWORK)
    everywhere = model.messages(SMALL, 1024, NETWORK)
    assert grouped["forward"] == alone["forward"]
    assert grouped["backward"] == alone["backward"]
    assert grouped["gradients"] == everywhere["gradients"]
    larger_than_all = model.messages(SMALL, 2, NETWORK, model.Plan(group=4))
    assert larger_than_all == model.messages(SMALL, 2, NETWORK)


def test_statistics_by_all_reduce_take_two_messages_of_the_same_bytes():
    found = model.messages(SMALL, 2, NETWORK, model.Plan(reduced=True))
    assert found["forward"] == pytest.approx((4, 0.01 * (56 + 88)))


# --- efficiency -----------------------------------------------------------------------------------


@pytest.mark.parametrize("weak", [False, True])
def test_messages_that_take_no_time_lose_nothing(weak):
    case = model.Case(EVEN, NOTHING, 4096, weak)
    for ranks in [1, *model.RANKS]:
        assert model.efficiency(case, ranks) == pytest.approx(1)
        assert sum(model.lost(case, ranks).values()) == pytest.approx(0)
    assert model.breaks_down(case) is None


def test_efficiency_by_hand():
    strong = model.Case(SMALL, NETWORK, 8, weak=False)
    weak = model.Case(SMALL, NETWORK, 4, weak=True)
    step = 4 + 6 + 3.2  # of 4 rows, as above
    assert model.efficiency(strong, 2) == pytest.approx((2 + 8 * 0.5) / (2 * step))
    assert model.efficiency(weak, 2) == pytest.approx(4 / step)
    assert sum(model.lost(strong, 2).values()) == pytest.approx(step - 3)
    assert sum(model.lost(weak, 2).values()) == pytest.approx(step - 4)


def test_rows_that_do_not_divide_evenly_and_ranks_without_rows():
    case = model.Case(EVEN, NOTHING, 10, weak=False)
    assert [case.rows(ranks) for ranks in (1, 4, 16)] == [10, 3, 1]
    assert model.efficiency(case, 4) == pytest.approx(10 / 12)
    assert model.efficiency(case, 16) == pytest.approx(10 / 16)


def test_where_it_breaks_down_by_hand():
    """5 seconds of computation against 2·log₂ R: more than half is lost from 8 ranks on."""
    bare = EVEN._replace(parameters=0, channels=[])
    case = model.Case(bare, model.Network("latency only", 1.0, 0.0), 10, weak=True)
    assert model.efficiency(case, 4) == pytest.approx(5 / 9)
    assert model.breaks_down(case) == 8


def test_mends_take_messages_away_or_add_rows():
    case = model.Case(SMALL, NETWORK, 8, weak=True)
    changed = model.Mend("both", every=2, times=4).applied(case)
    assert changed.workload.channels == [3]
    assert changed.size == 32
    assert model.Mend("nothing").applied(case) == case
    assert model.efficiency(changed, 64) > model.efficiency(case, 64)


# --- the fit --------------------------------------------------------------------------------------


def test_the_fit_finds_what_made_exact_times():
    sizes = [8, 100, 5_000, 1_000_000]
    seconds = [3e-6 + 2e-10 * size for size in sizes]
    network = model.fit_network("exact", sizes, seconds)
    assert network.latency == pytest.approx(3e-6)
    assert network.per_byte == pytest.approx(2e-10)
    predicted = [network.latency + size * network.per_byte for size in sizes]
    assert model.relative_errors(predicted, seconds) == pytest.approx([0] * 4, abs=1e-9)


def test_the_fit_counts_relative_errors():
    """(c/1 − 1)² + (c/3 − 1)² is least at c = 1.2; of absolute errors it would be 2."""
    line = model.fit_line([0, 0], [1, 3])
    assert line(0) == pytest.approx(1.2)
    assert model.relative_errors([1.2, 1.2], [1, 3]) == pytest.approx([0.2, -0.6])


# --- ResNet-50 ------------------------------------------------------------------------------------


def test_resnet50_has_the_numbers_that_are_known():
    """torchvision's: resnet50's parameters, and its 4.09 "GFLOPS", which are multiply-adds."""
    assert model.resnet50_parameters() == 25_557_032
    assert model.resnet50_multiply_adds() == pytest.approx(4.09e9, rel=1e-3)
    assert model.resnet50_flops() == 6 * model.resnet50_multiply_adds()


def test_resnet50s_channels_add_up_from_its_stages():
    layers = model.resnet50()
    assert len(layers) == 1 + 3 * (3 + 4 + 6 + 3) + 4 == 53
    stages = [(3, 64), (4, 128), (6, 256), (3, 512)]
    blocks = sum(count * (width + width + 4 * width) for count, width in stages)
    beside = sum(4 * width for _, width in stages)
    assert sum(layer.channels for layer in layers) == 64 + blocks + beside == 26_560


def test_resnet50s_layers_fit_together():
    layers = model.resnet50()
    assert layers[0] == (3, 64, 7, 112)
    assert layers[1:5] == [(64, 64, 1, 56), (64, 64, 3, 56), (64, 256, 1, 56), (64, 256, 1, 56)]
    assert layers[-1] == (512, 2048, 1, 7)
    assert math.log2(layers[0].side / layers[-1].side) == 4
