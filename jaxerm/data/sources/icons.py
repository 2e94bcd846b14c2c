"""Real vector graphics: the icons of the `lucide` package, and any folder of SVG files."""

from __future__ import annotations

import io
import re
import zipfile
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from jaxerm.data.program import Program
from jaxerm.data.svg_tree import compact_svg


@cache
def _lucide() -> dict[str, str]:
    """Name -> compact SVG, in order of the names."""
    try:
        data = (files("lucide") / "lucide.zip").read_bytes()
    except ModuleNotFoundError:
        raise ValueError("source 'icons' needs the package lucide: pip install lucide") from None
    icons = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".svg"):
                icons[name.removesuffix(".svg")] = compact_svg(archive.read(name).decode("utf-8"))
    return icons


def words(name: str) -> str:
    """``arrow-down_2`` as ``arrow down 2``."""
    return " ".join(re.split(r"[-_\s]+", name)).strip()


class _Graphics:
    """SVG programs held in memory."""

    task = "svg"

    def __init__(self, graphics: list[tuple[str, str]], kind: str):
        self._graphics, self._kind = graphics, kind

    def __len__(self) -> int:
        return len(self._graphics)

    def __getitem__(self, index: int) -> Program:
        if not 0 <= index < len(self):
            raise IndexError(f"{self._kind} {index}; there are {len(self)}")
        name, code = self._graphics[index]
        return Program("svg", code, f"{self._kind}-{name}", f"{self._kind}: {words(name)}")


class Icons(_Graphics):
    """The icons of the package lucide (1,745 in release 1.1), 24 x 24 units, black lines.

    Args:
      max_code_chars: longer ones are left out.
      seed: of their order, so that a part of the indices is a fair sample.
      skip: icons left out at the start of that order, for a part that no other source shows.
      n: icons there are at most, after those; None for all.

    Raises:
      ValueError: lucide is not installed, or nothing is left.
    """

    def __init__(self, max_code_chars: int = 400, seed: int = 0, skip: int = 0, n: int | None = None):
        icons = list(_lucide().items())
        order = np.random.Generator(np.random.Philox(key=[seed, 0])).permutation(len(icons))
        chosen = [icons[place] for place in order if len(icons[place][1]) <= max_code_chars]
        chosen = chosen[skip : None if n is None else skip + n]
        if not chosen:
            raise ValueError(f"no icon is left with max_code_chars={max_code_chars}, skip={skip}, n={n}")
        super().__init__(chosen, "icon")


class SvgFolder(_Graphics):
    """The .svg files of a folder and its subfolders, in order of their names.

    Args:
      path: the folder.
      max_code_chars: longer ones (after compaction) are left out; None keeps all.

    Raises:
      ValueError: no such folder, nothing in it, or a file that is no SVG; the message names it.
    """

    def __init__(self, path: str | Path, max_code_chars: int | None = None):
        path = Path(path)
        found = svg_files(path)
        graphics = []
        for file in found:
            try:
                code = compact_svg(file.read_text(encoding="utf-8"))
            except (ValueError, OSError) as error:
                raise ValueError(f"{file}: {error}") from None
            if max_code_chars is None or len(code) <= max_code_chars:
                graphics.append((file.relative_to(path).with_suffix("").as_posix().replace("/", " "), code))
        if not graphics:
            raise ValueError(f"none of the {len(found)} .svg files in {path} has at most {max_code_chars} characters")
        super().__init__(graphics, "graphic")


def svg_files(path: Path) -> list[Path]:
    """The .svg files of a folder, sorted; a ValueError when there is no folder or no file."""
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder" if path.exists() else f"there is no folder {path}")
    found = sorted(path.rglob("*.svg"))
    if not found:
        raise ValueError(f"there are no .svg files in {path}")
    return found
