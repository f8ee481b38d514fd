"""Random geometries: every kernel against sums written out as matrices, inside guarded memory, on one and more threads.

The oracle is the definition itself in float64. A[i, y, r] is 1 where tap i of place y reads position r of one axis, and

    out[n, o, y, q] = sum over c, i, j, r, s of w[o, c, i, j] A[i, y, r] B[j, q, s] x[n, c, r, s]

is linear in x, in w and in the upstream gradient; the two gradients are the same sum with another letter free.
"""

import contextlib
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from minidl import kernels
from minidl.kernels import threads

numba_only = pytest.mark.skipif("not __import__('importlib').util.find_spec('numba')")
TOLERANCE = {np.dtype(np.float32): 3e-6, np.dtype(np.float64): 1e-13}


# --- Oracles --------------------------------------------------------------------------------------------------------


def axis_reads(size, kernel, places, stride, padding, dilation):
    """A[i, y, r]: does tap i of place y read position r?"""
    tap, place, position = np.ogrid[:kernel, :places, :size]
    return (stride * place + dilation * tap - padding == position).astype(float)


def oracle(x, w, g, options, groups):
    """The three passes; z counts the groups."""
    a, b = (axis_reads(*axis) for axis in zip(x.shape[2:], w.shape[2:], g.shape[2:], *options, strict=True))
    shapes = g.shape, x.shape, w.shape
    x, g = (t.reshape(len(t), groups, -1, *t.shape[2:]) for t in (x, g))
    w = w.reshape(groups, -1, *w.shape[1:])
    seen = np.einsum("iyr,nzcrjq->nzciyjq", a, np.einsum("jqs,nzcrs->nzcrjq", b, x, optimize=True), optimize=True)
    out = np.einsum("zocij,nzciyjq->nzoyq", w, seen, optimize=True)
    dw = np.einsum("nzoyq,nzciyjq->zocij", g, seen, optimize=True)
    shares = np.einsum("zocij,nzoyq->nzciyjq", w, g, optimize=True)
    dx = np.einsum("iyr,nzciys->nzcrs", a, np.einsum("jqs,nzciyjq->nzciys", b, shares, optimize=True), optimize=True)
    return [t.reshape(shape) for t, shape in zip((out, dx, dw), shapes, strict=True)]


def max_oracle(x, sizes, kernel, stride, padding, dilation):
    """Values and flat positions, all windows gathered: (N, C, Ho, Wo, taps)."""
    axes = zip(x.shape[2:], sizes, kernel, stride, padding, dilation, strict=True)
    (rows, h), (cols, w) = ((np.arange(n)[:, None] * s + np.arange(k) * d - p, size) for size, n, k, s, p, d in axes)
    rows, cols = rows[:, None, :, None], cols[None, :, None, :]
    inside = ((rows >= 0) & (rows < h) & (cols >= 0) & (cols < w)).reshape(*sizes, -1)
    place = np.broadcast_to(rows * w + cols, (*sizes, *kernel)).reshape(*sizes, -1)
    seen = np.where(inside, x.reshape(*x.shape[:2], -1)[..., np.where(inside, place, 0)], -np.inf)
    tap = np.where(seen.max(axis=-1) == -np.inf, inside.argmax(axis=-1), seen.argmax(axis=-1))[..., None]
    take = np.take_along_axis
    return take(seen, tap, -1)[..., 0], take(np.broadcast_to(place, seen.shape), tap, -1)[..., 0]


def mean_oracle(x, sizes, kernel, stride, padding, count_include_pad):
    """Per axis a matrix (places, size); a window that reaches over the padding's end counts only up to there."""
    matrices, counts = [], []
    for size, n, k, s, p in zip(x.shape[2:], sizes, kernel, stride, padding, strict=True):
        matrices.append(axis_reads(size, k, n, s, p, 1).sum(axis=0))
        taps = [[y * s + i - p for i in range(k)] for y in range(n)]
        low, high = (-p, size + p) if count_include_pad else (0, size)
        counts.append(np.array([sum(low <= r < high for r in window) for window in taps]))
    return *matrices, counts[0][:, None] * counts[1]


# --- Memory with guards ---------------------------------------------------------------------------------------------


def guarded(array):
    """A copy in the middle of a larger buffer, aligned like an array of NumPy's; and that buffer's two ends."""
    room = 4096 // array.itemsize
    buffer = np.empty(array.size + 2 * room + 64, array.dtype)
    shift = -buffer.ctypes.data % 64 // array.itemsize
    buffer.view(np.uint8)[...] = 0xFF if array.dtype.kind == "f" else 0x7F  # NaN, or a number far outside
    middle = buffer[shift + room : shift + room + array.size]
    middle[...] = array.reshape(-1)
    ends = buffer[: shift + room], buffer[shift + room + array.size :]
    return middle.reshape(array.shape), [(end.view(np.uint8), end.view(np.uint8).copy()) for end in ends]


@contextlib.contextmanager
def guards(count):
    """Kernels on `count` threads, however small the work, with all their arrays and their scratch guarded."""
    run, scratch, ends = threads.run, threads._scratch, []

    def guarded_scratch(size, dtype):
        memory, edges = guarded(np.full(size, np.nan, dtype))  # what an earlier kernel left may be anything
        ends.extend(edges)
        return memory

    def guarded_run(kernel, units, cost, args, *more, **options):
        copies = []
        for array in args:
            if isinstance(array, np.ndarray) and array.dtype.names is None:
                copy, edges = guarded(array)
                copy.flags.writeable = array.flags.writeable
                ends.extend(edges)
                copies.append(copy)
            else:
                copies.append(array)
        run(kernel, units, 1e9, tuple(copies), *more, **options)
        for array, copy in zip(args, copies, strict=True):
            if isinstance(array, np.ndarray) and array.flags.writeable:
                array[...] = copy

    before = kernels.get_num_threads()
    threads.run, threads._scratch = guarded_run, guarded_scratch
    kernels.set_num_threads(count)
    try:
        yield
    finally:
        threads.run, threads._scratch = run, scratch
        kernels.set_num_threads(before)
    assert all(np.array_equal(now, then) for now, then in ends)


def every_way(compute, backend):
    """What `compute()` returns: twice as it is, then guarded and on three threads. All the same bits."""
    first = compute()
    ways = [compute()]
    if backend == "numba":
        with guards(3):
            ways.append(compute())
    for way in ways:
        for one, other in zip(first, way, strict=True):
            assert one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return first


def close(found, expected, dtype, terms):
    scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
    assert found.shape == expected.shape and found.dtype == dtype
    assert np.max(np.abs(found - expected), initial=0) <= TOLERANCE[np.dtype(dtype)] * scale * max(1, terms**0.5 / 4)


# --- Convolution ----------------------------------------------------------------------------------------------------


def random_convolution(rng):
    """(x_shape, w_shape, out_shape, (stride, padding, dilation), groups)"""
    while True:
        groups, ins, outs = (int(rng.choice(c)) for c in ([1, 1, 1, 2, 3], [1, 2, 3, 7, 18], [1, 2, 4, 5, 9]))
        if rng.random() < 0.1:
            groups, ins = int(rng.integers(1, 9)), 1  # depthwise
        kernel, stride, padding, dilation = (
            tuple(int(v) for v in rng.integers(low, high, 2)) for low, high in ((1, 6), (1, 5), (0, 6), (1, 4))
        )
        stride = [(1, 1), (2, 2), stride][rng.integers(3)]
        dilation = (1, 1) if rng.random() < 0.6 else dilation
        size = tuple(int(v) for v in rng.integers(1, rng.choice([4, 10, 24]), 2))
        axes = zip(size, kernel, stride, padding, dilation, strict=True)
        sizes = tuple(kernels.conv_output_size(*axis) for axis in axes)
        if min(sizes) > 0:
            n = int(rng.integers(1, 20 if max(size) < 10 else 4))
            options = stride, padding, dilation
            return (n, groups * ins, *size), (groups * outs, ins, *kernel), (n, groups * outs, *sizes), options, groups


def three_passes(x, w, g, b, options, groups):
    return (
        kernels.conv2d(x, w, b, *options, groups), kernels.conv2d_input(g, w, x.shape, *options, groups),
        kernels.conv2d_weight(g, x, w.shape, *options, groups),
    )  # fmt: skip


def fuzz_convolution(backend, trials, seed, dtypes=(np.float64, np.float32)):
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        x_shape, w_shape, g_shape, options, groups = geometry = random_convolution(rng)
        single = [rng.standard_normal(s).astype(np.float32) for s in (x_shape, w_shape, g_shape, w_shape[:1])]
        x, w, g, b = (a.astype(float) for a in single)
        out, dx, dw = oracle(x, w, g, options, groups)
        wanted, terms = (out + b[:, None, None], dx, dw), (w[0].size, w[:, 0].size, g[:, 0].size)
        for dtype in dtypes:
            arrays = single if dtype == np.float32 else (x, w, g, b)
            try:
                found = every_way(partial(three_passes, *arrays, options, groups), backend)
                for one, other, count in zip(found, wanted, terms, strict=True):
                    close(one, other, dtype, count)
            except AssertionError as error:
                raise AssertionError(f"{geometry} {np.dtype(dtype)}") from error


def fuzz_bad_numbers(backend, trials, seed):
    """NaN and infinity reach exactly the results that they have a part in, and infinity stays infinity."""
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        x_shape, w_shape, g_shape, options, groups = geometry = random_convolution(rng)
        good = [rng.standard_normal(shape) for shape in (x_shape, w_shape, g_shape)]
        for bad, which in ((np.nan, 0), (np.inf, 0), (np.nan, 2), (np.inf, 2)):  # in x, then in g
            place = tuple(int(rng.integers(size)) for size in good[which].shape)
            spoilt, clean, mark = [a.copy() for a in good], [a.copy() for a in good], [np.ones_like(a) for a in good]
            spoilt[which][place], clean[which][place] = bad, 0
            mark[which][...] = 0
            mark[which][place] = 1
            x, w, g = spoilt
            with np.errstate(invalid="ignore"):
                found = every_way(partial(three_passes, x, w, g, None, options, groups), backend)
            for k, (result, part, value) in enumerate(
                zip(found, oracle(*mark, options, groups), oracle(*clean, options, groups), strict=True)
            ):
                touched = part > 0.5
                if (which, k) in ((0, 1), (2, 0)):  # x has no part in dx, nor g in out
                    touched[...] = False
                if (which, k) == (2, 2):  # the padding too: 0 * nan may have its part in every weight of the filter
                    touched[place[1]] |= ~np.isfinite(result[place[1]])
                assert np.array_equal(~np.isfinite(result), touched), geometry
                assert np.isnan(bad) or (which, k) == (2, 2) or not np.isnan(result).any(), geometry
                close(np.where(touched, 0, result), np.where(touched, 0, value), np.float64, w.size + g.size)


# --- Pooling --------------------------------------------------------------------------------------------------------


def fuzz_pooling(backend, trials, seed, dtypes=(np.float64, np.float32)):
    rng, done = np.random.default_rng(seed), 0
    while done < trials:
        kernel, stride, dilation = (tuple(int(v) for v in rng.integers(1, high, 2)) for high in (6, 5, 4))
        stride, dilation = ((stride, kernel)[rng.integers(2)], ((1, 1), dilation)[rng.integers(2)])
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        shape = (int(rng.integers(1, 4)), int(rng.integers(1, 4)), *(int(v) for v in rng.integers(1, 26, 2)))
        ceil_mode, include, x = bool(rng.integers(2)), bool(rng.integers(2)), rng.integers(-2, 3, shape).astype(float)
        x.flat[rng.integers(x.size, size=x.size // 8)] = rng.choice([np.nan, np.inf, -np.inf])
        geometry = shape, kernel, stride, padding, dilation, ceil_mode, include
        try:
            kernels.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
            kernels.avg_pool2d(x, kernel, stride, padding, ceil_mode, include)
        except ValueError:  # some window would hold no input
            continue
        done += 1
        smooth = rng.standard_normal(shape)
        for dtype in dtypes:
            try:
                _check_pools(backend, rng, x.astype(dtype), smooth.astype(dtype), *geometry[1:])
            except AssertionError as error:
                raise AssertionError(f"{geometry} {np.dtype(dtype)}") from error


def _check_pools(backend, rng, x, smooth, kernel, stride, padding, dilation, ceil_mode, include):
    options = kernel, stride, padding, dilation, ceil_mode
    out, index = every_way(lambda: kernels.max_pool2d(x, *options), backend)
    values, places = max_oracle(x, out.shape[2:], *options[:4])
    assert np.array_equal(out, values, equal_nan=True) and np.array_equal(index, places)
    g = rng.standard_normal(out.shape).astype(x.dtype)
    gathered, dx = every_way(lambda: (kernels.pool_gather(x, index), kernels.pool_scatter(g, index, x.shape)), backend)
    assert np.array_equal(gathered, out, equal_nan=True)
    wanted = np.zeros((x.shape[0] * x.shape[1], x.shape[2] * x.shape[3]))
    np.add.at(wanted, (np.arange(len(wanted))[:, None], index.reshape(len(wanted), -1)), g.reshape(len(wanted), -1))
    close(dx, wanted.reshape(x.shape), x.dtype, 25)

    options = kernel, stride, padding, ceil_mode, include
    sizes = kernels.avg_pool2d(smooth, *options).shape[2:]
    a, b, counts = mean_oracle(smooth, sizes, kernel, stride, padding, include)
    g = rng.standard_normal((*x.shape[:2], *sizes)).astype(x.dtype)
    mean, spread = every_way(
        lambda: (kernels.avg_pool2d(smooth, *options), kernels.avg_pool2d_input(g, x.shape, *options)), backend
    )
    close(mean, a @ smooth.astype(float) @ b.T / counts, x.dtype, 25)
    close(spread, a.T @ (g.astype(float) / counts) @ b, x.dtype, 25)


# --- Tests ----------------------------------------------------------------------------------------------------------


def test_convolution(backend):
    fuzz_convolution(backend, 500 if backend == "numba" else 150, seed=1)


def test_convolution_keeps_nan_and_infinity(backend):
    fuzz_bad_numbers(backend, 25, seed=2)


def test_pooling(backend):
    fuzz_pooling(backend, 500 if backend == "numba" else 150, seed=3)


@numba_only
@pytest.mark.programs
def test_with_bounds_checked(tmp_path):
    """Array accesses checked by numba, in kernels compiled for this; what goes through pointers has guards above."""
    script = (
        "import numpy as np, test_kernels_fuzz as fuzz\n"
        "fuzz.fuzz_convolution('numba', 30, 4, [np.float32])\n"
        "fuzz.fuzz_pooling('numba', 30, 5, [np.float32])\n"
    )
    here = Path(__file__).resolve().parent
    environment = {
        **os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path), "MINIDL_KERNELS": "numba",
        "PYTHONPATH": f"{here}{os.pathsep}{here.parent}",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_nothing_is_left_over_from_the_block_before():
    """The last block of images is shorter, and what fills its last vector must not be a NaN of another channel."""
    pytest.importorskip("numba")
    rng = np.random.default_rng(11)
    x, g = rng.standard_normal((9, 130, 11, 11)), rng.standard_normal((9, 8, 11, 11))
    options = (1, 1), (1, 1), (1, 1), 1
    with kernels.using("numpy"):
        expected = kernels.conv2d_weight(g, x, (8, 130, 3, 3), *options)
    x[:, 129] = np.nan
    before = kernels.get_num_threads()
    kernels.set_num_threads(1)
    try:
        with kernels.using("numba"):
            found = kernels.conv2d_weight(g, x, (8, 130, 3, 3), *options)
    finally:
        kernels.set_num_threads(before)
    assert np.isnan(found[:, 129]).all()
    np.testing.assert_allclose(found[:, :129], expected[:, :129], rtol=1e-10, atol=1e-10)
