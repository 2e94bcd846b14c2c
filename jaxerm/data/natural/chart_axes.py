"""What differs between two pairs of axes, as `read_figure` tells of them: words, scale, looks, and each series."""

from __future__ import annotations

from typing import Any

from jaxerm.data.corruption.common import contrast, near
from jaxerm.data.corruption.plot_edits import written
from jaxerm.data.natural.chart_series import SeriesPair
from jaxerm.data.natural.chart_words import colour_words, kind_words, series_words, tops
from jaxerm.data.program import Edit

_WORDS = {"title": "title", "x": "x-axis label", "y": "y-axis label", "z": "z-axis label"}
_FRAME = {"top", "right"}
Axes = dict[str, Any]


def compare_axes(old: Axes, new: Axes) -> list[Edit]:
    """The entries of one subplot, their locations without its name."""
    found = [*_texts(old, new)]
    kinds = [[kind_words(series, axes["shape"]) for series in axes["series"]] for axes in (old, new)]
    alike = len(kinds[0]) == len(kinds[1]) and all(len(set(words)) == 1 for words in kinds)
    if alike and kinds[0] != kinds[1]:
        text = f"{kinds[1][0]}, should be {kinds[0][0]}"
        found.insert(0, Edit("kind", "structure_error", 3, "plot area", text))
        # A chart of another kind has its own scale and style.
        return [*found, *_looks(old, new)]
    pairs, entries = _match(old, new)
    for one, two in pairs:
        entries += SeriesPair(old, new, one, two).entries()
    found += [*_legend(old, new, pairs), *_notes(old, new), *_view(old, new)]
    return [*found, *entries, *_scale(old, new), *_looks(old, new)]


def _texts(old: Axes, new: Axes) -> list[Edit]:
    found = []
    for name, where in _WORDS.items():
        was, now = old[name], new[name]
        if was and not now:
            severity = 3 if name == "title" else 2
            found.append(Edit(f"remove_{name}", "text_error", severity, where, f"{where} is missing"))
        elif now and not was:
            found.append(Edit(f"add_{name}", "text_error", 1, where, f"{where} is extra"))
        elif was != now:
            new_words, old_words = contrast(now, was, 60)
            text = f'{where} is "{new_words}", should be "{old_words}"'
            found.append(Edit(f"rewrite_{name}", "text_error", 1 if near(was, now) else 2, where, text))
    if old["title"] and new["title"]:
        size = new["title_size"] - old["title_size"]
        if abs(size) >= 1:
            word = "smaller" if size < 0 else "larger"
            found.append(Edit("title_size", "text_error", 1, "title", f"title is {word} than it should be"))
        places = [{"center": "in the middle", "left": "at the left", "right": "at the right"}[axes["title_place"]]
                  for axes in (old, new)]  # fmt: skip
        if new["title_low"] and not old["title_low"]:
            text = "title lies over the plot area, should be above it"
            found.append(Edit("title_over", "text_error", 2, "title", text))
        if places[0] != places[1]:
            text = f"title is {places[1]}, should be {places[0]}"
            found.append(Edit("title_place", "text_error", 1, "title", text))
    return found


def _legend(old: Axes, new: Axes, pairs: list[tuple[int, int]]) -> list[Edit]:
    was, now = old["legend"], new["legend"]
    if was is None and now is None:
        return []
    if was is None:
        return [Edit("legend", "text_error", 1, "legend", "legend is extra")]
    if now is None:
        severity = 2 if len(old["series"]) == 1 else 3
        return [Edit("legend", "text_error", severity, "legend", "legend is missing")]
    found = []
    where = old["legend_place"], new["legend_place"]
    if None not in where and where[0] != where[1]:
        if where[1] == "center":
            text, severity = f"legend lies over the middle, should be at the {where[0]}", 2
        else:
            text, severity = f"legend is at the {where[1]}, should be at the {where[0]}", 1
        found.append(Edit("legend_place", "text_error", severity, "legend", text))
    for one, two in pairs:
        label, other = old["series"][one]["label"], new["series"][two]["label"]
        if label != other and label in was and other in now:
            text = "entry is {}, should be {}".format(*contrast(other, label))
            found.append(Edit("legend_entry", "text_error", 2, "legend", text))
    return found


def _notes(old: Axes, new: Axes) -> list[Edit]:
    """Texts in the plot: those alike are told by their words, the others by their order."""
    found: list[Edit] = []
    if any(series["kind"] == "wedges" for axes in (old, new) for series in axes["series"]):
        return found
    was, now = list(old["notes"]), list(new["notes"])
    for note in list(was):
        same = next((other for other in now if other[0] == note[0]), None)
        if same is None:
            continue
        was.remove(note)
        now.remove(same)
        if abs(same[1] - note[1]) > 0.12:
            text = f"annotation is too {'low' if same[1] < note[1] else 'high'}"
            found.append(Edit("move_annotation", "text_error", 1, "annotation", text))
    for note, other in zip(was, now, strict=False):
        text = f'annotation is "{other[0]}", should be "{note[0]}"'
        severity = 1 if near(other[0], note[0]) else 2
        found.append(Edit("rewrite_annotation", "text_error", severity, "annotation", text))
    for _ in was[len(now) :]:
        found.append(Edit("remove_annotation", "text_error", 2, "annotation", "annotation is missing"))
    for other in now[len(was) :]:
        found.append(Edit("add_annotation", "text_error", 1, "annotation", f'annotation "{other[0]}" is extra'))
    return found


def _view(old: Axes, new: Axes) -> list[Edit]:
    """The scale of the colours, and the side that space is seen from."""
    found = []
    if old["bar"] and not new["bar"]:
        found.append(Edit("colour_bar", "text_error", 2, "colour bar", "colour bar is missing"))
    elif new["bar"] and not old["bar"]:
        found.append(Edit("colour_bar", "text_error", 1, "colour bar", "colour bar is extra"))
    turn = abs(new["turned"] - old["turned"]) % 360
    if turn > 5:
        text = f"seen from another side, turned by {min(turn, 360 - turn):g} degrees"
        found.append(Edit("view", "style_error", 2, "plot area", text))
    return found


def _match(old: Axes, new: Axes) -> tuple[list[tuple[int, int]], list[Edit]]:
    """Series that are the same, by name, then by what they show, then by their order; entries for the others."""
    one, two = list(range(len(old["series"]))), list(range(len(new["series"])))
    pairs = []
    rules = (
        lambda a, b: a["label"] == b["label"] and a["label"][:1] not in ("", "_") and a["kind"] == b["kind"],
        lambda a, b: a["kind"] == b["kind"] and a.get("y") == b.get("y") and a.get("x") == b.get("x"),
        lambda a, b: a["kind"] == b["kind"] and a.get("colour") == b.get("colour"),
        lambda a, b: a["kind"] == b["kind"],
        lambda a, b: True,
    )
    for rule in rules:
        for i in list(one):
            j = next((j for j in two if rule(old["series"][i], new["series"][j])), None)
            if j is not None:
                pairs.append((i, j))
                one.remove(i)
                two.remove(j)
    entries = [Edit("remove_series", "data_error", 3, series_words(old, i), "series is missing") for i in one]
    for j in two:
        text = f"a series in {colour_words(new['series'][j].get('colour'))} is extra"
        entries.append(Edit("add_series", "data_error", 2, "plot area", text))
    return sorted(pairs), entries


def _ends(axes: Axes, axis: str) -> tuple[float, float] | None:
    """First and last tick of an axis that counts; None where it names things."""
    ticks = axes[f"{axis}ticks"]
    if not ticks or not all(_counts(place, text) for place, text in ticks):
        return None
    places = [float(f"{place:.6g}") + 0.0 for place, _ in ticks]
    return min(places), max(places)


def _counts(place: float, text: str) -> bool:
    """Whether a tick says where it is."""
    try:
        return abs(float(text.replace("\N{MINUS SIGN}", "-")) - place) <= 1e-3 * max(1.0, abs(place))
    except ValueError:
        return False


def _scale(old: Axes, new: Axes) -> list[Edit]:
    found = []
    for axis in "xy":
        where = f"{axis}-axis"
        if not old["on"] or not new["on"] or any(s["kind"] == "wedges" for s in old["series"]):
            continue
        if not old["shape"] == new["shape"] == "rectilinear":
            continue
        if old[f"{axis}scale"] != new[f"{axis}scale"]:
            names = {"log": "logarithmic"}
            now, was = (names.get(axes[f"{axis}scale"], axes[f"{axis}scale"]) for axes in (new, old))
            found.append(Edit("log", "data_error", 2, where, f"{axis}-axis is {now}, should be {was}"))
            continue
        was, now = old[f"{axis}lim"], new[f"{axis}lim"]
        if (was[0] > was[1]) != (now[0] > now[1]):
            way = "from right to left" if axis == "x" else "downwards"
            found.append(Edit("invert", "data_error", 2, where, f"{axis}-axis runs {way}"))
        if old[f"{axis}ticks"] and not new[f"{axis}ticks"]:
            found.append(Edit("no_ticks", "text_error", 2, where, "tick labels are missing"))
            continue
        sizes = [axes["tick_sizes"]["xy".index(axis)] for axes in (old, new)]
        if sizes[1] > sizes[0] + 2 and new[f"{axis}ticks"]:
            text = "tick labels are larger than they should be"
            found.append(Edit("tick_size", "text_error", 1, where, text))
            continue
        ends = _ends(old, axis), _ends(new, axis)
        if None in ends or ends[0] == ends[1]:
            continue
        data = [value for series in new["series"] for value in tops(series)]
        across = any(series.get("across") for series in new["series"])
        if (axis == "x") == across and data and now[0] == 0 and min(data) >= 0 and now[1] > 1.35 * max(data):
            text = f"{axis}-axis runs from 0 to {written(now[1])}, should fit the data"
            severity = 1 if now[1] < 1.85 * max(data) else 2
            found.append(Edit("limits", "data_error", severity, where, text))
        else:
            text = "ticks run from {:g} to {:g}, should run from {:g} to {:g}".format(*ends[1], *ends[0])
            found.append(Edit("rescale", "data_error", 1, where, text))
    if abs(new["turn"] - old["turn"]) > 1 and new["xticks"] and old["xticks"]:
        text = f"tick labels are turned by {abs(new['turn'] - old['turn']):g} degrees"
        found.append(Edit("turn_ticks", "text_error", 1, "x-axis", text))
    return found


def _looks(old: Axes, new: Axes) -> list[Edit]:
    found = []
    if not old["on"] or not new["on"] or any(s["kind"] == "wedges" for s in old["series"]):
        return found
    if not old["shape"] == new["shape"] == "rectilinear":
        return found
    if old["grid"] != new["grid"]:
        text = "grid is extra" if new["grid"] else "grid is missing"
        found.append(Edit("grid", "style_error", 1, "plot area", text))
    if old["face"] != new["face"]:
        text = f"background is {colour_words(new['face'])}, should be {colour_words(old['face'])}"
        found.append(Edit("face", "style_error", 1, "plot area", text))
    gone, come = set(old["spines"]) - set(new["spines"]), set(new["spines"]) - set(old["spines"])
    if gone == _FRAME:
        found.append(Edit("frame", "style_error", 1, "plot area", "frame is open at the top and on the right"))
    elif gone or come:
        text = f"frame is {'open' if gone else 'closed'} at the {' and '.join(sorted(gone or come))}"
        found.append(Edit("frame", "style_error", 1, "plot area", text))
    return found
