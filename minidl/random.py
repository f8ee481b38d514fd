"""Named random streams: one seed drives them all, and drawing from one never moves another.

Each use of chance has its own stream ("init", "dropout", "shuffle", "augment", "split", "sample", ...), so that adding
a dropout layer does not change the order in which the data is shuffled. A stream is a NumPy Generator on PCG64, seeded
from the pair (seed, name) through NumPy's SeedSequence and made when it is first asked for. NumPy's own global state
(`np.random.seed`) is never read or written.

Without `manual_seed` the seed is fresh entropy; `seed()` tells it, so that any run can be reported and repeated.

Threads: making a stream is safe from any thread, and NumPy locks each draw, but *which* thread draws first is up to the
operating system. Give each thread a Generator of its own (`rng=`) where the numbers must repeat.

O'Neill (2014), "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
Generation", Harvey Mudd College HMC-CS-2014-0905.

>>> import minidl
>>> minidl.random.manual_seed(0)
>>> first = minidl.random.generator("dropout").random()
>>> minidl.random.manual_seed(0)
>>> _ = minidl.random.generator("shuffle").permutation(10)
>>> minidl.random.generator("dropout").random() == first
True
"""

from __future__ import annotations

import secrets
import threading
from typing import Any

import numpy as np

__all__ = ["Rng", "generator", "get_state", "manual_seed", "resolve", "seed", "set_state"]

Rng = np.random.Generator | int | None  # what every argument `rng=` takes; see `resolve`

_lock = threading.RLock()
_seed = secrets.randbits(32)
_streams: dict[str, np.random.Generator] = {}


def manual_seed(n: int) -> None:
    """Start every stream anew from the seed n, an integer >= 0.

    Streams that exist already are rewound in place, so a Generator taken from `generator` earlier follows.
    Raises TypeError if n is no integer, ValueError if it is negative.
    """
    global _seed
    n = _checked_seed(n)
    with _lock:
        _seed = n
        for name, stream in _streams.items():
            stream.bit_generator.state = _bits(name).state


def seed() -> int:
    """The seed in force: that of the last `manual_seed`, or the fresh entropy this process started with."""
    return _seed


def generator(name: str) -> np.random.Generator:
    """The Generator of the stream called `name`, always the same object.

    Draw from it; do not `spawn` from it, because children are not part of `get_state`.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"a stream is named by a non-empty string such as 'dropout', not {name!r}")
    with _lock:
        if name not in _streams:
            _streams[name] = np.random.Generator(_bits(name))
        return _streams[name]


def resolve(rng: Rng, name: str) -> np.random.Generator:
    """What the argument `rng=` of every random function means.

    None: the stream called `name`. A Generator: itself. An integer: a new Generator with that seed, so the same integer
    gives the same numbers at each call. Anything else raises a TypeError.
    """
    if rng is None:
        return generator(name)
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        return np.random.default_rng(_checked_seed(rng))
    what = f"a {type(rng).__name__}"
    if rng is np.random:
        what = "the module np.random, whose state is global and shared with all other code"
    elif isinstance(rng, np.random.RandomState):
        what = "a RandomState, NumPy's legacy generator"
    raise TypeError(
        f"rng is {what}; pass np.random.default_rng(seed), an integer seed, "
        f"or None for minidl's stream '{name}' (seeded by minidl.manual_seed)"
    )


def get_state() -> dict[str, Any]:
    """The seed and the place each stream has reached, as plain data that json can write and read.

    A stream at its start is left out, so the state does not tell which streams happen to have been made already.
    """
    with _lock:
        states = {name: stream.bit_generator.state for name, stream in _streams.items()}
        return {"seed": _seed, "streams": {name: s for name, s in states.items() if s != _bits(name).state}}


def set_state(state: dict[str, Any]) -> None:
    """Go back to what `get_state` returned. Streams that are not in it go to the start of the saved seed.

    Raises ValueError, and changes nothing, if `state` did not come from `get_state`.
    """
    global _seed
    try:
        saved_seed, streams = _checked_seed(state["seed"]), dict(state["streams"])
        for name, bits in streams.items():
            if not isinstance(name, str) or not name:
                raise ValueError(f"{name!r} is no stream name")
            np.random.PCG64(0).state = bits  # a rehearsal: raises if the state is malformed
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            "this is not a state of minidl.random: expected {'seed': int, 'streams': {name: PCG64 state}} "
            f"as get_state() returns it ({type(error).__name__}: {error})"
        ) from error
    with _lock:
        manual_seed(saved_seed)
        for name, bits in streams.items():
            generator(name).bit_generator.state = bits


def _bits(name: str) -> np.random.PCG64:
    """The start of a stream. The name takes the place NumPy gives to a child's number, so no two names can meet."""
    return np.random.PCG64(np.random.SeedSequence(_seed, spawn_key=tuple(name.encode())))


def _checked_seed(n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"a seed is an integer >= 0, not {n!r} ({type(n).__name__})")
    if n < 0:
        raise ValueError(f"a seed is an integer >= 0, not {n}")
    return int(n)
