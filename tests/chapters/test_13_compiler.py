"""A compiled model: what it computes, what it shares, and when it leaves the layers alone."""

import copy
import pickle
import threading

import numpy as np
import pytest
from oracle import assert_close

import tinygrad_bn as tg
from tinygrad_bn import compiler, nn
from tinygrad_bn.compiler import compile
from tinygrad_bn.module import one_by_one, runner

F = nn.functional


def convolutional(m, channels=(2, 5, 4)):
    """For PyTorch too. Pooling of several kinds."""
    layers = []
    pools = [m.MaxPool2d(2), m.MaxPool2d(3, stride=2), m.MaxPool2d(2, dilation=2)]
    for before, after, pool in zip((1, *channels), channels, pools, strict=False):
        layers += [m.Conv2d(before, after, 3, padding=1), m.BatchNorm2d(after), m.ReLU(), pool]
    return m.Sequential(*layers, m.Flatten(), m.Linear(channels[-1] * 4, 3))


def perceptron(m):
    return m.Sequential(
        m.Linear(6, 8), m.BatchNorm1d(8), m.ReLU(), m.Linear(8, 5), m.BatchNorm1d(5), m.ReLU()
    )


def residual(m):
    """Sequentials at several depths, in a module with a forward of its own."""

    class Residual(m.Module):
        def __init__(self):
            super().__init__()
            self.blocks = m.ModuleList([self.block() for _ in range(2)])
            self.end = m.Sequential(m.ReLU(), m.MaxPool2d(2), m.Flatten())

        @staticmethod
        def block():
            inner = m.Sequential(m.Conv2d(2, 2, 3, padding=1), m.BatchNorm2d(2))
            return m.Sequential(inner, m.BatchNorm2d(2), m.ReLU())

        def forward(self, x):
            for block in self.blocks:
                x = x + block(x)
            return self.end(x)

    return Residual()


MODELS = {
    "convolutional": (convolutional, (6, 1, 25, 25)),
    "perceptron": (perceptron, (7, 6)),
    "residual": (residual, (4, 2, 6, 6)),
}
models = pytest.mark.parametrize("name", MODELS)


def prepared(model, seed=0):
    """With γ, β and statistics as if it had been trained; all γ > 0."""
    rng = np.random.default_rng(seed)
    for name, tensor in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            array = rng.standard_normal(tensor.shape) / 2
            positive = name.endswith("running_var") or (tensor.ndim == 1 and "weight" in name)
            tensor.copy_(np.abs(array) + 0.1 if positive else array)
    return model


def make(name, dtype=tg.float32):
    build, shape = MODELS[name]
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    return prepared(build(nn)).to(dtype), tg.tensor(x, requires_grad=True)


def results(model, x, g=None):
    """The output, its gradients by a random g, and the buffers after it."""
    model.zero_grad()
    x.grad = None
    y = model(x)
    y.backward(tg.tensor(np.random.default_rng(2).standard_normal(y.shape).astype(y.dtype)))
    gradients = [p.grad.numpy() for p in model.parameters()]
    buffers = [b.numpy().copy() for b in model.buffers()]
    return [y.detach().numpy(), x.grad.numpy(), *gradients, *buffers]


def assert_same_bits(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_near(found, expected):
    """In float32, where other weights round otherwise."""
    np.testing.assert_allclose(found.tolist(), expected.tolist(), rtol=1e-5, atol=1e-6)


def joins(model):
    return [line.removeprefix("joined: ") for line in repr(model).splitlines() if "joined" in line]


# --- the same numbers ---------------------------------------------------------------------------


@models
@pytest.mark.parametrize("training", [True, False])
def test_values_gradients_and_statistics_are_the_layers_own_to_the_bit(name, training):
    model, x = make(name)
    compiled = compile(copy.deepcopy(model)).train(training)
    assert joins(compiled)
    for _ in range(3):  # the statistics move
        assert_same_bits(results(compiled, x), results(model.train(training), x))


@models
@pytest.mark.parametrize("training", [True, False])
def test_and_those_of_pytorch(torch, name, training):
    model, x = make(name, tg.float64)
    theirs = MODELS[name][0](torch.nn).double().train(training)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in model.state_dict().items()})
    their_x = torch.tensor(x.detach().numpy(), requires_grad=True)
    y = theirs(their_x)
    g = torch.tensor(np.random.default_rng(2).standard_normal(y.shape))
    y.backward(g)
    expected = [y.detach(), their_x.grad, *[p.grad for p in theirs.parameters()], *theirs.buffers()]
    for a, b in zip(results(compile(model.train(training)), x), expected, strict=True):
        assert_close(a, b.numpy())


@models
def test_second_derivatives_are_those_of_the_layers(name):
    found = []
    for prepare in (compile, lambda model: model):
        model, x = make(name, tg.float64)
        y = prepare(model)(x)
        rng = np.random.default_rng(3)
        inputs = [x, *model.parameters()]
        first = tg.grad(y, inputs, tg.tensor(rng.standard_normal(y.shape)), create_graph=True)
        total = sum((g * tg.tensor(rng.standard_normal(g.shape))).sum() for g in first)
        second = tg.grad(total, inputs, allow_unused=True)
        found.append([t.detach().numpy() for t in (*first, *second) if t is not None])
    for a, b in zip(*found, strict=True):
        assert_close(a, b)


@models
def test_at_inference_batch_normalization_is_folded(name):
    """Other weights round otherwise."""
    model, x = make(name, tg.float64)
    model.eval()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    compiled = compile(model)
    with tg.no_grad():
        found, expected = compiled(x), model(x)
        assert_close(found.numpy(), expected.numpy())
        one = x[:1]
        assert_close(compiled(one).numpy(), model(one).numpy())
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


@pytest.mark.parametrize(("rows", "times"), [(2, 0), (3, 1), (40, 1)])
def test_it_is_folded_where_that_is_less_work(rows, times, monkeypatch):
    """Each of the 3 weights of an output is then used for as many rows."""
    calls = []
    folded = compiler.folded
    monkeypatch.setattr(compiler, "folded", lambda *layers: calls.append(layers) or folded(*layers))
    model = prepared(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))).eval()
    with tg.no_grad():
        assert_near(compile(model)(tg.ones(rows, 3)), model(tg.ones(rows, 3)))
    assert len(calls) == times


def test_what_is_folded_follows_the_weights():
    """Nothing is remembered from one call to the next."""
    layer = nn.Linear(2, 3)
    model = prepared(nn.Sequential(layer, nn.BatchNorm1d(3))).eval()
    compiled, x = compile(model), tg.randn(9, 2)
    with tg.no_grad():
        compiled(x)
        layer.weight.data[...] = 5
        assert_near(compiled(x), model(x))


# --- when the layers are left alone -------------------------------------------------------------


def with_gamma(*values):
    norm = nn.BatchNorm2d(2)
    norm.weight.data[...] = values
    return norm


def changed(layer, **attributes):
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def hooked(layer):
    layer.register_forward_hook(lambda layer, args, output: output * 2)
    return layer


class Shifted(nn.ReLU):
    def forward(self, input):
        return super().forward(input - 0.1)


class Frozen(nn.BatchNorm2d):
    def train(self, mode=True):
        return super().train(False)


BN_RELU = "0 BatchNorm2d + 1 ReLU"
ALL = "0 BatchNorm2d + 1 ReLU + 2 MaxPool2d"
SHARED = nn.BatchNorm2d(2)
# layers for (N, 2, H, W), and what of them is joined in training
ALONE = {
    "nothing unusual": ([with_gamma(1, 2), nn.ReLU(), nn.MaxPool2d(2)], [ALL]),
    "gamma 0": ([with_gamma(1, 0), nn.ReLU(), nn.MaxPool2d(2)], [BN_RELU]),
    "gamma below 0": ([with_gamma(-1, 2), nn.ReLU(), nn.MaxPool2d(2)], [BN_RELU]),
    "padding": ([nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2, padding=1)], [BN_RELU]),
    "padding of one side": ([nn.ReLU(), nn.MaxPool2d(2, padding=(0, 1))], []),
    "padding (0, 0)": ([nn.ReLU(), nn.MaxPool2d(2, padding=(0, 0))], ["0 ReLU + 1 MaxPool2d"]),
    "ceil_mode": ([nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)], []),
    "another ReLU": ([nn.BatchNorm2d(2), Shifted(), nn.MaxPool2d(2)], []),
    "frozen by a subclass": ([Frozen(2), nn.ReLU()], []),
    "hook on batch norm": ([hooked(nn.BatchNorm2d(2)), nn.ReLU()], []),
    "hook on ReLU": ([nn.BatchNorm2d(2), hooked(nn.ReLU()), nn.MaxPool2d(2)], []),
    "a forward of its own": ([changed(nn.ReLU(), forward=lambda x: x), nn.MaxPool2d(2)], []),
    "no affine": ([nn.BatchNorm2d(2, affine=False), nn.ReLU(), nn.MaxPool2d(2)], [
        "1 ReLU + 2 MaxPool2d"
    ]),
    "no beta": ([nn.BatchNorm2d(2, bias=False), nn.ReLU()], []),
    "no statistics": ([nn.BatchNorm2d(2, track_running_stats=False), nn.ReLU()], []),
    "statistics switched off": (
        [changed(nn.BatchNorm2d(2), track_running_stats=False), nn.ReLU()], [BN_RELU]
    ),
    "plain average": ([nn.BatchNorm2d(2, momentum=None), nn.ReLU()], [BN_RELU]),
    "used twice": (
        [SHARED, nn.ReLU(), SHARED, nn.ReLU()], [BN_RELU, "2 BatchNorm2d + 3 ReLU"]
    ),
    "in another order": ([nn.MaxPool2d(2), nn.ReLU(), nn.BatchNorm2d(2)], []),
    "at the end": ([nn.ReLU(), nn.BatchNorm2d(2)], []),
    "nothing": ([], []),
}  # fmt: skip


@pytest.mark.parametrize("case", ALONE)
@pytest.mark.parametrize("training", [True, False])
def test_what_cannot_be_joined_exactly_is_left_to_the_layers(case, training):
    layers, expected = ALONE[case]
    model = nn.Sequential(*copy.deepcopy(layers)).train(training)
    compiled = compile(copy.deepcopy(model))
    if training:
        assert joins(compiled) == expected
    x = tg.tensor(np.random.default_rng(0).standard_normal((3, 2, 5, 5)), dtype=tg.float32)
    x.requires_grad = True
    for _ in range(3):
        assert_same_bits(results(compiled, x), results(model, x))
    with tg.no_grad():
        assert_near(compiled(x), model(x))


def test_the_windows_may_be_of_any_kind():
    pools = [nn.MaxPool2d(2, stride=1), nn.MaxPool2d((3, 2), (1, 2)), nn.MaxPool2d(2, dilation=2)]
    x = tg.randn(3, 2, 7, 7)
    x.requires_grad = True
    for pool in pools:
        model = nn.Sequential(nn.BatchNorm2d(2, eps=0.1), nn.ReLU(), pool)
        found = results(compile(copy.deepcopy(model)), x)
        assert_same_bits(found, results(model, x))


@pytest.mark.parametrize("before", ["Linear", "Conv2d"])
def test_what_cannot_be_folded_is_left_to_the_layers(before):
    """In training, with hooks, without statistics, of other sizes; and (N, L, C), an error here."""
    for norm in (
        {"track_running_stats": False},
        {"affine": False},
        {"momentum": None},
    ):
        first = nn.Linear(4, 3) if before == "Linear" else nn.Conv2d(1, 3, 2)
        kind = nn.BatchNorm1d if before == "Linear" else nn.BatchNorm2d
        model = nn.Sequential(first, kind(3, **norm)).eval()
        compiled = compile(model)
        x = tg.randn(9, 4) if before == "Linear" else tg.randn(9, 1, 4, 4)
        with tg.no_grad():
            assert_near(compiled(x), model(x))
        expected = [f"0 {before} + 1 {kind.__name__}"] if "momentum" in norm else []
        assert joins(compiled) == expected
        assert joins(compiled.train()) == []


@pytest.mark.parametrize(
    ("layers", "x"),
    [
        ([nn.BatchNorm2d(2), nn.ReLU()], tg.ones(1, 2, 1, 1)),
        ([nn.BatchNorm2d(2), nn.ReLU()], tg.ones(3, 3, 4, 4)),
        ([nn.BatchNorm2d(2), nn.ReLU()], tg.ones(3, 2)),
        ([nn.BatchNorm2d(2), nn.ReLU()], tg.ones(3, 2, 4, 4, dtype=tg.float64)),
        ([nn.BatchNorm2d(2), nn.ReLU()], np.ones((3, 2, 4, 4), np.float32)),
        ([nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(5)], tg.ones(3, 2, 4, 4)),
        ([nn.BatchNorm1d(2), nn.ReLU()], tg.ones(1, 2)),
        ([nn.Linear(2, 3), nn.BatchNorm1d(4)], tg.ones(5, 2)),
        ([nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)], tg.ones(2, 4, 4)),
    ],
)
def test_errors_are_the_layers_own(layers, x):
    for training in (True, False):
        model = nn.Sequential(*copy.deepcopy(layers)).train(training)
        messages = []
        for called in (model, compile(model)):
            before = [b.tolist() for b in model.buffers()]
            try:
                with tg.no_grad():
                    called(x)
                messages.append(None)
            except (TypeError, ValueError) as error:
                messages.append(f"{type(error).__name__}: {error}".partition(",")[0])
                assert called is model or [b.tolist() for b in model.buffers()] == before
        if training or layers[0].__class__ is nn.Conv2d:
            assert messages[0] is not None
        assert messages[0] == messages[1]


def test_no_images_come_out_as_none():
    for layers in ([nn.BatchNorm2d(2), nn.ReLU()], [nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)]):
        for training in (True, False):
            model = nn.Sequential(*layers).train(training)
            x = tg.zeros(0, 2, 4, 4)
            found, expected = compile(model)(x), model(x)
            assert found.shape == expected.shape
            assert model[0].num_batches_tracked.item() == 0


def test_what_is_no_tensor_goes_through_the_layers():
    class Pair(nn.ReLU):
        def forward(self, pair):
            return pair[0]

    model = nn.Sequential(nn.Sequential(nn.Flatten()), Pair(), nn.ReLU())
    layers = [Pair(), nn.BatchNorm1d(2), nn.ReLU()]
    x = tg.randn(4, 2)
    compiled = compile(nn.Sequential(*layers))
    assert_same_bits(
        [compiled((x, x)).detach().numpy()], [layers[2](layers[1](x)).detach().numpy()]
    )
    assert compile(model)


# --- what is changed before backward is noticed -------------------------------------------------


@pytest.mark.parametrize("what", ["input", "weight", "output"])
def test_a_change_before_backward_is_refused_as_with_the_layers(what):
    norm = nn.BatchNorm2d(2)
    x = tg.randn(3, 2, 4, 4)
    y = compile(nn.Sequential(norm, nn.ReLU(), nn.MaxPool2d(2)))(x)
    with tg.no_grad():
        {"input": x, "weight": norm.weight, "output": y.detach()}[what].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


# --- what it shares -----------------------------------------------------------------------------


def test_it_shares_parameters_buffers_keys_and_mode():
    model, _ = make("convolutional")
    compiled = compile(model)
    assert list(compiled.state_dict()) == list(model.state_dict())
    for mine, its in zip(compiled.parameters(), model.parameters(), strict=True):
        assert mine is its
    for mine, its in zip(compiled.buffers(), model.buffers(), strict=True):
        assert mine is its
    assert list(compiled.children()) == list(model.children())
    for first, second in ((compiled, model), (model, compiled)):
        first.eval()
        assert not second.training
        assert not model[1].training
        first.train()
        assert second.training
        assert model[1].training
    compiled.double()
    assert model[0].weight.dtype == tg.float64
    compiled.threshold = 3
    assert model.threshold == 3
    model.load_state_dict(prepared(convolutional(nn), seed=5).state_dict())
    assert compiled.state_dict()["0.bias"].tolist() == model[0].bias.tolist()


def test_it_asks_the_models_own_methods():
    class Model(nn.Module):
        def __init__(self):
            self.body = perceptron(nn)
            self.asked = []

        def forward(self, x, scale=1):
            return self.body(x) * scale

        def train(self, mode=True):
            self.asked.append(mode)
            return super().train(mode)

        def encode(self, x):
            return self.body[0](x)

    compiled = compile(Model())
    assert compiled.eval() is compiled
    assert compiled.asked == [False]
    x = tg.randn(2, 6)
    assert compiled.encode(x).shape == (2, 8)
    assert_close((compiled(x) * 3).detach().numpy(), compiled(x, scale=3).detach().numpy())
    with pytest.raises(AttributeError, match="'Compiled' object has no attribute 'missing'"):
        compiled.missing  # noqa: B018


def test_it_is_what_the_model_is():
    """Also where the model has a `model`, or says itself what may be missing."""
    model = perceptron(nn)
    compiled = compile(model)
    assert isinstance(compiled, nn.Sequential)
    assert len(compiled) == 6
    assert compiled[1] is model[1]
    assert list(compiled[2:].state_dict()) == list(model[2:].state_dict())

    class Owner(nn.Module):
        def __init__(self):
            self.model = perceptron(nn)

        def forward(self, x):
            return self.model(x)

    owner = Owner()
    assert compile(owner).model is owner.model
    norm = compile(nn.BatchNorm1d(2))
    state = {name: t for name, t in norm.state_dict().items() if "tracked" not in name}
    assert norm.load_state_dict(state).missing_keys == []


def test_a_sequential_with_a_forward_of_its_own_is_left_alone():
    class Twice(nn.Sequential):
        def forward(self, x):
            for layer in self:
                x = layer(layer(x))
            return x

    model = Twice(nn.BatchNorm1d(3), nn.ReLU())
    compiled, x = compile(copy.deepcopy(model)), tg.randn(4, 3)
    assert joins(compiled) == []
    assert_same_bits([compiled(x).detach().numpy()], [model(x).detach().numpy()])


def test_a_hook_of_the_whole_model_is_called_once():
    model, x = make("perceptron")
    compiled = compile(model)
    calls = []
    handle = compiled.register_forward_hook(lambda module, args, output: calls.append(module))
    compiled(x)
    assert calls == [compiled]
    handle.remove()
    compiled(x)
    assert len(calls) == 1


def test_hooks_inside_see_what_the_layers_would_give_and_joining_goes_on_without_them():
    model, x = make("perceptron")
    compiled, seen = compile(model), []
    handle = model[1].register_forward_hook(lambda layer, args, y: seen.append(y.numel()))
    compiled(x)
    assert seen == [7 * 8]
    assert joins(compiled) == ["4 BatchNorm1d + 5 ReLU"]
    handle.remove()
    assert joins(compiled) == ["1 BatchNorm1d + 2 ReLU", "4 BatchNorm1d + 5 ReLU"]


@pytest.mark.parametrize("way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_shares_with_its_own_model(way):
    model, _ = make("perceptron")
    compiled = compile(model)
    other = way(compiled)
    assert other._orig_mod is not model
    assert vars(other) is vars(other._orig_mod)
    with tg.no_grad():
        other._orig_mod[0].weight.zero_()
    assert compiled.state_dict()["0.weight"].tolist() == model[0].weight.tolist()
    assert other.state_dict()["0.weight"].tolist() == [[0] * 6] * 8
    assert joins(other) == joins(compiled)


def test_a_layer_that_is_added_later_is_joined_too():
    model = nn.Sequential(nn.BatchNorm1d(3))
    compiled = compile(model)
    assert joins(compiled) == []
    model.append(nn.ReLU())
    assert joins(compiled) == ["0 BatchNorm1d + 1 ReLU"]


def test_only_the_compiled_model_is_run_by_the_compiler():
    """Not after an error, not in another thread, not the model itself."""
    found = []

    class Asking(nn.Module):
        def forward(self, x):
            found.append(runner.get())
            thread = threading.Thread(target=lambda: found.append(runner.get()))
            thread.start()
            thread.join()
            raise KeyError("here")

    with pytest.raises(KeyError):
        compile(nn.Sequential(Asking()))(tg.ones(1))
    assert found[0] is not one_by_one
    assert found[1] is one_by_one
    assert runner.get() is one_by_one


def test_only_a_module_can_be_compiled():
    for wrong in (F.relu, "model", None):
        with pytest.raises(TypeError, match=f"compile takes a module, not {type(wrong).__name__}"):
            compile(wrong)
    layer = nn.Linear(2, 3)
    assert_same_bits(
        [compile(layer)(tg.ones(1, 2)).detach().numpy()], [layer(tg.ones(1, 2)).detach().numpy()]
    )


def test_it_prints_the_model_and_what_is_joined_in_its_mode_at_all_depths():
    model, _ = make("residual")
    compiled = compile(model)
    assert repr(compiled).startswith(f"Compiled({model!r})\n")
    ends = ["end.0 ReLU + end.1 MaxPool2d"]
    alone = [f"blocks.{i}.1 BatchNorm2d + blocks.{i}.2 ReLU" for i in range(2)]
    assert joins(compiled) == [*alone, *ends]
    inside = [f"blocks.{i}.0.0 Conv2d + blocks.{i}.0.1 BatchNorm2d" for i in range(2)]
    assert joins(compiled.eval()) == [alone[0], inside[0], alone[1], inside[1], *ends]
