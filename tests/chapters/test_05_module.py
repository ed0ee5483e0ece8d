"""Modules and layers: what they hold, how they start, what they save, print and refuse."""

import copy
import math

import numpy as np
import pytest
from gradcheck import gradcheck

import tinygrad_bn as tg
from tinygrad_bn import nn

F = tg.nn.functional


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


class Constant(nn.Module):
    """A module with a parameter, a buffer and an attribute of its own."""

    def __init__(self, value=1.0):
        super().__init__()
        self.note = "not a tensor"
        self.scale = nn.Parameter(tg.tensor([value]))
        self.register_buffer("calls", tg.tensor(0))

    def forward(self, x):
        return x * self.scale


def define_nested(nn):
    """One and the same nested model in the namespace of either library."""

    class Block(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            )
            self.plain = nn.BatchNorm2d(channels, affine=False)
            self.skip = nn.Identity()

        def forward(self, x):
            return self.plain(self.body(x)) + self.skip(x)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 4, (3, 2), stride=(2, 1))
            self.blocks = nn.Sequential(Block(4), nn.MaxPool2d(2), Block(4))
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 3 * 3, 6), nn.BatchNorm1d(6))
            self.out = nn.Linear(6, 3, bias=False)

        def forward(self, x):
            return self.out(self.head(self.blocks(self.stem(x))))

    return Model()


# --- what is inside ---------------------------------------------------------------------------


def test_parameters_come_in_the_order_of_assignment_own_ones_first():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.late = nn.Linear(2, 1)
            self.b = nn.Parameter(tg.zeros(1))
            self.early = nn.Sequential(nn.Linear(1, 1, bias=False), Constant())
            self.a = nn.Parameter(tg.zeros(1))
            self.none = None

    model = Model()
    names = ["b", "a", "late.weight", "late.bias", "early.0.weight", "early.1.scale"]
    assert [name for name, _ in model.named_parameters()] == names
    assert [id(p) for p in model.parameters()] == [id(p) for _, p in model.named_parameters()]
    assert list(model.state_dict()) == [*names, "early.1.calls"]
    (buffer,) = model.buffers()
    assert buffer is model.early[1].calls
    assert list(model.modules()) == [model, model.late, model.early, *model.early]
    assert list(model.named_children()) == [("late", model.late), ("early", model.early)]
    assert list(model.children()) == [model.late, model.early]


def test_a_parameter_wants_a_gradient_and_a_plain_tensor_is_no_parameter():
    model = Constant()
    model.tensor = tg.ones(1, requires_grad=True)
    assert model.scale.requires_grad
    assert [name for name, _ in model.named_parameters()] == ["scale"]
    assert not nn.Parameter(tg.ones(1), requires_grad=False).requires_grad
    assert isinstance(model.scale, tg.Tensor)


def test_a_shared_parameter_is_counted_once_and_saved_under_both_names():
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    model = nn.Sequential(first, second, first)
    assert [name for name, _ in model.named_parameters()] == ["0.weight"]
    assert list(model.state_dict()) == ["0.weight", "1.weight", "2.weight"]
    assert len(list(model.modules())) == 3  # the container and two layers


def test_attributes_can_be_replaced_and_deleted():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    setattr(model, "0", nn.Identity())
    assert list(model.parameters()) == []
    layer = nn.Linear(2, 2)
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    del layer.weight
    assert list(layer.parameters()) == []


def test_a_sequential_is_a_sequence():
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    model = nn.Sequential(*layers)
    assert len(model) == 3
    assert list(model) == layers
    assert model[0] is layers[0]
    assert model[-1] is layers[2]
    assert list(model[:2]) == layers[:2]
    x = tg.randn(4, 2)
    assert model(x).tolist() == layers[2](layers[0](x).relu()).tolist()
    assert nn.Sequential()(x) is x


def test_train_and_eval_reach_every_submodule_and_return_the_module():
    model = define_nested(nn)
    assert all(module.training for module in model.modules())
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert model.train() is model
    assert all(module.training for module in model.modules())
    model.blocks.train(False)
    assert model.training
    assert not model.blocks.training
    assert not nn.Sequential(model.blocks)[0].training


def test_apply_visits_children_before_their_parent():
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU(), nn.Tanh()))
    seen = []
    assert model.apply(lambda module: seen.append(type(module).__name__)) is model
    assert seen == ["Linear", "ReLU", "Tanh", "Sequential", "Sequential"]


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad_forgets_every_gradient(set_to_none):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0](tg.ones(1, 2)).sum().backward()
    model.zero_grad(set_to_none=set_to_none)
    found = [None if p.grad is None else p.grad.numpy().sum() for p in model.parameters()]
    assert found == ([None] * 4 if set_to_none else [0, 0, None, None])
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_requires_grad_freezes_a_module():
    model = nn.Linear(2, 2)
    for wanted in (False, True):
        for p in model.parameters():
            p.requires_grad = wanted
        assert model(tg.ones(1, 2)).requires_grad == wanted


def test_a_deep_copy_is_independent():
    model = define_nested(nn)
    x = tg.randn(2, 1, 13, 7)
    model(x).sum().backward()
    twin = copy.deepcopy(model)
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    assert list(twin.state_dict()) == list(before)
    for p in twin.parameters():
        p.data += 1
        p.grad.data += 1
    twin.eval()
    twin.train()(x)  # moves its running statistics
    assert model.training
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
        assert (twin.state_dict()[name].numpy() != before[name]).all()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(q.grad.numpy(), p.grad.numpy() + 1)


def test_a_deep_copy_keeps_shared_parameters_shared():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    twin = copy.deepcopy(model)
    assert twin[0].weight is twin[1].weight is not model[0].weight


def test_a_module_without_forward_says_so():
    class Unfinished(nn.Module):
        pass

    with pytest.raises(AttributeError, match=r"Unfinished.*forward"):
        Unfinished()(tg.ones(1))


# --- dtypes -----------------------------------------------------------------------------------


def test_to_converts_everything_that_floats_and_keeps_the_parameters_themselves():
    """The same objects, since an optimizer holds them."""
    model = define_nested(nn)
    model(tg.randn(2, 1, 13, 7)).sum().backward()
    parameters = list(model.parameters())
    for convert, dtype in (
        (model.double, tg.float64),
        (model.float, tg.float32),
        (lambda: model.to("float64"), tg.float64),
    ):
        assert convert() is model
        assert all(p is q for p, q in zip(model.parameters(), parameters, strict=True))
        for name, value in model.state_dict().items():
            assert value.dtype == (tg.int64 if "num_batches" in name else dtype)
        assert all(p.grad.dtype == dtype for p in model.parameters())
    assert model(tg.randn(2, 1, 13, 7, dtype=tg.float64)).dtype == tg.float64


@pytest.mark.parametrize("dtype", ["int64", "bool", "float16"])
def test_a_module_can_only_be_of_a_floating_point_dtype(dtype):
    layer = nn.Linear(1, 1)
    with pytest.raises(TypeError, match=dtype):
        layer.to(dtype)
    assert layer.weight.dtype == tg.float32


# --- saving and loading -----------------------------------------------------------------------


def test_state_dict_shares_the_modules_memory_and_records_nothing():
    layer = nn.Linear(2, 2)
    state = layer.state_dict()
    state["weight"].data[...] = 7
    assert layer.weight.tolist() == [[7, 7], [7, 7]]
    assert not any(value.requires_grad for value in state.values())


def test_load_state_dict_copies_values_of_tensors_and_of_arrays():
    source, target = define_nested(nn), define_nested(nn)
    source(tg.randn(3, 1, 13, 7))
    kept = list(target.parameters())
    result = target.load_state_dict(source.state_dict())
    assert result.missing_keys == result.unexpected_keys == []
    for name, value in source.state_dict().items():
        mine = target.state_dict()[name]
        np.testing.assert_array_equal(mine.numpy(), value.numpy())
        assert not np.shares_memory(mine.numpy(), value.numpy())
    assert all(p is q for p, q in zip(target.parameters(), kept, strict=True))
    x = tg.randn(2, 1, 13, 7)
    assert target.eval()(x).tolist() == source.eval()(x).tolist()
    target.load_state_dict({name: value.numpy() * 2 for name, value in source.state_dict().items()})
    np.testing.assert_array_equal(target.out.weight.data, 2 * source.out.weight.data)


def test_load_state_dict_keeps_the_dtype_of_the_module():
    layer = nn.Linear(1, 1, bias=False)
    layer.load_state_dict({"weight": np.array([[0.1]])})
    assert layer.weight.dtype == tg.float32
    assert layer.weight.item() == np.float32(0.1)


def test_load_state_dict_takes_parameters_as_they_are():
    """As in PyTorch: dict(model.named_parameters()) is a state of a model without buffers."""
    source, target = nn.Linear(2, 2), nn.Linear(2, 2)
    target.load_state_dict(dict(source.named_parameters()))
    assert target.weight.tolist() == source.weight.tolist()


def assert_unchanged_by(model, load):
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    load()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


@pytest.mark.parametrize("strict", [True, False])
def test_an_error_in_loading_lists_everything_and_changes_nothing(strict):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    state = {name: value.numpy() + 1 for name, value in model.state_dict().items()}
    del state["1.running_mean"], state["2.bias"]
    state["extra.weight"] = np.zeros(2)
    state["2.weight"] = np.zeros((1, 4), np.float32)
    state["0.bias"] = np.zeros((3, 1), np.float32)

    def load():
        with pytest.raises(RuntimeError) as caught:
            model.load_state_dict(state, strict=strict)
        text = str(caught.value)
        for part in ("2.weight", "(1, 4)", "(1, 3)", "0.bias", "(3, 1)"):
            assert part in text
        for part in ("1.running_mean", "2.bias", "extra.weight"):
            assert (part in text) == strict

    assert_unchanged_by(model, load)


def test_a_value_that_is_no_array_is_refused_by_name_and_changes_nothing():
    model = nn.Linear(2, 1)

    def load():
        texts, objects = np.array(["1.5"]), np.array([None])  # of the right shape
        for wrong in ("abc", None, [[1.0], [2.0, 3.0]], np.array(["a"]), texts, objects):
            with pytest.raises(RuntimeError, match="bias"):
                model.load_state_dict({"weight": np.ones((1, 2)), "bias": wrong})

    assert_unchanged_by(model, load)


def test_loading_without_strict_takes_what_fits_and_reports_the_rest():
    model = nn.Linear(2, 1)
    result = model.load_state_dict({"weight": np.ones((1, 2)), "other": np.ones(1)}, strict=False)
    assert model.weight.tolist() == [[1, 1]]
    assert result.missing_keys == ["bias"]
    assert result.unexpected_keys == ["other"]


def test_a_state_dict_goes_to_pytorch_and_back(torch):
    ours, theirs = define_nested(nn).double(), define_nested(torch.nn).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [b.shape for b in ours.buffers()] == [tuple(b.shape) for b in theirs.buffers()]
    for list_all in (lambda m: m.modules(), lambda m: m.children()):
        kinds = [[type(module).__name__ for module in list_all(m)] for m in (ours, theirs)]
        assert kinds[0] == kinds[1]
    assert [n for n, _ in ours.named_children()] == [n for n, _ in theirs.named_children()]
    x = normal(3, 1, 13, 7)

    def agree():
        y, t = ours.eval()(tg.tensor(x)), theirs.eval()(torch.tensor(x))
        np.testing.assert_allclose(y.detach().numpy(), t.detach().numpy(), rtol=1e-10, atol=1e-12)

    theirs(torch.tensor(normal(3, 1, 13, 7, seed=1)))  # so that the statistics are no longer 0, 1
    ours.load_state_dict(theirs.state_dict())
    agree()
    ours.train()(tg.tensor(normal(3, 1, 13, 7, seed=2)))
    for p in ours.parameters():
        p.data *= 1.1
    theirs.load_state_dict({n: torch.tensor(v.numpy()) for n, v in ours.state_dict().items()})
    agree()
    for p in theirs.parameters():
        p.data *= 1.1
    assert all(p.requires_grad for p in theirs.parameters())  # and are taken all the same
    ours.load_state_dict(dict(theirs.named_parameters()), strict=False)
    agree()


# --- how it prints ----------------------------------------------------------------------------

LAYERS = {
    "Linear": lambda nn: nn.Linear(2, 3),
    "Linear without bias": lambda nn: nn.Linear(2, 3, bias=False),
    "Conv2d": lambda nn: nn.Conv2d(4, 6, 3),
    "Conv2d with everything": lambda nn: nn.Conv2d(
        4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2, bias=False
    ),
    "Conv2d same": lambda nn: nn.Conv2d(4, 6, 3, padding="same"),
    "BatchNorm1d": lambda nn: nn.BatchNorm1d(5),
    "BatchNorm1d without bias": lambda nn: nn.BatchNorm1d(5, bias=False),
    "BatchNorm2d": lambda nn: nn.BatchNorm2d(5, 1e-3, None, False, False),
    "ReLU": lambda nn: nn.ReLU(),
    "Sigmoid": lambda nn: nn.Sigmoid(),
    "Tanh": lambda nn: nn.Tanh(),
    "Softmax": lambda nn: nn.Softmax(1),
    "LogSoftmax": lambda nn: nn.LogSoftmax(dim=-1),
    "MaxPool2d": lambda nn: nn.MaxPool2d(2),
    "MaxPool2d with everything": lambda nn: nn.MaxPool2d((3, 2), 2, 1, 2),
    "AvgPool2d": lambda nn: nn.AvgPool2d(3, stride=(1, 2), padding=1),
    "Flatten": lambda nn: nn.Flatten(),
    "Dropout": lambda nn: nn.Dropout(0.25),
    "Identity": lambda nn: nn.Identity(3, anything=4),
    "CrossEntropyLoss": lambda nn: nn.CrossEntropyLoss(),
    "MSELoss": lambda nn: nn.MSELoss(),
    "Sequential of nothing": lambda nn: nn.Sequential(),
    "nested Sequential": lambda nn: nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())), nn.Flatten()
    ),
}


def text_of(theirs):
    """What PyTorch prints, without the two options that do not exist here."""
    return repr(theirs).replace(", inplace=False", "").replace(", ceil_mode=False", "")


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_a_layer_prints_as_in_pytorch(torch, make):
    assert repr(make(nn)) == text_of(make(torch.nn))


def test_a_model_of_every_layer_prints_as_in_pytorch(torch):
    def build(nn):
        return nn.Sequential(*(make(nn) for make in LAYERS.values()), define_nested(nn))

    assert repr(build(nn)) == text_of(build(torch.nn))


def test_a_model_prints_as_a_tree():
    """The same without PyTorch, for a few layers."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(1, 2, 3, padding=1)))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n"
        "  )\n"
        ")"
    )


def test_a_module_with_children_prints_its_own_settings_too(torch):
    def build(nn):
        class Scaled(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = nn.ReLU()

            def extra_repr(self):
                return "scale=3"

        return Scaled()

    assert repr(build(nn)) == repr(build(torch.nn))


# --- how layers start -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (lambda: nn.Linear(400, 300), 400),
        (lambda: nn.Conv2d(16, 64, (3, 5)), 16 * 15),
        (lambda: nn.Conv2d(64, 256, 3, groups=8), 8 * 9),
    ],
)
def test_weights_start_uniform_within_one_over_the_root_of_fan_in(make, fan_in):
    layer, bound = make(), 1 / math.sqrt(fan_in)
    for p in layer.parameters():
        values = p.detach().numpy().ravel()
        assert p.dtype == tg.float32
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > bound * (1 - 20 / values.size)
        # the mean of n uniform values has sd bound/√(3n); that of their squares bound²·√(4/45n)
        assert abs(values.mean()) < 5 * bound / math.sqrt(3 * values.size)
        expected, spread = bound**2 / 3, bound**2 * math.sqrt(4 / 45 / values.size)
        assert abs((values.astype(float) ** 2).mean() - expected) < 5 * spread


def test_initial_weights_repeat_with_the_seed():
    def build(seed):
        tg.manual_seed(seed)
        state = nn.Sequential(nn.Linear(3, 4), nn.Conv2d(2, 4, 3)).state_dict()
        return [value.tolist() for value in state.values()]

    assert build(5) == build(5)
    assert all(a != b for a, b in zip(build(5), build(6), strict=True))


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_a_layer_starts_with_the_shapes_of_pytorch(torch, make):
    def shapes(state):
        return {name: tuple(value.shape) for name, value in state.items()}

    assert shapes(make(nn).state_dict()) == shapes(make(torch.nn).state_dict())


# --- layers at work ---------------------------------------------------------------------------

FORWARD = {  # name: (layer in either library, shape of a batch, may the batch axis be left out)
    "Linear": (lambda nn: nn.Linear(4, 3), (2, 4), True),
    "Linear on more axes": (lambda nn: nn.Linear(4, 3), (2, 3, 4), False),
    "Conv2d": (lambda nn: nn.Conv2d(4, 2, 3, (2, 1), (1, 2), (1, 2), 2), (2, 4, 7, 6), True),
    "Conv2d same": (lambda nn: nn.Conv2d(4, 2, 3, padding="same"), (2, 4, 7, 6), True),
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(4), (5, 4), False),
    "BatchNorm1d on signals": (lambda nn: nn.BatchNorm1d(4), (3, 4, 6), False),
    "BatchNorm1d without bias": (lambda nn: nn.BatchNorm1d(4, bias=False), (5, 4), False),
    "BatchNorm2d": (lambda nn: nn.BatchNorm2d(4), (3, 4, 3, 2), False),
    "BatchNorm2d without bias": (lambda nn: nn.BatchNorm2d(4, bias=False), (3, 4, 3, 2), False),
    "ReLU": (lambda nn: nn.ReLU(), (3, 4), True),
    "Sigmoid": (lambda nn: nn.Sigmoid(), (3, 4), True),
    "Tanh": (lambda nn: nn.Tanh(), (3, 4), True),
    "Softmax": (lambda nn: nn.Softmax(-1), (3, 4), True),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(-1), (3, 4), True),
    "MaxPool2d": (lambda nn: nn.MaxPool2d(3, 2, 1, 2), (2, 3, 6, 7), True),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(3, 2, 1), (2, 3, 6, 7), True),
    "Flatten": (lambda nn: nn.Flatten(), (2, 3, 4, 5), False),
    "Flatten the middle": (lambda nn: nn.Flatten(1, 2), (2, 3, 4, 5), False),
    "Identity": (lambda nn: nn.Identity(), (2, 3), True),
    "Dropout in evaluation": (lambda nn: nn.Dropout(0.5).eval(), (2, 3), True),
}
forward_cases = pytest.mark.parametrize(
    ("make", "shape", "unbatched"), FORWARD.values(), ids=FORWARD.keys()
)


@forward_cases
def test_a_layer_and_its_gradients_are_pytorchs(torch, make, shape, unbatched):
    ours, theirs = make(nn).double(), make(torch.nn).double()
    ours.load_state_dict(theirs.state_dict())
    x = normal(*shape)
    for array in (x, x[0]) if unbatched else (x,):
        mine, other = tg.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        y, t = ours(mine), theirs(other)
        assert y.shape == tuple(t.shape)
        g = normal(*y.shape, seed=1)
        y.backward(tg.tensor(g))
        t.backward(torch.tensor(g))
        pairs = [(y.detach(), t.detach()), (mine.grad, other.grad)]
        parameters = zip(ours.parameters(), theirs.parameters(), strict=True)
        pairs += [(p.grad, q.grad) for p, q in parameters]
        for found, expected in pairs:
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", [name for name, case in FORWARD.items() if case[2]])
def test_a_single_sample_is_a_batch_of_one(name):
    make, shape, _ = FORWARD[name]
    layer, x = make(nn).double(), normal(*shape)
    np.testing.assert_allclose(
        layer(tg.tensor(x[0])).detach().numpy(),
        layer(tg.tensor(x[:1])).detach().numpy()[0],
        rtol=1e-12,
    )


@forward_cases
def test_a_layer_calls_its_function_with_all_its_settings(make, shape, unbatched):
    """Without PyTorch: the derivatives of the layer as a whole, in evaluation mode."""
    layer = make(nn).double().eval()
    x = tg.tensor(normal(*shape), requires_grad=True)
    assert gradcheck(lambda x, *_: layer(x), [x, *layer.parameters()])


def test_every_parameter_gets_a_finite_gradient_that_is_not_zero():
    model = define_nested(nn)
    y = model(tg.randn(4, 1, 13, 7))
    y.backward(tg.randn(*y.shape))
    for name, p in model.named_parameters():
        assert p.grad.shape == p.shape
        assert np.isfinite(p.grad.numpy()).all(), name
        if name == "head.1.bias":
            continue  # batch normalization subtracts it again: its gradient is 0
        assert (np.abs(p.grad.numpy()) > 0).any(axis=0).all(), name


def test_a_bias_before_batch_normalization_has_no_effect_and_no_gradient():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double()
    x = tg.tensor(normal(6, 3))
    y = model(x)
    y.backward(tg.tensor(normal(6, 2, seed=1)))
    np.testing.assert_allclose(model[0].bias.grad.numpy(), 0, atol=1e-12)
    model[0].bias.data += 100
    np.testing.assert_allclose(model(x).detach().numpy(), y.detach().numpy(), atol=1e-9)


def test_dropout_follows_train_and_eval():
    layer, x = nn.Dropout(0.5), tg.ones(100)
    assert 0 in layer(x).tolist()
    assert layer.eval()(x).tolist() == [1] * 100
    with tg.no_grad():  # is another matter
        assert 0 in layer.train()(x).tolist()


def test_loss_layers_pass_on_all_their_settings():
    x, labels = tg.randn(4, 3), tg.tensor([0, 1, 2, 1])
    options = {
        "weight": tg.tensor([1.0, 2.0, 3.0]),
        "ignore_index": 1,
        "reduction": "sum",
        "label_smoothing": 0.1,
    }
    found = nn.CrossEntropyLoss(**options)(x, labels).item()
    assert found == F.cross_entropy(x, labels, **options).item()
    for name in options:  # and each of them matters
        rest = {k: v for k, v in options.items() if k != name}
        assert found != F.cross_entropy(x, labels, **rest).item()
    assert (
        nn.CrossEntropyLoss()(x[0], labels[0]).item() == F.cross_entropy(x[:1], labels[:1]).item()
    )
    t = tg.randn(4, 3)
    assert nn.MSELoss(reduction="sum")(x, t).item() == pytest.approx(12 * nn.MSELoss()(x, t).item())


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: nn.Linear(0, 3), "in_features.*0"),
        (lambda: nn.Linear(3, -1), "out_features.*-1"),
        (lambda: nn.Linear(2.5, 3), r"in_features.*2\.5"),
        (lambda: nn.Conv2d(0, 3, 1), "in_channels.*0"),
        (lambda: nn.Conv2d(3, 0, 1), "out_channels.*0"),
        (lambda: nn.Conv2d(3, 3, 0), "kernel_size.*0"),
        (lambda: nn.Conv2d(3, 3, (1, 2, 3)), r"kernel_size.*\(1, 2, 3\)"),
        (lambda: nn.Conv2d(3, 3, 1, stride=0), "stride.*0"),
        (lambda: nn.Conv2d(3, 3, 1, padding=-1), "padding.*-1"),
        (lambda: nn.Conv2d(3, 3, 1, padding="full"), "padding.*full"),
        (lambda: nn.Conv2d(3, 3, 3, padding="same", stride=2), "same.*stride"),
        (lambda: nn.Conv2d(3, 3, 1, dilation=0), "dilation.*0"),
        (lambda: nn.Conv2d(4, 3, 1, groups=2), r"(?=.*groups=2)(?=.*out_channels=3)"),
        (lambda: nn.Conv2d(3, 4, 1, groups=2), r"(?=.*groups=2)(?=.*in_channels=3)"),
        (lambda: nn.Conv2d(3, 3, 1, padding_mode="reflect"), "padding_mode.*reflect"),
        (lambda: nn.BatchNorm1d(0), "num_features.*0"),
        (lambda: nn.BatchNorm1d(3, eps=-1.0), r"eps.*-1\.0"),
        (lambda: nn.BatchNorm1d(3, eps=math.nan), "eps.*nan"),
        (lambda: nn.BatchNorm2d(3, momentum=1.5), r"momentum.*1\.5"),
        (lambda: nn.BatchNorm2d(3, momentum=math.nan), "momentum.*nan"),
        (lambda: nn.Dropout(1.5), r"p .*1\.5"),
        (lambda: nn.Dropout(-0.1), r"p .*-0\.1"),
        (lambda: nn.MaxPool2d(0), "kernel_size.*0"),
        (lambda: nn.MaxPool2d(2, stride=0), "stride.*0"),
        (lambda: nn.MaxPool2d(2, padding=2), "padding.*2"),
        (lambda: nn.MaxPool2d(2, dilation=0), "dilation.*0"),
        (lambda: nn.AvgPool2d(-1), "kernel_size.*-1"),
        (lambda: nn.AvgPool2d(2, stride=(1, 0)), r"stride.*\(1, 0\)"),
        (lambda: nn.AvgPool2d(2, padding=2), "padding.*2"),
        (lambda: nn.CrossEntropyLoss(reduction="avg"), "'avg'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), "label_smoothing.*2"),
        (lambda: nn.MSELoss(reduction="avg"), "'avg'"),
        (lambda: nn.Sequential(nn.ReLU(), F.relu), "argument 1.*relu"),
        (lambda: nn.Sequential([nn.ReLU()]), "argument 0"),
    ],
)
def test_a_constructor_refuses_a_wrong_value_by_name(make, named):
    with pytest.raises((TypeError, ValueError), match=named):
        make()


LEFT_OUT = [  # options of PyTorch's: (what takes it there, with its right arguments, the option)
    (F.max_pool2d, (tg.zeros(1, 1, 4, 4), 2), "ceil_mode"),
    (F.max_pool2d, (tg.zeros(1, 1, 4, 4), 2), "return_indices"),
    (F.avg_pool2d, (tg.zeros(1, 1, 4, 4), 2), "ceil_mode"),
    (F.avg_pool2d, (tg.zeros(1, 1, 4, 4), 2), "count_include_pad"),
    (F.avg_pool2d, (tg.zeros(1, 1, 4, 4), 2), "divisor_override"),
    (F.dropout, (tg.zeros(1),), "inplace"),
    (F.relu, (tg.zeros(1),), "inplace"),
    (nn.MaxPool2d, (2,), "ceil_mode"),
    (nn.MaxPool2d, (2,), "return_indices"),
    (nn.AvgPool2d, (2,), "ceil_mode"),
    (nn.AvgPool2d, (2,), "count_include_pad"),
    (nn.AvgPool2d, (2,), "divisor_override"),
    (nn.Dropout, (), "inplace"),
    (nn.ReLU, (), "inplace"),
    (nn.Conv2d, (1, 1, 1), "device"),
    (nn.Conv2d, (1, 1, 1), "dtype"),
    (nn.Linear, (1, 1), "device"),
    (nn.Linear, (1, 1), "dtype"),
    (nn.BatchNorm1d, (1,), "device"),
    (nn.BatchNorm1d, (1,), "dtype"),
    (nn.BatchNorm2d, (1,), "device"),
    (nn.BatchNorm2d, (1,), "dtype"),
]


@pytest.mark.parametrize(("make", "right", "option"), LEFT_OUT)
def test_an_option_of_pytorchs_that_is_left_out_is_refused_by_name(make, right, option):
    make(*right)
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
        make(*right, **{option: None})


def test_a_wrong_input_is_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"(?=.*\(2, 5\))(?=.*\(3, 4\))"):
        nn.Linear(4, 3)(tg.zeros(2, 5))
    with pytest.raises(ValueError, match=r"(?=.*\b2\b)(?=.*\(1, 3, 2, 2\))"):
        nn.Conv2d(3, 1, 2)(tg.zeros(1, 2, 4, 4))
    with pytest.raises(TypeError, match=r"(?=.*float64)(?=.*float32)"):
        nn.Linear(4, 3)(tg.zeros(2, 4, dtype=tg.float64))
    with pytest.raises(TypeError, match=r"(?=.*float64)(?=.*float32)"):
        nn.Conv2d(1, 1, 1).double()(tg.zeros(1, 1, 2, 2))
