"""A row laid out on the device is the row that the pipeline packs; questions are drawn fairly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.data.batches import pack_row, stack
from fewvid.data.shapes.questions import Question
from fewvid.data.tokenizer import Chat, train_tokenizer
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.studies.bank import NOTHING, Register, choose, lay_out

COLOUR = Question("colour", "What colour is the circle?", "red", ("red", "green", "blue"))
MOVES = Question("direction", "Which way does the small circle move?", "up", ("up", "down"))
COUNT = Question("count", "How many shapes are there?", "two", ("one", "two"))
ALL = [COLOUR, MOVES, COUNT]


@pytest.fixture(scope="module")
def asked():
    register = Register()
    numbers = register.asked([[COLOUR, MOVES], [COUNT], [MOVES, COLOUR, COUNT]])
    chat = Chat(train_tokenizer(register.texts(), 256))
    return register, chat, register.bank(chat), numbers


def test_questions_are_numbered_once(asked):
    register, _, bank, numbers = asked
    assert numbers.tolist() == [[0, 1, NOTHING], [2, NOTHING, NOTHING], [1, 0, 2]]
    assert register.questions == ALL
    assert bank.right.tolist() == [0, 0, 1]
    assert (np.asarray(bank.valid) != NOTHING).sum(axis=1).tolist() == [3, 2, 2]


def test_answers_that_begin_alike_are_refused():
    register = Register()
    register.asked([[Question("colour", "What?", "dark red", ("dark red", "dark blue"))]])
    with pytest.raises(UserError, match="begin with the same token"):
        register.bank(Chat(train_tokenizer(register.texts(), 256)))


def test_laid_out_rows_are_what_the_pipeline_packs(asked):
    _, chat, bank, _ = asked
    config = LvlmConfig.tiny()
    params = lvlm.init(config, jax.random.key(0))
    chosen = np.array([[0, 1, 2], [2, NOTHING, 1]])
    rows = []
    for row in chosen:
        segments = [
            [(chat.question_ids(ALL[i].text), chat.answer_ids(ALL[i].answer))]
            for i in row
            if i != NOTHING
        ]
        rows.append(pack_row(chat.prefix_ids(6), segments, length=64, answers=8).row)
    laid = lay_out(bank, jnp.asarray(chosen), 6, chat.bos, chat.visual)
    packed = stack(rows)
    for name in ("tokens", "positions"):  # but for the padding between segments
        for row in range(2):
            ours, theirs = (
                np.asarray(batch[name][row])[np.asarray(batch["segments"][row]) > 0]
                for batch in (laid, packed)
            )
            np.testing.assert_array_equal(ours, theirs)
    text = [lvlm.loss(config, params, batch, visual_id=99)[1] for batch in (laid, packed)]
    np.testing.assert_allclose(text[0]["loss"], text[1]["loss"], rtol=1e-5)
    assert text[0]["tokens"] == text[1]["tokens"] == 10


def test_drawn_questions_differ_and_weigh_what_they_should(asked):
    *_, numbers = asked
    weight = jnp.array([1.0, 3.0, 0.0])
    keys = jax.random.split(jax.random.key(0), 400)
    drawn = jax.vmap(lambda key: choose(key, jnp.asarray(numbers), weight, 2))(keys)
    drawn = np.asarray(drawn)
    assert (np.sort(drawn[:, 0]) == [0, 1]).all()  # both, in either order
    assert (drawn[:, 1] == NOTHING).all()  # its only question has no weight
    weight = jnp.array([0.0, 1.0, 0.0])
    again = choose(keys[0], jnp.asarray(numbers), weight, 3)
    assert again.tolist() == [[1, 1, 1], [NOTHING] * 3, [1, 1, 1]]
    first = drawn[:, 2, 0]
    assert set(first.tolist()) == {0, 1}
    assert (first == 1).mean() == pytest.approx(0.75, abs=0.06)
