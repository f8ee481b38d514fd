# %% [markdown]
# # Losses and log-sum-exp
#
# A *loss* is one number that says how bad an answer is. Its formula is usually short; to compute it is another matter,
# because $e^{89}$ is infinity for the numbers that networks are made of. In this lesson you see where the formulas
# break, the one identity that repairs them, and what the options of a loss (reduction, smoothing, weights) do. Then:
# losses for numbers instead of classes, the distance between two distributions, and an old trap of broadcasting.
#
# *Logit*: a score before the softmax or sigmoid, any real number. *Target*: the right answer. *Overflow*: a result
# too large for the format, which becomes infinity. *Underflow*: one that is too small, and becomes 0. *NaN*, "not a
# number": what comes of $\infty/\infty$ or $0\cdot\infty$.
#
# Before: lesson 09, linear classifiers. After: lesson 11, optimisation.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, nn, optim, train, viz
from minidl.nn import functional as F
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, INK, VERMILLION, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Where the formula breaks
#
# The softmax $p_c = e^{x_c}/\sum_k e^{x_k}$ needs exponentials, and these leave every format quickly. In single
# precision (float32), with which networks compute, $e^x$ is infinite above $x = 88.7$ and 0 below $-104$. Logits of
# 100 are nothing unusual: they come from one large input, or from a learning rate that was too bold.
#
# *Reference:* Goldberg (1991), "What every computer scientist should know about floating-point arithmetic", ACM
# Computing Surveys 23.

# %% tags=["varies"]
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3), layout="constrained", width_ratios=(1, 1.1))
x = np.linspace(-800, 800, 16_001)
for row, dtype in enumerate((np.float16, np.float32, np.float64)):
    with np.errstate(over="ignore", under="ignore"):
        e = np.exp(x.astype(dtype))
    good = x[np.isfinite(e) & (e > 0)]
    left.barh(row, good[-1] - good[0], left=good[0], color=BLUE, height=0.5)
    left.text(good[-1] + 15, row, f"{good[0]:.1f} to {good[-1]:.1f}", va="center", fontsize=9)
    print(f"{np.dtype(dtype)}: exp is neither 0 nor infinite from {good[0]:.1f} to {good[-1]:.1f}")
left.set_yticks(range(3), ["float16", "float32", "float64"])
left.set_xlim(-800, 1300)
dress(left, "Where exp(x) is a number", "x", "", "x")

z = np.linspace(-130, 130, 521, dtype=np.float32)
three = z[:, None] + np.array([0, 1, 2], np.float32)  # (521, 3): logits (z, z+1, z+2)
with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
    formula = np.log(np.exp(three).sum(axis=1))
    softmax = np.exp(three) / np.exp(three).sum(axis=1, keepdims=True)
stable = minidl.logsumexp(three, 1)
right.plot(z, stable - z, color=GREEN, linewidth=5, alpha=0.4, label="minidl.logsumexp")
right.plot(z, np.where(np.isfinite(formula), formula - z, np.nan), color=VERMILLION, label="by the formula")
for side in (z[formula == np.inf], z[formula == -np.inf]):
    right.axvspan(side[0], side[-1], color=VERMILLION, alpha=0.12, label=None)
    right.text(side.mean(), 2.2, f"log {'∞' if side[0] > 0 else '0'}", ha="center", color=VERMILLION)
right.set_ylim(1.9, 2.8)
dress(right, "log(exp z + exp(z+1) + exp(z+2)) - z, in float32", "z", "should be constant")
key(right)
plt.show()
print("softmax of (100, 101, 102) by the formula:", softmax[z == 100][0])
print("and by minidl:", minidl.softmax(three[z == 100])[0].round(4))
assert np.isnan(softmax[z == 100]).all() and np.abs(stable - z - np.log(1 + np.e + np.e**2)).max() < 1e-4

# %% [markdown]
# ## 2. The identity that repairs it
#
# Nothing is wrong with the result, only with the way. Take the largest logit $m = \max_k x_k$ out of the sum:
#
# $$\log\sum_k e^{x_k} = m + \log\sum_k e^{x_k - m} .$$
#
# Now every exponent is at most 0, so nothing overflows. One of them is exactly 0, so the sum is at least 1 and its
# logarithm is harmless. What underflows was negligible beside that 1. This function is called *log-sum-exp*. It is a
# smooth maximum, between $m$ and $m + \log C$, and its gradient is the softmax:
#
# $$\frac{\partial}{\partial x_c}\log\sum_k e^{x_k} = \frac{e^{x_c}}{\sum_k e^{x_k}} = p_c .$$
#
# *Source:* `logsumexp`, `softmax`, `log_softmax` in `minidl/ops/reduce.py`. *Reference:* Blanchard, Higham, Higham
# (2021), "Accurately computing the log-sum-exp and softmax functions", IMA Journal of Numerical Analysis 41.

# %%
def by_hand(x):
    m = x.max()
    return m + np.log(np.exp(x - m).sum())


for logits in ([1.0, 2.0, 3.0], [1000.0, 1001.0, 1002.0], [-1e4, 0.0, 1e4]):
    t = Tensor(np.array(logits), requires_grad=True)
    value = minidl.logsumexp(t)
    (g,) = minidl.grad(value, t)
    print(f"{logits}: log-sum-exp {value.item():.4f}, gradient {g.numpy().round(4)}")
    assert np.isclose(value.item(), by_hand(t.numpy())) and np.allclose(g.numpy(), minidl.softmax(t.numpy()))
    assert max(logits) <= value.item() <= max(logits) + np.log(3)

# %% [markdown]
# ## 3. Cross-entropy, fused
#
# The cross-entropy of class $y$ is $-\log p_y$. Computed in two steps, softmax and then logarithm, it breaks even with
# a good softmax: a probability below $10^{-45}$ becomes 0, and $\log 0 = -\infty$. Computed in one step (*fused*), the
# exponential and the logarithm cancel on paper, and the gradient becomes a subtraction:
#
# $$L = -\log\frac{e^{x_y}}{\sum_k e^{x_k}} = \log\sum_k e^{x_k} - x_y, \qquad
# \frac{\partial L}{\partial x_c} = p_c - [c = y] ,$$
#
# with $[c=y]$ equal to 1 for the right class and 0 otherwise. That is why `nn.CrossEntropyLoss` wants *logits*, and
# why a network that it trains has no softmax at its end. Below, logits $(z, 0)$ with label 1: the model is wrong and
# more and more certain. The loss should be $z$, and the gradient 1: such a sample has to be heard.
#
# *Source:* `cross_entropy` in `minidl/ops/loss.py`. *Reference:* Bishop (2006), "Pattern recognition and machine
# learning", section 4.3.4.

# %% tags=["varies"]
z = np.linspace(0, 140, 561, dtype=np.float32)
labels = np.ones(len(z), np.int64)
ways = {
    "the formula": lambda x: -minidl.log(minidl.exp(x) / minidl.exp(x).sum(axis=1, keepdims=True))[:, 1],
    "log of minidl.softmax": lambda x: -minidl.log(minidl.softmax(x, 1))[:, 1],
    "log_softmax, then nll_loss": lambda x: F.nll_loss(F.log_softmax(x, 1), labels, reduction="none"),
    "cross_entropy": lambda x: F.cross_entropy(x, labels, reduction="none"),
}
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.6), layout="constrained")
for k, (name, loss) in enumerate(ways.items()):
    x = Tensor(np.stack([z, np.zeros_like(z)], axis=1), requires_grad=True)
    with np.errstate(all="ignore"):
        values = loss(x)
        (g,) = minidl.grad(values.sum(), x)
    values, g = values.numpy(), g.numpy()[:, 0]
    last = [z[np.isfinite(v)][-1] for v in (values, g)]
    style = {"linewidth": 7 - 1.7 * k, "alpha": 0.5 + 0.15 * k, "color": CLASSES[(1, 3, 2, 0)[k]]}
    for ax, v, end in zip((left, right), (values, g), last, strict=True):
        ax.plot(z[np.isfinite(v)], v[np.isfinite(v)], label=name, **style)
        if end < z[-1]:
            ax.plot(end, v[z == end], "x", color=style["color"], markersize=11, markeredgewidth=3)
    print(f"{name:27} loss finite up to z = {last[0]:.1f}, gradient up to {last[1]:.1f}")
    assert k < 2 or (np.allclose(values, np.logaddexp(z, 0), rtol=1e-6) and last[1] == 140)
right.set_ylim(0.4, 1.1)
dress(left, "Loss; a cross: the last finite value", "z", "")
dress(right, "Gradient with respect to z", "z", "")
key(left)
key(right)
plt.show()
big = Tensor(np.array([[1e4, -1e4]], np.float32), requires_grad=True)
F.cross_entropy(big, [1]).backward()
print("logits of ±10,000, certain and wrong: gradient", big.grad.numpy())
assert (big.grad.numpy() == [[1, -1]]).all()

# %% [markdown]
# ## 4. Two classes: binary cross-entropy from logits
#
# For a yes-or-no question one logit $z$ is enough: $p = \sigma(z) = 1/(1 + e^{-z})$ is the probability of yes. With a
# target $y$ between 0 and 1,
#
# $$L = -y\log p - (1-y)\log(1-p) = y\,\log(1 + e^{-z}) + (1-y)\,\log(1+e^{z}), \qquad
# \frac{\partial L}{\partial z} = p - y .$$
#
# It is the cross-entropy of the logits $(0, z)$. Here the trap lies nearer: in float32, $\sigma(17)$ is 1, exactly,
# because the numbers next to 1 are $6\cdot10^{-8}$ apart. What `binary_cross_entropy` gets from the sigmoid then no
# longer says how wrong the model is. The loss jumps to 100, where the logarithm is cut off, and the gradient is 0: the
# worst samples fall silent. From logits, nothing is lost.
#
# *Source:* `binary_cross_entropy_with_logits` in `minidl/ops/loss.py`. *Reference:* Bishop (2006), section 4.3.2.

# %%
z = np.linspace(0, 30, 301, dtype=np.float32)
no = np.zeros_like(z)  # the target is no, the model says yes
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.4), layout="constrained")
ways = {"sigmoid, then binary_cross_entropy": lambda t: F.binary_cross_entropy(minidl.sigmoid(t), no, reduction="none"),
        "binary_cross_entropy_with_logits": lambda t: F.binary_cross_entropy_with_logits(t, no, reduction="none")}
slopes = {}
for (name, loss), colour in zip(ways.items(), (VERMILLION, BLUE), strict=True):
    t = Tensor(z, requires_grad=True)
    values = loss(t)
    slopes[name] = minidl.grad(values.sum(), t)[0].numpy()
    left.plot(z, values.numpy(), color=colour, linewidth=2, label=name)
    right.plot(z, slopes[name], color=colour, linewidth=2, label=name)
dress(left, "Loss where yes is wrong", "z", "")
dress(right, "Gradient", "z", "")
key(left)
key(right)
plt.show()
separate, fused = slopes.values()
print(f"at z = 20: gradient {separate[z == 20][0]:.3f} from the sigmoid, {fused[z == 20][0]:.3f} from the logit")
assert separate[z == 20] == 0 and fused[z == 20] == 1
two = np.stack([np.zeros_like(z), z], axis=1)
assert np.allclose(F.binary_cross_entropy_with_logits(z, no), F.cross_entropy(two, np.zeros(len(z), np.int64)))

# %% [markdown]
# ## 5. Mean or sum
#
# A batch of $N$ samples has $N$ losses, and `backward` wants one number. `reduction` says how it is made:
# `"mean"` (the default), `"sum"`, or `"none"`, which returns all of them. The gradient of the sum is $N$ times that of
# the mean, so that a learning rate fits one of the two only; with the mean it need not change with the size of the
# batch.
#
# A second trap: the mean over a *set* is not the mean of the means of its batches, if the last batch is smaller. Add up
# sums and divide at the end, or weight each mean with its size, as `train.evaluate` does. And the mean over nothing is
# undefined, so an empty batch is an error here, not a NaN that surfaces hours later.
#
# *Source:* `reduce_losses` in `minidl/ops/loss_checks.py`. *Reference:* Goyal et al. (2017), "Accurate, large minibatch
# SGD", arXiv:1706.02677, which lists this and similar pitfalls.

# %%
x, y = rng.standard_normal((100, 3)), rng.integers(0, 3, 100)
x[96:] *= 10  # the last batch is small, and difficult
every = F.cross_entropy(x, y, reduction="none")
parts = [slice(k, k + 32) for k in range(0, 100, 32)]
means = [float(F.cross_entropy(x[part], y[part])) for part in parts]
sums = [float(F.cross_entropy(x[part], y[part], reduction="sum")) for part in parts]
print("batches of", [len(x[part]) for part in parts], " means", np.round(means, 3))
print(f"mean of the means {np.mean(means):.4f}, sums by 100 {np.sum(sums) / 100:.4f}, true mean {every.mean():.4f}")
assert np.isclose(np.sum(sums) / 100, every.mean()) and abs(np.mean(means) - every.mean()) > 0.1

t = Tensor(x, requires_grad=True)
(of_mean,), (of_sum,) = (minidl.grad(F.cross_entropy(t, y, reduction=r), t) for r in ("mean", "sum"))
assert np.allclose(of_sum.numpy(), 100 * of_mean.numpy())
try:
    F.cross_entropy(x[:0], y[:0])
except ValueError as error:
    print(error)

# %% [markdown]
# ## 6. Label smoothing
#
# With targets of 0 and 1 the cross-entropy has no minimum: it falls as long as the right logit grows. *Label
# smoothing* asks for a little less than certainty. A share $\epsilon$ of the target is spread over all $C$ classes:
#
# $$q_c = (1-\epsilon)\,[c = y] + \frac{\epsilon}{C}, \qquad L = -\sum_c q_c \log p_c .$$
#
# Now the best answer is $p = q$. It is reached at a finite distance between the right logit and the others,
# $\log\frac{q_y}{q_c} = \log\big(\frac{C(1-\epsilon)}{\epsilon} + 1\big)$, and to go further costs something. What is
# left of the loss there is the *entropy* of $q$, $H(q) = -\sum_c q_c\log q_c$: a smoothed loss does not go down to 0,
# and that is no fault.
#
# *Source:* `label_smoothing` in `minidl/ops/loss.py`. *Reference:* Szegedy, Vanhoucke, Ioffe, Shlens, Wojna (2016),
# "Rethinking the Inception architecture for computer vision", CVPR, arXiv:1512.00567, section 7.

# %%
C, distance = 10, np.linspace(0, 12, 481)
logits = np.zeros((len(distance), C))
logits[:, 0] = distance
fig, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
for epsilon, colour in zip((0.0, 0.01, 0.1, 0.2), CLASSES, strict=False):
    loss = F.cross_entropy(logits, np.zeros(len(distance), np.int64), reduction="none", label_smoothing=epsilon)
    ax.plot(distance, loss, color=colour, label=f"ε = {epsilon:g}")
    if epsilon:
        q = np.full(C, epsilon / C)
        q[0] += 1 - epsilon
        best, entropy = np.log(C * (1 - epsilon) / epsilon + 1), -(q * np.log(q)).sum()
        ax.plot(best, entropy, "*", color=colour, markersize=14)
        print(f"smoothing {epsilon:4}: best distance {best:.3f} by the formula, {distance[loss.argmin()]:.3f} on the "
              f"curve; least loss {loss.min():.4f}, entropy {entropy:.4f}")
        assert abs(distance[loss.argmin()] - best) < 0.03 and np.isclose(loss.min(), entropy, atol=1e-4)
ax.set_ylim(0, 2.6)
dress(ax, "Cross-entropy of 10 classes; a star: minimum, by the formula", "right logit minus the others", "loss")
key(ax)
plt.show()

# %% [markdown]
# ## 7. Class weights
#
# If 19 of 20 samples are of class 0, a model that always answers 0 is right in 95 % of all cases, and useless. `weight`
# makes the samples of class $c$ count $w_c$ times, and the mean then divides by the sum of the weights:
#
# $$L = \frac{\sum_n w_{y_n}\,\ell_n}{\sum_n w_{y_n}} .$$
#
# That is the same as showing a sample $w_c$ times, as the assertion says. A usual choice is $w_c = N/(C N_c)$, with
# which all classes count alike. It does not make the model better, it moves the boundary: fewer of the rare class are
# missed, and more of the frequent one raise a false alarm. Which mistake costs more is not for the library to say. For
# binary cross-entropy `pos_weight` does the same for the target 1.
#
# *Source:* `class_weights` and `inverse_total` in `minidl/ops/loss_checks.py`. *Reference:* King, Zeng (2001),
# "Logistic regression in rare events data", Political Analysis 9.

# %% tags=["varies"]
scores, answers = rng.standard_normal((5, 2)), np.array([0, 0, 0, 0, 1])
repeated = np.r_[0:4, 4, 4, 4]  # the last sample three times
weighted = float(F.cross_entropy(scores, answers, weight=[1.0, 3.0]))
print(f"weights 1 and 3: {weighted:.6f}, last sample three times: "
      f"{float(F.cross_entropy(scores[repeated], answers[repeated])):.6f}")
assert np.isclose(weighted, float(F.cross_entropy(scores[repeated], answers[repeated])))

x, y = data.blobs(800, centres=[(-0.6, 0.0), (0.6, 0.0)], noise=0.6, rng=2)
keep = (y == 0) | (np.cumsum(y) % 19 == 0)  # of class 1 only every nineteenth
x, y = x[keep], y[keep]
counts = np.bincount(y)
fig, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained", sharex=True, sharey=True)
recalls = {}
choices = {"no weights": None, "weights N / (C N_c)": len(y) / (2 * counts)}
for ax, (name, weight) in zip(axes, choices.items(), strict=True):
    minidl.manual_seed(0)
    model = nn.Linear(2, 2)
    loss = nn.CrossEntropyLoss(None if weight is None else weight.astype(np.float32))
    train.fit(model, (x, y), loss=loss, optimizer=optim.SGD(model.parameters(), lr=1.0), epochs=150,
              batch_size=len(y), progress=False)
    answer = model(x).numpy().argmax(axis=1)
    recalls[name] = [(answer[y == c] == c).mean() for c in (0, 1)]
    viz.decision_boundary(model, x, y, ax=ax, title=name)
    print(f"{name:19} found: {recalls[name][0]:.0%} of the {counts[0]} of class 0, "
          f"{recalls[name][1]:.0%} of the {counts[1]} of class 1")
axes[1].set_ylabel("")
plt.show()
assert recalls["weights N / (C N_c)"][1] > recalls["no weights"][1] + 0.2

# %% [markdown]
# ## 8. Losses for numbers
#
# When the answer is a number, the loss is a function of the error $d = \text{prediction} - \text{target}$:
#
# $$\text{squared: } d^2 \qquad \text{absolute: } |d| \qquad \text{Huber: }
# \begin{cases} \frac12 d^2 & |d|\le\delta \\ \delta(|d| - \frac12\delta) & \text{else} \end{cases} \qquad
# \epsilon\text{-insensitive: } \max(0, |d| - \epsilon) .$$
#
# The slope decides how loud an error may be. *Squared*: the larger, the louder. *Absolute*: all alike, and so it hops
# to and fro at the end. *Huber*: like squares near 0, like absolute values far away; the best of both. *Epsilon-
# insensitive* (support vector regression): errors up to $\epsilon$ are free.
#
# Each loss belongs to a statistic. The best constant prediction is the mean for squares, the median for absolute
# values; Huber's is in between. On the right, ten numbers, one of them far off.
#
# *Source:* `minidl/ops/regression.py`. *Reference:* Huber (1964), "Robust estimation of a location parameter", Annals
# of Mathematical Statistics 35; Vapnik (1995), "The nature of statistical learning theory", chapter 6.

# %%
numbers = {
    "squared": F.mse_loss,
    "absolute": F.l1_loss,
    "Huber, δ = 1": F.huber_loss,
    "ε-insensitive, ε = 0.5": lambda a, b, reduction="mean": F.epsilon_insensitive_loss(a, b, reduction, epsilon=0.5),
}
d = np.linspace(-3, 3, 601)
values = np.array([0.2, 0.5, 0.6, 0.9, 1.0, 1.2, 1.3, 1.5, 1.8, 9.0])
constants = np.linspace(0, 3, 601)
fig, axes = plt.subplots(1, 3, figsize=(14, 3.8), layout="constrained", width_ratios=(1, 1, 1.2))
best = {}
for k, (name, loss) in enumerate(numbers.items()):
    t = Tensor(d, requires_grad=True)
    each = loss(t, np.zeros_like(d), reduction="none")
    (slope,) = minidl.grad(each.sum(), t)
    axes[0].plot(d, each.numpy(), linewidth=2, label=name)
    axes[1].plot(d, slope.numpy(), linewidth=2, label=name)
    total = np.array([float(loss(np.full(10, c), values)) for c in constants])
    flat = constants[total <= total.min() + 1e-9]
    best[name] = flat.mean()
    axes[2].plot(best[name], 0.35 + 0.12 * k, "v", color=CLASSES[k], markersize=9)
    axes[2].text(best[name] + 0.25, 0.35 + 0.12 * k, f"{name}: {best[name]:.2f}", va="center", fontsize=9)
axes[0].set_ylim(-0.1, 4)
axes[1].set_ylim(-3.2, 3.2)
axes[2].plot(values, np.full(10, 0.15), "o", color=GREY)
axes[2].set_ylim(0, 0.9)
axes[2].set_yticks([])
dress(axes[0], "Loss", "error d", "")
dress(axes[1], "Slope", "error d", "")
dress(axes[2], "Ten numbers and the best constant for each loss", "value", "", None)
key(axes[0])
plt.show()
print({name: round(float(c), 2) for name, c in best.items()}, " mean", values.mean(), " median", np.median(values))
assert abs(best["squared"] - values.mean()) < 0.01 and abs(best["absolute"] - np.median(values)) < 0.01

# %% [markdown]
# The same with lines: 30 points on a line with noise, and four more that were measured wrongly.

# %% tags=["varies"]
a = rng.uniform(0, 4, 30)
b = 0.8 * a + 0.5 + 0.2 * rng.standard_normal(30)
a, b = np.append(a, [3.2, 3.5, 3.7, 3.9]), np.append(b, [0.3, -0.2, 0.1, -0.4])
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.plot(a, b, "o", color=GREY, markersize=4)
tilt = {}
for k, (name, loss) in enumerate(numbers.items()):
    w = Tensor(np.zeros(2), requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)
    schedule = optim.CosineAnnealingLR(optimizer, 500)
    for _ in range(500):
        optimizer.zero_grad()
        loss(w[0] * Tensor(a) + w[1], b).backward()
        optimizer.step()
        schedule.step()
    tilt[name] = w.numpy()[0]
    ax.plot([0, 4], w.numpy()[1] + w.numpy()[0] * np.array([0, 4]), color=CLASSES[k], linewidth=2,
            label=f"{name}: slope {tilt[name]:.2f}")
ax.plot([0, 4], [0.5, 3.7], ":", color=INK, label="truth: slope 0.80")
dress(ax, "What four wrong points do to a line", "x", "y")
key(ax)
plt.show()
squares = np.polyfit(a, b, 1)[0]
assert abs(tilt["squared"] - squares) < 0.01  # least squares in closed form
assert abs(tilt["absolute"] - 0.8) < 0.15 < abs(squares - 0.8)

# %% [markdown]
# ## 9. Distance between distributions
#
# Call $-\log q_i$ the surprise at seeing $i$, when $q_i$ was expected. The *Kullback-Leibler divergence* says by how
# much one is more surprised, on average, who expects $q$ where $p$ is true:
#
# $$\mathrm{KL}(p\,\|\,q) = \sum_i p_i \log\frac{p_i}{q_i} = \underbrace{-\sum_i p_i\log q_i}_{\text{cross-entropy}}
# - \underbrace{H(p)}_{\text{entropy}} \ \ge\ 0 .$$
#
# It is 0 only for $p = q$. As $H(p)$ does not depend on the model, to minimise the cross-entropy *is* to minimise the
# divergence from the targets. It is not symmetric, and that matters. Fit one bell curve $q$ to a $p$ with two humps:
#
# * $\mathrm{KL}(p\|q)$ punishes $q \approx 0$ where $p$ is not: $q$ must *cover* all of $p$, and lies in between.
# * $\mathrm{KL}(q\|p)$ punishes $q$ where $p \approx 0$: $q$ *chooses* one hump (which one depends on the start).
#
# `F.kl_div` takes the logarithm of the second distribution as its first argument (as in PyTorch: first what the model
# says, then the target), and only `reduction="batchmean"` is the mean divergence of $N$ samples: "mean" divides by the
# number of classes as well. A symmetric and bounded relative is the Jensen-Shannon divergence, $\le\log 2$ for two.
#
# *Source:* `minidl/ops/divergence.py`. *Reference:* Kullback, Leibler (1951), "On information and sufficiency", Annals
# of Mathematical Statistics 22; Bishop (2006), section 10.1.2, for the picture.

# %% tags=["varies"]
grid = np.linspace(-12, 12, 481)
humps = 0.6 * np.exp(-0.5 * ((grid + 3) / 0.7) ** 2) + 0.4 * np.exp(-0.5 * ((grid - 3) / 0.9) ** 2) + 1e-12
p = humps / humps.sum()
fitted = {}
fig, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
ax.fill_between(grid, p, color=GREY, alpha=0.3, label="p")
for name, colour in (("KL(p‖q)", BLUE), ("KL(q‖p)", VERMILLION)):
    middle = Tensor(np.array(-1.0), requires_grad=True)
    log_width = Tensor(np.array(0.0), requires_grad=True)
    optimizer = optim.Adam([middle, log_width], lr=0.1)
    schedule = optim.CosineAnnealingLR(optimizer, 300)
    for _ in range(300):
        bell = -0.5 * ((Tensor(grid) - middle) / minidl.exp(log_width)) ** 2
        log_q = F.log_softmax(bell)
        loss = F.kl_div(log_q, p, "sum") if name == "KL(p‖q)" else F.kl_div(np.log(p), minidl.exp(log_q), "sum")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    fitted[name] = middle.item(), np.exp(log_width.item())
    ax.plot(grid, np.exp(log_q.numpy()), color=colour, linewidth=2,
            label=f"least {name} = {loss.item():.2f}: mean {fitted[name][0]:.2f}, width {fitted[name][1]:.2f}")
ax.set_xlim(-7, 7)
dress(ax, "One bell curve for two humps", "", "probability")
key(ax)
plt.show()
mean = (p * grid).sum()
assert np.isclose(fitted["KL(p‖q)"][0], mean, atol=0.02)  # moments are matched
assert np.isclose(fitted["KL(p‖q)"][1], ((grid - mean) ** 2 @ p) ** 0.5, rtol=0.02)
assert np.isclose(fitted["KL(q‖p)"][0], -3, atol=0.1)

logits, target = rng.standard_normal((4, 3)), F.softmax(rng.standard_normal((4, 3)))
entropy = -(target * np.log(target)).sum(axis=1).mean()
divergence = F.kl_div(F.log_softmax(logits), target, "batchmean")
print(f"KL {divergence:.4f} = cross-entropy {F.cross_entropy(logits, target):.4f} - entropy {entropy:.4f}")
assert np.isclose(divergence, F.cross_entropy(logits, target) - entropy)

# %% [markdown]
# ## 10. Why losses here never broadcast
#
# *Broadcasting* (lesson 01) stretches shapes that do not fit until they do. For a loss this is poison. A network with
# one output returns (N, 1), a column; the targets are usually (N,), a row. Their difference is a table (N, N): every
# prediction against every target. Its mean is a number like any other, training goes on, the loss falls, and the model
# learns something else: the best answer to *all* targets at once is their mean, for every input.
#
# Below, the same network with the difference written by hand, once with this fault and once without. The library's
# losses refuse, and say what to do.
#
# *Source:* `check_same` in `minidl/ops/loss_checks.py`. *Reference:* Harris et al. (2020), "Array programming with
# NumPy", Nature 585 (broadcasting).

# %% tags=["varies"]
x = np.linspace(-3, 3, 80, dtype=np.float32)[:, None]  # (80, 1)
target = np.sin(1.5 * x[:, 0]) + 0.5  # (80,)
fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
ax.plot(x, target, "o", color=GREY, markersize=4, label="targets")
outputs = {}
for name, shape, colour in (("(80, 1) - (80,): a table", (80,), VERMILLION), ("(80, 1) - (80, 1)", (80, 1), BLUE)):
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        loss = ((model(x) - target.reshape(shape)) ** 2).mean()
        loss.backward()
        optimizer.step()
    outputs[shape] = model(x).numpy()[:, 0]
    ax.plot(x, outputs[shape], color=colour, linewidth=2, label=f"{name}: loss {loss.item():.2f}")
dress(ax, "Both runs end without a warning", "x", "output")
key(ax)
plt.show()
assert np.abs(outputs[80,] - target.mean()).max() < 0.1 and np.abs(outputs[80, 1] - target).max() < 0.2
try:
    F.mse_loss(model(x), target)
except ValueError as error:
    print(error)

# %% [markdown]
# ## Break it
#
# 1. Give `cross_entropy` probabilities where it wants logits, a frequent mistake: the output below has been through a
#    softmax twice. A model that is perfectly certain and right cannot get below the loss that is printed. Why this one?
# 2. Train the digits of lesson 09 with it, and look at how far the weights have to go to make up for it.

# %%
certain = np.eye(10)[[3]]  # probabilities: class 3, without any doubt
print(f"{float(F.cross_entropy(certain, [3])):.4f}", f"{np.log(1 + 9 / np.e):.4f}")
