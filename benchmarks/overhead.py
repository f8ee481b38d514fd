"""The engine's cost per recorded operation: `python benchmarks/profile_step.py --overhead`.

A chain of 100 operations on arrays of 16x16 is recorded, and then walked back. From both is taken what the same NumPy
calls need in a bare loop: the operation's own forward, and those that its rule cannot do without backward. What remains
is the engine's, at most 1 microsecond each being the goal.
"""

from __future__ import annotations

import time

import measure
import numpy as np
from contestants import missing

SIZE, LENGTH = 16, 100  # of the arrays, and of the chain


def elementary() -> dict[str, tuple]:
    """Name: maker of the operation in minidl or PyTorch, the same in NumPy, and the NumPy calls of its rule."""
    c, bias = np.eye(SIZE, dtype=np.float32), np.zeros(SIZE, np.float32)
    sums = {"w": np.zeros_like(c), "b": np.zeros_like(bias)}

    def linear(g, x):
        sums["w"] = sums["w"] + g.T @ x  # the weights are the same in the whole chain: their gradients add up
        sums["b"] = sums["b"] + g.sum(0)
        return g @ c

    return {
        "add": (lambda lib, c, w, b: lambda x: x + c, lambda x: x + c, lambda g, x: g),
        "mul": (lambda lib, c, w, b: lambda x: x * c, lambda x: x * c, lambda g, x: g * c),
        "exp": (lambda lib, c, w, b: lib.exp, np.exp, lambda g, x: g * c),
        "tanh": (lambda lib, c, w, b: lib.tanh, np.tanh, lambda g, x: g * (1 - c * c)),
        "sum": (
            lambda lib, c, w, b: lambda x: lib.sum(x, 0, True),
            lambda x: x.sum(0, keepdims=True),
            lambda g, x: np.broadcast_to(g, g.shape),
        ),
        "matmul": (lambda lib, c, w, b: lambda x: x @ c, lambda x: x @ c, lambda g, x: g @ c.T),
        "linear": (
            lambda lib, c, w, b: lambda x, linear=lib.nn.functional.linear: linear(x, w, b),
            lambda x: x @ c.T + bias,
            linear,
        ),
    }


def overhead(options) -> list[dict]:
    """Microseconds per operation: NumPy's, the engine's on top of it, and PyTorch's in all."""
    import minidl
    import minidl.nn.functional

    libraries = {"minidl": minidl}
    if not missing(["torch"]):
        import torch

        libraries["torch"] = torch
    print(f"\n{measure.describe(measure.machine())}")
    print(f"microseconds per operation, arrays {SIZE}x{SIZE} float32; over: what minidl adds to NumPy (goal: 1.0)")
    table = measure.Table("operation", "pass    ", *(f" {who:>7}" for who in ("numpy", *libraries)), "    over")
    rows = []
    for name, (make, forward, rule) in elementary().items():
        chains = {"numpy": lambda f=forward, r=rule: bare(f, r)}
        chains |= {who: _recorded(lib, make) for who, lib in libraries.items()}
        us = {who: pair.tolist() for who, pair in _medians(chains, options.seconds).items()}
        rows.append({"operation": name, "us": us})
        for k, mode in enumerate(("forward", "backward")):
            cells = [us[who][k] for who in chains] + [us["minidl"][k] - us["numpy"][k]]
            table.row(name, mode, *(f"{cell:.2f}" for cell in cells))
    return rows


def bare(forward, rule) -> tuple[float, float]:
    """Seconds of the NumPy calls of a chain alone, forward and backward."""
    x = y = g = np.eye(SIZE, dtype=np.float32)
    start = time.perf_counter()
    for _ in range(LENGTH):
        y = forward(y)
    middle = time.perf_counter()
    for _ in range(LENGTH):
        g = rule(g, x)
    return middle - start, time.perf_counter() - middle


def _recorded(library, make):
    """The same chain with an engine."""
    x, c, w = (library.tensor(np.eye(SIZE, dtype=np.float32), requires_grad=grad) for grad in (True, False, True))
    operation = make(library, c, w, library.tensor(np.zeros(SIZE, np.float32), requires_grad=True))

    def chain():
        y = x
        start = time.perf_counter()
        for _ in range(LENGTH):
            y = operation(y)
        middle = time.perf_counter()
        y.backward(y.detach())
        return middle - start, time.perf_counter() - middle

    return chain


def _medians(chains, seconds):
    """Forward and backward microseconds per operation, the chains taking turns."""
    times = {who: [] for who in chains}
    end = time.perf_counter() + seconds * len(chains)
    with np.errstate(all="ignore"), measure.collector_off():  # a chain of exponentials is infinite soon
        while time.perf_counter() < end or len(times["numpy"]) < 5:
            for who, chain in chains.items():
                times[who].append(chain())
    return {who: 1e6 / LENGTH * np.median(pairs, axis=0) for who, pairs in times.items()}
