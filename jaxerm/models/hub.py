"""From a path or a hub name to a model directory; nothing is ever downloaded here."""

from __future__ import annotations

import re
from pathlib import Path

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def model_directory(model: str | Path) -> Path:
    """The directory of a model.

    Args:
      model: a directory, or a name like ``Qwen/Qwen3-VL-8B-Instruct`` whose files are in Hugging Face's local cache;
        commands hand both over as paths.

    Raises:
      FileNotFoundError: neither; says how to get the files.
    """
    path = Path(model)
    if path.is_dir() or not _HUB_NAME.fullmatch(name := str(model)):
        return path
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        raise FileNotFoundError(
            f"{name} is no directory here, and not in the Hugging Face cache ({constants.HF_HUB_CACHE}): "
            f"`hf download {name}` puts it there"
        ) from None
