"""Initialisers: the first values of the weights, so that signals and gradients keep their size through the layers.

With n_in inputs per unit ("fan in"), weights of variance gain^2 / n_in keep the variance of what goes forward, and
gain^2 / n_out keeps that of the gradient coming back; the gain makes up for what the activation takes away. Zero
weights make all units of a layer equal, and then they get equal gradients and stay equal for ever: symmetry has to
be broken by chance.

All write into the tensor (in place, any float dtype) and return it. `rng` is a Generator, an integer seed, or None
for the stream "init" of `minidl.manual_seed`.

>>> import minidl
>>> from minidl.nn import init
>>> w = minidl.zeros(100, 400)
>>> round(init.he_normal_(w, rng=0).std().item(), 2)  # sqrt(2 / 400) = 0.07
0.07
"""

from __future__ import annotations

import math

import numpy as np

from .. import random
from ..arrays import describe
from ..engine import Tensor


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...): inputs per output and outputs per input.

    Linear (out, in): (in, out). Conv2d (O, C/groups, kh, kw): (C/groups * kh * kw, O * kh * kw). For the weight of
    ConvTranspose2d, (C, O/groups, kh, kw), the two come exchanged, as in PyTorch. ValueError for fewer than two axes.
    """
    shape = tensor.shape
    if len(shape) < 2:
        raise ValueError(f"{describe(tensor)} has no fan-in and fan-out: a weight has two or more axes, (out, in, ...)")
    receptive = math.prod(shape[2:])
    return shape[1] * receptive, shape[0] * receptive


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights must be larger because of the activation that follows.

    linear, conv, sigmoid: 1; tanh: 5/3; relu: sqrt(2); leaky_relu: sqrt(2 / (1 + slope^2)), slope = param or 0.01;
    selu: 3/4. Source: He et al. 2015 for the rectifiers; the others are PyTorch's.

    >>> from minidl.nn import init
    >>> init.calculate_gain("leaky_relu", 1.0)
    1.0
    """
    fixed = {"sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    if nonlinearity in fixed:
        return fixed[nonlinearity]
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity == "linear" or nonlinearity.startswith("conv"):
        return 1.0
    raise ValueError(f"no gain is known for {nonlinearity!r}; choose one of {['linear', *fixed, 'leaky_relu']}")


def _fill(tensor: Tensor, draw) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"an initialiser writes into a Tensor or Parameter, not {describe(tensor)}")
    array = tensor._writable()
    array[...] = draw(array.shape)
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, rng: random.Rng = None) -> Tensor:
    """U(a, b)."""
    return _fill(tensor, lambda shape: random.resolve(rng, "init").uniform(a, b, shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, rng: random.Rng = None) -> Tensor:
    """N(mean, std^2)."""
    return _fill(tensor, lambda shape: random.resolve(rng, "init").normal(mean, std, shape))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, rng: random.Rng = None
) -> Tensor:
    """N(mean, std^2) without what falls outside [a, b] (absolute bounds): such values are drawn again."""
    low, high = (a - mean) / std, (b - mean) / std
    if not (low < high and low < 4 and high > -4):
        raise ValueError(f"trunc_normal_: hardly anything of N({mean}, {std}^2) falls into [{a}, {b}]")
    stream = random.resolve(rng, "init")

    def draw(shape):
        z = stream.standard_normal(shape)
        outside = (z < low) | (z > high)
        while outside.any():
            z[outside] = stream.standard_normal(outside.sum())
            outside = (z < low) | (z > high)
        return mean + std * z

    return _fill(tensor, draw)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """The same number everywhere: for biases. Weights need chance (see the top of this file)."""
    return _fill(tensor, lambda shape: val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros: for biases."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones: for the scales of norms."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, rng: random.Rng = None) -> Tensor:
    """U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)): a compromise of forward and backward; for tanh and sigmoid.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, rng)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, rng: random.Rng = None) -> Tensor:
    """N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out)). Source: Glorot and Bengio 2010."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), rng)


def scaled_normal_(tensor: Tensor, alpha: float = 1.0, rng: random.Rng = None) -> Tensor:
    """The notes' form N(0, alpha sqrt(2 / (n_in + n_out))): xavier_normal_ whose gain is called alpha.

    alpha = 1 keeps a signal that stays linear, sqrt(2) is ReLU's gain, and 4 makes up for the slope 1/4 that the
    sigmoid has at zero (tanh, whose slope there is 1, saturates with it).
    """
    return xavier_normal_(tensor, alpha, rng)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", rng: random.Rng = None
) -> Tensor:
    """U(-b, b), b = gain sqrt(3 / fan), gain by `calculate_gain(nonlinearity, a)`; for rectifiers.

    mode: "fan_in" keeps the variance of the signal, "fan_out" that of the gradient.
    Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", 2015.
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, rng)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", rng: random.Rng = None
) -> Tensor:
    """N(0, std^2), std = gain / sqrt(fan); otherwise as kaiming_uniform_. Source: He et al. 2015."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), rng)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', not {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(fans(tensor)[mode == "fan_out"])


def orthogonal_(tensor: Tensor, gain: float = 1.0, rng: random.Rng = None) -> Tensor:
    """gain times a random matrix with orthonormal rows (or columns, if there are more rows than columns).

    A tensor with more axes is taken as the matrix (first axis, all others). Lengths are kept exactly by square ones.
    Source: Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    networks", 2014.
    """
    fans(tensor)  # raises for fewer than two axes
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])

    def draw(shape):
        normal = random.resolve(rng, "init").standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q *= np.sign(np.diag(r))  # makes the distribution uniform over all such matrices
        return gain * (q if rows >= columns else q.T).reshape(shape)

    return _fill(tensor, draw)


def reset_(weight: Tensor, bias: Tensor | None, rng: random.Rng = None) -> None:
    """PyTorch's default for Linear and Conv2d: weight and bias from U(-b, b), b = 1 / sqrt(fan_in)."""
    rng = random.resolve(rng, "init")
    bound = 1 / math.sqrt(fans(weight)[0])
    uniform_(weight, -bound, bound, rng)
    if bias is not None:
        uniform_(bias, -bound, bound, rng)


glorot_uniform_, glorot_normal_ = xavier_uniform_, xavier_normal_  # the same, by their author's other name
he_uniform_, he_normal_ = kaiming_uniform_, kaiming_normal_
