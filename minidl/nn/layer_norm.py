"""Layer normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from . import functional as F
from .linear import positive
from .norm import Norm
from .parameter import Parameter, check_dtype


class LayerNorm(Norm):
    """Layer normalisation: each sample by itself, over its last axes, then a scale and a bias for each place.

        y = weight (x - mean) / sqrt(var + eps) + bias

    x (..., *normalized_shape) -> the same; an integer D stands for the shape (D,). mean and var (divisor M, the number
    of values) are over all axes of normalized_shape; weight (ones at first) and bias (zeros) have that shape. Training
    and evaluation are alike, and a batch of one will do. elementwise_affine=False: no weight and no bias.
    State: weight, bias. The input must have their dtype (TypeError); ValueError for a shape that does not fit.
    Source: Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450, 2016.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.LayerNorm(3)(minidl.tensor([[1.0, 2.0, 3.0]]))
    tensor([[-1.2247,  0.    ,  1.2247]], from=group_norm)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype=np.float32,
    ) -> None:
        super().__init__()
        if not isinstance(normalized_shape, int | np.integer | Sequence):
            raise TypeError(f"LayerNorm: normalized_shape is an integer or several, not {normalized_shape!r}")
        sizes = [normalized_shape] if isinstance(normalized_shape, int | np.integer) else list(normalized_shape)
        self.normalized_shape = tuple(positive("normalized_shape", n) for n in sizes)
        if math.prod(self.normalized_shape) < 2:
            raise ValueError(f"normalized_shape must hold two or more values, not {self.normalized_shape}")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, dtype)) if elementwise_affine and bias else None

    def forward(self, x):
        if self.weight is not None:
            check_dtype(self, x, self.weight)
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
