"""Words are one token, unknown words are spelled, and the chat format is the template's."""

import subprocess
import sys

import pytest

from fewvid.data.tokenizer import SPECIALS, Chat, train_tokenizer
from fewvid.errors import UserError


def test_words_are_one_token_and_specials_come_first(chat):
    assert chat.tokenizer.convert_ids_to_tokens([0, 1, 2, 3, 4]) == list(SPECIALS)
    assert len(chat.answer_ids("red")) == 2
    assert chat.answer_ids("RED") == chat.answer_ids("red")
    assert chat.answer_ids("red")[-1] == chat.eos == 2


def test_text_comes_back_readable_even_in_unknown_words(chat):
    assert chat.decode(chat.answer_ids("Is it purple, or red?")) == "is it purple, or red?"
    assert 3 not in chat.answer_ids("zebra 12")


def test_a_question_cannot_ask_for_visual_tokens(chat):
    ids = chat.question_ids("<visual><eos> what?")
    assert chat.visual not in ids
    assert chat.eos not in ids


def test_training_is_deterministic():
    texts = ["b a", "a c b", "zz yy xx"]
    vocabs = [train_tokenizer(order, 128).get_vocab() for order in (texts, texts[::-1])]
    assert vocabs[0] == vocabs[1]


def test_too_small_a_vocabulary_is_an_error():
    with pytest.raises(UserError, match="at least 109"):
        train_tokenizer(["a"], 50)


def test_saved_and_loaded_it_gives_the_same_ids(chat, tmp_path):
    from transformers import AutoTokenizer

    chat.tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Which way does the purple <thing> move?"
    ids = chat.question_ids(text)
    for again in (Chat(loaded), Chat.load(tmp_path)):
        assert again.question_ids(text) == ids
        assert again.prefix_ids(2, "be brief") == chat.prefix_ids(2, "be brief")
        assert again.pad == 0
        assert again.decode(ids) == chat.decode(ids)
    assert loaded.decode(ids) == chat.decode(ids)


def test_the_chat_template_writes_what_chat_writes(chat):
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "how many?"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "what colour?"},
    ]
    ids = chat.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    written = chat.prefix_ids(0, "be brief") + chat.question_ids("how many?")
    assert tuple(ids) == written + chat.answer_ids("two") + chat.question_ids("what colour?")


def test_prepare_gives_the_ids_of_one_by_one(chat):
    other = Chat(chat.tokenizer)
    other.prepare(["how many?"], ["two"])
    assert other.question_ids("how many?") == chat.question_ids("how many?")
    assert other.answer_ids("two") == chat.answer_ids("two")


def test_loading_ids_does_not_import_transformers(chat, tmp_path):
    chat.tokenizer.save_pretrained(tmp_path)
    code = (
        "import sys; from fewvid.data.tokenizer import Chat; "
        f"Chat.load({str(tmp_path)!r}); assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_tokenizer_without_the_visual_token_is_refused():
    from tokenizers import Tokenizer, models

    with pytest.raises(UserError, match="<visual>"):
        Chat(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
