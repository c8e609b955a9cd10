"""LLaVA-1.5 of transformers (`LlavaForConditionalGeneration`): a tower, a projector and an LLM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fewvid.checkpoints.families import decoders, encoders, preprocessing
from fewvid.checkpoints.families.refusals import refuse_other
from fewvid.checkpoints.mapping import Layout, Row, dense
from fewvid.data.tokenizer import VISUALS
from fewvid.errors import UserError
from fewvid.models.config import (
    AdapterConfig,
    DecoderConfig,
    EncoderConfig,
    LvlmConfig,
    SamplerConfig,
)

TYPE = "llava"
CLASS = "LlavaForConditionalGeneration"
TOKENS = ()  # any of VISUALS will do
NOTES = ()
ROWS: tuple[Row, ...] = (
    *encoders.ROWS,
    *dense("projector.linear_1", "adapter/project"),
    *dense("projector.linear_2", "adapter/to_decoder"),
    *decoders.ROWS,
)
FRESH = ("adapter/time/kernel",)  # is no part of theirs, and starts at nothing
# Files have been written with two orders of the prefixes; both are read, the older is written.
RENAMES = (
    (r"(model\.)?vision_tower\.(vision_model\.)?", "encoder."),
    (r"(model\.)?multi_modal_projector\.", "projector."),
    (r"(language_model\.)?lm_head\.", "decoder.lm_head."),
    (r"(model\.language_model|language_model\.model)\.", "decoder."),
)
PREFIXES = (
    ("decoder.lm_head.", "language_model.lm_head."),
    ("decoder.", "language_model.model."),
    ("encoder.", "vision_tower.vision_model."),
    ("projector.", "multi_modal_projector."),
)


def layout(c: LvlmConfig, layers: int) -> Layout:
    """Of a folder that holds all of it; layers: how many its vision tower has."""
    behind = encoders.ignored(c.encoder, layers)
    return Layout(RENAMES, (*behind, *decoders.ignored(c.decoder)))


def name_of(name: str) -> str:
    """A row's name as the folder has it."""
    for ours, theirs in PREFIXES:
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    raise ValueError(name)


def read_preparation(folder: Path, tower: Any) -> dict[str, Any]:
    """How it brings a picture to its encoder."""
    return preprocessing.read(folder, tower.model_type, tower.image_size)


def read_config(hf: Any, pictures: dict[str, Any]) -> LvlmConfig:
    """Raises UserError for a setting that fewvid's model has not."""
    encoder, decoder = read_parts(hf, pictures)
    adapter = AdapterConfig(queries="projector", width=decoder.width)
    return LvlmConfig(encoder, SamplerConfig("maxmin", response="encoder"), adapter, decoder)


def read_parts(hf: Any, pictures: dict[str, Any]) -> tuple[EncoderConfig, DecoderConfig]:
    """The tower up to the layer that is read, and the LLM. Raises UserError as `read_config`."""
    refuse_other(hf, "projector_hidden_act", ("gelu",))
    refuse_other(hf, "multimodal_projector_bias", (True,))
    layer = hf.vision_feature_layer
    if not isinstance(layer, int):
        raise UserError(f"vision_feature_layer is {layer}, and fewvid's encoder gives one layer's")
    encoder = encoders.read_config(hf.vision_config, pictures, layer, post_norm=False)
    # "default" leaves the first token out, which is the CLS token where there is one
    refuse_other(
        hf, "vision_feature_select_strategy", ("default" if encoder.cls_token else "full",)
    )
    hf.text_config.tie_word_embeddings |= hf.tie_word_embeddings
    return encoder, decoders.read_config(hf.text_config)


def write_config(c: LvlmConfig) -> dict[str, Any]:
    """Their config.json. Raises UserError where no LLaVA computes what this config says."""
    values = write_parts(c)
    if c.adapter.pool or c.adapter.newline:
        raise UserError(
            "LLaVA pools nothing and has no newline: got "
            f"adapter.pool={c.adapter.pool}, adapter.newline={c.adapter.newline}"
        )
    own = {"architectures": [CLASS], "model_type": TYPE, "image_seq_length": c.encoder.tokens}
    return values | own


def write_parts(c: LvlmConfig) -> dict[str, Any]:
    """What the config.json of all LLaVAs says. Raises UserError as `write_config`."""
    if c.adapter.queries != "projector" or c.encoder.post_norm:
        raise UserError(
            "LLaVA has a projector for an adapter and no norm behind its tower: got "
            f"adapter.queries={c.adapter.queries!r}, encoder.post_norm={c.encoder.post_norm}"
        )
    if c.adapter.width != c.decoder.width:
        raise UserError(f"LLaVA's projector is {c.decoder.width} wide, this one {c.adapter.width}")
    return {
        "vision_config": encoders.write_config(c.encoder),
        "text_config": decoders.write_config(c.decoder),
        "projector_hidden_act": "gelu",
        "multimodal_projector_bias": True,
        "vision_feature_layer": -1,  # layers behind the one that is read are not kept
        "vision_feature_select_strategy": strategy(c),
        "tie_word_embeddings": c.decoder.tie_embeddings,
    }


def tokens(tokenizer: Any) -> dict[str, Any]:
    """What their config.json says of the tokenizer: the id of its placeholder."""
    return {"image_token_index": tokenizer.convert_tokens_to_ids(_placeholder(tokenizer))}


def write_processors(folder: Path, c: LvlmConfig, tokenizer: Any) -> None:
    """Their preprocessor_config.json, and processor_config.json, which names the placeholder."""
    preprocessing.write(folder, c.encoder, encoders.family_of(c.encoder))
    values = {
        "processor_class": "LlavaProcessor",
        "patch_size": c.encoder.patch_size,
        "image_token": _placeholder(tokenizer),
        "num_additional_image_tokens": int(c.encoder.cls_token),
        "vision_feature_select_strategy": strategy(c),
    }
    text = json.dumps(values, indent=2) + "\n"
    (folder / preprocessing.BOTH).write_text(text, encoding="utf-8")


def strategy(c: LvlmConfig) -> str:
    """Their word for reading all tokens of the tower, or all but the CLS token."""
    return "default" if c.encoder.cls_token else "full"


def _placeholder(tokenizer: Any) -> str:
    vocab = tokenizer.get_vocab()
    return next(name for name in VISUALS if name in vocab)
