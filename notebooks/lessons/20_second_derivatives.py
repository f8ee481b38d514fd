# %% [markdown]
# # Second derivatives: how curved is the loss?
#
# The gradient says which way is down. How far one may go, which directions are steep and which are flat, whether a
# place without slope is a minimum or a saddle: that is in the second derivatives. There are $n^2$ of them for $n$
# parameters, too many to write down for a large network, but their product with a vector costs hardly more than a
# gradient. This lesson computes both, proves them right, measures what they cost, and uses them: for the best step
# along the gradient, for Newton's method, and to watch how training changes the landscape. Lesson 04 has shown the
# engine, lesson 05 how its derivatives are checked; the ravines of lesson 11 are what curvature does to training.
#
# *Hessian* $H$: the matrix of second derivatives, $H_{ij} = \partial^2 f/\partial x_i\partial x_j$; it is symmetric.
# *Eigenvector* $q$ with *eigenvalue* $\lambda$: a direction with $Hq = \lambda q$. *Curvature* along a unit vector $v$:
# $v^\top H v$, the second derivative of $f$ on the straight line along $v$; along $q_i$ it is $\lambda_i$.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data
from minidl.nn import functional as F
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, ORANGE, VERMILLION, dress, key, whole_numbers

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)
rng = np.random.default_rng(0)


def value_and_gradient(f, p):
    """f(p) as a number and its gradient as an array."""
    p = Tensor(p, requires_grad=True)
    value = f(p)
    return value.item(), minidl.grad(value, p)[0].numpy()

# %% [markdown]
# ## 1. The Hessian is the bowl that fits best
#
# Near a point, a smooth function is a constant, a slope and a bowl:
#
# $$f(x+d) \approx m(d) = f(x) + g^\top d + \tfrac12\, d^\top H d, \qquad g = \nabla f(x),\ H = \nabla^2 f(x).$$
#
# What is left out is of third order: halve the distance, and the error becomes eight times smaller. The picture shows
# $f$ in grey and the contours of $m$ in blue, around the dot where both touch. The arrows are the eigenvectors of $H$.
# Along one of them the function bends up ($\lambda > 0$), along the other it bends down: here the "bowl" is a saddle.
#
# *Source:* `hessian` in `minidl/derivatives.py`. *Reference:* Nocedal, Wright (2006), "Numerical Optimization", 2nd
# edition, Springer, section 2.1.

# %%
def hills(p):
    return 0.25 * (p[0] - 1) ** 2 + 0.5 * p[1] ** 2 + 1.2 * minidl.sin(p[0] + p[1]) + 0.3 * minidl.cos(2 * p[0])


at = np.array([0.6, 0.5])
f0, g = value_and_gradient(hills, at)
H = minidl.hessian(hills, at).numpy()
lam, Q = np.linalg.eigh(H)  # eigenvalues in ascending order, eigenvectors in the columns


def model(d):
    """m(d) for one displacement (2,) or many (2, A, B)."""
    return f0 + np.tensordot(g, d, 1) + 0.5 * (d * np.tensordot(H, d, 1)).sum(axis=0)


halved = [abs(hills(at + 0.1 / 2**k * Q[:, 0]) - model(0.1 / 2**k * Q[:, 0])) for k in range(5)]
factors = np.divide(halved[:-1], halved[1:])
print("H =", H.round(3).tolist(), " eigenvalues", lam.round(3).tolist())
print("the error of the model shrinks by", factors.round(1).tolist())
assert np.allclose(H, H.T) and abs(factors[-1] - 8) < 0.5

u, v = np.meshgrid(np.linspace(-2.4, 3, 160), np.linspace(-2.4, 2.4, 160))
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
levels = np.arange(-2, 8, 0.3)
left.contour(u, v, hills((u, v)), levels, colors="#BBBBBB", linewidths=0.9)
d = np.stack([u - at[0], v - at[1]])
left.contour(u, v, np.where((d**2).sum(axis=0) < 0.6, model(d), np.nan), levels, colors=BLUE, linewidths=1.3)
for name, curvature, axis, colour in zip(("down", "up"), lam, Q.T, (VERMILLION, GREEN), strict=True):
    left.annotate("", at + axis, at, arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 2})
    s = np.linspace(-1.5, 1.5, 100)
    right.plot(s, hills(at[:, None] + s * axis[:, None]), color=colour, label=f"bends {name}, λ = {curvature:.2f}")
    right.plot(s, model(s * axis[:, None]), "--", color=colour, linewidth=1, label="its parabola")
left.plot(*at, "ko")
left.set_aspect("equal")
dress(left, "The function (grey), its quadratic model (blue)", "x", "y", None)
dress(right, "Along the two eigenvectors", "distance from the point", "")
key(right)
plt.show()

# %% [markdown]
# ## 2. Hessian times vector, without the Hessian
#
# For a million parameters $H$ has $10^{12}$ entries. But most methods only ever need $Hv$ for some vectors $v$, and
# that is the derivative of a single number. The product of the gradient with a *fixed* $v$ is a scalar function of $x$,
# and reverse mode differentiates a scalar for the price of a few evaluations:
#
# $$H v = \nabla_x\big(\nabla f(x)^\top v\big).$$
#
# This is *double backward*: backward through the backward pass. `create_graph=True` asks the engine to record the first
# backward as it goes; its rules are made of differentiable operations themselves. `hvp` is these lines.
# `hessian` is $n$ of these products, one for each unit vector.
#
# Our example from here on: a network with one hidden layer, all its parameters in one vector `p`, and as loss the mean
# squared error against a curve with four bends.
#
# *Source:* `hvp` in `minidl/derivatives.py`. *Reference:* Pearlmutter (1994), "Fast exact multiplication by the
# Hessian", Neural Computation 6.

# %%
X = np.linspace(-1, 1, 24)[:, None]
Y = np.cos(4 * np.arccos(X))  # the Chebyshev polynomial of degree 4


def loss_of_width(width, dtype=np.float64):
    """A loss as a function of all parameters (3 width + 1,), and the parameters to start from."""
    x, y = X.astype(dtype), Y.astype(dtype)

    def loss(p):
        w, b, v, c = p[:width], p[width : 2 * width], p[2 * width : 3 * width], p[3 * width :]
        return ((minidl.tanh(x @ w.reshape(1, width) + b) @ v.reshape(width, 1) + c - y) ** 2).mean() / 2

    draw = np.random.default_rng(1).standard_normal
    return loss, np.concatenate([2 * draw(width), draw(width), draw(width) / width**0.5, np.zeros(1)]).astype(dtype)


loss, start = loss_of_width(20)
vector = rng.standard_normal(start.size)
p = Tensor(start, requires_grad=True)
(gradient,) = minidl.grad(loss(p), p, create_graph=True)
(by_hand,) = minidl.grad((gradient * vector).sum(), p)

H = minidl.hessian(loss, start).numpy()
print(f"{start.size} parameters; Hv by hand {by_hand.numpy()[:3].round(4)} ...")
assert np.array_equal(by_hand, minidl.hvp(loss, start, vector))
assert np.allclose(by_hand, H @ vector) and np.allclose(H, H.T)

# %% [markdown]
# ## 3. Against differences of the gradient
#
# There is another way that needs no double backward: two gradients and a small step,
#
# $$H v \approx \frac{\nabla f(x + h v) - \nabla f(x - h v)}{2h}.$$
#
# It is a good check, and lesson 02 has the rest of the story. A large step bends (error $\sim h^2$), a small one drowns
# in rounding ($\sim\varepsilon/h$). In double precision eleven digits are possible, if one hits the right $h$. In
# single precision, which is what networks are trained in, not more than five, while double backward has nearly all
# seven for any $v$, without a step to choose.
#
# *Source:* `minidl/check/numeric.py` has the differences. *Reference:* Griewank, Walther (2008), "Evaluating
# Derivatives", 2nd edition, SIAM, chapter 5.

# %%
steps = np.geomspace(1e-9, 1, 46)
exact = minidl.hvp(loss, start, vector).numpy()
size = np.linalg.norm(exact)
fig, ax = plt.subplots(figsize=(8.5, 4), layout="constrained")
best = {}
for dtype, colour, name in ((np.float64, BLUE, "float64"), (np.float32, VERMILLION, "float32")):
    f, p0 = loss_of_width(20, dtype)
    v = vector.astype(dtype)
    errors = []
    for h in steps:
        ends = [value_and_gradient(f, p0 + dtype(s) * v)[1] for s in (h, -h)]
        errors.append(np.linalg.norm((ends[0] - ends[1]).astype(np.float64) / (2 * h) - exact) / size)
    double = minidl.hvp(f, p0, v)
    assert double.dtype == dtype
    best[name] = min(errors), max(np.linalg.norm(double.numpy() - exact) / size, 1e-16)
    ax.loglog(steps, errors, "o-", color=colour, markersize=3, label=f"differences, {name}")
    ax.axhline(best[name][1], color=colour, linestyle="--", label=f"double backward, {name}")
ax.set_ylim(3e-17, 10)
dress(ax, "Error of Hv", "step h", "relative error", "both")
key(ax)
plt.show()
assert best["float64"][0] < 1e-8 and best["float32"][0] > 1e-5 > 1e-6 > best["float32"][1]

# %% [markdown]
# (The reference is double backward in float64, so that its own error cannot be seen here: the lowest line stands for
# "the last digit". That it is right is what the blue curve shows.)
#
# ## 4. What it costs
#
# Theory: in the number of arithmetic operations a gradient costs at most four to five times as much as the function,
# **whatever $n$ is**. The gradient is a function as well, so that a product $Hv$ costs at most four to five gradients.
# The whole Hessian costs $n$ products. Measured below, for hidden layers that grow from 4 to 4096 units, each the best
# of several runs. As long as the arrays are small, what one pays is Python's time per operation, and the lines are
# flat. The whole Hessian is soon out of reach.
#
# *Source:* `minidl/derivatives.py`, all of it in eighty lines. *Reference:* Baydin, Pearlmutter, Radul, Siskind (2018),
# "Automatic differentiation in machine learning: a survey", JMLR 18, section 3.2.

# %% tags=["varies"]
def seconds(call, times):
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return min(taken)


table = {"function": [], "gradient": [], "Hessian-vector product": [], "whole Hessian": []}
sizes = []
for width in (4, 16, 64, 256, 1024, 4096):
    f, p0 = loss_of_width(width)
    v = rng.standard_normal(p0.size)
    sizes.append(p0.size)
    with minidl.no_grad():
        table["function"].append(seconds(lambda f=f, p0=p0: f(Tensor(p0)), 20))
    table["gradient"].append(seconds(lambda f=f, p0=p0: value_and_gradient(f, p0), 20))
    table["Hessian-vector product"].append(seconds(lambda f=f, p0=p0, v=v: minidl.hvp(f, p0, v), 20))
    if width <= 64:
        table["whole Hessian"].append(seconds(lambda f=f, p0=p0: minidl.hessian(f, p0), 2))

fig, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
for (name, taken), marker in zip(table.items(), "os^D", strict=True):
    ax.loglog(sizes[: len(taken)], taken, marker=marker, label=name)
dress(ax, "Time by number of parameters", "parameters", "seconds", "both")
key(ax)
plt.show()
ratio = np.divide(table["Hessian-vector product"], table["gradient"])
print("one product costs as much as", ratio.round(1).tolist(), "gradients")

# %% [markdown]
# ## 5. Curvature along the gradient: the best step
#
# One product answers the question that a learning rate guesses at. Walk from $p$ against the gradient, with step
# $\eta$. On this line the model is a parabola, and its lowest point is known:
#
# $$m(\eta) = f - \eta\, g^\top g + \tfrac12\,\eta^2\, g^\top H g, \qquad
# \eta^* = \frac{g^\top g}{g^\top H g} = \frac{1}{\text{curvature along } g}.$$
#
# Beyond $2\eta^*$ the parabola is higher than at the start: the step that makes the loss grow. The curvature along the
# gradient is an average of the eigenvalues, weighted by the share of the gradient that lies along each, so (if it is
# positive) $\eta^*$ is never smaller than $1/\lambda_{\max}$. Below, thirty small steps have been taken already. The
# steep directions are used up, the gradient lies along flat ones, and **one** step may be eighty times as long as
# $1/\lambda_{\max}$. But only one: what little is left along the steep directions grows with it, and the next gradient
# points there. The best single step is greedy, and repeated it zigzags (lesson 11).
#
# *Source:* `hvp` in `minidl/derivatives.py`. *Reference:* Nocedal, Wright (2006), section 3.3.

# %%
here = start.copy()
for _ in range(30):
    here -= 0.1 * value_and_gradient(loss, here)[1]
value, g = value_and_gradient(loss, here)
curvature = (g @ minidl.hvp(loss, here, g).numpy()) / (g @ g)
eta = 1 / curvature
lam, Q = np.linalg.eigh(minidl.hessian(loss, here).numpy())
weights = (Q.T @ g) ** 2 / (g @ g)
assert np.isclose(curvature, weights @ lam) and eta >= 1 / lam[-1]

rates = np.linspace(0, 2.6 * eta, 80)
walk = [loss(Tensor(here - rate * g)).item() for rate in rates]
parabola = value - rates * (g @ g) + 0.5 * rates**2 * curvature * (g @ g)
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained")
left.plot(rates, walk, color=BLUE, linewidth=2.2, label="the loss")
left.plot(rates, parabola, "--", color=VERMILLION, label="the parabola of one Hessian-vector product")
left.axvline(eta, color=GREEN, label=f"η* = {eta:.2f}")
left.axvline(1 / lam[-1], color=GREY, linestyle=":", label=f"1 / λmax = {1 / lam[-1]:.2f}")
dress(left, "From here, against the gradient", "step η", "loss")
key(left)
right.semilogy(lam, weights, "o", color=BLUE, markersize=4)
right.set_ylim(1e-9, 3)
right.axvline(curvature, color=GREEN, label="curvature along the gradient")
dress(right, "Which eigenvectors the gradient is made of", "eigenvalue", "share of |g|²")
key(right)
plt.show()
found = rates[np.argmin(walk)]
print(f"best step by the parabola {eta:.2f}, by trying {found:.2f}; share of the top direction {weights[-1]:.0e}")
assert 0.5 < found / eta < 2

# %% [markdown]
# ## 6. Newton's step
#
# Instead of the lowest point along one line, take the lowest point of the whole model. Its gradient $g + Hd$ vanishes
# at
#
# $$d = -H^{-1} g .$$
#
# Each direction then has a step length of its own, $1/\lambda_i$, and a ravine is as easy as a round bowl. Near a
# minimum the number of right digits **doubles** in each step (*quadratic* convergence), whereas gradient descent adds
# the same fraction of a digit in each (*linear*). Below: logistic regression, a convex problem, with features of
# unequal size. The inverse is not needed either: *conjugate gradients* solve $Hd = -g$ with nothing but products $Hv$,
# $n$ of them if it were not for rounding, in fifteen lines.
#
# *Reference:* Martens (2010), "Deep learning via Hessian-free optimization", ICML; Hestenes, Stiefel (1952), "Methods
# of conjugate gradients for solving linear systems", Journal of Research of the National Bureau of Standards 49.

# %% tags=["varies"]
A = rng.standard_normal((200, 6)) * np.geomspace(0.1, 3, 6)
labels = (rng.random(200) < 1 / (1 + np.exp(-A @ rng.standard_normal(6)))).astype(np.float64)


def logistic(w):
    """Mean log-loss of labels 0 and 1, and a little L2 so that there is a minimum."""
    z = A @ w
    return (minidl.softplus(z) - labels * z).mean() + 0.001 * (w * w).sum()


def conjugate_gradients(multiply, right_side, tolerance=1e-12):
    """Solve H d = right_side for a positive definite H that is only known by its products."""
    d, rest = np.zeros_like(right_side), right_side.copy()
    direction, products = rest.copy(), 0
    while rest @ rest > tolerance**2 * (right_side @ right_side) and products < 10 * len(d):
        Hd = multiply(direction)
        length = (rest @ rest) / (direction @ Hd)
        d = d + length * direction
        left = rest - length * Hd
        direction = left + (left @ left) / (rest @ rest) * direction
        rest, products = left, products + 1
    return d, products


w = np.zeros(6)
H = minidl.hessian(logistic, w).numpy()
g = value_and_gradient(logistic, w)[1]
d, products = conjugate_gradients(lambda v: minidl.hvp(logistic, w, v).numpy(), -g)
print(f"conjugate gradients: {products} products for {len(w)} parameters")
assert np.allclose(d, np.linalg.solve(H, -g))

newton, descent = [np.zeros(6)], [np.zeros(6)]
for _ in range(9):
    w = newton[-1]
    g = value_and_gradient(logistic, w)[1]
    newton.append(w + conjugate_gradients(lambda v, w=w: minidl.hvp(logistic, w, v).numpy(), -g)[0])
rate = 1 / np.linalg.eigvalsh(H)[-1]
for _ in range(300):
    descent.append(descent[-1] - rate * value_and_gradient(logistic, descent[-1])[1])
minimum = newton[-1]
away = {"Newton": newton[:-1], "gradient descent": descent}
away = {name: [np.linalg.norm(w - minimum) / np.linalg.norm(minimum) for w in path] for name, path in away.items()}
digits = [-np.log10(max(a, 1e-16)) for a in away["Newton"]]
print("right digits after each Newton step:", *(f"{k:.1f}" for k in digits[:8]))
assert max(digits) > 8 and away["gradient descent"][-1] > 1e-3
assert np.linalg.norm(value_and_gradient(logistic, minimum)[1]) < 1e-12

# %% [markdown]
# **Newton's method goes wherever the gradient is zero**, to maxima and saddles as well. Where an eigenvalue is negative
# the model has no lowest point along that direction, and $-H^{-1}g$ climbs to its highest. The cure keeps the step
# lengths and repairs the signs, $d = -Q\,|\Lambda|^{-1}Q^\top g$. The picture on the right: a function with a saddle in
# the middle and two minima. Newton's iteration falls into the saddle, gradient descent and the repaired step do not.
#
# *Reference:* Dauphin et al. (2014), "Identifying and attacking the saddle point problem in high-dimensional non-convex
# optimization", arXiv:1406.2572.

# %%
def saddle(p):
    return 0.5 * p[0] ** 2 - 0.5 * p[1] ** 2 + 0.25 * p[1] ** 4


def steps_of(direction, count=40):
    path = [np.array([1.4, 0.25])]
    for _ in range(count):
        g = value_and_gradient(saddle, path[-1])[1]
        path.append(path[-1] + direction(g, minidl.hessian(saddle, path[-1]).numpy()))
    return np.array(path)


def repaired(g, H):
    lam, Q = np.linalg.eigh(H)
    return -0.5 * Q @ ((Q.T @ g) / np.abs(lam))


paths = {
    "Newton": steps_of(lambda g, H: -0.5 * np.linalg.solve(H, g)),  # half steps, to see the way
    "|λ| instead of λ": steps_of(repaired),
    "gradient descent": steps_of(lambda g, H: -0.15 * g),
}
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.3), layout="constrained")
for (name, far), colour in zip(away.items(), (VERMILLION, BLUE), strict=True):
    left.semilogy(np.maximum(far, 1e-16)[:60], "o-", color=colour, markersize=3.5, label=name)
whole_numbers(left.xaxis)
dress(left, "Logistic regression: distance to the minimum", "step", "relative distance")
key(left)
u, v = np.meshgrid(np.linspace(-1.1, 1.6, 120), np.linspace(-1.1, 1.35, 120))
right.contour(u, v, saddle((u, v)), np.arange(-0.24, 1.2, 0.06), colors="#CCCCCC", linewidths=0.9)
for (name, path), colour, marker in zip(paths.items(), (VERMILLION, GREEN, BLUE), "o^s", strict=True):
    right.plot(*path.T, marker + "-", color=colour, markersize=4, label=name)
right.plot([0, 0], [1, -1], "k*", markersize=12)
right.plot(0, 0, "kx", markersize=9, markeredgewidth=2)
right.set_aspect("equal")
dress(right, "A saddle (x) and two minima (stars)", "x", "y", None)
key(right)
plt.show()
assert np.allclose(paths["Newton"][-1], 0, atol=1e-6)
assert np.allclose(paths["|λ| instead of λ"][-1], [0, 1], atol=1e-6)
assert np.allclose(paths["gradient descent"][-1], [0, 1], atol=1e-2)

# %% [markdown]
# ## 7. The eigenvalues of a network's loss
#
# What does the landscape of a real classifier look like? A small one, three spiral arms and 63 parameters, so
# that all eigenvalues can be computed. At the start there are negative ones: directions in which the loss bends
# down, so that no minimum is near. After training almost all are close to zero, and a few stand out, of
# the order of the number of classes. Most directions in weight space hardly matter (lesson 15 makes use of that). The
# condition number is what makes plain gradient descent slow.
#
# *Source:* `hessian` in `minidl/derivatives.py`. *Reference:* Sagun, Evci, Güney, Dauphin, Bottou (2017), "Empirical
# analysis of the Hessian of over-parametrized neural networks", arXiv:1706.04454.

# %%
points, classes = data.spirals(120, arms=3, turns=0.5, rng=0)
points = points.astype(np.float64)


def classifier(p):
    """Cross-entropy of a network with 10 hidden units, as a function of its 63 parameters."""
    hidden = minidl.tanh(points @ p[:20].reshape(2, 10) + p[20:30])
    return F.cross_entropy(hidden @ p[30:60].reshape(10, 3) + p[60:], classes)


weights = 0.6 * np.random.default_rng(0).standard_normal(63)
spectra, losses = {}, {}
for step in range(401):
    value, g = value_and_gradient(classifier, weights)
    if step in (0, 20, 400):
        spectra[step], losses[step] = np.linalg.eigvalsh(minidl.hessian(classifier, weights).numpy()), value
    weights = weights - 1.0 * g

fig, axes = plt.subplots(1, 3, figsize=(12.5, 3.6), layout="constrained", sharey=True)
for ax, (step, lam) in zip(axes, spectra.items(), strict=True):
    ax.vlines(np.arange(63), 0, lam, color=np.where(lam < 0, VERMILLION, BLUE), linewidth=2)
    ax.plot(np.arange(63), lam, "o", color="k", markersize=2.5)
    ax.axhline(0, color=GREY, linewidth=0.8)
    dress(ax, f"After {step} steps, loss {losses[step]:.2f}", "rank", "eigenvalue" * (step == 0))
plt.show()
for step, lam in spectra.items():
    print(f"after {step:3} steps: {int((lam < -1e-3).sum()):2} below -0.001, {int((abs(lam) < 0.01).sum()):2} within "
          f"0.01 of zero, largest {lam[-1]:.2f}, smallest {lam[0]:.3f}")
assert spectra[0][0] < -0.1 and spectra[400][0] > -0.02 and (abs(spectra[400]) < 0.01).mean() > 0.5

# %% [markdown]
# ## 8. The edge of stability
#
# For networks that are too large for that, the largest eigenvalue alone can be had from products: multiply a vector by
# $H$ again and again, and what is left of it is the top eigenvector (*power iteration*). With it we can watch the
# *sharpness* $\lambda_{\max}$ during training. Gradient descent with rate $\eta$ is stable on a bowl only if
#
# $$\eta < \frac{2}{\lambda_{\max}} \quad\Longleftrightarrow\quad \lambda_{\max} < \frac{2}{\eta} .$$
#
# One expects that the landscape is what it is and the rate must be chosen to fit. In fact it is also the other way
# round: descent walks towards sharper and sharper places, until $\lambda_{\max}$ reaches $2/\eta$, the dashed line.
# There the steps begin to jump across the valley, and these jumps keep it from getting sharper; the loss falls all the
# same, no longer evenly. The larger the rate, the flatter the place where the network ends up. In the picture the
# smallest rate is still on its way up, the middle one arrives, and the largest begins above its line, from where the
# first jumps throw it to a flatter place.
#
# *Source:* `hvp` in `minidl/derivatives.py`. *Reference:* Cohen, Kaur, Li, Kolter, Talwalkar (2021), "Gradient descent
# on neural networks typically occurs at the edge of stability", arXiv:2103.00065.

# %% tags=["varies"]
def top_eigenvalue(f, p, v, times):
    """The eigenvalue of largest size and its vector, by power iteration from v."""
    for _ in range(times):
        Hv = minidl.hvp(f, p, v).numpy()
        v, size = Hv / np.linalg.norm(Hv), v @ Hv
    return size, v


assert np.isclose(top_eigenvalue(loss, start, np.ones(61), 200)[0], np.linalg.eigvalsh(minidl.hessian(loss, start))[-1])
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
for rate, colour in ((0.1, BLUE), (0.2, ORANGE), (0.3, VERMILLION)):
    p, v, sharpness, values = start.copy(), np.ones(start.size), [], []
    for step in range(3001):
        value, g = value_and_gradient(loss, p)
        values.append(value)
        if step % 50 == 0:
            size, v = top_eigenvalue(loss, p, v, 5 if step else 100)
            sharpness.append(size)
        p -= rate * g
    left.plot(np.arange(0, 3001, 50), sharpness, color=colour, linewidth=2, label=f"η = {rate}")
    left.axhline(2 / rate, color=colour, linestyle="--", linewidth=1)
    right.semilogy(values, color=colour, linewidth=1, label=f"η = {rate}")
    last = np.mean(sharpness[-10:])
    print(f"η = {rate}: sharpness at the end {last:.1f}, 2/η = {2 / rate:.1f}, loss {values[-1]:.4f}")
    assert last < 1.15 * 2 / rate
left.set_ylim(0, 21)
dress(left, "Sharpness; dashed: 2/η", "step", "largest eigenvalue")
dress(right, "Loss", "step", "")
key(left)
key(right)
plt.show()

# %% [markdown]
# ## Break it
#
# 1. Replace tanh in `loss_of_width` by `minidl.relu` and look at section 3 again. A ReLU has no curvature at all, and
#    yet $H$ is not zero: where does it come from, and what do differences say when a step crosses a kink?
# 2. The rule below computes with NumPy where it should use the library's functions. First order is right; second order
#    is silently zero in an engine that does not check. Who notices here?

# %%
cube = minidl.primitive(lambda x: x**3, elementwise=True)
cube.vjp(lambda g, x: g * 3 * np.asarray(x) ** 2)
print(minidl.gradcheck(cube, rng.standard_normal(4), rng=0))
