"""The optimisers' update rules in numba: one loop each, that the compiler turns into vector instructions.

A kernel's units are blocks of 4096 numbers, so that the rest which fills no vector is the same for any sharing among
threads. Slices, unlike indices into the whole, are known to be counted from 0. `np.divide` is a division that does not
look for zero first. An array that a rule goes without is empty.

Reference: Kingma and Ba, "Adam: a method for stochastic optimization", 2015; minidl/optim names those of the others.
"""

from __future__ import annotations

import numpy as np

from . import threads
from .compiling import jit


def sgd(w, g, v, numbers, nesterov, maximize):
    if len(v):
        _run(momentum, 0.5, w, g, v, _options(numbers, w), nesterov, maximize)
    else:
        _run(descent, 0.3, w, g, _options(numbers, w), maximize)


def adam(w, g, m, v, top, numbers, maximize):
    _run(moments, 1.0, w, g, m, v, top, _options(numbers, w), maximize)


def rmsprop(w, g, s, m, v, numbers, maximize):
    _run(root_mean_square, 1.0, w, g, s, m, v, _options(numbers, w), maximize)


def adagrad(w, g, s, numbers, maximize):
    _run(square_sum, 0.7, w, g, s, _options(numbers, w), maximize)


def _options(numbers, w):
    """The options in the float type of the parameters: numba would compute with Python's floats in double precision."""
    return np.array(numbers, w.dtype)


def _run(kernel, nanoseconds, w, *args):
    threads.run(kernel, -(-len(w) // 4096), nanoseconds * len(w), (w, *args))


# --- The kernels: blocks first to last ------------------------------------------------------------------------------


@jit
def descent(w, g, options, maximize, first, last):
    lr, weight_decay = options[0], options[3]
    w, g = w[4096 * first : 4096 * last], g[4096 * first : 4096 * last]
    for i in range(len(w)):
        d = -g[i] if maximize else g[i]
        d = d + weight_decay * w[i] if weight_decay else d
        w[i] -= lr * d


@jit
def momentum(w, g, v, options, nesterov, maximize, first, last):
    lr, momentum, share, weight_decay = options[0], options[1], options[2], options[3]
    w, g, v = w[4096 * first : 4096 * last], g[4096 * first : 4096 * last], v[4096 * first : 4096 * last]
    for i in range(len(w)):
        d = -g[i] if maximize else g[i]
        d = d + weight_decay * w[i] if weight_decay else d
        v[i] = momentum * v[i] + share * d
        w[i] -= lr * (d + momentum * v[i] if nesterov else v[i])


@jit
def moments(w, g, m, v, top, options, maximize, first, last):
    lr, share1, keep2, share2 = options[0], options[1], options[2], options[3]
    scale2, eps, weight_decay, shrink = options[4], options[5], options[6], options[7]
    amsgrad = len(top) > 0
    w, g, m = w[4096 * first : 4096 * last], g[4096 * first : 4096 * last], m[4096 * first : 4096 * last]
    v, top = v[4096 * first : 4096 * last], top[4096 * first : 4096 * last]
    for i in range(len(w)):
        d = -g[i] if maximize else g[i]
        d = d + weight_decay * w[i] if weight_decay else d
        m[i] += share1 * (d - m[i])
        v[i] = keep2 * v[i] + share2 * d * d
        largest = v[i]
        if amsgrad:
            largest = top[i] if top[i] >= largest or top[i] != top[i] else largest  # the larger one, or the NaN
            top[i] = largest
        w[i] = shrink * w[i] - np.divide(lr * m[i], np.sqrt(scale2 * largest) + eps)


@jit
def root_mean_square(w, g, s, m, v, options, maximize, first, last):
    lr, keep, share = options[0], options[1], options[2]
    eps, momentum, weight_decay = options[3], options[4], options[5]
    centered, moving, zero = len(m) > 0, len(v) > 0, w.dtype.type(0)
    w, g, s = w[4096 * first : 4096 * last], g[4096 * first : 4096 * last], s[4096 * first : 4096 * last]
    m, v = m[4096 * first : 4096 * last], v[4096 * first : 4096 * last]
    for i in range(len(w)):
        d = -g[i] if maximize else g[i]
        d = d + weight_decay * w[i] if weight_decay else d
        s[i] = keep * s[i] + share * d * d
        spread = s[i]
        if centered:
            m[i] += share * (d - m[i])
            spread -= m[i] * m[i]
            spread = zero if spread < zero else spread  # below 0 by rounding
        d = np.divide(d, np.sqrt(spread) + eps)
        if moving:
            v[i] = momentum * v[i] + d
            d = v[i]
        w[i] -= lr * d


@jit
def square_sum(w, g, s, options, maximize, first, last):
    lr, eps, weight_decay = options[0], options[1], options[2]
    w, g, s = w[4096 * first : 4096 * last], g[4096 * first : 4096 * last], s[4096 * first : 4096 * last]
    for i in range(len(w)):
        d = -g[i] if maximize else g[i]
        d = d + weight_decay * w[i] if weight_decay else d
        s[i] += d * d
        w[i] -= np.divide(lr * d, np.sqrt(s[i]) + eps)
