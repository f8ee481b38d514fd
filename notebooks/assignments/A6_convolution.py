# %% [markdown]
# # A6. Convolution and pooling
#
# You will write the two layers that networks for images are made of, forward and backward: the convolution, with
# stride, padding, dilation and groups, and pooling, by maximum and by mean. Then you make the convolution fast. On the
# way your functions find the edges of a digit, learn a filter from examples, and show which pixels an output sees.
#
# | exercise | graded cells | marks |
# |---|---|---|
# | 1. How many places? | `size` | 8 |
# | 2. Convolution | `forward_plain`, `forward_stride_padding`, `forward_dilation_groups` | 6 + 6 + 7 |
# | 3. Its gradients | `conv_dx`, `conv_dw`, `conv_db`, `conv_dx_more`, `conv_dw_more` | 6 + 6 + 4 + 5 + 5 |
# | 4. Max pooling | `max_forward` | 8 |
# | 5. Where its gradient goes | `max_backward`, `max_ties` | 8 + 4 |
# | 6. Average pooling | `avg_forward`, `avg_backward` | 6 + 6 |
# | 7. Make it fast | `fast_values`, `fast_compiled` | 9 + 6 |
#
# **Read before:** lesson 18 (convolution) and lesson 19 (pooling, stride, dilation, groups).
#
# **How to work.** Replace `# YOUR CODE HERE` and the line below it, run the cell and the graded cells that follow, and
# read what they say. A graded cell gives all of its marks or none. Some of its checks are hidden: they ask for nothing
# but what the text says, with other shapes and numbers. Keep the exercises independent: if exercise 3 calls what you
# wrote for exercise 2, an error there costs marks in both. `minidl course check A6` runs all visible checks,
# `minidl course submit A6` packs what you hand in.
#
# **Not allowed:** torch and its like, SciPy, and minidl's own functions. You need NumPy and, in exercise 7, numba. In
# exercises 2 to 6 loops over the places of a window are fine; speed comes at the end.
#
# **Words.** Images are stored as $(N, C, H, W)$: $N$ images, $C$ channels, $H$ rows, $W$ columns. A *filter* (or
# *kernel*) is a small array of weights; a *tap* is one place in it. The *window* is the part of the image that lies
# under it. *Stride*: how far the window moves from one place to the next. *Padding*: rings of zeros that are first put
# around the image. *Dilation*: the distance between neighbouring taps, 1 if there are no gaps. Each of these is one
# integer here, the same for rows and columns, while images and filters may well be oblong. `dout` is the *upstream
# gradient*, $\partial L/\partial\,\text{out}$; a backward takes `dout` and then all that the forward took. No function
# may write into its arguments, and float32 in means float32 out.

# %% given
import numba
import numpy as np

from minidl import course

# %% [markdown]
# ## 1. How many places?
#
# Along one axis there are $n$ pixels, and $p$ zeros more at *each* end. A filter of $k$ taps that are $d$ apart covers
# a *span* of $d(k-1)+1$ pixels. It stands first at the very left, then moves on by the stride $s$ as long as all of its
# taps are still on the padded row:
#
# $$n' = \left\lfloor\frac{n + 2p - d(k-1) - 1}{s}\right\rfloor + 1.$$
#
# Write `output_size`, which returns $n'$ as an integer. Where the filter does not fit on the padded row even once, it
# raises a `ValueError` (a good one tells both lengths).
#
# *Hint:* the floor means that pixels at the right end may never be looked at. *Lesson* 18, section 2. *Afterwards look
# at* `conv_output_size` in `minidl/kernels/geometry.py`.

# %% solution id="output_size"
def output_size(n: int, k: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Number of places for a filter of k taps on a row of n pixels.

    Raises ValueError if the filter does not fit on the padded row.
    """
    ### BEGIN SOLUTION
    span = dilation * (k - 1) + 1
    padded = n + 2 * padding
    if span > padded:
        raise ValueError(f"the filter spans {span} pixels, the padded row has only {padded}")
    return (padded - span) // stride + 1
    ### END SOLUTION

# %% test id="size" points=8
from minidl.kernels import conv_output_size as places

with course.checks("the number of places", lesson=18) as t:
    one_less = {"one too few: the first place counts too": lambda *a: places(*a) - 1}
    shape = {"n": 9, "k": 4, "stride": 1, "padding": 0, "dilation": 1}
    t.value("a stride of 1", output_size, shape, places, mistakes=one_less, hints={
        "dtype": "the number of places is an integer; in Python even 8 / 2 is 4.0",
    })  # fmt: skip
    t.value("with padding", output_size, {**shape, "padding": 3}, places, mistakes={
        "the padding is not counted": lambda n, k, s, p, d: places(n, k, s, 0, d),
        "the zeros are counted at one end only": lambda n, k, s, p, d: places(n + p, k, s, 0, d),
    })  # fmt: skip
    t.value("a stride that divides", output_size, {**shape, "n": 16, "stride": 3}, places, mistakes={
        **one_less, "the stride is not used": lambda n, k, s, p, d: places(n, k, 1, p, d),
    })  # fmt: skip
    t.value("a stride that does not divide", output_size, {**shape, "n": 18, "stride": 3}, places, mistakes={
        "rounded up: at the last place the filter would hang over the end": lambda *a: places(*a) + 1,
        "not rounded: there is no half place": lambda n, k, s, p, d: (n - k) / s + 1,
    })  # fmt: skip
    t.value("a dilation of 2", output_size, {**shape, "n": 15, "dilation": 2}, places, mistakes={
        "the dilation is not used": lambda n, k, s, p, d: places(n, k, s, p),
        "the span is too long: count the gaps between the taps, not the taps":
            lambda n, k, s, p, d: places(n, d * k, s, p),
    })  # fmt: skip
    t.raises("a filter longer than the row", output_size, {**shape, "n": 3}, "ValueError",
             "a size of zero or less was returned; the caller would find out much later")  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("everything at once", output_size, {"n": 29, "k": 5, "stride": 3, "padding": 2, "dilation": 4}, places)
    t.value("it fits exactly once", output_size, {"n": 7, "k": 4, "stride": 3, "padding": 0, "dilation": 2}, places)
    t.value("it fits because of the padding", output_size, {**shape, "n": 3, "k": 7, "padding": 4}, places)
    t.raises("a filter too long because of its dilation", output_size, {**shape, "n": 6, "dilation": 2}, "ValueError",
             "the span grows with the dilation")  # fmt: skip
    t.raises("one pixel too few, with a stride", output_size, {**shape, "n": 8, "k": 9, "stride": 2}, "ValueError",
             "compare the two lengths themselves, before anything is divided or rounded")  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# ## 2. Convolution
#
# Each filter $f$ is laid on each place $(y, x)$ of the padded image; the products of its taps with the pixels
# under them are added up, over all channels, and the bias of the filter is added:
#
# $$\text{out}[n, f, y, x] = b_f + \sum_{c,\,i,\,j} w[f, c, i, j]\;\text{padded}[n,\; c,\; sy + di,\; sx + dj].$$
#
# The filter is *not* turned round (see lesson 18). With *groups* $G > 1$ the channels, and the filters, are cut into
# $G$ blocks of neighbours ($G$ divides both $C$ and $F$), and a filter sees only the channels of its own block. So $w$
# has the shape $(F, D, K, L)$ with $D = C/G$ channels in each filter. Block 0 is made of the first $F/G$ filters and
# the first $D$ channels, block 1 of the next ones, and so on. $H'$ and $W'$ are the numbers of places of exercise 1,
# along the columns and along the rows.
#
# *Hint:* `np.pad`; a slice `a[start:stop:dilation]` takes a window with gaps; `np.tensordot` multiplies and sums over
# several axes at once. *Lesson* 18, sections 1 and 2; 19, section 5. *Afterwards look at*
# `minidl/kernels/conv_numpy.py`, which needs no loop at all.

# %% solution id="conv_forward"
def conv_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> np.ndarray:
    """2-D convolution: x (N, C, H, W), w (F, D, K, L) with D = C / groups, b (F,) -> (N, F, H', W').

    out[n, f, y, x] = b[f] + sum over c, i, j of w[f, c, i, j] * padded[n, c, s y + d i, s x + d j]
    """
    ### BEGIN SOLUTION
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    N, _, H, W = padded.shape
    F, D, K, L = w.shape
    high, wide = dilation * (K - 1) + 1, dilation * (L - 1) + 1
    rows, cols = (H - high) // stride + 1, (W - wide) // stride + 1
    out = np.empty((N, F, rows, cols), x.dtype)
    for g in range(groups):
        filters, channels = slice(g * F // groups, (g + 1) * F // groups), slice(g * D, (g + 1) * D)
        for i, j in np.ndindex(rows, cols):
            top, left = i * stride, j * stride
            window = padded[:, channels, top : top + high : dilation, left : left + wide : dilation]
            # (N, D, K, L) and (F/G, D, K, L) -> (N, F/G)
            out[:, filters, i, j] = np.tensordot(window, w[filters], axes=([1, 2, 3], [1, 2, 3]))
    return out + b[:, None, None]
    ### END SOLUTION

# %% test id="forward_plain" points=6
from minidl.nn import functional as F

with course.checks("convolution, stride 1", lesson=18) as t:
    inputs = course.probe(1, x="NCHW", w="FCKL", b="F", N=3, C=2, H=8, W=7, F=6, K=4, L=5)
    mistakes = {
        "the filter is turned round; here it is laid on the image as it is":
            lambda x, w, b: F.conv2d(x, w[:, :, ::-1, ::-1], b),
        "the bias is not added": lambda x, w, b: F.conv2d(x, w),
        "the bias is added once for every channel or tap, not once for every output":
            lambda x, w, b: F.conv2d(x, w, b * w.shape[1]),
        "only one channel is used: the sum goes over all of them": lambda x, w, b: F.conv2d(x[:, :1], w[:, :1], b),
        "the mean of the products is taken where their sum is meant": lambda x, w, b: F.conv2d(x, w / w[0].size, b),
    }  # fmt: skip
    t.value("filters of 4x5", conv_forward, inputs, F.conv2d, mistakes=mistakes)
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = course.probe(2, x="NCHW", w="FCKL", b="F", N=1, C=2, H=5, W=8, F=3, K=4, L=7)
    t.value("a batch of one", conv_forward, other, F.conv2d, mistakes=mistakes)
    whole = course.probe(3, x="NCHW", w="FCHW", b="F", N=3, C=2, H=5, W=4, F=6)
    t.value("filters as large as the image", conv_forward, whole, F.conv2d, mistakes=mistakes)
    reduced = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.value("float32 in, float32 out", conv_forward, reduced, F.conv2d, rtol=1e-5)
    turned = {**inputs, "x": inputs["x"].transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2)}
    t.value("images that are not contiguous in memory", conv_forward, turned, F.conv2d)
    ### END HIDDEN TESTS

# %% test id="forward_stride_padding" points=6
from minidl.nn import functional as F

with course.checks("convolution with stride and padding", lesson=18) as t:
    inputs = course.probe(4, x="NCHW", w="FCKL", b="F", N=3, C=2, H=8, W=7, F=6, K=4, L=5)
    general = {
        "the filter is turned round": lambda x, w, b, *o: F.conv2d(x, w[:, :, ::-1, ::-1], b, *o),
        "the bias is not added": lambda x, w, b, *o: F.conv2d(x, w, None, *o),
    }

    def unmoved(x, w, b, stride, padding):
        """As many places as there should be, but one pixel apart."""
        rows, cols = F.conv2d(x, w, b, stride, padding).shape[2:]
        return F.conv2d(x, w, b, 1, padding)[:, :, :rows, :cols]

    t.value("a stride of 2", conv_forward, {**inputs, "stride": 2, "padding": 0}, F.conv2d, mistakes={
        **general,
        "the stride is not used": lambda x, w, b, s, p: F.conv2d(x, w, b, 1, p),
        "the number of places is right, but they lie next to each other: the window moves on by the stride": unmoved,
    })  # fmt: skip
    t.value("a padding of 1", conv_forward, {**inputs, "stride": 1, "padding": 1}, F.conv2d, mistakes={
        **general,
        "the padding is not used": lambda x, w, b, s, p: F.conv2d(x, w, b, s),
        "the image is padded on two sides only, above and at the left":
            lambda x, w, b, s, p: F.conv2d(np.pad(x, ((0, 0), (0, 0), (p, 0), (p, 0))), w, b, s),
        "the image is padded on two sides only, below and at the right":
            lambda x, w, b, s, p: F.conv2d(np.pad(x, ((0, 0), (0, 0), (0, p), (0, p))), w, b, s),
        "the padding repeats the pixels of the rim; it is zero":
            lambda x, w, b, s, p: F.conv2d(np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="edge"), w, b, s),
    })  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("both, and a stride that does not divide", conv_forward, {**inputs, "stride": 3, "padding": 2}, F.conv2d)
    t.value("more padding than the filter is wide", conv_forward, {**inputs, "stride": 1, "padding": 6}, F.conv2d)
    other = course.probe(5, x="NCHW", w="FCKL", b="F", N=1, C=4, H=8, W=9, F=5, K=2, L=3)
    t.value("strides that jump over pixels", conv_forward, {**other, "stride": 4, "padding": 1}, F.conv2d)
    ### END HIDDEN TESTS

# %% test id="forward_dilation_groups" points=7
from minidl.nn import functional as F

with course.checks("convolution with dilation and groups", lesson=19) as t:
    general = {
        "the filter is turned round": lambda x, w, b, *o: F.conv2d(x, w[:, :, ::-1, ::-1], b, *o),
        "the bias is not added": lambda x, w, b, *o: F.conv2d(x, w, None, *o),
    }
    plain = {"stride": 1, "padding": 0}
    gaps = course.probe(6, x="NCHW", w="FCKL", b="F", N=1, C=4, H=8, W=7, F=6, K=3, L=2)

    def narrow(x, w, b, *options):
        """As many places as there should be, but the taps are next to each other."""
        rows, cols = F.conv2d(x, w, b, *options).shape[2:]
        return F.conv2d(x, w, b)[:, :, :rows, :cols]

    t.value("a dilation of 2", conv_forward, {**gaps, **plain, "dilation": 2}, F.conv2d, mistakes={
        **general,
        "the dilation is not used": lambda x, w, b, *o: F.conv2d(x, w, b),
        "the number of places is right, but the taps lie next to each other": narrow,
    })  # fmt: skip
    groups = course.probe(7, x="NCHW", w="FDKL", b="F", N=1, C=6, D=3, H=8, W=7, F=4, K=2, L=5)
    options = {**plain, "dilation": 1, "groups": 2}
    t.value("two groups", conv_forward, {**groups, **options}, F.conv2d, mistakes={
        **general,
        "every filter sees the channels of the first group; each group has its own":
            lambda x, w, b, *o: F.conv2d(x[:, :3], w, b),
        "the channels of a group are neighbours, not every second one":
            lambda x, w, b, *o: F.conv2d(x.reshape(1, 3, 2, 8, 7).swapaxes(1, 2).reshape(x.shape), w, b, *o),
        "the filters of a group are neighbours, not every second one":
            lambda x, w, b, *o: F.conv2d(x, w[[0, 2, 1, 3]], b[[0, 2, 1, 3]], *o)[:, [0, 2, 1, 3]],
        "the channels of the first group are given to the filters of the last":
            lambda x, w, b, *o: F.conv2d(x[:, [3, 4, 5, 0, 1, 2]], w, b, *o),
    })  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    more = course.probe(8, x="NCHW", w="FDKL", b="F", N=1, C=6, D=2, H=8, W=7, F=9, K=4, L=5)
    t.value("three groups of three filters", conv_forward, {**more, **options, "groups": 3}, F.conv2d)
    both = {"stride": 1, "padding": 2, "dilation": 2, "groups": 3}
    t.value("dilation with groups", conv_forward, {**more, **both}, F.conv2d)
    every = course.probe(9, x="NCHW", w="FDKL", b="F", N=3, C=2, D=1, H=8, W=7, F=4, K=5, L=6)
    t.value("filters of one channel each", conv_forward, {**every, **options}, F.conv2d)
    both = {"stride": 2, "padding": 4, "dilation": 2, "groups": 2}
    t.value("everything at once", conv_forward, {**every, **both}, F.conv2d)
    ### END HIDDEN TESTS

# %% [markdown]
# ### Edges of a digit
#
# Four filters, made by hand. The first is the right side of its window minus the left side: it is large (orange) where
# the ink begins, going from left to right, and negative (blue) where it ends. Change the filters and look again; what
# does one of nine equal taps do?

# %% show
import matplotlib.pyplot as plt

from minidl import data
from minidl.viz.style import SIGNED, bare

digit = data.load_digits().x[12:13]  # (1, 1, 8, 8)
step = np.array([[-1.0, 0, 1], [-1, 0, 1], [-1, 0, 1]])
filters = {
    "left to right": step,
    "top to bottom": step.T,
    "along a diagonal": np.array([[0.0, 1, 2], [-1, 0, 1], [-2, -1, 0]]),
    "centre against rim": np.array([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
}  # fmt: skip
taps = np.stack(list(filters.values()))[:, None].astype(np.float32)  # (4, 1, 3, 3)
edges = conv_forward(digit, taps, np.zeros(4, np.float32), padding=1)[0]

fig, axes = plt.subplots(2, 5, figsize=(11, 4.2), layout="constrained", height_ratios=(3, 1), dpi=80)
axes[0, 0].imshow(digit[0, 0], cmap="Greys")
bare(axes[0, 0], "the image")
axes[1, 0].axis("off")
for k, name in enumerate(filters):
    axes[0, k + 1].imshow(edges[k], cmap=SIGNED, vmin=-abs(edges[k]).max(), vmax=abs(edges[k]).max())
    bare(axes[0, k + 1], name)
    axes[1, k + 1].imshow(taps[k, 0], cmap=SIGNED, vmin=-abs(taps[k]).max(), vmax=abs(taps[k]).max())
    bare(axes[1, k + 1])
plt.show()

# %% [markdown]
# ## 3. Its gradients
#
# Given $g = \partial L/\partial\,\text{out}$ (the argument `dout`), find the gradients of the three arrays. In
#
# $$\text{out}[n, f, y, x] = b_f + \sum_{c,\,i,\,j} w[f, c, i, j]\;\text{padded}[n,\; c,\; sy + di,\; sx + dj]$$
#
# every product is made of one tap and one pixel, so that the output passes $g \cdot \text{pixel}$ to the tap and
# $g \cdot \text{tap}$ to the pixel. A tap takes part in all images and at all places; a pixel lies under several
# windows and is seen by several filters: whatever is used more than once gets the *sum* of what comes back. The
# gradient of the padding is of no use to anyone; it is cut off.
#
# Write `conv_backward`, which returns `(dx, dw, db)`, each with the shape of its array. It is checked against
# differences of minidl's own `conv2d`, so that your forward need not be right. Groups and dilation have cells of their
# own, so begin without them.
#
# *Hint:* the loop of the forward, once more. At one place, what are the shapes of `dout[:, :, y, x]`, of the window,
# and of the filters? *Lesson* 18, section 7. *Afterwards look at* `minidl/ops/conv.py`: the three passes are each
# other's derivatives.

# %% solution id="conv_backward"
def conv_backward(
    dout: np.ndarray, x: np.ndarray, w: np.ndarray, b: np.ndarray,
    stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Gradients (dx, dw, db) of a convolution, for dout (N, F, H', W').

    dx (N, C, H, W), dw (F, D, K, L), db (F,)
    """
    ### BEGIN SOLUTION
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    _, _, H, W = x.shape
    F, D, K, L = w.shape
    high, wide = dilation * (K - 1) + 1, dilation * (L - 1) + 1
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for g in range(groups):
        filters, channels = slice(g * F // groups, (g + 1) * F // groups), slice(g * D, (g + 1) * D)
        for i, j in np.ndindex(*dout.shape[2:]):
            top, left = i * stride, j * stride
            window = np.s_[:, channels, top : top + high : dilation, left : left + wide : dilation]
            here = dout[:, filters, i, j]  # (N, F/G)
            dpadded[window] += np.tensordot(here, w[filters], axes=1)  # (N, F/G) and (F/G, D, K, L)
            dw[filters] += np.tensordot(here.T, padded[window], axes=1)  # (F/G, N) and (N, D, K, L)
    dx = dpadded[:, :, padding : padding + H, padding : padding + W]
    db = dout.sum(axis=(0, 2, 3))
    return dx, dw, db
    ### END SOLUTION

# %% test id="conv_dx" points=6
import minidl
from minidl.nn import functional as F

with course.checks("dx of the convolution", lesson=18) as t:
    inputs = course.probe(10, x="NCHW", w="FCKL", b="F", N=3, C=2, H=8, W=7, F=6, K=4, L=5)
    t.gradient("stride 1", conv_backward, "x", F.conv2d, inputs, hints={
        "overlap": "windows overlap, and each of them passes something to the pixel: = is written where += is meant",
        "value": "in backward a tap must meet the same pixel as in forward: is the filter turned round?",
        "shape": "dx has the shape of x; are the three gradients returned in the order dx, dw, db?",
    })  # fmt: skip
    small = course.probe(11, x="NCHW", w="FCKL", b="F", N=1, C=2, H=6, W=7, F=5, K=3, L=4)
    somewhere = ("value", "scattered", "border", "overlap", "shifted", "zero")
    t.gradient("a stride of 2", conv_backward, "x", F.conv2d, {**small, "stride": 2}, hints=dict.fromkeys(
        somewhere, "the windows of backward must stand where those of forward stood, which is a matter of the stride",
    ))  # fmt: skip
    t.gradient("a padding of 1", conv_backward, "x", F.conv2d, {**small, "stride": 1, "padding": 1}, hints={
        **dict.fromkeys(somewhere, "windows stand on the padded image, and the image lies in the middle of that: "
                                   "is this the part that is returned?"),
        "shape": "the padding is still there: dx has the shape of x, before the padding",
    })  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("a stride that does not divide", conv_backward, "x", F.conv2d, {**small, "stride": 3, "padding": 2})

    def right(dout, x, *others):
        x = minidl.Tensor(x, requires_grad=True)
        return minidl.grad(F.conv2d(x, *others), x, minidl.Tensor(dout))[0].numpy()

    dout = np.random.default_rng(0).standard_normal((1, 6, 2, 3))
    other = {"dout": dout, **course.probe(12, x="NCHW", w="FCKL", b="F", N=1, C=7, H=8, W=14, F=6, K=3, L=4)}
    reduced = {name: a.astype(np.float32) for name, a in other.items()}
    options = {"stride": 5, "padding": 1}
    t.value("strides that jump over pixels", lambda *a: conv_backward(*a)[0], {**other, **options}, right)
    t.value("float32 in, float32 out", lambda *a: conv_backward(*a)[0], {**reduced, **options}, right, rtol=1e-5)
    ### END HIDDEN TESTS

# %% test id="conv_dw" points=6
import minidl
from minidl.nn import functional as F

with course.checks("dw of the convolution", lesson=18) as t:
    inputs = course.probe(10, x="NCHW", w="FCKL", b="F", N=3, C=2, H=8, W=7, F=6, K=4, L=5)
    t.gradient("stride 1", conv_backward, "w", F.conv2d, inputs, hints={
        "value": "a tap is used at all places and in all images: is what comes back from each of them added up, "
                 "with += and not with =?",
        "shape": "dw has the shape of w; are the three gradients returned in the order dx, dw, db?",
    })  # fmt: skip
    small = course.probe(11, x="NCHW", w="FCKL", b="F", N=1, C=2, H=6, W=7, F=5, K=3, L=4)
    somewhere = ("value", "scattered", "border", "overlap", "shifted")
    t.gradient("a stride of 2", conv_backward, "w", F.conv2d, {**small, "stride": 2}, hints=dict.fromkeys(
        somewhere, "the windows of backward must stand where those of forward stood, which is a matter of the stride",
    ))  # fmt: skip
    padded = {**small, "stride": 1, "padding": 1}
    t.gradient("a padding of 1", conv_backward, "w", F.conv2d, padded, hints=dict.fromkeys(
        somewhere, "the taps have met the padded image: windows are cut out of that, and not of x",
    ))  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("a stride that does not divide", conv_backward, "w", F.conv2d, {**small, "stride": 3, "padding": 2})

    def right(dout, x, w, *others):
        w = minidl.Tensor(w, requires_grad=True)
        return minidl.grad(F.conv2d(x, w, *others), w, minidl.Tensor(dout))[0].numpy()

    dout = np.random.default_rng(0).standard_normal((1, 6, 2, 3))
    other = {"dout": dout, **course.probe(12, x="NCHW", w="FCKL", b="F", N=1, C=7, H=8, W=14, F=6, K=3, L=4)}
    reduced = {name: a.astype(np.float32) for name, a in other.items()}
    options = {"stride": 5, "padding": 1}
    t.value("strides that jump over pixels", lambda *a: conv_backward(*a)[1], {**other, **options}, right)
    t.value("float32 in, float32 out", lambda *a: conv_backward(*a)[1], {**reduced, **options}, right, rtol=1e-5)
    ### END HIDDEN TESTS

# %% test id="conv_db" points=4
from minidl.nn import functional as F

with course.checks("db of the convolution", lesson=18) as t:
    inputs = course.probe(10, x="NCHW", w="FCKL", b="F", N=3, C=2, H=8, W=7, F=6, K=4, L=5)
    t.gradient("stride 1", conv_backward, "b", F.conv2d, inputs)
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.gradient("stride and padding", conv_backward, "b", F.conv2d, {**inputs, "stride": 3, "padding": 2})
    groups = course.probe(14, x="NCHW", w="FDKL", b="F", N=1, C=4, D=2, H=8, W=7, F=6, K=3, L=5)
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 2}
    t.gradient("two groups", conv_backward, "b", F.conv2d, {**groups, **options})
    ### END HIDDEN TESTS

# %% test id="conv_dx_more" points=5
import minidl
from minidl.nn import functional as F

with course.checks("dx with dilation and groups", lesson=19) as t:
    gaps = course.probe(13, x="NCHW", w="FCKL", b="F", N=1, C=2, H=7, W=8, F=5, K=3, L=4)
    t.gradient("no dilation, one group", conv_backward, "x", F.conv2d, gaps, hints={
        "overlap": "windows overlap, and each of them passes something to the pixel: = is written where += is meant",
        "value": "in backward a tap must meet the same pixel as in forward: is the filter turned round?",
        "shape": "dx has the shape of x; are the three gradients returned in the order dx, dw, db?",
    })  # fmt: skip
    somewhere, options = ("value", "scattered", "border", "overlap", "zero", "one_slice"), {"stride": 1, "padding": 0}
    t.gradient("a dilation of 2", conv_backward, "x", F.conv2d, {**gaps, **options, "dilation": 2}, hints=dict.fromkeys(
        somewhere, "the pixels under the taps lie apart, by the dilation; what lies between them gets nothing",
    ))  # fmt: skip
    groups = course.probe(14, x="NCHW", w="FDKL", b="F", N=1, C=4, D=2, H=8, W=7, F=6, K=3, L=5)
    options = {**options, "dilation": 1, "groups": 2}
    t.gradient("two groups", conv_backward, "x", F.conv2d, {**groups, **options}, hints=dict.fromkeys(
        somewhere, "the channels of a group get something from the filters of their own group, and from no others",
    ))  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()

    def right(dout, x, *others):
        x = minidl.Tensor(x, requires_grad=True)
        return minidl.grad(F.conv2d(x, *others), x, minidl.Tensor(dout))[0].numpy()

    dout = np.random.default_rng(0).standard_normal((1, 9, 4, 2))
    every = {"dout": dout, **course.probe(15, x="NCHW", w="FDKL", b="F", N=1, C=6, D=2, H=8, W=7, F=9, K=3, L=5)}
    every.update(stride=2, padding=2, dilation=2, groups=3)
    t.value("everything at once", lambda *a: conv_backward(*a)[0], every, right)
    ### END HIDDEN TESTS

# %% test id="conv_dw_more" points=5
import minidl
from minidl.nn import functional as F

with course.checks("dw with dilation and groups", lesson=19) as t:
    gaps = course.probe(13, x="NCHW", w="FCKL", b="F", N=1, C=2, H=7, W=8, F=5, K=3, L=4)
    t.gradient("no dilation, one group", conv_backward, "w", F.conv2d, gaps, hints={
        "value": "a tap is used at all places and in all images: is what comes back from each of them added up, "
                 "with += and not with =?",
        "shape": "dw has the shape of w; are the three gradients returned in the order dx, dw, db?",
    })  # fmt: skip
    somewhere, options = ("value", "scattered", "border", "overlap", "zero", "one_slice"), {"stride": 1, "padding": 0}
    t.gradient("a dilation of 2", conv_backward, "w", F.conv2d, {**gaps, **options, "dilation": 2}, hints=dict.fromkeys(
        somewhere, "the pixels that the taps have met lie apart, by the dilation, in backward as in forward",
    ))  # fmt: skip
    groups = course.probe(14, x="NCHW", w="FDKL", b="F", N=1, C=4, D=2, H=8, W=7, F=6, K=3, L=5)
    options = {**options, "dilation": 1, "groups": 2}
    t.gradient("two groups", conv_backward, "w", F.conv2d, {**groups, **options}, hints=dict.fromkeys(
        somewhere, "a filter has met the channels of its own group, and no others",
    ))  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()

    def right(dout, x, w, *others):
        w = minidl.Tensor(w, requires_grad=True)
        return minidl.grad(F.conv2d(x, w, *others), w, minidl.Tensor(dout))[0].numpy()

    dout = np.random.default_rng(0).standard_normal((1, 9, 4, 2))
    every = {"dout": dout, **course.probe(15, x="NCHW", w="FDKL", b="F", N=1, C=6, D=2, H=8, W=7, F=9, K=3, L=5)}
    every.update(stride=2, padding=2, dilation=2, groups=3)
    t.value("everything at once", lambda *a: conv_backward(*a)[1], every, right)
    ### END HIDDEN TESTS

# %% [markdown]
# ### A filter that is learnt, and what an output sees
#
# First your gradients are put to work. Somebody has convolved digits with a filter that you do not know, and gives you
# only the digits and the results. Begin with a filter of noise, and follow $-\partial L/\partial w$ of
# $L = \tfrac12\sum (\text{out} - \text{target})^2$.
#
# Then the same function draws a *receptive field*. Put `dout = 1` at a single output, zero at all others, and look at
# `dx`: the pixels with a gradient are those which that output sees. Two layers are two calls of your function.

# %% show
import matplotlib.pyplot as plt

from minidl import data
from minidl.viz.style import AMOUNT, SIGNED, bare, dress

rng = np.random.default_rng(0)
images = data.load_digits().x[:64].astype(float)  # (64, 1, 8, 8)
secret = np.array([[0.0, 1, 2], [-1, 0, 1], [-2, -1, 0]])[None, None]
target = conv_forward(images, secret, np.array([0.5]))
w, b = rng.standard_normal((1, 1, 3, 3)), np.zeros(1)
kept, losses = {}, []
for k in range(401):
    error = conv_forward(images, w, b) - target
    losses.append(0.5 * (error**2).sum() / error.size)
    if k in (0, 10, 400):
        kept[f"after {k} steps" if k else "noise"] = w
    _, dw, db = conv_backward(error / error.size, images, w, b)
    w, b = w - 0.5 * dw, b - 0.5 * db

fig, axes = plt.subplots(1, 5, figsize=(12, 2.5), layout="constrained", width_ratios=(2, 1, 1, 1, 1), dpi=80)
axes[0].semilogy(losses)
dress(axes[0], "mean of the squared error / 2", "step")
for ax, (name, taps) in zip(axes[1:], {**kept, "the secret": secret}.items(), strict=True):
    ax.imshow(taps[0, 0], cmap=SIGNED, vmin=-2.5, vmax=2.5)
    for (i, j), value in np.ndenumerate(taps[0, 0]):
        ax.text(j, i, f"{round(value, 1) + 0:.1f}", ha="center", va="center", fontsize=9)
    bare(ax, name)
plt.show()

# %% show
def seen(*layers):
    """How strongly the middle output of 3x3 convolutions, one on top of another, depends on each of 15x15 pixels."""
    taps, bias, inputs = np.ones((1, 1, 3, 3)), np.zeros(1), [np.zeros((1, 1, 15, 15))]
    for options in layers:
        inputs.append(conv_forward(inputs[-1], taps, bias, **options))
    g = np.zeros_like(inputs.pop())
    g[0, 0, g.shape[2] // 2, g.shape[3] // 2] = 1
    for options in reversed(layers):
        g, _, _ = conv_backward(g, inputs.pop(), taps, bias, **options)
    return g[0, 0]


fields = {
    "one layer": seen({}), "two layers": seen({}, {}), "strides 2 and 1": seen({"stride": 2}, {}),
    "dilations 1 and 3": seen({}, {"dilation": 3}), "dilations 3 and 3": seen({"dilation": 3}, {"dilation": 3}),
}  # fmt: skip
fig, axes = plt.subplots(1, 5, figsize=(12, 2.8), layout="constrained", dpi=80)
for ax, (name, field) in zip(axes, fields.items(), strict=True):
    ax.imshow(field, cmap=AMOUNT, vmin=0)
    ax.hlines(np.arange(16) - 0.5, -0.5, 14.5, color="#DDDDDD", linewidth=0.5)
    ax.vlines(np.arange(16) - 0.5, -0.5, 14.5, color="#DDDDDD", linewidth=0.5)
    bare(ax, f"{name}: {np.count_nonzero(field)} pixels")
plt.show()

# %% [markdown]
# All taps are 1, so that the colour counts the *ways* from a pixel to the output. Why is the last field full of holes?
#
# ## 4. Max pooling
#
# A window of `size` $\times$ `size` pixels slides over every channel by itself, and its largest value is kept:
#
# $$\text{out}[n, c, y, x] = \max_{0 \le i,\,j < \text{size}}\; \text{padded}[n,\; c,\; sy + i,\; sx + j].$$
#
# The number of places is that of exercise 1. Windows overlap if the stride is smaller than `size`. The padding (at most
# half of `size`) must never win, not even against negative numbers.
#
# *Hint:* which number is smaller than all others? *Lesson* 19, section 1. *Afterwards look at*
# `minidl/kernels/pool_numpy.py`.

# %% solution id="max_pool_forward"
def max_pool_forward(x: np.ndarray, size: int, stride: int, padding: int = 0) -> np.ndarray:
    """The largest value of each window: x (N, C, H, W) -> (N, C, H', W')."""
    ### BEGIN SOLUTION
    around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x, around, constant_values=-np.inf)
    N, C, H, W = padded.shape
    rows, cols = (H - size) // stride + 1, (W - size) // stride + 1
    out = np.empty((N, C, rows, cols), x.dtype)
    for i, j in np.ndindex(rows, cols):
        top, left = i * stride, j * stride
        out[:, :, i, j] = padded[:, :, top : top + size, left : left + size].max(axis=(2, 3))
    return out
    ### END SOLUTION

# %% test id="max_forward" points=8
from minidl.nn import functional as F

with course.checks("max pooling", lesson=19) as t:
    inputs = course.probe(20, spread=True, x="NCHW", N=2, C=5, H=6, W=7)
    mistakes = {
        "this is the mean of each window": F.avg_pool2d,
        "this is the smallest value of each window": lambda x, *o: -F.max_pool2d(-x, *o),
        "the largest value by size is kept, whatever its sign": lambda x, *o: F.max_pool2d(np.abs(x), *o),
    }
    side = {**inputs, "size": 3, "stride": 3}
    t.value("windows side by side", max_pool_forward, side, F.max_pool2d, mistakes={
        **mistakes,
        "the windows are too small by one row and one column: a slice ends before its stop":
            lambda x, k, s: F.max_pool2d(x, k - 1, s),
        "the windows go over rows and columns, but not over channels: each channel is pooled by itself":
            lambda x, *o: np.broadcast_to(F.max_pool2d(x.max(axis=1, keepdims=True), *o), (2, 5, 2, 2)),
    })  # fmt: skip
    t.value("overlapping windows", max_pool_forward, {**side, "stride": 1}, F.max_pool2d, mistakes={
        **mistakes, "the windows move on by their size, not by the stride": lambda x, k, s: F.max_pool2d(x, k, k),
    })  # fmt: skip
    below = {"x": inputs["x"] - 40, "size": 3, "stride": 2, "padding": 1}
    t.value("padding, all numbers negative", max_pool_forward, below, F.max_pool2d, mistakes={
        "the zeros of the padding win against negative numbers":
            lambda x, k, s, p: F.max_pool2d(np.pad(x, ((0, 0), (0, 0), (p, p), (p, p))), k, s),
        "the padding is not used": lambda x, k, s, p: F.max_pool2d(x, k, s),
        "a last window hangs over the end; only whole windows count": lambda *a: F.max_pool2d(*a, ceil_mode=True),
    })  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = course.probe(21, spread=True, x="NCHW", N=1, C=3, H=8, W=9)
    jump, wide = {**other, "size": 2, "stride": 5}, {"x": other["x"] - 40, "size": 4, "stride": 3, "padding": 2}
    t.value("a batch of one, strides that jump over pixels", max_pool_forward, jump, F.max_pool2d)
    t.value("large windows and padding", max_pool_forward, wide, F.max_pool2d)
    reduced = {**side, "x": side["x"].astype(np.float32), "padding": 1}
    t.value("float32 in, float32 out", max_pool_forward, reduced, F.max_pool2d)
    ### END HIDDEN TESTS

# %% [markdown]
# ## 5. Where its gradient goes
#
# The largest value of a window is one of its pixels, the *winner*; to change any other changes nothing. So the winner
# gets all of the window's gradient, and a pixel that wins several windows gets the sum:
#
# $$\text{dx}[p] = \sum_{\text{windows } k \text{ that } p \text{ wins}} \text{dout}_k .$$
#
# If several pixels of a window are equally large, the *first* of them wins, in the order in which one reads: row by
# row, from the left.
#
# *Hint:* `np.argmax` returns the first maximum of a row; a window of `size` $\times$ `size` can be made a row.
# *Lesson* 19, section 3. *Afterwards look at* `max_pool2d` in `minidl/ops/pool.py`.

# %% solution id="max_pool_backward"
def max_pool_backward(dout: np.ndarray, x: np.ndarray, size: int, stride: int, padding: int = 0) -> np.ndarray:
    """The gradient dx (N, C, H, W) of max pooling, for dout (N, C, H', W'); the first maximum of a window gets it."""
    ### BEGIN SOLUTION
    N, C, H, W = x.shape
    around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x, around, constant_values=-np.inf)
    dpadded = np.zeros_like(padded)
    n, c = np.ogrid[:N, :C]
    for i, j in np.ndindex(*dout.shape[2:]):
        top, left = i * stride, j * stride
        window = padded[:, :, top : top + size, left : left + size].reshape(N, C, size * size)
        row, col = np.divmod(window.argmax(axis=2), size)  # (N, C): where in the window
        dpadded[n, c, top + row, left + col] += dout[:, :, i, j]
    return dpadded[:, :, padding : padding + H, padding : padding + W]
    ### END SOLUTION

# %% test id="max_backward" points=8
import minidl
from minidl.nn import functional as F

with course.checks("the gradient of max pooling", lesson=19) as t:
    inputs = course.probe(22, spread=True, x="NCHW", N=2, C=3, H=6, W=5)
    winner = "each window has one winner, and only that pixel gets its gradient: is it the right pixel, all of it?"
    t.gradient("windows side by side", max_pool_backward, "x", F.max_pool2d, {**inputs, "size": 3, "stride": 3},
               hints=dict.fromkeys(("value", "scattered", "ratio", "permuted", "border"), winner))  # fmt: skip
    small = course.probe(23, spread=True, x="NCHW", N=1, C=2, H=6, W=7)
    t.gradient("overlapping windows", max_pool_backward, "x", F.max_pool2d, {**small, "size": 3, "stride": 1},
               hints=dict.fromkeys(("value", "scattered", "border"),
                                   "some pixels win more than one window: = is written where += is meant"))  # fmt: skip
    below = {"x": small["x"] - 20, "size": 3, "stride": 2, "padding": 1}
    t.gradient("padding, all numbers negative", max_pool_backward, "x", F.max_pool2d, below, hints={
        "shape": "the padding is still there: dx has the shape of x, before the padding",
        **dict.fromkeys(("value", "scattered", "border"), "the padding must not win, and the image lies in the middle"),
    })  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()

    def right(dout, x, *others):
        x = minidl.Tensor(x, requires_grad=True)
        return minidl.grad(F.max_pool2d(x, *others), x, minidl.Tensor(dout))[0].numpy()

    other = course.probe(24, dout="NCPQ", x="NCHW", N=3, C=5, H=7, W=12, P=2, Q=4)
    t.value("strides that jump over pixels", max_pool_backward, {**other, "size": 2, "stride": 3}, right)
    reduced = {name: a.astype(np.float32) for name, a in other.items()}
    t.value("float32 in, float32 out", max_pool_backward, {**reduced, "size": 4, "stride": 3, "padding": 1}, right)
    ### END HIDDEN TESTS

# %% test id="max_ties" points=4
import minidl
from minidl.nn import functional as F

with course.checks("max pooling where several pixels are equally large", lesson=19) as t:

    def right(dout, x, size, stride):
        x = minidl.Tensor(x, requires_grad=True)
        return minidl.grad(F.max_pool2d(x, size, stride), x, minidl.Tensor(dout))[0].numpy()

    def all_of_them(dout, x, size, stride):
        wide = [a.repeat(size, axis=2).repeat(size, axis=3) for a in (dout, F.max_pool2d(x, size, stride))]
        return wide[0] * (x == wide[1])

    inputs = course.probe(24, dout="NCPQ", x="NCHW", N=1, C=2, P=3, Q=4, H=6, W=8)
    inputs["x"] = np.floor(inputs["x"])
    t.value("many ties", max_pool_backward, {**inputs, "size": 2, "stride": 2}, right, mistakes={
        "all pixels of a window get its gradient; only the largest one does":
            lambda dout, x, k, s: dout.repeat(k, axis=2).repeat(k, axis=3),
        "the gradient is divided by the number of pixels, as for a mean": lambda *a: right(*a) / a[2] ** 2,
        "dout is not used: the gradient is the same whatever it is": lambda dout, *o: right(np.ones_like(dout), *o),
        "the row and the column of the winner in its window are exchanged":
            lambda *a: right(*a).reshape(1, 2, 3, 2, 4, 2).swapaxes(3, 5).reshape(a[1].shape),
        "the gradient goes to all of the largest pixels; only the first one gets it": all_of_them,
        "the gradient goes to the last of the largest pixels, not to the first":
            lambda dout, x, k, s: right(dout[..., ::-1, ::-1], x[..., ::-1, ::-1], k, s)[..., ::-1, ::-1],
        "the first one column by column gets the gradient; it is row by row":
            lambda dout, x, k, s: right(dout.swapaxes(2, 3), x.swapaxes(2, 3), k, s).swapaxes(2, 3),
        "the largest pixels share the gradient; only the first one gets it, and all of it":
            lambda dout, x, k, s: all_of_them(dout, x, k, s) / all_of_them(
                np.ones_like(dout), x, k, s).reshape(1, 2, 3, 2, 4, 2).sum(axis=(3, 5)).repeat(2, 2).repeat(2, 3),
    })  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    dense = course.probe(25, dout="NCPQ", N=1, C=2, P=5, Q=7)["dout"]
    t.value("ties, overlapping windows", max_pool_backward, {**inputs, "dout": dense, "size": 2, "stride": 1}, right)
    flat = {**inputs, "x": np.full((1, 2, 6, 8), -1.5), "size": 2, "stride": 2}
    t.value("all pixels equal", max_pool_backward, flat, right)
    ### END HIDDEN TESTS

# %% [markdown]
# ## 6. Average pooling
#
# Instead of the largest value, the mean of the window; the zeros of the padding count as pixels:
#
# $$\text{out}[n, c, y, x] = \frac{1}{\text{size}^2}\sum_{0 \le i,\,j < \text{size}}
# \text{padded}[n,\; c,\; sy + i,\; sx + j].$$
#
# Write the forward and its backward, which returns `dx`. Ask of each pixel: to which outputs does it contribute, and
# how much?
#
# *Lesson* 19, sections 1 and 3. *Afterwards look at* `minidl/ops/pool.py`: the gradient of the gradient is the forward
# again. Why?

# %% solution id="avg_pool_forward"
def avg_pool_forward(x: np.ndarray, size: int, stride: int, padding: int = 0) -> np.ndarray:
    """The mean of each window, zeros of the padding included: x (N, C, H, W) -> (N, C, H', W')."""
    ### BEGIN SOLUTION
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    N, C, H, W = padded.shape
    rows, cols = (H - size) // stride + 1, (W - size) // stride + 1
    out = np.empty((N, C, rows, cols), x.dtype)
    for i, j in np.ndindex(rows, cols):
        top, left = i * stride, j * stride
        out[:, :, i, j] = padded[:, :, top : top + size, left : left + size].mean(axis=(2, 3))
    return out
    ### END SOLUTION

# %% test id="avg_forward" points=6
from minidl.nn import functional as F

with course.checks("average pooling", lesson=19) as t:
    inputs = course.probe(30, x="NCHW", N=2, C=5, H=6, W=7)
    side = {**inputs, "size": 3, "stride": 3}
    mistakes = {
        "this is the largest value of each window": F.max_pool2d,
        "this is the sum of each window": lambda x, k, *o: F.avg_pool2d(x, k, *o) * k * k,
        "a window has size rows and size columns: how many pixels is that?":
            lambda x, k, *o: F.avg_pool2d(x, k, *o) * k,
    }  # fmt: skip
    t.value("windows side by side", avg_pool_forward, side, F.avg_pool2d, mistakes=mistakes)
    t.value("overlapping windows", avg_pool_forward, {**side, "stride": 1}, F.avg_pool2d, mistakes={
        **mistakes, "the windows move on by their size, not by the stride": lambda x, k, s: F.avg_pool2d(x, k, k),
    })  # fmt: skip
    t.value("a padding of 1", avg_pool_forward, {**side, "stride": 2, "padding": 1}, F.avg_pool2d, mistakes={
        **mistakes,
        "divided by the pixels of the image alone; the zeros of the padding count too":
            lambda x, k, s, p: F.avg_pool2d(x, k, s, p, count_include_pad=False),
        "the padding is not used": lambda x, k, s, p: F.avg_pool2d(x, k, s),
    })  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = course.probe(31, x="NCHW", N=1, C=3, H=8, W=9)
    jump, wide = {"size": 2, "stride": 5}, {"size": 4, "stride": 3, "padding": 2}
    t.value("a batch of one, strides that jump over pixels", avg_pool_forward, {**other, **jump}, F.avg_pool2d)
    t.value("large windows and padding", avg_pool_forward, {**other, **wide}, F.avg_pool2d)
    reduced = {**side, "x": side["x"].astype(np.float32), "padding": 1}
    t.value("float32 in, float32 out", avg_pool_forward, reduced, F.avg_pool2d, rtol=1e-5)
    ### END HIDDEN TESTS

# %% solution id="avg_pool_backward"
def avg_pool_backward(dout: np.ndarray, x: np.ndarray, size: int, stride: int, padding: int = 0) -> np.ndarray:
    """The gradient dx (N, C, H, W) of average pooling, for dout (N, C, H', W')."""
    ### BEGIN SOLUTION
    N, C, H, W = x.shape
    dpadded = np.zeros((N, C, H + 2 * padding, W + 2 * padding), x.dtype)
    share = dout / size**2
    for i, j in np.ndindex(*dout.shape[2:]):
        top, left = i * stride, j * stride
        dpadded[:, :, top : top + size, left : left + size] += share[:, :, i, j, None, None]
    return dpadded[:, :, padding : padding + H, padding : padding + W]
    ### END SOLUTION

# %% test id="avg_backward" points=6
import minidl
from minidl.nn import functional as F

with course.checks("the gradient of average pooling", lesson=19) as t:
    inputs = course.probe(32, x="NCHW", N=2, C=4, H=6, W=5)
    side, share = {**inputs, "size": 3, "stride": 3}, "what does one pixel contribute to the mean of its window?"
    t.gradient("windows side by side", avg_pool_backward, "x", F.avg_pool2d, side, hints={
        **dict.fromkeys(("ratio", "times_n", "over_n"), share),
        **dict.fromkeys(("value", "scattered"), "all pixels of a window get the same: where does each window stand, "
                                                "and which pixels lie in it?"),
    })  # fmt: skip
    small = course.probe(33, x="NCHW", N=1, C=2, H=6, W=7)
    t.gradient("overlapping windows", avg_pool_backward, "x", F.avg_pool2d, {**small, "size": 3, "stride": 1}, hints={
        "overlap": "a pixel lies in several windows and gets a share from each: = is written where += is meant",
    })  # fmt: skip
    padded = {**small, "size": 3, "stride": 2, "padding": 1}
    t.gradient("a padding of 1", avg_pool_backward, "x", F.avg_pool2d, padded, hints={
        "shape": "the padding is still there: dx has the shape of x, before the padding",
        "border": "the zeros of the padding count as pixels: at the rim, too, a window has its full size",
        **dict.fromkeys(("value", "scattered"), "the image lies in the middle of the padded one: is this the part that "
                                                "is returned?"),
    })  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()

    def right(dout, x, *others):
        x = minidl.Tensor(x, requires_grad=True)
        return minidl.grad(F.avg_pool2d(x, *others), x, minidl.Tensor(dout))[0].numpy()

    other = course.probe(34, dout="NCPQ", x="NCHW", N=4, C=5, H=8, W=14, P=2, Q=3)
    t.value("strides that jump over pixels", avg_pool_backward, {**other, "size": 2, "stride": 5}, right)
    reduced = {name: a.astype(np.float32) for name, a in other.items()}
    t.value("float32 in, float32 out", avg_pool_backward, {**reduced, "size": 7, "stride": 4, "padding": 2}, right,
            rtol=1e-5)  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# ### Who gets the gradient?
#
# The same `dout = 1` at every place, passed back to a digit by both kinds of pooling. With windows side by side (above)
# each window of max pooling chooses one pixel; where all four are zero, it is the first. With overlapping windows
# (below) a bright pixel wins again and again, and the pixels around it get nothing, while the mean treats all pixels
# alike, apart from the rim.

# %% show
import matplotlib.pyplot as plt

from minidl import data
from minidl.viz.style import AMOUNT, VERMILLION, bare

digit = data.load_digits().x[12:13] * 16  # (1, 1, 8, 8), the ink from 0 to 16
fig, axes = plt.subplots(2, 4, figsize=(11, 5.6), layout="constrained", dpi=80)
for line, (size, stride) in zip(axes, ((2, 2), (3, 1)), strict=True):
    out = max_pool_forward(digit, size, stride)
    ones = np.ones_like(out)
    pictures = {
        "the image": digit, f"max, {size}x{size}, stride {stride}": out,
        "gradient of max": max_pool_backward(ones, digit, size, stride),
        "gradient of the mean": avg_pool_backward(ones, digit, size, stride) * size**2,
    }  # fmt: skip
    for ax, (name, picture) in zip(line, pictures.items(), strict=True):
        ax.imshow(picture[0, 0], cmap="Greys" if len(picture[0, 0]) == 8 and name == "the image" else AMOUNT, vmin=0,
                  vmax=1.6 * picture.max())  # fmt: skip
        for (i, j), value in np.ndenumerate(picture[0, 0]):
            if value:
                ax.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=8)
        bare(ax, name + (f" (times {size**2})" if "mean" in name else ""))
    if stride == size:
        for i, j in np.ndindex(*out.shape[2:]):
            corner = (j * size - 0.46, i * size - 0.46)
            line[0].add_patch(plt.Rectangle(corner, size - 0.08, size - 0.08, fill=False, color=VERMILLION))
plt.show()

# %% [markdown]
# ## 7. Make it fast
#
# Python is slow at loops because it decides anew, at every step, what `+` and `*` mean. *numba* translates a function
# into machine code, once for each combination of dtypes that it is called with (which takes a second the first time).
# In machine code loops cost next to nothing, so here you write them all, down to the single product.
#
# Write `conv_fast(x, w, b, stride)`: the convolution of exercise 2 without padding, dilation and groups. The decorator
# stands there already. Checked are the values, for any stride and shape; that float32 stays float32; and that the
# function is really compiled (*nopython mode*: no step of it goes back to Python). Speed is not graded; you measure it
# in the last cell.
#
# *Hint:* numba knows loops, numbers, indexing and simple functions such as `np.zeros(shape, x.dtype)`. What it does not
# do is check that an index lies inside of the array: whatever lies beside it in memory is read, or overwritten. So try
# `conv_fast.py_func(x, w, b, stride)` first, which is your function in plain Python. *For speed:* all orders of the
# loops give the same sum. A processor is fastest when the innermost loop walks along one line of memory, step by step,
# and multiplies by the same number all the way; and what is the same for all filters need not be fetched for each of
# them. *Lesson* 18, sections 4 and 5. *Afterwards look at* `minidl/kernels/conv_numba.py`.

# %% solution id="conv_fast"
@numba.njit
def conv_fast(x, w, b, stride):
    """Convolution in machine code: x (N, C, H, W), w (F, C, K, L), b (F,) -> (N, F, H', W').

    out[n, f, y, x] = b[f] + sum over c, i, j of w[f, c, i, j] * x[n, c, s y + i, s x + j]
    """
    ### BEGIN SOLUTION
    N, C, H, W = x.shape
    F, _, K, L = w.shape
    rows, cols = (H - K) // stride + 1, (W - L) // stride + 1
    out, line = np.empty((N, F, rows, cols), x.dtype), np.empty(cols, x.dtype)
    for n in range(N):
        for f in range(F):
            for i in range(rows):
                for j in range(cols):
                    out[n, f, i, j] = b[f]
        for c in range(C):
            for i in range(rows):
                for k in range(K):
                    for shift in range(L):
                        for j in range(cols):  # what this tap meets in this row: the same for all filters
                            line[j] = x[n, c, i * stride + k, j * stride + shift]
                        for f in range(F):
                            tap = w[f, c, k, shift]
                            for j in range(cols):
                                out[n, f, i, j] += tap * line[j]
    return out
    ### END SOLUTION

# %% test id="fast_values" points=9
from minidl.nn import functional as F

with course.checks("convolution in machine code", lesson=18) as t:
    inputs = course.probe(40, x="NCHW", w="FCKL", b="F", N=3, C=2, H=8, W=7, F=6, K=4, L=5)
    mistakes = {
        "the filter is turned round": lambda x, w, b, s: F.conv2d(x, w[:, :, ::-1, ::-1], b, s),
        "the bias is not added": lambda x, w, b, s: F.conv2d(x, w, None, s),
        "every product overwrites the one before: = is written where += is meant":
            lambda x, w, b, s: F.conv2d(x[:, -1:, w.shape[2] - 1 :, w.shape[3] - 1 :], w[:, -1:, -1:, -1:], None, s),
        "only one channel is used: the sum goes over all of them":
            lambda x, w, b, s: F.conv2d(x[:, :1].copy(), w[:, :1], b, s),
        "the bias is added once for every channel, not once for every output":
            lambda x, w, b, s: F.conv2d(x, w, b * w.shape[1], s),
    }  # fmt: skip
    t.value("stride 1", conv_fast, {**inputs, "stride": 1}, F.conv2d, mistakes=mistakes)
    t.value("a stride of 2", conv_fast, {**inputs, "stride": 2}, F.conv2d, mistakes={
        **mistakes,
        "the number of places is right, but they lie next to each other: the window moves on by the stride":
            lambda x, w, b, s: F.conv2d(x, w, b)[:, :, :3, :2],
    })  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.value("a stride that does not divide", conv_fast, {**inputs, "stride": 3}, F.conv2d)
    other = course.probe(41, x="NCHW", w="FCKL", b="F", N=1, C=2, H=9, W=8, F=3, K=4, L=7)
    t.value("a batch of one", conv_fast, {**other, "stride": 1}, F.conv2d)
    ### END HIDDEN TESTS

# %% test id="fast_compiled" points=6
from minidl.nn import functional as F

with course.checks("compiled, in the precision of its input", lesson=18) as t:
    inputs = course.probe(42, x="NCHW", w="FCKL", b="F", N=3, C=2, H=8, W=7, F=6, K=4, L=5)
    reduced = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.that("float32 stays float32", lambda: conv_fast(*reduced.values(), 1).dtype == np.float32,
           "the result was made without the dtype of x; it takes twice the memory and half the speed")  # fmt: skip

    def in_machine_code():
        conv_fast(*reduced.values(), 1)
        return len(getattr(conv_fast, "nopython_signatures", ())) > 0

    t.that("it is machine code", in_machine_code,
           "it still runs in Python, step by step: @numba.njit is gone, or object mode was asked for")  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    t.that("float64 stays float64", lambda: conv_fast(*inputs.values(), 1).dtype == np.float64,
           "the result was made with a fixed dtype, not with that of x")  # fmt: skip
    ### END HIDDEN TESTS

# %% [markdown]
# ### How much faster?
#
# Measured in turns, so that a busy moment of the machine hits all alike; the medians are compared. The first line is
# your own `conv_fast.py_func`, the very same loops in Python, on a small image. `conv_forward` loops over the places
# only, and leaves all that happens at one place to NumPy, which is machine code too: look whether you beat it, and try
# other orders of your loops. The last line is minidl's own kernel, which keeps several sums in the processor at once
# and shares the batch among the cores.

# %% show
import statistics
import time

from minidl.nn import functional as F


def measured(ways, repeats=7):
    """{name: seconds}, medians of calls in turns."""
    seconds = {name: [] for name in ways}
    for way in ways.values():
        way()  # once, to compile
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


rng = np.random.default_rng(0)
small = [rng.standard_normal(shape).astype(np.float32) for shape in ((1, 2, 12, 12), (4, 2, 3, 3), (4,))]
large = [rng.standard_normal(shape).astype(np.float32) for shape in ((8, 16, 32, 32), (32, 16, 3, 3), (32,))]
ways = {
    "conv_fast in Python": (conv_fast.py_func, small), "conv_forward": (conv_forward, large),
    "conv_fast": (conv_fast, large), "minidl": (F.conv2d, large),
}  # fmt: skip
found = measured({name: (lambda f=f, a=arrays: f(*a, 1)) for name, (f, arrays) in ways.items()})
for name, (_, (x, w, _)) in ways.items():
    products = len(x) * w.size * (x.shape[2] - 2) * (x.shape[3] - 2)
    print(f"{name:20} {1e9 * found[name] / products:10.3f} ns for one product")
