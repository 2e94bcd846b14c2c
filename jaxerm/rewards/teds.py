"""TEDS: how much of one table is in another, as trees of rows and cells. As a measure, and as a reward."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import lxml.html
from lxml import etree
from markdown_it import MarkdownIt

from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.protocol import Reward
from jaxerm.rewards.result import RewardResult, failed, scored, unscored
from jaxerm.rewards.tree_distance import Node, tree_distance

_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
_DROPPED = ("thead", "tbody", "tfoot", "span", "sup", "sub", "div", "p", "colgroup")
"""Tags that say how a table looks or is grouped, not what is in it: they go, what is inside stays."""
_SPACE = re.compile(r"\s+")
_HTML = re.compile(r"<\s*t(able|r|d|h)\b", re.IGNORECASE)
_PRIVATE = 0xF0000
MAX_NODES = 4_000
"""Largest table that is compared: time and memory grow with the square."""


@dataclass(frozen=True)
class Table:
    """A table as a tree.

    Attributes:
      root: of the tree, the table itself.
      size: elements below it, inline tags in cells included.
    """

    root: Node
    size: int


def table_tree(code: str, structure_only: bool = False) -> Table | None:
    """The first table of HTML or Markdown, normalised as OmniDocBench does; None where there is none.

    Header cells are cells, groups of rows and what only styles text are unwrapped, text is NFKC with single spaces.

    Args:
      code: HTML or Markdown.
      structure_only: leave the cells empty.
    """
    html = code if _HTML.search(code) else _MARKDOWN.render(code)
    try:
        page = lxml.html.fromstring(f"<html><body>{unicodedata.normalize('NFKC', html)}</body></html>")
    except (etree.ParserError, ValueError):
        return None
    table = next(page.iter("table"), None)
    if table is None:
        return None
    etree.strip_elements(table, etree.Comment, etree.ProcessingInstruction, "script", "style", with_tail=False)
    etree.strip_tags(table, *_DROPPED)
    return Table(_node(table, structure_only), sum(1 for _ in table.iterdescendants()))


def _node(element: etree._Element, structure_only: bool) -> Node:
    if element.tag in ("td", "th"):
        content = "" if structure_only else _content(element).strip()
        return Node("td", (_span(element, "colspan"), _span(element, "rowspan")), content)
    return Node(str(element.tag), children=[_node(child, structure_only) for child in element])


def _span(element: etree._Element, name: str) -> int:
    value = element.get(name, "1").strip()
    return int(value) if value.isdecimal() else 1


def _content(element: etree._Element) -> str:
    """The text of a cell, each inline tag one character: its hash, in a plane of Unicode that nobody writes in."""
    out = _SPACE.sub(" ", element.text or "")
    for child in element:
        opening, closing = (chr(_PRIVATE + zlib.crc32(f"{sign}{child.tag}".encode()) % 0xFFFD) for sign in "</")
        out += opening + _content(child) + closing + _SPACE.sub(" ", child.tail or "")
    return out


def similarity(one: Table, two: Table) -> float:
    """1 - d / max(n1, n2), with d the tree edit distance and n the elements below the table, at least 0."""
    most = max(one.size, two.size)
    return max(0.0, 1.0 - tree_distance(one.root, two.root) / most) if most else 1.0


def teds(prediction: str, truth: str, structure_only: bool = False) -> float:
    """Tree-edit-distance-based similarity of two tables (arXiv 1911.10683, sec. 3.4).

    Args:
      prediction, truth: HTML or Markdown; the first table of each counts.
      structure_only: TEDS-S, which compares rows, cells and spans and empties the cells.

    Returns:
      0 to 1; 0 where the prediction holds no table.

    Raises:
      ValueError: the truth holds no table, or one of them has more than `MAX_NODES` elements.
    """
    wanted, got = table_tree(truth, structure_only), table_tree(prediction, structure_only)
    if wanted is None:
        raise ValueError("there is no table to compare with")
    if got is None:
        return 0.0
    if max(wanted.size, got.size) > MAX_NODES:
        raise ValueError(f"a table of {max(wanted.size, got.size)} elements; the limit is {MAX_NODES}")
    return similarity(got, wanted)


class Teds(Reward):
    """r = TEDS of the answer's table and the row's, 0 without a table. The render is not looked at.

    Args:
      column: where the row has its table, HTML or Markdown; ``code`` is the reference's own code. A row without one is
        unscored.
    """

    name = "teds"
    structure_only = False

    def __init__(self, column: str = "code"):
        self.column = column

    def key(self, attempt: Attempt) -> Hashable:
        return str(attempt.columns.get(self.column)), attempt.code

    def __call__(self, attempts: Sequence[Attempt], *, seed: int = 0) -> list[RewardResult]:
        return [self._one(attempt) for attempt in attempts]

    def _one(self, attempt: Attempt) -> RewardResult:
        truth = attempt.columns.get(self.column)
        wanted = table_tree(truth, self.structure_only) if isinstance(truth, str) else None
        if wanted is None:
            return unscored(f"the row has no table in its column {self.column!r}")
        if attempt.code is None:
            return failed("no code in the answer")
        got = table_tree(attempt.code, self.structure_only)
        if got is None:
            return failed("no table in the answer")
        if wanted.size > MAX_NODES:
            return unscored(f"the row's table has {wanted.size} elements; the limit is {MAX_NODES}")
        if got.size > MAX_NODES:
            # Nothing is left of a similarity of trees where one is many times the other.
            return failed(f"the table has {got.size} elements; the limit is {MAX_NODES}")
        return scored(similarity(got, wanted))


class TedsStructure(Teds):
    """r = TEDS-S: TEDS of the empty cells, so rows, columns and spans alone."""

    name = "teds_s"
    structure_only = True
