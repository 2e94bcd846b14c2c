"""Charts of one's own: a folder of matplotlib scripts."""

from __future__ import annotations

from pathlib import Path

from jaxerm.data.program import Program
from jaxerm.data.sources.icons import words


class ScriptFolder:
    """The .py files of a folder and its subfolders that use matplotlib, in order of their names.

    Whether a script draws anything is seen when it is rendered: it runs in the renderer's sandbox, without files of its
    own or the network.

    Args:
      path: the folder.
      max_code_chars: longer scripts are left out; None keeps all.

    Raises:
      ValueError: no such folder, or no script is left; a script that is not UTF-8 is named.
    """

    task = "chart"

    def __init__(self, path: str | Path, max_code_chars: int | None = None):
        self._folder = Path(path)
        if not self._folder.is_dir():
            raise ValueError(f"there is no folder {path}")
        self._scripts = []
        for file in sorted(self._folder.rglob("*.py")):
            try:
                code = file.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(f"{file}: {error}") from None
            if "matplotlib" in code and (max_code_chars is None or len(code) <= max_code_chars):
                self._scripts.append(file)
        if not self._scripts:
            limit = "" if max_code_chars is None else f" of at most {max_code_chars} characters"
            raise ValueError(f"there is no .py file that uses matplotlib{limit} in {path}")

    def __len__(self) -> int:
        return len(self._scripts)

    def __getitem__(self, index: int) -> Program:
        if not 0 <= index < len(self):
            raise IndexError(f"script {index}; there are {len(self)}")
        file = self._scripts[index]
        name = file.relative_to(self._folder).with_suffix("").as_posix().replace("/", " ")
        return Program("chart", file.read_text(encoding="utf-8"), f"script-{name}", f"chart: {words(name)}")
