"""Module: registration, walks, state, modes, hooks, summary and repr; containers."""

import copy
import gc

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import Tensor, nn


class Net(nn.Module):
    """A model as a user writes it: layers, an own parameter, buffers, a shared layer, plain attributes."""

    def __init__(self):
        super().__init__()
        self.name, self.sizes = "net", [2, 3]
        self.scale = nn.Parameter([1.0, 2.0, 3.0])
        self.register_buffer("steps", np.array(0))
        self.register_buffer("shift", np.zeros(3, np.float32))
        self.register_buffer("cache", np.ones(2, np.float32), persistent=False)
        self.hidden = nn.Linear(2, 3)
        self.blocks = nn.ModuleList([nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.ReLU())])
        self.again = self.blocks[0]
        self.missing = None

    def forward(self, x):
        x = F.relu(self.hidden(x)) * self.scale + self.shift
        return self.again(self.blocks[1](self.blocks[0](x)))


NAMES = ["scale", *(f"{layer}.{name}" for layer in ("hidden", "blocks.0", "blocks.1.0") for name in ("weight", "bias"))]


def test_walks():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == NAMES
    assert [p.shape for p in net.parameters(recurse=False)] == [(3,)]
    assert [n for n, _ in net.named_buffers()] == ["steps", "shift", "cache"]
    assert len(list(net.buffers())) == 3
    paths = ["", "hidden", "blocks", "blocks.0", "blocks.1", "blocks.1.0", "blocks.1.1"]
    assert [n for n, _ in net.named_modules()] == paths
    assert [n for n, _ in net.named_children()] == ["hidden", "blocks", "again"]
    assert list(net.children())[0] is net.hidden and list(net.modules())[0] is net
    assert [n for n, _ in net.named_parameters(prefix="a", recurse=False)] == ["a.scale"]


def test_a_replaced_or_deleted_attribute_is_no_longer_found():
    net = Net()
    net.scale = None
    del net.again, net.cache
    net.missing = nn.Parameter([1.0])
    assert [n for n, _ in net.named_parameters()] == ["missing", *NAMES[1:]]
    assert [n for n, _ in net.named_buffers()] == ["steps", "shift"]
    net.shift = Tensor([1.0, 1.0, 1.0])
    assert net.state_dict()["shift"].tolist() == [1, 1, 1]


def test_modes_gradients_and_freezing():
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert net.train() is net and all(m.training for m in net.modules())
    with pytest.raises(TypeError, match="True or False"):
        net.train("yes")
    net(minidl.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.hidden.requires_grad_(False)
    net(minidl.ones(1, 2)).sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == ["hidden.weight", "hidden.bias"]
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net and seen[-1] == "Net" and seen[0] == "Linear"


def test_shared_parameters_are_counted_once_and_both_uses_add_up():
    a = nn.Linear(2, 2, bias=False)
    tied = nn.Sequential(a, nn.Linear(2, 2, bias=False))
    tied[1].weight = a.weight
    assert len(list(tied.parameters())) == 1 and list(tied.state_dict()) == ["0.weight", "1.weight"]
    x = np.array([[1.0, 2.0]], np.float32)
    tied(x).sum().backward()
    W = a.weight.numpy()
    ones = np.ones((1, 2))
    np.testing.assert_allclose(a.weight.grad.numpy(), ones.T @ (x @ W.T) + (ones @ W).T @ x, rtol=1e-6)
    state = tied.state_dict()
    state["1.weight"] = state["1.weight"] + 1
    with pytest.raises(ValueError, match="1.weight: shared with 0.weight"):
        tied.load_state_dict(state)


# --- State ----------------------------------------------------------------------------------------


def test_state_dict_is_a_copy_in_torchs_order():
    state = Net().state_dict()
    expected = ["scale", "steps", "shift", *NAMES[1:], "again.weight", "again.bias"]
    assert list(state) == expected and all(type(v) is np.ndarray for v in state.values())
    net = Net()
    net.state_dict()["scale"][:] = 7
    assert net.scale.numpy().tolist() == [1, 2, 3]
    one, two = Net(), Net()
    x = np.ones((1, 2), np.float32)
    assert not np.array_equal(one(x), two(x))
    assert two.load_state_dict(one.state_dict()) == ([], [])
    assert np.array_equal(one(x), two(x)) and two.scale.requires_grad and two.scale.is_leaf


def test_order_against_torch():
    torch = pytest.importorskip("torch")

    def build(n, base):
        class Model(base):
            def __init__(self):
                super().__init__()
                self.first = n.Conv2d(1, 2, 3)
                self.norm = n.BatchNorm2d(2)
                self.body = n.Sequential(n.Linear(2, 2), n.Sequential(n.BatchNorm1d(2, affine=False), n.Linear(2, 2)))
                self.tied = self.first

        return Model().state_dict()

    ours, theirs = build(nn, nn.Module), build(torch.nn, torch.nn.Module)
    assert list(ours) == list(theirs)
    assert [(v.shape, str(v.dtype)) for v in ours.values()] == [
        (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for v in theirs.values()
    ]


def test_loading_reports_every_difference_and_changes_nothing():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    before = net.state_dict()
    wrong = {"0.weight": np.zeros((3, 3), np.float32), "1.weight": np.zeros(3), "2.bias": np.zeros(2)}
    state = {**net.state_dict(), **wrong, "extra": np.zeros(1)}
    del state["0.bias"], state["1.num_batches_tracked"]
    with pytest.raises(ValueError) as error:
        net.load_state_dict(state)
    for line in (
        "7 difference", "0.bias: missing", "1.num_batches_tracked: missing", "extra: unexpected",
        "0.weight: shape (3, 2) expected, the state has (3, 3)", "2.bias: shape (1,)",
        "1.weight: dtype float32 expected, the state has float64", "2.bias: dtype float32",
    ):  # fmt: skip
        assert line in str(error.value)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(ValueError) as error:  # not even strict=False takes wrong shapes
        net.load_state_dict(state, strict=False)
    assert "4 difference" in str(error.value) and "missing in" not in str(error.value)
    with pytest.raises(TypeError, match="dictionary"):
        net.load_state_dict([1, 2])


def test_loading_a_part():
    net, state = nn.Linear(2, 1), {"weight": np.ones((1, 2), np.float32), "head": np.ones(1)}
    found = net.load_state_dict(state, strict=False)
    assert found.missing_keys == ["bias"] and found.unexpected_keys == ["head"]
    assert net.weight.numpy().tolist() == [[1, 1]]


def test_loading_between_forward_and_backward_is_noticed():
    net = nn.Linear(2, 1)
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    y = net(x)
    net.load_state_dict(nn.Linear(2, 1).state_dict())
    with pytest.raises(RuntimeError, match="was written to"):
        y.backward()


def test_dtype_conversion_keeps_objects_and_integers():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Swish(learnable=True))
    weight = net[0].weight
    net(minidl.ones(2, 2)).sum().backward()
    assert net.double() is net and net[0].weight is weight
    assert {t.dtype for t in net.parameters()} == {np.dtype(np.float64)} == {p.grad.dtype for p in net.parameters()}
    assert [b.dtype.name for b in net.buffers()] == ["float64", "float64", "int64"]
    assert net(np.ones((2, 2))).dtype == np.float64
    assert net.float()(np.ones((2, 2), np.float32)).dtype == np.float32 and weight.dtype == np.float32
    with pytest.raises(TypeError, match="int64"):
        net.astype(int)


def test_deepcopy_is_independent_and_leaves_hooks_behind():
    net, calls = Net(), []
    net.hidden.register_forward_hook(lambda *args: calls.append(1))
    twin = copy.deepcopy(net)
    assert twin.again is twin.blocks[0] and twin.again is not net.again and type(twin.scale) is nn.Parameter
    twin.scale.copy_([9.0, 9.0, 9.0])
    assert net.scale.numpy().tolist() == [1, 2, 3]
    x = minidl.ones(1, 2)
    twin(x)
    assert not calls
    net(x)
    assert calls == [1]
    dropout = nn.Dropout(rng=0)
    same = copy.deepcopy(dropout)
    np.testing.assert_array_equal(dropout(minidl.ones(20)), same(minidl.ones(20)))


# --- Calls and hooks ------------------------------------------------------------------------------


def test_arrays_become_tensors_on_the_way_in():
    class Probe(nn.Module):
        def forward(self, x, labels):
            assert isinstance(x, Tensor) and type(labels) is np.ndarray
            return x.sum() + len(labels)

    assert Probe()(np.ones(3), np.arange(2)).item() == 5


def test_forward_hooks_see_and_replace():
    layer, seen = nn.Linear(1, 1), []
    layer.weight.copy_([[2.0]])
    layer.bias.copy_([0.0])
    removers = [
        layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,)),
        layer.register_forward_hook(lambda module, args, out: seen.append((module, args[0].item(), out.item()))),
        layer.register_forward_hook(lambda module, args, out: out * 10),
    ]
    assert layer(Tensor([[3.0]])).item() == 80 and seen == [(layer, 4.0, 8.0)]
    for remove in removers:
        remove()
        remove()  # twice does no harm
    assert layer(Tensor([[3.0]])).item() == 6 and len(seen) == 1 and layer._hooks == {}


class Gated(nn.Module):
    def forward(self, x, y=None):
        return x * x * 3 if y is None else (x * y, x + y)


def test_backward_hooks_see_only_what_comes_through_the_module():
    module, seen = Gated(), []
    remove = module.register_full_backward_hook(lambda m, gin, gout: seen.append((m, gin, gout)))
    x = Tensor([2.0], requires_grad=True)
    (module(x) + 100 * x).backward(np.ones(1))
    (m, gin, gout), = seen
    assert m is module and gin[0].item() == 12 and gout[0].item() == 1 and x.grad.item() == 112
    y = Tensor([5.0], requires_grad=True)
    a, b = module(x, y)
    (a + 2 * b).backward(np.ones(1))
    assert [g.item() for g in seen[1][1]] == [7, 4] and [g.item() for g in seen[1][2]] == [1, 2]
    with minidl.no_grad():
        module(x)
    assert len(seen) == 2
    remove()
    module(x).backward()
    assert len(seen) == 2


def test_backward_hook_of_a_first_layer_and_replacement():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, gin, gout: seen.append((gin, gout[0].item())))
    layer(minidl.ones(1, 2)).sum().backward()
    assert seen == [((None,), 1.0)]
    relu = nn.ReLU()
    relu.register_full_backward_hook(lambda m, gin, gout: (gin[0] * (gin[0].numpy() > 0),))  # guided backpropagation
    x = Tensor([1.0, 2.0], requires_grad=True)
    relu(x).backward(np.array([-1.0, 1.0]))
    assert x.grad.numpy().tolist() == [0, 1]
    double = Gated()
    double.register_full_backward_hook(lambda m, gin, gout: gin)
    a, b = double(x, x)
    with pytest.raises(RuntimeError, match="2 inputs"):
        (a + b).sum().backward()


def test_backward_hooks_agree_with_torch_and_leave_no_cycles():
    torch = pytest.importorskip("torch")
    ours, theirs = (n.Sequential(n.Linear(3, 4), n.Tanh()).double() for n in (nn, torch.nn))
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    seen, x = {}, np.random.default_rng(0).standard_normal((2, 3))
    for name, model in (("ours", ours), ("theirs", theirs)):
        model[1].register_full_backward_hook(lambda m, gin, gout, name=name: seen.update({name: (gin[0], gout[0])}))
    gc.collect()
    gc.disable()
    try:
        (ours(x) ** 2).sum().backward()
        assert gc.collect() == 0
    finally:
        gc.enable()
    (theirs(torch.from_numpy(x)) ** 2).sum().backward()
    for a, b in zip(seen["ours"], seen["theirs"], strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_hooks_and_second_derivatives():
    module, seen = Gated(), []
    module.register_full_backward_hook(lambda m, gin, gout: seen.append(gin[0].item()))
    x = Tensor([2.0], requires_grad=True)
    (g,) = minidl.grad(module(x), x, create_graph=True)
    assert minidl.grad(g, x)[0].item() == 6 and seen[0] == 12
    gc.collect()
    gc.disable()
    try:
        minidl.grad(module(x), x, create_graph=True)
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- Looking at it --------------------------------------------------------------------------------


def test_repr():
    assert repr(Net()) == """Net(
  (hidden): Linear(in_features=2, out_features=3, bias=True)
  (blocks): ModuleList(
    (0): Linear(in_features=3, out_features=3, bias=True)
    (1): Sequential(
      (0): Linear(in_features=3, out_features=3, bias=True)
      (1): ReLU()
    )
  )
  (again): Linear(in_features=3, out_features=3, bias=True)
)"""


@pytest.mark.parametrize("make", [
    lambda n: n.Conv2d(3, 8, 3), lambda n: n.Conv2d(4, 8, (1, 3), 2, 1, 2, 4, False),
    lambda n: n.Conv2d(3, 8, 3, padding="same"),
    lambda n: n.ConvTranspose2d(3, 8, 3, 2, 1, 1), lambda n: n.MaxPool2d(2), lambda n: n.AvgPool2d(3, 2),
    lambda n: n.AdaptiveAvgPool2d((2, 3)), lambda n: n.Dropout(0.2), lambda n: n.LeakyReLU(0.2), lambda n: n.GELU(),
    lambda n: n.ELU(), lambda n: n.Softmax(dim=1), lambda n: n.LogSoftmax(dim=1), lambda n: n.Flatten(),
    lambda n: n.Identity(),
])  # fmt: skip
def test_repr_reads_like_torchs(make):
    torch = pytest.importorskip("torch")
    ours, theirs = repr(make(nn)), repr(make(torch.nn))
    assert ours == theirs.replace(", inplace=False", "")


def test_summary_shows_everything_and_changes_nothing():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Sequential(nn.Flatten(), nn.Dropout()), nn.Linear(144, 2)
    )
    model[1].eval()
    model[4].requires_grad_(False)
    minidl.manual_seed(3)
    expected = minidl.random.generator("dropout").random(3)
    minidl.manual_seed(3)
    minidl.random.generator("dropout")
    before, modes = model.state_dict(), [m.training for m in model.modules()]
    table = model.summary((5, 1, 8, 8))
    assert str(table) == repr(table) == """layer             output shape  parameters
------------------------------------------
Sequential        (5, 2)
  0: Conv2d       (5, 4, 6, 6)          40
  1: BatchNorm2d  (5, 4, 6, 6)           8
  2: ReLU         (5, 4, 6, 6)
  3: Sequential   (5, 144)
    0: Flatten    (5, 144)
    1: Dropout    (5, 144)
  4: Linear       (5, 2)               290
------------------------------------------
338 parameters, 48 of them trained; 0.001 MB with buffers"""
    assert modes == [m.training for m in model.modules()] and all(m._hooks == {} for m in model.modules())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    np.testing.assert_array_equal(minidl.random.generator("dropout").random(3), expected)
    assert "(5, 2)" in model.double().summary(np.zeros((5, 1, 8, 8))) and "(5, 2)" in model.summary((5, 1, 8, 8))
    with pytest.raises(ValueError):
        model.summary((5, 2, 8, 8))
    assert modes == [m.training for m in model.modules()] and all(m._hooks == {} for m in model.modules())


def test_summary_of_unused_shared_and_several():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.unused = nn.Linear(2, 3), nn.Linear(9, 9)
            self.b = self.a

        def forward(self, x, y):
            minidl.random.generator("sample").random()  # a model that draws even in evaluation
            return self.a(x), self.b(y)

    minidl.manual_seed(0)
    expected = minidl.random.generator("sample").random()
    minidl.manual_seed(0)
    table = Two().summary((1, 2), minidl.ones(4, 2))
    assert minidl.random.generator("sample").random() == expected
    assert "(1, 3), (4, 3)" in table and "not called" in table and "99 parameters" in table


# --- Mistakes -------------------------------------------------------------------------------------


def forgetful(attribute):
    class Forgetful(nn.Module):
        def __init__(self):
            if attribute:
                self.layer = attribute

    return Forgetful()


MISTAKES = [
    (lambda: forgetful(nn.ReLU()), AttributeError, r"super\(\).__init__\(\)"),
    (lambda: forgetful(nn.Parameter([1.0])), AttributeError, r"super\(\).__init__\(\)"),
    (lambda: forgetful(None)(1), AttributeError, r"super\(\).__init__\(\)"),
    (lambda: forgetful(None).register_buffer("a", np.ones(1)), AttributeError, r"super\(\).__init__\(\)"),
    (lambda: nn.Linear(2, 2).wieght, AttributeError, "did you mean 'weight'"),
    (lambda: nn.Linear(2, 2).qqqqqqq, AttributeError, "no attribute 'qqqqqqq'$"),
    (lambda: setattr(nn.Linear(2, 2), "weight", np.ones((2, 2))), TypeError, "weight is a Parameter"),
    (lambda: setattr(nn.Linear(2, 2), "weight", Tensor(np.ones((2, 2)))), TypeError, "nn.Parameter"),
    (lambda: setattr(nn.BatchNorm1d(2), "running_mean", np.ones(2)), TypeError, "buffer"),
    (lambda: setattr(Net(), "layers", [nn.ReLU()]), TypeError, "nn.ModuleList"),
    (lambda: setattr(Net(), "layers", {"a": nn.ReLU()}), TypeError, "nn.ModuleDict"),
    (lambda: Net().register_parameter("w", Tensor([1.0])), TypeError, "nn.Parameter or None"),
    (lambda: Net().register_buffer("w", nn.Parameter([1.0])), TypeError, "nn.Parameter"),
    (lambda: Net().register_buffer("forward", np.ones(1)), ValueError, "forward"),
    (lambda: Net().register_buffer("a.b", np.ones(1)), ValueError, "without '.'"),
    (lambda: Net().add_module("training", nn.ReLU()), ValueError, "already"),
    (lambda: nn.ModuleDict({"keys": nn.ReLU()}), ValueError, "already"),
    (lambda: nn.Sequential(nn.ReLU), TypeError, r"write ReLU\(\.\.\.\)"),
    (lambda: nn.Sequential(F.relu), TypeError, "wrap a function"),
    (lambda: nn.Sequential(nn.ReLU())[1], IndexError, "1 layers"),
    (lambda: nn.Sequential(nn.ReLU())["a"], TypeError, "integer"),
    (lambda: nn.ModuleDict()["a"], KeyError, "no module 'a'"),
    (lambda: nn.ModuleList([nn.ReLU()])(1), NotImplementedError, "no forward"),
    (lambda: nn.Module()(1), NotImplementedError, "no forward"),
    (lambda: nn.Parameter([1, 2]), TypeError, "floating"),
]


@pytest.mark.parametrize("mistake, error, message", MISTAKES)
def test_mistakes_are_explained(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


# --- Containers -----------------------------------------------------------------------------------


def test_sequential():
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    model = nn.Sequential(*layers)
    x = minidl.ones(4, 2)
    np.testing.assert_array_equal(model(x), layers[2](layers[1](layers[0](x))))
    assert len(model) == 3 and list(model) == layers and model[-1] is layers[2]
    head = model[1:]
    assert type(head) is nn.Sequential and list(head) == layers[1:]
    assert list(head.state_dict()) == ["2.weight", "2.bias"]  # names are kept, as in PyTorch
    assert len(head.append(nn.Tanh())) == 3 and head[1] is layers[2]
    model[-1] = nn.Linear(3, 5)
    assert model(x).shape == (4, 5) and list(model.append(nn.Tanh()).state_dict())[-1] == "2.bias" and len(model) == 4
    named = nn.Sequential({"affine": layers[0], "act": nn.ReLU()})
    assert list(named.state_dict()) == ["affine.weight", "affine.bias"] and named.act is named[1]
    assert list(dict(named[:1].named_children())) == ["affine"] and nn.Sequential()(x) is x


def test_list_and_dictionary():
    layers = nn.ModuleList([nn.Linear(1, 1)]).append(nn.ReLU()).extend([nn.Tanh(), nn.Tanh()])
    assert len(layers) == 4 and [n for n, _ in layers.named_children()] == ["0", "1", "2", "3"]
    assert type(layers[1:3]) is nn.ModuleList and [n for n, _ in layers[1:3].named_children()] == ["0", "1"]
    heads = nn.ModuleDict({"a": nn.Linear(1, 2)})
    heads["b"] = nn.Linear(1, 3)
    assert "b" in heads and "c" not in heads and list(heads) == list(heads.keys()) == ["a", "b"] and len(heads) == 2
    assert [m.out_features for m in heads.values()] == [2, 3] and dict(heads.items())["a"] is heads["a"]
    assert list(heads.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias"]


def test_parameter_is_a_leaf_of_its_own():
    source = np.ones(2)
    p = nn.Parameter(source)
    source[:] = 5
    assert p.numpy().tolist() == [1, 1] and p.requires_grad and p.is_leaf and p.dtype == np.float64
    assert type(p * 2) is Tensor and not nn.Parameter([1.0], requires_grad=False).requires_grad
    with pytest.raises(AttributeError):
        p.anything = 1  # no __dict__: parameters are small


def test_a_hook_may_add_to_the_module_that_runs_it():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model[0].register_forward_hook(lambda module, args, out: setattr(model, "last", out))
    assert np.array_equal(model(np.ones((1, 2), np.float32)).data, np.maximum(model.last.data, 0))
    model.extra = []
    model.extra.append(nn.Linear(1, 1))
    with pytest.raises(TypeError, match="Sequential.extra is a list of layers"):
        model(np.ones((1, 2), np.float32))
