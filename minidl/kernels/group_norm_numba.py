"""Group norm in numba: one group at a time, so that its second and third pass find it in the processor's cache.

Sums are taken in the arrays' own float type over 4096 numbers at a time, and in float64 beyond.
Reference: Wu and He, "Group normalization", 2018.
"""

from __future__ import annotations

import numpy as np

from . import threads
from .compiling import jit, part
from .registers import at
from .reuse import empty

BLOCKS = 16  # of samples, each with its own sums for weight and bias: as many threads can share the backward pass


def group_norm(x, groups, weight, bias, eps):
    out, (mean, variance) = empty(x.shape, x.dtype), np.empty((2, len(x), groups), x.dtype)
    args = x, groups, weight, bias, float(eps), out, mean.reshape(-1), variance.reshape(-1)
    threads.run(train, len(x) * groups, x.size, args)
    return out, mean, variance


def group_norm_backward(g, x, groups, mean, inverse, weight):
    dx, sums = empty(x.shape, x.dtype), np.zeros((2, min(BLOCKS, len(x)), x.shape[1]))
    args = g, x, groups, mean.reshape(-1), inverse.reshape(-1), weight, dx, *sums
    threads.run(back, sums.shape[1], x.size, args)
    dweight, dbias = sums.sum(1).astype(x.dtype)
    return dx, dweight, dbias


# --- The kernels: groups, or blocks of samples, first to last ---------------------------------------------------------


@jit
def train(x, groups, weight, bias, eps, out, mean, variance, first, last):
    _, channels, size = x.shape
    width, zero = channels // groups, x.dtype.type(0)
    length = width * size
    for j in range(first, last):
        total, squares = 0.0, 0.0
        for start in range(0, length, 4096):
            line, row = at(x, j * length + start), zero
            for i in range(min(4096, length - start)):
                row += line[i]
            total += row
        mean[j] = total / length
        centre = mean[j]
        for start in range(0, length, 4096):
            line, row = at(x, j * length + start), zero
            for i in range(min(4096, length - start)):
                row += (line[i] - centre) * (line[i] - centre)
            squares += row
        variance[j] = squares / length
        inverse = x.dtype.type((variance[j] + eps) ** -0.5)
        channel = j % groups * width
        if size == 1:  # the values of a row have a weight each
            line, to, w, b = at(x, j * length), at(out, j * length), at(weight, channel), at(bias, channel)
            for i in range(width):
                to[i] = (line[i] - centre) * inverse * w[i] + b[i]
        else:
            for c in range(width):
                line, to = at(x, j * length + c * size), at(out, j * length + c * size)
                scale, shift = inverse * weight[channel + c], bias[channel + c]
                for i in range(size):
                    to[i] = (line[i] - centre) * scale + shift


@jit
def back(g, x, groups, mean, inverse, weight, dx, dweight, dbias, first, last):
    images, channels, size = x.shape
    blocks, width = len(dweight), channels // groups
    length = width * size
    for block in range(first, last):
        for j in range(block * images // blocks * groups, (block + 1) * images // blocks * groups):
            centre, scale, channel = mean[j], inverse[j], j % groups * width
            if size == 1:
                of_g, of_x, w = at(g, j * length), at(x, j * length), at(weight, channel)
                of_weight, of_bias = at(dweight, block * channels + channel), at(dbias, block * channels + channel)
                total, product = row_sums(of_g, of_x, centre, scale, w, width, of_weight, of_bias, x.dtype.type(0))
                shift, slope = x.dtype.type(total / length), x.dtype.type(product * scale / length)
                to = at(dx, j * length)
                for i in range(width):
                    to[i] = (of_g[i] * w[i] - shift - (of_x[i] - centre) * slope) * scale
            else:
                total, product = 0.0, 0.0
                for c in range(channel, channel + width):
                    place = j * length + (c - channel) * size
                    of_bias, of_weight = channel_sums(at(g, place), at(x, place), centre, size, x.dtype.type(0))
                    of_weight *= scale
                    dbias[block, c] += of_bias
                    dweight[block, c] += of_weight
                    total += weight[c] * of_bias
                    product += weight[c] * of_weight
                shift, slope = x.dtype.type(total / length), x.dtype.type(product * scale / length)
                for c in range(channel, channel + width):
                    place, factor = j * length + (c - channel) * size, weight[c]
                    of_g, of_x, to = at(g, place), at(x, place), at(dx, place)
                    for i in range(size):
                        to[i] = (of_g[i] * factor - shift - (of_x[i] - centre) * slope) * scale


@part
def channel_sums(g, x, centre, size, zero):
    """The sums of g and of g (x - centre)."""
    total, product = 0.0, 0.0
    for start in range(0, size, 4096):
        row, row_x = zero, zero
        for i in range(start, min(start + 4096, size)):
            row += g[i]
            row_x += g[i] * (x[i] - centre)
        total += row
        product += row_x
    return total, product


@part
def row_sums(g, x, centre, scale, weight, size, dweight, dbias, zero):
    """The sums of weight g and of weight g z, z = (x - centre) scale; g z and g are added to dweight and dbias."""
    total, product = 0.0, 0.0
    for start in range(0, size, 4096):
        row, row_z = zero, zero
        for i in range(start, min(start + 4096, size)):
            z = (x[i] - centre) * scale
            row += g[i] * weight[i]
            row_z += g[i] * weight[i] * z
            dweight[i] += g[i] * z
            dbias[i] += g[i]
        total += row
        product += row_z
    return total, product
