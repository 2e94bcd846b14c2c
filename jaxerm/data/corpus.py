"""The text the tiny tokenizer is trained on: the project's own prompts, answers and source code."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import numpy as np

from jaxerm.critique import SCHEMAS, Critique, Discrepancy
from jaxerm.data.corruption import corrupt
from jaxerm.data.examples import difference_lines
from jaxerm.data.sources.drawings import Drawings
from jaxerm.prompts import critique_lines, fenced

_SAMPLES = (
    'import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.bar(["A", "B", "C"], [12, 7.5, 30], '
    'color="tab:blue", label="sales")'
    '\nax.set_title("Sales by region")\nax.set_xlabel("region")\nax.set_ylabel("value")\nax.legend()\n'
    'ax.grid(True)\nplt.savefig("chart.png")\n',
    "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(6, 4))\nx = [1990, 1995, 2000, 2005, 2010]\n"
    'ax.plot(x, [1.5, 2.25, 3, 4.75, 6], marker="o", linestyle="--", color="tab:orange", label="mean")\n'
    'ax.scatter(x, [2, 4, 6, 8, 10], s=20, color="tab:green", label="price")\nax.barh(["2001", "2002"], [3, 4])\n'
    'ax.pie([10, 20, 70], labels=["a", "b", "c"])\nax.hist([1, 2, 2, 3], bins=5, color="tab:red")\n'
    'ax.set_xlim(0, 10)\nax.set_ylim(0, 100)\nplt.title("Mean price")\nplt.xlabel("year")\nplt.ylabel("count")\n'
    'plt.legend()\nplt.savefig("chart.png")\n',
    "<table>\n<tr><th>name</th><th>price</th><th>year</th></tr>\n<tr><td>Ford</td><td>12.5</td><td>1970</td></tr>\n"
    "<tr><td>Honda</td><td>-3.25</td><td>1982</td></tr>\n</table>\n",
    '<table><caption>weather</caption><thead><tr><th colspan="2">Seattle</th></tr></thead><tbody><tr><td>rain</td>'
    "<td>0.5</td></tr></tbody></table>\n",
    "| name | price |\n| --- | --- |\n| Ford | 12.5 |\n| Honda | 30 |\n",
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="black" stroke-width="2" '
    'stroke-linecap="round" stroke-linejoin="round">\n<path d="M12 5v14"/>\n<path d="m5 12 7 7 7-7"/>\n'
    '<circle cx="12" cy="12" r="10"/>\n<line x1="3" y1="6" x2="21" y2="6"/>\n<polyline points="20 6 9 17 4 12"/>\n'
    '<rect width="18" height="18" x="3" y="3" rx="2"/>\n<ellipse cx="12" cy="5" rx="9" ry="3"/>\n</svg>\n',
    "value 12 should be 13 in row 2, column 3; row 3 is missing; column year is missing; rows 1 and 2 are swapped; "
    "header price should be cost; title is missing; the legend is missing; bar 2 is 30, should be 12; the grid is "
    "extra; line chart, should be bar chart; a table with 3 rows and 2 columns: name, price; a bar chart titled Sales "
    "with 4 bars",
)
"""How charts, tables and icons are written; repeated, so that a small vocabulary holds their words."""


def corpus(drawings: int = 2_000) -> Iterator[str]:
    """Yields texts; the same ones every time."""
    source = Drawings(drawings, seed=1_234, max_shapes=4)
    for index in range(drawings):
        program = source[index]
        corruption = corrupt(program, np.random.Generator(np.random.Philox(key=[1_234, index])), index % 4)
        yield program.description
        yield fenced(corruption.code, "svg")
        yield corruption.critique.to_json()
        yield difference_lines(corruption.critique)
        yield critique_lines(corruption.critique)
        yield "system\nuser\nassistant\n"
    for task, schema in SCHEMAS.items():
        for category in schema.categories:
            yield Critique(task, (Discrepancy(category, 1, "", "title" if schema.has_location else None),)).to_json()
    package = files("jaxerm")
    for folder in ("prompts/brief", "prompts/full"):
        for file in sorted((package / folder).iterdir(), key=lambda file: file.name):
            text = file.read_text(encoding="utf-8")
            # A brief prompt is read in every example: its words deserve tokens of their own.
            yield from [text] * (500 if folder.endswith("brief") else 5)
    for sample in _SAMPLES:
        yield from [sample] * 200
