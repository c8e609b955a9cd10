"""A step of fine-tuning all weights of a language model of transformers by AdamW.

Layers are worked out again on the way back, as ours are. It has no adapter, and scores all of a
row, where ours scores the answer alone.
"""

from __future__ import annotations

from collections.abc import Callable

from fewvid.bench.cases import Case
from fewvid.bench.peer.device import Device
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.checkpoints.families import decoders


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases with `rows` and `keep`."""
    device = Device(size.dtype)
    model = device.model(decoders.write_config(size.model.decoder)).train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    adamw = device.torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def prepare(case: Case) -> Ready:
        length = size.length(case.options["keep"])
        ids = device.ids(case.options["rows"], length, size.model.decoder.vocab_size)

        def step() -> None:
            model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
            device.torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adamw.step()
            adamw.zero_grad(set_to_none=True)
            device.wait()

        return Ready(step)

    return prepare
