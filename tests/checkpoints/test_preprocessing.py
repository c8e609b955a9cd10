"""Pictures as the image processors of CLIP and SigLIP bring them to an encoder."""

import json
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageOps

from fewvid.checkpoints.families import llava_onevision, preprocessing
from fewvid.data.decode import decode_video
from fewvid.data.images import load_image, resize, shown
from fewvid.errors import UserError
from fewvid.models.config import AdapterConfig, EncoderConfig, LvlmConfig, SamplerConfig, Side
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
    palette = tmp_path / "palette.png"  # of which the sample files have none
    Image.open(files[0]).convert("P").save(palette)
    modes = {Image.open(file).mode for file in [*files, palette]}
    assert modes >= {"RGB", "L", "RGBA", "P"}
    for file in [*files, palette]:
        upright = ImageOps.exif_transpose(Image.open(file))  # as their own loader does
        wanted = processor(upright, return_tensors="np")["pixel_values"][0]
        ours = np.asarray(normalised(resize(load_image(file)[None], config.side), config))[0]
        apart = np.abs(ours.transpose(2, 0, 1) - wanted) * np.array(config.std)[:, None, None]
        assert apart.mean() < CLOSE, file.name


@pytest.mark.parity
def test_views_are_those_of_onevision(hf, shared_data, tmp_path):
    """The first view of a picture, which is what becomes of a video's frame too."""
    size = 384
    config = EncoderConfig(image_size=size, patch_size=14, fit="bicubic")
    model = LvlmConfig(
        config,
        SamplerConfig(site="after"),
        AdapterConfig(queries="projector", pool=True, newline=True),
    )
    llava_onevision.write_processors(tmp_path, model, None)
    processor = hf.AutoImageProcessor.from_pretrained(tmp_path)
    assert type(processor).__name__.startswith("LlavaOnevisionImageProcessor")
    published = hf.LlavaOnevisionImageProcessorPil()
    assert processor.image_grid_pinpoints == published.image_grid_pinpoints
    found = preprocessing.read(tmp_path, "siglip_vision_model", size, video=True)
    assert found == {"mean": config.mean, "std": config.std, "fit": "bicubic"}
    for file in sorted(path for path in (shared_data / "images").iterdir() if path.is_file()):
        upright = ImageOps.exif_transpose(Image.open(file))
        wanted = processor(upright, return_tensors="np")["pixel_values"][0][0]
        ours = np.asarray(normalised(resize(load_image(file)[None], config.side), config))[0]
        apart = np.abs(ours.transpose(2, 0, 1) - wanted) * 0.5
        assert apart.mean() < CLOSE, file.name


@pytest.mark.parity
def test_frames_are_those_of_torch(hf, shared_data):
    """The family's processor of videos resizes in torch: bicubic, smoothed where it shrinks."""
    import torch

    for file in sorted((shared_data / "videos").glob("*.mp4"))[:4]:
        frames = decode_video(file, 2).frames
        given = torch.tensor(frames).permute(0, 3, 1, 2)
        resized = torch.nn.functional.interpolate(
            given, size=(384, 384), mode="bicubic", antialias=True
        )
        apart = resized.permute(0, 2, 3, 1).numpy() - resize(frames, Side(384, "bicubic")) * 1.0
        assert np.abs(apart).mean() / 255 < CLOSE / 10, file.name


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
        ({"size": {"shortest_edge": 48}, "do_center_crop": False}, "leaves no squares"),
    ],
)
def test_what_fewvid_does_not_do_is_refused(values, said, tmp_path):
    text = json.dumps({"image_processor_type": "CLIPImageProcessor"} | values)
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(UserError, match=said):
        preprocessing.read(tmp_path, "clip_vision_model", 48)


def test_what_is_said_of_videos_comes_before_what_is_said_of_pictures(tmp_path):
    pictures = {"image_processor_type": "LlavaOnevisionImageProcessor", "do_pad": True}
    pictures |= {"image_mean": [0.1] * 3, "size": {"height": 48, "width": 48}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(pictures))
    read = partial(preprocessing.read, tmp_path, "siglip_vision_model", 48, video=True)
    assert read()["mean"] == (0.1,) * 3
    of_clip = preprocessing.read(tmp_path, "clip_vision_model", 48, video=True)
    assert of_clip["fit"] == "bicubic"  # a tower's family cuts, a video's processor does not
    videos = {"video_processor_type": "LlavaOnevisionVideoProcessor", "image_mean": [0.3] * 3}
    both = tmp_path / "processor_config.json"
    both.write_text(json.dumps({"video_processor": videos}))
    assert read()["mean"] == (0.3,) * 3
    both.unlink()
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(videos))
    assert read()["mean"] == (0.3,) * 3
