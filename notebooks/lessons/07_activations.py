# %% [markdown]
# # Activations: where they bend, and where they stop to learn
#
# The activation is the only bend in a network, and its slope is a factor in every gradient that passes. So there are
# two things to look at in each: the curve, which says what the network can compute, and its slope, which says whether
# it can learn. This lesson draws both for all activations of the library, shows what *saturated* and *dead* units are,
# measures how gradients vanish, cures it, and looks at what happens to the formulas when numbers become large.
#
# *Before this:* lesson 06, why there must be a bend. *After this:* lesson 08, where the weights should start.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, nn, optim, viz
from minidl.nn import functional as F
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, ORANGE, SIGNED, SKY, VERMILLION, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)

# %% [markdown]
# ## 1. Curves and slopes
#
# | name | $f(x)$ | |
# |---|---|---|
# | sigmoid | $\sigma(x) = 1/(1+e^{-x})$ | between 0 and 1: a probability |
# | tanh | $(e^x-e^{-x})/(e^x+e^{-x}) = 2\sigma(2x)-1$ | between $-1$ and 1, odd |
# | ReLU | $\max(x, 0)$ | slope 0 or 1, a kink at 0 |
# | LeakyReLU | $x$ for $x>0$, else $0.1\,x$ (usually $0.01\,x$) | never slope 0 |
# | Swish, SiLU | $x\,\sigma(\beta x)$ | smooth, dips below zero |
# | GELU | $x\,\Phi(x)$, $\Phi$ the normal distribution function | the same shape |
# | ELU | $x$ for $x>0$, else $e^x - 1$ | smooth, bounded below |
#
# Where a gradient $g$ comes back through an activation it is multiplied by the slope, $g \cdot f'(x)$ (dashed). That is
# why the dashed line matters more than the solid one: $\sigma' = \sigma(1-\sigma) \le \frac14$, $\tanh' = 1 - \tanh^2
# \le 1$, and both are almost zero a few units away from the middle.
#
# *Source:* `minidl/ops/activation.py`, `minidl/nn/activation.py`, `minidl/viz/activations.py`. *Reference:* Nwankpa,
# Ijomah, Gachagan, Marshall (2018), "Activation functions: comparison of trends in practice and research for deep
# learning", arXiv:1811.03378.

# %%
shown = {"Sigmoid": nn.Sigmoid(), "Tanh": nn.Tanh(), "ReLU": nn.ReLU(), "LeakyReLU(0.1)": nn.LeakyReLU(0.1),
         "Swish, SiLU": nn.Swish(), "GELU": nn.GELU(), "ELU": nn.ELU(), "Softplus": nn.Softplus()}  # fmt: skip
fig, axes = plt.subplots(2, 4, figsize=(13, 6), layout="constrained", sharey=True)
print("                 greatest slope   slope at 0   share of -8...8 where the slope is under 0.05")
for ax, (name, f) in zip(axes.flat, shown.items(), strict=True):
    viz.function_and_gradient(f, (-4, 4), ax, name=name)
    ax.set_ylim(-1.2, 2.2)
    line = viz.values_and_gradients(f, (-8, 8), 1601)
    slope = line["gradient"]
    flat = np.mean(np.abs(slope) < 0.05)
    print(f"{name:16} {slope.max():12.2f} {slope[800]:14.2f} {flat:14.0%}")
    h = 1e-5  # and is the slope that was drawn the right one? Compare with a difference, away from the kinks
    x = np.array([-2.3, -0.7, 0.4, 1.9])
    difference = (f(Tensor(x + h)).numpy() - f(Tensor(x - h)).numpy()) / (2 * h)
    assert np.allclose(difference, np.interp(x, line["x"], slope), atol=1e-3)
plt.show()

# %% [markdown]
# ## 2. Sigmoid with a slope, tanh, and how they are related
#
# $$\sigma_\beta(x) = \frac{1}{1+e^{-\beta x}}, \qquad \sigma_\beta'(x) = \beta\,\sigma_\beta(x)(1-\sigma_\beta(x)),
# \qquad \sigma_\beta'(0) = \frac\beta4.$$
#
# A large $\beta$ makes a step, a small one a nearly straight line. The area under the slope is always 1 (it is how far
# the curve climbs), so what $\beta$ adds in the middle it takes away outside: a steep sigmoid has a slope almost
# nowhere. And tanh is a sigmoid with $\beta=2$, stretched to twice the height: $\tanh x = 2\sigma_2(x)-1$. Its slope at
# zero is 1, four times that of the plain sigmoid, and its outputs have mean zero, which is why it learns better.
#
# *Source:* `nn.Sigmoid(beta)`. *Reference:* LeCun, Bottou, Orr, Müller (1998), "Efficient BackProp", section 4.4.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for beta, colour in ((0.5, SKY), (1, BLUE), (2, GREEN), (5, ORANGE), (20, VERMILLION)):
    line = viz.values_and_gradients(nn.Sigmoid(beta), (-6, 6), 2401)
    left.plot(line["x"], line["value"], color=colour, label=f"β = {beta:g}")
    right.plot(line["x"], line["gradient"], color=colour)
    assert np.isclose(line["gradient"].max(), beta / 4)
    area = np.trapezoid(line["gradient"], line["x"])
    print(f"β = {beta:4}: slope at 0 {line['gradient'][1200]:.3f}, area under the slope from -6 to 6: {area:.3f}")
    assert np.isclose(area, line["value"][-1] - line["value"][0], atol=1e-3)
dress(left, "σ(βx)", "x", "")
dress(right, "its slope", "x", "")
key(left)
plt.show()
x = np.linspace(-5, 5, 101)
assert np.allclose(minidl.tanh(x), 2 * F.sigmoid(x, 2) - 1)

# %% [markdown]
# ## 3. Swish: a β that can be learned
#
# $$\operatorname{swish}_\beta(x) = x\,\sigma(\beta x), \qquad
# \frac{\partial}{\partial x} = \sigma + \beta x\,\sigma(1-\sigma), \qquad
# \frac{\partial}{\partial\beta} = x^2\sigma(1-\sigma), \qquad \sigma = \sigma(\beta x).$$
#
# $\beta$ moves it between a straight line, $x/2$ for $\beta = 0$, and the ReLU, for $\beta\to\infty$. It always dips
# below zero, for $\beta=1$ to $-0.278$ at $x=-1.278$, so that its slope on the left is not zero, except in the dip.
# With `nn.Swish(learnable=True)` the number $\beta$ is a parameter of the layer, and training decides how sharp the
# bend should be. Here a network whose only parameter is $\beta$ learns from examples which member of the family made
# them. GELU is a close relative: $\operatorname{swish}_{1.702}$ differs from it by 0.02 at most.
#
# *Source:* `nn.Swish`. *References:* Ramachandran, Zoph, Le (2017), "Searching for activation functions",
# arXiv:1710.05941; Hendrycks, Gimpel (2016), "Gaussian error linear units", arXiv:1606.08415.

# %%
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
for beta, colour in ((0, GREY), (0.5, SKY), (1, BLUE), (2, GREEN), (10, VERMILLION)):
    line = viz.values_and_gradients(nn.Swish(beta), (-4, 4))
    left.plot(line["x"], line["value"], color=colour, label=f"β = {beta:g}")
    middle.plot(line["x"], line["gradient"], color=colour)
dress(left, "x σ(βx)", "x", "", "both")
dress(middle, "its slope", "x", "", "both")
key(left)

x = Tensor(np.random.default_rng(0).normal(0, 2, 500).astype(np.float32))
for true, colour in ((0.2, SKY), (1.0, BLUE), (2.0, GREEN), (5.0, ORANGE)):
    swish, path = nn.Swish(beta=1.5, learnable=True), []
    optimizer = optim.Adam(swish.parameters(), lr=0.2)
    for _ in range(300):
        path.append(swish.beta.item())
        loss = F.mse_loss(swish(x), F.swish(x, true))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right.plot(path, color=colour)
    right.axhline(true, color=colour, linestyle=":")
    assert abs(path[-1] - true) < 0.05 * true
dress(right, "β is learned (dotted: the true one)", "step", "β")
plt.show()

line = viz.values_and_gradients(nn.Swish(), (-4, 4), 8001)
lowest = line["value"].argmin()
wide = np.linspace(-8, 8, 2001)
print(f"lowest point of Swish: {line['value'][lowest]:.3f} at {line['x'][lowest]:.3f}")
print(f"GELU and Swish with 1.702 differ by {np.abs(F.gelu(wide) - F.swish(wide, 1.702)).max():.3f} at most,"
      f" GELU and its formula with tanh by {np.abs(F.gelu(wide) - F.gelu(wide, 'tanh')).max():.1e}")
assert minidl.gradcheck(F.swish, [np.array([-2.0, 0.5, 3.0]), np.array(1.3)], order=2)  # in x and in beta

# %% [markdown]
# ## 4. Softmax: an activation that looks at all units together
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}, \qquad
# \frac{\partial p_i}{\partial z_j} = p_i(\delta_{ij} - p_j), \quad
# \text{as a matrix } \operatorname{diag}(p) - p\,p^\top$$
#
# ($\delta_{ij}$ is 1 for $i=j$, else 0). It turns any numbers (*logits*) into positive ones whose sum is 1. Adding
# the same number to all logits changes nothing, so every row of the derivative sums to zero: what one class gains the
# others lose. For two classes it is the sigmoid of the difference. It saturates, too: where one $p_i$ is close to 1,
# the whole matrix is close to zero. Multiplying the logits by a number ("1/temperature") moves it between undecided
# and certain.
#
# *Source:* `softmax` in `minidl/ops/reduce.py`, `minidl/derivatives.py`. *Reference:* Bridle (1990), "Probabilistic
# interpretation of feedforward classification network outputs", in: Neurocomputing.

# %%
z = np.array([2.0, 1.0, 0.5, 0.0, -1.0])
fig, axes = plt.subplots(2, 4, figsize=(12, 4.8), layout="constrained", height_ratios=(1, 1.3))
sizes = []
for (top, below), factor in zip(axes.T, (0.2, 1, 3, 10), strict=True):
    p = F.softmax(factor * z)
    J = minidl.jacobian(F.softmax, factor * z).numpy()
    assert np.allclose(J, np.diag(p) - np.outer(p, p)) and np.allclose(J.sum(axis=0), 0)
    sizes.append(np.abs(J).max())
    top.bar(range(5), p, color=BLUE)
    top.set_ylim(0, 1.05)
    dress(top, f"p for {factor:g} · z", "", "")
    shades = below.imshow(J, cmap=SIGNED, vmin=-0.25, vmax=0.25)
    dress(below, f"derivative, largest {sizes[-1]:.2g}", "j", "i" * (factor == 0.2), None)
fig.colorbar(shades, ax=axes, shrink=0.5)
plt.show()
assert np.allclose(F.softmax(z), F.softmax(z + 100))
assert np.isclose(F.softmax(np.array([0.0, 1.3]))[1], F.sigmoid(1.3))  # two classes

# %% [markdown]
# ## 5. Saturated units
#
# A unit is *saturated* where its slope is almost zero; the library counts entries whose slope is below 5 % of the
# greatest. For tanh that is $|x| > 2.2$, for a sigmoid $|x|>4.4$. Whether that happens depends on the size of what
# comes in, and thus on the weights and the inputs. Here are three layers of tanh with small, suitable and large
# weights, with a batch of digits: histograms of the outputs, from the first layer to the third. Too small is no better,
# for then the network is nearly linear (lesson 06) and its outputs fade away.
#
# *Source:* `viz.collect_layers`, `viz.saturation` in `minidl/viz/layers.py`. *Reference:* Glorot, Bengio (2010),
# "Understanding the difficulty of training deep feedforward neural networks", AISTATS.

# %%
digits, _ = data.load_train_test("digits")
X = ((digits.x - digits.x.mean()) / digits.x.std()).reshape(len(digits), 64)  # (1438, 64), mean 0, variance 1
Y = digits.y


def stack(activation, depth, initialise, width=64):
    """[affine, activation] depth times, then an affine layer to the 10 classes; biases start at zero."""
    minidl.manual_seed(0)
    model = nn.Sequential(*[part for _ in range(depth) for part in (nn.Linear(width, width), activation)],
                          nn.Linear(width, 10))  # fmt: skip
    for layer in model:
        if isinstance(layer, nn.Linear):
            initialise(layer.weight)
            nn.init.zeros_(layer.bias)
    return model


sizes = {"too small": 0.2, "suitable": 1.0, "too large": 5.0}
fig, axes = plt.subplots(3, 3, figsize=(12, 5.6), layout="constrained", sharex=True)
saturated = {}
for column, (name, size) in zip(axes.T, sizes.items(), strict=True):
    model = stack(nn.Tanh(), 3, lambda w, size=size: nn.init.normal_(w, std=size / 64**0.5))
    rows = [row for row in viz.collect_layers(model, X[:300]) if row["kind"] == "Tanh"]
    for ax, row in zip(column, rows, strict=True):
        ax.hist(row["activation"].ravel(), np.linspace(-1, 1, 61), color=BLUE)
        ax.set_yticks([])
        dress(ax, f"std {row['std']:.2f}, saturated {row['saturated']:.0%}", "", "", None)
    column[0].set_title(f"Weights {name}: " + column[0].get_title(loc="left"), loc="left", fontsize=10,
                        fontweight="bold")  # fmt: skip
    column[2].set_xlabel("output of tanh")
    saturated[name] = rows[0]["saturated"]
for ax, number in zip(axes[:, 0], ("first layer", "second", "third"), strict=True):
    ax.set_ylabel(number)
plt.show()
assert saturated["too small"] == 0 and saturated["suitable"] < 0.15 and saturated["too large"] > 0.5

# %% [markdown]
# ## 6. Gradients that vanish
#
# In a deep network the slopes of all layers are multiplied. To see what the activations alone do to a gradient, we
# take weights that change no length: $W$ *orthogonal*, $\|Wx\| = \|x\|$. What is lost on the way back is then due to
# the slopes:
#
# $$\frac{\partial L}{\partial h_0} = W_1^\top D_1 W_2^\top D_2\cdots W_n^\top D_n \frac{\partial L}{\partial h_n},
# \qquad D_l = \operatorname{diag}(\varphi'(\cdot)), \qquad
# \Big\|\frac{\partial L}{\partial h_0}\Big\| \le (\max\varphi')^n\,\Big\|\frac{\partial L}{\partial h_n}\Big\|.$$
#
# For the sigmoid that bound is $4^{-n}$: after 20 layers a millionth of a millionth. It is a bound, and no accident of
# the start: no orthogonal weights can do better. tanh has no such bound but shrinks the signal a little in each layer.
# ReLU lets about half of the gradient's components pass and stops the others, a factor of $\sqrt{1/2}$ in length,
# which larger weights make up for (lesson 08).
#
# *Reference:* Hochreiter (1998), "The vanishing gradient problem during learning recurrent neural nets and problem
# solutions", International Journal of Uncertainty, Fuzziness and Knowledge-Based Systems 6.

# %%
def gradient_norms(activation, depth=20, width=64):
    """The norm of the gradient at each layer's output, relative to the last, with orthogonal weights, float64."""
    rng = np.random.default_rng(0)
    h = [Tensor(X[:100].astype(np.float64), requires_grad=True)]
    for _ in range(depth):
        W = nn.init.orthogonal_(Tensor(np.empty((width, width))), rng=rng)
        h.append(activation(h[-1] @ W))
    upstream = rng.standard_normal((100, width))
    norms = np.array([np.linalg.norm(g.numpy()) for g in minidl.grad((h[-1] * upstream).sum(), h)])
    return norms / norms[-1]


chosen = {"Sigmoid": nn.Sigmoid(), "Sigmoid, β = 4": nn.Sigmoid(4), "Tanh": nn.Tanh(), "ReLU": nn.ReLU(),
          "LeakyReLU(0.1)": nn.LeakyReLU(0.1), "Swish": nn.Swish(), "GELU": nn.GELU()}  # fmt: skip
fig, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
arrived = {}
for (name, activation), marker in zip(chosen.items(), viz.style.MARKERS, strict=False):
    norms = gradient_norms(activation)
    arrived[name] = float(norms[0])
    ax.semilogy(norms, marker=marker, markersize=4, label=name)
ax.semilogy(0.25 ** (20 - np.arange(21.0)), ":", color=GREY, label="(1/4)ⁿ")
dress(ax, "Gradient on its way back, orthogonal weights", "layer (the loss is at the right end)",
      "norm, relative to the last")  # fmt: skip
viz.style.whole_numbers(ax.xaxis)
key(ax)
plt.show()
print("arrives at the input:", {name: f"{value:.0e}" for name, value in arrived.items()})
assert arrived["Sigmoid"] <= 0.25**20 and 1e-5 < arrived["ReLU"] < 1e-2 < arrived["Tanh"]

# %% [markdown]
# Does it matter for learning? Five hidden layers, digits, the same optimiser; only the activation (and the size of the
# weights that goes with it) differs.

# %% tags=["varies"]
def learn(model, steps=150, lr=0.05, momentum=0.9, at_step=None):
    """SGD on batches of 64 digits. Returns the accuracy on all of them every tenth step."""
    rng, optimizer, curve = np.random.default_rng(0), optim.SGD(model.parameters(), lr=lr, momentum=momentum), []
    for step in range(steps):
        if step % 10 == 0:
            curve.append((model(Tensor(X)).numpy().argmax(axis=1) == Y).mean())
        if at_step:
            at_step(step, optimizer)
        batch = rng.integers(0, len(X), 64)
        loss = F.cross_entropy(model(Tensor(X[batch])), Y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return curve


fig, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
end = {}
for k, name in enumerate(("Sigmoid", "Sigmoid, β = 4", "Tanh", "ReLU", "Swish")):
    start = nn.init.he_normal_ if name in ("ReLU", "Swish") else nn.init.xavier_normal_
    curve = learn(stack(chosen[name], 5, start))
    ax.plot(range(0, 150, 10), curve, marker=viz.style.MARKERS[k], markersize=4, label=name)
    end[name] = float(curve[-1])
dress(ax, "Five hidden layers learn digits", "step", "accuracy on the training set")
key(ax)
plt.show()
print({name: round(accuracy, 2) for name, accuracy in end.items()})
assert end["Sigmoid"] < 0.4 < 0.9 < min(end["Tanh"], end["ReLU"], end["Swish"])

# %% [markdown]
# ## 7. Dead units
#
# A ReLU unit whose input is negative for *every* sample has slope zero for every sample. So all its gradients are
# exactly zero, its weights never change, and it will be negative for every sample for ever: it is *dead*.
#
# $$\frac{\partial L}{\partial w_i} = \sum_{n} \underbrace{\operatorname{relu}'(w_i\cdot x_n + b_i)}_{0 \text{ for all }
# n}\, g_{ni}\, x_n = 0.$$
#
# How does a unit come to that? By one step that is too long. Below, a healthy network meets an accident: in step 50,
# and only there, the learning rate is 400 times as large. The pictures in the middle show 64 samples (columns) in the
# second hidden layer's units (rows); white is zero, and a row that is white all along is a dead unit. The same
# accident happens to a network with LeakyReLU. There units are on the flat side, too, but a tenth of the gradient
# passes, and so most of them find the way back within a few steps.
#
# *Source:* `viz.dead_units` in `minidl/viz/layers.py`. *References:* Maas, Hannun, Ng (2013), "Rectifier nonlinearities
# improve neural network acoustic models", ICML workshop; Lu, Shin, Su, Karniadakis (2020), "Dying ReLU and
# initialization", Communications in Computational Physics 28, arXiv:1903.06733.

# %% tags=["varies"]
def negative_units(model):
    """The share of hidden units whose input to the activation is negative for all samples; for ReLU: dead."""
    before = [model[: k + 1](Tensor(X)).numpy() for k in (0, 2)]
    return float(np.mean([viz.dead_units(np.maximum(a, 0)).mean() for a in before]))


fig, axes = plt.subplots(1, 4, figsize=(14, 3.7), layout="constrained", width_ratios=(1.3, 1, 1, 1.3))
after = {}
for activation, colour, marker in ((nn.ReLU(), VERMILLION, "o"), (nn.LeakyReLU(0.1), BLUE, "s")):
    model, name, shares = stack(activation, 2, nn.init.he_normal_, width=64), type(activation).__name__, []

    def accident(step, optimizer, model=model, shares=shares, name=name):
        optimizer.param_groups[0]["lr"] = 20.0 if step == 50 else 0.05
        if step % 10 == 0:
            shares.append(negative_units(model))
        if name == "ReLU" and step in (50, 51):
            ax = axes[1 if step == 50 else 2]
            ax.imshow(model[:4](Tensor(X[:64])).numpy().T > 0, cmap=viz.style.AMOUNT, vmax=1.6)
            dress(ax, "ReLU, before" if step == 50 else "ReLU, after", "sample", "unit" * (step == 50), None)

    curve = learn(model, 250, momentum=0, at_step=accident)
    axes[0].plot(range(0, 250, 10), shares, marker + "-", color=colour, markersize=4, label=name)
    axes[3].plot(range(0, 250, 10), curve, marker + "-", color=colour, markersize=4, label=name)
    after[name] = shares[6], shares[-1], float(curve[-1])
dress(axes[0], "Units negative everywhere", "step", "share")
dress(axes[3], "Accuracy", "step", "")
key(axes[0])
key(axes[3])
plt.show()
for name, (then, later, accuracy) in after.items():
    print(f"{name:9} negative everywhere: {then:.2f} ten steps later, {later:.2f} at the end; accuracy {accuracy:.2f}")
assert after["LeakyReLU"][2] > after["ReLU"][2] + 0.02 and after["ReLU"][0] > 0.2

# %% [markdown]
# Now to the extreme, so that every word of "exactly zero" can be checked: biases of $-12$ in the first layer make all
# of its units dead. The ReLU network cannot get away from there, however long it is trained. Two cures: replace ReLU by
# LeakyReLU and keep the weights; or, for a ReLU, *set the biases of dead units back* to zero, here in step 60. (To
# prevent it: smaller rates, clipped gradients (lesson 11), batch norm (lesson 17).)

# %% tags=["varies"]
def doomed(activation):
    model = stack(activation, 2, nn.init.he_normal_)
    nn.init.constant_(model[0].bias, -12.0)
    return model


def revive(step, optimizer):
    """Biases of units that are dead go back to zero."""
    if step == 60:
        dead = viz.dead_units(rescued[:2](Tensor(X)).numpy())
        rescued[0].bias.data = np.where(dead, 0, rescued[0].bias.numpy())


model = doomed(nn.ReLU())
F.cross_entropy(model(Tensor(X)), Y).backward()
print(f"dead units: {viz.dead_units(model[:2](Tensor(X)).numpy()).mean():.0%}; largest gradient of the first layer:"
      f" ReLU {np.abs(model[0].weight.grad.numpy()).max()}", end="")
assert (model[0].weight.grad.numpy() == 0).all() and (model[0].bias.grad.numpy() == 0).all()
leaky = doomed(nn.LeakyReLU(0.1))  # the same weights
F.cross_entropy(leaky(Tensor(X)), Y).backward()
print(f", LeakyReLU {np.abs(leaky[0].weight.grad.numpy()).max():.3f}")
assert (np.abs(leaky[0].weight.grad.numpy()).max(axis=1) > 0).all()

rescued = doomed(nn.ReLU())
curves = {"ReLU": learn(model, momentum=0), "LeakyReLU": learn(leaky, momentum=0),
          "ReLU, biases back in step 60": learn(rescued, momentum=0, at_step=revive)}  # fmt: skip
fig, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
for (name, curve), colour, marker in zip(curves.items(), (VERMILLION, BLUE, GREEN), "os^", strict=True):
    ax.plot(range(0, 150, 10), curve, marker + "-", color=colour, markersize=4, label=name)
dress(ax, "All units of the first layer start dead", "step", "accuracy")
key(ax)
plt.show()
assert curves["ReLU"][-1] < 0.15 and max(curves["LeakyReLU"]) > 0.3
assert curves["ReLU, biases back in step 60"][-1] > 0.7

# %% [markdown]
# ## 8. Large numbers
#
# Formulas are written for real numbers. In floating point $e^{x}$ is infinite from $x=89$ (float32) or $710$ (float64)
# on, and $\infty/\infty$ is "not a number". Three remedies, all exact rewritings:
#
# $$\sigma(x) = \frac{e^{x}}{1+e^{x}} \ (x<0), \qquad
# \log(1+e^x) = \max(x, 0) + \log\!\big(1 + e^{-|x|}\big), \qquad
# \operatorname{softmax}(z) = \operatorname{softmax}(z - \max z).$$
#
# Each makes sure that the exponent is never positive. The table evaluates both forms, and their gradients, at
# $\pm 10^4$. Look at the sigmoid: its value is right even as written, $1/\infty = 0$, but on the way back
# $0\cdot\infty$ makes a gradient of NaN, and one such number spoils all weights in the next step.
#
# *Source:* `_sigmoid` and `softplus` in `minidl/ops/activation.py`, `softmax` in `minidl/ops/reduce.py`. *Reference:*
# Blanchard, Higham, Higham (2021), "Accurately computing the log-sum-exp and softmax functions", IMA Journal of
# Numerical Analysis 41.

# %%
naive = {  # as the formulas are written
    "sigmoid": lambda x: 1 / (1 + minidl.exp(-x)),
    "tanh": lambda x: (minidl.exp(x) - minidl.exp(-x)) / (minidl.exp(x) + minidl.exp(-x)),
    "swish": lambda x: x / (1 + minidl.exp(-x)),
    "softplus": lambda x: minidl.log(1 + minidl.exp(x)),
    "elu": lambda x: minidl.where(x.numpy() > 0, x, minidl.exp(x) - 1),
    "softmax": lambda x: minidl.exp(x) / minidl.exp(x).sum(),
}
stable = {name: getattr(F, name, None) or getattr(minidl, name) for name in naive}


def at_the_ends(f):
    """Values and gradients (for the upstream gradient 1, 1, 2) at -10000, 0, 10000, in float32."""
    x = Tensor(np.array([-1e4, 0, 1e4], np.float32), requires_grad=True)
    with np.errstate(all="ignore"):
        y = f(x)
        (g,) = minidl.grad(y, x, Tensor(np.array([1, 1, 2], np.float32)))
    return y.numpy(), g.numpy()


print("at -10000, 0, 10000       as written                               minidl")
for name in naive:
    (bad, bad_slope), (good, slope) = at_the_ends(naive[name]), at_the_ends(stable[name])
    print(f"{name:9} value      {str(bad):40} {good}")
    print(f"          gradient   {str(bad_slope):40} {slope}")
    assert not np.isfinite(np.r_[bad, bad_slope]).all() and np.isfinite(np.r_[good, slope]).all()
for f in (*stable.values(), F.relu, F.leaky_relu, F.silu, F.gelu, F.log_softmax):
    assert np.isfinite(np.r_[at_the_ends(f)]).all()

# %% [markdown]
# Overflow is at least visible. The quiet loss is worse: for $x=-20$ the float32 number $1 + e^{-20}$ is 1, and its
# logarithm 0, though the answer is $2\cdot 10^{-9}$: every digit is gone, and nothing warns. In the same way $e^x - 1$
# of the ELU loses its digits near zero, where activations are most of the time. NumPy's `logaddexp` and `expm1` compute
# both without forming the number that rounds. The pictures show the relative error in float32, against float64.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.7), layout="constrained", sharey=True)
x = np.linspace(-60, 60, 4801).astype(np.float32)
small = -np.logspace(-10, 1, 4801).astype(np.float32)
panels = [(left, "softplus", x, np.logaddexp(0, x.astype(np.float64))),
          (right, "elu", small, np.expm1(small.astype(np.float64)))]  # fmt: skip
for ax, name, places, exact in panels:
    forms = {"as written": (naive[name], VERMILLION), "minidl": (stable[name], BLUE)}
    for label, (f, colour) in forms.items():
        error = np.abs(f(Tensor(places)).numpy() - exact) / np.abs(exact)
        ax.plot(np.abs(places) if name == "elu" else places, np.maximum(error, 1e-9), ".", color=colour, markersize=2,
                label=f"{label}: up to {error.max():.0e}")  # fmt: skip
        assert (error.max() < 1e-6) == (label == "minidl")
    ax.axhline(6e-8, color=GREY, linestyle=":", label="one rounding")
    ax.set_yscale("log")
    dress(ax, f"{name}, relative error", "x" if ax is left else "−x", "")
    key(ax)
right.set_xscale("log")
plt.show()

# %% [markdown]
# ## Break it
#
# A steep sigmoid is nearly a step, and "step" sounds like a good way to decide. Take $\beta = 200$ instead of 2. The
# network computes as much as before (it could be right on every digit), but nearly all its units are saturated from the
# start, and what gets through to them are rare, enormous gradients.

# %% tags=["varies"]
for beta in (2, 200):
    model = stack(nn.Sigmoid(beta), 2, nn.init.xavier_normal_)
    saturated = next(row["saturated"] for row in viz.collect_layers(model, X[:300]) if row["kind"] == "Sigmoid")
    curve = learn(model, momentum=0, lr=0.5)
    print(f"β = {beta:3}: {saturated:.0%} of the first layer saturated at the start, accuracy {curve[-1]:.2f}")
    assert (curve[-1] > 0.9) == (beta == 2)
