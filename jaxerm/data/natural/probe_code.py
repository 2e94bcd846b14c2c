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
    } | ({"kind": "steps"} if line.get_drawstyle().startswith("steps") else {})  # fmt: skip


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
        "base": _numbers([box[0] if across else box[1] for box in boxes]),
    }  # fmt: skip


def _points(collection):
    import numpy as np

    space = getattr(collection, "_offsets3d", None)
    x, y = (space[0], space[2]) if space is not None else np.asarray(collection.get_offsets()).T
    colours = collection.get_facecolor()
    colour = colours[0] if len(colours) else (0, 0, 0, 1)
    sizes = _numbers(collection.get_sizes())
    return {
        "kind": "points", "label": str(collection.get_label()), "x": _numbers(x), "y": _numbers(y),
        "colour": _hex(colour), "alpha": _alpha(collection, None if space is not None else colour),
        "sizes": sizes if len(set(sizes)) > 1 else [],
    }  # fmt: skip


def _area(collection):
    """The upper edge of what lies between a line and zero: the first half of its outline, less the corners."""
    vertices = collection.get_paths()[0].vertices
    edge = vertices[1 : 1 + (len(vertices) - 3) // 2]
    colour = collection.get_facecolor()[0]
    return {
        "kind": "area", "label": str(collection.get_label()), "x": _numbers(edge[:, 0]), "y": _numbers(edge[:, 1]),
        "colour": _hex(colour), "alpha": _alpha(collection, colour),
    }  # fmt: skip


def _errors(container):
    line, _, bars = container.lines
    length = [abs(one[1][1] - one[0][1]) / 2 for one in bars[0].get_segments()] if bars else []
    return _line(line) | {"kind": "errors", "label": str(container.get_label()), "errors": _numbers(length)}


def _contour(drawn):
    return {
        "kind": "contourf" if drawn.filled else "contour", "label": "", "levels": len(drawn.levels),
        "map": drawn.get_cmap().name,
    }  # fmt: skip


def _image(image):
    values = image.get_array()
    return {
        "kind": "image", "label": "", "shape": list(values.shape[:2]), "map": image.get_cmap().name,
        "values": _numbers(values) if values.ndim == 2 else [], "range": _numbers(image.get_clim()),
    }  # fmt: skip


def _spread(axes, kind, told, drawn):
    """Keeps what `Axes.bxp` or `Axes.violin` was given, and the artists that are thereby told of."""
    rows = []
    for one in told:
        if kind == "boxes":
            ends = [one["whislo"], one["whishi"], *one.get("fliers", ())]
        else:
            ends = [one["min"], one["max"]]
        rows.append([min(ends), max(ends), one["med" if kind == "boxes" else "median"]])
    axes._told = [*getattr(axes, "_told", ()), {"kind": kind, "label": "", "rows": [_numbers(row) for row in rows]}]
    artists = [part for parts in drawn.values() for part in (parts if isinstance(parts, list) else [parts])]
    axes._known = getattr(axes, "_known", set()) | {id(artist) for artist in artists}
    return drawn


def _wedges(axes, wedges):
    texts = [text.get_text() for text in axes.texts]
    return {
        "kind": "wedges", "label": "", "shares": _numbers([(w.theta2 - w.theta1) / 360 for w in wedges]),
        "labels": texts[: len(wedges)], "colours": [_hex(w.get_facecolor()) for w in wedges],
        "start": float(wedges[0].theta1), "ring": wedges[0].width is not None,
    }  # fmt: skip


def _series(axes):
    from matplotlib.collections import PathCollection, PolyCollection
    from matplotlib.container import BarContainer, ErrorbarContainer
    from matplotlib.contour import ContourSet
    from matplotlib.patches import Wedge

    known = set(getattr(axes, "_known", ()))
    found = [_bars(c) for c in axes.containers if isinstance(c, BarContainer) and c.patches]
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer) and container.lines[0] is not None:
            found.append(_errors(container))
            known |= {id(container.lines[0]), *map(id, container.lines[1])}
    found += [_line(line) for line in axes.lines if id(line) not in known]
    found += [_points(c) for c in axes.collections if isinstance(c, PathCollection)]
    areas = [c for c in axes.collections if isinstance(c, PolyCollection) and id(c) not in known]
    found += [_area(c) for c in areas if len(c.get_paths()) == 1]
    found += [_contour(c) for c in axes.collections if isinstance(c, ContourSet)]
    found += [*map(_image, axes.images), *getattr(axes, "_told", ())]
    wedges = [patch for patch in axes.patches if isinstance(patch, Wedge)]
    return found + ([_wedges(axes, wedges)] if wedges else [])


def _ticks(axis, low, high):
    """(place, text) of the labels that are drawn within the axis, on either side of the picture."""
    low, high = sorted((low, high))
    found = []
    for tick in axis.get_major_ticks():
        label = next((label for label in (tick.label1, tick.label2) if label.get_visible() and label.get_text()), None)
        if label is not None and low <= tick.get_loc() <= high:
            found.append([float(tick.get_loc()), label.get_text()])
    return found


def _legend_place(axes, legend):
    """Where a legend was put: ``upper left``, ``center``; None where matplotlib looked for a place itself."""
    if legend is None or legend._get_loc() == 0:
        return None
    names = {code: name for name, code in legend.codes.items()}
    if legend._get_loc() in names:
        return names[legend._get_loc()]
    box = legend.get_window_extent().transformed(axes.transAxes.inverted())
    across, down = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    words = ["lower" if down < 0.4 else "upper" if down > 0.6 else ""]
    words.append("left" if across < 0.4 else "right" if across > 0.6 else "")
    return " ".join(word for word in words if word) or "center"


def _notes(axes):
    """Texts in the plot, and how high their middles stand."""
    found = []
    for text in axes.texts:
        if text.get_text() and text.get_visible():
            box = text.get_window_extent().transformed(axes.transAxes.inverted())
            found.append([text.get_text(), float((box.y0 + box.y1) / 2)])
    return found


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
        "series": _series(axes), "on": bool(axes.axison), "shape": axes.name, "notes": _notes(axes),
        "z": axes.get_zlabel() if axes.name == "3d" else "", "turned": float(getattr(axes, "azim", 0)),
        "twin": any(other is not axes and other.bbox.bounds == axes.bbox.bounds
                    for other in axes.get_shared_x_axes().get_siblings(axes)) if axes.name == "rectilinear" else False,
        "right": axes.yaxis.get_label_position() == "right", "legend_place": _legend_place(axes, legend),
        "title_low": bool(title.get_window_extent().y0 < axes.bbox.y1), "bar": any(
            getattr(one, "colorbar", None) is not None for one in (*axes.images, *axes.collections)),
        "tick_sizes": [float(axis.get_major_ticks()[0].label1.get_fontsize()) if axis.get_major_ticks() else 0.0
                       for axis in (axes.xaxis, axes.yaxis)],
    }  # fmt: skip


def _picture(figure, save):
    """Sends what the figure shows."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    FigureCanvasAgg(figure).draw()
    shown = [axes for axes in figure.axes if axes.get_visible() and not hasattr(axes, "_colorbar")]
    told = json.dumps({"axes": [_axes(axes) for axes in shown]}).encode()
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
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import FigureCanvasBase
    from matplotlib.figure import Figure

    bxp, violin = Axes.bxp, Axes.violin
    Axes.bxp = lambda axes, stats, *args, **kwargs: _spread(axes, "boxes", stats, bxp(axes, stats, *args, **kwargs))
    Axes.violin = lambda axes, stats, *args, **kwargs: _spread(
        axes, "violins", stats, violin(axes, stats, *args, **kwargs)
    )
    save = FigureCanvasBase.print_figure
    FigureCanvasBase.print_figure = lambda canvas, *args, **kwargs: _picture(canvas.figure, save)
    Figure.show = lambda figure, *args, **kwargs: _picture(figure, save)
    plt.show = lambda *args, **kwargs: _picture(plt.gcf(), save)
    exec(compile(code, "<chart>", "exec"), {"__name__": "__main__"})
    if plt.get_fignums():
        _picture(plt.gcf(), save)
