"""Temporaries and traffic of a step where no compiler can say: from shapes alone.

For chips that this machine cannot compile for. It takes attention to hold no scores (cuDNN's), the
weights to be gathered layer by layer over `fsdp`, their gradients to be scattered there and summed
over `data`, and activations to be summed over `tensor` four times a layer.
"""

from __future__ import annotations

import jax.numpy as jnp

from fewvid.models.config import LvlmConfig
from fewvid.models.cross_entropy import chunk_of
from fewvid.parallel.collectives import Sent
from fewvid.training.plan import StagePlan
from fewvid.training.stage import RunConfig
from fewvid.training.work import trains

IN_FLIGHT = 2  # layers whose weights are gathered at once: one is read while the next comes


def temporaries(
    plan: StagePlan, run: RunConfig, model: LvlmConfig, mesh: dict[str, int], trained: int
) -> int:
    """Bytes of one chip beside what is held between steps. trained: weights that it updates."""
    c, e, size = model.decoder, model.encoder, jnp.dtype(run.compute_dtype).itemsize
    rows = plan.shape.batch_size // (mesh["data"] * mesh["fsdp"])
    tokens = rows * plan.shape.length
    wide = (2 * c.heads + 2 * c.kv_heads) * c.head_dim + 3 * c.mlp_width + 4 * c.width
    inputs, inside = c.width, wide // mesh["tensor"]
    kept = {"full": inputs, "products": inputs + inside * 2 // 3, "none": inputs + inside}
    activations = size * tokens * (c.depth * kept[run.remat] + inside * 2)
    layer = c.width * ((2 * c.heads + 2 * c.kv_heads) * c.head_dim + 3 * c.mlp_width)
    weights = IN_FLIGHT * size * layer // mesh["tensor"]
    gradients = 4 * trained
    chunk = chunk_of(plan.shape.answers, c.vocab_size)
    scores = 3 * 4 * rows * chunk * c.vocab_size // mesh["tensor"]
    frames = rows * plan.shape.frames
    seen = frames * (e.tokens + e.cls_token)
    encoder = size * seen * (6 * e.width + 2 * e.mlp_width)
    if trains(plan, "encoder"):
        of_layer = e.width if run.remat == "full" else 6 * e.width + 2 * e.mlp_width
        encoder += size * seen * e.depth * of_layer
    adapter = size * frames * e.tokens * 8 * model.adapter.width
    return int(activations + weights + gradients + scores + encoder + adapter)


def links(
    plan: StagePlan,
    run: RunConfig,
    model: LvlmConfig,
    mesh: dict[str, int],
    counted: dict[str, tuple[int, int]],
) -> dict[str, Sent]:
    """What leaves one chip in a step, by kind. counted: weights (that train, in all) by part."""
    size = jnp.dtype(run.compute_dtype).itemsize
    fsdp, data, tensor = mesh["fsdp"], mesh["data"], mesh["tensor"]
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
        found["all-gather"] = Sent(1, int(size * gathered * share))
        found["reduce-scatter"] = Sent(1, int(size * moving * share))
    summed = 0.0
    if data > 1:
        summed += 2 * size * moving / fsdp * (data - 1) / data
    if tensor > 1:
        rows = plan.shape.batch_size // (data * fsdp)
        of_layer = size * rows * plan.shape.length * model.decoder.width
        summed += 4 * model.decoder.depth * 2 * of_layer * (tensor - 1) / tensor
    if summed:
        found["all-reduce"] = Sent(1, int(summed))
    return found
