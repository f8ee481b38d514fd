# %% [markdown]
# # Gradient checking as a tool
#
# A wrong gradient does not crash. The network still trains, only worse, and one looks for the reason everywhere else.
# This lesson is about the tool that finds such errors before they cost a week: what it compares, why its questions are
# random, how to read what it answers, and when not to believe it. Lesson 02 has shown which step size differences need,
# lesson 04 where the gradients come from.
#
# *Central difference*: $(f(x+h)-f(x-h))/2h$ with a small step $h$. *Upstream gradient* $u$: the derivative of the loss
# with respect to the result; a backward function gets it and must return $\bar x = J^\top u$, where the *Jacobian*
# $J_{ij} = \partial y_i/\partial x_j$ holds all the derivatives. *Kink*: a point where the slope jumps, as that of
# ReLU at 0.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, nn
from minidl.check import gradcheck, gradcheck_pair
from minidl.check.numeric import Line, Tolerance, slope
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, SIGNED, VERMILLION, bare, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. One equation
#
# A function has many outputs and many inputs. The check makes numbers of both: it weighs the outputs with an upstream
# gradient $u$, and moves the inputs along a direction $v$. Then one difference must agree with one product:
#
# $$\frac{\langle u, f(x+hv)\rangle - \langle u, f(x-hv)\rangle}{2h} \;=\; \langle \bar x, v\rangle, \qquad
# \bar x = J^\top u \ \text{ from backward}.$$
#
# With $v$ a single element, $v = (0,\dots,1,\dots,0)$, this is the ordinary derivative for that element. With a random
# $v$ one comparison tests **all** elements at once: an error in any of them shifts the right side, and would have to be
# exactly orthogonal to a random vector to hide. By hand this is three lines, and the library's report says the same.
# Everything is in double precision, whatever dtype you give.
#
# *Source:* `minidl/check/compare.py`. *Reference:* Griewank, Walther (2008), "Evaluating Derivatives", 2nd edition,
# SIAM, chapter 3.

# %%
x, u, v = (rng.standard_normal((3, 5)) for _ in range(3))
t, h = Tensor(x, requires_grad=True), 6e-6
minidl.softmax(t).backward(u)
numeric = (u * (minidl.softmax(x + h * v) - minidl.softmax(x - h * v))).sum() / (2 * h)
print(f"difference {numeric:.10f}, product with the gradient {(t.grad.numpy() * v).sum():.10f}")
assert abs(numeric - (t.grad.numpy() * v).sum()) < 1e-8

report = gradcheck(minidl.softmax, x, rng=0)
print(report)
assert report and sorted(report.worst) == [1, 2] and max(report.worst.values()) < 1e-6

# %% [markdown]
# "Order 2" is a second check: the gradient is a function of $x$ and $u$ as well, and its derivative is compared with
# *its* differences (lesson 20 needs that). The report is `True` if everything agrees **and** the check could have
# failed. How many times does the check call the function? Small tensors (here up to 16 elements) are checked element
# by element, two calls each. Of larger ones two random directions are tried, whatever their size; only if one fails,
# the elements are searched for the worst.

# %%
calls = 0


def watched(x):
    global calls
    calls += 1
    return minidl.tanh(x) * x


counted = {}
for size in (4, 16, 100, 10_000):
    calls = 0
    assert gradcheck(watched, rng.standard_normal(size), order=1)
    counted[size] = calls
    print(f"{size:6} elements: {calls:3} calls of the function")
assert counted[10_000] == counted[100] < counted[16]

# %% [markdown]
# ## 2. Why the upstream gradient must be random
#
# A tempting check: take the sum of all outputs, call `backward()`, compare. That is $u = (1, 1, \dots, 1)$. For softmax
# it is worthless. The outputs of a row always add up to one, so their sum does not depend on $x$, and the right
# answer is **zero**:
#
# $$y = \mathrm{softmax}(x),\quad J = \mathrm{diag}(y) - y y^\top, \quad
# \bar x = J^\top u = y\,(u - \textstyle\sum_j u_j y_j), \qquad J^\top \mathbf 1 = y\,(1 - 1) = 0 .$$
#
# Every backward that returns zero for ones passes, however wrong it is, and above all the one that returns nothing but
# zeros. The same holds for everything that is normalised: layer norm and batch norm have a mean of zero. Below are six
# wrong backward functions for softmax and the right one, tried with both kinds of $u$.
#
# *Source:* `minidl/check/gradcheck.py`; `signs` in `compare.py` draws $u$. *Reference:* Bridle (1990), "Probabilistic
# interpretation of feedforward classification network outputs", Neurocomputing, Springer (softmax and its derivative).

# %%
def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def total(a):
    return a.sum(axis=-1, keepdims=True)


rules = {
    "right": lambda u, y: y * (u - total(u * y)),
    "zeros": lambda u, y: np.zeros_like(u),
    "y (u - mean u)": lambda u, y: y * (u - u.mean(axis=-1, keepdims=True)),
    "y (u² - sum(u y)²)": lambda u, y: y * (u * u - total(u * y) ** 2),
    "y (u - 1)": lambda u, y: y * (u - 1),
    "y (1 - y) u": lambda u, y: y * (1 - y) * u,
    "y u": lambda u, y: y * u,
}
J = minidl.jacobian(minidl.softmax, x[0]).numpy()
y = softmax(x)
assert np.allclose(J, np.diag(y[0]) - np.outer(y[0], y[0])) and np.allclose(J.sum(axis=0), 0)


def true_gradient(u, h=1e-5):
    """J'u by differences, element by element."""
    steps = h * np.eye(5)
    ends = [(u[:, None] * (softmax(x[:, None] + s * steps))).sum(axis=-1) for s in (1, -1)]
    return (ends[0] - ends[1]) / (2 * h)


errors = {}
for name, rule in rules.items():
    errors[name] = [abs(rule(w, y) - true_gradient(w)).max() for w in (np.ones_like(x), u)]

fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 3.9), layout="constrained", width_ratios=(1, 2))
left.imshow(J, cmap=SIGNED, vmin=-0.3, vmax=0.3)
for (i, j), value in np.ndenumerate(J):
    left.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9)
bare(left, "Jacobian of a softmax: each column adds up to 0")
places = np.arange(len(rules))[::-1]
right.plot([max(e[0], 1e-12) for e in errors.values()], places, "o", color=VERMILLION, markersize=9, label="u = ones")
right.plot([max(e[1], 1e-12) for e in errors.values()], places, "s", color=BLUE, markersize=8, label="u random")
right.axvspan(1e-13, 1e-8, color=GREEN, alpha=0.1, linewidth=0)
right.text(3e-13, 5.45, "passes", color=GREEN)
right.set_xscale("log")
right.set_xlim(1e-13, 30)
right.set_yticks(places, list(rules))
dress(right, "Largest error that is seen, rule by rule", "", "", "x")
key(right)
plt.show()
for name, (seen_with_ones, seen) in errors.items():
    print(f"{name:20} with ones: {'passes' if seen_with_ones < 1e-8 else 'fails':8} "
          f"with random u: {'passes' if seen < 1e-8 else 'fails'}")
assert [n for n, e in errors.items() if e[1] < 1e-8] == ["right"]
assert sum(e[0] < 1e-8 for e in errors.values()) == 5

# %% [markdown]
# The library draws $u$ itself. If you add up the outputs before it can do so, it notices that nothing depends on
# anything: such a check is *vacuous*, because a gradient of zeros would have passed it, and a vacuous check counts as a
# failure.

# %%
report = gradcheck(lambda x: minidl.softmax(x).sum(), x, rng=0)
print(report)
assert not report and report.vacuous
for rule in list(rules.values())[1:]:
    assert not gradcheck_pair(softmax, lambda dout, x, rule=rule: rule(dout, softmax(x)), x, rng=0)

# %% [markdown]
# ## 3. Catching planted errors
#
# `gradcheck_pair` checks what you write when you write a layer by hand: a forward and a backward in plain NumPy,
# `backward(dout, *inputs)` returns one gradient per input. Here are the five classical slips, each planted on purpose.
# The check knows what such errors look like, tries one pattern after another, and names the likely cause:
#
# | slip | right | planted |
# |---|---|---|
# | sign | $d(a-b)/db = -1$ | $+1$ |
# | factor | $d\,\mathrm{mean}(x^2) = 2x/N$ | $2x$ |
# | missing term | $x - \mathrm{mean}(x)$: $\ \bar x = u - \mathrm{mean}(u)$ | $u$ |
# | transposed | $y = xW$: $\ \bar x = uW^\top$ | $uW$, which fits if $W$ is square |
# | unsummed bias | $y = xW + b$: $\ \bar b = \sum_i u_i$ | the first row of $u$ |
#
# In the picture: what backward claims, and what differences say, for the tensor whose gradient is wrong.
#
# *Source:* `minidl/check/pair.py`, the patterns in `minidl/check/pattern_values.py` and `pattern_places.py`.
# *Reference:* Karpathy, "CS231n: Neural networks part 3", section "Gradient checks", cs231n.github.io.

# %%
def centred(x):
    return x - x.mean(axis=0)


def affine(x, w, b):
    return x @ w + b


X, W, b = rng.standard_normal((4, 4)), rng.standard_normal((4, 4)), rng.standard_normal(4)
planted = {  # forward, wrong backward, inputs, whose gradient is wrong, what the checker should call it
    "sign": (lambda a, b: a - b, lambda dout, a, b: (dout, dout), (X, W), "b", "sign"),
    "factor": (lambda x: (x * x).mean(axis=0), lambda dout, x: 2 * x * dout, (X,), "x", "times_n"),
    "missing term": (centred, lambda dout, x: dout, (X,), "x", "missing_term"),
    "transposed": (affine, lambda dout, x, w, b: (dout @ w, x.T @ dout, dout.sum(axis=0)), (X, W, b), "x",
                   "transposed"),
    "unsummed bias": (affine, lambda dout, x, w, b: (dout @ w.T, x.T @ dout, dout[0]), (X, W, b), "b", "unsummed"),
}  # fmt: skip


def truth(forward, inputs, k, dout, h=1e-5):
    """The gradient of <dout, forward> for input k by differences."""
    out = np.zeros(inputs[k].shape)
    for i in np.ndindex(out.shape):
        ends = []
        for sign in (1, -1):
            moved = [a.copy() for a in inputs]
            moved[k][i] += sign * h
            ends.append((dout * forward(*moved)).sum())
        out[i] = (ends[0] - ends[1]) / (2 * h)
    return out


fig, axes = plt.subplots(2, 5, figsize=(12, 5.2), layout="constrained")
for column, (name, (forward, backward, inputs, tensor, expected)) in zip(axes.T, planted.items(), strict=True):
    report = gradcheck_pair(forward, backward, inputs, rng=0)
    assert not report and [r.name for r in report.failed] == [tensor] and report[tensor].finding.key == expected
    dout = np.random.default_rng(1).standard_normal(np.shape(forward(*inputs)))
    claims, k = backward(dout, *inputs), {"a": 0, "x": 0, "b": len(inputs) - 1}[tensor]
    claim = claims[k] if isinstance(claims, tuple) else claims
    right = truth(forward, inputs, k, dout)
    limit = abs(right).max()
    for ax, values, what in zip(column, (claim, right), ("claimed", "differences"), strict=True):
        ax.imshow(np.atleast_2d(values), cmap=SIGNED, vmin=-limit, vmax=limit)
        bare(ax, f"{name}: {what}" if what == "claimed" else what)
plt.show()

# %%
for name, (forward, backward, inputs, tensor, _) in planted.items():
    found = gradcheck_pair(forward, backward, inputs, rng=0)[tensor].finding
    print(f"{name}\n   seen:  {found.what}\n   cause: {found.cause}\n   look:  {found.hint}")

# %% [markdown]
# ## 4. Reading the report
#
# A report is text for you and data for a program. From top to bottom: which tensors are right, so that you need not
# look there; for each wrong one how many elements, the worst of them with both values, what the error looks like, its
# likely cause, and the call that repeats the check with the same random numbers.
#
# A function made of many operations has one more question: *which* of them is wrong? Below, the sign of one rule is
# planted in the middle of a small network, beside a way around it. In the gradients of `x` and `w` right and wrong
# contributions are added, and there is no pattern to see: the worst element is not minus the right one. So the check
# follows the gradient through the graph and checks the rule of each operation by itself. "In the rule of" begins what
# it found there, with the line of your code that called the operation.
#
# *Source:* `minidl/check/report.py`, `minidl/check/trace.py`. *Reference:* Zeller (2009), "Why Programs Fail", 2nd
# edition, Morgan Kaufmann (on narrowing down where a failure comes from).

# %%
@minidl.primitive(elementwise=True)
def bell(x):
    return np.exp(-x * x)


bell.vjp(lambda g, x, out: g * 2 * x * out)  # should be -2 x out


def network(x, w, v):
    z = x @ w
    return minidl.tanh((bell(z) + z) @ v)


inputs = {"x": rng.standard_normal((6, 3)), "w": rng.standard_normal((3, 4)), "v": rng.standard_normal((4, 2))}
report = gradcheck(network, inputs, rng=0)
print(report)
worst = report["w"]  # the same as data
print(f"\n{worst.name}{list(worst.index)}: {worst.analytic:.4f} for {worst.numeric:.4f}, key '{worst.finding.key}'")
assert report["v"].verdict == "right" and {r.name for r in report.failed} == {"x", "w"}
assert worst.finding.key == "sign" and "`bell`" in worst.finding.hint

bell.vjp(lambda g, x, out: g * -2 * x * out)
assert gradcheck(network, inputs, rng=0)

# %% [markdown]
# The gradient of `v`, which lies *behind* the wrong rule, is right; everything in front of it is wrong. This alone
# would have led us there: backward goes from the end to the beginning, so the error sits just before the last tensor
# that is right.
#
# **A consistent but wrong pair.** If forward and backward share a misunderstanding, they agree, and a check of one
# against the other is content. Exercises are therefore checked against a `reference` forward.

# %%
def my_sigmoid(x):
    return 1 / (1 + np.exp(x))  # the sign of x is wrong


def my_backward(dout, x):
    return -dout * my_sigmoid(x) * (1 - my_sigmoid(x))  # and this is its right derivative


assert gradcheck_pair(my_sigmoid, my_backward, x, rng=0)
report = gradcheck_pair(my_sigmoid, my_backward, x, reference=lambda x: 1 / (1 + np.exp(-x)), rng=0)
print(report)
assert report["x"].finding.key == "sign"

# %% [markdown]
# ## 5. Kinks
#
# A central difference averages the slopes on both sides. If the kink of a ReLU lies between $x-h$ and $x+h$, the result
# is something between 0 and 1, although the gradient is right. This is a *false alarm*, and the usual cure, a looser
# tolerance, lets real errors through.
#
# $$\frac{\mathrm{relu}(x+h)-\mathrm{relu}(x-h)}{2h} = \begin{cases} 1 & h \le x\\ \frac{x+h}{2h} & h > x \end{cases}
# \qquad (x \ge 0)$$
#
# So where the first difference disagrees, the check compares thirteen step sizes. Near a kink the slopes to the left
# and to the right meet as soon as the step is shorter than the distance (picture, left), and those steps count. At a
# kink they never meet (middle). Then every slope in between is accepted: there is no derivative, only a choice, and
# `relu'(0) = 0` is one. A function that is merely bent sharply looks like a kink from afar, but its slopes meet as
# well (right). A wrong slope is found in all three cases, and if *all* inputs lie at kinks, the check says that it is
# vacuous.
#
# *Source:* `minidl/check/numeric.py`. *Reference:* Clarke (1983), "Optimization and Nonsmooth Analysis", Wiley
# (generalised gradients: all slopes in between).

# %%
points = {  # function, place, what backward says there
    "Near a kink: relu at 1e-6": (minidl.relu, 1e-6, 1.0),
    "At a kink: relu at 0": (minidl.relu, 0.0, 0.0),
    "Bent: softplus(1e4 x) / 1e4 at 1e-4": (lambda x: minidl.softplus(1e4 * x) / 1e4, 1e-4, 1 / (1 + np.exp(-1))),
}
steps = np.geomspace(1e-8, 1e-1, 80)
fig, axes = plt.subplots(1, 3, figsize=(12.5, 3.7), layout="constrained", sharey=True)
for ax, (name, (f, place, claim)) in zip(axes, points.items(), strict=True):
    at = np.array([place])
    right = np.array([(f(at + h) - f(at)).item() / h for h in steps])
    left = np.array([(f(at) - f(at - h)).item() / h for h in steps])
    ax.semilogx(steps, right, "--", color=GREY, label="right")
    ax.semilogx(steps, left, ":", color=GREY, label="left")
    ax.semilogx(steps, (left + right) / 2, color=BLUE, linewidth=2.2, label="central")
    ax.axhline(claim, color=VERMILLION, linewidth=1, label="backward")
    line = Line(lambda a, f=f: [f(a)], at, np.ones(1), [np.ones(1)], [f(at)])
    for said, accepted in ((claim, True), (1.5, False), (-0.5, False)):
        found = slope(line, said, Tolerance(1e-6, 1e-5, 0.0))
        assert Tolerance(1e-6, 1e-5, 0.0).accepts(found, said) == accepted
    verdict = f"{found.low:.0f} to {found.high:.0f}" if found.kink == "at" else f"{found.value:.5f}"
    ax.text(0.03, 0.2, f"the check says\n{verdict}", fontsize=9, transform=ax.transAxes)
    dress(ax, name, "step h", "slope" if ax is axes[0] else "")
    key(ax)
plt.show()

report = gradcheck(minidl.relu, np.array([-1.0, 0.0, 2.0, 1e-9, 0.5]), rng=0)
print(report)
assert report and report.kinks

leaky = minidl.primitive(lambda x: np.where(x > 0, x, 0.1 * x), elementwise=True)
leaky.vjp(lambda g, x: g * (x > 0))  # forgets the slope 0.1
report = gradcheck(leaky, x, rng=0)
print("\nthe slope of the left half is forgotten:", report["x"].finding.what)
assert report["x"].finding.key == "one_sign"
assert gradcheck(minidl.relu, np.zeros(5), rng=0).vacuous

# %% [markdown]
# ## 6. What cannot be checked, and what is said about it
#
# A comparison is only as good as its ground. Before the first difference is trusted, the check looks for obstacles.
# Each has a fixed word, in `report.keys`, and a sentence that says what to do.
#
# *Source:* `minidl/check/obstacles.py`. *Reference:* Press, Teukolsky, Vetterling, Flannery (2007), "Numerical
# Recipes", 3rd edition, section 5.7 (rounding, and why single precision is not enough).

# %%
obstacles = {
    "dropout": (lambda x: nn.functional.dropout(x, 0.5), "random"),
    "single precision inside": (lambda x: minidl.exp(x.float()), "precision"),
    "log of a negative number": (minidl.log, "not_finite"),
    "through NumPy and back": (lambda x: x * Tensor(np.exp(x.tanh().numpy())), "cut"),
    "an argmax": (lambda x: x.argmax(axis=1), "no_tensor"),
}
for name, (f, expected) in obstacles.items():
    report = gradcheck(f, x, rng=0)
    first = (report.problems or [r.finding for r in report.failed])[0]
    print(f"{name} ({expected})\n   {first.what[:110]}")
    assert not report and report.keys[0] == expected
assert gradcheck(lambda x: nn.functional.dropout(x, 0.5), x, freeze=True, rng=0)  # one draw, again and again

# %% [markdown]
# ## 7. A whole model at once
#
# A Module is checked with all its parameters, in training mode too: batch norm's running statistics are put back after
# every evaluation, and so is everything else. This is the call to make after writing a layer of your own, and it is
# what the library's tests do with every function and layer it has (`minidl/check/registry.py`).

# %%
minidl.manual_seed(1)
model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(),
                      nn.Linear(12, 4), nn.LayerNorm(4))  # fmt: skip
report = gradcheck(model, rng.standard_normal((3, 2, 4, 4)), rng=0)
print(report, "\n")
for r in report.results:
    if r.order == 1:
        print(f"{r.name:10} {str(r.shape):15} {r.verdict:6} error {r.error:.0e}")
assert report["0.weight"].verdict == "right"

# %% [markdown]
# One tensor is *flat*: nothing was proved about it. The bias of the convolution shifts a channel, and the batch norm
# behind it takes every shift away again, so that the right gradient is zero. The check says that honestly instead of
# counting zero equals zero as a success. The cure is `bias=False` before a batch norm.
#
# *Source:* `TensorFunction` in `minidl/check/subject.py`. *Reference:* Ioffe, Szegedy (2015), "Batch normalization",
# arXiv:1502.03167, section 3.2 (on that bias).

# %%
assert {r.name for r in report.results if r.order == 1 and r.verdict == "flat"} == {"0.bias"}
model[0] = nn.Conv2d(2, 3, 3, padding=1, bias=False)
report = gradcheck(model, rng.standard_normal((3, 2, 4, 4)), rng=0)
assert report and all(r.verdict == "right" for r in report.results if r.order == 1)
print(report)

# %% [markdown]
# ## Break it
#
# 1. Add a planted error of your own to section 3 that the check finds, but whose cause it does *not* guess (its key is
#    then `value` or `scattered`). How wrong may it be in a single element before it is noticed?
# 2. The two lines below hide an error of one part in a million in every element. Why does the check accept 1e-7 and
#    refuse 1e-5? Make it accept both with `rtol`, and say why that is a bad idea.

# %%
for off in (1e-7, 1e-5):
    print(off, bool(gradcheck_pair(np.sin, lambda dout, x, off=off: dout * np.cos(x) * (1 + off), x, rng=0)))
