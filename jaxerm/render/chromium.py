"""The other engine for tables and pages: an installed Chromium, started for each. Slow, and a browser's own pixels."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

import numpy as np

from jaxerm.render import sandbox
from jaxerm.render.errors import DrawError, EngineMissingError, describe

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin:/Applications/Google Chrome.app/Contents/MacOS"
_HEIGHT = 2400
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {script}\">"
)
_MEASURE = (
    "<script nonce='{nonce}'>addEventListener('load', () => "
    "document.documentElement.setAttribute('data-{nonce}', document.documentElement.scrollHeight))</script>"
)


class Chromium:
    """Paints pages; see `page.Paint`.

    Raises:
      EngineMissingError: no browser is installed.
    """

    def __init__(self) -> None:
        program = next((found for name in _NAMES if (found := shutil.which(name, path=_PATH))), None)
        if program is None:
            raise EngineMissingError(f"none of {', '.join(_NAMES)} is installed")
        self._program = program
        sandbox.remove_stale_folders()  # of pools that were killed themselves in the middle of a page

    def __call__(self, html: str, width: int, max_pixels: int, window: int | None = None) -> np.ndarray:
        """Draws one page; a table on a window that is high once and for all, a page on one of its own height.

        So a page that is longer than `window` and sized in parts of it (vh) is not what a user would scroll through.
        """
        folder = sandbox.scratch_folder(os.getpid())
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(mode=0o700)
            if window is None:
                return self._shoot(folder, html, width, min(_HEIGHT, max_pixels // width))
            height = max(window, self._measure(folder, html, width, window))
            if width * height > max_pixels:
                raise DrawError("too_large", f"the page is {width} x {height} pixels; the limit is {max_pixels} in all")
            return self._shoot(folder, html, width, height)
        except OSError as error:  # a full disk, say
            raise DrawError("infrastructure", f"{Path(self._program).name}: {describe(error)}") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _measure(self, folder: Path, html: str, width: int, height: int) -> int:
        """How high the page is: the one script that runs is ours, which the policy knows by a number made up here."""
        nonce = secrets.token_hex(16)
        script = _MEASURE.format(nonce=nonce)
        dumped = self._run(folder, html, f"'nonce-{nonce}'", script, width, height, "--dump-dom")
        found = re.search(rb'data-%s="(\d{1,9})"' % nonce.encode(), dumped.stdout)
        if found is None:
            raise DrawError("infrastructure", f"{Path(self._program).name} did not say how high the page is")
        return int(found[1])

    def _shoot(self, folder: Path, html: str, width: int, height: int) -> np.ndarray:
        from PIL import Image

        picture = folder / "page.png"
        done = self._run(folder, html, "'none'", "", width, height, f"--screenshot={picture}")
        if not picture.is_file():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            name = Path(self._program).name
            raise DrawError("infrastructure", f"{name} ended with {done.returncode}: {last[0][:200]}")
        rgb = np.asarray(Image.open(picture).convert("RGB")).astype(np.uint32)
        return 0xFF000000 | rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]

    def _run(self, folder: Path, html: str, policy: str, script: str, width: int, height: int, what: str):
        page = folder / "page.html"
        head = f"<head>{_POLICY.format(script=policy)}{script}"
        page.write_text(html.replace("<head>", head, 1), encoding="utf-8", errors="replace")
        command = [
            self._program, "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            "--disable-dev-shm-usage", "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--force-device-scale-factor=1", f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}",
            what, *(["--no-sandbox"] if os.geteuid() == 0 else []), page.as_uri(),
        ]  # fmt: skip
        environment = {**os.environ, "PATH": _PATH, "HOME": str(folder)}
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
