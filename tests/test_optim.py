"""Optimisers and clipping: against PyTorch, against the formulae written out for one number, and their edges."""

import functools
import itertools
import json
import math

import numpy as np
import pytest

import minidl
from minidl import Tensor, optim
from minidl.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, clip_grad_norm_, clip_grad_value_, optimizer

DTYPES = (np.float32, np.float64)
SHAPES = [(3, 4), (5,), ()]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def combinations(**choices):
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


CASES = [
    *((SGD, {"lr": 0.05, **o}) for o in combinations(momentum=[0, 0.9], dampening=[0, 0.3], weight_decay=[0, 0.1])),
    *((SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True, **o}) for o in combinations(weight_decay=[0.0, 0.1])),
    (SGD, {"lr": 1e-3, "momentum": 0.9, "weight_decay": 0.1, "maximize": True}),
    *((RMSprop, o) for o in combinations(momentum=[0, 0.9], centered=[False, True], weight_decay=[0, 0.1])),
    (RMSprop, {"alpha": 0.9, "eps": 1e-3, "maximize": True, "weight_decay": 0.1}),
    *((Adagrad, {"lr": 0.1, **o}) for o in combinations(lr_decay=[0, 0.1], initial_accumulator_value=[0, 0.5])),
    (Adagrad, {"lr": 0.1, "weight_decay": 0.1, "eps": 1e-3, "maximize": True}),
    *((Adam, {"lr": 0.01, **o}) for o in combinations(amsgrad=[False, True], weight_decay=[0.0, 0.1])),
    (Adam, {"lr": 0.1, "betas": (0.0, 0.5), "eps": 1e-3, "maximize": True, "weight_decay": 0.1}),
    *((AdamW, {"lr": 0.01, **o}) for o in combinations(amsgrad=[False, True], weight_decay=[0.0, 0.01, 0.5])),
    (AdamW, {"lr": 0.01, "maximize": True, "weight_decay": 0.3}),
]
MAIN = [
    (SGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}),
    (RMSprop, {"momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    (Adagrad, {"lr_decay": 0.1}),
    (Adam, {"amsgrad": True}),
    (AdamW, {}),
]


def case_id(value):
    return "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value.__name__


def starting_values(dtype=np.float64):
    return [np.asarray(v, dtype) for v in noise(1000)]


def parameters(values):
    return [Tensor(v, requires_grad=True) for v in values]


@functools.cache
def noise(t):
    rng = np.random.default_rng(t)
    return [rng.standard_normal(shape) for shape in SHAPES]


def gradients(values, t):
    """A gradient that depends on the parameters (so that errors would feed back) and on the step."""
    return [np.asarray(np.sin(3 * v) + n, v.dtype) for v, n in zip(values, noise(t), strict=True)]


def advance(opt, params, steps):
    for t in steps:
        for p, g in zip(params, gradients([p.numpy() for p in params], t), strict=True):
            p.grad = Tensor(g)
        opt.step()
    return [p.numpy() for p in params]


# -- the values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cls, options, dtype", [*((*c, np.float64) for c in CASES), *((*c, np.float32) for c in MAIN)], ids=case_id
)
def test_trajectories_equal_those_of_pytorch(torch, monkeypatch, cls, options, dtype):
    monkeypatch.setattr(optimizer, "PIECE", 5)  # (3, 4) in three pieces, one of them short
    params = parameters(starting_values(dtype))
    theirs = [torch.tensor(v, requires_grad=True) for v in starting_values(dtype)]
    ours, reference = cls(params, **options), getattr(torch.optim, cls.__name__)(theirs, **options)
    rtol = 1e-12 if dtype == np.float64 else 1e-4
    for t in range(60):
        advance(ours, params, [t])
        for q, g in zip(theirs, gradients([q.detach().numpy() for q in theirs], t), strict=True):
            q.grad = torch.tensor(g)
        reference.step()
        for p, q in zip(params, theirs, strict=True):
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=rtol, atol=rtol)
    for p in params:
        assert p.dtype == dtype and ours.state[p]["step"] == 60
        assert all(a.dtype == dtype and a.shape == p.shape for k, a in ours.state[p].items() if k != "step")


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "Adam", "AdamW"])
def test_defaults_and_argument_order_are_those_of_pytorch(torch, name):
    theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)])
    ours = getattr(optim, name)([minidl.zeros(1, requires_grad=True)])
    assert all(theirs.defaults[key] == value for key, value in ours.defaults.items())
    code = [getattr(torch.optim, name).__init__.__code__, getattr(optim, name).__init__.__code__]
    their_names, our_names = (c.co_varnames[1 : c.co_argcount] for c in code)
    extra = ("foreach", "capturable", "maximize", "differentiable")
    assert our_names == tuple(n for n in their_names if n not in extra)


def literal_sgd(w, grads, lr, momentum, dampening, nesterov=False):
    v = None
    for g in grads:
        v = g if v is None else momentum * v + (1 - dampening) * g
        w = w - lr * (g + momentum * v if nesterov else v)
    return w


def literal_adagrad(w, grads, lr, eps, lr_decay):
    s = 0.0
    for t, g in enumerate(grads, 1):
        s = s + g**2
        w = w - lr / (1 + (t - 1) * lr_decay) * g / (math.sqrt(s) + eps)
    return w


def literal_rmsprop(w, grads, lr, alpha, eps, momentum, centered=False):
    s = m = v = 0.0
    for g in grads:
        s = alpha * s + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g
        v = momentum * v + g / (math.sqrt(s - m**2 if centered else s) + eps)
        w = w - lr * v
    return w


def literal_adam(w, grads, lr, betas, eps, weight_decay=0.0, decoupled=False, amsgrad=False):
    m = v = largest = 0.0
    for t, g in enumerate(grads, 1):
        shrunk = w * (1 - lr * weight_decay) if decoupled else w
        g = g if decoupled else g + weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        largest = max(largest, v)
        m_hat, v_hat = m / (1 - betas[0] ** t), (largest if amsgrad else v) / (1 - betas[1] ** t)
        w = shrunk - lr * m_hat / (math.sqrt(v_hat) + eps)
    return w


@pytest.mark.parametrize(
    "cls, options, literal, extra",
    [
        (SGD, {"lr": 0.1, "momentum": 0.8, "dampening": 0.2}, literal_sgd, {}),
        (SGD, {"lr": 0.1, "momentum": 0.8, "dampening": 0.0, "nesterov": True}, literal_sgd, {}),
        (Adagrad, {"lr": 0.1, "eps": 1e-5, "lr_decay": 0.2}, literal_adagrad, {}),
        (RMSprop, {"lr": 0.1, "alpha": 0.7, "eps": 1e-5, "momentum": 0.5}, literal_rmsprop, {}),
        (RMSprop, {"lr": 0.1, "alpha": 0.7, "eps": 1e-5, "momentum": 0.0, "centered": True}, literal_rmsprop, {}),
        (Adam, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-5, "weight_decay": 0.3}, literal_adam, {}),
        (Adam, {"lr": 0.1, "betas": (0.8, 0.5), "eps": 1e-5, "amsgrad": True}, literal_adam, {}),
        (AdamW, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-5, "weight_decay": 0.3}, literal_adam, {"decoupled": True}),
    ],
    ids=case_id,
)
def test_the_formula_for_one_number(cls, options, literal, extra):
    grads = [2.0, -0.3, 0.1, 0.7, -1.1]
    p = Tensor(np.array(1.5), requires_grad=True)
    opt = cls([p], **options)
    for g in grads:
        p.grad = Tensor(np.array(g))
        opt.step()
    assert p.item() == pytest.approx(literal(1.5, grads, **options, **extra), rel=1e-14)


def test_weight_decay_coupled_and_decoupled_agree_for_sgd_and_differ_for_adam():
    class SGDW(SGD):
        decay = AdamW.decay

    ends = {}
    for cls in (SGD, SGDW, Adam, AdamW):
        params = parameters(starting_values())
        ends[cls] = np.concatenate([v.ravel() for v in advance(cls(params, 0.01, weight_decay=0.5), params, range(50))])
    np.testing.assert_allclose(ends[SGD], ends[SGDW], rtol=1e-12, atol=1e-14)
    assert np.abs(ends[Adam] - ends[AdamW]).max() > 0.01
    # why: with a steady gradient, Adam's coupled decay is divided by the size of the gradient; AdamW's is not
    shrinkage = {}
    for cls, size in itertools.product((Adam, AdamW), (1.0, 100.0)):
        with_decay, without = (Tensor(np.array(1.0), requires_grad=True) for _ in range(2))
        for p, weight_decay in ((with_decay, 0.5), (without, 0.0)):
            opt = cls([p], 1e-3, weight_decay=weight_decay)
            for t in range(100):
                p.grad = Tensor(np.array(size * (-1.0) ** t))
                opt.step()
        shrinkage[cls, size] = without.item() - with_decay.item()
    assert shrinkage[AdamW, 100.0] == pytest.approx(shrinkage[AdamW, 1.0], rel=1e-6)
    assert shrinkage[Adam, 100.0] < 0.02 * shrinkage[Adam, 1.0]


@pytest.mark.parametrize("cls, options", MAIN, ids=case_id)
def test_pieces_and_memory_order_change_no_bit(monkeypatch, cls, options):
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal((6, 7)), rng.standard_normal((5, 6, 7))
    ends = []
    for piece, order in [(1000, "C"), (4, "C"), (4, "F")]:
        monkeypatch.setattr(optimizer, "PIECE", piece)
        p = Tensor(np.asarray(start, order=order), requires_grad=True)
        opt = cls([p], **options)
        for g in grads:
            p.grad = Tensor(g)
            opt.step()
            assert np.array_equal(p.grad.numpy(), g)  # the gradient is read, never written
        ends.append(p.numpy().tobytes("C"))
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls, options", MAIN, ids=case_id)
def test_no_nan_is_hidden_and_none_is_made(cls, options, dtype):
    p = Tensor(np.ones(4, dtype), requires_grad=True)
    opt = cls([p], **options)
    for bad in (0.0, np.nan):  # a gradient of zero is no division of zero by zero
        p.grad = Tensor(np.array([0.0, bad, 0.0, 1.0], dtype))
        opt.step()
        assert np.array_equal(np.isnan(p.numpy()), [False, np.isnan(bad), False, False])


def test_centered_rmsprop_survives_a_gradient_without_variance():
    p = Tensor(np.zeros(50, np.float32), requires_grad=True)
    opt = RMSprop([p], lr=1e-9, centered=True)
    g = np.random.default_rng(0).standard_normal(50).astype(np.float32)
    for _ in range(2000):
        p.grad = Tensor(g)
        opt.step()
    state = opt.state[p]
    assert (state["square_avg"] - state["grad_avg"] ** 2).min() < 0  # rounding made a negative variance
    assert np.isfinite(p.numpy()).all()


def test_numpy_numbers_as_options_leave_the_dtype_alone():
    p = Tensor([1.0, 2.0], requires_grad=True)
    opt = Adam([p], lr=np.float64(0.1), weight_decay=np.float64(0.1), betas=[np.float64(0.9), 0.99])
    opt.param_groups[0]["lr"] = np.float64(0.05)
    p.grad = Tensor([1.0, 1.0])
    opt.step()
    assert p.dtype == opt.state[p]["exp_avg"].dtype == opt.state[p]["exp_avg_sq"].dtype == np.float32
    group = opt.param_groups[0]
    assert [type(v) for v in (group["lr"], *group["betas"])] == [float, float, float]


# -- groups, closures, the graph ---------------------------------------------------------------------------------------


def test_groups_have_their_own_options(torch):
    values = starting_values()
    params, theirs = parameters(values), [torch.tensor(v, requires_grad=True) for v in values]

    def make(library, cls, p):
        opt = getattr(library, cls)([{"params": p[:1], "lr": 0.5}, {"params": p[1], "weight_decay": 0.0}], lr=0.01,
                                    weight_decay=0.1)
        opt.add_param_group({"params": [p[2]], "betas": (0.5, 0.6)})
        return opt

    ours, reference = make(optim, "AdamW", params), make(torch.optim, "AdamW", theirs)
    assert [g["lr"] for g in ours.param_groups] == [0.5, 0.01, 0.01]
    for t in range(50):
        advance(ours, params, [t])
        for q, g in zip(theirs, gradients([q.detach().numpy() for q in theirs], t), strict=True):
            q.grad = torch.tensor(g)
        reference.step()
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-12)


def test_parameters_without_gradient_are_left_alone():
    a, b = parameters([np.ones(2), np.ones(2)])
    opt = AdamW([a, b], weight_decay=0.5)
    a.grad = Tensor(np.ones(2))
    opt.step()
    assert np.array_equal(b.numpy(), [1.0, 1.0]) and b not in opt.state and a.numpy()[0] != 1


def test_zero_grad():
    a, b = parameters([np.ones(2), np.ones(2)])
    opt = SGD([a, b], momentum=0.9)
    a.grad = Tensor(np.ones(2))
    opt.zero_grad(set_to_none=False)
    assert np.array_equal(a.grad.numpy(), [0.0, 0.0]) and b.grad is None
    opt.zero_grad()
    assert a.grad is None


def test_a_closure_is_called_with_recording_on_and_its_loss_returned():
    w = Tensor(np.array([3.0]), requires_grad=True)
    opt = SGD([w], lr=0.25)

    def closure():
        opt.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with minidl.no_grad():
        assert opt.step(closure).item() == 9.0
    assert w.item() == 1.5
    assert opt.step() is None


@pytest.mark.parametrize("cls, options", MAIN, ids=case_id)
@pytest.mark.parametrize("use", [lambda w: w * w, lambda w: w.reshape(2, 1) @ w.reshape(1, 2), lambda w: w[:1] * w[1:]])
def test_a_step_between_forward_and_backward_is_noticed(cls, options, use):
    w = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    opt = cls([w], **options)
    loss = use(w).sum()
    loss.backward(retain_graph=True)
    opt.step()
    with pytest.raises(RuntimeError, match="was written to between forward and backward"):
        loss.backward()


def test_an_optimiser_is_its_formula():
    class SignSGD(Optimizer):
        def __init__(self, params, lr=0.01, rounding="up"):
            super().__init__(params, {"lr": lr, "rounding": rounding})

        def update(self, w, g, state, lr, **_):
            w -= lr * np.sign(g)

    w = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    w.grad = Tensor(np.array([5.0, -7.0]))
    opt = SignSGD([w], lr=0.5)
    opt.step()
    assert opt.state_dict()["param_groups"][0]["rounding"] == "up" and opt.state[w] == {"step": 1}
    assert np.array_equal(w.numpy(), [0.5, 2.5])
    with pytest.raises(NotImplementedError, match="must define update"):
        Optimizer([w], {"lr": 1.0}).step()


def test_repr():
    w, b = parameters([np.ones((30, 50)), np.ones(50)])
    text = repr(SGD([{"params": [w, b]}, {"params": minidl.ones(2, requires_grad=True), "lr": 0.5}], momentum=0.9))
    assert "group 0: 2 parameters, 1,550 values, lr=0.001, momentum=0.9" in text and "group 1: 1 parameters" in text


# -- saving ------------------------------------------------------------------------------------------------------------


def through_json(tree):
    """Plain data to JSON text and back; arrays, which JSON cannot hold, are kept aside."""
    arrays = []

    def out(x):
        if isinstance(x, np.ndarray):
            arrays.append(x)
            return {"array": len(arrays) - 1}
        if isinstance(x, dict):
            assert all(type(k) is str for k in x)
            return {k: out(v) for k, v in x.items()}
        if type(x) is list:
            return [out(v) for v in x]
        assert x is None or type(x) in (bool, int, float, str)
        return x

    def back(x):
        if isinstance(x, dict):
            return arrays[x["array"]] if set(x) == {"array"} else {k: back(v) for k, v in x.items()}
        return [back(v) for v in x] if isinstance(x, list) else x

    return back(json.loads(json.dumps(out(tree), allow_nan=False)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls, options", MAIN, ids=case_id)
def test_a_resumed_run_is_bit_identical(cls, options, dtype):
    def make(values):
        named = list(zip("abc", parameters(values), strict=True))
        return cls([{"params": named[:1], "lr": 0.02}, {"params": named[1:]}], **options), [p for _, p in named]

    opt, params = make(starting_values(dtype))
    advance(opt, params, range(10))
    opt.param_groups[1]["lr"] = 0.1 + 0.2  # what a schedule would have done
    saved, weights = opt.state_dict(), [p.numpy().copy() for p in params]
    expected = advance(opt, params, range(10, 20))

    again, twins = make(weights)
    again.load_state_dict(through_json(saved))
    assert [g["lr"] for g in again.param_groups] == [0.02, 0.1 + 0.2]
    got = advance(again, twins, range(10, 20))
    assert [a.tobytes() for a in got] == [a.tobytes() for a in expected]  # saved was a copy: opt has gone on since
    assert repr(again) == repr(opt)
    held = [a for group in saved["param_groups"] for p in group["params"] for a in p["state"].values()]
    kept = [a for state in again.state.values() for a in state.values()]
    assert not any(np.shares_memory(a, b) for a in held for b in kept if isinstance(a, np.ndarray))


def test_loading_reports_every_difference_and_changes_nothing():
    a, b, c = parameters([np.ones((2, 3)), np.ones(4), np.ones(5)])
    source = Adam([{"params": [("a", a)], "amsgrad": True}, {"params": [("b", b), ("c", c)]}], lr=0.5)
    a.grad, b.grad, c.grad = Tensor(np.ones((2, 3))), Tensor(np.ones(4)), Tensor(np.ones(5))
    source.step()
    saved = source.state_dict()
    del saved["param_groups"][0]["eps"]
    del saved["param_groups"][0]["params"][0]["state"]["max_exp_avg_sq"]
    saved["param_groups"][0]["params"][0]["state"]["exp_avg"] = np.ones((3, 2))
    saved["param_groups"].append(saved["param_groups"][1])
    x, y = parameters([np.ones((3, 2)), np.ones(4, np.float32)])
    target = AdamW([{"params": [("a", x)]}, {"params": [("bias", y)]}])
    before = target.state_dict()
    with pytest.raises(ValueError) as error:
        target.load_state_dict(saved)
    assert str(error.value).split("\n  ") == [
        "AdamW cannot load this state:",
        "it was saved by Adam, this is AdamW",
        "3 groups saved, 2 here",
        "group 0: options not saved: eps",
        "group 0, parameter 0: shape [2, 3] saved, [3, 2] here",
        "group 0, parameter 0: max_exp_avg_sq not saved",
        "group 0, parameter 0: exp_avg is float64 (3, 2), and its parameter float64 [2, 3]",
        "group 1: 2 parameters saved, 1 here",
        "group 1, parameter 0: name b saved, bias here",
        "group 1, parameter 0: dtype float64 saved, float32 here",
    ]
    assert target.state_dict() == before
    with pytest.raises(ValueError, match="options saved that are unknown here: amsgrad, betas, eps"):
        SGD([a]).load_state_dict(Adam([a]).state_dict())
    good = AdamW([("a", x), ("bias", y)]).state_dict()
    good["param_groups"][0]["betas"] = [0.9, 1.5]
    target = AdamW([x, y], lr=0.25)
    with pytest.raises(ValueError, match=r"betas\[1\] must be in \[0, 1\), not 1.5"):
        target.load_state_dict(good)
    assert target.param_groups[0]["lr"] == 0.25


@pytest.mark.parametrize("data", [{}, None, [1], {"state": {}, "param_groups": []}])
def test_foreign_data_is_refused(data):
    with pytest.raises(ValueError, match="not the state_dict.. of a minidl optimiser"):
        SGD([minidl.ones(2, requires_grad=True)]).load_state_dict(data)


# -- clipping ----------------------------------------------------------------------------------------------------------


def with_gradients(grads):
    params = parameters([np.zeros_like(g) for g in grads])
    for p, g in zip(params, grads, strict=True):
        p.grad = Tensor(g)
    return params


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("max_norm", [0.1, 1.0, 1e3, math.inf])
@pytest.mark.parametrize("norm_type", [0.5, 1, 2, 2.0, 3.7, math.inf])
def test_clip_grad_norm_is_pytorchs(torch, dtype, max_norm, norm_type):
    grads = starting_values(dtype)
    params = [*with_gradients(grads), Tensor([1.0], requires_grad=True)]  # the last has no gradient
    theirs = [torch.zeros(g.shape, dtype=getattr(torch, np.dtype(dtype).name), requires_grad=True) for g in grads]
    for q, g in zip(theirs, grads, strict=True):
        q.grad = torch.tensor(g)
    norm = clip_grad_norm_((p for p in params), max_norm, norm_type)
    reference = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    assert type(norm) is float and norm == pytest.approx(reference.item(), rel=rtol)
    if norm_type == 2:  # float32 gradients too are added up in float64
        every = np.concatenate([g.ravel() for g in grads]).astype(np.float64)
        assert norm == pytest.approx(math.sqrt(every @ every), rel=1e-14)
    for p, q in zip(params, theirs, strict=False):
        assert p.grad.dtype == dtype
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=rtol)


@pytest.mark.parametrize("dtype, size", [*zip(2 * DTYPES, (1e30, 1e300, 1e-30, 1e-300), strict=True)])
def test_the_norm_neither_overflows_nor_underflows(dtype, size):
    params = with_gradients([np.full((30, 10), 3 * size, dtype), np.full(300, 4 * size, dtype)])
    assert clip_grad_norm_(params, 1.0) == pytest.approx(5 * size * math.sqrt(300), rel=1e-6)
    assert clip_grad_norm_(params, math.inf) == pytest.approx(min(1.0, 5 * size * math.sqrt(300)), rel=2e-6)


def test_clip_norm_edges():
    assert clip_grad_norm_(parameters([np.ones(3)]), 1.0) == 0.0  # no gradient at all
    assert clip_grad_norm_(with_gradients([np.zeros((0, 3)), np.zeros(2)]), 1.0) == 0.0
    single = with_gradients([np.full(4, 1.0)])[0]
    assert clip_grad_norm_(single, 1.0) == 2.0 and single.grad.numpy() == pytest.approx(0.5, rel=1e-6)
    for bad in (np.nan, np.inf):
        p = with_gradients([np.array([bad, 1.0]), np.ones(2)])
        with pytest.raises(RuntimeError, match=f"the norm of the gradients is {bad}"):
            clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
        assert np.array_equal(p[1].grad.numpy(), [1.0, 1.0])
    p = with_gradients([np.array([np.nan, 1.0]), np.ones(2)])
    assert math.isnan(clip_grad_norm_(p, 1.0)) and np.isnan(p[1].grad.numpy()).all()


def test_clip_of_a_gradient_that_is_part_of_a_graph_is_refused():
    w = Tensor(np.array([2.0]), requires_grad=True)
    (w**3).sum().backward(create_graph=True)
    with pytest.raises(RuntimeError, match="cannot be written to"):
        clip_grad_norm_([w], 1.0)


def test_clip_grad_value():
    (p,) = with_gradients([np.array([-3.0, 0.5, np.nan, 2.0], np.float32)])
    clip_grad_value_((q for q in [p]), 1.5)
    np.testing.assert_array_equal(p.grad.numpy(), np.array([-1.5, 0.5, np.nan, 1.5], np.float32))


# -- what cannot be meant ----------------------------------------------------------------------------------------------


def leaf(*shape):
    return Tensor(np.ones(shape), requires_grad=True)


def consumed():
    generator = (p for p in [leaf(2)])
    SGD(generator)
    return generator


def twice(p):
    return [p, leaf(3), p]


class Model:
    def parameters(self):
        return [leaf(2)]


def stepped(prepare, cls=Adam):
    p = leaf(2, 3)
    p.grad = Tensor(np.ones((2, 3)))
    opt = cls([p])
    opt.step()
    prepare(p, opt)
    opt.step()


MALFORMED = {
    "no parameters": (lambda: SGD([]), ValueError, "SGD got an empty collection of parameters"),
    "a generator twice": (lambda: Adam(consumed()), ValueError, "can be walked once only: call it again"),
    "an empty group": (lambda: SGD([{"params": []}]), ValueError, "empty collection"),
    "a bare tensor": (lambda: SGD(leaf(2)), TypeError, r"such as model.parameters\(\) or \[w, b\], not Tensor float64"),
    "a model": (lambda: SGD(Model()), TypeError, r"not the module itself: pass model.parameters\(\)"),
    "a set": (lambda: SGD({leaf(2)}), TypeError, "ordered collection of parameters"),
    "a dict": (lambda: SGD({"w": leaf(2)}), TypeError, "ordered collection of parameters"),
    "a string": (lambda: SGD("weights"), TypeError, "ordered collection of parameters"),
    "None": (lambda: SGD(None), TypeError, "not NoneType"),
    "an array": (lambda: SGD([leaf(2), np.ones(2)]), TypeError, "parameter 1 must be a Tensor .* not array float64"),
    "a wrong pair": (lambda: SGD([(leaf(2), "w")]), TypeError, "parameter 0 .* must be a Tensor or a pair"),
    "some names": (lambda: SGD([("w", leaf(2)), leaf(3)]), ValueError, "name all of them or none"),
    "integers": (lambda: SGD([Tensor([1, 2])]), TypeError, r"parameter 0 is Tensor int64 \(2,\); .* use .float\(\)"),
    "a result": (lambda: SGD([("w", 2 * leaf(2))]), ValueError, r"parameter 0 \('w'\), .* is the result of an op"),
    "a duplicate": (lambda: SGD(twice(leaf(2))), ValueError, r"parameter 2, Tensor .* \(2,\), is parameter 0 again"),
    "in two groups": (lambda: SGD([{"params": p} for p in twice(leaf(2))]), ValueError, "is in group 0 already"),
    "mixed": (lambda: SGD([leaf(2), {"params": leaf(3)}]), TypeError, "groups .dicts. and bare parameters mixed"),
    "a group of nothing": (lambda: SGD([{"lr": 0.1}]), TypeError, "a group is a dict with 'params'"),
    "not a group": (lambda: SGD([leaf(2)]).add_param_group([leaf(3)]), TypeError, "a group is a dict with 'params'"),
    "a typing error": (lambda: SGD([{"params": leaf(2), "decay": 0.1}]), ValueError, "no option 'decay'; it has lr, "),
    "lr 0": (lambda: SGD([leaf(2)], lr=0), ValueError, "SGD: lr must be > 0, not 0"),
    "lr 0 in a group": (lambda: SGD([{"params": leaf(2), "lr": 0.0}]), ValueError, "SGD: lr must be > 0, not 0.0"),
    "lr negative": (lambda: Adam([leaf(2)], lr=-0.1), ValueError, "Adam: lr must be >= 0, not -0.1"),
    "lr nan": (lambda: Adam([leaf(2)], lr=math.nan), ValueError, "lr must be >= 0, not nan"),
    "lr inf": (lambda: Adam([leaf(2)], lr=math.inf), ValueError, "lr must be >= 0, not inf"),
    "lr text": (lambda: Adam([leaf(2)], lr="0.1"), TypeError, "lr must be a number >= 0, not str '0.1'"),
    "lr flag": (lambda: Adam([leaf(2)], lr=True), TypeError, "lr must be a number >= 0, not bool True"),
    "lr tensor": (lambda: Adam([leaf(2)], lr=Tensor(0.1)), TypeError, "lr must be a number >= 0, not Tensor"),
    "momentum": (lambda: SGD([leaf(2)], momentum=-1), ValueError, "momentum must be >= 0, not -1"),
    "dampening": (lambda: SGD([leaf(2)], dampening=2), ValueError, r"dampening must be in \[0, 1\], not 2"),
    "weight decay": (lambda: AdamW([leaf(2)], weight_decay=-1e-4), ValueError, "weight_decay must be >= 0, not"),
    "nesterov": (lambda: SGD([leaf(2)], nesterov=True), ValueError, "nesterov needs momentum > 0 .* momentum=0.0"),
    "damped nesterov": (
        lambda: SGD([leaf(2)], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "dampening=0.1"
    ),
    "nesterov 1": (lambda: SGD([leaf(2)], nesterov=1), TypeError, "nesterov must be True or False, not int 1"),
    "alpha": (lambda: RMSprop([leaf(2)], alpha=1.0), ValueError, r"alpha must be in \[0, 1\), not 1.0"),
    "eps": (lambda: RMSprop([leaf(2)], eps=0), ValueError, "eps must be > 0 .*zero would be divided by it.*not 0"),
    "beta": (lambda: Adam([leaf(2)], betas=(0.9, 1.0)), ValueError, r"betas\[1\] must be in \[0, 1\), not 1.0"),
    "betas": (lambda: Adam([leaf(2)], betas=0.9), TypeError, r"betas must be a pair such as .* not float 0.9"),
    "lr decay": (lambda: Adagrad([leaf(2)], lr_decay=-1), ValueError, "lr_decay must be >= 0"),
    "accumulator": (
        lambda: Adagrad([leaf(2)], initial_accumulator_value=-1), ValueError, "initial_accumulator_value must be >= 0"
    ),
    "no backward": (lambda: SGD([leaf(2)]).step(), RuntimeError, r"no parameter has a gradient. Call loss.back"),
    "a later lr": (lambda: stepped(lambda p, o: o.param_groups[0].update(lr=-1)), ValueError, "lr must be >= 0"),
    "another shape": (
        lambda: stepped(lambda p, o: setattr(p, "_array", np.ones(3))), ValueError,
        r"the gradient, float64 \(2, 3\), does not fit its parameter Tensor float64 \(3,\)",
    ),
    "another state": (
        lambda: stepped(lambda p, o: (setattr(p, "_array", np.ones(3)), setattr(p, "grad", Tensor(np.ones(3))))),
        ValueError, r"exp_avg, float64 \(2, 3\), does not fit",
    ),
    "another dtype": (
        lambda: stepped(lambda p, o: setattr(p, "grad", Tensor(np.ones((2, 3), np.float32)))), ValueError,
        "the gradient, float32 .* does not fit",
    ),
    "max_norm 0": (lambda: clip_grad_norm_([leaf(2)], 0.0), ValueError, "clip_grad_norm_: max_norm must be > 0"),
    "max_norm nan": (lambda: clip_grad_norm_([leaf(2)], math.nan), ValueError, "max_norm must be > 0, not nan"),
    "max_norm text": (lambda: clip_grad_norm_([leaf(2)], "1"), TypeError, "max_norm must be a number, not '1'"),
    "norm_type": (lambda: clip_grad_norm_([leaf(2)], 1.0, -2), ValueError, "norm_type must be > 0, not -2"),
    "clip a model": (lambda: clip_grad_norm_(Model(), 1.0), TypeError, r"pass model.parameters\(\)"),
    "clip nothing": (lambda: clip_grad_norm_([], 1.0), ValueError, "clip_grad_norm_ got an empty collection"),
    "clip twice": (lambda: clip_grad_norm_(twice(leaf(2)), 1.0), ValueError, "is parameter 0 again"),
    "clip_value": (lambda: clip_grad_value_([leaf(2)], -1), ValueError, "clip_value must be > 0, not -1"),
}


@pytest.mark.parametrize("call, error, message", MALFORMED.values(), ids=MALFORMED)
def test_malformed_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_refused_step_changes_nothing():
    a, b = parameters([np.ones(2), np.ones(2)])
    opt = SGD([a, b], lr=0.5)
    a.grad, b.grad = Tensor(np.ones(2)), Tensor(np.ones(2, np.float32))
    with pytest.raises(ValueError, match="does not fit"):
        opt.step()
    assert np.array_equal(a.numpy(), [1.0, 1.0]) and not opt.state
