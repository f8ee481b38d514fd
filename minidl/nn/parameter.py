"""Parameter: the kind of Tensor that is trained."""

from __future__ import annotations

from ..arrays import describe
from ..engine import Tensor


class Parameter(Tensor):
    """A Tensor that a Module trains: it requires a gradient, and `parameters()` finds it.

    data: what Tensor takes; copied, the dtype kept (Python floats become float32).

    >>> from minidl import nn
    >>> nn.Parameter([1.0, 2.0])
    Parameter([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data, dtype=None, requires_grad: bool = True) -> None:
        super().__init__(data, dtype, requires_grad)


def check_dtype(layer, x, parameter: Tensor) -> None:
    """Input and parameters of a layer have one dtype: nothing is silently computed in double precision."""
    dtype = getattr(getattr(x, "_array", x), "dtype", None)
    if dtype is not parameter._array.dtype and dtype != parameter.dtype:
        raise TypeError(
            f"{type(layer).__name__}: the input is {describe(x)}, but the parameters are {parameter.dtype}; convert "
            f"the input with x.astype('{parameter.dtype}') (NumPy makes float64 by default), or the model with "
            "model.float() or model.double()"
        )
