"""The engine: tensors that remember how they were made, and the chain rule that walks back over it.

`primitive` turns a NumPy function into a differentiable one; a rule per argument says how a gradient passes through:

    @primitive(elementwise=True)
    def tanh(x):
        return np.tanh(x)
    tanh.vjp(lambda g, out: g * (1 - out * out))

A rule is a vector-Jacobian product. It names what it needs: `g` is the gradient of the final scalar with respect to
the result, `out` the result, a parameter's name its value, and `x_shape` just the shape of parameter x. Only what some
rule names is kept until backward.

Rules serve every order of derivative: backward hands them plain arrays, so that nothing is recorded, and Tensors
when it is asked to `create_graph`, so that the gradient can be differentiated again. They use operators and
minidl's own functions only.

Every recorded operation is a `Node` with a birth number. Parents are born before their children, so taking the
youngest pending node first is a topological order: no recursion, any depth, each node once.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Callable, Collection

import numpy as np

from . import memory
from .arrays import PLAIN, as_array, as_operand, describe, read_only, unbroadcast, weaken_integers
from .memory import Memory, memory_of
from .mode import mode, set_grad_enabled
from .op import Op

ndarray = np.ndarray
_births = itertools.count()
_observers: list = []  # each sees every operation: .forward(op, args, result), .backward(node, k, gradient)


class Tensor:
    """An array that can be differentiated: `data`, its gradient `grad`, and the operation that made it.

    data: anything np.array takes; it is copied. dtype: NumPy arrays keep theirs, Python floats become float32.
    requires_grad: ask for gradients; for floating dtypes only.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__weakref__", "_array", "_grad", "_hooks", "_memory", "_node", "_requires_grad")

    def __init__(self, data, dtype=None, requires_grad: bool = False) -> None:
        self._array = as_array(data, dtype)
        self._node, self._memory, self._grad, self._requires_grad = None, Memory(), None, False
        self.requires_grad = requires_grad

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    is_leaf = property(lambda self: self._node is None)

    @property
    def data(self) -> ndarray:
        """The array itself. A leaf's may be written to; that of a result is read-only."""
        if self._node is not None:
            return read_only(self._array)
        memory_of(self).expose(self._array)
        return self._array

    @data.setter
    def data(self, value) -> None:
        if self._node is not None:
            raise RuntimeError(f"{describe(self)} is the result of {self._node.op.name}; only a leaf's data can be set")
        if value is not self._array:  # else `t.data -= step`, which has written in place already
            self._array, self._memory = as_array(value, self.dtype), Memory()

    @property
    def grad(self) -> Tensor | None:
        """What backward has added up for this leaf; None before the first."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and (not isinstance(value, Tensor) or value.shape != self.shape):
            raise ValueError(f"grad of {describe(self)} must be None or a Tensor of its shape, not {describe(value)}")
        self._grad = value

    @property
    def requires_grad(self) -> bool:
        """Does backward compute a gradient for this tensor?"""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.dtype.kind != "f":
            raise TypeError(f"only floating dtypes hold gradients, this tensor is {describe(self)}; use .float() first")
        if not value and self._node is not None:
            raise RuntimeError(f"{describe(self)} is the result of {self._node.op.name}: use .detach() to cut it off")
        self._requires_grad = bool(value)

    def numpy(self) -> ndarray:
        """The values as a NumPy array that shares this tensor's memory; read-only, copy it to write."""
        return read_only(self._array)

    def item(self) -> float | int | bool:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ValueError(f"item() needs exactly one element, this is {describe(self)}; reduce it or index it first")
        return self._array.item()

    def detach(self) -> Tensor:
        """The same values without the history: a constant for backward. Shares memory."""
        if self._node is None:
            return _tensor(self._array, None, False, memory_of(self))
        return _tensor(read_only(self._array), None, False, None)

    def clone(self) -> Tensor:
        """A copy with its own memory, through which gradients pass."""
        return self.astype(self.dtype)

    def backward(self, gradient=None, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add to `.grad` of every leaf the derivative of this tensor with respect to it.

        gradient: the upstream gradient, of this tensor's shape; may be left out for a single element (then 1).
        retain_graph: keep what the rules need, for a second backward. create_graph: record the backward pass itself,
        so that the gradients can be differentiated again (implies retain_graph).
        """
        seed = _seed(self, gradient, create_graph)
        for leaf, g, fresh in _sweep([(self, seed)], retain_graph or create_graph, create_graph)[0].values():
            if leaf._grad is not None:
                g = leaf._grad + g if create_graph else leaf._grad._array + g
            elif not fresh:  # a leaf's gradient is never a view and never shared
                g = g.clone() if create_graph else g.copy()
            leaf._grad = g if create_graph else _tensor(g, None, False, Memory())

    def register_hook(self, hook: Callable) -> Callable[[], None]:
        """Call `hook(grad)` when this tensor's gradient is known; a returned tensor replaces it. Returns the remover."""
        if not self._requires_grad:
            raise RuntimeError(f"{describe(self)} does not require a gradient, so a hook would never be called")
        owner = self if self._node is None else self._node
        owner._hooks = [*(getattr(owner, "_hooks", None) or ()), hook]
        return lambda: setattr(owner, "_hooks", [h for h in owner._hooks if h is not hook])

    def retain_grad(self) -> None:
        """Keep the gradient of a result in `.grad` too, to look at it."""
        if self._node is not None:
            self.register_hook(lambda g: setattr(self, "_grad", g.detach()))

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._grad = None

    def _writable(self) -> ndarray:
        """The array, for writing: only library code calls this, and backward will know."""
        if self._node is not None or not self._array.flags.writeable:
            raise RuntimeError(
                f"{describe(self)} is a result (or a view of one) and cannot be written to: backward may need its "
                "values. Make a new tensor instead, or copy it first with Tensor(t.numpy())"
            )
        memory_of(self).version += 1
        return self._array

    def __deepcopy__(self, memo) -> Tensor:
        if self._node is not None:
            raise RuntimeError(f"only leaves can be deep-copied; {describe(self)} is a result. Use .detach() first")
        twin = memo[id(self)] = Tensor.__new__(type(self))
        twin._array, twin._node, twin._memory = self._array.copy(), None, Memory()
        twin._grad = None if self._grad is None else Tensor(self._grad)
        twin._requires_grad = self._requires_grad
        return twin


class Node:
    """One recorded operation: its parents with what their rules need. It never refers to the tensor it made."""

    __slots__ = ("_hooks", "birth", "dtype", "edges", "op", "shape", "watched")

    def __init__(self, op: Op, out: ndarray, edges: list) -> None:
        self.op, self.edges, self.watched, self._hooks = op, edges, None, None
        self.shape, self.dtype, self.birth = out.shape, out.dtype, next(_births)


def primitive(forward: Callable | None = None, *, elementwise: bool = False) -> Callable:
    """Make a NumPy function differentiable. Give it one rule per argument with `.vjp(...)` (see the top of this file).

    elementwise: the arguments broadcast, and the engine sums each gradient back to its argument's shape.

    >>> @primitive
    ... def cube(x):
    ...     return x ** 3
    >>> cube.vjp(lambda g, x: 3 * x ** 2 * g)
    >>> x = Tensor([2.0], requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    tensor([12.])
    """
    if forward is None:
        return functools.partial(primitive, elementwise=elementwise)
    op = Op(forward, elementwise)
    arity = len(op.params)

    @functools.wraps(forward)
    def apply(*args, **kwargs):
        if kwargs or len(args) != arity:
            args = op.bind(args, kwargs)
        arrays, live, tensors, watch = [], [], False, False
        for a in args:
            if isinstance(a, Tensor):
                tensors = True
                if a._requires_grad:
                    live.append((len(arrays), a))
                    watch = watch or a._memory is not None
                else:
                    watch = True
                a = a._array
            elif type(a) is ndarray:
                watch = True
            elif type(a) not in PLAIN:
                a = as_operand(a)
            arrays.append(a)
        if watch and elementwise:
            weaken_integers(arrays)
        try:
            out = forward(*arrays)
        except Exception as error:
            raise op.explain(error, arrays) from error
        if not tensors:
            return out
        if type(out) is not ndarray:
            out = np.asarray(out)
        if live and mode.recording:
            values = (out, *arrays, *map(np.shape, arrays)) if op.wants_shapes else (out, *arrays)
            node = Node(op, out, [(k, a._node or a, op.picks[k](values)) for k, a in live])
            if watch:
                node.watched = memory.watch(op, args, node.edges)
            result = _tensor(out, node, True, None)
        else:
            result = _tensor(out, None, False, None)
        if out.base is not None or any(out is a for a in arrays):
            memory.share(result, args)
        if _observers:
            for observe in _observers:
                observe.forward(op, args, result)
        return result

    apply.op = op
    apply.vjp = op.add_rules
    return apply


def _tensor(array: ndarray, node: Node | None, requires_grad: bool, memory: Memory | None) -> Tensor:
    t = Tensor.__new__(Tensor)
    t._array, t._node, t._requires_grad, t._memory, t._grad = array, node, requires_grad, memory, None
    return t


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph: bool = False, allow_unused: bool = False):
    """d(sum of outputs . grad_outputs) / d(each input), as a tuple of Tensors; no `.grad` is touched.

    outputs, inputs, grad_outputs: a Tensor or a sequence of them. allow_unused: None for an input that the outputs do
    not depend on, instead of an error.

    >>> x = Tensor([3.0], requires_grad=True)
    >>> (dx,) = grad(x ** 3, x, create_graph=True)
    >>> grad(dx, x)
    (tensor([18.]),)
    """
    outputs, inputs = _sequence(outputs), _sequence(inputs)
    seeds = [None] * len(outputs) if grad_outputs is None else _sequence(grad_outputs)
    if len(seeds) != len(outputs):
        raise ValueError(f"{len(outputs)} outputs but {len(seeds)} grad_outputs: give one for each")
    for x in inputs:
        if not isinstance(x, Tensor) or not x._requires_grad:
            raise TypeError(f"cannot differentiate with respect to {describe(x)}: it does not require a gradient")
    roots = [(t, _seed(t, s, create_graph)) for t, s in zip(outputs, seeds, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    leaves, results = _sweep(roots, keep, create_graph, {x._node for x in inputs if x._node is not None})
    found = [leaves[id(x)][1] if id(x) in leaves else results.get(x._node) for x in inputs]
    for x, g in zip(inputs, found, strict=True):
        if g is None and not allow_unused:
            raise RuntimeError(
                f"the outputs do not depend on the input {describe(x)}; was it detached, or replaced by a copy? "
                "allow_unused=True returns None for it"
            )
    return tuple(g if g is None or create_graph else _tensor(g.copy(), None, False, Memory()) for g in found)


def _sequence(x) -> list:
    return [x] if isinstance(x, Tensor) else list(x)


def _seed(t: Tensor, gradient, create_graph: bool):
    """The upstream gradient of an output, checked."""
    if not isinstance(t, Tensor) or not t._requires_grad:
        raise RuntimeError(
            f"backward from {describe(t)}: nothing was recorded for it. It was made from tensors without "
            "requires_grad, or inside no_grad(), or after detach()"
        )
    if gradient is None:
        if t.size != 1:
            raise ValueError(
                f"backward from a result of shape {t.shape} needs the gradient of that shape, .backward(gradient); "
                "or reduce it to a scalar loss first, with .sum() or .mean()"
            )
        gradient = np.ones(t.shape, t.dtype)
    elif np.shape(gradient) != t.shape:
        raise ValueError(f"gradient has shape {np.shape(gradient)}, but the tensor it belongs to has {t.shape}")
    if create_graph:
        return gradient if isinstance(gradient, Tensor) else Tensor(gradient, t.dtype)
    return as_array(gradient, t.dtype)


def _sweep(roots: list, retain: bool, create: bool, wanted: Collection[Node] = ()) -> tuple[dict, dict]:
    """Walk back over the graph, youngest node first.

    Returns the gradients of the leaves, as {id: (leaf, gradient, is it fresh memory?)}, and those of the wanted nodes.
    """
    pending: dict[int, tuple] = {}  # birth -> (node, what has been added up for it)
    heap: list[int] = []  # births, negative: the youngest first
    leaves: dict[int, tuple] = {}
    results: dict[Node, object] = {}

    def receive(parent, g, fresh):
        into, key = (leaves, id(parent)) if isinstance(parent, Tensor) else (pending, parent.birth)
        if key in into:
            into[key] = (parent, into[key][1] + g, True)
        else:
            into[key] = (parent, g, fresh)
            if into is pending:
                heapq.heappush(heap, -key)

    with set_grad_enabled(create):
        for t, seed in roots:
            receive(t._node or t, seed, False)
        while heap:
            node, g, _ = pending.pop(-heapq.heappop(heap))
            g = _hooked(node, g)
            if node in wanted:
                results[node] = g
            for received in _apply_rules(node, g, create):
                receive(*received)
            if not retain:
                node.edges = node.watched = None
        for key, (leaf, g, fresh) in leaves.items():
            hooked = _hooked(leaf, g)
            leaves[key] = (leaf, hooked, fresh and hooked is g)
    return leaves, results


def _apply_rules(node: Node, g, create: bool) -> list[tuple]:
    """The chain rule for one operation: (parent, its gradient, is that fresh memory?) for each argument that wants one."""
    op, received = node.op, []
    if node.edges is None:
        raise RuntimeError(
            f"backward a second time through {op.name}, whose saved values are gone: they are freed as backward "
            "proceeds. Compute the loss again, or keep them with backward(retain_graph=True)"
        )
    if node.watched:
        memory.check(op, node.watched)
    for k, parent, saved in node.edges:
        if create:
            saved = _reconnected(node, k, saved)
        gk = op.rules[k](g, *saved)
        if not isinstance(gk, ndarray | Tensor):
            gk = np.asarray(gk)
        if gk.shape != parent.shape:
            if not op.elementwise:
                raise ValueError(
                    f"the rule of {op.name} for '{op.params[k]}' returned a gradient of shape {gk.shape}; the argument "
                    f"has shape {parent.shape}"
                )
            gk = unbroadcast(gk, parent.shape)
        if gk.dtype != parent.dtype:
            gk = gk.astype(parent.dtype)
        for observer in _observers:
            observer.backward(node, k, gk)
        fresh = not create and gk is not g and gk.base is None and all(gk is not s for s in saved)
        received.append((parent, gk, fresh))
    return received


def _reconnected(node: Node, k: int, saved: tuple) -> list:
    """For derivatives of derivatives: the saved arrays as Tensors, with their place in the graph."""
    parents = {j + 1: parent for j, parent, _ in node.edges}
    tensors = []
    for place, value in zip(node.op.needs[k], saved, strict=True):
        parent = node if place == 0 else parents.get(place)
        if isinstance(parent, Node):
            value = _tensor(value, parent, True, None)
        elif parent is not None:
            if parent._array is not value:
                raise memory.written(node.op, node.op.params[place - 1], value)
            value = parent
        tensors.append(value)
    return tensors


def _hooked(owner: Node | Tensor, g):
    """Show a finished gradient to the hooks; each may replace it."""
    for hook in getattr(owner, "_hooks", None) or ():
        given = g if isinstance(g, Tensor) else _tensor(g, None, False, None)
        new = hook(given)
        if new is not None:
            if np.shape(new) != g.shape:
                raise ValueError(f"a hook returned shape {np.shape(new)} for a gradient of shape {g.shape}")
            g = new if isinstance(g, Tensor) else as_array(new, g.dtype)
    return g
