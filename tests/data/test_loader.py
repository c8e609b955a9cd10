"""The order of rows: resumed exactly, the same for any number of threads or hosts."""

import dataclasses
import json

import numpy as np
import pytest

from fewvid.data.loader import eval_batches, train_iterator
from fewvid.data.manifest import read_manifest
from fewvid.data.media import BadSamples
from fewvid.data.mixtures import Source
from fewvid.errors import UserError


@pytest.fixture
def sources(tmp_path, write_images):
    first, second = write_images(tmp_path / "a", 7), write_images(tmp_path / "b", 5)
    return [Source(first, 0.75), Source(second, 0.25)]


def take(iterator, count):
    batches = [next(iterator) for _ in range(count)]
    return batches


def same(one, other):
    for left, right in zip(one, other, strict=True):
        assert left.keys() == right.keys()
        for key in left:
            np.testing.assert_array_equal(left[key], right[key], err_msg=key)


def test_a_batch_keeps_the_contract(sources, shape, chat):
    batch = next(train_iterator(sources, shape, chat, seed=1))
    form = {key: (value.dtype.name, value.shape) for key, value in batch.items()}
    assert form == {
        "pixels": ("uint8", (4, 3, 8, 8, 3)),
        "times": ("float32", (4, 3)),
        "frame_mask": ("bool", (4, 3)),
        "tokens": ("int32", (4, 40)),
        "segments": ("int32", (4, 40)),
        "positions": ("int32", (4, 40)),
        "answer_positions": ("int32", (4, 8)),
        "answer_tokens": ("int32", (4, 8)),
        "answer_weights": ("float32", (4, 8)),
        "sample": ("int32", (4,)),
    }
    assert (batch["tokens"] == chat.visual).sum(1).tolist() == [2] * 4  # one frame of two tokens
    assert batch["frame_mask"].tolist() == [[True, False, False]] * 4
    assert batch["segments"].max() == 3
    group = batch["sample"] % 7  # the second source's groups are numbered on
    assert batch["pixels"][:, 0, 0, 0, 0].tolist() == (10 * group).tolist()


def test_going_on_in_mid_epoch_is_exact(sources, shape, chat):
    iterator = train_iterator(sources, shape, chat, seed=1)
    take(iterator, 3)
    state = iterator.get_state()
    rest = take(iterator, 4)
    again = train_iterator(sources, shape, chat, seed=1)
    again.set_state(json.loads(json.dumps(state)))
    same(take(again, 4), rest)


@pytest.mark.parametrize("change", [{"threads": 5}, {"cache_frames": True}])
def test_threads_and_cache_change_nothing(sources, shape, chat, change):
    plain = take(train_iterator(sources, shape, chat, seed=1, threads=1), 5)
    same(take(train_iterator(sources, shape, chat, seed=1, **change), 5), plain)


def test_another_seed_is_another_order(sources, shape, chat):
    orders = [
        [b["sample"].tolist() for b in take(train_iterator(sources, shape, chat, seed=s), 3)]
        for s in (1, 2)
    ]
    assert orders[0] != orders[1]


def test_hosts_share_the_rows_of_each_global_batch(sources, shape, chat):
    whole = take(train_iterator(sources, shape, chat, seed=1), 3)
    for rows in ([0, 1], [2, 3], [0, 3], [1]):
        part = take(train_iterator(sources, shape, chat, seed=1, rows=rows), 3)
        same(part, [{key: value[rows] for key, value in b.items()} for b in whole])


def test_the_place_of_one_host_is_that_of_all(sources, shape, chat):
    alone = train_iterator(sources, shape, chat, seed=1)
    take(alone, 3)
    half = train_iterator(sources, shape, chat, seed=1, rows=[2, 3])
    half.set_state(alone.get_state())
    same(take(half, 2), [{key: b[key][2:] for key in b} for b in take(alone, 2)])
    assert half.get_state() == alone.get_state() == {"batches": 5}


def test_rows_that_a_batch_has_not_are_refused(sources, shape, chat):
    with pytest.raises(UserError, match=r"rows \[3, 4\] of a batch of 4"):
        train_iterator(sources, shape, chat, seed=1, rows=[3, 4])


def test_each_epoch_draws_other_questions(tmp_path, write_images, shape, chat):
    shape = dataclasses.replace(shape, questions=1, batch_size=2)
    iterator = train_iterator([Source(write_images(tmp_path / "i", 2))], shape, chat, seed=1)
    answers = {
        (int(s), int(a))
        for batch in take(iterator, 20)
        for s, a in zip(batch["sample"], batch["answer_tokens"][:, 0], strict=True)
    }
    assert len(answers) == 6  # 2 images with 3 questions each


def test_images_videos_and_text_share_a_batch(
    tmp_path, write_images, write_videos, shape, chat, record
):
    (tmp_path / "text.json").write_text(json.dumps([record(0, "how many?", "two")]))
    sources = [
        Source(write_images(tmp_path / "i", 2)),
        Source(write_videos(tmp_path / "v", 2)),
        Source(tmp_path / "text.json"),
    ]
    batches = take(train_iterator(sources, shape, chat, seed=0), 3)
    frames = np.concatenate([b["frame_mask"].sum(1) for b in batches])
    visual = np.concatenate([(b["tokens"] == chat.visual).sum(1) for b in batches])
    assert sorted(frames) == [0] * 4 + [1] * 4 + [3] * 4
    assert (visual == 2 * frames).all()


def test_bad_media_are_counted_and_replaced_the_same_way_each_time(sources, shape, chat):
    folder = sources[0].manifest.parent
    (folder / "002.png").write_bytes(b"no picture")
    (folder / "003.png").unlink()
    reports = [BadSamples(max_bad_fraction=0.5), BadSamples(max_bad_fraction=0.5)]
    runs = [
        take(train_iterator(sources, shape, chat, seed=1, report=r, threads=t), 6)
        for r, t in zip(reports, (1, 4), strict=True)
    ]
    same(*runs)
    assert {name.rsplit("/", 1)[-1] for name in reports[0].reasons} == {"002.png", "003.png"}
    samples = np.concatenate([b["sample"] for b in runs[0]])
    assert not {2, 3} & set(samples)
    assert (samples == 4).sum() > (samples == 0).sum()  # it stands in for both


def test_too_many_bad_media_stop_the_run(sources, shape, chat):
    for name in ("001", "002", "003"):
        (sources[0].manifest.parent / f"{name}.png").write_bytes(b"")
    iterator = train_iterator(
        sources, shape, chat, seed=1, report=BadSamples(max_bad_fraction=0.1, minimum=5)
    )
    with pytest.raises(UserError, match="max_bad_fraction"):
        take(iterator, 10)


def test_nothing_to_read_at_all_is_an_error(sources, shape, chat):
    for file in sources[0].manifest.parent.glob("*.png"):
        file.unlink()
    with pytest.raises(
        UserError, match=r"no media file of \S*/a/images\.json could .*00\.png: no such.* 4 more"
    ):
        next(train_iterator(sources[:1], shape, chat, seed=1))


def test_questions_over_the_length_are_known_before_any_decoding(sources, shape, chat):
    with pytest.raises(UserError, match=r"24 of 36 samples do not fit in length=13 .* to 15"):
        train_iterator(sources, dataclasses.replace(shape, length=13), chat, seed=1)


def test_questions_without_room_are_counted(sources, shape, chat):
    report = BadSamples()
    shape = dataclasses.replace(shape, length=20, questions=3)
    batches = take(train_iterator(sources, shape, chat, seed=1, report=report, threads=1), 3)
    assert report.dropped_questions > 0
    assert max(b["segments"].max() for b in batches) == 2


@pytest.mark.parametrize("length", [20, 40])
def test_an_evaluation_asks_everything_once(tmp_path, write_images, shape, chat, length):
    samples = read_manifest(write_images(tmp_path / "i", 5))
    shape = dataclasses.replace(shape, length=length)
    asked = []
    for batch, rows in eval_batches(samples, shape, chat):
        assert len(rows) == len(batch["tokens"]) == 4
        for b, row in enumerate(rows):
            weights, places = batch["answer_weights"][b], batch["answer_positions"][b]
            segments = batch["segments"][b][places][weights > 0]
            for i, sample in enumerate(row):
                ids = batch["answer_tokens"][b][weights > 0][segments == 2 + i]
                assert tuple(ids) == chat.answer_ids(sample.turns[0].answer)
            assert weights.sum() == 2 * len(row)
            asked += row
    assert sorted(map(repr, asked)) == sorted(map(repr, samples))


def test_an_evaluation_reports_what_it_could_not_read(tmp_path, write_images, shape, chat):
    manifest = write_images(tmp_path / "i", 5)
    (tmp_path / "i/001.png").write_bytes(b"")
    report = BadSamples()
    found = eval_batches(read_manifest(manifest), shape, chat, report=report)
    assert sum(len(row) for _, rows in found for row in rows) == 12
    assert len(report.reasons) == 1
