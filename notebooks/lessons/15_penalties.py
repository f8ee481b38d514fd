# %% [markdown]
# # Penalties and constraints: what weights pay for being large
#
# A network with many weights can follow every accident of its training data. One cure is to make large weights cost
# something: a *penalty* is a term that grows with the weights and is added to the loss. Another is to forbid them: a
# *constraint* says how large they may be. This lesson shows exactly what the common penalties do to the minimum of a
# loss, first with formulas that hold to the last digit, then on handwritten digits.
#
# *Strength*: the number that says how much a penalty counts. *Hessian*: the matrix of second derivatives, which says
# how curved the loss is in every direction. *Sparse*: most entries are zero.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, nn, optim, train
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, ORANGE, SIGNED, VERMILLION, bare, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)

# %% [markdown]
# ## 1. Three prices for a weight
#
# $$\text{L2:}\ \frac{\alpha}{2}\sum w^2 \qquad \text{L1:}\ \alpha\sum |w| \qquad
# \text{elastic net:}\ \lambda\sum\left(\beta w^2 + |w|\right)$$
#
# What matters for training is the slope, for it is what pulls at a weight in every step. The pull of L2,
# $\alpha w$, gets weaker as the weight gets smaller, so no weight ever quite arrives at zero. The pull of L1,
# $\alpha\,\mathrm{sign}(w)$, is the same for all: a weight that is worth less than it costs is pulled down to zero
# and held there.
#
# A penalty goes into the loss with `nn.penalty`, or into a training run with the callback `train.Penalty`. Biases and
# norm layers are left out by `nn.weights(model)`: they are few, and a function needs an offset whatever it costs.
#
# *Source:* `minidl/nn/regularize.py`, `minidl/train/penalty.py`. *Reference:* Tibshirani (1996), "Regression shrinkage
# and selection via the lasso", Journal of the Royal Statistical Society B 58; Zou and Hastie (2005), "Regularization
# and variable selection via the elastic net", the same, B 67.

# %%
prices = {"L2": {"l2": 1.0}, "L1": {"l1": 1.0}, "elastic net": {"elastic": (0.5, 0.5)}}
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
values = np.linspace(-2, 2, 401)
for name, options in prices.items():
    w = Tensor(values, requires_grad=True)
    cost = [nn.penalty([w[k]], **options).item() for k in range(len(values))]
    (slope,) = minidl.grad(nn.penalty([w], **options), w)  # of the sum over all places: each place has its own slope
    slope = np.where(values == 0, np.nan, slope.numpy())  # a gap where L1 jumps
    left.plot(values, cost, label=name)
    right.plot(values, slope, label=name)
dress(left, "The price", "w", "penalty")
dress(right, "The pull", "w", "slope")
key(left)
key(right)
plt.show()

model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
by_hand = sum(0.5 * 0.1 * (w.numpy() ** 2).sum() for w in (model[0].weight, model[3].weight))
print(f"nn.penalty {nn.penalty(nn.weights(model), l2=0.1).item():.6f}, by hand {by_hand:.6f}")
assert np.isclose(nn.penalty(nn.weights(model), l2=0.1).item(), by_hand)

# %% [markdown]
# ## 2. L2 shrinks along the Hessian's eigenvectors
#
# Near its minimum $w^*$ every smooth loss is a bowl, $L(w) \approx L(w^*) + \frac12 (w-w^*)^\top H (w-w^*)$. For a
# linear model with squared error this is no approximation. Write $H = Q\Lambda Q^\top$: the columns of $Q$ are the
# *eigenvectors*, the axes of the bowl, and the numbers $\lambda_i$ in $\Lambda$ are the *eigenvalues*, its curvatures
# along them. Setting the slope with the penalty to zero, $H(w - w^*) + \alpha w = 0$, gives the new minimum:
#
# $$w_\alpha = (H+\alpha I)^{-1} H w^* =
# Q \;\mathrm{diag}\!\left(\frac{\lambda_i}{\lambda_i+\alpha}\right) Q^\top w^* .$$
#
# Along a steep axis ($\lambda_i \gg \alpha$) almost nothing happens: there the data speak clearly. Along a flat one
# ($\lambda_i \ll \alpha$) the weight is given up. The cell below measures $H$ with the library's own derivatives,
# trains with `train.Penalty`, and compares.
#
# *Source:* `minidl/nn/shrinkage.py`, `minidl/derivatives.py`. *Reference:* Goodfellow, Bengio, Courville (2016), "Deep
# Learning", section 7.1.1.

# %%
def inputs(curvatures, angle, n=40):
    """n points (n, 2) for which the mean squared error of a linear model has these curvatures along turned axes."""
    U = np.linalg.qr(np.random.default_rng(0).standard_normal((n, 2)))[0]  # orthonormal columns
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return U * np.sqrt(n * np.array(curvatures) / 2) @ turn.T


def trained(x, target, **penalty):
    """The weights at the end of a run with this penalty; the rate falls, so that L1 comes to rest."""
    model = nn.Linear(2, 1, bias=False, dtype=np.float64)
    optimizer = optim.SGD(model.parameters(), lr=0.4)
    train.fit(model, [(x, (x @ target)[:, None])], loss=nn.MSELoss(), optimizer=optimizer, epochs=400, progress=False,
              callbacks=[train.Penalty(**penalty)], schedule=optim.CosineAnnealingLR(optimizer, T_max=400))
    return model.weight.numpy()[0]


best = np.array([1.6, 1.1])  # w*, the minimum without a penalty
strengths = [0.03, 0.1, 0.3, 1.0]

turned = inputs([2.0, 0.15], angle=0.5)
bowl = lambda w: ((Tensor(turned) @ w - turned @ best) ** 2).mean()  # noqa: E731
H = minidl.hessian(bowl, best)
eigenvalues, Q = np.linalg.eigh(H.numpy())
found = np.array([trained(turned, best, l2=a) for a in strengths])
for alpha, w in zip(strengths, found, strict=True):
    factors = (Q.T @ w) / (Q.T @ best)  # what is left of w* along each eigenvector
    print(f"alpha {alpha:4}: left along the flat axis {factors[0]:.4f}, along the steep one {factors[1]:.4f};"
          f"  formula {eigenvalues[0] / (eigenvalues[0] + alpha):.4f}, {eigenvalues[1] / (eigenvalues[1] + alpha):.4f}")
    assert np.allclose(w, nn.l2_shrinkage(H, best, alpha), atol=5e-3)

# %% [markdown]
# ## 3. L1 subtracts, and cuts off at zero
#
# With L1 there is a formula where the Hessian is diagonal (the inputs are uncorrelated), because then every weight is
# on its own:
#
# $$w_i = \mathrm{sign}(w^*_i)\,\max\!\left(|w^*_i| - \frac{\alpha}{H_{ii}},\, 0\right).$$
#
# This is called *soft thresholding*. Every weight loses the same amount (divided by its curvature), and whoever had
# less than that is exactly zero. In the picture, crosses are trained weights, lines the formulas. Look at the path on
# the right: it walks down to the axis and then stays on it.
#
# *Source:* `minidl/nn/shrinkage.py`; `tests/test_shrinkage.py` has the proofs. *Reference:* Goodfellow, Bengio,
# Courville (2016), section 7.1.2.

# %%
straight = inputs([2.0, 0.4], angle=0.0)
bowl1 = lambda w: ((Tensor(straight) @ w - straight @ best) ** 2).mean()  # noqa: E731
H1 = minidl.hessian(bowl1, best)
found1 = np.array([trained(straight, best, l1=a) for a in strengths])
for alpha, w in zip(strengths, found1, strict=True):
    assert np.allclose(w, nn.l1_shrinkage(H1, best, alpha), atol=5e-3)

fig, axes = plt.subplots(1, 2, figsize=(11, 5.2), layout="constrained")
u, v = np.meshgrid(np.linspace(-1.4, 2.7, 150), np.linspace(-1.4, 2.1, 150))
everything = np.concatenate([[0], np.logspace(-3, 1.5, 300)])
panels = [(axes[0], H, found, nn.l2_shrinkage, "L2"), (axes[1], H1, found1, nn.l1_shrinkage, "L1")]
for ax, hessian, dots, formula, name in panels:
    d = np.stack([u - best[0], v - best[1]], axis=-1)
    ax.contour(u, v, np.einsum("...i,ij,...j", d, hessian.numpy(), d) ** 0.5, 9, colors="#CCCCCC", linewidths=0.9)
    for radius in (0.4, 0.8, 1.2):
        if name == "L2":
            ax.add_patch(plt.Circle((0, 0), radius, fill=False, color=ORANGE, linewidth=0.9))
        else:
            corner = radius * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
            ax.add_patch(plt.Polygon(corner, fill=False, color=ORANGE, linewidth=0.9))
    path = np.array([best if a == 0 else formula(hessian, best, a) for a in everything])
    ax.plot(*path.T, color=BLUE, linewidth=2, label="minimum, by the formula, α from 0 to 30")
    ax.plot(*dots.T, "x", color=VERMILLION, markersize=9, markeredgewidth=2.2, label="trained")
    ax.plot(*best, "k*", markersize=13)
    ax.annotate("w*", best, (10, -14), textcoords="offset points")
    for value, axis in zip(*np.linalg.eigh(hessian.numpy()), strict=True):
        axis = axis * np.sign(axis[np.abs(axis).argmax()])  # to the right, or up
        ax.annotate("", best + 0.55 * axis, best, arrowprops={"arrowstyle": "->", "color": GREEN})
        ax.annotate(f"λ = {value:.2f}", best + 0.6 * axis, color=GREEN, ha="center", va="bottom")
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set_aspect("equal")
    dress(ax, f"{name}: the loss (grey) against the penalty (orange)", "weight 1", "weight 2", None)
    key(ax)
plt.show()

# %% [markdown]
# **Early stopping is a penalty in disguise.** Gradient descent from zero with the rate $\varepsilon$ approaches $w^*$
# fast along steep axes and slowly along flat ones. After $\tau$ steps, $1-(1-\varepsilon\lambda_i)^\tau$ of $w^*_i$ is
# there. This is nearly the factor of L2 with $\alpha = 1/(\tau\varepsilon)$: who stops early trusts the flat
# directions less, as L2 does.
#
# *Reference:* Goodfellow, Bengio, Courville (2016), section 7.8.

# %%
curvature = np.logspace(-3, 1, 200)
fig, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
for steps, colour in ((10, BLUE), (100, GREEN), (1000, VERMILLION)):
    stopped = 1 - (1 - 0.05 * curvature) ** steps
    alpha = 1 / (0.05 * steps)
    ax.semilogx(curvature, stopped, color=colour, label=f"stopped after {steps} steps of 0.05")
    ax.semilogx(curvature, curvature / (curvature + alpha), ":", color=colour, label=f"L2, α = {alpha:g}")
    assert abs(stopped - curvature / (curvature + alpha)).max() < 0.25
dress(ax, "What is left of w* along an axis", "curvature λ of the axis", "factor")
key(ax)
plt.show()

# %% [markdown]
# ## 4. Eight inputs, three that matter: who is kept?
#
# The target depends on inputs 1, 2 and 3. Inputs 1 and 2 are almost copies of each other; 4 to 8 have nothing to do
# with it. We train for 40 strengths at once: `W` has one row of weights for each. Zeros that are exact need one more
# idea. The slope of L1 jumps at zero, so plain gradient steps hop to and fro around it. A *proximal* step goes down the
# smooth part first, and then does what the penalty asks for in closed form, which is soft thresholding (the elastic
# net is half L1, half L2 here):
#
# $$w \leftarrow S_{\varepsilon\alpha}\!\left(w - \varepsilon \nabla L(w)\right), \qquad
# S_t(w) = \mathrm{sign}(w)\max(|w|-t, 0).$$
#
# *Source:* `nn.soft_threshold` in `minidl/nn/shrinkage.py`. *Reference:* Donoho (1995), "De-noising by
# soft-thresholding", IEEE Transactions on Information Theory 41; Parikh and Boyd (2014), "Proximal algorithms".

# %%
rng = np.random.default_rng(3)
X = rng.standard_normal((60, 8))
X[:, 1] = X[:, 0] + 0.2 * rng.standard_normal(60)  # almost a copy
y = X[:, 0] + X[:, 1] - 1.5 * X[:, 2] + 0.7 * rng.standard_normal(60)
strength = np.logspace(-2.5, 1.3, 40)[:, None]


def paths(l1, l2):
    """The weights (40, 8) at the minimum of the mean squared error + l1 sum |w| + l2/2 sum w^2, for each strength."""
    W, x, target = Tensor(np.zeros((40, 8)), requires_grad=True), Tensor(X), Tensor(y[:, None])
    for _ in range(1500):
        loss = ((x @ W.T - target) ** 2).mean(axis=0).sum() + (Tensor(l2 * strength / 2) * W * W).sum()
        (g,) = minidl.grad(loss, W)
        rate = 1 / (10 + l2 * strength)  # no longer than the curvature allows
        W.data = nn.soft_threshold(W.numpy() - rate * g.numpy(), rate * l1 * strength)
    return W.numpy()


kept = {"L2": paths(0, 1), "L1": paths(1, 0), "elastic net": paths(0.5, 0.5)}
fig, axes = plt.subplots(2, 3, figsize=(12, 5.2), layout="constrained", sharex=True, height_ratios=(3, 1))
names = ["1", "2, nearly 1", "3"] + ["4 to 8, noise"] + [None] * 4
for (ax, below), (name, W) in zip(axes.T, kept.items(), strict=True):
    for k in range(8):
        ax.semilogx(strength, W[:, k], color=CLASSES[k] if k < 3 else "#BBBBBB", linewidth=2 if k < 3 else 1,
                    label=names[k])
    ax.axhline(0, color=GREY, linewidth=0.8)
    dress(ax, name, "", "weight" * (name == "L2"))
    key(ax)
    below.step(strength[:, 0], (W == 0).sum(axis=1), color=VERMILLION)
    below.set_ylim(-0.5, 8.5)
    dress(below, "", "strength", "zeros" * (name == "L2"))
plt.show()
middle = 24  # a strength in between
for name, W in kept.items():
    print(f"{name:11} at strength {strength[middle, 0]:.2f}:", *(f"{w:5.2f}" if w else "    0" for w in W[middle]))
assert not (kept["L2"] == 0).any()
assert (kept["L1"][middle, 3:] == 0).all() and (kept["L1"][middle, :2] == 0).sum() == 1  # of two relatives it keeps one
assert (kept["elastic net"][middle, 3:] == 0).all() and (kept["elastic net"][middle, :3] != 0).all()  # they share

# %% [markdown]
# ## 5. On digits: small weights, few weights
#
# The same network on 300 handwritten digits, without a penalty, with L2 and with L1. The pictures are the weights of
# eight units of the first layer, one square each, blue negative and orange positive. Without a penalty they keep the
# noise they were initialised with: nothing ever pulls at a weight that does not matter. L2 fades it out. L1 removes it,
# and with it the pixels at the rim, where no digit has ink. On the right all weights of the layer in order of size.
#
# *Source:* `minidl/train/penalty.py`. *Reference:* Krogh and Hertz (1991), "A simple weight decay can improve
# generalization", NeurIPS.

# %% tags=["varies"]
pool = data.load_digits()
learn, held_out = data.split(pool, (300, 1497), stratify=True, rng=0)


def mlp(dropout=0.0):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Dropout(dropout), nn.Linear(48, 10))


def run(callbacks, epochs=60, lr=0.1, model=None, **options):
    """Train on the 300 digits with a rate that falls to zero; returns the model and its history."""
    minidl.manual_seed(1)
    model = model or mlp()
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    history = train.fit(model, (learn.x, learn.y), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=epochs,
                        batch_size=50, validation=(held_out.x, held_out.y), metrics=["accuracy"], callbacks=callbacks,
                        schedule=optim.CosineAnnealingLR(optimizer, epochs), progress=False, **options)
    return model, history


digits = {"no penalty": [], "L2, 0.01": [train.Penalty(l2=0.01)], "L1, 0.002": [train.Penalty(l1=0.002)]}
models, sparse = {}, {}
for name, callbacks in digits.items():
    models[name], history = run(callbacks)
    w = np.concatenate([p.numpy().ravel() for p in nn.weights(models[name])])
    sparse[name] = (abs(w) < 1e-3).mean()
    print(f"{name:11} accuracy {history[-1]['accuracy']:.3f}, held out {history[-1]['val_accuracy']:.3f}; "
          f"{sparse[name]:4.0%} of the weights below 0.001, largest {abs(w).max():.2f}")
assert sparse["L1, 0.002"] > 0.6 > 0.3 > sparse["L2, 0.01"] and sparse["no penalty"] < 0.05

# %%
fig = plt.figure(figsize=(12, 4), layout="constrained")
grid, curves = fig.subfigures(1, 2, width_ratios=(2, 1.1))
axes = grid.subplots(3, 8)
for row, (name, model) in zip(axes, models.items(), strict=True):
    layer = model[1].weight.numpy()
    for ax, unit in zip(row, np.argsort(-np.linalg.norm(layer, axis=1))[:8], strict=True):
        ax.imshow(layer[unit].reshape(8, 8), cmap=SIGNED, vmin=-0.6, vmax=0.6)
        bare(ax)
    row[0].set_title(name, loc="left", fontsize=10, fontweight="bold")
ax = curves.subplots()
for name, model in models.items():
    ax.semilogy(np.sort(abs(model[1].weight.numpy()).ravel())[::-1], label=name)
ax.set_ylim(1e-6, 2)
dress(ax, "All 3,072 weights of the layer", "rank", "size")
key(ax)
plt.show()

# %% [markdown]
# ## 6. Weight decay is L2, until the optimiser divides
#
# Plain gradient descent on $L + \frac{\alpha}{2}\sum w^2$ takes the step
# $w \leftarrow (1-\varepsilon\alpha)\,w - \varepsilon\nabla L$: the weights *decay* by the same factor in each step.
# For SGD it makes no difference whether one adds a penalty or lets the weights decay. Adam divides each gradient by its
# usual size. If the penalty is part of the gradient (*coupled*), its pull is divided as well, and weights with large
# gradients hardly decay. `AdamW` lets the weights decay beside the gradient (*decoupled*), all by the same factor.
#
# Below, 40 weights start at 1. Their gradients are $+s, -s, +s, \dots$, which leads nowhere, with a size $s$ of their
# own. All that remains is the decay.
#
# *Source:* `minidl/optim/adam.py`. *Reference:* Loshchilov and Hutter (2019), "Decoupled weight decay regularization",
# arXiv:1711.05101.

# %%
sizes, makers = np.logspace(-4, 1, 40), {
    "SGD, L2": lambda w: optim.SGD([w], lr=0.01, weight_decay=0.5),
    "Adam, L2 (coupled)": lambda w: optim.Adam([w], lr=0.01, weight_decay=0.5),
    "AdamW (decoupled)": lambda w: optim.AdamW([w], lr=0.01, weight_decay=0.5),
}  # fmt: skip
fig, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
left = {}
for (name, make), line in zip(makers.items(), ("-", "-", ":"), strict=True):
    w = Tensor(np.ones(40), requires_grad=True)
    optimizer = make(w)
    for step in range(200):
        w.grad = Tensor(sizes * (-1) ** step)
        optimizer.step()
    left[name] = w.numpy()
    ax.semilogx(sizes, w.numpy(), line, linewidth=2.5, label=name)
ax.axhline((1 - 0.01 * 0.5) ** 200, color=GREY, linewidth=0.8)
dress(ax, "What 200 steps of decay leave of a weight", "size s of its gradients", "weight")
key(ax)
plt.show()
expected = (1 - 0.01 * 0.5) ** 200
print(f"(1 - lr * decay)^200 = {expected:.3f}")
assert np.allclose(left["AdamW (decoupled)"], expected, atol=0.02)
assert np.allclose(left["SGD, L2"], expected, atol=0.11)
assert left["Adam, L2 (coupled)"][0] < 0.1 < 0.85 < left["Adam, L2 (coupled)"][-1]

# %% [markdown]
# ## 7. Max-norm: a wall instead of a slope
#
# A penalty pulls at every weight. A constraint does nothing at all until the limit is reached. *Max-norm* bounds, for
# each neuron, the length of the vector of its incoming weights. After every step, whoever is outside the ball is put
# back onto its surface, at the nearest point:
#
# $$w \leftarrow w\,\min\!\left(1, \frac{c}{\lVert w\rVert}\right).$$
#
# Weights then cannot explode however large the learning rate is. With dropout, which likes large steps, it was part of
# the first recipe. On the right, a rate that is far too large, with and without the wall.
#
# *Source:* `minidl/optim/max_norm.py`, `minidl/train/max_norm.py`. *Reference:* Srivastava, Hinton, Krizhevsky,
# Sutskever, Salakhutdinov (2014), "Dropout", JMLR 15, section 5.1.

# %% tags=["varies"]
neurons = Tensor(np.random.default_rng(5).normal(0, 1.2, (14, 2)), requires_grad=True)
before = neurons.numpy().copy()
moved = optim.max_norm_([neurons], c=1.5)
inside = np.linalg.norm(before, axis=1) <= 1.5
assert moved == (~inside).sum() and np.array_equal(before[inside], neurons.numpy()[inside])

fig, (ball, norms) = plt.subplots(1, 2, figsize=(11, 4.3), layout="constrained", width_ratios=(1, 1.4))
ball.add_patch(plt.Circle((0, 0), 1.5, fill=False, color=ORANGE, linewidth=2))
for old, new in zip(before, neurons.numpy(), strict=True):
    ball.annotate("", new, old, arrowprops={"arrowstyle": "->", "color": GREY})
ball.plot(*before[inside].T, "o", color=GREEN, label="inside: untouched")
ball.plot(*before[~inside].T, "o", color=VERMILLION, label="outside")
ball.plot(*neurons.numpy()[~inside].T, "s", color=BLUE, label="projected")
ball.set_aspect("equal")
dress(ball, "14 neurons with two inputs, c = 1.5", "weight 1", "weight 2", None)
key(ball)

for name, colour, extra in (("free", VERMILLION, []), ("max-norm, c = 2", BLUE, [train.MaxNorm(2.0)])):
    sizes = []
    watch = train.Callback(
        on_batch_end=lambda run, sizes=sizes: sizes.append(np.linalg.norm(run.model[1].weight.numpy(), axis=1))
    )
    minidl.manual_seed(2)
    _, history = run([*extra, watch], epochs=30, lr=0.6, model=mlp(0.5), clip=5.0)
    norms.plot(sizes, color=colour, linewidth=0.6, alpha=0.7)
    norms.plot([], color=colour, label=f"{name}: {history[-1]['val_accuracy']:.1%} right")
    print(f"{name}: longest weight vector {np.max(sizes[-1]):.2f}, held-out accuracy {history[-1]['val_accuracy']:.3f}")
assert np.max(sizes) <= 2.0 * (1 + 1e-6)
norms.set_yscale("log")
dress(norms, "Lengths of the 48 weight vectors, rate 0.6", "step", "length")
key(norms)
plt.show()

# %% [markdown]
# ## Break it
#
# 1. Penalise the biases as well: `train.Penalty(l2=0.3, parameters=lambda m: m.parameters())` against
#    `train.Penalty(l2=0.3)`. Which of the two learns digits worse, and why does a bias deserve an exception?
# 2. The formula for L1 needs a diagonal Hessian. The two lines below ask for it with the turned bowl of section 2. Read
#    the error, and then find the true minimum with proximal steps as in section 4: which weight is zero first now?

# %%
try:
    nn.l1_shrinkage(H, best, 0.3)
except ValueError as error:
    print(error)
