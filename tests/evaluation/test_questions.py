"""Questions read off in one pass score as if each were put and answered alone."""

import dataclasses

import av
import jax
import numpy as np
import pytest

from fewvid.data.decode import decode_video
from fewvid.data.sample import Sample, Turn
from fewvid.data.tokenizer import Chat, train_tokenizer
from fewvid.errors import UserError
from fewvid.evaluation import questions
from fewvid.inference.model import Model
from fewvid.models import lvlm
from fewvid.models.config import AdapterConfig, DecoderConfig, EncoderConfig, LvlmConfig

ASKED = {
    "Which way does it move?": ("left", "right", "up", "down"),
    "Is it red?": ("yes", "no"),
    "How many are there?": ("one", "two", "three"),
    "Where is it?": ("top left", "down there"),
}
FRAMES, CLIPS = 3, 8


@pytest.fixture(scope="module")
def chat():
    return Chat(train_tokenizer([*ASKED, *(word for words in ASKED.values() for word in words)]))


@pytest.fixture(scope="module")
def config(chat):
    return LvlmConfig(
        encoder=EncoderConfig(image_size=16, patch_size=4, width=32, depth=1, heads=2),
        adapter=AdapterConfig(queries="tokens", width=32, heads=2, change=True),
        decoder=DecoderConfig(
            vocab_size=len(chat.tokenizer), width=32, depth=1, heads=2, kv_heads=1, mlp_width=64
        ),
    )


@pytest.fixture(scope="module")
def params(config):
    rng = np.random.default_rng(0)

    def leaf(path, shape):
        name = path[-1].key
        if name in ("scale", "bias"):
            return np.full(shape.shape, name == "scale", np.float32)
        spread = 0.5 if name == "embedding" else shape.shape[-2] ** -0.5 if shape.ndim > 1 else 0.1
        return rng.normal(0, spread, shape.shape).astype(np.float32)

    shapes = jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))
    return jax.tree_util.tree_map_with_path(leaf, shapes)


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Clips of three pictures that differ, 16 x 16."""
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(1)
    for number in range(CLIPS):
        with av.open(str(folder / f"{number}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=4)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
            for _ in range(FRAMES):
                blocks = rng.integers(0, 256, (2, 2, 3), np.uint8).repeat(8, 0).repeat(8, 1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(blocks, format="rgb24")))
            container.mux(stream.encode())
    return folder


@pytest.fixture(scope="module")
def samples(media):
    return [
        Sample(
            id=f"{clip}/{number}/{answer}",
            media=media / f"{clip}.mp4",
            media_type="video",
            turns=(Turn(question, answer),),
            kind="temporal" if number == 0 else "static",
            dimension=f"d{number}",
            answers=answers,
        )
        for clip in range(CLIPS)
        for number, (question, answers) in enumerate(ASKED.items())
        for answer in answers
    ]


@pytest.fixture(scope="module")
def ask(config, params, chat, samples):
    cached = questions.encode(config, params, samples, frames=FRAMES)

    def put(**options):
        options = {
            "features": cached,
            "frames": FRAMES,
            "keep": 4,
            "batch_size": 4,
            "questions": 3,
            **options,
        }
        return questions.ask(config, params, chat, options.pop("samples", samples), **options)

    return put


def alone(config, params, chat, clip, sample):
    """(valid, exact) of one question: all logits of its own row, and greedy generation."""
    model = Model(config, params, chat, frames=FRAMES)
    turn = sample.turns[0]
    text = model.answer(clip, turn.question, keep=4, max_tokens=4).text
    kept = dataclasses.replace(config.sampler, keep=4)
    ids = [*chat.prefix_ids(4 * FRAMES), *chat.question_ids(turn.question)]
    batch = {
        "pixels": clip.frames[None],
        "times": clip.times[None],
        "tokens": np.array([ids]),
        "segments": np.ones((1, len(ids)), int),
        "positions": np.arange(len(ids))[None],
        "answer_positions": np.array([[len(ids) - 1]]),
    }
    (logits,) = lvlm.answer_logits(
        dataclasses.replace(config, sampler=kept), jax.device_put(params), batch, visual_id=4
    )[0]
    firsts = [chat.answer_ids(answer)[0] for answer in sample.answers]
    best = sample.answers[int(np.argmax(np.asarray(logits)[firsts]))]
    return best == turn.answer, text == turn.answer


def test_scores_are_those_of_each_question_alone(ask, config, params, chat, samples, media):
    found = ask()
    assert len(found) == len(samples)
    by_key = {(f"{s.media.name}", s.dimension, s.turns[0].answer): s for s in samples}
    assert len(by_key) == len(samples)
    clip = decode_video(media / "1.mp4", FRAMES)
    mine = [(s, a) for s, a in zip(samples, found, strict=True) if s.media.name == "1.mp4"]
    assert {s.dimension for s, _ in mine} == {"d0", "d1", "d2", "d3"}
    first_of = {}
    for sample, got in mine:
        assert (got.dimension, got.kind) == (sample.dimension, sample.kind)
        assert got.chance == 1 / len(sample.answers)
        if sample.dimension in ("d0", "d3") and sample.dimension not in first_of:
            first_of[sample.dimension] = (sample, got)
    for sample, got in first_of.values():
        assert (got.valid, got.exact) == alone(config, params, chat, clip, sample)
    # of each clip's question with all its answers as the right one, exactly one is
    for clip_name in (f"{number}.mp4" for number in range(CLIPS)):
        for dimension in ("d0", "d1", "d2", "d3"):
            right = [
                a.valid
                for s, a in zip(samples, found, strict=True)
                if (s.media.name, s.dimension) == (clip_name, dimension)
            ]
            assert sum(right) == 1


def test_what_generation_says_is_what_scores_exactly(ask, config, params, chat, samples, media):
    """The model's own words, made an answer, are right word for word; others are not."""
    clip = decode_video(media / "0.mp4", FRAMES)
    model = Model(config, params, chat, frames=FRAMES)
    question = next(iter(ASKED))
    said = model.answer(clip, question, keep=4, max_tokens=3).text
    assert said
    first = said.split()[0]
    sample = dataclasses.replace(samples[0], turns=(Turn(question, first),), answers=(first, "no"))
    (found,) = ask(samples=[sample])
    assert found.valid
    assert found.exact == (model.answer(clip, question, keep=4, max_tokens=8).text == first)


def test_rows_and_batches_of_any_size_score_alike(ask):
    assert ask(batch_size=1, questions=8) == ask()


def test_one_frame_is_the_middle_one_repeated(ask, config, params, samples, media, monkeypatch):
    def middle(sample, frames, size):
        clip = found(sample, frames, size)
        return clip._replace(pixels=np.repeat(clip.pixels[FRAMES // 2][None], FRAMES, 0))

    from fewvid.data import features

    whole, one = ask(), ask(one_frame=True)
    found = features.read_frames
    monkeypatch.setattr(features, "read_frames", middle)
    assert one == ask(features=None)
    assert one != whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": ()}, "cannot be scored"),
        ({"answers": ("right", "up")}, "answer is among its `answers`"),
        ({"turns": (Turn("a", "left"), Turn("b", "left"))}, "one question.*got 2"),
        ({"answers": ("left", "left over")}, "begin with the same token"),
    ],
)
def test_what_cannot_be_scored_is_named(ask, samples, changes, message):
    broken = dataclasses.replace(samples[0], id="odd one", **changes)
    with pytest.raises(UserError, match=rf"'odd one'.*{message}"):
        ask(samples=[*samples[1:3], broken])
