"""python -m fewvid train --config configs/s3_iv.py:shapes --workdir runs/s3_iv

Strategy S3-IV: images and videos together in stage 3. `:shapes` starts from the shipped image
model, which has stages 1 and 2 behind it, and runs stage 3; `:tiny` runs all three. The strategy to
begin with: docs/results/strategies found it to gain most on videos and to cost pictures nothing.
`:vicuna_7b` and `:qwen_0_5b` do as `:tiny` does, from an imported encoder and LLM.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` (from random parameters), `shapes`, `vicuna_7b` or `qwen_0_5b`."""
    size = recipes.size(arg)
    together = recipes.instruct(size, recipes.IMAGES_AND_VIDEOS)
    if arg == "shapes":
        return recipes.config([together], start="shapes", chosen=size)
    images = [recipes.align(size), recipes.pretrain(size)]
    return recipes.config([*images, together], start=size, chosen=size)
