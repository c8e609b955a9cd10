"""CLIP's and SigLIP's vision towers of transformers: one table of weights, and configs both ways.

What is taken of a tower are the tokens of one layer. Layers behind it are left out, and the last
norm where it does not stand behind that layer.
"""

from __future__ import annotations

from typing import Any

from fewvid.checkpoints.families.refusals import refuse_other
from fewvid.checkpoints.mapping import PATCHES, Layout, Row, dense, norm
from fewvid.errors import UserError
from fewvid.models.config import EncoderConfig

CLASSES = {"clip_vision_model": "CLIPVisionModel", "siglip_vision_model": "SiglipVisionModel"}
ACTIVATIONS = {"gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "quick_gelu": "quick_gelu"}
# The layer whose tokens an encoder gives where nobody says: as the models built on it take them.
LAYERS = {"clip_vision_model": -2, "siglip_vision_model": -1}

_LAYER = "encoder.encoder.layers.{i}"
_OURS = "encoder/layers"
ROWS: tuple[Row, ...] = (
    Row("encoder.embeddings.class_embedding", "encoder/cls"),
    Row("encoder.embeddings.patch_embedding.weight", "encoder/patch/kernel", PATCHES),
    Row("encoder.embeddings.patch_embedding.bias", "encoder/patch/bias"),
    Row("encoder.embeddings.position_embedding.weight", "encoder/position"),
    *norm("encoder.pre_layrnorm", "encoder/norm_pre"),  # their spelling
    *norm("encoder.post_layernorm", "encoder/norm"),
    *norm(f"{_LAYER}.layer_norm1", f"{_OURS}/norm1"),
    *norm(f"{_LAYER}.layer_norm2", f"{_OURS}/norm2"),
    *dense(f"{_LAYER}.self_attn.q_proj", f"{_OURS}/attention_q"),
    *dense(f"{_LAYER}.self_attn.k_proj", f"{_OURS}/attention_k"),
    *dense(f"{_LAYER}.self_attn.v_proj", f"{_OURS}/attention_v"),
    *dense(f"{_LAYER}.self_attn.out_proj", f"{_OURS}/attention_out"),
    *dense(f"{_LAYER}.mlp.fc1", f"{_OURS}/mlp_in"),
    *dense(f"{_LAYER}.mlp.fc2", f"{_OURS}/mlp_out"),
)


def layout(c: EncoderConfig, layers: int) -> Layout:
    """Of a folder that holds a tower of so many layers, or one that holds a tower of text too."""
    text = (r"encoder\.(text_model|logit_scale|logit_bias|visual_projection|text_projection)\b.*",)
    return Layout(((r"(vision_model\.)?", "encoder."),), (*ignored(c, layers), *text))


def ignored(c: EncoderConfig, layers: int) -> tuple[str, ...]:
    """Names of what is computed, is a head over the tokens, or comes behind the tokens taken."""
    behind = tuple(rf"encoder\.encoder\.layers\.{i}\..*" for i in range(c.depth, layers))
    unread = () if c.post_norm else (r"encoder\.post_layernorm\..*",)
    return (r".*\.position_ids", r"encoder\.head\..*", *unread, *behind)


def alone(name: str) -> str:
    """A row's name as a folder that holds a vision tower alone has it."""
    return f"vision_model.{name.removeprefix('encoder.')}"


def tower_of(hf: Any) -> Any:
    """The config of the vision tower in one that may hold a tower of text too."""
    return getattr(hf, "vision_config", hf)


def read_config(
    hf: Any, pictures: dict[str, Any], layer: int | None = None, post_norm: bool | None = None
) -> EncoderConfig:
    """The sizes of a vision tower up to `layer` (-1: the last), or as models built on it take it.

    pictures: the settings that `preprocessing.read` gives.
    Raises UserError for a setting that the encoder has not.
    """
    family = hf.model_type
    layer = LAYERS[family] if layer is None else layer
    depth = hf.num_hidden_layers
    used = depth + 1 + layer if layer < 0 else layer
    if not 1 <= used <= depth:
        raise UserError(f"layer {layer} of the vision tower: it has {depth}, as 1 to {depth}")
    refuse_other(hf, "num_channels", (3,))
    clip = family == "clip_vision_model"
    return EncoderConfig(
        image_size=_square(hf, "image_size"),
        patch_size=_square(hf, "patch_size"),
        width=hf.hidden_size,
        depth=used,
        heads=hf.num_attention_heads,
        mlp_width=hf.intermediate_size,
        cls_token=clip,
        pre_norm=clip,
        post_norm=not clip if post_norm is None else post_norm,
        patch_bias=not clip,
        activation=ACTIVATIONS[refuse_other(hf, "hidden_act", tuple(ACTIVATIONS))],  # pyright: ignore
        norm_eps=hf.layer_norm_eps,
        **pictures,
    )


def write_config(c: EncoderConfig) -> dict[str, Any]:
    """The config.json of the family that has these settings. Raises UserError where none has."""
    family = family_of(c)
    theirs = {ours: name for name, ours in ACTIVATIONS.items()}
    values: dict[str, Any] = {
        "architectures": [CLASSES[family]],
        "model_type": family,
        "image_size": c.image_size,
        "patch_size": c.patch_size,
        "hidden_size": c.width,
        "num_hidden_layers": c.depth,
        "num_attention_heads": c.heads,
        "intermediate_size": c.mlp_width,
        "hidden_act": theirs[c.activation],
        "layer_norm_eps": c.norm_eps,
    }
    return values | ({} if family == "clip_vision_model" else {"vision_use_head": False})


def family_of(c: EncoderConfig) -> str:
    """The family that computes what this config says. Raises UserError where none does."""
    settings = (c.cls_token, c.pre_norm, c.patch_bias)
    if settings == (True, True, False) and not c.post_norm:
        return "clip_vision_model"
    if settings == (False, False, True):
        return "siglip_vision_model"
    raise UserError(
        "no vision tower of transformers that fewvid knows has this encoder's settings: "
        f"cls_token={c.cls_token}, pre_norm={c.pre_norm}, patch_bias={c.patch_bias}, "
        f"post_norm={c.post_norm}"
    )


def _square(hf: Any, key: str) -> int:
    value = getattr(hf, key)
    sides = set(value) if isinstance(value, (list, tuple)) else {value}
    if len(sides) != 1:
        raise UserError(f"{key} of this {hf.model_type} is {value}, and fewvid's are squares")
    return sides.pop()
