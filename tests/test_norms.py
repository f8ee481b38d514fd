"""Layer, group, instance and adaptive group norm: against PyTorch, against each other, and in hard cases."""

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import Tensor, nn

LAYERS = [  # (how to make it, the shape of its input)
    (lambda n: n.LayerNorm(5), (4, 5)),
    (lambda n: n.LayerNorm((3, 4), eps=0.1), (2, 3, 4)),
    (lambda n: n.LayerNorm([4], bias=False), (2, 3, 4)),
    (lambda n: n.LayerNorm(4, elementwise_affine=False), (2, 1, 3, 4)),
    (lambda n: n.LayerNorm(7), (7,)),
    (lambda n: n.LayerNorm(96), (50, 96)),  # large enough for the compiled kernels
    (lambda n: n.GroupNorm(2, 6), (3, 6)),
    (lambda n: n.GroupNorm(3, 6, eps=0.1), (2, 6, 4)),
    (lambda n: n.GroupNorm(1, 4), (2, 4, 3, 2)),
    (lambda n: n.GroupNorm(4, 4, affine=False), (1, 4, 2, 3)),
    (lambda n: n.GroupNorm(4, 8), (3, 8, 16, 12)),
    (lambda n: n.GroupNorm(2, 4), (2, 4, 2, 3, 2)),
    (lambda n: n.InstanceNorm1d(3), (2, 3, 5)),
    (lambda n: n.InstanceNorm2d(3, affine=True), (2, 3, 4, 2)),
    (lambda n: n.InstanceNorm2d(3, 1e-2, 0.3, True, True), (3, 3, 2, 5)),
    (lambda n: n.InstanceNorm2d(2, track_running_stats=True), (1, 2, 3, 3)),
]


def shake(layer, rng):
    """Parameters and running statistics that are not zeros and ones."""
    for tensor in (*layer.parameters(), *layer.buffers()):
        if tensor.dtype.kind == "f":
            tensor.copy_(rng.uniform(0.3, 1.5, tensor.shape))


def close(ours, theirs, tolerance):
    theirs = theirs.numpy(force=True)
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.detach(), theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", range(len(LAYERS)))
def test_as_pytorch(torch, rng, backend, case, dtype):
    """Value, all gradients, running statistics over three steps and evaluation, names of the state, its repr."""
    make, shape = LAYERS[case]
    ours, theirs, tolerance = make(nn).astype(dtype), make(torch.nn), 1e-10 if dtype == np.float64 else 2e-4
    theirs.to(torch.float64 if dtype == np.float64 else torch.float32)
    shake(ours, rng)
    state = ours.state_dict()
    assert list(state) == list(theirs.state_dict())
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    for training in (True, True, False):
        x, g = (rng.standard_normal(shape).astype(dtype) + 0.5 for _ in range(2))
        leaf, twin = Tensor(x, requires_grad=True), torch.from_numpy(x).requires_grad_()
        ours.train(training).zero_grad()
        theirs.train(training).zero_grad()
        out, expected = ours(leaf), theirs(twin)
        out.backward(g)
        expected.backward(torch.from_numpy(g))
        close(out, expected, tolerance)
        close(leaf.grad, twin.grad, tolerance * 3)
        for (_, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            close(p.grad, q.grad, tolerance * np.sqrt(x.size))
    for name, array in ours.state_dict().items():
        np.testing.assert_allclose(array, theirs.state_dict()[name].numpy(), rtol=tolerance, err_msg=name)
    assert repr(ours).split("(")[0] == repr(theirs).split("(")[0]


def test_by_hand():
    """Two groups of two values: mean 2 and deviation 1; mean 20 and deviation 10."""
    x = np.array([[1.0, 3.0, 10.0, 30.0]])
    np.testing.assert_allclose(F.group_norm(x, 2, eps=0.0), [[-1, 1, -1, 1]])
    scaled = F.group_norm(x, 2, np.array([1.0, 2, 3, 4]), np.ones(4), eps=3.0)
    np.testing.assert_allclose(scaled, [[1 - 1 / 2, 1 + 2 / 2, 1 - 30 / np.sqrt(103), 1 + 40 / np.sqrt(103)]])
    np.testing.assert_allclose(F.layer_norm(np.array([1.0, 2, 3]), 3, eps=0.0), np.sqrt(1.5) * np.array([-1, 0, 1]))


def values_and_gradients(f, x, g):
    leaf = Tensor(x, requires_grad=True)
    out = f(leaf)
    out.backward(g)
    return np.stack([out.detach().numpy(), leaf.grad.numpy()])


def test_groups_are_the_family(rng):
    """One group is layer norm over C, H and W; a group a channel is instance norm, and batch norm of one sample."""
    x, g = rng.standard_normal((2, 3, 6, 4, 5))
    all_of = lambda f: values_and_gradients(f, x, g)  # noqa: E731
    np.testing.assert_allclose(all_of(lambda x: F.group_norm(x, 1)), all_of(lambda x: F.layer_norm(x, (6, 4, 5))))
    by_instance = all_of(F.instance_norm)
    np.testing.assert_allclose(all_of(lambda x: F.group_norm(x, 6)), by_instance)
    alone = values_and_gradients(lambda x: F.batch_norm(x, training=True), x[:1], g[:1])
    np.testing.assert_allclose(alone, by_instance[:, :1])
    assert np.abs(all_of(lambda x: F.group_norm(x, 2)) - by_instance).max() > 0.1


@pytest.mark.parametrize(("f", "groups"), [
    (lambda x: F.layer_norm(x, (4, 3, 2)), 1), (lambda x: F.group_norm(x, 2), 2), (F.instance_norm, 4)
])  # fmt: skip
def test_what_is_taken_out(f, groups, rng):
    """Mean 0 and variance 1 in every group; scale and offset of the input do not matter; nor do the other samples."""
    x, g = rng.standard_normal((2, 5, 4, 3, 2))
    out, gradient = values_and_gradients(f, x, g)
    of_group = out.reshape(5 * groups, -1)
    np.testing.assert_allclose(of_group.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(of_group.var(1), 1, atol=1e-3)
    np.testing.assert_allclose(f(300 * x - 70), f(1e3 * x), atol=1e-6)
    np.testing.assert_allclose(f(x[2:3]), out[2:3])
    assert abs(gradient[0].sum()) < 1e-12  # along an offset nothing changes
    wide = values_and_gradients(f, 1e3 * x, g)[1]
    assert np.abs((wide * x).sum((1, 2, 3))).max() < 1e-7  # nor along the scale


@pytest.mark.parametrize("make", [lambda: nn.LayerNorm((4, 3, 2)), lambda: nn.GroupNorm(2, 4),
    lambda: nn.InstanceNorm2d(4, affine=True), lambda: nn.InstanceNorm2d(4, track_running_stats=True)])  # fmt: skip
def test_hard_cases(make, rng, backend):
    """An empty batch, a batch of one, strides, float64; and in a graph that is differentiated again."""
    layer = make()
    empty = minidl.zeros(0, 4, 3, 2, requires_grad=True)
    before = layer.state_dict()
    out = layer(empty)
    out.backward(np.zeros((0, 4, 3, 2)))
    assert out.shape == empty.grad.shape == (0, 4, 3, 2)
    assert all((p.grad.numpy() == 0).all() for p in layer.parameters())
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert np.isfinite(layer(rng.standard_normal((1, 4, 3, 2), np.float32)).numpy()).all()
    double = layer.double()
    x = rng.standard_normal((2, 3, 4, 5)).T  # (5, 4, 3, 2)
    np.testing.assert_array_equal(double(x).numpy(), double(x.copy()).numpy())
    assert double(x).dtype == np.float64
    leaf = Tensor(x, requires_grad=True)
    (dx,) = minidl.grad((double(leaf) ** 3).sum(), leaf, create_graph=True)
    (ddx,) = minidl.grad((dx * dx).sum(), leaf)
    assert np.abs(ddx.numpy()).max() > 1e-3


def test_a_large_offset_costs_no_accuracy(rng, backend):
    """The variance comes from the deviations, not from the difference of two large numbers."""
    x = (rng.standard_normal((4, 8, 16, 16)) + 1000).astype(np.float32)
    g = rng.standard_normal(x.shape, np.float32)
    f = lambda x: F.group_norm(x, 4)  # noqa: E731
    found, exact = values_and_gradients(f, x, g), values_and_gradients(f, x.astype(float), g.astype(float))
    np.testing.assert_allclose(found, exact, atol=5e-4)


def test_running_statistics_of_instances(rng):
    """The averages over the samples, the variance unbiased, with momentum; evaluation uses them as constants."""
    layer = nn.InstanceNorm2d(3, momentum=0.25, track_running_stats=True).double()
    x = rng.standard_normal((5, 3, 2, 4)) + 2
    layer(x)
    np.testing.assert_allclose(layer.running_mean, 0.25 * x.mean((0, 2, 3)))
    np.testing.assert_allclose(layer.running_var, 0.75 + 0.25 * x.var((2, 3), ddof=1).mean(0))
    mean, var = (v.numpy().reshape(1, 3, 1, 1) for v in (layer.running_mean, layer.running_var))
    np.testing.assert_allclose(layer.eval()(x), (x - mean) / np.sqrt(var + 1e-5))
    assert layer.num_batches_tracked.item() == 0  # as in PyTorch


def test_adaptive_group_norm(rng):
    """It starts as plain group norm; then each sample's y decides scale and bias; gradients reach h, y and the map."""
    layer = nn.AdaGN(2, 4, embedding_dim=3).double()
    h, y = Tensor(rng.standard_normal((5, 4, 3, 2)), requires_grad=True), Tensor(rng.standard_normal((5, 3)))
    np.testing.assert_allclose(layer(h, y), F.group_norm(h, 2).detach(), rtol=1e-14)
    assert list(layer.state_dict()) == ["linear.weight", "linear.bias"]
    assert list(nn.weights(layer)) == [layer.linear.weight]
    shake(layer, rng)
    y.requires_grad = True
    out = layer(h, y)
    projected = y.numpy() @ layer.linear.weight.numpy().T + layer.linear.bias.numpy()
    y_s, y_b = projected[:, :4, None, None], projected[:, 4:, None, None]
    plain = F.group_norm(h.numpy(), 2)
    np.testing.assert_allclose(out.detach(), y_s * plain + y_b)
    u = rng.standard_normal(out.shape)
    out.backward(u)
    slopes = np.concatenate([(u * plain).sum((2, 3)), u.sum((2, 3))], 1)  # d/dy_s and d/dy_b
    np.testing.assert_allclose(y.grad, slopes @ layer.linear.weight.numpy())
    np.testing.assert_allclose(layer.linear.weight.grad, slopes.T @ y.numpy())
    np.testing.assert_allclose(h.grad, values_and_gradients(lambda h: F.group_norm(h, 2), h.numpy(), u * y_s)[1])
    assert layer(np.zeros((2, 4)), np.ones((2, 3))).shape == (2, 4)
    assert layer(np.zeros((0, 4, 2)), np.ones((0, 3))).shape == (0, 4, 2)


def test_norms_are_no_weights_and_learn():
    """Penalties leave them alone, and a step against the gradient lowers the loss."""
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.Linear(8, 1))
    assert [w.shape for w in nn.weights(model)] == [(8, 6), (1, 8)]
    x, losses = minidl.randn(16, 6, rng=0), []
    for _ in range(30):
        model.zero_grad()
        loss = F.mse_loss(model(x), x[:, :1] * x[:, 1:2])
        loss.backward()
        losses.append(loss.item())
        with minidl.no_grad():
            for p in model.parameters():
                p -= 0.05 * p.grad
    assert losses[-1] < 0.7 * losses[0]


X, IMAGES = np.zeros((2, 4)), np.zeros((2, 4, 3, 3))
BAD = [
    (lambda: F.layer_norm(X, 3), ValueError, r"does not end with the normalized_shape \(3,\)"),
    (lambda: F.layer_norm(X, (1, 2, 4)), ValueError, "does not end"),
    (lambda: F.layer_norm(X, ()), ValueError, "does not end"),
    (lambda: F.layer_norm(X, 4, np.ones(3)), ValueError, r"weight is array float64 \(3,\).*asks for \(4,\)"),
    (lambda: F.layer_norm(X, 4, np.ones(4, np.float32)), TypeError, "weight is array float32.*one dtype"),
    (lambda: F.layer_norm(X[:, :1], 1), ValueError, r"1 value\(s\) to take a mean"),
    (lambda: F.layer_norm(X.astype(int), 4), TypeError, "float32 or float64"),
    (lambda: F.layer_norm(X.astype(np.float16), 4), TypeError, "float32 or float64"),
    (lambda: F.group_norm(X, 3), ValueError, "3 groups do not divide the 4 channels"),
    (lambda: F.group_norm(X, 0), ValueError, "0 groups do not divide"),
    (lambda: F.group_norm(X, 4), ValueError, r"1 value\(s\)"),
    (lambda: F.group_norm(X[0], 1), ValueError, r"\(N, C\) or \(N, C, ...\)"),
    (lambda: F.group_norm(IMAGES, 2, bias=np.ones(3)), ValueError, "bias is"),
    (lambda: F.group_norm(IMAGES[:, :, :0], 2), ValueError, r"0 value\(s\)"),
    (lambda: F.instance_norm(IMAGES[:, :, :1, :1]), ValueError, r"1 value\(s\)"),
    (lambda: F.instance_norm(IMAGES, np.zeros(4)), ValueError, "both, or neither"),
    (lambda: F.instance_norm(IMAGES, use_input_stats=False), ValueError, "running_mean and running_var"),
    (lambda: nn.LayerNorm(1), ValueError, "two or more"),
    (lambda: nn.LayerNorm((4, 0)), ValueError, "normalized_shape must be an integer >= 1"),
    (lambda: nn.GroupNorm(3, 4), ValueError, "num_groups=3 must divide num_channels=4"),
    (lambda: nn.GroupNorm(2, 6)(minidl.zeros(2, 4)), ValueError, r"GroupNorm\(2, 6\) takes inputs \(N, 6, ...\)"),
    (lambda: nn.GroupNorm(2, 4)(X), TypeError, "GroupNorm: the input is Tensor float64"),
    (lambda: nn.LayerNorm(4)(X), TypeError, "LayerNorm: the input is Tensor float64"),
    (lambda: nn.InstanceNorm2d(3)(IMAGES), ValueError, "4 channels"),
    (lambda: nn.InstanceNorm2d(4)(IMAGES[0]), ValueError, r"InstanceNorm2d takes inputs \(N, C, H, W\)"),
    (lambda: nn.InstanceNorm2d(4, momentum=None), ValueError, "momentum must be a number"),
    (lambda: nn.AdaGN(2, 4, 3)(minidl.zeros(2, 4), minidl.zeros(1, 3)), ValueError, r"y must be \(2, 3\)"),
    (lambda: nn.AdaGN(2, 4, 3)(X, minidl.zeros(2, 3)), TypeError, "AdaGN: the input is Tensor float64"),
]


@pytest.mark.parametrize("bad", range(len(BAD)))
def test_errors(bad):
    call, error, message = BAD[bad]
    with pytest.raises(error, match=message):
        call()


def test_a_shape_of_floats_is_refused():
    with pytest.raises(TypeError, match="normalized_shape is an integer or several, not 4.0"):
        nn.LayerNorm(4.0)
