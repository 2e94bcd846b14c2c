"""Where the things that ship with the repository are: model directories and small data."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def shipped_model(name: str) -> Path:
    """The directory ``models/NAME`` of this checkout.

    Raises:
      FileNotFoundError: it is not there, as when the package was installed without its repository.
    """
    path = _ROOT / "models" / name
    if not (path / "config.json").is_file():
        raise FileNotFoundError(f"no model at {path}; name a model directory")
    return path
