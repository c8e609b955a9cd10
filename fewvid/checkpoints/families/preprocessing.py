"""How a family brings a picture to its encoder: `preprocessor_config.json`, read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewvid.errors import UserError
from fewvid.models.config import EncoderConfig

BICUBIC = 3  # Pillow's number for it
FILES = ("preprocessor_config.json", "processor_config.json")
# What CLIP was trained with; SigLIP's are those of EncoderConfig.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
DEFAULTS: dict[str, dict[str, Any]] = {
    "clip_vision_model": {"mean": CLIP_MEAN, "std": CLIP_STD, "fit": "crop"},
    "siglip_vision_model": {"mean": (0.5,) * 3, "std": (0.5,) * 3, "fit": "bicubic"},
}


def read(folder: Path, family: str, size: int) -> dict[str, Any]:
    """mean, std and fit of `EncoderConfig`; the family's own where the folder has no such file.

    size: of the encoder's frames. Raises UserError for a preparation that fewvid has not.
    """
    found = dict(DEFAULTS[family])
    values = _values(folder)
    for key, ours in (("image_mean", "mean"), ("image_std", "std")):
        if values.get(key) is not None:
            found[ours] = tuple(float(number) for number in values[key])
    if values.get("do_center_crop") is not None:
        found["fit"] = "crop" if values["do_center_crop"] else "bicubic"
    if values.get("do_pad"):
        raise UserError(f"{folder} pads pictures to squares (do_pad), which fewvid does not")
    if values.get("resample", BICUBIC) not in (None, BICUBIC):
        raise UserError(
            f"{folder} resizes by filter {values['resample']}, and fewvid by 3, bicubic"
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
    square = {"height": c.image_size, "width": c.image_size}
    values: dict[str, Any] = {
        "image_processor_type": "CLIPImageProcessor" if clip else "SiglipImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": c.image_size} if c.fit == "crop" else square,
        "resample": BICUBIC,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(c.mean),
        "image_std": list(c.std),
        "do_convert_rgb": True,
    }
    if clip:
        values |= {"do_center_crop": c.fit == "crop", "crop_size": square}
    text = json.dumps(values, indent=2) + "\n"
    (folder / FILES[0]).write_text(text, encoding="utf-8")


def _values(folder: Path) -> Mapping[str, Any]:
    for name in FILES:
        file = folder / name
        if file.is_file():
            values = json.loads(file.read_text(encoding="utf-8"))
            values = values.get("image_processor", values)
            if "image_mean" in values or "image_processor_type" in values:
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
