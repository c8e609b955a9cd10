"""Still pictures in, uint8 RGB out; and the one place that resizes frames.

Normalisation is not here: it happens on the device, inside the encoder.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fewvid.cores import cores
from fewvid.data.claims import check_claims
from fewvid.data.sniff import check_file, check_pixels
from fewvid.errors import UserError
from fewvid.models.config import Side


def load_image(path: str | Path) -> np.ndarray:
    """Reads a picture as uint8[H,W,3] RGB, upright.

    Transparent parts become white; 16-bit grey is brought to 8 bit; an EXIF rotation is applied.
    Of an animated file the first frame is taken.

    Raises:
      UserError: the file is missing, empty, no picture, damaged, or larger than `MAX_PIXELS`.
    """
    path = Path(path)
    check_claims(path, check_file(path, wanted="a picture"))
    try:
        with Image.open(path) as image:  # reads the header only: nothing is allocated yet
            check_pixels(path, *image.size)
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: the header claims too many pixels ({error})") from None
    except UnidentifiedImageError:
        raise UserError(
            f"{path}: no picture that can be read; wanted PNG, JPEG, GIF, WebP, BMP or TIFF"
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UserError(f"{path}: the picture is damaged ({error})") from None


def to_rgb(image: Image.Image) -> np.ndarray:
    """Returns a Pillow picture of any mode as uint8[H,W,3]."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image).astype(np.float64)
        # Scaled by what the numbers can be, not by what they are: a dark picture stays dark.
        top = 255.0 if grey.max(initial=0) <= 255 else 65535.0
        grey = np.clip(grey * (255.0 / top), 0, 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB")).copy()


def resize(frames: np.ndarray, size: int) -> np.ndarray:
    """Brings frames uint8[T,H,W,3] to squares uint8[T,size,size,3].

    A plain number squeezes whole frames, by area where it shrinks and by bicubic curves where it
    enlarges; a `Side` says which way. Frames that are already of that size come back as they are.
    Frames are shared out among threads: OpenCV and Pillow let others run meanwhile.
    """
    height, width = frames.shape[1:3]
    if (height, width) == (size, size):
        return frames
    if isinstance(size, Side) and size.fit != "area":
        one = partial(_bicubic, side=size)
    else:
        shrinks = height * width >= size * size
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        one = partial(cv2.resize, dsize=(size, size), interpolation=how)
    out = np.empty((len(frames), size, size, 3), np.uint8)

    def fill(at: int) -> None:
        out[at] = one(frames[at])

    if len(frames) < 2:  # as when a file is read, by threads of its own
        for at in range(len(frames)):
            fill(at)
        return out
    with ThreadPoolExecutor(min(len(frames), cores())) as pool:
        list(pool.map(fill, range(len(frames))))  # raises what one of them raised
    return out


def shown(frames: np.ndarray, side: Side) -> np.ndarray:
    """What an encoder sees of frames uint8[T,H,W,3], at their own size: all, or the middle."""
    if side.fit != "crop":
        return frames
    height, width = frames.shape[1:3]
    shorter = min(height, width)
    top, left = (height - shorter) // 2, (width - shorter) // 2
    return frames[:, top : top + shorter, left : left + shorter]


def _bicubic(frame: np.ndarray, side: Side) -> np.ndarray:
    """uint8[H,W,3] -> uint8[side,side,3] as CLIP's (`crop`) and SigLIP's pictures are made."""
    height, width = frame.shape[:2]
    to = (int(side), int(side))
    if side.fit == "crop":
        shorter = min(height, width)
        to = (int(side * width / shorter), int(side * height / shorter))
    picture = np.asarray(Image.fromarray(frame).resize(to, Image.Resampling.BICUBIC))
    left, top = (to[0] - side) // 2, (to[1] - side) // 2
    return picture[top : top + side, left : left + side]
