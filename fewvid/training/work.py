"""What a step of a stage does: operations and memory traffic by part, counted from shapes.

`useful` is what the model asks for: a product forwards, its two gradients where they are needed,
attention causal; of LoRA the two thin products beside each. `done` is what the program does: it
works out again what `remat` says and the chunks of scores, multiplies the whole square of
attention, and goes back through all layers of an encoder from the first that trains on. Memory:
weights, and what goes in and out of the products.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from fewvid.models import flops, low_rank, traffic
from fewvid.models.attention import holds_scores
from fewvid.models.config import LvlmConfig
from fewvid.models.cross_entropy import chunk_of
from fewvid.training.plan import StagePlan
from fewvid.training.stage import RunConfig
from fewvid.training.trainable import frozen_layers

# Bytes of a weight's update: it, its gradient and its moments in, and all but the gradient out.
# Muon's products are not counted.
UPDATE = {"adamw": 7 * 4, "muon": 5 * 4, "adafactor": 3 * 4}
SUM = 3 * 4  # bytes of adding a weight's gradient to those of the parts of a batch before


@dataclass(frozen=True)
class Work:
    """Of a step over all its rows: operations, and bytes in and out of memory."""

    useful: float
    done: float
    memory: float


def of_step(
    plan: StagePlan, run: RunConfig, model: LvlmConfig, platform: str = "cpu"
) -> dict[str, Work]:
    """{encoder, sampler, adapter, decoder} of a step of the stage's largest K.

    platform: of the chips, which says whether attention takes its scores through memory.
    """
    rows = plan.shape.batch_size
    parts = {
        "encoder": _encoder(plan, run, model, platform),
        "sampler": _sampler(plan, model),
        "adapter": _adapter(plan, run, model),
        "decoder": _decoder(plan, run, model, platform),
    }
    return {
        name: Work(rows * work.useful, rows * work.done, rows * work.memory)
        for name, work in parts.items()
    }


def trains(plan: StagePlan, part: str) -> bool:
    """Whether a stage trains any of a part."""
    return any(path.startswith(f"{part}/") for path in plan.trainable)


def trains_whole(plan: StagePlan, part: str) -> bool:
    """Whether a stage needs gradients of any matrix of a part, and not of LoRA alone."""
    return any(p.startswith(f"{part}/") and not low_rank.owner(p)[1] for p in plan.trainable)


def _of_lora(plan: StagePlan, part: str, tokens: int) -> float:
    """x A B of so many tokens, forwards and its two gradients."""
    return 3 * 2.0 * plan.low_rank.get(part, 0) * tokens


def _encoder(plan: StagePlan, run: RunConfig, model: LvlmConfig, platform: str) -> Work:
    c, frames = model.encoder, plan.shape.frames
    if plan.stage.cache_features:
        return Work(0, 0, 0)
    once = frames * flops.encoder(model)
    length = c.tokens + c.cls_token
    passes = useful = 1.0
    if trains(plan, "encoder"):
        blocks = max(
            rows[1] - rows[0] if rows else c.depth
            for path, rows in plan.trainable.items()
            if path.startswith("encoder/")
        )
        ways = 1 + trains_whole(plan, "encoder")  # the gradients of inputs, and of weights
        back = (c.depth - frozen_layers(plan.trainable, "encoder")) / c.depth
        passes = 1 + (ways + (run.remat == "full")) * back
        useful = 1 + ways * blocks / c.depth
    scores = holds_scores(platform, run.compute_dtype, length)
    moved = traffic.encoder(model, frames, _bytes(run), scores=scores)
    low = _of_lora(plan, "encoder", frames * length)
    return Work(useful * once + low, passes * once + low, passes * moved)


def _sampler(plan: StagePlan, model: LvlmConfig) -> Work:
    name = plan.stage.sampler or model.sampler.name
    once = plan.shape.frames * flops.sampler(model, plan.keeps[-1], name)
    return Work(once, once, 0)


def _adapter(plan: StagePlan, run: RunConfig, model: LvlmConfig) -> Work:
    frames, c = plan.shape.frames, model.adapter
    once = flops.adapter(model, plan.keeps[-1], frames)
    whole = trains_whole(plan, "adapter") or trains(plan, "encoder")
    passes = 3 if whole else 1 + trains(plan, "adapter")
    low = _of_lora(plan, "adapter", frames * model.encoder.tokens)
    tokens = frames * (4 * model.encoder.tokens + 16 * plan.shape.visual_tokens_per_frame)
    moved = passes * _bytes(run) * tokens * c.width
    return Work(passes * once + low, passes * once + low, moved)


def _decoder(plan: StagePlan, run: RunConfig, model: LvlmConfig, platform: str) -> Work:
    c, length, answers = model.decoder, plan.shape.length, plan.shape.answers
    one = 2 * c.width * c.vocab_size
    layers, head = flops.decoder(model, length) - one, answers * one
    causal = 2 * c.depth * length**2 * c.heads * c.head_dim
    passes = 2 + trains_whole(plan, "decoder")  # forwards, the gradients of inputs, of weights
    low = _of_lora(plan, "decoder", length)
    again = {"none": 0, "products": 2 * causal, "full": layers + causal}[run.remat]
    chunked = chunk_of(answers, c.vocab_size) < answers
    done = passes * (layers + causal) + again + (passes + chunked) * head
    passes_over = passes + (run.remat == "full")
    scores = holds_scores(platform, run.compute_dtype, length)
    moved = traffic.decoder(model, length, _bytes(run), scores=scores)
    moved = passes_over * moved + 8 * passes * answers * c.vocab_size
    return Work(passes * (layers + head) + low, done + low, moved)


def weights_moved(plan: StagePlan, run: RunConfig, whole: int, trained: int) -> float:
    """Bytes of one chip that weights take through its memory in a step.

    whole: how many weights it multiplies with, gathered; trained: how many it keeps and updates.
    """
    passes, parts = 2 + (run.remat == "full"), plan.stage.accumulate
    added = parts * SUM if parts > 1 else 0
    update = UPDATE[plan.stage.optimizer.name] + added
    return 2 * passes * parts * _bytes(run) * whole + update * trained


def _bytes(run: RunConfig) -> int:
    return jnp.dtype(run.compute_dtype).itemsize
