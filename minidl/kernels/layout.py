"""Where the fast convolution kernels find everything: half of im2col, planned once per geometry.

im2col copies an image once per tap of the kernel. Half of that is enough. Copy it once per *column* of the kernel, each
copy shifted sideways, with zeros for the padding and only as wide as the output:

    a b c                       . a b       a b c       b c .
    d e f    k = 3, padding 1   . d e       d e f       e f .        (a row of zeros above and below each copy)
    g h i                       . g h       g h i       h i .

Laid flat, row after row, the next row of the kernel is then the same copy one row further on, so that every tap of the
kernel is a shift of one of the copies, and convolution is a sum of shifted slices:

    out[p] = sum over taps of w[tap] * flat[place of tap + p]         for all positions p of the output at once

A stride S takes every S-th column while copying; the rows are dealt out to S phases, row r to phase r mod S. The
gradient of the input is the same sum read backwards: for each phase of the input's rows and columns, the taps that fall
into it, over the gradient of the output, with every shift negated. Forward and backward are one kernel, two layouts.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

PLAN = np.dtype([(name, np.int64) for name in (
    "images", "block", "blocks",  # images in all, laid flat at once, and the number of such blocks
    "groups", "ins", "outs", "chunk", "split",  # groups, channels of source and output in each; ins and outs at once
    "height", "width", "before", "step_h", "step_w",  # the source, zero rows before it, its stride
    "rows", "plane",  # rows from one image of a block to the next; room for one phase of one copy
    "out_h", "out_w", "out_step_h", "out_step_w",  # the output, and the stride between places of one phase of it
    "w_out", "w_group", "run",  # steps in the filters to the next output and the next group; room for a run of sums
    "shares", "gap", "tail",  # for the gradient of the filters: shares of the batch, room for a row of g and its tails
)])  # fmt: skip


class Layout(NamedTuple):
    """A geometry as the kernels read it, in read-only int64 arrays; and how much work and memory that is."""

    tables: Tables
    units: int  # blocks or shares of the batch x groups x fours of outputs
    scratch: int  # numbers
    shares: int


class Tables(NamedTuple):
    plan: np.ndarray  # (1,) record of PLAN
    copies: np.ndarray  # (J, 4): pitch of the copy's rows, first column and end of its data, source of that column
    phases: np.ndarray  # (F, 3): per row phase that taps read, source of its first row, first row and end of its data
    places: np.ndarray  # (T,): place of every tap in the flat copies of the channels
    weights: np.ndarray  # (T,): place of its weight in the filter
    sets: np.ndarray  # (S, 6): first tap, end of taps, places down, places across, first output row, first column


class _Axis(NamedTuple):
    """Rows or columns. Place y of a phase of the output reads, under a tap, source position step * y + start."""

    outputs: list[tuple[int, int]]  # per phase of the output: number of places, position of the first
    taps: list[tuple[int, int, int]]  # number of the tap, phase of the output, start
    step: int


def _forward(size, kernel, places, stride, padding, dilation):
    return _Axis([(places, 0)], [(i, 0, i * dilation - padding) for i in range(kernel)], stride)


def _backward(size, kernel, places, stride, padding, dilation):
    outputs, taps = [], []
    for phase in range(stride):
        skipped = -((phase - padding) // stride)  # places of this phase that lie in the padding
        first = skipped * stride + phase - padding
        outputs.append((max(0, -((first - size) // stride)), first))
        hits = [i for i in range(kernel) if i * dilation % stride == phase and first < size]
        taps += [(i, phase, skipped - i * dilation // stride) for i in hits]
    return _Axis(outputs, taps, 1)


@lru_cache(maxsize=512)
def forward_layout(x_shape, w_shape, out_shape, stride, padding, dilation, groups, long=False) -> Layout:
    """The layout in which `conv2d` reads x; with `long` the one for `conv2d_weight`."""
    axes = zip(x_shape[2:], w_shape[2:], out_shape[2:], stride, padding, dilation, strict=True)
    down, across = (_forward(*axis) for axis in axes)
    w_in, w_out = math.prod(w_shape[2:]), math.prod(w_shape[1:])
    return _layout(down, across, x_shape, out_shape, w_shape, groups, (1, 1), w_in, w_out, long)


@lru_cache(maxsize=512)
def backward_layout(x_shape, w_shape, out_shape, stride, padding, dilation, groups) -> Layout:
    """The layout in which `conv2d_input` reads g."""
    axes = zip(x_shape[2:], w_shape[2:], out_shape[2:], stride, padding, dilation, strict=True)
    down, across = (_backward(*axis) for axis in axes)
    w_in, w_out = math.prod(w_shape[1:]), math.prod(w_shape[2:])
    return _layout(down, across, out_shape, x_shape, w_shape, groups, stride, w_in, w_out)


def _layout(down, across, source, out, w_shape, groups, out_step, w_in, w_out, long=False):
    (images, ins, height, width), pitches = source, [places for places, _ in across.outputs]
    ins, outs = ins // groups, out[1] // groups
    before = max([0, *(-start for *_, start in down.taps)])
    rows = _rows(down, height, before)
    copies = [_copy(pitches[phase], start, across.step, width) for _, phase, start in across.taps]
    phases = sorted({(start + before) % down.step for *_, start in down.taps})

    high, wide = max(places for places, _ in down.outputs), max(pitches)
    image, flat = high * wide, max(1, rows * wide * len(copies) * len(phases))
    reach = max([0, *((start + before) // down.step for *_, start in down.taps)]) * wide
    if long:  # runs long enough to be worth their start; as many channels as stay in the second-level cache
        block = _even(images, min(images, 768 // image))
        tail = -(-block * (image % 16) // 16) * 16  # no vector has more than 16 numbers
        chunk = min(ins, 2**17 // (flat * block + w_in * tail))
    else:  # of the blocks that stay in the second-level cache, the one that leaves fewest sums unused
        most = max(1, min(images, 16, 2**16 // (ins * flat)))
        used = {n: n * image / _tiles((n - 1) * rows * wide + image) for n in range(1, most + 1)}
        block = _even(images, max(used, key=used.get))
        # as many channels at once as stay in the first-level cache
        tail, chunk = 0, min(ins, 3500 // (len(copies) * len(phases) * (64 + reach) or 1))
    chunk, run = max(1, chunk), _tiles((block - 1) * rows * wide + image) + 64
    plane = (block - 1) * rows * wide + max(rows * wide, reach + run)
    plane = (plane // 16 | 1) * 16 + 16  # whole cache lines, and not a power of two: channels spread over the cache

    def place(start, k, pitch):
        shift, phase_h = divmod(start + before, down.step)
        return (k * len(phases) + phases.index(phase_h)) * plane + shift * pitch

    taps, sets, count = [np.zeros((0, 2), np.int64)], [], 0
    channels = np.arange(ins)[:, None, None] * np.array([len(copies) * len(phases) * plane, w_in])
    for a, (high, row) in enumerate(down.outputs):
        for b, (wide, col) in enumerate(across.outputs):
            if min(high, wide) > 0:
                pairs = [
                    (place(start, k, wide), i * w_shape[3] + j)
                    for i, phase_h, start in down.taps if phase_h == a
                    for k, (j, phase_w, _) in enumerate(across.taps) if phase_w == b
                ]  # fmt: skip
                taps.append((channels + np.array(pairs, np.int64).reshape(-1, 2)).reshape(-1, 2))
                sets.append((count, count + len(taps[-1]), high, wide, row, col))
                count += len(taps[-1])
    blocks, fours = -(-images // block), -(-outs // 4)
    # Work for 16 threads: shares of the batch for the filters, few outputs at once for a small batch.
    shares = max(1, min(blocks, max(2, -(-16 // (groups * fours)))))
    split = 4 * max(1, fours * blocks * groups // 16) if blocks * groups < 16 else 4 * fours
    gap = block * image // 16 * 16 + 48
    plan = (
        images, block, blocks, groups, ins, outs, chunk, split, height, width, before, down.step, across.step,
        rows, plane, *out[2:], *out_step, w_out, math.prod(w_shape) // groups, run, shares, gap, tail,
    )  # fmt: skip
    places, weights = np.concatenate(taps).T.copy()
    per_channel = len(copies) * len(phases) * plane
    scratch = chunk * (per_channel + w_in * tail) + 4 * gap if long else ins * per_channel + split * run
    units = shares * groups * fours if long else blocks * groups * -(-outs // split)
    copies = np.array(copies, np.int64).reshape(-1, 4)
    phases = np.array([_phase(phase - before, down.step, rows, height) for phase in phases], np.int64).reshape(-1, 3)
    tables = Tables(np.array([plan], PLAN), copies, phases, places, weights, np.array(sets))
    for table in tables:
        table.flags.writeable = False
    return Layout(tables, units, scratch, shares)


def _rows(axis, size, before):
    """Rows from one image to the next: the zeros behind one image are those before the next."""
    end = max((axis.outputs[phase][0] - 1) * axis.step + start + 1 for _, phase, start in axis.taps) if axis.taps else 0
    rows = before + min(size, max(0, end)) + max(0, end - size - before)
    return max(-(-rows // axis.step), *(places for places, _ in axis.outputs), 1)


def _copy(pitch, start, step, width):
    """Columns first to end of a copy hold data, the first one from column `source`; the others are padding."""
    first = max(0, -(start // step))
    return pitch, first, max(first, min(pitch, -((start - width) // step))), start + first * step


def _phase(start, step, rows, height):
    """Rows first to end of a phase hold data, row 0 that of the source's row `start`; the others are padding."""
    return start, max(0, -(start // step)), min(rows, -((start - height) // step))


def _even(count, size):
    """A size of parts not above `size` that divides `count` as evenly as can be; at least one."""
    return max(1, -(-count // max(1, -(-count // max(1, size)))))


def _tiles(count: int) -> int:
    """`count` sums rounded up to whole tiles of 64."""
    return -(-count // 64) * 64
