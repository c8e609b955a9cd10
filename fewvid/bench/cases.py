"""The cases of each kind of work: what one call does, counted from the sizes alone.

The same cases go to both sides, so that both are timed at the same work.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fewvid import samplers
from fewvid.bench.sizes import BYTES, Size
from fewvid.models import flops
from fewvid.models.config import kept_tokens

ENCODER = "encoder of the clip"  # what the samplers' time is compared with
MOMENTS = 2  # of AdamW


@dataclass(frozen=True)
class Case:
    """One row. `amount` units of `unit` are done by one call; where the unit is ms, amount is 1.

    flops: products of matrices; bytes: the fewest that memory must give and take. The larger of
    both over its ceiling is the floor, in seconds. options: what tells the cases of a work apart.
    """

    work: str
    name: str
    unit: str
    amount: int
    flops: int
    bytes: int
    options: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)


def encode(size: Size) -> list[Case]:
    """Frames to tokens."""
    return [_encode(size, frames, "encode", f"{frames} frames") for frames in size.encode]


def prefill(size: Size) -> list[Case]:
    """A prompt, up to its first logits, for each K."""
    return [
        Case(
            "prefill",
            f"{size.frames} x {keep} + {size.text} = {size.length(keep)} tokens",
            "ms",
            1,
            flops.decoder(size.model, size.length(keep)),
            BYTES[size.dtype] * flops.decoder_weights(size.model),
            {"keep": keep},
        )
        for keep in size.keeps
    ]


def decode(size: Size) -> list[Case]:
    """Tokens after a prompt, one by one."""
    prompt = size.length(size.keeps[0])
    middle = prompt + size.tokens // 2
    slot = BYTES[size.dtype] * flops.cache_slot(size.model)
    weights = BYTES[size.dtype] * flops.decoder_weights(size.model)
    return [
        Case(
            "decode",
            f"batch {batch}, {size.tokens} tokens after {prompt}",
            "tokens/s",
            batch * size.tokens,
            batch * size.tokens * flops.decode_step(size.model, middle),
            size.tokens * (weights + batch * middle * slot),
            {"batch": batch},
        )
        for batch in size.batches
    ]


def train(size: Size) -> list[Case]:
    """A step of fine-tuning adapter and decoder, all their weights, by AdamW."""
    weights = BYTES[size.dtype] * flops.decoder_weights(size.model)
    return [
        Case(
            "train",
            f"{rows} x {size.length(keep)} tokens",
            "tokens/s",
            rows * size.length(keep),
            rows * flops.training(size.model, keep, size.frames, size.text, size.answers),
            # read twice, a gradient each, and all of it with its moments read and written
            weights * (2 + 2 + 2 * (1 + MOMENTS)),
            {"rows": rows, "keep": keep},
        )
        for rows, keep in size.train
    ]


def sampler(size: Size) -> list[Case]:
    """The choice of K tokens of each frame, by each sampler; and what the encoder takes for it."""
    model, keep = size.model, size.keeps[0]
    reads = BYTES[size.dtype] * size.frames * model.encoder.tokens * model.encoder.width
    encoder = _encode(size, size.frames, "sampler", ENCODER)
    return [dataclasses.replace(encoder, unit="ms", amount=1)] + [
        Case(
            "sampler",
            f"{name}, {size.frames} x {keep} of {model.encoder.tokens}",
            "ms",
            1,
            size.frames * flops.sampler(model, keep, name),
            reads,
            {"sampler": name},
        )
        for name in samplers.SAMPLERS
    ]


def clip(size: Size) -> list[Case]:
    """A whole question about a clip: pictures in, first token out.

    The peer has no sampler: beside our K tokens of a frame it reads all N.
    """
    name, n = size.model.sampler.name, kept_tokens(size.model)
    weights = flops.decoder_weights(size.model) + flops.encoder_weights(size.model)
    return [
        Case(
            "clip",
            f"{size.frames} frames, K = {keep}" + (f", peer {n}" if keep != n else ""),
            "ms",
            1,
            sum(flops.clip(size.model, keep, name, size.frames, size.text).values()),
            BYTES[size.dtype] * weights,
            {"keep": keep},
        )
        for keep in (size.keeps[0], n)
    ]


# Most important first: where time is short, the last ones are left out.
WORKS: dict[str, Callable[[Size], list[Case]]] = {
    "encode": encode,
    "prefill": prefill,
    "decode": decode,
    "clip": clip,
    "train": train,
    "sampler": sampler,
}


def _encode(size: Size, frames: int, work: str, name: str) -> Case:
    weights = BYTES[size.dtype] * flops.encoder_weights(size.model)
    pixels = 3 * frames * size.model.encoder.image_size**2
    count = frames * flops.encoder(size.model)
    return Case(work, name, "frames/s", frames, count, weights + pixels, {"frames": frames})
