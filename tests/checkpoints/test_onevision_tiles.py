"""Single pictures in tiles (anyres), beside transformers' own code: pixels, tokens, answers."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageOps

import fewvid
from fewvid.checkpoints import exporting, importing
from fewvid.checkpoints.tensors import TensorFiles
from fewvid.data import tiles as cutting
from fewvid.data.decode import decode_video
from fewvid.data.images import load_image
from fewvid.inference import generate, parts
from fewvid.models import tiles
from fewvid.models.encoder import normalised
from fewvid.models.tiling import best_grid
from tests.checkpoints import chats
from tests.checkpoints.test_llava_onevision import ODD, onevision

pytestmark = pytest.mark.parity
CLOSE = 1e-4
# name -> tower, LLM, grids of tiles, limit; a limit of 1 has tokens brought down
CASES = {
    "odd-grid": (ODD, {}, [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 1), (2, 3)], 9),
    "brought-down": ({}, {"num_key_value_heads": 1}, [(2, 2), (2, 3), (3, 2), (1, 4)], 1),
}
# heights and widths of pictures besides the real ones: narrow, square, smaller than a frame
SHAPES = [(30, 400), (400, 31), (64, 64), (21, 17)]


@pytest.fixture(scope="module")
def words(hf):
    return chats.onevision_tokenizer(hf)


@pytest.fixture(params=CASES)
def pair(request, hf, written, words, tmp_path):
    """(their model, their image processor, the folder of both, our model directory)."""
    tower, llm, grids, limit = CASES[request.param]
    theirs = onevision(hf, tower, llm | {"max_position_embeddings": 1024})
    side = theirs.config.vision_config.image_size
    pinpoints = [[rows * side, columns * side] for rows, columns in grids]
    theirs.config.image_grid_pinpoints = pinpoints
    theirs.config.vision_aspect_ratio = f"anyres_max_{limit}"
    folder = written(theirs)
    for file in folder.glob("token*"):
        file.unlink()
    chats.save(words, folder, chats.ONEVISION, "chat_template.jinja")
    half = [0.5] * 3
    processor = hf.LlavaOnevisionImageProcessorPil(
        size={"height": side, "width": side},
        image_grid_pinpoints=pinpoints,
        image_mean=half,
        image_std=half,
    )
    processor.save_pretrained(folder)
    return theirs, processor, folder, importing.whole(str(folder)).save(tmp_path / "model")


@pytest.fixture
def pictures(shared_data, tmp_path):
    """Files: real pictures of several sizes, grey, RGBA and palette among them, and odd shapes."""
    files = sorted(path for path in (shared_data / "images").iterdir() if path.is_file())[2:]
    Image.open(files[0]).rotate(90, expand=True).convert("P").save(tmp_path / "palette.png")
    files.append(tmp_path / "palette.png")
    rng = np.random.default_rng(0)
    for height, width in SHAPES:
        noise = rng.integers(0, 256, (height, width, 3), np.uint8)
        file = tmp_path / f"{height}x{width}.png"
        Image.fromarray(noise).save(file)
        files.append(file)
    return files


def of_theirs(processor, file):
    """What their processor makes of a picture, alone in its prompt."""
    return processor(Image.fromarray(load_image(file)), return_tensors="pt")


def test_pixels_are_those_of_the_family(pair, pictures):
    _, processor, _, directory = pair
    config = fewvid.load(directory).config
    grids = set()
    for file in pictures:
        wanted = of_theirs(processor, file)["pixel_values"][0].numpy()
        picture = load_image(file)
        side = config.encoder.side
        grid = best_grid(*picture.shape[:2], side, config.adapter.tiles)
        seen = cutting.views(picture, side, grid)
        ours = np.asarray(normalised(seen, config.encoder)).transpose(0, 3, 1, 2)
        assert ours.shape == wanted.shape, file.name
        assert np.abs(ours - wanted).mean() * 0.5 < 1 / 255, file.name
        grids.add(grid)
    assert len(grids) >= 3


def test_published_sizes_of_real_pictures(hf, shared_data):
    """384 pixels a side and the 36 grids of the published models; upright, in colour, whole."""
    from fewvid.models.config import Side

    processor = hf.LlavaOnevisionImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.5] * 3)
    grids = [(high, wide) for high in range(1, 7) for wide in range(1, 7)]
    for file in sorted(path for path in (shared_data / "images").iterdir() if path.is_file()):
        upright = ImageOps.exif_transpose(Image.open(file))
        wanted = processor(upright, return_tensors="np")["pixel_values"][0]
        picture = load_image(file)
        side = Side(384, "bicubic")
        seen = cutting.views(picture, side, best_grid(*picture.shape[:2], side, grids))
        ours = (seen / 255 - 0.5).transpose(0, 3, 1, 2) / 0.5
        assert ours.shape == wanted.shape, file.name
        assert np.abs(ours - wanted).mean() * 0.5 < 1 / 255, file.name


def test_logits_and_greedy_tokens_are_those_of_transformers(hf, pair, pictures):
    import torch

    theirs, processor, _, directory = pair
    model = fewvid.load(directory)
    image, said, lengths = theirs.config.image_token_index, set(), set()
    for file in pictures[1:]:
        given = of_theirs(processor, file)
        view = model.look(decode_video(file, 1, asked=False))
        assert view.tiling.views == given["pixel_values"].shape[1]
        prompt = [21, 22, *[image] * view.shown, 23, 24, 25]
        asked = {"input_ids": torch.tensor([prompt]), **given}
        with torch.no_grad():
            wanted = theirs(**asked).logits[0, -1].numpy()
            out = theirs.generate(
                **asked,
                do_sample=False,
                max_new_tokens=32,
                min_new_tokens=32,
                eos_token_id=chats.WORDS - 1,
                pad_token_id=0,
            )[0, len(prompt) :]
        room = 5 + view.room
        tokens = np.array([prompt + [0] * (room - len(prompt))], np.int32)
        logits, cache = parts.read(
            model.params,
            view.visual(),
            tokens,
            np.array([len(prompt) - 1], np.int32),
            np.int32(image),
            config=view.config,
            length=room + 32,
        )
        assert np.abs(np.asarray(logits[0]) - wanted).max() < CLOSE, file.name
        found = generate.generate(
            model.config,
            model.params,
            logits,
            np.array([len(prompt) - 1], np.int32),
            cache,
            max_tokens=32,
            draw=generate.Draw.of(eos=-1),
        )
        assert found[0].tolist() == out.tolist(), file.name
        said.add(tuple(out.tolist()))
        lengths.add(view.shown)
    assert len(said) > 3  # the pictures are looked at
    assert len(lengths) > 3


def test_what_is_said_of_a_picture_is_what_transformers_says(hf, pair, pictures):
    """From the file and the question to the words, each side by its own processor and template."""
    import torch

    theirs, processor, _, directory = pair
    model = fewvid.load(directory)
    counting = counted(hf, processor, model.config.encoder.tokens, theirs.config)
    question = "which way does it go?"
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    prompt = model.tokenizer.apply_chat_template(
        message, tokenize=False, add_generation_prompt=True
    )
    for file in pictures[2::4]:
        given = of_theirs(processor, file)
        count = counting(*load_image(file).shape[:2], *given["pixel_values"].shape[-2:])
        ids = model.tokenizer(prompt.replace("<image>", "<image>" * count), return_tensors="pt")
        with torch.no_grad():
            out = theirs.generate(
                **given,
                input_ids=ids["input_ids"],
                do_sample=False,
                max_new_tokens=32,
                eos_token_id=model.tokenizer.eos_token_id,
                pad_token_id=0,
            )
        start = ids["input_ids"].shape[1]
        wanted = model.tokenizer.decode(out[0, start:], skip_special_tokens=True)
        answer = model.answer(file, question, max_tokens=32)
        assert answer.text == wanted, file.name
        assert (answer.read_per_frame, answer.views) == (count, len(given["pixel_values"][0]))


def counted(hf, image_processor, tokens, config):
    """Their processor's own count of placeholders; all of it wants torchvision, this does not."""
    processor = object.__new__(hf.LlavaOnevisionProcessor)
    processor.image_processor, processor.num_image_tokens = image_processor, tokens
    processor.vision_aspect_ratio = config.vision_aspect_ratio
    return processor._get_number_of_features


def test_the_features_are_theirs_and_fewer_are_some_of_them(hf, pair, pictures):
    import torch

    theirs, processor, _, directory = pair
    model = fewvid.load(directory)
    for file in pictures[:2]:
        given = of_theirs(processor, file)
        with torch.no_grad():
            (wanted,) = theirs.model.get_image_features(**given).pooler_output
        clip = decode_video(file, 1, asked=False)
        view = model.look(clip)
        everything = np.asarray(view.visual())[0, 0]
        np.testing.assert_allclose(everything[: view.shown], wanted.numpy(), atol=CLOSE)
        fewer = model.look(clip, keep=4)
        assert fewer.shown < view.shown / 2
        if view.tiling.rows == view.tiling.height:  # else they are means of others
            rows = {row.tobytes() for row in everything}
            some = np.asarray(fewer.visual())[0, 0, : fewer.shown]
            assert all(row.tobytes() in rows for row in some)


def test_the_config_and_the_newline_go_in_and_out(pair, hf, tmp_path):
    theirs, _, _, directory = pair
    out = tmp_path / "out"
    assert exporting.export(str(directory), out) == "LlavaOnevisionForConditionalGeneration"
    again = hf.AutoModelForImageTextToText.from_pretrained(out)
    for key in ("image_grid_pinpoints", "vision_aspect_ratio"):
        assert getattr(again.config, key) == getattr(theirs.config, key)
    newline = theirs.model.image_newline.detach().numpy()
    stored = np.concatenate([*TensorFiles(directory)["adapter/newline"].pieces()])
    assert stored.tobytes() == newline.tobytes()
    assert again.model.image_newline.detach().numpy().tobytes() == newline.tobytes()
    read = hf.AutoImageProcessor.from_pretrained(out)
    assert read.image_grid_pinpoints == theirs.config.image_grid_pinpoints


def test_tables_of_other_shapes_are_as_long_as_theirs(hf):
    """The number of tokens of many shapes of picture, by the published sizes, is their number."""
    from fewvid.checkpoints.families.llava_onevision import MOST_TILES
    from fewvid.models.config import AdapterConfig, EncoderConfig
    from fewvid.models.tiling import tiling

    counting = counted(hf, hf.LlavaOnevisionImageProcessorPil(), 729, hf.LlavaOnevisionConfig())
    counts = range(1, MOST_TILES + 1)
    grids = tuple((high, wide) for high in counts for wide in counts)
    encoder = EncoderConfig(image_size=384, patch_size=14)
    adapter = AdapterConfig(queries="projector", newline=True, tiles=grids)
    rng = np.random.default_rng(0)
    for height, width in [*rng.integers(20, 3000, (200, 2)).tolist(), (384, 384), (2304, 2304)]:
        found = tiling(height, width, encoder, adapter)
        assert found.tokens == counting(height, width, 384, 384)
    assert dataclasses.asdict(found)["grid"] == (6, 6)
    assert len(tiles.table(found).newline) == found.tokens
