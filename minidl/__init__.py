"""minidl: a deep-learning framework in NumPy, small enough to read in an afternoon."""

import importlib

from . import random
from .creation import arange, eye, full, linspace, ones, ones_like, rand, randn, tensor, zeros, zeros_like
from .derivatives import hessian, hvp, jacobian
from .engine import Tensor, grad, primitive
from .mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .ops import *  # noqa: F403
from .ops import __all__ as _functions
from .random import manual_seed

cat = concat  # noqa: F405  PyTorch's other name for it

__version__ = "0.1.0"

_LAZY = {"nn", "optim", "data", "models", "train", "check", "viz", "kernels", "anomaly"}  # loaded when first used

_FROM_LAZY = {
    "gradcheck": "check", "detect_anomaly": "anomaly", "fit": "train", "get_num_threads": "kernels",
    "set_num_threads": "kernels",
}  # fmt: skip


def __getattr__(name: str):
    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    if name in _FROM_LAZY:
        return getattr(importlib.import_module(f".{_FROM_LAZY[name]}", __name__), name)
    raise AttributeError(f"minidl has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_FROM_LAZY})


__all__ = [
    "Tensor", "arange", "enable_grad", "eye", "full", "grad", "hessian", "hvp", "is_grad_enabled", "jacobian",
    "linspace", "manual_seed", "no_grad", "ones", "ones_like", "primitive", "rand", "randn", "random",
    "set_grad_enabled", "tensor", "zeros", "zeros_like", *_functions,
]  # fmt: skip
