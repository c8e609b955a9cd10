"""python -m fewvid train --config configs/instruct.py:shapes --workdir runs/instruct

Stage 3: the adapter and the decoder, on images. It goes on from the model that
`configs/pretrain.py:shapes` made in runs/pretrain, or from --config.init_from=DIR.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` (from random parameters) or `shapes`."""
    size = recipes.size(arg)
    start = size if arg == "tiny" else "runs/pretrain/model"
    return recipes.config([recipes.instruct(size)], start=start, chosen=size)
