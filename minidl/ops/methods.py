"""Tensor's operators and methods: which function each of them is."""

from __future__ import annotations

import weakref

import numpy as np

from ..arrays import describe, read_only
from ..engine import Tensor, primitive
from ..mode import is_grad_enabled
from . import activation, arithmetic, index, linalg, reduce, shape

METHODS = {
    arithmetic: "abs sign exp expm1 log log1p sqrt sin cos tanh clip maximum minimum pow",
    activation: "sigmoid relu",
    reduce: "sum mean var std max min prod logsumexp argmax argmin cumsum norm softmax log_softmax",
    shape: "reshape flatten transpose permute swapaxes squeeze unsqueeze expand broadcast_to split flip roll tile",
    linalg: "matmul tril triu",
    index: "take_along_axis",
}


@primitive
def _astype(x, dtype):
    return x.astype(dtype)
_astype.vjp(lambda g: g)  # the engine gives a gradient its argument's dtype


def astype(x: Tensor, dtype) -> Tensor:
    """A copy with another dtype; gradients pass between floating dtypes."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "fiub":
        raise TypeError(f"a tensor holds real numbers (float, int or bool), not {dtype}")
    return _astype(x if dtype.kind == "f" else x.detach(), dtype.name)


def _reflected(f):
    return lambda self, other: f(other, self)


def _compare(f):
    """Comparisons have no derivative: they return plain arrays."""
    return lambda self, other: f(self._array, other._array if isinstance(other, Tensor) else other)


def _in_place(f):
    """x += y writes into x where no gradient is involved, and into a parameter inside no_grad (w -= lr * w.grad).

    Otherwise it is x = x + y, in training and in evaluation alike: what backward needs is never overwritten.
    """

    def update(self, other):
        parameter = self.is_leaf and self.requires_grad
        if not parameter and (self.requires_grad or getattr(other, "requires_grad", False)):
            return f(self, other)
        if parameter and is_grad_enabled():
            raise RuntimeError(
                f"in-place change of the leaf {describe(self)}, which requires a gradient; write x = x + ..., or "
                "update it inside `with minidl.no_grad():`"
            )
        return self.copy_(f(self, other))

    return update


def copy_(self: Tensor, values) -> Tensor:
    """Write `values` into this tensor (of the same shape, or one that broadcasts to it)."""
    _check_assigned(values)
    values = values._array if isinstance(values, Tensor) else np.asarray(values)
    fits = values.ndim <= self.ndim and all(
        m in (1, n) for m, n in zip(values.shape[::-1], self.shape[::-1], strict=False)
    )
    if not fits:
        raise ValueError(f"copy_: values of shape {values.shape} do not fit into {describe(self)}")
    if not np.can_cast(values.dtype, self.dtype, "same_kind"):
        raise TypeError(f"copy_: {values.dtype} values would be cut off in {describe(self)}; use .float() first")
    self._writable()[...] = values
    return self


def _check_assigned(values) -> None:
    if is_grad_enabled() and _tracked(values):
        raise RuntimeError(
            f"writing {describe(values)} into a tensor would lose its gradient; build a new tensor with minidl.stack, "
            "concat or where, or write values.detach()"
        )


def _setitem(self: Tensor, where, values) -> None:
    _check_assigned(values)
    if is_grad_enabled() and self.requires_grad:
        raise RuntimeError(
            f"assigning into {describe(self)} would destroy what backward needs; use minidl.where or concat to build a "
            "new tensor, or assign inside `with minidl.no_grad():`"
        )
    parts = where if isinstance(where, tuple) else (where,)
    parts = tuple(p._array if isinstance(p, Tensor) else p for p in parts)
    self._writable()[parts] = values._array if isinstance(values, Tensor) else values


def _ufunc(self, ufunc, method, *inputs, out=None, **kwargs):
    """`array + tensor` is our add; `np.exp(tensor)` would leave the graph, so it says what to use."""
    if out is not None:  # array -= tensor
        if any(isinstance(x, Tensor) and x.requires_grad and is_grad_enabled() for x in inputs):
            raise TypeError(f"np.{ufunc.__name__} into an array would lose the gradient; use t.detach() or no_grad()")
        return getattr(ufunc, method)(*(getattr(x, "_array", x) for x in inputs), out=out, **kwargs)
    name = UFUNCS.get(ufunc.__name__)
    if method == "__call__" and not kwargs and name in OPERATORS:
        return OPERATORS[name](*inputs)
    if method == "__call__" and not kwargs and name in (*COMPARISONS, *TESTS):
        return ufunc(*(getattr(x, "_array", x) for x in inputs))
    _refuse(ufunc.__name__, name or ufunc.__name__)


def _function(self, func, types, args, kwargs):
    """np.mean(tensor) would leave the graph; np.allclose(tensor, ...) has no gradient and is welcome."""
    import minidl

    name = func.__name__
    ours = FUNCTIONS.get(name, name)
    if name not in HARMLESS and (hasattr(minidl, ours) or is_grad_enabled() and _tracked([args, kwargs])):
        _refuse(name, ours)
    return func(*_plain(args), **{k: _plain(v) for k, v in kwargs.items()})


def _plain(x):
    if isinstance(x, Tensor):
        return x._array
    return type(x)(map(_plain, x)) if isinstance(x, tuple | list) else x


def _tracked(x) -> bool:
    """Is there a tensor with a gradient inside?"""
    if isinstance(x, tuple | list | dict):
        return any(map(_tracked, x.values() if isinstance(x, dict) else x))
    return isinstance(x, Tensor) and x.requires_grad


def _refuse(numpys: str, ours: str):
    import minidl

    instead = f"minidl.{ours}(t)" if hasattr(minidl, ours) else "minidl's functions"
    raise TypeError(f"np.{numpys} of a Tensor would lose the gradient: use {instead}, or np.{numpys}(t.numpy())")


def _array_of(self: Tensor, dtype=None, copy=None) -> np.ndarray:
    if dtype is not None and dtype != self.dtype:
        return self._array.astype(dtype)
    return self._array.copy() if copy else self.numpy()


def _repr(self: Tensor) -> str:
    text = np.array2string(self._array, separator=", ", precision=4, threshold=200, prefix="tensor(")
    plain = self.dtype in (np.float32, np.int64, np.bool_)
    extras = [] if plain else [f"dtype={self.dtype}"]
    if not self.size:
        extras.insert(0, f"shape={self.shape}")
    if self._node is not None:
        extras.append(f"from={self._node.op.name}")
    elif self.requires_grad:
        extras.append("requires_grad=True")
    name = type(self).__name__ if type(self) is not Tensor else "tensor"
    return f"{name}({', '.join([text, *extras])})"


def numpy(self: Tensor) -> np.ndarray:
    """The values as a NumPy array that shares this tensor's memory; read-only, copy it to write."""
    return read_only(self._array)


def item(self: Tensor) -> float | int | bool:
    """The only element, as a Python number."""
    if self.size != 1:
        raise ValueError(f"item() needs exactly one element, this is {describe(self)}; reduce it or index it first")
    return self._array.item()


def clone(self: Tensor) -> Tensor:
    """A copy with its own memory, through which gradients pass."""
    return _astype(self, self.dtype.name)


def retain_grad(self: Tensor) -> None:
    """Keep the gradient of a result in `.grad` too, to look at it."""
    if self._node is not None:
        alive = weakref.ref(self)  # the graph must not keep the tensor alive

        def keep(g: Tensor) -> None:
            if alive() is not None:
                alive()._grad = Tensor(g)  # a copy: others may share g

        self.register_hook(keep)


def zero_grad(self: Tensor) -> None:
    """Forget the gradient."""
    self._grad = None


def tolist(self: Tensor) -> list:
    """The values as nested Python lists."""
    return self._array.tolist()


def numel(self: Tensor) -> int:
    """How many elements there are (the attribute `size` in NumPy's words)."""
    return self.size


def fill_(self: Tensor, value: float) -> Tensor:
    """Write one value everywhere."""
    return self.copy_(value)


def zero_(self: Tensor) -> Tensor:
    """Write zeros, such as p.grad.zero_()."""
    return self.copy_(0.0 if self.dtype.kind == "f" else 0)


def masked_fill(self: Tensor, mask, value: float) -> Tensor:
    """A new tensor with `value` where the mask is true."""
    return arithmetic.where(mask, value, self)


def _deepcopy(self: Tensor, memo: dict) -> Tensor:
    if self._node is not None:
        raise RuntimeError(f"only leaves can be deep-copied; {describe(self)} is a result. Use .detach() first")
    twin = memo[id(self)] = Tensor.__new__(type(self))
    Tensor.__init__(twin, self, None, self._requires_grad)
    twin._grad = None if self._grad is None else Tensor(self._grad)
    return twin


def _scalar(kind):
    def convert(self):
        return kind(self.item())

    return convert


def _truth(self: Tensor) -> bool:
    if self.size != 1:
        raise ValueError(
            f"is {describe(self)} true? It has {self.size} elements; compare it and use .any() or .all(), or reduce it"
        )
    return bool(self.item())


def _format(self: Tensor, spec: str) -> str:
    return format(self.item(), spec) if spec else str(self)  # f"{loss:.3f}"


def _length(self: Tensor) -> int:
    if not self.shape:
        raise TypeError("a tensor of one element without axes has no length")
    return self.shape[0]


def _index(self: Tensor) -> int:
    if self.dtype.kind not in "iu":
        raise TypeError(f"only integer tensors can be used as an index, not {describe(self)}")
    return int(self.item())


def requires_grad_(self: Tensor, value: bool = True) -> Tensor:
    """Set requires_grad and return the tensor."""
    self.requires_grad = value
    return self


OPERATORS = {
    "add": arithmetic.add, "sub": arithmetic.sub, "mul": arithmetic.mul, "div": arithmetic.div, "pow": arithmetic.pow,
    "matmul": linalg.matmul, "neg": arithmetic.neg, "abs": arithmetic.abs, "remainder": arithmetic.remainder,
    "floor_divide": arithmetic.floor_divide,
}  # fmt: skip
TESTS = ("isnan", "isfinite", "isinf", "signbit")
FUNCTIONS = {"concatenate": "concat", "vstack": "concat", "dot": "matmul", "expand_dims": "unsqueeze"}
HARMLESS = {  # NumPy's functions that have no derivative to lose
    "all", "allclose", "any", "argmax", "argmin", "argsort", "array2string", "array_equal", "array_equiv", "array_repr",
    "array_str", "count_nonzero", "digitize", "histogram", "isclose", "isneginf", "isposinf", "may_share_memory",
    "ndim", "nonzero", "result_type", "searchsorted", "shape", "shares_memory", "size", "unique",
}  # fmt: skip
COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
UFUNCS = {
    "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "power": "pow", "negative": "neg",
    "absolute": "abs", **{name: name for name in ("add", "matmul", "remainder", "floor_divide", *COMPARISONS, *TESTS)},
}  # fmt: skip


def attach() -> None:
    """Give Tensor its methods."""
    for module, names in METHODS.items():
        for name in names.split():
            setattr(Tensor, name, getattr(module, name))
    for name in ("add", "sub", "mul", "pow", "matmul"):
        setattr(Tensor, f"__{name}__", OPERATORS[name])
        setattr(Tensor, f"__r{name}__", _reflected(OPERATORS[name]))
    for name in ("add", "sub", "mul", "pow", "matmul"):
        setattr(Tensor, f"__i{name}__", _in_place(OPERATORS[name]))
    for name, f in zip("lt le gt ge eq ne".split(), COMPARISONS, strict=True):
        setattr(Tensor, f"__{name}__", _compare(getattr(np, f)))
    for name, f in (("truediv", "div"), ("floordiv", "floor_divide"), ("mod", "remainder")):
        setattr(Tensor, f"__{name}__", OPERATORS[f])
        setattr(Tensor, f"__r{name}__", _reflected(OPERATORS[f]))
        setattr(Tensor, f"__i{name}__", _in_place(OPERATORS[f]))
    Tensor.__neg__, Tensor.__abs__, Tensor.__pos__ = arithmetic.neg, arithmetic.abs, lambda self: self
    Tensor.__getitem__, Tensor.__setitem__ = index.getitem, _setitem
    Tensor.__len__, Tensor.__bool__, Tensor.__index__ = _length, _truth, _index
    Tensor.__float__, Tensor.__int__ = _scalar(float), _scalar(int)
    Tensor.__format__, Tensor.__round__ = _format, lambda self, digits=None: round(self.item(), digits)
    Tensor.__iter__ = lambda self: (self[i] for i in range(len(self)))
    Tensor.__array__, Tensor.__array_ufunc__, Tensor.__array_function__ = _array_of, _ufunc, _function
    Tensor.__repr__, Tensor.__hash__ = _repr, object.__hash__
    for method in (numpy, item, tolist, numel, clone, fill_, zero_, masked_fill, retain_grad, zero_grad):
        setattr(Tensor, method.__name__, method)
    Tensor.__deepcopy__ = _deepcopy
    Tensor.astype, Tensor.copy_, Tensor.requires_grad_ = astype, copy_, requires_grad_
    Tensor.float, Tensor.double = (lambda self: astype(self, np.float32)), (lambda self: astype(self, np.float64))
    Tensor.T = property(lambda self: shape.transpose(self))
    Tensor.mT = property(lambda self: shape.swapaxes(self, -1, -2))
    Tensor.long = lambda self: astype(self, np.int64)
    Tensor.view, Tensor.dim = shape.reshape, lambda self: self.ndim
    Tensor.clamp, Tensor.repeat = arithmetic.clip, shape.tile  # PyTorch's names

