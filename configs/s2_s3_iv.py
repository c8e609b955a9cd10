"""python -m fewvid train --config configs/s2_s3_iv.py:shapes --workdir runs/s2_s3_iv

Strategy S2-S3-IV: images and videos together in stages 2 and 3. `:shapes` starts from the shipped
image model and runs both stages with videos; `:tiny` runs stage 1 on images before them.
`:vicuna_7b` and `:qwen_0_5b` do as `:tiny` does, from an imported encoder and LLM.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` (from random parameters), `shapes`, `vicuna_7b` or `qwen_0_5b`."""
    size = recipes.size(arg)
    both = recipes.IMAGES_AND_VIDEOS
    together = [recipes.pretrain(size, both), recipes.instruct(size, both)]
    if arg == "shapes":
        return recipes.config(together, start="shapes", chosen=size)
    return recipes.config([recipes.align(size), *together], start=size, chosen=size)
