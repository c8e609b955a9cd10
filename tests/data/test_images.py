import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fewvid.data.images import load_image, resize
from fewvid.errors import UserError

RAMP = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


def save(tmp_path, image, name="a.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_rgb_and_grey(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(load_image(save(tmp_path, Image.fromarray(rgb))), rgb)
    grey = load_image(save(tmp_path, Image.fromarray(RAMP)))
    assert grey.dtype == np.uint8
    np.testing.assert_array_equal(grey, np.repeat(RAMP[..., None], 3, 2))


def test_transparent_parts_are_white(tmp_path):
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0] = (200, 100, 0, 255)
    rgba[1, 1] = (0, 0, 0, 128)
    picture = load_image(save(tmp_path, Image.fromarray(rgba)))
    assert picture[0, 0].tolist() == [200, 100, 0]
    assert picture[1, 0].tolist() == [255, 255, 255]
    assert picture[1, 1].tolist() == [127, 127, 127]


def test_palette_with_and_without_a_transparent_colour(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode="L").convert("P")
    image.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    assert load_image(save(tmp_path, image)).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    path = save(tmp_path, image, transparency=0)
    assert load_image(path).tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_sixteen_bit_grey_is_scaled_by_what_it_can_hold(tmp_path):
    image = Image.fromarray(RAMP.astype(np.uint16) * 257)
    np.testing.assert_array_equal(load_image(save(tmp_path, image))[..., 0], RAMP)


def test_exif_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned 90 degrees clockwise
    picture = load_image(save(tmp_path, Image.fromarray(RAMP), "a.png", exif=exif))
    np.testing.assert_array_equal(picture[..., 0], np.rot90(RAMP, -1))


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = save(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert load_image(path)[0, 0].tolist() == [255, 0, 0]


def claims(kind, tmp_path):
    """A 64x64 picture whose header claims 12336x12336."""
    path = save(tmp_path, Image.new("RGB", (64, 64)), f"a.{kind}")
    data = bytearray(path.read_bytes())
    if kind == "png":
        data[16:24] = struct.pack(">II", 12336, 12336)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    elif kind == "jpg":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", 12336, 12336)
    elif kind == "gif":
        data[6:10] = struct.pack("<HH", 12336, 12336)
    else:
        data[18:26] = struct.pack("<ii", 12336, -12336)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp"])
def test_refuses_a_size_above_the_limit(kind, tmp_path, recwarn):
    with pytest.raises(UserError, match="claims 12336x12336 pixels, more than the 8192x8192"):
        load_image(claims(kind, tmp_path))
    assert not recwarn.list


def test_says_what_is_wrong_with_a_file(tmp_path):
    whole = save(tmp_path, Image.effect_noise((64, 64), 90))
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:1000])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture\n")
    (tmp_path / "noise.png").write_bytes(np.random.default_rng(0).bytes(5000))
    for name, reason in {
        "b.png": r"no such file; .* Did you mean 'a.png'\?",
        "empty.png": "empty",
        "text.png": "is a text file",
        "noise.png": "no picture that can be read",
        "cut.png": "the picture is damaged",
        ".": "is a directory",
    }.items():
        with pytest.raises(UserError, match=reason) as raised:
            load_image(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_resize_shrinks_by_area_and_enlarges_smoothly():
    checks = np.indices((8, 16)).sum(0) % 2 * 200
    frames = np.repeat(checks.astype(np.uint8)[None, ..., None], 3, 3)
    assert (resize(frames, 4) == 100).all()
    flat = np.full((2, 3, 5, 3), 77, np.uint8)
    large = resize(flat, 9)
    assert large.shape == (2, 9, 9, 3)
    assert large.dtype == np.uint8
    assert (large == 77).all()
    assert resize(large, 9) is large


def test_real_pictures(shared_data):
    for path in sorted((shared_data / "images").iterdir()):
        picture = load_image(path)
        # One of them is turned by its EXIF tag.
        assert sorted(picture.shape) == sorted((*Image.open(path).size, 3))
        assert picture.std() > 20
