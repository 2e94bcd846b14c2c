"""The ledger of a chart says what was done to its program."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest

from jaxerm.data.corruption.chart import corrupt_chart
from jaxerm.data.corruption.common import contrast
from jaxerm.data.corruption.plot_code import spliced
from jaxerm.data.corruption.plot_reading import read_plot_code
from jaxerm.data.corruption.plot_scale import ticks
from jaxerm.data.sources import open_source
from jaxerm.data.sources.charts import KINDS

WORDS = {"title": "title", "x-axis label": "x", "y-axis label": "y"}
METHODS = {
    "bar chart": "bar", "horizontal bar chart": "barh", "line chart": "plot", "scatter chart": "scatter",
    "step chart": "step", "area chart": "fill_between",
}  # fmt: skip

ADDED = {
    "log": r'set_[xy]scale\("log"\)', "invert": r"invert_[xy]axis", "no_ticks": "label(left|bottom)=False",
    "turn_ticks": "labelrotation=90", "face": "set_facecolor", "frame": "spines", "title_size": "fontsize=8",
    "title_place": 'loc="left"', "line_width": "linewidth=4.5", "bar_width": "(width|height)=0.35", "fade": "alpha=0.3",
    "tick_size": "labelsize=15", "title_over": "y=0.85", "legend_over": 'loc="center"',
    "extra_subplot": r"\(ax, empty\) = plt.subplots\((1, 2|2, 1)",
}  # fmt: skip
"""What stands in the code after such an edit, and does not before."""
SINGLE = KINDS[:7]
"""Those whose every edit is checked against the program."""
FORMS = {
    "donut": {"kind"}, "bubble": {"kind", "bubble_size"}, "polar": {"kind", "value"},
    "radar": {"kind", "remove_series"},
    "3d": {"view", "remove_z"}, "log": {"log"}, "heatmap": {"cell", "colour_map", "colour_bar", "label"},
    "annotated": {"remove_annotation", "rewrite_annotation", "move_annotation"},
    "box": {"group", "remove_group", "kind"},
    "violin": {"group", "remove_group", "kind"}, "errorbar": {"no_errors", "error_size", "kind"},
    "contour": {"levels", "kind", "colour_bar", "colour_map"}, "twin": {"value", "limits", "remove_y"},
    "panels3": {"remove_subplot", "arrange", "swap_subplots"}, "panels4": {"remove_subplot", "swap_subplots"},
    "stacked": {"value", "remove_series", "label"}, "step": {"kind", "value"}, "area": {"kind", "value"},
}  # fmt: skip


def keyword(plot, name):
    return plot.keywords[name].value.value if name in plot.keywords else None


def check(edit, before, after):
    """Asserts that one edit is what it says."""
    text, old, new = edit.description, before.plots[0], after.plots[0]
    if edit.kind in ADDED:
        assert re.search(ADDED[edit.kind], after.code) and not re.search(ADDED[edit.kind], before.code)
    elif edit.kind == "swap_values":
        first = int(edit.location.split(" ")[1]) - 1
        second = int(re.match(r"its value is that of \w+ (\d+)", text).group(1)) - 1
        pairs = [(p.values, q.values) for p, q in zip(before.plots, after.plots, strict=True) if p.values != q.values]
        ((was, now),) = pairs
        assert (now[first], now[second]) == (was[second], was[first]) and sorted(now) == sorted(was)
    elif edit.kind == "add_series":
        assert len(after.plots) == 2 and sorted(after.plots[1].values) == sorted(old.values)
        assert keyword(after.plots[1], "color").removeprefix("tab:") in text
    elif edit.kind == "legend_entry":
        labels = [{keyword(plot, "label") for plot in code.plots} for code in (before, after)]
        ((then,), (now,)) = (labels[0] - labels[1], labels[1] - labels[0])
        assert text == "entry is {}, should be {}".format(*contrast(now, then))
    elif edit.location in WORDS:
        what = WORDS[edit.location]
        if text == f"{edit.location} is missing":
            assert what in before.setters and what not in after.setters
        else:
            pair = after.setters[what].text(), before.setters[what].text()
            assert text == '{} is "{}", should be "{}"'.format(edit.location, *contrast(*pair, 60))
            assert pair[0] != pair[1]
    elif edit.kind in ("grid", "legend"):
        what = edit.kind
        assert text == f"{what} is {'extra' if what in after.setters else 'missing'}"
        assert (what in after.setters) != (what in before.setters)
    elif edit.kind == "limits":
        axis, top = re.fullmatch(r"(.)-axis runs from 0 to (.*), should fit the data", text).groups()
        assert after.setters[f"{axis}lim"].call.args[1].value == float(top) > max(old.values)
    elif edit.kind == "legend_place":
        now, then = re.fullmatch("legend is at the (.*), should be at the (.*)", text).groups()
        assert f'loc="{now}"' in after.code and f'loc="{then}"' in before.code and now != then
    elif edit.kind == "kind" and old.name == "pie":
        assert text == "donut chart, should be pie chart" and keyword(old, "wedgeprops") is None
        assert "wedgeprops" in new.keywords
    elif edit.kind == "kind":
        now, then = re.fullmatch(r"(.*), should be (.*)", text).groups()
        assert (new.name, old.name) == (METHODS[now], METHODS[then]) and new.values == old.values
    elif edit.kind == "value":
        now, then = re.fullmatch(r"(?:value|share) is (.*), should be (.*)", text).groups()
        ((place, value, was),) = [
            (place, value, was)
            for p, q in zip(after.plots, before.plots, strict=True)
            for place, (value, was) in enumerate(zip(p.values, q.values, strict=True))
            if value != was
        ]
        assert edit.location.split(" ")[1] == str(place + 1)
        if old.name == "pie":
            assert (now, then) == (f"{value / sum(new.values):.0%}", f"{was / sum(old.values):.0%}")
        else:
            assert (float(now), float(then)) == (value, was)
    elif edit.kind == "remove_point":
        noun, place, name = re.fullmatch(r"(\w+) (\d+) \((.*)\)", edit.location).groups()
        assert text == f"{noun} is missing" and old.labels[int(place) - 1] == name
        left = [value for at, value in enumerate(old.values) if at != int(place) - 1]
        assert new.values == left and len(new.labels) == len(left)
    elif edit.kind == "label":
        now, then = re.fullmatch(r"label is (.*), should be (.*)", text).groups()
        assert f'"{then}"' in before.code and f'"{now}"' in after.code and f'"{now}"' not in before.code
    elif edit.kind == "remove_series":
        labels = [{keyword(plot, "label") for plot in code.plots} for code in (before, after)]
        assert labels[0] - labels[1] == {edit.location.removeprefix("series ")}
    elif edit.kind == "colour":
        colours = [[keyword(plot, "color") for plot in code.plots] for code in (before, after)]
        ((then, now),) = [pair for pair in zip(*colours, strict=True) if pair[0] != pair[1]]
        assert text == f"{now.removeprefix('tab:')}, should be {then.removeprefix('tab:')}"
    elif edit.kind == "marker":
        words = {"o": "circles", "s": "squares", "^": "triangles", "x": "crosses", None: "none"}
        now, then = words[keyword(new, "marker")], words[keyword(old, "marker")]
        assert text == f"markers are {'missing' if now == 'none' else now}, should be {then}"
    elif edit.kind == "dash":
        words = {"-": "solid", "--": "dashed", ":": "dotted", None: "solid"}
        assert text == f"line is {words[keyword(new, 'linestyle')]}, should be {words[keyword(old, 'linestyle')]}"
    elif edit.kind == "bins":
        assert text == f"{keyword(new, 'bins')} bins, should be {keyword(old, 'bins')}"
    else:
        assert edit.kind == "start_angle" and f"{keyword(new, 'startangle')} degrees" in text


def test_single_edits_do_to_the_program_what_they_say():
    charts = open_source("charts", kinds=SINGLE)
    seen = set()
    for index in range(900):
        code = charts[index].code
        changed, edits, alone = corrupt_chart(code, np.random.Generator(np.random.Philox(key=[5, index])), 1)
        if not edits:
            continue
        assert alone[0] == changed and not any(alone[1:])
        check(edits[0], read_plot_code(code), read_plot_code(changed))
        seen |= {edit.kind for edit in edits}
        assert all(edit.kind == "rescale" for edit in edits[1:])
    # Turned ticks need room that these charts do not have.
    assert len(seen) == 20 + len(ADDED) + 3


@pytest.mark.parametrize("kind", FORMS)
def test_rarer_charts_have_edits_of_their_own(kind):
    """Whether the ledger is right is seen where figures are compared with it."""
    charts, seen = open_source("charts", kinds=(kind,)), set()
    for index in range(150):
        changed, edits, alone = corrupt_chart(
            charts[index].code, np.random.Generator(np.random.Philox(key=[5, index])), 3
        )
        ast.parse(changed)
        assert len(alone) == len(edits) and len({(e.location, e.description) for e in edits}) == len(edits)
        seen |= {edit.kind for edit in edits}
    assert FORMS[kind] <= seen and len(seen) >= 9


def test_several_edits_make_a_program_and_leave_the_other_lines():
    charts = open_source("charts", kinds=SINGLE)
    for index in range(200):
        code = charts[index].code
        changed, edits, _ = corrupt_chart(code, np.random.Generator(np.random.Philox(key=[2, index])), 4)
        ast.parse(changed)
        edits = [edit for edit in edits if edit.kind != "rescale"]
        kept = [line for line in code.splitlines() if line in changed.splitlines()]
        assert len(kept) >= len(code.splitlines()) - len(edits) and changed.endswith('plt.savefig("chart.png")')


def test_programs_in_other_words_can_be_corrupted():
    code = (
        "import matplotlib.pyplot as plt\n\n# prices, in €\nnames = ['Äpfel', 'Birnen', 'Kiwis']\nvalues = [3, 1, 2]\n"
        "plt.figure(figsize=(4, 3))\nplt.bar(names, values)\nplt.title('Preis in €')\nplt.xlabel('wer')\nplt.show()\n"
    )
    kinds = set()
    for seed in range(150):
        changed, edits, _ = corrupt_chart(code, np.random.Generator(np.random.Philox(key=[3, seed])), 2)
        ast.parse(changed)
        assert "# prices, in €" in changed and changed != code
        assert "plt.set_" not in changed
        kinds |= {edit.kind for edit in edits}
    assert {"value", "remove_point", "label", "kind", "colour", "remove_title", "limits", "grid"} <= kinds


def test_long_texts_are_cut_around_what_differs():
    assert contrast("abc", "abd") == ("abc", "abd")
    new, old = contrast("x" * 50 + "a tail", "x" * 50 + "b tail", 20)
    assert new == "..." + "x" * 10 + "a tail" and old == "..." + "x" * 10 + "b tail"


def test_splices_that_overlap_are_refused():
    assert spliced("abcdef", [((4, 5), "X"), ((0, 2), "Y")]) == "YcdXf"
    with pytest.raises(ValueError, match="overlap"):
        spliced("abcdef", [((0, 3), "X"), ((2, 4), "Y")])


def drawn_axes(code):
    """The axes a program draws, by matplotlib itself."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    exec(code.replace("plt.savefig", "fig.canvas.draw() #"), {})
    return plt.gcf().axes


def test_edits_of_two_subplots_name_the_right_one():
    panels = open_source("charts", kinds=("panels",))
    seen = set()
    for index in range(250):
        code = panels[index].code
        changed, edits, _ = corrupt_chart(code, np.random.Generator(np.random.Philox(key=[4, index])), 2)
        ast.parse(changed)
        for edit in edits:
            seen.add(edit.kind)
            place = re.search(r"(left|right|top|bottom) subplot", edit.location)
            assert place or edit.location == "whole figure"
        if len(edits) == 1 and place and edits[0].kind not in ("remove_subplot", "rescale"):
            # Only lines of the subplot it names are others.
            lines = set(changed.splitlines()) ^ set(code.splitlines())
            assert {line[:2] for line in lines} == {"ax" if place.group(1) in ("left", "top") else "bx"}
    assert {"remove_subplot", "arrange", "share", "swap_subplots", "value"} <= seen


def test_what_is_done_to_subplots_can_be_seen_in_the_figure():
    panels = open_source("charts", kinds=("panels",))
    done = set()
    for index in range(200):
        code = panels[index].code
        changed, edits, _ = corrupt_chart(code, np.random.Generator(np.random.Philox(key=[7, index])), 1)
        kind = edits[0].kind if edits else None
        if kind in done or kind not in ("remove_subplot", "arrange", "share", "swap_subplots"):
            continue
        done.add(kind)
        before, after = ([axes.get_title() for axes in drawn_axes(text)] for text in (code, changed))
        shape = drawn_axes(changed)[0].get_gridspec().get_geometry()
        if kind == "remove_subplot":
            first = edits[0].location in ("left subplot", "top subplot")
            assert after == [before[1 if first else 0]]
        elif kind == "arrange":
            assert shape == drawn_axes(code)[0].get_gridspec().get_geometry()[::-1] and after == before
        elif kind == "share":
            one, two = drawn_axes(changed)
            assert one.get_ylim() == two.get_ylim()
        else:
            assert after == before[::-1]
    assert len(done) == 4


def test_ticks_are_where_matplotlib_puts_them():
    charts = open_source("charts", kinds=("bar", "line", "scatter"))
    checked = 0
    for index in range(40):
        axes = drawn_axes(charts[index].code)[0]
        plot = read_plot_code(charts[index].code).plots[0]
        low, high = axes.get_ylim()
        real = [tick for tick in axes.get_yticks() if low <= tick <= high]
        assert ticks(plot.values, 0 if plot.name == "bar" else None) == pytest.approx(real)
        checked += 1
    assert checked == 40


def test_an_axis_that_comes_to_other_ticks_is_an_entry():
    code = (
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.bar(['a', 'b', 'c'], [10, 20, 30])\n"
        "plt.savefig('c.png')"
    )
    found = 0
    for seed in range(120):
        changed, edits, _ = corrupt_chart(code, np.random.Generator(np.random.Philox(key=[6, seed])), 1)
        if not edits or edits[0].kind not in ("value", "remove_point", "swap_values"):
            continue
        tops = [max(axes.get_yticks()[axes.get_yticks() <= axes.get_ylim()[1]]) for axes in
                (drawn_axes(code)[0], drawn_axes(changed)[0])]  # fmt: skip
        said = [edit.description for edit in edits[1:]]
        assert said == (
            [f"ticks run from 0 to {tops[1]:g}, should run from 0 to {tops[0]:g}"] if tops[0] != tops[1] else []
        )
        found += bool(said)
    assert found >= 3


HEAD = "import matplotlib.pyplot as plt\n"
SAVE = 'plt.savefig("c.png")'


def kinds_of(code, n=60, most=1):
    """Kinds of edits that are drawn for a program, and the ledgers."""
    made = [corrupt_chart(code, np.random.Generator(np.random.Philox(key=[6, seed])), most)[1] for seed in range(n)]
    return {edit.kind for edits in made for edit in edits}, made


def places_of(lines):
    return [view.place for view in read_plot_code(f"{HEAD}{lines}\n{SAVE}").views]


def test_subplots_are_called_by_where_they_stand():
    turned = "fig, (a, b) = plt.subplots(1, 2)\nb.plot([1, 2], [1, 2])\na.plot([1, 2], [1, 2])"
    assert places_of(turned) == ["right", "left"]
    assert places_of("fig, axs = plt.subplots(2, 2)\naxs[1, 0].plot([1, 2], [1, 2])") == ["bottom left"]
    assert places_of("fig, axs = plt.subplots(nrows=3)\naxs[1].plot([1], [2])\naxs[0].plot([1], [2])") == [
        "middle",
        "top",
    ]
    added = "a = fig.add_subplot(211)\nb = fig.add_subplot(2, 1, 2)\nb.plot([1], [2])\na.plot([1], [2])"
    assert places_of(f"fig = plt.figure()\n{added}") == ["bottom", "top"]
    with pytest.raises(ValueError, match="cannot be told where"):
        places_of("fig, a = plt.subplots()\nb = a.inset_axes([0, 0, 1, 1])\na.plot([1], [2])\nb.plot([1], [2])")
    with pytest.raises(ValueError, match="cannot be told where"):
        places_of('fig, a = plt.subplot_mosaic("ab")\na["a"].plot([1], [2])')
    with pytest.raises(ValueError, match="makes 2 figures"):
        places_of("fig, a = plt.subplots()\na.plot([1], [2])\nfig, a = plt.subplots()\na.plot([1], [2])")


def test_what_is_said_of_one_of_two_subplots_is_said_by_it_alone():
    lines = 'fig, (a, b) = plt.subplots(2, 1)\na.plot([1, 2], [1, 2])\nb.specgram(x)\nb.set_xlabel("time")'
    (view,) = read_plot_code(f"{HEAD}{lines}\n{SAVE}").views
    assert view.place == "top" and not view.setters


def test_axes_of_another_kind_of_chart_are_an_entry():
    code = f'{HEAD}fig, ax = plt.subplots()\nax.fill_between(["a", "b", "c"], [71, 80, 81], color="tab:red")\n{SAVE}'
    made = [edits for edits in kinds_of(code)[1] if edits[0].kind == "kind" and "line" in edits[0].description]
    assert made and all(e[-1].description == "ticks run from 72 to 80, should run from 0 to 80" for e in made)


def test_data_do_not_move_the_ticks_of_axes_of_another_size():
    code = f'{HEAD}fig, ax = plt.subplots()\nax.bar(["a", "b", "c"], [7, 8, 9], color="tab:red")\n{SAVE}'
    made = [edits for edits in kinds_of(code, 200, 3)[1] if any(edit.kind == "extra_subplot" for edit in edits)]
    values = [edit.description for edits in made for edit in edits if edit.kind == "value"]
    assert made and values and all(float(re.findall(r"[\d.]+", text)[0]) < 10 for text in values)


def test_edits_with_side_effects_that_have_no_name_are_not_drawn():
    labels = 'ax.set_xlabel("year")'
    bars = f'fig, ax = plt.subplots()\nax.bar([1990, 1991, 1992], [7, 8, 9], color="tab:red")\n{labels}'
    assert "turn_ticks" not in kinds_of(f"{HEAD}{bars}\n{SAVE}")[0]
    lines = "ax.plot([1, 2, 3], [1, 2, 3])\nax.plot([1, 2, 3], [3, 2, 1])"
    gone = [edits[0].location for edits in kinds_of(f"{HEAD}fig, ax = plt.subplots()\n{lines}\n{SAVE}")[1]
            if edits[0].kind == "remove_series"]  # fmt: skip
    assert set(gone) == {"series 2"}
    lines = lines.replace("[3, 2, 1]", "data")
    assert "remove_series" not in kinds_of(f"{HEAD}fig, ax = plt.subplots()\n{lines}\n{SAVE}")[0]
    held = 'ax.plot([1, 2, 3], [500, 501, 500.5], color="tab:red")\nax.set_ylim(0, 700)'
    assert not {"add_series", "swap_values"} & kinds_of(f"{HEAD}fig, ax = plt.subplots()\n{held}\n{SAVE}")[0]


def test_a_small_chart_takes_an_edit_whatever_is_drawn_first():
    code = (
        f"{HEAD}fig, ax = plt.subplots(subplot_kw={{'projection': '3d'}})\nax.scatter([1, 2], [1, 2], [1, 2])\n{SAVE}"
    )
    assert all(kinds_of(code, 40)[1])
