"""The dropout family: what is dropped, what stays, what it does on average, and the callbacks that go with it."""

import copy

import numpy as np
import pytest

import minidl
from minidl import Tensor, nn, optim, train
from minidl.check import oracles
from minidl.nn import functional as F

SEEDED = np.random.default_rng
IMAGES, ROWS = (3, 4, 6, 5), (6, 4)

ACTIVATIONS = {  # what drops parts of its input: layer, shape of an input
    "element": (lambda p, rng=None: nn.Dropout(p, rng), IMAGES),
    "channel1d": (lambda p, rng=None: nn.Dropout1d(p, rng), (3, 4, 5)),
    "channel2d": (lambda p, rng=None: nn.Dropout2d(p, rng), IMAGES),
    "block": (lambda p, rng=None: nn.DropBlock2d(p, 3, rng), IMAGES),
    "path": (lambda p, rng=None: nn.DropPath(p, rng), IMAGES),
}
LAYERS = {  # what drops weights, or a layer
    "connect": (lambda p, rng=None: nn.DropConnect(nn.Linear(4, 4, rng=0), p, rng), ROWS),
    "connect-conv": (lambda p, rng=None: nn.DropConnect(nn.Conv2d(4, 2, 3, rng=0), p, rng), IMAGES),
    "mixout": (lambda p, rng=None: moved(nn.Mixout(nn.Linear(4, 4, rng=0), p, rng)), ROWS),
    "mixout-conv": (lambda p, rng=None: moved(nn.Mixout(nn.Conv2d(4, 2, 3, rng=0), p, rng)), IMAGES),
    "layer": (lambda p, rng=None: nn.LayerDrop(nn.Linear(4, 4, rng=0), p, rng), ROWS),
}
FAMILY = ACTIVATIONS | LAYERS
family = pytest.mark.parametrize(("make", "shape"), FAMILY.values(), ids=FAMILY)
activations = pytest.mark.parametrize(("make", "shape"), ACTIVATIONS.values(), ids=ACTIVATIONS)
layers = pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)


def moved(mixout):
    """With weights that have been trained away from the anchor."""
    for w in nn.weights(mixout.layer):
        w._writable()[...] += SEEDED(5).standard_normal(w.shape).astype(w.dtype)
    return mixout


def normal(shape, dtype=np.float32, seed=0):
    return SEEDED(seed).standard_normal(shape).astype(dtype)


def mask_of(layer, shape, dtype=np.float64):
    """What a layer multiplies its input by: its gradient."""
    x = Tensor(np.ones(shape, dtype), requires_grad=True)
    layer(x).sum().backward()
    return x.grad.numpy()


# --- what holds for all ----------------------------------------------------------------------------------------------


@activations
def test_evaluation_and_rate_zero_give_the_input_itself(make, shape):
    x, state = Tensor(normal(shape)), minidl.random.get_state()
    assert make(0.5).eval()(x) is x and make(0.0)(x) is x and make(1.0).eval()(x) is x
    assert minidl.random.get_state() == state  # and nothing is drawn


@layers
def test_evaluation_and_rate_zero_are_the_layer_itself(make, shape):
    x = Tensor(normal(shape))
    for layer in (make(0.5).eval(), make(0.0), make(1.0).eval()):
        np.testing.assert_array_equal(layer(x), layer.layer(x))


@family
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_shapes_and_layouts(make, shape, dtype):
    """float32 and float64, no sample, one sample, strides; parameters get gradients; the input is left alone."""
    x = normal(shape, dtype)
    for data in (x, x[:0], x[:1], np.asfortranarray(x), np.repeat(x, 2, axis=-1)[..., ::2]):
        leaf, layer = Tensor(data, requires_grad=True), make(0.4, 1).astype(dtype)
        out = layer(leaf)
        out.sum().backward()
        assert len(out) == len(data) and {out.dtype, leaf.grad.dtype} == {np.dtype(dtype)}
        assert all(q.grad is None or q.grad.dtype == dtype for q in layer.parameters())
        np.testing.assert_array_equal(leaf, data)
        np.testing.assert_allclose(out, make(0.4, 1).astype(dtype)(np.ascontiguousarray(data)), rtol=1e-5)


@family
def test_draws_repeat(make, shape):
    """By seed, by generator, by manual_seed; the same in both precisions; only the stream "dropout" moves."""
    x = normal(shape)
    first = make(0.5, 3)(x).numpy()
    np.testing.assert_array_equal(make(0.5, SEEDED(3))(x), first)
    np.testing.assert_allclose(make(0.5, 3).double()(x.astype(float)), first, rtol=1e-4, atol=1e-5)
    layer = make(0.5, 3)
    outs = [layer(x).numpy() for _ in range(12)]
    assert any(not np.array_equal(outs[0], out) for out in outs)  # each call draws anew

    layer = make(0.5)
    minidl.manual_seed(7)
    start = minidl.random.get_state()
    make(0.5, 3)(x)
    assert minidl.random.get_state() == start
    first = [layer(x).numpy() for _ in range(3)]
    assert list(minidl.random.get_state()["streams"]) == ["dropout"]
    minidl.manual_seed(7)
    minidl.random.generator("shuffle").random(5)
    for out in first:
        np.testing.assert_array_equal(layer(x), out)


@family
def test_derivatives_of_both_orders(make, shape):
    layer = make(0.4, None).double()
    minidl.manual_seed(1)
    report = minidl.gradcheck(layer, normal(shape, np.float64), order=2, freeze=True, rng=0)
    assert report, report


@family
def test_copies_and_state(make, shape):
    layer, x = make(0.5, 3), normal(shape)
    twin = copy.deepcopy(layer)
    np.testing.assert_array_equal(twin(x), layer(x))  # with a generator of its own, at the same place
    state = layer.state_dict()
    for array in state.values():
        array += 1
    twin.load_state_dict(state)
    for name, array in twin.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
        assert not np.array_equal(array, layer.state_dict()[name])
    assert repr(layer).splitlines()[-1] and "p=0.5" in repr(layer)


# --- averages over 10^5 draws ----------------------------------------------------------------------------------------

DRAWS = 100_000
WIDE = {  # 10^5 independent draws in one call
    "channel1d": (lambda p: nn.Dropout1d(p, 1), (250, 400, 2)),
    "channel2d": (lambda p: nn.Dropout2d(p, 1), (250, 400, 1, 2)),
    "path": (lambda p: nn.DropPath(p, 1), (DRAWS, 2)),
    "connect": (lambda p: nn.DropConnect(nn.Linear(DRAWS, 1, bias=False), p, 1), (1, DRAWS)),
    "mixout": (lambda p: nn.Mixout(nn.Linear(DRAWS, 1, bias=False), p, 1), (1, DRAWS)),
}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize(("make", "shape"), WIDE.values(), ids=WIDE)
def test_the_expectation_is_kept(make, shape, p):
    """The mean of the mask is 1 within four standard errors, sqrt(p / (1 - p) / n); the share of zeros is p."""
    layer = make(p)
    if hasattr(layer, "layer"):
        if hasattr(layer, "anchor0"):
            layer.anchor0.fill_(0.0)  # with another anchor see below
        layer.layer.weight.fill_(1.0)
    mask = mask_of(layer, shape, np.float32).astype(float)
    assert set(np.unique(mask)) == {0.0, float(np.float32(1 / (1 - p)))}
    draws = mask[..., 0, 0] if len(shape) == 4 else mask[..., 0] if shape[0] > 1 else mask[0]
    assert draws.size == DRAWS
    assert abs(draws.mean() - 1) < 4 * np.sqrt(p / (1 - p) / DRAWS)
    assert abs((draws == 0).mean() - p) < 4 * np.sqrt(p * (1 - p) / DRAWS)


def test_mean_weight_of_mixout_is_the_weight():
    layer = nn.Mixout(nn.Linear(DRAWS, 1, bias=False), 0.6, 1)
    layer.layer.weight.fill_(2.0)
    layer.anchor0.fill_(-1.0)
    weights = mask_of(layer, (1, DRAWS), np.float32).astype(float)
    np.testing.assert_allclose(np.unique(weights), [-1, -1 + 3 / 0.4], rtol=1e-6)
    assert abs(weights.mean() - 2) < 4 * 3 * np.sqrt(0.6 / 0.4 / DRAWS)
    assert abs((weights == -1).mean() - 0.6) < 4 * np.sqrt(0.24 / DRAWS)


def test_a_layer_is_skipped_at_its_rate():
    class Count(nn.Module):
        calls = 0

        def forward(self, x):
            Count.calls += 1
            return x

    layer, x = nn.LayerDrop(Count(), 0.3, 1), minidl.ones(1)
    for _ in range(10_000):
        layer(x)
    assert abs(Count.calls / 10_000 - 0.7) < 4 * np.sqrt(0.21 / 10_000)


# --- what is dropped -------------------------------------------------------------------------------------------------


def test_whole_channels_and_whole_samples():
    m = mask_of(nn.Dropout2d(0.5, 0), (100, 90, 3, 4))
    assert (m == m[:, :, :1, :1]).all()
    c = m[:, :, 0, 0] - 1
    assert max(abs((c[1:] * c[:-1]).mean()), abs((c[:, 1:] * c[:, :-1]).mean())) < 5 / np.sqrt(c.size)  # independent
    m = mask_of(nn.Dropout1d(0.5, 0), (9, 8, 7))
    assert (m == m[:, :, :1]).all() and (m[:, 0] != m[:, 1]).any()
    m = mask_of(nn.DropPath(0.5, 0), (50, 3, 2, 2))
    assert (m == m[:, :1, :1, :1]).all() and 0 < (m == 0).mean() < 1
    assert not F.drop_path(np.ones((3, 2)), 1.0).any() and not F.dropout2d(np.ones(IMAGES), 1.0).any()


@pytest.mark.parametrize("block", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("p", [0.3, 0.6])
def test_drop_block_is_the_algorithm_of_the_paper(block, p):
    """Algorithm 1, place by place; the drawn places are centres there, here corners."""
    n, c, h, w = shape = (2, 3, 7, 5)
    draws = SEEDED(4).random((n, c, h - block + 1, w - block + 1), np.float32)
    gamma = p / block**2 * h / (h - block + 1) * w / (w - block + 1)
    mask, half = np.ones(shape), (block - 1) // 2
    for sample in range(n):
        for channel in range(c):
            for row in range(half, h - (block - half) + 1):  # centres whose square is inside the image
                for column in range(half, w - (block - half) + 1):
                    if draws[sample, channel, row - half, column - half] < gamma:
                        for i in range(row - half, row - half + block):
                            for j in range(column - half, column - half + block):
                                mask[sample, channel, i, j] = 0
    assert 0 < mask.mean() < 1
    x = normal(shape, float)
    expected = x * mask * mask.size / mask.sum()
    np.testing.assert_allclose(F.drop_block(x, p, block, rng=4), expected, rtol=1e-12)
    np.testing.assert_allclose(oracles.drop_block(x, p, block, True, 4), expected, rtol=1e-12)


@pytest.mark.parametrize("block", [2, 3, 5])
def test_drop_block_drops_whole_blocks_at_its_rate(block):
    """What is dropped is a union of full squares (it equals its opening), and as much as the formula says."""
    ndimage, p, (h, w) = pytest.importorskip("scipy.ndimage"), 0.3, (8, 7)
    maps = DRAWS // 4
    m = mask_of(nn.DropBlock2d(p, block, 0), (maps, 1, h, w))
    dropped = m == 0
    np.testing.assert_array_equal(ndimage.binary_opening(dropped, np.ones((1, 1, block, block))), dropped)
    np.testing.assert_allclose(m.mean(), 1, rtol=1e-12)  # the renormalisation
    places = (h - block + 1) * (w - block + 1)
    gamma = p / block**2 * h * w / places
    np.testing.assert_allclose(gamma * places * block**2 / (h * w), p)  # the areas of all blocks together
    over = np.zeros((h, w))  # how many blocks cover each pixel
    for i in range(h - block + 1):
        for j in range(w - block + 1):
            over[i : i + block, j : j + block] += 1
    share, chance = dropped.mean((0, 1)), 1 - (1 - gamma) ** over
    assert (abs(share - chance) < 5 * np.sqrt(chance * (1 - chance) / maps)).all()
    assert chance.mean() < p  # the overlaps


def test_drop_block_at_its_limits():
    x = np.ones((40, 2, 4, 6))
    big, fitted = F.drop_block(x, 0.5, 7, rng=1), F.drop_block(x, 0.5, 4, rng=1)
    np.testing.assert_array_equal(big, fitted)  # a block larger than the image is cut to its shorter side
    whole = F.drop_block(x[..., :4], 0.5, 9, rng=1)  # then maps are dropped as wholes
    assert (whole == whole[..., :1, :1]).all() and abs((whole == 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(80)
    assert not F.drop_block(np.ones((1, 1, 3, 3)), 1.0, 3).any()  # nothing is left: zeros, no NaN
    assert F.drop_block(x, 1.0, 2, rng=1).any()
    for shape in ((0, 2, 4, 4), (2, 0, 4, 4), (2, 2, 0, 4)):
        assert F.drop_block(np.ones(shape), 0.5).shape == shape


def test_weights_are_dropped_and_the_raw_ones_learn():
    """Each weight by itself, no bias; the gradient of the raw weight is that of the masked one through the mask."""
    layer = nn.DropConnect(nn.Linear(4, 3, rng=0), 0.5, 2).double()
    raw, bias, x, g = layer.layer.weight, layer.layer.bias, normal((5, 4), float), normal((5, 3), float, 1)
    scale = (SEEDED(2).random((3, 4), np.float32) >= 0.5) / 0.5
    out = layer(x)
    out.backward(g)
    np.testing.assert_allclose(out, x @ (raw.numpy() * scale).T + bias.numpy())
    np.testing.assert_allclose(raw.grad, g.T @ x * scale)
    np.testing.assert_allclose(bias.grad, g.sum(0))
    layer.p = 1.0
    np.testing.assert_array_equal(layer(x), np.broadcast_to(bias.numpy(), (5, 3)))


@pytest.mark.parametrize("kind", [nn.DropConnect, nn.Mixout])
def test_wrapped_layers_are_modules_like_others(kind):
    """Parameters, weights to penalise, state, a model inside, a shared layer, an error on the way."""
    inner = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4))
    model = nn.Sequential(kind(inner, 0.5), nn.Linear(4, 2))
    raw = [inner[0].weight, inner[3].weight, model[1].weight]
    assert all(a is b for a, b in zip(nn.weights(model), raw, strict=True))
    x = normal((6, 4))
    loss = nn.regularized((model(x) ** 2).mean(), nn.weights(model), l2=0.1)
    loss.backward()
    assert len(list(model.parameters())) == 8 and all(p.grad is not None for p in model.parameters())
    assert inner[0].weight is raw[0] and inner[3].weight is raw[1]
    trained = [name for name in model.state_dict() if "anchor" not in name and "num_" not in name]
    assert trained[0] == "0.layer.0.weight" and len(trained) == 10
    with pytest.raises(ValueError, match="3 features"):
        model(x[:, :3])
    assert inner[0].weight is raw[0]  # put back also then

    shared, x = nn.Linear(3, 3, bias=False, rng=0), normal((2, 3))
    twice = kind(nn.Sequential(shared, shared), 0.5, rng=1)
    for anchor in twice.buffers():
        anchor.fill_(0.0)
    mask = SEEDED(1).random((1 if kind is nn.Mixout else 3, 3), np.float32) >= 0.5
    once = shared.weight.numpy() * mask / 0.5
    np.testing.assert_allclose(twice(x), x @ once.T @ once.T, rtol=1e-5)  # one draw for one weight

    with pytest.raises(ValueError, match="ReLU has no weights; wrap one that has"):
        kind(nn.ReLU())
    with pytest.raises(ValueError, match=f"in {kind.__name__} there is a {kind.__name__} already"):
        kind(kind(nn.Linear(2, 2)))
    with pytest.raises(TypeError, match="write Linear"):
        kind(nn.Linear)


def test_mixout_is_the_equation_of_the_paper():
    w, u, p = normal((3, 5, 2), float), normal((3, 5, 2), float, 1), 0.7
    m = (SEEDED(6).random((1, 5, 1), np.float32) < p).astype(float)  # all weights of an input together
    assert 0 < m.mean() < 1
    np.testing.assert_allclose(F.mixout(w, u, p, rng=6), (m * u + (1 - m) * w - p * u) / (1 - p), rtol=1e-12)
    m = SEEDED(6).random(5, np.float32) < p
    np.testing.assert_allclose(F.mixout(w[0, :, 0], u[0, :, 0], p, rng=6)[m], u[0, m, 0], rtol=1e-12)
    assert F.mixout(w, u, p, training=False) is w and F.mixout(w, u, 0.0) is w


def test_mixout_at_its_limits():
    """p = 1: the anchor, which learns nothing; w = u: no noise; u = 0: dropout of the inputs, a mask for the batch."""
    layer = nn.Mixout(nn.Linear(4, 3, rng=0), 1.0).double()
    before, x = copy.deepcopy(layer.layer), Tensor(normal((5, 4), float))
    np.testing.assert_array_equal(layer(x), before(x))
    moved(layer)
    out = layer(x)
    np.testing.assert_array_equal(out, before(x))
    out.sum().backward()
    assert not layer.layer.weight.grad.numpy().any() and layer.layer.bias.grad.numpy().all()
    assert not np.allclose(layer.eval()(x), before(x))

    layer = nn.Mixout(nn.Linear(4, 3, rng=0), 0.5, rng=2).double()
    np.testing.assert_array_equal(layer(x), layer.layer(x))
    layer.anchor0.fill_(0.0)
    layer.rng = SEEDED(2)
    dropped = x.numpy() * (SEEDED(2).random((1, 4), np.float32) >= 0.5) / 0.5
    np.testing.assert_allclose(layer(x), layer.layer(dropped), rtol=1e-12)


def test_a_skipped_layer_is_not_run():
    layer = nn.LayerDrop(nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4)), 1.0)
    x = Tensor(normal(ROWS), requires_grad=True)
    assert layer(x) is x and layer.layer[0].num_batches_tracked.item() == 0
    layer.p = 0.0
    layer(x).sum().backward()
    assert layer.layer[1].weight.grad is not None and layer.layer[0].num_batches_tracked.item() == 1


def test_rates_grow_with_depth():
    assert nn.linear_depth(0.5, 4) == [0.125, 0.25, 0.375, 0.5] and nn.linear_depth(0.3, 0) == []
    rates = nn.linear_depth(0.5, 54)  # the paper's ResNet-110: 54 blocks, of which 40 take part on average
    assert abs(sum(1 - p for p in rates) - 40) < 0.5
    block = nn.Residual(nn.Linear(4, 4), drop_path=1.0)
    x = minidl.ones(3, 4)
    np.testing.assert_array_equal(block(x), x)


MISTAKES = [
    (lambda: nn.Dropout2d(1.5), "Dropout2d: p is the probability of being dropped, a number from 0 to 1, not .* 1.5"),
    (lambda: nn.Dropout1d("a"), "Dropout1d: p"), (lambda: nn.DropPath(-0.1), "DropPath: p"),
    (lambda: nn.DropBlock2d(2), "DropBlock2d: p"), (lambda: nn.LayerDrop(nn.ReLU(), True), "LayerDrop: p"),
    (lambda: nn.DropConnect(nn.Linear(1, 1), 3), "DropConnect: p"),
    (lambda: nn.Mixout(nn.Linear(1, 1), -1), "Mixout: p"), (lambda: F.drop_path(np.ones((2, 2)), 7), "drop_path: p"),
    (lambda: F.drop_block(np.ones(IMAGES), 7), "drop_block: p"),
    (lambda: F.mixout(np.ones(2), np.ones(2), 7), "mixout: p"), (lambda: F.dropout2d(np.ones(IMAGES), np.nan), "p is"),
    (lambda: nn.Dropout2d()(minidl.ones(3, 4)), r"x must be \(N, C, H, W\), not Tensor float32 \(3, 4\)"),
    (lambda: nn.Dropout2d().eval()(minidl.ones(3, 4)), r"x must be \(N, C, H, W\)"),
    (lambda: nn.Dropout1d()(minidl.ones(3, 4)), r"x must be \(N, C, L\)"),
    (lambda: nn.DropBlock2d()(minidl.ones(3, 4, 5)), r"drop_block: x must be \(N, C, H, W\)"),
    (lambda: nn.DropPath(0.1)(minidl.tensor(1.0)), r"drop_path: x must be \(N, ...\)"),
    (lambda: nn.DropBlock2d(0.1, 0), "block_size is the side of a block in pixels, an integer >= 1, not int 0"),
    (lambda: F.drop_block(np.ones(IMAGES), 0.1, 2.0), "drop_block: block_size"),
    (lambda: F.mixout(np.ones((2, 3)), np.ones((3, 2))), r"shape of the weights .*\(2, 3\), not .*\(3, 2\)"),
    (lambda: nn.LayerDrop(nn.Linear(4, 3), 0.0)(minidl.ones(2, 4)), "changes the shape it cannot be skipped"),
    (lambda: nn.linear_depth(1.5, 3), "linear_depth: p"), (lambda: nn.linear_depth(0.5, -1), "blocks is how many"),
    (lambda: train.RDrop(-1), "RDrop"), (lambda: train.RDrop("much"), "alpha"),
    (lambda: train.CurriculumDropout(gamma=0), "CurriculumDropout"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "message"), MISTAKES)
def test_mistakes_are_explained(mistake, message):
    with pytest.raises((ValueError, TypeError), match=message):
        mistake()


# --- callbacks -------------------------------------------------------------------------------------------------------

X, Y = normal((20, 4)), SEEDED(1).integers(0, 3, 20)


def network(p=0.4):
    """Some of the family, and batch norm."""
    return nn.Sequential(
        nn.DropConnect(nn.Linear(4, 6), p), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(p, rng=3),
        nn.Residual(nn.Linear(6, 6), drop_path=p), nn.LayerDrop(nn.Linear(6, 6), p), nn.Mixout(nn.Linear(6, 3), p),
    )  # fmt: skip


def run(model, callbacks=(), epochs=3, data=(X, Y), **options):
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    options = {"batch_size": 8, "rng": 2} | options
    return train.fit(model, data, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=epochs, callbacks=callbacks,
                     progress=False, **options)  # fmt: skip


def rates(model):
    return [m.p for m in model.modules() if hasattr(m, "p")]


class Rates(train.Callback):
    """Notes the rates at the forward pass of every batch, and when an epoch ends."""

    def __init__(self):
        self.seen, self.ends = [], []

    def on_loss(self, run):
        self.seen.append(rates(run.model))

    def on_epoch_end(self, run):
        self.ends.append(rates(run.model))


def test_curriculum_follows_the_curve_of_the_paper():
    """theta(t) = (1 - theta_bar) exp(-gamma t) + theta_bar with gamma = 10 / T, for each layer of the family."""
    model, notes = network(), Rates()
    model[3].p = 0.8
    own, steps = rates(model), 9
    run(model, [train.CurriculumDropout(), notes])
    theta_bar, t = 1 - np.array(own), np.arange(steps)[:, None]
    theta = (1 - theta_bar) * np.exp(-10 / steps * t) + theta_bar
    assert len(own) == 5 and notes.seen[0] == [0.0] * 5
    np.testing.assert_allclose(notes.seen, 1 - theta, rtol=1e-12, atol=1e-15)
    assert rates(model) == own  # the very numbers

    notes = Rates()
    run(model, [notes, train.CurriculumDropout([model[3]], gamma=0.3)])  # chosen layers, a gamma, another order
    np.testing.assert_allclose(np.array(notes.seen)[:, 1], 0.8 * (1 - np.exp(-0.3 * np.arange(steps))), rtol=1e-12)
    assert (np.delete(notes.seen, 1, axis=1) == 0.4).all()
    notes = Rates()
    run(model, [train.CurriculumDropout(model[4]), notes])  # a part of the model
    assert len({tuple(np.delete(seen, 2)) for seen in notes.seen}) == 1 < len({seen[2] for seen in notes.seen})


def test_curriculum_cleans_up_and_explains():
    model = network()
    own, curriculum = rates(model), train.CurriculumDropout()

    def fail(run):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(model, [curriculum, train.Callback(on_gradient=fail)])
    assert rates(model) == own  # also for the next run, whose callback is another object
    run(model, [curriculum, train.Callback(on_batch_end=lambda run: run.stop())])
    assert rates(model) == own
    with pytest.raises(ValueError, match="no dropout layer whose rate could rise"):
        run(nn.Linear(4, 3), [curriculum])
    with pytest.raises(ValueError, match="gives is unknown.*give gamma"):
        run(model, [curriculum], data=iter([(X, Y)]), batch_size=None, rng=None)
    run(model, [train.CurriculumDropout(gamma=1.0)], epochs=1, data=iter([(X, Y)]), batch_size=None, rng=None)
    with pytest.raises(TypeError, match="no dropout layer; give layers that have a rate"):
        train.CurriculumDropout([nn.ReLU()])


def reference_step(model, alpha):
    """Both passes of the first batch by hand, in double precision: loss 1, the rest, the gradient of the weight."""
    w, p = model[0].weight.numpy(), model[1].p
    masks = SEEDED(9).random((2, *X.shape), np.float32) >= p
    inputs = [X.astype(float) * m / (1 - p) for m in masks]
    onehot, n = np.eye(3)[Y], len(X)
    ps = [oracles.softmax(x @ w.T, 1) for x in inputs]
    losses = [-(onehot * np.log(p)).sum() / n for p in ps]
    (p, q), log_ratio = ps, np.log(ps[0] / ps[1])
    kl, back = (p * log_ratio).sum(1), -(q * log_ratio).sum(1)
    of_p = p * (log_ratio - kl[:, None]) + p - q  # d (KL(P || Q) + KL(Q || P)) / d logits of P
    of_q = q * (-log_ratio - back[:, None]) + q - p
    deltas = [(p - onehot) / n + alpha / 2 * of_p / n, (q - onehot) / n + alpha / 2 * of_q / n]
    gradient = sum(d.T @ x for d, x in zip(deltas, inputs, strict=True))
    return losses[0], losses[1] + alpha * (kl + back).mean() / 2, gradient


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
def test_r_drop_is_two_passes_by_hand(alpha):
    class Swapped(nn.Sequential):  # dropout of the inputs, then the layer
        def forward(self, x):
            return self[0](self[1](x))

    model = Swapped(nn.Linear(4, 3, bias=False), nn.Dropout(0.4, rng=9)).double()
    first, rest, gradient = reference_step(model, alpha)
    seen = []
    note = train.Callback(on_gradient=lambda run: seen.append(model[0].weight.grad.numpy().copy()))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    history = train.fit(model, [(X.astype(float), Y)], loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=1,
                        callbacks=[train.RDrop(alpha), note], progress=False)  # fmt: skip
    np.testing.assert_allclose([history[0]["loss"], history[0]["penalty"]], [first, rest], rtol=1e-10)
    np.testing.assert_allclose(seen[0], gradient, rtol=1e-10)


def test_r_drop_without_dropout_doubles_the_loss_and_batch_norm_sees_both_passes():
    torch = pytest.importorskip("torch")
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).double()
    theirs = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.ReLU(), torch.nn.Linear(6, 3)
    ).double()  # fmt: skip
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})
    x = torch.from_numpy(X.astype(float))
    theirs(x), theirs(x)
    history = run(model, [train.RDrop(3.0)], epochs=1, data=[(X.astype(float), Y)], batch_size=None, rng=None)
    np.testing.assert_allclose(history[0]["penalty"], history[0]["loss"], rtol=1e-12)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        np.testing.assert_allclose(getattr(model[1], name), getattr(theirs[1], name).numpy(), rtol=1e-12)


def test_r_drop_makes_the_passes_agree():
    def disagreement(alpha):
        minidl.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 3))
        run(model, [train.RDrop(alpha)], epochs=60)
        return np.mean([F.symmetric_kl(model(X), model(X)).item() for _ in range(20)])

    assert disagreement(5.0) < disagreement(0.0) / 2


def test_both_resume_exactly(tmp_path):
    """Killed in the midst and started again, with checkpoints, clipping, a schedule and penalties: the same bits."""

    def program(folder, when=None, epochs=4):
        minidl.manual_seed(4)
        model, count = network(), iter(range(1000))
        crash = train.Callback(on_gradient=lambda run: 1 / 0 if next(count) == when else None)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        callbacks = [train.Checkpoint(folder), train.CurriculumDropout(), train.RDrop(0.7), crash]
        history = train.fit(
            model, (X, Y), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=epochs, callbacks=callbacks,
            schedule=optim.lr_scheduler.ExponentialLR(optimizer, 0.9), clip=1.0, batch_size=8, progress=False,
            resume=folder,
        )  # fmt: skip
        assert rates(model) == rates(network())
        return history, model.state_dict()

    history, whole = program(tmp_path / "whole")
    for when in (2, 5, 8):
        with pytest.raises(ZeroDivisionError):
            program(tmp_path / str(when), when)
        again, state = program(tmp_path / str(when))
        assert list(again) == list(history)
        for name, array in state.items():
            np.testing.assert_array_equal(array, whole[name])


def test_curriculum_goes_on_with_its_curve(tmp_path):
    """More epochs than were planned do not bend it; another number of layers is an error."""
    def program(epochs, model):
        notes = Rates()
        run(model, [train.Checkpoint(tmp_path), train.CurriculumDropout(), notes], epochs=epochs, resume=tmp_path)
        return np.array(notes.seen)[:, 0]

    program(2, network())
    later = program(3, network())
    np.testing.assert_allclose(later, 0.4 * (1 - np.exp(-10 / 6 * np.arange(6, 9))), rtol=1e-12)


def test_mixout_notices_that_the_layer_has_changed():
    layer = nn.Mixout(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)), 0.5)
    layer.layer[1].weight = layer.layer[0].weight  # the third layer would get the second one's anchor
    with pytest.raises(ValueError, match="not those it had when it was wrapped"):
        layer(minidl.ones(2, 3))
    layer = nn.Mixout(nn.Sequential(nn.Linear(3, 3)), 0.5)
    layer.layer.append(nn.Linear(3, 3))
    with pytest.raises(ValueError, match="not those it had when it was wrapped"):
        layer(minidl.ones(2, 3))


@pytest.mark.parametrize("function", [F.dropout, F.dropout2d, F.drop_path, F.drop_block])
def test_integers_are_refused(function):
    with pytest.raises(TypeError, match="needs floats"):
        function(np.ones((2, 3, 8, 8), np.int64), 0.5)
