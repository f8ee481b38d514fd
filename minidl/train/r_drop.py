"""R-Drop: two passes with different dropout masks shall agree."""

from __future__ import annotations

from typing import Any

from minidl.nn import functional as F
from minidl.optim.options import number

from .callbacks import Callback
from .run import Run

__all__ = ["RDrop"]


class RDrop(Callback):
    """Pass every batch through the model a second time, with other masks, and penalise what differs.

        L = L1 + L2 + alpha (KL(P1 || P2) + KL(P2 || P1)) / 2

    L1 and L2 are the losses of the two passes, P1 and P2 the softmaxes of their outputs, the logits (N, C); each term
    is the mean over the batch. These are the factors of the paper, whose L_NLL is the *sum* of the two losses; the
    authors' example takes their mean, and with alpha / 2 in it it is L / 2. `fit` computes L1, and this callback adds
    the rest: in the history "loss" is L1 and "penalty" is L2 + alpha KL. `loss` has to be the mean over the batch, as
    always in `fit`.
    alpha: how much agreement counts, >= 0; the paper chooses it by task, from below 1 up to 5 for translation.

    Both passes are ordinary ones in train mode: every dropout layer draws twice, and batch norm updates its running
    statistics twice a step, as in PyTorch where a model is called twice. A step costs about double. In a model without
    dropout both passes are equal, and L = 2 L1. The logits have their classes in axis 1; ValueError for other outputs.
    Source: Liang, Wu, Li, Wang, Meng, Qin, Chen, Zhang, Liu, "R-Drop: regularized dropout for neural networks",
    arXiv:2106.14448, 2021, equations 2 to 4.

    >>> from minidl import train
    >>> train.RDrop(alpha=0.6).alpha
    0.6
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = number("RDrop", "alpha", alpha, ">= 0", lambda x: x >= 0)

    def on_loss(self, run: Run) -> Any:
        second = run.model(*run.inputs)
        return run.loss(second, run.target) + F.symmetric_kl(run.output, second) * self.alpha
