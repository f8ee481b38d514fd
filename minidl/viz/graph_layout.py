"""Where to put the boxes of a directed graph: layers by longest path, few crossings, short edges.

The three steps of Sugiyama, Tagawa, Toda (1981), "Methods for Visual Understanding of Hierarchical System Structures".
An edge that spans several layers is led through an invisible point ("bend") in each layer that it crosses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SWEEPS = 12
LEAF_PULL, BEND_PULL = 0.1, 2.0  # beside an operation's 1: chains of operations and long edges come out straight


@dataclass
class Layout:
    """x (V + bends,): centres; layer (V + bends,): 0 is the bottom; routes: the points of each edge, top to bottom."""

    x: np.ndarray
    layer: np.ndarray
    routes: dict[tuple[int, int], list[int]]
    order: list[list[int]]  # for each layer, its vertices and bends from left to right


def lay_out(parents: list[list[int]], widths: list[float], bend: float = 0.12, gap: float = 0.2) -> Layout:
    """Place the vertices of a graph given as the parents of each; a parent's number is smaller than its child's.

    widths: of the boxes; bend: the room an edge takes in a layer it crosses; gap: the least space between neighbours.
    """
    layer = longest_path_layers(parents)
    links: list[list[int]] = [[] for _ in parents]  # upward neighbours, one layer apart
    routes: dict[tuple[int, int], list[int]] = {}
    for child, ps in enumerate(parents):
        for parent in dict.fromkeys(ps):
            route = [parent]
            for level in range(layer[parent] - 1, layer[child], -1):
                layer.append(level)
                links.append([route[-1]])
                route.append(len(layer) - 1)
            links[child].append(route[-1])
            routes[parent, child] = [*route, child]
    widths = list(widths) + [bend] * (len(layer) - len(widths))
    downs: list[list[int]] = [[] for _ in layer]
    for v, above in enumerate(links):
        for u in above:
            downs[u].append(v)
    order = _reduce_crossings(_first_order(layer, links), links, downs)
    pull = np.array([1.0 if ps else LEAF_PULL for ps in parents] + [BEND_PULL] * (len(layer) - len(parents)))
    x = _coordinates(order, links, downs, np.array(widths), pull, gap)
    return Layout(x, np.array(layer), routes, order)


def longest_path_layers(parents: list[list[int]]) -> list[int]:
    """The length of the longest path from each vertex to an end of the graph: a parent is always above its child."""
    layer = [0] * len(parents)
    for child in range(len(parents) - 1, -1, -1):
        for parent in parents[child]:
            layer[parent] = max(layer[parent], layer[child] + 1)
    return layer


def crossings(order: list[list[int]], links: list[list[int]]) -> int:
    """How many pairs of edges cross between neighbouring layers. links: the upward neighbours of each vertex."""
    places = {v: k for row in order for k, v in enumerate(row)}
    total = 0
    for row in order:
        ends = np.array([place for v in row for place in sorted(places[u] for u in links[v])])
        total += int(np.triu(ends[:, None] > ends[None, :], 1).sum())
    return total


def _first_order(layer: list[int], links: list[list[int]]) -> list[list[int]]:
    """Depth first from the bottom, so that what belongs together starts together."""
    order: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    seen: set[int] = set()
    waiting = [v for v in reversed(range(len(layer))) if layer[v] == 0]
    while waiting:
        v = waiting.pop()
        if v not in seen:
            seen.add(v)
            order[layer[v]].append(v)
            waiting += reversed(links[v])
    return order


def _reduce_crossings(order: list, links: list, downs: list) -> list[list[int]]:
    """Sort each layer by the mean place of its neighbours, up and down in turn; keep the best order met."""
    best, least = order, crossings(order, links)
    for sweep in range(SWEEPS):
        if least == 0:
            break
        rows, neighbours = (order[1:], downs) if sweep % 2 == 0 else (order[-2::-1], links)
        place = {v: k for row in order for k, v in enumerate(row)}
        for row in rows:
            row_place = {v: np.mean([place[u] for u in neighbours[v]]) if neighbours[v] else place[v] for v in row}
            for k, v in enumerate(sorted(row, key=row_place.get)):
                place[v] = k
        order = [sorted(row, key=place.get) for row in order]
        count = crossings(order, links)
        if count < least:
            best, least = order, count
    return best


def _coordinates(
    order: list, links: list, downs: list, widths: np.ndarray, pull: np.ndarray, gap: float
) -> np.ndarray:
    """Move every layer as close to the weighted mean of its neighbours as its width allows, down and up in turn."""
    x = np.zeros(len(widths))

    def settle(rows, neighbours):
        for row in rows:
            wish = np.array([np.average(x[n], weights=pull[n]) if (n := neighbours[v]) else x[v] for v in row])
            x[row] = separate(wish, widths[row], pull[row], gap)

    both = [a + b for a, b in zip(downs, links, strict=True)]
    for _ in range(SWEEPS):
        for neighbours in (downs, links, both):
            settle(order, neighbours)
            settle(order[::-1], neighbours)
    settle(order[::-1], links)  # at last each below its parents, so that chains are straight,
    settle(order, [[] if above else below for above, below in zip(links, downs, strict=True)])  # leaves above readers
    return x


def separate(wish: np.ndarray, widths: np.ndarray, weights: np.ndarray, gap: float) -> np.ndarray:
    """The places nearest to `wish` (weighted least squares) that keep the order and leave `gap` between boxes.

    Without the offsets of the boxes the places must only not decrease: neighbours that do are pooled into their mean.
    Barlow et al. (1972), "Statistical Inference under Order Restrictions" (pool adjacent violators).

    >>> separate(np.array([0.0, 0.0]), np.array([1.0, 1.0]), np.array([1.0, 2.0]), gap=0.5)
    array([-1. ,  0.5])
    """
    steps = (widths[1:] + widths[:-1]) / 2 + gap
    offset = np.concatenate([[0.0], np.cumsum(steps)])
    pools: list[tuple] = []  # (mean, weight, count)
    for value, weight in zip((wish - offset).tolist(), weights.tolist(), strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (b, v, m), (a, w, n) = pools.pop(), pools.pop()
            pools.append(((w * a + v * b) / (w + v), w + v, n + m))
    return np.repeat([mean for mean, _, _ in pools], [count for _, _, count in pools]) + offset
