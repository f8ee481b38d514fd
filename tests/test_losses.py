"""Losses against PyTorch with all their options, at extreme logits, and their errors; penalties against formulas."""

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import Tensor, nn

N, C = 6, 4


def data(seed, shape=(N, C), dtype=np.float64):
    """Scores, class numbers, probabilities and class weights."""
    rng = np.random.default_rng(seed)
    x = (2 * rng.standard_normal(shape)).astype(dtype)
    y = rng.integers(0, shape[1], shape[:1] + shape[2:])
    q = rng.dirichlet(np.ones(shape[1]), y.shape).astype(dtype)
    return x, y, np.ascontiguousarray(np.moveaxis(q, -1, 1)), rng.uniform(0.5, 2, shape[1]).astype(dtype), rng


@pytest.fixture(scope="module")
def same():
    """same(ours, theirs, *arrays): value, gradient to every float array, and a second derivative equal PyTorch's."""
    torch = pytest.importorskip("torch")

    def compare(ours, theirs, *arrays, second=True, tolerance=1e-11):
        leaves = [Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        twins = [torch.from_numpy(a.copy()).requires_grad_(a.dtype.kind == "f") for a in arrays]
        y, yt = ours(*leaves), theirs(*twins)
        rng = np.random.default_rng(9)
        u = rng.standard_normal(y.shape)
        inputs, inputs_t = ([v for v in values if v.requires_grad] for values in (leaves, twins))
        g = minidl.grad(y, inputs, Tensor(u, y.dtype), create_graph=second)
        gt = torch.autograd.grad(yt, inputs_t, torch.from_numpy(u).to(yt.dtype), create_graph=second)
        pairs = list(zip((y, *g), (yt, *gt), strict=True))
        if second and any(b.requires_grad for b in gt):
            v = [rng.standard_normal(a.shape) for a in g]
            d = sum((a * Tensor(w)).sum() for a, w in zip(g, v, strict=True))
            dt = sum((b * torch.from_numpy(np.array(w))).sum() for b, w in zip(gt, v, strict=True))
            h = minidl.grad(d, inputs, allow_unused=True) if d.requires_grad else [None] * len(inputs)
            ht = torch.autograd.grad(dt, inputs_t, allow_unused=True)
            zero = [(Tensor(np.zeros(x.shape)), torch.zeros(x.shape, dtype=torch.float64)) for x in inputs]
            for a, b, (z, zt) in zip(h, ht, zero, strict=True):
                pairs.append((z if a is None else a, zt if b is None else b))
        for a, b in pairs:
            a, b = a.numpy(), b.numpy(force=True)
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)

    compare.torch = torch
    return compare


reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


@reductions
@pytest.mark.parametrize("shape", [(N, C), (2, 3, 4), (2, 3, 2, 2), (1, 1)])
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(same, reduction, shape, smoothing, weighted):
    torch = same.torch
    x, y, q, weight, _ = data(0, shape)
    if shape == (N, C):
        weight[1] = 0  # a class that does not count is not the same as an ignored sample
    w, wt = (weight, torch.from_numpy(weight)) if weighted else (None, None)
    y.flat[0] = ignored = shape[1] - 1 if y.size > 1 else -100
    for target, ignore in ((y, -100), (y, ignored), (np.where(y == y.flat[-1], -100, y), -100)):
        if shape == (1, 1) and (target < 0).all():
            continue  # all ignored: PyTorch's mean is NaN, see below
        same(
            lambda a, b, ignore=ignore: F.cross_entropy(a, b, w, ignore, reduction, smoothing),
            lambda a, b, ignore=ignore: torch.nn.functional.cross_entropy(
                a, b, wt, ignore_index=ignore, reduction=reduction, label_smoothing=smoothing
            ),
            x, target,
        )  # fmt: skip
    same(
        lambda a, b: F.cross_entropy(a, b, w, reduction=reduction, label_smoothing=smoothing),
        lambda a, b: torch.nn.functional.cross_entropy(a, b, wt, reduction=reduction, label_smoothing=smoothing),
        x, q,
    )  # fmt: skip


@reductions
@pytest.mark.parametrize("weighted", [False, True])
def test_other_losses_for_classes(same, reduction, weighted):
    torch, tf = same.torch, same.torch.nn.functional
    for shape in ((N, C), (2, 3, 4)):
        x, y, _, weight, _ = data(1, shape)
        y.flat[0] = -100
        w, wt = (weight, torch.from_numpy(weight)) if weighted else (None, None)
        same(
            lambda a, b, w=w: F.nll_loss(a, b, w, reduction=reduction),
            lambda a, b, wt=wt: tf.nll_loss(a, b, wt, reduction=reduction),
            x, y,
        )  # fmt: skip
    x, y, _, weight, _ = data(2)
    w, wt = (weight, torch.from_numpy(weight)) if weighted else (None, None)
    for p, margin in ((1, 1.0), (2, 0.5)):
        same(
            lambda a, b, p=p, m=margin: F.multi_margin_loss(a, b, p, m, w, reduction),
            lambda a, b, p=p, m=margin: tf.multi_margin_loss(a, b, p, m, wt, reduction=reduction),
            x, y, second=False,
        )  # fmt: skip


@reductions
@pytest.mark.parametrize("weighted", [False, True])
def test_binary_losses(same, reduction, weighted):
    torch, tf = same.torch, same.torch.nn.functional
    x, _, q, weight, rng = data(3)
    w, wt = (weight, torch.from_numpy(weight)) if weighted else (None, None)
    p = rng.uniform(0.01, 0.99, x.shape)
    same(
        lambda a, b: F.binary_cross_entropy_with_logits(a, b, w, reduction, w),
        lambda a, b: tf.binary_cross_entropy_with_logits(a, b, wt, reduction=reduction, pos_weight=wt),
        x, q,
    )  # fmt: skip
    same(
        lambda a: F.binary_cross_entropy(a, q, w, reduction),
        lambda a: tf.binary_cross_entropy(a, torch.from_numpy(q), wt, reduction=reduction),
        p, tolerance=1e-9,  # PyTorch's second derivative holds p (1 - p) above 1e-12 in another place
    )  # fmt: skip


@reductions
@pytest.mark.parametrize("name, options", [
    ("mse_loss", {}), ("l1_loss", {}), ("huber_loss", {}), ("huber_loss", {"delta": 0.3}), ("smooth_l1_loss", {}),
    ("smooth_l1_loss", {"beta": 0.3}), ("smooth_l1_loss", {"beta": 0.0}),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(5,), (3, 2), ()])
def test_losses_for_numbers(same, reduction, name, options, shape):
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((2, *shape))
    ours, theirs = getattr(F, name), getattr(same.torch.nn.functional, name)
    arrays = [np.array(x), np.array(y)]
    options = {**options, "reduction": reduction}
    same(lambda a, b: ours(a, b, **options), lambda a, b: theirs(a, b, **options), *arrays)


MODULES = [
    (nn.CrossEntropyLoss(label_smoothing=0.1), "labels"), (nn.NLLLoss(), "labels"), (nn.MultiMarginLoss(), "labels"),
    (nn.BCEWithLogitsLoss(), "numbers"), (nn.BCELoss(), "chances"), (nn.MSELoss(), "numbers"), (nn.L1Loss(), "numbers"),
    (nn.HuberLoss(), "numbers"), (nn.SmoothL1Loss(), "numbers"),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss, kind", MODULES, ids=lambda v: v if isinstance(v, str) else type(v).__name__)
def test_dtype_is_kept_and_the_gradient_is_that_of_differences(loss, kind, dtype):
    x, y, q, *_ = data(5, dtype=dtype)
    x = q if kind == "chances" else x
    target = y if kind == "labels" else data(6, dtype=dtype)[2]
    leaf = Tensor(x, requires_grad=True)
    value = loss(leaf, target)
    value.backward()
    assert value.dtype == leaf.grad.dtype == dtype and value.shape == ()
    assert loss(x, target).dtype == dtype
    if dtype == np.float64:
        step = 1e-6 * np.random.default_rng(0).standard_normal(x.shape)
        slope = (loss(x + step, target).item() - loss(x - step, target).item()) / 2
        np.testing.assert_allclose(slope, (leaf.grad.numpy() * step).sum(), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e4, 1e-30])
def test_extreme_logits(dtype, scale):
    """Values and gradients stay finite and right; the suite turns overflow warnings into errors."""
    x = Tensor(np.array([[scale, -scale, 0], [-scale, scale, 0]], dtype), requires_grad=True)
    y = np.array([1, 1])
    loss = F.cross_entropy(x, y, reduction="none")
    np.testing.assert_allclose(loss.numpy(), [2e4, 0] if scale == 1e4 else [np.log(3)] * 2, rtol=1e-6)
    loss.sum().backward()
    soft = [[1, 0, 0], [0, 1, 0]] if scale == 1e4 else np.full((2, 3), 1 / 3)
    np.testing.assert_allclose(x.grad.numpy(), soft - np.eye(3)[y], atol=1e-6)
    for function in (F.binary_cross_entropy_with_logits, F.mse_loss, F.huber_loss, F.l1_loss):
        x.zero_grad()
        target = np.eye(3, dtype=dtype)[y]
        function(x, target).backward()
        assert np.isfinite(x.grad.numpy()).all()
    np.testing.assert_allclose(
        F.binary_cross_entropy_with_logits(x, target, reduction="none").numpy()[0],
        [1e4, 1e4, np.log(2)] if scale == 1e4 else [np.log(2)] * 3, rtol=1e-6,
    )  # fmt: skip


def test_binary_loss_far_out_keeps_its_accuracy():
    """softplus(-x) by itself, not as a difference of large numbers."""
    x = np.array([20.0, 50.0, 80.0], np.float32)
    np.testing.assert_allclose(
        F.binary_cross_entropy_with_logits(x, np.ones_like(x), reduction="none"), np.exp(-x.astype(float)), rtol=1e-5
    )


def test_classes_excluded_by_minus_infinity():
    """0 log 0 = 0: a logit of -inf is no harm to samples of other classes."""
    x = Tensor([[0.0, -np.inf, 0.0]], requires_grad=True)
    for target in ([0], np.array([[1, 0, 0]], np.float32)):
        x.zero_grad()
        loss = F.cross_entropy(x, target)
        loss.backward()
        assert loss.item() == pytest.approx(np.log(2))
        np.testing.assert_allclose(x.grad.numpy(), [[-0.5, 0, 0.5]], atol=1e-7)


def test_nothing_to_learn_from():
    x = Tensor(np.ones((3, 4)), requires_grad=True)
    for function in (F.cross_entropy, F.nll_loss):
        for labels, weight in ((np.full(3, -100), None), (np.full(3, 1), [1, 0, 1, 1])):
            loss = function(x, labels, weight)
            loss.backward()
            assert loss.item() == 0 and not x.grad.numpy().any()
        empty = np.zeros((0, 4)), np.zeros(0, int)
        assert function(*empty, reduction="none").shape == (0,) and function(*empty, reduction="sum") == 0
        with pytest.raises(ValueError, match="empty"):
            function(*empty)
    for function in (F.mse_loss, F.l1_loss, F.huber_loss, F.binary_cross_entropy_with_logits):
        empty = np.zeros((0, 4))
        assert function(empty, empty, reduction="sum") == 0
        with pytest.raises(ValueError, match="empty"):
            function(empty, empty)


def test_smoothing_is_the_mixture_of_targets():
    x, y, *_ = data(7)
    mixture = 0.9 * np.eye(C)[y] + 0.1 / C
    np.testing.assert_allclose(F.cross_entropy(x, y, label_smoothing=0.1), F.cross_entropy(x, mixture), rtol=1e-12)


def test_the_notes_hinge_is_the_sum_over_classes():
    """cs231n's example: scores 3.2, 5.1, -1.7, the first is right: max(0, 5.1 - 3.2 + 1) + max(0, -1.7 - 3.2 + 1)."""
    assert 3 * F.multi_margin_loss(np.array([[3.2, 5.1, -1.7]]), [0]) == pytest.approx(2.9)


def test_targets_of_the_caller_stay_writable():
    x, _, q, *_ = data(8)
    F.cross_entropy(Tensor(x, requires_grad=True), q, reduction="sum").backward()
    q += 1
    F.cross_entropy(x, q, reduction="sum")
    q += 1


X = np.zeros((3, 4))
BAD = [
    (lambda: F.cross_entropy(X, np.array([0, 1, 4])), ValueError, r"class number 4 \(sample 2\).*0 to 3"),
    (lambda: F.cross_entropy(X, np.array([0, -1, 3])), ValueError, r"class number -1 \(sample 1\)"),
    (lambda: F.cross_entropy(X, np.array([0.0, 1.0, 2.0])), TypeError, "must be integers.*float64"),
    (lambda: F.cross_entropy(X, np.array([True, False, True])), TypeError, "integers.*bool"),
    (lambda: F.cross_entropy(X, np.array([[0], [1], [2]])), ValueError, "squeeze"),
    (lambda: F.cross_entropy(X, np.eye(4, dtype=int)[:3]), ValueError, "one-hot"),
    (lambda: F.cross_entropy(X, np.array([0, 1])), ValueError, r"\(3,\), not \(2,\)"),
    (lambda: F.cross_entropy(X, X.astype(np.float32)), TypeError, "float64.*float32"),
    (lambda: F.cross_entropy(X, X, ignore_index=1), ValueError, "class numbers"),
    (lambda: F.cross_entropy(X[0], np.array(1)), ValueError, r"\(N, C\)"),
    (lambda: F.cross_entropy(X.astype(int), np.array([0, 1, 2])), ValueError, "float"),
    (lambda: F.cross_entropy(X, np.array([0, 1, 2]), np.ones(3)), ValueError, "4 classes"),
    (lambda: F.cross_entropy(X, np.array([0, 1, 2]), Tensor(np.ones(4), requires_grad=True)), TypeError, "constant"),
    (lambda: F.cross_entropy(X, np.array([0, 1, 2]), label_smoothing=1.5), ValueError, "label_smoothing"),
    (lambda: F.cross_entropy(X, np.array([0, 1, 2]), reduction="avg"), ValueError, "'mean', 'sum' or 'none'"),
    (lambda: nn.CrossEntropyLoss(reduction="avg"), ValueError, "'mean', 'sum' or 'none'"),
    (lambda: F.nll_loss(X, np.array([0, 1, 4])), ValueError, "class number 4"),
    (lambda: F.multi_margin_loss(X, np.array([0, 1, 2]), p=3), ValueError, "p must be 1 or 2"),
    (lambda: F.multi_margin_loss(X[..., None], np.array([0, 1, 2])), ValueError, r"\(N, C\)"),
    (lambda: F.multi_margin_loss(X, np.array([0, 1, -100])), ValueError, "out of range"),
    (lambda: F.mse_loss(np.zeros((3, 1)), np.zeros(3)), ValueError, r"never broadcast.*reshape\(\(3,\)\)"),
    (lambda: F.mse_loss(X, np.zeros(4)), ValueError, "never broadcast"),
    (lambda: F.mse_loss(X, 0.0), ValueError, "never broadcast"),
    (lambda: F.l1_loss(np.zeros(3), np.zeros((3, 1))), ValueError, "never broadcast"),
    (lambda: F.huber_loss(X, X.astype(np.float32)), TypeError, "float64.*float32"),
    (lambda: F.huber_loss(X, X, delta=0), ValueError, "delta"),
    (lambda: F.smooth_l1_loss(X, X, beta=-1), ValueError, "beta"),
    (lambda: F.mse_loss(X, X.astype(int)), TypeError, "one dtype"),
    (lambda: F.mse_loss(X.astype(int), X), TypeError, "floating"),
    (lambda: F.binary_cross_entropy_with_logits(np.zeros((3, 1)), np.zeros(3)), ValueError, "never broadcast"),
    (lambda: F.binary_cross_entropy_with_logits(X, X, pos_weight=np.ones(3)), ValueError, "broadcast"),
    (lambda: F.binary_cross_entropy_with_logits(X, X, np.ones((2, 3, 4))), ValueError, "broadcast"),
    (lambda: F.binary_cross_entropy(X + 2, X), ValueError, "probabilities.*with_logits"),
    (lambda: F.binary_cross_entropy(X * np.nan, X), ValueError, "probabilities"),
]


@pytest.mark.parametrize("call, error, message", BAD)
def test_errors_say_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- Penalties ------------------------------------------------------------------------------------


def test_penalties_and_their_gradients():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((3, 2)), rng.standard_normal(4)]
    w = np.concatenate([a.ravel() for a in arrays])
    l1, l2, lam, beta, n = 0.3, 0.7, 0.2, 1.5, 10
    expected = l1 / n * abs(w).sum() + l2 / (2 * n) * (w * w).sum() + lam / n * (beta * w * w + abs(w)).sum()
    params = [nn.Parameter(a) for a in arrays]
    loss = nn.regularized(params[0].sum() * 0, params, l1=l1, l2=l2, elastic=(lam, beta), n=n)
    loss.backward()
    assert loss.item() == pytest.approx(expected)
    assert nn.penalty(params, l1, l2, (lam, beta), n).item() == pytest.approx(expected)
    for p, a in zip(params, arrays, strict=True):
        slope = (l1 * np.sign(a) + l2 * a + lam * (2 * beta * a + np.sign(a))) / n
        np.testing.assert_allclose(p.grad.numpy(), slope)
    assert nn.penalty(params[0]).item() == 0
    assert nn.l2_penalty(nn.Parameter([3.0, 4.0]), 1.0).item() == 12.5


def test_what_is_penalised_is_the_callers_choice():
    shared = nn.Linear(3, 3)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Swish(learnable=True), nn.Flatten(), shared, shared
    )
    assert [w.shape for w in nn.weights(model)] == [(2, 1, 3, 3), (3, 3)]
    with pytest.raises(TypeError, match="nn.weights"):
        nn.penalty(model, l2=1.0)
    once = nn.weights(model)
    nn.penalty(once, l1=1.0, l2=1.0)
    with pytest.raises(ValueError, match="only\n? ?once"):
        nn.penalty(once, l2=1.0)
    with pytest.raises(ValueError, match="pair"):
        nn.penalty(nn.weights(model), elastic=0.1)
    with pytest.raises(TypeError, match="Tensors"):
        nn.penalty(["weight"], l2=0.1)
