# %% [markdown]
# # Why training is hard: ravines, vanishing gradients, plateaus, cliffs
#
# The gradient says which way is down *here*. It does not say how far one may go, it can be ten thousand times larger in
# one direction than in another, and it can disappear on the way through many layers or many steps of time. This lesson
# makes each of these difficulties small enough to draw, says what it depends on, and shows what is done about it.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, nn, optim, viz
from minidl.nn import functional as F
from minidl.viz.style import dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=viz.style.CLASSES)
minidl.manual_seed(0)
rng = np.random.default_rng(0)


def descend(f, start, make_optimizer, steps, clip=None):
    """The places (steps + 1, D) that an optimiser comes to, and the values of f there."""
    p = Tensor(np.array(start, np.float64), requires_grad=True)
    optimizer, path, values = make_optimizer([p]), [], []
    for _ in range(steps + 1):
        value = f(p)
        path.append(p.numpy().copy())
        values.append(value.item())
        optimizer.zero_grad()
        value.backward()
        if clip:
            optim.clip_grad_norm_([p], clip)
        optimizer.step()
    return np.array(path), np.array(values)

# %% [markdown]
# ## 1. The ravine
#
# Near a minimum every smooth loss looks like a quadratic, $f(x) = \frac12 x^\top H x$, where the *Hessian* $H$ holds
# the second derivatives. Its eigenvalues $\lambda_i$ are the curvatures along its eigenvectors. Gradient descent
# treats each of these directions by itself: with learning rate $\eta$,
#
# $$x \leftarrow x - \eta H x \quad\Rightarrow\quad \text{component } i \text{ is multiplied by } (1 - \eta\lambda_i)
# \text{ in each step.}$$
#
# The steep direction forbids more than $\eta < 2/\lambda_{\max}$, else its component grows. With that rate, the flat
# direction hardly moves. How bad it is depends on the *condition number* $\kappa = \lambda_{\max}/\lambda_{\min}$
# alone. In the pictures $\kappa = 50$: a ravine, in which plain descent jumps from wall to wall.
#
# * *Momentum* adds up the steps, $v \leftarrow \mu v + \nabla f$: across the ravine they cancel, along it they grow.
# * *Nesterov's* version looks at the gradient where the momentum is about to carry it.
# * *RMSprop* and *Adam* divide each coordinate by the usual size of its gradient. So they walk down an axis-parallel
#   ravine as if it were round, but they know nothing of one that lies askew (second row): then no coordinate is
#   steep. The usual size is the root of a *moving average* of squares, $s \leftarrow \beta s + (1 - \beta)\,g^2$, in
#   which old gradients fade. It starts from zero, so after $t$ steps it holds only the part $1 - \beta^t$ of what it
#   should. Adam divides its averages by that part (*bias correction*), RMSprop does not: its first steps are longer.
#
# *Source:* `minidl/optim/`. *References:* Polyak (1964), "Some methods of speeding up the convergence of iteration
# methods"; Sutskever, Martens, Dahl, Hinton (2013), "On the importance of initialization and momentum in deep
# learning", ICML; Kingma, Ba (2015), "Adam", arXiv:1412.6980.

# %%
KAPPA = 50.0


def ravine(angle):
    """f(x) = x'Hx / 2 with curvatures 1 and KAPPA, turned by an angle; returns f, H and where to start."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    H = turn @ np.diag([1.0, KAPPA]) @ turn.T
    return (lambda p: 0.5 * (p @ H * p).sum()), H, turn @ [-2.0, 0.35]


optimizers = {
    "SGD": lambda p: optim.SGD(p, lr=1.9 / KAPPA),
    "momentum 0.8": lambda p: optim.SGD(p, lr=1 / KAPPA, momentum=0.8),
    "Nesterov 0.8": lambda p: optim.SGD(p, lr=1 / KAPPA, momentum=0.8, nesterov=True),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.05),
    "Adam": lambda p: optim.Adam(p, lr=0.15),
}
u, v = np.meshgrid(np.linspace(-2.3, 1.2, 120), np.linspace(-1.9, 1.2, 120))
fig, axes = plt.subplots(2, 5, figsize=(15, 6.6), layout="constrained", sharex=True, sharey=True)
left_over = {}
for row, angle in zip(axes, (0.0, np.pi / 5), strict=True):
    f, H, start = ravine(angle)
    assert np.allclose(minidl.hessian(f, start).numpy(), H)  # what we say about H is what minidl differentiates
    for ax, (name, make), colour in zip(row, optimizers.items(), viz.style.CLASSES, strict=False):
        path, values = descend(f, start, make, 40)
        left_over[name, angle > 0] = np.linalg.norm(path[-1])
        heights = 0.5 * np.einsum("iab,ij,jab->ab", np.stack([u, v]), H, np.stack([u, v]))
        ax.contour(u, v, heights, np.geomspace(0.02, 40, 12), colors="#CCCCCC", linewidths=0.8)
        ax.plot(*path.T, "o-", color=colour, markersize=3, linewidth=1)
        ax.plot(0, 0, "k*", markersize=11)
        dress(ax, f"{name}: {np.linalg.norm(path[-1]):.2g} left", grid=None)
plt.show()
assert left_over["momentum 0.8", False] < left_over["SGD", False] / 5
turned = {name: left_over[name, True] / left_over[name, False] for name in optimizers}
print("what turning the ravine does to the distance left:", {k: f"{float(r):.0f} times" for k, r in turned.items()})
assert all(abs(turned[name] - 1) < 1e-6 for name in list(optimizers)[:3])  # they know no axes

# %% [markdown]
# ## 2. The condition number and the number of steps
#
# The best rate for gradient descent makes both ends equally slow, $1-\eta\lambda_{\min} = -(1-\eta\lambda_{\max})$,
# and for momentum there is a best pair as well:
#
# $$\eta = \frac{2}{\lambda_{\min}+\lambda_{\max}}: \ \text{factor } \frac{\kappa-1}{\kappa+1} \text{ a step}; \qquad
# \eta = \frac{4}{(\sqrt{\lambda_{\max}}+\sqrt{\lambda_{\min}})^2},\
# \mu = \Big(\frac{\sqrt\kappa-1}{\sqrt\kappa+1}\Big)^2: \ \text{factor } \frac{\sqrt\kappa-1}{\sqrt\kappa+1}.$$
#
# So descent needs about $\frac12\kappa\ln(1/\varepsilon)$ steps to come from 1 to $\varepsilon$, and momentum only
# $\frac12\sqrt\kappa\ln(1/\varepsilon)$. In the picture with logarithmic axes these are lines of slope 1 and ½. Where
# do large $\kappa$ come from? From inputs of different size, for instance: for a linear model $H$ is $X^\top X/n$, so
# that a feature in metres beside one in millimetres makes $\kappa = 10^6$. To *standardise* the inputs is the
# cheapest cure of all, and batch norm does the same inside of a network.
#
# *Reference:* Goh (2017), "Why momentum really works", Distill, doi:10.23915/distill.00006.

# %%
def steps_needed(kappa, make, most=100_000):
    """Until the distance to the minimum is below 1e-3 of that at the start; both curvatures at once."""
    curvature = np.array([1.0, kappa])
    p = Tensor(np.ones(2), requires_grad=True)
    optimizer = make([p])
    for step in range(most):
        if np.linalg.norm(p.numpy()) < 1e-3 * 2**0.5:
            return step
        p.grad = Tensor(curvature * p.numpy())
        optimizer.step()


def best_descent(kappa):
    return lambda p: optim.SGD(p, lr=2 / (1 + kappa))


def best_momentum(kappa):
    root = kappa**0.5
    return lambda p: optim.SGD(p, lr=4 / (1 + root) ** 2, momentum=((root - 1) / (root + 1)) ** 2)


kappas = np.array([3.0, 10, 30, 100, 300, 1000])
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
slopes = {}
for name, make, share in (("gradient descent", best_descent, 1.0), ("momentum", best_momentum, 0.5)):
    steps = [steps_needed(kappa, make(kappa)) for kappa in kappas]
    slopes[name] = np.polyfit(np.log(kappas[2:]), np.log(steps[2:]), 1)[0]
    left.loglog(kappas, steps, "o-", label=f"{name}: slope {slopes[name]:.2f}")
    left.loglog(kappas, 0.5 * kappas**share * np.log(1e3), ":", color=viz.style.GREY)
dress(left, "Steps to a thousandth of the distance", "condition number", "steps", "both")
key(left)

height, weight = rng.normal(1.7, 0.1, 500), rng.normal(70_000, 10_000, 500)  # metres, grams
raw = np.stack([height, weight, np.ones(500)], axis=1)
standard = np.stack([(height - height.mean()) / height.std(), (weight - weight.mean()) / weight.std(), np.ones(500)], 1)
condition = [np.linalg.cond(X.T @ X / 500) for X in (raw, standard)]
right.bar(["metres and grams", "standardised"], condition, color=[viz.style.GREY, viz.style.BLUE], width=0.5, log=True)
for k, value in enumerate(condition):
    right.text(k, value * 1.3, f"{value:.1e}" if value > 10 else f"{value:.2f}", ha="center")
right.set_ylim(0.5, 1e15)
dress(right, "Condition number of a linear model", "", "")
plt.show()
assert abs(slopes["gradient descent"] - 1) < 0.05 and abs(slopes["momentum"] - 0.5) < 0.12

# %% [markdown]
# ## 3. Through depth: products of many matrices
#
# A deep network is a chain $h_l = \phi(W_l h_{l-1})$, and the chain rule makes a product of its gradient:
#
# $$\frac{\partial L}{\partial h_0} = J_1^\top J_2^\top\cdots J_n^\top \frac{\partial L}{\partial h_n}, \qquad
# J_l = \operatorname{diag}(\phi'(W_l h_{l-1}))\,W_l .$$
#
# If each factor shrinks a vector to 0.7 of its length, thirty of them leave $0.7^{30} = 0.00002$: the gradient
# *vanishes*, and the first layers learn nothing. With 1.5 it *explodes*. A sigmoid has slope ¼ at most, so it
# vanishes. Initialisations by Glorot (for tanh) and He (for ReLU) choose the size of $W$ so that the factor is about 1.
# *Residual* blocks, $h_l = h_{l-1} + f(h_{l-1})$, have the factor $1 + f'$: a way around which nothing can close.
#
# *Source:* `minidl/nn/init.py`, `minidl/nn/residual.py`. *References:* Glorot, Bengio (2010), "Understanding the
# difficulty of training deep feedforward neural networks", AISTATS; He et al. (2016), "Deep residual learning for image
# recognition", CVPR.

# %%
def gradient_by_layer(block, depth=30, width=64, batch=32):
    """The norm of dL/dh after each of `depth` blocks, divided by that at the last."""
    minidl.manual_seed(1)
    blocks = [block(width) for _ in range(depth)]
    h = [Tensor(np.random.default_rng(0).standard_normal((batch, width)).astype(np.float32), requires_grad=True)]
    for b in blocks:
        h.append(b(h[-1]))
    norms = [np.linalg.norm(g.numpy()) for g in minidl.grad((h[-1] ** 2).mean(), h)]
    return np.array(norms) / norms[-1]


def layer(activation, initialise):
    """A block: affine layer with this initialisation, then activation."""

    def make(width):
        linear = nn.Linear(width, width)
        initialise(linear.weight)
        nn.init.zeros_(linear.bias)
        return nn.Sequential(linear, activation)

    return make


sigmoid = layer(nn.Sigmoid(), nn.init.xavier_normal_)
he = layer(nn.ReLU(), nn.init.kaiming_normal_)
blocks = {
    "sigmoid, Glorot": sigmoid,
    "tanh, Glorot": layer(nn.Tanh(), nn.init.xavier_normal_),
    "ReLU, std 0.1": layer(nn.ReLU(), lambda w: nn.init.normal_(w, std=0.1)),
    "ReLU, He": he,
    "ReLU, std 0.3": layer(nn.ReLU(), lambda w: nn.init.normal_(w, std=0.3)),
    "sigmoid with norm, residual": lambda n: nn.Residual(nn.Sequential(nn.LayerNorm(n), *sigmoid(n))),
}
fig, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
at_input = {}
for (name, block), marker in zip(blocks.items(), viz.style.MARKERS, strict=False):
    norms = gradient_by_layer(block)
    at_input[name] = float(norms[0])
    ax.semilogy(norms, marker=marker, markersize=4, label=name)
ax.axhline(1, color=viz.style.INK, linewidth=0.8, linestyle=":")
ax.set_ylim(1e-20, 1e14)
dress(ax, "The gradient on its way back", "layer (the loss is at the right end)", "norm, relative to the last layer")
key(ax)
plt.show()
print({name: f"{value:.0e}" for name, value in at_input.items()})
assert at_input["sigmoid, Glorot"] < 1e-12 and at_input["ReLU, std 0.3"] > 1e6
assert 0.05 < at_input["ReLU, He"] < 20 and 0.05 < at_input["sigmoid with norm, residual"] < 20

# %% [markdown]
# ## 4. Through time: the same matrix again and again
#
# A *recurrent* network reads a sequence $x_1, x_2, \ldots$ into a state, $h_t = \tanh(W h_{t-1} + U x_t)$, with the
# same $W$ in each step. *Unrolled*, it is a network as deep as the sequence is long, and the product of the chain
# rule has only one kind of factor:
#
# $$\frac{\partial h_T}{\partial h_t} = \prod_{s=t+1}^{T} \operatorname{diag}(1 - h_s^2)\,W .$$
#
# For a linear recurrence with $W = gQ$, $Q$ orthogonal, that is exactly $g^{T-t}$ in length, and $g$ has to be 1 to
# great precision: the dotted lines. The tanh takes something away in each step, and where $g = 1.2$ about as much as
# $W$ adds: a balance, by luck. What the last loss says about early inputs is the picture on the right. After forty
# steps the plain network practically cannot tell what came first, not because it has forgotten, but because no
# gradient tells it that remembering would have paid: the problem of *long-term dependencies*. The cure is again a way
# around, $h_t = h_{t-1} + \ldots$, which the gates of an LSTM open and close.
#
# *References:* Bengio, Simard, Frasconi (1994), "Learning long-term dependencies with gradient descent is difficult",
# IEEE Transactions on Neural Networks 5; Hochreiter, Schmidhuber (1997), "Long short-term memory", Neural Computation
# 9.

# %%
T, WIDTH = 40, 32
Q = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
U = rng.standard_normal((2, WIDTH)) / 2
inputs = 0.3 * rng.standard_normal((T, 16, 2))  # (T, N, 2)


def unroll(step):
    """Norms of d(loss at the end)/dh_t and d(loss at the end)/dx_t, t = 1 ... T."""
    xs = [Tensor(x, requires_grad=True) for x in inputs]
    h = [Tensor(np.zeros((16, WIDTH)), requires_grad=True)]
    for x in xs:
        h.append(step(h[-1], x))
    direction = np.random.default_rng(2).standard_normal((16, WIDTH))
    gradients = minidl.grad((h[-1] * direction).sum(), h[1:] + xs)
    norms = np.array([np.linalg.norm(g.numpy()) for g in gradients])
    return norms[:T] / norms[T - 1], norms[T:] / norms[-1]


cells = {f"tanh, g = {g}": (lambda h, x, g=g: minidl.tanh(h @ (g * Q) + x @ U)) for g in (0.8, 1.0, 1.2)}
cells["with a way around"] = lambda h, x: h + 0.1 * minidl.tanh(h @ Q + x @ U)
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
times, early = np.arange(1, T + 1), {}
for k, (name, cell) in enumerate(cells.items()):
    for ax, norms in zip((left, right), unroll(cell), strict=True):
        ax.semilogy(times, norms, marker=viz.style.MARKERS[k], markersize=4, label=name)
    early[name] = float(norms[0])
for k, g in enumerate((0.8, 1.0, 1.2)):
    (linear, _) = unroll(lambda h, x, g=g: h @ (g * Q) + x @ U)
    assert np.allclose(linear, g ** (T - times.astype(float)))  # exactly g^(T - t)
    left.semilogy(times, linear, ":", color=f"C{k}")
dress(left, "Gradient at the state of time t", "t (the loss is at 40)", "norm, relative to the last")
dress(right, "Gradient at the input of time t", "t", "")
for ax in (left, right):
    ax.set_ylim(1e-7, 1e4)
    key(ax)
plt.show()
print("the first input, relative to the last:", {name: f"{value:.0e}" for name, value in early.items()})
assert early["tanh, g = 0.8"] < 1e-3 and early["with a way around"] > 0.3

# %% [markdown]
# Does it matter for learning? A task that needs nothing but memory: the first of $T$ inputs is $+1$ or $-1$, the others
# are noise, and after the last one the network shall say which it was. Both networks start with the same $W$ and are
# trained in the same way; the one with the way around learns it, and the plain one still guesses.

# %% tags=["varies"]
class Memory(nn.Module):
    """A recurrent network that is asked once, at the end."""

    def __init__(self, around, width=16):
        super().__init__()
        self.around, self.read, self.again, self.out = (
            around, nn.Linear(1, width), nn.Linear(width, width, bias=False), nn.Linear(width, 1)
        )  # fmt: skip
        nn.init.orthogonal_(self.again.weight, gain=0.8)

    def forward(self, x):  # (N, T, 1)
        h = minidl.zeros(len(x), 16)
        for t in range(x.shape[1]):
            new = minidl.tanh(self.again(h) + self.read(x[:, t]))
            h = h + 0.2 * new if self.around else new
        return self.out(h)


def learn_to_remember(around, length=30, steps=150):
    minidl.manual_seed(0)
    draw, model, rates = np.random.default_rng(1), Memory(around), []
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        bit = draw.integers(0, 2, (64, 1)).astype(np.float32)
        x = 0.3 * draw.standard_normal((64, length, 1)).astype(np.float32)
        x[:, 0] = 2 * bit - 1
        output = model(Tensor(x))
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(output, bit).backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rates.append(float(((output.numpy() > 0) == bit).mean()))
    return rates


fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
right_in_the_end = {}
for name, around in (("plain", False), ("with a way around", True)):
    rates = learn_to_remember(around)
    ax.plot(np.convolve(rates, np.ones(10) / 10, "valid"), label=name)
    right_in_the_end[name] = float(np.mean(rates[-30:]))
ax.axhline(0.5, color=viz.style.GREY, linestyle=":", label="guessing")
dress(ax, "Remember one bit for 30 steps", "step of training", "share of right answers")
key(ax)
plt.show()
print({name: round(rate, 2) for name, rate in right_in_the_end.items()})
assert right_in_the_end["with a way around"] > 0.9 > 0.7 > right_in_the_end["plain"]

# %% [markdown]
# ## 5. Local structure: plateaus, saddle points, local minima
#
# Where the gradient is zero there need not be a minimum. The eigenvalues of the Hessian tell: all positive, a
# *minimum*; of both signs, a *saddle point*, with a way down that the gradient does not see from exactly there. Near
# a saddle the gradient is small and so descent is slow: started at a distance $\delta$ from the ridge of $f =
# \frac12(x^2 - y^2)$, the component that leads away grows by $(1+\eta)$ a step, and needs $\ln(1/\delta)/\ln(1+\eta)$
# steps. The noise of minibatches helps here, because it never sits exactly on the ridge.
#
# A *plateau* is worse: a saturated sigmoid has a small slope over a long way, with nothing that grows. The squared
# error has it and cross-entropy has not, because there the slope of the sigmoid cancels: $\partial L/\partial z = p -
# y$.
#
# *References:* Dauphin et al. (2014), "Identifying and attacking the saddle point problem in high-dimensional
# non-convex optimization", NeurIPS, arXiv:1406.2572; Goodfellow, Bengio, Courville (2016), "Deep Learning", section
# 8.2.

# %%
def saddle(p):
    return 0.5 * (p[0] ** 2 - p[1] ** 2) + 0.05 * p[1] ** 4


values, _ = np.linalg.eigh(minidl.hessian(saddle, np.zeros(2)).numpy())
print("eigenvalues of the Hessian at 0:", values)
fig, axes = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
u, v = np.meshgrid(np.linspace(-2, 2, 100), np.linspace(-4, 4, 100))
axes[0].contour(u, v, saddle((u, v)), 22, colors="#CCCCCC", linewidths=0.8)
escape = []
for k, delta in enumerate((1e-1, 1e-3, 1e-5, 1e-7)):
    path, heights = descend(saddle, (1.8, delta), lambda p: optim.SGD(p, lr=0.2), 140)
    escape.append(int((np.abs(path[:, 1]) > 1).argmax()))
    axes[0].plot(*path.T, ".-", color=f"C{k}", markersize=4)
    axes[1].plot(heights, label=f"δ = {delta:g}")
dress(axes[0], "Paths past a saddle point", "x", "y", None)
dress(axes[1], "They wait there, the longer the nearer", "step", "f")
key(axes[1])
expected = [np.log(1 / delta) / np.log(1.2) for delta in (1e-1, 1e-3, 1e-5, 1e-7)]
print("steps to leave:", escape, " by the formula:", [round(float(e)) for e in expected])
assert np.allclose(escape, expected, atol=4)  # the last stretch is no quadratic any more

for k, (name, loss) in enumerate({"squared error": F.mse_loss, "cross-entropy": F.binary_cross_entropy}.items()):
    _, losses = descend(lambda z, loss=loss: loss(minidl.sigmoid(z), Tensor(np.zeros(1))), [6.0],
                        lambda p: optim.SGD(p, lr=0.5), 200)  # fmt: skip
    axes[2].plot(losses / losses[0], color=f"C{k}", label=name)
    assert (losses[100] > 0.9 * losses[0]) == (name == "squared error")
dress(axes[2], "A plateau: certain, and wrong", "step", "loss, relative to the first")
key(axes[2])
plt.show()

# %% [markdown]
# Are bad local minima frequent? With one weight, half of all stationary points are minima. With $n$ weights *all* $n$
# curvatures must be positive. For random symmetric matrices that soon never happens any more, so that a random
# stationary point in high dimension is almost surely a saddle. (A loss is not random: where it is low, the stationary
# points have fewer directions down. But the count explains why large networks rarely get stuck in a bad minimum, and
# often slow down at saddles.) In one or two dimensions, on the other hand, bad minima are everywhere, and momentum
# rolls through some of them.

# %%
def symmetric(n, count=20_000):
    a = rng.standard_normal((count, n, n))
    return a + a.transpose(0, 2, 1)


dimensions = np.arange(1, 8)
minima = np.array([(np.linalg.eigvalsh(symmetric(n))[:, 0] > 0).mean() for n in dimensions])


def bumps(x):
    return 0.1 * x**2 + 0.4 * minidl.sin(5 * x)


line, starts = np.linspace(-5, 5, 500), np.linspace(-4.8, 4.8, 41)
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
shown = np.where(minima > 0, minima, np.nan)
left.semilogy(dimensions, shown, "o-", label="random symmetric matrices")
left.semilogy(dimensions, 0.5**dimensions, ":", label="if the signs were independent")
dress(left, "Share of stationary points that are minima", "dimensions", "share")
key(left)
right.plot(line, bumps(line), color=viz.style.GREY)
reached = {}
for k, (name, momentum) in enumerate({"SGD": 0.0, "momentum 0.95": 0.95}.items()):
    path, _ = descend(lambda x: bumps(x).sum(), starts, lambda p, m=momentum: optim.SGD(p, lr=0.02, momentum=m), 300)
    places, count = np.unique(path[-1].round(1), return_counts=True)
    reached[name] = float(bumps(path[-1]).mean())
    right.scatter(places, bumps(places) + 0.2 - 0.4 * k, s=12 * count, color=f"C{k}", marker=viz.style.MARKERS[k],
                  label=f"{name}: mean {reached[name]:.2f}")  # fmt: skip
dress(right, "Where 41 starts end (large: many)", "x", "f")
key(right)
plt.show()
assert abs(minima[0] - 0.5) < 0.02
assert (np.diff(minima) <= 0).all() and minima[5] < 1e-3 and reached["momentum 0.95"] < reached["SGD"]

# %% [markdown]
# ## 6. Cliffs, and the clipping of gradients
#
# Where factors multiply, as in a recurrent network, the loss has *cliffs*: almost flat on one side, and then a wall. A
# single step from the wall, with its enormous gradient, throws away all that was learnt. *Clipping* keeps the direction
# and limits the length:
#
# $$g \leftarrow g\,\min\!\left(1, \frac{c}{\|g\|}\right).$$
#
# The example is one weight that acts 15 times, $h_{t} = w\,h_{t-1} + b$, and shall bring $h_{15}$ to a target.
#
# *Source:* `minidl/optim/clip.py`. *Reference:* Pascanu, Mikolov, Bengio (2013), "On the difficulty of training
# recurrent neural networks", ICML, arXiv:1211.5063.

# %%
def cliff(p):
    """(h_15 - 0.3)² for h_t = w h_(t-1) + b, h_0 = 0.1, with p = (w, b)."""
    w, b = p[0], p[1]
    h = 0.1
    for _ in range(15):
        h = w * h + b
    return (h - 0.3) ** 2


w, b = np.meshgrid(np.linspace(0.2, 1.45, 160), np.linspace(-0.3, 0.4, 160))
heights = cliff((w, b))
fig, axes = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
jump = {}
for ax, (name, clip) in zip(axes, {"without clipping": None, "clipped to norm 1": 1.0}.items(), strict=False):
    path, losses = descend(cliff, (1.02, 0.12), lambda p: optim.SGD(p, lr=0.03), 100, clip)
    jump[name] = float(np.linalg.norm(np.diff(path, axis=0), axis=1).max()), float(losses[-1])
    ax.contourf(w, b, np.log10(heights + 1e-4), 20, cmap=viz.style.AMOUNT)
    ax.plot(*path.T, "o-", color=viz.style.VERMILLION, markersize=3, linewidth=1.2)
    ax.plot(*path[0], "ks", markersize=6)
    ax.set_xlim(0.2, 1.45)
    ax.set_ylim(-0.3, 0.4)
    dress(ax, f"{name}: loss {losses[-1]:.2g}", "w", "b", None)
    axes[2].semilogy(np.maximum(losses, 1e-12), label=name)
dress(axes[2], "Loss", "step", "")
key(axes[2])
plt.show()
print({name: f"longest step {step:.2f}, loss at the end {end:.1e}" for name, (step, end) in jump.items()})
assert jump["clipped to norm 1"][0] <= 0.03 + 1e-9 and jump["clipped to norm 1"][1] < 1e-3

# %% [markdown]
# ## Break it
#
# $\eta < 2/\lambda_{\max}$ is a law, not advice: at 1.01 times the bound the loss of a quadratic grows without end,
# and at 0.99 it falls. Find the bound of a network of yours in the same way: the largest eigenvalue of its Hessian
# comes from a few products `minidl.hvp(f, w, v)` with a random $v$ (the power method).

# %%
f, H, start = ravine(0.7)
ends = [descend(f, start, lambda p, r=r: optim.SGD(p, lr=r * 2 / KAPPA), 500)[1][-1] for r in (0.99, 1.01)]
print(f"after 500 steps: {ends[0]:.1e} just below the bound, {ends[1]:.1e} just above")
assert ends[0] < 1e-3 and ends[1] > 1e3
