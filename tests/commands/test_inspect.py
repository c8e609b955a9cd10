"""`inspect` writes a picture and a line a frame."""

from PIL import Image

from fewvid.__main__ import main
from fewvid.samplers import SAMPLERS


def test_a_quarter_is_kept_where_nobody_says_how_many(directory, video, tmp_path, capsys):
    out = tmp_path / "a.png"
    assert main(["inspect", str(directory), str(video), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["frame", "time", "kept"]
    assert [line.split()[3] for line in lines[1:5]] == ["4"] * 4
    assert "4 of 16 tokens" in lines[5]
    assert lines[6].startswith(f"wrote {out}")
    with Image.open(out) as picture:
        assert picture.width > 700


def test_frames_of_a_budget_over_the_clip_have_their_own_numbers(
    directory, video, tmp_path, capsys
):
    given = ["inspect", str(directory), str(video), "--sampler", "temporal", "--frames", "6"]
    assert main([*given, "--out", str(tmp_path / "a.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    kept = [int(line.split()[3]) for line in lines[1:7]]
    assert kept[0] == 4
    assert sum(kept) == 24
    assert min(kept) < max(kept)
    assert f"4 of 16 tokens kept in each frame on average, {min(kept)} to {max(kept)}" in lines[7]


def test_keep_auto_stands_in_the_caption(directory, video, tmp_path, capsys):
    given = ["inspect", str(directory), str(video), "--out", str(tmp_path / "a.png")]
    assert main([*given, "--keep", "auto"]) == 0
    assert "kept in each frame (auto: change 0." in capsys.readouterr().out


def test_a_question_is_answered(directory, video, tmp_path, capsys):
    out, question = str(tmp_path / "a.png"), "How many?"
    assert main(["inspect", str(directory), str(video), "--out", out, "--question", question]) == 0
    assert capsys.readouterr().out.startswith(question)


def test_all_samplers_are_drawn_side_by_side(directory, video, tmp_path, capsys):
    given = ["inspect", str(directory), str(video), "--sampler", "all"]
    out = tmp_path / "all.png"
    assert main([*given, "--out", str(out), "--question", "How many?"]) == 0
    said = capsys.readouterr()
    rows = [line.split() for line in said.out.splitlines()]
    left_out = {name for name in SAMPLERS if f"{name}: " in said.err}
    assert [row[0] for row in rows[1:-1]] == [name for name in SAMPLERS if name not in left_out]
    assert all(row[1].endswith("%") for row in rows[1:-1])
    assert left_out <= {"dpp_text"}
    assert said.err.count("\n") == len(left_out) <= 1
    with Image.open(out) as picture:
        assert picture.height > 100 * len(rows)
    assert main([*given, "--out", str(out), "--keep", "16"]) == 2
    assert "all 16 tokens are kept; use a smaller --keep" in capsys.readouterr().err


def test_what_chooses_by_the_question_needs_it(directory, video, tmp_path, capsys):
    out = ["--out", str(tmp_path / "a.png"), "--sampler", "dpp_text"]
    assert main(["inspect", str(directory), "none.mp4", *out]) == 2
    err = capsys.readouterr().err
    assert "'dpp_text' chooses by the question and was given none; give --question" in err
    assert err.count("\n") == 1
    assert main(["inspect", str(directory), str(video), *out, "--question", "How many?"]) == 0
    assert "dpp_text" in capsys.readouterr().out


def test_an_empty_question_is_refused(directory, video, tmp_path, capsys):
    out = str(tmp_path / "a.png")
    assert main(["inspect", str(directory), str(video), "--out", out, "--question", ""]) == 2
    assert "the question is empty" in capsys.readouterr().err


def test_more_frames_than_a_picture_shows_are_refused(
    directory, video, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("fewvid.inference.overlay.MOST_FRAMES", 3)
    out = str(tmp_path / "a.png")
    assert main(["inspect", str(directory), str(video), "--out", out]) == 2
    assert "at most 3 frames, these are 4" in capsys.readouterr().err


def test_a_place_that_is_not_there_is_said_first(directory, video, tmp_path, capsys):
    out = str(tmp_path / "none" / "a.png")
    assert main(["inspect", str(directory), "none.mp4", "--out", out]) == 2
    assert "there is no folder" in capsys.readouterr().err
