"""Elementwise functions, their gate: one pass over memory, for arrays that are large.

NumPy serves wherever a compiled loop would not pay or does not fit: small arrays, other types than float32 and
float64, and arrays that are not contiguous.
"""

from __future__ import annotations

import numpy as np

from . import elementwise_numpy
from .backend import FLOATS, body, check_shape

SMALL = 32768  # numbers below which NumPy serves, so that small networks do not import numba


def relu(x: np.ndarray) -> np.ndarray:
    """out = max(x, 0), a new array of x's shape and type; NaN stays NaN.

    Reference: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.
    """
    return _body(x).relu(x)


def relu_input(g: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Gradient of `relu`: dx = g where out > 0, else 0.

    g and out of one shape -> dx of that shape and g's type. What g holds where out is 0 or NaN, a NaN too, does not
    pass. Raises ValueError for other shapes. Reference: as for `relu`.
    """
    if g.shape != out.shape:
        check_shape("relu_input", "g", g, out.shape, "out")
    return _body(g, out).relu_input(g, out)


def _body(*arrays):
    module, dtype = body("elementwise", small=arrays[0].size < SMALL), arrays[0].dtype
    if module is elementwise_numpy:
        return module
    fits = dtype in FLOATS and all(a.flags.c_contiguous and a.flags.aligned and a.dtype == dtype for a in arrays)
    return module if fits else elementwise_numpy
