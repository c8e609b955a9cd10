"""A table on the device gives the rows that the streaming loader's parts would."""

import dataclasses
import json

import numpy as np
import pytest

from fewvid.data import resident
from fewvid.data.features import FeatureStore
from fewvid.data.media import BadSamples, frame_reader
from fewvid.data.mixtures import Source, read_source
from fewvid.data.rows import Rows
from fewvid.errors import UserError


@pytest.fixture
def sources(tmp_path, write_images, write_videos):
    images, videos = write_images(tmp_path / "i", 6), write_videos(tmp_path / "v", 3)
    return [Source(images, 0.75), Source(videos, 0.25)]


def build(sources, shape, chat, **options):
    return resident.build(sources, shape, chat, **{"seed": 1, "draws": 2, "threads": 1, **options})


def take(iterator, count):
    return [next(iterator)["row"].tolist() for _ in range(count)]


def test_gathered_rows_are_the_streaming_ones(sources, shape, chat):
    data = build(sources, shape, chat)
    assert data.spans == ((0, 12), (12, 18))
    groups = [read_source(source) for source in sources]
    read = frame_reader(shape.frames, shape.image_size)
    rows = Rows(groups, shape, chat, read, None, BadSamples())
    number = 0
    for source, found in enumerate(groups):
        for place, group in enumerate(found):
            rng = np.random.default_rng((1, source, place))
            visual = rows.read(group[0])
            for _ in range(2):
                expected = rows.text_row(group, len(visual.times), rng)
                expected |= rows.times(visual) | rows._frames(visual)
                batch = resident.gather(data.table, np.array([number]))
                assert batch.keys() == expected.keys()
                count = len(visual.times)
                for key, value in expected.items():
                    got = np.asarray(batch[key][0])
                    assert got.dtype == value.dtype, key
                    if key == "pixels":  # after them stand others, which nothing reads
                        got, value = got[:count], value[:count]
                    np.testing.assert_array_equal(got, value, err_msg=key)
                number += 1
    draws = [data.table["answer_tokens"][i].tolist() for i in range(12)]
    assert any(draws[i] != draws[i + 1] for i in range(0, 12, 2))


def test_a_batch_is_a_function_of_its_number(sources, shape, chat):
    data = build(sources, shape, chat)
    iterator = data.iterator(seed=3)
    take(iterator, 3)
    state = json.loads(json.dumps(iterator.get_state()))
    rest = take(iterator, 9)
    again = data.iterator(seed=3)
    again.set_state(state)
    assert take(again, 9) == rest
    assert take(data.iterator(seed=4), 9) != take(data.iterator(seed=3), 9)


def test_shares_follow_weights_and_every_row_comes_once_an_epoch(sources, shape, chat):
    data = build(sources, shape, chat)
    batches = take(data.iterator(seed=0), 12)  # 3 images and 1 clip each: 12 and 6 rows
    assert all(sum(row < 12 for row in batch) == 3 for batch in batches)
    images = [row for batch in batches for row in batch if row < 12]
    clips = [row for batch in batches for row in batch if row >= 12]
    epochs = [images[i : i + 12] for i in range(0, 36, 12)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert sorted(clips[:6]) == sorted(clips[6:]) == list(range(12, 18))


@pytest.mark.parametrize(
    ("weights", "size", "expected"),
    [
        ((1, 1), 4, [2, 2]),
        ((0.75, 0.25), 4, [3, 1]),
        ((1, 100), 4, [1, 3]),
        ((1, 1, 1), 4, [2, 1, 1]),
        ((1, 6), 192, [27, 165]),
    ],
)
def test_every_source_has_a_share(weights, size, expected):
    assert resident._shares(weights, size) == expected


def test_hosts_share_the_rows_of_each_batch(sources, shape, chat):
    data = build(sources, shape, chat)
    whole = take(data.iterator(seed=2), 5)
    for rows in ([0, 1], [2, 3]):
        part = take(data.iterator(2, rows), 5)
        assert part == [[batch[row] for row in rows] for batch in whole]
    with pytest.raises(UserError, match=r"rows \[4\] of a batch of 4"):
        data.iterator(2, [4])


def test_sources_of_the_same_files_share_their_frames(sources, shape, chat):
    once, twice = (build(sources[:1] * n, shape, chat) for n in (1, 2))
    assert len(twice.table["tokens"]) == 2 * len(once.table["tokens"])
    np.testing.assert_array_equal(twice.table["pixels"], once.table["pixels"])
    np.testing.assert_array_equal(twice.table["frames"][12:], twice.table["frames"][:12])


def test_features_take_the_place_of_pixels(sources, shape, chat):
    groups = [group for source in sources for group in read_source(source)]
    store = FeatureStore.build(
        groups, shape, lambda p: (p.mean((2, 4))[..., None, :8] + [[1.0]], p.mean((2, 3)))
    )
    data = build(sources, shape, chat, features=store)
    batch = resident.gather(data.table, np.array([4, 13]))
    assert "pixels" not in batch
    for at, group in ((0, groups[2]), (1, groups[6])):
        cached = store.get(group[0])
        count = len(cached.times)
        np.testing.assert_array_equal(batch["feature_tokens"][at, :count], cached.tokens)
        np.testing.assert_array_equal(batch["feature_response"][at, :count], cached.response)


def test_what_is_too_large_says_what_to_change(sources, shape, chat):
    with pytest.raises(UserError, match=r"over the limit of 0\.0 GiB; set resident=False"):
        build(sources, shape, chat, limit_bytes=1000)


def test_more_sources_than_rows_are_refused(sources, shape, chat):
    data = build(sources, dataclasses.replace(shape, batch_size=1), chat)
    with pytest.raises(UserError, match="batch_size 1 is less than the 2 sources"):
        data.iterator(seed=0)


def test_bad_media_are_left_out_and_reported(sources, shape, chat):
    folder = sources[0].manifest.parent
    (folder / "002.png").write_bytes(b"no picture")
    report = BadSamples(max_bad_fraction=0.5)
    calls = []
    data = build(sources, shape, chat, report=report, progress=lambda *x: calls.append(x))
    assert data.spans == ((0, 10), (10, 16))
    assert [name.rsplit("/", 1)[-1] for name in report.reasons] == ["002.png"]
    assert calls[-1] == (9, 9)
    for file in folder.glob("*.png"):
        file.unlink()
    with pytest.raises(UserError, match=r"no media file of .*images\.json could be read"):
        build(sources[:1], shape, chat, report=BadSamples(max_bad_fraction=1.0))
