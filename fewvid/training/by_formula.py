"""Temporaries and traffic of a step where no compiler can say: from shapes alone.

For chips that this machine cannot compile for, and to search. It takes weights to be gathered layer
by layer over `fsdp`, their gradients to be scattered there and summed over `data` and `slice`, and
activations to be summed over `tensor` four times a layer; of encoder, adapter and decoder each has
the memory to itself in its turn. Beside compiled programs see docs/pods.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp

from fewvid.models.attention import holds_scores
from fewvid.models.config import LvlmConfig
from fewvid.models.cross_entropy import chunk_of
from fewvid.parallel.collectives import Sent
from fewvid.training.plan import StagePlan
from fewvid.training.stage import RunConfig
from fewvid.training.trainable import frozen_layers
from fewvid.training.work import trains

SCORE = 6  # bytes that an attention score takes: in float32, and in what is multiplied with
IN_FLIGHT = 2  # layers whose weights are gathered at once: one is read while the next comes


def temporaries(
    plan: StagePlan,
    run: RunConfig,
    model: LvlmConfig,
    mesh: Mapping[str, int],
    trained: int,
    platform: str,
) -> int:
    """Bytes of one chip beside what is held between steps.

    trained: weights that it updates; platform: of the chip, whose attention may hold its scores.
    """
    c, size, tensor = model.decoder, jnp.dtype(run.compute_dtype).itemsize, mesh["tensor"]
    parts = plan.stage.accumulate
    rows = plan.shape.batch_size // (mesh["slice"] * mesh["data"] * mesh["fsdp"] * parts)
    frames, length = rows * plan.shape.frames, plan.shape.length
    projected = (2 * c.heads + 2 * c.kv_heads) * c.head_dim + 3 * c.mlp_width
    inside = (projected + 4 * c.width) // tensor
    kept = {"full": 0, "products": inside * 2 // 3, "none": inside}[run.remat]
    decoder = size * rows * length * (c.depth * (c.width + kept) + 2 * inside)
    if holds_scores(platform, run.compute_dtype, length):
        layers = c.depth if run.remat == "none" else 1
        decoder += layers * SCORE * rows * c.heads // tensor * length**2
    weights = IN_FLIGHT * size * c.width * projected // tensor
    chunk = chunk_of(plan.shape.answers, c.vocab_size)
    judged = 3 * 4 * rows * chunk * c.vocab_size // tensor
    adapter = size * frames * model.encoder.tokens * 8 * model.adapter.width
    encoder = _encoder(plan, run, model, frames, platform)
    gradients = 4 * trained * (1 + (parts > 1))  # of a part, and their sum
    return gradients + weights + judged + max(encoder, adapter, decoder)


def _encoder(plan: StagePlan, run: RunConfig, model: LvlmConfig, frames: int, platform: str) -> int:
    e, size = model.encoder, jnp.dtype(run.compute_dtype).itemsize
    length = e.tokens + e.cls_token
    attends, maps = 5 * e.width, 2 * e.width + 2 * e.mlp_width
    tokens = size * frames * length
    scores = holds_scores(platform, run.compute_dtype, length)
    held = SCORE * frames * e.heads * length**2 * scores
    of_layer = max(tokens * attends + held, tokens * maps)
    if not trains(plan, "encoder"):
        return of_layer
    back = e.depth - frozen_layers(plan.trainable, "encoder")
    if run.remat == "none":
        return back * (tokens * (attends + maps) + held)
    return back * tokens * e.width + 2 * of_layer


def links(
    plan: StagePlan,
    run: RunConfig,
    model: LvlmConfig,
    mesh: Mapping[str, int],
    counted: Mapping[str, tuple[int, int]],
) -> dict[str, Sent]:
    """What leaves one chip in a step, by kind. counted: weights (that train, in all) by part."""
    size = jnp.dtype(run.compute_dtype).itemsize
    fsdp, tensor, slices = mesh["fsdp"], mesh["tensor"], mesh["slice"]
    copies = slices * mesh["data"]
    size_of_all = size * plan.stage.accumulate  # each part of a batch gathers and sums anew
    found: dict[str, Sent] = {}
    moving = sum(some for some, _ in counted.values()) // tensor
    gathered = 0
    for part, (_, whole) in counted.items():
        if part == "encoder" and plan.stage.cache_features:
            continue
        again = part != "encoder" or trains(plan, "encoder")
        gathered += whole // tensor * (1 + again)
    if fsdp > 1:
        share = (fsdp - 1) / fsdp
        found["all-gather"] = Sent(1, int(size_of_all * gathered * share))
        found["reduce-scatter"] = Sent(1, int(size_of_all * moving * share))
    summed = across = 0.0
    if copies > 1:
        part = 2 * size_of_all * moving / fsdp / copies
        summed += part * (copies - 1)
        across = part * (slices - 1)  # each slice sums its own first, and a copy has a part of it
    if tensor > 1:
        rows = plan.shape.batch_size // (copies * fsdp)
        of_layer = size * rows * plan.shape.length * model.decoder.width
        summed += 4 * model.decoder.depth * 2 * of_layer * (tensor - 1) / tensor
    if summed:
        found["all-reduce"] = Sent(1, int(summed), int(across))
    return found
