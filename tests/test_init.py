"""Initialisers: their formulas, and what they are for, the size of signals and gradients through thirty layers."""

import math

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import Tensor, nn
from minidl.nn import init

DEPTH, WIDTH, BATCH = 30, 128, 32


def chain(initialise, activation, depth=DEPTH, conv=False):
    """Standard deviations of the signal after each layer, and of its gradient, for inputs and errors of size 1."""
    rng = np.random.default_rng(0)
    shape = (16, 8, 6, 6) if conv else (BATCH, WIDTH)
    x = h = Tensor(rng.standard_normal(shape), requires_grad=True)
    signal = [h]
    for k in range(depth):
        layer = nn.Conv2d(8, 8, 3, padding=1, bias=False) if conv else nn.Linear(WIDTH, WIDTH, bias=False)
        initialise(layer.double().weight, rng=k)
        h = activation(layer(h))
        h.retain_grad()
        signal.append(h)
    h.backward(rng.standard_normal(h.shape))
    rms = lambda a: float(np.sqrt((a.numpy() ** 2).mean()))  # noqa: E731
    return [rms(h) for h in signal], [rms(h.grad) for h in (x, *signal[1:])]


def he(w, rng, **kwargs):
    return init.he_normal_(w, nonlinearity="relu", rng=rng, **kwargs)


RELU = [
    he, lambda w, rng: init.he_uniform_(w, rng=rng), lambda w, rng: he(w, rng, mode="fan_out"),
    lambda w, rng: init.orthogonal_(w, math.sqrt(2), rng), lambda w, rng: init.xavier_normal_(w, math.sqrt(2), rng),
    lambda w, rng: init.scaled_normal_(w, math.sqrt(2), rng),
]  # fmt: skip
LINEAR = [
    init.xavier_normal_, init.xavier_uniform_, init.glorot_normal_,
    lambda w, rng: init.kaiming_normal_(w, nonlinearity="linear", rng=rng),
    lambda w, rng: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="linear", rng=rng),
]  # fmt: skip


@pytest.mark.parametrize("activation, initialise", [
    *((F.relu, f) for f in RELU), *((lambda x: x, f) for f in LINEAR),
])  # fmt: skip
def test_signal_and_gradient_keep_their_size_through_thirty_layers(activation, initialise):
    """In a wide net each layer changes the variance by a factor 1 +- O(1/width): the band holds all thirty."""
    forward, backward = chain(initialise, activation)
    assert all(0.4 < size / forward[1] < 2.5 for size in forward[1:])
    assert all(0.4 < size / backward[-1] < 2.5 for size in backward)


def test_orthogonal_matrices_keep_it_exactly():
    forward, backward = chain(init.orthogonal_, lambda x: x)
    np.testing.assert_allclose(forward, forward[0], rtol=1e-12)
    np.testing.assert_allclose(backward, backward[-1], rtol=1e-12)


def test_tanh_needs_its_gain():
    """Xavier lets a tanh net fade slowly (as 1 / sqrt(depth)), 5/3 holds it, the factor 4 saturates it."""
    forward, backward = chain(init.xavier_normal_, F.tanh)
    assert 0.05 < forward[-1] < 0.25 and 0.1 < backward[0] / backward[-1] < 2.5
    held, _ = chain(lambda w, rng: init.xavier_normal_(w, init.calculate_gain("tanh"), rng), F.tanh)
    assert all(0.6 < size < 0.7 for size in held[5:])  # a fixed point, whatever the size of the input
    _, exploding = chain(lambda w, rng: init.scaled_normal_(w, 4.0, rng), F.tanh)
    assert exploding[0] / exploding[-1] > 1e3


@pytest.mark.parametrize("initialise, factor", [
    (lambda w, rng: init.normal_(w, 0, 0.01, rng), 0.01 * math.sqrt(WIDTH / 2)),
    (lambda w, rng: init.normal_(w, 0, 1.0, rng), math.sqrt(WIDTH / 2)),
    (lambda w, rng: init.xavier_normal_(w, rng=rng), math.sqrt(1 / 2)),
    (lambda w, rng: init.reset_(w, None, rng), math.sqrt(1 / 6)),
])  # fmt: skip
def test_other_sizes_vanish_or_explode(initialise, factor):
    """With relu, Xavier loses a factor sqrt(2) in each layer, PyTorch's default (variance 1 / 3 fan_in) sqrt(6)."""
    forward, backward = chain(initialise, F.relu)
    for ratio, layers in ((forward[-1] / forward[1], DEPTH - 1), (backward[0] / backward[-1], DEPTH)):
        assert not 1e-3 < ratio < 1e3
        assert abs(math.log(ratio / factor**layers)) < 1


def test_convolutions_too():
    forward, backward = chain(he, F.relu, depth=10, conv=True)  # the padding's zeros take a little from each layer
    assert 0.1 < forward[-1] / forward[1] < 2 and 0.1 < backward[0] / backward[-1] < 2


@pytest.mark.parametrize("constant", [0.0, 0.5])
def test_equal_units_stay_equal(constant):
    """Symmetry breaking: constant weights make all hidden units one unit, at every step of training."""
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 3)), rng.standard_normal((8, 1))

    def train(steps=20):
        for _ in range(steps):
            model.zero_grad()
            F.mse_loss(model(x), y).backward()
            with minidl.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad

    for p in model.parameters():
        init.constant_(p, constant)
    train()
    hidden = model[0].weight.numpy()
    assert np.ptp(hidden, axis=0).max() < 1e-12 and model[2].bias.item() != constant
    if constant == 0:
        assert not hidden.any()  # zeros do not even move: each layer's gradient waits for the other
    for p in nn.weights(model):
        init.xavier_normal_(p, rng=0)
    train()
    assert np.ptp(model[0].weight.numpy(), axis=0).min() > 0.1


# --- Formulas -------------------------------------------------------------------------------------

W = (64, 32, 5, 5)  # fan_in 800, fan_out 1600
FORMULAS = [
    (lambda t: init.xavier_normal_(t, 2.0), 0, 2 * math.sqrt(2 / 2400), None),
    (lambda t: init.xavier_uniform_(t, 2.0), 0, 2 * math.sqrt(2 / 2400), 2 * math.sqrt(6 / 2400)),
    (lambda t: init.scaled_normal_(t, 4.0), 0, 4 * math.sqrt(2 / 2400), None),
    (lambda t: init.kaiming_normal_(t), 0, math.sqrt(2 / 800), None),
    (lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"), 0, math.sqrt(2 / 1600), None),
    (lambda t: init.he_uniform_(t, a=0.5), 0, math.sqrt(2 / 1.25 / 800), math.sqrt(6 / 1.25 / 800)),
    (lambda t: init.kaiming_uniform_(t, nonlinearity="linear"), 0, math.sqrt(1 / 800), math.sqrt(3 / 800)),
    (lambda t: init.normal_(t, 3.0, 0.5), 3, 0.5, None),
    (lambda t: init.uniform_(t, -1.0, 3.0), 1, 4 / math.sqrt(12), 2),
    (lambda t: init.trunc_normal_(t), 0, 0.8796, 2),
    (lambda t: init.trunc_normal_(t, 1.0, 0.1, 0.9, 1.2), 1.0230, 0.0718, None),
    (lambda t: init.ones_(t), 1, 0, 0),
    (lambda t: init.zeros_(t), 0, 0, 0),
    (lambda t: init.constant_(t, 0.25), 0.25, 0, 0),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("initialise, mean, std, bound", FORMULAS)
def test_mean_deviation_and_bound(initialise, mean, std, bound, dtype):
    minidl.manual_seed(0)
    tensor = nn.Parameter(np.full(W, np.nan), dtype)
    assert initialise(tensor) is tensor and tensor.dtype == dtype and tensor.requires_grad
    values = tensor.numpy().astype(float)
    n = values.size
    assert abs(values.mean() - mean) <= 4 * std / math.sqrt(n) + 1e-7
    assert abs(values.std() - std) <= 4 * std / math.sqrt(n) + 1e-7
    if bound is not None:
        reach = np.abs(values - mean).max()
        assert reach <= bound * (1 + 1e-6) and reach >= bound * 0.99


def test_truncated_normal_against_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = init.trunc_normal_(minidl.zeros(20_000, dtype=np.float64), 1.0, 0.5, 0.5, 3.0, rng=0).numpy()
    assert stats.kstest(values, stats.truncnorm(-1, 4, 1.0, 0.5).cdf).pvalue > 0.01


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3, 3), (20, 2, 3, 3)])
def test_orthogonal(shape):
    m = init.orthogonal_(minidl.zeros(*shape, dtype=np.float64), 2.0, rng=0).numpy().reshape(shape[0], -1)
    gram = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    np.testing.assert_allclose(gram, 4 * np.eye(min(m.shape)), atol=1e-12)


def test_orthogonal_has_no_preferred_direction():
    corners = [init.orthogonal_(minidl.zeros(4, 4), rng=seed).numpy()[0, 0] for seed in range(400)]
    assert abs(np.mean(corners)) < 4 * 0.5 / math.sqrt(400)  # an entry has mean 0 and variance 1 / 4


def test_gains_and_fans_are_torchs():
    torch = pytest.importorskip("torch")
    for name, param in [("linear", None), ("conv2d", None), ("sigmoid", None), ("tanh", None), ("relu", None),
                        ("leaky_relu", None), ("leaky_relu", 0.3), ("selu", None)]:  # fmt: skip
        assert init.calculate_gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param))
    for shape in [(3, 5), (3, 5, 2, 4)]:
        assert init.fans(minidl.zeros(*shape)) == torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(shape))


def test_rng_is_the_stream_a_seed_or_a_generator():
    fresh = lambda: minidl.zeros(4, 4)  # noqa: E731
    minidl.manual_seed(1)
    a = init.normal_(fresh())
    minidl.random.generator("dropout").random(5)
    minidl.manual_seed(1)
    np.testing.assert_array_equal(init.normal_(fresh()), a)
    np.testing.assert_array_equal(init.normal_(fresh(), rng=3), init.normal_(fresh(), rng=np.random.default_rng(3)))
    assert not np.array_equal(init.normal_(fresh()), a)


@pytest.mark.parametrize("mistake, error, message", [
    (lambda: init.xavier_normal_(minidl.zeros(3)), ValueError, "two or more axes"),
    (lambda: init.orthogonal_(minidl.zeros(3)), ValueError, "two or more axes"),
    (lambda: init.he_normal_(minidl.zeros(3, 3), mode="fan_avg"), ValueError, "fan_in"),
    (lambda: init.he_normal_(minidl.zeros(3, 3), nonlinearity="step"), ValueError, "no gain is known"),
    (lambda: init.zeros_(np.zeros(3)), TypeError, "Parameter"),
    (lambda: init.trunc_normal_(minidl.zeros(3), a=3.0, b=1.0), ValueError, "hardly anything"),
    (lambda: init.normal_(minidl.zeros(3), rng="a"), TypeError, "rng"),
])  # fmt: skip
def test_mistakes_are_explained(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


def test_writing_into_a_weight_that_backward_needs_is_noticed():
    layer = nn.Linear(2, 2)
    y = layer(minidl.ones(1, 2, requires_grad=True))
    init.zeros_(layer.weight)
    with pytest.raises(RuntimeError, match="was written to"):
        y.sum().backward()
