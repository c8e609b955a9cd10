"""python -m fewvid train --config configs/s4_v.py:shapes --workdir runs/s4_v

Strategy S4-V: three stages on images, then a fourth on video alone. `:shapes` starts from the
shipped image model, which has the three behind it, and runs the fourth; `:tiny` runs all four.
`:vicuna_7b` and `:qwen_0_5b` do as `:tiny` does, from an imported encoder and LLM.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` (from random parameters), `shapes`, `vicuna_7b` or `qwen_0_5b`."""
    size = recipes.size(arg)
    video = recipes.video(size)
    if arg == "shapes":
        return recipes.config([video], start="shapes", chosen=size)
    images = [recipes.align(size), recipes.pretrain(size), recipes.instruct(size)]
    return recipes.config([*images, video], start=size, chosen=size)
