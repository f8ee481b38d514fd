"""Penalties on weights, added to a loss. The factors are those of the notes, and stand in each docstring."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from ..arrays import describe
from ..engine import Tensor
from .module import Module
from .norm import Norm
from .parameter import Parameter
from .state import own_parameters


def weights(module: Module) -> Iterator[Parameter]:
    """The parameters that penalties are meant for: no biases, none of norm layers, no single numbers; each once.

    A bias is a parameter whose name begins with "bias".

    >>> from minidl import nn
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1))
    >>> [w.shape for w in nn.weights(model)]
    [(3, 2), (1, 3)]
    """
    seen = set()
    for layer in module.modules():
        for name, parameter in () if isinstance(layer, Norm) else own_parameters(layer):
            if parameter.ndim and not name.startswith("bias") and parameter not in seen:
                seen.add(parameter)
                yield parameter


def l1_penalty(params: Iterable[Tensor], strength: float, n: int = 1) -> Tensor:
    """strength / n * sum |w|; its gradient is strength / n * sign(w), 0 at 0. Tibshirani 1996."""
    return _total(params, lambda w: w.abs()) * (strength / n)


def l2_penalty(params: Iterable[Tensor], strength: float, n: int = 1) -> Tensor:
    """strength / (2 n) * sum w^2; its gradient is strength / n * w.

    With n = 1 and plain SGD this is `weight_decay=strength`. Hoerl and Kennard 1970.
    """
    return _total(params, lambda w: w * w) * (strength / (2 * n))


def elastic_penalty(params: Iterable[Tensor], strength: float, beta: float, n: int = 1) -> Tensor:
    """strength / n * sum (beta w^2 + |w|), the elastic net (no factor 1/2 before the square). Zou and Hastie 2005."""
    return _total(params, lambda w: w * w * beta + w.abs()) * (strength / n)


def penalty(
    params: Iterable[Tensor], l1: float = 0.0, l2: float = 0.0, elastic: tuple[float, float] | None = None, n: int = 1
) -> Tensor:
    """l1/n sum |w| + l2/(2n) sum w^2 + lambda/n sum (beta w^2 + |w|), with elastic = (lambda, beta).

    params: the Tensors to penalise, such as `nn.weights(model)`. n: by which the notes divide, the number of training
    samples, if the strengths are meant for a loss that is a mean over them; 1 leaves the strengths as they are.
    """
    params = _listed(params)
    if elastic is not None and (not isinstance(elastic, tuple | list) or len(elastic) != 2):
        raise ValueError(f"elastic needs the pair (lambda, beta), not {elastic!r}")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"penalty: n is the number of samples to divide by, an integer >= 1, not {n!r}")
    strengths = {"l1": l1, "l2": l2, **dict(zip(("lambda", "beta"), elastic or (), strict=False))}
    for name, strength in strengths.items():
        if not 0 <= strength < math.inf:
            raise ValueError(f"penalty: {name} must be a number >= 0, not {strength!r}")
    parts = [l1_penalty(params, l1, n)] * bool(l1) + [l2_penalty(params, l2, n)] * bool(l2)
    if elastic is not None:
        parts.append(elastic_penalty(params, *elastic, n))
    return sum(parts[1:], parts[0]) if parts else Tensor(params[0]._array.dtype.type(0))


def regularized(
    loss: Tensor,
    params: Iterable[Tensor],
    l1: float = 0.0,
    l2: float = 0.0,
    elastic: tuple[float, float] | None = None,
    n: int = 1,
) -> Tensor:
    """loss + penalty(params, l1, l2, elastic, n): see `penalty` for the factors.

    >>> from minidl import nn
    >>> w = nn.Parameter([3.0, -4.0])
    >>> nn.regularized(w.sum() * 0, [w], l1=1.0).item(), nn.regularized(w.sum() * 0, [w], l2=1.0).item()
    (7.0, 12.5)
    """
    return loss + penalty(params, l1, l2, elastic, n)


def _listed(params: Iterable[Tensor]) -> list[Tensor]:
    if isinstance(params, Module):
        raise TypeError("choose what is penalised: nn.weights(model), or model.parameters() for biases and norms too")
    params = [params] if isinstance(params, Tensor) else list(params)
    if not params:
        raise ValueError(
            "no parameters to penalise: the sequence is empty. A generator such as nn.weights(model) can be read only "
            "once; call it anew in each step, or keep list(nn.weights(model))"
        )
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError(f"penalties are made of Tensors, not {describe(p)}; pass nn.weights(model)")
    return params


def _total(params: Iterable[Tensor], function) -> Tensor:
    first, *rest = (function(p).sum() for p in _listed(params))
    return sum(rest, first)
