"""How a family brings a picture, or a video's frame, to its encoder: the files that say it.

`preprocessor_config.json` and `video_preprocessor_config.json`, or both in `processor_config.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewvid.errors import UserError
from fewvid.models.config import EncoderConfig

BICUBIC = 3  # Pillow's number for it
PICTURES, VIDEOS = "preprocessor_config.json", "video_preprocessor_config.json"
BOTH = "processor_config.json"
# What CLIP was trained with; SigLIP's are those of EncoderConfig.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
DEFAULTS: dict[str, dict[str, Any]] = {
    "clip_vision_model": {"mean": CLIP_MEAN, "std": CLIP_STD, "fit": "crop"},
    "siglip_vision_model": {"mean": (0.5,) * 3, "std": (0.5,) * 3, "fit": "bicubic"},
}


def read(folder: Path, family: str, size: int, video: bool = False) -> dict[str, Any]:
    """mean, std and fit of `EncoderConfig`; the family's own where the folder has no such file.

    size: of the encoder's frames. video: what is said of videos comes before what is said of
    pictures, whose padding (of tiles) is then none of ours; nothing is cut off unless that is said.
    Raises UserError for a preparation that fewvid has not.
    """
    found = dict(DEFAULTS[family]) | ({"fit": "bicubic"} if video else {})
    values = (_values(folder, VIDEOS, "video_processor") if video else {}) or _values(
        folder, PICTURES, "image_processor"
    )
    for key, ours in (("image_mean", "mean"), ("image_std", "std")):
        if values.get(key) is not None:
            found[ours] = tuple(float(number) for number in values[key])
    if values.get("do_center_crop") is not None:
        found["fit"] = "crop" if values["do_center_crop"] else "bicubic"
    if values.get("do_pad") and not video:
        raise UserError(f"{folder} pads pictures to squares (do_pad), which fewvid does not")
    if values.get("resample", BICUBIC) not in (None, BICUBIC):
        raise UserError(
            f"{folder} resizes by filter {values['resample']}, and fewvid by 3, bicubic"
        )
    shortest = isinstance(values.get("size"), Mapping) and values["size"].get("shortest_edge")
    if shortest and found["fit"] == "bicubic":
        raise UserError(
            f"{folder} brings the shortest edge of pictures to {shortest} and cuts nothing off, "
            "which leaves no squares; fewvid's are squares"
        )
    for key in ("size", "crop_size"):
        sides = _sides(values.get(key))
        if sides and sides != {size} and (key == "size" or found["fit"] == "crop"):
            raise UserError(
                f"{folder} prepares pictures of {key} {_said(sides)}, its encoder wants {size}"
            )
    return found


def write(folder: Path, c: EncoderConfig, family: str) -> None:
    """Writes preprocessor_config.json of the family's image processor."""
    clip = family == "clip_vision_model"
    kind = "CLIPImageProcessor" if clip else "SiglipImageProcessor"
    values = {"image_processor_type": kind} | settings(c)
    if clip:
        values |= {"do_center_crop": c.fit == "crop", "crop_size": _square(c)}
    text = json.dumps(values, indent=2) + "\n"
    (folder / PICTURES).write_text(text, encoding="utf-8")


def settings(c: EncoderConfig) -> dict[str, Any]:
    """What every family's image processor is told."""
    return {
        "do_resize": True,
        "size": {"shortest_edge": c.image_size} if c.fit == "crop" else _square(c),
        "resample": BICUBIC,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(c.mean),
        "image_std": list(c.std),
        "do_convert_rgb": True,
    }


def _square(c: EncoderConfig) -> dict[str, int]:
    return {"height": c.image_size, "width": c.image_size}


def _values(folder: Path, name: str, part: str) -> Mapping[str, Any]:
    """What a file of its own says, or a part of the one for both; {} where neither does."""
    for file in (folder / name, folder / BOTH):
        if file.is_file():
            values = json.loads(file.read_text(encoding="utf-8"))
            values = values.get(part, values)
            if "image_mean" in values or f"{part}_type" in values:
                return values
    return {}


def _sides(size: Any) -> set[int]:
    """The sides that a size names: it may be a number, a pair, or words for them."""
    if size is None:
        return set()
    values = (
        size.values() if isinstance(size, Mapping) else size if isinstance(size, list) else [size]
    )
    return {int(value) for value in values if value is not None}


def _said(sides: set[int]) -> str:
    return " x ".join(map(str, sorted(sides)))
