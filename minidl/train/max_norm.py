"""The max-norm constraint, as a callback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minidl import nn
from minidl.optim.max_norm import max_norm_, project_
from minidl.optim.options import number

from .callbacks import Callback
from .penalty import Chosen, chosen, kept

if TYPE_CHECKING:
    from .run import Run

__all__ = ["MaxNorm"]


class MaxNorm(Callback):
    """After every step, project the incoming weights of each neuron onto the ball |w| <= c (see `optim.max_norm_`).

    A neuron is a row of Linear's weight, a filter of Conv2d, and of ConvTranspose2d the weights with which one output
    channel is made. Biases and norm layers are not constrained. parameters: those to constrain, a list, or a function
    of the model; None: all `nn.weights(model)` of at least two axes. Give it before callbacks that average or save the
    weights. c is typically 3 or 4 with ReLU and dropout.

    Raises ValueError for c <= 0.

    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), "Dropout", JMLR 15, section 5.1.
    """

    def __init__(self, c: float, parameters: Chosen = None) -> None:
        self.c = number("MaxNorm", "c", c, "> 0", lambda x: x > 0)
        self.parameters = kept(parameters, "MaxNorm")

    def on_batch_end(self, run: Run) -> None:
        weights = chosen(self.parameters, run.model)
        if self.parameters is None:
            weights = [w for w in weights if w.ndim > 1]
        transposed = {m.weight: m.groups for m in run.model.modules() if isinstance(m, nn.ConvTranspose2d)}
        for w in weights:
            if w not in transposed:
                max_norm_(w, self.c)
            else:  # (in, out / groups, F, F): each group of inputs makes outputs of its own
                for part in np.split(w._writable(), transposed[w]):
                    project_(part, self.c, axis=1)
