"""DropBlock: dropout for images, in blocks."""

from __future__ import annotations

from .. import random
from ..ops.dropout import check_block_size
from . import functional as F
from .dropout import Drop


class DropBlock2d(Drop):
    """In training squares of neighbouring pixels are zeroed together, in each channel its own, and the rest scaled up.

        gamma = p / b^2 * (H W) / ((H - b + 1) (W - b + 1)),    seed ~ Bernoulli(gamma) where a block fits inside
        M = 0 in the block of every seed, 1 elsewhere;          out = x * M * count(M) / count_ones(M)

    x (N, C, H, W) keeps shape and dtype. p: about the share of pixels that is dropped (1 - keep_prob of the paper),
    b = block_size: the side of a block, cut to that of the image. In evaluation mode, and for p = 0, it returns its
    input. The mask comes from `rng` or the stream "dropout"; `F.drop_block` says more. The paper lets p rise during
    training: `train.CurriculumDropout` does. ValueError unless 0 <= p <= 1, block_size >= 1, x has four axes.
    Source: Ghiasi, Lin, Le, "DropBlock: a regularization method for convolutional networks", arXiv:1810.12890, 2018.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.DropBlock2d(0.5, block_size=2, rng=2)(minidl.ones(1, 1, 3, 5))[0, 0]
    tensor([[1.875, 1.875, 0.   , 0.   , 1.875],
            [1.875, 1.875, 0.   , 0.   , 0.   ],
            [1.875, 1.875, 1.875, 0.   , 0.   ]])
    """

    def __init__(self, p: float = 0.1, block_size: int = 7, rng: random.Rng = None) -> None:
        super().__init__(p, rng)
        self.block_size = check_block_size(type(self).__name__, block_size)

    def forward(self, x):
        return F.drop_block(x, self.p, self.block_size, self.training, self.rng)

    def extra_repr(self) -> str:
        return f"p={self.p}, block_size={self.block_size}"
