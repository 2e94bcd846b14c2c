"""The ways in which models write charts: saved, shown, closed, several, by other libraries, or none of these."""

from __future__ import annotations

import pytest

from jaxerm.render import RenderOptions, RenderPool
from tests.render.conftest import chart, image


@pytest.fixture(scope="module")
def pool():
    with RenderPool(workers=1) as pool:
        yield pool


@pytest.mark.parametrize(
    "ending", ["plt.savefig('x.pdf', dpi=300)", "plt.show()", "", "plt.close()", "fig.savefig('x.svg')", "exit()"]
)
def test_every_way_to_end_a_chart_gives_the_same_picture(pool, ending):
    drawn = image(chart(pool, f"fig, ax = plt.subplots(figsize=(3, 2))\nax.plot([1, 3, 2])\n{ending}\n"))
    plain = image(chart(pool, "plt.figure(figsize=(3, 2))\nplt.plot([1, 3, 2])\n"))
    assert drawn.shape == (200, 300, 3)
    assert (drawn == plain).all()


SMALL = "plt.figure(figsize=(1, 1)).text(0, 0.5, 'first')\n"
LARGE = "plt.figure(figsize=(2, 1)).text(0, 0.5, 'second')\n"


@pytest.mark.parametrize(
    ("code", "width"),
    [
        (SMALL + LARGE, 200),
        (SMALL + LARGE + "plt.show()", 200),
        (SMALL + "plt.savefig('a.png')\n" + LARGE + "plt.savefig('b.png')", 100),
        (SMALL + "plt.close()\n" + LARGE, 200),
        (SMALL + "plt.close('all')", 100),
        (SMALL + LARGE + "plt.figure(1)\nplt.show()", 100),
        ("fig = plt.figure(figsize=(1, 1))\nfig.text(0, 0, 'x')\nplt.close(fig)\nfig.savefig('a.png')", 100),
        (SMALL + "import io\nbuffer = io.BytesIO()\nplt.savefig(buffer, format='png')\n" + LARGE, 100),
        (
            "from matplotlib.figure import Figure\nf = Figure(figsize=(1, 1))\nf.text(0, 0, 'x')\nf.savefig('a.png')",
            100,
        ),
    ],
)
def test_of_several_figures_the_first_saved_or_else_the_current_one_counts(pool, code, width):
    assert image(chart(pool, code + "\n")).shape == (100, width, 3)


SNIPPETS = {
    "a window system is asked for": "import matplotlib\nmatplotlib.use('TkAgg')\nimport matplotlib.pyplot as plt\n"
    "plt.switch_backend('Qt5Agg')\nplt.figure(figsize=(2, 1)).text(0, 0, 'x')\nplt.show()",
    "a main function": "import matplotlib.pyplot as plt\ndef main():\n    fig, ax = plt.subplots(figsize=(2, 1))\n"
    "    ax.plot([1, 2])\n    fig.tight_layout()\n    plt.show(block=False)\nif __name__ == '__main__':\n    main()",
    "pages": "import matplotlib.pyplot as plt\nfrom matplotlib.backends.backend_pdf import PdfPages\n"
    "with PdfPages('a.pdf') as pdf:\n    fig = plt.figure(figsize=(2, 1))\n    fig.text(0, 0, 'x')\n"
    "    pdf.savefig(fig)\n    plt.close(fig)",
    "a folder first": "import os\nimport matplotlib.pyplot as plt\nos.makedirs('out/charts', exist_ok=True)\n"
    "plt.figure(figsize=(2, 1)).text(0, 0, 'x')\nplt.savefig(os.path.join('out/charts', 'a.png'), dpi=300)",
    "without pyplot": "from matplotlib.figure import Figure\n"
    "from matplotlib.backends.backend_agg import FigureCanvasAgg as C\n"
    "fig = Figure(figsize=(2, 1))\nC(fig)\nfig.text(0, 0, 'x')\nfig.canvas.print_figure('a.png')",
    "a film": "import matplotlib.pyplot as plt\nfrom matplotlib.animation import FuncAnimation\n"
    "fig, ax = plt.subplots(figsize=(2, 1))\nline, = ax.plot([1, 2])\n"
    "film = FuncAnimation(fig, lambda i: line.set_data([0, 1], [i, 2]), frames=3)\nfilm.save('a.gif', writer='pillow')",
    "drawn by hand and closed": "import matplotlib.pyplot as plt\nfig = plt.figure(figsize=(2, 1))\n"
    "fig.text(0, 0, 'x')\nfig.canvas.draw()\nfig.show()\nplt.close('all')",
    "an end in the middle": "import sys\nimport matplotlib.pyplot as plt\nplt.figure(figsize=(2, 1)).text(0, 0, 'x')\n"
    "sys.exit(1)",
    "pylab": "from pylab import *\nfigure(figsize=(2, 1))\nplot([1, 2])\nshow()",
    "several in a loop": "import matplotlib.pyplot as plt\nfor i in range(3):\n    plt.figure(figsize=(2 - i / 2, 1))\n"
    "    plt.plot([1, 2])\n    plt.savefig(f'{i}.png')\n    plt.close()",
}  # fmt: skip


@pytest.mark.parametrize("code", SNIPPETS.values(), ids=SNIPPETS)
def test_what_models_write_draws(pool, code):
    assert image(pool.render("chart", code)).shape == (100, 200, 3)


@pytest.mark.parametrize("package", ["seaborn", "pandas"])
def test_what_stands_on_matplotlib_draws_where_it_is_installed(pool, package):
    pytest.importorskip(package)
    code = {
        "seaborn": "import seaborn as sns\nsns.set_theme()\nsns.barplot(x=[1, 2], y=[3, 4])\n",
        "pandas": "import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': [2, 1]}).plot(kind='bar')\nplt.show()\n",
    }[package]
    assert image(chart(pool, code)).min() < 200


def test_plotly_is_refused_and_says_why(pool):
    pretend = "import sys, types\nsys.modules['plotly'] = types.ModuleType('plotly')\nimport plotly\n"
    for ending in ("", "plotly.show()\n"):
        result = pool.render("chart", pretend + ending)
        assert result.fault == "code" and "plotly draws in a browser" in result.error.text


def test_code_after_the_first_savefig_does_not_count(pool):
    code = "plt.plot([1, 2])\nplt.savefig('a.png')\nraise ValueError('late')\n"
    assert chart(pool, code).ok


def test_a_transparent_chart_stands_on_white(pool):
    drawn = image(chart(pool, "plt.plot([1, 2])\nplt.savefig('a.png', transparent=True)\n"))
    assert (drawn[0, 0] == 255).all() and (drawn < 100).any()


def test_a_giant_chart_is_drawn_smaller(pool):
    drawn = image(chart(pool, "plt.figure(figsize=(200, 100), dpi=300)\nplt.plot([1, 2])\n"))
    assert drawn.shape[0] * drawn.shape[1] <= RenderOptions().max_pixels
    assert drawn.shape[1] / drawn.shape[0] == pytest.approx(2, abs=0.01)


def test_random_data_is_the_same_every_time(pool):
    code = "import numpy as np, random\nplt.plot(np.random.rand(9), np.random.default_rng().random(9))\n"
    assert (image(chart(pool, code)) == image(chart(pool, code))).all()


def test_one_chart_leaves_nothing_for_the_next(pool):
    plain = image(chart(pool, "plt.plot([1, 2])"))
    assert chart(pool, "plt.style.use('dark_background')\nplt.rcParams['lines.linewidth'] = 9\nplt.plot([1])").ok
    assert (image(chart(pool, "plt.plot([1, 2])")) == plain).all()
