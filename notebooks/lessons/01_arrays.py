# %% [markdown]
# # Arrays: shapes, broadcasting, and the gradient of a broadcast
#
# Everything in a neural network is an array of numbers: images, weights, gradients. This lesson is about what such an
# array is in memory, when two arrays may be added although their shapes differ, and what that means for derivatives.
# One sentence to take home: **where the forward pass copies, the backward pass adds.**
#
# You will learn to read a shape, to tell a *view* from a *copy*, to predict the result of *broadcasting* and to write
# down its gradient, to choose a *dtype*, and to read `einsum` as a picture. The next lesson, 02, is about derivatives.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, viz
from minidl.arrays import unbroadcast
from minidl.nn import functional as F
from minidl.viz.style import BLUE, DEPTH, GREY, INK, ORANGE, SIGNED, VERMILLION, bare, dress, faded, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=viz.style.CLASSES)
rng = np.random.default_rng(0)


def sheet(ax, values, title, colours=None, digits="{:g}"):
    """Draw an array of one or two axes as a sheet of cells; colours: (*shape, 3), red, green and blue of each cell."""
    table = np.atleast_2d(values)
    rows, columns = table.shape
    paint = np.ones((rows, columns, 3)) if colours is None else np.reshape(colours, (rows, columns, 3))
    for (i, j), value in np.ndenumerate(table):
        ax.add_patch(plt.Rectangle((j, -i - 1), 1, 1, facecolor=paint[i, j], edgecolor=INK, linewidth=0.7))
        ax.text(j + 0.5, -i - 0.5, digits.format(value), ha="center", va="center", fontsize=9)
    ax.set(xlim=(-0.1, columns + 0.1), ylim=(-rows - 0.1, 0.1), aspect="equal", anchor="NW")
    return bare(ax, title)

# %% [markdown]
# ## 1. Numbers in a row, a shape, and strides
#
# Memory is a single long row. An array of shape $(n_0, n_1)$ is such a row together with a *start* and one *stride*
# for each axis: how far one has to walk in memory to come to the next element along that axis. Element $(i, j)$ is at
#
# $$\text{place}(i, j) = \text{start} + i\,s_0 + j\,s_1 .$$
#
# The *shape* says how long each axis is; `ndim` is the number of axes, `size` the number of elements. An *axis* is
# named by its position: axis 0 are the rows, axis 1 the columns, and $-1$ is the last. In deep learning axis 0 is
# nearly always the *batch*: one row for each example.
#
# Now the trick: a transposed array, or every second row, is the *same row of memory* with another start and other
# strides. In the picture a number keeps its colour, and nothing has been moved.
#
# *Source:* `minidl/ops/shape.py`. *Reference:* Harris et al. (2020), "Array programming with NumPy", Nature 585.

# %%
memory = np.arange(12)
a = memory.reshape(3, 4)
looks = {"a": a, "a.T": a.T, "a[::2, 1:]": a[::2, 1:], "a[:, ::-1]": a[:, ::-1], "a.reshape(2, 6)": a.reshape(2, 6)}

fig = plt.figure(figsize=(12, 4.6), layout="constrained")
above, below = fig.subfigures(2, 1, height_ratios=[1.1, 3])
paint = np.array([faded(DEPTH(k / 11), 0.5) for k in range(12)])
sheet(above.subplots(), memory, "Memory: twelve numbers in a row", paint)
for ax, (name, look) in zip(below.subplots(1, 5, width_ratios=[4, 3.6, 3.6, 4, 6]), looks.items(), strict=True):
    strides = tuple(s // a.itemsize for s in look.strides)  # in elements; NumPy counts bytes
    sheet(ax, look, f"{name}\nshape {look.shape}\nstrides {strides}", paint[look])
    start = int(look[0, 0])
    for (i, j), value in np.ndenumerate(look):
        assert value == memory[start + i * strides[0] + j * strides[1]]  # the formula above
    assert np.shares_memory(look, memory)
plt.show()

# %% [markdown]
# ## 2. Views and copies
#
# A *view* is a second look at the same memory: it costs nothing, however large the array is, and writing into the one
# changes the other. A *copy* has memory of its own. Slices, `.T` and (where strides can express it) `reshape` give
# views. Indexing with a list of integers or with a mask gives a copy, because no stride can describe an arbitrary
# choice. Every computation gives a new array.
#
# A tensor has to be more careful: derivatives are computed later, from values that must not have changed meanwhile. So
# `Tensor(data)` copies, `t.numpy()` is a view that cannot be written to, and if a value that `backward` still needs is
# changed, `backward` says so instead of returning a wrong number.
#
# *Source:* `minidl/engine.py` (`Tensor.data`), `minidl/memory.py`. *Reference:* the NumPy user guide, chapter "Copies
# and views", numpy.org.

# %%
made = {
    "a[1]": a[1], "a[:, 1:3]": a[:, 1:3], "a.T": a.T, "a.reshape(4, 3)": a.reshape(4, 3),
    "a.T.reshape(2, 6)": a.T.reshape(2, 6), "a[[0, 2]]": a[[0, 2]], "a[a > 5]": a[a > 5], "a + 0": a + 0,
}  # fmt: skip
for name, result in made.items():
    print(f"{name:18} shape {result.shape!s:7} {'view' if np.shares_memory(a, result) else 'copy'}")

data = np.ones(3)
t = Tensor(data, requires_grad=True)
data[0] = 99.0
assert t.numpy()[0] == 1.0  # the tensor has copied
assert not t.numpy().flags.writeable and np.shares_memory(t.numpy(), t[1:].numpy())

loss = (t * t).sum()  # its derivative, 2 t, needs t
t.data[0] = 5.0
try:
    loss.backward()
except RuntimeError as error:
    print("\nbackward:", error)
else:
    raise AssertionError("a wrong gradient, without a word")

# %% [markdown]
# ## 3. Along an axis, and back: reductions and broadcasting
#
# A *reduction* such as a sum removes an axis: **the axis that you name is the one that disappears**.
# `x.sum(axis=0)` of a (3, 4) array adds up the three rows and has shape (4,). With `keepdims=True` the axis stays, with
# length 1.
#
# *Broadcasting* is the way back. Two arrays of different shapes are combined as if the smaller one were repeated:
#
# 1. Write the shapes one below the other, aligned at the **right**, and put 1 wherever one is too short.
# 2. In each column the lengths are equal, or one of them is 1; else it is an error.
# 3. An axis of length 1 is repeated: $y_{ij} = x_{i0}$, or $y_{ij} = x_{j}$ if the axis was missing.
#
# Nothing is copied here either: a repeated axis has stride 0.
#
# *Source:* `minidl/ops/reduce.py`, `minidl/ops/arithmetic.py`. *Reference:* the NumPy user guide, chapter
# "Broadcasting", numpy.org.

# %%
def broadcast(*shapes):
    """The shape of the result, by the three rules."""
    most = max(map(len, shapes))
    columns = zip(*((1,) * (most - len(s)) + s for s in shapes), strict=True)  # aligned at the right
    result = []
    for lengths in columns:
        longer = {n for n in lengths if n != 1}
        if len(longer) > 1:
            raise ValueError(f"{' and '.join(map(str, shapes))}: {lengths} do not go together")
        result.append(longer.pop() if longer else 1)
    return tuple(result)


for pair in [((3, 4), (4,)), ((3, 1), (4,)), ((8, 3, 32, 32), (3, 1, 1)), ((5, 1, 2), (6, 1)), ((3, 4), (3,))]:
    try:
        print(f"{pair[0]!s:>15} with {pair[1]!s:9} gives {broadcast(*pair)}")
        assert broadcast(*pair) == np.broadcast_shapes(*pair) == (minidl.zeros(*pair[0]) + minidl.zeros(*pair[1])).shape
    except ValueError as error:
        print(f"{pair[0]!s:>15} with {pair[1]!s:9} error: {error}")

column, row = np.array([[10], [20], [30]]), np.array([1, 2, 3, 4])
fig, axes = plt.subplots(1, 5, figsize=(12, 2.7), width_ratios=[4, 0.7, 4, 0.7, 4], layout="constrained")
strong, weak = faded(BLUE, 0.45), faded(BLUE, 0.12)
sheet(axes[0], np.broadcast_to(column, (3, 4)), "(3, 1), repeated to the right", [[strong, weak, weak, weak]] * 3)
strong, weak = faded(ORANGE, 0.6), faded(ORANGE, 0.18)
sheet(axes[2], np.broadcast_to(row, (3, 4)), "(4,), repeated downwards", [[strong] * 4, [weak] * 4, [weak] * 4])
sheet(axes[4], column + row, "their sum: (3, 4)")
for ax, sign in ((axes[1], "+"), (axes[3], "=")):
    ax.text(0.5, 0.6, sign, fontsize=20, ha="center", va="center", transform=ax.transAxes)
    bare(ax)
plt.show()
assert np.broadcast_to(row, (3, 4)).strides[0] == 0  # the next row is the same row

# %% [markdown]
# ## 4. The gradient of a broadcast is a sum
#
# Broadcasting is a *linear* map: $y = Bx$ with a matrix $B$ of zeros and ones. Every element of $y$ is a copy of one
# element of $x$, so each row of $B$ has a single 1. Let $g = \partial L/\partial y$ be the *upstream gradient*: what
# the loss $L$ says about each element of $y$. By the chain rule
#
# $$\frac{\partial L}{\partial x_k} = \sum_m \frac{\partial L}{\partial y_m}\frac{\partial y_m}{\partial x_k}
# = \sum_m g_m B_{mk} \quad\Longleftrightarrow\quad \frac{\partial L}{\partial x} = B^\top g .$$
#
# $B^\top$ is called the *adjoint* of $B$: it is the map for which $\langle g, Bx\rangle = \langle B^\top g, x\rangle$
# for all $g$ and $x$. Column $k$ of $B$ has a 1 for each copy of $x_k$, so $B^\top$ **adds up the copies**. It also
# works the other way round: the adjoint of a sum is a broadcast.
#
# Look at the picture: $B$ for a column (3, 1) and for a row (4,), both made as large as (3, 4); and below it what
# $B^\top$ does to a $g$.
#
# *Source:* `unbroadcast` in `minidl/arrays.py`, used by `_conformed` in `minidl/engine.py` for every elementwise
# function. *Reference:* Griewank, Walther (2008), "Evaluating Derivatives", 2nd edition, section 3.2.

# %%
def matrix_of_broadcast(shape, target):
    """B (size of target, size of shape): its columns are the broadcasts of the unit vectors."""
    units = np.eye(int(np.prod(shape)))
    return np.stack([np.broadcast_to(e.reshape(shape), target).ravel() for e in units], axis=1)


target, g = (3, 4), rng.integers(-4, 5, (3, 4)).astype(float)
fig, axes = plt.subplots(2, 3, figsize=(11, 6.4), layout="constrained", width_ratios=[3.2, 4, 4])
for line, shape, colour in ((axes[0], (3, 1), BLUE), (axes[1], (4,), ORANGE)):
    B = matrix_of_broadcast(shape, target)
    x = Tensor(rng.standard_normal(shape), requires_grad=True)
    y = minidl.broadcast_to(x, target)
    (dx,) = minidl.grad(y, x, Tensor(g))

    assert np.allclose(y.numpy().ravel(), B @ x.numpy().ravel())  # y = B x
    assert np.allclose(dx.numpy().ravel(), B.T @ g.ravel())  # dL/dx = B' g
    assert np.isclose((g * y.numpy()).sum(), (dx.numpy() * x.numpy()).sum())  # <g, Bx> = <B'g, x>

    hues = np.array([faded(colour, share) for share in np.linspace(0.2, 0.75, x.size)])  # one for each element of x
    line[0].imshow(np.where(B[..., None] == 1, hues, 1.0), aspect="auto")
    line[0].set_xticks(range(x.size), [f"$x_{k}$" for k in range(x.size)])
    line[0].set_yticks(range(12), [f"$y_{{{m // 4}{m % 4}}}$" for m in range(12)], fontsize=7)
    line[0].set_title(f"B for {shape} to {target}", loc="left", fontsize=10, fontweight="bold")
    sheet(line[1], g, "g: the gradient of y", hues[B.argmax(axis=1)])
    sheet(line[2], dx.numpy(), f"B'g, of shape {shape}: sums of one colour", hues)
plt.show()

# %% [markdown]
# The library's `unbroadcast` does the same without a matrix: it sums over the axes that were missing, and over those
# which had length 1. A test of an adjoint needs no derivative at all: draw random $x$ and $g$, and compare the two
# inner products. Here are a thousand pairs of shapes.

# %%
def random_shape(target):
    """A shape that broadcasts to the target: some axes become 1, some leading ones are left out."""
    shape = tuple(n if rng.random() < 0.5 else 1 for n in target)
    return shape[rng.integers(0, len(shape) + 1) :]


worst, seen = 0.0, set()
for _ in range(1000):
    target = tuple(rng.integers(1, 5, rng.integers(1, 5)).tolist())
    shape = random_shape(target)
    x, g = rng.standard_normal(shape), rng.standard_normal(target)
    down = unbroadcast(g, shape)
    assert down.shape == shape
    worst = max(worst, abs(np.vdot(g, np.broadcast_to(x, target)) - np.vdot(down, x)))
    seen.add((shape, target))
print(f"{len(seen)} different pairs of shapes, for example {sorted(seen)[len(seen) // 2]}")
print("the two inner products agree to 12 digits:", worst < 1e-12)
assert worst < 1e-12

# %% [markdown]
# ## 5. Where you meet it: bias, centring, and an expensive mistake
#
# **Bias.** A layer computes $y = xW + b$ with $b$ of shape (out,) added to each row of the batch. So $\partial
# L/\partial b = \sum_n g_n$: a sum over the batch.
#
# **Centring.** In $y = x - \bar x$ with $\bar x$ = `x.mean(axis=0)`, the mean is broadcast back over the rows. Its
# gradient is a sum, the mean's own gradient spreads that over the rows again, and together
#
# $$\frac{\partial L}{\partial x_n} = g_n - \frac1N\sum_m g_m :$$
#
# the gradient is centred as well. We have not derived anything for the engine: it has put two rules together.
#
# *Source:* `minidl/ops/linalg.py` (`_affine`), `minidl/ops/reduce.py` (`spread`). *Reference:* Baydin, Pearlmutter,
# Radul, Siskind (2018), "Automatic Differentiation in Machine Learning: a Survey", JMLR 18.

# %%
x, W = Tensor(rng.standard_normal((5, 3)), requires_grad=True), Tensor(rng.standard_normal((3, 2)))
b = Tensor(np.zeros(2), requires_grad=True)
g = rng.standard_normal((5, 2))
(db,) = minidl.grad(x @ W + b, b, Tensor(g))
assert np.allclose(db.numpy(), g.sum(axis=0))

g = rng.standard_normal((5, 3))
(dx,) = minidl.grad(x - x.mean(axis=0), x, Tensor(g))
assert np.allclose(dx.numpy(), g - g.mean(axis=0))
print("bias and centring: as derived by hand")

# %% [markdown]
# **The mistake.** A model returns predictions $p$ of shape $(N, 1)$, the targets $t$ have shape $(N,)$. Then `p - t`
# is no error: it broadcasts to $(N, N)$, every prediction minus every target. The mean of its square,
#
# $$\frac{1}{N^2}\sum_i\sum_j (p_i - t_j)^2 ,$$
#
# is a number that falls in training, and it is smallest when *every* prediction is the mean of all targets. The line on
# the right has been trained with it. Losses in minidl never broadcast: `F.mse_loss` stops and says which reshape is
# meant.

# %%
N = 40
inputs = np.sort(rng.uniform(-1, 1, (N, 1)), axis=0)
t = 1.5 * inputs[:, 0] + 0.5 + 0.2 * rng.standard_normal(N)


def fit(loss):
    """Slope and offset of a line after gradient descent on this loss."""
    w, b = Tensor(np.zeros((1, 1)), requires_grad=True), Tensor(np.zeros(1), requires_grad=True)
    for _ in range(300):
        for p, gradient in zip((w, b), minidl.grad(loss(inputs @ w + b), (w, b)), strict=True):
            p.data -= 0.2 * gradient.numpy()
    return w.item(), b.item()


lines = {"t: (N,)": fit(lambda p: ((p - t) ** 2).mean()), "t: (N, 1)": fit(lambda p: F.mse_loss(p, t[:, None]))}
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained")
image = left.imshow(inputs * lines["t: (N, 1)"][0] + lines["t: (N, 1)"][1] - t, cmap=SIGNED, vmin=-3, vmax=3)
left.plot([-0.5, N - 0.5], [-0.5, N - 0.5], color=INK, linewidth=1)
fig.colorbar(image, ax=left, label="p[i] - t[j]")
dress(left, "p - t: only the diagonal was meant", "j", "i", None)
right.plot(inputs, t, "o", color=GREY, markersize=4, label="data")
for (name, (slope, offset)), colour in zip(lines.items(), (VERMILLION, BLUE), strict=True):
    right.plot(inputs, slope * inputs + offset, color=colour, linewidth=2, label=name)
dress(right, "The line that is learnt", "x", "t")
key(right)
plt.show()
assert abs(lines["t: (N,)"][0]) < 0.01 and np.isclose(lines["t: (N,)"][1], t.mean(), atol=0.01)
assert np.allclose(lines["t: (N, 1)"], np.polyfit(inputs[:, 0], t, 1), atol=0.01)
try:
    F.mse_loss(Tensor(inputs), t)
except ValueError as error:
    print(error)

# %% [markdown]
# ## 6. Dtypes: what a number can hold
#
# The *dtype* says how each number is stored. A float has a sign, an exponent and a fixed number of binary digits, $m$:
# 24 in float32 (4 bytes), 53 in float64 (8 bytes). Neighbouring numbers therefore have a fixed *relative* distance,
#
# $$\varepsilon = 2^{1-m}: \qquad 1.2\cdot 10^{-7} \text{ in float32}, \qquad 2.2\cdot 10^{-16} \text{ in float64},$$
#
# and near $x$ the gap is about $\varepsilon |x|$. At $2^{24}$ the gap of float32 has grown to 2: adding 1 does nothing.
# That matters in long sums. A running total gets large, each further term small beside it, and what falls below the
# gap is lost. Adding in pairs, then pairs of pairs, keeps both sides of similar size. NumPy does so along the last
# axis, but not when it adds up rows (in the picture that curve hides under the running total). A bias gradient is such
# a sum of rows, and so minidl adds more than 4096 of them in float64.
#
# Networks are trained in float32 (half the memory, and faster), and derivatives are checked in float64 (lesson
# 02). minidl keeps the dtype it is given; integers follow the floats, where NumPy would widen the result to float64.
#
# *Source:* `long_sum` and `common_floats` in `minidl/arrays.py`. *Reference:* Higham (1993), "The accuracy of floating
# point summation", SIAM Journal on Scientific Computing 14.

# %%
one = np.float32(2**24)
assert one + np.float32(1) == one
floats, integers = np.ones(3, np.float32), np.arange(3)
print("float32 * int64:   NumPy", (floats * integers).dtype, "  minidl", (Tensor(floats) * Tensor(integers)).dtype)

counts = np.unique(np.geomspace(1e2, 2e6, 25).astype(int))
term = np.float32(0.1)
running = np.cumsum(np.full(counts[-1], term))[counts - 1]  # one after the other, in float32
ways = {
    "one after the other": running,
    "rows, NumPy": [np.sum(np.full((n, 2), term), axis=0)[0] for n in counts],
    "rows, minidl": [minidl.sum(Tensor(np.full((n, 2), term)), axis=0).numpy()[0] for n in counts],
    "in pairs": [np.sum(np.full(n, term)) for n in counts],
}
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.9), layout="constrained")
size = np.geomspace(1e-3, 1e9, 200)
for kind, style in ((np.float16, ":"), (np.float32, "-"), (np.float64, "--")):
    inside = size[size < np.finfo(kind).max]
    left.loglog(inside, np.spacing(inside.astype(kind)).astype(float), style, label=np.dtype(kind).name)
left.axhline(1, color=GREY, linewidth=0.8)
dress(left, "The gap to the next number", "x", "gap", "both")
key(left)
off = {}
for (name, sums), marker in zip(ways.items(), viz.style.MARKERS, strict=False):
    error = np.abs(np.array(sums, np.float64) / (counts * float(term)) - 1)
    off[name] = float(error[-1])
    wide = {"linewidth": 5, "markersize": 0, "alpha": 0.4} if name == "one after the other" else {"markersize": 4}
    right.loglog(counts, np.maximum(error, 1e-9), marker=marker, label=name, **wide)
dress(right, "Relative error of a sum of n times 0.1, float32", "n", "relative error", "both")
key(right)
plt.show()
print("after two million terms:", {k: "exact to 6 digits" if e < 1e-6 else f"{e:.1%} off" for k, e in off.items()})
assert off["rows, minidl"] < 1e-6 and off["in pairs"] < 1e-6 < 1e-3 < off["one after the other"]

# %% [markdown]
# ## 7. `einsum`: axes with names
#
# Most of the operations above are one formula: *multiply the operands, and sum over the letters that are not in the
# result*. `einsum("ij,jk->ik", A, B)` names the axes of $A$ as $ij$ and those of $B$ as $jk$, and says that $ik$ stay:
#
# $$C_{ik} = \sum_j A_{ij}B_{jk} .$$
#
# In the picture every operand is a box and every axis a line. What leaves **downwards** is an axis of the result; an
# arc **above** is a letter in two places that is summed over; a dot above is a single axis that is summed away.
#
# Such a picture can be differentiated by looking at it. The result is linear in $A$; to get $\partial L/\partial A$,
# take the box of $A$ out, put the box of $g$ (with the axes of the result) in, and ask for the axes of $A$: swap
# the operand and the result, `"ij,jk->ik"` to `"ik,jk->ij"`. That is $g B^\top$, found without any index algebra.
#
# *Source:* `minidl/ops/linalg.py` (`einsum`). *References:* Einstein (1916), who left out the $\Sigma$, "Die Grundlage
# der allgemeinen Relativitätstheorie", Annalen der Physik 49; Penrose (1971), "Applications of negative dimensional
# tensors", for the pictures.

# %%
def diagram(ax, spec, title):
    """The boxes and lines of an einsum: kept axes leave downwards, summed ones are above."""
    inputs, output = spec.replace(" ", "").split("->")
    ends, left = {}, 0.0  # letter -> where its lines begin
    for name, letters in zip("AB", inputs.split(","), strict=False):
        width = 0.55 * len(letters) + 0.3
        ax.add_patch(plt.Rectangle((left, 0), width, 0.6, facecolor=faded(viz.style.SKY, 0.4), edgecolor=INK, zorder=3))
        ax.text(left + width / 2, 0.3, name, ha="center", va="center", fontsize=11, zorder=4)
        for k, letter in enumerate(letters):
            ends.setdefault(letter, []).append(left + 0.425 + 0.55 * k)
        left += width + 0.7
    places = dict(zip(output, sorted(np.mean(ends[c]) for c in output), strict=True))  # in the order of the result
    for letter, xs in ends.items():
        middle = float(np.mean(xs))
        if letter in output:
            place = places[letter]
            for x in xs:
                ax.plot([x, x, place, place], [0, -0.2, -0.65, -0.85], color=BLUE, linewidth=2)
            ax.text(place, -1.1, letter, ha="center", va="center", fontsize=11, color=BLUE)
        elif len(xs) == 1:
            ax.plot([xs[0], xs[0]], [0.6, 0.95], "-", color=VERMILLION, linewidth=2)
            ax.plot(xs[0], 0.95, "o", color=VERMILLION, markersize=6)
            ax.text(xs[0] + 0.15, 1.0, letter, va="center", fontsize=11, color=VERMILLION)
        else:
            angle = np.linspace(0, np.pi, 40)
            radius = (max(xs) - min(xs)) / 2
            ax.plot(middle + radius * np.cos(angle), 0.6 + 0.6 * np.sin(angle), color=VERMILLION, linewidth=2)
            ax.text(middle, 1.38, letter, ha="center", va="center", fontsize=11, color=VERMILLION)
    ax.set(xlim=(-0.2, 4.8), ylim=(-1.35, 1.7), aspect="equal", anchor="W")
    bare(ax, f"{title}\n{spec}")


v, u = rng.standard_normal((2, 4))
A, B, S = rng.standard_normal((3, 4)), rng.standard_normal((4, 2)), rng.standard_normal((4, 4))
C, D = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 4, 3))
meanings = [
    ("i,i->", "inner product", (v, u), (v * u).sum()),
    ("i,j->ij", "outer product", (v, u), v[:, None] * u),
    ("ij,jk->ik", "matrix product", (A, B), A @ B),
    ("ij,j->i", "matrix times vector", (A, v), A @ v),
    ("ij->ji", "transpose", (A,), A.T),
    ("ij->i", "sum of each row", (A,), A.sum(axis=1)),
    ("ii->", "trace", (S,), np.trace(S)),
    ("bij,bjk->bik", "a batch of products", (C, D), C @ D),
]
fig, axes = plt.subplots(2, 4, figsize=(13, 5.4), layout="constrained")
for ax, (spec, title, arrays, value) in zip(axes.flat, meanings, strict=True):
    diagram(ax, spec, title)
    assert np.allclose(minidl.einsum(spec, *map(Tensor, arrays)).numpy(), value)
plt.show()

for spec in ("i,i->", "i,j->ij", "ij,jk->ik", "bij,bjk->bik"):
    (letters_a, letters_b), result = spec.split("->")[0].split(","), spec.split("->")[1]
    arrays = next(m[2] for m in meanings if m[0] == spec)
    operands = [Tensor(array, requires_grad=True) for array in arrays]
    out = minidl.einsum(spec, *operands)
    g = rng.standard_normal(out.shape)
    da, db = minidl.grad(out, operands, Tensor(g))
    for_a, for_b = f"{result},{letters_b}->{letters_a}", f"{result},{letters_a}->{letters_b}"
    assert np.allclose(da.numpy(), np.einsum(for_a, g, arrays[1]))
    assert np.allclose(db.numpy(), np.einsum(for_b, g, arrays[0]))
    print(f"{spec:13} gradient of A: {for_a:13} gradient of B: {for_b}")

# %% [markdown]
# In the row sum, `"ij->i"`, the swap gives `"i->ij"`, and $j$ has nowhere to come from: the gradient is repeated along
# $j$. This is section 4 read backwards. A sum and a broadcast are each other's adjoint, and a network's backward pass
# is its forward pass with the one exchanged for the other.
#
# ## Break it
#
# Divide each row by its sum, and forget `keepdims`: with a square matrix nothing complains, and *columns* are divided
# instead. Put 5 for the first 4 and NumPy refuses. A test on a square array cannot see it; that is why all lengths in
# a test should differ.

# %%
x = rng.random((4, 4))  # try (5, 4)
wrong, right = x / x.sum(axis=1), x / x.sum(axis=1, keepdims=True)
print("rows that add up to 1:", np.isclose(wrong.sum(axis=1), 1).sum(), "of 4 without keepdims,",
      np.isclose(right.sum(axis=1), 1).sum(), "of 4 with it")  # fmt: skip
assert not np.isclose(wrong.sum(axis=1), 1).all() and np.isclose(right.sum(axis=1), 1).all()
