"""From wrong numbers to the likely cause: the first pattern that fits, the specific ones before the general ones."""

from __future__ import annotations

import numpy as np

from .evidence import Evidence
from .pattern_places import (
    border,
    flipped,
    kink,
    one_element,
    one_sign,
    one_slice,
    other_shape,
    overlap,
    permuted,
    repeated,
    scattered,
    shifted,
    transposed,
    transposed_shape,
    unsummed_shape,
)  # fmt: skip
from .pattern_values import (
    absolute,
    barely,
    constant_ratio,
    ignores_upstream,
    inexact,
    missing_factor,
    missing_term,
    not_finite,
    one_row,
    passes_upstream,
    product,
    summed,
    swapped,
    zero,
)  # fmt: skip
from .report import Finding

SHAPES = [transposed_shape, unsummed_shape, other_shape]
PATTERNS = [
    not_finite, zero, barely, constant_ratio, absolute, ignores_upstream, one_element, one_sign, repeated, missing_term,
    one_row, swapped, transposed, product, flipped, shifted, passes_upstream, one_slice, border, overlap,
    missing_factor, summed, inexact, permuted, scattered,
]  # fmt: skip
PARTIAL = [  # of a very large tensor
    not_finite, zero, barely, constant_ratio, absolute, ignores_upstream, one_sign, inexact,
]  # fmt: skip
VAGUE = {"value", "scattered", "zero", "inexact"}  # findings that a closer look may replace


def diagnose(evidence: Evidence) -> Finding:
    """The first pattern that fits the wrong gradient, or that there is none."""
    if not evidence.wrong.any():
        return Finding(
            "direction", "each element by itself is right, all together are not",
            "a kink of the function along this direction, or contributions too small to be seen alone", "the inputs",
        )  # fmt: skip
    if evidence.corners and np.isfinite(evidence.analytic).all():
        if len(evidence.corners) == evidence.wrong.sum():
            return kink(evidence)
        evidence = evidence.smooth()
    patterns = PATTERNS if evidence.analytic.shape == evidence.numeric.shape else SHAPES
    for pattern in patterns if evidence.whole else PARTIAL:
        finding = pattern(evidence)
        if finding:
            return finding
    return Finding("value", "no simple pattern", "the formula itself", "the derivation, element by element")
