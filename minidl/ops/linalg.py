"""Products: matrices, the affine map, and einsum."""

from __future__ import annotations

import math

import numpy as np

from .. import kernels
from ..arrays import common_floats, describe, raw_of, shape_of
from ..engine import Tensor, primitive
from .arithmetic import where
from .index import getitem
from .reduce import sum
from .shape import broadcast_to, permute, reshape, unsqueeze


@primitive
def _matmul(x, y):
    return kernels.matmul(x, y)
_matmul.vjp(lambda g, y: _matmul(g, y.mT), lambda g, x: _matmul(x.mT, g))


def matmul(x, y):
    """Matrix product x @ y: (..., N, K) @ (..., K, M) -> (..., N, M); vectors and batch axes as in NumPy."""
    a, b = raw_of(x), raw_of(y)
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(
            f"matmul: {describe(x)} @ {describe(y)}: the last axis of the first must be as long as the "
            f"{'second to last' if b.ndim > 1 else 'only'} axis of the second; is one of them transposed?"
        )
    x, y = x if isinstance(x, Tensor) else a, y if isinstance(y, Tensor) else b
    if a.dtype is not b.dtype:
        x, y = common_floats([x, y])
    if a.ndim == 1 or b.ndim == 1:  # a vector is a row on the left, a column on the right
        rows = unsqueeze(x, 0) if a.ndim == 1 else x
        out = matmul(rows, unsqueeze(y, 1) if b.ndim == 1 else y)
        shape = out.shape[: -2 if a.ndim == 1 else -1] + (out.shape[-1:] if b.ndim > 1 else ())
        return reshape(out, shape)
    if a.shape[:-2] != b.shape[:-2]:
        lead = zip(a.shape[-3::-1], b.shape[-3::-1], strict=False)
        if any(n != m and 1 not in (n, m) for n, m in lead):
            raise ValueError(f"matmul: {describe(x)} @ {describe(y)}: the axes before the last two do not broadcast")
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        x, y = broadcast_to(x, batch + a.shape[-2:]), broadcast_to(y, batch + b.shape[-2:])
    return _matmul(x, y)


@primitive
def _affine(x, weight, bias):
    out = kernels.matmul(x, weight.T)  # (N, I) @ (I, O) -> (N, O)
    if bias is not None:
        out += bias
    return out
_affine.vjp(lambda g, weight: _matmul(g, weight), lambda g, x: _matmul(g.T, x), lambda g: sum(g, 0))


def linear(x, weight, bias=None):
    """The affine map x @ weight.T + bias.

    x (..., in_features), weight (out_features, in_features), bias (out_features) -> (..., out_features).
    """
    a, w = raw_of(x), raw_of(weight)
    if w.ndim != 2 or not a.ndim or a.shape[-1] != w.shape[1]:
        images = a.ndim > 2 and w.ndim == 2 and math.prod(a.shape[1:]) == w.shape[1]
        raise ValueError(
            f"linear: input {describe(x)} has {a.shape[-1] if a.ndim else 'no'} features in its last axis, but the "
            f"weight {describe(weight)} is (out_features, in_features)"
            + ("; flatten the images first (nn.Flatten)" if images else "")
        )
    if bias is not None and raw_of(bias).shape != w.shape[:1]:
        raise ValueError(f"linear: bias {describe(bias)} must have shape {w.shape[:1]}, one number for each output")
    x, weight = x if isinstance(x, Tensor) else a, weight if isinstance(weight, Tensor) else w
    if a.dtype is not w.dtype:
        x, weight = common_floats([x, weight])
    if a.ndim == 2:
        return _affine(x, weight, bias)
    rows = reshape(x, (math.prod(a.shape[:-1]), a.shape[-1]))
    return reshape(_affine(rows, weight, bias), (*a.shape[:-1], len(w)))


def tril(x, diagonal: int = 0):
    """The lower triangle of each matrix, zero above the diagonal."""
    return where(_triangle(x, diagonal), x, 0.0)


def triu(x, diagonal: int = 0):
    """The upper triangle of each matrix, zero below the diagonal."""
    return where(_triangle(x, diagonal - 1), 0.0, x)


def _triangle(x, diagonal: int) -> np.ndarray:
    if len(shape_of(x)) < 2:
        raise ValueError(f"a triangle is part of a matrix (..., N, M); {describe(x)} has fewer than two axes")
    return np.tri(*shape_of(x)[-2:], diagonal, dtype=bool)


@primitive
def _einsum(x, y, spec):
    return np.einsum(spec, x, y, optimize=True)
_einsum.vjp(
    lambda g, y, spec: _einsum(g, y, "{2},{1}->{0}".format(*_letters(spec))),
    lambda g, x, spec: _einsum(g, x, "{2},{0}->{1}".format(*_letters(spec))),
)


def _letters(spec: str) -> list[str]:
    return spec.replace("->", ",").split(",")


def einsum(spec: str, *operands):
    """Sum of products over named axes: einsum("nk,km->nm", x, y) is the matrix product.

    Without "->" the result has the letters that occur once, in alphabetical order; "..." stands for batch axes.
    Operands are multiplied from left to right, so that every step and its derivative is a product of two.
    """
    inputs, output = _parse(spec, operands)
    operands = common_floats(list(operands))
    terms = list(zip(inputs, operands, strict=True))
    letters, x = terms.pop(0)
    letters, x = _diagonal(letters, x)
    while True:
        wanted = set(output).union(*(t for t, _ in terms))
        letters, x = _sum_out(letters, x, wanted)
        if not terms:
            return permute(x, tuple(letters.index(c) for c in output))
        other, y = _diagonal(*terms.pop(0))
        later = set(output).union(*(t for t, _ in terms))
        other, y = _sum_out(other, y, later | set(letters))
        merged = "".join(c for c in dict.fromkeys(letters + other) if c in later)
        x, letters = _einsum(x, y, f"{letters},{other}->{merged}"), merged


def _parse(spec: str, operands: tuple) -> tuple[list[str], str]:
    left, arrow, output = spec.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(operands):
        raise ValueError(f"einsum: '{spec}' names {len(inputs)} operand(s), but {len(operands)} were given")
    named = "".join(inputs + [output]).replace("...", "")
    if not all(c.isalpha() and c.isascii() for c in named):
        raise ValueError(f"einsum: axes are named by letters a-z and A-Z, '...' stands for batch axes; got '{spec}'")
    free = [c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in spec]
    axes = [len(shape_of(x)) for x in operands]
    widest = max((n - len(t) + 3 for t, n in zip(inputs, axes, strict=True) if "..." in t), default=0)
    batch = "".join(free[:widest])
    for i, (t, n) in enumerate(zip(inputs, axes, strict=True)):
        if "..." in t:
            inputs[i] = t.replace("...", batch[widest - (n - len(t) + 3) :])
        if len(inputs[i]) != n:
            raise ValueError(f"einsum: '{t}' does not name the {n} axes of {describe(operands[i])}")
    if not arrow:
        every = "".join(inputs)
        output = batch + "".join(sorted(c for c in set(every) if every.count(c) == 1 and c not in batch))
    output = output.replace("...", batch)
    if len(set(output)) != len(output) or not set(output) <= set("".join(inputs)):
        raise ValueError(f"einsum: the result '{output}' must name each axis once, and only axes of the operands")
    sizes: dict[str, int] = {}
    for t, x in zip(inputs, operands, strict=True):
        for c, n in zip(t, shape_of(x), strict=True):
            if sizes.setdefault(c, n) != n:
                raise ValueError(f"einsum: axis '{c}' of '{spec}' is {sizes[c]} long in one operand and {n} in another")
    return inputs, output


def _diagonal(letters: str, x):
    """A letter that is repeated within an operand walks along the diagonal."""
    for c in dict.fromkeys(letters):
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            rest = tuple(k for k in range(len(letters)) if k not in (i, j))
            along = np.arange(shape_of(x)[i])
            x = getitem(permute(x, (i, j, *rest)), (along, along))
            letters = c + "".join(letters[k] for k in rest)
    return letters, x


def _sum_out(letters: str, x, wanted: set):
    """Sum over the axes that nobody needs any more."""
    axes = tuple(i for i, c in enumerate(letters) if c not in wanted)
    return "".join(c for c in letters if c in wanted), sum(x, axes) if axes else x
