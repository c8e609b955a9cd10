"""A prompt up to its first logits, by a language model of transformers, with a cache."""

from __future__ import annotations

from collections.abc import Callable

from fewvid.bench.cases import Case
from fewvid.bench.peer.device import Device
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.checkpoints.families import decoders


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases with `keep`."""
    device = Device(size.dtype)
    model = device.model(decoders.write_config(size.model.decoder)).eval()

    def prepare(case: Case) -> Ready:
        length = size.length(case.options["keep"])
        ids = device.ids(1, length, size.model.decoder.vocab_size)

        def call() -> None:
            with device.torch.inference_mode():
                model(input_ids=ids, use_cache=True, logits_to_keep=1)
                device.wait()

        return Ready(call)

    return prepare
