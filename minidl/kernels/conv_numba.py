"""Convolution in numba: sums of shifted slices (see `layout`), four outputs at a time in the processor's registers.

Reference: Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD architectures", 2018.
"""

from __future__ import annotations

import math

import numpy as np

from . import conv_spread_numba, threads
from .compiling import jit, part
from .geometry import conv_sizes
from .layout import backward_layout, forward_layout
from .registers import at, copy, lanes, shift, sixteen_sums, sum_sixty_four, take, tile
from .reuse import empty

# --- The three passes -----------------------------------------------------------------------------------------------


def conv2d(x, w, b, stride, padding, dilation, groups):
    out_shape = (len(x), len(w), *conv_sizes(x.shape, w.shape, stride, padding, dilation, groups))
    layout = forward_layout(x.shape, w.shape, out_shape, stride, padding, dilation, groups)
    bias = np.zeros(len(w), x.dtype) if b is None else b
    return _correlate(x, w, bias, out_shape, layout, math.prod(out_shape) * w[0].size)


def conv2d_input(g, w, x_shape, stride, padding, dilation, groups):
    if conv_spread_numba.pays(x_shape, w.shape, g.shape, stride):
        return conv_spread_numba.conv2d_input(g, w, x_shape, padding, dilation, groups)
    layout = backward_layout(x_shape, w.shape, g.shape, stride, padding, dilation, groups)
    return _correlate(g, w, np.zeros(x_shape[1], g.dtype), x_shape, layout, g.size * w[0].size)


def conv2d_weight(g, x, w_shape, stride, padding, dilation, groups):
    layout = forward_layout(x.shape, w_shape, g.shape, stride, padding, dilation, groups, long=True)
    totals = np.zeros((layout.shares, math.prod(w_shape)))  # float64, for these sums run over the whole batch
    args = g.reshape(-1), x.reshape(-1), totals.reshape(-1), *layout.tables
    products = g.size * math.prod(w_shape[1:])
    threads.run(weigh, layout.units, products / 30, args, layout.scratch, x.dtype, even_out=False)
    return totals.sum(axis=0).astype(x.dtype).reshape(w_shape)


def _correlate(source, w, bias, out_shape, layout, products):
    out = empty(out_shape, source.dtype)
    bias.flags.writeable = False
    args = source.reshape(-1), w.reshape(-1), bias, out.reshape(-1), *layout.tables
    threads.run(correlate, layout.units, products / 40, args, layout.scratch, source.dtype)
    return out


# --- Forward, and the gradient of the input -------------------------------------------------------------------------


@jit
def correlate(x, w, bias, out, plan, copies, phases, places, weights, sets, scratch, first, last):
    """Units first to last: each is one block of images, one group, and `split` of its outputs."""
    p = plan[0]
    splits, per_channel = (p.outs + p.split - 1) // p.split, len(copies) * len(phases) * p.plane
    flat, sums = scratch[: p.ins * per_channel], scratch[p.ins * per_channel :]
    flat[:] = 0  # the padding; every block writes its images to the same places
    laid = -1
    for unit in range(first, last):
        task, split = divmod(unit, splits)
        block, group = divmod(task, p.groups)
        image, k = block * p.block, split * p.split
        count, outs, channel = min(p.block, p.images - image), min(p.split, p.outs - k), group * p.outs + k
        if task != laid:
            laid = task
            for c in range(p.ins):
                lay_flat(x, p, copies, phases, image, count, group * p.ins + c, flat, c * per_channel)
        for s in range(len(sets)):
            start, end, high, across = sets[s, 0], sets[s, 1], sets[s, 2], sets[s, 3]
            taps = max(1, (end - start) // p.ins * p.chunk)
            for i in range(0, ((count - 1) * p.rows + high) * across, 64):
                for t in range(start, max(end, start + 1), taps):
                    sum_sixty_four(
                        at(sums, i), p.run, at(w, group * p.w_group + k * p.w_out), p.w_out, outs, at(bias, channel),
                        t > start, at(flat, i), at(places, t), at(weights, t), min(taps, end - t),
                    )  # fmt: skip
            for j in range(outs):
                pick_up(sums, j * p.run, out, p, image, count, channel + j, sets[s])


@part
def lay_flat(x, p, copies, phases, image, count, channel, flat, start):
    """Writes a channel of `count` images to flat[start:], once per column of the kernel; padding is zero already."""
    height, width, rows, step_h, step_w = p.height, p.width, p.rows, p.step_h, p.step_w
    for j in range(len(copies)):
        pitch, left, right, column = copies[j, 0], copies[j, 1], copies[j, 2], copies[j, 3]
        for f in range(len(phases)):
            down, top, bottom = phases[f, 0], phases[f, 1], phases[f, 2]
            for m in range(count):
                source = (((image + m) * p.groups * p.ins + channel) * height + down) * width + column
                to = start + m * rows * pitch + left
                if pitch == width and step_h == 1 and step_w == 1:  # all rows at once, then the padding between them
                    copy(flat, to + top * pitch, x, source + top * width, (bottom - top - 1) * pitch + right - left)
                    for q in range(right - left, pitch):
                        for r in range(top, bottom - 1):
                            flat[to + r * pitch + q] = 0
                else:
                    for r in range(top, bottom):
                        line = at(x, source + r * step_h * width)
                        take(line, step_w, at(flat, to + r * pitch), right - left)
            start += p.plane


@part
def pick_up(sums, start, out, p, image, count, channel, part):
    """Copies a channel of sums from sums[start:] to where the images of `out` have it."""
    high, across, row, col = part[2], part[3], part[4], part[5]
    step_h, step_w, width = p.out_step_h, p.out_step_w, p.out_w
    for m in range(count):
        to = (((image + m) * p.groups * p.outs + channel) * p.out_h + row) * width + col
        source = start + m * p.rows * across
        if across == width and step_h == 1:
            copy(out, to, sums, source, high * across)
        else:
            for y in range(high):
                if step_w == 1:
                    copy(out, to + y * step_h * width, sums, source + y * across, across)
                else:
                    line, sum_ = at(out, to + y * step_h * width), at(sums, source + y * across)
                    for q in range(across):
                        line[q * step_w] = sum_[q]


# --- The gradient of the filters ------------------------------------------------------------------------------------


@jit
def weigh(g, x, totals, plan, copies, phases, places, weights, sets, scratch, first, last):
    """Units first to last: each is one share of the batch, one group, four of its filters; totals (shares, O, T).

    Positions go in whole vectors. What is left of every image is laid as columns, images side by side: `tails`.
    """
    p = plan[0]
    fours, per_channel = (p.outs + 3) // 4, len(copies) * len(phases) * p.plane
    n, filters, per_filter, gap = p.out_h * p.out_w, p.groups * p.outs, len(places) // p.ins, p.gap
    end_flat, end_tails = p.chunk * per_channel, p.chunk * (per_channel + per_filter * p.tail)
    flat, y = at(scratch, 0), at(scratch, end_tails)
    scratch[:] = 0  # the padding
    vector = lanes(scratch)
    whole = n // vector * vector
    steps = np.empty(p.block * whole // vector, np.int64)
    for m in range(p.block):
        for i in range(0, whole, vector):
            steps[(m * whole + i) // vector] = m * p.rows * p.out_w + i
    tails = np.empty(p.chunk * per_filter, np.int64)
    for t in range(len(tails)):
        tails[t] = end_flat + t * p.tail
    tail_steps = np.arange(0, p.tail, vector)
    while first < last:
        task, begin = divmod(first, fours)
        end = min(fours, begin + last - first)
        first += end - begin
        share, group = divmod(task, p.groups)
        for block in range(share * p.blocks // p.shares, (share + 1) * p.blocks // p.shares):
            image = block * p.block
            count = min(p.block, p.images - image)
            left = (count * (n - whole) + vector - 1) // vector
            for c0 in range(0, p.ins, p.chunk):
                channels = min(p.chunk, p.ins - c0)
                taps = channels * per_filter
                for c in range(channels):
                    lay_flat(x, p, copies, phases, image, count, group * p.ins + c0 + c, scratch, c * per_channel)
                for t in range(taps if whole < n else 0):
                    for m in range(count):
                        tail = at(scratch, places[t] + m * p.rows * p.out_w + whole)
                        take(tail, 1, at(scratch, tails[t] + m * (n - whole)), n - whole)
                    clear(at(scratch, tails[t]), count * (n - whole), left * vector)
                for four in range(begin, end):
                    filter_, outs = group * p.outs + 4 * four, min(4, p.outs - 4 * four)
                    for k in range(outs):
                        for m in range(count):
                            source = ((image + m) * filters + filter_ + k) * n
                            copy(scratch, end_tails + k * gap + m * whole, g, source, whole)
                            tail = shift(y, k * gap + count * whole + m * (n - whole))
                            take(at(g, source + whole), 1, tail, n - whole)
                        clear(shift(y, k * gap + count * whole), count * (n - whole), left * vector)
                    sums = at(totals, (share * filters + filter_) * p.w_out + c0 * per_filter)
                    for t in range(0, taps, 4):
                        dot_sixteen(
                            y, gap, outs, flat, min(4, taps - t), at(places, t), at(steps, 0), count * whole // vector,
                            at(tails, t), at(tail_steps, 0), left, shift(sums, t), p.w_out,
                        )  # fmt: skip


@part
def clear(to, first, end):
    for i in range(first, end):
        to[i] = 0


@part
def dot_sixteen(g, gap, outs, flat, taps, places, steps, count, tails, tail_steps, left, sums, w_out):
    """sums[k w_out + t] += sum over positions of g[k gap + position] * flat[places[t] + position], four k and four t.

    All arrays are pointers. Positions go in vectors: `count` that begin at `steps`, then `left` more that have places
    of their own, `tails` and `tail_steps`.
    """
    n = lanes(flat)
    acc = tile(flat)
    acc1, acc2, acc3 = shift(acc, 4 * n), shift(acc, 8 * n), shift(acc, 12 * n)
    for i in range(16 * n):
        acc[i] = 0
    k1, k2, k3 = min(1, outs - 1) * gap, min(2, outs - 1) * gap, (outs - 1) * gap
    for _ in range(2):
        ta, tb, tc, td = places[0], places[min(1, taps - 1)], places[min(2, taps - 1)], places[taps - 1]
        for step in range(count if outs == 1 else 0):  # depthwise
            y, x = shift(g, step * n), shift(flat, steps[step])
            for i in range(n):
                y0 = y[i]
                acc[i] += y0 * x[ta + i]
                acc[n + i] += y0 * x[tb + i]
                acc[2 * n + i] += y0 * x[tc + i]
                acc[3 * n + i] += y0 * x[td + i]
        for step in range(count if outs > 1 else 0):
            y, x = shift(g, step * n), shift(flat, steps[step])
            for i in range(n):
                a, b, c, d = x[ta + i], x[tb + i], x[tc + i], x[td + i]
                y0, y1, y2, y3 = y[i], y[k1 + i], y[k2 + i], y[k3 + i]
                acc[i] += y0 * a
                acc[n + i] += y0 * b
                acc[2 * n + i] += y0 * c
                acc[3 * n + i] += y0 * d
                acc1[i] += y1 * a
                acc1[n + i] += y1 * b
                acc1[2 * n + i] += y1 * c
                acc1[3 * n + i] += y1 * d
                acc2[i] += y2 * a
                acc2[n + i] += y2 * b
                acc2[2 * n + i] += y2 * c
                acc2[3 * n + i] += y2 * d
                acc3[i] += y3 * a
                acc3[n + i] += y3 * b
                acc3[2 * n + i] += y3 * c
                acc3[3 * n + i] += y3 * d
        g, places, steps, count = shift(g, count * n), tails, tail_steps, left
    found = sixteen_sums(acc)
    for k in range(outs):
        for t in range(taps):
            sums[k * w_out + t] += found[4 * k + t]
