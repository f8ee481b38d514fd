"""Differentiable functions by family: each forward with the rules of its derivative on the lines below it."""

from .activation import elu, erf, gelu, leaky_relu, relu, sigmoid, silu, softplus, swish
from .arithmetic import (
    abs, add, clip, cos, div, exp, expm1, floor_divide, log, log1p, maximum, minimum, mul, neg, pow, remainder, sign,
    sin, sqrt, sub, tanh, where,
)  # fmt: skip
from .conv import conv2d, conv_transpose2d
from .index import getitem, take_along_axis
from .linalg import einsum, linear, matmul, tril, triu
from .methods import attach
from .normalize import standardize
from .pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from .reduce import (
    argmax, argmin, cumsum, log_softmax, logsumexp, max, mean, min, norm, prod, softmax, std, sum, var,
)  # fmt: skip
from .sample import affine_grid, grid_sample
from .shape import (
    broadcast_to, concat, expand, flatten, flip, pad, permute, reshape, roll, split, squeeze, stack, swapaxes, tile,
    transpose, unsqueeze,
)  # fmt: skip

attach()

__all__ = [
    "abs", "adaptive_avg_pool2d", "add", "affine_grid", "argmax", "argmin", "avg_pool2d", "broadcast_to", "clip",
    "concat", "conv2d", "conv_transpose2d", "cos", "cumsum", "div", "einsum", "elu", "erf", "exp", "expand",
    "expm1", "flatten", "flip", "floor_divide", "gelu", "getitem", "grid_sample", "leaky_relu", "linear", "log",
    "log1p", "log_softmax", "logsumexp", "matmul", "max", "max_pool2d", "maximum", "mean", "min", "minimum", "mul",
    "neg", "norm", "pad", "permute", "pow", "prod", "relu", "remainder", "reshape", "roll", "sigmoid", "sign",
    "silu", "sin", "softmax", "softplus", "split", "sqrt", "squeeze", "stack", "standardize", "std", "sub", "sum",
    "swapaxes", "swish", "take_along_axis", "tanh", "tile", "transpose", "tril", "triu", "unsqueeze", "var",
    "where",
]  # fmt: skip
