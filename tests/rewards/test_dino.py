"""The DINO reward: how pictures are cut into tiles, and that alike is worth more than unlike."""

import numpy as np
import pytest
from flax import nnx

from jaxerm.models.dinov2 import Dinov2, Dinov2Config
from jaxerm.render import RenderError, RenderResult
from jaxerm.rewards import Attempt
from jaxerm.rewards.dino import Dino, tiles, tiling

TILE = 8


@pytest.mark.parametrize(
    "width, height, grid",
    [(448, 448, (1, 1)), (2000, 2000, (3, 3)), (800, 400, (2, 1)), (1800, 900, (4, 2)), (300, 3000, (1, 10)),
     (4000, 3000, (4, 3)), (100, 6000, (1, 12))],
)  # fmt: skip
def test_the_grid_is_the_nearest_in_aspect_and_the_larger_for_large_pictures(width, height, grid):
    assert tiling(width, height, 448, 12) == grid


def test_a_picture_is_cut_row_by_row_and_the_whole_comes_last():
    quarters = np.zeros((2 * TILE, 2 * TILE, 3), np.uint8)
    for number, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        quarters[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = 60 * number
    cut = tiles(quarters, TILE, 4)
    assert cut.shape == (5, TILE, TILE, 3)
    assert [int(tile[TILE // 2, TILE // 2, 0]) for tile in cut[:4]] == [0, 60, 120, 180]
    corners = cut[4][[0, 0, -1, -1], [0, -1, 0, -1], 0]
    assert [int(value) for value in corners] == [0, 60, 120, 180]
    assert tiles(quarters[:TILE, :TILE], TILE, 4).shape == (1, TILE, TILE, 3), "a single tile is the whole"


@pytest.fixture(scope="module")
def dino():
    config = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
    return Dino(Dinov2(config, rngs=nnx.Rngs(0)), tile=TILE, most=4, rows=4)


def attempt(reference, image):
    render = RenderResult(image, None, 0.0, "", "")
    return Attempt("svg", reference, "", code="x", render=render)


def test_equal_pictures_are_worth_one_and_others_less(dino):
    rng = np.random.default_rng(0)
    one, two = (rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(2))
    [same, other, larger] = dino([attempt(one, one), attempt(one, two), attempt(one, one.repeat(2, 0).repeat(2, 1))])
    assert same.value == pytest.approx(1, abs=1e-6) and 0 <= other.value < 0.999
    assert other.value < larger.value
    # The mean over tiles of (cos + 1) / 2, by hand.
    a, b = dino._features([one, two])
    assert len(a) == 5 and np.allclose(np.linalg.norm(a, axis=1), 1, atol=1e-6)
    assert other.value == pytest.approx(np.mean([(float(x @ y) + 1) / 2 for x, y in zip(a, b, strict=True)]), abs=1e-6)


def test_what_did_not_render_is_not_looked_at(dino):
    white = np.full((8, 8, 3), 255, np.uint8)
    broken = Attempt("svg", white, "", code="x", render=RenderResult(None, RenderError("syntax", "no"), 0.0, "", ""))
    host = Attempt(
        "svg", white, "", code="x", render=RenderResult(None, RenderError("infrastructure", "no"), 0, "", "")
    )
    assert [result.status for result in dino([broken, host])] == ["failed", "unscored"]


def test_a_tile_is_a_multiple_of_the_patch():
    with pytest.raises(ValueError, match="tile 6 is not a multiple of the patch size 4"):
        Dino(Dinov2(Dinov2Config(16, 1, 2, 4, 8, 4), rngs=nnx.Rngs(0)), tile=6)
