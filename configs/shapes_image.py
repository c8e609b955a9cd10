"""python -m fewvid train --config configs/shapes_image.py:shapes --workdir runs/shapes_image

The shipped image model `shapes`, in two stages. `images` trains all of a model from random
parameters on images and their captions: there is no pretrained encoder or LLM of so small a world
to keep. `albums` goes on with slide shows of unrelated pictures, so that the decoder can tell one
of several pictures from another; nothing in them moves.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` (to see that it runs) or `shapes` (the shipped model; minutes on a GPU)."""
    size = recipes.size(arg, recipes.OF_THE_WORLD)
    stages = [recipes.from_nothing(size), recipes.albums(size)]
    config = recipes.config(stages, start=size, chosen=size)
    if arg == "shapes":
        # The clips are there for the words of their questions: none is trained on.
        config.world.update(clips=200, images=60_000, albums=6000)
    else:
        config.world.update(albums=24)
    return config
