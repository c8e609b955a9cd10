"""python -m fewvid train --config configs/shapes_image.py --workdir runs/shapes_image

The shipped image model `shapes`: an image-LVLM of the miniature world, from random parameters, on
images and their captions alone. All of it trains at once: there is no pretrained encoder or LLM
of so small a world to keep. Meant for one GPU; `:tiny` shows in seconds that it runs.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` or `shapes`; both start from random parameters."""
    size = recipes.size(arg)
    config = recipes.config([recipes.from_nothing(size)], start=size, chosen=size)
    if arg == "shapes":
        config.world.clips = 200  # for the words of their questions: no clip is trained on
        config.world.images = 60_000
    return config
