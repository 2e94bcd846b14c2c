"""The letters of every render: those of matplotlib's own fonts; where there are none, that is found at start-up."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from jaxerm.render import RenderOptions, RenderPool, chart, fonts, page, svg
from jaxerm.render.errors import EngineMissingError
from tests.render.conftest import chart as draw_chart
from tests.render.conftest import image

BARE = """
import pathlib, sys
from jaxerm.render import RenderOptions, fonts, page
fonts.CONFIG = pathlib.Path(sys.argv[1])
fonts.pin()
page.load_engine("table", RenderOptions(table_engine="plutoprint"))
"""


def test_letters_are_those_of_the_pinned_fonts_whatever_is_asked_for():
    names = ("Arial", "Helvetica Neue")
    with RenderPool(1) as pool:
        svgs = [f'<svg viewBox="0 0 90 20"><text y="15" font-family="{name}">Wgq</text></svg>' for name in names]
        tables = [f"<table><tr><td style='font-family:{name}'>Wgq</td></tr></table>" for name in names]
        charts = [f"plt.rcParams['font.family'] = '{name}'\nplt.title('Wgq')\n" for name in names]
        for first, second in (
            [image(pool.render("svg", code)) for code in svgs],
            [image(pool.render("table", code)) for code in tables],
            [image(draw_chart(pool, code)) for code in charts],
        ):
            assert (first == second).all()


def test_a_library_that_finds_no_font_is_not_taken(tmp_path):
    pytest.importorskip("plutoprint")
    config = tmp_path / "fonts.conf"
    config.write_text("<fontconfig><cachedir>/nonexistent</cachedir></fontconfig>")
    done = subprocess.run([sys.executable, "-c", BARE, str(config)], capture_output=True, text=True, timeout=60)
    assert "draws no letters, since it finds no font" in done.stderr


def test_an_svg_engine_without_letters_is_not_taken(monkeypatch):
    def only_shapes(code, size):
        drawn = np.full((size, size, 3), 255, np.uint8)
        drawn[size // 4 : size * 3 // 4, : size // 2] = 0
        return drawn

    monkeypatch.setattr(svg, "_LOADERS", {"cairosvg": lambda: only_shapes})
    with pytest.raises(EngineMissingError, match="draws no letters"):
        svg.load_engine(RenderOptions())


def test_a_page_engine_without_letters_is_not_taken(monkeypatch):
    blank = np.full((50, 100), 0xFFFFFFFF, np.uint32)
    monkeypatch.setattr(page, "_LOADERS", {"plutoprint": lambda: lambda *_, **__: blank})
    with pytest.raises(EngineMissingError, match="draws no letters"):
        page.load_engine("html", RenderOptions())


def test_charts_without_letters_are_not_drawn(monkeypatch):
    import matplotlib.text

    monkeypatch.setattr(matplotlib.text.Text, "draw", lambda *_, **__: None)
    with pytest.raises(EngineMissingError, match="draws no letters"):
        chart._warm_up()


def test_a_package_without_its_font_configuration_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(fonts, "CONFIG", tmp_path / "fonts.conf")
    with pytest.raises(EngineMissingError, match=r"fonts\.conf is missing"):
        fonts.pin()
