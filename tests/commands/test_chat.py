"""`chat` as a user runs it: the answer on stdout, all else on stderr, mistakes before the work."""

import io
import json
import subprocess
import sys
import time

import pytest
from PIL import Image

from fewvid.__main__ import main

QUESTION = "Which way does the red circle move?"


@pytest.fixture
def chat(directory, video):
    """Runs `chat MODEL VIDEO ...` with a small budget."""
    return lambda *more: main(
        ["chat", str(directory), str(video), *more, "--keep", "4", "--max-tokens", "4"]
    )


def test_json_is_one_object_and_nothing_else(chat, video, capsys):
    assert chat(QUESTION, "--json", "--frames", "20") == 0
    out, err = capsys.readouterr()
    got = json.loads(out)
    assert out.count("\n") == 1
    assert err == ""
    assert (got["question"], got["video"], got["model"]) == (QUESTION, str(video), "tiny")
    assert (got["frames"], got["tokens_per_frame"], got["kept_per_frame"]) == (12, 16, 4)
    assert got["sampler"] == "attention"
    assert any("12" in note for note in got["notes"])
    parts = "decode encode select adapt prefill generate compile load"
    assert set(got["milliseconds"]) == set(parts.split())
    assert min(got["milliseconds"].values()) > 0


def test_the_answer_is_printed_and_the_picture_written(chat, tmp_path, capsys):
    assert chat(QUESTION, "--overlay", str(tmp_path / "a.png"), "--frames", "20") == 0
    out, err = capsys.readouterr()
    assert out.strip()
    assert out.count("\n") == 1
    assert "note: " in err
    assert "a.png" in err
    assert Image.open(tmp_path / "a.png").width > 700


def test_keep_auto_says_what_it_chose(directory, video, capsys, monkeypatch):
    given = ["chat", str(directory), str(video), "--keep", "auto", "--max-tokens", "4"]
    assert main([*given, QUESTION, "--json"]) == 0
    out, err = capsys.readouterr()
    got = json.loads(out)
    assert err == ""
    assert got["change"] > 0
    said = f"4 frames of {video}, {got['kept_per_frame']} tokens kept of each (auto: change 0."
    assert main([*given, QUESTION]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert err.startswith(said.replace("1 tokens", "1 token"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("How many?"))
    assert main(given) == 0
    assert capsys.readouterr().err.startswith(said.replace("1 tokens", "1 token"))


def test_the_question_may_follow_the_flags(directory, video, capsys):
    given = ["--keep", "4", "--max-tokens", "4", QUESTION]
    assert main(["chat", str(directory), str(video), *given]) == 0
    assert capsys.readouterr().out.strip()


def test_a_conversation_ends_with_exit(chat, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\n\nHow many?\nexit\nno\n"))
    assert chat() == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_the_question_chooses_and_in_a_conversation_the_first(chat, tmp_path, monkeypatch, capsys):
    assert chat(QUESTION, "--sampler", "dpp_text", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sampler"] == "dpp_text"
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\nHow many?\nexit\n"))
    assert chat("--sampler", "dpp_text", "--overlay", str(tmp_path / "a.png")) == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_a_conversation_ends_with_the_input(chat, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("How many?"))
    assert chat() == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_a_question_that_is_too_long_does_not_end_the_conversation(chat, monkeypatch, capsys):
    long = "word " * 400
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{long}\nHow many?\n"))
    assert chat() == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert err.count("fewvid: error: ") == 1
    assert "ask in fewer words" in err


def test_a_conversation_draws_a_picture_an_answer(chat, tmp_path, monkeypatch, capsys):
    long = "word " * 400
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\n{long}\nHow many?\n"))
    assert chat("--overlay", str(tmp_path / "a.png")) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"a.png", "a-2.png"}
    assert f"wrote {tmp_path / 'a-2.png'}" in capsys.readouterr().err


def test_a_picture_has_one_frame_unless_more_are_asked_for(directory, tmp_path, capsys):
    Image.new("RGB", (64, 48), (250, 120, 20)).save(tmp_path / "a.jpg")
    given = ["chat", str(directory), str(tmp_path / "a.jpg"), "How many?", "--max-tokens", "2"]
    assert main(given) == 0
    assert "note" not in capsys.readouterr().err
    assert main([*given, "--frames", "8"]) == 0
    assert "8 frames were asked for, 1 exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "shape5"}, "no model directory"),
        ({"video": "none.mp4"}, "none.mp4"),
        ({"more": ["--keep", "17"]}, "--keep 1 to 16"),
        ({"more": ["--keep", "0"]}, "--keep 1 to 16, or auto"),
        ({"more": ["--keep", "autp"]}, "--keep: must be 1 to N or 'auto', got 'autp'"),
        ({"more": ["--frames", "0"]}, "--frames"),
        ({"more": ["--sampler", "atention", "--keep", "4"]}, "Did you mean 'attention'"),
        ({"more": ["--backend", "pyva"]}, "Did you mean 'pyav'"),
        ({"more": ["--max-tokens", "0"]}, "--max-tokens"),
        ({"more": ["--temperature", "nan"]}, "--temperature"),
        ({"more": ["--temperature", "inf"]}, "--temperature"),
        ({"more": ["--seed", "99999999999999999999"]}, "--seed is"),
        ({"more": ["--seed", "-1"]}, "--seed is"),
        ({"question": [""]}, "the question is empty"),
        ({"question": [" "]}, "the question is empty"),
        ({"video": "https://a.org/b.mp4"}, "https://a.org/b.mp4: videos are read from disk"),
        ({"video": ""}, "the path of the video is empty"),
        ({"video": "none.mp4", "more": ["--sampler", "strid"]}, "Did you mean 'stride'"),
        ({"more": ["--overlay", "none/a.png"]}, "no folder none"),
        ({"more": ["--json"], "question": []}, "--json"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(directory, video, change, said, capsys):
    given = {"model": str(directory), "video": str(video), "question": ["How many?"], "more": []}
    given |= change
    code = main(["chat", given["model"], given["video"], *given["question"], *given["more"]])
    err = capsys.readouterr().err
    assert code == 2
    assert err.startswith("fewvid: error: ")
    assert err.count("\n") == 1
    assert said in err


def test_a_bad_video_is_said_before_jax_is_imported(directory, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    code = (
        "import sys; from fewvid.__main__ import main\n"
        f"rc = main(['chat', {str(directory)!r}, {str(tmp_path / 'a.mp4')!r}, 'How many?'])\n"
        "assert 'jax' not in sys.modules; sys.exit(rc)"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "a.mp4" in done.stderr
    assert time.monotonic() - start < 10
