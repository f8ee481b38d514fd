"""Stochastic depth: branches or whole layers are left out at random, so that a deep network trains as a shallow one.

    drop = nn.linear_depth(0.2, len(blocks))        rates that grow with depth
    h = h + nn.DropPath(drop[k])(body(h))           per sample, rescaled: what `nn.Residual(drop_path=...)` does
    h = nn.LayerDrop(block, 0.2)(h)                 the whole layer, for the whole batch
"""

from __future__ import annotations

import numpy as np

from .. import random
from ..arrays import describe, shape_of
from ..ops.dropout import check_rate
from . import functional as F
from .dropout import Drop
from .module import Module


class DropPath(Drop):
    """Stochastic depth: put behind a residual branch f, it lets each sample go through f or past it.

        h + f(h) * m / (1 - p),  m ~ Bernoulli(1 - p) for each sample       so that E[out] = h + f(h)

    x (N, ...), the branch, keeps shape and dtype. In evaluation mode, and for p = 0, it returns its input. The draws
    come from `rng` (a Generator, or an integer seed) or the stream "dropout". ValueError unless 0 <= p <= 1.
    `linear_depth` gives the rates of the paper.
    Source: Huang, Sun, Liu, Sedra, Weinberger, "Deep networks with stochastic depth", arXiv:1603.09382, 2016; Larsson,
    Maire, Shakhnarovich, "FractalNet", arXiv:1605.07648, 2016 (drop-path).

    >>> import minidl
    >>> from minidl import nn
    >>> nn.DropPath(0.5, rng=1)(minidl.ones(4, 2)).sum(axis=1)
    tensor([0., 4., 4., 4.])
    """

    def __init__(self, p: float = 0.0, rng: random.Rng = None) -> None:
        super().__init__(p, rng)

    def forward(self, x):
        return F.drop_path(x, self.p, self.training, self.rng)


def linear_depth(p_last: float, blocks: int) -> list[float]:
    """The linear rule: block l of L is dropped with probability p_l = l / L * p_last, l = 1 ... L.

    Early blocks make what all later ones build on, so they are kept more often. The paper's survival probability of the
    last block is 0.5. Raises ValueError unless 0 <= p_last <= 1 and blocks is an integer >= 0.
    Source: Huang et al., arXiv:1603.09382, 2016, equation 4.

    >>> from minidl import nn
    >>> nn.linear_depth(0.5, 4)
    [0.125, 0.25, 0.375, 0.5]
    """
    p_last = check_rate("linear_depth", p_last)
    if not isinstance(blocks, int | np.integer) or isinstance(blocks, bool) or blocks < 0:
        raise ValueError(f"linear_depth: blocks is how many there are, an integer >= 0, not {blocks!r}")
    return [block / blocks * p_last for block in range(1, int(blocks) + 1)]


class LayerDrop(Drop):
    """In training a whole layer is skipped with probability p, for the whole batch; else it works as it is.

        training: out = x with probability p, else layer(x)         evaluation: out = layer(x)

    Nothing is rescaled, as published: the layer is residual inside, a transformer block for instance, so E[out] lies
    between x and layer(x), and a trained stack can be pruned, layer by layer, without training again. One draw a call,
    from `rng` or the stream "dropout". A skipped layer gets no gradient (`grad` stays None) and leaves its running
    statistics alone. Raises ValueError unless 0 <= p <= 1, and where the layer changes the shape of its input.
    Source: Fan, Grave, Joulin, "Reducing transformer depth on demand with structured dropout", arXiv:1909.11556, 2020.

    >>> import minidl
    >>> from minidl import nn
    >>> x, layer = minidl.ones(1, 3), nn.LayerDrop(nn.Linear(3, 3), p=1.0)
    >>> layer(x) is x, layer.eval()(x) is x
    (True, False)
    """

    def __init__(self, layer: Module, p: float = 0.2, rng: random.Rng = None) -> None:
        super().__init__(p, rng)
        self.add_module("layer", layer)

    def forward(self, x):
        if self.training and self.p and random.resolve(self.rng, "dropout").random() < self.p:
            return x
        out = self.layer(x)
        if shape_of(out) != shape_of(x):
            raise ValueError(
                f"LayerDrop: {type(self.layer).__name__} makes {describe(out)} of {describe(x)}; where a layer changes "
                "the shape it cannot be skipped"
            )
        return out
