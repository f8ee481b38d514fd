"""Operations with many cases, against NumPy, SciPy and PyTorch."""


import numpy as np
import pytest

import minidl
from minidl import Tensor


def leaf(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


def seed_of(out):
    return np.cos(np.arange(out.size) + 1.0).reshape(out.shape)


def same_as_torch(torch, ours, theirs, *arrays, rtol=1e-10):
    """Value, gradients, and gradients of the squared gradients."""
    a = [Tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    out, expected = ours(*a), theirs(*b)
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=rtol, atol=1e-12)
    seed = seed_of(out)
    ga = minidl.grad(out, a, Tensor(seed, requires_grad=True), create_graph=True)
    gb = torch.autograd.grad(expected, b, torch.tensor(seed, requires_grad=True), create_graph=True)
    ha = minidl.grad(sum((g * g).sum() for g in ga), a, allow_unused=True)
    hb = torch.autograd.grad(sum((g * g).sum() for g in gb), b, allow_unused=True)
    for x, y in zip((*ga, *ha), (*gb, *hb), strict=True):
        x = np.zeros(1) if x is None else x.detach().numpy()
        y = np.zeros(1) if y is None else y.detach().numpy(force=True)
        np.testing.assert_allclose(*np.broadcast_arrays(x, y), rtol=rtol, atol=1e-11)


# --- indexing --------------------------------------------------------------------------------------------------------

INDICES = [
    0, -1, np.int64(1), np.uint8(1), slice(1, 3), slice(None, None, -1), slice(5, 1, -2), slice(2, 2), None, ..., (),
    (0, 1, 2), (..., 0), (0, ...),
    (None, 0, None, ..., None), (slice(None), 1), (slice(0, 4, 3), slice(None), slice(None, None, -2)), [0], [1, 1, 1],
    [-1, 0, 3, -4],
    np.array([[0, 1], [3, 3]]), np.array(2), np.array([], int), [], ([0, 1, 0], [2, 2, 2]), ([0, 1], 0, [1, 1]),
    (0, slice(None), [0, 0, 3]),
    ([[0], [3]], [[0, 1, 1]]), (slice(None), [0, 2, 2], slice(1, 3)), (slice(None), [0, 0], [1, 1]),
    ([0, 0], slice(None), [1, 1]), (..., [1, 1, 0]),
    (None, [1, 1], slice(None)), ([1, 0], None, [2, 2]), np.array([True, False, True, True]), np.array([False] * 4),
    (slice(None), np.array([True, False, True])),
    (np.array([True, False, True, False]), 0), (np.array([True, False, True, False]), [1, 1]), True, False,
    (..., np.array([True, False, True, False])),
    np.array([1, 2], np.uint8), np.array([0, 3], np.int32), (np.array([0, 1]), np.array([True, True, False])), range(2),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing(index):
    """As NumPy; and the gradient adds up over places that are read several times."""
    x = leaf(4, 3, 4)
    index = list(index) if isinstance(index, range) else index
    out = x[index]
    np.testing.assert_array_equal(out.numpy(), x.numpy()[index])
    seed = seed_of(out)
    expected = np.zeros(x.shape)
    np.add.at(expected, index, seed)
    (g,) = minidl.grad(out, x, Tensor(seed, requires_grad=True), create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), expected)
    if out.size:
        (h,) = minidl.grad((g * g).sum(), [x], allow_unused=True)
        assert h is None


def test_a_mask_of_the_full_shape():
    x = leaf(3, 4)
    mask = x > 0
    x[mask].sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), mask.astype(float))


def test_indexing_by_tensors():
    x, i, mask = leaf(4, 3), Tensor([1, 1, 0]), Tensor([True, False, True, False])
    np.testing.assert_array_equal(x[i].numpy(), x.numpy()[[1, 1, 0]])
    np.testing.assert_array_equal(x[i, Tensor(2)].numpy(), x.numpy()[[1, 1, 0], 2])
    np.testing.assert_array_equal(x[mask].numpy(), x.numpy()[[0, 2]])
    np.testing.assert_array_equal(x[: Tensor(2)].numpy(), x.numpy()[:2])


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_take_along_axis(axis):
    x = leaf(3, 4, 2)
    index = np.random.default_rng(1).integers(0, 2, [5 if a == axis % 3 else n for a, n in enumerate(x.shape)])
    out = minidl.take_along_axis(x, index, axis)
    np.testing.assert_array_equal(out.numpy(), np.take_along_axis(x.numpy(), index, axis))
    expected = np.zeros(x.shape)
    for place in np.ndindex(index.shape):
        source = list(place)
        source[axis] = index[place]
        expected[tuple(source)] += seed_of(out)[place]
    np.testing.assert_allclose(minidl.grad(out, x, Tensor(seed_of(out)))[0].numpy(), expected)


# --- products --------------------------------------------------------------------------------------------------------

SPECS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,kj->ik", (2, 3), (4, 3)), ("i,i->", (3,), (3,)), ("i,j->ij", (2,), (3,)),
    ("ij->j", (2, 3)), ("ij->", (2, 3)),
    ("ij->ji", (2, 3)), ("ii->i", (3, 3)), ("ii->", (3, 3)), ("iij->ij", (2, 2, 3)), ("iij->j", (2, 2, 3)),
    ("iii->i", (2, 2, 2)), ("ijij->ij", (2, 3, 2, 3)),
    ("ii,jj->ij", (2, 2), (3, 3)), ("ii,ij->j", (3, 3), (3, 2)), ("ijk,ilm,njm->nlk", (2, 3, 2), (2, 2, 3), (3, 3, 3)),
    ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)),
    ("...ij,...jk->...ik", (2, 2, 3), (2, 3, 2)), ("...i,...i->...", (2, 3), (2, 3)), ("...i,i->...", (2, 2, 3), (3,)),
    ("i...,i...->...i", (3, 2), (3, 2)),
    ("...ii->...i", (2, 3, 3)), ("a...b->b...a", (2, 2, 3)), ("...", (2, 3)), ("...->...", (2, 3)),
    ("ab,bc,cd,de->ae", (2, 2), (2, 3), (3, 2), (2, 2)),
    ("nhqd,nhkd->nhqk", (1, 2, 3, 2), (1, 2, 2, 2)), ("i,i,i->i", (3,), (3,), (3,)), ("ij,k->j", (2, 3), (2,)),
    (",->", (), ()), ("i,->i", (3,), ()), ("a,b,c->cab", (2,), (3,), (2,)),
    ("ij, jk -> ik", (2, 3), (3, 2)), ("Ab,bC->AC", (2, 3), (3, 2)), ("ij,ji->", (2, 3), (3, 2)),
    ("ijk->kij", (2, 3, 4)), ("i,ij,j->", (2,), (2, 3), (3,)),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "shapes"), [(s[0], s[1:]) for s in SPECS], ids=[s[0] for s in SPECS])
def test_einsum(torch, spec, shapes):
    arrays = [np.random.default_rng(i).standard_normal(s) for i, s in enumerate(shapes)]
    np.testing.assert_allclose(minidl.einsum(spec, *arrays), np.einsum(spec, *arrays), rtol=1e-10, atol=1e-12)
    same_as_torch(torch, lambda *x: minidl.einsum(spec, *x), lambda *x: torch.einsum(spec.replace(" ", ""), *x),
        *arrays)


def test_einsum_without_an_arrow():
    for spec, shapes in [("ij,jk", [(2, 3), (3, 2)]), ("ba", [(2, 3)]), ("ii", [(3, 3)]), ("i...", [(2, 3)]),
        ("...j,j", [(2, 3), (3,)])]:
        arrays = [np.random.default_rng(i).standard_normal(s) for i, s in enumerate(shapes)]
        np.testing.assert_allclose(minidl.einsum(spec, *arrays), np.einsum(spec, *arrays), rtol=1e-12)


MATRICES = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)), ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)), ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)), ((4, 1, 2, 3), (5, 3, 2)), ((1, 2, 3), (5, 3, 2)), ((2, 1, 1, 3), (1, 4, 3, 1)),
    ((1, 1), (1, 1)), ((2, 0), (0, 3)), ((0, 2), (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), MATRICES, ids=str)
def test_matmul(torch, a, b):
    same_as_torch(torch, minidl.matmul, torch.matmul,
        *(np.random.default_rng(i).standard_normal(s) for i, s in enumerate((a, b))))


# --- shapes ----------------------------------------------------------------------------------------------------------

SHAPED = {
    "pad": (lambda x: minidl.pad(x, ((0, 1), (2, 0), (1, 1)), 2.0), lambda t,
        x: t.nn.functional.pad(x, (1, 1, 2, 0, 0, 1), value=2.0)),
    "roll flat": (lambda x: x.roll(5), lambda t, x: t.roll(x, 5)),
    "roll axes": (lambda x: x.roll((1, -2), (0, 2)), lambda t, x: t.roll(x, (1, -2), (0, 2))),
    "roll list": (lambda x: x.roll([1, 1], [1, 1]), lambda t, x: t.roll(x, (1, 1), (1, 1))),
    "tile": (lambda x: x.tile(2, 1, 2), lambda t, x: t.tile(x, (2, 1, 2))),
    "tile short": (lambda x: x.tile(3), lambda t, x: t.tile(x, (3,))),
    "tile long": (lambda x: x.tile((2, 1, 1, 1)), lambda t, x: t.tile(x, (2, 1, 1, 1))),
    "flip": (lambda x: x.flip((0, -1)), lambda t, x: x.flip(0, -1)),
    "flatten": (lambda x: x.flatten(1), lambda t, x: x.flatten(1)),
    "flatten middle": (lambda x: x.flatten(0, 1), lambda t, x: x.flatten(0, 1)),
    "permute": (lambda x: x.permute(2, 0, 1), lambda t, x: x.permute(2, 0, 1)),
    "permute tuple": (lambda x: x.permute((-1, 0, 1)), lambda t, x: x.permute(-1, 0, 1)),
    "transpose": (lambda x: x.transpose(0, -1), lambda t, x: x.transpose(0, -1)),
    "expand": (lambda x: x[:, :1].expand(5, -1, 3, -1), lambda t, x: x[:, :1].expand(5, -1, 3, -1)),
    "unsqueeze": (lambda x: x.unsqueeze(-1), lambda t, x: x.unsqueeze(-1)),
    "concat": (lambda x: minidl.concat([x, x * 2.0, x[:1]], 0), lambda t, x: t.cat([x, x * 2.0, x[:1]], 0)),
    "concat last": (lambda x: minidl.concat([x] * 5, -1), lambda t, x: t.cat([x] * 5, -1)),
    "concat one": (lambda x: minidl.concat([x], 1), lambda t, x: t.cat([x], 1)),
    "stack": (lambda x: minidl.stack([x, x * x], -1), lambda t, x: t.stack([x, x * x], -1)),
    "split": (lambda x: minidl.split(x, 2, 2)[1], lambda t, x: t.split(x, 2, 2)[1]),
    "split last": (lambda x: minidl.split(x, [1, 0, 3], 2)[2], lambda t, x: t.split(x, [1, 0, 3], 2)[2]),
    "tril": (lambda x: minidl.tril(x, -1), lambda t, x: t.tril(x, -1)),
    "triu": (lambda x: minidl.triu(x, 1), lambda t, x: t.triu(x, 1)),
    "cumsum": (lambda x: minidl.cumsum(x, 1), lambda t, x: t.cumsum(x, 1)),
    "reshape": (lambda x: x.reshape(4, -1), lambda t, x: x.reshape(4, -1)),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPED)
def test_shapes(torch, name):
    ours, theirs = SHAPED[name]
    same_as_torch(torch, ours, lambda x: theirs(torch, x), np.random.default_rng(0).standard_normal((2, 3, 4)))


def test_splits_cover_the_whole():
    x = leaf(7, 2)
    for size in (1, 2, 3, 7, 9, np.int64(3), [3, 4], (7,), [0, 7]):
        parts = minidl.split(x, size)
        np.testing.assert_array_equal(np.concatenate([p.numpy() for p in parts]), x.numpy())
    assert len(minidl.split(minidl.zeros(0, 2), 3)) == 1


def test_concat_of_one_is_a_copy():
    x = leaf(3)
    with minidl.no_grad():
        y = minidl.concat([x])
        y += 1.0
    assert not np.allclose(x, y)


# --- reductions ------------------------------------------------------------------------------------------------------


def test_extrema_give_the_gradient_to_the_first():
    x = Tensor([[1.0, 3.0, 3.0], [3.0, 0.0, 0.0]], requires_grad=True)
    for f, expected in [
        (lambda: minidl.max(x), [[0, 1, 0], [0, 0, 0]]), (lambda: minidl.max(x, 1), [[0, 1, 0], [1, 0, 0]]),
        (lambda: minidl.max(x, 0), [[0, 1, 1], [1, 0, 0]]), (lambda: minidl.min(x, 1), [[1, 0, 0], [0, 1, 0]]),
        (lambda: minidl.min(x), [[0, 0, 0], [0, 1, 0]]),
        (lambda: minidl.maximum(x, 3.0), [[0, 0.5, 0.5], [0.5, 0, 0]]),
        (lambda: minidl.minimum(x, 0.0), [[0, 0, 0], [0, 0.5, 0.5]]),
    ]:  # fmt: skip
        np.testing.assert_array_equal(minidl.grad(f().sum(), x)[0].numpy(), expected)
    a, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    assert [g.item() for g in minidl.grad(minidl.maximum(a, b), [a, b])] == [0.5, 0.5]
    assert minidl.argmax(x, 1).tolist() == [1,
        0] and minidl.argmin(x).item() == 4 and type(minidl.argmax(x)) is not Tensor


@pytest.mark.parametrize("zeros", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_products_with_zeros(torch, zeros, axis):
    """Dividing the product by the element would fail here; the second derivative sees pairs of zeros."""
    x = np.random.default_rng(0).standard_normal(12)
    x[np.random.default_rng(zeros).permutation(12)[:zeros]] = 0.0
    theirs = lambda t: t.prod() if axis is None else t.prod(axis)  # noqa: E731
    same_as_torch(torch, lambda t: minidl.prod(t, axis), theirs, x.reshape(3, 4))


AXES = [None, 0, -1, (0, 2), (1,), (0, 1, 2)]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_reductions(torch, axis, keepdims):
    a = np.random.default_rng(0).standard_normal((2, 3, 4))
    every = (0, 1, 2) if axis is None else axis
    for ours, theirs in [
        (minidl.sum, torch.sum), (minidl.mean, torch.mean), (minidl.var, torch.var), (minidl.std, torch.std),
        (minidl.max, torch.amax),
        (minidl.min, torch.amin), (minidl.logsumexp, torch.logsumexp),
        (lambda x, *k: minidl.norm(x, 2, *k), lambda x, d, keepdim: torch.linalg.vector_norm(x, 2, d, keepdim)),
        (lambda x, *k: minidl.norm(x, 3, *k), lambda x, d, keepdim: torch.linalg.vector_norm(x, 3, d, keepdim)),
    ]:  # fmt: skip
        if ours is minidl.var and axis == (1,):
            continue
        same_as_torch(torch, lambda x, f=ours: f(x, axis, keepdims), lambda x, f=theirs: f(x, every, keepdim=keepdims),
            a)


@pytest.mark.parametrize("order", [0, 1])
def test_std_and_norm_at_zero(order):
    """The slope at the tip of the cone is taken as 0, and nothing becomes NaN."""
    for f in (lambda x: minidl.norm(x), lambda x: minidl.norm(x, 3), lambda x: minidl.norm(x, 2, 1).sum(),
        lambda x: minidl.std(x), lambda x: minidl.norm(x, 1),
              lambda x: minidl.norm(x, float("inf"))):  # fmt: skip
        x = minidl.full((2, 3), 0.0 if f is not None else 1.0, np.float64, True)
        (g,) = minidl.grad(f(x), x, create_graph=bool(order))
        assert np.isfinite(g.detach().numpy()).all()
        if order and g.requires_grad:
            assert np.isfinite(minidl.grad(g.sum(), x, allow_unused=True)[0].numpy()).all()


def test_powers_at_zero(torch):
    a, b = np.meshgrid([0.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0])
    (x, y), (p, q) = ([f(t, requires_grad=True) for t in (a, b)] for f in (Tensor, torch.tensor))
    (x**y).backward(np.ones(a.shape))
    (p**q).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), p.grad.numpy())
    np.testing.assert_allclose(y.grad.numpy(), q.grad.numpy())
    for exponent in (2, 3, 4.0):
        same_as_torch(torch, lambda t, e=exponent: t**e, lambda t, e=exponent: t**e, np.array([0.0, -1.0, 2.0]))
    a, b = (Tensor([v], requires_grad=True) for v in (0.0, 0.0))
    assert [g.item() for g in minidl.grad(a**b, [a, b])] == [0.0, 0.0]
    # d/dx d/dy x^y = x^(y-1) (1 + y log x), which is 1/x at y = 0
    base, zero = Tensor(np.array([0.5, 2.0]), requires_grad=True), Tensor(np.zeros(2), requires_grad=True)
    (g,) = minidl.grad((base**zero).sum(), base, create_graph=True)
    np.testing.assert_allclose(minidl.grad(g.sum(), zero)[0].numpy(), [2.0, 0.5])


# --- special functions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-15), (np.float32, 5e-7)])
def test_erf(dtype, rtol):
    """To the last digits, from subnormal numbers to infinity, and exactly odd."""
    special = pytest.importorskip("scipy.special")
    x = np.concatenate([np.linspace(-7, 7, 200_001), np.logspace(-30, 0, 1000),
        [0.0, 1e4, np.inf, 0.47, 6.0, 5.99]]).astype(dtype)
    out = minidl.erf(x)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, special.erf(x.astype(np.float64)), rtol=rtol, atol=0)
    np.testing.assert_array_equal(minidl.erf(-x), -out)
    assert (np.abs(out) <= 1).all() and np.isnan(minidl.erf(np.array([np.nan], dtype))).all()


UNARY = [
    "abs", "sin", "cos", "tanh", "exp", "expm1", "erf", "sigmoid", "relu", ("silu", "nn.functional.silu"),
    ("gelu", "nn.functional.gelu"), ("softplus", "nn.functional.softplus"),
    ("elu", "nn.functional.elu"), ("leaky_relu", "nn.functional.leaky_relu"),
]  # fmt: skip


@pytest.mark.parametrize("name", UNARY, ids=str)
def test_elementwise_functions(torch, name):
    ours, path = (name, name) if isinstance(name, str) else name
    theirs = torch
    for part in path.split("."):
        theirs = getattr(theirs, part)
    x = np.concatenate([np.linspace(-8, 8, 33), [1e-9, -1e-9, 19.0, -19.0]])
    x[x == 0] = 0.3  # PyTorch's choices at a kink are not ours
    same_as_torch(torch, getattr(minidl, ours), theirs, x, rtol=1e-7)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(torch, name, axis):
    x = np.random.default_rng(0).standard_normal((2, 3, 4)) * 5
    same_as_torch(torch, lambda t: getattr(minidl, name)(t, axis), lambda t: getattr(torch, name)(t, axis), x)


def test_where_and_clip(torch):
    mask = np.array([[True], [False]])
    a, b = np.random.default_rng(0).standard_normal((2, 3)), np.random.default_rng(1).standard_normal(3)
    same_as_torch(torch, lambda x, y: minidl.where(mask, x, y), lambda x, y: torch.where(torch.tensor(mask), x, y), a,
        b)
    same_as_torch(torch, lambda x: minidl.clip(x, -0.5, 0.5), lambda x: torch.clamp(x, -0.5, 0.5), a)
    same_as_torch(torch, lambda x: minidl.clip(x, max=0.5), lambda x: torch.clamp(x, max=0.5), a)
    low = np.array([-0.3, 0.0, 0.2])
    np.testing.assert_array_equal(minidl.clip(Tensor(a), low, low + 0.5).numpy(), np.clip(a, low, low + 0.5))


@pytest.mark.parametrize("size", [1, 2, 3, 5, (2, 3), (7, 4), (4, 9)])
def test_adaptive_pooling(torch, size):
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 6))
    same_as_torch(torch, lambda t: minidl.adaptive_avg_pool2d(t, size),
        lambda t: torch.nn.functional.adaptive_avg_pool2d(t, size), x)


def test_products_take_lists():
    assert np.array_equal(minidl.matmul([[1.0, 2.0]], [[1.0], [2.0]]), [[5.0]])
    assert np.array_equal(minidl.matmul([[1.0, 2.0]], np.ones((2, 1))), [[3.0]])
    assert np.array_equal(minidl.matmul(Tensor([[1.0, 2.0]]), [[1.0], [2.0]]).data, [[5.0]])
