"""The ledger of a chart says what was done to its program."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest

from jaxerm.data.corruption.chart import corrupt_chart
from jaxerm.data.corruption.common import contrast
from jaxerm.data.corruption.plot_code import read_plot_code, spliced
from jaxerm.data.sources import open_source

WORDS = {"title": "title", "x-axis label": "x", "y-axis label": "y"}
METHODS = {
    "bar chart": "bar", "horizontal bar chart": "barh", "line chart": "plot", "scatter chart": "scatter",
}  # fmt: skip


def keyword(plot, name):
    return plot.keywords[name].value.value if name in plot.keywords else None


def check(edit, before, after):
    """Asserts that one edit is what it says."""
    text, old, new = edit.description, before.plots[0], after.plots[0]
    if edit.location in WORDS:
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
    charts = open_source("charts")
    seen = set()
    for index in range(900):
        code = charts[index].code
        changed, edits, _ = corrupt_chart(code, np.random.Generator(np.random.Philox(key=[5, index])), 1)
        for edit in edits:
            seen.add(edit.kind)
            check(edit, read_plot_code(code), read_plot_code(changed))
    assert len(seen) == 19


def test_several_edits_make_a_program_and_leave_the_other_lines():
    charts = open_source("charts")
    for index in range(200):
        code = charts[index].code
        changed, edits, _ = corrupt_chart(code, np.random.Generator(np.random.Philox(key=[2, index])), 4)
        ast.parse(changed)
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
