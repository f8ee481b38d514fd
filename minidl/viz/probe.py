"""Running a model to look at it, and leaving no trace: mode, buffers and random streams are put back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from .. import random
from ..engine import Tensor
from ..mode import no_grad


@contextmanager
def untouched(model, training: bool | None = None) -> Iterator[None]:
    """Inside the block the model is in the given mode (None: as it is); afterwards it is as it was before.

    Put back are the mode of every module, every buffer (running statistics), the random streams and the generators
    that layers own, also after an error. Parameters and their gradients are not written to by anything that runs in
    here. A plain function has nothing to put back but the streams.
    """
    modules = [module for _, module in model.named_modules()] if hasattr(model, "named_modules") else []
    modes = [module.training for module in modules]
    buffers = [(b, b.numpy().copy()) for _, b in model.named_buffers()] if modules else []
    own = [value.bit_generator for m in modules for value in vars(m).values() if isinstance(value, np.random.Generator)]
    states = [bits.state for bits in own]
    streams = random.get_state()
    try:
        if training is not None and modules:
            model.train(training)
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        for buffer, values in buffers:
            if not np.array_equal(buffer.numpy(), values, equal_nan=values.dtype.kind == "f"):
                buffer.copy_(values)
        for bits, state in zip(own, states, strict=True):
            bits.state = state
        random.set_state(streams)


def as_input(model, x) -> Tensor:
    """x as a new Tensor of the dtype of the model's parameters (integers stay integers)."""
    x = np.asarray(x.numpy() if isinstance(x, Tensor) else x)
    if x.dtype.kind != "f":
        return Tensor(x)
    floats = [p.dtype for p in model.parameters() if p.dtype.kind == "f"] if hasattr(model, "parameters") else []
    return Tensor(x, floats[0] if floats else None)


def run(model: Callable, x, batch: int = 512) -> np.ndarray:
    """The model's outputs for all rows of x (N, ...) in evaluation mode, without recording anything."""
    with untouched(model, training=False), no_grad():
        x = as_input(model, x).numpy()
        parts = [plain(model(Tensor(x[k : k + batch]))) for k in range(0, len(x), batch)]
    return np.concatenate(parts)


def probabilities(model: Callable, x, logits: bool = True) -> np.ndarray:
    """Class probabilities (N, K) in float64 from a classifier's outputs for x.

    Outputs (N,) or (N, 1) are of two classes, p = sigmoid(z); outputs (N, K) of K, p = softmax(z). logits: False if the
    outputs are probabilities already. Not finite where the outputs are not.
    """
    z = run(model, x).astype(np.float64)
    if z.ndim == 2 and z.shape[1] == 1:
        z = z[:, 0]
    if z.ndim not in (1, 2) or len(z) != len(x):
        raise ValueError(f"a classifier returns (N,), (N, 1) or (N, K) for {len(x)} samples; this returned {z.shape}")
    if not logits and ((z < -1e-6) | (z > 1 + 1e-6)).any():
        raise ValueError(f"logits=False is for probabilities, but the model returned {z.min():.4g} to {z.max():.4g}")
    if z.ndim == 1:
        z = np.stack([1 - z, z] if not logits else [np.zeros_like(z), z], axis=1)  # softmax (0, z) is sigmoid z
    if not logits:
        return z
    with np.errstate(invalid="ignore"):  # inf - inf: not finite, as promised
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


def labels_of(y, what: str = "labels") -> np.ndarray:
    """Class labels as integers (N,), from (N,) or (N, 1) integers or whole floats; +-1 becomes 0 and 1.

    Raises ValueError for anything else.
    """
    y = plain(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or (y.size and not (np.isfinite(y) & (y == np.round(y))).all()):
        raise ValueError(f"{what} must be whole numbers (N,), not {y.dtype} {y.shape}; use argmax on one-hot rows")
    y = y.astype(np.int64)
    if y.size and set(np.unique(y)) <= {-1, 1}:
        return (y + 1) // 2
    if y.size and y.min() < 0:
        raise ValueError(f"{what} are class numbers from 0, but the least is {y.min()}")
    return y


def plain(values) -> np.ndarray:
    """A Tensor's values, or anything else as an array."""
    return values.numpy() if isinstance(values, Tensor) else np.asarray(values)
