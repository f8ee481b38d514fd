# %% [markdown]
# # A7. Normalise, drop, penalise
#
# You write three things that keep a network from going wrong in training: batch norm, which gives every feature mean 0
# and variance 1 again; dropout, which hides a random part of the network in every step; and penalties, which make large
# weights cost something. Each comes with its backward pass. Batch norm is the hard one: its mean and variance are made
# of the very numbers that are normalised, so every output depends on the whole batch.
#
# | exercise | graded cells | marks |
# |---|---|---|
# | 1. Batch norm in training | output | 10 |
# | 2. Running statistics | mean, variance | 4 + 6 |
# | 3. Batch norm in use | output, dx | 5 + 5 |
# | 4. Batch norm, backward | dx, dgamma, dbeta | 14 + 5 + 3 |
# | 5. Batch norm for images | output, dx, dgamma, dbeta | 6 + 9 + 4 + 3 |
# | 6. Inverted dropout | output, dx | 7 + 6 |
# | 7. Penalties on weights | value, gradients | 6 + 7 |
#
# **Read before:** lessons 15 (penalties), 16 (dropout) and 17 (normalisation); 05 for what a gradient check does.
#
# **How to work.** Write in place of `# YOUR CODE HERE` (and delete the line below it), run the cell, then run the
# graded cell under it and read what it says. The exercises do not depend on each other. `minidl course check A7` runs
# all of them, `minidl course submit A7` packs your notebook. A graded cell gives all of its marks or none. Some of its
# checks are hidden: they try what the text asks for on other and harder numbers.
#
# **Rules for all functions.** Arrays in, arrays out: nothing that is passed in is changed. float32 stays float32, and
# float64 stays float64. A backward function takes `dout`, the gradient of the loss with respect to the output, and then
# the arguments of the forward function. Use NumPy and the standard library; not torch or the like, and nothing of
# minidl in your own cells.

# %% given
import numpy as np

from minidl import course

# %% [markdown]
# ## 1. Batch norm in training (10 marks)
#
# `x` has shape (N, C): N samples, C features. Every feature gets the mean $\mu_c$ and the variance $\sigma^2_c$ that it
# has in this batch, then a learned scale $\gamma_c$ and offset $\beta_c$:
#
# $$\mu_c = \frac1N\sum_n x_{nc}, \qquad \sigma^2_c = \frac1N\sum_n (x_{nc}-\mu_c)^2, \qquad
# \hat x_{nc} = \frac{x_{nc}-\mu_c}{\sqrt{\sigma^2_c+\varepsilon}}, \qquad
# \mathrm{out}_{nc} = \gamma_c\,\hat x_{nc} + \beta_c .$$
#
# $\varepsilon$ (`eps`) keeps a constant feature from dividing by zero. Be right also for a feature that is far from
# zero compared with its spread, say around a million with a spread of 1.
#
# *Hint:* the formula $\sigma^2 = E[x^2]-E[x]^2$ is true on paper. How many digits of a number around $10^{12}$ does
# float64 keep behind the point?
#
# *Read:* lesson 17, section 1. *Source, afterwards:* `minidl/ops/normalize.py`. *Reference:* Ioffe, Szegedy (2015),
# "Batch normalization", arXiv:1502.03167, algorithm 1.

# %% solution id="batchnorm_train"
def batchnorm_train(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> np.ndarray:
    """Batch norm with the statistics of this batch, out[n, c] = gamma[c] xhat[n, c] + beta[c].

    x (N, C), gamma (C,), beta (C,), eps > 0 -> out (N, C), of the dtype of x.
    """
    ### BEGIN SOLUTION
    centred = x - x.mean(axis=0)
    variance = (centred**2).mean(axis=0)
    return gamma * centred / np.sqrt(variance + eps) + beta
    ### END SOLUTION

# %% test id="bn_out" points=10
from minidl.nn import functional as F

with course.checks("Batch norm in training, the output", lesson=17) as t:
    def in_training(x, gamma, beta, eps):
        return F.batch_norm(x, weight=gamma, bias=beta, training=True, eps=eps)

    def with_statistics(mean, var, x, gamma, beta):
        return F.batch_norm(x, mean, var, gamma, beta, eps=0.0)

    inputs = course.probe(1, x="NC", gamma="C", beta="C", N=6, C=4)
    mistakes = {
        "the variance is divided by N less one; the batch itself is normalised with N":
            lambda x, g, b, eps: with_statistics(x.mean(0), x.var(0, ddof=1) + eps, x, g, b),
        "eps is not used": lambda x, g, b, eps: in_training(x, g, b, 0.0),
        "eps is added outside the root: it belongs to the variance":
            lambda x, g, b, eps: with_statistics(x.mean(0), (x.std(0) + eps) ** 2, x, g, b),
        "divided by the variance: the root is missing":
            lambda x, g, b, eps: with_statistics(x.mean(0), (x.var(0) + eps) ** 2, x, g, b),
        "the mean is not subtracted": lambda x, g, b, eps: with_statistics(0 * b, x.var(0) + eps, x, g, b),
        "one mean and variance for all features together; each feature has its own":
            lambda x, g, b, eps: with_statistics(0 * b + x.mean(), 0 * b + x.var() + eps, x, g, b),
        "the statistics are those of each sample (axis 1, layer norm); batch norm averages over the samples":
            lambda x, g, b, eps: F.layer_norm(x, x.shape[1], g, b, eps),
        "gamma is not used": lambda x, g, b, eps: in_training(x, None, b, eps),
        "beta is not used": lambda x, g, b, eps: in_training(x, g, None, eps),
        "gamma and beta have changed places": lambda x, g, b, eps: in_training(x, b, g, eps),
    }  # fmt: skip
    t.value("a batch of 6, eps = 0.2", batchnorm_train, {**inputs, "eps": 0.2}, in_training, mistakes=mistakes)
    t.value("the usual eps", batchnorm_train, {**inputs, "eps": 1e-5}, in_training)
    ### BEGIN HIDDEN TESTS
    t.hide()
    far = {**inputs, "x": inputs["x"] + np.array([1e6, -2e6, 3e6, 1e6]), "eps": 1e-5}
    digits = "the variance is the difference of two huge numbers, and its digits cancel: centre first, then square"
    keys = ("value", "missing_term", "statistics", "scattered", "nan", "factor", "inexact", "one_slice", "offset")
    t.value("features far from zero", batchnorm_train, far, in_training, hints=dict.fromkeys(keys, digits))
    flat = {**inputs, "x": np.where(np.arange(4) == 2, 3.0, inputs["x"]), "eps": 1e-3}
    t.value("a constant feature", batchnorm_train, flat, in_training)
    one = course.probe(2, x="NC", gamma="C", beta="C", N=5, C=1)
    t.value("one feature", batchnorm_train, {**one, "eps": 0.05}, in_training)
    two = course.probe(3, x="NC", gamma="C", beta="C", N=2, C=5)
    t.value("a batch of two", batchnorm_train, {**two, "eps": 0.05}, in_training)
    single = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.value("float32 stays float32", batchnorm_train, {**single, "eps": 0.2}, in_training, rtol=1e-5)
    ### END HIDDEN TESTS

# %% [markdown]
# What it does to distributions: position and width become the same for all features, and the *shape* stays. A skewed
# feature is as skewed as before. On the right $\gamma$ and $\beta$ give every feature another position and width; a
# network learns which ones it wants.

# %% show
import matplotlib.pyplot as plt

from minidl.viz.style import BLUE, CLASSES, GREEN, GREY, ORANGE, SIGNED, VERMILLION, bare, dress, key

plt.rcParams["figure.dpi"] = 80
rng = np.random.default_rng(0)
samples = np.stack([rng.normal(6, 2, 4000), rng.exponential(1.5, 4000), rng.choice([-4.0, -1.0], 4000)], axis=1)
samples[:, 2] += rng.normal(0, 0.3, 4000)
panels = {
    "Before": samples,
    "Normalised": batchnorm_train(samples, np.ones(3), np.zeros(3), 1e-5),
    "With gamma = (2, 1, 0.5), beta = (3, 0, -3)":
        batchnorm_train(samples, np.array([2.0, 1.0, 0.5]), np.array([3.0, 0.0, -3.0]), 1e-5),
}  # fmt: skip
fig, axes = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained", sharex=True)
for ax, (title, values) in zip(axes, panels.items(), strict=True):
    for c, colour in enumerate((BLUE, VERMILLION, GREEN)):
        ax.hist(values[:, c], np.arange(-7, 14, 0.2), color=colour, alpha=0.6, label=f"feature {c}")
    dress(ax, title, "value", "samples of 4,000" * (title == "Before"))
    key(ax)
plt.show()

# %% [markdown]
# ## 2. Running statistics (4 + 6 marks)
#
# In use there is no batch to take statistics from. So in every step of training the layer also keeps a running mean
# $\bar\mu$ and a running variance $\bar\sigma^2$: a share of the batch's, the *momentum* $m$, and the rest of the old,
#
# $$\bar\mu \leftarrow (1-m)\,\bar\mu + m\,\mu, \qquad \bar\sigma^2 \leftarrow (1-m)\,\bar\sigma^2 + m\,s^2,
# \qquad s^2_c = \frac{1}{N-1}\sum_n (x_{nc}-\mu_c)^2 .$$
#
# This is PyTorch's convention: the momentum weighs the *new* value, and is usually 0.1. The divisor is $N-1$ here,
# because the running variance is an estimate for all the data, not a description of one batch. N is at least 2.
#
# *Hint:* return new arrays, and leave the old ones as they are. Features may be far from zero here too.
#
# *Read:* lesson 17, section 1. *Source, afterwards:* `update_running` in `minidl/ops/normalize.py`.

# %% solution id="update_running"
def update_running(
    mean: np.ndarray, var: np.ndarray, x: np.ndarray, momentum: float
) -> tuple[np.ndarray, np.ndarray]:
    """The running mean and variance after the batch x.

    mean (C,), var (C,), x (N, C) with N >= 2, 0 <= momentum <= 1 -> new mean (C,), new var (C,).
    """
    ### BEGIN SOLUTION
    new_mean = (1 - momentum) * mean + momentum * x.mean(axis=0)
    new_var = (1 - momentum) * var + momentum * x.var(axis=0, ddof=1)
    return new_mean, new_var
    ### END SOLUTION

# %% test id="running_mean" points=4
from minidl.nn import functional as F

with course.checks("The running mean", lesson=17) as t:
    def updated(mean, var, x, momentum):
        kept = mean.copy(), var.copy()
        F.batch_norm(x, *kept, training=True, momentum=momentum)  # writes into the two arrays
        return kept

    def updated_mean(*args):
        return updated(*args)[0]

    def your_mean(*args):
        return update_running(*args)[0]

    inputs = course.probe(4, mean="C", var="C", x="NC", N=5, C=3)
    inputs["var"] = inputs["var"] ** 2 + 0.5
    mistakes = {
        "old and new have changed places: the momentum weighs the new value":
            lambda mean, var, x, m: updated_mean(mean, var, x, 1 - m),
        "the old mean is forgotten": lambda mean, var, x, m: updated_mean(0 * mean, var, x, m),
        "this is the mean of the batch alone": lambda mean, var, x, m: updated_mean(mean, var, x, 1.0),
        "the batch is averaged over everything; each feature has its own mean":
            lambda mean, var, x, m: updated_mean(mean, var, 0 * x + x.mean(), m),
        "this is the running variance: the mean comes first": lambda *args: updated(*args)[1],
        "the batch counts as a whole: its share, the momentum, is missing":
            lambda mean, var, x, m: updated_mean(mean, var, x / m, m),
        "the old mean counts as a whole: its share is what the momentum leaves":
            lambda mean, var, x, m: updated_mean(mean / (1 - m), var, x, m),
    }  # fmt: skip
    t.value("momentum 0.1", your_mean, {**inputs, "momentum": 0.1}, updated_mean, mistakes=mistakes)
    t.value("momentum 0.75", your_mean, {**inputs, "momentum": 0.75}, updated_mean)
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = course.probe(5, mean="C", var="C", x="NC", N=2, C=4)
    other["var"] = other["var"] ** 2
    t.value("a batch of two", your_mean, {**other, "momentum": 0.3}, updated_mean)
    t.value("momentum one", your_mean, {**other, "momentum": 1.0}, updated_mean)
    t.value("momentum zero", your_mean, {**other, "momentum": 0.0}, updated_mean, edge=True)
    single = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.value("float32 stays float32", your_mean, {**single, "momentum": 0.1}, updated_mean, rtol=1e-5)
    ### END HIDDEN TESTS

# %% test id="running_var" points=6
from minidl.nn import functional as F

with course.checks("The running variance", lesson=17) as t:
    def updated(mean, var, x, momentum):
        kept = mean.copy(), var.copy()
        F.batch_norm(x, *kept, training=True, momentum=momentum)  # writes into the two arrays
        return kept

    def updated_var(*args):
        return updated(*args)[1]

    def your_var(*args):
        return update_running(*args)[1]

    def to_n(x):
        return 1 - 1 / len(x)  # from the divisor N - 1 to N

    inputs = course.probe(6, mean="C", var="C", x="NC", N=5, C=3)
    inputs["var"] = inputs["var"] ** 2 + 0.5
    mistakes = {
        "the batch's variance is divided by N; the running variance wants N less one":
            lambda mean, var, x, m: to_n(x) * updated_var(mean, var / to_n(x), x, m),
        "old and new have changed places: the momentum weighs the new value":
            lambda mean, var, x, m: updated_var(mean, var, x, 1 - m),
        "the old variance is forgotten": lambda mean, var, x, m: updated_var(mean, 0 * var, x, m),
        "this is the variance of the batch alone": lambda mean, var, x, m: updated_var(mean, var, x, 1.0),
        "the standard deviation of the batch enters in place of its variance":
            lambda mean, var, x, m: updated_var(mean, var, x / updated_var(mean, var, x, 1.0) ** 0.25, m),
        "the deviations are taken from the running mean, not from that of the batch":
            lambda mean, var, x, m:
                updated_var(mean, var, x, m) + m * (x.mean(0) - mean) ** 2 * len(x) / (len(x) - 1),
        "this is the running mean: the variance comes second": lambda *args: updated(*args)[0],
    }  # fmt: skip
    t.value("momentum 0.1", your_var, {**inputs, "momentum": 0.1}, updated_var, mistakes=mistakes)
    t.value("momentum 0.75", your_var, {**inputs, "momentum": 0.75}, updated_var)
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = course.probe(7, mean="C", var="C", x="NC", N=2, C=4)
    other["var"] = other["var"] ** 2
    t.value("a batch of two", your_var, {**other, "momentum": 0.3}, updated_var)
    t.value("momentum one", your_var, {**other, "momentum": 1.0}, updated_var)
    far = {**inputs, "x": inputs["x"] + np.array([1e6, -2e6, 3e6]), "momentum": 0.5}
    digits = "the variance is the difference of two huge numbers, and its digits cancel: centre first, then square"
    keys = ("value", "missing_term", "statistics", "scattered", "nan", "factor", "inexact", "one_element", "offset")
    t.value("features far from zero", your_var, far, updated_var, hints=dict.fromkeys(keys, digits))
    t.value("momentum zero", your_var, {**other, "momentum": 0.0}, updated_var, edge=True)
    single = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.value("float32 stays float32", your_var, {**single, "momentum": 0.1}, updated_var, rtol=1e-5)
    ### END HIDDEN TESTS

# %% [markdown]
# Why $N-1$? Below, batches of 3 are drawn from data with mean 1 and variance 4. A mean over 3 numbers lies nearer to
# them than the true mean does, so with the divisor N the variance comes out too small, by the factor $2/3$ on average.
# What is a trifle for a batch of 100 is a third here. The momentum decides how far back the statistics remember.

# %% show
rng = np.random.default_rng(1)
fig, axes = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
for momentum, colour in ((0.3, "#9CC7E3"), (0.02, BLUE)):
    mean, var, path = np.zeros(1), np.ones(1), []
    for _ in range(600):
        mean, var = update_running(mean, var, rng.normal(1, 2, (3, 1)), momentum)
        path.append((mean[0], var[0]))
    for ax, values in zip(axes, zip(*path, strict=True), strict=True):
        ax.plot(values, color=colour, linewidth=1, label=f"momentum {momentum}")
axes[0].axhline(1, color=VERMILLION, label="of the data")
axes[1].axhline(4, color=VERMILLION, label="of the data")
axes[1].axhline(4 * 2 / 3, color=VERMILLION, linestyle=":", label="the divisor N would give")
for ax, title in zip(axes, ("Running mean", "Running variance"), strict=True):
    dress(ax, title, "step (a batch of 3 each)")
    key(ax)
plt.show()

# %% [markdown]
# ## 3. Batch norm in use (5 + 5 marks)
#
# In use (`eval`) the statistics are given numbers, the running ones:
#
# $$\mathrm{out}_{nc} = \gamma_c\,\frac{x_{nc}-\bar\mu_c}{\sqrt{\bar\sigma^2_c+\varepsilon}} + \beta_c .$$
#
# Every sample is treated by itself, so a batch of one, or an empty one, is fine. For the backward pass it matters that
# $\bar\mu$ and $\bar\sigma^2$ do not depend on `x` here. Only dx is asked for (the other two are the sums of
# exercise 4, with these statistics).
#
# *Hint:* seen as a function of one $x_{nc}$, with all else fixed, what kind of function is this?
#
# *Read:* lesson 17, section 1. *Source, afterwards:* `normalize` in `minidl/kernels/norm.py`.

# %% solution id="batchnorm_eval"
def batchnorm_eval(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, var: np.ndarray, eps: float
) -> np.ndarray:
    """Batch norm with given statistics.

    x (N, C), gamma (C,), beta (C,), running mean (C,) and variance (C,), eps > 0 -> out (N, C), of the dtype of x.
    """
    ### BEGIN SOLUTION
    return gamma * (x - mean) / np.sqrt(var + eps) + beta
    ### END SOLUTION

# %% test id="eval_out" points=5
from minidl.nn import functional as F

with course.checks("Batch norm in use, the output", lesson=17) as t:
    def in_use(x, gamma, beta, mean, var, eps):
        return F.batch_norm(x, mean, var, gamma, beta, eps=eps)

    inputs = course.probe(8, x="NC", gamma="C", beta="C", mean="C", var="C", N=5, C=3)
    inputs["var"] = inputs["var"] ** 2 + 0.5
    mistakes = {
        "the statistics are those of the batch; in use they are the running ones, which are given":
            lambda x, g, b, mean, var, eps: F.batch_norm(x, weight=g, bias=b, training=True, eps=eps),
        "the mean is that of the batch; in use it is the running one":
            lambda x, g, b, mean, var, eps: in_use(x, g, b, x.mean(0), var, eps),
        "the variance is that of the batch; in use it is the running one":
            lambda x, g, b, mean, var, eps: in_use(x, g, b, mean, x.var(0), eps),
        "eps is not used": lambda x, g, b, mean, var, eps: in_use(x, g, b, mean, var, 0.0),
        "eps is added outside the root: it belongs to the variance":
            lambda x, g, b, mean, var, eps: in_use(x, g, b, mean, (var**0.5 + eps) ** 2, 0.0),
        "divided by the variance: the root is missing":
            lambda x, g, b, mean, var, eps: in_use(x, g, b, mean, (var + eps) ** 2, 0.0),
        "the running mean is not subtracted": lambda x, g, b, mean, var, eps: in_use(x, g, b, 0 * mean, var, eps),
        "gamma is not used": lambda x, g, b, mean, var, eps: in_use(x, None, b, mean, var, eps),
        "beta is not used": lambda x, g, b, mean, var, eps: in_use(x, g, None, mean, var, eps),
    }  # fmt: skip
    t.value("a batch of 5, eps = 0.2", batchnorm_eval, {**inputs, "eps": 0.2}, in_use, mistakes=mistakes)
    t.value("the usual eps", batchnorm_eval, {**inputs, "eps": 1e-5}, in_use)
    ### BEGIN HIDDEN TESTS
    t.hide()
    one = {**course.probe(9, x="NC", gamma="C", beta="C", mean="C", var="C", N=1, C=4), "eps": 1e-3}
    one["var"] = one["var"] ** 2 + 0.1
    t.value("a single sample", batchnorm_eval, one, in_use)
    empty = {**one, "x": np.zeros((0, 4))}
    t.value("an empty batch", batchnorm_eval, empty, in_use, edge=True)
    single = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.value("float32 stays float32", batchnorm_eval, {**single, "eps": 0.2}, in_use, rtol=1e-5)
    ### END HIDDEN TESTS

# %% solution id="batchnorm_eval_dx"
def batchnorm_eval_dx(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, var: np.ndarray, eps: float
) -> np.ndarray:
    """The gradient with respect to x of batch norm with given statistics.

    dout (N, C), then the arguments of batchnorm_eval -> dx (N, C).
    """
    ### BEGIN SOLUTION
    return dout * gamma / np.sqrt(var + eps)
    ### END SOLUTION

# %% test id="eval_dx" points=5
from minidl.nn import functional as F

with course.checks("Batch norm in use, dx", lesson=17) as t:
    def in_use(x, gamma, beta, mean, var, eps):
        return F.batch_norm(x, mean, var, gamma, beta, eps=eps)

    inputs = course.probe(10, x="NC", gamma="C", beta="C", mean="C", var="C", N=5, C=3)
    inputs["var"] = inputs["var"] ** 2 + 0.5
    slope = "one slope per feature, the same for all samples: compare it with the factor that forward gives to x"
    hints = {
        "statistics": "in use the statistics do not depend on x: the terms through mean and variance are for training",
        "missing_term": "in use the statistics do not depend on x: a term through the mean is for training",
        "value": slope, "ratio": slope, "inexact": "eps is left out, or stands outside the root",
        "no_upstream": "the slope alone: it is not multiplied by dout",
    }  # fmt: skip
    t.gradient("a batch of 5, eps = 0.2", batchnorm_eval_dx, "x", in_use, {**inputs, "eps": 0.2}, hints=hints)
    t.gradient("the usual eps", batchnorm_eval_dx, "x", in_use, {**inputs, "eps": 1e-5}, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    one = {**course.probe(11, x="NC", gamma="C", beta="C", mean="C", var="C", N=1, C=4), "eps": 1e-3}
    one["var"] = one["var"] ** 2 + 0.1
    t.gradient("a single sample", batchnorm_eval_dx, "x", in_use, one, hints=hints)
    dout = course.probe(12, dout="NC", N=5, C=3)
    single = {name: a.astype(np.float32) for name, a in {**dout, **inputs}.items()}

    def by_minidl(dout, x, *others):
        import minidl

        leaf = minidl.Tensor(x, requires_grad=True)
        return minidl.grad(in_use(leaf, *others), leaf, minidl.Tensor(dout))[0].numpy()

    t.value("float32 stays float32", batchnorm_eval_dx, {**single, "eps": 0.2}, by_minidl, rtol=1e-5)
    ### END HIDDEN TESTS

# %% [markdown]
# One and the same sample, 300 times, each time with other neighbours: in training its output depends on who else is in
# the batch, and less so in a large one. (A batch of two gives +1 and -1, whatever the two are.) In use it has one
# output. A network must bear this noise in training; it acts as a regulariser.

# %% show
rng = np.random.default_rng(2)
sample, one, none = np.array([[1.5]]), np.ones(1), np.zeros(1)
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for size in (2, 4, 8, 16, 32, 64):
    batches = [np.concatenate([sample, rng.standard_normal((size - 1, 1))]) for _ in range(300)]
    seen = [batchnorm_train(batch, one, none, 1e-5)[0, 0] for batch in batches]
    ax.plot(size * 2 ** rng.uniform(-0.3, 0.3, 300), seen, ".", color=ORANGE, markersize=3, alpha=0.6)
ax.plot([], [], ".", color=ORANGE, label="in training")
alone = batchnorm_eval(sample, one, none, none, one, 1e-5)[0, 0]
ax.axhline(alone, color=BLUE, linewidth=2, label="in use, with mean 0 and variance 1")
ax.set_xscale("log", base=2)
ax.set_xticks([2, 4, 8, 16, 32, 64], ["2", "4", "8", "16", "32", "64"])
dress(ax, "What becomes of x = 1.5 among standard normal neighbours", "batch size", "output")
key(ax)
plt.show()

# %% [markdown]
# ## 4. Batch norm, backward (14 + 5 + 3 marks)
#
# Now the statistics are made of `x`. One input $x_{nc}$ reaches the outputs in three ways: directly; through the mean
# of its feature; and through the variance of its feature. The last two move all N outputs of the feature. dx is the sum
# over the three ways. $\gamma$ and $\beta$ are used by every sample (broadcast over n), so their gradients are sums.
#
# Write the gradients of
#
# $$\mathrm{out}_{nc} = \gamma_c\,\frac{x_{nc}-\mu_c}{\sqrt{\sigma^2_c+\varepsilon}} + \beta_c$$
#
# with respect to `x`, `gamma` and `beta`. Derive them on paper first: one feature is enough, for features do not meet.
#
# *Hint:* two tests for a derivation. Adding the same number to all of a feature changes nothing, so dx must sum to zero
# over n. And for $\varepsilon=0$ multiplying a centred feature by 2 changes nothing, so there dx is orthogonal to
# $\hat x$ as well.
#
# *Read:* lesson 17, section 1; lesson 04 on broadcasting. *Source, afterwards:* `batch_norm_backward` in
# `minidl/kernels/norm.py`. *Reference:* Ioffe, Szegedy (2015), section 3.

# %% solution id="batchnorm_backward"
def batchnorm_backward(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of batch norm in training.

    dout (N, C), then the arguments of batchnorm_train -> dx (N, C), dgamma (C,), dbeta (C,).
    """
    ### BEGIN SOLUTION
    centred = x - x.mean(axis=0)
    inverse = 1 / np.sqrt((centred**2).mean(axis=0) + eps)
    xhat = centred * inverse
    direct = gamma * inverse * dout
    through_mean = direct.mean(axis=0)
    through_variance = xhat * (direct * xhat).mean(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dbeta = dout.sum(axis=0)
    return direct - through_mean - through_variance, dgamma, dbeta
    ### END SOLUTION

# %% test id="bn_dx" points=14
from minidl.nn import functional as F

with course.checks("Batch norm in training, dx", lesson=17) as t:
    def in_training(x, gamma, beta, eps):
        return F.batch_norm(x, weight=gamma, bias=beta, training=True, eps=eps)

    inputs = course.probe(13, x="NC", gamma="C", beta="C", N=6, C=3)
    hints = {
        "missing_term": "the way through the mean is missing or of the wrong size: every x moves the mean of its "
                        "feature, and with it all outputs of the feature",
        "statistics": "the ways through the statistics are not complete, or of the wrong size: every x moves the "
                      "variance of its feature (and its mean), and with it all outputs of the feature",
        "factor": "a factor is left out; the scale is part of the slope, on each of the ways",
        "inexact": "eps is left out, or stands outside the root",
        "value": "the three ways do not fit together: look at each by itself, with its factors, its axis, and eps "
                 "wherever forward has it",
    }  # fmt: skip
    t.gradient("a batch of 6, eps = 0.2", batchnorm_backward, "x", in_training, {**inputs, "eps": 0.2}, hints=hints)
    t.gradient("the usual eps", batchnorm_backward, "x", in_training, {**inputs, "eps": 1e-5}, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    wide = course.probe(14, x="NC", gamma="C", beta="C", N=2, C=7)
    t.gradient("a batch of two", batchnorm_backward, "x", in_training, {**wide, "eps": 0.5}, hints=hints)
    one = course.probe(15, x="NC", gamma="C", beta="C", N=7, C=1)
    t.gradient("one feature", batchnorm_backward, "x", in_training, {**one, "eps": 0.05}, hints=hints)
    flat = {**inputs, "x": np.where(np.arange(3) == 1, 0.5, inputs["x"]), "eps": 0.1}
    t.gradient("a constant feature", batchnorm_backward, "x", in_training, flat, hints=hints)
    off = {**inputs, "gamma": np.where(np.arange(3) == 1, 0.0, inputs["gamma"]), "eps": 0.1}
    t.gradient("a scale of zero", batchnorm_backward, "x", in_training, off, hints=hints)

    def by_minidl(dout, x, *others):
        import minidl

        leaf = minidl.Tensor(x, requires_grad=True)
        return minidl.grad(in_training(leaf, *others), leaf, minidl.Tensor(dout))[0].numpy()

    def your_dx(*args):
        return batchnorm_backward(*args)[0]

    inputs = {**course.probe(16, dout="NC", N=6, C=3), **inputs}
    far = {**inputs, "x": inputs["x"] + np.array([1e6, -2e6, 3e6]), "eps": 1e-5}
    digits = "the variance is the difference of two huge numbers, and its digits cancel: centre first, then square"
    keys = ("value", "missing_term", "statistics", "scattered", "nan", "factor", "inexact", "one_slice", "offset")
    t.value("features far from zero", your_dx, far, by_minidl, hints=dict.fromkeys(keys, digits))
    single = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.value("float32 stays float32", your_dx, {**single, "eps": 0.2}, by_minidl, rtol=1e-4)
    ### END HIDDEN TESTS

# %% test id="bn_dgamma" points=5
from minidl.nn import functional as F

with course.checks("Batch norm in training, dgamma", lesson=17) as t:
    def in_training(x, gamma, beta, eps):
        return F.batch_norm(x, weight=gamma, bias=beta, training=True, eps=eps)

    inputs = course.probe(17, x="NC", gamma="C", beta="C", N=6, C=3)
    hints = {
        "value": "what, exactly, is gamma multiplied by in forward? Not x itself, and not the output either",
        "over_n": "a mean over the samples where the sum is meant: the loss counts every sample",
        "factor": "gamma itself is no factor of its own gradient",
        "inexact": "eps is left out, or stands outside the root",
    }  # fmt: skip
    t.gradient("a batch of 6, eps = 0.2", batchnorm_backward, "gamma", in_training, {**inputs, "eps": 0.2}, hints=hints)
    t.gradient("the usual eps", batchnorm_backward, "gamma", in_training, {**inputs, "eps": 1e-5}, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    wide = course.probe(18, x="NC", gamma="C", beta="C", N=2, C=7)
    t.gradient("a batch of two", batchnorm_backward, "gamma", in_training, {**wide, "eps": 0.5}, hints=hints)
    one = course.probe(19, x="NC", gamma="C", beta="C", N=7, C=1)
    t.gradient("one feature", batchnorm_backward, "gamma", in_training, {**one, "eps": 0.05}, hints=hints)
    far = {**inputs, "x": inputs["x"] + np.array([1e3, -2e3, 3e3]), "eps": 1e-3}
    t.gradient("features far from zero", batchnorm_backward, "gamma", in_training, far, hints=hints)
    ### END HIDDEN TESTS

# %% test id="bn_dbeta" points=3
from minidl.nn import functional as F

with course.checks("Batch norm in training, dbeta", lesson=17) as t:
    def in_training(x, gamma, beta, eps):
        return F.batch_norm(x, weight=gamma, bias=beta, training=True, eps=eps)

    inputs = {**course.probe(20, x="NC", gamma="C", beta="C", N=6, C=3), "eps": 0.2}
    hints = {
        "over_n": "a mean over the samples where the sum is meant: the loss counts every sample",
        "factor": "beta is added last: nothing but dout stands between it and the loss",
        "value": "beta is added last: nothing but dout stands between it and the loss",
    }  # fmt: skip
    t.gradient("a batch of 6", batchnorm_backward, "beta", in_training, inputs, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    wide = {**course.probe(21, x="NC", gamma="C", beta="C", N=2, C=7), "eps": 0.5}
    t.gradient("a batch of two", batchnorm_backward, "beta", in_training, wide, hints=hints)
    one = {**course.probe(22, x="NC", gamma="C", beta="C", N=7, C=1), "eps": 0.05}
    t.gradient("one feature", batchnorm_backward, "beta", in_training, one, hints=hints)
    ### END HIDDEN TESTS

# %% [markdown]
# What it is good for: a signal goes through 30 layers of 64 units with tanh, and a gradient comes back, for weights
# that are 3 times too small, right, or 3 times too large. Without batch norm the signal dies out or saturates, and the
# gradient vanishes or explodes. With yours before each tanh, the size of the weights hardly matters any more: the three
# solid lines lie on each other.

# %% show
def through(scale, norm, depth=30, width=64):
    """The size of the signal behind each layer, and of the gradient that arrives there."""
    rng, one, none = np.random.default_rng(3), np.ones(width), np.zeros(width)
    h, steps, signal, arriving = rng.standard_normal((48, width)), [], [], []
    for _ in range(depth):
        w = scale * rng.standard_normal((width, width)) / np.sqrt(width)
        a = h @ w
        h = np.tanh(batchnorm_train(a, one, none, 1e-5) if norm else a)
        steps.append((w, a, h))
        signal.append(h.std())
    d = rng.standard_normal(h.shape)
    for w, a, h in reversed(steps):
        arriving.append(np.linalg.norm(d))
        d = d * (1 - h * h)
        d = (batchnorm_backward(d, a, one, none, 1e-5)[0] if norm else d) @ w.T
    return signal, arriving[::-1]


fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for scale, colour in ((1 / 3, BLUE), (1.0, GREEN), (3.0, VERMILLION)):
    for norm, style in ((False, ":"), (True, "-")):
        for ax, sizes in zip(axes, through(scale, norm), strict=True):
            name = f"weights x {scale:.2g}" + ", batch norm" * norm
            ax.semilogy(range(1, 31), sizes, style, color=colour, label=name, linewidth=2)
dress(axes[0], "Signal, forward", "layer", "standard deviation")
dress(axes[1], "Gradient, backward", "layer", "norm")
for ax in axes:
    key(ax)
plt.show()

# %% [markdown]
# ## 5. Batch norm for images (6 + 9 + 4 + 3 marks)
#
# Feature maps have shape (N, C, H, W): N images, C channels, H rows, W columns. A convolution treats all places of a
# channel alike, and so does batch norm: *one* mean and *one* variance for each channel, over all $M = N\,H\,W$ values
# that it has in the batch,
#
# $$\mu_c = \frac1M \sum_{n,h,w} x_{nchw}, \qquad \sigma^2_c = \frac1M\sum_{n,h,w}(x_{nchw}-\mu_c)^2, \qquad
# \mathrm{out}_{nchw} = \gamma_c\,\frac{x_{nchw}-\mu_c}{\sqrt{\sigma^2_c+\varepsilon}} + \beta_c .$$
#
# Write forward and backward (training mode). Images of one pixel, and a batch of one image, are fine as long as M is at
# least 2.
#
# *Hint:* a (C,) array lines up with the *last* axis of x, which is W. Give it the shape (1, C, 1, 1). If you reshape
# the images to rows of channels instead, mind that the channels must be moved to the end first.
#
# *Read:* lesson 17, sections 1 and 2. *Source, afterwards:* `minidl/kernels/norm.py`.

# %% solution id="batchnorm2d_train"
def batchnorm2d_train(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float) -> np.ndarray:
    """Batch norm of images with the statistics of this batch, one mean and variance for each channel.

    x (N, C, H, W), gamma (C,), beta (C,), eps > 0 -> out (N, C, H, W), of the dtype of x.
    """
    ### BEGIN SOLUTION
    scale, offset = gamma[:, None, None], beta[:, None, None]
    centred = x - x.mean(axis=(0, 2, 3), keepdims=True)
    variance = (centred**2).mean(axis=(0, 2, 3), keepdims=True)
    return scale * centred / np.sqrt(variance + eps) + offset
    ### END SOLUTION

# %% test id="image_out" points=6
from minidl.nn import functional as F

with course.checks("Batch norm of images, the output", lesson=17) as t:
    def in_training(x, gamma, beta, eps):
        return F.batch_norm(x, weight=gamma, bias=beta, training=True, eps=eps)

    def of_rows(rows, x, gamma, beta, eps):
        return in_training(rows, np.resize(gamma, rows.shape[1]), np.resize(beta, rows.shape[1]), eps).reshape(x.shape)

    def affine(out, gamma, beta):
        return F.batch_norm(out, 0 * beta, 0 * beta + 1, gamma, beta, eps=0.0)

    def with_statistics(mean, var, x, gamma, beta):
        return F.batch_norm(x, mean, var, gamma, beta, eps=0.0)

    inputs = course.probe(23, x="NCHW", gamma="C", beta="C", N=3, C=2, H=4, W=5)
    mistakes = {
        "every pixel has its own mean: averaged over the samples only (axis 0), not over height and width":
            lambda x, g, b, eps: affine(in_training(x.reshape(len(x), -1), None, None, eps).reshape(x.shape), g, b),
        "every image has its own mean: averaged over height and width only, not over the samples (instance norm)":
            lambda x, g, b, eps: F.instance_norm(x, weight=g, bias=b, eps=eps),
        "averaged over the channels too; each channel has its own mean and variance":
            lambda x, g, b, eps: with_statistics(0 * b + x.mean(), 0 * b + x.var() + eps, x, g, b),
        "reshaped to rows without moving the channels to the end first: values of different channels are mixed":
            lambda x, g, b, eps: of_rows(x.reshape(-1, x.shape[1]), x, g, b, eps),
        "the variance is divided by M less one; the batch itself is normalised with M":
            lambda x, g, b, eps: with_statistics(x.mean((0, 2, 3)), x.var((0, 2, 3), ddof=1) + eps, x, g, b),
        "eps is not used": lambda x, g, b, eps: in_training(x, g, b, 0.0),
        "eps is added outside the root: it belongs to the variance":
            lambda x, g, b, eps: with_statistics(x.mean((0, 2, 3)), (x.std((0, 2, 3)) + eps) ** 2, x, g, b),
        "gamma is not used": lambda x, g, b, eps: in_training(x, None, b, eps),
        "beta is not used": lambda x, g, b, eps: in_training(x, g, None, eps),
    }  # fmt: skip
    t.value("3 images of 2 channels", batchnorm2d_train, {**inputs, "eps": 0.2}, in_training, mistakes=mistakes)
    t.value("the usual eps", batchnorm2d_train, {**inputs, "eps": 1e-5}, in_training)
    ### BEGIN HIDDEN TESTS
    t.hide()
    square = {**inputs, "x": np.random.default_rng(24).standard_normal((2, 2, 2, 2)), "eps": 0.1}
    t.value("all axes of one length", batchnorm2d_train, square, in_training)
    pixel = course.probe(25, x="NCHW", gamma="C", beta="C", N=4, C=3, H=1, W=2)
    t.value("images of two pixels", batchnorm2d_train, {**pixel, "eps": 0.1}, in_training)
    lone = course.probe(26, x="NCHW", gamma="C", beta="C", N=1, C=3, H=2, W=4)
    t.value("a batch of one image", batchnorm2d_train, {**lone, "eps": 0.1}, in_training)
    far = {**inputs, "x": inputs["x"] + np.array([1e6, -2e6])[:, None, None], "eps": 1e-5}
    digits = "the variance is the difference of two huge numbers, and its digits cancel: centre first, then square"
    keys = ("value", "missing_term", "statistics", "scattered", "nan", "factor", "inexact", "one_slice", "offset")
    t.value("channels far from zero", batchnorm2d_train, far, in_training, hints=dict.fromkeys(keys, digits))
    last = {**inputs, "x": inputs["x"].transpose(0, 2, 3, 1).copy(), "eps": 0.2}

    def turned(f):
        return lambda x, *others: f(x.transpose(0, 3, 1, 2), *others)  # a view whose memory lies otherwise

    t.value("not contiguous in memory", turned(batchnorm2d_train), last, turned(in_training))
    single = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.value("float32 stays float32", batchnorm2d_train, {**single, "eps": 0.2}, in_training, rtol=1e-5)
    ### END HIDDEN TESTS

# %% solution id="batchnorm2d_backward"
def batchnorm2d_backward(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of batch norm of images in training.

    dout (N, C, H, W), then the arguments of batchnorm2d_train -> dx (N, C, H, W), dgamma (C,), dbeta (C,).
    """
    ### BEGIN SOLUTION
    def average(values):
        return values.mean(axis=(0, 2, 3), keepdims=True)

    centred = x - average(x)
    inverse = 1 / np.sqrt(average(centred**2) + eps)
    xhat = centred * inverse
    direct = gamma[:, None, None] * inverse * dout
    dx = direct - average(direct) - xhat * average(direct * xhat)
    dgamma = (dout * xhat).sum(axis=(0, 2, 3))
    dbeta = dout.sum(axis=(0, 2, 3))
    return dx, dgamma, dbeta
    ### END SOLUTION

# %% test id="image_dx" points=9
from minidl.nn import functional as F

with course.checks("Batch norm of images, dx", lesson=17) as t:
    def in_training(x, gamma, beta, eps):
        return F.batch_norm(x, weight=gamma, bias=beta, training=True, eps=eps)

    inputs = course.probe(27, x="NCHW", gamma="C", beta="C", N=3, C=2, H=4, W=5)
    hints = {
        "missing_term": "the way through the mean is missing or of the wrong size: every pixel moves the mean of its "
                        "channel, an average over samples, height and width",
        "statistics": "the ways through the statistics are not complete, or of the wrong size: every pixel moves the "
                      "variance and the mean of its channel, averages over samples, height and width",
        "inexact": "eps is left out, or stands outside the root",
        "value": "the averages must go over samples, height and width, one for each channel; then the three ways, each "
                 "with its factors, and eps wherever forward has it",
    }  # fmt: skip
    t.gradient("3 images of 2 channels", batchnorm2d_backward, "x", in_training, {**inputs, "eps": 0.2}, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    pixel = course.probe(28, x="NCHW", gamma="C", beta="C", N=4, C=3, H=1, W=2)
    t.gradient("images of two pixels", batchnorm2d_backward, "x", in_training, {**pixel, "eps": 1e-5}, hints=hints)
    lone = course.probe(29, x="NCHW", gamma="C", beta="C", N=1, C=3, H=2, W=4)
    t.gradient("a batch of one image", batchnorm2d_backward, "x", in_training, {**lone, "eps": 0.1}, hints=hints)
    flat = {**inputs, "x": np.where(np.arange(2)[:, None, None] == 1, 0.5, inputs["x"]), "eps": 0.1}
    t.gradient("a constant channel", batchnorm2d_backward, "x", in_training, flat, hints=hints)

    def by_minidl(dout, x, *others):
        import minidl

        leaf = minidl.Tensor(x, requires_grad=True)
        return minidl.grad(in_training(leaf, *others), leaf, minidl.Tensor(dout))[0].numpy()

    def your_dx(*args):
        return batchnorm2d_backward(*args)[0]

    dout = course.probe(30, dout="NCHW", N=3, C=2, H=4, W=5)
    single = {name: a.astype(np.float32) for name, a in {**dout, **inputs}.items()}
    t.value("float32 stays float32", your_dx, {**single, "eps": 0.2}, by_minidl, rtol=1e-4)
    ### END HIDDEN TESTS

# %% test id="image_dgamma" points=4
from minidl.nn import functional as F

with course.checks("Batch norm of images, dgamma", lesson=17) as t:
    def in_training(x, gamma, beta, eps):
        return F.batch_norm(x, weight=gamma, bias=beta, training=True, eps=eps)

    inputs = {**course.probe(31, x="NCHW", gamma="C", beta="C", N=3, C=2, H=4, W=5), "eps": 0.2}
    hints = {
        "value": "what, exactly, is gamma multiplied by in forward? Not x itself, and not the output either",
        "over_n": "a mean where the sum is meant: the loss counts every pixel of every sample",
        "inexact": "eps is left out, or stands outside the root",
    }  # fmt: skip
    t.gradient("3 images of 2 channels", batchnorm2d_backward, "gamma", in_training, inputs, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    pixel = {**course.probe(32, x="NCHW", gamma="C", beta="C", N=4, C=3, H=1, W=2), "eps": 0.1}
    t.gradient("images of two pixels", batchnorm2d_backward, "gamma", in_training, pixel, hints=hints)
    lone = {**course.probe(33, x="NCHW", gamma="C", beta="C", N=1, C=3, H=2, W=4), "eps": 0.1}
    t.gradient("a batch of one image", batchnorm2d_backward, "gamma", in_training, lone, hints=hints)
    ### END HIDDEN TESTS

# %% test id="image_dbeta" points=3
from minidl.nn import functional as F

with course.checks("Batch norm of images, dbeta", lesson=17) as t:
    def in_training(x, gamma, beta, eps):
        return F.batch_norm(x, weight=gamma, bias=beta, training=True, eps=eps)

    inputs = {**course.probe(34, x="NCHW", gamma="C", beta="C", N=3, C=2, H=4, W=5), "eps": 0.2}
    hints = {
        "value": "beta is added last: nothing but dout stands between it and the loss",
        "over_n": "a mean where the sum is meant: the loss counts every pixel of every sample",
    }  # fmt: skip
    t.gradient("3 images of 2 channels", batchnorm2d_backward, "beta", in_training, inputs, hints=hints)
    ### BEGIN HIDDEN TESTS
    t.hide()
    pixel = {**course.probe(35, x="NCHW", gamma="C", beta="C", N=4, C=3, H=1, W=2), "eps": 0.1}
    t.gradient("images of two pixels", batchnorm2d_backward, "beta", in_training, pixel, hints=hints)
    lone = {**course.probe(36, x="NCHW", gamma="C", beta="C", N=1, C=3, H=2, W=4), "eps": 0.1}
    t.gradient("a batch of one image", batchnorm2d_backward, "beta", in_training, lone, hints=hints)
    ### END HIDDEN TESTS

# %% [markdown]
# Whom does one output ask? Below, `dout` is 1 at a single pixel (the cross), and the picture is your dx. Rows are
# samples, columns are channels. The pixel itself gets a large gradient. Every other pixel of its channel, in all
# samples, gets a small one, through mean and variance. The other channels get nothing.

# %% show
rng = np.random.default_rng(4)
x = rng.standard_normal((3, 4, 9, 9))
dout = np.zeros_like(x)
dout[1, 2, 3, 4] = 1.0
dx = batchnorm2d_backward(dout, x, np.ones(4), np.zeros(4), 1e-5)[0]
fig, axes = plt.subplots(3, 4, figsize=(7.5, 5.2), layout="constrained")
for n, c in np.ndindex(3, 4):
    picture = axes[n, c].imshow(dx[n, c], cmap=SIGNED, vmin=-0.02, vmax=0.02)
    bare(axes[n, c], f"channel {c}" * (n == 0))
    axes[n, c].set_ylabel(f"sample {n}" * (c == 0))
    axes[n, c].spines[:].set(visible=True, color=GREY)
axes[1, 2].plot(4, 3, "kx")
fig.colorbar(picture, ax=axes, shrink=0.6, label="dx (the pixel itself is off the scale)")
plt.show()
print(f"dx at the pixel {dx[1, 2, 3, 4]:.3f}; sum of dx over its channel {dx[:, 2].sum():.1e}")

# %% [markdown]
# ## 6. Inverted dropout (7 + 6 marks)
#
# In training every element is dropped, that is set to 0, with probability $p$, each independently of the others. What
# is kept is made larger, so that the *expectation* (the average over all possible masks) stays x:
#
# $$\mathrm{out} = \frac{m\,x}{1-p}, \qquad m = 1 \text{ with probability } 1-p, \text{ else } 0 .$$
#
# In use nothing is dropped and nothing is scaled: `x` comes out. Randomness is handed in, so that forward and backward
# see the same mask and a check can be repeated: `u = rng.random(x.shape)`, uniform in $[0, 1)$, and an element is *kept
# where* $u \ge p$. So $p=0$ keeps all, and $p=1$ drops all; the output is 0 then, and not 0/0.
#
# *Hint:* for a fixed mask this is a product with constants. What is the derivative of a product with a constant?
#
# *Read:* lesson 16, section 1. *Source, afterwards:* `minidl/ops/dropout.py`. *Reference:* Srivastava, Hinton,
# Krizhevsky, Sutskever, Salakhutdinov (2014), "Dropout", JMLR 15.

# %% solution id="dropout_forward"
def dropout_forward(x: np.ndarray, u: np.ndarray, p: float, training: bool) -> np.ndarray:
    """Inverted dropout: x / (1 - p) where it is kept (u >= p), 0 elsewhere; x if not training.

    x and u of one shape, u uniform in [0, 1), 0 <= p <= 1 -> out like x, of the dtype of x.
    """
    ### BEGIN SOLUTION
    if not training:
        return x
    if p == 1:
        return np.zeros_like(x)
    return x * (u >= p) / (1 - p)
    ### END SOLUTION

# %% test id="dropout_out" points=7
from minidl.nn import functional as F

with course.checks("Dropout, the output", lesson=16) as t:
    def right(x, u, p, training):  # minidl draws the same mask: u comes from the same seed
        return F.dropout(x, p, training, rng=7)

    inputs = course.probe(37, x="NC", N=6, C=4)
    inputs["u"] = np.random.default_rng(7).random((6, 4), np.float32).astype(np.float64)
    mistakes = {
        "what is kept is not made larger": lambda x, u, p, training: right(x, u, p, training) * (1 - p),
        "what is kept is divided by p, the probability of being dropped":
            lambda x, u, p, training: right(x, u, p, training) * (1 - p) / p,
        "what is kept is multiplied where it should be divided":
            lambda x, u, p, training: right(x, u, p, training) * (1 - p) ** 2,
        "the mask is inverted: what should be kept is dropped":
            lambda x, u, p, training: x / (1 - p) - right(x, u, p, 1),
        "the mask is inverted, and so is the factor": lambda x, u, p, training: (x - right(x, u, p, 1) * (1 - p)) / p,
        "nothing is dropped": lambda x, u, p, training: x,
        "x is made larger everywhere, and nothing is dropped": lambda x, u, p, training: x / (1 - p),
    }  # fmt: skip
    in_use = {
        "x is scaled in use as well; inverted dropout does all its scaling in training":
            lambda x, u, p, training: x * (1 - p),
        "x is made larger in use as well": lambda x, u, p, training: x / (1 - p),
        "elements are dropped in use as well": lambda x, u, p, training: right(x, u, p, True),
        "elements are dropped in use as well, without scaling": lambda x, u, p, training: right(x, u, p, 1) * (1 - p),
    }  # fmt: skip
    other = {"scattered": "others are kept than u and p say"}
    train = {**inputs, "p": 0.3, "training": True}
    t.value("training, p = 0.3", dropout_forward, train, right, mistakes=mistakes, hints=other)
    t.value("in use", dropout_forward, {**inputs, "p": 0.3, "training": False}, right, mistakes=in_use, edge=True)
    t.value(
        "draws that are equal to p", dropout_forward,
        {"x": np.array([1.0, 2.0, 3.0, 4.0]), "u": np.array([0.5, 0.2, 0.5, 0.75]), "p": 0.5, "training": True},
        np.array([2.0, 0.0, 6.0, 8.0]),
        mistakes={"u equal to p counts as dropped; it is kept": lambda *_: np.array([0.0, 0.0, 0.0, 8.0])},
    )  # fmt: skip
    many = np.random.default_rng(38).random(20_000)

    def on_average():
        return bool(abs(dropout_forward(np.ones(20_000), many, 0.6, True).mean() - 1) < 0.05)

    t.that(
        "on average nothing changes", on_average,
        "the average of the outputs over many masks is not x: the factor of what is kept, or the mask, is wrong",
    )  # fmt: skip
    ### BEGIN HIDDEN TESTS
    t.hide()
    image = course.probe(39, x="NCHW", N=2, C=3, H=4, W=5)
    image["u"] = np.random.default_rng(7).random((2, 3, 4, 5), np.float32).astype(np.float64)
    t.value("images", dropout_forward, {**image, "p": 0.8, "training": True}, right)
    t.value("nothing dropped", dropout_forward, {**inputs, "p": 0.0, "training": True}, right, edge=True)
    zero = {"nan": "for a probability of one the factor divides by zero; the output is zero then"}
    t.value("all dropped", dropout_forward, {**inputs, "p": 1.0, "training": True}, right, hints=zero, edge=True)
    t.value("in use, all to be dropped", dropout_forward, {**inputs, "p": 1.0, "training": False}, right, edge=True)
    single = {name: a.astype(np.float32) for name, a in inputs.items()}
    t.value("float32 stays float32", dropout_forward, {**single, "p": 0.3, "training": True}, right, rtol=1e-5)
    ### END HIDDEN TESTS

# %% solution id="dropout_backward"
def dropout_backward(dout: np.ndarray, x: np.ndarray, u: np.ndarray, p: float, training: bool) -> np.ndarray:
    """The gradient of dropout with respect to x, for the same u.

    dout like x, then the arguments of dropout_forward -> dx like x.
    """
    ### BEGIN SOLUTION
    if not training:
        return dout
    if p == 1:
        return np.zeros_like(dout)
    return dout * (u >= p) / (1 - p)
    ### END SOLUTION

# %% test id="dropout_dx" points=6
from minidl.nn import functional as F

with course.checks("Dropout, dx", lesson=16) as t:
    def right(x, u, p, training):  # minidl draws the same mask: u comes from the same seed
        return F.dropout(x, p, training, rng=7)

    inputs = course.probe(40, x="NC", N=5, C=3)
    inputs["u"] = np.random.default_rng(7).random((5, 3), np.float32).astype(np.float64)
    mask = "dx is zero exactly where forward drops, and nowhere else: is it the same mask, and the right way round?"
    hints = {
        "ratio": "what is kept reaches the output with a factor, and the gradient comes back with the same one",
        "passes_upstream": "the gradient is passed on as if nothing had been dropped or scaled",
        "factor": "for a fixed mask dropout is a product with constants: x is no factor of its own gradient",
        "not_linear": "the mask is not that of forward: it depends on dout, or is drawn anew; u is handed in",
        "not_proportional": "the mask is not that of forward: it depends on dout, or is drawn anew; u is handed in",
        "scattered": mask, "value": mask, "one_sign": mask, "repeated": mask, "one_slice": mask,
    }  # fmt: skip
    in_use = dict.fromkeys(
        ("ratio", "scattered", "value", "zero", "factor", "one_slice"),
        "in use x is handed through: nothing is dropped and nothing is scaled, in backward as in forward",
    )
    t.gradient("training", dropout_backward, "x", right, {**inputs, "p": 0.3, "training": True}, hints=hints)
    t.gradient("in use", dropout_backward, "x", right, {**inputs, "p": 0.3, "training": False}, hints=in_use)
    ### BEGIN HIDDEN TESTS
    t.hide()
    image = course.probe(41, x="NCHW", N=2, C=3, H=1, W=4)
    image["u"] = np.random.default_rng(7).random((2, 3, 1, 4), np.float32).astype(np.float64)
    t.gradient("images", dropout_backward, "x", right, {**image, "p": 0.8, "training": True}, hints=hints)
    t.gradient("nothing dropped", dropout_backward, "x", right, {**inputs, "p": 0.0, "training": True})
    zero = {"nan": "for a probability of one the factor divides by zero; the gradient is zero then"}
    dropped = {**inputs, "p": 1.0, "training": True}
    t.gradient("all dropped", dropout_backward, "x", right, dropped, hints=zero, edge=True)
    equal = {"x": np.ones(4), "u": np.array([0.5, 0.2, 0.5, 0.75]), "p": 0.5, "training": True}
    kept = "u equal to p counts as dropped; it is kept"
    t.value(
        "draws that are equal to p", dropout_backward, {"dout": np.array([1.0, 2.0, 3.0, 4.0]), **equal},
        np.array([2.0, 0.0, 6.0, 8.0]), mistakes={kept: lambda *_: np.array([0.0, 0.0, 0.0, 8.0])},
    )  # fmt: skip
    dout = np.random.default_rng(42).standard_normal((5, 3)).astype(np.float32)
    single = {"dout": dout, **{name: a.astype(np.float32) for name, a in inputs.items()}, "p": 0.3, "training": True}
    t.value("float32 stays float32", dropout_backward, single, lambda dout, x, *others: right(dout, *others), rtol=1e-5)
    ### END HIDDEN TESTS

# %% [markdown]
# A digit under your dropout. Each mask is another picture; their average is the digit again, and the more is dropped,
# the more masks it takes. What is kept becomes darker, by the factor $1/(1-p)$.

# %% show
from minidl import data

digit = data.load_digits().x[5, 0].astype(float)
digit /= digit.max()
rng = np.random.default_rng(5)
fig, axes = plt.subplots(3, 7, figsize=(11, 5), layout="constrained")
for row, p in zip(axes, (0.2, 0.5, 0.8), strict=True):
    masked = [dropout_forward(digit, rng.random(digit.shape), p, True) for _ in range(1000)]
    pictures = {
        f"in use (p = {p})": dropout_forward(digit, rng.random(digit.shape), p, False),
        **{f"mask {k + 1}": masked[k] for k in range(3)},
        **{f"mean of {n}": np.mean(masked[:n], axis=0) for n in (10, 100, 1000)},
    }
    for ax, (title, image) in zip(row, pictures.items(), strict=True):
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=2)
        bare(ax)
        ax.set_title(title, fontsize=9, fontweight="bold" if "use" in title else "normal")
        ax.spines[:].set(visible=True, color=GREY)
plt.show()

# %% [markdown]
# ## 7. Penalties on weights (6 + 7 marks)
#
# A network of two layers has weights $W_1, W_2$ and biases $b_1, b_2$. The *elastic net* lets every weight pay for its
# size and for its square; with $\lambda_2 = 0$ it is the L1 penalty (lasso), with $\lambda_1 = 0$ the L2 penalty
# (ridge, weight decay):
#
# $$P = \sum_{w \,\in\, W_1, W_2} \Bigl(\lambda_1 |w| + \frac{\lambda_2}{2}\, w^2\Bigr) .$$
#
# Mind the conventions: a *sum* over all weights, not a mean; a factor 1/2 at the square only; and biases pay nothing.
# P is added to the loss of the data.
#
# `penalty_backward` returns the gradients for all four arrays, arrays of zeros for the biases. `dout` is a number here,
# the gradient of the loss with respect to P (1 if P is simply added; 3 if the sum is then multiplied by 3). $|w|$ has
# no derivative at $w=0$; use 0 there, so that a weight that is zero may stay zero.
#
# *Hint:* the pull of L2 fades near zero, that of L1 does not. Which NumPy function gives 1, 0 and -1 for positive
# numbers, zero and negative ones?
#
# *Read:* lesson 15, section 1. *Source, afterwards:* `minidl/nn/regularize.py`. *Reference:* Zou, Hastie (2005),
# "Regularization and variable selection via the elastic net", Journal of the Royal Statistical Society B 67.

# %% solution id="penalty"
def penalty(w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray, l1: float, l2: float) -> float:
    """The elastic net of two layers, sum of l1 |w| + l2/2 w^2 over the weights.

    w1 (K, F), b1 (K,), w2 (C, K), b2 (C,), l1 and l2 >= 0 -> a float.
    """
    ### BEGIN SOLUTION
    total = 0.0
    for w in (w1, w2):
        total += l1 * np.abs(w).sum() + l2 / 2 * (w**2).sum()
    return float(total)
    ### END SOLUTION

# %% test id="penalty_value" points=6
from minidl import Tensor, nn

with course.checks("Penalties, the value", lesson=15) as t:
    def right(w1, b1, w2, b2, l1, l2):
        return nn.penalty([Tensor(w1), Tensor(w2)], l1=l1, l2=l2).item()

    def everything(w1, b1, w2, b2, l1, l2):
        return nn.penalty([Tensor(p) for p in (w1, b1, w2, b2)], l1=l1, l2=l2).item()

    inputs = course.probe(43, w1="KF", b1="K", w2="CK", b2="C", F=3, K=5, C=2)
    mistakes = {
        "biases pay as well; only weights should": everything,
        "only the first layer pays": lambda w1, b1, w2, b2, l1, l2: right(w1, b1, 0 * w2, b2, l1, l2),
        "only the second layer pays; is the first one overwritten?":
            lambda w1, b1, w2, b2, l1, l2: right(0 * w1, b1, w2, b2, l1, l2),
        "a mean over the weights of each layer where the sum is meant":
            lambda w1, b1, w2, b2, l1, l2:
                nn.penalty([Tensor(w1)], l1, l2, n=w1.size).item() + nn.penalty([Tensor(w2)], l1, l2, n=w2.size).item(),
        "the square has a factor of one where a half is asked for":
            lambda w1, b1, w2, b2, l1, l2: right(w1, b1, w2, b2, l1, 2 * l2),
        "the half stands before both terms; it belongs to the square only":
            lambda w1, b1, w2, b2, l1, l2: right(w1, b1, w2, b2, l1 / 2, l2),
        "the strength of the square, lambda_2, is not used": lambda *a: right(*a[:4], a[4], 1.0 if a[5] else 0.0),
        "the strength of the absolute value, lambda_1, is not used":
            lambda *a: right(*a[:4], 1.0 if a[4] else 0.0, a[5]),
        "the strengths have changed places": lambda w1, b1, w2, b2, l1, l2: right(w1, b1, w2, b2, l2, l1),
        "a root is taken: the norm of each layer where its square is asked for":
            lambda w1, b1, w2, b2, l1, l2:
                right(w1, b1, w2, b2, l1, 0.0) + l2 / 2 * (np.linalg.norm(w1) + np.linalg.norm(w2)),
        "the absolute value is missing: positive and negative weights cancel":
            lambda w1, b1, w2, b2, l1, l2: right(w1, b1, w2, b2, 0.0, l2) + l1 * (np.sum(w1) + np.sum(w2)),
    }  # fmt: skip
    t.value("L2 alone", penalty, {**inputs, "l1": 0.0, "l2": 0.3}, right, mistakes=mistakes)
    t.value("L1 alone", penalty, {**inputs, "l1": 0.7, "l2": 0.0}, right, mistakes=mistakes)
    t.value("elastic net", penalty, {**inputs, "l1": 0.7, "l2": 0.3}, right, mistakes=mistakes)
    ### BEGIN HIDDEN TESTS
    t.hide()
    other = course.probe(44, w1="KF", b1="K", w2="CK", b2="C", F=6, K=1, C=4)
    t.value("one hidden unit", penalty, {**other, "l1": 0.2, "l2": 5.0}, right)
    t.value("no penalty", penalty, {**other, "l1": 0.0, "l2": 0.0}, right, edge=True)
    minus = {**inputs, "w1": -np.abs(inputs["w1"]), "w2": -np.abs(inputs["w2"]), "l1": 0.4, "l2": 0.1}
    t.value("negative weights", penalty, minus, right)
    ### END HIDDEN TESTS

# %% solution id="penalty_backward"
def penalty_backward(
    dout: float, w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray, l1: float, l2: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of the elastic net; 0 is taken for the derivative of |w| at 0.

    dout: a number, then the arguments of penalty -> dw1 (K, F), db1 (K,), dw2 (C, K), db2 (C,).
    """
    ### BEGIN SOLUTION
    dw1 = dout * (l1 * np.sign(w1) + l2 * w1)
    dw2 = dout * (l1 * np.sign(w2) + l2 * w2)
    return dw1, np.zeros_like(b1), dw2, np.zeros_like(b2)
    ### END SOLUTION

# %% test id="penalty_grads" points=7
from minidl import Tensor, nn

with course.checks("Penalties, the gradients", lesson=15) as t:
    def right(w1, b1, w2, b2, l1, l2):
        return nn.penalty([Tensor(w1), Tensor(w2)], l1=l1, l2=l2).item()

    inputs = course.probe(45, spread=True, w1="KF", b1="K", w2="CK", b2="C", F=3, K=5, C=2)
    hints = {
        "double": "a factor two too many: the half before the square takes away the two of its derivative",
        "half": "half of it is lost: the half before the square and the two of its derivative make one",
        "over_n": "a mean over the weights where the sum is meant",
        "absolute": "the pull has no direction: it must push negative weights up and positive ones down",
        "one_sign": "each pull has the sign of its weight, so that a step down leads towards zero; here it has not",
        "ratio": "a factor is missing, used twice, or another one: a strength, or dout",
        "factor": "the pull of the absolute value does not depend on how large the weight is, only on its sign",
        "value": "the two terms, each alone: is its strength the right one, and is its slope?",
        "offset": "the pull of the absolute value has the sign of the weight",
        "missing_term": "the pull of the absolute value has the sign of the weight",
    }  # fmt: skip
    pull = {**hints, "value": "the pull of L1 does not depend on how large a weight is, only on its sign"}
    biases = dict.fromkeys(("value", "ratio", "nan", "scattered", "unchanged", "shape"), "biases pay nothing, so their "
                           "gradient is an array of zeros")  # fmt: skip
    ridge, lasso, net = ({**inputs, "l1": a, "l2": b} for a, b in ((0.0, 0.3), (0.7, 0.0), (0.7, 0.3)))
    t.gradient("L2 alone, dw1", penalty_backward, "w1", right, ridge, hints=hints)
    t.gradient("L1 alone, dw1", penalty_backward, "w1", right, lasso, hints=pull)
    t.gradient("elastic net, dw1", penalty_backward, "w1", right, net, hints=hints)
    t.gradient("elastic net, dw2", penalty_backward, "w2", right, net, hints=hints)
    t.gradient("elastic net, db1", penalty_backward, "b1", right, net, hints=biases, edge=True)
    t.gradient("elastic net, db2", penalty_backward, "b2", right, net, hints=biases, edge=True)
    ### BEGIN HIDDEN TESTS
    t.hide()

    def with_zeros(dout, w1, b1, w2, b2, l1, l2):
        import minidl

        leaves = [Tensor(w1, requires_grad=True), Tensor(w2, requires_grad=True)]
        dw1, dw2 = minidl.grad(nn.penalty(leaves, l1=l1, l2=l2) * dout, leaves)
        return dw1.numpy(), np.zeros_like(b1), dw2.numpy(), np.zeros_like(b2)

    zeros = {**net, "w1": np.where(inputs["w1"] > 0.5, inputs["w1"], 0.0)}
    at_zero = "a weight of exactly zero is pulled; the derivative of its absolute value is taken as zero"
    hints = dict.fromkeys(("offset", "value", "scattered", "one_slice", "one_element", "missing_term"), at_zero)
    t.value("weights that are zero", penalty_backward, {"dout": 1.5, **zeros}, with_zeros, hints=hints)
    other = course.probe(46, spread=True, w1="KF", b1="K", w2="CK", b2="C", F=6, K=1, C=4)
    t.gradient("one hidden unit, dw1", penalty_backward, "w1", right, {**other, "l1": 0.2, "l2": 5.0})
    t.gradient("one hidden unit, dw2", penalty_backward, "w2", right, {**other, "l1": 0.2, "l2": 5.0})
    single = {name: a.astype(np.float32) for name, a in inputs.items()}
    single = {"dout": 1.5, **single, "l1": 0.7, "l2": 0.3}
    t.value("float32 stays float32", penalty_backward, single, with_zeros, rtol=1e-5)
    ### END HIDDEN TESTS

# %% [markdown]
# Eight weights on their way, by gradient descent with your pull added and a step that shrinks. The data were made with
# three weights, 2, -1.5 and 0.8 (in colour), and five that are zero (grey). L2 makes all smaller and none zero. L1
# pulls at all alike, and the weights that are worth less than they cost come to rest at zero. (They hop around it by
# the length of a step; lesson 15 shows how to make the zeros exact.)

# %% show
rng = np.random.default_rng(6)
X = rng.standard_normal((80, 8))
y = X @ np.array([2.0, -1.5, 0.8, 0, 0, 0, 0, 0]) + rng.standard_normal(80)
none = np.zeros(1)
fig, axes = plt.subplots(1, 4, figsize=(13, 3.5), layout="constrained", sharey=True)
kinds = {"No penalty": (0.0, 0.0), "L2": (0.0, 0.8), "L1": (0.6, 0.0), "Elastic net": (0.4, 0.4)}
for ax, (name, (l1, l2)) in zip(axes, kinds.items(), strict=True):
    w, path = np.full((8, 1), 1.2) * np.where(np.arange(8) % 2, -1, 1)[:, None], []
    for step in range(400):
        dw = X.T @ (X @ w - y[:, None]) / len(y) + penalty_backward(1.0, w, none, np.zeros((1, 1)), none, l1, l2)[0]
        w = w - 0.05 / (1 + step / 40) * dw
        path.append(w[:, 0])
    for k, weight in enumerate(np.array(path).T):
        ax.plot(weight, color=CLASSES[k] if k < 3 else "#BBBBBB", linewidth=2 if k < 3 else 1)
    ax.axhline(0, color="black", linewidth=0.6)
    print(f"{name:11}: {np.sum(np.abs(w) < 0.01)} of 8 weights below 0.01; they pay "
          f"{penalty(w, none, np.zeros((1, 1)), none, l1, l2):.2f}")
    ax.set_xscale("log")
    dress(ax, name, "step", "weight" * (name == "No penalty"))
plt.show()
