"""Penalties as a callback: what they add to loss, gradient and history, and to whose weights."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim, train
from minidl.train import Callback, Penalty, fit

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 3)).astype(np.float32)
Y = rng.normal(size=(12, 2)).astype(np.float32)
mse = nn.MSELoss()


def make(dtype=np.float32):
    minidl.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).astype(dtype)


def go(model, penalties, epochs=2, lr=0.1, **options):
    dtype = next(model.parameters()).dtype
    options = {"optimizer": optim.SGD(model.parameters(), lr=lr), "batch_size": 5, **options}
    return fit(model, (X.astype(dtype), Y.astype(dtype)), loss=mse, epochs=epochs, rng=0, progress=False,
               callbacks=penalties, **options)


def test_l2_is_the_weight_decay_of_plain_sgd():
    """On the weights only: biases and the norm layer are in a group without decay."""
    model, twin = make(np.float64), make(np.float64)
    go(model, [Penalty(l2=0.3)])
    heavy = list(nn.weights(twin))
    light = [p for p in twin.parameters() if all(p is not w for w in heavy)]
    groups = [{"params": heavy, "weight_decay": 0.3}, {"params": light}]
    go(twin, [], optimizer=optim.SGD(groups, lr=0.1))
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", [{"l1": 0.2}, {"l2": 0.3}, {"elastic": (0.1, 2.0)},
                                     {"l1": 0.2, "l2": 0.3, "elastic": (0.1, 2.0), "n": 4}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_and_history(options, dtype):
    model = make(dtype)
    weights = [w.numpy().astype(float) for w in nn.weights(model)]
    gradients = []
    see = Callback(on_gradient=lambda run: gradients.append({p: p.grad.numpy() for p in run.model.parameters()}))
    one = {"epochs": 1, "lr": 1e-30, "batch_size": 12}
    plain, history = go(model, [see], **one), go(model, [see, Penalty(**options)], **one)
    l1, l2, (lam, beta), n = (options.get(k, d) for k, d in [("l1", 0), ("l2", 0), ("elastic", (0, 0)), ("n", 1)])
    total = sum((l1 * abs(w) + l2 / 2 * w * w + lam * (beta * w * w + abs(w))).sum() / n for w in weights)
    assert history[0]["penalty"] == pytest.approx(total, rel=1e-6)
    assert history[0]["loss"] == plain[0]["loss"] and "penalty" not in plain[0]
    slopes = [(l1 * np.sign(w) + l2 * w + lam * (2 * beta * w + np.sign(w))) / n for w in weights]
    expected = dict(zip(nn.weights(model), slopes, strict=True))
    for p in model.parameters():
        assert gradients[1][p].dtype == dtype
        difference = gradients[1][p] - gradients[0][p]
        np.testing.assert_allclose(difference, expected.get(p, np.zeros(p.shape)), rtol=1e-5, atol=1e-6)


def test_whose_weights():
    """A list, a generator (kept, so that the second batch has it too), or a function of the model."""
    shown = []
    for choose in (lambda m: [m[3].weight], lambda m: (w for w in [m[3].weight]), lambda m: lambda m: [m[3].weight]):
        model = make()
        history = go(model, [Penalty(l2=1.0, parameters=choose(model))])
        shown.append((history["penalty"], model.state_dict()["3.weight"].tobytes()))
    assert shown[0] == shown[1] == shown[2]
    model = make()
    w = model[3].weight.numpy().copy()
    history = go(model, [Penalty(l2=1.0, parameters=[model[3].weight])], epochs=1, lr=1e-30, batch_size=12)
    assert history[0]["penalty"] == pytest.approx((w * w).sum() / 2)


def test_with_clipping_several_and_frozen_weights():
    model = make()
    model[0].requires_grad_(False)
    before, norms = model[0].weight.numpy().copy(), []
    measure = lambda ps: norms.append(optim.clip_grad_norm_([p for p in ps if p.grad is not None], 0.1))  # noqa: E731
    history = go(model, [Penalty(l1=5.0), Penalty(l2=5.0)], clip=measure)
    assert min(norms) > 1 and np.array_equal(before, model[0].weight.numpy())
    assert history[0]["penalty"] > (5 * abs(before).sum() + 2.5 * (before**2).sum())  # constants count too


def test_l1_is_sparser_than_l2():
    x = np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32)
    y = (x[:, :1] * 2 - x[:, 1:2]).astype(np.float32)
    small = {}
    for name in ("l1", "l2"):
        model = nn.Linear(8, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        fit(model, (x, y), loss=mse, optimizer=optimizer, epochs=40, callbacks=[Penalty(**{name: 0.2})], progress=False,
            schedule=optim.ExponentialLR(optimizer, 0.8))
        small[name] = (abs(model.weight.numpy()) < 2e-3).sum()
    assert small["l1"] == 6 and small["l2"] < 6


BAD = {
    "nothing": (lambda: Penalty(), ValueError, "at least one strength"),
    "negative": (lambda: Penalty(l1=-1.0), ValueError, "l1 must be a number >= 0, not -1.0"),
    "nan": (lambda: Penalty(l2=float("nan")), ValueError, "l2 must be a number >= 0, not nan"),
    "infinite": (lambda: Penalty(l2=float("inf")), ValueError, "l2 must be a number >= 0, not inf"),
    "pair": (lambda: Penalty(elastic=0.1), ValueError, "pair"),
    "negative beta": (lambda: Penalty(elastic=(0.1, -2.0)), ValueError, "beta must be a number >= 0"),
    "a model": (lambda: Penalty(l2=1.0, parameters=make()), TypeError, "list of Tensors, or a function of the model"),
    "a name": (lambda: Penalty(l2=1.0, parameters="weight"), TypeError, "not str 'weight'"),
    "no weights": (lambda: go(make(), [Penalty(l2=1.0, parameters=[])]), ValueError, "no parameters to penalise"),
}


@pytest.mark.parametrize("call, error, message", BAD.values(), ids=BAD)
def test_errors_teach(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_it_is_in_the_package():
    assert train.Penalty is Penalty and "Penalty" in train.__all__


@pytest.mark.parametrize("n", [0, -5, 2.5, True])
def test_n_is_a_number_of_samples(n):
    with pytest.raises(ValueError, match="n is the number of samples to divide by"):
        Penalty(l2=1.0, n=n)
