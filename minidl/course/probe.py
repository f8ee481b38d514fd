"""Random inputs for a check, whose dimensions cannot be mistaken for each other."""

from __future__ import annotations

from itertools import combinations

import numpy as np


def probe(seed: int, *, spread: bool = False, **shapes: str | int) -> dict[str, np.ndarray]:
    """Random float64 arrays by name, from shapes in letters and the size of each letter.

    Letters are dimensions; two that have the same size are refused, for then a transposed answer, a sum over the wrong
    axis or a division by the wrong N could pass. Sizes are given by capital letters, arrays by their names.
    spread: all values of an array differ by at least 1/8, and none is nearer to zero than 1/32: away from the kinks of
        relu, abs and max.
    Raises ValueError for equal sizes, for letters without a size, and for sizes without use.

    >>> from minidl import course
    >>> inputs = course.probe(0, x="NF", w="FK", b="K", N=2, F=3, K=4)
    >>> {name: a.shape for name, a in inputs.items()}
    {'x': (2, 3), 'w': (3, 4), 'b': (4,)}
    """
    sizes = {name: n for name, n in shapes.items() if isinstance(n, int)}
    letters = {name: text for name, text in shapes.items() if isinstance(text, str)}
    used = set("".join(letters.values()))
    if used != set(sizes):
        raise ValueError(f"the arrays use the dimensions {sorted(used)}, sizes are given for {sorted(sizes)}")
    for a, b in combinations(sizes, 2):
        if sizes[a] == sizes[b]:
            raise ValueError(f"{a} and {b} are both {sizes[a]}: a check could not tell them apart; choose other sizes")
    rng = np.random.default_rng(seed)
    draw = _spread if spread else lambda shape, rng: rng.standard_normal(shape)
    return {name: draw(tuple(sizes[letter] for letter in text), rng) for name, text in letters.items()}


def _spread(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A shuffled ladder of steps of 1/8 around zero, which itself is not on it."""
    n = int(np.prod(shape))
    return (rng.permutation(n) - n // 2 + 0.25).reshape(shape) / 8
