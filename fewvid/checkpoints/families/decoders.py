"""Llama, Mistral, Qwen2 and Qwen3 of transformers: one table of weights, and configs both ways.

`hf` is a config object of transformers, which knows the defaults that a config.json leaves out.
"""

from __future__ import annotations

from typing import Any

from fewvid.checkpoints.families.refusals import refuse_other
from fewvid.checkpoints.mapping import TURN, Layout, Row, dense, norm
from fewvid.errors import UserError
from fewvid.models.config import DecoderConfig

CLASSES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}

_LAYER = "decoder.layers.{i}"
_OURS = "decoder/layers"
ROWS: tuple[Row, ...] = (
    Row("decoder.embed_tokens.weight", "decoder/embedding"),
    Row("decoder.lm_head.weight", "decoder/head", TURN),
    *norm("decoder.norm", "decoder/norm"),
    *norm(f"{_LAYER}.input_layernorm", f"{_OURS}/norm1"),
    *norm(f"{_LAYER}.post_attention_layernorm", f"{_OURS}/norm2"),
    *dense(f"{_LAYER}.self_attn.q_proj", f"{_OURS}/attention_q"),
    *dense(f"{_LAYER}.self_attn.k_proj", f"{_OURS}/attention_k"),
    *dense(f"{_LAYER}.self_attn.v_proj", f"{_OURS}/attention_v"),
    *dense(f"{_LAYER}.self_attn.o_proj", f"{_OURS}/attention_out"),
    *norm(f"{_LAYER}.self_attn.q_norm", f"{_OURS}/norm_q"),
    *norm(f"{_LAYER}.self_attn.k_norm", f"{_OURS}/norm_k"),
    *dense(f"{_LAYER}.mlp.gate_proj", f"{_OURS}/mlp_gate"),
    *dense(f"{_LAYER}.mlp.up_proj", f"{_OURS}/mlp_in"),
    *dense(f"{_LAYER}.mlp.down_proj", f"{_OURS}/mlp_out"),
)


def layout(c: DecoderConfig) -> Layout:
    """Of a folder that holds a language model alone."""
    return Layout(((r"lm_head\.", "decoder.lm_head."), (r"(model\.)?", "decoder.")), ignored(c))


def ignored(c: DecoderConfig) -> tuple[str, ...]:
    """Names that some files have and no model needs: what is computed, and a head that is tied."""
    return (r".*\.inv_freq", *([r"decoder\.lm_head\.weight"] if c.tie_embeddings else []))


def alone(name: str) -> str:
    """A row's name as a folder that holds a language model alone has it."""
    name = name.removeprefix("decoder.")
    return name if name.startswith("lm_head.") else f"model.{name}"


def read_config(hf: Any) -> DecoderConfig:
    """Raises UserError for a setting that the decoder has not."""
    refuse_other(hf, "hidden_act", ("silu", "swish"))
    family = hf.model_type
    attention_bias = bool(getattr(hf, "attention_bias", False))
    rope = _read_rope(hf)
    return DecoderConfig(
        vocab_size=hf.vocab_size,
        width=hf.hidden_size,
        depth=hf.num_hidden_layers,
        heads=hf.num_attention_heads,
        kv_heads=hf.num_key_value_heads,
        head_dim=getattr(hf, "head_dim", None) or hf.hidden_size // hf.num_attention_heads,
        mlp_width=hf.intermediate_size,
        norm_eps=hf.rms_norm_eps,
        tie_embeddings=bool(hf.tie_word_embeddings),
        qk_norm=family == "qwen3",
        qkv_bias=family == "qwen2" or attention_bias,
        out_bias=family != "qwen2" and attention_bias,
        mlp_bias=bool(getattr(hf, "mlp_bias", False)),
        window=_read_window(hf),
        **{"max_length": hf.max_position_embeddings} | rope,
    )


def _read_window(hf: Any) -> int | None:
    kinds = set(getattr(hf, "layer_types", None) or ())
    if kinds - {"sliding_attention"} and "sliding_attention" in kinds:
        raise UserError(
            f"layer_types of this {hf.model_type} are {sorted(kinds)}: fewvid's decoder has one "
            "kind in all layers"
        )
    if kinds == {"full_attention"}:
        return None
    return getattr(hf, "sliding_window", None)


def _read_rope(hf: Any) -> dict[str, Any]:
    """The rope_* settings (and max_length where they change it) of one of our scalings."""
    rope = dict(hf.rope_parameters)
    kind, length = rope.get("rope_type", "default"), hf.max_position_embeddings
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise UserError("partial_rotary_factor is not 1: fewvid's decoder turns whole heads")
    found: dict[str, Any] = {"rope_theta": float(rope["rope_theta"])}
    if kind == "default":
        return found
    trained = rope.get("original_max_position_embeddings") or length
    factor = rope.get("factor") or length / trained
    found |= {"rope_scaling": kind, "rope_factor": float(factor)}
    if kind == "linear":
        return found
    if kind == "dynamic":
        return found | {"rope_length": length, "max_length": int(length * factor)}
    found |= {"rope_length": trained}
    if kind == "llama3":
        slow, fast = rope["low_freq_factor"], rope["high_freq_factor"]
        return found | {"rope_slow": float(slow), "rope_fast": float(fast)}
    if kind == "yarn" and rope.get("truncate", True):
        slow, fast = rope.get("beta_slow") or 1, rope.get("beta_fast") or 32
        scale = rope.get("attention_factor") or _yarn_attention(factor, rope)
        slow_fast = {"rope_slow": float(slow), "rope_fast": float(fast)}
        return found | slow_fast | {"rope_attention": float(scale)}
    raise UserError(
        f"rope scaling {rope} is none of default, linear, dynamic, llama3 and yarn (truncated)"
    )


def _yarn_attention(factor: float, rope: dict[str, Any]) -> float:
    """YaRN, eq. 22: 0.1 ln(factor) + 1, and a ratio of two such where two weights are given."""
    import math

    def scale(weight: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1

    both = rope.get("mscale"), rope.get("mscale_all_dim")
    return scale(both[0]) / scale(both[1]) if both[0] and both[1] else scale(1)


def write_config(c: DecoderConfig) -> dict[str, Any]:
    """The config.json of the family that has these settings. Raises UserError where none has."""
    family = family_of(c)
    values: dict[str, Any] = {
        "architectures": [CLASSES[family]],
        "model_type": family,
        "vocab_size": c.vocab_size,
        "hidden_size": c.width,
        "num_hidden_layers": c.depth,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim,
        "intermediate_size": c.mlp_width,
        "hidden_act": "silu",
        "rms_norm_eps": c.norm_eps,
        "tie_word_embeddings": c.tie_embeddings,
        "max_position_embeddings": c.max_length,
        "rope_parameters": _write_rope(c),
    }
    if c.rope_scaling == "dynamic":
        values["max_position_embeddings"] = c.rope_length or c.max_length
    if family in ("llama", "qwen3"):
        values["attention_bias"] = c.qkv_bias
    if family == "llama":
        values["mlp_bias"] = c.mlp_bias
    if family == "mistral":
        values["sliding_window"] = c.window
    if family in ("qwen2", "qwen3"):
        values |= {"use_sliding_window": c.window is not None, "sliding_window": c.window}
        values["max_window_layers"] = 0 if c.window is not None else c.depth
    return values


def family_of(c: DecoderConfig) -> str:
    """The first family that computes what this config says. Raises UserError where none does."""
    plain = not (c.qkv_bias or c.out_bias or c.mlp_bias)
    if c.qk_norm and c.qkv_bias == c.out_bias and not c.mlp_bias:
        return "qwen3"
    if c.qkv_bias and not (c.qk_norm or c.out_bias or c.mlp_bias):
        return "qwen2"
    even = c.width % c.heads == 0
    if not c.qk_norm and c.qkv_bias == c.out_bias and c.window is None and even:
        return "llama"
    if not c.qk_norm and plain:
        return "mistral"
    raise UserError(
        "no language model of transformers that fewvid knows has this decoder's settings "
        f"({', '.join(CLASSES)}): {c}"
    )


def _write_rope(c: DecoderConfig) -> dict[str, Any]:
    values: dict[str, Any] = {"rope_type": "default", "rope_theta": c.rope_theta}
    if c.rope_scaling == "none":
        return values
    values |= {"rope_type": c.rope_scaling, "factor": c.rope_factor}
    trained = c.rope_length or c.max_length
    if c.rope_scaling == "llama3":
        values |= {"low_freq_factor": c.rope_slow, "high_freq_factor": c.rope_fast}
        values["original_max_position_embeddings"] = trained
    if c.rope_scaling == "yarn":
        values |= {"beta_slow": c.rope_slow, "beta_fast": c.rope_fast}
        values["attention_factor"] = c.rope_attention
        values["original_max_position_embeddings"] = trained
    return values
