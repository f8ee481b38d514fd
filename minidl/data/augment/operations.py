"""The operations that policies choose from: names, what each does with its magnitude, and the papers' ranges.

Cubuk, Zoph, Mane, Vasudevan, Le (2019), "AutoAugment: Learning Augmentation Policies from Data", CVPR,
arXiv:1805.09501, table 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import adjust
from .warp import affine

# name: magnitude at strength 0, at strength 1, and whether it comes with either sign
Space = dict[str, tuple[float, float, bool]]

MOVES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
LIGHT: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "Brightness": lambda x, m: adjust.brightness(x, 1 + m),
    "Color": lambda x, m: adjust.saturation(x, 1 + m),
    "Contrast": lambda x, m: adjust.contrast(x, 1 + m),
    "Sharpness": lambda x, m: adjust.sharpness(x, 1 + m),
    "Posterize": lambda x, m: adjust.posterize(x, np.rint(m)),
    "Solarize": lambda x, m: adjust.solarize(x, m),
    "AutoContrast": lambda x, m: adjust.autocontrast(x),
    "Equalize": lambda x, m: adjust.equalize(x),
    "Invert": lambda x, m: adjust.invert(x),
}
OPERATIONS = ("Identity", *MOVES, *LIGHT)


def move(x: np.ndarray, shear_x, shear_y, right, down, angle, outside: dict) -> np.ndarray:
    """All MOVES at once, for each image one of them, the others 0: slopes, whole pixels, degrees."""
    slopes = np.degrees(np.arctan(shear_x)), np.degrees(np.arctan(shear_y))
    return affine(x, angle, (np.trunc(right), np.trunc(down)), shear=slopes, **outside)


def space(*, shear: float, shift: tuple[float, float], turn: float, light: float, bits: int) -> Space:
    """The fourteen operations of RandAugment and TrivialAugment with these greatest magnitudes.

    shear: a slope. shift: to the right and down, in pixels. turn: in degrees. light: brightness, colour, contrast and
    sharpness get factors from 1 - light to 1 + light. bits: how many of the 8 posterize takes away.
    """
    return {
        "Identity": (0.0, 0.0, False),
        "ShearX": (0.0, shear, True),
        "ShearY": (0.0, shear, True),
        "TranslateX": (0.0, shift[0], True),
        "TranslateY": (0.0, shift[1], True),
        "Rotate": (0.0, turn, True),
        "Brightness": (0.0, light, True),
        "Color": (0.0, light, True),
        "Contrast": (0.0, light, True),
        "Sharpness": (0.0, light, True),
        "Posterize": (8.0, 8.0 - bits, False),
        "Solarize": (256 / 255, 0.0, False),  # so that at strength 0 nothing is inverted, not even white
        "AutoContrast": (0.0, 0.0, False),
        "Equalize": (0.0, 0.0, False),
    }


def autoaugment_space(height: int, width: int) -> Space:
    """The ranges of AutoAugment and RandAugment; shifts up to 150 of 331 pixels."""
    shift = (150 / 331 * width, 150 / 331 * height)
    return space(shear=0.3, shift=shift, turn=30.0, light=0.9, bits=4)


def magnitudes(table: Space, which: np.ndarray, strength: float | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """low + (high - low) strength for each image, (N,), with a random sign where the operation has one."""
    low, high, signed = np.array(list(table.values())).T
    values = low[which] + (high - low)[which] * strength
    return np.where((signed[which] > 0) & (rng.random(len(which)) < 0.5), -values, values)


def apply_each(names: list[str], which: np.ndarray, values: np.ndarray, x: np.ndarray, outside: dict) -> np.ndarray:
    """Operation names[which[n]] with magnitude values[n] on image n of x, in place; which < 0 leaves an image alone.

    One call for each operation, with all the images that drew it, and a single one for all that are moved.
    """
    for name, function in LIGHT.items():
        chosen = np.flatnonzero(which == names.index(name)) if name in names else ()
        if len(chosen):
            x[chosen] = function(x[chosen], values[chosen])
    moves = np.array([which == names.index(name) for name in MOVES])  # (5, N)
    chosen = np.flatnonzero(moves.any(0))
    if len(chosen):
        x[chosen] = move(x[chosen], *np.where(moves, values, 0.0)[:, chosen], outside)
    return x


def whole(where: str, what: str, value: Any, least: int, most: float = math.inf) -> None:
    """Raise a ValueError unless value is an integer from least to most."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        upto = f" to {most}" if most < math.inf else " up"
        raise ValueError(f"{where}: {what} is a whole number from {least}{upto}, not {value!r}")
