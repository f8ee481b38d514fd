"""The compiled update rules: against the formulas of the optimisers, PyTorch, and themselves on other threads."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from minidl import Tensor, kernels
from minidl.kernels import update
from minidl.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

pytest.importorskip("numba")


def every(cls, **choices):
    return [(cls, dict(zip(choices, values, strict=True))) for values in itertools.product(*choices.values())]


DECAY, FLAG = [0.0, 0.1], [False, True]
CASES = [
    *every(SGD, lr=[0.05], momentum=[0.0, 0.9], dampening=[0.0, 0.3], weight_decay=DECAY, maximize=FLAG),
    *every(SGD, lr=[0.05], momentum=[0.9], weight_decay=DECAY, nesterov=[True], maximize=FLAG),
    *every(Adam, lr=[0.01], amsgrad=FLAG, weight_decay=DECAY, maximize=FLAG),
    *every(AdamW, lr=[0.01], amsgrad=FLAG, weight_decay=DECAY, maximize=FLAG),
    *every(RMSprop, momentum=[0.0, 0.9], centered=FLAG, weight_decay=DECAY, maximize=FLAG),
    *every(Adagrad, lr=[0.1], lr_decay=[0.0, 0.1], weight_decay=DECAY, maximize=FLAG),
]
MAIN = [
    (SGD, {"lr": 0.05}),
    (SGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}),
    (Adam, {"amsgrad": True, "weight_decay": 0.1}),
    (AdamW, {}),
    (RMSprop, {"momentum": 0.9, "centered": True}),
    (Adagrad, {}),
]


def case_id(value):
    return "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value.__name__


@pytest.fixture
def compiled(monkeypatch):
    """Arrays of every size go to the compiled rules, and `calls` says how often one was called."""
    calls = []
    monkeypatch.setattr(update, "LARGE", 0)
    for name in ("sgd", "adam", "rmsprop", "adagrad"):
        rule = getattr(kernels, f"{name}_update")
        monkeypatch.setattr(kernels, f"{name}_update", lambda *a, r=rule, **k: calls.append(1) or r(*a, **k))
    with kernels.using("numba"):
        yield calls


def trajectory(cls, options, start, grads, body="numba"):
    """Where a parameter is after each step, and what the optimiser remembers in the end."""
    p = Tensor(start, requires_grad=True)
    opt = cls([p], **options)
    places = []
    with kernels.using(body):
        for g in grads:
            p.grad = Tensor(g)
            p.grad._array = g  # in its own layout
            opt.step()
            assert p.dtype == g.dtype
            places.append(p.numpy().copy())
    return places, {name: value for name, value in opt.state[p].items() if name != "step"}


def problem(shape, dtype=np.float64, steps=5):
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape).astype(dtype), list(rng.standard_normal((steps, *shape)).astype(dtype))


@pytest.mark.parametrize("cls, options", CASES, ids=case_id)
def test_they_follow_the_formula_and_pytorch(compiled, torch, cls, options):
    for shape, dtype in (((3, 5), np.float64), ((8192 + 17,), np.float64), ((2, 4096 + 1), np.float32)):
        start, grads = problem(shape, dtype)
        found, state = trajectory(cls, options, start, grads)
        assert len(compiled) == len(grads)
        expected, state_there = trajectory(cls, options, start, grads, "numpy")
        assert len(compiled) == len(grads)
        compiled.clear()
        theirs = torch.tensor(start, requires_grad=True)
        reference = getattr(torch.optim, cls.__name__)([theirs], **options)
        tolerance = 1e-12 if dtype == np.float64 else 2e-5
        for place, there, g in zip(found, expected, grads, strict=True):
            theirs.grad = torch.tensor(g)
            reference.step()
            np.testing.assert_allclose(place, there, rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(place, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)
        for name in state_there:
            assert state[name].dtype == dtype
            np.testing.assert_allclose(state[name], state_there[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("cls, options", MAIN, ids=case_id)
def test_threads_and_layout_of_the_gradient_change_no_bit(compiled, monkeypatch, cls, options):
    start, grads = problem((501, 601), np.float32, 2)
    ends = set()

    def run(order):
        places, state = trajectory(cls, options, start, [np.asarray(g, order=order) for g in grads])
        ends.add((places[-1].tobytes(), *(a.tobytes() for a in state.values())))

    before = kernels.get_num_threads()
    try:
        for count, order in ((1, "C"), (1, "F"), (2, "C"), (3, "F"), (5, "C"), (5, "C")):
            kernels.set_num_threads(count)
            run(order)
    finally:
        kernels.set_num_threads(before)
    for parts in (1, 2, 7, 10**6):  # whatever threads would make of it

        def shared(kernel, units, cost, args, parts=parts):
            bounds = [units * k // min(parts, units) for k in range(min(parts, units) + 1)]
            for first, last in itertools.pairwise(bounds):
                kernel(*args, first, last)

        monkeypatch.setattr(kernels.threads, "run", shared)
        run("C")
    assert len(ends) == 1


@pytest.mark.parametrize("cls, options", MAIN, ids=case_id)
def test_nan_and_infinity_are_kept(compiled, cls, options):
    start, grads = problem((4099,), np.float32, 3)
    odd = [np.nan, np.inf, -np.inf, 0.0, 1e18]
    for k, value in enumerate(odd):
        grads[1][[k, 100 + k, 4094 + k]] = value
        start[10 + k] = value
    with np.errstate(all="ignore"):
        found, _ = trajectory(cls, options, start, grads)
        expected, _ = trajectory(cls, options, start, grads, "numpy")
    for place, there in zip(found, expected, strict=True):
        np.testing.assert_allclose(place, there, rtol=2e-5, atol=2e-5)  # and the same NaNs and infinities
    assert np.isnan(found[-1][4094]) and not np.isnan(found[-1][[3, 103, 4097]]).any()


def test_a_variance_below_zero_by_rounding_counts_as_zero(compiled):
    start, _ = problem((501,), np.float32)
    found, state = trajectory(RMSprop, {"lr": 1e-9, "centered": True}, start, [start] * 2000)
    assert np.isfinite(found[-1]).all()
    w, g, s, m = (np.full(9, value, np.float32) for value in (1, 1, 0.5, 1))
    kernels.rmsprop_update(w, g, s, m, None, 0.5, 0.9, 1.0, 0.0, 0.0, False)  # s = 0.55, m = 1
    assert (w == 0.5).all()


@pytest.mark.parametrize("cls, options", MAIN, ids=case_id)
def test_a_resumed_run_is_bit_identical(compiled, cls, options):
    start, grads = problem((97, 101), np.float32, 8)
    whole, _ = trajectory(cls, options, start, grads)
    p = Tensor(start, requires_grad=True)
    opt = cls([p], **options)
    for k, g in enumerate(grads):
        if k == 4:
            saved, p = opt.state_dict(), Tensor(p.numpy(), requires_grad=True)
            opt = cls([p], lr=9.0)
            opt.load_state_dict(saved)
        p.grad = Tensor(g)
        opt.step()
    assert p.numpy().tobytes() == whole[-1].tobytes()


def test_who_changes_the_formula_has_no_kernel(compiled):
    class Wrong(AdamW):
        def update(self, w, g, state, lr, **_):
            w -= lr * np.sign(g)

    class Mixin:
        def decay(self, w, g, weight_decay, **_):
            return g * 0

    class Mixed(Mixin, SGD):
        pass

    class More(Wrong):
        pass

    start, grads = problem((7,), steps=1)
    for cls, expected in ((Wrong, -0.1 * np.sign(grads[0])), (More, -0.1 * np.sign(grads[0])), (Mixed, 0.0)):
        (place,), _ = trajectory(cls, {"lr": 0.1, "weight_decay": 0.5}, np.zeros(7), grads)
        np.testing.assert_allclose(place, start * 0 + expected, atol=1e-15)
    assert not compiled

    class Same(AdamW):
        pass

    trajectory(Same, {}, start, grads)
    assert compiled == [1]


def test_options_changed_between_steps_count(compiled):
    start, grads = problem((5,), steps=1)
    p = Tensor(start, requires_grad=True)
    opt = SGD([p], lr=0.1)
    for change, distance in (({}, 0.1), ({"lr": np.float64(0.5)}, 0.5), ({"maximize": True}, -0.5)):
        opt.param_groups[0].update(change)
        before = p.numpy().copy()
        p.grad = Tensor(grads[0])
        opt.step()
        np.testing.assert_allclose(p.numpy(), before - distance * grads[0], rtol=1e-12)
    opt.param_groups[0].update(momentum=0.9)  # a slot that was not there before
    opt.step()
    assert "momentum_buffer" in opt.state[p]
    for change, error in (
        ({"lr": "high"}, TypeError), ({"lr": 0.1, "nesterov": 1}, TypeError),
        ({"nesterov": False, "speed": 1}, ValueError),
    ):  # fmt: skip
        opt.param_groups[0].update(change)
        with pytest.raises(error):
            opt.step()
    assert type(opt.param_groups[0]["lr"]) is float


def test_the_gate_refuses_what_does_not_fit():
    w, g = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    for arrays, error, message in (
        ((w, g.T, None), ValueError, "g has shape"),
        ((w, g.astype(np.float64), None), TypeError, "one float type"),
        ((w.astype(np.float16), g.astype(np.float16), None), TypeError, "float32 or float64"),
        ((w, g, np.zeros(6, np.float32)), ValueError, "remembers"),
        ((np.zeros((3, 2), np.float32).T, g, None), ValueError, "in place"),
    ):
        with pytest.raises(error, match=message):
            kernels.sgd_update(*arrays, 0.1, 0.9, 0.0, 0.0, False, False)
    assert not w.any()


def test_only_large_parameters_of_a_kind_that_fits_go_to_the_kernels(monkeypatch, compiled):
    monkeypatch.setattr(update, "LARGE", 12)
    for start, times in (
        (np.zeros((3, 4)), 1), (np.zeros((3, 3)), 0), (np.zeros((4, 3)).T, 0), (np.zeros((3, 4), np.float16), 0),
    ):  # fmt: skip
        compiled.clear()
        trajectory(SGD, {"lr": 0.1}, start, [np.ones_like(start)])
        assert len(compiled) == times


PROGRAM = """
import importlib, sys, numpy as np
from minidl import Tensor, optim
broken = {broken}
if broken:
    found = importlib.import_module
    def load(name):
        if name.endswith("_numba"):
            raise ImportError("no LLVM")
        return found(name)
    importlib.import_module = load
for size, numba in ((1000, False), (40_000, not broken)):
    p = Tensor(np.ones(size), requires_grad=True)
    p.grad = Tensor(np.ones(size))
    optim.SGD([p], lr=0.25).step()
    assert (p.data == 0.75).all() and ("numba" in sys.modules) == numba, size
"""


@pytest.mark.parametrize("broken", [False, True])
def test_numba_is_imported_for_large_parameters_only_and_may_be_broken(broken):
    subprocess.run([sys.executable, "-c", PROGRAM.format(broken=broken)], check=True)


def test_a_decay_from_a_class_behind_the_rule_counts_for_large_parameters_too():
    class Decoupled(Optimizer):
        def decay(self, w, g, lr, weight_decay, **_):
            w *= 1 - lr * weight_decay
            return g

    class Behind(SGD, Decoupled):
        pass

    class Before(Decoupled, SGD):
        pass

    class Unchanged(SGD):
        pass

    assert Behind.fused is None and Before.fused is None and Unchanged.fused is SGD.fused is not None
