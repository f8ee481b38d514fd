# %% [markdown]
# # Modules: what a model remembers, and the modes it can be in
#
# A network is a function with many numbers inside. A *module* is the object that keeps the two together: the numbers,
# and the recipe that uses them. In this lesson you take a module apart, put its contents into a file and back, look
# inside while it computes, and write one of your own. In the middle stands what is confused most often: the two modes
# of a model (`train`, `eval`), and beside them `no_grad`, which is something else.
#
# *Parameter*: an array that training changes. *Buffer*: an array that belongs to the model, but is not trained.
# *Mode*: is the model learning now, or being used? *Hook*: a function of yours that a module calls as it computes.
#
# Before: lesson 11, optimisation. After: lesson 13, the training loop.

# %%
import json
import tempfile
import tracemalloc
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import Tensor, data, nn, optim, train, viz
from minidl.nn import functional as F
from minidl.viz.style import AMOUNT, BLUE, CLASSES, GREY, ORANGE, SIGNED, VERMILLION, bare, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A function that carries its numbers
#
# The smallest network is two affine maps with a bend between them. Its parameters $\theta$ are two matrices and two
# vectors:
#
# $$f(x;\,\theta) = W_2\,\max(0,\,W_1 x + b_1) + b_2, \qquad \theta = (W_1, b_1, W_2, b_2) .$$
#
# As a module you write down what there is (`__init__`) and what it does (`forward`), and call the object like a
# function. Everything you assign is found again under the name of its attribute, with dots where modules stand inside
# modules. An optimiser gets `model.parameters()` and needs to know nothing else about the model.
#
# *Source:* `minidl/nn/module.py`, `minidl/nn/linear.py`; the table is made by `minidl/nn/summary.py`. *Reference:*
# Paszke et al. (2019), "PyTorch: an imperative style, high-performance deep learning library", NeurIPS,
# arXiv:1912.01703, section 4.

# %%
class TwoLayers(nn.Module):
    """W2 max(0, W1 x + b1) + b2."""

    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.second(F.relu(self.first(x)))


model = TwoLayers(2, 16, 3)
theta = {name: p.numpy() for name, p in model.named_parameters()}
print({name: p.shape for name, p in theta.items()})
x = rng.standard_normal((5, 2)).astype(np.float32)
hidden = np.maximum(0, x @ theta["first.weight"].T + theta["first.bias"])
by_hand = hidden @ theta["second.weight"].T + theta["second.bias"]
assert np.allclose(model(x).numpy(), by_hand, atol=1e-6)
assert sum(p.size for p in theta.values()) == (2 * 16 + 16) + (16 * 3 + 3)
print(model.summary((5, 2)))

# %% [markdown]
# ## 2. Parameter, buffer, or nothing
#
# What a module does with an attribute depends on what is assigned. Four arrays of the same shape, and what becomes of
# them: only the first is trained, and only the first two are saved. An array or Tensor that is just assigned works in
# `forward`, but nobody else knows of it: an optimiser does not move it, and a file does not contain it. A *list* of
# layers would be forgotten just as silently. So it is an error, with the way out in the message.
#
# *Source:* `Module.__setattr__`, `register_buffer` in `minidl/nn/module.py`. *Reference:* PyTorch's documentation of
# `torch.nn.Module`, whose names these are.

# %%
class Shelf(nn.Module):
    def __init__(self):
        super().__init__()
        self.parameter = nn.Parameter(np.zeros(3))
        self.register_buffer("buffer", np.zeros(3))
        self.tensor = Tensor(np.zeros(3), requires_grad=True)  # learns nothing: no optimiser ever sees it
        self.array = np.zeros(3)


shelf = Shelf().float()  # to single precision: what is registered follows
trained, saved = dict(shelf.named_parameters()), shelf.state_dict()
print(f"{'':10} trained  saved  follows float()")
for name in ("parameter", "buffer", "tensor", "array"):
    follows = getattr(shelf, name).dtype == np.float32
    print(f"{name:10} {name in trained!s:8} {name in saved!s:6} {follows}")
assert list(trained) == ["parameter"] and list(saved) == ["parameter", "buffer"]

for mistake in ("list", "early"):
    try:
        if mistake == "list":
            shelf.layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
        else:
            type("Hasty", (nn.Module,), {"__init__": lambda self: setattr(self, "layer", nn.Linear(2, 2))})()
    except (TypeError, AttributeError) as error:
        print(f"\n{type(error).__name__}: {error}")

# %% [markdown]
# ## 3. The state
#
# `state_dict()` is the whole memory of a model as a plain dictionary: names to NumPy arrays, copies, parameters and
# buffers alike. `load_state_dict` puts one back. It compares all names, shapes and dtypes *first*, and if anything is
# different, it lists everything and changes nothing: half a loaded model would be the worst of all.
#
# With `strict=False`, names that are missing or too many are allowed and returned. This is how the body of a trained
# model is given a new head. One parameter may also have two names (*tied* weights): it is trained once, and saved
# under both.
#
# *Source:* `minidl/nn/state.py`. *Reference:* Press, Wolf (2017), "Using the output embedding to improve language
# models", EACL, arXiv:1608.05859 (tied weights).

# %%
model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
state = model.state_dict()
for name, array in state.items():
    kind = "parameter" if name in dict(model.named_parameters()) else "buffer"
    print(f"{name:22} {array.dtype!s:8} {array.shape!s:7} {kind}")
state["0.weight"][:] = 99  # a copy: the model does not notice
assert not (model[0].weight.numpy() == 99).any()

other_head = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 10))
try:
    other_head.load_state_dict(model.state_dict())
except ValueError as error:
    print(f"\n{error}\n")
body = {name: array for name, array in model.state_dict().items() if not name.startswith("3.")}
print(other_head.load_state_dict(body, strict=False))
assert np.array_equal(other_head[0].weight.numpy(), model[0].weight.numpy())

tied = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False))
tied[2].weight = tied[0].weight
assert len(list(tied.parameters())) == 1 and list(tied.state_dict()) == ["0.weight", "2.weight"]

# %% [markdown]
# ## 4. Two modes, and beside them no_grad
#
# Most layers do the same always. A few must do one thing while the model learns and another while it is used:
#
# $$\text{dropout:}\quad \text{train } \frac{m\,x}{1-p},\ m \sim \mathrm{Bernoulli}(1-p) \qquad \text{eval } x$$
# $$\text{batch norm:}\quad \text{train } \frac{x - \mu_{\text{batch}}}{\sigma_{\text{batch}}},\
# \bar\mu \leftarrow (1-\alpha)\bar\mu + \alpha\mu_{\text{batch}} \qquad
# \text{eval } \frac{x - \bar\mu}{\bar\sigma} .$$
#
# `model.train()` and `model.eval()` set `module.training` in the model and everything inside it; the layers look at it
# in their `forward`. `with minidl.no_grad():` has nothing to do with that. It tells the engine not to *record* what is
# computed, so that there can be no `backward`. The first changes **what** is computed, the second what is **kept** of
# it. All four combinations exist, and here they are: one trained model, the same inputs 12 times in each.
#
# *Source:* `Module.train` in `minidl/nn/module.py`, `minidl/mode.py`. *Reference:* Srivastava et al. (2014),
# "Dropout", JMLR 15; Ioffe, Szegedy (2015), "Batch normalization", arXiv:1502.03167.

# %% tags=["varies"]
points = np.linspace(-2, 2, 64, dtype=np.float32)[:, None]
targets = (np.sin(2.5 * points) + 0.15 * rng.standard_normal(points.shape)).astype(np.float32)
minidl.manual_seed(1)
curve = nn.Sequential(
    nn.Linear(1, 48), nn.BatchNorm1d(48), nn.Tanh(), nn.Dropout(0.1), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 1)
)
train.fit(curve, (points, targets), loss=nn.MSELoss(), optimizer=optim.Adam(curve.parameters(), lr=0.01),
          epochs=150, batch_size=32, progress=False)
before = curve.state_dict()
grid = np.linspace(-2, 2, 201, dtype=np.float32)[:, None]

fig, axes = plt.subplots(2, 2, figsize=(11, 6), layout="constrained", sharex=True, sharey=True)
seen = {}
for row, training in zip(axes, (True, False), strict=True):
    for ax, recording in zip(row, (True, False), strict=True):
        curve.load_state_dict(before)
        curve.train(training)
        with minidl.set_grad_enabled(recording):  # no_grad() is set_grad_enabled(False)
            outputs = [curve(grid) for _ in range(12)]
        answers = len({out.numpy().tobytes() for out in outputs})
        moved = not np.array_equal(curve[1].running_mean.numpy(), before["1.running_mean"])
        operations = sum(v.kind == "operation" for v in viz.trace(outputs[0])) if outputs[0].requires_grad else 0
        seen[training, recording] = answers, moved, operations
        for out in outputs:
            ax.plot(grid, out.numpy(), color=VERMILLION if training else BLUE, linewidth=0.8, alpha=0.6)
        ax.plot(points, targets, "o", color=GREY, markersize=3)
        dress(ax, f"{'train()' if training else 'eval()'}, {'recording' if recording else 'no_grad()'}")
        ax.text(0.02, 0.96, f"12 calls, {f'{answers} different answers' if answers > 1 else 'all the same'}\n"
                f"running mean {'moves' if moved else 'stays'}\n{operations} operations recorded",
                transform=ax.transAxes, va="top", fontsize=9)
        ax.set_ylim(-1.7, 2.6)
plt.show()
assert all(seen[True, r][:2] == (12, True) and seen[False, r][:2] == (1, False) for r in (True, False))
assert all(seen[t, True][2] > 5 and seen[t, False][2] == 0 for t in (True, False))

# %% [markdown]
# To use a model you want the lower right corner: `model.eval()` *and* `no_grad()`. The upper right is the classic
# fault: "I said no_grad, why do my predictions change from call to call?" The lower left is right too, only wasteful;
# it is needed where one differentiates a model in use, with respect to its inputs for instance. The upper row has one
# more sting: also under `no_grad` the running statistics move, so the model is changed by merely looking at it.
# `train.evaluate` and `train.predict` choose the right corner, and put every module back into the mode it was in.
#
# The modes do one more thing to a prediction: in `train()` it depends on who else is in the batch.

# %% tags=["varies"]
calm = nn.Sequential(*(layer for layer in curve if not isinstance(layer, nn.Dropout)))  # batch norm alone
answer = {}
with minidl.no_grad():
    for mode in ("train", "eval"):
        getattr(calm, mode)()
        answer[mode] = [calm(grid[:n]).numpy()[0, 0] for n in (2, 20, 201)]
print("the same input, in batches of 2, 20 and 201:")
print({mode: [round(float(v), 3) for v in values] for mode, values in answer.items()})
assert np.ptp(answer["train"]) > 0.1 and np.ptp(answer["eval"]) < 1e-5

# %% [markdown]
# ## 5. What recording costs, and what no_grad allows
#
# For the gradient $\partial L/\partial W = g\,h^\top$ of an affine layer, its input $h$ has to be kept until `backward`
# comes. So the memory of a training step grows with every layer. Without recording, an array can go as soon as the next
# layer has read it.
#
# And there is a permission in it. A *leaf* is a tensor that was not computed from others, such as a parameter. Where
# operations are recorded it must not be overwritten, for the record would then be of values that are gone. Inside
# `no_grad` it may: that is how an optimiser takes its step. Below, gradient descent in three lines.
#
# *Source:* `minidl/engine.py`, `minidl/memory.py`. *Reference:* Baydin, Pearlmutter, Radul, Siskind (2018), "Automatic
# differentiation in machine learning: a survey", JMLR 18, section 3.2.

# %% tags=["varies"]
def held(depth, recording):
    """Megabytes of arrays that are still in use after a forward pass through `depth` layers."""
    deep = nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Linear(256, 256), nn.Tanh())))
    batch = Tensor(np.ones((1000, 256), np.float32))
    tracemalloc.start()
    with minidl.set_grad_enabled(recording):
        out = deep(batch)
    arrays = [tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)]  # not what other threads allocate meanwhile
    in_use = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(arrays).traces) / 1e6
    tracemalloc.stop()
    assert out.requires_grad == recording
    return in_use


depths = [1, 2, 4, 8, 12, 16]
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
memory = {name: [held(d, name == "recording") for d in depths] for name in ("recording", "no_grad()")}
for (name, values), marker in zip(memory.items(), "os", strict=True):
    ax.plot(depths, values, marker=marker, label=name)
dress(ax, "Held after forward, batch of 1000, width 256", "layers", "MB")
key(ax)
plt.show()
assert memory["recording"][-1] > 8 * memory["no_grad()"][-1]

w = Tensor(np.array([4.0, -3.0]), requires_grad=True)
for _ in range(50):
    (gradient,) = minidl.grad((w * w).sum(), w)
    with minidl.no_grad():
        w -= 0.1 * gradient
print("w after 50 steps down w²:", w.numpy().round(5))
assert np.allclose(w.numpy(), np.array([4.0, -3.0]) * 0.8**50)
try:
    w -= 0.1 * gradient  # outside
except RuntimeError as error:
    print(error)

# %% [markdown]
# ## 6. The third switch: frozen
#
# To *freeze* a layer is to say of its parameters that they need no gradient: `layer.requires_grad_(False)`. Then there
# are three switches, and none of them moves another:
#
# | switch | belongs to | decides |
# |---|---|---|
# | `model.eval()` | modules | which formula dropout and batch norm use |
# | `with no_grad():` | a stretch of program | whether anything is recorded |
# | `requires_grad_(False)` | parameters | which of them get a gradient |
#
# When only a new head is trained, all three meet, and one is often forgotten: a frozen batch norm in training mode
# keeps its weights, but its *running statistics* go on moving. They are buffers, not parameters. To hold them still the
# layer must be in `eval` as well.
#
# *Source:* `Module.requires_grad_` in `minidl/nn/module.py`. *Reference:* Yosinski, Clune, Bengio, Lipson (2014), "How
# transferable are features in deep neural networks?", NeurIPS, arXiv:1411.1792.

# %%
model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
model[:2].requires_grad_(False)  # a slice is a container of the same layers
x, y = data.blobs(60, centres=3, rng=0)
optimizer = optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)


def step():
    """One step of training; the names in the state that it has changed."""
    old = model.state_dict()
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    return [name for name, array in model.state_dict().items() if not np.array_equal(array, old[name])]


in_train = step()
model[1].eval()
in_eval = step()
print("frozen, in train():", in_train, "\nfrozen, in eval(): ", in_eval)
assert "1.running_mean" in in_train and in_eval == ["3.weight", "3.bias"]
assert model[0].weight.grad is None and model[3].weight.grad is not None

# %% [markdown]
# ## 7. Hooks: looking inside, and reaching in
#
# What happens between the layers is gone when `forward` returns. A hook catches it. `register_forward_hook(f)` calls
# `f(module, args, output)` after each forward, `register_full_backward_hook(f)` calls `f(module, grad_input,
# grad_output)` on the way back, and `register_forward_pre_hook` comes before. What a hook returns takes the place of
# the output. Each returns a function that removes it again.
#
# First, looking: the gradients at both ends of a layer obey the chain rule, $\partial L/\partial x = \partial
# L/\partial y \cdot W$ for $y = xW^\top + b$.
#
# *Source:* `minidl/nn/hooks.py`; `viz.histograms` is made of such hooks. *Reference:* Goodfellow, Bengio, Courville
# (2016), "Deep learning", section 6.5 (backward through a layer).

# %%
caught = {}
model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
removers = [
    model[1].register_forward_hook(lambda module, args, out: caught.update(between=out.numpy())),
    model[2].register_full_backward_hook(lambda module, g_in, g_out: caught.update(into=g_in[0], out_of=g_out[0])),
]
x = rng.standard_normal((7, 6)).astype(np.float32)
(model(x) ** 2).mean().backward()
print("tanh returned", caught["between"].shape, "; gradient of the last layer's output", caught["out_of"].shape,
      ", of its input", caught["into"].shape)
assert np.array_equal(caught["between"], model[:2](x).numpy())
assert np.allclose(caught["into"].numpy(), caught["out_of"].numpy() @ model[2].weight.numpy(), atol=1e-6)
for remove in removers:
    remove()
caught.clear()
model(x)
assert not caught  # nobody listens any more

# %% [markdown]
# Now reaching in. A small network learns the 8x8 digits with 16 hidden units. On the left, how strongly each unit
# answers to each digit, caught by a hook. Then a second hook sets one unit to zero, and we ask which digits the model
# can no longer read: an *ablation*. The two pictures are not alike. That a unit is active does not mean that it is
# needed, for others may say the same. Columns that are empty on the left belong to *dead* units (lesson 07), and they
# are empty on the right as well.

# %% tags=["varies"]
learn, test = data.load_train_test("digits")
minidl.manual_seed(3)
reader = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
train.fit(reader, (learn.x, learn.y), loss=nn.CrossEntropyLoss(), optimizer=optim.Adam(reader.parameters(), lr=0.01),
          epochs=25, batch_size=64, progress=False)


def found():
    """The share of each digit that is recognised, (10,); all in one batch, so that a hook sees them together."""
    right = train.predict(reader, test.x, batch_size=len(test.x)).argmax(axis=1) == test.y
    return np.array([right[test.y == c].mean() for c in range(10)])


remove = reader[2].register_forward_hook(lambda module, args, out: caught.update(units=out.numpy()))
whole = found()
remove()
activity = np.stack([caught["units"][test.y == c].mean(axis=0) for c in range(10)])  # (10, 16)

loss = np.empty((10, 16))
for unit in range(16):
    mask = np.ones(16, np.float32)
    mask[unit] = 0
    remove = reader[2].register_forward_hook(lambda module, args, out, mask=mask: out * mask)
    loss[:, unit] = whole - found()
    remove()
assert np.array_equal(found(), whole)

fig, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
pictures = [(activity, AMOUNT, None, "How active each unit is"), (100 * loss, SIGNED, 100, "What is lost without it")]
for ax, (values, colours, limit, title) in zip(axes, pictures, strict=True):
    shown = ax.imshow(values, cmap=colours, vmin=-limit if limit else 0, vmax=limit, aspect="auto")
    ax.set_xticks(range(16))
    ax.set_yticks(range(10))
    dress(ax, title, "hidden unit", "digit", None)
    fig.colorbar(shown, ax=ax, label="% of the digits" if limit else "mean activation")
plt.show()
worst = whole.mean() - loss.mean(axis=0).max()
print(f"whole network {whole.mean():.1%} right; without its most important unit {worst:.1%}")
assert whole.mean() > 0.9 and loss.max() > 0.2
assert (loss[:, activity.max(axis=0) == 0] == 0).all()  # who is never active is not missed

# %% [markdown]
# ## 8. Into a file and back
#
# `train.save_weights` writes the state to a *safetensors* file: eight bytes that say how long the header is, the header
# in JSON (name, dtype, shape and place of each array), and then the numbers. Nothing in it can run, other than in a
# pickle, which may execute any program when it is opened. PyTorch reads the same file with
# `safetensors.torch.load_file`.
#
# What is **not** in it: the class and its `forward` (build the model first, then load), the mode, the optimiser's
# memory and the random streams. A `train.Checkpoint` has these, too (lesson 13).
#
# *Source:* `minidl/train/files.py`. *Reference:* the format, github.com/huggingface/safetensors; on pickles, the
# warning at the top of Python's documentation of `pickle`.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "reader.safetensors"
    train.save_weights(reader, path, {"task": "8x8 digits"})
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    for name, entry in header.items():
        if name != "__metadata__":
            print(f"{name:9} {entry['dtype']} {entry['shape']!s:9} bytes {entry['data_offsets']}")
    weight = np.frombuffer(raw, np.float32, 64 * 16, 8 + length + header["1.weight"]["data_offsets"][0])
    assert np.array_equal(weight.reshape(16, 64), reader[1].weight.numpy())  # the numbers, as they are

    twin = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    train.load_weights(twin, path)
    assert np.array_equal(train.predict(twin, test.x), train.predict(reader, test.x))  # to the last bit
    try:
        train.load_weights(nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), path)
    except ValueError as error:
        print("\n" + str(error).replace(str(path), path.name))

# %% [markdown]
# ## 9. One of your own
#
# A network that gets the place $(u, v)$ of a pixel and returns its colour has to be very wiggly, and affine layers with
# ReLU are slow to become so. *Fourier features* help: feed it waves of many lengths and directions,
#
# $$\gamma(x) = \big(\cos(2\pi Bx),\ \sin(2\pi Bx)\big), \qquad B_{ij} \sim \mathcal N(0, s^2) .$$
#
# As a module it needs everything of this lesson. $B$ is random and stays as it is, but without it the weights behind
# would be worthless: a *buffer*. A factor for each wave is a *parameter*. While the model learns, each place is shaken
# a little, so that it does not learn single points: `self.training` says whether. And `extra_repr` puts the sizes into
# the model's printout.
#
# *Reference:* Tancik et al. (2020), "Fourier features let networks learn high frequency functions in low dimensional
# domains", NeurIPS, arXiv:2006.10739.

# %%
class FourierFeatures(nn.Module):
    """(N, D) -> (N, 2 waves): cosines and sines of random projections, each times a gain."""

    def __init__(self, inputs, waves, scale, shake=0.0, rng=None):
        super().__init__()
        self.rng = minidl.random.resolve(rng, "init")
        self.shake = shake
        self.register_buffer("B", self.rng.normal(0, scale, (inputs, waves)).astype(np.float32))
        self.gain = nn.Parameter(np.ones(2 * waves, np.float32))

    def forward(self, x):
        if self.training:
            x = x + self.shake * self.rng.standard_normal(x.shape, np.float32)
        angle = (2 * np.pi) * (x @ self.B)
        return minidl.concat([minidl.cos(angle), minidl.sin(angle)], 1) * self.gain

    def extra_repr(self):
        return f"{self.B.shape[0]}, waves={self.B.shape[1]}, shake={self.shake}"


layer = FourierFeatures(2, 64, scale=2.0, shake=0.004, rng=0)
print(layer, [name for name, _ in layer.named_parameters()], [name for name, _ in layer.named_buffers()])
x = Tensor(rng.uniform(-1, 1, (3, 2)).astype(np.float32))
assert np.array_equal(layer.eval()(x).numpy(), layer(x).numpy()) and layer(x).shape == (3, 128)
assert not np.array_equal(layer.train()(x).numpy(), layer(x).numpy())
assert minidl.gradcheck(layer.double().eval(), [x.astype(np.float64)])  # the derivative comes for free: is it right?

# %% tags=["varies"]
side = 48
u = np.linspace(-1, 1, side, dtype=np.float32)
places = np.stack(np.meshgrid(u, u), axis=-1).reshape(-1, 2)  # (N, 2)
radius = np.hypot(*places.T)
rings = 0.5 + 0.5 * np.cos(16 * radius * (1 + 0.3 * radius))
boxes = ((np.floor(places[:, 0] * 4) + np.floor(places[:, 1] * 4)) % 2 == 0) & (radius > 0.7)
colours = np.stack([rings, 0.6 * rings + 0.3 * boxes, 0.2 + 0.7 * boxes], axis=1).astype(np.float32).clip(0, 1)


def paint(first, width):
    """Learn the picture from the places; the picture (side, side, 3) and the losses."""
    minidl.manual_seed(0)
    painter = nn.Sequential(first, nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    history = train.fit(painter, (places, colours), loss=nn.MSELoss(), epochs=60, batch_size=256, progress=False,
                        optimizer=optim.Adam(painter.parameters(), lr=0.005))
    return train.predict(painter, places).reshape(side, side, 3).clip(0, 1), history["loss"]


plain, plain_losses = paint(nn.Identity(), 2)
waves, wave_losses = paint(FourierFeatures(2, 64, scale=2.0, shake=0.004, rng=0), 128)
fig, axes = plt.subplots(1, 4, figsize=(14, 3.5), layout="constrained", width_ratios=(1, 1, 1, 1.3))
pictures = {"To be learnt": colours.reshape(side, side, 3), "From the places": plain, "From Fourier features": waves}
for ax, (title, picture) in zip(axes[:3], pictures.items(), strict=True):
    ax.imshow(picture)
    bare(ax, title)
axes[3].semilogy(plain_losses, label="places", color=GREY)
axes[3].semilogy(wave_losses, label="Fourier features", color=ORANGE)
dress(axes[3], "Loss", "epoch", "")
key(axes[3])
plt.show()
print(f"loss at the end: {plain_losses[-1]:.4f} from the places, {wave_losses[-1]:.4f} from the features")
assert wave_losses[-1] < plain_losses[-1] / 2

# %% [markdown]
# ## Break it
#
# 1. In training mode, ask the model of section 4 about a single point: the variance of one number means nothing, and
#    the message says what to do. With `eval()` the same call works.
# 2. Write `self.B = ...` instead of `register_buffer`, save the painter, load it into a new one with another seed, and
#    look at the picture that comes out.

# %%
try:
    curve.train()(grid[:1])
except ValueError as error:
    print(error)
