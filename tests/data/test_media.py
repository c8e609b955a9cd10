"""Frames of a sample, the cache of them, and the count of those that fail."""

from pathlib import Path

import numpy as np
import pytest

from fewvid.data import media
from fewvid.data.manifest import read_manifest
from fewvid.data.media import BadSamples, Frames, frame_reader, read_frames
from fewvid.data.sample import Sample, Turn
from fewvid.errors import UserError

TEXT = Sample("t", None, "text", (Turn("q", "a"),))


def test_an_image_is_a_video_of_one_frame(tmp_path, write_images):
    sample = read_manifest(write_images(tmp_path / "i", 2))[3]
    frames = read_frames(sample, 3, 4)
    assert frames.pixels.shape == (1, 4, 4, 3)
    assert np.unique(frames.pixels).tolist() == [10]
    assert frames.times.tolist() == [0.0]


def test_a_video_has_its_times_in_seconds(tmp_path, write_videos):
    sample = read_manifest(write_videos(tmp_path / "v", 1, length=6))[0]
    frames = read_frames(sample, 3, 8)
    assert frames.pixels.shape == (3, 8, 8, 3)
    assert frames.times.dtype == np.float32
    assert np.all(np.diff(frames.times) >= 0.25)
    assert np.all(np.diff(frames.pixels.mean((1, 2, 3))) > 30)


def test_a_short_video_gives_what_it_has(tmp_path, write_videos):
    sample = read_manifest(write_videos(tmp_path / "v", 1, length=2))[0]
    assert len(read_frames(sample, 3, 8).times) == 2


def test_text_has_no_frames():
    assert read_frames(TEXT, 3, 8).pixels.shape == (0, 8, 8, 3)


def test_the_cache_reads_a_file_once_and_stops_when_full(monkeypatch):
    reads = []

    def read(sample, frames, size):
        reads.append(sample.id)
        return Frames(np.zeros((1, size, size, 3), np.uint8), np.zeros(1, np.float32))

    monkeypatch.setattr(media, "read_frames", read)
    samples = [Sample(n, Path(n), "image", TEXT.turns) for n in "abc"]
    cached = frame_reader(3, 8, cache_bytes=2 * 8 * 8 * 3)
    for _ in range(2):
        for sample in samples:
            cached(sample)
    assert reads == ["a", "b", "c", "c"]


def groups(count):
    return [(Sample(str(i), Path(f"{i}.png"), "image", TEXT.turns),) for i in range(count)]


@pytest.mark.parametrize(("bad", "stops"), [(2, False), (3, True), (19, True)])
@pytest.mark.parametrize("first", [True, False])
def test_too_many_bad_files_stop_a_run_in_whatever_order(bad, stops, first):
    report, order = BadSamples(max_bad_fraction=0.04), [True] * bad + [False] * (60 - bad)
    report.expect(groups(60))
    report.expect(groups(5))  # a part of them says nothing new

    def read():
        for i, is_bad in enumerate(order if first else reversed(order)):
            report.bad(f"{i}", "is empty") if is_bad else report.good(f"{i}")

    if stops:
        with pytest.raises(
            UserError, match=r"already 3 of 60 media files .*max_bad_fraction=0\.04"
        ):
            read()
    else:
        read()
        assert (report.seen, len(report.reasons)) == (60, bad)


def test_few_files_are_not_judged():
    report = BadSamples(max_bad_fraction=0.0, minimum=3)
    report.expect(groups(2))
    report.bad("x", "is empty")
    report.expect(groups(3))
    with pytest.raises(UserError, match="2 of 3"):
        report.bad("y", "is empty")


def test_a_report_names_three_files_once_and_counts_the_others():
    report = BadSamples()
    for name in "edcba":
        report.bad(name, f"{name}: is empty.")
        report.bad(name, f"{name}: is empty.")
    assert str(report) == (
        "5 of 5 media files could not be read: a: is empty; b: is empty; c: is empty; and 2 more"
    )
