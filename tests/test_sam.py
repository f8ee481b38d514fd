"""Sharpness-aware minimisation: against the equations written out, and what it leaves untouched."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.data import DataLoader, Dataset
from minidl.train import SAM, AugMixConsistency, Callback, Penalty, fit

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 3))
Y = rng.integers(0, 2, 12)
cross_entropy = nn.CrossEntropyLoss()
MODES = [{}, {"adaptive": True}, {"adaptive": True, "eta": 0.0}]


def make(dtype=np.float64, dropout=None):
    minidl.manual_seed(4)
    drop = [] if dropout is None else [nn.Dropout(0.4, rng=dropout or None)]
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), *drop, nn.Linear(5, 2)).astype(dtype)


def go(model, callbacks, epochs=2, lr=0.3, loss=cross_entropy, **options):
    data = (X.astype(next(model.parameters()).dtype), Y)
    options = {"batch_size": 5, "rng": 0, "optimizer": optim.SGD(model.parameters(), lr=lr, momentum=0.9), **options}
    return fit(model, data, loss=loss, epochs=epochs, progress=False, callbacks=callbacks, **options)


def flat(arrays):
    return np.concatenate([np.ravel(a) for a in arrays])


def noise(x, y, rng):
    return x + rng.normal(0, 0.1, x.shape), y


def weights(model):
    return flat(p.numpy() for p in model.parameters())


def gradient(model):
    return flat(p.grad.numpy() for p in model.parameters())


class See(Callback):
    """Weights, and gradients at them, at the moments of a run."""

    def __init__(self):
        self.passes, self.before, self.after, self.step = [], [], [], []

    def on_loss(self, run):
        self.passes.append(weights(run.model))

    def on_gradient(self, run):
        self.after.append((weights(run.model), gradient(run.model)))


class Before(Callback):
    def __init__(self, see):
        self.see = see

    def on_gradient(self, run):
        self.see.before.append((weights(run.model), gradient(run.model)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_the_second_pass_is_on_the_ball_and_the_step_uses_the_gradient_there(mode, dtype):
    model, see, rho = make(dtype), See(), 0.07
    go(model, [Before(see), SAM(rho, **mode), see])
    assert len(see.passes) == 2 * len(see.after) == 12
    exact = float(np.finfo(dtype).eps)
    for k, ((w, g), (w_after, g_after)) in enumerate(zip(see.before, see.after, strict=True)):
        assert w.tobytes() == w_after.tobytes() == see.passes[2 * k].tobytes()  # put back bit for bit
        T = abs(w.astype(float)) + mode.get("eta", 0.01) if "adaptive" in mode else np.ones(len(w))
        e = see.passes[2 * k + 1].astype(float) - w
        radius = np.linalg.norm(e[T > 0] / T[T > 0])
        assert radius == pytest.approx(rho, rel=1e3 * exact if mode.get("eta") != 0.0 else 1e-2)
        g = g.astype(float)
        np.testing.assert_allclose(e, rho * T * T * g / np.linalg.norm(T * g), rtol=1e-3, atol=30 * exact)
        assert not np.allclose(g, g_after, rtol=1e-2)
        if k == 0:  # the gradient of a new model at w + e, whose running statistics are new as well
            twin, place = make(dtype), 0
            for p in twin.parameters():
                p.data = see.passes[1][place : place + p.size].reshape(p.shape).copy()
                place += p.size
            first = next(iter(DataLoader(Dataset(X.astype(dtype), Y), 5, shuffle=True, rng=0)))
            cross_entropy(twin(first[0]), first[1]).backward()
            assert gradient(twin).tobytes() == g_after.tobytes()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_run_is_that_of_the_equations_written_in_pytorch(torch, mode):
    rho = 0.3
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    twin = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).double()
    twin.load_state_dict({name: torch.from_numpy(a) for name, a in model.state_dict().items()})
    params, velocity = list(twin.parameters()), [torch.zeros_like(p) for p in twin.parameters()]
    batches = [(X[k : k + 4], Y[k : k + 4]) for k in (0, 4, 8)]
    optimizer = optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
    fit(model, batches, loss=cross_entropy, optimizer=optimizer, epochs=4, callbacks=[SAM(rho, **mode)], progress=False)

    def grads(x, y):
        return torch.autograd.grad(torch.nn.functional.cross_entropy(twin(x), y), params)

    for batch in 4 * [tuple(map(torch.from_numpy, batch)) for batch in batches]:
        g = grads(*batch)
        T = [p.detach().abs() + mode.get("eta", 0.01) if mode else torch.ones_like(p) for p in params]
        norm = torch.sqrt(sum(((t * h) ** 2).sum() for t, h in zip(T, g, strict=True)))
        e = [rho * t * t * h / norm for t, h in zip(T, g, strict=True)]
        with torch.no_grad():
            for p, step in zip(params, e, strict=True):
                p.add_(step)
        g = grads(*batch)
        with torch.no_grad():
            for p, v, h, step in zip(params, velocity, g, e, strict=True):
                p.sub_(step)
                v.mul_(0.5).add_(h)
                p.sub_(0.2 * v)
    for ours, theirs in zip(model.parameters(), params, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dropout", [0, 5])  # from the stream, from a generator of the layer's own
def test_an_infinitely_small_ball_is_plain_training_bit_for_bit(dropout):
    """Dropout masks, running statistics, random streams, history: all as if the second pass had not been."""
    runs = []
    for callbacks in ([], [SAM(1e-200)]):
        model = make(dropout=dropout)
        loader = DataLoader(Dataset(X, Y), 5, shuffle=True, transform=noise)
        history = fit(model, loader, loss=cross_entropy, optimizer=optim.SGD(model.parameters(), lr=0.3), epochs=3,
                      callbacks=callbacks, metrics=["accuracy"], validation=(X, Y), progress=False)
        state = {name: array.tobytes() for name, array in model.state_dict().items()}
        runs.append((state, repr(history), minidl.random.get_state()))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("dropout", [0, 5])
def test_both_passes_drop_the_same_and_every_batch_drops_anew(dropout):
    model, masks = make(dropout=dropout), []
    model[3].register_forward_hook(lambda layer, args, out: masks.append(out.numpy() == 0))
    go(model, [SAM(0.5)])
    assert len(masks) == 12 and all(0 < m.mean() < 1 for m in masks)
    assert all(np.array_equal(masks[k], masks[k + 1]) for k in range(0, 12, 2))
    assert not np.array_equal(masks[0], masks[2])


def test_running_statistics_and_what_is_reported_are_those_of_the_first_pass():
    model, twin, firsts, outputs = make(), make(), [], []
    see = Callback(on_loss=lambda run: firsts.append(run.values["loss"]))
    kept = Callback(on_batch_end=lambda run: outputs.append((run.batch_loss, run.output.numpy())))
    history = go(model, [see, SAM(0.5), kept], epochs=1)
    assert [loss for loss, _ in outputs] == firsts[::2] != firsts[1::2]
    assert history[0]["loss"] == pytest.approx(np.dot(firsts[::2], [5, 5, 2]) / 12)
    assert model[1].num_batches_tracked.item() == 3
    # a plain step on the first batch leaves the same statistics; the second pass, at other weights, would not
    batch = (X[:5], Y[:5])
    for net, callbacks in ((model := make(), [SAM(0.5)]), (twin, [])):
        fit(net, [batch], loss=cross_entropy, optimizer=optim.SGD(net.parameters(), lr=0.1), epochs=1,
            callbacks=callbacks, progress=False)
    for ours, theirs in zip(model.buffers(), twin.buffers(), strict=True):
        assert ours.numpy().tobytes() == theirs.numpy().tobytes()
    assert weights(model).tobytes() != weights(twin).tobytes()


def test_penalties_count_in_both_passes_and_clipping_comes_last():
    model, see, norms = make(), See(), []
    go(model, [SAM(0.1), Penalty(l2=100.0), see], epochs=1,
       clip=lambda ps: norms.append((gradient(model), optim.clip_grad_norm_(ps, 1e-3))))
    for k, (_, g) in enumerate(see.after):
        assert g.tobytes() == norms[k][0].tobytes() and norms[k][1] > 1  # what is clipped is what the second pass gave
        e = see.passes[2 * k + 1] - see.passes[2 * k]
        w = see.passes[2 * k]
        assert e[:15] @ w[:15] > 0.9 * np.linalg.norm(e) * np.linalg.norm(w[:15]) * 0.5  # uphill is away from 0
    assert np.linalg.norm(see.after[0][1][:15] - 100 * see.passes[1][:15]) < 5  # the penalty's slope is that at w + e


class Line(nn.Module):
    """out = w x, and a parameter that nothing depends on, and one that is frozen."""

    def __init__(self, w=2.0):
        super().__init__()
        self.w, self.unused, self.frozen = nn.Parameter([w]), nn.Parameter([7.0]), nn.Parameter([3.0])
        self.frozen.requires_grad = False

    def forward(self, x):
        return self.w * x + self.frozen


def line(model, loss, callbacks, epochs=1):
    return fit(model, [(np.ones(1, np.float32), np.zeros(1))], loss=loss, epochs=epochs, callbacks=callbacks,
               optimizer=optim.SGD(model.parameters(), lr=0.5), progress=False)


def test_parameters_without_gradient_stay():
    model = Line()
    line(model, lambda o, t: (o * o).sum(), [SAM(0.5)])
    assert (model.unused.item(), model.frozen.item()) == (7.0, 3.0)
    assert model.w.item() == 2 - 0.5 * 2 * (2 + 0.5 + 3)  # the slope at w + rho


def test_no_gradient_no_direction():
    model = Line(-3.0)
    history = line(model, lambda o, t: (o * o).sum(), [SAM(0.5)], epochs=2)  # at the minimum: o = 0
    assert model.w.item() == -3.0 and history["loss"] == [0.0, 0.0]
    model = Line()
    model.w.register_hook(lambda g: g * float("nan"))
    line(model, lambda o, t: (o * o).sum(), [SAM(0.5)])
    assert math.isnan(model.w.item())  # it is seen


def test_a_loss_that_fails_beside_the_weights_leaves_them_as_they_were():
    model, calls = make(dropout=0), iter(range(100))
    before = {name: p.numpy().tobytes() for name, p in model.named_parameters()}
    values = []
    see = Callback(on_loss=lambda run: values.append(run.values["loss"]))

    def loss(o, t):
        return cross_entropy(o, t) * (float("inf") if next(calls) == 1 else 1.0)

    with pytest.raises(FloatingPointError, match="not finite in epoch 1, batch 1"):
        go(model, [SAM(0.5), see], loss=loss)
    state = model.state_dict()
    assert {name: state[name].tobytes() for name in before} == before
    assert model[1].num_batches_tracked.item() == 1 and len(values) == 2


BAD = {
    "rho": (lambda: SAM(0.0), ValueError, "rho must be > 0, not 0.0"),
    "rho nan": (lambda: SAM(float("nan")), ValueError, "rho must be > 0"),
    "eta": (lambda: SAM(0.1, True, -1.0), ValueError, "eta must be >= 0"),
    "adaptive": (lambda: SAM(0.1, 0.5), TypeError, "adaptive must be True or False, not 0.5"),
}


@pytest.mark.parametrize("call, error, message", BAD.values(), ids=BAD)
def test_errors_teach(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_both_passes_see_the_same_draws_whatever_the_loader_drew_before():
    seen = []

    def watched(x, y, rng):
        seen.append(x + rng.random(x.shape).astype(x.dtype))
        return seen[-1], y

    def draws(x, y, rng):
        return x + rng.normal(0, 0.1, x.shape), y

    loader = DataLoader(Dataset(X, Y), 5, shuffle=True, transform=draws)  # from "augment", as the consistency does
    model = make()
    fit(model, loader, loss=cross_entropy, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=2, progress=False,
        callbacks=[SAM(), AugMixConsistency(watched)])
    assert len(seen) == 12 and all(np.array_equal(a, b) for a, b in zip(seen[::2], seen[1::2], strict=True))
    assert not np.array_equal(seen[0], seen[2])
