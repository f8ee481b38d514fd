# %% [markdown]
# # A4. A multi-layer perceptron
#
# A *multi-layer perceptron* (MLP) is a chain of affine maps with a bend after each but the last. You build all of it
# from arrays: the affine layer, two activations, the first values of the weights, the gradient of the whole chain, and
# the loop that trains it. At the end it reads handwritten digits.
#
# | exercise | graded cells | marks |
# |---|---|---|
# | 1. The affine layer | `affine_out`, `affine_dx`, `affine_dw`, `affine_db` | 5 + 6 + 6 + 5 |
# | 2. Two activations | `activations_out`, `relu_dx`, `tanh_dx` | 4 + 5 + 5 |
# | 3. Initialisation | `xavier`, `kaiming` | 8 + 8 |
# | 4. The chain | `mlp_loss`, `mlp_last`, `mlp_first` | 5 + 5 + 9 |
# | 5. The training loop | `fit_params`, `fit_batches`, `fit_history` | 8 + 7 + 6 |
# | 6. Early stopping | `stopping` | 8 |
# | | | 100 |
#
# *Read before:* lessons 01 (broadcasting), 04 (backward), 06 (neurons), 07 (activations), 08 (initialisation), 12
# (modules), 13 (the training loop).
#
# *How to work:* write your code where it says `# YOUR CODE HERE` (the line `raise NotImplementedError()` goes), run the
# cell below it, and read what it says: first what is right, then what is wrong and why. A graded cell earns all of its
# marks or none. `minidl course check A4` runs all visible checks; `minidl course submit A4` packs what you hand in. The
# grader runs further, hidden checks: other sizes, and the special cases that the text names. The exercises do not need
# each other: where one needs a piece of another, the check hands in a right one.
#
# *Allowed* are NumPy and Python's standard library. Not allowed in your cells: PyTorch and its like, and minidl's own
# layers.
#
# *Letters:* $N$ samples in the batch, $F$ inputs (features) of a layer, $K$ outputs of a layer. For an array `a`, `da`
# is the gradient of the loss with respect to it and has the same shape. The gradient that comes back from what follows
# is called *upstream*, here `dout`.

# %% given
import numpy as np

from minidl import course

# %% [markdown]
# ## 1. The affine layer
#
# Every output is a weighted sum of all inputs plus an offset (the *bias*). With a row for each sample in $x$ $(N, F)$
# and a row for each output in $w$ $(K, F)$, which is how PyTorch and minidl store it,
#
# $$\text{out} = x\,w^\top + b, \qquad \text{out}_{nk} = \sum_f x_{nf}\,w_{kf} + b_k .$$
#
# **(a)** Write the forward pass. It must also work for one sample ($N=1$) and for none ($N=0$). It keeps the dtype
# (float32 stays float32) and changes none of its arguments.

# %% solution id="affine_forward"
def affine_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """out = x w^T + b.

    x (N, F), w (K, F), b (K,) -> out (N, K).
    """
    ### BEGIN SOLUTION
    return x @ w.T + b
    ### END SOLUTION

# %% test id="affine_out" points=5
from minidl.nn import functional as F

with course.checks("out of the affine layer", lesson=6) as t:
    inputs = course.probe(1, x="NF", w="KF", b="K", N=4, F=3, K=5)
    mistakes = {
        "the bias is subtracted": lambda x, w, b: F.linear(x, w, -b),
        "reshape was used where transpose is meant": lambda x, w, b: F.linear(x, w.reshape(w.shape[::-1]).T, b),
        "a mean over the inputs stands where their sum is meant": lambda x, w, b: F.linear(x, w / x.shape[1], b),
    }
    t.value("a small batch", affine_forward, inputs, F.linear, mistakes=mistakes)
    more = course.probe(2, x="NF", w="KF", b="K", N=3, F=2, K=7)
    t.value("more outputs than inputs", affine_forward, more, F.linear)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("more inputs than outputs", affine_forward, course.probe(3, x="NF", w="KF", b="K", N=2, F=9, K=3), F.linear)
    t.value("a batch of one", affine_forward, course.probe(4, x="NF", w="KF", b="K", N=1, F=3, K=5), F.linear)
    square = {"x": np.arange(9.0).reshape(3, 3), "w": np.arange(9.0).reshape(3, 3) ** 2, "b": np.array([1.0, 5, -2])}
    t.value("three of everything", affine_forward, square, F.linear)
    t.value("an empty batch", affine_forward, {**inputs, "x": np.zeros((0, 3))}, F.linear, edge=True)
    in_single = {name: value.astype(np.float32) for name, value in inputs.items()}
    t.value("float32 stays float32", affine_forward, in_single, F.linear, rtol=1e-5)
    ### END HIDDEN TESTS

# %% [markdown]
# **(b)** Now the way back. `dout` $(N, K)$ is the gradient of the loss with respect to out; find those with respect to
# $x$, $w$ and $b$. Start from the sum with the indices above: in which outputs does $x_{nf}$ appear, and with which
# factor? And $w_{kf}$? And $b_k$? Every place where a number is used adds its share.
#
# *Hint:* each gradient has the shape of its array. Shapes often leave only one product that fits; but three square
# matrices always fit, so check against the sum. No gradient is divided by anything: if the loss is a mean over the
# batch, that division is in `dout` already. For an empty batch dw and db are zeros of the right shape.
#
# *Lesson:* 04, section 3. *Afterwards look at* `linear` in `minidl/ops/linalg.py` and `minidl/nn/linear.py`.

# %% solution id="affine_backward"
def affine_backward(
    dout: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients (dx, dw, db) of the affine layer, given the gradient dout of its output.

    dout (N, K), x (N, F), w (K, F), b (K,) -> dx (N, F), dw (K, F), db (K,).
    """
    ### BEGIN SOLUTION
    dx = dout @ w
    dw = dout.T @ x
    db = dout.sum(axis=0)
    return dx, dw, db
    ### END SOLUTION

# %% test id="affine_dx" points=6
from minidl.nn import functional as F

with course.checks("dx of the affine layer", lesson=4) as t:
    hints = {"shape": "dx has the shape of x; is it returned first, and which axis is summed over?",
             "value": "follow one number: in which outputs does x_nf appear, and with which factor?"}
    inputs = course.probe(5, x="NF", w="KF", b="K", N=4, F=3, K=5)
    t.gradient("a small batch", affine_backward, "x", F.linear, inputs, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    more = course.probe(6, x="NF", w="KF", b="K", N=5, F=6, K=2)
    t.gradient("more inputs than outputs", affine_backward, "x", F.linear, more, hints=hints)
    one = course.probe(7, x="NF", w="KF", b="K", N=1, F=3, K=4)
    t.gradient("a batch of one", affine_backward, "x", F.linear, one, hints=hints)
    t.gradient("an empty batch", affine_backward, "x", F.linear, {**one, "x": np.zeros((0, 3))}, edge=True)
    ### END HIDDEN TESTS

# %% test id="affine_dw" points=6
from minidl.nn import functional as F

with course.checks("dw of the affine layer", lesson=4) as t:
    hints = {"shape": "dw has the shape of w, a row for each output; is it returned second, and what is summed over?",
             "value": "follow one weight: w_kf is used once for every sample, each time with another factor"}
    inputs = course.probe(8, x="NF", w="KF", b="K", N=4, F=3, K=5)
    t.gradient("a small batch", affine_backward, "w", F.linear, inputs, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    more = course.probe(9, x="NF", w="KF", b="K", N=5, F=6, K=2)
    t.gradient("more inputs than outputs", affine_backward, "w", F.linear, more, hints=hints)
    one = course.probe(10, x="NF", w="KF", b="K", N=1, F=3, K=4)
    t.gradient("a batch of one", affine_backward, "w", F.linear, one, hints=hints)
    t.gradient("an empty batch", affine_backward, "w", F.linear, {**one, "x": np.zeros((0, 3))}, edge=True)
    ### END HIDDEN TESTS

# %% test id="affine_db" points=5
from minidl.nn import functional as F

with course.checks("db of the affine layer", lesson=1) as t:
    hints = {
        "unsummed": "the same bias is added to every sample, so the shares of all samples come together in it",
        "shape": "b has one number for each output, and so has db: which axis must go, and which must stay?",
    }
    inputs = course.probe(11, x="NF", w="KF", b="K", N=4, F=3, K=5)
    t.gradient("a small batch", affine_backward, "b", F.linear, inputs, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    more = course.probe(12, x="NF", w="KF", b="K", N=6, F=5, K=2)
    t.gradient("more samples", affine_backward, "b", F.linear, more, hints=hints)
    one = course.probe(13, x="NF", w="KF", b="K", N=1, F=3, K=4)
    t.gradient("a batch of one", affine_backward, "b", F.linear, one, hints=hints)
    t.gradient("an empty batch", affine_backward, "b", F.linear, {**one, "x": np.zeros((0, 3))}, edge=True)
    ### END HIDDEN TESTS

# %% [markdown]
# ## 2. Two activations
#
# Each number is bent by itself, and so is each gradient: it is multiplied by the slope at the place where its number
# was (the *chain rule*),
#
# $$\operatorname{relu}(x) = \max(x, 0), \qquad \tanh(x), \qquad
# \text{dx} = \text{dout}\cdot\varphi'(x)\quad\text{element by element.}$$
#
# The kink of relu has no slope; take 0 there, as everybody does. The arrays may have any shape. `x` may hold large
# numbers such as $\pm1000$, where $\tanh$ is $\pm1$ and nothing may become NaN. Nothing is changed in place, and the
# dtype is kept.
#
# *Hint:* `np.tanh` is allowed. Its slope is easiest to write with the help of tanh itself (lesson 07, section 1).
# *Afterwards look at* `minidl/ops/activation.py`.

# %% solution id="activations"
def relu_forward(x: np.ndarray) -> np.ndarray:
    """max(x, 0), element by element. x of any shape -> the same shape."""
    ### BEGIN SOLUTION
    return np.maximum(x, 0)
    ### END SOLUTION


def relu_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx, given the gradient dout of relu(x). dout and x of the same shape -> the same shape."""
    ### BEGIN SOLUTION
    return dout * (x > 0)
    ### END SOLUTION


def tanh_forward(x: np.ndarray) -> np.ndarray:
    """tanh(x), element by element. x of any shape -> the same shape."""
    ### BEGIN SOLUTION
    return np.tanh(x)  # by exponentials it would overflow
    ### END SOLUTION


def tanh_backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx, given the gradient dout of tanh(x). dout and x of the same shape -> the same shape."""
    ### BEGIN SOLUTION
    return dout * (1 - np.tanh(x) ** 2)
    ### END SOLUTION

# %% test id="activations_out" points=4
import minidl
from minidl.nn import functional as F

with course.checks("relu and tanh", lesson=7) as t:
    x = course.probe(14, spread=True, x="NF", N=3, F=4)
    t.value("relu", relu_forward, x, F.relu, mistakes={
        "the sign is dropped instead of the negative numbers": np.abs,
        "this is the mask; the numbers that pass keep their values": lambda x: np.heaviside(x, 0.0),
    })
    t.value("tanh", tanh_forward, x, minidl.tanh, mistakes={
        "this is the sigmoid; tanh goes from -1 to 1": F.sigmoid,
    })
    ### BEGIN HIDDEN TESTS
    t.hide()
    images = course.probe(15, x="NCHW", N=2, C=3, H=4, W=5)
    t.value("relu of images", relu_forward, images, F.relu)
    t.value("tanh of images", tanh_forward, images, minidl.tanh)
    large = {"x": np.array([-1000.0, -30.0, -1.0, 0.5, 30.0, 1000.0])}
    t.value("tanh of large numbers", tanh_forward, large, minidl.tanh)
    single = {"x": images["x"].astype(np.float32)}
    t.value("relu of float32", relu_forward, single, F.relu, rtol=1e-5)
    t.value("tanh of float32", tanh_forward, single, minidl.tanh, rtol=1e-5)
    ### END HIDDEN TESTS

# %% test id="relu_dx" points=5
import minidl
from minidl.nn import functional as F


def right(dout, x):  # by minidl's autograd
    tracked = minidl.Tensor(x, requires_grad=True)
    return minidl.grad(F.relu(tracked), tracked, minidl.Tensor(dout))[0].numpy()


with course.checks("dx of relu", lesson=7) as t:
    six = {"dout": np.array([2.0, -6.0, 3.0, -4.0, 5.0, -1.0]), "x": np.array([-1.0, 1.5, 0.0, -0.5, 7.0, 2.0])}
    mistakes = {
        "the mask asks for the sign of dout; what counts is where x was": lambda dout, x: right(dout, dout),
        "relu is applied to dout: the gradient may be negative": lambda dout, x: right(np.maximum(dout, 0), x),
        "the mask is the wrong way round": lambda dout, x: right(dout, -x),
        "the mask is missing: the gradient passes everywhere": lambda dout, x: dout,
        "dout is not used: the slope must be multiplied by it": lambda dout, x: right(np.ones_like(dout), x),
        "the slope at 0 is taken to be 1; take 0": lambda dout, x: right(dout, x + 1e-12),
        "the value of relu stands where its slope is meant": lambda dout, x: dout * F.relu(x),
    }
    t.value("six numbers, one of them 0", relu_backward, six, right, mistakes=mistakes)
    t.gradient("a small batch", relu_backward, "x", F.relu, course.probe(16, spread=True, x="NF", N=3, F=4))
    ### BEGIN HIDDEN TESTS
    t.hide()
    images = course.probe(17, spread=True, x="NCHW", N=2, C=3, H=4, W=5)
    t.gradient("images", relu_backward, "x", F.relu, images)
    t.gradient("only negative numbers", relu_backward, "x", F.relu, {"x": -np.arange(1.0, 7.0)}, edge=True)
    large = {"dout": np.array([2.0, 3.0, -5.0]), "x": np.array([-1e3, 1e3, 1e-9])}
    t.value("large and small numbers", relu_backward, large, right)
    ### END HIDDEN TESTS

# %% test id="tanh_dx" points=5
import minidl


def right(dout, x):  # by minidl's autograd
    tracked = minidl.Tensor(x, requires_grad=True)
    return minidl.grad(minidl.tanh(tracked), tracked, minidl.Tensor(dout))[0].numpy()


with course.checks("dx of tanh", lesson=7) as t:
    small = {"dout": np.array([1.0, -2.0, 3.0, 0.5, 4.0, -1.0]), "x": np.array([0.1, 0.7, -0.4, -0.8, 0.3, 0.5])}
    t.value("six numbers", tanh_backward, small, right, mistakes={
        "this rule for the slope wants the output, tanh(x), and is given x": lambda dout, x: right(dout, np.arctanh(x)),
        "tanh is applied twice: the slope is taken at tanh(x), not at x": lambda dout, x: right(dout, np.tanh(x)),
        "the value of tanh stands where its slope is meant": lambda dout, x: dout * minidl.tanh(x),
        "the slope is missing: the gradient passes as if there were no tanh": lambda dout, x: dout,
        "dout is not used: the slope must be multiplied by it": lambda dout, x: right(np.ones_like(dout), x),
    }, hints={"value": "the slope of tanh is 1 at 0 and nearly 0 far away, on both sides in the same way: is yours?"})
    t.gradient("a small batch", tanh_backward, "x", minidl.tanh, course.probe(18, x="NF", N=3, F=4))
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("images", tanh_backward, "x", minidl.tanh, course.probe(19, x="NCHW", N=2, C=3, H=4, W=5))
    large = {"dout": np.array([2.0, 3.0, -1.0, 5.0]), "x": np.array([-1000.0, 0.5, 1.5, 1000.0])}
    t.value("large numbers", tanh_backward, large, right)
    ### END HIDDEN TESTS

# %% [markdown]
# Both pieces together are a network already. With one input and one output it is a function that can be drawn. Here the
# weights are not learned but set by hand: every hidden unit begins at one dot and changes the slope there, by its
# weight in the second layer, so that the network meets the grey curve at the dots. Replace the curve by one of your
# own. What becomes of the picture with `tanh_forward`?

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import BLUE, GREY, VERMILLION, dress


def curve(x):
    return np.sin(2 * x) + 0.3 * x


line = np.linspace(-3, 3, 601)[:, None]
fig, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained", sharey=True)
for ax, width in zip(axes, (3, 8, 24), strict=True):
    dots = np.linspace(-3, 3, width + 1)
    slopes = np.diff(curve(dots)) / np.diff(dots)
    w1, b1 = np.ones((width, 1)), -dots[:-1]
    w2, b2 = np.diff(slopes, prepend=0)[None], curve(dots[:1])
    out = affine_forward(relu_forward(affine_forward(line, w1, b1)), w2, b2)
    ax.plot(line, curve(line), color=GREY, linewidth=1)
    ax.plot(line, out, color=BLUE, linewidth=2)
    ax.plot(dots[:-1], curve(dots[:-1]), "o", color=VERMILLION, markersize=5)
    dress(ax, f"{width} hidden units", "x")
plt.show()

# %% [markdown]
# ## 3. Initialisation
#
# A layer has `fan_in` inputs and `fan_out` outputs. If its weights are too small, the signal fades from layer to layer;
# if they are too large, it explodes. Both rules below draw independent numbers of mean 0, and say which *variance* (the
# square of the standard deviation) keeps the signal's size (lesson 08):
#
# | | distribution | variance of the weights | made for |
# |---|---|---|---|
# | Xavier (Glorot and Bengio) | uniform on $[-a, a]$ | $2/(\text{fan\_in}+\text{fan\_out})$ | tanh |
# | Kaiming (He and others) | normal | $2/\text{fan\_in}$ | relu |
#
# Return a weight of the layer of exercise 1, so of shape `(fan_out, fan_in)`, in float64. `rng` is a seed or a
# generator: `np.random.default_rng(rng)` makes a generator of either. So that your numbers can be compared, draw the
# whole array with *one* call of the generator's method `uniform` (or `normal`), in the shape in which it is returned.
#
# *Hint:* a uniform distribution on $[-a, a]$ has the variance $a^2/3$; find $a$. Look up which of the two, variance or
# standard deviation, `normal` wants. *Afterwards look at* `minidl/nn/init.py`.

# %% solution id="initialisation"
def xavier_uniform(fan_in: int, fan_out: int, rng: int | np.random.Generator) -> np.ndarray:
    """Weights of a layer before tanh: uniform on [-a, a], variance 2 / (fan_in + fan_out).

    -> (fan_out, fan_in), float64.
    """
    ### BEGIN SOLUTION
    a = np.sqrt(3) * np.sqrt(2 / (fan_in + fan_out))
    return np.random.default_rng(rng).uniform(-a, a, (fan_out, fan_in))
    ### END SOLUTION


def kaiming_normal(fan_in: int, fan_out: int, rng: int | np.random.Generator) -> np.ndarray:
    """Weights of a layer before relu: normal, variance 2 / fan_in.

    -> (fan_out, fan_in), float64.
    """
    ### BEGIN SOLUTION
    std = np.sqrt(2 / fan_in)
    return np.random.default_rng(rng).normal(0, std, (fan_out, fan_in))
    ### END SOLUTION

# %% test id="xavier" points=8
import minidl
from minidl.nn import init


def drawn(fill, **options):  # what one of minidl's initialisers makes of the same arguments
    def weight(fan_in, fan_out, rng):
        return fill(minidl.zeros(fan_out, fan_in, dtype=np.float64), rng=rng, **options).numpy()

    return weight


with course.checks("Xavier's rule", lesson=8) as t:
    right = drawn(init.xavier_uniform_)
    mistakes = {
        "a is not the standard deviation: a uniform distribution on [-a, a] has a smaller one": drawn(
            init.xavier_uniform_, gain=3**-0.5),
        "the variance is half of what the table says": drawn(init.xavier_uniform_, gain=2**-0.5),
        "the root of the variance is not taken": lambda fan_in, fan_out, rng: drawn(
            init.xavier_uniform_, gain=(2 / (fan_in + fan_out)) ** 0.5)(fan_in, fan_out, rng),
        "the variance is twice of what the table says": drawn(init.xavier_uniform_, gain=2**0.5),
        "only fan_in is used; the rule serves both directions": drawn(init.kaiming_uniform_, nonlinearity="linear"),
        "only fan_out is used; the rule serves both directions": drawn(
            init.kaiming_uniform_, nonlinearity="linear", mode="fan_out"),
        "these numbers are drawn from a normal distribution": drawn(init.xavier_normal_),
        "rng is not used: every call gives the same numbers": lambda fan_in, fan_out, rng: right(fan_in, fan_out, 0),
    }
    hints = {"shape": "a weight has a row for each output: (fan_out, fan_in)",
             "value": "not the agreed numbers: is it one call of `uniform`, from -a to a, and is rng used?",
             "permuted": "drawn in another shape and then turned: draw them in the shape that is returned"}
    t.value("7 inputs, 4 outputs, seed 3", xavier_uniform, {"fan_in": 7, "fan_out": 4, "rng": 3}, right,
            mistakes=mistakes, hints=hints)
    ratio = {"ratio": "compare with the column 'variance' of the table"}
    t.that("the mean of many is nearly 0", lambda: abs(xavier_uniform(200, 300, 4).mean()) < 0.001,
           "the weights are to be as often negative as positive")
    t.that("the same seed, the same numbers", lambda: np.array_equal(xavier_uniform(6, 5, 8), xavier_uniform(6, 5, 8)),
           "the generator is not made from rng, so that it differs from call to call")
    t.value("the mean square of many", lambda *a: float((xavier_uniform(*a) ** 2).mean()),
            {"fan_in": 200, "fan_out": 300, "rng": 4}, 2 / (200 + 300), rtol=0.02, hints=ratio)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("more outputs than inputs", xavier_uniform, {"fan_in": 3, "fan_out": 8, "rng": 5}, right,
            mistakes=mistakes, hints=hints)
    t.that("a generator in place of a seed",
           lambda: np.array_equal(xavier_uniform(6, 5, np.random.default_rng(8)), xavier_uniform(6, 5, 8)),
           "rng may also be a generator: np.random.default_rng takes both")
    ### END HIDDEN TESTS

# %% test id="kaiming" points=8
import minidl
from minidl.nn import init


def drawn(fill, **options):  # what one of minidl's initialisers makes of the same arguments
    def weight(fan_in, fan_out, rng):
        return fill(minidl.zeros(fan_out, fan_in, dtype=np.float64), rng=rng, **options).numpy()

    return weight


with course.checks("Kaiming's rule", lesson=8) as t:
    right = drawn(init.kaiming_normal_, nonlinearity="relu")
    mistakes = {
        "the variance stands where `normal` wants the standard deviation": drawn(
            lambda w, rng: init.normal_(w, std=2 / w.shape[1], rng=rng)),
        "the 2 is lost, which makes up for the half that relu cuts away": drawn(
            init.kaiming_normal_, nonlinearity="linear"),
        "fan_out stands where fan_in is meant": drawn(init.kaiming_normal_, nonlinearity="relu", mode="fan_out"),
        "fan_out stands where fan_in is meant, and the 2 is lost": drawn(
            init.kaiming_normal_, nonlinearity="linear", mode="fan_out"),
        "this is Xavier's variance, with both fans": drawn(init.xavier_normal_),
        "these numbers are drawn from a uniform distribution": drawn(init.kaiming_uniform_, nonlinearity="relu"),
        "rng is not used: every call gives the same numbers": lambda fan_in, fan_out, rng: right(fan_in, fan_out, 0),
    }
    hints = {"shape": "a weight has a row for each output: (fan_out, fan_in)",
             "value": "not the agreed numbers: is it one call of `normal`, and is rng used?",
             "permuted": "drawn in another shape and then turned: draw them in the shape that is returned"}
    t.value("7 inputs, 4 outputs, seed 3", kaiming_normal, {"fan_in": 7, "fan_out": 4, "rng": 3}, right,
            mistakes=mistakes, hints=hints)
    ratio = {"ratio": "compare with the column 'variance' of the table"}
    t.that("the mean of many is nearly 0", lambda: abs(kaiming_normal(200, 300, 4).mean()) < 0.001,
           "the weights are to be as often negative as positive")
    t.that("the same seed, the same numbers", lambda: np.array_equal(kaiming_normal(6, 5, 8), kaiming_normal(6, 5, 8)),
           "the generator is not made from rng, so that it differs from call to call")
    t.value("the mean square of many", lambda *a: float((kaiming_normal(*a) ** 2).mean()),
            {"fan_in": 200, "fan_out": 300, "rng": 4}, 2 / 200, rtol=0.02, hints=ratio)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("more outputs than inputs", kaiming_normal, {"fan_in": 3, "fan_out": 8, "rng": 5}, right,
            mistakes=mistakes, hints=hints)
    t.that("a generator in place of a seed",
           lambda: np.array_equal(kaiming_normal(6, 5, np.random.default_rng(8)), kaiming_normal(6, 5, 8)),
           "rng may also be a generator: np.random.default_rng takes both")
    ### END HIDDEN TESTS

# %% [markdown]
# Thirty layers, 200 units wide, noise as input. The histograms show the numbers after layers 1, 3, 10, 20 and 30 (those
# that are not zero, each on a scale of its own), for weights of one fixed size and for the two rules; below, the
# standard deviation after every layer. A level line is what one wants. By which factor is the signal off after 30 relu
# layers with Xavier's rule? Which number raised to the power 30 is that, and where does it come from?

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import BLUE, GREEN, ORANGE, VERMILLION, bare, dress, key

DEPTH, WIDTH, shown = 30, 200, (1, 3, 10, 20, 30)
rng = np.random.default_rng(0)
start = rng.normal(size=(200, WIDTH))
rules = {
    "N(0, 0.05²), relu": (lambda: 0.05 * rng.normal(size=(WIDTH, WIDTH)), relu_forward, VERMILLION),
    "Xavier, relu": (lambda: xavier_uniform(WIDTH, WIDTH, rng), relu_forward, ORANGE),
    "Kaiming, relu": (lambda: kaiming_normal(WIDTH, WIDTH, rng), relu_forward, BLUE),
    "Xavier, tanh": (lambda: xavier_uniform(WIDTH, WIDTH, rng), tanh_forward, GREEN),
}
fig = plt.figure(figsize=(12, 8.4), layout="constrained")
top, below = fig.subfigures(2, 1, height_ratios=(1.9, 1))
panels, chart = top.subplots(len(rules), len(shown)), below.subplots()
for row, (name, (draw, activation, colour)) in zip(panels, rules.items(), strict=True):
    h, spread = start, []
    for layer in range(1, DEPTH + 1):
        h = activation(affine_forward(h, draw(), np.zeros(WIDTH)))
        spread.append(h.std())
        if layer in shown:
            ax = row[shown.index(layer)]
            ax.hist(h[h != 0], 40, color=colour)
            bare(ax, f"{name if layer == 1 else f'layer {layer}'}: std {h.std():.2g}")
    chart.semilogy(range(1, DEPTH + 1), spread, color=colour, linewidth=2, label=name)
dress(chart, "Standard deviation after each layer", "layer")
key(chart)
plt.show()

# %% [markdown]
# ## 4. The chain
#
# A network of $L$ affine layers, with an activation $\varphi$ after each but the last, and then a loss $\ell$:
#
# $$h_0 = x, \qquad z_k = h_{k-1} w_k^\top + b_k, \qquad h_k = \varphi(z_k), \qquad \text{loss} = \ell(z_L, y).$$
#
# Return the loss and its gradient with respect to every parameter. The way back is the way forward in reverse: the
# loss gives the gradient of $z_L$; the backward of layer $k$ turns that of $z_k$ into those of $w_k$, $b_k$ and
# $h_{k-1}$; the backward of the activation turns that of $h_k$ into that of $z_k$. Each backward wants to know what its
# forward was given, so keep that on the way.
#
# You do not need exercises 1 and 2 for it: the functions are handed in.
#
# - `params` is the list `[w1, b1, w2, b2, ..., wL, bL]`, with one layer at least.
# - `affine` is the pair `(forward, backward)` of exercise 1: `forward(x, w, b)` returns out, `backward(dout, x, w, b)`
#   returns `(dx, dw, db)`.
# - `activation` is such a pair too: `forward(z)` returns h, `backward(dout, z)` returns dz.
# - `loss(scores, y)` returns the pair `(value, gradient with respect to the scores)`.
# - The gradients come back as a list in the order of `params`. Call `loss` once, and change nothing in place.
#
# *Hint:* write it for two layers first, line by line, then as a loop. *Lesson:* 04, sections 1 and 8.
# *Afterwards look at* `minidl/engine.py`, which does this for any graph.

# %% solution id="mlp"
def mlp_loss_and_gradients(
    params: list, x: np.ndarray, y: np.ndarray, affine: tuple, activation: tuple, loss
) -> tuple[float, list]:
    """The loss of a multi-layer perceptron and its gradients (see above for the arguments).

    x (N, F), y (N,) -> (value, [dw1, db1, ..., dwL, dbL]), each gradient in the shape of its parameter.
    """
    ### BEGIN SOLUTION
    affine_forward, affine_backward = affine
    activation_forward, activation_backward = activation
    weights, biases = params[0::2], params[1::2]

    hidden, sums = [x], []  # what goes into each affine layer, and what comes out of it
    for w, b in zip(weights, biases, strict=True):
        sums.append(affine_forward(hidden[-1], w, b))
        hidden.append(activation_forward(sums[-1]))
    value, dz = loss(sums[-1], y)  # the last activation is not used

    grads = []
    for k in reversed(range(len(weights))):
        dh, dw, db = affine_backward(dz, hidden[k], weights[k], biases[k])
        grads = [dw, db, *grads]
        if k > 0:
            dz = activation_backward(dh, sums[k - 1])
    return value, grads
    ### END SOLUTION

# %% test id="mlp_loss" points=5
import minidl
from minidl.nn import functional as F


def backward(f):  # the gradients of f's arguments, by minidl's autograd
    def gradients(dout, *args):
        leaves = [minidl.Tensor(a, requires_grad=True) for a in args]
        found = tuple(g.numpy() for g in minidl.grad(f(*leaves), leaves, minidl.Tensor(dout)))
        return found if len(found) > 1 else found[0]

    return gradients


def loss(z, y):
    return float(F.cross_entropy(z, y)), backward(lambda z: F.cross_entropy(z, y))(np.array(1.0), z)


def run(f):  # the loss that is returned, with f for the activation
    def value(x, *p):
        return mlp_loss_and_gradients([*p], x, y[: len(x)], (F.linear, backward(F.linear)), (f, backward(f)), loss)[0]

    return value


with course.checks("the loss of the chain", lesson=6) as t:
    y, line, tanh, relu = np.array([0, 2, 1, 1, 0, 2, 2]), F.linear, minidl.tanh, F.relu
    layers = course.probe(20, x="NA", w1="BA", b1="B", w2="CB", b2="C", w3="DC", b3="D", N=7, A=5, B=4, C=6, D=3)
    t.value("three layers and tanh", run(tanh), layers, lambda x, w1, b1, w2, b2, w3, b3: float(F.cross_entropy(
        line(tanh(line(tanh(line(x, w1, b1)), w2, b2)), w3, b3), y)), mistakes={
        "the activation is applied after the last layer too": lambda x, w1, b1, w2, b2, w3, b3: float(F.cross_entropy(
            tanh(line(tanh(line(tanh(line(x, w1, b1)), w2, b2)), w3, b3)), y)),
        "the activation is applied to x as well": lambda x, w1, b1, w2, b2, w3, b3: float(F.cross_entropy(
            line(tanh(line(tanh(line(tanh(x), w1, b1)), w2, b2)), w3, b3), y)),
        "the activation is never applied": lambda x, w1, b1, w2, b2, w3, b3: float(F.cross_entropy(
            line(line(line(x, w1, b1), w2, b2), w3, b3), y)),
        "the activation is left out after the first layer": lambda x, w1, b1, w2, b2, w3, b3: float(F.cross_entropy(
            line(tanh(line(line(x, w1, b1), w2, b2)), w3, b3), y)),
    })
    ### BEGIN HIDDEN TESTS
    t.hide()
    two = course.probe(21, x="NA", w1="BA", b1="B", w2="CB", b2="C", N=6, A=5, B=4, C=3)
    t.value("two layers and relu", run(relu), two, lambda x, w1, b1, w2, b2: float(F.cross_entropy(
        line(relu(line(x, w1, b1)), w2, b2), y[:6])))
    one = course.probe(22, x="NA", w1="BA", b1="B", N=7, A=5, B=3)
    t.value("a single layer", run(relu), one, lambda x, w1, b1: float(F.cross_entropy(line(x, w1, b1), y)))
    t.value("one sample", run(tanh), {**two, "x": two["x"][:1]}, lambda x, w1, b1, w2, b2: float(F.cross_entropy(
        line(tanh(line(x, w1, b1)), w2, b2), y[:1])))
    ### END HIDDEN TESTS

# %% test id="mlp_last" points=5
import minidl
from minidl.nn import functional as F


def backward(f):  # the gradients of f's arguments, by minidl's autograd
    def gradients(dout, *args):
        leaves = [minidl.Tensor(a, requires_grad=True) for a in args]
        found = tuple(g.numpy() for g in minidl.grad(f(*leaves), leaves, minidl.Tensor(dout)))
        return found if len(found) > 1 else found[0]

    return gradients


def loss(z, y):
    return float(F.cross_entropy(z, y)), backward(lambda z: F.cross_entropy(z, y))(np.array(1.0), z)


def run(i):  # gradient i of the list that is returned
    def chosen(x, *p):
        affine, activation = (F.linear, backward(F.linear)), (tanh, backward(tanh))
        return mlp_loss_and_gradients([*p], x, y, affine, activation, loss)[1][i]

    return chosen


with course.checks("the gradients of the last layer", lesson=4) as t:
    y, line, tanh = np.array([0, 2, 1, 1, 0, 2, 2]), F.linear, minidl.tanh
    layers = course.probe(23, x="NA", w1="BA", b1="B", w2="CB", b2="C", w3="DC", b3="D", N=7, A=5, B=4, C=6, D=3)
    _, *right = backward(lambda x, w1, b1, w2, b2, w3, b3: F.cross_entropy(
        line(tanh(line(tanh(line(x, w1, b1)), w2, b2)), w3, b3), y))(np.array(1.0), *layers.values())
    t.value("dw of the last of three layers", run(4), layers, right[4], mistakes={
        "the list begins with the last layer; it should be in the order of params": lambda *_: right[0],
        "a bias stands in the list where its weight should be": lambda *_: right[5],
        "the list is reversed, from the last bias to w1": lambda *_: right[1],
    }, hints={"value": "if the loss is wrong too (the cell above), mend that first; else look at what the backward of "
                       "the last layer is given: the gradient that `loss` returned, and what its forward was given"})
    t.value("db of the last of three layers", run(5), layers, right[5])
    ### BEGIN HIDDEN TESTS
    t.hide()
    one = course.probe(24, x="NA", w1="BA", b1="B", N=7, A=5, B=3)
    _, *single = backward(lambda x, w1, b1: F.cross_entropy(line(x, w1, b1), y))(np.array(1.0), *one.values())
    t.value("dw of a single layer", run(0), one, single[0])
    t.value("db of a single layer", run(1), one, single[1])
    ### END HIDDEN TESTS

# %% test id="mlp_first" points=9
import minidl
from minidl.nn import functional as F


def backward(f):  # the gradients of f's arguments, by minidl's autograd
    def gradients(dout, *args):
        leaves = [minidl.Tensor(a, requires_grad=True) for a in args]
        found = tuple(g.numpy() for g in minidl.grad(f(*leaves), leaves, minidl.Tensor(dout)))
        return found if len(found) > 1 else found[0]

    return gradients


def loss(z, y):
    return float(F.cross_entropy(z, y)), backward(lambda z: F.cross_entropy(z, y))(np.array(1.0), z)


def run(f, i):  # gradient i of the list that is returned, with f for the activation
    def chosen(x, *p):
        affine, activation = (F.linear, backward(F.linear)), (f, backward(f))
        return mlp_loss_and_gradients([*p], x, y[: len(x)], affine, activation, loss)[1][i]

    return chosen


def noted(x, **p):  # what the activation's forward was given, and what its backward was given
    ahead, back = [], []
    noting = (lambda z: (ahead.append(z), tanh(z))[1], lambda dout, z: (back.append(z), backward(tanh)(dout, z))[1])
    mlp_loss_and_gradients([*p.values()], x, y, (F.linear, backward(F.linear)), noting, loss)
    return ahead, back


def known(ahead, back):  # is everything in `back` also in `ahead`?
    return all(any(np.array_equal(z, seen) for seen in ahead) for z in back)


def bent(slope):  # tanh, but its backward is another one
    return lambda z: tanh(z).detach() + (z - z.detach()) * slope(z.detach().numpy())


def three(act):  # the gradients of three layers
    _, *found = backward(lambda x, w1, b1, w2, b2, w3, b3: F.cross_entropy(
        line(act(line(act(line(x, w1, b1)), w2, b2)), w3, b3), y))(np.array(1.0), *layers.values())
    return found


with course.checks("the gradients of the layers before it", lesson=4) as t:
    y, line, tanh, relu = np.array([0, 2, 1, 1, 0, 2, 2]), F.linear, minidl.tanh, F.relu
    layers = course.probe(25, x="NA", w1="BA", b1="B", w2="CB", b2="C", w3="DC", b3="D", N=7, A=5, B=4, C=6, D=3)
    right, one = three(tanh), np.array(1.0)
    way = {"value": "if the cells above are wrong too, mend them first; else the gradient goes wrong on its way back: "
                    "look at what each backward is given, and at what becomes of the gradient that it returns"}
    t.value("dw of the second of three layers", run(tanh, 2), layers, right[2], hints=way, mistakes={
        "on its way back the gradient does not pass the activation": lambda *_: three(bent(lambda z: one))[2],
        "the activation's backward is given h, which came out of it; it wants z, which went in": lambda *_: three(
            bent(lambda z: backward(tanh)(np.ones_like(z), np.tanh(z))))[2],
        "a bias stands in the list where its weight should be": lambda *_: right[3],
    })
    t.value("dw of the first of three layers", run(tanh, 0), layers, right[0], hints=way, mistakes={
        "the list begins with the last layer; it should be in the order of params": lambda *_: right[4],
        "a bias stands in the list where its weight should be": lambda *_: right[1],
        "the list is reversed, from the last bias to w1": lambda *_: right[5],
    })
    t.value("db of the first of three layers", run(tanh, 1), layers, right[1], hints=way)
    t.that("the activation's backward is called once for each hidden layer", lambda: len(noted(**layers)[1]) == 2,
           "on its way back the gradient passes the activation once between two layers")
    t.that("the activation's backward is given what its forward was given", lambda: known(*noted(**layers)),
           "it wants z, which went into the activation, not h, which came out, nor anything else")
    ### BEGIN HIDDEN TESTS
    t.hide()
    two = course.probe(26, x="NA", w1="BA", b1="B", w2="CB", b2="C", N=6, A=5, B=4, C=3)
    _, *shallow = backward(lambda x, w1, b1, w2, b2: F.cross_entropy(
        line(relu(line(x, w1, b1)), w2, b2), y[:6]))(np.array(1.0), *two.values())
    t.value("dw of the first of two layers, relu", run(relu, 0), two, shallow[0])
    t.value("db of the first of two layers, relu", run(relu, 1), two, shallow[1])
    ### END HIDDEN TESTS

# %% [markdown]
# Now with your own pieces from exercises 1 to 3, on digits. The picture shows how long the gradient of each weight is,
# in networks of 20 layers that have learned nothing yet. A step is as long as the learning rate times this number: in
# which of them will the first thousand steps change anything? Then a comparison with minidl's own autograd.

# %% show
import matplotlib.pyplot as plt

import minidl
from minidl import data, nn
from minidl.nn import functional as F
from minidl.viz.style import BLUE, GREEN, ORANGE, VERMILLION, dress, key

digits = data.load_digits()
x, y = digits.x.reshape(-1, 64)[:200].astype(np.float64), digits.y[:200]


def cross_entropy(scores, y):
    leaf = minidl.Tensor(scores, requires_grad=True)
    value = F.cross_entropy(leaf, y)
    return value.item(), minidl.grad(value, leaf)[0].numpy()


def chain(params, x, y, act=(relu_forward, relu_backward)):
    return mlp_loss_and_gradients(params, x, y, (affine_forward, affine_backward), act, cross_entropy)


rng, sizes = np.random.default_rng(1), [64, *[50] * 19, 10]
rules = {
    "N(0, 0.05²), relu": (lambda n, m: 0.05 * rng.normal(size=(m, n)), (relu_forward, relu_backward), VERMILLION),
    "Xavier, relu": (lambda n, m: xavier_uniform(n, m, rng), (relu_forward, relu_backward), ORANGE),
    "Kaiming, relu": (lambda n, m: kaiming_normal(n, m, rng), (relu_forward, relu_backward), BLUE),
    "Xavier, tanh": (lambda n, m: xavier_uniform(n, m, rng), (tanh_forward, tanh_backward), GREEN),
}
fig, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
for name, (draw, act, colour) in rules.items():
    params = [p for n, m in zip(sizes, sizes[1:], strict=False) for p in (draw(n, m), np.zeros(m))]
    lengths = np.array([np.linalg.norm(g) for g in chain(params, x, y, act)[1][::2]])
    ax.semilogy(range(1, len(lengths) + 1), lengths, "o-", color=colour, markersize=4, label=name)
ax.set_xticks(range(1, 21))
dress(ax, "Length of the gradient of each weight", "layer")
key(ax)
plt.show()

model = nn.Sequential(nn.Linear(64, 30, dtype=np.float64), nn.ReLU(), nn.Linear(30, 10, dtype=np.float64))
params = [p.numpy().copy() for p in model.parameters()]
value = F.cross_entropy(model(x), y)
theirs, (mine, grads) = minidl.grad(value, list(model.parameters())), chain(params, x, y)
print(f"loss: yours {mine:.12f}, minidl's {value.item():.12f}")
gaps = [np.abs(a - b.numpy()).max() for a, b in zip(grads, theirs, strict=True)]
print("greatest difference of each gradient:", *(f"{gap:.0e}" for gap in gaps))

# %% [markdown]
# ## 5. The training loop
#
# *Stochastic gradient descent*: deal the samples out into batches in a random order, and after each batch take a step
# against the gradient of its loss,
#
# $$p \leftarrow p - \eta\,\frac{\partial\,\text{loss}}{\partial p}\qquad\text{for every parameter } p,
# \quad \eta = \text{lr, the learning rate.}$$
#
# One pass over all samples is an *epoch*. So that two programs come to the same numbers, it is agreed exactly:
#
# - Make one generator at the beginning, with `np.random.default_rng(rng)`. At the beginning of each epoch draw one
#   `permutation(N)` from it; its first `batch_size` entries are the samples of the first batch, and so on. The last
#   batch is smaller if `batch_size` does not divide $N$.
# - `loss_and_gradients(params, x_batch, y_batch)` is handed in and returns `(loss, gradients)`, the gradients as a list
#   in the order of `params`. Call it exactly once for each batch, then take the step.
# - The history has one number for each epoch: the mean over its *samples* of the losses that those calls returned, so
#   that a smaller batch counts for less.
# - Return the new parameters as a list, and the history as a list. The arrays that came in stay as they were: whoever
#   calls may want to start again from them.
#
# *Lesson:* 13, sections 1 to 3. *Afterwards look at* `minidl/train/fit.py`; the checks compare with it.

# %% solution id="fit"
def fit(
    params: list, loss_and_gradients, x: np.ndarray, y: np.ndarray, lr: float, epochs: int, batch_size: int,
    rng: int | np.random.Generator,
) -> tuple[list, list]:
    """Stochastic gradient descent from `params`, as agreed above.

    x (N, ...), y (N, ...), params: list of arrays -> (new params, [mean loss of each epoch]).
    """
    ### BEGIN SOLUTION
    generator, history = np.random.default_rng(rng), []
    for _ in range(epochs):
        order, total = generator.permutation(len(x)), 0.0
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            loss, grads = loss_and_gradients(params, x[batch], y[batch])
            params = [p - lr * g for p, g in zip(params, grads, strict=True)]
            total += len(batch) * loss
        history.append(total / len(x))
    return params, history
    ### END SOLUTION

# %% test id="fit_params" points=8
import minidl
from minidl import nn, optim, train
from minidl.nn import functional as F


def regression(params, x, y):  # the mean squared error of an affine map, and its gradients
    leaves = [minidl.Tensor(p, requires_grad=True) for p in params]
    value = F.mse_loss(F.linear(x, *leaves), y)
    return value.item(), [g.numpy().copy() for g in minidl.grad(value, leaves)]


def by_minidl(w, b, x, y, lr, epochs, batch_size, rng, maximize=False, last=None, reorder=list):
    model, rng = nn.Linear(w.shape[1], w.shape[0], dtype=np.float64, rng=0), np.random.default_rng(rng)
    model.weight.data, model.bias.data = w, b
    settings = {"optimizer": optim.SGD(model.parameters(), lr=lr, maximize=maximize), "loss": nn.MSELoss()}
    for order in reorder([rng.permutation(len(x)) for _ in range(epochs)]):
        batches = [(x[i], y[i]) for i in np.split(order, range(batch_size, len(x), batch_size))[:last]]
        if batches:
            train.fit(model, batches, epochs=1, progress=False, **settings)
    return model.weight.numpy().copy(), model.bias.numpy().copy()


def run(w, b, x, y, *settings):
    return tuple(fit([w, b], regression, x, y, *settings)[0])


def mixed(w, b, x, y, lr, epochs, batch_size, rng):  # x in another order than y
    return by_minidl(w, b, x[np.random.default_rng(rng).permutation(len(x))], y, lr, epochs, batch_size, rng)


with course.checks("the trained parameters", lesson=13) as t:
    given = course.probe(27, w="KF", b="K", x="NF", y="NK", N=10, F=3, K=2)
    step = {**given, "lr": 0.3, "epochs": 1, "batch_size": 16, "rng": 1}
    t.value("one step on all samples", run, step, by_minidl, mistakes={
        "the step goes uphill: the gradient points to where the loss grows": lambda *a: by_minidl(*a, maximize=True),
        "lr is not used": lambda *a: by_minidl(*a[:4], 1.0, *a[5:]),
        "the step is divided by the number of samples; the gradient of a mean has been so already":
            lambda *a: by_minidl(*a[:4], 0.03, *a[5:]),
        "these are the first parameters: no step is taken, or its result is not kept": lambda w, b, *_: (w, b),
        "the batches of x and of y are not taken with the same indices": mixed,
    }, hints={"value": "in one step on all samples each is used once, and each parameter moves once: is that so?"})
    order = {
        "the last batch, which is smaller, is left out": lambda *a: by_minidl(*a, last=-1),
        "the order is the same in every epoch": lambda *a: by_minidl(*a, reorder=lambda each: each[:1] * len(each)),
        "the samples are not shuffled": lambda *a: by_minidl(*a, reorder=lambda each: [np.sort(o) for o in each]),
        "only the first epoch is done": lambda *a: by_minidl(*a, reorder=lambda each: each[:1]),
    }
    long = {**given, "lr": 0.1, "epochs": 3, "batch_size": 4, "rng": 2}
    t.value("three epochs of three batches", run, long, by_minidl, mistakes=order, hints={
        "value": "one step is checked before this; if that is right, look at the order, the batches, and what is kept"})
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("batches that divide the samples", run, {**long, "batch_size": 5, "rng": 3}, by_minidl, mistakes=order)
    t.value("batches of one", run, {**long, "batch_size": 1, "rng": 4}, by_minidl, mistakes=order)
    t.value("one batch in each of four epochs", run, {**long, "batch_size": 10, "epochs": 4}, by_minidl)
    ### END HIDDEN TESTS

# %% test id="fit_batches" points=7
def called(N, batch_size, epochs, rng):  # the (x, y) of all calls; sample n has x = n and y = 100 + n
    calls = []

    def noting(params, x, y):
        calls.append((np.array(x), np.array(y)))
        return 1.0, [np.zeros(2)]

    fit([np.ones(2)], noting, np.arange(N), 100 + np.arange(N), 0.1, epochs, batch_size, rng)
    return calls


def sizes(*a):
    return np.array([len(x) for x, _ in called(*a)])


def samples(*a):
    return np.concatenate([x for x, _ in called(*a)])


def agreed(N, batch_size, epochs, rng, shuffle=np.random.Generator.permutation):
    rng = np.random.default_rng(rng)
    return np.concatenate([shuffle(rng, N) for _ in range(epochs)])


with course.checks("the batches", lesson=13) as t:
    given = {"N": 10, "batch_size": 4, "epochs": 3, "rng": 5}
    t.value("how many samples each batch has", sizes, given, np.array([4, 4, 2] * 3), mistakes={
        "the last batch, which is smaller, is left out": lambda *_: np.array([4, 4] * 3),
        "the last batch is filled up with samples that were there already": lambda *_: np.array([4, 4, 4] * 3),
        "only one epoch is done": lambda *_: np.array([4, 4, 2]),
        "loss_and_gradients is called twice for each batch": lambda *_: np.repeat([4, 4, 2] * 3, 2),
        "one epoch too few is done": lambda *_: np.array([4, 4, 2] * 2),
    }, hints={"shape": "there are more or fewer calls of loss_and_gradients than batches"})
    others = "this is not the order that was agreed: draw one permutation for each epoch, and nothing else"
    t.value("which samples they hold, in order", samples, given, agreed, mistakes={
        "the order is the same in every epoch": lambda N, b, epochs, rng: np.tile(agreed(N, b, 1, rng), epochs),
        "the samples are not shuffled": lambda N, b, epochs, rng: np.tile(np.arange(N), epochs),
        "some samples come twice in an epoch, others never: they are drawn with replacement": lambda *a: agreed(
            *a, lambda rng, N: rng.integers(0, N, N)),
    }, hints={"value": others, "permuted": others, "scattered": others, "shape": "samples are missing or too many"})
    t.that("each x comes with its own y", lambda: all(np.array_equal(x + 100, y) for x, y in called(10, 4, 2, 6)),
           "the batches of x and of y are not taken with the same indices")
    t.that("each sample comes once in each epoch", lambda: np.array_equal(
        np.sort(samples(10, 4, 2, 6).reshape(2, 10)), np.tile(np.arange(10), (2, 1))),
        "samples are missing, or come more than once")
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("other numbers", samples, {"N": 11, "batch_size": 3, "epochs": 2, "rng": 7}, agreed)
    t.value("one batch", samples, {"N": 6, "batch_size": 50, "epochs": 2, "rng": 8}, agreed)
    ### END HIDDEN TESTS

# %% test id="fit_history" points=6
def run(N, batch_size, epochs):  # the history, where the calls return these losses, one after the other
    following = iter(losses)

    def told(params, x, y):
        return float(next(following, 50.0)), [np.zeros(2)]

    return np.array(fit([np.ones(2)], told, np.arange(N), np.arange(N), 0.1, epochs, batch_size, 0)[1])


def mean(*weights):  # of the three losses of each epoch
    return lambda *_: losses.reshape(3, 3) @ np.array(weights)


with course.checks("the history", lesson=13) as t:
    losses = np.array([5.0, 3.0, 8.0, 4.0, 2.0, 7.0, 1.0, 6.0, 2.5])
    given = {"N": 10, "batch_size": 4, "epochs": 3}
    t.value("three epochs with batches of 4, 4 and 2", run, given, mean(0.4, 0.4, 0.2), mistakes={
        "this is the mean over the batches; the mean over the samples is asked for": mean(1 / 3, 1 / 3, 1 / 3),
        "this is the sum over the batches; the mean over the samples is asked for": mean(1, 1, 1),
        "this is the sum over the samples; their mean is asked for": mean(4, 4, 2),
        "this is the loss of the last batch alone": mean(0, 0, 1),
        "every batch counts as if it were full": mean(0.4, 0.4, 0.4),
        "the sum is not set back to zero when an epoch begins": lambda *_: np.cumsum(mean(0.4, 0.4, 0.2)()),
        "the last batch, which is smaller, is left out": lambda *_: losses[:6].reshape(3, 2).sum(axis=1) * 0.4,
        "this is what a second call returned, after the step": lambda *_: np.array(
            [*losses, *[50.0] * 9])[1::2].reshape(3, 3) @ np.array([0.4, 0.4, 0.2]),
    }, hints={"shape": "the history has one number for each epoch"})
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("batches of the same size", run, {"N": 6, "batch_size": 2, "epochs": 3}, mean(1 / 3, 1 / 3, 1 / 3))
    t.value("one batch in each epoch", run, {"N": 5, "batch_size": 5, "epochs": 9}, lambda *_: losses)
    ### END HIDDEN TESTS

# %% [markdown]
# ## 6. Early stopping
#
# After each epoch the loss on held-out samples is measured, and the training is stopped when it has not improved for a
# while. Given these losses, in which epoch is it stopped, and which epoch was the best one so far? Epochs count from 1.
#
# - An epoch *improves* if its loss is less than every loss before. An equal loss is no improvement, and neither is NaN
#   ("not a number"), not even in the first epoch.
# - The training stops at the end of the first epoch that is `patience` epochs after the last improvement (after epoch
#   0, if there was none yet). If there is no such epoch, it goes to the end of the list.
# - What would come after the stop is not seen: the best epoch is the best of those before it.
#
# For the losses 3.0, 2.0, 2.5, 1.9, 1.9, 2.2, 2.1, 1.0 and a patience of 2 the answer is `(4, 6)`: epoch 4 is the last
# improvement, epoch 5 only equals it, and after epoch 6 two epochs have passed in vain. The 1.0 is never reached.
#
# *Lesson:* 13, section 4. *Afterwards look at* `EarlyStopping` in `minidl/train/callbacks.py`.

# %% solution id="early_stopping"
def early_stopping(losses: list, patience: int) -> tuple[int, int]:
    """(the best epoch, 0 if none improved; the epoch after which training stops), counted from 1.

    losses: the validation loss of each epoch. patience: an integer >= 1.
    """
    ### BEGIN SOLUTION
    best_epoch, best = 0, np.inf
    for epoch, loss in enumerate(losses, 1):
        if loss < best:
            best_epoch, best = epoch, loss
        elif epoch - best_epoch >= patience:
            return best_epoch, epoch
    return best_epoch, len(losses)
    ### END SOLUTION

# %% test id="stopping" points=8
from types import SimpleNamespace

from minidl import train


def by_minidl(losses, patience):
    callback, reasons = train.EarlyStopping("val_loss", patience, restore_best=False), []
    for i, loss in enumerate(losses):
        callback.on_epoch_end(SimpleNamespace(row={"epoch": i + 1, "val_loss": loss}, stop=reasons.append))
        if reasons:
            break
    return callback.best_epoch, i + 1


with course.checks("early stopping", lesson=13) as t:
    mistakes = {
        "it stops one epoch too late": lambda losses, patience: by_minidl(losses, patience + 1),
        "an equal loss counts as an improvement": lambda losses, patience: by_minidl(
            [loss - 1e-9 * i for i, loss in enumerate(losses)], patience),
        "epochs are counted from 0": lambda losses, patience: tuple(e - 1 for e in by_minidl(losses, patience)),
        "the two numbers are exchanged": lambda losses, patience: by_minidl(losses, patience)[::-1],
        "the best epoch is looked for after the stop too": lambda losses, patience: (
            int(np.nanargmin(losses)) + 1, by_minidl(losses, patience)[1]),
        "it never stops": lambda losses, patience: by_minidl(losses, 10**6),
    }
    example = {"losses": [3.0, 2.0, 2.5, 1.9, 1.9, 2.2, 2.1, 1.0], "patience": 2}
    t.value("the example", early_stopping, example, by_minidl, mistakes=mistakes)
    down = {"losses": [5.0, 2.0, 4.0, 3.0, 2.5, 6.0, 7.0, 8.0], "patience": 3}
    t.value("better than the epoch before, not than the best", early_stopping, down, by_minidl, mistakes={
        **mistakes, "each loss is compared with the epoch before; what counts is the best so far": lambda *_: (5, 8)})
    waves = {"losses": [5.0, 6.0, 4.0, 7.0, 3.0, 8.0, 9.0], "patience": 3}
    t.value("it goes to the end", early_stopping, waves, by_minidl, mistakes=mistakes)
    ### BEGIN HIDDEN TESTS
    t.hide()
    nan = float("nan")
    t.value("a tie and a patience of 1", early_stopping, {"losses": [2.0, 1.5, 1.5, 1.0], "patience": 1}, by_minidl)
    t.value("NaN in between", early_stopping, {"losses": [4.0, 3.0, nan, 2.0, nan, nan, 1.0], "patience": 2}, by_minidl)
    t.value("NaN in the first epoch", early_stopping, {"losses": [nan, 3.0, 2.0, 4.0, 4.0], "patience": 2}, by_minidl,
            hints={"value": "a NaN in the first epoch is no improvement, and every number is less than no loss at all"})
    rng = np.random.default_rng(30)
    cases = [([round(v, 1) for v in rng.uniform(1, 3, 12).tolist()], int(rng.integers(1, 6))) for _ in range(20)]
    t.value("twenty more", lambda: np.array([early_stopping(*case) for case in cases]), {},
            np.array([by_minidl(*case) for case in cases]))
    ### END HIDDEN TESTS

# %% [markdown]
# ## Everything together
#
# Your network, your first weights, your gradients and your loop, on 1,200 handwritten digits of 8x8 pixels; 597 others
# are held out. Above, all is well. Below there are only 150 digits, and every fourth label was drawn by lot: after a
# while the network learns the wrong labels by heart, the validation loss rises, and `early_stopping` says when one
# should have stopped. On the right what the upper network has learned: the weights of some hidden units minus their
# first values, as pictures. A unit has come to look for strokes in the orange places and to want none in the blue ones.
#
# Change something: the activation, the width, the depth, the first weights (zeros?), the learning rate, the patience.

# %% show
import matplotlib.pyplot as plt

import minidl
from minidl import data
from minidl.nn import functional as F
from minidl.viz.style import GREEN, SIGNED, TRAIN, VALIDATION, dress, key

learn, held_out = data.split(data.load_digits(), (1200, 597), stratify=True, rng=0)
xs, ys, xv, yv = learn.x.reshape(-1, 64), learn.y, held_out.x.reshape(-1, 64), held_out.y
rng = np.random.default_rng(5)
few, slips = xs[:150], np.where(rng.random(150) < 0.25, rng.integers(0, 10, 150), ys[:150])


def cross_entropy(scores, y):
    leaf = minidl.Tensor(scores, requires_grad=True)
    value = F.cross_entropy(leaf, y)
    return value.item(), minidl.grad(value, leaf)[0].numpy()


def chain(params, x, y):
    act = relu_forward, relu_backward
    return mlp_loss_and_gradients(params, x, y, (affine_forward, affine_backward), act, cross_entropy)


def right(params, x, y):  # the share that is read correctly
    w1, b1, w2, b2 = params
    return float((affine_forward(relu_forward(affine_forward(x, w1, b1)), w2, b2).argmax(axis=1) == y).mean())


fig = plt.figure(figsize=(12, 6.8), layout="constrained")
curves, pictures = fig.subfigures(1, 2, width_ratios=(1.5, 1))
panels, units = curves.subplots(2, 1), pictures.subplots(6, 4)
runs = ("1,200 digits", xs, ys, 30, 0.2), ("150, some wrong", few, slips, 100, 0.1)
for ax, (name, x, y, epochs, lr) in zip(panels, runs, strict=True):
    first = params = [kaiming_normal(64, 48, rng), np.zeros(48), kaiming_normal(48, 10, rng), np.zeros(10)]
    losses, validation = [], []
    while len(losses) < epochs:
        params, history = fit(params, chain, x, y, lr, epochs=1, batch_size=20, rng=rng)
        losses += history
        validation.append(chain(params, xv, yv)[0])
    best, stop = early_stopping(validation, 10)
    ax.plot(range(1, epochs + 1), losses, color=TRAIN, label="training (while it learns)")
    ax.plot(range(1, epochs + 1), validation, color=VALIDATION, label="validation")
    ax.axvline(best, color=GREEN, linewidth=2, label=f"best epoch: {best}")
    if stop < epochs:
        ax.axvline(stop, color=GREEN, linestyle=":", label=f"stop after {stop}")
    dress(ax, f"{name}: {right(params, xv, yv):.1%} of the held-out digits right", "epoch", "loss")
    key(ax)
    if x is xs:
        learned, score = params[0] - first[0], right(params, xv, yv)
for ax, w in zip(units.flat, learned, strict=False):
    ax.imshow(w.reshape(8, 8), cmap=SIGNED, vmin=-np.abs(w).max(), vmax=np.abs(w).max())
    ax.set_axis_off()
pictures.suptitle("Learned by 24 of the 48 hidden units", fontsize=10, fontweight="bold")
plt.show()
print(f"{score:.1%} of the held-out digits are read correctly")
assert score > 0.95
