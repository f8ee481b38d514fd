"""The update rules of the optimisers, their gate: weight decay and update in one pass over the memory.

The NumPy twins are the methods `decay` and `update` of the optimisers in minidl/optim: they define what is computed.
They make several passes, piece by piece in the cache, and serve small arrays, and large ones where there is no numba.

All arrays have one shape and one float type, float32 or float64. w and what the rule remembers are C-contiguous and
change in place; the gradient g may have any layout and is only read. The rules work element by element, so neither
the number of threads nor the way the work is shared changes a bit. NaN and infinity are kept, without a warning.
"""

from __future__ import annotations

import numpy as np

from .backend import FLOATS, backend, body, check_shape, ready

LARGE = 32768  # from so many elements on, a compiled rule is worth the import of numba
Array = np.ndarray


def compiles(w: Array, remembered: list[Array]) -> bool:
    """Can the compiled rules serve these arrays? They are contiguous, float32 or float64, and numba is in use."""
    if w.dtype not in FLOATS or not all(a.flags.carray for a in (w, *remembered)):
        return False
    if backend() == "numba":
        try:
            body("update")
        except ModuleNotFoundError:  # numba is there but does not load, which `backend` has learnt just now
            if backend() == "numba":
                raise
    return backend() == "numba"


def sgd_update(
    w: Array, g: Array, v: Array | None, lr: float, momentum: float, dampening: float, weight_decay: float,
    nesterov: bool, maximize: bool,
) -> None:  # fmt: skip
    """Gradient descent with momentum; v is None without momentum.

        d = g + weight_decay w           (-g instead of g if `maximize`; so in all rules)
        v <- momentum v + (1 - dampening) d
        w <- w - lr v                    or, nesterov, w - lr (d + momentum v)

    Raises TypeError and ValueError where the arrays do not fit. Reference: Sutskever et al., "On the importance of
    initialization and momentum in deep learning", 2013.
    """
    w, g, v = _flat("sgd_update", w, g, v)
    body("update").sgd(w, g, v, (lr, momentum, 1 - dampening, weight_decay), nesterov, maximize)


def adam_update(
    w: Array, g: Array, m: Array, v: Array, top: Array | None, step: int, lr: float, betas: tuple[float, float],
    eps: float, weight_decay: float, decoupled: bool, maximize: bool,
) -> None:  # fmt: skip
    """Adam's step number `step`, counted from 1; `top`, the largest v so far, is None without amsgrad.

        d = g + weight_decay w           or, decoupled, d = g and w <- (1 - lr weight_decay) w
        m <- beta1 m + (1 - beta1) d,    v <- beta2 v + (1 - beta2) d^2,    top <- max(top, v)
        w <- w - lr m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps)      (amsgrad: top instead of v)

    Raises TypeError and ValueError where the arrays do not fit. Reference: Kingma and Ba, "Adam: a method for
    stochastic optimization", 2015; Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """
    w, g, m, v, top = _flat("adam_update", w, g, m, v, top)
    beta1, beta2 = betas
    numbers = lr / (1 - beta1**step), 1 - beta1, beta2, 1 - beta2, 1 / (1 - beta2**step), eps
    decays = (0.0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    body("update").adam(w, g, m, v, top, (*numbers, *decays), maximize)


def rmsprop_update(
    w: Array, g: Array, s: Array, m: Array | None, v: Array | None, lr: float, alpha: float, eps: float,
    momentum: float, weight_decay: float, maximize: bool,
) -> None:  # fmt: skip
    """RMSprop; m is None unless centered, v is None without momentum.

        d = g + weight_decay w,          s <- alpha s + (1 - alpha) d^2,    m <- alpha m + (1 - alpha) d
        d <- d / (sqrt(s) + eps)         or, centered, d / (sqrt(max(s - m^2, 0)) + eps)
        v <- momentum v + d              w <- w - lr v, or w - lr d without momentum

    Raises TypeError and ValueError where the arrays do not fit. Reference: Tieleman and Hinton, "Neural networks for
    machine learning", lecture 6.5, 2012.
    """
    w, g, s, m, v = _flat("rmsprop_update", w, g, s, m, v)
    body("update").rmsprop(w, g, s, m, v, (lr, alpha, 1 - alpha, eps, momentum, weight_decay), maximize)


def adagrad_update(
    w: Array, g: Array, s: Array, lr: float, eps: float, weight_decay: float, maximize: bool
) -> None:
    """Adagrad.

        d = g + weight_decay w,          s <- s + d^2,          w <- w - lr d / (sqrt(s) + eps)

    Raises TypeError and ValueError where the arrays do not fit. Reference: Duchi, Hazan and Singer, "Adaptive
    subgradient methods for online learning and stochastic optimization", 2011.
    """
    w, g, s = _flat("adagrad_update", w, g, s)
    body("update").adagrad(w, g, s, (lr, eps, weight_decay), maximize)


def _flat(who: str, w: Array, g: Array, *remembered: Array | None) -> list[Array]:
    """All arrays along one axis: those that change as they are, the gradient read-only; empty ones in place of None."""
    arrays = [w, *(a for a in remembered if a is not None)]
    (g,) = ready(who, g=g)
    check_shape(who, "g", g, w.shape, "the parameters")
    for a in arrays:
        check_shape(who, "an array that it remembers", a, w.shape, "the parameters")
        if a.dtype != g.dtype:
            raise TypeError(f"{who} needs one float type for all arrays; got {g.dtype} and {a.dtype}; use astype")
        if not a.flags.carray:
            raise ValueError(f"{who} changes its arrays in place: they must be C-contiguous, aligned and writable")
    empty = np.empty(0, w.dtype)
    return [w.reshape(-1), g.reshape(-1), *(empty if a is None else a.reshape(-1) for a in remembered)]
