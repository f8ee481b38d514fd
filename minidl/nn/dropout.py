"""Dropout layers: the inverted one that everybody uses, and the original to compare."""

from __future__ import annotations

from .. import random
from ..ops.dropout import check_rate
from . import functional as F
from .module import Module


class Dropout(Module):
    """Inverted dropout: in training each element is zeroed with probability p and the others divided by 1 - p.

        out = x * m / (1 - p),  m ~ Bernoulli(1 - p)        so that E[out] = x

    In evaluation mode it is the identity and returns its input. The mask comes from `rng` (a Generator, or an integer
    seed) or the stream "dropout". p = 0 changes nothing, p = 1 gives zeros. ValueError unless 0 <= p <= 1.
    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, JMLR 2014 (section 10 for the inverted form).

    >>> import minidl
    >>> from minidl import nn
    >>> layer, x = nn.Dropout(0.5, rng=1), minidl.ones(6)
    >>> layer(x)
    tensor([0., 2., 2., 2., 0., 0.])
    >>> layer.eval()(x) is x
    True
    """

    def __init__(self, p: float = 0.5, rng: random.Rng = None) -> None:
        super().__init__()
        self.p = check_rate(type(self).__name__, p)
        self.rng = None if rng is None else random.resolve(rng, "dropout")

    def forward(self, x):
        return F.dropout(x, self.p, self.training, self.rng)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class VanillaDropout(Dropout):
    """Dropout as first published: nothing is scaled in training, everything by 1 - p at test time.

        training: out = x * m,  m ~ Bernoulli(1 - p)        evaluation: out = x * (1 - p)

    The same expectation in both modes as Dropout has, up to the factor 1 - p; but evaluation is not the identity.
    Source: Hinton, Srivastava, Krizhevsky, Sutskever, Salakhutdinov, arXiv:1207.0580, 2012.
    """

    def forward(self, x):
        return F.vanilla_dropout(x, self.p, self.training, self.rng)
