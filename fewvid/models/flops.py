"""Floating-point operations of a model's parts, counted from its sizes: 2 for a multiply-add.

Products of matrices only: norms, softmaxes and gathers are a few per cent beside them. The parts
are those that are timed apart: encoder, sampler (with the response it looks at), adapter, decoder.
Beside them the weights that each has to read, which is what a floor of memory counts.
"""

from __future__ import annotations

from fewvid.models.config import (
    LvlmConfig,
    candidates,
    kept_tokens,
    visual_tokens,
    visual_tokens_per_frame,
)
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
WITHOUT_ATTENTION = ("mlp", "projector")
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
    if config.adapter.pool:
        n, width = candidates(config), config.decoder.width
    if kept_tokens(config, keep) == n:
        return 0
    response, alone = 0, config.adapter.queries in WITHOUT_ATTENTION  # the encoder's costs nothing
    if config.sampler.response == "adapter" and name in READS_RESPONSE and not alone:
        learned = config.adapter.queries == "learned"
        response = 2 * n * width**2 + 2 * (config.adapter.count if learned else n) * n * width
    return (
        response
        + PAIRS.get(name, 0) * 2 * n**2 * width
        + (2 * keep * n * width if name in MERGES else 0)
    )


def adapter(config: LvlmConfig, keep: int, frames: int) -> int:
    """Of a clip, at site `before`, for K = keep."""
    a, n, width = config.adapter, config.encoder.tokens, config.adapter.width
    learned, out = a.queries == "learned", visual_tokens_per_frame(config, keep)
    if a.queries == "projector":
        said = n if config.adapter.pool else out
        return 2 * frames * said * width * (config.encoder.width + config.decoder.width)
    read = kept_tokens(config, keep) if learned else n  # tokens that a query reads
    once = 0 if a.queries == "mlp" else 4 * out * read * width  # scores, and means of values
    total = 2 * n * config.encoder.width * width
    if a.queries != "mlp":
        total += 4 * (out + read) * width**2 + once  # queries and outputs, keys and values
    total += 2 * out * 8 * width**2 + 2 * out * width * config.decoder.width
    if not a.change:
        return frames * total
    shown = kept_tokens(config, keep)
    match = 2 * shown * n * (config.encoder.width + PHASES)
    later = COMPARED * once + (COMPARED + 1) * match  # each frame but the first; itself too
    later += 2 * out * read * width if learned else 0
    said = 2 * out * COMPARED * (width + PHASES) * config.decoder.width
    return frames * (total + said) + (frames - 1) * later


def decoder(config: LvlmConfig, length: int) -> int:
    """Of reading `length` tokens and predicting one (prefill); attention is counted causal."""
    c = config.decoder
    layer = 2 * length * _layer_weights(config) + 2 * length**2 * c.heads * c.head_dim
    return c.depth * layer + 2 * c.width * c.vocab_size


def decode_step(config: LvlmConfig, length: int) -> int:
    """Of one token that looks at `length` positions, itself included, and predicts the next."""
    c = config.decoder
    layer = 2 * _layer_weights(config) + 4 * length * c.heads * c.head_dim
    return c.depth * layer + 2 * c.width * c.vocab_size


def training(config: LvlmConfig, keep: int, frames: int, text: int, answers: int) -> int:
    """Of a row of a step that trains adapter and decoder, with the frames encoded before.

    `answers` of the tokens are predicted. Backwards costs twice what forwards does; what is worked
    out again to save memory is not counted.
    """
    c = config.decoder
    length = frames * visual_tokens_per_frame(config, keep) + text
    scores = 2 * (answers - 1) * c.width * c.vocab_size  # `decoder` has one of them
    return 3 * (adapter(config, keep, frames) + decoder(config, length) + scores)


def encoder_weights(config: LvlmConfig) -> int:
    """How many weights the matrices of the encoder have."""
    c = config.encoder
    layer = 4 * c.width**2 + 2 * c.width * c.mlp_width
    return c.depth * layer + 3 * c.patch_size**2 * c.width


def decoder_weights(config: LvlmConfig) -> int:
    """How many weights a token is multiplied with: the layers and the head, no embedding."""
    c = config.decoder
    return c.depth * _layer_weights(config) + c.width * c.vocab_size


def cache_slot(config: LvlmConfig) -> int:
    """How many numbers the cache keeps of a position."""
    c = config.decoder
    return 2 * c.depth * c.kv_heads * c.head_dim


def _layer_weights(config: LvlmConfig) -> int:
    c = config.decoder
    return c.width * (2 * c.heads * c.head_dim + 2 * c.kv_heads * c.head_dim + 3 * c.mlp_width)


def clip(config: LvlmConfig, keep: int, name: str, frames: int, text: int) -> dict[str, int]:
    """Of a question of `text` ids about a clip of `frames` frames, by part."""
    length = visual_tokens(config, frames, keep) + text
    return {
        "encoder": frames * encoder(config),
        "sampler": frames * sampler(config, keep, name),
        "adapter": adapter(config, keep, frames),
        "decoder": decoder(config, length),
    }
