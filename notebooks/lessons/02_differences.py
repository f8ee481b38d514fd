# %% [markdown]
# # Derivatives by differences: how small is small enough?
#
# The derivative is the slope of a function: how much the result changes when the input changes a little. The obvious
# way to measure it is to try: change the input a little and look. It needs nothing but the function itself, which makes
# it the judge of every cleverer method. But how much is "a little"? Too much, and the function bends within the step.
# Too little, and the computer cannot tell the two values apart. Between the two lies an optimum that can be computed.
#
# You will learn to predict the error of a difference, to choose the step, why derivatives are checked in float64, what
# happens at a kink, and what differences cost. Lesson 01 explained arrays and dtypes; lesson 03 builds the method that
# needs no step at all.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, viz
from minidl.check.numeric import STEP
from minidl.nn import functional as F
from minidl.viz.style import BLUE, GREEN, GREY, INK, ORANGE, PALE, SIGNED, VERMILLION, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=viz.style.CLASSES)
rng = np.random.default_rng(0)
EPS = float(np.finfo(np.float64).eps)  # 2.2e-16: the relative distance of neighbouring float64 numbers

# %% [markdown]
# ## 1. A slope from two points
#
# The line through two points of a curve is a *secant*. As the points move together it becomes the *tangent*, whose
# slope is the derivative:
#
# $$f'(x) = \lim_{h\to 0}\frac{f(x+h)-f(x)}{h}, \qquad
# \text{forward: } \frac{f(x+h)-f(x)}{h}, \qquad \text{central: } \frac{f(x+h)-f(x-h)}{2h}.$$
#
# A computer has no limits, only small $h$. The *forward difference* takes one step ahead; the *central difference* one
# ahead and one back. In the picture $h$ is far too large on purpose: the forward secant is visibly off, the central
# one already nearly parallel to the tangent. The bend of the curve is the same on both sides, and cancels.
#
# The true slope comes from `minidl.grad`, which differentiates by rules (lessons 03 and 04) and makes no such error.
#
# *Source:* `minidl/check/numeric.py`. *Reference:* Press, Teukolsky, Vetterling, Flannery (2007), "Numerical Recipes",
# 3rd edition, section 5.7.

# %%
def forward(f, x, h):
    return (f(x + h) - f(x)) / h


def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def exact(f, x):
    """The derivative by minidl's rules, in float64."""
    t = Tensor(np.float64(x), requires_grad=True)
    return minidl.grad(f(t), t)[0].item()


x, h = 1.0, 0.7
slope = exact(minidl.sin, x)
assert abs(slope - np.cos(x)) <= EPS

line = np.linspace(0, 2.1, 100)
fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
for ax, difference, ends in ((axes[0], forward, (x, x + h)), (axes[1], central, (x - h, x + h))):
    measured = difference(minidl.sin, x, h)
    ax.plot(line, np.sin(line), color=GREY, linewidth=2, label="sin x")
    ax.plot(line, np.sin(x) + slope * (line - x), "--", color=BLUE, label=f"tangent: slope {slope:.3f}")
    middle = np.mean(np.sin(ends)) - measured * np.mean(ends)
    ax.plot(line, middle + measured * line, color=VERMILLION, label=f"secant: slope {measured:.3f}")
    ax.plot(ends, np.sin(ends), "o", color=VERMILLION)
    ax.plot(x, np.sin(x), "s", color=BLUE, markersize=5)
    dress(ax, f"{difference.__name__.capitalize()} difference, h = {h}", "x")
    key(ax)
plt.show()
assert abs(central(minidl.sin, x, h) - slope) < 0.3 * abs(forward(minidl.sin, x, h) - slope)

# %% [markdown]
# ## 2. The sweep: a V
#
# Now let $h$ run through sixteen powers of ten, and draw the error against $h$ with both axes logarithmic. Two enemies
# make the two arms of a V:
#
# * **Truncation error**: Taylor's series is cut off. $f(x\pm h) = f \pm hf' + \frac{h^2}{2}f'' \pm \frac{h^3}{6}f'''
#   + \ldots$, so the forward difference is off by $\frac h2 f''$, and the central one, where the even terms cancel, by
#   $\frac{h^2}{6}f'''$. This arm rises to the right, with slope 1 or 2.
# * **Rounding error**: every value of $f$ is only known to a relative $\varepsilon/2$. Two nearly equal numbers are
#   subtracted, so that their leading digits cancel and the rounding errors stay (*cancellation*). Divided by a small
#   $h$ they become large:
#
# $$|\text{error}| \;\lesssim\; \underbrace{\tfrac h2 |f''|}_{\text{truncation}} +
# \underbrace{\tfrac{\varepsilon |f|}{h}}_{\text{rounding}} \ \text{(forward)}, \qquad
# \tfrac{h^2}{6} |f'''| + \tfrac{\varepsilon |f|}{2h} \ \text{(central)}.$$
#
# The lines in the picture are these formulas; the dots are measured. The right arm is a smooth line, the left one is
# noise: the rounding of $f(x+h)$ looks random.
#
# *Source:* the docstring of `minidl/check/numeric.py`. *Reference:* Higham (2002), "Accuracy and Stability of Numerical
# Algorithms", 2nd edition, section 1.14.

# %%
steps = np.logspace(-16, 0, 800)
errors = {
    "forward": np.abs(forward(minidl.sin, x, steps) - slope),
    "central": np.abs(central(minidl.sin, x, steps) - slope),
}
bounds = {  # f = sin: |f| = |f''| = sin 1, |f'''| = cos 1
    "forward": (steps / 2 * np.sin(x), EPS * np.sin(x) / steps),
    "central": (steps**2 / 6 * np.cos(x), EPS * np.sin(x) / (2 * steps)),
}
fig, ax = plt.subplots(figsize=(9, 4.6), layout="constrained")
for (name, error), colour in zip(errors.items(), (BLUE, VERMILLION), strict=True):
    ax.loglog(steps, error, ".", color=colour, markersize=3, alpha=0.7, label=f"{name}, measured")
    ax.loglog(steps, sum(bounds[name]), color=colour, linewidth=1.5, label=f"{name}, by the formula")
ax.set_ylim(1e-14, 3)
ax.annotate("rounding", (3e-13, 3e-2), fontsize=10)
ax.annotate("truncation", (2e-4, 1.5e-2), fontsize=10)
dress(ax, "Error of the derivative of sin at 1", "step h", "error", "both")
key(ax)
plt.show()

large = steps > 1e-2  # the right arm: slopes 1 and 2
for name, order in (("forward", 1), ("central", 2)):
    fitted = np.polyfit(np.log(steps[large]), np.log(errors[name][large]), 1)[0]
    print(f"{name}: right arm of slope {fitted:.2f}")
    assert abs(fitted - order) < 0.05
    assert (errors[name] < 5 * sum(bounds[name])).all()  # 5: x + h is rounded as well, which the formula leaves out

# %% [markdown]
# ## 3. The two errors, apart
#
# For the sine we can separate them, because its central difference has a closed form, which can be computed without
# subtracting nearly equal numbers:
#
# $$\frac{\sin(x+h)-\sin(x-h)}{2h} = \cos(x)\,\frac{\sin h}{h} .$$
#
# That minus the derivative is the truncation error, and the measured value minus *that* is the rounding error. On the
# left you see them cross. On the right is what rounding looks like close up: within a few $\varepsilon$ of $x$ the
# computer's sine is no curve but a staircase. A secant of this staircase can have any slope, even 0.
#
# *Reference:* Goldberg (1991), "What every computer scientist should know about floating-point arithmetic", ACM
# Computing Surveys 23.

# %%
closed = np.cos(x) * np.sin(steps) / steps  # the difference in exact arithmetic
truncation, rounding = np.abs(closed - slope), np.abs(central(minidl.sin, x, steps) - closed)

fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
left.loglog(steps, rounding, ".", color=ORANGE, markersize=3, label="rounding")
left.loglog(steps[truncation > 1e-15], truncation[truncation > 1e-15], color=GREEN, linewidth=2, label="truncation")
left.axvline(EPS ** (1 / 3), color=INK, linewidth=0.8, linestyle=":")
left.text(1.3 * EPS ** (1 / 3), 1e-2, r"$\varepsilon^{1/3}$", fontsize=11)
left.set_ylim(1e-15, 3)
dress(left, "Central difference: the two errors", "step h", "error", "both")
key(left)
near = np.linspace(-12, 12, 2000)
right.plot(near, (minidl.sin(x + near * EPS) - np.sin(x)) / EPS, color=VERMILLION, linewidth=1.5, label="computed")
right.plot(near, slope * near, "--", color=BLUE, label="the sine")
dress(right, "sin(x + t) - sin(x), very near", "t, in units of ε", "in units of ε", "both")
key(right)
plt.show()
crossing = steps[np.argmin(np.where(steps > 1e-10, truncation + EPS / steps, 1))]
assert 0.1 < crossing / EPS ** (1 / 3) < 10
assert forward(minidl.sin, x, 1e-16) == 0.0  # x + h is x

# %% [markdown]
# ## 4. The best step
#
# Write the error as $E(h) = C h^p + R/h$, where $p$ is the *order* of the formula. Its minimum is where
# $E'(h) = pCh^{p-1} - R/h^2 = 0$:
#
# $$h^* = \left(\frac{R}{pC}\right)^{\frac1{p+1}} \propto \varepsilon^{\frac{1}{p+1}}, \qquad
# E(h^*) \propto \varepsilon^{\frac{p}{p+1}} .$$
#
# | formula | order $p$ | best step | best error |
# |---|---|---|---|
# | forward | 1 | $\varepsilon^{1/2} \approx 10^{-8}$ | $\varepsilon^{1/2}$: 8 digits |
# | central | 2 | $\varepsilon^{1/3} \approx 6\cdot10^{-6}$ | $\varepsilon^{2/3}$: 10 digits |
# | five points | 4 | $\varepsilon^{1/5} \approx 7\cdot10^{-4}$ | $\varepsilon^{4/5}$: 13 digits |
#
# The better the formula, the **larger** its best step: far from "as small as possible". minidl's checker takes
# central differences with $h = \varepsilon^{1/3}$; where that is not good enough, it compares thirteen steps.
#
# The five-point formula is $\frac{-f(x+2h)+8f(x+h)-8f(x-h)+f(x-2h)}{12h}$, with truncation error
# $\frac{h^4}{30}f^{(5)}$. In the cell below the best step is measured as the lowest place of the V's upper edge.
#
# *Source:* `STEP` and `STEPS` in `minidl/check/numeric.py`. *Reference:* Fornberg (1988), "Generation of finite
# difference formulas on arbitrarily spaced grids", Mathematics of Computation 51.

# %% tags=["varies"]
def five_point(f, x, h):
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


formulas = {  # p, C and R for the sine at 1
    "forward": (forward, 1, np.sin(x) / 2, EPS * np.sin(x)),
    "central": (central, 2, np.cos(x) / 6, EPS * np.sin(x) / 2),
    "five points": (five_point, 4, np.cos(x) / 30, 0.75 * EPS * np.sin(x)),
}
fine = np.logspace(-12, 0, 2401)
fig, ax = plt.subplots(figsize=(9, 4.2), layout="constrained")
for (name, (difference, p, C, R)), marker in zip(formulas.items(), viz.style.MARKERS, strict=False):
    error = np.abs(difference(minidl.sin, x, fine) - slope)
    edge = np.lib.stride_tricks.sliding_window_view(error, 101).max(axis=1)  # the largest within a quarter of a decade
    centre = fine[50:-50]
    best, found = (R / (p * C)) ** (1 / (p + 1)), centre[edge.argmin()]
    ax.loglog(centre, edge, label=name)
    ax.loglog(best, C * best**p + R / best, marker, color=INK, markersize=8)
    print(f"{name:12} best step: formula {best:.0e}, measured {found:.0e};  error there {edge.min():.0e}")
    assert 0.1 < found / best < 10 and 0.05 < edge.min() / (C * best**p + R / best) < 20
ax.set_ylim(1e-16, 1e-3)
dress(ax, "Upper edge of the error; black: the minimum by the formula", "step h", "error", "both")
key(ax)
plt.show()
assert STEP == EPS ** (1 / 3)

# %% [markdown]
# ## 5. A step in another direction
#
# All trouble came from a subtraction. Here is a way without one: let the step be *imaginary*, $h \to ih$ with
# $i^2 = -1$. For a function that is given by a power series,
#
# $$f(x + ih) = f(x) + ihf'(x) - \frac{h^2}{2}f''(x) - \ldots \quad\Rightarrow\quad
# f'(x) = \frac{\operatorname{Im} f(x+ih)}{h} + O(h^2).$$
#
# The value sits in the real part, the derivative in the imaginary part, and neither disturbs the other. So $h$ may be
# $10^{-20}$, truncation vanishes, and nothing is rounded off: full precision. The example is the one from the paper.
#
# The price: every operation must accept complex numbers and be *analytic*, that is, have a power series. `abs`,
# `maximum`, comparisons are not, and give a wrong answer without complaint, as the last line shows. That is why
# minidl's checker keeps to real steps; and one can read this trick as a first automatic differentiation, which carries
# the derivative along beside the value.
#
# *Reference:* Squire, Trapp (1998), "Using complex variables to estimate derivatives of real functions", SIAM Review
# 40; Martins, Sturdza, Alonso (2003), "The complex-step derivative approximation", ACM TOMS 29.

# %%
def trapp(x):
    """e^x / (sin³x + cos³x): minidl's functions take plain arrays too, even complex ones."""
    return minidl.exp(x) / (minidl.sin(x) ** 3 + minidl.cos(x) ** 3)


def complex_step(f, x, h):
    return np.imag(f(x + 1j * h)) / h


truth = exact(trapp, 1.5)
steps = np.logspace(-20, 0, 500)
fig, ax = plt.subplots(figsize=(9, 4.2), layout="constrained")
for name, difference in (("forward", forward), ("central", central), ("complex step", complex_step)):
    relative = np.abs(difference(trapp, 1.5, steps) / truth - 1)
    ax.loglog(steps, np.maximum(relative, 1e-17), ".", markersize=4, label=name)
ax.axhline(EPS, color=INK, linewidth=0.8, linestyle=":")
ax.set_ylim(3e-18, 30)
dress(ax, "Relative error, at 1.5 (points at the lower edge: not a bit wrong)", "step h", "relative error", "both")
key(ax)
plt.show()
print(f"complex step, h = 1e-20: {complex_step(trapp, 1.5, 1e-20):.14f}\nminidl.grad:             {truth:.14f}")
assert abs(complex_step(trapp, 1.5, 1e-20) / truth - 1) < 8 * EPS
wrong = float(complex_step(minidl.abs, np.array([2.0]), 1e-20)[0])
print(f"slope of |x| at 2: {wrong} by the complex step; it is {exact(minidl.abs, 2.0)}")

# %% [markdown]
# ## 6. float32 against float64
#
# Networks are trained in float32, where $\varepsilon = 1.2\cdot10^{-7}$. The same formula gives for the central
# difference a best step of $\varepsilon^{1/3} \approx 0.005$, and a best error of $\varepsilon^{2/3} \approx
# 2\cdot10^{-5}$; a step that is ten times too small or too large costs one or two of these five digits, and then a rule
# that is wrong by one part in ten thousand cannot be told from a right one. In float64 there are five digits to spare.
#
# So `minidl.gradcheck` computes in float64 whatever dtype it is given. Here is a sine whose rule is off by $10^{-4}$:
# the dashed line in the picture, which the float32 error gets below only in the neighbourhood of the best step.
#
# *Source:* `minidl/check/gradcheck.py`. *Reference:* Goodfellow, Bengio, Courville (2016), "Deep Learning", section
# 11.5 (comparing derivatives with differences).

# %%
steps = np.logspace(-14, 0, 600)
fig, ax = plt.subplots(figsize=(9, 4.2), layout="constrained")
lowest = {}
for kind, colour in ((np.float32, ORANGE), (np.float64, BLUE)):
    h = steps.astype(kind)
    at = np.full_like(h, 1)
    measured = central(minidl.sin, at, h)
    assert measured.dtype == kind
    error = np.abs(measured.astype(np.float64) / slope - 1)
    ax.loglog(steps, error, ".", color=colour, markersize=3, label=f"central, {np.dtype(kind).name}")
    best = float(np.finfo(kind).eps) ** (1 / 3)
    lowest[np.dtype(kind).name] = np.median(error[np.abs(np.log10(steps / best)) < 0.2])
    ax.loglog(best, lowest[np.dtype(kind).name], "s", color=INK, markersize=7)
ax.axhline(1e-4, color=VERMILLION, linestyle="--", label="a rule that is wrong by 1e-4")
ax.set_ylim(1e-13, 10)
dress(ax, r"The same sweep in two precisions (black: $h = \varepsilon^{1/3}$)", "step h", "relative error", "both")
key(ax)
plt.show()
assert 1e-6 < lowest["float32"] < 1e-3 and lowest["float64"] < 1e-9


@minidl.primitive(elementwise=True)
def nearly_sine(x):
    return np.sin(x)
nearly_sine.vjp(lambda g, x: 1.0001 * g * minidl.cos(x))


single = np.array([1.0], np.float32)
assert minidl.gradcheck(minidl.sin, single, order=1, rng=0)
report = minidl.gradcheck(nearly_sine, single, order=1, rng=0)
print(report)
assert not report and report["x"].finding is not None

# %% [markdown]
# ## 7. A step has a size, and it is not the one you asked for
#
# "Small" means small compared with $x$. Near 12345 the gap between two float64 numbers is $1.8\cdot10^{-12}$, and so
# $x + h$ is not $x + h$ but the nearest number that exists. For $h = 6\cdot10^{-6}$ that is an error of one part in
# ten million, even for $f(x) = x$, where a difference should be exact. Two remedies:
#
# $$h = \varepsilon^{1/3}\,\max(|x|, x_{\text{usual}}), \qquad \text{and divide by the step that was really taken: }
# (x+h)-(x-h).$$
#
# *Source:* `sizes` in `minidl/check/numeric.py`. *Reference:* Press et al. (2007), section 5.7.

# %%
far, h = 12345.678, EPS ** (1 / 3)
asked = ((far + h) - (far - h)) / (2 * h)
scaled = ((far + h * far) - (far - h * far)) / (2 * h * far)
print(f"slope of f(x) = x at {far}: off by {abs(asked - 1):.0e} with a fixed step, "
      f"at most 1e-10 with a scaled one: {abs(scaled - 1) < 1e-10}")  # fmt: skip
really = (far + h) - (far - h)
assert ((far + h) - (far - h)) / really == 1.0 and abs(asked - 1) > 1e-9 > 10 * abs(scaled - 1)

# %% [markdown]
# ## 8. Kinks
#
# $\mathrm{ReLU}(x) = \max(x, 0)$ has a *kink* at 0: slope 0 on the left, 1 on the right, and no derivative in between.
# Any number from 0 to 1 is a *subgradient* there, the slope of a line that touches the curve and stays below it; minidl
# returns 0. Worse, a kink disturbs from a distance: at $x = -d$, a step $h > d$ reaches over it,
#
# $$\frac{\mathrm{ReLU}(x+h)-\mathrm{ReLU}(x-h)}{2h} = \begin{cases} 0 & h \le d\\[2pt]
# \dfrac{h-d}{2h} & h > d\end{cases} \qquad\longrightarrow\qquad \text{an error that looks like } \tfrac12 .$$
#
# There is no V here, but a wall. A network has thousands of ReLUs, and some unit always sits near its kink; who finds
# "relative error 0.3" in a single element has often found a kink, and no mistake. The checker recognises them: when
# the slopes from the left and from the right keep their distance however small the step becomes, it is a kink, and
# every value between the two slopes is accepted. When the distance shrinks with the step, the function is only bent.
#
# *Source:* `_window` in `minidl/check/numeric.py`. *Reference:* Clarke (1983), "Optimization and Nonsmooth Analysis",
# on subgradients; Karpathy, CS231n course notes, "Gradient checks", on kinks in practice.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.9), layout="constrained")
line = np.linspace(-1, 1, 200)
left.plot(line, minidl.relu(line), color=INK, linewidth=2.5, label="ReLU")
for share in (0.0, 0.25, 0.5, 0.75, 1.0):
    left.plot(line, share * line, color=BLUE, linewidth=0.8, label="subgradients" if not share else None)
ends = np.array([-0.8, 0.4])
left.plot(ends, minidl.relu(ends), "o-", color=VERMILLION, label="a secant over the kink, at -0.2")
left.plot(-0.2, 0, "s", color=VERMILLION, markersize=5)
left.set_ylim(-0.6, 1.05)
dress(left, "A kink", "x")
key(left)
steps = np.logspace(-8, 0, 400)
for distance in (1e-1, 1e-3, 1e-5):
    error = central(minidl.relu, -distance, steps)  # the derivative is 0
    right.semilogx(steps, error, label=f"{distance:g} from the kink")
    assert np.allclose(error, np.where(steps > distance, (steps - distance) / (2 * steps), 0), atol=1e-7)
right.axvline(STEP, color=INK, linewidth=0.8, linestyle=":")
dress(right, "Error of the central difference (dotted: the checker's step)", "step h", "error")
key(right)
plt.show()

points = np.array([-1.0, -1e-7, 0.0, 2.0])  # one of them almost at the kink, one exactly
print(minidl.gradcheck(minidl.relu, points, order=1, rng=0))


def ramp(at_zero):
    """ReLU, with this slope at 0."""

    @minidl.primitive(elementwise=True)
    def relu(x):
        return np.maximum(x, 0)
    relu.vjp(lambda g, x: g * minidl.where(x == 0, at_zero, minidl.where(x > 0, 1.0, 0.0)))
    return relu


for at_zero in (0.0, 0.3, 1.0, 1.5):
    report = minidl.gradcheck(ramp(at_zero), points, order=1, rng=0)
    print(f"slope {at_zero} at the kink: {'accepted' if report else 'refused'}")
    assert bool(report) == (at_zero <= 1)

# %% [markdown]
# ## 9. Many inputs: what differences cost
#
# A function of $n$ numbers has $n$ *partial derivatives*, one for each; together they are the *gradient*
# $\nabla f = (\partial f/\partial x_1, \ldots, \partial f/\partial x_n)$. Central differences need two evaluations for
# each, $2n$ in all. A network with a million weights would be evaluated two million times for a single step of
# training. `backward` gets all of them for the price of a few evaluations, whatever $n$ is: that is why lesson 03
# exists, and why differences are a judge and not a worker.
#
# The judge can be made cheap as well. The slope along a *direction* $v$ is a single number, from two evaluations:
#
# $$\frac{f(x+hv)-f(x-hv)}{2h} \approx \langle \nabla f, v\rangle .$$
#
# With a random $v$, an error in *any* of the $n$ partial derivatives shows, except by rare accident. Below: a linear
# classifier of handwritten digits, with 640 weights, whose gradient is drawn as ten images.
#
# *Source:* `minidl/check/compare.py`. *Reference:* Griewank, Walther (2008), "Evaluating Derivatives", 2nd edition,
# section 3.3, on the cheap gradient.

# %%
digits = data.load_digits()
images, labels = digits.x[:300].reshape(300, 64).astype(np.float64), digits.y[:300]
calls = 0


def loss(W):
    global calls
    calls += 1
    return F.cross_entropy(Tensor(images) @ W, labels)


def value(W):
    return loss(Tensor(W)).item()


W = 0.1 * rng.standard_normal((64, 10))
numeric = np.empty_like(W)
for place in np.ndindex(W.shape):  # one weight after the other
    unit = np.zeros_like(W)
    unit[place] = 1.0
    numeric[place] = (value(W + STEP * unit) - value(W - STEP * unit)) / (2 * STEP)
by_differences, calls = calls, 0
leaf = Tensor(W, requires_grad=True)
loss(leaf).backward()
gradient = leaf.grad.numpy()
print(f"{W.size} weights: {by_differences} evaluations for differences, {calls} and a walk back for backward")
assert np.allclose(numeric, gradient, atol=1e-9)

fig, axes = plt.subplots(3, 10, figsize=(11, 3.9), layout="constrained")
rows = {"differences": numeric, "backward": gradient, "the first less the\nsecond, × 10⁹": 1e9 * (numeric - gradient)}
limit = np.abs(gradient).max()
for line, (name, picture) in zip(axes, rows.items(), strict=True):
    for k, ax in enumerate(line):
        ax.imshow(picture[:, k].reshape(8, 8), cmap=SIGNED, vmin=-limit, vmax=limit)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_color(PALE)
    line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
for k, ax in enumerate(axes[0]):
    ax.set_title(f"weights of {k}", fontsize=8)
plt.show()

v = rng.choice([-1.0, 1.0], W.shape)
along = (value(W + STEP * v) - value(W - STEP * v)) / (2 * STEP)
planted = gradient.copy()
planted[20, 3] *= 1.01  # one partial derivative of 640, wrong by 1%
right, wrong = ((g * v).sum() for g in (gradient, planted))
print(f"along v: by differences {along:.7f}, the gradient says {right:.7f}, with one of 640 wrong {wrong:.7f}")
assert abs(right / along - 1) < 1e-7 < 1e-5 < abs(wrong / along - 1)

# %% [markdown]
# ## Break it
#
# "The smaller the better": set the step to $10^{-13}$, and then to $10^{-20}$, and look how much is left of the slope
# of the digits' loss along $v$.

# %%
h = 1e-20  # try 1e-13, 1e-9, 1e-5, 1e-1
broken = forward(lambda t: np.array([value(W + t * v)]), 0.0, h)[0]
print(f"h = {h:g}: slope along v {broken:.4f}, and it should be {along:.4f}")
assert (W + h * v == W).all() and broken == 0.0
