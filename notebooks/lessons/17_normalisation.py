# %% [markdown]
# # Normalisation and residual blocks
#
# Two ideas made networks of many layers trainable. *Normalisation* gives the signal mean 0 and variance 1 again after
# every layer; the kinds differ only in which numbers are averaged. A *residual block* adds what a layer computes to
# its input, so that signal and gradient have a way past it. This lesson looks at batch norm in training and in use,
# at layer, group and instance norm, at what small batches do to each, at a norm that takes orders (AdaGN), and at the
# gradient in a deep network with and without shortcuts.
#
# *Activations*: what a layer hands on, here of shape (N, C, H, W): N samples, C channels, H times W positions.
# *Statistics*: a mean and a variance, estimated from activations.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, nn, optim, train
from minidl.nn import functional as F
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, ORANGE, PALE, VERMILLION, bare, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)
rng = np.random.default_rng(0)
digits, test = data.load_train_test("digits")

# %% [markdown]
# ## 1. Batch norm, in training and in use
#
# In training every channel is normalised with the mean $\mu$ and the variance $\sigma^2$ that it has in this batch;
# then a learned scale $\gamma$ and offset $\beta$ (`weight` and `bias`) allow any other mean and variance:
#
# $$y = \gamma\,\frac{x-\mu}{\sqrt{\sigma^2+\varepsilon}}+\beta .$$
#
# In use there may be no batch, and a prediction should not depend on who else is asked about. So the layer keeps
# *running statistics*, in each step a tenth (the *momentum* $m$) of the batch's and the rest of the old,
#
# $$\bar\mu \leftarrow (1-m)\,\bar\mu + m\,\mu, \qquad \bar\sigma^2 \leftarrow (1-m)\,\bar\sigma^2 + m\,s^2,$$
#
# with the unbiased $s^2$ (divisor $M-1$ for $M$ values). `eval()` switches to them.
#
# *Source:* `minidl/nn/norm.py`, `minidl/ops/normalize.py`. *Reference:* Ioffe, Szegedy (2015), "Batch normalization",
# arXiv:1502.03167.

# %%
layer, centre, width = nn.BatchNorm1d(2), np.array([2.0, -1.0]), np.array([1.0, 0.5])
of_batch, running = [], []
for _ in range(60):
    x = rng.normal(centre, width, (16, 2)).astype(np.float32)
    y = layer(x).numpy()
    assert np.allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), atol=1e-4)  # at first the scale is 1, the bias 0
    of_batch.append(x.mean(0))
    running.append(layer.running_mean.numpy().copy())
print("running mean", running[-1].round(2), "variance", layer.running_var.numpy().round(2))
assert np.allclose(running[-1], centre, atol=0.2)

sample = np.array([[2.5, -1.2]], np.float32)
seen = []
for _ in range(400):  # the same sample, among others each time; a copy, so that the layer itself learns nothing here
    neighbours = rng.normal(centre, width, (15, 2)).astype(np.float32)
    batch = np.concatenate([sample, neighbours])
    seen.append(F.batch_norm(batch, training=True)[0, 0])
alone = layer.eval()(sample).numpy()[0, 0]

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
for c, colour in enumerate((BLUE, VERMILLION)):
    left.plot([m[c] for m in of_batch], ".", color=colour, markersize=4, label=f"channel {c}: mean of the batch")
    left.plot([m[c] for m in running], color=colour, label="running mean")
    left.axhline(centre[c], color=GREY, linestyle=":", linewidth=1)
dress(left, "The running mean starts at 0 and follows", "step")
key(left)
right.hist(seen, bins=30, color=ORANGE, alpha=0.7, label="train(): depends on its 15 neighbours")
right.axvline(alone, color=BLUE, linewidth=2, label="eval(): one value")
dress(right, "What becomes of one and the same sample", "output in channel 0", "draws out of 400")
key(right)
plt.show()

# %% [markdown]
# Two mistakes follow from this, and both are common: to forget `eval()` (predictions then depend on their neighbours),
# and to train with a batch of one, in which every value is its own mean. The second is an error here:

# %%
try:
    nn.BatchNorm1d(2)(sample)
except ValueError as error:
    print(error)

# %% [markdown]
# ## 2. Which numbers are averaged?
#
# Batch norm ties the samples of a batch together. The others stay within one sample:
#
# | norm | one mean and variance for | averaged over |
# |---|---|---|
# | batch | each channel | N, H, W |
# | layer | each sample | C, H, W |
# | instance | each sample and channel | H, W |
# | group | each sample and group of C/G channels | C/G, H, W |
#
# Layer norm and instance norm are group norm with G = 1 and G = C. None of the last three needs running statistics:
# training and evaluation are the same.
#
# The picture is not drawn from the table. For one output (at the orange place) we ask for its gradient with respect
# to all inputs: wherever it is not zero, the input takes part.
# H and W are drawn as one axis.
#
# *Source:* `minidl/ops/group_norm.py`, `minidl/nn/layer_norm.py`, `minidl/nn/group_norm.py`. *Reference:* Wu, He
# (2018), "Group normalization", arXiv:1803.08494, figure 2.

# %%
x = rng.standard_normal((4, 6, 2, 2))
assert np.allclose(F.group_norm(x, 1), F.layer_norm(x, (6, 2, 2)))
assert np.allclose(F.group_norm(x, 6), F.instance_norm(x))

norms = {
    "batch norm": lambda x: F.batch_norm(x, training=True), "layer norm": lambda x: F.layer_norm(x, (6, 2, 2)),
    "instance norm": F.instance_norm, "group norm, G = 2": lambda x: F.group_norm(x, 2),
}  # fmt: skip
fig = plt.figure(figsize=(12, 3.4), layout="constrained")
for k, (name, norm) in enumerate(norms.items()):
    leaf = Tensor(x, requires_grad=True)
    (gradient,) = minidl.grad(norm(leaf)[0, 5, 1, 1], leaf)
    involved = (gradient.numpy() != 0).reshape(4, 6, 4)  # (N, C, H W)
    print(f"{name}: {involved.sum()} of {involved.size} numbers")
    ax = fig.add_subplot(1, 4, k + 1, projection="3d")
    colours = np.where(involved, BLUE, PALE).transpose(1, 0, 2)  # C to the right, N to the back, H W upwards
    colours[5, 0, 3] = VERMILLION
    ax.voxels(np.ones((6, 4, 4)), facecolors=colours, edgecolor="white", linewidth=0.6)
    ax.set_box_aspect((6, 4, 4), zoom=1.1)
    ax.set_title(name, fontsize=10, fontweight="bold")
    ax.set_axis_off()
    for place, axis in (((2.6, -1.3, -0.4), "C"), ((7.2, 1.9, -0.4), "N"), ((-0.1, -0.8, 1.8), "HW")):
        ax.text(*place, axis, fontsize=9, ha="center")
plt.show()

# %% [markdown]
# ## 3. Small batches
#
# From two values $a > b$ batch norm makes $+1$ and $-1$, whatever they are: their mean is $(a+b)/2$ and their
# deviation $(a-b)/2$. All that is left of the numbers is their order. In a convolutional layer $M = N\,H\,W$ values
# share a mean, so small batches hurt less there; in a dense layer $M = N$.

# %%
two = np.array([[0.1, -7.0, 3.0], [0.2, 5.0, 2.9]])
print("batch norm of two samples:", F.batch_norm(two, training=True).round(3), sep="\n")
print("layer norm of the same:", F.layer_norm(two, 3).round(3), sep="\n")

# %% [markdown]
# Does it matter? A small dense network on 300 digits, with batch norm and with group norm (four groups), for batches
# of 2 to 32 and three seeds each. The learning rate is proportional to the batch, as Wu and He do it, so that all see
# the same number of images at the same effective speed.
#
# Expect two things: batch norm collapses for the smallest batch, because its statistics in training say little about
# those in use. And for large batches it is no worse than group norm, here even better. Group norm does not ask how
# large the batch is.
#
# *Reference:* Wu, He (2018), section 4.1, figure 5.

# %% tags=["varies"]
def dense(norm):
    make = {"batch": nn.BatchNorm1d, "group": lambda width: nn.GroupNorm(4, width)}[norm]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), make(32), nn.ReLU(), nn.Linear(32, 32), make(32), nn.ReLU(), nn.Linear(32, 10)
    )

sizes, accuracy, trained = (2, 4, 8, 32), {"batch": [], "group": []}, {}
for norm, size in ((norm, size) for norm in accuracy for size in sizes):
    runs = []
    for seed in range(3):
        minidl.manual_seed(seed)
        model = dense(norm)
        train.fit(
            model, (digits.x[:300], digits.y[:300]), loss=nn.CrossEntropyLoss(), epochs=4, batch_size=size,
            optimizer=optim.SGD(model.parameters(), lr=0.1 * size / 32, momentum=0.9), progress=False,
        )  # fmt: skip
        runs.append((train.predict(model, test.x).argmax(1) == test.y).mean())
    accuracy[norm].append(runs)
    trained[norm] = model
    print(f"{norm} norm, batches of {size:2}: {100 * np.mean(runs):.0f} % of the test digits")
assert np.mean(accuracy["batch"][0]) < np.mean(accuracy["group"][0]) - 0.2

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for (norm, runs), colour, marker in zip(accuracy.items(), (VERMILLION, BLUE), "os", strict=True):
    ax.plot(sizes, 100 * np.mean(runs, axis=1), color=colour, marker=marker, label=f"{norm} norm, mean of 3 seeds")
    ax.plot(np.repeat(sizes, 3), 100 * np.ravel(runs), marker, color=colour, markersize=3, alpha=0.5)
ax.set_xscale("log", base=2)
ax.set_xticks(sizes, [str(size) for size in sizes])
dress(ax, "The batch norm that has too few to average", "batch size", "test accuracy in %")
key(ax)
plt.show()

# %% [markdown]
# ## 4. A norm that takes orders
#
# The scale and offset after a norm decide which channels are loud. *Adaptive group norm* lets a second input $y$,
# such as the class that an image shall show, decide them:
#
# $$\mathrm{AdaGN}(h, y) = y_s\,\mathrm{GroupNorm}(h) + y_b, \qquad [y_s, y_b] = W y + b .$$
#
# $W$ starts at 0 and $b$ at $[1, 0]$: at first it is plain group norm, and $y$ does not matter. Below, a network gets
# *no input but the class*: the rest is one learned pattern, the same for all. It learns to paint the mean digit of
# every class, so all that it knows of the class came in through two AdaGN layers. Between classes it can mix: on the
# right the way from $y$ = 1 to $y$ = 7.
#
# *Source:* `minidl/nn/group_norm.py`. *Reference:* Dhariwal, Nichol (2021), "Diffusion models beat GANs on image
# synthesis", arXiv:2105.05233, section 3.1.

# %%
class Painter(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.pattern = nn.Parameter(np.random.default_rng(0).standard_normal((1, width, 8, 8)).astype(np.float32))
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.norm1, self.norm2 = (nn.AdaGN(4, width, embedding_dim=10) for _ in range(2))
        self.out = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, y):
        h = self.pattern.expand((len(y), *self.pattern.shape[1:]))
        h = F.silu(self.norm1(self.conv1(h), y))
        h = F.silu(self.norm2(self.conv2(h), y))
        return self.out(h)

minidl.manual_seed(0)
painter, classes = Painter(), np.eye(10, dtype=np.float32)
wanted = np.stack([digits.x[digits.y == k].mean(axis=0) for k in range(10)])
with minidl.no_grad():
    before = painter(classes).numpy()
assert np.allclose(before, before[:1], atol=1e-6)  # at first the class does not matter
optimizer = optim.Adam(painter.parameters(), lr=0.02)
for _ in range(250):
    optimizer.zero_grad()
    loss = F.mse_loss(painter(classes), wanted)
    loss.backward()
    optimizer.step()
share = loss.item() / wanted.var(axis=0).mean()
print("more than 90 % of the differences between the classes are learned:", share < 0.1)
assert share < 0.1

# %%
way = np.linspace(0, 1, 5, dtype=np.float32)[:, None]
with minidl.no_grad():
    after, between = painter(classes).numpy(), painter((1 - way) * classes[1] + way * classes[7]).numpy()
fig, axes = plt.subplots(2, 15, figsize=(12, 2.1), layout="constrained")
for k in range(10):
    for ax, image in zip(axes[:, k], (before[k, 0], after[k, 0]), strict=True):
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=wanted.max())
        bare(ax)
    axes[0, k].set_title(f"y = {k}", fontsize=8)
for k in range(5):
    axes[1, 10 + k].imshow(between[k, 0], cmap="gray_r", vmin=0, vmax=wanted.max())
    bare(axes[1, 10 + k])
    axes[1, 10 + k].set_title(("1", "¾, ¼", "½, ½", "¼, ¾", "7")[k], fontsize=8)
    axes[0, 10 + k].axis("off")
axes[0, 0].set_ylabel("before", fontsize=9)
axes[1, 0].set_ylabel("after", fontsize=9)
plt.show()

# %% [markdown]
# ## 5. Residual blocks: a way past every layer
#
# In a chain of layers the gradient is multiplied by every layer's Jacobian on its way back. If these are a little too
# small or too large, the gradient dies or explodes with depth. A residual block has the identity beside its body $f$:
#
# $$h_{l+1} = h_l + f_l(h_l) \quad\Rightarrow\quad
# \frac{\partial L}{\partial h_l} = \frac{\partial L}{\partial h_{l+1}}\,\bigl(1 + f_l'(h_l)\bigr).$$
#
# The 1 passes the gradient on whatever the layer does. With the scale of the last norm in each body set to 0, every
# block even *starts* as the identity (Goyal et al. 2017). `models.resnet` has both; here are the same twelve blocks of
# two convolutions in four variants, first the size of the gradient that arrives at each block before any training.
#
# *Source:* `minidl/nn/residual.py`, `minidl/models.py`. *Reference:* He, Zhang, Ren, Sun (2016), "Deep residual
# learning for image recognition", arXiv:1512.03385; Goyal et al. (2017), arXiv:1706.02677, section 5.1.

# %% tags=["varies"]
def body(norm, zero):
    layers = []
    for _ in range(2):
        layers += [nn.Conv2d(8, 8, 3, padding=1), *([nn.BatchNorm2d(8)] if norm else []), nn.ReLU()]
    if zero:
        nn.init.zeros_(layers[-2].weight)
    return nn.Sequential(*layers[:-1])

def deep(norm=True, shortcut=True, zero=False):
    minidl.manual_seed(0)
    bodies = [body(norm, zero) for _ in range(12)]
    blocks = [nn.Residual(f, activation=nn.ReLU()) if shortcut else nn.Sequential(f, nn.ReLU()) for f in bodies]
    head = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(128, 10))
    return nn.Sequential({"stem": nn.Conv2d(1, 8, 3, padding=1), "blocks": nn.Sequential(*blocks), "head": head})

variants = {
    "plain": deep(norm=False, shortcut=False), "plain, batch norm": deep(shortcut=False), "residual": deep(),
    "residual, zero scale": deep(zero=True),
}  # fmt: skip
arriving = {}
for name, model in variants.items():
    outputs = [model.stem(Tensor(digits.x[:64]))]
    for block in model.blocks:
        outputs.append(block(outputs[-1]))
    gradients = minidl.grad(F.cross_entropy(model.head(outputs[-1]), digits.y[:64]), outputs[1:])
    arriving[name] = [minidl.norm(g).item() for g in gradients]
    print(f"{name}: the first block gets {arriving[name][0] / arriving[name][-1]:.2g} times what the last one gets")
zero = arriving["residual, zero scale"]
assert np.allclose(zero[:-1], zero[0], rtol=1e-4)  # identities: the gradient does not change at all (but at the end)
assert arriving["plain"][0] < 1e-6 * arriving["plain"][-1]

# %% [markdown]
# And what it means for training: 76 steps on 600 digits. Each variant has the learning rate that was best for it among
# 0.003, 0.01, 0.02 and 0.05 (no rate helps the plain one). Read off how different these are. Every block of the
# residual net adds to the signal, so that its first outputs are large, and it wants small steps. With a zero scale it
# starts as a shallow net and takes steps more than ten times as large.

# %% tags=["varies"]
curves = {}
for (name, model), lr in zip(variants.items(), (0.05, 0.01, 0.003, 0.05), strict=True):
    history = train.fit(
        model, (digits.x[:600], digits.y[:600]), loss=nn.CrossEntropyLoss(), epochs=4, batch_size=32, progress=False,
        optimizer=optim.SGD(model.parameters(), lr, momentum=0.9),
    )  # fmt: skip
    curves[name] = [row["loss"] for row in history]
    right = (train.predict(model, test.x).argmax(1) == test.y).mean()
    print(f"{name}: rate {lr}, loss {curves[name][-1]:.2f} in the last epoch, {100 * right:.0f} % of the test digits")
assert max(curves["residual"][-1], curves["residual, zero scale"][-1]) < 0.5 * curves["plain, batch norm"][-1]
assert curves["plain"][-1] > 2.2

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
for (name, norms_of_g), colour, marker in zip(arriving.items(), (GREY, ORANGE, GREEN, BLUE), "os^D", strict=True):
    left.semilogy(range(1, 13), norms_of_g, color=colour, marker=marker, markersize=4, label=name)
    right.plot(range(1, 5), curves[name], color=colour, marker=marker, markersize=4, label=name)
dress(left, "Gradient arriving at each block, before training", "block", "norm of the gradient")
right.axhline(np.log(10), color=GREY, linestyle=":", linewidth=1)
right.text(4, np.log(10) + 0.03, "guessing", fontsize=8, color=GREY, ha="right", va="bottom")
right.set_xticks(range(1, 5))
dress(right, "Loss in training", "epoch")
key(left)
key(right)
plt.show()

# %% [markdown]
# Read the left picture from right to left, the way the gradient goes. Without norm and shortcut it loses ten orders of
# magnitude in 24 layers: the first blocks never learn. With batch norm the signal stays alive, but the gradient *grows*
# from block to block. Beside shortcuts it grows less, and with a zero scale not at all. In the right picture both
# residual nets learn the digits, and the same layers without shortcuts hardly begin.
#
# ## Break it
#
# 1. In section 1 give the layer `momentum=0.0`. Training does not notice. Why does evaluation?
# 2. Feed a network in training mode a test set *sorted by class*. Each batch then has the statistics of one digit, and
#    batch norm subtracts what they have in common. The lines below measure it: which layer would not care?

# %% tags=["varies"]
order = np.argsort(test.y, kind="stable")
model = trained["batch"]
for mode in ("eval", "train"):
    getattr(model, mode)()
    with minidl.no_grad():
        hits = [model(test.x[part]).numpy().argmax(1) == test.y[part] for part in np.array_split(order, 10)]
    print(f"sorted by class, model.{mode}(): {100 * np.concatenate(hits).mean():.0f} %")
