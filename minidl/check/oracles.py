"""Slow, literal formulas in NumPy, to hold the fast functions against. They loop where the formula has an index."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..kernels import conv_output_size, pool_output_size

erf = np.vectorize(math.erf, otypes=[float])


def softmax(x: np.ndarray, axis=-1) -> np.ndarray:
    """exp(x) / sum(exp(x))."""
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


def standardize(x: np.ndarray, axis, eps: float) -> np.ndarray:
    """(x - mean) / sqrt(var + eps)."""
    return (x - x.mean(axis=axis, keepdims=True)) / np.sqrt(x.var(axis=axis, keepdims=True) + eps)


def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1) -> np.ndarray:
    """out[n, o, i, j] = b[o] + sum over c, a, b of w[o, c, a, b] x[n, c, i S + a d - P, j S + b d - P]."""
    filters, depth, kh, kw = w.shape
    same = (kh // 2, kw // 2) if padding == "same" else padding
    (si, sj), (pi, pj), (di, dj) = _pairs(stride, same, dilation)
    x = np.pad(x, ((0, 0), (0, 0), (pi, pi), (pj, pj)))
    rows, columns = conv_output_size(x.shape[2], kh, si, 0, di), conv_output_size(x.shape[3], kw, sj, 0, dj)
    out = np.zeros((len(x), filters, rows, columns))
    for o, i, j in np.ndindex(filters, rows, columns):
        first = o // (filters // groups) * depth  # the channels of this filter's group
        window = x[:, first : first + depth, i * si : i * si + di * kh : di, j * sj : j * sj + dj * kw : dj]
        out[:, o, i, j] = (window * w[o]).sum((1, 2, 3)) + (0 if b is None else b[o])
    return out


def conv_transpose2d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1) -> np.ndarray:
    """Every input pixel stamps the kernel, times its value, onto the output: out[.., i S + a d - P, ..] += x w."""
    (si, sj), (pi, pj), (di, dj), (ei, ej) = _pairs(stride, padding, dilation, output_padding)
    n, channels, height, width = x.shape
    depth, kh, kw = w.shape[1:]
    full = np.zeros((n, depth * groups, (height - 1) * si + di * (kh - 1) + ei + 1,
        (width - 1) * sj + dj * (kw - 1) + ej + 1))
    for c, o, i, j, a, k in np.ndindex(channels, depth, height, width, kh, kw):
        to = c // (channels // groups) * depth + o
        full[:, to, i * si + a * di, j * sj + k * dj] += x[:, c, i, j] * w[c, o, a, k]
    out = full[:, :, pi : full.shape[2] - pi, pj : full.shape[3] - pj]
    return out if b is None else out + b[:, None, None]


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False) -> np.ndarray:
    """The largest element of each window."""
    windows, out = _windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    for i, j, inside, _ in windows:
        out[:, :, i, j] = inside.max((2, 3))
    return out


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True) -> np.ndarray:
    """The sum of each window over the number of its places, those in the padding included or not."""
    windows, out = _windows(x, kernel_size, stride, padding, 1, ceil_mode)
    for i, j, inside, places in windows:
        out[:, :, i, j] = inside.sum((2, 3)) / (places if count_include_pad else inside[0, 0].size)
    return out


def adaptive_avg_pool2d(x, output_size) -> np.ndarray:
    """The mean over rows floor(i H / n) .. ceil((i + 1) H / n), and columns alike."""
    ((rows, columns),) = _pairs(output_size)
    out = np.zeros((*x.shape[:2], rows, columns))
    for i, j in np.ndindex(rows, columns):
        window = x[:, :, _part(i, rows, x.shape[2]), _part(j, columns, x.shape[3])]
        out[:, :, i, j] = window.mean((2, 3))
    return out


def kept(x, p: float, seed: int) -> np.ndarray:
    """The mask that dropout draws from a generator with this seed."""
    return np.random.default_rng(seed).random(x.shape, np.float32) >= p


def drop_block(x, p: float, block: int, _, seed: int) -> np.ndarray:
    """A seed at the corner of a block zeroes it; what is left is divided by its share of all."""
    rows, columns = x.shape[2] - block + 1, x.shape[3] - block + 1
    gamma = p / block**2 * x[0, 0].size / (rows * columns)
    draws, mask = np.random.default_rng(seed).random((*x.shape[:2], rows, columns), np.float32), np.ones_like(x)
    for n, c, i, j in np.argwhere(draws < gamma):
        mask[n, c, i : i + block, j : j + block] = 0
    return x * mask * (mask.size / mask.sum())


def mixout(w, u, p: float, _, seed: int) -> np.ndarray:
    """(m u + (1 - m) w - p u) / (1 - p), with one m for each place along axis 1."""
    m = 1 - kept(w.sum(axis=(0, *range(2, w.ndim)), keepdims=True), p, seed)
    return (m * u + (1 - m) * w - p * u) / (1 - p)


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1,
    eps=1e-5) -> np.ndarray:
    """Channel by channel: weight (x - mean) / sqrt(var + eps) + bias."""
    out = np.empty_like(x)
    for c in range(x.shape[1]):
        mean, var = (x[:, c].mean(), x[:, c].var()) if training else (running_mean[c], running_var[c])
        out[:, c] = (x[:, c] - mean) / np.sqrt(var + eps) * (1 if weight is None else weight[c])
        out[:, c] += 0 if bias is None else bias[c]
    return out


def layer_norm(x, shape, weight=None, bias=None, eps=1e-5) -> np.ndarray:
    """Sample by sample: weight (x - mean) / sqrt(var + eps) + bias."""
    out, axes = np.empty_like(x), 1 if isinstance(shape, int) else len(shape)
    for place in np.ndindex(x.shape[:-axes]):
        out[place] = (x[place] - x[place].mean()) / np.sqrt(x[place].var() + eps)
    return out * (1 if weight is None else weight) + (0 if bias is None else bias)


def group_norm(x, groups, weight=None, bias=None, eps=1e-5) -> np.ndarray:
    """Sample by sample and group by group: (x - mean) / sqrt(var + eps); then the scale and bias of each channel."""
    out = np.empty_like(x)
    for n, part in np.ndindex(len(x), groups):
        of_group = slice(part * x.shape[1] // groups, (part + 1) * x.shape[1] // groups)
        values = x[n, of_group]
        out[n, of_group] = (values - values.mean()) / np.sqrt(values.var() + eps)
    for c in range(x.shape[1]):
        out[:, c] = out[:, c] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return out


def instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True) -> np.ndarray:
    """Every channel of every sample by itself, or by the running statistics."""
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias)
    return group_norm(x, x.shape[1], weight, bias)


def reduced(losses, reduction: str) -> np.ndarray:
    """The losses as they are, their sum, or their mean."""
    return {"none": lambda: losses, "sum": losses.sum, "mean": losses.mean}[reduction]()


def nll_loss(x, target, weight=None, ignore_index=-100, reduction="mean", smoothing=0.0) -> np.ndarray:
    """Sample by sample: -weight[c] x[c] for the class c of the target; a part of it spread over all classes."""
    classes = x.shape[1]
    weight = np.ones(classes) if weight is None else weight
    losses, total = np.zeros(target.shape), 0.0
    for place in np.ndindex(target.shape):
        c, row = target[place], x[(place[0], slice(None), *place[1:])]
        if c != ignore_index:
            losses[place] = -(1 - smoothing) * weight[c] * row[c] - smoothing / classes * (weight * row).sum()
            total += weight[c]
    return losses.sum() / total if reduction == "mean" else reduced(losses, reduction)


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0) -> np.ndarray:
    """The negative log-likelihood of log softmax; with probabilities, weighted by them."""
    x = np.log(softmax(x, 1))
    if target.dtype.kind in "iu":
        return nll_loss(x, target, weight, ignore_index, reduction, label_smoothing)
    q = (1 - label_smoothing) * target + label_smoothing / x.shape[1]
    weight = np.ones(x.shape[1]) if weight is None else weight
    return reduced(-np.einsum("nc...,nc...,c->n...", q, x, weight), reduction)


def binary_cross_entropy(p, y, reduction="mean", weight=1.0, pos_weight=1.0) -> np.ndarray:
    """-(y log p + (1 - y) log(1 - p)), the positive part weighted."""
    return reduced(-weight * (pos_weight * y * np.log(p) + (1 - y) * np.log(1 - p)), reduction)


def binary_cross_entropy_with_logits(x, y, **options) -> np.ndarray:
    """Binary cross-entropy of 1 / (1 + exp(-x))."""
    return binary_cross_entropy(1 / (1 + np.exp(-x)), y, **options)


def multi_margin_loss(x, target, p=1, margin=1.0, weight=None, reduction="mean") -> np.ndarray:
    """Sample by sample, class by class: max(0, margin - x_y + x_c)^p over the number of classes."""
    losses = np.zeros(len(x))
    for n, y in enumerate(target):
        for c in range(x.shape[1]):
            if c != y:
                losses[n] += max(0, margin - x[n, y] + x[n, c]) ** p / x.shape[1] * (1 if weight is None else weight[y])
    return reduced(losses, reduction)


def huber(d, delta=1.0) -> np.ndarray:
    """A parabola inside delta, straight outside."""
    return np.where(np.abs(d) < delta, d**2 / 2, delta * (np.abs(d) - delta / 2))


def smooth_l1(d, beta=1.0) -> np.ndarray:
    """Huber's loss over beta."""
    return huber(d, beta) / beta if beta else np.abs(d)


def epsilon_insensitive(x, y, reduction="mean", epsilon=0.1, p=1) -> np.ndarray:
    """What exceeds epsilon, to the power p."""
    return reduced(np.where(np.abs(x - y) <= epsilon, 0, np.abs(x - y) - epsilon) ** p, reduction)


def kl_div(x, target, reduction="mean", log_target=False) -> np.ndarray:
    """target (log target - x)."""
    logp = target if log_target else np.log(target)
    losses = np.exp(logp) * (logp - x)
    return losses.sum() / len(x) if reduction == "batchmean" else reduced(losses, reduction)


def symmetric_kl(x, y, reduction="mean") -> np.ndarray:
    """Half of KL(p || q) and half of KL(q || p), over axis 1."""
    p, q = softmax(x, 1), softmax(y, 1)
    return reduced(((p * np.log(p / q)).sum(1) + (q * np.log(q / p)).sum(1)) / 2, reduction)


def js_divergence(*logits, reduction="mean") -> np.ndarray:
    """The mean over i of KL(p_i || m), with m the mean of all p_i, over axis 1."""
    ps = [softmax(x, 1) for x in logits]
    m = sum(ps) / len(ps)
    return reduced(sum((p * np.log(p / m)).sum(1) for p in ps) / len(ps), reduction)


def _part(i: int, parts: int, size: int) -> slice:
    return slice(math.floor(i * size / parts), math.ceil((i + 1) * size / parts))


def _windows(x, kernel_size, stride, padding, dilation, ceil_mode) -> tuple[Iterator, np.ndarray]:
    """For each window: its place, its elements inside the image, and how many places it has in the padded image."""
    kernel, step, pad, gap = _pairs(kernel_size, kernel_size if stride is None else stride, padding, dilation)
    sizes = [
        pool_output_size(n, k, s, p, d, ceil_mode)
        for n, k, s, p, d in zip(x.shape[2:], kernel, step, pad, gap, strict=True)
    ]

    def walk():
        for i, j in np.ndindex(*sizes):
            at = [[o * s - p + k * d for k in range(f)] for o, s, p, d,
                f in zip((i, j), step, pad, gap, kernel, strict=True)]
            rows, columns = ([q for q in a if 0 <= q < n] for a, n in zip(at, x.shape[2:], strict=True))
            places = math.prod(sum(q < n + p for q in a) for a, n, p in zip(at, x.shape[2:], pad, strict=True))
            yield i, j, x[:, :, rows][:, :, :, columns], places

    return walk(), np.zeros((*x.shape[:2], *sizes))


def _pairs(*values) -> list[tuple[int, int]]:
    return [(v, v) if isinstance(v, int) else tuple(v) for v in values]
