"""Policies: each image gets operations of its own, drawn from a list. RandAugment, TrivialAugment, AutoAugment.

All take images x (N, C, H, W), floats from 0 to 1 of 1 or 3 channels. The operations are Pillow's, as in the papers:
see `adjust`, `warp.affine`. What comes into the image from outside is `fill` and `value`, as for `warp`. The images are
grouped by operation, so that a batch costs a call for each operation and not for each image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import random

from .adjust import check_light
from .common import check_probability
from .operations import OPERATIONS, apply_each, autoaugment_space, magnitudes, space, whole
from .warp import check_fill

__all__ = ["AutoAugment", "RandAugment", "TrivialAugmentWide", "search_policy"]

BINS = 10  # magnitudes of AutoAugment are 0, 1 ... 9


@dataclass(frozen=True)
class RandAugment:
    """`num_ops` operations one after the other, each drawn from fourteen with equal chance, all of one magnitude.

    Identity, ShearX, ShearY, TranslateX, TranslateY, Rotate, Brightness, Color, Contrast, Sharpness, Posterize,
    Solarize, AutoContrast, Equalize. magnitude: a whole number from 0 (all but the last two do nothing) to
    num_magnitude_bins - 1: slope 0.3, a shift by 45 % of the image, 30 degrees, factors 0.1 or 1.9, 4 bits, threshold
    0. What has two directions takes either with equal chance.

    Cubuk, Zoph, Shlens, Le (2020), "RandAugment: Practical automated data augmentation with a reduced search space",
    arXiv:1909.13719; the scale of magnitudes is torchvision's.

    >>> from minidl.data import augment
    >>> augment.RandAugment(num_ops=2, magnitude=9)
    RandAugment(num_ops=2, magnitude=9, num_magnitude_bins=31, fill='constant', value=0.0)
    """

    num_ops: int = 2
    magnitude: int = 9
    num_magnitude_bins: int = 31
    fill: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        whole("RandAugment", "num_ops", self.num_ops, 0)
        whole("RandAugment", "num_magnitude_bins", self.num_magnitude_bins, 2)
        whole("RandAugment", "magnitude", self.magnitude, 0, self.num_magnitude_bins - 1)
        check_fill("RandAugment", self.fill)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_light("RandAugment", x)
        choice = autoaugment_space(*x.shape[2:])
        strength = self.magnitude / (self.num_magnitude_bins - 1)
        for _ in range(self.num_ops):
            which = rng.integers(0, len(choice), len(x))
            values = magnitudes(choice, which, strength, rng)
            x = apply_each(list(choice), which, values, x, {"fill": self.fill, "value": self.value})
        return x, y


@dataclass(frozen=True)
class TrivialAugmentWide:
    """One operation for each image, drawn from the fourteen of RandAugment, with a random magnitude: nothing to tune.

    The magnitude is one of num_magnitude_bins, evenly from nothing to the greatest: slope 0.99, a shift by 32 pixels
    (for images of 32 pixels, the last of it), 135 degrees, factors 0.01 or 1.99, 2 bits left, threshold 0.

    Mueller and Hutter (2021), "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", ICCV,
    arXiv:2103.10158, the "wide" space.
    """

    num_magnitude_bins: int = 31
    fill: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        whole("TrivialAugmentWide", "num_magnitude_bins", self.num_magnitude_bins, 2)
        check_fill("TrivialAugmentWide", self.fill)

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_light("TrivialAugmentWide", x)
        choice = space(shear=0.99, shift=(32.0, 32.0), turn=135.0, light=0.99, bits=6)
        which = rng.integers(0, len(choice), len(x))
        strength = rng.integers(0, self.num_magnitude_bins, len(x)) / (self.num_magnitude_bins - 1)
        values = magnitudes(choice, which, strength, rng)
        return apply_each(list(choice), which, values, x, {"fill": self.fill, "value": self.value}), y


@dataclass(frozen=True, repr=False)
class AutoAugment:
    """A policy that was found: each image gets one of the sub-policies, drawn with equal chance.

    policies: sub-policies, each a sequence of steps (operation, probability, magnitude): the operation is done with
    that probability, with a magnitude from 0 to 9 on the scale of RandAugment (0 nothing, 9 the greatest); besides
    RandAugment's there is "Invert". Steps are plain data, and so is `policy.as_data()`: json can write it, and
    `AutoAugment(data)` is the policy again. `search_policy` finds one.

    Cubuk, Zoph, Mane, Vasudevan, Le (2019), "AutoAugment: Learning Augmentation Policies from Data", CVPR,
    arXiv:1805.09501.

    >>> from minidl.data import augment
    >>> augment.AutoAugment([[["Rotate", 0.7, 2], ["TranslateX", 0.3, 9]], [["Equalize", 0.6, 0]]])
    AutoAugment(
      Rotate(p=0.7, magnitude=2) -> TranslateX(p=0.3, magnitude=9)
      Equalize(p=0.6, magnitude=0)
    )
    """

    policies: Sequence[Sequence[tuple[str, float, int]]]
    fill: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        check_fill("AutoAugment", self.fill)
        policies = tuple(tuple(_step(step) for step in policy) for policy in self.policies)
        if not policies:
            raise ValueError("AutoAugment needs at least one sub-policy, a list of steps [operation, p, magnitude]")
        object.__setattr__(self, "policies", policies)

    def as_data(self) -> list[list[list]]:
        """The sub-policies as nested lists of strings and numbers."""
        return [[list(step) for step in policy] for policy in self.policies]

    def __call__(self, x: np.ndarray, y: Any, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        check_light("AutoAugment", x)
        choice = _operations(*x.shape[2:])
        names = list(choice)
        drawn = rng.integers(0, len(self.policies), len(x))
        for k in range(max(map(len, self.policies))):
            steps = [policy[k] if k < len(policy) else ("Identity", 0.0, 0) for policy in self.policies]
            operation, p, magnitude = (np.array(column)[drawn] for column in zip(*steps, strict=True))
            which = np.array([names.index(name) for name in operation], np.intp)
            values = magnitudes(choice, which, magnitude / (BINS - 1), rng)
            which[rng.random(len(x)) >= p] = -1
            x = apply_each(names, which, values, x, {"fill": self.fill, "value": self.value})
        return x, y

    def __repr__(self) -> str:
        lines = [" -> ".join(f"{name}(p={p:g}, magnitude={m})" for name, p, m in policy) for policy in self.policies]
        outside = f"  fill={self.fill!r}, value={self.value}\n" if (self.fill, self.value) != ("constant", 0.0) else ""
        return "AutoAugment(\n" + "".join(f"  {line}\n" for line in lines) + outside + ")"


def search_policy(
    score: Callable[[AutoAugment], float],
    trials: int = 100,
    keep: int = 5,
    length: int = 2,
    operations: Sequence[str] | None = None,
    rng: random.Rng = None,
) -> AutoAugment:
    """The policy of the `keep` best of `trials` random sub-policies, best first.

    A sub-policy is `length` steps, each with an operation from `operations` (all fifteen but Identity), a probability
    of 0, 0.1 ... 1 and a magnitude of 0, 1 ... 9: the paper's search space, searched at random instead of by a network.
    score: score(policy) -> float, the greater the better, for a policy of this one sub-policy: for instance train a
    small model for some epochs on part of the training set, and return its accuracy on another part. No sub-policy is
    scored twice. rng: None takes the stream "search"; with the same rng and a score that always says the same, so is
    the policy.

    Raises ValueError for a score that is not finite.
    Bergstra and Bengio (2012), "Random Search for Hyper-Parameter Optimization", JMLR 13; search space of Cubuk et al.
    (2019), "AutoAugment", section 3.

    >>> from minidl.data import augment
    >>> fewest = lambda policy: -sum(magnitude for _, _, magnitude in policy.policies[0])
    >>> augment.search_policy(fewest, trials=50, keep=1, operations=["Rotate", "Color"], rng=0)
    AutoAugment(
      Color(p=0.4, magnitude=0) -> Color(p=1, magnitude=0)
    )
    """
    names = [name for name in OPERATIONS if name != "Identity"] if operations is None else list(operations)
    for name, number in (("trials", trials), ("keep", keep), ("length", length)):
        whole("search_policy", name, number, 1)
    if keep > trials or trials > (len(names) * 11 * BINS) ** length:
        raise ValueError(f"search_policy: {trials} trials are fewer than keep={keep}, or more than there are policies")
    rng = random.resolve(rng, "search")
    scores: dict[tuple, float] = {}
    while len(scores) < trials:
        draws = [[int(rng.integers(n)) for n in (len(names), 11, BINS)] for _ in range(length)]
        candidate = AutoAugment([[(names[k], p / 10, magnitude) for k, p, magnitude in draws]])
        if candidate.policies[0] not in scores:
            value = float(score(candidate))
            if not math.isfinite(value):
                raise ValueError(f"search_policy: score returned {value} for {candidate}; it must be a finite number")
            scores[candidate.policies[0]] = value
    return AutoAugment(sorted(scores, key=scores.__getitem__, reverse=True)[:keep])


def _operations(height: int, width: int) -> dict:
    return autoaugment_space(height, width) | {"Invert": (0.0, 0.0, False)}


def _step(step: Sequence) -> tuple[str, float, int]:
    """A checked step (operation, probability, magnitude)."""
    if isinstance(step, str) or len(step) != 3:
        raise ValueError(f"AutoAugment: a step is [operation, probability, magnitude 0 to {BINS - 1}], not {step!r}")
    name, p, magnitude = step
    if name not in OPERATIONS:
        raise ValueError(f"AutoAugment: there is no operation {name!r}; the operations are {', '.join(OPERATIONS)}")
    whole("AutoAugment", f"the magnitude of {name}", magnitude, 0, BINS - 1)
    return name, check_probability("AutoAugment", p, f"the second of {name}"), int(magnitude)
