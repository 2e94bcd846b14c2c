"""A picture on its way: a path or the bytes of a file, decoded only where somebody looks."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Picture:
    """One image that nobody has opened yet.

    Attributes:
      path: of a file; None where the bytes came along.
      data: of a PNG, JPEG, ... file.
    """

    path: Path | None = None
    data: bytes | None = None

    def open(self) -> np.ndarray:
        """uint8[H, W, 3]; transparent parts stand on white.

        Raises:
          ValueError: there is no such file, or it is no image.
        """
        where = str(self.path) if self.path is not None else f"an image of {len(self.data or b'')} bytes"
        try:
            with Image.open(self.path if self.path is not None else io.BytesIO(self.data or b"")) as image:
                if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                    image = image.convert("RGBA")
                    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
                return np.asarray(image.convert("RGB"))
        except FileNotFoundError:
            raise ValueError(f"there is no image {where}") from None
        except (OSError, Image.DecompressionBombError) as error:
            raise ValueError(f"{where} is not a readable image: {error}") from None


def picture_of(value: object, folder: Path) -> Picture:
    """What a row of a data set holds for an image, as a picture.

    Args:
      value: a path (relative to `folder`, or with ``file://``), bytes, or a dict with ``bytes`` or ``path``.
      folder: of the data set's file.

    Raises:
      ValueError: anything else.
    """
    if isinstance(value, dict):
        # Parquet files of images carry both; the path is where the bytes came from, on another machine.
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes | bytearray):
        return Picture(data=bytes(value))
    if isinstance(value, str) and value and not value.startswith(("http://", "https://", "data:")):
        return Picture(path=folder / value.removeprefix("file://"))
    raise ValueError(f"an image is a path, bytes, or a dict with one of them, not {str(value)[:60]!r}")
