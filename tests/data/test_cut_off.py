"""Files that stop before their container does, cut at many places; whole ones say nothing."""

import av
import numpy as np
import pytest

from fewvid.data import decode_pyav
from fewvid.data.cut_off import cut_off
from fewvid.data.decode import decode_video
from fewvid.errors import UserError

# name: codec, pixel format, options of the container
FILES = {
    "a.mp4": ("libx264", "yuv420p", {"movflags": "faststart"}),
    "moov_last.mp4": ("libx264", "yuv420p", {}),
    "pieces.mp4": ("libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
    "a.webm": ("libvpx-vp9", "yuv420p", {}),
    "live.webm": ("libvpx-vp9", "yuv420p", {"live": "1"}),
    "a.mkv": ("ffv1", "yuv420p", {}),
    "a.avi": ("mpeg4", "yuv420p", {}),
    "a.gif": ("gif", "rgb8", {}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files by name, of 25 noisy frames each."""
    folder = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 250, (25, 64, 64, 3)).astype(np.uint8)
    for name, (codec, pixels, options) in FILES.items():
        with av.open(str(folder / name), "w", options=options) as container:
            video = container.add_stream(codec, rate=4)
            video.width = video.height = 64
            video.pix_fmt = pixels
            for picture in noise:
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(video.encode())
    return folder


@pytest.mark.parametrize("name", FILES)
def test_every_cut_is_seen_and_a_whole_file_is_not_one(whole, tmp_path, name):
    data = (whole / name).read_bytes()
    assert cut_off(whole / name) == ""
    cut = tmp_path / name
    places = np.random.default_rng(0).integers(0.2 * len(data), len(data) - 9, 100)
    missed = []
    for place in [*places.tolist(), len(data) - 9]:
        cut.write_bytes(data[:place])
        if not cut_off(cut):
            missed.append(place)
    assert missed == []


@pytest.mark.parametrize("name", FILES)
def test_what_was_appended_is_no_cut(whole, tmp_path, name):
    padded = tmp_path / name
    padded.write_bytes((whole / name).read_bytes() + bytes(100))
    assert cut_off(padded) == ""


def test_other_files_are_taken_for_whole(tmp_path):
    for content in (b"", b"G" + bytes(187), b"a text"):
        (tmp_path / "a").write_bytes(content)
        assert cut_off(tmp_path / "a") == ""


@pytest.mark.parametrize("backend", ["pyav", "opencv"])
@pytest.mark.parametrize("name", ["a.webm", "live.webm", "a.mkv"])
def test_a_small_cut_is_told(whole, tmp_path, name, backend, monkeypatch):
    data = (whole / name).read_bytes()
    cut = tmp_path / name
    cut.write_bytes(data[: int(0.95 * len(data))])
    notes = decode_video(cut, 4, backend=backend).notes
    assert len(notes) == 1
    assert "frames decode" in notes[0]
    assert f"the rest is cut off ({int(0.95 * len(data))} of at least " in notes[0]
    monkeypatch.setattr(decode_pyav, "_HELD_BYTES", 0)  # as a long file
    assert "the rest is cut off" in decode_video(cut, 4, backend=backend).notes[0]


def test_an_index_that_was_cut_off_is_the_reason(whole, tmp_path):
    data = (whole / "moov_last.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"the file is cut off: .* bytes are there; wanted a video"):
        decode_video(tmp_path / "a.mp4", 4)
