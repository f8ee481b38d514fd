"""Layers without parameters that only pass on: Flatten and Identity."""

from __future__ import annotations

from . import functional as F
from .module import Module


class Flatten(Module):
    """Join the axes start_dim..end_dim into one: (N, C, H, W) -> (N, C*H*W), between images and `Linear`.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.Flatten()(minidl.zeros(5, 3, 4, 4)).shape
    (5, 48)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x):
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Returns its input; stands where a layer was taken away. Arguments are ignored, so that it can replace any."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__()

    def forward(self, x):
        return x
