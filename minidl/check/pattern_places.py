"""Patterns in where a gradient is wrong: its shape, right numbers in wrong places, one row, the border, the overlaps.

Each takes the Evidence and returns a Finding, or None if it does not fit.
"""

from __future__ import annotations

import itertools

import numpy as np

from .evidence import Evidence, axes_text, same, subsets
from .report import Finding

# --- the shape -------------------------------------------------------------------------------------------------------


def transposed_shape(e: Evidence) -> Finding | None:
    if e.analytic.ndim < 2 or not same(e.analytic.T, e.numeric):
        return None
    return Finding(
        "transposed", f"shape {e.analytic.shape} for {e.numeric.shape}: the right values, transposed",
        "a .T too many or too few, or the factors of a matrix product in the wrong order", "where .T stands",
    )  # fmt: skip


def unsummed_shape(e: Evidence) -> Finding | None:
    for axes in subsets(e.analytic.ndim):
        total = e.analytic.sum(axes)
        if total.size == e.numeric.size and same(total.reshape(e.numeric.shape), e.numeric):
            return Finding(
                "unsummed", f"shape {e.analytic.shape} for {e.numeric.shape}: not summed over axis {axes_text(axes)}",
                f"'{e.name}' is repeated along that axis in the forward pass (broadcasting), so its gradient is the "
                "sum over it", f"a .sum(axis={axes_text(axes)}) at the end",
            )  # fmt: skip
    return None


def other_shape(e: Evidence) -> Finding | None:
    values = ": the right values, laid out otherwise" if same(e.analytic.ravel(), e.numeric.ravel()) else ""
    return Finding(
        "shape", f"shape {e.analytic.shape} for {e.numeric.shape}{values}",
        "a gradient has the shape of what it belongs to; a reshape, a keepdims or a sum is missing", "every shape",
    )  # fmt: skip


# --- the right numbers in the wrong places ---------------------------------------------------------------------------


def transposed(e: Evidence) -> Finding | None:
    for axes in itertools.permutations(range(e.numeric.ndim)):
        turned = e.numeric.transpose(axes)
        how = "transposed" if e.numeric.ndim == 2 else f"with the axes in the order {axes}"
        if same(e.analytic, turned):
            return Finding(
                "transposed", f"the right values, {how}",
                "a .T (or an order of axes) too many or too few; square test inputs hide it from the shapes",
                "the order of the factors and of the axes",
            )  # fmt: skip
        if same(e.analytic.ravel(), turned.ravel()):
            return Finding(
                "reshaped", f"the right values, {how}, then reshaped to fit",
                "reshape was used where transpose is meant: it keeps the scan order, and so moves the values",
                "every reshape in backward",
            )  # fmt: skip
    return None


def flipped(e: Evidence) -> Finding | None:
    for axes in subsets(e.numeric.ndim):
        if same(e.analytic, np.flip(e.numeric, axes)):
            return Finding(
                "flipped", f"the right values in reversed order along axis {axes_text(axes)}",
                "a kernel flipped that should not be, or the reverse: correlation and convolution confused",
                "[::-1] and np.flip",
            )  # fmt: skip
    return None


def shifted(e: Evidence) -> Finding | None:
    for axis, n in enumerate(e.numeric.shape):
        for step in (1, -1) if n >= 3 else ():
            there = np.take(e.analytic, range(max(step, 0), n + min(step, 0)), axis)
            here = np.take(e.numeric, range(max(-step, 0), n + min(-step, 0)), axis)
            if same(there, here):
                return Finding(
                    "shifted", f"the right values, shifted by {step} along axis {axis}",
                    "off by one: a slice or window that starts one too early or too late, or padding",
                    "start and stop of the slices",
                )  # fmt: skip
    return None


def permuted(e: Evidence) -> Finding | None:
    if e.numeric.size < 4 or not same(np.sort(e.analytic.ravel()), np.sort(e.numeric.ravel())):
        return None
    return Finding(
        "permuted", "the right values in the wrong places",
        "an index array, a permutation where its inverse is meant, or reshape where transpose is meant",
        "the indices in backward: argsort undoes a permutation",
    )  # fmt: skip


# --- a part is wrong -------------------------------------------------------------------------------------------------


def one_element(e: Evidence) -> Finding | None:
    if e.wrong.sum() != 1 or e.wrong.size < 3:
        return None
    index = np.argwhere(e.wrong)[0].tolist()
    return Finding(
        "one_element", f"only the element {index} is wrong",
        "a special case, the end of a loop, a tie, or = where += is meant", f"what is special about {index}",
    )  # fmt: skip


def one_slice(e: Evidence) -> Finding | None:
    for axis, n in enumerate(e.wrong.shape):
        hit = np.unique(np.nonzero(e.wrong)[axis]).tolist()
        if n >= 3 and len(hit) == 1:
            place = {0: " (the first)", n - 1: " (the last)"}.get(hit[0], "")
            return Finding(
                "one_slice", f"only index {hit[0]} of axis {axis} is wrong{place}",
                "a loop or slice that starts or stops one too early, or a row that is overwritten",
                f"range() and slices along axis {axis}",
            )  # fmt: skip
    return None


def one_sign(e: Evidence) -> Finding | None:
    for text, there in (("negative", e.value < 0), ("positive", e.value > 0)):
        if 2 <= there.sum() <= there.size - 2 and np.array_equal(e.wrong, there):
            return Finding(
                "one_sign", f"wrong exactly where the input is {text}",
                "the mask of relu, abs or the like: missing, inverted, or its slope on that side", "the condition",
            )  # fmt: skip
    return None


def kink(e: Evidence) -> Finding:
    """Right everywhere but at kinks."""
    i, (low, high) = next(iter(e.corners.items()))
    return Finding(
        "kink", f"wrong only at kinks ({len(e.corners)} of {e.wrong.size} elements): the slopes on the two sides are "
        f"{low:.6g} and {high:.6g} there (times the upstream gradient); what lies between is right, "
        f"{e.analytic.flat[i]:.6g} is not",
        "the value for the point itself (relu or abs at 0, a tie in max) is neither slope nor between them, or the "
        "slopes of both sides are added up", "> and >= in the condition; what is returned for a tie",
    )  # fmt: skip


def repeated(e: Evidence) -> Finding | None:
    """Wrong only in rows that an integer input names more than once."""
    hit = set(np.nonzero(e.wrong)[0].tolist()) if e.wrong.ndim else set()
    for index in e.constants:
        names, count = np.unique(index, return_counts=True)
        if index.dtype.kind in "iu" and hit and hit <= set(names[count > 1].tolist()) and (count == 1).any():
            return Finding(
                "repeated", "only rows whose index occurs more than once are wrong",
                "= where += is meant: repeated indices overwrite each other instead of adding up",
                "np.add.at, or a loop with +=",
            )  # fmt: skip
    return None


def border(e: Evidence) -> Finding | None:
    """Wrong near the edge of the last two axes (or of the last one), right inside."""
    for axes, width in itertools.product(((-2, -1), (-1,)), (1, 2, 3)):
        if e.wrong.ndim < len(axes):
            continue
        inside = tuple(slice(width, -width) if i - e.wrong.ndim in axes else slice(None) for i in range(e.wrong.ndim))
        edge = np.ones(e.wrong.shape, bool)
        edge[inside] = False
        if e.wrong[inside].size and not e.wrong[inside].any() and 2 * e.wrong[edge].sum() >= edge.sum():
            return Finding(
                "border", f"only the border of axis {axes_text(axes)} is wrong, {width} wide; the inside is right",
                "padding: windows that overhang the edge are dropped, counted twice, or cut at the wrong side",
                "padding and cropping in backward",
            )  # fmt: skip
    return None


def overlap(e: Evidence) -> Finding | None:
    """Right only where a single window reaches: the corners, and what lies between strided windows."""
    if e.wrong.ndim < 2 or min(e.wrong.shape[-2:]) < 3:
        return None
    right = ~e.wrong.any(axis=tuple(range(e.wrong.ndim - 2)))
    if not right[0, 0] or not np.array_equal(right, np.outer(right.any(axis=1), right.any(axis=0))):
        return None
    return Finding(
        "overlap", "right in the corners, wrong wherever several windows overlap",
        "= where += is meant: a window overwrites what its neighbour has contributed",
        "the line that writes a window into the gradient",
    )  # fmt: skip


def scattered(e: Evidence) -> Finding | None:
    if e.wrong.sum() > 0.5 * e.wrong.size:
        return None
    return Finding(
        "scattered", f"{int(e.wrong.sum())} of {e.wrong.size} elements are wrong, the others right",
        "what these elements have in common: ties, a mask, a repeated index written with = where += is meant",
        f"for example {np.argwhere(e.wrong)[:3].tolist()}",
    )  # fmt: skip
