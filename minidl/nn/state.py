"""What belongs to a module: its parameters and buffers, as tensors, and as plain data that can be saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ..engine import Tensor
from .parameter import Parameter


def own_parameters(module) -> Iterator[tuple[str, Parameter]]:
    """(name, parameter) of the module itself."""
    return ((name, value) for name, value in vars(module).items() if isinstance(value, Parameter))


def own_buffers(module) -> Iterator[tuple[str, Tensor]]:
    """(name, buffer) of the module itself."""
    return ((n, vars(module)[n]) for n in module._buffers if vars(module).get(n) is not None)


def each_once(root, prefix: str, recurse: bool, own: Callable) -> Iterator[tuple[str, Tensor]]:
    """(dotted name, tensor) of a module and those inside it, without repetition."""
    seen: set = set()
    for path, module in root.named_modules(prefix) if recurse else [(prefix, root)]:
        for name, tensor in own(module):
            if tensor not in seen:
                seen.add(tensor)
                yield f"{path}.{name}" if path else name, tensor


class Differences(NamedTuple):
    """Names that a state did not have, and names that the module does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def named_state(module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """(dotted name, tensor): a module's parameters, its persistent buffers, then its children, as in PyTorch.

    What is shared appears under each of its names.
    """
    yield from ((prefix + name, parameter) for name, parameter in own_parameters(module))
    yield from ((prefix + name, buffer) for name, buffer in own_buffers(module) if module._buffers[name])
    for name, child in module.named_children():
        yield from named_state(child, f"{prefix}{name}.")


def load_state(module, state: Mapping, strict: bool) -> Differences:
    """Compare everything, then copy the values of `state` into the module; see Module.load_state_dict."""
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict needs a dictionary name -> array, not {type(state).__name__}")
    targets = dict(named_state(module))
    arrays = {name: np.asarray(state[name]) for name in targets if name in state}
    found = Differences([n for n in targets if n not in state], [n for n in state if n not in targets])
    problems = [line for name, array in arrays.items() for line in _compare(name, targets[name], array)]
    problems += _torn(targets, arrays)
    if strict:
        problems = [
            *(f"{n}: missing in the state ({_kind(targets[n])} expected)" for n in found.missing_keys),
            *(f"{n}: unexpected, {type(module).__name__} has nothing of this name" for n in found.unexpected_keys),
            *problems,
        ]
    if problems:
        raise ValueError(
            f"{type(module).__name__}.load_state_dict: {len(problems)} difference(s), nothing was loaded:\n  "
            + "\n  ".join(problems)
            + "\nIs it the state of another model? strict=False tolerates missing and unexpected names; for another "
            "dtype convert the model first, with float() or double()"
        )
    for name, array in arrays.items():
        targets[name]._writable()[...] = array
    return found


def _compare(name: str, tensor: Tensor, array: np.ndarray) -> Iterator[str]:
    if array.shape != tensor.shape:
        yield f"{name}: shape {tensor.shape} expected, the state has {array.shape}"
    if array.dtype != tensor.dtype:
        yield f"{name}: dtype {tensor.dtype} expected, the state has {array.dtype}"


def _torn(targets: dict, arrays: dict) -> Iterator[str]:
    """Two names of one shared tensor must come with the same values."""
    first: dict[Tensor, str] = {}
    for name, array in arrays.items():
        other = first.setdefault(targets[name], name)
        if other != name and not np.array_equal(array, arrays[other], equal_nan=array.dtype.kind == "f"):
            yield f"{name}: shared with {other} in this model, but the state has different values for the two"


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tensor.shape}"
