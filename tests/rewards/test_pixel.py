"""Pixel measures against their formulas, and what each of them sees."""

import numpy as np
import pytest

from jaxerm.render import RenderResult
from jaxerm.rewards import Attempt
from jaxerm.rewards.pixel import MEASURES, Pixel, edge_agreement, edges, ssim, standardised_mse

RNG = np.random.default_rng(0)


def page(left=8, top=8, colour=(200, 30, 30), size=32):
    image = np.full((size, size, 3), 255, np.uint8)
    image[top : top + 12, left : left + 12] = colour
    return image


def test_ssim_is_the_formula_of_its_paper():
    a, b = (RNG.integers(0, 256, (9, 11, 3), dtype=np.uint8) for _ in range(2))
    x, y = (image.astype(float) @ [0.299, 0.587, 0.114] for image in (a, b))
    window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(window, window) / window.sum() ** 2
    x, y = (np.pad(grey, 5, mode="symmetric") for grey in (x, y))
    values = []
    for row in range(9):
        for column in range(11):
            p, q = (grey[row : row + 11, column : column + 11] for grey in (x, y))
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + 6.5025) * (2 * cov + 58.5225)
                          / ((mp**2 + mq**2 + 6.5025) * (vp + vq + 58.5225)))  # fmt: skip
    assert ssim(a, b) == pytest.approx(np.mean(values), abs=1e-9)


def test_standardised_mse_is_in_units_of_the_references_spread():
    a = RNG.integers(50, 200, (8, 8, 3), dtype=np.uint8)
    shift = 10
    assert standardised_mse(a, a + np.uint8(shift)) == pytest.approx(1 - (shift / a.std()) ** 2)
    assert standardised_mse(np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)) == 0.0


def test_edges_are_one_pixel_wide_lines_where_the_colour_changes():
    found = edges(page())
    rows, columns = np.nonzero(found)
    assert set(rows) <= {7, 8, 19, 20} | set(range(8, 20)) and set(columns) <= {7, 8, 19, 20} | set(range(8, 20))
    assert not found[10:18, 10:18].any() and not found[:6].any()
    # Along the middle of each side one pixel of two is kept.
    assert found[13, 5:12].sum() == 1 and found[13, 16:24].sum() == 1
    assert found[5:12, 13].sum() == 1 and found[16:24, 13].sum() == 1


def test_weak_edges_are_kept_only_where_they_touch_strong_ones():
    image = np.full((24, 40, 3), 255, np.uint8)
    image[:, 20:] = np.linspace(255 - 35, 255 - 120, 24)[:, None, None].astype(np.uint8)  # strong at its lower end
    assert edges(image)[:, 19:21].any(axis=1)[1:-1].all()
    weak = np.full((24, 40, 3), 255, np.uint8)
    weak[:, 20:] = 255 - 35
    assert not edges(weak).any()


def test_edges_forgive_what_is_a_little_off_and_see_what_is_missing():
    near, far, none = (edge_agreement(page(), page(left)) for left in (9, 18, 99))
    assert edge_agreement(page(), page()) == 1.0 and 1 > near > far >= none
    assert edge_agreement(page(), page(colour=(30, 30, 200))) > 0.9, "colour is not an edge's business"


@pytest.mark.parametrize("name", MEASURES)
def test_equal_pictures_are_worth_one_and_a_missing_shape_less(name):
    reward = Pixel(name)
    assert reward.name == f"pixel_{name}"
    attempts = [
        Attempt("svg", page(), "", code="x", render=RenderResult(image, None, 0.0, "", ""))
        for image in (page(), page(left=99), page(size=64)[::2, ::2].repeat(2, 0).repeat(2, 1))
    ]
    same, missing, other_size = reward(attempts)
    assert same.value == pytest.approx(1, abs=1e-9) and missing.value < 0.9
    assert other_size.status == "scored", "a render of another size is resized"


def test_an_unknown_measure_is_named():
    with pytest.raises(ValueError, match="no measure 'psnr'; there are ssim, mse, edges, ink"):
        Pixel("psnr")
