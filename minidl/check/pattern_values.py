"""Patterns in the values of a wrong gradient: ratios, the chain rule, terms left out, the right numbers misplaced.

Each takes the Evidence and returns a Finding, or None if it does not fit.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from .evidence import CLOSE, Evidence, axes_text, same, subsets
from .report import Finding


def not_finite(e: Evidence) -> Finding | None:
    bad = ~np.isfinite(e.analytic)
    if not bad.any():
        return None
    kind = "NaN" if np.isnan(e.analytic).any() else "infinite"
    return Finding(
        "nan", f"{int(bad.sum())} of {bad.size} elements are {kind}, where the right ones are finite",
        "0/0, 0 * inf, log or sqrt of zero, or an overflow in the backward pass",
        "divisions, logarithms, roots and exponentials; minidl.detect_anomaly() names the operation",
    )  # fmt: skip


def zero(e: Evidence) -> Finding | None:
    if e.analytic.any():
        return None
    if e.absent:
        return Finding(
            "missing", "no gradient was returned for it", "backward returns None, or too few gradients", "the return"
        )
    return Finding(
        "zero", "zero everywhere",
        "the gradient is never computed or written, or everything is multiplied by a mask that is zero",
        "what the gradient starts as, and what is added to it",
    )  # fmt: skip


# --- ratios ----------------------------------------------------------------------------------------------------------


def constant_ratio(e: Evidence) -> Finding | None:
    ratio = float(np.vdot(e.numeric, e.analytic) / np.vdot(e.numeric, e.numeric))
    if not same(e.analytic, ratio * e.numeric):
        return None
    if abs(ratio + 1) < CLOSE:
        return Finding(
            "sign", "the sign is flipped: every element is minus the right value",
            "a minus lost or added, as in d(a - b)/db, d(1/x)/dx or d(cos x)/dx", "the signs, term by term",
        )  # fmt: skip
    key, times, cause = _name_ratio(abs(ratio), e.lengths)
    if abs(ratio - 1) < CLOSE or (key == "ratio" and np.count_nonzero(e.numeric) < 2):
        return None
    if key == "ratio" and (forgotten := ignores_upstream(e)):  # of a single number only its value would be seen
        return forgotten
    sign = "the sign is flipped and " if ratio < 0 else ""
    return Finding(key, f"{sign}every element is {times} times the right value", cause, "constant factors")


def _name_ratio(ratio: float, lengths: dict[int, str]) -> tuple[str, str, str]:
    """(key, the ratio in words, the likely cause)."""

    def is_(value: float) -> bool:
        return abs(ratio - value) <= CLOSE * value

    if is_(2.0):
        return "double", "2", "counted twice (added to what was there already), or a factor 1/2 dropped"
    if is_(0.5):
        return "half", "1/2", "a factor 2 lost: of the derivative of a square, or of a value that is used twice"
    for n, meaning in lengths.items():
        if is_(n):
            return "times_n", f"{n}", f"N = {n}, {meaning}: a division by N is missing, a sum where the mean is meant"
        if is_(1 / n):
            return "over_n", f"1/{n}", f"N = {n}, {meaning}: divided by N once too often, a mean where the sum is meant"
    for n, meaning in lengths.items():
        for value, words in ((n / (n - 1), "N/(N-1)"), ((n - 1) / n, "(N-1)/N")) if n > 2 else ():
            if is_(value):
                return "correction", words, f"N = {n}, {meaning}: N and N - 1 confused, as in the two variances"
    return "ratio", f"{ratio:.6g}", "a constant factor is lost, added, or applied twice (a scale, a slope, 1 - p)"


def absolute(e: Evidence) -> Finding | None:
    if not same(e.analytic, np.abs(e.numeric)):
        return None
    return Finding(
        "absolute", "every element is the absolute value of the right one",
        "the sign is lost: an abs, or the root of a square", "where the sign comes from",
    )  # fmt: skip


# --- the chain rule --------------------------------------------------------------------------------------------------


def ignores_upstream(e: Evidence) -> Finding | None:
    other = e.again([2 * u + 1 for u in e.upstream])
    if other is not None and np.array_equal(other, e.analytic):
        return Finding(
            "no_upstream", "the same whatever the upstream gradient is",
            "the local derivative is not multiplied by the upstream gradient (chain rule)",
            "where backward uses the gradient it is given",
        )  # fmt: skip
    scaled = [(factor, e.again([factor * u for u in e.upstream])) for factor in (2, -1)]
    if any(g is not None and not same(g, factor * e.analytic) for factor, g in scaled):
        return Finding(
            "not_linear", "not proportional to the upstream gradient",
            "the upstream gradient enters squared or through a condition, or something is kept, or drawn anew, from "
            "one call to the next", "every use of the upstream gradient",
        )  # fmt: skip
    return None


def passes_upstream(e: Evidence) -> Finding | None:
    if not any(same(e.analytic, u) for u in e.upstream):
        return None
    return Finding(
        "passes_upstream", "this is the upstream gradient, unchanged", "the local derivative is missing (chain rule)",
        "the factor that belongs beside it",
    )  # fmt: skip


def one_row(e: Evidence) -> Finding | None:
    for u in e.upstream:
        for axis in range(u.ndim):
            if not same(u.sum(axis), e.numeric):
                continue
            for i in range(u.shape[axis]):
                if same(e.analytic, np.take(u, i, axis)):
                    return Finding(
                        "unsummed", f"row {i} of the upstream gradient instead of its sum over axis {axis}",
                        f"'{e.name}' is repeated along that axis in the forward pass (broadcasting), so its gradient "
                        "is the sum over it", f"a .sum(axis={axis})",
                    )  # fmt: skip
    return None


def swapped(e: Evidence) -> Finding | None:
    for name, other in e.others.items():
        if same(e.analytic, other):
            return Finding(
                "swapped", f"this is the gradient of '{name}'",
                "gradients returned in the wrong order, or the rule of another argument", "the return",
            )  # fmt: skip
    return None


def missing_factor(e: Evidence) -> Finding | None:
    """numeric = analytic * factor, or analytic / factor, with a factor that is at hand."""
    at_hand = [(f"'{name}'", v) for name, v in e.values.items()] + [("the upstream gradient", u) for u in e.upstream]
    for out in e.outputs:
        at_hand += [("the output", out), ("(1 - output)", 1 - out), ("(1 - output^2)", 1 - out * out)]
    for name, factor in at_hand:
        if factor.size < 3 or factor.shape != e.numeric.shape[e.numeric.ndim - factor.ndim :] or np.ptp(factor) < CLOSE:
            continue
        for verb, repaired in (("missing", e.analytic * factor), ("too much", e.analytic / factor)):
            if same(repaired, e.numeric):
                return Finding(
                    "factor", f"a factor {name} is {verb}",
                    "one factor of the chain rule (or of the product rule) is lost or applied twice",
                    "the local derivative",
                )  # fmt: skip
    return None


def product(e: Evidence) -> Finding | None:
    """A matrix product of the upstream gradient with a wrong transpose or in the wrong order."""
    matrices = [(name, v) for name, v in e.values.items() if v.ndim == 2]
    for u, (name, v) in itertools.product([u for u in e.upstream if u.ndim == 2], matrices):
        ours, theirs = [("dout", u), ("dout.T", u.T)], [(name, v), (f"{name}.T", v.T)]
        for (left, p), (right, q) in (*itertools.product(ours, theirs), *itertools.product(theirs, ours)):
            if p.shape[1] == q.shape[0] and same(e.analytic, p @ q):
                return Finding(
                    "transposed", f"this is {left} @ {right} (dout: the upstream gradient)",
                    "a .T too many or too few, or the factors in the wrong order; square test inputs hide it",
                    "which axis of each factor is summed over",
                )  # fmt: skip
    return None


# --- a term left out -------------------------------------------------------------------------------------------------


def missing_term(e: Evidence) -> Finding | None:
    """The difference is, along some axes, a multiple of something known: that term was left out."""
    x, one = e.value, np.ones_like(e.value)
    kinds = [((one,), "constant")]
    for out in e.outputs:
        if out.shape == x.shape:
            kinds += [((out,), "proportional to the output"), ((np.exp(out),), "proportional to exp(output)")]
    kinds += [((x,), "proportional to the input"), ((one, x), "a constant plus a multiple of the input")]
    for carriers, how in kinds:
        fits = [axes for axes in subsets(x.ndim) if _explains(carriers, e.missing, axes)]
        if fits and (how == "constant" or len(fits[-1]) < x.ndim):  # the same in all rows is no sum over a row
            return _left_out(how, axes_text(fits[-1]))
    return None


def _explains(carriers: tuple, d: np.ndarray, over: tuple) -> bool:
    """Is d, along the axes `over`, a combination of the carriers?"""
    size = math.prod(d.shape[i] for i in over)
    rows = d.size // max(size, 1)
    if rows * (size - len(carriers)) < 3:
        return False

    def lay(a: np.ndarray) -> np.ndarray:
        return np.moveaxis(a, over, range(-len(over), 0)).reshape(rows, size, 1)

    basis, target = np.concatenate([lay(a) for a in carriers], -1), lay(d)
    return bool(np.isfinite(basis).all()) and same(basis @ (np.linalg.pinv(basis) @ target), target)


def _left_out(how: str, axes: str) -> Finding:
    what = f"what is missing is {how} along axis {axes}"
    if how == "constant":
        return Finding(
            "missing_term", what, "a sum or mean over that axis was left out (or added): every element also acts "
            "through it, as in centring, log-softmax or batch norm", f"a sum or mean over axis {axes}",
        )  # fmt: skip
    if "input" in how:
        return Finding(
            "statistics", what, "the terms through mean and variance are missing (or too many): the statistics are "
            "treated as constants, which is right in eval mode and wrong in training", f"the means over axis {axes}",
        )  # fmt: skip
    return Finding(
        "missing_term", what, "the term with a sum over that axis was left out (or added), such as out * sum(g * out) "
        "in softmax and in normalisation: every output depends on its whole row", f"a sum over axis {axes}",
    )  # fmt: skip


def summed(e: Evidence) -> Finding | None:
    for axis, n in enumerate(e.numeric.shape):
        for name in ("sum", "mean"):
            reduced = getattr(e.numeric, name)(axis, keepdims=True)
            if n > 1 and same(e.analytic, np.broadcast_to(reduced, e.numeric.shape)):
                return Finding(
                    "summed", f"every element holds the {name} of the right values over axis {axis}",
                    "summed although the argument was not broadcast along that axis", f"a sum or mean over axis {axis}",
                )  # fmt: skip
    return None


def barely(e: Evidence) -> Finding | None:
    """So near that every pattern which compares up to CLOSE would seem to fit."""
    return inexact(e) if np.abs(e.missing).max() <= 2 * CLOSE * np.abs(e.numeric).max() else None


def inexact(e: Evidence) -> Finding | None:
    off = np.abs(e.missing).max() / np.abs(e.numeric).max()
    if off > 1e-3:
        return None
    return Finding(
        "inexact", f"nearly right: off by {off:.0e} of the largest",
        "an approximation in the rule: single precision, a rounded constant, an eps left out or in the wrong place",
        "constants, eps, and dtype",
    )  # fmt: skip
