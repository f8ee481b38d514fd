# %% [markdown]
# # Automatic differentiation of tensors
#
# Lesson 03 built an engine for single numbers. This one looks inside the engine for whole arrays, the one that trains
# every network in this course: in which order it walks back, what happens where a value is used twice or is repeated
# by broadcasting, what it has to remember and when it forgets, and which mistakes it refuses to make for you.
# Lesson 05 then shows how to prove that such gradients are right.
#
# *Operation*: one differentiable function call, such as `tanh`. *Leaf*: a tensor that you made yourself, not the result
# of an operation. *Graph*: all operations and leaves that a result was computed from. *Upstream gradient* $g$: the
# derivative of the final number with respect to the result of an operation; its *rule* turns $g$ into the derivatives
# with respect to its arguments. *Forward* is computing the result, *backward* is computing the derivatives.

# %%
import inspect
import tracemalloc
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, viz
from minidl.nn import functional as F
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, SIGNED, VERMILLION, bare, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The order of birth is the order of backward
#
# Each operation that is recorded becomes a *node* and gets the next number, its number of birth. Whoever is used must
# have been born before its user. So backward needs no sorting: of all nodes whose gradient has begun to arrive, it
# takes the **youngest**. Everybody who uses that node is younger still and has been treated already, therefore its
# gradient is complete:
#
# $$\bar v = \sum_{u\ \text{uses}\ v} \bar u\,\frac{\partial u}{\partial v}, \qquad
# \bar v := \frac{\partial L}{\partial v},\qquad \text{all } u \text{ are younger than } v .$$
#
# Below, `a` is used by `loss` directly, by `d`, and by `b`, from where it is a long way to `loss`. A *hook* is a
# function that is called when the gradient of a tensor is complete; here it writes down the name.
#
# *Source:* `_sweep` in `minidl/engine.py`. *Reference:* Griewank, Walther (2008), "Evaluating Derivatives", 2nd
# edition, SIAM, chapter 3.

# %%
x = Tensor(1.0, requires_grad=True)
a = x + x
b = a + 1
c = b + 1
d = c + a
loss = d + a
names = {"x": x, "a": a, "b": b, "c": c, "d": d, "loss": loss}
births, order = ["a", "b", "c", "d", "loss"], []
for name in births:
    names[name].register_hook(lambda g, name=name: order.append(name))

fig, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
viz.graph(loss, names, ax=ax, title="a is used three times, at three distances from loss")
plt.show()
vertices = viz.trace(loss, names)  # the graph as plain data, for the next cell: backward will free it
loss.backward()
print("born:    ", *births)
print("backward:", *order, "  x.grad =", x.grad.item())
assert order == births[::-1]

# %% [markdown]
# What if we took another order? In a graph that has nothing but additions every local derivative is 1, and the
# derivative of `loss` with respect to `x` is simply the number of ways from one to the other. Here there are three
# ways to `a`, and two from `a` to `x`. `walk` is the whole of backward for such a graph, with the choice of the next
# node left open. It is right with the youngest first. With *first come, first served*, `a` has its turn before the
# way through `b` and `c` has come in, and what comes later is lost.
#
# Engines that sort the graph by recursion (depth-first search) are right as well. But they must visit all of it before
# they begin, and a chain of a thousand operations is too deep for Python's call stack (section 6).

# %%
def walk(vertices, take):
    """Number of ways from the last vertex to the first, if each vertex passes on what it has when it is taken."""
    ways, waiting, done = Counter({len(vertices) - 1: 1}), [len(vertices) - 1], set()
    while waiting:
        node = take(waiting)
        waiting.remove(node)
        done.add(node)
        for parent, _ in vertices[node].parents:
            ways[parent] += ways[node]
            if parent not in waiting and parent not in done:
                waiting.append(parent)
    return ways[0]


youngest = walk(vertices, max)
first_come = walk(vertices, lambda waiting: waiting[0])
print(f"youngest first: {youngest}; first come, first served: {first_come}; the engine: {x.grad.item():.0f}")
assert youngest == x.grad.item() == 6 and first_come < 6

# %% [markdown]
# ## 2. Used twice: gradients add up
#
# The sum in the formula above is the second idea. `x * x` reads `x` twice, so two contributions arrive, $x$ from
# each side, and the gradient is $2x$. Because a node waits until all contributions are there, its rule runs **once**.
# Following each way by itself would give the same number, but the ways multiply: `h = h + h`, $n$ times in a row, has
# $2^n$ of them. This is the difference between using the chain rule and reusing what it has computed already, and the
# reason why a gradient costs no more than a few times the forward pass, however many inputs there are.
#
# To count, we make an operation of our own. `primitive` turns a NumPy function into an operation, `.vjp` gives it one
# rule for each argument.
#
# *Source:* `primitive` and `_sweep` in `minidl/engine.py`. *Reference:* Baydin, Pearlmutter, Radul, Siskind (2018),
# "Automatic differentiation in machine learning: a survey", JMLR 18.

# %%
calls = 0


@minidl.primitive(elementwise=True)
def join(x, y):
    return x + y


def count(g):
    global calls
    calls += 1
    return g


join.vjp(count, lambda g: g)

depths, counted, ways = np.arange(1, 31), [], []
for depth in depths:
    x, calls = Tensor(1.0, requires_grad=True), 0
    h = x
    for _ in range(depth):
        h = join(h, h)
    h.backward()
    counted.append(calls)
    ways.append(x.grad.item())  # the derivative is the number of ways, 2^n

fig, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
ax.semilogy(depths, ways, "o-", color=VERMILLION, markersize=4, label="ways through the graph")
ax.semilogy(depths, counted, "s-", color=BLUE, markersize=4, label="nodes treated by backward")
dress(ax, "h = h + h, again and again", "how often", "")
key(ax)
plt.show()
assert counted == depths.tolist() and ways == (2.0**depths).tolist()

# %% [markdown]
# The same word, to accumulate, is used for something else too. `backward` **adds** to the `.grad` of a leaf, it does
# not replace it. This is why a training loop says `optimizer.zero_grad()`. And it is useful: the gradient of a large
# batch is the sum of those of its parts, so that a batch which does not fit into memory is treated piece by piece.

# %%
X, y = rng.standard_normal((12, 5)), rng.standard_normal((12, 1))
w = Tensor(rng.standard_normal((5, 1)), requires_grad=True)
((Tensor(X) @ w - y) ** 2).sum().backward()
whole, w.grad = w.grad, None
for rows in np.split(np.arange(12), 3):
    ((Tensor(X[rows]) @ w - y[rows]) ** 2).sum().backward()  # no zero_grad in between
assert np.allclose(w.grad, whole)
print("12 rows at once: ", whole.numpy().ravel().round(3))
print("3 times 4 rows:  ", w.grad.numpy().ravel().round(3))

# %% [markdown]
# ## 3. Broadcasting was copying, so its gradient is a sum
#
# When shapes differ, NumPy repeats the smaller array. A number that is repeated is used several times, and section 2
# says what follows: its gradient is the sum over the copies. For $y_{ij} = a_{ij} + b_j + c_i + d$,
#
# $$\bar a_{ij} = g_{ij}, \qquad \bar b_j = \sum_i g_{ij}, \qquad \bar c_i = \sum_j g_{ij}, \qquad
# \bar d = \sum_{ij} g_{ij}.$$
#
# The engine does this in one place for all elementwise operations: sum over the axes that were added in front, and over
# those that had length 1. Rules know nothing of it. The picture shows the upstream gradient and how the others are its
# margins.
#
# *Source:* `unbroadcast` in `minidl/arrays.py`, `_conformed` in `minidl/engine.py`. *Reference:* Harris et al. (2020),
# "Array programming with NumPy", Nature 585 (broadcasting).

# %%
def sum_to(g, shape):
    """Undo a broadcast from `shape` to g.shape."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))  # axes that were put in front
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)  # axes that were stretched


shapes = {"a": (4, 6), "b": (6,), "c": (4, 1), "d": ()}
a, b, c, d = (Tensor(rng.standard_normal(s), requires_grad=True) for s in shapes.values())
g = rng.integers(-3, 4, (4, 6)).astype(np.float64)
(a + b + c + d).backward(g)

fig, axes = plt.subplots(2, 2, figsize=(7.2, 4.9), layout="constrained", width_ratios=(6, 1), height_ratios=(4, 1))
panels = {"a": axes[0, 0], "c": axes[0, 1], "b": axes[1, 0], "d": axes[1, 1]}
for name, t in zip("abcd", (a, b, c, d), strict=True):
    values = t.grad.numpy().reshape(-1, 1) if name in "cd" else np.atleast_2d(t.grad.numpy())
    panels[name].imshow(values, cmap=SIGNED, vmin=-10, vmax=10)
    for (i, j), value in np.ndenumerate(values):
        panels[name].text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=9)
    bare(panels[name], f"{name}.grad {shapes[name]}")
    assert np.array_equal(t.grad, sum_to(g, shapes[name]))
panels["a"].set_title("a.grad (4, 6), which is g", loc="left", fontsize=10, fontweight="bold")
plt.show()

for _ in range(200):  # any two shapes that fit together, and two operations
    full = rng.integers(1, 4, 3)
    p, q = (Tensor(rng.random(np.where(rng.random(3) < 0.4, 1, full)[rng.integers(0, 3):])) for _ in range(2))
    p.requires_grad = q.requires_grad = True
    out = p * q
    g = rng.random(out.shape)
    out.backward(g)
    assert np.allclose(p.grad, sum_to(g * q.numpy(), p.shape)) and np.allclose(q.grad, sum_to(g * p.numpy(), q.shape))
print("200 pairs of shapes agree")

# %% [markdown]
# ## 4. What a node keeps
#
# Between forward and backward, memory is the price. A node keeps what the rule of its operation *names*, and nothing
# else: the result (`out`), an argument by its name, or only the shape of an argument (`x_shape`). A good rule names
# little. For tanh there are two forms of the same derivative,
#
# $$\bar x = g\,(1-\tanh^2 x) = g\,(1-\text{out}^2),$$
#
# and the second needs nothing but the result, which the next operation probably keeps anyway.

# %%
rules = {"add": minidl.add, "mul": minidl.mul, "exp": minidl.exp, "tanh": minidl.tanh, "log": minidl.log,
         "relu": minidl.relu, "sigmoid": minidl.sigmoid, "maximum": minidl.maximum}
for name, function in rules.items():
    wants = [list(inspect.signature(rule).parameters)[1:] for rule in function.op.rules if rule]
    print(f"{name:8} its rules name", *(", ".join(want) or "nothing" for want in wants), sep="  |  ")
assert list(inspect.signature(minidl.tanh.op.rules[0]).parameters) == ["g", "out"]

# %% [markdown]
# Measured: eight times the same operation, one after the other, on an array of two megabytes, while nobody but the
# graph holds the results in between. `tracemalloc` is Python's own account of memory. Where rules keep nothing, only
# the last result remains, and to reshape makes no new array at all. The last two bars compute the same function,
# $x\,\sigma(x)$ (SiLU): as one primitive, and as a sigmoid and a product. The composition keeps twice as much, which is
# one of the reasons why functions that are used a lot are primitives.
#
# *Source:* `Op.keeps` in `minidl/op.py`; the rules are in `minidl/ops/`. *Reference:* Paszke et al. (2019), "PyTorch:
# an imperative style, high-performance deep learning library", arXiv:1912.01703.

# %%
def arrays_held(operation, times=8, size=250_000):
    """Memory after `times` operations in a row, in units of one array."""
    x = Tensor(np.linspace(0.1, 0.9, size), requires_grad=True)
    operation(x).sum().backward()  # whatever is made at the first call, such as compiled code, is made now
    tracemalloc.start()
    h = x
    for _ in range(times):
        h = operation(h)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / x.numpy().nbytes


operations = {
    "h + 1": lambda h: h + 1, "2 h": lambda h: 2 * h, "reshape": lambda h: h.reshape(500, -1).reshape(-1),
    "sqrt": minidl.sqrt, "tanh": minidl.tanh, "exp(-h)": lambda h: minidl.exp(-h), "h * h": lambda h: h * h,
    "silu": minidl.silu, "h * sigmoid(h)": lambda h: h * minidl.sigmoid(h),
}  # fmt: skip
held = {name: round(arrays_held(operation), 1) for name, operation in operations.items()}
fig, ax = plt.subplots(figsize=(8.5, 3.2), layout="constrained")
ax.bar(held.keys(), held.values(), color=[GREEN] * 3 + [BLUE] * 5 + [VERMILLION], width=0.6)
for k, value in enumerate(held.values()):
    ax.text(k, value + 0.2, f"{value:.0f}", ha="center")
ax.set_ylim(0, 18.5)
dress(ax, "Arrays in memory after eight operations in a row", "", "arrays")
plt.show()
assert held["h + 1"] == held["2 h"] == 1 and held["tanh"] == 8 and held["h * sigmoid(h)"] > held["silu"] + 6

# %% [markdown]
# ## 5. Memory is freed as backward goes
#
# As soon as a rule has run, its node lets go of what it kept. So memory falls *during* backward, and the two ramps of
# the picture are what training a deep network looks like from the side of the memory. Three consequences:
#
# * A second `backward` through the same graph is an error, not a wrong number: its values are gone.
# * `retain_graph=True` keeps them. It is needed rarely, for two losses that share a part of the graph for example; the
#   sum of both losses and one backward is cheaper.
# * Inside `no_grad()` nothing is recorded. To evaluate a model takes no more than two layers at a time.
#
# *Source:* the last lines of `_sweep` in `minidl/engine.py`; `minidl/mode.py` for `no_grad`. *Reference:* Chen, Xu,
# Zhang, Guestrin (2016), "Training deep nets with sublinear memory cost", arXiv:1604.06174 (what one can do when even
# one ramp is too high).

# %%
DEPTH, SIZE = 40, 100_000


def memory_over_time(retain_graph=False, record=True):
    """Arrays in memory after each of DEPTH operations, and again after each rule on the way back."""
    x, samples = Tensor(np.linspace(-1, 1, SIZE), requires_grad=True), []
    tracemalloc.start()

    def sample(_=None):
        samples.append(tracemalloc.get_traced_memory()[0] / x.numpy().nbytes)

    h = x
    with minidl.set_grad_enabled(record):
        for _ in range(DEPTH):
            h = h.tanh()
            if record:
                h.register_hook(sample)  # called when backward comes by
            sample()
        h = h.sum()
    if record:
        h.backward(retain_graph=retain_graph)
        sample()
    tracemalloc.stop()
    return samples


fig, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
curves = {"backward()": memory_over_time(), "backward(retain_graph=True)": memory_over_time(True),
          "no_grad()": memory_over_time(record=False)}
for (name, samples), line, colour in zip(curves.items(), ("-", "--", "-"), (BLUE, VERMILLION, GREEN), strict=True):
    ax.plot(np.arange(1, len(samples) + 1), samples, line, color=colour, linewidth=2, label=name)
ax.axvline(DEPTH + 0.5, color=GREY, linewidth=0.8)
ax.text(DEPTH, 47, "forward", ha="right", color=GREY)
ax.text(DEPTH + 1, 47, "backward", color=GREY)
ax.set_ylim(0, 51)
dress(ax, f"{DEPTH} times tanh, and back", "operations and rules so far", "arrays in memory")
key(ax)
plt.show()
plain, kept, evaluation = curves.values()
assert max(plain) < DEPTH + 4 and plain[-1] < 4 and min(kept[DEPTH:]) > DEPTH - 1 and max(evaluation) < 3

# %%
x = Tensor([1.0, 2.0], requires_grad=True)
loss = (x * x).sum()
loss.backward(retain_graph=True)
loss.backward()  # the last one may free it
print("twice the gradient 2 x:", x.grad.numpy())
try:
    loss.backward()
except RuntimeError as error:
    print("a third time:", error)
else:
    raise AssertionError("a freed graph was used")

# %% [markdown]
# ## 6. Any depth
#
# Youngest first needs a heap (a list from which the largest can be taken quickly) and a loop. There is no recursion, so
# that no depth is too deep. A recurrent network on a long sequence, or a simulation of many small steps, easily
# makes a hundred thousand operations in a row. Compare the classical recipe, which visits the parents of a node by
# calling itself.
#
# *Source:* `_sweep` in `minidl/engine.py`. *Reference:* Cormen, Leiserson, Rivest, Stein (2009), "Introduction to
# Algorithms", 3rd edition, section 22.4 (topological sort) and chapter 6 (heaps).

# %%
x = Tensor(np.array(1.0), requires_grad=True)
h = x
for _ in range(50_000):
    h = h * 1.00001
vertices = viz.trace(h)


def recursive_order(vertices, node, done):
    for parent, _ in vertices[node].parents:
        if parent not in done:
            recursive_order(vertices, parent, done)
    done.append(node)
    return done


assert recursive_order(vertices[:200], 199, []) == list(range(200))
try:
    recursive_order(vertices, len(vertices) - 1, [])
    raise AssertionError("deeper than expected")
except RecursionError:
    print(f"recursion: too deep for {len(vertices) - 1} operations")
h.backward()
print(f"the engine: derivative {x.grad.item():.6f}, and 1.00001^50000 = {1.00001**50_000:.6f}")
assert abs(x.grad.item() - 1.00001**50_000) < 1e-9

# %% [markdown]
# ## 7. Errors that teach: a value that backward needs is overwritten
#
# Nodes do not copy what they keep, they refer to it. If you overwrite it after forward and before backward, the rule
# would compute with numbers that have nothing to do with your loss, and nobody would notice. An example: the gradient
# of $\sum w^2$ for $w = (1, 2)$ is $(2, 4)$. With the first weight set to 100 in between it would be $(200, 4)$.
#
# Weights carry a version that every write of the library raises; arrays that you hold yourself carry a fingerprint of
# their content. Both are compared before a rule runs, and the error names the operation and the argument. Results of
# operations cannot be written to at all. What no rule needs may be changed freely: $\sum (w + b)$ keeps neither.
#
# *Source:* `minidl/memory.py`. *Reference:* Paszke et al. (2017), "Automatic differentiation in PyTorch", NIPS 2017
# workshop (section on in-place operations and versions).

# %%
def attempt(what, function):
    try:
        function()
    except (RuntimeError, ValueError, TypeError) as error:
        print(f"* {what}\n  {type(error).__name__}: {error}\n")
    else:
        raise AssertionError(f"no error: {what}")


w = Tensor([1.0, 2.0], requires_grad=True)


def step_too_early():
    loss = (w * w).sum()
    w.data[0] = 100.0
    loss.backward()


def mask_reused():
    mask = np.array([1.0, 0.0])
    loss = (w * mask).sum()
    mask[:] = 1.0  # for the next batch, but the graph of this one still needs it
    loss.backward()


def write_to_a_result():
    h = w.tanh()
    h.copy_(np.zeros(2))


attempt("a weight is changed between forward and backward", step_too_early)
attempt("an array that was used as a constant is filled anew", mask_reused)
attempt("a result is written to", write_to_a_result)

loss = (w + 1).sum()
w.data[0] = 3.0  # no rule of a sum needs w
w.grad = None
loss.backward()
assert np.array_equal(w.grad, [1.0, 1.0])

# %% [markdown]
# Four more that everybody meets in the first week. Read what each says: what disagrees, and what to do about it.

# %%
attempt("backward from more than one number", lambda: (w * w).backward())
attempt("nothing was recorded", lambda: (w.detach() * 2).sum().backward())
copy = Tensor(w.numpy(), requires_grad=True)
attempt("the loss was computed from a copy", lambda: minidl.grad((copy * copy).sum(), w))
attempt("an upstream gradient of another shape", lambda: (w * w).backward(np.ones((2, 1))))

# %% [markdown]
# ## 8. All together: a network by hand
#
# A network with one hidden layer, $L = \frac1n\sum_i \text{CE}(\tanh(x_i W + b)V,\ t_i)$, with every gradient written
# out. CE is the cross-entropy after softmax, whose derivative is $p - \text{onehot}(t)$ (lesson 10). The bias is a
# broadcast, the sum over examples in $W$'s gradient is accumulation, and the lines are in reverse order of birth.
#
# *Source:* `minidl/ops/linalg.py`, `minidl/ops/loss.py` for the rules. *Reference:* Rumelhart, Hinton, Williams (1986),
# "Learning representations by back-propagating errors", Nature 323.

# %%
X, t = rng.standard_normal((8, 4)), rng.integers(0, 3, 8)
W, b, V = (Tensor(rng.standard_normal(s), requires_grad=True) for s in ((4, 5), (5,), (5, 3)))
z = Tensor(X) @ W + b
h = minidl.tanh(z)
scores = h @ V
loss = F.cross_entropy(scores, t)
graph_of_network = viz.graph_text(loss, {"W": W, "b": b, "V": V, "z": z, "h": h, "scores": scores, "loss": loss})
loss.backward()

p = np.exp(scores.numpy() - scores.numpy().max(axis=1, keepdims=True))
g_scores = (p / p.sum(axis=1, keepdims=True) - np.eye(3)[t]) / 8
g_h = g_scores @ V.numpy().T
g_z = g_h * (1 - h.numpy() ** 2)
by_hand = {"V": h.numpy().T @ g_scores, "b": g_z.sum(axis=0), "W": X.T @ g_z}
print(graph_of_network)
for name, tensor in {"V": V, "b": b, "W": W}.items():
    assert np.allclose(tensor.grad, by_hand[name])

# %% [markdown]
# ## Break it
#
# 1. `share` below is elementwise, but does not say so. Read the error, then give `primitive` the argument
#    `elementwise=True`: who sums the gradient now, and over which axis?
# 2. In section 1, let `walk` take `min` (the oldest first). Which number comes out for `vertices` of the first graph,
#    and which ways were lost?

# %%
share = minidl.primitive(lambda x, y: x + y)
share.vjp(lambda g: g, lambda g: g)
attempt("a rule returns the shape of the result", lambda: share(Tensor(np.ones((3, 2))), w.double()).sum().backward())
