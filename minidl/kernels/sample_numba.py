"""Bilinear sampling in numba, image by image, without a branch: every plane gets a frame of what is outside.

First all positions of an image become an index into a framed plane and two weights, which serve all its channels; a
position far away becomes a corner of the frame. That loop is vector instructions, where floor and tests cost little.

At f of the way from one pixel to the next, their weights along one axis are 1 - f and f, and the slopes of these -1
and 1. Both are s - a and a, with a = s f + (1 - s), where s is 1 for order 0 and 0 for order 1.

Reference: Jaderberg et al., "Spatial transformer networks", 2015.
"""

from __future__ import annotations

import math

import numpy as np

from . import threads
from .compiling import jit, part
from .registers import at, shift
from .reuse import empty


def bilinear(x, source, value, orders):
    out = empty((*x.shape[:2], *source.shape[2:]), x.dtype)
    _run(interpolate, x, source, orders, _flat(out), x.dtype.type(value))
    return out


def bilinear_input(g, source, x_shape, orders):
    out = empty(x_shape, g.dtype)
    _run(spread, out, source, orders, _flat(g))
    return out


def _run(kernel, image, source, orders, *args):
    n, channels, h, w = image.shape
    places = math.prod(source.shape[2:])
    corner, s = empty((n, places), np.dtype(np.int32)), [image.dtype.type(1 - order) for order in orders]
    scratch, cost = 2 * places + (h + 3) * (w + 3), n * channels * (3 * places + h * w)
    threads.run(kernel, n, cost, (image, _flat(source), corner, *s, *args), scratch, image.dtype)


def _flat(array):
    """(N, C, H, W) -> (N, C, H W)."""
    n, c, h, w = array.shape
    return array.reshape(n, c, h * w)


@part
def locate(us, vs, places, h, w, s_x, s_y, corner, a, b):
    """For each position, which four pixels are around it, and the weights of the right and of the lower ones.

    The frame has two pixels on the left and above, and one on the right and below.
    """
    kind = type(s_x)
    one, width, height, flat_x, flat_y = kind(1), kind(w), kind(h), kind(1) - s_x, kind(1) - s_y
    for p in range(places):
        u, v = us[p], vs[p]
        near = (u >= -one) & (u < width) & (v >= -one) & (v < height)  # False for NaN
        u, v = u if near else kind(-2), v if near else kind(-2)
        j, i = np.int32(u), np.int32(v)
        j, i = j - np.int32(kind(j) > u), i - np.int32(kind(i) > v)  # the floor, where np.floor would be a call
        corner[p] = (i + 2) * (w + 3) + j + 2
        a[p], b[p] = s_x * (u - kind(j)) + flat_x, s_y * (v - kind(i)) + flat_y


@jit
def interpolate(x, source, corner, s_x, s_y, out, value, scratch, first, last):
    (_, channels, h, w), places = x.shape, source.shape[2]
    width, a = w + 3, at(scratch, 0)
    b, plane = shift(a, places), shift(a, 2 * places)
    for q in range((h + 3) * width):
        plane[q] = value
    for n in range(first, last):
        where = at(corner, n * places)
        locate(at(source, 2 * n * places), at(source, (2 * n + 1) * places), places, h, w, s_x, s_y, where, a, b)
        for c in range(channels):
            image, result = at(x, (n * channels + c) * h * w), at(out, (n * channels + c) * places)
            for row in range(h):
                for column in range(w):
                    plane[(row + 2) * width + column + 2] = image[row * w + column]
            for p in range(places):
                upper = shift(plane, where[p])
                lower = shift(upper, width)
                top = (s_x - a[p]) * upper[0] + a[p] * upper[1]
                result[p] = (s_y - b[p]) * top + b[p] * ((s_x - a[p]) * lower[0] + a[p] * lower[1])


@jit
def spread(out, source, corner, s_x, s_y, g, scratch, first, last):
    (_, channels, h, w), places = out.shape, source.shape[2]
    width, a = w + 3, at(scratch, 0)
    b, plane = shift(a, places), shift(a, 2 * places)
    for n in range(first, last):
        where = at(corner, n * places)
        locate(at(source, 2 * n * places), at(source, (2 * n + 1) * places), places, h, w, s_x, s_y, where, a, b)
        for c in range(channels):
            given, image = at(g, (n * channels + c) * places), at(out, (n * channels + c) * h * w)
            for q in range((h + 3) * width):
                plane[q] = 0
            for p in range(places):
                upper = shift(plane, where[p])
                lower = shift(upper, width)
                top, low = given[p] * (s_y - b[p]), given[p] * b[p]
                upper[0] += top * (s_x - a[p])
                upper[1] += top * a[p]
                lower[0] += low * (s_x - a[p])
                lower[1] += low * a[p]
            for row in range(h):
                for column in range(w):
                    image[row * w + column] = plane[(row + 2) * width + column + 2]
