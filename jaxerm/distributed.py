"""Joins the processes of one run before JAX looks for devices: found by their launcher, or told."""

from __future__ import annotations

import os
from collections.abc import Mapping

_TOLD = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def launcher(env: Mapping[str, str]) -> str | None:
    """What started several processes, by the environment; None if this one is alone as far as that says.

    Inside a SLURM allocation but outside `srun` a process is alone. Compute Engine's TPU VMs say nothing in their
    environment: there ``--distributed`` asks the metadata server.
    """
    hosts = env.get("TPU_WORKER_HOSTNAMES", "")
    if _TOLD[0] in env:
        return "environment"
    if _more_than_one(env.get("SLURM_STEP_NUM_TASKS")) and "SLURM_PROCID" in env:
        return "SLURM"
    if _more_than_one(env.get("OMPI_COMM_WORLD_SIZE")):
        return "Open MPI"
    return "TPU pod" if "," in hosts and " " not in hosts else None


def _more_than_one(count: str | None) -> bool:
    return count is not None and count.isdigit() and int(count) > 1


def join(wanted: bool | None = None) -> bool:
    """Connects this process to the others, once, before anything asks JAX for devices.

    Args:
      wanted: True insists, False stays alone, None joins if the environment is that of a launcher. Processes started
        by hand are told by JAX_COORDINATOR_ADDRESS (host:port of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID.

    Returns:
      Whether it joined.

    Raises:
      ValueError: it should join and nothing says whom, or a variable is no number.
    """
    if wanted is False or (wanted is None and launcher(os.environ) is None):
        return False
    import jax

    told = {}
    for key, name in (("num_processes", _TOLD[1]), ("process_id", _TOLD[2])):
        if (text := os.environ.get(name)) is not None:
            if not text.isdigit():
                raise ValueError(f"{name} is {text!r}; it must be a whole number")
            told[key] = int(text)
    try:
        jax.distributed.initialize(**told)
    except ValueError as error:
        way_out = f"set {', '.join(_TOLD)}, or start with srun, mpirun or on a TPU pod"
        raise ValueError(f"--distributed: {str(error).rstrip('.')}; {way_out}") from None
    return True


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    import jax

    return jax.process_index() == 0
