"""Places that cannot be written are said before the work, and nothing is left from finding out."""

import argparse
import os

import pytest

from fewvid.__main__ import main
from fewvid.commands import places
from fewvid.errors import UserError


@pytest.fixture
def kept(tmp_path):
    """A file that is somebody's."""
    file = tmp_path / "kept.png"
    file.write_text("mine")
    return file


def test_a_folder_that_can_be_made_is_not_made(tmp_path):
    places.check_folder(tmp_path, "--out")
    places.check_folder(tmp_path / "a" / "b", "--out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("kept.png", "kept.png is a file, wanted a folder; choose another --out"),
        ("kept.png/x/y", "kept.png is a file, wanted a folder"),
        ("/proc/x", "/proc/x cannot be written"),
        ("/proc", "/proc cannot be written"),
        ("n" * 300, "file name too long"),
    ],
)
def test_a_folder_that_cannot_be_made_is_said(tmp_path, kept, where, said):
    with pytest.raises(UserError, match=said):
        places.check_folder(tmp_path / where, "--out")
    assert kept.read_text() == "mine"


def test_a_file_that_can_be_written_is_left_as_it_is(tmp_path, kept):
    places.check_picture(kept, "--out")
    places.check_picture(tmp_path / "new.webp", "--out")
    places.check_file(tmp_path / "new.json", "--json")
    places.check_file(type(kept)(os.devnull), "--json")
    assert [file.name for file in tmp_path.iterdir()] == ["kept.png"]
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("none/a.png", "there is no folder .*none; make it first"),
        ("kept.png/a.png", "there is no folder .*kept.png"),
        ("/proc/a.png", "--out /proc/a.png cannot be written"),
        ("folder.png", "is a folder; give the name of a file in it"),
        ("n" * 300 + ".png", "file name too long"),
        ("a.pgn", r"must end in \.png, .* Did you mean '.png'"),
    ],
)
def test_a_picture_that_cannot_be_written_is_said(tmp_path, kept, where, said):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match=said):
        places.check_picture(tmp_path / where, "--out")


def test_an_empty_path_is_not_the_current_folder():
    assert str(places.path(".")) == "."
    for text in ("", "  "):
        with pytest.raises(argparse.ArgumentTypeError, match="the path is empty"):
            places.path(text)


@pytest.mark.parametrize("place", ["", "kept.png", "kept.png/x", "/proc/x"])
@pytest.mark.parametrize(
    "command",
    [
        ["train", "--config", "configs/s3_iv.py:tiny", "--workdir"],
        ["data", "shapes", "--clips", "1", "--images", "1", "--out"],
        ["inspect", "shapes", "none.mp4", "--out"],
        ["chat", "shapes", "none.mp4", "How many?", "--overlay"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_says_it_first(tmp_path, kept, command, place, capsys, request):
    picture = command[0] in ("inspect", "chat")
    if picture and place == "kept.png":
        pytest.skip("a picture may be written over")
    where = str(tmp_path / place) if place else ""
    command = [word.replace("configs/", f"{request.config.rootpath}/configs/") for word in command]
    assert main([*command, f"{where}/a.png" if picture and place else where]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fewvid: error: ")
    assert error.count("\n") == 1
    assert command[-1] in error
    assert "none.mp4" not in error
    assert kept.read_text() == "mine"
