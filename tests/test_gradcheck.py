"""The tester is tested: planted errors are caught and explained, correct functions never accused."""

import json
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import Tensor, nn
from minidl.check import GradcheckError, gradcheck, gradcheck_pair
from minidl.nn import functional as F

pytestmark = pytest.mark.filterwarnings("error")


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def op(forward, *rules, elementwise=True):
    """A primitive with these rules, planted or not."""
    f = minidl.primitive(forward, elementwise=elementwise)
    f.vjp(*rules)
    return f


# --- planted errors in primitives: (name, f, inputs, order at which it shows, key, words of the explanation) ---------


def tanh(x):
    return np.tanh(x)


def square(x):
    return x * x


def total(x):
    return np.sum(x, axis=0)


def soft(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def centre(x):
    return x - x.mean(0, keepdims=True)


def norm0(x):
    c = x - x.mean(0)
    return c / np.sqrt((c * c).mean(0) + 1e-5)


def deviation(x):
    return 1 / np.sqrt(minidl.var(x, 0, correction=0) + 1e-5)


def product(x, y):
    return x @ y


def relu(x):
    return np.maximum(x, 0)


def itself(x):
    return x * 1.0


def spread(g, n):
    return minidl.broadcast_to(g, (n, *g.shape))


inner = op(lambda g: g * 1.0, lambda g: 1.7 * g)
SQUARE = numbers(4, 4), numbers(4, 4, seed=1)
X = numbers(5, 3)


def writes(g):
    if isinstance(g, np.ndarray):
        g *= 2.0
        return g
    return 2.0 * g


def through_no_grad(x):
    h = x.sin()
    with minidl.no_grad():
        return h * h


PLANTED = [
    ("sign", op(tanh, lambda g, out: -g * (1 - out * out)), X, 1, "sign", "minus"),
    ("factor 2", op(square, lambda g, x: 4.0 * x * g), X, 1, "double", "2 times"),
    ("factor 1/2", op(square, lambda g, x: x * g), X, 1, "half", "derivative of a square"),
    ("mean for sum", op(total, lambda g: spread(g / 5.0, 5), elementwise=False), X, 1, "over_n",
     "N = 5, the length of axis 0"),
    ("sum for mean", op(lambda x: x.mean(0), lambda g: spread(g, 5), elementwise=False), X, 1, "times_n",
     "division by N"),
    ("other ratio", op(relu, lambda g, x: 0.9 * g * (x > 0)), X, 1, "ratio", "0.9 times"),
    ("sign and factor", op(square, lambda g, x: -x * g), X, 1, "half", "the sign is flipped and"),
    ("softmax without its sum", op(soft, lambda g, out: g * out, elementwise=False), X, 1, "missing_term", "softmax"),
    ("centring without its mean", op(centre, lambda g: g, elementwise=False), X, 1, "missing_term",
     "constant along axis 0"),
    ("constant statistics", op(norm0, lambda g, x: g * deviation(x), elementwise=False), X, 1, "statistics",
     "eval mode"),
    ("transpose missing", op(product, lambda g, y: g @ y, lambda g, x: x.T @ g, elementwise=False), SQUARE, 1,
     "transposed", "dout @ y"),
    ("transposed", op(product, lambda g, y: g @ y.T, lambda g, x: g.T @ x, elementwise=False), SQUARE, 1, "transposed",
     "transposed"),
    ("arguments swapped", op(lambda x, y: x * np.exp(y), lambda g, out: g * out, lambda g, y: g * minidl.exp(y)),
     (X, X[::-1].copy()), 1, "swapped", "gradient of 'y'"),
    ("zeros", op(tanh, lambda g: 0.0 * g), X, 1, "zero", "never computed"),
    ("no upstream", op(tanh, lambda g, out: 1 - out * out), X, 1, "no_upstream", "whatever the upstream gradient is"),
    ("upstream only", op(tanh, lambda g: g), X, 1, "passes_upstream", "chain rule"),
    ("upstream squared", op(tanh, lambda g, out: g * g * (1 - out * out)), X, 1, "not_linear", "not proportional"),
    ("factor lost", op(lambda x: 1 / (1 + np.exp(-x)), lambda g, out: g * out), X, 1, "factor", "(1 - output)"),
    ("mask lost", op(relu, lambda g: g), X, 1, "one_sign", "negative"),
    ("absolute", op(square, lambda g, x: minidl.abs(2.0 * x * g)), X, 1, "absolute", "sign is lost"),
    ("one element", op(tanh, lambda g, out: g * (1 - out * out) * (1 + 0.3 * (np.arange(15).reshape(5, 3) == 7))), X, 1,
     "one_element", "[2, 1]"),
    ("last row", op(tanh, lambda g, out: g * (1 - out * out) * np.array([[1.0]] * 4 + [[0.0]])), X, 1, "one_slice",
     "index 4 of axis 0 is wrong (the last)"),
    ("shift", op(tanh, lambda g, out: minidl.roll(g * (1 - out * out), 1, 0)), X, 1, "shifted",
     "shifted by 1 along axis 0"),
    ("flip", op(lambda x: np.flip(x, 1), lambda g: g, elementwise=False), numbers(2, 5), 1, "flipped", "axis 1"),
    ("reshape for transpose", op(lambda x: x.T * 1.0, lambda g: minidl.reshape(g, (5, 3)), elementwise=False), X, 1,
     "reshaped", "reshape was used"),
    ("summed", op(tanh, lambda g, out: (g * (1 - out * out)).sum(axis=0, keepdims=True) * np.ones((5, 1))), X, 1,
     "summed", "axis 0"),
    ("nan", op(tanh, lambda g, out: g * (1 - out * out) * np.where(np.arange(3) == 1, np.nan, 1.0)), X, 1, "nan",
     "5 of 15 elements are NaN"),
    ("inf", op(tanh, lambda g, out: (1 - out * out) * np.where(np.arange(3) == 1, np.inf, g)), X, 1, "nan",
     "5 of 15 elements are infinite"),
    ("nearly", op(tanh, lambda g, out: g * (1.0001 - out * out)), X, 1, "inexact", "nearly right"),
    ("overwrites upstream", lambda x: op(itself, writes)(x * 2.0) / 2.0, X, 1, "overwrites", "in-place"),
    ("second order only", op(square, lambda g, x: 2.0 * x * inner(g)), X, 2, "ratio", "1.7 times"),
    ("second order cut", op(tanh, lambda g, out: g * (1 - np.asarray(out) ** 2)), X, 2, "cut", "the rule of `tanh`"),
    ("inside a network", lambda x: minidl.softplus(op(tanh, lambda g, out: g * (1 - out))(x.sin())).sum(), X, 1, None,
     "the rule of `tanh`"),
    ("detach", lambda x: minidl.exp(x.tanh().detach() * 2.0), X, 1, "cut", "cut after `tanh`"),
    ("detach in one branch", lambda x: x.tanh() * x.exp().detach(), X, 1, "cut", "cut after `exp`"),
    ("numpy in one branch", lambda x: Tensor(np.exp(x.tanh().numpy())) * x.sum(), X, 1, "cut", "cut after `tanh`"),
    ("numpy", lambda x: Tensor(np.exp(x.tanh().numpy())), X, 1, "cut", "cut after `tanh`"),
    ("data of the input", lambda x: Tensor(x.data) * 2.0, X, 1, "cut", "input itself"),
    ("no_grad", through_no_grad, X, 1, "cut", "`mul`"),
    ("single precision", lambda x: (x.exp().astype("float32") * 3.0).sum(), X, 1, "precision", "`astype`"),
]  # fmt: skip


def without_source(text):
    """The text of a report without the lines of this file that it quotes: the words looked for stand in them too."""
    for line in Path(__file__).read_text().splitlines():
        text = text.replace(line.strip(), "...") if len(line) > 20 else text
    return text


def explained(report, key, words):
    assert not report
    assert key is None or key in report.keys, str(report)
    assert words in without_source(str(report)), str(report)
    json.dumps(report.as_dict())


def rows(table):
    return [pytest.param(*row[1:], id=row[0]) for row in table]


@pytest.mark.parametrize(("f", "inputs", "order", "key", "words"), rows(PLANTED))
def test_planted_in_primitives(f, inputs, order, key, words):
    report = gradcheck(f, inputs, rng=1)
    explained(report, key, words)
    assert report.problems or report.order == order


# --- planted errors in NumPy pairs: (name, forward, backward, inputs, tensor, key, words) ----------------------------


def affine(x, w, b):
    return x @ w + b


def affine_back(dx=lambda g, x, w: g @ w.T, dw=lambda g, x, w: x.T @ g, db=lambda g, x, w: g.sum(0)):
    return lambda dout, x, w, b: (dx(dout, x, w), dw(dout, x, w), db(dout, x, w))


AFFINE = numbers(5, 4), numbers(4, 3, seed=1), numbers(3, seed=2)
AFFINE_SQUARE = numbers(5, 4), numbers(4, 4, seed=1), numbers(4, seed=2)


def windows(x, kh, kw, stride=1):
    """(top, left) of every window of an image (H, W)."""
    return [(i, j) for i in range(0, x.shape[0] - kh + 1, stride) for j in range(0, x.shape[1] - kw + 1, stride)]


def conv(x, w):
    """A single image (H, W) and kernel, no padding."""
    kh, kw = w.shape
    out = [(x[i : i + kh, j : j + kw] * w).sum() for i, j in windows(x, kh, kw)]
    return np.array(out).reshape(x.shape[0] - kh + 1, x.shape[1] - kw + 1)


def conv_back(dx_add=True, flip=False, lose=0):
    def back(dout, x, w):
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        kh, kw = w.shape
        for i, j in windows(x, kh, kw)[: x.size if not lose else -lose]:
            part = (slice(i, i + kh), slice(j, j + kw))
            if dx_add:
                dx[part] += dout[i, j] * w
            else:
                dx[part] = dout[i, j] * w
            dw += dout[i, j] * x[part]
        return dx, np.flip(dw) if flip else dw

    return back


def padded(x, w):
    return conv(np.pad(x, 1), w)


def padded_back(dout, x, w):
    """The windows that overhang the border are left out."""
    inside = dout.copy()
    inside[[0, -1]] = 0
    inside[:, [0, -1]] = 0
    dx, dw = conv_back()(inside, np.pad(x, 1), w)
    return dx[1:-1, 1:-1], conv_back()(dout, np.pad(x, 1), w)[1]


IMAGE = numbers(7, 6), numbers(3, 3, seed=1)


def batch_norm(x, gamma, beta):
    centred = x - x.mean(0)
    scale = 1 / np.sqrt((centred**2).mean(0) + 1e-5)
    return gamma * centred * scale + beta, (centred * scale, scale, gamma)


def batch_norm_back(mean=True, var=True):
    def back(dout, cache):
        xhat, scale, gamma = cache
        g = dout * gamma
        dx = g - mean * g.mean(0) - var * xhat * (g * xhat).mean(0)
        return dx * scale, (dout * xhat).sum(0), dout.sum(0)

    return back


NORM = numbers(6, 4), numbers(4, seed=1), numbers(4, seed=2)


def embedding(table, index):
    return table[index]


def embedding_back(dout, table, index):
    d = np.zeros_like(table)
    d[index] = dout
    return (d,)


TABLE = numbers(6, 3), np.array([4, 1, 4, 0, 1])


def overwrite(dout, x):
    dout *= 2 * x
    return dout


def forgetful(dout, x):
    d = 2 * x * dout
    d[-1] = 0
    return d


class Noisy:
    """Dropout that draws a new mask in backward."""

    rng = np.random.default_rng(0)

    def forward(self, x):
        return x * (self.rng.random(x.shape) < 0.5)


noisy = Noisy()
counter = iter(range(1, 10**6))

PAIRS = [
    ("db not summed", affine, affine_back(db=lambda g, x, w: g), AFFINE, "b", "unsummed", "not summed over axis 0"),
    ("db of one row", affine, affine_back(db=lambda g, x, w: g[0]), AFFINE, "b", "unsummed", "row 0 of the upstream"),
    ("db averaged", affine, affine_back(db=lambda g, x, w: g.mean(0)), AFFINE, "b", "over_n",
     "N = 5, the length of axis 0 of x"),
    ("dx not averaged", lambda x: (x * x).mean(0), lambda d, x: 2 * x * d, (X,), "x", "times_n",
     "division by N is missing"),
    ("dw transposed", affine, affine_back(dw=lambda g, x, w: g.T @ x), AFFINE, "w", "transposed", "(3, 4) for (4, 3)"),
    ("dw transposed square", affine, affine_back(dw=lambda g, x, w: g.T @ x), AFFINE_SQUARE, "w", "transposed",
     "transposed"),
    ("dx without .T", affine, affine_back(dx=lambda g, x, w: g @ w), AFFINE_SQUARE, "x", "transposed", "dout @ w"),
    ("keepdims", affine, affine_back(db=lambda g, x, w: g.sum(0, keepdims=True)), AFFINE, "b", "unsummed",
     "(1, 3) for (3,)"),
    ("a gradient less", affine, lambda dout, x, w, b: (dout @ w.T, x.T @ dout), AFFINE, "b", "missing", "no gradient"),
    ("dx by name", affine, lambda dout, x, w, b: {"x": -dout @ w.T, "b": dout.sum(0), "w": x.T @ dout}, AFFINE, "x",
     "sign", "minus"),
    ("dw of x", lambda x, y: x * np.sin(y), lambda d, x, y: (d * x * np.cos(y), d * np.sin(y)), (X, X + 1), "x",
     "swapped", "gradient of 'y'"),
    ("= for += in windows", conv, conv_back(dx_add=False), IMAGE, "x", "overlap", "+= is meant"),
    ("kernel flipped", conv, conv_back(flip=True), IMAGE, "w", "flipped", "reversed order along axis (0, 1)"),
    ("border lost", padded, padded_back, IMAGE, "x", "border", "padding"),
    ("= for += in rows", embedding, embedding_back, TABLE, "table", "repeated", "np.add.at"),
    ("norm without mean", batch_norm, batch_norm_back(mean=False), NORM, "x", "missing_term", "constant along axis 0"),
    ("norm without var", batch_norm, batch_norm_back(var=False), NORM, "x", "statistics", "mean and variance"),
    ("norm of eval mode", batch_norm, batch_norm_back(False, False), NORM, "x", "statistics", "eval mode"),
    ("variance divisor", lambda x: ((x - x.mean(0)) ** 2).sum(0) / 5, lambda d, x: d * 2 * (x - x.mean(0)) / 4,
     (X,), "x", "correction", "N - 1 confused"),
    ("dropout scale", lambda x, m: x * m / 0.7, lambda d, x, m: d * m, (X, np.arange(15).reshape(5, 3) % 3 > 0), "x",
     "ratio", "0.7 times"),
    ("dropout without mask", lambda x, m: x * m, lambda d, x, m: d, (X, np.arange(15).reshape(5, 3) % 3 > 0), "x",
     "passes_upstream", "upstream gradient, unchanged"),
    ("inverse permutation", lambda x: x[[2, 0, 3, 1, 4]], lambda d, x: d[[2, 0, 3, 1, 4]], (X,), "x", "permuted",
     "argsort"),
    ("last row", lambda x: x * x, forgetful, (X,), "x", "one_slice", "(the last)"),
    ("float32 gradient", lambda x: x * x, lambda d, x: (2 * d * x).astype(np.float32), (X,), None, "precision",
     "float32"),
    ("float32 inside", lambda x: np.exp(x.astype(np.float32)).astype(float), lambda d, x: d * np.exp(x), (X,), None,
     "precision", "the digits of float32"),
    ("overwrites dout", lambda x: x * x, overwrite, (X,), None, "overwrites", "upstream gradient it is given"),
    ("overwrites x", lambda x: np.multiply(x, 2, out=x), lambda d, x: 2 * d, (X,), None, "overwrites", "the input 'x'"),
    ("random", noisy.forward, lambda d, x: d, (X,), None, "random", "Generator of its own"),
    ("state", lambda x: x * next(counter), lambda d, x: d, (X,), None, "random", "a counter"),
    ("integers", lambda x: np.argmax(x, 1), lambda d, x: d, (X,), None, "not_floating", "int64"),
    ("raises", lambda x: x[:, 7], lambda d, x: d, (X,), None, "raised", "forward raised IndexError"),
    ("backward raises", lambda x: x * x, lambda d, x: d @ x, (X,), None, "raised", "backward raised ValueError"),
    ("three for one", lambda x: x * x, lambda d, x: (d, d, d), (X,), None, "count", "3 gradients for 1 array"),
    ("infinite", lambda x: np.log(x - x), lambda d, x: d, (X,), None, "not_finite", "infinity"),
    ("new mask", lambda x: x * 2, lambda d, x: d * noisy.forward(x), (X,), "x", "not_linear",
     "from one call to the next"),
]  # fmt: skip


@pytest.mark.parametrize(("forward", "backward", "inputs", "name", "key", "words"), rows(PAIRS))
def test_planted_in_pairs(forward, backward, inputs, name, key, words):
    report = gradcheck_pair(forward, backward, inputs, rng=1)
    explained(report, key, words)
    if name:
        assert [r.name for r in report.failed] == [name] or name == "x"  # each tensor has its own verdict
        assert report[name].finding.key == key


# --- correct functions are never accused -----------------------------------------------------------------------------

UNARY = [
    lambda y: y.tanh() + 0.1 * y, lambda y: y.sigmoid() + 0.1 * y, lambda y: y.sin(), lambda y: y.tanh().exp(),
    lambda y: (y * y + 0.5).log(), lambda y: (y * y + 0.1).sqrt(), minidl.gelu, minidl.softplus, minidl.silu,
    lambda y: minidl.erf(y) + 0.1 * y, lambda y: y.relu() + 0.2 * y, lambda y: y.abs(), minidl.leaky_relu, minidl.elu,
    lambda y: y.clip(-0.7, 0.8) + 0.3 * y, lambda y: y**3 / (1 + y * y), lambda y: 1.5 / (y * y + 1),
    lambda y: (y.abs() + 0.2) ** 1.7, lambda y: minidl.maximum(y, 0.3 * y + 0.3), lambda y: (y * y).log1p() - y,
]  # fmt: skip
LAYOUT = [
    lambda y: y.reshape(-1), lambda y: y.flip(), lambda y: minidl.roll(y, 1, 0), lambda y: minidl.pad(y, 1),
    lambda y: y.swapaxes(0, -1), lambda y: minidl.tile(y, 2), lambda y: y[..., ::2], lambda y: y[[0, -1, 0]],
    lambda y: minidl.concat([y, y.sin()], -1), lambda y: minidl.stack([y, y * 2]), lambda y: y.unsqueeze(1),
]  # fmt: skip
REDUCING = [
    lambda y: y.sum(axis=0), lambda y: y.mean(axis=-1), lambda y: y.max(axis=0), lambda y: y.min(-1, keepdims=True),
    lambda y: y.softmax(-1) + y, lambda y: y.log_softmax(0) + y, lambda y: y.logsumexp(0), lambda y: y.cumsum(0),
    lambda y: (y + 0.01).norm(axis=-1), lambda y: y.tanh().prod(axis=0), lambda y: y.std(axis=0, correction=0),
    lambda y: y.var(correction=0) + y, lambda y: y - 0.5 * y.mean(),
]  # fmt: skip
BINARY = [
    lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - b, lambda a, b: a / (b * b + 1),
    lambda a, b: minidl.maximum(a, b) + a, lambda a, b: minidl.minimum(a, b) + 0.1 * b,
    lambda a, b: minidl.where(a.numpy() > 0, a, b),
]  # fmt: skip


def random_function(seed):
    """A random composition with inputs of random shapes and magnitudes."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 5, rng.integers(1, 4)).tolist())
    inputs = []
    for i in range(rng.integers(1, 4)):
        broadcast = tuple(1 if i and rng.random() < 0.3 else n for n in shape)
        inputs.append(rng.standard_normal(broadcast) * 10.0 ** rng.uniform(-1.5, 1))
    plan = [(rng.choice(4, p=[0.45, 0.2, 0.2, 0.15]), int(rng.integers(10**6))) for _ in range(rng.integers(2, 6))]

    def f(*xs):
        values, y = list(xs), xs[0]
        for kind, pick in plan:
            table = (UNARY, LAYOUT, REDUCING, BINARY)[kind]
            step = table[pick % len(table)]
            if kind == 3:
                other = values[pick % len(values)]
                fits = all(m == n or 1 in (m, n) for m, n in zip(y.shape[::-1], other.shape[::-1], strict=False))
                y = step(y, other) if fits else y
            elif kind == 0 or y.ndim:
                y = step(y)
            y = y.mean(axis=0) if y.size > 200 else y
            values.append(y)
        return y

    return f, tuple(inputs)


@pytest.mark.parametrize("block", range(10))
def test_a_thousand_correct_functions(block):
    proved, seed = 0, block * 10_000
    while proved < 100:
        f, inputs = random_function(seed)
        report = gradcheck(f, inputs, rng=seed, order=1 + seed % 2)
        assert report or report.vacuous, (seed, str(report))
        proved += bool(report)
        seed += 1
    assert seed - block * 10_000 < 130  # few are vacuous


def test_accepts_both_dtypes_scalars_lists_and_several_outputs():
    assert gradcheck(lambda x: x.exp(), np.float32([1.0, 2.0]))
    assert gradcheck(lambda x: x.exp(), [1.0, 2.0])
    assert gradcheck(lambda x: x * x, np.array(3.0))
    assert gradcheck(lambda parts, c: minidl.concat(parts) * c, ([X, 2 * X], 3.0))["parts[1]"].verdict == "right"
    assert gradcheck(lambda x, y: (x * y, y.sin()), {"y": X, "x": X + 1}).worst.keys() == {1, 2}
    assert gradcheck(lambda x: {"a": x.exp(), "labels": Tensor([1, 2])}, X)
    assert gradcheck(lambda x: x**3, numbers(6), order=4)
    assert gradcheck(minidl.take_along_axis, (X, np.array([[2], [0], [1], [1], [2]]), 1))["x"].checked == 15


def test_magnitudes():
    x = np.array([1e-6, 1e-3, 1.0, 1e3, 1e6])
    for f in (minidl.log, minidl.sqrt, lambda x: x**3, lambda x: 1e-30 * x, lambda x: 1e30 * x, lambda x: x + 1e8):
        assert gradcheck(f, x, rng=0)
    assert gradcheck(lambda x: x - x.mean(), X + 1e6, rng=0)
    wrong = op(lambda x: x**3, lambda g, x: 3.0 * g * x * x * (1 + (np.arange(5) == 1)))
    assert gradcheck(wrong, x, rng=0)["x"].index == (1,)  # 1e-6 beside 1e12
    wrong = op(lambda x: x**3, lambda g, x: 3.0 * g * x * x * (1 + 0.5 * (np.arange(5) == 0)))
    assert gradcheck(wrong, x, rng=0)["x"].index == (0,)  # 1e-12


# --- large tensors ---------------------------------------------------------------------------------------------------


def test_large_tensors_are_checked_along_directions_and_searched():
    x = numbers(100, 80)
    report = gradcheck(lambda x: x.relu() + x.tanh(), x, rng=0)
    assert report and report["x"].checked == 0
    wrong = op(tanh, lambda g, out: g * (1 - out * out) * (1 + 0.01 * (np.arange(8000).reshape(100, 80) == 4321)))
    result = gradcheck(wrong, x, rng=0)["x"]
    assert (result.index, result.wrong) == ((54, 1), 1)
    report = gradcheck(op(tanh, lambda g, out: g * (out * out - 1)), x, rng=0)
    assert report["x"].finding.key == "sign" and "looked at" in str(report)


# --- kinks -----------------------------------------------------------------------------------------------------------


def test_kinks_are_counted_and_not_failed():
    x = np.array([-1.0, 0.0, 2.0, 1e-9, -3e-7, 0.5])
    report = gradcheck(minidl.relu, x, rng=0)
    assert report and report.kinks >= 2 and "kinks met" in str(report)
    assert gradcheck(lambda x: x.abs() + x, x).kinks >= 2
    assert gradcheck(lambda x: minidl.maximum(x, x * x), np.array([0.0, 1.0, 2.0]))  # half of each slope
    assert gradcheck(lambda x: x**1.5, np.array([0.0, 1.0]), order=1).kinks == 1  # the edge of where it is defined
    assert gradcheck(lambda x: minidl.sign(x) + x, np.array([0.0, 1.0]), order=1)  # a jump
    for seed in range(5):  # many, and along every direction
        assert gradcheck(minidl.relu, np.round(numbers(20, 20), 1), rng=seed, order=1)


@pytest.mark.parametrize("slope", [0.5, 2.0, -1.0])
def test_a_wrong_gradient_does_not_hide_behind_kinks(slope):
    wrong = op(relu, lambda g, x: slope * g * (x > 0) if slope > 0 else slope * g)
    for x in ([0.3, -0.2, 1.0], [1e-8, -1.0, 2.0], [1e-4, 3e-7, -1e-6], np.round(numbers(30), 1)):
        report = gradcheck(wrong, np.array(x), rng=0)
        assert report.failed
    above = op(relu, lambda g, x: g * minidl.where(x == 0, 2.0 * slope, x > 0))
    assert gradcheck(above, np.array([0.0, 1.0, -1.0])).failed or 0 <= 2 * slope <= 1  # no slope of relu at 0


# --- checks that could not fail --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "inputs", "words"), [
    (lambda x: x.softmax(-1).sum(), X, "does not change"),
    (lambda x: minidl.sign(x) * 3.0, X, "does not change"),
    (lambda x: Tensor([1.0, 2.0]), X, "does not change"),
    (lambda x: x * 2.0, np.zeros((0, 3)), "empty"),
    (lambda n: minidl.ones(3) * n, 3, "no input of a floating dtype"),
    (lambda n: minidl.ones(3) * n, np.arange(3), "no input of a floating dtype"),
    (minidl.relu, np.zeros((2, 3)), "at kinks"),
    (lambda x: x + 1e30, X, "not visibly"),
    (lambda x: (10.0 * x.sin()).astype("int64") * 1.0, X, "a cast to integers"),
])  # fmt: skip
def test_vacuous(f, inputs, words):
    report = gradcheck(f, inputs, rng=0)
    assert not report and report.vacuous and not report.failed
    assert "VACUOUS" in str(report) and words in without_source(str(report))


def test_a_tensor_without_influence_is_told_but_does_not_fail():
    report = gradcheck(lambda x, y: x * 2.0, (X, X))
    assert report and report["y"].verdict == "flat" and "y (5, 3): not proved" in str(report)


# --- randomness, state, obstacles ------------------------------------------------------------------------------------


def test_randomness_is_found_named_and_can_be_frozen():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))
    report = gradcheck(model, X, rng=0)
    assert report.keys == ["random"] and "'dropout'" in str(report) and "freeze=True" in str(report)
    state = minidl.random.get_state()
    report = gradcheck(model, X, freeze=True, rng=0)
    assert report and report["0.weight"].verdict == "right"
    assert minidl.random.get_state() == state
    assert gradcheck(model.eval(), X)
    assert "Generator of its own" in str(gradcheck(nn.Dropout(0.5, rng=1), X, rng=0))


def test_a_module_is_as_before():
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    model[3].bias.requires_grad = False
    model(Tensor(X, np.float32)).sum().backward()
    before, grads = model.state_dict(), [p.grad for p in model.parameters()]
    arrays = [t._array for t in (*model.parameters(), *model.buffers())]

    report = gradcheck(model, X, rng=0)
    assert report, str(report)
    assert {"0.weight", "1.bias", "3.weight"} < {r.name for r in report.results}
    assert "3.bias" not in {r.name for r in report.results}
    assert report["0.bias"].verdict == "flat"  # batch norm takes it away

    def breaks(x):
        if broken:
            raise KeyError("broken")
        broken.append(model(x))
        return broken[0]

    broken = []
    assert "f raised KeyError" in str(gradcheck(breaks, X, params=model))
    assert all(np.array_equal(before[k], v) and before[k].dtype == v.dtype for k, v in model.state_dict().items())
    assert all(t._array is a for t, a in zip((*model.parameters(), *model.buffers()), arrays, strict=True))
    assert all(p.grad is g for p, g in zip(model.parameters(), grads, strict=True))


class Counting(nn.Module):
    """Its result depends on a buffer that it changes, in place and by assignment."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", np.zeros(1))
        self.register_buffer("mean", np.zeros(1, np.float32))

    def forward(self, x):
        self.calls._writable()[...] += 1
        self.mean = self.mean * 0.5 + x.detach().mean()
        return x.exp() * self.calls + self.mean.detach()


def test_buffers_start_from_the_same_state_in_every_evaluation():
    model = Counting()
    calls, mean = model.calls, model.mean
    report = gradcheck(lambda x: model(x) - model.mean.detach(), X, params=model, rng=0)
    assert report, str(report)
    assert model.calls is calls and model.mean is mean and calls.item() == mean.item() == 0 and mean.dtype == np.float32


def test_params_by_list_dict_and_module():
    w, b = minidl.tensor([[1.0, 2.0, 3.0]], requires_grad=True), minidl.tensor([0.5], requires_grad=True)
    f = lambda x: (minidl.linear(x, w, b)).tanh()  # noqa: E731
    assert gradcheck(f, X, params=[w, b])["params[1]"].verdict == "right"
    assert gradcheck(f, X, params={"w": w})["w"].verdict == "right"
    assert w.dtype == np.float32 and w.grad is None
    model = nn.Linear(3, 2)
    assert gradcheck(lambda x: model(x).exp(), X, params=model)["weight"].verdict == "right"


def test_the_user_keeps_grad_mode_and_warnings_quiet():
    with minidl.no_grad():
        assert gradcheck(minidl.tanh, X)
        assert not minidl.is_grad_enabled()
    assert gradcheck(minidl.log, np.array([1e-9, 1.0]))  # steps beyond the domain warn nobody


@pytest.mark.parametrize(("f", "inputs", "key", "words"), [
    (lambda x: x.numpy(), X, "no_tensor", "not a Tensor"),
    (lambda x: 3.0, X, "no_tensor", "float 3.0"),
    (lambda x: None, X, "no_tensor", "NoneType"),
    (lambda x: (), X, "no_tensor", "not a Tensor"),
    (lambda x: Tensor(minidl.argmax(x, 0)), X, "not_floating", "integers have no gradient"),
    (lambda x: (x - x).log(), X, "not_finite", "log made -inf"),
    (lambda x: x / 0, X, "not_finite", "div made"),
    (lambda x: x @ x, X, "raised", "f raised ValueError: matmul"),
    (lambda x, y: x, X, "raised", "missing 1 required positional argument"),
    (op(tanh, lambda g, out: minidl.sum(g), elementwise=False), X, "raised", "returned a gradient of shape ()"),
    (op(tanh, lambda g, out: g / 0 * 0), X, "nan", "NaN"),
    (lambda x: x.data.__imul__(2) is None or x * 1.0, X, "overwrites", "input 'x'"),
    (minidl.leaky_relu, (X, np.array(0.1)), "raised", "no derivative with respect to"),
])  # fmt: skip
def test_obstacles(f, inputs, key, words):
    explained(gradcheck(f, inputs, rng=0), key, words)


# --- the report ------------------------------------------------------------------------------------------------------


def test_report_reads_well_and_is_data():
    report = gradcheck_pair(affine, affine_back(dx=lambda g, x, w: -g @ w.T), AFFINE, rng=7)
    x = report["x"]
    assert str(report).splitlines() == [
        "gradcheck of backward: FAILED",
        "  right at first order: w, b",
        "  x (5, 4): wrong at first order, 20 of 20 elements",
        f"    worst at {list(x.index)}: analytic {x.analytic:.8g}, numeric {x.numeric:.8g}",
        "    the sign is flipped: every element is minus the right value",
        "    likely cause: a minus lost or added, as in d(a - b)/db, d(1/x)/dx or d(cos x)/dx",
        "    look at: the signs, term by term",
        "  repeat with: minidl.check.gradcheck_pair(forward, backward, (x, w, b), rng=7)",
    ]
    assert repr(report) == str(report) and report.order == 1 and report.keys == ["sign"]
    assert x.analytic == pytest.approx(-x.numeric)
    with pytest.raises(GradcheckError, match="sign is flipped"):
        report.raise_if_failed()
    with pytest.raises(KeyError, match="no tensor called 'z'"):
        report["z"]
    data = json.loads(json.dumps(report.as_dict()))
    assert data["passed"] is False and data["results"][0]["finding"]["key"] == "sign"


def test_raise_on_fail_and_what_it_was_raised_from():
    assert gradcheck(minidl.tanh, X, raise_on_fail=True)
    with pytest.raises(GradcheckError, match="broken") as caught:
        gradcheck(lambda x: {}["broken"], X, raise_on_fail=True)
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_seed_in_the_report_repeats_the_check():
    wrong = op(tanh, lambda g, out: g * (1 - out * out) * (1 + (np.arange(15).reshape(5, 3) == 3)))
    first = gradcheck(wrong, X)
    seed = int(first.call.rsplit("rng=", 1)[1].rstrip(")"))
    assert gradcheck(wrong, X, rng=seed)["x"].analytic == first["x"].analytic
    assert gradcheck(wrong, X, rng=seed + 1)["x"].analytic != first["x"].analytic


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: gradcheck(3, X), TypeError, "needs a function of Tensors or a Module, not int 3"),
    (lambda: gradcheck(minidl.tanh, X, order=0), ValueError, "order must be an integer >= 1"),
    (lambda: gradcheck(minidl.tanh, X + 1j), TypeError, "'x' is complex"),
    (lambda: gradcheck(minidl.tanh, X, params=[X]), TypeError, r"'params\[0\]' must be a leaf"),
    (lambda: gradcheck(minidl.tanh, X, params=3), TypeError, "params must be a list or dict"),
    (lambda: gradcheck(minidl.tanh, X, rng="a"), TypeError, "rng is a str"),
    (lambda: gradcheck_pair(None, lambda d, x: d, (X,)), TypeError, "needs the functions"),
])  # fmt: skip
def test_malformed_calls(call, error, words):
    with pytest.raises(error, match=words):
        call()


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_right_pairs():
    for forward, back, inputs in [
        (affine, affine_back(), AFFINE), (conv, conv_back(), IMAGE), (batch_norm, batch_norm_back(), NORM),
        (lambda x: (x * x, x), lambda d, x: 2 * x * d, (X,)),  # one input, and a cache that is an array
        (lambda x, n: np.repeat(x, n, 0), lambda d, x, n: (d.reshape(5, n, 3).sum(1), None), (X, 2)),
        (lambda x: (x * x, np.sin(x)), lambda d, e, x: 2 * x * d + e * np.cos(x), (X,)),  # two outputs
    ]:  # fmt: skip
        assert gradcheck_pair(forward, back, inputs, rng=0), str(gradcheck_pair(forward, back, inputs, rng=0))
    assert gradcheck_pair(lambda x: (x * x, x + 0), lambda d, x: 2 * x * d, (X,), cache=True)


def test_a_consistent_but_wrong_pair_is_refused_by_the_reference():
    forward, back = lambda x, w: x @ w + 1 * x.sum(), lambda d, x, w: (d @ w.T + d.sum(), x.T @ d)
    inputs = numbers(3, 4), numbers(4, 2)
    assert gradcheck_pair(forward, back, inputs, rng=0)
    report = gradcheck_pair(forward, back, inputs, reference=np.matmul, rng=0)
    assert [r.verdict for r in report.results] == ["wrong", "right"]
    assert gradcheck_pair(None, lambda d, x, w: (d @ w.T, x.T @ d), inputs, reference=lambda x, w: x @ w)


def test_each_tensor_has_its_own_verdict():
    report = gradcheck_pair(affine, affine_back(dw=lambda g, x, w: 0 * w, db=lambda g, x, w: g[-1]), AFFINE, rng=0)
    assert {r.name: r.verdict for r in report.results} == {"x": "right", "w": "wrong", "b": "wrong"}
    assert (report["w"].finding.key, report["b"].finding.key) == ("zero", "unsummed")


AHEAD = [lambda x: F.cross_entropy(x, [0, 1, 2, 0]), lambda x: F.max_pool2d(x.reshape(1, 1, 4, 3), 2)]


@pytest.mark.parametrize("before", AHEAD)
def test_the_culprit_after_what_was_computed_ahead(before):
    """Cross-entropy and max-pool hand their results to the recorded operation: checked alone it would seem wrong."""

    @minidl.primitive(elementwise=True)
    def bad(x):
        return x**3

    bad.vjp(lambda g, x: g * x * x * 2)
    x = np.random.default_rng(0).normal(size=(4, 3))
    report = minidl.gradcheck(lambda x: bad(before(x)).sum(), x)
    assert not report and "bad" in str(report) and "rule of `bad`" in str(report)
