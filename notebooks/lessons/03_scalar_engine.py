# %% [markdown]
# # A scalar engine in sixty lines
#
# Differences (lesson 02) need two evaluations for each input. Here is the method that gets the derivatives with respect
# to *all* inputs, exactly, for about the price of one further evaluation. It is called *reverse-mode automatic
# differentiation*, or *backpropagation*, and it needs two ideas only: every number remembers what it was computed
# from, and the chain rule is applied backwards, in the right order.
#
# You will build an engine for single numbers (*scalars*), draw what it remembers, break it in the two classical ways,
# and train a small network with it. Every result is compared with minidl's `Tensor`, which is the same engine for
# arrays: lesson 04.

# %%
import itertools
import math
import time

import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, optim, viz
from minidl.viz.graph_layout import lay_out
from minidl.viz.style import BLUE, CLASSES, GREY, INK, ORANGE, SIGNED, SKY, VERMILLION, bare, dress, faded, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The chain rule on a graph
#
# A computation is a *graph*: each number is a *node*, and an *edge* leads from each number that was read, the *parent*,
# to the result, its *child*. Numbers that were not computed are *leaves*. On every edge sits a *local slope*: by how
# much the child changes if this parent changes by a little, and nothing else does. For $c = ab$ these are
# $\partial c/\partial a = b$ and $\partial c/\partial b = a$. That is all that must be known about multiplication.
#
# Let $L$ be the final result and write $\bar v = \partial L/\partial v$ for the *gradient* of a node. A node acts on
# $L$ only through its children, and the effects add up:
#
# $$\bar L = 1, \qquad \bar v = \sum_{c\,\in\,\text{children of } v} \frac{\partial c}{\partial v}\,\bar c .$$
#
# Unfolded, this is a sum over all paths from $v$ to $L$ of the product of the slopes along the path.
#
# ## 2. The engine
#
# Each operation below is one line: the result, its parents, the slopes. `backward` is the equation above: take the
# nodes from the youngest to the oldest, and let each hand its gradient on to its parents. Parents are *born* before
# their children, so the youngest node that is left has already heard from all of its children.
#
# *Source:* `minidl/engine.py` has the same design for arrays (`Node.birth`, `_sweep`). *Reference:* Griewank, Walther
# (2008), "Evaluating Derivatives", 2nd edition, chapter 3; Linnainmaa (1976), "Taylor expansion of the accumulated
# rounding error", BIT 16, who had it first.

# %%
births = itertools.count()


class Value:
    """A number that remembers how it was computed."""

    def __init__(self, data, op="", parents=(), slopes=()):
        self.data, self.grad = float(data), 0.0
        self.op, self.parents, self.slopes = op, parents, slopes  # slopes: d(self) / d(each parent)
        self.birth = next(births)

    def __add__(self, other):
        other = as_value(other)
        return Value(self.data + other.data, "+", (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = as_value(other)
        return Value(self.data * other.data, "×", (self, other), (other.data, self.data))

    def __pow__(self, k):
        return Value(self.data**k, f"power {k}", (self,), (k * self.data ** (k - 1),))

    def exp(self):
        out = math.exp(self.data)
        return Value(out, "exp", (self,), (out,))

    def log(self):
        return Value(math.log(self.data), "log", (self,), (1 / self.data,))

    def tanh(self):
        out = math.tanh(self.data)
        return Value(out, "tanh", (self,), (1 - out * out,))

    def relu(self):
        return Value(max(self.data, 0.0), "relu", (self,), (float(self.data > 0),))

    __radd__, __rmul__ = __add__, __mul__
    __neg__ = lambda self: self * -1.0  # noqa: E731
    __sub__ = lambda self, other: self + -as_value(other)  # noqa: E731
    __rsub__ = lambda self, other: as_value(other) + -self  # noqa: E731
    __truediv__ = lambda self, other: self * as_value(other) ** -1  # noqa: E731

    def history(self):
        """This node and all it was computed from, oldest first. No recursion, so it may be deep."""
        seen, waiting = {self}, [self]
        while waiting:
            new = set(waiting.pop().parents) - seen
            seen |= new
            waiting += new
        return sorted(seen, key=lambda v: v.birth)

    def backward(self):
        """Add d(self)/d(leaf) to the grad of every leaf."""
        order = self.history()
        for v in order:
            if v.parents:
                v.grad = 0.0  # only leaves remember earlier calls
        self.grad = 1.0
        for v in reversed(order):
            for parent, slope in zip(v.parents, v.slopes, strict=True):
                parent.grad += slope * v.grad


def as_value(x):
    return x if isinstance(x, Value) else Value(x)

# %% [markdown]
# ## 3. Draw it, and watch the gradients come back
#
# The example is $e = (a+b)(b+1)$ at $a=2$, $b=1$. Blue is the value of a node, red its gradient, the small numbers are
# the slopes on the edges. The forward pass has filled in everything blue. Then, node by node, from the youngest:
#
# $$\bar e = 1; \quad \bar c = d\,\bar e = 2,\ \bar d = c\,\bar e = 3; \quad \bar b \mathrel{+}= 1\cdot\bar d; \quad
# \bar a \mathrel{+}= 1\cdot\bar c,\ \bar b \mathrel{+}= 1\cdot\bar c .$$
#
# Two paths lead from $b$ to $e$, and the gradients of both arrive: $\bar b = 3 + 2 = 5$.
#
# *Source:* `minidl/viz/graph_layout.py` places the boxes. *Reference:* Olah (2015), "Calculus on computational graphs:
# backpropagation", colah.github.io, from whom the example is.

# %%
def draw(ax, root, names, title, now=None, order=None):
    """The graph that ends in `root`: values in blue, gradients in red; `now`: a node that stands out."""
    nodes = root.history()
    number = {v: k for k, v in enumerate(nodes)}
    layout = lay_out([[number[p] for p in v.parents] for v in nodes], [1.3] * len(nodes), gap=0.5)
    x, y = layout.x, 1.35 * layout.layer
    for child, v in enumerate(nodes):
        for p in dict.fromkeys(v.parents):
            route = layout.routes[number[p], child]
            px, py = x[route], y[route].astype(float)
            py[0], py[-1] = py[0] - 0.36, py[-1] + 0.36
            ax.plot(px[:-1], py[:-1], color=GREY, linewidth=1)
            ax.annotate("", (px[-1], py[-1]), (px[-2], py[-2]), arrowprops={"arrowstyle": "-|>", "color": GREY})
            slopes = " and ".join(f"{s:.3g}" for q, s in zip(v.parents, v.slopes, strict=True) if q is p)
            ax.text((px[-1] + px[-2]) / 2 + 0.08, (py[-1] + py[-2]) / 2, slopes, fontsize=8, color=INK, va="center")
        fill = faded(ORANGE, 0.6) if v is now else faded(SKY, 0.3) if v.parents else faded(ORANGE, 0.2)
        box = plt.Rectangle((x[child] - 0.65, y[child] - 0.36), 1.3, 0.72, facecolor=fill, edgecolor=INK, zorder=3)
        ax.add_patch(box)
        label = f"{names[v]} = {v.op}" if v in names and v.op else names.get(v, v.op or "constant")
        value, gradient = (-0.33, -0.16, f"{v.data:.3g}", BLUE), (0.33, -0.16, f"{v.grad:.3g}", VERMILLION)
        for dx, dy, text, colour in ((0, 0.16, label, INK), value, gradient):
            ax.text(x[child] + dx, y[child] + dy, text, fontsize=9, color=colour, ha="center", va="center", zorder=4)
    ax.set(xlim=(x.min() - 0.8, x.max() + 0.8), ylim=(y.min() - 0.5, y.max() + 0.5), aspect="equal")
    bare(ax, title)


a, b = Value(2.0), Value(1.0)
c = a + b
d = b + 1
e = c * d
names = {a: "a", b: "b", c: "c", d: "d", e: "e"}

fig, axes = plt.subplots(1, 4, figsize=(14, 4), layout="constrained")
e.grad = 1.0
draw(axes[0], e, names, "Start: the gradient of e is 1", e)
for ax, v in zip(axes[1:], (e, d, c), strict=True):  # the loop of backward, by hand
    for parent, slope in zip(v.parents, v.slopes, strict=True):
        parent.grad += slope * v.grad
    draw(ax, e, names, f"{names[v]} has handed on", v)
plt.show()
assert (a.grad, b.grad) == (2.0, 5.0)

ta, tb = Tensor(2.0, requires_grad=True), Tensor(1.0, requires_grad=True)
((ta + tb) * (tb + 1)).backward()
assert (ta.grad.item(), tb.grad.item()) == (a.grad, b.grad)


def paths(v, end):
    """The product of the slopes, for each path from v up to the end."""
    if v is end:
        return [1.0]
    return [s * rest for child in end.history() for p, s in zip(child.parents, child.slopes, strict=True) if p is v
            for rest in paths(child, end)]  # fmt: skip


print("paths from b to e:", paths(b, e), "  their sum:", sum(paths(b, e)))
assert sum(paths(b, e)) == b.grad

# %% [markdown]
# ## 4. A neuron
#
# A *neuron* weighs its inputs, adds a *bias* and bends the sum with an *activation*. With the *squared error* as loss:
#
# $$y = \tanh(w_1x_1 + w_2x_2 + b), \qquad L = (y - t)^2 .$$
#
# On the left is the graph of our engine, in which $y - t$ is $y + (-1)\cdot t$. On the right is the graph that minidl
# has recorded of the same formula with arrays, drawn by `viz.graph`: the two products are one operation on vectors of
# two, and what needs no gradient (the inputs $x$, the target $t$) is not recorded at all. The gradients are the same
# numbers.
#
# *Source:* `minidl/viz/graph_picture.py`. *Reference:* Rumelhart, Hinton, Williams (1986), "Learning representations by
# back-propagating errors", Nature 323.

# %%
x1, x2, target = 1.5, -1.0, 0.4
w1, w2, bias = Value(0.6), Value(-0.4), Value(0.2)
y = (w1 * x1 + w2 * x2 + bias).tanh()
L = (y - target) ** 2
L.backward()

x = np.array([x1, x2])
w, tbias = Tensor(np.array([0.6, -0.4]), requires_grad=True), Tensor(np.array(0.2), requires_grad=True)
output = ((w * x).sum() + tbias).tanh()
loss = (output - target) ** 2

fig, (left, right) = plt.subplots(1, 2, figsize=(10.5, 7.4), width_ratios=[2.2, 1], layout="constrained")
draw(left, L, {w1: "w1", w2: "w2", bias: "b", y: "y", L: "L"}, "Our engine: values blue, gradients red")
viz.graph(loss, {"w": w, "b": tbias, "y": output, "L": loss}, ax=right, title="minidl: arrays")
plt.show()

loss.backward()
print("ours:  ", [round(v.grad, 6) for v in (w1, w2, bias)])
print("minidl:", [*w.grad.numpy().round(6).tolist(), round(tbias.grad.item(), 6)])
assert np.allclose([w1.grad, w2.grad, bias.grad], [*w.grad.numpy(), tbias.grad.item()], rtol=1e-12)

# %% [markdown]
# ## 5. First classical mistake: `=` for `+=`
#
# If a number is used twice, its gradient comes in two parts. An engine that *sets* the gradient instead of adding to it
# keeps only the last part. It is right for every formula in which each number is used once, and so it passes careless
# tests. Below: $x\cdot x$, whose slope is $2x$, and a few more.
#
# The same addition explains why gradients must be set back to zero between two steps of training: a second `backward`
# adds to what is there. That is wanted (one may add up the gradients of several batches), and `optimizer.zero_grad()`
# is how one says that a new sum begins.
#
# *Source:* the last lines of `Tensor.backward` in `minidl/engine.py`. *Reference:* Baydin, Pearlmutter, Radul, Siskind
# (2018), "Automatic Differentiation in Machine Learning: a Survey", JMLR 18.

# %%
def forgetful(root):
    """backward with the mistake."""
    root.grad = 1.0
    for v in reversed(root.history()):
        for parent, slope in zip(v.parents, v.slopes, strict=True):
            parent.grad = slope * v.grad  # should be +=


formulas = {
    "tanh(3 x)": lambda x: (3 * x).tanh(),
    "x * x": lambda x: x * x,
    "x + x + x": lambda x: x + x + x,
    "x exp(-x x)": lambda x: x * (-x * x).exp(),
    "log(x) / (1 + x)": lambda x: x.log() / (1 + x),
}
print(f"{'':18}{'minidl':>10}{'ours':>10}{'with =':>10}")
for name, f in formulas.items():
    ours, wrong, tensor = Value(0.7), Value(0.7), Tensor(np.array(0.7), requires_grad=True)
    f(ours).backward()
    forgetful(f(wrong))
    f(tensor).backward()
    print(f"{name:18}{tensor.grad.item():10.4f}{ours.grad:10.4f}{wrong.grad:10.4f}")
    assert math.isclose(ours.grad, tensor.grad.item(), rel_tol=1e-12)
    assert math.isclose(wrong.grad, ours.grad) == (name == "tanh(3 x)")

twice, tensor = Value(0.7), Tensor(np.array(0.7), requires_grad=True)
for _ in range(2):
    (twice * twice).backward()
    (tensor * tensor).backward()
assert math.isclose(twice.grad, 4 * 0.7) and math.isclose(tensor.grad.item(), 4 * 0.7)  # twice 2 x

# %% [markdown]
# ## 6. Second classical mistake: the order
#
# A node may hand on its gradient only when that is *complete*, after all of its children. An order with this property
# is called *topological*. Two ways to get it wrong:
#
# * **First come, first served.** Here $p = x^2$ has a child at once and one further away, $z = p + \tanh p$. Taken in
#   the order in which one meets them, $p$ hands on its gradient before $\tanh$ has reported. In the picture $\bar p$ is
#   right in the end, but $\bar x$ is not.
# * **Every time again.** Let a node hand on each part as soon as it comes in. The result is right, but each *path* is
#   walked by itself, and there can be exponentially many: $y \leftarrow y + y$, repeated $n$ times, has $n$ nodes and
#   $2^n$ paths.
#
# In the right order every edge is walked once, so the backward pass costs about as much as the forward pass. minidl
# keeps a *heap*, from which it takes the youngest pending node; we sort. Neither recurses, and so graphs may be deep:
# the last line goes back through 100,000 operations, where a function that calls itself would have stopped at 1000.
#
# *Source:* `_sweep` in `minidl/engine.py`. *Reference:* Griewank, Walther (2008), section 4.2 (cost of the reverse
# mode).

# %%
def first_come(root):
    """Each node once, in the order in which one meets it: wrong."""
    for v in root.history():
        v.grad = 0.0
    root.grad, queue, met = 1.0, [root], {root}
    while queue:
        v = queue.pop(0)
        for parent, slope in zip(v.parents, v.slopes, strict=True):
            parent.grad += slope * v.grad
            if parent not in met:
                met.add(parent)
                queue.append(parent)


def every_path(v, g=1.0):
    """Each part is handed on at once: right, but count the visits."""
    v.grad += g
    return 1 + sum(every_path(p, slope * g) for p, slope in zip(v.parents, v.slopes, strict=True))


x = Value(0.8)
p = x**2
q = p.tanh()
z = p + q
names = {x: "x", p: "p", q: "q", z: "z"}
fig, axes = plt.subplots(1, 3, figsize=(12.5, 5), width_ratios=[1, 1, 2.4], layout="constrained")
first_come(z)
draw(axes[0], z, names, "First come, first served")
wrong = x.grad
x.grad = 0.0
z.backward()
draw(axes[1], z, names, "Youngest first")
tensor = Tensor(np.array(0.8), requires_grad=True)
square = tensor**2
(square + square.tanh()).backward()
assert math.isclose(x.grad, tensor.grad.item(), rel_tol=1e-12) and abs(wrong - x.grad) > 0.5

depths, visits, nodes = range(1, 15), [], []
for n in depths:
    x = y = Value(1.0)
    for _ in range(n):
        y = y + y
    visits.append(every_path(y))
    nodes.append(len(y.history()))
    assert x.grad == 2**n  # right
axes[2].semilogy(depths, visits, "s-", color=VERMILLION, label="every path by itself")
axes[2].semilogy(depths, nodes, "o-", color=BLUE, label="youngest first: each node once")
dress(axes[2], "Visits for n doublings", "n", "visits", "both")
key(axes[2])
plt.show()
assert visits == [2 ** (n + 1) - 1 for n in depths] and nodes == [n + 1 for n in depths]

x = y = Value(1.0)
tx = ty = Tensor(np.array(1.0), requires_grad=True)
for _ in range(100_000):
    y, ty = y * 1.00001, ty * 1.00001
y.backward()
ty.backward()
print(f"through 100,000 operations: {x.grad:.6f}, minidl {tx.grad.item():.6f}")
assert math.isclose(x.grad, tx.grad.item(), rel_tol=1e-9)

# %% [markdown]
# ## 7. A hundred random formulas
#
# Examples that one has thought of oneself test what one has thought of. So let chance write formulas: start with four
# leaves, then twenty times combine two numbers that are there already with a random operation, and add everything up.
# Shared numbers and paths of different length come by themselves. Each formula is run three times: through our engine,
# through minidl, and through central differences, $\frac{f(x+h)-f(x-h)}{2h}$ with $h = \varepsilon^{1/3}$ (lesson 02).
# The first two must agree to rounding, the differences as far as they can.
#
# *Source:* `minidl/check/gradcheck.py` does this for the library. *Reference:* Claessen, Hughes (2000), "QuickCheck: a
# lightweight tool for random testing", ICFP, on testing with random cases.

# %%
OPERATIONS = {
    "add": lambda u, v: u + v,
    "sub": lambda u, v: u - v,
    "mul": lambda u, v: u * v.tanh(),
    "div": lambda u, v: u / (1 + v * v),
    "tanh": lambda u, v: u.tanh(),
    "relu": lambda u, v: u.relu(),
    "exp": lambda u, v: u.tanh().exp(),
    "log": lambda u, v: (1 + u**2).log(),
    "power": lambda u, v: u.tanh() ** 3,
}


def formula(recipe, leaves):
    """Run a recipe [(operation, place, place), ...] on Values or Tensors alike."""
    made = list(leaves)
    for name, i, j in recipe:
        made.append(OPERATIONS[name](made[i], made[j]))
    return sum(v.tanh() for v in made)


def number(recipe, place):
    return formula(recipe, [Value(v) for v in place]).data


h, deviations = np.finfo(np.float64).eps ** (1 / 3), {"minidl": [], "differences": []}
for _ in range(100):
    recipe = [(str(rng.choice(list(OPERATIONS))), *rng.integers(0, 4 + k, 2).tolist()) for k in range(20)]
    place = rng.uniform(-2, 2, 4)
    ours, theirs = [Value(v) for v in place], [Tensor(v, requires_grad=True) for v in place]
    formula(recipe, ours).backward()
    formula(recipe, theirs).backward()
    gradient = np.array([v.grad for v in ours])
    central = np.array([(number(recipe, place + s) - number(recipe, place - s)) / (2 * h) for s in h * np.eye(4)])
    deviations["minidl"].append(np.abs(gradient - [t.grad.item() for t in theirs]).max() / np.abs(gradient).max())
    deviations["differences"].append(np.abs(gradient - central).max() / np.abs(gradient).max())

fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
bins = np.logspace(-17.5, -7, 43)
for name, colour in (("minidl", BLUE), ("differences", ORANGE)):
    ax.hist(np.maximum(deviations[name], 1e-17), bins, color=colour, label=f"against {name}")
ax.set_xscale("log")
dress(ax, "Relative deviation of our gradients, 100 random formulas", "largest of four (left edge: none)", "formulas")
key(ax)
plt.show()
assert max(deviations["minidl"]) < 1e-12 and max(deviations["differences"]) < 1e-7

# %% [markdown]
# ## 8. It learns
#
# Sixty lines are enough to train a network: two inputs, six hidden neurons with tanh, one output $z$; two *classes*
# $s = \pm 1$ in the shape of two moons. The loss is the *logistic* one, and training is *gradient descent with
# momentum*: every parameter steps against its gradient, and keeps nine tenths of its last step (lesson 11).
#
# $$L = \frac1N\sum_n \log\left(1 + e^{-s_n z_n}\right), \qquad m \leftarrow \mu m + \bar\theta, \qquad
# \theta \leftarrow \theta - \eta m .$$
#
# The same is done with minidl and its `optim.SGD`, from the same start. The two losses agree to nine digits through
# all steps.
#
# *Source:* `data.moons` in `minidl/data/synthetic.py`. *Reference:* Karpathy (2020), "micrograd", a scalar engine
# of this kind, github.com/karpathy/micrograd.

# %%
points, classes = data.moons(40, noise=0.08, rng=np.random.default_rng(2))
signs, HIDDEN, RATE, MOMENTUM, STEPS = np.where(classes == 1, 1.0, -1.0), 6, 0.4, 0.9, 100
start = [rng.standard_normal((2, HIDDEN)), rng.standard_normal(HIDDEN), rng.standard_normal(HIDDEN), 0.0]

hidden = [[Value(w) for w in (*start[0][:, k], start[1][k])] for k in range(HIDDEN)]  # two weights, a bias
last, offset = [Value(w) for w in start[2]], Value(start[3])
parameters = [p for neuron in hidden for p in neuron] + [*last, offset]


def network(x1, x2):
    return sum(v * (w1 * x1 + w2 * x2 + b).tanh() for (w1, w2, b), v in zip(hidden, last, strict=True)) + offset


def average_loss():
    return sum((1 + (-s * network(*x)).exp()).log() for x, s in zip(points.tolist(), signs, strict=True)) / len(points)


began, losses, steps = time.perf_counter(), [], dict.fromkeys(parameters, 0.0)
for _ in range(STEPS):
    loss = average_loss()
    for p in parameters:
        p.grad = 0.0
    loss.backward()
    for p in parameters:
        steps[p] = MOMENTUM * steps[p] + p.grad
        p.data -= RATE * steps[p]
    losses.append(loss.data)
ours_took, our_nodes = time.perf_counter() - began, len(loss.history())

W, b, v, c = tensors = [Tensor(np.array(value), requires_grad=True) for value in start]
optimizer = optim.SGD(tensors, lr=RATE, momentum=MOMENTUM)


def outputs(x):
    return minidl.tanh(x @ W + b) @ v + c


began, theirs = time.perf_counter(), []
for _ in range(STEPS):
    loss = minidl.softplus(-outputs(points) * signs).mean()  # softplus(u) = log(1 + e^u)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    theirs.append(loss.item())
minidl_took = time.perf_counter() - began
minidl_nodes = len(viz.trace(minidl.softplus(-outputs(points) * signs).mean()))

assert np.allclose(losses, theirs, rtol=1e-9) and losses[-1] < 0.1
assert np.allclose([n[0].data for n in hidden], W.numpy()[0])

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.plot(losses, color=ORANGE, linewidth=5, alpha=0.5, label="sixty lines")
left.plot(theirs, color=BLUE, linewidth=1.5, label="minidl")
dress(left, "The loss: one curve over the other", "step", "loss")
key(left)
u, w = np.meshgrid(np.linspace(-1.6, 2.6, 40), np.linspace(-1.1, 1.6, 30))
belief = np.array([network(*x).data for x in zip(u.ravel(), w.ravel(), strict=True)]).reshape(u.shape)
right.contourf(u, w, np.tanh(belief / 2), 20, cmap=SIGNED, vmin=-1.5, vmax=1.5)
right.contour(u, w, belief, [0], colors=INK, linewidths=1.2)
for s, marker, colour in ((1, "o", VERMILLION), (-1, "s", BLUE)):
    right.scatter(*points[signs == s].T, color=colour, marker=marker, edgecolor="white", s=40)
dress(right, "What the scalar engine has learnt", "", "", None)
plt.show()
correct = np.mean([(network(*x).data > 0) == (s > 0) for x, s in zip(points.tolist(), signs, strict=True)])
print(f"{correct:.0%} right; the last losses: {losses[-1]:.6f} and {theirs[-1]:.6f}")
assert correct == 1

# %% [markdown]
# ## 9. From numbers to arrays
#
# Both engines compute the same; what differs is the grain. Ours has a node for every number, minidl one for every
# array, whatever its size. Python spends some microseconds on each node, and so the number of nodes is what takes the
# time. That is the whole reason for tensors: the bookkeeping is paid once for an array, and the arithmetic runs in
# NumPy. What has to be added is a rule for each array operation, which says how a *gradient of arrays* passes through,
#
# $$\bar x = J^\top \bar y, \qquad J_{mk} = \partial y_m/\partial x_k ,$$
#
# without ever writing down the matrix $J$ of all slopes (*vector-Jacobian product*). For a broadcast it is a sum
# (lesson 01), for $y = Wx$ it is $W^\top\bar y$. One more difference: our slopes are plain numbers. minidl's rules are
# made of its own operations, and so a gradient can be differentiated once more (lesson 20).
#
# *Source:* `primitive` in `minidl/engine.py`, the rules in `minidl/ops/`. *Reference:* Baydin et al. (2018), section 3.

# %% tags=["varies"]
print(f"sixty lines: {our_nodes} nodes, {1000 * ours_took / STEPS:.1f} ms a step")
print(f"minidl:      {minidl_nodes} nodes, {1000 * minidl_took / STEPS:.1f} ms a step")
assert our_nodes > 100 * minidl_nodes and ours_took > minidl_took

# %% [markdown]
# ## Break it
#
# Give $\tanh$ the slope $1 - x^2$ of its *input* instead of $1 - y^2$ of its output, a slip that has been made many
# times. The forward pass does not notice. Would the test of section 7 find it? Put the class `Careless` there.

# %%
class Careless(Value):
    def tanh(self):
        return Value(math.tanh(self.data), "tanh", (self,), (1 - self.data**2,))  # should be 1 - out * out


x = Careless(0.9)
x.tanh().backward()
truth = (math.tanh(0.9 + h) - math.tanh(0.9 - h)) / (2 * h)
print(f"slope of tanh at 0.9: {x.grad:.4f}, by differences {truth:.4f}")
assert abs(x.grad / truth - 1) > 0.1
