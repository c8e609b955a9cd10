"""The world's files: the same bytes for a seed, splits apart, records that say what is asked."""

import hashlib
import json

import numpy as np
import pytest

from fewvid.data.decode import decode_video
from fewvid.data.images import load_image
from fewvid.data.manifest import read_manifest
from fewvid.data.shapes import write_world
from fewvid.data.shapes.questions import CHANCE, STATIC, TEMPORAL
from fewvid.data.shapes.render import render
from fewvid.data.shapes.world import FRAMES, World, album_of, scene_of
from fewvid.errors import UserError

WORLD = World(clips=5, images=7, seed=2)


def write(out, **changes):
    options = {"clips": WORLD.clips, "images": WORLD.images, "seed": WORLD.seed, "things": 2}
    write_world(out, **{**options, **changes}, workers=1)
    return out


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write(tmp_path_factory.mktemp("world") / "w")


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def records(folder, split, name):
    return json.loads((folder / split / f"{name}.json").read_text())


def test_the_same_seed_gives_the_same_bytes(world, tmp_path):
    np.random.default_rng(0).random(10_000)
    write(tmp_path / "other", clips=3, images=0, seed=9, things=3)
    junk = [bytearray(1 << 20) for _ in range(16)]  # memory is not the same as it was
    again = write(tmp_path / "again")
    del junk
    assert digests(again) == digests(world)
    other = digests(write(tmp_path / "seed", seed=3))
    assert all(other[name] != digest for name, digest in digests(world).items())


def test_a_larger_world_begins_with_the_smaller(world, tmp_path):
    larger = write(tmp_path / "larger", clips=8, images=9)
    small, large = digests(world), digests(larger)
    media = [name for name in small if name.endswith((".mp4", ".png"))]
    assert media
    assert all(large[name] == small[name] for name in media)
    for name in ("videos", "images", "video_captions", "image_captions"):
        few, many = (records(folder, "train", name) for folder in (world, larger))
        assert many[: len(few)] == few
        assert len(many) > len(few)


def test_splits_share_no_file(world):
    found = digests(world)
    media = [digest for name, digest in found.items() if name.endswith((".mp4", ".png"))]
    assert len(media) == 5 + 7 + 4 * 16 == len(set(media))
    scenes = [
        scene_of(World(50, 50), split, medium, index)[0].look_seed
        for split in ("train", "validation", "test")
        for medium in ("video", "image")
        for index in range(100)
    ]
    assert len(set(scenes)) == 600


def test_records_say_what_is_asked(world):
    for medium, mark in (("video", "<video>\n"), ("image", "<image>\n")):
        for record in records(world, "train", f"{medium}s"):
            assert record.keys() == {
                "id", medium, "kind", "dimension", "answers", "conversations",
            }  # fmt: skip
            asked, answered = record["conversations"]
            assert (asked["from"], answered["from"]) == ("human", "gpt")
            assert asked["value"].startswith(mark)
            assert answered["value"] in record["answers"]
            assert record["kind"] == ("temporal" if record["dimension"] in TEMPORAL else "static")
            assert (world / "train" / record[medium]).is_file()
    ids = [r["id"] for split in ("train", "test") for r in records(world, split, "videos")]
    assert len(set(ids)) == len(ids)
    samples = read_manifest(world / "train" / "videos.json")
    assert len(samples) == len(records(world, "train", "videos"))
    assert {s.kind for s in samples} == {"static", "temporal"}


def test_files_show_the_scenes(world):
    scene, _ = scene_of(WORLD, "train", "video", 1)
    clip = decode_video(world / "train" / "videos" / "000001.mp4", None)
    assert clip.frames.shape == (8, 64, 64, 3)
    np.testing.assert_allclose(clip.times, np.arange(8) / 4, atol=1e-3)
    error = np.abs(clip.frames.astype(int) - render(scene))
    assert error.mean() < 6  # H.264 halves the colours' resolution
    scene, _ = scene_of(WORLD, "train", "image", 1)
    picture = load_image(world / "train" / "images" / "000001.png")
    assert np.abs(picture.astype(int) - render(scene)[0]).mean() < 6


@pytest.mark.parametrize("things", [2, 3])
def test_the_world_states_its_chances(tmp_path, things):
    about = json.loads((write(tmp_path / "w", clips=1, things=things) / "world.json").read_text())
    assert about["chance"] == {**CHANCE, "count": pytest.approx(1 / things)}
    assert set(about["chance"]) == set(STATIC) | set(TEMPORAL)
    assert World(**about["world"]) == World(clips=1, images=7, seed=2, things=things)
    assert about["samples"]["train"] == {"video": 1, "image": 7, "album": 0}
    assert about["samples"]["test"] == {"video": 16, "image": 16, "album": 0}


def test_a_world_of_one_thing_is_asked_nothing_of_several(tmp_path):
    out = write(tmp_path / "w", clips=1, things=1)
    about = json.loads((out / "world.json").read_text())
    assert {*about["static"], *about["temporal"]} == set(about["chance"])
    assert set(CHANCE) - set(about["chance"]) == {"count", "relation", "order"}
    assert not {r["dimension"] for r in records(out, "test", "images")} & {"count", "relation"}


def test_a_world_already_there_is_left_alone(world):
    before = (world / "world.json").stat().st_mtime_ns
    write(world)
    assert (world / "world.json").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="holds another world"):
        write(world, clips=6)


def test_progress_counts_every_sample(tmp_path):
    calls = []
    write_world(tmp_path / "w", clips=0, images=60, workers=1, progress=lambda *x: calls.append(x))
    assert calls[-1] == (92, 92)  # 60, 16 and 16
    assert not (tmp_path / "w" / "train" / "videos").exists()
    assert not (tmp_path / ".w.making").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clips": 0, "images": 0}, "needs clips or images"),
        ({"clips": -1}, "--clips -1"),
        ({"seed": -1}, "--seed is -1, must be"),
        ({"things": 0}, "1 to 3 things: got --things 0"),
        ({"things": 4}, "1 to 3 things: got --things 4"),
    ],
)
def test_worlds_that_cannot_be_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path / "w", **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_world_that_fails_leaves_nothing(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_world(tmp_path / "w", clips=0, images=1, workers=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match="not a world of shapes"):
        write(tmp_path / "w")
    assert (tmp_path / "w" / "mine.txt").read_text() == "kept"
    with pytest.raises(UserError, match="not a world of shapes"):
        write(tmp_path / "w" / "mine.txt")


def test_albums_ask_of_pictures_alone_and_of_the_right_one():
    world = World(0, 0, seed=4, albums=6)
    scenes, questions = album_of(world, "train", 0)
    assert len(set(scenes)) == len(scenes) == FRAMES
    assert {question.kind for question in questions} == {"static"}
    for when, scene in (("start", scenes[0]), ("end", scenes[-1])):
        asked = [q for q in questions if q.text.endswith(f"at the {when}?")]
        count = next(q for q in asked if q.dimension == "count")
        assert count.answer == ("one", "two")[len(scene.things) - 1]
    still, plain = album_of(world, "train", 1)
    assert len(set(still)) == 1
    assert not any("at the" in question.text for question in plain)


def test_albums_are_written_as_clips_only_where_asked_for(tmp_path):
    write_world(tmp_path / "with", clips=0, images=1, albums=2, seed=0)
    write_world(tmp_path / "without", clips=0, images=1, seed=0)
    assert len(list((tmp_path / "with/train/albums").glob("*.mp4"))) == 2
    assert not (tmp_path / "without/train/albums.json").exists()
    pictures = [tmp_path / name / "train/images/000000.png" for name in ("with", "without")]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
