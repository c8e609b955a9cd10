"""LLaVA-OneVision in and out, and what it says of real clips, beside transformers' own code."""

import numpy as np
import pytest

import fewvid
from fewvid.checkpoints import exporting, importing, verify
from fewvid.data.decode import decode_video
from fewvid.data.images import resize
from fewvid.inference import generate, parts
from fewvid.models.config import candidates, of_picture, visual_tokens
from tests.checkpoints import chats
from tests.checkpoints.conftest import LLM, TOWER
from tests.checkpoints.test_whole_models import same

pytestmark = pytest.mark.parity
CLOSE = 1e-4
COMPARED = ["logits of videos", "logits of a picture in tiles"]
ODD = {"image_size": 40, "patch_size": 8}  # 5 x 5 patches, of which 3 x 3 are left
CASES = {
    "odd-grid": (ODD, {}),
    "even-grid": ({}, {"tie_word_embeddings": True, "num_key_value_heads": 1}),
    "earlier-layer": (ODD | {"vision_feature_layer": -2}, {}),
}


def onevision(hf, tower, llm):
    tower = dict(tower)
    options = {"vision_feature_layer": tower.pop("vision_feature_layer", -1)}
    size = (TOWER | tower)["image_size"]
    text = {"model_type": "qwen2", "vocab_size": chats.WORDS, "max_position_embeddings": 512}
    return hf.LlavaOnevisionForConditionalGeneration(
        hf.LlavaOnevisionConfig(
            vision_config={"model_type": "siglip_vision_model", **TOWER, **tower},
            text_config=LLM | text | llm,
            image_token_index=chats.WORDS - 2,
            video_token_index=chats.WORDS - 1,
            image_grid_pinpoints=[[size, size], [size, 2 * size]],
            **options,
        )
    )


@pytest.fixture(scope="module")
def words(hf):
    return chats.onevision_tokenizer(hf)


@pytest.fixture
def saved(written, words):
    def save(model):
        folder = written(model)
        for file in folder.glob("token*"):
            file.unlink()
        chats.save(words, folder, chats.ONEVISION, "chat_template.jinja")
        return folder

    return save


@pytest.mark.parametrize("name", CASES)
def test_in_out_and_in_again(name, hf, saved, tmp_path):
    folder = saved(onevision(hf, *CASES[name]))
    found = importing.whole(str(folder))
    first = found.save(tmp_path / "first")
    compared = verify.compare(str(first), str(folder))
    assert [agreement.what for agreement in compared] == COMPARED
    for agreement in compared:
        assert agreement.largest < CLOSE
        assert agreement.spread > 0.5
        assert 0 <= agreement.kl < 1e-9
    out = tmp_path / "out"
    said = exporting.export(str(first), out)
    assert said == "LlavaOnevisionForConditionalGeneration"
    theirs = hf.AutoModelForImageTextToText.from_pretrained(out)
    assert type(theirs).__name__ == said
    compared = verify.compare(str(first), str(out))
    assert [agreement.largest < CLOSE for agreement in compared] == [True, True]
    again = importing.whole(str(out)).save(tmp_path / "again")
    assert same(first, again)
    for file in ("config.json", "tokenizer.json", "chat_template.jinja", "preprocessor.json"):
        assert (first / file).read_text() == (again / file).read_text()


@pytest.fixture
def pair(hf, saved, tmp_path):
    """(their model, ours), of frames of 5 x 5 patches."""
    theirs = onevision(hf, *CASES["odd-grid"])
    folder = saved(theirs)
    return theirs, fewvid.load(importing.whole(str(folder)).save(tmp_path / "model"))


def seen_by_theirs(hf, frames, side):
    processor = hf.SiglipImageProcessorPil(size={"height": side, "width": side})
    return processor(list(frames), return_tensors="pt")["pixel_values"]


def test_greedy_answers_about_real_clips_are_those_of_transformers(hf, pair, shared_data):
    """32 tokens about 4 frames of each of some videos, every token of a frame kept."""
    import torch

    theirs, model = pair
    side = model.config.encoder.image_size
    video = theirs.config.video_token_index
    prompt = [21, 22, *[video] * visual_tokens(model.config, 4), 23, 24, 25]
    assert len(prompt) == 5 + 4 * 9 + 1
    tokens, last = np.array([prompt], np.int32), np.array([len(prompt) - 1], np.int32)
    clips = sorted((shared_data / "videos").glob("*.mp4"))[:4]
    assert len(clips) == 4
    said = set()
    for file in clips:
        clip = decode_video(file, 4)
        with torch.no_grad():
            wanted = theirs.generate(
                input_ids=torch.tensor(tokens).long(),
                pixel_values_videos=seen_by_theirs(hf, clip.frames, side)[None],
                do_sample=False,
                max_new_tokens=32,
                min_new_tokens=32,
                eos_token_id=chats.WORDS - 1,
                pad_token_id=0,
            )[0, len(prompt) :]
        pixels = resize(clip.frames, model.config.encoder.side)[None]
        features = parts.encode(model.params, pixels, config=model.config)
        visual = parts.adapt(model.params, features, clip.times[None], None, config=model.config)
        logits, cache = parts.read(
            model.params, visual, tokens, last, np.int32(video), config=model.config, length=120
        )
        found = generate.generate(
            model.config,
            model.params,
            logits,
            last,
            cache,
            max_tokens=32,
            draw=generate.Draw.of(eos=-1),
        )
        assert found[0].tolist() == wanted.tolist(), file.name
        said.add(tuple(found[0].tolist()))
    assert len(said) > 1  # the clips are looked at


def test_what_chat_says_is_what_transformers_says(hf, pair, shared_data):
    """From the question to the words, each side by its own template, frames and placeholders."""
    import torch

    theirs, model = pair
    tokenizer, question = model.tokenizer, "what does it do,  left?"
    asked = [{"type": "video"}, {"type": "text", "text": question}]
    message = [{"role": "user", "content": asked}]
    text = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    said = set()
    for file in sorted((shared_data / "videos").glob("*.mp4"))[1:4]:
        clip = decode_video(file, 5)
        given = text.replace("<video>", "<video>" * (len(clip.frames) * 9 + 1))
        ids = tokenizer(given, return_tensors="pt")["input_ids"]
        frames = seen_by_theirs(hf, clip.frames, model.config.encoder.image_size)[None]
        with torch.no_grad():
            out = theirs.generate(
                input_ids=ids,
                pixel_values_videos=frames,
                do_sample=False,
                max_new_tokens=32,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=0,
            )
        wanted = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        answer = model.answer(file, question, frames=5, max_tokens=32)
        assert answer.text == wanted
        assert answer.read_per_frame == 9
        said.add(answer.text)
    assert len(said) > 1


def test_a_picture_in_one_view_is_as_theirs_is_among_several(hf, pair):
    """Their picture among several is one view, whole, with a newline: so are our still ones."""
    import torch

    theirs, model = pair
    config = of_picture(model.config)
    side = config.encoder.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, side, side, 3), np.uint8)
    with torch.no_grad():
        given = seen_by_theirs(hf, pixels[:, 0], side)[:, None]
        sizes, together = torch.tensor([[side, side]] * 2), torch.tensor([2])
        ask = {"image_sizes": sizes, "batch_num_images": together}
        wanted = theirs.model.get_image_features(given, **ask).pooler_output
    features = parts.encode(model.params, pixels, config=config)
    times = np.zeros((2, 1), np.float32)
    found = parts.adapt(model.params, features, times, None, config=config)
    for ours, one in zip(found, wanted, strict=True):
        assert one.shape == (26, 32)
        np.testing.assert_allclose(ours[0], one[:-1], atol=CLOSE)
        np.testing.assert_array_equal(model.params["adapter"]["newline"], one[-1])


def test_fewer_tokens_are_those_of_the_pooled_grid(pair, shared_data):
    """The sampler chooses among the pooled tokens; what is kept is what all of them gave."""
    _, model = pair
    clip = decode_video(sorted((shared_data / "videos").glob("*.mp4"))[0], 3)
    view = model.look(clip, keep=4, sampler="attention")
    everything = model.look(clip).visual()
    assert candidates(view.config) == everything.shape[2] == 9
    kept = np.take_along_axis(everything, view.chosen.indices[..., None], axis=2)
    np.testing.assert_allclose(view.visual(), kept, atol=1e-6)
    np.testing.assert_allclose(view.response.sum(-1), 1, atol=1e-5)
    selection = view.selection()
    assert (selection.grid, selection.kept, selection.scores.shape) == (3, 4, (3, 9))
    best = np.argsort(-selection.scores, axis=-1)[:, :4]
    assert [set(row) for row in best] == [set(row) for row in selection.indices]
    for sampler in ("temporal", None, "pool", "dpp_text"):
        answer = model.answer(clip, "which way?", keep=4, sampler=sampler, max_tokens=3)
        assert (answer.tokens_per_frame, answer.kept) == (9, 4)
