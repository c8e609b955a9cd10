"""`data shapes` as a user types it."""

import json

import pytest

from fewvid.__main__ import main


def shapes(out, *more):
    return main(["data", "shapes", "--out", str(out), "--clips", "2", "--images", "3", *more])


def test_writes_a_world_and_says_what_is_in_it(tmp_path, capsys):
    assert shapes(tmp_path / "world") == 0
    said = capsys.readouterr().out
    assert "2 clips, 3 images" in said
    assert "direction 0.25" in said
    records = json.loads((tmp_path / "world/train/videos.json").read_text())
    assert {record["video"] for record in records} == {"videos/000000.mp4", "videos/000001.mp4"}
    assert {record["kind"] for record in records} == {"static", "temporal"}


def test_leaves_what_is_there_alone(tmp_path, capsys):
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    assert shapes(tmp_path) == 2
    assert "--out" in capsys.readouterr().err
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    "wrong",
    [["--things", "9"], ["--clips", "-1"], ["--seed", "-1"], ["--seed", "9" * 20], ["--seed", "a"]],
)
def test_says_which_number_is_wrong(tmp_path, capsys, wrong):
    assert shapes(tmp_path / "world", *wrong) == 2
    error = capsys.readouterr().err
    assert wrong[0] in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_every_flag_has_help(capsys):
    with pytest.raises(SystemExit):
        main(["data", "shapes", "--help"])
    assert "which world" in capsys.readouterr().out
