"""AugMix's consistency: an image and its augmentations shall get the same prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import random
from minidl.data import Transform
from minidl.data.transforms import apply, checked
from minidl.engine import Tensor
from minidl.nn import functional as F
from minidl.optim.options import number

from .callbacks import Callback
from .run import Run

__all__ = ["AugMixConsistency"]


class AugMixConsistency(Callback):
    """Penalise predictions that change when the images are augmented, by their Jensen-Shannon divergence.

        L = L(p, y) + weight JS,    JS = (KL(p || M) + KL(p1 || M) + KL(p2 || M)) / 3,    M = (p + p1 + p2) / 3

    p, p1, p2 are the softmaxes of the model's outputs, logits (N, K), for the batch and for two augmented copies of it;
    JS is the mean over the batch. `fit` computes L(p, y), on the batch as it is, and this callback adds the second
    term; in the history they are "loss" and "penalty". augment: a transform (x, y, rng) -> (x, y) of the model's first
    input, such as `augment.AugMix()`; any other will do. It gets copies. weight: 12 is the paper's.
    The draws come from the stream "augment", which a checkpoint contains: a resumed run ends with the same bits.

    AugMix takes images from 0 to 1, and here it gets what the model gets. So let the model standardise its inputs by
    itself, in its first layer (a BatchNorm2d(channels, affine=False) will do); or give
    `augment=Compose([undo, AugMix(), Normalize(mean, std)])` with undo = Normalize(-mean / std, 1 / std).

    A step costs about three times as much. Both copies go through the model as one batch of 2N. Batch norm uses that
    batch's own statistics, but its running statistics stay those of the batches proper, on which it will be measured.

    Hendrycks, Mu, Cubuk, Zoph, Gilmer, Lakshminarayanan (2020), "AugMix: A Simple Data Processing Method to Improve
    Robustness and Uncertainty", ICLR, arXiv:1912.02781, equations 1 and 2.
    """

    def __init__(self, augment: Transform, weight: float = 12.0) -> None:
        self.augment = checked(augment)
        self.weight = number("AugMixConsistency", "weight", weight, ">= 0", lambda x: x >= 0)

    def on_loss(self, run: Run) -> Any:
        images, *others = (np.concatenate([t.numpy(), t.numpy()]) for t in run.inputs)
        images, _ = apply(self.augment, images, None, random.generator("augment"))
        buffers = [(buffer, buffer._array.copy()) for buffer in run.model.buffers()]
        try:
            both = run.model(Tensor(images), *map(Tensor, others))
        finally:
            for buffer, before in buffers:
                buffer._writable()[...] = before
        n = len(both) // 2
        return F.js_divergence(run.output, both[:n], both[n:]) * self.weight
