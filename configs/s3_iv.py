"""python -m fewvid train --config configs/s3_iv.py:shapes --workdir runs/s3_iv

Strategy S3-IV: images and videos together in stage 3. `:shapes` starts from the shipped image
model, which has stages 1 and 2 behind it, and runs stage 3; `:tiny` runs all three.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` (from random parameters) or `shapes`."""
    size = recipes.size(arg)
    together = recipes.instruct(size, recipes.IMAGES_AND_VIDEOS)
    if arg == "shapes":
        return recipes.config([together], start="shapes", chosen=size)
    images = [recipes.align(size), recipes.pretrain(size)]
    return recipes.config([*images, together], start=size, chosen=size)
