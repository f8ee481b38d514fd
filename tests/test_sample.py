"""Sampling between pixels: both bodies of the kernels against a literal sum, the public functions against PyTorch."""

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import Tensor, kernels
from minidl.check import gradcheck
from minidl.check.registry import CASES

FLOATS = pytest.mark.parametrize("dtype", [np.float32, np.float64])
ORDERS = pytest.mark.parametrize("orders", [(0, 0), (1, 0), (0, 1), (1, 1)])


def positions(rng, dtype, n=3, places=(4, 5)):
    """In and around an image of 5x4, also on its pixels, far away and nowhere."""
    source = rng.uniform(-2.5, 7, (n, 2, *places))
    source[0, :, :2] = np.rint(source[0, :, :2])
    source[1, :, 0] = [[np.nan, 1e30, -1e30, 2, 2], [1, 1, 1, np.inf, -np.inf]]
    return source.astype(dtype)


def tent(p, size, order):
    """The weights of pixels -1..size for a position p."""
    d = p - np.arange(-1, size + 1)
    if order == 0:
        return np.maximum(0, 1 - np.abs(d))
    return np.where((d >= 0) & (d < 1), -1.0, np.where((d >= -1) & (d < 0), 1.0, 0.0))


def literal(x, source, value, orders):
    """The sum over all pixels of an image with a frame of `value` around it."""
    h, w = x.shape[2:]
    out = np.empty((*x.shape[:2], *source.shape[2:]))
    for n, i, j in np.ndindex(len(x), *source.shape[2:]):
        (u, v), framed = source[n, :, i, j].astype(float), np.pad(x[n].astype(float), ((0, 0), (1, 1), (1, 1)),
                                                                  constant_values=value)  # fmt: skip
        near = -1 <= u < w and -1 <= v < h
        far = value if orders == (0, 0) else 0
        out[n, :, i, j] = framed @ tent(u, w, orders[0]) @ tent(v, h, orders[1]) if near else far
    return out


@FLOATS
@ORDERS
def test_kernel_is_the_sum_over_all_pixels(backend, rng, dtype, orders):
    x, source = rng.standard_normal((3, 2, 5, 4)).astype(dtype), positions(rng, dtype)
    for value in (0.0, 0.7):
        out = kernels.bilinear(x, source, value, orders)
        assert out.dtype == dtype and out.flags.writeable
        tolerance = 1e-12 if dtype == np.float64 else 2e-5
        np.testing.assert_allclose(out, literal(x, source, value, orders), atol=tolerance)


@FLOATS
@ORDERS
def test_spreading_is_the_adjoint_of_reading(backend, rng, dtype, orders):
    x, source = rng.standard_normal((3, 2, 5, 4)).astype(dtype), positions(rng, dtype)
    g = rng.standard_normal((3, 2, 4, 5)).astype(dtype)
    dx = kernels.bilinear_input(g, source, x.shape, orders)
    assert dx.dtype == dtype and dx.shape == x.shape
    there, back = np.vdot(g, kernels.bilinear(x, source, orders=orders)), np.vdot(dx, x)
    assert there == pytest.approx(back, rel=1e-10 if dtype == np.float64 else 1e-4)


def test_positions_on_pixels_are_exact(backend, rng):
    x = rng.standard_normal((2, 3, 6, 5), np.float32)
    rows, columns = np.meshgrid(rng.permutation(6), rng.permutation(5), indexing="ij")
    source = np.broadcast_to(np.stack([columns, rows]), (2, 2, 6, 5)).astype(np.float32)
    for value in (0.0, -7.0):  # the last row and column have no neighbour: what lies there does not count
        np.testing.assert_array_equal(kernels.bilinear(x, source, value), x[:, :, rows, columns])


def test_kernel_shapes(backend, rng):
    x, source = rng.standard_normal((2, 3, 6, 5)), rng.uniform(0, 4, (2, 2, 3, 4))
    expected = kernels.bilinear(x, source)
    other = np.asfortranarray(x), source[:, :, :, ::-1].copy()[:, :, :, ::-1]
    np.testing.assert_array_equal(kernels.bilinear(*other), expected)
    assert kernels.bilinear(x[:0], source[:0]).shape == (0, 3, 3, 4)
    assert kernels.bilinear(x[:, :0], source).shape == (2, 0, 3, 4)
    assert kernels.bilinear(x, source[:, :, :0]).shape == (2, 3, 0, 4)
    assert (kernels.bilinear_input(np.zeros((2, 3, 0, 4)), source[:, :, :0], x.shape) == 0).all()


def test_many_threads_compute_the_same(rng, kernels_as_before):
    pytest.importorskip("numba")
    kernels.use("numba")
    x, source = rng.standard_normal((40, 3, 32, 32)), rng.uniform(-2, 33, (40, 2, 32, 32))
    results = []
    for count in (1, 3):
        kernels.set_num_threads(count)
        results.append((kernels.bilinear(x, source), kernels.bilinear_input(x, source, x.shape)))
    for one, three in zip(*results, strict=True):
        np.testing.assert_array_equal(one, three)


def test_kernel_errors(rng):
    x, source = np.zeros((2, 3, 4, 4), np.float32), np.zeros((2, 2, 4, 4), np.float32)
    with pytest.raises(ValueError, match=r"bilinear: x \(3, 4, 4\) must be \(N, C, H, W\)"):
        kernels.bilinear(x[0], source)
    with pytest.raises(ValueError, match=r"source \(1, 2, 4, 4\)"):
        kernels.bilinear(x, source[:1])
    with pytest.raises(ValueError, match="no pixels"):
        kernels.bilinear(x[:, :, :0], source)
    with pytest.raises(TypeError, match="x float32, source float64"):
        kernels.bilinear(x, source.astype(float))
    with pytest.raises(ValueError, match="g has shape"):
        kernels.bilinear_input(x[:, :1], source, x.shape)


# --- the differentiable functions -------------------------------------------------------------------------------------


@FLOATS
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sample_is_torchs(backend, torch, rng, dtype, mode, padding_mode, align_corners):
    x, grid = rng.standard_normal((3, 2, 5, 7)).astype(dtype), rng.uniform(-3.5, 3.5, (3, 4, 6, 2)).astype(dtype)
    ours, theirs = ([make(a) for a in (x, grid)] for make in (lambda a: Tensor(a, requires_grad=True),
                                                              lambda a: torch.tensor(a, requires_grad=True)))
    y = F.grid_sample(*ours, mode, padding_mode, align_corners)
    expected = torch.nn.functional.grid_sample(*theirs, mode, padding_mode, align_corners)
    g = rng.standard_normal(y.shape).astype(dtype)
    y.backward(g)
    expected.backward(torch.tensor(g))
    for a, b in zip((y, ours[0].grad, ours[1].grad), (expected, theirs[0].grad, theirs[1].grad), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), atol=1e-11 if dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_an_image_of_one_pixel(torch, padding_mode):
    x, grid = np.full((1, 1, 1, 1), 2.0), np.linspace(-2.2, 2.3, 8).reshape(1, 2, 2, 2)
    for align_corners in (False, True):
        y = F.grid_sample(x, grid, "bilinear", padding_mode, align_corners)
        expected = torch.nn.functional.grid_sample(torch.tensor(x), torch.tensor(grid), "bilinear", padding_mode,
                                                   align_corners)  # fmt: skip
        np.testing.assert_allclose(y, expected.numpy(), atol=1e-12)


@FLOATS
@pytest.mark.parametrize("align_corners", [False, True])
def test_affine_grid_is_torchs(torch, rng, dtype, align_corners):
    theta, size = rng.standard_normal((2, 2, 3)).astype(dtype), (2, 3, 4, 5)
    grid = F.affine_grid(theta, size, align_corners)
    expected = torch.nn.functional.affine_grid(torch.tensor(theta), size, align_corners)
    assert grid.dtype == dtype
    np.testing.assert_allclose(grid, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("case", [c for c in CASES if "grid" in c.name], ids=str)
def test_derivatives_of_the_compiled_kernels(case, rng):
    """The registry checks what "auto" chooses for few numbers, which is NumPy."""
    pytest.importorskip("numba")
    f, arrays = case.problem(rng)
    with kernels.using("numba"):
        assert gradcheck(f, arrays)


def test_hessian_between_pixels(backend, rng):
    """By hand: in one cell the value is bilinear in the position, so that only the mixed derivative is not zero."""
    x = rng.standard_normal((1, 1, 2, 2))
    hessian = minidl.hessian(lambda p: F.grid_sample(x, p.reshape(1, 1, 1, 2), align_corners=True).sum(),
                             Tensor(np.array([0.2, -0.3])))  # fmt: skip
    twist = (x[0, 0, 0, 0] - x[0, 0, 0, 1] - x[0, 0, 1, 0] + x[0, 0, 1, 1]) / 4  # a pixel is two units
    np.testing.assert_allclose(np.asarray(hessian), [[0, twist], [twist, 0]], atol=1e-12)


def test_identity_and_turns(backend, rng):
    x = Tensor(rng.standard_normal((2, 3, 6, 6)))
    for k, (c, s) in enumerate([(1, 0), (0, 1), (-1, 0), (0, -1)]):
        theta = Tensor(np.broadcast_to([[c, -s, 0.0], [s, c, 0]], (2, 2, 3)).astype(float))
        turned = F.grid_sample(x, F.affine_grid(theta, x.shape))
        np.testing.assert_allclose(turned.numpy(), np.rot90(x.numpy(), k, (2, 3)), atol=1e-12)


def test_errors(rng):
    x, grid = np.zeros((2, 3, 4, 4)), np.zeros((2, 5, 5, 2))
    with pytest.raises(ValueError, match="mode is one of bilinear, nearest, not 'bicubic'"):
        F.grid_sample(x, grid, "bicubic")
    with pytest.raises(ValueError, match="padding_mode is one of zeros, border, reflection, not 'reflect'"):
        F.grid_sample(x, grid, padding_mode="reflect")
    for bad in (grid[:1], grid[..., :1], grid[0]):
        with pytest.raises(ValueError, match="grid_sample: input .* must be"):
            F.grid_sample(x, bad)
    with pytest.raises(TypeError, match="need one dtype"):
        F.grid_sample(x, grid.astype(np.float32))
    with pytest.raises(ValueError, match="theta .* must be"):
        F.affine_grid(np.zeros((2, 2, 3)), (3, 1, 4, 4))


def test_a_position_that_is_no_number_gives_none():
    grid = np.zeros((1, 1, 2, 2))
    grid[0, 0, 0, 1] = np.nan
    for padding in ("zeros", "border", "reflection"):
        out = minidl.grid_sample(minidl.ones(1, 2, 4, 4, dtype=np.float64), grid, padding_mode=padding).numpy()
        assert np.isnan(out[..., 0]).all() and (out[..., 1] == 1).all()
