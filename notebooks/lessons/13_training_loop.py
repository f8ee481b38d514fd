# %% [markdown]
# # The training loop
#
# A training run is one short loop: take some samples, compute the loss, go back for the gradient, take a step, again.
# This lesson writes that loop by hand, and then shows that `train.fit` does the same, number for number. After that it
# adds what a real run needs, one thing at a time: means that are right, shuffling, held-out data, stopping at the best
# epoch, going on after a crash, and a learning rate that is well chosen and changes.
#
# Before this: 12 (modules, train and eval mode). After it: 14 (over-fitting), 11 (what optimisers do).
#
# *Batch*: the samples that are used for one step. *Step*: one change of the weights. *Epoch*: one pass over all
# training samples. *Logits*: the outputs of a classifier, one number for each class, before softmax.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import data, models, nn, optim, train, viz
from minidl.nn import functional as F
from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, INK, ORANGE, VERMILLION, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
digits, held_out = data.split(data.load_digits(), (1000, 797), stratify=True, rng=0)  # 8x8 pixels, ten classes
x, y = digits.x, digits.y
print(digits, held_out, sep="\n")


def fresh(lr=0.1, hidden=(64,), dropout=0.0):
    """The same small network each time, with the same first weights, and its optimiser."""
    minidl.manual_seed(0)
    model = models.mlp((1, 8, 8), 10, hidden, dropout)
    return model, optim.SGD(model.parameters(), lr=lr, momentum=0.9)

# %% [markdown]
# ## 1. Ten lines
#
# *Stochastic gradient descent* does not compute the gradient of the loss over all $N$ samples, but over a batch $B$ of
# a few of them, which is a good guess and far cheaper:
#
# $$w \leftarrow w - \eta\,\nabla_w \frac{1}{|B|}\sum_{n\in B} L\big(f_w(x_n),\, y_n\big).$$
#
# (With momentum, as here, the optimiser adds up the gradients of the past as well; lesson 11.) In each epoch the
# samples are dealt out into batches in a new random order, so that each is used exactly once. Of the ten lines below,
# the four in the middle are the heart: *forward, forget the old gradient, backward, step*. Whoever leaves out
# `zero_grad` adds this gradient to the one before, for gradients accumulate (lesson 04).
#
# *Reference:* Bottou (2012), "Stochastic gradient descent tricks", in: Neural Networks: Tricks of the Trade.

# %%
model, optimizer = fresh()
by_hand = []
for _ in range(5):
    order, total = minidl.random.generator("shuffle").permutation(len(x)), 0.0
    for start in range(0, len(x), 64):
        batch = order[start : start + 64]
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += len(batch) * loss.item()
    by_hand.append(total / len(x))
print("loss by epoch:", *(f"{value:.4f}" for value in by_hand))
weights = [p.numpy().copy() for p in model.parameters()]

# %% [markdown]
# And now the same with `train.fit`. It shuffles with the same random stream, "shuffle", so from the same seed it must
# come to the same numbers, and it does: every loss and every weight, to the last bit. There is nothing in `fit` that is
# not in the ten lines, except for conveniences. Its source fits on one screen.
#
# *Source:* `minidl/train/fit.py`, `minidl/data/loader.py`. *Reference:* Goodfellow, Bengio, Courville (2016), "Deep
# Learning", section 8.3.1.

# %%
model, optimizer = fresh()
history = train.fit(model, (x, y), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=5, batch_size=64,
                    progress=False)
print("loss by epoch:", *(f"{value:.4f}" for value in history["loss"]))
assert history["loss"] == by_hand
assert all(np.array_equal(p.numpy(), w) for p, w in zip(model.parameters(), weights, strict=True))
print("the last row of the history:", history[-1])

# %% [markdown]
# ## 2. Means over samples, not over batches
#
# 1,000 samples in batches of 64 are 15 whole batches, and 40 samples left. A mean over the 16 batches would count each
# of those 40 more than the others. The mean over samples weights each batch with its size $n_b$:
#
# $$\bar v = \frac{\sum_b n_b\, v_b}{\sum_b n_b}.$$
#
# Then the result does not depend on the batch size, as it should be. That is true of *any* metric that is a mean over
# samples, such as accuracy. The second trap: the loss in a row of the history was taken *while the model learned*, so
# the batches at the beginning of the epoch were judged by a worse model. That is why training can look worse than
# validation in the first epochs. `train.evaluate` measures a model that stands still.
#
# *Source:* `Means` in `minidl/train/metrics.py`, `evaluate` in `minidl/train/fit.py`. *Reference:* Goodfellow, Bengio,
# Courville (2016), section 8.1.3.

# %%
sizes = [1000, 300, 64, 7, 333]
print("batch size   plain mean of batches   train.evaluate")
for size in sizes:
    parts = [slice(i, i + size) for i in range(0, len(x), size)]
    plain = np.mean([F.cross_entropy(model(x[p]), y[p]).item() for p in parts])
    score = train.evaluate(model, (x, y), loss=nn.CrossEntropyLoss(), metrics=["accuracy"], batch_size=size)
    print(f"{size:10} {plain:23.5f} {score['loss']:16.5f}   accuracy {score['accuracy']:.3f}")
    if size == sizes[0]:
        whole = score
    assert np.isclose(score["loss"], whole["loss"], rtol=1e-5) and np.isclose(score["accuracy"], whole["accuracy"])
    assert (len(x) % size == 0) == np.isclose(plain, whole["loss"], rtol=1e-5)
print(f"\nin the history, taken on the way: {history[-1]['loss']:.5f}; afterwards: {whole['loss']:.5f}")
assert whole["loss"] < history[-1]["loss"]

# %% [markdown]
# ## 3. Batch size and shuffling
#
# How good a guess is the gradient $g_B$ of a batch for the gradient $g$ of all $N$ samples? Let $\Sigma$ be the
# covariance of the gradients of single samples. For $B$ samples drawn without replacement,
#
# $$\mathbb{E}\,\lVert g_B - g\rVert^2 = \frac{\operatorname{tr}\Sigma}{B}\cdot\frac{N-B}{N-1}.$$
#
# The error falls with $1/\sqrt B$ only: four times the work halves it. So small batches and many steps are a good
# bargain, down to where the processor is no longer busy. The dots in the picture are measured, the line is the formula.
#
# "Drawn at random" is essential. On the right, the same run on data *sorted by class*, shuffled and not. Unshuffled,
# the network sees nothing but zeros, then nothing but ones, and forgets each digit while it learns the next. (Only
# training is shuffled. For measuring the order does not matter.)
#
# *Source:* `minidl/data/loader.py`. *Reference:* Bottou, Curtis, Nocedal (2018), "Optimization methods for large-scale
# machine learning", SIAM Review 60, section 4.

# %%
model, _ = fresh()


def gradient(batch):
    """The gradient of the batch's mean loss, as one long vector."""
    found = minidl.grad(F.cross_entropy(model(x[batch]), y[batch]), list(model.parameters()))
    return np.concatenate([g.numpy().ravel() for g in found])


rng, N = np.random.default_rng(0), len(x)
g = gradient(np.arange(N))
trace = np.mean([((gradient([n]) - g) ** 2).sum() for n in range(N)])  # tr of the covariance: all single samples
batch_sizes = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256, 512])
expected = np.sqrt(trace / batch_sizes * (N - batch_sizes) / (N - 1))
drawn = [[rng.choice(N, B, replace=False) for _ in range(60)] for B in batch_sizes]
measured = np.array([np.mean([((gradient(b) - g) ** 2).sum() for b in bs]) ** 0.5 for bs in drawn])
assert np.allclose(measured, expected, rtol=0.15)

by_class = np.argsort(y, kind="stable")
losses = {}
for name, shuffle in (("shuffled", True), ("sorted", False)):
    model_s, optimizer_s = fresh(lr=0.02)
    loader = data.DataLoader(data.Dataset(x[by_class], y[by_class]), batch_size=50, shuffle=shuffle)
    record = []
    watch = train.Callback(on_batch_end=lambda run, record=record: record.append(run.batch_loss))
    train.fit(model_s, loader, loss=nn.CrossEntropyLoss(), optimizer=optimizer_s, epochs=5, callbacks=[watch],
              progress=False)
    score = train.evaluate(model_s, held_out, metrics=["accuracy"])["accuracy"]
    losses[f"{name}: {score:.0%} right on held-out digits"] = record
    assert (score > 0.85) == shuffle

fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.9), layout="constrained", width_ratios=(1, 1.3))
left.loglog(batch_sizes, measured / np.linalg.norm(g), "o", label="measured, 60 batches each")
left.loglog(batch_sizes, expected / np.linalg.norm(g), color=GREY, label="formula", zorder=0)
left.axhline(1, color=INK, linewidth=0.8, linestyle=":")
dress(left, "Error of a batch's gradient", "batch size", "length of the error / length of the gradient", "both")
key(left)
for (name, record), colour in zip(losses.items(), (BLUE, VERMILLION), strict=True):
    right.plot(range(1, len(record) + 1), record, color=colour, label=name)
dress(right, "The loss of each batch, data sorted by class", "step (20 in an epoch)", "loss")
key(right)
plt.show()

# %% [markdown]
# ## 4. Validation, and stopping at the right time
#
# The training loss says how well the network knows the samples that it has seen. What we want to know is how well it
# does on others. So some data are *held out*: never trained on, only measured after each epoch (`validation=`). Below
# there are 120 training samples, and 15 % of their labels are slips of whoever typed them in (at random). First the
# network learns what a 3 looks like; then, to get the slips right as well, it learns single samples by heart. The
# training loss goes on falling, the validation loss rises.
#
# *Early stopping* watches the validation loss and stops when it has not improved for `patience` epochs. By then the
# weights are `patience` epochs too old, so it puts back the best ones. Because the best epoch was *chosen* by the
# held-out data, its loss is a little flattering; an honest final score needs a third set, which nothing was chosen by.
#
# *Source:* `EarlyStopping` in `minidl/train/callbacks.py`, `minidl/viz/history.py`. *Reference:* Prechelt (1998),
# "Early stopping - but when?", in: Neural Networks: Tricks of the Trade.

# %% tags=["varies"]
rng = np.random.default_rng(1)
slips = rng.random(120) < 0.15
few, more = (x[:120], np.where(slips, rng.integers(0, 10, 120), y[:120])), (held_out.x, held_out.y)
model, optimizer = fresh(lr=0.05)
stop = train.EarlyStopping(monitor="val_loss", patience=25)
history = train.fit(model, few, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=300, batch_size=20,
                    validation=more, metrics=["accuracy"], callbacks=[stop], progress=False)
print("stopped in epoch", len(history), "because", history.stopped)
viz.curves(history, log=True)
plt.show()
restored = train.evaluate(model, more, loss=nn.CrossEntropyLoss(), batch_size=20)["loss"]
print(f"validation loss of the model now {restored:.4f}, in the best epoch {stop.best_value:.4f}, "
      f"in the last one {history[-1]['val_loss']:.4f}")
assert restored == stop.best_value == min(history["val_loss"]) < history[-1]["val_loss"]
assert len(history) == stop.best_epoch + 25

# %% [markdown]
# The validation loss grows by a third after the best epoch, and the accuracy loses five points. Often only the loss
# gets worse: it also punishes certainty in the wrong place, and a network that learns by heart becomes ever more
# certain. Stop by the one that matters for the task; `monitor="val_accuracy"` takes the other one.
#
# ## 5. Going on after a crash, exactly
#
# What must be saved so that a run can go on as if nothing had happened? Not only the weights. The optimiser remembers
# (momentum, Adam's averages), the schedule knows how far it is, early stopping has its best weights, batch norm its
# running statistics; and chance itself has a state: which order comes next, which units dropout will drop. The callback
# `Checkpoint` saves all of it after each epoch, and `fit(resume=folder)` goes on from there. The program is simply
# started again, with no change.
#
# Below, a run of eight epochs with dropout is "killed" in the middle of the sixth. Resumed, it ends with the *same
# bits* as one that ran through. The orange run was continued in the naive way, from the weights alone: its optimiser
# has forgotten, and its schedule begins anew, with a large rate. That it looks good here is beside the point. It is
# another experiment than the one that was planned, and nobody can repeat it without killing a run at the same place.
#
# *Source:* `minidl/train/checkpoint.py`. *Reference:* Gundersen, Coakley, Kirkpatrick, Gil (2022), "Sources of
# irreproducibility in machine learning: a review", arXiv:2204.07610.

# %%
def killer(run):
    if run.epoch == 6 and run.batch == 7:
        raise SystemError("the power went off")  # stands for anything that ends a process


def run_through(epochs=8, resume=None, callbacks=(), start=None):
    minidl.manual_seed(0)
    model = models.mlp((1, 8, 8), 10, (64,), dropout=0.3)
    if start is not None:
        train.load_weights(model, start)
    optimizer = optim.Adam(model.parameters(), lr=0.005)
    try:
        history = train.fit(model, (x, y), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=epochs,
                            schedule=optim.CosineAnnealingLR(optimizer, 8), callbacks=callbacks, resume=resume,
                            progress=False)
    except SystemError as error:
        return model, str(error)
    return model, history


through, full = run_through()
with tempfile.TemporaryDirectory() as folder:
    keep = train.Checkpoint(folder, monitor="loss")
    print("first attempt:", run_through(callbacks=[keep, train.Callback(on_batch_end=killer)])[1])
    state = train.load_checkpoint(folder)
    print(f"saved after epoch {state['epoch']}:", ", ".join(state))
    naive, after = run_through(epochs=3, start=Path(folder) / "best.safetensors")
    resumed, again = run_through(callbacks=[keep], resume=folder)
assert state["epoch"] == 5 and list(again) == list(full)
same = [np.array_equal(a.numpy(), b.numpy()) for a, b in zip(through.parameters(), resumed.parameters(), strict=True)]
print("weights equal, bit for bit:", same)
assert all(same)
assert not np.array_equal(next(through.parameters()).numpy(), next(naive.parameters()).numpy())

fig, ax = plt.subplots(figsize=(7.5, 3.7), layout="constrained")
ax.plot(full["epoch"], full["loss"], color=BLUE, linewidth=5, alpha=0.35, label="ran through")
ax.plot(again["epoch"], again["loss"], "o-", color=BLUE, markersize=4, label="killed and resumed")
ax.plot([5, 6, 7, 8], [full[4]["loss"], *after["loss"]], "s--", color=ORANGE, markersize=5,
            label="continued from the weights alone")
ax.axvline(5.4, color=GREY, linestyle=":")
ax.annotate("killed", (5.4, full[0]["loss"]), (4, 0), textcoords="offset points", color=GREY, fontsize=9, va="top")
dress(ax, "Training loss", "epoch")
key(ax)
plt.show()

# %% [markdown]
# ## 6. Which learning rate?
#
# Try them all, in one short run: let the rate grow by a constant factor from step to step, $\eta_k = \eta_0 q^k$, and
# watch the loss. Too small, nothing happens; then it falls; then it explodes. About a tenth of the rate at which the
# smoothed loss turns up is a good choice. `lr_find` does this and puts model, optimiser and random streams back to what
# they were. On the right the check: for each of several rates a run of three epochs, and the loss after it.
#
# *Source:* `minidl/train/lr_find.py`. *Reference:* Smith (2017), "Cyclical learning rates for training neural
# networks", WACV, arXiv:1506.01186.

# %% tags=["varies"]
model, optimizer = fresh(lr=0.1)
search = train.lr_find(model, (x, y), loss=nn.CrossEntropyLoss(), optimizer=optimizer, start=1e-4, end=20)
lr, smooth = np.array(search["lr"]), np.array(search["smooth"])
turn = lr[smooth.argmin()]
chosen = turn / 10
assert optimizer.param_groups[0]["lr"] == 0.1  # put back

rates = np.geomspace(1e-4, 3, 10)
after = []
for rate in [*rates, chosen]:
    model, optimizer = fresh(lr=rate)
    train.fit(model, (x, y), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=3, progress=False)
    after.append(train.evaluate(model, (x, y), loss=nn.CrossEntropyLoss())["loss"])
*after, of_chosen = after
print(f"the loss turns up at {turn:.2f}; chosen {chosen:.3f}: loss {of_chosen:.3f} after three epochs, "
      f"best of all {min(after):.3f}")
assert of_chosen < 2.5 * min(after) and max(after) > 5 * of_chosen

fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.7), layout="constrained", sharex=True)
left.semilogx(lr, search["loss"], ".", color=GREY, markersize=4, label="batch")
left.semilogx(lr, smooth, linewidth=2, label="moving average")
right.semilogx(rates, after, "o-", color=BLUE, label="a run with this rate")
for ax in (left, right):
    ax.axvline(turn, color=GREY, linestyle=":")
    ax.axvline(chosen, color=GREEN, linewidth=2, label=f"chosen: {chosen:.3f}")
left.set_ylim(0, 6)
dress(left, "lr_find: 100 steps, the rate grows", "learning rate", "loss")
dress(right, "Three epochs with a constant rate", "learning rate", "loss afterwards")
key(left)
key(right)
plt.show()

# %% [markdown]
# ## 7. Rates that change
#
# Far from the minimum large steps are good, near it the noise of the batches shakes the weights by an amount that grows
# with the rate. So the rate should fall in the end. A *schedule* is a function of the step (or epoch) that sets it.
# Half a cosine, for example, over $T$ steps:
#
# $$\eta_t = \eta_{\min} + \tfrac12(\eta_{\max}-\eta_{\min})\left(1+\cos\frac{\pi t}{T}\right).$$
#
# A *warm-up* begins with small rates, because the first gradients point anywhere; *one cycle* goes up, then down, and
# moves the momentum the other way. `fit(schedule=s)` steps a schedule after each epoch, `train.Schedule(s,
# every="batch")` after each batch. Below, the shapes, and runs of eight epochs with and without. With a large constant
# rate the loss falls fast and then stays up, shaken; with a small one it is slow. One cycle has the good side of both.
#
# *Source:* `minidl/optim/lr_scheduler/`, `minidl/train/schedule.py`. *Reference:* Loshchilov, Hutter (2017), "SGDR:
# stochastic gradient descent with warm restarts", ICLR, arXiv:1608.03983; Smith, Topin (2018), "Super-convergence",
# arXiv:1708.07120.

# %%
T = 100
warm_up = lambda o: optim.SequentialLR(o, [optim.LinearLR(o, 0.01, 1.0, 20), optim.CosineAnnealingLR(o, 80)], [20])  # noqa: E731
shapes = {
    "StepLR": lambda o: optim.StepLR(o, 30, gamma=0.3),
    "ExponentialLR": lambda o: optim.ExponentialLR(o, 0.97),
    "CosineAnnealingLR": lambda o: optim.CosineAnnealingLR(o, T),
    "warm restarts": lambda o: optim.CosineAnnealingWarmRestarts(o, 14, T_mult=2),
    "warm-up, then cosine": warm_up,
    "CyclicLR": lambda o: optim.CyclicLR(o, 0.05, 1.0, 16, mode="triangular2"),
    "OneCycleLR": lambda o: optim.OneCycleLR(o, 1.0, total_steps=T),
}
fig, axes = plt.subplots(1, 7, figsize=(15, 2.3), layout="constrained", sharey=True)
for ax, (name, make) in zip(axes, shapes.items(), strict=True):
    model, optimizer = fresh(lr=1.0)
    schedule, values = make(optimizer), []
    for _ in range(T):
        values.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    ax.plot(values, linewidth=2)
    if name == "CosineAnnealingLR":
        assert np.allclose(values, 0.5 * (1 + np.cos(np.pi * np.arange(T) / T)))
    dress(ax, name, "step", "rate" if name == "StepLR" else "")
plt.show()

# %% tags=["varies"]
EPOCHS, curves, ends = 8, {}, {}
plans = {
    "constant 0.4": (0.4, None),
    "constant 0.1": (0.1, None),
    "constant 0.02": (0.02, None),
    "one cycle up to 0.4": (0.4, lambda o: train.Schedule(optim.OneCycleLR(o, 0.4, epochs=EPOCHS, steps_per_epoch=32),
                                                          every="batch")),
}  # fmt: skip
for name, (rate, make) in plans.items():
    model, optimizer = fresh(lr=rate)
    record = curves[name] = []
    watch = train.Callback(on_batch_end=lambda run, record=record: record.append(run.batch_loss))
    train.fit(model, (x, y), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=EPOCHS, progress=False,
              callbacks=[watch], schedule=make(optimizer) if make else None)
    ends[name] = train.evaluate(model, (x, y), loss=nn.CrossEntropyLoss())["loss"]
fig, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
for (name, record), colour in zip(curves.items(), (VERMILLION, GREEN, GREY, BLUE), strict=True):
    ax.semilogy(np.convolve(record, np.ones(8) / 8, "valid"), color=colour, linewidth=1.6,
                label=f"{name}: {ends[name]:.3f} in the end")
dress(ax, "Training loss, mean of 8 batches", "step", "loss")
key(ax)
plt.show()
print({name: round(value, 4) for name, value in ends.items()})
assert ends["one cycle up to 0.4"] < min(value for name, value in ends.items() if name.startswith("constant"))

# %% [markdown]
# ## Break it
#
# 1. In section 1 delete the line `optimizer.zero_grad()` from the loop by hand. In the first epoch it seems to learn
#    even faster. What happens then, and why? (And in section 5, leave the `schedule` out when the killed run is started
#    again. What does `resume` say?)
# 2. One pixel of one image was not recorded. Read what `fit` says. Then find the image with a `train.Callback` that
#    looks at `run.inputs`. At which of its moments must it look, in order to come before the error?

# %%
broken = x.copy()
broken[500, 0, 3, 3] = np.nan
model, optimizer = fresh()
try:
    train.fit(model, (broken, y), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=3, progress=False)
except FloatingPointError as error:
    print(error)
