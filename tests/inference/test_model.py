"""`fewvid.load` and what the model does with a real file."""

import numpy as np
import pytest

import fewvid
from fewvid.data.clip import Clip

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


def test_keeping_all_runs_no_sampler(model, video):
    all_kept, default = (model.select(video, keep=keep) for keep in (16, None))
    np.testing.assert_array_equal(all_kept.indices, default.indices)
    assert default.indices.tolist() == [list(range(16))] * 4
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
    assert (first != other).any()


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
    with pytest.raises(fewvid.UserError, match="--keep 1 to 16"):
        model.answer(video, QUESTION, keep=17)
    with pytest.raises(fewvid.UserError, match="Did you mean 'stride'"):
        model.answer(video, QUESTION, keep=4, sampler="strid")


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


def test_the_tokenizer_is_there_when_asked_for(model):
    assert model.tokenizer.eos_token_id == model.chat.eos
