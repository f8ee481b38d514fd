# %% [markdown]
# # Augmentation: more images from the same images
#
# A network that has seen a digit only in the middle of the image need not know it one pixel further left. We know that
# it is the same digit, and can say so: *augmentation* changes training images at random in ways that keep their
# meaning. Instead of the loss at the images $x_n$ with labels $y_n$ we minimise its mean over random *transforms* $t$,
#
# $$\min_\theta \; \frac1N \sum_n \; \mathbb{E}_{t}\; L\big(f_\theta(t(x_n)),\, t(y_n)\big),$$
#
# by drawing a new $t$ for every image each time it is used. Most transforms leave the label alone, $t(y) = y$; mixes
# change it along with the image. In minidl a transform is a function of a whole batch,
# `transform(x, y, rng) -> (x, y)`, with images `(N, C, H, W)` as floats from 0 to 1 and all chance from the generator
# `rng`; every image has a draw of its own.
#
# *Source:* `minidl/data/augment/`. *Reference:* Shorten, Khoshgoftaar (2019), "A survey on image data augmentation for
# deep learning", Journal of Big Data 6. All names, with their papers: `notebooks/catalogue.md`.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import data, nn, optim, train, viz
from minidl.data import augment
from minidl.data.augment import adjust
from minidl.data.augment.warp import affine, warp
from minidl.nn import functional as F
from minidl.viz.style import AMOUNT, bare, dress

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=viz.style.CLASSES)
minidl.manual_seed(0)

digits = data.load_digits()
shapes, kinds = data.shapes(6, size=40, channels=3, noise=0.0, rng=12)
board = (np.indices((40, 40)) // 5).sum(0) % 2  # a faint chessboard shows what happens to the plane
shapes = np.clip(shapes + 0.12 * board.astype(np.float32), 0, 1)

def sheet(ax, rows, title):
    """A row of images for each name."""
    n, _, h, w = next(iter(rows.values())).shape
    paper = np.ones((len(rows) * (h + 2) - 2, n * (w + 2) - 2, 3), np.float32)
    for i, x in enumerate(rows.values()):
        for j, image in enumerate(x):
            paper[i * (h + 2) : i * (h + 2) + h, j * (w + 2) : j * (w + 2) + w] = image.transpose(1, 2, 0)
    bare(ax, title).imshow(paper, interpolation="nearest", vmin=0, vmax=1)
    ax.set_yticks(np.arange(len(rows)) * (h + 2) + h / 2, rows, fontsize=9)
    ax.tick_params(length=0)

def gallery(ax, transforms, title, seed=1):
    """The same images through every transform, with a new generator each time."""
    rows = {"as it is": shapes}
    for name, transform in transforms.items():
        rows[name] = transform(shapes.copy(), None, np.random.default_rng(seed))[0].clip(0, 1)
    sheet(ax, rows, title)

# %% [markdown]
# ## 1. A gallery
#
# Geometric transforms move pixels, colour transforms change their values. Look along a row: each image of the batch has
# its own draw.
#
# *Source:* `geometric.py`, `crop.py`, `resize.py`, `distort.py`; `colour.py`, `blur.py`, `noise.py`. *References:*
# Simard, Steinkraus, Platt (2003), "Best practices for convolutional neural networks", ICDAR (affine and elastic);
# Krizhevsky, Sutskever, Hinton (2012), "ImageNet classification", NeurIPS (crops, flips, PCA colour).

# %%
geometric = {
    "flip ↔": augment.RandomHorizontalFlip(),
    "flip ↕": augment.RandomVerticalFlip(),
    "rotation": augment.RandomRotation(30),
    "translation": augment.RandomAffine(0, translate=(0.2, 0.2), fill="reflect"),
    "scale": augment.RandomAffine(0, scale=(0.6, 1.4)),
    "shear": augment.RandomAffine(0, shear=25, fill="edge"),
    "crop": augment.RandomCrop(40, padding=8),
    "resized crop": augment.RandomResizedCrop(40, scale=(0.3, 1.0)),
    "perspective": augment.RandomPerspective(0.5, p=1.0),
    "elastic": augment.ElasticTransform(alpha=40.0, sigma=4.0),
    "lens": augment.LensDistortion(0.4),
}
coloured = {
    "brightness": augment.ColorJitter(brightness=0.5),
    "contrast": augment.ColorJitter(contrast=0.7),
    "saturation": augment.ColorJitter(saturation=0.9),
    "hue": augment.ColorJitter(hue=0.5),
    "PCA colour": augment.PCAColor.fit(shapes, std=2.0),  # 20 times the usual
    "greyscale": augment.RandomGrayscale(0.5),
    "shadow": augment.RandomShadow(p=1.0),
    "noise": augment.GaussianNoise(sigma=0.1),
    "salt, pepper": augment.SaltAndPepper(0.1),
    "blur": augment.GaussianBlur(9),
    "motion blur": augment.MotionBlur(9),
}
fig, axes = plt.subplots(1, 2, figsize=(12.5, 11.5), layout="constrained")
gallery(axes[0], geometric, "Geometry")
gallery(axes[1], coloured, "Colour, noise and blur")
plt.show()

# %% [markdown]
# ## 2. The sampler: where does this pixel come from?
#
# To turn an image, one could send each pixel to its new place. Places then lie between pixels, some are hit twice and
# some never. So the question is asked backwards (*inverse warping*): for each pixel $p$ of the result, its *source* is
# the place $s(p)$ in the image that ends up there. The source lies between four pixels, and *bilinear* interpolation
# weights them by how near they are. With the source in row $v = i + b$ and column $u = j + a$, whole numbers $i, j$ and
# rests $0 \le a, b < 1$,
#
# $$\text{out}(p) = (1-b)(1-a)\, x_{i,j} + (1-b)\,a\, x_{i,j+1} + b\,(1-a)\, x_{i+1,j} + b\,a\, x_{i+1,j+1}.$$
#
# Outside the image a *fill* decides: a constant, the mirrored image, or the nearest pixel of the edge. All maps of the
# plane differ only in $s$. To turn by an angle $\alpha$ counter-clockwise about the centre $c$, the source is turned
# back: $s(p) = c + R(-\alpha)(p - c)$.
#
# *Source:* `minidl/data/augment/warp.py`. *Reference:* Wolberg (1990), "Digital image warping", IEEE, section 3.1.

# %%
angle = 25.0
digit = digits.x[[8]].astype(np.float64)  # (1, 1, 8, 8)
row, column = np.indices((8, 8)) - 3.5  # p - c
cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
u, v = 3.5 + cos * column - sin * row, 3.5 + sin * column + cos * row  # rows count downwards
turned = warp(digit, np.stack([u, v])[None])
assert np.allclose(turned, affine(digit, angle=angle))

p = 5, 3  # one pixel of the result, by the equation
i, j = int(v[p]), int(u[p])
b, a = v[p] - i, u[p] - j
weights = np.array([[(1 - b) * (1 - a), (1 - b) * a], [b * (1 - a), b * a]])
near = digit[0, 0, i : i + 2, j : j + 2]
assert np.isclose((weights * near).sum(), turned[0, 0][p])

fig, axes = plt.subplots(1, 3, figsize=(12.5, 4.2), layout="constrained")
titles = "The image, and the sources of all pixels", "The result"
for ax, image, title in zip(axes[:2], (digit, turned), titles, strict=True):
    bare(ax, title).imshow(image[0, 0], cmap=AMOUNT, vmin=0, vmax=1.3)
    ax.set(xlim=(-2, 9), ylim=(9, -2))
axes[0].scatter(u, v, s=9, color="C1")
axes[0].plot([u[p]], [v[p]], "o", color="C1", markersize=8, markeredgecolor="k")
axes[1].plot([p[1]], [p[0]], "o", color="C1", markersize=8, markeredgecolor="k")
bare(axes[2], "Weights of the four pixels around the large dot").imshow(near, cmap=AMOUNT, vmin=0, vmax=1.3)
for (r, c), w in np.ndenumerate(weights):
    axes[2].text(c, r - 0.3, f"{w:.2f} × {near[r, c]:.2f}", ha="center", fontsize=12,
                 color="white" if near[r, c] > 0.8 else "black")  # fmt: skip
axes[2].plot([a], [b], "o", color="C1", markersize=12, markeredgecolor="k")
axes[2].set_xlabel(f"sum: {turned[0, 0][p]:.2f}", fontsize=12)
plt.show()

# %% [markdown]
# Two facts follow. Where sources fall on pixels, nothing is interpolated: whole shifts and right angles are exact.
# Where they fall between, neighbours are averaged, which blurs. Several maps one after the other blur several times,
# so `RandomAffine` multiplies its matrices and samples *once*.

# %%
whole = affine(digit, translate=(1, 0))
assert np.array_equal(whole[..., 1:], digit[..., :-1])
assert np.array_equal(affine(affine(digit, angle=90), angle=-90), digit)
image = shapes[[3]].astype(np.float64)
often = image
for _ in range(12):
    often = affine(often, angle=30, fill="reflect")  # twelve times 30 degrees
once = affine(image, angle=12 * 30, fill="reflect")  # the same map, sampled once
change = [abs(x - image)[:, :, 10:-10, 10:-10].mean() for x in (once, often)]
print(f"mean change in the middle: sampled once {change[0]:.4f}, twelve times {change[1]:.4f}")
assert change[0] < 1e-6 < 0.005 < change[1]

fig, axes = plt.subplots(1, 3, figsize=(9.5, 3.3), layout="constrained")
titles = "as it is", "turned by 360° in one step", "in twelve: blurred"
for ax, x, title in zip(axes, (image, once, often), titles, strict=True):
    bare(ax, title).imshow(x[0].transpose(1, 2, 0), vmin=0, vmax=1)
plt.show()

# %% [markdown]
# ## 3. Light and colour
#
# These act on values, not on places. Most are mixtures, with a factor $f$, of the image and a degenerate image $d$,
# $f\,x + (1 - f)\,d$: black for *brightness*, the mean grey for *contrast*, the grey image for *saturation*. $f = 1$
# changes nothing, and results are cut off at 0 and 1. *Posterize* keeps a few bits of each value, *solarize* inverts
# what is bright, *hue* turns the colours round their circle.
#
# *Source:* `adjust.py`, `colour.py`. *Reference:* Haeberli, Voorhies (1994), "Image processing by linear interpolation
# and extrapolation", IRIS Universe 28.

# %%
x = shapes[:1].astype(np.float64)
for function in (adjust.brightness, adjust.contrast, adjust.saturation):
    assert np.allclose(function(x, 1.0), x)
assert not adjust.brightness(x, 0.0).any()
grey = adjust.saturation(x, 0.0)
assert np.allclose(grey[:, 0], grey[:, 1]) and np.allclose(grey[:, 0], grey[:, 2])

ramp = np.linspace(0, 1, 256).reshape(1, 1, 1, 256)  # an image that holds every value once
curves = {"brightness 1.4": adjust.brightness(ramp, 1.4), "contrast 0.5": adjust.contrast(ramp, 0.5),
          "posterize, 2 bits": adjust.posterize(ramp, 2), "solarize 0.6": adjust.solarize(ramp, 0.6)}  # fmt: skip
fig, axes = plt.subplots(1, 4, figsize=(12.5, 3), layout="constrained", sharey=True)
for ax, (name, curve) in zip(axes, curves.items(), strict=True):
    ax.plot([0, 1], [0, 1], ":", color="#888888")
    ax.plot(ramp.ravel(), curve.ravel(), linewidth=2)
    dress(ax, name, "value before", "value after" if ax is axes[0] else "", "both")
plt.show()

# %% [markdown]
# ## 4. Erasing
#
# What if the network recognises a cross by its upper end only? *Cutout* sets a square of every image to a constant,
# *random erasing* a rectangle of random size and shape, so that no single part can be relied on. Cutout's square may
# reach over the border, where it is cut off: below, how often each pixel is erased. Pixels at the border are erased
# less often, and images with little erased are among the training images, which the authors found to matter.
#
# *Source:* `minidl/data/augment/erase.py`. *References:* DeVries, Taylor (2017), "Improved regularization of
# convolutional neural networks with cutout", arXiv:1708.04552; Zhong, Zheng, Kang, Li, Yang (2020), "Random erasing
# data augmentation", AAAI.

# %%
erasing = {
    "Cutout": augment.Cutout(16),
    "two holes": augment.Cutout(10, holes=2, value=0.5),
    "erasing": augment.RandomErasing(p=1.0),
    "with noise": augment.RandomErasing(p=1.0, value="random"),
}
fig = plt.figure(figsize=(12.5, 4.6), layout="constrained")
wide, *maps = fig.subplots(1, 3, width_ratios=[2, 1, 1])
gallery(wide, erasing, "Erasing")
white = np.ones((20000, 1, 24, 24), np.float32)
for ax, transform in zip(maps, (augment.Cutout(10), augment.RandomErasing(p=1.0)), strict=True):
    erased = 1 - transform(white.copy(), None, np.random.default_rng(0))[0].mean(0)[0]  # (24, 24)
    image = bare(ax, f"{type(transform).__name__}: how often").imshow(erased, cmap=AMOUNT, vmin=0, vmax=0.35)
    fig.colorbar(image, ax=ax, shrink=0.7)
    if ax is maps[0]:  # Cutout: a pixel in the middle is erased from 10 x 10 centres, one in a corner from 6 x 6
        assert abs(erased[12, 12] - 100 / 24**2) < 0.01 and erased[0, 0] < 0.4 * erased[12, 12]
plt.show()

# %% [markdown]
# ## 5. Mixing images and their labels
#
# A *mix* combines each image with a partner from the batch (the batch in random order) and the labels in the same
# proportion:
#
# $$\tilde x = m \odot x + (1 - m) \odot x', \qquad \tilde y = \lambda\, y + (1 - \lambda)\, y', \qquad
# \lambda = \text{mean of } m \text{ over the pixels}.$$
#
# The weights $m$ make the difference. *Mixup*: the same number $\lambda \sim \text{Beta}(\alpha, \alpha)$ everywhere.
# *CutMix*: 0 in a box and 1 around it; where the box is cut off at the border, $\lambda$ is the area that is left.
# Stitched mixes: 1 above a row, left of a column, and so on. *Mosaic* joins four images around a point. The labels
# $\tilde y$ are *soft targets*, one probability for each class, which sum to one.
#
# *Source:* `mix.py`, `stitch.py`, `mosaic.py`, `copy_paste.py`. *References:* Zhang, Cisse, Dauphin, Lopez-Paz (2018),
# "mixup: beyond empirical risk minimization", ICLR; Yun, Han, Oh, Chun, Choe, Yoo (2019), "CutMix", ICCV; Summers,
# Dinneen (2019), "Improved mixed-example data augmentation", WACV; Bochkovskiy, Wang, Liao (2020), "YOLOv4".

# %%
mixes = [augment.Mixup(1.0, 6), augment.CutMix(1.0, 6), augment.VerticalConcat(6), augment.MixedConcat(6),
         augment.VHMixup(6), augment.RectangleMix(22, 6), augment.Mosaic(num_classes=6)]  # fmt: skip
fig, axes = plt.subplots(2, len(mixes) + 1, figsize=(12.5, 3.2), layout="constrained", height_ratios=[4, 1])
for (image_ax, label_ax), mix in zip(axes.T, [None, *mixes], strict=True):
    x, y = shapes.copy(), np.arange(6)
    if mix:
        x, y = mix(x, y, np.random.default_rng(3))
        assert np.allclose(y.sum(1), 1)
    bare(image_ax, type(mix).__name__ if mix else "as it is").imshow(x[2].transpose(1, 2, 0), vmin=0, vmax=1)
    target = y[2] if mix else np.eye(6)[2]
    label_ax.bar(range(6), target, color=[viz.style.CLASSES[k] for k in range(6)])
    label_ax.set_xticks(range(6), [data.SHAPES[kinds[k]][:2] for k in range(6)], fontsize=7)
    label_ax.set_ylim(0, 1)
    label_ax.set_yticks([])
    label_ax.spines[["top", "right", "left"]].set_visible(False)
plt.show()

# %% [markdown]
# Is $\lambda$ the true area? Mix black images of class 0 with white ones of class 1: then the share of white pixels
# must be the target of class 1. And the loss: cross-entropy is linear in the target, so the loss of a mixed target is
# the mixture of the losses.

# %%
black_white = np.repeat(np.float64([0, 1] * 200), 32 * 32).reshape(400, 1, 32, 32)
x, y = augment.CutMix(num_classes=2)(black_white, np.arange(400) % 2, np.random.default_rng(0))
assert np.array_equal(x.mean((1, 2, 3)), y[:, 1])

logits, lam = np.random.default_rng(1).standard_normal((5, 6)), 0.3
one, two = np.eye(6)[[0, 1, 2, 3, 4]], np.eye(6)[[5, 4, 3, 2, 1]]
mixed = F.cross_entropy(logits, lam * one + (1 - lam) * two)
assert np.isclose(mixed, lam * F.cross_entropy(logits, one) + (1 - lam) * F.cross_entropy(logits, two))
print(f"loss of the mixed target: {mixed:.4f}")
print("accuracy of the targets themselves:", train.accuracy(y, y), "- hits are counted where the larger share is")

# %% [markdown]
# *Copy-paste* needs to know which pixels belong to objects: here `y` is not a class but a *mask* `(N, H, W)`, 0 for
# background. Objects of one image are pasted onto another at a random size and place, and the mask goes with them.

# %%
masks = (shapes.mean(1) > 0.46) * (1 + np.arange(6))[:, None, None]  # (N, H, W): bright pixels, numbered by image
x, y = augment.CopyPaste(scale=(0.5, 1.2), keep=1.0)(shapes.copy(), masks, np.random.default_rng(3))
same = (y == masks)[:, None]
assert np.array_equal(np.where(same, x, 0), np.where(same, shapes, 0))  # pixels change only where labels do
paint = np.array([(1, 1, 1), *map(plt.matplotlib.colors.to_rgb, viz.style.CLASSES[:6])], np.float32)
fig, ax = plt.subplots(figsize=(6.2, 3.3), layout="constrained")
sheet(ax, {"as it is": shapes, "pasted": x, "mask": paint[y].transpose(0, 3, 1, 2)}, "Copy-paste")
plt.show()

# %% [markdown]
# ## 6. Policies
#
# How much of what? A *policy* draws transforms at random from a list. *RandAugment* has two numbers only: how many
# transforms in a row, and one magnitude $m$ for all of them, from 0 to 30 (some, such as equalising the histogram, have
# none); these two can be searched on a grid. *TrivialAugment* draws one transform and its magnitude, and has nothing to
# search. *AugMix* makes several chains of transforms and averages them with the image, so that it never strays far.
#
# *Source:* `policies.py`, `augmix.py`. *References:* Cubuk, Zoph, Shlens, Le (2020), "RandAugment", NeurIPS; Müller,
# Hutter (2021), "TrivialAugment", ICCV; Hendrycks et al. (2020), "AugMix", ICLR.

# %%
policies = {f"random, m={m}": augment.RandAugment(magnitude=m) for m in (0, 9, 18, 27)}
policies |= {"trivial": augment.TrivialAugmentWide(), "AugMix": augment.AugMix()}
fig, ax = plt.subplots(figsize=(6.6, 6.4), layout="constrained")
gallery(ax, policies, "RandAugment with magnitudes m, TrivialAugment, AugMix", seed=2)
plt.show()

# %% [markdown]
# ## 7. In a `DataLoader`
#
# `Compose` puts transforms in a row, and the `DataLoader` applies them to each batch: bytes become floats first, mixes
# come last (they return soft targets). The draws come from the random stream "augment" (or from the loader's own
# `rng`), so a run repeats exactly. Test images are never augmented this way.
#
# *Source:* `minidl/data/transforms.py`, `minidl/data/loader.py`.

# %%
training = data.Compose([
    augment.RandomAffine(10, translate=(0.1, 0.1)), augment.RandomHorizontalFlip(), augment.ColorJitter(0.2, 0.2, 0.2),
    augment.Cutout(8), augment.CutMix(num_classes=6, p=0.5),
])  # fmt: skip
loader = data.DataLoader(data.Dataset(*data.shapes(96, size=32, channels=3, rng=1)), 48, shuffle=True,
                         transform=training, rng=0)  # fmt: skip
print(training)
for x, y in loader:
    print(x.shape, y.shape, "rows sum to one:", np.allclose(y.numpy().sum(1), 1, atol=1e-6))
again = data.DataLoader(loader.dataset, 48, shuffle=True, transform=training, rng=0)
repeated, next_epoch = [*again][-1][0], [*again][-1][0]
assert np.array_equal(x, repeated) and not np.array_equal(x, next_epoch)  # same seed: same draws; new epoch: new ones
viz.images(x.numpy()[:12], columns=12, ax=plt.subplots(figsize=(12.5, 1.3), layout="constrained")[1])
plt.show()

# %% [markdown]
# ## 8. Does it help? A hundred digits
#
# Ten images of each digit to learn from, the other 1,697 to test on, a small convolutional network, 40 epochs; three
# times, each with other images and other initial weights. *Flips* are there as a warning: a mirrored 2 is no 2, so this
# transform does not keep the label.

# %% tags=["varies"]
def few_and_rest(seed):
    order = np.random.default_rng(seed).permutation(len(digits))
    few = np.concatenate([order[digits.y[order] == k][:10] for k in range(10)])
    return digits[few], digits[np.setdiff1d(order, few)]

def learn(transform, seed):
    """A network trained on a hundred digits, and its accuracy on the others."""
    minidl.manual_seed(seed)
    few, rest = few_and_rest(seed)
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
                          nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10))  # fmt: skip
    loader = data.DataLoader(data.Dataset(*few), 25, shuffle=True, transform=transform)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    train.fit(model, loader, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=40, progress=False,
              schedule=optim.CosineAnnealingLR(optimizer, 40))  # fmt: skip
    return model, train.evaluate(model, rest, metrics="accuracy", batch_size=500)["accuracy"]

transforms = {
    "nothing": None,
    "shifts": augment.RandomAffine(0, translate=(0.13, 0.13)),  # one pixel at most
    "cutout": augment.Cutout(3),
    "mixup": augment.Mixup(0.4, 10),
    "CutMix": augment.CutMix(1.0, 10, p=0.5),
    "flips": data.Compose([augment.RandomHorizontalFlip(), augment.RandomVerticalFlip()]),
}
accuracy = {name: [learn(t, seed)[1] for seed in range(3)] for name, t in transforms.items()}

fig, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
for k, (name, values) in enumerate(accuracy.items()):
    ax.plot(values, [k] * 3, "o", color=f"C{k}", alpha=0.6, markersize=6)
    ax.plot([np.mean(values)] * 2, [k - 0.3, k + 0.3], color=f"C{k}", linewidth=3)
    print(f"{name:8} {100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f} %")
ax.axvline(np.mean(accuracy["nothing"]), linestyle=":", color="#888888", zorder=0)
ax.set_yticks(range(len(accuracy)), accuracy)
ax.invert_yaxis()
dress(ax, "Test accuracy after 100 training images: three runs and their mean", "accuracy", "", "x")
plt.show()
mean = {name: np.mean(values) for name, values in accuracy.items()}
assert max(mean["shifts"], mean["CutMix"]) > mean["nothing"] > mean["flips"] + 0.03

# %% [markdown]
# Shifts say something true that the hundred images do not; mixing asks for steady answers between the images. Cutout
# makes no difference here: of 8x8 pixels it often removes the very stroke that tells two digits apart. And flips do
# harm. An augmentation is a claim about the world, and it had better be right.
#
# ## 9. At test time
#
# What keeps the label in training keeps it afterwards. *Test-time augmentation* asks the trained network about several
# *views* of the same image and averages the answers:
#
# $$p(x) = \frac1V \sum_{v=1}^{V} \operatorname{softmax} f(t_v(x)).$$
#
# Shapes are the same when mirrored, and the network, trained on 150 noisy images, has learned that only roughly; its
# average over an image and its mirror image has it exactly. Digits are not the same, and the average does harm. A view
# also has to look like the training images: triangles upside down were not among them, so four flips add little to two.
#
# *Source:* `minidl/train/tta.py`, `minidl/data/augment/views.py`. *References:* Krizhevsky, Sutskever, Hinton (2012),
# section 4.1 (ten crops); Simonyan, Zisserman (2015), arXiv:1409.1556, section 4.2 (scales).

# %% tags=["varies"]
test = data.shapes(800, 16, channels=3, noise=0.1, rng=99)
steps = (0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)
views = {
    "the image alone": [lambda x: x],
    "and mirrored": augment.flip_views(),
    "all four flips": augment.flip_views(vertical=True),
    "shifts": [lambda x, d=d: affine(x, translate=d, fill="edge") for d in steps],
}
scores = {name: [] for name in views}
for seed in range(3):
    minidl.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1),
                        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 6))  # fmt: skip
    train.fit(net, data.shapes(150, 16, channels=3, noise=0.1, rng=seed), batch_size=25, loss=nn.CrossEntropyLoss(),
              optimizer=optim.Adam(net.parameters(), lr=3e-3), epochs=16, progress=False)  # fmt: skip
    for name, view in views.items():
        scores[name].append(train.accuracy(train.predict_tta(net, test[0], view, batch_size=500), test[1]))
for name, values in scores.items():
    print(f"{name:16} {100 * np.mean(values):.1f} %")
assert np.mean(scores["and mirrored"]) > np.mean(scores["the image alone"])

p, q = (train.predict_tta(net, x, augment.flip_views()) for x in (test[0], test[0][..., ::-1]))
assert np.array_equal(p, q)  # exactly indifferent to left and right
model, alone = learn(None, 0)
x, y = few_and_rest(0)[1]
flipped = train.accuracy(train.predict_tta(model, x, augment.flip_views(), batch_size=500), y)
print(f"digits averaged with their mirror images: {100 * alone:.1f} % becomes {100 * flipped:.1f} %")
assert flipped < alone

# %% [markdown]
# ## 10. Break it
#
# Image and label must change together. Take the stitched image but keep the old label, and the network is told that
# half an image is all of it. Exercise: repair `broken` by handing on the new label.

# %% tags=["varies"]
stitch = augment.VerticalConcat(10)
def broken(x, y, rng):
    return stitch(x, y, rng)[0], y  # the new x, but the old y

right, wrong = (np.mean([learn(t, seed)[1] for seed in range(2)]) for t in (stitch, broken))
print(f"labels mixed with the images: {100 * right:.1f} %; labels left behind: {100 * wrong:.1f} %")
assert right > wrong + 0.03
