"""What stands between drawn code and the machine: layers, probed by attacking them, entered for good."""

from __future__ import annotations

import os
from pathlib import Path

from jaxerm.render.sandbox.layers import REQUIRED, Layer, account, all_layers, available, enter, leave_network, missing
from jaxerm.render.sandbox.limits import Limits
from jaxerm.render.sandbox.privileges import adopt_orphans, die_with_parent, hide_memory

__all__ = [
    "REQUIRED", "Layer", "Limits", "account", "adopt_orphans", "all_layers", "available", "die_with_parent", "enter",
    "hide_memory", "leave_network", "missing", "scratch_folder", "scratch_root",
]  # fmt: skip


def scratch_root() -> str:
    """Where scratch folders are made. Unlike `tempfile.gettempdir` it writes nothing, so a full disk is no matter."""
    return os.environ.get("TMPDIR") or "/tmp"


def scratch_folder(pid: int) -> Path:
    """The one folder that the worker `pid` may make for itself; whoever reaps the worker removes it."""
    return Path(scratch_root()) / f"jaxerm-render-{pid}"
