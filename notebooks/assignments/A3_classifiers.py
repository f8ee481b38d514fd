# %% [markdown]
# # A3. Linear classifiers
#
# You write a classifier from its first line to its last: the softmax, the two losses that are used most and their
# gradients, the linear scores, gradient descent in small batches, and the K-fold cross-validation with which one
# chooses a setting. At the end it reads handwritten digits.
#
# *Class*: one of $C$ possible answers, numbered from 0. *Label* $y$: the number of the right one. *Score*: the number
# that the model gives to a class; the class with the largest score is its answer.
#
# | exercise | cells | marks |
# |---|---|---|
# | 1. softmax | `softmax` | 10 |
# | 2. cross-entropy and its gradient | `cross_entropy_forward`, `cross_entropy_backward` | 8 + 12 |
# | 3. hinge loss and its gradient | `hinge_forward`, `hinge_backward` | 7 + 11 |
# | 4. linear scores and their gradients | `scores_forward`, `scores_backward` | 3 + 4 + 5 + 4 |
# | 5. batches and gradient descent | `minibatches`, `sgd` | 5 + 8 + 4 |
# | 6. K-fold and the choice of a setting | `kfold`, `cross_validate` | 6 + 3 + 6 + 4 |
#
# Read before: lessons 09 (linear classifiers), 10 (losses), 13 (training loop) and 14 (over-fitting).
#
# **How to work.** Fill in `# YOUR CODE HERE`, run the cell, run the checks below it and read what they say. A check
# that fails says what is right, where you are furthest off, and what the cause may be. `minidl course check A3` runs
# all of them; `minidl course submit A3` packs what you hand in. A graded cell gives all of its marks or none. Some of
# its checks are hidden: they try other numbers and hard cases; all that they ask for stands in the text.
#
# **Rules.** In your cells use NumPy and the standard library only: no torch or the like, nothing of minidl. No function
# may change the arrays it is given. Each cell is marked by itself, so do not call in one exercise what you wrote in
# another: a slip would cost you twice.
#
# **Names.** A gradient is called `d` and the name of what it belongs to: `ds` is the gradient with respect to `s`.
# `dout` is the *upstream gradient*: how much the final result changes with the output of this function. A `backward`
# takes `dout` and then the arguments of its `forward`.

# %% given
import numpy as np

from minidl import course

# %% [markdown]
# ## 1. Softmax (10 marks)
#
# The softmax turns scores `s` of shape `(N, C)`, one row for each sample, into probabilities, row by row:
#
# $$p_{nc} = \frac{e^{s_{nc}}}{\sum_{k=1}^{C} e^{s_{nk}}} .$$
#
# It has to be right for scores of 1,000 and of -1,000 too, also if some rows are large and others small. Written down
# as it stands, the formula is not. What goes in as float32 comes out as float32.
#
# *Hint:* which number may you add to all scores of a row without changing its probabilities? Lesson 10, sections 1
# and 2. Afterwards look at `softmax` in `minidl/ops/reduce.py`.

# %% solution id="softmax"
def softmax(s: np.ndarray) -> np.ndarray:
    """The probabilities p[n, c] = exp(s[n, c]) / sum over k of exp(s[n, k]).

    s: scores (N, C), of any size. Returns (N, C), of the dtype of s; every row adds up to 1.
    """
    ### BEGIN SOLUTION
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
    ### END SOLUTION


# %% test id="softmax_p" points=10
import minidl

with course.checks("the softmax", lesson=10) as t:
    s = course.probe(1, s="NC", N=3, C=4)["s"]

    def shared(s, axis):  # the right ratios within a row, divided by a wrong sum
        p = minidl.softmax(s, 1)
        p /= p.max(axis=1, keepdims=True)
        return p / p.sum(axis=axis, keepdims=True)

    slips = {
        "the sum goes over the samples; each row is one sample, and its own probabilities add up to 1":
            lambda s: minidl.softmax(s, 0),
        "the sum goes over the whole array; each row is one sample, and its own probabilities add up to 1":
            lambda s: minidl.softmax(s.ravel()).reshape(s.shape),
        "the last sum goes over the samples; do the probabilities of each sample add up to 1?": lambda s: shared(s, 0),
        "the last sum goes over the whole array; do the probabilities of each sample add up to 1?":
            lambda s: shared(s, None),
        "the exponentials are not divided by their sum": minidl.exp,
        "these are the logarithms of the probabilities": lambda s: minidl.log_softmax(s, 1),
        "the signs of the scores are turned: a large score means a large probability": lambda s: minidl.softmax(-s, 1),
    }
    infinite = {"nan": "exp(1000) is infinite in every format, and infinity divided by infinity is no number"}
    t.value("three samples, four classes", softmax, {"s": s}, lambda s: minidl.softmax(s, 1), mistakes=slips)
    t.value("scores near 1000", softmax, {"s": s + 1000}, lambda s: minidl.softmax(s, 1), mistakes=slips,
            hints=infinite)
    ### BEGIN HIDDEN TESTS
    t.hide()
    levels = np.array([[-2000.0], [0.0], [2000.0]])
    alone = "only the largest score of the whole array is made harmless, and the exponentials of other rows vanish"
    t.value("rows of very different levels", softmax, {"s": s + levels}, lambda s: minidl.softmax(s, 1),
            mistakes=slips, hints={"nan": alone, "one_slice": alone, "scattered": alone})
    wide = {"s": np.array([[-1000.0, 0.5, 1.0], [999.0, 1000.0, -3.0]])}
    t.value("large and small scores in one row", softmax, wide, lambda s: minidl.softmax(s, 1), hints=infinite)
    t.value("scores near -1000", softmax, {"s": 3 * s - 1000}, lambda s: minidl.softmax(s, 1), hints={
        "nan": "exp(-1000) is 0 in every format, and 0 / 0 is no number"})
    t.value("one sample", softmax, {"s": s[:1]}, lambda s: minidl.softmax(s, 1), mistakes=slips)
    t.value("more samples than classes", softmax, course.probe(2, s="NC", N=7, C=2), lambda s: minidl.softmax(s, 1),
            mistakes=slips)
    t.value("single precision", softmax, {"s": s.astype(np.float32)}, lambda s: minidl.softmax(s, 1), rtol=1e-5)
    ### END HIDDEN TESTS

# %% [markdown]
# What the size of the scores means: the four panels have the same scores, multiplied by a number. Small ones say "I do
# not know", large ones pick the maximum, whence the name: a *soft* maximum.

# %% show
import matplotlib.pyplot as plt

from minidl import data, viz
from minidl.viz.style import AMOUNT, BLUE, CLASSES, GREY, INK, SIGNED, VERMILLION, bare, dress, key

scores = np.array([[1.0, 2.0, 2.5, -1.0, 0.0]])
fig, axes = plt.subplots(1, 4, figsize=(12, 2.6), layout="constrained", sharey=True)
for ax, times in zip(axes, (0.1, 1, 4, 1000), strict=True):
    p = softmax(times * scores)[0]
    ax.bar([f"{v * times:g}" for v in scores[0]], p, color=BLUE, width=0.65)
    for c, v in enumerate(p):
        ax.text(c, v + 0.02, f"{v:.2f}", ha="center", fontsize=8)
    dress(ax, f"Scores times {times:g}", "score", "probability" * (times == 0.1))
axes[0].set_ylim(0, 1.12)
plt.show()

# %% [markdown]
# ## 2. Cross-entropy (8 + 12 marks)
#
# The cross-entropy is the surprise at the right answer, $-\log p_{n y_n}$, and its mean over the $N$ samples:
#
# $$L = -\frac1N \sum_{n=1}^{N} \log p_{n y_n}, \qquad p = \mathrm{softmax}(s).$$
#
# `y` has the shape `(N,)` and holds class numbers (not rows of zeros and ones). The loss must also be right where the
# model is certain and wrong: for the scores $(1000, 0)$ and the label 1 it is 1000, although the softmax gives this
# class the probability 0 and $\log 0 = -\infty$.
#
# *Hint:* write $\log p$ in terms of $s$ on paper before you write code; exponential and logarithm cancel. `s[rows, y]`
# with two integer arrays takes one element for each sample (lesson 01). Lesson 10, section 3.

# %% solution id="cross_entropy_forward"
def cross_entropy_forward(s: np.ndarray, y: np.ndarray) -> float:
    """The mean cross-entropy L = -1/N sum over n of log p[n, y[n]], with p = softmax(s) row by row.

    s: scores (N, C), of any size. y: class numbers (N,), integers from 0 to C - 1. Returns a number.
    """
    ### BEGIN SOLUTION
    shifted = s - s.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-logp[np.arange(len(y)), y].mean())
    ### END SOLUTION


# %% test id="cross_entropy_loss" points=8
from minidl.nn import functional as F

with course.checks("the cross-entropy", lesson=10) as t:
    inputs = {**course.probe(3, s="NC", N=5, C=4), "y": np.array([2, 0, 3, 3, 1])}
    slips = {
        "this is the sum over the samples; the mean is asked for": lambda s, y: F.cross_entropy(s, y, reduction="sum"),
        "the sum is divided by all elements of the scores; there is one term for each sample":
            lambda s, y: F.cross_entropy(s, y) / s.shape[1],
        "the sign is turned: the loss of a classifier is positive, and 0 for one that is certain and right":
            lambda s, y: -F.cross_entropy(s, y),
        "s[:, y] takes all the columns of y from every row; one element of each row is meant":
            lambda s, y: np.mean([F.cross_entropy(s, np.roll(y, k)) for k in range(len(y))]),
        "the softmax goes over the samples; each row is one sample":
            lambda s, y: F.nll_loss(F.log_softmax(s, 0), y),
        "this is the mean probability of the right class, without the logarithm":
            lambda s, y: -F.nll_loss(F.softmax(s, 1), y),
        "the scores stand where the logarithms of the probabilities belong": lambda s, y: F.nll_loss(s, y),
        "the logarithm is that of base 2": lambda s, y: F.cross_entropy(s, y) / np.log(2),
    }
    t.value("five samples, four classes", cross_entropy_forward, inputs, F.cross_entropy, mistakes=slips)
    certain = {"s": np.array([[1000.0, 0.0, -500.0], [3.0, 1.0, 999.0]]), "y": np.array([1, 0])}
    t.value("certain and wrong", cross_entropy_forward, certain, F.cross_entropy, mistakes=slips, hints={"nan":
            "the probability has become 0 or no number before its logarithm is taken; do both in one step"})
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("one sample", cross_entropy_forward, {"s": inputs["s"][:1], "y": np.array([3])}, F.cross_entropy,
            mistakes=slips)
    many = {**course.probe(4, s="NC", N=8, C=3), "y": np.array([0, 1, 1, 2, 0, 0, 1, 0])}
    t.value("more samples than classes", cross_entropy_forward, many, F.cross_entropy, mistakes=slips)
    level = {"s": many["s"] + 1500.0 * (np.arange(8.0)[:, None] - 4), "y": many["y"]}
    t.value("rows of very different levels", cross_entropy_forward, level, F.cross_entropy, hints={"nan":
            "an exponential overflows, or all those of a row vanish: each row has a level of its own"})
    ### END HIDDEN TESTS

# %% [markdown]
# Now its gradient with respect to the scores. The loss is one number, so `dout` is one number too. It need not be 1:
# something may come after the loss, for instance a weight in front of it.
#
# $$\texttt{ds}_{nc} = \texttt{dout} \cdot \frac{\partial L}{\partial s_{nc}} .$$
#
# *Hint:* derive it for one sample, first for the class $c = y$, then for another one; both become short. It must be
# right for scores of 1,000 as well. Afterwards look at the lines after `_cross_entropy` in `minidl/ops/loss.py`.

# %% solution id="cross_entropy_backward"
def cross_entropy_backward(dout: float, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The gradient of dout * cross_entropy_forward(s, y) with respect to s.

    dout: a number. s: scores (N, C), of any size. y: class numbers (N,). Returns ds (N, C).
    """
    ### BEGIN SOLUTION
    n = len(y)
    ds = np.exp(s - s.max(axis=1, keepdims=True))
    ds /= ds.sum(axis=1, keepdims=True)
    ds[np.arange(n), y] -= 1
    return ds * (dout / n)
    ### END SOLUTION


# %% test id="cross_entropy_ds" points=12
import minidl
from minidl import Tensor
from minidl.nn import functional as F

with course.checks("ds of the cross-entropy", lesson=10) as t:
    inputs = {**course.probe(5, s="NC", N=5, C=4), "y": np.array([3, 2, 0, 1, 3])}
    hints = {
        "ratio": "a factor that is the same everywhere is wrong: is dout in it?",
        "times_n": "the loss is a mean over the samples: what does one more sample do to the share of each?",
        "over_n": "divided once too often, or by the number of classes; the loss is a mean over the samples alone",
        "missing_term": "the right class differs from the others: its score also stands outside the sum",
        "one_slice": "the right class differs from the others, in every row: one element of each row, [rows, y]",
        "scattered": "one kind of element is wrong: compare the right class of each row with the others",
        "value": "for a single sample: what is the derivative for c = y, what for another class? Do all rows of ds add "
                 "up to 0, as they must if only differences of scores count?",
    }
    t.gradient("five samples, four classes", cross_entropy_backward, "s", F.cross_entropy, inputs, hints=hints)
    large = Tensor(np.array([[1000.0, 0.0, 999.0], [-1000.0, 3.0, 2.5]]), requires_grad=True)
    (expected,) = minidl.grad(1.7 * F.cross_entropy(large, [1, 2]), large)
    t.value("scores of 1000", cross_entropy_backward, {"dout": 1.7, "s": large.numpy(), "y": np.array([1, 2])},
            expected.numpy(), hints={**hints, "nan": "exp(1000) is infinite, and infinity / infinity is no number"})
    ### BEGIN HIDDEN TESTS
    t.hide()
    one = {"s": inputs["s"][1:2], "y": np.array([1])}
    t.gradient("one sample", cross_entropy_backward, "s", F.cross_entropy, one, hints=hints)
    many = {**course.probe(6, s="NC", N=8, C=3), "y": np.array([0, 1, 1, 2, 0, 0, 1, 0])}
    t.gradient("more samples than classes", cross_entropy_backward, "s", F.cross_entropy, many, hints=hints)
    t.gradient("the same label everywhere", cross_entropy_backward, "s", F.cross_entropy,
               {"s": many["s"], "y": np.full(8, 2)}, hints=hints)
    ### END HIDDEN TESTS

# %% [markdown]
# ## 3. Hinge loss (7 + 11 marks)
#
# The *support vector machine* knows no probabilities. It wants the score of the right class to be larger than each of
# the others by at least a *margin* $\delta$, and counts what is missing:
#
# $$L = \frac1N \sum_{n=1}^{N} \sum_{c \ne y_n} \max\big(0,\ \delta - s_{n y_n} + s_{nc}\big) .$$
#
# The sum is over the wrong classes only, all of them (Weston and Watkins; others take the largest term alone). Nothing
# is divided by $C$ here.
#
# *Hint:* one array of all margins `(N, C)` first, then think about the column of the right class. Lesson 09, section 2.

# %% solution id="hinge_forward"
def hinge_forward(s: np.ndarray, y: np.ndarray, delta: float) -> float:
    """The mean over n of the sum over the wrong classes c of max(0, delta - s[n, y[n]] + s[n, c]).

    s: scores (N, C). y: class numbers (N,). delta: the margin, a positive number. Returns a number.
    """
    ### BEGIN SOLUTION
    rows = np.arange(len(y))
    missing = np.maximum(0, delta - s[rows, y][:, None] + s)
    missing[rows, y] = 0
    return float(missing.sum(axis=1).mean())
    ### END SOLUTION


# %% test id="hinge_loss" points=7
from minidl.nn import functional as F

with course.checks("the hinge loss", lesson=9) as t:
    inputs = {**course.probe(2228, s="NC", N=5, C=4), "y": np.array([3, 2, 0, 1, 3]), "delta": 0.7}

    def hinge(s, y, delta, **options):  # the library divides by the number of classes, as PyTorch does
        return F.multi_margin_loss(s, y, margin=delta, **options) * s.shape[1]

    def largest(s, y, delta):
        rivals = np.where(np.eye(s.shape[1])[y] == 1, -np.inf, s).max(axis=1)
        return hinge(np.stack([np.take_along_axis(s, y[:, None], 1)[:, 0], rivals], axis=1), 0 * y, delta)

    slips = {
        "the right class is counted too: its difference to itself is 0, so it adds the margin once for each sample":
            lambda s, y, delta: hinge(s, y, delta) + delta,
        "this is the sum over the samples; the mean is asked for":
            lambda s, y, delta: hinge(s, y, delta, reduction="sum"),
        "divided by the number of classes: the mean is over the samples, the wrong classes are summed":
            lambda s, y, delta: hinge(s, y, delta) / s.shape[1],
        "divided by the number of wrong classes: the mean is over the samples, the wrong classes are summed":
            lambda s, y, delta: hinge(s, y, delta) / (s.shape[1] - 1),
        "the margin is 1 whatever delta says": lambda s, y, delta: hinge(s, y, 1.0),
        "the margin is left out": lambda s, y, delta: hinge(s, y, 0.0),
        "the two scores are exchanged: a sample costs nothing if its right score is the larger one, by the margin":
            lambda s, y, delta: hinge(-s, y, delta),
        "negative terms are kept: a class that is far behind must not make up for another":
            lambda s, y, delta: hinge(s, y, delta + 1e3) - 1e3 * (s.shape[1] - 1),
        "the terms are squared": lambda s, y, delta: hinge(s, y, delta, p=2),
        "only the largest term of each sample is taken; all wrong classes count": largest,
    }
    t.value("five samples, four classes", hinge_forward, inputs, hinge, mistakes=slips)
    t.value("a margin of 2.5", hinge_forward, {**inputs, "delta": 2.5}, hinge, mistakes=slips)
    ### BEGIN HIDDEN TESTS
    t.hide()
    many = {**course.probe(8, s="NC", N=8, C=3), "y": np.array([0, 1, 1, 2, 0, 0, 1, 0]), "delta": 1.0}
    t.value("more samples than classes", hinge_forward, many, hinge, mistakes=slips)
    t.value("one sample", hinge_forward, {"s": 2 * many["s"][:1], "y": np.array([1]), "delta": 0.4}, hinge,
            mistakes=slips)
    t.value("large scores", hinge_forward, {**many, "s": 1e4 * many["s"]}, hinge, mistakes=slips)
    done = {"s": np.array([[9.0, 1.0, 2.0]]), "y": np.array([0]), "delta": 1.0}
    t.value("all margins are kept", hinge_forward, done, hinge, mistakes=slips, edge=True)
    ### END HIDDEN TESTS

# %% [markdown]
# Its gradient. The loss has a kink where a margin is exactly $\delta$; the checks stay away from there, and you may
# return either side. As before `dout` is one number.
#
# *Hint:* take one sample and one wrong class. In which scores does its term grow, in which does it fall, and how fast?
# Then add up the terms. Lesson 09, section 3.

# %% solution id="hinge_backward"
def hinge_backward(dout: float, s: np.ndarray, y: np.ndarray, delta: float) -> np.ndarray:
    """The gradient of dout * hinge_forward(s, y, delta) with respect to s.

    dout: a number. s: scores (N, C). y: class numbers (N,). delta: the margin. Returns ds (N, C).
    """
    ### BEGIN SOLUTION
    n = len(y)
    rows = np.arange(n)
    ds = (s > s[rows, y][:, None] - delta).astype(s.dtype)
    ds[rows, y] = 0
    ds[rows, y] = -ds.sum(axis=1)
    return ds * (dout / n)
    ### END SOLUTION


# %% test id="hinge_ds" points=11
from minidl.nn import functional as F

with course.checks("ds of the hinge loss", lesson=9) as t:
    inputs = {**course.probe(2228, s="NC", N=5, C=4), "y": np.array([3, 2, 0, 1, 3]), "delta": 0.7}

    def hinge(s, y, delta):
        return F.multi_margin_loss(s, y, margin=delta) * s.shape[1]

    terms = ("two things decide: which terms of the loss count at all, and in how many of those of a row the score of "
             "the right class stands")
    hints = {
        "ratio": "a factor that is the same everywhere is wrong: is dout in it?",
        "times_n": "the loss is a mean over the samples: what does one more sample do to the share of each?",
        "over_n": "divided once too often, or by the number of classes; the loss is a mean over the samples alone",
        "absolute": "a larger score of the right class makes the loss smaller, that of another class makes it larger",
        **dict.fromkeys(("scattered", "one_slice", "value", "missing_term"), terms),
    }
    t.gradient("five samples, four classes", hinge_backward, "s", hinge, inputs, hints=hints)
    t.gradient("a margin of 2.5", hinge_backward, "s", hinge, {**inputs, "delta": 2.5}, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    many = {**course.probe(8, s="NC", N=8, C=3), "y": np.array([0, 1, 1, 2, 0, 0, 1, 0]), "delta": 1.0}
    t.gradient("more samples than classes", hinge_backward, "s", hinge, many, hints=hints)
    one = {"s": 2 * many["s"][:1], "y": np.array([1]), "delta": 0.4}
    t.gradient("one sample", hinge_backward, "s", hinge, one, hints=hints)
    done = {"s": np.array([[9.0, 1.0, 2.0], [-1.0, 0.0, 5.0]]), "y": np.array([0, 2]), "delta": 1.0}
    t.gradient("all margins are kept", hinge_backward, "s", hinge, done, hints=hints, edge=True)
    ### END HIDDEN TESTS

# %% [markdown]
# Both losses as landscapes. There are three classes, class 0 is right, and only differences of scores count; so two
# numbers say all. The colour is the loss, an arrow is the direction of descent as your gradients give it, and the
# dashed lines are where class 0 begins to win. The hinge is made of planes and is flat at the bottom, where it is
# satisfied. The cross-entropy is smooth and always wants a little more.

# %% show
across = np.linspace(-4, 3, 57)
u, v = np.meshgrid(across, across)
S = np.stack([np.zeros(u.size), u.ravel(), v.ravel()], axis=1)  # scores of classes 0, 1, 2
zeros = np.zeros(len(S), int)
ways = {
    "Cross-entropy": (cross_entropy_forward, cross_entropy_backward, ()),
    "Hinge, margin 1": (hinge_forward, hinge_backward, (1.0,)),
}
fig, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained", sharey=True)
for ax, (name, (forward, backward, extra)) in zip(axes, ways.items(), strict=True):
    height = np.array([forward(row[None], zeros[:1], *extra) for row in S]).reshape(u.shape)
    g = backward(float(len(S)), S, zeros, *extra)  # dout = N: the gradient of each sample's own loss
    down = [(g[:, 0] - g[:, c]).reshape(u.shape)[2::6, 2::6] for c in (1, 2)]
    shades = ax.contourf(u, v, height, np.linspace(0, 8, 17), cmap=AMOUNT, extend="max")
    ax.quiver(u[2::6, 2::6], v[2::6, 2::6], *down, color=VERMILLION, angles="xy", scale=45, width=0.005)
    ax.plot([-4, 0, 0], [0, 0, -4], color=INK, linewidth=1.2, linestyle="--")
    dress(ax, name, "score of class 1 minus score of class 0",
          "score of class 2 minus score of class 0" * (name == "Cross-entropy"), None)
    ax.set_aspect("equal")
fig.colorbar(shades, ax=axes, label="loss")
plt.show()

# %% [markdown]
# ## 4. Linear scores (3 + 4 + 5 + 4 marks)
#
# Each class $c$ has a row of weights $w_c$ and a number $b_c$. For samples $x$ of $D$ numbers each:
#
# $$s_{nc} = \sum_{d=1}^{D} w_{cd}\, x_{nd} + b_c, \qquad x: (N, D), \quad w: (C, D), \quad b: (C,), \quad s: (N, C).$$
#
# *Hint:* one matrix product and one broadcast sum (lesson 01), no loop.

# %% solution id="scores_forward"
def scores_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The scores s[n, c] = sum over d of w[c, d] x[n, d] + b[c].

    x: samples (N, D). w: weights (C, D). b: biases (C,). Returns s (N, C).
    """
    ### BEGIN SOLUTION
    return x @ w.T + b
    ### END SOLUTION


# %% test id="scores_s" points=3
from minidl.nn import functional as F

with course.checks("the linear scores", lesson=9) as t:
    inputs = course.probe(9, x="ND", w="CD", b="C", N=3, D=5, C=4)
    slips = {
        "the biases are not added": lambda x, w, b: F.linear(x, w),
        "the biases are subtracted": lambda x, w, b: F.linear(x, w, -b),
        "the result is transposed: one row for each sample is asked for": lambda x, w, b: F.linear(x, w, b).T,
        "the mean over the inputs is taken, not the sum": lambda x, w, b: F.linear(x, w / w.shape[1], b),
        "only the largest score of each sample is returned": lambda x, w, b: F.linear(x, w, b).max(axis=1),
        "these are probabilities; the scores themselves are asked for":
            lambda x, w, b: F.softmax(F.linear(x, w, b), 1),
    }
    t.value("three samples, four classes", scores_forward, inputs, F.linear, mistakes=slips)
    ### BEGIN HIDDEN TESTS
    t.hide()
    square = {"x": inputs["x"][:, :4], "w": inputs["w"][:, :4], "b": inputs["b"]}
    t.value("as many inputs as classes", scores_forward, square, F.linear, mistakes={
        **slips, "w is used with its axes exchanged: its rows belong to the classes":
            lambda x, w, b: F.linear(x, w.T, b)})
    t.value("one sample", scores_forward, {**inputs, "x": inputs["x"][:1]}, F.linear, mistakes=slips)
    single = course.probe(10, x="ND", w="CD", b="C", N=6, D=2, C=1)
    t.value("one class", scores_forward, single, F.linear, mistakes=slips)
    ### END HIDDEN TESTS

# %% [markdown]
# And back: `dout` now has the shape `(N, C)` of the scores. Return all three gradients, in the order of the arguments.
#
# *Hint:* a gradient has the shape of what it belongs to. Which of $n$, $c$, $d$ are left in it, and which are summed
# over? Lesson 04.

# %% solution id="scores_backward"
def scores_backward(
    dout: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of sum(dout * scores_forward(x, w, b)) with respect to x, w and b.

    dout: (N, C). x: (N, D). w: (C, D). b: (C,). Returns (dx, dw, db), of the shapes of x, w and b.
    """
    ### BEGIN SOLUTION
    dx = dout @ w
    dw = dout.T @ x
    db = dout.sum(axis=0)
    return dx, dw, db
    ### END SOLUTION


# %% test id="scores_dx" points=4
from minidl.nn import functional as F

with course.checks("dx of the linear scores", lesson=4) as t:
    inputs = course.probe(11, x="ND", w="CD", b="C", N=3, D=5, C=4)
    t.gradient("three samples, four classes", scores_backward, "x", F.linear, inputs)
    ### BEGIN HIDDEN TESTS
    t.hide()
    square = {"x": inputs["x"][:, :4], "w": inputs["w"][:, :4], "b": inputs["b"]}
    t.gradient("as many inputs as classes", scores_backward, "x", F.linear, square)
    t.gradient("one sample", scores_backward, "x", F.linear, {**inputs, "x": inputs["x"][:1]})
    ### END HIDDEN TESTS

# %% test id="scores_dw" points=5
from minidl.nn import functional as F

with course.checks("dw of the linear scores", lesson=4) as t:
    inputs = course.probe(12, x="ND", w="CD", b="C", N=3, D=5, C=4)
    t.gradient("three samples, four classes", scores_backward, "w", F.linear, inputs)
    ### BEGIN HIDDEN TESTS
    t.hide()
    square = {"x": inputs["x"][:, :4], "w": inputs["w"][:, :4], "b": inputs["b"]}
    t.gradient("as many inputs as classes", scores_backward, "w", F.linear, square)
    t.gradient("one class", scores_backward, "w", F.linear, course.probe(13, x="ND", w="CD", b="C", N=6, D=2, C=1))
    ### END HIDDEN TESTS

# %% test id="scores_db" points=4
from minidl.nn import functional as F

with course.checks("db of the linear scores", lesson=4) as t:
    inputs = course.probe(14, x="ND", w="CD", b="C", N=3, D=5, C=4)
    t.gradient("three samples, four classes", scores_backward, "b", F.linear, inputs)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("one sample", scores_backward, "b", F.linear, {**inputs, "x": inputs["x"][:1]})
    t.gradient("as many samples as classes", scores_backward, "b", F.linear,
               {**inputs, "x": np.concatenate([inputs["x"], inputs["x"][:1] + 1])})
    ### END HIDDEN TESTS

# %% [markdown]
# ## 5. Stochastic gradient descent (5 + 8 + 4 marks)
#
# A step does not need all samples: a *batch* of a few gives a good guess of the gradient and is far cheaper. In an
# *epoch*, one pass over the set, each sample is used exactly once, in a random order.
#
# First the batches. `minibatches(n, batch_size, rng)` returns the index arrays of one epoch over $n$ samples. So that
# the checks can compare, the random numbers are fixed: call `rng.permutation(n)` once, and nothing else of `rng`, and
# cut the result into pieces of `batch_size`, from the front. If `batch_size` does not divide $n$, the last batch is
# smaller, but it is kept. No batch is empty.
#
# *Hint:* `range` with three arguments. Lesson 13, section 1; afterwards `minidl/data/loader.py`.

# %% solution id="minibatches"
def minibatches(n: int, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """One epoch: the numbers 0 ... n - 1 in the order rng.permutation(n), in pieces of batch_size.

    Returns a list of integer arrays, each (batch_size,) except perhaps the last, which holds what is left.
    """
    ### BEGIN SOLUTION
    order = rng.permutation(n)
    return [order[start : start + batch_size] for start in range(0, n, batch_size)]
    ### END SOLUTION


# %% test id="minibatches_order" points=5
with course.checks("the batches of an epoch", lesson=13) as t:

    def dealt(n, batch_size, seed):
        return [[int(i) for i in batch] for batch in minibatches(n, batch_size, np.random.default_rng(seed))]

    def in_a_row(n, batch_size, seed):
        return np.concatenate(minibatches(n, batch_size, np.random.default_rng(seed)))

    t.that("14 samples in batches of 4: sizes", lambda: [len(batch) for batch in dealt(14, 4, 0)] == [4, 4, 4, 2],
           "every batch has batch_size samples, only the last one holds what is left, and it is kept")
    t.that("14 samples in batches of 4: each sample once", lambda: sorted(sum(dealt(14, 4, 0), [])) == [*range(14)],
           "some samples are left out or come twice; an epoch deals out every sample exactly once")
    t.that("the order is random", lambda: dealt(14, 4, 0)[0] != [0, 1, 2, 3] and dealt(14, 4, 0) != dealt(14, 4, 1),
           "the samples come in the same order whatever rng is; an epoch is shuffled, with the rng that is given")
    other = "another order than that of one rng.permutation(n), cut from the front, which the text asks for"
    hints = dict.fromkeys(("permuted", "scattered", "flipped", "shifted", "value"), other)
    t.value("the order is that of rng.permutation(14)", in_a_row, {"n": 14, "batch_size": 4, "seed": 0},
            np.random.default_rng(0).permutation(14), hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.that("the batch size divides n", lambda: [len(batch) for batch in dealt(12, 3, 1)] == [3, 3, 3, 3],
           "an empty batch at the end, or one batch too few, where batch_size divides n")
    t.that("a batch larger than the set", lambda: dealt(5, 8, 2) == [np.random.default_rng(2).permutation(5).tolist()],
           "there is one batch then, with all samples")
    t.that("one sample is left", lambda: [len(batch) for batch in dealt(9, 4, 3)] == [4, 4, 1],
           "the last batch holds what is left and is kept, also if that is a single sample")
    t.value("batches of one", in_a_row, {"n": 11, "batch_size": 1, "seed": 4}, np.random.default_rng(4).permutation(11),
            hints=hints)
    ### END HIDDEN TESTS

# %% [markdown]
# Now the descent. The batches are handed in (any number of epochs, one after the other), and so is the function that
# computes the loss of a batch and its gradients: `loss_and_grad(x, y, w, b)` returns the three things
# `(loss, dw, db)`. With the learning rate $\eta$ (`lr`) every batch gives one step against the gradient of
#
# $$J(w, b) = \mathrm{loss}(w, b) + \frac{\alpha}{2} \sum_{c,d} w_{cd}^2 .$$
#
# The second term is the *L2 penalty* of strength $\alpha$ (`l2`): a large weight has to be worth its price (lesson 15).
# It is for the weights only, the biases are free; and `loss_and_grad` knows nothing of it. Return the last `w` and `b`,
# and an array with the losses of all steps as `loss_and_grad` returned them: before each step, without the penalty.
#
# *Hint:* `w -= ...` writes into the array of whoever called you, `w = w - ...` makes a new one. Lesson 11; afterwards
# `minidl/optim/sgd.py`.

# %% solution id="sgd"
def sgd(x, y, w, b, batches, loss_and_grad, lr, l2=0.0):
    """Gradient descent, one step for each batch, on loss(w, b) + l2 / 2 * sum(w ** 2).

    x: samples (N, D). y: labels (N,). w: (C, D) and b: (C,), where to start; they are not changed.
    batches: a list of index arrays into the samples. loss_and_grad(x, y, w, b) -> (loss, dw, db), for one batch.
    lr: learning rate. l2: strength of the penalty.
    Returns w (C, D), b (C,) and the losses, an array of one number for each batch.
    """
    ### BEGIN SOLUTION
    losses = []
    for batch in batches:
        loss, dw, db = loss_and_grad(x[batch], y[batch], w, b)
        w = w - lr * (dw + l2 * w)
        b = b - lr * db
        losses.append(loss)
    return w, b, np.array(losses)
    ### END SOLUTION


# %% test id="sgd_steps" points=8
import minidl
from minidl import Tensor, optim
from minidl.nn import functional as F

with course.checks("the steps of SGD", lesson=13) as t:
    inputs = course.probe(15, x="ND", w="CD", b="C", N=8, D=3, C=4)
    x, y, parts = inputs["x"], np.array([0, 3, 1, 2, 2, 0, 3, 1]), [np.array(i) for i in ([6, 0, 3], [1, 7, 2], [5, 4])]

    def slope(x, y, w, b):
        leaves = [Tensor(v, requires_grad=True) for v in (w, b)]
        value = F.cross_entropy(F.linear(x, *leaves), y)
        return (value.item(), *(g.numpy() for g in minidl.grad(value, leaves)))

    def library(w, b, lr, parts=parts, moved=2, **options):
        leaves, history = [Tensor(v, requires_grad=True) for v in (w, b)], []
        optimizer = optim.SGD(leaves[:moved], lr=lr, **options)
        for some in parts:
            optimizer.zero_grad()
            value = F.cross_entropy(F.linear(x[some], *leaves), y[some])
            value.backward()
            optimizer.step()
            history += [value.item()]
        return *(p.numpy() for p in leaves), np.array(history)

    def from_the_start(w, b, lr):
        value, gw, gb = (sum(g) for g in zip(*(slope(x[some], y[some], w, b) for some in parts), strict=True))
        return w - lr * gw, b - lr * gb

    def run(w, b, lr, parts=parts):
        return sgd(x, y, w, b, parts, slope, lr)

    def weights(result):  # of a wrong result, without its losses
        return lambda w, b, lr: (*result(w, b, lr)[:2], run(w, b, lr)[2])

    slips = {
        "the steps go up: along the gradient, not against it":
            weights(lambda w, b, lr: library(w, b, lr, maximize=True)),
        "the learning rate is left out": weights(lambda w, b, lr: library(w, b, 1.0)),
        "every step uses all samples, not those of its batch":
            weights(lambda w, b, lr: library(w, b, lr, [np.arange(8)] * 3)),
        "only one step is made; every batch gives one": weights(lambda w, b, lr: library(w, b, lr, parts[:1])),
        "the gradients are all taken at the starting point; a step starts from where the last one ended":
            weights(from_the_start),
        "the biases stay where they are; a step moves both": weights(lambda w, b, lr: library(w, b, lr, moved=1)),
        "the weights are right, the losses are not: those before each step, of its batch, are asked for":
            weights(library),
    }
    start = {"w": inputs["w"], "b": inputs["b"], "lr": 0.3}

    def left_alone():
        w, b = start["w"].copy(), start["b"].copy()
        run(w, b, 0.3)
        return np.array_equal(w, start["w"]) and np.array_equal(b, start["b"])

    t.that("the w and b of the caller stay as they are", left_alone,
           "w -= ... or b -= ... writes into the array of whoever called; make a new array")
    t.value("three batches", run, start, library, mistakes=slips)
    ### BEGIN HIDDEN TESTS
    t.hide()
    twice = [*parts, *parts[::-1]]
    t.value("six batches", lambda w, b, lr: run(w, b, lr, twice), {**start, "lr": 1.1},
            lambda w, b, lr: library(w, b, lr, twice))
    ### END HIDDEN TESTS

# %% test id="sgd_penalty" points=4
from minidl import Tensor, nn, optim

with course.checks("SGD with an L2 penalty", lesson=15) as t:
    inputs = course.probe(16, w="CD", b="C", C=4, D=3)
    up, aside = course.probe(17, w="CD", b="C", C=4, D=3).values()
    parts, x = [np.array([0, 1]), np.array([2]), np.array([3, 4])], np.zeros(5)

    def slope(x, y, w, b):  # of a loss that is a plane, for simplicity; its height is made up
        return 1.5, up.copy(), aside.copy()

    def run(w, b, lr, l2):
        return sgd(x, x, w.copy(), b.copy(), parts, slope, lr, l2)

    def library(w, b, lr, l2, l2_b=0.0, steps=3, priced=0.0, **options):
        leaves, prices = [Tensor(v, requires_grad=True) for v in (w, b)], []
        optimizer = optim.SGD(leaves, lr=lr, **options)
        for _ in range(steps):
            optimizer.zero_grad()
            price = nn.l2_penalty(leaves[:1], l2) + nn.l2_penalty(leaves[1:], l2_b)
            ((leaves[0] * up).sum() + (leaves[1] * aside).sum() + price).backward()
            optimizer.step()
            prices += [price.item()]
        return *(p.numpy() for p in leaves), 1.5 + priced * np.array(prices)

    slips = {
        "the steps go up: along the gradient, not against it":
            lambda w, b, lr, l2: library(w, b, lr, l2, maximize=True),
        "the learning rate is left out": lambda w, b, lr, l2: library(w, b, 1.0, l2),
        "only one step is made; every batch gives one": lambda w, b, lr, l2: library(w, b, lr, l2, steps=1),
        "the penalty has no effect on the weights": lambda w, b, lr, l2: library(w, b, lr, 0.0),
        "the penalty belongs to the weights only, the biases are free":
            lambda w, b, lr, l2: library(w, b, lr, l2, l2_b=l2),
        "the penalty acts twice as strongly: mind the factor 1/2 in front of it":
            lambda w, b, lr, l2: library(w, b, lr, 2 * l2),
        "the penalty acts half as strongly: differentiate the square": lambda w, b, lr, l2: library(w, b, lr, l2 / 2),
        "the penalty makes the weights larger; descent on J makes them smaller":
            lambda w, b, lr, l2: library(w, b, lr, -l2),
        "the learning rate belongs to the whole gradient, that of the penalty too":
            lambda w, b, lr, l2: library(w, b, lr, l2 / lr),
        "the penalty is in the losses; they are asked for without it":
            lambda w, b, lr, l2: library(w, b, lr, l2, priced=1.0),
    }
    t.value("three batches", run, {**inputs, "lr": 0.3, "l2": 0.4}, library, mistakes=slips,
            hints={"unchanged": "the biases stay where they are; a step moves both"})
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("a strong penalty", run, {**inputs, "lr": 0.7, "l2": 1.9}, library, mistakes=slips)
    t.value("a weak one", run, {**inputs, "lr": 0.05, "l2": 0.01}, library, mistakes=slips)
    ### END HIDDEN TESTS

# %% [markdown]
# All pieces together: three clouds of points, both losses. The line is where two classes are equally good, rings mark
# the points on its wrong side. On the right the loss of each step. The smaller the batch, the noisier the guess of the
# gradient, but the more steps there are in an epoch.

# %% show
def train_linear(x, y, loss="softmax", epochs=20, batch_size=32, lr=0.5, l2=0.0, seed=0):
    """A linear classifier, made of nothing but your functions. Returns w, b and the losses."""
    forward, backward, extra = {
        "softmax": (cross_entropy_forward, cross_entropy_backward, ()),
        "hinge": (hinge_forward, hinge_backward, (1.0,)),
    }[loss]

    def loss_and_grad(x, y, w, b):
        s = scores_forward(x, w, b)
        _, dw, db = scores_backward(backward(1.0, s, y, *extra), x, w, b)
        return forward(s, y, *extra), dw, db

    rng, classes = np.random.default_rng(seed), int(y.max()) + 1
    batches = [batch for _ in range(epochs) for batch in minibatches(len(x), batch_size, rng)]
    return sgd(x, y, np.zeros((classes, x.shape[1])), np.zeros(classes), batches, loss_and_grad, lr, l2)


x, y = data.blobs(240, centres=3, noise=0.45, rng=3)
x = x.astype(np.float64)
fig, axes = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
for ax, loss in zip(axes, ("softmax", "hinge"), strict=False):
    w, b, _ = train_linear(x, y, loss, l2=0.005)
    right = np.mean(scores_forward(x, w, b).argmax(axis=1) == y)
    viz.decision_boundary(lambda points, w=w, b=b: scores_forward(points, w, b), x, y, ax=ax,
                          title=f"{loss}: {right:.0%} right")
for size, colour in ((4, GREY), (24, BLUE), (240, VERMILLION)):
    losses = train_linear(x, y, epochs=5, batch_size=size, lr=0.2)[2]
    axes[2].plot(np.linspace(0, 5, len(losses), endpoint=False), losses, color=colour,
                 linewidth=0.7 if size == 4 else 2, marker="o" * (size == 240), label=f"batches of {size}")
dress(axes[2], "Cross-entropy of each batch", "epoch", "loss")
axes[2].set_ylim(0, 1.25)
key(axes[2])
plt.show()

# %% [markdown]
# And the handwritten digits, 8 x 8 pixels of ink from 0 to 1. A row of `w` is an image itself, the *template* of its
# class: orange pixels speak for it, blue ones against it.

# %% show
learn, test = data.load_train_test("digits")
pixels, new = (part.x.reshape(len(part.y), -1).astype(np.float64) for part in (learn, test))
fig, axes = plt.subplots(2, 10, figsize=(12, 2.9), layout="constrained")
for row, loss in zip(axes, ("softmax", "hinge"), strict=True):
    w, b, _ = train_linear(pixels, learn.y, loss, lr=0.1, l2=0.005)
    right = np.mean(scores_forward(new, w, b).argmax(axis=1) == test.y)
    print(f"{loss:8} {right:.1%} of {len(new)} new digits right")
    for c, ax in enumerate(row):
        ax.imshow((w[c] - w.mean(axis=0)).reshape(8, 8), cmap=SIGNED, vmin=-1, vmax=1)
        bare(ax, f"{c}" * (loss == "softmax"))
    row[0].set_ylabel(loss)
plt.show()

# %% [markdown]
# ## 6. K-fold cross-validation (6 + 3 + 6 + 4 marks)
#
# Which strength of the penalty is best? The training samples cannot say, and one small validation set says it with much
# noise (lesson 14). *K-fold cross-validation* uses all samples for both: cut the set into $K$ parts of equal size
# (*folds*), and let each be the validation part once, while the model is trained on all the others.
#
# `kfold(n, k, rng)` makes the cut for $n$ samples and returns a list of $k$ pairs `(train, validation)` of index
# arrays:
#
# * every sample is in exactly one validation part; the training part of a pair is all the rest;
# * the sizes of the validation parts differ by at most one, also where $k$ does not divide $n$;
# * which samples go together is decided by `rng`, and by nothing else. How you use it is up to you, and so is the order
#   of the numbers within a part;
# * for $k < 2$ or $k > n$, which make no sense, it raises a `ValueError` that says what is wrong.
#
# *Hint:* shuffle once, then cut. Lesson 14, section 2, for what a validation set is for; `minidl/data/splits.py` for
# another way to cut. *Reference:* Stone (1974), "Cross-validatory choice and assessment of statistical predictions",
# Journal of the Royal Statistical Society B 36.

# %% solution id="kfold"
def kfold(n: int, k: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut 0 ... n - 1 at random into k parts of sizes that differ by at most one; each is held out once.

    Returns k pairs (train, validation) of integer arrays. Raises ValueError for k < 2 and for k > n.
    """
    ### BEGIN SOLUTION
    if not 2 <= k <= n:
        raise ValueError(f"{n} samples cannot be cut into k = {k} folds; choose k from 2 to {n}")
    parts = np.array_split(rng.permutation(n), k)
    return [(np.concatenate(parts[:i] + parts[i + 1 :]), parts[i]) for i in range(k)]
    ### END SOLUTION


# %% test id="kfold_folds" points=6
with course.checks("the folds", lesson=14) as t:

    def cut(n, k, seed=0):
        return [tuple([int(i) for i in part] for part in pair) for pair in kfold(n, k, np.random.default_rng(seed))]

    def parts_of(n, k, which):
        return [pair[which] for pair in cut(n, k)]

    def sizes(n, k):
        return sorted(len(part) for part in parts_of(n, k, 1))

    def more_to_train(n, k):
        return sum(map(len, parts_of(n, k, 0))) > sum(map(len, parts_of(n, k, 1)))

    def all_the_rest(n, k):
        return len(cut(n, k)) == k and all(sorted(train + held_out) == [*range(n)] for train, held_out in cut(n, k))

    pairs = "a list of k pairs (train, validation) is asked for"
    turned = "the pair is the wrong way round: first the large part to train on, then the small one to validate"
    once = "a sample is held out never, or more than once; all are in exactly one validation part, the remainder too"
    common = "a training part holds samples of its own validation part, or does not hold all the others"
    even = "the sizes of the validation parts differ by more than one: spread what is left over several of them"
    t.that("23 samples, 5 folds: five pairs", lambda: [len(pair) for pair in cut(23, 5)] == [2] * 5, pairs)
    t.that("train, then validation", lambda: more_to_train(23, 5), turned)
    t.that("each sample is held out once", lambda: sorted(sum(parts_of(23, 5, 1), [])) == [*range(23)], once)
    t.that("training is all the rest", lambda: all_the_rest(23, 5), common)
    t.that("the sizes are even", lambda: sizes(23, 5) == [4, 4, 5, 5, 5], even)
    t.raises("more folds than samples", kfold, {"n": 4, "k": 5, "rng": np.random.default_rng(0)}, "ValueError",
             "no error is raised where a fold would be empty: look at k before anything else")
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.that("k divides n", lambda: sizes(24, 4) == [6] * 4 and all_the_rest(24, 4), even)
    t.that("two folds", lambda: sizes(7, 2) == [3, 4] and all_the_rest(7, 2), common)
    t.that("each fold one sample", lambda: sizes(6, 6) == [1] * 6 and all_the_rest(6, 6), once)
    t.that("a large remainder", lambda: sizes(29, 10) == [2, *[3] * 9] and all_the_rest(29, 10), even)
    for k in (1, 0):
        t.raises(f"k = {k}", kfold, {"n": 4, "k": k, "rng": np.random.default_rng(0)}, "ValueError",
                 "no error is raised though nothing would be left to train on, or to validate")
    ### END HIDDEN TESTS

# %% test id="kfold_random" points=3
with course.checks("the folds are random", lesson=14) as t:

    def groups(n, k, seed):
        return [sorted(int(i) for i in pair[1]) for pair in kfold(n, k, np.random.default_rng(seed))]

    def neighbours(part):
        return part == [*range(part[0], part[0] + len(part))]

    t.that("neighbours are parted", lambda: not any(map(neighbours, groups(30, 3, 0))),
           "the samples are cut in their old order; sets are often sorted, and then a fold lacks whole classes")
    t.that("another seed gives other folds", lambda: sorted(groups(30, 3, 0)) != sorted(groups(30, 3, 1)),
           "the folds do not depend on the rng that is handed in")
    t.that("the same seed gives the same folds", lambda: groups(30, 3, 0) == groups(30, 3, 0),
           "chance comes from somewhere else than the rng that is handed in, so nobody can repeat the experiment")
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.that("ten seeds, ten cuts", lambda: len({str(sorted(groups(30, 3, seed))) for seed in range(10)}) == 10,
           "the folds do not depend on the rng that is handed in, or only a little")
    t.that("two samples are together by chance",
           lambda: len({sum({0, 1} <= set(part) for part in groups(12, 3, seed)) for seed in range(40)}) > 1,
           "there are samples that are always, or never, in the same fold, whatever rng says")
    ### END HIDDEN TESTS

# %% [markdown]
# With the folds one chooses. For every setting and every fold: train on the training part, get a score on the
# validation part. What that means is handed in, so that your function works for every kind of model:
#
# * `fit(x, y, setting)` trains a model on these samples and returns it;
# * `score(model, x, y)` says how good it is on these samples; larger is better, and it may be negative.
#
# `settings` is a list of $S$ values, `folds` a list of $K$ pairs as `kfold` makes them. Return the scores as an array
# of shape `(S, K)`, and the *number* (from 0) of the setting whose mean over the folds is largest.
#
# *Hint:* two loops. What would it say about a setting if the model were judged on samples that it has seen?

# %% solution id="cross_validate"
def cross_validate(x, y, settings, folds, fit, score) -> tuple[np.ndarray, int]:
    """The score of every setting on every fold, and the number of the setting that is best on average.

    x: (N, ...). y: (N,). settings: S values. folds: K pairs (train, validation) of index arrays.
    fit(x, y, setting) -> model. score(model, x, y) -> a number, larger is better.
    Returns the scores (S, K) and an integer from 0 to S - 1.
    """
    ### BEGIN SOLUTION
    scores = np.zeros((len(settings), len(folds)))
    for i, setting in enumerate(settings):
        for j, (train, validation) in enumerate(folds):
            model = fit(x[train], y[train], setting)
            scores[i, j] = score(model, x[validation], y[validation])
    best = int(scores.mean(axis=1).argmax())
    return scores, best
    ### END SOLUTION


# %% test id="cross_validate_scores" points=6
with course.checks("the scores of all settings and folds", lesson=14) as t:
    inputs = {**course.probe(18, x="N", y="N", N=11), "settings": [0.0, 0.5, 2.0, 9.0]}
    inputs["y"] += 2 * inputs["x"]
    parts = [np.array(part) for part in ([3, 10, 0, 7], [9, 1, 5, 2], [4, 8, 6])]
    held = np.array([np.isin(np.arange(11), part) for part in parts]).astype(float)  # (K, N): 1 where held out

    def ridge(x, y, setting):  # a line through the origin, its slope made smaller by the setting
        return float(x @ y / (x @ x + setting))

    def minus_error(slope, x, y):
        return -float(np.mean((slope * x - y) ** 2))

    def run(x, y, settings, parts=parts):
        pairs = [(np.setdiff1d(np.arange(len(x)), part), part) for part in parts]
        return cross_validate(x, y, settings, pairs, ridge, minus_error)[0]

    def at_once(x, y, settings, seen=1 - held, judged=held):  # all S x K slopes, then all errors, with sums over masks
        slopes = (seen @ (x * y)) / (seen @ (x * x) + np.array(settings)[:, None])
        return -(((slopes[..., None] * x - y) ** 2) * judged).sum(axis=-1) / judged.sum(axis=-1)

    def with_masks(seen, judged):
        return lambda x, y, settings: at_once(x, y, settings, seen, judged)

    slips = {
        "the models are judged on the samples they were trained on": with_masks(1 - held, 1 - held),
        "the models are trained on all samples, so they have seen those they are judged on":
            with_masks(np.ones_like(held), held),
        "the models are trained and judged on the validation parts": with_masks(held, held),
        "the two parts are exchanged: trained on the small one, judged on the large one": with_masks(held, 1 - held),
        "the models are judged on all samples, those they have seen included": with_masks(1 - held, np.ones_like(held)),
        "one row for each setting and one column for each fold is asked for, not the reverse":
            lambda x, y, settings: at_once(x, y, settings).T,
        "every setting gets the same scores: the setting does not reach fit, or always the first one does":
            lambda x, y, settings: at_once(x, y, settings[:1] * len(settings)),
        "every fold gets the same score: only the first pair is used": lambda x, y, settings: (
            at_once(x, y, settings)[:, :1] + np.zeros(len(held))),
        "the mean over the folds is returned; the score of each fold is asked for":
            lambda x, y, settings: at_once(x, y, settings).mean(axis=1),
    }
    t.value("four settings, three folds", run, inputs, at_once, mistakes=slips)
    ### BEGIN HIDDEN TESTS
    t.hide()
    leave_one_out = {**course.probe(19, x="N", y="N", N=6), "settings": [3.0, 0.1]}
    single = np.eye(6)
    t.value("each fold one sample", lambda x, y, settings: run(x, y, settings, [np.array([i]) for i in range(6)]),
            leave_one_out, lambda x, y, settings: at_once(x, y, settings, 1 - single, single))
    ### END HIDDEN TESTS

# %% test id="cross_validate_best" points=4
with course.checks("the best setting", lesson=14) as t:
    names = ["none", "faint", "weak", "medium", "strong"]
    table = np.array([[0.55, 0.52, 0.60, 0.50, 0.58, 0.57],
                      [0.50, 0.10, 0.20, 0.15, 0.40, 0.95],
                      [0.30, 0.20, 0.10, 0.25, 0.05, 0.40],
                      [0.60, 0.70, 0.60, 0.62, 0.64, 0.65],
                      [0.80, 0.40, 0.65, 0.45, 0.50, 0.55]])
    x = np.repeat(np.arange(6), 3)  # the fold that a sample is held out in

    def looked_up(name, x, scores):
        inside = set(map(int, x))
        return float(scores[names.index(name), inside.pop() if len(inside) == 1 else ({*range(6)} - inside).pop()])

    def chosen(scores):
        pairs = [(np.flatnonzero(x != j), np.flatnonzero(x == j)) for j in range(6)]
        score = lambda name, x, y: looked_up(name, x, scores)  # noqa: E731
        return cross_validate(x, x, names, pairs, lambda x, y, name: name, score)[1]

    slips = {
        "the setting with the smallest mean is taken; a larger score is better": lambda scores: 2,
        "the setting with the largest score on a single fold is taken, which may be luck; the mean decides":
            lambda scores: 1,
        "only the first fold decides": lambda scores: 4,
        "this is the number of a fold: the mean goes over the folds, not over the settings": lambda scores: 5,
        "this is the best mean itself; the number of the setting is asked for": lambda scores: 0.635,
    }
    t.value("five settings, six folds", chosen, {"scores": table}, 3, mistakes=slips,
            hints={"not_array": "the number of the setting is asked for, an integer from 0, not the setting itself"})
    ### BEGIN HIDDEN TESTS
    t.hide()
    below = "scores may be negative: the best so far must not start at zero"
    t.value("negative scores", chosen, {"scores": table - 1}, 3, mistakes={below: lambda scores: 0})
    t.value("the last is best", chosen, {"scores": table[[0, 1, 2, 4, 3]]}, 4)
    ### END HIDDEN TESTS

# %% [markdown]
# The choice, made for a hard case: 300 digits to learn from, and three of ten labels replaced by a random digit. Each
# dot is a fold, the line their mean, the band one standard deviation on both sides. The training samples themselves
# always prefer the weakest penalty: their wrong labels can be learnt by heart. The dashed line is the truth, from
# 1,497 digits with the right labels, which a real user does not have. It lies higher, because the folds are judged by
# labels that are wrong in part; but it has its top at the same place.

# %% show
few, rest = data.split(data.load_digits(), (300, 1497), stratify=True, rng=1)
few_x, rest_x = (part.x.reshape(len(part.y), -1).astype(np.float64) for part in (few, rest))
rng = np.random.default_rng(0)
few_y = np.where(rng.random(300) < 0.3, rng.integers(0, 10, 300), few.y)


def fit(x, y, l2):
    w, b, _ = train_linear(x, y, epochs=60, batch_size=25, lr=0.3, l2=l2)
    return w, b


def accuracy(model, x, y):
    return float(np.mean(scores_forward(x, *model).argmax(axis=1) == y))


strengths = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
scores, best = cross_validate(few_x, few_y, strengths, kfold(300, 6, np.random.default_rng(0)), fit, accuracy)
models = [fit(few_x, few_y, strength) for strength in strengths]
truth = [accuracy(model, rest_x, rest.y) for model in models]
mean, spread = scores.mean(axis=1), scores.std(axis=1)
fig, ax = plt.subplots(figsize=(9, 4.4), layout="constrained")
for j in range(scores.shape[1]):
    ax.plot(strengths, scores[:, j], "o", color=CLASSES[j], markersize=4, alpha=0.6)
ax.fill_between(strengths, mean - spread, mean + spread, color=BLUE, alpha=0.15)
ax.plot(strengths, mean, color=BLUE, linewidth=2, label="mean of the folds")
ax.plot(strengths, [accuracy(model, few_x, few_y) for model in models], color=VERMILLION, label="training samples")
ax.plot(strengths, truth, color=GREY, linestyle="--", linewidth=2, label="new digits, right labels")
ax.axvline(strengths[best], color=INK, linewidth=1, linestyle=":", label=f"chosen: {strengths[best]:g}")
ax.set_xscale("log")
dress(ax, "Six folds of 300 digits, three labels in ten replaced", "strength of the penalty", "accuracy", "both")
key(ax)
plt.show()
print(f"chosen {strengths[best]:g}: {mean[best]:.3f} on the folds, {truth[best]:.3f} on new digits")
