# %% [markdown]
# # Dropout and its family
#
# A network that is large enough learns its training set by heart, the mistakes in it included. *Dropout* makes that
# hard: in every training step a random part of the network is missing, so that no unit can rely on another one being
# there. This lesson derives the two forms of dropout, looks at what the other members of the family drop (channels,
# blocks, weights, whole layers), lets the rate rise during training, and asks two random sub-networks to agree.
#
# *Mask*: an array of zeros and numbers that something is multiplied by. *Rate* $p$: the probability of being dropped.
# *Expectation* $E[\cdot]$: the average over all possible masks.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, nn, optim, train
from minidl.nn import functional as F
from minidl.viz.style import AMOUNT, BLUE, CLASSES, GREEN, GREY, ORANGE, SIGNED, VERMILLION, bare, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)

# %% [markdown]
# ## 1. Two ways to keep the average
#
# Multiply every element by an independent $m$ that is 0 with probability $p$ and 1 otherwise. Then
# $E[m x] = (1-p)\,x$: on average the signal has become weaker. The next layer must see the same strength in training
# and in use, and there are two ways to see to that:
#
# $$\text{vanilla:}\quad \text{train } m x,\ \ \text{evaluate } (1-p)\,x
# \qquad\qquad \text{inverted:}\quad \text{train } \frac{m}{1-p}\,x,\ \ \text{evaluate } x .$$
#
# The first is how dropout was published. Everybody uses the second, because evaluation is then the identity, and
# switching it off costs nothing. Each is two lines of NumPy, and the library's layers give the same numbers.
#
# *Source:* `minidl/ops/dropout.py`, `minidl/nn/dropout.py`. *Reference:* Srivastava, Hinton, Krizhevsky, Sutskever,
# Salakhutdinov (2014), "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15.

# %%
p, x = 0.4, np.arange(1.0, 7.0)
m = np.random.default_rng(2).random(6, np.float32) >= p  # kept with probability 1 - p
by_hand = {"vanilla": (m * x, (1 - p) * x), "inverted": (m * x / (1 - p), x)}

for name, layer in (("vanilla", nn.VanillaDropout(p, rng=2)), ("inverted", nn.Dropout(p, rng=2))):
    training, evaluation = layer(Tensor(x)).numpy(), layer.eval()(Tensor(x)).numpy()
    assert np.allclose(training, by_hand[name][0]) and np.allclose(evaluation, by_hand[name][1])
    print(f"{name:9} train {training.round(2)}   evaluate {evaluation.round(2)}")
given = Tensor(x)
assert nn.Dropout(p).eval()(given) is given  # in evaluation the very same object comes back

# %% [markdown]
# The average over many masks settles at $x$, and how fast is known: one mask has the variance
# $\operatorname{var}(m/(1-p)) = p/(1-p)$, so the mean of $n$ masks is off by about $\sqrt{p/((1-p)\,n)}$, its
# *standard error*. The tests of the library check every member of the family against this bound, with $10^5$ draws.
# The right panel shows what no scaling can repair: behind a bend such as ReLU the average of the outputs is not the
# output of the average. A unit that is silent without dropout speaks up under half of the masks. Evaluation is
# therefore an approximation to the mean over all sub-networks.

# %%
n = 100_000
draws = nn.Dropout(p, rng=0)(minidl.ones(n)).numpy()
count = np.arange(1, n + 1)
mean = np.cumsum(draws, dtype=float) / count
error = np.sqrt(p / (1 - p) / count)
assert abs(mean[-1] - 1) < 4 * error[-1]

layer, row = nn.Linear(50, 1, rng=31), minidl.ones(20_000, 50) * 0.5
hidden = layer(nn.Dropout(p, rng=1)(row)).numpy().ravel()  # one number before the bend, for 20,000 masks
clean = layer(row[:1]).item()

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
left.fill_between(count, 1 - 2 * error, 1 + 2 * error, color="#DDDDDD", label="1 ± 2 standard errors")
left.semilogx(count, mean, label="mean of the first n masks")
left.set_ylim(0.5, 1.5)
dress(left, "Inverted dropout keeps the average", "n", "mean of m / (1 − p)")
key(left)
for values, colour, name in ((hidden, "#9CC7E3", "before"), (hidden.clip(0), VERMILLION, "behind")):
    right.hist(values, np.arange(-0.9, 0.9, 0.03), color=colour, label=f"{name} the ReLU: mean {values.mean():.2f}",
               histtype="stepfilled" if name == "before" else "step")  # fmt: skip
right.plot(max(clean, 0), 0, "k^", markersize=9, clip_on=False, label=f"without dropout: {max(clean, 0):.2f}")
right.set_ylim(0, 2000)
dress(right, "One unit under 20,000 masks", "value", "masks")
assert abs(hidden.mean() - clean) < 0.01 and hidden.clip(0).mean() > max(clean, 0) + 0.05
key(right)
plt.show()

# %% [markdown]
# ## 2. What is dropped: masks as pictures
#
# Neighbouring pixels of a feature map say nearly the same. If single ones are dropped, the next convolution guesses
# them from those around, and little has been taken away. So for images larger things are dropped. For a batch of
# images $(N, C, H, W)$ the masks are:
#
# | layer | one draw for each | mask |
# |---|---|---|
# | `Dropout` | element | $(N, C, H, W)$ |
# | `Dropout2d` (*spatial dropout*) | channel of a sample | $(N, C, 1, 1)$ |
# | `DropBlock2d` | place where a block begins | $(N, C, H, W)$, in squares |
# | `DropPath` (*stochastic depth*) | sample | $(N, 1, 1, 1)$ |
# | `DropConnect` | weight | that of the weights |
# | `Mixout` | input of a layer | a column of the weights |
#
# White is dropped. In the four pictures of activations a row is a sample and a column is a channel.
#
# *Source:* `minidl/nn/dropout.py`, `drop_block.py`, `stochastic_depth.py`, `drop_connect.py`, `mixout.py` there.
# *Reference:* Tompson, Goroshin, Jain, LeCun, Bregler (2015), "Efficient object localization using convolutional
# networks", arXiv:1411.4280 (spatial dropout).

# %%
def mask_of(layer, shape):
    """What a layer multiplies its input by is its gradient."""
    ones = minidl.ones(*shape, requires_grad=True)
    layer(ones).sum().backward()
    return ones.grad.numpy()

def sheet(mask):
    """(N, C, H, W) as one picture, the maps apart."""
    padded = np.pad(mask, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    return np.concatenate(np.concatenate(padded, axis=1), axis=1)

p, shape = 0.35, (3, 5, 16, 16)
masks = {
    "Dropout: elements": sheet(mask_of(nn.Dropout(p, rng=0), shape)),
    "Dropout2d: channels": sheet(mask_of(nn.Dropout2d(p, rng=0), shape)),
    "DropBlock2d: blocks of 5": sheet(mask_of(nn.DropBlock2d(p, 5, rng=0), shape)),
    "DropPath: samples": sheet(mask_of(nn.DropPath(p, rng=3), shape)),
}
weight = Tensor(np.ones((32, 54), np.float32))
masks["DropConnect: weights"] = F.dropout(weight, p, rng=0).numpy()
masks["Mixout: all weights of an input"] = F.mixout(weight, weight * 0, p, rng=0).numpy()

fig, axes = plt.subplots(2, 3, figsize=(12, 5.4), layout="constrained")
colours = AMOUNT.with_extremes(bad="#AAAAAA")  # between the maps
for ax, (title, mask) in zip(axes.flat, masks.items(), strict=True):
    ax.imshow(np.where(mask > 0, 1, mask), cmap=colours, vmax=1.4, interpolation="nearest")
    bare(ax, title)
plt.show()
for title, mask in masks.items():
    print(f"{title:32} dropped {np.mean(mask[~np.isnan(mask)] == 0):.2f}")

# %% [markdown]
# ## 3. DropBlock: how often must a block begin?
#
# A block of $b \times b$ pixels begins at each place with a probability $\gamma$, and only where it fits inside the
# image. To drop about a share $p$ of $H\times W$ pixels,
#
# $$\gamma = \frac{p}{b^2}\cdot\frac{H W}{(H-b+1)(W-b+1)}, \qquad
# \text{out} = x \cdot M \cdot \frac{\text{count}(M)}{\text{count\_ones}(M)} .$$
#
# Without the second factor of $\gamma$, which makes up for the places that are lost at the border, far too little is
# dropped from small maps. What remains of the gap are blocks that overlap: $1-(1-\gamma)^k$ for a pixel under $k$
# possible blocks. The last factor measures what is left, so the mean of the mask is exactly 1. It is so on average
# over the image only: pixels at the border lie under fewer blocks, and the picture of the average mask shows them.
#
# *Source:* `minidl/ops/dropout.py` (`drop_block`). *Reference:* Ghiasi, Lin, Le (2018), "DropBlock: a regularization
# method for convolutional networks", arXiv:1810.12890, algorithm 1.

# %%
size, block, rates = 12, 5, np.linspace(0.02, 0.6, 9)
inside = size - block + 1
over = np.zeros((size, size))  # how many blocks can cover each pixel
for i, j in np.ndindex(inside, inside):
    over[i : i + block, j : j + block] += 1

maps = {p: F.drop_block(np.ones((500, 4, size, size), np.float32), p, block, rng=0) for p in rates}
gamma = rates / block**2 * size**2 / inside**2
predicted = [np.mean(1 - (1 - g) ** over) for g in gamma]
uncorrected = [np.mean(1 - (1 - p / block**2) ** over) for p in rates]
measured = [(mask == 0).mean() for mask in maps.values()]
assert np.allclose(measured, predicted, atol=0.015)
assert all(abs(mask.mean() - 1) < 1e-3 for mask in maps.values())

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained", width_ratios=(1.3, 1, 1))
left.plot(rates, rates, ":k", label="asked for")
left.plot(rates, measured, "o", label="measured")
left.plot(rates, predicted, color=BLUE, label="1 − (1 − γ)ᵏ")
left.plot(rates, uncorrected, color=VERMILLION, linestyle="--", label="γ = p / b²")
dress(left, f"Blocks of {block} in maps of {size}", "p", "share that is dropped")
key(left)
picture = middle.imshow(maps[rates[4]].mean((0, 1)), cmap=SIGNED, vmin=0.4, vmax=1.6)
fig.colorbar(picture, ax=middle, shrink=0.8)
bare(middle, "Average mask, DropBlock")
picture = right.imshow(F.dropout(np.ones((2000, size, size), np.float32), rates[4], rng=0).mean(0), cmap=SIGNED,
                       vmin=0.4, vmax=1.6)  # fmt: skip
fig.colorbar(picture, ax=right, shrink=0.8)
bare(right, "Average mask, Dropout")
plt.show()

# %% [markdown]
# ## 4. Dropping weights, towards zero and towards home
#
# *DropConnect* leaves the activations alone and drops weights: $w\,m/(1-p)$ stands in place of $w$. The weights that
# are trained, saved and penalised stay the raw ones; the gradient of a dropped weight is 0 in that step.
#
# *Mixout* is for a model that begins with pretrained weights $u$, the *anchor*. Here dropping means going back to
# $u$, not to 0, which would throw away what was learned before:
#
# $$\frac{m u + (1-m) w - p u}{1-p} \;=\; u + \frac{1-m}{1-p}\,(w-u), \qquad P(m = 1) = p .$$
#
# The right-hand side reads: dropout of the way from $u$ to $w$. Its average is $w$, $p=1$ gives $u$, and $u=0$ gives
# ordinary dropout of a layer's inputs. Both wrap any layer: `nn.DropConnect(nn.Linear(...), p)`.
#
# *Source:* `minidl/nn/drop_connect.py`, `minidl/nn/mixout.py`. *References:* Wan, Zeiler, Zhang, LeCun, Fergus (2013),
# "Regularization of neural networks using DropConnect", ICML; Lee, Cho, Kang (2020), "Mixout", arXiv:1909.11299.

# %%
rng = np.random.default_rng(0)
u = rng.standard_normal((1, 2000)).astype(np.float32)
w = u + 0.3 * rng.standard_normal(u.shape).astype(np.float32)
noisy = {"DropConnect, p = 0.5": F.dropout(w, 0.5, rng=1), "Mixout, p = 0.5": F.mixout(w, u, 0.5, rng=1)}
average = np.mean([F.mixout(w, u, 0.5, rng=k) for k in range(400)], axis=0)
assert np.abs(average - w).max() < 0.3 and np.allclose(F.mixout(w, u, 1.0), u)

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharex=True, sharey=True)
for ax, (name, effective) in zip(axes, noisy.items(), strict=True):
    gone = effective == (0 if "Drop" in name else u)
    ax.plot(u[~gone], effective[~gone], ".", markersize=3, label="kept: farther out", color=BLUE)
    ax.plot(u[gone], effective[gone], ".", markersize=3, label="dropped", color=VERMILLION)
    ax.plot([-3, 3], [-3, 3], ":k")
    dress(ax, name, "pretrained weight u", "weight in this step" * ("Drop" in name), "both")
    key(ax)
plt.show()
for name, effective in noisy.items():
    print(f"{name}: root mean square of the noise {np.sqrt(((effective - w) ** 2).mean()):.2f}")

# %% [markdown]
# The noise of mixout is proportional to $|w-u|$, so going far from $u$ costs: it acts like a penalty on
# $\lVert w-u\rVert^2$. Here a network that knows the digits is trained further, on 40 of them, a third of which have a
# random label. The greater $p$, the nearer it stays to where it began and the less it learns of the wrong labels. Where
# the new task really differs from the old one the same pull would do harm. And a large $p$ wants Adam, or small steps:
# the factor $1/(1-p)$ is in the gradient too.

# %% tags=["varies"]
digits = data.load_digits()
order = np.random.default_rng(0).permutation(len(digits.x))
options = {"loss": nn.CrossEntropyLoss(), "metrics": "accuracy", "progress": False}

def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))

minidl.manual_seed(0)
pretrained, first = network(), order[:800]
train.fit(pretrained, (digits.x[first], digits.y[first]), epochs=12,
          optimizer=optim.Adam(pretrained.parameters(), lr=3e-3), **options)  # fmt: skip
state = pretrained.state_dict()

few, rest, chance = order[800:840], order[840:], np.random.default_rng(1)
labels = np.where(chance.random(40) < 0.3, chance.integers(0, 10, 40), digits.y[few])
distance = {}
for p in (0.0, 0.5, 0.9):
    inner = network()
    inner.load_state_dict(state)
    model = nn.Mixout(inner, p)  # the weights of now become the anchor
    train.fit(model, (digits.x[few], labels), epochs=60, optimizer=optim.Adam(model.parameters(), lr=3e-3), **options)
    score = train.evaluate(model, (digits.x[rest], digits.y[rest]), metrics="accuracy")["accuracy"]
    distance[p] = sum(((inner[k].weight.numpy() - state[f"{k}.weight"]) ** 2).sum() for k in (1, 3)) ** 0.5
    print(f"mixout p = {p}: distance from the anchor {distance[p]:.2f}, accuracy on other digits {score:.3f}")
assert distance[0.9] < distance[0.5] < distance[0.0]

# %% [markdown]
# ## 5. Dropping layers
#
# In a *residual network* a block adds to what it is given, $h + f(h)$. *Stochastic depth* drops $f$ for some of the
# samples: the network is shallow while it learns and deep in use. Early blocks are needed by all later ones, so the
# rate grows linearly, $p_\ell = \frac{\ell}{L}\,p_L$. *LayerDrop* skips whole layers for the whole batch and rescales
# nothing; afterwards layers can be taken out for good.
#
# *Source:* `minidl/nn/stochastic_depth.py`. *References:* Huang, Sun, Liu, Sedra, Weinberger (2016), "Deep networks
# with stochastic depth", arXiv:1603.09382; Fan, Grave, Joulin (2020), "Reducing transformer depth on demand with
# structured dropout", arXiv:1909.11556.

# %%
blocks, samples = 24, 60
drop = nn.linear_depth(0.5, blocks)
alive = np.stack([F.drop_path(np.ones((samples, 1), np.float32), p, rng=k)[:, 0] > 0 for k, p in enumerate(drop)])
expected = sum(1 - p for p in drop)
assert abs(alive.sum(0).mean() - expected) < 4 * np.sqrt(sum(p * (1 - p) for p in drop) / samples)

fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", width_ratios=(1.6, 1))
left.imshow(alive, cmap=AMOUNT, vmax=1.4, aspect="auto", interpolation="nearest", origin="lower",
            extent=(0.5, samples + 0.5, 0.5, blocks + 0.5))  # fmt: skip
dress(left, "One batch: which blocks each sample goes through", "sample", "block", None)
right.barh(range(1, blocks + 1), 1 - np.array(drop), color="#9CC7E3", label="probability of being there")
right.plot(alive.mean(1), range(1, blocks + 1), ".", color=VERMILLION, label="share in this batch")
right.set_xlim(0, 1.02)
dress(right, f"{expected:.1f} of {blocks} blocks on average", "", "block", "x")
key(right)
plt.show()

deep = nn.Sequential(*(nn.Residual(nn.Linear(8, 8), drop_path=p, activation=nn.ReLU()) for p in drop))
print(deep(minidl.ones(2, 8)).shape, "with", sum(isinstance(m, nn.DropPath) for m in deep.modules()), "DropPath layers")

# %% [markdown]
# ## 6. Starting easy: curriculum dropout
#
# At the beginning nothing is over-fitted, and noise only disturbs. *Curriculum dropout* starts without it. With
# $\theta$ the probability of being *kept*, $\bar\theta = 1-p$ its final value, and $t$ the number of steps taken,
#
# $$\theta(t) = (1-\bar\theta)\,e^{-\gamma t} + \bar\theta, \qquad p(t) = 1 - \theta(t) = p\,(1-e^{-\gamma t}),
# \qquad \gamma = 10/T .$$
#
# It is a callback of the training loop; it finds all layers of the family in the model, and when the run is over it
# gives them their own rates back. The picture plots what the layers had while they were trained.
#
# *Source:* `minidl/train/curriculum.py`. *Reference:* Morerio, Cavazza, Volpi, Vidal, Murino (2017), "Curriculum
# dropout", arXiv:1703.06229.

# %%
model = nn.Sequential(nn.Dropout(0.2), nn.DropConnect(nn.Linear(4, 4), 0.5), nn.ReLU(), nn.Dropout(0.8),
                      nn.Linear(4, 2))  # fmt: skip
shown, seen = {"Dropout(0.2)": model[0], "DropConnect(0.5)": model[1], "Dropout(0.8)": model[3]}, []
note = train.Callback(on_loss=lambda run: seen.append([layer.p for layer in shown.values()]))
x, y = np.zeros((40, 4), np.float32), np.zeros(40, np.int64)
train.fit(model, (x, y), loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=20,
          batch_size=4, callbacks=[train.CurriculumDropout(), note], progress=False)  # fmt: skip
t = np.arange(len(seen))
assert np.allclose(np.array(seen)[:, 2], 0.8 * (1 - np.exp(-10 / 200 * t))) and model[3].p == 0.8

ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")[1]
for name, rate in zip(shown, np.transpose(seen), strict=True):
    ax.plot(t, rate, label=name)
    ax.axhline(rate[-1], color=GREY, linewidth=0.6, linestyle=":")
dress(ax, "The rate during training", "step", "p(t)")
key(ax)
plt.show()

# %% [markdown]
# ## 7. Does it help? Learning by heart, and not
#
# 300 digits, and for about a fifth of them the label is drawn at random: a network can fit those only by memory.
# Below, the same network without dropout, with it, with curriculum dropout and with *R-Drop* (section 8). The first
# panel is the loss on the training set, wrong labels included; the second is the loss on 1000 other digits with
# right labels. Lines are means over three seeds, shaded from the least to the greatest.
#
# The network without dropout gets better and better at what it has seen and, from some point on, worse at what it
# has not. Dropout stops that. Note that the training loss with dropout is measured *under* the masks, so part of the
# gap between the curves is noise and not memory.
#
# *Source:* `minidl/train/fit.py`. *Reference:* Arpit et al. (2017), "A closer look at memorization in deep
# networks", arXiv:1706.05394.

# %% tags=["varies"]
few, rest = order[:300], order[300:1300]
labels, chance = digits.y[few].copy(), np.random.default_rng(1)
wrong = chance.random(300) < 0.2
labels[wrong] = chance.integers(0, 10, wrong.sum())
held_out = (digits.x[rest], digits.y[rest])

def mlp(rate):
    drop = [nn.Dropout(rate)] if rate else []
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), *drop, nn.Linear(128, 128), nn.ReLU(), *drop,
                         nn.Linear(128, 10))  # fmt: skip

def learn(model, callbacks=(), epochs=30, lr=3e-3):
    return train.fit(model, (digits.x[few], labels), optimizer=optim.Adam(model.parameters(), lr=lr), epochs=epochs,
                     validation=held_out, callbacks=callbacks, **options)  # fmt: skip

variants = {
    "no dropout": (0.0, lambda: []), "dropout 0.5": (0.5, lambda: []),
    "curriculum to 0.5": (0.5, lambda: [train.CurriculumDropout()]), "R-Drop, α = 1": (0.5, lambda: [train.RDrop(1.0)]),
}  # fmt: skip
curves = {}
for name, (rate, callbacks) in variants.items():
    for seed in range(3):
        minidl.manual_seed(seed)
        curves.setdefault(name, []).append(learn(mlp(rate), callbacks()))
    last = {column: np.mean([h[-1][column] for h in curves[name]]) for column in ("loss", "val_loss", "val_accuracy")}
    print(f"{name:18} training loss {last['loss']:.2f}   test loss {last['val_loss']:.2f}   test accuracy "
          f"{last['val_accuracy']:.3f}")  # fmt: skip

# %% tags=["varies"]
fig, axes = plt.subplots(1, 3, figsize=(12.5, 3.8), layout="constrained")
columns = {"loss": "Training loss", "val_loss": "Test loss", "val_accuracy": "Test accuracy"}
for ax, (column, title) in zip(axes, columns.items(), strict=True):
    for name, histories in curves.items():
        values = np.array([[row[column] for row in h] for h in histories])
        epoch = np.arange(1, values.shape[1] + 1)
        (line,) = ax.plot(epoch, values.mean(0), label=name)
        ax.fill_between(epoch, values.min(0), values.max(0), color=line.get_color(), alpha=0.15, linewidth=0)
    dress(ax, title, "epoch", "", "y")
axes[1].set_ylim(0.3, 1.0)
axes[2].set_ylim(0.7, 0.95)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
plt.show()
end = {name: np.mean([h[-1]["val_loss"] for h in histories]) for name, histories in curves.items()}
assert min(end, key=end.get) != "no dropout" and end["dropout 0.5"] < end["no dropout"]

# %% [markdown]
# For a convolutional network on the same digits: elements, channels or blocks? All three hold back the learning by
# heart. Which is best, one run of each on images of 8x8 pixels does not decide; on large photographs Ghiasi, Lin and Le
# found blocks better than channels, and channels better than elements.

# %% tags=["varies"]
def cnn(drop):
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), drop,
                         nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(),
                         nn.Linear(512, 10))  # fmt: skip

kinds = {"nothing": nn.Identity(), "elements": nn.Dropout(0.3), "channels": nn.Dropout2d(0.3),
         "blocks of 3": nn.DropBlock2d(0.3, 3)}  # fmt: skip
final = {}
for name, drop in kinds.items():
    minidl.manual_seed(0)
    row = final[name] = learn(cnn(drop), epochs=20, lr=5e-3)[-1]
    print(f"{name:12} training loss {row['loss']:.2f}   test loss {row['val_loss']:.2f}   test accuracy "
          f"{row['val_accuracy']:.3f}")  # fmt: skip
assert final["nothing"]["loss"] == min(row["loss"] for row in final.values())
assert final["nothing"]["val_loss"] == max(row["val_loss"] for row in final.values())

# %% [markdown]
# ## 8. R-Drop: two masks, one answer
#
# Two passes of the same batch through the network meet two different masks and give two different predictions, $P_1$
# and $P_2$. In use there is no mask, so it would be good if the mask did not matter. *R-Drop* asks for that:
#
# $$L = L_1 + L_2 + \alpha\,\tfrac12\big(\mathrm{KL}(P_1\Vert P_2) + \mathrm{KL}(P_2\Vert P_1)\big), \qquad
# \mathrm{KL}(P\Vert Q) = \sum_c P_c \log\frac{P_c}{Q_c} .$$
#
# KL, the Kullback-Leibler divergence, is 0 only for equal distributions. The training loop computes $L_1$; the
# callback runs the second pass and adds the rest. Its price is a second forward and backward pass in every step.
#
# The pictures show one digit under 200 masks, for networks that were trained with more and more $\alpha$: the
# predictions move together. There is a cheap way to agree, which is to be unsure of everything, and a large $\alpha$
# begins to take it.
#
# *Source:* `minidl/train/r_drop.py`, `minidl/ops/divergence.py`. *Reference:* Liang, Wu, Li, Wang, Meng, Qin, Chen,
# Zhang, Liu (2021), "R-Drop: regularized dropout for neural networks", arXiv:2106.14448.

# %% tags=["varies"]
alphas, spread, disagreement = (0.0, 1.0, 8.0), {}, {}
for alpha in alphas:
    minidl.manual_seed(0)
    model = mlp(0.5)
    learn(model, [train.RDrop(alpha)], epochs=20)
    model.train()
    with minidl.no_grad():
        image = held_out[0][:300]
        one, two = model(image), model(image)
        disagreement[alpha] = F.symmetric_kl(one, two).item()
        doubtful = np.repeat(held_out[0][7:8], 200, axis=0)
        spread[alpha] = F.softmax(model(doubtful)).numpy()
    print(f"alpha {alpha:3}: KL between two passes {disagreement[alpha]:.3f}")
assert disagreement[8.0] < disagreement[1.0] < disagreement[0.0]

fig, axes = plt.subplots(1, 4, figsize=(12.5, 3.3), layout="constrained", width_ratios=(0.7, 1, 1, 1))
axes[0].imshow(held_out[0][7, 0], cmap="gray_r")
bare(axes[0], f"a {held_out[1][7]}")
for ax, (alpha, probability), colour in zip(axes[1:], spread.items(), (VERMILLION, ORANGE, GREEN), strict=True):
    place = np.arange(10) + np.random.default_rng(0).uniform(-0.3, 0.3, probability.shape)
    ax.plot(place, probability, ".", color=colour, markersize=2, alpha=0.5)
    ax.set_xticks(range(10))
    ax.set_ylim(-0.02, 1.02)
    dress(ax, f"α = {alpha:g}: KL {disagreement[alpha]:.2f}", "class", "probability, 200 masks" * (alpha == 0))
plt.show()

# %% [markdown]
# ## Break it
#
# 1. Forget `model.eval()` before measuring. How much accuracy do masks at test time cost, and how much of it comes
#    back if you average the probabilities of 30 masks? (This average is called Monte Carlo dropout.)
# 2. Put `nn.Dropout` *before* `nn.BatchNorm1d`. In training the norm sees the variance of masked inputs, in use that
#    of whole ones. The two lines below measure by how much: what factor do you expect for $p$?

# %%
x = Tensor(np.random.default_rng(0).standard_normal((20_000, 1)))
print(f"variance {x.numpy().var():.2f}, under a mask {nn.Dropout(0.5, rng=0)(x).numpy().var():.2f}")
