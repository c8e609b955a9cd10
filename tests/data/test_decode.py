"""Self-made files: every frame is one grey, 10 x its number, so that a choice can be read off."""

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from fewvid.data import decode_pyav
from fewvid.data.clip import Deadline
from fewvid.data.decode import decode_video
from fewvid.data.decode_pyav_seek import read_seeking
from fewvid.data.images import resize
from fewvid.errors import UserError


def write(path, n=8, *, codec="libx264", pixels="yuv420p", shape=(64, 64), noise=0, **more):
    """Writes n frames at 4 a second; `stamps` sets their times in milliseconds instead."""
    options, stamps = more.get("options", {}), more.get("stamps")
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options=more.get("container", {})) as container:
        sound = (
            container.add_stream("aac", rate=16000, layout="mono") if more.get("sound") else None
        )
        video = container.add_stream(codec, rate=more.get("rate", 4), options=options)
        video.height, video.width = shape
        video.pix_fmt = pixels
        if stamps:
            video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        if more.get("rotation"):
            video.set_display_rotation(more["rotation"])
        for i in range(n):
            picture = np.full((*shape, 3), 10 * i % 250, np.uint8)
            if noise:
                picture[: shape[0] // 2] = rng.integers(0, noise, (shape[0] // 2, shape[1], 3))
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            if stamps:
                frame.pts, frame.time_base = stamps[i], Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if sound:
            container.mux([*sound.encode(silence()), *sound.encode()])
    return path


def silence():
    """A second of it."""
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
    frame.sample_rate = 16000
    return frame


def numbers(clip):
    """Returns which frames these are, read from their lower halves."""
    half = clip.frames[:, clip.frames.shape[1] // 2 :]
    return (half.mean(axis=(1, 2, 3)) / 10).round().astype(int).tolist()


@pytest.mark.parametrize("backend", ["pyav", "opencv"])
def test_frames_in_order_with_their_times(tmp_path, backend):
    path = write(tmp_path / "a.mp4")
    clip = decode_video(path, 8, backend=backend)
    assert clip.frames.shape == (8, 64, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert numbers(clip) == list(range(8))
    assert clip.times.dtype == np.float32
    np.testing.assert_allclose(clip.times, np.arange(8) / 4)
    assert (clip.asked, clip.available, clip.backend, clip.notes) == (8, 8, backend, ())
    assert clip.duration == pytest.approx(2.0)
    assert numbers(decode_video(path, 3, backend=backend)) == [0, 3, 7]
    assert numbers(decode_video(path, 1, backend=backend)) == [3]
    assert numbers(decode_video(path, None, backend=backend)) == list(range(8))


def test_backends_agree(tmp_path):
    path = write(tmp_path / "a.mp4", 24, noise=200)
    ours, theirs = (decode_video(path, 5, backend=name) for name in ("pyav", "opencv"))
    assert np.abs(ours.frames.astype(int) - theirs.frames).mean() < 1
    np.testing.assert_allclose(ours.times, theirs.times, atol=1e-3)


CODECS = {
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg2.ts": {"codec": "mpeg2video", "rate": 25},
    "mjpeg.mov": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "ffv1.mkv": {"codec": "ffv1"},
    "anim.gif": {"codec": "gif", "pixels": "rgb8"},
    "anim.apng": {"codec": "apng", "pixels": "rgb24"},
    "h264_10bit.mkv": {"pixels": "yuv420p10le"},
    "live_without_length.webm": {"codec": "libvpx-vp9", "container": {"live": "1"}},
    "sound_first.mp4": {"sound": True},
}


@pytest.mark.parametrize("name", CODECS)
def test_codecs_and_containers(tmp_path, name, capfd):
    path = write(tmp_path / name, 20, **CODECS[name])
    capfd.readouterr()  # what the encoder says
    clip = decode_video(path, 5)
    assert clip.available == 20
    assert clip.backend == "pyav"
    assert np.abs(np.array(numbers(clip)) - [0, 4, 9, 14, 19]).max() <= 1  # rgb8 is coarse
    assert clip.frames.shape == (5, 64, 64, 3)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp8", "vp9", "mpeg4"])
def test_seeking_finds_what_decoding_through_finds(tmp_path, codec, monkeypatch):
    options = {
        "h264": {"x264-params": "keyint=10:min-keyint=10:bframes=3:open-gop=1:scenecut=0"},
        "hevc": {"x265-params": "log-level=none:keyint=10:min-keyint=10:bframes=3:open-gop=1"},
        "vp8": {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "8"},
        "vp9": {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "8"},
        "mpeg4": {"g": "10", "bf": "2"},
    }[codec]
    name = {"h264": "libx264", "hevc": "libx265", "vp8": "libvpx", "vp9": "libvpx-vp9"}
    path = tmp_path / ("a.webm" if codec.startswith("vp") else "a.mp4")
    write(path, 60, codec=name.get(codec, codec), options=options, noise=60)
    for frames in (2, 5, 11, 59):
        through = decode_video(path, frames)
        sought = read_seeking(path, frames, None, Deadline(path, 60))
        np.testing.assert_array_equal(sought.frames, through.frames)
        np.testing.assert_allclose(sought.times, through.times)
        assert sought.available == through.available == 60
    monkeypatch.setattr(decode_pyav, "_HELD_BYTES", 0)
    np.testing.assert_array_equal(decode_video(path, 59).frames, through.frames)


def test_frames_that_do_not_fit_are_decoded_again(tmp_path, monkeypatch):
    path = write(tmp_path / "a.avi", 20, codec="mpeg4")
    expected = decode_video(path, 6)
    monkeypatch.setattr(decode_pyav, "_HELD_BYTES", 50_000)
    np.testing.assert_array_equal(decode_video(path, 6).frames, expected.frames)


def test_variable_frame_rate_is_chosen_by_time(tmp_path):
    stamps = [0, 5, 10, 15, 20, 25, 30, 1000, 2000, 2005, 3000, 4000]
    clip = decode_video(write(tmp_path / "a.mkv", 12, stamps=stamps), 5)
    assert numbers(clip) == [0, 7, 8, 10, 11]
    np.testing.assert_allclose(clip.times, [0, 1, 2, 3, 4])


def test_fewer_frames_than_asked(tmp_path):
    clip = decode_video(write(tmp_path / "a.mp4", 3), 8)
    assert numbers(clip) == [0, 1, 2]
    assert clip.asked == 8
    assert clip.notes == ("8 frames were asked for, 3 exist: used 3",)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.mp4", "libx264", "yuv444p"), ("a.mkv", "ffv1", "yuv420p"), ("a.gif", "gif", "rgb8")],
)
def test_a_video_of_one_pixel(tmp_path, name, codec, pixels):
    clip = decode_video(write(tmp_path / name, 4, codec=codec, pixels=pixels, shape=(1, 1)), 4)
    assert clip.frames.shape == (4, 1, 1, 3)


@pytest.mark.parametrize("backend", ["pyav", "opencv"])
def test_rotation_tag_is_applied(tmp_path, backend):
    path = write(tmp_path / "a.mp4", 2, shape=(64, 96), noise=250, rotation=90)
    clip = decode_video(path, 2, backend=backend)
    assert clip.frames.shape == (2, 96, 64, 3)
    assert clip.frames[0, :, :32].std() > 40 > 10 > clip.frames[0, :, 32:].std()


def test_size_is_the_same_as_resizing_afterwards(tmp_path):
    path = write(tmp_path / "a.mp4", shape=(48, 80), noise=250)
    clip = decode_video(path, 4, size=32)
    np.testing.assert_array_equal(clip.frames, resize(decode_video(path, 4).frames, 32))


def test_truncated_file_uses_what_decodes(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", 25, noise=250, container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    clip = decode_video(path, 6)
    assert 10 <= clip.available <= 16
    assert len(clip.frames) == 6
    assert clip.notes[0].startswith(f"{clip.available} of the announced 25 frames decode; the rest")
    assert numbers(clip)[0] == 0
    assert numbers(clip)[-1] == pytest.approx(clip.available - 1, abs=1)
    assert clip.times[-1] == pytest.approx((clip.available - 1) / 4)
    monkeypatch.setattr(decode_pyav, "_HELD_BYTES", 0)  # as a long file
    again = decode_video(path, 6)
    assert again.notes == clip.notes
    np.testing.assert_array_equal(again.frames, clip.frames)


def test_damage_in_the_middle_is_told(tmp_path):
    path = write(tmp_path / "a.mkv", 25, codec="ffv1", noise=250)
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    data[at : at + 3000] = bytes(3000)
    path.write_bytes(data)
    clip = decode_video(path, 25)
    assert 10 <= len(clip.frames) <= 25
    assert "damaged" in clip.notes[0] or "announced" in clip.notes[0]


def test_still_picture_and_folder_of_pictures(tmp_path):
    (tmp_path / "notes.txt").write_text("not a picture")
    for i in (0, 1, 2, 10, 11):
        Image.new("RGB", (4, 4), (10 * i,) * 3).save(tmp_path / f"frame_{i}.png")
    still = decode_video(tmp_path / "frame_10.png", 8)
    assert numbers(still) == [10]
    assert still.available == 1
    assert "used 1" in still.notes[0]
    assert decode_video(tmp_path / "frame_10.png", 8, asked=False).notes == ()
    clip = decode_video(tmp_path, 3)
    assert numbers(clip) == [0, 2, 11]
    assert clip.times.tolist() == [0, 2, 4]


def claim(path, width=12336, height=12336):
    """Writes that size into the header of an mp4, avi, webm or gif."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".mp4":
        at = data.index(b"avc1", data.index(b"stsd")) + 28
        data[at : at + 4] = struct.pack(">HH", width, height)
    elif path.suffix == ".avi":
        at = data.index(b"strf") + 12
        data[at : at + 8] = struct.pack("<ii", width, height)
    elif path.suffix == ".gif":
        data[6:10] = struct.pack("<HH", width, height)
    path.write_bytes(data)
    return path


def claiming_stream(path):
    """Writes a file whose header has the size, and whose only packet is no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=4)
        stream.width = stream.height = 12336
        stream.pix_fmt = "yuvj420p"
        packet = av.Packet(b"0" * 1000)
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        container.mux(packet)
    return path


@pytest.mark.parametrize("backend", ["auto", "opencv"])
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.gif", "b.mkv", "b.mov", "b.avi"])
def test_refuses_the_size_that_a_header_claims(tmp_path, name, backend):
    path = tmp_path / name
    if name.startswith("b"):
        claiming_stream(path)
    else:
        codec = {"a.mp4": "libx264", "a.avi": "mpeg4", "a.gif": "gif"}[name]
        claim(write(path, codec=codec, pixels="rgb8" if codec == "gif" else "yuv420p"))
    with pytest.raises(UserError, match="claims 12336x12336 pixels, more than the 8192x8192"):
        decode_video(path, 8, backend=backend)


def test_refuses_the_size_in_the_stream_before_it_is_allocated(tmp_path):
    path = write(tmp_path / "a.webm", codec="libvpx")
    data = bytearray(path.read_bytes())
    at = data.index(b"\x9d\x01\x2a") + 3  # VP8's own frame header
    data[at : at + 4] = struct.pack("<HH", 12336, 12336)
    path.write_bytes(data)
    with pytest.raises(UserError, match="at most 8192x8192 pixels"):
        decode_video(path, 8)


def no_video(tmp_path):
    """Writes one file of every kind that is no video; returns (path, reason)."""
    rng = np.random.default_rng(0)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 100)
    (tmp_path / "list.mp4").write_text("#EXTM3U\nhttp://localhost:1/a.ts\n")
    (tmp_path / "noise.mp4").write_bytes(rng.bytes(100_000))
    (tmp_path / "zeros.mp4").write_bytes(bytes(100_000))
    (tmp_path / "nothing").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        container.mux([*sound.encode(silence()), *sound.encode()])
    whole = write(tmp_path / "whole.mp4", container={"movflags": "faststart"}).read_bytes()
    at = whole.index(b"mdat") + 4
    (tmp_path / "undecodable.mp4").write_bytes(whole[:at] + b"\xff" * (len(whole) - at))
    (tmp_path / "headless.mp4").write_bytes(whole[at:] * 3)
    return {
        "whole.mp": "no such file; .* Did you mean 'whole.mp4'?",
        "empty.mp4": "the file is empty",
        "text.mp4": "is a text file",
        "list.mp4": "is a text file",
        "noise.mp4": "not a video that can be read|no frame of it decodes|holds",
        "zeros.mp4": "not a video that can be read|no frame of it decodes|holds",
        "nothing": "is a directory without pictures",
        "pipe.mp4": "is no regular file",
        "sound.mp4": "holds only audio",
        "undecodable.mp4": "no frame of it decodes",
        "headless.mp4": "not a video that can be read|no frame of it decodes|holds",
    }


@pytest.mark.parametrize("backend", ["auto", "opencv"])
def test_says_in_one_line_why_it_reads_nothing(tmp_path, backend, capfd):
    for name, reason in no_video(tmp_path).items():
        if backend == "opencv" and name == "sound.mp4":
            reason = "not a video that can be read"
        with pytest.raises(UserError, match=reason) as raised:
            decode_video(tmp_path / name, 8, backend=backend)
        assert "\n" not in str(raised.value)
        assert name in str(raised.value)
    assert capfd.readouterr().err == ""


def test_a_codec_without_decoder_is_named_as_the_reason(tmp_path):
    path = write(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz9"))
    with pytest.raises(UserError, match="codec is not known"):
        decode_video(path, 8)


def test_the_cover_of_a_song_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt = "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
        container.mux([*cover.encode(picture), *cover.encode()])
        container.mux([*sound.encode(silence()), *sound.encode()])
    with pytest.raises(UserError, match="holds only audio"):
        decode_video(tmp_path / "a.m4a", 8)


@pytest.mark.parametrize("url", ["https://a.org/b.mp4", "file:///b.mp4", "S3://a/b.mp4"])
def test_a_url_is_not_taken_for_a_file(url):
    for path in (url, Path(url)):
        with pytest.raises(UserError, match="videos are read from disk"):
            decode_video(path, 8)
    with pytest.raises(UserError, match=f"^{url}: "):
        decode_video(url, 8)


def test_an_empty_path_is_not_the_current_folder():
    with pytest.raises(UserError, match="path of the video is empty"):
        decode_video("", 8)


def test_says_which_argument_is_wrong(tmp_path):
    path = write(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="frames=0: wanted 1 or more"):
        decode_video(path, 0)
    with pytest.raises(UserError, match="Did you mean 'pyav'"):
        decode_video(path, 8, backend="pyva")
    with pytest.raises(UserError, match="size=0"):
        decode_video(path, 8, size=0)


@pytest.mark.parametrize("backend", ["pyav", "opencv"])
def test_gives_up_at_the_deadline(tmp_path, backend):
    path = write(tmp_path / "a.mp4", 30)
    with pytest.raises(UserError, match=r"longer than 1e-06 s.*raise timeout_s"):
        decode_video(path, 8, backend=backend, timeout_s=1e-6)


def test_a_slow_file_gives_what_the_time_allows(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", 60, options={"g": "10", "keyint_min": "10"})
    monkeypatch.setattr(Deadline, "spent", lambda self, part: True)
    first = decode_video(path, 4)
    assert numbers(first) == [0]
    assert "slow" in first.notes[0]
    monkeypatch.setattr(decode_pyav, "_HELD_BYTES", 0)
    keys = decode_video(path, 4)
    assert (keys.times * 4).tolist() == [0, 10, 30, 50]
    assert len(keys.notes) == 1
    assert "key frames" in keys.notes[0]


def test_many_threads_read_the_same(tmp_path):
    paths = [write(tmp_path / f"{i}.mp4", 8, noise=100) for i in range(4)]
    expected = [decode_video(path, 4).frames for path in paths]
    with ThreadPoolExecutor(8) as pool:
        clips = list(pool.map(lambda i: decode_video(paths[i % 4], 4), range(64)))
    for i, clip in enumerate(clips):
        np.testing.assert_array_equal(clip.frames, expected[i % 4])


def test_sound_that_outlasts_the_pictures_is_no_damage(tmp_path):
    path = write(tmp_path / "a.mp4", 2, sound=True)  # half a second of pictures, one of sound
    assert decode_video(path, 2).notes == ()
