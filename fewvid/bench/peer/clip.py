"""A whole question about a clip to the LLaVA-1.5 of transformers: all N tokens of every frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fewvid.bench.cases import Case
from fewvid.bench.peer.device import Device
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready, summary
from fewvid.checkpoints.families import llava

IMAGE = 4


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases of any K: it has no sampler, so that all are the same to it."""
    import transformers

    device = Device(size.dtype)
    model = device.model(llava.write_config(size.model) | {"image_token_index": IMAGE}).eval()
    encoder = size.model.encoder
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": encoder.image_size},
        crop_size={"height": encoder.image_size, "width": encoder.image_size},
    )
    shape = (size.frames, *size.picture, 3)
    frames = list(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    ids = device.ids(1, size.length(encoder.tokens), size.model.decoder.vocab_size)
    ids[:, : size.frames * encoder.tokens] = IMAGE
    preprocessing: list[float] = []

    def call() -> None:
        started = time.perf_counter()
        pixels = processor(images=frames, return_tensors="pt")["pixel_values"]
        preprocessing.append(time.perf_counter() - started)
        with device.torch.inference_mode():
            pixels = pixels.to(device.device, device.dtype)
            found = model(input_ids=ids, pixel_values=pixels, use_cache=True, logits_to_keep=1)
            found.logits[:, -1].argmax(-1)
            device.wait()

    def more() -> dict[str, Any]:
        taken = summary(preprocessing).seconds
        return {"milliseconds": {"preprocess": round(1e3 * taken, 3)}}

    return lambda case: Ready(call, more=more)
