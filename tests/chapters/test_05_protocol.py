"""Modules in use: replaced, shared, sliced, listed, overridden, switched; beside PyTorch."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_bn as tg
from tinygrad_bn import nn

# --- what may be assigned ---------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(2, 2)
        self.scale = nn.Parameter(tg.ones(2))
        self.register_buffer("seen", tg.zeros(2))
        self.note = "free"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("scale", tg.ones(2), r"Tensor as Net\.scale \(Parameter or None expected\)"),
        ("scale", np.ones(2), "ndarray as Net.scale"),
        ("scale", 1.0, "float as Net.scale"),
        ("layer", lambda x: x, r"function as Net\.layer \(Module or None expected\)"),
        ("layer", tg.ones(2), "Tensor as Net.layer"),
        ("seen", np.zeros(2), r"ndarray as Net\.seen \(Tensor or None expected\)"),
        ("seen", 0, "int as Net.seen"),
    ],
)
def test_what_would_make_a_parameter_a_module_or_a_buffer_vanish_is_refused(name, value, message):
    net = Net()
    before = getattr(net, name)
    with pytest.raises(TypeError, match=message):
        setattr(net, name, value)
    assert getattr(net, name) is before


def test_what_is_of_the_same_kind_or_none_may_be_assigned_and_all_else_to_other_names():
    net = Net()
    net.scale, net.layer, net.seen, net.note = nn.Parameter(tg.zeros(2)), nn.ReLU(), tg.ones(2), 7
    assert [name for name, _ in net.named_parameters()] == ["scale"]
    net.scale = net.layer = net.seen = None
    net.scale, net.note = tg.ones(2), nn.Linear(1, 1)  # free again
    assert [name for name, _ in net.named_parameters()] == ["note.weight", "note.bias"]


def test_a_buffer_that_was_deleted_is_none_any_more(torch):
    for m in (tg, torch):
        net = m.nn.BatchNorm1d(2)
        del net.running_mean
        assert "running_mean" not in net.state_dict()
        net.running_mean = m.ones(2)  # an attribute like any other
        assert list(net.state_dict()) == ["weight", "bias", "running_var", "num_batches_tracked"]
        net.register_buffer("extra", m.zeros(1))
        assert list(net.state_dict())[-1] == "extra"


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("new", 3.0, TypeError),
        ("new", np.zeros(2), TypeError),
        ("scale", tg.zeros(2), (TypeError, ValueError)),
        ("layer", None, ValueError),
        ("note", tg.zeros(2), ValueError),
        ("eval", tg.zeros(2), ValueError),
        ("layer.extra", tg.zeros(2), ValueError),
    ],
)
def test_what_cannot_be_a_buffer_is_refused_and_nothing_registered(name, value, error):
    net = Net()
    before = dict(vars(net))
    with pytest.raises(error, match=name):
        net.register_buffer(name, value)
    assert vars(net) == before
    assert list(net.state_dict()) == ["scale", "seen", "layer.weight", "layer.bias"]


def test_pytorch_refuses_the_same(torch):
    for m in (tg, torch):
        layer = m.nn.Linear(2, 2)
        with pytest.raises(TypeError, match="cannot assign"):
            layer.weight = m.ones(2, 2)
        norm = m.nn.BatchNorm1d(2)
        with pytest.raises(TypeError, match="cannot assign"):
            norm.running_mean = 3.0


# --- one module in several places -------------------------------------------------------------


def shared(m):
    relu, linear = m.nn.ReLU(), m.nn.Linear(2, 2)
    return m.nn.Sequential(linear, relu, linear, m.nn.Sequential(relu, linear))


def test_a_module_used_several_times_is_visited_as_often_as_in_pytorch(torch):
    found = []
    for m in (tg, torch):
        model, calls = shared(m), []
        model.apply(lambda module, calls=calls: calls.append(type(module).__name__))
        found.append(
            {
                "apply": calls,
                "len": len(model),
                "children": [name for name, _ in model.named_children()],
                "modules": [type(module).__name__ for module in model.modules()],
                "parameters": [name for name, _ in model.named_parameters()],
                "state": sorted(model.state_dict()),
                "items": [type(module).__name__ for module in model],
            }
        )
    assert found[0] == found[1]


def test_a_module_used_twice_is_called_twice():
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.detach().fill_(3.0)
    assert nn.Sequential(layer, nn.Identity(), layer)(tg.ones(1, 1)).item() == 9.0


def test_it_prints_under_each_of_its_names(torch):
    lines = [repr(shared(m)).splitlines() for m in (tg, torch)]
    assert len(lines[0]) == len(lines[1]) == 9


# --- slices and lists -------------------------------------------------------------------------


def names_of(m, slices):
    model = m.nn.Sequential(*[m.nn.Linear(2, 2, bias=False) for _ in range(5)])
    for part in slices:
        model = model[part]
    return list(model.state_dict())


@pytest.mark.parametrize(
    "slices", [[slice(1, None)], [slice(None, -1)], [slice(0, 5, 2)], [slice(1, 4), slice(1, None)]]
)
def test_a_slice_keeps_the_names_of_its_layers(torch, slices):
    assert names_of(tg, slices) == names_of(torch, slices)


def test_weights_of_the_whole_fit_a_slice():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    twin = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tail = {k: v for k, v in model.state_dict().items() if k.startswith("1.")}
    twin[1:].load_state_dict(tail)
    assert_array_equal(twin[1].weight.detach().numpy(), model[1].weight.detach().numpy())


def test_appending_to_a_slice_replaces_nothing():
    model = nn.Sequential(nn.ReLU(), nn.Linear(1, 1), nn.Tanh())[1:]
    assert model.append(nn.Sigmoid()) is model
    assert [type(module).__name__ for module in model] == ["Linear", "Tanh", "Sigmoid"]
    model.extend(iter([nn.ReLU(), nn.ReLU()]))
    assert len(model) == 5
    model.extend(model)
    assert len(model) == 10


@pytest.mark.parametrize("kind", [nn.Sequential, lambda *modules: nn.ModuleList(modules)])
@pytest.mark.parametrize("wrong", [len, tg.ones(1), nn.ReLU])
def test_what_is_no_module_is_refused_by_its_place(kind, wrong):
    with pytest.raises(TypeError, match=r"takes modules; argument 1 is"):
        kind(nn.ReLU(), wrong)


def with_list(m):
    class Blocks(m.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = m.nn.ModuleList([m.nn.Linear(2, 2) for _ in range(3)])
            self.blocks.append(m.nn.Linear(2, 1))
            self.blocks.extend([m.nn.ReLU()])

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    return Blocks()


def test_a_module_list_is_pytorchs(torch):
    ours, theirs = with_list(tg), with_list(torch)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert len(ours.blocks) == len(theirs.blocks) == 5
    assert repr(ours.blocks[1:3]).count("Linear") == 2
    assert list(ours.blocks[1:3].state_dict()) == list(theirs.blocks[1:3].state_dict())
    assert ours.blocks[-1] is list(ours.blocks)[4]
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    x = np.ones((3, 2), np.float32)
    y = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(tg.tensor(x)).detach().numpy(), y, rtol=1e-5)
    ours.eval()
    assert not any(module.training for module in ours.modules())


@pytest.mark.parametrize("kind", [list, tuple, lambda layers: {"a": layers[0], "b": 1}])
def test_modules_in_a_plain_list_are_warned_of_by_name(kind):
    class Hidden(nn.Module):
        def __init__(self):
            self.layers = []
            self.sizes = [3, 4]
            self.layers = kind([nn.Linear(2, 2)])

    with pytest.warns(UserWarning, match=r"Hidden\.layers is a plain \w+.*nn\.ModuleList") as seen:
        list(nn.Sequential(Hidden()).parameters())
    assert len(seen) == 1
    assert seen[0].filename == __file__


def test_other_lists_are_not_warned_of():
    class Free(nn.Module):
        def __init__(self):
            self.sizes, self.names, self.nothing = [1, 2], {"a": "b"}, ()
            self.layer = nn.Linear(1, 1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(Free().parameters())) == 2


# --- subclasses and switches ------------------------------------------------------------------


def test_a_child_that_overrides_train_stays_frozen():
    class Frozen(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    model = nn.Sequential(nn.Linear(2, 2), Frozen(2), nn.BatchNorm1d(2)).train()
    assert [module.training for module in model] == [True, False, True]
    model(tg.randn(4, 2))
    assert model[1].num_batches_tracked.item() == 0
    assert model[2].num_batches_tracked.item() == 1


LAYERS = {
    nn.Linear: (2, 3),
    nn.Conv2d: (1, 2, 3),
    nn.BatchNorm1d: (2,),
    nn.BatchNorm2d: (2,),
    nn.MaxPool2d: (2,),
    nn.AvgPool2d: (2,),
    nn.Dropout: (0.5,),
    nn.Flatten: (),
    nn.ReLU: (),
    nn.Softmax: (1,),
    nn.CrossEntropyLoss: (),
    nn.MSELoss: (),
    nn.Sequential: (),
    nn.Identity: (),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_subclass_may_have_annotations_and_attributes_of_its_own(layer):
    class Mine(layer):
        extra: int
        table: dict[str, int] = {}  # noqa: RUF012

        def __init__(self, *args):
            super().__init__(*args)
            self.more = "mine"
            self.extra = 3

    mine = Mine(*LAYERS[layer])
    assert (mine.extra, mine.more, Mine.table) == (3, "mine", {})
    assert repr(mine).startswith("Mine(")


@pytest.mark.parametrize("mode", [0, 1, None, "off"])
def test_a_mode_is_true_or_false(torch, mode):
    model = nn.Sequential(nn.Dropout())
    with pytest.raises(TypeError, match="mode must be True or False"):
        model.train(mode)
    assert (model.training, model[0].training) == (True, True)
    with pytest.raises(ValueError, match="expected to be boolean"):
        torch.nn.Dropout().train(mode)


@pytest.mark.parametrize("training", [True, False])
def test_tracking_that_is_switched_off_later_is_off(torch, training):
    x = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    found = []
    for m in (tg, torch):
        layer = m.nn.BatchNorm1d(3)
        layer(m.tensor(x))
        layer.track_running_stats = False
        y = layer.train(training)(m.tensor(x))
        found.append([y, layer.running_mean, layer.running_var, layer.num_batches_tracked])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-5)


def test_resetting_leaves_a_subclasss_buffers_alone():
    class Mine(nn.BatchNorm1d):
        def __init__(self, features):
            super().__init__(features)
            self.register_buffer("calls", tg.tensor(7.0))

    layer = Mine(2)
    layer(tg.randn(4, 2))
    layer.reset_running_stats()
    assert layer.calls.item() == 7.0
    assert layer.num_batches_tracked.item() == 0


def test_resetting_does_nothing_where_tracking_was_switched_off(torch):
    for m in (tg, torch):
        layer = m.nn.BatchNorm1d(1)
        layer(m.tensor([[1.0], [3.0]]))
        layer.track_running_stats = False
        layer.reset_running_stats()
        assert layer.running_mean.tolist() == pytest.approx([0.2])
        assert layer.num_batches_tracked.item() == 1


def test_one_of_two_statistics_is_refused_at_inference(torch):
    for m, error in ((tg, ValueError), (torch, RuntimeError)):
        for missing in ("running_mean", "running_var"):
            layer = m.nn.BatchNorm1d(1).eval()
            setattr(layer, missing, None)
            with pytest.raises(error, match=r"running_(mean|var)"):
                layer(m.tensor([[1.0], [3.0]]))


# --- checkpoints of other programs ------------------------------------------------------------


def test_a_checkpoint_may_lack_the_number_of_batches(torch):
    """PyTorch takes one too: it was written before there was such a buffer."""
    for m in (tg, torch):
        model = m.nn.Sequential(m.nn.Linear(2, 2), m.nn.Sequential(m.nn.BatchNorm1d(2)))
        model(m.ones(4, 2) * m.tensor([[1.0, 2.0]]))
        state = {k: v for k, v in model.state_dict().items() if "num_batches" not in k}
        result = model.load_state_dict(state)
        assert list(result.missing_keys) == []
        assert model[1][0].num_batches_tracked.item() == 1


def test_a_buffer_that_is_none_is_not_saved(torch):
    for m in (tg, torch):
        layer = m.nn.BatchNorm1d(2, track_running_stats=False)
        assert list(layer.state_dict()) == ["weight", "bias"]
        assert list(layer.buffers()) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.bool_])
def test_numbers_of_any_size_are_loaded(dtype):
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1, 0]], dtype), "bias": np.ones(1, dtype)})
    assert (layer.weight.tolist(), layer.bias.tolist()) == ([[1.0, 0.0]], [1.0])


@pytest.mark.parametrize("value", [2**60 + 1, -(2**53) - 1])
def test_large_integers_are_loaded_exactly(torch, value):
    for m in (tg, torch):
        module = m.nn.Module()
        module.register_buffer("count", m.tensor(0))
        module.load_state_dict({"count": m.tensor(value)})
        assert module.count.item() == value


def test_values_may_come_from_the_module_itself(torch):
    for m in (tg, torch):
        layers = m.nn.Sequential(m.nn.Linear(1, 1), m.nn.Linear(1, 1))
        state = layers.state_dict()
        first, second = state["0.bias"].item(), state["1.bias"].item()
        layers.load_state_dict(state | {"0.bias": m.tensor([second]), "1.bias": state["0.bias"]})
        assert layers[0].bias.item() == second
        if m is tg:  # PyTorch copies one after the other
            assert layers[1].bias.item() == first


def test_but_nothing_else():
    model = nn.Sequential(nn.BatchNorm1d(2))
    state = {k: v for k, v in model.state_dict().items() if "running_var" not in k}
    with pytest.raises(RuntimeError, match=r"missing: 0\.running_var"):
        model.load_state_dict(state)


# --- gradients that are assigned --------------------------------------------------------------

OWN = tg.tensor([1.0, 2.0], requires_grad=True)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (tg.ones(1), RuntimeError, r"\(1,\) for a tensor of \(2,\)"),
        (tg.ones(1, 2), RuntimeError, r"\(1, 2\) for a tensor of \(2,\)"),
        (tg.ones(2, dtype=tg.float64), RuntimeError, "float64 for a tensor of float32"),
        (np.ones(2, np.float32), TypeError, "Tensor or None, not ndarray"),
        (0.0, TypeError, "Tensor or None, not float"),
    ],
)
def test_a_gradient_that_does_not_fit_is_refused_when_it_is_assigned(wrong, error, message):
    p = OWN
    p.grad = before = tg.ones(2)
    with pytest.raises(error, match=message):
        p.grad = wrong
    assert p.grad is before
    p.grad = None
    assert p.grad is None
