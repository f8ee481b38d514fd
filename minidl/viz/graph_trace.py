"""The recorded computation graph as plain data, as text and in the DOT language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..arrays import describe
from ..engine import Node, Tensor


@dataclass
class Vertex:
    """An operation or a leaf. `parents`: (index of the vertex it reads, name of the argument), in argument order."""

    kind: str  # "operation" or "leaf"
    operation: str
    name: str
    shape: tuple[int, ...]
    value: float | None = None  # of a leaf with one element
    parents: list[tuple[int, str]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """One line of what it is and one of how large: `w = 2` or `matmul / (4, 3)`."""
        head = ": ".join(filter(None, (self.name, self.operation))) or "leaf"
        if self.value is not None:
            return f"{head} = {self.value:.4g}"
        return f"{head}\n{self.shape}" if self.shape else head


def trace(output: Tensor, names=None) -> list[Vertex]:
    """Every operation and leaf that `output` was computed from, each after what it reads.

    names: {name: Tensor} or a module, whose parameter names are used; leaves and results may be named. Only what needs
    a gradient is recorded, so constants do not appear. Raises ValueError if nothing was recorded or if backward has
    freed the graph.
    """
    if not isinstance(output, Tensor) or output._node is None:
        raise ValueError(
            f"no graph was recorded for {describe(output)}: it needs an operation on a tensor that requires a "
            "gradient, outside no_grad() and before detach()"
        )
    named = {id(t._node or t): name for name, t in _pairs(names)}
    nodes = sorted(_reachable(output._node), key=lambda node: node.birth)  # parents are born before their children
    vertices: list[Vertex] = []
    index: dict[int, int] = {}

    def add(owner, vertex: Vertex) -> int:
        index[id(owner)] = len(vertices)
        vertices.append(vertex)
        return index[id(owner)]

    for node in nodes:
        parents = []
        for k, parent, _ in node.edges:
            if id(parent) not in index:
                add(parent, _leaf(parent, named.get(id(parent), "")))
            parents.append((index[id(parent)], node.op.params[k]))
        add(node, Vertex("operation", node.op.name, named.get(id(node), ""), node.shape, None, parents))
    return vertices


def graph_text(output: Tensor, names=None) -> str:
    """The recorded graph as text, one operation a line, in the order in which they were computed.

    names: {name: Tensor} or a module. Arguments that need no gradient were not recorded and are left out.

    >>> import minidl
    >>> w, b = minidl.tensor([2.0], requires_grad=True), minidl.tensor([1.0], requires_grad=True)
    >>> print(graph_text((w * 3 + b).tanh(), {"w": w, "b": b}))
    w  (1,) = 2
    %1 (1,) = mul(x=w)
    b  (1,) = 1
    %3 (1,) = add(x=%1, y=b)
    %4 (1,) = tanh(x=%3)
    """
    vertices = trace(output, names)
    ids = [v.name or f"%{k}" for k, v in enumerate(vertices)]
    width = max(map(len, ids))
    lines = []
    for name, v in zip(ids, vertices, strict=True):
        read = ", ".join(f"{argument}={ids[parent]}" for parent, argument in v.parents)
        what = f"{v.operation}({read})" if v.operation else "leaf" if v.value is None else f"{v.value:.4g}"
        lines.append(f"{name:<{width}} {v.shape} = {what}")
    return "\n".join(lines)


def graph_dot(output: Tensor, names=None) -> str:
    """The recorded graph in the DOT language, for Graphviz and other tools. names: as for `graph_text`.

    Gansner, North (2000), "An open graph visualization system and its applications to software engineering".
    """
    lines = ["digraph {", "  node [shape=box, fontname=Helvetica];"]
    for k, v in enumerate(trace(output, names)):
        label = v.label.replace("\\", "\\\\").replace('"', r"\"").replace("\n", r"\n")
        lines.append(f'  {k} [label="{label}"{"" if v.operation else ", style=rounded"}];')
        lines += [f'  {parent} -> {k} [tooltip="{argument}"];' for parent, argument in v.parents]
    return "\n".join([*lines, "}"])


def _reachable(root: Node) -> set[Node]:
    """All nodes that can be reached backwards; a list instead of recursion, for graphs of any depth."""
    seen, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        if node.edges is None:
            raise ValueError(
                f"backward has freed this graph (at {node.op.name}): draw it before backward(), or keep it with "
                "backward(retain_graph=True)"
            )
        for _, parent, _ in node.edges:
            if isinstance(parent, Node) and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return seen


def _leaf(tensor: Tensor, name: str) -> Vertex:
    return Vertex("leaf", "", name, tensor.shape, tensor.item() if tensor.size == 1 else None)


def _pairs(names) -> list[tuple[str, Tensor]]:
    """(name, tensor) pairs of a dict or of a module's parameters."""
    if names is None:
        return []
    pairs = list(names.items() if isinstance(names, Mapping) else names.named_parameters())
    for name, t in pairs:
        if not isinstance(t, Tensor):
            raise TypeError(f"names maps names to tensors, but '{name}' is {describe(t)}")
    return pairs
