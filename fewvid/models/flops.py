"""Floating-point operations of a model's parts, counted from its sizes: 2 for a multiply-add.

Products of matrices only: norms, softmaxes and gathers are a few per cent beside them. The parts
are those that are timed apart: encoder, sampler (with the response it looks at), adapter, decoder.
"""

from __future__ import annotations

from fewvid.models.config import LvlmConfig, kept_tokens, visual_tokens_per_frame
from fewvid.models.displacement import WIDTH as PHASES

COMPARED = 2  # frames that `change` compares each frame with: the first, and the one before
# Products over a frame's N x N pairs of tokens, beside the response, in units of 2 N^2 D.
PAIRS = {
    "entropy": 1,
    "attention_merge": 1,
    "attention_diverse": 1,
    "maxmin": 1,
    "dpp_text": 1,
    "density_merge": 1,
}
READS_RESPONSE = ("attention", "attention_merge", "attention_diverse")
MERGES = ("pool", "attention_merge", "density_merge")


def encoder(config: LvlmConfig) -> int:
    """Of one frame."""
    c = config.encoder
    length = c.tokens + c.cls_token
    layer = 2 * length * (4 * c.width**2 + 2 * c.width * c.mlp_width) + 4 * length**2 * c.width
    return 2 * c.tokens * 3 * c.patch_size**2 * c.width + c.depth * layer


def sampler(config: LvlmConfig, keep: int, name: str) -> int:
    """Of one frame, at site `before`; 0 where everything is kept."""
    n, width = config.encoder.tokens, config.adapter.width
    if kept_tokens(config, keep) == n:
        return 0
    queries = config.adapter.count if config.adapter.queries == "learned" else n
    response = 2 * queries * n * width
    if config.sampler.response == "encoder" or config.adapter.queries in ("mlp", "projector"):
        response = 0  # the encoder's work
    return (
        (response if name in READS_RESPONSE else 0)
        + PAIRS.get(name, 0) * 2 * n**2 * width
        + (2 * keep * n * width if name in MERGES else 0)
    )


def adapter(config: LvlmConfig, keep: int) -> int:
    """Of one frame, at site `before`, for K = keep."""
    a, n, width = config.adapter, config.encoder.tokens, config.adapter.width
    out = visual_tokens_per_frame(config, keep)
    if a.queries == "projector":
        return 2 * out * width * (config.encoder.width + config.decoder.width)
    read = kept_tokens(config, keep) if a.queries == "learned" else n
    asked = a.count if a.queries == "learned" else n
    total = 2 * n * config.encoder.width * width
    once = 4 * out * read * width  # one read of a frame: scores, and the mean of the values
    if a.queries != "mlp":
        total += 2 * (asked + 2 * n) * width**2 + once + 2 * out * width**2
    total += 2 * out * 8 * width**2 + 2 * out * width * config.decoder.width
    if a.change:
        match = 2 * out * n * (config.encoder.width + PHASES)
        total += COMPARED * (2 * match + (0 if a.queries == "mlp" else once))
        total += 2 * out * COMPARED * (width + PHASES) * config.decoder.width
    return total


def decoder(config: LvlmConfig, length: int) -> int:
    """Of reading `length` tokens and predicting one (prefill); attention is counted causal."""
    c = config.decoder
    heads = c.heads * c.head_dim
    weights = c.width * (2 * heads + 2 * c.kv_heads * c.head_dim + 3 * c.mlp_width)
    layer = 2 * length * weights + 2 * length**2 * heads
    return c.depth * layer + 2 * c.width * c.vocab_size


def clip(config: LvlmConfig, keep: int, name: str, frames: int, text: int) -> dict[str, int]:
    """Of a question of `text` ids about a clip of `frames` frames, by part."""
    length = frames * visual_tokens_per_frame(config, keep) + text
    return {
        "encoder": frames * encoder(config),
        "sampler": frames * sampler(config, keep, name),
        "adapter": frames * adapter(config, keep),
        "decoder": decoder(config, length),
    }
