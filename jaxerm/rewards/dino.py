"""The reward `dino`: how alike DINOv2 finds reference and render, tile by tile, as VinciCoder rewards charts."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from PIL import Image

from jaxerm.models.dinov2 import Dinov2, load_dinov2, normalised
from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.protocol import Reward
from jaxerm.rewards.result import RewardResult, scored


def tiling(width: int, height: int, tile: int, most: int) -> tuple[int, int]:
    """Columns and rows of at most `most` square tiles whose aspect ratio is nearest to the picture's.

    Of grids equally near the larger one, where the picture has more than half its pixels (InternVL's rule).
    """
    grids = [(columns, rows) for columns in range(1, most + 1) for rows in range(1, most // columns + 1)]
    best, gap = (1, 1), float("inf")
    for columns, rows in sorted(grids, key=lambda grid: (grid[0] * grid[1], grid)):
        here = abs(width / height - columns / rows)
        if here < gap or here == gap and width * height > 0.5 * tile**2 * columns * rows:
            best, gap = (columns, rows), here
    return best


def tiles(image: np.ndarray, tile: int = 448, most: int = 12) -> np.ndarray:
    """Cuts a picture into square tiles, and adds the whole as one more where there are several.

    Args:
      image: uint8[H, W, 3].

    Returns:
      uint8[n, tile, tile, 3], row by row, the whole last.
    """
    height, width = image.shape[:2]
    columns, rows = tiling(width, height, tile, most)
    picture = Image.fromarray(image)
    whole = np.asarray(picture.resize((columns * tile, rows * tile), Image.Resampling.BICUBIC))
    parts = whole.reshape(rows, tile, columns, tile, 3).transpose(0, 2, 1, 3, 4).reshape(-1, tile, tile, 3)
    if len(parts) == 1:
        return parts
    small = np.asarray(picture.resize((tile, tile), Image.Resampling.BICUBIC))
    return np.concatenate([parts, small[None]])


@jax.jit(static_argnames=("graphdef",))
def _class_tokens(graphdef, params, pixels):
    return nnx.merge(graphdef, params)(pixels)[:, 0].astype("float32")


class Dino(Reward):
    """r = mean over tiles of (cos + 1) / 2, between the class tokens of DINOv2 (VinciCoder, arXiv 2511.00391).

    The render is resized to the size of the reference, and both are cut into at most `most` tiles and a thumbnail.

    Args:
      model: a DINOv2 directory, a hub name whose files are in the local cache, or a model that is loaded.
      tile: side of a tile in pixels, a multiple of the patch size.
      most: tiles of one picture.
      rows: tiles looked at at once.
      dtype: of parameters and computation.
    """

    name = "dino"

    def __init__(
        self,
        model: str | Path | Dinov2 = "facebook/dinov2-large",
        *,
        tile: int = 448,
        most: int = 12,
        rows: int = 16,
        dtype: str = "float32",
    ):
        network = model if isinstance(model, Dinov2) else load_dinov2(model, dtype)
        patch = network.config.patch_size
        if tile % patch or min(tile, most, rows) < 1:
            raise ValueError(f"dino: tile {tile} is not a multiple of the patch size {patch}, or a number is below 1")
        self.graphdef, self.params = nnx.split(network)
        self.tile, self.most, self.rows = tile, most, rows
        self._lock = threading.Lock()

    def key(self, attempt: Attempt) -> Hashable:
        return attempt.pair

    def __call__(self, attempts: Sequence[Attempt], *, seed: int = 0) -> list[RewardResult]:
        results = [attempt.unrendered for attempt in attempts]
        open_ = [place for place, result in enumerate(results) if result is None]
        # Attempts at one picture share its tiles.
        references = {id(attempts[i].reference): attempts[i].reference for i in open_}
        pictures = [*references.values(), *(_resized(attempts[i].image, attempts[i].reference) for i in open_)]
        features = self._features(pictures)
        known = dict(zip(references, features, strict=False))
        for place, ours in zip(open_, features[len(references) :], strict=True):
            theirs = known[id(attempts[place].reference)]
            results[place] = scored(float(((np.sum(ours * theirs, axis=1) + 1) / 2).mean()))
        return results

    def _features(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Unit vectors, float32[n, hidden], of the n tiles of each picture."""
        if not pictures:
            return []
        cut = [tiles(picture, self.tile, self.most) for picture in pictures]
        ends = np.cumsum([len(parts) for parts in cut])
        all_ = np.concatenate(cut)
        out = []
        with self._lock:
            for start in range(0, len(all_), self.rows):
                lot = all_[start : start + self.rows]
                # The last lot is filled up, so that any number compiles once.
                full = np.concatenate([lot, np.repeat(lot[-1:], self.rows - len(lot), axis=0)])
                out.append(np.asarray(_class_tokens(self.graphdef, self.params, normalised(full)))[: len(lot)])
        vectors = np.concatenate(out)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.split(vectors, ends[:-1])


def _resized(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    if image.shape == reference.shape:
        return image
    size = (reference.shape[1], reference.shape[0])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
