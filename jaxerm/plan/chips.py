"""Devices to compile for without having them."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

import jax

from jaxerm.models.chips import CHIPS, Chip


def open_topology(topology: str) -> tuple[list[Any], Chip | None, str]:
    """Devices of a topology, its chip (None for simulated devices) and the platform to compile for.

    Args:
      topology: ``v6e:4x4``, ``v5p:2x2x4``, ...; or ``cpu:8`` for that many simulated devices.

    Raises:
      ValueError: an unknown topology, or libtpu is not installed.
    """
    kind, _, shape = topology.partition(":")
    if kind == "cpu" and shape.isdigit():
        devices = jax.devices("cpu")
        if len(devices) < int(shape):
            raise ValueError(f"{topology}: there are {len(devices)} simulated devices; ask before JAX has started")
        return devices[: int(shape)], None, "cpu"
    if kind not in CHIPS or not shape:
        raise ValueError(f"topology {topology!r}: name a chip and its arrangement, such as v6e:4x4; chips: {[*CHIPS]}")
    # Nothing is asked of the metadata service that real TPU machines have, and no chip is taken: a process beside this
    # one may hold libtpu too.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    from jax.experimental import topologies

    try:
        import libtpu
    except ImportError:
        raise ValueError("planning for a TPU needs libtpu: pip install -e '.[plan]'") from None
    os.environ.setdefault("TPU_LIBRARY_PATH", libtpu.get_library_path())
    sides = [int(side) for side in shape.split("x")]
    extra = {} if len(sides) < 2 or sides != [1, 1] else {"chips_per_host_bounds": [1, 1, 1]}
    try:
        described = topologies.get_topology_desc(topology, platform="tpu", **extra)
    except Exception as error:  # libtpu raises its own runtime errors for shapes it does not know
        raise ValueError(f"libtpu knows no topology {topology!r}: {str(error).splitlines()[0]}") from None
    return list(described.devices), CHIPS[kind], "tpu"


def compiler(platform: str) -> str:
    """What compiles for a platform, and its version: another one places buffers and cuts collectives in its own way."""
    name = "libtpu" if platform == "tpu" else "jaxlib"
    return f"{name} {version(name)}"
