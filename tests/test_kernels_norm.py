"""Batch norm and ReLU: the kernels against slow float64 oracles, and what the engine makes of them."""

import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import Tensor, kernels, nn
from minidl.nn import functional as F

SHAPES = [
    (2, 1), (7, 3), (300, 33), (4, 5, 1), (3, 4, 2), (2, 3, 5), (9, 2, 16), (1, 3, 70), (5, 7, 3, 3), (2, 3, 1, 129),
    (6, 17, 7, 7), (3, 2, 33, 31), (2, 4, 64, 64), (65, 3, 8, 8),
]  # fmt: skip
PRECISION = {np.float32: 5e-6, np.float64: 2e-13}


pytestmark = pytest.mark.usefixtures("kernels_as_before")


def close(found, wanted, dtype, scale=1.0):
    assert found.dtype == dtype and found.shape == wanted.shape and found.flags.c_contiguous and found.flags.writeable
    size = scale * max(1.0, float(np.max(np.abs(wanted), initial=0)))
    assert np.max(np.abs(found - wanted), initial=0) <= PRECISION[dtype] * size


def literal(x, g, weight, bias, eps, given=None):
    """Channel by channel in float64: out, mean, variance, and the gradients to x, weight and bias."""
    x, g = x.astype(float), g.astype(float)
    out, dx = np.empty_like(x), np.empty_like(x)
    mean, variance, dweight, dbias = np.empty((4, x.shape[1]))
    for c in range(x.shape[1]):
        values, upstream = x[:, c], g[:, c]
        mean[c], variance[c] = (values.mean(), values.var()) if given is None else (given[0][c], given[1][c])
        deviation = np.sqrt(variance[c] + eps)
        z = (values - mean[c]) / deviation
        out[:, c] = weight[c] * z + bias[c]
        dweight[c], dbias[c] = (upstream * z).sum(), upstream.sum()
        dz = weight[c] * upstream
        if given is None:
            # The mean passes -sum(dz) / s / M to every value, the variance what each value's share in it is.
            dvariance = (dz * (values - mean[c])).sum() * -0.5 * deviation**-3
            dz = dz + deviation * (-dz.sum() / deviation + dvariance * 2 * (values - mean[c])) / values.size
        dx[:, c] = dz / deviation
    return out, mean, variance, dx, dweight, dbias


def problem(rng, shape, dtype):
    x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight, bias = rng.standard_normal((2, shape[1])).astype(dtype)
    return x * 3 + dtype(1), g, weight, bias


# --- The kernels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_is_the_formula(backend, rng, shape, dtype):
    x, g, weight, bias = problem(rng, shape, dtype)
    out, mean, variance = kernels.batch_norm(x, weight, bias, 1e-3)
    wanted = literal(x, g, weight, bias, 1e-3)
    for found, expected in zip((out, mean, variance), wanted, strict=False):
        close(found, expected, dtype)
    inverse = 1 / np.sqrt(variance + 1e-3)
    long = np.sqrt(g.size / shape[1])  # the sums have so many terms
    for found, expected in zip(kernels.batch_norm_backward(g, x, mean, inverse, weight, True), wanted[3:], strict=True):
        close(found, expected, dtype, long)
    close(kernels.channel_sum(g), wanted[5], dtype, long)
    plain = kernels.batch_norm(x, None, None, 1e-3)[0]
    close(plain, literal(x, g, np.ones(shape[1]), np.zeros(shape[1]), 1e-3)[0], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_given_statistics(backend, rng, shape, dtype):
    x, g, weight, bias = problem(rng, shape, dtype)
    mean, inverse = rng.standard_normal(shape[1]).astype(dtype), rng.uniform(0.5, 2, shape[1]).astype(dtype)
    wanted = literal(x, g, weight, bias, 0.0, (mean, 1 / inverse.astype(float) ** 2))
    close(kernels.normalize(x, mean, inverse, weight, bias), wanted[0], dtype)
    long = np.sqrt(g.size / shape[1])
    found = kernels.batch_norm_backward(g, x, mean, inverse, weight, False)
    for one, expected in zip(found, wanted[3:], strict=True):
        close(one, expected, dtype, long)


@pytest.mark.parametrize("dtype, offset", [(np.float32, 1e4), (np.float64, 1e8)])
def test_a_large_mean_costs_the_variance_nothing(backend, rng, dtype, offset):
    """The mean of squares minus the square of the mean would have no digit left."""
    x = (rng.standard_normal((64, 3, 16, 16)) + offset).astype(dtype)
    out, mean, variance = kernels.batch_norm(x, None, None, 0.0)
    exact = x.astype(np.longdouble)
    np.testing.assert_allclose(variance, exact.var((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(out.std((0, 2, 3)), 1, rtol=1e-5)


def test_long_float32_sums_stay_accurate(backend, rng):
    x = rng.random((2000, 2, 16, 16), np.float32)
    np.testing.assert_allclose(kernels.channel_sum(x), x.sum((0, 2, 3), dtype=float), rtol=2e-7)
    _, mean, variance = kernels.batch_norm(x, None, None, 0.0)
    np.testing.assert_allclose(mean, x.mean((0, 2, 3), dtype=float), rtol=2e-7)
    np.testing.assert_allclose(variance, x.var((0, 2, 3), dtype=float), rtol=5e-7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_bad_number_stays_in_its_channel(backend, rng, value):
    x, g, weight, bias = problem(rng, (4, 3, 5, 20), np.float32)
    clean = kernels.batch_norm(x, weight, bias, 1e-5)[0]
    x[1, 2, 3, 4] = value
    with np.errstate(invalid="ignore"):
        out, mean, variance = kernels.batch_norm(x, weight, bias, 1e-5)
        dx, dweight, _ = kernels.batch_norm_backward(g, x, mean, 1 / np.sqrt(variance + 1e-5), weight, True)
    assert np.array_equal(mean[2], np.float32(value), equal_nan=True) and np.isnan(variance[2])
    assert np.isnan(out[:, 2]).all() and np.array_equal(out[:, :2], clean[:, :2])
    assert np.isnan(dx[:, 2]).all() and np.isnan(dweight[2])
    assert np.isfinite(dx[:, :2]).all() and np.isfinite(dweight[:2]).all()
    # With given statistics it stays where it is, and touches no gradient of x.
    mean, inverse = np.zeros(3, np.float32), np.ones(3, np.float32)
    out = kernels.normalize(x, mean, inverse, weight, bias)
    assert np.isfinite(out).sum() == out.size - 1 and not np.isfinite(out[1, 2, 3, 4])
    assert np.isfinite(kernels.batch_norm_backward(g, x, mean, inverse, weight, False)[0]).all()


def test_a_constant_channel_without_eps(backend):
    """0 / 0 is NaN, as in NumPy, and no error."""
    with np.errstate(all="ignore"):
        out, _, variance = kernels.batch_norm(np.full((4, 2, 3), 5.0), None, None, 0.0)
    assert np.isnan(out).all() and np.array_equal(variance, [0, 0])


def test_empty_batches(backend):
    weight = np.ones(3)
    for shape in ((0, 3), (0, 3, 4, 4), (2, 3, 0)):
        x = np.zeros(shape)
        assert kernels.normalize(x, weight, weight, None, None).shape == shape
        dx, dweight, dbias = kernels.batch_norm_backward(x, x, weight, weight, weight, False)
        assert dx.shape == shape and not dweight.any() and not dbias.any() and not kernels.channel_sum(x).any()
        for call in (
            lambda x=x: kernels.batch_norm(x, None, None, 1e-5),
            lambda x=x: kernels.batch_norm_backward(x, x, weight, weight, None, True),
        ):
            with pytest.raises(ValueError, match="no values"):
                call()
    assert kernels.batch_norm(np.zeros((4, 0, 2)), None, None, 1e-5)[0].shape == (4, 0, 2)


@pytest.mark.parametrize("call, error, words", [
    (lambda x, c: kernels.batch_norm(x.astype(int), None, None, 0.1), TypeError, ["int64", "float32 or float64"]),
    (lambda x, c: kernels.batch_norm(x[0], None, None, 0.1), ValueError, ["(N, C)"]),
    (lambda x, c: kernels.batch_norm(x, c[:2], None, 0.1), ValueError, ["weight", "(2,)", "channels"]),
    (lambda x, c: kernels.normalize(x, c, c, None, c[:1]), ValueError, ["bias", "(1,)"]),
    (lambda x, c: kernels.batch_norm_backward(x[:1], x, c, c, None, True), ValueError, ["g has shape", "(2, 3)"]),
    (lambda x, c: kernels.batch_norm_backward(x.astype("f4"), x, c, c, None, True), TypeError, ["g float32"]),
    (lambda x, c: kernels.relu_input(x, x[:1]), ValueError, ["g has shape (2, 3)", "(1, 3)"]),
])  # fmt: skip
def test_errors_name_what_disagrees(backend, call, error, words):
    with pytest.raises(error) as caught:
        call(np.ones((2, 3)), np.ones(3))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def strange(a):
    """The same numbers as a read-only view that is neither contiguous nor aligned."""
    view = np.zeros(2 * a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(*a.shape[:-1], -1)[..., ::2]
    view[...] = a
    view.flags.writeable = False
    return view


def test_any_array_will_do_and_none_is_changed(backend, rng):
    x, g, weight, bias = arrays = problem(rng, (3, 4, 5, 6), np.float32)
    views = [strange(a) for a in arrays]
    expected = kernels.batch_norm(x, weight, bias, 1e-5)
    mean, inverse = expected[1:]
    for found, wanted in zip(kernels.batch_norm(views[0], *views[2:], 1e-5), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    for found, wanted in zip(
        kernels.batch_norm_backward(views[1], views[0], strange(mean), inverse, views[2], True),
        kernels.batch_norm_backward(g, x, mean, inverse, weight, True), strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(kernels.relu(views[0]), kernels.relu(x))
    np.testing.assert_array_equal(kernels.relu_input(views[1], views[0]), kernels.relu_input(g, x))
    for view, original in zip(views, arrays, strict=True):
        np.testing.assert_array_equal(view, original)


def test_threads_and_repetition_change_no_bit(rng):
    pytest.importorskip("numba")
    for shape in ((8, 13, 33, 31), (40, 130, 5, 5), (9, 3, 70, 70)):  # each enough to be shared out
        x, g, weight, bias = problem(rng, shape, np.float32)
        results = []
        for count in (1, 2, 5, 1):
            kernels.set_num_threads(count)
            out, mean, variance = kernels.batch_norm(x, weight, bias, 1e-5)
            back = kernels.batch_norm_backward(g, x, mean, variance, weight, True)
            results.append([
                out, mean, variance, *back, kernels.normalize(x, mean, variance, weight, bias), kernels.channel_sum(x),
                kernels.relu(x), kernels.relu_input(g, x),
            ])  # fmt: skip
        for other in results[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


# --- ReLU -------------------------------------------------------------------------------------------------------------

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3.0, -3.0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (5, 7), (3, 4, 5, 3), (70001,)], ids=str)
def test_relu_is_the_definition(backend, rng, shape, dtype):
    x, g = (rng.choice(SPECIAL if dtype != np.int64 else [-2, 0, 3], shape) for _ in range(2))
    x, g = np.asarray(x, dtype), np.asarray(g, dtype)
    out, dx = kernels.relu(x), kernels.relu_input(g, x)
    assert out.dtype == dx.dtype == dtype and out.shape == dx.shape == shape
    np.testing.assert_array_equal(out, np.where(x <= 0, dtype(0), x))  # NaN stays
    np.testing.assert_array_equal(dx, np.where(x > 0, g, dtype(0)))  # and of g passes what meets x > 0, NaN too


@pytest.mark.parametrize("shape", [(4, 3), (3, 40000), (64, 300)])
def test_derivatives_of_relu(backend, rng, shape):
    """First and second order agree for small and large arrays, and the second derivative is 0."""
    x, g = (Tensor(rng.standard_normal(shape), requires_grad=True) for _ in range(2))
    (plain,) = minidl.grad(minidl.relu(x), x, g)
    (dx,) = minidl.grad(minidl.relu(x), x, g, create_graph=True)
    np.testing.assert_array_equal(plain, np.where(x.numpy() > 0, g.numpy(), 0))
    np.testing.assert_array_equal(dx.numpy(), plain.numpy())
    ddx, dg = minidl.grad(dx, (x, g), np.ones(shape), allow_unused=True)
    assert ddx is None or not ddx.numpy().any()
    np.testing.assert_array_equal(dg, (x.numpy() > 0).astype(float))
    (spread,) = minidl.grad(minidl.relu(x).sum(), x)  # an upstream gradient that is one number, broadcast
    np.testing.assert_array_equal(spread, dg.numpy())


# --- What the engine makes of them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(50, 200), (6, 5, 200), (8, 6, 16, 16)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_norm_against_torch(backend, rng, training, shape, dtype):
    torch = pytest.importorskip("torch")
    x, g, weight, bias = problem(rng, shape, dtype)
    stats = rng.uniform(0.5, 2, (2, shape[1])).astype(dtype)
    ours = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    running = [Tensor(a) for a in stats]
    out = F.batch_norm(ours[0], *running, *ours[1:], training, 0.3)
    theirs = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (x, weight, bias)]
    kept = [torch.tensor(a, dtype=torch.float64) for a in stats]
    expected = torch.nn.functional.batch_norm(theirs[0], *kept, *theirs[1:], training, 0.3)
    close(out.numpy().copy(), expected.detach().numpy(), dtype)
    for found, wanted in zip(running, kept, strict=True):
        close(found.data, wanted.numpy(), dtype)
    gradients = minidl.grad(out, ours, g)
    for found, wanted in zip(gradients, torch.autograd.grad(expected, theirs, torch.tensor(g).double()), strict=True):
        close(found.data, wanted.numpy(), dtype, 30)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_do_not_depend_on_which_are_asked_for(backend, rng, training):
    """The three gradients come from one pass; each alone, twice, and through a graph, they are the same."""
    arrays = problem(rng, (6, 4, 8, 40), np.float64)
    x, g, *affine = arrays
    stats = rng.uniform(0.5, 2, (2, 4))

    def gradients(wanted, create=False):
        leaves = [Tensor(a, requires_grad=k in wanted) for k, a in enumerate((x, *affine))]
        out = F.batch_norm(leaves[0], *stats.copy(), *leaves[1:], training)
        asked = [leaves[k] for k in wanted]
        first = minidl.grad(out, asked, Tensor(g), retain_graph=True, create_graph=create)
        for factor in (1, 2):
            for again, f in zip(minidl.grad(out, asked, Tensor(factor * g), retain_graph=True), first, strict=True):
                np.testing.assert_allclose(again.numpy(), factor * f.numpy(), atol=1e-12)
        return dict(zip(wanted, (f.numpy() for f in first), strict=True))

    everything = gradients((0, 1, 2))
    for wanted in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2)):
        for create in (False, True):
            for k, found in gradients(wanted, create=create).items():
                np.testing.assert_allclose(found, everything[k], atol=1e-12)


def test_given_statistics_may_change_before_backward(rng):
    x, mean, var = rng.standard_normal((5, 2)), np.zeros(2), np.ones(2)
    weight = Tensor(np.ones(2), requires_grad=True)
    out = F.batch_norm(x, mean, var, weight, eps=0.0)
    mean += 7
    var += 7
    np.testing.assert_allclose(minidl.grad(out.sum(), weight)[0], x.sum(0))


def test_batch_norm_keeps_its_input_and_nothing_else_of_that_size(rng):
    x = minidl.randn(8, 4, 16, 16, requires_grad=True, rng=0) * 1.0
    y = nn.BatchNorm2d(4)(x)
    kept = {id(v): v.nbytes for _, _, saved in y._node.edges for v in saved if isinstance(v, np.ndarray)}
    kept |= {id(v): v.nbytes for v in vars(y._node.edges[0][2][-1]).values() if isinstance(v, np.ndarray)}
    assert sum(kept.values()) < x._array.nbytes + 1000


def test_an_upstream_gradient_may_be_of_any_layout(backend, rng):
    x = Tensor(rng.standard_normal((4, 6, 10, 30)), requires_grad=True)
    layer = nn.BatchNorm2d(6).double()
    g = rng.standard_normal((4, 10, 30, 6))
    (found,) = minidl.grad(layer(x).transpose(0, 2, 3, 1), x, Tensor(g))
    (wanted,) = minidl.grad(layer(x), x, Tensor(g.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-13)


def test_small_networks_do_not_import_numba():
    code = """
import sys, numpy as np, minidl
from minidl import nn
net = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
net(np.ones((64, 2), np.float32) * np.arange(64, dtype=np.float32)[:, None]).sum().backward()
print("numba" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
