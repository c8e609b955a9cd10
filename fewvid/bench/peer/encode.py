"""Frames to tokens, by a vision tower of transformers; its pixels are normalised before."""

from __future__ import annotations

from collections.abc import Callable

from fewvid.bench.cases import Case
from fewvid.bench.peer.device import Device
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.checkpoints.families import encoders


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases with `frames`."""
    device = Device(size.dtype)
    model = device.model(encoders.write_config(size.model.encoder)).eval()
    side = size.model.encoder.image_size

    def prepare(case: Case) -> Ready:
        pixels = device.uniform(case.options["frames"], 3, side, side)

        def call() -> None:
            with device.torch.inference_mode():
                model(pixel_values=pixels)
                device.wait()

        return Ready(call)

    return prepare
