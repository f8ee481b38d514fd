"""Activations as layers; the equations stand in minidl/ops/activation.py."""

from __future__ import annotations

import numpy as np

from ..engine import Tensor
from . import functional as F
from .module import Module
from .parameter import Parameter, check_dtype


class ReLU(Module):
    """max(x, 0), elementwise; relu'(0) = 0. Nair and Hinton 2010.

    >>> from minidl import Tensor, nn
    >>> nn.ReLU()(Tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """

    def forward(self, x):
        return F.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope * x. Maas, Hannun, Ng 2013."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x):
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """1 / (1 + exp(-beta x)), elementwise; the slope at 0 is beta / 4. The notes' logistic function.

    >>> from minidl import Tensor, nn
    >>> nn.Sigmoid()(Tensor([-1e4, 0.0, 1e4]))
    tensor([0. , 0.5, 1. ])
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x):
        return F.sigmoid(x, self.beta)

    def extra_repr(self) -> str:
        return f"beta={self.beta}" if self.beta != 1 else ""


class Tanh(Module):
    """Hyperbolic tangent, elementwise. LeCun et al. 1998."""

    def forward(self, x):
        return F.tanh(x)


class Swish(Module):
    """x sigmoid(beta x), elementwise. Ramachandran, Zoph, Le, "Searching for activation functions", 2017.

    beta: 0 is x/2, 1 is SiLU, large values approach ReLU. learnable: beta is a Parameter (one number for the layer).
    """

    def __init__(self, beta: float = 1.0, learnable: bool = False, dtype=np.float32) -> None:
        super().__init__()
        self.beta = Parameter(beta, dtype) if learnable else beta

    def forward(self, x):
        if isinstance(self.beta, Tensor):
            check_dtype(self, x, self.beta)
        return F.swish(x, self.beta)

    def extra_repr(self) -> str:
        return f"beta={self.beta.item():.4g}, learnable=True" if isinstance(self.beta, Tensor) else f"beta={self.beta}"


class SiLU(Module):
    """x sigmoid(x), elementwise: Swish with beta = 1. Elfwing, Uchibe, Doya 2018."""

    def forward(self, x):
        return F.silu(x)


class GELU(Module):
    """x Phi(x), Phi the normal distribution function; approximate="tanh" for the formula with tanh.

    Hendrycks and Gimpel 2016.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', not {approximate!r}")
        self.approximate = approximate

    def forward(self, x):
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class ELU(Module):
    """x where x > 0, else alpha (exp(x) - 1). Clevert, Unterthiner, Hochreiter 2016."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x):
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class Softplus(Module):
    """log(1 + exp(beta x)) / beta, a smooth ReLU, exact everywhere (so without a threshold). Dugas et al. 2001."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x):
        return F.softplus(x, self.beta)

    def extra_repr(self) -> str:
        return f"beta={self.beta}"


class Softmax(Module):
    """exp(x_i) / sum_j exp(x_j) along the axis `dim`: positive numbers that sum to one. Bridle 1990.

    For training use CrossEntropyLoss on the logits: it contains the softmax, and is stable.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """log(softmax(x)) along the axis `dim`, without overflow; made for NLLLoss. Bridle 1990."""

    def forward(self, x):
        return F.log_softmax(x, self.dim)
