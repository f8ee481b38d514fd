"""The list of parameters that an optimiser or a clipping function is given, checked."""

from __future__ import annotations

from collections.abc import Iterable

from ..arrays import describe
from ..engine import Tensor


def as_list(params: Iterable, owner: str) -> list:
    """The items of `params`, which must be a non-empty iterable with a fixed order."""
    if hasattr(params, "parameters"):
        raise TypeError(f"{owner} wants parameters, not the module itself: pass model.parameters()")
    if isinstance(params, Tensor | dict | str | set | frozenset) or not isinstance(params, Iterable):
        raise TypeError(
            f"{owner} wants an ordered collection of parameters, such as model.parameters() or [w, b], not "
            f"{describe(params)}"
        )
    items = list(params)
    if not items:
        raise ValueError(
            f"{owner} got an empty collection of parameters. A generator such as model.parameters() can be walked "
            "once only: call it again, or keep list(model.parameters())"
        )
    return items


def collect(params: Iterable, owner: str) -> dict[Tensor, str | None]:
    """Each parameter with its name, or None: floating leaves, none of them twice.

    params: Tensors, or pairs (name, Tensor) as `model.named_parameters()` yields them.
    """
    found: dict[Tensor, str | None] = {}
    for k, item in enumerate(as_list(params, owner)):
        name, p = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
        label = f"parameter {k}" if name is None else f"parameter {k} ({name!r})"
        if not isinstance(p, Tensor) or not isinstance(name, str | None):
            raise TypeError(f"{owner}: {label} must be a Tensor or a pair (name, Tensor), not {describe(item)}")
        if p.dtype.kind != "f":
            raise TypeError(f"{owner}: {label} is {describe(p)}; only floating dtypes can be optimised, use .float()")
        if not p.is_leaf:
            raise ValueError(
                f"{owner}: {label}, {describe(p)}, is the result of an operation. Optimise the leaves it was made "
                "from, or make it a leaf: Tensor(t.numpy(), requires_grad=True)"
            )
        if p in found:
            first = next(i for i, q in enumerate(found) if q is p)
            raise ValueError(f"{owner}: {label}, {describe(p)}, is parameter {first} again; give each only once")
        found[p] = name
    if len({name is None for name in found.values()}) == 2:
        raise ValueError(f"{owner}: some parameters have names and some do not; name all of them or none")
    return found
