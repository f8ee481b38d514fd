# %% [markdown]
# # What one, two, three neurons can separate
#
# A *neuron* multiplies its inputs by weights, adds an offset and bends the result. That is little, and this lesson
# finds out how little: which sets of points one neuron can tell apart, which it cannot, why two can do what one
# cannot, and why nothing of this works without the bend. At the end stands what makes networks strong: width adds
# pieces to a function, depth multiplies them.
#
# *Before this:* lesson 05, checking gradients. *After this:* lesson 07, the choice of the bend; lesson 08, where the
# weights should start.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, nn, optim, viz
from minidl.nn import functional as F
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, INK, VERMILLION, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)

# %% [markdown]
# ## 1. Scale, then offset, then bend
#
# An *affine map* scales and then offsets; `nn.Linear` is one. For a row $x$ of $n$ inputs and $m$ neurons, the weight
# $W$ has the shape $(m, n)$, a row for each neuron, and
#
# $$y = x W^\top + b, \qquad h = \varphi(y).$$
#
# The product turns and stretches the plane, the *bias* $b$ moves it. Straight lines stay straight, parallel lines stay
# parallel, and the middle between two points stays in the middle. Only the *activation* $\varphi$, a fixed function
# that is applied to each number by itself, bends the lines (here: tanh).
#
# *Source:* `minidl/nn/linear.py`. *Reference:* Goodfellow, Bengio, Courville (2016), "Deep Learning", section 6.1.

# %%
layer = nn.Linear(2, 2, dtype=np.float64)
layer.weight.data = np.array([[1.1, 0.5], [-0.3, 0.9]])
layer.bias.data = np.array([0.6, -0.5])
ticks, fine = np.linspace(-1, 1, 7), np.linspace(-1, 1, 60)
rows = [np.stack([fine, np.full(60, t)], axis=1) for t in ticks]
columns = [line[:, ::-1] for line in rows]

steps = {
    "x": lambda x: x,
    "scaled: x Wᵀ": lambda x: F.linear(Tensor(x), layer.weight).numpy(),
    "and offset: x Wᵀ + b": lambda x: layer(Tensor(x)).numpy(),
    "and bent: tanh(x Wᵀ + b)": lambda x: minidl.tanh(layer(Tensor(x))).numpy(),
}
fig, axes = plt.subplots(1, 4, figsize=(14, 3.8), layout="constrained", sharex=True, sharey=True)
for ax, (name, f) in zip(axes, steps.items(), strict=True):
    for lines, colour in ((rows, BLUE), (columns, VERMILLION)):
        for line in lines:
            ax.plot(*f(line).T, color=colour, linewidth=1.2)
    ax.plot(*f(np.zeros((1, 2))).T, "ko", markersize=6)
    ax.axhline(0, color=GREY, linewidth=0.6)
    ax.axvline(0, color=GREY, linewidth=0.6)
    ax.set_aspect("equal")
    dress(ax, name, "", "", None)
plt.show()

p, q = np.array([[-1.0, 0.4], [0.6, 1.0]])
for name, f in steps.items():  # is the image of the middle the middle of the images?
    gap = np.abs(f((p + q)[None] / 2) - (f(p[None]) + f(q[None])) / 2).max()
    print(f"{name:26} the middle is off by {gap:.3f}")
    assert (gap > 0.01) == ("tanh" in name)
x = np.array([[0.3, -0.8]])
assert np.allclose(layer(Tensor(x)), x @ layer.weight.numpy().T + layer.bias.numpy())

# %% [markdown]
# ## 2. One neuron: one straight line
#
# One neuron computes $z = w\cdot x + b$. Its *decision boundary*, where it cannot decide, is $w\cdot x+b=0$: a straight
# line, perpendicular to $w$, at the distance $-b/\|w\|$ from the origin (in the direction of $w$). The distance of a
# point from this line is
#
# $$d = \frac{w\cdot x + b}{\|w\|}.$$
#
# So the direction of $w$ turns the line, $b$ moves it, and the length of $w$ says how certain the neuron is near it:
# the probability is $\sigma(z) = 1/(1+e^{-z})$. In the pictures full colour means certain and white undecided; the
# arrow is $w$.
#
# *Source:* `minidl/viz/boundary.py`. *Reference:* Rosenblatt (1958), "The perceptron", Psychological Review 65.

# %%
points, label = data.blobs(120, centres=[(-0.7, -0.3), (0.7, 0.4)], noise=0.3, rng=1)


def neuron(w, b):
    """One neuron with these weights, as a module from (N, 2) to logits (N, 1)."""
    one = nn.Linear(2, 1)
    one.weight.data = np.array([w], np.float32)
    one.bias.data = np.array([b], np.float32)
    return one


def draw_line(ax, w, b, **style):
    """The line w.x + b = 0 across the panel, which keeps its limits."""
    place, along = -b * np.array(w) / np.dot(w, w), np.array([-w[1], w[0]]) / np.hypot(*w)
    ends = place + np.array([[-9], [9]]) * along
    ax.plot(*ends.T, scalex=False, scaley=False, **style)


settings = {"w = (2, 1), b = 0": ((2, 1), 0), "turned": ((1, -1.5), 0), "moved: b = 2": ((2, 1), 2),
            "5 times as long": ((10, 5), 0)}  # fmt: skip
fig, axes = plt.subplots(1, 4, figsize=(14, 3.9), layout="constrained")
for ax, (name, (w, b)) in zip(axes, settings.items(), strict=True):
    viz.decision_boundary(neuron(w, b), points, label, ax, title=name)
    foot = -b * np.array(w) / np.dot(w, w)  # of the perpendicular from the origin
    ax.annotate("", foot + 0.6 * np.array(w) / np.hypot(*w), foot, arrowprops={"arrowstyle": "-|>", "color": "black"})
    ax.set_aspect("equal")
    assert abs(neuron(w, b)(Tensor(foot[None].astype(np.float32))).item()) < 1e-5  # it lies on the line
plt.show()

# %% [markdown]
# ## 3. Sixteen ways to label four points
#
# Take the corners of a square. There are $2^4 = 16$ ways to give each the class 0 or 1, and one neuron can do all but
# two. The two that are missing are "are the signs different?" (*exclusive or*, XOR) and its opposite. The proof takes
# three lines. Suppose that $z = w_1x_1 + w_2x_2 + b$ were negative at $(1, 1)$ and $(-1,-1)$, and positive at
# $(1,-1)$ and $(-1,1)$. Add the two values of each pair:
#
# $$z(1,1) + z(-1,-1) = 2b < 0, \qquad z(1,-1) + z(-1,1) = 2b > 0.$$
#
# Both cannot be. In general, of the $2^n$ ways to label $n$ points in $d$ dimensions (in general position: no three on
# a line, and so on), one neuron can do
#
# $$C(n, d) = 2\sum_{k=0}^{d}\binom{n-1}{k}, \qquad C(4, 2) = 2\,(1 + 3 + 3) = 14.$$
#
# The cell trains 16 neurons at once, one for each column of the targets: they share a layer, but no weight. Where it
# cannot win, a neuron ends at the least bad answer, "one half" everywhere: white.
#
# *References:* Cover (1965), "Geometrical and statistical properties of systems of linear inequalities", IEEE
# Transactions on Electronic Computers EC-14; Minsky, Papert (1969), "Perceptrons".

# %%
corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
ways = ((np.arange(16) >> np.arange(4)[:, None]) & 1).astype(np.float32)  # (4, 16): bit i of way k


def train(model, x, target, steps=400, lr=0.05):
    """Full-batch Adam on the logits; returns the share of right answers, for each column of the target."""
    x, target = Tensor(x), Tensor(target)
    optimizer = optim.Adam(model.parameters(), lr=lr)
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return ((model(x).numpy() > 0) == (target.numpy() > 0)).mean(axis=0)


sixteen = nn.Linear(2, 16)
right = train(sixteen, corners, ways)
fig, axes = plt.subplots(2, 8, figsize=(14, 4), layout="constrained")
for k, ax in enumerate(axes.flat):
    viz.decision_boundary(lambda x, k=k: sixteen(x)[:, k], 1.3 * corners, ways[:, k], ax, resolution=60)
    for collection in list(ax.collections):  # keep the colours and the line, draw larger points
        if hasattr(collection, "get_sizes") and len(collection.get_sizes()):
            collection.remove()
    for point, bit in zip(corners, ways[:, k], strict=True):
        ax.plot(*point, "os"[int(bit)], color=CLASSES[int(bit)], markersize=9, markeredgecolor="white")
    ax.legend_.remove()
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="", aspect="equal")
    ax.set_title(f"{ways[:, k].astype(int).tolist()}" if right[k] == 1 else "XOR: impossible", loc="left",
                 fontsize=9, color=INK if right[k] == 1 else VERMILLION, fontweight="bold")  # fmt: skip
plt.show()
print(f"one neuron can do {(right == 1).sum()} of 16")
assert (right == 1).sum() == 14 and set(np.flatnonzero(right < 1)) == {0b0110, 0b1001}

# %% [markdown]
# ## 4. Two neurons: XOR, by hand and learned
#
# Two neurons in a *hidden layer* (their outputs are nobody's answer, only the next layer's input) make a new plane,
# $h = \operatorname{relu}(xW^\top+b)$, with $\operatorname{relu}(z) = \max(z, 0)$. With
#
# $$h_1 = \operatorname{relu}(x_1 + x_2), \qquad h_2 = \operatorname{relu}(-x_1 - x_2), \qquad
# z = 1 - h_1 - h_2$$
#
# the two corners with equal signs go to $(2, 0)$ and $(0, 2)$, and the two others fall together onto $(0, 0)$: the
# plane has been *folded*. After folding, one straight line is enough. Seen from the input it is two lines, one for each
# side of the fold.
#
# *Reference:* Goodfellow, Bengio, Courville (2016), section 6.1, "Example: learning XOR".

# %%
x, label = data.xor(160, noise=0.22, rng=0)
by_hand = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
by_hand[0].weight.data = np.array([[1, 1], [-1, -1]], np.float32)
by_hand[0].bias.data = np.zeros(2, np.float32)
by_hand[2].weight.data = np.array([[-1, -1]], np.float32)
by_hand[2].bias.data = np.ones(1, np.float32)
assert (by_hand(Tensor(corners)).numpy().ravel() == [-1, 1, 1, -1]).all()

fig, (before, after, back) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
hidden = by_hand[:2](Tensor(x)).numpy()
for ax, places in ((before, x), (after, hidden)):
    for k in (0, 1):
        ax.plot(*places[label == k].T, viz.style.MARKERS[k], color=CLASSES[k], markersize=5, markeredgecolor="white",
                markeredgewidth=0.5)  # fmt: skip
    ax.set_aspect("equal")
before.set(xlim=(-2.1, 2.1), ylim=(-2.1, 2.1))
after.set(xlim=(-0.3, 3.1), ylim=(-0.3, 3.1))
draw_line(before, (1, 1), 0, color=GREY, linestyle="--", label="the fold")
after.plot([-0.1, 1.1], [1.1, -0.1], color=INK, label="z = 0")
dress(before, "The input", "x₁", "x₂", None)
dress(after, "The hidden layer: folded", "h₁", "h₂", None)
key(before)
key(after)
viz.decision_boundary(by_hand, x, label, back, title="z, seen from the input")
back.set_aspect("equal")
plt.show()
print("right:", ((by_hand(Tensor(x)).numpy()[:, 0] > 0) == label).mean())

# %% [markdown]
# That two neurons *can* do it does not mean that training *finds* it: the loss has local minima, and whether gradient
# descent ends in one depends on where it starts. With more neurons than necessary nearly every start succeeds. This is
# one reason why networks are made larger than their task needs. Below, 400 starts
# for each width, all trained at once.

# %% tags=["varies"]
def shares_that_learn(width, starts=400, steps=250):
    """Train that many networks 2 - width - 1 on XOR at the same time: the first axis of every weight is the start."""
    x, target = Tensor(corners), Tensor(np.repeat(ways[None, :, 0b0110, None], starts, axis=0))  # (4, 2), (S, 4, 1)
    shapes = (starts, 2, width), (starts, 1, width), (starts, width, 1), (starts, 1, 1)
    W1, b1, W2, b2 = (nn.Parameter(np.empty(shape, np.float32)) for shape in shapes)
    for p, fan_in in zip((W1, b1, W2, b2), (2, 2, width, width), strict=True):
        nn.init.uniform_(p, -(fan_in**-0.5), fan_in**-0.5)  # as nn.Linear does
    optimizer = optim.Adam([W1, b1, W2, b2], lr=0.05)
    for _ in range(steps):
        z = minidl.relu(x @ W1 + b1) @ W2 + b2  # (S, 4, 1)
        loss = F.binary_cross_entropy_with_logits(z, target, reduction="sum") / 4
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(((z.numpy() > 0) == (target.numpy() > 0)).all(axis=(1, 2)).mean())


widths = [1, 2, 3, 4, 6, 8, 12]
successes = [shares_that_learn(width) for width in widths]
fig, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
ax.bar(range(len(widths)), successes, color=BLUE, width=0.6)
for k, share in enumerate(successes):
    ax.text(k, share + 0.02, f"{share:.0%}", ha="center", fontsize=9)
ax.set_xticks(range(len(widths)), widths)
ax.set_ylim(0, 1.12)
dress(ax, "Starts from which XOR is learned", "hidden neurons", "share of 400 starts")
plt.show()
assert successes[0] == 0 and 0.1 < successes[1] < 0.6 and successes[-1] > 0.95

# %% [markdown]
# ## 5. One, two, three neurons on three problems
#
# Each hidden neuron contributes one line (dotted), and the output combines the sides on which a point lies. Two clouds
# need one line. A stripe between others needs two, since one line has only two sides. An island needs three: a
# triangle is the smallest fence. In the picture each network had up to five starts, and the best is shown.
#
# *Source:* `minidl/data/synthetic.py`. *Reference:* Cybenko (1989), "Approximation by superpositions of a sigmoidal
# function", Mathematics of Control, Signals and Systems 2.

# %% tags=["varies"]
stripe = data.blobs(180, centres=[(-1, 0.6), (0, 0), (1, -0.6)], noise=0.22, rng=3)
problems = {
    "two clouds": (points, data.blobs(120, centres=[(-0.7, -0.3), (0.7, 0.4)], noise=0.3, rng=1)[1]),
    "a stripe": (stripe[0], stripe[1] % 2),
    "an island": data.circles(180, noise=0.09, factor=0.25, rng=0),
}


def network(hidden):
    return nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1))


fig, axes = plt.subplots(3, 3, figsize=(12.5, 11), layout="constrained")
best = {}
for row, (problem, (x, y)) in zip(axes, problems.items(), strict=True):
    for ax, hidden in zip(row, (1, 2, 3), strict=True):
        for start in range(5):
            minidl.manual_seed(start)
            model = network(hidden)
            right = train(model, x, y[:, None].astype(np.float32), steps=150, lr=0.1)[0]
            if start == 0 or right > best[problem, hidden][0]:
                best[problem, hidden] = right, model
            if right > 0.97:
                break
        right, model = best[problem, hidden]
        viz.decision_boundary(model, x, y, ax, title=f"{problem}, {hidden} neuron{'s'[: hidden - 1]}: {right:.0%}")
        for w, b in zip(model[0].weight.numpy(), model[0].bias.numpy(), strict=True):
            draw_line(ax, w, b, color=INK, linestyle=":")
plt.show()
enough = {p: next(h for h in (1, 2, 3) if best[p, h][0] > 0.97) for p in problems}
print("neurons needed:", enough)
assert list(enough.values()) == [1, 2, 3]

# %% [markdown]
# Why does the island need three? Look at it from inside. The hidden layer of the last network puts every point
# somewhere into a cube, one axis for each neuron: the plane becomes a bent sheet in three dimensions, its middle
# pushed out to one corner, and there one flat plane (green) cuts the island off. The output neuron is that plane.

# %% tags=["varies"]
x, y = problems["an island"]
model = best["an island", 3][1]
h = model[:2](Tensor(x)).numpy()  # (N, 3)
w, b = model[2].weight.numpy()[0], model[2].bias.item()
reach = np.linspace(-1.2, 1.2, 41)
sheet = model[:2](Tensor(np.stack(np.meshgrid(reach, reach), -1).reshape(-1, 2).astype(np.float32))).numpy()
axis = int(np.abs(w).argmax())  # solve the plane's equation for the coordinate that divides safely
u, v = np.meshgrid(np.linspace(-1, 1, 30), np.linspace(-1, 1, 30))
plane = np.stack([u, v], -1)
across = -(plane @ np.delete(w, axis) + b) / w[axis]
across[np.abs(across) > 1] = np.nan
u[np.isnan(across)] = v[np.isnan(across)] = np.nan
flat = np.insert(np.stack([u, v]), axis, across, axis=0)

fig = plt.figure(figsize=(12, 5.2), layout="constrained")
for panel, (elevation, turn) in enumerate(((22, -60), (10, 30)), 1):
    ax = fig.add_subplot(1, 2, panel, projection="3d")
    ax.plot_wireframe(*sheet.T.reshape(3, 41, 41), rstride=2, cstride=2, color=GREY, linewidth=0.5)
    ax.plot_wireframe(*flat, color=GREEN, linewidth=0.7, rstride=2, cstride=2)
    for k in (0, 1):
        ax.scatter(*h[y == k].T, s=14, marker=viz.style.MARKERS[k], color=CLASSES[k], label=f"class {k}")
    ax.view_init(elevation, turn)
    ax.set(xlabel="h₁", ylabel="h₂", zlabel="h₃", xticks=[-1, 0, 1], yticks=[-1, 0, 1], zticks=[-1, 0, 1])
ax.legend(frameon=False, fontsize=9)
plt.show()
assert ((h @ w + b > 0) == (y == 1)).mean() > 0.97

# %% [markdown]
# ## 6. Without the bend: a stack of affine maps is one affine map
#
# Put two layers after each other and leave the activation away:
#
# $$(xW_1^\top + b_1)W_2^\top + b_2 = x\,(W_2W_1)^\top + (W_2 b_1 + b_2).$$
#
# That is again "scale, then offset", with $W = W_2W_1$ and $b = W_2b_1+b_2$. By repetition the same holds for any
# number of layers. The cell multiplies twenty layers together and compares: three numbers remain of nearly 8,000.
# Then the same twenty layers, the same weights, with a tanh after each.
#
# *Source:* `minidl/nn/container.py`. *Reference:* Bishop (2006), "Pattern Recognition and Machine Learning",
# section 5.1.

# %%
rng = np.random.default_rng(5)
sizes = [2] + [20] * 19 + [1]
layers = [nn.Linear(n, m, dtype=np.float64) for n, m in zip(sizes, sizes[1:], strict=False)]
for layer in layers:
    nn.init.orthogonal_(layer.weight, gain=1.7, rng=rng)
    nn.init.normal_(layer.bias, std=0.3, rng=rng)
affine = nn.Sequential(*layers)
bent = nn.Sequential(*[part for layer in layers for part in (layer, nn.Tanh())][:-1])

W, b = np.eye(2), np.zeros(2)
for layer in layers:
    W, b = layer.weight.numpy() @ W, layer.weight.numpy() @ b + layer.bias.numpy()
one = nn.Linear(2, 1, dtype=np.float64)
one.weight.data, one.bias.data = W, b

places = rng.uniform(-1, 1, (200, 2))
fig, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
networks = {"20 affine layers": affine, "their product, 1 layer": one, "20 layers with tanh between": bent}
for ax, (name, model) in zip(axes, networks.items(), strict=True):
    shift = np.median(model(Tensor(places)).numpy())
    size = model(Tensor(places)).numpy().std()
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 150)] * 2), -1)
    z = (model(Tensor(grid.reshape(-1, 2))).numpy().reshape(150, 150) - shift) / size
    ax.contourf(*grid.transpose(2, 0, 1), z, np.linspace(-3, 3, 25), cmap=viz.style.SIGNED, extend="both")
    ax.contour(*grid.transpose(2, 0, 1), z, [0], colors=INK)
    ax.set_aspect("equal")
    dress(ax, name, "x₁", "x₂" * (model is affine), None)
plt.show()
print(f"{sum(p.size for p in affine.parameters())} parameters, or W = {W.round(1).tolist()}, b = {b.round(1).tolist()}")
assert np.allclose(affine(Tensor(places)), one(Tensor(places)))
H = minidl.hessian(lambda p: affine(p).sum(), places[0]).numpy()  # second derivatives: is there any bend?
H_bent = minidl.hessian(lambda p: bent(p).sum(), places[0]).numpy()
print(f"largest second derivative: affine {np.abs(H).max():.1g}, with tanh {np.abs(H_bent).max():.2g}")
assert np.abs(H).max() < 1e-6 < np.abs(H_bent).max()

# %% [markdown]
# ## 7. Width adds pieces
#
# One input, $m$ ReLU neurons, one output:
#
# $$f(x) = c + \sum_{i=1}^{m} a_i \operatorname{relu}(w_i x + b_i).$$
#
# Each neuron has one *kink*, at $x = -b_i/w_i$; between the kinks $f$ is straight. So $m$ neurons make at most $m + 1$
# straight pieces, and a smooth function needs enough of them: the error falls about as $1/m^2$. Any continuous
# function on an interval can be approached in this way, with any activation that is not a polynomial; how many
# neurons that takes, and whether training finds them, is another question. Below the kinks are spread evenly, and the
# $a_i$ and $c$ come from least squares, so that chance and training play no part.
#
# *Reference:* Leshno, Lin, Pinkus, Schocken (1993), "Multilayer feedforward networks with a nonpolynomial activation
# function can approximate any function", Neural Networks 6.

# %%
def target(x):
    return np.sin(3 * x) + 0.5 * np.cos(7 * x)


def fitted(m):
    """m ReLU neurons with kinks spread evenly over -1..1 and the best output weights for the target."""
    model = nn.Sequential(nn.Linear(1, m, dtype=np.float64), nn.ReLU(), nn.Linear(m, 1, dtype=np.float64))
    model[0].weight.data = np.ones((m, 1))
    model[0].bias.data = -np.linspace(-1, 1, m + 1)[:-1]
    features = np.concatenate([model[:2](Tensor(line)).numpy(), np.ones_like(line)], axis=1)  # (N, m + 1)
    solution = np.linalg.lstsq(features, target(line), rcond=None)[0]
    model[2].weight.data, model[2].bias.data = solution[:-1].T, solution[-1]
    return model


line = np.linspace(-1, 1, 2001)[:, None]
fig, axes = plt.subplots(1, 4, figsize=(14, 3.5), layout="constrained")
for ax, m in zip(axes, (3, 6, 12), strict=False):
    ax.plot(line, target(line), color=GREY, linewidth=3, alpha=0.5)
    ax.plot(line, fitted(m)(Tensor(line)).numpy(), color=VERMILLION)
    kinks = np.linspace(-1, 1, m + 1)[:-1, None]
    ax.plot(kinks, fitted(m)(Tensor(kinks)).numpy(), "o", color=VERMILLION, markersize=4)
    dress(ax, f"{m} neurons", "x", "")
counts = np.array([8, 16, 32, 64, 128])
errors = [np.sqrt(np.mean((fitted(m)(Tensor(line)).numpy() - target(line)) ** 2)) for m in counts]
rate = np.polyfit(np.log(counts), np.log(errors), 1)[0]
axes[3].loglog(counts, errors, "o-")
axes[3].set_xticks(counts, counts, minor=False)
axes[3].minorticks_off()
dress(axes[3], f"Error: slope {rate:.2f}", "neurons", "root mean square", "both")
plt.show()
assert -2.3 < rate < -1.7

# %% [markdown]
# ## 8. Depth multiplies them
#
# Two neurons make a tent, $T(x) = \operatorname{relu}(2x) - \operatorname{relu}(4x - 2)$, which maps 0...1 onto 0...1
# *twice*, once up and once down: it folds the interval. A second layer of the same kind sees each half of the interval
# as a whole one, and so $T(T(x))$ has four pieces. After $L$ layers there are
#
# $$2^L \text{ pieces from } 2L \text{ neurons}; \qquad \text{one layer needs } 2^L - 1 \text{ neurons for that.}$$
#
# The slope, counted with `minidl.grad`, tells where one piece ends and the next begins.
#
# *Reference:* Telgarsky (2016), "Benefits of depth in neural networks", COLT, arXiv:1602.04485; Montúfar, Pascanu,
# Cho, Bengio (2014), "On the number of linear regions of deep neural networks", arXiv:1402.1869.

# %%
fold = nn.Sequential(nn.Linear(1, 2, dtype=np.float64), nn.ReLU(), nn.Linear(2, 1, bias=False, dtype=np.float64))
fold[0].weight.data, fold[0].bias.data = np.array([[2.0], [4.0]]), np.array([0.0, -2.0])
fold[2].weight.data = np.array([[1.0, -1.0]])

places = (np.arange(4096)[:, None] + 0.5) / 4096  # none of them on a kink
fig, axes = plt.subplots(1, 4, figsize=(14, 2.9), layout="constrained", sharey=True)
pieces = []
for depth in range(1, 7):
    x = Tensor(places, requires_grad=True)
    y = nn.Sequential(*[fold] * depth)(x)  # the same two neurons again and again
    (slope,) = minidl.grad(y.sum(), x)
    assert (np.abs(slope.numpy()) == 2**depth).all()  # the chain rule: 2 in each layer
    pieces.append(1 + int((np.diff(slope.numpy()[:, 0]) != 0).sum()))
    if depth in (1, 2, 3, 6):
        ax = axes[(1, 2, 3, 6).index(depth)]
        ax.plot(places, y.numpy(), color=CLASSES[0], linewidth=1.4 if depth < 6 else 0.9)
        dress(ax, f"{depth} layer{'s'[: depth - 1]}, {2 * depth} neurons: {pieces[-1]} pieces", "x", "")
plt.show()
print("pieces by depth:", pieces)
assert pieces == [2**depth for depth in range(1, 7)]

# %% [markdown]
# ## Break it
#
# A tanh is almost straight near zero. Make the weights before it a hundred times smaller and those after it a hundred
# times larger: by the size of the numbers nothing has changed, but the bend is not used any more, and the network can
# do no more than a single neuron. (What happens if you go the other way?)

# %% tags=["varies"]
x, y = problems["an island"]
model, shares = best["an island", 3][1], []
for factor in (1, 100):
    model[0].weight.data, model[0].bias.data = model[0].weight.numpy() / factor, model[0].bias.numpy() / factor
    model[2].weight.data = model[2].weight.numpy() * factor
    shares.append(((model(Tensor(x)).numpy()[:, 0] > 0) == y).mean())
print(f"right before {shares[0]:.2f}, and when the tanh is used only where it is straight {shares[1]:.2f}")
assert shares[0] > 0.97 and shares[1] < 0.8
