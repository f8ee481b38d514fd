"""Dropout layers: the inverted one that everybody uses, the original to compare, and that of whole channels."""

from __future__ import annotations

from .. import random
from ..ops.dropout import check_rate
from . import functional as F
from .module import Module


class Drop(Module):
    """Base of the dropout family: something is dropped at the rate `p`, in training only, drawn from `rng`.

    p may be changed at any time: `train.CurriculumDropout` does.
    """

    def __init__(self, p: float, rng: random.Rng = None) -> None:
        super().__init__()
        self.p = check_rate(type(self).__name__, p)
        self.rng = None if rng is None else random.resolve(rng, "dropout")

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(Drop):
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
        super().__init__(p, rng)

    def forward(self, x):
        return F.dropout(x, self.p, self.training, self.rng)


class VanillaDropout(Dropout):
    """Dropout as first published: nothing is scaled in training, everything by 1 - p at test time.

        training: out = x * m,  m ~ Bernoulli(1 - p)        evaluation: out = x * (1 - p)

    The same expectation in both modes as Dropout has, up to the factor 1 - p; but evaluation is not the identity.
    Source: Hinton, Srivastava, Krizhevsky, Sutskever, Salakhutdinov, arXiv:1207.0580, 2012.
    """

    def forward(self, x):
        return F.vanilla_dropout(x, self.p, self.training, self.rng)


class Dropout1d(Drop):
    """Channel dropout of sequences (N, C, L): whole rows x[n, c] are zeroed; everything else is as in Dropout2d.

    Source: Tompson, Goroshin, Jain, LeCun, Bregler, arXiv:1411.4280, 2015.
    """

    def __init__(self, p: float = 0.5, rng: random.Rng = None) -> None:
        super().__init__(p, rng)

    def forward(self, x):
        return F.dropout1d(x, self.p, self.training, self.rng)


class Dropout2d(Drop):
    """Spatial dropout of images: in training whole channels are zeroed with probability p, the others scaled.

        out[n, c] = x[n, c] * m[n, c] / (1 - p),  m ~ Bernoulli(1 - p)        so that E[out] = x

    x (N, C, H, W) keeps shape and dtype. In evaluation mode, and for p = 0, it returns its input. The mask comes from
    `rng` or the stream "dropout". ValueError unless 0 <= p <= 1 and x has four axes.
    Source: Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization using convolutional networks",
    arXiv:1411.4280, 2015, section 3.2.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.Dropout2d(0.5, rng=1)(minidl.ones(1, 4, 2, 2)).sum(axis=(2, 3))
    tensor([[0., 8., 8., 8.]])
    """

    def __init__(self, p: float = 0.5, rng: random.Rng = None) -> None:
        super().__init__(p, rng)

    def forward(self, x):
        return F.dropout2d(x, self.p, self.training, self.rng)
