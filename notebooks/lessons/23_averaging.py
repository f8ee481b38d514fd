# %% [markdown]
# # Averages of the weights, and flat minima
#
# Stochastic gradient descent never comes to rest. Every batch pulls in a slightly different direction, and where it
# ends is an accident of the last few batches. Two cheap ideas help. One is to *average* the weights along the way: the
# accidents cancel. The other, SAM, is to step by the gradient of the worst place nearby, which leads to minima where
# nearby places are good as well. Both are callbacks of `train.fit`; the model itself is not changed.
#
# *Iterate*: the weights after a step. *Ravine*: a loss that is steep in one direction and flat in another. *Held out*:
# data that is not trained on.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, nn, optim, train
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, INK, ORANGE, VERMILLION, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)

# %% [markdown]
# ## 1. A noisy ravine
#
# The smallest example: two weights, and for every sample a bowl whose middle is somewhere else,
# $\ell_i(w) = \frac12 (w - x_i)^\top \Lambda\, (w - x_i)$. The loss, their mean, is a bowl around the mean of the
# $x_i$, here 0. A batch sees only its own samples.
#
# - **Polyak** averages all iterates: $\bar w_n = \frac1n \sum_{k=1}^n w_k$.
# - **EMA**, the exponential moving average, forgets: $\bar w_n \propto \sum_k d^{\,n-k}\, w_k$. About the last
#   $1/(1-d)$ iterates count.
#
# Both are one line that is run after every step, $\bar w \leftarrow \bar w + r_n (w_n - \bar w)$, with $r_n = 1/n$ for
# Polyak. Along the steep direction $w$ jumps to and fro; the averages go down the middle. The dotted line is the
# distance of the plain mean of all samples so far: nobody who knows only them can be better, and Polyak gets there
# once the beginning is forgotten. (Thirty runs are trained at once, on samples of their own; the left panel shows one
# of them, the right one the mean of all.)
#
# *Source:* `minidl/train/averaging.py`. *Reference:* Polyak and Juditsky (1992), "Acceleration of stochastic
# approximation by averaging", SIAM Journal on Control and Optimization 30.

# %%
curvatures = np.array([4.0, 0.25])  # of the steep and of the flat direction


class Place(nn.Module):
    """Two weights, thirty times; what they are compared with comes as the input."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(np.full((30, 2), [2.5, 3.5]))

    def forward(self, x):
        return self.w - x


def bowl(difference, _):
    return (0.5 * difference * difference * Tensor(curvatures)).sum(axis=(1, 2)).mean()


class Trace(train.Callback):
    """Where the weights and the averages are after every step."""

    def __init__(self, *averages):
        self.averages, self.rows = averages, []

    def on_batch_end(self, run):
        self.rows.append([run.model.w.numpy().copy(), *(a.average["w"].copy() for a in self.averages)])


rate, batch, sigma = 0.35, 4, 3.0
x = np.random.default_rng(0).normal(0, sigma, (4 * 2000, 30, 2))
model, polyak, ema = Place(), train.Polyak(load_at_end=False), train.EMA(0.95, load_at_end=False)
trace = Trace(polyak, ema)
train.fit(model, (x, np.zeros(len(x))), loss=bowl, optimizer=optim.SGD(model.parameters(), lr=rate), epochs=1,
          batch_size=batch, callbacks=[polyak, ema, trace], rng=0, progress=False)
places = np.array(trace.rows)  # (step, which average, run, coordinate)
distance = np.linalg.norm(places, axis=3).mean(axis=2)
late = distance[1000:].mean(axis=0)
print("mean distance from the minimum after step 1000: "
      f"weights {late[0]:.2f}, EMA {late[2]:.2f}, Polyak {late[1]:.3f}")
assert late[1] < late[2] < late[0]

fig, (ravine, curves) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
u, v = np.meshgrid(np.linspace(-4, 4, 120), np.linspace(-2.5, 4.2, 120))
ravine.contour(u, v, (curvatures[0] * u**2 + curvatures[1] * v**2) ** 0.5, 12, colors="#DDDDDD", linewidths=0.8)
ravine.plot(*places[:150, 0, 0].T, ".-", color="#AAAAAA", linewidth=0.5, markersize=3, label="weights, 150 steps")
ravine.plot(*places[:150, 2, 0].T, color=GREEN, linewidth=2, label="EMA 0.95")
ravine.plot(*places[:150, 1, 0].T, color=BLUE, linewidth=2, label="Polyak")
ravine.plot(0, 0, "k*", markersize=13)
dress(ravine, "Steep to the sides, flat along the valley", "weight 1", "weight 2", None)
key(ravine)
step = np.unique(np.geomspace(1, len(places), 150).astype(int))
for k, name, colour in ((0, "weights", "#AAAAAA"), (2, "EMA 0.95", GREEN), (1, "Polyak", BLUE)):
    curves.loglog(step, distance[step - 1, k], color=colour, linewidth=0.8 if k == 0 else 1.8, label=name)
curves.loglog(step, sigma * (np.pi / 2 / batch / step) ** 0.5, ":k", linewidth=1, label="mean of all samples")
dress(curves, "Distance from the minimum", "step n", "distance")
key(curves)
plt.show()

# %% [markdown]
# How far from the minimum do the weights keep jumping? Along one direction a step is
# $w \leftarrow (1-\varepsilon\lambda)\,w + \varepsilon\lambda\,\bar x$, with $\bar x$ the mean of a batch, whose
# variance is $\sigma^2/B$. If the variance of $w$ is to be the same before and after the step, it must be
#
# $$\mathrm{var}(w) = \frac{\varepsilon\lambda}{2-\varepsilon\lambda}\cdot\frac{\sigma^2}{B} .$$
#
# The rate is in front: a schedule that lets it fall quiets the noise, and so does an average, without giving up the
# speed of large steps.

# %%
measured = places[500:, 0].var(axis=(0, 1))
predicted = rate * curvatures / (2 - rate * curvatures) * sigma**2 / batch
for k, name in enumerate(("steep", "flat")):
    print(f"{name:5} direction: variance {measured[k]:.3f}, by the formula {predicted[k]:.3f}")
assert np.allclose(measured, predicted, rtol=0.1)

# %% [markdown]
# ## 2. The bias at the beginning
#
# An EMA must start somewhere. Start it from zero, $m \leftarrow d\,m + (1-d)\,w$, and it is too small for a long time:
# the shares of the iterates add up to $1 - d^n$ only. Adam divides by that number, and so does `train.EMA`, which is
# the same as a share of the newest of
#
# $$r_n = \frac{1-d}{1-d^n}: \qquad r_1 = 1,\quad r_2 \approx \tfrac12,\quad r_3 \approx \tfrac13,\ \dots,\quad
# r_n \to 1-d .$$
#
# It begins as the plain average and becomes the exponential one by itself. The other usual cure is to start from the
# first weights; they then keep the share $d^n$, and that is a lot of something that was only initialised.
#
# *Reference:* Kingma and Ba (2015), "Adam", section 3; Tarvainen and Valpola (2017), "Mean teachers are better role
# models", arXiv:1703.01780.

# %%
decay, n = 0.99, np.arange(1, 301)
ema = train.EMA(decay)
shares = {k: ema.rate(k) for k in (1, 2, 3, 300)}
print("share of the newest weights: " + ", ".join(f"r_{k} = {r:.4f}" for k, r in shares.items()))
assert shares[1] == 1 and abs(shares[2] - 1 / 2) < 0.01 and abs(shares[300] - (1 - decay)) < 1e-3

weight = 1 - 0.8 * np.exp(-n / 12) + 0.05 * np.random.default_rng(0).standard_normal(300)  # soon at 1, with noise
zero, first, right = np.zeros(300), np.zeros(300), np.zeros(300)
m, f, b = 0.0, weight[0], 0.0
for k, w in enumerate(weight):
    m, f, b = decay * m + (1 - decay) * w, decay * f + (1 - decay) * w, b + ema.rate(k + 1) * (w - b)
    zero[k], first[k], right[k] = m, f, b
assert np.allclose(right, zero / (1 - decay**n))

fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
ax.plot(n, weight, ".", color="#BBBBBB", markersize=3, label="a weight")
ax.plot(n, zero, color=VERMILLION, label="from zero")
ax.plot(n, first, color=ORANGE, label="from the first weight")
ax.plot(n, right, color=BLUE, linewidth=2, label="train.EMA")
dress(ax, "Three beginnings of an average with decay 0.99", "step", "")
key(ax)
plt.show()

# %% [markdown]
# ## 3. In a training run
#
# A network with batch norm and dropout on 300 digits, at a learning rate that stays much too large. `validate=True`
# measures the average on
# the held-out data after every epoch and writes columns such as `ema_val_loss` into the history.
#
# **SWA** (stochastic weight averaging) averages the weights at the ends of the last epochs, from `start` on.
#
# *Source:* `minidl/train/averaging.py`. *Reference:* Izmailov, Podoprikhin, Garipov, Vetrov, Wilson (2018), "Averaging
# weights leads to wider optima and better generalization", arXiv:1803.05407.

# %% tags=["varies"]
learn, held_out = data.split(data.load_digits(), (300, 1497), stratify=True, rng=0)
measure = {"loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"]}


def run(callbacks, lr, dropout, seed=0, epochs=40):
    """Train on the digits; returns the model and the history."""
    minidl.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Dropout(dropout),
                          nn.Linear(48, 10))
    history = train.fit(model, (learn.x, learn.y), optimizer=optim.SGD(model.parameters(), lr=lr), epochs=epochs,
                        batch_size=20, validation=(held_out.x, held_out.y), callbacks=callbacks, progress=False,
                        **measure)
    return model, history


ema, swa = train.EMA(0.98, validate=True, load_at_end=False), train.SWA(11, validate=True, load_at_end=False)
model, history = run([ema, swa], lr=1.5, dropout=0.3)
last = history[-1]
for name, column in (("last weights", "val"), ("EMA 0.98", "ema_val"), ("SWA from epoch 11", "swa_val")):
    print(f"{name:17} held-out loss {last[column + '_loss']:.4f}, accuracy {last[column + '_accuracy']:.3f}")
assert max(last["ema_val_loss"], last["swa_val_loss"]) < np.mean(history["val_loss"][-10:])

fig, axes = plt.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
for ax, what in zip(axes, ("loss", "accuracy"), strict=True):
    for column, name, colour in (("val", "weights", "#AAAAAA"), ("ema_val", "EMA", GREEN), ("swa_val", "SWA", BLUE)):
        values = [np.nan if value is None else value for value in history[f"{column}_{what}"]]
        ax.plot(history["epoch"], values, color=colour, label=name, linewidth=1 if column == "val" else 2)
    dress(ax, f"Held-out {what}", "epoch", what)
    key(ax)
axes[0].set_ylim(0.08, 0.6)
axes[1].set_ylim(0.85, 0.98)
plt.show()

# %% [markdown]
# ## 4. Batch norm must be measured anew
#
# Batch norm's running statistics belong to the activations of the weights that were trained. The average of the weights
# makes other activations, which those statistics have never seen. So they are measured once more, in one pass over the
# training data: `train.update_bn`. `SWA` does it by itself at the end.
#
# The picture is a walk on the straight line from the average (0) through the last weights (1) and beyond, with
# statistics measured anew at every point. The last weights lie at the rim of the basin, where it is about as good for
# the *training* data as in the middle. The held-out basin is a little shifted: the middle is the safer place.

# %% tags=["varies"]
last_state = model.state_dict()
swa.load_into(model)
average = {name: p.numpy().copy() for name, p in model.named_parameters()}
quality = {}
for name, change in {
    "with the last statistics": lambda: model.load_state_dict({**last_state, **average}),
    "measured anew": lambda: train.update_bn(model, (learn.x, learn.y), batch_size=300),
}.items():
    change()
    quality[name] = train.evaluate(model, (held_out.x, held_out.y), **measure)
    print(f"average of the weights, {name:24}: held-out loss {quality[name]['loss']:.4f}")

walk, losses = np.linspace(-1.5, 2.5, 17), {"training data": [], "held-out data": []}
for t in walk:
    for name, p in model.named_parameters():
        p.data = (average[name] + t * (last_state[name] - average[name])).astype(np.float32)
    train.update_bn(model, (learn.x, learn.y), batch_size=300)
    for name, part in (("training data", learn), ("held-out data", held_out)):
        losses[name].append(train.evaluate(model, (part.x, part.y), batch_size=500, **measure)["loss"])
at_average, at_last = (np.interp(t, walk, losses["held-out data"]) for t in (0, 1))
assert at_average < at_last

fig, axes = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
for ax, (name, values), colour in zip(axes, losses.items(), (BLUE, VERMILLION), strict=True):
    ax.plot(walk, values, color=colour)
    ax.axvline(0, color=GREY, linestyle=":")
    ax.axvline(1, color=GREY, linestyle=":")
    ax.text(0, max(values), " SWA", va="top")
    ax.text(1, max(values), " last weights", va="top")
    dress(ax, f"Loss on the {name}", "place on the line", "loss")
plt.show()

# %% [markdown]
# ## 5. SAM: the gradient of the worst place nearby
#
# *Sharpness-aware minimisation* does not ask for a low loss at $w$, but for a low loss everywhere in a ball around it:
#
# $$\min_w \max_{\lVert e\rVert\le\rho} L(w+e), \qquad e \approx \rho\,\frac{g}{\lVert g\rVert},\quad g = \nabla L(w),
# \qquad w \leftarrow w - \varepsilon\,\nabla L(w+e).$$
#
# Go uphill by $\rho$, take the gradient there, come back, and step by that gradient. The picture shows one such
# step in a bent ravine: at $w+e$ the wall is steeper, so the step goes away from the wall more decidedly. One batch
# costs two gradients. `train.SAM` uses the same dropout masks for both, keeps batch norm's statistics those of $w$, and
# puts $w$ back bit for bit.
#
# *Source:* `minidl/train/sam.py`. *Reference:* Foret, Kleiner, Mobahi, Neyshabur (2021), "Sharpness-aware minimization
# for efficiently improving generalization", arXiv:2010.01412.

# %%
class Valley(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(np.array([-1.0, 1.35]))

    def forward(self, x):
        return 0.12 * (self.w[0] - 1) ** 2 + (self.w[1] - 0.7 * self.w[0] ** 2) ** 2 + 0 * x


class Watch(train.Callback):
    """The places at which the loss is taken, two a step, and the gradients at the second."""

    def __init__(self):
        self.places, self.gradients = [], []

    def on_loss(self, run):
        self.places.append(run.model.w.numpy().copy())

    def on_gradient(self, run):
        self.gradients.append(run.model.w.grad.numpy().copy())


point, watch, rho, plain = Valley(), Watch(), 0.3, []
first = train.Callback(on_gradient=lambda run: plain.append(run.model.w.grad.numpy().copy()))
train.fit(point, [(np.zeros(1), np.zeros(1))], loss=lambda out, _: out.sum(), epochs=1, progress=False,
          optimizer=optim.SGD(point.parameters(), lr=0.15), callbacks=[first, train.SAM(rho), watch])
at, above = np.array(watch.places[::2]), np.array(watch.places[1::2])
print("distance of the second place:", np.linalg.norm(above - at, axis=1))
assert np.allclose(np.linalg.norm(above - at, axis=1), rho)

fig, ax = plt.subplots(figsize=(6.6, 4.8), layout="constrained")
u, v = np.meshgrid(np.linspace(-2.0, 0.2, 150), np.linspace(0.3, 1.9, 150))
ax.contour(u, v, (0.12 * (u - 1) ** 2 + (v - 0.7 * u**2) ** 2) ** 0.5, 18, colors="#DDDDDD", linewidths=0.8)
for k, (w, e, g, h) in enumerate(zip(at, above, watch.gradients, plain, strict=True)):
    ax.add_patch(plt.Circle(w, rho, fill=False, color=ORANGE, label="ball of radius ρ" if k == 0 else None))
    ax.annotate("", e, w, arrowprops={"arrowstyle": "->", "color": VERMILLION, "linewidth": 1.6})
    ax.annotate("", w - 0.15 * h, w, arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 1.2})
    ax.annotate("", w - 0.15 * g, w, arrowprops={"arrowstyle": "->", "color": BLUE, "linewidth": 2})
ax.plot(*at.T, "ko", label="w")
ax.plot(*above.T, "o", color=VERMILLION, label="w + e, uphill")
ax.plot([], [], color=BLUE, linewidth=2, label="the step, by the gradient at w + e")
ax.plot([], [], color=INK, label="by the gradient at w")
ax.set_aspect("equal")
dress(ax, "One step of SAM", "weight 1", "weight 2", None)
key(ax)
plt.show()

# %% [markdown]
# ## 6. Is the minimum flatter?
#
# Flatness can be measured. We train with plain SGD and with SAM, take the mean loss of the training set at the end, and
# walk from there in the direction in which it rises fastest (the gradient, as SAM does) and in random directions of the
# same length. We also compute the largest eigenvalue of the Hessian, the greatest curvature there is, by *power
# iteration*: multiply a random vector by the Hessian again and again, and the steepest direction wins. The Hessian
# itself, with 3,700 x 3,700 entries, is never made; a product with it takes two gradients. In random directions almost
# nothing happens (mind the logarithmic axis): the sharp directions are few, and SAM looks for them.
#
# Whether a flat minimum is also a *better* one is another question, and the held-out columns answer it for this small
# problem only, with three seeds. `benchmarks/regularization.py` asks it with more data and more seeds.
#
# *Reference:* Keskar, Mudigere, Nocedal, Smelyanskiy, Tang (2017), "On large-batch training for deep learning:
# generalization gap and sharp minima", arXiv:1609.04836; Dinh, Pascanu, Bengio, Bengio (2017), "Sharp minima can
# generalize for deep nets", arXiv:1703.04933, who warn of reading too much into it.

# %% tags=["varies"]
def loss_of(model):
    return nn.CrossEntropyLoss()(model(learn.x), learn.y)


def greatest_curvature(model, steps=25):
    """The largest eigenvalue of the Hessian of the training loss, by power iteration."""
    params = list(model.parameters())
    rng = np.random.default_rng(0)
    vector = [rng.standard_normal(p.shape).astype(np.float32) for p in params]
    gradients = minidl.grad(loss_of(model), params, create_graph=True)
    for _ in range(steps):
        norm = np.sqrt(sum((part**2).sum() for part in vector))
        vector = [part / norm for part in vector]
        slope = sum((g * Tensor(part)).sum() for g, part in zip(gradients, vector, strict=True))
        vector = [h.numpy() for h in minidl.grad(slope, params, retain_graph=True)]
    return float(np.sqrt(sum((part**2).sum() for part in vector)))


def walk_from(model, directions, lengths):
    """The training loss at weights + length * unit direction."""
    start, found = [p.numpy().copy() for p in model.parameters()], []
    norm = np.sqrt(sum((d**2).sum() for d in directions))
    with minidl.no_grad():
        for length in lengths:
            for p, w, d in zip(model.parameters(), start, directions, strict=True):
                p.data = w + (length / norm * d).astype(np.float32)
            found.append(loss_of(model).item())
    for p, w in zip(model.parameters(), start, strict=True):
        p.data = w
    return found


lengths, rng = np.linspace(0, 1.5, 16), np.random.default_rng(0)
fig, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
sharpness = {}
for name, callbacks, colour in (("SGD", [], VERMILLION), ("SAM, ρ = 0.3", [train.SAM(0.3)], BLUE)):
    runs = [run(callbacks, lr=0.2, dropout=0.0, seed=seed, epochs=30) for seed in (2, 1, 0)]
    score = {what: np.mean([history[-1][what] for _, history in runs]) for what in ("val_loss", "val_accuracy")}
    model = runs[-1][0].eval()  # whose landscape we look at
    uphill = [g.numpy() for g in minidl.grad(loss_of(model), list(model.parameters()))]
    ax.semilogy(lengths, walk_from(model, uphill, lengths), color=colour, linewidth=2, label=f"{name}, uphill")
    for k in range(5):
        anywhere = [rng.standard_normal(p.shape) for p in model.parameters()]
        ax.plot(lengths, walk_from(model, anywhere, lengths), ":", color=colour, linewidth=1,
                label=f"{name}, random" if k == 0 else None)
    sharpness[name] = greatest_curvature(model)
    print(f"{name:12} training loss {loss_of(model).item():.4f}, greatest curvature {sharpness[name]:.3f}; "
          f"held out, 3 seeds: loss {score['val_loss']:.3f}, accuracy {score['val_accuracy']:.3f}")
assert sharpness["SAM, ρ = 0.3"] < sharpness["SGD"]
dress(ax, "Training loss on the way out of the minimum", "distance", "loss")
key(ax)
plt.show()

# %% [markdown]
# ## Break it
#
# 1. Give `train.EMA` a decay of 0.9999 in section 3. After 600 steps the average still remembers the first epochs: how
#    much of its weight lies there? Without the correction of the bias it would be unusable; is it good with it?
# 2. Swap the sign of SAM: what would the gradient of the *best* place nearby do? The two lines below compute both
#    places for the bent ravine. Take ten steps by each and compare where they end.

# %%
g = minidl.grad(point(0.0).sum(), point.w)[0].numpy()
print(f"L at w: {point(0.0).item():.3f}; at w + e and w - e:",
      [round((0.12 * (p[0] - 1) ** 2 + (p[1] - 0.7 * p[0] ** 2) ** 2).item(), 3)
       for p in (point.w.numpy() + s * rho * g / np.linalg.norm(g) for s in (1, -1))])  # fmt: skip
