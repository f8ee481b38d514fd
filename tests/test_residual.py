"""Residual blocks, and the models made of them and of plain convolutions: equations, names, PyTorch, training."""

from collections import OrderedDict

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import Tensor, data, models, nn, optim, train
from minidl.models import resnet, vgg


def test_the_equation(rng):
    """activation(shortcut(x) + body(x)); without a shortcut x itself, without an activation the sum."""
    x = rng.standard_normal((5, 3))
    body, shortcut = nn.Linear(3, 2).double(), nn.Linear(3, 2).double()
    expected = shortcut(x).numpy() + body(x).numpy()
    np.testing.assert_array_equal(nn.Residual(body, shortcut)(x).numpy(), expected)
    np.testing.assert_array_equal(nn.Residual(body, shortcut, activation=nn.ReLU())(x).numpy(), np.maximum(expected, 0))
    square = nn.Linear(3, 3).double()
    np.testing.assert_array_equal(nn.Residual(square, activation=F.tanh)(x).numpy(), np.tanh(x + square(x).numpy()))


def test_a_body_of_zeros_is_the_identity(rng):
    """Values and gradient pass unchanged, however many blocks there are; the bodies' last weights do get gradients."""
    blocks = nn.Sequential(*[
        nn.Residual(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 1))) for _ in range(20)
    ])  # fmt: skip
    for block in blocks:
        nn.init.zeros_(block.body[-1].weight)
        nn.init.zeros_(block.body[-1].bias)
    x, g = (rng.standard_normal((3, 2, 4, 4), np.float32) for _ in range(2))
    leaf = Tensor(x, requires_grad=True)
    out = blocks(leaf)
    out.backward(g)
    np.testing.assert_array_equal(out.detach(), x)
    np.testing.assert_array_equal(leaf.grad, g)
    assert all(np.abs(block.body[-1].weight.grad.numpy()).max() > 0 for block in blocks)


def test_drop_path():
    """In training a sample's body is left out or rescaled, in evaluation it is there; rate 0 makes no module."""
    body = nn.Linear(3, 3)
    block, x = nn.Residual(body, drop_path=0.25), minidl.randn(400, 3, rng=0)
    full = body(x).numpy()
    ratio = (block(x).numpy() - x.numpy()) / full
    kept = np.isclose(ratio, 1 / 0.75, rtol=1e-2)
    assert (kept.all(1) | np.isclose(ratio, 0, atol=1e-2).all(1)).all()
    assert abs(kept[:, 0].mean() - 0.75) < 4 * np.sqrt(0.25 * 0.75 / 400)
    np.testing.assert_array_equal(block.eval()(x).numpy(), x.numpy() + full)
    assert nn.Residual(body).drop_path is None and list(block.state_dict()) == ["body.weight", "body.bias"]


def test_shapes_never_broadcast():
    with pytest.raises(ValueError, match=r"the body makes .*\(5, 1\).*beside it comes .*\(5, 3\).*give a shortcut"):
        nn.Residual(nn.Linear(3, 1))(minidl.ones(5, 3))


# --- models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    resnet, vgg, lambda s, c: resnet(s, c, norm="group", blocks=2, drop_path=0.5), lambda s, c: resnet(s, c, norm=None),
    lambda s, c: vgg(s, c, (4, "M", 8), (), "group", 0.5), lambda s, c: vgg(s, c, ("M",), (5, 5), None),
    lambda s, c: resnet(s, c, (8,)),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 12)])
def test_shapes_and_gradients(make, shape):
    """Logits for every class; in training a gradient reaches every parameter; in evaluation a batch of one will do."""
    model = make(shape, 7)
    F.cross_entropy(model(minidl.randn(6, *shape, rng=0)), np.arange(6)).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and np.isfinite(p.grad.numpy()).all(), name
    assert sum(np.abs(p.grad.numpy()).max() > 0 for p in model.parameters()) > 0.7 * len(list(model.parameters()))
    model.eval()
    assert model(minidl.zeros(1, *shape)).shape == (1, 7) and model(minidl.zeros(0, *shape)).shape == (0, 7)


def size(model):
    return sum(p.size for p in model.parameters())


def test_parameter_counts():
    """By hand: weights of the convolutions, two numbers a channel for each norm, and the affine layers."""
    assert size(resnet((3, 32, 32), 10)) == (
        27 * 16 + 32 + 2 * (9 * 16 * 16 + 32) + 9 * 32 * (16 + 32) + 16 * 32 + 3 * 64
        + 9 * 64 * (32 + 64) + 32 * 64 + 3 * 128 + 650
    )  # fmt: skip
    paper = size(resnet((3, 32, 32), 10, blocks=3)) - (16 * 32 + 64 + 32 * 64 + 128)  # without its projections
    assert round(paper / 1e6, 2) == 0.27  # ResNet-20, He et al. 2016, table 6
    assert size(vgg((3, 32, 32), 10)) == (
        9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * (32 + 32 + 64 + 64) + (64 * 8 * 8 + 1) * 128 + 129 * 10
    )
    sixteen = (64, 64, "M", 128, 128, "M", *(256,) * 3, "M", *(512,) * 3, "M", *(512,) * 3, "M")
    with_no_head = vgg((3, 32, 32), 1, sixteen, (), None)  # the paper's configuration D
    assert size(with_no_head) - 513 == 14_714_688


def test_the_rates_grow_with_depth():
    blocks = [m for m in resnet((1, 8, 8), 10, blocks=2, drop_path=0.6).modules() if isinstance(m, nn.Residual)]
    np.testing.assert_allclose([b.drop_path.p for b in blocks], 0.1 * np.arange(1, 7))
    assert all(b.drop_path is None for b in resnet((1, 8, 8), 10).modules() if isinstance(b, nn.Residual))


def test_eight_groups_or_as_many_as_divide():
    norms = [m for m in resnet((1, 8, 8), 10, (16, 12), norm="group").modules() if isinstance(m, nn.GroupNorm)]
    assert [(m.num_groups, m.num_channels) for m in norms] == [(8, 16)] * 3 + [(4, 12)] * 3


@pytest.mark.parametrize("norm", ["batch", "group", None])
def test_zero_init_starts_blocks_as_their_shortcuts(norm):
    model, x = resnet((1, 8, 8), 3, blocks=2, norm=norm, zero_init=True).eval(), minidl.randn(2, 1, 8, 8, rng=0)
    h = model.stem(x)
    np.testing.assert_array_equal(model.stage1(h).numpy(), h.numpy())
    shortcut = F.relu(model.stage2[0].shortcut(h))
    np.testing.assert_array_equal(model.stage2(h).numpy(), shortcut.numpy())


STATE = [
    "stem.0.weight", "stem.1.weight", "stem.1.bias", "stem.1.running_mean", "stem.1.running_var",
    "stem.1.num_batches_tracked", "stage1.0.body.0.weight", "stage1.0.body.1.weight", "stage1.0.body.1.bias",
]  # fmt: skip


def twin(torch, model):
    """The same network in PyTorch, module by module; Residual is the one that PyTorch has not."""

    class Residual(torch.nn.Module):
        def __init__(self, block):
            super().__init__()
            self.body = twin(torch, block.body)
            self.shortcut = twin(torch, block.shortcut) if block.shortcut else None

        def forward(self, x):
            return torch.relu(self.body(x) + (x if self.shortcut is None else self.shortcut(x)))

    if isinstance(model, nn.Sequential):
        return torch.nn.Sequential(OrderedDict((name, twin(torch, m)) for name, m in model.named_children()))
    if isinstance(model, nn.Residual):
        return Residual(model)
    arguments = {
        "Conv2d": ("in_channels", "out_channels", "kernel_size", "stride", "padding"), "BatchNorm2d": ("num_features",),
        "GroupNorm": ("num_groups", "num_channels"), "Linear": ("in_features", "out_features"),
        "MaxPool2d": ("kernel_size",), "AdaptiveAvgPool2d": ("output_size",),
    }  # fmt: skip
    kind = type(model).__name__
    no_bias = {"bias": False} if kind == "Conv2d" and model.bias is None else {}
    return getattr(torch.nn, kind)(*(getattr(model, name) for name in arguments.get(kind, ())), **no_bias)


@pytest.mark.parametrize("make", [
    lambda: resnet((3, 9, 8), 4, (4, 6), blocks=2), lambda: resnet((3, 9, 8), 4, (4, 6), norm="group"),
    lambda: vgg((3, 9, 8), 4, (4, 4, "M", 6, "M"), (5, 5)),
])  # fmt: skip
def test_as_pytorch(torch, rng, make):
    """The state fits, and two steps of training give the same losses, gradients and running statistics."""
    ours = make().double()
    theirs = twin(torch, ours).double()
    state = {name: torch.from_numpy(array) for name, array in ours.state_dict().items()}
    assert list(state) == list(theirs.state_dict())
    theirs.load_state_dict(state)
    assert list(resnet((1, 8, 8), 2).state_dict())[: len(STATE)] == STATE
    for _ in range(2):
        x, y = rng.standard_normal((6, 3, 9, 8)), rng.integers(0, 4, 6)
        loss = F.cross_entropy(ours(x), y)
        expected = torch.nn.functional.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(y))
        np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-10)
        ours.zero_grad()
        theirs.zero_grad()
        loss.backward()
        expected.backward()
        with minidl.no_grad(), torch.no_grad():
            for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
                np.testing.assert_allclose(p.grad, q.grad, rtol=1e-7, atol=1e-11, err_msg=name)
                p -= 0.1 * p.grad
                q -= 0.1 * q.grad
    for name, array in ours.eval().state_dict().items():
        np.testing.assert_allclose(array, theirs.state_dict()[name], rtol=1e-7, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(ours(x).detach(), theirs.eval()(torch.from_numpy(x)).detach(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"norm": "group", "drop_path": 0.2, "zero_init": True}], ids=str)
def test_a_resnet_learns_digits(options):
    """A hundred steps are enough for most of them."""
    minidl.manual_seed(1)
    digits, test = data.load_train_test("digits", rng=0)
    model = resnet((1, 8, 8), 10, (8, 16), **options)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    loader = data.DataLoader(digits, 32, shuffle=True)
    train.fit(model, loader, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=3, progress=False)
    assert (train.predict(model, test).argmax(1) == test.y).mean() > 0.85


BAD = [
    (lambda: resnet((8, 8), 10), r"resnet needs images \(channels, height, width\) from 4x4 up"),
    (lambda: resnet((1, 2, 8), 10), "from 4x4 up"),
    (lambda: resnet((1, 8, 8), 10, norm="layer"), "norm must be 'batch', 'group' or None"),
    (lambda: vgg((1, 3, 3), 10), "vgg needs images .* from 4x4 up"),
    (lambda: vgg((1, 8, 8), 10, ("P",)), "out_channels must be an integer"),
    (lambda: resnet((1, 8, 8), 10, drop_path=1.5), "from 0 to 1"),
]


@pytest.mark.parametrize("bad", range(len(BAD)))
def test_errors(bad):
    call, message = BAD[bad]
    with pytest.raises(ValueError, match=message):
        call()


def test_the_command_line_knows_them():
    assert models.MODELS["resnet"] is resnet and models.MODELS["vgg"] is vgg


@pytest.mark.parametrize("options", [{"widths": ()}, {"blocks": 0}])
def test_a_network_without_blocks_is_refused(options):
    with pytest.raises(ValueError, match="resnet needs a width for each stage and blocks >= 1"):
        models.resnet((3, 8, 8), 10, **options)
    with pytest.raises(ValueError, match=r"resnet needs images \(channels, height, width\).*not 1"):
        models.resnet(1, 10)
