"""python -m fewvid train --config configs/pretrain.py:shapes --workdir runs/pretrain

Stage 2: the adapter and the encoder's last three blocks, on images. It goes on from the model
that `configs/align.py:shapes` made in runs/align, or from --config.init_from=DIR.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` (from random parameters), `shapes`, `vicuna_7b` or `qwen_0_5b`."""
    size = recipes.size(arg)
    start = size if arg == "tiny" else "runs/align/model"
    return recipes.config([recipes.pretrain(size)], start=start, chosen=size)
