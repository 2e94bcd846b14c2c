"""The other engine for tables: an installed Chromium, started for each page. Slow, and the same pixels as a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxerm.render import sandbox
from jaxerm.render.errors import DrawError, EngineMissingError

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin:/Applications/Google Chrome.app/Contents/MacOS"
_HEIGHT = 2400
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)


def load() -> Callable[[str, int, int], np.ndarray]:
    """Finds the browser and returns what paints a page of HTML: uint32[H, W], 0xAARRGGBB.

    Raises:
      EngineMissingError: no browser is installed.
    """
    program = next((found for name in _NAMES if (found := shutil.which(name, path=_PATH))), None)
    if program is None:
        raise EngineMissingError(f"none of {', '.join(_NAMES)} is installed")

    def paint(html: str, width: int, max_pixels: int) -> np.ndarray:
        return _paint(program, html, width, min(_HEIGHT, max_pixels // width))

    return paint


def _paint(program: str, html: str, width: int, height: int) -> np.ndarray:
    from PIL import Image

    folder = sandbox.scratch_folder(os.getpid())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    page, picture = folder / "page.html", folder / "page.png"
    page.write_text(html.replace("<head>", f"<head>{_POLICY}", 1), encoding="utf-8")
    command = [
        program, "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage",
        "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--force-device-scale-factor=1",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}", f"--screenshot={picture}",
        *(["--no-sandbox"] if os.geteuid() == 0 else []), page.as_uri(),
    ]  # fmt: skip
    environment = {**os.environ, "PATH": _PATH, "HOME": str(folder)}
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if not picture.is_file():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise DrawError("infrastructure", f"{Path(program).name} ended with {done.returncode}: {last[0][:200]}")
        rgb = np.asarray(Image.open(picture).convert("RGB")).astype(np.uint32)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0xFF000000 | rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
