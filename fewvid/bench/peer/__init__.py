"""The same work by transformers and torch: `WORKS[name](size)(case) -> Ready`.

Of the same sizes, with random weights made on the device; attention by torch's own fused kernels
(sdpa); bfloat16 or float32 as ours. Nothing here is imported where torch is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fewvid.bench import about as describe
from fewvid.bench.cases import Case
from fewvid.bench.peer import ceilings, clip, decode, encode, prefill, train
from fewvid.bench.peer.device import Device
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready

WORKS: dict[str, Callable[[Size], Callable[[Case], Ready]]] = {
    "ceilings": ceilings.load,
    "encode": encode.load,
    "prefill": prefill.load,
    "decode": decode.load,
    "clip": clip.load,
    "train": train.load,
}
LIBRARIES = ("torch", "transformers")


def about() -> dict[str, Any]:
    """{"platform": cpu or gpu, "device", "versions"}, as `bench.about.ours`."""
    device = Device("float32")
    return {
        "platform": device.platform,
        "device": device.name,
        "versions": describe.versions(*LIBRARIES),
    }
