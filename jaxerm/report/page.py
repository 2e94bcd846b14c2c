"""From sections to one HTML file that opens from disk: no scripts, every picture inside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from jaxerm.critique import Critique
from jaxerm.report.bars import colour, lanes, stacked_bars
from jaxerm.report.curves import COLOURS, line_chart, number
from jaxerm.report.sections import Curves, Picture, Section, TimeLine

MAX_BYTES = 3_000_000
"""A report stays below this: it is mailed about. Pictures shrink until it does."""

_SIDES = (320, 224, 160, 112)
"""Longest sides tried for the pictures, in pixels, largest first."""


def encode_picture(picture: Picture, longest: int) -> str:
    """A picture as a ``data:`` address holding a PNG, its longest side at most `longest` pixels, on white."""
    if isinstance(picture, (str, Path)):
        image: Image.Image = Image.open(picture)
    elif isinstance(picture, np.ndarray):
        image = Image.fromarray(np.ascontiguousarray(picture))
    else:
        image = picture
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.new("RGB", rgba.size, "white")
        image.paste(rgba, mask=rgba.getchannel("A"))
    image = image.convert("RGB")
    scale = longest / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    # Graphics have few colours: a palette is several times smaller, and exact where 128 are enough.
    image = image.quantize(128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _charts(section: Curves) -> list[dict[str, Any]]:
    """The charts of a section: one for all its series, or one for each."""
    if not section.separate:
        legend = [{"name": name, "colour": i % COLOURS} for i, name in enumerate(section.series)]
        svg = line_chart(section.series, section.title, markers=section.markers)
        return [{"svg": Markup(svg), "legend": legend if len(legend) > 1 else [], "title": "", "last": ""}]
    runs = {section.name: section.series, **section.others}
    charts = []
    for name in dict.fromkeys(name for series in runs.values() for name in series):
        # A run without this metric keeps its place, so that the other keeps its colour.
        lines = {run: series.get(name, ((), ())) for run, series in runs.items()}
        svg = line_chart(lines, name, width=330, height=150, markers=section.markers)
        lasts = [next((v for v in reversed(values) if v is not None), None) for _, values in lines.values()]
        last = " · ".join(number(value) for value in lasts)
        charts.append({"svg": Markup(svg), "legend": [], "title": name, "last": last})
    return charts


def _legend(section: Section) -> list[dict[str, Any]]:
    """Names and colours that hold for all charts of a section."""
    if isinstance(section, TimeLine):
        return [{"name": name, "colour": colour(name)} for name in section.parts]
    if isinstance(section, Curves) and section.others:
        return [{"name": name, "colour": i % COLOURS} for i, name in enumerate((section.name, *section.others))]
    return []


def _bars(section: TimeLine) -> list[tuple[str, Markup]]:
    """The charts of a time line, each with a title."""
    charts = [("seconds of each step; the line across is the step's whole", _step_bars(section))]
    return charts + [
        (f"step {step}, from its start", Markup(lanes(spans, f"{section.title}: step {step}")))
        for step, spans in section.spans.items()
    ]


def _step_bars(section: TimeLine) -> Markup:
    return Markup(stacked_bars(section.steps, section.parts, section.total, section.title))


def _cell(value: Any) -> dict[str, Any]:
    """A table cell: numbers are formatted and set to the right."""
    if isinstance(value, (bool, np.bool_)):
        return {"text": "yes" if value else "no", "number": False}
    if isinstance(value, (int, float, np.integer, np.floating)):
        return {"text": number(value.item() if isinstance(value, np.generic) else value), "number": True}
    return {"text": "–" if value is None else str(value), "number": value is None}


def _summary(summary: dict[str, Any]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Splits a summary into before/after tiles and plain facts."""
    tiles, facts = [], []
    for key, value in summary.items():
        name = key.replace("_", " ")
        if isinstance(value, dict) and "before" in value and "after" in value:
            rest = [(k.replace("_", " "), _cell(v)["text"]) for k, v in value.items() if k not in ("before", "after")]
            rest = [(k, text) for k, text in rest if len(text) <= 40]
            before, after = _cell(value["before"]), _cell(value["after"])
            tiles.append({"name": name, "before": before["text"], "after": after["text"], "rest": rest})
        elif not isinstance(value, (dict, list, tuple)):
            facts.append((name, _cell(value)["text"]))
    return tiles, facts


def _best(rounds: Sequence[Any]) -> int | None:
    """Index of the first round with the highest reward; None if none was scored."""
    scored = [(r.reward, -i) for i, r in enumerate(rounds) if r.reward is not None]
    return -max(scored)[1] if scored else None


def render_report(
    title: str,
    summary: dict[str, Any],
    sections: Sequence[Section],
    longest: int = _SIDES[0],
    address: Callable[[Picture], str] | None = None,
) -> str:
    """The HTML of a report, see `write_report`.

    Args:
      longest: side of a picture in pixels, at most.
      address: of a picture; None puts every picture into the page.
    """
    here = Path(__file__).parent
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    env.filters.update(number=number, cell=_cell, best=_best, charts=_charts, legend=_legend, bars=_bars)
    env.filters["picture"] = address or (lambda picture: encode_picture(picture, longest))
    env.tests["critique"] = lambda said: isinstance(said, Critique)
    tiles, facts = _summary(summary)
    style = Markup((here / "style.css").read_text(encoding="utf-8"))
    return env.get_template("page.html.j2").render(
        title=title, tiles=tiles, facts=facts, sections=sections, style=style
    )


def write_report(path: str | Path, title: str, summary: dict[str, Any], sections: Sequence[Section]) -> Path:
    """Writes a report that opens from disk, needs no network and stays under 3 MB; returns its path.

    Args:
      path: the HTML file; its folder is made.
      title: heading of the page.
      summary: shown first. A value with ``before`` and ``after`` becomes a tile, with its other entries beneath; a
        plain value becomes a fact; other values are left out.
      sections: in the order they are shown.

    Raises:
      ValueError: the sections do not fit into 3 MB even with small pictures.
    """
    path = Path(path)
    for longest in _SIDES:
        html = render_report(title, summary, sections, longest)
        if len(html.encode()) < MAX_BYTES:
            break
    else:
        raise ValueError(
            f"the report {path} is {len(html.encode()) / 1e6:.1f} MB; the limit is 3 MB: give fewer pictures"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    return path
