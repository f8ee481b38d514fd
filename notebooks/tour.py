# %% [markdown]
# # A tour of minidl
#
# minidl is a deep-learning framework in NumPy that is small enough to read. This notebook walks once through its
# heart: tensors that know their gradients, the layers of a network, losses, optimisers, the training loop, and the
# tools for looking inside. Each section has an equation, the code that computes it, a picture where one helps, the
# file where the thing lives, and one reference. It runs in half a minute; change numbers and run cells again.

# %%
import tempfile

import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, models, nn, optim, train, viz
from minidl.nn import functional as F
from minidl.viz.style import dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=viz.style.CLASSES)
minidl.manual_seed(0)  # one seed for everything that is random

# %% [markdown]
# ## 1. Tensors that remember
#
# A `Tensor` is a NumPy array that remembers how it was computed. `backward()` walks back over that memory with the
# chain rule and leaves $\partial L/\partial x$ in `x.grad` for every tensor `x` that asked for it.
#
# NumPy *broadcasts*: below, `b` of shape (3,) is added to each of the 4 rows of `x @ w`. One number of `b` then has
# an effect in 4 places, and the effects add up. The gradient of a broadcast is a sum over the copies:
#
# $$y_{ij} = (xw)_{ij} + b_j \quad\Rightarrow\quad
# \frac{\partial L}{\partial b_j} = \sum_i \frac{\partial L}{\partial y_{ij}}$$
#
# *Source:* `minidl/engine.py`. *Reference:* Baydin, Pearlmutter, Radul, Siskind (2018), "Automatic Differentiation in
# Machine Learning: a Survey", JMLR 18.

# %%
rng = np.random.default_rng(0)
x = Tensor(rng.standard_normal((4, 2)))  # plain data: nobody asks for its gradient
w = Tensor(rng.standard_normal((2, 3)), requires_grad=True)
b = Tensor(np.zeros(3), requires_grad=True)

y = x @ w + b  # (4, 2) @ (2, 3) + (3,) -> (4, 3)
loss = (y * y).mean()
viz.graph(loss, {"w": w, "b": b, "y": y, "loss": loss})
plt.show()

loss.backward()
upstream = 2 * y.numpy() / y.size  # dL/dy, by hand
assert np.allclose(b.grad, upstream.sum(axis=0))  # the broadcast became a sum over the 4 rows
assert np.allclose(w.grad, x.numpy().T @ upstream)
print("b.grad:", b.grad)

# %% [markdown]
# ## 2. Your own differentiable function, and the proof that it is right
#
# A *primitive* is a NumPy function plus one rule for each argument. The rule gets `g`, the gradient of the loss with
# respect to the result, and returns the gradient with respect to the argument: for $y = x/(1+|x|)$, called softsign,
#
# $$\frac{\partial L}{\partial x} = g \cdot \frac{1}{(1+|x|)^2}.$$
#
# A derivative is easy to get wrong, and a wrong one still trains, only worse. So it is compared with differences,
#
# $$\frac{\partial f}{\partial x} \approx \frac{f(x+h) - f(x-h)}{2h}, \qquad
# h \approx \varepsilon^{1/3} \approx 6\cdot 10^{-6},$$
#
# in double precision. Rules are written with operators and minidl's own functions, so they can be differentiated
# themselves: "second order" checks the derivative of the derivative.
#
# *Source:* `minidl/op.py`, `minidl/check/`. *Reference:* Press, Teukolsky, Vetterling, Flannery (2007), "Numerical
# Recipes", 3rd edition, section 5.7.

# %%
@minidl.primitive(elementwise=True)
def softsign(x):
    return x / (1 + np.abs(x))
softsign.vjp(lambda g, x: g / (1 + minidl.abs(x)) ** 2)

report = minidl.gradcheck(softsign, [rng.standard_normal((3, 4))], order=2)
print(report)
assert report

# %% [markdown]
# Now break it on purpose. Here are three rules with a classical slip in each: a forgotten minus sign, a forgotten
# factor, a forgotten sum. The checker says which tensor is wrong, at which element, and what the error looks like.

# %%
@minidl.primitive(elementwise=True)
def gauss(x):
    return np.exp(-x * x)
gauss.vjp(lambda g, out, x: g * 2 * x * out)  # should be -2 x out

@minidl.primitive(elementwise=True)
def square(x):
    return x * x
square.vjp(lambda g, x: g * x)  # should be 2 x

@minidl.primitive
def normalised(x):
    return x / x.sum()
normalised.vjp(lambda g, x: g / minidl.sum(x))  # x also changes the sum below the line

for wrong in (gauss, square, normalised):
    report = minidl.gradcheck(wrong, [1 + rng.random((3, 4))])
    print(report, end="\n\n")
    assert not report

# %% [markdown]
# ## 3. Second derivatives
#
# The *Hessian* $H_{ij} = \partial^2 f / \partial x_i \partial x_j$ says how the gradient turns as we move: how curved
# the landscape is, and in which directions. `hessian` computes all of it. For a million weights it would not fit into
# any memory, but its product with one vector costs only about two gradients:
#
# $$H v = \nabla_x \left( \nabla_x f(x) \cdot v \right).$$
#
# The picture shows what it is good for. The gradient points down the steepest slope, which is across the valley; the
# Newton step $-H^{-1}\nabla f$ knows the curvature and goes along it.
#
# *Source:* `minidl/derivatives.py`. *Reference:* Pearlmutter (1994), "Fast exact multiplication by the Hessian",
# Neural Computation 6.

# %%
def valley(p):
    return (1 - p[0]) ** 2 + 8 * (p[1] - p[0] ** 2) ** 2

def slope(p):
    p = Tensor(p, requires_grad=True)
    return minidl.grad(valley(p), p)[0].numpy()

start, direction = np.array([-1.2, 1.2]), np.array([1.0, 2.0])
H = minidl.hessian(valley, start)
assert np.allclose(minidl.hvp(valley, start, direction), H.numpy() @ direction)
print("H =", H, " eigenvalues", np.linalg.eigvalsh(H.numpy()).round(1))

steepest, newton = [start], [start]
for _ in range(10):
    steepest.append(steepest[-1] - 0.015 * slope(steepest[-1]))
    newton.append(newton[-1] - np.linalg.solve(minidl.hessian(valley, newton[-1]).numpy(), slope(newton[-1])))
assert valley(newton[-1]) < 1e-6 < 1 < valley(steepest[-1])

u, v = np.meshgrid(np.linspace(-1.6, 1.5, 200), np.linspace(-0.6, 1.8, 200))
fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.contour(u, v, valley((u, v)) ** 0.5, np.arange(0.2, 8, 0.4), colors="#CCCCCC", linewidths=0.8)
ax.plot(*np.transpose(steepest), "o-", label=f"10 gradient steps: f = {valley(steepest[-1]):.1f}", markersize=4)
ax.plot(*np.transpose(newton), "s-", label=f"10 Newton steps: f = {valley(newton[-1]):.0e}", markersize=4)
ax.plot(1, 1, "k*", markersize=13)
dress(ax, "Two ways through a curved valley", "x", "y", None)
key(ax)
plt.show()

# %% [markdown]
# ## 4. Affine layers: what 1, 2 and 3 neurons can separate
#
# An *affine layer* scales and then offsets: $y = x W^\top + b$. Each of its neurons draws one straight line,
# $w\cdot x + b = 0$ (dotted below). Two affine layers in a row are one affine layer, so without an activation in
# between nothing is gained, however many neurons there are:
#
# $$(xW_1^\top + b_1)W_2^\top + b_2 = x\,(W_2W_1)^\top + (W_2 b_1 + b_2).$$
#
# With an activation between them the lines can be combined. To fence in the middle class takes three.
#
# *Source:* `minidl/nn/linear.py`, `minidl/viz/boundary.py`. *Reference:* Cybenko (1989), "Approximation by
# superpositions of a sigmoidal function", Mathematics of Control, Signals and Systems 2.

# %%
minidl.manual_seed(0)
points, label = data.circles(200, noise=0.09, factor=0.3, rng=0)
target = Tensor(label.reshape(-1, 1).astype(np.float32))  # (N, 1), as the logits: losses never broadcast
fig, axes = plt.subplots(1, 4, figsize=(13, 3.7), layout="constrained")
right = {}
for ax, (hidden, bend) in zip(axes, [(1, nn.Tanh()), (2, nn.Tanh()), (3, nn.Tanh()), (3, nn.Identity())], strict=True):
    model = nn.Sequential(nn.Linear(2, hidden), bend, nn.Linear(hidden, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(400):  # a training loop is four lines
        loss = F.binary_cross_entropy_with_logits(model(points), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    viz.decision_boundary(model, points, label, ax, title=f"{hidden} neuron{'s'[: hidden - 1]}, {bend}")
    across = np.array(ax.get_xlim())
    for (w1, w2), offset in zip(model[0].weight.numpy(), model[0].bias.numpy(), strict=True):
        ax.plot(across, -(w1 * across + offset) / w2, ":k", scaley=False)
    right[hidden, type(bend).__name__] = float(((model(points).numpy() > 0) == target.numpy()).mean())
plt.show()
print(right)
assert right[3, "Tanh"] > 0.97 > 0.9 > right[1, "Tanh"] and right[3, "Identity"] < 0.8

# %% [markdown]
# ## 5. Activations: where they bend, where they stop to learn
#
# The gradient that passes back through an activation is multiplied by its slope. Where the slope is almost zero
# nothing is learned: a sigmoid or tanh with a large input is *saturated*, a ReLU whose input is negative for all
# samples is *dead*. Swish, $x\,\sigma(\beta x)$, keeps a little slope on the left, and its $\beta$ may be a
# parameter.
#
# $$\sigma(x) = \frac{1}{1+e^{-x}}, \qquad \sigma'(x) = \sigma(x)(1-\sigma(x)) \le \tfrac14$$
#
# Computed as it is written, $e^{-x}$ overflows for $x=-1000$; all functions here are stable.
#
# *Source:* `minidl/ops/activation.py`, `minidl/nn/activation.py`. *Reference:* Ramachandran, Zoph, Le (2017),
# "Searching for activation functions", arXiv:1710.05941.

# %%
fig, axes = plt.subplots(2, 4, figsize=(13, 6), layout="constrained", sharey=True)
shown = [nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.LeakyReLU(0.1), nn.Swish(1.0), nn.Swish(5.0), nn.GELU(), nn.ELU()]
for ax, activation in zip(axes.flat, shown, strict=True):
    viz.function_and_gradient(activation, (-5, 5), ax, name=repr(activation))
    ax.set_ylim(-1.2, 2.2)
plt.show()

extremes = Tensor(np.array([-1e4, 0.0, 1e4], np.float32), requires_grad=True)
for activation in shown:
    (gradient,) = minidl.grad(activation(extremes).sum(), extremes)
    assert np.isfinite(activation(extremes).numpy()).all() and np.isfinite(gradient.numpy()).all()
print("softmax of the same three numbers:", nn.Softmax()(extremes.detach()))

# %% [markdown]
# ## 6. Initialisation: will the signal arrive?
#
# A unit sums $n_{in}$ terms, so each layer multiplies the variance of the signal by $n_{in} \operatorname{var}(w)$
# (and by a half for ReLU, which discards one). Over 50 layers a factor slightly off 1 becomes nothing or overflow.
# He's rule makes it one:
#
# $$\operatorname{var}(w) = \frac{2}{n_{in}} \ \text{(He, ReLU)}, \qquad
# \operatorname{var}(w) = \frac{2}{n_{in}+n_{out}}\ \text{(Xavier, tanh)}.$$
#
# Equal weights fail for another reason: units that are equal get equal gradients, and stay equal for ever.
#
# *Source:* `minidl/nn/init.py`, `minidl/viz/initialisation.py`. *Reference:* He, Zhang, Ren, Sun (2015), "Delving
# deep into rectifiers", ICCV.

# %%
init = nn.init
viz.signal({
    "N(0, 0.05²)": lambda w: init.normal_(w, std=0.05),
    "Xavier": init.xavier_normal_,
    "He": lambda w: init.he_normal_(w, nonlinearity="relu"),
    "orthogonal, gain √2": lambda w: init.orthogonal_(w, gain=2**0.5),
    "He, 1.5 times too large": lambda w: init.normal_(w, std=1.5 * (2 / w.shape[1]) ** 0.5),
    "zeros": init.zeros_,
}, depth=50, width=64, fig=plt.figure(figsize=(12, 4.4), layout="constrained"))  # fmt: skip
plt.show()
print("gains:", {name: round(init.calculate_gain(name), 3) for name in ("linear", "sigmoid", "tanh", "relu")})

for name, initialise in (("constant", lambda w: init.constant_(w, 0.5)), ("random", init.xavier_uniform_)):
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    initialise(model[0].weight)
    initialise(model[2].weight)
    init.zeros_(model[0].bias)
    history = train.fit(model, data.xor(200, rng=0), loss=nn.CrossEntropyLoss(), metrics="accuracy", epochs=30,
                        optimizer=optim.SGD(model.parameters(), lr=0.1, momentum=0.9), progress=False)  # fmt: skip
    different = len(np.unique(model[0].weight.numpy().round(3), axis=0))
    print(f"{name}: {different} different units of 8, accuracy on XOR {history[-1]['accuracy']:.2f}")
    assert (different == 8) == (name == "random")

# %% [markdown]
# ## 7. The standard stack: [affine - norm - activation - dropout] x N - affine
#
# *Batch norm* gives each unit mean 0 and variance 1 over the batch, then a scale $\gamma$ and an offset $\beta$ that
# are learned:
#
# $$y = \gamma\,\frac{x-\mu}{\sqrt{\sigma^2+\epsilon}} + \beta, \qquad
# \text{running} \leftarrow (1-m)\,\text{running} + m\,\text{batch}.$$
#
# *Dropout* zeroes each unit with probability $p$. Both behave differently in the two modes of a model. In `train()`
# batch norm uses the statistics of the batch and dropout drops; in `eval()` batch norm uses its running statistics
# and dropout does nothing, so that an answer does not depend on the other samples or on chance.
#
# *Source:* `minidl/nn/norm.py`, `minidl/nn/dropout.py`. *References:* Ioffe, Szegedy (2015), "Batch normalization";
# Srivastava et al. (2014), "Dropout", JMLR 15.

# %%
stack = nn.Sequential(
    nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2),
    nn.Linear(16, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2),
    nn.Linear(16, 3),
)  # fmt: skip
print(stack.summary((32, 2)))
loss = F.cross_entropy(stack(rng.standard_normal((32, 2)).astype(np.float32)), rng.integers(0, 3, 32))
loss.backward()
before = optim.clip_grad_norm_(stack.parameters(), max_norm=0.1)  # returns the norm that it found
after = optim.clip_grad_norm_(stack.parameters(), max_norm=0.1)
print(f"\nnorm of all gradients together: {before:.2f}; after clipping: {after:.2f}")
assert before > 0.1 >= after

# %%
norm, means = nn.BatchNorm1d(1), []
for _ in range(60):
    batch = rng.normal(3.0, 2.0, (64, 1)).astype(np.float32)  # the data: mean 3, standard deviation 2
    out = norm(batch)  # in train mode
    means.append((batch.mean(), norm.running_mean.item()))
assert abs(out.numpy().mean()) < 1e-5 and abs(out.numpy().std() - 1) < 1e-3
alone = norm.eval()(np.array([[5.0]], np.float32)).item()  # in eval mode one sample is enough: (5 - 3) / 2
print(f"a 5 among N(3, 2²), evaluated alone: {alone:.1f}")

ones = minidl.ones(200_000)
layers = {"inverted": nn.Dropout(0.4), "vanilla": nn.VanillaDropout(0.4)}
mean = {(name, mode): layer.train(mode == "train")(ones).mean().item()
        for name, layer in layers.items() for mode in ("train", "eval")}  # fmt: skip
for name in layers:  # in each form, training and evaluation agree on average
    assert abs(mean[name, "train"] - mean[name, "eval"]) < 0.01

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
left.plot([m[0] for m in means], ".", label="mean of the batch", color="C5")
left.plot([m[1] for m in means], label="running mean", linewidth=2)
left.axhline(3, color="k", linestyle=":", label="truth")
dress(left, "Batch norm: running statistics settle", "batch", "mean")
key(left)
for k, (name, mode) in enumerate(mean):
    right.bar(k, mean[name, mode], color="C0" if mode == "train" else "C3", label=mode if k < 2 else None)
    right.text(k, mean[name, mode], f"{mean[name, mode]:.2f}", ha="center", va="bottom")
right.axhline(1, color="k", linestyle=":", label="input")
right.set_xticks([0.5, 2.5], ["inverted: × m/(1−p)", "vanilla: × m, eval × (1−p)"])
dress(right, "Dropout p = 0.4: mean of the output", "", "mean output for input 1")
right.set_ylim(0, 1.25)
key(right)
plt.show()

# %% [markdown]
# ## 8. Convolution and pooling
#
# A *convolution* slides one small filter over all places of an image: the same weights everywhere. With input size
# $N$, filter $F$, padding $P$, stride $S$ and dilation $d$, the output size is
#
# $$N' = \left\lfloor\frac{N + 2P - d(F-1) - 1}{S}\right\rfloor + 1.$$
#
# *Pooling* takes the largest value or the mean of each window. The *receptive field* of an output is the part of the
# image that it depends on. It grows with each layer, $r_k = r_{k-1} + (F-1)\,d_k \prod_{j<k} S_j$, and the gradient
# shows it: it is the region where $\partial\,\text{output}/\partial\,\text{pixel} \ne 0$.
#
# *Source:* `minidl/nn/conv.py`, `minidl/nn/pool.py`, `minidl/kernels/`. *Reference:* Dumoulin, Visin (2016), "A guide
# to convolution arithmetic for deep learning", arXiv:1603.07285.

# %%
x = minidl.zeros(5, 4, 28, 28)  # 5 images of 4 channels
for options in ({}, {"padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 2}, {"groups": 4}):
    out = nn.Conv2d(4, 8, 3, **options)(x)
    options.pop("groups", None)  # each output channel sees one input channel only; the size is the same
    assert out.shape[2] == minidl.kernels.conv_output_size(28, 3, **options)
for layer in (nn.Conv2d(4, 8, 5, stride=2, padding=2), nn.Conv2d(4, 4, 3, dilation=2, groups=4), nn.MaxPool2d(2),
              nn.MaxPool2d(3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()):  # fmt: skip
    print(f"{x.shape} -> {str(layer(x).shape):15} {layer}")

digits = data.load_digits()
image = Tensor(digits.x[[5]])  # (1, 1, 8, 8)
edge = Tensor(np.array([[1, 1, 1], [0, 0, 0], [-1, -1, -1]], np.float32).reshape(1, 1, 3, 3))
edges = F.conv2d(image, edge, padding=1)
fig, axes = plt.subplots(2, 4, figsize=(11, 5.6), layout="constrained")
steps = {"a digit": image, "filter for horizontal edges": edges, "max pool 2x2": F.max_pool2d(F.relu(edges), 2),
         "average pool 2x2": F.avg_pool2d(F.relu(edges), 2)}  # fmt: skip
for ax, (title, result) in zip(axes[0], steps.items(), strict=True):
    viz.images(result, ax=ax, title=f"{title}: {result.shape[2]}x{result.shape[3]}")

def receptive_field(layers):
    field, step = 1, 1
    for options in layers:
        field += (3 - 1) * options.get("dilation", 1) * step
        step *= options.get("stride", 1)
    return field

nets = {"one 3x3": [{}], "three 3x3": [{}] * 3, "dilated 1, 2, 4": [{"dilation": d} for d in (1, 2, 4)],
        "strides 2, 2, 1": [{"stride": 2}, {"stride": 2}, {}]}  # fmt: skip
for ax, (title, layers) in zip(axes[1], nets.items(), strict=True):
    pixels = minidl.ones(1, 1, 25, 25, requires_grad=True)
    net = nn.Sequential(*(nn.Conv2d(1, 1, 3, bias=False, **options) for options in layers))
    for weight in net.parameters():
        init.ones_(weight)
    out = net(pixels)
    (g,) = minidl.grad(out[0, 0, out.shape[2] // 2, out.shape[3] // 2], pixels)
    field = receptive_field(layers)
    assert np.count_nonzero(g.numpy().any(axis=(0, 1, 2))) == field
    viz.images(g.numpy() / g.numpy().max(), ax=ax, title=f"{title}: sees {field}x{field}")
plt.show()

# %% [markdown]
# ## 9. Losses, and logarithms that do not overflow
#
# *Cross-entropy* is the surprise at the right class: $L = -\log p_y$ with $p = \operatorname{softmax}(z)$. Written
# out, $L = \log\sum_c e^{z_c} - z_y$, and $e^{1000}$ overflows. Subtracting the largest entry first changes nothing
# but that:
#
# $$\log\sum_c e^{z_c} = m + \log\sum_c e^{z_c-m}, \quad m = \max_c z_c; \qquad
# \frac{\partial L}{\partial z} = p - \text{onehot}(y).$$
#
# The hinge loss of a support vector machine asks only for a margin of 1. For numbers instead of classes: squares
# punish outliers most, absolute values least, Huber's loss is a compromise.
#
# *Source:* `minidl/ops/loss.py`, `minidl/ops/regression.py`. *Reference:* Blanchard, Higham, Higham (2021),
# "Accurately computing the log-sum-exp and softmax functions", IMA Journal of Numerical Analysis 41.

# %%
z = Tensor(np.array([[1000.0, 0.0, -1000.0]]), requires_grad=True)
with np.errstate(over="ignore"):
    print("naive:", np.log(np.exp(z.numpy()).sum()), " stable:", minidl.logsumexp(z).item())
loss = F.cross_entropy(z, [1])
loss.backward()
p = minidl.softmax(z.detach(), axis=1)
assert loss.item() == 1000 and np.allclose(z.grad, p.numpy() - [[0, 1, 0]])
try:
    with minidl.detect_anomaly():  # names the first operation that makes an infinity or a NaN
        minidl.exp(z).sum().log()
except minidl.anomaly.AnomalyError as error:
    print("detect_anomaly:", str(error).splitlines()[0])

logits, labels = Tensor(rng.standard_normal((4, 3))), np.array([0, 2, 1, -100])  # -100: not counted
for options in ({}, {"label_smoothing": 0.1}, {"weight": np.array([1.0, 1.0, 5.0])}):
    print(f"cross_entropy {options}: {F.cross_entropy(logits, labels, **options).item():.3f}")

margin, error = np.linspace(-3, 4, 200), np.linspace(-3, 3, 200)
pair = np.stack([margin, 0 * margin], axis=1)  # (N, 2): the right class leads by `margin`
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
first = np.zeros(len(margin), np.int64)
left.plot(margin, F.cross_entropy(pair, first, reduction="none"), label="cross-entropy")
left.plot(margin, 2 * F.multi_margin_loss(pair, first, reduction="none"), label="hinge")
left.plot(margin, margin < 0, ":k", label="error or not")
dress(left, "Classification", "lead of the right class", "loss")
for name, f in (("squared", F.mse_loss), ("absolute", F.l1_loss), ("Huber", F.huber_loss)):
    right.plot(error, f(error, np.zeros_like(error), reduction="none"), label=name)
dress(right, "Regression", "prediction − target", "loss")
right.set_ylim(0, 4)
key(left)
key(right)
plt.show()

# %% [markdown]
# ## 10. Optimisers on a ravine
#
# In a ravine the slope across is much steeper than the slope along. Plain gradient descent must take steps small
# enough for the steep direction and then creeps along the flat one. *Momentum* averages over the zigzag; *adaptive*
# methods give each weight its own step size:
#
# $$\text{momentum: } v \leftarrow \mu v + g,\ w \leftarrow w - \eta v; \qquad
# \text{Adam: } w \leftarrow w - \eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}$$
#
# with running averages $\hat m$ of the gradient and $\hat v$ of its square.
#
# *Source:* `minidl/optim/`. *References:* Goh (2017), "Why momentum really works", Distill; Kingma, Ba (2015),
# "Adam", ICLR.

# %%
def ravine(p):
    return 0.5 * (p[0] ** 2 + 30 * p[1] ** 2)

rules = {
    "SGD": lambda p: optim.SGD(p, lr=0.06),
    "momentum": lambda p: optim.SGD(p, lr=0.02, momentum=0.85),
    "Nesterov": lambda p: optim.SGD(p, lr=0.02, momentum=0.85, nesterov=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.8),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.1, alpha=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.3),
}
u, v = np.meshgrid(np.linspace(-4.6, 1.2, 100), np.linspace(-1.1, 1.3, 100))
fig, axes = plt.subplots(2, 3, figsize=(13, 5.6), layout="constrained", sharex=True, sharey=True)
for ax, (name, rule) in zip(axes.flat, rules.items(), strict=True):
    position = Tensor([-4.2, 1.0], requires_grad=True)
    optimizer, path = rule([position]), [position.numpy().copy()]
    for _ in range(60):
        optimizer.zero_grad()
        ravine(position).backward()
        optimizer.step()
        path.append(position.numpy().copy())
    ax.contour(u, v, ravine((u, v)), np.arange(0.3, 5, 0.6) ** 2, colors="#CCCCCC", linewidths=0.8)
    ax.plot(*np.transpose(path), "o-", markersize=3, linewidth=1)
    ax.plot(0, 0, "*", color="C1", markersize=12)
    dress(ax, f"{name}: loss {ravine(path[-1]):.1e} after 60 steps", grid=None)
    assert ravine(path[-1]) < 1
plt.show()

# %% [markdown]
# **Weight decay and penalties.** Adding $\frac{\lambda}{2}\lVert w\rVert^2$ to the loss adds $\lambda w$ to the
# gradient. For plain SGD that is the same as shrinking the weights, $w \leftarrow (1-\eta\lambda)w$. Adam divides its
# gradient by $\sqrt{\hat v}$, the decay with it, so that weights with large gradients hardly decay and those with
# small ones decay too fast; *AdamW* shrinks them outside, all alike. An L1 penalty $\lambda\lVert w\rVert_1$ pulls
# with the same force however small the weight is. Below, 4 of 20 weights matter: L1 finds them and lets most of the
# other 16 go; L2 shrinks them all.
#
# *Source:* `minidl/optim/adam.py`, `minidl/nn/regularize.py`. *References:* Loshchilov, Hutter (2019), "Decoupled
# weight decay regularization", ICLR; Tibshirani (1996), "Regression shrinkage and selection via the lasso", J. R.
# Stat. Soc. B 58.

# %%
def decay(rule, noise, steps=200):
    """A weight that starts at 1 and gets nothing but noise as its gradient: what does the decay do to it?"""
    w, draws, path = Tensor([1.0] * 200, requires_grad=True), np.random.default_rng(0), []
    optimizer = rule([w])
    for _ in range(steps):
        w.grad = Tensor(noise * draws.standard_normal(200).astype(np.float32))
        optimizer.step()
        path.append(w.numpy().mean())
    return path

fig, axes = plt.subplots(1, 3, figsize=(13, 3.7), layout="constrained")
lr, strength, shrunk = 0.01, 0.5, {}
for ax, name in zip(axes, ("SGD", "Adam", "AdamW"), strict=False):
    for noise in (0.1, 1.0, 10.0):
        path = decay(lambda p, name=name: getattr(optim, name)(p, lr=lr, weight_decay=strength), noise)
        ax.plot(path, label=f"|g| about {noise:g}")
        shrunk[name, noise] = path[-1]
    ax.plot((1 - lr * strength) ** np.arange(1, 201), ":k", label="$(1-\\eta\\lambda)^t$")
    dress(ax, f"{name}, weight_decay={strength}", "step", "mean weight")
    ax.set_ylim(0, 1.05)
    key(ax)
plt.show()
plain = (1 - lr * strength) ** 200
assert all(abs(shrunk[name, noise] - plain) < 0.05 for name in ("SGD", "AdamW") for noise in (0.1, 1.0, 10.0))
assert shrunk["Adam", 10.0] > 2 * plain  # large gradients: hardly any decay

truth = np.zeros(20, np.float32)
truth[[2, 7, 11, 16]] = [2, -1, 1.5, -2]  # 4 of 20 features matter
x = rng.standard_normal((40, 20)).astype(np.float32)
y = (x @ truth + 0.5 * rng.standard_normal(40)).astype(np.float32).reshape(-1, 1)
fig, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained", sharey=True)
for ax, (name, penalty) in zip(axes, {"no penalty": {}, "L2": {"l2": 0.3}, "L1": {"l1": 0.15},
                                      "elastic net": {"elastic": (0.1, 0.5)}}.items(), strict=True):  # fmt: skip
    model = nn.Linear(20, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    for _ in range(400):
        loss = nn.regularized(F.mse_loss(model(x), Tensor(y)), nn.weights(model), **penalty)  # not the bias
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = model.weight.numpy()[0]
    ax.bar(range(20), found)
    ax.plot(range(20), truth, "_k", markersize=9, label="truth")
    dress(ax, f"{name}: {(np.abs(found) < 0.02).sum()} of 16 gone", "feature", "weight" if ax is axes[0] else "")
    ax.set_xticks(range(0, 20, 5))
    key(ax)
plt.show()

# %% [markdown]
# ## 11. Schedules
#
# The learning rate changes during a run: large first, to get somewhere, small in the end, to settle. A schedule is a
# function of the step, $\eta(t)$, for instance half a cosine,
# $\eta(t) = \eta_{min} + \tfrac12(\eta_0-\eta_{min})(1+\cos(\pi t/T))$.
#
# *Source:* `minidl/optim/lr_scheduler/`. *Reference:* Loshchilov, Hutter (2017), "SGDR: stochastic gradient descent
# with warm restarts", ICLR.

# %%
def fresh():
    return optim.SGD([minidl.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)

sgd = fresh()
rise, fall = optim.LinearLR(sgd, 0.1, total_iters=15), optim.CosineAnnealingLR(sgd, 85)
schedules = {
    "step": optim.StepLR(fresh(), 25, gamma=0.5),
    "exponential": optim.ExponentialLR(fresh(), 0.97),
    "cosine": optim.CosineAnnealingLR(fresh(), 100),
    "warm restarts": optim.CosineAnnealingWarmRestarts(fresh(), 15, T_mult=2),
    "cyclic": optim.CyclicLR(fresh(), 0.1, 1.0, step_size_up=12, mode="triangular2"),
    "one cycle": optim.OneCycleLR(fresh(), 1.0, total_steps=100),
    "multi-step": optim.MultiStepLR(fresh(), [40, 80]),
    "warm-up, then cosine": optim.SequentialLR(sgd, [rise, fall], milestones=[15]),
}
assert schedules["cosine"].lr_at(30) == (1 + np.cos(np.pi * 0.3)) / 2
fig, axes = plt.subplots(2, 4, figsize=(13, 4.6), layout="constrained", sharex=True, sharey=True)
for k, (ax, (name, schedule)) in enumerate(zip(axes.flat, schedules.items(), strict=True)):
    rates = [schedule.lr_at(t) for t in range(100)]
    ax.fill_between(range(100), rates, alpha=0.25)
    ax.plot(rates)
    dress(ax, name, "step" if k > 3 else "", "learning rate" if k % 4 == 0 else "")
plt.show()

# %% [markdown]
# ## 12. Training real digits
#
# 1,797 handwritten digits of 8x8 pixels come with the package. `split` cuts the set in three: one part to learn from,
# one to decide when to stop, one that is looked at once, at the end. `fit` does for each batch of the training part
#
# $$w \leftarrow \operatorname{step}\Big(w,\ \nabla_w \frac{1}{B}\sum_{i\in\text{batch}} L(f_w(x_i), y_i)\Big).$$
#
# *Early stopping* ends the run when the validation loss has not improved for `patience` epochs and puts the best
# weights back.
#
# *Source:* `minidl/train/fit.py`, which fits on a screen; `minidl/data/`. *Reference:* Prechelt (1998), "Early
# stopping - but when?", in: Neural Networks: Tricks of the Trade.

# %% tags=["varies"]
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),  # (N, 16, 4, 4)
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),  # (N, 32, 2, 2)
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(128, 10))

    def forward(self, x):
        return self.head(self.features(x))

minidl.manual_seed(1)
model = Net()
learn, check, test = data.split(digits, (0.6, 0.2, 0.2), stratify=True)
loader = data.DataLoader(learn, batch_size=32, shuffle=True)  # a new order in each epoch
optimizer = optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
ratios = viz.UpdateRatios(every=5)  # for the next section
history = train.fit(
    model, loader, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=20, validation=check, metrics="accuracy",
    clip=5.0, schedule=optim.CosineAnnealingLR(optimizer, 20),
    callbacks=[train.EarlyStopping("val_loss", patience=4), ratios],
)  # fmt: skip
viz.curves(history)
plt.show()

# %% tags=["varies"]
scores = train.predict(model, test)
predicted = scores.argmax(axis=1)
accuracy = (predicted == test.y).mean()
print(f"test accuracy: {100 * accuracy:.1f} %")
assert accuracy > 0.95

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
wrong = viz.find_mistakes(model, test.x, test.y, limit=12)
viz.images(wrong["images"], wrong["labels"], wrong["predictions"], left, title="Most confident mistakes")
viz.confusion_matrix(test.y, predicted, test.classes, middle)
viz.filters(model, right, title="What the first layer looks for")
plt.show()

# %% [markdown]
# ## 13. Looking inside
#
# When a network does not learn, look at three things. The spread of the *activations* and of their *gradients*, layer
# by layer: both should keep their size. *Dead* units: a ReLU that is zero for every sample has no slope and never
# comes back. And the size of the *updates*,
#
# $$\text{ratio} = \frac{\lVert w_{new} - w_{old}\rVert}{\lVert w_{old}\rVert} \approx 10^{-3}.$$
#
# Below, the same deep network with a good start and with two bad ones; the updates of the run above; and what
# *saturated* looks like.
#
# *Source:* `minidl/viz/layers.py`, `minidl/viz/updates.py`. *Reference:* Glorot, Bengio (2010), "Understanding the
# difficulty of training deep feedforward neural networks", AISTATS.

# %%
def deep(std, bias, activation=nn.ReLU):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), activation())
    for _ in range(3):
        net.extend([nn.Linear(100, 100), activation()])
    net.append(nn.Linear(100, 10))
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            init.normal_(layer.weight, std=std * (2 / layer.in_features) ** 0.5)
            init.constant_(layer.bias, bias)
    return net

inputs = learn.map(data.Normalize.fit(learn.x)).x[:256]
for name, std, bias in (("a good start", 1.0, 0.0), ("weights too small", 0.2, 0.0), ("offsets too low", 1.0, -1.5)):
    fig = viz.inspect(deep(std, bias), inputs, learn.y[:256], F.cross_entropy)
    fig.suptitle(name, x=0.01, ha="left", fontsize=12)
    plt.show()

# %% tags=["varies"]
viz.update_ratios(ratios)
plt.show()
viz.histograms(deep(2.0, 0.0, nn.Tanh), inputs, learn.y[:256], F.cross_entropy, limit=6)
plt.show()

# %% [markdown]
# ## 14. Two switches: the mode of the model, and whether gradients are recorded
#
# They have nothing to do with each other. `model.train()` and `model.eval()` say *how the layers behave*.
# `minidl.no_grad()` says that *nothing is recorded* for backward, which saves time and memory. To measure a model you
# want both `eval()` and `no_grad()`; `train.evaluate` and `train.predict` do that by themselves.
#
# *Source:* `minidl/mode.py`, `minidl/nn/module.py`. *Reference:* Paszke et al. (2019), "PyTorch", NeurIPS.

# %%
x = Tensor(test.x[:1])
print("mode   recording  same answer twice  can go backward")
for mode in ("train", "eval"):
    for recording in (True, False):
        model.train(mode == "train")
        with minidl.set_grad_enabled(recording):
            first, second = model(x), model(x)
        same = np.array_equal(first.numpy(), second.numpy())
        print(f"{mode:5}  {recording!s:9}  {same!s:17}  {first.requires_grad}")
        assert same == (mode == "eval") and first.requires_grad == recording

# %% [markdown]
# ## 15. Saving, and going on exactly where a run stopped
#
# Weights are saved as `.safetensors`, which PyTorch reads; loading compares every name, shape and dtype first. A
# *checkpoint* holds everything else that a run needs as well: the optimiser's averages, the schedule, the history,
# the position of every random stream. So a run that was interrupted after 2 of 4 epochs and resumed ends with the
# same bits as one that was not:
#
# *Source:* `minidl/train/files.py`, `minidl/train/checkpoint.py`. *Reference:* Pineau et al. (2021), "Improving
# reproducibility in machine learning research", JMLR 22.

# %%
def run(epochs, folder, resume=None):
    minidl.manual_seed(2)
    net = models.mlp((1, 8, 8), 10, hidden=(32,), dropout=0.3)
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    history = train.fit(
        net, learn, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=epochs, progress=False, resume=resume,
        schedule=optim.CosineAnnealingLR(optimizer, 4), callbacks=[train.Checkpoint(folder)],
    )  # fmt: skip
    return net, history

with tempfile.TemporaryDirectory() as folder:
    straight, history = run(4, folder + "/straight")
    run(2, folder + "/broken")  # interrupted after two epochs ...
    resumed, again = run(4, folder + "/broken", resume=folder + "/broken")  # ... and another process goes on
    for name, p in straight.named_parameters():
        assert np.array_equal(p.numpy(), dict(resumed.named_parameters())[name].numpy())
    assert history == again

    train.save_weights(straight, folder + "/weights.safetensors")
    other = models.mlp((1, 8, 8), 10, hidden=(32,), dropout=0.3)
    train.load_weights(other, folder + "/weights.safetensors")
    assert np.array_equal(train.predict(straight, test), train.predict(other, test))
    try:
        train.load_weights(models.mlp((1, 8, 8), 10, hidden=(16,)), folder + "/weights.safetensors")
    except ValueError as error:
        print(str(error).replace(folder, "folder"))

# %% [markdown]
# ## Break it
#
# In section 2 give softsign the rule `lambda g, x: g`; say what the check will report before you run it. Then set
# `lr=0.07` for SGD in section 10, a little above 2/30: why does the assertion fail, and why just there?
