"""What chips can do, from their public data sheets: the rows that a plan is counted with."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """flops: peak bfloat16 a second, dense. hbm: bytes; hbm_rate: bytes a second.

    link_rate: bytes a second that leave the chip for others of its slice or host, one way, all
    ports together. largest: how many such links join (a pod, a host). dcn_rate: bytes a second that
    leave it for other slices or hosts, one way: its share of the host's network.
    """

    flops: float
    hbm: int
    hbm_rate: float
    link_rate: float
    largest: int
    dcn_rate: float


CHIPS = {
    # cloud.google.com/tpu/docs/v4: 275 TFLOP/s, 32 GiB, 1200 GB/s, links of 2400 Gb/s, pod of 4096.
    # No figure of its network is published: that of v5p.
    "v4": Chip(275e12, 32 * GIB, 1200e9, 300e9, 4096, 6.25e9),
    # cloud.google.com/tpu/docs/v5e: 197 TFLOP/s, 16 GB, 819 GB/s, 400 GB/s both ways, pod of 256,
    # whose network carries 6.4 Tb/s.
    "v5e": Chip(197e12, 16 * GIB, 819e9, 200e9, 256, 3.125e9),
    # cloud.google.com/tpu/docs/v5p: 459 TFLOP/s, 95 GB, 2765 GB/s, links of 4800 Gb/s, pod of 8960;
    # 50 Gb/s of network a chip.
    "v5p": Chip(459e12, 95 * GIB, 2765e9, 600e9, 8960, 6.25e9),
    # cloud.google.com/tpu/docs/v6e: 918 TFLOP/s, 32 GB, 1638 GB/s, 800 GB/s both ways, pod of 256,
    # whose network carries 25.6 Tb/s.
    "v6e": Chip(918e12, 32 * GIB, 1638e9, 400e9, 256, 12.5e9),
    # NVIDIA's data sheet of A100 SXM: 312 TFLOP/s, 80 GB, 2039 GB/s, NVLink of 600 GB/s both ways.
    # Network: a DGX A100 has a card of 200 Gb/s a GPU.
    "a100": Chip(312e12, 80 * 10**9, 2039e9, 300e9, 8, 25e9),
    # NVIDIA's data sheet of H100 SXM: 989 TFLOP/s (half of what it says with sparsity), 80 GB,
    # 3350 GB/s, NVLink of 900 GB/s both ways. Network: a DGX H100 has a card of 400 Gb/s a GPU.
    "h100": Chip(989e12, 80 * 10**9, 3350e9, 450e9, 8, 50e9),
    # NVIDIA's data sheet of H200 SXM: as H100, with 141 GB at 4800 GB/s.
    "h200": Chip(989e12, 141 * 10**9, 4800e9, 450e9, 8, 50e9),
}
