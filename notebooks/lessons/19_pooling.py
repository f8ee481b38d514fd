# %% [markdown]
# # Pooling, stride, dilation, groups, and what an output can see
#
# A convolution (lesson 18) looks at a few pixels. A network has to look at the whole image. There are three ways to see
# more: put layers on top of one another, take larger steps, or leave gaps in the filter. Pooling summarises what lies
# in a window. This lesson shows what each of them does, where the gradient goes, and how to find out what part of an
# image an output depends on: by a formula, and by asking the gradient.
#
# Before this: 18 (convolution). After it: 20 (second derivatives), 21 (augmentation).
#
# *Window*: the pixels that one output looks at. *Stride*: the distance from one window to the next. *Receptive field*:
# the pixels of the *input image* that an output, however many layers up, depends on.

# %%
import timeit

import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import minidl
from minidl import Tensor, data, kernels, models, nn, optim, train
from minidl.nn import functional as F
from minidl.viz.style import AMOUNT, BLUE, CLASSES, GREEN, GREY, SIGNED, VERMILLION, bare, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)
rng = np.random.default_rng(0)
digits, test = data.load_train_test("digits")

# %% [markdown]
# ## 1. Largest value, or mean
#
# *Pooling* slides a window over each channel by itself and keeps one number of it. There are no weights.
#
# $$\text{max: } \max_{i,j}\; x[n, c, Sy+i, Sx+j], \qquad
# \text{average: } \frac{1}{F^2}\sum_{i,j} x[n, c, Sy+i, Sx+j].$$
#
# If the stride $S$ is the window's size $F$ (the default), the windows tile the image; if it is smaller, they
# *overlap*. The size of the output follows the formula of lesson 18. Max pooling says "the feature is here somewhere",
# average pooling "how much of it there is". On the border, max pooling pads with $-\infty$, so that padding never wins.
#
# *Source:* `minidl/nn/pool.py`, `minidl/kernels/pool_numpy.py`. *Reference:* Scherer, Müller, Behnke (2010),
# "Evaluation of pooling operations in convolutional architectures for object recognition", ICANN.

# %%
def numbers(ax, table, title, limit=None):
    """A table of numbers as a picture."""
    table = np.asarray(table)
    ax.imshow(table, cmap=SIGNED, vmin=-1.6 * (limit or abs(table).max()), vmax=1.6 * (limit or abs(table).max()))
    for (row, col), value in np.ndenumerate(table):
        ax.text(col, row, f"{value:.3g}", ha="center", va="center", fontsize=8)
    bare(ax, title)


def frames(ax, size, stride, count):
    """Frames around all windows of a pooling."""
    for row, col in np.ndindex(count, count):
        at = (col * stride - 0.45, row * stride - 0.45)
        colour = CLASSES[(row * count + col) % 7]
        ax.add_patch(plt.Rectangle(at, size - 0.1, size - 0.1, fill=False, color=colour, linewidth=1.8))


table = rng.permutation(36).reshape(1, 1, 6, 6).astype(float)
kinds = {
    "max, 2x2": (F.max_pool2d(table, 2), 2, 2), "average, 2x2": (F.avg_pool2d(table, 2), 2, 2),
    "max, 3x3, stride 1": (F.max_pool2d(table, 3, stride=1), 3, 1),
}  # fmt: skip
fig, axes = plt.subplots(1, 4, figsize=(13, 3.7), layout="constrained", width_ratios=(6, 3, 3, 4))
numbers(axes[0], table[0, 0], "6x6, windows of 2x2")
frames(axes[0], 2, 2, 3)
for ax, (name, (out, size, stride)) in zip(axes[1:], kinds.items(), strict=True):
    numbers(ax, out[0, 0], name, 35)
    windows = sliding_window_view(table, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]  # as in lesson 18
    by_hand = windows.mean(axis=(4, 5)) if "average" in name else windows.max(axis=(4, 5))
    assert np.array_equal(out, by_hand) or np.allclose(out, by_hand)
    assert out.shape[2] == kernels.pool_output_size(6, size, stride)
plt.show()
assert np.array_equal(F.max_pool2d(table - 100, 3, padding=1)[0, 0, :1, :1], [[table[0, 0, :2, :2].max() - 100]])

# %% [markdown]
# ## 2. What pooling forgets
#
# Convolution *moves* its features along with the image. Pooling forgets where exactly in its window they were. How much
# is forgotten? Below, a digit is moved by $d = 0 \dots 5$ pixels, and on the left is the change of its representation,
#
# $$\text{change}(d) = \frac{\text{mean }\lVert f(T_d x) - f(x)\rVert}{\text{mean }\lVert f(x)\rVert}.$$
#
# The larger the window, the less it changes. A mean over all places (*global* pooling) does not change at all, as long
# as nothing leaves the picture. But what is forgotten is gone for telling digits apart, too. On the right each moved
# digit is given the class of the unmoved digit whose representation is *nearest*. With filters that are not learnt,
# windows of 2x2 to 8x8 gain nothing there, and global pooling buys its constancy with a third of the answers. Pooling
# is useful because the layers before it are *learnt* with it: they come to compute what may be summed up. Section 6
# shows that.
#
# *Reference:* Boureau, Ponce, LeCun (2010), "A theoretical analysis of feature pooling in visual recognition", ICML.

# %%
def placed(x, down, right, size=20):
    """Images (N, 1, 8, 8) on an empty canvas (N, 1, size, size)."""
    canvas = np.zeros((len(x), 1, size, size), np.float32)
    canvas[:, :, down : down + 8, right : right + 8] = x
    return canvas


minidl.manual_seed(0)
features = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.ReLU())
poolings = {
    "no pooling": nn.Identity(), "max 2x2": nn.MaxPool2d(2), "max 4x4": nn.MaxPool2d(4), "average 4x4": nn.AvgPool2d(4),
    "average 8x8": nn.AvgPool2d(8), "global average": nn.AdaptiveAvgPool2d(1),
}  # fmt: skip
change, nearest = {}, {}
for name, pooling in poolings.items():
    known, *moved = (pooling(features(placed(x, 6, 6 + d))).numpy().reshape(len(x), -1)
                     for x, d in [(digits.x[:600], 0), *((test.x[:200], d) for d in range(6))])  # fmt: skip
    length = np.linalg.norm(moved[0], axis=1).mean()
    change[name] = [np.linalg.norm(m - moved[0], axis=1).mean() / length for m in moved]
    closest = [((known**2).sum(axis=1) - 2 * m @ known.T).argmin(axis=1) for m in moved]
    nearest[name] = [float((digits.y[c] == test.y[:200]).mean()) for c in closest]

fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
for (name, values), marker in zip(change.items(), "os^Dv<", strict=True):
    left.plot(values, marker=marker, label=name)
    right.plot(nearest[name], marker=marker)
dress(left, "Change of the representation", "moved by so many pixels", "relative to its length")
dress(right, "Right by the nearest neighbour, same colours", "moved by so many pixels", "share of right answers")
key(left)
plt.show()
assert max(change["global average"]) < 1e-4 < change["average 8x8"][1] < change["average 4x4"][1]
assert change["average 4x4"][1] < change["no pooling"][1]
assert nearest["no pooling"][0] > 0.95 > 0.3 > nearest["no pooling"][2] and np.ptp(nearest["global average"]) < 0.02

# %% [markdown]
# ## 3. Where the gradient goes
#
# The largest value of a window is one of its pixels, so a change of any other changes nothing. All of the gradient goes
# to the *winner*; the mean shares it out equally:
#
# $$\frac{\partial L}{\partial x_p} = \sum_{\text{windows } k \text{ that } p \text{ wins}} g_k
# \qquad\text{(max)}, \qquad
# \frac{\partial L}{\partial x_p} = \sum_{\text{windows } k \ni p} \frac{g_k}{F^2} \qquad\text{(average)}.$$
#
# If windows overlap, a pixel can win several times. If two pixels are equally large, there is no derivative, and one
# has to choose: minidl, like PyTorch, gives everything to the first one. To know the winners on the way back, the
# forward pass writes down where they stood: `kernels.max_pool2d` returns the values and the places.
#
# *Source:* `minidl/ops/pool.py`, `minidl/kernels/pool.py`. *Reference:* Zeiler, Fergus (2014), "Visualizing and
# understanding convolutional networks", ECCV, section 2.1 (they call the places *switches*).

# %%
pixels = Tensor(table, requires_grad=True)
upstream = {"max, 2x2": (F.max_pool2d, 2, 2), "average, 2x2": (F.avg_pool2d, 2, 2), "max, 3x3, stride 1":
            (F.max_pool2d, 3, 1)}  # fmt: skip
gradients = {name: minidl.grad(pool(pixels, size, stride).sum(), pixels)[0].numpy()[0, 0]
             for name, (pool, size, stride) in upstream.items()}  # fmt: skip
(ties,) = minidl.grad(F.max_pool2d(even := minidl.ones(1, 1, 6, 6, requires_grad=True), 2).sum(), even)
gradients["max, all pixels equal"] = ties.numpy()[0, 0]

fig, axes = plt.subplots(1, 5, figsize=(14, 3.2), layout="constrained")
numbers(axes[0], table[0, 0], "the image")
for ax, (name, found) in zip(axes[1:], gradients.items(), strict=True):
    numbers(ax, found, f"to the image: {name}")
plt.show()
values, places = kernels.max_pool2d(table, (2, 2), (2, 2), (0, 0), (1, 1), False)
print("winners of the first row of windows:", places[0, 0, 0], "with", values[0, 0, 0])
assert np.array_equal(table.reshape(-1)[places], values)
assert [gradients[n].sum() for n in ("max, 2x2", "average, 2x2", "max, 3x3, stride 1")] == [9, 9, 16]  # one a window
assert set(np.unique(gradients["max, 2x2"])) == {0, 1} and gradients["max, 3x3, stride 1"].max() > 1
assert np.array_equal(np.flatnonzero(ties.numpy()), [0, 2, 4, 12, 14, 16, 24, 26, 28])  # the first of each window

# %% [markdown]
# ## 4. The receptive field, by formula and by gradient
#
# One 3x3 filter sees 3x3 pixels. A second one on top of it sees 3x3 of the *first one's outputs*, which together see
# 5x5. In general, going up layer by layer, with $F_k$ taps that are $d_k$ apart and a stride $S_k$,
#
# $$r_k = r_{k-1} + (F_k - 1)\,d_k \prod_{j<k} S_j, \qquad r_0 = 1.$$
#
# The product is the distance, in pixels of the image, between neighbours on the layer below: after a stride of 2 every
# further layer counts twice. Pooling layers count like all others. And here is a way to see it without any formula:
# the receptive field of an output is where $\partial\,\text{output}/\partial\,\text{pixel} \ne 0$. Below, all weights
# are 1, so that the gradient counts the *ways* from a pixel to the output.
#
# Compare the third and the fifth picture: dilations 1, 2, 4 see exactly what strides do, but keep an output at each
# pixel. In the last one, three layers of dilation 2 reach 13x13 pixels and see hardly more than a quarter of them. This
# is called *gridding*.
#
# *Reference:* Araujo, Norris, Sim (2019), "Computing receptive fields of convolutional neural networks", Distill,
# doi:10.23915/distill.00021; Yu, Koltun (2016), "Multi-scale context aggregation by dilated convolutions", ICLR,
# arXiv:1511.07122.

# %%
def receptive_field(net):
    """The formula, for the layers of a Sequential that have windows."""
    field = jump = 1
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            size, stride, dilation = (np.ravel(getattr(layer, name, 1))[0] for name in
                                      ("kernel_size", "stride", "dilation"))  # fmt: skip
            field += (size - 1) * dilation * jump
            jump *= stride
    return int(field)


def seen(net, size):
    """|d(middle output)/d(pixel)| for a random image (size, size)."""
    image = Tensor(rng.standard_normal((1, 1, size, size)).astype(np.float32), requires_grad=True)
    out = net(image)
    (g,) = minidl.grad(out[0, :, out.shape[2] // 2, out.shape[3] // 2].sum(), image)
    return abs(g.numpy()[0, 0])


def counting(*layers):
    """3x3 convolutions with these options, or whole layers; all weights are 1."""
    net = nn.Sequential(*(nn.Conv2d(1, 1, 3, bias=False, **o) if isinstance(o, dict) else o for o in layers))
    for weight in net.parameters():
        nn.init.ones_(weight)
    return net


nets = {
    "one 3x3": counting({}), "three 3x3": counting({}, {}, {}),
    "strides 2, 2, 1": counting({"stride": 2}, {"stride": 2}, {}),
    "3x3, pool 2, 3x3": counting({}, nn.AvgPool2d(2), {}),
    "dilations 1, 2, 4": counting(*({"dilation": d} for d in (1, 2, 4))),
    "dilations 2, 2, 2": counting({"dilation": 2}, {"dilation": 2}, {"dilation": 2}),
}  # fmt: skip
fig, axes = plt.subplots(1, 6, figsize=(15, 3), layout="constrained")
for ax, (name, net) in zip(axes, nets.items(), strict=True):
    ways, field = seen(net, 21), receptive_field(net)
    rows = np.flatnonzero(ways.any(axis=1))
    assert rows[-1] - rows[0] + 1 == field  # formula and gradient agree
    ax.imshow(np.ma.masked_equal(ways, 0), cmap=AMOUNT, vmin=0)
    ax.set_facecolor("#F4F4F4")
    frame = plt.Rectangle((rows[0] - 0.5, rows[0] - 0.5), field, field, fill=False, color=VERMILLION, linewidth=1.5)
    ax.add_patch(frame)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(f"{name}: {field}x{field}", loc="left", fontsize=10, fontweight="bold")
    print(f"{name:18} formula {field:2}, gradient {rows[-1] - rows[0] + 1:2}; {np.count_nonzero(ways)} pixels seen")
plt.show()
assert np.array_equal(seen(nets["strides 2, 2, 1"], 31)[8:23, 8:23], seen(nets["dilations 1, 2, 4"], 31)[8:23, 8:23])

# %% [markdown]
# The formula also tells what real networks see. In the next cell, `vgg` is made of 3x3 convolutions and three poolings.
# A gradient that is measured with random weights also shows what the formula does not say: an output depends on the
# middle of its receptive field far more than on the rim, because many ways lead from the middle and only one from each
# corner. The counts are sums of independent steps, so they look like a bell curve, and its width only grows like the
# *square root* of the number of layers, while the field grows in proportion. This is called the *effective* receptive
# field.
#
# *Source:* `minidl/models.py`. *Reference:* Luo, Li, Urtasun, Zemel (2016), "Understanding the effective receptive
# field in deep convolutional neural networks", NeurIPS, arXiv:1701.04128.

# %% tags=["varies"]
minidl.manual_seed(0)
body = models.vgg((1, 64, 64), 10, config=(8, 8, "M", 16, 16, "M", 16, 16, "M", 32), hidden=(), norm=None)[:-2]
depths = (4, 8, 16)
stacks = {f"{n} layers of 3x3": nn.Sequential(*(nn.Conv2d(1 if k == 0 else 8, 8, 3, padding=1, bias=False)
          for k in range(n))) for n in depths}  # fmt: skip
fig, axes = plt.subplots(1, 4, figsize=(14, 3.8), layout="constrained")
widths = []
for ax, (name, net) in zip(axes, {**stacks, "vgg": body}.items(), strict=True):
    strength, field = np.zeros((64, 64)), receptive_field(net)
    for _ in range(12):  # the mean over random weights
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
        strength += seen(net, 64)
    reached = np.flatnonzero(strength.any(axis=0))
    assert len(reached) <= field and (name == "vgg" or len(reached) == field)
    ax.imshow(strength, cmap=AMOUNT, vmin=0)
    middle = (reached[0] + reached[-1]) / 2
    box = plt.Rectangle([middle - field / 2] * 2, field, field, fill=False, color=VERMILLION, linewidth=1.5)
    ax.add_patch(box)
    ax.set(xlim=(-0.5, 63.5), ylim=(63.5, -0.5))
    across = strength.sum(axis=0) / strength.sum()
    widths.append(float(np.sqrt((across * (np.arange(64) - (across * np.arange(64)).sum()) ** 2).sum())))
    bare(ax, f"{name}: {field}x{field}")
plt.show()
print("standard deviation of the bell:", {n: round(s, 1) for n, s in zip(depths, widths[:3], strict=True)},
      "and by the square root:", {n: round(widths[0] * (n / 4) ** 0.5, 1) for n in depths})
assert np.allclose(widths[:3], widths[0] * np.sqrt(np.array(depths) / 4), rtol=0.25)

# %% [markdown]
# ## 5. Groups, and one channel at a time
#
# An ordinary filter looks at all channels. With `groups=G` the channels are dealt out into $G$ groups, and each output
# sees its own group only. Work and weights fall by the factor $G$. It is nothing but $G$ convolutions side by side. The
# extreme, with as many groups as channels, is called *depthwise*: each channel has one filter for itself. A *pointwise*
# (1x1) convolution afterwards mixes the channels. Together they cost, for $O$ outputs and $F \times F$ taps,
#
# $$\frac{\text{depthwise + pointwise}}{\text{ordinary}} = \frac{C F^2 + C\,O}{C\,O\,F^2} = \frac1O + \frac1{F^2},$$
#
# about a ninth of the weights and multiply-adds. In the pictures, a square says that this output depends on that input
# channel, once more by asking the gradient.
#
# *Source:* `minidl/nn/conv.py`, `minidl/kernels/conv_spread_numba.py`. *Reference:* Howard et al. (2017), "MobileNets",
# arXiv:1704.04861; Krizhevsky, Sutskever, Hinton (2012), "ImageNet classification with deep convolutional neural
# networks", NeurIPS (the first groups).

# %%
def connections(layer, channels=8):
    """(outputs, channels): does output o depend on channel c?"""
    x = Tensor(rng.standard_normal((1, channels, 5, 5)).astype(np.float32), requires_grad=True)
    gradients = [minidl.grad(layer(x)[0, o, 2, 2], x)[0].numpy() for o in range(8)]
    return np.array([abs(g).sum(axis=(0, 2, 3)) > 0 for g in gradients])


layers = {f"groups={G}": nn.Conv2d(8, 8, 3, padding=1, groups=G) for G in (1, 2, 4)}
layers["depthwise"] = nn.Conv2d(8, 8, 3, padding=1, groups=8)
layers["pointwise"] = nn.Conv2d(8, 8, 1)
fig, axes = plt.subplots(1, 5, figsize=(13, 3), layout="constrained")
for ax, (name, layer) in zip(axes, layers.items(), strict=True):
    matrix = connections(layer)
    ax.imshow(matrix, cmap=AMOUNT, vmin=0, vmax=1.6)
    ax.hlines(np.arange(9) - 0.5, -0.5, 7.5, color="white", linewidth=1)
    ax.vlines(np.arange(9) - 0.5, -0.5, 7.5, color="white", linewidth=1)
    dress(ax, f"{name}: {layer.weight.size} weights", "input channel", "output channel" if ax is axes[0] else "", None)
    assert matrix.sum() == 64 / layer.groups
plt.show()

x = rng.standard_normal((2, 8, 10, 10)).astype(np.float32)
both = layers["groups=2"]
halves = [F.conv2d(x[:, p], both.weight[p], both.bias[p], padding=1).numpy() for p in (slice(0, 4), slice(4, 8))]
assert np.allclose(both(x).numpy(), np.concatenate(halves, axis=1), atol=1e-5)  # two convolutions side by side

# %% tags=["varies"]
C, O_ = 64, 64
ordinary = nn.Conv2d(C, O_, 3, padding=1, bias=False)
separable = nn.Sequential(nn.Conv2d(C, C, 3, padding=1, groups=C, bias=False), nn.Conv2d(C, O_, 1, bias=False))
strided = nn.Conv2d(C, O_, 3, stride=2, padding=1, bias=False)
x = rng.standard_normal((16, C, 32, 32), dtype=np.float32)
work = {}
for name, net in {"3x3": ordinary, "3x3, stride 2": strided, "depthwise + 1x1": separable}.items():
    weights = sum(p.size for p in net.parameters())
    places = 16 * 16 if net is strided else 32 * 32
    with minidl.no_grad():
        net(x)  # once, to compile
        seconds = min(timeit.repeat(lambda: net(x), number=1, repeat=5)) / 16  # noqa: B023
    work[name] = weights * places
    print(f"{name:16} {weights:6} weights, {work[name] / 1e6:5.1f} million multiply-adds, "
          f"{1e3 * seconds:.2f} ms an image")
ratio = work["depthwise + 1x1"] / work["3x3"]
assert np.isclose(ratio, 1 / O_ + 1 / 9) and work["3x3, stride 2"] == work["3x3"] / 4
print(f"multiply-adds: {ratio:.3f} = 1/{O_} + 1/9 of those of the ordinary convolution")

# %% [markdown]
# The time falls by less than the count. A depthwise convolution does little with each number that it fetches, so that
# it waits for memory rather than for arithmetic. Counts are not times; measure.
#
# ## 6. Global average pooling
#
# How does a classifier come from feature maps $(C, H, W)$ to $K$ logits? `Flatten` and an affine layer need
# $CHW \cdot K$ weights, one for each *place*, and images of one size only. *Global average pooling* first takes the
# mean over all places of each channel, so that $CK$ weights are enough:
#
# $$z_k = b_k + \sum_c w_{kc}\;\frac{1}{HW}\sum_{y,x} f_c[y, x]
# = b_k + \frac{1}{HW}\sum_{y,x}\; \underbrace{\sum_c w_{kc}\, f_c[y,x]}_{\text{map of class } k} .$$
#
# The right side says more: the sums may be exchanged, so each logit is the mean of a *map*, and the map says which
# places spoke for class $k$ (a *class activation map*). Below, networks are trained on digits at one place, and tested
# on digits that are moved. The third one has its only pooling smoothed: the largest of 2x2 at stride 1, and then a mean
# of 3x3 at stride 2.
#
# *Source:* `nn.AdaptiveAvgPool2d` in `minidl/nn/pool.py`. *Reference:* Lin, Chen, Yan (2014), "Network in network",
# ICLR, arXiv:1312.4400; Zhou, Khosla, Lapedriza, Oliva, Torralba (2016), "Learning deep features for discriminative
# localization", CVPR, arXiv:1512.04150; Zhang (2019), "Making convolutional networks shift-invariant again", ICML,
# arXiv:1904.11486.

# %% tags=["varies"]
def block(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def network(pool, head):
    minidl.manual_seed(0)
    return nn.Sequential(*block(1, 12), *pool, *block(12, 24), *block(24, 48), *head())


def flat():
    return [nn.Flatten(), nn.Linear(48 * 100, 10)]


def mean():
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10)]


nets = {
    "flatten": network([nn.MaxPool2d(2)], flat),
    "global average": network([nn.MaxPool2d(2)], mean),
    "global average, smoothed": network([nn.MaxPool2d(2, stride=1), nn.AvgPool2d(3, 2, 1)], mean),
}
shifts, accuracy = range(1, 8), {}
for name, net in nets.items():
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    train.fit(net, (placed(digits.x[:1000], 4, 4), digits.y[:1000]), loss=nn.CrossEntropyLoss(), optimizer=optimizer,
              epochs=6, schedule=optim.CosineAnnealingLR(optimizer, 6), progress=False)
    scores = [train.evaluate(net, (placed(test.x, s, s), test.y), metrics="accuracy", batch_size=128) for s in shifts]
    accuracy[name] = [score["accuracy"] for score in scores]
    print(f"{name:24} {net[-1].weight.size:6} weights in the last layer; right where it was trained "
          f"{accuracy[name][3]:.1%}, one pixel away {accuracy[name][4]:.1%}, two {accuracy[name][5]:.1%}")
at = {name: dict(zip(shifts, values, strict=True)) for name, values in accuracy.items()}
assert at["global average"][6] > 0.9 > 0.5 > at["flatten"][6]
assert at["global average, smoothed"][5] > at["global average"][5] > at["flatten"][5]

net = nets["global average"]
sample = placed(test.x[[np.flatnonzero(test.y == digit)[0] for digit in (2, 4, 7)]], 8, 6)
net.eval()
maps, logits = net[:-3](sample).numpy(), net(sample).numpy()  # (3, 48, 10, 10), (3, 10)
by_class = np.einsum("kc,ncyx->nkyx", net[-1].weight.numpy(), maps)
assert np.allclose(by_class.mean(axis=(2, 3)) + net[-1].bias.numpy(), logits, atol=1e-3)  # the formula above

fig = plt.figure(figsize=(13, 4), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=(1, 1.4))
ax = left.subplots()
for (name, values), colour in zip(accuracy.items(), (VERMILLION, GREY, BLUE), strict=True):
    ax.plot(shifts, values, "o-", color=colour, label=name)
ax.axvline(4, color=GREEN, linestyle=":")
ax.annotate("trained here", (4, 0.02), (4, 0), textcoords="offset points", color=GREEN, fontsize=8)
ax.set_ylim(0, 1.03)
dress(ax, "Accuracy on moved digits", "distance from the top and from the left", "share of right answers")
key(ax)
for ax, picture, classes, z in zip(right.subplots(1, 3), sample, by_class, logits, strict=True):
    shown = classes[z.argmax()].repeat(2, 0).repeat(2, 1)
    ax.imshow(shown, cmap=SIGNED, vmin=-abs(shown).max(), vmax=abs(shown).max())
    ax.contour(picture[0], [0.4], colors="k", linewidths=1)
    bare(ax, f"what speaks for a {z.argmax()}")
plt.show()

# %% [markdown]
# The zigzag is the stride of 2. A digit that is moved by two pixels gives the same features, one place on. Moved by
# one, it meets the windows of the pooling differently, and the network has never seen it like that. Smoothing before
# taking every second place removes most of this; so would training on moved digits (lesson 21).
#
# On the right the digit is an outline, and orange places speak for the class. A network with global pooling takes
# images of any size, because none of its weights belongs to a place.
#
# `AdaptiveAvgPool2d((h, w))` is the same with more than one window: it divides any image into $h \times w$ parts and
# takes their means.
#
# ## Break it
#
# 1. In section 4, replace `AvgPool2d(2)` by `MaxPool2d(2)`. The assertion fails. The formula is still right: what does
#    the gradient of a *maximum* not see, and how can one make it see everything?
# 2. Windows that begin in the padding hold few pixels. Which of these two means is "right" at the corner of an image of
#    ones? And what does the library say to a padding of 2 for a window of 3?

# %%
for count in (True, False):
    print(count, F.avg_pool2d(minidl.ones(1, 1, 4, 4), 3, 1, 1, count_include_pad=count)[0, 0, 0, 0].item())
try:
    F.max_pool2d(minidl.ones(1, 1, 4, 4), 3, 1, padding=2)
except ValueError as error:
    print(error)
