"""What runs around a chart's code to tell what matplotlib drew: sent to the renderer's sandbox as text, not run here.

The only thing that leaves the sandbox is a picture, so the description leaves as one: JSON, its bytes as pixels.
"""

import json

WIDTH = 256
"""Pixels of a row of the picture; three bytes each."""
MOST = 400
"""Points of one series that are told of."""


def _numbers(values):
    import numpy as np

    found = np.asarray(values, float).ravel()[:MOST]
    return [float(f"{value:.10g}") if np.isfinite(value) else None for value in found]


def _hex(colour):
    from matplotlib.colors import to_hex

    try:
        return to_hex(colour)
    except (ValueError, TypeError):
        return None


def _alpha(artist, colour=None):
    alpha = artist.get_alpha()
    if alpha is None and colour is not None and len(colour) == 4:
        alpha = float(colour[3])
    return 1.0 if alpha is None else float(alpha)


def _line(line):
    return {
        "kind": "line", "label": str(line.get_label()), "x": _numbers(line.get_xdata(orig=False)),
        "y": _numbers(line.get_ydata(orig=False)), "colour": _hex(line.get_color()), "dash": line.get_linestyle(),
        "marker": str(line.get_marker()), "width": float(line.get_linewidth()), "alpha": _alpha(line),
    }  # fmt: skip


def _bars(container):
    boxes = [(patch.get_x(), patch.get_y(), patch.get_width(), patch.get_height()) for patch in container.patches]
    across = container.orientation == "horizontal"
    size = [box[2] if across else box[3] for box in boxes]
    wide = [box[3] if across else box[2] for box in boxes]
    start = [box[1] if across else box[0] for box in boxes]
    # The bars of a histogram touch each other.
    touch = all(abs(a + w - b) < 1e-6 * max(1, abs(b)) for a, w, b in zip(start, wide, start[1:]))  # noqa: B905
    colour = container.patches[0].get_facecolor()
    return {
        "kind": "hist" if touch and len(boxes) > 1 else "bars", "label": str(container.get_label()), "across": across,
        "x": _numbers([at + w / 2 for at, w in zip(start, wide)]), "y": _numbers(size), "colour": _hex(colour),  # noqa: B905
        "width": float(wide[0]), "alpha": _alpha(container.patches[0], colour), "low": float(start[0]),
    }  # fmt: skip


def _points(collection):
    offsets = collection.get_offsets()
    colours = collection.get_facecolor()
    colour = colours[0] if len(colours) else (0, 0, 0, 1)
    return {
        "kind": "points", "label": str(collection.get_label()), "x": _numbers(offsets[:, 0]),
        "y": _numbers(offsets[:, 1]), "colour": _hex(colour), "alpha": _alpha(collection, colour),
    }  # fmt: skip


def _wedges(axes, wedges):
    texts = [text.get_text() for text in axes.texts]
    return {
        "kind": "wedges", "label": "", "shares": _numbers([(w.theta2 - w.theta1) / 360 for w in wedges]),
        "labels": texts[: len(wedges)], "colours": [_hex(w.get_facecolor()) for w in wedges],
        "start": float(wedges[0].theta1),
    }  # fmt: skip


def _series(axes):
    from matplotlib.collections import PathCollection
    from matplotlib.container import BarContainer
    from matplotlib.patches import Wedge

    found = [_bars(c) for c in axes.containers if isinstance(c, BarContainer) and c.patches]
    found += [_line(line) for line in axes.lines]
    found += [_points(c) for c in axes.collections if isinstance(c, PathCollection)]
    wedges = [patch for patch in axes.patches if isinstance(patch, Wedge)]
    return found + ([_wedges(axes, wedges)] if wedges else [])


def _ticks(axis, low, high):
    """(place, text) of the labels that are drawn within the axis."""
    low, high = sorted((low, high))
    return [
        [float(tick.get_loc()), tick.label1.get_text()]
        for tick in axis.get_major_ticks()
        if tick.label1.get_visible() and tick.label1.get_text() and low <= tick.get_loc() <= high
    ]


def _axes(axes):
    place = axes.get_position().bounds
    legend = axes.get_legend()
    titles = {where: axes.get_title(where) for where in ("center", "left", "right")}
    where = next((where for where, text in titles.items() if text), "center")
    xticks, yticks = _ticks(axes.xaxis, *axes.get_xlim()), _ticks(axes.yaxis, *axes.get_ylim())
    turns = [tick.label1.get_rotation() for tick in axes.xaxis.get_major_ticks()[:1]]
    title = {"center": axes.title, "left": axes._left_title, "right": axes._right_title}[where]
    gridded = [lines[0].get_visible() for lines in (axes.get_xgridlines(), axes.get_ygridlines()) if lines]
    return {
        "place": [round(value, 4) for value in place], "title": titles[where], "title_place": where,
        "title_size": float(title.get_fontsize()), "x": axes.get_xlabel(), "y": axes.get_ylabel(),
        "legend": None if legend is None else [text.get_text() for text in legend.get_texts()],
        "grid": any(gridded) and axes.axison, "face": _hex(axes.get_facecolor()),
        "spines": [name for name, spine in axes.spines.items() if spine.get_visible()],
        "xlim": _numbers(axes.get_xlim()), "ylim": _numbers(axes.get_ylim()), "xscale": axes.get_xscale(),
        "yscale": axes.get_yscale(), "xticks": xticks, "yticks": yticks, "turn": float(turns[0]) if turns else 0.0,
        "series": _series(axes), "on": bool(axes.axison),
    }  # fmt: skip


def _picture(figure, save):
    """Sends what the figure shows."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    FigureCanvasAgg(figure).draw()
    told = json.dumps({"axes": [_axes(axes) for axes in figure.axes if axes.get_visible()]}).encode()
    data = len(told).to_bytes(4, "big") + told
    rows = -(-len(data) // (3 * WIDTH))
    pixels = np.zeros(rows * WIDTH * 3, np.uint8)
    pixels[: len(data)] = np.frombuffer(data, np.uint8)
    # At half the usual dots per inch, so that there is room for it at any usual resolution; the first row lowest.
    paper = Figure(figsize=(WIDTH / 50, max(rows, 8) / 50), dpi=100)
    FigureCanvasAgg(paper)
    paper.figimage(pixels.reshape(rows, WIDTH, 3), origin="lower")
    save(paper.canvas, None)


def _run(code):
    import matplotlib.pyplot as plt
    from matplotlib.backend_bases import FigureCanvasBase
    from matplotlib.figure import Figure

    save = FigureCanvasBase.print_figure
    FigureCanvasBase.print_figure = lambda canvas, *args, **kwargs: _picture(canvas.figure, save)
    Figure.show = lambda figure, *args, **kwargs: _picture(figure, save)
    plt.show = lambda *args, **kwargs: _picture(plt.gcf(), save)
    exec(compile(code, "<chart>", "exec"), {"__name__": "__main__"})
    if plt.get_fignums():
        _picture(plt.gcf(), save)
