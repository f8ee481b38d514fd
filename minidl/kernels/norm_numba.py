"""Batch norm in numba: one channel at a time, so that its second and third pass find it in the processor's cache.

Sums are taken in the arrays' own float type along a row (one channel of one sample, 4096 numbers of it at a time), and
in float64 across rows.
Reference: Ioffe and Szegedy, "Batch normalization", 2015.
"""

from __future__ import annotations

import numpy as np

from . import threads
from .compiling import jit, part
from .registers import at
from .reuse import empty


def batch_norm(x, weight, bias, eps):
    out, mean, variance = empty(x.shape, x.dtype), np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    _run(train, x, weight, bias, float(eps), out, mean, variance)
    return out, mean, variance


def normalize(x, mean, inverse, weight, bias):
    out = empty(x.shape, x.dtype)
    _run(evaluate, x, mean, inverse, weight, bias, out)
    return out


def batch_norm_backward(g, x, mean, inverse, weight, training):
    dx, dweight, dbias = empty(x.shape, x.dtype), np.empty_like(mean), np.empty_like(mean)
    _run(back, g, x, mean, inverse, weight, training, dx, dweight, dbias)
    return dx, dweight, dbias


def channel_sum(x):
    out = np.empty(x.shape[1], x.dtype)
    _run(add_up, x, out)
    return out


def _run(kernel, x, *args):
    threads.run(kernel, x.shape[1], x.size, (x, *args))


# --- The kernels: channels first to last ------------------------------------------------------------------------------


@jit
def train(x, weight, bias, eps, out, mean, variance, first, last):
    images, channels, size = x.shape
    zero = x.dtype.type(0)
    for c in range(first, last):
        mean[c] = channel_total(x, c) / (images * size)
        centre, total = mean[c], 0.0
        for n in range(images):
            for start in range(0, size, 4096):
                line, row = at(x, (n * channels + c) * size + start), zero
                for i in range(min(4096, size - start)):
                    row += (line[i] - centre) * (line[i] - centre)
                total += row
        variance[c] = total / (images * size)
        scale = x.dtype.type(weight[c] * (variance[c] + eps) ** -0.5)
        scale_channel(x, c, centre, scale, bias[c], out)


@jit
def evaluate(x, mean, inverse, weight, bias, out, first, last):
    for c in range(first, last):
        scale_channel(x, c, mean[c], inverse[c] * weight[c], bias[c], out)


@jit
def back(g, x, mean, inverse, weight, training, dx, dweight, dbias, first, last):
    images, channels, size = x.shape
    zero = x.dtype.type(0)
    for c in range(first, last):
        centre, total, total_x = mean[c], 0.0, 0.0
        for n in range(images):
            for start in range(0, size, 4096):
                place = (n * channels + c) * size + start
                of_g, of_x, row, row_x = at(g, place), at(x, place), zero, zero
                for i in range(min(4096, size - start)):
                    row += of_g[i]
                    row_x += of_g[i] * (of_x[i] - centre)
                total += row
                total_x += row_x
        dbias[c], dweight[c] = total, total_x * inverse[c]
        scale, shift, slope = weight[c] * inverse[c], zero, zero
        if training:  # what mean and variance take back
            shift = x.dtype.type(total / (images * size))
            slope = x.dtype.type(total_x * inverse[c] * inverse[c] / (images * size))
        for n in range(images):
            place = (n * channels + c) * size
            of_g, of_x, to = at(g, place), at(x, place), at(dx, place)
            if training:
                for i in range(size):
                    to[i] = (of_g[i] - shift - (of_x[i] - centre) * slope) * scale
            else:
                for i in range(size):
                    to[i] = of_g[i] * scale


@jit
def add_up(x, out, first, last):
    for c in range(first, last):
        out[c] = channel_total(x, c)


@part
def channel_total(x, c):
    total = 0.0
    for n in range(x.shape[0]):
        for start in range(0, x.shape[2], 4096):
            line, row = at(x, (n * x.shape[1] + c) * x.shape[2] + start), x.dtype.type(0)
            for i in range(min(4096, x.shape[2] - start)):
                row += line[i]
            total += row
    return total


@part
def scale_channel(x, c, centre, scale, shift, out):
    for n in range(x.shape[0]):
        place = (n * x.shape[1] + c) * x.shape[2]
        line, to = at(x, place), at(out, place)
        for i in range(x.shape[2]):
            to[i] = (line[i] - centre) * scale + shift
