"""What a chip can do, by its maker: the peak that MFU is a share of, and what is planned for."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """Published figures of one chip.

    Attributes:
      hbm_bytes: memory a program can have, as the compiler grants it.
      flops: bfloat16 operations a second.
      hbm_bandwidth, ici_bandwidth: bytes a second, to memory and to all neighbours together.
    """

    hbm_bytes: int
    flops: float
    hbm_bandwidth: float
    ici_bandwidth: float


CHIPS = {
    "v5e": Chip(int(15.75 * GIB), 197e12, 819e9, 200e9),
    "v5p": Chip(int(95.74 * GIB), 459e12, 2765e9, 600e9),
    "v6e": Chip(int(31.25 * GIB), 918e12, 1640e9, 448e9),
}
"""Google Cloud's documentation of its TPU versions; memory as their compiler states it."""

_PEAKS = {
    "TPU v4": 275e12,
    "TPU v5 lite": CHIPS["v5e"].flops,
    "TPU v5e": CHIPS["v5e"].flops,
    "TPU v5": CHIPS["v5p"].flops,
    "TPU v5p": CHIPS["v5p"].flops,
    "TPU v6 lite": CHIPS["v6e"].flops,
    "TPU v6e": CHIPS["v6e"].flops,
    "A100": 312e12,
    "L4": 121e12,
    "L40S": 362e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "B200": 2250e12,
}
"""Words of `jax.Device.device_kind` -> dense bfloat16 operations a second, from the makers' data sheets."""


def peak_flops(device_kind: str) -> float | None:
    """Dense bfloat16 operations a second of a device, by what JAX calls it; None if it is not known, as of a CPU."""
    words = f" {device_kind} ".replace("-", " ")
    known = [name for name in _PEAKS if f" {name} " in words]
    return _PEAKS[max(known, key=len)] if known else None
