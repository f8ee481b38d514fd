"""The table that `Module.summary` returns: every layer with its output shape and number of parameters."""

from __future__ import annotations

import numpy as np

from .. import random
from ..engine import Tensor
from ..mode import no_grad


class Table(str):
    """Text that an interactive session shows as it is, without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def summarize(module, inputs: tuple) -> Table:
    """See Module.summary."""
    shapes = _output_shapes(module, [_example(module, x) for x in inputs])
    rows = []
    for path, layer in module.named_modules():
        depth, name = path.count(".") + bool(path), path.rpartition(".")[2]
        own = sum(p.size for p in layer.parameters(recurse=False))
        label = "  " * depth + (f"{name}: " if name else "") + type(layer).__name__
        rows.append((label, shapes.get(layer, "not called"), f"{own:,}" if own else ""))
    head = ("layer", "output shape", "parameters")
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in (head, *rows)]
    rule = "-" * (sum(widths) + 4)
    parameters, buffers = list(module.parameters()), list(module.buffers())
    total, trained = sum(p.size for p in parameters), sum(p.size for p in parameters if p.requires_grad)
    memory = sum(t._array.nbytes for t in parameters + buffers) / 1e6
    foot = f"{total:,} parameters, {trained:,} of them trained; {memory:,.3f} MB with buffers"
    return Table("\n".join(line.rstrip() for line in (lines[0], rule, *lines[1:], rule, foot)))


def _example(module, x):
    """Zeros of the parameters' dtype for a shape, anything else as it is."""
    if isinstance(x, tuple | list) and all(isinstance(n, int | np.integer) for n in x):
        dtype = next((p.dtype for p in module.parameters()), np.float32)
        return Tensor(np.zeros(tuple(x), dtype))
    return x


def _output_shapes(module, inputs: list) -> dict:
    """Layer -> shape(s) of its first output, found by hooks; leaves no trace in the module."""
    modes = {layer: layer.training for layer in module.modules()}
    streams = random.get_state()
    shapes: dict = {}

    def note(layer, args, out):
        shapes.setdefault(layer, _shape(out))

    removers = [layer.register_forward_hook(note) for layer in modes]
    try:
        with no_grad():
            module.eval()(*inputs)
    finally:
        random.set_state(streams)
        for remove in removers:
            remove()
        for layer, mode in modes.items():
            layer.training = mode
    return shapes


def _shape(out) -> str:
    if isinstance(out, tuple | list):
        return ", ".join(map(_shape, out))
    return str(tuple(out.shape)) if hasattr(out, "shape") else type(out).__name__
