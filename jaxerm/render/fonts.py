"""The same glyphs on every machine: fontconfig is shown matplotlib's own fonts and no others."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from jaxerm.render.errors import EngineMissingError

CONFIG = Path(__file__).with_name("fonts.conf")


def directory() -> Path:
    """The folder of TrueType fonts inside the installed matplotlib, found without importing it.

    Raises:
      EngineMissingError: matplotlib is not installed.
    """
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        raise EngineMissingError("matplotlib, whose fonts every render uses, is not installed")
    return Path(spec.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"


def read() -> None:
    """Reads one of the fonts and one module: what every engine has to be able to do, however little else it may.

    Raises:
      OSError: this process may not.
    """
    next(directory().glob("*.ttf")).read_bytes()
    Path(os.__file__).read_bytes()


def pin() -> None:
    """Shows fontconfig, in this process and for good, those fonts and no others; before its first use.

    The configuration names the current folder rather than a path, so that it can be a file of this package: nothing is
    written to the disk that a killed process would leave behind. The process stays in that folder, since an engine
    may read the configuration as late as its first letter.

    Raises:
      EngineMissingError: the configuration or the fonts are not there.
    """
    if not CONFIG.is_file():
        raise EngineMissingError(f"{CONFIG.name} is missing from the installed package")
    os.environ["FONTCONFIG_FILE"] = str(CONFIG)
    os.chdir(directory())
