"""Sources: real material, the same every time, in the form it is promised in, and every sample draws."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree

import pytest

from jaxerm.critique import TASKS
from jaxerm.data.corruption.grid import read_grid
from jaxerm.data.sources import default_source, open_source
from jaxerm.data.sources.charts import KINDS
from jaxerm.data.sources.datasets import datasets
from jaxerm.data.sources.drawings import to_shapes, to_svg
from jaxerm.data.svg_tree import compact_svg

NAMES = ("drawings", "icons", "tables", "charts")
SEEDED = ("drawings", "tables", "charts")


@pytest.mark.parametrize("name", NAMES)
def test_same_index_same_program_and_another_index_another(name):
    one, two = open_source(name), open_source(name)
    codes = [one[index].code for index in range(40)]
    assert codes == [two[index].code for index in range(40)]
    assert len(set(codes)) > 30


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_programs(name):
    one, two = open_source(name, seed=1), open_source(name, seed=2)
    assert sum(one[index].code == two[index].code for index in range(30)) < 5


@pytest.mark.parametrize("name", NAMES)
def test_indices_out_of_range_are_errors(name):
    source = open_source(name)
    for index in (-1, len(source)):
        with pytest.raises(IndexError, match=str(len(source))):
            source[index]


def test_default_sources_are_of_their_task():
    for task in TASKS:
        assert open_source(default_source(task)).task == task


def test_errors_name_what_there_is(tmp_path):
    with pytest.raises(ValueError, match="drawings, icons, tables, charts"):
        open_source("drawing")
    with pytest.raises(ValueError, match="max_codechars"):
        open_source("icons", max_codechars=3)
    with pytest.raises(ValueError, match="holds no .svg, .csv, .html, .py file"):
        open_source(str(tmp_path))
    with pytest.raises(ValueError, match="html, markdown"):
        open_source("tables", formats=("latex",))
    with pytest.raises(ValueError, match="barh"):
        open_source("charts", kinds=("gantt",))


def test_icons_are_compact_and_real():
    icons = open_source("icons", max_code_chars=300)
    everything = open_source("icons", max_code_chars=10**6)
    assert len(everything) > 1_500 and 100 < len(icons) < len(everything)
    for index in range(100):
        icon = icons[index]
        root = ElementTree.fromstring(icon.code)
        assert len(icon.code) <= 300
        assert not {"width", "height", "class"} & set(root.attrib)
        assert "currentColor" not in icon.code and icon.code == compact_svg(icon.code)
        assert len(icon.code.splitlines()) == len(root) + 2
        assert icon.description.startswith("icon: ") and "-" not in icon.description


def test_a_part_of_the_icons_leaves_the_rest_unseen():
    held_out, rest = open_source("icons", n=100), open_source("icons", skip=100)
    assert not {held_out[i].name for i in range(100)} & {rest[i].name for i in range(len(rest))}


def test_data_sets_have_equal_columns_of_one_type():
    for data in datasets():
        assert len({len(values) for values in data.columns.values()}) == 1 and len(data) > 5
        for values in data.columns.values():
            assert len({isinstance(value, str) for value in values}) == 1


def test_tables_hold_values_of_the_data_sets_in_both_formats():
    tables = open_source("tables", max_rows=3, max_cols=2)
    known = {name for data in datasets() for name in data.columns}
    formats = set()
    for index in range(60):
        grid = read_grid(tables[index].code)
        formats.add("html" if "<table>" in tables[index].code else "markdown")
        assert 2 <= len(grid.rows) <= 3 and grid.width == 2
        assert {cell.text for cell in grid.header.cells} <= known
    assert formats == {"html", "markdown"}


METHODS = {
    "line": "plot", "grouped": "bar", "panels": "", "panels3": "", "panels4": "", "stacked": "bar",
    "area": "fill_between", "bubble": "scatter", "donut": "pie", "polar": "bar", "radar": "plot", "3d": "scatter",
    "twin": "plot",
    "log": "set_yscale", "annotated": "annotate", "heatmap": "imshow", "box": "boxplot", "violin": "violinplot",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_charts_of_each_kind_are_short_programs(kind):
    charts = open_source("charts", kinds=(kind,), max_points=4)
    for index in range(20):
        code = charts[index].code
        ast.parse(code)
        assert f"ax.{METHODS.get(kind, kind)}" in code and "set_title" in code
        assert len(code) < (2600 if kind.startswith("panels") else 900)
        assert charts[index].description.startswith(("a ", "an "))


def test_drawings_come_back_from_their_code():
    drawings = open_source("drawings", max_shapes=9)
    for index in range(100):
        shapes = to_shapes(drawings[index].code)
        assert shapes and to_shapes(to_svg(shapes)) == shapes


def test_folders_are_sources(tmp_path):
    (tmp_path / "sub").mkdir()
    svg = '<svg width="20" height="10" class="a"><title/><circle cx="5" cy="5" r="3" fill="currentColor"/></svg>'
    (tmp_path / "sub" / "red-dot.svg").write_text(svg)
    source = open_source(str(tmp_path))
    assert source.task == "svg" and source[0].description == "graphic: sub red dot"
    assert source[0].code.splitlines() == [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10">',
        '<circle cx="5" cy="5" r="3" fill="black"/>',
        "</svg>",
    ]
    (tmp_path / "cars.csv").write_text("name,price\n" + "".join(f"car {n},{n}.5\n" for n in range(20)))
    with pytest.raises(ValueError, match=".svg and .csv files; say which with task or read"):
        open_source(str(tmp_path))
    table = open_source(str(tmp_path), task="table", max_cols=2)[0]
    assert table.task == "table" and "car " in table.code and ".5" in table.code


def test_csv_files_are_drawn_as_charts(tmp_path):
    rows = "".join(f"car {n},{n}.5,{40 + n % 3},{n}\n" for n in range(20))
    (tmp_path / "cars.csv").write_text(f'name,price,speed,"what ""we"" paid"\n{rows}')
    (tmp_path / "none.csv").write_text("")
    with pytest.warns(RuntimeWarning, match="none.csv"):
        source = open_source(str(tmp_path), task="chart")
    programs = [source[index] for index in range(30)]
    assert programs == [source[index] for index in range(30)] and programs[0].name == "csv-chart-0-0"
    codes = [ast.parse(program.code) and program.code for program in programs]
    assert any("car " in code for code in codes) and all("price" in code or "speed" in code for code in codes)
    with pytest.raises(ValueError, match="no chart of kind contour"), pytest.warns(RuntimeWarning):
        open_source(str(tmp_path), task="chart", kinds="contour")


def test_installed_packages_are_folders(tmp_path, monkeypatch):
    (tmp_path / "fruit_sets").mkdir()
    (tmp_path / "fruit_sets" / "__init__.py").write_text("import matplotlib")
    rows = "".join(f"pear {n},{n}.5\n" for n in range(9))
    (tmp_path / "fruit_sets" / "fruit.csv").write_text(f"name,price\n{rows}")
    monkeypatch.syspath_prepend(tmp_path)
    for task, options in (("table", {"max_cols": 2}), ("chart", {"kinds": ("bar", "line")})):
        source = open_source("package:fruit_sets", task=task, **options)
        assert "pear" in source[0].code
    with pytest.raises(ValueError, match="no installed package 'fruit_set'"):
        open_source("package:fruit_set")


def test_broken_files_are_named(tmp_path):
    (tmp_path / "bad.svg").write_text("<svg")
    with pytest.raises(ValueError, match="bad.svg"):
        open_source(str(tmp_path))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="empty.csv"), pytest.warns(RuntimeWarning):
        open_source(str(tmp_path), task="table")


def test_a_sample_of_every_source_draws_and_is_not_blank(pool):
    programs = [open_source(name)[index] for name in NAMES for index in range(4)]
    programs += [open_source("charts", kinds=(kind,))[0] for kind in KINDS]
    for program, result in zip(programs, pool.map((p.task, p.code) for p in programs), strict=True):
        assert result.ok, f"{program.name}: {result.error}"
