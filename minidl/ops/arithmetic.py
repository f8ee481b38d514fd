"""Arithmetic, elementwise: every argument broadcasts, as in NumPy."""

from __future__ import annotations

import numpy as np

from ..engine import primitive


@primitive(elementwise=True)
def add(x, y):
    """x + y."""
    return np.add(x, y)
add.vjp(lambda g: g, lambda g: g)


@primitive(elementwise=True)
def sub(x, y):
    """x - y."""
    return np.subtract(x, y)
sub.vjp(lambda g: g, lambda g: -g)


@primitive(elementwise=True)
def mul(x, y):
    """x * y."""
    return np.multiply(x, y)
mul.vjp(lambda g, y: g * y, lambda g, x: g * x)


@primitive(elementwise=True)
def div(x, y):
    """x / y."""
    return np.true_divide(x, y)
div.vjp(lambda g, y: g / y, lambda g, out, y: -g * out / y)


@primitive(elementwise=True)
def neg(x):
    """-x."""
    return np.negative(x)
neg.vjp(lambda g: -g)


@primitive(elementwise=True)
def pow(x, y):
    """x ** y; d/dx = y x^(y-1), d/dy = x^y log x (0 where x = 0)."""
    return np.power(x, y)
pow.vjp(
    lambda g, x, y: g * _slope_of_power(x, y),
    lambda g, out, x: g * out * log(where(x == 0, 1.0, x)),
)


def _slope_of_power(x, y):
    """y x^(y-1), which is 0 for y = 0 even at x = 0."""
    if isinstance(y, int | float):
        return 2.0 * x if y == 2 else y * x ** (y - 1 if y != 0 else 1)
    return y * x ** where((x == 0) & (y == 0), 1.0, y - 1.0)


@primitive(elementwise=True)
def maximum(x, y):
    """The larger of x and y; where they are equal each gets half of the gradient."""
    return np.maximum(x, y)
maximum.vjp(
    lambda g, x, y: where(x > y, g, where(x == y, 0.5 * g, 0.0)),
    lambda g, x, y: where(y > x, g, where(x == y, 0.5 * g, 0.0)),
)


@primitive(elementwise=True)
def minimum(x, y):
    """The smaller of x and y; where they are equal each gets half of the gradient."""
    return np.minimum(x, y)
minimum.vjp(
    lambda g, x, y: where(x < y, g, where(x == y, 0.5 * g, 0.0)),
    lambda g, x, y: where(y < x, g, where(x == y, 0.5 * g, 0.0)),
)


@primitive(elementwise=True)
def where(condition, x, y):
    """x where the condition holds, else y."""
    return np.where(condition, x, y)
where.vjp(None, lambda g, condition: where(condition, g, 0.0), lambda g, condition: where(condition, 0.0, g))


@primitive(elementwise=True)
def clip(x, min=None, max=None):
    """x held between min and max; the gradient passes where min <= x <= max."""
    return np.clip(x, min, max)
clip.vjp(lambda g, x, min, max: where(_inside(x, min, max), g, 0.0))


def _inside(x, low, high):
    return (True if low is None else x >= low) & (True if high is None else x <= high)


@primitive(elementwise=True)
def abs(x):
    """|x|; its derivative at 0 is taken as 0."""
    return np.abs(x)
abs.vjp(lambda g, x: g * sign(x))


@primitive(elementwise=True)
def sign(x):
    """-1, 0 or 1; the derivative is 0 everywhere."""
    return np.sign(x)
sign.vjp(lambda g: 0.0 * g)


@primitive(elementwise=True)
def exp(x):
    """e^x."""
    return np.exp(x)
exp.vjp(lambda g, out: g * out)


@primitive(elementwise=True)
def expm1(x):
    """e^x - 1, accurate for small x."""
    return np.expm1(x)
expm1.vjp(lambda g, out: g * (out + 1))


@primitive(elementwise=True)
def log(x):
    """Natural logarithm."""
    return np.log(x)
log.vjp(lambda g, x: g / x)


@primitive(elementwise=True)
def log1p(x):
    """log(1 + x), accurate for small x."""
    return np.log1p(x)
log1p.vjp(lambda g, x: g / (x + 1))


@primitive(elementwise=True)
def sqrt(x):
    """Square root; the derivative at 0 is infinite."""
    return np.sqrt(x)
sqrt.vjp(lambda g, out: g / (2.0 * out))


@primitive(elementwise=True)
def sin(x):
    """Sine."""
    return np.sin(x)
sin.vjp(lambda g, x: g * cos(x))


@primitive(elementwise=True)
def cos(x):
    """Cosine."""
    return np.cos(x)
cos.vjp(lambda g, x: -g * sin(x))


@primitive(elementwise=True)
def tanh(x):
    """Hyperbolic tangent."""
    return np.tanh(x)
tanh.vjp(lambda g, out: g * (1 - out * out))


@primitive(elementwise=True)
def floor_divide(x, y):
    """The integer below x / y; the derivative is 0 everywhere."""
    return np.floor_divide(x, y)
floor_divide.vjp(lambda g: 0.0 * g, lambda g: 0.0 * g)


@primitive(elementwise=True)
def remainder(x, y):
    """x - y floor(x / y), what x % y is in Python; the derivative in y is -floor(x / y)."""
    return np.remainder(x, y)
remainder.vjp(lambda g: g, lambda g, x, y: -g * floor_divide(x, y))
