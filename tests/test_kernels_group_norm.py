"""Group norm: the kernels against a slow float64 oracle, and what the engine makes of them."""

import subprocess
import sys

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import Tensor, kernels

CASES = [  # (shape, groups)
    ((3, 4), 2), ((2, 6), 1), ((5, 4, 3), 4), ((2, 6, 5), 3), ((300, 33), 1), ((7, 130), 2), ((1, 3, 70), 1),
    ((5, 6, 3, 3), 2), ((2, 4, 33, 31), 2), ((65, 8, 8, 8), 4), ((3, 9000), 2), ((17, 4, 16, 16), 1), ((2, 3, 5000), 3),
    ((33, 12, 7, 1), 6),
]  # fmt: skip
PRECISION = {np.float32: 5e-6, np.float64: 2e-13}
pytestmark = pytest.mark.usefixtures("kernels_as_before")


def close(found, wanted, dtype, scale=1.0):
    assert found.dtype == dtype and found.shape == wanted.shape and found.flags.c_contiguous and found.flags.writeable
    size = scale * max(1.0, float(np.max(np.abs(wanted), initial=0)))
    assert np.max(np.abs(found - wanted), initial=0) <= PRECISION[dtype] * size


def literal(x, g, groups, weight, bias, eps):
    """Group by group in float64, value by value through the chain rule: out, mean, variance, dx, dweight, dbias."""
    x, g = x.astype(float), g.astype(float)
    out, dx, (mean, variance) = np.empty_like(x), np.empty_like(x), np.empty((2, len(x), groups))
    dweight, dbias = np.zeros((2, x.shape[1]))
    width = x.shape[1] // groups
    for n, j in np.ndindex(len(x), groups):
        part = slice(j * width, (j + 1) * width)
        values, upstream = x[n, part], g[n, part]
        per_channel = (width,) + (1,) * (x.ndim - 2)
        mean[n, j], variance[n, j] = values.mean(), values.var()
        deviation = np.sqrt(variance[n, j] + eps)
        z = (values - mean[n, j]) / deviation
        out[n, part] = weight[part].reshape(per_channel) * z + bias[part].reshape(per_channel)
        rest = tuple(range(1, values.ndim))
        dweight[part] += (upstream * z).sum(rest)
        dbias[part] += upstream.sum(rest)
        dz = weight[part].reshape(per_channel) * upstream
        dvariance = (dz * (values - mean[n, j])).sum() * -0.5 * deviation**-3
        dmean = -dz.sum() / deviation
        dx[n, part] = dz / deviation + dmean / values.size + dvariance * 2 * (values - mean[n, j]) / values.size
    return out, mean, variance, dx, dweight, dbias


def problem(rng, shape, dtype):
    x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight, bias = rng.standard_normal((2, shape[1])).astype(dtype)
    return x * 3 + dtype(1), g, weight, bias


def everything(x, g, groups, weight, bias, eps):
    out, mean, variance = kernels.group_norm(x, groups, weight, bias, eps)
    inverse = 1 / np.sqrt(variance + eps)
    return out, mean, variance, *kernels.group_norm_backward(g, x, groups, mean, inverse, weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "groups"), CASES, ids=str)
def test_group_norm_is_the_formula(backend, rng, shape, groups, dtype):
    x, g, weight, bias = problem(rng, shape, dtype)
    wanted = literal(x, g, groups, weight, bias, 1e-3)
    long = np.sqrt(g.size / shape[1])  # the sums have so many terms
    for k, (found, expected) in enumerate(zip(everything(x, g, groups, weight, bias, 1e-3), wanted, strict=True)):
        close(found, expected, dtype, 1.0 if k < 3 else long)
    plain = everything(x, g, groups, None, None, 1e-3)
    wanted = literal(x, g, groups, np.ones(shape[1]), np.zeros(shape[1]), 1e-3)
    close(plain[0], wanted[0], dtype)
    close(plain[3], wanted[3], dtype, long)


def test_a_bad_number_stays_in_its_group(backend, rng):
    x, g, weight, bias = problem(rng, (4, 6, 5, 40), np.float32)
    clean = everything(x, g, 3, weight, bias, 1e-5)
    x[1, 2, 3, 4] = np.nan
    with np.errstate(invalid="ignore"):
        out, _, _, dx, dweight, dbias = everything(x, g, 3, weight, bias, 1e-5)
    bad = np.zeros(x.shape, bool)
    bad[1, 2:4] = True
    np.testing.assert_array_equal(np.isnan(out), bad)
    np.testing.assert_array_equal(np.isnan(dx), bad)
    np.testing.assert_array_equal(out[~bad], clean[0][~bad])
    np.testing.assert_array_equal(np.isnan(dweight), [0, 0, 1, 1, 0, 0])
    assert np.isfinite(dbias).all()


@pytest.mark.parametrize("dtype, offset", [(np.float32, 1e4), (np.float64, 1e8)])
def test_a_large_mean_costs_the_variance_nothing(backend, rng, dtype, offset):
    x = (rng.standard_normal((4, 6, 32, 32)) + offset).astype(dtype)
    out, mean, variance = kernels.group_norm(x, 2, None, None, 0.0)
    exact = x.astype(np.longdouble).reshape(4, 2, -1)
    np.testing.assert_allclose(variance, exact.var(2), rtol=1e-6)
    np.testing.assert_allclose(mean, exact.mean(2), rtol=4 * np.finfo(dtype).eps)


def test_threads_and_repetition_change_no_bit(rng):
    pytest.importorskip("numba")
    for shape, groups in (((40, 12, 33, 31), 3), ((700, 900), 1), ((5, 64, 50, 50), 64)):
        arrays = problem(rng, shape, np.float32)
        results = []
        for count in (1, 2, 5, 1):
            kernels.set_num_threads(count)
            results.append(everything(*arrays[:2], groups, *arrays[2:], 1e-5))
        for other in results[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_empty_batches_and_strange_arrays(backend, rng):
    empty = np.zeros((0, 4, 3))
    out, mean, _, dx, dweight, dbias = everything(empty, empty, 2, np.ones(4), np.ones(4), 1e-5)
    assert out.shape == dx.shape == (0, 4, 3) and mean.shape == (0, 2) and not dweight.any() and not dbias.any()
    x, g, weight, bias = problem(rng, (6, 4, 40, 10), np.float32)
    found = everything(np.asfortranarray(x), g[::-1][::-1], 2, np.repeat(weight, 2)[::2], bias[::-1][::-1], 1e-5)
    for a, b in zip(found, everything(x, g, 2, weight, bias, 1e-5), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("call, error, words", [
    (lambda x, c: kernels.group_norm(x.astype(int), 2, None, None, 0.1), TypeError, ["int64", "float32 or float64"]),
    (lambda x, c: kernels.group_norm(x, 3, None, None, 0.1), ValueError, ["3 groups", "4 channels"]),
    (lambda x, c: kernels.group_norm(x[0], 2, None, None, 0.1), ValueError, ["(N, C)"]),
    (lambda x, c: kernels.group_norm(x, 2, c[:2], None, 0.1), ValueError, ["weight", "(2,)"]),
    (lambda x, c: kernels.group_norm(np.ones((2, 4, 0)), 2, None, None, 0.1), ValueError, ["no values"]),
    (lambda x, c: kernels.group_norm_backward(x[:1], x, 2, x[:, :2], x[:, :2], None), ValueError, ["g has shape"]),
    (lambda x, c: kernels.group_norm_backward(x, x, 2, x[:, :2], x, None), ValueError, ["inverse has shape (2, 4)"]),
])  # fmt: skip
def test_errors_name_what_disagrees(backend, call, error, words):
    with pytest.raises(error) as caught:
        call(np.ones((2, 4)), np.ones(4))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_gradients_do_not_depend_on_which_are_asked_for(backend, rng):
    """The three gradients come from one pass; each alone, twice, and through a graph, they are the same."""
    x, g, *affine = problem(rng, (6, 4, 8, 40), np.float64)

    def gradients(wanted, create=False):
        leaves = [Tensor(a, requires_grad=k in wanted) for k, a in enumerate((x, *affine))]
        out, asked = F.group_norm(leaves[0], 2, *leaves[1:]), [leaves[k] for k in wanted]
        minidl.grad(out, asked, Tensor(5 * g), retain_graph=True)  # of which nothing may be left
        first = minidl.grad(out, asked, Tensor(g), retain_graph=True, create_graph=create)
        for factor in (1, 2):
            for again, f in zip(minidl.grad(out, asked, Tensor(factor * g), retain_graph=True), first, strict=True):
                np.testing.assert_allclose(again.numpy(), factor * f.numpy(), atol=1e-12)
        return dict(zip(wanted, (f.numpy() for f in first), strict=True))

    reference = gradients((0, 1, 2))
    for wanted in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2)):
        for create in (False, True):
            for k, found in gradients(wanted, create=create).items():
                np.testing.assert_allclose(found, reference[k], atol=1e-12)


def test_it_keeps_its_input_and_nothing_else_of_that_size():
    y = F.group_norm(minidl.randn(8, 4, 16, 16, requires_grad=True, rng=0) * 1.0, 2)
    kept = {id(v): v.nbytes for _, _, saved in y._node.edges for v in saved if isinstance(v, np.ndarray)}
    kept |= {id(v): v.nbytes for v in vars(y._node.edges[0][2][-1]).values() if isinstance(v, np.ndarray)}
    assert sum(kept.values()) < y._array.nbytes + 1000


def test_small_networks_do_not_import_numba():
    code = """
import sys, numpy as np, minidl
from minidl import nn
net = nn.Sequential(nn.Linear(2, 16), nn.LayerNorm(16), nn.GroupNorm(2, 16), nn.Linear(16, 2))
net(np.ones((64, 2), np.float32) * np.arange(64, dtype=np.float32)[:, None]).sum().backward()
print("numba" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
