"""Nested plain data with arrays in it, as flat arrays plus JSON text: what a safetensors file can hold.

Dicts, lists, tuples, text, bool, None, int (of any size), float (bit for bit: JSON writes the shortest text that reads
back as the same number), NumPy scalars, arrays and Tensors (which come back as arrays).

>>> arrays, text = pack({"model": {"weight": np.ones(2)}, "betas": (0.9, 0.999), "steps": {0: 7}})
>>> arrays
{'model/weight': array([1., 1.])}
>>> unpack(arrays, text)
{'model': {'weight': array([1., 1.])}, 'betas': (0.9, 0.999), 'steps': {0: 7}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.engine import Tensor


def pack(tree: Any) -> tuple[dict[str, np.ndarray], str]:
    """(arrays by name, JSON). An array's name is its path in the tree, with '/' between the keys.

    Raises TypeError, naming the path, for anything that is not plain data.
    """
    arrays: dict[str, np.ndarray] = {}

    def encode(value: Any, path: str) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, Tensor | np.ndarray | np.generic):
            while path in arrays:  # keys may hold a '/' themselves
                path += "'"
            arrays[path] = np.asarray(getattr(value, "_array", value))
            return {"$scalar" if isinstance(value, np.generic) else "$array": path}
        below = f"{path}/" if path else ""
        if isinstance(value, list | tuple):
            items = [encode(v, f"{below}{k}") for k, v in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
        if not isinstance(value, Mapping):
            raise TypeError(
                f"cannot save {path or 'this'}: a {type(value).__name__} ({value!r:.60}) is not plain data. State is "
                "made of dicts, lists, tuples, numbers, text, None and arrays"
            )
        if all(type(k) is str and not k.startswith("$") for k in value):
            return {k: encode(v, below + k) for k, v in value.items()}
        return {"$dict": [[encode(k, f"{below}key"), encode(v, f"{below}{k}")] for k, v in value.items()]}

    return arrays, json.dumps(encode(tree, ""))


def unpack(arrays: Mapping[str, np.ndarray], text: str) -> Any:
    """The tree that `pack` was given."""

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return [decode(v) for v in value]
        if not isinstance(value, dict):
            return value
        match next(iter(value.items()), (None, None)):
            case "$array", name:
                return arrays[name]
            case "$scalar", name:
                return arrays[name][()]
            case "$tuple", items:
                return tuple(decode(v) for v in items)
            case "$dict", items:
                return {decode(k): decode(v) for k, v in items}
        return {k: decode(v) for k, v in value.items()}

    return decode(json.loads(text))
