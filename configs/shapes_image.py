"""python -m fewvid train --config configs/shapes_image.py --workdir runs/shapes_image
python -m fewvid train --config configs/shapes_image.py:more --workdir runs/shapes_image_more

The shipped image model `shapes`: an image-LVLM of the miniature world, from random parameters, on
images and their captions alone, then on more images. All of it trains at once: there is no
pretrained encoder or LLM of so small a world to keep. Meant for one GPU; `:tiny` shows in seconds
that it runs.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes

SIZES = {"tiny": "tiny", "shapes": "shapes", "more": "shapes"}


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` or `shapes` (from random parameters), or `more` (from what `shapes` made)."""
    size = recipes.size(SIZES.get(arg, arg))
    if arg == "more":
        config = recipes.config([recipes.more_images(size)], start=START, chosen=size)
        config.world.update(clips=0, images=30_000, seed=1, things=3)
        return config
    config = recipes.config([recipes.from_nothing(size)], start=size, chosen=size)
    if arg == "shapes":
        # The clips are there for the words of their questions: none is trained on.
        config.world.update(clips=200, images=40_000, things=3)
    return config


START = "runs/shapes_image/model"
