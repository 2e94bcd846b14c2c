"""Positions, against small examples worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jaxerm.models.qwen3_vl.positions import mrope_positions, patch_coordinates, position_taps

T, V = False, True


def test_text_alone_counts_on_in_all_three():
    np.testing.assert_array_equal(mrope_positions([T, T, T], [], 2), [[0, 1, 2]] * 3)


def test_an_image_takes_rows_and_columns_and_text_goes_on_behind_its_longer_side():
    # two tokens of text, an image of 2 x 3 merged patches, two tokens of text
    positions = mrope_positions([T, T, V, V, V, V, V, V, T, T], [(1, 4, 6)], 2)
    np.testing.assert_array_equal(
        positions,
        [
            [0, 1, 2, 2, 2, 2, 2, 2, 5, 6],
            [0, 1, 2, 2, 2, 3, 3, 3, 5, 6],
            [0, 1, 2, 3, 4, 2, 3, 4, 5, 6],
        ],
    )


def test_two_images_one_high_one_wide_with_text_between():
    positions = mrope_positions([V, V, T, V, V, T], [(1, 4, 2), (1, 2, 4)], 2)
    np.testing.assert_array_equal(
        positions,
        [
            [0, 0, 2, 3, 3, 5],
            [0, 1, 2, 3, 3, 5],
            [0, 0, 2, 3, 4, 5],
        ],
    )


def test_images_with_nothing_between_them():
    positions = mrope_positions([V, V, V], [(1, 2, 4), (1, 2, 2)], 2)
    np.testing.assert_array_equal(positions, [[0, 0, 2], [0, 0, 2], [0, 1, 2]])


@pytest.mark.parametrize(
    ("is_vision", "grids", "message"),
    [
        ([T, V, T], [(1, 4, 2)], "image 1 needs 2 image tokens at token 1"),
        ([T, V], [(1, 4, 2)], "image 1 needs 2 image tokens at token 1"),
        ([T, T], [(1, 2, 2)], "image 1 needs 1 image tokens at token 2"),
        ([V, V, T], [(1, 2, 2)], "image tokens behind the last of 1 images"),
        ([V], [], "image tokens behind the last of 0 images"),
    ],
)
def test_image_tokens_that_do_not_match_the_images_are_named(is_vision, grids, message):
    with pytest.raises(ValueError, match=message):
        mrope_positions(is_vision, grids, 2)


def test_patches_come_block_by_block():
    coordinates = patch_coordinates((1, 2, 4), 2)
    expected = [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2], [0, 3], [1, 2], [1, 3]]
    np.testing.assert_array_equal(coordinates, expected)
    assert coordinates.dtype == np.int32


def test_frames_repeat_the_coordinates_of_the_first():
    once = patch_coordinates((1, 4, 2), 2)
    np.testing.assert_array_equal(patch_coordinates((3, 4, 2), 2), np.concatenate([once] * 3))


def table(index, weight):
    """What a table that holds its own row and column (side 3) gives at each patch."""
    rows, cols = index // 3, index % 3
    return np.stack([(rows * weight).sum(1), (cols * weight).sum(1)], axis=1)


def test_a_grid_of_the_size_of_the_table_reads_it_as_it_is():
    index, weight = position_taps((1, 3, 3), 1, 3)
    np.testing.assert_allclose(table(index, weight), patch_coordinates((1, 3, 3), 1))


def test_the_corners_of_any_grid_are_the_corners_of_the_table():
    # five columns on three: every second falls half way between two
    index, weight = position_taps((1, 2, 5), 1, 3)
    expected = [[row, col] for row in (0, 2) for col in (0, 0.5, 1, 1.5, 2)]
    np.testing.assert_allclose(table(index, weight), expected)
    np.testing.assert_allclose(weight.sum(axis=1), 1)
    np.testing.assert_array_equal(weight[1], [0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(index[1], [0, 1, 3, 4])


def test_a_single_row_reads_the_first_row_of_the_table():
    index, weight = position_taps((1, 1, 3), 1, 3)
    np.testing.assert_allclose(table(index, weight), [[0, 0], [0, 1], [0, 2]])


@pytest.mark.parametrize("grid", [(1, 48, 48), (1, 4, 64), (1, 62, 2), (1, 7, 49)])
def test_neighbours_never_leave_the_table(grid):
    index, weight = position_taps(grid, 1, 48)
    assert index.min() >= 0 and index.max() < 48**2
    assert weight.min() >= 0 and weight.dtype == np.float32
