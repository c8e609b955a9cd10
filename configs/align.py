"""python -m fewvid train --config configs/align.py:shapes --workdir runs/align

Stage 1: the adapter alone, on images. `:tiny` is the same in seconds.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` or `shapes`; both start from random parameters."""
    size = recipes.size(arg)
    return recipes.config([recipes.align(size)], start=size, chosen=size)
