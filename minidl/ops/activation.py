"""Activations. Each is stable at +-1e4, and says what its derivative is where it has a kink."""

from __future__ import annotations

import math

import numpy as np

from ..engine import primitive
from .arithmetic import exp, mul, where

SQRT_HALF = math.sqrt(0.5)


@primitive(elementwise=True)
def relu(x):
    """max(x, 0); relu'(0) = 0."""
    return np.maximum(x, 0)
relu.vjp(lambda g, out: g * (out > 0))


@primitive(elementwise=True)
def leaky_relu(x, negative_slope=0.01):
    """x where x > 0, else negative_slope * x; the slope at 0 is negative_slope."""
    return np.where(x > 0, x, negative_slope * x)
leaky_relu.vjp(lambda g, x, negative_slope: where(x > 0, g, negative_slope * g))


def _sigmoid(x):
    e = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


@primitive(elementwise=True)
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return _sigmoid(x)
sigmoid.vjp(lambda g, out: g * (out * (1 - out)))


@primitive(elementwise=True)
def softplus(x, beta=1.0):
    """log(1 + exp(beta x)) / beta, a smooth relu."""
    return np.logaddexp(0, beta * x) * (1 / beta)
softplus.vjp(lambda g, x, beta: g * sigmoid(x * beta))


@primitive(elementwise=True)
def silu(x):
    """x sigmoid(x): Swish with beta = 1 (Ramachandran, Zoph, Le 2017)."""
    return x * _sigmoid(x)
silu.vjp(lambda g, x: g * (sigmoid(x) * (1 + x * (1 - sigmoid(x)))))


def swish(x, beta=1.0):
    """x sigmoid(beta x); beta may be a Tensor that is learned (Ramachandran, Zoph, Le 2017)."""
    return silu(x) if isinstance(beta, int | float) and beta == 1 else x * sigmoid(mul(x, beta))


@primitive(elementwise=True)
def elu(x, alpha=1.0):
    """x where x > 0, else alpha (exp(x) - 1) (Clevert, Unterthiner, Hochreiter 2016)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))
elu.vjp(lambda g, x, alpha: where(x > 0, g, g * alpha * exp(where(x > 0, 0.0, x))))


@primitive(elementwise=True)
def erf(x):
    """Gauss error function, 2/sqrt(pi) * integral of exp(-t^2) from 0 to x."""
    return np.vectorize(math.erf, otypes=[x.dtype])(x) if np.ndim(x) else np.asarray(math.erf(x), x.dtype)
erf.vjp(lambda g, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x))


def gelu(x, approximate: str = "none"):
    """x Phi(x) with the normal distribution function Phi; approximate="tanh" is the formula with tanh
    (Hendrycks and Gimpel 2016)."""
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        from .arithmetic import tanh

        return 0.5 * x * (1 + tanh(inner))
    if approximate != "none":
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}")
    return x * (0.5 * (1 + erf(x * SQRT_HALF)))
