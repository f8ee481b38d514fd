# %% [markdown]
# # Initialisation: will the signal arrive?
#
# Before a network has learned anything its weights are random numbers, and somebody has to say how large. Too small,
# and after fifty layers nothing is left of the input; too large, and it overflows. The right size follows from one line
# of statistics, and this lesson derives it, measures it through 50 layers, compares the usual rules and their *gains*,
# and shows the one thing that no size can repair: weights that are all equal.
#
# *Variance*: the mean squared distance from the mean; *standard deviation* (std): its root. *Fan-in*, *fan-out*: the
# number of inputs of a unit, and the number of units that an input goes to.
#
# *Before this:* lesson 07, activations and their slopes. *After this:* lesson 09, linear classifiers; lesson 11 for
# other reasons why training is hard, lesson 17 for norm layers, which repair the size afterwards.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, nn, optim, viz
from minidl.nn import functional as F
from minidl.nn import init
from minidl.viz.style import BLUE, CLASSES, GREY, VERMILLION, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)

# %% [markdown]
# ## 1. One layer
#
# A unit sums $n_{in}$ products of independent numbers, with weights of mean zero. Variances of independent numbers add:
#
# $$y_i = \sum_{j=1}^{n_{in}} w_{ij} x_j \qquad\Rightarrow\qquad
# \operatorname{var}(y) = n_{in}\,\operatorname{var}(w)\,E[x^2].$$
#
# With weights of a fixed size, whatever it is, wide layers make the signal larger and narrow ones make it smaller. To
# keep it, $\operatorname{var}(w) = 1/n_{in}$. If the input went through a ReLU, half of a symmetric signal has been set
# to zero, so $E[x^2]$ is half of what it was before, and twice the variance is needed: $2/n_{in}$, which is He's rule.
#
# *Source:* `minidl/nn/init.py`. *Reference:* He, Zhang, Ren, Sun (2015), "Delving deep into rectifiers", section 2.2,
# arXiv:1502.01852.

# %%
rng = np.random.default_rng(0)
widths = 2 ** np.arange(2, 11)
rules = {"std 0.1": lambda w: init.normal_(w, std=0.1, rng=1), "variance 1/n": lambda w: init.xavier_normal_(w, rng=1),
         "variance 2/n (He)": lambda w: init.he_normal_(w, nonlinearity="relu", rng=1)}  # fmt: skip
fig, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", sharey=True)
for ax, (name, before) in zip(axes, {"Input N(0, 1)": lambda x: x, "Input relu(N(0, 1))": F.relu}.items(), strict=True):
    for (rule, fill), marker in zip(rules.items(), viz.style.MARKERS, strict=False):
        ratio = []
        for n in widths:
            x = before(Tensor(rng.standard_normal((2000, n)).astype(np.float32)))
            weight = fill(minidl.zeros(n, n))
            ratio.append((F.linear(x, weight).numpy() ** 2).mean())
            predicted = n * weight.numpy().astype(np.float64).var() * (x.numpy() ** 2).mean()
            assert 0.5 < ratio[-1] / predicted < 1.6  # the equation above; few weights, so not to many digits
        ax.loglog(widths, ratio, marker=marker, markersize=5, label=rule)
    ax.axhline(1, color=GREY, linestyle=":")
    dress(ax, name, "width n", "variance of the output" * (ax is axes[0]))
    key(ax)
plt.show()

# %% [markdown]
# ## 2. Fifty layers
#
# Through $L$ layers the factor is multiplied $L$ times, and so is the factor of the gradient on its way back:
#
# $$\operatorname{std}(h_L) = q^L\,\operatorname{std}(h_0), \qquad
# q = \sqrt{\tfrac12\,n\operatorname{var}(w)} \text{ for ReLU}, \qquad q = 1 \text{ for He's rule}.$$
#
# `viz.signal` sends noise through such networks, 50 ReLU layers of width 64, and draws the std after each. On the right
# the gradient, which starts at layer 50: read it from right to left. Xavier's rule was made for activations without
# ReLU's loss, and halves the variance in every layer here: $2^{-25}$ in std. A rule that is 1.5 times too large is off
# by $1.5^{50} = 6\cdot 10^8$. (That the good lines are not quite level is chance: He's rule holds on average, and 50
# layers are 50 draws. A network twice as wide varies less.) And the level line of the constant weights is a warning:
# size is not everything. All its units carry the same number; section 7 says what comes of that.
#
# *Source:* `viz.signal` in `minidl/viz/initialisation.py`. *Reference:* as above, figures 2 and 3.

# %%
initialisers = {
    "N(0, 0.05²)": lambda w: init.normal_(w, std=0.05),
    "Xavier": init.xavier_normal_,
    "He": lambda w: init.he_normal_(w, nonlinearity="relu"),
    "He, uniform": lambda w: init.he_uniform_(w, nonlinearity="relu"),
    "orthogonal, gain √2": lambda w: init.orthogonal_(w, gain=2**0.5),
    "He × 1.5": lambda w: init.normal_(w, std=1.5 * (2 / w.shape[1]) ** 0.5),
    "constant 1/n": lambda w: init.constant_(w, 1 / w.shape[1]),
    "zeros": init.zeros_,
}
DEPTH, WIDTH = 50, 64
found = viz.collect_signal(initialisers, depth=DEPTH, width=WIDTH, batch=100, rng=0)
viz.signal(found, fig=plt.figure(figsize=(13, 5), layout="constrained"))
plt.show()

factor = {"N(0, 0.05²)": 0.05 * (WIDTH / 2) ** 0.5, "Xavier": 0.5**0.5, "He": 1, "orthogonal, gain √2": 1,
          "He × 1.5": 1.5}  # fmt: skip
print("                      factor a layer: predicted   forward   backward")
for name, q in factor.items():
    h, g = (np.array(found[name][k]) for k in ("activation", "gradient"))
    forward, backward = (h[-1] / h[0]) ** (1 / (DEPTH - 1)), (g[0] / g[-1]) ** (1 / (DEPTH - 1))
    print(f"{name:35} {q:12.2f} {forward:9.2f} {backward:10.2f}")
    assert abs(forward / q - 1) < 0.12 and abs(backward / q - 1) < 0.12

# %% [markdown]
# ## 3. One formula, a factor α for the activation
#
# A common way to write the rules is one formula with a factor that belongs to the activation,
#
# $$w \sim N\!\left(0,\ \alpha\sqrt{\frac{2}{n_{in}+n_{out}}}\right), \qquad
# \alpha = 1 \text{ (linear, tanh)}, \quad 4 \text{ (sigmoid)}, \quad \sqrt 2 \text{ (ReLU)},$$
#
# where the second argument is the *standard deviation*, not the variance. The mean of fan-in and fan-out is Glorot's
# and Bengio's compromise between the two directions (section 5). The $\sqrt 2$ makes up for what ReLU cuts away. The 4
# makes up for the sigmoid's slope of $\frac14$ at zero; it cannot do so away from zero, where larger weights also push
# the units into saturation, so its gradient still fades, to about 0.6 of itself in each layer. Do not give the 4 to
# tanh, whose slope at zero is 1 already. The picture in the middle shows what comes of it: the signal is saturated from
# the first layer on, and the gradient explodes.
#
# *Source:* `init.scaled_normal_`. *Reference:* Glorot, Bengio (2010), "Understanding the difficulty of training deep
# feedforward neural networks", AISTATS.

# %%
activations = {"sigmoid": F.sigmoid, "tanh": minidl.tanh, "ReLU": F.relu}
alphas = {"α = 1": 1.0, "α = √2": 2**0.5, "α = 4": 4.0}
fig, axes = plt.subplots(2, 3, figsize=(13, 6.4), layout="constrained", sharex=True)
change = {}
for (top, below), (name, activation) in zip(axes.T, activations.items(), strict=True):
    fills = {label: lambda w, a=a: init.scaled_normal_(w, a) for label, a in alphas.items()}
    lines = viz.collect_signal(fills, activation, DEPTH, WIDTH, batch=100, rng=0)
    for (label, line), marker in zip(lines.items(), viz.style.MARKERS, strict=False):
        for ax, kind in ((top, "activation"), (below, "gradient")):
            ax.semilogy(range(1, DEPTH + 1), line[kind], marker=marker, markevery=7, markersize=5, label=label)
        change[name, label] = (line["gradient"][0] / line["gradient"][-1]) ** (1 / (DEPTH - 1))
    dress(top, f"{name}: activations", "", "std" * (name == "sigmoid"))
    dress(below, f"{name}: gradients", "layer", "std" * (name == "sigmoid"))
    key(top)
plt.show()
print("factor of the gradient a layer      " + "".join(f"{label:>8}" for label in alphas))
for name in activations:
    print(f"{name:35} " + "".join(f"{change[name, label]:8.2f}" for label in alphas))
    best = min(alphas, key=lambda label: abs(np.log(change[name, label])))
    assert best == {"sigmoid": "α = 4", "tanh": "α = 1", "ReLU": "α = √2"}[name]

# %% [markdown]
# ## 4. Gains
#
# For any activation one can ask which factor, the *gain*, is right in the first place. If a unit's input $z$ is
# $N(0, 1)$, the next layer needs weights of std $\text{gain}/\sqrt n$ with
#
# $$\text{gain}_{\text{forward}} = \frac{1}{\sqrt{E[\varphi(z)^2]}}, \qquad
# \text{gain}_{\text{backward}} = \frac{1}{\sqrt{E[\varphi'(z)^2]}}.$$
#
# For ReLU and LeakyReLU the two agree, at every size of $z$; that is what is special about them. For the others they do
# not, and one has to compromise: with a sigmoid no single number serves both directions, which is another reason why it
# is not used in deep networks. `init.calculate_gain` returns the customary numbers, here as bars beside the integrals.
# (tanh's $5/3$ and the sigmoid's 1 are custom rather than result.)
#
# *Reference:* He et al. (2015), section 2.2; Klambauer, Unterthiner, Mayr, Hochreiter (2017), "Self-normalizing neural
# networks", arXiv:1706.02515, for an activation that is built from such integrals.

# %%
units = {"linear": nn.Identity(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "relu": nn.ReLU(),
         "leaky_relu": nn.LeakyReLU(0.3), "Swish": nn.Swish(), "GELU": nn.GELU(), "ELU": nn.ELU()}  # fmt: skip
table = {}
for name, unit in units.items():
    line = viz.values_and_gradients(unit, (-8, 8), 8001)
    density = np.exp(-(line["x"] ** 2) / 2) / (2 * np.pi) ** 0.5
    forward, backward = (np.trapezoid(line[k] ** 2 * density, line["x"]) ** -0.5 for k in ("value", "gradient"))
    slope = 0.3 if name == "leaky_relu" else None
    table[name] = forward, backward, init.calculate_gain(name, slope) if name.islower() else np.nan
    print(f"{name:11} forward {forward:.3f}   backward {backward:.3f}   calculate_gain {table[name][2]:.3f}")
assert np.allclose(table["relu"], 2**0.5, rtol=1e-3)
assert np.allclose(table["leaky_relu"], (2 / (1 + 0.3**2)) ** 0.5, rtol=1e-3)

fig, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
for k, (label, colour) in enumerate((("keeps the signal", BLUE), ("keeps the gradient", VERMILLION),
                                     ("calculate_gain", GREY))):  # fmt: skip
    ax.bar(np.arange(len(table)) + 0.27 * (k - 1), [row[k] for row in table.values()], 0.25, color=colour, label=label)
ax.set_xticks(range(len(table)), ["leaky_relu(0.3)" if name == "leaky_relu" else name for name in table])
dress(ax, "Gain", "", "")
key(ax)
plt.show()

# %% [markdown]
# ## 5. Forward or backward? Fan-in or fan-out
#
# The gradient goes through the same matrix the other way, $\partial L/\partial x = W^\top\,\partial L/\partial y$:
# there each number is a sum of $n_{out}$ products, so that *its* variance is kept by $1/n_{out}$. In a layer that is
# not square both cannot hold. But factors multiply, and $\frac{n_1}{n_0}\cdot\frac{n_2}{n_1}\cdots$ cancels except for
# the ends: if one direction is kept exactly, the other is off by $\sqrt{n_L/n_0}$ in all, however deep the network is.
#
# Here widths go to and fro between 16 and 256, in linear layers. With `fan_in` the signal is level and the gradient
# hops by a factor of 4; with `fan_out` it is the other way round. Xavier's mean of the two lets both hop, and worse,
# both fade, by $2\sqrt{n_1n_2}/(n_1+n_2) = 0.47$ every two layers, because the mean of 16 and 256 is far too large for
# 16. It was meant for layers that are almost square.
#
# *Source:* `init.fans`; for convolutions fan-in is $C \cdot k_h \cdot k_w$. *Reference:* He et al. (2015), section 2.2,
# "backward propagation case".

# %%
sizes = [256 if k % 2 else 16 for k in range(21)]
modes = {"fan_in": lambda w: init.he_normal_(w, nonlinearity="linear", rng=rng),
         "fan_out": lambda w: init.he_normal_(w, mode="fan_out", nonlinearity="linear", rng=rng),
         "Xavier": lambda w: init.xavier_normal_(w, rng=rng)}  # fmt: skip
fig, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
spread = {}
for (name, fill), marker in zip(modes.items(), viz.style.MARKERS, strict=False):
    h = [Tensor(rng.standard_normal((400, 16)).astype(np.float32), requires_grad=True)]
    for n, m in zip(sizes, sizes[1:], strict=False):
        h.append(F.linear(h[-1], fill(minidl.zeros(m, n))))
    gradients = minidl.grad(h[-1], h, Tensor(rng.standard_normal((400, 16)).astype(np.float32)))
    for ax, tensors in zip(axes, (h, gradients), strict=True):
        stds = np.array([t.numpy().std() for t in tensors])
        ax.semilogy(stds, marker=marker, markersize=5, label=name)
        spread[name, ax is axes[0]] = stds
dress(axes[0], "Activations", "layer (even: 16 wide, odd: 256 wide)", "std")
dress(axes[1], "Gradients (read from right to left)", "layer", "")
for ax in axes:
    viz.style.whole_numbers(ax.xaxis)
    key(ax)
plt.show()
hop = {name: float(np.median(np.abs(np.diff(np.log(line))))) for name, line in spread.items()}
print("hops, activations:", {n: round(float(np.exp(hop[n, True])), 1) for n in modes},
      " gradients:", {n: round(float(np.exp(hop[n, False])), 1) for n in modes})  # fmt: skip
for level, hopping in ((hop["fan_in", True], hop["fan_in", False]), (hop["fan_out", False], hop["fan_out", True])):
    assert level < 0.3 and abs(hopping - np.log(4)) < 0.3
fading = spread["Xavier", True][20] / spread["Xavier", True][0]
print(f"Xavier's signal after 20 layers: {fading:.1e}, and 0.47 to the power of 10 is {(2 * 64 / 272) ** 10:.1e}")
assert 0.3 < fading / (2 * 64 / 272) ** 10 < 3
conv = nn.Conv2d(8, 32, kernel_size=3)
init.he_normal_(conv.weight, nonlinearity="relu", rng=0)
print(f"convolution 8 -> 32 channels, 3 x 3: fans {init.fans(conv.weight)}, std {conv.weight.numpy().std():.3f}")
assert init.fans(conv.weight) == (8 * 9, 32 * 9) and abs(conv.weight.numpy().std() - (2 / 72) ** 0.5) < 0.005

# %% [markdown]
# ## 6. Orthogonal weights: every direction arrives
#
# Keeping the variance is a statement about averages. A random matrix of the right size stretches some directions and
# shrinks others: its *singular values*, the factors by which it does so, lie between 0 and 2. In a product of many such
# matrices the differences are multiplied, until one direction has taken everything and the network can tell its inputs
# apart along one line only. An orthogonal matrix, $Q^\top Q = I$, has singular values 1, and so has every product of
# them.
#
# $$\|Q_L\cdots Q_2Q_1x\| = \|x\| \quad\text{exactly, for all } x.$$
#
# *Source:* `init.orthogonal_`. *Reference:* Saxe, McClelland, Ganguli (2014), "Exact solutions to the nonlinear
# dynamics of learning in deep linear networks", arXiv:1312.6120.

# %%
fig, axes = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained", sharey=True)
at_end = {}
for ax, (name, fill) in zip(axes, {"Xavier": init.xavier_normal_, "orthogonal": init.orthogonal_}.items(), strict=True):
    product, stream = np.eye(WIDTH), np.random.default_rng(0)
    depths = (1, 2, 5, 10, 20, 50)
    for depth in range(1, 51):
        product = fill(Tensor(np.empty((WIDTH, WIDTH))), rng=stream).numpy() @ product
        if depth in depths:
            values = np.linalg.svd(product, compute_uv=False)
            ax.semilogy(np.arange(1, WIDTH + 1), values, ".-", markersize=4, linewidth=0.8, label=f"{depth}",
                        color=viz.style.ordered(6)[depths.index(depth)])  # fmt: skip
    dress(ax, f"{name}: product of 1, 2, ... 50 layers", "rank of the direction", "factor" * (name == "Xavier"))
    key(ax)
    ax.set_ylim(1e-8, 1e2)
    at_end[name] = values
plt.show()
within = int((at_end["Xavier"] > at_end["Xavier"][0] / 100).sum())
print(f"50 Xavier layers: {within} of {WIDTH} directions arrive with a hundredth of the strongest or more")
assert np.allclose(at_end["orthogonal"], 1) and within < 20

# %% [markdown]
# ## 7. Symmetry
#
# No size helps when weights are *equal*. Two units with the same weights in and out compute the same number, get the
# same gradient, make the same step, and are the same for ever: a layer of eight is a layer of one. *Zeros* are worse:
# for $h = \tanh(xW_1^\top)$, $z = hW_2^\top$ with both zero,
#
# $$\frac{\partial L}{\partial W_2} = g^\top h = 0, \qquad
# \frac{\partial L}{\partial W_1} = \big((gW_2)\odot(1-h^2)\big)^\top x = 0,$$
#
# and nothing moves at all, except for the last bias. Chance has to *break the symmetry*. Biases may be zero, for then
# the weights already differ. Below, a network 2 - 8 - 1 learns XOR; each line is the way of one unit's two weights
# during training, from the circle to the dot.
#
# *Source:* the top of `minidl/nn/init.py`. *Reference:* Rumelhart, Hinton, Williams (1986), "Learning representations
# by back-propagating errors", Nature 323 (the end of the text).

# %% tags=["varies"]
points, label = data.xor(200, noise=0.25, rng=0)
target = Tensor(label[:, None].astype(np.float32))
starts = {"zeros": init.zeros_, "constant 0.5": lambda w: init.constant_(w, 0.5),
          "Xavier": lambda w: init.xavier_normal_(w, rng=stream)}  # fmt: skip
fig, axes = plt.subplots(1, 4, figsize=(14, 3.8), layout="constrained")
outcome, stream = {}, np.random.default_rng(2)
for ax, (name, fill), colour in zip(axes, starts.items(), (GREY, VERMILLION, BLUE), strict=False):
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    for layer in (model[0], model[2]):
        fill(layer.weight)
        init.zeros_(layer.bias)
    optimizer, path, losses = optim.SGD(model.parameters(), lr=0.3, momentum=0.9), [], []
    for _ in range(120):
        path.append(model[0].weight.numpy().copy())
        loss = F.binary_cross_entropy_with_logits(model(points), target)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    path = np.array(path)  # (steps, 8, 2)
    for unit in range(8):
        ax.plot(*path[:, unit].T, color=colour, linewidth=1.2)
        ax.plot(*path[0, unit], "o", color=colour, markerfacecolor="white", markersize=6)
        ax.plot(*path[-1, unit], "o", color=colour, markersize=6)
    ax.set(xlim=(-3.3, 3.3), ylim=(-3.3, 3.3), aspect="equal")
    axes[3].plot(losses, color=colour, label=name)
    different = len(np.unique(path[-1].round(3), axis=0))
    accuracy = float(((model(points).numpy()[:, 0] > 0) == label).mean())
    outcome[name] = different, accuracy
    dress(ax, f"{name}: {different} different unit{'s'[: different - 1]}", "w₁", "w₂" * (ax is axes[0]), "both")
dress(axes[3], "Loss", "step", "")
key(axes[3])
plt.show()
for name, (different, accuracy) in outcome.items():
    print(f"{name:13} {different} different units of 8, accuracy {accuracy:.2f}")
assert outcome["zeros"][0] == outcome["constant 0.5"][0] == 1 and outcome["Xavier"] == (8, 1.0)
assert max(outcome["zeros"][1], outcome["constant 0.5"][1]) < 0.8

# %% [markdown]
# ## 8. Does it matter for learning?
#
# Twenty ReLU layers of width 32, digits, Adam. Adam divides every gradient by its usual size, so that a small one makes
# as long a step as a large one. Still it does not help where the signal is gone: for weights that are too small the
# logits do not depend on the input any more. PyTorch's default, which `nn.Linear` has as well, is one of these: its
# variance is $1/(3n)$, a factor of 0.41 a layer, which is good for a few layers or with norm layers between. Nor do all
# starts that keep the variance learn equally fast: with orthogonal weights all directions arrive (section 6).
#
# *Reference:* Mishkin, Matas (2016), "All you need is a good init", arXiv:1511.06422.

# %% tags=["varies"]
digits, _ = data.load_train_test("digits")
X = ((digits.x - digits.x.mean()) / digits.x.std()).reshape(len(digits), 64)
starts = {"std 0.05": lambda w: init.normal_(w, std=0.05), "Xavier": init.xavier_normal_,
          "He": lambda w: init.he_normal_(w, nonlinearity="relu"),
          "orthogonal, gain √2": lambda w: init.orthogonal_(w, gain=2**0.5),
          "PyTorch's default": None}  # fmt: skip
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
reached = {}
for (name, fill), marker in zip(starts.items(), viz.style.MARKERS, strict=False):
    minidl.manual_seed(0)
    sizes = [64] + [32] * 20
    pairs = zip(sizes, sizes[1:], strict=False)
    model = nn.Sequential(*[part for n, m in pairs for part in (nn.Linear(n, m), nn.ReLU())], nn.Linear(32, 10))
    for layer in model:
        if fill and isinstance(layer, nn.Linear):
            fill(layer.weight)
            init.zeros_(layer.bias)
    optimizer, batches, curve = optim.Adam(model.parameters(), lr=1e-3), np.random.default_rng(0), []
    for step in range(201):
        if step % 10 == 0:
            curve.append((model(Tensor(X)).numpy().argmax(axis=1) == digits.y).mean())
        batch = batches.integers(0, len(X), 64)
        loss = F.cross_entropy(model(Tensor(X[batch])), digits.y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    reached[name] = float(curve[-1])
    ax.plot(range(0, 201, 10), curve, marker=marker, markersize=4, label=name)
dress(ax, "Twenty layers learn digits", "step", "accuracy on the training set")
key(ax)
plt.show()
print({name: round(accuracy, 2) for name, accuracy in reached.items()})
assert reached["std 0.05"] < 0.3 and min(reached["He"], reached["orthogonal, gain √2"]) > 0.7

# %% [markdown]
# ## Break it
#
# "A few per cent more or less cannot matter", and in one layer it does not. Ten per cent too much, or too little, in
# each of 50, and of 300:

# %%
for gain in (0.9, 1.0, 1.1):
    fill = {"Q": lambda w, g=gain: init.orthogonal_(w, g)}
    found = viz.collect_signal(fill, nn.Identity(), depth=300, width=32, rng=0)
    ends = found["Q"]["activation"]
    print(f"orthogonal, gain {gain}: std {ends[49]:.1e} after 50 layers, {ends[299]:.1e} after 300")
    assert np.isclose(np.log(ends[299] / ends[0]), 299 * np.log(gain), atol=0.01)
