"""Joining the processes of a run: whom the environment names, and one run of two processes."""

import os
import socket
import subprocess
import sys

import pytest

from jaxerm.distributed import launcher
from jaxerm.recipe import load_recipe
from jaxerm.runs import read_metrics
from jaxerm.train.grpo import run_grpo
from tests.train.small import small_grpo


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


def two_processes(*arguments):
    """Runs a command in two processes that join; returns what each said on its two streams."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    told = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2", "JAX_NUM_CPU_DEVICES": "1"}
    both = [command(*arguments, **told, JAX_PROCESS_ID=str(i)) for i in range(2)]
    try:
        said = [process.communicate(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], said
    return said


def test_two_processes_train_one_model_and_one_of_them_speaks(recipe_file, tmp_path):
    said = two_processes("sft", recipe_file, f"out={tmp_path / 'run'}")
    # Gloo tells of its connections by itself.
    second = [line for line in said[1][0].splitlines() if not line.startswith("[Gloo]")]
    assert "model in" in said[0][0] and second == [] and "sft run: 2/2" not in said[1][1]
    assert [row["step"] for row in read_metrics(tmp_path / "run")] == [1, 2]
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_grpo_in_two_processes_is_grpo_in_one(micro_directory, tmp_path, pool):
    """Each renders half of the answers; rewards, losses and what is learned are those of one process."""
    file, rewards = small_grpo(tmp_path / "grpo.yaml", micro_directory), '[{name: "tests.train.small:variety"}]'
    settings = [f"rewards={rewards}", "steps=2", "mini_batch=2", "mesh={fsdp: 2}"]
    run_grpo(load_recipe(file, [*settings, f"out={tmp_path / 'one'}", "mesh={fsdp: 1}"]), pool=pool, quiet=True)
    two_processes("grpo", file, *settings, f"out={tmp_path / 'two'}")
    one, two = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two")
    assert [row["step"] for row in two] == [1, 2] and all(row["reward_std"] > 0 and row["grad_norm"] > 0 for row in one)
    for mine, theirs in zip(one, two, strict=True):
        for name in ("reward", "reward_std", "loss", "kl", "grad_norm", "answer_tokens", "render_rate"):
            assert mine[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), name
