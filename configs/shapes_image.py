"""python -m fewvid train --config configs/shapes_image.py:shapes --workdir runs/shapes_image
python -m fewvid train --config configs/shapes_image.py:albums --workdir runs/shapes_albums

The shipped image model `shapes`, in two runs. `:shapes` trains all of a model from random
parameters on images and their captions: there is no pretrained encoder or LLM of so small a world
to keep. `:albums` goes on from it with slide shows of unrelated pictures, so that the decoder can
tell one of several pictures from another; nothing in them moves. `:tiny` shows that it runs.
"""

from ml_collections import ConfigDict

from fewvid.errors import UserError, closest
from fewvid.training import recipes

ARGS = ("tiny", "shapes", "albums")


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` or `shapes` (from random parameters), or `albums` (from what `shapes` made)."""
    if arg not in ARGS:
        raise UserError(
            f"unknown config argument {arg!r}; write shapes_image.py:ARG with ARG one of "
            f"{', '.join(ARGS)}.{closest(arg, ARGS)}"
        )
    size = recipes.size("tiny" if arg == "tiny" else "shapes")
    if arg == "albums":
        config = recipes.config([recipes.albums(size)], start=START, chosen=size)
        config.world.update(clips=0, images=6000, albums=10_000, seed=11)
        return config
    config = recipes.config([recipes.from_nothing(size)], start=size, chosen=size)
    if arg == "shapes":
        # The clips are there for the words of their questions: none is trained on.
        config.world.update(clips=200, images=40_000, things=3)
    return config


START = "runs/shapes_image/model"
