"""The same logits however many devices and processes share the work, weights streamed into their shards.

    python -m benchmarks.layouts

The network and the prompts are those of the tests, in float32, on simulated CPU devices. Prints JSON: the largest
difference to one device, and the same as a share of the largest logit.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.models import reference

LAYOUTS = {
    "1 device": (1, 1, {"fsdp": 1}),
    "fsdp 2 x tensor 2": (1, 4, {"fsdp": 2, "tensor": 2}),
    "fsdp 8 x tensor 1": (1, 8, {"fsdp": 8}),
    "fsdp 1 x tensor 8": (1, 8, {"tensor": 8}),
    "2 processes, fsdp 2 x tensor 2": (2, 2, {"fsdp": 2, "tensor": 2}),
    "2 processes, tensor 4": (2, 2, {"tensor": 4}),
}
"""Name -> processes, devices of each, mesh."""


def compute(directory: Path, mesh_shape: dict[str, int], out: Path) -> None:
    """In a process of its own: logits of all prompts, written by the first process."""
    import jax
    from flax import nnx

    from jaxerm.distributed import join
    from jaxerm.models.attention import Kernel
    from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
    from jaxerm.models.qwen3_vl.inputs import batch_inputs
    from jaxerm.models.qwen3_vl.weights import load_weights
    from jaxerm.models.sharding import make_mesh, shard_rows, to_host

    join()
    mesh = make_mesh(mesh_shape)
    config = Qwen3VLConfig.load(directory)
    model = load_weights(directory, config, mesh=mesh, kernel=Kernel("xla", mesh))
    graphdef, params = nnx.split(model)
    samples = 2 * reference.prompts()
    inputs = batch_inputs(samples, config, length=reference.LENGTH, patches=reference.PATCHES)
    logits = jax.jit(lambda p, i: nnx.merge(graphdef, p)(i))(params, shard_rows(inputs, params))
    logits = to_host(logits)
    if jax.process_index() == 0:
        np.save(out, logits[inputs.segment_ids > 0])


def run(directory: Path, layout: str, out: Path) -> np.ndarray:
    """float32[tokens, vocab] of a layout."""
    processes, devices, mesh = LAYOUTS[layout]
    env = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    if processes > 1:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            env |= {"JAX_COORDINATOR_ADDRESS": f"localhost:{free.getsockname()[1]}"}
        env |= {"JAX_NUM_PROCESSES": str(processes)}
    call = [sys.executable, "-m", "benchmarks.layouts", "--child", str(directory), json.dumps(mesh), str(out)]
    started = [subprocess.Popen(call, env=env | {"JAX_PROCESS_ID": str(number)}) for number in range(processes)]
    if any([process.wait() for process in started]):
        raise SystemExit(f"{layout}: a process failed")
    return np.load(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        directory, mesh, out = options.child
        compute(Path(directory), json.loads(mesh), Path(out))
        return
    found = {}
    with tempfile.TemporaryDirectory() as name:
        directory = reference.write_directory(Path(name) / "model", reference.hf_config())
        logits = {layout: run(directory, layout, Path(name) / f"{n}.npy") for n, layout in enumerate(LAYOUTS)}
    one = logits.pop("1 device")
    for layout, other in logits.items():
        apart = float(np.abs(one - other).max())
        found[layout] = {"difference": apart, "relative": apart / float(np.abs(one).max())}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
