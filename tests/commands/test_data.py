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


def test_writes_a_variant_and_tells_it_from_the_plain_world(tmp_path, capsys):
    flags = ["--look", "alt", "--frames", "16", "--motion", "fast"]
    flags += ["--clutter", "12", "--scale", "small"]
    assert shapes(tmp_path / "world", *flags) == 0
    said = capsys.readouterr().out
    assert "direction 0.25" in said
    assert "speed" not in said
    about = json.loads((tmp_path / "world/world.json").read_text())
    assert about["frames"] == 16
    assert about["world"]["variant"] == {
        "frames": 16, "motion": "fast", "clutter": 12, "scale": "small", "look": "alt",
    }  # fmt: skip
    assert shapes(tmp_path / "world", *flags) == 0
    assert shapes(tmp_path / "world") == 2
    assert "another world" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--things", "9"],
        ["--clips", "-1"],
        ["--seed", "-1"],
        ["--seed", "9" * 20],
        ["--seed", "a"],
        ["--look", "other"],
        ["--frames", "1"],
        ["--frames", "5"],
        ["--motion", "quick"],
        ["--clutter", "-1"],
        ["--scale", "tiny"],
    ],
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
