"""Pictures as the image processors of CLIP and SigLIP bring them to an encoder."""

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from fewvid.checkpoints.families import preprocessing
from fewvid.data.images import load_image, resize, shown
from fewvid.errors import UserError
from fewvid.models.config import EncoderConfig, Side
from fewvid.models.encoder import normalised

CLOSE = 1 / 255
SIZES = {"CLIP": 224, "Siglip": 384}


@pytest.mark.parity
@pytest.mark.parametrize("family", SIZES)
def test_pictures_are_those_of_the_family(family, hf, shared_data, tmp_path):
    size = SIZES[family]
    processor = getattr(hf, f"{family}ImageProcessorPil")()
    if family == "Siglip":
        processor.size = {"height": size, "width": size}
    processor.save_pretrained(tmp_path)
    kind = f"{family.lower()}_vision_model"
    config = EncoderConfig(image_size=size, **preprocessing.read(tmp_path, kind, size))
    files = sorted(path for path in (shared_data / "images").iterdir() if path.is_file())
    assert len(files) >= 5
    for file in files:
        upright = ImageOps.exif_transpose(Image.open(file))  # as their own loader does
        wanted = processor(upright, return_tensors="np")["pixel_values"][0]
        ours = np.asarray(normalised(resize(load_image(file)[None], config.side), config))[0]
        apart = np.abs(ours.transpose(2, 0, 1) - wanted) * np.array(config.std)[:, None, None]
        assert apart.mean() < CLOSE, file.name


@pytest.mark.parametrize(("height", "width"), [(40, 90), (90, 40), (33, 33), (5, 9)])
def test_crop_keeps_the_middle_and_bicubic_all(height, width):
    left = np.zeros((1, height, width, 3), np.uint8)
    left[:, :, : width // 2] = 255
    for fit in ("crop", "bicubic"):
        (square,) = resize(left, Side(32, fit))
        assert square.shape == (32, 32, 3)
        assert abs(square.mean() / 255 - (width // 2) / width) < 0.07
    edge = np.zeros((1, 40, 120, 3), np.uint8)
    edge[:, :, :30] = 255  # beyond the middle square
    assert resize(edge, Side(20, "crop")).max() == 0
    assert resize(edge, Side(20, "bicubic")).max() == 255
    assert shown(edge, Side(20, "crop")).shape == (1, 40, 40, 3)
    assert shown(edge, Side(20, "crop")).max() == 0
    assert shown(edge, Side(20, "bicubic")) is edge


def test_what_is_written_is_read_again(tmp_path):
    for family, fit in (
        ("clip_vision_model", "crop"),
        ("clip_vision_model", "bicubic"),
        ("siglip_vision_model", "bicubic"),
    ):
        config = EncoderConfig(image_size=48, mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.2), fit=fit)
        preprocessing.write(tmp_path, config, family)
        found = preprocessing.read(tmp_path, family, 48)
        assert found == {"mean": config.mean, "std": config.std, "fit": fit}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"do_pad": True}, "pads pictures"),
        ({"resample": 2}, "resizes by filter 2"),
        ({"size": {"shortest_edge": 224}}, "size 224, its encoder wants 48"),
    ],
)
def test_what_fewvid_does_not_do_is_refused(values, said, tmp_path):
    text = json.dumps({"image_processor_type": "CLIPImageProcessor"} | values)
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(UserError, match=said):
        preprocessing.read(tmp_path, "clip_vision_model", 48)
