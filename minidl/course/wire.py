"""Messages between the grader and a submission's process: plain data only, never pickle.

A message is JSON followed by the bytes of its arrays. Numbers, strings, None, lists, tuples, dicts, arrays and random
generators travel by value; anything else stays where it is and travels as a number, under which its owner finds it.
This file and worker.py know NumPy and nothing of minidl, which a submission's process must not import.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

LARGEST = 256_000_000  # bytes of one message
PLAIN = "biufc"  # kinds of arrays that are sent: boolean, integers, floating, complex


class Broken(Exception):
    """The other side closed the line, or sends what is no message."""


def send(line: BinaryIO, message: dict, lend: Callable[[object], dict]) -> list[np.ndarray]:
    """Write one message. lend(value) describes what cannot be sent by value. Returns the arrays, in their order."""
    arrays: list[np.ndarray] = []
    text = json.dumps({key: _encode(value, arrays, lend) for key, value in message.items()}).encode()
    layout = json.dumps([[a.dtype.str, a.shape, a.flags.c_contiguous] for a in arrays]).encode()
    try:
        line.write(len(text).to_bytes(8, "big") + len(layout).to_bytes(8, "big") + text + layout)
        for a in arrays:
            line.write(a.tobytes())
        line.flush()
    except (OSError, ValueError):
        raise Broken("the line is closed") from None
    return arrays


def receive(line: BinaryIO, find: Callable[[dict], object]) -> tuple[dict, list[np.ndarray]]:
    """Read one message and its arrays. find(description) gives what was lent. Raises Broken, and nothing else."""
    head = _read(line, 16)
    lengths = int.from_bytes(head[:8], "big"), int.from_bytes(head[8:], "big")
    if sum(lengths) > LARGEST:
        raise Broken("a message is too large")
    text, layout = _read(line, lengths[0]), _read(line, lengths[1])
    try:
        described, arrays = [(np.dtype(kind), tuple(shape), dense) for kind, shape, dense in json.loads(layout)], []
        sizes = [kind.itemsize * math.prod(shape) for kind, shape, _ in described]
        if any(kind.kind not in PLAIN for kind, *_ in described) or sum(sizes) > LARGEST or min(sizes, default=0) < 0:
            raise Broken("a message is too large, or holds what is no number")
        for (kind, shape, dense), size in zip(described, sizes, strict=True):
            a = np.frombuffer(_read(line, size), kind).reshape(shape)
            arrays.append(a.copy() if dense else strided(a))
        return {key: _decode(value, arrays, find) for key, value in json.loads(text).items()}, arrays
    except Broken:
        raise
    except Exception as error:
        raise Broken(f"what arrived is no message ({type(error).__name__})") from None


def strided(a: np.ndarray) -> np.ndarray:
    """A copy that is not contiguous in memory: every other place of an array twice as large."""
    return np.stack([a, a], axis=-1)[..., 0]


def _read(line: BinaryIO, count: int) -> bytes:
    try:
        data = line.read(count)
    except (OSError, ValueError):
        data = b""
    if len(data) < count:
        raise Broken("the line is closed")
    return data


def _encode(value, arrays: list, lend: Callable) -> object:
    """JSON for a value. What is tagged is a dict; so a dict itself is tagged too."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in PLAIN:
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1, "scalar": isinstance(value, np.generic)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [_encode(v, arrays, lend) for v in value]
    if type(value) is tuple:
        return {"tuple": [_encode(v, arrays, lend) for v in value]}
    if type(value) is dict:
        return {"dict": [[_encode(k, arrays, lend), _encode(v, arrays, lend)] for k, v in value.items()]}
    if isinstance(value, np.random.Generator):
        return {"generator": _plain(value.bit_generator.state)}
    return lend(value)


def _decode(value, arrays: list, find: Callable) -> object:
    if isinstance(value, list):
        return [_decode(v, arrays, find) for v in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]][()] if value["scalar"] else arrays[value["array"]]
    if "tuple" in value:
        return tuple(_decode(v, arrays, find) for v in value["tuple"])
    if "dict" in value:
        return {_decode(k, arrays, find): _decode(v, arrays, find) for k, v in value["dict"]}
    if "generator" in value:
        kinds = {kind: getattr(np.random, kind) for kind in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")}
        bits = kinds[value["generator"]["bit_generator"]]()
        bits.state = value["generator"]
        return np.random.Generator(bits)
    return find(value)


def _plain(state: dict) -> dict:
    """The state of a generator without arrays."""
    return {k: _plain(v) if isinstance(v, dict) else v.tolist() if isinstance(v, np.ndarray) else v
            for k, v in state.items()}  # fmt: skip
