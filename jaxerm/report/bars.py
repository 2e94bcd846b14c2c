"""Where the time of a step goes, as inline SVG: stacked bars step by step, and lanes within one step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from jaxerm.report.curves import COLOURS, number, tick_texts, ticks

KINDS = ("generate", "render", "score", "update", "wait", "references")
"""Kinds of work whose colours are the same in every chart; others share what follows."""

_BARS = 80
"""Bars drawn, at most; longer runs show means of neighbouring steps."""


def colour(name: str) -> int:
    """Which of the style sheet's colours a kind of work has."""
    return (KINDS.index(name) if name in KINDS else len(KINDS)) % COLOURS


def _means(values: Sequence[float | None], stride: int) -> list[float]:
    """Means of neighbours; what is missing is left out, and is 0 where nothing is there."""
    chunks = [[v for v in values[at : at + stride] if v is not None] for at in range(0, len(values), stride)]
    return [sum(chunk) / len(chunk) if chunk else 0.0 for chunk in chunks]


def stacked_bars(
    steps: Sequence[int],
    parts: Mapping[str, Sequence[float | None]],
    total: Sequence[float | None],
    label: str,
    width: int = 1072,
    height: int = 260,
) -> str:
    """One bar a step, its parts stacked, and a mark at the step's whole time.

    Work that overlaps stacks higher than the time it took: the mark is below the top then.

    Args:
      steps: of the bars.
      parts: kind of work -> seconds of each step.
      total: seconds of each step.
      label: what the chart shows, for readers who do not see it.
      width, height: in pixels of the drawing; the page scales it.
    """
    if not steps:
        return '<p class="quiet">no steps yet</p>'
    stride = math.ceil(len(steps) / _BARS)
    columns = {name: _means(values, stride) for name, values in parts.items()}
    whole = _means(total, stride)
    first = list(steps[::stride])
    tops = [sum(column[i] for column in columns.values()) for i in range(len(first))]
    # One slow step, the first that compiles, shall not flatten all others.
    usual = sorted(max(pair) for pair in zip(tops, whole, strict=True))
    limit = min(usual[-1], 3 * usual[len(usual) // 2]) or 1.0
    y_ticks = [tick for tick in ticks(0, limit, 4)]
    left, right, top, bottom = 52, 12, 14, 24
    span = width - left - right
    wide = span / len(first)

    def y(seconds: float) -> float:
        return height - bottom - min(seconds, y_ticks[-1]) / y_ticks[-1] * (height - top - bottom)

    svg = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label, quote=True)}">']
    for tick, text in zip(y_ticks, tick_texts(y_ticks), strict=True):
        svg.append(f'<path class="rule" d="M{left},{y(tick):.1f}H{width - right}"/>')
        svg.append(f'<text class="tick" x="{left - 8}" y="{y(tick):.1f}" dy=".32em" text-anchor="end">{text}</text>')
    every = max(1, math.ceil(len(first) / 10))
    for i, step in enumerate(first):
        x, base = left + i * wide, 0.0
        said = ", ".join(f"{name} {number(column[i])} s" for name, column in columns.items())
        svg.append(f"<g><title>step {step}: {escape(said)}; in all {number(whole[i])} s</title>")
        for name, column in columns.items():
            if column[i] > 0 and y(base) - y(base + column[i]) > 0:
                svg.append(
                    f'<rect class="s{colour(name)}" x="{x + wide * 0.1:.1f}" y="{y(base + column[i]):.1f}" '
                    f'width="{wide * 0.8:.1f}" height="{y(base) - y(base + column[i]):.1f}"/>'
                )
            base += column[i]
        svg.append(f'<path class="whole" d="M{x:.1f},{y(whole[i]):.1f}h{wide:.1f}"/>')
        if max(base, whole[i]) > y_ticks[-1]:
            svg.append(f'<text class="tick" x="{x:.1f}" y="{top - 3}">{number(whole[i])} s</text>')
        if i % every == 0:
            svg.append(f'<text class="tick" x="{x + wide / 2:.1f}" y="{height - 6}" text-anchor="middle">{step}</text>')
        svg.append("</g>")
    return "".join(svg) + "</svg>"


def lanes(spans: Sequence[Mapping[str, Any]], label: str, width: int = 1072) -> str:
    """What device and host did when within one step.

    Args:
      spans: JSON values as `device_clock.Clock.spans` gives them: on (``device`` or ``host``), name, from and to.
      label: what the chart shows, for readers who do not see it.
      width: in pixels of the drawing.
    """
    if not spans:
        return '<p class="quiet">no spans</p>'
    end = max(span["to"] for span in spans) or 1.0
    rows: list[tuple[str, str]] = list(dict.fromkeys((span["on"], span["name"]) for span in spans))
    rows.sort(key=lambda row: row[0])
    left, right, tall = 150, 12, 24
    height = tall * len(rows) + 26

    def x(seconds: float) -> float:
        return left + seconds / end * (width - left - right)

    svg = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label, quote=True)}">']
    marks = ticks(0, end, 8)
    for tick, text in zip(marks, tick_texts(marks), strict=True):
        if tick <= end:
            svg.append(f'<path class="rule" d="M{x(tick):.1f},0V{height - 22}"/>')
            svg.append(f'<text class="tick" x="{x(tick):.1f}" y="{height - 6}" text-anchor="middle">{text} s</text>')
    for number_, (on, name) in enumerate(rows):
        down = number_ * tall
        svg.append(
            f'<text class="tick" x="{left - 10}" y="{down + tall / 2}" dy=".32em" text-anchor="end">'
            f"{escape(f'{on}: {name}')}</text>"
        )
        for span in spans:
            if (span["on"], span["name"]) == (on, name):
                wide = max(x(span["to"]) - x(span["from"]), 1.0)
                svg.append(
                    f'<rect class="s{colour(name)}{"" if on == "device" else " faint"}" x="{x(span["from"]):.1f}" '
                    f'y="{down + 4}" width="{wide:.1f}" height="{tall - 8}"><title>{escape(name)}: '
                    f"{number(span['from'])} to {number(span['to'])} s</title></rect>"
                )
    return "".join(svg) + "</svg>"
