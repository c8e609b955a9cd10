"""How scenes are drawn, by the name of the look (`Variant.look`, `--look`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fewvid.data.shapes.render import render
from fewvid.data.shapes.render_alt import render_alt
from fewvid.data.shapes.scene import Scene
from fewvid.data.shapes.variant import SIZE

# (scene, size in pixels) -> uint8[frames,size,size,3], RGB
Renderer = Callable[[Scene, int], np.ndarray]
RENDERERS: dict[str, Renderer] = {"shapes": render, "alt": render_alt}


def pixels(scenes: Sequence[Scene], look: str, size: int = SIZE) -> np.ndarray:
    """The scenes, one after the other, in a look: uint8[T,size,size,3], RGB."""
    return np.concatenate([RENDERERS[look](scene, size) for scene in scenes])
