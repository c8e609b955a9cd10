"""python -m fewvid train --config configs/align.py:shapes --workdir runs/align

Stage 1: the adapter alone, on images. `:tiny` is the same in seconds, `:vicuna_7b` and
`:qwen_0_5b` go on from an imported encoder and LLM, on images of your own.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` or `shapes`, from random parameters; `vicuna_7b` or `qwen_0_5b`."""
    size = recipes.size(arg)
    return recipes.config([recipes.align(size)], start=size, chosen=size)
