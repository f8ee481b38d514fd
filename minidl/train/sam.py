"""Sharpness-aware minimisation: descend by the gradient of the worst place nearby."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minidl.optim.clip import global_norm
from minidl.optim.options import number

from .callbacks import Callback
from .draws import remember_draws

if TYPE_CHECKING:
    from .run import Run

__all__ = ["SAM"]


class SAM(Callback):
    """Step by the gradient at w + e, where the loss is about the largest within a ball of radius rho around w.

        e = rho g / |g|,                     g = dL/dw          SAM
        e = rho T^2 g / |T g|,               T = |w| + eta      adaptive=True, ASAM: the ball is |e / T| <= rho
        w <- step(w, dL/dw at w + e)

    so that minima with steep walls nearby are left for flat ones. |g| is the norm of all gradients of the optimiser's
    parameters together. One batch costs two forward and two backward passes. rho: 0.05 is Foret's choice; ASAM wants
    more, 0.5 to 2. eta: keeps weights at 0 movable.

    Both passes are of the same function, as in the authors' code: the same samples, the same dropout masks (random
    streams and the modules' own generators go back for the second pass), penalties of `on_loss` in both. Loss, metrics
    and output that are reported are those of the first pass, at w. Buffers too are what the first pass left, so that
    batch norm's running statistics see each batch once and never at w + e. w is put back bit for bit. What other
    `on_gradient` callbacks do to the gradient must be done after: give SAM first; `fit(clip=)` comes last by itself.

    Where g is zero or not finite there is no direction to climb: the step is that of g itself. Parameters without
    a gradient stay where they are. Raises ValueError for rho <= 0 or eta < 0.

    Foret, Kleiner, Mobahi, Neyshabur (2021), "Sharpness-aware minimization for efficiently improving generalization",
    ICLR, arXiv:2010.01412; Kwon, Kim, Park, Choi (2021), "ASAM", ICML, arXiv:2102.11600.
    """

    def __init__(self, rho: float = 0.05, adaptive: bool = False, eta: float = 0.01) -> None:
        self.rho = number("SAM", "rho", rho, "> 0", lambda x: x > 0)
        self.eta = number("SAM", "eta", eta, ">= 0", lambda x: x >= 0)
        if not isinstance(adaptive, bool):
            raise TypeError(f"SAM: adaptive must be True or False, not {adaptive!r}")
        self.adaptive = adaptive

    def on_batch_start(self, run: Run) -> None:
        self.rewind = remember_draws(run.model)  # where both forward passes begin

    def on_gradient(self, run: Run) -> None:
        params = [p for group in run.optimizer.param_groups for p in group["params"] if p.grad is not None]
        steps = self.ascent([p._array for p in params], [p.grad._array for p in params])
        if steps is None:
            return
        weights = [p._array.copy() for p in params]
        buffers = [(buffer, buffer._array.copy()) for buffer in run.model.buffers()]
        first, wind = (run.output, run.values), remember_draws(run.model)
        try:
            for p, e in zip(params, steps, strict=True):
                w = p._writable()
                w += e
            self.rewind()
            run.gradient()
        finally:
            for tensor, before in (*zip(params, weights, strict=True), *buffers):
                tensor._writable()[...] = before
            run.output, run.values = first
            wind()

    def ascent(self, weights: list[np.ndarray], gradients: list[np.ndarray]) -> list[np.ndarray] | None:
        """The steps e from the weights w, given the gradients g there; None where there is no direction."""
        scales = [np.abs(w) + self.eta for w in weights] if self.adaptive else [1.0] * len(weights)
        scaled = [t * g for t, g in zip(scales, gradients, strict=True)]
        norm = global_norm(scaled, 2.0)
        if not 0 < norm < math.inf:
            return None
        shrink = np.float64(self.rho / norm)  # in float64, as it may be out of float32's range
        return [t * (g * shrink).astype(g.dtype) for t, g in zip(scales, scaled, strict=True)]

