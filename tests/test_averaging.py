"""Averages of the weights: Polyak, SWA, EMA; batch norm's statistics measured anew; exact resume with all of them."""

import copy

import numpy as np
import pytest

import minidl
from minidl import nn, optim, train
from minidl.data import DataLoader, Dataset
from minidl.train import EMA, SAM, SWA, Callback, Checkpoint, EarlyStopping, MaxNorm, Penalty, Polyak, fit, update_bn

rng = np.random.default_rng(0)
X = rng.normal(1.0, 2.0, size=(24, 3)).astype(np.float32)
Y = (X[:, 0] + rng.normal(size=24) > 1).astype(np.int64)
cross_entropy = nn.CrossEntropyLoss()


def make(dtype=np.float32, dropout=0.0, seed=4):
    minidl.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(dropout), nn.Linear(5, 2))
    return model.astype(dtype)


def go(model, callbacks, epochs=4, lr=0.3, data=None, **options):
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.5)
    dtype = next(model.parameters()).dtype
    data = DataLoader(Dataset(X.astype(dtype), Y), 8, shuffle=True) if data is None else data
    return fit(model, data, loss=cross_entropy, optimizer=optimizer, epochs=epochs, callbacks=callbacks, progress=False,
               **options)


def bits(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def iterates(moment):
    """A callback that keeps the state of the model at some moment."""
    kept = []
    return kept, Callback(**{moment: lambda run: kept.append(run.model.state_dict())})


def mean_of(states, weights=None):
    return {name: np.average([s[name].astype(float) for s in states], axis=0, weights=weights) for name in states[0]}


def check_average(average, states, weights=None, rtol=1e-12):
    expected = mean_of(states, weights)
    assert set(average) == {name for name in expected if "num_batches" not in name}
    for name, array in average.items():
        assert array.dtype == np.float64
        np.testing.assert_allclose(array, expected[name], rtol=rtol, atol=1e-15)


# --- The averages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.9999])
def test_ema_is_its_sum_without_bias(decay, dtype):
    model, ema, (states, keep) = make(dtype), EMA(decay), iterates("on_batch_end")
    go(model, [keep, ema])
    n = len(states)
    assert ema.n == n == 12
    check_average(ema.average, states, [decay ** (n - k) for k in range(1, n + 1)])  # np.average divides by their sum
    assert ema.rate(1) == 1.0 and ema.rate(10**6) == pytest.approx(1 - decay)
    for name, array in model.state_dict().items():  # in the end the model has it, in its own dtype
        if name in ema.average:
            assert array.dtype == dtype and array.tobytes() == ema.average[name].astype(dtype).tobytes()


def test_constant_weights_have_no_bias():
    """A sum that starts from zero would have come to 1 - decay^n of them only."""
    model, ema = make(), EMA(0.999)
    before = bits(model)
    for n in (1, 2, 3):
        ema.collect(model)
        assert 1 - 0.999**n < 0.003
        ema.load_into(model)
        assert bits(model) == before


def test_polyak_and_ema_against_pytorch(torch):
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    model, d = make(np.float64), 0.8
    twin = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(), torch.nn.Identity(),
                               torch.nn.Linear(5, 2)).double()  # fmt: skip
    plain = AveragedModel(twin, use_buffers=True)
    theirs, first = AveragedModel(twin, multi_avg_fn=get_ema_multi_avg_fn(d)), []

    def follow(run):
        state = {name: torch.from_numpy(np.array(a)) for name, a in run.model.state_dict().items()}
        first.append(state)
        twin.load_state_dict(state)
        plain.update_parameters(twin)
        theirs.update_parameters(twin)

    polyak, ema = Polyak(load_at_end=False), EMA(d)
    go(model, [Callback(on_batch_end=follow), polyak, ema])
    for name, p in plain.module.named_parameters():
        np.testing.assert_allclose(polyak.average[name], p.detach(), rtol=1e-12)
    np.testing.assert_allclose(polyak.average["1.running_var"], plain.module[1].running_var, rtol=1e-12)
    for name, p in theirs.module.named_parameters():  # PyTorch's begins with the first weights: a share d^n too much
        unbiased = (p.detach().numpy() - d**12 * first[0][name].numpy()) / (1 - d**12)
        np.testing.assert_allclose(ema.average[name], unbiased, rtol=1e-10)


@pytest.mark.parametrize("method", [EMA(0.9999), Polyak()], ids=["EMA", "Polyak"])
def test_ten_thousand_float32_weights_do_not_drift(method):
    layer, draws, total = nn.Linear(4, 3), np.random.default_rng(0), 0.0
    layer.bias.data = np.array([0.1, -1e-30, 1e30], np.float32)
    values = (100 + draws.normal(size=(10_000, 3, 4))).astype(np.float32)
    for value in values:
        layer.weight._writable()[...] = value
        method.collect(layer)
    weights = np.ones(10_000) if isinstance(method, Polyak) else 0.9999 ** np.arange(9_999, -1, -1)
    total = (values.astype(float) * weights[:, None, None]).sum(0) / weights.sum()
    np.testing.assert_allclose(method.average["weight"], total, rtol=1e-13)
    assert method.average["bias"].tobytes() == layer.bias.numpy().astype(float).tobytes()  # equal ones: themselves
    method.n = 0


STARTS = [
    (SWA(3), [3, 4, 5, 6, 7, 8]), (SWA(3, every=2), [3, 5, 7]), (SWA(0.75), [7, 8]), (SWA(0.5, every=3), [5, 8]),
    (SWA(0.375), [4, 5, 6, 7, 8]), (SWA(0.0), [1, 2, 3, 4, 5, 6, 7, 8]), (SWA(8), [8]), (SWA(0.99), [8]),
]  # fmt: skip


@pytest.mark.parametrize("swa, epochs", STARTS, ids=lambda v: str(v) if isinstance(v, list) else "")
def test_swa_takes_the_ends_of_the_epochs_it_should(swa, epochs):
    model, (states, keep) = make(), iterates("on_epoch_end")
    go(model, [keep, swa], epochs=8)
    assert swa.n == len(epochs)
    check_average(swa.average, [states[e - 1] for e in epochs])


def test_a_share_is_of_decimal_numbers():
    assert 0.29 * 100 < 29 and Polyak(0.29).first_epoch(train.Run(None, None, None, 100, [])) == 30


def test_polyak_from_an_epoch_on():
    model, polyak, (states, keep) = make(), Polyak(start=3), iterates("on_batch_end")
    go(model, [keep, polyak])
    check_average(polyak.average, states[6:])


def test_swa_of_equal_weights_is_the_identity():
    model = make()
    model[1].bias.data = np.full(5, 0.1, np.float32)
    before, swa = [p.numpy().tobytes() for p in model.parameters()], SWA(1)
    go(model, [swa], lr=1e-30)  # too small a step to move any of them
    assert swa.n == 4 and [p.numpy().tobytes() for p in model.parameters()] == before
    assert model[1].num_batches_tracked.item() == 3  # one pass to measure


def test_swa_against_pytorch(torch):
    """Weights and recomputed statistics; the batches of the last pass are the same for both."""
    from torch.optim.swa_utils import AveragedModel
    from torch.optim.swa_utils import update_bn as torch_update_bn

    model = make(np.float64)
    batches = [(X[k : k + 8].astype(float), Y[k : k + 8]) for k in (0, 8, 16)] + [(X[:3].astype(float), Y[:3])]
    twin = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(), torch.nn.Dropout(0.0),
                               torch.nn.Linear(5, 2)).double()  # fmt: skip
    twin.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in model.state_dict().items()})
    averaged, optimizer = AveragedModel(twin), torch.optim.SGD(twin.parameters(), lr=0.3, momentum=0.5)
    go(model, [SWA(3)], data=batches, epochs=6)
    tensors = [tuple(map(torch.from_numpy, batch)) for batch in batches]
    for epoch in range(1, 7):
        for x, y in tensors:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(twin(x), y).backward()
            optimizer.step()
        if epoch >= 3:
            averaged.update_parameters(twin)
    torch_update_bn(tensors, averaged)
    for name, array in averaged.module.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], array.numpy(), rtol=1e-9, err_msg=name)


def test_what_swa_does_with_batch_norm_is_the_callers_choice():
    results = {}
    for name, data in {"training": None, "other": (X[:12], Y[:12]), "none": False}.items():
        model = make()
        go(model, [SWA(3, data=data)])
        results[name] = bits(model)
    weights = [{k: v for k, v in r.items() if "running" not in k and "num" not in k} for r in results.values()]
    assert weights[0] == weights[1] == weights[2]
    assert len({r["1.running_var"] for r in results.values()}) == 3


# --- In a run -------------------------------------------------------------------------------------------------------


def test_averages_are_lent_and_given_back():
    model, ema = make(), EMA(0.5, load_at_end=False)
    go(model, [ema])
    before = bits(model)
    with ema.averaged(model) as lent:
        inside = bits(model)
        assert lent is model
    assert before == bits(model) and inside["0.weight"] == ema.average["0.weight"].astype(np.float32).tobytes()
    assert inside["1.running_mean"] != before["1.running_mean"]
    with pytest.raises(ZeroDivisionError), ema.averaged(model):
        model[0].weight.data = model[0].weight.numpy() * 0
        raise ZeroDivisionError
    assert before == bits(model)
    minidl.random.manual_seed(4)
    plain = make()
    go(plain, [])
    assert bits(plain) == before  # load_at_end=False: it only looked on


@pytest.mark.parametrize("kind", ["EMA", "Polyak", "SWA"])
def test_validation_of_the_average_changes_nothing_else(kind):
    options = {"validation": (X, Y), "metrics": ["accuracy"]}
    callback = {"EMA": EMA(0.9, validate=True), "Polyak": Polyak(3, validate=True), "SWA": SWA(3, validate=True)}[kind]
    results = []
    for callbacks in ([], [callback]):
        model = make(dropout=0.3)
        loader = DataLoader(Dataset(X, Y), 8, shuffle=True, rng=7)
        states, keep = iterates("on_epoch_end")
        history = go(model, [*callbacks, keep], data=loader, **options)
        results.append((states, history, minidl.random.get_state() if not callbacks else None))
    (plain, before, _), (states, history, _) = results
    assert [{k: v.tobytes() for k, v in s.items()} for s in plain] == [
        {k: v.tobytes() for k, v in s.items()} for s in states
    ]
    name = kind.lower()
    shown = history[f"{name}_val_loss", f"{name}_val_accuracy"]
    assert [value is None for value, _ in shown] == [kind != "EMA", kind != "EMA", False, False]
    assert [{k: v for k, v in row.items() if not k.startswith(name)} for row in history] == before
    if kind != "SWA":  # whose statistics are measured anew on another order
        scores = train.evaluate(model, (X, Y), cross_entropy, ["accuracy"])  # the average is in the model
        assert (scores["loss"], scores["accuracy"]) == shown[-1]


def test_stopping_by_the_average_and_a_run_that_ends_too_early():
    model = make()
    stop = EarlyStopping("ema_val_loss", patience=1, min_delta=10.0, restore_best=False)
    history = go(model, [EMA(0.9, validate=True), stop], epochs=9, validation=(X, Y))
    assert len(history) == 2 and "ema_val_loss" in history.stopped
    model, plain = make(), make()
    swa = SWA(9)
    go(model, [swa])
    plain = make()
    go(plain, [])
    assert swa.n == 0 and bits(model) == bits(plain)


def test_one_callback_for_several_runs_and_a_model_that_changes():
    ema, results = EMA(0.9), []
    for _ in range(2):
        model = make()
        go(model, [ema])
        results.append(bits(model))
    assert results[0] == results[1]
    with pytest.raises(ValueError, match="changed since the average was begun.*'4.bias'"):
        ema.collect(model[:4])


def test_shared_frozen_and_scalar_parameters():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3)
            self.b, self.scale = self.a, nn.Parameter(np.float32(2.0))
            self.a.bias.requires_grad = False

        def forward(self, x):
            return self.b(self.a(x)) * self.scale

    model, ema, (states, keep) = Tied(), EMA(0.7), iterates("on_batch_end")
    frozen = model.a.bias.numpy().tobytes()
    go(model, [keep, ema])
    assert set(ema.average) == {"a.weight", "a.bias", "scale"} and model.b is model.a
    assert model.a.bias.numpy().tobytes() == frozen
    expected = mean_of(states, [0.7 ** (11 - k) for k in range(12)])
    np.testing.assert_allclose(model.scale.item(), expected["scale"], rtol=1e-6)


# --- Batch norm's statistics ----------------------------------------------------------------------------------------


def test_update_bn_is_the_plain_average_over_batches():
    model = make(np.float64, dropout=0.5)
    model.eval()
    model[1].momentum, x = 0.3, X.astype(float)
    weights = model[0].weight.numpy().copy()
    batches = [(x[:10], Y[:10]), (x[10:20], Y[10:20]), (x[20:], Y[20:])]
    update_bn(model, batches)
    hidden = [b @ weights.T + model[0].bias.numpy() for b, _ in batches]
    np.testing.assert_allclose(model[1].running_mean.numpy(), np.mean([h.mean(0) for h in hidden], 0), rtol=1e-12)
    np.testing.assert_allclose(model[1].running_var.numpy(), np.mean([h.var(0, ddof=1) for h in hidden], 0), rtol=1e-12)
    assert model[1].num_batches_tracked.item() == 3 and model[1].momentum == 0.3
    assert not any(m.training for m in model.modules()) and np.array_equal(weights, model[0].weight.numpy())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_batch_of_everything_and_equal_batches(dtype):
    model, x = make(dtype), X.astype(dtype)
    hidden = model[0](x).numpy().astype(float)
    for data, size in ((x, 24), ((x, Y), 24), (minidl.Tensor(x), 24), (x, 8)):
        update_bn(model, data, batch_size=size)
        np.testing.assert_allclose(model[1].running_mean.numpy(), hidden.mean(0), rtol=1e-4)
        if size == 24:  # of all data in one pass
            np.testing.assert_allclose(model[1].running_var.numpy(), hidden.var(0, ddof=1), rtol=1e-4)
        assert model[1].running_var.dtype == dtype


def test_update_bn_without_batch_norm_reads_no_data():
    def never():
        raise AssertionError
        yield

    update_bn(nn.Linear(2, 2), never())
    update_bn(nn.BatchNorm1d(2, track_running_stats=False), never())
    model = make()
    with pytest.raises(ValueError, match="the data gave no batch"):
        update_bn(model, [])
    assert model[1].momentum == 0.1 and model.training


# --- Exact resume ---------------------------------------------------------------------------------------------------


def program(folder, crash_at=None, resume=True):
    """Everything of this page in one run, with a penalty, a constraint, SAM and clipping."""
    model = make(dropout=0.3)
    optimizer = optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    count = iter(range(1000))
    crasher = Callback(on_gradient=lambda run: 1 / (next(count) - crash_at) and None if crash_at is not None else None)
    ema, polyak, swa = EMA(0.9, validate=True, load_at_end=False), Polyak(2, load_at_end=False), SWA(3, validate=True)
    callbacks = [SAM(0.1), crasher, Penalty(l1=1e-3), MaxNorm(1.0), ema, polyak, swa, Checkpoint(folder)]
    history = fit(
        model, DataLoader(Dataset(X, Y), 8, shuffle=True), loss=cross_entropy, optimizer=optimizer, epochs=6,
        validation=(X, Y), callbacks=callbacks, clip=1.0, progress=False, resume=folder if resume else None,
        schedule=optim.SWALR(optimizer, 0.1, anneal_epochs=3),
    )  # fmt: skip
    averages = [{k: a.tobytes() for k, a in c.average.items()} for c in (ema, polyak, swa)]
    return bits(model), averages, repr(history), (folder / "last.safetensors").read_bytes()


@pytest.mark.parametrize("crash_at", [4, 7, 13])
def test_a_run_that_is_resumed_ends_with_the_same_bits(tmp_path, crash_at):
    whole = program(tmp_path / "whole", resume=False)
    with pytest.raises(ZeroDivisionError):
        program(tmp_path / "again", crash_at=crash_at)
    minidl.random.generator("dropout").random(17)  # another process would have other streams
    assert program(tmp_path / "again") == whole
    assert program(tmp_path / "again") == whole  # finished: nothing is left to do


def test_state_is_a_copy():
    model, ema = make(), EMA(0.5)
    ema.collect(model)
    state, twin = ema.state_dict(), EMA(0.5)
    twin.load_state_dict(state)
    saved = copy.deepcopy(state)
    model[0].weight.data = model[0].weight.numpy() * 2
    ema.collect(model)
    twin.collect(model)
    assert all(np.array_equal(saved["average"][k], state["average"][k]) for k in state["average"])
    assert all(np.array_equal(ema.average[k], twin.average[k]) for k in state["average"]) and twin.n == 2


# --- The schedule ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"swa_lr": 0.05}, {"swa_lr": [0.05, 0.9], "anneal_epochs": 4},
                                     {"swa_lr": 0.05, "anneal_epochs": 7, "anneal_strategy": "linear"},
                                     {"swa_lr": 0.05, "anneal_epochs": 0}])  # fmt: skip
def test_swalr_is_pytorchs(torch, options):
    lrs = (0.5, 0.02)
    ours = optim.SGD([{"params": [minidl.ones(2, requires_grad=True)], "lr": lr} for lr in lrs], lr=0.1)
    theirs = torch.optim.SGD([{"params": [torch.ones(2, requires_grad=True)], "lr": lr} for lr in lrs], lr=0.1)
    schedule, reference = optim.SWALR(ours, **options), torch.optim.swa_utils.SWALR(theirs, **options)
    for _ in range(15):
        assert [g["lr"] for g in ours.param_groups] == pytest.approx([g["lr"] for g in theirs.param_groups], rel=1e-9)
        theirs.step()
        schedule.step()
        reference.step()
    again = optim.SWALR(ours, **options)
    again.load_state_dict(schedule.state_dict())
    assert again.get_last_lr() == schedule.get_last_lr()


def test_swalr_after_another_schedule():
    optimizer = optim.SGD([minidl.ones(2, requires_grad=True)], lr=1.0)
    first = optim.StepLR(optimizer, step_size=2)
    last = optim.SWALR(optimizer, 0.05, anneal_epochs=2, anneal_strategy="linear", start_lr=0.1)
    schedule = optim.SequentialLR(optimizer, [first, last], milestones=[3])
    rates = [schedule.lr_at(t) for t in range(7)]
    assert rates == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.075, 0.05, 0.05])


# --- What cannot be meant -------------------------------------------------------------------------------------------

O = optim.SGD([minidl.ones(2, requires_grad=True)], lr=1.0)  # noqa: E741
BAD = {
    "decay 1": (lambda: EMA(1.0), ValueError, r"EMA: decay must be in \[0, 1\), not 1.0"),
    "decay": (lambda: EMA("0.9"), TypeError, "decay must be a number"),
    "start 0": (lambda: SWA(0), ValueError, "SWA: start must be at least 1, not 0"),
    "start 1.0": (lambda: Polyak(1.0), ValueError, "Polyak: start must be an epoch >= 1, or a share in"),
    "every": (lambda: SWA(3, every=0), ValueError, "every must be at least 1"),
    "validate": (lambda: go(make(), [EMA(validate=True)]), ValueError, "needs fit.*validation"),
    "nothing yet": (lambda: EMA().load_into(make()), ValueError, "EMA has collected no weights yet"),
    "no rate": (lambda: train.averaging.Averaging().collect(make()), NotImplementedError, "must define rate"),
    "swa_lr": (lambda: optim.SWALR(O, -1.0), ValueError, "SWALR: swa_lr must be >= 0"),
    "strategy": (lambda: optim.SWALR(O, 0.1, 5, "exp"), ValueError, "must be one of 'cos', 'linear'"),
    "no optimiser": (lambda: optim.SWALR([0.1], 0.1), TypeError, "SWALR needs an Optimizer first"),
}


@pytest.mark.parametrize("call, error, message", BAD.values(), ids=BAD)
def test_errors_teach(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_two_callbacks_that_load_weights_at_the_end_are_refused():
    for pair in ([EMA(), SWA(1)], [EarlyStopping("loss"), EMA()], [Polyak(), EarlyStopping("loss")]):
        with pytest.raises(ValueError, match="would both put weights into the model at the end"):
            go(make(), pair)
    go(make(), [EarlyStopping("loss", restore_best=False), EMA(), SWA(1, load_at_end=False)], epochs=1)


def test_update_bn_that_fails_leaves_the_statistics(rng):
    model = make()
    model(minidl.Tensor(X.astype(np.float32)))
    before = bits(model)
    with pytest.raises(ValueError, match="more than one sample"):
        update_bn(model, rng.normal(size=(33, 3)).astype(np.float32), batch_size=32)  # the last batch is one sample
    assert bits(model) == before and model[1].momentum == 0.1


def test_a_loader_for_the_statistics_with_an_rng_of_its_own_resumes_with_the_same_bits(tmp_path):
    def program(folder, epochs, resume=None):
        data = DataLoader(Dataset(X.astype(np.float32), Y), 8, shuffle=True, rng=5)
        model = make()
        callbacks = [SWA(1, data=data, validate=True), Checkpoint(folder)]
        history = go(model, callbacks, epochs, validation=(X.astype(np.float32), Y), resume=resume)
        return bits(model), list(history)

    whole = program(tmp_path / "whole", 4)
    program(tmp_path / "cut", 2)
    assert program(tmp_path / "cut", 4, tmp_path / "cut") == whole
