"""Where numbers were measured: device, versions, load."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from fewvid.cores import cores

LIBRARIES = ("jax", "jaxlib", "flax")


def ours() -> dict[str, Any]:
    """{"platform": cpu, gpu or tpu, "device", "versions"}. Starts the device."""
    import jax

    device = jax.devices()[0]
    name = processor() if device.platform == "cpu" else device.device_kind
    return {"platform": device.platform, "device": name, "versions": versions(*LIBRARIES)}


def versions(*libraries: str) -> dict[str, str]:
    """Their installed versions, by name."""
    return {name: metadata.version(name) for name in libraries}


def processor() -> str:
    """ "AMD EPYC, 2 cores"."""
    name, file = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if file.is_file():
        lines = [line for line in file.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    count = cores()
    return f"{name}, {count} core{'s' * (count != 1)}"


def load() -> float | None:
    """Processes that want to run, the mean of the last minute; None where it is not known."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
