"""What chips can do, from their public data sheets: the rows that a plan is counted with."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """flops: peak bfloat16 a second, dense. hbm: bytes; hbm_rate: bytes a second.

    link_rate: bytes a second that leave the chip for others of its slice or host, one way, all
    ports together. largest: how many such links join (a pod, a host).
    """

    flops: float
    hbm: int
    hbm_rate: float
    link_rate: float
    largest: int


CHIPS = {
    # cloud.google.com/tpu/docs/v4: 275 TFLOP/s, 32 GiB, 1200 GB/s, links of 2400 Gb/s, pod of 4096.
    "v4": Chip(275e12, 32 * GIB, 1200e9, 300e9, 4096),
    # cloud.google.com/tpu/docs/v5e: 197 TFLOP/s, 16 GB, 819 GB/s, 400 GB/s both ways, pod of 256.
    "v5e": Chip(197e12, 16 * GIB, 819e9, 200e9, 256),
    # cloud.google.com/tpu/docs/v5p: 459 TFLOP/s, 95 GB, 2765 GB/s, links of 4800 Gb/s, pod of 8960.
    "v5p": Chip(459e12, 95 * GIB, 2765e9, 600e9, 8960),
    # cloud.google.com/tpu/docs/v6e: 918 TFLOP/s, 32 GB, 1638 GB/s, 800 GB/s both ways, pod of 256.
    "v6e": Chip(918e12, 32 * GIB, 1638e9, 400e9, 256),
    # NVIDIA's data sheet of A100 SXM: 312 TFLOP/s, 80 GB, 2039 GB/s, NVLink of 600 GB/s both ways.
    "a100": Chip(312e12, 80 * 10**9, 2039e9, 300e9, 8),
    # NVIDIA's data sheet of H100 SXM: 989 TFLOP/s (half of what it says with sparsity), 80 GB,
    # 3350 GB/s, NVLink of 900 GB/s both ways.
    "h100": Chip(989e12, 80 * 10**9, 3350e9, 450e9, 8),
    # NVIDIA's data sheet of H200 SXM: as H100, with 141 GB at 4800 GB/s.
    "h200": Chip(989e12, 141 * 10**9, 4800e9, 450e9, 8),
}
