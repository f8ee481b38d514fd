"""The tester is tested: planted errors are caught and explained, correct functions never accused."""

import json

import numpy as np
import pytest

import minidl
from minidl import Tensor, nn
from minidl.check import GradcheckError, gradcheck, gradcheck_pair

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
    ("mean for sum", op(total, lambda g: spread(g / 5.0, 5), elementwise=False), X, 1, "over_n", "N = 5, the length of axis 0"),
    ("sum for mean", op(lambda x: x.mean(0), lambda g: spread(g, 5), elementwise=False), X, 1, "times_n", "division by N"),
    ("other ratio", op(relu, lambda g, x: 0.9 * g * (x > 0)), X, 1, "ratio", "0.9 times"),
    ("sign and factor", op(square, lambda g, x: -x * g), X, 1, "half", "the sign is flipped and"),
    ("softmax without its sum", op(soft, lambda g, out: g * out, elementwise=False), X, 1, "missing_term", "softmax"),
    ("centring without its mean", op(centre, lambda g: g, elementwise=False), X, 1, "missing_term", "constant along axis 0"),
    ("constant statistics", op(norm0, lambda g, x: g * deviation(x), elementwise=False), X, 1, "statistics", "eval mode"),
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
    ("shift", op(tanh, lambda g, out: minidl.roll(g * (1 - out * out), 1, 0)), X, 1, "shifted", "shifted by 1 along axis 0"),
    ("flip", op(lambda x: np.flip(x, 1), lambda g: g, elementwise=False), numbers(2, 5), 1, "flipped", "axis 1"),
    ("reshape for transpose", op(lambda x: x.T * 1.0, lambda g: minidl.reshape(g, (5, 3)), elementwise=False), X, 1,
     "reshaped", "reshape was used"),
    ("summed", op(tanh, lambda g, out: (g * (1 - out * out)).sum(axis=0, keepdims=True) * np.ones((5, 1))), X, 1, "summed",
     "axis 0"),
    ("nan", op(tanh, lambda g, out: g * (1 - out * out) * np.where(np.arange(3) == 1, np.nan, 1.0)), X, 1, "nan",
     "5 of 15 elements are NaN"),
    ("nearly", op(tanh, lambda g, out: g * (1.0001 - out * out)), X, 1, "inexact", "nearly right"),
    ("overwrites upstream", lambda x: op(itself, writes)(x * 2.0) / 2.0, X, 1, "overwrites", "in-place"),
    ("second order only", op(square, lambda g, x: 2.0 * x * inner(g)), X, 2, "ratio", "1.7 times"),
    ("second order cut", op(tanh, lambda g, out: g * (1 - np.asarray(out) ** 2)), X, 2, "cut", "the rule of `tanh`"),
    ("inside a network", lambda x: minidl.softplus(op(tanh, lambda g, out: g * (1 - out))(x.sin())).sum(), X, 1, None,
     "the rule of `tanh`"),
    ("detach", lambda x: minidl.exp(x.tanh().detach() * 2.0), X, 1, "cut", "cut after `tanh`"),
    ("detach in one branch", lambda x: x.tanh() * x.exp().detach(), X, 1, "cut", "cut after `exp`"),
    ("numpy", lambda x: Tensor(np.exp(x.tanh().numpy())), X, 1, "cut", "cut after `tanh`"),
    ("data of the input", lambda x: Tensor(x.data) * 2.0, X, 1, "cut", "input itself"),
    ("no_grad", through_no_grad, X, 1, "cut", "`mul`"),
    ("single precision", lambda x: (x.exp().astype("float32") * 3.0).sum(), X, 1, "precision", "`astype`"),
]  # fmt: skip


def explained(report, key, words):
    assert not report
    assert key is None or key in report.keys, str(report)
    assert words in str(report), str(report)
    json.dumps(report.as_dict())


@pytest.mark.parametrize(("f", "inputs", "order", "key", "words"), [row[1:] for row in PLANTED], ids=[r[0] for r in PLANTED])
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
    ("db averaged", affine, affine_back(db=lambda g, x, w: g.mean(0)), AFFINE, "b", "over_n", "N = 5, the length of axis 0 of x"),
    ("dw not averaged", lambda x, w, b: affine(x, w, b) / 5, affine_back(*[lambda g, x, w: g @ w.T / 5, lambda g, x, w: x.T @ g,
     lambda g, x, w: g.sum(0) / 5]), AFFINE, "w", "times_n", "a division by N is missing"),
    ("dw transposed", affine, affine_back(dw=lambda g, x, w: g.T @ x), AFFINE, "w", "transposed", "(3, 4) for (4, 3)"),
    ("dw transposed square", affine, affine_back(dw=lambda g, x, w: g.T @ x), AFFINE_SQUARE, "w", "transposed", "transposed"),
    ("dx without .T", affine, affine_back(dx=lambda g, x, w: g @ w), AFFINE_SQUARE, "x", "transposed", "dout @ w"),
    ("keepdims", affine, affine_back(db=lambda g, x, w: g.sum(0, keepdims=True)), AFFINE, "b", "unsummed", "(1, 3) for (3,)"),
    ("a gradient less", affine, lambda dout, x, w, b: (dout @ w.T, x.T @ dout), AFFINE, "b", "missing", "no gradient"),
    ("dx by name", affine, lambda dout, x, w, b: {"x": -dout @ w.T, "b": dout.sum(0), "w": x.T @ dout}, AFFINE, "x", "sign",
     "minus"),
    ("dw of x", lambda x, y: x * np.sin(y), lambda d, x, y: (d * x * np.cos(y), d * np.sin(y)), (X, X + 1), "x", "swapped",
     "gradient of 'y'"),
    ("= for += in windows", conv, conv_back(dx_add=False), IMAGE, "x", "overlap", "+= is meant"),
    ("kernel flipped", conv, conv_back(flip=True), IMAGE, "w", "flipped", "reversed order along axis (0, 1)"),
    ("border lost", padded, padded_back, IMAGE, "x", "border", "padding"),
    ("= for += in rows", embedding, embedding_back, TABLE, "table", "repeated", "np.add.at"),
    ("norm without mean", batch_norm, batch_norm_back(mean=False), NORM, "x", "missing_term", "constant along axis 0"),
    ("norm without var", batch_norm, batch_norm_back(var=False), NORM, "x", "statistics", "mean and variance"),
    ("norm of eval mode", batch_norm, batch_norm_back(False, False), NORM, "x", "statistics", "eval mode"),
    ("variance divisor", lambda x: ((x - x.mean(0)) ** 2).sum(0) / 5, lambda d, x: d * 2 * (x - x.mean(0)) / 4, (numbers(5, 3),),
     "x", "correction", "N - 1 confused"),
    ("dropout scale", lambda x, m: x * m / 0.7, lambda d, x, m: d * m, (X, np.arange(15).reshape(5, 3) % 3 > 0), "x", "ratio",
     "0.7 times"),
    ("dropout without mask", lambda x, m: x * m, lambda d, x, m: d, (X, np.arange(15).reshape(5, 3) % 3 > 0), "x",
     "passes_upstream", "upstream gradient, unchanged"),
    ("inverse permutation", lambda x: x[[2, 0, 3, 1, 4]], lambda d, x: d[[2, 0, 3, 1, 4]], (X,), "x", "permuted", "argsort"),
    ("last row", lambda x: x * x, forgetful, (X,), "x", "one_slice", "(the last)"),
    ("float32 gradient", lambda x: x * x, lambda d, x: (2 * d * x).astype(np.float32), (X,), None, "precision", "float32"),
    ("float32 inside", lambda x: np.exp(x.astype(np.float32)).astype(float), lambda d, x: d * np.exp(x), (X,), None, "precision",
     "the digits of float32"),
    ("overwrites dout", lambda x: x * x, overwrite, (X,), None, "overwrites", "upstream gradient it is given"),
    ("overwrites x", lambda x: np.multiply(x, 2, out=x), lambda d, x: 2 * d, (X,), None, "overwrites", "the input 'x'"),
    ("random", noisy.forward, lambda d, x: d, (X,), None, "random", "Generator of its own"),
    ("state", lambda x: x * next(counter), lambda d, x: d, (X,), None, "random", "a counter"),
    ("integers", lambda x: np.argmax(x, 1), lambda d, x: d, (X,), None, "not_floating", "int64"),
    ("raises", lambda x: x[:, 7], lambda d, x: d, (X,), None, "raised", "forward raised IndexError"),
    ("backward raises", lambda x: x * x, lambda d, x: d @ x, (X,), None, "raised", "backward raised ValueError"),
    ("three for one", lambda x: x * x, lambda d, x: (d, d, d), (X,), None, "count", "3 gradients for 1 array"),
    ("infinite", lambda x: np.log(x - x), lambda d, x: d, (X,), None, "not_finite", "infinity"),
    ("new mask", lambda x: x * 2, lambda d, x: d * noisy.forward(x), (X,), "x", "not_linear", "from one call to the next"),
]  # fmt: skip


@pytest.mark.parametrize(("forward", "backward", "inputs", "name", "key", "words"), [r[1:] for r in PAIRS], ids=[r[0] for r in PAIRS])
def test_planted_in_pairs(forward, backward, inputs, name, key, words):
    report = gradcheck_pair(forward, backward, inputs, rng=1)
    explained(report, key, words)
    if name:
        assert [r.name for r in report.failed] == [name] or name == "x"  # each tensor has its own verdict
        assert report[name].finding.key == key
