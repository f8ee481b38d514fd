# %% [markdown]
# # Linear classifiers: softmax against SVM
#
# The simplest classifier multiplies the input by a matrix and takes the largest number that comes out. It is also the
# last layer of nearly every network. What makes it learn is a loss, and two are common: the cross-entropy of the
# *softmax*, and the hinge of the *support vector machine* (SVM). In this lesson you compare them: what they ask for,
# what their gradients say, where they put the boundary, and what a single bad sample does to each.
#
# *Class*: one of $C$ possible answers, numbered from 0. *Label* $y$: the right one. *Score* (or *logit*) $s_c$: the
# number that the model gives to class $c$; the largest wins. *Margin*: the score of the right class minus the largest
# of the others, so that a sample is right if and only if its margin is positive.
#
# Before: lesson 08, initialisation. After: lesson 10, losses and log-sum-exp.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, nn, optim, train, viz
from minidl.nn import functional as F
from minidl.viz.style import BLUE, CLASSES, GREY, INK, MARKERS, SIGNED, VERMILLION, bare, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)

# %% [markdown]
# ## 1. Scores
#
# A row $w_c$ of weights and a number $b_c$ for each class give all scores at once:
#
# $$s = W x + b, \qquad s_c = w_c^\top x + b_c, \qquad \text{answer} = \arg\max_c s_c .$$
#
# Each score is a plane over the inputs, and the answer is the plane that is on top. Two of them meet where
# $(w_c - w_k)^\top x + b_c - b_k = 0$, which is a straight line (in more dimensions a *hyperplane*): hence "linear".
# Only differences of scores matter. So one may add the same vector to every row of $W$, and no answer changes.
#
# *Source:* `nn.Linear` in `minidl/nn/linear.py`. *Reference:* Bishop (2006), "Pattern recognition and machine
# learning", section 4.1.2.

# %%
x, y = data.blobs(150, centres=3, noise=0.4, rng=1)
layer = nn.Linear(2, 3)
layer.weight.data = np.array([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]], np.float32)
layer.bias.data = np.array([0.0, 0.3, -0.3], np.float32)
scores = layer(x).numpy()  # (N, 3)
assert np.allclose(scores, x @ layer.weight.numpy().T + layer.bias.numpy(), atol=1e-6)

shifted = x @ (layer.weight.numpy() + [5.0, -7.0]).T + layer.bias.numpy()  # the same vector added to every row
assert (shifted.argmax(axis=1) == scores.argmax(axis=1)).all()
others = scores.copy()
others[np.arange(150), y] = -np.inf
margin = scores[np.arange(150), y] - others.max(axis=1)
print(f"right: {(scores.argmax(axis=1) == y).mean():.3f}, positive margins: {(margin > 0).mean():.3f}")
assert ((margin > 0) == (scores.argmax(axis=1) == y)).all()

u = np.linspace(-2, 2, 121, dtype=np.float32)
plane = np.stack(np.meshgrid(u, u), axis=-1)  # (121, 121, 2)
height = layer(plane).numpy()
fig, axes = plt.subplots(1, 4, figsize=(14, 3.4), layout="constrained", sharex=True, sharey=True)
for c, ax in enumerate(axes[:3]):
    ax.contourf(u, u, height[..., c], np.linspace(-8, 8, 17), cmap=SIGNED, extend="both")
    ax.contour(u, u, height[..., c], [0], colors=INK, linewidths=1)
    ax.annotate("", 0.6 * layer.weight.numpy()[c], (0, 0), arrowprops={"arrowstyle": "->", "linewidth": 2})
    dress(ax, f"Score of class {c} (arrow: its weights)", "x₁", "x₂" * (c == 0), None)
viz.decision_boundary(layer, x, y, ax=axes[3], title="Whichever is largest")
axes[3].set_ylabel("")
axes[3].set_xlim(-2, 2)
axes[3].set_ylim(-2, 2)
plt.show()

# %% [markdown]
# ## 2. Two losses
#
# The **softmax** turns scores into probabilities, and the *cross-entropy* is the surprise at the right answer:
#
# $$p_c = \frac{e^{s_c}}{\sum_k e^{s_k}}, \qquad L_{\text{softmax}} = -\log p_y
# = \log\Big(1 + \sum_{c\ne y} e^{-(s_y - s_c)}\Big).$$
#
# The **SVM** knows no probabilities. It asks that the right score be larger than each of the others by at least 1, and
# counts what is missing:
#
# $$L_{\text{SVM}} = \sum_{c\ne y} \max\big(0,\ 1 - (s_y - s_c)\big) .$$
#
# Both are made of the same differences $s_y - s_c$. The library's `multi_margin_loss` divides by $C$, as PyTorch's
# does; the formula above is the form of most textbooks, and so we multiply by 3. (Lesson 10 says why one must not
# compute the softmax as it stands here.)
#
# *Source:* `cross_entropy` and `multi_margin_loss` in `minidl/ops/loss.py`. *Reference:* Weston, Watkins (1999),
# "Support vector machines for multi-class pattern recognition", ESANN.

# %%
s, label = np.array([[3.0, 5.0, -2.0]]), np.array([0])
p = np.exp(s) / np.exp(s).sum()
by_hand = {"softmax": -np.log(p[0, 0]), "SVM": max(0, 1 - (3 - 5)) + max(0, 1 - (3 + 2))}
library = {"softmax": float(F.cross_entropy(s, label)), "SVM": 3 * float(F.multi_margin_loss(s, label))}
print("scores", s[0], " probabilities", p[0].round(4))
for name in by_hand:
    print(f"{name:8} by hand {by_hand[name]:.4f}, library {library[name]:.4f}")
    assert np.isclose(by_hand[name], library[name])

# %% [markdown]
# With two classes only one difference is left, the margin $m$, and a loss is a curve. What one would like to count is
# the number of mistakes, the grey step. Its slope is zero nearly everywhere, so gradient descent cannot use it. The
# others lie above it (the softmax in units of $\log 2$), and have a slope.
#
# * The *hinge* is satisfied at $m = 1$: from there on the slope is exactly 0.
# * The *softmax* is never satisfied: its slope $-1/(1+e^m)$ gets small, but not 0.
# * On the left both are straight lines. A sample that is wrong by 10 pulls no harder than one that is wrong by 3.
# * The *squared hinge* (`p=2`) and the *squared error* $(1-m)^2$ pull the harder the more a sample is wrong. The
#   squared error also pulls at those that are "too right", $m > 1$. Section 6 shows what comes of it.

# %%
m = np.linspace(-3, 4, 281)
pairs, zeros = np.stack([m, np.zeros_like(m)], axis=1), np.zeros(len(m), np.int64)  # scores (m, 0), label 0
curves = {
    "softmax": lambda s: F.cross_entropy(s, zeros, reduction="none"),
    "hinge": lambda s: 2 * F.multi_margin_loss(s, zeros, reduction="none"),
    "squared hinge": lambda s: 2 * F.multi_margin_loss(s, zeros, p=2, reduction="none"),
    "squared error": lambda s: F.mse_loss(s[:, 0] - s[:, 1], np.ones_like(m), "none"),
}
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
slopes = {}
for k, ((name, loss), line) in enumerate(zip(curves.items(), ("-", "-", "-", ":"), strict=True)):
    t = Tensor(pairs, requires_grad=True)
    values = loss(t)
    (g,) = minidl.grad(values.sum(), t)
    slopes[name] = g.numpy()[:, 0]  # with respect to the right score, so to the margin
    left.plot(m, values.numpy() / (np.log(2) if k == 0 else 1), linestyle=line, linewidth=2, label=name)
    right.plot(m, slopes[name], linestyle=line, linewidth=2, label=name)
left.plot(m, m <= 0, color=GREY, linewidth=3, alpha=0.5, label="mistakes")
left.set_ylim(-0.2, 5)
right.set_ylim(-5, 3)
dress(left, "Loss", "margin m", "")
dress(right, "Slope: the pull towards larger margins", "margin m", "")
key(left)
key(right)
plt.show()
assert np.allclose(slopes["softmax"], -1 / (1 + np.exp(m)))
assert (slopes["hinge"][m > 1.01] == 0).all() and (slopes["hinge"][m < 0.99] == -1).all()

# %% [markdown]
# ## 3. What the gradients say to the scores
#
# A loss speaks to the model only through its gradient with respect to the scores:
#
# $$\frac{\partial L_{\text{softmax}}}{\partial s_c} = p_c - [c = y], \qquad
# \frac{\partial L_{\text{SVM}}}{\partial s_c} = \begin{cases} 1 & c\ne y \text{ and } s_y - s_c < 1 \\
# 0 & c \ne y \text{ and } s_y - s_c > 1 \\ -(\text{number of ones}) & c = y \end{cases}$$
#
# where $[c = y]$ is 1 for the right class and 0 for the others. The first is a matter of degree, the second of yes or
# no. In both the entries sum to 0, because only differences count. Descent goes *against* the gradient: a negative bar
# is a score that shall rise. Label 0 is right in all four columns.
#
# *Source:* the `.vjp` lines below each loss in `minidl/ops/loss.py`. *Reference:* Bishop (2006), section 4.3.4.

# %%
samples = {"right, by far": [5.0, 0.0, -1.0], "right, but close": [1.0, 0.6, -1.0],
           "wrong": [0.0, 1.5, -1.0], "wrong, by far": [-4.0, 4.0, 3.0]}
S = Tensor(np.array([*samples.values()]), requires_grad=True)
labels = np.zeros(4, np.int64)
(soft,) = minidl.grad(F.cross_entropy(S, labels, reduction="sum"), S)
(hinge,) = minidl.grad(3 * F.multi_margin_loss(S, labels, reduction="sum"), S)

raw = S.numpy()
one_hot = np.eye(3)[labels]
missing = ((raw[:, :1] - raw < 1) & (one_hot == 0)).astype(float)  # 1 where a wrong score is too near
assert np.allclose(soft.numpy(), F.softmax(raw) - one_hot)
assert np.allclose(hinge.numpy(), missing - one_hot * missing.sum(axis=1, keepdims=True))
assert np.allclose(soft.numpy().sum(axis=1), 0) and np.allclose(hinge.numpy().sum(axis=1), 0)

fig, axes = plt.subplots(2, 4, figsize=(12, 4.4), layout="constrained", sharex=True, sharey=True)
for row, name, gradient in zip(axes, ("softmax", "SVM"), (soft.numpy(), hinge.numpy()), strict=True):
    for ax, what, g, scores in zip(row, samples, gradient, raw, strict=True):
        ax.bar(["0", "1", "2"], g, color=[BLUE if v < 0 else VERMILLION for v in g], width=0.6)
        for c, v in enumerate(g):
            ax.annotate(f"{v:.2g}", (c, v), (0, 3 if v >= 0 else -11), textcoords="offset points", ha="center",
                        fontsize=8)
        ax.axhline(0, color=INK, linewidth=0.8)
        ax.set_ylim(-2.6, 1.6)
        title = f"{what}:\nscores {', '.join(f'{v:g}' for v in scores)}" if name == "softmax" else ""
        dress(ax, title, "class" * (name == "SVM"), f"gradient, {name}" * (what == "right, by far"))
plt.show()

# %% [markdown]
# ## 4. Where the boundary goes
#
# We train $W$ and $b$ with each loss, with the same small L2 penalty $\frac{\alpha}{2}\sum W^2$ (lesson 15). The
# picture has two classes, and one line more on each side of the boundary: where the margin is 1. Between them lies the
# *street*. A point is drawn as large as the gradient that it still sends once training has ended.
#
# The SVM's boundary depends on the points on the edge of its street, and inside, and on nobody else: these are the
# *support vectors*. All other points could be removed, and nothing would move. The softmax hears everybody, the near
# ones louder.
#
# *Source:* `nn.penalty` in `minidl/nn/regularize.py`, `optim.SGD` in `minidl/optim/sgd.py`. *Reference:* Cortes,
# Vapnik (1995), "Support-vector networks", Machine Learning 20.

# %% tags=["varies"]
def svm(s, y, reduction="mean"):
    """The hinge as in section 2: the sum over the classes, not their mean."""
    return F.multi_margin_loss(s, y, reduction=reduction) * s.shape[1]


def fit_linear(x, y, loss, l2=0.0, steps=1000, lr=0.5, momentum=0.9, watch=None):
    """A linear layer that starts from zero, and all samples in every step; the rate falls to zero."""
    model = nn.Linear(x.shape[1], int(y.max()) + 1, dtype=np.float64)
    model.weight.data, model.bias.data = np.zeros(model.weight.shape), np.zeros(model.bias.shape)
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    schedule, inputs = optim.CosineAnnealingLR(optimizer, steps), Tensor(x.astype(np.float64))
    for _ in range(steps):
        optimizer.zero_grad()
        total = loss(model(inputs), y)
        if l2:
            total = total + nn.penalty([model.weight], l2=l2)
        total.backward()
        optimizer.step()
        if watch is None:
            schedule.step()
        else:  # at a constant rate
            watch(model, total.item())
    return model


def pull(model, x, y, loss):
    """The length of each sample's gradient with respect to its scores, (N,)."""
    s = Tensor(model(x.astype(np.float64)).numpy(), requires_grad=True)
    (g,) = minidl.grad(loss(s, y, reduction="sum"), s)
    return np.linalg.norm(g.numpy(), axis=1)


two_x, two_y = data.blobs(80, centres=[(-1.0, -0.3), (1.0, 0.3)], noise=0.55, rng=7)
fig, axes = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained", sharex=True, sharey=True)
v, w = np.meshgrid(np.linspace(-2.8, 2.8, 100), np.linspace(-2, 2, 100))
two = {}
for ax, (name, loss) in zip(axes, {"softmax": F.cross_entropy, "SVM": svm}.items(), strict=True):
    two[name] = model = fit_linear(two_x, two_y, loss, l2=0.02)
    strength = pull(model, two_x, two_y, loss)
    s = model(np.stack([v, w], axis=-1)).numpy()
    ax.contour(v, w, s[..., 1] - s[..., 0], [-1, 0, 1], colors=INK, linestyles=["--", "-", "--"], linewidths=1)
    for c in (0, 1):
        mine = two_y == c
        ax.scatter(*two_x[mine].T, s=6, color=CLASSES[c], marker=MARKERS[c])
        ax.scatter(*two_x[mine].T, s=130 * strength[mine], color=CLASSES[c], alpha=0.45, marker=MARKERS[c])
    ax.set_aspect("equal")
    heard = strength > 1e-6
    dress(ax, f"{name}: {heard.sum()} of {len(two_y)} points still pull", "x₁", "x₂" * (name == "softmax"), None)
    print(f"{name:8} accuracy {(model(two_x.astype(np.float64)).argmax(1) == two_y).mean():.3f}, "
          f"points that pull {heard.sum()}")
plt.show()
s = two["SVM"](two_x.astype(np.float64)).numpy()
gap = np.where(two_y == 1, s[:, 1] - s[:, 0], s[:, 0] - s[:, 1])
support = gap < 1.05  # on the edge of the street, up to how exactly we trained, or beyond it
again = fit_linear(two_x[support], two_y[support], svm, l2=0.02 * 80 / support.sum())  # same balance of loss and price


def direction(model):
    difference = np.append(np.diff(model.weight.numpy(), axis=0)[0], np.diff(model.bias.numpy()))
    return difference / np.linalg.norm(difference)


print(f"trained on the {support.sum()} support vectors alone: cosine to the old line "
      f"{direction(again) @ direction(two['SVM']):.3f}")
assert direction(again) @ direction(two["SVM"]) > 0.999 and support.sum() < 40
assert (pull(two["softmax"], two_x, two_y, F.cross_entropy) > 1e-6).all()

# %% [markdown]
# ## 5. Satisfied, or never
#
# If a line parts the classes without a mistake (they are *separable*), and nothing pulls at the weights, the two losses
# end differently. The hinge is 0 as soon as every margin is 1, and training stops by itself. The softmax always gains
# from doubling $W$: the probabilities get closer to 0 and 1. So its weights grow without end, though ever more slowly,
# in the long run like the logarithm of the number of steps. The line itself hardly moves meanwhile. Very slowly it
# turns towards the one with the widest street, which is what an SVM with a weak penalty looks for: the cosine of the
# angle between the two, printed below, is on its way to 1.
#
# In practice: on data that can be learnt by heart, the cross-entropy makes a network ever more certain, also where it
# is wrong. L2, label smoothing (lesson 10) and early stopping (lesson 13) are there to end that.
#
# *Reference:* Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018), "The implicit bias of gradient descent on separable
# data", JMLR 19, arXiv:1710.10345.

# %% tags=["varies"]
apart_x, apart_y = data.blobs(60, centres=[(-1.0, -0.3), (1.0, 0.3)], noise=0.3, rng=3)
widest = fit_linear(apart_x, apart_y, svm, l2=0.001, steps=2000)
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
ends = {}
for name, loss in {"softmax": F.cross_entropy, "SVM": svm}.items():
    sizes, values, turn = [], [], []

    def note(model, value, sizes=sizes, values=values, turn=turn):
        sizes.append(np.linalg.norm(model.weight.numpy()))
        values.append(value)
        turn.append(direction(model) @ direction(widest))

    model = fit_linear(apart_x, apart_y, loss, watch=note, lr=1.0, momentum=0.0, steps=2000)
    left.semilogx(np.arange(1, 2001), sizes, label=name)
    right.loglog(np.arange(1, 2001), np.maximum(values, 1e-6), label=name)
    ends[name] = sizes[-1] - sizes[1000], values[-1], turn[10], turn[-1]
    print(f"{name:8} loss {values[-1]:.4f}, growth of |W| in the second half {ends[name][0]:.2f}, "
          f"cosine to the widest street {turn[10]:.3f} after 10 steps, {turn[-1]:.3f} at the end")
dress(left, "Length of the weights, no penalty", "step", "|W|", "both")
dress(right, "Loss (an SVM's 0 is drawn at the lower rim)", "step", "", "both")
right.set_ylim(1e-6, 2)
key(left)
key(right)
plt.show()
assert ends["SVM"][:2] == (0.0, 0.0) and ends["softmax"][0] > 0.3 and ends["softmax"][1] > 0
assert ends["softmax"][3] > ends["softmax"][2]  # it turns, very slowly

# %% [markdown]
# ## 6. One bad sample
#
# What does a single *outlier* do, a sample far away from all others? There are two kinds.
#
# * **Too right**: far out on the side of its own class. Nobody doubts its label; it should change nothing.
# * **Wrong label**: far out on the side of the other class.
#
# We put one more sample into the centre of class 1, move it away, and see by how many degrees the boundary turns.
# The slopes of section 2 foretell what happens. The squared error pulls at the sample that is too right as hard as at
# one that is wrong, and the boundary turns for no good reason. The other losses do not see it. The wrong label turns
# them all, but by how much depends on how the slope grows: those of softmax and hinge are bounded, and the squares'
# are not. Bounded is not nothing: even a constant pull on a long lever turns a line.
#
# All distances are trained at once: `W` has a matrix for each.
#
# *Reference:* Bishop (2006), section 4.1.3 and figure 4.4 (least squares for classification).

# %% tags=["varies"]
distances, CENTRE = np.array([0.0, 1, 2, 3, 4, 6, 8, 10, 12]), np.array([1.0, 0.3])


def lines(loss, corner, steps=800):
    """The boundaries (D, 3), w with w @ (x1, x2, 1) = 0, with one more sample of class 1 on the way to a corner."""
    D, N = len(distances), len(two_x) + 1
    points = np.ones((D, N, 3))  # x1, x2, 1
    points[:, :-1, :2] = two_x
    points[:, -1, :2] = CENTRE + distances[:, None] * corner
    answers = np.tile(np.append(two_y, 1), D)
    W = Tensor(np.zeros((D, 3, 2)), requires_grad=True)
    optimizer, inputs = optim.Adam([W], lr=0.1), Tensor(points)
    schedule = optim.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        total = loss((inputs @ W).reshape(D * N, 2), answers) * D + nn.l2_penalty([W], 0.01)
        total.backward()
        optimizer.step()
        schedule.step()
    return W.numpy()[..., 1] - W.numpy()[..., 0]


def squared_error(s, y):
    """(1 - margin)^2, that is (difference - target)^2 with targets +1 and -1."""
    return F.mse_loss(s[:, 1] - s[:, 0], 2.0 * y - 1)


losses = {"softmax": F.cross_entropy, "hinge": svm,
          "squared hinge": lambda s, y: F.multi_margin_loss(s, y, p=2) * 2, "squared error": squared_error}
kinds = {"Too right": np.array([0.8, -0.6]), "Wrong label": np.array([-0.9, -0.436])}
fig, axes = plt.subplots(2, 2, figsize=(12, 6.6), layout="constrained", width_ratios=(1.5, 1))
turned = {}
for (planes, angles), (kind, corner) in zip(axes, kinds.items(), strict=True):
    planes.scatter(*two_x.T, s=9, color=[CLASSES[c] for c in two_y])
    planes.scatter(*(CENTRE + 6 * corner), s=90, color=CLASSES[1], edgecolor=INK, marker="s")
    for k, (name, loss) in enumerate(losses.items()):
        w = lines(loss, corner)
        turn = np.degrees(np.unwrap(np.arctan2(w[:, 1], w[:, 0])))
        turned[name, kind] = abs(turn[-1] - turn[0])
        angles.plot(distances, abs(turn - turn[0]), color=f"C{k}", marker=MARKERS[k], markersize=5, label=name)
        a, b, c = w[distances == 6][0]
        planes.plot([(4 * b - c) / a, (-3 * b - c) / a], [-4, 3], color=f"C{k}", linestyle=":" if k == 3 else "-",
                    linewidth=2, label=name)
    planes.set_xlim(-5, 7)
    planes.set_ylim(-4, 2.2)
    dress(planes, f"{kind}: boundaries with the outlier (square) at distance 6", "x₁", "x₂", None)
    dress(angles, "By how much the boundary has turned", "distance of the outlier from its centre", "degrees")
    key(planes)
plt.show()
for kind in kinds:
    print(f"{kind:12}", {name: f"{turned[name, kind]:.0f} degrees" for name in losses})
assert all(turned[name, "Too right"] < 1 for name in ("softmax", "hinge", "squared hinge"))
assert turned["squared error", "Too right"] > 10

# %% [markdown]
# ## 7. Templates
#
# On images a row of $W$ is an image itself. The score $w_c^\top x$ adds up the ink, pixel by pixel, with the weights as
# factors: it is large where there is ink under orange and none under blue. So each class has one *template*, and the
# classifier asks which of ten templates the image fits best. We show rows minus the mean row, because only differences
# count (section 1). At the top, the mean image of each class.
#
# Both losses find much the same. A template is not a picture of the digit: it says what tells this digit from the other
# nine. The 0 has blue in the middle, where nearly all others have ink.
#
# *Source:* `viz.filters` in `minidl/viz/pictures.py` draws such sheets for a layer. *Reference:* Hastie, Tibshirani,
# Friedman (2009), "The elements of statistical learning", chapter 4; the digits: Alpaydin, Kaynak (1998).

# %% tags=["varies"]
learn, test = data.load_train_test("digits")
digits = {}
for name, loss in {"softmax": nn.CrossEntropyLoss(), "SVM": svm}.items():
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    optimizer = optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    train.fit(model, (learn.x, learn.y), loss=loss, optimizer=optimizer, epochs=25, batch_size=100, progress=False,
              callbacks=[train.Penalty(l2=0.005)], schedule=optim.CosineAnnealingLR(optimizer, 25))
    digits[name] = model
    right = train.evaluate(model, (test.x, test.y), metrics=["accuracy"])["accuracy"]
    print(f"{name:8} {right:.1%} of {len(test.y)} new digits right")
    assert right > 0.9

fig, axes = plt.subplots(3, 10, figsize=(12, 4), layout="constrained")
centred = {}
for c, ax in enumerate(axes[0]):
    ax.imshow(learn.x[learn.y == c].mean(axis=0)[0], cmap="Greys")
    bare(ax, f"{c}")
for row, (name, model) in zip(axes[1:], digits.items(), strict=True):
    weight = model[1].weight.numpy()
    centred[name] = weight - weight.mean(axis=0)
    for ax, template in zip(row, centred[name], strict=True):
        ax.imshow(template.reshape(8, 8), cmap=SIGNED, vmin=-1, vmax=1)
        bare(ax)
for ax, name in zip(axes[:, 0], ("mean image", *digits), strict=True):
    ax.set_ylabel(name, fontsize=10)
plt.show()
alike = np.corrcoef(centred["softmax"].ravel(), centred["SVM"].ravel())[0, 1]
print(f"correlation of the two sets of templates: {alike:.2f}")
assert alike > 0.7

# %% [markdown]
# A linear model can be asked for its reasons, exactly. The decision between the answer $k$ and the label $y$ is
# $s_k - s_y = \sum_i (w_{ki} - w_{yi})\,x_i + b_k - b_y$: one term for each pixel, and they add up to the difference.
# Below are the four digits about which the softmax model is most certain and wrong. Orange pixels spoke for the wrong
# answer, blue ones for the label.
#
# One template for each class is also the limit of the model. A 7 with a bar and one without, a digit moved by two
# pixels: one template has to do for all of them. What helps is to change the inputs first, by layers with bends (lesson
# 06) or convolutions (lesson 18), and the linear classifier then stands at the end.

# %% tags=["varies"]
model = digits["softmax"]
mistakes = viz.find_mistakes(model, test.x, test.y, limit=4)
W, b = model[1].weight.numpy(), model[1].bias.numpy()
fig, axes = plt.subplots(1, 8, figsize=(13, 2.1), layout="constrained")
for left, right, x, y, k in zip(axes[::2], axes[1::2], mistakes["images"], mistakes["labels"], mistakes["predictions"],
                                strict=True):
    reasons = (W[k] - W[y]) * x.ravel()
    s = model(x[None]).numpy()[0]
    assert np.isclose(reasons.sum() + b[k] - b[y], s[k] - s[y], atol=1e-4)
    left.imshow(x[0], cmap="Greys")
    right.imshow(reasons.reshape(8, 8), cmap=SIGNED, vmin=-1, vmax=1)
    bare(left, f"{k}, is {y}")
    bare(right, f"why {k}: {s[k] - s[y]:+.1f}")
plt.show()

# %% [markdown]
# ## What to take with you
#
# | | softmax | SVM |
# |---|---|---|
# | asks for | a high probability of the right class | a margin of 1 |
# | gradient | $p_c - [c = y]$, a matter of degree | 1 or 0 for each wrong class |
# | who is heard | everybody, the near ones louder | support vectors only |
# | when done | never, weights grow | when all margins are 1 |
# | outliers | bounded pull | bounded pull (not if squared) |
# | scores mean | log-probabilities, up to a constant | only which is larger |
#
# ## Break it
#
# Points around the corners of a square, and neighbouring corners are of different classes (*exclusive or*). Both losses
# fail, because no line does it. Give them one more input, the product $x_1 x_2$, and both are right: "linear" is about
# the weights, not about what you feed them.

# %% tags=["varies"]
cross_x, cross_y = data.xor(200, noise=0.3, rng=0)
for inputs in (cross_x, np.c_[cross_x, cross_x[:, 0] * cross_x[:, 1]]):
    models = [fit_linear(inputs, cross_y, loss, l2=0.01, steps=200) for loss in (F.cross_entropy, svm)]
    rates = [(m(inputs.astype(np.float64)).argmax(1) == cross_y).mean() for m in models]
    print(f"{inputs.shape[1]} inputs: softmax {rates[0]:.2f}, SVM {rates[1]:.2f} right")
assert min(rates) > 0.95
