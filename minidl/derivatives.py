"""Derivatives of functions: Jacobian, Hessian and their products with a vector.

Source: Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 1994; Christianson 1992.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .creation import zeros_like
from .engine import Tensor, grad
from .mode import enable_grad
from .ops import reshape, stack


def _leaf(x) -> Tensor:
    return Tensor(x, requires_grad=True)


@enable_grad()
def jacobian(f: Callable, x, create_graph: bool = False) -> Tensor:
    """J[i..., j...] = d f(x)[i...] / d x[j...], one backward pass for each output; for small problems.

    >>> import minidl
    >>> minidl.jacobian(lambda x: x * x, [1.0, 2.0])
    tensor([[2., 0.],
            [0., 4.]])
    """
    x = x if isinstance(x, Tensor) and x.requires_grad else _leaf(x)
    y = f(x)
    if not isinstance(y, Tensor):
        raise TypeError(f"jacobian: f must return a Tensor made from its argument, not {type(y).__name__}")
    rows = []
    for k in range(y.size):
        seed = np.zeros(y.size, y.dtype)
        seed[k] = 1
        row = _gradient(y, x, Tensor(seed.reshape(y.shape)), create_graph)
        rows.append(row)
    return reshape(stack(rows), y.shape + x.shape) if rows else Tensor(np.zeros(y.shape + x.shape, x.dtype))


def _gradient(y: Tensor, x: Tensor, seed: Tensor | None, create_graph: bool) -> Tensor:
    if not y.requires_grad:  # f does not depend on x
        return zeros_like(x)
    (g,) = grad(y, x, seed, retain_graph=True, create_graph=create_graph, allow_unused=True)
    return zeros_like(x) if g is None else g


@enable_grad()
def hessian(f: Callable, x) -> Tensor:
    """H[i..., j...] = d^2 f(x) / dx[i...] dx[j...] of a scalar function; for small problems.

    >>> import minidl
    >>> minidl.hessian(lambda x: (x ** 3).sum(), [1.0, 2.0])
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacobian(lambda z: _gradient(_scalar(f(z)), z, None, True), _leaf(x))


@enable_grad()
def hvp(f: Callable, x, v) -> Tensor:
    """Hessian-vector product H v of a scalar function, without the Hessian: the gradient of <grad f, v>.

    >>> import minidl
    >>> minidl.hvp(lambda x: (x ** 3).sum(), [1.0, 2.0], [1.0, 1.0])
    tensor([ 6., 12.])
    """
    x = _leaf(x)
    v = Tensor(v, x.dtype)
    if v.shape != x.shape:
        raise ValueError(f"hvp: the vector has shape {v.shape}, but x has {x.shape}")
    g = _gradient(_scalar(f(x)), x, None, True)
    return _gradient((g * v).sum(), x, None, False)


def _scalar(y: Tensor) -> Tensor:
    if not isinstance(y, Tensor) or y.size != 1:
        raise ValueError(f"f must return a Tensor of one element, not {getattr(y, 'shape', type(y).__name__)}")
    return y
