"""Schedules of the learning rate: against PyTorch over whole runs, against a few numbers worked out by hand, saved."""

import copy
import json
import math

import numpy as np
import pytest

import minidl
from minidl import optim
from minidl.optim import lr_scheduler
from minidl.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

STEPS = 60


def optimizer_of(library=optim, name="SGD", lrs=(0.5, 0.02)):
    tensor = minidl.ones if library is optim else library.ones
    maker = optim if library is optim else library.optim
    groups = [{"params": [tensor(2, requires_grad=True)], "lr": lr} for lr in lrs]
    return getattr(maker, name)(groups, lr=0.1)


def make(spec, optimizer, module=lr_scheduler):
    """A schedule from (name, arguments); those of a join are specs themselves."""
    name, options = spec
    options = dict(options)
    if "schedulers" in options:
        options["schedulers"] = [make(s, optimizer, module) for s in options["schedulers"]]
    if name == "ChainedScheduler":
        return module.ChainedScheduler(**options)
    return getattr(module, name)(optimizer, **options)


def momenta(optimizer):
    return [group["betas"][0] if "betas" in group else group["momentum"] for group in optimizer.param_groups]


SPECS = [
    ("LambdaLR", {"lr_lambda": lambda t: 0.95**t}),
    ("LambdaLR", {"lr_lambda": [lambda t: 1 / (1 + t), lambda t: (t + 1) / 100]}),
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 10, 10, 40], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.01, "end_factor": 0.7, "total_iters": 20}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": STEPS + 1}),
    ("CosineAnnealingLR", {"T_max": STEPS, "eta_min": 0.001}),
    ("CosineAnnealingLR", {"T_max": 13}),  # beyond T_max it comes up again
    ("CosineAnnealingWarmRestarts", {"T_0": 9}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5}),
    ("CyclicLR", {"base_lr": [0.01, 0.02], "max_lr": [0.1, 0.3], "step_size_up": 4, "step_size_down": 9,
                  "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "mode": "exp_range", "gamma": 0.95,
                  "base_momentum": 0.7, "max_momentum": [0.8, 0.95]}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "cycle_momentum": False}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": STEPS + 1}),
    ("OneCycleLR", {"max_lr": [0.3, 0.1], "epochs": 13, "steps_per_epoch": 5, "anneal_strategy": "linear",
                    "pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 90, "three_phase": True, "base_momentum": 0.5}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 90, "pct_start": 0.0, "cycle_momentum": False}),
    ("SequentialLR", {"milestones": [6, 30], "schedulers": [
        ("LinearLR", {"start_factor": 0.1, "total_iters": 6}), ("CosineAnnealingLR", {"T_max": 24, "eta_min": 1e-3}),
        ("StepLR", {"step_size": 11})]}),
    ("ChainedScheduler", {"schedulers": [
        ("LinearLR", {"start_factor": 0.2, "total_iters": 8}), ("ExponentialLR", {"gamma": 0.97}),
        ("CosineAnnealingLR", {"T_max": STEPS + 1})]}),
]
IDS = [f"{name}-{k}" for k, (name, _) in enumerate(SPECS)]


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("spec", SPECS, ids=IDS)
def test_rates_and_momenta_equal_those_of_pytorch_over_a_run(spec, name):
    torch = pytest.importorskip("torch")
    ours, theirs = optimizer_of(name=name), optimizer_of(torch, name)
    schedule, reference = make(spec, ours), make(spec, theirs, torch.optim.lr_scheduler)
    for t in range(STEPS):
        lrs = [group["lr"] for group in ours.param_groups]
        assert lrs == schedule.get_last_lr() == [schedule.lr_at(t, 0), schedule.lr_at(t, 1)]
        assert all(type(lr) is float for lr in lrs) and schedule.last_epoch == t
        np.testing.assert_allclose(lrs, [group["lr"] for group in theirs.param_groups], rtol=1e-12, atol=1e-16)
        np.testing.assert_allclose(momenta(ours), momenta(theirs), rtol=1e-12)
        theirs.step()
        reference.step()
        schedule.step()


@pytest.mark.parametrize("options", [
    {"patience": 2},
    {"mode": "max", "patience": 0, "factor": 0.5},
    {"threshold": 0.1, "threshold_mode": "abs", "patience": 1},
    {"mode": "max", "threshold": 0.3, "patience": 1},
    {"mode": "max", "threshold_mode": "abs", "threshold": 0.2},
    {"patience": 1, "cooldown": 3, "factor": 0.3},
    {"patience": 0, "min_lr": [0.1, 0.001]},
    {"patience": 0, "eps": 0.01},
], ids=str)  # fmt: skip
def test_plateau_equals_pytorchs(options):
    torch = pytest.importorskip("torch")
    theirs = optimizer_of(torch)
    schedule = ReduceLROnPlateau(optimizer_of(), **options)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    metrics = np.random.default_rng(0).standard_normal(80).cumsum() * 0.3 + 2
    metrics[[0, 20, 21, 22]] = np.nan
    for metric in metrics:
        schedule.step(metric)
        reference.step(metric)
        assert schedule.get_last_lr() == pytest.approx([group["lr"] for group in theirs.param_groups], rel=1e-12)
    assert min(schedule.get_last_lr()) < 0.02  # it did something


@pytest.mark.parametrize("name", sorted(set(lr_scheduler.__all__) - {"LRScheduler", "ChainedScheduler", "SWALR"}))
def test_defaults_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    import inspect

    ours, theirs = (
        {p.name: p.default for p in inspect.signature(getattr(m, name)).parameters.values()}
        for m in (lr_scheduler, torch.optim.lr_scheduler)
    )
    assert all(theirs[key] == default for key, default in ours.items())
    assert list(ours) == [key for key in theirs if key in ours]


def test_numbers_worked_out_by_hand():
    def rates(make, steps):
        return [pytest.approx(make(optimizer_of(lrs=[1.0])).lr_at(t), rel=1e-14, abs=1e-16) for t in steps]

    assert rates(lambda o: StepLR(o, 3, 0.5), [0, 2, 3, 6]) == [1, 1, 0.5, 0.25]
    assert rates(lambda o: MultiStepLR(o, [2, 4], 0.1), [1, 2, 3, 4]) == [1, 0.1, 0.1, 0.01]
    assert rates(lambda o: ExponentialLR(o, 0.5), [0, 1, 3]) == [1, 0.5, 0.125]
    assert rates(lambda o: LinearLR(o, 0.5, 1.0, 4), [0, 1, 4, 9]) == [0.5, 0.625, 1, 1]
    assert rates(lambda o: CosineAnnealingLR(o, 6, 0.2), [0, 2, 3, 6]) == [1, 0.8, 0.6, 0.2]
    assert rates(lambda o: CosineAnnealingWarmRestarts(o, 2, 2), [0, 1, 2, 4, 6, 10]) == [1, 0.5, 1, 0.5, 1, 0.5]
    cyclic = {"base_lr": 1.0, "max_lr": 3.0, "step_size_up": 2, "step_size_down": 4}
    assert rates(lambda o: CyclicLR(o, **cyclic), [0, 1, 2, 4, 6, 8]) == [1, 2, 3, 2, 1, 3]
    assert rates(lambda o: CyclicLR(o, **cyclic, mode="triangular2"), [2, 8, 14]) == [3, 2, 1.5]
    one = {"max_lr": 1.0, "total_steps": 11, "pct_start": 6 / 11, "div_factor": 4.0, "final_div_factor": 25.0}
    assert rates(lambda o: OneCycleLR(o, **one, anneal_strategy="linear"), [0, 5, 10, 11]) == [0.25, 1, 0.01, 0.01]
    one["pct_start"] = 1 / 11  # nothing but the way down
    assert rates(lambda o: OneCycleLR(o, **one), [0, 5, 10]) == [1, 0.505, 0.01]
    assert rates(lambda o: OneCycleLR(o, **{**one, "pct_start": 1.0}), [0, 5, 10, 11]) == [0.25, 0.625, 1, 1]


def test_momentum_goes_against_the_rate():
    for name in ("SGD", "Adam"):
        optimizer = optimizer_of(name=name)
        schedule = CyclicLR(optimizer, 0.1, 0.5, step_size_up=2)
        seen = []
        for _ in range(5):
            seen.append((optimizer.param_groups[0]["lr"], momenta(optimizer)[0]))
            schedule.step()
        assert seen == [pytest.approx(pair) for pair in [(0.1, 0.9), (0.3, 0.85), (0.5, 0.8), (0.3, 0.85), (0.1, 0.9)]]
    assert optimizer.param_groups[0]["betas"][1] == 0.999


def test_a_rate_of_zero_is_a_step_of_nothing():
    w = minidl.ones(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)
    schedule = LambdaLR(optimizer, lambda t: 0.5 * t)
    for expected in (1.0, 0.75):
        w.grad = minidl.ones(2)
        optimizer.step()
        schedule.step()
        assert w.data[0] == expected


# -- saving ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer_first", [True, False])
@pytest.mark.parametrize("spec", [*SPECS, ("ReduceLROnPlateau", {"patience": 1, "cooldown": 1})], ids=lambda s: s[0])
def test_a_resumed_schedule_goes_on_exactly(spec, optimizer_first):
    metrics = np.random.default_rng(1).standard_normal(20).tolist()

    def advance(schedule, optimizer, steps):
        seen = []
        for t in steps:
            schedule.step(*[metrics[t]] * isinstance(schedule, ReduceLROnPlateau))
            seen.append((copy.deepcopy(schedule.get_last_lr()), momenta(optimizer)))
        return seen

    optimizer = optimizer_of()
    schedule = make(spec, optimizer)
    advance(schedule, optimizer, range(8))
    saved = json.loads(json.dumps([optimizer.state_dict(), schedule.state_dict()], allow_nan=False))
    expected = advance(schedule, optimizer, range(8, 20))

    twin = optimizer_of()
    if optimizer_first:
        twin.load_state_dict(saved[0])
    again = make(spec, twin)
    again.load_state_dict(saved[1])
    if not optimizer_first:
        twin.load_state_dict(saved[0])
    assert again.state_dict() == saved[1] and again.last_epoch == 8
    assert [group["lr"] for group in twin.param_groups] == [group["lr"] for group in saved[0]["param_groups"]]
    assert advance(again, twin, range(8, 20)) == expected


def test_loading_reports_every_difference_and_changes_nothing():
    optimizer = optimizer_of()
    schedule = MultiStepLR(optimizer, [3, 5], gamma=0.5)
    before = schedule.state_dict()
    other = MultiStepLR(optimizer_of(lrs=[0.5]), [3, 6]).state_dict()
    with pytest.raises(ValueError) as error:
        schedule.load_state_dict({**other, "last_epoch": 4, "more": 1})
    assert str(error.value).split("\n  ") == [
        "MultiStepLR cannot load this state:",
        "more saved, which does not exist here",
        "milestones = [3, 6] saved, [3, 5] here",
        "gamma = 0.1 saved, 0.5 here",
        "base_lrs = [0.5] saved, [0.5, 0.02] here",
    ]
    assert schedule.state_dict() == before
    with pytest.raises(ValueError, match="scheduler = 'ExponentialLR' saved, 'MultiStepLR' here"):
        schedule.load_state_dict(ExponentialLR(optimizer_of(), 0.5).state_dict())
    with pytest.raises(ValueError, match="not the state_dict.. of a schedule"):
        schedule.load_state_dict({"last_epoch": 3})
    before["milestones"].append(9)  # what was saved is a copy
    assert schedule.milestones == [3, 5]


def test_the_order_of_schedules_and_the_base_rate():
    optimizer = optimizer_of(lrs=[1.0])
    LinearLR(optimizer, 0.1)
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert ExponentialLR(optimizer, 0.5).base_lrs == [1.0]  # not what the warm-up has made of it
    assert optimizer.param_groups[0]["lr"] == 1.0


def test_repr():
    schedule = StepLR(optimizer_of(), 30)
    schedule.step()
    assert repr(schedule) == "StepLR(step_size=30, gamma=0.1, base_lrs=[0.5, 0.02], last_epoch=1)"


# -- what cannot be meant ----------------------------------------------------------------------------------------------


def after_a_new_group():
    optimizer = optimizer_of()
    schedule = StepLR(optimizer, 3)
    optimizer.add_param_group({"params": minidl.ones(2, requires_grad=True)})
    schedule.step()


def too_far():
    schedule = OneCycleLR(optimizer_of(), 0.1, total_steps=3)
    for _ in range(4):
        assert schedule.last_epoch < 4
        schedule.step()


O = optimizer_of()  # noqa: E741
MALFORMED = {
    "no optimiser": (lambda: StepLR([0.1], 3), TypeError, "StepLR needs an Optimizer first, not list"),
    "the schedule for the optimiser": (lambda: CyclicLR(StepLR(O, 3), 1, 2), TypeError, "needs an Optimizer first"),
    "step_size 0": (lambda: StepLR(O, 0), ValueError, "StepLR: step_size must be at least 1, not 0"),
    "step_size 1.5": (lambda: StepLR(O, 1.5), TypeError, "step_size must be an integer, not float 1.5"),
    "gamma": (lambda: ExponentialLR(O, -0.9), ValueError, "ExponentialLR: gamma must be > 0, not -0.9"),
    "gamma nan": (lambda: ExponentialLR(O, math.nan), ValueError, "gamma must be > 0, not nan"),
    "milestones": (lambda: MultiStepLR(O, [5, 3]), ValueError, r"milestones must be in increasing order, not \[5, 3\]"),
    "lambda": (lambda: LambdaLR(O, 0.5), TypeError, "lr_lambda must be a function of the step, not 0.5"),
    "lambdas": (lambda: LambdaLR(O, [math.exp]), ValueError, "1 functions for 2 groups"),
    "lambda's value": (lambda: LambdaLR(O, lambda t: None), TypeError, r"lr_lambda\(0\) must be a number .* NoneType"),
    "lambda's nan": (lambda: LambdaLR(O, lambda t: math.nan), ValueError, r"lr_lambda\(0\) must be finite, not nan"),
    "start_factor": (lambda: LinearLR(O, 0.0), ValueError, r"start_factor must be in \(0, 1\], not 0.0"),
    "end_factor": (lambda: LinearLR(O, 0.5, 2), ValueError, r"end_factor must be in \[0, 1\], not 2"),
    "T_max": (lambda: CosineAnnealingLR(O, 0), ValueError, "T_max must be at least 1"),
    "eta_min": (lambda: CosineAnnealingLR(O, 5, -1), ValueError, "eta_min must be >= 0, not -1"),
    "T_mult": (lambda: CosineAnnealingWarmRestarts(O, 5, 0), ValueError, "T_mult must be at least 1, not 0"),
    "mode": (lambda: CyclicLR(O, 1, 2, mode="square"), ValueError, "mode must be one of 'triangular', .* not 'square'"),
    "max_lr": (lambda: CyclicLR(O, 1, [1, 2, 3]), ValueError, "max_lr has 3 values, but the optimiser has 2 groups"),
    "no momentum": (
        lambda: CyclicLR(optimizer_of(name="Adagrad"), 1, 2), ValueError, "Adagrad has no momentum .* cycle_momentum"
    ),
    "no length": (lambda: OneCycleLR(O, 1.0, epochs=3), ValueError, "needs total_steps, or both epochs and steps_per"),
    "pct_start": (lambda: OneCycleLR(O, 1.0, 10, pct_start=30), ValueError, r"pct_start must be in \[0, 1\], not 30"),
    "strategy": (lambda: OneCycleLR(O, 1.0, 10, anneal_strategy="exp"), ValueError, "must be one of 'cos', 'linear'"),
    "too far": (too_far, ValueError, "step 4 of a cycle of 3 steps; give it more total_steps"),
    "factor": (lambda: ReduceLROnPlateau(O, factor=1.0), ValueError, r"factor must be in \(0, 1\), not 1.0"),
    "patience": (lambda: ReduceLROnPlateau(O, patience=-1), ValueError, "patience must be at least 0, not -1"),
    "plateau mode": (lambda: ReduceLROnPlateau(O, "up"), ValueError, "mode must be one of 'min', 'max', not 'up'"),
    "plateau without metric": (lambda: ReduceLROnPlateau(O).step(), TypeError, "missing .* 'metrics'"),
    "plateau's future": (lambda: ReduceLROnPlateau(O).lr_at(3), NotImplementedError, "depends on the metric"),
    "no schedules": (lambda: ChainedScheduler([]), ValueError, "ChainedScheduler needs at least one schedule"),
    "too few milestones": (lambda: SequentialLR(O, [StepLR(O, 3)], [3]), ValueError, "1 schedules need 0 milestones"),
    "another optimiser": (
        lambda: SequentialLR(O, [StepLR(optimizer_of(), 3)], []), ValueError, "schedule 0, a StepLR, belongs to another"
    ),
    "a plateau in sequence": (
        lambda: SequentialLR(O, [ReduceLROnPlateau(O)], []), TypeError, "schedule 0 must be a function of the step"
    ),
    "a chained cycle": (lambda: ChainedScheduler([CyclicLR(O, 1, 2)]), TypeError, "CyclicLR has rates of its own"),
    "a new group": (after_a_new_group, ValueError, "made for 2 groups, the optimiser now has 3"),
    "no formula": (lambda: LRScheduler(O), NotImplementedError, r"must define lr_at\(self, t, k\)"),
}


@pytest.mark.parametrize("call, error, message", MALFORMED.values(), ids=MALFORMED)
def test_malformed_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
