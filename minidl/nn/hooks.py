"""Calling a module that somebody watches: hooks before, after, and on the way back.

The gradient of a module's input is only the part that comes back through this module, while the input may have other
users; so inputs and outputs pass through gates, identities with a node of their own, and the hooks sit on the gates.
"""

from __future__ import annotations

from ..engine import Tensor, primitive


@primitive
def _gate(x):
    return x.view()
_gate.vjp(lambda g: g)


def run_hooked(module, args: tuple, kwargs: dict):
    """module.forward(*args, **kwargs) with the hooks registered on the module."""
    for hook in module._hooks.get("pre", ()):
        changed = hook(module, args)
        if changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
    backward = module._hooks.get("backward", ())
    passage = _Passage(module, backward) if backward else None
    out = module.forward(*(passage.enter(args) if passage else args), **kwargs)
    for hook in module._hooks.get("forward", ()):
        changed = hook(module, args, out)
        if changed is not None:
            out = changed
    return passage.leave(out) if passage else out


class _Passage:
    """One forward call whose backward is watched: collects the gradients and tells the hooks at the end.

    Backward goes from the youngest node to the oldest, so the gate made first is the last to be reached: that is the
    one of the first input which needs a gradient, or, if none does, of the first output.
    """

    def __init__(self, module, hooks: tuple) -> None:
        self.module, self.hooks = module, hooks
        self.grad_input: list = []
        self.grad_output: list = []
        self.live = 0

    def enter(self, args: tuple) -> tuple:
        gated, self.grad_input = _gates(args, self._on_input)
        self.live = sum(_is_live(a) for a in gated)
        return gated

    def leave(self, out):
        outs, self.grad_output = _gates(out if isinstance(out, tuple) else (out,), self._on_output)
        return outs if isinstance(out, tuple) else outs[0]

    def _on_output(self, k: int, is_last: bool, g: Tensor) -> None:
        self.grad_output[k] = g
        if is_last and not self.live:
            self._tell()

    def _on_input(self, k: int, is_last: bool, g: Tensor) -> Tensor | None:
        self.grad_input[k] = g
        return self._tell() if is_last else None

    def _tell(self) -> Tensor | None:
        """Call the hooks; the gradient that replaces that of the only input, if one of them returns it."""
        replaced = None
        for hook in self.hooks:
            new = hook(self.module, tuple(self.grad_input), tuple(self.grad_output))
            if new is None:
                continue
            if self.live != 1:
                raise RuntimeError(
                    f"a backward hook of {type(self.module).__name__} returned a gradient, but {self.live} inputs need "
                    "one; it can replace that of a single input only: put a hook on the tensors themselves instead"
                )
            replaced = next(g for g in new if g is not None) if isinstance(new, tuple) else new
            self.grad_input = [None if g is None else replaced for g in self.grad_input]
        for gradients in (self.grad_input, self.grad_output):  # the graph refers to this object: keep nothing alive
            gradients[:] = [None] * len(gradients)
        return replaced


def _is_live(x) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _gates(values: tuple, receive) -> tuple[tuple, list]:
    """The values, those with a gradient behind gates that report to receive(place, is it the last one?, gradient)."""
    gated, first = [], True
    for k, value in enumerate(values):
        if _is_live(value):
            value = _gate(value)
            if value.requires_grad:  # not inside no_grad
                value.register_hook(lambda g, k=k, first=first: receive(k, first, g))
                first = False
        gated.append(value)
    return tuple(gated), [None] * len(values)
