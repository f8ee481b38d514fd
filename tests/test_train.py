"""The training loop: what it computes, what callbacks see and may do, what is measured, printed and refused."""

import math
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import nn, optim, train
from minidl.data import DataLoader, Dataset
from minidl.train import Callback, EarlyStopping, Schedule, fit
from minidl.train.metrics import named

rng = np.random.default_rng(0)
X = rng.normal(size=(10, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 1)
mse = nn.MSELoss()
cross_entropy = nn.CrossEntropyLoss()


@pytest.fixture(autouse=True)
def _seed():
    minidl.manual_seed(3)


def make(lr=0.1, **options):
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 3))
    return model, optim.SGD(model.parameters(), lr=lr, **options)


def weights(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def go(model, optimizer, data=(X, Y), **options):
    options = {"loss": cross_entropy, "epochs": 2, "progress": False, "batch_size": 4, **options}
    if not isinstance(data, tuple):
        del options["batch_size"]
    return fit(model, data, optimizer=optimizer, **options)


# --- The loop ------------------------------------------------------------------------------------------------------


def test_fit_is_the_loop_that_one_would_write():
    model, optimizer = make(momentum=0.9)
    go(model, optimizer, epochs=3, clip=0.5)
    minidl.manual_seed(3)
    twin, optimizer = make(momentum=0.9)
    for _ in range(3):
        twin.train()
        for x, y in DataLoader(Dataset(X, Y), batch_size=4, shuffle=True):
            optimizer.zero_grad()
            cross_entropy(twin(x), y).backward()
            optim.clip_grad_norm_(twin.parameters(), 0.5)
            optimizer.step()
    assert weights(model) == weights(twin)


def test_one_seed_repeats_a_run_and_another_does_not():
    runs = []
    for seed in (5, 5, 6):
        minidl.manual_seed(seed)
        model, optimizer = make()
        history = go(model, optimizer, validation=(X, Y), metrics=["accuracy"])
        runs.append((weights(model), repr(history)))
    assert runs[0] == runs[1] != runs[2]


def test_rng_orders_the_data_for_itself():
    orders = []
    for seed in (1, 1, 2):
        model, optimizer = make()
        seen = Callback(on_batch_end=lambda run: orders[-1].append(run.inputs[0].numpy().tobytes()))
        orders.append([])
        before = minidl.random.generator("shuffle").bit_generator.state
        go(model, optimizer, rng=seed, callbacks=[seen])
        assert minidl.random.generator("shuffle").bit_generator.state == before
    assert orders[0] == orders[1] != orders[2]


def test_a_small_last_batch_counts_less():
    model = nn.Sequential(nn.Linear(4, 3))
    with minidl.no_grad():
        output = model(X)
    loss, share = cross_entropy(output, Y).item(), float(np.mean(output.numpy().argmax(1) == Y))
    whole = {"loss": pytest.approx(loss, rel=1e-6), "accuracy": pytest.approx(share)}
    assert train.evaluate(model, (X, Y), cross_entropy, ["accuracy"], batch_size=4) == whole
    optimizer = optim.SGD(model.parameters(), lr=1e-30)  # the weights stay
    row = go(model, optimizer, epochs=1, validation=(X, Y), metrics=["accuracy"])[0]
    assert {name: row[name] for name in whole} == whole == {name: row[f"val_{name}"] for name in whole}
    assert list(row) == ["epoch", "lr", "loss", "accuracy", "val_loss", "val_accuracy"]


def test_modes_are_right_during_and_put_back_after():
    for fails in (False, True):
        model, optimizer = make()
        model.train()
        model[1].eval()
        before = [m.training for m in model.modules()]
        modes = {"train": set(), "eval": set()}

        def loss(output, target, model=model, modes=modes, fails=fails):
            modes["train" if minidl.is_grad_enabled() else "eval"].update(m.training for m in model.modules())
            if fails and not minidl.is_grad_enabled():
                raise ZeroDivisionError
            return cross_entropy(output, target)

        if fails:
            with pytest.raises(ZeroDivisionError):
                go(model, optimizer, loss=loss, validation=(X, Y))
        else:
            go(model, optimizer, loss=loss, validation=(X, Y))
        assert modes == {"train": {True}, "eval": {False}}
        assert [m.training for m in model.modules()] == before and minidl.is_grad_enabled()
        train.predict(model, X)
        train.evaluate(model, (X, Y), cross_entropy)
        assert [m.training for m in model.modules()] == before


def test_evaluate_and_predict():
    model, _ = make()
    model.eval()
    with minidl.no_grad():
        expected = model(X).numpy()
    model.train()
    state = weights(model)
    for data in (X, minidl.tensor(X), (X, Y), Dataset(X, Y), DataLoader(Dataset(X, Y), batch_size=3)):
        options = {} if isinstance(data, DataLoader) else {"batch_size": 3}
        output = train.predict(model, data, **options)
        assert type(output) is np.ndarray and output.dtype == np.float32
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
    worst = train.evaluate(model, (X, Y), metrics={"worst": lambda o, t: -o.numpy().max()})
    assert worst == {"worst": pytest.approx(-expected.max())}
    assert weights(model) == state  # batch norm has seen nothing


def test_several_inputs_and_any_iterable_of_batches():
    class Bilinear(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(np.float32(1.0) * np.ones(1, np.float32))

        def forward(self, a, b):
            return self.scale * a * b

    model = Bilinear()
    a, b = X[:, :1], X[:, 1:2]
    batches = [(a[:6], b[:6], 3 * a[:6] * b[:6]), [a[6:], b[6:], 3 * a[6:] * b[6:]]]  # arrays, tuples and lists
    go(model, optim.SGD(model.parameters(), lr=0.5), batches, loss=mse, epochs=60)
    assert model.scale.item() == pytest.approx(3, abs=1e-3)
    assert train.evaluate(model, batches, mse)["loss"] < 1e-5


# --- Callbacks -----------------------------------------------------------------------------------------------------

MOMENTS = ["on_fit_start", "on_epoch_start", "on_loss", "on_gradient", "on_batch_end", "on_epoch_end", "on_fit_end"]


def test_the_moments_come_in_order():
    seen = []
    recorders = {m: lambda run, m=m: seen.append((m, run.epoch, run.batch)) for m in MOMENTS}
    model, optimizer = make()
    go(model, optimizer, callbacks=[Callback(**recorders)], validation=(X, Y))
    expected = [("on_fit_start", 0, 0)]
    for epoch in (1, 2):
        expected.append(("on_epoch_start", epoch, 0 if epoch == 1 else 3))
        expected += [(m, epoch, batch) for batch in (1, 2, 3) for m in ("on_loss", "on_gradient", "on_batch_end")]
        expected.append(("on_epoch_end", epoch, 3))
    assert seen == [*expected, ("on_fit_end", 2, 3)]


def test_a_penalty_is_added_to_the_gradient_and_reported_apart():
    model = nn.Sequential(nn.Linear(4, 3))
    model[0].weight.data = np.full((3, 4), 2.0, np.float32)
    gradients = []
    callbacks = [
        Callback(on_loss=lambda run: 0.5 * (model[0].weight ** 2).sum()),
        Callback(on_loss=lambda run: 3 * model[0].weight.sum()),
        Callback(on_gradient=lambda run: gradients.append(model[0].weight.grad.numpy())),
    ]
    data = [(X, Y)]
    plain = go(model, optim.SGD(model.parameters(), lr=1e-30), data, epochs=1, callbacks=callbacks[2:])
    history = go(model, optim.SGD(model.parameters(), lr=1e-30), data, epochs=1, callbacks=callbacks)
    np.testing.assert_allclose(gradients[1] - gradients[0], np.full((3, 4), 2.0 + 3.0), rtol=1e-5)
    assert history[0]["loss"] == plain[0]["loss"] and history[0]["penalty"] == 0.5 * 12 * 4 + 3 * 24
    assert "penalty" not in plain[0]


def test_a_second_gradient_between_gradient_and_step():
    """Sharpness-aware minimisation on f(w) = w^3: the step uses the gradient at w + rho sign(g)."""

    class Cube(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(np.array([2.0]))

        def forward(self, x):
            return self.w**3 * x

    model, rho = Cube(), 0.5

    def climb(run):
        w = model.w.numpy().copy()
        model.w.data = w + rho * np.sign(model.w.grad.numpy())
        run.gradient()
        model.w.data = w

    history = go(model, optim.SGD(model.parameters(), lr=0.01), [(np.ones(1), np.zeros(1))], epochs=1,
                 loss=lambda o, t: o.sum(), callbacks=[Callback(on_gradient=climb)])
    assert model.w.item() == pytest.approx(2 - 0.01 * 3 * 2.5**2)
    assert history[0]["loss"] == 8.0  # at w, not at w + rho


def test_a_constraint_after_the_step():
    model, optimizer = make(lr=5.0)

    def project(run):
        w = model[0].weight.numpy().copy()
        model[0].weight.data = w * np.minimum(1, 0.5 / np.linalg.norm(w, axis=1, keepdims=True))

    go(model, optimizer, callbacks=[Callback(on_batch_end=project)])
    assert (np.linalg.norm(model[0].weight.numpy(), axis=1) <= 0.5 + 1e-6).all()


def test_clipping_comes_after_the_callbacks():
    norms, values = [], []
    grow = Callback(on_gradient=lambda run: [setattr(p, "grad", 100 * p.grad) for p in model.parameters()] and None)

    def measure(parameters):
        norms.append(math.sqrt(sum(float((p.grad.numpy() ** 2).sum()) for p in parameters)))
        optim.clip_grad_value_(parameters, 1e-3)

    model, optimizer = make()
    see = Callback(on_batch_end=lambda run: values.append(max(abs(p.grad.numpy()).max() for p in model.parameters())))
    go(model, optimizer, clip=measure, callbacks=[grow, see])
    assert min(norms) > 5 and max(values) <= 1.001e-3


def test_a_callback_may_stop_the_run():
    model, optimizer = make()
    history = go(model, optimizer, epochs=9, callbacks=[lambda run: run.epoch == 3 and run.stop("three is enough")])
    assert history["epoch"] == [1, 2, 3] and history.stopped == "three is enough"
    batches = []
    stop = Callback(on_batch_end=lambda run: (batches.append(run.batch), run.batch == 2 and run.stop())[0])
    history = go(model, optimizer, epochs=9, callbacks=[stop])
    assert batches == [1, 2] and len(history) == 1  # what there is of the epoch is kept
    assert go(model, optimizer, epochs=2).stopped is None


def test_callbacks_may_add_columns(tmp_path):
    model, optimizer = make()
    go(model, optimizer, callbacks=[train.Log(tmp_path / "h.json"), lambda run: run.row.update(twice=2 * run.epoch)])
    assert train.History.load(tmp_path / "h.json")["twice"] == [2, 4]  # Log comes after the others


@pytest.mark.parametrize("every, expected", [("epoch", [1.0, 0.5, 0.25]), ("batch", [1.0, 0.5**3, 0.5**6])])
def test_schedules_are_stepped_after_each_epoch_or_batch(every, expected):
    model, optimizer = make(lr=1.0)
    schedule = Schedule(optim.ExponentialLR(optimizer, gamma=0.5), every=every)
    assert go(model, optimizer, epochs=3, schedule=schedule)["lr"] == expected
    model, optimizer = make(lr=1.0)
    bare = optim.ExponentialLR(optimizer, gamma=0.5)
    assert go(model, optimizer, epochs=3, schedule=bare)["lr"] == [1.0, 0.5, 0.25]


def test_the_plateau_schedule_sees_the_history():
    model, optimizer = make(lr=1.0)
    plateau = optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    values = iter([1.0, 2.0, 2.0, 0.5])
    column = Callback(on_epoch_end=lambda run: run.row.update(made_up=next(values)))
    schedule = Schedule(plateau, monitor="made_up")
    assert go(model, optimizer, epochs=4, callbacks=[column, schedule])["lr"] == [1.0, 1.0, 0.5, 0.25]


# --- Early stopping ------------------------------------------------------------------------------------------------


def literal_early_stopping(values, patience, min_delta, mode):
    """(epochs run, best epoch), by the definition."""
    best, best_epoch = None, 0
    for epoch, v in enumerate(values, 1):
        if not math.isnan(v) and (best is None or (v < best - min_delta if mode == "min" else v > best + min_delta)):
            best, best_epoch = v, epoch
        if epoch - best_epoch >= patience:
            return epoch, best_epoch
    return len(values), best_epoch


def test_early_stopping_stops_where_the_definition_says():
    for _ in range(40):
        values = np.round(rng.normal(size=9), 1).tolist()
        if rng.random() < 0.3:
            values[rng.integers(9)] = math.nan
        patience, min_delta = int(rng.integers(1, 4)), float(rng.choice([0.0, 0.35]))
        mode = str(rng.choice(["min", "max"]))
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        states = []

        def record(run, values=values, model=model, states=states):
            run.row["made_up"] = values[run.epoch - 1]
            states.append(weights(model))

        stopping = EarlyStopping("made_up", patience, min_delta, mode)
        history = go(model, optim.SGD(model.parameters(), lr=0.1), epochs=9, callbacks=[record, stopping])
        epochs, best = literal_early_stopping(values, patience, min_delta, mode)
        assert (len(history), stopping.best_epoch) == (epochs, best)
        assert (history.stopped is None) == (epochs - best < patience)
        assert weights(model) == states[(best or len(history)) - 1]  # buffers too; always, stopped or not


def test_early_stopping_can_leave_the_last_weights_and_be_used_again():
    stopping = EarlyStopping("loss", patience=1, min_delta=1e9, restore_best=False)
    for _ in range(2):
        model, optimizer = make()
        history = go(model, optimizer, epochs=5, callbacks=[stopping, lambda run: run.row.update(w=weights(run.model))])
        assert len(history) == 2 and "not improved since epoch 1" in history.stopped
        assert weights(model) == history[-1]["w"] != history[0]["w"]


# --- What goes wrong -----------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_with_its_place():
    for value in (math.nan, math.inf):
        model, optimizer = make()
        count = iter(range(100))

        def loss(output, target, count=count, value=value):
            return cross_entropy(output, target) * (value if next(count) == 4 else 1.0)

        message = r"epoch 2, batch 2 \(loss (nan|inf)\).*rate is 0.1.*clip.*anomaly"
        with pytest.raises(FloatingPointError, match=message):
            go(model, optimizer, loss=loss)
        assert all(np.isfinite(a).all() for a in model.state_dict().values())  # no step was made with it


def test_ctrl_c_leaves_a_usable_model_and_history():
    model, optimizer = make()
    state = {}

    def press(run):
        if (run.epoch, run.batch) == (3, 2):
            state.update(weights(model))
            raise KeyboardInterrupt

    ended = []
    callbacks = [Callback(on_batch_end=press, on_fit_end=lambda run: ended.append(run.epoch))]
    history = go(model, optimizer, epochs=9, callbacks=callbacks)
    assert history["epoch"] == [1, 2] and history.stopped == "interrupted in epoch 3" and ended == [3]
    assert weights(model) == state and all(m.training for m in model.modules())


def _fit(data=(X, Y), **options):
    model, optimizer = make()
    return go(model, optimizer, data, **options)


def _generator():
    yield X, Y


UNUSABLE = {
    "no samples": (lambda: _fit((X[:0], Y[:0])), ValueError, "no batch.*is empty"),
    "an empty list": (lambda: _fit([]), ValueError, "no batch"),
    "a generator, twice": (lambda: _fit(_generator()), ValueError, "used up.*once an epoch"),
    "empty validation": (lambda: _fit(validation=(X[:0], Y[:0])), ValueError, "no batch"),
    "lengths differ": (lambda: _fit((X, Y[:5])), ValueError, "differ in length"),
    "a batch of nothing": (lambda: _fit([(X[:0], Y[:0])]), ValueError, "0 inputs.*at least one"),
    "a batch of unequal length": (lambda: _fit([(X, Y[:5])]), ValueError, "10 inputs.*must be equally many"),
    "a batch without target": (lambda: _fit([X]), TypeError, r"a batch is a tuple \(x, y\).*Dataset\(x, x\)"),
    "a single array": (lambda: _fit(X), TypeError, "a pair of arrays"),
    "a number": (lambda: _fit(3), TypeError, "data is a DataLoader"),
    "batch_size beside a loader": (
        lambda: fit(*make()[:1], [(X, Y)], loss=mse, optimizer=make()[1], epochs=1, batch_size=4),
        ValueError,
        "batch_size and rng are for arrays",
    ),
    "rng beside a loader": (lambda: _fit([(X, Y)], rng=1), ValueError, "batch_size and rng are for arrays"),
    "a loss per sample": (lambda: _fit(loss=lambda o, t: o.sum(axis=1)), ValueError, r"the loss must be one.*\(4,\)"),
    "a loss that is text": (lambda: _fit(loss=lambda o, t: "low"), TypeError, "the loss must be one number.*low"),
    "a penalty per weight": (
        lambda: _fit(callbacks=[Callback(on_loss=lambda run: run.model[0].weight)]),
        ValueError,
        r"what on_loss returned must be one number.*\(6, 4\)",
    ),
    "another model's optimizer": (
        lambda: fit(make()[0], (X, Y), loss=cross_entropy, optimizer=make()[1], epochs=1, progress=False),
        RuntimeError,
        "is this not the model",
    ),
    "negative epochs": (lambda: _fit(epochs=-1), ValueError, "epochs is an integer >= 0"),
    "epochs as text": (lambda: _fit(epochs="3"), ValueError, "epochs is an integer >= 0"),
    "an unknown metric": (lambda: _fit(metrics=["acuracy"]), ValueError, "no metric 'acuracy'; there are accuracy"),
    "a metric class": (lambda: _fit(metrics={"m": dict}), TypeError, "metric 'm' must be a function"),
    "two metrics of one name": (lambda: _fit(metrics=["accuracy", train.accuracy]), ValueError, "two metrics"),
    "a metric called loss": (lambda: _fit(metrics={"loss": train.accuracy}), ValueError, "the name 'loss' is taken"),
    "a metric of many numbers": (lambda: _fit(metrics={"m": lambda o, t: o}), ValueError, "metric 'm' must be one"),
    "nothing to evaluate": (lambda: train.evaluate(make()[0], (X, Y)), ValueError, "nothing to evaluate"),
    "an unknown moment": (lambda: Callback(on_epoch_ended=print), TypeError, "did you mean 'on_epoch_end'"),
    "a misspelt method": (lambda: type("C", (Callback,), {"on_bach_end": 1}), TypeError, "C: .* mean 'on_batch_end'"),
    "a class as callback": (lambda: _fit(callbacks=[EarlyStopping]), TypeError, r"write|EarlyStopping\(...\)"),
    "a number as callback": (lambda: _fit(callbacks=[3]), TypeError, "a callback is a minidl.train.Callback"),
    "no such column": (lambda: _fit(callbacks=[EarlyStopping()]), LookupError, "no column 'val_loss'.*validation="),
    "a column without direction": (lambda: EarlyStopping("speed"), ValueError, "Say mode='min' or mode='max'"),
    "an unknown direction": (lambda: EarlyStopping("loss", mode="down"), ValueError, "'min' or its 'max', not 'down'"),
    "no patience": (lambda: EarlyStopping(patience=0), ValueError, "patience is a number of epochs"),
    "negative min_delta": (lambda: EarlyStopping(min_delta=-1), ValueError, "min_delta"),
    "a schedule of nothing": (lambda: _fit(schedule=0.1), TypeError, "one of minidl.optim.lr_scheduler"),
    "a schedule per hour": (
        lambda: Schedule(optim.ExponentialLR(make()[1], 0.5), every="hour"),
        ValueError,
        "every 'epoch' or every 'batch'",
    ),
    "a plateau per batch": (
        lambda: Schedule(optim.ReduceLROnPlateau(make()[1]), every="batch"),
        ValueError,
        "stepped every 'epoch'",
    ),
    "a plateau of what": (
        lambda: Schedule(optim.ReduceLROnPlateau(make()[1], mode="max")),
        ValueError,
        "needs to know of what",
    ),
    "best of nothing": (lambda: train.Checkpoint("x", best_only=True), ValueError, "needs to know what is best"),
    "a checkpoint every 0": (lambda: train.Checkpoint("x", every=0), ValueError, "every is a number of epochs"),
    "an unknown column": (lambda: train.History([{"a": 1}])["b"], KeyError, "no column 'b' in this history; it has a"),
    "accuracy of one score": (lambda: train.accuracy(X[:, :1], Y), ValueError, "binary_accuracy"),
    "accuracy of other shapes": (lambda: train.accuracy(X, Y[:3]), ValueError, r"takes labels \(10,\)"),
    "binary of other shapes": (lambda: train.binary_accuracy(X[:, :1], Y), ValueError, "compares equal shapes"),
    "lr_find backwards": (
        lambda: train.lr_find(*make()[:1], (X, Y), loss=mse, optimizer=make()[1], start=1, end=0.1),
        ValueError,
        "0 < start < end",
    ),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_errors_teach(kind):
    call, error, message = UNUSABLE[kind]
    with pytest.raises(error, match=message):
        call()


# --- Metrics, history, learning rates ------------------------------------------------------------------------------


def test_accuracy_by_counting():
    output, labels = rng.normal(size=(50, 4)), rng.integers(4, size=50)
    hits = sum(max(range(4), key=lambda k: output[n, k]) == labels[n] for n in range(50))
    soft = 0.9 * np.eye(4)[labels] + 0.025
    for o, t in [(output, labels), (output, soft), (minidl.tensor(output), minidl.tensor(labels))]:
        assert train.accuracy(o, t) == hits / 50
    dense, classes = rng.normal(size=(2, 3, 4, 5)), rng.integers(3, size=(2, 4, 5))
    hits = sum(dense[n, :, i, j].argmax() == classes[n, i, j] for n in range(2) for i in range(4) for j in range(5))
    assert train.accuracy(dense, classes) == hits / 40
    logits, truth = rng.normal(size=(20, 1)), rng.integers(2, size=(20, 1))
    hits = sum((1 / (1 + math.exp(-z)) > 0.5) == bool(t) for z, t in zip(logits.flat, truth.flat, strict=True))
    assert train.binary_accuracy(logits, truth) == hits / 20
    assert list(named([train.accuracy, "binary_accuracy"])) == list(named(["accuracy", train.binary_accuracy]))
    assert list(named("accuracy")) == list(named(train.accuracy)) == ["accuracy"]


def test_history_is_sliceable_plain_data():
    h = train.History([{"epoch": k, "loss": 1 / k} for k in (1, 2, 4)])
    h[1]["note"] = "x"
    assert h["loss"] == [1.0, 0.5, 0.25] and h["note"] == [None, "x", None] and h.columns == ["epoch", "loss", "note"]
    assert h["epoch", "loss"][-1] == (4, 0.25) and h[-1] == {"epoch": 4, "loss": 0.25}
    assert h[1:]["loss"] == [0.5, 0.25] and isinstance(h[1:], train.History) and h == list(h)


def test_lr_find_covers_the_range_and_leaves_no_trace():
    model, optimizer = make(lr=0.3, momentum=0.9)
    go(model, optimizer)
    before = weights(model), repr(optimizer.state_dict()), repr(minidl.random.get_state())
    loader = DataLoader(Dataset(X, Y), batch_size=10, shuffle=True)
    rows = train.lr_find(model, loader, loss=cross_entropy, optimizer=optimizer, start=1e-5, end=0.1, steps=21)
    assert (weights(model), repr(optimizer.state_dict()), repr(minidl.random.get_state())) == before
    np.testing.assert_allclose(rows["lr"], np.geomspace(1e-5, 0.1, 21))
    rows = train.lr_find(model, loader, loss=cross_entropy, optimizer=optimizer, end=1e30)
    assert len(rows) < 100 and weights(model) == before[0]  # it ends where the loss explodes


# --- Progress ------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
for name in sys.argv[1:]:
    sys.modules[name] = None  # as if it were not installed
import numpy as np
from minidl import nn, optim, train
assert not {"tqdm", "safetensors", "numba", "matplotlib"} & {n for n, m in sys.modules.items() if m}
model = nn.Linear(2, 2)
x = np.ones((9, 2), np.float32)
train.fit(model, (x, x), loss=nn.MSELoss(), optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=3, batch_size=2,
          validation=(x, x), callbacks=[lambda run: run.epoch == 2 and run.stop("enough")])
"""


@pytest.mark.parametrize("missing", [[], ["tqdm"]])
def test_progress_in_a_pipe_is_one_plain_line_an_epoch(missing):
    done = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT, *missing], capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stderr == b"", done.stderr.decode()
    lines = done.stdout.decode().replace("\r\n", "\n")
    assert "\r" not in lines and len(lines.splitlines()) == 3
    assert lines.splitlines()[1].startswith("epoch 2/3  lr 0.1  loss ") and "val_loss" in lines
    assert lines.splitlines()[2] == "stopped: enough"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_in_a_terminal_has_a_bar_that_goes_away():
    pytest.importorskip("tqdm")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    terminal, end = os.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))  # as large as terminals are
    child = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=end, stderr=end)
    os.close(end)
    text = b""
    try:
        while chunk := os.read(terminal, 4096):
            text += chunk
    except OSError:  # the other end is closed
        pass
    assert child.wait(timeout=60) == 0, text.decode()
    os.close(terminal)
    assert b"epoch 1/3:" in text and b"batch" in text
    screen = [line.split("\r")[-1].strip() for line in text.decode().replace("\r\n", "\n").split("\n")]
    kept = [line for line in screen if line]
    assert [line[:9] for line in kept] == ["epoch 1/3", "epoch 2/3", "stopped: "] and "%" not in "".join(kept)


def test_progress_can_be_turned_off(capsys):
    model, optimizer = make()
    go(model, optimizer)
    assert capsys.readouterr() == ("", "")


def test_a_schedule_of_another_optimizer_is_refused():
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    schedule = optim.CosineAnnealingLR(optim.SGD(other.parameters(), lr=0.1), 4)
    with pytest.raises(ValueError, match="made for another optimizer"):
        train.fit(model, (np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)), loss=nn.MSELoss(), epochs=1,
                  optimizer=optim.SGD(model.parameters(), lr=0.1), schedule=schedule, progress=False)


def test_slips_in_the_arguments_of_fit():
    model, x = nn.Linear(2, 1), np.ones((4, 2), np.float32)
    options = {"optimizer": optim.SGD(model.parameters(), lr=0.1), "epochs": 1, "progress": False}
    with pytest.raises(TypeError, match=r"loss is a function or module.*not 'mse'"):
        train.fit(model, (x, x[:, :1]), loss="mse", **options)
    with pytest.raises(TypeError, match=r"callbacks is a list: callbacks=\[EarlyStopping"):
        train.fit(model, (x, x[:, :1]), loss=nn.MSELoss(), callbacks=EarlyStopping("loss"), **options)
