"""Peak host memory of loading a random directory of a released size, and its round trip tensor by tensor.

python -m benchmarks.model_weights --size 2B --folder /somewhere/with/10GB
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from flax import nnx

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.model import abstract_model
from jaxerm.models.qwen3_vl.names import name_table, their_shape
from jaxerm.models.qwen3_vl.sizes import SIZES, size_config
from jaxerm.models.qwen3_vl.weights import load_weights, save_weights
from jaxerm.models.tensor_files import TensorFiles, write_tensors


def random_directory(directory: Path, config: Qwen3VLConfig, shard_bytes: int) -> int:
    """Writes random bfloat16 bits in the released layout; returns the bytes of all tensors."""
    directory.mkdir(parents=True)
    leaves = nnx.to_flat_state(nnx.state(abstract_model(config), nnx.Param))
    ours = {".".join(map(str, path)): leaf.shape for path, leaf in leaves}
    shapes = {}
    for entry in name_table(config):
        shape = ours[entry.path][int(entry.stacked) :]
        shapes |= dict.fromkeys(entry.names, their_shape(shape, entry.form, config))
    sizes = {name: 2 * int(np.prod(shape)) for name, shape in shapes.items()}
    random = np.random.default_rng(0)
    tensors = (
        # Below 0x7F00 there is no NaN among the bits.
        (name, random.integers(0, 0x7F00, shape, np.uint16).view(ml_dtypes.bfloat16))
        for name, shape in shapes.items()
    )
    write_tensors(directory, sizes, tensors, shard_bytes)
    (directory / "config.json").write_text(json.dumps(config.to_hf()))
    return sum(sizes.values())


def peak_bytes() -> int:
    """Most that this process has held; `getrusage` would say the parent's, which a child begins with."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def load_and_save(source: Path, target: Path, shard_bytes: int) -> None:
    """In a process of its own, whose peak is the loader's; prints JSON."""
    before = peak_bytes()
    began = time.perf_counter()
    model = load_weights(source, Qwen3VLConfig.load(source), dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    seconds = time.perf_counter() - began
    peak = peak_bytes()
    save_weights(target, model, jnp.bfloat16, shard_bytes=shard_bytes)
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "before_bytes": before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="2B")
    parser.add_argument("--folder", type=Path, required=True, help="must not exist")
    parser.add_argument("--shard-gb", type=float, default=2.0)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    source, target, shard = options.folder / "in", options.folder / "out", int(options.shard_gb * 1e9)
    if options.child:
        load_and_save(source, target, shard)
        return
    size = random_directory(source, size_config(options.size), shard)
    child = [sys.executable, "-m", "benchmarks.model_weights", "--child", "--folder", str(options.folder)]
    child += ["--size", options.size, "--shard-gb", str(options.shard_gb)]
    measured = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    first, second = TensorFiles(source), TensorFiles(target)
    different = [
        name
        for name in first.names() | second.names()
        if first.read(name, slice(None)).tobytes() != second.read(name, slice(None)).tobytes()
    ]
    above = measured["peak_bytes"] - size
    out = {"weight_bytes": size, **measured, "peak_above_weights_bytes": above, "tensors": len(first.names())}
    print(json.dumps(out | {"tensors_that_differ": different}, indent=2))


if __name__ == "__main__":
    main()
