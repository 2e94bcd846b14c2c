"""The edit distance of two tables as trees, exact: rows at a time with NumPy where they are plain, APTED where not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from apted import APTED, Config
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True)
class Node:
    """An element of a table's tree.

    Attributes:
      tag: ``table``, ``tr``, ``td``; something else where the table holds something else.
      spans: colspan and rowspan of a cell.
      content: of a cell, one character a token.
      children: of what is no cell.
    """

    tag: str
    spans: tuple[int, int] = (1, 1)
    content: str = ""
    children: list[Node] = field(default_factory=list)


def rename_cost(one: Node, two: Node) -> float:
    """1 where tags or spans differ, else the normalised Levenshtein distance of the contents."""
    if (one.tag, one.spans) != (two.tag, two.spans):
        return 1.0
    return Levenshtein.normalized_distance(one.content, two.content)


class _Costs(Config):
    """Inserting and deleting cost 1."""

    def rename(self, node1: Node, node2: Node) -> float:
        return rename_cost(node1, node2)

    def children(self, node: Node) -> list[Node]:
        return node.children


def tree_distance(one: Node, two: Node) -> float:
    """Least cost of turning one table into the other: 1 a node inserted or deleted, `rename_cost` a node changed.

    Args:
      one, two: nodes of the tag ``table``.
    """
    if _plain(one) and _plain(two):
        return _plain_distance(one, two)
    return float(APTED(one, two, _Costs()).compute_edit_distance())


def _plain(table: Node) -> bool:
    """Whether below the table there are only rows of leaves, and leaves."""
    return all(
        not node.children or node.tag == "tr" and not any(cell.children for cell in node.children)
        for node in table.children
    )


def _renames(one: list[Node], two: list[Node]) -> np.ndarray:
    """`rename_cost` of every two nodes, float64[len(one), len(two)]."""
    labels = {label: number for number, label in enumerate(dict.fromkeys((n.tag, n.spans) for n in [*one, *two]))}
    left, right = (np.array([labels[node.tag, node.spans] for node in nodes], int) for nodes in (one, two))
    texts = [[node.content for node in nodes] for nodes in (one, two)]
    costs = process.cdist(*texts, scorer=Levenshtein.normalized_distance, dtype=np.float64)
    return np.where(left[:, None] == right[None, :], costs, 1.0)


class _Rows:
    """The children of a plain table in postorder: the leaves of a row, then the row.

    Attributes:
      nodes: all of them.
      start: of each node, the place of the first node of its subtree; its own for a leaf.
      rows: places of what has children.
    """

    def __init__(self, table: Node):
        self.nodes: list[Node] = []
        starts = []
        for node in table.children:
            first = len(self.nodes)
            for cell in node.children:
                starts.append(len(self.nodes))
                self.nodes.append(cell)
            starts.append(first)
            self.nodes.append(node)
        self.start = np.array(starts, int)
        self.rows = np.flatnonzero(self.start < np.arange(len(starts)))


def _plain_distance(one: Node, two: Node) -> float:
    """Zhang and Shasha's recurrence (SIAM J. Comput. 18, 1989) for trees of depth three.

    With F(i, j) the distance of the forests of the first i and j nodes in postorder, s the first node of a subtree and
    T the distance of two subtrees: F(i, j) = min(F(i - 1, j) + 1, F(i, j - 1) + 1, F(s(i) - 1, s(j) - 1) + T(i, j)).
    T has a closed form where one of the two is a leaf, and is the alignment of the cells where both are rows. F(i, .)
    is one vector: the term of j - 1 is a running minimum.
    """
    a, b = _Rows(one), _Rows(two)
    root = rename_cost(one, two)
    if not a.nodes or not b.nodes:
        return root + max(len(a.nodes), len(b.nodes))
    renames = _renames(a.nodes, b.nodes)
    subtrees = renames.copy()
    # A leaf against a row of m: it becomes the row or one of its cells, and m nodes are inserted.
    for j in b.rows:
        first = b.start[j]
        subtrees[:, j] = j - first + renames[:, first : j + 1].min(axis=1)
    for i in a.rows:
        first = a.start[i]
        subtrees[i, :] = i - first + renames[first : i + 1, :].min(axis=0)
    for i in a.rows:
        if len(b.rows):
            subtrees[i, b.rows] = _alignments(renames[a.start[i] : i], b)
    count = len(b.nodes)
    steps = np.arange(count + 1, dtype=float)
    forest = np.empty((len(a.nodes) + 1, count + 1))
    forest[0] = steps
    for i in range(len(a.nodes)):
        best = forest[i] + 1
        np.minimum(best[1:], forest[a.start[i], b.start] + subtrees[i], out=best[1:])
        forest[i + 1] = np.minimum.accumulate(best - steps) + steps
    return float(root + forest[-1, -1])


def _alignments(renames: np.ndarray, b: _Rows) -> np.ndarray:
    """Edit distance of one row's cells and each row of `b`, float64[rows of b].

    Args:
      renames: of the row's cells and all nodes of `b`.
    """
    sizes = b.rows - b.start[b.rows]
    steps = np.arange(sizes.max() + 1, dtype=float)
    # Places of each row's cells, padded; what stands in the padding is never read.
    places = np.minimum(b.start[b.rows][:, None] + np.arange(sizes.max()), len(b.nodes) - 1)
    line = np.tile(steps, (len(b.rows), 1))
    for costs in renames:
        best = line + 1
        np.minimum(best[:, 1:], line[:, :-1] + costs[places], out=best[:, 1:])
        line = np.minimum.accumulate(best - steps, axis=1) + steps
    return line[np.arange(len(b.rows)), sizes]
