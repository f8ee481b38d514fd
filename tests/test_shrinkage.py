"""Row D9: what L2 and L1 do to the minimum of a quadratic, in formulas and in trained weights."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.train import Callback, Penalty, fit

mse = nn.MSELoss()


def problem(curvatures, rotated, n=64, seed=0):
    """A linear regression without noise: inputs whose X^T X is diagonal or not, w*, and the loss as a function of w."""
    rng = np.random.default_rng(seed)
    k = len(curvatures)
    U = np.linalg.qr(rng.normal(size=(n, k)))[0]
    Q = np.linalg.qr(rng.normal(size=(k, k)))[0] if rotated else np.eye(k)
    x = U * np.sqrt(n * np.array(curvatures) / 2) @ Q.T  # mean squared error has the Hessian 2 x^T x / n
    w = rng.choice([-1, 1], k) * rng.uniform(0.3, 2, k)
    return x, w, lambda v: ((minidl.Tensor(x) @ v - x @ w) ** 2).mean()


def trained(x, w, callbacks, lr, epochs, schedule=None, start=0.0):
    """fit on the whole set as one batch, from weights that are all `start`; returns the weights at its end."""
    model = nn.Linear(len(w), 1, bias=False, dtype=np.float64)
    model.weight.data = np.full((1, len(w)), start)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    fit(model, [(x, (x @ w)[:, None])], loss=mse, optimizer=optimizer, epochs=epochs, callbacks=callbacks,
        schedule=schedule and schedule(optimizer), progress=False)
    return model.weight.numpy()[0]


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("alpha", [0.01, 0.3, 5.0])
def test_l2_shrinks_along_the_eigenvectors_of_the_hessian(rotated, alpha):
    curvatures = [4.0, 1.0, 0.25, 0.05]
    x, w, loss = problem(curvatures, rotated)
    H = minidl.hessian(loss, w)
    values, Q = np.linalg.eigh(H.numpy())
    np.testing.assert_allclose(values, sorted(curvatures), rtol=1e-9)
    expected = Q @ np.diag(values / (values + alpha)) @ Q.T @ w
    np.testing.assert_allclose(nn.l2_shrinkage(H, w, alpha), expected, rtol=1e-9)
    found = trained(x, w, [Penalty(l2=alpha)], lr=1 / (4 + alpha), epochs=1500 if alpha < 0.1 else 300)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    along = (Q.T @ found) / (Q.T @ w)  # each eigenvector by its own factor
    np.testing.assert_allclose(along, values / (values + alpha), rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.02, 0.3, 1.0])
def test_l1_is_soft_thresholding(alpha):
    """By the subgradient with a falling rate (the penalty's own), and by proximal steps, whose zeros are exact."""
    x, w, loss = problem([4.0, 2.0, 1.0, 0.5, 0.25], rotated=False)
    H = minidl.hessian(loss, w)
    assert np.allclose(H.numpy(), np.diag([4.0, 2.0, 1.0, 0.5, 0.25]))
    expected = np.sign(w) * np.maximum(abs(w) - alpha / np.diag(H.numpy()), 0)
    np.testing.assert_allclose(nn.l1_shrinkage(H, w, alpha), expected, rtol=1e-9, atol=1e-15)
    falling = lambda optimizer: optim.ExponentialLR(optimizer, 0.993)  # noqa: E731
    found = trained(x, w, [Penalty(l1=alpha)], lr=0.25, epochs=1000, schedule=falling, start=0.1)
    np.testing.assert_allclose(found, expected, atol=1e-3)

    def proximal(run):
        p = run.model.weight
        p.data = nn.soft_threshold(p, 0.25 * alpha)  # after a step of length 0.25

    found = trained(x, w, [Callback(on_batch_end=proximal)], lr=0.25, epochs=400)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert ((found == 0) == (expected == 0)).all()


def test_l1_cuts_off_and_l2_does_not():
    x, w, loss = problem([4.0, 1.0, 0.05, 0.02], rotated=False)
    H = minidl.hessian(loss, w)
    l1, l2 = nn.l1_shrinkage(H, w, 0.1), nn.l2_shrinkage(H, w, 0.1)
    assert (l1 == 0).sum() == 2 and (l2 != 0).all()
    assert abs(l2[0] / w[0] - 4 / 4.1) < 1e-12 and abs(l2[3] / w[3] - 0.02 / 0.12) < 1e-12


def test_early_stopping_is_like_l2():
    """From 0, t steps of length e leave Q (I - (I - e Lambda)^t) Q^T w*; with t e = 1/alpha about the L2 minimum."""
    x, w, loss = problem([0.4, 0.1, 0.02, 0.004], rotated=True)
    values, Q = np.linalg.eigh(minidl.hessian(loss, w).numpy())
    lr, steps = 0.02, 250
    found = trained(x, w, [], lr=lr, epochs=steps)
    np.testing.assert_allclose(found, Q @ ((1 - (1 - lr * values) ** steps) * (Q.T @ w)), rtol=1e-8)
    alpha = 1 / (lr * steps)
    penalised = nn.l2_shrinkage(minidl.hessian(loss, w), w, alpha)
    assert np.linalg.norm(found - penalised) < 0.2 * np.linalg.norm(w)
    slow = values < 0.15 * alpha  # where the book's approximation, lambda << alpha, holds
    kept = Q.T @ found / (Q.T @ w)
    np.testing.assert_allclose(kept[slow], (values / (values + alpha))[slow], rtol=0.1)
    others = [nn.l2_shrinkage(minidl.hessian(loss, w), w, alpha * f) for f in (0.1, 10)]
    assert all(np.linalg.norm(found - penalised) < np.linalg.norm(found - other) for other in others)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_soft_threshold_minimises_what_it_should(dtype):
    w = np.concatenate([np.random.default_rng(0).normal(size=50), [0.0, 0.5, -0.5, np.nan]]).astype(dtype)
    out = nn.soft_threshold(w, 0.5)
    assert out.dtype == dtype and np.isnan(out[-1]) and (out[50:53] == 0).all() and not np.signbit(out[50:53]).any()
    grid = np.linspace(-4, 4, 16001)
    best = grid[np.argmin(0.5 * (grid - w[:50, None]) ** 2 + 0.5 * abs(grid), axis=1)]
    np.testing.assert_allclose(out[:50], best, atol=5e-4)
    np.testing.assert_array_equal(nn.soft_threshold(np.ones(3), np.array([0.25, 1.0, 2.0])), [0.75, 0.0, 0.0])
    assert nn.l2_shrinkage(np.eye(2, dtype=dtype), np.ones(2, dtype), 0.5).dtype == dtype
    assert nn.soft_threshold(minidl.Tensor(w[:3]), 0.5).dtype == dtype


BAD = {
    "threshold": (lambda: nn.soft_threshold(np.ones(2), -0.5), "threshold must be >= 0, not -0.5"),
    "no square": (lambda: nn.l2_shrinkage(np.ones((2, 3)), np.ones(3), 1.0), r"takes a Hessian \(n, n\) and weights"),
    "alpha": (lambda: nn.l1_shrinkage(np.eye(2), np.ones(2), 0.0), "alpha must be > 0, not 0.0"),
    "asymmetric": (lambda: nn.l2_shrinkage(np.triu(np.ones((2, 2))), np.ones(2), 1.0), "not symmetric"),
    "a saddle": (lambda: nn.l2_shrinkage(np.diag([1.0, -1.0]), np.ones(2), 1.0), "from -1 to 1.*no minimum"),
    "not diagonal": (lambda: nn.l1_shrinkage(np.eye(2) + 0.1, np.ones(2), 1.0), "holds for a diagonal, positive"),
    "flat": (lambda: nn.l1_shrinkage(np.diag([1.0, 0.0]), np.ones(2), 1.0), "holds for a diagonal, positive"),
}


@pytest.mark.parametrize("call, message", BAD.values(), ids=BAD)
def test_errors_teach(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_integers_are_not_cut_off():
    assert nn.soft_threshold(np.array([3, -3, 0]), 0.5).tolist() == [2.5, -2.5, 0.0]
    assert nn.l1_shrinkage(np.diag([2, 1]), np.array([3, -1]), 0.5).tolist() == [2.75, -0.5]
