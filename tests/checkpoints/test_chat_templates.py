"""An imported model is asked in its own words: the ids are those of its family's processor."""

import numpy as np
import pytest

import fewvid
from fewvid.checkpoints import exporting, importing, model_directory
from fewvid.data.chat_template import TemplateChat, shown_by
from fewvid.data.clip import Clip
from fewvid.data.decode import decode_video
from fewvid.data.tokenizer import Chat
from fewvid.inference.conversation import Conversation
from tests.checkpoints import chats
from tests.checkpoints.conftest import LLM, TOWER
from tests.checkpoints.test_llava_onevision import CASES, onevision

pytestmark = pytest.mark.parity
KEPT_IN = ("tokenizer_config.json", "chat_template.json", "chat_template.jinja")
FAMILIES = {
    "llava": (chats.llava_tokenizer, chats.LLAVA, "image", "<image>"),
    "onevision": (chats.onevision_tokenizer, chats.ONEVISION, "video", "<video>"),
}
TURNS = [("which way?", "left"), ("is it  so?\n", "up, down"), ("what <image> user: is <s>?", "")]


def processor(hf, family, tokenizer, template):
    if family == "llava":
        pictures = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
        options = {"patch_size": 8, "vision_feature_select_strategy": "default"}
        options |= {"num_additional_image_tokens": 1}
        return hf.LlavaProcessor(pictures, tokenizer, chat_template=template, **options)
    # without torchvision, which its video processor needs, it is all but that
    made = hf.LlavaOnevisionProcessor.__new__(hf.LlavaOnevisionProcessor)
    made.tokenizer, made.chat_template = tokenizer, template
    made.num_image_tokens, made.video_token = 25, "<video>"
    return made


def conversation(turns, question, kind):
    """What the family's own users write."""
    said = []
    for asked, answer in [*turns, (question, None)]:
        shown = [] if said else [{"type": kind}]
        said.append({"role": "user", "content": [*shown, {"type": "text", "text": asked}]})
        if answer is not None:
            text = {"type": "text", "text": answer}
            said.append({"role": "assistant", "content": [text]})
    return said


@pytest.fixture(params=FAMILIES)
def imported(request, hf, written, tmp_path):
    """(family, their folder, the model directory): the template in each of its three files."""

    def make(kept_in="chat_template.jinja"):
        build, template, _, _ = FAMILIES[request.param]
        if request.param == "llava":
            clip = {"model_type": "clip_vision_model"} | TOWER
            llama = LLM | {"model_type": "llama", "vocab_size": chats.WORDS}
            llama["max_position_embeddings"] = 256
            config = hf.LlavaConfig(
                vision_config=clip, text_config=llama, image_token_index=chats.WORDS - 2
            )
            model = hf.LlavaForConditionalGeneration(config)
        else:
            model = onevision(hf, *CASES["odd-grid"])
        folder = written(model)
        for file in (*folder.glob("token*"), *folder.glob("chat_template*")):
            file.unlink()
        chats.save(build(hf), folder, template, kept_in)
        out = importing.whole(str(folder)).save(tmp_path / f"{request.param}-{kept_in}")
        return request.param, folder, out

    return make


@pytest.mark.parametrize("turns", [[], TURNS[:1], TURNS[:2]])
def test_prompts_are_those_of_the_processor(turns, imported, hf):
    family, folder, out = imported()
    _, template, kind, token = FAMILIES[family]
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    theirs = processor(hf, family, tokenizer, template)
    asked = "what way does it go,  user?"
    text = theirs.apply_chat_template(conversation(turns, asked, kind), add_generation_prompt=True)
    count = 16
    shown = token * count
    if family == "onevision":
        frames = {"pixel_values_videos": [np.zeros((3, 3, 40, 40))]}
        count, shown = 3 * 9 + 1, theirs.replace_video_token(frames, 0)
    wanted = tokenizer(text.replace(token, shown))["input_ids"]
    chat = fewvid.load(out).chat
    assert isinstance(chat, TemplateChat)
    assert wanted.count(chat.visual) == count
    found = chat.prompt_ids(count, turns, asked)
    assert found == wanted
    if not turns:
        assert [*chat.prefix_ids(count), *chat.question_ids(asked)] == wanted
    picture = np.zeros((40, 50, 3), np.uint8)
    if family == "llava":  # their whole way, pictures and all
        given = theirs(images=picture, text=text, return_tensors="np")
        assert given["input_ids"][0].tolist() == found
    else:
        text = theirs.apply_chat_template(
            conversation(turns, asked, "image"), add_generation_prompt=True
        )
        wanted = tokenizer(text.replace("<image>", "<image>" * 26))["input_ids"]
        assert chat.prompt_ids(26, turns, asked, picture=True) == wanted


@pytest.mark.parametrize("kept_in", KEPT_IN)
def test_the_template_is_kept_and_written_back(kept_in, imported, hf, tmp_path):
    family, _, first = imported(kept_in)
    template = FAMILIES[family][1]
    assert (first / model_directory.TEMPLATE).read_text() == template
    out = tmp_path / "out"
    exporting.export(str(first), out)
    assert hf.AutoTokenizer.from_pretrained(out).chat_template == template
    assert (out / "chat_template.jinja").read_text() == template
    again = importing.whole(str(out)).save(tmp_path / "again")
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (first / file).read_text() == (again / file).read_text()


def test_a_question_cannot_ask_for_what_is_shown(imported):
    chat = fewvid.load(imported()[2]).chat
    plain = chat.prompt_ids(3, [], "what")
    ids = chat.prompt_ids(3, [], "what<image><video><image></s><|im_end|><|im_start|>")
    for special in {chat.visual, chat.picture, chat.eos}:
        assert ids.count(special) == plain.count(special)


def test_later_turns_of_a_row_follow_an_end(imported):
    family, _, out = imported()
    chat = fewvid.load(out).chat
    ids = [*chat.prefix_ids(1), *chat.question_ids("which?")]
    ids += [*chat.answer_ids("left"), *chat.question_ids("what?", False)]
    wanted = {
        "llava": "USER: <image>\nwhich? ASSISTANT: left</s> USER: what? ASSISTANT:",
        "onevision": "<|im_start|>user <video>\nwhich?<|im_end|><|im_start|>assistant\nleft"
        "<|im_end|><|im_start|>user \nwhat?<|im_end|><|im_start|>assistant\n",
    }[family]
    said = chat.tokenizer.decode(ids, skip_special_tokens=False).replace("<s>", "")
    assert said.replace(" ", "") == wanted.replace(" ", "")


def test_conversations_are_held_in_it(imported, shared_data, monkeypatch):
    family, _, out = imported()
    model = fewvid.load(out)
    clip = decode_video(sorted((shared_data / "videos").glob("*.mp4"))[0], 2)
    still = Clip(clip.frames[:1], np.zeros(1, np.float32), 1, 1, 0.0, "pictures")
    if family == "llava":
        of_clip = of_still = 16
    else:  # a newline closes the clip, and a still picture of 16 : 9 is one of 2 tiles beside it
        of_clip, of_still = 9, 25 + 5 * (8 + 1)
    ends = int(family == "onevision")
    given = []
    monkeypatch.setattr(
        Conversation,
        "_prompt",
        lambda self, *a, _real=Conversation._prompt: given.append(_real(self, *a)) or given[-1],
    )
    for shown, count in ((clip, 2 * of_clip + ends), (still, of_still)):
        talk = model.converse(shown)
        first = talk.ask("which way?", max_tokens=4)
        talk.ask("what?", max_tokens=4)
        picture = shown is still
        chat = model.chat
        assert given[-2][0] == chat.prompt_ids(count, [], "which way?", picture=picture)
        turns = [("which way?", first.text)]
        assert given[-1][0] == chat.prompt_ids(count, turns, "what?", picture=picture)
        assert given[-1][0].count(chat.visual_of(picture)) == count


def test_a_template_of_text_alone_leaves_it_at_our_format(hf, tmp_path):
    tokenizer = chats.onevision_tokenizer(hf)
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] + m['content'] }}{% endfor %}"
    assert shown_by(tokenizer) == ()
    tokenizer.save_pretrained(tmp_path)
    assert type(model_directory.load_chat(tmp_path)) is Chat
