"""dtype in = dtype out; integers hold no gradient; and numbers at the edge of what floats can hold."""


import numpy as np
import pytest

import minidl
from minidl import Tensor
from minidl.nn import functional as F

FLOATS = [np.float32, np.float64]
each_float = pytest.mark.parametrize("dtype", FLOATS)


def leaf(values, dtype):
    return Tensor(np.asarray(values, dtype), requires_grad=True)


# --- what a tensor is made of ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32), ([1.5, 2], np.float32), (np.ones(2), np.float64), (np.float64(1.5), np.float64),
        (3, np.int64),
        ([1, 2], np.int64), (True, np.bool_), (np.ones(2, np.float32), np.float32),
        (np.arange(3, dtype=np.uint8), np.uint8),
        (Tensor(np.ones(2)), np.float64), ([], np.float32), (((1.0, 2.0), (3.0, 4.0)), np.float32),
    ],
)  # fmt: skip
def test_creation(data, dtype):
    assert Tensor(data).dtype == dtype
    assert Tensor(data, np.float64).dtype == np.float64


@pytest.mark.parametrize(
    ("t", "dtype"),
    [
        (lambda: minidl.zeros(2, 3), np.float32), (lambda: minidl.ones((2, 3)), np.float32),
        (lambda: minidl.eye(3), np.float32),
        (lambda: minidl.full((2,), 7), np.float32), (lambda: minidl.arange(3), np.int64),
        (lambda: minidl.arange(0, 1, 0.5), np.float32),
        (lambda: minidl.linspace(0, 1, 3), np.float32), (lambda: minidl.randn(2), np.float32),
        (lambda: minidl.rand(2), np.float32),
        (lambda: minidl.randn(2, dtype=np.float64), np.float64),
        (lambda: minidl.zeros_like(Tensor(np.ones(2))), np.float64),
        (lambda: minidl.ones_like(Tensor([1])), np.int64),
    ],
)  # fmt: skip
def test_new_tensors(t, dtype):
    assert t().dtype == dtype


@pytest.mark.parametrize("make", [lambda: Tensor([1, 2], requires_grad=True), lambda: Tensor(True, requires_grad=True),
                                  lambda: Tensor([1]).requires_grad_(),
                                  lambda: minidl.zeros(2, dtype=int, requires_grad=True)])
def test_integers_hold_no_gradient(make):
    with pytest.raises(TypeError, match=r"only floating dtypes hold gradients.*use \.float\(\) first"):
        make()


def test_integers_take_part_without_a_gradient():
    x = leaf([1.0, 2.0, 3.0], np.float32)
    y = (x * Tensor([1, 2, 3])).sum()
    y.backward()
    assert x.grad.dtype == np.float32
    i = x.astype(int)
    assert not i.requires_grad and i.dtype == np.int64
    assert not x.astype(bool).requires_grad


# --- arithmetic with everything --------------------------------------------------------------------------------------

OTHERS = {
    "int": 2, "float": 2.0, "bool": True, "np.float64": np.float64(2), "np.float32": np.float32(2),
    "np.int64": np.int64(2),
    "0-d int array": np.array(2), "int array": np.array([1, 2, 3]), "int8 array": np.array([1, 2, 3], np.int8),
    "uint8 array": np.array([1, 2, 3], np.uint8), "mask": np.array([True, False, True]),
    "int tensor": Tensor([1, 2, 3]),
    "int scalar tensor": Tensor(2), "bool tensor": Tensor([True, True, False]), "list": [1, 2, 3], "int64 huge": 2**40,
}  # fmt: skip
BINARY = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "maximum": minidl.maximum, "minimum": minidl.minimum, "where": lambda a,
    b: minidl.where(np.array([True, False, True]), a, b),
}  # fmt: skip


@each_float
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("name", BINARY)
def test_the_tensor_decides(dtype, other, name):
    """Python and NumPy scalars, integers and masks are weak: the floating tensor's dtype stays."""
    f = BINARY[name]
    for swapped in (False, True):
        if name == "div" and swapped is False and "bool" in str(getattr(other, "dtype", "")):
            continue  # division by zero
        x = leaf([1.0, 2.0, 3.5], dtype)
        out = f(other, x) if swapped else f(x, other)
        assert isinstance(out, Tensor) and out.dtype == dtype
        (g,) = minidl.grad(out.sum(), x, create_graph=True)
        assert g.dtype == dtype
        raw = getattr(other, "_array", np.asarray(other))
        reference = f(raw, x.numpy()) if swapped else f(x.numpy(), raw)
        np.testing.assert_allclose(out.numpy(), reference, rtol=1e-6)


@each_float
def test_powers(dtype):
    x = leaf([1.0, 2.0, 3.0], dtype)
    for out in (x**2, x**2.0, x ** np.float64(2), x ** np.array([1, 2, 3]), 2**x, 2.0**x, np.float64(2) ** x, x**-1,
        x**0.5):
        assert out.dtype == dtype and minidl.grad(out.sum(), x)[0].dtype == dtype


@each_float
@pytest.mark.parametrize("other", [np.arange(6).reshape(2, 3), Tensor(np.arange(6).reshape(2, 3))])
def test_products_with_integers(dtype, other):
    w = leaf(np.ones((3, 2)), dtype)
    outs = [minidl.matmul(other, w), minidl.linear(other, w.T), minidl.einsum("ij,jk->ik", other, w),
        minidl.concat([other, w.T])]
    for out in outs:
        assert out.dtype == dtype and minidl.grad(out.sum(), w)[0].dtype == dtype


def test_two_floating_dtypes_make_the_wider_and_each_gradient_keeps_its_own():
    a, b = leaf([1.0, 2.0], np.float32), leaf([3.0, 4.0], np.float64)
    for out in (a * b, a @ b, minidl.concat([a, b]), minidl.maximum(a, b)):
        assert out.dtype == np.float64
        assert [g.dtype for g in minidl.grad(out, [a, b], Tensor(np.ones(out.shape)))] == [np.float32, np.float64]


@each_float
def test_casts_pass_gradients(dtype):
    x = leaf([1.0, 2.0], dtype)
    for out, expected in ((x.float(), np.float32), (x.double(), np.float64), (x.astype(np.float32), np.float32),
        (x.clone(), dtype)):
        assert out.dtype == expected and not np.may_share_memory(out.numpy(), x.numpy())
        (g,) = minidl.grad((out * out).sum(), x)
        assert g.dtype == dtype
        np.testing.assert_allclose(g.numpy(), [2.0, 4.0])


@each_float
def test_the_seed_and_the_accumulated_gradient_take_the_tensors_dtype(dtype):
    x = leaf([1.0, 2.0], dtype)
    for seed in (np.ones(2), np.ones(2, np.float32), Tensor([1, 1]), [1.0, 1.0]):
        (x * 2.0).backward(seed)
        assert x.grad.dtype == dtype
    np.testing.assert_allclose(x.grad.numpy(), [8.0, 8.0])


@each_float
def test_derivatives_of_functions(dtype):
    x = np.array([0.5, 1.5], dtype)
    f = lambda t: (minidl.tanh(t) ** 2).sum()  # noqa: E731
    assert {minidl.hessian(f, x).dtype, minidl.jacobian(minidl.tanh, x).dtype,
        minidl.hvp(f, x, [1.0, 0.0]).dtype} == {np.dtype(dtype)}


# --- the edge of the numbers -----------------------------------------------------------------------------------------

ACTIVATIONS = {
    "relu": F.relu, "leaky_relu": F.leaky_relu, "sigmoid": F.sigmoid, "sigmoid beta": lambda x: F.sigmoid(x, 3.0),
    "tanh": F.tanh,
    "softplus": F.softplus, "softplus beta": lambda x: F.softplus(x, 5.0), "silu": F.silu,
    "swish": lambda x: F.swish(x, 2.0), "elu": F.elu,
    "gelu": F.gelu, "gelu tanh": lambda x: F.gelu(x, "tanh"), "erf": minidl.erf, "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    "logsumexp": lambda x: minidl.logsumexp(x, -1, True), "normalize": lambda x: minidl.standardize(x, -1),
    "abs": minidl.abs,
    "clip": lambda x: minidl.clip(x, -1.0, 1.0), "norm": lambda x: minidl.norm(x, 2, -1),
    "std": lambda x: minidl.std(x, -1, correction=0),
}  # fmt: skip
TINY = float(np.finfo(np.float32).smallest_subnormal)
EXTREMES = {
    "large": [1e4, -1e4, 0.0, 1.0], "all large": [1e4] * 4, "all small": [-1e4] * 4,
    "subnormal": [TINY, -TINY, TINY * 2, 0.0],
    "zeros": [0.0] * 4, "minus zero": [-0.0, 0.0, -0.0, 1.0], "single": [2.0], "single large": [-1e4],
    "wide": [1e4, -1e4, 1e-30, -1e-30],
}  # fmt: skip


@each_float
@pytest.mark.parametrize("values", EXTREMES.values(), ids=EXTREMES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_at_the_edge(dtype, values, name):
    """Value, gradient and second derivative are finite, with warnings as errors, and the value is that of float64."""
    x, f = leaf([values], dtype), ACTIVATIONS[name]
    out = f(x)
    (g,) = minidl.grad(out, x, Tensor(np.ones(out.shape, dtype), requires_grad=True), create_graph=True)
    second = minidl.grad((g * g).sum(), x, allow_unused=True)[0] if g.requires_grad else None
    for t in (out, g, second):
        assert t is None or (t.dtype == dtype and np.isfinite(t.detach().numpy()).all())
    wide = f(np.asarray([values], np.float64))
    np.testing.assert_allclose(out.numpy(), wide, rtol=1e-5, atol=1e-6 if name != "std" else 1e-2)


@pytest.mark.parametrize(
    ("f", "x", "value", "slope"),
    [
        (F.sigmoid, -1e4, 0.0, 0.0), (F.sigmoid, 1e4, 1.0, 0.0), (F.softplus, 1e4, 1e4, 1.0),
        (F.softplus, -1e4, 0.0, 0.0),
        (F.silu, -1e4, 0.0, 0.0), (F.silu, 1e4, 1e4, 1.0), (F.gelu, -1e4, 0.0, 0.0), (F.gelu, 1e4, 1e4, 1.0),
        (F.elu, -1e4, -1.0, 0.0),
        (F.relu, 0.0, 0.0, 0.0), (minidl.abs, 0.0, 0.0, 0.0), (F.tanh, 1e4, 1.0, 0.0), (minidl.erf, 1e4, 1.0, 0.0),
        (lambda x: minidl.norm(x), 0.0, 0.0, 0.0), (lambda x: minidl.std(x, correction=0), 3.0, 0.0, 0.0),
        (F.leaky_relu, 0.0, 0.0, 0.01),
        (lambda x: x**2, 0.0, 0.0, 0.0), (lambda x: x**0, 0.0, 1.0, 0.0), (lambda x: x**1, 0.0, 0.0, 1.0),
        (minidl.sign, 0.0, 0.0, 0.0),
        (lambda x: minidl.clip(x, 0.0, 1.0), 0.0, 0.0, 1.0), (lambda x: minidl.maximum(x, 0.0), 0.0, 0.0, 0.5),
    ],
)  # fmt: skip
def test_limits_and_kinks(f, x, value, slope):
    t = leaf([x], np.float64)
    out = f(t)
    assert float(out) == value and float(minidl.grad(out.sum(), t)[0]) == slope


LOSSES = {
    "cross_entropy": lambda x: F.cross_entropy(x, np.arange(len(x)) % 3),
    "smoothed": lambda x: F.cross_entropy(x, np.arange(len(x)) % 3, label_smoothing=0.1),
    "probabilities": lambda x: F.cross_entropy(x, np.full(x.shape, 1 / 3, x.dtype)),
    "nll": lambda x: F.nll_loss(F.log_softmax(x), np.arange(len(x)) % 3),
    "bce": lambda x: F.binary_cross_entropy_with_logits(x, np.ones(x.shape, x.dtype)),
    "bce 0": lambda x: F.binary_cross_entropy_with_logits(x, np.zeros(x.shape, x.dtype)),
    "bce of sigmoid": lambda x: F.binary_cross_entropy(F.sigmoid(x), np.ones(x.shape, x.dtype)),
    "hinge": lambda x: F.multi_margin_loss(x, np.arange(len(x)) % 3),
    "mse": lambda x: F.mse_loss(x, np.zeros(x.shape, x.dtype)),
    "l1": lambda x: F.l1_loss(x, np.zeros(x.shape, x.dtype)),
    "huber": lambda x: F.huber_loss(x, np.zeros(x.shape, x.dtype)),
    "smooth_l1": lambda x: F.smooth_l1_loss(x, np.zeros(x.shape, x.dtype)),
}  # fmt: skip
LOGITS = {
    "large": [[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [0.0, 0.0, -1e4]], "equal": [[1e4] * 3] * 2,
    "subnormal": [[TINY, -TINY, 0.0]], "one": [[1e4, -1e4, 3.0]],
}  # fmt: skip


@each_float
@pytest.mark.parametrize("values", LOGITS.values(), ids=LOGITS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_at_the_edge(dtype, values, name):
    x = leaf(values, dtype)
    loss = LOSSES[name](x)
    loss.backward()
    assert loss.dtype == x.grad.dtype == dtype
    assert np.isfinite(loss.numpy()) and loss.item() >= 0 and np.isfinite(x.grad.numpy()).all()


EMPTY = {
    **{n: ACTIVATIONS[n] for n in ACTIVATIONS if n not in ("logsumexp", "norm", "std", "normalize")},
    "exp": minidl.exp, "sum": minidl.sum, "prod": minidl.prod,
    "reshape": lambda x: minidl.reshape(x, -1), "matmul": lambda x: x @ np.ones((3, 2), x.dtype),
    "transpose": lambda x: x.T, "getitem": lambda x: x[:0],
    "cumsum": lambda x: minidl.cumsum(x, 0), "mean of rows": lambda x: minidl.mean(x, 1),
    "max of rows": lambda x: minidl.max(x, 1),
    "logsumexp": lambda x: minidl.logsumexp(x, 0), "softmax of columns": lambda x: minidl.softmax(x, 0),
    "norm": lambda x: minidl.norm(x, 2, 0),
    "concat": lambda x: minidl.concat([x, x]), "stack": lambda x: minidl.stack([x, x]),
    "pad": lambda x: minidl.pad(x, 1), "flip": minidl.flip,
    "linear": lambda x: minidl.linear(x, np.ones((2, 3), x.dtype)), "einsum": lambda x: minidl.einsum("ij->j", x),
    "dropout": F.dropout,
    "sum of losses": lambda x: F.cross_entropy(x, np.zeros(0, int), reduction="sum"),
    "no loss": lambda x: F.mse_loss(x, x.detach(), reduction="none"),
    "linear of images": lambda x: minidl.linear(minidl.reshape(x, 0, 2, 3), np.ones((2, 3), x.dtype)),
    "tile": lambda x: minidl.tile(x, 2, 2),
    "conv": lambda x: minidl.conv2d(minidl.reshape(x, 0, 3, 1, 1), np.ones((2, 3, 1, 1), x.dtype)),
    "roll": lambda x: minidl.roll(x, 1),
}  # fmt: skip


@each_float
@pytest.mark.parametrize("name", EMPTY)
def test_empty_inputs(dtype, name):
    x = leaf(np.zeros((0, 3)), dtype)
    out = EMPTY[name](x)
    assert out.dtype == dtype
    out.backward(np.ones(out.shape))
    assert x.grad.shape == (0, 3) and x.grad.dtype == dtype


def test_the_sum_and_product_of_nothing():
    assert float(minidl.sum(minidl.zeros(0))) == 0.0 and float(minidl.prod(minidl.zeros(0))) == 1.0
    assert float(minidl.logsumexp(minidl.zeros(0))) == -np.inf
    assert minidl.prod(minidl.zeros(0, 3), 0, True).shape == (1, 3)


@each_float
def test_logsumexp_of_infinities(dtype):
    inf = np.inf
    x = leaf([[-inf, -inf], [-inf, 1.0], [1e4, -1e4], [-1e4, -1e4]], dtype)
    out = minidl.logsumexp(x, 1)
    np.testing.assert_allclose(out.numpy(), [-inf, 1.0, 1e4, -1e4 + np.log(2)], rtol=1e-6)
    (g,) = minidl.grad(out.sum(), x)
    np.testing.assert_allclose(g.numpy(), [[0, 0], [0, 1], [1, 0], [0.5, 0.5]], atol=1e-3)
    np.testing.assert_array_equal(minidl.logsumexp(leaf([[inf, 1e4], [inf, -inf]], dtype), 1).numpy(), [inf, inf])
    assert np.isnan(minidl.logsumexp(leaf([np.nan, 1e4], dtype)).numpy())


@each_float
def test_masked_softmax(dtype):
    """Scores of minus infinity get no probability, and no gradient."""
    x = leaf([[0.0, -np.inf, 1.0], [-np.inf, -1e4, -np.inf]], dtype)
    for f, masked in ((minidl.softmax, 0.0), (minidl.log_softmax, -np.inf)):
        out = f(x)
        assert (out.numpy()[np.isneginf(x.numpy())] == masked).all()
        kept = minidl.where(np.isneginf(x), 0.0, out).sum()
        (g,) = minidl.grad(kept, x)
        assert np.isfinite(g.numpy()).all()
    np.testing.assert_allclose(minidl.softmax(x).numpy()[0], [1 / (1 + np.e), 0, np.e / (1 + np.e)], rtol=1e-5)


def test_nan_is_never_lost():
    x = leaf([[1.0, np.nan, 2.0]], np.float64)
    for f in (minidl.relu, minidl.sum, minidl.max, minidl.min, minidl.softmax, minidl.logsumexp, minidl.prod,
        minidl.maximum, minidl.clip, minidl.norm,
              minidl.erf, minidl.sigmoid, minidl.gelu, minidl.elu, minidl.leaky_relu):  # fmt: skip
        out = f(x, 0.0) if f in (minidl.maximum, minidl.clip) else f(x)
        assert np.isnan(out.numpy()).any(), f
    image = leaf(np.full((1, 1, 2, 2), np.nan), np.float64)
    for f in (minidl.max_pool2d, minidl.avg_pool2d):
        assert np.isnan(f(image, 2).numpy()).all()
