"""Greedy tokens after a prompt: the model called in a loop, without what `generate` adds to it."""

from __future__ import annotations

from collections.abc import Callable

from fewvid.bench.cases import Case
from fewvid.bench.peer.device import Device
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.checkpoints.families import decoders


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases with `batch`: rows at once."""
    device = Device(size.dtype)
    model = device.model(decoders.write_config(size.model.decoder)).eval()
    prompt = size.length(size.keeps[0])

    def prepare(case: Case) -> Ready:
        ids = device.ids(case.options["batch"], prompt, size.model.decoder.vocab_size)
        with device.torch.inference_mode():
            first = model(input_ids=ids, use_cache=True, logits_to_keep=1)
        cache, start = first.past_key_values, first.logits[:, -1:].argmax(-1)

        def call() -> None:
            with device.torch.inference_mode():
                if (grown := cache.get_seq_length() - prompt) > 0:
                    cache.crop(-grown)
                token = start
                for _ in range(size.tokens):
                    found = model(input_ids=token, past_key_values=cache, use_cache=True)
                    token = found.logits[:, -1:].argmax(-1)
                device.wait()

        return Ready(call)

    return prepare
