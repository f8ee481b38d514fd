# %% [markdown]
# # A5. Optimisers
#
# The gradient says which way is down, an *optimiser* turns it into a step. You will write the update rules by which
# nearly all networks are trained, then two things that stand around them: clipping of gradients, and a learning rate
# that falls and starts again.
#
# | Exercise | Function | Graded cells | Marks |
# |---|---|---|---|
# | 1 | `momentum` | w 6, v 4 | 10 |
# | 2 | `nesterov` | w 7, v 3 | 10 |
# | 3 | `rmsprop` | w 8, s 4 | 12 |
# | 4 | `adam` | w 10, m 4, v 4 | 18 |
# | 5 | `adamw` | w 10, m and v 4 | 14 |
# | 6 | `clip_by_norm` | gradients 10, norm 6 | 16 |
# | 7 | `cosine_restarts` | T_mult = 1: 10, T_mult = 2 and more: 10 | 20 |
#
# **Read before:** lessons 11 (optimisers on a ravine, clipping), 13 (section 7: rates that change) and 15 (section 6:
# weight decay).
#
# **How to work:** replace `raise NotImplementedError()` below `# YOUR CODE HERE`, run the cell, then the cells below
# it. Each says what is right, what is wrong, and why that may be. A graded cell gives all of its marks or none. Some of
# its checks are hidden: they try what the text asks for on other and harder numbers. `minidl course check A5` runs all
# visible checks, `minidl course submit A5` packs what you hand in. The exercises are graded independently of each
# other: write each function in full, and call none of the others (a mistake there would cost marks here).
#
# **Not allowed:** torch and other frameworks, and minidl's own optimisers, in your cells. NumPy and the standard
# library are all you need.
#
# **In all exercises:** `w` and its gradient `dw` are arrays of one shape, whatever that is. An optimiser remembers
# something from step to step, its *state* (`v`, `s`, `m`): arrays of that shape as well, zeros before the first step.
# Your functions have no memory. They take the old state, and return the new one behind the new weights. Return new
# arrays and leave the ones that you were given as they are. What comes in as float32 goes out as float32: Python's
# numbers keep the dtype of an array, NumPy's own numbers, such as `np.sqrt(2.0)` or `np.float64(0.1)`, do not.

# %% given
import math

import numpy as np

from minidl import course

# %% [markdown]
# ## 1. Momentum
#
# Gradient descent in a ravine jumps from wall to wall. *Momentum* sums up the gradients in a velocity $v$, of which a
# share $\mu$ is kept in each step. Across the ravine the gradients change sign and cancel, along it they add up.
#
# $$v \leftarrow \mu v + dw, \qquad w \leftarrow w - \eta v$$
#
# with the learning rate $\eta$ (`lr`) and the momentum $\mu$ (`mu`, often 0.9). The gradient enters $v$ whole, and the
# learning rate stands outside of $v$. This is PyTorch's convention; in others $\eta$ is inside, which is the same only
# as long as it never changes.
#
# *Hint:* the new velocity first, then the step with it. *Lesson:* 11. *Afterwards look at:* `minidl/optim/sgd.py`.
# *Reference:* Polyak (1964), "Some methods of speeding up the convergence of iteration methods".
#
# In the checks several steps are made one after the other, with a gradient for each. In what they report, such as
# `worst at [4, 1, 2]`, the first index is the step, from 0. While the weights are checked, the right state is handed
# to you before each step; so a mistake in the state that you return costs its own marks only.

# %% solution id="momentum"
def momentum(w: np.ndarray, dw: np.ndarray, v: np.ndarray, lr: float, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """One step of gradient descent with momentum: the new weights and the new velocity.

        v <- mu v + dw
        w <- w - lr v

    w, dw, v: arrays of one shape. Returns (w, v), new arrays of that shape and dtype.
    """
    ### BEGIN SOLUTION
    v = mu * v + dw
    return w - lr * v, v
    ### END SOLUTION

# %% test id="momentum_w" points=6
from functools import partial

from minidl import Tensor, optim


def right(w, dw, v, lr, mu):
    """One step of minidl's own optimiser that has come to w with the velocity v."""
    p = Tensor(w, requires_grad=True)
    optimizer = optim.SGD([p], lr=lr, momentum=mu)
    optimizer.state[p], p.grad = {"step": 1, "momentum_buffer": v.copy()}, Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["momentum_buffer"]


def walk(step, w, grads, v, rates, mu):
    """w after each of several steps; the velocity that is handed in is always the right one."""
    start, path = w, []
    for dw, lr in zip(grads, rates, strict=True):
        _, after = right(start, dw, v, lr, mu)
        w, _ = step(w, dw, v, lr, mu)
        v = after
        path.append(np.array(w))
    return np.stack(path)


with course.checks("the weights after steps with momentum", lesson=11) as t:
    inputs = course.probe(51, w="NF", dw="TNF", v="NF", T=6, N=3, F=4)
    several = {**inputs, "lr": [0.1] * 6, "mu": 0.8}
    wrong = {
        "the step goes uphill: the weights move along the gradient, not against it":
            lambda w, *rest: 2 * w - walk(right, w, *rest),
        "the learning rate has no effect on the weights":
            lambda w, dw, v, lr, mu: walk(right, w, dw, v, [1.0] * len(dw), mu),
        "the velocity has no part in it: this is plain gradient descent":
            lambda w, dw, v, lr, mu: walk(right, w, dw, v, lr, 0.0),
        "the old velocity is not reduced by mu":
            partial(walk, lambda w, dw, v, lr, mu: right(w, dw, v, lr, 1.0)),
        "the step is made with the old velocity, before the gradient has been added to it":
            partial(walk, lambda w, dw, v, lr, mu: (w - lr * v, 0)),
        "the learning rate stands inside of the velocity, so that old gradients keep old rates":
            partial(walk, lambda w, dw, v, lr, mu: (w - mu * v - lr * dw, 0)),
        "the gradient is damped on its way into the velocity, as in a moving average; here it enters whole":
            partial(walk, lambda w, dw, v, lr, mu: (w - lr * (mu * v + (1 - mu) * dw), 0)),
        "the gradient enters the velocity with a minus":
            partial(walk, lambda w, dw, v, lr, mu: right(w, -dw, v, lr, mu)),
        "the velocity points downhill, and is added to the weights; another convention":
            partial(walk, lambda w, dw, v, lr, mu: (w + mu * v - lr * dw, 0)),
        "this is Nesterov's step, which looks ahead; exercise 2":
            partial(walk, lambda w, dw, v, lr, mu: (w - lr * (dw + mu * right(w, dw, v, lr, mu)[1]), 0)),
    }  # fmt: skip
    yours, ours = partial(walk, momentum), partial(walk, right)
    t.value("six steps", yours, several, ours, mistakes=wrong)
    rest = {**several, "dw": inputs["dw"][:1], "v": np.zeros((3, 4)), "lr": [0.1]}
    t.value("one step from rest", yours, rest, ours, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = {**course.probe(52, w="F", dw="TF", v="F", T=5, F=7), "lr": [0.5, 0.1, 0.02, 1.0, 0.3], "mu": 0.95}
    t.value("a learning rate that changes from step to step", yours, other, ours, mistakes=wrong)
    t.value("gradients of zero: the velocity carries on", yours, {**several, "dw": 0 * inputs["dw"]}, ours)
    t.value("without momentum, mu = 0", yours, {**several, "mu": 0.0}, ours)
    narrow = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.value("float32 stays float32", yours, {**several, **narrow}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, or an array made without dtype=, has the higher precision"})
    ### END HIDDEN TESTS

# %% test id="momentum_v" points=4
from functools import partial

from minidl import Tensor, optim


def right(w, dw, v, lr, mu):
    """One step of minidl's own optimiser that has come to w with the velocity v."""
    p = Tensor(w, requires_grad=True)
    optimizer = optim.SGD([p], lr=lr, momentum=mu)
    optimizer.state[p], p.grad = {"step": 1, "momentum_buffer": v.copy()}, Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["momentum_buffer"]


def chain(step, w, grads, v, *rest):
    """The velocity after each of several steps, handed on from one to the next."""
    path = []
    for dw in grads:
        _, v = step(w, dw, v, *rest)
        path.append(np.array(v))
    return np.stack(path)


with course.checks("the velocity of momentum", lesson=11) as t:
    inputs = {**course.probe(53, w="NF", dw="TNF", v="NF", T=6, N=3, F=4), "lr": 0.1, "mu": 0.8}
    wrong = {
        "the velocity is handed back as it came, so every step starts from the old one":
            partial(chain, lambda w, dw, v, lr, mu: (w, v)),
        "the old velocity is forgotten: only the last gradient is in it":
            partial(chain, lambda w, dw, v, lr, mu: (w, dw)),
        "the old velocity is not reduced by mu": partial(chain, lambda w, dw, v, lr, mu: right(w, dw, v, lr, 1.0)),
        "the gradient is damped on its way into the velocity, as in a moving average; here it enters whole":
            partial(chain, lambda w, dw, v, lr, mu: right(w, (1 - mu) * dw, v, lr, mu)),
        "the learning rate stands inside of the velocity":
            partial(chain, lambda w, dw, v, lr, mu: right(w, lr * dw, v, lr, mu)),
        "the learning rate stands inside of the velocity, which points downhill; another convention":
            partial(chain, lambda w, dw, v, lr, mu: right(w, -lr * dw, v, lr, mu)),
        "the gradient enters the velocity with a minus":
            partial(chain, lambda w, dw, v, lr, mu: right(w, -dw, v, lr, mu)),
        "mu multiplies the gradient too": partial(chain, lambda w, dw, v, lr, mu: right(w, mu * dw, v, lr, mu)),
    }  # fmt: skip
    yours, ours = partial(chain, momentum), partial(chain, right)
    t.value("six steps in motion", yours, inputs, ours, mistakes=wrong)
    t.value("six steps from rest", yours, {**inputs, "v": np.zeros((3, 4))}, ours, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("gradients of zero: the velocity dies away", yours, {**inputs, "dw": 0 * inputs["dw"]}, ours)
    other = course.probe(54, w="F", dw="TF", v="F", T=4, F=7)
    t.value("another shape", yours, {**other, "lr": 10.0, "mu": 0.95}, ours, mistakes=wrong)
    narrow = {name: a.astype(np.float32) for name, a in other.items()}
    t.value("float32 stays float32", yours, {**narrow, "lr": 0.1, "mu": 0.9}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, or an array made without dtype=, has the higher precision"})  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# ## 2. Nesterov's momentum
#
# With momentum the weights will move on by $\mu v$ in the next step, whatever its gradient. *Nesterov's* idea: take
# the next gradient there, where this move would lead, and not here. Programs keep the point they look ahead to as their
# $w$; then $dw$ is the gradient there already, and one step of the point is, in PyTorch's form,
#
# $$v \leftarrow \mu v + dw, \qquad w \leftarrow w - \eta\,(dw + \mu v)$$
#
# where the $v$ on the right is the new one. Going too far is noticed one step earlier, and so swings die sooner.
#
# *Hint:* the velocity is that of exercise 1; only the step is another. *Lesson:* 11. *Afterwards look at:*
# `minidl/optim/sgd.py`. *Reference:* Sutskever, Martens, Dahl, Hinton (2013), "On the importance of initialization and
# momentum in deep learning", ICML.

# %% solution id="nesterov"
def nesterov(w: np.ndarray, dw: np.ndarray, v: np.ndarray, lr: float, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """One step of gradient descent with Nesterov's momentum: the new weights and the new velocity.

        v <- mu v + dw
        w <- w - lr (dw + mu v)        with the new v

    w, dw, v: arrays of one shape. Returns (w, v), new arrays of that shape and dtype.
    """
    ### BEGIN SOLUTION
    v = mu * v + dw
    step = dw + mu * v
    return w - lr * step, v
    ### END SOLUTION

# %% test id="nesterov_w" points=7
from functools import partial

from minidl import Tensor, optim


def right(w, dw, v, lr, mu, nesterov=True):
    """One step of minidl's own optimiser that has come to w with the velocity v."""
    p = Tensor(w, requires_grad=True)
    optimizer = optim.SGD([p], lr=lr, momentum=mu, nesterov=nesterov)
    optimizer.state[p], p.grad = {"step": 1, "momentum_buffer": v.copy()}, Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["momentum_buffer"]


def walk(step, w, grads, v, rates, mu):
    """w after each of several steps; the velocity that is handed in is always the right one."""
    start, path = w, []
    for dw, lr in zip(grads, rates, strict=True):
        _, after = right(start, dw, v, lr, mu)
        w, _ = step(w, dw, v, lr, mu)
        v = after
        path.append(np.array(w))
    return np.stack(path)


with course.checks("the weights after steps with Nesterov's momentum", lesson=11) as t:
    inputs = course.probe(55, w="NF", dw="TNF", v="NF", T=6, N=3, F=4)
    several = {**inputs, "lr": [0.1] * 6, "mu": 0.8}
    classical = partial(right, nesterov=False)
    wrong = {
        "the step goes uphill: the weights move along the gradient, not against it":
            lambda w, *rest: 2 * w - walk(right, w, *rest),
        "the learning rate has no effect on the weights":
            lambda w, dw, v, lr, mu: walk(right, w, dw, v, [1.0] * len(dw), mu),
        "this is the step of classical momentum: it does not look ahead, or does so with the old velocity":
            partial(walk, classical),
        "the gradient itself is missing in the step: only the velocity is":
            partial(walk, lambda w, dw, v, lr, mu: (w + mu * (classical(w, dw, v, lr, mu)[0] - w), 0)),
        "the learning rate stands inside of the velocity, so that old gradients keep old rates":
            partial(walk, lambda w, dw, v, lr, mu: (w - lr * dw - mu * (mu * v + lr * dw), 0)),
        "the gradient is damped on its way into the velocity, as in a moving average; here it enters whole":
            partial(walk, lambda w, dw, v, lr, mu: (w - lr * dw - lr * mu * (mu * v + (1 - mu) * dw), 0)),
        "the velocity enters the step without mu":
            partial(walk, lambda w, dw, v, lr, mu: (classical(w, dw, v, lr, mu)[0] - lr * dw, 0)),
        "the old velocity stands beside the new one: the gradient of this step is counted in v only":
            partial(walk, lambda w, dw, v, lr, mu: (classical(w, dw, v, lr, mu)[0] - lr * mu * v, 0)),
        "the look-ahead starts from the new velocity as if it were the gradient: mu v is counted twice":
            partial(walk, lambda w, dw, v, lr, mu: (right(w, classical(w, dw, v, 1.0, mu)[1], 0 * v, lr, mu)[0], 0)),
    }  # fmt: skip
    yours, ours = partial(walk, nesterov), partial(walk, right)
    t.value("six steps", yours, several, ours, mistakes=wrong)
    rest = {**several, "dw": inputs["dw"][:1], "v": np.zeros((3, 4)), "lr": [0.1]}
    t.value("one step from rest", yours, rest, ours, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = {**course.probe(56, w="F", dw="TF", v="F", T=5, F=7), "lr": [0.5, 0.1, 0.02, 1.0, 0.3], "mu": 0.95}
    t.value("a learning rate that changes from step to step", yours, other, ours, mistakes=wrong)
    t.value("gradients of zero: the velocity carries on", yours, {**several, "dw": 0 * inputs["dw"]}, ours)
    narrow = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.value("float32 stays float32", yours, {**several, **narrow}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, or an array made without dtype=, has the higher precision"})
    ### END HIDDEN TESTS

# %% test id="nesterov_v" points=3
from functools import partial

from minidl import Tensor, optim


def right(w, dw, v, lr, mu):
    """One step of minidl's own optimiser that has come to w with the velocity v."""
    p = Tensor(w, requires_grad=True)
    optimizer = optim.SGD([p], lr=lr, momentum=mu, nesterov=True)
    optimizer.state[p], p.grad = {"step": 1, "momentum_buffer": v.copy()}, Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["momentum_buffer"]


def chain(step, w, grads, v, *rest):
    """The velocity after each of several steps, handed on from one to the next."""
    path = []
    for dw in grads:
        _, v = step(w, dw, v, *rest)
        path.append(np.array(v))
    return np.stack(path)


with course.checks("the velocity of Nesterov's momentum", lesson=11) as t:
    inputs = {**course.probe(57, w="NF", dw="TNF", v="NF", T=6, N=3, F=4), "lr": 0.1, "mu": 0.8}
    wrong = {
        "the velocity is handed back as it came, so every step starts from the old one":
            partial(chain, lambda w, dw, v, lr, mu: (w, v)),
        "the step, which looks ahead, is returned as the velocity; the next step would look ahead of it again":
            partial(chain, lambda w, dw, v, lr, mu: (w, dw + mu * right(w, dw, v, lr, mu)[1])),
        "the old velocity is not reduced by mu": partial(chain, lambda w, dw, v, lr, mu: right(w, dw, v, lr, 1.0)),
        "the gradient is damped on its way into the velocity, as in a moving average; here it enters whole":
            partial(chain, lambda w, dw, v, lr, mu: right(w, (1 - mu) * dw, v, lr, mu)),
        "the learning rate stands inside of the velocity":
            partial(chain, lambda w, dw, v, lr, mu: right(w, lr * dw, v, lr, mu)),
        "the gradient enters the velocity with a minus":
            partial(chain, lambda w, dw, v, lr, mu: right(w, -dw, v, lr, mu)),
    }  # fmt: skip
    yours, ours = partial(chain, nesterov), partial(chain, right)
    t.value("six steps in motion", yours, inputs, ours, mistakes=wrong)
    t.value("six steps from rest", yours, {**inputs, "v": np.zeros((3, 4))}, ours, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("gradients of zero: the velocity dies away", yours, {**inputs, "dw": 0 * inputs["dw"]}, ours)
    narrow = {name: a.astype(np.float32) for name, a in course.probe(58, w="F", dw="TF", v="F", T=4, F=7).items()}
    t.value("float32 stays float32", yours, {**narrow, "lr": 0.1, "mu": 0.9}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, or an array made without dtype=, has the higher precision"})  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# What does it change? Below, both roll into the bottom of $f(w) = \frac12 w^2$, for two values of $\mu$. With a large
# $\mu$ the classical velocity carries the weight past the minimum again and again; Nesterov's swings die sooner.

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import BLUE, VERMILLION, dress, key

fig, axes = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained", sharey=True)
for ax, mu in zip(axes, (0.8, 0.97), strict=True):
    for step, colour in ((momentum, BLUE), (nesterov, VERMILLION)):
        w, v, places = np.array([1.0]), np.zeros(1), []
        for _ in range(80):
            places.append(float(w[0]))
            w, v = step(w, w, v, 0.1, mu)  # the gradient of w²/2 is w
        ax.plot(places, color=colour, linewidth=2, label=step.__name__)
    ax.axhline(0, color="#222222", linewidth=0.8)
    dress(ax, f"mu = {mu}", "step", "w")
    key(ax)
plt.show()

# %% [markdown]
# ## 3. RMSprop
#
# One learning rate for all weights is too large for some and too small for others. *RMSprop* divides the gradient of
# each weight by its usual size: the root of a *moving average* of its square. Such an average keeps the share $\alpha$
# of what it was, and takes $1-\alpha$ of what is new.
#
# $$s \leftarrow \alpha s + (1-\alpha)\,dw^2, \qquad w \leftarrow w - \eta\,\frac{dw}{\sqrt{s} + \varepsilon}$$
#
# Squares, roots and the division are taken element by element. The small $\varepsilon$ (`eps`) keeps the division from
# failing where all gradients were zero. It stands outside of the root, as in PyTorch.
#
# *Hint:* which $s$ belongs under the root, the old or the new one? *Lesson:* 11. *Afterwards look at:*
# `minidl/optim/adaptive.py`. *Reference:* Tieleman, Hinton (2012), "Neural networks for machine learning", lecture 6.5.

# %% solution id="rmsprop"
def rmsprop(
    w: np.ndarray, dw: np.ndarray, s: np.ndarray, lr: float, alpha: float, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """One step of RMSprop: the new weights, and the new average of the squared gradients.

        s <- alpha s + (1 - alpha) dw^2
        w <- w - lr dw / (sqrt(s) + eps)

    w, dw, s: arrays of one shape. Returns (w, s), new arrays of that shape and dtype.
    """
    ### BEGIN SOLUTION
    s = alpha * s + (1 - alpha) * dw**2
    return w - lr * dw / (np.sqrt(s) + eps), s
    ### END SOLUTION

# %% test id="rmsprop_w" points=8
from functools import partial

from minidl import Tensor, optim


def right(w, dw, s, lr, alpha, eps):
    """One step of minidl's own optimiser that has come to w with the average s."""
    p = Tensor(w, requires_grad=True)
    optimizer = optim.RMSprop([p], lr=lr, alpha=alpha, eps=eps)
    optimizer.state[p], p.grad = {"step": 1, "square_avg": s.copy()}, Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["square_avg"]


def walk(step, w, grads, s, rates, alpha, eps):
    """w after each of several steps; the average that is handed in is always the right one."""
    start, path = w, []
    for dw, lr in zip(grads, rates, strict=True):
        _, after = right(start, dw, s, lr, alpha, eps)
        w, _ = step(w, dw, s, lr, alpha, eps)
        s = after
        path.append(np.array(w))
    return np.stack(path)


def instead(divisor):
    """The path if each gradient is divided by something else, made of (new s, old s, eps)."""

    def step(w, dw, s, lr, alpha, eps):
        return w - lr * dw / divisor(right(w, dw, s, lr, alpha, eps)[1], s, eps), 0

    return partial(walk, step)


with course.checks("the weights after steps of RMSprop", lesson=11) as t:
    inputs = course.probe(59, w="NF", dw="TNF", s="NF", T=6, N=3, F=4)
    several = {**inputs, "s": inputs["s"] ** 2, "lr": [0.1] * 6, "alpha": 0.7, "eps": 0.01}
    wrong = {
        "the step goes uphill: the weights move along the gradient, not against it":
            lambda w, *rest: 2 * w - walk(right, w, *rest),
        "the learning rate has no effect on the weights":
            lambda w, dw, s, lr, *rest: walk(right, w, dw, s, [1.0] * len(dw), *rest),
        "the gradient is not divided by anything": instead(lambda s, old, eps: 1.0),
        "eps stands inside of the root": instead(lambda s, old, eps: (s + eps) ** 0.5),
        "eps is left out": instead(lambda s, old, eps: s**0.5),
        "the root is missing: the gradient is divided by its mean square": instead(lambda s, old, eps: s + eps),
        "the gradient is divided by the old average, which does not know it yet":
            instead(lambda s, old, eps: old**0.5 + eps),
        "one average over all weights: each weight has its own": instead(lambda s, old, eps: s.mean() ** 0.5 + eps),
        "alpha and 1 - alpha are exchanged":
            partial(walk, lambda w, dw, s, lr, alpha, eps: right(w, dw, s, lr, 1 - alpha, eps)),
        "the squares are summed up in the divisor, and nothing is forgotten; that is Adagrad":
            partial(walk, lambda w, dw, s, lr, alpha, eps: (w - lr * dw / ((s + dw * dw) ** 0.5 + eps), 0)),
        "the squares enter the divisor whole: in an average the shares of old and new add up to 1":
            partial(walk, lambda w, dw, s, lr, alpha, eps: (w - lr * dw / ((alpha * s + dw * dw) ** 0.5 + eps), 0)),
    }  # fmt: skip
    hints = {"nan": "the root of something negative: the average is one of squares, so it never is"}
    yours, ours = partial(walk, rmsprop), partial(walk, right)
    t.value("six steps", yours, several, ours, mistakes=wrong, hints=hints)
    rest = {**several, "dw": inputs["dw"][:1], "s": np.zeros((3, 4)), "lr": [0.1]}
    t.value("one step from s = 0", yours, rest, ours, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = course.probe(60, w="F", dw="TF", s="F", T=5, F=7)
    other["s"] = other["s"] ** 2
    usual = {"alpha": 0.9, "eps": 1e-8}
    changing = {**other, "lr": [0.5, 0.1, 0.02, 1.0, 0.3], **usual}
    t.value("a learning rate that changes from step to step", yours, changing, ours, mistakes=wrong)
    tiny = {"w": np.zeros((3, 4)), "dw": 1e-8 * inputs["dw"], "s": np.zeros((3, 4)), "eps": 1e-8}
    t.value("gradients no larger than eps", yours, {**several, **tiny}, ours, mistakes=wrong)
    t.value("gradients that are and always were zero", yours, {**rest, "dw": 0 * rest["dw"]}, ours, edge=True,
            hints={"nan": "0 / 0 where all gradients were zero; what is eps for?"})  # fmt: skip
    narrow = {name: a.astype(np.float32) for name, a in other.items()}
    t.value("float32 stays float32", yours, {**narrow, "lr": [0.1] * 5, **usual}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, or an array made without dtype=, has the higher precision"})
    ### END HIDDEN TESTS

# %% test id="rmsprop_s" points=4
from functools import partial

from minidl import Tensor, optim


def right(w, dw, s, lr, alpha, eps):
    """One step of minidl's own optimiser that has come to w with the average s."""
    p = Tensor(w, requires_grad=True)
    optimizer = optim.RMSprop([p], lr=lr, alpha=alpha, eps=eps)
    optimizer.state[p], p.grad = {"step": 1, "square_avg": s.copy()}, Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["square_avg"]


def chain(step, w, grads, s, *rest):
    """The average after each of several steps, handed on from one to the next."""
    path = []
    for dw in grads:
        _, s = step(w, dw, s, *rest)
        path.append(np.array(s))
    return np.stack(path)


with course.checks("the average of the squared gradients", lesson=11) as t:
    inputs = {**course.probe(61, w="NF", dw="TNF", s="NF", T=6, N=3, F=4), "lr": 0.1, "alpha": 0.7, "eps": 0.01}
    inputs["s"] = inputs["s"] ** 2
    wrong = {
        "the average is handed back as it came, so every step starts from the old one":
            partial(chain, lambda w, dw, s, *rest: (w, s)),
        "alpha and 1 - alpha are exchanged":
            partial(chain, lambda w, dw, s, lr, alpha, eps: right(w, dw, s, lr, 1 - alpha, eps)),
        "the squares are summed up, and nothing is forgotten; that is Adagrad":
            partial(chain, lambda w, dw, s, *rest: (w, s + dw * dw)),
        "the squares enter whole: in an average the shares of old and new add up to 1":
            partial(chain, lambda w, dw, s, lr, alpha, eps: right(w, dw / (1 - alpha) ** 0.5, s, lr, alpha, eps)),
        "the gradients are averaged, not their squares":
            partial(chain, lambda w, dw, s, lr, alpha, eps: (w, alpha * s + (1 - alpha) * dw)),
        "the absolute values are averaged, not the squares":
            partial(chain, lambda w, dw, s, *rest: right(w, np.abs(dw) ** 0.5, s, *rest)),
        "1 - alpha is squared together with the gradient":
            partial(chain, lambda w, dw, s, lr, alpha, eps: right(w, dw * (1 - alpha) ** 0.5, s, lr, alpha, eps)),
        "the square of the gradient is averaged over all weights first: each weight has its own":
            partial(chain, lambda w, dw, s, *rest: right(w, 0 * dw + (dw**2).mean() ** 0.5, s, *rest)),
        "the root of the average is returned; the average itself is the state":
            partial(chain, lambda w, dw, s, *rest: (w, right(w, dw, s, *rest)[1] ** 0.5)),
    }  # fmt: skip
    yours, ours = partial(chain, rmsprop), partial(chain, right)
    t.value("six steps", yours, inputs, ours, mistakes=wrong)
    t.value("six steps from s = 0", yours, {**inputs, "s": np.zeros((3, 4))}, ours, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("gradients of zero: the average dies away", yours, {**inputs, "dw": 0 * inputs["dw"]}, ours)
    other = {name: a * a for name, a in course.probe(62, w="F", dw="TF", s="F", T=4, F=7).items()}
    usual = {"lr": 0.1, "alpha": 0.99, "eps": 1e-8}
    t.value("large gradients", yours, {**other, "dw": 1e3 * other["dw"], **usual}, ours, mistakes=wrong)
    narrow = {name: a.astype(np.float32) for name, a in other.items()}
    t.value("float32 stays float32", yours, {**narrow, **usual}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, or an array made without dtype=, has the higher precision"})  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# ## 4. Adam
#
# *Adam* does both: it averages the gradient (momentum) and its square (RMSprop). Both averages start from zero, and so
# they are too small at first: after one step $m$ is only $(1-\beta_1)\,dw$. After $t$ steps the weights of all
# gradients in an average add up to $1-\beta^t$, and dividing by that corrects the *bias*.
#
# $$m \leftarrow \beta_1 m + (1-\beta_1)\,dw, \qquad v \leftarrow \beta_2 v + (1-\beta_2)\,dw^2,$$
#
# $$\hat m = \frac{m}{1-\beta_1^t}, \qquad \hat v = \frac{v}{1-\beta_2^t}, \qquad
# w \leftarrow w - \eta\,\frac{\hat m}{\sqrt{\hat v} + \varepsilon}$$
#
# `t` is the number of the step that is made; the first has $t = 1$. The averages are kept, and returned, without the
# correction. (Here $v$ is an average of squares, not a velocity. The names are those of the paper.)
#
# *Hint:* five lines, one for each equation. *Lesson:* 11. *Afterwards look at:* `minidl/optim/adam.py`. *Reference:*
# Kingma, Ba (2015), "Adam: a method for stochastic optimization", ICLR, arXiv:1412.6980.

# %% solution id="adam"
def adam(
    w: np.ndarray, dw: np.ndarray, m: np.ndarray, v: np.ndarray, t: int,
    lr: float, beta1: float, beta2: float, eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Step number t (1, 2, ...) of Adam: the new weights, and the new averages of the gradient and of its square.

        m <- beta1 m + (1 - beta1) dw
        v <- beta2 v + (1 - beta2) dw^2
        w <- w - lr m_hat / (sqrt(v_hat) + eps)      m_hat = m / (1 - beta1^t), v_hat = v / (1 - beta2^t)

    w, dw, m, v: arrays of one shape. Returns (w, m, v), new arrays of that shape and dtype.
    """
    ### BEGIN SOLUTION
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v
    ### END SOLUTION

# %% test id="adam_w" points=10
from functools import partial

from minidl import Tensor, optim


def right(w, dw, m, v, number, lr, beta1, beta2, eps):
    """Step `number` of minidl's own optimiser that has come to w with the averages m and v."""
    p = Tensor(w, requires_grad=True)
    optimizer = optim.Adam([p], lr=lr, betas=(beta1, beta2), eps=eps)
    optimizer.state[p] = {"step": number - 1, "exp_avg": m.copy(), "exp_avg_sq": v.copy()}
    p.grad = Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["exp_avg"], optimizer.state[p]["exp_avg_sq"]


def walk(step, w, grads, m, v, first, rates, *rest):
    """w after each of several steps; the averages that are handed in are always the right ones."""
    start, path = w, []
    for number, (dw, lr) in enumerate(zip(grads, rates, strict=True), first):
        _, *after = right(start, dw, m, v, number, lr, *rest)
        w, _, _ = step(w, dw, m, v, number, lr, *rest)
        m, v = after
        path.append(np.array(w))
    return np.stack(path)


def instead(move):
    """The path if each step is lr times something else, made of (new m, new v, 1 - beta1^t, 1 - beta2^t, eps)."""

    def step(w, dw, m, v, number, lr, beta1, beta2, eps):
        _, m, v = right(w, dw, m, v, number, lr, beta1, beta2, eps)
        return w - lr * move(m, v, 1 - beta1**number, 1 - beta2**number, eps), 0, 0

    return partial(walk, step)


def count(shift):
    """The path if the corrections are made for another step."""
    return partial(walk, lambda w, dw, m, v, number, *rest: right(w, dw, m, v, number + shift, *rest))


with course.checks("the weights after steps of Adam", lesson=11) as t:
    inputs = course.probe(63, w="NF", dw="TNF", T=6, N=3, F=4)
    zeros = {"m": np.zeros((3, 4)), "v": np.zeros((3, 4))}
    options = {"beta1": 0.8, "beta2": 0.95, "eps": 0.01}
    several = {**inputs, **zeros, "t": 1, "lr": [0.1] * 6, **options}
    wrong = {
        "the step goes uphill: the weights move along the gradient, not against it":
            lambda w, *rest: 2 * w - walk(right, w, *rest),
        "the learning rate has no effect on the weights":
            lambda w, dw, m, v, first, lr, *rest: walk(right, w, dw, m, v, first, [1.0] * len(dw), *rest),
        "neither average is corrected for its start from zero": instead(lambda m, v, c1, c2, eps: m / (v**0.5 + eps)),
        "only the average of the gradient is corrected for its start from zero":
            instead(lambda m, v, c1, c2, eps: m / c1 / (v**0.5 + eps)),
        "only the average of the squares is corrected for its start from zero":
            instead(lambda m, v, c1, c2, eps: m / ((v / c2) ** 0.5 + eps)),
        "the corrections are multiplied where they should divide":
            instead(lambda m, v, c1, c2, eps: m * c1 / ((v * c2) ** 0.5 + eps)),
        "the two corrections are exchanged": instead(lambda m, v, c1, c2, eps: m / c2 / ((v / c1) ** 0.5 + eps)),
        "eps stands inside of the root": instead(lambda m, v, c1, c2, eps: m / c1 / (v / c2 + eps) ** 0.5),
        "eps is added before the average of the squares is corrected":
            instead(lambda m, v, c1, c2, eps: m / c1 * c2**0.5 / (v**0.5 + eps)),
        "eps is left out": instead(lambda m, v, c1, c2, eps: m / c1 / (v / c2) ** 0.5),
        "1 - beta2 is squared together with the gradient": partial(walk, lambda w, dw, m, v, k, lr, b1, b2, eps:
            right(w, 0 * dw, m + (1 / b1 - 1) * dw, v + (1 - b2) ** 2 / b2 * dw**2, k, lr, b1, b2, eps)),
        "the root is missing: divided by the mean square": instead(lambda m, v, c1, c2, eps: m / c1 / (v / c2 + eps)),
        "the corrections count one step too many: t is the number of this step already": count(1),
        "beta1 and beta2 are exchanged": partial(
            walk, lambda w, dw, m, v, k, lr, beta1, beta2, eps: right(w, dw, m, v, k, lr, beta2, beta1, eps)),
        "the gradient itself moves the weights, and its average has no part in it": partial(
            walk, lambda w, dw, m, v, k, lr, beta1, beta2, eps: right(w, dw, 0 * m, v, k, lr, 0.0, beta2, eps)),
        "the gradient enters its average whole, as in momentum; here the shares of old and new add up to 1": partial(
            walk, lambda w, dw, m, *rest: right(w, dw, m + dw, *rest)),
        "the averages that were handed in are used, not the new ones": partial(walk, lambda w, dw, m, v, k, lr, beta1,
            beta2, eps: (w - lr * m / (1 - beta1**k) / ((v / (1 - beta2**k)) ** 0.5 + eps), 0, 0)),
    }  # fmt: skip
    hints = {"nan": "a division by a correction that is 0, as it is for t = 0 (the first step has t = 1), or the root "
             "of something negative, which an average of squares never is"}  # fmt: skip
    yours, ours = partial(walk, adam), partial(walk, right)
    t.value("six steps", yours, several, ours, mistakes=wrong, hints=hints)
    one = {**several, "dw": inputs["dw"][:1], "lr": [0.1]}
    t.value("the first step, t = 1", yours, one, ours, mistakes=wrong, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = course.probe(64, w="F", dw="TF", m="F", v="F", T=5, F=7)
    other["v"] = other["v"] ** 2 + 0.1
    usual = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    late = {**other, "t": 40, "lr": [0.5, 0.1, 0.02, 1.0, 0.3], **usual}
    t.value("far on its way, with a learning rate that changes", yours, late, ours, mistakes=wrong, hints=hints)
    tiny = {"w": np.zeros((3, 4)), "dw": 1e-8 * inputs["dw"], "eps": 1e-8}
    t.value("gradients no larger than eps", yours, {**several, **tiny}, ours, mistakes=wrong)
    t.value("gradients of zero: the average carries on", yours, {**late, "dw": 0 * other["dw"]}, ours, mistakes=wrong)
    t.value("gradients that are and always were zero", yours, {**one, "dw": 0 * one["dw"]}, ours, edge=True,
            hints={"nan": "0 / 0 where all gradients were zero; what is eps for?"})  # fmt: skip
    narrow = {name: a.astype(np.float32) for name, a in other.items()}
    t.value("float32 stays float32", yours, {**late, **narrow, "t": 2}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, such as np.sqrt makes of Python's numbers, has the higher precision"})
    ### END HIDDEN TESTS

# %% test id="adam_m" points=4
from functools import partial

from minidl import Tensor, optim


def right(w, dw, m, v, number, lr, beta1, beta2, eps):
    """Step `number` of minidl's own optimiser that has come to w with the averages m and v."""
    p = Tensor(w, requires_grad=True)
    optimizer = optim.Adam([p], lr=lr, betas=(beta1, beta2), eps=eps)
    optimizer.state[p] = {"step": number - 1, "exp_avg": m.copy(), "exp_avg_sq": v.copy()}
    p.grad = Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["exp_avg"], optimizer.state[p]["exp_avg_sq"]


def chain(step, w, grads, m, *rest):
    """m after each of several steps, handed on from one to the next; v is 1 before each of them."""
    path = []
    for number, dw in enumerate(grads, 1):
        _, m, _ = step(w, dw, m, np.ones_like(w), number, *rest)
        path.append(np.array(m))
    return np.stack(path)


with course.checks("Adam's average of the gradients", lesson=11) as t:
    inputs = course.probe(65, w="NF", dw="TNF", m="NF", T=6, N=3, F=4)
    inputs = {**inputs, "lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 0.01}
    wrong = {
        "the average is handed back as it came, so every step starts from the old one":
            partial(chain, lambda w, dw, m, *rest: (w, m, 0)),
        "beta1 and 1 - beta1 are exchanged":
            partial(chain, lambda w, dw, m, v, k, lr, beta1, *rest: right(w, dw, m, v, k, lr, 1 - beta1, *rest)),
        "beta1 and beta2 are exchanged":
            partial(chain, lambda w, dw, m, v, k, lr, beta1, beta2, e: right(w, dw, m, v, k, lr, beta2, beta1, e)),
        "the gradient enters whole, as in momentum; here the shares of old and new add up to 1":
            partial(chain, lambda w, dw, m, v, k, lr, b, *rest: right(w, dw / (1 - b), m, v, k, lr, b, *rest)),
        "the average is returned with its correction, and would be corrected again in the next step": partial(
            chain, lambda w, dw, m, v, k, lr, b, *rest: (w, right(w, dw, m, v, k, lr, b, *rest)[1] / (1 - b**k), 0)),
        "the gradient enters the average with a minus":
            partial(chain, lambda w, dw, m, *rest: right(w, -dw, m, *rest)),
        "the squares are averaged, not the gradients":
            partial(chain, lambda w, dw, m, *rest: right(w, dw**2, m, *rest)),
        "m and v are returned in the wrong order": partial(chain, lambda *a: [right(*a)[i] for i in (0, 2, 1)]),
    }  # fmt: skip
    yours, ours = partial(chain, adam), partial(chain, right)
    t.value("six steps", yours, inputs, ours, mistakes=wrong)
    t.value("six steps from m = 0", yours, {**inputs, "m": np.zeros((3, 4))}, ours, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("gradients of zero: the average dies away", yours, {**inputs, "dw": 0 * inputs["dw"]}, ours)
    other = course.probe(66, w="F", dw="TF", m="F", T=4, F=7)
    usual = {"lr": 10.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    t.value("large gradients", yours, {**other, "dw": 1e3 * other["dw"], **usual}, ours, mistakes=wrong)
    narrow = {name: a.astype(np.float32) for name, a in other.items()}
    t.value("float32 stays float32", yours, {**narrow, **usual}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, or an array made without dtype=, has the higher precision"})  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="adam_v" points=4
from functools import partial

from minidl import Tensor, optim


def right(w, dw, m, v, number, lr, beta1, beta2, eps):
    """Step `number` of minidl's own optimiser that has come to w with the averages m and v."""
    p = Tensor(w, requires_grad=True)
    optimizer = optim.Adam([p], lr=lr, betas=(beta1, beta2), eps=eps)
    optimizer.state[p] = {"step": number - 1, "exp_avg": m.copy(), "exp_avg_sq": v.copy()}
    p.grad = Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["exp_avg"], optimizer.state[p]["exp_avg_sq"]


def chain(step, w, grads, v, *rest):
    """v after each of several steps, handed on from one to the next; m is 0 before each of them."""
    path = []
    for number, dw in enumerate(grads, 1):
        _, _, v = step(w, dw, np.zeros_like(w), v, number, *rest)
        path.append(np.array(v))
    return np.stack(path)


with course.checks("Adam's average of the squares", lesson=11) as t:
    inputs = course.probe(67, w="NF", dw="TNF", v="NF", T=6, N=3, F=4)
    inputs = {**inputs, "v": inputs["v"] ** 2, "lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 0.01}

    def times(factor):
        """The path if the squares that enter are multiplied by a factor, made of beta2."""
        return partial(chain, lambda w, dw, m, v, k, lr, beta1, beta2, eps: right(
            w, dw * factor(beta2) ** 0.5, m, v, k, lr, beta1, beta2, eps))  # fmt: skip

    wrong = {
        "the average is handed back as it came, so every step starts from the old one":
            partial(chain, lambda w, dw, m, v, *rest: (w, 0, v)),
        "beta2 and 1 - beta2 are exchanged":
            partial(chain, lambda w, dw, m, v, k, lr, beta1, beta2, e: right(w, dw, m, v, k, lr, beta1, 1 - beta2, e)),
        "beta1 and beta2 are exchanged":
            partial(chain, lambda w, dw, m, v, k, lr, beta1, beta2, e: right(w, dw, m, v, k, lr, beta2, beta1, e)),
        "the squares enter whole: in an average the shares of old and new add up to 1": times(lambda b: 1 / (1 - b)),
        "1 - beta2 is squared together with the gradient": times(lambda b: 1 - b),
        "the average is returned with its correction, and would be corrected again in the next step": partial(
            chain, lambda w, dw, m, v, k, lr, c, b, e: (w, 0, right(w, dw, m, v, k, lr, c, b, e)[2] / (1 - b**k))),
        "the gradients are averaged, not their squares": partial(chain, lambda w, dw, m, v, k, lr, beta1, beta2, e: (
            w, 0, right(w, dw, v, 0 * v, k, lr, beta2, beta2, e)[1])),
        "m and v are returned in the wrong order": partial(chain, lambda *a: [right(*a)[i] for i in (0, 2, 1)]),
    }  # fmt: skip
    yours, ours = partial(chain, adam), partial(chain, right)
    t.value("six steps", yours, inputs, ours, mistakes=wrong)
    t.value("six steps from v = 0", yours, {**inputs, "v": np.zeros((3, 4))}, ours, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("gradients of zero: the average dies away", yours, {**inputs, "dw": 0 * inputs["dw"]}, ours)
    other = {name: a * a for name, a in course.probe(68, w="F", dw="TF", v="F", T=4, F=7).items()}
    usual = {"lr": 10.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    t.value("large gradients", yours, {**other, "dw": 1e3 * other["dw"], **usual}, ours, mistakes=wrong)
    narrow = {name: a.astype(np.float32) for name, a in other.items()}
    t.value("float32 stays float32", yours, {**narrow, **usual}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, or an array made without dtype=, has the higher precision"})  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# What is the correction of the bias good for? With a gradient that is always 1, all steps should be equally long:
# $\eta$. For a $t$ of a million both corrections are 1, so that `adam` called with it is Adam without them. At first
# $v$ is far too small (its memory, $\beta_2 = 0.999$, is a thousand steps long), and the steps are more than six times
# as long as you asked for, just when the weights are still random.

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import BLUE, VERMILLION, dress, key

fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for name, number, colour in (("without", lambda k: 10**6, VERMILLION), ("with the correction", lambda k: k, BLUE)):
    w, m, v, lengths = np.zeros(1), np.zeros(1), np.zeros(1), []
    for k in range(1, 2001):
        before = w
        w, m, v = adam(w, np.ones(1), m, v, number(k), 0.01, 0.9, 0.999, 1e-8)
        lengths.append(float(abs(w - before)[0]) / 0.01)
    ax.semilogx(range(1, 2001), lengths, color=colour, linewidth=2, label=name)
ax.set_ylim(0, 7)
dress(ax, "How long is a step of Adam?", "step", "length / learning rate")
key(ax)
plt.show()

# %% [markdown]
# ## 5. AdamW
#
# *Weight decay* pulls all weights towards zero. As an L2 penalty $\frac{\lambda}{2}\|w\|^2$ it would be a part of
# the gradient, $dw + \lambda w$, and Adam would divide it by the usual size of the gradient like the rest: the decay of
# a weight would depend on its gradients. *AdamW* keeps the two apart (the decay is *decoupled*): first the weights
# shrink, then comes Adam's step, which knows nothing of it.
#
# $$w \leftarrow (1 - \eta\lambda)\,w, \qquad \text{then Adam's step with the gradient } dw$$
#
# with $\lambda$ = `weight_decay`. As in PyTorch the decay is multiplied by the learning rate.
#
# *Hint:* write Adam's step out again here; the exercises are graded independently. *Lesson:* 15, section 6. *Afterwards
# look at:* `minidl/optim/adam.py`. *Reference:* Loshchilov, Hutter (2019), "Decoupled weight decay regularization",
# ICLR, arXiv:1711.05101.

# %% solution id="adamw"
def adamw(
    w: np.ndarray, dw: np.ndarray, m: np.ndarray, v: np.ndarray, t: int,
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Step number t (1, 2, ...) of AdamW: the new weights, and the new averages of the gradient and of its square.

        w <- (1 - lr weight_decay) w,  then Adam's step with dw; the averages do not see the decay

    w, dw, m, v: arrays of one shape. Returns (w, m, v), new arrays of that shape and dtype.
    """
    ### BEGIN SOLUTION
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    shrunk = (1 - lr * weight_decay) * w
    return shrunk - lr * m_hat / (np.sqrt(v_hat) + eps), m, v
    ### END SOLUTION

# %% test id="adamw_w" points=10
from functools import partial

from minidl import Tensor, optim


def right(w, dw, m, v, number, lr, beta1, beta2, eps, weight_decay, kind=optim.AdamW):
    """Step `number` of minidl's own optimiser that has come to w with the averages m and v."""
    p = Tensor(w, requires_grad=True)
    optimizer = kind([p], lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)
    optimizer.state[p] = {"step": number - 1, "exp_avg": m.copy(), "exp_avg_sq": v.copy()}
    p.grad = Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["exp_avg"], optimizer.state[p]["exp_avg_sq"]


def walk(step, w, grads, m, v, first, rates, *rest):
    """w after each of several steps; the averages that are handed in are always the right ones."""
    start, path = w, []
    for number, (dw, lr) in enumerate(zip(grads, rates, strict=True), first):
        _, *after = right(start, dw, m, v, number, lr, *rest)
        w, _, _ = step(w, dw, m, v, number, lr, *rest)
        m, v = after
        path.append(np.array(w))
    return np.stack(path)


def instead(decay):
    """The path if Adam's step is added to something else, made of (w, Adam's step, lr, weight_decay)."""

    def step(w, dw, m, v, number, lr, beta1, beta2, eps, weight_decay):
        move = right(0 * w, dw, m, v, number, lr, beta1, beta2, eps, 0.0)[0]
        return decay(w, move, lr, weight_decay), 0, 0

    return partial(walk, step)


with course.checks("the weights after steps of AdamW", lesson=15) as t:
    inputs = course.probe(69, w="NF", dw="TNF", T=6, N=3, F=4)
    zeros = {"m": np.zeros((3, 4)), "v": np.zeros((3, 4))}
    options = {"beta1": 0.8, "beta2": 0.95, "eps": 0.01, "weight_decay": 0.3}
    several = {**inputs, **zeros, "t": 1, "lr": [0.1] * 6, **options}
    wrong = {
        "the weights do not decay: this is Adam": instead(lambda w, move, lr, decay: w + move),
        "the decay is not multiplied by the learning rate": instead(lambda w, move, lr, decay: (1 - decay) * w + move),
        "the weights are multiplied by what they should lose, not by what they keep":
            instead(lambda w, move, lr, decay: lr * decay * w + move),
        "the weights grow: the sign of the decay": instead(lambda w, move, lr, decay: (1 + lr * decay) * w + move),
        "the step decays together with the weights: the decay comes first, and only the old weights shrink":
            instead(lambda w, move, lr, decay: (1 - lr * decay) * (w + move)),
        "the step goes uphill: the weights move along the gradient, not against it":
            instead(lambda w, move, lr, decay: (1 - lr * decay) * w - move),
        "the decay is a constant pull, whatever the weight is (L1)":
            instead(lambda w, move, lr, decay: w - lr * decay * np.sign(w) + move),
        "neither average is corrected for its start from zero": partial(
            walk, lambda w, dw, m, v, k, *rest: right(w, dw, m, v, 10**6, *rest)),
        "beta1 and beta2 are exchanged": partial(
            walk, lambda w, dw, m, v, k, lr, b1, b2, *rest: right(w, dw, m, v, k, lr, b2, b1, *rest)),
        "the average m shrinks as the weights do: the decay is for the weights alone": partial(walk, lambda
            w, dw, m, v, k, lr, *rest: right(w, dw, (1 - lr * rest[-1]) * m, v, k, lr, *rest)),
        "the decay is added to the gradient (L2, coupled), so that Adam divides it like the rest":
            partial(walk, partial(right, kind=optim.Adam)),
    }  # fmt: skip
    hints = {"nan": "a division by zero: for t = 0 both corrections are 0, and the first step has t = 1"}
    yours, ours = partial(walk, adamw), partial(walk, right)
    t.value("six steps", yours, several, ours, mistakes=wrong, hints=hints)
    one = {**several, "dw": inputs["dw"][:1], "lr": [0.1]}
    t.value("the first step, t = 1", yours, one, ours, mistakes=wrong, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = course.probe(70, w="F", dw="TF", m="F", v="F", T=5, F=7)
    other["v"] = other["v"] ** 2 + 0.1
    usual = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}
    late = {**other, "t": 40, "lr": [0.5, 0.1, 0.02, 1.0, 0.3], **usual}
    t.value("far on its way, with a learning rate that changes", yours, late, ours, mistakes=wrong, hints=hints)
    t.value("gradients that are and always were zero: only decay is left", yours, {**several, "dw": 0 * inputs["dw"]},
            ours, mistakes=wrong, hints={"nan": "0 / 0 where all gradients were zero; what is eps for?"})  # fmt: skip
    t.value("without decay", yours, {**several, "weight_decay": 0.0}, ours)
    narrow = {name: a.astype(np.float32) for name, a in other.items()}
    t.value("float32 stays float32", yours, {**late, **narrow, "t": 2}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, such as np.sqrt makes of Python's numbers, has the higher precision"})
    ### END HIDDEN TESTS

# %% test id="adamw_averages" points=4
from functools import partial

from minidl import Tensor, optim


def right(w, dw, m, v, number, lr, beta1, beta2, eps, weight_decay, kind=optim.AdamW):
    """Step `number` of minidl's own optimiser that has come to w with the averages m and v."""
    p = Tensor(w, requires_grad=True)
    optimizer = kind([p], lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)
    optimizer.state[p] = {"step": number - 1, "exp_avg": m.copy(), "exp_avg_sq": v.copy()}
    p.grad = Tensor(dw)
    optimizer.step()
    return p.numpy(), optimizer.state[p]["exp_avg"], optimizer.state[p]["exp_avg_sq"]


def chain(step, w, grads, m, v, *rest):
    """Both averages after each of several steps, handed on from one to the next."""
    path = []
    for number, dw in enumerate(grads, 1):
        _, m, v = step(w, dw, m, v, number, *rest)
        path.append([np.array(m), np.array(v)])
    return tuple(np.stack(average) for average in zip(*path, strict=True))


with course.checks("the averages of AdamW, m (output 0) and v (output 1)", lesson=15) as t:
    inputs = course.probe(71, w="NF", dw="TNF", m="NF", v="NF", T=6, N=3, F=4)
    inputs = {**inputs, "v": inputs["v"] ** 2, "lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 0.01, "weight_decay": 0.3}
    wrong = {
        "the decay is in the averages (L2, coupled): they are to see the gradient of the loss alone":
            partial(chain, partial(right, kind=optim.Adam)),
        "the averages are handed back as they came, so every step starts from the old ones":
            partial(chain, lambda w, dw, m, v, *rest: (w, m, v)),
        "beta1 and beta2 are exchanged":
            partial(chain, lambda w, dw, m, v, k, lr, b1, b2, *rest: right(w, dw, m, v, k, lr, b2, b1, *rest)),
        "m and v are returned in the wrong order": partial(chain, lambda *a: [right(*a)[i] for i in (0, 2, 1)]),
        "the average m shrinks as the weights do: the decay is for the weights alone": partial(
            chain, lambda w, dw, m, v, k, lr, *rest: right(w, dw, (1 - lr * rest[-1]) * m, v, k, lr, *rest)),
    }  # fmt: skip
    yours, ours = partial(chain, adamw), partial(chain, right)
    t.value("six steps", yours, inputs, ours, mistakes=wrong)
    zeros = {"m": np.zeros((3, 4)), "v": np.zeros((3, 4))}
    t.value("six steps from zero", yours, {**inputs, **zeros}, ours, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("gradients of zero: the averages die away", yours, {**inputs, "dw": 0 * inputs["dw"]}, ours)
    other = {name: a * a for name, a in course.probe(72, w="F", dw="TF", m="F", v="F", T=4, F=7).items()}
    usual = {"lr": 10.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}
    narrow = {name: a.astype(np.float32) for name, a in other.items()}
    t.value("float32 stays float32", yours, {**narrow, **usual}, ours, rtol=1e-5,
            hints={"dtype": "a NumPy number, or an array made without dtype=, has the higher precision"})  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# The difference as a picture. Weights start at 1; their gradients are noise around zero, of a size that is different
# for each group, and push them nowhere on the whole. So what is left of them (the mean of each group) tells how they
# decayed. With the penalty in the gradient, weights whose gradients are small decay far too fast, and those with large
# gradients hardly. With AdamW all keep $(1-\eta\lambda)^{200}$.

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import BLUE, VERMILLION, dress, key

sizes, rng = np.geomspace(1e-3, 10, 21)[:, None], np.random.default_rng(5)
lr, decay = 0.01, 0.5
steps = {
    "Adam, decay in the gradient (L2)": lambda w, dw, m, v, k: adam(w, dw + decay * w, m, v, k, lr, 0.9, 0.999, 1e-8),
    "AdamW": lambda w, dw, m, v, k: adamw(w, dw, m, v, k, lr, 0.9, 0.999, 1e-8, decay),
}
fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
for (name, step), colour in zip(steps.items(), (VERMILLION, BLUE), strict=True):
    w, m, v = np.ones((21, 400)), np.zeros((21, 400)), np.zeros((21, 400))
    for k in range(1, 201):
        w, m, v = step(w, sizes * rng.standard_normal(w.shape), m, v, k)
    ax.semilogx(sizes[:, 0], w.mean(1), "o-", color=colour, markersize=4, linewidth=2, label=name)
ax.axhline((1 - lr * decay) ** 200, color="#222222", linewidth=0.8, linestyle=":", label="(1 - lr decay)^200")
ax.set_ylim(-0.05, 1.05)
dress(ax, "What 200 steps leave of a weight", "size of its gradients", "weight")
key(ax)
plt.show()

# %% [markdown]
# ## 6. Clipping
#
# Now and then a gradient is hundreds of times longer than usual, and one step along it throws the weights far away.
# *Clipping* keeps its direction and limits its length. The length is that of **all** gradients together, as if they
# were one long vector:
#
# $$n = \sqrt{\sum_i \sum_j g_{i,j}^2}, \qquad g_i \leftarrow g_i \cdot \min\!\left(1, \frac{c}{n + 10^{-6}}\right)$$
#
# where $g_i$ is the gradient of parameter $i$ and $c$ = `max_norm`. Return the list of new gradients, and $n$, the norm
# *before* clipping, as a Python float (one logs it, to see whether training is healthy). In detail:
#
# * Gradients that are together no longer than $c$ come back unchanged. An empty list has the norm 0.0.
# * A NaN in any gradient makes $n$ NaN, and then all gradients that you return: an error shall show, not hide.
# * The squares of large float32 numbers overflow, so sum them in float64. The new gradients keep their dtype.
#
# *Hint:* how does `min(1, x)` behave in Python if x is NaN? *Lesson:* 11, section 6. *Afterwards look at:*
# `minidl/optim/clip.py`. *Reference:* Pascanu, Mikolov, Bengio (2013), "On the difficulty of training recurrent neural
# networks", ICML, arXiv:1211.5063.

# %% solution id="clip_by_norm"
def clip_by_norm(grads: list[np.ndarray], max_norm: float) -> tuple[list[np.ndarray], float]:
    """Scale all gradients by one factor, so that together they are at most max_norm long.

        n = sqrt(sum of the squares of all elements of all gradients)
        g <- g min(1, max_norm / (n + 1e-6))

    grads: arrays of any shapes. Returns (list of the new gradients, each with its shape and dtype, n as a float).
    """
    ### BEGIN SOLUTION
    norm = math.sqrt(sum(float(np.sum(g.astype(np.float64) ** 2)) for g in grads))
    scale = max_norm / (norm + 1e-6)
    if scale >= 1:  # a NaN is not
        return [g.copy() for g in grads], norm
    return [scale * g for g in grads], norm
    ### END SOLUTION

# %% test id="clip_grads" points=10
from minidl import Tensor, optim


def right(a, b, c, max_norm, norm_type=2.0):
    """The gradients after minidl's own clipping."""
    params = [Tensor(np.zeros_like(g), requires_grad=True) for g in (a, b, c)]
    for p, g in zip(params, (a, b, c), strict=True):
        p.grad = Tensor(g)
    optim.clip_grad_norm_(params, max_norm, norm_type)
    return tuple(p.grad.numpy() for p in params)


def clipped(a, b, c, max_norm):
    """Your gradients."""
    grads, _ = clip_by_norm([a, b, c], max_norm)
    return tuple(grads)


def scaled(factor):
    """All gradients times a factor, made of (their norm, max_norm)."""
    return lambda *a: tuple(factor(sum(float((g * g).sum()) for g in a[:-1]) ** 0.5, a[-1]) * g for g in a[:-1])


with course.checks("the clipped gradients (outputs 0 to 2: one for each in the list)", lesson=11) as t:
    inputs = {**course.probe(73, a="NF", b="F", c="KN", N=3, F=5, K=2), "max_norm": 0.5}
    wrong = {
        "each gradient is clipped by itself; they are to be scaled together, by one factor":
            lambda a, b, c, limit: (right(a, 0 * b, 0 * c, limit)[0], right(0 * a, b, 0 * c, limit)[1],
                                    right(0 * a, 0 * b, c, limit)[2]),
        "each element is clipped by itself, which changes the direction":
            lambda a, b, c, limit: tuple(np.clip(g, -limit, limit) for g in (a, b, c)),
        "the root is missing: the gradients are divided by the square of their norm":
            scaled(lambda n, limit: limit / n**2),
        "the sum of the absolute values stands for the norm": lambda *a: right(*a, norm_type=1.0),
        "the largest element stands for the norm": lambda *a: right(*a, norm_type=math.inf),
        "the factor is upside down: the gradients become longer": scaled(lambda n, limit: n / limit),
        "the gradients are made 1 long, not max_norm": scaled(lambda n, limit: 1 / n),
        "the norms of the parts are added; squares add up, norms do not":
            lambda *a: tuple(a[-1] / sum(np.linalg.norm(p) for p in a[:-1]) * g for g in a[:-1]),
        "the mean of the squares stands for their sum":
            lambda *a: scaled(lambda n, limit: limit / n * sum(g.size for g in a[:-1]) ** 0.5)(*a),
        "they are too long, and come back as they were": lambda *a: a[:-1],
    }  # fmt: skip
    t.value("gradients longer than max_norm", clipped, inputs, right, mistakes=wrong)
    stretched = "short gradients are stretched to max_norm; they are to stay as they are"
    wrong[stretched] = scaled(lambda n, limit: limit / n)
    t.value("gradients shorter than max_norm", clipped, {**inputs, "max_norm": 50.0}, right, mistakes=wrong, edge=True)
    ### BEGIN HIDDEN TESTS
    t.hide()
    tiny = {**{name: 1e-5 * g for name, g in inputs.items()}, "max_norm": 1e-6}
    t.value("very short gradients, and a limit that is shorter still", clipped, tiny, right, mistakes={
            "the small number in the denominator is left out": scaled(lambda n, limit: limit / n)})  # fmt: skip
    t.value("gradients of zero", clipped, {**{name: 0 * g for name, g in inputs.items()}, "max_norm": 1.0}, right,
            edge=True, hints={"nan": "0 / 0 where all gradients are zero"})  # fmt: skip
    t.that("one NaN makes all gradients NaN", lambda: all(bool(np.isnan(g).all()) for g in clip_by_norm(
           [np.array([[1.0, np.nan]]), np.array([3.0, 4.0, 5.0])], 1.0)[0]),
           "the NaN is lost: left out of the sum, or a comparison (also that in min), which is false for NaN, goes the "
           "wrong way")  # fmt: skip
    t.that("an empty list", lambda: list(clip_by_norm([], 1.0)[0]) == [], "no gradients: an empty list", edge=True)
    large = course.probe(74, a="N", b="F", c="KN", N=4, F=5, K=2)
    narrow = {name: (1e25 * g).astype(np.float32) for name, g in large.items()}
    t.value("large float32 gradients", clipped, {**narrow, "max_norm": 2.0}, right, rtol=1e-5, hints={
            "dtype": "the factor is a NumPy number of double precision, and has made arrays like it of the gradients",
            "zero": "the squares have overflowed in single precision, and so the factor is zero"})  # fmt: skip
    ### END HIDDEN TESTS

# %% test id="clip_norm" points=6
from minidl import Tensor, optim


def right(a, b, c, max_norm, norm_type=2.0):
    """The norm that minidl's own clipping reports."""
    params = [Tensor(np.zeros_like(g), requires_grad=True) for g in (a, b, c)]
    for p, g in zip(params, (a, b, c), strict=True):
        p.grad = Tensor(g)
    return optim.clip_grad_norm_(params, max_norm, norm_type)


def norm(a, b, c, max_norm):
    """Your norm."""
    _, n = clip_by_norm([a, b, c], max_norm)
    return n


with course.checks("the norm of all gradients", lesson=11) as t:
    inputs = {**course.probe(75, a="NF", b="F", c="KN", N=3, F=5, K=2), "max_norm": 0.5}
    wrong = {
        "this is the square of the norm: the root is missing": lambda *a: right(*a) ** 2,
        "this is the norm after clipping; the one before is asked for": lambda *a: min(right(*a), a[-1]),
        "the norms of the parts are added; squares add up, norms do not":
            lambda *a: float(sum(np.linalg.norm(g) for g in a[:-1])),
        "the absolute values are added up, not the squares": lambda *a: right(*a, norm_type=1.0),
        "this is the largest element": lambda *a: right(*a, norm_type=math.inf),
        "the mean of the squares stands for their sum": lambda *a: right(*a) / sum(g.size for g in a[:-1]) ** 0.5,
        "this is the factor, not the norm": lambda *a: a[-1] / (right(*a) + 1e-6),
        "only the last gradient is counted": lambda a, b, c, limit: right(0 * a, 0 * b, c, limit),
        "only the first gradient is counted": lambda a, b, c, limit: right(a, 0 * b, 0 * c, limit),
        "this is a norm for each gradient; one for all together is asked for":
            lambda *a: np.array([np.linalg.norm(g) for g in a[:-1]]),
    }  # fmt: skip
    t.value("gradients longer than max_norm", norm, inputs, right, mistakes=wrong)
    t.value("gradients shorter than max_norm", norm, {**inputs, "max_norm": 50.0}, right, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("gradients of zero", norm, {name: 0 * value for name, value in inputs.items()}, 0.0, edge=True)
    broken = [np.array([[1.0, np.nan]]), np.ones(3), np.ones(2), 1.0]
    t.that("one NaN makes the norm NaN", lambda: bool(np.isnan(norm(*broken))),
           "the NaN is left out of the sum; an error shall show, not hide")  # fmt: skip
    t.value("an empty list", lambda limit: clip_by_norm([], limit)[1], {"max_norm": 1.0}, 0.0, edge=True)
    large = course.probe(76, a="N", b="F", c="KN", N=4, F=5, K=2)
    narrow = {name: (1e25 * g).astype(np.float32) for name, g in large.items()}
    t.value("large float32 gradients", norm, {**narrow, "max_norm": 2.0}, right, hints={
            "nan": "the squares have overflowed in single precision: sum them in double precision",
            "dtype": "the norm is a NumPy number of single precision; a Python float is asked for"})  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# A training run in which one gradient of 40 is two hundred times too long, as it happens at a cliff of the loss or with
# a broken example in the batch. Without clipping the distance to the minimum jumps up each time. The norms that
# `clip_by_norm` returns show where the limit should be: above the usual ones, far below the outliers.

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import BLUE, GREY, VERMILLION, dress, key

fig, (left, right_) = plt.subplots(1, 2, figsize=(12, 3.6), layout="constrained")
for name, limit, colour in (("without clipping", 1e9, VERMILLION), ("clipped to 3", 3.0, BLUE)):
    rng, params, distances, norms = np.random.default_rng(3), [np.ones((4, 3)), np.ones(4)], [], []
    for _ in range(400):
        outlier = 200.0 if rng.random() < 1 / 40 else 1.0
        grads = [p + outlier * 0.3 * rng.standard_normal(p.shape) for p in params]  # of |p|²/2, with noise
        grads, norm = clip_by_norm(grads, limit)
        params = [p - 0.1 * g for p, g in zip(params, grads, strict=True)]
        distances.append(sum(float((p * p).sum()) for p in params) ** 0.5)
        norms.append(norm)
    left.semilogy(distances, color=colour, linewidth=1.5, label=name)
right_.hist(norms, np.geomspace(0.3, 1000, 60), color=GREY)
right_.axvline(3.0, color=BLUE, linewidth=2, label="the limit")
right_.set_xscale("log")
dress(left, "Distance to the minimum", "step", "distance")
dress(right_, "Norms before clipping", "norm", "steps")
key(left)
key(right_)
plt.show()

# %% [markdown]
# ## 7. Cosine annealing with restarts
#
# Large steps find the valley, small ones its bottom. So the learning rate falls: here along half a cosine, from
# $\eta_{\max}$ to $\eta_{\min}$. Then it *starts again* from the top, to leave a bad valley for a better one, each time
# perhaps with a longer *cycle*.
#
# $$\eta = \eta_{\min} + \tfrac12\,(\eta_{\max}-\eta_{\min})\left(1 + \cos\frac{\pi\,T_{cur}}{T_i}\right)$$
#
# $T_i$ is the length of cycle $i$: `T_0` steps for the first, and each `T_mult` times as long as the one before.
# $T_{cur}$ counts the steps since the last restart, from 0. So step `t = 0` and each restart, `t = T_0` among them,
# have exactly $\eta_{\max}$, and $\eta_{\min}$ itself is never reached. `T_0` and `T_mult` are integers $\ge 1$, and
# `t` is an integer $\ge 0$.
#
# *Hint:* take whole cycles off `t` as long as there are any. *Lesson:* 13, section 7. *Afterwards look at:*
# `minidl/optim/lr_scheduler/cosine.py`. *Reference:* Loshchilov, Hutter (2017), "SGDR: stochastic gradient descent with
# warm restarts", ICLR, arXiv:1608.03983.

# %% solution id="cosine_restarts"
def cosine_restarts(t: int, T_0: int, T_mult: int, eta_max: float, eta_min: float) -> float:
    """The learning rate of step t (0, 1, ...): half a cosine from eta_max towards eta_min, again and again.

        eta_min + (eta_max - eta_min) (1 + cos(pi T_cur / T_i)) / 2

    T_0: length of the first cycle in steps; each is T_mult times as long as the one before.
    """
    ### BEGIN SOLUTION
    T_cur, T_i = t, T_0
    while T_cur >= T_i:
        T_cur, T_i = T_cur - T_i, T_i * T_mult
    return eta_min + (eta_max - eta_min) * (1 + math.cos(math.pi * T_cur / T_i)) / 2
    ### END SOLUTION

# %% test id="restarts_equal" points=10
from minidl import Tensor, optim


def right(steps, T_0, T_mult, eta_max, eta_min):
    """The rates of minidl's own schedule."""
    optimizer = optim.SGD([Tensor([0.0], requires_grad=True)], lr=eta_max)
    schedule = optim.CosineAnnealingWarmRestarts(optimizer, T_0, T_mult, eta_min)
    return np.array([schedule.lr_at(int(k)) for k in steps])


def rates(steps, *rest):
    """Yours."""
    return np.array([cosine_restarts(int(k), *rest) for k in steps])


def progress(share):
    """The rates if the share of the cycle that has passed is counted in another way."""

    def wrong(steps, T_0, T_mult, eta_max, eta_min):
        return eta_min + (eta_max - eta_min) * (1 + np.cos(np.pi * share(steps, T_0))) / 2

    return wrong


with course.checks("learning rates in cycles of equal length (T_mult = 1)", lesson=13) as t:
    inputs = {"t": np.arange(17), "T_0": 5, "T_mult": 1, "eta_max": 0.4, "eta_min": 0.05}
    wrong = {
        "it never starts again: the cosine goes back up": progress(lambda k, T: k / T),
        "it never starts again: the rate stays down": progress(lambda k, T: np.minimum(k / T, 1)),
        "a restart comes one step too late: step T_0 still belongs to the old cycle, at its lower end":
            progress(lambda k, T: np.where(k > 0, (k - 1) % T + 1, 0) / T),
        "each cycle is one step too long": progress(lambda k, T: k % (T + 1) / T),
        "each cycle is one step too short": progress(lambda k, T: k % (T - 1) / T),
        "the steps of a cycle are counted from 1": progress(lambda k, T: (k % T + 1) / T),
        "the last step of a cycle has eta_min already: divided by one less than its length":
            progress(lambda k, T: k % T / (T - 1)),
        "a whole cosine in each cycle, down and up again; half of one is asked for":
            progress(lambda k, T: 2 * (k % T) / T),
        "a factor 1/2 is missing: the rate begins above eta_max": lambda *a: 2 * right(*a) - a[-1],
        "eta_min is not added": lambda *a: right(*a) - a[-1],
        "the cosine goes from eta_min + eta_max down: eta_min is added but not taken off eta_max":
            lambda k, T, mult, top, low: right(k, T, mult, top + low, low),
        "eta_min has no part in it": lambda k, T, mult, top, low: right(k, T, mult, top, 0.0),
        "upside down: the rate climbs from eta_min to eta_max": lambda *a: a[-2] + a[-1] - right(*a),
        "pi is missing: the angle is in radians": progress(lambda k, T: k % T / T / np.pi),
        "a straight line, not a cosine": lambda k, T, mult, top, low: top + (low - top) * (k % T) / T,
    }  # fmt: skip
    t.value("the first cycle", rates, {**inputs, "t": np.arange(5)}, right, mistakes=wrong)
    t.value("three cycles", rates, inputs, right, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("steps far away", rates, {**inputs, "t": np.array([6998, 6999, 7000, 7001, 12345]), "T_0": 7}, right,
            mistakes=wrong)  # fmt: skip
    t.value("eta_min = 0", rates, {**inputs, "t": np.arange(9), "T_0": 3, "eta_max": 1.0, "eta_min": 0.0}, right,
            mistakes=wrong)  # fmt: skip
    t.value("cycles of one step", rates, {**inputs, "T_0": 1}, right, mistakes=wrong, edge=True)
    ### END HIDDEN TESTS

# %% test id="restarts_growing" points=10
from minidl import Tensor, optim


def right(steps, T_0, T_mult, eta_max, eta_min):
    """The rates of minidl's own schedule."""
    optimizer = optim.SGD([Tensor([0.0], requires_grad=True)], lr=eta_max)
    schedule = optim.CosineAnnealingWarmRestarts(optimizer, T_0, T_mult, eta_min)
    return np.array([schedule.lr_at(int(k)) for k in steps])


def rates(steps, *rest):
    """Yours."""
    return np.array([cosine_restarts(int(k), *rest) for k in steps])


def cycles(length=lambda i, T, mult: T * mult**i, extra=0, share=lambda k, T: k / T):
    """The rates for other lengths of the cycles, more steps in each, or another count of what has passed."""

    def wrong(steps, T_0, T_mult, eta_max, eta_min):
        found, i = [], 0
        while len(found) <= steps.max():
            T = length(i, T_0, T_mult)
            passed = share(np.arange(T + extra), T)
            found, i = [*found, *(eta_min + (eta_max - eta_min) * (1 + np.cos(np.pi * passed)) / 2)], i + 1
        return np.array(found)[steps]

    return wrong


with course.checks("learning rates in cycles that grow (T_mult = 2 and more)", lesson=13) as t:
    inputs = {"t": np.arange(24), "T_0": 3, "T_mult": 2, "eta_max": 0.4, "eta_min": 0.05}
    wrong = {
        "T_mult has no effect: all cycles are equally long": lambda k, T, mult, *rest: right(k, T, 1, *rest),
        "the first cycle is too long already": lambda k, T, mult, *rest: right(k, T * mult, mult, *rest),
        "the cycles grow by the same amount each time; each is T_mult times the one before":
            cycles(lambda i, T, mult: T * (1 + i * (mult - 1))),
        "the second cycle is T_mult times the first, and all others are as long as it":
            cycles(lambda i, T, mult: T * mult ** min(i, 1)),
        "the cycles grow too fast: T_mult is applied to a length that has grown already":
            cycles(lambda i, T, mult: T * mult ** (i * (i + 1) // 2)),
        "it never starts again: the cosine goes back up":
            lambda k, T, mult, top, low: low + (top - low) * (1 + np.cos(np.pi * k / T)) / 2,
        "a restart comes one step too late: it still belongs to the old cycle, at its lower end":
            lambda k, T, mult, top, low: np.where((k > 0) & (right(k, T, mult, top, low) == top), low,
                                                  right(k, T, mult, top, low)),
        "each cycle is one step too long": cycles(extra=1),
        "the steps of a cycle are counted from 1": cycles(share=lambda k, T: (k + 1) / T),
        "the last step of a cycle has eta_min already: divided by one less than its length":
            cycles(share=lambda k, T: k / (T - 1)),
        "pi is missing: the angle is in radians": cycles(share=lambda k, T: k / T / np.pi),
        "the cosine goes from eta_min + eta_max down: eta_min is added but not taken off eta_max":
            lambda k, T, mult, top, low: right(k, T, mult, top + low, low),
        "a factor 1/2 is missing: the rate begins above eta_max": lambda *a: 2 * right(*a) - a[-1],
        "eta_min is not added": lambda *a: right(*a) - a[-1],
        "upside down: the rate climbs from eta_min to eta_max": lambda *a: a[-2] + a[-1] - right(*a),
    }  # fmt: skip
    t.value("cycles of 3, 6 and 12 steps", rates, inputs, right, mistakes=wrong)
    t.value("another first cycle", rates, {**inputs, "t": np.arange(20), "T_0": 4}, right, mistakes=wrong)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("T_mult = 3", rates, {**inputs, "t": np.arange(30), "T_mult": 3, "eta_min": 0.0}, right, mistakes=wrong)

    def logarithm(steps, T, mult, top, low):
        i = np.array([int(math.log(k / T * (mult - 1) + 1, mult)) for k in steps])
        share = (steps - T * (mult**i - 1) // (mult - 1)) / (T * mult**i)
        return low + (top - low) * (1 + np.cos(np.pi * share)) / 2

    starts = np.array([3**i - 1 for i in range(1, 9)])  # for T_0 = 2 and T_mult = 3
    t.value("just before, at, and just after restarts that are far away", rates,
            {**inputs, "t": (starts[:, None] + np.array([-1, 0, 1])).ravel(), "T_0": 2, "T_mult": 3}, right,
            mistakes={"it is right but for some restarts: a logarithm comes out just below a whole number": logarithm})
    ### END HIDDEN TESTS

# %% [markdown]
# The schedule, and what it does: momentum walks over $f(w) = 0.1\,w^2 + 0.4\sin 5w$, which has a valley every 1.26,
# with noise in its gradients. Each restart kicks it out of the valley where it had come to rest, and at the end of each
# cycle it lies at the bottom of one, more often than not a better one.

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import BLUE, GREY, VERMILLION, dress, key

fig, (left, middle) = plt.subplots(1, 2, figsize=(12, 3.6), layout="constrained", width_ratios=[1, 1.3])
for T_0, T_mult, colour in ((25, 1, BLUE), (25, 2, VERMILLION)):
    rates_ = [cosine_restarts(k, T_0, T_mult, 0.1, 0.001) for k in range(175)]
    left.plot(rates_, color=colour, linewidth=2, label=f"T_0 = {T_0}, T_mult = {T_mult}")
dress(left, "Cosine annealing with restarts", "step", "learning rate")
key(left)
rng, w, v = np.random.default_rng(1), np.full(300, 4.0), np.zeros(300)
values = []
for k in range(175):
    values.append(0.1 * w**2 + 0.4 * np.sin(5 * w))
    dw = 0.2 * w + 2.0 * np.cos(5 * w) + 1.5 * rng.standard_normal(300)
    w, v = momentum(w, dw, v, cosine_restarts(k, 25, 2, 0.1, 0.001), 0.8)
middle.plot(np.array(values)[:, :12], color=GREY, linewidth=0.5, alpha=0.6)
middle.plot(np.mean(values, 1), color=VERMILLION, linewidth=2, label="mean of 300 runs")
for restart in (25, 75):
    middle.axvline(restart, color="#222222", linewidth=0.8, linestyle=":")
dress(middle, "f(w) along the way, T_mult = 2", "step", "f")
key(middle)
plt.show()

# %% [markdown]
# ## All five on a ravine
#
# To end with, your optimisers in the ravine of lesson 11: 40 times as steep across as along, and turned, so that no
# coordinate is steep by itself. Play with the learning rates, with `TURN` (0: the ravine lies along an axis) and with
# `STEEP`. Who profits from an axis-parallel ravine, and who does not care? Where does AdamW come to rest, and why
# is that not the minimum?

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import CLASSES, dress

STEEP, TURN, STEPS = 40.0, 0.5, 60
c, s = np.cos(TURN), np.sin(TURN)
axes_ = np.array([[c, -s], [s, c]])
H = axes_ @ np.diag([1.0, STEEP]) @ axes_.T  # f(w) = (w - 1)' H (w - 1) / 2
goal, start = np.ones(2), np.ones(2) + axes_ @ [-2.2, 0.4]
z = np.zeros(2)
five = {
    "momentum": (lambda k, w, dw, v: momentum(w, dw, v, 0.02, 0.8), (z,)),
    "Nesterov": (lambda k, w, dw, v: nesterov(w, dw, v, 0.02, 0.8), (z,)),
    "RMSprop": (lambda k, w, dw, s: rmsprop(w, dw, s, 0.05, 0.9, 1e-8), (z,)),
    "Adam": (lambda k, w, dw, m, v: adam(w, dw, m, v, k, 0.15, 0.9, 0.99, 1e-8), (z, z)),
    "AdamW, decay 0.5": (lambda k, w, dw, m, v: adamw(w, dw, m, v, k, 0.15, 0.9, 0.99, 1e-8, 0.5), (z, z)),
}
x, y = np.meshgrid(np.linspace(-1.6, 2.2, 120), np.linspace(-0.8, 2.2, 120))
away = np.stack([x, y], -1) - goal
heights = 0.5 * np.einsum("abi,ij,abj->ab", away, H, away)
fig, axes = plt.subplots(1, 5, figsize=(15, 3.2), layout="constrained", sharex=True, sharey=True)
for ax, (name, (step, state)), colour in zip(axes, five.items(), CLASSES, strict=False):
    w, path = start, [start]
    for k in range(1, STEPS + 1):
        w, *state = step(k, w, H @ (w - goal), *state)
        path.append(w)
    path = np.array(path)
    ax.contour(x, y, heights, np.geomspace(0.02, 60, 12), colors="#CCCCCC", linewidths=0.8)
    ax.plot(*path.T, "o-", color=colour, markersize=2.5, linewidth=1)
    ax.plot(*goal, "k*", markersize=10)
    dress(ax, f"{name}: {np.linalg.norm(path[-1] - goal):.2g} left", grid=None)
plt.show()
