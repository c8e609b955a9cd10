"""LLaVA messages become turns; what is wrong with them is named."""

import pytest

from fewvid.data.conversations import read_conversation, strip_markers
from fewvid.data.sample import Turn
from fewvid.errors import UserError


def message(role, text):
    return {"from": role, "value": text}


def test_several_turns_stay_one_conversation():
    messages = [
        message("system", "be brief"),
        message("human", "<video>\nhow many?"),
        message("gpt", " two "),
        message("user", "which?"),
        message("assistant", "left"),
    ]
    system, turns = read_conversation(messages, "m.json, record 0")
    assert system == "be brief"
    assert turns == (Turn("how many?", "two"), Turn("which?", "left"))


@pytest.mark.parametrize("text", ["<image>\nwhat?", "what?\n<image>", "<video> <image>what?"])
def test_markers_go_wherever_they_stand(text):
    assert strip_markers(text) == "what?"


def test_a_marker_in_the_middle_leaves_a_space():
    assert strip_markers("in <image> what?") == "in what?"


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([message("human", "q")], "without an answer"),
        ([message("gpt", "a")], "answers no question"),
        ([message("human", "q"), message("human", "q")], "second question"),
        ([message("humman", "q"), message("gpt", "a")], "Did you mean 'human'"),
        ([{"from": "human"}], "key 'value'"),
        ([], "'conversations'"),
        ("text", "'conversations'"),
        (["text"], "must be an object"),
    ],
)
def test_mistakes_name_the_record_and_the_key(messages, says):
    with pytest.raises(UserError, match=says) as error:
        read_conversation(messages, "m.json, record 7")
    assert "m.json, record 7" in str(error.value)
