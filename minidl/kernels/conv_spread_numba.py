"""The gradient of a convolution's input where the output is much smaller than the input: products first, then spread.

`conv_numba` gathers: every position of the input sums over all taps, also over those that hit nothing. Without padding
a 5x5 kernel on 14x14 pixels has 10x10 places, and half of these sums are over zeros. Here every place makes its
products with all taps at once, a convolution of 1x1 from the filters to the taps, and they are added where they belong:

    products[c, i, j, p] = sum over filters o of w[o, c, i, j] * g[o, p]        for all places p = (y, x)
    dx[c, y + d i - P, x + d j - P] += products[c, i, j, p]

Rows that differ only in i are whole shifts of each other, so they are added in long runs; short rows, once per column.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from . import threads
from .compiling import jit
from .registers import add, at, shift, sum_sixty_four
from .reuse import empty

ROOM = 2**17  # numbers: what stays in the second-level cache


def pays(x_shape, w_shape, g_shape, stride) -> bool:
    """Are there so few places in the image that gathering would sum over many taps that hit nothing?"""
    return stride == (1, 1) and 5 * math.prod(x_shape[2:]) >= 7 * math.prod(g_shape[2:]) and w_shape[0] >= 4


def conv2d_input(g, w, x_shape, padding, dilation, groups):
    (images, _, height, width), (filters, per_group, kh, kw), (ho, wo) = x_shape, w.shape, g.shape[2:]
    outs, taps, n = filters // groups, per_group * kh * kw, ho * wo
    block, run = _block(images, n, taps + outs)
    blocks = -(-images // block)
    weights, places = _steps(outs, taps, run)
    out = empty(x_shape, g.dtype)
    plan = images, block, groups, per_group, outs, kh, kw, ho, wo, height, width, *padding, *dilation, run
    scratch = (outs + -(-taps // 4) * 4) * run + height * wo
    args = g.reshape(-1), w.reshape(-1), np.zeros(taps, g.dtype), out.reshape(-1), weights, places, plan
    threads.run(spread_taps, blocks * groups, g.size * taps / 40, args, scratch, g.dtype)
    return out


@lru_cache(maxsize=512)
def _block(images, n, rows):
    """How many images to lay side by side, and room for a row of them, in tiles of 64 of which little stays empty."""
    most = max(1, min(images, 16, ROOM // (rows * n)))
    used = {b: b * n / -(-b * n // 64) for b in range(1, most + 1)}
    block = max(used, key=used.get)
    return block, -(-block * n // 64) * 64 + 16  # not a power of two: rows spread over the cache


@lru_cache(maxsize=512)
def _steps(outs, taps, run):
    """Per filter: where its weights begin, and where its row of g is laid. Read-only."""
    steps = np.arange(outs) * taps, np.arange(outs) * run
    for table in steps:
        table.flags.writeable = False
    return steps


@jit
def spread_taps(g, w, bias, out, weights, places, plan, scratch, first, last):
    """Units first to last: each is one block of images and one group of channels."""
    images, block, groups, channels, outs, kh, kw, ho, wo, height, width, top, left, down, across, run = plan
    taps, n = channels * kh * kw, ho * wo
    flat, sums = at(scratch, 0), at(scratch, outs * run)
    column = at(scratch, (outs + (taps + 3) // 4 * 4) * run)
    scratch[: outs * run] = 0  # behind the last place
    for unit in range(first, last):
        part_, group = divmod(unit, groups)
        image = part_ * block
        count = min(block, images - image)
        for o in range(outs):
            for m in range(count):
                source = at(g, (((image + m) * groups + group) * outs + o) * n)
                line = shift(flat, o * run + m * n)
                for i in range(n):
                    line[i] = source[i]
        for i in range(0, count * n, 64):
            sum_sixty_four(
                shift(sums, i), run, at(w, group * outs * taps), 1, taps, at(bias, 0), False, shift(flat, i),
                at(places, 0), at(weights, 0), outs,
            )  # fmt: skip
        for m in range(count):
            for c in range(channels):
                plane = at(out, (((image + m) * groups + group) * channels + c) * height * width)
                for i in range(height * width):
                    plane[i] = 0
                for j in range(kw):
                    for i in range(height * wo):
                        column[i] = 0
                    for i in range(kh):
                        move = i * down - top  # place y lies in row y + move
                        y0, y1 = max(0, -move), max(0, -move, min(ho, height - move))
                        source = shift(sums, ((c * kh + i) * kw + j) * run + m * n + y0 * wo)
                        add(shift(column, (y0 + move) * wo), source, (y1 - y0) * wo)
                    move = j * across - left
                    x0, x1 = max(0, -move), max(0, -move, min(wo, width - move))
                    for y in range(height):
                        add(shift(plane, y * width + x0 + move), shift(column, y * wo + x0), x1 - x0)

