"""LLaVA-OneVision of transformers (`LlavaOnevisionForConditionalGeneration`).

A tower, LLaVA's projector, and an LLM. The frames of a video are pooled to half their grid and one
learned newline closes the clip. A still picture is read whole and in tiles (anyres, see
`models.tiles`), with a newline behind each row. Theirs does so where a prompt holds one picture and
reads each of several in one view alone; a prompt of several is none that fewvid has.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from fewvid.checkpoints.families import llava, preprocessing
from fewvid.checkpoints.mapping import Layout, Row
from fewvid.data.tokenizer import IMAGE, VIDEO
from fewvid.errors import UserError
from fewvid.models.config import AdapterConfig, Grid, LvlmConfig, SamplerConfig

TYPE = "llava_onevision"
CLASS = "LlavaOnevisionForConditionalGeneration"
TOKENS = (IMAGE, VIDEO)
ROWS: tuple[Row, ...] = (*llava.ROWS, Row("newline", "adapter/newline"))
FRESH = llava.FRESH
NOTES = ()
MOST_TILES = 6  # along a side, of the published models
ASPECT = "anyres_max_"  # and how many frames' tokens a picture's tiles may come to


def layout(c: LvlmConfig, layers: int) -> Layout:
    """Of a folder that holds all of it; layers: how many its vision tower has."""
    theirs = llava.layout(c, layers)
    return Layout(((r"(model\.)?image_newline$", "newline"), *theirs.renames), theirs.ignored)


def name_of(name: str) -> str:
    """A row's name as the folder has it."""
    return "image_newline" if name == "newline" else llava.name_of(name)


def read_preparation(folder: Path, tower: Any) -> dict[str, Any]:
    """How it brings the frames of a video to its encoder; a picture's first view is the same."""
    return preprocessing.read(folder, tower.model_type, tower.image_size, video=True)


def read_config(hf: Any, pictures: dict[str, Any]) -> LvlmConfig:
    """Raises UserError for a setting that fewvid's model has not."""
    encoder, decoder = llava.read_parts(hf, pictures)
    adapter = AdapterConfig(
        queries="projector",
        width=decoder.width,
        pool=True,
        newline=True,
        tiles=_grids(hf, encoder.image_size),
        tile_limit=_limit(hf),
    )
    sampler = SamplerConfig("maxmin", site="after", response="encoder")
    return LvlmConfig(encoder, sampler, adapter, decoder)


def write_config(c: LvlmConfig) -> dict[str, Any]:
    """Their config.json. Raises UserError where no OneVision computes what this config says."""
    if not (c.adapter.pool and c.adapter.newline):
        raise UserError(
            "LLaVA-OneVision pools the frames of a video and closes it by a newline: got "
            f"adapter.pool={c.adapter.pool}, adapter.newline={c.adapter.newline}"
        )
    own = {
        "architectures": [CLASS],
        "model_type": TYPE,
        "image_grid_pinpoints": _pinpoints(c),
        "vision_aspect_ratio": f"{ASPECT}{c.adapter.tile_limit}",
    }
    return llava.write_parts(c) | own


def tokens(tokenizer: Any) -> dict[str, Any]:
    """What their config.json says of the tokenizer: the ids of its placeholders."""
    image, video = tokenizer.convert_tokens_to_ids([IMAGE, VIDEO])
    return {"image_token_index": image, "video_token_index": video}


def write_processors(folder: Path, c: LvlmConfig, tokenizer: Any) -> None:
    """Their preprocessor_config.json, video_preprocessor_config.json and processor_config.json."""
    shared = preprocessing.settings(c.encoder) | {"processor_class": "LlavaOnevisionProcessor"}
    pictures = {"image_processor_type": "LlavaOnevisionImageProcessor", "do_pad": True}
    pictures |= {"image_grid_pinpoints": _pinpoints(c)}
    videos = {"video_processor_type": "LlavaOnevisionVideoProcessor"}
    placeholders = {
        "processor_class": "LlavaOnevisionProcessor",
        "num_image_tokens": c.encoder.tokens,
        "vision_feature_select_strategy": llava.strategy(c),
        "image_token": IMAGE,
        "video_token": VIDEO,
        "vision_aspect_ratio": f"{ASPECT}{c.adapter.tile_limit}",
    }
    for name, values in (
        (preprocessing.PICTURES, shared | pictures),
        (preprocessing.VIDEOS, shared | videos),
        (preprocessing.BOTH, placeholders),
    ):
        (folder / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _grids(hf: Any, side: int) -> tuple[Grid, ...]:
    """The grids of tiles that a picture may be cut into: their resolutions in whole tiles."""
    found = [(int(height), int(width)) for height, width in hf.image_grid_pinpoints]
    wrong = [size for size in found if any(pixels < side or pixels % side for pixels in size)]
    if wrong or not found:
        raise UserError(
            f"image_grid_pinpoints of this {hf.model_type} are {wrong or found}, and fewvid cuts "
            f"pictures into whole tiles of {side} x {side} pixels"
        )
    return tuple((height // side, width // side) for height, width in found)


def _limit(hf: Any) -> int:
    said = re.fullmatch(rf"{ASPECT}([1-9]\d*)", str(hf.vision_aspect_ratio))
    if not said:
        raise UserError(
            f"vision_aspect_ratio of this {hf.model_type} is {hf.vision_aspect_ratio!r}, and "
            f"fewvid has {ASPECT}N, as {ASPECT}9"
        )
    return int(said[1])


def _pinpoints(c: LvlmConfig) -> list[list[int]]:
    """The resolutions that theirs may bring a single picture to: whole tiles either way."""
    counts = range(1, MOST_TILES + 1)
    grids = c.adapter.tiles or tuple((high, wide) for high in counts for wide in counts)
    return [[count * c.encoder.image_size for count in grid] for grid in grids]
