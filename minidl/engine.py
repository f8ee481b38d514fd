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
import itertools
import threading
from collections.abc import Callable, Collection
from heapq import heappop, heappush

import numpy as np

from . import memory
from .arrays import as_array, describe, read_only, shape_of, unbroadcast
from .memory import Memory, memory_of
from .mode import recording
from .op import Op

ndarray = np.ndarray
_next_birth = itertools.count().__next__
_depositing = threading.RLock()
_observers: list = []  # each sees every operation: .forward(op, args, result), .backward(node, k, gradient)


class Tensor:
    """An array that can be differentiated: `data`, its gradient `grad`, and the operation that made it.

    data: anything np.array takes; it is copied. dtype: NumPy arrays keep theirs, Python floats become float32.
    requires_grad: ask for gradients; for floating dtypes only. Operators and methods: see minidl/ops/methods.py.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__weakref__", "_array", "_grad", "_memory", "_node", "_requires_grad", "hooks")

    def __init__(self, data, dtype=None, requires_grad: bool = False) -> None:
        self._array = as_array(data, dtype)
        self._node = self._grad = self.hooks = None
        self._memory, self._requires_grad = Memory(), False
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
            array = as_array(value, self.dtype)
            if array.shape != self.shape:
                raise ValueError(f"data of {describe(self)} cannot become {describe(array)}: the shape stays")
            self._array, self._memory = array, Memory()

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

    def detach(self) -> Tensor:
        """The same values without the history: a constant for backward. Shares memory."""
        if self._node is None:
            return _tensor(self._array, None, False, memory_of(self))
        return _tensor(read_only(self._array), None, False, None)

    def backward(self, gradient=None, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add to `.grad` of every leaf the derivative of this tensor with respect to it.

        gradient: the upstream gradient, of this tensor's shape; may be left out for a single element (then 1).
        retain_graph: keep what the rules need, for a second backward. create_graph: record the backward pass itself,
        so that the gradients can be differentiated again (implies retain_graph); a `.grad` that holds its graph holds
        the leaf as well, and only the garbage collector frees such a circle: prefer `grad` for higher derivatives.
        """
        seed = _seed(self, gradient, create_graph)
        leaves, _ = _sweep([(self, seed)], retain_graph or create_graph, create_graph)
        with _depositing:  # two threads may share a leaf
            for leaf, g, own in leaves.values():
                if leaf._grad is not None:
                    g = leaf._grad + g if create_graph else np.asarray(leaf._grad._array + g)
                elif not own:  # the gradient of a leaf is never a view and never shared
                    g = g.astype(g.dtype)
                leaf._grad = g if create_graph else _tensor(g, None, False, None)

    def register_hook(self, hook: Callable) -> Callable[[], None]:
        """Call `hook(grad)` once this gradient is known; a tensor it returns replaces it. Returns the remover."""
        if not self._requires_grad:
            raise RuntimeError(f"{describe(self)} does not require a gradient, so a hook would never be called")
        owner = self._node or self
        owner.hooks = [*(owner.hooks or ()), hook]
        return lambda: setattr(owner, "hooks", [h for h in owner.hooks if h is not hook])

    def _writable(self) -> ndarray:
        """The array, for writing: only library code calls this, and backward will know."""
        if self._node is not None or not self._array.flags.writeable:
            raise RuntimeError(
                f"{describe(self)} is a result (or a view of one) and cannot be written to: backward may need its "
                "values. Make a new tensor instead, or copy it first with Tensor(t.numpy())"
            )
        memory_of(self).writing(self._array)
        return self._array


def _tensor(array: ndarray, node: Node | None, requires_grad: bool, memory: Memory | None) -> Tensor:
    """A Tensor around an array of the library's own, without the checks and the copy."""
    t = _new_tensor(Tensor)
    t._array, t._node, t._requires_grad, t._memory = array, node, requires_grad, memory
    t._grad = t.hooks = None
    return t


class Node:
    """One recorded operation. It never refers to the tensor it made, so there is no reference cycle.

    edges: for each argument that wants a gradient (its place, its node or leaf, what its rule needs).
    """

    __slots__ = ("birth", "dtype", "edges", "hooks", "op", "shape", "watched")


_new_tensor, _new_node = Tensor.__new__, Node.__new__  # without a call of __init__: these are made by the thousand


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
    return Op(forward, elementwise, Tensor=Tensor, record=_record).apply


def _record(op: Op, out: ndarray, edges: list, outside: bool, args: tuple, values: tuple) -> Tensor:
    """The last part of every operation: a Tensor around what was computed, with its Node if somebody wants a gradient.

    outside: some argument is not the result of an operation.
    """
    node = None
    if edges:
        node = _new_node(Node)
        node.op, node.edges, node.birth, node.shape, node.dtype = op, edges, _next_birth(), out.shape, out.dtype
        node.watched, node.hooks = memory.watch(op, args, edges) if outside else None, None
    result = _new_tensor(Tensor)
    result._array, result._node, result._requires_grad = out, node, node is not None
    result._memory = result._grad = result.hooks = None
    if (out.base is not None or out is values[0]) and (outside or not edges):
        memory.share(result, args)
    for observer in _observers:
        observer.forward(op, args, result)
    return result


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
    return list(x) if isinstance(x, list | tuple) or hasattr(x, "__next__") else [x]


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
    elif shape_of(gradient) != t.shape:
        raise ValueError(f"gradient has shape {shape_of(gradient)}, but the tensor it belongs to has {t.shape}")
    if create_graph:
        return gradient if isinstance(gradient, Tensor) else Tensor(gradient, t.dtype)
    return as_array(gradient, t.dtype)


def _sweep(roots: list, retain: bool, create: bool, wanted: Collection[Node] = ()) -> tuple[dict, dict]:
    """Walk back over the graph, youngest node first: the whole of reverse mode.

    Returns the gradients of the leaves, as {id: (leaf, gradient, is it memory of its own?)}, and of the wanted nodes.
    """
    pending: dict[Node, object] = {}  # node -> what has been added up for it so far
    heap: list[tuple] = []  # the pending nodes, youngest first
    leaves: dict[int, tuple] = {}
    results: dict[Node, object] = {}

    with recording(create):
        for t, seed in roots:
            if t._node is None:
                _receive(leaves, t, seed, False)
            elif t._node in pending:
                pending[t._node] = pending[t._node] + seed
            else:
                pending[t._node] = seed
                heappush(heap, (-t._node.birth, t._node))
        while heap:
            _, node = heappop(heap)
            g, op, edges = pending.pop(node), node.op, node.edges
            if node.hooks:
                g = _hooked(node, g)
            if node in wanted:
                results[node] = g if create else np.asarray(g)
            if edges is None:
                raise memory.freed(op)
            if node.watched:
                memory.check(op, node.watched)
            for k, parent, saved in edges:
                if create:
                    saved = _reconnected(node, k, saved)
                gk = op.rules[k](g, *saved)
                if type(gk) is not ndarray or gk.shape != parent.shape or gk.dtype is not parent.dtype:
                    gk = _conformed(gk, op, k, parent)
                for observer in _observers:
                    observer.backward(node, k, gk)
                if type(parent) is not Node:
                    _receive(leaves, parent, gk, not _shared(gk, g, saved))
                elif parent in pending:
                    pending[parent] = pending[parent] + gk
                else:
                    pending[parent] = gk
                    heappush(heap, (-parent.birth, parent))
            if not retain:
                node.edges = node.watched = None
        for key, (leaf, g, own) in leaves.items():
            if leaf.hooks:
                g, own = _hooked(leaf, g), False  # a hook may have kept what it saw
            leaves[key] = (leaf, g if create else np.asarray(g), own)
    return leaves, results


def _receive(leaves: dict, leaf: Tensor, g, own: bool) -> None:
    """Add to the gradient of a leaf. `own`: nobody else holds this memory."""
    before = leaves.get(id(leaf))
    leaves[id(leaf)] = (leaf, g, own) if before is None else (leaf, before[1] + g, True)


def _shared(gk, g, saved) -> bool:
    """Does somebody else hold the memory of this gradient?"""
    if gk is g or type(gk) is not ndarray or gk.base is not None:
        return True
    for s in saved:
        if s is gk:
            return True
    return False


def _conformed(gk, op: Op, k: int, parent: Node | Tensor):
    """A gradient has the shape and dtype of its argument: broadcasting is undone here and nowhere else."""
    if not isinstance(gk, ndarray | Tensor):
        gk = np.asarray(gk)
    if gk.shape != parent.shape:
        if not op.elementwise:
            raise ValueError(
                f"the rule of {op.name} for '{op.params[k]}' returned a gradient of shape {gk.shape}; the argument has "
                f"shape {parent.shape}"
            )
        gk = unbroadcast(gk, parent.shape)
    return gk if gk.dtype == parent.dtype else gk.astype(parent.dtype)


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
    g = g if isinstance(g, Tensor) else np.asarray(g)  # NumPy's sum of two 0-d arrays is none
    for hook in owner.hooks or ():
        new = hook(g if isinstance(g, Tensor) else _tensor(read_only(g), None, False, None))  # others may share g
        if new is not None:
            if shape_of(new) != g.shape:
                raise ValueError(f"a hook returned shape {shape_of(new)} for a gradient of shape {g.shape}")
            new = new if isinstance(new, Tensor) else Tensor(new, g.dtype)
            g = new if isinstance(g, Tensor) else new._array.astype(g.dtype)
    return g
