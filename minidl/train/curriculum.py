"""Curriculum dropout: training begins without dropout and gets harder step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from minidl.arrays import describe
from minidl.nn import Module
from minidl.nn.dropout import Drop
from minidl.optim.options import number

from .callbacks import Callback
from .run import Run

__all__ = ["CurriculumDropout"]


class CurriculumDropout(Callback):
    """Let the rate of dropout rise from 0 to the layer's own p, as a function of the number t of steps taken.

        theta(t) = (1 - theta_bar) exp(-gamma t) + theta_bar,       p(t) = 1 - theta(t) = p (1 - exp(-gamma t))

    theta is the probability of being kept, theta_bar = 1 - p its value at the end. layers: a model, or the layers;
    None: all of the dropout family (everything with a rate: Dropout, Dropout2d, DropBlock2d, DropConnect, Mixout,
    DropPath, LayerDrop, ...) in the model that is trained. gamma: None for the paper's 10 / T, T the number of steps in
    all, with which p(T) = 0.99995 p.
    However a run ends, the layers have their own p again. A resumed run goes on with the curve it began, even if it has
    more epochs now. Give it before `SWA`, whose last pass is then made with the layers' own p.
    Raises ValueError for a gamma that is not positive, where there is no such layer, or if T is unknown because the
    data has no length.
    Source: Morerio, Cavazza, Volpi, Vidal, Murino, "Curriculum dropout", arXiv:1703.06229, 2017.

    >>> import numpy as np
    >>> from minidl import nn, optim, train
    >>> model, rates = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), []
    >>> note = train.Callback(on_loss=lambda run: rates.append(round(model[1].p, 3)))
    >>> _ = train.fit(model, (np.ones((4, 2), np.float32), np.zeros((4, 2), np.float32)), loss=nn.MSELoss(), epochs=3,
    ...               optimizer=optim.SGD(model.parameters(), lr=0.1), batch_size=2, progress=False,
    ...               callbacks=[train.CurriculumDropout(gamma=0.5), note])
    >>> rates, model[1].p
    ([0.0, 0.197, 0.316, 0.388, 0.432, 0.459], 0.5)
    """

    def __init__(self, layers: Module | Iterable[Module] | None = None, gamma: float | None = None) -> None:
        self.layers = layers if layers is None or isinstance(layers, Module) else tuple(layers)
        for layer in self.layers if isinstance(self.layers, tuple) else ():
            if not isinstance(getattr(layer, "p", None), float):
                raise TypeError(f"CurriculumDropout: {describe(layer)} is no dropout layer; give layers that have a "
                                "rate p, or a model in which they are")
        if gamma is not None:
            gamma = number("CurriculumDropout", "gamma", gamma, "> 0", lambda x: x > 0)
        self.given_gamma, self.t = gamma, 0
        self.final: list[tuple[Any, float]] = []  # the layers with their own rates, while a run lasts

    def on_fit_start(self, run: Run) -> None:
        layers = self.layers
        if not isinstance(layers, tuple):
            layers = [m for m in (run.model if layers is None else layers).modules() if isinstance(m, Drop)]
        if not layers:
            raise ValueError("CurriculumDropout: there is no dropout layer whose rate could rise; add nn.Dropout(p)")
        self.final, self.t = [(layer, layer.p) for layer in layers], 0
        self.gamma = self.given_gamma or 10.0 / max(1, run.epochs * _steps(run.data))

    def on_epoch_start(self, run: Run) -> None:
        self._set_rates()

    def on_batch_end(self, run: Run) -> None:
        self.t += 1
        self._set_rates()

    def on_fit_end(self, run: Run) -> None:
        for layer, p in self.final:
            layer.p = p
        self.final = []

    on_error = on_fit_end

    def _set_rates(self) -> None:
        risen = -math.expm1(-self.gamma * self.t)
        for layer, p in self.final:
            layer.p = p * risen

    def state_dict(self) -> dict[str, Any]:
        return {"t": self.t, "gamma": self.gamma, "final": [p for _, p in self.final]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if len(state["final"]) != len(self.final):
            raise ValueError(f"CurriculumDropout: {len(state['final'])} layers saved, {len(self.final)} here")
        self.t, self.gamma = state["t"], state["gamma"]
        self.final = [(layer, p) for (layer, _), p in zip(self.final, state["final"], strict=True)]


def _steps(data: Iterable) -> int:
    """How many batches an epoch has."""
    try:
        return len(data)
    except TypeError:
        raise ValueError(f"CurriculumDropout: how many batches {describe(data)} gives is unknown, and with it the "
                         "paper's gamma = 10 / steps; give gamma") from None
