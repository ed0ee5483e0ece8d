"""Modules: what they hold, how they are trained, converted, copied, saved and printed."""

import copy

import numpy as np
import pytest
from models import define_nested
from oracle import normal

import tinygrad_bn as tg
from tinygrad_bn import nn

F = tg.nn.functional


class Constant(nn.Module):
    """A module with a parameter, a buffer and an attribute of its own."""

    def __init__(self, value=1.0):
        super().__init__()
        self.note = "not a tensor"
        self.scale = nn.Parameter(tg.tensor([value]))
        self.register_buffer("calls", tg.tensor(0))

    def forward(self, x):
        return x * self.scale


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


def test_a_parameter_says_in_its_repr_that_it_is_one():
    shown = repr(nn.Parameter(tg.tensor([1.0, 2.0])))
    assert shown == "Parameter containing:\ntensor([1., 2.], requires_grad=True)"


def test_a_parameter_shares_the_memory_of_the_tensor_it_is_made_of():
    x = tg.ones(2)
    assert np.shares_memory(nn.Parameter(x).data, x.data)
    assert not np.shares_memory(nn.Parameter(x.data).data, x.data)


def test_a_call_hands_options_on_by_name():
    class Scaled(nn.Module):
        def forward(self, x, *, by=1.0):
            return x * by

    assert Scaled()(tg.ones(1), by=3.0).item() == 3.0


def test_a_buffer_registered_again_is_one_buffer():
    layer = nn.BatchNorm1d(2)
    layer.register_buffer("running_var", tg.ones(2) * 4)
    assert len(list(layer.state_dict())) == 5
    assert len([b for b in layer.buffers() if b is layer.running_var]) == 1
    model = nn.Sequential(nn.Linear(2, 2), layer).eval()
    assert tg.fold_batch_norm(model)(tg.ones(1, 2)).shape == (1, 2)  # refused if used twice


def test_a_shared_buffer_is_counted_once():
    first, second = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    second.running_mean = first.running_mean
    assert len(list(nn.Sequential(first, second).buffers())) == 5


def test_conversion_to_the_dtype_that_is_there_copies_nothing():
    layer = nn.Linear(2, 2)
    memory = layer.weight.data
    layer.to(tg.float32)
    assert layer.weight.data is memory


def test_loading_says_what_is_missing_and_whose_shape_is_which():
    layer = nn.Linear(2, 3)
    with pytest.raises(RuntimeError) as error:
        layer.load_state_dict({"weight": np.zeros((3, 4))})
    assert "weight: its shape is (3, 4), the model's (3, 2)" in str(error.value)
    assert "missing: bias" in str(error.value)
