"""What stands between drawn code and the machine: layers, probed by attacking them, entered for good."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from jaxerm.render.sandbox.layers import REQUIRED, Layer, account, all_layers, available, enter, leave_network, missing
from jaxerm.render.sandbox.limits import Limits
from jaxerm.render.sandbox.privileges import adopt_orphans, die_with_parent, hide_memory

__all__ = [
    "REQUIRED", "Layer", "Limits", "account", "adopt_orphans", "all_layers", "available", "die_with_parent", "enter",
    "hide_memory", "leave_network", "missing", "remove_stale_folders", "scratch_folder", "scratch_root",
]  # fmt: skip

_PREFIX = "jaxerm-render-"


def scratch_root() -> str:
    """Where scratch folders are made. Unlike `tempfile.gettempdir` it writes nothing, so a full disk is no matter."""
    return os.environ.get("TMPDIR") or "/tmp"


def scratch_folder(pid: int) -> Path:
    """The one folder that the worker `pid` may make for itself; whoever reaps the worker removes it."""
    return Path(scratch_root()) / f"{_PREFIX}{pid}"


def remove_stale_folders(older_than_s: float = 3600.0) -> None:
    """Removes scratch folders whose worker is gone; not young ones, since another container may share the folder."""
    for folder in Path(scratch_root()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name.removeprefix(_PREFIX))
            if time.time() - folder.stat().st_mtime > older_than_s and not _exists(pid):
                shutil.rmtree(folder, ignore_errors=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
