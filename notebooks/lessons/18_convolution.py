# %% [markdown]
# # Convolution
#
# A convolution slides one small *filter* over an image and writes down, at each place, how well the filter fits there.
# This lesson computes it in six ways, from seven nested loops to the kernels of the library, shows that all of them
# give the same numbers, and measures them. Then it asks what is gained: few parameters, and features that move with the
# image. At the end there are filters as pictures, given and learnt.
#
# Before this: 13 (the training loop), 17 (normalisation). After it: 19 (pooling, strides, receptive fields).
#
# *Channel*: one of the numbers that each pixel has (three for red, green, blue). *Filter*, or *kernel*: weights with a
# shape of (channels, height, width). *Tap*: one place in the filter. *Feature map*: the output for one filter. Images
# are stored as (N, C, H, W): N images, C channels, H rows, W columns.

# %%
import timeit

import matplotlib.pyplot as plt
import numba
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import minidl
from minidl import Tensor, data, kernels, nn, optim, train, viz
from minidl.kernels.layout import backward_layout, forward_layout
from minidl.nn import functional as F
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, ORANGE, SIGNED, VERMILLION, bare, dress

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Seven loops
#
# For each image $n$ and each filter $o$, at each place $(y, x)$ of the output: multiply the filter with the part of the
# image that lies under it, and add up.
#
# $$\text{out}[n,o,y,x] = b_o + \sum_{c,\,i,\,j} w[o,c,i,j]\;\text{padded}[n,\,c,\,Sy+i,\,Sx+j].$$
#
# The *stride* $S$ is how far the filter moves from one place to the next, the *padding* $P$ how many rings of zeros are
# put around the image first. (Mathematicians turn the filter by 180° before, and call this here cross-correlation. For
# weights that are learnt it makes no difference.)
#
# *Source:* `minidl/nn/conv.py`, `minidl/ops/conv.py`, `minidl/kernels/conv.py`. *Reference:* LeCun, Bottou, Bengio,
# Haffner (1998), "Gradient-based learning applied to document recognition", Proceedings of the IEEE 86.

# %%
def loops(x, w, stride=1, padding=0):
    """The formula, literally: x (N, C, H, W), w (O, C, kh, kw) -> (N, O, H', W')."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    (N, _, H, W), (filters, C, kh, kw) = x.shape, w.shape
    out = np.zeros((N, filters, (H - kh) // stride + 1, (W - kw) // stride + 1), x.dtype)
    for n, o, row, col in np.ndindex(*out.shape):
        for c, i, j in np.ndindex(C, kh, kw):
            out[n, o, row, col] += w[o, c, i, j] * x[n, c, stride * row + i, stride * col + j]
    return out


x, w = rng.standard_normal((2, 3, 9, 8)), rng.standard_normal((4, 3, 3, 2))
for options in ({}, {"padding": 1}, {"stride": 2}, {"stride": 3, "padding": 2}):
    ours, library = loops(x, w, **options), F.conv2d(x, w, **options)
    print(f"{str(options):30} -> {ours.shape}, largest difference {abs(ours - library).max():.0e}")
    assert np.allclose(ours, library, rtol=1e-12, atol=1e-12)

# %%
image = data.load_digits().x[12, 0] * 16.0  # the ink of a digit, 0 to 16
image = image.astype(np.float64)
edge = np.array([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]])  # right side minus left side: vertical edges
result = loops(image[None, None], edge[None, None])[0, 0]


def numbers(ax, table, title, window=None):
    """A table of numbers as a picture, with a frame around a window (row, column, height, width)."""
    biggest = abs(table).max()
    ax.imshow(table, cmap=SIGNED, vmin=-1.6 * biggest, vmax=1.6 * biggest)
    for (row, col), value in np.ndenumerate(table):
        ax.text(col, row, f"{value:.0f}", ha="center", va="center", fontsize=8)
    if window:
        row, col, high, wide = window
        ax.add_patch(plt.Rectangle((col - 0.5, row - 0.5), wide, high, fill=False, color=VERMILLION, linewidth=2.5))
    bare(ax, title)


fig, axes = plt.subplots(1, 3, figsize=(12, 4.5), layout="constrained", width_ratios=(8, 3, 6))
numbers(axes[0], image, "the image, 8x8", (2, 2, 3, 3))
numbers(axes[1], edge, "the filter, 3x3")
numbers(axes[2], result, "the output, 6x6", (2, 2, 1, 1))
plt.show()
under = image[2:5, 2:5]
left, right = under[:, 0].sum(), under[:, 2].sum()
print(f"in the frame: {right:.0f} on the right - {left:.0f} on the left = {(under * edge).sum():.0f}")
assert result[2, 2] == (under * edge).sum()

# %% [markdown]
# ## 2. How many places are there?
#
# On a row of $N$ pixels, padded to $N + 2P$, a filter of $F$ taps that are $d$ pixels apart (the *dilation*; 1 is
# normal) spans $d(F-1)+1$ of them. Its first place is at the left end, and the last one where it still fits:
#
# $$N' = \left\lfloor\frac{N + 2P - d(F-1) - 1}{S}\right\rfloor + 1.$$
#
# Two cases to remember: $F = 2P+1$ with $S = 1$ keeps the size ("same"), and $F = 3$, $P = 1$, $S = 2$ halves it. The
# *floor* hides a trap: in the fourth panel the steps do not come out even, and the last pixel is never looked at. In
# the sixth, stride and dilation are both 2, and every second pixel goes unseen (the question marks).
#
# *Source:* `conv_output_size` in `minidl/kernels/geometry.py`. *Reference:* Dumoulin, Visin (2016), "A guide to
# convolution arithmetic for deep learning", arXiv:1603.07285.

# %%
cases = [  # N, F, S, P, d
    (7, 3, 1, 0, 1), (7, 3, 1, 1, 1), (7, 3, 2, 1, 1), (8, 3, 2, 0, 1), (9, 3, 1, 0, 2), (9, 3, 2, 2, 2)
]  # fmt: skip
fig, axes = plt.subplots(2, 3, figsize=(13, 5.4), layout="constrained")
for ax, (N, K, S, P, d) in zip(axes.flat, cases, strict=True):
    places = kernels.conv_output_size(N, K, S, P, d)
    assert places == (N + 2 * P - d * (K - 1) - 1) // S + 1
    assert nn.Conv2d(1, 1, K, S, P, d)(minidl.zeros(1, 1, N, N)).shape == (1, 1, places, places)
    for k in range(-P, N + P):
        inside = 0 <= k < N
        ax.add_patch(plt.Rectangle((k - 0.5, 0.3), 1, 0.8, facecolor="#D6E6F2" if inside else "white", edgecolor=GREY))
        ax.text(k, 0.7, "" if inside else "0", ha="center", va="center", fontsize=8, color=GREY)
    for place in range(places):
        taps = place * S - P + d * np.arange(K)
        ax.plot(taps, [-0.3 - place / 2] * K, "o-", color=CLASSES[place % 7], markersize=6)
    unseen = set(range(N)) - {place * S - P + d * t for place in range(places) for t in range(K)}
    for k in unseen:
        ax.text(k, 0.7, "?", ha="center", va="center", color=VERMILLION, fontweight="bold")
    ax.set_xlim(-2.8, 10.8)
    ax.set_ylim(-4.1, 1.4)
    bare(ax, f"N={N}, F={K}, stride {S}, padding {P}, dilation {d}: {places} places")
plt.show()

# %% [markdown]
# ## 3. One matrix product: im2col
#
# Python's loops are slow, matrix products are fast. So lay the window of each place out as one *column* of a matrix.
# All filters at all places are then one product:
#
# $$\underbrace{\text{out}}_{O \times H'W'} \;=\; \underbrace{W}_{O \times C k_h k_w}\;\;
# \underbrace{\text{columns}}_{C k_h k_w \times H'W'} .$$
#
# `sliding_window_view` shows all windows without copying anything: it only returns another *view* of the same memory,
# in which two axes more walk over it. The copy is made by `reshape`. And there the price is paid: each pixel is stored
# nine times, for a 3x3 filter.
#
# *Source:* `minidl/kernels/conv_numpy.py`. *Reference:* Chellapilla, Puri, Simard (2006), "High performance
# convolutional neural networks for document processing", IWFHR.

# %%
def columns_of(x, kh, kw, stride=1, padding=0):
    """All windows as columns: (N, C, H, W) -> (N, C kh kw, H' W')."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(x, (kh, kw), axis=(2, 3))[:, :, ::stride, ::stride]  # (N, C, H', W', kh, kw), no copy
    assert np.shares_memory(windows, x)
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(len(x), x.shape[1] * kh * kw, -1), windows.shape[2:4]


def im2col(x, w, stride=1, padding=0):
    columns, places = columns_of(x, *w.shape[2:], stride, padding)
    return (w.reshape(len(w), -1) @ columns).reshape(len(x), len(w), *places)


for options in ({}, {"padding": 1}, {"stride": 2}, {"stride": 3, "padding": 2}):
    assert np.allclose(im2col(x, w, **options), loops(x, w, **options), rtol=1e-12, atol=1e-12)

columns, _ = columns_of(image[None, None], 3, 3)
fig, axes = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained", width_ratios=(8, 4, 26))
axes[0].imshow(image, cmap="Greys")
bare(axes[0], "the image: 64 numbers")
axes[1].imshow(edge.reshape(1, 9).T, cmap=SIGNED, vmin=-2, vmax=2)
bare(axes[1], "filter")
axes[2].imshow(columns[0], cmap="Greys", aspect="auto")
axes[2].add_patch(plt.Rectangle((14.5, -0.45), 1, 8.9, fill=False, color=VERMILLION, linewidth=2.5))
axes[0].add_patch(plt.Rectangle((2.5, 1.5), 3, 3, fill=False, color=VERMILLION, linewidth=2.5))
bare(axes[2], f"its columns: 9 x 36 = {columns.size} numbers, each column one window")
plt.show()

# %% [markdown]
# ## 4. Every tap is a shifted slice
#
# Exchange the order of the loops: the taps outside, the places inside. Then a tap $(i, j)$ needs all places at once,
# and what it sees there is simply the image, *shifted* by $(i, j)$:
#
# $$\text{out} = \sum_{i,j} w[i,j]\;\text{padded}[\,i : i + H',\; j : j + W'\,].$$
#
# That is nine products of a number and an image, and no column matrix. The library's fast kernel goes one step further.
# A processor adds best along one unbroken line of memory, but a slice jumps from row to row. So one copy is made per
# *column* of the filter, shifted sideways and exactly as wide as the output. In it the next row of the filter is the
# same line of numbers, $W'$ places on. Three copies instead of nine, and every tap of the filter is one straight slice
# `flat[place : place + H'W']`.
#
# Where the copies are taken from and where each tap begins is planned once per shape, in `minidl/kernels/layout.py`.
# `follow` below does in NumPy what the compiled kernel does with such a plan. The gradient of the input is again a sum
# of shifted slices, with another plan, so that *one* loop serves for forward and backward.
#
# *Source:* `minidl/kernels/layout.py`, `minidl/kernels/conv_numba.py`. *Reference:* Cho, Brand (2017), "MEC:
# memory-efficient convolution for deep neural network", ICML, arXiv:1706.06873, who keep the same half of im2col.

# %%
def follow(layout, source, w, channels, size):
    """One image (C, H, W) or gradient of one, through a layout: sums of shifted slices -> (channels, *size)."""
    tables, plan = layout.tables, layout.tables.plan[0]
    planes = np.zeros((len(source), len(tables.copies), len(tables.phases), plan["plane"]), source.dtype)
    for k, (pitch, first, end, column) in enumerate(tables.copies):  # the shifted copies
        for f, (top, begin, stop) in enumerate(tables.phases):  # with a stride S, every S-th row goes together
            for row in range(begin, stop):
                line = source[:, top + row * plan["step_h"], column :: plan["step_w"]][:, : end - first]
                planes[:, k, f, row * pitch + first : row * pitch + end] = line
    flat, out = planes.ravel(), np.zeros((channels, *size), source.dtype)
    for o in range(channels):
        for first, end, high, wide, top, left in tables.sets:
            total = np.zeros(high * wide, source.dtype)
            for tap in range(first, end):  # everything else was preparation; this is the convolution
                place = tables.places[tap]
                total += w.flat[o * plan["w_out"] + tables.weights[tap]] * flat[place : place + high * wide]
            out[o, top :: plan["out_step_h"], left :: plan["out_step_w"]][:high, :wide] = total.reshape(high, wide)
    return out, planes


one = x[:1]
for S, P, d in ((1, 0, 1), (1, 1, 1), (2, 1, 1), (3, 2, 2)):
    options = {"stride": (S, S), "padding": (P, P), "dilation": (d, d)}
    expected = F.conv2d(one, w, **options)
    g = rng.standard_normal(expected.shape)
    shapes = one.shape, w.shape, expected.shape, (S, S), (P, P), (d, d), 1
    forward, _ = follow(forward_layout(*shapes), one[0], w, len(w), expected.shape[2:])
    backward, _ = follow(backward_layout(*shapes), g[0], w, one.shape[1], one.shape[2:])
    assert np.allclose(forward, expected[0])
    assert np.allclose(backward, kernels.conv2d_input(g, w, one.shape, **options, groups=1)[0])
    print(f"stride {S}, padding {P}, dilation {d}: forward {forward.shape} and backward {backward.shape} agree")

# %%
small, shape = image[None, 1:7, 1:7], (1, 1, 6, 6)
layout = forward_layout(shape, (1, 1, 3, 3), shape, (1, 1), (1, 1), (1, 1), 1)
same, planes = follow(layout, small, edge, 1, (6, 6))
assert np.allclose(same, F.conv2d(small[None], edge[None, None], padding=1)[0])
fig, axes = plt.subplots(1, 4, figsize=(12, 3.6), layout="constrained")
numbers(axes[0], small[0], "a part of the digit")
starts = dict(zip(layout.tables.weights, layout.tables.places, strict=True))  # tap -> where its slice begins
for k, colour in enumerate((BLUE, GREEN, ORANGE)):
    copy = planes[0, k, 0][:48].reshape(8, 6)
    numbers(axes[k + 1], copy, f"copy for taps (·, {k})")
    for i in range(3):
        first = starts[3 * i + k] - k * planes.shape[-1]
        frame = plt.Rectangle((-0.62 + 0.12 * i, first / 6 - 0.5), 6.24 - 0.24 * i, 6, fill=False, linewidth=2,
                              color=colour, linestyle=("-", "--", ":")[i])  # fmt: skip
        axes[k + 1].add_patch(frame)
    axes[k + 1].set(xlim=(-0.8, 5.8), ylim=(7.8, -0.8))
plt.show()
print("slices begin at:", {f"({t // 3}, {t % 3})": int(p % planes.shape[-1]) for t, p in sorted(starts.items())})

# %% [markdown]
# In the picture the solid, the dashed and the dotted frame are the slices that the taps of row 0, 1 and 2 read: the
# same memory, six numbers on. Only the sideways shift and the zeros need a copy of their own.
#
# ## 5. Measured
#
# The same convolution in all ways, in nanoseconds per *multiply-add*, of which there are $N O H' W' C k_h k_w$. The
# loops in Python are only given a small image. "The loops, compiled" are the very same loops, translated into machine
# code by numba. `kernels.use` chooses the body that all of minidl computes with. The last number is near what a
# processor can do: it takes eight or sixteen numbers in one instruction, and the batch is shared among the cores, so
# that tens of multiply-adds are done in a nanosecond.
#
# *Source:* `minidl/kernels/backend.py`, `minidl/kernels/registers.py`. *Reference:* Lam, Pitrou, Seibert (2015),
# "Numba: a LLVM-based Python JIT compiler", LLVM-HPC.

# %% tags=["varies"]
@numba.njit(error_model="numpy")
def compiled(x, w):
    (N, _, H, W), (filters, C, kh, kw) = x.shape, w.shape
    out = np.zeros((N, filters, H - kh + 1, W - kw + 1), x.dtype)
    for n in range(N):
        for o in range(filters):
            for row in range(H - kh + 1):
                for col in range(W - kw + 1):
                    for c in range(C):
                        for i in range(kh):
                            for j in range(kw):
                                out[n, o, row, col] += w[o, c, i, j] * x[n, c, row + i, col + j]
    return out


def library(body):
    def convolve(x, w):
        with kernels.using(body):
            return F.conv2d(x, w)

    return convolve


def slices(x, w):
    high, wide = x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1
    out = np.zeros((len(x), len(w), high, wide), x.dtype)
    for i, j in np.ndindex(*w.shape[2:]):  # (O, C) @ (N, C, H' W')
        piece = x[:, :, i : i + high, j : j + wide].reshape(*x.shape[:2], high * wide)
        out += (w[:, :, i, j] @ piece).reshape(out.shape)
    return out


large = rng.standard_normal((16, 16, 32, 32), dtype=np.float32), rng.standard_normal((32, 16, 3, 3), dtype=np.float32)
tiny = large[0][:1, :4, :12, :12].copy(), large[1][:8, :4].copy()
ways = {
    "seven loops in Python": loops, "the loops, compiled": compiled, "im2col": im2col, "shifted slices": slices,
    'kernels.use("numpy")': library("numpy"), 'kernels.use("numba")': library("numba"),
}  # fmt: skip
nanoseconds, reference = {}, library("numpy")
for name, way in ways.items():
    x_, w_ = tiny if way is loops else large
    result = way(x_, w_)  # once, to compile
    assert np.allclose(result, reference(x_, w_), rtol=1e-3, atol=1e-3), name
    seconds = min(timeit.repeat(lambda: way(x_, w_), number=1, repeat=5))  # noqa: B023
    nanoseconds[name] = 1e9 * seconds / (result.size * w_[0].size)
    print(f"{name:22} {nanoseconds[name]:10.3f} ns per multiply-add")
assert nanoseconds["seven loops in Python"] > 20 * nanoseconds['kernels.use("numpy")']

fig, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
ax.barh(list(nanoseconds)[::-1], list(nanoseconds.values())[::-1], color=[BLUE, BLUE] + [GREY] * 4, log=True)
for k, value in enumerate(list(nanoseconds.values())[::-1]):
    ax.text(value * 1.1, k, f"{value:,.0f}" if value > 100 else f"{value:.2g}", va="center", fontsize=9)
ax.set_xlim(right=3 * max(nanoseconds.values()))
dress(ax, "Time for one multiply-add, float32", "nanoseconds, logarithmic", "", "x")
plt.show()

# %% [markdown]
# ## 6. A convolution is an affine map with most weights missing
#
# An affine layer gives every output a weight of its own for every input. A convolution does so with two restrictions:
# an output sees only its neighbourhood (*local*), and all places use the same weights (*shared*). So a convolution *is*
# a matrix. Below it is drawn, as `minidl.jacobian` finds it: nearly everything is zero, and each diagonal repeats one
# weight. The count of parameters no longer depends on the size of the image:
#
# $$\text{affine: } (CHW + 1)\cdot O H' W' \qquad\text{convolution: } (C k_h k_w + 1)\cdot O.$$
#
# *Source:* `minidl/derivatives.py`. *Reference:* LeCun (1989), "Generalization and network design strategies", in:
# Connectionism in Perspective.

# %%
layer = nn.Conv2d(3, 16, 3, padding=1)
parameters = sum(p.size for p in layer.parameters())
assert parameters == (3 * 3 * 3 + 1) * 16
affine = sum(p.size for p in nn.Linear(3 * 8 * 8, 16 * 8 * 8).parameters())
assert affine == (3 * 8 * 8 + 1) * 16 * 8 * 8
print(f"3 channels to 16, 3x3: {parameters} parameters for images of any size; an affine layer has")
for size in (8, 32, 224):
    print(f"  {(3 * size**2 + 1) * 16 * size**2:>19,} for {size}x{size} pixels")

taps = np.arange(1.0, 10).reshape(1, 1, 3, 3)
M = minidl.jacobian(lambda v: F.conv2d(v.reshape(1, 1, 7, 7), taps).reshape(25), np.zeros(49)).numpy()  # (25, 49)
sample = rng.standard_normal((7, 7))
assert np.allclose(M @ sample.ravel(), F.conv2d(sample[None, None], taps).ravel())
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained", width_ratios=(1, 5))
numbers(left, taps[0, 0], "the filter")
left.images[0].set(cmap="viridis_r", clim=(1, 12))
right.imshow(np.ma.masked_equal(M, 0), cmap="viridis_r", vmin=1, vmax=12)
right.set_facecolor("#F4F4F4")
dress(right, f"The matrix of the convolution: {np.count_nonzero(M)} of {M.size} entries are not zero, 9 are different",
      "pixel of the 7x7 image", "place of the output", None)  # fmt: skip
plt.show()

# %% [markdown]
# ## 7. Backward is the adjoint
#
# If forward is the matrix $M$, then the gradient goes back through $M^\top$: whoever got something from a pixel sends
# back along the same weight. $M^\top$ is called the *adjoint*. It can be tested without any derivative, by the one
# equation that defines it, for arbitrary $x$ and $g$:
#
# $$\langle g,\; Mx\rangle = \langle M^\top g,\; x\rangle .$$
#
# `conv2d_input` is $M^\top g$. It spreads each $g$ over its window, and where windows overlap, adds up. Seen from a
# pixel it is a convolution as well, with the filter turned by 180° and so much padding that windows may hang over.
# `conv2d_weight` is the third of the family: the number $\langle g, \text{conv}(x, w)\rangle$ is linear in $g$, in $x$
# and in $w$, and the three functions are its three derivatives. That is why they are each other's rules in
# `minidl/ops/conv.py`, and all orders of derivative are there. As a layer of its own, to enlarge images, $M^\top$ is
# called *transposed convolution*.
#
# *Source:* `minidl/ops/conv.py`, `minidl/nn/conv.py`. *Reference:* Dumoulin, Visin (2016), chapter 4.

# %%
x, w = rng.standard_normal((2, 3, 9, 8)), rng.standard_normal((4, 3, 3, 2))
settings = (2, 2), (1, 1), (1, 1), 1  # stride, padding, dilation, groups
out = kernels.conv2d(x, w, None, *settings)
g = rng.standard_normal(out.shape)
dx, dw = kernels.conv2d_input(g, w, x.shape, *settings), kernels.conv2d_weight(g, x, w.shape, *settings)
print(f"<g, conv(x, w)> = {(g * out).sum():.10f}\n<dx, x>         = {(dx * x).sum():.10f}\n"
      f"<dw, w>         = {(dw * w).sum():.10f}")
assert np.isclose((g * out).sum(), (dx * x).sum()) and np.isclose((g * out).sum(), (dw * w).sum())

tx, tw = Tensor(x, requires_grad=True), Tensor(w, requires_grad=True)
F.conv2d(tx, tw, stride=2, padding=1).backward(Tensor(g))  # what training calls
assert np.allclose(tx.grad, dx) and np.allclose(tw.grad, dw)
g1 = rng.standard_normal((2, 4, 7, 7))  # stride 1: the turned filter, channels exchanged, padding F - 1
turned = w[:, :, ::-1, ::-1].swapaxes(0, 1)
full = F.conv2d(np.pad(g1, ((0, 0), (0, 0), (2, 2), (1, 1))), turned)
assert np.allclose(kernels.conv2d_input(g1, w, (2, 3, 9, 8), (1, 1), (0, 0), (1, 1), 1), full)
back = (M.T @ np.ones(25)).reshape(7, 7)
assert np.allclose(back, F.conv_transpose2d(np.ones((1, 1, 5, 5)), taps)[0, 0])

g2 = np.zeros((1, 1, 5, 5))
g2[0, 0, 1, 1], g2[0, 0, 3, 2] = 1, 1
fig, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained", width_ratios=(5, 7, 7))
numbers(axes[0], g2[0, 0], "g: two outputs matter")
numbers(axes[1], F.conv_transpose2d(g2, taps)[0, 0], "back at the image: the filter, twice")
numbers(axes[2], back, "all outputs matter equally")
plt.show()

# %% [markdown]
# In the second picture the filter of section 6 lies at the places of the two outputs, and where the windows overlap the
# values are added. In the third one the middle pixels get more than those at the rim: they lie under more windows.
#
# ## 8. Move the image, and the features move with it
#
# Let $T$ move an image by some pixels. Because all places use the same weights, it does not matter whether one moves
# first and then convolves, or the other way round:
#
# $$\text{conv}(T x) = T\,\text{conv}(x) \qquad (\textit{translation equivariance}).$$
#
# What was learnt in one corner is known everywhere. An affine layer has nothing of the kind. With a stride of 2 the law
# holds for moves by an even number of pixels only: the filter stands on every second pixel, and an odd move shows it
# the others.
#
# *Reference:* Zhang (2019), "Making convolutional networks shift-invariant again", ICML, arXiv:1904.11486.

# %%
canvas = np.zeros((1, 1, 16, 16), np.float32)
canvas[:, :, 2:10, 2:10] = image / 16
moved = np.roll(canvas, (4, 5), axis=(2, 3))  # nothing falls over the edge: the digit has zeros around it
minidl.manual_seed(3)
conv, dense = nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.Linear(256, 256, bias=False)
strided = nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False)


def through(layer, picture):
    flat = picture.reshape(1, 256) if isinstance(layer, nn.Linear) else picture
    return layer(flat).numpy().reshape(int(np.sqrt(layer(flat).size)), -1)


fig, axes = plt.subplots(2, 4, figsize=(11, 5.6), layout="constrained")
for row, picture, what in zip(axes, (canvas, moved), ("a digit", "moved by (4, 5)"), strict=True):
    row[0].imshow(picture[0, 0], cmap="Greys")
    bare(row[0], what)
    for ax, layer, name in zip(row[1:], (conv, strided, dense), ("conv", "stride 2", "affine"), strict=True):
        result = through(layer, picture)
        ax.imshow(result, cmap=SIGNED, vmin=-abs(result).max(), vmax=abs(result).max())
        bare(ax, name)
plt.show()
roll = lambda a, by: np.roll(a, by, axis=(0, 1))  # noqa: E731
assert np.allclose(through(conv, moved), roll(through(conv, canvas), (4, 5)), atol=1e-6)
assert not np.allclose(through(dense, moved), roll(through(dense, canvas), (4, 5)), atol=0.1)
even = np.roll(canvas, (4, 4), axis=(2, 3))
assert np.allclose(through(strided, even), roll(through(strided, canvas), (2, 2)), atol=1e-6)
print("stride 2: moved by (4, 4), the output moves by (2, 2)")
closest = min(abs(through(strided, moved) - roll(through(strided, canvas), (2, k))).max() for k in (2, 3))
print(f"stride 2: moved by (4, 5), no move of the output comes nearer than {closest:.2f}")
assert closest > 0.1

# %% [markdown]
# ## 9. Filters as pictures
#
# Long before anything was learnt, people designed filters. The sum of the taps says what a filter does to an even grey:
# 1 keeps it (*blur*, *sharpen*), 0 removes it (*edges*). The two *Sobel* filters are derivatives, across and down, each
# with a little blur along the edge; together they give the length of the gradient, which is an edge detector. The
# *Laplacian* is the second derivative. Sharpening takes it away from the picture, and makes more of the noise, too:
#
# $$\text{edge} = \sqrt{(S_x * I)^2 + (S_y * I)^2}, \qquad \text{sharp} = I - \nabla^2 I.$$
#
# *Reference:* Gonzalez, Woods (2018), "Digital image processing", 4th edition, sections 3.5 and 3.6.

# %%
pieces, _ = data.shapes(6, size=40, noise=0.02, rng=4)
picture = np.concatenate([np.concatenate(pieces[k : k + 3, 0], axis=1) for k in (0, 3)])[None, None]  # (1, 1, 80, 120)
bump = np.array([1.0, 4, 6, 4, 1]) / 16
sobel = np.outer([1, 2, 1], [-1, 0, 1]) / 4
laplacian = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
given = {
    "blur": np.outer(bump, bump), "sharpen": np.pad([[1.0]], 1) - laplacian,
    "Sobel, across": sobel, "Sobel, down": sobel.T, "Laplacian": laplacian,
}  # fmt: skip
maps = {name: F.conv2d(picture, np.float32(f)[None, None], padding="same")[0, 0] for name, f in given.items()}
maps["length of the gradient"] = np.hypot(maps["Sobel, across"], maps["Sobel, down"])
assert all(np.isclose(f.sum(), 1 if name in ("blur", "sharpen") else 0) for name, f in given.items())

fig, axes = plt.subplots(2, 4, figsize=(13, 4.8), layout="constrained")
axes[0, 0].imshow(picture[0, 0], cmap="Greys_r", vmin=0, vmax=1, interpolation="nearest")
bare(axes[0, 0], "the picture")
for ax, (name, result) in zip(axes.flat[1:7], maps.items(), strict=True):
    inner = result[3:-3, 3:-3]
    if name in ("blur", "sharpen", "length of the gradient"):
        ax.imshow(inner, cmap="Greys_r", vmin=0, vmax=1, interpolation="nearest")
    else:
        ax.imshow(inner, cmap=SIGNED, vmin=-0.8, vmax=0.8, interpolation="nearest")
    bare(ax, name)
bare(axes[1, 3], "the filters")
for k, (name, f) in enumerate(given.items()):
    small = axes[1, 3].inset_axes([0.02 + 0.33 * (k % 3), 0.52 - 0.5 * (k // 3), 0.28, 0.36])
    small.imshow(f, cmap=SIGNED, vmin=-abs(f).max(), vmax=abs(f).max())
    small.set_title(name, fontsize=7)
    small.set_xticks([])
    small.set_yticks([])
plt.show()

# %% [markdown]
# ## 10. Filters that are learnt
#
# The taps are weights like all others, so that they can be found from examples. First a question whose answer we know.
# The network is shown noise, and beside it the Sobel edges of this noise. It is a linear problem, and descent finds the
# nine numbers.
#
# Then one whose answer we do not know: which 5x5 filters help to tell six shapes from one another? Before training they
# are noise. Afterwards one can see edges of several directions, and dark or bright spots.
#
# *Source:* `minidl/viz/pictures.py`. *Reference:* Zeiler, Fergus (2014), "Visualizing and understanding convolutional
# networks", ECCV, arXiv:1311.2901.

# %%
minidl.manual_seed(0)
noise = rng.standard_normal((64, 1, 12, 12)).astype(np.float32)
edges = F.conv2d(noise, np.float32(sobel)[None, None])
pupil = nn.Conv2d(1, 1, 3, bias=False)
on_the_way = [pupil.weight.numpy()[0, 0].copy()]
for epochs in (1, 3, 12):
    train.fit(pupil, (noise, edges), loss=nn.MSELoss(), optimizer=optim.SGD(pupil.parameters(), lr=0.1), epochs=epochs,
              batch_size=16, progress=False)
    on_the_way.append(pupil.weight.numpy()[0, 0].copy())
print("learnt:", on_the_way[-1].astype(np.float64).round(3) + 0.0, sep="\n")
assert np.allclose(on_the_way[-1], sobel, atol=1e-3)

# %% tags=["varies"]
learn, test = (data.shapes(n, size=16, noise=0.08, rng=seed) for n, seed in ((1500, 0), (500, 1)))
net = nn.Sequential(nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1),
                    nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24 * 16, 6))  # fmt: skip
before = net[0].weight.numpy().copy()
optimizer = optim.AdamW(net.parameters(), lr=0.005, weight_decay=0.05)
history = train.fit(net, learn, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=15, metrics=["accuracy"],
                    schedule=optim.CosineAnnealingLR(optimizer, 15), validation=test, progress=False)
print(f"shapes that it has not seen: {history[-1]['val_accuracy']:.1%} right")
assert history[-1]["val_accuracy"] > 0.9

fig = plt.figure(figsize=(13, 6), layout="constrained")
top, bottom = fig.subfigures(2, 1, height_ratios=(1, 1.7))
for ax, f, name in zip(top.subplots(1, 4), on_the_way, ("before", "1 epoch", "4 epochs", "16 epochs"), strict=True):
    ax.imshow(f, cmap=SIGNED, vmin=-0.5, vmax=0.5)
    bare(ax, f"Sobel, learnt: {name}")
left, middle, right = bottom.subplots(1, 3)
viz.filters(before, left, columns=4, title="12 filters before training")
viz.filters(net[0].weight, middle, columns=4, title="and after")
viz.images(net[:2](test[0][[3]]).numpy()[0][:, None], ax=right, columns=4, title="what they see in a test image")
plt.show()

# %% [markdown]
# ## Break it
#
# 1. In section 3 forget the `transpose` in `columns_of`. The shapes still fit. Which assertion notices, and for which
#    inputs would it notice nothing?
# 2. Send a single image through a layer without its batch axis, or a colour image with the channels last, as cameras
#    store them. Both mistakes are common; read what the library says, and repair the lines.

# %%
for wrong in (minidl.zeros(3, 32, 32), minidl.zeros(1, 32, 32, 3)):
    try:
        nn.Conv2d(3, 16, 3)(wrong)
    except ValueError as error:
        print(error, end="\n\n")
