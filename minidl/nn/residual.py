"""The residual block."""

from __future__ import annotations

from collections.abc import Callable

from ..arrays import describe, shape_of
from .module import Module
from .stochastic_depth import DropPath


class Residual(Module):
    """A body with a way around it: what the body computes is added to its input.

        out = activation(shortcut(x) + drop_path(body(x)))

    body: any module; shortcut: None is the identity, else a module that gives x the body's shape (such as a strided
    1x1 convolution); activation: applied to the sum, None for nothing. drop_path: in training the body of a sample is
    left out with this probability, by `nn.DropPath`. A body that gives 0 makes the block activation(shortcut(x)).
    State: what body and shortcut have, as body.* and shortcut.*. ValueError if the two results differ in shape: they
    are never broadcast.
    Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", arXiv:1512.03385, 2016; Huang et al.,
    "Deep networks with stochastic depth", arXiv:1603.09382, 2016, for drop_path.

    >>> import minidl
    >>> from minidl import nn
    >>> block = nn.Residual(nn.Linear(2, 2), activation=nn.ReLU())
    >>> list(block.state_dict())
    ['body.weight', 'body.bias']
    >>> _ = nn.init.zeros_(block.body.weight), nn.init.zeros_(block.body.bias)
    >>> block(minidl.tensor([[1.0, -2.0]]))
    tensor([[1., 0.]], from=relu)
    """

    def __init__(
        self,
        body: Module,
        shortcut: Module | None = None,
        drop_path: float = 0.0,
        activation: Callable | None = None,
    ) -> None:
        super().__init__()
        self.body, self.shortcut, self.activation = body, shortcut, activation
        self.drop_path = DropPath(drop_path) if drop_path else None

    def forward(self, x):
        out = self.body(x)
        way = x if self.shortcut is None else self.shortcut(x)
        if shape_of(way) != shape_of(out):
            raise ValueError(
                f"Residual: the body makes {describe(out)} of {describe(x)}, but beside it comes {describe(way)}; give "
                "a shortcut that changes the shape alike, such as nn.Conv2d(inputs, outputs, 1, stride)"
            )
        if self.drop_path is not None:
            out = self.drop_path(out)
        return way + out if self.activation is None else self.activation(way + out)
