"""The affine layer."""

from __future__ import annotations

import numpy as np

from .. import random
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter, check_dtype


class Linear(Module):
    """The affine map of the notes, scale and then offset: y = x @ weight.T + bias.

    x (..., in_features) -> (..., out_features); weight (out_features, in_features), bias (out_features).
    Both start as U(-1/sqrt(in_features), 1/sqrt(in_features)), as in PyTorch, drawn from `rng` or the stream "init".
    dtype: of the parameters, and the input must have it too (TypeError).
    Source: LeCun, Bottou, Orr, Mueller, "Efficient BackProp", 1998 (the scale of the weights).

    >>> import minidl
    >>> from minidl import nn
    >>> nn.Linear(3, 2)(minidl.zeros(5, 3)).shape
    (5, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype=np.float32, rng: random.Rng = None
    ) -> None:
        super().__init__()
        self.in_features = positive("in_features", in_features)
        self.out_features = positive("out_features", out_features)
        self.weight = Parameter(np.empty((out_features, in_features), dtype))
        self.bias = Parameter(np.empty(out_features, dtype)) if bias else None
        init.reset_(self.weight, self.bias, rng)

    def forward(self, x):
        check_dtype(self, x, self.weight)
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def positive(name: str, value: int) -> int:
    """The value if it is an integer >= 1."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1, not {value!r}")
    return int(value)
