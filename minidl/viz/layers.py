"""What goes on inside a model on one batch: activations, their gradients, dead and saturated units by layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..engine import Tensor, grad
from ..mode import enable_grad, no_grad
from .probe import as_input, untouched

SATURATED = 0.05  # a unit is saturated where its slope is below this share of the activation's greatest
SLOPES = {  # slope relative to the greatest, from the activation's output
    "Tanh": lambda a: 1 - a * a,
    "Sigmoid": lambda a: 4 * a * (1 - a),
}
RECTIFIERS = ("ReLU",)
SHAPE_ONLY = ("Flatten", "Identity")


def collect_layers(model, x, y=None, loss: Callable | None = None) -> list[dict]:
    """One row for every call of an innermost module during one forward (and backward) pass over the batch x (N, ...).

    y, loss: with both, `loss(model(x), y)` is differentiated too. The model runs in the mode it is in; modes, buffers,
    gradients, random streams and hooks are afterwards what they were. Functions such as `minidl.relu`, called outside
    a module, are not seen. Each row is a dict of plain data:

    name, kind        dotted name and class; a module called again is "name (2)"
    activation        the output, an array; gradient: dloss/doutput, an array of its shape, or None
    mean, std         of the activation; gradient_std: of the gradient (NaN without one)
    finite            the share of the activation's entries that are neither NaN nor infinite
    dead              ReLU: the share of units that are zero for the whole batch; None for other modules
    saturated         Tanh, Sigmoid: the share of entries whose slope is below 5 % of the greatest; None for others

    A unit is a feature of (N, F) or (N, T, F), a channel of (N, C, H, W). Glorot, Bengio (2010), "Understanding the
    difficulty of training deep feedforward neural networks", AISTATS.
    """
    calls = _record(model, x, y, loss)
    rows, times = [], {}
    for name, kinds, output, gradient in calls:
        times[name] = times.get(name, 0) + 1
        name = name if times[name] == 1 else f"{name} ({times[name]})"
        rows.append(_describe(name, kinds, output, gradient))
    return rows


def dead_units(activation: np.ndarray) -> np.ndarray:
    """Which units of a ReLU's output are zero for the whole batch: booleans (F,) or (C,).

    >>> dead_units(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]))
    array([ True, False, False])
    """
    axis = activation.ndim - 1 if activation.ndim <= 3 else 1
    others = tuple(k for k in range(activation.ndim) if k != axis)
    return (activation == 0).all(axis=others)


def saturation(activation: np.ndarray, kind: str) -> float:
    """The share of a Tanh's or Sigmoid's outputs where the slope is below 5 % of the greatest slope.

    >>> saturation(np.array([0.0, 0.99]), "Tanh")
    0.5
    """
    if kind not in SLOPES:
        raise ValueError(f"saturation is defined here for {' and '.join(SLOPES)}, not for {kind!r}")
    return float(np.mean(SLOPES[kind](activation) < SATURATED))


def _record(model, x, y, loss) -> list[tuple]:
    """(name, class names, output array, gradient array or None) of each call of an innermost module, in order."""
    if (y is None) != (loss is None):
        raise ValueError("gradients need both y and loss: collect_layers(model, x, y, loss)")
    leaves = [(name or "model", m) for name, m in model.named_modules() if not any(True for _ in m.children())]
    calls: list[tuple] = []

    def hook(name: str) -> Callable:
        def record(module, _, output) -> None:
            if isinstance(output, Tensor):
                calls.append((name, [c.__name__ for c in type(module).__mro__], output))

        return record

    removers: list[Callable] = []
    try:
        removers += [m.register_forward_hook(hook(name)) for name, m in leaves]
        with untouched(model):
            gradients = _run(model, x, y, loss, calls)
    finally:
        for remove in removers:
            remove()
    return [(name, kinds, out.numpy(), g) for (name, kinds, out), g in zip(calls, gradients, strict=True)]


def _run(model, x, y, loss, calls: list) -> list[np.ndarray | None]:
    """The forward pass, which fills `calls`, and the gradients of the loss with respect to each output."""
    x = as_input(model, x)
    if loss is None:
        with no_grad():
            model(x)
        return [None] * len(calls)
    x.requires_grad = x.dtype.kind == "f"  # then frozen layers have gradients to look at, too
    with enable_grad():
        value = loss(model(x), y if isinstance(y, Tensor) else Tensor(y))
        live = {id(out): out for _, _, out in calls if out.requires_grad}
        found = dict(zip(live, grad(value, list(live.values()), allow_unused=True), strict=True))
    return [None if (g := found.get(id(out))) is None else g.numpy() for _, _, out in calls]


def _describe(name: str, kinds: list[str], output: np.ndarray, gradient: np.ndarray | None) -> dict:
    kind = next((k for k in kinds if k in (*SLOPES, *RECTIFIERS)), kinds[0])
    exact = output.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return {
            "name": name,
            "kind": kinds[0],
            "activation": output,
            "gradient": gradient,
            "mean": float(exact.mean()) if exact.size else np.nan,
            "std": float(exact.std()) if exact.size else np.nan,
            "gradient_std": np.nan if gradient is None else float(gradient.astype(np.float64).std()),
            "finite": float(np.isfinite(exact).mean()) if exact.size else 1.0,
            "dead": float(dead_units(output).mean()) if kind in RECTIFIERS else None,
            "saturated": saturation(output, kind) if kind in SLOPES else None,
        }
