"""Breaks the network in one place after another and lists the tests that turn red: a break no test sees is a hole.

    python -m benchmarks.mutations                         # all of them, each against `TESTS`; many minutes
    python -m benchmarks.mutations --only "DeepStack dropped" --tests tests/models

Each works on a copy of the package and its tests, with one line of the package's text replaced. Prints JSON; the exit
status is 1 where a break turned nothing red.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = [f"tests/models/test_{name}.py" for name in ("parity", "positions", "processor", "video", "packing")]

# Name -> file below jaxerm/models/qwen3_vl, what stands there once, and what stands there instead.
MUTATIONS = {
    "DeepStack dropped": ("model.py", "return h + at_tokens(tap)", "return h"),
    "time turns with the height": ("text.py", "axis = np.zeros(half, np.int32)", "axis = np.ones(half, np.int32)"),
    "height turns with the time": ("text.py", "for number in (1, 2):", "for number in (2,):"),
    "width turns with the time": ("text.py", "for number in (1, 2):", "for number in (1,):"),
    "text goes on behind an image's last token": ("positions.py", "position += max(rows, cols)", "position += count"),
    "learned positions of the nearest neighbour": (
        "positions.py",
        "fraction.append(source - floor)",
        "fraction.append(np.round(source - floor))",
    ),
    "pictures read in the other order": (
        "processor.py",
        "[self._patches(part) for part in parts]",
        "[self._patches(part) for part in parts[::-1]]",
    ),
    "features placed in the other order": (
        "inputs.py",
        "np.where(is_vision, np.cumsum(is_vision) - 1, -1)",
        "np.where(is_vision, is_vision.sum() - np.cumsum(is_vision), -1)",
    ),
    "pictures see each other": ("inputs.py", "np.full(len(coords[-1]), number,", "np.full(len(coords[-1]), 1,"),
    "query norm removed": ("text.py", "self.q_norm(heads(self.q_proj(x)))", "heads(self.q_proj(x))"),
    "key norm removed": ("text.py", "self.k_norm(heads(self.k_proj(x)))", "heads(self.k_proj(x))"),
    "causal mask removed": ("model.py", "causal=True, kernel", "causal=False, kernel"),
}


def copy_of(folder: Path) -> Path:
    """What the tests need, without what runs and environments have left."""
    skip = shutil.ignore_patterns(".git", ".venv", ".cache", "runs", "__pycache__")
    return Path(shutil.copytree(ROOT, folder / "copy", ignore=skip))


def red(folder: Path, tests: list[str]) -> list[str]:
    """Names of the tests that fail in a copy.

    Raises:
      RuntimeError: they could not be run at all.
    """
    call = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        call, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest gave up: {(done.stdout + done.stderr)[-2000:]}")
    return sorted(set(re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=MUTATIONS, nargs="+", default=list(MUTATIONS))
    parser.add_argument("--tests", nargs="+", default=TESTS)
    options = parser.parse_args()
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = copy_of(Path(name))
        if broken := red(folder, options.tests):
            raise SystemExit(f"red before anything is broken: {', '.join(broken)}")
        for mutation in options.only:
            file, right, wrong = MUTATIONS[mutation]
            path = folder / "jaxerm" / "models" / "qwen3_vl" / file
            text = path.read_text()
            if text.count(right) != 1:
                raise SystemExit(f"{mutation}: {file} holds {text.count(right)} times {right!r}, and once is wanted")
            path.write_text(text.replace(right, wrong))
            found[mutation] = red(folder, options.tests)
            path.write_text(text)
            print(f"{mutation}: {len(found[mutation])} red", file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2))
    raise SystemExit(not all(found.values()))


if __name__ == "__main__":
    main()
