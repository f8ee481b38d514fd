"""Kullback-Leibler, Jensen-Shannon and epsilon-insensitive losses: oracles, invariants, extreme logits, errors."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr, softmax

import minidl
import minidl.nn.functional as F
from minidl import Tensor, nn


def gradients(f, *arrays):
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    f(*leaves).backward()
    return [leaf.grad.numpy() for leaf in leaves]


@pytest.fixture
def p(rng):
    """Three batches of distributions (6, 4), and their logits, up to a number for each row."""
    p = rng.dirichlet(np.ones(4), (3, 6))
    return p, np.log(p) + rng.standard_normal((3, 6, 1))


@pytest.mark.filterwarnings("ignore:reduction")  # PyTorch's, that "mean" is not the mathematical one
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div_as_pytorch(torch, rng, reduction, log_target):
    x, t = rng.standard_normal((2, 5, 4))
    t = t if log_target else np.exp(t)
    if not log_target:
        t[2, 1] = 0
    ours, theirs = ([make(a, requires_grad=True) for a in (x, t)] for make in (Tensor, torch.tensor))
    out = F.kl_div(*ours, reduction, log_target)
    expected = torch.nn.functional.kl_div(*theirs, reduction=reduction, log_target=log_target)
    np.testing.assert_allclose(out.detach(), expected.detach(), rtol=1e-12)
    np.testing.assert_array_equal(out.detach(), nn.KLDivLoss(reduction, log_target)(*ours).detach())
    u = rng.standard_normal(out.shape)
    out.backward(u)
    expected.backward(torch.from_numpy(np.asarray(u)))
    np.testing.assert_allclose(ours[0].grad, theirs[0].grad, rtol=1e-12)
    some = t != 0  # there PyTorch's gradient to the target is NaN; ours is 0
    np.testing.assert_allclose(ours[1].grad.numpy()[some], theirs[1].grad.numpy()[some], rtol=1e-12)
    assert (ours[1].grad.numpy()[~some] == 0).all()


def test_kl_div_is_the_relative_entropy(p):
    (a, b, _), _ = p
    a[0, :2], a[0, 2:] = 0, 0.5  # classes of probability 0
    expected = rel_entr(a, b).sum() / 6
    np.testing.assert_allclose(F.kl_div(np.log(b), a, "batchmean"), expected)
    with np.errstate(divide="ignore"):
        log_a = np.log(a)
    np.testing.assert_allclose(F.kl_div(np.log(b), log_a, "batchmean", log_target=True), expected)
    np.testing.assert_allclose(F.kl_div(np.log(b), a), expected / 4)  # PyTorch's "mean"
    np.testing.assert_allclose(F.kl_div(np.log(b), b, "sum"), 0, atol=1e-15)


def test_what_both_call_impossible_costs_nothing():
    """0 log(0 / 0) = 0, with gradients 0; what only the input calls impossible costs infinitely much."""
    x, t = np.array([[0.0, -np.inf]]), np.array([[1.0, 0.0]])
    for target, log_target in ((t, False), (x, True)):
        assert F.kl_div(x, target, "sum", log_target) == 0
        for g in gradients(lambda x, t, log_target=log_target: F.kl_div(x, t, "sum", log_target), x, target):
            assert np.isfinite(g).all() and g[0, 1] == 0
    assert F.kl_div(x, np.array([[0.5, 0.5]]), "sum") == np.inf
    assert np.isnan(F.kl_div(np.zeros((1, 2)), np.array([[np.nan, 1.0]]), "sum"))


def test_symmetric_kl(p):
    """Half of both directions; symmetric, zero for equal distributions, blind to what a softmax is blind to."""
    (a, b, _), (x, y, _) = p
    expected = (rel_entr(a, b) + rel_entr(b, a)).sum(1) / 2
    np.testing.assert_allclose(F.symmetric_kl(x, y, "none"), expected)
    np.testing.assert_allclose(F.symmetric_kl(x, y), expected.mean())
    np.testing.assert_allclose(F.symmetric_kl(y, x), expected.mean())
    np.testing.assert_allclose(F.symmetric_kl(x, x + 3), 0, atol=1e-15)
    one_way, other_way = (F.kl_div(F.log_softmax(u), softmax(v, 1), "batchmean") for u, v in ((x, y), (y, x)))
    np.testing.assert_allclose(F.symmetric_kl(x, y), (one_way + other_way) / 2)
    of_x, of_y = gradients(F.symmetric_kl, x, y)
    np.testing.assert_allclose(of_x.sum(1), 0, atol=1e-15)
    assert np.abs(of_x).max() > 1e-3 and np.abs(of_y).max() > 1e-3


def test_js_divergence(p):
    """Of two: the square of SciPy's distance. Of several: AugMix's formula, in any order; between 0 and log K."""
    (a, b, c), (x, y, z) = p
    np.testing.assert_allclose(F.js_divergence(x, y, reduction="none"), jensenshannon(a, b, axis=1) ** 2)
    m = (a + b + c) / 3
    expected = (rel_entr(a, m) + rel_entr(b, m) + rel_entr(c, m)).sum() / 3 / 6
    np.testing.assert_allclose(F.js_divergence(x, y, z), expected)
    np.testing.assert_allclose(F.js_divergence(z, x, y + 5), expected)
    np.testing.assert_allclose(F.js_divergence(x, x, x), 0, atol=1e-15)
    apart = 1e4 * np.eye(4)[:, None]  # four certain and different answers
    np.testing.assert_allclose(F.js_divergence(*apart), np.log(4))


@pytest.mark.parametrize("f", [F.symmetric_kl, F.js_divergence, lambda *x: F.js_divergence(*x, x[0])])
def test_positions_are_samples(f, rng):
    """(N, C, H, W) is N H W distributions over C."""
    x = rng.standard_normal((2, 2, 5, 3, 4))
    flat = np.moveaxis(x, 2, -1).reshape(2, 24, 5)
    np.testing.assert_allclose(f(*x), f(*flat))
    if f is not F.symmetric_kl:
        return
    np.testing.assert_allclose(f(*x, "none"), f(*flat, "none").reshape(2, 3, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [F.symmetric_kl, F.js_divergence])
def test_extreme_logits(f, dtype):
    """+-1e4: finite and right, in both orders of derivatives, and the dtype stays."""
    x = np.array([[1e4, -1e4, 0], [0, 0, 0], [-1e4, 0, 1e4], [5, 5, 5]], dtype)
    y = np.array([[-1e4, 1e4, 0], [1e4, 0, 0], [-1e4, 0, 1e4], [-5, -5, -5]], dtype)
    a, b = Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)
    losses = f(a, b, reduction="none")
    js = [np.log(2), np.log(2) / 6 + np.log(3 / 2) / 2, 0, 0]
    expected = js if f is F.js_divergence else [2e4, 1e4 / 3, 0, 0]
    np.testing.assert_allclose(losses.detach(), expected, rtol=1e-5, atol=1e-6)
    first = minidl.grad(losses.sum(), (a, b), create_graph=True)
    second = minidl.grad(sum((g * g).sum() for g in first), (a, b))
    for t in (losses, *first, *second):
        assert np.isfinite(t.detach().numpy()).all() and t.dtype == dtype


def test_epsilon_insensitive(rng):
    """Against scikit-learn's objective: free inside the tube, linear or square outside, the sign as the slope."""
    x, y = rng.standard_normal((2, 40))
    excess = np.maximum(0, np.abs(x - y) - 0.3)
    np.testing.assert_allclose(F.epsilon_insensitive_loss(x, y, "none", 0.3), excess)
    np.testing.assert_allclose(nn.EpsilonInsensitiveLoss("sum", 0.3, p=2)(x, y), (excess**2).sum())
    np.testing.assert_allclose(F.epsilon_insensitive_loss(x, y, epsilon=0), F.l1_loss(x, y))
    of_x, of_y = gradients(lambda x, y: F.epsilon_insensitive_loss(x, y, "sum", 0.3), x, y)
    np.testing.assert_array_equal(of_x, np.sign(x - y) * (excess > 0))
    np.testing.assert_array_equal(of_y, -of_x)
    assert nn.EpsilonInsensitiveLoss()(np.float32([1, 1]), np.float32([1.05, 1.3])).item() == pytest.approx(0.1)
    at_hinge = gradients(lambda x: F.epsilon_insensitive_loss(x, np.array([0.0, 1.0]), "sum", 0.5), np.full(2, 0.5))
    assert (at_hinge[0] == 0).all()


def test_support_vector_regression():
    """Together with |w|^2 / 2 it is least where scikit-learn's linear SVR ends."""
    svm = pytest.importorskip("sklearn.svm")
    rng = np.random.default_rng(3)
    x = rng.standard_normal((30, 2))
    y = x @ [1.0, -2.0] + 0.5 + 0.3 * rng.standard_normal(30)
    expected = svm.SVR(kernel="linear", C=1.0, epsilon=0.2).fit(x, y)
    objective = lambda w, b: F.epsilon_insensitive_loss(x @ w + b, y, "sum", 0.2) + (w * w).sum() / 2  # noqa: E731
    best = objective(*(w := (expected.coef_[0], expected.intercept_)))
    for size in (0.01, 0.1) * 100:  # no neighbour is better
        assert objective(*(a + size * rng.standard_normal(a.shape) for a in w)) > best - 1e-3 * size


def test_empty_and_single():
    for f in (F.symmetric_kl, F.js_divergence, F.kl_div, F.epsilon_insensitive_loss):
        empty, one = np.zeros((0, 3)), np.full((1, 3), 0.5, np.float32)
        assert f(empty, empty, reduction="sum") == 0 and f(empty, empty, reduction="none").size == 0
        with pytest.raises(ValueError, match="empty"):
            f(empty, empty)
        assert np.isfinite(f(one, one)) and f(one, one).dtype == np.float32
    with pytest.raises(ValueError, match="empty"):
        F.kl_div(empty, empty, "batchmean")


X = np.zeros((3, 4))
BAD = [
    (lambda: F.kl_div(X, X[:1]), ValueError, "never broadcast"),
    (lambda: F.kl_div(X, X.astype(np.float32)), TypeError, "one dtype"),
    (lambda: F.kl_div(X, X - 1), ValueError, "-1, no probability.*log_target"),
    (lambda: F.kl_div(X, X, "batch"), ValueError, "'mean', 'sum' or 'none'"),
    (lambda: F.kl_div(np.array(0.0), np.array(0.0), "batchmean"), ValueError, "first axis"),
    (lambda: nn.KLDivLoss("avg"), ValueError, "'mean', 'sum' or 'none'"),
    (lambda: F.symmetric_kl(X, X[:, :1]), ValueError, "never broadcast"),
    (lambda: F.symmetric_kl(X[0], X[0]), ValueError, r"\(N, C\)"),
    (lambda: F.symmetric_kl(X, X, "batchmean"), ValueError, "'mean', 'sum' or 'none'"),
    (lambda: F.js_divergence(X), ValueError, "two or more"),
    (lambda: F.js_divergence(X, X, X[:1]), ValueError, "never broadcast"),
    (lambda: F.js_divergence(X, X.astype(np.float32)), TypeError, "one dtype"),
    (lambda: F.js_divergence(X.astype(int), X.astype(int)), TypeError, "floating"),
    (lambda: F.epsilon_insensitive_loss(X, X[:, 0]), ValueError, "never broadcast"),
    (lambda: F.epsilon_insensitive_loss(X, X, epsilon=-0.1), ValueError, "epsilon must be >= 0"),
    (lambda: F.epsilon_insensitive_loss(X, X, p=3), ValueError, "p 1 or 2"),
]


@pytest.mark.parametrize("bad", range(len(BAD)))
def test_errors(bad):
    call, error, message = BAD[bad]
    with pytest.raises(error, match=message):
        call()


def test_masked_classes_contribute_nothing():
    masked, other = np.array([[-np.inf, 0.0, 1.0]]), np.array([[-np.inf, 0.0, 2.0]])
    for function in (F.symmetric_kl, F.js_divergence):
        a, b = minidl.Tensor(masked, requires_grad=True), minidl.Tensor(other, requires_grad=True)
        plain = function(masked[:, 1:], other[:, 1:])
        function(a, b).backward()
        assert float(function(masked, other)) == pytest.approx(float(plain)) and plain > 0
        assert np.isfinite(a.grad.numpy()).all() and a.grad.numpy()[0, 0] == 0
    apart = np.array([[-np.inf, 0.0]]), np.array([[0.0, -np.inf]])
    assert float(F.js_divergence(*apart)) == pytest.approx(np.log(2)) and float(F.symmetric_kl(*apart)) == np.inf
    assert float(F.js_divergence([[0.0, 1.0]], [[0.0, 1.0]])) == 0
