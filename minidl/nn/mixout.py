"""Mixout: dropout towards the weights one started from."""

from __future__ import annotations

from .. import random
from ..engine import Tensor
from . import functional as F
from .drop_connect import WeightDrop
from .module import Module
from .parameter import Parameter
from .regularize import weights


class Mixout(WeightDrop):
    """For fine-tuning: in training the weights of some inputs go back to the anchor u, and the mean is put right.

        out = layer(x; (m u + (1 - m) w - p u) / (1 - p)),  m ~ Bernoulli(p)        so that the mean weight is w

    layer: a layer or model with its pretrained weights; u are copies of `nn.weights(layer)` as they are now, kept as
    the buffers anchor0, anchor1, ... and saved with the weights. All weights of one input (axis 1 of w) share a draw,
    anew for each batch, from `rng` or the stream "dropout". In evaluation mode, and for p = 0, it is the layer itself;
    p = 1 is the layer with the anchor, and weights without a gradient. The noise is the greater the farther w is from
    u, which holds it there: a penalty on |w - u|^2 that adapts. The paper takes p of 0.7 to 0.9.
    ValueError unless 0 <= p <= 1 and there are weights.
    Source: Lee, Cho, Kang, "Mixout: effective regularization to finetune large-scale pretrained language models",
    arXiv:1909.11299, 2020.

    >>> import minidl
    >>> from minidl import nn
    >>> inner, x = nn.Linear(4, 1, bias=False), minidl.ones(1, 4)
    >>> _ = inner.weight.fill_(1.0)
    >>> layer = nn.Mixout(inner, p=1.0)
    >>> _ = inner.weight.fill_(9.0)  # training takes it far from the anchor
    >>> layer(x).item(), layer.eval()(x).item()
    (4.0, 36.0)
    """

    def __init__(self, layer: Module, p: float = 0.7, rng: random.Rng = None) -> None:
        super().__init__(layer, p, rng)
        self.anchored = tuple(weights(layer))  # whose anchors these are
        for k, w in enumerate(self.anchored):
            self.register_buffer(f"anchor{k}", w.detach().clone())

    def noisy(self, k: int, w: Parameter) -> Tensor:
        if k >= len(self.anchored) or w is not self.anchored[k]:
            raise ValueError("Mixout: the layer's weights are not those it had when it was wrapped; change the layer "
                             "first, then wrap it, so that each weight has its own anchor")
        return F.mixout(w, getattr(self, f"anchor{k}"), self.p, True, self.rng)
