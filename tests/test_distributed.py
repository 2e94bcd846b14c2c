"""Joining the processes of a run: whom the environment names, and one run of two processes."""

import json
import os
import socket
import subprocess
import sys

import pytest

from jaxerm.distributed import launcher


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({}, None),
        ({"JAX_COORDINATOR_ADDRESS": "a:1"}, "environment"),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "8"}, None),  # the shell of an allocation
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "0"}, "SLURM"),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "Open MPI"),
        ({"TPU_WORKER_HOSTNAMES": "10.0.0.1,10.0.0.2"}, "TPU pod"),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
    ],
)
def test_a_launcher_is_known_by_its_environment(env, found):
    assert launcher(env) == found


def command(*arguments, **env):
    own = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_COORD", "SLURM_", "OMPI_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "jaxerm.cli", *map(str, arguments)],
        env={**own, "JAX_PLATFORMS": "cpu", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("env", "words"),
    [({}, "set JAX_COORDINATOR_ADDRESS"), ({"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_PROCESS_ID": "x"}, "'x'; it must")],
)
def test_joining_nobody_is_one_clear_line(env, words, tmp_path):
    process = command("sft", "tiny_svg_sft", f"out={tmp_path / 'run'}", "--distributed", **env)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and words in err and len(err.strip().splitlines()) == 1, err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def recipe_file(tmp_path, micro_directory):
    path = tmp_path / "micro.yaml"
    path.write_text(
        f"""
kind: sft
model: {micro_directory}
out: unused
steps: 2
checkpoint_every: 2
prompts: brief
render: {{svg_size: 64}}
batch_size: 2
max_length: 128
max_patches: 128
max_new_tokens: 40
dtype: {{param: float32, compute: float32}}
data: {{workers: 1, mixture: [{{source: drawings, role: describe, options: {{max_shapes: 2}}}}]}}
"""
    )
    return path


def test_two_processes_train_one_model_and_one_of_them_speaks(recipe_file, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    told = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    both = [command("sft", recipe_file, f"out={tmp_path / 'run'}", **told, JAX_PROCESS_ID=str(i)) for i in range(2)]
    try:
        said = [process.communicate(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], said
    # Gloo tells of its connections by itself.
    second = [line for line in said[1][0].splitlines() if not line.startswith("[Gloo]")]
    assert "model in" in said[0][0] and second == [] and "sft run: 2/2" not in said[1][1]
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
