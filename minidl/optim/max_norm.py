"""The max-norm constraint: no neuron's weights grow beyond a ball."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..arrays import describe
from ..engine import Tensor
from .options import number
from .parameters import collect


def max_norm_(parameters: Iterable[Tensor] | Tensor, c: float, axis: int = 0) -> int:
    """Project the incoming weights of each neuron onto the ball of radius c, in place. Returns how many were outside.

        w <- w min(1, c / |w|)          for the weight vector w of every neuron

    axis: the axis that counts neurons, and |w| goes over all others. 0 is right for Linear (out, in), Conv2d (out, in,
    F, F) and an embedding (row, dim); 1 for ConvTranspose2d (in, out, F, F) with groups=1 (`train.MaxNorm` knows).
    A vector inside the ball keeps its bits, and so does one on its surface up to rounding (2 eps of the dtype): doing
    it twice is doing it once. Norms are computed in float64 and do not overflow. A vector with NaN or infinity stays
    as it is, so that it is seen.

    Raises ValueError for c <= 0 and for parameters of fewer than two axes, such as biases.

    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), "Dropout", JMLR 15, section 5.1; Hinton et al.
    (2012), "Improving neural networks by preventing co-adaptation of feature detectors", arXiv:1207.0580.

    >>> import minidl
    >>> w = minidl.tensor([[3.0, 4.0], [0.3, 0.4]], requires_grad=True)
    >>> max_norm_([w], c=1.0)
    1
    >>> w.data
    array([[0.6, 0.8],
           [0.3, 0.4]], dtype=float32)
    """
    c = number("max_norm_", "c", c, "> 0", lambda x: x > 0)
    params = collect([parameters] if isinstance(parameters, Tensor) else parameters, "max_norm_")
    for p in params:
        if p.ndim < 2:
            raise ValueError(f"max_norm_: {describe(p)} has no weight vectors, it takes parameters of at least two "
                             "axes; leave biases out: nn.weights(model)")
        if not -p.ndim <= axis < p.ndim:
            raise ValueError(f"max_norm_: axis {axis} does not exist in {describe(p)}")
    return sum(project_(p._writable(), c, axis) for p in params)


def project_(w: np.ndarray, c: float, axis: int) -> int:
    """The projection, for an array."""
    others = tuple(k for k in range(w.ndim) if k != axis % w.ndim)
    norm, rounding = _norms(w, others), 2 * float(np.finfo(w.dtype).eps) + 1e-14
    outside = norm > c * (1 + rounding)  # not so for NaN
    if outside.any():
        np.multiply(w, np.divide(c, norm, out=np.ones_like(norm), where=outside), out=w, casting="same_kind")
    return int(outside.sum())


def _norms(w: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Euclidean norms over these axes, which stay with length 1, in float64; NaN where a vector is not finite.

    Where squares overflow, the largest element is divided out.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        norm = np.sqrt(np.square(w, dtype=np.float64).sum(axis=axes, keepdims=True))
        if np.isinf(norm).any():
            peak = np.abs(w).max(axis=axes, keepdims=True, initial=0.0)
            scaled = peak * np.sqrt(np.square(w / np.where(peak > 0, peak, 1)).sum(axis=axes, keepdims=True))
            norm = np.where(np.isinf(norm), scaled, norm)
    return norm
