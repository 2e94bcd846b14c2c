"""The report: self-contained, escaped, small, and true to the numbers."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from jaxerm.critique import Critique, Discrepancy
from jaxerm.report import (
    Curves,
    Figures,
    Pair,
    PairGallery,
    Refinement,
    Rollout,
    RolloutGallery,
    Round,
    render_report,
    write_report,
)
from jaxerm.report.curves import line_chart, number, smooth, tick_texts, ticks
from jaxerm.report.page import MAX_BYTES, encode_picture

RED = np.full((40, 60, 3), (200, 0, 0), np.uint8)
CRITIQUE = Critique("svg", (Discrepancy("shape_error", 3, "the circle is <gone>", "upper left"),))


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))


def everything() -> list:
    return [
        Curves("Loss", {"train": ([1, 2, 3], [3.0, None, 1.0]), "test": ([1], [2.0])}, markers={2: "phase"}),
        Curves("Each", {"kl": ([1, 2], [0.0, 1.0])}, separate=True),
        PairGallery("Pairs", [Pair(RED, RED, CRITIQUE, Critique("svg"), "first"), Pair(RED, RED, "{broken", None)]),
        RolloutGallery("Rollouts", RED, [Rollout(RED, "<svg>", 1.5, 0.5), Rollout(None, "x", None)], prompt="draw"),
        Refinement("Rounds", RED, [Round(RED, "a", CRITIQUE, 1.0), Round(RED, "b", Critique("svg"), 2.0)]),
        Figures("Table", ["task", "n"], [["svg", 12], ["chart", None]]),
    ]


def test_a_report_needs_nothing_from_elsewhere():
    html = render_report("t", {}, everything())
    assert "<script" not in html and "http" not in html and "@import" not in html
    addresses = re.findall(r'(?:src|href)="([^"]*)"', html) + re.findall(r"url\(([^)]*)\)", html)
    assert addresses and all(address.startswith("data:image/png;base64,") for address in addresses)


def test_text_of_a_model_is_shown_and_never_becomes_markup():
    evil = "<script>alert(1)</script><img src=x onerror=y>"
    sections = [
        PairGallery(evil, [Pair(RED, RED, evil, evil, evil)]),
        RolloutGallery(evil, RED, [Rollout(None, evil, 0.0, 0.0, evil)], evil, evil),
        Curves(evil, {evil: ([1, 2], [1, 2])}, evil, markers={1: evil}),
        Curves(evil, {evil: ([1, 2], [1, 2])}, separate=True),
        Figures(evil, [evil], [[evil]]),
    ]
    html = render_report(evil, {evil: evil}, sections)
    assert "<script" not in html and "<img src=x" not in html
    assert html.count("&lt;script&gt;") >= 14


def test_critiques_show_severity_place_and_words_and_broken_ones_as_they_are():
    html = render_report("t", {}, everything())
    assert 'class="severity v3"' in html and "upper left" in html and "the circle is &lt;gone&gt;" in html
    assert "{broken" in html and "no difference" in html


def test_what_did_not_render_and_what_was_not_scored_are_said():
    html = render_report("t", {}, everything())
    assert html.count("did not render") == 1 and html.count("unscored") == 1


@pytest.mark.parametrize(
    ("rewards", "kept"), [([1.0, 2.0, 2.0], "revision 1"), ([None, None, None], None), ([1.0, None, 0.5], "draft")]
)
def test_the_first_round_with_the_best_reward_is_marked(rewards, kept):
    rounds = [Round(RED, "", None, reward) for reward in rewards]
    html = render_report("t", {}, [Refinement("r", RED, rounds)])
    cards = [card for card in html.split("<article")[1:] if 'class="badge"' in card]
    assert len(cards) == (kept is not None)
    assert kept is None or f"<figcaption>{kept}</figcaption>" in cards[0]


def test_a_summary_shows_before_and_after_and_leaves_out_what_is_nested():
    summary = {"seed": 3, "grpo": {"before": 0.5, "after": 0.75, "n": 64}, "history": {"a": 1}}
    html = render_report("t", summary, [])
    assert '<span class="before">0.500</span>' in html and "<strong>0.750</strong>" in html and "n 64" in html
    assert "<dt>seed</dt><dd>3</dd>" in html and "history" not in html


def test_pictures_keep_their_shape_and_few_colours_stay_exact():
    image = decoded(encode_picture(RED, 100)).convert("RGB")
    assert image.size == (60, 40) and image.getpixel((5, 5)) == (200, 0, 0)
    assert decoded(encode_picture(np.zeros((400, 100, 3), np.uint8), 100)).size == (25, 100)


def test_transparency_is_laid_on_white_and_files_are_read(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert decoded(encode_picture(tmp_path / "clear.png", 8)).convert("RGB").getpixel((4, 4)) == (255, 255, 255)


def test_pictures_shrink_until_the_report_is_small_and_too_many_are_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (320, 320, 3), dtype=np.uint8)
    pairs = [Pair(noise, noise, None) for _ in range(40)]
    path = write_report(tmp_path / "new" / "r.html", "t", {}, [PairGallery("p", pairs)])
    assert path.stat().st_size < MAX_BYTES
    with pytest.raises(ValueError, match="fewer pictures"):
        write_report(path, "t", {"words": "x" * MAX_BYTES}, [])


def points(svg: str, kind: str) -> list[tuple[float, float]]:
    path = re.search(rf'<path class="{kind}" d="M([^"]*)"', svg).group(1)
    return [tuple(map(float, point.split(","))) for point in path.split("L")]


def test_a_line_goes_up_where_the_numbers_do_and_keeps_proportion():
    line = points(line_chart({"a": ([0, 1, 4], [0.0, 1.0, 4.0])}, "a"), "line s0")
    (x0, y0), (x1, y1), (x2, y2) = line
    assert y0 > y1 > y2, "larger values are drawn higher"
    assert (x1 - x0) * 3 == pytest.approx(x2 - x1, abs=0.5) and (y0 - y1) * 3 == pytest.approx(y1 - y2, abs=0.5)


def test_a_gap_breaks_the_line_and_a_lone_point_is_a_dot():
    svg = line_chart({"a": ([0, 1, 2, 3, 4], [1.0, 2.0, float("nan"), None, 3.0])}, "a")
    assert svg.count('class="line s0"') == 1 and svg.count("<circle") == 1 and "nan" not in svg.lower()


def test_long_series_are_thinned_and_smoothed_over_the_raw_line():
    svg = line_chart({"a": (range(10_000), [float(i % 2) for i in range(10_000)])}, "a")
    assert len(svg) < 40_000 and 'class="line faint s0"' in svg
    assert smooth([0.0, 3.0, 0.0, 3.0, 0.0], 3)[1:4] == [1.0, 2.0, 1.0]


@pytest.mark.parametrize("values", [[], [None], [float("nan")]])
def test_a_chart_of_nothing_says_so(values):
    assert "no numbers yet" in line_chart({"a": (range(len(values)), values)}, "a")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (1e-7, 3e-7), (5, 5), (0, 0), (99, 1234567)])
def test_ticks_are_few_even_and_cover_the_range(low, high):
    marks = ticks(low, high)
    gaps = np.diff(marks)
    assert marks[0] <= low and marks[-1] >= high and 2 <= len(marks) <= 8
    assert np.allclose(gaps, gaps[0])


def test_numbers_are_short():
    assert [number(x) for x in (3, 3.0, 0.12345, 12.345, 0.00001234, None, float("nan"), 12345)] == [
        "3", "3", "0.123", "12.3", "1.23e-5", "–", "–", "12\u202f345",
    ]  # fmt: skip


def test_a_curve_of_almost_nothing_is_drawn():
    """A KL of 1e-13 beside 0 has ticks of its own."""
    assert len(set(ticks(0.0, 8.7e-14, 3))) >= 3
    assert 'class="line s0"' in line_chart({"kl": ([1, 2], [0.0, 8.7e-14])}, "kl", height=150)


def test_ticks_have_as_many_decimals_as_tell_them_apart():
    assert tick_texts([0.0, 0.25, 0.5]) == ["0", "0.25", "0.5"]
    assert tick_texts([1.0, 1.0005, 1.001]) == ["1", "1.0005", "1.001"]
    assert tick_texts([0.0, 1e-13]) == ["0", "1e-13"] and tick_texts([0.0, 2e6]) == ["0", "2e6"]


def test_a_curve_that_is_as_good_as_constant_lies_flat():
    flat = points(line_chart({"a": ([1, 2], [1.0, 1.0 + 1e-8])}, "a"), "line s0")
    assert flat[0][1] == pytest.approx(flat[1][1], abs=0.2)
    assert ticks(0.0, 0.0)[0] == 0
