# %% [markdown]
# # Over-fitting: seen, measured, cured
#
# A model that explains its training data perfectly may be useless for everything else. This lesson shows what that
# looks like, takes the error apart into the three things it is made of, and cures it in four ways. The data are points
# on a curve, so that everything can be drawn; `benchmarks/regularization.py` does the same with images.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import nn, optim, train, viz
from minidl.viz.style import dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=viz.style.CLASSES)
minidl.manual_seed(0)
rng = np.random.default_rng(0)

SIGMA = 0.3  # the standard deviation of the noise


def truth(x):
    """What would be measured if there were no noise."""
    return np.sin(4 * x + 1)


def sample(n, rng):
    """n points with noise: y = t(x) + e, e normal with mean 0 and variance SIGMA²; one in each n-th of the interval."""
    x = (2 * np.arange(n) + 2 * rng.random(n)) / n - 1
    return x, truth(x) + SIGMA * rng.standard_normal(n)


grid = np.linspace(-0.95, 0.95, 200)  # places to look at

# %% [markdown]
# ## 1. Too stiff, about right, too nervous
#
# The model is a polynomial of degree $d$, and *fitting* it means to make the mean squared error on the training points
# as small as possible. That is a linear problem in the coefficients $w$, with a solution in one line:
#
# $$f(x) = \sum_{k=0}^{d} w_k P_k(x), \qquad w = \arg\min_w \frac1n\sum_{i=1}^n (y_i - f(x_i))^2.$$
#
# ($P_k$ are Legendre's polynomials. They describe the same functions as the powers $x^k$, and rounding errors stay
# small.) With degree 2 the model cannot bend enough: it *under-fits*. With degree 15 it has 16 numbers to choose for 20
# points, and chooses them so that it follows the noise: it *over-fits*. Look at the two errors: more degrees always
# make the *training error* smaller, and the *test error*, on points that were not fitted, tells the truth.
#
# *Source:* `numpy.polynomial.legendre`. *Reference:* Bishop (2006), "Pattern Recognition and Machine Learning",
# section 1.1.

# %%
def features(x, degree):
    """(N,) -> (N, degree + 1): the values of P_0 ... P_degree."""
    return np.polynomial.legendre.legvander(np.asarray(x), degree)


def fit_polynomial(x, y, degree):
    """The coefficients w with the least squared error."""
    return np.linalg.lstsq(features(x, degree), y, rcond=None)[0]


def error(x, y, w):
    """The mean squared error of a polynomial."""
    return float(np.mean((y - features(x, len(w) - 1) @ w) ** 2))


x, y = sample(20, rng)
x_test, y_test = sample(2000, rng)
fig, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained", sharey=True)
errors = {}
for ax, degree, word in zip(axes, (2, 5, 15), ("under-fitting", "about right", "over-fitting"), strict=True):
    w = fit_polynomial(x, y, degree)
    errors[degree] = error(x, y, w), error(x_test, y_test, w)
    ax.plot(grid, truth(grid), color=viz.style.GREY, linestyle=":", label="truth")
    ax.plot(x, y, "o", color=viz.style.INK, markersize=5, label="training points")
    ax.plot(grid, features(grid, degree) @ w, color=viz.style.VERMILLION, linewidth=2, label="fit")
    ax.set_ylim(-2.2, 2.2)
    dress(ax, f"Degree {degree}: {word}", "x", "y")
    key(ax)
    print(f"degree {degree:2}: training error {errors[degree][0]:.3f}, test error {errors[degree][1]:.3f}")
plt.show()
assert errors[15][0] < errors[5][0] < errors[2][0]  # the training error always falls
assert errors[5][1] < min(errors[2][1], errors[15][1])  # the test error does not

# %% [markdown]
# ## 2. The validation curve
#
# Which degree is best? The training points cannot say, for they always prefer the highest; and the test set must not,
# for what has been used for a choice cannot judge it afterwards. So a third set is held out, the *validation set*. The
# *validation curve* draws both errors against the knob one can turn. On the left both are bad (under-fitting), on the
# right they part (over-fitting), and the best value is in between. The bands are the standard deviation over 40
# training sets: on the right, even which error one gets is a matter of luck.
#
# *Source:* `minidl/viz/overfitting.py`. *Reference:* Hastie, Tibshirani, Friedman (2009), "The Elements of Statistical
# Learning", 2nd edition, section 7.2.

# %%
degrees = np.arange(13)
sets = [sample(20, rng) for _ in range(40)]
x_val, y_val = sample(500, rng)
fits = [[fit_polynomial(*points, degree) for points in sets] for degree in degrees]
seen = np.array([[error(*points, w) for points, w in zip(sets, row, strict=True)] for row in fits])  # (13, 40)
unseen = np.array([[error(x_val, y_val, w) for w in row] for row in fits])
ax = viz.validation_curve(degrees, seen, unseen, score="squared error", name="degree of the polynomial")
ax.axhline(SIGMA**2, color=viz.style.GREY, linestyle=":")
ax.text(0, SIGMA**2 * 0.93, "noise", va="top", fontsize=8, color=viz.style.GREY)
ax.set_yscale("log")
plt.show()
best = int(unseen.mean(axis=1).argmin())
print(f"best degree by validation: {best}; by training error it would be {int(seen.mean(axis=1).argmin())}")
assert best in (4, 5, 6) and seen.mean(axis=1).argmin() == 12

# %% [markdown]
# ## 3. Bias and variance: where the error comes from
#
# Imagine that the whole experiment is repeated: new training points, new fit, again and again. At a place $x$ the fits
# scatter around their own mean $\bar f(x)$, which need not be the truth $t(x)$. So there are three reasons to be wrong:
#
# $$\underbrace{\mathbb E\,(y - f)^2}_{\text{expected error}} =
# \underbrace{\mathbb E\,(y - t)^2}_{\text{noise}} + \underbrace{(t - \bar f)^2}_{\text{bias}^2} +
# \underbrace{\mathbb E\,(f - \bar f)^2}_{\text{variance}}.$$
#
# *Bias* is what is wrong on average: the model is too stiff. *Variance* is what changes from one training set to the
# next: the model is too nervous. The *noise* nobody can do anything about. (Why no other terms? Write
# $y-f = (y-t) + (t-\bar f) + (\bar f-f)$ and square it: the mixed products have mean zero.)
#
# *Source:* `minidl/train/bias_variance.py`. *Reference:* Geman, Bienenstock, Doursat (1992), "Neural networks and the
# bias/variance dilemma", Neural Computation 4.

# %%
many = [sample(20, rng) for _ in range(200)]
fig, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained", sharey=True)
for ax, degree in zip(axes, (2, 5, 12), strict=True):
    curves = np.stack([features(grid, degree) @ fit_polynomial(*points, degree) for points in many])  # (R, N)
    parts = train.bias_variance(curves, truth(grid), noise=SIGMA**2)
    ax.plot(grid, curves[:40].T, color=viz.style.SKY, linewidth=0.6, alpha=0.7)
    ax.plot([], [], color=viz.style.SKY, label="fits")
    ax.plot(grid, curves.mean(axis=0), color=viz.style.BLUE, linewidth=2.2, label="their mean")
    ax.plot(grid, truth(grid), color=viz.style.INK, linestyle=":", linewidth=1.8, label="truth")
    ax.set_ylim(-2.2, 2.2)
    dress(ax, f"Degree {degree}: bias² {parts['bias2']:.3f}, variance {parts['variance']:.3f}", "x", "y")
    key(ax)
plt.show()

# %% [markdown]
# The picture to remember: bias falls with complexity, variance rises, and the best model is where the *sum* is least.
# The crosses are the errors that were really measured, on new noisy points that the decomposition knows nothing of.
#
# For least squares one part is known in closed form. The fit at the training points is a projection of $y$ onto a space
# of $p = d+1$ dimensions, which keeps the share $p/n$ of the noise: variance $= \sigma^2\,p/n$ there. That is the price
# of a parameter.

# %%
parts, measured = [], []
places = rng.uniform(-0.95, 0.95, 300)
noisy = truth(places) + SIGMA * rng.standard_normal((200, 300))  # new measurements for each of the 200 models
for degree in degrees:
    said = np.stack([features(places, degree) @ fit_polynomial(*points, degree) for points in many])
    parts.append(train.bias_variance(said, truth(places), noise=SIGMA**2))
    measured.append(float(np.mean((noisy - said) ** 2)))
    gap = np.mean((said - truth(places)) ** 2) - parts[-1]["bias2"] - parts[-1]["variance"]
    assert abs(gap) < 1e-12  # the identity is exact
    assert abs(measured[-1] / parts[-1]["total"] - 1) < 0.05  # and so is the prediction, but for chance
viz.bias_variance(degrees, parts, test=measured, name="degree of the polynomial")
plt.show()
bias2, variance = ([part[name] for part in parts] for name in ("bias2", "variance"))
assert bias2[0] > 50 * bias2[5] and variance[12] > 2 * variance[5]

fixed = np.linspace(-1, 1, 30)  # the same places each time, only new noise
refits = np.stack([features(fixed, 5) @ fit_polynomial(fixed, truth(fixed) + SIGMA * e, 5)
                   for e in rng.standard_normal((4000, 30))])  # fmt: skip
found = train.bias_variance(refits, truth(fixed))["variance"]
print(f"6 parameters, 30 points: variance {found:.4f}, sigma² p/n = {SIGMA**2 * 6 / 30:.4f}")
assert abs(found / (SIGMA**2 * 6 / 30) - 1) < 0.03

# %% [markdown]
# ## 4. Learning curves: would more data help?
#
# A *learning curve* draws the errors against the number of training points. With few points the training error is too
# good to be true and the other one is bad; they approach each other. Where do they meet?
#
# * Degree 2: soon, and high above the noise. More data changes nothing, the model is too small.
# * Degree 12: late, but down at the noise. The model is good and only needs data: with 1,000 points it does not
#   over-fit.
#
# *Reference:* Cortes, Jackel, Solla, Vapnik, Denker (1993), "Learning curves: asymptotic values and rate of
# convergence", NIPS 6.

# %%
sizes = [20, 40, 80, 160, 320, 1000]
fig, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained", sharey=True)
ends = {}
for ax, degree in zip(axes, (2, 5, 12), strict=True):
    rows = []
    for n in sizes:
        trials = [sample(n, rng) for _ in range(30)]
        fitted = [fit_polynomial(*points, degree) for points in trials]
        own = [error(*points, w) for points, w in zip(trials, fitted, strict=True)]
        rows.append([own, [error(x_val, y_val, w) for w in fitted]])
    seen, unseen = np.transpose(rows, (1, 0, 2))  # each (6, 30)
    viz.learning_curve(sizes, seen, unseen, ax, score="squared error", floor=SIGMA**2, title=f"Degree {degree}")
    ends[degree] = unseen.mean(axis=1)
axes[0].set_ylim(0, 0.5)
plt.show()
assert ends[12][0] > ends[2][0] and ends[12][-1] < ends[2][-1] / 2  # stiff is better with few points, not with many

# %% [markdown]
# ## 5. A network does it too
#
# A network with two hidden layers of 64 units has 4,353 parameters, here for 25 points. Trained for long it does what
# the polynomial did. But it does it *slowly*: the rough shape of the truth comes first and the noise last. So the
# number of epochs is a knob like the degree, and its validation curve is the history that `fit` returns.
#
# *Early stopping* turns that knob: it stops when the validation loss has not improved for `patience` epochs, and puts
# the best weights back.
#
# *Source:* `minidl/train/callbacks.py`. *Reference:* Prechelt (1998), "Early Stopping - But When?", in: Neural
# Networks: Tricks of the Trade, Springer.

# %% tags=["varies"]
def column(v):
    return np.asarray(v, np.float32).reshape(-1, 1)  # (N,) -> (N, 1), as a network takes it


def fit_network(points, epochs=500, **options):
    """Train a network from the same first weights; returns it with its history."""
    minidl.manual_seed(4)
    model = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    history = train.fit(
        model, (column(points[0]), column(points[1])), loss=nn.MSELoss(), epochs=epochs, batch_size=len(points[0]),
        optimizer=optim.Adam(model.parameters(), lr=0.005), progress=False, **options,
    )  # fmt: skip
    return model, history


few, held_out = sample(25, rng), sample(25, rng)
validation = column(held_out[0]), column(held_out[1])
long, history = fit_network(few, validation=validation)
short, stopped = fit_network(few, validation=validation, callbacks=[train.EarlyStopping(patience=100)])
print(f"after {len(history)} epochs: training {history[-1]['loss']:.3f}, validation {history[-1]['val_loss']:.3f}")
print(stopped.stopped)

fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
viz.curve(history, "loss", left, log=True, title="Loss by epoch")
right.plot(grid, truth(grid), color=viz.style.GREY, linestyle=":", label="truth")
right.plot(*few, "o", color=viz.style.INK, markersize=5, label="training points")
for model, label, colour in ((long, "trained to the end", "C1"), (short, "stopped early", "C0")):
    right.plot(grid, train.predict(model, column(grid)), color=colour, linewidth=2, label=label)
right.set_ylim(-2.2, 2.2)
dress(right, "What was learnt", "x", "y")
key(right)
plt.show()


def network_error(model):
    return float(np.mean((train.predict(model, column(x_test)) - column(y_test)) ** 2))


assert history[-1]["loss"] < 0.5 * SIGMA**2  # better than possible: it has learnt noise
assert network_error(short) < network_error(long)

# %% [markdown]
# ## 6. Four cures
#
# 1. **A penalty** on the size of the weights, $L + \frac{\lambda}{2}\sum w^2$: a large weight must be worth its price.
#    Its strength $\lambda$ is one more knob with a validation curve.
# 2. **Early stopping**, as above.
# 3. **An average of several models**, each trained on a resample of the points (drawn with replacement: the
#    *bootstrap*). The average of $R$ models has the same bias, and a smaller variance: *bagging*.
# 4. **More data.** The best cure, when it can be had; where it cannot, *augmentation* makes variations of what there
#    is, which is what most of the methods in `minidl.data.augment` are for.
#
# *Source:* `minidl/train/penalty.py`. *References:* Breiman (1996), "Bagging predictors", Machine Learning 24;
# Goodfellow, Bengio, Courville (2016), "Deep Learning", chapter 7.

# %% tags=["varies"]
strengths = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
seen, unseen, models = [], [], []
for strength in strengths:
    model, rows = fit_network(few, callbacks=[train.Penalty(l2=strength)])
    seen.append(rows[-1]["loss"])
    unseen.append(train.evaluate(model, validation, nn.MSELoss())["loss"])
    models.append(model)
decayed = models[int(np.argmin(unseen))]


def resampled(points, rng):
    chosen = rng.integers(0, len(points[0]), len(points[0]))
    return points[0][chosen], points[1][chosen]


bag = [fit_network(resampled(few, rng), epochs=250)[0] for _ in range(5)]
bagged = np.mean([train.predict(model, column(x_test)) for model in bag], axis=0)
plenty, _ = fit_network(sample(400, rng), epochs=250)

results = {
    "trained to the end": network_error(long),
    "penalty L2": network_error(decayed),
    "early stopping": network_error(short),
    "bagging, 5 models": float(np.mean((bagged - column(y_test)) ** 2)),
    "16 times the data": network_error(plenty),
}
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained")
viz.validation_curve(strengths, seen, unseen, left, name="strength of the penalty", log=True, title="The first cure")
right.barh(list(results), list(results.values()), color=[viz.style.GREY] + [viz.style.BLUE] * 4, height=0.6)
right.invert_yaxis()
right.axvline(SIGMA**2, color=viz.style.INK, linestyle=":")
right.text(SIGMA**2, 1.01, "noise", ha="center", fontsize=8, transform=right.get_xaxis_transform())
dress(right, "Test error", "mean squared error on 2,000 new points", grid="x")
plt.show()
for name, value in results.items():
    print(f"{name:20} {value:.3f}")
assert all(value < results["trained to the end"] for name, value in results.items() if name != "trained to the end")
assert results["16 times the data"] < 1.15 * SIGMA**2

# %% [markdown]
# ## Break it
#
# Two lines that fool almost everybody once. Here the labels are pure noise: there is nothing to learn, and an honest
# error cannot be below 1. But the best of 200 random predictions, *chosen by its error on the validation set*, looks
# good on that set. On new data it is worth what it is worth. Change 200 to 2, or to 20,000, and see how much of the
# success is the choosing.

# %%
labels, guesses = rng.standard_normal(20), 0.5 * rng.standard_normal((200, 20))
chosen = np.mean((guesses - labels) ** 2, axis=1).min()  # the best of 200 on the 20 validation points ...
print(f"the chosen one: validation error {chosen:.2f}; expected on new points: 1.25")
assert chosen < 1
