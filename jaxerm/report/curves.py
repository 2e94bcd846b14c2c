"""Line charts as inline SVG: they take the page's colours, light or dark, and weigh a few kilobytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Series = Mapping[str, tuple[Sequence[float], Sequence[float | None]]]

COLOURS = 6
"""Series colours the style sheet defines (s0 to s5); further series start over."""

_POINTS = 400
"""Points drawn of one line, at most: a chart is a few hundred pixels wide."""

_SMOOTH_FROM = 40
"""Points from which a running mean is drawn over the raw line."""


def number(value: float | int | None) -> str:
    """A number in at most four significant digits; a dash for none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e6):
        return f"{int(value):,}".replace(",", "\u202f")
    if abs(value) >= 1000 or abs(value) < 1e-3:
        return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def tick_texts(values: Sequence[float]) -> list[str]:
    """Axis labels: as many decimals as tell neighbours apart, and no zeros that say nothing."""
    step = abs(values[1] - values[0]) if len(values) > 1 else 1.0
    largest = max(abs(value) for value in values)
    if largest >= 1e5 or largest < 1e-3:
        texts = [f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e").replace(".00e", "e") for value in values]
        return ["0" if text == "0e0" else text for text in texts]
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9) + 1)
    texts = [f"{value:.{decimals}f}" for value in values]
    return [text.rstrip("0").rstrip(".") if "." in text else text for text in texts]


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers that span [low, high]: about `count` of them, in steps of 1, 2, 2.5 or 5 times a power of ten."""
    if high - low <= 1e-5 * max(abs(low), abs(high)):
        # As good as constant: in the middle; zeros lie on the axis.
        low, high = (low - abs(low) / 2, high + abs(high) / 2) if low or high else (0.0, 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # Twelve digits, not decimals: a KL of 1e-13 has ticks as well.
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def _runs(steps: Sequence[float], values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    """Unbroken stretches of a series, thinned to `_POINTS`; None and what is not finite breaks it."""
    stride = max(1, math.ceil(len(values) / _POINTS))
    runs: list[list[tuple[float, float]]] = [[]]
    for start in range(0, len(values), stride):
        chunk = [float(v) for v in values[start : start + stride] if v is not None and math.isfinite(v)]
        if chunk:
            runs[-1].append((float(steps[start]), sum(chunk) / len(chunk)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def smooth(values: Sequence[float], window: int) -> list[float]:
    """Mean over a centred window, cut off at the ends."""
    parts = [values[max(0, i - window // 2) : i + window // 2 + 1] for i in range(len(values))]
    return [sum(part) / len(part) for part in parts]


def line_chart(
    series: Series,
    label: str,
    width: int = 1072,
    height: int = 300,
    markers: Mapping[float, str] | None = None,
) -> str:
    """One chart as an SVG element; every text in it is escaped.

    Args:
      series: label -> (steps, values).
      label: what the chart shows, for readers who do not see it.
      width, height: in pixels of the drawing; the page scales it.
      markers: step -> word, a vertical line each.
    """
    lines = [(name, _runs(steps, values)) for name, (steps, values) in series.items()]
    points = [point for _, runs in lines for run in runs for point in run]
    if not points:
        return '<p class="quiet">no numbers yet</p>'
    y_ticks = ticks(min(y for _, y in points), max(y for _, y in points), 4 if height > 160 else 3)
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    x_high = x_high if x_high > x_low else x_low + 1
    x_ticks = [t for t in ticks(x_low, x_high, max(2, width // 110)) if x_low <= t <= x_high]
    left, right, top, bottom = 52, 12, 10, 24

    def at(x: float, y: float) -> str:
        across = left + (x - x_low) / (x_high - x_low) * (width - left - right)
        down = height - bottom - (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (height - top - bottom)
        return f"{across:.1f},{down:.1f}"

    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label, quote=True)}">']
    for tick, text in zip(y_ticks, tick_texts(y_ticks), strict=True):
        y = at(x_low, tick).split(",")[1]
        parts.append(f'<path class="rule" d="M{left},{y}H{width - right}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y}" dy=".32em" text-anchor="end">{text}</text>')
    for tick, text in zip(x_ticks, tick_texts(x_ticks) if x_ticks else (), strict=True):
        x = at(tick, y_ticks[0]).split(",")[0]
        anchor = "end" if float(x) > width - 24 else "middle"
        parts.append(f'<text class="tick" x="{x}" y="{height - 6}" text-anchor="{anchor}">{text}</text>')
    for step, word in (markers or {}).items():
        if x_low <= step <= x_high:
            x = at(step, y_ticks[0]).split(",")[0]
            parts.append(f'<path class="marker" d="M{x},{top}V{height - bottom}"/>')
            parts.append(f'<text class="tick" x="{float(x) + 4:.1f}" y="{top + 9}">{escape(word)}</text>')
    for i, (_, runs) in enumerate(lines):
        total = sum(len(run) for run in runs)
        for run in runs:
            if len(run) == 1:
                x, y = at(*run[0]).split(",")
                parts.append(f'<circle class="s{i % COLOURS}" cx="{x}" cy="{y}" r="3"/>')
                continue
            raw = "M" + "L".join(at(*point) for point in run)
            if total < _SMOOTH_FROM:
                parts.append(f'<path class="line s{i % COLOURS}" d="{raw}"/>')
                continue
            means = smooth([y for _, y in run], max(5, len(run) // 15))
            mean = "M" + "L".join(at(x, y) for (x, _), y in zip(run, means, strict=True))
            parts.append(
                f'<path class="line faint s{i % COLOURS}" d="{raw}"/><path class="line s{i % COLOURS}" d="{mean}"/>'
            )
    return "".join(parts) + "</svg>"
