"""`fewvid.load` and what the model does with a real file."""

import dataclasses
import shutil

import numpy as np
import pytest

import fewvid
from fewvid.data.clip import Clip
from fewvid.samplers import auto_keep

QUESTION = "Which way does the red circle move?"


def test_answer_says_what_it_used(model, video):
    answer = model.answer(video, QUESTION, keep=4, max_tokens=5)
    assert answer.text
    assert (answer.frames_used, answer.tokens_per_frame, answer.kept) == (4, 16, 4)
    assert (answer.read_per_frame, answer.sampler, answer.question) == (4, "attention", QUESTION)
    assert answer.notes == ()


def test_a_second_answer_compiles_nothing_and_every_part_took_time(model, video):
    model.answer(video, QUESTION, keep=4, max_tokens=5)
    spent = model.answer(video, "How many?", keep=4, max_tokens=5).milliseconds
    assert spent["compile"] == 0
    assert all(spent[part] > 0 for part in spent if part != "compile")
    assert list(spent) == ["decode", "encode", "select", "adapt", "prefill", "generate", "compile"]


def test_streamed_text_is_the_answer(model, video):
    pieces = list(model.stream(video, QUESTION, keep=4, max_tokens=5))
    assert len(pieces) > 1
    assert "".join(pieces) == model.answer(video, QUESTION, keep=4, max_tokens=5).text


def test_an_answer_that_ends_within_a_letter_is_not_lost(model, video, monkeypatch):
    monkeypatch.setattr(model.chat, "decode", lambda ids: "a" * len(ids) + "\ufffd")
    pieces = list(model.stream(video, QUESTION, keep=4, max_tokens=5))
    assert "".join(pieces) == model.answer(video, QUESTION, keep=4, max_tokens=5).text
    assert pieces[-1].endswith("a\ufffd")


def test_keeping_all_runs_no_sampler(model, video):
    all_kept, default = (model.select(video, keep=keep) for keep in (16, None))
    np.testing.assert_array_equal(all_kept.indices, default.indices)
    assert [frame.tolist() for frame in default.indices] == [list(range(16))] * 4
    assert default.sampler == ""  # none ran


def test_select_gives_the_k_highest_responses_of_each_frame(model, video):
    chosen = model.select(video, keep=4, frames=6)
    assert chosen.frames.shape == (6, 48, 64, 3)
    assert chosen.times.tolist() == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5], abs=0.26)
    assert chosen.mask().sum((1, 2)).tolist() == [4] * 6
    expected = np.sort(np.argsort(-chosen.scores, axis=1, kind="stable")[:, :4], axis=1)
    np.testing.assert_array_equal(chosen.indices, expected)


def test_the_random_sampler_is_decided_by_the_seed(model, video):
    first, again, other = (
        model.select(video, keep=4, sampler="random", seed=seed).indices for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(np.stack(first) != np.stack(other))


def test_a_budget_over_the_clip_is_shown_frame_by_frame(model, video):
    chosen = model.select(video, keep=4, sampler="temporal", frames=6)
    assert sum(chosen.counts) == 6 * 4
    assert chosen.counts[0] == chosen.kept == 4
    assert len(set(chosen.counts)) > 1
    assert chosen.mask().sum((1, 2)).tolist() == list(chosen.counts)
    # the square goes right, so what changed is in the upper half and not at the left edge for long
    later = chosen.mask()[1:]
    assert later[:, 1:3].sum() > later[:, [0, 3]].sum()
    answer = model.answer(video, QUESTION, keep=4, sampler="temporal", max_tokens=5)
    assert (answer.kept, answer.read_per_frame, answer.sampler) == (4, 4, "temporal")


ASKED = {"keep": 4, "sampler": "dpp_text"}


def chosen_by(model, video, question):
    return np.stack(model.select(video, question=question, **ASKED).indices)


def test_a_sampler_that_chooses_by_the_question_is_given_it(model, video):
    other = "left up"
    kept = {asked: chosen_by(model, video, asked) for asked in (QUESTION, other)}
    assert np.any(kept[QUESTION] != kept[other])
    answer = model.answer(video, QUESTION, max_tokens=5, **ASKED)
    assert (answer.sampler, answer.kept) == ("dpp_text", 4)
    assert "".join(model.stream(video, QUESTION, max_tokens=5, **ASKED)) == answer.text
    given = model.converse(video, question=other, **ASKED)
    given.ask(QUESTION, max_tokens=2)
    np.testing.assert_array_equal(np.stack(given.view.selection().indices), kept[other])
    first = model.converse(video, **ASKED)
    for asked in (QUESTION, other):  # the first that is asked decides for those after it
        first.ask(asked, max_tokens=2)
        np.testing.assert_array_equal(np.stack(first.view.selection().indices), kept[QUESTION])


def test_it_says_that_the_question_is_missing(model, video):
    missing = r"'dpp_text' chooses by the question and was given none; give --question"
    with pytest.raises(fewvid.UserError, match=missing):
        model.select("none.mp4", **ASKED)
    with pytest.raises(fewvid.UserError, match=missing):
        model.converse(video, **ASKED).view.selection()
    with pytest.raises(fewvid.UserError, match="the question is empty"):
        model.select("none.mp4", question=" ", **ASKED)
    assert model.select(video, sampler="dpp_text").kept == 16  # all are kept: nothing to choose


def test_more_frames_than_there_are_is_said(model, video):
    chosen = model.select(video, frames=40)
    assert len(chosen.frames) == 12
    assert any("40" in note and "12" in note for note in chosen.notes)


def test_a_conversation_reads_what_was_said_before_and_compiles_once(model, video):
    talk = model.converse(video, keep=4)
    talk.ask(QUESTION, max_tokens=5)
    compiled = len(model.programs)
    before, _ = talk._prompt("How many?", 5)
    second = talk.ask("How many?", max_tokens=5)
    assert len(model.programs) == compiled
    assert second.milliseconds["encode"] == 0  # the clip is looked at once
    asked = model.chat.question_ids(QUESTION)
    said = model.chat.answer_ids(talk.turns[0][1])
    start = len(model.chat.prefix_ids(4 * 4))
    assert before[start : start + len(asked) + len(said)] == [*asked, *said]


def test_a_long_conversation_forgets_its_beginning_and_says_so(model, video):
    talk = model.converse(video, keep=4)
    talk.turns = [(QUESTION, "left right")] * 60
    _, notes = talk._prompt("How many?", 5)
    assert "were left out" in notes[0]


def test_what_cannot_be_read_is_an_error_that_names_the_flags(model, video):
    with pytest.raises(fewvid.UserError, match=r"--frames, --keep or --max-tokens"):
        model.answer(video, QUESTION, max_tokens=1000)
    with pytest.raises(fewvid.UserError, match="use a smaller --frames or --keep"):
        model.converse(Clip(np.zeros((25, 32, 32, 3), np.uint8), np.zeros(25), 25, 25, 1.0, ""))
    with pytest.raises(fewvid.UserError, match="--keep 1 to 16, or auto"):
        model.answer(video, QUESTION, keep=17)
    with pytest.raises(fewvid.UserError, match="Did you mean 'stride'"):
        model.answer(video, QUESTION, keep=4, sampler="strid")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"frames": 0}, "--frames must be a whole number, 1 or more, got 0"),
        ({"frames": 2.5}, "--frames must be a whole number, 1 or more, got 2.5"),
        ({"keep": 2.5}, "--keep must be a whole number or 'auto', got 2.5"),
        ({"keep": "4"}, "--keep must be a whole number or 'auto', got '4'"),
        ({"sampler": "strid"}, "Did you mean 'stride'"),
        ({"seed": -1}, r"--seed must be a whole number, 0 to 9\d+, got -1"),
        ({"seed": 2**63}, "--seed must be a whole number"),
    ],
)
def test_a_wrong_keyword_is_said_before_the_video_is_read(model, wrong, said):
    for call in (
        lambda: model.answer("none.mp4", QUESTION, **wrong),
        lambda: next(model.stream("none.mp4", QUESTION, **wrong)),
        lambda: model.converse("none.mp4", **wrong),
        lambda: model.select("none.mp4", **wrong),
    ):
        with pytest.raises(fewvid.UserError, match=said):
            call()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"temperature": float("nan")}, "--temperature must be a number, 0 or more, got nan"),
        ({"temperature": float("inf")}, "--temperature"),
        ({"temperature": -0.1}, "--temperature"),
        ({"temperature": "hot"}, "--temperature"),
        ({"max_tokens": 0}, "--max-tokens must be a whole number, 1 or more"),
        ({"max_tokens": 1.5}, "--max-tokens"),
        ({"question": None}, "the question must be text, got None"),
        ({"question": " "}, "the question is empty"),
    ],
)
def test_what_cannot_be_asked_is_said(model, video, wrong, said):
    asked = {"question": QUESTION} | wrong
    talk = model.converse(video, keep=4)
    for call in (
        lambda: model.answer("none.mp4", **asked),
        lambda: next(model.stream("none.mp4", **asked)),
        lambda: talk.ask(**asked),
    ):
        with pytest.raises(fewvid.UserError, match=said):
            call()


def test_numbers_of_numpy_are_numbers(model, video):
    chosen = model.select(video, keep=np.int64(4), frames=np.int32(3), seed=np.int64(1))
    assert chosen.counts == (4, 4, 4)


def test_forward_says_what_the_conversation_says(model, video):
    """The next word by `forward` over the whole row is the first word of the answer."""
    clip = fewvid.Model.look(model, video, keep=None).clip
    from fewvid.data.images import resize

    row = [*model.chat.prefix_ids(4 * 16), *model.chat.question_ids(QUESTION)]
    logits = model.forward(np.array([row]), resize(clip.frames, 32)[None], clip.times[None])
    assert logits.shape == (1, len(row), model.config.decoder.vocab_size)
    talk = model.converse(clip)
    assert isinstance(clip, Clip)
    first = talk.ask(QUESTION, max_tokens=1).text
    assert model.chat.decode([int(logits[0, -1].argmax())]) == first


def test_forward_of_text_alone(model):
    assert model.forward(np.array([[1, 7, 8]]), None).shape[1] == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokens": [[4] * 20 + [7]]}, r"row 0 has 20 placeholders \(id 4\) for 16 visual tokens"),
        ({"tokens": [[4] * 16 + [9999]]}, "token id 9999 is not in the vocabulary; wanted 0 to"),
        ({"tokens": [[4] * 16 + [-1]]}, "token id -1 is not in the vocabulary"),
        ({"tokens": [4] * 17}, r"tokens must be whole numbers \[B,L\], got int64\[17\]"),
        ({"tokens": [[4.0] * 17]}, "tokens must be whole numbers"),
        ({"tokens": [[7] * 401]}, "rows of 401 tokens exceed the 400"),
        ({"pixels": None}, "row 0 has 16 placeholders .* for 0 visual tokens"),
        (
            {"pixels": np.zeros((1, 1, 16, 16, 3))},
            r"pixels must be \[1,T,32,32,3\], got \[1, 1, 16",
        ),
        ({"times": np.zeros((1, 2))}, r"times must be \[1, 1\], got \[1, 2\]"),
    ],
)
def test_forward_refuses_what_does_not_fit(model, change, said):
    assert model.chat.visual == 4
    rows = {"tokens": [[4] * 16 + [7]], "pixels": np.zeros((1, 1, 32, 32, 3)), "times": None}
    rows |= change
    with pytest.raises(fewvid.UserError, match=said):
        model.forward(np.array(rows["tokens"]), rows["pixels"], rows["times"])


def test_the_tokenizer_is_there_when_asked_for(model):
    assert model.tokenizer.eos_token_id == model.chat.eos


def test_a_run_s_model_is_called_by_the_run(directory, tmp_path):
    shutil.copytree(directory, tmp_path / "mine" / "model")
    assert fewvid.load(tmp_path / "mine" / "model").name == "mine"
    assert fewvid.load(directory).name == "tiny"


def test_auto_gives_a_moving_clip_more_than_a_still_one(model, video):
    moving = model.look(video).clip
    still = dataclasses.replace(moving, frames=moving.frames[:1].repeat(4, axis=0))
    few, more = (
        model.answer(clip, QUESTION, keep="auto", max_tokens=3) for clip in (still, moving)
    )
    assert few.change == pytest.approx(0, abs=1e-6)
    assert (few.kept, few.read_per_frame) == (1, 1)
    assert more.change > 0.01
    assert more.kept == auto_keep.choose(more.change, 16)
    chosen = model.select(moving, keep="auto")
    assert (chosen.kept, chosen.change) == (more.kept, more.change)
    assert model.answer(moving, QUESTION, max_tokens=3).change is None


def test_auto_is_as_if_its_k_had_been_asked_for(model, video):
    talk = model.converse(video, keep="auto")
    asked = model.converse(video, keep=talk.view.kept)
    assert talk.ask(QUESTION).text == asked.ask(QUESTION).text
    np.testing.assert_array_equal(talk.view.chosen.indices, asked.view.chosen.indices)


def test_auto_says_where_the_decoder_has_no_room(model, video):
    clip = model.look(video, frames=12).clip
    many = dataclasses.replace(clip, frames=clip.frames.repeat(34, 0), times=clip.times.repeat(34))
    with pytest.raises(fewvid.UserError, match="use a smaller --frames or --keep"):
        model.converse(many, keep="auto")
