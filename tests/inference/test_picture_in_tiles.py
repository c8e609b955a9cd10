"""A model that reads still pictures in tiles: asked, with fewer tokens, drawn, by the command."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import fewvid
from fewvid.__main__ import main
from fewvid.checkpoints import model_directory
from fewvid.errors import UserError
from fewvid.inference import overlay
from fewvid.models.config import AdapterConfig, SamplerConfig

QUESTION = "How many shapes are there?"
GRIDS = ((1, 1), (1, 2), (2, 1), (2, 2), (2, 3))


@pytest.fixture(scope="module")
def tiled(config, tmp_path_factory, tokenizer):
    """A directory; frames of 4 x 4 tokens, which a video's are pooled to 2 x 2."""
    import jax

    from fewvid.models import lvlm

    adapter = AdapterConfig(
        "projector", width=32, pool=True, newline=True, tiles=GRIDS, tile_limit=4
    )
    sampler = SamplerConfig("maxmin", site="after", response="encoder")
    encoder = dataclasses.replace(config.encoder, fit="bicubic")
    config = dataclasses.replace(config, encoder=encoder, adapter=adapter, sampler=sampler)
    shapes = jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: rng.normal(0, 0.2, x.shape).astype(np.float32), shapes)
    return model_directory.save(
        tmp_path_factory.mktemp("models") / "tiled",
        config=config,
        params=params,
        tokenizer=tokenizer,
        card="# tiled\n",
        frames=2,
    )


@pytest.fixture(scope="module")
def model(tiled):
    return fewvid.load(tiled)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """(height, width) -> the file of a picture of noise."""
    folder = tmp_path_factory.mktemp("pictures")

    def write(height, width):
        file = folder / f"{height}x{width}.png"
        if not file.is_file():
            noise = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(noise).save(file)
        return file

    return write


def test_the_config_is_stored_with_the_model(model, tiled):
    stored = json.loads((tiled / "config.json").read_text())["adapter"]
    assert stored["tiles"] == [list(grid) for grid in GRIDS]
    assert (model.config.adapter.tiles, model.config.adapter.tile_limit) == (GRIDS, 4)


def test_an_answer_counts_views_and_tokens(model, picture, video):
    answer = model.answer(picture(64, 96), QUESTION, max_tokens=3)
    # 8 x 12 tokens are 6 frames of 16, brought down to 4: by the root of 1.5, to 6 x 9
    assert (answer.views, answer.frames_used, answer.tokens_per_frame) == (7, 1, 16)
    assert (answer.kept, answer.read_per_frame) == (16, 16 + 6 * 10)
    wide = model.answer(picture(32, 64), QUESTION, max_tokens=3)
    assert (wide.views, wide.read_per_frame) == (3, 16 + 4 * 9)
    clip = model.answer(video, QUESTION, max_tokens=3)
    assert (clip.views, clip.read_per_frame) == (1, 4)  # a video is read as before


def test_pictures_of_other_shapes_run_the_same_programs(model, picture):
    model.answer(picture(64, 64), QUESTION, max_tokens=3)
    known = len(model.programs)
    narrower = model.answer(picture(64, 60), QUESTION, max_tokens=3)
    assert len(model.programs) == known
    assert narrower.milliseconds["compile"] == 0
    assert narrower.views == 5


@pytest.mark.parametrize("sampler", ["maxmin", "pool", "temporal", "dpp_text"])
def test_each_view_keeps_k_as_a_picture_of_its_own(sampler, model, picture):
    file = picture(64, 96)
    chosen = model.select(file, keep=5, sampler=sampler, question=QUESTION)
    assert chosen.counts == (5,) * 7
    assert chosen.frames.shape == (7, 32, 32, 3)
    assert chosen.scores.shape == (7, 16)
    assert any("tiles" in note for note in chosen.notes)
    answer = model.answer(file, QUESTION, keep=5, sampler=sampler, max_tokens=3)
    assert 5 + 1 <= answer.read_per_frame < 16 + 6 * 10
    alone = Image.fromarray(chosen.frames[0])  # the whole, squeezed before: its own first view
    name = file.with_name("squeezed.png")
    alone.save(name)
    squeezed = model.select(name, keep=5, sampler=sampler, question=QUESTION)
    np.testing.assert_array_equal(squeezed.indices[0], chosen.indices[0])


def test_keep_n_is_no_sampler_at_all(model, picture):
    whole, all_kept = (model.look(picture(64, 60), keep=keep) for keep in (None, 16))
    assert all_kept.chosen is None
    np.testing.assert_array_equal(whole.visual(), all_kept.visual())


def test_later_questions_know_the_picture(model, picture):
    talk = model.converse(picture(64, 64), keep=6, sampler="dpp_text")
    first = talk.ask(QUESTION, max_tokens=3)
    second = talk.ask("left right?", max_tokens=3)
    assert first.read_per_frame == second.read_per_frame > 6
    assert len(talk.turns) == 2


def test_too_large_a_picture_is_said_before_it_is_encoded(model, picture):
    short = dataclasses.replace(model.config.decoder, max_length=60)
    config = dataclasses.replace(model.config, decoder=short)
    small = fewvid.Model(config, model.params, model.chat)
    with pytest.raises(UserError, match="a picture of 7 views, 76 tokens in all, exceeds the 60"):
        small.converse(picture(64, 96))
    with pytest.raises(UserError, match=r"a picture of 7 views, \d+ tokens in all, a question of"):
        small.answer(picture(64, 96), QUESTION, keep=5, max_tokens=40)


def test_the_commands_read_a_picture_at_its_own_size(tiled, model, picture, tmp_path, capsys):
    file, drawn = picture(64, 96), tmp_path / "kept.png"
    asked = ["chat", str(tiled), str(file), QUESTION, "--max-tokens", "3", "--json"]
    assert main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["views"], found["read_per_frame"]) == (7, 76)
    assert found["answer"] == model.answer(file, QUESTION, max_tokens=3).text
    assert main(["inspect", str(tiled), str(file), "--keep", "4", "--out", str(drawn)]) == 0
    assert "tiles" in capsys.readouterr().err
    chosen = model.select(file, keep=4)
    assert overlay.draw(chosen).size == Image.open(drawn).size
