"""Right pixels for known code, in every task and engine."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from jaxerm.render import RenderOptions, RenderPool, is_blank
from tests.render.conftest import chart, image

CIRCLE = '<svg viewBox="0 0 10 10"><circle cx="5" cy="5" r="4" fill="#ff0000"/></svg>'
TABLE = "<table><tr><th>Head</th><th>12</th></tr><tr><td>a</td><td>34</td></tr></table>"
MARKDOWN = "| Head | 12 |\n|---|---|\n| a | 34 |"
CHART = "import matplotlib.pyplot as plt\nplt.bar([1, 2, 3], [3, 1, 2], color='#00ff00')\nplt.savefig('out.png')\n"
PAGE = "<body style='background:#eee'><h1>Title</h1><p>text</p></body>"
KNOWN = {"svg": CIRCLE, "table": TABLE, "chart": CHART, "html": PAGE}


@pytest.fixture(scope="module")
def pool():
    with RenderPool(workers=1) as pool:
        yield pool


def test_svg_is_square_white_and_in_rgb_order(pool):
    drawn = image(pool.render("svg", CIRCLE))
    assert drawn.shape == (336, 336, 3)
    assert drawn[168, 168].tolist() == [255, 0, 0]
    assert drawn[2, 2].tolist() == [255, 255, 255]
    share = (drawn[..., 1] < 128).mean()
    assert share == pytest.approx(np.pi * 0.16, abs=0.005)


@pytest.mark.parametrize("engine", ["cairosvg", "resvg", "plutoprint"])
def test_every_svg_engine_keeps_the_aspect_and_centres(engine):
    code = '<svg width="20" height="40"><rect width="20" height="40" fill="#0000ff"/></svg>'
    with RenderPool(1, options=RenderOptions(svg_size=80, svg_engine=engine)) as pool:
        result = pool.render("svg", code)
    if result.error and result.error.kind == "infrastructure" and engine == "cairosvg":
        pytest.skip("no libcairo here")
    drawn = image(result)
    assert result.engine == engine
    assert drawn.shape == (80, 80, 3)
    blue = np.flatnonzero(drawn[40, :, 0] < 128)
    assert (blue.min(), blue.max()) == (20, 59)
    assert (drawn[:, 40, 0] < 128).all()


def test_table_has_its_grid_and_its_margin(pool):
    drawn = image(pool.render("table", TABLE))
    assert (drawn[:12] == 255).all() and (drawn[:, :12] == 255).all()
    assert (drawn[-12:] == 255).all() and (drawn[:, -12:] == 255).all()
    assert drawn[12, 12].tolist() == [0x33, 0x33, 0x33]
    lines = (drawn[:, drawn.shape[1] // 4, 0] == 0x33).sum()
    assert lines >= 3


def test_markdown_is_drawn_like_html(pool):
    assert (image(pool.render("table", MARKDOWN)) == image(pool.render("table", TABLE))).all()


def test_table_letters_are_drawn(pool):
    with_text = image(pool.render("table", "<table><tr><td>WWWW</td></tr></table>"))
    assert (with_text[16:-16, 16:-16] < 100).any()


def html_engines():
    from jaxerm.render.chromium import Chromium
    from jaxerm.render.errors import EngineMissingError

    try:
        Chromium()
    except EngineMissingError:
        return ["auto"]
    return ["auto", "chromium"]


@pytest.mark.parametrize("engine", html_engines())
def test_a_page_fills_its_window_and_is_drawn_to_its_end(engine):
    style = "<style>body{margin:0;background:#0f0}div{height:360px;background:#00f}p{margin:0;height:900px}</style>"
    with RenderPool(1, timeout_s=60, options=RenderOptions(html_engine=engine)) as pool:
        short = image(pool.render("html", f"<!DOCTYPE html><html><head>{style}</head><body><div></div></body></html>"))
        long = image(pool.render("html", f"{style}<div></div><p>text</p><script>document.body.innerHTML = ''</script>"))
    assert short.shape == (720, 1280, 3) and long.shape == (1260, 1280, 3)
    assert short[359, 5].tolist() == [0, 0, 255] and short[361, 5].tolist() == short[719, 5].tolist() == [0, 255, 0]
    assert long[359, 5].tolist() == [0, 0, 255] and long[1259, 5].tolist() == [0, 255, 0]
    assert (long[360:, :, 1] < 100).any()  # letters


def test_chart_is_drawn_at_its_own_size(pool):
    drawn = image(pool.render("chart", CHART))
    assert drawn.shape == (480, 640, 3)
    green = (drawn == [0, 255, 0]).all(axis=2).mean()
    assert 0.2 < green < 0.5


def test_an_empty_figure_is_blank_and_keeps_its_picture(pool):
    result = chart(pool, "plt.figure()\nplt.savefig('a.png')\n")
    assert (result.error.kind, result.fault, result.image.shape) == ("blank", "code", (480, 640, 3))


def test_blank_can_be_a_result():
    with RenderPool(1, options=RenderOptions(blank_is_error=False)) as pool:
        assert pool.render("svg", "<svg viewBox='0 0 8 8'/>").ok


def test_letters_are_those_of_the_pinned_fonts_whatever_is_asked_for(pool):
    svgs = [
        f'<svg viewBox="0 0 90 20"><text y="15" font-family="{name}">Wgq</text></svg>' for name in ("Arial", "Nope")
    ]
    tables = [
        f"<table><tr><td style='font-family:{name}'>Wgq</td></tr></table>" for name in ("Arial", "Helvetica Neue")
    ]
    charts = [f"plt.rcParams['font.family'] = '{name}'\nplt.title('Wgq')\n" for name in ("Arial", "DejaVu Sans")]
    for first, second in (
        [image(pool.render("svg", code)) for code in svgs],
        [image(pool.render("table", code)) for code in tables],
        [image(chart(pool, code)) for code in charts],
    ):
        assert (first == second).all()


@pytest.mark.parametrize("task", KNOWN)
def test_same_code_same_bytes_in_another_process(pool, task):
    with RenderPool(1) as other:
        assert other.render(task, KNOWN[task]).image.tobytes() == pool.render(task, KNOWN[task]).image.tobytes()


@pytest.mark.parametrize(
    ("task", "code", "kind", "text"),
    [
        ("svg", "  ", "no_code", "no code"),
        ("svg", "<svg><g></svg>", "syntax", "mismatched tag"),
        ("svg", "<svg viewBox='0 0 8 8'/>", "blank", "one colour"),
        ("svg", "x" * 2_000_000, "too_large", "1048576"),
        ("table", "prose", "syntax", "no table"),
        ("html", "prose", "syntax", "no HTML"),
        ("html", "<p>" * 30_000, "too_large", "20000 elements"),
        ("html", "<div style='height:1e9px'>", "too_large", "1280 x"),
        ("chart", "plt.plot(", "syntax", "line 1: SyntaxError"),
        ("chart", "x = 1\ny = x + z\n", "exception", "line 2: NameError: name 'z' is not defined"),
        ("chart", "x = 1", "exception", "no figure"),
    ],
)
def test_errors_of_the_code_say_what_happened(pool, task, code, kind, text):
    result = pool.render(task, code)
    assert (result.ok, result.fault, result.error.kind) == (False, "code", kind)
    assert text in result.error.text


def test_results_say_what_drew_them_and_what_stood_between(pool):
    result = pool.render("chart", CHART)
    assert result.engine == "matplotlib"
    assert result.isolation.startswith("process+") and "+fork" in result.isolation
    assert sys.platform != "linux" or {"rlimits", "seccomp"} <= set(result.isolation.split("+"))
    assert 0 < result.seconds < 15 and result.fault is None


@pytest.mark.parametrize("colour", [(255, 255, 255), (3, 4, 5)])
def test_blank_is_one_colour_of_any_kind(colour):
    picture = np.full((40, 50, 3), colour, np.uint8)
    assert is_blank(picture)
    picture[7, 9, 1] ^= 1
    assert not is_blank(picture)


def test_without_libcairo_another_engine_steps_in_and_says_so(tmp_path, monkeypatch):
    (tmp_path / "cairosvg.py").write_text("raise OSError('no library called \"cairo\" was found')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("jaxerm.render.pool._warned", set())
    with pytest.warns(RuntimeWarning, match='resvg.*no library called "cairo"'), RenderPool(1) as pool:
        result = pool.render("svg", CIRCLE)
    assert result.engine == "resvg"
    assert image(result)[168, 168].tolist() == [255, 0, 0]


def test_a_named_engine_that_is_missing_is_our_fault_and_says_why(tmp_path, monkeypatch):
    (tmp_path / "cairosvg.py").write_text("raise OSError('no library called \"cairo\" was found')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with RenderPool(1, options=RenderOptions(svg_engine="cairosvg")) as pool:
        result = pool.render("svg", CIRCLE)
    assert (result.fault, result.error.kind) == ("host", "infrastructure")
    assert "no library called" in result.error.text


def test_no_engine_is_imported_here_and_no_guard_is_needed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom jaxerm.render import RenderPool\n"
        f"with RenderPool(1) as pool:\n    print(pool.render('svg', {CIRCLE!r}).ok)\n"
        "print(sorted({'matplotlib', 'cairosvg', 'plutoprint', 'PIL', 'jax'} & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout.split("\n")[:2] == ["True", "[]"], done.stderr
