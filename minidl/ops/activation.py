"""Activations. Each is stable at +-1e4, and says what its derivative is where it has a kink."""

from __future__ import annotations

import math

import numpy as np

from .. import kernels
from ..engine import primitive
from .arithmetic import exp, mul, tanh, where

SQRT_HALF = math.sqrt(0.5)


@primitive(elementwise=True)
def relu(x):
    """max(x, 0); relu'(0) = 0."""
    return kernels.relu(x) if isinstance(x, np.ndarray) else np.maximum(x, 0)
relu.vjp(lambda g, out: kernels.relu_input(g, out) if isinstance(g, np.ndarray) else where(out > 0, g, 0.0))


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


# Coefficients of Cody's rational approximations, the highest power first: erf(x) / x in x^2 for |x| < 0.47, and
# exp(x^2) (1 - erf(x)) in x beyond.
NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
FAR = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
     8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip


def _ratio(x, top, bottom):
    """Quotient of two polynomials, by Horner's rule."""
    p, q = np.full_like(x, top[0]), np.full_like(x, bottom[0])
    for a, b in zip(top[1:], bottom[1:], strict=True):
        p *= x
        p += a
        q *= x
        q += b
    p /= q
    return p


@primitive(elementwise=True)
def erf(x):
    """Gauss error function, 2/sqrt(pi) * integral of exp(-t^2) from 0 to x; to the last digits of float64.

    Source: W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 1969.
    """
    x = np.asarray(np.clip(x, -6.0, 6.0))  # erf(6) differs from 1 by 2e-17
    size = np.abs(x)
    far = np.copysign(1 - np.exp(-x * x) * _ratio(size, *FAR), x)
    return np.where(size < 0.47, x * _ratio(x * x, *NEAR), far)
erf.vjp(lambda g, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x))


def gelu(x, approximate: str = "none"):
    """x Phi(x) with the normal distribution function Phi; approximate="tanh" is the formula with tanh
    (Hendrycks and Gimpel 2016)."""
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}")
    return x * (0.5 * (1 + erf(x * SQRT_HALF)))
