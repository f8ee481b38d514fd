"""The kernels: both bodies against oracles that share nothing with them, and the promises of the numba machinery."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from minidl import kernels
from minidl.kernels import layout, threads

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = (1, 1), (1, 1), (1, 1), 1


pytestmark = pytest.mark.usefixtures("kernels_as_before")


# --- Convolution: oracles -------------------------------------------------------------------------------------------


def literal_conv(x, w, stride, padding, dilation, groups):
    """The definition: one loop per index, and nothing outside the image is ever read."""
    (n, _, h, width), (o, per_group, kh, kw) = x.shape, w.shape
    sizes = [kernels.conv_output_size(*a) for a in zip((h, width), (kh, kw), stride, padding, dilation, strict=True)]
    out = np.zeros((n, o, *sizes))
    for f, i, j, y, q in np.ndindex(o, kh, kw, *sizes):
        r, s = stride[0] * y + dilation[0] * i - padding[0], stride[1] * q + dilation[1] * j - padding[1]
        if 0 <= r < h and 0 <= s < width:
            first = f // (o // groups) * per_group
            out[:, f, y, q] += x[:, first : first + per_group, r, s] @ w[f, :, i, j]
    return out


def random_geometry(rng, most=12):
    """(x_shape, w_shape, stride, padding, dilation, groups, out_shape) with an output."""
    while True:
        groups, per_group, outs = (int(rng.choice(c)) for c in ([1, 1, 1, 2, 3], [1, 2, 3, 5], [1, 2, 4, 5, 9]))
        kernel, stride, padding, dilation = (
            tuple(int(v) for v in rng.integers(low, high, 2)) for low, high in ((1, 6), (1, 5), (0, 6), (1, 4))
        )
        stride = (1, 1) if rng.random() < 0.4 else stride
        dilation = (1, 1) if rng.random() < 0.5 else dilation
        x_shape = (int(rng.integers(1, 5)), groups * per_group, *(int(v) for v in rng.integers(1, most, 2)))
        w_shape = (groups * outs, per_group, *kernel)
        axes = zip(x_shape[2:], kernel, stride, padding, dilation, strict=True)
        sizes = tuple(kernels.conv_output_size(*axis) for axis in axes)
        if min(sizes) > 0:
            return x_shape, w_shape, stride, padding, dilation, groups, (x_shape[0], w_shape[0], *sizes)


def tensors(rng, geometry, dtype=np.float64):
    x_shape, w_shape, *_, out_shape = geometry
    return (rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape, out_shape, w_shape[:1]))


def three_passes(x, w, g, b, *options):
    return (
        kernels.conv2d(x, w, b, *options),
        kernels.conv2d_input(g, w, x.shape, *options),
        kernels.conv2d_weight(g, x, w.shape, *options),
    )


def close(found, expected, tolerance):
    assert found.shape == expected.shape
    scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
    assert np.max(np.abs(found - expected), initial=0) <= tolerance * scale


def test_conv_is_the_definition_and_its_gradients_are_its_adjoints(backend):
    rng = np.random.default_rng(1)
    for _ in range(60):
        geometry = random_geometry(rng, most=9)
        options = geometry[2:6]
        x, w, g, b = tensors(rng, geometry)
        out, dx, dw = three_passes(x, w, g, b, *options)
        close(out, literal_conv(x, w, *options) + b[:, None, None], 1e-13)
        close(kernels.conv2d(x, w, None, *options), literal_conv(x, w, *options), 1e-13)
        # <conv(x, w), g> = <x, conv_input(g, w)> = <w, conv_weight(g, x)>, for every x, w and g
        value = np.vdot(out - b[:, None, None], g)
        assert np.isclose(np.vdot(x, dx), value, rtol=1e-10, atol=1e-10), geometry
        assert np.isclose(np.vdot(w, dw), value, rtol=1e-10, atol=1e-10), geometry


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 3e-6)])
def test_conv_against_torch(backend, dtype, tolerance):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    for _ in range(50):
        geometry = random_geometry(rng, most=24)
        stride, padding, dilation, groups = options = geometry[2:6]
        x, w, g, b = tensors(rng, geometry, dtype)
        tx, tw, tg, tb = (torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (x, w, g, b))
        expected = torch.nn.functional.conv2d(tx, tw, tb, stride, padding, dilation, groups)
        gradients = torch.autograd.grad(expected, (tx, tw), tg)
        for found, wanted in zip(three_passes(x, w, g, b, *options), (expected, *gradients), strict=True):
            assert found.dtype == dtype and found.flags.writeable and found.flags.c_contiguous
            close(found, wanted.detach().numpy(), tolerance)


@pytest.mark.parametrize(
    "x_shape, w_shape, stride, padding, dilation, groups",
    [
        ((3, 5, 28, 28), (6, 5, 5, 5), (1, 1), (0, 0), (1, 1), 1),
        ((2, 33, 16, 16), (30, 33, 3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((65, 3, 3, 3), (7, 3, 2, 2), (1, 1), (0, 0), (1, 1), 1),  # tiny outputs share runs
        ((70, 4, 1, 1), (5, 4, 3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((5, 16, 17, 19), (8, 16, 1, 1), (2, 3), (0, 0), (1, 1), 1),
        ((2, 12, 15, 14), (24, 1, 3, 3), (2, 2), (1, 1), (1, 1), 12),  # depthwise, two filters a channel
        ((1, 130, 9, 9), (4, 130, 3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((2, 2, 64, 90), (3, 2, 7, 3), (3, 2), (3, 1), (1, 2), 1),
        ((1, 3, 32, 32), (8, 3, 16, 16), (16, 16), (0, 0), (1, 1), 1),  # patches
        ((37, 6, 14, 14), (16, 6, 5, 5), (1, 1), (0, 0), (1, 1), 1),  # far fewer places than pixels, here and below
        ((5, 6, 12, 11), (10, 3, 5, 3), (1, 1), (1, 0), (1, 2), 2),
        ((3, 2, 9, 8), (7, 2, 3, 4), (1, 1), (3, 1), (4, 2), 1),
        ((2, 70, 6, 5), (90, 70, 4, 3), (1, 1), (0, 0), (1, 1), 1),
    ],
)
def test_conv_bodies_agree_on_larger_shapes(x_shape, w_shape, stride, padding, dilation, groups):
    pytest.importorskip("numba")
    rng = np.random.default_rng(3)
    axes = zip(x_shape[2:], w_shape[2:], stride, padding, dilation, strict=True)
    out_shape = (x_shape[0], w_shape[0], *(kernels.conv_output_size(*axis) for axis in axes))
    arrays = list(tensors(rng, (x_shape, w_shape, out_shape)))
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 5e-6)):
        with kernels.using("numpy"):
            expected = three_passes(*arrays, stride, padding, dilation, groups)
        with kernels.using("numba"):
            found = three_passes(*(a.astype(dtype) for a in arrays), stride, padding, dilation, groups)
        for one, other in zip(found, expected, strict=True):
            close(one, other, tolerance)


def test_input_gradient_serves_transposed_convolution(backend):
    """Every input size that the output size allows: the rows which no window reaches (output_padding) are zero."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    for extra_h, extra_w in np.ndindex(3, 2):
        g, w = rng.standard_normal((2, 4, 5, 4)), rng.standard_normal((4, 3, 2, 3))
        size = 2, 3, 4 * 3 + 2 - 2 + extra_h, 3 * 2 + 3 + extra_w
        found = kernels.conv2d_input(g, w, size, (3, 2), (1, 0), (1, 1), 1)
        wanted = torch.nn.functional.conv_transpose2d(
            torch.tensor(g), torch.tensor(w), stride=(3, 2), padding=(1, 0), output_padding=(extra_h, extra_w)
        )
        close(found, wanted.numpy(), 1e-13)


def test_long_float32_sums_stay_accurate(backend):
    """A gradient that sums 200,000 products of the same sign, in float32."""
    rng = np.random.default_rng(5)
    x, g = rng.random((3000, 2, 8, 8), np.float32), rng.random((3000, 3, 8, 8), np.float32)
    found = kernels.conv2d_weight(g, x, (3, 2, 3, 3), *OPTIONS)
    wanted = kernels.conv2d_weight(g.astype(float), x.astype(float), (3, 2, 3, 3), *OPTIONS)
    assert np.max(np.abs(found / wanted - 1)) < 5e-7


# --- Convolution: hard inputs ---------------------------------------------------------------------------------------


def awkward(a):
    """The same numbers as a read-only view that is neither contiguous nor aligned."""
    raw = np.zeros(2 * a.nbytes + 1, np.uint8)[1:]
    view = raw.view(a.dtype).reshape(*a.shape[:-1], 2 * a.shape[-1])[..., ::2]
    view[...] = a
    view.flags.writeable = False
    return view


def test_any_array_will_do_and_none_is_changed(backend):
    rng = np.random.default_rng(6)
    x, w, g, b = (rng.standard_normal(s).astype(np.float32) for s in ((2, 3, 7, 6), (5, 3, 3, 3), (2, 5, 7, 6), (5,)))
    strange = [awkward(a) for a in (x, w, g, b)]
    assert not strange[0].flags.aligned
    for found, wanted in zip(three_passes(*strange, *OPTIONS), three_passes(x, w, g, b, *OPTIONS), strict=True):
        assert np.array_equal(found, wanted)
    out, index = kernels.max_pool2d(strange[0], (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert np.array_equal(out, kernels.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False)[0])
    found = kernels.pool_scatter(awkward(out), awkward(index), x.shape)
    assert np.array_equal(found, kernels.pool_scatter(out, index, x.shape))
    for view, original in zip(strange, (x, w, g, b), strict=True):
        assert np.array_equal(view, original)


def test_empty_batch(backend):
    x, w, b = np.zeros((0, 3, 7, 6), np.float32), np.zeros((5, 3, 3, 3), np.float32), np.zeros(5, np.float32)
    out, dx, dw = three_passes(x, w, np.zeros((0, 5, 7, 6), np.float32), b, *OPTIONS)
    assert out.shape == (0, 5, 7, 6) and dx.shape == x.shape and np.array_equal(dw, np.zeros_like(w))
    out, index = kernels.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert out.shape == index.shape == (0, 3, 3, 3)
    assert kernels.pool_gather(x, index).shape == out.shape
    assert kernels.pool_scatter(out, index, x.shape).shape == x.shape
    assert kernels.avg_pool2d(x, (2, 2), (2, 2), (0, 0), False, True).shape == out.shape
    assert kernels.avg_pool2d_input(out, x.shape, (2, 2), (2, 2), (0, 0), False, True).shape == x.shape


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_in_their_windows(backend, value):
    """One bad number changes exactly the results it has a part in: found by moving it and seeing what moves."""
    rng = np.random.default_rng(7)
    for _ in range(25):
        geometry = random_geometry(rng, most=9)
        options = geometry[2:6]
        arrays = list(tensors(rng, geometry))
        clean = three_passes(*arrays, *options)
        for which in (0, 2):  # a bad number in x, then in g
            moved, bad = ([a.copy() for a in arrays] for _ in range(2))
            place = tuple(int(rng.integers(size)) for size in arrays[which].shape)
            moved[which][place] += 1e3
            bad[which][place] = value
            with np.errstate(invalid="ignore"):
                results = three_passes(*bad, *options)
            for k, (before, after) in enumerate(zip(clean, three_passes(*moved, *options), strict=True)):
                touched = np.abs(after - before) > 1e-9
                if (which, k) == (2, 2):  # in the padding too: 0 * nan has its part in every weight of the filter
                    touched[place[1]] = True
                assert np.array_equal(~np.isfinite(results[k]), touched), geometry
                assert np.allclose(results[k][~touched], before[~touched], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda x, w: kernels.conv2d(x, w[:, :2], None, *OPTIONS), ValueError, ["3 channels", "groups"]),
        (lambda x, w: kernels.conv2d(x, w, None, (1, 1), (0, 0), (4, 4), 1), ValueError, ["smaller than the kernel"]),
        (lambda x, w: kernels.conv2d(x, w, None, (0, 1), (0, 0), (1, 1), 1), ValueError, ["stride", "at least 1"]),
        (lambda x, w: kernels.conv2d(x, w, None, (1, 1), (-1, 0), (1, 1), 1), ValueError, ["padding", "crop"]),
        (lambda x, w: kernels.conv2d(x, w, np.zeros(4), *OPTIONS), ValueError, ["(4,)", "5 filters"]),
        (lambda x, w: kernels.conv2d(x[0], w, None, *OPTIONS), ValueError, ["(N, C, H, W)"]),
        (lambda x, w: kernels.conv2d(x.astype(np.float32), w, None, *OPTIONS), TypeError, ["float32", "w float64"]),
        (lambda x, w: kernels.conv2d(x.astype(int), w.astype(int), None, *OPTIONS), TypeError, ["int64", "float"]),
        (lambda x, w: kernels.conv2d_input(x, w, x.shape, *OPTIONS), ValueError, ["g has shape", "(2, 5, 7, 6)"]),
        (lambda x, w: kernels.conv2d_weight(x, x, w.shape, *OPTIONS), ValueError, ["g has shape", "(2, 5, 7, 6)"]),
        (lambda x, w: kernels.max_pool2d(x, (8, 2), (1, 1), (0, 0), (1, 1), False), ValueError, ["smaller"]),
        (lambda x, w: kernels.max_pool2d(x, (1, 1), (1, 1), (1, 1), (1, 1), False), ValueError, ["but padding"]),
        (lambda x, w: kernels.max_pool2d(x, (1, 1), (1, 1), (2, 0), (1, 1), False), ValueError, ["but padding"]),
        (lambda x, w: kernels.pool_gather(x, np.full((2, 3, 1, 1), 42)), IndexError, ["outside the image"]),
        (lambda x, w: kernels.pool_gather(x, np.full((2, 3, 1, 1), -1)), IndexError, ["outside the image"]),
        (lambda x, w: kernels.pool_gather(x, np.full((2, 3, 1, 1), 2**32)), IndexError, ["outside the image"]),
        (lambda x, w: kernels.pool_scatter(x, np.full(x.shape, 42), x.shape), IndexError, ["outside the image"]),
        (lambda x, w: kernels.pool_gather(x, np.zeros((2, 3, 1, 1))), TypeError, ["integers"]),
        (lambda x, w: kernels.pool_gather(x, np.zeros((1, 3, 1, 1), int)), ValueError, ["(1, 3, 1, 1)"]),
        (lambda x, w: kernels.pool_gather(x.astype(np.float16), np.zeros((2, 3, 1, 1), int)), TypeError, ["float16"]),
    ],
)
def test_errors_name_what_disagrees(backend, call, error, words):
    x, w = np.zeros((2, 3, 7, 6)), np.zeros((5, 3, 3, 3))
    with pytest.raises(error) as caught:
        call(x, w)
    assert all(word in str(caught.value) for word in words), str(caught.value)


# --- Pooling --------------------------------------------------------------------------------------------------------


def random_pooling(rng):
    """(x_shape, kernel, stride, padding, dilation, ceil_mode) as PyTorch allows it, with a window that holds input."""
    while True:
        kernel, stride, dilation = (tuple(int(v) for v in rng.integers(1, high, 2)) for high in (6, 5, 4))
        dilation = (1, 1) if rng.random() < 0.6 else dilation
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        x_shape = (2, 3, *(int(v) for v in rng.integers(1, 14, 2)))
        geometry = x_shape, kernel, stride, padding, dilation, bool(rng.random() < 0.5)
        try:
            kernels.max_pool2d(np.zeros(x_shape), *geometry[1:])
        except ValueError:
            continue
        return geometry


def test_max_pool_against_torch(backend):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(8)
    for trial in range(60):
        x_shape, *options = random_pooling(rng)
        x = rng.integers(-2, 3, x_shape).astype([np.float32, np.float64][trial % 2])  # ties nearly everywhere
        x = np.full_like(x, -np.inf) if trial % 10 == 0 else x
        out, index = kernels.max_pool2d(x, *options)
        expected, places = torch.nn.functional.max_pool2d(torch.tensor(x), *options, return_indices=True)
        assert out.dtype == x.dtype and index.dtype == np.int32
        assert np.array_equal(out, expected.numpy()) and np.array_equal(index, places.numpy()), options
        assert np.array_equal(kernels.pool_gather(x, index), out)
        g = rng.standard_normal(out.shape).astype(x.dtype)
        wanted = np.zeros((6, x_shape[2] * x_shape[3]))
        for plane, where, values in zip(wanted, index.reshape(6, -1), g.reshape(6, -1), strict=True):
            np.add.at(plane, where, values)
        found = kernels.pool_scatter(g, index, x_shape)
        assert found.dtype == x.dtype
        close(found, wanted.reshape(x_shape), 1e-6)


def test_max_pool_keeps_the_first_nan(backend):
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, 0, 1] = x[0, 0, 1, 0] = np.nan
    out, index = kernels.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert np.array_equal(out, [[[[np.nan, 7], [13, 15]]]], equal_nan=True)
    assert np.array_equal(index, [[[[1, 7], [13, 15]]]])


def test_bodies_agree_on_pairs_of_rows_and_columns():
    """Windows of 2x2 side by side have a kernel of their own, in which the rows meet before the columns."""
    pytest.importorskip("numba")
    rng = np.random.default_rng(9)
    for size in [(28, 28), (10, 10), (11, 10), (10, 11), (2, 2), (3, 2), (7, 36)]:
        for dtype, ceil_mode in ((np.float32, False), (np.float64, True)):
            x = rng.integers(-1, 2, (3, 4, *size)).astype(dtype)  # ties in most windows, and each special value
            for value in (np.nan, -np.inf, np.inf, -0.0):
                x[rng.random(x.shape) < 0.15] = value
            found = []
            for name in ("numpy", "numba"):
                with kernels.using(name):
                    found.append(kernels.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), ceil_mode))
            (out, index), (other, place) = found
            assert np.array_equal(out, other, equal_nan=True) and np.array_equal(index, place), size


def test_avg_pool_against_torch(backend):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(9)
    for trial in range(60):
        x_shape, kernel, stride, padding, _, ceil_mode = random_pooling(rng)
        options = kernel, stride, padding, ceil_mode, bool(trial % 2)
        try:
            out = kernels.avg_pool2d(x := rng.standard_normal(x_shape), *options)
        except ValueError:
            continue
        tx = torch.tensor(x, requires_grad=True)
        expected = torch.nn.functional.avg_pool2d(tx, *options)
        close(out, expected.detach().numpy(), 1e-14)
        g = rng.standard_normal(out.shape)
        found = kernels.avg_pool2d_input(g, x_shape, *options)
        close(found, torch.autograd.grad(expected, tx, torch.tensor(g))[0].numpy(), 1e-14)
        single = kernels.avg_pool2d(x.astype(np.float32), *options)
        assert single.dtype == np.float32
        close(single, out, 1e-6)


def test_avg_pool_keeps_infinity(backend):
    x = np.ones((1, 1, 4, 4))
    x[0, 0, 0, 0], x[0, 0, 3, 3] = np.inf, np.nan
    out = kernels.avg_pool2d(x, (2, 2), (2, 2), (0, 0), False, True)
    assert np.array_equal(out, [[[[np.inf, 1], [1, np.nan]]]], equal_nan=True)


# --- Promises of the numba machinery --------------------------------------------------------------------------------

numba_only = pytest.mark.skipif("not __import__('importlib').util.find_spec('numba')")

BIG = [
    ((24, 8, 16, 16), (18, 8, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((40, 6, 20, 20), (12, 3, 5, 5), (2, 2), (2, 2), (1, 1), 2),
    ((40, 32, 8, 8), (32, 1, 3, 3), (1, 1), (1, 1), (1, 1), 32),
    ((40, 6, 14, 14), (16, 6, 5, 5), (1, 1), (0, 0), (1, 1), 1),
]


@numba_only
@pytest.mark.parametrize("geometry", BIG)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_number_of_threads_gives_the_same_bits(geometry, dtype, monkeypatch):
    started = []
    work = threads._Launch.work
    monkeypatch.setattr(threads._Launch, "work", lambda launch: (started.append(launch), work(launch))[1])
    x_shape, w_shape, *options = geometry
    rng = np.random.default_rng(10)
    axes = zip(x_shape[2:], w_shape[2:], *options[:3], strict=True)
    out_shape = (x_shape[0], w_shape[0], *(kernels.conv_output_size(*axis) for axis in axes))
    arrays = list(tensors(rng, (x_shape, w_shape, out_shape), dtype))

    def everything():
        out, index = kernels.max_pool2d(arrays[2], (2, 2), (2, 2), (0, 0), (1, 1), False)
        pooled = kernels.pool_scatter(out, index, arrays[2].shape)
        mean = kernels.avg_pool2d(arrays[2], (3, 3), (1, 1), (1, 1), False, True)
        spread = kernels.avg_pool2d_input(mean, mean.shape, (3, 3), (1, 1), (1, 1), False, True)
        return *three_passes(*arrays, *options), out, index, pooled, mean, spread

    kernels.set_num_threads(1)
    serial = everything()
    started.clear()  # a worker may have come late to a launch of an earlier test
    for count in (2, 2, 3, 7):
        kernels.set_num_threads(count)
        for one, other in zip(everything(), serial, strict=True):
            assert np.array_equal(one, other)
    assert started  # the kernels did run in parallel


@numba_only
def test_every_kernel_is_compiled_once_per_float_type():
    """Writable or not, contiguous or not, aligned or not: each would be a type of its own, compiled for seconds."""
    from minidl.kernels import conv_numba, pool_numba

    rng = np.random.default_rng(12)
    with kernels.using("numba"):
        for dtype in (np.float32, np.float64):
            x, w, g, b = (rng.random(s).astype(dtype) for s in ((2, 4, 4, 4), (4, 4, 3, 3), (2, 4, 4, 4), (4,)))
            odd = np.zeros(x.nbytes + 1, np.uint8)[1:].view(dtype).reshape(x.shape)
            frozen = x.copy()
            frozen.flags.writeable = False
            strange = [awkward(a) for a in (x, w, g, b)]
            for arrays in ((x, w, g, b), strange, (odd, w, odd, None), (frozen, w, frozen, b)):
                three_passes(*arrays, *OPTIONS)
                out, index = kernels.max_pool2d(arrays[0], (2, 2), (2, 2), (0, 0), (1, 1), False)
                for each in (index, awkward(index), index.astype(int)):
                    kernels.pool_gather(arrays[0], each)
                    kernels.pool_scatter(out, each, x.shape)
    for family in (conv_numba, pool_numba):
        for name, kernel in vars(family).items():
            if hasattr(kernel, "signatures") and "no_cpython_wrapper" not in kernel.targetoptions:
                assert len(kernel.signatures) <= 2, name


@numba_only
def test_an_error_in_a_worker_reaches_the_caller():
    index = np.zeros((64, 8, 16, 16), np.int32)
    index[-1, -1] = 10**6
    kernels.set_num_threads(2)
    with kernels.using("numba"), pytest.raises(IndexError):
        kernels.pool_gather(np.zeros((64, 8, 32, 32), np.float32), index)


@numba_only
def test_layouts_stay_inside_their_memory():
    """The convolution kernels index through pointers, unchecked; so the tables they follow are checked here."""
    rng = np.random.default_rng(11)
    for _ in range(300):
        x_shape, w_shape, *options, out_shape = random_geometry(rng, most=20)
        arguments = x_shape, w_shape, out_shape, *options
        forward, long = (layout.forward_layout(*arguments, long=long) for long in (False, True))
        for each in (forward, long, layout.backward_layout(*arguments)):
            tables, (p,) = each.tables, each.tables.plan
            flat = p["ins"] * len(tables.copies) * len(tables.phases) * p["plane"]
            assert each.units > 0 and p["block"] * p["blocks"] >= p["images"] > p["block"] * (p["blocks"] - 1)
            if each is long:
                assert p["chunk"] == p["ins"]  # so small that all channels are laid flat at once
                image = p["out_h"] * p["out_w"]
                assert p["tail"] >= p["block"] * (image % 16) and p["tail"] % 16 == 0
                assert each.scratch >= flat + len(tables.places) * p["tail"] + 4 * p["gap"]
                assert p["gap"] >= p["block"] * image + 15
            else:
                assert each.scratch >= flat + p["split"] * p["run"] and p["split"] % 4 == 0
            for first, end, high, wide, row, col in tables.sets:
                run = ((p["block"] - 1) * p["rows"] + high) * wide
                run = -(-run // 64) * 64  # sums go by 64; those too many are thrown away
                assert run <= p["run"]
                if end > first:
                    assert tables.places[first:end].min() >= 0 <= tables.weights[first:end].min()
                    assert tables.places[first:end].max() + run <= flat
                    assert tables.weights[first:end].max() + (p["outs"] - 1) * p["w_out"] < p["w_group"]
                assert row + (high - 1) * p["out_step_h"] < p["out_h"]
                assert col + (wide - 1) * p["out_step_w"] < p["out_w"]
            for pitch, left, right, source in tables.copies:
                assert right == left or 0 <= left < right <= pitch
                if right > left:
                    assert 0 <= source and source + (right - left - 1) * p["step_w"] < p["width"]


def python(script, **environment):
    """Runs a script in a new process and returns what it printed to (standard output, standard error)."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environment}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


SETUP = """
    import numpy as np
    from minidl import kernels
    rng = np.random.default_rng(0)
    x, w = rng.random((64, 8, 16, 16), np.float32), rng.random((16, 8, 3, 3), np.float32)
    def conv():
        return kernels.conv2d(x, w, None, (1, 1), (1, 1), (1, 1), 1)
"""


@numba_only
@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_threads_and_forks_are_safe(layer):
    """Two threads at once, a child forked after the parent computed, and numba's own parallel loops beside them."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    script = SETUP + """
    import os, sys, threading, warnings
    import numba
    kernels.set_num_threads(2)
    wanted = conv()

    @numba.njit(parallel=True)
    def other(n):
        total = 0
        for i in numba.prange(n):
            total += i
        return total

    assert other(1000) == 499500
    wrong = []
    def loop():
        for _ in range(40):
            if not np.array_equal(conv(), wanted):
                wrong.append(1)
    crowd = [threading.Thread(target=loop) for _ in range(2)]
    for t in crowd: t.start()
    for _ in range(40): other(1000)
    for t in crowd: t.join()
    assert not wrong
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of fork beside threads
        child = os.fork()
    if child == 0:
        fine = kernels.get_num_threads() == 1 and np.array_equal(conv(), wanted)
        kernels.set_num_threads(2)
        fine = fine and np.array_equal(conv(), wanted) and threading.active_count() == 2
        os._exit(0 if fine else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert np.array_equal(conv(), wanted)
    print("done", numba.threading_layer())
    """
    if layer == "omp" and not pytest.importorskip("numba.np.ufunc.omppool", exc_type=ImportError):
        pytest.skip("no OpenMP layer")
    out, _ = python(script, NUMBA_THREADING_LAYER=layer)
    assert out.split() == ["done", layer]


@numba_only
def test_compiling_is_announced_once_and_loading_is_not(tmp_path):
    script = """
    import sys
    import numpy as np
    from minidl import kernels
    assert "numba" not in sys.modules
    said = []
    if "hook" in sys.argv: kernels.announce = said.append
    x, index = np.ones((1, 1, 2, 2), np.float32), np.zeros((1, 1, 1, 1), np.int32)
    with kernels.using("numba"):
        kernels.pool_gather(x, index)
        kernels.pool_gather(x.astype(float), index)
        kernels.pool_scatter(x[:, :, :1, :1], index, x.shape)
    assert "numba" in sys.modules
    print(len(said))
    """
    first, second = (python(script, NUMBA_CACHE_DIR=str(tmp_path))[1] for _ in range(2))
    assert first.count("\n") == 1 and "compiling kernels, once" in first
    assert second == ""
    hooked = script.replace('"hook" in sys.argv', "True")
    assert python(hooked, NUMBA_CACHE_DIR=str(tmp_path / "new")) == ("1\n", "")


@numba_only
def test_without_a_folder_to_write_kernels_still_compile():
    script = """
    import tempfile
    def refuse(*args, **options): raise OSError(30, "read-only file system")
    tempfile.TemporaryFile = refuse
    import numpy as np
    from minidl import kernels
    with kernels.using("numba"):
        print(kernels.pool_gather(np.ones((1, 1, 2, 2)), np.zeros((1, 1, 1, 1), np.int32)).sum())
    """
    out, err = python(script)
    assert out == "1.0\n" and err.count("\n") == 1 and "compiling" in err


@pytest.mark.parametrize("broken", ["missing", "unloadable"])
def test_without_numba_auto_is_numpy_and_numba_is_an_error(broken, tmp_path):
    if broken == "missing":
        block = """
        import sys
        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "numba": raise ModuleNotFoundError("No module named 'numba'", name="numba")
        sys.meta_path.insert(0, Blocker())
        """
    else:
        (tmp_path / "numba.py").write_text("raise ImportError('Numba needs another NumPy')")
        block = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    script = textwrap.dedent(block) + textwrap.dedent("""
        import numpy as np
        from minidl import kernels
        x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
        assert kernels.conv2d(x, w, None, (1, 1), (0, 0), (1, 1), 1).sum() == 16
        assert kernels.backend() == "numpy"
        try:
            kernels.use("numba")
            kernels.conv2d(x, w, None, (1, 1), (0, 0), (1, 1), 1)
        except ImportError as error:
            print(error)
    """)
    out, err = python(script)
    assert "numba" in out and "numpy" in out and err == ""


def test_choice_of_backend():
    for name in ("numpy", "auto"):
        assert python("from minidl import kernels; print(kernels.backend())", MINIDL_KERNELS=name)[0].strip() in (
            ("numpy",) if name == "numpy" else ("numba", "numpy")
        )
    with kernels.using("numpy"):
        assert kernels.backend() == "numpy"
        with pytest.raises(RuntimeError), kernels.using("auto"):
            raise RuntimeError
        assert kernels.backend() == "numpy"
    with pytest.raises(ValueError, match='"numpy", "numba" or "auto"'):
        kernels.use("cuda")
    for wrong in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match="positive integer"):
            kernels.set_num_threads(wrong)


def test_output_sizes_against_counting():
    """A window stands wherever its first tap may start and its last tap still lies in the padded image."""
    for size, kernel, stride, padding, dilation in np.ndindex(7, 4, 3, 3, 2):
        size, kernel, stride, dilation = size + 1, kernel + 1, stride + 1, dilation + 1
        reach = dilation * (kernel - 1)
        starts = [a for a in range(-padding, size + padding, stride) if a + reach < size + padding]
        found = kernels.conv_output_size(size, kernel, stride, padding, dilation)
        assert max(found, 0) == len(starts)
        if found > 0:
            assert kernels.pool_output_size(size, kernel, stride, padding, dilation) == len(starts)
            more = starts[-1] + stride  # ceil mode adds it, if it starts in the image and the last one left some of it
            ceil = len(starts) + (starts[-1] + reach < size + padding - 1 and more < size)
            if padding <= kernel // 2 and dilation == 1:
                assert kernels.pool_output_size(size, kernel, stride, padding, dilation, ceil_mode=True) == ceil
