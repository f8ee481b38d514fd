"""Is this value right? What a forward function returned beside what it should return, with a diagnosis.

The patterns are those of the gradients; what they say about causes is put into other words where it speaks of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from .diagnose import SHAPES
from .evidence import Evidence, axes_text, same, subsets
from .pattern_places import border, flipped, one_element, one_sign, one_slice, permuted, scattered, shifted, transposed
from .pattern_values import absolute, constant_ratio, inexact, missing_factor, missing_term, not_finite, summed, zero
from .report import Finding, Result
from .returned import as_numbers


def compare_value(
    name: str, got, expected, *, inputs: Mapping | None = None, rtol: float = 1e-6, atol: float = 0.0
) -> Result:
    """Compare what a function returned with what it should return.

        |got - expected| <= rtol max |expected| + atol        for every element

    got: anything; what is not an array (or a number where the shape is ()), has another shape or another dtype than
        expected (float32 for float64, an integer for a float) or holds a NaN is wrong, never an error.
    expected: an array or a number; it may hold infinities, which must be met exactly.
    inputs: the arguments of the function by name, for the explanation.

    Returns a `Result` of order 0: right, wrong, empty, or flat, if zeros are expected and returned: a function that
    computes nothing would pass as well. index, analytic and numeric are the worst element, returned and expected.
    Raises ValueError if expected is no array of numbers, or holds a NaN.
    Source: Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed. 2002, section 1.2 (relative error).

    >>> import numpy as np
    >>> from minidl.check import compare_value
    >>> x, b = np.arange(6.0).reshape(2, 3), np.array([1.0, -2.0, 4.0])
    >>> print("\\n".join(compare_value("out", x, x + b, inputs={"x": x, "b": b}).lines()))
    out (2, 3): wrong, 6 of 6 elements
      worst at [0, 2]: got 2, expected 6
      this is the input 'x', unchanged
      likely cause: nothing is computed, or the result is kept elsewhere than in what is returned
      look at: the return
    """
    right = as_numbers(expected, None)
    if isinstance(right, Finding) or np.isnan(right).any():
        raise ValueError(f"compare_value: expected must be numbers without NaN, not {right}")
    result, array = Result(name, 0, right.shape), as_numbers(got, right.shape)
    if isinstance(array, Finding):
        result.finding = array
    else:
        with np.errstate(all="ignore"):
            result.finding = _compare(result, array, right, dict(inputs or {}), rtol, atol)
        result.finding = result.finding or _other_dtype(array, right)
    if result.finding:
        result.verdict, result.finding = "wrong", _of_values(result.finding)
    elif not right.any():
        result.verdict = "flat" if right.size else "empty"
    return result


def _compare(
    result: Result, array: np.ndarray, right: np.ndarray, inputs: dict, rtol: float, atol: float
) -> Finding | None:
    """Fill in the numbers of the result; what is wrong with them."""
    got, right = array.astype(np.float64), right.astype(np.float64)
    given = {k: np.asarray(v, np.float64) for k, v in inputs.items() if getattr(v, "dtype", np.dtype("O")).kind == "f"}
    if got.shape != right.shape:
        return next(filter(None, (pattern(_evidence(result.name, got, right, given)) for pattern in OTHER_SHAPES)))
    met = np.isinf(right) & (got == right)
    infinite, got, right = np.isinf(right) & ~met, np.where(met, 0.0, got), np.where(met, 0.0, right)
    top = float(np.abs(right[np.isfinite(right)]).max(initial=0.0))
    gap = np.nan_to_num(np.abs(got - right), nan=np.inf)
    wrong = gap > rtol * top + atol
    result.checked, result.wrong = right.size, int(wrong.sum())
    if not wrong.any():
        result.error = float(gap.max(initial=0.0) / top) if top else 0.0
        return None
    worst = np.unravel_index(int(np.argmax(gap)), right.shape)
    result.index, result.error = tuple(map(int, worst)), float(gap.max() / top) if top else np.inf
    result.analytic, result.numeric = float(got[worst]), float(right[worst])
    if infinite.any() and not np.isnan(got).any():
        return Finding(
            "finite", f"{int(infinite.sum())} of {infinite.size} elements are not the infinity they should be",
            "a mask with an infinity (before a softmax, or under a max) is left out or inverted", "the mask",
        )  # fmt: skip
    return _diagnose(_evidence(result.name, got, right, given, wrong))


def _evidence(name: str, got: np.ndarray, right: np.ndarray, given: dict, wrong: np.ndarray | None = None) -> Evidence:
    x = next((v for v in given.values() if v.shape == right.shape), np.full(right.shape, np.nan))
    return Evidence(name, x, got, right, wrong, [], [right], lambda upstream: None, given)


def _diagnose(e: Evidence) -> Finding:
    same_shape = [v for v in e.values.values() if v.shape == e.numeric.shape]
    for pattern in PATTERNS:
        for x in same_shape if pattern in OF_THE_INPUT and len(same_shape) > 1 else [e.value]:
            finding = pattern(replace(e, value=x))
            if finding:
                return finding
    return Finding("value", "no simple pattern", "the formula itself", "each step, for one element by hand")


# --- patterns of values alone ----------------------------------------------------------------------------------------


def unchanged(e: Evidence) -> Finding | None:
    for name, v in e.values.items():
        if same(e.analytic, v):
            return Finding(
                "unchanged", f"this is the input '{name}', unchanged",
                "nothing is computed, or the result is kept elsewhere than in what is returned", "the return",
            )  # fmt: skip
    return None


def left_out(e: Evidence) -> Finding | None:
    """Right but for an input that was to be added (or subtracted)."""
    for name, v in e.values.items():
        if v.shape != e.numeric.shape[e.numeric.ndim - v.ndim :]:
            continue
        for term, what in ((v, "missing"), (-v, "too much")):
            if same(np.broadcast_to(term, e.numeric.shape), e.missing):
                return Finding(
                    "left_out", f"the term '{name}' is {what}", "it is not added, added twice, or subtracted",
                    f"where '{name}' is used",
                )  # fmt: skip
    return None


def offset(e: Evidence) -> Finding | None:
    if e.numeric.size < 3 or not same(np.full(e.missing.shape, e.missing.mean()), e.missing):
        return None
    return Finding(
        "offset", f"every element is off by the same amount, {-e.missing.mean():.6g}",
        "a constant is left out, added twice, or of the wrong sign", "the terms that are the same for all elements",
    )  # fmt: skip


def factor(e: Evidence) -> Finding | None:
    return missing_factor(replace(e, outputs=[]))  # only inputs: the result is no factor of itself


def unsummed_mean(e: Evidence) -> Finding | None:
    for axes in subsets(e.analytic.ndim):
        if e.analytic.size and same(np.asarray(e.analytic.mean(axes)), e.numeric):
            return Finding("unsummed", f"shape {e.analytic.shape} for {e.numeric.shape}: not averaged over axis "
                           f"{axes_text(axes)}", "", "")  # fmt: skip
    return None


OTHER_SHAPES = [unsummed_mean, *SHAPES]
PATTERNS: list[Callable[[Evidence], Finding | None]] = [
    not_finite, zero, unchanged, constant_ratio, left_out, offset, one_element, one_sign, transposed, flipped, shifted,
    one_slice, border, factor, absolute, summed, permuted, missing_term, inexact, scattered,
]  # fmt: skip
OF_THE_INPUT = (one_sign, missing_term)  # they look at the value of an input of the same shape


# --- in other words --------------------------------------------------------------------------------------------------

WORDS = {  # key of a finding: its cause and hint for a value
    "nan": ("0/0, inf - inf, 0 * inf, log or sqrt of zero, or an overflow",
            "divisions, logarithms, roots and exponentials"),
    "zero": ("the result is never computed or written, or everything is multiplied by a mask that is zero",
             "what the result starts as, and what is added to it"),
    "sign": ("a minus lost or added", "the signs, term by term"),
    "half": ("a factor 2 lost, or a factor 1/2 too many", "constant factors"),
    "unsummed": ("the sum or mean at the end is left out, or goes over another axis", "the axis of the last step"),
    "shape": ("a reshape, a keepdims, an axis or a sum is missing or too many", "the shape of each step"),
    "reshaped": ("reshape was used where transpose is meant: it keeps the scan order, and so moves the values",
                 "every reshape"),
    "permuted": ("an index array, a permutation where its inverse is meant, or reshape where transpose is meant",
                 "the indices"),
    "missing_term": ("a term or a factor that is the same along that axis (a bias, a mean, a sum, a norm) is left out, "
                     "or taken over another axis", "every axis="),
    "statistics": ("a shift or a scale that is the same along that axis is left out or another one: mean and variance "
                   "of the batch and the running ones confused, or taken over another axis", "every axis="),
    "border": ("padding: windows that overhang the edge are dropped, counted twice, or cut at the wrong side",
               "padding and cropping"),
    "factor": ("a multiplication is left out, or done twice", "the products"),
    "summed": ("reduced over an axis that should stay", "a sum or mean over that axis"),
    "inexact": ("an approximation: single precision, a rounded constant, an eps left out or in the wrong place",
                "constants, eps, and dtype"),
}  # fmt: skip


def _of_values(finding: Finding) -> Finding:
    cause, hint = WORDS.get(finding.key, (finding.cause, finding.hint))
    return replace(finding, cause=cause, hint=hint)


def _other_dtype(array: np.ndarray, right: np.ndarray) -> Finding | None:
    """The values are right; is the dtype? Of integers only the kind is compared."""
    kinds = ["i" if a.dtype.kind == "u" else a.dtype.kind for a in (array, right)]
    if kinds[0] == kinds[1] and (kinds[0] != "f" or array.dtype.itemsize == right.dtype.itemsize):
        return None
    return Finding(
        "dtype", f"the values are right, the dtype is not: {array.dtype} for {right.dtype}",
        "a cast, an array made with another dtype (np.zeros without dtype=, np.float32), or a comparison",
        "the dtype of each step: what goes in as float64 comes out as float64",
    )  # fmt: skip
