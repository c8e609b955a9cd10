"""Manifests are read or refused by name; groups and fractions are what they say."""

import json
from collections import Counter
from pathlib import Path

import pytest

from fewvid.data.manifest import group_by_media, read_manifest, subset
from fewvid.data.sample import Sample, Turn
from fewvid.errors import UserError


def test_json_and_jsonl_give_the_same_samples(tmp_path, record):
    records = [
        record(0, "<image>\nq", "a", image="x/0.png", kind="static", dimension="colour"),
        record(1, "q", "b", video="1.mp4", answers=["a", "b"], unknown_key=3),
        record(2, "q", "c"),
    ]
    (tmp_path / "m.json").write_text(json.dumps(records))
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
    image, video, text = read_manifest(tmp_path / "m.json")
    assert [image, video, text] == read_manifest(tmp_path / "m.jsonl")
    assert image.media == tmp_path / "x/0.png"
    assert (image.media_type, image.kind, image.dimension) == ("image", "static", "colour")
    assert (video.media_type, video.answers, video.kind) == ("video", ("a", "b"), None)
    assert (text.media, text.media_type, text.turns) == (None, "text", (Turn("q", "c"),))


def test_media_may_lie_elsewhere(tmp_path, record):
    (tmp_path / "m.json").write_text(json.dumps([record(0, "q", "a", image="0.png")]))
    assert read_manifest(tmp_path / "m.json", "/other")[0].media == Path("/other/0.png")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": "a", "video": "b"}, "both 'image' and 'video'"),
        ({"image": 3}, "key 'image'"),
        ({"kind": "temporl"}, "Did you mean 'temporal'"),
        ({"answers": "left"}, "key 'answers'"),
        ({"dimension": 1}, "key 'dimension'"),
        ({"conversations": None}, "'conversations'"),
    ],
)
def test_mistakes_name_file_record_and_key(tmp_path, record, change, says):
    records = [record(0, "q", "a"), record(1, "q", "a") | change]
    (tmp_path / "m.json").write_text(json.dumps(records))
    with pytest.raises(UserError, match=says) as error:
        read_manifest(tmp_path / "m.json")
    assert "m.json, record 1" in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "no records"), ("[]", "no records"), ("[{", "not valid JSON"), ('{"a":1}\n{', "line 2")],
)
def test_a_broken_file_is_one_clear_error(tmp_path, text, says):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(UserError, match=says):
        read_manifest(tmp_path / "m.json")


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match="no manifest at"):
        read_manifest(tmp_path / "m.json")


def sample(number, media=None, dimension="colour", system=None):
    path = Path(media) if media else None
    turns = (Turn("q", "a"),)
    return Sample(str(number), path, "image", turns, "static", dimension, system=system)


def test_groups_share_a_file_and_a_system_text():
    samples = [sample(0, "a"), sample(1), sample(2, "b"), sample(3, "a"), sample(4)]
    samples.append(sample(5, "a", system="be brief"))
    groups = [[s.id for s in group] for group in group_by_media(samples)]
    assert groups == [["0", "3"], ["1"], ["2"], ["4"], ["5"]]


def test_fractions_are_nested_and_keep_every_dimension_in_its_share():
    share = {"colour": 700, "count": 250, "speed": 50}
    groups = [(sample(f"{d}{i}", f"{d}{i}", d),) for d, n in share.items() for i in range(n)]
    one, ten, all_ = (subset(groups, fraction, seed=3) for fraction in (0.01, 0.1, 1.0))
    assert set(one) < set(ten) < set(all_)
    assert (len(one), len(ten), all_) == (10, 100, groups)
    counts = Counter(group[0].dimension for group in ten)
    for dimension, number in share.items():
        assert abs(counts[dimension] - number / 10) <= 1
    assert subset(groups, 0.1, seed=4) != ten
    assert subset(groups, 0.1, seed=3) == ten


def test_a_group_counts_as_its_rarest_dimension():
    groups = [
        (sample(i, str(i)), sample(i, str(i), "rare" if i % 20 == 0 else "count"))
        for i in range(400)
    ]
    for seed in range(5):
        ten = subset(groups, 0.1, seed)
        assert sum(group[1].dimension == "rare" for group in ten) == 2


def test_many_dimensions_of_one_group_do_not_crowd_out_the_rest():
    groups = [(sample(i, str(i), f"d{i}" if i < 100 else "colour"),) for i in range(1000)]
    for seed in range(3):
        single = sum(group[0].dimension != "colour" for group in subset(groups, 0.1, seed))
        assert 1 <= single <= 25  # 10 of 100, give or take


def test_a_fraction_outside_0_to_1_is_refused():
    with pytest.raises(UserError, match=r"got 10"):
        subset([(sample(0),)], 10)
    with pytest.raises(UserError, match=r"fraction 0\.1 of 4 files is none; set it to 0\.25"):
        subset([(sample(i),) for i in range(4)], 0.1)
